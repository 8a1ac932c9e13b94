/* Slice to pointer. Open addressing with linear probing at most half full, SipHash-1-3 with the map's own seed, so that
 * nobody who chooses names can choose collisions. Entries are never removed: a snapshot is replaced, not changed. */
#include "base/map.h"

#include "base/must.h"

struct map_slot {
    struct slice key;
    uint64_t hash;
    void *value; /* NULL: the slot is free */
};

enum { MAP_COUNT_MAX = 1u << 24 }; /* far above any config; keeps the arithmetic below in 32 bits */

static inline uint64_t rotl(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

/* SipHash-1-3; the second half of its key is derived from the first, one 64-bit secret is enough for a table. */
uint64_t hash_bytes(struct slice s, uint64_t seed)
{
    uint64_t k1 = rotl(seed, 29) * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    struct sip h = {seed ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, seed ^ 0x6c7967656e657261u,
                    k1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)s.n << 56;
    size_t at = 0, left;

    for (; s.n - at >= 8; at += 8) {
        uint64_t m;

        memcpy(&m, s.p + at, 8); /* native order: the value never leaves this machine */
        h.v3 ^= m;
        sip_round(&h);
        h.v0 ^= m;
    }
    left = s.n - at;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)(unsigned char)s.p[at + i] << (8 * i);
    h.v3 ^= last;
    sip_round(&h);
    h.v0 ^= last;
    h.v2 ^= 0xff;
    sip_round(&h);
    sip_round(&h);
    sip_round(&h);
    return h.v0 ^ h.v1 ^ h.v2 ^ h.v3;
}

bool map_init(struct map *m, struct arena *a, uint32_t count, uint64_t seed)
{
    uint32_t slots = 4;

    *m = (struct map){.seed = seed};
    if (count > MAP_COUNT_MAX)
        return false;
    while (slots < count * 2)
        slots *= 2;
    m->slot = arena_zero(a, slots, sizeof(*m->slot));
    if (!m->slot)
        return false;
    m->mask = slots - 1;
    return true;
}

/* The slot that holds key, or the free one where it would go. There always is one: half of them stay free. */
static struct map_slot *slot_of(const struct map *m, struct slice key, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & m->mask;

    while (m->slot[at].value && !(m->slot[at].hash == hash && slice_eq(m->slot[at].key, key)))
        at = (at + 1) & m->mask;
    return &m->slot[at];
}

bool map_put(struct map *m, struct slice key, void *value)
{
    uint64_t hash = hash_bytes(key, m->seed);
    struct map_slot *s;

    must(value);
    if (!m->slot || m->count > m->mask / 2)
        return false;
    s = slot_of(m, key, hash);
    if (s->value)
        return false;
    *s = (struct map_slot){.key = key, .hash = hash, .value = value};
    m->count++;
    return true;
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    return slot_of(m, key, hash_bytes(key, m->seed))->value;
}
