/* /metrics as text: every line has the format's grammar, a family stands in one piece, no series twice, and the numbers are those of the events. The official
 * parser reads the running binary's in test/e2e/test_metrics.py. */
#include "admin/metrics.h"

#include <stdlib.h>

#include "admin/server.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/timer.h"
#include "check.h"
#include "gate/xchg.h"
#include "llm/outcome.h"
#include "state/limits.h"
#include "state/usage.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct admin_hooks admin = {.version = "0.0.0"};

void admin_reply(struct admin_call *c, const struct admin_reply *r)
{
    (void)c;
    (void)r;
}

static const char *no_env(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static struct block text;
static struct world world;

static bool start(void)
{
    static const char config[] = "{\"admin\":{\"listen\":null},\"providers\":[{\"providerId\":\"q\",\"baseUrl\":\"http://127.0.0.1:1/v1\"},"
                                 "{\"providerId\":\"p\",\"baseUrl\":\"http://127.0.0.1:1/v1\"}],"
                                 "\"providerKeys\":[{\"id\":\"aigpk_1\",\"providerId\":\"p\",\"name\":\"one\\\\ \\u00e4\",\"value\":\"sk-canary-0123456789\"}]}";
    static const struct conf_env env = {no_env, NULL, NULL};
    static struct pool pool;
    struct conf_error e = {0};
    struct arena *a = &world.arena;

    world.conf = conf_load(slice_str(config), &env, &e);
    if (!world.conf)
        printf("%s\n", e.text);
    arena_init(a, &mem_heap_source, 1 << 16, 1 << 20);
    clock_update();
    gate = (struct gate){.world = &world, .up_pool = &pool};
    list_init(&gate.all);
    return world.conf && (world.health = health_create(a, world.conf, 1, true)) && mem_budget_init(64 << 20) && pool_init(&pool, 4, 64) && timers_init(8) &&
           usage_init() && limits_init();
}

static struct usage_event *book(const char *provider, const char *model, enum outcome outcome, unsigned status)
{
    struct usage_event *e = usage_new();

    e->attempt = 1;
    e->outcome = (uint8_t)outcome;
    e->status = (uint16_t)status;
    e->flags = USAGE_FINAL;
    e->first_byte_ms = 30;
    e->duration_ms = 1500;
    usage_set_ids(e, (const struct slice[USAGE_IDS]){SLICE("aigk_canary"), slice_str(provider), SLICE("aigpk_1"), slice_str(model)});
    return e;
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (!first && c >= '0' && c <= '9');
}

static size_t name_len(struct slice s)
{
    size_t n = 0;

    while (n < s.n && name_char(s.p[n], n == 0))
        n++;
    return n;
}

/* name{label="value",...} number. Returns the series (all but the number), empty when the line is no sample. */
static struct slice sample(struct slice line)
{
    struct slice s = slice_from(line, name_len(line));
    size_t digits = 0;

    if (s.n && s.p[0] == '{') {
        s = slice_from(s, 1);
        while (s.n && s.p[0] != '}') {
            size_t n = name_len(s);

            if (!n || !slice_starts(slice_from(s, n), SLICE("=\"")))
                return slice_make(NULL, 0);
            for (s = slice_from(s, n + 2); s.n && s.p[0] != '"'; s = slice_from(s, s.p[0] == '\\' ? 2 : 1))
                if ((unsigned char)s.p[0] < 0x20 || (unsigned char)s.p[0] >= 0x7f || (s.p[0] == '\\' && (s.n < 2 || !strchr("\\\"n", s.p[1]))))
                    return slice_make(NULL, 0);
            s = slice_from(s, 1);
            if (s.n < 2 || (s.p[0] != '}' && (s.p[0] != ',' || s.p[1] == '}')))
                return slice_make(NULL, 0);
            s = slice_from(s, s.p[0] == ',');
        }
        s = slice_from(s, 1);
    }
    if (s.n < 2 || s.p[0] != ' ')
        return slice_make(NULL, 0);
    for (size_t i = 1; i < s.n; i++) {
        digits += s.p[i] >= '0' && s.p[i] <= '9';
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.'))
            return slice_make(NULL, 0);
    }
    return digits ? slice_first(line, line.n - s.n) : slice_make(NULL, 0);
}

static struct slice next_line(struct slice *rest)
{
    ptrdiff_t n = slice_find_char(*rest, '\n');
    struct slice line = n < 0 ? *rest : slice_first(*rest, (size_t)n);

    *rest = slice_from(*rest, line.n + 1);
    return line;
}

/* The number behind a series; -1: it is not there. */
static double value(const char *series)
{
    struct slice rest = slice_make(text.p, text.len), want = slice_str(series), found = {0};

    while (rest.n) {
        struct slice line = next_line(&rest);

        if (slice_starts(line, want) && line.n > want.n && line.p[want.n] == ' ')
            found = slice_from(line, want.n + 1);
    }
    if (!found.n)
        return -1;
    return strtod(found.p, NULL);
}

static void grammar(void)
{
    struct slice rest = slice_make(text.p, text.len), type = {0};
    struct slice seen[4096];
    size_t n = 0;

    CHECK(text.len && text.p[text.len - 1] == '\n');
    while (rest.n) {
        struct slice line = next_line(&rest), series;

        if (slice_starts(line, SLICE("# HELP "))) {
            CHECK(slice_starts(rest, SLICE("# TYPE ")));
            continue;
        }
        if (slice_starts(line, SLICE("# TYPE "))) {
            type = slice_from(line, 7);
            type = slice_first(type, name_len(type));
            for (size_t i = 0; i < n; i++) /* a family in one piece */
                if (slice_starts(seen[i], type) && (seen[i].n == type.n || seen[i].p[type.n] == '{'))
                    CHECK_STR(seen[i], "of another family");
            continue;
        }
        series = sample(line);
        if (!CHECK(series.n && slice_starts(series, type)))
            printf("     %.*s\n", (int)line.n, line.p);
        for (size_t i = 0; i < n; i++)
            if (slice_eq(seen[i], series))
                CHECK_STR(seen[i], "there once");
        if (n < COUNT(seen))
            seen[n++] = series;
    }
    CHECK(slice_find(slice_make(text.p, text.len), SLICE("canary")) < 0);
}

static bool write(void)
{
    block_drop(&text);
    return CHECK(metrics_write(&text));
}

static bool numbers(void)
{
    struct usage_event *e;

    check_case("numbers");
    if (!CHECK(start()) || !write())
        return false;
    grammar();
    CHECK(value("weir_time_to_first_token_seconds_count") == 0);
    e = book("p", "m", OUTCOME_RATE_LIMIT, 429);
    e->flags = USAGE_ERROR;
    e = book("p", "m", OUTCOME_OK, 200);
    e->input = 100;
    e->output = 20;
    e->cache_read = 40;
    e->cost = 1500000000001;
    e = book("p", "m", OUTCOME_UPSTREAM_ERROR, 503);
    e->first_byte_ms = UINT32_MAX;
    (void)book("p\"q\\", "m\xc3\xa4\n", OUTCOME_OK, 200);
    (void)book("p\"q\\", "m\xc3", OUTCOME_OK, 200);
    (void)book("other", "other", OUTCOME_OK, 200);
    e = book("", "what a client made up", OUTCOME_NONE, 422);
    e->attempt = 0;
    health_tell(world.health, conf_provider(world.conf, SLICE("p"))->key[0], SLICE("m"), OUTCOME_AUTH, true, -1, clock_ms());
    if (!write())
        return false;
    grammar();
    CHECK(value("weir_requests_total{provider=\"p\",model=\"m\",class=\"ok\"}") == 1);
    CHECK(value("weir_requests_total{provider=\"p\",model=\"m\",class=\"server_error\"}") == 1);
    CHECK(value("weir_requests_total{provider=\"\",model=\"\",class=\"client_error\"}") == 1);
    CHECK(value("weir_requests_total{provider=\"other\",model=\"other\",class=\"ok\"}") == 1);
    CHECK(value("weir_requests_total{provider=\"p\\\"q\\\\\",model=\"m\\\\xc3\\\\xa4\\\\x0a\",class=\"ok\"}") == 1);
    CHECK(value("weir_requests_total{provider=\"p\\\"q\\\\\",model=\"m\\\\xc3\",class=\"ok\"}") == 1);
    CHECK(value("weir_attempts_total{provider=\"p\",model=\"m\",outcome=\"rate_limit\"}") == 1);
    CHECK(value("weir_failovers_total{provider=\"p\",model=\"m\"}") == 1);
    CHECK(value("weir_tokens_total{provider=\"p\",model=\"m\",kind=\"cache_read\"}") == 40);
    CHECK(value("weir_cost_dollars_total{provider=\"p\",model=\"m\"}") == 1.500000000001);
    CHECK(value("weir_request_duration_seconds_bucket{le=\"1.000\"}") == 0);
    CHECK(value("weir_request_duration_seconds_bucket{le=\"2.500\"}") == 6);
    CHECK(value("weir_request_duration_seconds_bucket{le=\"+Inf\"}") == 6);
    CHECK(value("weir_request_duration_seconds_sum") == 9);
    CHECK(value("weir_time_to_first_token_seconds_count") == 5);
    CHECK(value("weir_provider_key_cooling_seconds{provider=\"p\",id=\"aigpk_1\",key=\"one\\\\ \\\\xc3\\\\xa4\"}") == 300);
    CHECK(value("weir_provider_keys{state=\"cooling\"}") == 1);
    CHECK(value("weir_usage_events_total") == 7);
    CHECK(value("weir_build_info{version=\"0.0.0\"}") == 1);
    return true;
}

/* As many series as there can be, with the longest names: still bounded, still in the budget, still the format. */
static void flood(void)
{
    check_case("flood");
    for (int i = 0; i < USAGE_SERIES * 2; i++) {
        char model[200];
        int n = snprintf(model, sizeof model, "%d", i);

        memset(model + n, '\xff', sizeof model - (size_t)n);
        model[sizeof model - 1] = '\0';
        (void)book("p", model, OUTCOME_OK, 200);
    }
    if (!write())
        return;
    grammar();
    CHECK(text.len < 2 << 20);
    CHECK(value("weir_requests_total{provider=\"other\",model=\"other\",class=\"ok\"}") > USAGE_SERIES);
}

static void no_memory(void)
{
    struct block b = {0};

    check_case("no memory");
    mem_fail_at(1, true);
    CHECK(!metrics_write(&b));
    mem_fail_at(0, false);
    block_drop(&b);
}

int main(void)
{
    if (numbers()) {
        flood();
        no_memory();
    }
    block_drop(&text);
    return check_end();
}
