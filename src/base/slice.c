/* Views of bytes: compare, search, trim, numbers. Pure. */
#include "base/slice.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    if (a.n >= 8 && memcmp(a.p, b.p, a.n) == 0) /* nearly always the bytes are the same, or not even alike */
        return true;
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i] && ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq(slice_first(s, prefix.n), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq_nocase(slice_first(s, prefix.n), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq(slice_from(s, s.n - suffix.n), suffix);
}

ptrdiff_t slice_find_char(struct slice s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

    return hit ? hit - s.p : -1;
}

/* Searching looks at two bytes of the needle at once, the first and the last: either alone is common, both in their
 * distance are rare. Of a quoted needle they are both quotes, of which JSON is full, so there it is the first two.
 * memchr and memmem would stop at each quote, and musl's are slow besides. */
static size_t second_probe(struct slice needle)
{
    return needle.n > 1 && needle.p[0] == '"' ? 1 : needle.n - 1;
}

static inline bool found_at(const char *p, struct slice needle, bool nocase)
{
    for (size_t i = 0; i < needle.n; i++)
        if (p[i] != needle.p[i] && !(nocase && ascii_lower(p[i]) == ascii_lower(needle.p[i])))
            return false;
    return true;
}

/* The bit that makes both cases of a letter one; none for other bytes, and none when case counts. */
static inline char fold_of(char c, bool nocase)
{
    return nocase && ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z' ? 0x20 : 0;
}

#if defined(__SSE2__)
enum { LANE = 16, BLOCK = 64 };

/* The two bytes looked for, and the bits that do not count in them. */
struct probes {
    size_t second;
    __m128i first_byte, second_byte, first_fold, second_fold;
};

static inline __m128i probes_match(const char *p, const struct probes *q, bool nocase)
{
    __m128i head = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i tail = _mm_loadu_si128((const __m128i *)(const void *)(p + q->second));

    if (nocase) {
        head = _mm_or_si128(head, q->first_fold);
        tail = _mm_or_si128(tail, q->second_fold);
    }
    return _mm_and_si128(_mm_cmpeq_epi8(head, q->first_byte), _mm_cmpeq_epi8(tail, q->second_byte));
}

/* The first hit among the LANE places from p on, or NULL. */
static inline const char *find_in_lane(const char *p, __m128i match, struct slice needle, bool nocase)
{
    for (unsigned hits = (unsigned)_mm_movemask_epi8(match); hits; hits &= hits - 1) {
        const char *hit = p + __builtin_ctz(hits);

        if (found_at(hit, needle, nocase))
            return hit;
    }
    return NULL;
}

/* For at least LANE places. The last lane overlaps the one before it, which costs nothing but a second look. */
static inline const char *find_wide(const char *p, size_t places, struct slice needle, bool nocase)
{
    const char *const end = p + places, *hit = NULL;
    const size_t second = second_probe(needle);
    const char fold1 = fold_of(needle.p[0], nocase), fold2 = fold_of(needle.p[second], nocase);
    const struct probes q = {second, _mm_set1_epi8((char)(needle.p[0] | fold1)), _mm_set1_epi8((char)(needle.p[second] | fold2)),
                             _mm_set1_epi8(fold1), _mm_set1_epi8(fold2)};

    for (; end - p >= BLOCK; p += BLOCK) {
        __m128i a = probes_match(p, &q, nocase), b = probes_match(p + LANE, &q, nocase);
        __m128i c = probes_match(p + 2 * LANE, &q, nocase), d = probes_match(p + 3 * LANE, &q, nocase);

        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) == 0)
            continue;
        if ((hit = find_in_lane(p, a, needle, nocase)) || (hit = find_in_lane(p + LANE, b, needle, nocase)) ||
            (hit = find_in_lane(p + 2 * LANE, c, needle, nocase)) || (hit = find_in_lane(p + 3 * LANE, d, needle, nocase)))
            return hit;
    }
    while (p < end) {
        if (end - p < LANE)
            p = end - LANE;
        if ((hit = find_in_lane(p, probes_match(p, &q, nocase), needle, nocase)))
            return hit;
        p += LANE;
    }
    return NULL;
}
#endif

static inline ptrdiff_t find(struct slice s, struct slice needle, bool nocase)
{
    size_t places;

    if (needle.n == 0)
        return 0;
    if (needle.n > s.n)
        return -1;
    places = s.n - needle.n + 1;
#if defined(__SSE2__)
    if (places >= LANE) {
        const char *hit = find_wide(s.p, places, needle, nocase);

        return hit ? hit - s.p : -1;
    }
#endif
    for (size_t at = 0; at < places; at++)
        if (found_at(s.p + at, needle, nocase))
            return (ptrdiff_t)at;
    return -1;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
    return find(s, needle, false);
}

ptrdiff_t slice_find_nocase(struct slice s, struct slice needle)
{
    return find(s, needle, true);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.n && is_blank(s.p[0]))
        s = slice_from(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool slice_u64(struct slice s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool slice_i64(struct slice s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;

    if (!slice_u64(minus ? slice_from(s, 1) : s, &v) || v > (uint64_t)INT64_MAX)
        return false;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

bool slice_eq_const_time(struct slice a, struct slice b)
{
    uint64_t diff = 0, v, w;
    size_t i = 0;

    if (a.n != b.n)
        return false;
    for (; a.n - i >= sizeof v; i += sizeof v) {
        memcpy(&v, a.p + i, sizeof v);
        memcpy(&w, b.p + i, sizeof w);
        diff |= v ^ w;
    }
    for (; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}
