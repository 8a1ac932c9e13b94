/* The BearSSL engine as a byte pump over one socket, client and server side (TLS 1.2, six ECDHE-AEAD suites).
 * All connections share one pair of record buffers; what a connection must keep between calls (half a record, bytes the
 * socket did not take) moves to a block of the budget just as large, so an idle stream costs its context alone.
 * Nothing of the request is sent before the peer's chain is accepted. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/trust.h"

struct tls;          /* one connection's engine */
struct tls_identity; /* a server's chain and private key */

/* Once at start: at most max_conns engines of each side at a time (address space only, touched when used). False: no
 * memory. */
MUST_USE bool tls_init(uint32_t max_conns);

/* Server identity from PEM texts (chain, leaf first; one unencrypted EC or RSA key as PKCS#1, SEC1 or PKCS#8). NULL with *why.
 * Checks that key and leaf belong together. Memory from the arena (55 KB and the certificates), which must outlive the
 * identity; the texts may go. */
struct tls_identity *tls_identity_load(struct slice chain_pem, struct slice key_pem, struct arena *a, const char **why);

/* A client engine for host (name or IP literal; lower case, no trailing dot, not empty). session_tag: two connections may
 * share a TLS session only when trust, host, port and this tag are equal (S-63). trust must outlive the handshake.
 * NULL: pool empty, budget spent or no entropy, *f says which. */
struct tls *tls_open_client(const struct trust *trust, struct slice host, uint16_t port, uint64_t session_tag, struct fault *f);
/* The identity must outlive the engine. */
struct tls *tls_open_server(const struct tls_identity *id, struct fault *f);
/* Sends close_notify when it can without waiting, gives all memory back. The socket stays the caller's; fd -1: there is
 * none any more. */
void tls_close(struct tls *t, int fd);

/* All do as much as the socket allows. IO_PARKED: when tls_pending(), call again in the next turn, else wait for what
 * tls_wants() says. Faults: FAULT_TLS with what as plain words ("certificate expired", "certificate is for another name",
 * "unknown CA", "server requires TLS 1.3", "closed during TLS handshake", ...) and sys the engine's code (1..31 records
 * and handshake, 33..62 certificates, 256+n alert n received, 512+n alert n sent), FAULT_CLOSED, FAULT_NO_MEMORY. A fault
 * stays: later calls return it again. */
enum io tls_handshake(struct tls *t, int fd, struct fault *f);
/* After the handshake. *got 0 with IO_DONE: the peer sent close_notify. EOF without it is FAULT_CLOSED. cap is best
 * 16 KiB or more: what the caller does not take in must be kept for it. */
enum io tls_read(struct tls *t, int fd, void *buf, size_t cap, size_t *got, struct fault *f);
/* Takes what fits of the pieces, in order; *took may be short (then IO_PARKED next time). What was taken is sent as soon as the
 * socket allows: call tls_flush when tls_wants() has SYS_OUT and the socket is writable. */
enum io tls_write(struct tls *t, int fd, const struct slice *piece, int n, size_t *took, struct fault *f);
/* IO_DONE: the socket has taken everything. */
enum io tls_flush(struct tls *t, int fd, struct fault *f);
/* The next call can go on without the socket becoming ready: decrypted bytes wait inside, or the check of the server's
 * certificates takes several turns so that none is long. After tls_handshake returned IO_DONE it can be true at once: a client's
 * request may come along with the end of its handshake. */
bool tls_pending(const struct tls *t);
/* What the socket must become for progress: set of SYS_IN, SYS_OUT. want_read: the owner would read now. */
unsigned tls_wants(const struct tls *t, bool want_read);
bool tls_resumed(const struct tls *t);

struct tls_counts {
    uint64_t handshakes, resumed, chain_cache_hits, failures;
    uint32_t open, buffers; /* engines in use; blocks of the budget that they hold right now */
};
struct tls_counts tls_counts(void);

#endif
