/* Growing blocks over the budget: contents survive every move, refusals change nothing. */
#include "base/block.h"
#include "base/mem.h"
#include "check.h"

static void grow_by_steps(size_t step)
{
    struct block b = {0}, other = {0};
    bool ok = true;
    char piece[997];

    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)(i * 31);
    for (size_t total = 0; total < 300000; total += step) {
        ok = ok && block_add(&b, piece, step);
        if (total % 5 == 0)
            ok = ok && block_add(&other, piece, 1); /* a neighbour in the way */
    }
    for (size_t i = 0; i < b.len; i++)
        ok = ok && b.p[i] == piece[i % step];
    CHECK(ok);
    CHECK(b.len >= 300000 && b.cap >= b.len);
    CHECK(mem_in_use() == b.cap + other.cap);
    block_drop(&b);
    block_drop(&other);
    CHECK(b.p == NULL && b.cap == 0 && b.len == 0);
    CHECK_INT(mem_in_use(), 0);
}

static void refusals(void)
{
    struct block b = {0};
    size_t cap;
    const char *p;

    check_case("refused: nothing changed");
    CHECK(block_add(&b, "hello", 5));
    cap = b.cap;
    p = b.p;
    CHECK(!block_room(&b, mem_limit()));
    mem_fail_at(1, true);
    CHECK(block_room(&b, b.cap - b.len)); /* there already */
    CHECK(!block_room(&b, 10 * mem_limit()));
    mem_fail_at(0, false);
    CHECK(b.p == p && b.cap == cap && b.len == 5 && memcmp(b.p, "hello", 5) == 0);
    check_case("an empty block refused holds nothing");
    {
        struct block none = {0};

        mem_fail_at(1, false);
        CHECK(!block_add(&none, "x", 1));
        CHECK(none.p == NULL && none.len == 0);
        CHECK(block_add(&none, "x", 1)); /* the second time it goes */
        block_drop(&none);
    }
    check_case("no bytes");
    CHECK(block_add(&b, "", 0));
    CHECK_INT(b.len, 5);
    block_drop(&b);
    block_drop(&b); /* twice is harmless */
    CHECK_INT(mem_in_use(), 0);
}

int main(void)
{
    if (!mem_budget_init((size_t)8 << 20))
        return 1;
    check_case("byte by byte");
    grow_by_steps(1);
    check_case("in odd pieces");
    grow_by_steps(997);
    refusals();
    return check_end();
}
