/* Name to first working TCP connection (happy eyeballs, RFC 8305): resolve, then addresses in order, the next one starting when
 * one fails or after 250 ms, first to connect wins. No deadline of its own: the caller has one timer for DNS, TCP and TLS. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/addr.h"

enum {
    DIAL_STAGGER_MS = 250, /* RFC 8305 5 */
    DIAL_WATCHES = 16,     /* of one dial at the most (ADDRESSES_MAX), for sizing the loop; usually one */
    DIAL_TIMERS = 1,
};

struct dial; /* one attempt to connect; from a pool */
/* fd >= 0 (connected, non-blocking, TCP_NODELAY set, not watched, the callee's from now on), with the peer's address; or -1 with the fault and
 * peer NULL: FAULT_DNS, FAULT_CONNECT ("connection refused", "connection reset", "host unreachable", "connect timed out", "address not
 * allowed", "could not connect"), FAULT_LOCAL (descriptors, ports), FAULT_NO_MEMORY. d is freed when this is called. */
typedef void dial_done_fn(void *owner, int fd, const struct addr *peer, struct fault fault);

MUST_USE bool dial_init(uint32_t max_dials, bool allow_private);
void dial_allow_private(bool allow); /* from now on, for a reload */
/* host may be a literal. Addresses that addr_is_private are refused unless allow_private (checked after resolution, at each connect, S-13); exempt: this
 * call's trusted flag (the built-in sim on loopback). May call done before it returns; then it returns NULL. NULL as well when the pool is empty: done was called with the fault. */
struct dial *dial_start(struct slice host, uint16_t port, bool trusted, dial_done_fn *done, void *owner);
void dial_cancel(struct dial *d); /* closes everything; done is not called; NULL is harmless */
uint32_t dial_count(void);        /* running now */

#endif
