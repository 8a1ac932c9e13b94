/* Limits of access keys over hours and days of virtual time: what passes, how long the rest waits, and what a restart remembers. */
#include "state/limits.h"

#include "base/clock.h"
#include "base/timer.h"
#include "check.h"
#include "state/usage.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- The world of this test: its clock, and a store that keeps the last value of each id. ---- */

static int64_t now = 1000, wall = 20000 * 86400000LL + 1000;

static void clock_to(int64_t ms)
{
    wall += ms - now;
    now = ms;
}

int64_t clock_ms(void)
{
    return now;
}

int64_t clock_wall_ms(void)
{
    return wall;
}

void clock_update(void)
{
}

enum { KEPT = 4096 };
static struct kept {
    char id[128];
    const char *value;
    size_t id_n, n;
    enum store_kind kind;
} kept[KEPT];
static char values[1 << 20];
static size_t nkept, nvalues;
static bool durable, refusing;
static unsigned deletions;

bool store_is_durable(void)
{
    return durable;
}

static struct kept *kept_of(const struct store_change *c)
{
    for (size_t i = 0; c->kind == STORE_COUNTERS && i < nkept; i++)
        if (slice_eq(slice_make(kept[i].id, kept[i].id_n), c->id))
            return &kept[i];
    return NULL;
}

bool store_append(const struct store_change *c, size_t n)
{
    if (refusing)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct kept *k = kept_of(&c[i]);

        deletions += c[i].op == STORE_DELETE;
        if (c[i].op == STORE_DELETE && k)
            *k = kept[--nkept];
        if (c[i].op == STORE_DELETE)
            continue;
        if (!k && nkept < KEPT)
            k = &kept[nkept++];
        if (!CHECK(k != NULL) || !CHECK(c[i].value.n <= sizeof values - nvalues))
            continue;
        k->kind = c[i].kind;
        memcpy(k->id, c[i].id.p, k->id_n = c[i].id.n);
        k->value = memcpy(values + nvalues, c[i].value.p, k->n = c[i].value.n);
        nvalues += (k->n + 15) / 16 * 16;
    }
    return true;
}

static bool fresh(void)
{
    clock_to(now + 1000);
    return CHECK(timers_init(4) && usage_init() && limits_init());
}

/* A start with what the store kept: counters, then usage. */
static bool restart(void)
{
    if (!fresh())
        return false;
    for (int usage = 0; usage < 2; usage++)
        for (size_t i = 0; i < nkept; i++) {
            struct store_change c = {.kind = kept[i].kind, .op = STORE_PUT, .id = slice_make(kept[i].id, kept[i].id_n), .value = slice_make(kept[i].value, kept[i].n)};

            if ((c.kind == STORE_USAGE) == usage)
                CHECK(usage_load(&c) || limits_load(&c));
        }
    (void)usage_loaded();
    return true;
}

static enum limits_verdict take(const char *id, const struct key_limits *k, uint64_t tokens, struct limits_ticket *t)
{
    struct limits_state state;

    return limits_take(slice_str(id), k, tokens, t, &state);
}

/* A request's final event, and its settlement as gate/account.c does it. */
static void book(const char *id, const struct limits_ticket *t, uint32_t tokens, uint64_t cost)
{
    struct usage_event *e = usage_new();

    e->attempt = 1;
    e->flags = USAGE_FINAL;
    e->status = 200;
    e->output = tokens;
    e->cost = cost;
    usage_set_ids(e, (const struct slice[USAGE_IDS]){slice_str(id), SLICE("p"), SLICE("pk"), SLICE("m")});
    limits_settle(slice_str(id), t, tokens, cost, e->seq);
}

enum { END, TAKE, SETTLE };

/* One key's life: each line passes some time, then takes (for so many tokens) or settles the oldest taken one (at so many tokens and pico-dollars). */
static void lives(void)
{
    enum { USD = 1000000 /* micro */ };
    const uint64_t usd = 1000000000000u;
    const struct row {
        const char *name;
        struct key_limits limits;
        struct {
            int64_t pass_ms;
            int what;
            uint64_t tokens, cost;
            enum limits_verdict verdict;
            int64_t wait_ms;
        } step[11];
    } row[] = {
        {"three a minute", {.requests_per_minute = 3}, {
            {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0},
            {0, TAKE, 0, 0, LIMITS_REQUESTS, 20000}, {19999, TAKE, 0, 0, LIMITS_REQUESTS, 1}, {1, TAKE, 0, 0, LIMITS_OK, 0},
            {0, TAKE, 0, 0, LIMITS_REQUESTS, 20000}, {60000, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}}},
        {"a rate that is no whole number of milliseconds", {.requests_per_minute = 7}, {
            {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0},
            {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_REQUESTS, 8572},
            {8571, TAKE, 0, 0, LIMITS_REQUESTS, 1}, {1, TAKE, 0, 0, LIMITS_OK, 0}}},
        {"tokens come back when less was used", {.tokens_per_minute = 1000}, {
            {0, TAKE, 600, 0, LIMITS_OK, 0}, {0, TAKE, 600, 0, LIMITS_TOKENS, 12000}, {0, SETTLE, 100, 0, 0, 0}, {0, TAKE, 900, 0, LIMITS_OK, 0},
            {0, TAKE, 1, 0, LIMITS_TOKENS, 60}, {0, SETTLE, 900, 0, 0, 0}, {60000, TAKE, 1000, 0, LIMITS_OK, 0}}},
        {"more tokens than thought are paid off", {.tokens_per_minute = 1000}, {
            {0, TAKE, 100, 0, LIMITS_OK, 0}, {0, SETTLE, 3000, 0, 0, 0}, {0, TAKE, 1, 0, LIMITS_TOKENS, 120060}, {120000, TAKE, 1, 0, LIMITS_TOKENS, 60},
            {60, TAKE, 1, 0, LIMITS_OK, 0}}},
        {"a request beyond the minute's tokens waits for a full bucket", {.tokens_per_minute = 1000}, {
            {0, TAKE, 5000, 0, LIMITS_OK, 0}, {0, SETTLE, 500, 0, 0, 0}, {0, TAKE, 5000, 0, LIMITS_TOKENS, 30000}, {30000, TAKE, 5000, 0, LIMITS_OK, 0}}},
        {"an absurd count is an hour's ban, not for ever", {.tokens_per_minute = 10}, {
            {0, TAKE, 1, 0, LIMITS_OK, 0}, {0, SETTLE, 2000000000, 0, 0, 0}, {0, TAKE, 10, 0, LIMITS_TOKENS, 3600000}, {3600000, TAKE, 10, 0, LIMITS_OK, 0}}},
        {"the longer wait is told, and nothing taken", {.requests_per_minute = 1, .tokens_per_minute = 100}, {
            {0, TAKE, 100, 0, LIMITS_OK, 0}, {30000, TAKE, 100, 0, LIMITS_REQUESTS, 30000}, {0, SETTLE, 300, 0, 0, 0}, {30000, TAKE, 100, 0, LIMITS_TOKENS, 120000},
            {120000, TAKE, 100, 0, LIMITS_OK, 0}}},
        {"a dollar a day", {.budget_per_day = USD}, {
            {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, SETTLE, 0, usd - 1, 0, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, SETTLE, 0, 1, 0, 0},
            {0, TAKE, 0, 0, LIMITS_DAY, -1}, {0, SETTLE, 0, 5 * usd, 0, 0}, {86400000, TAKE, 0, 0, LIMITS_OK, 0}}},
        {"two dollars for good", {.budget_total = 2 * USD}, {
            {0, TAKE, 0, 0, LIMITS_OK, 0}, {0, SETTLE, 0, usd, 0, 0}, {86400000, TAKE, 0, 0, LIMITS_OK, 0}, {0, SETTLE, 0, usd, 0, 0},
            {0, TAKE, 0, 0, LIMITS_TOTAL, -1}, {864000000, TAKE, 0, 0, LIMITS_TOTAL, -1}}},
        {"the largest limits", {.requests_per_minute = KEY_REQUESTS_MAX, .tokens_per_minute = KEY_TOKENS_MAX}, {
            {0, TAKE, UINT64_MAX, 0, LIMITS_OK, 0}, {0, SETTLE, UINT64_MAX, 0, 0, 0}, {0, TAKE, 1, 0, LIMITS_TOKENS, 3540001}, {3540001, TAKE, 1, 0, LIMITS_OK, 0},
            {(int64_t)1 << 40, TAKE, KEY_TOKENS_MAX, 0, LIMITS_OK, 0}}},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        struct limits_ticket held[10];
        size_t first = 0, n = 0;
        uint64_t seq = 1;

        check_case(row[i].name);
        if (!fresh())
            return;
        for (size_t s = 0; row[i].step[s].what != END; s++) {
            struct limits_state state;
            struct limits_ticket t;
            enum limits_verdict verdict;

            clock_to(now + row[i].step[s].pass_ms);
            if (row[i].step[s].what == SETTLE) {
                limits_settle(SLICE("k"), &held[first++], row[i].step[s].tokens, row[i].step[s].cost, seq++);
                continue;
            }
            verdict = limits_take(SLICE("k"), &row[i].limits, row[i].step[s].tokens, &t, &state);
            if (!CHECK(verdict == row[i].step[s].verdict))
                printf("     in step %zu\n", s);
            if (verdict == LIMITS_OK)
                held[n++] = t;
            else if (row[i].step[s].wait_ms >= 0)
                CHECK_INT(state.wait_ms, row[i].step[s].wait_ms);
            if (verdict == LIMITS_DAY)
                CHECK_INT(state.wait_ms, 86400000 - wall % 86400000);
            if (verdict == LIMITS_TOTAL)
                CHECK_INT(state.wait_ms, -1);
        }
    }
}

/* What was used is the same after a restart, whether the counts were stored or only the events since: nothing twice, nothing lost. */
static void restarts(void)
{
    static const struct {
        const char *name;
        int stored, killed; /* requests before the counts are stored, and behind */
    } row[] = {{"all stored", 3, 0}, {"events only", 0, 3}, {"some of each", 2, 1}};
    const uint64_t usd = 1000000000000u;

    for (size_t i = 0; i < COUNT(row); i++) {
        const struct key_limits k = {.requests_per_minute = 4, .tokens_per_minute = 1000, .budget_per_day = 7000000, .budget_total = 100000000};
        struct limits_ticket t;
        struct limits_state state;
        uint64_t day;

        check_case(row[i].name);
        nkept = 0;
        durable = true;
        if (!fresh())
            return;
        for (int n = 0; n < row[i].stored + row[i].killed; n++) {
            if (n == row[i].stored)
                limits_flush();
            CHECK_INT(take("k", &k, 10, &t), LIMITS_OK);
            book("k", &t, 250, 2 * usd);
        }
        if (!row[i].killed)
            limits_flush();
        usage_flush();
        if (!restart())
            return;
        CHECK_INT(limits_spent(SLICE("k"), &day), 6 * usd);
        CHECK_INT(day, 6 * usd);
        CHECK_INT(take("k", &k, 250, &t), LIMITS_OK);
        CHECK_INT(take("k", &k, 10, &t), LIMITS_REQUESTS);
        CHECK_INT(limits_take(SLICE("k"), &k, 500, &t, &state), LIMITS_TOKENS);
        CHECK(state.wait_ms > 27000 && state.wait_ms <= 30000);
        CHECK_INT(limits_take(SLICE("k"), &(struct key_limits){.requests_per_minute = 4}, 0, &t, &state), LIMITS_REQUESTS);
        CHECK(state.wait_ms > 13000 && state.wait_ms <= 15000); /* a second or so has passed */
        if (!restart()) /* twice: the same events again */
            return;
        CHECK_INT(limits_spent(SLICE("k"), &day), 6 * usd);
        clock_to(now + 86400000);
        CHECK_INT(limits_spent(SLICE("k"), &day), 6 * usd);
        CHECK_INT(day, 0);
        durable = false;
    }
}

/* Many at once: what is held back for those under way counts as spent, except that the first always passes. */
static void held(void)
{
    const struct key_limits both[] = {{.budget_total = 1000000}, {.budget_per_day = 1000000}};
    const uint64_t usd = 1000000000000u;
    struct limits_ticket t[4];
    uint64_t day;

    for (size_t i = 0; i < COUNT(both); i++) {
        check_case(i ? "held back of a day" : "held back of the whole");
        if (!fresh())
            return;
        for (int n = 0; n < 4; n++)
            CHECK_INT(take("k", &both[i], 0, &t[n]), LIMITS_OK);
        CHECK(limits_hold(&t[0], &both[i], 40 * usd)); /* more than there is, but it is the first */
        CHECK(!limits_hold(&t[1], &both[i], usd / 10));
        book("k", &t[0], 5, usd / 2);
        CHECK(limits_hold(&t[1], &both[i], usd / 10));
        CHECK(limits_hold(&t[2], &both[i], usd * 4 / 10));
        CHECK(!limits_hold(&t[3], &both[i], usd / 100000));
        book("k", &t[3], 0, 0);
        book("k", &t[2], 5, usd / 4);
        CHECK_INT(take("k", &both[i], 0, &t[3]), LIMITS_OK);
        CHECK(limits_hold(&t[3], &both[i], UINT64_MAX) == false);
        book("k", &t[1], 5, usd / 4);
        CHECK_INT(take("k", &both[i], 0, &t[1]), i ? LIMITS_DAY : LIMITS_TOTAL);
        book("k", &t[3], 0, 0);
        CHECK_INT(limits_spent(SLICE("k"), &day), usd);
    }
    check_case("nothing is held without a budget, nor for a key that was forgotten");
    if (!fresh())
        return;
    CHECK_INT(take("k", &(struct key_limits){.requests_per_minute = 5}, 0, &t[0]), LIMITS_OK);
    CHECK(limits_hold(&t[0], &(struct key_limits){.requests_per_minute = 5}, UINT64_MAX) && limits_hold(&t[0], &both[0], UINT64_MAX));
    limits_forget(SLICE("k"));
    CHECK(limits_hold(&t[0], &both[0], UINT64_MAX));
    book("k", &t[0], 0, usd);
    CHECK_INT(take("k", &both[0], 0, &t[0]), LIMITS_OK);
    CHECK(limits_hold(&t[0], &both[0], 5) && !limits_hold(&(struct limits_ticket){t[0].place, t[0].life, 0, 0, false}, &both[0], 2 * usd));
}

static void forgotten(void)
{
    const struct key_limits k = {.requests_per_minute = 1};
    struct limits_ticket t, later;
    uint64_t day, evicted;

    check_case("a key that is deleted while its request runs");
    nkept = 0;
    durable = true;
    if (!fresh())
        return;
    CHECK_INT(take("k", &k, 0, &t), LIMITS_OK);
    limits_flush();
    CHECK_INT(nkept, 1);
    limits_forget(SLICE("k"));
    limits_forget(SLICE("k"));
    CHECK_INT(nkept, 0);
    CHECK_INT(limits_keys(&evicted), 0);
    book("k", &t, 5, 1000);
    CHECK_INT(limits_spent(SLICE("k"), &day), 0);
    CHECK_INT(take("other", &k, 0, &later), LIMITS_OK); /* in the same place */
    book("k", &t, 5, 1000);
    CHECK_INT(limits_spent(SLICE("other"), &day), 0);
    CHECK_INT(take("k", &k, 0, &t), LIMITS_OK);
    limits_forget(SLICE("other")); /* dirty, so still in the chain of what is to be stored */
    CHECK_INT(take("third", &k, 0, &later), LIMITS_OK);
    limits_flush();
    CHECK_INT(nkept, 2);
    durable = false;
}

/* A store that refuses for a while loses nothing. */
static void refused(void)
{
    const struct key_limits k = {.budget_total = 1};
    struct limits_ticket t;
    uint64_t day;

    check_case("the store refuses");
    nkept = 0;
    durable = refusing = true;
    if (!fresh())
        return;
    for (int i = 0; i < 200; i++) {
        char id[16];

        snprintf(id, sizeof id, "k%d", i);
        CHECK_INT(take(id, &k, 0, &t), LIMITS_OK);
        book(id, &t, 0, 7);
    }
    limits_flush();
    CHECK_INT(nkept, 0);
    refusing = false;
    clock_to(now + LIMITS_STORE_MS);
    (void)timers_run(now, 100);
    if (!restart())
        return;
    CHECK_INT(limits_spent(SLICE("k0"), &day), 7);
    CHECK_INT(limits_spent(SLICE("k199"), &day), 7);
    durable = false;
}

static void crowd(void)
{
    const struct key_limits k = {.budget_total = 10};
    struct limits_ticket t;
    uint64_t evicted, day;
    const char *long_id = "aigk_0123456789012345678901234567890123456789012345678901234567890123456789";

    check_case("more keys than there is room for");
    if (!fresh())
        return;
    for (int i = 0; i < LIMITS_KEYS + 1000; i++) {
        char id[24];

        snprintf(id, sizeof id, "aigk_%d", i);
        (void)take(id, &k, 0, &t);
        limits_settle(slice_str(id), &t, 0, (uint64_t)i + 1, (uint64_t)i + 1);
        if (i % 1000 == 0)
            clock_to(now + 1);
    }
    CHECK_INT(limits_keys(&evicted), LIMITS_KEYS);
    CHECK_INT(evicted, 1000);
    CHECK_INT(limits_spent(SLICE("aigk_132071"), &day), 132072); /* those that came last */
    CHECK_INT(limits_spent(SLICE("aigk_131000"), &day), 131001);
    CHECK_INT(limits_spent(SLICE("aigk_0"), &day), 0);

    check_case("long ids");
    if (!fresh())
        return;
    CHECK_INT(take(long_id, &k, 0, &t), LIMITS_OK);
    limits_settle(slice_str(long_id), &t, 0, 5, 1);
    CHECK_INT(limits_spent(slice_str(long_id), &day), 5);
    CHECK_INT(limits_spent(slice_first(slice_str(long_id), 74), &day), 0);
}

/* L-19: the wall clock jumps. A day's budget is the present day's, whichever way it came. */
static void clocks(void)
{
    const struct key_limits k = {.budget_per_day = 1, .requests_per_minute = 1};
    struct limits_ticket t;

    check_case("the wall clock jumps");
    if (!fresh())
        return;
    wall += 10 * 365 * 86400000LL;
    CHECK_INT(take("k", &k, 0, &t), LIMITS_OK);
    limits_settle(SLICE("k"), &t, 0, 1000000, 1);
    clock_to(now + 60000);
    CHECK_INT(take("k", &k, 0, &t), LIMITS_DAY);
    wall -= 10 * 365 * 86400000LL;
    CHECK_INT(take("k", &k, 0, &t), LIMITS_OK);
    wall = -5; /* before 1970 */
    CHECK_INT(take("k", &k, 0, &t), LIMITS_REQUESTS);
    clock_to(now + 60000);
    CHECK_INT(take("k", &k, 0, &t), LIMITS_OK);
    wall = 20000 * 86400000LL;
}

int main(void)
{
    lives();
    restarts();
    held();
    forgotten();
    refused();
    crowd();
    clocks();
    return check_end();
}
