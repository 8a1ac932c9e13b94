/* The clock of the turn. */
#include "base/clock.h"

#include "base/sys.h"

static int64_t now_ms, wall_offset_ms, offset_read_ms = -1;

void clock_update(void)
{
    now_ms = sys_mono_ms();
    /* The wall clock is the monotonic one plus an offset read once a second: logs need no better, and a turn
     * costs one clock read. A clock set by the operator is noticed within that second. */
    if (offset_read_ms < 0 || now_ms - offset_read_ms >= 1000) {
        wall_offset_ms = sys_wall_ms() - now_ms;
        offset_read_ms = now_ms;
    }
}

int64_t clock_ms(void)
{
    return now_ms;
}

int64_t clock_wall_ms(void)
{
    return now_ms + wall_offset_ms;
}
