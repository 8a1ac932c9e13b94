/* Skips over the inside of JSON strings as fast as the machine can. Private to src/json: scan.c and out.c
 * call it; everyone else sees only json_simd() and json_simd_force() of json/scan.h. */
#ifndef JSON_SIMD_H
#define JSON_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* One level. Every function takes n readable bytes, never reads outside them, and returns how many of the
 * first ones it vouches for. p must stand at a character's border outside of any escape; so does p + result. */
struct json_simd {
    const char *name;
    bool utf8; /* content goes on over characters >= 0x80, so it pays to call it in front of one */
    /* The result covers whole valid characters and whole simple escapes (\n, \", ..., not \u), and stops at
     * the latest at the closing quote, a control byte, a bad escape or bad UTF-8. It may stop earlier, at a
     * backslash or a byte >= 0x80: the caller looks at those itself. It never stops at plain ASCII. */
    size_t (*content)(const uint8_t *p, size_t n);
    /* Stops exactly at the first '"', '\\', byte < 0x20 or byte >= 0x80. */
    size_t (*plain)(const uint8_t *p, size_t n);
};

/* ---- Eight bytes in a machine word: the portable level, and every level's way through short strings. ---- */

static inline bool json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Top bit of each byte that is not plain, the first one in the lowest bits. The sums cannot carry from one byte
 * into the next, so the answer is exact for each of them. */
static inline uint64_t json_word_special(const uint8_t *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t w, low7, control, quote, backslash;

    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    low7 = w & ~high;
    control = low7 + ones * (0x80 - 0x20); /* top bit: not one, here and in the next two */
    quote = (low7 ^ (ones * '"')) + ones * 0x7f;
    backslash = (low7 ^ (ones * '\\')) + ones * 0x7f;
    return (~(control & quote & backslash) | w) & high;
}

/* How many of the next 16 bytes come before the first that is not plain; 0 when fewer than 16 are left. Keys
 * and most values end within them, and a call costs more than they do. */
static inline size_t json_short_run(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 16)
        return 0;
#if defined(__SSE2__)
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    /* As signed numbers control bytes and all that is not ASCII are both less than a space. */
    const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                                                          _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));

    return (size_t)__builtin_ctz((unsigned)_mm_movemask_epi8(odd) | 0x10000u);
#else
    uint64_t special;

    special = json_word_special(p);
    if (special)
        return (size_t)__builtin_ctzll(special) / 8;
    special = json_word_special(p + 8);
    return 8 + (special ? (size_t)__builtin_ctzll(special) / 8 : 8);
#endif
}

/* The level in use: the best this machine has, chosen at the first call, or what json_simd_force named. */
const struct json_simd *json_simd_now(void);

#endif
