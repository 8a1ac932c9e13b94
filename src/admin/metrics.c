/* See metrics.h. Each family is one table row or one loop; a value that is 0 and was never anything else is left out where there are many. */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stdarg.h>

#include "admin/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/text.h"
#include "gate/gate.h"
#include "gate/reply.h"
#include "gate/xchg.h"
#include "llm/outcome.h"
#include "net/dns.h"
#include "net/idle.h"
#include "net/loop.h"
#include "net/tls.h"
#include "state/limits.h"
#include "state/store.h"
#include "state/usage.h"

enum { LINE = 2048 /* two labels of 126 bytes, each byte written as four at most, and names */ };

struct out {
    struct block *b;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *format, ...)
{
    char line[LINE];
    va_list ap;
    int n;

    va_start(ap, format);
    n = text_vformat(line, sizeof line, format, ap);
    va_end(ap);
    o->failed |= n >= LINE || !block_add(o->b, line, (size_t)n);
}

/* The head of a family. */
static void family(struct out *o, const char *name, const char *type, const char *help)
{
    put(o, "# HELP weir_%s %s\n# TYPE weir_%s %s\n", name, help, name, type);
}

/* {name="value" or ,name="value". Beyond what the format asks for, bytes that are no plain text are told by number: ids may be cut within a character. */
static void label(struct out *o, char before, const char *name, struct slice value)
{
    char text[4 * 256];
    int n = 0;

    for (size_t i = 0; i < value.n && n < (int)sizeof text - 8; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (c == '"' || c == '\\')
            n += text_format(text + n, 8, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            n += text_format(text + n, 8, "\\\\x%x%x", c >> 4, c & 15);
        else
            text[n++] = (char)c;
    }
    put(o, "%c%s=\"%.*s\"", before, name, n, text);
}

static void series_labels(struct out *o, const char *metric, const struct usage_series *s)
{
    put(o, "weir_%s", metric);
    label(o, '{', "provider", slice_make(s->name, s->provider_len));
    label(o, ',', "model", slice_make(s->name + s->provider_len, s->model_len));
}

/* ---- By provider and model ---- */

static void requests(struct out *o)
{
    static const char *const class[USAGE_CLASSES] = {[USAGE_OK] = "ok", [USAGE_CLIENT_ERROR] = "client_error", [USAGE_SERVER_ERROR] = "server_error"};
    const struct usage_series *s;

    family(o, "requests_total", "counter", "Requests by the provider and model of their last attempt, and by the class of their status.");
    for (uint32_t i = 0; (s = usage_series(i)) != NULL; i++)
        for (int c = 0; c < USAGE_CLASSES; c++)
            if (s->requests[c]) {
                series_labels(o, "requests_total", s);
                put(o, ",class=\"%s\"} %" PRIu64 "\n", class[c], s->requests[c]);
            }
    family(o, "attempts_total", "counter", "Attempts by outcome.");
    for (uint32_t i = 0; (s = usage_series(i)) != NULL; i++)
        for (int c = 0; c < OUTCOME_COUNT; c++)
            if (s->attempts[c]) {
                series_labels(o, "attempts_total", s);
                put(o, ",outcome=\"%s\"} %" PRIu64 "\n", outcome_name((enum outcome)c), s->attempts[c]);
            }
    family(o, "tokens_total", "counter", "Tokens; cache_read is part of input, reasoning of output.");
    for (uint32_t i = 0; (s = usage_series(i)) != NULL; i++) {
        const uint64_t n[] = {s->input, s->output, s->cache_read, s->reasoning};
        static const char *const kind[] = {"input", "output", "cache_read", "reasoning"};

        for (int k = 0; k < 4; k++)
            if (n[k]) {
                series_labels(o, "tokens_total", s);
                put(o, ",kind=\"%s\"} %" PRIu64 "\n", kind[k], n[k]);
            }
    }
}

/* Errors of weir's own, all of them from the start, so that a first one is seen as a rise. */
static void refusals(struct out *o)
{
    family(o, "refusals_total", "counter", "Errors of weir's own, by their code.");
    for (int i = 0; i < REFUSAL_COUNT; i++) {
        const char *code;
        uint64_t n = reply_refused((enum refusal)i, &code);

        put(o, "weir_refusals_total{code=\"%s\"} %" PRIu64 "\n", code, n);
    }
}

/* Plain sums of a series. */
static void sums(struct out *o)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } sum[] = {
        {"failovers_total", "Attempts that failed and were followed by another one.", offsetof(struct usage_series, failovers)},
        {"estimated_total", "Attempts whose tokens are estimates, because the provider stated none or the answer broke off.", offsetof(struct usage_series, estimated)},
        {"unpriced_total", "Attempts that count as free because no price is known.", offsetof(struct usage_series, unpriced)},
        {"cost_dollars_total", "Cost in US dollars.", offsetof(struct usage_series, cost)},
    };
    const struct usage_series *s;

    for (size_t k = 0; k < sizeof sum / sizeof *sum; k++) {
        family(o, sum[k].name, "counter", sum[k].help);
        for (uint32_t i = 0; (s = usage_series(i)) != NULL; i++) {
            char dollars[24], plain[24];
            struct slice text;
            uint64_t v;

            memcpy(&v, (const char *)s + sum[k].at, sizeof v);
            if (!v)
                continue;
            text = sum[k].at == offsetof(struct usage_series, cost) ? usage_dollars(v, dollars)
                                                                    : slice_make(plain, (size_t)text_format(plain, sizeof plain, "%" PRIu64, v));
            series_labels(o, sum[k].name, s);
            put(o, "} %.*s\n", (int)text.n, text.p);
        }
    }
}

/* ---- Histograms ---- */

static void histogram(struct out *o, const char *name, const char *help, const struct usage_histogram *h)
{
    uint64_t sum = 0;

    family(o, name, "histogram", help);
    for (int i = 0; i < USAGE_BUCKETS; i++) {
        sum += h->count[i];
        put(o, "weir_%s_bucket{le=\"%u.%u%u%u\"} %" PRIu64 "\n", name, (unsigned)(usage_bound_ms[i] / 1000), (unsigned)(usage_bound_ms[i] / 100 % 10),
            (unsigned)(usage_bound_ms[i] / 10 % 10), (unsigned)(usage_bound_ms[i] % 10), sum);
    }
    sum += h->count[USAGE_BUCKETS];
    put(o, "weir_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nweir_%s_count %" PRIu64 "\nweir_%s_sum %" PRIu64 ".%u%u%u\n", name, sum, name, sum, name, h->sum_ms / 1000,
        (unsigned)(h->sum_ms / 100 % 10), (unsigned)(h->sum_ms / 10 % 10), (unsigned)(h->sum_ms % 10));
}

/* ---- Health of provider keys ---- */

static void keys(struct out *o)
{
    const struct conf *c = gate.world->conf;
    uint32_t shown = 0, cooling = 0, all = 0;

    family(o, "provider_key_cooling_seconds", "gauge", "How long a provider key (or its origin) still rests; 0: it is well.");
    for (uint32_t i = 0; i < c->ncredentials; i++) {
        const struct credential *k = &c->credential[i];
        int64_t until = 0;
        bool rests;

        if (!k->value.n)
            continue;
        rests = gate_cooling(k, slice_make(NULL, 0), &until);
        all++;
        cooling += rests;
        if (shown++ >= METRICS_KEYS_MAX)
            continue;
        put(o, "weir_provider_key_cooling_seconds");
        label(o, '{', "provider", slice_first(k->provider->id, 128));
        label(o, ',', "id", slice_first(k->id, 128));
        label(o, ',', "key", slice_first(k->name, 128));
        put(o, "} %" PRId64 "\n", rests && until > clock_ms() ? (until - clock_ms() + 999) / 1000 : rests);
    }
    family(o, "provider_keys", "gauge", "Provider keys by whether they rest.");
    put(o, "weir_provider_keys{state=\"well\"} %u\nweir_provider_keys{state=\"cooling\"} %u\n", all - cooling, cooling);
}

/* ---- One value each ---- */

/* Exchanges that run a request, and streams whose beginning is held back. */
static void running(uint64_t *active, uint64_t *held)
{
    for (struct list *n = gate.all.next; n != &gate.all; n = n->next) {
        const struct xchg *x = container_of(n, struct xchg, node);

        *active += x->active;
        for (int i = 0; i < XCHG_UPSTREAMS; i++)
            *held += x->up[i] && (x->up[i]->state == UP_HOLD || x->up[i]->state == UP_READY);
    }
}

static void singles(struct out *o)
{
    const struct usage_totals *t = usage_totals();
    const struct tls_counts tls = tls_counts();
    const struct dns_counts dns = dns_counts();
    struct store_stats store;
    uint64_t active = 0, held = 0, evicted;
    uint32_t limited = limits_keys(&evicted);

    store_get_stats(&store);
    running(&active, &held);
    const struct {
        const char *name, *labels, *type, *help; /* help NULL: another line of the family above */
        uint64_t value;
    } row[] = {
        {"start_time_seconds", "", "gauge", "When this process began, in seconds since 1970.", (uint64_t)t->since_ms / 1000},
        {"unbilled_requests_total", "{class=\"2xx\"}", "counter", "Answers of weir's own that belong to no access key: health, lists of models, 401.", t->local[2]},
        {"unbilled_requests_total", "{class=\"4xx\"}", "", NULL, t->local[4]},
        {"unbilled_requests_total", "{class=\"5xx\"}", "", NULL, t->local[5]},
        {"connections", "", "gauge", "Client connections that are open.", gate.open},
        {"connections_max", "", "gauge", "How many may be.", gate.most},
        {"requests_running", "", "gauge", "Requests under way.", active},
        {"streams_held", "", "gauge", "Answers of providers that are held back until they commit.", held},
        {"upstreams", "", "gauge", "Attempts that have a connection to a provider or are making one.", pool_in_use(gate.up_pool)},
        {"idle_upstream_connections", "", "gauge", "Connections to providers that wait for the next request.", idle_count()},
        {"draining", "", "gauge", "1: the process is stopping.", gate.draining},
        {"memory_bytes", "{state=\"used\"}", "gauge", "The memory budget for requests and answers.", mem_in_use()},
        {"memory_bytes", "{state=\"peak\"}", "", NULL, mem_peak()},
        {"memory_bytes", "{state=\"limit\"}", "", NULL, mem_limit()},
        {"tls_handshakes_total", "{result=\"full\"}", "counter", "TLS handshakes, with clients and providers.", tls.handshakes - tls.resumed},
        {"tls_handshakes_total", "{result=\"resumed\"}", "", NULL, tls.resumed},
        {"tls_handshakes_total", "{result=\"failed\"}", "", NULL, tls.failures},
        {"tls_connections", "", "gauge", "TLS connections that are open.", tls.open},
        {"dns_answers_total", "{source=\"cache\"}", "counter", "Names looked up.", dns.hits},
        {"dns_answers_total", "{source=\"stale\"}", "", NULL, dns.stale},
        {"dns_questions_total", "", "counter", "Questions sent to DNS servers.", dns.asked},
        {"dns_failures_total", "", "counter", "Names that could not be resolved.", dns.failed},
        {"log_lines_dropped_total", "", "counter", "Log lines that nobody took in time.", log_dropped()},
        {"loop_turns_total", "", "counter", "Turns of the event loop.", loop_turns()},
        {"usage_events_total", "", "counter", "Usage events, one per attempt.", t->events},
        {"usage_events_lost_total", "{from=\"memory\"}", "counter", "Usage events that made room for newer ones, or that the state's log did not take.", t->overwritten},
        {"usage_events_lost_total", "{from=\"log\"}", "", NULL, t->not_stored},
        {"limited_keys", "", "gauge", "Access keys whose use is counted.", limited},
        {"limited_keys_forgotten_total", "", "counter", "Access keys that lost their counts for want of room.", evicted},
        {"state_durable", "", "gauge", "1: what is changed outlasts the process.", store.durable},
        {"state_pending", "", "gauge", "Changes on their way to the disk.", store.pending},
        {"state_commits_total", "{result=\"ok\"}", "counter", "Changes made over the admin API.", store.commits},
        {"state_commits_total", "{result=\"failed\"}", "", NULL, store.failed},
        {"state_appends_dropped_total", "", "counter", "Batches of usage and counters that the disk was too slow for.", store.append_dropped},
        {"state_log_bytes", "", "gauge", "Size of the state's log.", store.log_bytes},
        {"state_compactions_total", "", "counter", "How often it was written anew.", store.compactions},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (row[i].help)
            family(o, row[i].name, row[i].type, row[i].help);
        put(o, "weir_%s%s %" PRIu64 "\n", row[i].name, row[i].labels, row[i].value);
    }
}

bool metrics_write(struct block *out)
{
    struct out o = {out, false};

    usage_fold();
    family(&o, "build_info", "gauge", "Always 1.");
    put(&o, "weir_build_info{version=\"%s\"} 1\n", admin.version);
    requests(&o);
    refusals(&o);
    sums(&o);
    histogram(&o, "time_to_first_token_seconds", "From a request's first byte to the first byte of its answer, which of a stream carries content.",
              &usage_totals()->first_byte);
    histogram(&o, "request_duration_seconds", "From a request's first byte to the last one of its answer.", &usage_totals()->duration);
    keys(&o);
    singles(&o);
    return !o.failed;
}

void metrics_get(struct admin_call *c)
{
    struct block text = {0};

    if (metrics_write(&text))
        admin_reply(c, &(struct admin_reply){.status = 200, .type = SLICE("text/plain; version=0.0.4; charset=utf-8"), .body = slice_make(text.p, text.len)});
    else
        admin_error(c, 500, NULL, "The memory budget is spent.");
    block_drop(&text);
}
