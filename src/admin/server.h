/* Between the admin plane's files: which calls exist, and who may make them. */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "admin/admin.h"
#include "admin/call.h"

extern struct admin_hooks admin; /* as lent to admin_init */

/* All routes; ends with a NULL path. */
extern const struct admin_route admin_routes[];
/* The route for method and path, its argument raw in *arg. NULL: none; then *allow lists what the path takes (static), or NULL when there is no
 * such path. */
const struct admin_route *admin_route_find(enum http_method method, struct slice path, struct slice *arg, const char **allow);

/* Why a request may not be answered, decided by its head alone. */
struct admin_refusal {
    unsigned status;
    const char *why;
};
/* Host, Origin and fetch metadata (faults.md S-54, S-55). open: a page's file or /healthz, which other sites may link to. */
bool admin_head_allowed(const struct http_request *r, const struct conf *c, bool open, struct admin_refusal *no);
/* Whose key it is: {NULL, 0} when there is none or it is not known. Compares with each key in constant time. */
struct slice admin_key_of(const struct http_request *r, const struct conf *c);

/* Of the keys made over the API. */
struct slice admin_stored_key(const uint8_t sha256[32]);

/* Calls a handler once more, for a call whose turn had not come (registry_turn). As when it was called first, an answer leaves only after it has returned. */
void admin_resume(struct admin_call *c, admin_handler *handler);

/* Percent-decodes into the arena; false when it is malformed, holds NUL, or there is no memory. */
bool admin_decode(struct slice raw, bool plus, struct arena *a, struct slice *out);

#endif
