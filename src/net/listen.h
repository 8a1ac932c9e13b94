/* Accepting connections: a budget per wake-up, and a pause when descriptors run out (faults.md L-01). */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>

#include "base/timer.h"
#include "net/addr.h"
#include "net/loop.h"

struct listener;
/* fd is non-blocking with TCP_NODELAY, the callee's from now on. */
typedef void listen_accept_fn(struct listener *l, int fd, const struct addr *peer);

struct listener {
    struct watch watch;
    struct timer pause;
    int fd;            /* -1: closed */
    struct addr local; /* with the real port */
    listen_accept_fn *accept;
};

enum { LISTEN_BACKLOG = 1024, LISTEN_PAUSE_MS = 100 };

/* Port 0 takes a free one; l->local says which. False with *why (static) and errno. */
MUST_USE bool listen_open(struct listener *l, const struct addr *at, listen_accept_fn *accept, const char **why);
/* A listening socket that another process handed over, if it is the one that `at` asks for. False: it is not, and is closed. */
MUST_USE bool listen_adopt(struct listener *l, int fd, const struct addr *at, listen_accept_fn *accept);
void listen_close(struct listener *l);

#endif
