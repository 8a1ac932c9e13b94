/* The engine pump: our client against our server over a socket pair, cut and mangled in every way, and both against
 * OpenSSL's command-line tools. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/sys.h"
#include "check.h"
#include "net/tls.h"
#include "net/tls_identity.h"
#include "tls_certs.h"

/* ---- Our own clock: linking these keeps base/clock.o out ---- */

static int64_t test_ms = 1000, test_wall_ms;

void clock_update(void);
int64_t clock_ms(void);
int64_t clock_wall_ms(void);
void clock_update(void) {}
int64_t clock_ms(void) { return test_ms; }
int64_t clock_wall_ms(void) { return test_wall_ms; }

static const int64_t DAY = 86400000;

/* ---- Two engines and a pair of sockets ---- */

static char memory[1 << 21];
static struct arena arena;
static struct trust *trust, *trust_rsa_only;
static struct tls_identity *id_ec, *id_rsa;

struct pair {
    struct tls *c, *s;
    int cfd, sfd;
    enum io cr, sr; /* last results of the handshake */
    struct fault cf, sf;
    int turns;
};

static const struct slice host = {"api.example.test", 16};

static void sockets(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
        exit(1);
}

static void pair_open(struct pair *p, const struct tls_identity *id, const struct trust *t, struct slice name)
{
    int fd[2];

    memset(p, 0, sizeof *p);
    sockets(fd);
    p->cfd = fd[0];
    p->sfd = fd[1];
    p->c = tls_open_client(t, name, 443, 0, &p->cf);
    p->s = tls_open_server(id, &p->sf);
    p->cr = p->sr = IO_PARKED;
}

static void pair_shake(struct pair *p)
{
    for (p->turns = 0; p->turns < 200 && (p->cr == IO_PARKED || p->sr == IO_PARKED); p->turns++) {
        if (p->cr == IO_PARKED)
            p->cr = tls_handshake(p->c, p->cfd, &p->cf);
        if (p->cr == IO_FAILED && p->cfd >= 0) {
            close(p->cfd);
            p->cfd = -1;
        }
        if (p->sr == IO_PARKED)
            p->sr = tls_handshake(p->s, p->sfd, &p->sf);
        if (p->sr == IO_FAILED && p->sfd >= 0) {
            close(p->sfd);
            p->sfd = -1;
        }
    }
}

static void pair_close(struct pair *p)
{
    if (p->c)
        tls_close(p->c, p->cfd);
    if (p->s)
        tls_close(p->s, p->sfd);
    if (p->cfd >= 0)
        close(p->cfd);
    if (p->sfd >= 0)
        close(p->sfd);
}

static bool pair_ready(struct pair *p, const struct tls_identity *id)
{
    pair_open(p, id, trust, host);
    pair_shake(p);
    return CHECK(p->cr == IO_DONE && p->sr == IO_DONE);
}

static struct tls_identity *identity(const char *chain, const char *key)
{
    const char *why = "";
    struct tls_identity *id = tls_identity_load(certs_file(chain), certs_file(key), &arena, &why);

    if (!id)
        printf("%s with %s: %s\n", chain, key, why);
    return id;
}

/* ---- Cases ---- */

static unsigned xorshift(unsigned *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

/* n bytes from one side to the other and back at the same time, random piece sizes, every byte checked. */
static void exchange(struct pair *p, size_t n, unsigned seed)
{
    struct {
        struct tls *t;
        int fd;
        size_t sent, got;
    } side[2] = {{p->c, p->cfd, 0, 0}, {p->s, p->sfd, 0, 0}};
    static char out[70000], in[70000];
    struct fault f;
    int idle = 0;
    bool good = true;

    while (good && (side[0].got < n || side[1].got < n) && idle < 10) {
        idle++;
        for (int i = 0; i < 2; i++) {
            size_t want = xorshift(&seed) % (xorshift(&seed) % 8 ? 3000 : 65000) + 1, took, got;

            want = want < n - side[i].sent ? want : n - side[i].sent;
            for (size_t k = 0; k < want; k++)
                out[k] = (char)((side[i].sent + k) * 31 + (size_t)i);
            struct slice piece[3] = {{out, want / 3}, {out + want / 3, 0}, {out + want / 3, want - want / 3}};
            enum io r = tls_write(side[i].t, side[i].fd, piece, 3, &took, &f);
            good = good && r != IO_FAILED;
            side[i].sent += took;
            idle = took ? 0 : idle;
            (void)tls_flush(side[i].t, side[i].fd, &f);

            size_t cap = xorshift(&seed) % (xorshift(&seed) % 4 ? 20000 : 66000) + 1;
            r = tls_read(side[i].t, side[i].fd, in, cap, &got, &f);
            good = good && r != IO_FAILED && (r == IO_PARKED) == (got == 0);
            for (size_t k = 0; k < got; k++)
                good = good && in[k] == (char)((side[i].got + k) * 31 + (size_t)(1 - i));
            side[i].got += got;
            idle = got ? 0 : idle;
        }
    }
    CHECK(good);
    CHECK_INT(side[0].got, n);
    CHECK_INT(side[1].got, n);
}

static void test_pair(void)
{
    struct pair p;
    size_t before = mem_in_use();

    check_case("two engines, EC");
    if (pair_ready(&p, id_ec)) {
        CHECK(!tls_resumed(p.c) && !tls_resumed(p.s));
        CHECK_INT(mem_in_use(), before); /* idle: no block at all */
        exchange(&p, 4 << 20, 12345);
        CHECK_INT(mem_in_use(), before);
        CHECK_INT(tls_counts().buffers, 0);
    }
    pair_close(&p);
    check_case("two engines again: the session is resumed");
    if (pair_ready(&p, id_ec)) {
        CHECK(tls_resumed(p.c) && tls_resumed(p.s));
        exchange(&p, 100000, 99);
    }
    pair_close(&p);
    check_case("another session tag does not share it");
    int fd[2];
    sockets(fd);
    p = (struct pair){.cfd = fd[0], .sfd = fd[1], .cr = IO_PARKED, .sr = IO_PARKED};
    p.c = tls_open_client(trust, host, 443, 7, &p.cf);
    p.s = tls_open_server(id_ec, &p.sf);
    uint64_t hits = tls_counts().chain_cache_hits;
    pair_shake(&p);
    CHECK(p.cr == IO_DONE && !tls_resumed(p.c));
    CHECK_INT(tls_counts().chain_cache_hits, hits + 1); /* but the chain need not be verified again */
    pair_close(&p);
    check_case("two engines, RSA");
    if (pair_ready(&p, id_rsa))
        exchange(&p, 1 << 20, 4711);
    pair_close(&p);
    CHECK_INT(mem_in_use(), before);
    CHECK_INT(tls_counts().open, 0);
}

static void test_close(void)
{
    struct pair p;
    struct fault f = {0};
    char buf[64];
    size_t got, took;
    const struct slice word = SLICE("last words");

    check_case("close_notify is an end");
    if (pair_ready(&p, id_ec)) {
        CHECK(tls_write(p.s, p.sfd, &word, 1, &took, &f) == IO_DONE && took == word.n);
        tls_close(p.s, p.sfd);
        close(p.sfd);
        p.s = NULL;
        p.sfd = -1;
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_DONE && got == word.n);
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_DONE && got == 0);
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_DONE && got == 0);
        CHECK(tls_write(p.c, p.cfd, &word, 1, &took, &f) == IO_FAILED && f.kind == FAULT_CLOSED);
    }
    pair_close(&p);
    check_case("end of stream without it is a cut");
    if (pair_ready(&p, id_ec)) {
        CHECK(tls_write(p.s, p.sfd, &word, 1, &took, &f) == IO_DONE);
        close(p.sfd);
        p.sfd = -1;
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_DONE && got == word.n);
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_FAILED && f.kind == FAULT_CLOSED);
        CHECK(tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f) == IO_FAILED && f.kind == FAULT_CLOSED);
    }
    pair_close(&p);
    check_case("closing with unread plaintext inside");
    if (pair_ready(&p, id_ec)) {
        CHECK(tls_write(p.s, p.sfd, &word, 1, &took, &f) == IO_DONE);
        CHECK(tls_read(p.c, p.cfd, buf, 4, &got, &f) == IO_DONE && got == 4 && tls_pending(p.c));
        CHECK(tls_wants(p.c, true) == 0);
        tls_close(p.c, p.cfd);
        p.c = NULL;
        CHECK(tls_read(p.s, p.sfd, buf, sizeof buf, &got, &f) == IO_DONE && got == 0);
    }
    pair_close(&p);
}

/* A relay between the two that hands on `step` bytes at a time and may stop or flip one. */
struct cut {
    size_t step, stop_at, flip_at, passed;
};

static bool relay(int from, int to, struct cut *c)
{
    char b[512];
    size_t want = c->step < sizeof b ? c->step : sizeof b;

    if (c->passed + want > c->stop_at)
        want = c->stop_at - c->passed;
    if (want == 0)
        return false;
    ssize_t n = recv(from, b, want, 0);
    if (n <= 0)
        return false;
    if (c->flip_at >= c->passed && c->flip_at < c->passed + (size_t)n)
        b[c->flip_at - c->passed] ^= 1;
    c->passed += (size_t)n;
    return send(to, b, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Handshake and an echo through relays. True: both sides got everything. */
static bool through(struct cut *up, struct cut *down, struct pair *p)
{
    static uint64_t tag = 1000;
    int a[2], b[2];
    struct fault f;
    size_t took, got, c_got = 0, s_got = 0;
    static const char text[300] = "request";
    const struct slice piece = {text, sizeof text};
    char buf[100];
    bool asked = false, moved = true;

    memset(p, 0, sizeof *p);
    sockets(a);
    sockets(b);
    p->cfd = a[0];
    p->sfd = b[0];
    p->c = tls_open_client(trust, host, 443, ++tag, &p->cf); /* no session to resume: a full handshake */
    p->s = tls_open_server(id_ec, &p->sf);
    p->cr = p->sr = IO_PARKED;
    while (moved && c_got < sizeof text && p->cr != IO_FAILED && p->sr != IO_FAILED) {
        moved = false;
        if (p->cr == IO_PARKED) {
            p->cr = tls_handshake(p->c, p->cfd, &p->cf);
            moved = p->cr == IO_PARKED && tls_pending(p->c);
        }
        if (p->sr == IO_PARKED)
            p->sr = tls_handshake(p->s, p->sfd, &p->sf);
        if (p->cr == IO_DONE && !asked)
            asked = tls_write(p->c, p->cfd, &piece, 1, &took, &f) == IO_DONE;
        if (p->sr == IO_DONE) {
            enum io r = tls_read(p->s, p->sfd, buf, sizeof buf, &got, &p->sf);

            s_got += got;
            if (r == IO_FAILED)
                p->sr = r;
            if (got && tls_write(p->s, p->sfd, &(struct slice){buf, got}, 1, &took, &f) != IO_DONE)
                break;
            moved = moved || got || tls_pending(p->s);
        }
        if (p->cr == IO_DONE) {
            enum io r = tls_read(p->c, p->cfd, buf, sizeof buf, &got, &p->cf);

            c_got += got;
            if (r == IO_FAILED)
                p->cr = r;
            moved = moved || got;
        }
        moved |= relay(a[1], b[1], up);
        moved |= relay(b[1], a[1], down);
    }
    close(a[1]);
    close(b[1]);
    if (p->cr == IO_PARKED)
        p->cr = tls_handshake(p->c, p->cfd, &p->cf);
    else if (p->cr == IO_DONE && c_got < sizeof text)
        p->cr = tls_read(p->c, p->cfd, buf, sizeof buf, &got, &p->cf);
    pair_close(p);
    return c_got == sizeof text && s_got == sizeof text;
}

static void test_cuts(void)
{
    const size_t all = SIZE_MAX / 2;
    struct pair p;
    size_t before = mem_in_use(), up_all, down_all, wrong = 0, silent = 0;

    check_case("one byte at a time");
    struct cut up = {1, all, all, 0}, down = {1, all, all, 0};
    CHECK(through(&up, &down, &p));
    check_case("steps of other sizes");
    for (size_t step = 2; step < 200; step += 7) {
        up = (struct cut){step, all, all, 0};
        down = (struct cut){step, all, all, 0};
        if (!through(&up, &down, &p))
            wrong++;
    }
    CHECK_INT(wrong, 0);
    up = (struct cut){512, all, all, 0};
    down = (struct cut){512, all, all, 0};
    CHECK(through(&up, &down, &p));
    up_all = up.passed;
    down_all = down.passed;
    CHECK(up_all > 500 && down_all > 1500);
    check_case("the server's side ends at any byte: never success, always a fault");
    for (size_t at = 0; at < down_all; at += at < 200 ? 1 : 37) {
        up = (struct cut){512, all, all, 0};
        down = (struct cut){512, at, all, 0};
        wrong += through(&up, &down, &p);
        silent += p.cr != IO_FAILED || (p.cf.kind != FAULT_TLS && p.cf.kind != FAULT_CLOSED);
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(silent, 0);
    check_case("one bit flipped at any byte, either way");
    for (size_t at = 0; at < down_all; at += 11) {
        up = (struct cut){512, all, all, 0};
        down = (struct cut){512, all, at, 0};
        wrong += through(&up, &down, &p);
    }
    for (size_t at = 0; at < up_all; at += 11) {
        up = (struct cut){512, all, at, 0};
        down = (struct cut){512, all, all, 0};
        wrong += through(&up, &down, &p);
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(mem_in_use(), before);
    CHECK_INT(tls_counts().open, 0);
}

/* Servers that our client must refuse, and some it must accept. */
static void test_refusals(void)
{
    static const struct {
        const char *name, *chain, *key, *host;
        int sys;          /* 0: accepted */
        const char *what;
        int64_t days;     /* the clock is off by so much */
    } cases[] = {
        {"good", "chain.pem", "leaf.key", "api.example.test", 0, NULL, 0},
        {"root sent as well", "chain3.pem", "leaf.key", "api.example.test", 0, NULL, 0},
        {"wildcard", "chain.pem", "leaf.key", "foo.wild.example.test", 0, NULL, 0},
        {"P-384 leaf", "p384.chain", "p384.key", "api.example.test", 0, NULL, 0},
        {"P-521 leaf", "p521.chain", "p521.key", "api.example.test", 0, NULL, 0},
        {"IPv4 as name", "chain.pem", "leaf.key", "127.0.0.1", 0, NULL, 0},
        {"IPv6 as name", "chain.pem", "leaf.key", "::1", 0, NULL, 0},
        {"any purpose", "anyeku.chain", "leaf.key", "api.example.test", 0, NULL, 0},
        {"junk behind the path", "extra.chain", "leaf.key", "api.example.test", 0, NULL, 0},
        {"common name only", "cn.chain", "leaf.key", "cn.example.test", 0, NULL, 0},
        {"other host", "chain.pem", "leaf.key", "other.example.test", 56, "certificate is for another name", 0},
        {"parent of wildcard", "chain.pem", "leaf.key", "wild.example.test", 56, NULL, 0},
        {"two labels under wildcard", "chain.pem", "leaf.key", "a.b.wild.example.test", 56, NULL, 0},
        {"the wildcard itself", "chain.pem", "leaf.key", "*.wild.example.test", 56, NULL, 0},
        {"other IP", "chain.pem", "leaf.key", "127.0.0.2", 56, NULL, 0},
        {"IP as DNS name", "plain.chain", "leaf.key", "127.0.0.1", 56, NULL, 0},
        {"only an IP name", "iponly.chain", "leaf.key", "api.example.test", 56, NULL, 0},
        {"common name differs", "none.chain", "leaf.key", "api.example.test", 56, NULL, 0},
        {"expired", "chain.pem", "leaf.key", "api.example.test", 54, "certificate expired", 300},
        {"not yet valid", "chain.pem", "leaf.key", "api.example.test", 54, "certificate not yet valid", -2},
        {"clock before weir", "chain.pem", "leaf.key", "api.example.test", 53, "certificate not yet valid: check the clock",
         -20000},
        {"unknown CA", "selfs.pem", "selfs.key", "api.example.test", 62, "unknown CA", 0},
        {"intermediate missing", "leaf.pem", "leaf.key", "api.example.test", 62, NULL, 0},
        {"client certificate", "client.chain", "leaf.key", "api.example.test", 59, "certificate is not for servers", 0},
        {"CA for clients", "undercl.chain", "leaf.key", "api.example.test", 59, NULL, 0},
        {"critical purpose", "criteku.chain", "leaf.key", "api.example.test", 57, NULL, 0},
        {"key may not sign", "encipher.chain", "leaf.key", "api.example.test", 59, "certificate key may not sign", 0},
        {"name constraints", "undernc.chain", "leaf.key", "api.example.test", 57, NULL, 0},
        {"issuer is no CA", "undernotca.chain", "leaf.key", "api.example.test", 58, NULL, 0},
        {"path too deep", "deep.chain", "leaf.key", "api.example.test", 58, NULL, 0},
        {"SHA-1", "sha1.chain", "leaf.key", "api.example.test", 49, NULL, 0},
    };
    size_t before = mem_in_use();
    int64_t now = test_wall_ms;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair p;

        check_case(cases[i].name);
        struct tls_identity *id = identity(cases[i].chain, cases[i].key);
        if (!CHECK(id != NULL))
            continue;
        test_ms += 3600000; /* nothing from before: sessions and chains are forgotten */
        test_wall_ms = now + cases[i].days * DAY;
        pair_open(&p, id, trust, slice_str(cases[i].host));
        pair_shake(&p);
        if (cases[i].sys == 0) {
            CHECK(p.cr == IO_DONE && p.sr == IO_DONE);
        } else {
            CHECK(p.cr == IO_FAILED && p.cf.kind == FAULT_TLS && p.sr == IO_FAILED);
            CHECK_INT(p.cf.sys, cases[i].sys);
            CHECK(p.sf.sys > 256 && p.sf.sys < 512); /* it was told by an alert */
            if (cases[i].what)
                CHECK_STR(slice_str(p.cf.what), cases[i].what);
        }
        if (p.cr == IO_FAILED && cases[i].sys == 0)
            printf("     %d %s\n", p.cf.sys, p.cf.what);
        pair_close(&p);
        CHECK_INT(mem_in_use(), before);
    }
    test_wall_ms = now;
    check_case("another trust set");
    struct pair p;
    if (pair_ready(&p, id_ec)) /* known under one set */
        pair_close(&p);
    pair_open(&p, id_ec, trust_rsa_only, host);
    pair_shake(&p);
    CHECK(p.cr == IO_FAILED && p.cf.sys == 62);
    pair_close(&p);
}

/* A cached chain stops counting when it expires, although the cache would still know it. */
static void test_cached_expiry(void)
{
    struct pair p;
    int64_t now = test_wall_ms;

    check_case("cached chain that expired since");
    test_ms += 3600000;
    for (int i = 0; i < 3; i++) {
        int fd[2];

        sockets(fd);
        p = (struct pair){.cfd = fd[0], .sfd = fd[1], .cr = IO_PARKED, .sr = IO_PARKED};
        test_wall_ms = now + (i == 2 ? 300 * DAY : 0);
        p.c = tls_open_client(trust, host, 443, (uint64_t)(100 + i), &p.cf);
        p.s = tls_open_server(id_ec, &p.sf);
        uint64_t hits = tls_counts().chain_cache_hits;
        pair_shake(&p);
        if (i < 2)
            CHECK(p.cr == IO_DONE);
        else
            CHECK(p.cr == IO_FAILED && p.cf.sys == 54);
        CHECK_INT(tls_counts().chain_cache_hits - hits, i == 1);
        pair_close(&p);
    }
    test_wall_ms = now;
}

/* A resumed handshake looks at no certificate: so the session must not outlive the chain. */
static void test_session_expiry(void)
{
    struct pair p;
    struct cert leaf;
    int64_t now = test_wall_ms;

    check_case("session of a chain that expired since");
    test_ms += 3600000;
    CHECK(cert_parse(slice_make((const char *)id_ec->chain[0].data, id_ec->chain[0].data_len), &leaf));
    test_wall_ms = leaf.not_after * 1000 - 600000;
    for (int minutes = 0; minutes <= 11; minutes += minutes ? 6 : 5) {
        pair_open(&p, id_ec, trust, host);
        pair_shake(&p);
        if (minutes < 10)
            CHECK(p.cr == IO_DONE && tls_resumed(p.c) == (minutes > 0));
        else
            CHECK(p.cr == IO_FAILED && p.cf.sys == 54);
        pair_close(&p);
        int step = minutes ? 6 : 5;
        test_ms += step * 60000;
        test_wall_ms += step * 60000;
    }
    test_wall_ms = now;
}

/* ---- Bytes that are no TLS ---- */

static void test_not_tls(void)
{
    static const struct {
        const char *name;
        struct slice bytes;
        int sys;
    } cases[] = {
        {"HTTP on the port", {"HTTP/1.1 400 Bad Request\r\n\r\n", 28}, 3},
        {"SSH on the port", {"SSH-2.0-OpenSSH_9.2\r\n", 21}, 3},
        {"closed at once", {"", 0}, 0},
        {"half a record header", {"\x16\x03\x03", 3}, 0},
        {"record too long", {"\x16\x03\x03\xff\xff", 5}, 5},
        {"plaintext data in a handshake", {"\x17\x03\x03\x00\x05hello", 10}, 10},
        {"alert: TLS 1.3 only", {"\x15\x03\x03\x00\x02\x02\x46", 7}, 326},
        {"alert: no http/1.1", {"\x15\x03\x03\x00\x02\x02\x78", 7}, 376},
        {"close_notify at once", {"\x15\x03\x03\x00\x02\x01\x00", 7}, 0},
    };
    size_t before = mem_in_use();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step <= 64; step += 63) {
            struct fault f = {0};
            enum io r = IO_PARKED;
            int fd[2];

            check_case(cases[i].name);
            sockets(fd);
            struct tls *t = tls_open_client(trust, host, 443, 5, &f);
            for (size_t at = 0; r == IO_PARKED && at < cases[i].bytes.n; at += step) {
                size_t n = cases[i].bytes.n - at < step ? cases[i].bytes.n - at : step;
                if (send(fd[1], cases[i].bytes.p + at, n, MSG_NOSIGNAL) < 0)
                    break;
                r = tls_handshake(t, fd[0], &f);
            }
            close(fd[1]);
            if (r == IO_PARKED)
                r = tls_handshake(t, fd[0], &f);
            CHECK(r == IO_FAILED && f.kind == FAULT_TLS);
            if (cases[i].sys == 0)
                CHECK_STR(slice_str(f.what), "closed during TLS handshake");
            else
                CHECK_INT(f.sys, cases[i].sys);
            tls_close(t, fd[0]);
            close(fd[0]);
        }
    CHECK_INT(mem_in_use(), before);
}

/* Endless nothing: empty records before the handshake, and after it from a peer that knows how. */
static void test_floods(void)
{
    static const unsigned char empty[5] = {0x16, 3, 3, 0, 0};
    static char many[40000];
    struct fault f = {0};
    enum io r = IO_PARKED;
    int fd[2], rounds = 0;

    check_case("empty records instead of a handshake");
    sockets(fd);
    struct tls *t = tls_open_client(trust, host, 443, 5, &f);
    for (size_t i = 0; i < sizeof many; i += 5)
        memcpy(many + i, empty, 5);
    while (r == IO_PARKED && rounds++ < 20) {
        if (send(fd[1], many, sizeof many, MSG_NOSIGNAL) < 0)
            break;
        r = tls_handshake(t, fd[0], &f);
    }
    CHECK(r == IO_FAILED && rounds < 20);
    CHECK_STR(slice_str(f.what), "TLS handshake too long");
    tls_close(t, fd[0]);
    close(fd[0]);
    close(fd[1]);

    check_case("empty records instead of data");
    static br_ssl_client_context cc;
    static br_x509_minimal_context xc;
    static unsigned char io[BR_SSL_BUFSIZE_BIDI];
    br_x509_knownkey_context known;
    struct tls_identity *id = id_ec;
    struct cert leaf;
    unsigned char *p;
    size_t n, got;
    char buf[1000];
    sockets(fd);
    t = tls_open_server(id, &f);
    br_ssl_client_init_full(&cc, &xc, NULL, 0);
    CHECK(cert_parse(slice_make((const char *)id->chain[0].data, id->chain[0].data_len), &leaf));
    br_ec_public_key pk = {leaf.key.curve, (unsigned char *)(uintptr_t)leaf.key.n.p, leaf.key.n.n};
    br_x509_knownkey_init_ec(&known, &pk, BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX);
    br_ssl_engine_set_x509(&cc.eng, &known.vtable);
    br_ssl_engine_set_buffer(&cc.eng, io, sizeof io, 1);
    CHECK(br_ssl_client_reset(&cc, "api.example.test", 0));
    r = IO_PARKED;
    bool data = false;
    for (rounds = 0; rounds < 20000 && !(r == IO_FAILED); rounds++) {
        unsigned state = br_ssl_engine_current_state(&cc.eng);

        if (state & BR_SSL_SENDREC) {
            p = br_ssl_engine_sendrec_buf(&cc.eng, &n);
            ssize_t sent = send(fd[1], p, n, MSG_NOSIGNAL);
            if (sent > 0)
                br_ssl_engine_sendrec_ack(&cc.eng, (size_t)sent);
        } else if (state & BR_SSL_SENDAPP) {
            if (!data) { /* one word first, to see that all works */
                p = br_ssl_engine_sendapp_buf(&cc.eng, &n);
                memcpy(p, "word", 4);
                br_ssl_engine_sendapp_ack(&cc.eng, 4);
            }
            data = true;
            br_ssl_engine_flush(&cc.eng, 1);
            if (r == IO_DONE && rounds % 50)
                continue;
        } else if (state & BR_SSL_RECVREC) {
            p = br_ssl_engine_recvrec_buf(&cc.eng, &n);
            ssize_t came = recv(fd[1], p, n, 0);
            if (came > 0)
                br_ssl_engine_recvrec_ack(&cc.eng, (size_t)came);
        }
        if (r == IO_PARKED)
            r = tls_handshake(t, fd[0], &f);
        if (r == IO_DONE && tls_read(t, fd[0], buf, sizeof buf, &got, &f) == IO_FAILED)
            r = IO_FAILED;
        else if (r == IO_DONE && got)
            CHECK(got == 4 && memcmp(buf, "word", 4) == 0);
    }
    CHECK(data && r == IO_FAILED);
    CHECK_STR(slice_str(f.what), "flood of empty TLS records");
    tls_close(t, fd[0]);
    close(fd[0]);
    close(fd[1]);
}

/* Somebody else's certificate in front of one's own key: all else of the handshake is in order. */
static void test_stolen_chain(void)
{
    static const struct {
        const char *name, *chain, *key, *other_chain, *other_key;
    } cases[] = {
        {"stolen P-256", "chain.pem", "leaf.key", "plain.chain", "params.key"},
        {"stolen P-384", "p384.chain", "p384.key", "root.pem", "root.key"},
        {"stolen RSA", "rsa.pem", "rsa.key", "rroot.pem", "rroot.key"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why;
        struct pair p;

        check_case(cases[i].name);
        struct tls_identity *real = identity(cases[i].chain, cases[i].key);
        /* params.key has no certificate of its own: the key alone is what is wanted, so its check may fail. */
        struct tls_identity *thief = tls_identity_load(certs_file(cases[i].other_chain), certs_file(cases[i].other_key), &arena,
                                                       &why);
        if (!CHECK(real != NULL))
            continue;
        struct tls_identity stolen = *real;
        static unsigned char x[32] = {1, 2, 3};
        if (thief) {
            stolen.ec = thief->ec;
            stolen.rsa = thief->rsa;
        } else {
            stolen.ec.x = x;
            stolen.ec.xlen = sizeof x;
        }
        pair_open(&p, &stolen, trust, host);
        test_ms += 3600000;
        pair_shake(&p);
        CHECK(p.cr == IO_FAILED && p.cf.sys == 27);
        pair_close(&p);
        pair_open(&p, real, trust, host); /* and the owner gets in */
        pair_shake(&p);
        CHECK(p.cr == IO_DONE);
        pair_close(&p);
    }
}

/* A resumed client may send its request along with the end of the handshake: epoll will not tell of it again. */
static void test_early_request(void)
{
    struct pair p;
    struct fault f;
    char buf[64];
    size_t took, got;
    const struct slice word = SLICE("GET / HTTP/1.1");

    check_case("request right behind the handshake");
    if (pair_ready(&p, id_ec))
        pair_close(&p);
    pair_open(&p, id_ec, trust, host);
    while ((p.cr = tls_handshake(p.c, p.cfd, &p.cf)) == IO_PARKED && p.turns++ < 10)
        if (p.sr == IO_PARKED)
            p.sr = tls_handshake(p.s, p.sfd, &p.sf);
    CHECK(p.cr == IO_DONE && p.sr == IO_PARKED && tls_resumed(p.c));
    CHECK(tls_write(p.c, p.cfd, &word, 1, &took, &f) == IO_DONE && took == word.n);
    CHECK(tls_handshake(p.s, p.sfd, &p.sf) == IO_DONE && tls_pending(p.s));
    CHECK(tls_wants(p.s, true) == 0);
    CHECK(tls_read(p.s, p.sfd, buf, sizeof buf, &got, &f) == IO_DONE);
    CHECK_SLICE(slice_make(buf, got), word);
    CHECK(!tls_pending(p.s) && tls_wants(p.s, true) == SYS_IN);
    pair_close(&p);
}

/* No single call of a client's handshake does more than a piece of the checking. */
static void test_turns(void)
{
    struct pair p;

    check_case("an unknown chain takes several turns, a known one few");
    test_ms += 3600000;
    pair_open(&p, id_ec, trust, host);
    pair_shake(&p);
    int unknown = p.turns;
    CHECK(p.cr == IO_DONE && !tls_resumed(p.c));
    pair_close(&p);
    int fd[2];
    sockets(fd);
    p = (struct pair){.cfd = fd[0], .sfd = fd[1], .cr = IO_PARKED, .sr = IO_PARKED};
    p.c = tls_open_client(trust, host, 443, 777, &p.cf);
    p.s = tls_open_server(id_ec, &p.sf);
    pair_shake(&p);
    CHECK(p.cr == IO_DONE && !tls_resumed(p.c));
    CHECK(unknown >= p.turns + 6); /* one piece of P-256, five of P-384, and the validator's */
    pair_close(&p);
}

/* ---- Memory ---- */

static void test_memory(void)
{
    struct pair p;
    struct fault f;
    size_t took, got;
    static char big[40000];
    static char buf[70000];

    check_case("n-th block refused: a fault, no leak");
    size_t before = mem_in_use();
    for (uint64_t nth = 1; nth < 12; nth++) {
        test_ms += 3600000;
        mem_fail_at(nth, true);
        pair_open(&p, id_ec, trust, host);
        if (p.c && p.s) {
            pair_shake(&p);
            if (!CHECK(p.cr != IO_FAILED || p.cf.kind == FAULT_NO_MEMORY || p.sf.kind == FAULT_NO_MEMORY))
                printf("     %u: client %s, server %s\n", (unsigned)nth, p.cf.what, p.sf.what ? p.sf.what : "-");
        } else {
            CHECK(p.cf.kind == FAULT_NO_MEMORY);
        }
        mem_fail_at(0, false);
        pair_close(&p);
        CHECK_INT(mem_in_use(), before);
    }
    check_case("slow reader: what is kept has a limit");
    if (pair_ready(&p, id_ec)) {
        size_t sent = 0;
        for (int i = 0; i < 1000; i++) {
            enum io r = tls_write(p.s, p.sfd, &(struct slice){big, sizeof big}, 1, &took, &f);

            sent += took;
            if (r == IO_PARKED)
                break;
        }
        CHECK(mem_in_use() - before > 0 && mem_in_use() - before <= 65536);
        CHECK(tls_wants(p.s, false) == SYS_OUT);
        CHECK(tls_flush(p.s, p.sfd, &f) == IO_PARKED);
        size_t all = 0;
        while (all < sent) {
            enum io r = tls_read(p.c, p.cfd, buf, sizeof buf, &got, &f);
            all += got;
            if (r != IO_DONE && tls_flush(p.s, p.sfd, &f) != IO_DONE && got == 0 && r == IO_FAILED)
                break;
            (void)tls_flush(p.s, p.sfd, &f);
        }
        CHECK_INT(all, sent);
        CHECK_INT(mem_in_use(), before);
    }
    pair_close(&p);
    check_case("reader with a small buffer: the rest waits and is pending");
    if (pair_ready(&p, id_ec)) {
        CHECK(tls_write(p.s, p.sfd, &(struct slice){big, sizeof big}, 1, &took, &f) == IO_DONE && took == sizeof big);
        size_t all = 0;
        do {
            CHECK(tls_read(p.c, p.cfd, buf, 100, &got, &f) == IO_DONE);
            all += got;
        } while (tls_pending(p.c) || (got && all < took));
        CHECK_INT(all, took);
        CHECK_INT(mem_in_use(), before);
    }
    pair_close(&p);
    check_case("pool empty");
    struct tls *many[40];
    unsigned n = 0;
    while (n < 40 && (many[n] = tls_open_server(id_ec, &f)))
        n++;
    CHECK_INT(n, 32);
    CHECK(f.kind == FAULT_NO_MEMORY);
    while (n)
        tls_close(many[--n], -1);
    CHECK_INT(tls_counts().open, 0);
}

int main(void)
{
    const char *why = "";
    unsigned skipped;

    signal(SIGPIPE, SIG_IGN);
    if (!certs_make()) {
        CHECK(certs_dir[0] == 0);
        return check_end();
    }
    test_wall_ms = sys_wall_ms();
    arena_init_fixed(&arena, memory, sizeof memory);
    if (!CHECK(tls_init(32)) || !CHECK(mem_budget_init(8 << 20)))
        return check_end();
    trust = trust_load(certs_file("bundle.pem"), &arena, &skipped, &why);
    trust_rsa_only = trust_load(certs_file("rroot.pem"), &arena, &skipped, &why);
    id_ec = identity("chain.pem", "leaf.key");
    id_rsa = identity("rsa.pem", "rsa.key");
    if (!CHECK(trust && trust_rsa_only && id_ec && id_rsa))
        return check_end();
    test_pair();
    test_close();
    test_refusals();
    test_cached_expiry();
    test_session_expiry();
    test_not_tls();
    test_floods();
    test_stolen_chain();
    test_early_request();
    test_turns();
    test_cuts();
    test_memory();
    return check_end();
}
