/* A JSON writer into fixed memory. It keeps the commas; that brackets match and that a member has a key is
 * the caller's business, checked as far as one counter can. */
#include "json/out.h"

#include <string.h>

#include "base/must.h"
#include "json/simd.h"
#include "json/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void json_out_init(struct json_out *o, char *memory, size_t cap)
{
    *o = (struct json_out){.p = memory, .cap = cap};
}

static inline void put(struct json_out *o, const char *p, size_t n)
{
    char *to;

    if (o->full || n > o->cap - o->n) {
        o->full = true;
        return;
    }
    to = o->p + o->n;
    o->n += n;
    if (n > 16) {
        memcpy(to, p, n);
    } else if (n >= 8) { /* most pieces are short, and for those two moves beat a call */
        memcpy(to, p, 8);
        memcpy(to + n - 8, p + n - 8, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = p[i];
    }
}

/* Before every value: the comma that is due, and after it one is due. */
static void item(struct json_out *o)
{
    if (o->comma)
        put(o, ",", 1);
    o->comma = true;
}

void json_open(struct json_out *o, char bracket)
{
    must(bracket == '{' || bracket == '[');
    must(o->depth < UINT8_MAX);
    item(o);
    put(o, &bracket, 1);
    o->depth++;
    o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
    must(bracket == '}' || bracket == ']');
    must(o->depth > 0);
    put(o, &bracket, 1);
    o->depth--;
    o->comma = true;
}

static void put_escape(struct json_out *o, uint8_t c)
{
    static const char hex[] = "0123456789abcdef", letter[] = "btnvfr"; /* from 8 on */
    char e[6] = {'\\', 'u', '0', '0', 0, 0};

    if (c == '"' || c == '\\') {
        e[1] = (char)c;
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
        e[1] = letter[c - '\b'];
    } else {
        e[4] = hex[c >> 4];
        e[5] = hex[c & 15];
        put(o, e, 6);
        return;
    }
    put(o, e, 2);
}

static void put_inside(struct json_out *o, struct slice s)
{
    const struct json_simd *simd = json_simd_now();
    const uint8_t *p = (const uint8_t *)s.p, *end = s.n ? p + s.n : p;

    while (p < end && !o->full) {
        size_t n = simd->plain(p, (size_t)(end - p)), wrong;

        put(o, (const char *)p, n);
        p += n;
        while (p < end && *p >= 0x80) {
            n = utf8_length(p, (size_t)(end - p), &wrong);
            if (n)
                put(o, (const char *)p, n);
            else
                put(o, "\xef\xbf\xbd", 3);
            p += n ? n : wrong;
        }
        if (p < end && (*p < 0x20 || *p == '"' || *p == '\\'))
            put_escape(o, *p++);
    }
}

/* Up to here strings are copied and checked in one go, by machine words; a call of the block search pays only above. */
enum { SHORT_MAX = 96 };

/* Has a top bit when one of the eight bytes is not plain. Which one it does not say: a borrow may set bits of bytes above,
 * but the first comes from a byte that is bad itself. */
static inline uint64_t not_plain(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u;

    return (w - ones * 0x20) | ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones) | w;
}

#if defined(__SSE2__)
/* 0xff where a byte is not plain: as signed numbers control bytes and all that is not ASCII are both less than a space. */
static inline __m128i odd_bytes(__m128i v)
{
    return _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
                        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
}

/* Sixteen bytes and more, the last lane overlapping the one before it. */
static inline bool copy_lanes(char *to, const char *from, size_t n)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(from + n - 16)), odd = odd_bytes(v);

    _mm_storeu_si128((__m128i *)(void *)(to + n - 16), v);
    for (size_t i = 0; i + 16 < n; i += 16) {
        v = _mm_loadu_si128((const __m128i *)(const void *)(from + i));
        odd = _mm_or_si128(odd, odd_bytes(v));
        _mm_storeu_si128((__m128i *)(void *)(to + i), v);
    }
    return _mm_movemask_epi8(odd) == 0;
}
#endif

/* Copies the n bytes and tells whether every one is plain, in which case the copy is what was wanted. */
static inline bool copy_plain(char *to, const char *from, size_t n)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t w, bad = 0;

#if defined(__SSE2__)
    if (n >= 16)
        return copy_lanes(to, from, n);
#endif
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&w, from + i, 8);
            bad |= not_plain(w);
            memcpy(to + i, &w, 8);
        }
        memcpy(&w, from + n - 8, 8); /* overlaps the word before it instead of counting bytes */
        memcpy(to + n - 8, &w, 8);
        return ((bad | not_plain(w)) & high) == 0;
    }
    if (n >= 4) {
        uint32_t first, last;

        memcpy(&first, from, 4);
        memcpy(&last, from + n - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
        return (not_plain((uint64_t)last << 32 | first) & high) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        bad |= !json_is_plain((uint8_t)from[i]);
    }
    return bad == 0;
}

/* The string with its comma in one go; false, and nothing written, when it is long, has something to escape, or may not
 * fit: then the long way decides. */
static inline bool put_short(struct json_out *o, struct slice s)
{
    char *to;

    if (s.n > SHORT_MAX || o->full || o->cap - o->n < s.n + 3)
        return false;
    to = o->p + o->n;
    *to = ',';
    to += o->comma;
    *to++ = '"';
    if (!copy_plain(to, s.p, s.n))
        return false;
    to += s.n;
    *to++ = '"';
    o->n = (size_t)(to - o->p);
    o->comma = true;
    return true;
}

void json_key(struct json_out *o, const char *name)
{
    json_out_str(o, slice_str(name));
    put(o, ":", 1);
    o->comma = false;
}

void json_out_str(struct json_out *o, struct slice s)
{
    if (put_short(o, s))
        return;
    item(o);
    put(o, "\"", 1);
    put_inside(o, s);
    put(o, "\"", 1);
}

void json_out_str_max(struct json_out *o, struct slice s, size_t max)
{
    size_t cut = s.n;

    if (cut <= max && put_short(o, s))
        return;
    if (cut > max) {
        /* Back to where the character that crosses the cut begins. A run of stray continuation bytes has
         * no such place: no character is longer than four bytes, so neither is the way back. */
        for (cut = max; cut > 0 && max - cut < 3 && ((uint8_t)s.p[cut] & 0xc0) == 0x80; cut--)
            continue;
    }
    item(o);
    put(o, "\"", 1);
    put_inside(o, slice_first(s, cut));
    if (cut < s.n)
        put(o, "...", 3);
    put(o, "\"", 1);
}

enum { DIGITS_MAX = 20 };

/* The digits of v at `to`; returns their number. Most numbers of a log line have few. */
static inline unsigned put_digits(char *to, uint64_t v)
{
    unsigned n = 1;

    if (v < 10) {
        *to = (char)('0' + v);
        return 1;
    }
    for (uint64_t limit = 10; n < DIGITS_MAX && v >= limit; limit *= 10)
        n++;
    if (v <= UINT32_MAX) { /* divides by multiplying, in half as many instructions */
        uint32_t w = (uint32_t)v;

        for (unsigned i = n; i-- > 0; w /= 10)
            to[i] = (char)('0' + w % 10);
        return n;
    }
    for (unsigned i = n; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    return n;
}

/* Near the end of the memory. Apart, because the array costs every call of its function a stack guard. */
static __attribute__((noinline)) void put_u64_late(struct json_out *o, uint64_t v)
{
    char digits[DIGITS_MAX];
    unsigned n = put_digits(digits, v);

    item(o);
    put(o, digits, n);
}

void json_out_u64(struct json_out *o, uint64_t v)
{
    char *to;

    if (o->full || o->cap - o->n <= DIGITS_MAX) {
        put_u64_late(o, v);
        return;
    }
    to = o->p + o->n;
    *to = ',';
    to += o->comma;
    o->comma = true;
    o->n = (size_t)(to - o->p) + put_digits(to, v);
}

void json_out_i64(struct json_out *o, int64_t v)
{
    if (v >= 0) {
        json_out_u64(o, (uint64_t)v);
        return;
    }
    item(o);
    put(o, "-", 1);
    o->comma = false;
    json_out_u64(o, -(uint64_t)v);
}

void json_out_bool(struct json_out *o, bool v)
{
    item(o);
    put(o, v ? "true" : "false", v ? 4 : 5);
}

void json_out_null(struct json_out *o)
{
    item(o);
    put(o, "null", 4);
}

void json_out_raw(struct json_out *o, struct slice valid_json)
{
    item(o);
    put(o, valid_json.p, valid_json.n);
}
