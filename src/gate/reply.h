/* The gateway's own answers: errors in the client's dialect (spec 8), the model list, health. */
#ifndef GATE_REPLY_H
#define GATE_REPLY_H

#include "gate/xchg.h"

/* code, number, status, OpenAI's type, Anthropic's type */
#define REFUSALS(X)                                                                                            \
    X(INVALID_REQUEST, "invalid_request", 3801, 400, "invalid_request_error", "invalid_request_error")         \
    X(NO_PROVIDER_KEY, "no_provider_key", 3802, 400, "invalid_request_error", "invalid_request_error")         \
    X(MODEL_NOT_ALLOWED, "model_not_allowed", 3803, 422, "invalid_request_error", "permission_error")          \
    X(NO_MATCHING_MODEL, "no_matching_model", 3804, 422, "invalid_request_error", "not_found_error")           \
    X(ALL_ATTEMPTS_FAILED, "all_attempts_failed", 3807, 503, "api_error", "api_error")                         \
    X(UPSTREAM_UNREACHABLE, "upstream_unreachable", 3800, 502, "api_error", "api_error")                       \
    X(TOTAL_TIMEOUT, "total_timeout", 3810, 504, "api_error", "timeout_error")                                 \
    X(INPUT_TOO_LARGE, "input_too_large", 3811, 413, "invalid_request_error", "request_too_large")             \
    X(INVALID_ACCESS_KEY, "invalid_access_key", 27007, 401, "authentication_error", "authentication_error")    \
    X(BODY_TOO_LARGE, "body_too_large", 0, 413, "invalid_request_error", "request_too_large")                  \
    X(RATE_LIMITED, "rate_limited", 0, 429, "rate_limit_error", "rate_limit_error")                            \
    X(BUDGET_EXHAUSTED, "budget_exhausted", 0, 403, "insufficient_quota", "permission_error")                  \
    X(OVERLOADED, "overloaded", 0, 503, "api_error", "overloaded_error")                                       \
    X(NOT_FOUND, "not_found", 0, 404, "invalid_request_error", "not_found_error")                              \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 0, 405, "invalid_request_error", "invalid_request_error")      \
    X(UNSUPPORTED_MEDIA, "unsupported_media_type", 0, 415, "invalid_request_error", "invalid_request_error")   \
    X(BAD_HTTP, "bad_request", 0, 400, "invalid_request_error", "invalid_request_error")                       \
    X(REQUEST_TIMEOUT, "request_timeout", 0, 408, "invalid_request_error", "timeout_error")

enum refusal {
#define X(id, code, number, status, openai, anthropic) REFUSAL_##id,
    REFUSALS(X)
#undef X
    REFUSAL_COUNT
};

struct refusal_detail {
    unsigned status;       /* 0: the table's */
    const char *param;     /* the field at fault; NULL */
    int32_t retry_after_s; /* -1: none */
    bool should_retry;
    bool with_attempts;
    const char *allow;     /* for 405 */
    const struct limits_state *limits; /* the access key's own, for x-ratelimit-*; NULL */
};

/* Queues the answer and enters FLUSH (or LINGER, when request bytes are still to come: x->keep_alive must be false then). The message is
 * formatted: it says what is wrong and what to do, and never holds a secret or what a client sent unescaped. */
__attribute__((format(printf, 4, 5))) void reply_refuse(struct xchg *x, enum refusal what, struct refusal_detail detail,
                                                        const char *format, ...);
/* How often that was answered so far, and under which code. */
uint64_t reply_refused(enum refusal what, const char **code);
/* What spec 5 says when no attempt is left. */
void reply_exhausted(struct xchg *x);
/* GET /v1/models; id empty: all of them. */
void reply_models(struct xchg *x, struct slice id, bool anthropic);
void reply_health(struct xchg *x, bool ready);

#endif
