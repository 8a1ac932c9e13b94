/* The calls on resources; which kind is in the path. */
#ifndef ADMIN_CRUD_H
#define ADMIN_CRUD_H

#include "admin/server.h"
#include "state/store.h"

admin_handler crud_list, crud_get, crud_create, crud_update, crud_rotate, crud_delete;

/* For store_options.load. */
bool access_key_load(const struct store_change *c);

#endif
