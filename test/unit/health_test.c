/* Cool-downs and breakers, each rule of spec 5 by its name; time by hand. */
#include "gate/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Two keys and a third on one origin, one key on another. */
enum { KEYS = 4, T0 = 1000000 };

static struct provider provider[2];
static struct credential key[KEYS];
static struct conf conf;
static char memory[1 << 17];
static struct arena arena;
static struct health *h;

static void fresh(const char *name, bool enabled)
{
    check_case(name);
    conf = (struct conf){.ncredentials = KEYS, .norigins = 2, .nproviders = 2, .nsteps = 3, .credential = key,
                         .provider = provider};
    for (uint32_t i = 0; i < 2; i++)
        provider[i] = (struct provider){.index = i, .origin = i};
    for (uint32_t i = 0; i < KEYS; i++)
        key[i] = (struct credential){.index = i, .provider = &provider[i == 3], .id = slice_make(&"abcd"[i], 1)};
    arena_init_fixed(&arena, memory, sizeof(memory));
    h = health_create(&arena, &conf, 42, enabled);
    if (!CHECK(h != NULL))
        exit(1);
}

#define M SLICE("gpt-4o")

static enum health_state ask(int k, struct slice model, int64_t now)
{
    int64_t until;

    return health_ask(h, &key[k], model, now, &until);
}

static int64_t until(int k, struct slice model, int64_t now)
{
    int64_t end;

    (void)health_ask(h, &key[k], model, now, &end);
    return end;
}

static void tell(int k, enum outcome o, int64_t retry_after_ms, int64_t now)
{
    bool head = o != OUTCOME_UNREACHABLE && o != OUTCOME_TIMEOUT && o != OUTCOME_LOCAL && o != OUTCOME_CANCELLED;

    health_tell(h, &key[k], M, o, head, retry_after_ms, now);
}

static bool all_well(int64_t now)
{
    for (int k = 0; k < KEYS; k++)
        if (ask(k, M, now) != HEALTH_WELL || until(k, M, now) != 0)
            return false;
    return true;
}

static void rate_limit_cools_the_pair(void)
{
    fresh("rate_limit cools (key, model)", true);
    tell(0, OUTCOME_RATE_LIMIT, 10000, T0);
    CHECK_INT(ask(0, M, T0), HEALTH_STATED);
    CHECK_INT(ask(0, SLICE("GPT-4o"), T0), HEALTH_STATED);
    CHECK_INT(until(0, M, T0), T0 + 10000);
    CHECK_INT(ask(0, SLICE("gpt-4o-mini"), T0), HEALTH_WELL);
    CHECK_INT(ask(1, M, T0), HEALTH_WELL);
    CHECK_INT(ask(0, M, T0 + 9999), HEALTH_STATED);
    CHECK_INT(ask(0, M, T0 + 10000), HEALTH_WELL);
    CHECK(!health_key_stated(h, &key[0], T0));
}

static void auth_and_quota_cool_the_key(void)
{
    static const enum outcome o[] = {OUTCOME_AUTH, OUTCOME_QUOTA};

    for (size_t i = 0; i < COUNT(o); i++) {
        fresh("auth and quota cool the key for 5 min", true);
        tell(0, o[i], -1, T0);
        CHECK_INT(ask(0, M, T0), HEALTH_GUESSED);
        CHECK_INT(ask(0, SLICE("another"), T0), HEALTH_GUESSED);
        CHECK_INT(until(0, M, T0), T0 + 300000);
        CHECK_INT(ask(1, M, T0), HEALTH_WELL);
        CHECK_INT(ask(0, M, T0 + 299999), HEALTH_GUESSED);
        CHECK_INT(ask(0, M, T0 + 300000), HEALTH_WELL);
        CHECK(!health_key_stated(h, &key[0], T0));
    }
    fresh("a stated end of a quota is honoured, the rest of 5 min is a guess", true);
    tell(0, OUTCOME_QUOTA, 60000, T0);
    CHECK_INT(ask(0, M, T0), HEALTH_STATED);
    CHECK_INT(until(0, M, T0), T0 + 60000);
    CHECK(health_key_stated(h, &key[0], T0));
    CHECK_INT(ask(0, M, T0 + 60000), HEALTH_GUESSED);
    CHECK_INT(until(0, M, T0 + 60000), T0 + 300000);
}

static void stated_is_believed_up_to_an_hour(void)
{
    fresh("stated at most 1 h", true);
    tell(0, OUTCOME_RATE_LIMIT, INT64_MAX, T0);
    CHECK_INT(until(0, M, T0), T0 + 3600000);
    fresh("stated as 0 is no wait", true);
    tell(0, OUTCOME_RATE_LIMIT, 0, T0);
    CHECK_INT(ask(0, M, T0), HEALTH_WELL);
}

/* 1 s doubling to 60 s, 20 % to either side. */
static void guess_doubles(void)
{
    static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    int64_t now = T0;

    fresh("a guess doubles from 1 s to 60 s with jitter", true);
    for (size_t i = 0; i < COUNT(want); i++) {
        int64_t ms;

        tell(0, OUTCOME_RATE_LIMIT, -1, now);
        CHECK_INT(ask(0, M, now), HEALTH_GUESSED);
        ms = until(0, M, now) - now;
        CHECK(ms >= want[i] * 8 / 10 && ms <= want[i] * 12 / 10);
        now += ms;
        CHECK_INT(ask(0, M, now), HEALTH_WELL);
    }
    tell(0, OUTCOME_OK, -1, now);
    tell(0, OUTCOME_RATE_LIMIT, -1, now);
    CHECK(until(0, M, now) - now <= 1200);

    fresh("a burst of rate limits is one", true);
    for (int i = 0; i < 20; i++)
        tell(0, OUTCOME_RATE_LIMIT, -1, T0 + i);
    CHECK(until(0, M, T0 + 20) <= T0 + 1200);

    fresh("an old guess is forgotten", true);
    tell(0, OUTCOME_RATE_LIMIT, -1, T0);
    tell(0, OUTCOME_RATE_LIMIT, -1, T0 + 1300);
    tell(0, OUTCOME_RATE_LIMIT, -1, T0 + 1000000);
    CHECK(until(0, M, T0 + 1000000) <= T0 + 1001200);
}

static void jitter_spreads(void)
{
    int64_t low = INT64_MAX, high = 0;

    fresh("jitter", true);
    for (int i = 0; i < 500; i++) {
        int64_t now = T0 + (int64_t)i * 10000000, ms;

        tell(0, OUTCOME_RATE_LIMIT, -1, now);
        ms = until(0, M, now) - now;
        low = ms < low ? ms : low;
        high = ms > high ? ms : high;
    }
    CHECK(low >= 800 && low < 850 && high <= 1200 && high > 1150);
}

static void f126_client_caused(void)
{
    static const enum outcome o[] = {OUTCOME_REJECTED, OUTCOME_NOT_FOUND, OUTCOME_CONTENT_POLICY, OUTCOME_CANCELLED,
                                     OUTCOME_SKIPPED, OUTCOME_LOCAL};

    fresh("F-126: what the client caused touches no health", true);
    for (int i = 0; i < 1000; i++)
        tell(i % KEYS, o[(size_t)i % COUNT(o)], i % 2 ? 5000 : -1, T0 + i);
    CHECK(all_well(T0 + 1000));
}

static void f127_never_shortened(void)
{
    fresh("F-127: a later failure never shortens it", true);
    tell(0, OUTCOME_RATE_LIMIT, 30000, T0);
    tell(0, OUTCOME_RATE_LIMIT, 1000, T0 + 10);
    CHECK_INT(until(0, M, T0 + 10), T0 + 30000);
    tell(0, OUTCOME_RATE_LIMIT, -1, T0 + 20);
    CHECK_INT(ask(0, M, T0 + 20), HEALTH_STATED);
    CHECK_INT(until(0, M, T0 + 20), T0 + 30000);
    tell(0, OUTCOME_AUTH, -1, T0 + 30);
    CHECK_INT(ask(0, M, T0 + 30), HEALTH_STATED);
    tell(0, OUTCOME_UPSTREAM_ERROR, -1, T0 + 40);
    CHECK_INT(ask(0, M, T0 + 29999), HEALTH_STATED);
    CHECK_INT(ask(0, M, T0 + 30000), HEALTH_GUESSED);
    CHECK_INT(until(0, M, T0 + 30000), T0 + 30 + 300000);
    fresh("F-127: and a later longer one prolongs it", true);
    tell(0, OUTCOME_RATE_LIMIT, 1000, T0);
    tell(0, OUTCOME_RATE_LIMIT, 30000, T0 + 10);
    CHECK_INT(until(0, M, T0 + 10), T0 + 30010);
    fresh("F-127: auth again", true);
    tell(0, OUTCOME_QUOTA, 600000, T0);
    tell(0, OUTCOME_QUOTA, 1000, T0 + 1);
    CHECK_INT(until(0, M, T0 + 1), T0 + 600000);
}

static void f128_binds_at_once(void)
{
    fresh("F-128: a cool-down binds the very next question", true);
    tell(0, OUTCOME_RATE_LIMIT, 1000, T0);
    CHECK_INT(ask(0, M, T0 + 1), HEALTH_STATED);
}

static void success_clears(void)
{
    fresh("one success clears it", true);
    tell(0, OUTCOME_RATE_LIMIT, 60000, T0);
    tell(0, OUTCOME_QUOTA, 60000, T0);
    tell(1, OUTCOME_RATE_LIMIT, 60000, T0);
    tell(0, OUTCOME_OK, -1, T0 + 5);
    CHECK_INT(ask(0, M, T0 + 5), HEALTH_WELL);
    CHECK_INT(ask(1, M, T0 + 5), HEALTH_STATED);
    fresh("a success with one model leaves the other one cooling", true);
    tell(0, OUTCOME_RATE_LIMIT, 60000, T0);
    health_tell(h, &key[0], SLICE("other"), OUTCOME_OK, true, -1, T0 + 5);
    CHECK_INT(ask(0, M, T0 + 5), HEALTH_STATED);
}

static void breaker(void)
{
    static const enum outcome o[] = {OUTCOME_UNREACHABLE, OUTCOME_TIMEOUT, OUTCOME_UPSTREAM_ERROR, OUTCOME_CUT};

    for (size_t i = 0; i < COUNT(o); i++) {
        fresh(outcome_name(o[i]), true);
        for (int n = 0; n < 4; n++)
            tell(n % 3, o[i], -1, T0 + n);
        CHECK(all_well(T0 + 4));
        tell(2, o[i], -1, T0 + 4);
        for (int k = 0; k < 3; k++)
            CHECK_INT(ask(k, M, T0 + 4), HEALTH_PROBING);
        CHECK_INT(ask(3, M, T0 + 4), HEALTH_WELL);
        CHECK_INT(until(0, M, T0 + 4), T0 + 4 + 5000);
        CHECK_INT(ask(0, M, T0 + 5003), HEALTH_PROBING);
        CHECK_INT(ask(0, M, T0 + 5004), HEALTH_WELL);
    }
    fresh("five failures, but not in a row", true);
    for (int n = 0; n < 20; n++)
        tell(0, n % 5 == 4 ? (n % 2 ? OUTCOME_REJECTED : OUTCOME_OK) : OUTCOME_UNREACHABLE, -1, T0 + n);
    CHECK(all_well(T0 + 20));
    fresh("any answer with a head proves the origin alive", true);
    for (int n = 0; n < 5; n++)
        tell(0, OUTCOME_UNREACHABLE, -1, T0);
    tell(1, OUTCOME_RATE_LIMIT, 1000, T0 + 1);
    CHECK_INT(ask(0, M, T0 + 1), HEALTH_WELL);
    CHECK_INT(ask(1, M, T0 + 1), HEALTH_STATED);
}

static void open_breaker(void)
{
    for (int n = 0; n < 5; n++)
        tell(0, OUTCOME_UNREACHABLE, -1, T0);
    CHECK_INT(ask(0, M, T0), HEALTH_PROBING);
}

static void f134_half_open(void)
{
    const int64_t due = T0 + 5000;

    fresh("F-134: half-open lets one probe through", true);
    open_breaker();
    CHECK_INT(ask(0, M, due), HEALTH_WELL);
    health_start(h, &key[0], due);
    for (int i = 0; i < 100; i++)
        CHECK_INT(ask(i % 3, M, due + i), HEALTH_PROBING);
    tell(0, OUTCOME_OK, -1, due + 100);
    CHECK(all_well(due + 100));

    fresh("F-134: a failed probe shuts it for another 5 s", true);
    open_breaker();
    health_start(h, &key[0], due);
    tell(0, OUTCOME_TIMEOUT, -1, due + 70);
    CHECK_INT(ask(1, M, due + 71), HEALTH_PROBING);
    CHECK_INT(until(1, M, due + 71), due + 70 + 5000);
    CHECK_INT(ask(1, M, due + 5070), HEALTH_WELL);

    fresh("F-134: a cancelled probe is given back", true);
    open_breaker();
    health_start(h, &key[0], due);
    CHECK_INT(ask(1, M, due + 1), HEALTH_PROBING);
    health_cancel(h, &key[0]);
    CHECK_INT(ask(1, M, due + 1), HEALTH_WELL);

    fresh("F-134: a probe that nobody ended is given up", true);
    open_breaker();
    health_start(h, &key[0], due);
    CHECK_INT(ask(1, M, due + 100000), HEALTH_PROBING);
    CHECK_INT(ask(1, M, due + 200000), HEALTH_WELL);

    fresh("F-134: starting before it is due takes no probe", true);
    open_breaker();
    health_start(h, &key[0], T0 + 10);
    CHECK_INT(ask(1, M, due), HEALTH_WELL);
}

static void worst_wins(void)
{
    fresh("stated beats an open breaker, an open breaker beats a guess", true);
    health_tell(h, &key[1], M, OUTCOME_AUTH, true, -1, T0);
    health_tell(h, &key[0], M, OUTCOME_RATE_LIMIT, true, 1000, T0);
    for (int n = 0; n < 5; n++)
        tell(2, OUTCOME_UNREACHABLE, -1, T0);
    CHECK_INT(ask(0, M, T0), HEALTH_STATED);
    CHECK_INT(until(0, M, T0), T0 + 1000);
    CHECK_INT(ask(1, M, T0), HEALTH_PROBING);
    CHECK_INT(until(1, M, T0), T0 + 300000);
    CHECK_INT(ask(2, M, T0), HEALTH_PROBING);
    CHECK_INT(until(2, M, T0), T0 + 5000);
}

/* More pairs than the table holds: the newest are known, nothing else breaks. */
static void pair_table(void)
{
    char name[32];
    int known = 0;

    fresh("the pair table keeps what ends last", true);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        health_tell(h, &key[0], slice_str(name), OUTCOME_RATE_LIMIT, true, 10000 + i, T0);
        CHECK_INT(ask(0, slice_str(name), T0), HEALTH_STATED);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        known += ask(0, slice_str(name), T0) == HEALTH_STATED;
    }
    CHECK_INT(known, HEALTH_PAIRS);
    CHECK_INT(ask(0, slice_str(name), T0), HEALTH_STATED);
    CHECK_INT(ask(0, SLICE("model-0"), T0), HEALTH_WELL);
}

static void switched_off(void)
{
    fresh("switched off", false);
    for (int n = 0; n < 10; n++) {
        tell(0, OUTCOME_UNREACHABLE, -1, T0);
        tell(1, OUTCOME_RATE_LIMIT, 60000, T0);
        tell(2, OUTCOME_QUOTA, -1, T0);
    }
    CHECK(all_well(T0));
    CHECK_INT(health_round_robin(h, 1), 0);
}

static struct credential credential[2][3];
static struct provider site[2][2];

/* A snapshot of three keys on two origins; the order says which key stands where. */
static struct conf snapshot(unsigned which, const char *order)
{
    struct conf c = {.ncredentials = 3, .nproviders = 2, .norigins = 2, .credential = credential[which], .provider = site[which]};

    site[which][0] = (struct provider){.origin = which, .base = {.host = SLICE("one.example"), .port = 443}};
    site[which][1] = (struct provider){.origin = 1 - which, .base = {.host = SLICE("two.example"), .port = 443}};
    for (uint32_t i = 0; order[i]; i++)
        credential[which][i] = (struct credential){.id = slice_make(&order[i], 1), .value = SLICE("v"), .index = i,
                                                   .provider = &site[which][order[i] != 'a']};
    return c;
}

static void adopted(void)
{
    static char more[1 << 17];
    struct conf before = snapshot(0, "abc"), after = snapshot(1, "cxa");
    struct arena second;
    struct health *old, *new;
    int64_t end;

    check_case("a reload keeps what is known of keys, pairs and origins that still exist");
    arena_init_fixed(&arena, memory, sizeof(memory));
    arena_init_fixed(&second, more, sizeof(more));
    old = health_create(&arena, &before, 1, true);
    new = health_create(&second, &after, 2, true);
    if (!CHECK(old && new))
        return;
    health_tell(old, &credential[0][0], M, OUTCOME_RATE_LIMIT, true, 60000, T0);
    health_tell(old, &credential[0][1], M, OUTCOME_QUOTA, true, -1, T0);
    health_tell(old, &credential[0][2], M, OUTCOME_QUOTA, true, 90000, T0);
    for (int n = 0; n < 5; n++)
        health_tell(old, &credential[0][0], M, OUTCOME_UNREACHABLE, false, -1, T0);
    health_adopt(new, old);
    CHECK_INT(health_ask(new, &credential[1][2], M, T0 + 1, &end), HEALTH_STATED); /* a, its pair */
    CHECK_INT(end, T0 + 60000);
    CHECK_INT(health_ask(new, &credential[1][2], SLICE("else"), T0 + 1, &end), HEALTH_PROBING); /* a, its origin */
    CHECK_INT(health_ask(new, &credential[1][0], M, T0 + 1, &end), HEALTH_STATED); /* c, the key */
    CHECK_INT(health_ask(new, &credential[1][1], M, T0 + 1, &end), HEALTH_WELL); /* x is new */
    check_case("a rotated key is a new one");
    credential[1][0].value = SLICE("w");
    arena_init_fixed(&second, more, sizeof(more));
    new = health_create(&second, &after, 2, true);
    if (!CHECK(new != NULL))
        return;
    health_adopt(new, old);
    CHECK_INT(health_ask(new, &credential[1][0], M, T0 + 1, &end), HEALTH_WELL);
}

static void counters(void)
{
    unsigned seen[8] = {0};

    fresh("round robin and chance", true);
    CHECK_INT(health_round_robin(h, 0), 0);
    CHECK_INT(health_round_robin(h, 0), 1);
    CHECK_INT(health_round_robin(h, 2), 0);
    CHECK_INT(health_round_robin(h, 0), 2);
    for (int i = 0; i < 8000; i++)
        seen[health_random(h) % 8]++;
    for (size_t i = 0; i < 8; i++)
        CHECK(seen[i] > 800 && seen[i] < 1200);
    check_case("no room");
    arena_init_fixed(&arena, memory, 100);
    CHECK(health_create(&arena, &conf, 1, true) == NULL);
}

int main(void)
{
    rate_limit_cools_the_pair();
    auth_and_quota_cool_the_key();
    stated_is_believed_up_to_an_hour();
    guess_doubles();
    jitter_spreads();
    f126_client_caused();
    f127_never_shortened();
    f128_binds_at_once();
    success_clears();
    breaker();
    f134_half_open();
    worst_wins();
    pair_table();
    switched_off();
    adopted();
    counters();
    return check_end();
}
