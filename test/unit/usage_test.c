/* Usage: money to the last pico-dollar, sums by day, what a ring keeps, and that a restart finds what was stored. */
#include "state/usage.h"

#include "base/clock.h"
#include "base/timer.h"
#include "check.h"
#include "llm/outcome.h"
#include "state/limits.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_dollars(void)
{
    static const struct {
        uint64_t pico;
        const char *text;
    } row[] = {
        {0, "0"},
        {1, "0.000000000001"},
        {150000, "0.00000015"},
        {999999999999, "0.999999999999"},
        {1000000000000, "1"},
        {1500000000000, "1.5"},
        {12000000000010, "12.00000000001"},
        {UINT64_MAX, "18446744.073709551615"},
    };

    check_case("dollars");
    for (size_t i = 0; i < COUNT(row); i++) {
        char out[24];

        CHECK_STR(usage_dollars(row[i].pico, out), row[i].text);
    }
}

static void test_cost(void)
{
    static const struct {
        uint32_t input, output, read, write;
        struct usage_price price;
        uint64_t cost;
    } row[] = {
        {0, 0, 0, 0, {1, 2, 3, 4}, 0},
        {1000, 500, 0, 0, {150000, 600000, 75000, 0}, 1000 * 150000ull + 500 * 600000ull},
        {1000, 0, 400, 0, {150000, 600000, 75000, 0}, 600 * 150000ull + 400 * 75000ull},       /* cached input is cheaper, and counted once */
        {1000, 10, 400, 600, {3000000, 15000000, 300000, 3750000}, 10 * 15000000ull + 400 * 300000ull + 600 * 3750000ull},
        {100, 0, 80, 80, {10, 0, 1, 2}, 240},                                                   /* parts above the whole: nothing below zero */
        {1000000000, 1000000000, 0, 0, {UINT64_MAX / 2, 1, 0, 0}, UINT64_MAX},                  /* saturates */
        {1, 1, 0, 0, {UINT64_MAX, UINT64_MAX, 0, 0}, UINT64_MAX},
    };

    check_case("cost");
    for (size_t i = 0; i < COUNT(row); i++) {
        struct usage_event e = {.input = row[i].input, .output = row[i].output, .cache_read = row[i].read, .cache_write = row[i].write};

        CHECK(usage_cost(&e, &row[i].price) == row[i].cost);
    }
}

static uint64_t book(int64_t wall_ms, const char *key, const char *provider, unsigned flags, uint64_t cost)
{
    struct usage_event *e = usage_new();
    struct slice id[USAGE_IDS] = {slice_str(key), slice_str(provider), SLICE("aigpk_1"), SLICE("model")};

    e->wall_ms = wall_ms;
    e->flags = (uint8_t)flags;
    e->cost = cost;
    e->attempt = 1;
    e->outcome = flags & USAGE_ERROR ? OUTCOME_UPSTREAM_ERROR : OUTCOME_OK;
    e->status = flags & USAGE_ERROR ? 503 : 200;
    e->first_byte_ms = UINT32_MAX;
    usage_set_ids(e, id);
    return e->seq;
}

static const struct usage_sum *sum(int32_t day, unsigned by, const char *name)
{
    const struct usage_sum *s;

    for (uint32_t i = 0; (s = usage_sum(i)) != NULL; i++)
        if (s->day == day && s->by == by && slice_eq(slice_make(s->name, s->name_len), slice_str(name)))
            return s;
    return NULL;
}

static void test_days(void)
{
    const int64_t midnight = 20000 * 86400000LL;
    const struct usage_sum *s;

    check_case("days");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    (void)book(midnight - 1, "k1", "openai", USAGE_FINAL, 5);
    (void)book(midnight, "k1", "openai", USAGE_ERROR, 7);                /* a failed attempt: its cost counts, no request of its own */
    (void)book(midnight, "k1", "anthropic", USAGE_FINAL, 11);
    (void)book(midnight + 86399999, "k2", "openai", USAGE_FINAL | USAGE_ERROR, 13);
    (void)book(-86400000LL * 400, "k2", "openai", USAGE_FINAL, 17);       /* a clock before 1970 (L-19) */
    usage_fold();
    s = sum(19999, USAGE_PROVIDER, "openai");
    CHECK(s && s->cost == 5 && s->requests == 1 && s->errors == 0);
    s = sum(20000, USAGE_PROVIDER, "openai");
    CHECK(s && s->cost == 20 && s->requests == 1 && s->errors == 1);
    s = sum(20000, USAGE_ACCESS_KEY, "k1");
    CHECK(s && s->cost == 18 && s->requests == 1 && s->errors == 0);
    s = sum(0, USAGE_ACCESS_KEY, "k2");
    CHECK(s && s->cost == 17);
    usage_fold();
    CHECK(sum(20000, USAGE_PROVIDER, "openai")->requests == 1);           /* folded once only */
    CHECK_INT(usage_totals()->events, 5);
    CHECK_INT(usage_totals()->duration.count[0], 4);
    CHECK_INT(usage_totals()->first_byte.count[0], 0);
}

static void test_full(void)
{
    const struct usage_event *e;
    uint64_t first = 0, last = 0;
    unsigned days = 0;

    check_case("ring and sums are full");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    for (int i = 0; i < USAGE_EVENTS + 10; i++) {
        last = book(i * 86400000LL, "k", "p", USAGE_FINAL, 1);
        first = i ? first : last;
    }
    CHECK(usage_at(first) == NULL && usage_at(first + 9) == NULL && usage_at(last + 1) == NULL);
    e = usage_at(first + 10);
    CHECK(e && e->seq == first + 10);
    e = usage_at(last);
    CHECK(e && slice_eq(usage_get_id(e, USAGE_PROVIDER), SLICE("p")) && slice_eq(usage_get_id(e, USAGE_MODEL), SLICE("model")));
    usage_fold();
    CHECK_INT(usage_totals()->events, USAGE_EVENTS + 10); /* none is missing in the counters */
    CHECK_INT(usage_totals()->overwritten, 10);
    for (uint32_t i = 0; usage_sum(i); i++)
        days++;
    CHECK(days > USAGE_SUMS - 24 && days <= USAGE_SUMS);
    CHECK(sum(0, USAGE_PROVIDER, "p") == NULL && sum(USAGE_EVENTS + 9, USAGE_PROVIDER, "p") != NULL);
}

/* More names on one day than there is room for: the day's last ones are one, and nothing is lost of the totals. */
static void test_crowd(void)
{
    uint64_t requests = 0, cost = 0;
    const struct usage_sum *s;

    check_case("a crowd of names");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    for (int i = 0; i < USAGE_SUMS + 1000; i++) {
        char name[16];

        snprintf(name, sizeof name, "k%d", i);
        (void)book(20000 * 86400000LL, name, "p", USAGE_FINAL, 2);
    }
    usage_fold();
    for (uint32_t i = 0; (s = usage_sum(i)) != NULL; i++)
        if (s->by == USAGE_ACCESS_KEY) {
            requests += s->requests;
            cost += s->cost;
        }
    CHECK_INT(requests, USAGE_SUMS + 1000);
    CHECK_INT(cost, 2 * (USAGE_SUMS + 1000));
    CHECK(sum(20000, USAGE_ACCESS_KEY, "other") != NULL);
    CHECK_INT(sum(20000, USAGE_PROVIDER, "p")->requests, USAGE_SUMS + 1000);
    (void)book(20001 * 86400000LL, "k", "p", USAGE_FINAL, 2); /* the next day finds room */
    usage_fold();
    CHECK(sum(20001, USAGE_ACCESS_KEY, "k") && !sum(20000, USAGE_PROVIDER, "p"));
}

/* Sums by model: those that answered under their own names, what only failed together, since its names are anything. */
static void test_models(void)
{
    struct usage_event *e;

    check_case("models");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    (void)book(0, "k", "p", USAGE_FINAL, 3);
    for (int i = 0; i < 4; i++) {
        e = usage_new();
        e->wall_ms = 0;
        e->outcome = (uint8_t)(i == 2 ? OUTCOME_OK : OUTCOME_NOT_FOUND);
        e->attempt = i < 3;
        e->input = 10;
        e->output = i == 2 ? 7 : 0;
        e->flags = USAGE_FINAL;
        usage_set_ids(e, (const struct slice[USAGE_IDS]){SLICE("k"), SLICE("p"), SLICE(""), i == 1 ? SLICE("model") : SLICE("nonsense")});
        if (i < 2)
            usage_fold();
    }
    usage_fold();
    CHECK_INT(sum(0, USAGE_MODEL, "p:model")->requests, 2); /* a failure of one that is known is its own */
    CHECK_INT(sum(0, USAGE_MODEL, "p:model")->input, 10);
    CHECK_INT(sum(0, USAGE_MODEL, "other")->requests, 1);
    CHECK_INT(sum(0, USAGE_MODEL, "p:nonsense")->requests, 1);
    CHECK_INT(sum(0, USAGE_MODEL, "p:nonsense")->output, 7);
    CHECK_INT(sum(0, USAGE_MODEL, "")->requests, 1); /* refused before any attempt */
}

static void test_series(void)
{
    uint64_t requests = 0, other;

    check_case("series");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    for (int i = 0; i < USAGE_SERIES + 50; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        (void)book(1000, "k", name, USAGE_FINAL, 1);
    }
    usage_fold();
    for (uint32_t i = 0; usage_series(i); i++)
        requests += usage_series(i)->requests[USAGE_OK];
    other = usage_series(0)->requests[USAGE_OK];
    CHECK_INT(requests, USAGE_SERIES + 50);
    CHECK_INT(other, 51);
    CHECK(usage_series(USAGE_SERIES) == NULL);
}

static void test_long_ids(void)
{
    struct usage_event *e;
    char id[256];
    struct slice s = slice_make(id, 255);
    size_t n = 0;

    check_case("long ids");
    memset(id, 'x', sizeof id);
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    e = usage_new();
    e->flags = USAGE_FINAL;
    usage_set_ids(e, (const struct slice[USAGE_IDS]){s, s, s, s});
    for (int i = 0; i < USAGE_IDS; i++)
        n += usage_get_id(e, (enum usage_id)i).n;
    CHECK_INT(n, USAGE_TEXT);
    usage_fold();
    CHECK(usage_sum(0) != NULL);
}

/* What was stored, event by event in this module's format, is there again after a start; and no event counts twice. */
static void test_restart(void)
{
    static char batch[4096];
    const struct usage_event *e;
    const struct usage_sum *s;
    size_t n = 1;
    uint64_t seq = 0;
    struct store_change c = {.kind = STORE_USAGE, .op = STORE_PUT};

    check_case("restart");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    batch[0] = 1;
    for (int i = 0; i < 3; i++) {
        seq = book(86400000LL, "k", "p", USAGE_FINAL, 10);
        e = usage_at(seq);
        memcpy(batch + n, e, offsetof(struct usage_event, text) + 1 + 1 + 7 + 5);
        n += offsetof(struct usage_event, text) + 1 + 1 + 7 + 5;
    }
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    /* A sum that holds the first two already. */
    {
        struct {
            uint8_t format, pad[7];
            uint64_t cost, requests, errors, input, output, seq;
        } v = {1, {0}, 20, 2, 0, 0, 0, seq - 1};
        struct store_change sum_change = {.kind = STORE_COUNTERS, .op = STORE_PUT, .id = SLICE("sum/1/1/p"),
                                          .value = slice_make((const char *)&v, sizeof v)};

        CHECK(usage_load(&sum_change));
    }
    c.value = slice_make(batch, n);
    CHECK(usage_load(&c));
    CHECK_INT(usage_loaded(), 3);
    CHECK_INT(usage_next_seq(), seq + 1);
    CHECK(usage_at(seq) && usage_at(seq - 2) && !usage_at(seq - 3));
    e = usage_at(seq);
    CHECK(e && e->cost == 10 && slice_eq(usage_get_id(e, USAGE_MODEL), SLICE("model")));
    s = sum(1, USAGE_PROVIDER, "p");
    CHECK(s && s->cost == 30 && s->requests == 3);
    s = sum(1, USAGE_ACCESS_KEY, "k");
    CHECK(s && s->cost == 30 && s->requests == 3);
    CHECK(usage_load(&c)); /* the same again, as a bad log might hold it */
    CHECK_INT(usage_next_seq(), seq + 1);
    CHECK(sum(1, USAGE_PROVIDER, "p")->requests == 3);
    for (size_t cut = 0; cut < n; cut++) { /* cut anywhere: no harm */
        c.value = slice_make(batch, cut);
        CHECK(usage_load(&c));
    }
    c.kind = STORE_COUNTERS;
    c.id = SLICE("limit/x");
    CHECK(!usage_load(&c));
    CHECK_INT(usage_at(seq)->seq, seq);
    {
        /* The events behind it were lost, the sum was not: their numbers don't come again. */
        struct {
            uint8_t format, pad[7];
            uint64_t cost, requests, errors, input, output, seq;
        } v = {1, {0}, 20, 2, 0, 0, 0, seq + 10};
        struct store_change later = {.kind = STORE_COUNTERS, .op = STORE_PUT, .id = SLICE("sum/2/1/p"), .value = slice_make((const char *)&v, sizeof v)};

        CHECK(usage_load(&later));
        CHECK_INT(usage_loaded(), 0);
        CHECK_INT(usage_next_seq(), seq + 11);
        (void)book(2 * 86400000LL, "k", "p", USAGE_FINAL, 10);
        usage_fold();
        CHECK_INT(sum(2, USAGE_PROVIDER, "p")->cost, 30);
    }
}

static char sent[1 << 16];
static size_t sent_n;
static bool taken = true;

static bool send_batch(struct slice batch)
{
    memcpy(sent, batch.p, sent_n = batch.n);
    return taken;
}

/* One process has handed its state over and finishes three requests; the other one books them as its own. */
static void test_divert(void)
{
    const struct usage_event *e;
    uint64_t seq, day;

    check_case("divert");
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    (void)book(86400000LL, "k", "p", USAGE_FINAL, 1);
    usage_flush();
    usage_divert(send_batch);
    for (int i = 0; i < 3; i++)
        (void)book(86400000LL, "k", "p", USAGE_FINAL, 10);
    usage_flush();
    CHECK(sent_n > 3 * offsetof(struct usage_event, text));
    usage_flush();
    if (!CHECK(timers_init(4) && usage_init() && limits_init()))
        return;
    seq = usage_next_seq();
    usage_adopt(slice_make(sent, sent_n));
    CHECK_INT(usage_next_seq(), seq + 3);
    e = usage_at(seq + 2);
    CHECK(e && e->seq == seq + 2 && e->cost == 10 && e->wall_ms == 86400000LL && slice_eq(usage_get_id(e, USAGE_MODEL), SLICE("model")));
    usage_fold();
    CHECK_INT(sum(1, USAGE_PROVIDER, "p")->requests, 3);
    CHECK_INT(limits_spent(SLICE("k"), &day), 30);
    for (size_t n = 0; n < sent_n; n++)
        usage_adopt(slice_make(sent, n));
    taken = false;
    usage_divert(send_batch);
    (void)book(0, "k", "p", USAGE_FINAL, 1);
    usage_flush();
    CHECK(usage_totals()->not_stored > 0);
}

int main(void)
{
    clock_update();
    test_dollars();
    test_cost();
    test_days();
    test_full();
    test_crowd();
    test_models();
    test_series();
    test_long_ids();
    test_restart();
    test_divert();
    return check_end();
}
