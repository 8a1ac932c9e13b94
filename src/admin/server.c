/* Connections of the admin plane. A call is read whole, its head judged before its body is, then a handler runs; one call at a time per
 * connection. Data requests come first: there are few slots, and a call's memory is bounded by call.h.
 *
 * Invariants: a slot with a call under way (RUNNING) is never freed, only its connection can go; whoever frees a slot returns STOP. */
#include "admin/server.h"

#include <errno.h>
#include <string.h>

#include "base/block.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "http/body.h"
#include "http/write.h"
#include "net/conn.h"
#include "net/listen.h"

#include "admin/page.h"

enum admin_state { READING_HEAD, READING_BODY, RUNNING, WRITING, LINGERING, RELAYING };
enum admin_step { GO, STOP };
enum { READ = 4096, RELAY = 16384, HEAD_OUT = 2048, ARENA_BLOCK = 8192 };

struct admin_conn {
    struct conn *io;           /* NULL while RUNNING: the client left */
    struct conn *peer;         /* RELAYING: who answers in our place; `in` holds what is sent there, `out` what came */
    struct timer timer;
    struct list node;
    enum admin_state state;
    unsigned events;
    struct block in, out;
    size_t seen, head_len, body_len, sent;
    size_t rest;               /* where the next request begins in `in` */
    struct http_body body;
    const struct admin_route *route;
    struct arena arena;
    struct admin_call call;
    bool keyed;                /* the head brought a key that is known */
    bool keep_alive, unread, answered, in_handler;
};

static struct {
    struct listener listener;
    struct pool pool;
    struct list all;
    uint32_t running;
    bool draining, ready;
    struct http_request head;  /* parse-time storage, one for all */
} server = {.listener = {.fd = -1}};

struct admin_hooks admin;

static void run(struct admin_conn *a);

/* ---- Coming and going ---- */

static void let_go_call(struct admin_conn *a)
{
    arena_reset(&a->arena);
    memset(&a->call, 0, sizeof a->call);
}

static enum admin_step drop(struct admin_conn *a)
{
    timer_disarm(&a->timer);
    conn_drop(&a->io);
    conn_drop(&a->peer);
    if (a->state == RELAYING)
        server.running--;
    if (a->state == RUNNING)
        return STOP; /* the handler's answer frees it */
    if (a->in.p)
        explicit_bzero(a->in.p, a->in.len); /* keys */
    block_drop(&a->in);
    block_drop(&a->out);
    let_go_call(a);
    list_remove(&a->node);
    pool_give(&server.pool, a);
    return STOP;
}

static void on_timer(struct timer *t)
{
    (void)drop(container_of(t, struct admin_conn, timer));
}

static void on_news(struct conn *c, unsigned events)
{
    struct admin_conn *a = c->owner;

    a->events |= events;
    run(a);
}

static void make_room(void)
{
    for (struct list *n = server.all.prev; n != &server.all; n = n->prev) {
        struct admin_conn *a = container_of(n, struct admin_conn, node);

        if (a->state == READING_HEAD && a->in.len == 0) {
            (void)drop(a);
            return;
        }
    }
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
    struct admin_conn *a;

    (void)l;
    (void)peer;
    if (pool_in_use(&server.pool) == ADMIN_CONNS)
        make_room();
    a = pool_take(&server.pool);
    if (!a) {
        sys_close(fd);
        return;
    }
    list_push_front(&server.all, &a->node);
    timer_init(&a->timer, on_timer);
    arena_init(&a->arena, &mem_heap_source, ARENA_BLOCK, ADMIN_ARENA_MAX);
    a->io = conn_open(fd, NULL, on_news, a);
    if (!a->io) {
        (void)drop(a);
        return;
    }
    timer_arm(&a->timer, clock_ms() + ADMIN_READ_MS);
}

/* ---- Reading ---- */

/* GO: bytes came. */
static enum admin_step read_more(struct admin_conn *a)
{
    struct fault f;
    size_t got;
    enum io io;

    if (!(a->events & (SYS_IN | SYS_GONE)))
        return STOP;
    if (!block_room(&a->in, READ))
        return drop(a);
    io = conn_read(a->io, a->in.p + a->in.len, READ, &got, &f);
    a->events &= ~(unsigned)SYS_IN;
    if (io == IO_FAILED || (io == IO_DONE && got == 0))
        return drop(a);
    if (io == IO_PARKED)
        return STOP;
    if (got == READ || a->events & SYS_GONE)
        a->events |= SYS_IN;
    a->in.len += got;
    return GO;
}

/* An answer to what was not understood or not allowed: no handler runs. close: the framing can't be trusted, or the body is unwanted. */
static void refuse(struct admin_conn *a, unsigned status, const char *why, bool close)
{
    a->keep_alive &= !close;
    a->call.conn = a;
    a->call.arena = &a->arena;
    a->state = RUNNING;
    server.running++;
    a->in_handler = true;
    admin_error(&a->call, status, NULL, "%s", why);
    a->in_handler = false;
}

static bool is_json(struct slice type)
{
    ptrdiff_t end = slice_find_char(type, ';');

    return slice_eq_nocase(slice_trim(end >= 0 ? slice_first(type, (size_t)end) : type), SLICE("application/json"));
}

static bool takes_body(enum http_method m)
{
    return m == HTTP_POST || m == HTTP_PATCH;
}

static const char key_needed[] = "An API key is needed: Authorization: Bearer KEY.";

/* What a head alone decides. */
static void judge(struct admin_conn *a, const struct http_request *r)
{
    enum http_method method = r->method == HTTP_HEAD ? HTTP_GET : r->method;
    const struct conf *c = admin.conf();
    const bool body = r->framing == HTTP_CHUNKED || (r->framing == HTTP_LENGTH && r->length > 0);
    const bool open = method == HTTP_GET && (page_find(r->path) || slice_eq(r->path, SLICE("/healthz")));
    struct admin_refusal no = {0, NULL};
    const char *allow = NULL;
    struct slice arg;

    a->keep_alive = r->keep_alive && !server.draining;
    a->unread = body;
    a->call.head = r->method == HTTP_HEAD;
    a->keyed = !open && admin_key_of(r, c).n;
    a->route = admin_route_find(method, r->path, &arg, &allow);
    if (page_find(r->path))
        allow = "GET, HEAD";
    if (!admin_head_allowed(r, c, open, &no))
        ;
    else if (!open && !a->keyed)
        no = (struct admin_refusal){401, key_needed};
    else if (!a->route && !open && allow)
        no = (struct admin_refusal){405, "This path does not take that method."};
    else if (!a->route && !open)
        no = (struct admin_refusal){404, "There is no such path."};
    else if (!takes_body(method) && body)
        no = (struct admin_refusal){400, "This method takes no body."};
    else if (takes_body(method) && !is_json(http_request_get(r, HTTP_CONTENT_TYPE)))
        no = (struct admin_refusal){415, "The body must be JSON. Send content-type: application/json."};
    else if (takes_body(method) && r->first[HTTP_CONTENT_ENCODING])
        no = (struct admin_refusal){415, "Compressed bodies are not taken."};
    else if (takes_body(method) && r->framing == HTTP_NO_BODY)
        no = (struct admin_refusal){411, "A body is needed."};
    else if (r->framing == HTTP_LENGTH && r->length > ADMIN_BODY_MAX)
        no = (struct admin_refusal){413, "The body is larger than 1 MiB."};
    a->call.allow = no.status == 405 ? allow : NULL;
    if (no.status)
        refuse(a, no.status, no.why, body);
}

static enum admin_step read_head(struct admin_conn *a)
{
    struct http_request *r = &server.head;
    struct http_bad bad;

    switch (http_request_parse(r, a->in.p, a->in.len, &a->seen, &bad)) {
    case PARSE_MORE:
        return read_more(a); /* the parser refuses heads above HTTP_HEAD_MAX */
    case PARSE_BAD:
        a->unread = true;
        refuse(a, bad.status, bad.why, true);
        return GO;
    case PARSE_DONE:
        break;
    }
    a->head_len = r->head_len;
    http_body_init(&a->body, r->framing, r->length);
    a->state = READING_BODY;
    a->rest = a->head_len;
    timer_arm(&a->timer, clock_ms() + ADMIN_READ_MS);
    judge(a, r);
    if (a->state == READING_BODY && r->expect_continue && a->in.len == a->head_len) {
        const struct slice piece = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
        size_t took;
        struct fault f;

        (void)conn_write(a->io, &piece, 1, &took, &f); /* 25 bytes into an empty socket */
    }
    return GO;
}

static void dispatch(struct admin_conn *a);

static enum admin_step read_body(struct admin_conn *a)
{
    size_t fresh = a->head_len + a->body_len, used, out;
    enum parse p;

    /* Behind the body so far stands what is not decoded yet. */
    if (a->in.len < fresh) /* nothing came behind the head */
        fresh = a->in.len;
    p = http_body_decode(&a->body, a->in.p + fresh, a->in.len - fresh, &used, &out);
    a->body_len += out;
    if (p == PARSE_BAD || a->body_len > ADMIN_BODY_MAX) {
        refuse(a, p == PARSE_BAD ? 400 : 413, p == PARSE_BAD ? a->body.why : "The body is larger than 1 MiB.", true);
        return GO;
    }
    /* What framing took is closed up. */
    memmove(a->in.p + fresh + out, a->in.p + fresh + used, a->in.len - fresh - used);
    a->in.len -= used - out;
    if (p == PARSE_MORE)
        return read_more(a);
    a->unread = false;
    a->rest = fresh + out;
    dispatch(a);
    return GO;
}

/* ---- Handlers ---- */

static void serve_page(struct admin_call *c, const struct page_asset *p)
{
    struct admin_reply r = {.status = 200, .type = slice_str(p->type), .policy = slice_str(page_policy), .cache = true, .etag = slice_str(p->etag)};
    bool packed = page_packed_for(c->accept_encoding);

    if (packed) {
        char *weak = arena_take_bytes(c->arena, r.etag.n + 2);

        if (weak) { /* another encoding of the same text */
            memcpy(weak, "W/", 2);
            memcpy(weak + 2, r.etag.p, r.etag.n);
            r.etag = slice_make(weak, r.etag.n + 2);
        }
    }
    r.encoding = packed ? SLICE("gzip") : SLICE("identity");
    if (slice_find(c->if_none_match, slice_str(p->etag)) >= 0) {
        r.status = 304;
    } else if (packed) {
        r.body = slice_make((const char *)p->packed, p->packed_len);
    } else {
        char *text = arena_take_bytes(c->arena, p->len);

        if (!text || !page_unpack(p, (unsigned char *)text)) {
            admin_error(c, 500, NULL, "This page can't be unpacked.");
            return;
        }
        r.body = slice_make(text, p->len);
    }
    admin_reply(c, &r);
}

static bool read_json(struct admin_conn *a, struct slice text)
{
    struct admin_call *c = &a->call;
    uint64_t bad_at;
    const char *why;

    if (!json_valid(text, &bad_at, &why))
        admin_error(c, 400, NULL, "The body is not valid JSON: %s at byte %llu.", why, (unsigned long long)bad_at);
    else if (!json_parse(&c->body, text, c->arena))
        admin_error(c, 413, NULL, "The body has more than %d values.", JSON_TOKENS_MAX);
    else if (json_type_of(&c->body, 0) != JSON_OBJECT)
        admin_error(c, 422, NULL, "The body must be a JSON object.");
    else
        return true;
    return false;
}

static void dispatch(struct admin_conn *a)
{
    struct http_request *r = &server.head;
    struct admin_call *c = &a->call;
    const struct page_asset *page;
    struct http_bad bad;
    size_t seen = 0;
    struct slice arg = {0};
    const char *allow;

    (void)http_request_parse(r, a->in.p, a->head_len, &seen, &bad); /* as before, but the bytes may have moved */
    *c = (struct admin_call){.method = r->method == HTTP_HEAD ? HTTP_GET : r->method, .path = r->path, .query = r->query,
                             .if_match = http_request_get(r, HTTP_IF_MATCH), .if_none_match = http_request_get(r, HTTP_IF_NONE_MATCH),
                             .accept_encoding = http_request_get(r, HTTP_ACCEPT_ENCODING), .arena = &a->arena,
                             .head = r->method == HTTP_HEAD, .conn = a};
    /* Asked again, as the key may have been deleted while the body came; copied, as it may be while the call runs. */
    if (a->keyed && !(c->by = arena_copy(c->arena, admin_key_of(r, admin.conf()))).n) {
        refuse(a, arena_overflowed(c->arena) ? 500 : 401, arena_overflowed(c->arena) ? "Out of memory." : key_needed, false);
        return;
    }
    a->state = RUNNING;
    server.running++;
    timer_disarm(&a->timer);
    a->in_handler = true;
    page = a->route ? NULL : page_find(r->path);
    if (page) {
        serve_page(c, page);
    } else if (a->route) {
        (void)admin_route_find(c->method, r->path, &arg, &allow);
        if (!admin_decode(arg, false, c->arena, &c->arg))
            admin_error(c, 404, NULL, "There is no such path.");
        else if (!takes_body(c->method) || read_json(a, slice_make(a->in.p + a->head_len, a->body_len)))
            a->route->run(c);
    }
    a->in_handler = false;
}

void admin_resume(struct admin_call *c, admin_handler *handler)
{
    struct admin_conn *a = c->conn;

    a->in_handler = true;
    handler(c);
    a->in_handler = false;
    if (a->state != RUNNING)
        run(a);
}

/* ---- Answers ---- */

/* JSON ends with one, for terminals. */
static size_t newline(const struct admin_reply *r)
{
    return r->body.n && !r->type.n && r->body.p[r->body.n - 1] != '\n';
}

static void put_head(struct http_out *o, const struct admin_conn *a, const struct admin_reply *r)
{
    http_out_status(o, r->status);
    if (r->status != 204 && r->status != 304)
        http_out_field(o, SLICE("content-type"), r->type.n ? r->type : SLICE("application/json"));
    if (r->status != 204 && r->status != 304)
        http_out_field_u64(o, SLICE("content-length"), r->body.n + newline(r));
    http_out_field(o, SLICE("cache-control"), r->cache ? SLICE("no-cache") : SLICE("no-store"));
    http_out_field(o, SLICE("x-content-type-options"), SLICE("nosniff"));
    http_out_field(o, SLICE("referrer-policy"), SLICE("no-referrer"));
    if (r->policy.n)
        http_out_field(o, SLICE("content-security-policy"), r->policy);
    if (r->etag.n)
        http_out_field(o, SLICE("etag"), r->etag);
    if (r->location.n)
        http_out_field(o, SLICE("location"), r->location);
    if (r->encoding.n) {
        http_out_field(o, SLICE("vary"), SLICE("accept-encoding"));
        if (!slice_eq(r->encoding, SLICE("identity")))
            http_out_field(o, SLICE("content-encoding"), r->encoding);
    }
    if (a->call.allow)
        http_out_field(o, SLICE("allow"), slice_str(a->call.allow));
    if (r->status == 401)
        http_out_field(o, SLICE("www-authenticate"), SLICE("Bearer"));
    if (r->retry_after_s)
        http_out_field_u64(o, SLICE("retry-after"), r->retry_after_s);
    if (!a->keep_alive)
        http_out_field(o, SLICE("connection"), SLICE("close"));
    http_out_end(o);
}

void admin_reply(struct admin_call *c, const struct admin_reply *r)
{
    struct admin_conn *a = c->conn;
    struct http_out o;
    const bool body = !c->head && r->body.n;

    must(a->state == RUNNING && !a->answered);
    server.running--;
    a->answered = true;
    a->keep_alive &= !server.draining;
    if (a->io && block_room(&a->out, HEAD_OUT + (body ? r->body.n + 1 : 0))) {
        http_out_init(&o, a->out.p, HEAD_OUT);
        put_head(&o, a, r);
        must(!o.bad);
        a->out.len = o.n;
        if (body && (!block_add(&a->out, r->body.p, r->body.n) || !block_add(&a->out, "\n", newline(r))))
            must(false); /* there is room */
    }
    a->state = WRITING;
    if (!a->in_handler)
        run(a);
}

bool admin_answered(const struct admin_call *c)
{
    return c->conn->answered;
}

/* ---- Writing ---- */

static enum admin_step next_call(struct admin_conn *a)
{
    size_t left = a->in.len - a->rest;

    let_go_call(a);
    explicit_bzero(a->in.p, a->rest);
    if (left)
        memmove(a->in.p, a->in.p + a->rest, left);
    a->in.len = left;
    if (!left)
        block_drop(&a->in);
    block_drop(&a->out);
    a->seen = a->head_len = a->body_len = a->sent = a->rest = 0;
    a->answered = a->unread = false;
    a->state = READING_HEAD;
    list_remove(&a->node);
    list_push_front(&server.all, &a->node);
    timer_arm(&a->timer, clock_ms() + (left ? ADMIN_READ_MS : ADMIN_IDLE_MS));
    if (server.draining)
        return drop(a);
    return conn_want(a->io, true, false) ? GO : drop(a);
}

static enum admin_step write_out(struct admin_conn *a)
{
    struct fault f;

    if (!a->io || a->out.len == 0) /* nobody is there, or no memory for an answer */
        return drop(a);
    while (a->sent < a->out.len) {
        struct slice piece = slice_make(a->out.p + a->sent, a->out.len - a->sent);
        size_t took;
        enum io io = conn_write(a->io, &piece, 1, &took, &f);

        if (io == IO_FAILED)
            return drop(a);
        if (io == IO_PARKED) {
            timer_arm(&a->timer, clock_ms() + ADMIN_WRITE_MS);
            return conn_want(a->io, false, true) ? STOP : drop(a);
        }
        a->sent += took;
    }
    if (a->keep_alive)
        return next_call(a);
    if (!a->unread)
        return drop(a);
    /* Closing on unread bytes would reset the connection and take the answer with it. */
    (void)sys_shutdown_write(a->io->fd);
    a->state = LINGERING;
    a->in.len = 0;
    timer_arm(&a->timer, clock_ms() + ADMIN_LINGER_MS);
    return conn_want(a->io, true, false) ? GO : drop(a);
}

static enum admin_step linger(struct admin_conn *a)
{
    enum admin_step s = read_more(a);

    if (s == GO && a->in.len > HTTP_DRAIN_MAX)
        return drop(a);
    return s;
}

/* ---- Relaying ---- */

static void on_peer(struct conn *c, unsigned events)
{
    (void)events;
    run(c->owner);
}

bool admin_relay(struct admin_call *c, const struct addr *to, struct slice request)
{
    struct admin_conn *a = c->conn;
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(to, &ss);
    int fd;

    must(a->state == RUNNING && !a->answered && a->in_handler);
    if (!a->io || !block_add(&a->out, request.p, request.n))
        return false;
    fd = sys_socket(to->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM);
    if (fd == -1 || (sys_connect(fd, (const struct sockaddr *)&ss, n) == -1 && errno != EINPROGRESS)) {
        sys_close(fd);
        block_drop(&a->out);
        return false;
    }
    a->peer = conn_open(fd, NULL, on_peer, a);
    if (!a->peer) {
        block_drop(&a->out);
        return false;
    }
    explicit_bzero(a->in.p, a->in.len); /* the call is over, and so are its slices */
    block_drop(&a->in);
    a->in = a->out;
    a->out = (struct block){0};
    let_go_call(a);
    a->answered = true;
    a->sent = 0;
    a->state = RELAYING;
    timer_arm(&a->timer, clock_ms() + ADMIN_TRY_MS);
    return true;
}

/* All of b that is not sent yet. STOP: it has to wait, or is over. */
static enum admin_step pass_on(struct admin_conn *a, struct conn *to, struct block *b)
{
    while (a->sent < b->len) {
        struct slice piece = slice_make(b->p + a->sent, b->len - a->sent);
        struct fault f;
        size_t took;
        enum io io = conn_write(to, &piece, 1, &took, &f);

        if (io == IO_FAILED)
            return drop(a);
        if (io == IO_PARKED)
            return conn_want(a->io, false, to == a->io) && conn_want(a->peer, false, to == a->peer) ? STOP : drop(a);
        a->sent += took;
    }
    a->sent = 0;
    b->len = 0;
    return GO;
}

static enum admin_step relay(struct admin_conn *a)
{
    struct fault f;
    size_t got;
    enum io io;

    if (a->events & SYS_GONE) /* the client left: so does its request */
        return drop(a);
    if (a->in.p) {
        if (pass_on(a, a->peer, &a->in) == STOP)
            return STOP;
        block_drop(&a->in);
    }
    if (pass_on(a, a->io, &a->out) == STOP)
        return STOP;
    if (!block_room(&a->out, RELAY))
        return drop(a);
    io = conn_read(a->peer, a->out.p, RELAY, &got, &f);
    if (io == IO_FAILED || (io == IO_DONE && got == 0))
        return drop(a);
    if (io == IO_PARKED)
        return conn_want(a->io, false, false) && conn_want(a->peer, true, false) ? STOP : drop(a);
    a->out.len = got;
    return GO;
}

static void run(struct admin_conn *a)
{
    enum admin_step s = GO;

    while (s == GO) {
        switch (a->state) {
        case READING_HEAD:
            s = read_head(a);
            break;
        case READING_BODY:
            s = read_body(a);
            break;
        case RUNNING:
            if (a->io && a->events & SYS_GONE)
                (void)drop(a);
            else if (a->io && !conn_want(a->io, false, false))
                (void)drop(a);
            return;
        case WRITING:
            s = write_out(a);
            break;
        case LINGERING:
            s = linger(a);
            break;
        case RELAYING:
            s = relay(a);
            break;
        }
    }
}

/* ---- The listener ---- */

void admin_init(const struct admin_hooks *hooks)
{
    admin = *hooks;
}

bool admin_open(const struct addr *at, int handed_over, const char **why)
{
    server.draining = false;
    list_init(&server.all);
    if (!pool_init(&server.pool, ADMIN_CONNS, sizeof(struct admin_conn))) {
        *why = "no address space";
        return false;
    }
    server.ready = true;
    return (handed_over != -1 && listen_adopt(&server.listener, handed_over, at, on_accept)) || listen_open(&server.listener, at, on_accept, why);
}

int admin_listener(void)
{
    return server.listener.fd;
}

const struct addr *admin_address(void)
{
    return &server.listener.local;
}

void admin_drain(void)
{
    if (!server.ready)
        return;
    server.draining = true;
    listen_close(&server.listener);
    for (struct list *n = server.all.next, *next; n != &server.all; n = next) {
        struct admin_conn *a = container_of(n, struct admin_conn, node);

        next = n->next;
        if (a->state == READING_HEAD && a->in.len == 0)
            (void)drop(a);
    }
}

uint32_t admin_busy(void)
{
    return server.running;
}
