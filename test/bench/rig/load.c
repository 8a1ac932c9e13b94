/* The client side of every measurement. It plays one kind of load against one port, reads the target's CPU bill at both
 * ends of the measured window, and prints one line of JSON.
 *   load plain   closed loop, or open loop with -r: each connection asks, reads the whole answer, asks again
 *   load stream  -c streams at once, all held open; the window begins when each has had its first event
 *   load whole   -c streams read to their end, every event's number checked
 *   load hold    opens -c streams, says "held" when each has its event, and keeps them until its input ends
 *   load first   starts the command after --, asks until the first answer, and says how long that took
 * Every request is the same bytes: the -H lines and the body from -f. An answer that is not 200, not HTTP, or cut is an
 * error; errors are counted, never hidden.
 *   -p PORT -c CONNECTIONS -s SECONDS -w WARM_UP_SECONDS -n REQUESTS -r PER_SECOND -P PID_OF_TARGET -H 'name: value' -f FILE */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    SHARED = 1 << 18,
    SAMPLES_MAX = 1 << 22,
    PART_MAX = 4096,         /* an event that is not complete yet */
    OPENING_MAX = 32,        /* streams asked for and not begun: more would measure the accept queue */
    GIVE_UP_S = 60,          /* longest wait for streams to begin or to end */
};

enum phase {
    DOWN,       /* no socket */
    ASKING,     /* connecting, or the request is not out */
    READING,    /* the answer is awaited or coming */
    FREE,       /* answered, may ask again */
    ENDED,      /* a stream that is over */
};

struct conn {
    int fd;
    enum phase phase;
    bool begun, ended_well;
    size_t sent, part_len;
    uint64_t asked_ns;
    uint32_t next_seq;
    struct answer a;
    char part[PART_MAX];
};

static struct {
    const char *mode, *body_path;
    unsigned port, pid;
    size_t conns;
    uint64_t requests, rate;
    double seconds, warm;
    char **command;
} want = {.conns = 1, .seconds = 1};

static char *request;
static size_t request_len;
static char shared[SHARED];
static int ep;
static struct conn *conns;
static struct samples delays;

static struct {
    uint64_t asked, answered, errors, reconnects, bad_status, late_asks;
    uint64_t events, reads, glued, lost, begun, ended, ended_well;
} seen;

static bool measuring, stopping;
static uint32_t events_of_read;    /* completed by the read in hand */
static uint64_t read_ns;

static const char event_start[] = "data: {\"id\":\"chatcmpl-";

/* ---- one connection ----------------------------------------------------------------------------------------------- */

static void hang_up(struct conn *c, enum phase next)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->phase = next;
}

static void push(struct conn *c)
{
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN && errno != EINTR) {
                seen.errors++;
                hang_up(c, DOWN);
                return;
            }
            rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            return;
        }
        bool whole = (size_t)n == request_len;
        c->sent += (size_t)n;
        if (c->sent == request_len && !whole)
            rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    }
    c->phase = READING;
}

static void ask(struct conn *c, uint64_t asked_ns)
{
    if (c->fd < 0) {
        c->fd = rig_connect(want.port);
        rig_watch(ep, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    }
    answer_reset(&c->a);
    c->sent = c->part_len = 0;
    c->next_seq = 0;
    c->asked_ns = asked_ns;
    c->phase = ASKING;
    c->begun = false;
    seen.asked++;
    push(c);
}

static bool parse_hex(const char *p, int digits, uint64_t *out)
{
    uint64_t v = 0;
    while (digits--) {
        char ch = *p++;
        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f')))
            return false;
        v = v * 16 + (uint64_t)(ch <= '9' ? ch - '0' : ch - 'a' + 10);
    }
    *out = v;
    return true;
}

/* One whole event, without its empty line. Usage and role events carry no number. */
static void take_event(struct conn *c, const char *event, size_t n)
{
    uint64_t sent_ns, seq;
    size_t at = sizeof event_start - 1;
    if (n == 12 && !memcmp(event, "data: [DONE]", 12))
        c->ended_well = true;
    if (n < at + 25 || memcmp(event, event_start, at) || !parse_hex(event + at, 16, &sent_ns) ||
        !parse_hex(event + at + 17, 8, &seq))
        return;
    if (seq != c->next_seq)
        seen.lost++;
    c->next_seq = (uint32_t)seq + 1;
    if (!c->begun) {
        c->begun = true;
        seen.begun++;
    }
    if (!measuring)
        return;
    events_of_read++;
    seen.events++;
    samples_add(&delays, read_ns > sent_ns ? read_ns - sent_ns : 0);
}

static void take_body(void *ctx, const char *bytes, size_t n)
{
    struct conn *c = ctx;
    while (n) {
        size_t room = PART_MAX - c->part_len, eat = n < room ? n : room, from = c->part_len ? c->part_len - 1 : 0, start = 0;
        memcpy(c->part + c->part_len, bytes, eat);
        c->part_len += eat;
        bytes += eat;
        n -= eat;
        const char *end;
        while ((end = memmem(c->part + from, c->part_len - from, "\n\n", 2))) {
            size_t stop = (size_t)(end - c->part);
            take_event(c, c->part + start, stop - start);
            start = from = stop + 2;
        }
        if (start == 0 && c->part_len == PART_MAX) {
            seen.errors++;    /* no event of the mock is that long */
            c->part_len = 0;
        }
        memmove(c->part, c->part + start, c->part_len - start);
        c->part_len -= start;
    }
}

/* The answer is complete. */
static void finish(struct conn *c)
{
    const char *v;
    size_t n;
    if (c->a.status != 200) {
        seen.bad_status++;
        seen.errors++;
        if (seen.bad_status == 1)
            fprintf(stderr, "load: first refusal:\n%.*s\n", (int)c->a.head_len, c->a.head);
    }
    seen.answered++;
    if (measuring)
        samples_add(&delays, rig_now_ns() - c->asked_ns);
    if (rig_field(c->a.head, c->a.head_len, "connection", &v, &n) && n == 5 && !memcmp(v, "close", 5)) {
        seen.reconnects++;
        hang_up(c, DOWN);
    } else {
        c->phase = FREE;
    }
}

static void cut(struct conn *c)
{
    bool streaming = want.mode[0] != 'p';
    if (c->phase == FREE) {
        seen.reconnects++;    /* an idle connection may be closed at any time */
    } else {
        seen.errors++;
        seen.ended += streaming;
    }
    hang_up(c, streaming ? ENDED : DOWN);
}

static void hear(struct conn *c)
{
    bool streaming = want.mode[0] != 'p';
    ssize_t n = recv(c->fd, shared, sizeof shared, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || c->phase == FREE) {
        cut(c);
        return;
    }
    events_of_read = 0;
    read_ns = streaming ? rig_now_ns() : 0;
    size_t used = answer_feed(&c->a, shared, (size_t)n, streaming ? take_body : NULL, c);
    if (measuring) {
        seen.reads++;
        if (events_of_read > 1)
            seen.glued += events_of_read - 1;
    }
    if (c->a.state == ANSWER_BAD || used < (size_t)n || (c->a.state == ANSWER_DONE && c->phase == ASKING)) {
        if (c->a.state == ANSWER_DONE && c->a.status != 200)
            seen.bad_status++;
        cut(c);
    } else if (c->a.state == ANSWER_DONE) {
        finish(c);
        if (streaming) {
            seen.ended++;
            seen.ended_well += c->ended_well;
            hang_up(c, ENDED);
        }
    }
}

/* One wait and everything it brings; at most until the given time. */
static void turn(uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = rig_now_ns(), gap = until_ns > now ? until_ns - now : 0;
    struct timespec t = {(time_t)(gap / 1000000000u), (long)(gap % 1000000000u)};
    int n = epoll_pwait2(ep, events, EVENTS, &t, NULL);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->phase == ASKING && (events[i].events & (EPOLLOUT | EPOLLERR)))
            push(c);
        if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            hear(c);
        if (want.mode[0] == 'p' && !want.rate && !stopping && (c->phase == FREE || c->phase == DOWN) &&
            (!want.requests || seen.asked < want.requests))
            ask(c, rig_now_ns());
    }
}

/* ---- modes -------------------------------------------------------------------------------------------------------- */

static void report(uint64_t units, uint64_t window_ns, const struct bill *from, const struct bill *to)
{
    double us = (double)(to->run_ns - from->run_ns) / 1e3;
    printf("{\"units\":%llu,\"seconds\":%.4f,\"cpu_us\":%.1f,\"us_per_unit\":%.4f,\"user_ms\":%llu,\"sys_ms\":%llu,"
           "\"errors\":%llu,\"bad_status\":%llu,\"reconnects\":%llu,\"late\":%llu,\"events\":%llu,\"reads\":%llu,\"glued\":%llu,"
           "\"lost\":%llu,\"ended\":%llu,\"ended_well\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}\n",
           (unsigned long long)units, (double)window_ns / 1e9, us, units ? us / (double)units : 0.0,
           (unsigned long long)(to->user_ms - from->user_ms), (unsigned long long)(to->sys_ms - from->sys_ms),
           (unsigned long long)seen.errors, (unsigned long long)seen.bad_status, (unsigned long long)seen.reconnects,
           (unsigned long long)seen.late_asks, (unsigned long long)seen.events, (unsigned long long)seen.reads,
           (unsigned long long)seen.glued, (unsigned long long)seen.lost, (unsigned long long)seen.ended,
           (unsigned long long)seen.ended_well, samples_at(&delays, 0.5), samples_at(&delays, 0.9), samples_at(&delays, 0.99),
           samples_at(&delays, 0.999), samples_at(&delays, 1.0));
    fflush(stdout);
}

static uint64_t seconds_ns(double s) { return (uint64_t)(s * 1e9); }

static struct conn *find_free(size_t *hint)
{
    for (size_t i = 0; i < want.conns; i++) {
        struct conn *c = &conns[(*hint + i) % want.conns];
        if (c->phase == FREE || c->phase == DOWN) {
            *hint = (*hint + i + 1) % want.conns;
            return c;
        }
    }
    return NULL;
}

/* Requests leave at their times whether or not earlier ones are answered; waiting for a free connection counts. */
static void run_rate(uint64_t until_ns)
{
    size_t hint = 0;
    uint64_t gap = 1000000000u / want.rate, due = rig_now_ns();
    while (rig_now_ns() < until_ns) {
        struct conn *c;
        while (due <= rig_now_ns() && (c = find_free(&hint))) {
            ask(c, due);
            due += gap;
        }
        if (due <= rig_now_ns())
            seen.late_asks++;
        turn(due > rig_now_ns() ? due : rig_now_ns() + 200000);
    }
}

static void run_closed(uint64_t until_ns)
{
    while (rig_now_ns() < until_ns && (!want.requests || seen.answered + seen.errors < want.requests))
        turn(until_ns);
}

static void run_plain(void)
{
    void (*run)(uint64_t) = want.rate ? run_rate : run_closed;
    for (size_t i = 0; !want.rate && i < want.conns && (!want.requests || i < want.requests); i++)
        ask(&conns[i], rig_now_ns());
    if (want.warm > 0)
        run(rig_now_ns() + seconds_ns(want.warm));
    uint64_t from_ns = rig_now_ns(), before = seen.answered;
    struct bill from = bill_read(want.pid);
    measuring = true;
    run(from_ns + seconds_ns(want.seconds));
    measuring = false;
    struct bill to = bill_read(want.pid);
    report(seen.answered - before, rig_now_ns() - from_ns, &from, &to);
}

static size_t open_streams(void)
{
    size_t asked = 0;
    uint64_t give_up = rig_now_ns() + seconds_ns(GIVE_UP_S);
    while (seen.begun + seen.ended < want.conns && rig_now_ns() < give_up) {
        while (asked < want.conns && asked < seen.begun + seen.ended + OPENING_MAX)
            ask(&conns[asked++], rig_now_ns());
        turn(rig_now_ns() + 10000000);
    }
    return seen.begun;
}

static void run_stream(void)
{
    if (open_streams() < want.conns)
        fprintf(stderr, "load: only %llu of %zu streams began\n", (unsigned long long)seen.begun, want.conns);
    for (uint64_t until = rig_now_ns() + seconds_ns(want.warm); rig_now_ns() < until;)
        turn(until);
    uint64_t from_ns = rig_now_ns(), until = from_ns + seconds_ns(want.seconds);
    struct bill from = bill_read(want.pid);
    measuring = true;
    while (rig_now_ns() < until)
        turn(until);
    measuring = false;
    struct bill to = bill_read(want.pid);
    report(seen.events, rig_now_ns() - from_ns, &from, &to);
}

static void run_whole(void)
{
    measuring = true;
    uint64_t from_ns = rig_now_ns(), give_up = from_ns + seconds_ns(GIVE_UP_S);
    struct bill from = bill_read(want.pid);
    open_streams();
    while (seen.ended < want.conns && rig_now_ns() < give_up)
        turn(rig_now_ns() + 100000000);
    struct bill to = bill_read(want.pid);
    report(seen.events, rig_now_ns() - from_ns, &from, &to);
}

static void run_hold(void)
{
    char byte;
    printf("held %zu\n", open_streams());
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
}

/* Blocking on purpose: nothing else runs, and the wait between two tries is what limits the result's accuracy. */
static bool ask_once(void)
{
    struct answer a;
    int fd = rig_connect(want.port);
    struct timeval limit = {5, 0};
    fcntl(fd, F_SETFL, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    answer_reset(&a);
    bool sent = send(fd, request, request_len, MSG_NOSIGNAL) == (ssize_t)request_len;
    while (sent && a.state != ANSWER_DONE && a.state != ANSWER_BAD) {
        ssize_t n = recv(fd, shared, sizeof shared, 0);
        if (n <= 0)
            break;
        answer_feed(&a, shared, (size_t)n, NULL, NULL);
    }
    close(fd);
    if (a.state == ANSWER_DONE && a.status != 200)
        seen.bad_status++;
    return a.state == ANSWER_DONE && a.status == 200;
}

static void run_first(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    uint64_t from_ns = rig_now_ns();
    pid_t pid = fork();
    if (pid < 0)
        rig_die("fork");
    if (pid == 0) {
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
        execv(want.command[0], want.command);
        _exit(127);
    }
    bool answered = false;
    while (!answered && rig_now_ns() - from_ns < seconds_ns(10)) {
        answered = ask_once();
        if (!answered)
            usleep(50);
    }
    uint64_t took = rig_now_ns() - from_ns;
    kill(pid, SIGTERM);
    int status;
    for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; i++) {
        usleep(10000);
        if (i == 100)
            kill(pid, SIGKILL);
    }
    if (!answered)
        rig_die("no answer");
    printf("{\"ms\":%.3f,\"bad_status\":%llu}\n", (double)took / 1e6, (unsigned long long)seen.bad_status);
}

/* ---- start -------------------------------------------------------------------------------------------------------- */

static void build_request(const char *headers)
{
    char *body = NULL;
    size_t body_len = 0;
    if (want.body_path) {
        FILE *f = fopen(want.body_path, "rb");
        if (!f || fseek(f, 0, SEEK_END))
            rig_die(want.body_path);
        body_len = (size_t)ftell(f);
        rewind(f);
        body = rig_alloc(body_len + 1);
        if (fread(body, 1, body_len, f) != body_len)
            rig_die(want.body_path);
        fclose(f);
    }
    size_t cap = strlen(headers) + body_len + 256;
    request = rig_alloc(cap);
    int head = snprintf(request, cap, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %zu\r\n\r\n", headers,
                        body_len);
    memcpy(request + head, body ? body : "", body_len);
    request_len = (size_t)head + body_len;
    free(body);
}

static double fraction(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || v < 0 || v > 3600)
        rig_die(text);
    return v;
}

static void read_options(int argc, char **argv)
{
    static char headers[8192];
    size_t len = 0;
    int opt;
    while ((opt = getopt(argc - 1, argv + 1, "p:c:s:w:n:r:P:H:f:")) != -1)
        switch (opt) {
        case 'p': want.port = (unsigned)rig_number(optarg, 65535); break;
        case 'c': want.conns = (size_t)rig_number(optarg, 100000); break;
        case 's': want.seconds = fraction(optarg); break;
        case 'w': want.warm = fraction(optarg); break;
        case 'n': want.requests = rig_number(optarg, 1000000000); break;
        case 'r': want.rate = rig_number(optarg, 1000000); break;
        case 'P': want.pid = (unsigned)rig_number(optarg, UINT32_MAX); break;
        case 'f': want.body_path = optarg; break;
        case 'H':
            if (len + strlen(optarg) + 3 > sizeof headers)
                rig_die("too many headers");
            len += (size_t)snprintf(headers + len, sizeof headers - len, "%s\r\n", optarg);
            break;
        default: exit(2);
        }
    want.command = argv + 1 + optind;
    build_request(headers);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"plain", run_plain}, {"stream", run_stream}, {"whole", run_whole}, {"hold", run_hold}, {"first", run_first}};
    struct rlimit files;
    if (argc < 2) {
        fprintf(stderr, "load plain|stream|whole|hold|first OPTIONS\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    want.mode = argv[1];
    read_options(argc, argv);
    ep = epoll_create1(EPOLL_CLOEXEC);
    samples_init(&delays, SAMPLES_MAX);
    conns = rig_alloc(want.conns * sizeof *conns);
    for (size_t i = 0; i < want.conns; i++)
        conns[i].fd = -1;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (!strcmp(modes[i].name, want.mode)) {
            modes[i].run();
            return 0;
        }
    fprintf(stderr, "load: no mode %s\n", want.mode);
    return 2;
}
