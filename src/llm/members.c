/* Members of one object, see members.h. members_read leaves all the work to json/scan.c's check and only finds keys again.
 * members_from_end works on raw bytes, 16 at a time where the processor can.
 *
 * Why raw bytes are enough: a quote inside a JSON string has a backslash before it, and before an opening quote none can
 * stand. So a quote without one that a letter follows opens a string, and a string that a ':' follows is a key. Its depth is
 * what the brackets from there to the end close, the ones in strings left out. */
#include "llm/members.h"

#include "json/str.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

bool members_read(struct members *m, struct slice text, enum json_type *top)
{
    struct json_check c;

    m->text = text;
    m->count = 0;
    json_check_init(&c, m->member, LLM_MEMBERS_MAX);
    (void)json_check_feed(&c, text.p, text.n);
    if (json_check_end(&c) != PARSE_DONE)
        return false;
    m->count = c.members < LLM_MEMBERS_MAX ? c.members : LLM_MEMBERS_MAX;
    *top = (enum json_type)c.top_type;
    return true;
}

static const struct json_member *find(const struct members *m, const char *name)
{
    struct slice want = slice_str(name);

    for (uint32_t i = m->count; i-- > 0;) {
        const struct json_member *e = &m->member[i];
        struct slice key = slice_make(m->text.p + e->key_off, e->key_len);

        if (e->key_escaped ? json_inside_eq(key, want) : slice_eq(key, want))
            return e;
    }
    return NULL;
}

struct slice members_get(const struct members *m, const char *name, enum json_type *type)
{
    const struct json_member *e = find(m, name);

    *type = e ? (enum json_type)e->type : JSON_NULL;
    return e ? slice_make(m->text.p + e->val_off, e->val_len) : slice_make(NULL, 0);
}

struct slice members_word(const struct members *m, const char *name)
{
    enum json_type type;
    struct slice value = members_get(m, name, &type);

    return type == JSON_STRING ? slice_make(value.p + 1, value.n - 2) : slice_make(NULL, 0);
}

bool value_filled(struct slice value)
{
    if (value.n == 0)
        return false;
    switch (value.p[0]) {
    case 'n':
    case 'f':
        return false;
    case '"':
        return value.n > 2;
    case '{':
    case '[':
        return slice_trim(slice_make(value.p + 1, value.n - 2)).n > 0;
    default:
        return !slice_eq(value, SLICE("0"));
    }
}

bool members_filled(const struct members *m, const char *name)
{
    enum json_type type;

    return value_filled(members_get(m, name, &type));
}

/* ---- Brackets outside of strings. ---- */

/* Where in the text the last byte was. */
struct where {
    bool in_string, escaped;
    ptrdiff_t sum;
};

static void sum_bytewise(struct where *w, const char *p, size_t n)
{
    for (const char *end = p + n; p < end; p++) {
        if (w->in_string) {
            if (w->escaped)
                w->escaped = false;
            else if (*p == '\\')
                w->escaped = true;
            else if (*p == '"')
                w->in_string = false;
        } else if (*p == '"') {
            w->in_string = true;
        } else if (*p == '{' || *p == '[') {
            w->sum++;
        } else if (*p == '}' || *p == ']') {
            w->sum--;
        }
    }
}

#if defined(__SSE2__)
enum { BLOCK = 64, LANE = 16, SHORT = 24 /* less is not worth a block */ };

static inline __m128i load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline uint64_t bits(__m128i v)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(v);
}

static inline uint64_t bits_of_equal(__m128i a, __m128i b, __m128i c, __m128i d, char byte)
{
    const __m128i want = _mm_set1_epi8(byte);

    return bits(_mm_cmpeq_epi8(a, want)) | bits(_mm_cmpeq_epi8(b, want)) << 16 | bits(_mm_cmpeq_epi8(c, want)) << 32 |
           bits(_mm_cmpeq_epi8(d, want)) << 48;
}

/* Bit i: quotes up to and with byte i are an odd number, so byte i is in a string or opens one. */
static inline uint64_t odd_quotes(uint64_t quote)
{
    quote ^= quote << 1;
    quote ^= quote << 2;
    quote ^= quote << 4;
    quote ^= quote << 8;
    quote ^= quote << 16;
    return quote ^ quote << 32;
}

/* Which bytes are taken by the backslash before them (json/simd.c has the method, here with a carry between blocks). */
static inline uint64_t escaped_bytes(struct where *w, uint64_t backslash)
{
    const uint64_t odd = 0xaaaaaaaaaaaaaaaau, first = w->escaped, begins = backslash & ~first;
    const uint64_t codes = ((begins << 1 | odd) - begins) ^ odd; /* the backslashes that escape, and what they escape */

    w->escaped = (codes & backslash) >> (BLOCK - 1);
    return codes ^ (backslash | first);
}

static inline void sum_block(struct where *w, const char *p)
{
    const __m128i case_bit = _mm_set1_epi8(0x20); /* '[' is '{' and ']' is '}' but for this one */
    __m128i a = load(p), b = load(p + LANE), c = load(p + 2 * LANE), d = load(p + 3 * LANE);
    uint64_t quote = bits_of_equal(a, b, c, d, '"'), backslash = bits_of_equal(a, b, c, d, '\\'), open, close, inside;

    a = _mm_or_si128(a, case_bit);
    b = _mm_or_si128(b, case_bit);
    c = _mm_or_si128(c, case_bit);
    d = _mm_or_si128(d, case_bit);
    open = bits_of_equal(a, b, c, d, '{');
    close = bits_of_equal(a, b, c, d, '}');
    if (backslash || w->escaped)
        quote &= ~escaped_bytes(w, backslash);
    inside = w->in_string ? UINT64_MAX : 0;
    if (quote)
        inside ^= odd_quotes(quote);
    w->in_string = inside >> (BLOCK - 1);
    for (open &= ~inside; open; open &= open - 1)
        w->sum++;
    for (close &= ~inside; close; close &= close - 1)
        w->sum--;
}
#endif

ptrdiff_t bracket_sum(struct slice text)
{
    struct where w = {false, false, 0};

#if defined(__SSE2__)
    char padded[BLOCK] = {0};

    for (; text.n >= BLOCK; text = slice_from(text, BLOCK))
        sum_block(&w, text.p);
    if (text.n >= SHORT) {
        memcpy(padded, text.p, text.n);
        sum_block(&w, padded);
        return w.sum;
    }
#endif
    sum_bytewise(&w, text.p, text.n);
    return w.sum;
}

/* ---- Members from the end. ---- */

#if defined(__SSE2__)
static inline uint32_t quoted_letters(const char *p, __m128i one, __m128i other)
{
    const __m128i next = load(p + 1), either = _mm_or_si128(_mm_cmpeq_epi8(next, one), _mm_cmpeq_epi8(next, other));

    return (uint32_t)bits(_mm_and_si128(_mm_cmpeq_epi8(load(p), _mm_set1_epi8('"')), either));
}
#endif

/* The last place before `upto` of a quote with one of two letters behind it, or -1. */
static ptrdiff_t quoted_letter_before(struct slice text, size_t upto, const char letter[LLM_WANTS_MAX])
{
    if (upto + 1 > text.n)
        upto = text.n > 0 ? text.n - 1 : 0; /* a letter must follow */
#if defined(__SSE2__)
    const __m128i one = _mm_set1_epi8(letter[0]), other = _mm_set1_epi8(letter[1]);

    for (; upto >= 2 * LANE; upto -= 2 * LANE) {
        const char *p = text.p + upto - 2 * LANE;
        const uint32_t hits = quoted_letters(p, one, other) | quoted_letters(p + LANE, one, other) << LANE;

        if (hits)
            return p + 31 - __builtin_clz(hits) - text.p;
    }
#endif
    while (upto-- > 0)
        if (text.p[upto] == '"' && (text.p[upto + 1] == letter[0] || text.p[upto + 1] == letter[1]))
            return (ptrdiff_t)upto;
    return -1;
}

static struct slice skip_blank(struct slice s)
{
    size_t n = 0;

    while (n < s.n && (unsigned char)s.p[n] <= ' ' &&
           (s.p[n] == ' ' || s.p[n] == '\n' || s.p[n] == '\r' || s.p[n] == '\t'))
        n++;
    return slice_from(s, n);
}

struct slice value_behind(struct slice rest)
{
    rest = skip_blank(rest);
    return rest.n > 0 && rest.p[0] == ':' ? skip_blank(slice_from(rest, 1)) : slice_make(NULL, 0);
}

/* What follows the key that stands at `at`; empty when it is none. */
static struct slice value_of_key(struct slice text, size_t at, struct slice key)
{
    const char *p = text.p + at;

    if (text.n - at <= key.n || (at > 0 && p[-1] == '\\'))
        return slice_make(NULL, 0);
    for (size_t i = 1; i < key.n; i++) /* most part at the second letter, too early to call memcmp */
        if (p[i] != key.p[i])
            return slice_make(NULL, 0);
    return value_behind(slice_from(text, at + key.n));
}

void members_from_end(struct slice text, struct member_want *want, unsigned n)
{
    const char letter[LLM_WANTS_MAX] = {want[0].key.p[1], want[n - 1].key.p[1]};
    size_t mark = text.n; /* the brackets behind it are counted */
    ptrdiff_t depth = 0;
    unsigned missing = n;

    for (unsigned i = 0; i < n; i++)
        want[i].onward = slice_make(NULL, 0);
    for (ptrdiff_t at = (ptrdiff_t)text.n; missing && (at = quoted_letter_before(text, (size_t)at, letter)) >= 0;)
        for (unsigned i = 0; i < n; i++) {
            struct slice value;

            if (want[i].onward.n > 0 || (value = value_of_key(text, (size_t)at, want[i].key)).n == 0)
                continue;
            depth -= bracket_sum(slice_make(text.p + at, mark - (size_t)at));
            mark = (size_t)at;
            if (depth == want[i].depth) {
                want[i].onward = value;
                missing--;
            }
        }
}

/* ---- Words. ---- */

const char *string_end(const char *p, const char *end)
{
    while (p < end) {
#if defined(__SSE2__)
        if (end - p >= LANE) {
            const __m128i v = load(p);
            const uint64_t hits = bits(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));

            if (!hits) {
                p += LANE;
                continue;
            }
            p += __builtin_ctzll(hits);
        }
#endif
        if (*p == '"')
            return p;
        if (*p == '\\' && end - p > 1)
            p++;
        p++;
    }
    return NULL;
}

struct slice word_at(struct slice text)
{
    const char *end = text.n > 0 && text.p[0] == '"' ? string_end(text.p + 1, text.p + text.n) : NULL;

    return end ? slice_make(text.p + 1, (size_t)(end - text.p - 1)) : slice_make(NULL, 0);
}

void word_keep(char out[24], struct slice word)
{
    size_t n = word.n < 23 ? word.n : 23;

    if (n == 0)
        return;
    memcpy(out, word.p, n);
    out[n] = '\0';
}
