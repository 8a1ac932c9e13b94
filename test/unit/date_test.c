/* Dates: against what Python's datetime says of the same texts, and what is none. */
#include "base/date.h"

#include "check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void parsed(void)
{
    static const struct {
        const char *text;
        long long ms; /* -1: refused */
    } row[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T22:19:18.704Z", 1795299558704},
        {"2026-11-21t22:19:18z", 1795299558000},
        {"2026-11-21 22:19:18+00:00", 1795299558000},
        {"2026-11-22T00:19:18+02:00", 1795299558000},
        {"2026-11-21T16:49:18-05:30", 1795299558000},
        {"2024-02-29T23:59:59.9999Z", 1709251199999},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2038-01-19T03:14:08Z", 2147483648000},
        {"9999-12-31T23:59:59Z", 253402300799000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second is the next second's beginning */
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01T00:30:00+01:00", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"2023-02-29T00:00:00Z", -1},
        {"2100-02-29T00:00:00Z", -1},
        {"2026-04-31T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-00-01T00:00:00Z", -1},
        {"2026-01-00T00:00:00Z", -1},
        {"2026-01-32T00:00:00Z", -1},
        {"2026-01-01T24:00:00Z", -1},
        {"2026-01-01T00:60:00Z", -1},
        {"2026-01-01T00:00:61Z", -1},
        {"2026-01-01T00:00:00", -1},
        {"2026-01-01T00:00:00.Z", -1},
        {"2026-01-01T00:00:00+0100", -1},
        {"2026-01-01T00:00:00+24:00", -1},
        {"2026-01-01T00:00:00Zx", -1},
        {"2026-01-01", -1},
        {"1767225600", -1},
        {"26-01-01T00:00:00Z", -1},
        {"-2026-01-01T00:00:00Z", -1},
        {"2026-1-1T0:0:0Z", -1},
        {"", -1},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        struct slice s = slice_str(row[i].text);
        int64_t ms = -7;
        bool ok = date_parse(s, &ms);

        check_case(row[i].text);
        CHECK_INT(ok ? ms : -1, row[i].ms);
        for (size_t n = 0; ok && n + 1 < s.n && n <= 19; n++) /* no beginning of it is one, as far as no fraction or offset is cut */
            CHECK(!date_parse(slice_first(s, n), &ms));
    }
}

static void days(void)
{
    check_case("days");
    for (int64_t d = 0, y = 1970; y < 2200; d += (y % 4 == 0 && (y % 100 || y % 400 == 0)) ? 366 : 365, y++) {
        CHECK_INT(date_days(y, 1, 1), d);
        CHECK_INT(date_days(y, 12, 31), date_days(y + 1, 1, 1) - 1);
    }
}

int main(void)
{
    parsed();
    days();
    return check_end();
}
