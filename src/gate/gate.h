/* The data plane as main sees it. */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/addr.h"
#include "net/listen.h"
#include "net/tls.h"
#include "net/trust.h"

/* How many of each thing the limits of a config come to; main sizes the layers below with them. */
struct gate_plan {
    uint32_t clients, upstreams, conns, dials, watches, timers;
};
struct gate_plan gate_plan(const struct conf *c);

/* Takes its tables and starts to serve the snapshot (one reference is kept). trust may be NULL when no provider needs it. False with *why. */
bool gate_open(struct conf *c, const struct trust *trust, const struct tls_identity *identity, const struct gate_plan *plan,
               const char **why);
/* For listen_open. */
void gate_accept(struct listener *l, int fd, const struct addr *peer);
/* Stop keeping connections alive; idle ones close now. gate_busy: requests still under way. */
void gate_drain(void);
uint32_t gate_busy(void);

/* Whether that key is resting for that model now, and until when (clock_ms). */
bool gate_cooling(const struct credential *key, struct slice model, int64_t *until_ms);

#endif
