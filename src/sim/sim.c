/* The simulator's connections. A request is read whole, ask.c finds out what it is about, and then a program runs: a string of
 * one-letter steps from the table of behaviours. What is said is written by say.c.
 *
 * Invariants: a client with unsent bytes waits for the socket and runs no step; one with an armed timer waits for that; a closed
 * client has neither, and its slot is free. */
#include "sim/sim.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/timer.h"
#include "http/body.h"
#include "http/head.h"
#include "http/write.h"
#include "net/listen.h"
#include "net/loop.h"
#include "sim/act.h"
#include "sim/ask.h"
#include "sim/say.h"

enum {
    BODY_KEPT_MAX = 1048576, /* more is read and dropped */
    PEN_BYTES = 2097152,     /* the longest event, and a chunk's frame around it: 32 KB of text escaped, three times */
    FRAME = 32,              /* before the payload, for the chunk's size */
    STEPS_PER_RUN = 64,      /* then others get their turn */
    BATCH_BYTES = 16384,     /* words without pause go out in such pieces */
    IN_FIRST = 4096,
};

enum client_state {
    CLIENT_HEAD,   /* waits for a request head */
    CLIENT_BODY,   /* waits for the rest of its body */
    CLIENT_ANSWER, /* runs the behaviour's program */
};

struct client {
    struct watch watch;
    struct timer timer;
    struct list node;
    int fd;
    enum client_state state;
    char *in;             /* head, then body, then what ask.c keeps of it; NULL between requests */
    size_t in_size, in_n, seen;
    char *out;            /* what the socket did not take */
    size_t out_size, out_n, out_at;
    struct http_body body;
    uint64_t body_n;      /* with what was dropped */
    struct ask ask;
    struct say say;
    const struct act *act;
    const char *step;     /* next one of the program */
    size_t text_at;       /* bytes of the text (or arguments) said so far */
    unsigned pieces;      /* words said so far */
    int64_t until_ms;     /* end of a long pause with pings */
    unsigned status;      /* of a refusal */
    bool keep_alive, opened, listing, unknown;
};

static struct {
    struct listener listener;
    struct pool pool;
    struct list clients;
    uint32_t count;
    uint64_t requests;
    char *pen;
    bool ready; /* tables are there: they are reserved once per process */
} sim = {.listener = {.fd = -1}};

static void run(struct client *c);

/* ---- Coming and going. ---- */

static void forget_input(struct client *c)
{
    if (c->in)
        mem_give(c->in, c->in_size);
    c->in = NULL;
    c->in_size = c->in_n = c->seen = 0;
}

static void client_close(struct client *c)
{
    timer_disarm(&c->timer);
    loop_unwatch(&c->watch);
    sys_close(c->fd);
    forget_input(c);
    if (c->out)
        mem_give(c->out, c->out_size);
    list_remove(&c->node);
    sim.count--;
    pool_give(&sim.pool, c);
}

static void client_reset(struct client *c)
{
    sys_reset_on_close(c->fd);
    client_close(c);
}

/* ---- Sending. False: the client is gone. ---- */

static bool keep_unsent(struct client *c, const char *p, size_t n)
{
    size_t size = n;

    must(c->out == NULL);
    c->out = mem_take(&size);
    if (!c->out || !loop_want(&c->watch, SYS_IN | SYS_OUT)) {
        if (c->out)
            c->out_size = size;
        client_reset(c);
        return false;
    }
    memcpy(c->out, p, n);
    c->out_size = size;
    c->out_n = n;
    c->out_at = 0;
    return true;
}

static bool send_bytes(struct client *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = sys_send(c->fd, p, n);

        if (sent == -1 && errno != EAGAIN && errno != EWOULDBLOCK) {
            client_close(c);
            return false;
        }
        if (sent == -1)
            return keep_unsent(c, p, n);
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool flush(struct client *c)
{
    while (c->out_at < c->out_n) {
        ssize_t sent = sys_send(c->fd, c->out + c->out_at, c->out_n - c->out_at);

        if (sent == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (sent == -1) {
            client_close(c);
            return false;
        }
        c->out_at += (size_t)sent;
    }
    mem_give(c->out, c->out_size);
    c->out = NULL;
    if (loop_want(&c->watch, SYS_IN))
        return true;
    client_close(c);
    return false;
}

/* Payload is written behind room for what goes before it. */
static struct pen pen_new(void)
{
    return (struct pen){.p = sim.pen + FRAME, .cap = PEN_BYTES - FRAME - 2};
}

static bool send_chunk(struct client *c, struct pen *pen)
{
    char head[HTTP_CHUNK_HEAD_MAX];
    size_t n = http_chunk_head(head, pen->n);

    must(!pen->full);
    if (pen->n == 0)
        return true; /* an empty chunk would end the body */
    memcpy(pen->p - n, head, n);
    memcpy(pen->p + pen->n, "\r\n", 2);
    return send_bytes(c, pen->p - n, n + pen->n + 2);
}

static struct slice request_id(const struct client *c, char out[24])
{
    uint64_t v = c->say.number;

    memcpy(out, "req_sim00000000", 15);
    for (int i = 14; i > 6; i--, v /= 10)
        out[i] = (char)('0' + v % 10);
    return slice_make(out, 15);
}

static void begin_head(const struct client *c, struct http_out *o, unsigned status, struct slice type)
{
    char id[24];

    http_out_status(o, status);
    http_out_field(o, SLICE("server"), SLICE("weir-sim"));
    http_out_field(o, SLICE("content-type"), type);
    http_out_field(o, c->say.surface == SURFACE_MESSAGES ? SLICE("request-id") : SLICE("x-request-id"), request_id(c, id));
}

/* A whole answer, or its head with the first `sent` bytes of the body. */
static bool send_plain(struct client *c, unsigned status, struct slice type, const struct pen *body, size_t sent)
{
    char head[1024];
    struct http_out o;

    must(!body->full);
    http_out_init(&o, head, sizeof head);
    begin_head(c, &o, status, type);
    if (status >= 300 && status < 400)
        http_out_field(&o, SLICE("location"), SLICE("https://example.com/v1/elsewhere"));
    if (status >= 400 && c->act->retry_after)
        http_out_field(&o, SLICE("retry-after"), slice_str(c->act->retry_after));
    http_out_field_u64(&o, SLICE("content-length"), body->n);
    http_out_end(&o);
    must(!o.bad);
    /* In one piece: two small sends are two packets. */
    must(o.n + sent <= PEN_BYTES);
    memmove(sim.pen + o.n, body->p, sent);
    memcpy(sim.pen, head, o.n);
    return send_bytes(c, sim.pen, o.n + sent);
}

static bool send_stream_head(struct client *c)
{
    char head[512];
    struct http_out o;

    http_out_init(&o, head, sizeof head);
    begin_head(c, &o, 200, SLICE("text/event-stream; charset=utf-8"));
    http_out_field(&o, SLICE("cache-control"), SLICE("no-cache"));
    http_out_field(&o, SLICE("transfer-encoding"), SLICE("chunked"));
    http_out_end(&o);
    must(!o.bad);
    return send_bytes(c, head, o.n);
}

/* ---- The steps. ---- */

enum then {
    THEN_NEXT, /* the step is done */
    THEN_SAME, /* once more, after the wait that was armed */
    THEN_STOP, /* nothing ever follows: silence */
    THEN_GONE, /* the client was closed */
};

static enum then next_if(bool alive)
{
    return alive ? THEN_NEXT : THEN_GONE;
}

/* What the pieces are cut from: the answer's text, or the tool's arguments. */
static struct slice spoken(const struct client *c)
{
    return c->say.tool.n ? c->say.args : c->say.text;
}

/* Words until the text's end or `most` of them; with a pace, one per timer. */
static enum then say_words(struct client *c, unsigned most)
{
    struct slice all = spoken(c);
    struct pen pen = pen_new();

    while (c->text_at < all.n && c->pieces < most) {
        struct slice piece = ask_piece(all, c->text_at);

        say_delta(&c->say, &pen, piece);
        c->text_at += piece.n;
        c->pieces++;
        if (c->act->pace_ms || pen.n > BATCH_BYTES) {
            if (!send_chunk(c, &pen))
                return THEN_GONE;
            timer_arm(&c->timer, clock_ms() + c->act->pace_ms);
            return THEN_SAME;
        }
    }
    return next_if(send_chunk(c, &pen));
}

/* Five seconds of nothing, or of pings when a stream is open. */
static enum then say_nothing_for_long(struct client *c)
{
    struct pen pen = pen_new();

    if (!c->until_ms)
        c->until_ms = clock_ms() + ACT_LONG_PAUSE_MS;
    if (clock_ms() >= c->until_ms) {
        c->until_ms = 0;
        return THEN_NEXT;
    }
    if (c->opened) {
        say_ping(&c->say, &pen);
        if (!send_chunk(c, &pen))
            return THEN_GONE;
    }
    int64_t next = clock_ms() + ACT_PING_MS;
    timer_arm(&c->timer, next < c->until_ms ? next : c->until_ms);
    return THEN_SAME;
}

static enum then say_refusal(struct client *c, unsigned status)
{
    struct pen pen = pen_new();

    say_error_body(&c->say, &pen, &c->act->error);
    return next_if(send_plain(c, status, SLICE("application/json"), &pen, pen.n));
}

static enum then say_html(struct client *c)
{
    struct pen pen = pen_new();

    pen_put(&pen, SLICE("<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body><h1>Just a moment</h1></body></html>\n"));
    return next_if(send_plain(c, 200, SLICE("text/html; charset=UTF-8"), &pen, pen.n));
}

static enum then say_answer(struct client *c, bool half)
{
    struct pen pen = pen_new();

    say_plain(&c->say, &pen);
    return next_if(send_plain(c, 200, say_content_type(c->say.surface), &pen, half ? pen.n / 2 : pen.n));
}

static enum then pause_once(struct client *c, int64_t ms)
{
    if (c->until_ms) {
        c->until_ms = 0;
        return THEN_NEXT;
    }
    c->until_ms = clock_ms() + ms;
    timer_arm(&c->timer, c->until_ms);
    return THEN_SAME;
}

static enum then step(struct client *c)
{
    static const char garbage[] = "SIM/1.0 200 this is not HTTP\n\n\0\x01\x02";
    struct pen pen = pen_new();

    switch ((enum act_step) * c->step) {
    case ACT_HEAD:
        return next_if(send_stream_head(c));
    case ACT_OPEN:
        c->opened = true;
        say_open(&c->say, &pen);
        return next_if(send_chunk(c, &pen));
    case ACT_WORDS:
        return say_words(c, UINT32_MAX);
    case ACT_THREE_WORDS:
        return say_words(c, 3);
    case ACT_CLOSE:
    case ACT_CLOSE_UNDONE:
        say_close(&c->say, &pen, *c->step == ACT_CLOSE);
        return next_if(send_chunk(c, &pen));
    case ACT_DONE:
        say_done(&pen);
        return next_if(send_chunk(c, &pen));
    case ACT_ERROR_EVENT:
        say_error_event(&c->say, &pen, &c->act->error, c->opened);
        return next_if(send_chunk(c, &pen));
    case ACT_LAST_CHUNK:
        return next_if(send_bytes(c, "0\r\n\r\n", 5));
    case ACT_PLAIN:
        return say_answer(c, false);
    case ACT_HALF_PLAIN:
        return say_answer(c, true);
    case ACT_REFUSE:
        return say_refusal(c, c->status);
    case ACT_ERROR_200:
        return say_refusal(c, 200);
    case ACT_EMPTY:
        return next_if(send_plain(c, 200, SLICE("application/json"), &pen, 0));
    case ACT_HTML:
        return say_html(c);
    case ACT_REDIRECT:
        return next_if(send_plain(c, 302, SLICE("text/plain"), &pen, 0));
    case ACT_GARBAGE:
        return next_if(send_bytes(c, garbage, sizeof garbage));
    case ACT_PAUSE:
        return pause_once(c, ACT_PAUSE_MS);
    case ACT_LONG_PAUSE:
        return say_nothing_for_long(c);
    case ACT_SILENCE:
        return THEN_STOP;
    case ACT_RESET:
        client_reset(c);
        return THEN_GONE;
    case ACT_FIN:
        client_close(c);
        return THEN_GONE;
    case ACT_MODELS:
        act_list(&pen, clock_wall_ms() / 1000);
        return next_if(send_plain(c, 200, SLICE("application/json"), &pen, pen.n));
    }
    must_fail(__FILE__, __LINE__, "a letter that is no step");
}

/* The answer is out: the next request, or the end. */
static void finish(struct client *c)
{
    if (!c->keep_alive) {
        client_close(c);
        return;
    }
    forget_input(c);
    c->state = CLIENT_HEAD;
}

static void run(struct client *c)
{
    for (int left = STEPS_PER_RUN; left > 0; left--) {
        if (c->out)
            return; /* on_ready goes on */
        if (*c->step == '\0') {
            finish(c);
            return;
        }
        switch (step(c)) {
        case THEN_NEXT:
            c->step++;
            break;
        case THEN_SAME:
        case THEN_STOP:
        case THEN_GONE:
            return;
        }
    }
    timer_arm(&c->timer, clock_ms());
}

/* ---- Requests. ---- */

static void begin_answer(struct client *c)
{
    const struct ask *a = &c->ask;

    c->state = CLIENT_ANSWER;
    c->say = (struct say){
        .surface = a->surface, .model = slice_make(a->model, a->model_n), .text = a->text, .tool = slice_make(a->tool, a->tool_n),
        .args = slice_make(a->args, a->args_n), .number = ++sim.requests, .input_tokens = c->body_n / 4 + 1,
        .output_tokens = a->words, .created_s = clock_wall_ms() / 1000, .inputs = a->inputs, .usage = a->usage,
        .cut_short = a->cut_short, .base64 = a->base64,
    };
    c->text_at = c->pieces = 0;
    c->until_ms = 0;
    c->opened = false;
    c->status = c->act->status ? c->act->status : c->ask.status;
    c->step = a->stream && surface_table[a->surface].streams && a->surface != SURFACE_IMAGES && a->surface != SURFACE_SPEECH
                  ? c->act->stream
                  : c->act->plain;
    run(c);
}

/* The request is there: what is it about, and what is to be done. */
static void request_read(struct client *c)
{
    if (c->listing)
        c->act = &act_models;
    else if (c->unknown || !ask_read(&c->ask, c->in, c->in_n, c->in_n == c->body_n))
        c->act = c->unknown ? &act_no_route : &act_bad_json;
    else
        c->act = act_choose(&c->ask);
    if (!c->listing && !c->unknown)
        ask_prepare(&c->ask, c->act);
    begin_answer(c);
}

static bool reserve(struct client *c, size_t more)
{
    size_t wanted = c->in_n + more;

    if (c->in && wanted <= c->in_size)
        return true;
    if (!c->in) {
        c->in_size = wanted < IN_FIRST ? IN_FIRST : wanted;
        c->in = mem_take(&c->in_size);
        return c->in != NULL;
    }
    char *larger = mem_grow(c->in, &c->in_size, c->in_n, wanted < 2 * c->in_size ? 2 * c->in_size : wanted);
    if (larger)
        c->in = larger;
    return larger != NULL;
}

/* Body bytes, decoded in place; what passes the bound is dropped. */
static void take_body(struct client *c, char *p, size_t n)
{
    size_t used, got;
    enum parse r = http_body_decode(&c->body, p, n, &used, &got);

    c->body_n += got;
    size_t keep = c->in_n + got <= BODY_KEPT_MAX ? got : BODY_KEPT_MAX - c->in_n;
    if (r == PARSE_BAD || !reserve(c, keep)) {
        client_reset(c);
        return;
    }
    memmove(c->in + c->in_n, p, keep); /* right behind a head they are there already */
    c->in_n += keep;
    if (r == PARSE_MORE)
        return;
    c->keep_alive = c->keep_alive && used == n; /* requests in a row are nothing an upstream connection of ours sends */
    request_read(c);
}

static void head_read(struct client *c, const struct http_request *r)
{
    size_t rest = c->in_n - r->head_len;

    c->keep_alive = r->keep_alive;
    c->listing = r->method == HTTP_GET && slice_ends(r->path, SLICE("/models"));
    ask_begin(&c->ask, r);
    c->unknown = !c->listing && (r->method != HTTP_POST || c->ask.surface == SURFACE_COUNT);
    if (c->unknown || c->listing)
        c->ask.surface = SURFACE_CHAT;
    http_body_init(&c->body, r->framing, r->length);
    c->body_n = 0;
    c->state = CLIENT_BODY;
    memmove(c->in, c->in + r->head_len, rest);
    c->in_n = 0;
    if (r->expect_continue && !send_bytes(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return;
    take_body(c, c->in, rest);
}

static void take_head(struct client *c)
{
    static struct http_request request; /* 5 KB, used within this call only */
    struct http_bad bad;

    switch (http_request_parse(&request, c->in, c->in_n, &c->seen, &bad)) {
    case PARSE_DONE:
        head_read(c, &request);
        return;
    case PARSE_MORE:
        if (c->in_n < HTTP_HEAD_MAX)
            return;
        break;
    case PARSE_BAD:
        break;
    }
    client_reset(c); /* only weir talks to it, and weir's heads are good */
}

static void on_ready(struct watch *w, unsigned events)
{
    struct client *c = container_of(w, struct client, watch);

    if (events & SYS_GONE) {
        client_close(c); /* cancelled: nobody reads on */
        return;
    }
    if (events & SYS_OUT && c->out) {
        if (!flush(c) || c->out)
            return;
        if (c->state == CLIENT_ANSWER && !timer_armed(&c->timer))
            run(c);
        return;
    }
    if (!(events & SYS_IN))
        return;
    char *p = loop_scratch();
    ssize_t n = sys_recv(c->fd, p, READ_MAX);
    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0 || c->state == CLIENT_ANSWER) {
        client_reset(c); /* gone, or it speaks out of turn */
        return;
    }
    if (c->state == CLIENT_BODY) {
        take_body(c, p, (size_t)n);
        return;
    }
    if (!reserve(c, (size_t)n)) {
        client_reset(c);
        return;
    }
    memcpy(c->in + c->in_n, p, (size_t)n);
    c->in_n += (size_t)n;
    take_head(c);
}

static void on_timer(struct timer *t)
{
    struct client *c = container_of(t, struct client, timer);

    if (!c->out)
        run(c); /* else when the socket has taken what waits */
}

static void on_accept(struct listener *l, int fd, const struct addr *peer)
{
    struct client *c = pool_take(&sim.pool);

    (void)l;
    (void)peer;
    if (!c) {
        sys_reset_on_close(fd);
        sys_close(fd);
        return;
    }
    c->fd = fd;
    timer_init(&c->timer, on_timer);
    if (!loop_watch(&c->watch, fd, SYS_IN, on_ready)) {
        sys_close(fd);
        pool_give(&sim.pool, c);
        return;
    }
    list_push_back(&sim.clients, &c->node);
    sim.count++;
}

/* ---- The interface. ---- */

bool sim_open(uint16_t *port, const char **why)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct addr at = addr_make(4, loopback, 0);

    must(sim.listener.fd == -1);
    *why = "no memory for the simulator";
    if (!sim.ready) {
        sim.pen = mem_table(1, PEN_BYTES);
        if (!sim.pen || !pool_init(&sim.pool, SIM_CLIENTS_MAX, sizeof(struct client)) || !ask_init())
            return false;
        list_init(&sim.clients);
        sim.ready = true;
    }
    if (!listen_open(&sim.listener, &at, on_accept, why))
        return false;
    *port = sim.listener.local.port;
    return true;
}

void sim_close(void)
{
    if (sim.listener.fd == -1)
        return;
    listen_close(&sim.listener);
    while (!list_empty(&sim.clients))
        client_close(container_of(sim.clients.next, struct client, node));
}

const char *sim_behaviour(size_t i)
{
    return act_id(i);
}

uint32_t sim_clients(void)
{
    return sim.count;
}
