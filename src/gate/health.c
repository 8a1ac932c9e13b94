/* Cool-downs and breakers. One row per key and per origin of the snapshot, a fixed set-associative table of (key, model)
 * pairs, round-robin counters; nothing is allocated after create and nothing reads a clock.
 * Invariants: a deadline never moves backwards except by a success, which clears it; while `now` is past `well_from_ms`
 * and no breaker is open, everything is well: that is the whole cost of a question in quiet times.
 * The breaker: HEALTH_ORIGIN_FAILS failures in a row open it; after HEALTH_ORIGIN_OPEN_MS one attempt may probe it, and
 * until that attempt ends everybody else still sees it open. */
#include "gate/health.h"

#include "base/map.h"
#include "base/must.h"
#include "base/text.h"
#include "gate/policy.h"

enum {
    PAIR_WAYS = 8,
    PAIR_SETS = HEALTH_PAIRS / PAIR_WAYS,
    JITTER_PERCENT = 20,
    /* A probe that nobody ended (its exchange died in a way that told us nothing) is given up after this. */
    PROBE_LOST_MS = 150000,
    /* How long after its end a guess is remembered: a rate limit later than that is a new story and starts at 1 s. */
    GUESS_MEMORY_MS = 2 * HEALTH_GUESS_MAX_MS,
    MODEL_KEPT = 127, /* of a model's id; pairs of longer ones are not shown */
};

struct cool {
    int64_t stated_ms, guessed_ms; /* ends; 0: none */
    uint8_t doublings;
    uint8_t why;                   /* enum outcome */
};

struct pair {
    uint64_t hash; /* of key and folded model, seeded; 64 bits make a mix-up a non-event */
    struct cool cool;
    bool used;
};

/* What a pair's model is called, for whoever looks. Beside the tables, as it is touched only when something rests; worlds that live at the same time share
 * it, and the hash tells when a name has become another pair's. */
static struct {
    uint8_t n;
    char text[MODEL_KEPT];
} pair_model[HEALTH_PAIRS];

struct origin {
    int64_t open_until_ms, probe_since_ms;
    uint32_t fails;
    bool open, probing;
};

struct health {
    bool enabled;
    uint64_t seed, random;
    int64_t well_from_ms;       /* no key cools at or after this */
    int64_t pairs_well_from_ms; /* no pair cools at or after this */
    uint32_t open_origins;
    uint32_t nkeys, norigins, nsteps;
    /* What a key or origin is, apart from its place in one snapshot: for health_adopt. A key whose value was rotated is
     * another one. */
    uint64_t *key_identity, *origin_identity;
    struct cool *key;
    struct origin *origin;
    struct pair *pair;
    uint32_t *turn;
};

static void identify(struct health *h, const struct conf *c)
{
    for (uint32_t i = 0; i < c->ncredentials; i++)
        h->key_identity[i] = hash_bytes(c->credential[i].value, hash_bytes(c->credential[i].id, 0));
    for (uint32_t i = 0; i < c->nproviders; i++)
        h->origin_identity[c->provider[i].origin] =
            hash_bytes(c->provider[i].base.host, c->provider[i].base.port * 2u + c->provider[i].base.https);
}

struct health *health_create(struct arena *a, const struct conf *c, uint64_t seed, bool enabled)
{
    struct health *h = arena_zero(a, 1, sizeof(*h));

    if (!h)
        return NULL;
    *h = (struct health){
        .enabled = enabled,
        .seed = seed,
        .random = seed ^ 0x9e3779b97f4a7c15u,
        .nkeys = c->ncredentials,
        .norigins = c->norigins,
        .nsteps = c->nsteps,
        .key_identity = arena_zero(a, c->ncredentials, sizeof(*h->key_identity)),
        .origin_identity = arena_zero(a, c->norigins, sizeof(*h->origin_identity)),
        .key = arena_zero(a, c->ncredentials, sizeof(*h->key)),
        .origin = arena_zero(a, c->norigins, sizeof(*h->origin)),
        .pair = arena_zero(a, HEALTH_PAIRS, sizeof(*h->pair)),
        .turn = arena_zero(a, c->nsteps, sizeof(*h->turn)),
    };
    if (arena_overflowed(a))
        return NULL;
    identify(h, c);
    return h;
}

/* Where an identity went; nearly always to the same place, so that is looked at first. -1: gone. */
static ptrdiff_t same_one(const uint64_t *identity, uint32_t n, uint64_t wanted, uint32_t guess)
{
    if (guess < n && identity[guess] == wanted)
        return guess;
    for (uint32_t i = 0; i < n; i++)
        if (identity[i] == wanted)
            return i;
    return -1;
}

void health_adopt(struct health *h, const struct health *old)
{
    h->seed = old->seed; /* pairs are known by their hashes alone */
    h->random = old->random; /* request ids come from here: going on, not starting over, keeps them apart */
    memcpy(h->turn, old->turn, (h->nsteps < old->nsteps ? h->nsteps : old->nsteps) * sizeof *h->turn); /* any start is a fair one */
    if (!h->enabled || !old->enabled)
        return;
    memcpy(h->pair, old->pair, HEALTH_PAIRS * sizeof(*h->pair));
    h->pairs_well_from_ms = old->pairs_well_from_ms;
    h->well_from_ms = old->well_from_ms;
    for (uint32_t i = 0; i < old->nkeys; i++) {
        ptrdiff_t at = -1;

        if (old->key[i].stated_ms || old->key[i].guessed_ms)
            at = same_one(h->key_identity, h->nkeys, old->key_identity[i], i);
        if (at >= 0)
            h->key[at] = old->key[i];
    }
    for (uint32_t i = 0; i < old->norigins; i++) {
        ptrdiff_t at = -1;

        if (old->origin[i].fails)
            at = same_one(h->origin_identity, h->norigins, old->origin_identity[i], i);
        if (at < 0)
            continue;
        h->origin[at] = old->origin[i];
        h->origin[at].probing = false; /* the old snapshot's requests report there */
        h->open_origins += h->origin[at].open;
    }
}

/* splitmix64: good enough to spread load and jitter, and nothing secret hangs on it. */
uint64_t health_random(struct health *h)
{
    uint64_t z = h->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t health_round_robin(struct health *h, uint32_t step_index)
{
    must(step_index < h->nsteps);
    return h->turn[step_index]++;
}

/* ---- Pairs. ---- */

static uint64_t pair_hash(const struct health *h, const struct credential *key, struct slice model)
{
    char folded[MODEL_ID_MAX];
    size_t n = model.n < sizeof(folded) ? model.n : sizeof(folded);

    for (size_t i = 0; i < n; i++)
        folded[i] = ascii_lower(model.p[i]);
    return hash_bytes(slice_make(folded, n), h->seed ^ h->key_identity[key->index]);
}

static struct pair *pair_find(const struct health *h, uint64_t hash)
{
    struct pair *set = h->pair + hash % PAIR_SETS * PAIR_WAYS;

    for (size_t i = 0; i < PAIR_WAYS; i++)
        if (set[i].used && set[i].hash == hash)
            return &set[i];
    return NULL;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t cool_end(const struct cool *c)
{
    return later(c->stated_ms, c->guessed_ms);
}

/* The pair's place, made if need be: a free one, else the one of its set that ends first. */
static struct pair *pair_make(struct health *h, uint64_t hash)
{
    struct pair *set = h->pair + hash % PAIR_SETS * PAIR_WAYS, *p = pair_find(h, hash);

    if (p)
        return p;
    p = set;
    for (size_t i = 0; i < PAIR_WAYS && p->used; i++)
        if (!set[i].used || cool_end(&set[i].cool) < cool_end(&p->cool))
            p = &set[i];
    *p = (struct pair){.hash = hash, .used = true};
    return p;
}

/* ---- Questions. ---- */

/* Worst of what is known so far and one cool-down. What is left of a guess beyond a stated end may be tried then, so
 * the stated ends alone say when a stated cool-down is over. */
static void worsen(enum health_state *state, int64_t *until_ms, const struct cool *c, int64_t now_ms)
{
    if (c->stated_ms > now_ms) {
        *until_ms = *state == HEALTH_STATED ? later(*until_ms, c->stated_ms) : c->stated_ms;
        *state = HEALTH_STATED;
    } else if (c->guessed_ms > now_ms && *state != HEALTH_STATED) {
        *until_ms = later(*until_ms, c->guessed_ms);
        if (*state == HEALTH_WELL)
            *state = HEALTH_GUESSED;
    }
}

static bool origin_shut(const struct origin *o, int64_t now_ms)
{
    if (!o->open)
        return false;
    if (o->probing && now_ms - o->probe_since_ms < PROBE_LOST_MS)
        return true;
    return now_ms < o->open_until_ms;
}

enum health_state health_ask(struct health *h, const struct credential *key, struct slice model, int64_t now_ms,
                             int64_t *until_ms)
{
    enum health_state state = HEALTH_WELL;

    *until_ms = 0;
    if (now_ms >= h->well_from_ms && h->open_origins == 0 && now_ms >= h->pairs_well_from_ms)
        return HEALTH_WELL;
    if (h->open_origins) {
        const struct origin *o = &h->origin[key->provider->origin];

        if (origin_shut(o, now_ms)) {
            state = HEALTH_PROBING;
            *until_ms = later(o->open_until_ms, now_ms + 1);
        }
    }
    if (now_ms < h->well_from_ms)
        worsen(&state, until_ms, &h->key[key->index], now_ms);
    if (now_ms < h->pairs_well_from_ms) {
        const struct pair *p = pair_find(h, pair_hash(h, key, model));

        if (p)
            worsen(&state, until_ms, &p->cool, now_ms);
    }
    return state;
}

bool health_key_stated(const struct health *h, const struct credential *key, int64_t now_ms)
{
    return h->key[key->index].stated_ms > now_ms;
}

/* ---- News. ---- */

static int64_t stated_end(int64_t retry_after_ms, int64_t now_ms)
{
    if (retry_after_ms < 0)
        return 0;
    return now_ms + (retry_after_ms < HEALTH_STATED_MAX_MS ? retry_after_ms : HEALTH_STATED_MAX_MS);
}

static int64_t jittered(struct health *h, int64_t ms)
{
    int64_t spread = ms * JITTER_PERCENT / 100;

    return ms - spread + (int64_t)(health_random(h) % (uint64_t)(2 * spread + 1));
}

/* Rate limit without a stated time. Failures that arrive while the guess still runs are of the same burst: they neither
 * double it nor push it out. */
static void guess_pair(struct health *h, struct cool *c, int64_t now_ms)
{
    int64_t ms;

    if (c->guessed_ms > now_ms)
        return;
    if (now_ms - cool_end(c) > GUESS_MEMORY_MS)
        c->doublings = 0;
    ms = (int64_t)HEALTH_GUESS_FIRST_MS << c->doublings;
    if (ms >= HEALTH_GUESS_MAX_MS)
        ms = HEALTH_GUESS_MAX_MS;
    else
        c->doublings++;
    c->guessed_ms = later(c->guessed_ms, now_ms + jittered(h, ms));
}

static void cool_pair(struct health *h, const struct credential *key, struct slice model, enum outcome why, int64_t retry_after_ms,
                      int64_t now_ms)
{
    struct pair *p = pair_make(h, pair_hash(h, key, model));
    struct cool *c = &p->cool;

    pair_model[p - h->pair].n = (uint8_t)(model.n < MODEL_KEPT ? model.n : MODEL_KEPT);
    if (model.n)
        memcpy(pair_model[p - h->pair].text, model.p, pair_model[p - h->pair].n);
    c->why = (uint8_t)why;

    if (retry_after_ms >= 0)
        c->stated_ms = later(c->stated_ms, stated_end(retry_after_ms, now_ms));
    else
        guess_pair(h, c, now_ms);
    h->pairs_well_from_ms = later(h->pairs_well_from_ms, cool_end(c));
}

static void cool_key(struct health *h, const struct credential *key, enum outcome why, int64_t retry_after_ms, int64_t now_ms)
{
    struct cool *c = &h->key[key->index];

    c->why = (uint8_t)why;
    c->stated_ms = later(c->stated_ms, stated_end(retry_after_ms, now_ms));
    c->guessed_ms = later(c->guessed_ms, now_ms + HEALTH_DEAD_KEY_MS);
    h->well_from_ms = later(h->well_from_ms, cool_end(c));
}

static void origin_alive(struct health *h, struct origin *o)
{
    if (o->open)
        h->open_origins--;
    *o = (struct origin){0};
}

static void origin_failed(struct health *h, struct origin *o, int64_t now_ms)
{
    if (o->fails < HEALTH_ORIGIN_FAILS)
        o->fails++;
    o->probing = false;
    if (o->fails < HEALTH_ORIGIN_FAILS)
        return;
    if (!o->open)
        h->open_origins++;
    o->open = true;
    o->open_until_ms = later(o->open_until_ms, now_ms + HEALTH_ORIGIN_OPEN_MS);
}

void health_tell(struct health *h, const struct credential *key, struct slice model, enum outcome o, bool had_head,
                 int64_t retry_after_ms, int64_t now_ms)
{
    const struct policy *policy = &policy_table[o];
    struct origin *origin = &h->origin[key->provider->origin];

    if (!h->enabled)
        return;
    if (policy->origin == ORIGIN_FAILED)
        origin_failed(h, origin, now_ms);
    else if (policy->origin == ORIGIN_ALIVE || had_head)
        origin_alive(h, origin);
    switch (policy->cools) {
    case COOLS_NOTHING:
        break;
    case COOLS_PAIR:
        cool_pair(h, key, model, o, retry_after_ms, now_ms);
        break;
    case COOLS_KEY:
        cool_key(h, key, o, retry_after_ms, now_ms);
        break;
    }
    if (!policy->clears)
        return;
    h->key[key->index] = (struct cool){0};
    if (now_ms < h->pairs_well_from_ms + GUESS_MEMORY_MS) { /* else no pair remembers anything that matters */
        struct pair *p = pair_find(h, pair_hash(h, key, model));

        if (p)
            *p = (struct pair){0};
    }
}

void health_start(struct health *h, const struct credential *key, int64_t now_ms)
{
    struct origin *o = &h->origin[key->provider->origin];

    if (!o->open || origin_shut(o, now_ms))
        return;
    o->probing = true;
    o->probe_since_ms = now_ms;
}

void health_cancel(struct health *h, const struct credential *key)
{
    h->origin[key->provider->origin].probing = false;
}

/* ---- Looking at it. ---- */

static bool cools_now(const struct cool *c, int64_t now_ms)
{
    return cool_end(c) > now_ms;
}

static struct slice model_of(const struct health *h, const struct pair *p)
{
    return slice_make(pair_model[p - h->pair].text, pair_model[p - h->pair].n);
}

/* The key whose pair it is. Few pairs cool at a time. */
static const struct credential *pair_key(const struct health *h, const struct conf *c, const struct pair *p)
{
    for (uint32_t i = 0; i < c->ncredentials; i++)
        if (pair_hash(h, &c->credential[i], model_of(h, p)) == p->hash)
            return &c->credential[i];
    return NULL;
}

static void describe(struct health_item *out, const struct cool *c, int64_t now_ms)
{
    out->state = c->stated_ms > now_ms ? HEALTH_STATED : HEALTH_GUESSED;
    out->until_ms = cool_end(c);
    out->why = (enum outcome)c->why;
    text_format(out->id, sizeof out->id, out->model.n ? "pair:%s:%.*s" : "key:%s", out->key->id.p, (int)out->model.n, out->model.p);
}

bool health_item(const struct health *h, const struct conf *c, uint32_t i, int64_t now_ms, struct health_item *out)
{
    *out = (struct health_item){.key = NULL};
    for (uint32_t k = 0; k < h->nkeys; k++)
        if (cools_now(&h->key[k], now_ms) && i-- == 0) {
            out->key = &c->credential[k];
            out->provider = out->key->provider;
            describe(out, &h->key[k], now_ms);
            return true;
        }
    for (uint32_t k = 0; k < HEALTH_PAIRS; k++) {
        const struct pair *p = &h->pair[k];

        if (!p->used || !cools_now(&p->cool, now_ms) || !(out->key = pair_key(h, c, p)) || i-- != 0)
            continue;
        out->provider = out->key->provider;
        out->model = model_of(h, p);
        describe(out, &p->cool, now_ms);
        return true;
    }
    out->key = NULL;
    for (uint32_t k = 0; k < c->nproviders; k++) {
        const struct provider *p = &c->provider[k];
        const struct origin *o = &h->origin[p->origin];
        bool first = true;

        for (uint32_t j = 0; j < k; j++) /* providers may share one */
            first &= c->provider[j].origin != p->origin;
        if (!o->open || !first || i-- != 0)
            continue;
        out->provider = p;
        out->state = HEALTH_PROBING;
        out->why = OUTCOME_OK;
        out->until_ms = later(o->open_until_ms, now_ms);
        text_format(out->id, sizeof out->id, "origin:%s", p->authority.p);
        return true;
    }
    return false;
}

bool health_clear(struct health *h, const struct conf *c, struct slice id, int64_t now_ms)
{
    struct health_item item;

    for (uint32_t i = 0; health_item(h, c, i, now_ms, &item); i++) {
        struct pair *p;

        if (!slice_eq(slice_str(item.id), id))
            continue;
        if (!item.key) {
            origin_alive(h, &h->origin[item.provider->origin]);
        } else if (!item.model.n) {
            h->key[item.key->index] = (struct cool){0};
        } else {
            p = pair_find(h, pair_hash(h, item.key, item.model));
            if (p)
                *p = (struct pair){0};
        }
        return true;
    }
    return false;
}
