/* Events too long to be held whole, see llm_stream_piece. Their kind stands at their start: in the `event:` line, or
 * in `type`, which every provider without such a line writes first. What may stand anywhere (a finish reason, usage) is
 * searched in every piece; a short carry joins words across a border. */
#include "llm/stream.h"

#include <string.h>

#include "http/sse.h"
#include "llm/members.h"
#include "llm/usage.h"

static unsigned signs_of_start(struct llm_stream *s, struct slice piece, struct arena *scratch)
{
    struct sse_event e;
    struct slice kind;
    ptrdiff_t at;

    if (!sse_event_read(piece, !s->begun, scratch, &e) || !e.has_data)
        return 0;
    s->begun = true;
    kind = e.event;
    if (kind.n == 0 && (at = slice_find(slice_first(e.data, 64), SLICE("\"type\""))) >= 0)
        kind = word_at(value_behind(slice_from(e.data, (size_t)at + 6)));
    if (slice_eq(kind, SLICE("error")) || slice_eq(kind, SLICE("response.failed")))
        return LLM_ERROR;
    if (slice_eq(kind, SLICE("response.completed")) || slice_eq(kind, SLICE("response.incomplete")) ||
        slice_eq(kind, SLICE("response.done")))
        return LLM_FINISH | LLM_END;
    return LLM_CONTENT;
}

static void search_finish(struct llm_stream *s, struct slice text)
{
    ptrdiff_t at;

    while ((at = slice_find(text, SLICE("\"finish_reason\""))) >= 0) {
        struct slice word;

        text = slice_from(text, (size_t)at + 15);
        word = word_at(value_behind(slice_first(text, 128)));
        if (slice_eq(word, SLICE("error")))
            s->piece_signs |= LLM_ERROR;
        else if (word.n > 0)
            s->piece_signs |= LLM_FINISH;
    }
}

/* The last `"usage":{...}` of a piece: objects of usage are flat or one level deep and hold no braces in strings. The work is
 * bounded for a piece that is full of them. */
static void search_usage(struct llm_stream *s, struct slice text)
{
    ptrdiff_t at;
    size_t work = 0;

    while (work < 65536 && (at = slice_find(text, SLICE("\"usage\""))) >= 0) {
        struct slice value;
        size_t depth = 0, i;

        text = slice_from(text, (size_t)at + 7);
        value = value_behind(slice_first(text, 4096));
        for (i = 0; i < value.n; i++) {
            if (value.p[i] == '{')
                depth++;
            else if (value.p[i] == '}' && depth > 0)
                depth--;
            if (depth == 0)
                break;
        }
        work += i + 16;
        if (i < value.n && i > 0)
            (void)usage_read(slice_first(value, i + 1), s->surface, &s->usage);
    }
}

static void keep_carry(struct llm_stream *s, struct slice text)
{
    size_t n = text.n < sizeof(s->carry) ? text.n : sizeof(s->carry);

    if (n)
        memcpy(s->carry, text.p + text.n - n, n);
    s->carry_n = (uint8_t)n;
}

unsigned llm_stream_piece(struct llm_stream *s, struct slice piece, bool last, struct arena *scratch)
{
    bool finish = s->surface == SURFACE_CHAT || s->surface == SURFACE_COMPLETIONS;
    char border[sizeof(s->carry) * 2];
    size_t head = piece.n < sizeof(s->carry) ? piece.n : sizeof(s->carry);

    if (!s->in_pieces) {
        s->in_pieces = true;
        s->carry_n = 0;
        s->events++;
        s->piece_signs = signs_of_start(s, piece, scratch);
    }
    s->content_bytes += piece.n;
    /* The border: what the pieces before ended with, and how this one begins. */
    memcpy(border, s->carry, s->carry_n);
    if (head)
        memcpy(border + s->carry_n, piece.p, head);
    if (finish) {
        search_finish(s, slice_make(border, s->carry_n + head));
        search_finish(s, piece);
    }
    search_usage(s, piece);
    keep_carry(s, head == piece.n ? slice_make(border, s->carry_n + head) : piece);
    if (!last)
        return LLM_CONTENT;
    s->in_pieces = false;
    /* An error's own finish reason makes no honest end. */
    if (s->piece_signs & LLM_ERROR)
        s->piece_signs = LLM_ERROR;
    s->seen |= s->piece_signs;
    return s->piece_signs ? s->piece_signs : LLM_CONTENT;
}
