/* The search of peek.h.
 *
 * Why it can't miss: what matters hangs on a few JSON keys and values. A quote inside a JSON string is always escaped, so
 * a quote, a word and a quote in the raw bytes are a whole string, key or value, or the tail of one whose last
 * characters are \" and the word: then no ':' follows, or the reading that it causes finds nothing. Content can thus ask
 * for a reading but never hide a word. A provider could hide one by escaping its letters ("err\u006fr"), which would
 * only make its own stream end unannounced. Words can't be broken by a line end: JSON forbids one inside a string. What
 * stands between a key and its value can, in an event of several data lines; such an event is read.
 *
 * The cost: 32 bytes at a time are compared with "quote, then one of three letters" and with control bytes,
 * which are line ends here. */
#include "llm/peek.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { LETTERS = 3 };

/* The first letters of the words that matter on a surface; a repeated one is harmless. */
static const char letters_of[SURFACE_COUNT][LETTERS] = {
    [SURFACE_CHAT] = {'e', 'f', 'u'},        /* error, finish_reason, usage */
    [SURFACE_COMPLETIONS] = {'e', 'f', 'u'},
    [SURFACE_RESPONSES] = {'e', 'r', 's'},   /* error, response.completed ..., sequence_number */
    [SURFACE_MESSAGES] = {'e', 'm', 'm'},    /* error, message_start, message_delta, message_stop */
    [SURFACE_IMAGES] = {'e', 'i', 'u'},      /* error, image_generation.completed, usage */
    [SURFACE_SPEECH] = {'e', 's', 'u'},      /* error, speech.audio.done, usage */
    [SURFACE_COUNT_TOKENS] = {'e', 'e', 'e'},
    [SURFACE_EMBEDDINGS] = {'e', 'e', 'e'},
    [SURFACE_MODERATIONS] = {'e', 'e', 'e'},
};

static inline bool at_word(const char *p, const char *end, const char *word, size_t n)
{
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}
#define AT(p, end, lit) at_word((p), (end), "" lit, sizeof(lit) - 1)

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* p stands behind a key's closing quote: whether a value that says something follows. Not null, not "". */
static bool key_with_value(const char *p, const char *end)
{
    p = skip_blank(p, end);
    if (p == end || *p != ':')
        return false;
    p = skip_blank(p + 1, end);
    return !AT(p, end, "null") && !AT(p, end, "\"\"");
}

static void read_sequence(const char *p, const char *end, struct peek *out)
{
    uint64_t n = 0;
    const char *digits;

    p = skip_blank(p, end);
    if (p == end || *p != ':')
        return;
    p = digits = skip_blank(p + 1, end);
    while (p < end && *p >= '0' && *p <= '9' && n < UINT32_MAX)
        n = n * 10 + (uint64_t)(*p++ - '0');
    if (p > digits && n <= UINT32_MAX) {
        out->sequenced = true;
        out->sequence = (uint32_t)n;
    }
}

/* p stands behind an opening quote, or what looks like one. */
static bool word_matters(const char *p, const char *end, struct peek *out)
{
    switch (*p) {
    case 'e':
        if (!AT(p, end, "error\""))
            return false;
        p = skip_blank(p + 6, end);
        return p == end || *p != ':' || key_with_value(p, end); /* as a value it is a type or a finish reason */
    case 'f':
        return AT(p, end, "finish_reason\"") && key_with_value(p + 14, end);
    case 'u':
        return AT(p, end, "usage\"") && key_with_value(p + 6, end);
    case 'm':
        return AT(p, end, "message_delta\"") || AT(p, end, "message_stop\"") || AT(p, end, "message_start\"");
    case 'r':
        return AT(p, end, "response.") && (AT(p + 9, end, "completed\"") || AT(p + 9, end, "incomplete\"") ||
                                           AT(p + 9, end, "failed\"") || AT(p + 9, end, "done\""));
    case 's':
        if (AT(p, end, "sequence_number\""))
            read_sequence(p + 16, end, out);
        return AT(p, end, "speech.audio.done\"");
    case 'i':
        return AT(p, end, "image_generation.completed\"") || AT(p, end, "image_edit.completed\"");
    default:
        return false;
    }
}

/* p stands at the start of a line. */
static bool line_matters(const char *p, const char *end, struct peek *out)
{
    if (AT(p, end, "data:")) {
        if (out->data)
            return true; /* several lines: see above */
        out->data = true;
        p = skip_blank(p + 5, end);
        return p < end && *p != '{'; /* [DONE], or what is not an event of these APIs */
    }
    if (AT(p, end, "event:")) {
        p = skip_blank(p + 6, end);
        out->ping = AT(p, end, "ping");
        return AT(p, end, "error") || AT(p, end, "message_delta") || AT(p, end, "message_stop");
    }
    return AT(p, end, "error:"); /* GPUStack */
}

static bool hit_matters(const char *p, const char *end, struct peek *out)
{
    if (*p == '"')
        return word_matters(p + 1, end, out);
    /* Blank lines are most of them, and fields begin with these two letters. */
    return end - p > 1 && (p[1] == 'd' || p[1] == 'e') && line_matters(p + 1, end, out);
}

#if defined(__SSE2__)
enum { BLOCK = 32, READ = BLOCK + 1 }; /* a block looks at one byte behind it */

static inline uint32_t hits_in_half(const char *p, const __m128i letter[LETTERS])
{
    const __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(here, _mm_set1_epi8(0x1f)), here);
    __m128i first = _mm_or_si128(_mm_cmpeq_epi8(next, letter[0]), _mm_cmpeq_epi8(next, letter[1]));

    first = _mm_or_si128(first, _mm_cmpeq_epi8(next, letter[2]));
    first = _mm_and_si128(first, _mm_cmpeq_epi8(here, _mm_set1_epi8('"')));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(first, control));
}

static inline uint32_t hits_in_block(const char *p, const __m128i letter[LETTERS])
{
    return hits_in_half(p, letter) | hits_in_half(p + 16, letter) << 16;
}

static bool hits_matter(const char *p, uint32_t hits, const char *end, struct peek *out)
{
    for (; hits; hits &= hits - 1)
        if (hit_matters(p + __builtin_ctz(hits), end, out))
            return true;
    return false;
}

/* For at least READ bytes. The last block overlaps the one before it and leaves out what that one saw. */
static bool search(enum surface surface, const char *p, const char *end, struct peek *out)
{
    const char *const last = end - READ;
    __m128i letter[LETTERS];
    uint32_t hits;

    for (int i = 0; i < LETTERS; i++)
        letter[i] = _mm_set1_epi8(letters_of[surface][i]);
    for (; p <= last; p += BLOCK) {
        hits = hits_in_block(p, letter);
        if (hits && hits_matter(p, hits, end, out))
            return true;
    }
    if (p >= end - 1)
        return false;
    hits = hits_in_block(last, letter) & (uint32_t)((uint64_t)UINT32_MAX << (p - last));
    return hits && hits_matter(last, hits, end, out);
}
#endif

static bool search_bytewise(enum surface surface, const char *p, const char *end, struct peek *out)
{
    for (; end - p >= 2; p++)
        if ((unsigned char)*p < 0x20 || (*p == '"' && memchr(letters_of[surface], p[1], LETTERS)))
            if (hit_matters(p, end, out))
                return true;
    return false;
}

bool peek_event(enum surface surface, struct slice raw, struct peek *out)
{
    const char *const end = raw.p + raw.n;

    *out = (struct peek){0};
    if (raw.n == 0)
        return false;
    if (line_matters(raw.p, end, out))
        return true;
#if defined(__SSE2__)
    if (raw.n >= READ)
        return search(surface, raw.p, end, out);
#endif
    return search_bytewise(surface, raw.p, end, out);
}
