/* Small pieces against a list of what was handed out: they never overlap, come zeroed, and are used again. */
#include "base/small.h"

#include <stdint.h>

#include "base/mem.h"
#include "check.h"

enum { PIECES = 20000, ROUNDS = 100000 };

static struct {
    unsigned char *p;
    size_t size;
    unsigned char mark;
} piece[PIECES];

static uint32_t seed = 12345;

static uint32_t next(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static bool filled(const unsigned char *p, size_t n, unsigned char with)
{
    while (n && p[n - 1] == with)
        n--;
    return n == 0;
}

int main(void)
{
    uint64_t calls;
    bool zeroed = true, whole = true, aligned = true;

    check_case("many sizes, in any order");
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t i = next(PIECES);

        if (piece[i].p) {
            whole &= filled(piece[i].p, piece[i].size, piece[i].mark);
            small_give(piece[i].p, piece[i].size);
            piece[i].p = NULL;
            continue;
        }
        piece[i].size = next(50) ? 1 + next(SMALL_MAX) : SMALL_MAX + next(5000);
        piece[i].mark = (unsigned char)(1 + next(255));
        piece[i].p = small_take(piece[i].size);
        if (!CHECK(piece[i].p))
            return check_end();
        zeroed &= filled(piece[i].p, piece[i].size, 0);
        aligned &= (uintptr_t)piece[i].p % SMALL_STEP == 0;
        memset(piece[i].p, piece[i].mark, piece[i].size);
    }
    CHECK(zeroed && whole && aligned);
    for (int i = 0; i < PIECES; i++)
        if (piece[i].p) {
            CHECK(filled(piece[i].p, piece[i].size, piece[i].mark));
            small_give(piece[i].p, piece[i].size);
        }

    check_case("what was given back serves the next of its size, and a chunk's rest is not lost");
    calls = mem_heap_calls();
    for (int i = 0; i < 1000; i++)
        small_give(small_take(176), 176);
    CHECK_INT(mem_heap_calls(), calls);
    for (int i = 0; i < SMALL_CHUNK / 1000 * 4; i++)
        CHECK((piece[i].p = small_take(1000)) != NULL);
    CHECK(mem_heap_calls() - calls <= 5);

    check_case("room");
    CHECK_INT(small_room(0), SMALL_STEP);
    CHECK_INT(small_room(SMALL_STEP), SMALL_STEP);
    CHECK_INT(small_room(SMALL_STEP + 1), 2 * SMALL_STEP);
    CHECK_INT(small_room(SMALL_MAX), SMALL_MAX);
    CHECK_INT(small_room(SMALL_MAX + 1), 4096);
    CHECK_INT(small_room(4096), 8192);

    check_case("no memory");
    mem_heap_fail_at(1, true);
    CHECK(!small_take(SMALL_MAX + 1));
    while (small_take(1000))
        ;
    CHECK(!small_take(1000));
    mem_heap_fail_at(0, false);
    CHECK(small_take(1000) != NULL);
    small_give(NULL, 5);
    return check_end();
}
