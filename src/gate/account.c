/* From an exchange to usage events. Copies and multiplies, formats nothing: this runs once per request. */
#include "gate/account.h"

#include "base/clock.h"
#include "gate/limit.h"
#include "gate/resume.h"
#include "state/usage.h"

static uint32_t clamp(uint64_t tokens)
{
    return tokens < USAGE_TOKENS_MAX ? (uint32_t)tokens : USAGE_TOKENS_MAX;
}

static bool makes_text(enum surface s)
{
    return s == SURFACE_CHAT || s == SURFACE_COMPLETIONS || s == SURFACE_MESSAGES || s == SURFACE_RESPONSES;
}

/* Of a stream, a token per event, and one more for each four bytes that an event is longer than the shortest: what all events have in
 * common is their envelope. Never 0 once content went out (S-43). */
static uint32_t output_estimate(const struct xchg *x, const struct xchg_streamed *streamed)
{
    uint64_t body = x->bytes_out > x->head_out ? x->bytes_out - x->head_out : 0;
    uint64_t common = (uint64_t)streamed->events * streamed->shortest;

    if (!makes_text(x->surface))
        return 0; /* an image or a vector is no number of tokens */
    if (streamed->events)
        return clamp(streamed->events + (streamed->bytes > common ? streamed->bytes - common : 0) / 4);
    return clamp((body + 3) / 4);
}

static void take_usage(struct usage_event *e, const struct llm_usage *u)
{
    e->input = clamp(u->input);
    e->output = clamp(u->output);
    e->cache_read = clamp(u->cache_read);
    e->cache_write = clamp(u->cache_write);
    e->reasoning = clamp(u->reasoning);
}

/* What the provider stated counts. Where it stated nothing, or the answer broke off before its last word on it (Anthropic begins with
 * output_tokens 1), what went out is estimated. */
static void count_tokens(struct usage_event *e, const struct xchg *x, const struct llm_usage *usage, const struct xchg_streamed *streamed, bool whole)
{
    uint32_t least;

    if (usage->seen) {
        take_usage(e, usage);
        if (whole)
            return;
    } else {
        e->input = clamp(x->asked_bytes / 4);
        e->flags |= USAGE_ESTIMATED;
    }
    least = output_estimate(x, streamed);
    if (least >= e->output) {
        e->output = least;
        e->flags |= USAGE_ESTIMATED;
    }
}

static void price(struct usage_event *e, const struct conf_model *m)
{
    if (!m || !m->priced) {
        e->flags |= USAGE_UNPRICED;
        return;
    }
    e->cost = usage_cost(e, &(struct usage_price){m->price_input, m->price_output, m->price_cache_read, m->price_cache_write});
}

/* The words stand as they came where the answer ended by itself; else what ended it. */
static void stop_reason(struct usage_event *e, const struct xchg *x, const struct attempt_record *r)
{
    const char *word = x->stop_reason;
    size_t n;

    if (r && r->outcome != OUTCOME_OK)
        word = outcome_name((enum outcome)r->outcome);
    else if (!word[0] && x->end == END_CLIENT_GONE)
        word = "client_gone";
    else if (!r)
        word = x->refusal ? x->refusal : "";
    n = strlen(word);
    memcpy(e->stop_reason, word, n < sizeof e->stop_reason ? n : sizeof e->stop_reason - 1);
}

static void final(struct usage_event *e, struct xchg *x)
{
    e->flags |= USAGE_FINAL;
    if (!e->status)
        e->status = (uint16_t)x->status;
    if (x->status >= 400 || x->end == END_CUT || x->end == END_ERROR)
        e->flags |= USAGE_ERROR;
    e->first_byte_ms = x->first_byte_ms ? clamp((uint64_t)(x->first_byte_ms - x->began_ms)) : UINT32_MAX;
    e->duration_ms = clamp((uint64_t)(clock_ms() - x->began_ms));
}

static struct usage_event *begin(const struct xchg *x, const struct attempt_record *r)
{
    struct usage_event *e = usage_new();
    struct slice id[USAGE_IDS] = {[USAGE_ACCESS_KEY] = x->key->id};

    if (r) {
        id[USAGE_PROVIDER] = r->key->provider->id;
        id[USAGE_MODEL] = r->model;
        if (r->key->value.n)
            id[USAGE_PROVIDER_KEY] = r->key->id;
        e->status = r->status;
        e->outcome = r->outcome;
        e->flags = (uint8_t)((r->key->managed ? USAGE_MANAGED : r->key->value.n ? 0 : USAGE_KEYLESS) |
                             (r->outcome != OUTCOME_OK ? USAGE_ERROR : 0) | (r->outcome == OUTCOME_TIMEOUT ? USAGE_TIMED_OUT : 0));
    } else {
        e->flags = USAGE_KEYLESS | USAGE_ERROR;
    }
    usage_set_ids(e, id);
    memcpy(e->request_id, x->id, sizeof e->request_id);
    e->flags |= x->wants_stream ? USAGE_STREAMING : 0;
    return e;
}

/* The committed attempt, or else the last one that was made. NULL: none was. */
static const struct attempt_record *final_record(const struct xchg *x)
{
    if (x->committed)
        return &x->attempts.record[x->committed - 1];
    for (uint32_t i = x->attempts.nrecords; i-- > 0;)
        if (x->attempts.record[i].outcome != OUTCOME_SKIPPED)
            return &x->attempts.record[i];
    return NULL;
}

void account_request(struct xchg *x)
{
    const struct attempt_record *last = final_record(x);
    uint64_t tokens = 0, before = 0;
    uint8_t number = 0;

    if (!x->key || !x->asks) {
        usage_count_local(x->status);
        return;
    }
    for (uint32_t i = 0; i < x->attempts.nrecords; i++) {
        const struct attempt_record *r = &x->attempts.record[i];
        const struct resume_part *part;
        struct usage_event *e;

        if (r->outcome == OUTCOME_SKIPPED)
            continue;
        e = begin(x, r);
        e->attempt = ++number;
        part = resume_part_of(x, i); /* a stream that broke and was gone on with: what came of it is paid for as well */
        if ((part || x->committed == i + 1) && x->surface != SURFACE_COUNT_TOKENS) { /* counting is free of charge everywhere */
            if (part)
                count_tokens(e, x, &part->usage, &part->streamed, false);
            else
                count_tokens(e, x, &x->usage, &x->streamed, x->end == END_COMPLETE);
            price(e, conf_provider_model(r->key->provider, r->model));
            x->cost += e->cost;
            tokens += (uint64_t)e->input + e->output;
            before += part ? e->output : 0;
            x->priced = !(e->flags & USAGE_UNPRICED);
        }
        stop_reason(e, x, r);
        if (r == last)
            final(e, x);
    }
    x->usage.output += x->usage.seen ? before : 0; /* the log line tells the whole answer's */
    if (!last) {
        struct usage_event *e = begin(x, NULL);

        stop_reason(e, x, NULL);
        final(e, x);
    }
    limit_settle(x, tokens, usage_next_seq() - 1);
}
