/* Text in, text out. What is not plain text makes the stream odd: better an honest end than an answer put together wrongly. */
#include "llm/text.h"

#include "http/sse.h"
#include "json/out.h"
#include "json/scan.h"

void text_stream_init(struct text_stream *t, enum surface surface)
{
    *t = (struct text_stream){.surface = surface};
}

/* Keeps a string's inside as it stands. One that does not fit makes the stream odd. */
static void keep_word(struct text_stream *t, char out[TEXT_WORD_MAX], const struct json_doc *d, int tok)
{
    struct slice raw = json_raw(d, tok);

    if (json_type_of(d, tok) != JSON_STRING || !raw.n)
        return;
    if (raw.n >= TEXT_WORD_MAX) {
        t->odd = true;
        return;
    }
    memcpy(out, raw.p, raw.n);
    out[raw.n] = '\0';
}

static void take_text(struct text_stream *t, const struct json_doc *d, int tok, struct arena *a, struct slice *piece)
{
    if (json_type_of(d, tok) == JSON_NULL)
        return;
    if (json_type_of(d, tok) != JSON_STRING || !json_str(d, tok, a, piece))
        t->odd = true;
}

static void read_delta(struct text_stream *t, const struct json_doc *d, int delta, struct arena *a, struct slice *piece)
{
    for (int k = json_first(d, delta); k >= 0; k = json_next(d, k)) {
        if (json_str_is(d, k, "content"))
            take_text(t, d, json_value(d, k), a, piece);
        else if (!json_str_is(d, k, "role") && json_filled(d, json_value(d, k)))
            t->odd = true; /* reasoning, a tool call, a refusal, audio, ... */
    }
}

static void read_chat(struct text_stream *t, const struct json_doc *d, struct arena *a, struct slice *piece)
{
    int choices = json_get(d, 0, "choices"), choice = json_first(d, choices);
    int64_t index = 0;

    if (!t->id[0])
        keep_word(t, t->id, d, json_get(d, 0, "id"));
    if (!t->model[0])
        keep_word(t, t->model, d, json_get(d, 0, "model"));
    if (!t->created)
        (void)json_u64(d, json_get(d, 0, "created"), &t->created);
    if (json_type_of(d, choices) != JSON_ARRAY || json_size(d, choices) == 0)
        return; /* usage */
    (void)json_i64(d, json_get(d, choice, "index"), &index);
    if (json_size(d, choices) > 1 || index != 0 || json_type_of(d, json_get(d, choice, "delta")) != JSON_OBJECT ||
        json_filled(d, json_get(d, choice, "logprobs"))) {
        t->odd = true;
        return;
    }
    read_delta(t, d, json_get(d, choice, "delta"), a, piece);
    keep_word(t, t->finish, d, json_get(d, choice, "finish_reason"));
}

static void read_messages(struct text_stream *t, const struct json_doc *d, struct arena *a, struct slice *piece)
{
    int type = json_get(d, 0, "type"), part;
    int64_t index = 0;

    if (json_str_is(d, type, "content_block_start")) {
        part = json_get(d, 0, "content_block");
        t->odd |= t->open || !json_str_is(d, json_get(d, part, "type"), "text") || !json_i64(d, json_get(d, 0, "index"), &index) ||
                  index != (int64_t)t->index || json_filled(d, json_get(d, part, "citations"));
        t->open = true;
        take_text(t, d, json_get(d, part, "text"), a, piece);
    } else if (json_str_is(d, type, "content_block_delta")) {
        part = json_get(d, 0, "delta");
        t->odd |= !t->open || !json_str_is(d, json_get(d, part, "type"), "text_delta");
        if (!t->odd)
            take_text(t, d, json_get(d, part, "text"), a, piece);
    } else if (json_str_is(d, type, "content_block_stop")) {
        t->index += t->open;
        t->open = false;
    } else if (json_str_is(d, type, "message_delta")) {
        part = json_get(d, 0, "delta");
        keep_word(t, t->finish, d, json_get(d, part, "stop_reason"));
        t->odd |= json_filled(d, json_get(d, part, "stop_sequence")); /* it would have to be told, and is rare */
    }
}

void text_read(struct text_stream *t, struct slice raw, bool first, struct arena *scratch, struct slice *piece)
{
    struct sse_event e;
    struct json_doc d;
    struct slice data;

    *piece = slice_make(NULL, 0);
    if (!sse_event_read(raw, first, scratch, &e)) {
        t->odd = true;
        return;
    }
    data = slice_trim(e.data);
    if (!data.n || slice_starts(data, SLICE("[DONE]")))
        return;
    if (!json_parse(&d, data, scratch) || json_type_of(&d, 0) != JSON_OBJECT)
        t->odd = true;
    else if (t->surface == SURFACE_CHAT)
        read_chat(t, &d, scratch, piece);
    else if (t->surface == SURFACE_MESSAGES)
        read_messages(t, &d, scratch, piece);
    else
        t->odd = true;
}

/* ---- Writing ---- */

struct text_out {
    char *p;
    size_t n, cap;
};

static void put(struct text_out *o, struct slice s)
{
    must(s.n <= o->cap - o->n);
    memcpy(o->p + o->n, s.p, s.n);
    o->n += s.n;
}

static struct json_out json_begin(struct text_out *o, const char *event)
{
    struct json_out j;

    if (event) {
        put(o, SLICE("event: "));
        put(o, slice_str(event));
        put(o, SLICE("\n"));
    }
    put(o, SLICE("data: "));
    json_out_init(&j, o->p + o->n, o->cap - o->n);
    json_open(&j, '{');
    if (event) {
        json_key(&j, "type");
        json_out_str(&j, slice_str(event));
    }
    return j;
}

static void json_end(struct text_out *o, struct json_out *j)
{
    json_close(j, '}');
    must(!j->full);
    o->n += j->n;
    put(o, SLICE("\n\n"));
}

static void out_inside(struct json_out *j, const char *inside)
{
    char quoted[TEXT_WORD_MAX + 2];
    size_t n = strlen(inside);

    quoted[0] = '"';
    memcpy(quoted + 1, inside, n);
    quoted[n + 1] = '"';
    json_out_raw(j, slice_make(quoted, n + 2));
}

static struct json_out chunk_begin(const struct text_stream *t, struct text_out *o)
{
    struct json_out j = json_begin(o, NULL);

    json_key(&j, "id");
    out_inside(&j, t->id);
    json_key(&j, "object");
    json_out_str(&j, SLICE("chat.completion.chunk"));
    json_key(&j, "created");
    json_out_u64(&j, t->created);
    json_key(&j, "model");
    out_inside(&j, t->model);
    json_key(&j, "choices");
    json_open(&j, '[');
    return j;
}

/* A choice with this text, or with the finish reason when text.p is NULL. */
static void out_choice(const struct text_stream *t, struct text_out *o, struct slice text)
{
    struct json_out j = chunk_begin(t, o);

    json_open(&j, '{');
    json_key(&j, "index");
    json_out_u64(&j, 0);
    json_key(&j, "delta");
    json_open(&j, '{');
    if (text.p) {
        json_key(&j, "content");
        json_out_str(&j, text);
    }
    json_close(&j, '}');
    json_key(&j, "finish_reason");
    if (text.p)
        json_out_null(&j);
    else
        out_inside(&j, t->finish);
    json_close(&j, '}');
    json_close(&j, ']');
    json_end(o, &j);
}

static void out_u64(struct json_out *j, const char *name, uint64_t v)
{
    json_key(j, name);
    json_out_u64(j, v);
}

static struct json_out block_begin(const struct text_stream *t, struct text_out *o, const char *event)
{
    struct json_out j = json_begin(o, event);

    out_u64(&j, "index", t->index);
    return j;
}

/* {"type":type,"text":text} */
static void out_text(struct json_out *j, const char *name, const char *type, struct slice text)
{
    json_key(j, name);
    json_open(j, '{');
    json_key(j, "type");
    json_out_str(j, slice_str(type));
    json_key(j, "text");
    json_out_str(j, text);
    json_close(j, '}');
}

size_t text_write(struct text_stream *t, struct slice text, char *out, size_t cap)
{
    struct text_out o = {.p = out, .cap = cap};
    struct json_out j;

    must(text.n <= TEXT_PIECE_MAX && cap >= TEXT_EVENT_MAX);
    if (t->surface == SURFACE_CHAT) {
        out_choice(t, &o, text);
        return o.n;
    }
    if (!t->open) {
        j = block_begin(t, &o, "content_block_start");
        out_text(&j, "content_block", "text", SLICE(""));
        json_end(&o, &j);
        t->open = true;
    }
    j = block_begin(t, &o, "content_block_delta");
    out_text(&j, "delta", "text_delta", text);
    json_end(&o, &j);
    return o.n;
}

static void end_chat(const struct text_stream *t, const struct llm_usage *u, struct text_out *o)
{
    struct json_out j;

    out_choice(t, o, slice_make(NULL, 0));
    if (u) {
        j = chunk_begin(t, o);
        json_close(&j, ']');
        json_key(&j, "usage");
        json_open(&j, '{');
        out_u64(&j, "prompt_tokens", u->input);
        out_u64(&j, "completion_tokens", u->output);
        out_u64(&j, "total_tokens", u->input + u->output);
        json_close(&j, '}');
        json_end(o, &j);
    }
    put(o, SLICE("data: [DONE]\n\n"));
}

static void end_messages(struct text_stream *t, const struct llm_usage *u, struct text_out *o)
{
    struct json_out j;

    if (t->open) {
        j = block_begin(t, o, "content_block_stop");
        json_end(o, &j);
        t->open = false;
    }
    j = json_begin(o, "message_delta");
    json_key(&j, "delta");
    json_open(&j, '{');
    json_key(&j, "stop_reason");
    out_inside(&j, t->finish);
    json_key(&j, "stop_sequence");
    json_out_null(&j);
    json_close(&j, '}');
    json_key(&j, "usage");
    json_open(&j, '{');
    out_u64(&j, "output_tokens", u ? u->output : 0);
    json_close(&j, '}');
    json_end(o, &j);
    j = json_begin(o, "message_stop");
    json_end(o, &j);
}

size_t text_write_end(struct text_stream *t, const struct llm_usage *usage, char *out, size_t cap)
{
    struct text_out o = {.p = out, .cap = cap};

    must(cap >= TEXT_EVENT_MAX);
    if (t->surface == SURFACE_CHAT)
        end_chat(t, usage, &o);
    else
        end_messages(t, usage, &o);
    return o.n;
}

/* ---- The beginning of an answer, for whoever goes on with it ---- */

enum text_prefix text_prefix_of(struct slice provider_id)
{
    /* From the providers' own documentation. Of the others some go on, some answer anew and some refuse, which depends on the model. */
    static const struct {
        struct slice id;
        enum text_prefix prefix;
    } known[] = {
        {SLICE("anthropic"), TEXT_PREFIX_TRAILING},
        {SLICE("openrouter"), TEXT_PREFIX_TRAILING},
        {SLICE("groq"), TEXT_PREFIX_TRAILING},
        {SLICE("moonshotai"), TEXT_PREFIX_PARTIAL},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_eq(known[i].id, provider_id))
            return known[i].prefix;
    return TEXT_PREFIX_NO;
}

bool text_prefix_by_name(struct slice name, enum text_prefix *out)
{
    static const struct slice names[] = {
#define X(id, text) [TEXT_PREFIX_##id] = SLICE(text),
        TEXT_PREFIXES(X)
#undef X
    };

    for (unsigned i = 0; i < TEXT_PREFIX_COUNT; i++) {
        if (slice_eq(names[i], name)) {
            *out = (enum text_prefix)i;
            return true;
        }
    }
    return false;
}

size_t text_prefix_room(struct slice text)
{
    size_t n = 128;

    for (size_t i = 0; i < text.n; i++)
        n += (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7F ? 6 : text.p[i] == '"' || text.p[i] == '\\' ? 2 : 1;
    return n;
}

size_t text_prefix_write(enum text_prefix style, struct slice text, char *out, size_t cap)
{
    struct json_out j;

    out[0] = ',';
    json_out_init(&j, out + 1, cap - 1);
    json_open(&j, '{');
    json_key(&j, "role");
    json_out_str(&j, SLICE("assistant"));
    json_key(&j, "content");
    json_out_str(&j, text);
    if (style == TEXT_PREFIX_PREFIX || style == TEXT_PREFIX_PARTIAL) {
        json_key(&j, style == TEXT_PREFIX_PREFIX ? "prefix" : "partial");
        json_out_bool(&j, true);
    }
    json_close(&j, '}');
    return j.full ? 0 : j.n + 1;
}
