/* What was used: one event per attempt in a ring, sums per UTC day, and counters for metrics. One instance, sized at start. The events and
 * the sums outlast the process where the store does; counters begin anew, as Prometheus expects of them.
 *
 * The data path calls usage_new(), fills the struct and is done: no formatting, no look-up, no allocation. A little later a timer
 * folds the new events into the sums and hands them to the store. Readers fold first, so they see everything. */
#ifndef STATE_USAGE_H
#define STATE_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "base/slice.h"
#include "state/store.h"

enum {
    USAGE_EVENTS = 1 << 15,        /* kept for GET /usage, 10 MiB once all were used: about a day at one request in 3 s */
    USAGE_SUMS = 1 << 14,          /* (day, name of a provider, model or access key): 180 days of 90 names, 2.5 MiB; the oldest day goes first */
    USAGE_SERIES = 512,            /* (provider, model) pairs in metrics; what comes later is counted under "other" */
    USAGE_TEXT = 224,              /* four ids of an event together; longer ones are cut, the model's first */
    USAGE_TOKENS_MAX = 1000000000, /* of one attempt: no model takes or makes so many, whatever a provider says (F-092) */
    USAGE_FOLD_MS = 250,           /* that much is lost at most when the process is killed */
    USAGE_SUMS_MS = 5000,          /* sums are stored so often: what lies between is made again from the events at the next start */
    USAGE_BUCKETS = 14,            /* of a histogram, beside +Inf */
};

enum usage_flag {
    USAGE_FINAL = 1,     /* the one event that stands for its request */
    USAGE_ERROR = 2,
    USAGE_TIMED_OUT = 4,
    USAGE_STREAMING = 8,
    USAGE_ESTIMATED = 16, /* the provider stated no counts */
    USAGE_UNPRICED = 32,  /* cost is 0 because no price is known */
    USAGE_MANAGED = 64,   /* the provider key is the operator's managed one */
    USAGE_KEYLESS = 128,  /* called without a provider key, or not called at all */
};

enum usage_id { USAGE_ACCESS_KEY, USAGE_PROVIDER, USAGE_PROVIDER_KEY, USAGE_MODEL, USAGE_IDS };

struct usage_event {
    uint64_t seq;             /* its name and its place; grows for ever, also over restarts */
    int64_t wall_ms;          /* when the request ended */
    uint64_t cost;            /* pico-dollars */
    uint32_t input, output, cache_read, cache_write, reasoning; /* input holds both cache parts, output holds reasoning */
    uint32_t first_byte_ms, duration_ms; /* of the request, on its final event; UINT32_MAX: no first byte */
    uint16_t status;          /* HTTP status of the attempt; of the final one: what the client got when the attempt has none */
    uint8_t attempt;          /* from 1; 0: refused before any attempt */
    uint8_t flags;
    uint8_t outcome;          /* enum outcome */
    uint8_t id_len[USAGE_IDS];
    char request_id[28];
    char stop_reason[24];     /* NUL-terminated */
    char text[USAGE_TEXT];    /* the ids, one behind the other */
};

/* Takes the tables; once, at start, before the store is opened. False: no address space. */
MUST_USE bool usage_init(void);
/* When the store has handed out all it has. Returns how many events are kept. */
uint32_t usage_loaded(void);

/* The next event, its seq and time set and all else zero. To be filled before the next call of anything here. */
struct usage_event *usage_new(void);
void usage_set_ids(struct usage_event *e, const struct slice id[USAGE_IDS]);
struct slice usage_get_id(const struct usage_event *e, enum usage_id which);
/* A request that leaves no event, because nobody knows whose it is: 401, /healthz, lists of models. Counted by status. */
void usage_count_local(unsigned status);

/* Prices in pico-dollars per token. Saturates. */
struct usage_price {
    uint64_t input, output, cache_read, cache_write;
};
uint64_t usage_cost(const struct usage_event *e, const struct usage_price *p);
/* Pico-dollars as an exact decimal number of dollars, without needless zeros; out needs 24 bytes. */
struct slice usage_dollars(uint64_t pico, char out[24]);

/* Folds what is new; usage_flush also hands all of it to the store, sums too (before store_close). */
void usage_fold(void);
void usage_flush(void);

/* For store_options.load: takes what this module stored (STORE_USAGE, and STORE_COUNTERS of its own); true when it was that. */
bool usage_load(const struct store_change *c);

/* ---- Between processes: one that has handed its state over and still finishes requests, and the one that has it now. ---- */

/* From now on new events go to `send` instead of the store, in batches as they are stored, each of which has to arrive whole. False from it: the batch is
 * lost, and counted. Flush first, so that the store has all that came before. */
typedef bool usage_send_fn(struct slice batch);
void usage_divert(usage_send_fn *send);
/* Books the events of such a batch here, under numbers of this process, and their cost to their keys. What is malformed in it is left out. */
void usage_adopt(struct slice batch);

/* ---- Readers ---- */

uint64_t usage_next_seq(void);                        /* of the event to come */
const struct usage_event *usage_at(uint64_t seq);     /* NULL: none of that number, or not kept any more */

/* The names of a day that found no room of their own, and models that never gave an answer (their names are the clients' free text), are
 * summed up under "other"; what was refused before any attempt has an empty name. */
struct usage_sum {
    int32_t day;       /* days since 1970-01-01 UTC */
    uint8_t by;        /* USAGE_PROVIDER, USAGE_ACCESS_KEY, or USAGE_MODEL with names "provider:model" */
    uint8_t name_len;
    bool dirty;
    uint64_t cost, requests, errors, input, output, seq; /* seq: of the last event in it */
    char name[96];     /* longer ids are cut */
};
/* The i-th sum in no order; NULL behind the last one. */
const struct usage_sum *usage_sum(uint32_t i);

/* Request outcomes by class, for metrics. */
enum usage_class { USAGE_OK, USAGE_CLIENT_ERROR, USAGE_SERVER_ERROR, USAGE_CLASSES };
struct usage_series {
    uint8_t provider_len, model_len;
    char name[126];                                     /* provider, model */
    uint64_t requests[USAGE_CLASSES];                   /* final events */
    uint64_t attempts[16];                              /* by enum outcome, of which there are 15 */
    uint64_t failovers;                                 /* attempts that were not the final one */
    uint64_t input, output, cache_read, reasoning, cost, estimated, unpriced;
};
const struct usage_series *usage_series(uint32_t i);   /* NULL behind the last one; the first is "other" */

struct usage_histogram {
    uint64_t count[USAGE_BUCKETS + 1], sum_ms;
};
extern const uint32_t usage_bound_ms[USAGE_BUCKETS];   /* upper bounds of the buckets */
struct usage_totals {
    int64_t since_ms;                                   /* wall clock of the start */
    struct usage_histogram first_byte, duration;
    uint64_t events, overwritten, not_stored, sums_lost;
    uint64_t local[6];                                  /* by first digit of the status */
};
const struct usage_totals *usage_totals(void);

#endif
