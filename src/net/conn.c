/* Plain and TLS streams behind one face. Interest is computed here from what the owner wants and what TLS needs; the kernel is told
 * only when the sum changes. */
#include "net/conn.h"

#include <errno.h>

#include "base/limits.h"
#include "base/pool.h"
#include "base/sys.h"

static struct pool pool;

bool conns_init(uint32_t most)
{
    return pool_init(&pool, most, sizeof(struct conn));
}

uint32_t conns_open(void)
{
    return pool_in_use(&pool);
}

static void on_ready(struct watch *w, unsigned events)
{
    struct conn *c = container_of(w, struct conn, watch);

    if (events & SYS_GONE)
        c->gone = true;
    c->news(c, events);
}

static void on_again(struct defer *d)
{
    struct conn *c = container_of(d, struct conn, again);

    c->news(c, SYS_IN);
}

struct conn *conn_open(int fd, struct tls *tls, conn_news_fn *news, void *owner)
{
    struct conn *c = pool_take(&pool);

    if (c && !loop_watch(&c->watch, fd, SYS_IN | SYS_GONE, on_ready)) {
        pool_give(&pool, c);
        c = NULL;
    }
    if (!c) {
        if (tls)
            tls_close(tls, fd);
        sys_close(fd);
        return NULL;
    }
    defer_init(&c->again, on_again);
    c->fd = fd;
    c->tls = tls;
    c->news = news;
    c->owner = owner;
    c->wants_read = true;
    return c;
}

void conn_drop(struct conn **slot)
{
    struct conn *c = *slot;

    if (!c)
        return;
    *slot = NULL;
    list_remove(&c->idle);
    list_remove(&c->age);
    defer_cancel(&c->again);
    loop_unwatch(&c->watch);
    if (c->tls)
        tls_close(c->tls, c->fd);
    sys_close(c->fd);
    pool_give(&pool, c);
}

void conn_abort(struct conn **slot)
{
    if (*slot)
        sys_reset_on_close((*slot)->fd);
    conn_drop(slot);
}

void conn_hand_over(struct conn *c, conn_news_fn *news, void *owner)
{
    c->news = news;
    c->owner = owner;
}

static struct fault io_fault(const char *what)
{
    if (errno == ENOBUFS || errno == ENOMEM)
        return fault_make(FAULT_NO_MEMORY, errno, "the kernel has no memory for the socket");
    return fault_make(FAULT_CLOSED, errno, what);
}

enum io conn_handshake(struct conn *c, struct fault *f)
{
    return c->tls ? tls_handshake(c->tls, c->fd, f) : IO_DONE;
}

enum io conn_read(struct conn *c, void *buf, size_t cap, size_t *got, struct fault *f)
{
    ssize_t n;

    *got = 0;
    if (c->tls) {
        enum io io = tls_read(c->tls, c->fd, buf, cap, got, f);

        if (tls_pending(c->tls) && c->wants_read)
            loop_defer(&c->again);
        return io;
    }
    n = sys_recv(c->fd, buf, cap);
    if (n >= 0) {
        *got = (size_t)n;
        return IO_DONE;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return IO_PARKED;
    *f = io_fault("connection reset while reading");
    return IO_FAILED;
}

enum io conn_write(struct conn *c, const struct slice *piece, int n, size_t *took, struct fault *f)
{
    struct iovec iov[CONN_PIECES];
    ssize_t sent;
    int count = 0;

    *took = 0;
    if (c->tls)
        return tls_write(c->tls, c->fd, piece, n, took, f);
    for (int i = 0; i < n && count < CONN_PIECES; i++) {
        union {
            const void *in;
            void *out;
        } base = {.in = piece[i].p}; /* only read from */

        if (piece[i].n)
            iov[count++] = (struct iovec){base.out, piece[i].n};
    }
    sent = count == 1 ? sys_send(c->fd, iov[0].iov_base, iov[0].iov_len) : sys_sendv(c->fd, iov, count);
    if (sent >= 0) {
        *took = (size_t)sent;
        return IO_DONE;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return IO_PARKED;
    *f = io_fault("connection reset while writing");
    return IO_FAILED;
}

enum io conn_flush(struct conn *c, struct fault *f)
{
    return c->tls ? tls_flush(c->tls, c->fd, f) : IO_DONE;
}

bool conn_want(struct conn *c, bool read, bool write)
{
    unsigned want = (read ? (unsigned)SYS_IN : 0) | (write ? (unsigned)SYS_OUT : 0) | (c->gone ? 0 : (unsigned)SYS_GONE);

    c->wants_read = read;
    if (c->tls) {
        want = tls_wants(c->tls, read) | (write ? (unsigned)SYS_OUT : 0) | (c->gone ? 0 : (unsigned)SYS_GONE);
        if (read && tls_pending(c->tls))
            loop_defer(&c->again);
        else
            defer_cancel(&c->again);
    }
    return loop_want(&c->watch, want);
}
