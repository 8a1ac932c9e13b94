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
