/* The machine of one client connection: request after request, each with its attempts. Events only leave bits; xchg_run walks the states until
 * nothing more can be done, then computes what to wait for. Objects are freed at the end of the turn (defer), never from deep inside. */
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "gate/account.h"
#include "gate/exchange.h"
#include "gate/intake.h"
#include "gate/relay.h"
#include "gate/reply.h"
#include "gate/resume.h"
#include "gate/trace.h"
#include "gate/upstream.h"

enum turn { TURN_AGAIN, TURN_PARK };

static const char *const state_names[XCHG_STATE_COUNT] = {
#define X(name) [XCHG_##name] = #name,
    XCHG_STATES(X)
#undef X
};

static const unsigned edges[XCHG_STATE_COUNT] = {
#define TO(s) (1u << XCHG_##s)
    [XCHG_READ_HEAD] = TO(READ_BODY) | TO(ATTEMPT) | TO(FLUSH) | TO(OVER),
    [XCHG_READ_BODY] = TO(ATTEMPT) | TO(FLUSH) | TO(OVER),
    [XCHG_ATTEMPT] = TO(RELAY) | TO(FLUSH) | TO(OVER),
    [XCHG_RELAY] = TO(ATTEMPT) | TO(FLUSH) | TO(OVER), /* committed: back to ATTEMPT only to go on with a stream (resume.c) */
    [XCHG_FLUSH] = TO(READ_HEAD) | TO(LINGER) | TO(OVER),
    [XCHG_LINGER] = TO(OVER),
    [XCHG_OVER] = 0,
#undef TO
};

const char *xchg_state_name(enum xchg_state s)
{
    return state_names[s];
}

const char *xchg_end_name(enum xchg_end e)
{
    static const char *const name[] = {
#define X(id, text) [END_##id] = text,
        XCHG_ENDS(X)
#undef X
    };
    return name[e];
}

void xchg_enter(struct xchg *x, enum xchg_state to)
{
    must(edges[x->state] & (1u << to));
    x->state = to;
    if (to != XCHG_READ_HEAD)
        list_remove(&x->idle); /* it waits for no request any more, so it must not be taken to make room for another */
    if (xchg_queued(x))
        timer_arm(&x->timer, clock_ms() + WRITE_STALL_MS); /* it watches the client take what is queued */
    else
        timer_disarm(&x->timer);
}

/* ---- Towards the client ---- */

/* Writes what is queued. False: the client is gone. */
static bool flush_out(struct xchg *x)
{
    struct fault f;

    while (xchg_queued(x)) {
        struct slice rest = slice_make(x->out.p + x->out_off, xchg_queued(x));
        size_t took;
        enum io io = conn_write(x->conn, &rest, 1, &took, &f);

        if (io == IO_FAILED)
            return false;
        if (io == IO_PARKED)
            return true;
        x->out_off += took;
        timer_arm(&x->timer, clock_ms() + WRITE_STALL_MS);
    }
    if (x->out.p) {
        block_drop(&x->out);
        x->out_off = 0;
        timer_disarm(&x->timer);
    }
    return conn_flush(x->conn, &f) != IO_FAILED;
}

bool xchg_send(struct xchg *x, const struct slice *piece, int n)
{
    struct fault f;
    size_t took = 0;

    for (int i = 0; i < n; i++)
        x->bytes_out += piece[i].n;
    if (!xchg_queued(x) && conn_write(x->conn, piece, n, &took, &f) == IO_FAILED)
        return false;
    if (x->out_off && x->out_off >= x->out.len / 2) { /* a client that is always a little behind must not make the queue grow */
        memmove(x->out.p, x->out.p + x->out_off, xchg_queued(x));
        x->out.len -= x->out_off;
        x->out_off = 0;
    }
    for (int i = 0; i < n; i++) {
        if (took >= piece[i].n) {
            took -= piece[i].n;
            continue;
        }
        if (!xchg_queued(x))
            timer_arm(&x->timer, clock_ms() + WRITE_STALL_MS);
        if (!block_add(&x->out, piece[i].p + took, piece[i].n - took))
            return false;
        took = 0;
    }
    return true;
}

/* ---- The end of a request, and of a connection ---- */

static void drop_attempts(struct xchg *x, const char *why)
{
    for (int i = 0; i < XCHG_UPSTREAMS; i++) {
        struct upstream *up = x->up[i];

        if (!up)
            continue;
        attempts_end(&x->attempts, x->world->health, up->attempt, OUTCOME_CANCELLED, 0,
                     fault_make(FAULT_CANCELLED, 0, why), -1, up->started_ms, clock_ms());
        upstream_drop(&x->up[i]);
    }
    relay_let_go(x);
}

/* Leaves the log line and makes the struct ready for the next request. */
static void request_over(struct xchg *x)
{
    drop_attempts(x, "the request ended");
    if (x->active) {
        account_request(x);
        trace_request(x);
    }
    if (x->active && !timer_armed(&gate.trim))
        timer_arm(&gate.trim, clock_ms() + TRIM_MS);
    resume_give_up(x);
    x->resume = NULL;
    block_drop(&x->text);
    block_drop(&x->last);
    arena_reset(&x->arena);
    x->attempts = (struct attempts){0};
    x->member = NULL;
    x->check = NULL;
    x->key = NULL;
    world_put(x->world); /* last: the above points into it */
    x->world = NULL;
    x->forward = x->query = x->usage_options = slice_make(NULL, 0);
    x->head_seen = 0;
    x->has_surface = x->wants_stream = x->asks = x->priced = x->active = x->heartbeat_sent = x->chunked = x->head_only = false;
    x->began_ms = x->body_began_ms = x->total_due_ms = x->hedge_due_ms = x->heartbeat_due_ms = x->first_byte_ms = 0;
    x->end = END_OPEN;
    x->status = 0;
    x->refusal = NULL;
    x->bytes_in = x->bytes_out = 0;
    x->usage = (struct llm_usage){0};
    memset(&x->streamed, 0, sizeof x->streamed);
    x->asked_bytes = x->head_out = x->cost = 0;
    x->ticket = (struct limits_ticket){0};
    x->stop_reason[0] = '\0';
    x->committed = 0;
}

void xchg_abandon(struct xchg *x)
{
    if (!x->active)
        return;
    if (x->end == END_OPEN)
        x->end = x->committed ? END_CUT : END_ERROR;
    if (!x->status)
        x->status = 503; /* what it would have been told */
    request_over(x);
}

static void client_left(struct xchg *x)
{
    drop_attempts(x, "the client left");
    x->end = END_CLIENT_GONE;
    if (!x->status)
        x->status = 499; /* never sent; nginx's word for it, which log readers know */
    xchg_enter(x, XCHG_OVER);
}

/* How many connections the address has open. */
static uint32_t *peer_count(const struct addr *a)
{
    return &gate.peer[hash_bytes(slice_make((const char *)a->ip, sizeof a->ip), gate.peer_seed) % PEER_SLOTS];
}

static void reap(struct defer *d)
{
    struct xchg *x = container_of(d, struct xchg, defer);

    if (x->state != XCHG_OVER) { /* deferred for fairness, not for death */
        xchg_run(x, NEWS_AGAIN);
        return;
    }
    request_over(x);
    timer_disarm(&x->timer);
    conn_drop(&x->conn);
    shared_put(x->identity);
    block_drop(&x->in);
    block_drop(&x->out);
    list_remove(&x->node);
    list_remove(&x->idle);
    gate.open--;
    gate.surplus -= x->surplus;
    (*peer_count(&x->peer))--;
    pool_give(gate.xchg_pool, x);
}

/* ---- States ---- */

static enum turn turn_read_head(struct xchg *x)
{
    struct fault f;
    int64_t due;

    if (!x->secured) {
        switch (conn_handshake(x->conn, &f)) {
        case IO_DONE:
            x->secured = true;
            x->client_events |= SYS_IN;
            break;
        case IO_PARKED:
            if (!(x->news & NEWS_TIMER))
                return TURN_PARK;
            xchg_enter(x, XCHG_OVER);
            return TURN_AGAIN;
        case IO_FAILED:
            log_say(LOG_DEBUG, "a client's TLS handshake failed: %s", f.what);
            xchg_enter(x, XCHG_OVER);
            return TURN_AGAIN;
        }
    }
    switch (x->news & NEWS_TIMER ? intake_late(x) : intake_head(x)) {
    case INTAKE_MORE:
        if (gate.draining && !gate.retiring && !x->began_ms) {
            xchg_enter(x, XCHG_OVER);
            return TURN_AGAIN;
        }
        due = x->began_ms ? x->began_ms + HEAD_DEADLINE_MS : clock_ms() + IDLE_DEADLINE_MS;
        if (!x->began_ms && !list_linked(&x->idle))
            list_push_back(&gate.idle, &x->idle);
        timer_arm(&x->timer, due);
        return TURN_PARK;
    case INTAKE_BODY:
        xchg_enter(x, XCHG_READ_BODY);
        return TURN_AGAIN;
    case INTAKE_ROUTED:
        timer_disarm(&x->timer);
        xchg_enter(x, XCHG_ATTEMPT);
        return TURN_AGAIN;
    case INTAKE_ANSWERED:
        return TURN_AGAIN;
    case INTAKE_GONE:
        xchg_enter(x, XCHG_OVER);
        return TURN_AGAIN;
    }
    return TURN_PARK;
}

/* The drain's deadline, for who has no answer yet. */
static enum turn cut_short(struct xchg *x)
{
    drop_attempts(x, "the gateway stops");
    reply_refuse(x, REFUSAL_OVERLOADED, (struct refusal_detail){.retry_after_s = 1, .should_retry = true},
                 "This gateway process is stopping. Send the request again.");
    return TURN_AGAIN;
}

/* Slow senders are measured by their average since the body began: a grace, then a least rate (L-38). */
static int64_t body_due(const struct xchg *x)
{
    return x->body_began_ms + BODY_GRACE_MS + (int64_t)(x->text.len * 1000 / BODY_RATE_MIN);
}

static enum turn turn_read_body(struct xchg *x)
{
    enum intake r = INTAKE_MORE;

    if (!flush_out(x)) { /* a 100 Continue that did not leave whole */
        client_left(x);
        return TURN_AGAIN;
    }
    if (x->news & NEWS_CUT) {
        x->unread = true;
        return cut_short(x);
    }
    if (x->news & NEWS_TIMER && clock_ms() >= body_due(x))
        r = intake_late(x);
    else
        r = intake_body(x);
    switch (r) {
    case INTAKE_MORE:
    case INTAKE_BODY:
        timer_arm(&x->timer, body_due(x));
        return TURN_PARK;
    case INTAKE_ROUTED:
        timer_disarm(&x->timer);
        xchg_enter(x, XCHG_ATTEMPT);
        return TURN_AGAIN;
    case INTAKE_ANSWERED:
        return TURN_AGAIN;
    case INTAKE_GONE:
        client_left(x);
        return TURN_AGAIN;
    }
    return TURN_PARK;
}

/* A reload came while the attempt ran: what it learned counts for the requests that begin now as well. */
static void tell_new_world(struct xchg *x, const struct upstream *up)
{
    const struct up_result *r = &up->result;
    const struct credential *same = x->world == gate.world ? NULL : world_same_key(x->world, gate.world, up->attempt->key);

    if (same)
        health_tell(gate.world->health, same, up->attempt->model, r->outcome, r->status != 0, r->retry_after_ms, clock_ms());
}

/* Books a failed attempt and keeps its answer if it may have to be passed on. */
static void attempt_failed(struct xchg *x, int place)
{
    struct upstream *up = x->up[place];
    struct up_result *r = &up->result;

    attempts_end(&x->attempts, x->world->health, up->attempt, r->outcome, r->status, r->fault, r->retry_after_ms,
                 up->started_ms, clock_ms());
    tell_new_world(x, up);
    block_drop(&x->last);
    if (r->answered) {
        x->last = up->held;
        x->last_head_len = up->head_len;
        up->held = (struct block){0};
    }
    upstream_drop(&x->up[place]);
}

/* Starts the next attempt in an empty place. False: none is left. */
static bool next_attempt(struct xchg *x, int place)
{
    struct attempt *a;

    while ((a = attempts_next(&x->attempts, x->world->health, clock_ms())) && resume_on(x) && !resume_accepts(x, a))
        attempts_end(&x->attempts, x->world->health, a, OUTCOME_SKIPPED, 0,
                     fault_make(FAULT_NONE, 0, "it does not go on with the beginning of an answer"), -1, clock_ms(), clock_ms());
    if (!a)
        return false;
    if (!upstream_start(x, place, a))
        attempts_end(&x->attempts, x->world->health, a, OUTCOME_LOCAL, 0,
                     fault_make(FAULT_LOCAL, 0, "no room for another upstream connection"), -1, clock_ms(), clock_ms());
    return true;
}

static uint32_t hedge_after(const struct xchg *x)
{
    return x->key->config ? x->key->config->hedge_after_ms : 0;
}

static enum turn total_timeout(struct xchg *x)
{
    drop_attempts(x, "totalTimeout passed");
    reply_refuse(x, REFUSAL_TOTAL_TIMEOUT, (struct refusal_detail){.retry_after_s = -1, .with_attempts = true},
                 "No attempt gave an answer within totalTimeout (%u ms). weir.attempts says how far each came.",
                 (unsigned)x->world->conf->gateway.total_timeout_ms);
    return TURN_AGAIN;
}

/* Deadlines of ATTEMPT. False: the exchange moved on. */
static bool attempt_deadlines(struct xchg *x)
{
    const struct conf_gateway *t = &x->world->conf->gateway;
    int64_t now = clock_ms();

    if (!x->total_due_ms && t->total_timeout_ms)
        x->total_due_ms = now + t->total_timeout_ms;
    if (!x->hedge_due_ms && hedge_after(x))
        x->hedge_due_ms = now + hedge_after(x);
    if (!x->heartbeat_due_ms && t->stream_heartbeat_ms && x->wants_stream)
        x->heartbeat_due_ms = now + t->stream_heartbeat_ms;
    if (x->total_due_ms && now >= x->total_due_ms) {
        (void)total_timeout(x);
        return false;
    }
    if (x->heartbeat_due_ms && now >= x->heartbeat_due_ms) {
        x->heartbeat_due_ms = now + t->stream_heartbeat_ms;
        if (!relay_heartbeat(x)) {
            client_left(x);
            return false;
        }
    }
    return true;
}

static enum turn turn_attempt(struct xchg *x)
{
    int running = 0, empty = -1;

    if (!intake_watch(x) || !flush_out(x)) {
        client_left(x);
        return TURN_AGAIN;
    }
    if (x->news & NEWS_CUT)
        return cut_short(x);
    if (!attempt_deadlines(x))
        return TURN_AGAIN;
    for (int i = 0; i < XCHG_UPSTREAMS; i++) {
        if (x->up[i])
            upstream_poll(x->up[i]);
        if (x->up[i] && x->up[i]->state == UP_READY) {
            relay_commit(x, x->up[i]);
            return TURN_AGAIN;
        }
        if (x->up[i] && x->up[i]->state == UP_FAILED)
            attempt_failed(x, i);
        running += x->up[i] != NULL;
        empty = x->up[i] ? empty : i;
    }
    if (running == 0) {
        if (next_attempt(x, 0))
            return TURN_AGAIN;
        if (resume_on(x))
            relay_cut(x, x->resume->code, x->resume->message);
        else
            reply_exhausted(x);
        return TURN_AGAIN;
    }
    if (x->hedge_due_ms && clock_ms() >= x->hedge_due_ms) {
        x->hedge_due_ms = INT64_MAX; /* once per request */
        if (empty >= 0 && next_attempt(x, empty))
            return TURN_AGAIN;
    }
    {
        int64_t due = min_due(x->total_due_ms, x->heartbeat_due_ms);

        due = min_due(due, x->hedge_due_ms == INT64_MAX ? 0 : x->hedge_due_ms);
        if (due)
            timer_arm(&x->timer, due);
    }
    return TURN_PARK;
}

static enum turn turn_relay(struct xchg *x)
{
    if (!intake_watch(x) || !flush_out(x)) {
        client_left(x);
        return TURN_AGAIN;
    }
    if (x->news & NEWS_TIMER && xchg_queued(x)) {
        client_left(x); /* it takes nothing and has not for WRITE_STALL_MS */
        return TURN_AGAIN;
    }
    if (x->news & NEWS_CUT) {
        relay_cut(x, "stream_interrupted", "The gateway process is stopping; the answer is incomplete.");
        return TURN_AGAIN;
    }
    relay_pump(x);
    return x->state == XCHG_RELAY ? TURN_PARK : TURN_AGAIN;
}

static enum turn turn_flush(struct xchg *x)
{
    if (!flush_out(x) || (x->news & NEWS_TIMER && xchg_queued(x))) {
        xchg_enter(x, XCHG_OVER);
        return TURN_AGAIN;
    }
    if (xchg_queued(x) || (x->conn->tls && tls_wants(x->conn->tls, false) & SYS_OUT)) {
        if (!(x->client_events & SYS_GONE))
            return TURN_PARK;
        xchg_enter(x, XCHG_OVER);
        return TURN_AGAIN;
    }
    if (x->keep_alive && !gate.draining) {
        request_over(x);
        x->client_events |= x->client_events & SYS_GONE ? (unsigned)SYS_IN : 0;
        xchg_enter(x, XCHG_READ_HEAD);
        return TURN_AGAIN;
    }
    if (x->unread) {
        request_over(x); /* it ended for the client; only the connection lingers */
        sys_shutdown_write(x->conn->fd);
        block_drop(&x->in);
        x->in_off = 0;
        x->client_events |= SYS_IN;
        xchg_enter(x, XCHG_LINGER);
        timer_arm(&x->timer, clock_ms() + LINGER_MS); /* behind xchg_enter, which takes the deadline of the state before away */
        return TURN_AGAIN;
    }
    xchg_enter(x, XCHG_OVER);
    return TURN_AGAIN;
}

static enum turn turn_linger(struct xchg *x)
{
    struct fault f;
    size_t got = 0;

    for (int i = 0; i < 8 && x->client_events & SYS_IN; i++) {
        enum io io = conn_read(x->conn, loop_scratch(), READ_MAX, &got, &f);

        if (io == IO_PARKED) {
            x->client_events &= ~(unsigned)SYS_IN;
        } else if (io == IO_FAILED || got == 0) {
            xchg_enter(x, XCHG_OVER);
            return TURN_AGAIN;
        }
    }
    if (x->news & NEWS_TIMER) {
        xchg_enter(x, XCHG_OVER);
        return TURN_AGAIN;
    }
    return TURN_PARK;
}

static enum turn xchg_turn(struct xchg *x)
{
    switch (x->state) {
    case XCHG_READ_HEAD:
        return turn_read_head(x);
    case XCHG_READ_BODY:
        return turn_read_body(x);
    case XCHG_ATTEMPT:
        return turn_attempt(x);
    case XCHG_RELAY:
        return turn_relay(x);
    case XCHG_FLUSH:
        return turn_flush(x);
    case XCHG_LINGER:
        return turn_linger(x);
    case XCHG_OVER:
        break;
    }
    return TURN_PARK;
}

/* Interest follows from the state: reading always (a client that leaves must be noticed), but for one that has sent more requests than may
 * wait; writing while something is queued. */
static void xchg_want(struct xchg *x)
{
    bool read = x->in.len - x->in_off < PIPELINE_MAX;

    if (!conn_want(x->conn, read, xchg_queued(x) > 0)) {
        x->end = END_ERROR;
        drop_attempts(x, "the kernel refused to watch a socket");
        xchg_enter(x, XCHG_OVER);
        loop_defer(&x->defer);
    }
}

void xchg_run(struct xchg *x, unsigned news)
{
    x->news |= news;
    x->woken = true;
    if (x->running)
        return; /* called from inside a turn: the loop below looks again */
    x->running = true;
    for (int left = XCHG_TURNS_MAX; left > 0; left--) {
        enum turn t;
        unsigned seen = x->news;

        x->woken = false;
        t = xchg_turn(x);
        x->news &= ~seen; /* what this turn saw is spent; what came during it stays */
        if (x->state == XCHG_OVER) {
            x->running = false;
            loop_defer(&x->defer);
            return;
        }
        if (t == TURN_AGAIN || x->woken)
            continue;
        x->running = false;
        xchg_want(x);
        return;
    }
    x->running = false;
    loop_defer(&x->defer); /* budget spent: others first, then us again */
}

static void on_news(struct conn *c, unsigned events)
{
    struct xchg *x = c->owner;

    if (x->state == XCHG_OVER)
        return;
    x->client_events |= events;
    xchg_run(x, NEWS_CLIENT);
}

static void on_timer(struct timer *t)
{
    struct xchg *x = container_of(t, struct xchg, timer);

    if (x->state != XCHG_OVER)
        xchg_run(x, NEWS_TIMER);
}

void xchg_open(int fd, const struct addr *peer)
{
    bool crowd = *peer_count(peer) >= gate.most_per_peer, surplus = crowd || gate.open - gate.surplus >= gate.most;
    struct xchg *x;
    struct tls *tls = NULL;
    struct fault f;

    if (surplus && !crowd && !list_empty(&gate.idle)) { /* the one that has been idle longest makes room (L-40) */
        struct xchg *oldest = container_of(gate.idle.next, struct xchg, idle);

        xchg_enter(oldest, XCHG_OVER);
        loop_defer(&oldest->defer);
        surplus = false;
    }
    x = pool_take(gate.xchg_pool);
    if (x && gate.identity && !(tls = tls_open_server(gate.identity->what, &f))) {
        pool_give(gate.xchg_pool, x);
        x = NULL;
    }
    if (!x) {
        sys_close(fd);
        return;
    }
    x->conn = conn_open(fd, tls, on_news, x);
    if (!x->conn) {
        pool_give(gate.xchg_pool, x);
        return;
    }
    gate.open++;
    (*peer_count(peer))++;
    list_push_back(&gate.all, &x->node);
    x->peer = *peer;
    x->surplus = surplus;
    gate.surplus += surplus;
    x->secured = !tls;
    x->identity = tls ? shared_get(gate.identity) : NULL;
    arena_init(&x->arena, &mem_source, XCHG_ARENA_BLOCK, XCHG_ARENA_MAX);
    defer_init(&x->defer, reap);
    timer_init(&x->timer, on_timer);
    timer_arm(&x->timer, clock_ms() + HEAD_DEADLINE_MS); /* covers the TLS handshake */
    x->client_events = SYS_IN; /* a client that has connected has usually sent already: one wake-up saved */
    xchg_run(x, NEWS_CLIENT);
}
