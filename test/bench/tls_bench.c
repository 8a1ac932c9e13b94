/* What TLS costs: loading a bundle, handshakes (and the longest single turn of each side), records, idle memory.
 * Usage: tls_bench [ca-bundle]. Needs the openssl command for its certificates. Times are CPU time, over a socket pair. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/tls.h"
#include "net/tls_identity.h"
#include "tls_certs.h"

enum { IDLE = 1000 };

static char memory[1 << 22];
static struct arena arena;
static struct trust *trust;
static const struct slice host = {"api.example.test", 16};

static void die(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

static void bench_load(const char *path)
{
    static char text[1 << 20], room[1 << 20];
    FILE *f = fopen(path, "r");
    int64_t best = INT64_MAX;
    size_t used = 0;
    unsigned count = 0;

    if (!f)
        return;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    for (int i = 0; i < 20; i++) {
        struct arena a;

        arena_init_fixed(&a, room, sizeof room);
        int64_t t = sys_mono_us();
        struct trust *set = trust_load(slice_make(text, n), &a, NULL, NULL);
        t = sys_mono_us() - t;
        if (!set)
            return;
        count = trust_count(set);
        used = (size_t)(a.at - room);
        best = t < best ? t : best;
    }
    printf("bundle of %zu bytes: %u anchors in %lld us, %zu bytes kept\n", n, count, (long long)best, used);
}

/* Time of this process alone: the longest turn must not be somebody else's time slice. */
static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct cost {
    int64_t all_us, turn_us; /* sum, longest call */
};

static enum io timed(struct tls *t, int fd, struct cost *c)
{
    struct fault f;
    int64_t start = cpu_us();
    enum io r = tls_handshake(t, fd, &f);
    int64_t took = cpu_us() - start;

    c->all_us += took;
    c->turn_us = took > c->turn_us ? took : c->turn_us;
    if (r == IO_FAILED)
        die(f.what);
    return r;
}

static void open_pair(const struct tls_identity *id, uint64_t tag, struct tls **c, struct tls **s, int fd[2])
{
    struct fault f;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0)
        die("socketpair");
    *c = tls_open_client(trust, host, 443, tag, &f);
    *s = tls_open_server(id, &f);
    if (!*c || !*s)
        die(f.what);
}

static void shake(struct tls *c, struct tls *s, int fd[2], struct cost *cc, struct cost *sc)
{
    enum io cr = IO_PARKED, sr = IO_PARKED;

    while (cr != IO_DONE || sr != IO_DONE) {
        if (cr != IO_DONE)
            cr = timed(c, fd[0], cc);
        if (sr != IO_DONE)
            sr = timed(s, fd[1], sc);
    }
}

/* what: 'n' nothing known, 'c' chain known, 'r' session resumed. The best of several runs, since the machine is shared. */
static void bench_handshake(const char *name, const struct tls_identity *id, char what)
{
    static uint64_t tag;
    struct cost c_best = {INT64_MAX, INT64_MAX}, s_best = {INT64_MAX, INT64_MAX};

    for (int i = 0; i < 12; i++) {
        struct cost c = {0, 0}, s = {0, 0};
        struct tls *ct, *st;
        int fd[2];

        if (what == 'n') /* a trust set of its own: nothing is cached under it */
            trust = trust_load(certs_file("bundle.pem"), &arena, NULL, NULL);
        open_pair(id, what == 'r' ? 1 : 100 + ++tag, &ct, &st, fd);
        shake(ct, st, fd, &c, &s);
        tls_close(ct, fd[0]);
        tls_close(st, fd[1]);
        close(fd[0]);
        close(fd[1]);
        if (i == 0 && what != 'n')
            continue;
        c_best.all_us = c.all_us < c_best.all_us ? c.all_us : c_best.all_us;
        c_best.turn_us = c.turn_us < c_best.turn_us ? c.turn_us : c_best.turn_us;
        s_best.all_us = s.all_us < s_best.all_us ? s.all_us : s_best.all_us;
        s_best.turn_us = s.turn_us < s_best.turn_us ? s.turn_us : s_best.turn_us;
    }
    printf("%-44s client %5lld us, longest turn %5lld   server %5lld us, longest turn %5lld\n", name,
           (long long)c_best.all_us, (long long)c_best.turn_us, (long long)s_best.all_us, (long long)s_best.turn_us);
}

static void bench_records(const struct tls_identity *id, size_t piece)
{
    static char data[65536], back[65536];
    struct tls *c, *s;
    struct cost ignored = {0, 0};
    struct fault f;
    size_t took, got, all = 0, total = piece < 4096 ? 8 << 20 : 256 << 20;
    int64_t write_us = 0, read_us = 0;
    int fd[2], size = 1 << 20;

    open_pair(id, 1, &c, &s, fd);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    shake(c, s, fd, &ignored, &ignored);
    while (all < total) {
        int64_t t0 = cpu_us();
        for (int i = 0; i < 4; i++)
            if (tls_write(s, fd[1], &(struct slice){data, piece}, 1, &took, &f) != IO_DONE)
                break;
        (void)tls_flush(s, fd[1], &f);
        int64_t t1 = cpu_us();
        while (tls_read(c, fd[0], back, sizeof back, &got, &f) == IO_DONE && got)
            all += got;
        write_us += t1 - t0;
        read_us += cpu_us() - t1;
    }
    printf("pieces of %zu: send %lld MB/s, receive %lld MB/s\n", piece, (long long)((int64_t)all / (write_us + 1)),
           (long long)((int64_t)all / (read_us + 1)));
    tls_close(c, fd[0]);
    tls_close(s, fd[1]);
    close(fd[0]);
    close(fd[1]);
}

static void bench_idle(const struct tls_identity *id)
{
    static struct tls *c[IDLE], *s[IDLE];
    static int fd[IDLE][2];
    struct cost ignored = {0, 0};
    struct fault f;
    char buf[65536];
    size_t took, got, rss = 0, held = 0;

    for (int i = 0; i < IDLE + 0; i++) {
        if (i == 10) {
            rss = sys_resident();
            held = mem_in_use();
        }
        open_pair(id, 1, &c[i], &s[i], fd[i]);
        shake(c[i], s[i], fd[i], &ignored, &ignored);
        for (size_t n = 1; n < 40000; n *= 7) {
            if (tls_write(c[i], fd[i][0], &(struct slice){memory, n}, 1, &took, &f) != IO_DONE)
                die(f.what);
            for (size_t all = 0; all < n; all += got)
                if (tls_read(s[i], fd[i][1], buf, sizeof buf, &got, &f) == IO_FAILED)
                    die(f.what);
        }
    }
    printf("%d idle pairs: %zu bytes of RSS and %zu of the budget per pair (client and server)\n", IDLE,
           (sys_resident() - rss) / (IDLE - 10), (mem_in_use() - held) / (IDLE - 10));
    for (int i = 0; i < IDLE; i++) {
        tls_close(c[i], -1);
        tls_close(s[i], -1);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *chain, *key;
    } kinds[] = {{"P-256 <- P-256 <- P-384", "chain.pem", "leaf.key"}, {"RSA-2048 <- RSA-2048", "rsa.pem", "rsa.key"},
                 {"P-384 <- P-256 <- P-384", "p384.chain", "p384.key"}};
    char name[96];
    const char *why;

    (void)sys_max_fds();
    signal(SIGPIPE, SIG_IGN);
    bench_load(argc > 1 ? argv[1] : "/etc/ssl/certs/ca-certificates.crt");
    if (!certs_make() || !tls_init(IDLE + 10) || !mem_budget_init(64 << 20))
        return 0;
    clock_update();
    arena_init_fixed(&arena, memory, sizeof memory);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct tls_identity *id = tls_identity_load(certs_file(kinds[i].chain), certs_file(kinds[i].key), &arena, &why);

        if (!id)
            die(why);
        snprintf(name, sizeof name, "%s, nothing known", kinds[i].name);
        bench_handshake(name, id, 'n');
        snprintf(name, sizeof name, "%s, chain known", kinds[i].name);
        bench_handshake(name, id, 'c');
        snprintf(name, sizeof name, "%s, resumed", kinds[i].name);
        bench_handshake(name, id, 'r');
        if (i == 0) {
            bench_records(id, 65536);
            bench_records(id, 200);
            bench_idle(id);
        }
    }
    return 0;
}
