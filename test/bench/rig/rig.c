/* See rig.h. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t rig_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void rig_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void *rig_alloc(size_t n)
{
    void *p = calloc(1, n);
    if (!p)
        rig_die("memory");
    return p;
}

uint64_t rig_number(const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || v > max) {
        errno = EINVAL;
        rig_die(text);
    }
    return v;
}

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int stream_socket(void)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rig_die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int rig_listen(unsigned port)
{
    struct sockaddr_in a = loopback(port);
    int one = 1, fd = stream_socket();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 8192))
        rig_die("listen");
    return fd;
}

int rig_accept(int listener)
{
    int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            rig_die("accept");
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int rig_connect(unsigned port)
{
    struct sockaddr_in a = loopback(port);
    int fd = stream_socket();
    if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
        rig_die("connect");
    return fd;
}

void rig_watch(int epoll, int op, int fd, uint32_t events, void *ptr)
{
    struct epoll_event e = {.events = events, .data.ptr = ptr};
    if (epoll_ctl(epoll, op, fd, &e))
        rig_die("epoll_ctl");
}

bool rig_field(const char *head, size_t n, const char *name, const char **value, size_t *len)
{
    size_t name_len = strlen(name);
    const char *end = head + n;
    for (const char *p = memchr(head, '\n', n); p && p < end; p = memchr(p, '\n', (size_t)(end - p))) {
        p++;
        if ((size_t)(end - p) <= name_len || p[name_len] != ':' || strncasecmp(p, name, name_len))
            continue;
        const char *v = p + name_len + 1;
        const char *stop = memchr(v, '\r', (size_t)(end - v));
        if (!stop)
            return false;
        while (v < stop && (*v == ' ' || *v == '\t'))
            v++;
        while (stop > v && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        *value = v;
        *len = (size_t)(stop - v);
        return true;
    }
    return false;
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

void answer_reset(struct answer *a)
{
    a->state = ANSWER_HEAD;
    a->status = 0;
    a->left = a->body_len = 0;
    a->head_len = a->line_len = 0;
}

static enum answer_state framing(struct answer *a)
{
    const char *v;
    size_t n;
    if (a->head_len < 16 || memcmp(a->head, "HTTP/1.1 ", 9))
        return ANSWER_BAD;
    a->status = (a->head[9] - '0') * 100 + (a->head[10] - '0') * 10 + (a->head[11] - '0');
    if (rig_field(a->head, a->head_len, "transfer-encoding", &v, &n))
        return n == 7 && !strncasecmp(v, "chunked", 7) ? ANSWER_SIZE : ANSWER_BAD;
    if (!rig_field(a->head, a->head_len, "content-length", &v, &n))
        return ANSWER_CLOSE;
    for (size_t i = 0; i < n; i++) {
        if (v[i] < '0' || v[i] > '9')
            return ANSWER_BAD;
        a->left = a->left * 10 + (uint64_t)(v[i] - '0');
    }
    return a->left ? ANSWER_LENGTH : ANSWER_DONE;
}

/* Takes bytes until the head's empty line; the byte after it is the body's. */
static size_t feed_head(struct answer *a, const char *bytes, size_t n)
{
    size_t room = ANSWER_HEAD_MAX - a->head_len, take = n < room ? n : room;
    size_t from = a->head_len > 3 ? a->head_len - 3 : 0;
    memcpy(a->head + a->head_len, bytes, take);
    const char *end = memmem(a->head + from, a->head_len + take - from, "\r\n\r\n", 4);
    if (!end) {
        a->head_len += take;
        if (take < n)
            a->state = ANSWER_BAD;
        return take;
    }
    size_t head_len = (size_t)(end + 4 - a->head), used = head_len - a->head_len;
    a->head_len = head_len;
    a->state = framing(a);
    return used;
}

static void feed_size(struct answer *a, char c)
{
    if (c == '\n') {
        a->state = !a->line_len ? ANSWER_BAD : a->left ? ANSWER_CHUNK : ANSWER_TRAILER;
        a->line_len = 0;
        return;
    }
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit >= 0 && a->line_len < 8) {
        a->left = a->left * 16 + (uint64_t)digit;
        a->line_len++;
    } else if (c != '\r') {
        a->state = ANSWER_BAD;
    }
}

static void feed_line(struct answer *a, char c)
{
    if (c == '\r')
        return;
    if (c != '\n') {
        a->line_len++;
        if (a->state == ANSWER_CHUNK_END)
            a->state = ANSWER_BAD;
        return;
    }
    if (a->state == ANSWER_CHUNK_END)
        a->state = ANSWER_SIZE;
    else if (!a->line_len)
        a->state = ANSWER_DONE;
    a->line_len = 0;
}

size_t answer_feed(struct answer *a, const char *bytes, size_t n, answer_body_fn *body, void *ctx)
{
    size_t i = 0;
    while (i < n && a->state != ANSWER_DONE && a->state != ANSWER_BAD) {
        if (a->state == ANSWER_HEAD) {
            i += feed_head(a, bytes + i, n - i);
        } else if (a->state == ANSWER_SIZE) {
            feed_size(a, bytes[i++]);
        } else if (a->state == ANSWER_CHUNK_END || a->state == ANSWER_TRAILER) {
            feed_line(a, bytes[i++]);
        } else {
            size_t take = a->state == ANSWER_CLOSE || a->left > n - i ? n - i : (size_t)a->left;
            if (body)
                body(ctx, bytes + i, take);
            a->body_len += take;
            i += take;
            if (a->state == ANSWER_CLOSE)
                continue;
            a->left -= take;
            if (!a->left)
                a->state = a->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : ANSWER_DONE;
        }
    }
    return i;
}

/* ---- samples ------------------------------------------------------------------------------------------------------ */

void samples_init(struct samples *s, size_t cap)
{
    s->us10 = rig_alloc(cap * sizeof *s->us10);
    s->cap = cap;
    s->n = 0;
}

void samples_add(struct samples *s, uint64_t ns)
{
    uint64_t v = ns / 100;
    if (s->n < s->cap)
        s->us10[s->n++] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double samples_at(struct samples *s, double p)
{
    if (!s->n)
        return 0;
    qsort(s->us10, s->n, sizeof *s->us10, by_value);
    size_t i = (size_t)(p * (double)s->n);
    return s->us10[i < s->n ? i : s->n - 1] / 10.0;
}

/* ---- the bill ----------------------------------------------------------------------------------------------------- */

static bool slurp(unsigned pid, const char *file, char *out, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n <= 0)
        return false;
    out[n] = 0;
    return true;
}

struct bill bill_read(unsigned pid)
{
    struct bill b = {0};
    char text[1024];
    if (!pid)
        return b;
    if (!slurp(pid, "stat", text, sizeof text))
        rig_die("the target is gone");
    const char *p = strrchr(text, ')');    /* the name before it may hold anything */
    for (int field = 2; p && field < 14; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        rig_die("stat");
    char *end;
    uint64_t tick_ms = 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    b.user_ms = strtoull(p + 1, &end, 10) * tick_ms;
    b.sys_ms = strtoull(end, &end, 10) * tick_ms;
    if (slurp(pid, "schedstat", text, sizeof text))
        b.run_ns = strtoull(text, NULL, 10);
    if (!b.run_ns)
        b.run_ns = (b.user_ms + b.sys_ms) * 1000000u;
    return b;
}
