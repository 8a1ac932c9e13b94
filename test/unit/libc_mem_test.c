/* The binary's own memory functions against libc's: every length about their limits, every alignment within a block, every distance of
 * overlap, and nothing touched outside. */
#include "base/libc_mem.h"

#include <stdint.h>

#include "check.h"

#if defined(__SSE2__)
enum { EDGE = 64, MOST = 5000 };

static unsigned char from[MOST + 2 * EDGE], got[MOST + 2 * EDGE], want[MOST + 2 * EDGE];

static void fill(void)
{
    for (size_t i = 0; i < sizeof from; i++) {
        from[i] = (unsigned char)(i * 167 + (i >> 8) * 31 + 5);
        got[i] = want[i] = (unsigned char)(i * 59 + 1);
    }
}

static const size_t sizes[] = {300, 511, 512, 1000, 2047, 2048, 2049, 4096, 4999};
enum { SMALL = 200, SIZES = SMALL + sizeof sizes / sizeof *sizes };

static size_t size_of(size_t i)
{
    return i < SMALL ? i : sizes[i - SMALL];
}

static bool same(void)
{
    return memcmp(got, want, sizeof got) == 0;
}

static void test_copy_and_set(void)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < SIZES; i++)
        for (size_t to = 0; to < 17; to += 3)
            for (size_t at = 0; at < 17; at += 5) {
                size_t n = size_of(i);

                fill();
                wrong += own_memcpy(got + to, from + at, n) != got + to;
                memcpy(want + to, from + at, n);
                wrong += !same();
                wrong += own_memset(got + to, (int)(n + 0x180), n) != got + to;
                memset(want + to, (int)(n + 0x180), n);
                wrong += !same();
            }
    check_case("memcpy, memset");
    CHECK_INT(wrong, 0);
}

static void test_move(void)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < SIZES; i++)
        for (int shift = -50; shift <= 50; shift++) {
            size_t n = size_of(i), to = (size_t)(EDGE + shift);

            fill();
            wrong += own_memmove(got + to, got + EDGE, n) != got + to;
            memmove(want + to, want + EDGE, n);
            wrong += !same();
        }
    check_case("memmove");
    CHECK_INT(wrong, 0);
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void test_compare_and_find(void)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < SIZES; i++)
        for (size_t at = 0; at <= size_of(i); at += size_of(i) < SMALL ? 1 : 97) {
            size_t n = size_of(i);

            memset(got, 'a', sizeof got);
            memset(want, 'a', sizeof want);
            got[1 + at] = 0xF0; /* at == n: behind the range, and must not be seen */
            wrong += sign(own_memcmp(got + 1, want + 1, n)) != (at < n);
            wrong += sign(own_memcmp(want + 1, got + 1, n)) != -(at < n);
            wrong += own_memchr(got + 1, 0x100 | 0xF0, n) != (at < n ? got + 1 + at : NULL);
            got[2 + at] = 0xF0; /* the first one is found */
            wrong += own_memchr(got + 1, 0xF0, n) != (at < n ? got + 1 + at : NULL);
        }
    check_case("memcmp, memchr");
    CHECK_INT(wrong, 0);
}
#endif

int main(void)
{
#if defined(__SSE2__)
    test_copy_and_set();
    test_move();
    test_compare_and_find();
#endif
    return check_end();
}
