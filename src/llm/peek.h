/* Looks at a committed event without reading it: is there anything in it but content? The relay calls this for each
 * event of every stream, so it searches raw bytes for few words and parses nothing. Pure. */
#ifndef LLM_PEEK_H
#define LLM_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "llm/surface.h"

struct peek {
    bool data;         /* the event has a data line */
    bool ping;         /* an event that says of itself that it is none */
    bool sequenced;    /* a sequence_number was seen */
    uint32_t sequence; /* its value */
};

/* True when the event must be read: it may hold an end, a finish reason, an error or usage. False is certain, true is
 * not: "error" as a whole content token asks for a reading that finds nothing. */
bool peek_event(enum surface surface, struct slice raw, struct peek *out);

/* Whether the text, which begins where an event does, is exactly one event, its lines ended by LF, for which peek_event says false: border
 * and words in one search. False is not certain. */
bool peek_alone(enum surface surface, struct slice text, struct peek *out);

/* For tests: whether to use what only newer processors have, as it is done by itself. Returns whether it is now used. */
bool peek_wide(bool wish);

#endif
