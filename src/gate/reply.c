/* Our own answers, each complete with its length. One table says what an error is called in which dialect. */
#include "gate/reply.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "gate/headers.h"
#include "gate/relay.h"
#include "gate/route.h"
#include "gate/trace.h"
#include "gate/upstream.h"
#include "http/write.h"
#include "json/out.h"

enum { REPLY_BODY_MAX = 32768, MODEL_ENTRY_MAX = 1024 };

struct refusal_row {
    const char *code, *openai, *anthropic;
    unsigned number, status;
};

static const struct refusal_row rows[] = {
#define X(id, code, number, status, openai, anthropic) [REFUSAL_##id] = {code, openai, anthropic, number, status},
    REFUSALS(X)
#undef X
};

static uint64_t refused[sizeof rows / sizeof *rows];

uint64_t reply_refused(enum refusal what, const char **code)
{
    *code = rows[what].code;
    return refused[what];
}

static char head_text[HTTP_HEAD_MAX + 16384], body_text[REPLY_BODY_MAX];

static void begin(struct xchg *x, struct http_out *o, unsigned status)
{
    x->status = status;
    http_out_init(o, head_text, sizeof head_text);
    http_out_status(o, status);
}

/* Ends the head, sends both and goes on to FLUSH or LINGER. */
static void finish(struct xchg *x, struct http_out *o, struct slice body, enum xchg_end end)
{
    struct slice piece[2];

    if (x->unread)
        x->keep_alive = false; /* what follows is the rest of this request: nothing can be told from it any more */
    http_out_keep(o, SLICE("cache-control: no-store\r\n"));
    http_out_ready(o, SLICE("x-request-id: "), slice_make(x->id, REQUEST_ID_LEN));
    if (x->status != 204)
        http_out_length(o, body.n);
    if (!x->keep_alive)
        http_out_keep(o, SLICE("connection: close\r\n"));
    else if (x->http10)
        http_out_keep(o, SLICE("connection: keep-alive\r\n"));
    http_out_end(o);
    piece[0] = slice_make(o->p, o->n);
    piece[1] = x->head_only ? slice_make(NULL, 0) : body;
    x->end = end;
    if (!x->first_byte_ms)
        x->first_byte_ms = clock_ms();
    if (o->bad || !xchg_send(x, piece, 2)) {
        x->end = END_CLIENT_GONE;
        xchg_enter(x, XCHG_OVER);
        return;
    }
    xchg_enter(x, XCHG_FLUSH);
}

static bool anthropic_shape(const struct xchg *x)
{
    return x->has_surface && surface_table[x->surface].format == FORMAT_ANTHROPIC;
}

static void weir_member(struct xchg *x, struct json_out *o, const struct refusal_row *row, bool with_attempts)
{
    json_key(o, "weir");
    json_open(o, '{');
    json_key(o, "code");
    json_out_str(o, slice_str(row->code));
    if (row->number) {
        json_key(o, "number");
        json_out_u64(o, row->number);
    }
    json_key(o, "requestId");
    json_out_str(o, slice_make(x->id, REQUEST_ID_LEN));
    if (with_attempts) {
        json_key(o, "attempts");
        trace_attempts_json(x, o);
    }
    json_close(o, '}');
}

static struct slice error_body(struct xchg *x, const struct refusal_row *row, const struct refusal_detail *d,
                               struct slice message, bool with_attempts)
{
    struct json_out o;

    json_out_init(&o, body_text, sizeof body_text);
    json_open(&o, '{');
    if (anthropic_shape(x)) {
        json_key(&o, "type");
        json_out_str(&o, SLICE("error"));
        json_key(&o, "error");
        json_open(&o, '{');
        json_key(&o, "type");
        json_out_str(&o, slice_str(row->anthropic));
        json_key(&o, "message");
        json_out_str(&o, message);
        json_close(&o, '}');
        json_key(&o, "request_id");
        json_out_str(&o, slice_make(x->id, REQUEST_ID_LEN));
        weir_member(x, &o, row, with_attempts);
    } else {
        json_key(&o, "error");
        json_open(&o, '{');
        json_key(&o, "message");
        json_out_str(&o, message);
        json_key(&o, "type");
        json_out_str(&o, slice_str(row->openai));
        json_key(&o, "param");
        if (d->param)
            json_out_str(&o, slice_str(d->param));
        else
            json_out_null(&o);
        json_key(&o, "code");
        json_out_str(&o, slice_str(row->code));
        weir_member(x, &o, row, with_attempts);
        json_close(&o, '}');
    }
    json_close(&o, '}');
    return json_out_done(&o);
}

static void retry_fields(struct http_out *o, int32_t retry_after_s, bool should_retry)
{
    if (retry_after_s >= 0)
        http_out_field_u64(o, SLICE("retry-after"), (uint64_t)retry_after_s);
    http_out_ready(o, SLICE("x-should-retry: "), should_retry ? SLICE("true") : SLICE("false"));
}

static void attempt_fields(struct xchg *x, struct http_out *o)
{
    char text[4096];

    if (x->attempts.nrecords)
        http_out_ready(o, SLICE("x-weir-attempts: "), trace_attempts(x, text, sizeof text));
}

/* What OpenAI and Anthropic tell about a limit, each under its own names: how long until the bucket is full ("120ms", "20s"), or when that
 * will be. */
static void limit_fields(struct http_out *o, const char *what, const struct limits_bucket *b, bool anthropic)
{
    static const char *const part[] = {"limit", "remaining", "reset"};
    const int64_t ms = b->full_ms < INT64_C(1000) * INT32_MAX ? b->full_ms : INT64_C(1000) * INT32_MAX;
    char value[3][32], name[64];

    if (!b->limit)
        return;
    text_format(value[0], sizeof value[0], "%llu", (unsigned long long)b->limit);
    text_format(value[1], sizeof value[1], "%llu", (unsigned long long)b->remaining);
    if (anthropic)
        (void)log_time(clock_wall_ms() + ms, value[2]);
    else
        text_format(value[2], sizeof value[2], "%u%s", (unsigned)(ms < 1000 ? ms : (ms + 999) / 1000), ms < 1000 ? "ms" : "s");
    for (int i = 0; i < 3; i++) {
        int n = anthropic ? text_format(name, sizeof name, "anthropic-ratelimit-%s-%s", what, part[i])
                          : text_format(name, sizeof name, "x-ratelimit-%s-%s", part[i], what);

        http_out_field(o, slice_make(name, (size_t)n), slice_str(value[i]));
    }
}

void reply_refuse(struct xchg *x, enum refusal what, struct refusal_detail d, const char *format, ...)
{
    const struct refusal_row *row = &rows[what];
    char message[1024];
    struct http_out o;
    struct slice body;
    va_list ap;
    size_t n;

    va_start(ap, format);
    n = (size_t)text_vformat(message, sizeof message, format, ap);
    va_end(ap);
    n = n < sizeof message ? n : sizeof message - 1;
    x->refusal = row->code;
    refused[what]++;
    if (x->heartbeat_sent) {
        relay_cut(x, row->code, message); /* the 200 is out: a final failure is an error event then */
        x->end = x->committed ? END_CUT : END_ERROR;
        return;
    }
    body = error_body(x, row, &d, slice_make(message, n), d.with_attempts);
    if (!body.n)
        body = error_body(x, row, &d, slice_make(message, (size_t)n), false);
    begin(x, &o, d.status ? d.status : row->status);
    http_out_keep(&o, SLICE("content-type: application/json\r\n"));
    if (d.allow)
        http_out_ready(&o, SLICE("allow: "), slice_str(d.allow));
    if (what == REFUSAL_INVALID_ACCESS_KEY)
        http_out_keep(&o, SLICE("www-authenticate: Bearer\r\n"));
    retry_fields(&o, d.retry_after_s, d.should_retry);
    if (d.limits) {
        for (int anthropic = 0; anthropic <= (anthropic_shape(x) ? 1 : 0); anthropic++) { /* the first for tools that know no other */
            limit_fields(&o, "requests", &d.limits->requests, anthropic);
            limit_fields(&o, "tokens", &d.limits->tokens, anthropic);
        }
    }
    attempt_fields(x, &o);
    finish(x, &o, body, row->status >= 500 ? END_ERROR : END_REFUSED);
}

/* ---- When nothing is left ---- */

/* The last attempt that was really made; those skipped at the end come behind it. */
static const struct attempt_record *last_real(const struct xchg *x)
{
    uint32_t n = x->attempts.nrecords;

    while (n > 1 && x->attempts.record[n - 1].outcome == OUTCOME_SKIPPED)
        n--;
    return n ? &x->attempts.record[n - 1] : NULL;
}

/* The last upstream answer as it came: status, body, safe headers. A 5xx of the one and only attempt may pass: SDKs are told to come
 * again, as they would without a gateway between, after the time the provider stated or a second. */
static void pass_last(struct xchg *x, const struct attempts_end_state *end)
{
    const struct attempt_record *r = last_real(x);
    struct slice body = slice_make(x->last.p + x->last_head_len, x->last.len - x->last_head_len);
    struct slice type;
    unsigned status;
    struct http_out o;
    struct http_bad bad;
    size_t seen = 0;

    gate.parsed_for = NULL;
    must(http_response_parse(&gate.response, x->last.p, x->last_head_len, &seen, false, &bad) == PARSE_DONE);
    type = http_response_get(&gate.response, HTTP_CONTENT_TYPE);
    /* An error inside a 200 gets the status it amounts to; a refusal by policy stays as it came. */
    status = r->outcome == OUTCOME_CONTENT_POLICY || gate.response.status >= 400 ? gate.response.status : r->status;
    begin(x, &o, status);
    if (slice_starts_nocase(type, SLICE("text/event-stream")))
        http_out_keep(&o, SLICE("content-type: application/json\r\n")); /* the body is one event's data */
    else
        headers_return(&o, &gate.response);
    http_out_ready(&o, SLICE("x-weir-provider: "), r->key->provider->id);
    http_out_ready(&o, SLICE("x-weir-model: "), r->model);
    retry_fields(&o, http_response_get(&gate.response, HTTP_RETRY_AFTER).n ? -1 : end->retry_after_s, end->should_retry);
    attempt_fields(x, &o);
    if (o.bad) {
        begin(x, &o, status);
        http_out_keep(&o, SLICE("content-type: application/json\r\n"));
    }
    finish(x, &o, body, END_ERROR);
    block_drop(&x->last);
}

void reply_exhausted(struct xchg *x)
{
    struct attempts_end_state end = attempts_verdict(&x->attempts);
    struct refusal_detail d = {.retry_after_s = end.retry_after_s, .should_retry = end.should_retry, .with_attempts = true};
    const struct attempt_record *last = last_real(x);

    switch (end.verdict) {
    case VERDICT_PASS:
        if (x->last.p && !x->heartbeat_sent) {
            pass_last(x, &end);
            return;
        }
        reply_refuse(x, REFUSAL_ALL_ATTEMPTS_FAILED, d,
                     "The provider refused the request and its answer could not be kept. See weir.attempts.");
        return;
    case VERDICT_RATE_LIMITED:
        reply_refuse(x, REFUSAL_RATE_LIMITED, d,
                     "Every provider key that could serve this request is rate-limited. Retry after %d s, or add keys or "
                     "fallback models.",
                     end.retry_after_s < 0 ? 1 : (int)end.retry_after_s);
        return;
    case VERDICT_UNREACHABLE:
        reply_refuse(x, REFUSAL_UPSTREAM_UNREACHABLE, d, "No answer from provider %.*s: %s. Check its baseUrl and status.",
                     last ? (int)last->key->provider->id.n : 0, last ? last->key->provider->id.p : "",
                     last && last->what ? last->what : "unreachable");
        return;
    case VERDICT_ALL_FAILED:
        break;
    }
    reply_refuse(x, REFUSAL_ALL_ATTEMPTS_FAILED, d,
                 "All %u attempts failed; weir.attempts says how. Check the provider keys and the providers' status.",
                 (unsigned)x->attempts.nrecords);
}

/* ---- Health and models ---- */

void reply_health(struct xchg *x, bool ready)
{
    struct http_out o;
    bool ok = !ready || !gate.draining;

    begin(x, &o, ok ? 200 : 503);
    http_out_keep(&o, SLICE("content-type: application/json\r\n"));
    finish(x, &o, ok ? SLICE("{\"status\":\"ok\"}\n") : SLICE("{\"status\":\"draining\"}\n"), END_COMPLETE);
}

static void model_entry(struct json_out *o, struct slice provider, struct slice id, bool anthropic)
{
    json_open(o, '{');
    json_key(o, anthropic ? "type" : "object");
    json_out_str(o, SLICE("model"));
    json_key(o, "id");
    json_out_str(o, id);
    if (anthropic) {
        json_key(o, "display_name");
        json_out_str(o, id);
        json_key(o, "created_at");
        json_out_str(o, SLICE("1970-01-01T00:00:00Z"));
    } else {
        json_key(o, "created");
        json_out_u64(o, 0);
        json_key(o, "owned_by");
        json_out_str(o, provider);
    }
    json_close(o, '}');
}

struct model_walk {
    struct json_out *o;
    struct slice wanted; /* empty: all */
    struct slice first, last;
    bool anthropic;
    uint32_t count;
};

static void visit(struct model_walk *w, struct slice provider, struct slice id)
{
    if (w->wanted.n && !slice_eq_nocase(w->wanted, id))
        return;
    if (w->wanted.n && w->count)
        return;
    if (!w->count++)
        w->first = id;
    w->last = id;
    model_entry(w->o, provider, id, w->anthropic);
}

/* What this key may call: aliases first, then every model its scope allows of providers it has a credential for. */
static void walk_models(struct xchg *x, struct model_walk *w)
{
    const struct conf *c = x->world->conf;
    const struct access_config *config = x->key->config;

    for (uint32_t i = 0; config && i < config->naliases; i++)
        visit(w, SLICE("weir"), config->alias[i].name);
    for (uint32_t i = 0; i < c->nproviders; i++) {
        const struct provider *p = &c->provider[i];

        if (!p->nkeys && !p->nmanaged && !p->none)
            continue;
        for (uint32_t m = 0; m < p->nmodels; m++)
            if (route_allows(config, p, p->model[m].id))
                visit(w, p->id, p->model[m].id);
    }
}

void reply_models(struct xchg *x, struct slice id, bool anthropic)
{
    uint32_t most = 16;
    struct json_out out;
    struct model_walk w = {.o = &out, .wanted = id, .anthropic = anthropic};
    struct http_out o;
    struct block body = {0};

    for (uint32_t i = 0; i < x->world->conf->nproviders; i++)
        most += x->world->conf->provider[i].nmodels;
    most += x->key->config ? x->key->config->naliases : 0;
    if (!block_room(&body, id.n ? 4096 : (size_t)most * (MODEL_ENTRY_MAX / 2))) {
        reply_refuse(x, REFUSAL_OVERLOADED, (struct refusal_detail){.retry_after_s = 1, .should_retry = true},
                     "The memory budget is spent. Retry in a moment.");
        return;
    }
    json_out_init(&out, body.p, body.cap);
    if (id.n) {
        walk_models(x, &w);
    } else {
        json_open(&out, '{');
        if (!anthropic) {
            json_key(&out, "object");
            json_out_str(&out, SLICE("list"));
        }
        json_key(&out, "data");
        json_open(&out, '[');
        walk_models(x, &w);
        json_close(&out, ']');
        if (anthropic) {
            json_key(&out, "has_more");
            json_out_bool(&out, false);
            json_key(&out, "first_id");
            w.first.p ? json_out_str(&out, w.first) : json_out_null(&out);
            json_key(&out, "last_id");
            w.last.p ? json_out_str(&out, w.last) : json_out_null(&out);
        }
        json_close(&out, '}');
    }
    if (out.full || (id.n && !w.count)) {
        reply_refuse(x, REFUSAL_NOT_FOUND, (struct refusal_detail){.retry_after_s = -1},
                     "No such model for this access key. GET /v1/models lists what it may call.");
    } else {
        begin(x, &o, 200);
        http_out_keep(&o, SLICE("content-type: application/json\r\n"));
        finish(x, &o, json_out_done(&out), END_COMPLETE);
    }
    block_drop(&body);
}
