/* The server's side of identity: reading PEM chain and key, proving that they belong together, and remembering sessions.
 * Sessions live with the identity, so that replacing the certificate also forgets them. */
#include "net/tls_identity.h"

#include "base/clock.h"
#include "net/cert.h"
#include "net/pem.h"

enum {
    DER_MAX = 8192,
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 4096,
    DECODER_TAIL = 64, /* BearSSL 0.6 may write up to 24 bytes behind the decoder when the key file is hostile */
};

/* ---- Sessions ---- */

/* BearSSL draws session ids from its random generator, so two bytes of one are a fair index. */
static struct tls_session *session_place(const br_ssl_session_cache_class **ctx, const br_ssl_session_parameters *params)
{
    const struct tls_identity *id = (const struct tls_identity *)(const void *)ctx;

    return &id->session[(unsigned)(params->session_id[0] | params->session_id[1] << 8) % IDENTITY_SESSIONS];
}

static void session_save(const br_ssl_session_cache_class **ctx, br_ssl_server_context *cc,
                         const br_ssl_session_parameters *params)
{
    struct tls_session *s = session_place(ctx, params);

    (void)cc;
    if (params->session_id_len != sizeof params->session_id)
        return;
    s->params = *params;
    s->until_ms = clock_ms() + IDENTITY_SESSION_MS;
}

static int session_load(const br_ssl_session_cache_class **ctx, br_ssl_server_context *cc,
                        br_ssl_session_parameters *params)
{
    const struct tls_session *s = session_place(ctx, params);

    (void)cc;
    if (params->session_id_len != sizeof params->session_id || s->until_ms <= clock_ms() ||
        memcmp(s->params.session_id, params->session_id, sizeof params->session_id) != 0)
        return 0;
    *params = s->params;
    return 1;
}

static const br_ssl_session_cache_class session_class = {sizeof(struct tls_identity), session_save, session_load};

void identity_use(const struct tls_identity *id, br_ssl_server_context *cc)
{
    /* Only single keys and ECDHE: the key signs, it never decrypts. */
    if (id->key_type == BR_KEYTYPE_EC)
        br_ssl_server_set_single_ec(cc, id->chain, id->count, &id->ec, BR_KEYTYPE_SIGN, BR_KEYTYPE_EC,
                                    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
    else
        br_ssl_server_set_single_rsa(cc, id->chain, id->count, &id->rsa, BR_KEYTYPE_SIGN, br_rsa_private_get_default(),
                                     br_rsa_pkcs1_sign_get_default());
    /* The cache callbacks write to id->session, never to the identity itself. */
    br_ssl_server_set_cache(cc, (const br_ssl_session_cache_class **)(uintptr_t)&id->sessions);
}

/* ---- Chain ---- */

static unsigned char *copy_bytes(struct arena *a, const void *p, size_t n)
{
    char *to = arena_take_bytes(a, n);

    if (to && n)
        memcpy(to, p, n);
    return (unsigned char *)to;
}

static const char *load_chain(struct tls_identity *id, struct slice pem, struct arena *a, struct cert *leaf)
{
    uint8_t der[DER_MAX];
    struct pem_block block;
    struct cert cert;
    enum parse got;

    while ((got = pem_next(&pem, der, sizeof der, &block)) != PARSE_MORE) {
        if (!slice_eq(block.label, SLICE("CERTIFICATE")))
            continue; /* a file may hold chain and key together */
        if (got == PARSE_BAD || !cert_parse(block.der, &cert))
            return "certificate is damaged";
        if (id->count == IDENTITY_CERTS_MAX)
            return "too many certificates in the chain";
        unsigned char *copy = copy_bytes(a, block.der.p, block.der.n);
        if (!copy)
            return "no memory";
        id->chain[id->count].data = copy;
        id->chain[id->count++].data_len = block.der.n;
    }
    if (!id->count)
        return "no certificate in it";
    if (!cert_parse(slice_make((const char *)id->chain[0].data, id->chain[0].data_len), leaf))
        return "certificate is damaged";
    return NULL;
}

/* ---- Key ---- */

struct padded_decoder {
    br_skey_decoder_context d;
    uint8_t tail[DECODER_TAIL];
};

static bool copy_rsa(struct tls_identity *id, const br_rsa_private_key *k, struct arena *a)
{
    id->rsa = *k;
    id->rsa.p = copy_bytes(a, k->p, k->plen);
    id->rsa.q = copy_bytes(a, k->q, k->qlen);
    id->rsa.dp = copy_bytes(a, k->dp, k->dplen);
    id->rsa.dq = copy_bytes(a, k->dq, k->dqlen);
    id->rsa.iq = copy_bytes(a, k->iq, k->iqlen);
    return id->rsa.p && id->rsa.q && id->rsa.dp && id->rsa.dq && id->rsa.iq;
}

static const char *decode_key(struct tls_identity *id, struct slice der, struct arena *a)
{
    struct padded_decoder p;
    const char *why = NULL;

    br_skey_decoder_init(&p.d);
    br_skey_decoder_push(&p.d, der.p, der.n);
    const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&p.d);
    const br_ec_private_key *ec = br_skey_decoder_get_ec(&p.d);
    if (rsa) {
        id->key_type = BR_KEYTYPE_RSA;
        if (rsa->n_bitlen < RSA_BITS_MIN || rsa->n_bitlen > RSA_BITS_MAX)
            why = "RSA key must have 2048 to 4096 bits";
        else if (!copy_rsa(id, rsa, a))
            why = "no memory";
    } else if (ec) {
        id->key_type = BR_KEYTYPE_EC;
        id->ec = *ec;
        id->ec.x = copy_bytes(a, ec->x, ec->xlen);
        if (ec->curve < 23 || ec->curve > 25)
            why = "EC key must be on P-256, P-384 or P-521";
        else if (!id->ec.x)
            why = "no memory";
    } else {
        why = "private key is damaged or neither RSA nor EC";
    }
    memset(&p, 0, sizeof p);
    __asm__ volatile("" : : "r"(&p) : "memory"); /* keeps the wiping */
    return why;
}

static const char *load_key(struct tls_identity *id, struct slice pem, struct arena *a)
{
    uint8_t der[DER_MAX];
    struct pem_block block;
    enum parse got;

    while ((got = pem_next(&pem, der, sizeof der, &block)) != PARSE_MORE) {
        if (!slice_ends(block.label, SLICE("PRIVATE KEY")))
            continue; /* certificates; the "EC PARAMETERS" that openssl writes first */
        if (slice_eq(block.label, SLICE("ENCRYPTED PRIVATE KEY")))
            return "private key is encrypted";
        if (got == PARSE_BAD) /* the old encrypted form has header lines */
            return slice_find(slice_first(pem, 200), SLICE("ENCRYPTED")) >= 0 ? "private key is encrypted"
                                                                              : "private key is damaged";
        const char *why = decode_key(id, block.der, a);
        memset(der, 0, sizeof der);
        __asm__ volatile("" : : "r"(der) : "memory");
        return why;
    }
    return "no private key in it";
}

/* Signs with the key and verifies with the leaf: works alike for all kinds. */
static bool key_fits(const struct tls_identity *id, const struct cert *leaf)
{
    static const uint8_t hash[br_sha256_SIZE] = "does this key belong to this?";
    uint8_t sig[RSA_BITS_MAX / 8], back[br_sha256_SIZE], point[133];

    if (id->key_type == BR_KEYTYPE_EC) {
        const br_ec_impl *ec = br_ec_get_default();
        size_t n = leaf->key.kind == CERT_KEY_EC && leaf->key.curve == id->ec.curve
                       ? br_ec_compute_pub(ec, NULL, point, &id->ec) : 0;

        return n > 0 && slice_eq(slice_make((const char *)point, n), leaf->key.n);
    }
    br_rsa_public_key pub = {(unsigned char *)(uintptr_t)leaf->key.n.p, leaf->key.n.n,
                             (unsigned char *)(uintptr_t)leaf->key.e.p, leaf->key.e.n};
    size_t n = (id->rsa.n_bitlen + 7) / 8;
    return leaf->key.kind == CERT_KEY_RSA && leaf->key.n.n == n &&
           br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, sizeof hash, &id->rsa, sig) &&
           br_rsa_pkcs1_vrfy_get_default()(sig, n, BR_HASH_OID_SHA256, sizeof hash, &pub, back) &&
           memcmp(hash, back, sizeof hash) == 0;
}

struct tls_identity *tls_identity_load(struct slice chain_pem, struct slice key_pem, struct arena *a, const char **why)
{
    struct tls_identity *id = arena_zero(a, 1, sizeof *id);
    struct cert leaf;

    *why = "no memory";
    if (!id || !(id->session = arena_zero(a, IDENTITY_SESSIONS, sizeof *id->session)))
        return NULL;
    id->sessions = &session_class;
    *why = load_chain(id, chain_pem, a, &leaf);
    if (!*why)
        *why = load_key(id, key_pem, a);
    if (!*why && !key_fits(id, &leaf))
        *why = "private key belongs to another certificate";
    return *why ? NULL : id;
}
