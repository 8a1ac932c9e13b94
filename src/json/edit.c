/* Edits of a checked top-level object: a sorted list of ranges, resolved into pieces at the end.
 *
 * Which comma goes with a removed member depends on its neighbours, who may be removed later. So a removal
 * covers the member and the way to the next one's key; only when pieces are made, a chain of removals that
 * reaches the last member also takes the comma before the chain. */
#include "json/edit.h"

#include <string.h>

void json_edits_init(struct json_edits *e, struct slice text)
{
    e->text = text; /* the edits themselves are some KB that nobody reads before they are written */
    e->count = 0;
    e->failed = false;
}

/* Keeps the order; an insertion goes behind everything else at its offset. */
static void insert(struct json_edits *e, struct json_edit edit)
{
    size_t at = e->count;

    if (e->count == JSON_EDITS_MAX || edit.off > e->text.n || edit.len > e->text.n - edit.off) {
        e->failed = true;
        return;
    }
    while (at > 0 && e->edit[at - 1].off > edit.off)
        at--;
    if ((at > 0 && e->edit[at - 1].off + e->edit[at - 1].len > edit.off) ||
        (at < e->count && edit.off + edit.len > e->edit[at].off)) {
        e->failed = true; /* the same member twice, say */
        return;
    }
    memmove(&e->edit[at + 1], &e->edit[at], (e->count - at) * sizeof(e->edit[0]));
    e->edit[at] = edit;
    e->count++;
}

void json_edit_value(struct json_edits *e, const struct json_member *m, struct slice with)
{
    insert(e, (struct json_edit){.off = m->val_off, .len = m->val_len, .with = with});
}

void json_edit_insert(struct json_edits *e, size_t off, struct slice with)
{
    insert(e, (struct json_edit){.off = off, .with = with});
}

static size_t value_end(const struct json_member *m)
{
    return (size_t)m->val_off + m->val_len;
}

void json_edit_remove(struct json_edits *e, const struct json_member *members, size_t n, size_t i)
{
    struct json_edit edit = {.removed = true, .first = i == 0, .last = i + 1 == n};
    size_t end;

    must(i < n);
    edit.off = members[i].key_off - 1u; /* with its quote */
    end = edit.last ? value_end(&members[i]) : members[i + 1].key_off - 1u;
    edit.len = end - edit.off;
    edit.before = edit.first ? edit.off : value_end(&members[i - 1]);
    insert(e, edit);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the last thing inside the top-level object, which is its '{' or a value. */
static size_t object_tail(struct slice text)
{
    size_t at = text.n;

    while (at > 0 && text.p[at - 1] != '}')
        at--;
    while (at > 1 && is_space(text.p[at - 2]))
        at--;
    return at > 1 ? at - 1 : 0;
}

void json_edit_add(struct json_edits *e, struct slice key, struct slice value)
{
    size_t tail = object_tail(e->text);

    must(key.p);
    if (tail == 0)
        e->failed = true; /* not an object */
    else
        insert(e, (struct json_edit){.off = tail, .with = value, .key = key});
}

struct pieces {
    struct slice *piece;
    size_t count, cap, total;
    bool full;
};

static void put(struct pieces *o, struct slice s)
{
    if (s.n == 0)
        return;
    if (o->count == o->cap) {
        o->full = true;
        return;
    }
    o->piece[o->count++] = s;
    o->total += s.n;
}

/* The last edit of the chain of neighbouring removals that begins with edit i. */
static size_t chain_end(const struct json_edits *e, size_t i)
{
    while (i + 1 < e->count && e->edit[i + 1].removed && e->edit[i].off + e->edit[i].len == e->edit[i + 1].off)
        i++;
    return i;
}

int json_edit_pieces(const struct json_edits *e, struct slice *piece, size_t cap, size_t *total)
{
    struct pieces o = {.piece = piece, .cap = cap};
    size_t at = 0;
    bool empty = object_tail(e->text) && e->text.p[object_tail(e->text) - 1] == '{';

    if (e->failed)
        return -1;
    for (size_t i = 0; i < e->count; i++) {
        const struct json_edit *d = &e->edit[i];
        size_t from = d->off, to = d->off + d->len;

        if (d->removed) {
            size_t end = chain_end(e, i);

            i = end;
            to = e->edit[end].off + e->edit[end].len;
            if (e->edit[end].last) {
                from = d->before;
                empty = d->first;
            }
        }
        put(&o, slice_make(e->text.p + at, from - at));
        if (d->key.p) {
            put(&o, empty ? SLICE("\"") : SLICE(",\""));
            put(&o, d->key);
            put(&o, SLICE("\":"));
            empty = false;
        }
        put(&o, d->with);
        at = to;
    }
    put(&o, slice_from(e->text, at));
    if (o.full)
        return -1;
    *total = o.total;
    return (int)o.count;
}
