/* The last requests, as the lines that the log has of them, for whoever looks at the gateway while it runs. The oldest make room. Nothing is
 * kept before recent_open, so a gateway without an admin plane pays nothing. */
#ifndef GATE_RECENT_H
#define GATE_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"
#include "base/slice.h"

enum {
    RECENT_BYTES = 1 << 20, /* 600 requests of the longest line, 2,000 of a usual one; pages are touched only as they fill */
    RECENT_LINES = 2048,
};

/* Takes the ring's address space. False: there is none. Twice is once. */
MUST_USE bool recent_open(void);
bool recent_wanted(void);
/* Copies the line of a request that ended: one JSON object, no newline. One that is longer than the ring is left out. */
void recent_put(struct slice line);

/* How many lines ever came: the number of the newest. They are counted from 1. */
uint64_t recent_count(void);
/* The line of that number, lent until the next recent_put; empty when it made room or never was. */
struct slice recent_line(uint64_t number);

#endif
