/* HTTP/1.1 heads (RFC 9112), strict: where the RFC allows leniency this parser refuses.
 * Stateless: parses from the start whenever a further line is complete; `seen` makes the calls between cheap
 * when bytes drip in. Pure; all slices point into the caller's buffer, as long as it stays. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/result.h"
#include "base/slice.h"

/* Field names the gateway knows, lower case on the wire side of this table. http/head.c finds the id by one hash
 * and one compare. Add a name here and every table indexed by it grows by itself. */
#define HTTP_NAMES(X)                                                                              \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin")                                  \
    X(ALLOW, "allow")                                                                              \
    X(ALT_SVC, "alt-svc")                                                                          \
    X(ANTHROPIC_BETA, "anthropic-beta")                                                            \
    X(ANTHROPIC_VERSION, "anthropic-version")                                                      \
    X(API_KEY, "api-key")                                                                          \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(ETAG, "etag")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(FORWARDED, "forwarded")                                                                      \
    X(HOST, "host")                                                                                \
    X(IF_MATCH, "if-match")                                                                        \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(LOCATION, "location")                                                                        \
    X(ORIGIN, "origin")                                                                            \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(REFERER, "referer")                                                                          \
    X(REQUEST_ID, "request-id")                                                                    \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(RETRY_AFTER_MS, "retry-after-ms")                                                            \
    X(SEC_FETCH_SITE, "sec-fetch-site")                                                            \
    X(SERVER, "server")                                                                            \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security")                                      \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(VARY, "vary")                                                                                \
    X(VIA, "via")                                                                                  \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_API_KEY, "x-api-key")                                                                      \
    X(X_GOOG_API_KEY, "x-goog-api-key")                                                            \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(X_SHOULD_RETRY, "x-should-retry")                                                            \
    X(X_WEIR_FAILOVER, "x-weir-failover")

enum http_name {
    HTTP_OTHER, /* not in the table */
#define X(id, text) HTTP_##id,
    HTTP_NAMES(X)
#undef X
    HTTP_NAME_COUNT
};

/* Any case; HTTP_OTHER for what is not in the table. */
enum http_name http_name_id(struct slice name);
/* Lower case, static; not for HTTP_OTHER. */
struct slice http_name_text(enum http_name id);

struct http_field {
    struct slice name, value; /* value trimmed of SP and HT */
    enum http_name id;
    bool plain_name; /* letters, digits and '-' only */
    bool whole_line; /* known to stand in the buffer as exactly "name: value" CRLF, so that it can be copied as it is */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_TRACE,
                   HTTP_CONNECT, HTTP_METHOD_OTHER };

enum http_framing {
    HTTP_NO_BODY,
    HTTP_LENGTH,      /* exactly `length` bytes follow, may be 0 */
    HTTP_CHUNKED,
    HTTP_UNTIL_CLOSE, /* responses only */
};

/* A request head. Parse-time storage: one per loop, copied from as needed (it is 5 KB). */
struct http_request {
    enum http_method method;
    struct slice method_text;
    struct slice target;   /* as sent: origin-form, or absolute-form with its scheme and authority cut off */
    struct slice path;     /* target up to '?', never decoded; "/" (static) when an absolute-form has none; "*" for
                            * OPTIONS *; the authority for CONNECT */
    struct slice query;    /* after '?', empty when none */
    struct slice host;     /* of Host, or of an absolute-form target, as sent but without the port: a name, IPv4, or
                            * IPv6 in brackets; {NULL,0} in HTTP/1.0 without Host */
    unsigned minor;        /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;       /* what the client asked for, by version and Connection */
    bool hop_names;        /* Connection lists more than keep-alive and close: those fields are hop-by-hop too */
    bool expect_continue;  /* HTTP/1.1, and a body is to come */
    enum http_framing framing;
    uint64_t length;       /* HTTP_LENGTH: content-length */
    size_t head_len;       /* bytes up to and including the blank line (and skipped leading CRLF) */
    unsigned nfields;
    struct http_field field[HTTP_FIELDS_MAX];
    uint8_t first[HTTP_NAME_COUNT]; /* index+1 of the first field of that name, 0 when absent */
};

struct http_response {
    unsigned status;       /* 100..599 */
    unsigned minor;
    bool keep_alive;       /* whether the connection may be used again after the body */
    bool hop_names;        /* as in struct http_request */
    enum http_framing framing;
    uint64_t length;
    size_t head_len;
    unsigned nfields;
    struct http_field field[HTTP_FIELDS_MAX];
    uint8_t first[HTTP_NAME_COUNT];
};

/* Why a head was refused: the status a server owes for it, and a sentence for the log and the error body.
 *   400  everything else that is malformed, or that two readers could understand differently: framing given twice or
 *        in two ways, Host missing, repeated or odd, a credential or content-type twice, bad target forms
 *   413  Content-Length of more than ten digits
 *   414  target longer than HTTP_TARGET_MAX
 *   417  Expect that is not exactly 100-continue, once
 *   431  head longer than HTTP_HEAD_MAX or more than HTTP_FIELDS_MAX lines
 *   501  a transfer coding other than chunked, well-formed
 *   505  a well-formed version that is not 1.0 or 1.1
 *   502  any refusal of a response
 * Unknown methods are no refusal: HTTP_METHOD_OTHER. */
struct http_bad {
    unsigned status;
    const char *why; /* static */
};

/* Parses the request head at p. *seen (0 at first) remembers how far these bytes were searched, for the next call with
 * more bytes behind the same ones (which may have moved). PARSE_MORE: not all there yet; *r holds nothing. PARSE_BAD:
 * *bad is set; nothing behind these bytes may be parsed. Applies faults.md 2.1 (H-01...H-51) as far as a head alone can
 * show it; whether a method may carry a body is H-20; content-type, auth and routes are the caller's. */
enum parse http_request_parse(struct http_request *r, const char *p, size_t n, size_t *seen, struct http_bad *bad);

/* Parses a response head (final or 1xx, but never 101, which nobody asks for; the caller counts against
 * HTTP_INTERIM_MAX). to_head: the request was HEAD, so no body follows. Applies faults.md 2.2 (R-04...R-18):
 * keep_alive is false for HTTP/1.0, for bodies that end with the connection, and for a 1xx, 204 or 304 that announces
 * a body. */
enum parse http_response_parse(struct http_response *r, const char *p, size_t n, size_t *seen, bool to_head,
                               struct http_bad *bad);

/* Value of the first field with that id, {NULL,0} when absent (an empty value has p != NULL). */
static inline struct slice http_request_get(const struct http_request *r, enum http_name id)
{
    return r->first[id] ? r->field[r->first[id] - 1].value : slice_make(NULL, 0);
}

static inline struct slice http_response_get(const struct http_response *r, enum http_name id)
{
    return r->first[id] ? r->field[r->first[id] - 1].value : slice_make(NULL, 0);
}

/* Whether a comma-separated list value holds the token (case folded). */
bool http_list_has(struct slice value, struct slice token);
/* Whether the name is hop-by-hop by RFC 9110 7.6.1, or proxy credentials. Further names that a Connection field
 * lists are found with http_list_has on its value. */
bool http_hop_by_hop(enum http_name id);

#endif
