/* From what a request names to the attempt queue (spec 3, 4): scope, aliases, rules, steps, keys. Pure. */
#ifndef GATE_ROUTE_H
#define GATE_ROUTE_H

#include "base/arena.h"
#include "conf/conf.h"
#include "gate/attempts.h"
#include "gate/health.h"

struct route_ask {
    const struct conf *conf;
    const struct access_key *key;
    enum surface surface;
    struct slice model[MODELS_MAX + 1]; /* `model` if given, then `models`, unescaped; live in the request's arena */
    uint32_t nmodels;
    bool failover_off;
};

enum route_result {
    ROUTE_OK,
    ROUTE_NO_MATCH,    /* 422 no_matching_model */
    ROUTE_NOT_ALLOWED, /* 422 model_not_allowed */
    ROUTE_NO_KEY,      /* 400 no_provider_key */
    ROUTE_NO_SURFACE,  /* no candidate's provider has this surface: 422 no_matching_model, with this reason */
    ROUTE_NO_MEMORY,
};

/* Fills q (memory from a). On failure *which is the model the message should name (from ask or the snapshot).
 * A candidate whose provider lacks the surface is left out as long as there is no translation for it.
 * Candidates left out for scope or surface get a SKIPPED record each, before all others. */
enum route_result route_build(const struct route_ask *ask, struct health *h, struct arena *a, struct attempts *q,
                              struct slice *which);

/* Whether GET /v1/models lists it for this key: scope of spec 3. */
bool route_allows(const struct access_config *config, const struct provider *p, struct slice model);

#endif
