/* String skipping by 64-byte blocks: AVX2 chosen at run time, SSE2 and NEON where the compiler may assume
 * them, and machine words anywhere. A level gives three mask functions for a block; everything else is one
 * piece of code for all of them. Bit i of a mask speaks of byte i of the block.
 *
 * No level reads past the end: a rest shorter than a block is copied into one padded with NUL, which can
 * stand in no string and so ends every run. */
#include "json/simd.h"

#include <stdbool.h>
#include <string.h>

#include "base/cpu.h"
#include "json/scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

/* ---- Any machine. ---- */

static size_t word_plain(const uint8_t *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        uint64_t special = json_word_special(p + i);

        if (special)
            return i + (size_t)__builtin_ctzll(special) / 8;
    }
    while (i < n && json_is_plain(p[i]))
        i++;
    return i;
}

/* ---- Blocks of 64, for the levels that have masks. ---- */

#if defined(__x86_64__) || (defined(__ARM_NEON) && defined(__aarch64__))

#define INLINE static inline __attribute__((always_inline))

struct masks {
    uint64_t quote, backslash;
    uint64_t control; /* < 0x20 */
    uint64_t high;    /* >= 0x80 */
};

typedef bool (*clean_fn)(const uint8_t *block); /* all 64 are plain: no mask has a bit */
typedef struct masks (*masks_fn)(const uint8_t *block);
typedef uint64_t (*simple_fn)(const uint8_t *block); /* bytes that may follow a backslash, 'u' excepted */
typedef uint64_t (*utf8_fn)(const uint8_t *block);   /* see avx2_utf8_errors; NULL when the level has none */

/* Which bytes are taken by the backslash before them, the first one being free. Backslashes come in runs, and
 * every second one of a run is escaped; subtracting lets a carry run along each sequence that starts at an
 * odd or even bit, which settles the whole block without a loop (the method of simdjson 3). */
INLINE uint64_t escaped_by(uint64_t backslash)
{
    const uint64_t odd = 0xaaaaaaaaaaaaaaaau;
    uint64_t maybe = backslash << 1;

    return (((maybe | odd) - backslash) ^ odd) ^ backslash;
}

/* Bytes at the end of a block that begin a character which ends in the next one. */
INLINE size_t unfinished(const uint8_t *block)
{
    if (block[63] >= 0xc0)
        return 1;
    if (block[62] >= 0xe0)
        return 2;
    return block[61] >= 0xf0 ? 3 : 0;
}

/* How far one block goes (0..64). `next` tells whether to go on with the block that starts there. */
INLINE size_t content_block(const uint8_t *block, masks_fn masks, simple_fn simple, utf8_fn utf8, bool *next)
{
    struct masks m = masks(block);
    uint64_t escaped = 0, stop = m.quote | m.control, upto;
    size_t back = 0;

    *next = false;
    if (m.backslash) {
        escaped = escaped_by(m.backslash);
        stop = (stop & ~escaped) | (escaped & ~simple(block));
        back = (m.backslash & ~escaped) >> 63; /* its second half is in the next block */
    }
    if (m.high) {
        if (!utf8) {
            stop |= m.high;
        } else {
            upto = stop ? stop ^ (stop - 1) : ~(uint64_t)0;
            /* An unfinished character before the stop shows as an error at the stop itself. */
            if ((m.high & upto) && (utf8(block) & upto))
                stop |= m.high;
            else
                back += unfinished(block); /* a block ends in a backslash or a lead byte, not in both */
        }
    }
    if (stop) {
        size_t at = (size_t)__builtin_ctzll(stop);

        return at - (escaped >> at & 1); /* back to the backslash that the byte belongs to */
    }
    *next = true;
    return 64 - back;
}

INLINE size_t content_run(const uint8_t *p, size_t n, clean_fn clean, masks_fn masks, simple_fn simple, utf8_fn utf8)
{
    uint8_t tail[64] = {0};
    size_t i = 0;
    bool next = true;

    while (n - i >= 64) {
        if (clean(p + i)) {
            i += 64;
            continue;
        }
        i += content_block(p + i, masks, simple, utf8, &next);
        if (!next)
            return i;
    }
    if (i < n) {
        memcpy(tail, p + i, n - i);
        i += content_block(tail, masks, simple, utf8, &next);
    }
    return i;
}

INLINE size_t plain_run(const uint8_t *p, size_t n, clean_fn clean)
{
    size_t i = 0;

    while (n - i >= 64 && clean(p + i))
        i += 64;
    return i + word_plain(p + i, n - i);
}

#endif

/* ---- x86-64: SSE2 is always there, AVX2 nearly always. ---- */

#if defined(__x86_64__)

INLINE __m128i sse2_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE uint64_t sse2_bits(__m128i v, unsigned shift)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(v) << shift;
}

INLINE __m128i sse2_special(const uint8_t *p)
{
    __m128i v = sse2_load(p);

    /* The comparison is signed and so takes the bytes >= 0x80 too. */
    return _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                                            _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
}

INLINE bool sse2_clean(const uint8_t *block)
{
    __m128i any = _mm_or_si128(_mm_or_si128(sse2_special(block), sse2_special(block + 16)),
                               _mm_or_si128(sse2_special(block + 32), sse2_special(block + 48)));

    return _mm_movemask_epi8(any) == 0;
}

INLINE struct masks sse2_masks(const uint8_t *block)
{
    struct masks m = {0, 0, 0, 0};

    for (unsigned i = 0; i < 64; i += 16) {
        __m128i v = sse2_load(block + i);

        m.quote |= sse2_bits(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), i);
        m.backslash |= sse2_bits(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')), i);
        m.control |= sse2_bits(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), i); /* and the high ones */
        m.high |= sse2_bits(v, i);
    }
    m.control &= ~m.high;
    return m;
}

INLINE uint64_t sse2_simple(const uint8_t *block)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < 64; i += 16) {
        __m128i v = sse2_load(block + i);
        __m128i hit = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));

        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('/')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('b')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('f')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('n')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('r')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('t')));
        mask |= sse2_bits(hit, i);
    }
    return mask;
}

static size_t sse2_content(const uint8_t *p, size_t n)
{
    return content_run(p, n, sse2_clean, sse2_masks, sse2_simple, NULL);
}

static size_t sse2_plain(const uint8_t *p, size_t n)
{
    return plain_run(p, n, sse2_clean);
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i avx2_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline uint64_t avx2_bits(__m256i low, __m256i high)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2 static inline __m256i avx2_special(__m256i v)
{
    return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v),
                           _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
                                           _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'))));
}

AVX2 static inline bool avx2_clean(const uint8_t *block)
{
    __m256i any = _mm256_or_si256(avx2_special(avx2_load(block)), avx2_special(avx2_load(block + 32)));

    return _mm256_testz_si256(any, any);
}

AVX2 static inline struct masks avx2_masks(const uint8_t *block)
{
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\');
    const __m256i space = _mm256_set1_epi8(0x20);
    __m256i a = avx2_load(block), b = avx2_load(block + 32);
    struct masks m;

    m.quote = avx2_bits(_mm256_cmpeq_epi8(a, quote), _mm256_cmpeq_epi8(b, quote));
    m.backslash = avx2_bits(_mm256_cmpeq_epi8(a, backslash), _mm256_cmpeq_epi8(b, backslash));
    m.high = avx2_bits(a, b);
    m.control = avx2_bits(_mm256_cmpgt_epi8(space, a), _mm256_cmpgt_epi8(space, b)) & ~m.high;
    return m;
}

/* The same 16 entries for both halves, which is what the shuffle wants. */
#define TABLE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

AVX2 static inline __m256i high_nibble(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
}

/* '"' 22, '/' 2f, '\' 5c, 'b' 62, 'f' 66, 'n' 6e, 'r' 72, 't' 74: one bit per high nibble that occurs, and
 * for each low nibble the high ones it goes with. */
AVX2 static inline __m256i avx2_simple_half(__m256i v)
{
    const __m256i by_high = TABLE(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i by_low = TABLE(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    __m256i low = _mm256_and_si256(v, _mm256_set1_epi8(0x0f));
    __m256i both = _mm256_and_si256(_mm256_shuffle_epi8(by_high, high_nibble(v)), _mm256_shuffle_epi8(by_low, low));

    return _mm256_cmpgt_epi8(both, _mm256_setzero_si256());
}

AVX2 static inline uint64_t avx2_simple(const uint8_t *block)
{
    return avx2_bits(avx2_simple_half(avx2_load(block)), avx2_simple_half(avx2_load(block + 32)));
}

/* UTF-8 by three table look-ups (Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte",
 * 2021): each pair of neighbouring bytes is classed by the first one's two nibbles and the second one's high
 * nibble, each bit being one way to be wrong; what remains is whether the third and fourth bytes of long
 * characters are where they belong. */
enum {
    TOO_SHORT = 1 << 0,      /* a lead, then no continuation */
    TOO_LONG = 1 << 1,       /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2,     /* e0 80..9f */
    TOO_LARGE = 1 << 3,      /* f4 90..bf, f5.. 90..bf */
    SURROGATE = 1 << 4,      /* ed a0..bf */
    OVERLONG_2 = 1 << 5,     /* c0, c1 */
    TOO_LARGE_1000 = 1 << 6, /* f5.. 80..8f; shares a bit with the next, which has another low nibble */
    OVERLONG_4 = 1 << 6,     /* f0 80..8f */
    TWO_CONTS = 1 << 7,      /* right only where a long character wants it */
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS,
};

#define B(bits) ((char)(bits))

AVX2 static inline __m256i utf8_errors_half(__m256i v, __m256i before)
{
    const __m256i first_high =
        TABLE(B(TOO_LONG), B(TOO_LONG), B(TOO_LONG), B(TOO_LONG), B(TOO_LONG), B(TOO_LONG), B(TOO_LONG),
              B(TOO_LONG), B(TWO_CONTS), B(TWO_CONTS), B(TWO_CONTS), B(TWO_CONTS), B(TOO_SHORT | OVERLONG_2),
              B(TOO_SHORT), B(TOO_SHORT | OVERLONG_3 | SURROGATE),
              B(TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4));
    const __m256i first_low =
        TABLE(B(CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), B(CARRY | OVERLONG_2), B(CARRY), B(CARRY),
              B(CARRY | TOO_LARGE), B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
              B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
              B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
              B(CARRY | TOO_LARGE | TOO_LARGE_1000), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
              B(CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE), B(CARRY | TOO_LARGE | TOO_LARGE_1000),
              B(CARRY | TOO_LARGE | TOO_LARGE_1000));
    const __m256i second_high =
        TABLE(B(TOO_SHORT), B(TOO_SHORT), B(TOO_SHORT), B(TOO_SHORT), B(TOO_SHORT), B(TOO_SHORT), B(TOO_SHORT),
              B(TOO_SHORT), B(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4),
              B(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE),
              B(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE),
              B(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE), B(TOO_SHORT), B(TOO_SHORT),
              B(TOO_SHORT), B(TOO_SHORT));
    __m256i joint = _mm256_permute2x128_si256(before, v, 0x21);
    __m256i prev1 = _mm256_alignr_epi8(v, joint, 15);
    __m256i prev2 = _mm256_alignr_epi8(v, joint, 14);
    __m256i prev3 = _mm256_alignr_epi8(v, joint, 13);
    __m256i low = _mm256_and_si256(prev1, _mm256_set1_epi8(0x0f));
    __m256i pair = _mm256_and_si256(_mm256_and_si256(_mm256_shuffle_epi8(first_high, high_nibble(prev1)),
                                                     _mm256_shuffle_epi8(first_low, low)),
                                    _mm256_shuffle_epi8(second_high, high_nibble(v)));
    __m256i third = _mm256_subs_epu8(prev2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(prev3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i wanted = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(B(0x80)));

    return _mm256_xor_si256(wanted, pair); /* TWO_CONTS is the same bit, so exactly the wanted ones vanish */
}

/* Bit i: byte i, with the bytes before it in the block, cannot be UTF-8. The block starts at a character; one
 * that is cut off by the block's end is no error. */
AVX2 static inline uint64_t avx2_utf8_errors(const uint8_t *block)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i a = avx2_load(block), b = avx2_load(block + 32);

    return ~avx2_bits(_mm256_cmpeq_epi8(utf8_errors_half(a, zero), zero),
                      _mm256_cmpeq_epi8(utf8_errors_half(b, a), zero));
}

AVX2 static size_t avx2_content(const uint8_t *p, size_t n)
{
    return content_run(p, n, avx2_clean, avx2_masks, avx2_simple, avx2_utf8_errors);
}

AVX2 static size_t avx2_plain(const uint8_t *p, size_t n)
{
    return plain_run(p, n, avx2_clean);
}

static bool has_avx2(void)
{
    return cpu_has(CPU_AVX2);
}

/* ---- 64-bit ARM. ---- */

#elif defined(__ARM_NEON) && defined(__aarch64__)

/* There is no movemask: keep one bit per byte, then add neighbours three times. */
INLINE uint64_t neon_bits(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    static const uint8_t weight[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t w = vld1q_u8(weight);
    uint8x16_t ab = vpaddq_u8(vandq_u8(a, w), vandq_u8(b, w));
    uint8x16_t cd = vpaddq_u8(vandq_u8(c, w), vandq_u8(d, w));
    uint8x16_t sum = vpaddq_u8(ab, cd);

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

INLINE uint64_t neon_equal(const uint8x16_t v[4], uint8_t c)
{
    uint8x16_t k = vdupq_n_u8(c);

    return neon_bits(vceqq_u8(v[0], k), vceqq_u8(v[1], k), vceqq_u8(v[2], k), vceqq_u8(v[3], k));
}

INLINE uint64_t neon_below(const uint8x16_t v[4], uint8_t c)
{
    uint8x16_t k = vdupq_n_u8(c);

    return neon_bits(vcltq_u8(v[0], k), vcltq_u8(v[1], k), vcltq_u8(v[2], k), vcltq_u8(v[3], k));
}

INLINE uint8x16_t neon_special(const uint8_t *p)
{
    uint8x16_t v = vld1q_u8(p);

    /* As signed numbers, the bytes >= 0x80 are below 0x20 too. */
    return vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(0x20)),
                    vorrq_u8(vceqq_u8(v, vdupq_n_u8('"')), vceqq_u8(v, vdupq_n_u8('\\'))));
}

INLINE bool neon_clean(const uint8_t *block)
{
    return vmaxvq_u8(vorrq_u8(vorrq_u8(neon_special(block), neon_special(block + 16)),
                              vorrq_u8(neon_special(block + 32), neon_special(block + 48)))) == 0;
}

INLINE struct masks neon_masks(const uint8_t *block)
{
    uint8x16_t v[4] = {vld1q_u8(block), vld1q_u8(block + 16), vld1q_u8(block + 32), vld1q_u8(block + 48)};
    struct masks m;

    m.quote = neon_equal(v, '"');
    m.backslash = neon_equal(v, '\\');
    m.control = neon_below(v, 0x20);
    m.high = ~neon_below(v, 0x80);
    return m;
}

INLINE uint64_t neon_simple(const uint8_t *block)
{
    uint8x16_t v[4] = {vld1q_u8(block), vld1q_u8(block + 16), vld1q_u8(block + 32), vld1q_u8(block + 48)};

    return neon_equal(v, '"') | neon_equal(v, '\\') | neon_equal(v, '/') | neon_equal(v, 'b') |
           neon_equal(v, 'f') | neon_equal(v, 'n') | neon_equal(v, 'r') | neon_equal(v, 't');
}

static size_t neon_content(const uint8_t *p, size_t n)
{
    return content_run(p, n, neon_clean, neon_masks, neon_simple, NULL);
}

static size_t neon_plain(const uint8_t *p, size_t n)
{
    return plain_run(p, n, neon_clean);
}

#endif

/* ---- Choice. ---- */

static bool always(void)
{
    return true;
}

static const struct level {
    struct json_simd ops;
    bool (*here)(void);
} levels[] = {
    /* best first */
#if defined(__x86_64__)
    {{"avx2", true, avx2_content, avx2_plain}, has_avx2},
    {{"sse2", false, sse2_content, sse2_plain}, always},
#elif defined(__ARM_NEON) && defined(__aarch64__)
    {{"neon", false, neon_content, neon_plain}, always},
#endif
    {{"word", false, word_plain, word_plain}, always},
};

static const struct json_simd *chosen;

const struct json_simd *json_simd_now(void)
{
    for (size_t i = 0; !chosen; i++) /* ends: the last level is always here */
        if (levels[i].here())
            chosen = &levels[i].ops;
    return chosen;
}

const char *json_simd(void)
{
    return json_simd_now()->name;
}

bool json_simd_force(const char *name)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(levels[i].ops.name, name) == 0 && levels[i].here()) {
            chosen = &levels[i].ops;
            return true;
        }
    return false;
}
