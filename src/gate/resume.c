/* Going on with a broken stream. `said` is at every moment exactly the text that the client has. */
#include "gate/resume.h"

#include "base/limits.h"
#include "gate/held.h"
#include "gate/relay.h"

/* ---- Which requests ---- */

/* What may stand in a request whose answer is continued: all that shapes plain text and means the same for an answer in two parts. A member that
 * is not here (tools, response_format, logprobs, reasoning, ...) or unknown forbids it, unless it is null. */
static const struct slice harmless[] = {
    SLICE("model"), SLICE("models"), SLICE("messages"), SLICE("stream"), SLICE("stream_options"), SLICE("max_tokens"),
    SLICE("max_completion_tokens"), SLICE("temperature"), SLICE("top_p"), SLICE("top_k"), SLICE("min_p"), SLICE("frequency_penalty"),
    SLICE("presence_penalty"), SLICE("seed"), SLICE("user"), SLICE("metadata"), SLICE("system"), SLICE("store"), SLICE("service_tier"),
    SLICE("safety_identifier"), SLICE("prompt_cache_key"), SLICE("n"),
};

static bool is_harmless(struct slice key)
{
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (slice_eq(harmless[i], key))
            return true;
    return false;
}

/* The messages end with one that is not the assistant's own: what the client began itself is not told apart later. */
static bool messages_fit(struct slice messages)
{
    struct arena scratch;
    struct json_doc d;
    int last = -1;

    gate_scratch(&scratch);
    if (!json_parse(&d, messages, &scratch))
        return false;
    for (int m = json_first(&d, 0); m >= 0; m = json_next(&d, m))
        last = m;
    return last >= 0 && json_type_of(&d, last) == JSON_OBJECT && json_str_is(&d, json_get(&d, last, "role"), "user");
}

/* *insert_at: where a further message goes. */
static bool request_fits(const struct xchg *x, size_t *insert_at)
{
    *insert_at = 0;
    for (uint32_t i = 0; i < x->nmembers; i++) {
        const struct json_member *m = &x->member[i];
        struct slice key = slice_make(x->text.p + m->key_off, m->key_len), value = slice_make(x->text.p + m->val_off, m->val_len);

        if (m->type == JSON_NULL)
            continue;
        if (!is_harmless(key) || (slice_eq(key, SLICE("n")) && !slice_eq(value, SLICE("1"))))
            return false;
        if (!slice_eq(key, SLICE("messages")))
            continue;
        if (*insert_at || m->type != JSON_ARRAY || !messages_fit(value))
            return false; /* also when it occurs twice */
        *insert_at = m->val_off + m->val_len - 1;
    }
    return *insert_at > 0;
}

/* ---- Keeping the text ---- */

void resume_give_up(struct xchg *x)
{
    if (!x->resume)
        return;
    block_drop(&x->resume->said);
    block_drop(&x->resume->ask);
    x->resume->stream.odd = true;
    if (!x->resume->nparts)
        x->resume = NULL;
    if (x->winner)
        block_drop(&x->text);
}

static bool keep(struct resume *r, struct slice text)
{
    return r->said.len + text.n <= RESUME_TEXT_MAX && (!text.n || block_add(&r->said, text.p, text.n));
}

void resume_note(struct xchg *x, struct slice raw, bool first)
{
    struct resume *r = x->resume;
    struct arena scratch;
    struct slice piece;

    if (r->stream.odd)
        return;
    gate_scratch_more(&scratch);
    text_read(&r->stream, raw, first, &scratch, &piece);
    if (r->stream.odd || !keep(r, piece))
        resume_give_up(x);
}

void resume_begin(struct xchg *x, struct upstream *up)
{
    struct slice body = slice_first(held_body(up), up->scanned);
    struct sse_scan scan;
    struct resume *r;
    size_t insert_at;
    bool first = true;

    if (!x->key->config || !x->key->config->continue_streams || !up->streaming || x->failover_off ||
        (x->surface != SURFACE_CHAT && x->surface != SURFACE_MESSAGES) || !request_fits(x, &insert_at))
        return;
    r = arena_take(&x->arena, sizeof *r);
    if (!r)
        return;
    memset(r, 0, sizeof *r);
    text_stream_init(&r->stream, x->surface);
    r->insert_at = insert_at;
    x->resume = r;
    sse_scan_init(&scan);
    while (body.n && x->resume) {
        size_t n = sse_scan_event(&scan, body.p, body.n);

        if (!n)
            break;
        resume_note(x, slice_first(body, n), first);
        body = slice_from(body, n);
        first = false;
    }
}

/* ---- The break ---- */

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool resume_break(struct xchg *x, const char *code, const char *message)
{
    struct resume *r = x->resume;
    struct resume_part *part;

    if (!r || r->stream.odd || r->stream.finish[0] || r->nparts == RESUME_PARTS_MAX || x->attempts.single)
        return false;
    part = &r->part[r->nparts++];
    part->record = x->committed;
    r->code = code;
    r->message = message;
    relay_set_aside(x);
    part->usage = x->usage;
    part->streamed = x->streamed;
    x->usage = (struct llm_usage){0};
    memset(&x->streamed, 0, sizeof x->streamed);
    x->stop_reason[0] = '\0';
    r->asked = r->said.len;
    while (r->asked && is_white(r->said.p[r->asked - 1]))
        r->asked--;
    attempts_reopen(&x->attempts);
    x->heartbeat_sent = true;        /* 200 and the head are out */
    x->total_due_ms = 0;             /* a wait of its own */
    x->hedge_due_ms = INT64_MAX;
    x->heartbeat_due_ms = 0;
    xchg_enter(x, XCHG_ATTEMPT);
    return true;
}

/* ---- Asking on ---- */

bool resume_accepts(struct xchg *x, const struct attempt *a)
{
    struct resume *r = x->resume;
    const struct provider *p = a->key->provider;
    struct slice text = slice_make(r->said.p, r->asked);
    size_t room = text_prefix_room(text);

    r->style = x->surface == SURFACE_MESSAGES ? TEXT_PREFIX_TRAILING : p->prefix;
    block_drop(&r->ask);
    if (!r->asked)
        return true; /* nothing but white space was said: it is asked as at first */
    if (r->style == TEXT_PREFIX_NO || !block_room(&r->ask, room))
        return false;
    r->ask.len = text_prefix_write(r->style, text, r->ask.p, r->ask.cap);
    return r->ask.len > 0;
}

void resume_commit(struct xchg *x, struct upstream *up)
{
    struct resume *r = x->resume;

    /* What was held is read once more, as a continuation. */
    sse_scan_init(&up->scan);
    llm_stream_init(&up->llm, up->llm.surface, up->llm.dialect);
    up->scanned = up->scan_at = up->event_at = 0;
    text_stream_init(&r->next, x->surface);
    r->owed = r->asked;
    r->owed_end = r->said.len;
    r->same = 0;
    r->checking = r->asked > 0;
}

/* ---- Writing on ---- */

static char pen[TEXT_EVENT_MAX];

/* Text for the client, in events of bounded length that end at a character's border. */
static enum resume_step say(struct xchg *x, struct slice text)
{
    struct resume *r = x->resume;

    while (text.n) {
        size_t n = text.n < TEXT_PIECE_MAX ? text.n : TEXT_PIECE_MAX;

        while (n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
            n--;
        if (!keep(r, slice_first(text, n)))
            return RESUME_BROKEN;
        if (!relay_body(x, slice_make(pen, text_write(&r->stream, slice_first(text, n), pen, sizeof pen)), false))
            return RESUME_GONE;
        text = slice_from(text, n);
    }
    return RESUME_MORE;
}

/* What it adds, without what the client has of it: white space that was not sent along. */
static enum resume_step add(struct xchg *x, struct slice text)
{
    struct resume *r = x->resume;

    while (text.n && r->owed < r->owed_end) {
        if (text.p[0] != r->said.p[r->owed]) {
            r->owed = r->owed_end;
            break;
        }
        r->owed++;
        text = slice_from(text, 1);
    }
    return say(x, text);
}

/* What was held back because the answer begins likewise. */
static enum resume_step release(struct xchg *x)
{
    struct resume *r = x->resume;
    char text[RESUME_AGAIN_MIN];

    r->checking = false;
    memcpy(text, r->said.p, r->same); /* said may move */
    return add(x, slice_make(text, r->same));
}

static enum resume_step piece_came(struct xchg *x, struct slice text)
{
    struct resume *r = x->resume;
    enum resume_step step;
    size_t i = 0;

    if (r->checking) {
        for (; i < text.n && r->same < r->asked && text.p[i] == r->said.p[r->same]; i++)
            if (++r->same == RESUME_AGAIN_MIN || (r->same == r->asked && r->asked >= RESUME_AGAIN_ALL))
                return RESUME_BROKEN;
        if (i == text.n && r->same < r->asked)
            return RESUME_MORE;
        while (i && r->same < r->asked && ((unsigned char)r->said.p[r->same] & 0xC0) == 0x80) { /* back to a character's border */
            i--;
            r->same--;
        }
        if ((step = release(x)) != RESUME_MORE)
            return step;
    }
    return add(x, slice_from(text, i));
}

static uint64_t output_of(const struct llm_usage *u, uint32_t events)
{
    return u->seen && u->output > events ? u->output : events;
}

uint64_t resume_spent(const struct xchg *x)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < x->resume->nparts; i++)
        n += output_of(&x->resume->part[i].usage, x->resume->part[i].streamed.events);
    return n;
}

static enum resume_step end(struct xchg *x)
{
    struct resume *r = x->resume;
    const struct llm_stream *llm = &x->winner->llm;
    struct llm_usage all = llm->usage;
    bool asked = x->usage_options.n == 0 && x->at[REQUEST_STREAM_OPTIONS] >= 0; /* the client itself */
    enum resume_step step = r->checking ? release(x) : RESUME_MORE;

    if (step != RESUME_MORE)
        return step;
    memcpy(r->stream.finish, r->next.finish, sizeof r->stream.finish);
    all.output = output_of(&llm->usage, llm->content_events) + resume_spent(x);
    if (!relay_body(x, slice_make(pen, text_write_end(&r->stream, asked || x->surface == SURFACE_MESSAGES ? &all : NULL, pen, sizeof pen)), false))
        return RESUME_GONE;
    return RESUME_END;
}

static enum resume_step event_came(struct xchg *x, struct slice raw, bool first)
{
    struct upstream *up = x->winner;
    struct resume *r = x->resume;
    struct arena scratch, text;
    struct slice error, piece;
    enum resume_step step;
    unsigned sign;

    gate_scratch(&scratch);
    sign = llm_stream_event(&up->llm, raw, false, &scratch, &error);
    if (sign & (LLM_ERROR | LLM_BROKEN))
        return RESUME_BROKEN;
    gate_scratch_more(&text);
    text_read(&r->next, raw, first, &text, &piece);
    if (r->next.odd || (step = piece_came(x, piece)) == RESUME_BROKEN)
        return RESUME_BROKEN;
    if (step != RESUME_MORE)
        return step;
    if (!(sign & LLM_END))
        return RESUME_MORE;
    return r->next.finish[0] ? end(x) : RESUME_BROKEN;
}

enum resume_step resume_flow(struct xchg *x, const char **code, const char **message)
{
    struct upstream *up = x->winner;
    struct slice body = held_body(up);
    enum resume_step step = RESUME_MORE;

    *code = "upstream_error";
    *message = "The answer could not be continued.";
    while (step == RESUME_MORE && up->scan_at < body.n) {
        size_t n = sse_scan_event(&up->scan, body.p + up->scan_at, body.n - up->scan_at);

        if (!n) {
            up->scan_at = body.n;
            break;
        }
        up->scan_at += n;
        step = event_came(x, slice_make(body.p + up->scanned, up->scan_at - up->scanned), up->llm.events == 0);
        up->scanned = up->scan_at;
    }
    if (step == RESUME_MORE && up->body_done) {
        if (x->resume->next.finish[0])
            return end(x);
        *code = "stream_truncated";
        *message = "The provider's stream ended before the answer was complete.";
        return RESUME_BROKEN;
    }
    if (step == RESUME_MORE && body.n - up->scanned >= EVENT_TAIL_MAX)
        return RESUME_BROKEN;
    if (step == RESUME_MORE || step == RESUME_END)
        held_consume(up, up->scanned);
    return step;
}

const struct resume_part *resume_part_of(const struct xchg *x, uint32_t record)
{
    for (uint32_t i = 0; x->resume && i < x->resume->nparts; i++)
        if (x->resume->part[i].record == record + 1)
            return &x->resume->part[i];
    return NULL;
}
