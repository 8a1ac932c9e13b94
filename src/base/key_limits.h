/* What an access key may use, as a plain value: read by conf, kept by state, both of which know nothing of each other. */
#ifndef BASE_KEY_LIMITS_H
#define BASE_KEY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    KEY_REQUESTS_MAX = 1000000000, /* per minute; these two keep the arithmetic of buckets within 64 bits */
};
#define KEY_TOKENS_MAX 1000000000000 /* per minute */

struct key_limits {
    uint32_t requests_per_minute;          /* 0: no limit, as for all of them */
    uint64_t tokens_per_minute;
    uint64_t budget_per_day, budget_total; /* micro-dollars; a day is UTC's */
    int64_t expires_ms;                    /* wall clock; from then on the key is as good as unknown */
};

static inline bool key_limits_any(const struct key_limits *l) /* expiry aside */
{
    return l->requests_per_minute || l->tokens_per_minute || l->budget_per_day || l->budget_total;
}

#endif
