/* Timers: an intrusive binary heap. Arming later than before costs a store: the heap finds out when the old time comes. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct timer;
typedef void timer_fn(struct timer *t);

struct timer {
    /* private */
    int64_t due_ms;   /* when to fire */
    int64_t heap_ms;  /* the key it has in the heap, <= due_ms */
    uint32_t place;   /* index in the heap + 1; 0: not in it */
    bool armed;
    timer_fn *fire;
};

/* Room for `most` timers at once, taken at start. False: no memory. */
bool timers_init(uint32_t most);
/* fire is called from the loop, disarmed; use container_of to reach the owner. */
void timer_init(struct timer *t, timer_fn *fire);
void timer_arm(struct timer *t, int64_t due_ms); /* absolute, clock_ms() based; re-arming moves it */
void timer_disarm(struct timer *t);              /* harmless when not armed */
static inline bool timer_armed(const struct timer *t)
{
    return t->armed;
}
/* Fires at most `budget` due timers; returns how many. */
unsigned timers_run(int64_t now_ms, unsigned budget);
/* Milliseconds until the next one may be due (never later, sometimes earlier), 0 when due, -1 when none. */
int timers_wait(int64_t now_ms);
uint32_t timers_count(void);

#endif
