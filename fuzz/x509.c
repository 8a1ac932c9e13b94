/* Certificates and keys: DER as it stands, the same inside PEM, and texts that are PEM already. */
#include "fuzz.h"
#include "net/cert.h"
#include "net/pem.h"
#include "net/tls.h"

static char memory[1 << 20];

static void check_cert(struct slice der)
{
    struct cert c;
    uint8_t ip[16] = {127, 0, 0, 1};

    if (!cert_parse(der, &c))
        return;
    FUZZ_CHECK(slice_eq(c.der, der) && fuzz_within(c.issuer, der) && fuzz_within(c.subject, der) && fuzz_within(c.alt_names, der));
    FUZZ_CHECK(c.key.kind == CERT_KEY_OTHER || (fuzz_within(c.key.n, der) && fuzz_within(c.key.e, der) && c.key.n.n > 0));
    (void)cert_has_ip(&c, ip, 4);
    (void)cert_has_ip(&c, ip, 16);
}

static void load(struct slice pem)
{
    const char *why = NULL;
    unsigned skipped = 0;
    struct arena a;
    struct trust *t;

    arena_init_fixed(&a, memory, sizeof memory);
    t = trust_load(pem, &a, &skipped, &why);
    FUZZ_CHECK(t ? trust_count(t) > 0 : why != NULL);
    why = NULL;
    FUZZ_CHECK(tls_identity_load(pem, pem, &a, &why) != NULL || why != NULL);
}

/* The block's bytes come back from PEM as they were. */
static void wrap(struct slice der)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *pem = malloc(der.n * 2 + 128), *p = pem, *copy;
    uint8_t *back = malloc(der.n + 1);
    struct slice text;
    struct pem_block block;

    if (!pem || !back)
        abort();
    p += snprintf(p, 64, "-----BEGIN CERTIFICATE-----\n");
    for (size_t i = 0; i < der.n; i += 3) {
        uint32_t v = 0, left = der.n - i < 3 ? (uint32_t)(der.n - i) : 3;

        for (uint32_t k = 0; k < 3; k++)
            v = v << 8 | (k < left ? (unsigned char)der.p[i + k] : 0u);
        for (uint32_t k = 0; k < 4; k++)
            *p++ = k <= left ? digits[v >> (18 - 6 * k) & 63] : '=';
        if (i % 48 == 45)
            *p++ = '\n';
    }
    p += snprintf(p, 64, "\n-----END CERTIFICATE-----\n");
    text = slice_make(pem, (size_t)(p - pem));
    copy = fuzz_copy(text);
    load(slice_make(copy, text.n));
    FUZZ_CHECK(der.n == 0 || (pem_next(&text, back, der.n, &block) == PARSE_DONE && slice_eq(block.der, der)));
    free(copy);
    free(back);
    free(pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    char *p = fuzz_copy(in);

    if (memmem(data, size, "-----BEGIN ", 11)) {
        load(slice_make(p, size));
    } else {
        check_cert(slice_make(p, size));
        wrap(slice_make(p, size));
    }
    free(p);
    return 0;
}
