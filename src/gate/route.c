/* From names to attempts, once per request: names -> candidates (provider, model), candidates -> attempts by rule, step and
 * key. Bounded by ATTEMPTS_MAX whatever the configuration holds; look-ups are hashes and binary searches. The queue is
 * built on the stack and copied to the arena at its final size. */
#include "gate/route.h"

#include "base/must.h"

enum {
    /* Distinct candidates looked at. More than attempts, because some are left out; each that counts makes one at least. */
    CANDIDATES_MAX = 2 * ATTEMPTS_MAX,
    DRAWS_PER_KEY = 4, /* for a random order of more keys than the queue holds */
};

struct candidate {
    const struct provider *provider;
    const struct conf_model *known;
    struct slice model;
};

/* Where a round-robin step starts in this request: the same for all its candidates, else two models and two keys would
 * keep in step and the first model would always begin with the first key. */
struct turn {
    uint32_t step, start;
};

struct build {
    const struct route_ask *ask;
    const struct access_config *config;
    struct health *health;
    struct candidate candidate[CANDIDATES_MAX]; /* all that was named, without duplicates */
    uint32_t ncandidates;
    struct attempt attempt[ATTEMPTS_MAX];
    uint32_t nattempts;
    uint32_t first_of_candidate; /* where the attempts of the present candidate begin */
    struct attempt_record skipped[CANDIDATES_MAX];
    uint32_t nskipped;
    struct turn turn[ATTEMPTS_MAX];
    uint32_t nturns;
};

bool route_allows(const struct access_config *config, const struct provider *p, struct slice model)
{
    return conf_allows(config, p, model);
}

/* ---- Names to candidates. ---- */

static void candidate_add(struct build *b, const struct provider *p, struct slice model, const struct conf_model *known)
{
    if (b->ncandidates == CANDIDATES_MAX)
        return;
    for (uint32_t i = 0; i < b->ncandidates; i++)
        if (b->candidate[i].provider == p && slice_eq_nocase(b->candidate[i].model, model))
            return;
    b->candidate[b->ncandidates++] = (struct candidate){p, known, model};
}

/* Adds what a name stands for; nothing when it means nothing here. A known provider's prefix comes first, as it can't be meant otherwise; then the
 * operator's alias, which may stand in front of a model of the same name; then catalog and declared models. */
static void name_resolve(struct build *b, struct slice name)
{
    ptrdiff_t colon = slice_find_char(name, ':');
    const struct alias *alias;
    const struct target *t;

    if (colon > 0) {
        const struct provider *p = conf_provider(b->ask->conf, slice_first(name, (size_t)colon));
        struct slice model = slice_from(name, (size_t)colon + 1);

        if (p) {
            if (model.n)
                candidate_add(b, p, model, conf_provider_model(p, model));
            return;
        }
    }
    alias = conf_alias(b->config, name);
    if (alias) {
        for (uint32_t i = 0; i < alias->ntargets; i++)
            candidate_add(b, alias->target[i].provider, alias->target[i].model, alias->target[i].known);
        return;
    }
    t = conf_model(b->ask->conf, name);
    if (t)
        candidate_add(b, t->provider, t->model, t->known);
}

/* ---- Candidates to attempts. ---- */

static void attempt_add(struct build *b, const struct candidate *c, const struct credential *key)
{
    if (b->nattempts == ATTEMPTS_MAX)
        return;
    for (uint32_t i = b->first_of_candidate; i < b->nattempts; i++)
        if (b->attempt[i].key == key)
            return;
    b->attempt[b->nattempts++] = (struct attempt){
        .key = key, .known = c->known, .model = c->model, .candidate = (uint8_t)(c - b->candidate)};
}

static void keys_add(struct build *b, const struct candidate *c, const struct credential *const *key, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < ATTEMPTS_MAX; i++)
        attempt_add(b, c, key[i]);
}

static void keys_add_random(struct build *b, const struct candidate *c, const struct credential *const *key, uint32_t n)
{
    const struct credential *shuffled[ATTEMPTS_MAX];

    if (n > ATTEMPTS_MAX) { /* draw with repetition; duplicates fall out, and the queue is full long before */
        for (uint32_t i = 0; i < DRAWS_PER_KEY * ATTEMPTS_MAX; i++)
            attempt_add(b, c, key[health_random(b->health) % n]);
        return;
    }
    for (uint32_t i = 0; i < n; i++) { /* Fisher-Yates, inside out */
        uint32_t j = (uint32_t)(health_random(b->health) % (i + 1));

        shuffled[i] = j < i ? shuffled[j] : key[i];
        shuffled[j] = key[i];
    }
    for (uint32_t i = 0; i < n; i++)
        attempt_add(b, c, shuffled[i]);
}

static uint32_t turn_of(struct build *b, const struct step *s)
{
    struct turn t = {.step = s->index};

    for (uint32_t i = 0; i < b->nturns; i++)
        if (b->turn[i].step == s->index)
            return b->turn[i].start;
    t.start = health_round_robin(b->health, s->index) % s->nkeys;
    if (b->nturns < ATTEMPTS_MAX)
        b->turn[b->nturns++] = t;
    return t.start;
}

static void step_add(struct build *b, const struct candidate *c, const struct step *s)
{
    uint32_t start;

    if (s->managed) {
        keys_add(b, c, c->provider->managed, c->provider->nmanaged);
        return;
    }
    if (s->nkeys == 0)
        return;
    switch (s->strategy) {
    case STRATEGY_ORDERED:
        keys_add(b, c, s->key, s->nkeys);
        break;
    case STRATEGY_ROUND_ROBIN:
        start = turn_of(b, s);
        keys_add(b, c, s->key + start, s->nkeys - start);
        keys_add(b, c, s->key, start);
        break;
    case STRATEGY_RANDOM:
        keys_add_random(b, c, s->key, s->nkeys);
        break;
    }
}

/* Spec 4: the model's rule, else the provider's, else stored keys, then managed ones; a custom provider that has neither
 * is called without a credential. */
static void candidate_attempts(struct build *b, const struct candidate *c)
{
    const struct provider *p = c->provider;
    const struct rule *rule = conf_rule(b->config, p, c->model);

    b->first_of_candidate = b->nattempts;
    if (!rule)
        rule = conf_rule(b->config, p, slice_make(NULL, 0));
    if (rule) {
        for (uint32_t i = 0; i < rule->nsteps; i++)
            step_add(b, c, &rule->step[i]);
    } else {
        keys_add(b, c, p->key, p->nkeys);
        keys_add(b, c, p->managed, p->nmanaged);
    }
    if (p->none && p->nkeys == 0 && p->nmanaged == 0)
        attempt_add(b, c, p->none);
}

static void skip(struct build *b, const struct candidate *c, const char *what)
{
    b->skipped[b->nskipped++] = (struct attempt_record){
        .key = c->provider->blank, .model = c->model, .outcome = OUTCOME_SKIPPED, .retry_after_s = -1, .what = what};
}

/* ---- The whole. ---- */

static enum route_result names_resolve(struct build *b, struct slice *which)
{
    const struct route_ask *ask = b->ask;

    must(ask->nmodels <= MODELS_MAX + 1);
    if (ask->nmodels)
        *which = ask->model[0];
    for (uint32_t i = 0; i < ask->nmodels; i++)
        name_resolve(b, ask->model[i]); /* an unknown one among known ones is left out */
    return b->ncandidates ? ROUTE_OK : ROUTE_NO_MATCH;
}

/* Walks the candidates; the result is about the one that came farthest. */
static enum route_result candidates_walk(struct build *b, struct slice *which)
{
    unsigned surface = surface_bit(surface_declared(b->ask->surface));
    enum route_result result = ROUTE_NOT_ALLOWED;

    *which = b->candidate[0].model;
    for (uint32_t i = 0; i < b->ncandidates && b->nattempts < ATTEMPTS_MAX; i++) {
        const struct candidate *c = &b->candidate[i];
        uint32_t before = b->nattempts;

        if (!conf_allows(b->config, c->provider, c->model)) {
            skip(b, c, "not in the access scope of this key");
        } else if (!(c->provider->surfaces & surface)) {
            skip(b, c, "the provider does not offer this API");
            if (result == ROUTE_NOT_ALLOWED) {
                result = ROUTE_NO_SURFACE;
                *which = c->model;
            }
        } else {
            candidate_attempts(b, c);
            if (b->nattempts == before && result != ROUTE_OK && result != ROUTE_NO_KEY) {
                result = ROUTE_NO_KEY;
                *which = c->model;
            } else if (b->nattempts > before) {
                result = ROUTE_OK;
            }
        }
    }
    return result;
}

enum route_result route_build(const struct route_ask *ask, struct health *h, struct arena *a, struct attempts *q,
                              struct slice *which)
{
    struct build b; /* several KB: only its counters are initialised */
    enum route_result result;

    b.ask = ask;
    b.config = ask->key ? ask->key->config : NULL;
    b.health = h;
    b.ncandidates = b.nattempts = b.first_of_candidate = b.nskipped = b.nturns = 0;
    *q = (struct attempts){.single = ask->failover_off};
    *which = slice_make(NULL, 0);

    result = names_resolve(&b, which);
    if (result == ROUTE_OK)
        result = candidates_walk(&b, which);
    if (result != ROUTE_OK)
        return result;
    q->queue = arena_take(a, b.nattempts * sizeof(*q->queue));
    q->record = arena_take(a, (b.nattempts + b.nskipped) * sizeof(*q->record));
    if (!q->queue || !q->record)
        return ROUTE_NO_MEMORY;
    memcpy(q->queue, b.attempt, b.nattempts * sizeof(*q->queue));
    if (b.nskipped)
        memcpy(q->record, b.skipped, b.nskipped * sizeof(*q->record));
    q->count = b.nattempts;
    q->nrecords = b.nskipped;
    return ROUTE_OK;
}
