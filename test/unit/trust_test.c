/* PEM, certificates and anchors, with BearSSL's own decoders as the second opinion. */
#include "bearssl.h"

#include "base/arena.h"
#include "check.h"
#include "net/cert.h"
#include "net/pem.h"
#include "net/trust.h"
#include "tls_certs.h"

static char memory[1 << 20];

/* ---- PEM ---- */

static void test_pem(void)
{
    static const struct {
        const char *text, *label, *der; /* label NULL: no block; der NULL: a bad one */
    } cases[] = {
        {"", NULL, NULL},
        {"no block at all\n", NULL, NULL},
        {"-----BEGIN X-----\n-----END X-----\n", "X", ""},
        {"-----BEGIN X-----\nTWFu\n-----END X-----\n", "X", "Man"},
        {"-----BEGIN X-----\nTWE=\n-----END X-----\n", "X", "Ma"},
        {"-----BEGIN X-----\nTQ==\n-----END X-----\n", "X", "M"},
        {"-----BEGIN X-----\nTWFuTWFu\r\nTWFu\r\n-----END X-----\r\n", "X", "ManManMan"},
        {"-----BEGIN X-----\n T W F u \n\tTQ= =\n-----END X-----", "X", "ManM"},
        {"-----BEGIN X-----\nTW\nFuT\nWF1\n-----END X-----", "X", "ManMau"},
        {"subject=/CN=x\n-----BEGIN A B C-----\nTWFu\n-----END A B C-----\n", "A B C", "Man"},
        {"-----BEGIN X-----\nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/\n-----END X-----\n", "X",
         "\x69\xb7\x1d\x79\xf8\x21\x8a\x39\x25\x9a\x7a\x29\xaa\xbb\x2d\xba\xfc\x31\xcb\x30\x01\x08\x31\x05\x18\x72\x09\x28\xb3"
         "\x0d\x38\xf4\x11\x49\x35\x15\x59\x76\x19\xd3\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf"},
        {"-----BEGIN X-----\nTWF\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nT\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nT===\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTQ=\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTQ===\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTQ==TWFu\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\n=\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTR==\n-----END X-----\n", "X", NULL},  /* unused bits are not zero */
        {"-----BEGIN X-----\nTWF=\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTW?u\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTW\xc3\xa4u\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X-----\nTWFu\n-----END Y-----\n", "X", NULL},
        {"-----BEGIN X-----\nTWFu\n-----END XX-----\n", "X", NULL},
        {"-----BEGIN X-----\nTWFu\n", "X", NULL},
        {"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nTWFu\n-----END X-----\n", "X", NULL},
        {"-----BEGIN X\n-----\nTWFu\n-----END X-----\n", "", NULL},
        {"-----BEGIN X-----", "", NULL},
    };
    uint8_t out[64];
    struct pem_block b;

    check_case("PEM blocks");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice text = slice_str(cases[i].text);
        enum parse got = pem_next(&text, out, sizeof out, &b);

        check_case(cases[i].text);
        CHECK_INT(got, !cases[i].label ? PARSE_MORE : cases[i].der ? PARSE_DONE : PARSE_BAD);
        if (cases[i].label)
            CHECK_SLICE(b.label, slice_str(cases[i].label));
        if (got == PARSE_DONE)
            CHECK_SLICE(b.der, slice_str(cases[i].der));
        CHECK(pem_next(&text, out, sizeof out, &b) == PARSE_MORE);
    }
    check_case("the text ends anywhere: only the whole block counts");
    static const char whole[] = "-----BEGIN X-----\nTWFuTWFu\n-----END X-----";
    for (size_t n = 0; n < sizeof whole; n++) {
        char *exact = malloc(n + 1); /* so that a sanitizer sees a read behind the end */
        if (!exact)
            return;
        memcpy(exact, whole, n);
        struct slice text = slice_make(exact, n);
        CHECK((pem_next(&text, out, sizeof out, &b) == PARSE_DONE) == (n == sizeof whole - 1));
        free(exact);
    }
    check_case("no room");
    for (size_t cap = 0; cap <= 7; cap++) {
        struct slice text = SLICE("-----BEGIN X-----\nTWFuTWFu\n-----END X-----");
        CHECK((pem_next(&text, out, cap, &b) == PARSE_DONE) == (cap >= 6));
    }
    check_case("a damaged block does not hide the next one");
    struct slice two = SLICE("-----BEGIN X-----\nTW?u\n-----END X-----\n-----BEGIN Y-----\nTWFu\n-----END Y-----\n");
    CHECK(pem_next(&two, out, sizeof out, &b) == PARSE_BAD);
    CHECK(pem_next(&two, out, sizeof out, &b) == PARSE_DONE);
    CHECK_SLICE(b.label, SLICE("Y"));
}

/* ---- Certificates: against BearSSL's decoder ---- */

static uint8_t dn_seen[4096];
static size_t dn_seen_n;

static void dn_take(void *ctx, const void *p, size_t n)
{
    (void)ctx;
    if (n <= sizeof dn_seen - dn_seen_n)
        memcpy(dn_seen + dn_seen_n, p, n);
    dn_seen_n += n;
}

static bool slice_is(struct slice s, const unsigned char *p, size_t n)
{
    while (n && *p == 0) /* BearSSL may keep leading zeros */
        p++, n--;
    return s.n == n && memcmp(s.p, p, n) == 0;
}

/* True: both decoders see the same name, key, dates (to the day) and CA flag. */
static bool agrees(struct slice der)
{
    br_x509_decoder_context dc;
    struct cert c;

    dn_seen_n = 0;
    br_x509_decoder_init(&dc, dn_take, NULL);
    br_x509_decoder_push(&dc, der.p, der.n);
    br_x509_pkey *key = br_x509_decoder_get_pkey(&dc);
    bool ours = cert_parse(der, &c) && c.key.kind != CERT_KEY_OTHER;
    if (!key || !ours)
        return !key && !ours;
    if (c.subject.n != dn_seen_n || memcmp(c.subject.p, dn_seen, dn_seen_n) != 0 ||
        c.is_ca != (br_x509_decoder_isCA(&dc) != 0) || c.not_before / 86400 + 719528 != dc.notbefore_days ||
        c.not_after / 86400 + 719528 != dc.notafter_days || c.not_after % 86400 != dc.notafter_seconds)
        return false;
    if (key->key_type == BR_KEYTYPE_RSA)
        return c.key.kind == CERT_KEY_RSA && slice_is(c.key.n, key->key.rsa.n, key->key.rsa.nlen) &&
               slice_is(c.key.e, key->key.rsa.e, key->key.rsa.elen);
    return c.key.kind == CERT_KEY_EC && c.key.curve == key->key.ec.curve &&
           slice_eq(c.key.n, slice_make((const char *)key->key.ec.q, key->key.ec.qlen));
}

/* Every prefix of a certificate is no certificate; a changed byte may be anything but a crash. */
static void mangle(struct slice der)
{
    struct cert c;
    unsigned prefixes = 0;

    for (size_t n = 0; n < der.n; n++) {
        char *exact = malloc(n + 1);
        if (!exact)
            return;
        memcpy(exact, der.p, n);
        prefixes += cert_parse(slice_make(exact, n), &c);
        free(exact);
    }
    CHECK_INT(prefixes, 0);
    char *copy = malloc(der.n);
    if (!copy)
        return;
    for (size_t i = 0; i < der.n; i++)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            memcpy(copy, der.p, der.n);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            if (cert_parse(slice_make(copy, der.n), &c)) {
                uint8_t ip[16] = {127, 0, 0, 1};
                (void)cert_has_ip(&c, ip, 4);
                (void)cert_has_ip(&c, ip, 16);
            }
        }
    free(copy);
}

static void test_bundle(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    uint8_t der[8192];
    struct pem_block b;
    unsigned n = 0, differ = 0, skipped = 7, found = 0;
    const char *why = NULL;
    struct arena a;
    struct cert c;

    check_case("the system's bundle");
    if (!f) {
        printf("left out: no %s\n", path);
        return;
    }
    struct slice pem = slice_make(text, fread(text, 1, sizeof text, f)), at = pem;
    fclose(f);
    arena_init_fixed(&a, memory, sizeof memory);
    struct trust *t = trust_load(pem, &a, &skipped, &why);
    if (!CHECK(t != NULL))
        return;
    while (pem_next(&at, der, sizeof der, &b) == PARSE_DONE) {
        n++;
        differ += !agrees(b.der);
        if (!cert_parse(b.der, &c))
            continue;
        const struct trust_anchor *anchor = NULL;
        while ((anchor = trust_find(t, c.subject, anchor)))
            if (slice_eq(anchor->key.n, c.key.n)) {
                found++;
                break;
            }
    }
    CHECK(n > 50);
    CHECK_INT(differ, 0);
    CHECK_INT(skipped, 0);
    CHECK_INT(found, n);
    CHECK(trust_count(t) <= n && trust_count(t) + 5 > n); /* twins are kept once */
    check_case("no memory, at any point");
    for (size_t size = 0; size < 80000; size += 997) {
        arena_init_fixed(&a, memory, size);
        t = trust_load(pem, &a, NULL, &why);
        CHECK(t ? size > 60000 : strcmp(why, "no memory for the trust anchors") == 0);
    }
}

static struct trust *load(struct slice pem, unsigned *skipped, const char **why)
{
    struct arena a;

    arena_init_fixed(&a, memory, sizeof memory);
    *skipped = 77;
    *why = "";
    return trust_load(pem, &a, skipped, why);
}

static void test_made(void)
{
    uint8_t der[8192];
    struct pem_block b;
    struct cert c;
    unsigned skipped;
    const char *why;
    static const struct {
        const char *file;
        bool for_server, name_constraints, is_ca, alt_names;
    } facts[] = {
        {"root.pem", true, false, true, false},   {"leaf.pem", true, false, false, true},
        {"client.pem", false, false, false, true}, {"anyeku.pem", true, false, false, true},
        {"canc.pem", true, true, true, false},     {"cacl.pem", false, false, true, false},
        {"rsa.pem", true, false, false, true},     {"weak.pem", true, false, false, true},
        {"cn.pem", true, false, false, false},     {"p521.pem", true, false, false, true},
    };

    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        struct slice text = certs_file(facts[i].file);

        check_case(facts[i].file);
        if (!CHECK(pem_next(&text, der, sizeof der, &b) == PARSE_DONE) || !CHECK(cert_parse(b.der, &c)))
            continue;
        CHECK(agrees(b.der));
        CHECK_INT(c.for_server, facts[i].for_server);
        CHECK_INT(c.name_constraints, facts[i].name_constraints);
        CHECK_INT(c.is_ca, facts[i].is_ca);
        CHECK_INT(c.alt_names.n > 0, facts[i].alt_names);
        mangle(b.der);
    }
    struct slice text = certs_file("leaf.pem");
    uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    CHECK(pem_next(&text, der, sizeof der, &b) == PARSE_DONE && cert_parse(b.der, &c));
    CHECK(cert_has_ip(&c, v4, 4) && cert_has_ip(&c, v6, 16));
    v4[3] = 2;
    v6[15] = 2;
    CHECK(!cert_has_ip(&c, v4, 4) && !cert_has_ip(&c, v6, 16) && !cert_has_ip(&c, v6, 4) && !cert_has_ip(&c, v4, 0));

    check_case("an extension twice");
    for (int way = 0; way < 2; way++) {
        static const char basic[] = "\x55\x1d\x13", names[] = "\x55\x1d\x1e";

        text = certs_file("canc.pem");
        CHECK(pem_next(&text, der, sizeof der, &b) == PARSE_DONE && cert_parse(b.der, &c));
        char *at = memmem(der, b.der.n, way ? basic : names, 3);
        if (CHECK(at != NULL))
            memcpy(at, way ? names : basic, 3);
        CHECK(!cert_parse(b.der, &c));
    }

    check_case("sets");
    struct trust *t = load(certs_file("bundle.pem"), &skipped, &why);
    CHECK(t && trust_count(t) == 2 && skipped == 0);
    uint64_t serial = t ? trust_serial(t) : 0;
    t = load(certs_file("bundle.pem"), &skipped, &why);
    CHECK(t && trust_serial(t) != serial);
    t = load(certs_file("chain3.pem"), &skipped, &why); /* a server's chain as anchors: the leaf only as itself */
    CHECK(t && trust_count(t) == 3);
    text = certs_file("leaf.pem");
    CHECK(pem_next(&text, der, sizeof der, &b) == PARSE_DONE && cert_parse(b.der, &c));
    CHECK(t && !trust_find(t, c.subject, NULL)->is_ca);
    t = load(certs_file("weak.pem"), &skipped, &why);
    CHECK(!t && skipped == 1 && strcmp(why, "no usable certificate in it") == 0);
    t = load(certs_file("leaf.key"), &skipped, &why);
    CHECK(!t && skipped == 0 && strcmp(why, "no certificate in it") == 0);
    t = load(SLICE(""), &skipped, &why);
    CHECK(!t && strcmp(why, "no certificate in it") == 0);
    t = load(SLICE("-----BEGIN CERTIFICATE-----\nTWFu\n-----END CERTIFICATE-----\n"), &skipped, &why);
    CHECK(!t && skipped == 1);
}

int main(void)
{
    test_pem();
    test_bundle("/etc/ssl/certs/ca-certificates.crt");
    if (certs_make())
        test_made();
    else
        CHECK(certs_dir[0] == 0); /* no openssl is all right, a failing one is not */
    return check_end();
}
