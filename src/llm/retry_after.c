/* How long a provider says to stay away. Every way of saying it that was seen: Retry-After as seconds or date,
 * retry-after-ms, reset headers as duration (1m30s, 120ms), seconds, epoch or RFC 3339, Google's RetryInfo, and a
 * sentence in the message. The longest one that concerns the failure wins; a sentence counts only where nothing else
 * speaks. */
#include "llm/classify.h"

#include "base/date.h"
#include "json/scan.h"

static const int64_t wait_max_ms = 3600 * 1000;  /* spec 5 */
static const double sane_s = 100.0 * 24 * 3600;  /* a wait beyond it is rubbish, not a long wait (faults.md F-067) */

/* ---- Numbers, durations, dates. All give milliseconds from now, -1 for what can't be used. ---- */

/* Reads digits[.digits] at *s. */
static bool take_decimal(struct slice *s, double *out)
{
    double value = 0, unit = 1;
    size_t i = 0;

    while (i < s->n && s->p[i] >= '0' && s->p[i] <= '9' && i < 18)
        value = value * 10 + (s->p[i++] - '0');
    if (i == 0)
        return false;
    if (i + 1 < s->n && s->p[i] == '.' && s->p[i + 1] >= '0' && s->p[i + 1] <= '9')
        for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
            value += (s->p[i] - '0') * (unit /= 10);
    *out = value;
    *s = slice_from(*s, i);
    return true;
}

static int64_t sane_ms(double seconds)
{
    return seconds >= 0 && seconds <= sane_s ? (int64_t)(seconds * 1000 + 0.5) : -1;
}

/* Takes 1m30s, 2m59.56s, 120ms, 48s, 1d; at least one number with its unit. */
static int64_t take_duration(struct slice *s)
{
    static const struct {
        const char *name;
        double seconds;
    } unit[] = {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    enum { UNITS = sizeof(unit) / sizeof(unit[0]) };
    double total = 0, value;
    bool any = false;
    struct slice rest = *s;

    while (take_decimal(&rest, &value)) {
        size_t u = 0;

        while (u < UNITS && !slice_starts(rest, slice_str(unit[u].name)))
            u++;
        if (u == UNITS)
            break;
        total += value * unit[u].seconds;
        rest = slice_from(rest, strlen(unit[u].name));
        *s = rest;
        any = true;
    }
    return any ? sane_ms(total) : -1;
}

static bool take_fixed(struct slice *s, size_t digits, int64_t *out)
{
    uint64_t v;

    if (s->n < digits || !slice_u64(slice_first(*s, digits), &v))
        return false;
    *out = (int64_t)v;
    *s = slice_from(*s, digits);
    return true;
}

static bool take_char(struct slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

struct civil {
    int64_t year, month, day, hour, minute, second;
};

/* A date far ahead is cut to the cap, not refused: it is well-formed. */
static int64_t until(int64_t at, int64_t wall_s)
{
    return at < wall_s ? -1 : at - wall_s > wait_max_ms / 1000 ? wait_max_ms : (at - wall_s) * 1000;
}

static int64_t parse_rfc3339(struct slice s, int64_t wall_s)
{
    int64_t ms;

    return date_parse(s, &ms) ? until(ms / 1000, wall_s) : -1;
}

static bool take_month(struct slice *s, int64_t *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++)
        if (slice_starts(*s, slice_make(names + i * 3, 3))) {
            *month = i + 1;
            *s = slice_from(*s, 3);
            return true;
        }
    return false;
}

/* IMF-fixdate (RFC 9110 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". The two obsolete forms do not occur. */
static int64_t parse_http_date(struct slice s, int64_t wall_s)
{
    struct civil c;

    s = slice_from(s, 5);
    if (!take_fixed(&s, 2, &c.day) || !take_char(&s, ' ') || !take_month(&s, &c.month) || !take_char(&s, ' ') ||
        !take_fixed(&s, 4, &c.year) || !take_char(&s, ' ') || !take_fixed(&s, 2, &c.hour) || !take_char(&s, ':') ||
        !take_fixed(&s, 2, &c.minute) || !take_char(&s, ':') || !take_fixed(&s, 2, &c.second) ||
        !slice_eq(s, SLICE(" GMT")))
        return -1;
    if (c.year < 1970 || c.month < 1 || c.day < 1 || c.day > 31 || c.hour > 23 || c.minute > 59 || c.second > 60)
        return -1;
    return until(date_days(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 + c.second, wall_s);
}

/* A Retry-After: seconds (a fraction is tolerated) or a date. */
static int64_t parse_retry_after(struct slice s, int64_t wall_s)
{
    struct slice rest = s;
    double seconds;

    if (take_decimal(&rest, &seconds))
        return rest.n == 0 ? sane_ms(seconds) : -1;
    return parse_http_date(s, wall_s);
}

/* A reset: a duration, seconds, epoch seconds or milliseconds, or RFC 3339. */
static int64_t parse_reset(struct slice s, int64_t wall_s)
{
    struct slice rest = s;
    double value;
    int64_t ms = take_duration(&rest);

    if (ms >= 0 && rest.n == 0)
        return ms;
    rest = s;
    if (!take_decimal(&rest, &value))
        return -1;
    if (rest.n > 0)
        return parse_rfc3339(s, wall_s);
    if (value < 1e9)
        return sane_ms(value);
    return sane_ms((value < 1e11 ? value : value / 1000) - (double)wall_s);
}

/* ---- Headers. ---- */

/* The name with "reset" replaced by "remaining" is the header that says whether this limit was the one that was hit. */
static struct slice remaining_of(const struct http_response *head, struct slice name)
{
    size_t at = (size_t)slice_find_nocase(name, SLICE("reset"));

    for (unsigned i = 0; i < head->nfields; i++) {
        struct slice other = head->field[i].name;

        if (other.n == name.n + 4 && slice_eq_nocase(slice_first(other, at), slice_first(name, at)) &&
            slice_starts_nocase(slice_from(other, at), SLICE("remaining")) &&
            slice_eq_nocase(slice_from(other, at + 9), slice_from(name, at + 5)))
            return head->field[i].value;
    }
    return slice_make(NULL, 0);
}

static bool is_reset(struct slice name)
{
    return (slice_starts_nocase(name, SLICE("x-ratelimit-")) || slice_starts_nocase(name, SLICE("x-rate-limit-")) ||
            slice_starts_nocase(name, SLICE("ratelimit-")) || slice_starts_nocase(name, SLICE("anthropic-ratelimit-"))) &&
           slice_find_nocase(name, SLICE("reset")) >= 0;
}

/* *stated: Retry-After or its millisecond form. *resets: the longest reset of a limit that is used up; one without a
 * `remaining` beside it may concern another limit, so it counts only when no Retry-After is there. */
static void read_headers(const struct http_response *head, int64_t wall_s, int64_t *stated, int64_t *resets)
{
    struct slice s = http_response_get(head, HTTP_RETRY_AFTER_MS), left;
    double ms;
    int64_t v, doubtful = -1;

    if (take_decimal(&s, &ms) && s.n == 0)
        *stated = sane_ms(ms / 1000);
    v = parse_retry_after(http_response_get(head, HTTP_RETRY_AFTER), wall_s);
    *stated = v > *stated ? v : *stated;
    for (unsigned i = 0; i < head->nfields; i++) {
        if (!is_reset(head->field[i].name))
            continue;
        v = parse_reset(head->field[i].value, wall_s);
        left = remaining_of(head, head->field[i].name);
        if (left.n == 0)
            doubtful = v > doubtful ? v : doubtful;
        else if (slice_eq(left, SLICE("0")))
            *resets = v > *resets ? v : *resets;
    }
    if (*stated < 0 && doubtful > *resets)
        *resets = doubtful;
}

/* ---- Body. ---- */

/* google.rpc.RetryInfo: {"error":{"details":[{"@type":"...RetryInfo","retryDelay":"48s"}]}}, in an array or not. */
static int64_t read_retry_info(struct slice body, struct arena *scratch)
{
    struct json_doc d;
    struct slice delay;
    int details, root = 0;

    if (slice_find(body, SLICE("\"retryDelay\"")) < 0 || !json_parse(&d, slice_trim(body), scratch))
        return -1;
    if (json_type_of(&d, 0) == JSON_ARRAY)
        root = json_first(&d, 0);
    details = json_path(&d, root, "error.details");
    for (int e = json_first(&d, details); e >= 0; e = json_next(&d, e)) {
        int64_t ms;

        if (!json_str(&d, json_get(&d, e, "retryDelay"), scratch, &delay))
            continue;
        ms = take_duration(&delay);
        return delay.n == 0 ? ms : -1;
    }
    return -1;
}

/* "Please try again in 2.1s", "Please retry after 55 seconds", "retry in 48.2s", "try again in 6m0s". */
static int64_t read_sentence(struct slice body)
{
    static const char *const lead[] = {"try again in ", "retry after ", "retry in "};

    body = slice_first(body, 8192);
    for (size_t i = 0; i < sizeof(lead) / sizeof(lead[0]); i++) {
        ptrdiff_t at = slice_find_nocase(body, slice_str(lead[i]));
        struct slice rest, number;
        double value;
        int64_t ms;

        if (at < 0)
            continue;
        rest = number = slice_from(body, (size_t)at + strlen(lead[i]));
        ms = take_duration(&rest);
        if (ms >= 0)
            return ms;
        if (!take_decimal(&number, &value))
            continue;
        if (slice_starts_nocase(number, SLICE(" second")))
            return sane_ms(value);
        if (slice_starts_nocase(number, SLICE(" minute")))
            return sane_ms(value * 60);
    }
    return -1;
}

int64_t llm_retry_after_ms(const struct http_response *head, struct slice body, int64_t wall_s, struct arena *scratch)
{
    int64_t stated = -1, resets = -1, longest = read_retry_info(body, scratch);

    if (head)
        read_headers(head, wall_s, &stated, &resets);
    longest = stated > longest ? stated : longest;
    longest = resets > longest ? resets : longest;
    if (longest < 0)
        longest = read_sentence(body);
    return longest > wait_max_ms ? wait_max_ms : longest;
}
