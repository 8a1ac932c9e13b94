/* One client connection and the exchange that runs on it: the struct that the files of gate/ share. Not for other layers.
 * gate/exchange.c owns the state, gate/intake.c the request, gate/upstream.c one attempt, gate/relay.c the answer's way back,
 * gate/reply.c the gateway's own answers, gate/trace.c what is told about it. */
#ifndef GATE_XCHG_H
#define GATE_XCHG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/block.h"
#include "base/list.h"
#include "base/timer.h"
#include "gate/attempts.h"
#include "gate/request.h"
#include "gate/world.h"
#include "http/body.h"
#include "http/head.h"
#include "http/sse.h"
#include "json/edit.h"
#include "json/scan.h"
#include "llm/stream.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/dial.h"
#include "state/limits.h"

enum {
    XCHG_TURNS_MAX = 64,          /* state steps in one wake-up before others get theirs */
    XCHG_UPSTREAMS = 2,           /* one attempt, and a hedge beside it */
    PEER_SLOTS = 1 << 14,         /* counters of connections per client address, found by a seeded hash */
    TRIM_MS = 5000,
    XCHG_SURPLUS = 64,            /* connections above the limit that are still told why they are refused */
    XCHG_ARENA_BLOCK = 1024,      /* fields to forward, the queue, what is parsed: usually one block */
    XCHG_ARENA_MAX = 1 << 20,
    HEAD_DEADLINE_MS = 10000,     /* absolute, from the first byte of a request (H-59) */
    IDLE_DEADLINE_MS = 60000,     /* between requests */
    BODY_GRACE_MS = 10000,        /* then the body must keep up BODY_RATE_MIN on average (L-38) */
    BODY_RATE_MIN = 1024,         /* bytes per second */
    WRITE_STALL_MS = 60000,       /* a client that takes nothing for so long is gone */
    LINGER_MS = 10000,            /* reading on after an early answer, so that the client sees it (H-58) */
    OUT_HIGH = 65536,             /* queued for the client: stop reading upstream */
    OUT_LOW = 16384,              /* go on reading */
    PIPELINE_MAX = 65536,         /* bytes of later requests that wait in memory */
    CLIENT_READ = 8192,           /* the first read of a request; what a longer body has beyond it is read to where it stays */
    REQUEST_ID_LEN = 28,
};

/* ---- One attempt. ---- */

#define UP_STATES(X)                                                                                        \
    X(OFF)       /* no attempt in this place */                                                             \
    X(DIAL)      /* name and TCP connection */                                                              \
    X(HANDSHAKE) /* TLS; nothing of the request has been sent */                                            \
    X(SEND)      /* the request goes out; an early answer is taken */                                       \
    X(HEAD)      /* waits for the response head */                                                          \
    X(ERROR)     /* reads the body of an error answer, to judge it */                                       \
    X(HOLD)      /* reads a good answer that has not committed */                                           \
    X(READY)     /* may commit: the bytes to hand on stand in view */                                       \
    X(FLOW)      /* committed: bytes go through */                                                          \
    X(ENDING)    /* the client has it all; waits a moment for the framing's end, to park the connection */  \
    X(FAILED)    /* result says why */

enum up_state {
#define X(name) UP_##name,
    UP_STATES(X)
#undef X
};
enum { UP_STATE_COUNT = UP_FAILED + 1 };

/* How an attempt ended, for attempts_end(). */
struct up_result {
    enum outcome outcome;
    unsigned status;        /* 0: no HTTP answer */
    struct fault fault;
    int64_t retry_after_ms; /* -1: not stated */
    bool answered;          /* head and body below can be passed to the client */
};

struct xchg;
struct resume;

struct upstream {
    struct xchg *x;
    enum up_state state;
    struct conn *conn;
    struct dial *dial;
    struct attempt *attempt;
    struct timer timer;        /* the nearest deadline of the state */
    int64_t started_ms;
    int64_t first_token_due_ms;/* 0: does not apply */
    unsigned events;           /* what the socket announced and nobody has acted on */
    size_t sent;               /* request bytes that left */
    bool reused;               /* the connection had served before: one retry if it turns out stale */
    bool retried;
    bool answered_byte;        /* something came back */
    bool poolable;             /* keep-alive and cleanly framed so far */
    bool streaming;            /* event stream: commit by content */
    bool sniff;                /* whether it is an event stream shows in the body */
    bool timed_out;            /* the timer went off and nobody has acted on it */
    bool sent_all;
    uint64_t pool_key;
    unsigned status;
    unsigned interim;          /* 1xx heads so far */
    size_t head_seen;          /* http_response_parse's memory */
    struct http_body body;
    bool body_done;
    struct sse_scan scan;
    struct llm_stream llm;
    /* The answer as far as it is held: head_len bytes of raw head, then decoded body. In `held` between wake-ups, in the loop's
     * scratch while `view` points there. */
    struct block held;
    char *view;                /* NULL: look at held */
    uint8_t chunk_head;        /* not 0: all of view is one chunk's payload, with so many bytes of size line before and CRLF behind it */
    size_t view_len;
    size_t head_len;
    size_t scanned;            /* body bytes known to be whole events */
    size_t scan_at;            /* body bytes the border scanner has seen */
    size_t event_at;           /* where the event that ends at `scanned` begins */
    bool broken;               /* the connection failed after commit */
    bool evicted;              /* a parked connection was closed to make room for its descriptor */
    bool tail_flowed;          /* part of an unfinished event went to the client */
    struct up_result result;
};

/* ---- The client's side. ---- */

#define XCHG_STATES(X)                                                                                      \
    X(READ_HEAD) /* idle, or part of a head is here */                                                      \
    X(READ_BODY) /* head accepted; the body comes in and is checked */                                      \
    X(ATTEMPT)   /* attempts run; the client has seen nothing (or a heartbeat) */                           \
    X(RELAY)     /* committed: one attempt's bytes flow */                                                  \
    X(FLUSH)     /* the answer is complete but not all of it has left */                                    \
    X(LINGER)    /* answered early: reads and drops, so that the answer is not lost in a reset */           \
    X(OVER)      /* to be freed at the end of this turn */

enum xchg_state {
#define X(name) XCHG_##name,
    XCHG_STATES(X)
#undef X
};
enum { XCHG_STATE_COUNT = XCHG_OVER + 1 };

/* What woke an exchange. */
enum { NEWS_CLIENT = 1, NEWS_UPSTREAM = 2, NEWS_TIMER = 4, NEWS_AGAIN = 8, NEWS_DRAIN = 16, NEWS_CUT = 32 };

/* Who or what ended a request, for the log. */
#define XCHG_ENDS(X)                                                                                        \
    X(OPEN, "open") X(COMPLETE, "complete") X(CUT, "cut") X(CLIENT_GONE, "client_gone") X(REFUSED, "refused")  \
    X(ERROR, "error")

enum xchg_end {
#define X(name, text) END_##name,
    XCHG_ENDS(X)
#undef X
};

/* What came of a stream, for an estimate when usage is missing. */
struct xchg_streamed {
    uint64_t bytes;
    uint32_t events, shortest;
};

struct xchg {
    /* the connection */
    struct conn *conn;
    struct shared *identity;   /* what its TLS points into */
    struct list node;          /* in gate.all */
    struct list idle;          /* in gate.idle while it waits for a request, oldest first */
    struct defer defer;
    struct timer timer;
    struct addr peer;
    enum xchg_state state;
    unsigned news, client_events;
    bool running, woken;
    bool client_eof;           /* it closed its writing half, or more */
    bool secured;              /* the TLS handshake is done, or there is none */
    bool surplus;              /* above a connection limit: its first request gets a 503 */
    struct block in;           /* bytes read and not consumed: part of a head, or pipelined */
    size_t in_off;             /* consumed at the front of `in` */
    size_t head_seen;
    struct block out;          /* queued for the client */
    size_t out_off;

    /* the request */
    struct world *world;       /* the one it began in, held until its end; NULL between requests */
    const struct access_key *key;
    struct arena arena;
    struct block text;         /* its body, whole and untouched until commit */
    struct json_check *check;  /* while the body comes in */
    struct json_member *member;
    uint32_t nmembers;
    int16_t at[REQUEST_MEMBER_COUNT]; /* where the acted-on members stand in `member` */
    struct slice usage_options; /* stream_options with which usage is asked for; empty: the client asked itself */
    struct slice forward;      /* header lines for any attempt */
    struct slice query;
    struct http_body body;
    struct attempts attempts;
    enum surface surface;
    bool has_surface;
    bool wants_stream, has_anthropic_version, failover_off;
    bool keep_alive, http10, head_only;
    bool asks;                 /* a known key asks for a surface: it will leave one final usage event */
    bool priced;               /* cost below is known, even if 0 */
    bool active;               /* a request has begun: it will leave one log line */
    bool unread;               /* answered before the whole request was read: linger before closing */
    bool heartbeat_sent;       /* 200 and the SSE head are out before the commit: by a heartbeat, or by the attempt that is gone on with */
    bool chunked;              /* framing of our answer */
    char id[REQUEST_ID_LEN + 1];
    int64_t began_ms, body_began_ms, total_due_ms, hedge_due_ms, heartbeat_due_ms, first_byte_ms;

    /* the attempts */
    struct upstream *up[XCHG_UPSTREAMS];
    struct upstream *winner;
    struct block last;         /* the last upstream answer that may have to be passed on */
    size_t last_head_len;
    enum surface last_surface;

    /* the outcome */
    enum xchg_end end;
    unsigned status;           /* sent to the client */
    const char *refusal;       /* code of our own error, NULL for none */
    uint64_t bytes_in, bytes_out;
    struct llm_usage usage;
    struct xchg_streamed streamed;
    struct resume *resume;     /* keeps a stream's text, so that another attempt can go on with it; NULL: it can't */
    uint64_t asked_bytes, head_out; /* of the request's body; of the answer's head */
    uint64_t cost;             /* pico-dollars */
    struct limits_ticket ticket; /* its share of the access key's limits */
    char stop_reason[24];
    uint16_t committed;        /* index + 1 of the record that committed */
};

/* gate.c */
extern struct gate {
    struct world *world;
    struct pool *xchg_pool, *up_pool;
    struct list all, idle;
    struct timer trim;         /* a while after the last request: gives memory back */
    uint32_t open, surplus;    /* client connections, and those of them that are only told to come back later */
    uint32_t most;             /* at most this many are served, a few more are told so */
    uint32_t most_per_peer;    /* one address may not take all of them (L-41) */
    uint32_t *peer;            /* PEER_SLOTS counters; two addresses that share one share its limit */
    uint64_t peer_seed;
    struct shared *identity;   /* of struct tls_identity; NULL: clients speak plain HTTP */
    uint64_t seed;
    bool draining;
    bool retiring;             /* draining, but idle connections may bring one more request */
    uint64_t requests;
    char *scratch;             /* for arena_init_fixed: parsing that ends within one call */
    struct http_request request;   /* the head being parsed: 5 KB that nobody keeps */
    struct json_member member[JSON_MEMBERS_MAX]; /* of a body that came with its head */
    struct http_response response; /* likewise; belongs to parsed_for as long as its bytes stay put */
    struct upstream *parsed_for;
} gate;
enum { GATE_SCRATCH = 1 << 19 };
void gate_scratch(struct arena *a);      /* an empty arena over its first half; good until the next call */
void gate_scratch_more(struct arena *a); /* the same over its second half */

/* exchange.c */
void xchg_run(struct xchg *x, unsigned news);
void xchg_abandon(struct xchg *x); /* the loop will not run again: a request that has begun is booked and told all the same */
void xchg_enter(struct xchg *x, enum xchg_state to);
const char *xchg_state_name(enum xchg_state s);
const char *xchg_end_name(enum xchg_end e);
/* Bytes for the client: written at once when nothing is queued, the rest queued. False: the client is gone (or no memory). */
MUST_USE bool xchg_send(struct xchg *x, const struct slice *piece, int n);
static inline size_t xchg_queued(const struct xchg *x)
{
    return x->out.len - x->out_off;
}
static inline int64_t min_due(int64_t a, int64_t b) /* 0: none */
{
    return !a ? b : !b ? a : a < b ? a : b;
}

#endif
