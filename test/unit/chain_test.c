/* The chain check against BearSSL's own list of chains and verdicts (read from WEIR_SHARED), plus limits and mangling.
 * Where weir means to differ from the list, the table below says so and why. */
#include "check.h"

#include <time.h>

#include "base/mem.h"
#include "net/chain.h"
#include "net/pem.h"
#include "tls_certs.h"

static int64_t test_ms = 1000, test_wall_ms;

void clock_update(void);
int64_t clock_ms(void);
int64_t clock_wall_ms(void);
void clock_update(void) {}
int64_t clock_ms(void) { return test_ms; }
int64_t clock_wall_ms(void) { return test_wall_ms; }

/* Hands a chain over as the engine does and asks for the verdict: 0 or BearSSL's code. */
static int verdict(const struct trust *t, const char *host, const struct slice *certs, unsigned n, size_t step, unsigned *turns)
{
    static struct chain c;
    struct fault f = {0};
    const br_x509_class **ctx = &c.vtable;
    int code;

    chain_init(&c, t, slice_str(host));
    c.vtable->start_chain(ctx, host);
    for (unsigned i = 0; i < n; i++) {
        c.vtable->start_cert(ctx, (uint32_t)certs[i].n);
        for (size_t at = 0; at < certs[i].n; at += step)
            c.vtable->append(ctx, (const unsigned char *)certs[i].p + at, certs[i].n - at < step ? certs[i].n - at : step);
        c.vtable->end_cert(ctx);
    }
    code = (int)c.vtable->end_chain(ctx);
    *turns = 0;
    if (code == 0) {
        enum io r;

        while ((r = chain_step(&c, &f)) == IO_PARKED)
            ++*turns;
        code = r == IO_DONE ? 0 : f.sys;
        CHECK((r == IO_DONE) == (c.state == CHAIN_ACCEPTED));
        CHECK(r == IO_DONE || f.kind == FAULT_TLS);
    }
    chain_drop(&c);
    return code;
}

/* ---- Anchors from the list: a name and a key, put into a certificate that nobody signed ---- */

struct text {
    char p[8192];
    size_t n;
};

static void put(struct text *to, const void *p, size_t n)
{
    if (n <= sizeof to->p - to->n)
        memcpy(to->p + to->n, p, n);
    to->n += n;
}

/* tag, length, value */
static void tlv(struct text *to, int tag, const struct text *v)
{
    uint8_t head[4] = {(uint8_t)tag, 0x82, (uint8_t)(v->n >> 8), (uint8_t)v->n};
    uint8_t small[3] = {(uint8_t)tag, 0x81, (uint8_t)v->n};

    if (v->n < 128)
        put(to, (uint8_t[]){(uint8_t)tag, (uint8_t)v->n}, 2);
    else if (v->n < 256)
        put(to, small, 3);
    else
        put(to, head, 4);
    put(to, v->p, v->n);
}

static void fake_pem(struct text *pem, struct slice name, const struct text *n, const struct text *e, const char *curve, bool ca)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char dates[] = "\x30\x1e\x17\x0d" "100101000000Z" "\x17\x0d" "371231235959Z";
    struct text tbs = {0}, info = {0}, bits = {0}, all = {0}, cert = {0}, exts = {0};

    put(&exts, ca ? "\x30\x0e\x30\x0c\x06\x03\x55\x1d\x13\x04\x05\x30\x03\x01\x01\xff"
                  : "\x30\x0b\x30\x09\x06\x03\x55\x1d\x13\x04\x02\x30\x00", ca ? 16 : 13);
    put(&bits, "", 1);
    if (curve) {
        bool p256 = strcmp(curve, "P-256") == 0;

        put(&info, p256 ? "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
                 : strcmp(curve, "P-384") == 0 ? "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
                                               : "\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
            p256 ? 21 : 18);
        put(&bits, n->p, n->n);
    } else {
        struct text pair = {0}, num = {0};

        put(&info, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", 15);
        put(&num, "", 1);
        put(&num, n->p, n->n);
        tlv(&pair, 2, &num);
        tlv(&pair, 2, e);
        tlv(&bits, 0x30, &pair);
    }
    tlv(&info, 3, &bits);
    put(&tbs, "\xa0\x03\x02\x01\x02\x02\x01\x01\x30\x00", 10);
    put(&tbs, name.p, name.n);
    put(&tbs, dates, 32);
    put(&tbs, name.p, name.n);
    tlv(&tbs, 0x30, &info);
    tlv(&tbs, 0xa3, &exts);
    tlv(&all, 0x30, &tbs);
    put(&all, "\x30\x00\x03\x01\x00", 5);
    tlv(&cert, 0x30, &all);
    put(pem, "-----BEGIN CERTIFICATE-----\n", 28);
    for (size_t i = 0; i < cert.n; i += 3) {
        uint32_t v = (uint32_t)(uint8_t)cert.p[i] << 16 | (i + 1 < cert.n ? (uint32_t)(uint8_t)cert.p[i + 1] << 8 : 0) |
                     (i + 2 < cert.n ? (uint8_t)cert.p[i + 2] : 0);
        char four[4] = {abc[v >> 18], abc[v >> 12 & 63], i + 1 < cert.n ? abc[v >> 6 & 63] : '=',
                        i + 2 < cert.n ? abc[v & 63] : '='};
        put(pem, four, 4);
    }
    put(pem, "\n-----END CERTIFICATE-----\n", 27);
}

/* ---- The list ---- */

enum { ENTRIES = 80, FIELDS = 12 };

struct entry {
    char kind[16];
    struct {
        char key[16], value[1200];
    } field[FIELDS];
    int fields;
};

static struct entry entries[ENTRIES];
static int entry_count;

static const char *field(const struct entry *e, const char *key)
{
    for (int i = 0; i < e->fields; i++)
        if (strcmp(e->field[i].key, key) == 0)
            return e->field[i].value;
    return NULL;
}

static const struct entry *named(const char *kind, const char *name)
{
    for (int i = 0; i < entry_count; i++)
        if (strcmp(entries[i].kind, kind) == 0 && strcmp(field(&entries[i], "name"), name) == 0)
            return &entries[i];
    return NULL;
}

static void read_list(FILE *f)
{
    static char line[4096];

    while (fgets(line, sizeof line, f)) {
        char *eq = strstr(line, " =");

        line[strcspn(line, "\r\n")] = 0;
        if (line[0] == '[' && entry_count < ENTRIES) {
            line[strcspn(line, "]")] = 0;
            snprintf(entries[entry_count++].kind, sizeof entries[0].kind, "%.15s", line + 1);
        } else if (line[0] && line[0] != ';' && eq && entry_count) {
            struct entry *e = &entries[entry_count - 1];

            if (e->fields == FIELDS)
                continue;
            *eq = 0;
            snprintf(e->field[e->fields].key, sizeof e->field[0].key, "%.15s", line);
            snprintf(e->field[e->fields++].value, sizeof e->field[0].value, "%.1199s", eq[2] == ' ' ? eq + 3 : eq + 2);
        }
    }
}

static void unhex(struct text *to, const char *hex)
{
    unsigned v;

    for (to->n = 0; hex && hex[0] && hex[1]; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        v = (unsigned)strtoul(two, NULL, 16);
        put(to, &(uint8_t){(uint8_t)v}, 1);
    }
}

static struct slice shared_file(const char *dir, const char *name)
{
    static char store[1 << 20];
    static size_t used;
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return slice_make(NULL, 0);
    if (used > sizeof store - 65536)
        used = 0; /* files of finished cases */
    struct slice s = {store + used, fread(store + used, 1, 65536, f)};
    fclose(f);
    used += s.n;
    return s;
}

/* Where we differ, on purpose. */
static const struct {
    const char *name;
    int status;
} ours[] = {
    {"ignoreName1", 56},          /* we always have a name */
    {"wildcard7", 56},            /* a name with a star in it is no name */
    {"hashSHA256Unsupported", 0}, /* we always have SHA-256 */
    {"hashSHA1", 49},             {"hashSHA224", 49}, /* and neither SHA-1 nor SHA-224 */
    {"secp256r1-sha1", 49},       {"secp256r1-sha224", 49},
    {"rsa1017", 60},              /* 2048 bits at least */
    {"trailingGarbage", 33},      /* our parser says it first */
};

static struct trust *anchors_of(const struct entry *e, const char *dir, struct arena *a)
{
    struct text pem = {0};
    char list[128], *save = NULL;

    snprintf(list, sizeof list, "%.100s", field(e, "anchors"));
    for (char *name = strtok_r(list, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
        const struct entry *anchor = named("anchor", name), *key = anchor ? named("key", field(anchor, "key")) : NULL;
        struct text n = {0}, ex = {0};

        if (!CHECK(anchor && key))
            return NULL;
        bool ec = strcmp(field(key, "type"), "EC") == 0;
        unhex(&n, field(key, ec ? "q" : "n"));
        unhex(&ex, field(key, "e"));
        fake_pem(&pem, shared_file(dir, field(anchor, "DN_file")), &n, &ex, ec ? field(key, "curve") : NULL,
                 strcmp(field(anchor, "type"), "CA") == 0);
    }
    if (pem.n == 0) { /* no anchor at all: any that fits nothing */
        struct text n = {.n = 257}, ex = {.p = {1, 0, 1}, .n = 3};

        memset(n.p, 0x55, 256);
        n.n = 256;
        fake_pem(&pem, SLICE("\x30\x00"), &n, &ex, NULL, true);
    }
    return trust_load(slice_make(pem.p, pem.n), a, NULL, NULL);
}

static void run_entry(const struct entry *e, const char *dir)
{
    static char memory[65536];
    struct arena a;
    struct slice certs[8];
    unsigned n = 0, turns;
    char list[200], *save = NULL;
    int want = atoi(field(e, "status"));
    const char *host = field(e, "servername"), *when = field(e, "time");

    check_case(field(e, "name"));
    arena_init_fixed(&a, memory, sizeof memory);
    struct trust *t = anchors_of(e, dir, &a);
    if (!CHECK(t != NULL))
        return;
    snprintf(list, sizeof list, "%.180s", field(e, "chain"));
    for (char *name = strtok_r(list, " ", &save); name && n < 8; name = strtok_r(NULL, " ", &save))
        certs[n++] = shared_file(dir, name);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(ours[i].name, field(e, "name")) == 0)
            want = ours[i].status;
    test_wall_ms = 1464739200000; /* 2016-06-01, inside all of them */
    if (when) {
        static const int64_t start = 1266406835000, end = 4056707468000; /* 2010-02-17 11:40:35, 2098-07-20 15:11:08 */
        int second = atoi(when + 17);

        test_wall_ms = when[2] == '1' ? start + (second - 35) * 1000 : end + (second - 8) * 1000;
    }
    /* A clock before weir was written gets its own code. */
    if (want == 54 && test_wall_ms < 1767225600000 && when)
        want = 53;
    CHECK_INT(verdict(t, host ? host : "unnamed.test", certs, n, 100000, &turns), want);
    test_ms += 3600000; /* past the cache */
    CHECK_INT(verdict(t, host ? host : "unnamed.test", certs, n, 7, &turns), want);
    if (want == 0) { /* known now */
        uint64_t hits = chain_cache_hits();

        CHECK_INT(verdict(t, host, certs, n, 1000, &turns), 0);
        CHECK_INT(chain_cache_hits(), hits + 1);
        CHECK(verdict(t, "elsewhere.test", certs, n, 1000, &turns) != 0); /* but not for another name */
    }
    test_ms += 3600000;
}

static void test_list(void)
{
    const char *shared = getenv("WEIR_SHARED");
    char dir[800], path[900];
    int chains = 0;

    snprintf(dir, sizeof dir, "%s/data/conformance/x509/bearssl", shared ? shared : "../shared");
    snprintf(path, sizeof path, "%s/alltests.txt", dir);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("left out: no %s\n", path);
        return;
    }
    read_list(f);
    fclose(f);
    for (int i = 0; i < entry_count; i++)
        if (strcmp(entries[i].kind, "chain") == 0) {
            run_entry(&entries[i], dir);
            chains++;
        }
    CHECK(chains > 40);
}

/* ---- Our own chains ---- */

static unsigned certs_of(const char *name, struct slice *certs, unsigned cap)
{
    static uint8_t store[1 << 18];
    static size_t used;
    struct slice text = certs_file(name);
    struct pem_block b;
    unsigned n = 0;

    while (n < cap && pem_next(&text, store + used, sizeof store - used, &b) == PARSE_DONE) {
        certs[n++] = b.der;
        used += b.der.n;
    }
    return n;
}

static void test_own(void)
{
    static char memory[65536];
    static uint8_t junk[20000];
    struct arena a;
    struct slice certs[16], big[2];
    unsigned n, turns, accepted = 0;

    arena_init_fixed(&a, memory, sizeof memory);
    struct trust *t = trust_load(certs_file("bundle.pem"), &a, NULL, NULL);
    if (!CHECK(t != NULL))
        return;
    check_case("own chain, in steps");
    n = certs_of("chain.pem", certs, 16);
    CHECK_INT(verdict(t, "api.example.test", certs, n, 64, &turns), 0);
    CHECK(turns >= 2);
    CHECK_INT(verdict(t, "api.example.test", certs, n, 64, &turns), 0);
    CHECK_INT(turns, 0);
    check_case("limits");
    CHECK_INT(verdict(t, "api.example.test", certs, 0, 64, &turns), BR_ERR_X509_EMPTY_CHAIN);
    unsigned many = certs_of("many.chain", certs, 16);
    CHECK_INT(many, 11);
    CHECK_INT(verdict(t, "api.example.test", certs, many, 64, &turns), BR_ERR_X509_LIMIT_EXCEEDED);
    CHECK_INT(verdict(t, "api.example.test", certs, 10, 64, &turns), 0);
    big[0] = certs[0];
    big[1] = slice_make((const char *)junk, sizeof junk);
    CHECK_INT(verdict(t, "api.example.test", big, 2, 500, &turns), BR_ERR_X509_LIMIT_EXCEEDED);
    big[1].n = CHAIN_BYTES_MAX - big[0].n;
    CHECK_INT(verdict(t, "api.example.test", big, 2, 500, &turns), BR_ERR_X509_INVALID_VALUE);
    check_case("wrong order");
    unsigned w = certs_of("wrong.pem", certs, 16);
    CHECK(verdict(t, "api.example.test", certs, w, 64, &turns) != 0);
    check_case("a flipped bit anywhere in what is signed");
    n = certs_of("rsa.pem", certs, 16);
    uint8_t *copy = malloc(certs[0].n);
    if (!copy)
        return;
    for (size_t at = 0; at < certs[0].n; at++) {
        memcpy(copy, certs[0].p, certs[0].n);
        copy[at] ^= (uint8_t)(1u << at % 8);
        big[0] = slice_make((const char *)copy, certs[0].n);
        accepted += verdict(t, "api.example.test", big, 1, 4096, &turns) == 0;
    }
    /* BearSSL ignores the parameters of the outer signature algorithm, and nothing else: two bytes of NULL. */
    CHECK(accepted <= 2);
    CHECK_INT(verdict(t, "api.example.test", certs, n, 4096, &turns), 0);
    free(copy);
    check_case("no memory");
    size_t before = mem_in_use();
    mem_fail_at(1, true);
    CHECK(verdict(t, "api.example.test", certs, n, 4096, &turns) != 0);
    mem_fail_at(0, false);
    CHECK_INT(mem_in_use(), before);
}

int main(void)
{
    if (!CHECK(mem_budget_init(1 << 20)))
        return check_end();
    test_list();
    test_wall_ms = (int64_t)time(NULL) * 1000;
    if (certs_make()) {
        test_wall_ms = (int64_t)time(NULL) * 1000;
        test_own();
    } else {
        CHECK(certs_dir[0] == 0); /* no openssl is all right, a failing one is not */
    }
    return check_end();
}
