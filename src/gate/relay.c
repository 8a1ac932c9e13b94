/* From commit to the last byte. Whole events leave the moment they are complete; an unfinished tail waits. Nothing is read from upstream
 * while the client is behind. */
#include "gate/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "gate/headers.h"
#include "gate/held.h"
#include "gate/resume.h"
#include "gate/trace.h"
#include "gate/upstream.h"
#include "http/write.h"

enum { HEAD_OUT_MAX = HTTP_HEAD_MAX + 16384, SLOW_END_MS = 1000 };

static char head_text[HEAD_OUT_MAX];

/* ---- Framing towards the client ---- */

/* One piece of body in the framing chosen at commit; last also ends it. False: the client is gone. */
static bool send_body(struct xchg *x, struct slice head, struct slice body, bool last)
{
    char size[HTTP_CHUNK_HEAD_MAX];
    struct slice piece[4];
    int n = 0;

    if (head.n)
        piece[n++] = head;
    if (x->chunked) {
        if (body.n) {
            piece[n++] = slice_make(size, http_chunk_head(size, body.n));
            piece[n++] = body;
        }
        if (body.n && last)
            piece[n++] = SLICE("\r\n0\r\n\r\n");
        else if (body.n)
            piece[n++] = SLICE("\r\n");
        else if (last)
            piece[n++] = SLICE("0\r\n\r\n");
    } else if (body.n) {
        piece[n++] = body;
    }
    return n == 0 || xchg_send(x, piece, n);
}

bool relay_body(struct xchg *x, struct slice body, bool last)
{
    return send_body(x, slice_make(NULL, 0), body, last);
}

/* Fields every answer of a provider carries back. */
static void common_fields(struct xchg *x, struct http_out *o, const struct upstream *up)
{
    char attempts[4096];

    http_out_keep(o, SLICE("cache-control: no-store\r\n"));
    http_out_ready(o, SLICE("x-request-id: "), slice_make(x->id, REQUEST_ID_LEN));
    http_out_ready(o, SLICE("x-weir-provider: "), up->attempt->key->provider->id);
    http_out_ready(o, SLICE("x-weir-model: "), up->attempt->model);
    http_out_ready(o, SLICE("x-weir-attempts: "), trace_attempts(x, attempts, sizeof attempts));
}

static void framing_fields(struct xchg *x, struct http_out *o, const struct upstream *up)
{
    size_t at_hand = held_body(up).n;

    x->chunked = false;
    if (!up->streaming && up->body_done) {
        http_out_length(o, at_hand);
    } else if (!up->streaming && up->body.framing == HTTP_LENGTH) {
        http_out_length(o, up->body.left + at_hand);
    } else if (x->http10) {
        x->keep_alive = false; /* the end of the connection is the only end HTTP/1.0 knows here */
    } else {
        x->chunked = true;
        http_out_keep(o, SLICE("transfer-encoding: chunked\r\n"));
    }
    if (!x->keep_alive)
        http_out_keep(o, SLICE("connection: close\r\n"));
    else if (x->http10)
        http_out_keep(o, SLICE("connection: keep-alive\r\n"));
}

static void leave(struct xchg *x, enum xchg_end end)
{
    x->end = end;
    xchg_enter(x, XCHG_FLUSH);
}

static void client_lost(struct xchg *x)
{
    x->end = END_CLIENT_GONE;
    xchg_enter(x, XCHG_OVER);
}

/* ---- Ends ---- */

static void keep_usage(struct xchg *x)
{
    const struct upstream *up = x->winner;

    if (!up || !up->streaming)
        return;
    x->usage = up->llm.usage;
    x->streamed = (struct xchg_streamed){up->llm.content_bytes, up->llm.content_events, up->llm.shortest};
    memcpy(x->stop_reason, up->llm.stop_reason, sizeof x->stop_reason);
}

void relay_let_go(struct xchg *x)
{
    keep_usage(x);
    upstream_drop(&x->winner);
}

/* The error event, if one is due, has been queued: nothing more will be read from this attempt. */
static void cut_over(struct xchg *x)
{
    enum xchg_end end = x->committed ? END_CUT : END_ERROR;

    x->keep_alive = false;
    trace_cut(x, OUTCOME_CUT);
    if (x->winner)
        x->winner->poolable = false;
    relay_let_go(x);
    leave(x, end);
}

void relay_set_aside(struct xchg *x)
{
    trace_cut(x, OUTCOME_CUT);
    x->winner->poolable = false;
    relay_let_go(x);
}

void relay_cut(struct xchg *x, const char *code, const char *message)
{
    char text[2048], chunk[2048 + 8];
    struct llm_stream fresh;
    const struct llm_stream *llm = x->winner ? &x->winner->llm : &fresh;
    size_t n, lead = 0;

    if (!x->winner)
        llm_stream_init(&fresh, x->surface, DIALECT_OPENAI);
    if (!x->winner || x->winner->streaming) {
        n = llm_error_event(llm, slice_str(code), slice_str(message), slice_make(x->id, REQUEST_ID_LEN), text, sizeof text);
        if (x->winner && x->winner->tail_flowed) {
            memcpy(chunk, "\n\n", 2); /* half an event went out already: end it, or ours would be read as its rest */
            lead = 2;
        }
        memcpy(chunk + lead, text, n);
        if (!send_body(x, slice_make(NULL, 0), slice_make(chunk, lead + n), false)) {
            client_lost(x);
            return;
        }
    }
    x->refusal = code;
    cut_over(x);
}

/* The committed attempt failed: another goes on, or the stream ends here. */
static void fail(struct xchg *x, const char *code, const char *message)
{
    if (!resume_break(x, code, message))
        relay_cut(x, code, message);
}

/* The stream's events are all with the client. */
static void stream_complete(struct xchg *x)
{
    struct upstream *up = x->winner;

    keep_usage(x);
    if (!send_body(x, slice_make(NULL, 0), slice_make(NULL, 0), true)) {
        client_lost(x);
        return;
    }
    if (up->body_done)
        upstream_drop(&x->winner);
    else
        upstream_let_end(&x->winner);
    leave(x, END_COMPLETE);
}

/* ---- Event streams ---- */

/* Hands on everything up to the last whole event, and a tail that has grown too long to wait. */
static bool forward_events(struct xchg *x, struct slice head)
{
    struct upstream *up = x->winner;
    struct slice body = held_body(up), chunk;
    size_t n = up->scanned;
    bool ok;

    if (body.n - n >= EVENT_TAIL_MAX) {
        struct arena scratch;

        gate_scratch(&scratch);
        (void)llm_stream_piece(&up->llm, slice_from(body, n), false, &scratch);
        n = body.n;
        up->tail_flowed = true;
        resume_give_up(x);
    }
    if (!n && !head.n)
        return true;
    chunk = n == body.n && x->chunked && !head.n ? held_chunk(up) : slice_make(NULL, 0);
    ok = chunk.n ? xchg_send(x, &chunk, 1) : send_body(x, head, slice_first(body, n), false);
    held_consume(up, n);
    return ok;
}

static const char stream_error_text[] = "The provider reported an error in mid-stream; the answer is incomplete.";

/* An error event in mid-stream. It goes out itself when SDKs will raise on it, which is when its data is the error. GPUStack's `error:` field is
 * not even seen by a correct parser, so there ours takes its place. Nothing behind it is forwarded. */
static void stream_error(struct xchg *x, struct slice head)
{
    struct upstream *up = x->winner;
    struct slice body = slice_first(held_body(up), up->scanned);
    bool native = slice_find(slice_from(body, up->event_at), SLICE("data:")) >= 0;

    if (x->resume) {
        if (!send_body(x, head, slice_first(body, up->event_at), false)) {
            client_lost(x);
            return;
        }
        held_consume(up, up->event_at);
        body = slice_first(held_body(up), up->scanned);
        head = slice_make(NULL, 0);
        if (resume_break(x, "upstream_error", stream_error_text))
            return;
    }
    if (!send_body(x, head, native ? body : slice_first(body, up->event_at), false)) {
        client_lost(x);
        return;
    }
    if (!native) {
        relay_cut(x, "upstream_error", stream_error_text);
        return;
    }
    x->refusal = "upstream_error";
    cut_over(x);
}

/* The same for an attempt that goes on with another's answer: its events are written anew. */
static bool flow_resumed(struct xchg *x)
{
    const char *code, *message;

    switch (resume_flow(x, &code, &message)) {
    case RESUME_MORE:
        return true;
    case RESUME_END:
        if (held_body(x->winner).n)
            x->winner->poolable = false;
        stream_complete(x);
        return false;
    case RESUME_BROKEN:
        fail(x, code, message);
        return false;
    case RESUME_GONE:
        break;
    }
    client_lost(x);
    return false;
}

/* Looks at fresh bytes and hands them on. head goes before them when there is one. True: the stream goes on. */
static bool flow_events(struct xchg *x, struct slice head)
{
    struct upstream *up = x->winner;
    struct slice error = {0};
    enum held_seen seen = held_scan(up, true, &error);

    if (seen == HELD_ERROR) {
        stream_error(x, head);
        return false;
    }
    if (!forward_events(x, head)) {
        client_lost(x);
        return false;
    }
    if (seen == HELD_LAST) {
        if (held_body(up).n)
            up->poolable = false; /* bytes behind [DONE] are nobody's (F-122) */
        stream_complete(x);
        return false;
    }
    if (!up->body_done)
        return true;
    if (!llm_stream_may_end(&up->llm)) {
        fail(x, "stream_truncated", "The provider's stream ended before the answer was complete.");
        return false;
    }
    /* What follows the last whole event: a final event whose blank line never came is whole when the framing ended cleanly. */
    if (!up->broken && held_body(up).n && !send_body(x, slice_make(NULL, 0), held_body(up), false)) {
        client_lost(x);
        return false;
    }
    stream_complete(x);
    return false;
}

/* ---- Plain answers ---- */

static bool flow_plain(struct xchg *x, struct slice head)
{
    struct upstream *up = x->winner;
    struct slice body = held_body(up);
    bool last = up->body_done;

    if (!send_body(x, head, body, last)) {
        client_lost(x);
        return false;
    }
    held_consume(up, body.n);
    if (!last)
        return true;
    upstream_drop(&x->winner);
    leave(x, END_COMPLETE);
    return false;
}

static bool flow(struct xchg *x, struct slice head)
{
    if (resume_on(x))
        return flow_resumed(x);
    return x->winner->streaming ? flow_events(x, head) : flow_plain(x, head);
}

/* The connection to the provider is of no more use; what came before that is still handed on. */
static void broken(struct xchg *x, struct fault f)
{
    struct upstream *up = x->winner;

    up->body_done = true; /* nothing more will come */
    up->broken = true;
    up->poolable = false;
    if (up->streaming)
        (void)flow(x, slice_make(NULL, 0)); /* ends as complete after its last event (F-110, F-113), else as cut */
    else
        relay_cut(x, f.kind == FAULT_PROTOCOL ? "upstream_error" : "stream_truncated", f.what);
}

/* The stream goes on: keep what waits for more bytes, and set the deadline for them. */
static bool settle(struct xchg *x)
{
    struct upstream *up = x->winner;
    const struct conf_gateway *t = &x->world->conf->gateway;

    if (!held_retain(up)) {
        broken(x, fault_make(FAULT_NO_MEMORY, 0, "the memory budget is spent"));
        return false;
    }
    /* Behind a closing event that is not [DONE] something may still come, but nobody should wait long for it (F-112). */
    if (up->streaming && (up->llm.seen & LLM_END))
        timer_arm(&up->timer, clock_ms() + SLOW_END_MS);
    else if (t->stream_idle_timeout_ms)
        timer_arm(&up->timer, clock_ms() + t->stream_idle_timeout_ms);
    return true;
}

/* ---- Commit ---- */

static void release_request(struct xchg *x)
{
    if (!x->resume || x->resume->stream.odd)
        block_drop(&x->text);
    block_drop(&x->last);
}

static void drop_others(struct xchg *x, struct upstream *winner)
{
    for (int i = 0; i < XCHG_UPSTREAMS; i++) {
        struct upstream *up = x->up[i];

        x->up[i] = NULL;
        if (!up || up == winner)
            continue;
        attempts_end(&x->attempts, x->world->health, up->attempt, OUTCOME_CANCELLED, 0,
                     fault_make(FAULT_CANCELLED, 0, "another attempt was faster"), -1, up->started_ms, clock_ms());
        upstream_drop(&up);
    }
    x->winner = winner;
}

/* A comment, which readers of events skip and people who look find: the head's x-weir-provider named another. */
static bool announce(struct xchg *x)
{
    struct slice id = slice_first(x->winner->attempt->key->provider->id, 64);
    char text[96];

    return relay_body(x, slice_make(text, (size_t)text_format(text, sizeof text, ": continued by %.*s\n\n", (int)id.n, id.p)), false);
}

void relay_commit(struct xchg *x, struct upstream *up)
{
    const struct http_response *r = held_head(up);
    struct http_out o;
    struct slice head;

    attempts_end(&x->attempts, x->world->health, up->attempt, OUTCOME_OK, up->status, (struct fault){0}, -1,
                 up->started_ms, clock_ms());
    x->committed = (uint16_t)x->attempts.nrecords;
    drop_others(x, up);
    x->status = up->status;
    if (!up->streaming && up->body_done) {
        struct arena scratch;

        gate_scratch(&scratch);
        llm_plain_usage(x->surface, held_body(up), &scratch, &x->usage, x->stop_reason);
    }
    http_out_init(&o, head_text, sizeof head_text);
    http_out_status(&o, r->status);
    headers_return(&o, r);
    if (up->streaming && !http_response_get(r, HTTP_CONTENT_TYPE).n)
        http_out_keep(&o, SLICE("content-type: text/event-stream\r\n"));
    common_fields(x, &o, up);
    framing_fields(x, &o, up);
    http_out_end(&o);
    head = slice_make(o.p, o.n);
    if (o.bad) { /* more fields than fit beside ours: the answer without theirs */
        http_out_init(&o, head_text, sizeof head_text);
        http_out_status(&o, r->status);
        if (http_response_get(r, HTTP_CONTENT_TYPE).n)
            http_out_ready(&o, SLICE("content-type: "), http_response_get(r, HTTP_CONTENT_TYPE));
        http_out_ready(&o, SLICE("x-request-id: "), slice_make(x->id, REQUEST_ID_LEN));
        framing_fields(x, &o, up);
        http_out_end(&o);
        head = slice_make(o.p, o.n);
    }
    if (x->heartbeat_sent) {
        /* The head went out long ago, with chunked or until-close framing. */
        head = slice_make(NULL, 0);
        x->chunked = !x->http10;
        x->status = 200;
    }
    upstream_flow(up);
    xchg_enter(x, XCHG_RELAY);
    if (resume_on(x)) {
        resume_commit(x, up);
    } else {
        x->first_byte_ms = clock_ms();
        x->head_out = head.n;
        resume_begin(x, up);
    }
    release_request(x);
    if (resume_on(x) && !announce(x)) {
        client_lost(x);
        return;
    }
    if (flow(x, head) && settle(x))
        relay_pump(x);
}

bool relay_heartbeat(struct xchg *x)
{
    struct http_out o;

    if (x->heartbeat_sent)
        return send_body(x, slice_make(NULL, 0), SLICE(": waiting\n\n"), false);
    http_out_init(&o, head_text, sizeof head_text);
    http_out_status(&o, 200);
    http_out_keep(&o, SLICE("content-type: text/event-stream; charset=utf-8\r\n"));
    http_out_keep(&o, SLICE("cache-control: no-store\r\n"));
    http_out_ready(&o, SLICE("x-request-id: "), slice_make(x->id, REQUEST_ID_LEN));
    if (x->http10) {
        x->keep_alive = false;
    } else {
        x->chunked = true;
        http_out_keep(&o, SLICE("transfer-encoding: chunked\r\n"));
    }
    if (!x->keep_alive)
        http_out_keep(&o, SLICE("connection: close\r\n"));
    http_out_end(&o);
    x->heartbeat_sent = true;
    x->status = 200;
    return send_body(x, slice_make(o.p, o.n), SLICE(": waiting\n\n"), false);
}

/* ---- The pump ---- */

void relay_pump(struct xchg *x)
{
    struct upstream *up = x->winner;
    const struct conf_gateway *t = &x->world->conf->gateway;
    struct fault f = {0};
    enum io io;

    if (up->timed_out) {
        up->timed_out = false;
        if (resume_on(x) && x->resume->next.finish[0]) { /* its last word came, but for [DONE] */
            broken(x, fault_make(FAULT_TIMEOUT, 0, "the provider sent nothing more"));
            return;
        }
        if (up->streaming && (up->llm.seen & LLM_END) && !resume_on(x)) {
            up->poolable = false;
            stream_complete(x);
            return;
        }
        if (xchg_queued(x) == 0) {
            fail(x, "stream_stalled", "The provider sent nothing within streamIdleTimeout; the answer is incomplete.");
            return;
        }
        /* The client is the slow one; its own deadline watches it. */
        timer_arm(&up->timer, clock_ms() + t->stream_idle_timeout_ms);
    }
    if (xchg_queued(x) > OUT_HIGH) {
        if (!conn_want(up->conn, false, false))
            broken(x, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
        return;
    }
    if (!up->conn->wants_read && xchg_queued(x) <= OUT_LOW) {
        up->events |= SYS_IN; /* what came meanwhile */
        if (!conn_want(up->conn, true, false)) {
            broken(x, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
            return;
        }
    }
    io = held_take(up, &f);
    if (io == IO_PARKED)
        return;
    if (io == IO_FAILED) {
        broken(x, f);
        return;
    }
    if (flow(x, slice_make(NULL, 0)))
        (void)settle(x);
}
