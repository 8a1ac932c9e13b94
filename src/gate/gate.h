/* The data plane as main sees it. */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"
#include "base/shared.h"
#include "conf/conf.h"
#include "net/addr.h"
#include "net/listen.h"

struct world;

/* How many of each thing the limits of a config come to; main sizes the layers below with them. */
struct gate_plan {
    uint32_t clients, upstreams, conns, dials, watches, timers;
};
struct gate_plan gate_plan(const struct conf *c);

/* Takes its tables and starts to serve the snapshot. trust (of struct trust) may be NULL when no provider needs it, identity (of struct
 * tls_identity) when clients speak plain HTTP. It takes references of its own to all three. False with *why. */
bool gate_open(struct conf *c, struct shared *trust, struct shared *identity, const struct gate_plan *plan, const char **why);
/* A new snapshot for every request that begins from now on, with what is known about its providers' health; requests under way end on the
 * one they began with. trust and identity as for gate_open: hand in the current ones again to keep them. Connections to providers stay
 * warm where key, origin and trust are the same; those of keys that are gone are closed. What the tables were sized by (maxConnections, memory)
 * stays as it was at start. False: no memory, everything stays as it was. */
MUST_USE bool gate_apply(struct conf *c, struct shared *trust, struct shared *identity);
/* Lets go of the snapshot, after the last client has left (for tests). */
void gate_close(void);
/* For listen_open. */
void gate_accept(struct listener *l, int fd, const struct addr *peer);
/* Another process listens from now on: answers end their connections, but idle connections stay open for who is just about to use them. */
void gate_retire(void);
/* Stop keeping connections alive; idle ones close now. gate_busy: requests still under way. */
void gate_drain(void);
/* Ends what runs: streams get the error event, requests without an answer a 503. What is queued still leaves. */
void gate_cut(void);
/* When the loop has ended for good: what still ran leaves its log line and its usage events. */
void gate_abandon(void);
uint32_t gate_busy(void);

/* The world of the next request, for whoever looks at it; borrowed until the next gate_apply. */
struct world *gate_world(void);
/* Whether that key is resting for that model now, and until when (clock_ms). */
bool gate_cooling(const struct credential *key, struct slice model, int64_t *until_ms);

#endif
