/* The ring of last requests against a list that forgets nothing: what it still has is right, and it has as much as fits. */
#include "gate/recent.h"

#include <stdlib.h>

#include "check.h"

enum { LINES = 20000, LONGEST = 4000 };

/* A line's text follows from its number, so any number can be checked at any time. */
static struct slice line_of(uint64_t number, char *out)
{
    size_t n = 1 + (size_t)(number * 2654435761u % (number % 7 == 0 ? LONGEST : 300));

    for (size_t i = 0; i < n; i++)
        out[i] = (char)('a' + (number + i * 31) % 26);
    return slice_make(out, n);
}

int main(void)
{
    static char text[LONGEST + 1];
    char *huge = malloc(RECENT_BYTES + 1);

    check_case("before it is open");
    CHECK(!recent_wanted());
    recent_put(SLICE("x"));
    CHECK_INT(recent_count(), 0);

    check_case("empty");
    CHECK(recent_open() && recent_open());
    CHECK_INT(recent_line(0).n, 0);
    CHECK_INT(recent_line(1).n, 0);

    check_case("many");
    for (uint64_t k = 1; k <= LINES; k++) {
        size_t bytes = 0, kept = 0;

        recent_put(line_of(k, text));
        if (recent_count() != k)
            CHECK_INT(recent_count(), k);
        if (k % 97 && k > 40)
            continue;
        for (uint64_t back = k; back > 0; back--) {
            struct slice got = recent_line(back);

            if (!got.n)
                break;
            bytes += got.n;
            kept++;
            if (!slice_eq(got, line_of(back, text)))
                CHECK_SLICE(got, line_of(back, text));
        }
        CHECK(kept == k || kept >= RECENT_LINES - 1 || bytes >= RECENT_BYTES - 2 * LONGEST);
        CHECK_INT(recent_line(k - kept).n, 0);
        CHECK_INT(recent_line(k + 1).n, 0);
    }

    check_case("longest");
    memset(huge, 'z', RECENT_BYTES + 1);
    recent_put(slice_make(huge, RECENT_BYTES + 1));
    CHECK_INT(recent_count(), LINES);
    recent_put(slice_make(huge, RECENT_BYTES));
    CHECK_INT(recent_line(LINES + 1).n, RECENT_BYTES);
    CHECK_INT(recent_line(LINES).n, 0);
    recent_put(SLICE("after"));
    CHECK_SLICE(recent_line(LINES + 2), SLICE("after"));
    CHECK_INT(recent_line(LINES + 1).n, 0);
    free(huge);
    return check_end();
}
