/* The event loop: wait, dispatch, timers, deferred work. One per process. Level-triggered; an event names a slot and its
 * generation, never a pointer, so an event for something closed meanwhile is dropped. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/must.h"
#include "base/sys.h"

struct watch;
/* events: set of SYS_IN, SYS_OUT, SYS_GONE. May unwatch itself or others. */
typedef void watch_fn(struct watch *w, unsigned events);

struct watch {
    /* private */
    int fd;
    uint32_t slot;    /* + 1; 0: not watched */
    unsigned want;    /* what the kernel has been told */
    watch_fn *ready;
};

struct defer;
typedef void defer_fn(struct defer *d);
struct defer {
    /* private */
    struct list node;
    defer_fn *run;
};

/* Room for max_watches descriptors. False with errno: no epoll or no memory. */
MUST_USE bool loop_init(uint32_t max_watches);
/* Starts watching fd (owned by the caller). Errors are reported as SYS_GONE in any case; a peer's half-close only when want has it.
 * False: no slot or kernel memory. */
MUST_USE bool loop_watch(struct watch *w, int fd, unsigned want, watch_fn *ready);
/* Tells the kernel only when the set changed. The empty set is not even told of errors. False: the kernel refused (memory): treat the descriptor as failed. */
MUST_USE bool loop_want(struct watch *w, unsigned want);
/* Whether the batch of this turn holds an event for it that has not been (or is being) dispatched. */
bool loop_has_news(const struct watch *w);
/* Before closing fd. Harmless when not watched. */
void loop_unwatch(struct watch *w);

void defer_init(struct defer *d, defer_fn *run);
/* Runs once after this batch of events (or after the next when asked from deferred work). Asking twice is harmless;
 * the loop does not sleep while something is deferred. */
void loop_defer(struct defer *d);
void defer_cancel(struct defer *d);

/* Runs until loop_stop(). loop_turn is one round for tests; it waits at most max_wait_ms (-1: as timers say). */
void loop_run(void);
void loop_turn(int max_wait_ms);
void loop_stop(void);
/* Bytes lent to whoever is reading right now; contents are gone at the next callback. READ_MAX + slack long. */
char *loop_scratch(void);
uint64_t loop_turns(void);

#endif
