/* What is known to be unwell: keys, (key, model) pairs and origins, each with until when and why (spec 5, cool-down).
 * A table beside the config snapshot; time comes in as an argument. Pure but for its own memory, which is
 * taken once at init. What a client caused never gets here. */
#ifndef GATE_HEALTH_H
#define GATE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "conf/conf.h"
#include "llm/outcome.h"

enum {
    HEALTH_GUESS_FIRST_MS = 1000,       /* rate limit without a stated time: doubles from here */
    HEALTH_GUESS_MAX_MS = 60000,
    HEALTH_DEAD_KEY_MS = 300000,        /* auth and quota: 5 min */
    HEALTH_STATED_MAX_MS = 3600000,     /* a stated time is believed up to 1 h */
    HEALTH_ORIGIN_FAILS = 5,            /* in a row open the breaker */
    HEALTH_ORIGIN_OPEN_MS = 5000,       /* then half-open: one probe at a time */
    HEALTH_PAIRS = 1024,                /* cooling (key, model) pairs kept; the one that ends first makes room */
};

struct health;

enum health_state {
    HEALTH_WELL,
    HEALTH_GUESSED, /* cooling by our own guess: tried when nothing else is left */
    HEALTH_STATED,  /* cooling until a time the provider stated: not called before it */
    HEALTH_PROBING, /* origin breaker is open and not due, or its one probe is under way: as HEALTH_GUESSED */
};

/* Sized for one snapshot. seed drives the jitter (+-20 %). enabled false: every question answers WELL. NULL: no room. */
struct health *health_create(struct arena *a, const struct conf *c, uint64_t seed, bool enabled);
/* Takes over what an older snapshot's table knows about keys (same id and value), pairs and origins that still exist. For a
 * reload, right after health_create: a new configuration must not make a provider's stated time forgotten. */
void health_adopt(struct health *h, const struct health *old);

/* State of an attempt's target now; *until_ms is when it ends (0 when well). Looks at key, pair and origin, worst wins. */
enum health_state health_ask(struct health *h, const struct credential *key, struct slice model, int64_t now_ms,
                             int64_t *until_ms);
/* Whether it is the key itself (quota, auth) that cools until a stated time, not just a rate limit on one model. */
bool health_key_stated(const struct health *h, const struct credential *key, int64_t now_ms);
/* Books an attempt's outcome: cool-downs per spec 5, never shortening a later deadline; OK clears key, pair and origin.
 * retry_after_ms -1: not stated. Rejected, content policy, not_found, cancelled, skipped, local: no change, but any answer
 * with an HTTP head proves the origin alive. had_head says so. */
void health_tell(struct health *h, const struct credential *key, struct slice model, enum outcome o, bool had_head,
                 int64_t retry_after_ms, int64_t now_ms);
/* Called when an attempt starts: takes the half-open probe of its origin if there is one to take. */
void health_start(struct health *h, const struct credential *key, int64_t now_ms);
/* The attempt ended without proving anything (cancelled): gives the probe back. */
void health_cancel(struct health *h, const struct credential *key);

/* ---- For whoever looks at it (the admin plane) ---- */

enum { HEALTH_ID_MAX = 600 };
struct health_item {
    const struct credential *key;  /* NULL: an origin */
    const struct provider *provider;
    struct slice model;            /* empty: the key for all models, or an origin; lent until the next call of anything here */
    enum health_state state;
    enum outcome why;              /* of what made it rest; OUTCOME_OK for an origin: failures in a row */
    int64_t until_ms;
    char id[HEALTH_ID_MAX];        /* "key:ID", "pair:ID:MODEL", "origin:HOST:PORT" */
};
/* The i-th thing that rests now, in no order; false behind the last one. */
bool health_item(const struct health *h, const struct conf *c, uint32_t i, int64_t now_ms, struct health_item *out);
/* As a success would: what the id names is well from now on. False: nothing of that id rests. */
bool health_clear(struct health *h, const struct conf *c, struct slice id, int64_t now_ms);

/* Round-robin counters live here as well, as they outlive requests: the next start for that step. */
uint32_t health_round_robin(struct health *h, uint32_t step_index);
uint64_t health_random(struct health *h);

#endif
