/* A world in this process instead of the kernel: base/sys.h over descriptors, sockets, an epoll, files and clocks made
 * of memory. Time moves only by fake_now_ms. What stands at the other end of a socket is a struct peer, moved by
 * peers.c. Every rule that matters is kept: level-triggered events, half-closes told only to those who asked, a reset
 * throws away what the peer has not taken yet, the lowest free number is the next descriptor. */
#ifndef TEST_FLOW_FAKE_SYS_H
#define TEST_FLOW_FAKE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

struct bytes {
    char *p;
    size_t off, n, cap; /* the bytes are p[off .. n) */
};

void bytes_add(struct bytes *b, const void *p, size_t n);
void bytes_skip(struct bytes *b, size_t n);
void bytes_drop(struct bytes *b);
static inline size_t bytes_len(const struct bytes *b)
{
    return b->n - b->off;
}

/* When bytes arrived: taken[at] says how many there were in all at that time. */
struct stamp {
    size_t upto;
    int64_t ms;
};
enum { STAMPS_MAX = 4096 };

struct sock;

/* The far end of a stream. */
struct peer {
    struct sock *sock;     /* NULL: the gate has closed its side */
    struct bytes wire;     /* written by the gate, not taken yet: lost in a reset */
    struct bytes got;      /* taken */
    struct stamp *stamp;
    size_t nstamps;
    size_t window;         /* how many bytes the wire takes */
    bool gate_fin;         /* it closed or shut down writing */
    bool gate_rst;
    int64_t ended_ms;      /* when either happened */
};

enum sock_kind { SOCK_FREE, SOCK_LISTENER, SOCK_STREAMING, SOCK_UDP, SOCK_EPOLL, SOCK_FILE, SOCK_SIGNAL };

struct sock {
    enum sock_kind kind;
    int fd;
    struct bytes in;       /* what the gate can read now */
    bool in_fin, in_rst;   /* the peer's end, behind `in`; a reset is told once */
    bool rst_told;
    bool connecting, connected, out_shut, reset_on_close;
    int connect_error;
    int64_t connect_ms;    /* when the outcome is known */
    struct peer *peer;
    /* listener */
    int waiting[64], nwaiting; /* descriptors of connections that were not accepted yet */
    /* epoll */
    bool watched;
    unsigned want;
    uint64_t data;
    const char *file;
    size_t file_n, file_at;
};

/* ---- The world. ---- */

enum fake_call {
    CALL_ANY, CALL_SOCKET, CALL_BIND, CALL_ACCEPT, CALL_CONNECT, CALL_GETSOCKNAME, CALL_OPTION, CALL_RECV, CALL_SEND,
    CALL_SHUTDOWN, CALL_POLL_ADD, CALL_POLL_CHANGE, CALL_RANDOM, CALL_OPEN, CALL_READ, CALL_COUNT
};

struct fake {
    int64_t now_ms, wall_offset_ms;
    uint64_t activity;     /* grows whenever something moved: two equal readings mean quiet */
    uint64_t events;       /* that poll_wait gave out */
    size_t recv_most, send_most; /* bytes per call; 0: as many as there are */
    bool stutter;          /* EAGAIN after each recv and send that worked */
    uint64_t calls[CALL_COUNT]; /* fallible ones, CALL_ANY: all */
    struct {
        enum fake_call call;
        uint64_t nth;      /* 0: none */
        bool from_then_on;
        int error;         /* 0: the usual one for that call */
    } fail;
    uint64_t failed;
    uint32_t clients, client_ip; /* each client has an address of its own unless client_ip says which */
    unsigned misuse;       /* calls on a descriptor that is closed, and the like */
    const char *misuse_what;
    struct bytes log;      /* what was written to descriptor 2 */
};
extern struct fake fake;

void fake_reset(void);     /* an empty world at a time far from 0; frees what the one before had */
unsigned fake_open_fds(void); /* without the epoll */
void fake_file(const char *path, const char *text);
/* A stream socket of the gate's, already accepted or connected to peer: called by accept and connect. */
struct sock *fake_sock(int fd);
/* For peers.c: a peer's bytes, end and reset reach the gate's socket. */
void fake_deliver(struct peer *p, const void *bytes, size_t n);
void fake_deliver_fin(struct peer *p);
void fake_deliver_rst(struct peer *p);
/* Moves what the gate wrote into peer->got. Returns how many. */
size_t fake_take(struct peer *p, size_t most);
/* A client at the listener's door. False: nobody listens. */
bool fake_knock(struct peer *p);
bool fake_knock_at(struct peer *p, unsigned nth); /* the nth listener's, in order of their descriptors */
void fake_peer_init(struct peer *p);
void fake_peer_drop(struct peer *p); /* frees its memory; the socket, if any, sees a reset */

/* Implemented by peers.c: who answers at an address (host order IPv4). NULL: refused. *ms: when the handshake is over (-1: never);
 * *error: how it ends. */
struct peer *peers_connect(uint32_t ip, uint16_t port, int64_t *ms, int *error);

#endif
