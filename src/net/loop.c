/* One epoll loop. A turn: wait, dispatch this batch, fire due timers, run deferred work (which is where objects are freed).
 * Invariants: a watch is in at most one slot; a slot's generation changes when it is given up, so an event that was queued for its
 * former user finds another generation and is dropped. */
#include "net/loop.h"

#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/timer.h"

struct slot {
    struct watch *watch; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;  /* + 1 */
    uint64_t news_turn;  /* the last turn whose batch had an event for it */
};

enum { TIMERS_PER_TURN = 1024, SCRATCH_SLACK = 4096 };

static struct {
    int poll_fd;
    struct slot *slot;
    uint32_t slots, used_once, free_head;
    struct list deferred;
    bool stopping;
    uint64_t turns;
    char *scratch;
} loop;

bool loop_init(uint32_t max_watches)
{
    loop.slot = mem_table(max_watches, sizeof *loop.slot);
    loop.scratch = mem_table(1, 2 * READ_MAX + SCRATCH_SLACK);
    loop.slots = max_watches;
    loop.used_once = loop.free_head = 0;
    loop.stopping = false;
    list_init(&loop.deferred);
    loop.poll_fd = loop.slot && loop.scratch ? sys_poll_create() : -1;
    clock_update();
    return loop.poll_fd != -1;
}

bool loop_watch(struct watch *w, int fd, unsigned want, watch_fn *ready)
{
    uint32_t at;
    struct slot *s;

    if (loop.free_head) {
        at = loop.free_head - 1;
        loop.free_head = loop.slot[at].next_free;
    } else if (loop.used_once < loop.slots) {
        at = loop.used_once++;
    } else {
        errno = EMFILE;
        return false;
    }
    s = &loop.slot[at];
    s->watch = w;
    s->news_turn = 0;
    *w = (struct watch){.fd = fd, .slot = at + 1, .want = want, .ready = ready};
    uint64_t data = (uint64_t)s->generation << 32 | at;
    /* EEXIST: a descriptor that was handed on without being closed (dial to conn) is still known to the kernel. */
    if (sys_poll_add(loop.poll_fd, fd, want, data) == 0 ||
        (errno == EEXIST && sys_poll_change(loop.poll_fd, fd, want, data) == 0))
        return true;
    s->watch = NULL;
    s->next_free = loop.free_head;
    loop.free_head = at + 1;
    w->slot = 0;
    return false;
}

bool loop_want(struct watch *w, unsigned want)
{
    uint32_t at = w->slot - 1;

    must(w->slot);
    if (want == w->want)
        return true;
    /* The kernel reports errors whatever it was asked, so one who wants nothing must not be in its set. */
    if (want == 0 ? sys_poll_remove(loop.poll_fd, w->fd) == -1
        : w->want == 0
            ? sys_poll_add(loop.poll_fd, w->fd, want, (uint64_t)loop.slot[at].generation << 32 | at) == -1
            : sys_poll_change(loop.poll_fd, w->fd, want, (uint64_t)loop.slot[at].generation << 32 | at) == -1)
        return false;
    w->want = want;
    return true;
}

bool loop_has_news(const struct watch *w)
{
    return w->slot && loop.slot[w->slot - 1].news_turn == loop.turns;
}

void loop_unwatch(struct watch *w)
{
    struct slot *s;

    if (!w->slot)
        return;
    s = &loop.slot[w->slot - 1];
    /* No EPOLL_CTL_DEL: the owner closes the descriptor next, and the kernel forgets it then (or hands it on, and loop_watch takes
     * the entry over). One exception is a descriptor shared with another process, which weir never has while watching it. */
    s->watch = NULL;
    s->generation++;
    s->next_free = loop.free_head;
    loop.free_head = w->slot;
    w->slot = 0;
}

void defer_init(struct defer *d, defer_fn *run)
{
    *d = (struct defer){.run = run};
}

void loop_defer(struct defer *d)
{
    if (!list_linked(&d->node))
        list_push_back(&loop.deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
    list_remove(&d->node);
}

static void run_deferred(void)
{
    struct list batch;

    if (list_empty(&loop.deferred))
        return;
    /* What is deferred from here on waits for the next turn, so that sockets get theirs in between. */
    batch = loop.deferred;
    batch.next->prev = &batch;
    batch.prev->next = &batch;
    list_init(&loop.deferred);
    for (struct list *n; (n = list_pop_front(&batch));)
        container_of(n, struct defer, node)->run(container_of(n, struct defer, node));
}

static void dispatch(const struct sys_event *e)
{
    uint32_t at = (uint32_t)e->data;
    struct slot *s = &loop.slot[at];

    if (at >= loop.used_once || !s->watch || s->generation != (uint32_t)(e->data >> 32))
        return;
    s->watch->ready(s->watch, e->events);
}

void loop_turn(int max_wait_ms)
{
    struct sys_event event[LOOP_EVENTS_MAX];
    int wait = list_empty(&loop.deferred) ? timers_wait(clock_ms()) : 0;
    int n;

    if (max_wait_ms >= 0 && (wait < 0 || wait > max_wait_ms))
        wait = max_wait_ms;
    n = sys_poll_wait(loop.poll_fd, event, LOOP_EVENTS_MAX, wait);
    clock_update();
    loop.turns++;
    for (int i = 0; i < n; i++)
        if ((uint32_t)event[i].data < loop.used_once)
            loop.slot[(uint32_t)event[i].data].news_turn = loop.turns;
    for (int i = 0; i < n; i++)
        dispatch(&event[i]);
    timers_run(clock_ms(), TIMERS_PER_TURN);
    run_deferred();
}

void loop_run(void)
{
    while (!loop.stopping)
        loop_turn(-1);
}

void loop_stop(void)
{
    loop.stopping = true;
}

char *loop_scratch(void)
{
    return loop.scratch;
}

uint64_t loop_turns(void)
{
    return loop.turns;
}
