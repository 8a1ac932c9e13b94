/* Reads a provider's answer and says what it means for failover: one tolerant reader for about 20 error
 * shapes, one table of words and codes by dialect (spec 5, quirks.md "Errors that hide"). Pure. */
#ifndef LLM_CLASSIFY_H
#define LLM_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "http/head.h"
#include "llm/outcome.h"
#include "llm/surface.h"

/* Whose quirks apply. Derived from provider id and host once at config load (llm_dialect_of). */
enum dialect {
    DIALECT_OPENAI, /* and all that imitate it */
    DIALECT_ANTHROPIC,
    DIALECT_GOOGLE,
    DIALECT_AZURE,
    DIALECT_COUNT
};

enum dialect llm_dialect_of(struct slice provider_id, struct slice host);

struct llm_verdict {
    enum outcome outcome;
    unsigned status;        /* what the answer amounts to: the HTTP status, or for an error inside a 200 the one its
                               type or code names (429, 401, ...; 502 when it names none) */
    int64_t retry_after_ms; /* stated by the provider, <= 1 h; -1 when it stated none or rubbish */
    struct slice code;      /* the error's code or type, for logs; in the body or static; may be empty */
    struct slice message;   /* the error's message; borrowed from body or arena */
};

/* Judges a complete error answer (status >= 400), or a complete plain 200 (then OUTCOME_OK, unless the body is an error
 * object and no answer). head gives status and headers (Retry-After, retry-after-ms, reset headers, x-amzn-ErrorType...).
 * body: what was read of it, at most ERROR_BODY_MAX for errors; for a large 200 only its start is looked at
 * (leading white space is allowed: OpenRouter). wall_s: now in epoch seconds, for dates. */
void llm_classify(struct llm_verdict *v, enum dialect dialect, enum surface surface, const struct http_response *head,
                  struct slice body, int64_t wall_s, struct arena *scratch);

/* Judges an error object that came inside a stream (an event's data, or GPUStack's `error:` field). */
void llm_classify_event(struct llm_verdict *v, enum dialect dialect, enum surface surface,
                        const struct http_response *head, struct slice data, int64_t wall_s, struct arena *scratch);

/* Retry-After in seconds or as a date, retry-after-ms, x-ratelimit-reset-*, anthropic-ratelimit-*-reset, Google's RetryInfo
 * in the body: the longest that concerns the failure, capped at 1 h; -1 when none is usable (garbage, negative, past). */
int64_t llm_retry_after_ms(const struct http_response *head, struct slice body, int64_t wall_s, struct arena *scratch);

#endif
