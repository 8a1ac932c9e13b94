/* Telling. Reads the exchange, changes nothing but the cut record. */
#include "gate/trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/recent.h"
#include "gate/resume.h"
#include "state/usage.h"

/* There is room, the caller has looked. Returns where the next piece goes. */
static size_t add(char *out, size_t at, struct slice s)
{
    memcpy(out + at, s.p, s.n);
    return at + s.n;
}

static size_t u64_text(uint64_t v, char out[20])
{
    char back[20];
    size_t n = 0;

    do {
        back[n++] = (char)('0' + v % 10);
    } while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = back[n - 1 - i];
    return n;
}

/* What stands behind the '=': the HTTP status, or the failure's word. */
static struct slice result_word(const struct attempt_record *r, char number[20])
{
    /* A 200 that failed all the same, by its body or its clock, is not told as "=200". */
    if (r->outcome == OUTCOME_OK || (r->status >= 300 && r->outcome != OUTCOME_SKIPPED))
        return slice_make(number, u64_text(r->status, number));
    return slice_str(outcome_name((enum outcome)r->outcome));
}

struct slice trace_attempts(const struct xchg *x, char *out, size_t cap)
{
    size_t n = 0;

    for (uint32_t i = 0; i < x->attempts.nrecords; i++) {
        const struct attempt_record *r = &x->attempts.record[i];
        char number[20];
        struct slice word = result_word(r, number), name = r->key->name;

        if (r->key->provider->id.n + name.n + word.n + 4 > cap - n)
            break;
        if (n)
            n = add(out, n, SLICE(", "));
        n = add(out, n, r->key->provider->id);
        out[n++] = '/';
        for (size_t k = 0; k < name.n; k++) /* the operator's free text: keep the field a field */
            out[n++] = (unsigned char)name.p[k] < 0x20 || (unsigned char)name.p[k] >= 0x7F ? '?' : name.p[k];
        out[n++] = '=';
        n = add(out, n, word);
    }
    return slice_make(out, n);
}

void trace_attempts_json(const struct xchg *x, struct json_out *o)
{
    json_open(o, '[');
    for (uint32_t i = 0; i < x->attempts.nrecords; i++) {
        const struct attempt_record *r = &x->attempts.record[i];

        json_open(o, '{');
        json_key_ready(o, JSON_KEY("provider"));
        json_out_str(o, r->key->provider->id);
        json_key_ready(o, JSON_KEY("model"));
        json_out_str_max(o, r->model, 128);
        json_key_ready(o, JSON_KEY("key"));
        json_out_str_max(o, r->key->name, 64);
        json_key_ready(o, JSON_KEY("status"));
        if (r->status)
            json_out_u64(o, r->status);
        else
            json_out_null(o);
        json_key_ready(o, JSON_KEY("outcome"));
        json_out_word(o, slice_str(outcome_name((enum outcome)r->outcome)));
        json_key_ready(o, JSON_KEY("ms"));
        json_out_u64(o, r->ms);
        if (r->what) {
            json_key_ready(o, JSON_KEY("reason"));
            json_out_str(o, slice_str(r->what));
        }
        json_close(o, '}');
    }
    json_close(o, ']');
}

void trace_cut(struct xchg *x, enum outcome o)
{
    struct attempt_record *r;

    if (!x->committed)
        return;
    r = &x->attempts.record[x->committed - 1];
    if (r->outcome == (uint8_t)o)
        return; /* told already, when another attempt was to go on */
    r->outcome = (uint8_t)o;
    health_tell(x->world->health, r->key, r->model, OUTCOME_UPSTREAM_ERROR, true, -1, clock_ms());
}

#define INLINE static inline __attribute__((always_inline)) /* so that the keys' lengths stay constants */

INLINE void key_u64(struct json_out *o, struct slice key, uint64_t v)
{
    json_key_ready(o, key);
    json_out_u64(o, v);
}

INLINE void key_word(struct json_out *o, struct slice key, struct slice word)
{
    json_key_ready(o, key);
    json_out_word(o, word);
}

INLINE void key_str(struct json_out *o, struct slice key, struct slice s)
{
    json_key_ready(o, key);
    json_out_str_max(o, s, 128);
}

/* Now, as log_time writes it. Within one second only the three digits before the Z change, so the rest is kept. */
static struct slice time_now(void)
{
    static char text[25];
    static int64_t second_ms = -1; /* the wall time that text was made for, without its milliseconds */
    int64_t now = clock_wall_ms(), ms = now % 1000;

    if (now - ms != second_ms) {
        second_ms = now - ms;
        (void)log_time(second_ms, text);
    }
    text[20] = (char)('0' + ms / 100);
    text[21] = (char)('0' + ms / 10 % 10);
    text[22] = (char)('0' + ms % 10);
    return slice_make(text, 24);
}

/* False: it did not fit with its attempts. */
static bool write_line(const struct xchg *x, struct json_out *o, bool with_attempts)
{
    const struct attempt_record *last = NULL;
    enum log_level level = x->end == END_CUT || x->status >= 500 ? LOG_WARN : LOG_INFO;
    uint32_t n = x->attempts.nrecords;

    if (n)
        last = &x->attempts.record[x->committed ? x->committed - 1u : n - 1];
    json_open(o, '{');
    json_out_paste(o, SLICE("\"time\":\""), false);
    json_out_paste(o, time_now(), false);
    json_out_paste(o, SLICE("\",\"level\":\""), false);
    json_out_paste(o, slice_str(log_level_name(level)), false);
    json_out_paste(o, SLICE("\",\"msg\":\"request\",\"requestId\":\""), false);
    json_out_paste(o, slice_make(x->id, REQUEST_ID_LEN), false);
    json_out_paste(o, SLICE("\""), true);
    if (x->key)
        key_str(o, JSON_KEY("accessKeyId"), x->key->id);
    if (x->has_surface)
        key_word(o, JSON_KEY("surface"), surface_table[x->surface].name);
    if (last) {
        key_str(o, JSON_KEY("model"), last->model);
        key_str(o, JSON_KEY("provider"), last->key->provider->id);
    }
    key_u64(o, JSON_KEY("status"), x->status);
    if (x->refusal)
        key_word(o, JSON_KEY("code"), slice_str(x->refusal));
    json_key_ready(o, JSON_KEY("attempts"));
    if (with_attempts)
        trace_attempts_json(x, o);
    else
        json_out_u64(o, n);
    if (resume_on(x))
        key_u64(o, JSON_KEY("continued"), x->resume->nparts);
    if (x->usage.seen) {
        key_u64(o, JSON_KEY("inputTokens"), x->usage.input);
        key_u64(o, JSON_KEY("outputTokens"), x->usage.output);
        if (x->usage.cache_read)
            key_u64(o, JSON_KEY("cacheReadTokens"), x->usage.cache_read);
        if (x->usage.reasoning)
            key_u64(o, JSON_KEY("reasoningTokens"), x->usage.reasoning);
    }
    if (x->priced) {
        char dollars[24];

        key_word(o, JSON_KEY("cost"), usage_dollars(x->cost, dollars));
    }
    if (x->stop_reason[0])
        key_str(o, JSON_KEY("stopReason"), slice_str(x->stop_reason));
    key_u64(o, JSON_KEY("bytesIn"), x->bytes_in);
    key_u64(o, JSON_KEY("bytesOut"), x->bytes_out);
    if (x->first_byte_ms)
        key_u64(o, JSON_KEY("ttfbMs"), (uint64_t)(x->first_byte_ms - x->began_ms));
    key_u64(o, JSON_KEY("durationMs"), (uint64_t)(clock_ms() - x->began_ms));
    key_word(o, JSON_KEY("end"), slice_str(xchg_end_name(x->end)));
    json_close(o, '}');
    return !o->full;
}

void trace_request(struct xchg *x)
{
    char line[LOG_LINE_MAX];
    struct json_out o;
    bool logged;

    gate.requests++;
    logged = x->world->conf->log_requests && log_wants(LOG_INFO);
    if (!logged && !recent_wanted())
        return;
    json_out_init(&o, line, sizeof line - 1);
    if (!write_line(x, &o, true)) {
        json_out_init(&o, line, sizeof line - 1);
        (void)write_line(x, &o, false);
    }
    recent_put(json_out_done(&o));
    if (logged)
        log_line(json_out_done(&o));
}
