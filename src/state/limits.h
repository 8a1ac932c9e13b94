/* What access keys have used of what they may: requests and tokens of the last minute, dollars of the day and of all time. One instance, sized at start,
 * found by the key's id, so that it knows nothing of configs: a reload changes the limits it is asked with and never the counts.
 *
 * Rates are buckets that refill evenly: of 60 requests a minute 60 may come at once, then one more each second. A request takes its place and its
 * estimated tokens before it is routed (limits_take) and gives the estimate back for the real count at its end (limits_settle). What
 * costs more than was left is paid off later. Money is spent at the end; what requests under way will probably cost is held back meanwhile (limits_hold), so
 * that many at once don't spend a budget many times over.
 *
 * With a durable store the counts outlast the process: they are stored every few seconds, and what came between is counted again from the usage
 * events. */
#ifndef STATE_LIMITS_H
#define STATE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/key_limits.h"
#include "base/must.h"
#include "base/slice.h"
#include "state/store.h"

struct usage_event;

enum {
    LIMITS_KEYS = 1 << 17,       /* keys counted at once, 14 MiB once all were used; then the one that has been quiet longest of a few makes room */
    LIMITS_STORE_MS = 5000,
    LIMITS_DEBT_MAX = 60,        /* minutes: what a bucket may be overdrawn by, so that one absurd count from a provider is no ban for ever */
};

/* Takes the tables; once, at start, before the store is opened. False: no address space. */
MUST_USE bool limits_init(void);

/* Where a request's share was taken. Zeros: nowhere, which settles nothing but cost. */
struct limits_ticket {
    uint32_t place, life; /* private */
    uint64_t tokens;      /* reserved */
    uint64_t cost;        /* held back */
    bool counts_tokens;
};

enum limits_verdict {
    LIMITS_OK,
    LIMITS_REQUESTS, /* too many in the last minute */
    LIMITS_TOKENS,
    LIMITS_DAY,      /* dollars of this day (UTC) are spent */
    LIMITS_TOTAL,    /* dollars of all time are spent */
};

struct limits_bucket {
    uint64_t limit, remaining; /* limit 0: there is none */
    int64_t full_ms;           /* until it is whole again, from now */
};
struct limits_state {
    int64_t wait_ms;           /* until the same request would pass; of LIMITS_TOTAL: -1 */
    struct limits_bucket requests, tokens;
};

/* Takes one request and `tokens` of key `id` if all limits have room, else nothing, with *state saying when they will. A request that is larger than all
 * of a minute's tokens passes when the bucket is full. */
enum limits_verdict limits_take(struct slice id, const struct key_limits *limits, uint64_t tokens, struct limits_ticket *ticket,
                                struct limits_state *state);
/* Of a request that took its share, when it is known what it will probably cost: holds that back until it is settled. False: together with what is held back
 * for others it would spend more than is left; the first of all may always. */
MUST_USE bool limits_hold(struct limits_ticket *ticket, const struct key_limits *limits, uint64_t cost);
/* Once for each request that leaves usage events, at its end: what it really used, and the number of its last event. Harmless when the key was forgotten
 * meanwhile. */
void limits_settle(struct slice id, const struct limits_ticket *ticket, uint64_t tokens, uint64_t cost, uint64_t seq);
/* The key was deleted: its counts go, also from the store. */
void limits_forget(struct slice id);
/* Pico-dollars that the key has spent; today's in *day. */
uint64_t limits_spent(struct slice id, uint64_t *day);
/* Keys counted now; keys that lost their counts for want of room. */
uint32_t limits_keys(uint64_t *evicted);

/* For store_options.load: true when it was this module's. */
bool limits_load(const struct store_change *c);
/* An event that the store had: counted unless the stored counts hold it already. */
void limits_replay(const struct usage_event *e);
/* Hands all that changed to the store, before store_close. */
void limits_flush(void);

#endif
