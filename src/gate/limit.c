/* Between the exchange and state/limits: what a request will probably use, and the words for those that have to wait. */
#include "gate/limit.h"

#include "base/clock.h"
#include "base/log.h"
#include "gate/reply.h"
#include "state/usage.h"

enum { ANSWER_GUESS = 1000 /* tokens, where the client sets no limit: more than most answers have */ };

/* What the client allows for the answer, as far as the gateway's own cap does not allow less. */
static uint64_t asked_output(const struct xchg *x)
{
    uint64_t most = 0, cap = x->world->conf->gateway.max_output_tokens;

    for (int i = REQUEST_MAX_TOKENS; i <= REQUEST_MAX_OUTPUT_TOKENS; i++) {
        const struct json_member *m = x->at[i] < 0 ? NULL : &x->member[x->at[i]];
        uint64_t v;

        if (m && slice_u64(slice_make(x->text.p + m->val_off, m->val_len), &v) && v > most)
            most = v;
    }
    if (cap && most > cap)
        most = cap;
    return most < KEY_TOKENS_MAX ? most : KEY_TOKENS_MAX;
}

/* How long, in the words of the message: people wait in seconds, hours don't matter to the second. */
static int32_t seconds(int64_t ms)
{
    return ms < INT32_MAX ? (int32_t)((ms + 999) / 1000) : INT32_MAX / 1000;
}

static void refuse(struct xchg *x, enum limits_verdict verdict, const struct limits_state *s)
{
    const struct key_limits *k = &x->key->limits;
    struct refusal_detail d = {.retry_after_s = s->wait_ms < 0 ? -1 : seconds(s->wait_ms), .limits = s};

    switch (verdict) {
    case LIMITS_OK:
        break;
    case LIMITS_REQUESTS:
        d.should_retry = true;
        reply_refuse(x, REFUSAL_RATE_LIMITED, d, "This access key may make %u requests per minute. Retry after %d s, or ask the gateway's operator for more.",
                     (unsigned)k->requests_per_minute, (int)d.retry_after_s);
        break;
    case LIMITS_TOKENS:
        d.should_retry = true;
        reply_refuse(x, REFUSAL_RATE_LIMITED, d,
                     "This access key may use %llu tokens per minute. Retry after %d s, send less or allow a shorter answer, or ask the gateway's "
                     "operator for more.", (unsigned long long)k->tokens_per_minute, (int)d.retry_after_s);
        break;
    case LIMITS_DAY:
        reply_refuse(x, REFUSAL_BUDGET_EXHAUSTED, d,
                     "This access key's budget for today is spent. The next day begins at 00:00 UTC, in %d minutes; or ask the gateway's operator "
                     "for more.", (int)(d.retry_after_s / 60 + 1));
        break;
    case LIMITS_TOTAL:
        reply_refuse(x, REFUSAL_BUDGET_EXHAUSTED, d, "This access key's budget is spent. Ask the gateway's operator for more.");
        break;
    }
}

bool limit_admit(struct xchg *x)
{
    const struct key_limits *k = &x->key->limits;
    struct limits_state state;
    enum limits_verdict verdict;
    uint64_t tokens = 0;

    if (!key_limits_any(k))
        return true;
    if (x->surface != SURFACE_COUNT_TOKENS) /* is free, but a request */
        tokens = x->text.len / 4 + asked_output(x);
    verdict = limits_take(x->key->id, k, tokens, &x->ticket, &state);
    if (verdict == LIMITS_OK)
        return true;
    refuse(x, verdict, &state);
    return false;
}

bool limit_hold(struct xchg *x)
{
    const struct key_limits *k = &x->key->limits;
    const struct conf_model *m = x->attempts.count ? x->attempts.queue[0].known : NULL;
    struct usage_event probable;
    uint64_t output;

    if (!(k->budget_per_day || k->budget_total) || !m || !m->priced || x->surface == SURFACE_COUNT_TOKENS)
        return true;
    probable = (struct usage_event){0};
    output = asked_output(x);
    probable.input = (uint32_t)(x->text.len / 4);
    probable.output = output && output < USAGE_TOKENS_MAX ? (uint32_t)output : ANSWER_GUESS;
    if (limits_hold(&x->ticket, k, usage_cost(&probable, &(struct usage_price){m->price_input, m->price_output, m->price_cache_read, m->price_cache_write})))
        return true;
    reply_refuse(x, REFUSAL_RATE_LIMITED, (struct refusal_detail){.retry_after_s = 1, .should_retry = true},
                 "What is left of this access key's budget may be spent by its requests under way. Retry when one of them has ended, or allow a shorter answer.");
    return false;
}

void limit_settle(struct xchg *x, uint64_t tokens, uint64_t seq)
{
    limits_settle(x->key->id, &x->ticket, tokens, x->cost, seq);
}

bool limit_expired(struct xchg *x)
{
    char when[25];

    if (!x->key->limits.expires_ms || clock_wall_ms() < x->key->limits.expires_ms)
        return false;
    (void)log_time(x->key->limits.expires_ms, when);
    x->key = NULL; /* from then on it is as good as unknown */
    reply_refuse(x, REFUSAL_INVALID_ACCESS_KEY, (struct refusal_detail){.retry_after_s = -1},
                 "This access key expired at %s. Ask the gateway's operator for a new one.", when);
    return true;
}
