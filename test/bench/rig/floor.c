/* The floor: what any single-threaded epoll proxy must pay. Every client connection gets one upstream connection, made
 * when it comes, and bytes are carried both ways as they are: one recv, one send. It reads no HTTP, keeps no pool, no
 * timers, no limits.  floor PORT UPSTREAM_PORT */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARED = 1 << 17, EVENTS = 256 };

struct side {
    struct side *other;
    char *rest;            /* what the other side's bytes did not get rid of: then we do not read that side */
    unsigned rest_len, rest_off;
    int fd;
    bool dead;
};

static char shared[SHARED];
static int ep;
static struct side *graves[EVENTS];    /* freed after the batch: a later event of it may name them */
static size_t ngraves;

static void interest(struct side *s)
{
    uint32_t e = s->rest ? EPOLLOUT : 0;
    if (!s->other->rest)
        e |= EPOLLIN;
    rig_watch(ep, EPOLL_CTL_MOD, s->fd, e, s);
}

static void end_pair(struct side *s)
{
    if (s->dead)
        return;
    s->dead = s->other->dead = true;
    close(s->fd);
    close(s->other->fd);
    graves[ngraves++] = s;
}

static void forward(struct side *from)
{
    struct side *to = from->other;
    ssize_t n = recv(from->fd, shared, sizeof shared, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            end_pair(from);
        return;
    }
    ssize_t sent = send(to->fd, shared, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != ENOTCONN && errno != EINTR) {
            end_pair(from);
            return;
        }
        sent = 0;
    }
    if (sent == n)
        return;
    to->rest = malloc((size_t)(n - sent));
    if (!to->rest)
        rig_die("memory");
    memcpy(to->rest, shared + sent, (size_t)(n - sent));
    to->rest_len = (unsigned)(n - sent);
    to->rest_off = 0;
    interest(to);
    interest(from);
}

static void push(struct side *s)
{
    ssize_t sent = send(s->fd, s->rest + s->rest_off, s->rest_len - s->rest_off, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            end_pair(s);
        return;
    }
    s->rest_off += (unsigned)sent;
    if (s->rest_off < s->rest_len)
        return;
    free(s->rest);
    s->rest = NULL;
    interest(s);
    interest(s->other);
}

static void welcome(int listener, unsigned upstream)
{
    int fd;
    while ((fd = rig_accept(listener)) >= 0) {
        struct side *pair = rig_alloc(2 * sizeof *pair);
        pair[0].fd = fd;
        pair[1].fd = rig_connect(upstream);
        pair[0].other = &pair[1];
        pair[1].other = &pair[0];
        rig_watch(ep, EPOLL_CTL_ADD, pair[0].fd, EPOLLIN, &pair[0]);
        rig_watch(ep, EPOLL_CTL_ADD, pair[1].fd, EPOLLIN, &pair[1]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "floor PORT UPSTREAM_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = rig_listen((unsigned)rig_number(argv[1], 65535));
    unsigned upstream = (unsigned)rig_number(argv[2], 65535);
    ep = epoll_create1(EPOLL_CLOEXEC);
    rig_watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(ep, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = events[i].data.ptr;
            if (!s) {
                welcome(listener, upstream);
                continue;
            }
            if (!s->dead && s->rest && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
                push(s);
            if (!s->dead && !s->other->rest && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
                forward(s);
        }
        while (ngraves) {
            struct side *s = graves[--ngraves];
            struct side *first = s < s->other ? s : s->other;
            free(s->rest);
            free(s->other->rest);
            free(first);
        }
    }
}
