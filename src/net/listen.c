/* The listening socket. */
#include "net/listen.h"

#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "net/idle.h"

static void on_ready(struct watch *w, unsigned events)
{
    struct listener *l = container_of(w, struct listener, watch);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        struct sockaddr_storage ss;
        struct addr peer = {0};
        int fd = sys_accept(l->fd, &ss);

        if (fd == -1) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                if (idle_evict())
                    continue;
                /* The listener stays readable, so not looking away would spin. */
                if (loop_want(&l->watch, 0)) {
                    log_say(LOG_WARN, "out of descriptors or kernel memory: accepting pauses for %d ms", LISTEN_PAUSE_MS);
                    timer_arm(&l->pause, clock_ms() + LISTEN_PAUSE_MS);
                }
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            continue; /* ECONNABORTED and the network errors accept(2) lists: that one is gone, the next may be fine */
        }
        if (sys_set_nodelay(fd) == -1) {
            sys_close(fd);
            continue;
        }
        (void)addr_from_sockaddr(&ss, &peer);
        l->accept(l, fd, &peer);
    }
}

static void on_pause_over(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, pause);

    if (!loop_want(&l->watch, SYS_IN))
        timer_arm(t, clock_ms() + LISTEN_PAUSE_MS);
}

bool listen_open(struct listener *l, const struct addr *at, listen_accept_fn *accept, const char **why)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(at, &ss);

    *l = (struct listener){.fd = sys_socket(at->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM), .accept = accept};
    timer_init(&l->pause, on_pause_over);
    *why = "can't open a socket";
    if (l->fd == -1)
        return false;
    *why = "can't set socket options";
    if (sys_set_reuseaddr(l->fd) == -1)
        goto fail;
    *why = "can't bind: is the address taken, or not this machine's?";
    if (sys_bind(l->fd, (const struct sockaddr *)&ss, n) == -1)
        goto fail;
    *why = "can't listen";
    if (sys_listen(l->fd, LISTEN_BACKLOG) == -1 || sys_getsockname(l->fd, &ss) == -1 ||
        !addr_from_sockaddr(&ss, &l->local) || !loop_watch(&l->watch, l->fd, SYS_IN, on_ready))
        goto fail;
    return true;
fail:
    sys_close(l->fd);
    l->fd = -1;
    return false;
}

bool listen_adopt(struct listener *l, int fd, const struct addr *at, listen_accept_fn *accept)
{
    struct sockaddr_storage ss;
    struct addr local, wanted = *at;

    if (sys_getsockname(fd, &ss) == -1 || !addr_from_sockaddr(&ss, &local))
        goto other;
    wanted.port = wanted.port ? wanted.port : local.port;
    *l = (struct listener){.fd = fd, .local = local, .accept = accept};
    timer_init(&l->pause, on_pause_over);
    if (addr_eq(&wanted, &local) && loop_watch(&l->watch, fd, SYS_IN, on_ready))
        return true;
other:
    sys_close(fd);
    l->fd = -1;
    return false;
}

void listen_close(struct listener *l)
{
    if (l->fd == -1)
        return;
    timer_disarm(&l->pause);
    loop_unwatch(&l->watch);
    sys_close(l->fd);
    l->fd = -1;
}
