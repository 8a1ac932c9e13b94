/* A stream as plain text and nothing else, so that a broken one can be continued by another provider's (spec 5, continueStreams): reads what an
 * event adds to the text, and writes events of the same surface. For chat-completions and messages. Pure. */
#ifndef LLM_TEXT_H
#define LLM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "base/slice.h"
#include "llm/stream.h"
#include "llm/surface.h"

enum {
    TEXT_WORD_MAX = 128,    /* an id or model name that is longer is no chat to be continued; the longest seen has 62 */
    TEXT_PIECE_MAX = 4096,  /* text in one event that is written */
    TEXT_EVENT_MAX = 6 * TEXT_PIECE_MAX + 1024 /* one written event, or the closing ones */
};

/* A stream so far, as its reader knows it. */
struct text_stream {
    enum surface surface;
    bool odd;            /* something came that is not plain text of one choice: this stream can be neither continued nor a continuation */
    bool open;           /* messages: a text block is open */
    uint32_t index;      /* messages: its index, or that of the next one */
    uint64_t created;    /* chat-completions */
    char id[TEXT_WORD_MAX], model[TEXT_WORD_MAX]; /* chat-completions: as JSON inside the quotes, NUL-terminated */
    char finish[TEXT_WORD_MAX];                   /* finish_reason or stop_reason, the same way; empty: not said yet */
};

void text_stream_init(struct text_stream *t, enum surface surface);
/* One whole raw event, as sse_scan_event cut it. *piece: what it adds to the text, unescaped; in raw or the arena. */
void text_read(struct text_stream *t, struct slice raw, bool first, struct arena *scratch, struct slice *piece);
/* An event that adds text (at most TEXT_PIECE_MAX bytes) to the stream, with what must come before it. Returns its length, at most cap,
 * which must be TEXT_EVENT_MAX at least. */
size_t text_write(struct text_stream *t, struct slice text, char *out, size_t cap);
/* The events that end the stream, with t->finish. usage NULL: none is told (messages: only when it was not stated). */
size_t text_write_end(struct text_stream *t, const struct llm_usage *usage, char *out, size_t cap);

/* How a provider takes the beginning of an answer that it is to go on with. */
#define TEXT_PREFIXES(X)                                                                         \
    X(NO, "no")             /* it answers anew, or refuses */                                    \
    X(TRAILING, "trailing") /* a last message of the assistant's is gone on with */              \
    X(PREFIX, "prefix")     /* the same with "prefix": true in it (DeepSeek's beta, Mistral) */  \
    X(PARTIAL, "partial")   /* the same with "partial": true in it (Moonshot, Qwen) */

enum text_prefix {
#define X(id, text) TEXT_PREFIX_##id,
    TEXT_PREFIXES(X)
#undef X
    TEXT_PREFIX_COUNT
};
/* What is known of a built-in provider's chat-completions. On messages the API itself says that it is TRAILING. */
enum text_prefix text_prefix_of(struct slice provider_id);
bool text_prefix_by_name(struct slice name, enum text_prefix *out);
/* Bytes that text_prefix_write needs for this text. */
size_t text_prefix_room(struct slice text);
/* `,{"role":"assistant","content":"..."}` with the style's mark: what goes before the ']' of the messages. Returns its length. */
size_t text_prefix_write(enum text_prefix style, struct slice text, char *out, size_t cap);

#endif
