/* Which header fields cross the gateway, in each direction: one table by field name (spec 7). Pure. */
#ifndef GATE_HEADERS_H
#define GATE_HEADERS_H

#include <stdbool.h>

#include "base/arena.h"
#include "conf/conf.h"
#include "http/head.h"
#include "http/write.h"

/* The client's fields that any attempt forwards, as ready "name: value" lines in the arena: built once per
 * request, so that the parsed head need not be kept. {NULL,0} when out of memory or a value may not leave. */
struct slice headers_forward(const struct http_request *r, struct arena *a, bool *has_anthropic_version);

/* The credential in the provider's own form, and anthropic-version when the client sent none. */
void headers_credential(struct http_out *o, enum surface surface, const struct credential *key,
                        bool has_anthropic_version);

/* The upstream's fields that the client gets. */
void headers_return(struct http_out *o, const struct http_response *r);

#endif
