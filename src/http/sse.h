/* Server-sent events (WHATWG HTML 9.2): finds where whole events end in a growing run of bytes, and reads the
 * fields of one whole event. Never changes a byte: what is relayed is what came. Pure. */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

/* ---- Borders. Line ends are LF, CRLF or CR; an event ends with a blank line. ---- */

struct sse_scan {
    /* private: what the last bytes were */
    uint8_t state;
};

void sse_scan_init(struct sse_scan *s);
/* Whether the next byte begins a line, and no LF is owed to a CR. */
static inline bool sse_scan_idle(const struct sse_scan *s)
{
    return s->state == 0;
}
/* Searches n new bytes (never given before) for the end of the current event. Returns the number of them that belong
 * to the event when it ends here (then call again with the rest), or 0 when it does not end within them. Each blank
 * line is an end, so an event may have no fields.
 * Never waits for a byte that may not come: when the input stops right behind the CR of a blank line, the event ends
 * there, and should an LF follow, it comes out as an event of that one byte (empty to every reader). But for this the
 * borders do not depend on how the input was split. As fast as memchr on long lines, O(1) state. */
size_t sse_scan_event(struct sse_scan *s, const char *p, size_t n);

/* ---- Fields of one whole event. ---- */

struct sse_event {
    struct slice event; /* last `event:` value, empty when none */
    struct slice data;  /* the `data:` lines joined by LF */
    struct slice error; /* value of an `error:` field: GPUStack's way of failing; empty when none */
    bool has_data;      /* false: comments, blank lines, retry, id only */
};

/* Reads one event as sse_scan_event found it (with or without its blank line). With one data line, data points into the
 * event itself (one leading space cut); with several they are joined in the arena, which nothing else touches. False
 * when the arena is full. A BOM at the stream's start is skipped when first is true. */
bool sse_event_read(struct slice raw, bool first, struct arena *a, struct sse_event *out);

#endif
