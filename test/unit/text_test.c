/* base/text against the C library's own printf. */
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Whole, and cut at every length: result and bytes must be the library's, and the byte behind must stay. */
#define SAME(...)                                                                                                   \
    do {                                                                                                            \
        char want[512], got[512];                                                                                   \
        int n = snprintf(want, sizeof want, __VA_ARGS__);                                                           \
        check_case(want);                                                                                           \
        for (size_t cap = 0; cap <= (size_t)n + 1; cap++) {                                                         \
            memset(got, '#', sizeof got);                                                                           \
            memset(want, '#', sizeof want);                                                                         \
            snprintf(want, cap, __VA_ARGS__);                                                                       \
            CHECK_INT(text_format(got, cap, __VA_ARGS__), n);                                                       \
            CHECK(memcmp(got, want, sizeof got) == 0);                                                              \
        }                                                                                                           \
    } while (0)

static void texts(void)
{
    static const char bare[4] = {'a', 'b', 'c', 'd'}; /* no NUL: the precision must be believed */
    const char *empty = "";

    SAME("plain");
    SAME("%s", empty);
    SAME("100%% of %s", "it");
    SAME("%%");
    SAME("%s%s%s", "one", ": ", "two");
    SAME("[%.*s]", 4, bare);
    SAME("[%.2s][%.0s][%.9s]", "abc", "abc", "abc");
    SAME("[%.*s]", -1, "a negative precision is none");
    SAME("[%-12s][%12s][%2s]", "left", "right", "longer");
    SAME("[%*s]", 5, "ab");
    SAME("[%-*.*s]", 6, 2, "abc");
    SAME("%c%c", 'x', '\n');
}

static void numbers(void)
{
    SAME("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
    SAME("%u %u %x %x", 0u, UINT_MAX, 0u, 0xdeadbeefu);
    SAME("%5d|%-5d|%5u", -42, -42, 42u);
    SAME("%ld %ld %lu", LONG_MAX, LONG_MIN, ULONG_MAX);
    SAME("%lld %lld %llu %llx", LLONG_MAX, LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
    SAME("%zu %ju", SIZE_MAX, UINTMAX_MAX);
    SAME("%" PRId64 " %" PRIu64 " %" PRIu32, INT64_MIN, UINT64_MAX, UINT32_MAX);
    SAME("%u %s %lu %s %d %d %d %d %d", 1u, "two", 3ul, "four", 5, 6, 7, 8, 9); /* past the registers */
}

/* What a child prints through it and how it ends. */
static int child(void (*act)(void), int fd, char *out, size_t cap)
{
    int ends[2], status = -1;
    ssize_t n, got = 0;
    pid_t pid;

    if (pipe(ends) || (pid = fork()) < 0)
        return -1;
    if (pid == 0) {
        dup2(ends[1], fd);
        act();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], out + got, cap - 1 - (size_t)got)) > 0)
        got += n;
    close(ends[0]);
    out[got] = '\0';
    waitpid(pid, &status, 0);
    return status;
}

static void print_one(void)
{
    text_print(TEXT_OUT, "%s=%d\n", "a", 1);
}

static void print_long(void)
{
    static char text[TEXT_PRINT_MAX * 2];

    memset(text, 'x', sizeof text - 1);
    text_print(TEXT_OUT, "%s", text);
}

static void wrong_format(void)
{
    const char *volatile format = "%f"; /* hidden from the compiler, which would refuse it */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text_print(TEXT_OUT, format, 1.0);
#pragma GCC diagnostic pop
}

static void printing(void)
{
    static char out[TEXT_PRINT_MAX * 2];

    check_case("printed");
    CHECK_INT(child(print_one, TEXT_OUT, out, sizeof out), 0);
    CHECK_STR(slice_str(out), "a=1\n");
    check_case("cut at the end of the room");
    CHECK_INT(child(print_long, TEXT_OUT, out, sizeof out), 0);
    CHECK_INT(strlen(out), TEXT_PRINT_MAX - 1);
    check_case("a conversion that is not ours breaks an invariant, and says so");
    CHECK(WIFSIGNALED(child(wrong_format, TEXT_ERR, out, sizeof out)));
    CHECK(strstr(out, "broken invariant at ") && strstr(out, "text.c"));
}

int main(void)
{
    texts();
    numbers();
    printing();
    return check_end();
}
