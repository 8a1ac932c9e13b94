/* The attempt queue: built once per request, walked until one commits. Plain data; the walk is a pure function
 * of queue, health and time (spec 4, 5). */
#ifndef GATE_ATTEMPTS_H
#define GATE_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/result.h"
#include "conf/conf.h"
#include "gate/health.h"
#include "llm/outcome.h"

struct attempt {
    const struct credential *key;    /* names the provider too */
    const struct conf_model *known;  /* NULL: unknown to catalog and config */
    struct slice model;              /* as upstream gets it; lives in the snapshot or the request's arena */
    uint8_t candidate;               /* which candidate model it stands for: `rejected` drops all of one */
    bool demoted;                    /* its origin failed in this request: behind all others */
    bool done;                       /* tried, dropped or skipped */
};

/* How one try ended; kept to the end of the request for the trace, small on purpose. */
struct attempt_record {
    const struct credential *key;
    struct slice model;
    uint8_t outcome;       /* enum outcome */
    uint8_t fault;         /* enum fault_kind, when no HTTP answer */
    uint16_t status;       /* HTTP status, or what an error inside a 200 amounts to; 0 without an answer. SKIPPED: 429 when
                              a rate limit with a stated end is the reason, else 0 */
    uint32_t ms;           /* from start to end of the attempt */
    int32_t retry_after_s; /* stated, or remaining cool-down of a skipped or guessed one; -1: none */
    const char *what;      /* static text of the fault; NULL */
};

struct attempts {
    struct attempt *queue;          /* ATTEMPTS_MAX at most, in the request's arena; gone with the request */
    uint32_t count;
    struct attempt_record *record;  /* in order of tries; room for count */
    uint32_t nrecords;
    bool single;                    /* x-weir-failover: off */
    bool final;                     /* content policy, or anything else that ends the walk */
};

/* Next attempt to start, marked as taken; NULL when none is left. Order: well, then demoted, then cooling by guess (the one
 * that ends first); cooling by a stated time never: when only these are left each gets a SKIPPED record. Calls health_start. */
struct attempt *attempts_next(struct attempts *q, struct health *h, int64_t now_ms);
/* The attempt that was committed broke and another may go on: the walk is open again. */
void attempts_reopen(struct attempts *q);
/* Whether attempts_next would find one (for firstTokenTimeout's "while another attempt is left"). */
bool attempts_left(const struct attempts *q, struct health *h, int64_t now_ms);

/* Books how it ended: appends the record, tells health, and applies the table of spec 5 (demote the origin, drop the
 * candidate, end the walk). fault.kind is FAULT_NONE when there was an HTTP answer. Returns the record. */
struct attempt_record *attempts_end(struct attempts *q, struct health *h, struct attempt *a, enum outcome o,
                                    unsigned status, struct fault fault, int64_t retry_after_ms, int64_t started_ms,
                                    int64_t now_ms);

/* What the client is owed when nothing is left (spec 5 "When nothing is left", 8). */
enum attempts_verdict {
    VERDICT_PASS,          /* the last upstream answer as it came */
    VERDICT_RATE_LIMITED,  /* 429 with retry_after_s */
    VERDICT_ALL_FAILED,    /* 503 all_attempts_failed */
    VERDICT_UNREACHABLE,   /* 502: one attempt, no HTTP answer (504-like timeouts included) */
};
struct attempts_end_state {
    enum attempts_verdict verdict;
    int32_t retry_after_s; /* -1: none; else what Retry-After says */
    bool should_retry;     /* x-should-retry: whether a repetition can help */
};
struct attempts_end_state attempts_verdict(const struct attempts *q);
const char *attempts_verdict_name(enum attempts_verdict v);

#endif
