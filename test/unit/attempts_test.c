/* The walk over the attempt queue and its verdict, one case per rule of spec 5. */
#include "gate/attempts.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "gate/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { KEYS = 6, ORIGINS = 3, T0 = 1000000 };

static struct provider provider[ORIGINS];
static struct credential key[KEYS];
static struct conf conf;
static char memory[1 << 17];
static struct arena arena;
static struct health *h;
static struct attempt queue[ATTEMPTS_MAX];
static struct attempt_record record[ATTEMPTS_MAX * 2];
static struct attempts q;

/* plan: one letter per attempt, the key 'a'..'f' (two keys per origin: ab, cd, ef); a '|' begins the next candidate. */
static void plan(const char *letters)
{
    uint8_t candidate = 0;

    q = (struct attempts){.queue = queue, .record = record};
    for (; *letters; letters++) {
        if (*letters == '|') {
            candidate++;
            continue;
        }
        queue[q.count++] = (struct attempt){.key = &key[*letters - 'a'],
                                            .model = candidate ? SLICE("model-two") : SLICE("model-one"),
                                            .candidate = candidate};
    }
}

static void fresh(const char *name, const char *letters)
{
    check_case(name);
    conf = (struct conf){.ncredentials = KEYS, .norigins = ORIGINS, .nproviders = ORIGINS, .nsteps = 1, .credential = key,
                         .provider = provider};
    for (uint32_t i = 0; i < ORIGINS; i++)
        provider[i] = (struct provider){.index = i, .origin = i};
    for (uint32_t i = 0; i < KEYS; i++)
        key[i] = (struct credential){.index = i, .provider = &provider[i / 2], .id = slice_make(&"abcdef"[i], 1)};
    arena_init_fixed(&arena, memory, sizeof(memory));
    h = health_create(&arena, &conf, 7, true);
    if (!CHECK(h != NULL))
        exit(1);
    plan(letters);
}

static char letter(const struct attempt *a)
{
    return a ? (char)('a' + a->key->index) : '-';
}

static struct fault fault_of(enum outcome o)
{
    if (o == OUTCOME_UNREACHABLE)
        return fault_make(FAULT_CONNECT, 111, "connection refused");
    if (o == OUTCOME_TIMEOUT)
        return fault_make(FAULT_TIMEOUT, 0, "no response head in time");
    if (o == OUTCOME_LOCAL)
        return fault_make(FAULT_NO_MEMORY, 0, "no memory");
    return fault_make(FAULT_NONE, 0, NULL);
}

static unsigned status_of(enum outcome o)
{
    static const unsigned status[OUTCOME_COUNT] = {
        [OUTCOME_OK] = 200,        [OUTCOME_RATE_LIMIT] = 429, [OUTCOME_QUOTA] = 402,    [OUTCOME_AUTH] = 401,
        [OUTCOME_UPSTREAM_ERROR] = 503, [OUTCOME_NOT_FOUND] = 404,  [OUTCOME_REJECTED] = 400, [OUTCOME_CONTENT_POLICY] = 400,
        [OUTCOME_CUT] = 200,
    };

    return status[o];
}

static struct attempt_record *end(struct attempt *a, enum outcome o, int64_t retry_after_ms, int64_t now)
{
    return attempts_end(&q, h, a, o, status_of(o), fault_of(o), retry_after_ms, now - 10, now);
}

/* Walks the queue with one outcome letter per try, in order; the last one repeats. Returns the keys tried. */
static const char *walk(const char *outcomes, int64_t retry_after_ms, int64_t now)
{
    static char tried[ATTEMPTS_MAX + 1];
    size_t n = 0;
    struct attempt *a;

    while (n < ATTEMPTS_MAX && (a = attempts_next(&q, h, now))) {
        static const char letters[] = "uRqasnrpLcko";
        static const enum outcome meaning[] = {OUTCOME_UNREACHABLE, OUTCOME_RATE_LIMIT, OUTCOME_QUOTA, OUTCOME_AUTH,
                                               OUTCOME_UPSTREAM_ERROR, OUTCOME_NOT_FOUND, OUTCOME_REJECTED,
                                               OUTCOME_CONTENT_POLICY, OUTCOME_LOCAL, OUTCOME_CANCELLED, OUTCOME_CUT,
                                               OUTCOME_OK};
        const char *at = strchr(letters, *outcomes == 't' ? 'u' : *outcomes);
        enum outcome o = *outcomes == 't' ? OUTCOME_TIMEOUT : meaning[at - letters];

        tried[n++] = letter(a);
        end(a, o, retry_after_ms, now);
        if (outcomes[1])
            outcomes++;
    }
    tried[n] = '\0';
    return tried;
}

/* ---- What each outcome does to the rest. ---- */

static void scopes(void)
{
    static const struct {
        const char *name, *queue, *outcomes, *tried;
    } row[] = {
        {"429: next key", "ab|c", "R", "abc"},
        {"402: next key", "ab|c", "q", "abc"},
        {"401: next key", "ab|c", "a", "abc"},
        {"5xx: next key", "ab|c", "s", "abc"},
        {"404: next key", "ab|c", "n", "abc"},
        {"400: no other key of this model, next model", "abc|de", "r", "ad"},
        {"400 by the second key", "abc|de", "sr", "abd"},
        {"content policy is final", "ab|c", "p", "a"},
        {"content policy after others is final", "ab|c", "sp", "ab"},
        {"success ends the walk", "ab|c", "so", "ab"},
        {"a cut committed stream ends the walk", "ab|c", "k", "a"},
        {"unreachable: the same origin goes to the end", "abce|bd", "u", "acebbd"},
        {"timeout: the same origin goes to the end", "abc|be", "t", "acebb"},
        {"unreachable: demoted ones keep their order", "abab|c", "us", "acbab"},
        {"a local failure moves on", "ab", "L", "ab"},
        {"a cancelled one leaves the rest", "ab", "c", "ab"},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        fresh(row[i].name, row[i].queue);
        CHECK_STR(slice_str(walk(row[i].outcomes, -1, T0)), row[i].tried);
        CHECK(attempts_next(&q, h, T0) == NULL);
        CHECK(!attempts_left(&q, h, T0));
    }
}

static void tried_once(void)
{
    fresh("no attempt is handed out twice", "abcdef");
    for (int i = 0; i < 6; i++)
        CHECK_INT(letter(attempts_next(&q, h, T0)), 'a' + i);
    CHECK(attempts_next(&q, h, T0) == NULL);
    CHECK_INT(q.nrecords, 0);
}

static void f138_failover_off(void)
{
    fresh("F-138: x-weir-failover off is one attempt", "abc");
    q.single = true;
    CHECK(attempts_left(&q, h, T0));
    CHECK_STR(slice_str(walk("s", -1, T0)), "a");
    CHECK(!attempts_left(&q, h, T0));
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_PASS);
    fresh("F-138: unreachable", "abc");
    q.single = true;
    walk("u", -1, T0);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_UNREACHABLE);
}

static void hedge(void)
{
    struct attempt *first, *second;

    fresh("two at once: the loser's end changes nothing", "abc");
    first = attempts_next(&q, h, T0);
    second = attempts_next(&q, h, T0);
    CHECK(first && second && first != second);
    if (!first || !second)
        return;
    end(second, OUTCOME_OK, -1, T0 + 5);
    end(first, OUTCOME_CANCELLED, -1, T0 + 5);
    CHECK(attempts_next(&q, h, T0 + 5) == NULL);
    CHECK_INT(q.nrecords, 2);
    CHECK_INT(record[1].outcome, OUTCOME_CANCELLED);
}

/* ---- Health and order. ---- */

static void cooling_goes_behind(void)
{
    fresh("cooling by guess goes behind all others", "ab|c");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, -1, T0);
    CHECK_STR(slice_str(walk("s", -1, T0 + 1)), "bca");
    fresh("cooling goes behind demoted ones too", "abc|e");
    health_tell(h, &key[4], SLICE("model-two"), OUTCOME_RATE_LIMIT, true, -1, T0);
    CHECK_STR(slice_str(walk("us", -1, T0 + 1)), "acbe");
    fresh("of two guesses the one that ends first", "ab");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_AUTH, true, -1, T0);
    health_tell(h, &key[1], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, -1, T0);
    CHECK_STR(slice_str(walk("s", -1, T0 + 1)), "ba");
    fresh("F-128: a key cooled in this request's past is not the next one", "ab");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, 5000, T0);
    CHECK_INT(letter(attempts_next(&q, h, T0 + 1)), 'b');
}

static void f129_stated_is_not_called(void)
{
    struct attempts_end_state v;

    fresh("F-129: all keys cool until a stated time", "ab|c");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, 30000, T0);
    health_tell(h, &key[1], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, 7001, T0);
    health_tell(h, &key[2], SLICE("model-two"), OUTCOME_RATE_LIMIT, true, 90000, T0);
    CHECK(!attempts_left(&q, h, T0 + 1));
    CHECK(attempts_next(&q, h, T0 + 1) == NULL);
    CHECK_INT(q.nrecords, 3);
    for (uint32_t i = 0; i < q.nrecords; i++)
        CHECK(record[i].outcome == OUTCOME_SKIPPED && record[i].what && record[i].status == 429);
    CHECK_INT(record[0].retry_after_s, 30);
    v = attempts_verdict(&q);
    CHECK_INT(v.verdict, VERDICT_RATE_LIMITED);
    CHECK_INT(v.retry_after_s, 7);
    CHECK(v.should_retry);
    CHECK(attempts_next(&q, h, T0 + 100000) == NULL);

    fresh("F-129: a guessed one among them is tried", "ab");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, 30000, T0);
    health_tell(h, &key[1], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, -1, T0);
    CHECK(attempts_left(&q, h, T0 + 1));
    CHECK_STR(slice_str(walk("R", -1, T0 + 1)), "b");
    CHECK_INT(q.nrecords, 2);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_RATE_LIMITED);

    fresh("F-129: the last one states a time in this very request", "ab");
    CHECK_STR(slice_str(walk("R", 2500, T0)), "ab");
    v = attempts_verdict(&q);
    CHECK_INT(v.verdict, VERDICT_RATE_LIMITED);
    CHECK_INT(v.retry_after_s, 3);

    fresh("a stated quota among them is no rate limit", "ab");
    health_tell(h, &key[0], SLICE("model-one"), OUTCOME_RATE_LIMIT, true, 30000, T0);
    health_tell(h, &key[1], SLICE("model-one"), OUTCOME_QUOTA, true, 60000, T0);
    CHECK(attempts_next(&q, h, T0 + 1) == NULL);
    v = attempts_verdict(&q);
    CHECK_INT(v.verdict, VERDICT_ALL_FAILED);
    CHECK(v.should_retry && v.retry_after_s == 30);
}

static void f130_open_breakers(void)
{
    fresh("F-130: with every breaker open the one that is due first is tried", "a|c");
    for (int i = 0; i < 5; i++) {
        health_tell(h, &key[2], SLICE("x"), OUTCOME_UNREACHABLE, false, -1, T0);
        health_tell(h, &key[0], SLICE("x"), OUTCOME_UNREACHABLE, false, -1, T0 + 1);
    }
    CHECK(attempts_left(&q, h, T0 + 2));
    CHECK_STR(slice_str(walk("u", -1, T0 + 2)), "ca");
    fresh("F-130: half-open takes one probe, others go elsewhere", "a|c");
    for (int i = 0; i < 5; i++)
        health_tell(h, &key[0], SLICE("x"), OUTCOME_UNREACHABLE, false, -1, T0);
    CHECK_INT(letter(attempts_next(&q, h, T0 + 5000)), 'a');
    plan("a|c");
    CHECK_INT(letter(attempts_next(&q, h, T0 + 5001)), 'c');
}

static void f131_dead_keys(void)
{
    struct attempts_end_state v;

    fresh("F-131: all keys dead", "ab|c");
    CHECK_STR(slice_str(walk("a", -1, T0)), "abc");
    v = attempts_verdict(&q);
    CHECK_INT(v.verdict, VERDICT_ALL_FAILED);
    CHECK(!v.should_retry && v.retry_after_s == -1);
}

static void f132_dead_origins(void)
{
    fresh("F-132: each dead origin once, a second request begins elsewhere", "ab|cd");
    for (int i = 0; i < 5; i++)
        health_tell(h, &key[0], SLICE("x"), OUTCOME_UNREACHABLE, false, -1, T0);
    CHECK_STR(slice_str(walk("u", -1, T0 + 1)), "cdab");
}

static void f134_cancelled_probe(void)
{
    struct attempt *a;

    fresh("F-134: a cancelled probe makes room for the next", "a|c");
    for (int i = 0; i < 5; i++)
        health_tell(h, &key[0], SLICE("x"), OUTCOME_UNREACHABLE, false, -1, T0);
    a = attempts_next(&q, h, T0 + 5000);
    if (!CHECK(a != NULL))
        return;
    end(a, OUTCOME_CANCELLED, -1, T0 + 5001);
    plan("a|c");
    CHECK_INT(letter(attempts_next(&q, h, T0 + 5002)), 'a');
}

/* ---- When nothing is left. ---- */

static void verdicts(void)
{
    static const struct {
        const char *name, *queue, *outcomes;
        enum attempts_verdict verdict;
        bool retry;
    } row[] = {
        {"the last was rejected", "a|c", "sr", VERDICT_PASS, false},
        {"the last was not found", "a|c", "Rn", VERDICT_PASS, false},
        {"rejected, then others failed", "a|c", "rs", VERDICT_ALL_FAILED, true},
        {"content policy", "a|c", "p", VERDICT_PASS, false},
        {"one attempt, 5xx", "a", "s", VERDICT_PASS, true},
        {"two attempts, 5xx", "ac", "s", VERDICT_ALL_FAILED, true},
        {"one attempt, rejected", "a", "r", VERDICT_PASS, false},
        {"one attempt, rate limit", "a", "R", VERDICT_RATE_LIMITED, true},
        {"every failure a rate limit", "ac|e", "R", VERDICT_RATE_LIMITED, true},
        {"rate limits and a 5xx", "ac|e", "RRs", VERDICT_ALL_FAILED, true},
        {"one attempt, unreachable", "a", "u", VERDICT_UNREACHABLE, true},
        {"one attempt, timeout", "a", "t", VERDICT_UNREACHABLE, true},
        {"two attempts, unreachable", "ac", "u", VERDICT_ALL_FAILED, true},
        {"one attempt, auth: never the upstream's own answer", "a", "a", VERDICT_ALL_FAILED, false},
        {"one attempt, quota", "a", "q", VERDICT_ALL_FAILED, false},
        {"auth and quota", "ac", "aq", VERDICT_ALL_FAILED, false},
        {"auth and a rate limit", "ac", "aR", VERDICT_ALL_FAILED, true},
        {"one attempt, our own limit", "a", "L", VERDICT_ALL_FAILED, true},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        struct attempts_end_state v;

        fresh(row[i].name, row[i].queue);
        walk(row[i].outcomes, -1, T0);
        v = attempts_verdict(&q);
        CHECK_STR(slice_str(attempts_verdict_name(v.verdict)), attempts_verdict_name(row[i].verdict));
        CHECK(v.should_retry == row[i].retry);
        CHECK(v.should_retry ? v.retry_after_s >= 1 : v.retry_after_s == -1);
    }
}

static void verdict_details(void)
{
    struct attempts_end_state v;
    struct attempt *a;

    fresh("the smallest Retry-After", "ac|e");
    end(attempts_next(&q, h, T0), OUTCOME_RATE_LIMIT, 60000, T0);
    end(attempts_next(&q, h, T0), OUTCOME_RATE_LIMIT, 8000, T0);
    end(attempts_next(&q, h, T0), OUTCOME_RATE_LIMIT, 30000, T0);
    v = attempts_verdict(&q);
    CHECK_INT(v.verdict, VERDICT_RATE_LIMITED);
    CHECK_INT(v.retry_after_s, 8);

    fresh("a guess gives one as well", "a");
    end(attempts_next(&q, h, T0), OUTCOME_RATE_LIMIT, -1, T0);
    CHECK(record[0].retry_after_s >= 1 && record[0].retry_after_s <= 2);

    fresh("what scope left out says nothing", "a");
    record[q.nrecords++] = (struct attempt_record){.key = &key[3], .outcome = OUTCOME_SKIPPED, .retry_after_s = -1};
    walk("s", -1, T0);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_PASS);

    fresh("a malformed answer of the only attempt is no answer", "a");
    a = attempts_next(&q, h, T0);
    if (CHECK(a != NULL))
        attempts_end(&q, h, a, OUTCOME_UPSTREAM_ERROR, 0, fault_make(FAULT_PROTOCOL, 0, "not HTTP"), -1, T0, T0);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_UNREACHABLE);

    fresh("a body cut short under a 200 is not passed on", "a");
    a = attempts_next(&q, h, T0);
    if (CHECK(a != NULL))
        attempts_end(&q, h, a, OUTCOME_UPSTREAM_ERROR, 200, fault_make(FAULT_CLOSED, 0, "cut"), -1, T0, T0);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_ALL_FAILED);

    fresh("408 of the only attempt is not a 5xx", "a");
    a = attempts_next(&q, h, T0);
    if (CHECK(a != NULL))
        attempts_end(&q, h, a, OUTCOME_UPSTREAM_ERROR, 408, fault_make(FAULT_NONE, 0, NULL), -1, T0, T0);
    CHECK_INT(attempts_verdict(&q).verdict, VERDICT_ALL_FAILED);
}

static void records(void)
{
    struct attempt_record *r;

    fresh("a record", "a");
    r = attempts_end(&q, h, attempts_next(&q, h, T0), OUTCOME_UNREACHABLE, 0, fault_of(OUTCOME_UNREACHABLE), -1, T0, T0 + 42);
    CHECK(r == &record[0] && r->key == &key[0] && r->fault == FAULT_CONNECT);
    CHECK_INT(r->ms, 42);
    CHECK_INT(r->retry_after_s, -1);
    CHECK_STR(slice_str(r->what), "connection refused");
    CHECK_SLICE(r->model, SLICE("model-one"));
    fresh("a clock that went back", "a");
    r = attempts_end(&q, h, attempts_next(&q, h, T0), OUTCOME_OK, 200, fault_of(OUTCOME_OK), -1, T0 + 5, T0);
    CHECK_INT(r->ms, 0);
}

int main(void)
{
    scopes();
    tried_once();
    f138_failover_off();
    hedge();
    cooling_goes_behind();
    f129_stated_is_not_called();
    f130_open_breakers();
    f131_dead_keys();
    f132_dead_origins();
    f134_cancelled_probe();
    verdicts();
    verdict_details();
    records();
    return check_end();
}
