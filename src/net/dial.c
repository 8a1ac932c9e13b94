/* Happy eyeballs. A dial owns one socket per address it has begun with; the first that connects is handed out and the
 * others are closed.
 *
 * Every address passes address_allowed just before its connect: there is no other way to a socket (S-13), so a name that
 * moves to a private address between two look-ups is refused all the same.
 *
 * Invariant: while a dial is running either its name is being resolved, or at least one socket is connecting. */
#include "net/dial.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/timer.h"
#include "net/dns.h"
#include "net/loop.h"

struct try {
    struct watch watch;
    struct dial *dial;
    struct addr addr;
    int fd; /* -1: none */
};

struct dial {
    struct dns_ask ask;
    struct timer stagger;
    struct try try[ADDRESSES_MAX];
    struct addr addr[ADDRESSES_MAX];
    unsigned count, next; /* addresses, and the next one to begin with */
    unsigned open;        /* sockets connecting */
    struct fault fault;   /* the most telling one so far */
    unsigned fault_rank;
    dial_done_fn *done;
    void *owner;
    bool *ended;          /* tells a caller up the stack that d is gone */
    uint16_t port;
    bool trusted;
};

static struct {
    struct pool pool;
    bool allow_private;
} dials;

bool dial_init(uint32_t max_dials, bool allow_private)
{
    dials.allow_private = allow_private;
    return pool_init(&dials.pool, max_dials, sizeof(struct dial));
}

/* ---- Faults. ---- */

struct meaning {
    int err;
    unsigned rank; /* of several addresses' failures, the one with the highest rank is told */
    enum fault_kind kind;
    const char *what;
};

/* Our own shortages first: they say nothing about the peer and must not be held against it. Missing ports rank below what a peer
 * said, because a host whose IPv6 is switched off reports every IPv6 address that way. */
static const struct meaning meanings[] = {
    {EMFILE, 9, FAULT_LOCAL, "out of file descriptors"},
    {ENFILE, 9, FAULT_LOCAL, "out of file descriptors"},
    {ENOBUFS, 9, FAULT_NO_MEMORY, "no kernel memory for a socket"},
    {ENOMEM, 9, FAULT_NO_MEMORY, "no kernel memory for a socket"},
    {ECONNREFUSED, 6, FAULT_CONNECT, "connection refused"},
    {ECONNRESET, 6, FAULT_CONNECT, "connection reset"},
    {ETIMEDOUT, 5, FAULT_CONNECT, "connect timed out"},
    {EADDRNOTAVAIL, 4, FAULT_LOCAL, "out of local ports"},
    {EAGAIN, 4, FAULT_LOCAL, "out of local ports"},
    {EHOSTUNREACH, 3, FAULT_CONNECT, "host unreachable"},
    {ENETUNREACH, 3, FAULT_CONNECT, "host unreachable"},
    {EACCES, 3, FAULT_CONNECT, "not permitted by this host's firewall"},
    {EPERM, 3, FAULT_CONNECT, "not permitted by this host's firewall"},
    {EAFNOSUPPORT, 2, FAULT_CONNECT, "host unreachable"},
    {0, 1, FAULT_CONNECT, "could not connect"},
};

static void note_fault(struct dial *d, int err)
{
    const struct meaning *m = meanings;

    while (m->err && m->err != err)
        m++;
    if (m->rank > d->fault_rank) {
        d->fault_rank = m->rank;
        d->fault = fault_make(m->kind, err, m->what);
    }
}

/* ---- The end. ---- */

static void try_close(struct try *t)
{
    if (t->fd == -1)
        return;
    loop_unwatch(&t->watch);
    sys_close(t->fd);
    t->fd = -1;
    t->dial->open--;
}

static void dial_free(struct dial *d)
{
    dns_cancel(&d->ask);
    timer_disarm(&d->stagger);
    for (unsigned i = 0; i < d->next; i++)
        try_close(&d->try[i]);
    if (d->ended)
        *d->ended = true;
    pool_give(&dials.pool, d);
}

static void dial_failed(struct dial *d)
{
    dial_done_fn *done = d->done;
    void *owner = d->owner;
    struct fault fault = d->fault;

    dial_free(d);
    done(owner, -1, NULL, fault);
}

static void dial_won(struct dial *d, struct try *t)
{
    dial_done_fn *done = d->done;
    void *owner = d->owner;
    struct addr peer = t->addr;
    int fd = t->fd;

    loop_unwatch(&t->watch);
    t->fd = -1;
    d->open--;
    dial_free(d);
    done(owner, fd, &peer, fault_make(FAULT_NONE, 0, ""));
}

void dial_allow_private(bool allow)
{
    dials.allow_private = allow;
}

/* ---- One address. ---- */

static bool address_allowed(const struct dial *d, const struct addr *a)
{
    return d->trusted || dials.allow_private || !addr_is_private(a);
}

/* A port of the ephemeral range on this host can connect to itself when nobody listens (TCP's simultaneous open). */
static bool is_itself(const struct try *t)
{
    struct sockaddr_storage ss;
    struct addr own;

    if (!addr_is_private(&t->addr))
        return false; /* not this host: spare the call */
    return sys_getsockname(t->fd, &ss) == 0 && addr_from_sockaddr(&ss, &own) && own.port == t->addr.port &&
           own.family == t->addr.family && memcmp(own.ip, t->addr.ip, sizeof own.ip) == 0;
}

static void dial_next(struct dial *d);

static void on_ready(struct watch *w, unsigned events)
{
    struct try *t = container_of(w, struct try, watch);
    struct dial *d = t->dial;
    int err = sys_socket_error(t->fd);

    (void)events;
    if (!err && is_itself(t))
        err = ECONNREFUSED;
    if (!err) {
        dial_won(d, t);
        return;
    }
    try_close(t);
    note_fault(d, err);
    dial_next(d); /* at once: RFC 8305 5 */
}

enum began { BEGAN_CONNECTED, BEGAN_WAITING, BEGAN_FAILED };

static enum began try_begin(struct try *t)
{
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&t->addr, &ss);
    struct dial *d = t->dial;

    t->fd = sys_socket(ss.ss_family, SOCK_STREAM);
    if (t->fd == -1) {
        note_fault(d, errno);
        return BEGAN_FAILED;
    }
    d->open++;
    sys_set_nodelay(t->fd); /* failing costs speed, not correctness */
    int r = sys_connect(t->fd, (struct sockaddr *)&ss, n);
    /* Over loopback the handshake is over before the first call returns, though it says EINPROGRESS; asking again saves
     * the round through the loop. */
    if (r == -1 && errno == EINPROGRESS && addr_is_loopback(&t->addr)) {
        r = sys_connect(t->fd, (struct sockaddr *)&ss, n);
        if (r == -1 && (errno == EALREADY || errno == EISCONN)) {
            r = errno == EISCONN ? 0 : -1;
            errno = EINPROGRESS;
        }
    }
    if (r == 0 && !is_itself(t))
        return BEGAN_CONNECTED;
    if (r == -1 && errno == EINPROGRESS && loop_watch(&t->watch, t->fd, SYS_OUT, on_ready))
        return BEGAN_WAITING;
    note_fault(d, r == 0 ? ECONNREFUSED : errno);
    try_close(t);
    return BEGAN_FAILED;
}

/* Begins with addresses until one is on its way; ends the dial when none is left and none is running. */
static void dial_next(struct dial *d)
{
    timer_disarm(&d->stagger);
    while (d->next < d->count) {
        struct try *t = &d->try[d->next];

        t->dial = d;
        t->fd = -1;
        t->addr = d->addr[d->next++];
        t->addr.port = d->port;
        if (!address_allowed(d, &t->addr)) {
            if (d->fault_rank == 0)
                d->fault = fault_make(FAULT_CONNECT, 0, "address not allowed");
            continue;
        }
        switch (try_begin(t)) {
        case BEGAN_CONNECTED:
            dial_won(d, t);
            return;
        case BEGAN_WAITING:
            if (d->next < d->count)
                timer_arm(&d->stagger, clock_ms() + DIAL_STAGGER_MS);
            return;
        case BEGAN_FAILED:
            break;
        }
    }
    if (d->open == 0)
        dial_failed(d);
}

static void on_stagger(struct timer *t)
{
    dial_next(container_of(t, struct dial, stagger));
}

static void on_resolved(struct dns_ask *ask, const struct dns_result *result, struct fault fault)
{
    struct dial *d = container_of(ask, struct dial, ask);

    d->fault = fault;
    if (fault.kind != FAULT_NONE) {
        dial_failed(d);
        return;
    }
    d->count = result->count;
    memcpy(d->addr, result->addr, result->count * sizeof d->addr[0]);
    dial_next(d);
}

/* ---- The interface. ---- */

struct dial *dial_start(struct slice host, uint16_t port, bool trusted, dial_done_fn *done, void *owner)
{
    struct dial *d = pool_take(&dials.pool);
    bool ended = false;

    if (!d) {
        done(owner, -1, NULL, fault_make(FAULT_NO_MEMORY, 0, "too many connections are being made"));
        return NULL;
    }
    timer_init(&d->stagger, on_stagger);
    d->done = done;
    d->owner = owner;
    d->port = port;
    d->trusted = trusted;
    d->ended = &ended;
    dns_resolve(&d->ask, host, on_resolved);
    if (ended)
        return NULL;
    d->ended = NULL;
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d)
        dial_free(d);
}

uint32_t dial_count(void)
{
    return pool_in_use(&dials.pool);
}
