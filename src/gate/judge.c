/* What an answer is worth: by its head, by its body, by its first events. Before commit only. */
#include "gate/judge.h"

#include "base/clock.h"
#include "gate/held.h"
#include "gate/upstream.h"

enum {
    SNIFF_MIN = 6, /* "event:" */
};

static void verdict_to_result(struct upstream *up, const struct llm_verdict *v, bool answered)
{
    struct up_result r = {.outcome = v->outcome,
                          .status = v->status,
                          .fault = {0},
                          .retry_after_ms = v->retry_after_ms,
                          .answered = answered};

    upstream_end(up, r);
}

void judge_error(struct upstream *up)
{
    struct llm_verdict v;
    struct arena scratch;

    if (!up->body_done)
        up->poolable = false;
    gate_scratch(&scratch);
    llm_classify(&v, up->attempt->key->provider->dialect, up->x->surface, held_head(up), held_body(up),
                 clock_wall_ms() / 1000, &scratch);
    verdict_to_result(up, &v, true);
}

/* Makes the error object of a stream's event the body of the held answer, in case it is what the client must get. False: no memory. */
static bool keep_event(struct upstream *up, struct slice error)
{
    bool inside;

    if (!held_retain(up))
        return false;
    inside = error.p >= up->held.p && error.p < up->held.p + up->held.cap;
    up->held.len = up->head_len;
    held_forget_parsed(up);
    if (!inside)
        return block_add(&up->held, error.p, error.n);
    memmove(up->held.p + up->head_len, error.p, error.n);
    up->held.len += error.n;
    return true;
}

static void judge_event(struct upstream *up, struct slice error)
{
    struct llm_verdict v;
    struct arena scratch;

    if (!error.n) {
        upstream_unusable(up, FAULT_PROTOCOL, "the stream begins with an event that is not JSON");
        return;
    }
    up->poolable = false;
    /* The scratch arena holds the error's text: judged in the upper half of it. */
    gate_scratch_more(&scratch);
    llm_classify_event(&v, up->attempt->key->provider->dialect, up->x->surface, held_head(up), error,
                       clock_wall_ms() / 1000, &scratch);
    verdict_to_result(up, &v, keep_event(up, error));
}

static bool json_surface(enum surface s)
{
    return s != SURFACE_SPEECH;
}

static void judge_plain(struct upstream *up)
{
    const struct http_response *head = held_head(up);
    struct slice body = held_body(up);
    struct llm_verdict v;
    struct arena scratch;

    if (slice_trim(body).n == 0) {
        upstream_unusable(up, FAULT_NONE, "the answer is empty");
        return;
    }
    if (up->body_done && up->body.framing == HTTP_UNTIL_CLOSE && json_surface(up->x->surface) &&
        !json_valid(slice_trim(body), NULL, NULL)) {
        upstream_unusable(up, FAULT_CLOSED, "the answer was cut short");
        return;
    }
    gate_scratch(&scratch);
    llm_classify(&v, up->attempt->key->provider->dialect, up->x->surface, head, body, clock_wall_ms() / 1000, &scratch);
    if (v.outcome != OUTCOME_OK)
        verdict_to_result(up, &v, true);
    else if (up->x->heartbeat_sent) /* the head that the client has promises events */
        upstream_unusable(up, FAULT_NONE, "a plain answer came for a stream that has begun");
    else
        upstream_enter(up, UP_READY);
}

/* Whether the held start of a stream looks like one at all; asked when 64 KiB hold no content event. */
static bool looks_like_sse(struct slice body)
{
    body = slice_trim(body);
    return slice_starts(body, SLICE("data:")) || slice_starts(body, SLICE("event:")) || slice_starts(body, SLICE(":")) ||
           slice_starts(body, SLICE("id:")) || slice_starts(body, SLICE("retry:"));
}

static void judge_stream(struct upstream *up)
{
    struct slice error = {0}, body;

    switch (held_scan(up, false, &error)) {
    case HELD_COMMIT:
        upstream_enter(up, UP_READY);
        return;
    case HELD_ERROR:
        judge_event(up, error);
        return;
    case HELD_LAST:
        upstream_unusable(up, FAULT_PROTOCOL, "the stream ended before any content");
        return;
    case HELD_MORE:
        break;
    }
    body = held_body(up);
    if (up->body_done)
        upstream_unusable(up, FAULT_CLOSED, "the stream ended before any content");
    else if (body.n >= HOLD_MAX && looks_like_sse(body))
        upstream_enter(up, UP_READY);
    else if (body.n >= HOLD_MAX)
        upstream_unusable(up, FAULT_TOO_LARGE, "64 KiB came without an event");
}

/* Looks at what is held. True: the state changed. */
bool judge(struct upstream *up)
{
    enum up_state before = up->state;
    size_t n = held_body(up).n;

    if (up->state == UP_ERROR) {
        if (up->body_done || n >= ERROR_BODY_MAX)
            judge_error(up);
    } else if (up->state == UP_HOLD && up->sniff && n) {
        /* A stream was asked for and the type does not say whether this is one (F-104, and JSON types on streams). */
        if (slice_trim(held_body(up)).n < SNIFF_MIN && !up->body_done)
            return false;
        up->sniff = false;
        up->streaming = looks_like_sse(held_body(up));
        return judge(up);
    } else if (up->state == UP_HOLD && up->streaming) {
        judge_stream(up);
    } else if (up->state == UP_HOLD) {
        if (up->body_done || n >= PLAIN_HOLD_MAX)
            judge_plain(up);
    }
    return up->state != before;
}

static bool is_json_stream_surface(enum surface s)
{
    return s == SURFACE_CHAT || s == SURFACE_RESPONSES || s == SURFACE_MESSAGES || s == SURFACE_COMPLETIONS;
}

/* The final head is here: what kind of answer is it? */
void judge_head(struct upstream *up, const struct http_response *r)
{
    struct slice type = http_response_get(r, HTTP_CONTENT_TYPE), coding = http_response_get(r, HTTP_CONTENT_ENCODING);

    up->status = r->status;
    up->poolable = r->keep_alive && up->sent_all;
    http_body_init(&up->body, r->framing, r->length);
    up->body_done = r->framing == HTTP_NO_BODY || (r->framing == HTTP_LENGTH && r->length == 0);
    if (!up->sent_all && !conn_want(up->conn, true, false)) { /* an early answer: the rest of the request is not sent (RFC 9112 9.5) */
        upstream_fail(up, OUTCOME_LOCAL, fault_make(FAULT_LOCAL, 0, "the kernel refused to watch a socket"));
        return;
    }
    if (r->status >= 400) {
        upstream_enter(up, UP_ERROR);
    } else if (r->status >= 300) {
        upstream_unusable(up, FAULT_PROTOCOL, "the provider redirects; redirects are never followed");
    } else if (r->status != 200 && r->status != 201 && r->status != 202 && r->status != 203) {
        upstream_unusable(up, FAULT_PROTOCOL, "a success status without an answer");
    } else if (coding.n && !slice_eq_nocase(coding, SLICE("identity"))) {
        upstream_unusable(up, FAULT_PROTOCOL, "the answer is compressed although identity was asked for");
    } else if (json_surface(up->x->surface) && slice_starts_nocase(type, SLICE("text/html"))) {
        upstream_unusable(up, FAULT_PROTOCOL, "the answer is an HTML page");
    } else {
        up->streaming = slice_starts_nocase(type, SLICE("text/event-stream"));
        up->sniff = !up->streaming && up->x->wants_stream && is_json_stream_surface(up->x->surface);
        if (up->streaming && !up->x->wants_stream && is_json_stream_surface(up->x->surface)) {
            upstream_unusable(up, FAULT_PROTOCOL, "an event stream came although none was asked for");
            return;
        }
        sse_scan_init(&up->scan);
        llm_stream_init(&up->llm, up->x->surface, up->attempt->key->provider->dialect);
        upstream_enter(up, UP_HOLD);
    }
}
