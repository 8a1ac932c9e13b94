/* Dialling over real loopback sockets: who wins, who is closed, what is told when nobody answers. An address that swallows
 * connects is a listener whose queue is full. */
#include "net/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/timer.h"
#include "net/dns.h"
#include "net/loop.h"

#include "check.h"

struct got {
    unsigned times;
    int fd;
    struct addr peer;
    struct fault fault;
};

static void on_done(void *owner, int fd, const struct addr *peer, struct fault fault)
{
    struct got *g = owner;

    g->times++;
    g->fd = fd;
    if (peer)
        g->peer = *peer;
    g->fault = fault;
}

static struct slice what_of(const struct got *g)
{
    return g->fault.what ? slice_str(g->fault.what) : SLICE("(done was not called)");
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* A listener on 127.0.0.`host`; *port 0 takes any. */
static int listener(unsigned host, uint16_t *port, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(0x7f000000u + host)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, backlog) == 0);
    getsockname(fd, (struct sockaddr *)&at, &n);
    *port = ntohs(at.sin_port);
    return fd;
}

/* Fills a listener's queue so that further connects get no answer. */
static void swallow(unsigned host, uint16_t port, int fds[4])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000000u + host)};

    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&at, sizeof at);
    }
    usleep(20000);
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static struct dial *dial(struct got *g, const char *host, uint16_t port, bool trusted)
{
    memset(g, 0, sizeof *g);
    g->fd = -1;
    clock_update();
    return dial_start(slice_str(host), port, trusted, on_done, g);
}

static int64_t turn_until(struct got *g, int ms)
{
    int64_t from = sys_mono_ms();

    while (!g->times && sys_mono_ms() - from < ms)
        loop_turn(10);
    return sys_mono_ms() - from;
}

static char dir[] = "/tmp/weir-dial-test-XXXXXX", conf_path[64], hosts_path[64];

static void use_hosts(const char *text)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct dns_servers servers = {.count = 1, .timeout_ms = 50, .attempts = 1};
    FILE *f = fopen(hosts_path, "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
    servers.server[0] = addr_make(4, loopback, 1); /* nobody listens there */
    CHECK(dns_init(&servers));
}

/* ---- Cases. ---- */

static void test_literal(void)
{
    struct got g;
    uint16_t port = 0;
    int listen_fd = listener(1, &port, 8), on = 0;
    socklen_t n = sizeof on;
    char text[ADDR_TEXT_MAX], want[ADDR_TEXT_MAX], byte = 0;

    check_case("literal on loopback: connected before the call returns");
    CHECK(dial_init(4, true));
    CHECK(dial(&g, "127.0.0.1", port, false) == NULL);
    CHECK_INT(g.times, 1);
    CHECK_INT(g.fault.kind, FAULT_NONE);
    snprintf(want, sizeof want, "127.0.0.1:%u", port);
    CHECK_STR(addr_text(&g.peer, text), want);
    CHECK(getsockopt(g.fd, IPPROTO_TCP, TCP_NODELAY, &on, &n) == 0 && on == 1);
    CHECK(fcntl(g.fd, F_GETFL) & O_NONBLOCK && fcntl(g.fd, F_GETFD) & FD_CLOEXEC);
    int peer = accept(listen_fd, NULL, NULL);
    CHECK(send(peer, "x", 1, 0) == 1 && recv(g.fd, &byte, 1, 0) == 1 && byte == 'x');
    close(peer);
    close(g.fd);
    CHECK_INT(dial_count(), 0);
    CHECK_INT(timers_count(), 0);

    check_case("localhost finds the family that listens");
    use_hosts("");
    struct dial *d = dial(&g, "localhost", port, false);
    CHECK(d == NULL || turn_until(&g, 1000) < 200);
    CHECK(g.fd != -1 && g.peer.family == 4);
    close(g.fd);

    check_case("F-011: refused");
    close(listen_fd);
    CHECK(dial(&g, "127.0.0.1", port, false) == NULL);
    CHECK_INT(g.fault.kind, FAULT_CONNECT);
    CHECK_INT(g.fault.sys, ECONNREFUSED);
    CHECK_STR(what_of(&g), "connection refused");
    CHECK_INT(g.fd, -1);
}

static void test_addresses(void)
{
    struct got g;
    uint16_t port = 0;
    int listen_fd = listener(18, &port, 8), before, swallowed[4], deaf;

    CHECK(dial_init(4, true));
    use_hosts("127.0.0.11 eight\n127.0.0.12 eight\n127.0.0.13 eight\n127.0.0.14 eight\n127.0.0.15 eight\n127.0.0.16 eight\n"
              "127.0.0.17 eight\n127.0.0.18 eight\n127.0.0.11 dead\n127.0.0.12 dead\n127.0.0.19 slow\n127.0.0.18 slow\n"
              "127.0.0.18 fast\n127.0.0.19 fast\n127.0.0.19 silent\n::1 six\n127.0.0.18 six\n");
    before = open_fds();

    check_case("F-010: eight addresses, seven dead");
    dial(&g, "eight", port, false);
    CHECK(turn_until(&g, 1000) < 100);
    CHECK(g.fd != -1 && g.peer.ip[3] == 18);
    close(g.fd);

    check_case("all dead");
    dial(&g, "dead", port, false);
    turn_until(&g, 1000);
    CHECK_STR(what_of(&g), "connection refused");

    check_case("F-013: the other family is broken or refuses");
    dial(&g, "six", port, false);
    CHECK(turn_until(&g, 1000) < 100);
    CHECK(g.fd != -1 && g.peer.ip[3] == 18);
    close(g.fd);

    check_case("a silent address costs 250 ms, then the next one is tried beside it");
    deaf = listener(19, &port, 0);
    swallow(19, port, swallowed);
    struct dial *d = dial(&g, "slow", port, false);
    CHECK(d != NULL);
    CHECK_INT(timers_count(), 1);
    int64_t took = turn_until(&g, 2000);
    CHECK(g.fd != -1 && g.peer.ip[3] == 18 && took >= 240 && took < 1500);
    close(g.fd);
    CHECK_INT(timers_count(), 0);

    check_case("a good first address needs no second");
    dial(&g, "fast", port, false);
    CHECK(g.times == 1 && g.fd != -1 && g.peer.ip[3] == 18);
    close(g.fd);

    check_case("F-012: a single silent address: no timer of its own, and cancelling closes it");
    d = dial(&g, "silent", port, false);
    CHECK(d != NULL);
    CHECK_INT(timers_count(), 0);
    turn_until(&g, 300);
    CHECK_INT(g.times, 0);
    CHECK_INT(dial_count(), 1);
    dial_cancel(d);
    CHECK_INT(dial_count(), 0);

    check_case("cancelled between two addresses");
    d = dial(&g, "slow", port, false);
    turn_until(&g, 100);
    dial_cancel(d);
    turn_until(&g, 300);
    CHECK_INT(g.times, 0);
    CHECK_INT(timers_count(), 0);
    dial_cancel(NULL);

    close_all(swallowed, 4);
    close(deaf);
    CHECK_INT(open_fds(), before);
    close(listen_fd);
}

static void test_private(void)
{
    struct got g;
    uint16_t port = 0;
    int listen_fd = listener(1, &port, 8);
    static const char *const refused[] = {"127.0.0.1", "inside", "localhost", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00:ec2::254", "0.0.0.0"};

    CHECK(dial_init(4, false));
    use_hosts("127.0.0.1 inside\n169.254.169.254 inside\n");
    int before = open_fds();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        check_case(refused[i]); /* S-13, F-009 */
        CHECK(dial(&g, refused[i], port, false) == NULL);
        CHECK_INT(g.times, 1);
        CHECK_INT(g.fault.kind, FAULT_CONNECT);
        CHECK_STR(what_of(&g), "address not allowed");
    }
    check_case("nobody was called");
    fcntl(listen_fd, F_SETFL, O_NONBLOCK);
    CHECK(accept(listen_fd, NULL, NULL) == -1 && errno == EAGAIN);
    CHECK_INT(open_fds(), before);
    check_case("trusted: the built-in simulator");
    CHECK(dial(&g, "127.0.0.1", port, true) == NULL && g.fd != -1);
    close(g.fd);
    close(listen_fd);
}

static void test_shortage(void)
{
    struct got g, h;
    uint16_t port = 0;
    int listen_fd = listener(1, &port, 8), n = 0, swallowed[4], deaf;
    static int held[2000];

    CHECK(dial_init(1, true));
    use_hosts("");
    check_case("names that can't be resolved");
    CHECK(dial(&g, "no.such.test", port, false) == NULL || turn_until(&g, 500) < 500);
    CHECK_INT(g.times, 1);
    CHECK_INT(g.fault.kind, FAULT_DNS);
    check_case("pool empty");
    deaf = listener(19, &port, 0);
    swallow(19, port, swallowed);
    struct dial *d = dial(&g, "127.0.0.19", port, false);
    CHECK(d != NULL);
    CHECK(dial(&h, "127.0.0.1", port, false) == NULL);
    CHECK_INT(h.times, 1);
    CHECK_INT(h.fault.kind, FAULT_NO_MEMORY);
    dial_cancel(d);
    CHECK(dial(&h, "127.0.0.1", port, false) == NULL && h.fd != -1);
    close(h.fd);
    close_all(swallowed, 4);
    close(deaf);

    check_case("F-017: no descriptors");
    while (n < 2000 && (held[n] = dup(listen_fd)) != -1)
        n++;
    if (n == 2000) {
        printf("left out: running out of descriptors (the limit is high here)\n");
    } else {
        CHECK(dial(&g, "127.0.0.1", port, false) == NULL);
        CHECK_INT(g.fault.kind, FAULT_LOCAL);
        CHECK_INT(g.fault.sys, EMFILE);
    }
    close_all(held, n);
    close(listen_fd);
}

/* What dial hands out can be watched by its next owner, though the kernel knew it under another watch. */
static struct watch seen;
static unsigned seen_events;

static void on_seen(struct watch *w, unsigned events)
{
    seen_events |= events;
    loop_unwatch(w);
}

static void test_handed_on(void)
{
    struct got g;
    uint16_t port = 0;
    int listen_fd = listener(18, &port, 8), swallowed[4], deaf = listener(19, &port, 0);

    check_case("a socket that waited in the loop is handed on");
    CHECK(dial_init(4, true));
    use_hosts("");
    swallow(19, port, swallowed);
    CHECK(dial(&g, "127.0.0.19", port, false) != NULL);
    for (int i = 0; i < 5; i++) { /* the queue empties: the kernel's second SYN, after 1 s, gets through */
        int fd = accept(deaf, NULL, NULL);
        close(fd);
        if (i == 1)
            break;
    }
    turn_until(&g, 3000);
    CHECK(g.times == 1 && g.fd != -1);
    if (g.fd != -1) {
        CHECK(loop_watch(&seen, g.fd, SYS_OUT, on_seen));
        loop_turn(100);
        CHECK(seen_events & SYS_OUT);
        close(g.fd);
    }
    close_all(swallowed, 4);
    close(deaf);
    close(listen_fd);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    snprintf(conf_path, sizeof conf_path, "%s/resolv.conf", dir);
    snprintf(hosts_path, sizeof hosts_path, "%s/hosts", dir);
    dns_files(conf_path, hosts_path);
    if (!loop_init(400) || !timers_init(400))
        return 1;
    test_literal();
    test_addresses();
    test_private();
    test_shortage();
    test_handed_on();
    unlink(hosts_path);
    rmdir(dir);
    return check_end();
}
