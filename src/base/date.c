/* RFC 3339, strictly but for a blank in place of the T, which the RFC allows. */
#include "base/date.h"

int64_t date_days(int64_t y, int64_t m, int64_t d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = y / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* Digits, then one of the characters in `end` (none: nothing is taken behind the digits). */
static bool take(struct slice *s, size_t digits, const char *end, int64_t max, int64_t *out)
{
    uint64_t v;
    size_t behind = end[0] != '\0';

    if (s->n < digits + behind || !slice_u64(slice_first(*s, digits), &v) || (behind && !strchr(end, s->p[digits])))
        return false;
    *out = (int64_t)v;
    *s = slice_from(*s, digits + behind);
    return *out <= max;
}

static bool take_milliseconds(struct slice *s, int64_t *out)
{
    int64_t unit = 100;
    size_t digits = 0;

    *out = 0;
    if (s->n == 0 || s->p[0] != '.')
        return true;
    for (*s = slice_from(*s, 1); digits < s->n && s->p[digits] >= '0' && s->p[digits] <= '9'; digits++, unit /= 10)
        *out += (s->p[digits] - '0') * unit;
    *s = slice_from(*s, digits);
    return digits > 0;
}

/* "Z" or "+hh:mm", in seconds. */
static bool take_offset(struct slice *s, int64_t *out)
{
    int64_t h, m, sign = s->n && s->p[0] == '-' ? -1 : 1;

    *out = 0;
    if (s->n == 1)
        return s->p[0] == 'Z' || s->p[0] == 'z';
    if (s->n != 6 || (s->p[0] != '+' && s->p[0] != '-'))
        return false;
    *s = slice_from(*s, 1);
    if (!take(s, 2, ":", 23, &h) || !take(s, 2, "", 59, &m))
        return false;
    *out = sign * (h * 3600 + m * 60);
    return true;
}

bool date_parse(struct slice s, int64_t *wall_ms)
{
    int64_t year, month, day, hour, minute, second, ms, offset, next;

    if (!take(&s, 4, "-", 9999, &year) || !take(&s, 2, "-", 12, &month) || !take(&s, 2, "Tt ", 31, &day) || !take(&s, 2, ":", 23, &hour) ||
        !take(&s, 2, ":", 59, &minute) || !take(&s, 2, "", 60, &second) || !take_milliseconds(&s, &ms) || !take_offset(&s, &offset))
        return false;
    if (month < 1 || day < 1)
        return false;
    next = month == 12 ? date_days(year + 1, 1, 1) : date_days(year, month + 1, 1);
    if (date_days(year, month, day) >= next)
        return false;
    *wall_ms = ((date_days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset) * 1000 + ms;
    return *wall_ms >= 0;
}
