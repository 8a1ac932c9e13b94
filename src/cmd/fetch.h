/* A client for one plain HTTP request to a gateway on this machine, run by the loop: what `weir demo` shows itself with and
 * `weir healthcheck` asks with. No TLS, no redirects, no second request on a connection. */
#ifndef CMD_FETCH_H
#define CMD_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/must.h"
#include "base/slice.h"
#include "base/timer.h"
#include "http/body.h"
#include "http/head.h"
#include "net/addr.h"
#include "net/conn.h"

struct fetch;
/* The head is in f->response, whose slices live until the end of the fetch. */
typedef void fetch_head_fn(struct fetch *f);
/* Decoded bytes of the body, lent for the call. */
typedef void fetch_body_fn(struct fetch *f, struct slice piece);
/* Called once, at the end. why NULL: the answer is complete; else static text that says what went wrong, and sys an errno or 0. */
typedef void fetch_end_fn(struct fetch *f, const char *why, int sys);

struct fetch {
    fetch_head_fn *head; /* may be NULL */
    fetch_body_fn *body; /* may be NULL */
    fetch_end_fn *end;
    struct http_response response;
    /* private */
    struct conn *conn;
    struct timer limit;
    struct slice request;
    struct http_body framing;
    size_t seen, text_n;
    bool has_head;
    char text[HTTP_HEAD_MAX]; /* the head, and the first bytes of the body that came with it */
};

/* Connects and sends; the callbacks of *f are set, all else is overwritten. request lives until the end; empty: a connection
 * that stands is the whole answer. The end comes within limit_ms, from the loop, never from inside this call. False: it could
 * not even begin, *why (static) says why with errno, and nothing will be called. */
MUST_USE bool fetch_open(struct fetch *f, const struct addr *at, struct slice request, uint32_t limit_ms, const char **why);

#endif
