/* What one attempt came to (spec 5), the vocabulary of failover, logs and metrics. Pure. */
#ifndef LLM_OUTCOME_H
#define LLM_OUTCOME_H

#define OUTCOMES(X)                                                                                  \
    X(NONE, "none")                     /* still running */                                          \
    X(OK, "ok")                                                                                      \
    X(UNREACHABLE, "unreachable")       /* DNS, TCP, TLS, or lost before a response head */          \
    X(TIMEOUT, "timeout")               /* a phase timer */                                          \
    X(RATE_LIMIT, "rate_limit")                                                                      \
    X(QUOTA, "quota")                                                                                \
    X(AUTH, "auth")                                                                                  \
    X(UPSTREAM_ERROR, "upstream_error") /* 5xx, or an answer that can't be used */                   \
    X(NOT_FOUND, "not_found")                                                                        \
    X(REJECTED, "rejected")             /* the request itself: no other key would help */            \
    X(CONTENT_POLICY, "content_policy") /* final: no routing around a refusal */                     \
    X(CUT, "cut")                       /* failed after commit */                                    \
    X(CANCELLED, "cancelled")           /* the client left, or a hedge lost */                       \
    X(SKIPPED, "skipped")               /* never called: cooling by a stated time, breaker, scope */ \
    X(LOCAL, "local")                   /* our own limit: memory, descriptors, ports */

enum outcome {
#define X(id, text) OUTCOME_##id,
    OUTCOMES(X)
#undef X
    OUTCOME_COUNT
};

const char *outcome_name(enum outcome o);

#endif
