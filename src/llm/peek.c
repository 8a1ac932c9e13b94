/* The search of peek.h.
 *
 * Why it can't miss: what matters hangs on a few JSON keys and values. A quote inside a JSON string is always escaped, so
 * a quote, a word and a quote in the raw bytes are a whole string, key or value, or the tail of one whose last
 * characters are \" and the word: then no ':' follows, or the reading that it causes finds nothing. Content can thus ask
 * for a reading but never hide a word. A provider could hide one by escaping its letters ("err\u006fr"), which would
 * only make its own stream end unannounced. Words can't be broken by a line end: JSON forbids one inside a string. What
 * stands between a key and its value can, in an event of several data lines; such an event is read.
 *
 * The cost: 64 bytes at a time are compared with "quote, then one of three letters" and with control bytes,
 * nearly all of which are line ends here. */
#include "llm/peek.h"

#include <string.h>

#include "base/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

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

INLINE bool at_word(const char *p, const char *end, const char *word, size_t n)
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
INLINE bool key_with_value(const char *p, const char *end)
{
    if (AT(p, end, ":null")) /* nearly always */
        return false;
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
INLINE bool word_matters(const char *p, const char *end, struct peek *out)
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
        /* What the name says stands in the data as well, but for a provider that leaves the type out there. */
        return AT(p, end, "error") || AT(p, end, "message_") || AT(p, end, "response.completed") || AT(p, end, "response.incomplete") ||
               AT(p, end, "response.failed") || AT(p, end, "response.done") || AT(p, end, "image_generation.completed") ||
               AT(p, end, "image_edit.completed") || AT(p, end, "speech.audio.done");
    }
    return AT(p, end, "error:"); /* GPUStack */
}

/* alone: a border of events before the end matters as well, and so does any line end that is not LF. */
INLINE bool hit_matters(const char *p, const char *end, struct peek *out, bool alone)
{
    if (*p == '"')
        return word_matters(p + 1, end, out);
    if (alone && (*p == '\r' || (*p == '\n' && p[1] == '\n' && end - p > 2)))
        return true;
    /* Blank lines are most of them, and fields begin with these two letters. A tab ends no line. */
    return end - p > 1 && (p[1] == 'd' || p[1] == 'e') && (*p == '\n' || *p == '\r') && line_matters(p + 1, end, out);
}

static bool search_bytewise(enum surface surface, const char *p, const char *end, struct peek *out, bool alone)
{
    for (; end - p >= 2; p++)
        if ((unsigned char)*p < 0x20 || (*p == '"' && memchr(letters_of[surface], p[1], LETTERS)))
            if (hit_matters(p, end, out, alone))
                return true;
    return false;
}

/* ---- Blocks of 64: AVX2 chosen at run time, which halves the work, else SSE2. ---- */

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

enum { BLOCK = 64, READ = BLOCK + 1 /* a block looks at one byte behind it */, RUN = 16 /* blocks at once */ };

/* Sets one bit for each place of n blocks from p on that is to be looked at. A block that would begin after `last` begins
 * there instead. Nothing is called in between: the registers keep the letters. */
typedef void (*mark_fn)(uint64_t *hits, size_t n, const char *p, const char *last, const char *letter);

INLINE uint64_t sse2_quarter(const char *p, const char *letter)
{
    const __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(here, _mm_set1_epi8(0x1f)), here);
    __m128i first = _mm_cmpeq_epi8(next, _mm_set1_epi8(letter[0]));

    first = _mm_or_si128(first, _mm_cmpeq_epi8(next, _mm_set1_epi8(letter[1])));
    first = _mm_or_si128(first, _mm_cmpeq_epi8(next, _mm_set1_epi8(letter[2])));
    first = _mm_and_si128(first, _mm_cmpeq_epi8(here, _mm_set1_epi8('"')));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(first, control));
}

INLINE uint64_t sse2_hits(const char *p, const char *letter)
{
    return sse2_quarter(p, letter) | sse2_quarter(p + 16, letter) << 16 | sse2_quarter(p + 32, letter) << 32 |
           sse2_quarter(p + 48, letter) << 48;
}

AVX2 static inline uint64_t avx2_half(const char *p, const char *letter)
{
    const __m256i here = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i next = _mm256_loadu_si256((const __m256i *)(const void *)(p + 1));
    const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(here, _mm256_set1_epi8(0x1f)), here);
    __m256i first = _mm256_cmpeq_epi8(next, _mm256_set1_epi8(letter[0]));

    first = _mm256_or_si256(first, _mm256_cmpeq_epi8(next, _mm256_set1_epi8(letter[1])));
    first = _mm256_or_si256(first, _mm256_cmpeq_epi8(next, _mm256_set1_epi8(letter[2])));
    first = _mm256_and_si256(first, _mm256_cmpeq_epi8(here, _mm256_set1_epi8('"')));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(first, control));
}

AVX2 static inline uint64_t avx2_hits(const char *p, const char *letter)
{
    return avx2_half(p, letter) | avx2_half(p + 32, letter) << 32;
}

static void sse2_mark(uint64_t *hits, size_t n, const char *p, const char *last, const char *letter)
{
    for (size_t i = 0; i < n; i++)
        hits[i] = sse2_hits(p + i * BLOCK < last ? p + i * BLOCK : last, letter);
}

AVX2 static void avx2_mark(uint64_t *hits, size_t n, const char *p, const char *last, const char *letter)
{
    for (size_t i = 0; i < n; i++)
        hits[i] = avx2_hits(p + i * BLOCK < last ? p + i * BLOCK : last, letter);
}

static mark_fn mark;

bool peek_wide(bool wish)
{
    bool wide = wish && cpu_has(CPU_AVX2);

    mark = wide ? avx2_mark : sse2_mark;
    return wide;
}

static bool search(enum surface surface, const char *p, const char *end, struct peek *out, bool alone)
{
    const char *const last = end - READ;
    uint64_t hits[RUN];

    if (end - p < READ)
        return search_bytewise(surface, p, end, out, alone);
    if (!mark)
        (void)peek_wide(true);
    for (size_t left = (size_t)(end - 1 - p), n; left > 0; left -= n) {
        const char *from = end - 1 - left;

        n = left < RUN * BLOCK ? left : RUN * BLOCK;
        mark(hits, (n + BLOCK - 1) / BLOCK, from, last, letters_of[surface]);
        for (size_t i = 0; i * BLOCK < n; i++) {
            const char *block = from + i * BLOCK;
            uint64_t bits = hits[i];

            if (block > last) { /* what overlaps was seen */
                bits &= UINT64_MAX << (block - last);
                block = last;
            }
            for (; bits; bits &= bits - 1)
                if (hit_matters(block + __builtin_ctzll(bits), end, out, alone))
                    return true;
        }
    }
    return false;
}

#else

bool peek_wide(bool wish)
{
    return wish && false;
}

static bool search(enum surface surface, const char *p, const char *end, struct peek *out, bool alone)
{
    return search_bytewise(surface, p, end, out, alone);
}
#endif

bool peek_event(enum surface surface, struct slice raw, struct peek *out)
{
    const char *const end = raw.p + raw.n;

    *out = (struct peek){0};
    if (raw.n == 0)
        return false;
    if (line_matters(raw.p, end, out))
        return true;
    return search(surface, raw.p, end, out, false);
}

bool peek_alone(enum surface surface, struct slice text, struct peek *out)
{
    const char *const end = text.p + text.n;

    *out = (struct peek){0};
    if (text.n < 3 || end[-1] != '\n' || end[-2] != '\n' || text.p[0] == '\n' || text.p[0] == '\r')
        return false;
    return !line_matters(text.p, end, out) && !search(surface, text.p, end, out, true);
}
