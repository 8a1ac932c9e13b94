/* What the json tests share: texts that end at an unreadable page, files, a fixed random source, levels. */
#ifndef TEST_JSON_CASE_H
#define TEST_JSON_CASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/slice.h"

enum { CASE_PAGE = 4096, CASE_MAX = 4 << 20 };

/* A copy of s whose last byte is the last readable one; valid until the next call. */
static inline struct slice case_at_edge(struct slice s)
{
    static char *area;

    if (!area) {
        area = mmap(NULL, CASE_MAX + CASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED || mprotect(area + CASE_MAX, CASE_PAGE, PROT_NONE) != 0)
            abort();
    }
    if (s.n > CASE_MAX)
        abort();
    if (s.n)
        memcpy(area + CASE_MAX - s.n, s.p, s.n);
    return slice_make(area + CASE_MAX - s.n, s.n);
}

/* The whole file, to be freed with free((void *)) by way of case_drop; p is NULL when there is none. */
static inline struct slice case_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    long n;

    if (!f)
        return slice_make(NULL, 0);
    if (fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        p = malloc((size_t)n + 1);
        if (!p || fread(p, 1, (size_t)n, f) != (size_t)n)
            abort();
        fclose(f);
        return slice_make(p, (size_t)n);
    }
    fclose(f);
    return slice_make(NULL, 0);
}

static inline void case_drop(struct slice s)
{
    union { const char *in; char *out; } u = {s.p};

    free(u.out);
}

/* xorshift64*: the same sequence everywhere. */
static inline uint64_t case_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545f4914f6cdd1du;
}

static inline const char *case_shared(void)
{
    const char *dir = getenv("WEIR_SHARED");

    return dir ? dir : "../shared";
}

static const char *const case_levels[] = {"word", "sse2", "avx2", "neon"};
enum { CASE_LEVELS = 4 };

#endif
