/* Bump memory: alignment, growth, the cap, sticky overflow, and that everything goes back. */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "check.h"

/* A source that counts what is out and can be told to refuse. */
static struct {
    size_t bytes, blocks, takes, refuse_from;
} source;

static void *source_take(void *owner, size_t *size)
{
    (void)owner;
    if (source.refuse_from && ++source.takes >= source.refuse_from)
        return NULL;
    *size = (*size + 255) & ~(size_t)255; /* real sources round up */
    source.bytes += *size;
    source.blocks++;
    return malloc(*size);
}

static void source_give(void *owner, void *block, size_t size)
{
    (void)owner;
    source.bytes -= size;
    source.blocks--;
    free(block);
}

static const struct arena_source counted = {source_take, source_give, NULL};

static void alignment(void)
{
    struct arena a;
    bool aligned = true, apart = true;
    char *last_end = NULL;

    check_case("takes are aligned to 8 and never overlap");
    arena_init(&a, &counted, 256, 1 << 20);
    for (size_t i = 0; i < 500; i++) {
        size_t n = i * 7 % 61;
        char *p = i % 3 ? arena_take(&a, n) : arena_take_bytes(&a, n);

        aligned = aligned && p && (i % 3 == 0 || (uintptr_t)p % 8 == 0);
        memset(p, (int)i, n);
        apart = apart && (p >= last_end || p + n <= last_end - 1 || last_end == NULL || source.blocks > 1);
        last_end = p + n;
    }
    CHECK(aligned);
    CHECK(apart);
    CHECK(source.blocks > 10);
    arena_reset(&a);
    CHECK_INT(source.blocks, 0);
    CHECK_INT(source.bytes, 0);
    check_case("usable again after reset");
    CHECK(arena_take(&a, 10) != NULL);
    arena_reset(&a);
    CHECK_INT(source.blocks, 0);
}

static void contents(void)
{
    struct arena a;
    char *p[64];
    bool ok = true;

    check_case("what was written stays");
    arena_init(&a, &counted, 128, 1 << 20);
    for (int i = 0; i < 64; i++) {
        p[i] = arena_take(&a, (size_t)(i * 5 + 1));
        memset(p[i], i, (size_t)(i * 5 + 1));
    }
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < i * 5 + 1; k++)
            ok = ok && p[i][k] == i;
    CHECK(ok);
    arena_reset(&a);
}

static void overflow(void)
{
    struct arena a;
    char small[64];
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 63, SIZE_MAX / 2, (size_t)1 << 40};

    check_case("fixed memory ends, and stays ended");
    arena_init_fixed(&a, small, sizeof small);
    CHECK(arena_take(&a, 32) != NULL);
    CHECK(!arena_overflowed(&a));
    CHECK(arena_take(&a, 64) == NULL);
    CHECK(arena_overflowed(&a));
    CHECK(arena_take(&a, 1) == NULL); /* there would be room */
    CHECK(arena_copy(&a, SLICE("x")).p == NULL);
    CHECK(arena_printf(&a, "%d", 1).p == NULL);
    CHECK(arena_zero(&a, 1, 1) == NULL);

    check_case("exactly full is not an overflow");
    arena_init_fixed(&a, small, sizeof small);
    CHECK(arena_take_bytes(&a, 64) == small);
    CHECK(arena_take_bytes(&a, 0) != NULL);
    CHECK(!arena_overflowed(&a));
    CHECK(arena_take_bytes(&a, 1) == NULL);

    check_case("the cap holds");
    arena_init(&a, &counted, 256, 4096);
    for (int i = 0; i < 100 && !arena_overflowed(&a); i++)
        (void)arena_take(&a, 200);
    CHECK(arena_overflowed(&a));
    CHECK(source.bytes <= 4096 + 256);
    arena_reset(&a);
    CHECK(!arena_overflowed(&a));
    CHECK_INT(source.blocks, 0);

    check_case("absurd sizes");
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        arena_init(&a, &counted, 256, 1 << 20);
        CHECK(arena_take(&a, absurd[i]) == NULL);
        CHECK(arena_overflowed(&a));
        arena_reset(&a);
    }
    arena_init(&a, &counted, 256, 1 << 20);
    CHECK(arena_zero(&a, SIZE_MAX / 4, 8) == NULL);
    CHECK(arena_overflowed(&a));
    arena_reset(&a);
}

static void refusal(void)
{
    struct arena a;

    check_case("a source that refuses: sticky, nothing lost");
    source.takes = 0;
    source.refuse_from = 3;
    arena_init(&a, &counted, 256, 1 << 20);
    CHECK(arena_take(&a, 200) && arena_take(&a, 200));
    CHECK(arena_take(&a, 200) == NULL);
    source.refuse_from = 0;
    CHECK(arena_take(&a, 200) == NULL);
    arena_reset(&a);
    CHECK(arena_take(&a, 200) != NULL);
    arena_reset(&a);
    CHECK_INT(source.blocks, 0);
}

static void texts(void)
{
    struct arena a;
    struct slice s;
    int *zero;

    arena_init(&a, &counted, 64, 1 << 16);
    check_case("copies end with a NUL that is not counted");
    s = arena_copy(&a, slice_make("a\0b", 3));
    CHECK_SLICE(s, slice_make("a\0b", 3));
    CHECK(s.p[3] == '\0');
    s = arena_copy(&a, slice_make(NULL, 0));
    CHECK(s.p && s.n == 0 && s.p[0] == '\0');
    check_case("printf");
    CHECK_STR(arena_printf(&a, "%s-%d", "key", 7), "key-7");
    CHECK_INT(arena_printf(&a, "%2000s", "x").n, 2000);
    check_case("zeroed arrays");
    zero = arena_zero(&a, 100, sizeof *zero);
    for (int i = 0; i < 100; i++)
        CHECK(zero[i] == 0);
    arena_reset(&a);
    CHECK_INT(source.blocks, 0);
    check_case("reset of a zeroed struct");
    a = (struct arena){0};
    arena_reset(&a);
    CHECK(arena_take(&a, 1) == NULL);
}

int main(void)
{
    alignment();
    contents();
    overflow();
    refusal();
    texts();
    return check_end();
}
