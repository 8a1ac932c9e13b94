/* The buddy allocator against a naive model that knows only which bytes are out; the counted heap; the n-th failure. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

enum { LIVE = 400, STEPS = 60000 };

struct out {
    unsigned char *p;
    size_t size;
    unsigned char mark;
};

static struct out live[LIVE];
static size_t live_n, live_bytes;
static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Mostly small, sometimes large, and often just at, above or below a power of two. */
static size_t some_size(void)
{
    unsigned order = (unsigned)(next_random() % 100 < 90 ? next_random() % 12 : next_random() % 21);
    size_t n = (size_t)1 << order;

    switch (next_random() % 4) {
    case 0:
        return n;
    case 1:
        return n + 1;
    case 2:
        return n > 1 ? n - 1 : 1;
    default:
        return n + next_random() % n;
    }
}

static void mark(struct out *o)
{
    memset(o->p, o->mark, o->size < 64 ? o->size : 64);
    o->p[o->size - 1] = o->mark;
    o->p[o->size / 2] = o->mark;
}

static bool intact(const struct out *o, size_t first)
{
    for (size_t i = 0; i < first && i < 64; i++)
        if (o->p[i] != o->mark)
            return false;
    return first < o->size || (o->p[o->size - 1] == o->mark && o->p[o->size / 2] == o->mark);
}

static bool overlaps(const struct out *o)
{
    for (size_t i = 0; i < live_n; i++)
        if (&live[i] != o && live[i].p < o->p + o->size && o->p < live[i].p + live[i].size)
            return true;
    return false;
}

static bool take_one(bool *full)
{
    struct out *o = &live[live_n];
    size_t wanted = some_size();

    o->size = wanted;
    o->p = mem_take(&o->size);
    *full = *full || !o->p;
    if (!o->p)
        return true;
    o->mark = (unsigned char)next_random();
    if (o->size < wanted || o->size < MEM_BLOCK_MIN || (o->size & (o->size - 1)) || overlaps(o))
        return false;
    mark(o);
    live_n++;
    live_bytes += o->size;
    return true;
}

static bool give_one(size_t i)
{
    bool ok = intact(&live[i], live[i].size);

    live_bytes -= live[i].size;
    mem_give(live[i].p, live[i].size);
    live[i] = live[--live_n];
    return ok;
}

static bool grow_one(size_t i)
{
    struct out *o = &live[i];
    size_t before = o->size, wanted = o->size * (1 + next_random() % 4) + next_random() % 100;
    unsigned char *p = mem_grow(o->p, &o->size, before < 64 ? before : 64, wanted);

    if (!p)
        return o->size == before && intact(o, before); /* refused: as it was */
    o->p = p;
    live_bytes += o->size - before;
    if (o->size < wanted || !intact(o, before < 64 ? before : 64) || overlaps(o))
        return false;
    mark(o);
    return true;
}

/* How many blocks of one size can be had, all given back afterwards. */
static size_t how_many(size_t size)
{
    static void *p[8192];
    size_t n = 0, real = size;

    while (n < sizeof p / sizeof *p && (p[n] = mem_take(&real))) {
        n++;
        real = size;
    }
    for (size_t i = 0; i < n; i++)
        mem_give(p[i], size);
    return n;
}

static void against_model(void)
{
    bool ok = true, counted = true, full = false;
    size_t peak = 0;

    for (int step = 0; step < STEPS && ok; step++) {
        uint64_t dice = next_random() % 100;
        bool filling = step / 3000 % 2 == 0;

        if (live_n < LIVE && dice < (filling ? 60u : 30u))
            ok = take_one(&full);
        else if (live_n && dice < 85)
            ok = give_one(next_random() % live_n);
        else if (live_n)
            ok = grow_one(next_random() % live_n);
        counted = counted && mem_in_use() == live_bytes;
        peak = live_bytes > peak ? live_bytes : peak;
    }
    CHECK(ok);
    CHECK(counted);
    CHECK(full); /* else the walk was too tame to mean anything */
    CHECK(mem_peak() >= peak);
    while (live_n)
        ok = give_one(live_n - 1) && ok;
    CHECK(ok);
    CHECK_INT(mem_in_use(), 0);
}

static void all_merges(size_t budget)
{
    size_t largest = (size_t)1 << 20;

    check_case("everything comes together again");
    while (largest * 2 <= budget)
        largest *= 2;
    CHECK_INT(how_many(MEM_BLOCK_MIN) >= 8192 || how_many(MEM_BLOCK_MIN) * MEM_BLOCK_MIN == budget, 1);
    CHECK(how_many((size_t)1 << 20) == budget >> 20);
    CHECK(how_many(largest) == 1);
    CHECK(how_many(largest * 2) == 0);
    CHECK_INT(mem_in_use(), 0);
}

static void faults(void)
{
    size_t size = 100;
    void *p;

    check_case("the n-th take fails, once or from then on");
    mem_fail_at(2, false);
    p = mem_take(&size);
    CHECK(p && size == MEM_BLOCK_MIN);
    CHECK(mem_take(&size) == NULL);
    mem_give(p, size);
    p = mem_take(&size);
    CHECK(p != NULL);
    mem_give(p, size);
    mem_fail_at(1, true);
    for (int i = 0; i < 3; i++)
        CHECK(mem_take(&size) == NULL);
    mem_fail_at(0, false);
    p = mem_take(&size);
    CHECK(p != NULL);
    mem_give(p, size);
    check_case("more than there ever was");
    size = SIZE_MAX;
    CHECK(mem_take(&size) == NULL);
    size = mem_limit() * 2;
    CHECK(mem_take(&size) == NULL);
    CHECK_INT(mem_in_use(), 0);
}

static void heap(void)
{
    uint64_t calls = mem_heap_calls();
    char *p = mem_heap_take(100);
    bool zero = true;

    check_case("the counted heap");
    for (int i = 0; p && i < 100; i++)
        zero = zero && p[i] == 0;
    CHECK(zero);
    CHECK(mem_heap_calls() == calls + 1);
    mem_heap_give(p);
    mem_heap_fail_at(1, false);
    CHECK(mem_heap_take(1) == NULL);
    p = mem_heap_take(0);
    CHECK(p != NULL);
    mem_heap_give(p);
    mem_heap_fail_at(1, true);
    CHECK(mem_heap_take(1) == NULL && mem_table(1, 1) == NULL);
    mem_heap_fail_at(0, false);
    CHECK(mem_table(SIZE_MAX / 2, 8) == NULL);
}

static bool aborts(void *p, size_t first, size_t second)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        if (first)
            mem_give(p, first);
        mem_give(p, second);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void misuse(void)
{
    size_t small = 512, large = (size_t)1 << 19;
    char *p = mem_take(&small), *q = mem_take(&large);

    check_case("a double give and a wrong size are caught, resting or merged");
    CHECK(aborts(p, small, small));
    CHECK(aborts(q, large, large));
    CHECK(aborts(p, 0, 1024));
    CHECK(aborts(q + 512, 0, 512));
    CHECK(!aborts(p, 0, small));
    mem_give(p, small);
    mem_give(q, large);
}

static void grow_in_place(void)
{
    size_t size = 512, used;
    char *p, *first = mem_take(&size);

    check_case("alone in the region a block grows where it stands");
    for (p = first; size < (size_t)1 << 19;) {
        used = size;
        memset(p, 7, used);
        p = mem_grow(p, &size, used, used + 1);
        if (!CHECK(p != NULL) || !CHECK(size == used * 2) || !CHECK(p[0] == 7 && p[used - 1] == 7))
            break;
    }
    CHECK(mem_in_use() == size);
    CHECK(mem_grow(p, &size, 10, size) == p); /* large enough already */
    mem_give(p, size);
    CHECK_INT(mem_in_use(), 0);
}

int main(void)
{
    static const struct {
        size_t asked, real;
    } budget[] = {{(size_t)1 << 20, (size_t)1 << 20},
                  {((size_t)3 << 20) + 4000, (size_t)3 << 20},
                  {(size_t)11 << 20, (size_t)11 << 20},
                  {((size_t)7 << 20) - 1, (size_t)6 << 20}};
    static char name[64];

    check_case("too small a budget");
    CHECK(!mem_budget_init(((size_t)1 << 20) - 1));
    for (size_t i = 0; i < sizeof budget / sizeof *budget; i++) {
        snprintf(name, sizeof name, "budget of %zu bytes", budget[i].asked);
        check_case(name);
        CHECK(mem_budget_init(budget[i].asked));
        CHECK_INT(mem_limit(), budget[i].real);
        all_merges(budget[i].real);
        check_case(name);
        against_model();
        all_merges(budget[i].real);
        faults();
        misuse();
    }
    CHECK(mem_budget_init((size_t)1 << 20));
    grow_in_place();
    heap();
    return check_end();
}
