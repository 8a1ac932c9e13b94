/* The unit-test harness: one binary per module, each a main() that calls check_case() and ends with
 * return check_end(). Quiet unless something fails. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"

static unsigned check_passed, check_failed;
static const char *check_name = "";

/* Names the case that the next checks belong to; shown when one fails. The text is borrowed. */
static inline void check_case(const char *name)
{
    check_name = name;
}

static inline bool check_that(bool ok, const char *file, int line, const char *text)
{
    if (ok) {
        check_passed++;
    } else {
        check_failed++;
        printf("FAIL %s:%d [%s] %s\n", file, line, check_name, text);
    }
    return ok;
}

static inline bool check_slices(struct slice got, struct slice want, const char *file, int line, const char *text)
{
    bool ok = slice_eq(got, want);

    check_that(ok, file, line, text);
    if (!ok)
        printf("     got  \"%.*s\"\n     want \"%.*s\"\n", (int)(got.n < 400 ? got.n : 400), got.n ? got.p : "",
               (int)(want.n < 400 ? want.n : 400), want.n ? want.p : "");
    return ok;
}

#define CHECK(c) check_that((c), __FILE__, __LINE__, #c)
#define CHECK_SLICE(got, want) check_slices((got), (want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) check_slices((got), slice_str(want), __FILE__, __LINE__, #got)
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (!check_that(g_ == w_, __FILE__, __LINE__, #got " == " #want))                          \
            printf("     got %lld, want %lld\n", g_, w_);                                          \
    } while (0)

/* Processor time of this process so far: a busy machine does not lengthen it, as it does real time. */
static inline double check_cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* How many times longer than usual things may take: WEIR_SLACK, which make sets for valgrind. */
static inline int check_slack(void)
{
    const char *s = getenv("WEIR_SLACK");
    long n = s ? strtol(s, NULL, 10) : 1;

    return n > 1 ? (int)n : 1;
}

/* Prints the closing line; the value is main's exit code. */
static inline int check_end(void)
{
    printf("%u passed, %u failed\n", check_passed, check_failed);
    return check_failed ? 1 : 0;
}

#endif
