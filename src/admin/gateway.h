/* The calls on /gateway-config. */
#ifndef ADMIN_GATEWAY_H
#define ADMIN_GATEWAY_H

#include "admin/server.h"

admin_handler gateway_get, gateway_update;

#endif
