/* The resolver against DNS servers of our own on loopback, whose behaviour each case chooses: real sockets, real loop. Time is real
 * too, but can be moved on by hand (clock.h is implemented here), so that no case sits out a TTL. */
#include "net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/timer.h"
#include "net/loop.h"

#include "check.h"

/* ---- A clock that can be put forward. ---- */

static int64_t clock_now, clock_ahead;

void clock_update(void)
{
    clock_now = sys_mono_ms() + clock_ahead;
}

int64_t clock_ms(void)
{
    return clock_now;
}

int64_t clock_wall_ms(void)
{
    return clock_now;
}

static void put_forward(int ms)
{
    clock_ahead += ms;
    loop_turn(0);
}

/* ---- A server with a choice of manners. ---- */

enum manner { ANSWER, SILENT, SERVFAIL, TRUNCATE, NXDOMAIN, EMPTY, SPOOF, FORMERR_EDNS, BROKEN, ONLY_A, ONLY_A_SILENT, SLOW_V6, TC_BROKEN };

struct server {
    int udp, tcp, client;
    struct watch on_udp, on_tcp, on_client;
    uint16_t port;
    enum manner manner;
    unsigned asked[2]; /* A, AAAA over UDP */
    unsigned over_tcp;
    uint32_t ttl_s;
    uint8_t last_octet;
    uint16_t ports[64], ids[64];
    unsigned nports;
    struct timer late;
    uint8_t held[512];
    size_t held_n;
    struct sockaddr_in held_to;
};

/* The answer to query q in place: one address, unless the manner says otherwise. Returns its length. */
static size_t make_answer(struct server *s, uint8_t *q, size_t n, bool tcp)
{
    size_t end = 12;
    bool a;

    while (q[end])
        end += q[end] + 1u;
    a = q[end + 2] == DNS_A;
    end += 5;
    bool edns = q[11] != 0;
    (void)n;
    q[2] = 0x81;
    q[3] = 0x80;
    q[10] = q[11] = 0;
    if (s->manner == SERVFAIL)
        q[3] |= 2;
    if (s->manner == NXDOMAIN)
        q[3] |= 3;
    if (s->manner == FORMERR_EDNS && edns)
        q[3] |= 1;
    if ((s->manner == TRUNCATE || s->manner == TC_BROKEN) && !tcp)
        q[2] |= 2;
    if ((q[3] & 15) || (q[2] & 2) || s->manner == EMPTY || (s->manner == ONLY_A && !a))
        return end;
    unsigned count = s->manner == TRUNCATE && tcp ? 100 : 1; /* many: longer than a datagram */
    q[7] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = q + end;
        uint8_t size = a ? 4 : 16;

        memcpy(p, "\xc0\x0c\0", 3);
        p[3] = a ? DNS_A : DNS_AAAA;
        memcpy(p + 4, "\0\1", 2);
        p[6] = (uint8_t)(s->ttl_s >> 24);
        p[7] = (uint8_t)(s->ttl_s >> 16);
        p[8] = (uint8_t)(s->ttl_s >> 8);
        p[9] = (uint8_t)s->ttl_s;
        p[10] = 0;
        p[11] = size;
        memset(p + 12, 0, size);
        p[12] = a ? 10 : 0x20;
        p[12 + size - 2] = (uint8_t)i;
        p[12 + size - 1] = s->last_octet;
        end += 12u + size;
    }
    return s->manner == BROKEN || (s->manner == TC_BROKEN && tcp) ? end - 1 : end;
}

static void serve_udp(struct watch *w, unsigned events)
{
    struct server *s = container_of(w, struct server, on_udp);
    struct sockaddr_in from;
    socklen_t from_n = sizeof from;
    uint8_t q[8192];
    ssize_t n = recvfrom(s->udp, q, sizeof q, 0, (struct sockaddr *)&from, &from_n);

    (void)events;
    if (n < 17)
        return;
    size_t end = 12;
    while (q[end])
        end += q[end] + 1u;
    bool a = q[end + 2] == DNS_A;
    s->asked[!a]++;
    if (s->nports < 64) {
        s->ports[s->nports] = from.sin_port;
        s->ids[s->nports++] = (uint16_t)(q[0] << 8 | q[1]);
    }
    if (s->manner == SILENT || (s->manner == ONLY_A_SILENT && !a))
        return;
    size_t len = make_answer(s, q, (size_t)n, false);
    if (s->manner == SPOOF) { /* wrong id, then wrong question, then the right one from a stranger's port, then the truth */
        int stranger = socket(AF_INET, SOCK_DGRAM, 0);
        uint8_t evil[8192];

        memcpy(evil, q, len);
        evil[len - 1] = 66;
        evil[0] ^= 0x55;
        sendto(s->udp, evil, len, 0, (struct sockaddr *)&from, from_n);
        evil[0] ^= 0x55;
        evil[13] ^= 1;
        sendto(s->udp, evil, len, 0, (struct sockaddr *)&from, from_n);
        evil[13] ^= 1;
        sendto(stranger, evil, len, 0, (struct sockaddr *)&from, from_n);
        close(stranger);
    }
    if (s->manner == SLOW_V6 && !a) {
        memcpy(s->held, q, len);
        s->held_n = len;
        s->held_to = from;
        timer_arm(&s->late, clock_ms() + 20);
        return;
    }
    sendto(s->udp, q, len, 0, (struct sockaddr *)&from, from_n);
}

static void serve_late(struct timer *t)
{
    struct server *s = container_of(t, struct server, late);

    sendto(s->udp, s->held, s->held_n, 0, (struct sockaddr *)&s->held_to, sizeof s->held_to);
}

/* Answers byte-drippingly: the length alone, then two halves, so that the reader meets every border. */
static void serve_stream(struct watch *w, unsigned events)
{
    struct server *s = container_of(w, struct server, on_client);
    uint8_t q[16384];
    ssize_t n = recv(s->client, q, sizeof q, 0);

    (void)events;
    if (n < 19) {
        loop_unwatch(w);
        close(s->client);
        s->client = -1;
        return;
    }
    size_t len = make_answer(s, q + 2, (size_t)n - 2, true);
    q[0] = (uint8_t)(len >> 8);
    q[1] = (uint8_t)len;
    CHECK(send(s->client, q, 1, 0) == 1);
    usleep(2000);
    CHECK(send(s->client, q + 1, 31, 0) == 31);
    usleep(2000);
    CHECK(send(s->client, q + 32, len + 2 - 32, 0) == (ssize_t)len + 2 - 32);
}

static void serve_tcp(struct watch *w, unsigned events)
{
    struct server *s = container_of(w, struct server, on_tcp);

    (void)events;
    if (s->client != -1) { /* the other family's turn came while one was served */
        loop_unwatch(&s->on_client);
        close(s->client);
    }
    s->client = accept(s->tcp, NULL, NULL);
    s->over_tcp++;
    CHECK(loop_watch(&s->on_client, s->client, SYS_IN, serve_stream));
}

/* One port for both: the kernel chooses it for UDP, and somebody else may hold it for TCP, so this takes a few draws. */
static bool server_bind(struct server *s)
{
    for (int draws = 0; draws < 50; draws++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof at;

        s->udp = socket(AF_INET, SOCK_DGRAM, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(s->udp, (struct sockaddr *)&at, sizeof at) == 0 && getsockname(s->udp, (struct sockaddr *)&at, &n) == 0 &&
            bind(s->tcp, (struct sockaddr *)&at, sizeof at) == 0 && listen(s->tcp, 8) == 0) {
            s->port = ntohs(at.sin_port);
            return true;
        }
        close(s->udp);
        close(s->tcp);
    }
    return false;
}

static void server_open(struct server *s, enum manner manner)
{
    memset(s, 0, sizeof *s);
    s->manner = manner;
    s->ttl_s = 300;
    s->last_octet = 1;
    s->client = -1;
    if (!CHECK(server_bind(s)))
        exit(check_end()); /* nothing below would mean anything */
    timer_init(&s->late, serve_late);
    CHECK(loop_watch(&s->on_udp, s->udp, SYS_IN, serve_udp) && loop_watch(&s->on_tcp, s->tcp, SYS_IN, serve_tcp));
}

static void server_close(struct server *s)
{
    timer_disarm(&s->late);
    loop_unwatch(&s->on_udp);
    loop_unwatch(&s->on_tcp);
    loop_unwatch(&s->on_client);
    close(s->udp);
    close(s->tcp);
    if (s->client != -1)
        close(s->client);
}

/* ---- Asking. ---- */

struct got {
    struct dns_ask ask;
    unsigned times;
    struct dns_result result;
    struct fault fault;
    struct slice again; /* resolve this from inside done */
    struct got *next;
};

static void on_done(struct dns_ask *ask, const struct dns_result *result, struct fault fault)
{
    struct got *g = container_of(ask, struct got, ask);

    g->times++;
    g->result = *result;
    g->fault = fault;
    if (g->next)
        dns_resolve(&g->next->ask, g->again, on_done);
}

static void turn_for(int ms)
{
    int64_t until = sys_mono_ms() + ms;

    do {
        int64_t left = until - sys_mono_ms();
        loop_turn(left > 0 ? (int)left : 0);
    } while (sys_mono_ms() < until);
}

/* Turns until done was called or ms are over; the result says how long it took. */
static int64_t turn_until(struct got *g, int ms)
{
    int64_t from = sys_mono_ms();

    while (!g->times && sys_mono_ms() - from < ms)
        loop_turn(10);
    return sys_mono_ms() - from;
}

static bool resolve(struct got *g, const char *name)
{
    memset(g, 0, sizeof *g);
    return dns_resolve(&g->ask, slice_str(name), on_done);
}

static bool resolve_wait(struct got *g, const char *name, int ms)
{
    if (!resolve(g, name))
        turn_until(g, ms);
    return g->times == 1 && g->fault.kind == FAULT_NONE && g->result.count > 0;
}

/* Timers and watches are counted so that a case that leaves one behind is seen. */
static void use_servers(struct server *s, unsigned count, unsigned timeout_ms, unsigned attempts)
{
    struct dns_servers servers = {.count = count, .timeout_ms = timeout_ms, .attempts = attempts};
    static const uint8_t loopback[4] = {127, 0, 0, 1};

    for (unsigned i = 0; i < count; i++)
        servers.server[i] = addr_make(4, loopback, s[i].port);
    CHECK(dns_init(&servers));
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static char dir[] = "/tmp/weir-dns-test-XXXXXX", conf_path[64], hosts_path[64];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static struct slice what_of(const struct got *g)
{
    return g->fault.what ? slice_str(g->fault.what) : SLICE("(done was not called)");
}

static unsigned count_family(const struct got *g, uint8_t family)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->result.count; i++)
        n += g->result.addr[i].family == family;
    return n;
}

/* ---- Cases. ---- */

static void test_alone(void)
{
    struct got g;
    char text[ADDR_TEXT_MAX];
    static const struct { const char *host, *first; } cases[] = {
        {"192.0.2.7", "192.0.2.7:0"}, {"2001:db8::7", "[2001:db8::7]:0"}, {"::1", "[::1]:0"},
        {"localhost", "127.0.0.1:0"}, {"LocalHost.", "127.0.0.1:0"}, {"a.localhost", "127.0.0.1:0"}};

    CHECK(dns_init(NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_case(cases[i].host);
        CHECK(resolve(&g, cases[i].host));
        CHECK_INT(g.times, 1);
        CHECK_INT(g.fault.kind, FAULT_NONE);
        CHECK_STR(addr_text(&g.result.addr[0], text), cases[i].first);
    }
    static const char *const bad[] = {"", ".", "a..b", "a b", "xlocalhost..", "\xc3\xbc.de",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_case(bad[i]);
        CHECK(resolve(&g, bad[i]));
        CHECK_INT(g.times, 1);
        CHECK_INT(g.fault.kind, FAULT_DNS);
        CHECK_STR(what_of(&g), "not a valid host name");
    }
    char longest[300];
    memset(longest, 'a', sizeof longest);
    memset(&g, 0, sizeof g);
    CHECK(dns_resolve(&g.ask, slice_make(longest, sizeof longest), on_done) && g.fault.kind == FAULT_DNS);
    CHECK_INT(dns_counts().names, 0);
}

static void test_answer(void)
{
    struct server s;
    struct got g, h;

    check_case("both families, then the cache");
    server_open(&s, ANSWER);
    use_servers(&s, 1, 500, 2);
    CHECK(!resolve(&g, "API.Example.test"));
    CHECK(!resolve(&h, "api.example.TEST.")); /* waits on the same question */
    turn_until(&h, 1000);
    CHECK_INT(g.times, 1);
    CHECK_INT(h.times, 1);
    CHECK_INT(count_family(&g, 4), 1);
    CHECK_INT(count_family(&g, 6), 1);
    CHECK_INT(s.asked[0], 1);
    CHECK_INT(s.asked[1], 1);
    CHECK(resolve(&g, "api.example.test"));
    CHECK_INT(g.result.count, 2);
    CHECK_INT(s.asked[0], 1);
    CHECK_INT(dns_counts().hits, 1);
    CHECK_INT(dns_counts().names, 1);

    check_case("ports and ids change");
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        CHECK(resolve_wait(&g, name, 1000));
    }
    unsigned same_port = 0, same_id = 0, in_step = 0;
    for (unsigned i = 1; i < s.nports; i++) {
        same_port += s.ports[i] == s.ports[i - 1];
        same_id += s.ids[i] == s.ids[i - 1];
        in_step += (uint16_t)(s.ids[i] - s.ids[i - 1]) == 1;
    }
    CHECK(s.nports > 40 && same_port < 3 && same_id < 3 && in_step < 3);

    check_case("a done function that resolves and one that is cancelled");
    memset(&g, 0, sizeof g);
    memset(&h, 0, sizeof h);
    struct got inner, third;
    memset(&inner, 0, sizeof inner);
    g.next = &inner;
    g.again = SLICE("fresh2.test");
    CHECK(!dns_resolve(&g.ask, SLICE("fresh1.test"), on_done));
    CHECK(!dns_resolve(&h.ask, SLICE("fresh1.test"), on_done));
    CHECK(!resolve(&third, "fresh1.test"));
    dns_cancel(&h.ask);
    dns_cancel(&h.ask);
    turn_until(&inner, 1000);
    CHECK_INT(g.times, 1);
    CHECK_INT(h.times, 0);
    CHECK_INT(third.times, 1);
    CHECK_INT(inner.times, 1);

    check_case("other servers after a reload; the cache stays");
    struct server other;
    struct dns_servers list = {.count = 1, .timeout_ms = 500};
    server_open(&other, ANSWER);
    list.server[0] = addr_make(4, (const uint8_t[]){127, 0, 0, 1}, other.port);
    dns_use(&list);
    CHECK(resolve_wait(&g, "elsewhere.test", 1000) && other.asked[0] == 1);
    CHECK(resolve(&g, "api.example.test"));
    list.server[0].port = s.port;
    dns_use(&list);
    server_close(&other);

    check_case("a TTL of 0 is held for a second, and asked again after it");
    s.ttl_s = 0;
    CHECK(resolve_wait(&g, "zero.test", 1000));
    unsigned asked = s.asked[0];
    CHECK(resolve(&g, "zero.test"));
    put_forward(1050);
    s.last_octet = 9;
    CHECK(resolve_wait(&g, "zero.test", 1000));
    CHECK_INT(s.asked[0], asked + 1);
    CHECK_INT(g.result.addr[g.result.addr[0].family == 6].ip[3], 9);
    CHECK_INT(dns_counts().questions, 0);
    server_close(&s);
}

static void test_negative(void)
{
    static const struct { enum manner manner; const char *what; } cases[] = {
        {NXDOMAIN, "name does not exist"}, {EMPTY, "name has no address"}};
    struct server s;
    struct got g;

    for (size_t i = 0; i < 2; i++) {
        check_case(cases[i].what);
        server_open(&s, cases[i].manner);
        use_servers(&s, 1, 300, 1);
        CHECK(!resolve_wait(&g, "gone.test", 1000));
        CHECK_INT(g.times, 1);
        CHECK_INT(g.fault.kind, FAULT_DNS);
        CHECK_STR(what_of(&g), cases[i].what);
        CHECK(resolve(&g, "gone.test")); /* kept */
        CHECK_STR(what_of(&g), cases[i].what);
        CHECK_INT(s.asked[0], 1);
        server_close(&s);
    }
}

static void test_failover(void)
{
    struct server s[3];
    struct got g;
    char name[32];

    check_case("F-002: SERVFAIL, then a good server; the good one is asked first from then on");
    server_open(&s[0], SERVFAIL);
    server_open(&s[1], ANSWER);
    use_servers(s, 2, 500, 2);
    CHECK(resolve_wait(&g, "one.test", 300));
    CHECK(s[0].asked[0] == 1 && s[1].asked[0] == 1);
    CHECK(resolve_wait(&g, "two.test", 300));
    CHECK(s[0].asked[0] == 1 && s[1].asked[0] == 2);
    check_case("all refuse");
    s[1].manner = SERVFAIL;
    CHECK(!resolve_wait(&g, "three.test", 300));
    CHECK_STR(what_of(&g), "DNS server refused");
    CHECK_INT(g.times, 1);
    CHECK(s[0].asked[0] == 3 && s[1].asked[0] == 4); /* two attempts each */
    check_case("malformed answers");
    s[0].manner = s[1].manner = BROKEN;
    CHECK(!resolve_wait(&g, "four.test", 300));
    CHECK_STR(what_of(&g), "malformed DNS answer");
    server_close(&s[0]);
    server_close(&s[1]);

    check_case("silence, then the next server");
    server_open(&s[0], SILENT);
    server_open(&s[1], ANSWER);
    use_servers(s, 2, 100, 2);
    CHECK(!resolve(&g, "one.test"));
    int64_t took = turn_until(&g, 1000);
    CHECK(g.fault.kind == FAULT_NONE && took >= 95 && took < 800);

    check_case("F-003: all silent");
    s[1].manner = SILENT;
    CHECK(!resolve(&g, "two.test"));
    took = turn_until(&g, 2000);
    CHECK_STR(what_of(&g), "no answer from DNS servers");
    CHECK(took >= 390 && took < 1900);
    CHECK_INT(dns_counts().questions, 0);

    check_case("F-004: nobody listens: told at once");
    server_close(&s[0]);
    server_close(&s[1]);
    took = 90;
    for (int tries = 0; tries < 8 && took >= 90; tries++) { /* at once, but for what else the machine does */
        snprintf(name, sizeof name, "refused%d.test", tries);
        CHECK(!resolve(&g, name) || g.times == 1);
        took = turn_until(&g, 2000);
        CHECK_STR(what_of(&g), "DNS server refused");
    }
    CHECK(took < 90);
}

static void test_stream(void)
{
    struct server s;
    struct got g;

    check_case("F-005: truncated: over TCP, a hundred addresses in pieces");
    server_open(&s, TRUNCATE);
    use_servers(&s, 1, 1000, 1);
    CHECK(resolve_wait(&g, "big.test", 2000));
    CHECK_INT(g.result.count, ADDRESSES_MAX);
    CHECK(s.over_tcp >= 1);
    check_case("broken over TCP");
    s.manner = TC_BROKEN;
    CHECK(!resolve_wait(&g, "broken.test", 3000));
    CHECK_INT(g.times, 1);
    CHECK_INT(g.fault.kind, FAULT_DNS);
    check_case("truncated, and nobody listens on TCP");
    loop_unwatch(&s.on_tcp);
    close(s.tcp);
    s.tcp = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!resolve_wait(&g, "refused.test", 3000));
    CHECK_STR(what_of(&g), "DNS server refused");
    CHECK_INT(mem_in_use(), 0);
    server_close(&s);
}

static void test_odd_servers(void)
{
    struct server s;
    struct got g;
    char name[32];

    check_case("F-007: forged answers are passed over");
    server_open(&s, SPOOF);
    use_servers(&s, 1, 500, 1);
    CHECK(resolve_wait(&g, "spoof.test", 1000));
    for (unsigned i = 0; i < g.result.count; i++)
        CHECK(g.result.addr[i].ip[3] != 66 && g.result.addr[i].ip[15] != 66);
    check_case("a server older than EDNS0 is asked again without it");
    s.manner = FORMERR_EDNS;
    CHECK(resolve_wait(&g, "old.test", 1000));
    CHECK_INT(count_family(&g, 4), 1);
    check_case("no IPv6 address: IPv4 alone is whole");
    s.manner = ONLY_A;
    CHECK(resolve_wait(&g, "v4.test", 1000));
    CHECK(g.result.count == 1 && g.result.addr[0].family == 4);
    check_case("no answer about IPv6: IPv4 after 50 ms");
    s.manner = ONLY_A_SILENT;
    CHECK(!resolve(&g, "half.test"));
    int64_t took = turn_until(&g, 1000);
    CHECK(g.result.count == 1 && took >= 45 && took < 450);
    check_case("IPv6 late by 20 ms is waited for");
    s.manner = SLOW_V6;
    for (int tries = 0; tries < 8; tries++) { /* a process that is stopped for 30 ms sees both times pass at once */
        snprintf(name, sizeof name, "late%d.test", tries);
        if (!CHECK(resolve_wait(&g, name, 1000)) || g.result.count == 2)
            break;
    }
    CHECK_INT(g.result.count, 2);
    server_close(&s);
}

static void test_stale(void)
{
    struct server s;
    struct got g;

    check_case("L-35: servers down: the old answer after 500 ms, later at once");
    server_open(&s, ANSWER);
    s.ttl_s = 1;
    use_servers(&s, 1, 300, 4);
    CHECK(resolve_wait(&g, "known.test", 1000));
    put_forward(1050);
    s.manner = SILENT;
    CHECK(!resolve(&g, "known.test"));
    int64_t took = turn_until(&g, 2000);
    CHECK(g.fault.kind == FAULT_NONE && g.result.count == 2 && took >= 480 && took < 1150);
    CHECK(resolve(&g, "known.test") && g.fault.kind == FAULT_NONE); /* the question still runs */
    turn_for(900); /* and fails */
    CHECK_INT(dns_counts().questions, 0);
    unsigned asked = s.asked[0];
    CHECK(resolve(&g, "known.test") && g.fault.kind == FAULT_NONE);
    CHECK_INT(s.asked[0], asked);
    check_case("a new name has no old answer");
    CHECK(!resolve_wait(&g, "unknown.test", 3000) && g.times == 1);
    CHECK_STR(what_of(&g), "no answer from DNS servers");
    server_close(&s);
}

static void test_bounds(void)
{
    static struct got many[DNS_QUESTIONS_MAX + 1];
    struct server s;
    struct got g;
    char name[32];
    int before = open_fds();

    check_case("more names at a time than questions");
    server_open(&s, SILENT);
    use_servers(&s, 1, 200, 1);
    for (int i = 0; i <= DNS_QUESTIONS_MAX; i++) {
        snprintf(name, sizeof name, "q%d.test", i);
        CHECK(resolve(&many[i], name) == (i == DNS_QUESTIONS_MAX));
    }
    CHECK_INT(many[DNS_QUESTIONS_MAX].fault.kind, FAULT_LOCAL);
    CHECK_INT(dns_counts().questions, DNS_QUESTIONS_MAX);
    turn_for(400);
    unsigned told = 0;
    for (int i = 0; i < DNS_QUESTIONS_MAX; i++)
        told += many[i].times == 1 && many[i].fault.kind == FAULT_DNS;
    CHECK_INT(told, DNS_QUESTIONS_MAX);
    CHECK_INT(dns_counts().questions, 0);
    check_case("more names than the cache holds: the oldest goes");
    s.manner = ANSWER;
    for (int i = 0; i < DNS_NAMES_MAX + 10; i++) {
        snprintf(name, sizeof name, "c%d.test", i);
        CHECK(resolve_wait(&g, name, 1000));
    }
    CHECK_INT(dns_counts().names, DNS_NAMES_MAX);
    CHECK(resolve(&g, "c265.test"));
    CHECK(!resolve(&g, "c0.test"));
    turn_until(&g, 1000);
    server_close(&s);
    CHECK_INT(open_fds(), before);
    CHECK_INT(timers_count(), 0);
}

static void test_files(void)
{
    struct server s;
    struct got g;
    char text[ADDR_TEXT_MAX];
    struct timeval times[2] = {{1000, 0}, {1000, 0}};

    check_case("hosts file; resolv.conf missing");
    write_file(hosts_path, "10.9.8.7 ollama\n");
    CHECK(dns_init(NULL));
    CHECK(resolve(&g, "OLLAMA"));
    CHECK_STR(addr_text(&g.result.addr[0], text), "10.9.8.7:0");
    check_case("a name of the hosts file asks nobody");
    server_open(&s, ANSWER);
    use_servers(&s, 1, 300, 1);
    CHECK(resolve(&g, "ollama"));
    CHECK_INT(s.asked[0], 0);
    check_case("L-36: files that are empty, wild or huge are read without harm");
    static char wild[200000];
    static const char *const confs[] = {"", "nameserver", "nameserver fe80::1%lo\n", "nameserver fe80::1%nosuch0\n", "\0\0\0",
        "nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n", wild};
    memset(wild, 'x', sizeof wild - 1);
    for (size_t i = 0; i < sizeof confs / sizeof confs[0]; i++) {
        write_file(conf_path, confs[i]);
        write_file(hosts_path, i & 1 ? wild : "");
        CHECK(dns_init(NULL));
        CHECK(resolve(&g, "localhost"));
    }
    check_case("a changed hosts file is seen after 5 s, not before");
    write_file(hosts_path, "10.0.0.1 box\n");
    utimes(hosts_path, times);
    use_servers(&s, 1, 300, 1);
    CHECK(resolve(&g, "box") && g.result.addr[0].ip[3] == 1);
    write_file(hosts_path, "10.0.0.2 box\n");
    CHECK(resolve(&g, "box") && g.result.addr[0].ip[3] == 1);
    put_forward(5100);
    CHECK(resolve(&g, "box") && g.result.addr[0].ip[3] == 2);
    server_close(&s);
}

static void test_no_descriptors(void)
{
    struct got g;
    static int held[2000];
    int n = 0;
    struct server s;

    check_case("no descriptors left is our own fault, and heals");
    server_open(&s, ANSWER);
    use_servers(&s, 1, 300, 1);
    while (n < 2000 && (held[n] = dup(s.udp)) != -1)
        n++;
    if (n == 2000) {
        printf("left out: running out of descriptors (the limit is high here)\n");
    } else {
        CHECK(resolve(&g, "local.test"));
        CHECK_INT(g.fault.kind, FAULT_LOCAL);
        CHECK_INT(g.fault.sys, EMFILE);
    }
    while (n > 0)
        close(held[--n]);
    CHECK(resolve_wait(&g, "local.test", 1000));
    server_close(&s);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    snprintf(conf_path, sizeof conf_path, "%s/resolv.conf", dir);
    snprintf(hosts_path, sizeof hosts_path, "%s/hosts", dir);
    dns_files(conf_path, hosts_path);
    if (!loop_init(400) || !timers_init(400) || !mem_budget_init(1 << 20))
        return 1;
    test_alone();
    test_answer();
    test_negative();
    test_failover();
    test_stream();
    test_odd_servers();
    test_stale();
    test_bounds();
    test_files();
    test_no_descriptors();
    unlink(conf_path);
    unlink(hosts_path);
    rmdir(dir);
    return check_end();
}
