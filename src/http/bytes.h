/* Which byte may stand where, and fast searches for the first one that may not. For the files of http/ only.
 * The searches never read at or behind `end`, so a head may end against an unreadable page. */
#ifndef HTTP_BYTES_H
#define HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(WEIR_NO_SIMD)
#include <emmintrin.h>
#define HTTP_SSE2 1
#else
#define HTTP_SSE2 0
#endif

enum http_byte_class {
    HTTP_C_TOKEN = 1,   /* RFC 9110 5.6.2 tchar */
    HTTP_C_VALUE = 2,   /* field value: HT, SP, VCHAR, obs-text (RFC 9110 5.5) */
    HTTP_C_TARGET = 4,  /* request target: VCHAR but # \ " < >. Looser than RFC 3986 by ^ ` { | } [ ], which
                         * browsers and curl send raw in queries; nothing here acts on them */
    HTTP_C_HOST = 8,    /* letters, digits, '-', '.', '_' */
    HTTP_C_PATH = 16,   /* path of a configured URL: RFC 3986 pchar and '/', without '%' */
    HTTP_C_HEX = 32,
    HTTP_C_PLAIN = 64,  /* letters, digits, '-': almost all names there are; folding by |0x20 is exact on them */
};

extern const uint8_t http_class[256];

static inline bool http_is(char c, unsigned classes)
{
    return (http_class[(unsigned char)c] & classes) != 0;
}

/* First byte of [p, end) that is in none of the classes, or end. One table look-up per byte. */
static inline const char *http_skip(const char *p, const char *end, unsigned classes)
{
    while (p < end && http_is(*p, classes))
        p++;
    return p;
}

#if HTTP_SSE2

static inline __m128i http_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* 0xff where lo <= byte <= lo + width. */
static inline __m128i http_in_range(__m128i v, char lo, char width)
{
    __m128i from_lo = _mm_sub_epi8(v, _mm_set1_epi8(lo));

    return _mm_cmpeq_epi8(_mm_min_epu8(from_lo, _mm_set1_epi8(width)), from_lo);
}

/* Bit i set: byte i is not HTTP_C_VALUE. */
static inline unsigned http_ctl_bits(__m128i v)
{
    __m128i low = http_in_range(v, 0, 0x1f), ht = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(ht, low), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
}

/* Bit i set: byte i is not HTTP_C_PLAIN. */
static inline unsigned http_unplain_bits(__m128i v)
{
    __m128i letter = http_in_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 25);
    __m128i digit = http_in_range(v, '0', 9), dash = _mm_cmpeq_epi8(v, _mm_set1_epi8('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, _mm_or_si128(digit, dash))) ^ 0xffffu;
}

/* 4 to 15 bytes in one register, some of them twice: enough to ask whether all are of a class. */
static inline __m128i http_load_short(const char *p, size_t n)
{
    if (n >= 8) {
        uint64_t a, b;

        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        return _mm_set_epi64x((long long)b, (long long)a);
    } else {
        uint32_t a, b;

        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return _mm_set_epi32((int)b, (int)a, (int)b, (int)a);
    }
}

#endif

/* First byte that may not be in a field value (so also CR and LF), or end. */
static inline const char *http_find_ctl(const char *p, const char *end)
{
#if HTTP_SSE2
    for (; end - p >= 16; p += 16) {
        unsigned bits = http_ctl_bits(http_load(p));

        if (bits)
            return p + __builtin_ctz(bits);
    }
#endif
    return http_skip(p, end, HTTP_C_VALUE);
}

/* First byte that is not a letter, digit or '-', or end. */
static inline const char *http_find_unplain(const char *p, const char *end)
{
#if HTTP_SSE2
    for (; end - p >= 16; p += 16) {
        unsigned bits = http_unplain_bits(http_load(p));

        if (bits)
            return p + __builtin_ctz(bits);
    }
#endif
    return http_skip(p, end, HTTP_C_PLAIN);
}

/* Whether all n bytes may be in a field value; whether all are letters, digits or '-'. Where only that is asked, and
 * not the place, short runs need no loop. */
static inline bool http_all_value(const char *p, size_t n)
{
#if HTTP_SSE2
    if (n >= 4 && n < 16)
        return http_ctl_bits(http_load_short(p, n)) == 0;
#endif
    return n == 0 || http_find_ctl(p, p + n) == p + n;
}

static inline bool http_all_plain(const char *p, size_t n)
{
#if HTTP_SSE2
    if (n >= 4 && n < 16)
        return http_unplain_bits(http_load_short(p, n)) == 0;
#endif
    return n == 0 || http_find_unplain(p, p + n) == p + n;
}

/* How many of the n bytes may not be in a field value. */
static inline size_t http_count_ctl(const char *p, size_t n)
{
    const char *const end = p + n;
    size_t count = 0;

#if HTTP_SSE2
    if (n >= 16) {
        unsigned rest;

        while (end - p >= 16) { /* a byte of the sum counts to 255 */
            const char *stop = p + (end - p < 255 * 16 ? (end - p) & ~(ptrdiff_t)15 : 255 * 16);
            __m128i sum = _mm_setzero_si128();

            for (; p < stop; p += 16) {
                __m128i v = http_load(p), ctl = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), http_in_range(v, 0, 0x1f));

                sum = _mm_sub_epi8(sum, _mm_or_si128(ctl, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
            }
            sum = _mm_sad_epu8(sum, _mm_setzero_si128());
            count += (size_t)_mm_cvtsi128_si32(sum) + (size_t)_mm_extract_epi16(sum, 4);
        }
        rest = http_ctl_bits(http_load(end - 16)) >> (16 - (end - p));
        for (; rest; rest &= rest - 1)
            count++;
        return count;
    }
#endif
    for (; p < end; p++)
        count += !http_is(*p, HTTP_C_VALUE);
    return count;
}

/* First CR or LF, or end. Both in one pass: two calls of memchr would be quadratic on input that holds
 * only one of the two. */
static inline const char *http_find_eol(const char *p, const char *end)
{
#if HTTP_SSE2
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');

    for (; end - p >= 64; p += 64) {
        __m128i a = http_load(p), b = http_load(p + 16), c = http_load(p + 32), d = http_load(p + 48);

        a = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(a, cr), a)))
            break; /* a byte up to CR, rarely any but these two: the loop below finds which and where */
    }
    for (; end - p >= 16; p += 16) {
        __m128i v = http_load(p);
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, cr), _mm_cmpeq_epi8(v, lf)));

        if (bits)
            return p + __builtin_ctz(bits);
    }
#endif
    while (p < end && *p != '\r' && *p != '\n')
        p++;
    return p;
}

#endif
