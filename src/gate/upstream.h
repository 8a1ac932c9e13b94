/* One attempt: dial, handshake, send, read, judge (spec 5, 6). A machine of its own, polled by the exchange; it decides
 * whether its answer may commit or why it failed, never what happens then. */
#ifndef GATE_UPSTREAM_H
#define GATE_UPSTREAM_H

#include "gate/xchg.h"

/* Starts attempt a in x->up[place], which must be empty. Never fails itself: a failure is a state (UP_FAILED). When not even the struct can be
 * had, returns false. */
MUST_USE bool upstream_start(struct xchg *x, int place, struct attempt *a);
/* Goes as far as it can with what was announced. Look at up->state afterwards: READY and FAILED want the exchange to act. */
void upstream_poll(struct upstream *up);
/* Ends it in any state: cancels dialling, parks the connection when it is clean, else closes it; frees, NULLs. */
void upstream_drop(struct upstream **up);

/* ---- For relay.c, in UP_READY and UP_FLOW. ---- */

/* READY to FLOW. */
void upstream_flow(struct upstream *up);

/* The body bytes at hand that were not handed on; they stay put until upstream_consume, upstream_take or the end of this
 * wake-up (then upstream_retain must have been called). */
struct slice upstream_body(const struct upstream *up);
/* Drops n bytes from their front; scanned and scan_at move along. */
void upstream_consume(struct upstream *up, size_t n);
/* Saves what was not consumed from the loop's scratch. False: no memory. */
MUST_USE bool upstream_retain(struct upstream *up);
/* Reads once. IO_DONE: upstream_body may have grown, body_done may be set. IO_FAILED: *f; an orderly end that completes the body is IO_DONE with
 * body_done. */
enum io upstream_take(struct upstream *up, struct fault *f);

enum up_scan {
    UP_SCAN_MORE,  /* no further whole event */
    UP_SCAN_COMMIT,/* this event carries content (only before commit) */
    UP_SCAN_ERROR, /* this event is an error; *error holds it */
    UP_SCAN_LAST,  /* this event is [DONE] */
};
/* Reads whole events up to the first of interest; up->scanned is its end. */
enum up_scan upstream_scan(struct upstream *up, bool committed, struct slice *error);
/* The parsed head of the answer; slices point into the held bytes. Only while the head is held (before the first consume). */
const struct http_response *upstream_head(struct upstream *up);

/* The client has all of a finished stream, but the upstream's framing has not ended: let it end by itself, for a moment, so that the
 * connection can be used again. Takes the upstream over. */
void upstream_let_end(struct upstream **up);

#endif
