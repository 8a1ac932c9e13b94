/* Against another implementation: OpenSSL's s_server and s_client over loopback. And reading keys that openssl wrote. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "check.h"
#include "net/tls.h"
#include "net/tls_identity.h"
#include "tls_certs.h"

enum { WAIT_MS = 10000, BULK = 4 << 20 };

static char memory[1 << 21];
static struct arena arena;
static struct trust *trust;
static const struct slice host = {"api.example.test", 16};

/* ---- Children ---- */

struct child {
    pid_t pid;
    int in, out; /* our ends of its stdin and stdout */
};

/* Runs openssl with the words of `args` in the folder of the certificates. */
static struct child child_start(const char *args)
{
    static char text[512];
    char *argv[40], *save = NULL;
    int n = 0, to[2], from[2];
    struct child c = {-1, -1, -1};

    snprintf(text, sizeof text, "openssl %s", args);
    for (char *w = strtok_r(text, " ", &save); w && n < 39; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    argv[n] = NULL;
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return c;
    c.pid = fork();
    if (c.pid == 0) {
        if (chdir(certs_dir) != 0 || dup2(to[0], 0) < 0 || dup2(from[1], 1) < 0 || !freopen("errors", "a", stderr))
            _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    c.in = to[1];
    c.out = from[0];
    return c;
}

static void child_stop(struct child *c)
{
    int status;

    if (c->in >= 0)
        close(c->in);
    if (c->out >= 0)
        close(c->out);
    if (c->pid > 0) {
        kill(c->pid, SIGTERM);
        waitpid(c->pid, &status, 0);
    }
}

/* s_server picks a free port and names it: "ACCEPT 127.0.0.1:40001". */
static uint16_t server_port(const struct child *c)
{
    char line[256];
    size_t n = 0;
    struct pollfd p = {c->out, POLLIN, 0};

    while (n < sizeof line - 1 && poll(&p, 1, WAIT_MS) == 1) {
        ssize_t got = read(c->out, line + n, sizeof line - 1 - n);

        if (got <= 0)
            return 0;
        n += (size_t)got;
        line[n] = 0;
        char *at = strstr(line, "ACCEPT "), *colon = at ? strrchr(at, ':') : NULL;
        if (colon && strchr(colon, '\n'))
            return (uint16_t)atoi(colon + 1);
    }
    return 0;
}

/* ---- Our side, waiting with poll ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    struct pollfd p = {fd, POLLOUT, 0};

    if (fd < 0 || (sys_connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) ||
        poll(&p, 1, WAIT_MS) != 1)
        return -1;
    return fd;
}

static bool await(const struct tls *t, int fd, bool want_read)
{
    unsigned wants = tls_wants(t, want_read);
    struct pollfd p = {fd, (short)((wants & SYS_IN ? POLLIN : 0) | (wants & SYS_OUT ? POLLOUT : 0)), 0};

    clock_update();
    return tls_pending(t) || poll(&p, 1, WAIT_MS) == 1;
}

static enum io shake(struct tls *t, int fd, struct fault *f)
{
    enum io r;

    while ((r = tls_handshake(t, fd, f)) == IO_PARKED)
        if (!await(t, fd, true))
            return IO_PARKED;
    return r;
}

/* Sends a request and reads to the end. Bytes of the answer, or -1. */
static ssize_t ask(struct tls *t, int fd, const char *request, char *buf, size_t cap, struct fault *f)
{
    struct slice piece = slice_str(request);
    size_t all = 0, got, took;

    if (tls_write(t, fd, &piece, 1, &took, f) != IO_DONE || took != piece.n)
        return -1;
    for (;;) {
        enum io r = tls_read(t, fd, buf + all, cap - all, &got, f);

        all += got;
        if ((r == IO_DONE && got == 0) || all == cap)
            return (ssize_t)all;
        if (r == IO_FAILED || (r == IO_PARKED && !await(t, fd, true)))
            return -1;
    }
}

/* ---- Keys and chains ---- */

static void test_identity(void)
{
    static const struct {
        const char *chain, *key, *why; /* why NULL: good */
    } cases[] = {
        {"chain.pem", "leaf.key", NULL},
        {"chain.pem", "leaf.p8", NULL},
        {"rsa.pem", "rsa.key", NULL},
        {"rsa.pem", "rsa.p1", NULL},
        {"rsa.pem", "rsa.p8", NULL},
        {"p384.chain", "p384.key", NULL},
        {"p521.chain", "p521.key", NULL},
        {"both", "both", NULL},
        {"chain.pem", "params.key", "private key belongs to another certificate"},
        {"chain.pem", "rsa.key", "private key belongs to another certificate"},
        {"chain.pem", "p384.key", "private key belongs to another certificate"},
        {"rsa.pem", "leaf.key", "private key belongs to another certificate"},
        {"rsa.pem", "rroot.key", "private key belongs to another certificate"},
        {"wrong.pem", "leaf.key", "private key belongs to another certificate"},
        {"weak.pem", "weak.key", "RSA key must have 2048 to 4096 bits"},
        {"chain.pem", "leaf.enc", "private key is encrypted"},
        {"rsa.pem", "rsa.enc", "private key is encrypted"},
        {"chain.pem", "chain.pem", "no private key in it"},
        {"leaf.key", "leaf.key", "no certificate in it"},
        {"many.chain", "leaf.key", "too many certificates in the chain"},
        {"chain.pem", "cut.key", "private key is damaged"},
        {"cut.pem", "leaf.key", "certificate is damaged"},
        {"chain.pem", "ed.key", "private key is damaged or neither RSA nor EC"},
    };
    char cmd[256];

    snprintf(cmd, sizeof cmd,
             "cd %s && cat chain.pem leaf.key >both && head -c 100 leaf.key >cut.key && head -c 400 leaf.pem >cut.pem &&"
             " openssl genpkey -algorithm ed25519 -out ed.key", certs_dir);
    CHECK(system(cmd) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = "";
        struct arena a;
        static char room[131072];

        arena_init_fixed(&a, room, sizeof room);
        check_case(cases[i].key);
        struct tls_identity *id = tls_identity_load(certs_file(cases[i].chain), certs_file(cases[i].key), &a, &why);
        CHECK((id != NULL) == (cases[i].why == NULL));
        if (cases[i].why)
            CHECK_STR(slice_str(why ? why : "(none)"), cases[i].why);
        arena_init_fixed(&a, room, 1000 + i * 2000);
        (void)tls_identity_load(certs_file(cases[i].chain), certs_file(cases[i].key), &a, &why);
    }
}

/* ---- Our client, their server ---- */

static void test_servers(void)
{
    static const struct {
        const char *name, *args;
        int sys;
    } cases[] = {
        {"ECDSA", "-cert leaf.pem -key leaf.key -cert_chain inter.pem", 0},
        {"RSA", "-cert rsa.pem -key rsa.key", 0},
        {"P-521", "-cert p521.pem -key p521.key -cert_chain inter.pem", 0},
        {"AES-256", "-cert rsa.pem -key rsa.key -cipher ECDHE-RSA-AES256-GCM-SHA384", 0},
        {"AES-256 ECDSA", "-cert leaf.pem -key leaf.key -cert_chain inter.pem -cipher ECDHE-ECDSA-AES256-GCM-SHA384", 0},
        {"ChaCha20", "-cert rsa.pem -key rsa.key -cipher ECDHE-RSA-CHACHA20-POLY1305", 0},
        {"ChaCha20 ECDSA", "-cert leaf.pem -key leaf.key -cert_chain inter.pem -cipher ECDHE-ECDSA-CHACHA20-POLY1305", 0},
        {"X25519", "-cert leaf.pem -key leaf.key -cert_chain inter.pem -curves X25519", 0},
        {"P-384 exchange", "-cert rsa.pem -key rsa.key -curves P-384", 0},
        {"ALPN of both", "-cert rsa.pem -key rsa.key -alpn h2,http/1.1", 0},
        {"client certificate optional", "-cert rsa.pem -key rsa.key -verify 1", 0},
        {"no tickets", "-cert rsa.pem -key rsa.key -no_ticket", 0},
        {"small records", "-cert rsa.pem -key rsa.key -max_send_frag 512", 0},
        {"TLS 1.3 only", "-cert rsa.pem -key rsa.key -tls1_3", 326},
        {"h2 only", "-cert rsa.pem -key rsa.key -alpn h2", 376},
        {"CBC only", "-cert rsa.pem -key rsa.key -cipher ECDHE-RSA-AES128-SHA256 -tls1_2", 296},
        {"RSA key exchange only", "-cert rsa.pem -key rsa.key -cipher AES128-GCM-SHA256 -tls1_2", 296},
        {"TLS 1.1 only", "-cert rsa.pem -key rsa.key -tls1_1 -cipher ALL:@SECLEVEL=0", 296},
        {"client certificate required", "-cert rsa.pem -key rsa.key -Verify 1", 296},
        {"self-signed", "-cert selfs.pem -key selfs.key", 62},
    };
    char args[400];
    static char answer[65536];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_case(cases[i].name);
        snprintf(args, sizeof args, "s_server -accept 127.0.0.1:0 -www %s", cases[i].args);
        struct child s = child_start(args);
        uint16_t port = server_port(&s);

        for (int round = 0; round < 2 && CHECK(port != 0); round++) {
            struct fault f = {0};
            int fd = dial(port);
            struct tls *t = tls_open_client(trust, host, port, 0, &f);
            enum io r = shake(t, fd, &f);

            if (cases[i].sys == 0) {
                ssize_t n = r == IO_DONE ? ask(t, fd, "GET / HTTP/1.0\r\n\r\n", answer, sizeof answer - 1, &f) : -1;

                CHECK(r == IO_DONE);
                CHECK(n > 500 && memcmp(answer, "HTTP/1.0 200 ok", 15) == 0);
                if (n > 0) { /* what they say of us */
                    answer[n] = 0;
                    CHECK(strstr(answer, "TLSv1.2") != NULL);
                    CHECK((strstr(answer, "\nReused") != NULL) == (round == 1) && tls_resumed(t) == (round == 1));
                }
            } else {
                CHECK(r == IO_FAILED && f.kind == FAULT_TLS);
                CHECK_INT(f.sys, cases[i].sys);
            }
            if ((r == IO_FAILED) != (cases[i].sys != 0))
                printf("     %d %s\n", f.sys, f.what);
            tls_close(t, fd);
            close(fd);
        }
        child_stop(&s);
    }
}

/* s_server -rev sends every line back reversed: bulk in both directions at once, and their record sizes. */
static void test_bulk(void)
{
    static char out[BULK], in[BULK];
    struct fault f = {0};
    size_t sent = 0, got_all = 0, took, got;
    unsigned seed = 7;
    const int line = 1000;

    check_case("4 MB both ways");
    struct child s = child_start("s_server -accept 127.0.0.1:0 -rev -cert leaf.pem -key leaf.key -cert_chain inter.pem");
    uint16_t port = server_port(&s);
    int fd = dial(port);
    struct tls *t = tls_open_client(trust, host, port, 0, &f);
    for (size_t i = 0; i < BULK; i++)
        out[i] = (i + 1) % (size_t)line == 0 || i == BULK - 1 ? '\n' : (char)('a' + (i * 7 + i / 1000) % 26);
    CHECK(shake(t, fd, &f) == IO_DONE);
    while (got_all < BULK) {
        bool moved = false;

        if (sent < BULK) {
            struct slice piece = {out + sent, BULK - sent < 50000 ? BULK - sent : 50000};
            if (tls_write(t, fd, &piece, 1, &took, &f) == IO_FAILED)
                break;
            sent += took;
            moved = took > 0;
        }
        (void)tls_flush(t, fd, &f);
        seed = seed * 1103515245 + 12345;
        size_t cap = seed >> 16 & 32767;
        cap = cap < BULK - got_all ? cap + 1 : BULK - got_all;
        enum io r = tls_read(t, fd, in + got_all, cap, &got, &f);
        if (r == IO_FAILED || (r == IO_DONE && got == 0))
            break;
        got_all += got;
        moved = moved || got;
        if (!moved && !await(t, fd, true))
            break;
    }
    CHECK_INT(got_all, BULK);
    size_t wrong = 0;
    for (size_t at = 0; at < BULK; at += (size_t)line) {
        size_t n = (BULK - at < (size_t)line ? BULK - at : (size_t)line) - 1;
        for (size_t k = 0; k < n; k++)
            wrong += in[at + k] != out[at + n - 1 - k];
    }
    CHECK_INT(wrong, 0);
    tls_close(t, fd);
    close(fd);
    child_stop(&s);
}

/* ---- Their client, our server ---- */

static int listen_any(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_storage got;
    int fd = sys_socket(AF_INET, SOCK_STREAM);

    if (sys_bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || sys_listen(fd, 8) != 0 || sys_getsockname(fd, &got) != 0)
        return -1;
    *port = ntohs(((struct sockaddr_in *)(void *)&got)->sin_port);
    return fd;
}

static int accept_one(int listener)
{
    struct pollfd p = {listener, POLLIN, 0};

    return poll(&p, 1, WAIT_MS) == 1 ? sys_accept(listener, NULL) : -1;
}

static void test_clients(const struct tls_identity *id)
{
    static const struct {
        const char *name, *args;
        int connections; /* with -reconnect there are six, all but the first resumed */
        int sys;         /* 0: handshake succeeds */
    } cases[] = {
        {"plain", "", 1, 0},
        {"TLS 1.2 only", "-tls1_2", 1, 0},
        {"http/1.1", "-alpn h2,http/1.1", 1, 0},
        {"ChaCha20", "-cipher ECDHE-ECDSA-CHACHA20-POLY1305 -tls1_2", 1, 0},
        {"P-256", "-curves P-256", 1, 0},
        {"P-384", "-curves P-384:P-256", 1, 0},
        {"short records", "-maxfraglen 512", 1, 0},
        {"resumption", "-reconnect -tls1_2", 6, 0},
        {"TLS 1.3 only", "-tls1_3", 1, 512 + 40},
        {"h2 only", "-alpn h2", 1, 512 + 120},
        {"RSA key exchange", "-cipher AES128-GCM-SHA256 -tls1_2", 1, 512 + 40},
        {"wrong host", "-verify_hostname other.test", 1, 256 + 42},
    };
    char args[300];
    uint16_t port = 0;
    int listener = listen_any(&port);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int resumed = 0, done = 0;

        check_case(cases[i].name);
        snprintf(args, sizeof args, "s_client -connect 127.0.0.1:%u -servername api.example.test -CAfile bundle.pem"
                 " -verify_return_error %s %s", port,
                 strstr(cases[i].args, "verify_hostname") ? "" : "-verify_hostname api.example.test", cases[i].args);
        struct child c = child_start(args);
        for (int n = 0; n < cases[i].connections; n++) {
            struct fault f = {0};
            int fd = accept_one(listener);
            struct tls *t = tls_open_server(id, &f);
            enum io r = fd >= 0 ? shake(t, fd, &f) : IO_PARKED;
            char buf[100];
            size_t got = 0;

            done += r == IO_DONE;
            resumed += tls_resumed(t);
            if (cases[i].sys)
                CHECK_INT(f.sys, cases[i].sys);
            if (r == IO_DONE && n == cases[i].connections - 1) {
                /* What is typed on their side arrives, and goes back. */
                CHECK(write(c.in, "hello weir\n", 11) == 11);
                while (tls_read(t, fd, buf, sizeof buf, &got, &f) == IO_PARKED && await(t, fd, true))
                    ;
                CHECK_SLICE(slice_make(buf, got), SLICE("hello weir\n"));
            }
            tls_close(t, fd);
            close(fd);
        }
        CHECK_INT(done, cases[i].sys ? 0 : cases[i].connections);
        CHECK_INT(resumed, cases[i].connections - 1);
        child_stop(&c);
    }
    check_case("renegotiation is refused");
    snprintf(args, sizeof args, "s_client -connect 127.0.0.1:%u -CAfile bundle.pem -tls1_2", port);
    struct child c = child_start(args);
    struct fault f = {0};
    int fd = accept_one(listener);
    struct tls *t = tls_open_server(id, &f);
    uint64_t before = tls_counts().handshakes;
    CHECK(shake(t, fd, &f) == IO_DONE);
    CHECK(write(c.in, "R\n", 2) == 2);
    char buf[100];
    size_t got;
    enum io r;
    while ((r = tls_read(t, fd, buf, sizeof buf, &got, &f)) == IO_PARKED && await(t, fd, true))
        ;
    CHECK((r == IO_DONE && got == 0) || r == IO_FAILED); /* they give up */
    CHECK_INT(tls_counts().handshakes, before + 1);
    tls_close(t, fd);
    close(fd);
    child_stop(&c);
    close(listener);
}

int main(void)
{
    const char *why = "";

    signal(SIGPIPE, SIG_IGN);
    if (!certs_make()) {
        CHECK(certs_dir[0] == 0);
        return check_end();
    }
    clock_update();
    arena_init_fixed(&arena, memory, sizeof memory);
    if (!CHECK(tls_init(32)) || !CHECK(mem_budget_init(8 << 20)))
        return check_end();
    trust = trust_load(certs_file("bundle.pem"), &arena, NULL, &why);
    struct tls_identity *id = tls_identity_load(certs_file("chain.pem"), certs_file("leaf.key"), &arena, &why);
    if (!CHECK(trust && id))
        return check_end();
    test_identity();
    test_servers();
    test_bulk();
    test_clients(id);
    CHECK_INT(tls_counts().open, 0);
    CHECK_INT(tls_counts().buffers, 0);
    CHECK_INT(mem_in_use(), 0);
    return check_end();
}
