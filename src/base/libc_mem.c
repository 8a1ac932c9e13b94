/* memcpy, memmove, memset, memcmp and memchr of the shipped binary, in place of musl's: those copy with string instructions that cost
 * 30 cycles before the first byte, and compare and search byte by byte. Heads, names and log lines are tens of bytes, a hundred times
 * a request. Only the release build defines WEIR_OWN_MEM; elsewhere the functions carry names of their own, so that tests compare them with
 * libc's. Compiled apart from the link-time code, and so that no loop here is turned into a call of itself.
 *
 * No load or store leaves the ranges given: the last block overlaps the one before it instead. */
#include "base/libc_mem.h"

#if defined(__SSE2__)
#include <emmintrin.h>

#include <stdint.h>

enum { REP_MIN = 2048 }; /* from here on the string instruction's start is paid for */

static inline __m128i load(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void store(unsigned char *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

/* Up to 32 bytes: all loads before all stores, so overlap does not matter. */
static inline void copy_short(unsigned char *to, const unsigned char *from, size_t n)
{
    if (n >= 16) {
        __m128i a = load(from), b = load(from + n - 16);

        store(to, a);
        store(to + n - 16, b);
    } else if (n >= 8) {
        uint64_t a, b;

        __builtin_memcpy(&a, from, 8);
        __builtin_memcpy(&b, from + n - 8, 8);
        __builtin_memcpy(to, &a, 8);
        __builtin_memcpy(to + n - 8, &b, 8);
    } else if (n >= 4) {
        uint32_t a, b;

        __builtin_memcpy(&a, from, 4);
        __builtin_memcpy(&b, from + n - 4, 4);
        __builtin_memcpy(to, &a, 4);
        __builtin_memcpy(to + n - 4, &b, 4);
    } else if (n) {
        unsigned char a = from[0], b = from[n / 2], c = from[n - 1];

        to[0] = a;
        to[n / 2] = b;
        to[n - 1] = c;
    }
}

/* Rising addresses: right for apart, and for overlap towards lower ones, since a block is loaded before anything is stored over it and the
 * last block before the first store. */
static inline void copy_up(unsigned char *to, const unsigned char *from, size_t n)
{
    __m128i last = load(from + n - 16);
    unsigned char *end = to + n - 16;

    for (; end - to >= 32; to += 32, from += 32) {
        __m128i a = load(from), b = load(from + 16);

        store(to, a);
        store(to + 16, b);
    }
    for (; to < end; to += 16, from += 16)
        store(to, load(from));
    store(end, last);
}

static inline void copy_down(unsigned char *to, const unsigned char *from, size_t n)
{
    __m128i first = load(from);

    for (; n > 16; n -= 16)
        store(to + n - 16, load(from + n - 16));
    store(to, first);
}

void *own_memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void *at = to;

    if (n <= 32)
        copy_short(to, from, n);
    else if (n < REP_MIN)
        copy_up(to, from, n);
    else
        __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *own_memmove(void *to, const void *from, size_t n)
{
    if (n <= 32)
        copy_short(to, from, n);
    else if ((uintptr_t)to - (uintptr_t)from >= n) /* apart, or down: one compare of unsigned distances */
        copy_up(to, from, n);
    else
        copy_down(to, from, n);
    return to;
}

void *own_memset(void *to, int byte, size_t n)
{
    unsigned char *p = to;
    __m128i v = _mm_set1_epi8((char)byte);
    void *at = to;

    if (n >= REP_MIN) {
        __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
    } else if (n >= 16) {
        for (unsigned char *end = p + n - 16; p < end; p += 16)
            store(p, v);
        store((unsigned char *)to + n - 16, v);
    } else {
        while (n--)
            *p++ = (unsigned char)byte;
    }
    return to;
}

/* The order of two words that differ, by their first byte that does. */
static inline int order(uint64_t v, uint64_t w)
{
    v = __builtin_bswap64(v);
    w = __builtin_bswap64(w);
    return (v > w) - (v < w);
}

static inline uint64_t word8(const unsigned char *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, 8);
    return v;
}

static inline uint32_t word4(const unsigned char *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, 4);
    return v;
}

int own_memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;

    if (n >= 16) {
        const unsigned char *last = p + n - 16;

        for (;; p += 16, q += 16) {
            unsigned same;

            if (p > last) { /* the last block overlaps the one before it, which was the same */
                q -= p - last;
                p = last;
            }
            same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(p), load(q)));
            if (same != 0xffff) {
                unsigned at = (unsigned)__builtin_ctz(~same);

                return p[at] - q[at];
            }
            if (p == last)
                return 0;
        }
    }
    if (n >= 8) {
        if (word8(p) != word8(q))
            return order(word8(p), word8(q));
        return word8(p + n - 8) == word8(q + n - 8) ? 0 : order(word8(p + n - 8), word8(q + n - 8));
    }
    if (n >= 4) {
        if (word4(p) != word4(q))
            return order(word4(p), word4(q));
        return word4(p + n - 4) == word4(q + n - 4) ? 0 : order(word4(p + n - 4), word4(q + n - 4));
    }
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *own_memchr(const void *in, int byte, size_t n)
{
    union {
        const unsigned char *in;
        unsigned char *out;
    } at = {in}; /* the C library's signature takes const away */
    __m128i want = _mm_set1_epi8((char)byte);

    for (; n >= 16; n -= 16, at.in += 16) {
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(at.in), want));

        if (hits)
            return at.out + __builtin_ctz(hits);
    }
    if (n >= 8) { /* the first eight bytes and the last eight, which may be the same in part */
        __m128i v = _mm_set_epi64x((long long)word8(at.in + n - 8), (long long)word8(at.in));
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, want)), i;

        if (!hits)
            return NULL;
        i = (unsigned)__builtin_ctz(hits);
        return at.out + (i < 8 ? i : n - 16 + i);
    }
    for (; n; n--, at.in++)
        if (*at.in == (unsigned char)byte)
            return at.out;
    return NULL;
}

#endif
