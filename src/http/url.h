/* A provider's base URL, taken apart once at load (RFC 3986, the http and https schemes only). Pure. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct url {
    bool https;
    struct slice host;   /* lower case is the caller's business; IPv6 without its brackets; no trailing dot */
    bool host_is_ip;     /* v4 dotted quad or bracketed v6 */
    uint16_t port;       /* 443 or 80 when the text names none */
    bool port_given;
    struct slice path;   /* "/v1" without a trailing slash; empty for none */
};

/* Parses text; slices point into it. False with *why (static; "the base URL: ..." can stand before it) for anything
 * else: other schemes, user info, query, fragment, '*' or '%' or control bytes in the host, a host that some resolver
 * takes for an address and others do not (127.1, 0x7f000001), empty or dot segments or '%' in the path, port 0. */
bool url_parse(struct slice text, struct url *out, const char **why);

#endif
