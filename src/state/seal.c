/* See seal.h. Stored form: nonce (12), ciphertext, tag (16). */
#include "state/seal.h"

#include "base/sys.h"
#include "bearssl/inc/bearssl_aead.h"
#include "bearssl/inc/bearssl_block.h"
#include "state/store.h"

enum { NONCE = 12, TAG = 16, AAD_MAX = 6 + STORE_ID_MAX };

static void run(const uint8_t *key, const void *nonce, void *data, size_t n, unsigned kind, struct slice id, void *tag, int encrypt)
{
    br_chacha20_run stream = br_chacha20_sse2_get();
    br_poly1305_run mac = br_poly1305_ctmulq_get();
    char aad[AAD_MAX] = {'w', 'e', 'i', 'r', 1, (char)kind};

    must(id.n <= STORE_ID_MAX);
    if (id.n)
        memcpy(aad + 6, id.p, id.n);
    if (!stream)
        stream = br_chacha20_ct_run;
    if (!mac)
        mac = br_poly1305_ctmul_run;
    mac(key, nonce, data, n, aad, 6 + id.n, tag, stream, encrypt);
}

bool seal_close(const uint8_t key[SEAL_KEY], unsigned kind, struct slice id, struct slice plain, char *out)
{
    if (!sys_random(out, NONCE))
        return false;
    if (plain.n)
        memcpy(out + NONCE, plain.p, plain.n);
    run(key, out, out + NONCE, plain.n, kind, id, out + NONCE + plain.n, 1);
    return true;
}

bool seal_open(const uint8_t key[SEAL_KEY], unsigned kind, struct slice id, struct slice sealed, char *out)
{
    char tag[TAG];
    size_t n = sealed.n - SEAL_EXTRA;

    if (sealed.n < SEAL_EXTRA)
        return false;
    if (n)
        memcpy(out, sealed.p + NONCE, n);
    run(key, sealed.p, out, n, kind, id, tag, 0);
    if (slice_eq_const_time(slice_make(tag, TAG), slice_make(sealed.p + NONCE + n, TAG)))
        return true;
    explicit_bzero(out, n);
    return false;
}

/* -1: not a digit of that system. */
static int digit(char c, bool hex)
{
    if (hex)
        return c >= '0' && c <= '9' ? c - '0' : ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1;
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

bool seal_key_parse(struct slice text, uint8_t out[SEAL_KEY])
{
    struct slice s = slice_trim(text);
    bool hex = s.n == 2 * SEAL_KEY;
    unsigned per = hex ? 4 : 6, have = 0;
    uint32_t bits = 0;
    size_t n = 0;

    if (s.n == 44 && s.p[43] == '=')
        s.n--;
    if (!hex && s.n != 43)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit(s.p[i], hex);

        if (d < 0)
            return false;
        bits = bits << per | (uint32_t)d;
        have += per;
        if (have >= 8)
            out[n++] = (uint8_t)(bits >> (have -= 8));
    }
    return n == SEAL_KEY && !(bits & ((1u << have) - 1)); /* the bits left over are zero, or it is no text of 32 bytes */
}
