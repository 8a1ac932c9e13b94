/* Collecting and checking a server's chain. BearSSL 0.6 verifies signatures, dates, names and CA flags, but
 *   - never reads extended key usage (a client certificate would pass for a server's),
 *   - ignores non-critical name constraints,
 *   - accepts RSA-1024, and any name when it is given none,
 *   - knows no IP addresses as names.
 * These rules are ours, on the same bytes. It also hashes every anchor's name for every certificate; we look the few
 * fitting anchors up first and show it only those, so a chain to nowhere costs no signature at all.
 *
 * What BearSSL sees: certificates 0..path_end, the shortest path whose last issuer is an anchor's name. Whatever a server
 * sends behind that (the root, other cross-signed issuers) is not looked at.
 *
 * Common names are accepted where a leaf has no subjectAltName at all, as BearSSL and OpenSSL do: home-made certificates
 * in front of local models often have nothing else. */
#include "net/chain.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "net/tls_words.h"

enum {
    CACHE_CHAINS = 64,          /* upstreams times their certificates in rotation */
    CACHE_TTL_MS = 10 * 60000,  /* an anchor that was withdrawn must stop counting soon */
    RSA_BYTES_MIN = 256,
    DATA_FIRST = 4096,          /* most chains fit */
    DAYS_TO_1970 = 719528,      /* BearSSL counts from the year 0 */
};

/* weir cannot run before it was written: a clock earlier than this (2026-01-01) is wrong, not the certificate. */
static const int64_t clock_sane_s = 1767225600;

static struct {
    struct {
        uint8_t key[32];
        int64_t until_ms;
        unsigned path_end;
    } entry[CACHE_CHAINS];
    uint64_t hits;
} cache;

/* ---- Cache ---- */

static void hash_bytes_of(br_sha256_context *sha, const void *p, size_t n)
{
    uint8_t size[8];

    for (unsigned i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)n >> (8 * i));
    br_sha256_update(sha, size, sizeof size);
    br_sha256_update(sha, p, n);
}

static void cache_key(struct chain *c)
{
    br_sha256_context sha;
    uint64_t serial = trust_serial(c->trust);

    br_sha256_init(&sha);
    hash_bytes_of(&sha, &serial, sizeof serial);
    hash_bytes_of(&sha, c->host, strlen(c->host));
    for (unsigned i = 0; i < c->count; i++) {
        size_t at = i ? c->cert_end[i - 1] : 0;
        hash_bytes_of(&sha, c->data + at, c->cert_end[i] - at);
    }
    br_sha256_out(&sha, c->key);
}

/* Two places per chain, so that two busy upstreams never push each other out for good. */
static bool cache_has(struct chain *c)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned at = (c->key[0] % CACHE_CHAINS) ^ i;
        if (cache.entry[at].until_ms > clock_ms() && memcmp(cache.entry[at].key, c->key, sizeof c->key) == 0) {
            c->path_end = cache.entry[at].path_end;
            return true;
        }
    }
    return false;
}

static void cache_add(const struct chain *c)
{
    unsigned at = c->key[0] % CACHE_CHAINS;

    if (cache.entry[at ^ 1].until_ms < cache.entry[at].until_ms)
        at ^= 1;
    memcpy(cache.entry[at].key, c->key, sizeof c->key);
    cache.entry[at].until_ms = clock_ms() + CACHE_TTL_MS;
    cache.entry[at].path_end = c->path_end;
}

uint64_t chain_cache_hits(void)
{
    return cache.hits;
}

/* ---- Collecting: the engine's callbacks ---- */

static struct chain *chain_of(const br_x509_class **ctx)
{
    return (struct chain *)(void *)ctx;
}

static void collect_start_chain(const br_x509_class **ctx, const char *name)
{
    struct chain *c = chain_of(ctx);

    (void)name; /* what the engine put into SNI; the host we were asked for counts */
    must(c->state == CHAIN_AWAITED);
    c->state = CHAIN_READING;
}

static void collect_start_cert(const br_x509_class **ctx, uint32_t n)
{
    struct chain *c = chain_of(ctx);
    size_t want = c->data_n + n;

    if (c->too_long || c->no_memory)
        return;
    if (c->count == CHAIN_CERTS_MAX || n > CHAIN_BYTES_MAX || want > CHAIN_BYTES_MAX) {
        c->too_long = true;
    } else if (!c->data) {
        c->data_size = want > DATA_FIRST ? want : DATA_FIRST;
        c->data = mem_take(&c->data_size);
        c->no_memory = !c->data;
    } else if (want > c->data_size) {
        uint8_t *larger = mem_grow(c->data, &c->data_size, c->data_n, want);

        if (larger)
            c->data = larger;
        else
            c->no_memory = true;
    }
}

static void collect_append(const br_x509_class **ctx, const unsigned char *p, size_t n)
{
    struct chain *c = chain_of(ctx);

    if (c->too_long || c->no_memory)
        return;
    must(n <= c->data_size - c->data_n); /* the engine hands over no more than it announced */
    memcpy(c->data + c->data_n, p, n);
    c->data_n += n;
}

static void collect_end_cert(const br_x509_class **ctx)
{
    struct chain *c = chain_of(ctx);

    if (!c->too_long && !c->no_memory)
        c->cert_end[c->count++] = c->data_n;
}

static struct slice cert_der(const struct chain *c, unsigned i)
{
    size_t at = i ? c->cert_end[i - 1] : 0;

    return slice_make((const char *)c->data + at, c->cert_end[i] - at);
}

/* BearSSL's key structures hold plain pointers and only read through them. */
static unsigned char *readable(struct slice s)
{
    return (unsigned char *)(uintptr_t)s.p;
}

static void key_for_bearssl(const struct cert_key *k, br_x509_pkey *to)
{
    if (k->kind == CERT_KEY_RSA) {
        to->key_type = BR_KEYTYPE_RSA;
        to->key.rsa.n = readable(k->n);
        to->key.rsa.nlen = k->n.n;
        to->key.rsa.e = readable(k->e);
        to->key.rsa.elen = k->e.n;
    } else {
        to->key_type = BR_KEYTYPE_EC;
        to->key.ec.curve = k->curve;
        to->key.ec.q = readable(k->n);
        to->key.ec.qlen = k->n.n;
    }
}

/* Yes for now, when the leaf has a key to go on with; the verdict is chain_step's. */
static unsigned collect_end_chain(const br_x509_class **ctx)
{
    struct chain *c = chain_of(ctx);
    struct cert leaf;

    c->state = CHAIN_REFUSED;
    if (c->too_long || c->no_memory)
        return BR_ERR_X509_LIMIT_EXCEEDED;
    if (c->count == 0)
        return BR_ERR_X509_EMPTY_CHAIN;
    if (!cert_parse(cert_der(c, 0), &leaf))
        return BR_ERR_X509_INVALID_VALUE;
    if (leaf.key.kind == CERT_KEY_OTHER)
        return BR_ERR_X509_UNSUPPORTED;
    key_for_bearssl(&leaf.key, &c->pkey);
    c->state = CHAIN_COMPLETE;
    return 0;
}

static const br_x509_pkey *collect_get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
    const struct chain *c = (const struct chain *)(const void *)ctx;

    if (usages)
        *usages = BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX; /* checked with the verdict */
    return &c->pkey;
}

const br_x509_class chain_class = {
    sizeof(struct chain), collect_start_chain, collect_start_cert, collect_append,
    collect_end_cert,     collect_end_chain,   collect_get_pkey,
};

void chain_init(struct chain *c, const struct trust *trust, struct slice host)
{
    must(host.n > 0 && host.n <= HOST_MAX && !memchr(host.p, 0, host.n));
    memset(c, 0, offsetof(struct chain, check)); /* the validator initialises itself */
    c->ec.count = 0;
    c->vtable = &chain_class;
    c->trust = trust;
    memcpy(c->host, host.p, host.n);
    if (!addr_parse(host, 0, &c->ip))
        c->ip.family = 0;
}

void chain_drop(struct chain *c)
{
    if (c->data)
        mem_give(c->data, c->data_size);
    c->data = NULL;
    c->data_size = c->data_n = 0;
}

/* ---- Checking ---- */

static enum io refuse(struct chain *c, int code, const char *what, struct fault *f)
{
    c->state = CHAIN_REFUSED;
    *f = fault_make(FAULT_TLS, code, what ? what : tls_words(code));
    return IO_FAILED;
}

/* A date problem has two directions, and BearSSL one code for both. */
static enum io refuse_dates(struct chain *c, const struct cert *at, int64_t now_s, struct fault *f)
{
    if (at->not_before > now_s) {
        if (now_s < clock_sane_s)
            return refuse(c, BR_ERR_X509_TIME_UNKNOWN, "certificate not yet valid: check the clock", f);
        return refuse(c, BR_ERR_X509_EXPIRED, "certificate not yet valid", f);
    }
    return refuse(c, BR_ERR_X509_EXPIRED, NULL, f);
}

static bool anchored(const struct chain *c, const struct cert *cert, bool leaf)
{
    const struct trust_anchor *a = NULL;

    while ((a = trust_find(c->trust, cert->issuer, a)))
        if (a->is_ca)
            return true;
    while (leaf && (a = trust_find(c->trust, cert->subject, a)))
        if (!a->is_ca)
            return true;
    return false;
}

static void add_anchors(struct chain *c, unsigned *n, struct slice name, bool ca)
{
    const struct trust_anchor *a = NULL;

    while (*n < CHAIN_ANCHORS_MAX && (a = trust_find(c->trust, name, a))) {
        if (a->is_ca != ca)
            continue;
        br_x509_trust_anchor *to = &c->anchor[(*n)++];
        to->dn.data = readable(a->name);
        to->dn.len = a->name.n;
        to->flags = ca ? BR_X509_TA_CA : 0;
        key_for_bearssl(&a->key, &to->pkey);
    }
}

static void start_validator(struct chain *c, const struct cert *leaf, const struct cert *last, int64_t now_s)
{
    static const struct {
        int id;
        const br_hash_class *hash;
    } hashes[] = {{br_sha256_ID, &br_sha256_vtable}, {br_sha384_ID, &br_sha384_vtable}, {br_sha512_ID, &br_sha512_vtable}};
    unsigned n = 0;

    add_anchors(c, &n, last->issuer, true);
    if (c->path_end == 0)
        add_anchors(c, &n, leaf->subject, false);
    br_x509_minimal_init(&c->check, &br_sha256_vtable, c->anchor, n);
    for (unsigned i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        br_x509_minimal_set_hash(&c->check, hashes[i].id, hashes[i].hash);
    br_x509_minimal_set_rsa(&c->check, br_rsa_pkcs1_vrfy_get_default());
    br_x509_minimal_set_ecdsa(&c->check, ec_steps_use(&c->ec), br_ecdsa_vrfy_asn1_get_default());
    br_x509_minimal_set_minrsa(&c->check, RSA_BYTES_MIN);
    br_x509_minimal_set_time(&c->check, (uint32_t)(now_s / 86400 + DAYS_TO_1970), (uint32_t)(now_s % 86400));
    c->check.vtable->start_chain(&c->check.vtable, c->ip.family ? NULL : c->host);
    c->fed = 0;
}

/* Reads the path's ends again: the validator keeps nothing that could be taken back. */
static void restart_validator(struct chain *c, int64_t now_s)
{
    struct cert leaf, last;

    must(cert_parse(cert_der(c, 0), &leaf) && cert_parse(cert_der(c, c->path_end), &last));
    c->replayed = c->fed;
    start_validator(c, &leaf, &last, now_s);
}

/* Finds the next path at or after certificate `from`, applies our rules to it and starts the validator. */
static enum io start_path(struct chain *c, unsigned from, int64_t now_s, struct fault *f)
{
    struct cert leaf, cert;

    if (strchr(c->host, '*')) /* BearSSL would find it equal to a wildcard's own text */
        return refuse(c, BR_ERR_X509_BAD_SERVER_NAME, NULL, f);
    c->good_until_s = INT64_MAX;
    for (unsigned i = 0; i < c->count; i++) {
        if (!cert_parse(cert_der(c, i), &cert))
            return refuse(c, BR_ERR_X509_INVALID_VALUE, NULL, f);
        if (i == 0) {
            leaf = cert;
            if (c->ip.family && !cert_has_ip(&cert, c->ip.ip, c->ip.family == 4 ? 4 : 16))
                return refuse(c, BR_ERR_X509_BAD_SERVER_NAME, NULL, f);
        }
        if (cert.not_before > now_s || cert.not_after < now_s)
            return refuse_dates(c, &cert, now_s, f);
        if (cert.not_after < c->good_until_s)
            c->good_until_s = cert.not_after;
        if (!cert.for_server)
            return refuse(c, BR_ERR_X509_FORBIDDEN_KEY_USAGE, NULL, f);
        if (cert.name_constraints)
            return refuse(c, BR_ERR_X509_CRITICAL_EXTENSION, NULL, f);
        if (i >= from && anchored(c, &cert, i == 0)) {
            c->path_end = i;
            c->replayed = 0;
            start_validator(c, &leaf, &cert, now_s);
            c->state = CHAIN_CHECKING;
            return IO_PARKED;
        }
    }
    return refuse(c, BR_ERR_X509_NOT_TRUSTED, NULL, f);
}

/* The chain was accepted before for this host under this trust; only time has passed since. */
static bool dates_still_good(struct chain *c, int64_t now_s)
{
    struct cert cert;

    c->good_until_s = INT64_MAX;
    for (unsigned i = 0; i <= c->path_end; i++) {
        if (!cert_parse(cert_der(c, i), &cert) || cert.not_before > now_s || cert.not_after < now_s)
            return false;
        if (cert.not_after < c->good_until_s)
            c->good_until_s = cert.not_after;
    }
    return true;
}

/* One certificate into the validator: at most the signature on the one before it and, at the path's end, its own.
 * Signatures by EC keys are only noted the first time; when they are computed, the validator starts over. */
static enum io feed_one(struct chain *c, int64_t now_s, struct fault *f)
{
    struct slice der = cert_der(c, c->fed++);
    const br_x509_class **ctx = &c->check.vtable;
    unsigned usages = 0;

    (void)ec_steps_use(&c->ec);
    c->check.vtable->start_cert(ctx, (uint32_t)der.n);
    c->check.vtable->append(ctx, (const unsigned char *)der.p, der.n);
    c->check.vtable->end_cert(ctx);
    if (c->ec.too_many)
        return refuse(c, BR_ERR_X509_LIMIT_EXCEEDED, NULL, f);
    if (c->ec.wanted) {
        restart_validator(c, now_s);
        return IO_PARKED;
    }
    if (c->check.err == 0 && c->fed <= c->path_end)
        return IO_PARKED;
    int code = (int)c->check.vtable->end_chain(ctx);
    if (code == BR_ERR_X509_NOT_TRUSTED && c->path_end + 1 < c->count)
        return start_path(c, c->path_end + 1, now_s, f); /* an anchor of that name with another key */
    if (code != 0)
        return refuse(c, code, NULL, f);
    (void)c->check.vtable->get_pkey((const br_x509_class *const *)ctx, &usages);
    if (!(usages & BR_KEYTYPE_SIGN))
        return refuse(c, BR_ERR_X509_FORBIDDEN_KEY_USAGE, "certificate key may not sign", f);
    c->state = CHAIN_ACCEPTED;
    c->ec.count = 0;
    cache_add(c);
    return IO_DONE;
}

/* ---- The proof of the key ---- */

static struct chain *selected;

void chain_select(struct chain *c)
{
    selected = c;
}

uint32_t chain_note_proof(const br_ec_impl *impl, const void *hash, size_t hash_n, const br_ec_public_key *key,
                          const void *sig, size_t sig_n)
{
    struct chain *c = selected;

    (void)impl;
    must(c && key == &c->pkey.key.ec);
    if (c->state != CHAIN_ACCEPTED || hash_n > sizeof c->proof_hash || sig_n > sizeof c->proof)
        return 0;
    memcpy(c->proof_hash, hash, hash_n);
    memcpy(c->proof, sig, sig_n);
    c->proof_hash_n = hash_n;
    c->proof_n = sig_n;
    c->state = CHAIN_PROVING;
    return 1;
}

static enum io prove(struct chain *c, struct fault *f)
{
    uint32_t good = br_ecdsa_vrfy_asn1_get_default()(ec_steps_use(&c->ec), c->proof_hash, c->proof_hash_n, &c->pkey.key.ec,
                                                     c->proof, c->proof_n);

    if (c->ec.wanted)
        return IO_PARKED;
    if (!good)
        return refuse(c, BR_ERR_BAD_SIGNATURE, "server's key exchange has a wrong signature", f);
    c->state = CHAIN_PROVED;
    return IO_DONE;
}

enum io chain_step(struct chain *c, struct fault *f)
{
    int64_t now_s = clock_wall_ms() / 1000;
    enum io r;

    must(chain_is_due(c));
    if (ec_steps_run(&c->ec))
        return IO_PARKED;
    if (c->state == CHAIN_PROVING)
        return prove(c, f);
    if (c->state == CHAIN_CHECKING) {
        do /* what was fed before costs next to nothing now */
            r = feed_one(c, now_s, f);
        while (r == IO_PARKED && !ec_steps_waiting(&c->ec) && c->fed < c->replayed);
        return r;
    }
    cache_key(c);
    if (cache_has(c) && dates_still_good(c, now_s)) {
        cache.hits++;
        c->state = CHAIN_ACCEPTED;
        return IO_DONE;
    }
    return start_path(c, 0, now_s, f);
}
