/* See key_limits.h. */
#include "conf/key_limits.h"

#include "base/date.h"

static bool read_budget(struct reader *r, const char *what, uint64_t *out)
{
    size_t at = r->at;

    if (!read_millionths(r, what, out))
        return false;
    return *out || read_fail(r, (ptrdiff_t)at, "%s must be more than 0; leave it out for no limit", what);
}

bool read_key_limits(struct reader *r, struct key_limits *out)
{
    static const char *const names[] = {"requestsPerMinute", "tokensPerMinute", "usdPerDay", "usdTotal", NULL};
    struct read_object o;
    int i;

    if (!read_object(r, &o, "limits", names))
        return false;
    out->requests_per_minute = 0;
    out->tokens_per_minute = out->budget_per_day = out->budget_total = 0;
    while ((i = read_member(r, &o)) >= 0) {
        if (i == 0)
            read_u32(r, names[i], 1, KEY_REQUESTS_MAX, &out->requests_per_minute);
        else if (i == 1)
            read_u64(r, names[i], 1, KEY_TOKENS_MAX, &out->tokens_per_minute);
        else
            read_budget(r, names[i], i == 2 ? &out->budget_per_day : &out->budget_total);
    }
    return !r->failed;
}

bool read_key_expiry(struct reader *r, struct key_limits *out)
{
    struct slice s;
    size_t at;

    if (!read_string(r, "expiresAt", &s, &at))
        return false;
    return (date_parse(s, &out->expires_ms) && out->expires_ms > 0) ||
           read_fail(r, (ptrdiff_t)at, "expiresAt must be a time such as \"2030-01-31T00:00:00Z\"");
}
