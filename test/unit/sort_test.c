/* base/sort: every small array, and long ones against the C library. */
#include "base/sort.h"

#include <stdint.h>
#include <stdlib.h>

#include "check.h"

struct row {
    uint32_t key;
    char rest[9]; /* moves with its key; the size is no power of two */
};

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static void fill(struct row *r, uint32_t key)
{
    *r = (struct row){.key = key};
    snprintf(r->rest, sizeof r->rest, "%x", key);
}

static bool whole(const struct row *r)
{
    char want[9];

    snprintf(want, sizeof want, "%x", r->key);
    return strcmp(r->rest, want) == 0;
}

/* All arrays of up to six keys out of four, so every order with every kind of equal neighbours. */
static void small(void)
{
    for (uint32_t n = 0; n <= 6; n++)
        for (uint32_t code = 0; code < 1u << (2 * n); code++) {
            struct row r[7], want[7];
            bool same = true;

            for (uint32_t i = 0; i < n; i++)
                fill(&r[i], code >> (2 * i) & 3);
            fill(&r[n], 77); /* behind the end */
            memcpy(want, r, sizeof want);
            qsort(want, n, sizeof *want, by_key);
            sort(r, n, sizeof *r, by_key);
            for (uint32_t i = 0; i < n; i++)
                same = same && r[i].key == want[i].key && whole(&r[i]);
            CHECK(same && r[n].key == 77);
        }
}

static void large(void)
{
    static struct row r[5000], want[5000];
    static const uint32_t mask[] = {0xffffffff, 0xff, 0x3, 0};

    for (size_t m = 0; m < sizeof mask / sizeof *mask; m++) {
        uint32_t x = 1;
        bool same = true;

        for (size_t i = 0; i < 5000; i++) {
            x = x * 1664525 + 1013904223;
            fill(&r[i], x >> 8 & mask[m]);
        }
        memcpy(want, r, sizeof want);
        qsort(want, 5000, sizeof *want, by_key);
        sort(r, 5000, sizeof *r, by_key);
        for (size_t i = 0; i < 5000; i++)
            same = same && r[i].key == want[i].key && whole(&r[i]);
        CHECK(same);
        sort(r, 5000, sizeof *r, by_key); /* what is in order stays so */
        CHECK(memcmp(&r[0].key, &want[0].key, sizeof r[0].key) == 0 && r[4999].key == want[4999].key);
    }
}

int main(void)
{
    check_case("small");
    small();
    check_case("large");
    large();
    return check_end();
}
