/* From the client's first byte to the attempt queue. One read usually brings the whole request: it is parsed where the read put it, and only
 * what attempts need is copied. Nothing reaches an upstream before the whole body is here and checked. */
#include "gate/intake.h"

#include "base/clock.h"
#include "base/sha256.h"
#include "conf/keyring.h"
#include "gate/headers.h"
#include "gate/limit.h"
#include "gate/reply.h"
#include "gate/rewrite.h"
#include "gate/route.h"

/* Bytes at hand and where they live. */
struct feed {
    char *p;
    size_t n;
    bool scratch; /* in the loop's scratch; else in x->in from in_off on */
};

static const struct refusal_detail no_retry = {.retry_after_s = -1};

/* ---- Bytes ---- */

static struct feed waiting(struct xchg *x)
{
    return (struct feed){x->in.p ? x->in.p + x->in_off : NULL, x->in.len - x->in_off, false};
}

/* Keeps the bytes from p on for later. False: no memory. */
static bool keep(struct xchg *x, const struct feed *f, size_t used)
{
    if (f->scratch)
        return f->n == used || block_add(&x->in, f->p + used, f->n - used);
    x->in_off += used;
    if (x->in_off == x->in.len) {
        block_drop(&x->in);
        x->in_off = 0;
    }
    return true;
}

static void compact(struct xchg *x)
{
    if (!x->in_off)
        return;
    x->in.len -= x->in_off;
    memmove(x->in.p, x->in.p + x->in_off, x->in.len);
    x->in_off = 0;
}

/* One read. IO_FAILED: the client is gone. */
static enum io read_more(struct xchg *x, struct feed *f)
{
    struct fault fault;
    size_t got;
    enum io io;
    char *to;
    size_t cap = CLIENT_READ;

    if (!(x->client_events & (SYS_IN | SYS_GONE)))
        return IO_PARKED;
    if (f->n == 0) {
        to = loop_scratch();
        f->scratch = true;
    } else {
        compact(x);
        if (f->scratch && !block_add(&x->in, f->p, f->n))
            return IO_FAILED;
        if (!block_room(&x->in, CLIENT_READ / 4))
            return IO_FAILED;
        f->scratch = false;
        to = x->in.p + x->in.len;
        cap = x->in.cap - x->in.len;
    }
    io = conn_read(x->conn, to, cap, &got, &fault);
    x->client_events &= ~(unsigned)SYS_IN;
    if (io == IO_DONE && got == 0)
        io = IO_FAILED;
    if (io != IO_DONE) {
        if (f->scratch)
            f->n = 0;
        return io;
    }
    /* A full read means that more is there, and behind SYS_GONE the end: both are read on without asking the kernel again, while what
     * came is still in the cache. */
    if (got == cap || x->client_events & SYS_GONE)
        x->client_events |= SYS_IN;
    if (f->scratch) {
        f->p = to;
        f->n = got;
    } else {
        x->in.len += got;
        *f = waiting(x);
    }
    return IO_DONE;
}

bool intake_watch(struct xchg *x)
{
    struct fault fault;
    size_t got;
    enum io io;

    if (!(x->client_events & (SYS_IN | SYS_GONE)))
        return true;
    if (x->client_events & SYS_GONE)
        return false; /* also a half-close: tokens cost money, and no SDK does that while it waits (L-44) */
    compact(x);
    if (!block_room(&x->in, CLIENT_READ / 4))
        return false;
    io = conn_read(x->conn, x->in.p + x->in.len, x->in.cap - x->in.len, &got, &fault);
    x->client_events &= ~(unsigned)SYS_IN;
    if (io == IO_FAILED || (io == IO_DONE && got == 0))
        return false;
    x->in.len += got;
    if (x->in.len == 0)
        block_drop(&x->in);
    return true;
}

/* ---- Who is asking ---- */

static enum intake no_memory(struct xchg *x)
{
    reply_refuse(x, REFUSAL_OVERLOADED, (struct refusal_detail){.retry_after_s = 1, .should_retry = true},
                 "The memory budget is spent. Retry in a moment.");
    return INTAKE_ANSWERED;
}

/* The token of Authorization: Bearer or x-api-key; empty when neither, *conflict when they differ. */
static struct slice token_of(const struct http_request *r, bool *conflict)
{
    struct slice bearer = http_request_get(r, HTTP_AUTHORIZATION), plain = http_request_get(r, HTTP_X_API_KEY);

    if (bearer.n) {
        if (!slice_starts_nocase(bearer, SLICE("bearer ")))
            return slice_make(NULL, 0);
        bearer = slice_trim(slice_from(bearer, 7));
    }
    *conflict = bearer.n && plain.n && !slice_eq_const_time(bearer, plain);
    return bearer.n ? bearer : plain;
}

/* Hashes of access keys that were good lately: one key asks many times, and hashing it is work, most where the processor has no
 * instructions for it. The hash of a text never changes, so whether it still opens anything is asked each time of the configuration. */
enum { KNOWN_TOKENS = 64 /* a power of two */, KNOWN_LEN_MIN = 8, KNOWN_LEN_MAX = 96 };
static struct known_token {
    uint8_t hash[32];
    uint8_t n; /* 0: empty */
    char text[KNOWN_LEN_MAX];
} known_token[KNOWN_TOKENS];

/* Where the token is or would be; NULL: it is of no length that is kept. */
static struct known_token *known_place(struct slice token)
{
    uint64_t tail;

    if (token.n < KNOWN_LEN_MIN || token.n > KNOWN_LEN_MAX)
        return NULL;
    memcpy(&tail, token.p + token.n - sizeof tail, sizeof tail);
    return &known_token[(tail * 0x9e3779b97f4a7c15u >> 32) % KNOWN_TOKENS];
}

static void token_hash(struct slice token, uint8_t hash[32])
{
    const struct known_token *k = known_place(token);

    if (k && slice_eq_const_time(token, slice_make(k->text, k->n)))
        memcpy(hash, k->hash, sizeof k->hash);
    else
        sha256(token, hash);
}

static void token_was_good(struct slice token, const uint8_t hash[32])
{
    struct known_token *k = known_place(token);

    if (!k || memcmp(k->hash, hash, sizeof k->hash) == 0)
        return;
    memcpy(k->hash, hash, sizeof k->hash);
    memcpy(k->text, token.p, token.n);
    k->n = (uint8_t)token.n;
}

static bool authenticate(struct xchg *x, const struct http_request *r)
{
    enum keyring_found found = KEYRING_NONE;
    bool conflict = false;
    struct slice token = token_of(r, &conflict);
    uint8_t hash[32];

    if (conflict) {
        reply_refuse(x, REFUSAL_INVALID_ACCESS_KEY, no_retry,
                     "Authorization and x-api-key carry different access keys. Send one of them.");
        return false;
    }
    if (token.n && token.n <= TOKEN_MAX) {
        token_hash(token, hash);
        x->key = conf_access_key(x->world->conf, hash);
        if (!x->key)
            found = keyring_use(hash, x->world->conf, clock_wall_ms(), &x->arena, &x->key);
        if (x->key)
            token_was_good(token, hash);
    }
    if (x->key)
        return !limit_expired(x);
    if (found == KEYRING_NO_MEMORY) {
        (void)no_memory(x);
        return false;
    }
    if (found == KEYRING_ORPHAN) {
        reply_refuse(x, REFUSAL_INVALID_ACCESS_KEY, no_retry,
                     "The configuration of this access key is not in force, so it may use nothing. The gateway's operator can give it another one.");
        return false;
    }
    reply_refuse(x, REFUSAL_INVALID_ACCESS_KEY, no_retry,
                 token.n ? "This access key is not known here. Check it, or ask the gateway's operator for one."
                         : "No access key was sent. Send it as Authorization: Bearer KEY or x-api-key: KEY.");
    return false;
}

/* ---- Routes ---- */

enum route_kind { AT_NOWHERE, AT_HEALTHZ, AT_READYZ, AT_MODELS, AT_SURFACE };

static enum route_kind find_route(struct xchg *x, const struct http_request *r, struct slice *model)
{
    x->has_surface = surface_by_route(r->path, &x->surface);
    if (x->has_surface)
        return AT_SURFACE;
    if (slice_eq(r->path, SLICE("/healthz")))
        return AT_HEALTHZ;
    if (slice_eq(r->path, SLICE("/readyz")))
        return AT_READYZ;
    if (slice_eq(r->path, SLICE("/v1/models")))
        return AT_MODELS;
    if (slice_starts(r->path, SLICE("/v1/models/")) && r->path.n > 11) {
        *model = slice_from(r->path, 11);
        return AT_MODELS;
    }
    return AT_NOWHERE;
}

static bool is_json(struct slice type)
{
    ptrdiff_t end = slice_find_char(type, ';');
    struct slice base = slice_trim(end >= 0 ? slice_first(type, (size_t)end) : type);

    return slice_eq_nocase(base, SLICE("application/json")) ||
           (slice_starts_nocase(base, SLICE("application/")) && slice_ends(base, SLICE("+json")));
}

/* Answers a GET. */
static void answer_local(struct xchg *x, const struct http_request *r, enum route_kind kind, struct slice model)
{
    bool anthropic = r->first[HTTP_ANTHROPIC_VERSION] != 0;

    if (kind == AT_MODELS && anthropic) {
        x->surface = SURFACE_MESSAGES; /* errors in the same dialect */
        x->has_surface = true;
    }
    if (r->method != HTTP_GET && r->method != HTTP_HEAD)
        reply_refuse(x, REFUSAL_METHOD_NOT_ALLOWED, (struct refusal_detail){.retry_after_s = -1, .allow = "GET, HEAD"},
                     "This path takes GET only.");
    else if (kind == AT_HEALTHZ || kind == AT_READYZ)
        reply_health(x, kind == AT_READYZ);
    else if (authenticate(x, r))
        reply_models(x, model, anthropic);
}

/* What a head alone decides for a surface. False: refused. */
static bool accept_surface(struct xchg *x, const struct http_request *r)
{
    struct slice coding = http_request_get(r, HTTP_CONTENT_ENCODING);
    uint64_t most = x->world->conf->max_request_bytes;

    if (r->method != HTTP_POST) {
        reply_refuse(x, REFUSAL_METHOD_NOT_ALLOWED, (struct refusal_detail){.retry_after_s = -1, .allow = "POST"},
                     "This path takes POST only.");
        return false;
    }
    if (!authenticate(x, r))
        return false;
    x->asks = true;
    if (coding.n && !slice_eq_nocase(coding, SLICE("identity"))) {
        reply_refuse(x, REFUSAL_UNSUPPORTED_MEDIA, no_retry,
                     "Compressed request bodies are not taken. Send the body without content-encoding.");
    } else if (!is_json(http_request_get(r, HTTP_CONTENT_TYPE))) {
        reply_refuse(x, REFUSAL_UNSUPPORTED_MEDIA, no_retry, "The body must be JSON. Send content-type: application/json.");
    } else if (r->framing == HTTP_NO_BODY) {
        reply_refuse(x, REFUSAL_BAD_HTTP, (struct refusal_detail){.status = 411, .retry_after_s = -1},
                     "A body is needed. Send content-length or transfer-encoding: chunked.");
    } else if (r->framing == HTTP_LENGTH && r->length > most) {
        reply_refuse(x, REFUSAL_BODY_TOO_LARGE, no_retry, "The body has %llu bytes; the limit is %llu (limits.maxRequestBytes).",
                     (unsigned long long)r->length, (unsigned long long)most);
    } else if (x->surplus) {
        reply_refuse(x, REFUSAL_OVERLOADED, (struct refusal_detail){.retry_after_s = 1, .should_retry = true},
                     "The gateway's connection limit is reached. Retry in a moment.");
    } else {
        return true;
    }
    return false;
}

/* ---- The body ---- */

static enum intake refuse_body(struct xchg *x, const struct json_check *c)
{
    reply_refuse(x, REFUSAL_INVALID_REQUEST, no_retry, "The body is not valid JSON: %s at byte %llu.", c->why,
                 (unsigned long long)c->bad_at);
    return INTAKE_ANSWERED;
}

static enum intake route(struct xchg *x, const struct request_asks *ask)
{
    struct route_ask q; /* mostly names, of which only those asked for are set */
    struct slice name = {0};
    struct refusal_detail d = {.retry_after_s = -1, .param = "model", .with_attempts = true};
    enum route_result result;

    q.conf = x->world->conf;
    q.key = x->key;
    q.surface = x->surface;
    q.nmodels = ask->nmodels;
    q.failover_off = x->failover_off;
    memcpy(q.model, ask->model, ask->nmodels * sizeof *q.model);
    result = route_build(&q, x->world->health, &x->arena, &x->attempts, &name);
    name = slice_first(name, 128);
    switch (result) {
    case ROUTE_OK:
        return limit_hold(x) ? INTAKE_ROUTED : INTAKE_ANSWERED;
    case ROUTE_NO_MATCH:
        reply_refuse(x, REFUSAL_NO_MATCHING_MODEL, d,
                     "No provider is known for model \"%.*s\". Use provider:model, or see GET /v1/models.", (int)name.n, name.p);
        break;
    case ROUTE_NO_SURFACE:
        reply_refuse(x, REFUSAL_NO_MATCHING_MODEL, d,
                     "The provider of model \"%.*s\" does not serve %s. Use a model whose provider does.", (int)name.n, name.p,
                     surface_table[x->surface].name.p);
        break;
    case ROUTE_NOT_ALLOWED:
        reply_refuse(x, REFUSAL_MODEL_NOT_ALLOWED, d,
                     "This access key may not use model \"%.*s\". See GET /v1/models for what it may use.", (int)name.n, name.p);
        break;
    case ROUTE_NO_KEY:
        d.param = NULL;
        reply_refuse(x, REFUSAL_NO_PROVIDER_KEY, d,
                     "There is no provider key for model \"%.*s\". The operator can add one under providerKeys or managed.",
                     (int)name.n, name.p);
        break;
    case ROUTE_NO_MEMORY:
        return no_memory(x);
    }
    return INTAKE_ANSWERED;
}

/* The whole body is here and passed the check, up to its end. */
static enum intake body_complete(struct xchg *x, struct json_check *c)
{
    struct request_asks ask;
    struct request_error e;

    x->unread = false;
    if (json_check_end(c) != PARSE_DONE)
        return refuse_body(x, c);
    if (c->top_type != JSON_OBJECT) {
        reply_refuse(x, REFUSAL_INVALID_REQUEST, no_retry, "The body must be a JSON object.");
        return INTAKE_ANSWERED;
    }
    if (c->members > c->member_cap) {
        reply_refuse(x, REFUSAL_INVALID_REQUEST, no_retry, "The body has %u top-level members; at most %d are taken.",
                     (unsigned)c->members, JSON_MEMBERS_MAX);
        return INTAKE_ANSWERED;
    }
    x->nmembers = c->members;
    x->asked_bytes = x->text.len;
    if (x->member != c->member) { /* found in shared memory: keep what there is */
        x->member = arena_take(&x->arena, c->members * sizeof *x->member);
        if (!x->member)
            return no_memory(x);
        memcpy(x->member, c->member, c->members * sizeof *x->member);
    }
    if (!request_read(slice_make(x->text.p, x->text.len), x->member, x->nmembers, &x->arena, &ask, &e)) {
        reply_refuse(x, REFUSAL_INVALID_REQUEST, (struct refusal_detail){.retry_after_s = -1, .param = e.param}, "%s", e.text);
        return INTAKE_ANSWERED;
    }
    memcpy(x->at, ask.at, sizeof x->at);
    x->wants_stream = ask.stream;
    if (ask.stream && (x->surface == SURFACE_CHAT || x->surface == SURFACE_COMPLETIONS))
        x->usage_options = rewrite_usage_options(slice_make(x->text.p, x->text.len), x->member, x->at, &x->arena);
    /* An estimate, and a low one: four bytes of JSON are rarely less than a token. */
    if (x->world->conf->gateway.max_input_tokens && x->text.len / 4 > x->world->conf->gateway.max_input_tokens) {
        reply_refuse(x, REFUSAL_INPUT_TOO_LARGE, no_retry, "The request is about %llu tokens long; the limit is %llu (gateway.maxInputTokens).",
                     (unsigned long long)(x->text.len / 4), (unsigned long long)x->world->conf->gateway.max_input_tokens);
        return INTAKE_ANSWERED;
    }
    return limit_admit(x) ? route(x, &ask) : INTAKE_ANSWERED;
}

/* Adds body bytes and checks them. INTAKE_BODY: so far fine. */
static enum intake add_body(struct xchg *x, struct json_check *c, const char *p, size_t n, bool in_place)
{
    if (!in_place && x->text.len + n > x->world->conf->max_request_bytes) {
        reply_refuse(x, REFUSAL_BODY_TOO_LARGE, no_retry, "The body is longer than %llu bytes (limits.maxRequestBytes).",
                     (unsigned long long)x->world->conf->max_request_bytes);
        return INTAKE_ANSWERED;
    }
    if (in_place)
        x->text.len += n;
    else if (!block_add(&x->text, p, n))
        return no_memory(x);
    if (json_check_feed(c, x->text.p + x->text.len - n, n) == PARSE_BAD)
        return refuse_body(x, c);
    return INTAKE_BODY;
}

static enum intake framing_error(struct xchg *x)
{
    reply_refuse(x, REFUSAL_BAD_HTTP, no_retry, "The body's framing is broken: %s. The connection closes.", x->body.why);
    return INTAKE_ANSWERED;
}

/* Body bytes of the feed in whatever framing. */
static enum intake take_body(struct xchg *x, struct json_check *c, struct feed *f, size_t from, bool *done)
{
    size_t used, out;
    enum parse parse = http_body_decode(&x->body, f->p + from, f->n - from, &used, &out);
    enum intake r;

    *done = parse == PARSE_DONE;
    if (parse == PARSE_BAD)
        return framing_error(x);
    x->bytes_in += used;
    r = add_body(x, c, f->p + from, out, false);
    if (r != INTAKE_BODY)
        return r;
    if (!keep(x, f, from + used))
        return no_memory(x);
    f->n = 0;
    return INTAKE_BODY;
}

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* The head is fine and a body follows: take what came with it. */
static enum intake begin_body(struct xchg *x, const struct http_request *r, struct feed *f)
{
    struct json_check whole;
    bool done = false, expects = r->expect_continue;
    size_t head = r->head_len;
    enum intake result;

    http_body_init(&x->body, r->framing, r->length);
    if (r->framing == HTTP_LENGTH && !block_room(&x->text, r->length ? (size_t)r->length : 1))
        return no_memory(x);
    json_check_init(&whole, gate.member, JSON_MEMBERS_MAX);
    if (f->n - head >= r->length && r->framing == HTTP_LENGTH) {
        result = take_body(x, &whole, f, head, &done);
        return result == INTAKE_BODY ? body_complete(x, &whole) : result;
    }
    x->check = arena_take(&x->arena, sizeof *x->check);
    x->member = arena_take(&x->arena, JSON_MEMBERS_MAX * sizeof *x->member);
    if (!x->check || !x->member)
        return no_memory(x);
    json_check_init(x->check, x->member, JSON_MEMBERS_MAX);
    if (f->n > head) {
        result = take_body(x, x->check, f, head, &done);
        if (result != INTAKE_BODY)
            return result;
        if (done)
            return body_complete(x, x->check);
    } else {
        if (!keep(x, f, head))
            return no_memory(x);
        if (expects) {
            struct slice line = slice_make(continue_line, sizeof continue_line - 1);

            if (!xchg_send(x, &line, 1))
                return INTAKE_GONE;
        }
    }
    x->body_began_ms = clock_ms();
    return INTAKE_BODY;
}

enum intake intake_body(struct xchg *x)
{
    bool done = false;
    enum intake r = INTAKE_BODY;

    for (int reads = 0; reads < 16 && !done; reads++) {
        if (x->body.framing == HTTP_LENGTH && x->in.len == x->in_off) {
            /* Straight to where it stays. The framing decoder agrees: it is told the same count. */
            struct fault fault;
            size_t got, used, out;
            enum io io;

            if (!(x->client_events & (SYS_IN | SYS_GONE)))
                return INTAKE_MORE;
            io = conn_read(x->conn, x->text.p + x->text.len, (size_t)x->body.left, &got, &fault);
            x->client_events &= ~(unsigned)SYS_IN;
            if (io == IO_FAILED || (io == IO_DONE && got == 0))
                return INTAKE_GONE;
            if (io == IO_PARKED)
                return INTAKE_MORE;
            if (x->client_events & SYS_GONE)
                x->client_events |= SYS_IN;
            x->bytes_in += got;
            done = http_body_decode(&x->body, x->text.p + x->text.len, got, &used, &out) == PARSE_DONE;
            r = add_body(x, x->check, NULL, out, true);
        } else {
            struct feed f = waiting(x);

            if (f.n == 0) {
                enum io io = read_more(x, &f);

                if (io == IO_FAILED)
                    return INTAKE_GONE;
                if (io == IO_PARKED)
                    return INTAKE_MORE;
            }
            r = take_body(x, x->check, &f, 0, &done);
        }
        if (r != INTAKE_BODY)
            return r;
    }
    return done ? body_complete(x, x->check) : INTAKE_MORE;
}

/* ---- The head ---- */

/* Eight hex digits, all at once: a digit in each byte, then '0' or 'a' - 10 added. The order of digits is not that of a number; none is needed. */
static void hex8(uint32_t v, char out[8])
{
    uint64_t x = v;

    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    x += 0x3030303030303030u + ((x + 0x0606060606060606u) >> 4 & 0x0101010101010101u) * ('a' - '0' - 10);
    memcpy(out, &x, 8);
}

static void make_id(char id[REQUEST_ID_LEN + 1])
{
    uint64_t a = health_random(gate.world->health), b = health_random(gate.world->health);

    memcpy(id, "req_", 4);
    hex8((uint32_t)a, id + 4);
    hex8((uint32_t)(a >> 32), id + 12);
    hex8((uint32_t)b, id + 20);
    id[REQUEST_ID_LEN] = '\0';
}

/* From here on it leaves a log line, and runs in the world of this moment. */
static void begin(struct xchg *x)
{
    make_id(x->id);
    x->active = true;
    if (!x->world)
        x->world = world_get(gate.world);
}

static void begin_request(struct xchg *x, const struct http_request *r)
{
    begin(x);
    if (!x->began_ms)
        x->began_ms = clock_ms();
    x->keep_alive = r->keep_alive && !gate.draining;
    x->http10 = r->minor == 0;
    x->head_only = r->method == HTTP_HEAD;
    x->bytes_in = r->head_len;
    x->failover_off = slice_eq_nocase(http_request_get(r, HTTP_X_WEIR_FAILOVER), SLICE("off"));
}

static enum intake parsed(struct xchg *x, const struct http_request *r, struct feed *f)
{
    struct slice model = {0};
    enum route_kind kind = find_route(x, r, &model);
    uint64_t body = r->framing == HTTP_LENGTH ? r->length : 0;

    begin_request(x, r);
    /* Refused by the head alone: when all of the body is here it is skipped and the connection lives on, else it must end. */
    x->unread = r->framing == HTTP_CHUNKED || body > f->n - r->head_len;
    if (r->method != HTTP_POST && r->method != HTTP_PUT && r->method != HTTP_PATCH &&
        (r->framing == HTTP_CHUNKED || body)) {
        x->unread = true; /* a body where none belongs: whoever reads it otherwise must not get a second request out of it (H-20) */
        reply_refuse(x, REFUSAL_BAD_HTTP, no_retry, "A %.*s request may not carry a body. The connection closes.",
                     (int)slice_first(r->method_text, 16).n, r->method_text.p);
    } else if (kind == AT_SURFACE) {
        if (accept_surface(x, r)) {
            x->unread = true; /* until the body is whole */
            x->forward = headers_forward(r, &x->arena, &x->has_anthropic_version);
            x->query = arena_copy(&x->arena, r->query);
            if (x->forward.p && !arena_overflowed(&x->arena))
                return begin_body(x, r, f);
            (void)no_memory(x);
        }
    } else if (kind == AT_NOWHERE) {
        x->has_surface = slice_starts(r->path, SLICE("/v1/messages"));
        x->surface = SURFACE_MESSAGES;
        reply_refuse(x, REFUSAL_NOT_FOUND, no_retry, "No such path. See the README for the routes, such as /v1/chat/completions.");
    } else {
        answer_local(x, r, kind, model);
    }
    (void)keep(x, f, x->unread ? f->n : r->head_len + (size_t)body);
    return INTAKE_ANSWERED;
}

static enum intake refuse_head(struct xchg *x, const struct http_bad *bad)
{
    begin(x);
    if (!x->began_ms)
        x->began_ms = clock_ms();
    x->unread = true;
    reply_refuse(x, REFUSAL_BAD_HTTP, (struct refusal_detail){.status = bad->status, .retry_after_s = -1},
                 "The request is not acceptable HTTP/1.1: %s. The connection closes.", bad->why);
    return INTAKE_ANSWERED;
}

enum intake intake_head(struct xchg *x)
{
    struct feed f = waiting(x);

    for (;;) {
        struct http_bad bad;
        enum io io;

        if (f.n) {
            if (!x->began_ms)
                x->began_ms = clock_ms();
            switch (http_request_parse(&gate.request, f.p, f.n, &x->head_seen, &bad)) {
            case PARSE_DONE:
                return parsed(x, &gate.request, &f);
            case PARSE_BAD:
                return refuse_head(x, &bad);
            case PARSE_MORE:
                break;
            }
        }
        io = read_more(x, &f);
        if (io == IO_FAILED)
            return INTAKE_GONE;
        if (io == IO_PARKED)
            break;
    }
    if (f.scratch && f.n && !block_add(&x->in, f.p, f.n))
        return INTAKE_GONE;
    return INTAKE_MORE;
}

enum intake intake_late(struct xchg *x)
{
    if (x->state == XCHG_READ_HEAD && !x->began_ms)
        return INTAKE_GONE; /* idle between requests */
    if (!x->active)
        begin(x);
    x->unread = true;
    reply_refuse(x, REFUSAL_REQUEST_TIMEOUT, no_retry, "The request did not arrive in time. Send it again in one go.");
    return INTAKE_ANSWERED;
}
