/* The way of a committed answer to the client: head, body with back-pressure, and an honest end (spec 6). Between reading and writing stands
 * one optional stage, for translation between surfaces; without it every byte goes out as it came. */
#ifndef GATE_RELAY_H
#define GATE_RELAY_H

#include "gate/xchg.h"

/* Commits to an attempt in UP_READY: sends the head and what is held, releases the request. From here on there is no failover. */
void relay_commit(struct xchg *x, struct upstream *up);
/* Moves bytes as far as both sides allow; call on news from either. Leaves RELAY when the answer has ended one way or another. */
void relay_pump(struct xchg *x);
/* Sends SSE head and comment lines to a client that waits (gateway.streamHeartbeat). False: the client is gone. */
MUST_USE bool relay_heartbeat(struct xchg *x);
/* Lets go of the committed attempt, keeping what it told of usage. Harmless without one. */
void relay_let_go(struct xchg *x);
/* One piece of an answer's body in its framing. False: the client is gone. */
MUST_USE bool relay_body(struct xchg *x, struct slice body, bool last);
/* The committed attempt broke and another is to go on: books that and lets go of it. */
void relay_set_aside(struct xchg *x);
/* Ends a committed (or heartbeat-started) stream with one error event and then the connection's end. */
void relay_cut(struct xchg *x, const char *code, const char *message);

#endif
