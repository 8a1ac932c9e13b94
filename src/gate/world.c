/* Worlds: made at start and by each reload, shared by the requests that run. */
#include "gate/world.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

enum {
    WORLD_BLOCK = 1 << 16,
    WORLD_MOST = 64 << 20, /* about 32 bytes per credential and 4 per step: a stop for mistakes of ours */
};

static uint64_t pool_key_of(const struct credential *k, const struct shared *trust, uint64_t seed)
{
    const struct url *base = &k->provider->base;
    uint64_t h = hash_bytes(k->id, seed);

    h = hash_bytes(k->value, h);
    h = hash_bytes(base->host, h);
    h = hash_bytes(slice_make((const char *)&base->port, sizeof base->port), h);
    if (base->https) {
        uint64_t serial = trust ? trust_serial(trust->what) : 0;

        h = hash_bytes(slice_make((const char *)&serial, sizeof serial), h);
    }
    return h | 1; /* never 0: that is a connection that may not be used again */
}

struct world *world_create(struct conf *c, struct shared *trust, uint64_t seed, const struct world *old)
{
    struct world *w = mem_heap_take(sizeof *w);
    uint64_t *key;

    if (!w)
        return NULL;
    arena_init(&w->arena, &mem_heap_source, WORLD_BLOCK, WORLD_MOST);
    w->health = health_create(&w->arena, c, seed, c->gateway.cooldown);
    key = arena_zero(&w->arena, c->ncredentials, sizeof *key);
    if (!w->health || !key) {
        arena_reset(&w->arena);
        mem_heap_give(w);
        return NULL;
    }
    for (uint32_t i = 0; i < c->ncredentials; i++)
        key[i] = pool_key_of(&c->credential[i], trust, seed);
    w->pool_key = key;
    if (old)
        health_adopt(w->health, old->health);
    w->refs = 1;
    w->conf = c;
    conf_get(c);
    w->trust = shared_get(trust);
    return w;
}

struct world *world_get(struct world *w)
{
    w->refs++;
    return w;
}

void world_put(struct world *w)
{
    if (!w)
        return;
    must(w->refs > 0);
    if (--w->refs)
        return;
    conf_put(w->conf);
    shared_put(w->trust);
    arena_reset(&w->arena);
    mem_heap_give(w);
}

bool world_has_pool_key(const struct world *w, uint64_t key)
{
    for (uint32_t i = 0; i < w->conf->ncredentials; i++)
        if (w->pool_key[i] == key)
            return true;
    return false;
}

const struct credential *world_same_key(const struct world *w, const struct world *other, const struct credential *k)
{
    uint64_t wanted = w->pool_key[k->index];

    if (k->index < other->conf->ncredentials && other->pool_key[k->index] == wanted)
        return &other->conf->credential[k->index];
    for (uint32_t i = 0; i < other->conf->ncredentials; i++)
        if (other->pool_key[i] == wanted)
            return &other->conf->credential[i];
    return NULL;
}
