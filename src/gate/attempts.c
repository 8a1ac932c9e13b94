/* The walk over the attempt queue (spec 5). Order within the queue never changes; what an outcome means for the rest is
 * marked on the attempts (done, demoted), so that any number may run at once (hedging). Pure: time and health come in. */
#include "gate/attempts.h"

#include "base/must.h"
#include "gate/policy.h"

/* How attempts are ranked, best first. Within COOLING the one that ends first is best, else the earlier one. */
enum rank { RANK_WELL, RANK_DEMOTED, RANK_COOLING, RANK_STATED };

static enum rank rank_of(const struct attempt *a, struct health *h, int64_t now_ms, int64_t *until_ms)
{
    switch (health_ask(h, a->key, a->model, now_ms, until_ms)) {
    case HEALTH_WELL:
        return a->demoted ? RANK_DEMOTED : RANK_WELL;
    case HEALTH_GUESSED:
    case HEALTH_PROBING:
        return RANK_COOLING;
    case HEALTH_STATED:
        break;
    }
    return RANK_STATED;
}

/* The best attempt that is left, or NULL; RANK_STATED ones are never it. */
static struct attempt *best_of(const struct attempts *q, struct health *h, int64_t now_ms)
{
    struct attempt *best = NULL;
    enum rank best_rank = RANK_STATED;
    int64_t best_until_ms = 0;

    for (uint32_t i = 0; i < q->count; i++) {
        struct attempt *a = &q->queue[i];
        int64_t until_ms;
        enum rank r;

        if (a->done)
            continue;
        r = rank_of(a, h, now_ms, &until_ms);
        if (r == RANK_WELL)
            return a;
        if (r < best_rank || (r == RANK_COOLING && best_rank == RANK_COOLING && until_ms < best_until_ms)) {
            best = a;
            best_rank = r;
            best_until_ms = until_ms;
        }
    }
    return best;
}

static bool walk_over(const struct attempts *q)
{
    if (q->final)
        return true;
    for (uint32_t i = 0; q->single && i < q->count; i++)
        if (q->queue[i].done)
            return true;
    return false;
}

static int32_t seconds_up(int64_t ms)
{
    int64_t s = ms < 0 ? -1 : (ms + 999) / 1000;

    return (int32_t)(s < INT32_MAX ? s : INT32_MAX);
}

static struct attempt_record *record_add(struct attempts *q, const struct attempt *a, enum outcome o)
{
    struct attempt_record *r = &q->record[q->nrecords++];

    *r = (struct attempt_record){.key = a->key, .model = a->model, .outcome = (uint8_t)o, .retry_after_s = -1};
    return r;
}

/* All that is left cools until a time its provider stated: said so in the records, not called. */
static void skip_rest(struct attempts *q, struct health *h, int64_t now_ms)
{
    for (uint32_t i = 0; i < q->count; i++) {
        struct attempt *a = &q->queue[i];
        struct attempt_record *r;
        int64_t until_ms;
        bool key;

        if (a->done)
            continue;
        a->done = true;
        (void)health_ask(h, a->key, a->model, now_ms, &until_ms);
        key = health_key_stated(h, a->key, now_ms);
        r = record_add(q, a, OUTCOME_SKIPPED);
        r->status = key ? 0 : 429;
        r->what = key ? "the key cools down until the time its provider stated"
                      : "rate limited until the time its provider stated";
        r->retry_after_s = seconds_up(until_ms - now_ms);
    }
}

struct attempt *attempts_next(struct attempts *q, struct health *h, int64_t now_ms)
{
    struct attempt *a;

    if (walk_over(q))
        return NULL;
    a = best_of(q, h, now_ms);
    if (!a) {
        skip_rest(q, h, now_ms);
        return NULL;
    }
    a->done = true;
    health_start(h, a->key, now_ms);
    return a;
}

void attempts_reopen(struct attempts *q)
{
    q->final = false;
}

bool attempts_left(const struct attempts *q, struct health *h, int64_t now_ms)
{
    return !walk_over(q) && best_of(q, h, now_ms) != NULL;
}

static void apply_scope(struct attempts *q, const struct attempt *a, enum scope scope)
{
    if (scope == SCOPE_END)
        q->final = true;
    for (uint32_t i = 0; i < q->count; i++) {
        struct attempt *other = &q->queue[i];

        if (scope == SCOPE_CANDIDATE && other->candidate == a->candidate)
            other->done = true;
        if (scope == SCOPE_ORIGIN && other->key->provider->origin == a->key->provider->origin)
            other->demoted = true;
    }
}

struct attempt_record *attempts_end(struct attempts *q, struct health *h, struct attempt *a, enum outcome o,
                                    unsigned status, struct fault fault, int64_t retry_after_ms, int64_t started_ms,
                                    int64_t now_ms)
{
    const struct policy *policy = &policy_table[o];
    struct attempt_record *r = record_add(q, a, o);
    int64_t ms = now_ms - started_ms, until_ms;
    bool had_head = status != 0;

    must(a->done);
    r->fault = (uint8_t)fault.kind;
    r->what = fault.what;
    r->status = (uint16_t)status;
    r->ms = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    if (o == OUTCOME_CANCELLED || o == OUTCOME_LOCAL || o == OUTCOME_SKIPPED)
        health_cancel(h, a->key); /* before tell: a head that came after all still proves the origin alive */
    health_tell(h, a->key, a->model, o, had_head, retry_after_ms, now_ms);
    if (retry_after_ms < 0 && policy->cools == COOLS_PAIR) {
        (void)health_ask(h, a->key, a->model, now_ms, &until_ms);
        retry_after_ms = until_ms > now_ms ? until_ms - now_ms : -1;
    }
    r->retry_after_s = seconds_up(retry_after_ms);
    apply_scope(q, a, policy->scope);
    return r;
}

/* ---- The verdict. ---- */

/* What all records together say. Only what was asked counts, and what was skipped because it cools. */
struct tally {
    const struct attempt_record *last; /* the last one that an upstream was asked for */
    uint32_t failures, rate_limits, transient;
    int32_t retry_after_s;             /* smallest; -1: none */
};

static struct tally tally_of(const struct attempts *q)
{
    struct tally t = {.retry_after_s = -1};

    for (uint32_t i = 0; i < q->nrecords; i++) {
        const struct attempt_record *r = &q->record[i];
        const struct policy *policy = &policy_table[r->outcome];
        bool cooling = r->outcome == OUTCOME_SKIPPED && r->retry_after_s >= 0;

        if (!policy->real && !cooling)
            continue;
        if (policy->real)
            t.last = r;
        t.failures++;
        t.rate_limits += r->outcome == OUTCOME_RATE_LIMIT || (cooling && r->status == 429);
        t.transient += policy->transient || cooling;
        if (r->retry_after_s >= 0 && (policy->transient || cooling) &&
            (t.retry_after_s < 0 || r->retry_after_s < t.retry_after_s))
            t.retry_after_s = r->retry_after_s;
    }
    return t;
}

struct attempts_end_state attempts_verdict(const struct attempts *q)
{
    struct tally t = tally_of(q);
    bool one = q->count == 1 || q->single;
    struct attempts_end_state end = {.verdict = VERDICT_ALL_FAILED, .retry_after_s = -1};

    if (t.last && (t.last->outcome == OUTCOME_REJECTED || t.last->outcome == OUTCOME_NOT_FOUND ||
                   t.last->outcome == OUTCOME_CONTENT_POLICY)) {
        end.verdict = VERDICT_PASS; /* what the request is, it will be the next time as well */
        return end;
    }
    if (one && t.last && t.last->outcome == OUTCOME_UPSTREAM_ERROR && t.last->fault == FAULT_NONE &&
        t.last->status >= 500 && t.last->status <= 599)
        end.verdict = VERDICT_PASS;
    else if (t.failures && t.rate_limits == t.failures)
        end.verdict = VERDICT_RATE_LIMITED;
    else if (one && t.last && t.last->status == 0 && t.last->fault != FAULT_NONE && t.last->outcome != OUTCOME_LOCAL)
        end.verdict = VERDICT_UNREACHABLE;
    end.should_retry = t.transient > 0;
    if (end.should_retry) /* 0 would be an invitation to a busy loop */
        end.retry_after_s = t.retry_after_s > 0 ? t.retry_after_s : 1;
    return end;
}

const char *attempts_verdict_name(enum attempts_verdict v)
{
    static const char *const name[] = {
        [VERDICT_PASS] = "pass",
        [VERDICT_RATE_LIMITED] = "rate_limited",
        [VERDICT_ALL_FAILED] = "all_attempts_failed",
        [VERDICT_UNREACHABLE] = "upstream_unreachable",
    };

    return name[v];
}
