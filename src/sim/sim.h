/* The built-in provider `sim`: a small HTTP/1.1 server on a free loopback port, in this process's own loop, so that it is
 * reached through the same path as any upstream. It speaks every surface, streaming or not, and fails in every way a
 * provider fails, by model id (what follows a '#' is ignored) or by a credential "sim-ID" (which decides when the model id names
 * no behaviour of its own; "sim-ok" answers). Never reachable from outside: it binds 127.0.0.1. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"

enum {
    SIM_CLIENTS_MAX = 512,
    /* What main must add to the loop's and the timers' tables when sim is on. */
    SIM_WATCHES = SIM_CLIENTS_MAX + 1,
    SIM_TIMERS = SIM_CLIENTS_MAX + 1,
};

/* Opens the listener; *port is where. Bodies in flight come from the memory budget. False with *why (static). Not twice without
 * sim_close. The loop, timers and budget must be there. */
MUST_USE bool sim_open(uint16_t *port, const char **why);
void sim_close(void); /* every connection too */

/* The ids of all behaviours, for help texts; a three-digit status 400 to 599 is one as well. NULL behind the last. */
const char *sim_behaviour(size_t i);
uint32_t sim_clients(void); /* connections right now */

#endif
