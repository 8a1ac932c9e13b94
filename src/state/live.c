/* See live.h. An open-addressed table over an array that only grows: a deleted entry stays in both, so that nothing moves, until the
 * log is compacted and with it the whole of this is made anew. A deletion is found again and put aside by a later creation: then the slot
 * points to the new entry, at the end of the order. */
#include "state/live.h"

#include "base/map.h"
#include "base/mem.h"

enum { FIRST = 256 };

void live_init(struct live *l, uint64_t seed)
{
    *l = (struct live){.seed = seed};
}

void live_free(struct live *l)
{
    mem_heap_give(l->entry);
    mem_heap_give(l->slot);
    *l = (struct live){0};
}

static void change_of(struct slice image, const struct live_entry *e, struct store_change *out)
{
    uint64_t at = e->at;

    record_change(image, &at, out);
}

enum { DEAD = 0x80 }; /* in an entry's kind: its id has to stay readable, as the table leads past it */

/* The slot of kind and id, or the free one where it belongs. */
static uint32_t *slot_of(const struct live *l, struct slice image, unsigned kind, struct slice id)
{
    for (uint64_t i = hash_bytes(id, l->seed + kind);; i++) {
        uint32_t *s = &l->slot[i & l->mask];
        struct store_change c;

        if (!*s)
            return s;
        change_of(image, &l->entry[*s - 1], &c);
        if ((unsigned)c.kind == kind && slice_eq(c.id, id))
            return s;
    }
}

static bool grow(struct live *l, struct slice image)
{
    uint32_t cap = l->cap ? l->cap * 2 : FIRST;
    struct live_entry *entry = mem_heap_take((size_t)cap * sizeof *entry);
    uint32_t *slot = mem_heap_take((size_t)cap * 2 * sizeof *slot);

    if (!entry || !slot || cap > UINT32_MAX / 4) {
        mem_heap_give(entry);
        mem_heap_give(slot);
        return false;
    }
    if (l->n)
        memcpy(entry, l->entry, l->n * sizeof *entry);
    mem_heap_give(l->entry);
    mem_heap_give(l->slot);
    l->entry = entry;
    l->slot = slot;
    l->cap = cap;
    l->mask = cap * 2 - 1;
    for (uint32_t i = 0; i < l->n; i++) {
        struct store_change c;

        change_of(image, &entry[i], &c);
        if (c.kind != STORE_USAGE)
            *slot_of(l, image, (unsigned)c.kind, c.id) = i + 1; /* of one id the last wins, as it did before */
    }
    return true;
}

bool live_add(struct live *l, struct slice image, const struct record *r)
{
    uint64_t at = r->at + RECORD_HEAD + 2;

    for (unsigned i = 0; i < r->changes; i++) {
        struct live_entry e = {.at = at, .time_ms = r->time_ms};
        struct store_change c;
        uint32_t *slot = NULL;

        record_change(image, &at, &c);
        e.kind = (uint8_t)c.kind;
        e.size = (uint32_t)(at - e.at);
        if (l->n == l->cap && !grow(l, image))
            return false;
        if (c.kind == STORE_USAGE) {
            l->usage_bytes += e.size;
        } else {
            slot = slot_of(l, image, (unsigned)c.kind, c.id);
            if (*slot && !(l->entry[*slot - 1].kind & DEAD)) {
                if (c.op == STORE_DELETE)
                    l->entry[*slot - 1].kind |= DEAD;
                else
                    l->entry[*slot - 1] = e; /* keeps its place: the order is that of creation */
                continue;
            }
        }
        if (c.op == STORE_DELETE)
            continue; /* of what is not there: nothing */
        l->entry[l->n++] = e;
        if (slot)
            *slot = l->n;
    }
    return true;
}

uint32_t live_trim(struct live *l, int64_t now_ms)
{
    const int64_t oldest = now_ms - (int64_t)STORE_USAGE_DAYS_MAX * 86400000;
    uint32_t gone = 0;

    for (uint32_t i = 0; i < l->n; i++) {
        struct live_entry *e = &l->entry[i];

        if (e->kind != STORE_USAGE)
            continue;
        if (l->usage_bytes <= STORE_USAGE_BYTES_MAX && e->time_ms >= oldest)
            break; /* in order of time, so the rest is younger */
        l->usage_bytes -= e->size;
        e->kind |= DEAD;
        gone++;
    }
    return gone;
}

bool live_change(const struct live *l, struct slice image, uint32_t n, struct store_change *out)
{
    if (l->entry[n].kind & DEAD)
        return false;
    change_of(image, &l->entry[n], out);
    return true;
}
