/* The usage endpoints without a network: pages over a full ring, days at their borders, hostile names, and what each query is told. Bodies are held against
 * the contract in test/e2e/test_usage.py. */
#include "admin/usage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/timer.h"
#include "check.h"
#include "gate/xchg.h"
#include "llm/outcome.h"
#include "state/limits.h"
#include "state/usage.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char body[16 << 20];
static size_t body_n;
static unsigned status;

void admin_reply(struct admin_call *c, const struct admin_reply *r)
{
    (void)c;
    CHECK(status == 0); /* exactly once */
    status = r->status;
    CHECK(r->body.n < sizeof body);
    memcpy(body, r->body.p, r->body.n);
    body[body_n = r->body.n] = '\0';
}

static unsigned ask(void (*handler)(struct admin_call *c), const char *path, const char *query)
{
    struct arena a;
    struct admin_call c = {.method = HTTP_GET, .path = slice_str(path), .query = slice_str(query), .arena = &a};

    arena_init(&a, &mem_heap_source, 1 << 14, ADMIN_ARENA_MAX);
    status = 0;
    handler(&c);
    arena_reset(&a);
    return status;
}

static unsigned count(const char *word)
{
    unsigned n = 0;

    for (const char *at = body; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

static const char *no_env(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool start(void)
{
    static const struct conf_env env = {no_env, NULL, NULL};
    static struct world world;
    struct conf_error e = {0};

    if (!world.conf)
        world.conf = conf_load(SLICE("{\"admin\":{\"listen\":null}}"), &env, &e);
    gate.world = &world;
    clock_update();
    return CHECK(world.conf && timers_init(8) && usage_init() && limits_init());
}

static struct usage_event *book(int64_t wall_ms, const char *key, const char *provider, const char *model)
{
    struct usage_event *e = usage_new();

    e->wall_ms = wall_ms;
    e->attempt = 1;
    e->outcome = OUTCOME_OK;
    e->status = 200;
    e->flags = USAGE_FINAL;
    e->first_byte_ms = UINT32_MAX;
    memset(e->request_id, 'r', sizeof e->request_id);
    usage_set_ids(e, (const struct slice[USAGE_IDS]){slice_str(key), slice_str(provider), slice_str("aigpk_1"), slice_str(model)});
    return e;
}

/* All pages, one behind the other: each event once, however many there are and whatever comes meanwhile. */
static void pages(void)
{
    unsigned seen = 0, n = 0;
    char query[512] = "startTime=1970-01-01T00:00:00Z&limit=97&accessKeyId=a%2Fb";

    check_case("pages of a full ring");
    if (!start())
        return;
    for (int i = 0; i < USAGE_EVENTS + 5000; i++)
        (void)book(1000 + i, i % 3 ? "a/b" : "other", "p", "m");
    for (n = 0; n < 1000; n++) {
        const char *next;
        struct slice uri;

        if (!CHECK(ask(usage_list, "/usage", query) == 200))
            return;
        seen += count("\"accessKeyId\":\"a/b\"");
        (void)book(500000, "a/b", "p", "m"); /* comes in front of what was listed, so it is on no later page */
        next = strstr(body, "\"nextPageUri\":\"/usage?");
        if (!next)
            break;
        uri = slice_make(next + 22, (size_t)(strchr(next + 22, '"') - (next + 22)));
        memcpy(query, uri.p, uri.n);
        query[uri.n] = '\0';
    }
    CHECK(count("\"nextPageUri\":null") == 1);
    CHECK(seen > 21600 && seen <= 21846); /* two thirds of the ring, less what made room while we turned pages */
    CHECK(strstr(body, "\"uri\":\"/usage?startTime=1970-01-01T00:00:00Z&limit=97&accessKeyId=a%2Fb&cursor=") != NULL);
}

static void days(void)
{
    static const struct {
        const char *query;
        unsigned buckets;
        const char *holds;
    } row[] = {
        {"startTime=1970-01-01T00:00:00Z", 4, "\"totals\":{\"cost\":\"0.000000000111\",\"requests\":4,\"errors\":1}"},
        {"startTime=1970-01-02T00:00:00Z", 3, "{\"bucketStart\":\"1970-01-02T00:00:00.000Z\",\"groupKey\":\"a\",\"cost\":\"0.000000000001\",\"requests\":1,\"errors\":0}"},
        {"startTime=1970-01-02T23:59:59.999Z&endTime=1970-01-03T00:00:00Z", 2, "\"groupKey\":\"b\""},
        {"startTime=1970-01-02T23:59:59.999Z&endTime=1970-01-03T00:00:00.001Z", 3, "\"bucketStart\":\"1970-01-03T"},
        {"startTime=1970-01-03T00:00:00%2B01:00&endTime=1970-01-03T00:00:00Z", 2, "\"requests\":2"},
        {"startTime=1970-01-04T00:00:00Z", 0, "\"buckets\":[],\"totals\":{\"cost\":\"0\",\"requests\":0,\"errors\":0}"},
        {"startTime=1970-01-01T00:00:00Z&groupBy=accessKey", 3, "\"groupKey\":\"k\""},
        {"startTime=1970-01-01T00:00:00Z&groupBy=model&tokens=true", 4, "\"groupKey\":\"a:m\",\"cost\":\"0.00000000001\",\"requests\":1,\"errors\":0,\"inputTokens\":7,\"outputTokens\":3}"},
        {"startTime=1970-01-01T00:00:00Z&tokens=false", 4, "\"errors\":1}}"},
    };

    check_case("days");
    if (!start())
        return;
    book(0, "k", "b", "m")->cost = 100;
    book(86400000, "k", "a", "m")->cost = 1;
    book(2 * 86400000 - 1, "k", "b", "m")->flags |= USAGE_ERROR;
    {
        struct usage_event *e = book(2 * 86400000, "k", "a", "m");

        e->cost = 10;
        e->input = 7;
        e->output = 3;
    }
    for (size_t i = 0; i < COUNT(row); i++) {
        check_case(row[i].query);
        CHECK_INT(ask(usage_overview, "/usage/overview", row[i].query), 200);
        CHECK_INT(count("\"bucketStart\""), row[i].buckets);
        if (!CHECK(strstr(body, row[i].holds) != NULL))
            printf("     %s\n", body);
    }
}

/* A table full of the longest names: an answer or an honest error, never a cut one. */
static void crowd(void)
{
    check_case("a crowd");
    if (!start())
        return;
    for (int i = 0; i < USAGE_SUMS; i++) {
        char name[120];

        snprintf(name, sizeof name, "%05d%0*d", i, 100, 0);
        (void)book(1000, name, "p", "m");
    }
    CHECK_INT(ask(usage_overview, "/usage/overview", "startTime=1970-01-01T00:00:00Z&groupBy=accessKey"), 500);
    CHECK(strstr(body, "fewer days") || strstr(body, "less at a time"));
    if (!start())
        return;
    for (int i = 0; i < 9000; i++) {
        char name[120];

        snprintf(name, sizeof name, "%05d%0*d", i, 100, 0);
        (void)book(1000, name, "p", "m");
    }
    CHECK_INT(ask(usage_overview, "/usage/overview", "startTime=1970-01-01T00:00:00Z&groupBy=accessKey"), 200);
    CHECK_INT(count("\"groupKey\""), 9000);
}

static void odd_names(void)
{
    check_case("odd names");
    if (!start())
        return;
    for (int i = 0; i < 150; i++)
        (void)book(1000, "<script>", "p\"\\", "\"\xff\xfe\x01\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"");
    CHECK_INT(ask(usage_list, "/usage", "startTime=1970-01-01T00:00:00Z"), 200);
    CHECK_INT(count("\"id\""), 100);
    CHECK_INT(count("\"provider\":\"p\\\"\\\\\",\"providerDisplayName\":\"p\\\"\\\\\""), 100);
    CHECK_INT(ask(usage_overview, "/usage/overview", "startTime=1970-01-01T00:00:00Z&groupBy=model"), 200);
    CHECK_INT(count("\"groupKey\":\"p\\\"\\\\:\\\""), 1);
}

int main(void)
{
    pages();
    days();
    crowd();
    odd_names();
    return check_end();
}
