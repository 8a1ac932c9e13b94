/* The answer of one attempt as bytes: read, decoded, held back, looked at event by event, handed on. Decides nothing. */
#ifndef GATE_HELD_H
#define GATE_HELD_H

#include "gate/xchg.h"

/* Everything at hand, head included. */
char *held_region(const struct upstream *up, size_t *len);
/* The body bytes at hand that were not handed on; they stay put until held_consume, held_read or the end of this wake-up (then
 * held_retain must have been called). */
struct slice held_body(const struct upstream *up);
/* All of them as the chunk they came in, size line and CRLF included; empty unless they are exactly one chunk. */
struct slice held_chunk(const struct upstream *up);
/* Drops the head and n body bytes from the front; scanned and scan_at move along. */
void held_consume(struct upstream *up, size_t n);
/* Saves what was not consumed from the loop's scratch. False: no memory. */
MUST_USE bool held_retain(struct upstream *up);
/* The parsed head of the answer; slices point into the held bytes. Only while the head is held (before the first consume). */
const struct http_response *held_head(struct upstream *up);
/* The parsed head points into bytes that move or go. */
void held_forget_parsed(struct upstream *up);

/* One read to behind the region. *got fresh bytes stand there, not yet counted in it. An end is IO_FAILED with FAULT_CLOSED, sys 0. */
enum io held_read(struct upstream *up, size_t *got, struct fault *f);
/* Decodes n such bytes; body_done is set when the body is complete. IO_FAILED: broken framing; what was good before it is counted. */
enum io held_decode(struct upstream *up, size_t n, struct fault *f);
/* Both. IO_DONE: held_body may have grown. An orderly end that completes the body is IO_DONE with body_done. */
enum io held_take(struct upstream *up, struct fault *f);

enum held_seen {
    HELD_MORE,   /* no further whole event */
    HELD_COMMIT, /* this event carries content (only before commit) */
    HELD_ERROR,  /* this event is an error; *error holds it, empty for one that is not JSON */
    HELD_LAST,   /* this event is [DONE] */
};
/* Reads whole events up to the first of interest, from up->event_at to up->scanned. */
enum held_seen held_scan(struct upstream *up, bool committed, struct slice *error);

#endif
