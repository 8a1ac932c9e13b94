/* The snapshot: its life, and the questions that the hot path asks. Building it is the business of load.c and its
 * neighbours. */
#include "conf/conf.h"

#include "base/limits.h"
#include "base/must.h"
#include "conf/build.h"

void conf_get(struct conf *c)
{
    c->refs++;
    must(c->refs != 0);
}

void conf_put(struct conf *c)
{
    struct arena a;

    must(c->refs > 0);
    if (--c->refs)
        return;
    a = c->arena; /* which holds c itself; its source wipes every block before it goes back */
    arena_reset(&a);
}

/* ---- Look-ups. ---- */

const struct access_config *conf_access_config(const struct conf *c, struct slice id)
{
    return map_get(&c->configs, id);
}

const struct provider *conf_provider(const struct conf *c, struct slice id)
{
    return map_get(&c->providers, id);
}

/* Folds a model id for a map; false when it is longer than any that a map holds. */
static bool fold(struct slice s, char out[MODEL_ID_MAX], struct slice *folded)
{
    if (s.n > MODEL_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        out[i] = ascii_lower(s.p[i]);
    *folded = slice_make(out, s.n);
    return true;
}

const struct target *conf_model(const struct conf *c, struct slice model)
{
    char text[MODEL_ID_MAX];
    struct slice key;

    return fold(model, text, &key) ? map_get(&c->models, key) : NULL;
}

const struct conf_model *conf_provider_model(const struct provider *p, struct slice model)
{
    char text[MODEL_ID_MAX];
    struct slice key;

    return fold(model, text, &key) ? map_get(&p->by_model, key) : NULL;
}

/* Constant time, eight bytes at once: this is on every request. */
static bool same_hash(const uint8_t a[32], const uint8_t b[32])
{
    uint64_t x[4], y[4], diff = 0;

    memcpy(x, a, 32);
    memcpy(y, b, 32);
    for (int i = 0; i < 4; i++)
        diff |= x[i] ^ y[i];
    return diff == 0;
}

const struct access_key *conf_access_key(const struct conf *c, const uint8_t sha256[32])
{
    const struct access_key *k = map_get(&c->access_keys, slice_make((const char *)sha256, 32));

    return k && same_hash(sha256, k->sha256) ? k : NULL;
}

/* ---- Order and binary search in a configuration's lists. ---- */

int order_text(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    for (size_t i = 0; i < n; i++) {
        int diff = (unsigned char)ascii_lower(a.p[i]) - (unsigned char)ascii_lower(b.p[i]);

        if (diff)
            return diff;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

int order_target(const struct provider *pa, struct slice ma, const struct provider *pb, struct slice mb)
{
    if (pa->index != pb->index)
        return pa->index < pb->index ? -1 : 1;
    return order_text(ma, mb);
}

const struct alias *conf_alias(const struct access_config *config, struct slice name)
{
    uint32_t low = 0, high = config ? config->naliases : 0;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = order_text(name, config->alias[mid].name);

        if (order == 0)
            return &config->alias[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct rule *conf_rule(const struct access_config *config, const struct provider *p, struct slice model)
{
    uint32_t low = 0, high = config ? config->nrules : 0;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = order_target(p, model, config->rule[mid].provider, config->rule[mid].model);

        if (order == 0)
            return &config->rule[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static bool provider_listed(const struct access_config *config, const struct provider *p)
{
    uint32_t low = 0, high = config->nprovider_allow;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (config->provider_allow[mid] == p)
            return true;
        if (p->index < config->provider_allow[mid]->index)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

static bool model_listed(const struct access_config *config, const struct provider *p, struct slice model)
{
    uint32_t low = 0, high = config->nmodel_allow;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = order_target(p, model, config->model_allow[mid].provider, config->model_allow[mid].model);

        if (order == 0)
            return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

bool conf_allows(const struct access_config *config, const struct provider *p, struct slice model)
{
    if (!config)
        return true;
    if (config->scope_providers && !provider_listed(config, p))
        return false;
    return !config->scope_models || model_listed(config, p, model);
}

/* ---- Access keys added after the load. ---- */

/* Twice the room for access keys: a new array and a new map. Allowed only while nobody holds pointers to the old ones. */
static bool access_keys_grow(struct conf *c)
{
    uint32_t cap = c->access_key_cap * 2 + 4;
    struct access_key *key = arena_zero(&c->arena, cap, sizeof(*key));
    struct map by_hash;

    if (!key || !map_init(&by_hash, &c->arena, cap, c->access_keys.seed))
        return false;
    if (c->naccess_keys)
        memcpy(key, c->access_key, c->naccess_keys * sizeof(*key));
    for (uint32_t i = 0; i < c->naccess_keys; i++)
        must(map_put(&by_hash, slice_make((const char *)key[i].sha256, 32), &key[i]));
    c->access_key = key;
    c->access_keys = by_hash;
    c->access_key_cap = cap;
    return true;
}

bool conf_add_access_key(struct conf *c, struct slice id, struct slice name, const uint8_t sha256[32])
{
    struct access_key *k;

    must(c->refs == 1);
    if (map_get(&c->access_keys, slice_make((const char *)sha256, 32)))
        return false;
    if (c->naccess_keys == c->access_key_cap && !access_keys_grow(c))
        return false;
    k = &c->access_key[c->naccess_keys];
    *k = (struct access_key){
        .id = arena_copy(&c->arena, id), .name = arena_copy(&c->arena, name), .index = c->naccess_keys};
    memcpy(k->sha256, sha256, 32);
    if (arena_overflowed(&c->arena) || !map_put(&c->access_keys, slice_make((const char *)k->sha256, 32), k))
        return false;
    c->naccess_keys++;
    return true;
}
