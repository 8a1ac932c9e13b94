/* One call of the admin API, as its handlers see it. A handler answers exactly once, at once or later (from a store_commit's done); until then
 * the call and its arena stay, whether or not the client is still there. */
#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/head.h"
#include "json/scan.h"

enum {
    ADMIN_BODY_MAX = 1 << 20,   /* of a request; a provider with some thousand models has 200 KB */
    ADMIN_ARENA_MAX = 8 << 20,  /* what one call may hold besides */
    ADMIN_LIST_MAX = 100,       /* contract: limit */
};

struct admin_call {
    enum http_method method;    /* HEAD comes as HTTP_GET */
    struct slice path, query;   /* as sent */
    struct slice arg;           /* what stands in {id}'s place, decoded */
    struct json_doc body;       /* POST and PATCH: token 0 is an object */
    struct slice if_match, if_none_match, accept_encoding;
    struct slice by;            /* id of the API key that calls */
    struct arena *arena;        /* given back when the answer is made */
    void *state;                /* the handler's own, for a later answer */
    const char *allow;          /* private, as all below: of a 405 */
    bool head;
    struct admin_conn *conn;
};

/* Answers are copied; slices that are empty are not sent. */
struct admin_reply {
    unsigned status;
    struct slice type;          /* default application/json */
    struct slice body;
    struct slice etag;          /* with its quotes */
    struct slice location;
    struct slice encoding;      /* content-encoding, with vary */
    struct slice policy;        /* content-security-policy of a page */
    bool cache;                 /* else cache-control: no-store */
    unsigned retry_after_s;     /* 0: none */
};
void admin_reply(struct admin_call *c, const struct admin_reply *r);
bool admin_answered(const struct admin_call *c);
void admin_json(struct admin_call *c, unsigned status, struct slice json);

/* The contract's error: {errorCode, statusCode, msg, details}. field: path of the input that is wrong ("router.rules[0]"), or NULL. The code is
 * the status's own word (admin_code). */
__attribute__((format(printf, 4, 5))) void admin_error(struct admin_call *c, unsigned status, const char *field, const char *format, ...);
/* "not_found" for 404 and so on; also for what a call answers with 503: "read_only". */
const char *admin_code(unsigned status);

/* Hands the client over to the server at `to`: sends it the request (copied; it must ask for connection: close) and hands on what comes back, byte
 * for byte, until either end closes. False: not possible now, nothing was answered. */
struct addr;
bool admin_relay(struct admin_call *c, const struct addr *to, struct slice request);

/* Value of a query parameter, decoded; false when it is not there. */
bool admin_query(const struct admin_call *c, const char *name, struct slice *out);
/* False, already answered (422), when the query holds a parameter not in names (which ends with NULL), or one twice. */
bool admin_query_only(struct admin_call *c, const char *const *names);
/* limit: 1 to `most`, default `usual`. False: already answered. */
bool admin_query_limit(struct admin_call *c, uint32_t usual, uint32_t most, uint32_t *out);
/* Whether If-Match allows a write to what has this ETag now; false: already answered (412). */
bool admin_matches(struct admin_call *c, struct slice etag);

typedef void admin_handler(struct admin_call *c);
struct admin_route {
    enum http_method method;
    const char *path;           /* "/access-keys/{id}"; "{id}" stands for one segment */
    admin_handler *run;
};

#endif
