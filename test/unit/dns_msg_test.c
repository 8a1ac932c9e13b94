/* DNS messages: queries byte by byte, answers of every verdict, hostile names, the c-ares corpus of raw answers
 * (when the shared data is there), resolv.conf and hosts texts. Every message is read where it ends against an
 * unreadable page. */
#include "net/dns_msg.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* ---- A message that ends at a page nobody may read. ---- */

enum { GUARDED = 1 << 17 };

static uint8_t *guard_end;

static void guard_init(void)
{
    uint8_t *p = mmap(NULL, GUARDED + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + GUARDED, 65536, PROT_NONE) != 0)
        abort();
    guard_end = p + GUARDED;
}

static enum dns_answer read_guarded(const uint8_t *msg, size_t n, uint16_t id, struct slice name, uint16_t type, struct dns_result *r)
{
    uint8_t *at = guard_end - n;

    memcpy(at, msg, n);
    memset(r, 0xee, sizeof *r);
    enum dns_answer v = dns_read(at, n, id, name, type, r);
    CHECK_INT(r->count > 0, v == DNS_OK);
    CHECK(r->count <= ADDRESSES_MAX);
    return v;
}

/* ---- A builder of answers. ---- */

struct msg {
    uint8_t b[70000];
    size_t n;
};

static void m8(struct msg *m, unsigned v)
{
    m->b[m->n++] = (uint8_t)v;
}

static void m16(struct msg *m, unsigned v)
{
    m8(m, v >> 8);
    m8(m, v & 255);
}

static void m32(struct msg *m, uint32_t v)
{
    m16(m, v >> 16);
    m16(m, v & 65535);
}

static void mname(struct msg *m, const char *dotted)
{
    while (*dotted) {
        size_t len = strcspn(dotted, ".");

        m8(m, (unsigned)len);
        memcpy(m->b + m->n, dotted, len);
        m->n += len;
        dotted += len + (dotted[len] == '.');
    }
    m8(m, 0);
}

static void mpointer(struct msg *m, size_t to)
{
    m16(m, 0xc000u | (unsigned)to);
}

/* Header and question; counts are set later by mcounts. */
static void mbegin(struct msg *m, unsigned id, unsigned flags, const char *name, unsigned type)
{
    m->n = 0;
    m16(m, id);
    m16(m, flags);
    m16(m, 1);
    m16(m, 0);
    m32(m, 0);
    mname(m, name);
    m16(m, type);
    m16(m, 1);
}

static void mcounts(struct msg *m, unsigned answers, unsigned authority)
{
    m->b[6] = (uint8_t)(answers >> 8);
    m->b[7] = (uint8_t)answers;
    m->b[8] = (uint8_t)(authority >> 8);
    m->b[9] = (uint8_t)authority;
}

/* type, class IN, ttl; the caller writes the data's length and bytes. */
static void mfix(struct msg *m, unsigned type, uint32_t ttl)
{
    m16(m, type);
    m16(m, 1);
    m32(m, ttl);
}

static void ma(struct msg *m, const char *owner, uint32_t ttl, uint32_t ip)
{
    if (owner)
        mname(m, owner);
    else
        mpointer(m, 12);
    mfix(m, DNS_A, ttl);
    m16(m, 4);
    m32(m, ip);
}

static void mcname(struct msg *m, const char *owner, uint32_t ttl, const char *to)
{
    if (owner)
        mname(m, owner);
    else
        mpointer(m, 12);
    mfix(m, 5, ttl);
    size_t at = m->n;
    m16(m, 0);
    mname(m, to);
    size_t len = m->n - at - 2;
    m->b[at] = (uint8_t)(len >> 8);
    m->b[at + 1] = (uint8_t)len;
}

static void msoa(struct msg *m, uint32_t ttl, uint32_t minimum)
{
    mname(m, "test");
    mfix(m, 6, ttl);
    m16(m, 22);
    m16(m, 0); /* two root names */
    for (int i = 0; i < 4; i++)
        m32(m, 1);
    m32(m, minimum);
}

static struct msg m;
static struct dns_result r;
static const struct slice host = {"api.test", 8};

static enum dns_answer verdict(void)
{
    return read_guarded(m.b, m.n, 7, host, DNS_A, &r);
}

/* ---- Queries. ---- */

static void test_query(void)
{
    static const uint8_t want[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
                                  "\x03" "api\x06" "openai\x03" "com\x00\x00\x1c\x00\x01"
                                  "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    uint8_t q[DNS_QUERY_MAX];
    char name[300];

    check_case("query bytes");
    size_t n = dns_query(0x1234, SLICE("API.openai.com"), DNS_AAAA, q);
    CHECK_SLICE(slice_make((char *)q, n), slice_make((const char *)want, sizeof want - 1));
    CHECK_INT(dns_query(0x1234, SLICE("api.openai.com."), DNS_AAAA, q), n);
    check_case("query without EDNS0");
    CHECK_INT(dns_query_plain(q, n), n - 11);
    CHECK_INT(q[11], 0);

    static const char *const bad[] = {"", ".", "..", ".a", "a..b", "a...", "a b", "a/b", "a\\b", "b\xc3\xbc", "a%b", "a:b", "*.a", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_case(bad[i]);
        CHECK_INT(dns_query(1, slice_str(bad[i]), DNS_A, q), 0);
    }
    CHECK_INT(dns_query(1, slice_make("a\0b", 3), DNS_A, q), 0);
    static const char *const good[] = {"a", "a-b", "_x.y", "1.2", "xn--bcher-kva.example", "A.B.C."};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        check_case(good[i]);
        CHECK(dns_query(1, slice_str(good[i]), DNS_A, q) > 12);
    }
    for (size_t label = 1; label <= 70; label++) { /* label length */
        check_case("one label of each length");
        memset(name, 'x', label);
        CHECK_INT(dns_query(1, slice_make(name, label), DNS_A, q), label <= 63 ? 12 + label + 2 + 4 + 11 : 0);
    }
    for (size_t total = 240; total <= 260; total++) { /* total length */
        check_case("names of each total length");
        for (size_t i = 0; i < total; i++)
            name[i] = i % 50 == 49 ? '.' : 'x';
        if (name[total - 1] == '.')
            continue;
        CHECK_INT(dns_query(1, slice_make(name, total), DNS_A, q), total <= 253 ? 12 + total + 2 + 4 + 11 : 0);
    }
}

/* ---- Verdicts. ---- */

static void test_answers(void)
{
    check_case("two addresses, one twice, smallest TTL");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    ma(&m, NULL, 300, 0x01020304);
    ma(&m, "API.Test", 60, 0x01020305);
    ma(&m, NULL, 900, 0x01020304);
    mcounts(&m, 3, 0);
    CHECK_INT(verdict(), DNS_OK);
    CHECK_INT(r.count, 2);
    CHECK_INT(r.ttl_s, 60);
    char text[ADDR_TEXT_MAX];
    CHECK_STR(addr_text(&r.addr[1], text), "1.2.3.5:0");

    check_case("every prefix of it is no good answer");
    size_t whole = m.n;
    for (size_t n = 0; n < whole; n++)
        CHECK(read_guarded(m.b, n, 7, host, DNS_A, &r) == (n < 26 ? DNS_IGNORE : DNS_MALFORMED));

    check_case("not ours");
    CHECK_INT(read_guarded(m.b, m.n, 8, host, DNS_A, &r), DNS_IGNORE);
    CHECK_INT(read_guarded(m.b, m.n, 7, SLICE("api.tes"), DNS_A, &r), DNS_IGNORE);
    CHECK_INT(read_guarded(m.b, m.n, 7, SLICE("bpi.test"), DNS_A, &r), DNS_IGNORE);
    CHECK_INT(read_guarded(m.b, m.n, 7, SLICE("xapi.test"), DNS_A, &r), DNS_IGNORE);
    CHECK_INT(read_guarded(m.b, m.n, 7, host, DNS_AAAA, &r), DNS_IGNORE);
    m.b[2] &= 0x7f; /* a query */
    CHECK_INT(verdict(), DNS_IGNORE);
    m.b[2] |= 0xa0; /* an update */
    CHECK_INT(verdict(), DNS_IGNORE);
    m.b[2] = 0x81;
    m.b[5] = 2; /* two questions */
    CHECK_INT(verdict(), DNS_IGNORE);
    m.b[5] = 1;
    CHECK_INT(verdict(), DNS_OK);
    m.b[25] = 3; /* class CHAOS in the question */
    CHECK_INT(verdict(), DNS_IGNORE);
    m.b[25] = 1;

    check_case("truncated");
    m.b[2] |= 2;
    CHECK_INT(verdict(), DNS_TRUNCATED);

    static const struct { unsigned rcode; enum dns_answer want; } rcodes[] = {
        {0, DNS_EMPTY}, {1, DNS_OLD}, {2, DNS_SERVER}, {3, DNS_NXDOMAIN}, {4, DNS_OLD}, {5, DNS_SERVER}, {9, DNS_SERVER}, {15, DNS_SERVER}};
    for (size_t i = 0; i < sizeof rcodes / sizeof rcodes[0]; i++) {
        check_case("rcodes without answers");
        mbegin(&m, 7, 0x8180 | rcodes[i].rcode, "api.test", DNS_A);
        CHECK_INT(verdict(), rcodes[i].want);
        CHECK_INT(r.ttl_s, 0);
        check_case("bare header");
        m.b[5] = 0;
        CHECK_INT(read_guarded(m.b, 12, 7, host, DNS_A, &r), rcodes[i].rcode == 0 || rcodes[i].rcode == 3 ? DNS_IGNORE : rcodes[i].want);
    }

    check_case("negative answers and the SOA");
    mbegin(&m, 7, 0x8183, "api.test", DNS_A);
    msoa(&m, 900, 30);
    mcounts(&m, 0, 1);
    CHECK_INT(verdict(), DNS_NXDOMAIN);
    CHECK_INT(r.ttl_s, 30);
    CHECK_INT(read_guarded(m.b, m.n - 1, 7, host, DNS_A, &r), DNS_MALFORMED);
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    mcname(&m, NULL, 60, "other.test");
    msoa(&m, 20, 3600);
    mcounts(&m, 1, 1);
    CHECK_INT(verdict(), DNS_EMPTY);
    CHECK_INT(r.ttl_s, 20);

    check_case("NXDOMAIN with an address contradicts itself");
    mbegin(&m, 7, 0x8183, "api.test", DNS_A);
    ma(&m, NULL, 60, 1);
    mcounts(&m, 1, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);

    check_case("an address of another owner, class or type is not ours");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    ma(&m, "evil.test", 60, 1);
    ma(&m, NULL, 60, 2);
    m.b[m.n - 11] = 3; /* class */
    mpointer(&m, 12);
    mfix(&m, DNS_AAAA, 60);
    m16(&m, 16);
    for (int i = 0; i < 4; i++)
        m32(&m, 1);
    mcounts(&m, 3, 0);
    CHECK_INT(verdict(), DNS_EMPTY);

    check_case("address of the wrong size");
    for (unsigned size = 0; size < 18; size++) {
        mbegin(&m, 7, 0x8180, "api.test", DNS_A);
        mpointer(&m, 12);
        mfix(&m, DNS_A, 60);
        m16(&m, size);
        for (unsigned i = 0; i < size; i++)
            m8(&m, 9);
        mcounts(&m, 1, 0);
        CHECK_INT(verdict(), size == 4 ? DNS_OK : DNS_MALFORMED);
    }

    check_case("a TTL with its top bit set is 0");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    ma(&m, NULL, 0x80000001u, 1);
    mcounts(&m, 1, 0);
    CHECK_INT(verdict(), DNS_OK);
    CHECK_INT(r.ttl_s, 0);

    check_case("AAAA; a mapped one becomes IPv4");
    mbegin(&m, 7, 0x8180, "api.test", DNS_AAAA);
    for (int i = 0; i < 2; i++) {
        mpointer(&m, 12);
        mfix(&m, DNS_AAAA, 60);
        m16(&m, 16);
        m32(&m, i ? 0 : 0x20010db8);
        m32(&m, 0);
        m32(&m, i ? 0xffff : 0);
        m32(&m, 0x7f000001);
    }
    mcounts(&m, 2, 0);
    CHECK_INT(read_guarded(m.b, m.n, 7, host, DNS_AAAA, &r), DNS_OK);
    CHECK_INT(r.count, 2);
    CHECK_STR(addr_text(&r.addr[0], text), "[2001:db8::7f00:1]:0");
    CHECK_STR(addr_text(&r.addr[1], text), "127.0.0.1:0");

    check_case("more addresses than we keep");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    for (unsigned i = 0; i < 100; i++)
        ma(&m, NULL, 60, i);
    mcounts(&m, 100, 0);
    CHECK_INT(verdict(), DNS_OK);
    CHECK_INT(r.count, ADDRESSES_MAX);
    check_case("a count that promises more than there is");
    mcounts(&m, 101, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
    mcounts(&m, 65535, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
}

/* links CNAMEs from api.test to its address, written first to last or last to first. */
static void chain(unsigned links, bool reversed)
{
    char from[32], to[32];

    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    if (reversed) {
        snprintf(to, sizeof to, links ? "c%u.test" : "api.test", links);
        ma(&m, to, 50, 1);
    }
    for (unsigned k = 0; k < links; k++) {
        unsigned i = reversed ? links - 1 - k : k;

        snprintf(from, sizeof from, i ? "c%u.test" : "api.test", i);
        snprintf(to, sizeof to, "c%u.test", i + 1);
        mcname(&m, from, 100 - i, to);
    }
    if (!reversed) {
        snprintf(to, sizeof to, links ? "c%u.test" : "api.test", links);
        ma(&m, to, 50, 1);
    }
    mcounts(&m, links + 1, 0);
}

static void test_chains(void)
{
    for (unsigned links = 0; links < 24; links++) {
        for (int reversed = 0; reversed < 2; reversed++) {
            check_case("CNAME chains of each length");
            chain(links, reversed);
            CHECK_INT(verdict(), links <= DNS_CHAIN_MAX ? DNS_OK : DNS_MALFORMED);
            if (links <= DNS_CHAIN_MAX)
                CHECK_INT(r.ttl_s, 50);
        }
    }
    check_case("the TTL of a link counts");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    mcname(&m, NULL, 5, "b.test");
    ma(&m, "b.test", 500, 1);
    mcounts(&m, 2, 0);
    CHECK_INT(verdict(), DNS_OK);
    CHECK_INT(r.ttl_s, 5);
    check_case("CNAME to itself");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    mcname(&m, NULL, 5, "api.test");
    mcounts(&m, 1, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
    check_case("CNAME circle of two");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    mcname(&m, NULL, 5, "b.test");
    mcname(&m, "b.test", 5, "api.test");
    mcounts(&m, 2, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
    check_case("CNAME data with a byte left over");
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    mcname(&m, NULL, 5, "b.test");
    m.b[m.n - 9]++; /* its length */
    m8(&m, 0);
    mcounts(&m, 1, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
}

/* An answer whose only record's owner is the given bytes. */
static enum dns_answer owner_bytes(const void *bytes, size_t n)
{
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    memcpy(m.b + m.n, bytes, n);
    m.n += n;
    mfix(&m, DNS_A, 60);
    m16(&m, 4);
    m32(&m, 1);
    mcounts(&m, 1, 0);
    return verdict();
}

static void test_compression(void)
{
    check_case("pointer to the question, to its tail, and to a label behind");
    CHECK_INT(owner_bytes("\xc0\x0c", 2), DNS_OK);
    CHECK_INT(owner_bytes("\x03" "api\xc0\x10", 6), DNS_OK);
    CHECK_INT(owner_bytes("\xc0\x10", 2), DNS_EMPTY); /* "test" */
    check_case("pointer to itself, forward, into the header, to nowhere");
    CHECK_INT(owner_bytes("\xc0\x1a", 2), DNS_MALFORMED);
    CHECK_INT(owner_bytes("\xc0\x1b", 2), DNS_MALFORMED);
    CHECK_INT(owner_bytes("\xc0\x00", 2), DNS_MALFORMED);
    CHECK_INT(owner_bytes("\xc0\x0b", 2), DNS_MALFORMED);
    CHECK_INT(owner_bytes("\xff\xff", 2), DNS_MALFORMED);
    check_case("label, then a pointer back to it");
    CHECK_INT(owner_bytes("\x01" "a\xc0\x1a", 4), DNS_MALFORMED);
    check_case("label types 01 and 10");
    CHECK_INT(owner_bytes("\x40" "a\x00", 3), DNS_MALFORMED);
    CHECK_INT(owner_bytes("\x80" "a\x00", 3), DNS_MALFORMED);
    for (unsigned len = 62; len <= 90; len++) {
        uint8_t b[100] = {0};

        check_case("label lengths 62 to 90");
        b[0] = (uint8_t)len;
        memset(b + 1, 'a', len);
        CHECK_INT(owner_bytes(b, len + 2), len <= 63 ? DNS_EMPTY : DNS_MALFORMED);
    }
    for (unsigned total = 250; total <= 260; total++) { /* wire length, root included */
        uint8_t b[270] = {0};
        size_t at = 0;

        check_case("names of 250 to 260 bytes");
        while (at < total - 1) {
            size_t len = total - 2 - at < 63 ? total - 2 - at : 63;

            if (total - 1 - at - len - 1 == 1)
                len--; /* a label needs a byte */
            b[at] = (uint8_t)len;
            memset(b + at + 1, 'a', len);
            at += len + 1;
        }
        CHECK_INT(owner_bytes(b, at + 1), total <= 255 ? DNS_EMPTY : DNS_MALFORMED);
    }
    check_case("a ladder of pointers");
    for (unsigned hops = 1; hops <= 40; hops++) {
        mbegin(&m, 7, 0x8180, "api.test", DNS_A);
        mname(&m, ""); /* a record of no interest that holds the ladder */
        mfix(&m, 16, 60);
        m16(&m, 2 * (hops - 1));
        size_t to = 12;
        for (unsigned i = 1; i < hops; i++) {
            size_t here = m.n;
            mpointer(&m, to);
            to = here;
        }
        mpointer(&m, to);
        mfix(&m, DNS_A, 60);
        m16(&m, 4);
        m32(&m, 1);
        mcounts(&m, 2, 0);
        CHECK_INT(verdict(), hops <= 32 ? DNS_OK : DNS_MALFORMED);
    }
}

static double ms_of(uint16_t type)
{
    double start = check_cpu_ms();

    for (int i = 0; i < 10; i++)
        dns_read(m.b, m.n, 7, host, type, &r);
    return (check_cpu_ms() - start) / 10;
}

/* The dearest messages we know: a full chain over records whose owners are long names behind pointers. Sanitizers
 * are why the limit is ten times what a plain build needs. */
static void test_work(void)
{
    char label[64], name[260] = "";

    check_case("64 KB of records of one long name, with a chain");
    memset(label, 'a', 40);
    label[40] = '\0';
    for (int i = 0; i < 6; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", i ? "." : "", label);
    mbegin(&m, 7, 0x8180, "api.test", DNS_A);
    for (unsigned i = 0; i < DNS_CHAIN_MAX; i++)
        mcname(&m, i ? name : "api.test", 60, name);
    size_t at = m.n;
    mname(&m, name);
    mfix(&m, 5, 60);
    m16(&m, 1);
    m8(&m, 0);
    unsigned records = DNS_CHAIN_MAX + 1;
    while (m.n + 12 < 65535) {
        mpointer(&m, at);
        mfix(&m, 5, 60);
        m16(&m, 2);
        mpointer(&m, at);
        records++;
    }
    mcounts(&m, records, 0);
    CHECK_INT(verdict(), DNS_MALFORMED);
    CHECK(ms_of(DNS_A) < 10 * check_slack());
}

/* ---- Real and broken answers that c-ares collected. ---- */

/* A dotted name from a message's question, for asking "what if we had asked just this". Empty when it has none. */
static struct slice question_name(const uint8_t *b, size_t n, char out[260], uint16_t *type)
{
    size_t at = 12, len = 0;

    while (at < n && b[at] && b[at] < 64 && at + b[at] < n && len + b[at] + 1 < 255) {
        memcpy(out + len, b + at + 1, b[at]);
        len += b[at];
        out[len++] = '.';
        at += (size_t)b[at] + 1;
    }
    if (at + 3 > n || b[at] != 0)
        return slice_make(out, 0);
    *type = (uint16_t)(b[at + 1] << 8 | b[at + 2]);
    return slice_make(out, len);
}

static unsigned corpus_file(const uint8_t *b, size_t n, unsigned verdicts[8])
{
    char name[260];
    uint16_t type = DNS_A, id = (uint16_t)(n >= 2 ? b[0] << 8 | b[1] : 0);
    struct slice asked = question_name(b, n, name, &type);
    unsigned calls = 0;

    verdicts[read_guarded(b, n, id, asked, type, &r)]++;
    for (size_t cut = 0; cut < n; cut += cut < 600 ? 1 : 97, calls++)
        read_guarded(b, cut, id, asked, type, &r);
    if (n < 12)
        return calls;
    /* The same records as an answer to our own question, so that they are really walked. */
    for (int family = 0; family < 2; family++) {
        size_t skip = 12 + (asked.n ? asked.n + 1 + 4 : 0);

        mbegin(&m, 7, 0x8180, "api.test", family ? DNS_AAAA : DNS_A);
        memcpy(m.b + 6, b + 6, 4);
        if (skip < n) {
            memcpy(m.b + m.n, b + skip, n - skip);
            m.n += n - skip;
        }
        verdicts[read_guarded(m.b, m.n, 7, host, family ? DNS_AAAA : DNS_A, &r)]++;
        calls++;
    }
    return calls;
}

static void test_corpus(void)
{
    static uint8_t b[65536];
    const char *shared = getenv("WEIR_SHARED");
    char path[1024];
    unsigned files = 0, verdicts[8] = {0};

    check_case("c-ares corpus");
    snprintf(path, sizeof path, "%s/data/conformance/dns/c-ares/fuzzinput", shared ? shared : "../shared");
    DIR *dir = opendir(path);
    if (!dir) {
        printf("left out: the c-ares corpus (no shared data)\n");
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        char file[1400];
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (!(f = fopen(file, "rb")))
            continue;
        size_t n = fread(b, 1, sizeof b - 4096, f);
        fclose(f);
        corpus_file(b, n, verdicts);
        files++;
        if (strcmp(e->d_name, "answer_a") == 0) {
            CHECK_INT(read_guarded(b, n, 0x2020, SLICE("www.google.com"), DNS_A, &r), DNS_OK);
            CHECK_INT(r.ttl_s, 256);
        }
        if (strcmp(e->d_name, "answer_aaaa") == 0)
            CHECK_INT(read_guarded(b, n, 0, SLICE("www.google.com"), DNS_AAAA, &r), DNS_MALFORMED); /* four bytes of data */
    }
    closedir(dir);
    CHECK(files > 50);
    CHECK(verdicts[DNS_MALFORMED] > 20); /* the records were really walked */
    CHECK(verdicts[DNS_OK] >= 2);
}

/* Random damage to a good answer: never a crash, never a wrong count (read_guarded checks), reproducible by seed. */
static void test_damage(void)
{
    uint32_t seed = 12345;
    unsigned good = 0, bad = 0;
    static uint8_t clean[2048];

    check_case("damaged answers, seed 12345");
    chain(6, false);
    size_t n = m.n;
    memcpy(clean, m.b, n);
    for (int round = 0; round < 20000; round++) {
        uint8_t copy[2048];

        memcpy(copy, clean, n);
        for (int i = 0; i < 1 + round % 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[26 + (seed >> 8) % (n - 26)] = (uint8_t)(seed >> 24);
        }
        enum dns_answer v = read_guarded(copy, n, 7, host, DNS_A, &r);
        good += v == DNS_OK;
        bad += v == DNS_MALFORMED;
        CHECK(v == DNS_OK || v == DNS_MALFORMED || v == DNS_EMPTY);
    }
    CHECK(good > 100 && bad > 100);
}

/* ---- resolv.conf and hosts. ---- */

static const struct {
    const char *text;
    const char *servers; /* joined by spaces */
    const char *zone;    /* of the first */
    unsigned timeout_ms, attempts;
} confs[] = {
    {"", "127.0.0.1:53", "", 5000, 2},
    {"\n\n# nothing\n; here\n", "127.0.0.1:53", "", 5000, 2},
    {"nameserver 8.8.8.8", "8.8.8.8:53", "", 5000, 2},
    {"nameserver 8.8.8.8\r\nnameserver\t2001:4860:4860::8888  # google\n", "8.8.8.8:53 [2001:4860:4860::8888]:53", "", 5000, 2},
    {"nameserver fe80::1%eth0\n", "[fe80::1]:53", "eth0", 5000, 2},
    {"nameserver fe80::1%3\n", "[fe80::1%3]:53", "", 5000, 2},
    {"nameserver fe80::1%\n", "127.0.0.1:53", "", 5000, 2},
    {"nameserver fe80::1%../../x\nnameserver 1.1.1.1\n", "1.1.1.1:53", "", 5000, 2},
    {"nameserver fe80::1%an-interface-name-too-long\n", "127.0.0.1:53", "", 5000, 2},
    {"nameserver 1.1.1.1%eth0\n", "127.0.0.1:53", "", 5000, 2},
    {"nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n", "127.0.0.53:53", "", 5000, 2},
    {"options timeout:1 attempts:3 ndots:5 rotate\nnameserver 9.9.9.9\n", "9.9.9.9:53", "", 1000, 3},
    {"options timeout:0 attempts:0\n", "127.0.0.1:53", "", 1000, 1},
    {"options timeout:99 attempts:99\n", "127.0.0.1:53", "", 30000, 5},
    {"options timeout:99999999999999999999 attempts:x timeout:-1 timeout:\n", "127.0.0.1:53", "", 5000, 2},
    {"nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\nnameserver 1.0.0.5\nnameserver 1.0.0.6\n"
     "nameserver 1.0.0.7\nnameserver 1.0.0.8\nnameserver 1.0.0.9\nnameserver 1.0.0.10\n",
     "1.0.0.1:53 1.0.0.2:53 1.0.0.3:53", "", 5000, 2},
    {"nameserver dns.example\nnameserver 300.1.1.1\nnameserver\nnameserverx 1.1.1.1\n#nameserver 1.2.3.4\nnameserver 4.4.4.4 junk", "4.4.4.4:53", "", 5000, 2},
    {"  nameserver 5.5.5.5\n", "5.5.5.5:53", "", 5000, 2},
};

static void test_resolv_conf(void)
{
    for (size_t i = 0; i < sizeof confs / sizeof confs[0]; i++) {
        struct dns_servers s;
        char got[300] = "", one[ADDR_TEXT_MAX];
        size_t n = strlen(confs[i].text);

        check_case(confs[i].text);
        memcpy(guard_end - n, confs[i].text, n);
        dns_resolv_conf(slice_make((char *)guard_end - n, n), &s);
        for (unsigned k = 0; k < s.count; k++) {
            struct slice t = addr_text(&s.server[k], one);
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", k ? " " : "", (int)t.n, t.p);
        }
        CHECK_STR(slice_str(got), confs[i].servers);
        CHECK_STR(slice_str(s.zone[0]), confs[i].zone);
        CHECK_INT(s.timeout_ms, confs[i].timeout_ms);
        CHECK_INT(s.attempts, confs[i].attempts);
    }
}

static void test_hosts(void)
{
    static const char text[] = "127.0.0.1\tlocalhost\n"
                               "::1 localhost ip6-localhost # loopback\n"
                               "10.0.0.5 ollama.local ollama OLLAMA # ollama2\r\n"
                               "10.0.0.6 ollama\n"
                               "10.0.0.5 ollama\n"
                               "# 10.0.0.7 ollama\n"
                               "bad.address ollama\n"
                               "fe80::1%lo0 ollama\n"
                               "10.0.0.9 last";
    static const struct { const char *name, *want; } cases[] = {
        {"localhost", "127.0.0.1:0 [::1]:0"}, {"OLLAMA", "10.0.0.5:0 10.0.0.6:0"}, {"ollama.", "10.0.0.5:0 10.0.0.6:0"},
        {"ollama.local", "10.0.0.5:0"}, {"ollama2", ""}, {"#", ""}, {"loopback", ""}, {"last", "10.0.0.9:0"}, {"las", ""},
        {"10.0.0.9", ""}, {"", ""}};
    size_t n = sizeof text - 1;

    memcpy(guard_end - n, text, n);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_result h;
        char got[300] = "", one[ADDR_TEXT_MAX];

        check_case(cases[i].name);
        dns_hosts(slice_make((char *)guard_end - n, n), slice_str(cases[i].name), &h);
        for (unsigned k = 0; k < h.count; k++) {
            struct slice t = addr_text(&h.addr[k], one);
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", k ? " " : "", (int)t.n, t.p);
        }
        CHECK_STR(slice_str(got), cases[i].want);
    }
    check_case("more lines than addresses kept");
    static char many[4096];
    size_t len = 0;
    for (int i = 1; i < 40; i++)
        len += (size_t)snprintf(many + len, sizeof many - len, "10.1.1.%d h\n", i);
    struct dns_result h;
    dns_hosts(slice_make(many, len), SLICE("h"), &h);
    CHECK_INT(h.count, ADDRESSES_MAX);
}

int main(void)
{
    guard_init();
    test_query();
    test_answers();
    test_chains();
    test_compression();
    test_work();
    test_corpus();
    test_damage();
    test_resolv_conf();
    test_hosts();
    return check_end();
}
