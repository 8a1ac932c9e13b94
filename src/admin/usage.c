/* GET /usage and GET /usage/overview: what state/usage.h keeps, in the contract's words. */
#include "admin/usage.h"

#include "base/date.h"
#include "base/log.h"
#include "base/sort.h"
#include "base/text.h"
#include "gate/xchg.h"
#include "json/out.h"
#include "state/usage.h"

enum {
    DAY_MS = 86400000,
    EVENT_MAX = 6144,  /* its ids twice and three names, each byte escaped, and 600 bytes */
    BUCKET_MAX = 256,  /* numbers and their names; the name of the group comes on top, three bytes for each of its own */
};

/* ---- Events ---- */

static void key_text(struct json_out *o, const char *key, struct slice s)
{
    json_key(o, key);
    json_out_str(o, s);
}

static void key_number(struct json_out *o, const char *key, uint64_t v)
{
    json_key(o, key);
    json_out_u64(o, v);
}

static void key_switch(struct json_out *o, const char *key, bool v)
{
    json_key(o, key);
    json_out_bool(o, v);
}

static void key_time(struct json_out *o, const char *key, int64_t wall_ms)
{
    char text[25];

    json_key(o, key);
    json_out_str(o, log_time(wall_ms, text));
}

static void key_cost(struct json_out *o, const char *key, uint64_t pico)
{
    char text[24];

    json_key(o, key);
    json_out_str(o, usage_dollars(pico, text));
}

/* Names as they are now; what is gone by now is shown by its id. */
static void names(struct json_out *o, const struct usage_event *e)
{
    struct slice provider_id = usage_get_id(e, USAGE_PROVIDER), key_id = usage_get_id(e, USAGE_PROVIDER_KEY), model_id = usage_get_id(e, USAGE_MODEL);
    const struct provider *p = conf_provider(gate.world->conf, provider_id);
    const struct conf_model *m = p ? conf_provider_model(p, model_id) : NULL;
    const struct credential *k = NULL;

    for (uint32_t i = 0; p && key_id.n && i < p->nkeys + p->nmanaged && !k; i++) {
        const struct credential *c = i < p->nkeys ? p->key[i] : p->managed[i - p->nkeys];

        if (slice_eq(c->id, key_id))
            k = c;
    }
    key_text(o, "provider", provider_id);
    key_text(o, "providerDisplayName", p ? p->name : provider_id);
    key_text(o, "model", model_id);
    key_text(o, "modelDisplayName", m && m->name.n ? m->name : model_id);
    key_text(o, "keySource", slice_str(e->flags & USAGE_MANAGED ? "managed" : e->flags & USAGE_KEYLESS ? "none" : "user"));
    if (key_id.n) {
        key_text(o, "providerKeyId", key_id);
        key_text(o, "providerKeyDisplayName", k ? k->name : key_id);
    }
}

static void event(struct json_out *o, const struct usage_event *e)
{
    json_open(o, '{');
    json_key(o, "id");
    {
        char id[32];

        json_out_str(o, slice_make(id, (size_t)text_format(id, sizeof id, "aigue_%llu", (unsigned long long)e->seq)));
    }
    key_time(o, "eventTime", e->wall_ms);
    key_text(o, "requestId", slice_make(e->request_id, sizeof e->request_id));
    key_text(o, "accessKeyId", usage_get_id(e, USAGE_ACCESS_KEY));
    names(o, e);
    key_number(o, "attemptNumber", e->attempt);
    key_switch(o, "isFinalAttempt", e->flags & USAGE_FINAL);
    key_number(o, "statusCode", e->status);
    key_switch(o, "timedOut", e->flags & USAGE_TIMED_OUT);
    key_switch(o, "isError", e->flags & USAGE_ERROR);
    key_switch(o, "isStreaming", e->flags & USAGE_STREAMING);
    key_text(o, "stopReason", slice_str(e->stop_reason));
    key_number(o, "inputTokens", e->input);
    key_number(o, "outputTokens", e->output);
    key_number(o, "cacheReadTokens", e->cache_read);
    key_number(o, "reasoningTokens", e->reasoning);
    key_cost(o, "totalCost", e->cost);
    json_close(o, '}');
}

struct ask {
    int64_t from_ms, to_ms; /* to: not in it any more */
    struct slice access_key;
    bool retries;
    uint64_t before;        /* cursor: numbers below it */
    uint32_t limit;
};

/* Writes a page. Returns the next page's cursor, 0: there is none. */
static uint64_t events(struct json_out *o, const struct ask *q)
{
    uint64_t seq = q->before < usage_next_seq() ? q->before : usage_next_seq(), last = 0;
    const struct usage_event *e;
    uint32_t n = 0;

    json_open(o, '[');
    while (seq > 0 && (e = usage_at(seq - 1)) != NULL) {
        seq--;
        if (e->wall_ms < q->from_ms || e->wall_ms >= q->to_ms || !(q->retries || e->flags & USAGE_FINAL) ||
            (q->access_key.n && !slice_eq(usage_get_id(e, USAGE_ACCESS_KEY), q->access_key)))
            continue;
        if (n++ == q->limit) /* one more than fits: there is a next page */
            break;
        last = seq;
        event(o, e);
    }
    json_close(o, ']');
    return n > q->limit ? last : 0;
}

/* ---- Queries ---- */

static bool read_time(struct admin_call *c, const char *name, int64_t *out)
{
    struct slice text;

    if (!admin_query(c, name, &text) || date_parse(text, out))
        return true;
    admin_error(c, 422, name, "%s must be a time such as 2030-01-31T00:00:00Z.", name);
    return false;
}

static bool read_switch(struct admin_call *c, const char *name, bool *out)
{
    struct slice text;

    *out = admin_query(c, name, &text) && slice_eq(text, SLICE("true"));
    if (*out || !admin_query(c, name, &text) || slice_eq(text, SLICE("false")))
        return true;
    admin_error(c, 422, name, "%s must be true or false.", name);
    return false;
}

static bool read_span(struct admin_call *c, struct ask *q)
{
    q->from_ms = -1;
    q->to_ms = INT64_MAX;
    if (!read_time(c, "startTime", &q->from_ms) || !read_time(c, "endTime", &q->to_ms))
        return false;
    if (q->from_ms < 0) {
        admin_error(c, 422, "startTime", "startTime is needed, a time such as 2030-01-31T00:00:00Z.");
        return false;
    }
    if (q->to_ms <= q->from_ms) {
        admin_error(c, 422, "endTime", "endTime must be later than startTime.");
        return false;
    }
    return true;
}

static bool read_cursor(struct admin_call *c, struct ask *q)
{
    struct slice text;

    q->before = UINT64_MAX;
    if (!admin_query(c, "cursor", &text) || slice_u64(text, &q->before))
        return true;
    admin_error(c, 422, "cursor", "cursor must be one that an earlier answer's nextPageUri holds.");
    return false;
}

/* Room for an answer, from the call's arena; false: answered. */
static bool begin(struct admin_call *c, struct json_out *o, size_t cap)
{
    char *p = arena_take_bytes(c->arena, cap);

    if (!p)
        admin_error(c, 500, NULL, "There is no memory for so long an answer. Ask for less at a time.");
    else
        json_out_init(o, p, cap);
    return p != NULL;
}

static void end(struct admin_call *c, struct json_out *o)
{
    json_close(o, '}');
    if (o->full)
        admin_error(c, 500, NULL, "The answer is longer than it can be. Ask for less at a time.");
    else
        admin_json(c, 200, json_out_done(o));
}

/* The call's own path and query, with another cursor (0: with its own). */
static void key_uri(struct json_out *o, const char *key, const struct admin_call *c, uint64_t cursor)
{
    size_t cap = c->path.n + c->query.n + 40, n;
    char *p = arena_take_bytes(c->arena, cap);
    struct slice rest = c->query;
    char mark = '?';

    if (!p) {
        o->full = true;
        return;
    }
    n = (size_t)text_format(p, cap, "%.*s", (int)c->path.n, c->path.p);
    while (rest.n) {
        ptrdiff_t amp = slice_find_char(rest, '&');
        struct slice pair = amp < 0 ? rest : slice_first(rest, (size_t)amp);

        rest = slice_from(rest, pair.n + (amp >= 0));
        if (!pair.n || (cursor && slice_starts(pair, SLICE("cursor="))))
            continue;
        n += (size_t)text_format(p + n, cap - n, "%c%.*s", mark, (int)pair.n, pair.p);
        mark = '&';
    }
    if (cursor)
        n += (size_t)text_format(p + n, cap - n, "%ccursor=%llu", mark, (unsigned long long)cursor);
    key_text(o, key, slice_make(p, n));
}

void usage_list(struct admin_call *c)
{
    static const char *const names_known[] = {"startTime", "endTime", "accessKeyId", "includeRetries", "cursor", "limit", NULL};
    struct ask q = {0};
    struct json_out o;
    uint64_t next;

    if (!admin_query_only(c, names_known) || !read_span(c, &q) || !read_switch(c, "includeRetries", &q.retries) || !read_cursor(c, &q) ||
        !admin_query_limit(c, ADMIN_LIST_MAX, ADMIN_LIST_MAX, &q.limit) || !begin(c, &o, 4096 + c->path.n + 12 * c->query.n + (size_t)q.limit * EVENT_MAX))
        return;
    (void)admin_query(c, "accessKeyId", &q.access_key);
    usage_fold();
    json_open(&o, '{');
    json_key(&o, "aiGatewayUsage");
    next = events(&o, &q);
    key_uri(&o, "uri", c, 0);
    if (next) {
        key_uri(&o, "nextPageUri", c, next);
    } else {
        json_key(&o, "nextPageUri");
        json_out_null(&o);
    }
    end(c, &o);
}

/* ---- Sums ---- */

static int order(const void *pa, const void *pb)
{
    const struct usage_sum *a = usage_sum(*(const uint32_t *)pa), *b = usage_sum(*(const uint32_t *)pb);
    struct slice na = slice_make(a->name, a->name_len), nb = slice_make(b->name, b->name_len);
    int c;

    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    c = memcmp(na.p, nb.p, na.n < nb.n ? na.n : nb.n);
    return c ? c : na.n < nb.n ? -1 : na.n > nb.n;
}

static void numbers(struct json_out *o, const struct usage_sum *s, bool tokens)
{
    key_cost(o, "cost", s->cost);
    key_number(o, "requests", s->requests);
    key_number(o, "errors", s->errors);
    if (tokens) {
        key_number(o, "inputTokens", s->input);
        key_number(o, "outputTokens", s->output);
    }
}

static bool read_group(struct admin_call *c, enum usage_id *by)
{
    struct slice text;

    *by = USAGE_PROVIDER;
    if (!admin_query(c, "groupBy", &text) || slice_eq(text, SLICE("provider")))
        return true;
    *by = slice_eq(text, SLICE("model")) ? USAGE_MODEL : USAGE_ACCESS_KEY;
    if (*by == USAGE_MODEL || slice_eq(text, SLICE("accessKey")))
        return true;
    admin_error(c, 422, "groupBy", "groupBy must be provider, accessKey or model.");
    return false;
}

/* Which sums the asked time touches, in order; *n of them, *size bytes of JSON at most. NULL: answered. */
static uint32_t *choose(struct admin_call *c, const struct ask *q, enum usage_id by, uint32_t *n, size_t *size)
{
    const struct usage_sum *s;
    uint32_t *chosen = NULL;

    for (int fill = 0; fill < 2; fill++) {
        if (fill)
            chosen = arena_take(c->arena, (*n + 1) * sizeof *chosen);
        if (fill && !chosen) {
            admin_error(c, 500, NULL, "There is no memory for so long an answer. Ask for fewer days.");
            return NULL;
        }
        *n = 0;
        *size = 0;
        for (uint32_t i = 0; (s = usage_sum(i)) != NULL; i++) {
            int64_t begins = (int64_t)s->day * DAY_MS;

            if (s->by != by || begins + DAY_MS <= q->from_ms || begins >= q->to_ms)
                continue;
            if (fill)
                chosen[*n] = i;
            ++*n;
            *size += BUCKET_MAX + 3u * s->name_len;
        }
    }
    sort(chosen, *n, sizeof *chosen, order);
    return chosen;
}

void usage_overview(struct admin_call *c)
{
    static const char *const names_known[] = {"startTime", "endTime", "groupBy", "tokens", NULL};
    struct usage_sum total = {0};
    struct ask q = {0};
    struct json_out o;
    enum usage_id by;
    bool tokens;
    uint32_t n, *chosen;
    size_t size;

    usage_fold();
    if (!admin_query_only(c, names_known) || !read_span(c, &q) || !read_group(c, &by) || !read_switch(c, "tokens", &tokens) || !(chosen = choose(c, &q, by, &n, &size)) ||
        !begin(c, &o, 4096 + c->path.n + 6 * c->query.n + size))
        return;
    json_open(&o, '{');
    key_uri(&o, "uri", c, 0);
    json_key(&o, "buckets");
    json_open(&o, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct usage_sum *s = usage_sum(chosen[i]);

        json_open(&o, '{');
        key_time(&o, "bucketStart", (int64_t)s->day * DAY_MS);
        key_text(&o, "groupKey", slice_make(s->name, s->name_len));
        numbers(&o, s, tokens);
        json_close(&o, '}');
        total.cost = total.cost + s->cost < s->cost ? UINT64_MAX : total.cost + s->cost;
        total.requests += s->requests;
        total.errors += s->errors;
        total.input += s->input;
        total.output += s->output;
    }
    json_close(&o, ']');
    json_key(&o, "totals");
    json_open(&o, '{');
    numbers(&o, &total, tokens);
    json_close(&o, '}');
    end(c, &o);
}
