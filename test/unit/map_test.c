/* The seeded table: what is put is found, nothing else is; full and double keys are refused; SipHash is the real one. */
#include "base/map.h"

#include <stdlib.h>

#include "check.h"

enum { MANY = 5000 };

static char memory[1 << 20];

static void fill_and_find(uint64_t seed)
{
    static char name[MANY][16], absent[16];
    struct arena a;
    struct map m;

    arena_init_fixed(&a, memory, sizeof(memory));
    if (!CHECK(map_init(&m, &a, MANY, seed)))
        return;
    CHECK(map_get(&m, SLICE("nothing yet")) == NULL);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(name[i], sizeof(name[i]), "key-%zu", i);
        CHECK(map_put(&m, slice_str(name[i]), name[i]));
    }
    for (size_t i = 0; i < MANY; i++) {
        CHECK(map_get(&m, slice_str(name[i])) == name[i]);
        snprintf(absent, sizeof(absent), "kex-%zu", i);
        CHECK(map_get(&m, slice_str(absent)) == NULL);
    }
}

static void refusals(void)
{
    struct arena a;
    struct map m;
    int one = 1, two = 2;

    check_case("a key once");
    arena_init_fixed(&a, memory, sizeof(memory));
    CHECK(map_init(&m, &a, 2, 7));
    CHECK(map_put(&m, SLICE("a"), &one));
    CHECK(!map_put(&m, SLICE("a"), &two));
    CHECK(map_get(&m, SLICE("a")) == &one);

    check_case("empty and binary keys");
    CHECK(map_put(&m, slice_make(NULL, 0), &two));
    CHECK(map_get(&m, SLICE("")) == &two);
    CHECK(map_get(&m, slice_make("\0", 1)) == NULL);

    check_case("full");
    CHECK(!map_put(&m, SLICE("c"), &one));
    CHECK(map_get(&m, SLICE("c")) == NULL);

    check_case("no room for the table");
    arena_init_fixed(&a, memory, 64);
    CHECK(!map_init(&m, &a, 1000, 7));
    CHECK(!map_put(&m, SLICE("a"), &one));
    CHECK(map_get(&m, SLICE("a")) == NULL);

    check_case("a zeroed map is empty");
    m = (struct map){0};
    CHECK(map_get(&m, SLICE("a")) == NULL);
    CHECK(!map_put(&m, SLICE("a"), &one));
}

/* Another seed puts keys elsewhere; every bit of the input counts; a length is part of the value. */
static void hashes(void)
{
    char text[40] = {0};

    check_case("hash");
    CHECK(hash_bytes(SLICE("gpt-4o"), 1) == hash_bytes(SLICE("gpt-4o"), 1));
    CHECK(hash_bytes(SLICE("gpt-4o"), 1) != hash_bytes(SLICE("gpt-4o"), 2));
    for (size_t n = 0; n < sizeof(text); n++) {
        uint64_t before = hash_bytes(slice_make(text, n), 42);

        CHECK(before != hash_bytes(slice_make(text, n + 1), 42));
        for (size_t bit = 0; bit < n * 8; bit++) {
            text[bit / 8] = (char)(1u << bit % 8);
            CHECK(before != hash_bytes(slice_make(text, n), 42));
            text[bit / 8] = 0;
        }
    }
}

int main(void)
{
    check_case("many keys");
    fill_and_find(0);
    fill_and_find(0x123456789abcdef0u);
    refusals();
    hashes();
    return check_end();
}
