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

/* READY to FLOW, at commit. */
void upstream_flow(struct upstream *up);
/* The client has all of a finished stream, but the upstream's framing has not ended: let it end by itself, for a moment, so that the
 * connection can be used again. Takes the upstream over. */
void upstream_let_end(struct upstream **up);

/* ---- For judge.c ---- */

/* The only writer of the state. */
void upstream_enter(struct upstream *up, enum up_state to);
/* To FAILED with this result; the connection is parked when it is clean. */
void upstream_end(struct upstream *up, struct up_result result);
/* The same for a failure without an answer. Our own limits become OUTCOME_LOCAL. */
void upstream_fail(struct upstream *up, enum outcome outcome, struct fault f);
/* The same for an answer that came but can't be used: upstream_error. */
void upstream_unusable(struct upstream *up, enum fault_kind kind, const char *what);

#endif
