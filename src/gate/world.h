/* What a request runs against: one config snapshot with the health and trust that belong to it. An exchange keeps the world it
 * started with; a reload makes a new one beside it. */
#ifndef GATE_WORLD_H
#define GATE_WORLD_H

#include "conf/conf.h"
#include "gate/health.h"
#include "net/trust.h"

struct world {
    struct conf *conf;
    struct health *health;
    const struct trust *trust; /* NULL: https upstreams fail with a clear word */
    uint32_t serial;           /* part of the idle pool's key: credentials are numbered per snapshot */
};

#endif
