/* One request, one answer, and an end in every case: closed, broken or too late. */
#include "cmd/fetch.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/sys.h"

static void finish(struct fetch *f, const char *why, int sys)
{
    timer_disarm(&f->limit);
    conn_drop(&f->conn);
    f->end(f, why, sys);
}

static void on_limit(struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, limit);

    finish(f, f->has_head ? "the answer did not end in time" : "no answer in time", 0);
}

/* True: all of it is out. False: not yet, or the fetch is over. */
static bool push(struct fetch *f)
{
    while (f->request.n) {
        struct fault fault;
        size_t took;

        switch (conn_write(f->conn, &f->request, 1, &took, &fault)) {
        case IO_DONE:
            f->request = slice_from(f->request, took);
            continue;
        case IO_PARKED:
            return false;
        case IO_FAILED:
            finish(f, fault.sys == ECONNREFUSED ? "nothing listens there" : fault.what, fault.sys);
            return false;
        }
    }
    if (conn_want(f->conn, true, false))
        return true;
    finish(f, "the kernel refused to watch a socket", errno);
    return false;
}

/* n bytes of the body as they came. True: more is to come. */
static bool take_body(struct fetch *f, char *p, size_t n)
{
    size_t used, out;
    enum parse parse = http_body_decode(&f->framing, p, n, &used, &out);

    if (out && f->body)
        f->body(f, slice_make(p, out));
    if (parse == PARSE_MORE)
        return true;
    finish(f, parse == PARSE_DONE ? NULL : f->framing.why, 0);
    return false;
}

static void take_head(struct fetch *f)
{
    struct http_bad bad;

    switch (http_response_parse(&f->response, f->text, f->text_n, &f->seen, false, &bad)) {
    case PARSE_MORE:
        if (f->text_n == sizeof f->text)
            finish(f, "the answer's head is too long", 0);
        return;
    case PARSE_BAD:
        finish(f, bad.why, 0);
        return;
    case PARSE_DONE:
        break;
    }
    f->has_head = true;
    if (f->head)
        f->head(f);
    http_body_init(&f->framing, f->response.framing, f->response.length);
    (void)take_body(f, f->text + f->response.head_len, f->text_n - f->response.head_len);
}

static void on_news(struct conn *c, unsigned events)
{
    struct fetch *f = c->owner;
    bool into_text = !f->has_head;
    char *to = into_text ? f->text + f->text_n : loop_scratch();
    struct fault fault;
    size_t got;

    if (f->request.n && !push(f))
        return;
    if (!(events & (SYS_IN | SYS_GONE)))
        return;
    switch (conn_read(c, to, into_text ? sizeof f->text - f->text_n : READ_MAX, &got, &fault)) {
    case IO_PARKED:
        return;
    case IO_FAILED:
        finish(f, fault.what, fault.sys);
        return;
    case IO_DONE:
        break;
    }
    if (got == 0) {
        bool whole = f->has_head && http_body_may_end(&f->framing);

        finish(f, whole ? NULL : "the connection was closed before the answer was complete", 0);
    } else if (into_text) {
        f->text_n += got;
        take_head(f);
    } else {
        (void)take_body(f, to, got);
    }
}

/* Only the connection is asked for: writable without an error means that it stands. */
static void on_connected(struct conn *c, unsigned events)
{
    struct fetch *f = c->owner;
    int sys = sys_socket_error(c->fd);

    (void)events;
    finish(f, sys ? "nothing listens there" : NULL, sys);
}

bool fetch_open(struct fetch *f, const struct addr *at, struct slice request, uint32_t limit_ms, const char **why)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(at, &ss);
    int fd = sys_socket(at->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM);

    *why = "can't open a socket";
    if (fd == -1)
        return false;
    if (sys_connect(fd, (const struct sockaddr *)&ss, n) == -1 && errno != EINPROGRESS) {
        *why = "can't connect";
        sys_close(fd);
        return false;
    }
    f->request = request;
    f->seen = f->text_n = 0;
    f->has_head = false;
    f->conn = conn_open(fd, NULL, request.n ? on_news : on_connected, f);
    if (!f->conn || !conn_want(f->conn, true, true)) {
        *why = "the kernel refused to watch a socket";
        conn_drop(&f->conn);
        return false;
    }
    timer_init(&f->limit, on_limit);
    timer_arm(&f->limit, clock_ms() + limit_ms);
    return true;
}
