/* An intrusive binary heap of deadlines. Moving a deadline later is lazy: the entry keeps its old place and is put right
 * when that comes up, because a stream re-arms its idle timer at every event and almost never fires it.
 * Invariant: heap[i]->place == i + 1 and heap[i]->heap_ms <= heap[i]->due_ms. */
#include "base/timer.h"

#include "base/mem.h"
#include "base/must.h"

static struct timer **heap;
static uint32_t count, most;

bool timers_init(uint32_t room)
{
    heap = mem_table(room, sizeof *heap);
    most = heap ? room : 0;
    count = 0;
    return heap != NULL;
}

void timer_init(struct timer *t, timer_fn *fire)
{
    *t = (struct timer){.fire = fire};
}

static void put(uint32_t at, struct timer *t)
{
    heap[at] = t;
    t->place = at + 1;
}

static void sift_up(uint32_t at, struct timer *t)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;

        if (heap[parent]->heap_ms <= t->heap_ms)
            break;
        put(at, heap[parent]);
        at = parent;
    }
    put(at, t);
}

static void sift_down(uint32_t at, struct timer *t)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1]->heap_ms < heap[child]->heap_ms)
            child++;
        if (heap[child]->heap_ms >= t->heap_ms)
            break;
        put(at, heap[child]);
        at = child;
    }
    put(at, t);
}

static void take_out(struct timer *t)
{
    uint32_t at = t->place - 1;
    struct timer *last = heap[--count];

    t->place = 0;
    if (last == t)
        return;
    if (at > 0 && heap[(at - 1) / 2]->heap_ms > last->heap_ms)
        sift_up(at, last);
    else
        sift_down(at, last);
}

void timer_arm(struct timer *t, int64_t due_ms)
{
    t->due_ms = due_ms;
    t->armed = true;
    if (t->place && due_ms >= t->heap_ms)
        return; /* later: found out when the old time comes */
    if (t->place)
        take_out(t);
    must(count < most);
    t->heap_ms = due_ms;
    sift_up(count++, t);
}

void timer_disarm(struct timer *t)
{
    t->armed = false;
    if (t->place)
        take_out(t);
}

unsigned timers_run(int64_t now_ms, unsigned budget)
{
    unsigned fired = 0;

    while (count && heap[0]->heap_ms <= now_ms && fired < budget) {
        struct timer *t = heap[0];

        if (t->due_ms > t->heap_ms) { /* it was moved later meanwhile; also keeps those due in order */
            t->heap_ms = t->due_ms;
            sift_down(0, t);
            continue;
        }
        take_out(t);
        t->armed = false;
        fired++;
        t->fire(t);
    }
    return fired;
}

int timers_wait(int64_t now_ms)
{
    int64_t left;

    if (!count)
        return -1;
    /* The top may have been moved later: then this is too early by some, once, and timers_run puts it right. Doing so here would
     * cost a walk down the heap per turn. */
    left = heap[0]->heap_ms - now_ms;
    return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

uint32_t timers_count(void)
{
    return count;
}
