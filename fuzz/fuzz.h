/* What the fuzz targets share: a check that ends the run, choices, and copies that end where their bytes end.
 *
 * A target is one function over bytes. Where it has to choose (a split, an edit), it throws dice whose seed is the input itself: the same
 * bytes always run the same way, and recorded data can be a seed as it is. Options that a fuzzer should find on purpose are first bytes. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(c) ((c) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #c))

__attribute__((noreturn)) static inline void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    abort();
}

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return slice_make((const char *)data, size);
}

/* Takes the next byte; 0 when there is none. */
static inline unsigned fuzz_byte(struct slice *in)
{
    unsigned b = in->n ? (unsigned char)in->p[0] : 0;

    *in = slice_from(*in, 1);
    return b;
}

/* A copy on the heap that is exactly as long, so that the sanitizer sees a read behind it. The caller frees it. */
static inline char *fuzz_copy(struct slice s)
{
    char *p = malloc(s.n ? s.n : 1);

    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

/* The bytes and a blank line behind them: a head that drips in is looked at when a line ends, so only whole lines must read alike. */
static inline char *fuzz_ended(const uint8_t *data, size_t size)
{
    char *p = malloc(size + 4);

    if (!p)
        abort();
    if (size)
        memcpy(p, data, size);
    memcpy(p + size, "\r\n\r\n", 4);
    return p;
}

struct fuzz_dice {
    uint64_t state;
};

static inline struct fuzz_dice fuzz_dice(struct slice seed)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < seed.n; i++)
        h = (h ^ (unsigned char)seed.p[i]) * 0x100000001b3u;
    return (struct fuzz_dice){h | 1};
}

/* 0 to n - 1. */
static inline size_t fuzz_throw(struct fuzz_dice *d, size_t n)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return (size_t)(d->state >> 20) % n;
}

/* How many of the bytes that are left come next: mostly few, sometimes any number. */
static inline size_t fuzz_piece(struct fuzz_dice *d, size_t left)
{
    size_t most = fuzz_throw(d, 3) ? 1 + fuzz_throw(d, 40) : left;

    return left == 0 ? 0 : 1 + fuzz_throw(d, most < left ? most : left);
}

static inline bool fuzz_within(struct slice part, struct slice whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

#endif
