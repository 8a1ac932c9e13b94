/* Fixed slots: count, zeroing, reuse of the last one, poison, and the guard against a foreign pointer. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "check.h"

struct slot {
    uint64_t a, b;
    char text[21];
};

enum { COUNT = 100 };

static bool is_zero(const void *p, size_t n)
{
    const unsigned char *b = p;

    for (size_t i = 0; i < n; i++)
        if (b[i])
            return false;
    return true;
}

static void fill_and_empty(void)
{
    struct pool p;
    struct slot *s[COUNT];
    bool zero = true, aligned = true, distinct = true;

    check_case("all slots, then none");
    CHECK(pool_init(&p, COUNT, sizeof(struct slot)));
    CHECK_INT(pool_in_use(&p), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            s[i] = pool_take(&p);
            if (!CHECK(s[i] != NULL))
                return;
            zero = zero && is_zero(s[i], sizeof *s[i]);
            aligned = aligned && (uintptr_t)s[i] % 16 == 0;
            memset(s[i], i + 1, sizeof *s[i]);
        }
        CHECK(pool_take(&p) == NULL);
        CHECK_INT(pool_in_use(&p), COUNT);
        for (int i = 0; i < COUNT; i++)
            for (size_t k = 0; k < sizeof s[i]->text; k++)
                distinct = distinct && s[i]->text[k] == (char)(i + 1);
        for (int i = 0; i < COUNT; i++)
            pool_give(&p, s[(i * 37 + round) % COUNT]);
        CHECK_INT(pool_in_use(&p), 0);
    }
    CHECK(zero);
    CHECK(aligned);
    CHECK(distinct);
}

static void last_freed_first(void)
{
    struct pool p;
    void *a, *b;

    check_case("the slot freed last comes first, so that touched memory stays small");
    CHECK(pool_init(&p, 4, 40));
    a = pool_take(&p);
    b = pool_take(&p);
    CHECK(a != b);
    pool_give(&p, a);
    CHECK(pool_take(&p) == a);
    pool_give(&p, b);
    pool_give(&p, a);
    CHECK(pool_take(&p) == a);
    CHECK(pool_take(&p) == b);
#ifdef WEIR_DEBUG
    check_case("a freed slot is poisoned");
    pool_give(&p, b);
    CHECK(((unsigned char *)b)[20] == 0xDD);
#endif
}

static bool aborts(struct pool *p, char *what)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        pool_give(p, what);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void guards(void)
{
    struct pool p;
    char *s;

    check_case("what is no slot of this pool is an invariant broken");
    CHECK(pool_init(&p, 4, 64));
    s = pool_take(&p);
    CHECK(aborts(&p, s + 8));
    CHECK(aborts(&p, s + 64)); /* never handed out */
    CHECK(!aborts(&p, s));
    check_case("no memory for the table");
    mem_heap_fail_at(1, false);
    CHECK(!pool_init(&p, 4, 64));
    mem_heap_fail_at(0, false);
}

int main(void)
{
    fill_and_empty();
    last_freed_first();
    guards();
    return check_end();
}
