/* The machine of one attempt. Before commit everything that came is held, either in the loop's scratch (within one wake-up) or in a block of
 * the budget, so that a failure leaves no trace at the client. */
#include "gate/upstream.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "gate/headers.h"
#include "gate/held.h"
#include "gate/judge.h"
#include "gate/resume.h"
#include "gate/rewrite.h"
#include "http/write.h"
#include "net/idle.h"

enum {
    ERROR_BODY_GRACE_MS = 2000, /* a stalling error body: act on the status alone after that (F-078) */
    LET_END_MS = 1000,          /* for the framing's end behind a stream's last event */
    HEAD_OUT_MAX = HTTP_HEAD_MAX + 8192,
};

static void on_news(struct conn *c, unsigned events);
static void on_dialled(void *owner, int fd, const struct addr *peer, struct fault f);
static void on_timer(struct timer *t);

/* ---- The end of an attempt ---- */

static void close_conn(struct upstream *up)
{
    if (up->conn && up->poolable && up->body_done && up->sent_all && !(up->events & SYS_GONE))
        idle_park(&up->conn, up->pool_key);
    else
        conn_drop(&up->conn);
}

void upstream_end(struct upstream *up, struct up_result result)
{
    if (up->dial) {
        dial_cancel(up->dial);
        up->dial = NULL;
    }
    timer_disarm(&up->timer);
    if (result.answered && !held_retain(up))
        result.answered = false;
    up->result = result;
    close_conn(up);
    upstream_enter(up, UP_FAILED);
}

void upstream_fail(struct upstream *up, enum outcome outcome, struct fault f)
{
    struct up_result r = {.outcome = outcome, .status = up->status, .fault = f, .retry_after_ms = -1};

    /* Our own limits are nobody's fault but ours: no health is touched by them. */
    if (f.kind == FAULT_LOCAL || f.kind == FAULT_NO_MEMORY)
        r.outcome = OUTCOME_LOCAL;
    up->poolable = false;
    upstream_end(up, r);
}

/* An answer came, but it can't be used. */
void upstream_unusable(struct upstream *up, enum fault_kind kind, const char *what)
{
    struct up_result r = {.outcome = OUTCOME_UPSTREAM_ERROR,
                          .status = up->status,
                          .fault = fault_make(kind, 0, what),
                          .retry_after_ms = -1};

    up->poolable = up->poolable && up->body_done && kind == FAULT_NONE;
    upstream_end(up, r);
}

void upstream_drop(struct upstream **slot)
{
    struct upstream *up = *slot;

    if (!up)
        return;
    *slot = NULL;
    if (up->dial)
        dial_cancel(up->dial);
    timer_disarm(&up->timer);
    held_forget_parsed(up);
    close_conn(up);
    block_drop(&up->held);
    pool_give(gate.up_pool, up);
}

/* ---- Timers ---- */

static const struct conf_gateway *timeouts(const struct upstream *up)
{
    return &up->x->world->conf->gateway;
}

static void arm(struct upstream *up)
{
    int64_t due = 0;
    const struct conf_gateway *t = timeouts(up);

    switch (up->state) {
    case UP_DIAL:
    case UP_HANDSHAKE:
        due = t->connect_timeout_ms ? up->started_ms + t->connect_timeout_ms : 0;
        due = min_due(due, t->per_request_timeout_ms ? up->started_ms + t->per_request_timeout_ms : 0);
        due = min_due(due, up->first_token_due_ms);
        break;
    case UP_SEND:
    case UP_HEAD:
    case UP_HOLD:
        due = t->per_request_timeout_ms ? up->started_ms + t->per_request_timeout_ms : 0;
        due = min_due(due, up->first_token_due_ms);
        break;
    case UP_ERROR:
        due = min_due(clock_ms() + ERROR_BODY_GRACE_MS,
                      t->per_request_timeout_ms ? up->started_ms + t->per_request_timeout_ms : 0);
        break;
    case UP_FLOW:
        due = t->stream_idle_timeout_ms ? clock_ms() + t->stream_idle_timeout_ms : 0;
        break;
    case UP_OFF:
    case UP_READY:
    case UP_ENDING: /* upstream_let_end arms its own */
    case UP_FAILED:
        break;
    }
    if (due)
        timer_arm(&up->timer, due);
    else
        timer_disarm(&up->timer);
}

static const uint16_t edges[UP_STATE_COUNT] = {
#define TO(s) (uint16_t)(1u << UP_##s)
    [UP_OFF] = TO(DIAL) | TO(SEND) | TO(FAILED),
    [UP_DIAL] = TO(HANDSHAKE) | TO(FAILED),
    [UP_HANDSHAKE] = TO(SEND) | TO(FAILED),
    [UP_SEND] = TO(HEAD) | TO(ERROR) | TO(HOLD) | TO(DIAL) | TO(FAILED),
    [UP_HEAD] = TO(ERROR) | TO(HOLD) | TO(DIAL) | TO(FAILED),
    [UP_ERROR] = TO(FAILED),
    [UP_HOLD] = TO(READY) | TO(FAILED),
    [UP_READY] = TO(FLOW),
    [UP_FLOW] = TO(ENDING),
    [UP_ENDING] = 0,
    [UP_FAILED] = 0,
#undef TO
};

void upstream_enter(struct upstream *up, enum up_state to)
{
    must(edges[up->state] & (1u << to));
    up->state = to;
    if (up->x)
        arm(up);
}

void upstream_flow(struct upstream *up)
{
    upstream_enter(up, UP_FLOW);
}

static void ending_over(struct upstream *up)
{
    upstream_drop(&up);
}

static void on_timer(struct timer *t)
{
    struct upstream *up = container_of(t, struct upstream, timer);

    if (up->state == UP_ENDING) {
        ending_over(up);
        return;
    }
    up->timed_out = true;
    xchg_run(up->x, NEWS_UPSTREAM);
}

/* A phase timer went off. */
static void time_out(struct upstream *up)
{
    const struct conf_gateway *t = timeouts(up);
    int64_t now = clock_ms();

    up->timed_out = false;
    switch (up->state) {
    case UP_DIAL:
    case UP_HANDSHAKE:
        if (t->connect_timeout_ms && now >= up->started_ms + t->connect_timeout_ms) {
            upstream_fail(up, OUTCOME_TIMEOUT, fault_make(FAULT_TIMEOUT, 0, up->state == UP_DIAL ? "no connection within connectTimeout"
                                                                                        : "no TLS handshake within connectTimeout"));
            return;
        }
        break;
    case UP_ERROR:
        judge_error(up);
        return;
    case UP_SEND:
    case UP_HEAD:
    case UP_HOLD:
        break;
    case UP_OFF:
    case UP_READY:
    case UP_FLOW: /* relay.c looks at timed_out itself */
    case UP_ENDING:
    case UP_FAILED:
        return;
    }
    if (t->per_request_timeout_ms && now >= up->started_ms + t->per_request_timeout_ms) {
        upstream_fail(up, OUTCOME_TIMEOUT,
             fault_make(FAULT_TIMEOUT, 0, up->state == UP_HOLD ? "the answer was not complete within perRequestTimeout"
                                                               : "no answer within perRequestTimeout"));
        return;
    }
    if (up->first_token_due_ms && now >= up->first_token_due_ms) {
        up->first_token_due_ms = 0; /* on the last attempt it does not apply */
        if (attempts_left(&up->x->attempts, up->x->world->health, now)) {
            upstream_fail(up, OUTCOME_TIMEOUT, fault_make(FAULT_TIMEOUT, 0, "no content within firstTokenTimeout"));
            return;
        }
    }
    arm(up);
}

/* ---- Dialling ---- */

static void dial(struct upstream *up)
{
    const struct provider *p = up->attempt->key->provider;
    struct dial *d;

    upstream_enter(up, UP_DIAL);
    d = dial_start(p->base.host, p->base.port, p->sim, on_dialled, up);
    if (up->state == UP_DIAL)
        up->dial = d;
}

static void on_dialled(void *owner, int fd, const struct addr *peer, struct fault f)
{
    struct upstream *up = owner;
    const struct provider *p = up->attempt->key->provider;
    struct tls *tls = NULL;

    (void)peer;
    up->dial = NULL;
    if (fd == -1 && (f.sys == EMFILE || f.sys == ENFILE) && !up->evicted && idle_evict()) {
        struct dial *d;

        up->evicted = true; /* the parked one's descriptor is ours now (L-02) */
        d = dial_start(p->base.host, p->base.port, p->sim, on_dialled, up);
        if (up->state == UP_DIAL)
            up->dial = d;
        return;
    }
    if (fd == -1) {
        upstream_fail(up, OUTCOME_UNREACHABLE, f);
    } else if (p->base.https && !up->x->world->trust) {
        sys_close(fd);
        upstream_fail(up, OUTCOME_UNREACHABLE, fault_make(FAULT_TLS, 0, "no trust anchors are loaded: set upstream.caFile"));
    } else if (p->base.https &&
               !(tls = tls_open_client(world_trust(up->x->world), p->base.host, p->base.port, up->pool_key, &f))) {
        sys_close(fd);
        upstream_fail(up, OUTCOME_UNREACHABLE, f);
    } else if (!(up->conn = conn_open(fd, tls, on_news, up))) {
        upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "no connection slot left"));
    } else {
        upstream_enter(up, UP_HANDSHAKE);
    }
    xchg_run(up->x, NEWS_UPSTREAM);
}

static void on_news(struct conn *c, unsigned events)
{
    struct upstream *up = c->owner;

    up->events |= events;
    if (up->state == UP_ENDING)
        upstream_poll(up);
    else
        xchg_run(up->x, NEWS_UPSTREAM);
}

/* A parked connection turned out to be closed before a byte came back: once more on a fresh one (RFC 9112 9.3.1; R-21). */
static bool retry_fresh(struct upstream *up)
{
    if (!up->reused || up->retried || up->answered_byte)
        return false;
    conn_drop(&up->conn);
    up->reused = false;
    up->retried = true;
    up->sent = 0;
    up->sent_all = false;
    up->events = 0;
    dial(up);
    return true;
}

/* ---- The request ---- */

/* The bytes of the whole request as pieces, made anew from the untouched client body each time they are needed, so that a partial send
 * keeps nothing but its count. Returns how many, -1 when a value may not leave (then nothing is sent). */
static int build_request(struct upstream *up, struct slice *piece, int cap)
{
    static char head[HEAD_OUT_MAX];
    static struct rewrite_text text;
    const struct xchg *x = up->x;
    const struct provider *p = up->attempt->key->provider;
    const struct rewrite change = {.text = slice_make(x->text.p, x->text.len),
                                   .member = x->member,
                                   .nmembers = x->nmembers,
                                   .at = x->at,
                                   .surface = x->surface,
                                   .stream_options = x->usage_options,
                                   .max_output_tokens = x->world->conf->gateway.max_output_tokens,
                                   .key = up->attempt->key,
                                   .known = up->attempt->known,
                                   .model = up->attempt->model,
                                   .said = resume_on(x) ? slice_make(x->resume->ask.p, x->resume->ask.len) : slice_make(NULL, 0),
                                   .said_at = resume_on(x) ? x->resume->insert_at : 0,
                                   .spent = resume_on(x) ? resume_spent(x) : 0};
    struct json_edits edits;
    struct http_out o;
    size_t body_len;
    int n;

    rewrite_body(&change, &edits, &text);
    n = json_edit_pieces(&edits, piece + 1, (size_t)cap - 1, &body_len);
    if (n < 0)
        return -1;
    http_out_init(&o, head, sizeof head);
    http_out_request(&o, SLICE("POST"), p->base.path, surface_table[x->surface].path, x->query);
    http_out_ready(&o, SLICE("host: "), p->authority);
    headers_credential(&o, x->surface, up->attempt->key, x->has_anthropic_version);
    http_out_keep(&o, SLICE("accept-encoding: identity\r\n"));
    http_out_length(&o, body_len);
    http_out_keep(&o, x->forward);
    http_out_end(&o);
    if (o.bad)
        return -1;
    piece[0] = slice_make(o.p, o.n);
    return n + 1;
}

static bool take_answer(struct upstream *up);
static bool ended(struct upstream *up, struct fault f);

/* Sends what is left. False: nothing more to do in this wake-up. */
static bool send_request(struct upstream *up)
{
    struct slice piece[JSON_PIECES_MAX + 1];
    int n = up->sent_all ? 0 : build_request(up, piece, (int)(sizeof piece / sizeof *piece));
    size_t skip = up->sent;
    struct fault f = {0};
    enum io io = IO_DONE;
    int from = 0;

    if (n < 0) {
        upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "the request can't be written: a value holds bytes a header may not"));
        return true;
    }
    for (; from < n && skip >= piece[from].n; from++)
        skip -= piece[from].n;
    while (from < n) {
        size_t took;
        struct slice first = piece[from];

        piece[from] = slice_from(first, skip);
        io = conn_write(up->conn, piece + from, n - from, &took, &f);
        if (io != IO_DONE)
            break;
        up->sent += took;
        for (skip = 0; from < n && took >= piece[from].n; from++)
            took -= piece[from].n;
        skip = took;
    }
    if (from == n) {
        up->sent_all = true;
        io = conn_flush(up->conn, &f);
        if (io == IO_DONE) {
            if (!conn_want(up->conn, true, false)) {
                upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
                return true;
            }
            upstream_enter(up, UP_HEAD);
            return true;
        }
    }
    if (io == IO_PARKED) {
        if (up->events & (SYS_IN | SYS_GONE))
            return take_answer(up); /* an early answer, or the end */
        if (!conn_want(up->conn, true, true))
            upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
        return up->state == UP_FAILED;
    }
    /* Writing failed: the peer may have answered before it closed (RFC 9112 9.5). */
    up->events |= SYS_IN;
    up->poolable = false;
    if (take_answer(up))
        return true;
    if (!up->answered_byte) /* nothing came back: the fault stands */
        return ended(up, f);
    if (!conn_want(up->conn, true, false)) {
        upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
        return true;
    }
    return false; /* part of an early answer is here: its rest may come, but nothing more is sent */
}

/* ---- The answer ---- */

/* The connection ended or broke, with the body unfinished. True: the state changed. */
static bool ended(struct upstream *up, struct fault f)
{
    switch (up->state) {
    case UP_SEND:
    case UP_HEAD:
        if (!retry_fresh(up))
            upstream_fail(up, OUTCOME_UNREACHABLE, f);
        return true;
    case UP_ERROR:
        judge_error(up);
        return true;
    case UP_HOLD:
        upstream_unusable(up, FAULT_CLOSED, "the answer was cut short");
        return true;
    case UP_OFF:
    case UP_DIAL:
    case UP_HANDSHAKE:
    case UP_READY:
    case UP_FLOW:
    case UP_ENDING:
    case UP_FAILED:
        break;
    }
    return false;
}

/* Parses the head in the region; n fresh bytes stand behind it. True: the state changed. */
static bool take_head(struct upstream *up, size_t fresh)
{
    for (;;) {
        struct http_bad bad;
        size_t len;
        char *p;
        enum parse parse;

        if (up->view)
            up->view_len += fresh;
        else
            up->held.len += fresh;
        fresh = 0;
        p = held_region(up, &len);
        gate.parsed_for = up;
        parse = http_response_parse(&gate.response, p, len, &up->head_seen, false, &bad);
        if (parse == PARSE_MORE)
            return false;
        if (parse == PARSE_BAD) {
            upstream_fail(up, OUTCOME_UPSTREAM_ERROR, fault_make(FAULT_PROTOCOL, 0, bad.why));
            return true;
        }
        if (gate.response.status >= 200)
            break;
        if (gate.response.status == 101 || ++up->interim > HTTP_INTERIM_MAX) {
            upstream_fail(up, OUTCOME_UPSTREAM_ERROR,
                 fault_make(FAULT_PROTOCOL, 0, gate.response.status == 101 ? "the provider switched protocols unasked"
                                                                           : "too many interim responses"));
            return true;
        }
        len -= gate.response.head_len; /* an interim head: forget it and look behind it */
        memmove(p, p + gate.response.head_len, len);
        if (up->view)
            up->view_len = len;
        else
            up->held.len = len;
        up->head_seen = 0;
    }
    {
        struct fault f;
        size_t len, body;

        (void)held_region(up, &len);
        up->head_len = gate.response.head_len;
        body = len - up->head_len;
        if (up->view)
            up->view_len = up->head_len;
        else
            up->held.len = up->head_len;
        judge_head(up, &gate.response);
        if (up->state != UP_FAILED && held_decode(up, body, &f) == IO_FAILED)
            upstream_unusable(up, f.kind, f.what);
        if (up->state == UP_ERROR || up->state == UP_HOLD)
            (void)judge(up);
        return true;
    }
}

/* One read and what follows from it. True: the state changed or there may be more to do. */
static bool take_answer(struct upstream *up)
{
    struct fault f = {0};
    size_t got;
    enum io io;

    if (up->state == UP_SEND || up->state == UP_HEAD) {
        io = held_read(up, &got, &f);
        if (io == IO_DONE)
            return take_head(up, got);
    } else {
        io = held_take(up, &f);
        if (io == IO_DONE)
            return judge(up);
    }
    if (io == IO_PARKED)
        return false;
    if (f.kind == FAULT_NO_MEMORY && up->state == UP_HOLD) {
        upstream_enter(up, UP_READY); /* no room to hold on: better committed early than failed */
        return true;
    }
    if (f.kind == FAULT_PROTOCOL && up->state != UP_ERROR) {
        upstream_unusable(up, f.kind, f.what);
        return true;
    }
    return ended(up, f);
}

/* ---- The machine ---- */

static bool step(struct upstream *up)
{
    struct fault f = {0};

    switch (up->state) {
    case UP_OFF:
    case UP_DIAL:
    case UP_READY:
    case UP_FLOW:
    case UP_FAILED:
        return false;
    case UP_HANDSHAKE:
        switch (conn_handshake(up->conn, &f)) {
        case IO_DONE:
            upstream_enter(up, UP_SEND);
            return true;
        case IO_PARKED:
            if (conn_want(up->conn, true, false))
                return false;
            f = fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket");
            break;
        case IO_FAILED:
            break;
        }
        upstream_fail(up, OUTCOME_UNREACHABLE, f);
        return true;
    case UP_SEND:
        return send_request(up);
    case UP_HEAD:
    case UP_ERROR:
    case UP_HOLD:
        return take_answer(up);
    case UP_ENDING:
        if (held_take(up, &f) == IO_PARKED)
            return false;
        if (!up->body_done && held_body(up).n) {
            up->poolable = false; /* events behind [DONE]: nobody waits for them */
            held_consume(up, held_body(up).n);
        }
        up->view = NULL;
        if (up->body_done || f.kind != FAULT_NONE || !up->poolable)
            ending_over(up);
        return false;
    }
    return false;
}

void upstream_poll(struct upstream *up)
{
    bool ending = up->state == UP_ENDING;

    if (up->timed_out)
        time_out(up);
    while (step(up))
        ;
    if (ending)
        return; /* may be gone */
    if (up->state != UP_READY && up->state != UP_FAILED && !held_retain(up)) {
        if (up->state == UP_HOLD)
            upstream_enter(up, UP_READY);
        else
            upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_NO_MEMORY, 0, "the memory budget is spent"));
    }
}

bool upstream_start(struct xchg *x, int place, struct attempt *a)
{
    struct upstream *up = pool_take(gate.up_pool);
    const struct conf_gateway *t = &x->world->conf->gateway;

    if (!up)
        return false;
    x->up[place] = up;
    up->x = x;
    up->attempt = a;
    up->started_ms = clock_ms();
    up->pool_key = x->world->pool_key[a->key->index];
    if (x->wants_stream && t->first_token_timeout_ms)
        up->first_token_due_ms = up->started_ms + t->first_token_timeout_ms;
    timer_init(&up->timer, on_timer);
    up->conn = idle_take(up->pool_key);
    if (up->conn) {
        conn_hand_over(up->conn, on_news, up);
        up->reused = true;
        upstream_enter(up, UP_SEND);
    } else {
        dial(up);
    }
    return true;
}

void upstream_let_end(struct upstream **slot)
{
    struct upstream *up = *slot;

    *slot = NULL;
    held_consume(up, held_body(up).n);
    up->view = NULL;
    block_drop(&up->held);
    if (up->body_done || !up->conn || !conn_want(up->conn, true, false)) {
        upstream_drop(&up);
        return;
    }
    up->x = NULL;
    upstream_enter(up, UP_ENDING);
    timer_arm(&up->timer, clock_ms() + LET_END_MS);
}
