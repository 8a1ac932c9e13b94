/* SHA-256. The SHA instructions of x86-64 do one key in about 100 ns, plain C takes seven times as long, and every
 * request pays it once; so the block function is chosen at run time. Everything without them goes to BearSSL. */
#include "base/sha256.h"

#include "base/cpu.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef" /* their headers test macros that they do not define */
#include "bearssl/inc/bearssl_hash.h"
#pragma GCC diagnostic pop

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_NI 1
#else
#define HAVE_NI 0
#endif

enum { BLOCK = 64, LENGTH_AT = 56 };

enum engine { ENGINE_UNKNOWN, ENGINE_PLAIN, ENGINE_NI };

static enum engine engine; /* written once, by whoever asks first; the same answer every time */

static void sha256_plain(struct slice message, uint8_t out[32])
{
    br_sha256_context c;

    br_sha256_init(&c);
    if (message.n)
        br_sha256_update(&c, message.p, message.n);
    br_sha256_out(&c, out);
}

#if HAVE_NI

static const uint32_t round_key[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The instructions keep the state as two registers in the order ABEF and CDGH. */
struct ni_state {
    __m128i abef, cdgh;
};

/* Four rounds, with the message words w of these rounds. */
__attribute__((target("sha,sse4.1"))) static inline void four_rounds(struct ni_state *s, __m128i w, unsigned group)
{
    const uint32_t *k = round_key + (size_t)group * 4;
    __m128i wk = _mm_add_epi32(w, _mm_set_epi32((int)k[3], (int)k[2], (int)k[1], (int)k[0]));

    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

__attribute__((target("sha,sse4.1"))) static void blocks_ni(struct ni_state *state, const char *p, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

    for (; blocks; blocks--, p += BLOCK) {
        struct ni_state s = *state;
        __m128i w[4];

        for (unsigned i = 0; i < 4; i++) {
            __m128i raw;

            memcpy(&raw, p + (size_t)i * 16, sizeof(raw));
            w[i] = _mm_shuffle_epi8(raw, big_endian);
        }
        /* w[g % 4] is replaced by the words of the group four later as soon as it has been used. */
        for (unsigned g = 0; g < 16; g++) {
            __m128i now = w[g % 4];

            four_rounds(&s, now, g);
            if (g < 12) {
                __m128i t = _mm_sha256msg1_epu32(now, w[(g + 1) % 4]);

                t = _mm_add_epi32(t, _mm_alignr_epi8(w[(g + 3) % 4], w[(g + 2) % 4], 4));
                w[g % 4] = _mm_sha256msg2_epu32(t, w[(g + 3) % 4]);
            }
        }
        state->abef = _mm_add_epi32(state->abef, s.abef);
        state->cdgh = _mm_add_epi32(state->cdgh, s.cdgh);
    }
}

__attribute__((target("sha,sse4.1"))) static void sha256_ni(struct slice message, uint8_t out[32])
{
    struct ni_state s = {
        .abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c),
        .cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19),
    };
    size_t whole = message.n / BLOCK, rest = message.n % BLOCK;
    size_t tail_n = rest < LENGTH_AT ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)message.n * 8;
    char tail[2 * BLOCK] = {0};
    const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    __m128i abef, cdgh, abcd, efgh;

    blocks_ni(&s, message.p, whole);
    if (rest)
        memcpy(tail, message.p + whole * BLOCK, rest);
    tail[rest] = (char)0x80;
    for (unsigned i = 0; i < 8; i++)
        tail[tail_n - 1 - i] = (char)(bits >> (8 * i) & 0xff);
    blocks_ni(&s, tail, tail_n / BLOCK);
    explicit_bzero(tail, sizeof(tail)); /* the end of somebody's key */

    /* Registers hold a b e f and c d g h from the high word down; out is a..h, each big endian. */
    abef = s.abef;
    cdgh = s.cdgh;
    abcd = _mm_shuffle_epi8(_mm_unpackhi_epi64(cdgh, abef), reverse);
    efgh = _mm_shuffle_epi8(_mm_unpacklo_epi64(cdgh, abef), reverse);
    memcpy(out, &abcd, 16);
    memcpy(out + 16, &efgh, 16);
}

#endif

static enum engine engine_chosen(void)
{
    if (__builtin_expect(engine == ENGINE_UNKNOWN, 0)) {
        engine = ENGINE_PLAIN;
#if HAVE_NI
        if (cpu_has(CPU_SHA))
            engine = ENGINE_NI;
#endif
    }
    return engine;
}

void sha256(struct slice message, uint8_t out[32])
{
#if HAVE_NI
    if (engine_chosen() == ENGINE_NI) {
        sha256_ni(message, out);
        return;
    }
#endif
    sha256_plain(message, out);
}

void sha256_hex(const uint8_t hash[32], char out[65])
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digit[hash[i] >> 4];
        out[2 * i + 1] = digit[hash[i] & 15];
    }
    out[64] = '\0';
}

const char *sha256_engine(void)
{
    return engine_chosen() == ENGINE_NI ? "sha-ni" : "plain";
}
