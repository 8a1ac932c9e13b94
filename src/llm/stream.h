/* Reads the events of a stream as they pass: has content begun, has it ended honestly, did it fail, what was used.
 * Never changes a byte. The hot path: one call per event, so what need not be parsed is only searched. Pure. */
#ifndef LLM_STREAM_H
#define LLM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "llm/classify.h"
#include "llm/surface.h"

/* Counts as a price list wants them, the same on every surface: input is the whole prompt, of which cache_read and
 * cache_write are parts; reasoning is a part of output where the provider counts it so (all but a few gateways do). */
struct llm_usage {
    uint64_t input, output, cache_read, cache_write, reasoning;
    bool seen; /* the provider stated it; otherwise all zero */
};

/* What one event turned out to be; several bits can be set. */
enum llm_sign {
    LLM_CONTENT = 1,  /* text, reasoning, tool call, refusal: commits (spec 6) */
    LLM_FINISH = 2,   /* a finish reason or completed status: commits as well, and makes a clean end honest */
    LLM_END = 4,      /* [DONE], message_stop, response.completed: nothing of worth comes after */
    LLM_ERROR = 8,    /* an error event in any of its disguises; `error` holds its data */
    LLM_BROKEN = 16,  /* data that is not JSON where JSON is due */
    LLM_NOTHING = 32, /* comment, ping, retry, role only: neither content nor harm */
};

struct llm_stream {
    enum surface surface;
    enum dialect dialect;
    unsigned seen;          /* all signs so far */
    uint32_t events;        /* with data, so far */
    uint64_t content_bytes; /* bytes of events with content, for an estimate when usage is missing */
    uint32_t content_events; /* how many these are */
    uint32_t shortest;      /* bytes of the shortest of these events: about what all of them have in common */
    uint32_t sequence;      /* responses: last sequence_number, for our own error event */
    struct llm_usage usage;
    char stop_reason[24];   /* finish_reason / stop_reason / status, NUL-terminated, "" when unknown */
    /* private */
    bool begun;           /* an event was read, so no BOM can come any more */
    bool in_pieces;       /* llm_stream_piece: between the first and the last one */
    uint8_t carry_n;      /* the end of the piece before, for words that a border cuts */
    char carry[40];
    unsigned piece_signs; /* what the event will turn out to be when its end comes */
};

void llm_stream_init(struct llm_stream *s, enum surface surface, enum dialect dialect);

/* Reads one whole raw event (as sse_scan_event cut it, blank line included). committed: content was seen earlier, so
 * only ends, errors and usage matter and events that hold none of these cost a search, no parse.
 * With LLM_ERROR, *error is the JSON object (or text) that llm_classify_event judges; borrowed from raw or scratch.
 * When committed, LLM_CONTENT stands for any event with data that is neither end, error nor ping; the rest is exact.
 * Returns a set of enum llm_sign. */
unsigned llm_stream_event(struct llm_stream *s, struct slice raw, bool committed, struct arena *scratch, struct slice *error);

/* The same for what nearly every read of a committed stream brings: text, which begins where an event does, is one whole event with
 * nothing in it that llm_stream_event would have read. False: it may be anything, and nothing has been booked. */
bool llm_stream_alone(struct llm_stream *s, struct slice text);

/* An event that outgrew EVENT_TAIL_MAX and flows to the client in pieces (spec 6): the first begins where the event begins,
 * the one with last == true ends it. For use after commit. Searches for what llm_stream_event would have read: a
 * `response.completed` that echoes a large request is still an honest end, and its usage counts when one piece holds it.
 * Returns LLM_CONTENT, and with last the signs of the whole event. An event that was given in pieces is not given to
 * llm_stream_event. */
unsigned llm_stream_piece(struct llm_stream *s, struct slice piece, bool last, struct arena *scratch);

/* Whether the end of the body at this point is an honest one: after LLM_FINISH or LLM_END (for surfaces that stream bytes,
 * speech and the like: always). */
bool llm_stream_may_end(const struct llm_stream *s);

/* Writes the event with which weir ends a cut stream, in the surface's own shape (spec 6), complete with its blank line. The official
 * SDKs raise on it. code such as "stream_truncated"; message plain words. Returns its length, 0 when it does not fit. */
size_t llm_error_event(const struct llm_stream *s, struct slice code, struct slice message, struct slice request_id,
                       char *out, size_t cap);

/* Usage and stop reason of a complete plain answer; missing or absurd values give seen = false (negative, string, above 2^53). */
void llm_plain_usage(enum surface surface, struct slice body, struct arena *scratch, struct llm_usage *out,
                     char stop_reason[24]);

#endif
