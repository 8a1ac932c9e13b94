/* What an event of a stream means: has content begun, has it ended, did it fail, what was used. One reader per surface;
 * errors are looked for first and on all surfaces alike, since providers send them in shapes that are not the surface's.
 *
 * An event is read as members (llm/members.h), which works at any size; only the small values inside are parsed into
 * tokens. What is valid but too large to parse counts as content: holding it back longer would not make it clearer. */
#include "llm/stream.h"

#include "http/sse.h"
#include "json/scan.h"
#include "llm/members.h"
#include "llm/peek.h"
#include "llm/usage.h"

void llm_stream_init(struct llm_stream *s, enum surface surface, enum dialect dialect)
{
    *s = (struct llm_stream){.surface = surface, .dialect = dialect, .shortest = UINT32_MAX};
}

static inline void count_content(struct llm_stream *s, size_t n)
{
    s->content_bytes += n;
    s->content_events++;
    if (n < s->shortest)
        s->shortest = (uint32_t)n;
}

static bool any_filled(const struct json_doc *d, int object, const char *const *name)
{
    for (; *name; name++)
        if (json_filled(d, json_get(d, object, *name)))
            return true;
    return false;
}

static bool starts(struct slice s, const char *prefix)
{
    return slice_starts(s, slice_str(prefix));
}

static bool is(struct slice s, const char *word)
{
    return slice_eq(s, slice_str(word));
}

/* ---- chat-completions and completions ---- */

static unsigned read_choice(struct llm_stream *s, const struct json_doc *d, int choice)
{
    static const char *const parts[] = {"content", "reasoning_content", "reasoning", "reasoning_details", "tool_calls",
                                        "function_call", "refusal", "audio", "images", "reasoning_text",
                                        "thinking_blocks", NULL};
    int finish = json_get(d, choice, "finish_reason");
    unsigned signs = 0;

    if (json_filled(d, json_get(d, choice, "error")) || json_str_is(d, finish, "error"))
        return LLM_ERROR;
    /* `message`: a whole answer sent as the only event. */
    if (json_filled(d, json_get(d, choice, "text")) || any_filled(d, json_get(d, choice, "delta"), parts) ||
        any_filled(d, json_get(d, choice, "message"), parts))
        signs |= LLM_CONTENT;
    if (json_filled(d, finish)) {
        signs |= LLM_FINISH;
        word_keep(s->stop_reason, json_raw(d, finish));
    }
    return signs;
}

/* Usage stands beside the choices; Groq repeats it in x_groq, Moonshot puts it into the choice. */
static void read_chat_usage(struct llm_stream *s, const struct members *m, struct slice choice)
{
    enum json_type type;
    struct slice usage = members_get(m, "usage", &type), outer;
    struct members inner;

    if (usage_read(usage, s->surface, &s->usage))
        return;
    outer = members_get(m, "x_groq", &type);
    if (type == JSON_OBJECT && members_read(&inner, outer, &type) &&
        usage_read(members_get(&inner, "usage", &type), s->surface, &s->usage))
        return;
    if (choice.n > 0 && members_read(&inner, choice, &type))
        (void)usage_read(members_get(&inner, "usage", &type), s->surface, &s->usage);
}

static unsigned read_chat(struct llm_stream *s, const struct members *m, struct arena *scratch, struct slice *error)
{
    enum json_type type;
    struct slice choices = members_get(m, "choices", &type), first = {NULL, 0};
    struct json_doc d;
    unsigned signs = 0;

    if (type == JSON_ARRAY) {
        if (!json_parse(&d, choices, scratch))
            return LLM_CONTENT;
        for (int choice = json_first(&d, 0); choice >= 0; choice = json_next(&d, choice)) {
            signs |= read_choice(s, &d, choice);
            if (first.n == 0)
                first = json_raw(&d, choice);
        }
    }
    read_chat_usage(s, m, first);
    if (signs & LLM_ERROR) {
        *error = m->text;
        return LLM_ERROR;
    }
    if (is(members_word(m, "object"), "chat.completion.done")) /* Perplexity's end */
        signs |= LLM_FINISH | LLM_END;
    return signs;
}

/* ---- messages ---- */

static unsigned read_block(const struct members *m, const char *name, struct arena *scratch)
{
    static const char *const parts[] = {"text", "thinking", "partial_json", "signature", "data", "citation",
                                        "citations", "content", NULL};
    enum json_type type;
    struct slice block = members_get(m, name, &type), kind;
    struct json_doc d;

    if (type != JSON_OBJECT)
        return 0;
    if (!json_parse(&d, block, scratch))
        return LLM_CONTENT;
    kind = json_raw(&d, json_get(&d, 0, "type"));
    if (slice_ends(kind, SLICE("tool_use")) || slice_ends(kind, SLICE("tool_result")))
        return LLM_CONTENT; /* a call is content from its name on, before any argument */
    return any_filled(&d, 0, parts) ? LLM_CONTENT : 0;
}

static unsigned read_messages(struct llm_stream *s, const struct members *m, struct slice type_word,
                              struct arena *scratch)
{
    enum json_type type;
    struct members inner;

    if (is(type_word, "content_block_delta"))
        return read_block(m, "delta", scratch);
    if (is(type_word, "content_block_start"))
        return read_block(m, "content_block", scratch);
    if (is(type_word, "message_stop"))
        return LLM_END;
    if (is(type_word, "message_start")) {
        if (members_read(&inner, members_get(m, "message", &type), &type))
            (void)usage_read(members_get(&inner, "usage", &type), s->surface, &s->usage);
        return 0;
    }
    if (is(type_word, "message_delta")) {
        (void)usage_read(members_get(m, "usage", &type), s->surface, &s->usage);
        if (!members_read(&inner, members_get(m, "delta", &type), &type) || !members_filled(&inner, "stop_reason"))
            return 0;
        word_keep(s->stop_reason, members_word(&inner, "stop_reason"));
        return LLM_FINISH;
    }
    return 0;
}

/* ---- responses ---- */

/* completed, incomplete, failed: the event carries the whole response. */
static unsigned read_response(struct llm_stream *s, const struct members *m, bool failed, struct slice *error)
{
    enum json_type type;
    struct slice response = members_get(m, "response", &type);
    struct members inner;

    if (type == JSON_OBJECT && members_read(&inner, response, &type)) {
        (void)usage_read(members_get(&inner, "usage", &type), s->surface, &s->usage);
        word_keep(s->stop_reason, members_word(&inner, "status"));
        if (failed) {
            /* Its error alone: the response around it can echo a request of any size. */
            *error = members_get(&inner, "error", &type);
            if (type == JSON_OBJECT)
                return LLM_ERROR;
        }
    }
    if (!failed)
        return LLM_FINISH | LLM_END;
    *error = m->text;
    return LLM_ERROR;
}

static unsigned read_item(const struct members *m, bool done)
{
    enum json_type type;
    struct slice item = members_get(m, "item", &type), kind;
    struct members inner;

    if (type != JSON_OBJECT || !members_read(&inner, item, &type))
        return 0;
    kind = members_word(&inner, "type");
    if (is(kind, "message"))
        return members_filled(&inner, "content") ? LLM_CONTENT : 0;
    if (is(kind, "reasoning")) /* begun it is empty: models think for minutes behind it, and may fail there */
        return done || members_filled(&inner, "summary") || members_filled(&inner, "content") ? LLM_CONTENT : 0;
    return kind.n > 0 ? LLM_CONTENT : 0; /* some tool call */
}

static unsigned read_part(const struct members *m)
{
    enum json_type type;
    struct slice part = members_get(m, "part", &type);
    struct members inner;

    if (type != JSON_OBJECT || !members_read(&inner, part, &type))
        return 0;
    return members_filled(&inner, "text") || members_filled(&inner, "refusal") ? LLM_CONTENT : 0;
}

static unsigned read_responses(struct llm_stream *s, const struct members *m, struct slice type_word,
                               struct slice *error)
{
    static const char *const parts[] = {"delta", "text", "refusal", "arguments", "input", "code", "partial_image_b64",
                                        "annotation"};

    if (is(type_word, "response.completed") || is(type_word, "response.incomplete") || is(type_word, "response.done"))
        return read_response(s, m, false, error);
    if (is(type_word, "response.failed"))
        return read_response(s, m, true, error);
    if (is(type_word, "response.output_item.added"))
        return read_item(m, false);
    if (is(type_word, "response.output_item.done"))
        return read_item(m, true);
    if (is(type_word, "response.content_part.added") || is(type_word, "response.content_part.done") ||
        starts(type_word, "response.reasoning_summary_part."))
        return read_part(m);
    if (!starts(type_word, "response."))
        return 0;
    /* Deltas of text, reasoning, refusals, arguments, audio, images, code, and kinds still to come: by what they carry. */
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (members_filled(m, parts[i]))
            return LLM_CONTENT;
    return 0;
}

/* ---- images and speech ---- */

static unsigned read_media(struct llm_stream *s, const struct members *m, struct slice type_word)
{
    enum json_type type;
    unsigned signs = members_filled(m, "b64_json") || members_filled(m, "audio") ? LLM_CONTENT : 0;

    (void)usage_read(members_get(m, "usage", &type), s->surface, &s->usage);
    /* The same words as in peek.c: what is an end before commit is one after it. */
    if (is(type_word, "image_generation.completed") || is(type_word, "image_edit.completed") || is(type_word, "speech.audio.done"))
        signs |= LLM_FINISH | LLM_END;
    return signs;
}

/* ---- All surfaces. ---- */

/* Errors in every disguise but the surface's own (response.failed, finish_reason "error"). */
static bool is_error(const struct members *m, struct slice type_word, struct slice event)
{
    struct members inner;
    enum json_type type;
    struct slice groq;

    if (members_filled(m, "error") || is(type_word, "error") || is(event, "error") ||
        is(members_word(m, "object"), "error"))
        return true;
    groq = members_get(m, "x_groq", &type); /* "an error string indicating why a stream was stopped early" */
    return type == JSON_OBJECT && members_read(&inner, groq, &type) && members_filled(&inner, "error");
}

static unsigned read_object(struct llm_stream *s, const struct members *m, struct slice event, struct arena *scratch,
                            struct slice *error)
{
    struct slice type_word = members_word(m, "type");
    enum json_type type;
    uint64_t sequence;

    if (is_error(m, type_word, event)) {
        *error = m->text;
        return LLM_ERROR;
    }
    if (type_word.n == 0)
        type_word = event;
    if (slice_u64(members_get(m, "sequence_number", &type), &sequence) && sequence <= UINT32_MAX)
        s->sequence = (uint32_t)sequence;
    switch (s->surface) {
    case SURFACE_CHAT:
    case SURFACE_COMPLETIONS:
        return read_chat(s, m, scratch, error);
    case SURFACE_MESSAGES:
        return read_messages(s, m, type_word, scratch);
    case SURFACE_RESPONSES:
        return read_responses(s, m, type_word, error);
    case SURFACE_IMAGES:
    case SURFACE_SPEECH:
        return read_media(s, m, type_word);
    case SURFACE_COUNT_TOKENS:
    case SURFACE_EMBEDDINGS:
    case SURFACE_MODERATIONS:
    case SURFACE_COUNT:
        break;
    }
    return LLM_CONTENT; /* these do not stream; should one, its data is the answer */
}

/* [{"error":{...}}]: Google's endpoint wraps an error so, also in a stream. */
static bool array_of_error(struct slice data, struct arena *scratch)
{
    struct json_doc d;

    return json_parse(&d, data, scratch) && json_filled(&d, json_path(&d, 0, "0.error"));
}

static unsigned read_event(struct llm_stream *s, struct slice raw, struct arena *scratch, struct slice *error)
{
    struct sse_event e;
    struct members m;
    enum json_type top;
    struct slice data;
    unsigned signs;

    if (!sse_event_read(raw, !s->begun, scratch, &e))
        return LLM_NOTHING; /* our memory, not its fault: it is relayed as it came */
    s->begun = true;
    data = slice_trim(e.data);
    if (e.error.n > 0) {
        *error = e.error;
        return LLM_ERROR;
    }
    if (data.n == 0) {
        *error = data;
        return is(e.event, "error") ? LLM_ERROR : LLM_NOTHING; /* anthropic-python raises without data, too */
    }
    s->events++;
    if (slice_starts(data, SLICE("[DONE]")))
        return LLM_END;
    if (!members_read(&m, data, &top)) {
        *error = data;
        return is(e.event, "error") ? LLM_ERROR : LLM_BROKEN;
    }
    if (top == JSON_OBJECT) {
        signs = read_object(s, &m, e.event, scratch, error);
    } else {
        *error = data;
        signs = is(e.event, "error") || (top == JSON_ARRAY && array_of_error(data, scratch)) ? LLM_ERROR : 0;
    }
    if (signs & LLM_CONTENT)
        count_content(s, raw.n);
    return signs ? signs : LLM_NOTHING;
}

/* Books an event that was only searched. */
static inline unsigned searched(struct llm_stream *s, const struct peek *peek, size_t n)
{
    if (!peek->data)
        return LLM_NOTHING;
    s->events++;
    if (peek->sequenced)
        s->sequence = peek->sequence;
    if (peek->ping)
        return LLM_NOTHING;
    count_content(s, n);
    s->seen |= LLM_CONTENT;
    return LLM_CONTENT;
}

bool llm_stream_alone(struct llm_stream *s, struct slice text)
{
    struct peek peek;

    /* Behind a finish reason few events come, and what they hold is looked at more closely. */
    if (!s->begun || (s->seen & LLM_FINISH) || !peek_alone(s->surface, text, &peek))
        return false;
    (void)searched(s, &peek, text.n);
    return true;
}

unsigned llm_stream_event(struct llm_stream *s, struct slice raw, bool committed, struct arena *scratch, struct slice *error)
{
    struct peek peek;
    unsigned signs;

    *error = slice_make(NULL, 0);
    if (committed && s->begun && !peek_event(s->surface, raw, &peek))
        return searched(s, &peek, raw.n);
    signs = read_event(s, raw, scratch, error);
    if (!(signs & LLM_ERROR))
        *error = slice_make(NULL, 0);
    s->seen |= signs;
    return signs;
}

bool llm_stream_may_end(const struct llm_stream *s)
{
    switch (s->surface) {
    case SURFACE_CHAT:
    case SURFACE_COMPLETIONS:
    case SURFACE_RESPONSES:
    case SURFACE_MESSAGES:
        return (s->seen & (LLM_FINISH | LLM_END)) != 0;
    case SURFACE_COUNT_TOKENS:
    case SURFACE_EMBEDDINGS:
    case SURFACE_MODERATIONS:
    case SURFACE_IMAGES: /* its last event is an image, larger than any event that is kept to be read */
    case SURFACE_SPEECH:
    case SURFACE_COUNT:
        break;
    }
    return true;
}
