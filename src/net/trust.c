/* The anchor set. Only name and key of each certificate are kept (about 430 bytes each): nothing else of a root matters,
 * not even its dates, which is what BearSSL and most others do. Look-up is a scan over 4-byte hashes of names: 144 of
 * them are nine cache lines, and it is done once or twice per full handshake. */
#include "net/trust.h"

#include "net/pem.h"

enum {
    CERT_DER_MAX = 8192,    /* largest root in system bundles is below 2.2 KB */
    ANCHORS_MAX = 4096,     /* system bundles have 150 */
    RSA_BYTES_MIN = 256,    /* below 2048 bits is weak */
    RSA_BYTES_MAX = 512,    /* BearSSL verifies up to 4096 bits */
};

struct trust {
    uint64_t serial;
    unsigned count;
    uint32_t *hash; /* of each anchor's name, in the anchors' order */
    struct trust_anchor *anchor;
};

static uint64_t trust_serial_last;

static uint32_t name_hash(struct slice s)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

static bool key_usable(const struct cert_key *k)
{
    return k->kind == CERT_KEY_EC || (k->kind == CERT_KEY_RSA && k->n.n >= RSA_BYTES_MIN && k->n.n <= RSA_BYTES_MAX);
}

/* How many blocks there may be; the text is searched for the cheapest mark. */
static unsigned count_blocks(struct slice pem)
{
    static const char mark[] = "-----BEGIN ";
    unsigned n = 0;

    for (const char *p; pem.n && n < ANCHORS_MAX && (p = memmem(pem.p, pem.n, mark, sizeof mark - 1)); n++)
        pem = slice_from(pem, (size_t)(p - pem.p) + sizeof mark - 1);
    return n;
}

static bool same_anchor(const struct trust_anchor *a, const struct cert *c)
{
    return slice_eq(a->key.n, c->key.n) && slice_eq(a->key.e, c->key.e) && a->is_ca == c->is_ca;
}

/* Copies what stays. False: the arena is full. A certificate that is there already is left out. */
static bool trust_add(struct trust *t, const struct cert *c, struct arena *a)
{
    for (const struct trust_anchor *old = NULL; (old = trust_find(t, c->subject, old));)
        if (same_anchor(old, c))
            return true;
    struct trust_anchor *to = &t->anchor[t->count];
    to->key = c->key;
    to->is_ca = c->is_ca;
    size_t n = c->subject.n + c->key.n.n + c->key.e.n;
    char *p = arena_take_bytes(a, n);
    if (!p)
        return false;
    memcpy(p, c->subject.p, c->subject.n);
    to->name = slice_make(p, c->subject.n);
    p += c->subject.n;
    memcpy(p, c->key.n.p, c->key.n.n);
    to->key.n = slice_make(p, c->key.n.n);
    p += c->key.n.n;
    if (c->key.e.n)
        memcpy(p, c->key.e.p, c->key.e.n);
    to->key.e = slice_make(p, c->key.e.n);
    t->hash[t->count++] = name_hash(to->name);
    return true;
}

struct trust *trust_load(struct slice pem, struct arena *a, unsigned *skipped, const char **why)
{
    uint8_t der[CERT_DER_MAX];
    struct pem_block block;
    struct cert cert;
    unsigned left_out = 0, room = count_blocks(pem);
    const char *unused;
    enum parse got;

    if (!why)
        why = &unused;
    struct trust *t = arena_zero(a, 1, sizeof *t);
    if (t) {
        t->hash = arena_zero(a, room, sizeof *t->hash);
        t->anchor = arena_zero(a, room, sizeof *t->anchor);
    }
    if (!t || !t->hash || !t->anchor) {
        *why = "no memory for the trust anchors";
        return NULL;
    }
    while ((got = pem_next(&pem, der, sizeof der, &block)) != PARSE_MORE) {
        if (t->count == room) { /* cannot be below ANCHORS_MAX: count_blocks saw the same marks */
            left_out++;
            continue;
        }
        if (!slice_eq(block.label, SLICE("CERTIFICATE")) && !slice_eq(block.label, SLICE("X509 CERTIFICATE"))) {
            left_out += got == PARSE_BAD && !block.label.n;
            continue;
        }
        if (got == PARSE_BAD || !cert_parse(block.der, &cert) || !key_usable(&cert.key)) {
            left_out++;
        } else if (!trust_add(t, &cert, a)) {
            *why = "no memory for the trust anchors";
            return NULL;
        }
    }
    if (skipped)
        *skipped = left_out;
    if (!t->count) {
        *why = left_out ? "no usable certificate in it" : "no certificate in it";
        return NULL;
    }
    t->serial = ++trust_serial_last;
    return t;
}

unsigned trust_count(const struct trust *t)
{
    return t->count;
}

uint64_t trust_serial(const struct trust *t)
{
    return t->serial;
}

const struct trust_anchor *trust_find(const struct trust *t, struct slice name, const struct trust_anchor *after)
{
    uint32_t h = name_hash(name);

    for (size_t i = after ? (size_t)(after - t->anchor) + 1 : 0; i < t->count; i++)
        if (t->hash[i] == h && slice_eq(t->anchor[i].name, name))
            return &t->anchor[i];
    return NULL;
}
