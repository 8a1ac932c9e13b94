/* One byte stream, plain or TLS: read, write, what it waits for, close. Knows nothing of what the bytes mean. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/must.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/loop.h"
#include "net/tls.h"

struct conn;
/* events: set of SYS_*. SYS_IN also when decrypted bytes wait inside. */
typedef void conn_news_fn(struct conn *c, unsigned events);

struct conn {
    struct watch watch;
    struct defer again; /* decrypted bytes wait that no event will announce */
    struct tls *tls;    /* NULL: plain */
    conn_news_fn *news;
    void *owner;        /* of the one who handles news */
    struct list idle;   /* net/idle.c: in its bucket */
    struct list age;    /* net/idle.c: in order of parking */
    uint64_t pool_key;  /* net/idle.c: what it may be used for again; 0: nothing */
    int64_t parked_ms;
    int fd;
    bool wants_read;
    bool gone;          /* the peer's end was announced: asking for it again would wake us for ever */
};

/* Room for `most` connections. */
MUST_USE bool conns_init(uint32_t most);
uint32_t conns_open(void);
/* Takes fd (and tls, which may be NULL) and starts watching for readability. NULL: none left or the kernel refused; fd and tls
 * are closed then as well. */
struct conn *conn_open(int fd, struct tls *tls, conn_news_fn *news, void *owner);
/* Closes and frees. NULLs the caller's pointer. Safe on NULL. */
void conn_drop(struct conn **c);
/* The same with a reset, so that the peer notices at once even with bytes in flight. */
void conn_abort(struct conn **c);
void conn_hand_over(struct conn *c, conn_news_fn *news, void *owner);

/* IO_DONE for plain connections at once. */
enum io conn_handshake(struct conn *c, struct fault *f);
/* *got 0 with IO_DONE is an orderly end. */
enum io conn_read(struct conn *c, void *buf, size_t cap, size_t *got, struct fault *f);
/* Takes what fits, in order: IO_DONE with *took > 0 (maybe not all), IO_PARKED with none. At most CONN_PIECES pieces count. */
enum { CONN_PIECES = 64 };
enum io conn_write(struct conn *c, const struct slice *piece, int n, size_t *took, struct fault *f);
/* TLS: pushes what was taken but not sent; IO_DONE when nothing is left inside. */
enum io conn_flush(struct conn *c, struct fault *f);
/* What the owner waits for. Neither: still told when the peer is gone. False: the kernel refused. */
MUST_USE bool conn_want(struct conn *c, bool read, bool write);

#endif
