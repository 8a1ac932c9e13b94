/* Calls that only look, beyond the contract: the gateway itself, its last requests, what rests. */
#ifndef ADMIN_WATCH_H
#define ADMIN_WATCH_H

#include "admin/server.h"

admin_handler watch_healthz, watch_about, watch_requests, watch_request, watch_cooldowns, watch_clear_cooldown;

#endif
