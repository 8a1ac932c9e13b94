/* Calls that only look, or try: beyond the contract. */
#ifndef ADMIN_WATCH_H
#define ADMIN_WATCH_H

#include "admin/server.h"

admin_handler watch_healthz;

#endif
