/* Parked upstream connections, ready for the next request with the same key. A parked connection must stay silent: a byte or an end
 * on it closes it, since it can't be an answer to anything. Newest first, so the tail ages out. */
#ifndef NET_IDLE_H
#define NET_IDLE_H

#include "net/conn.h"

enum {
    IDLE_KEEP_MS = 30000, /* providers close at 60 s and more; a stale one costs a retry */
    IDLE_MOST = 1024,     /* parked in all; the oldest makes room */
};

MUST_USE bool idle_init(void);
/* Takes the connection (the pointer becomes NULL). It must be clean: last answer complete, nothing unread. key says who may use it again:
 * same origin, same credential, same trust (S-63). Never 0. */
void idle_park(struct conn **c, uint64_t key);
/* The most recently parked one that no event of this turn concerns, or NULL. The caller must hand it over to itself. */
struct conn *idle_take(uint64_t key);
/* Closes the oldest; false when there is none. For when descriptors run out. */
bool idle_evict(void);
/* Closes those whose key nobody will ask for any more. */
typedef bool idle_keep_fn(const void *user, uint64_t key);
void idle_sweep(idle_keep_fn *keep, const void *user);
void idle_close_all(void);
uint32_t idle_count(void);

#endif
