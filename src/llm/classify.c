/* From a provider's answer to a verdict: a tolerant reader collects the words of about 20 error shapes (codes, texts,
 * a status), then the first matching row of llm/classify_table.c decides. No fact about a provider is in this file,
 * only shapes: `error` an object, a string or nested in itself; no wrapper; `detail` or `errors`; an array around it
 * all; a JSON string; plain text; HTML; nothing. */
#include "llm/classify.h"

#include "base/limits.h"
#include "json/scan.h"
#include "llm/classify_table.h"
#include "llm/members.h"

enum { WORDS_MAX = 16, TEXTS_MAX = 4, READ_DEPTH_MAX = 5, TEXT_SEARCH_MAX = 8192, TEXT_LOG_MAX = 512 };

struct reading {
    struct arena *scratch;
    struct slice word[WORDS_MAX]; /* codes, types and reasons, the innermost first */
    unsigned words;
    struct slice text[TEXTS_MAX]; /* messages, the innermost first */
    unsigned texts;
    unsigned status; /* 400..599 that the body names, 0 when none */
};

static void add_word(struct reading *r, struct slice word)
{
    uint64_t number;

    if (slice_u64(word, &number)) {
        if (r->status == 0 && number >= 400 && number <= 599)
            r->status = (unsigned)number;
        return; /* "429" and Mistral's "3051" are no words */
    }
    /* `type: "error"` and `object: "error"` wrap the real type. */
    if (word.n > 0 && !slice_eq(word, SLICE("error")) && r->words < WORDS_MAX)
        r->word[r->words++] = word;
}

static void add_text(struct reading *r, struct slice text)
{
    text = slice_trim(text);
    if (text.n > 0 && r->texts < TEXTS_MAX)
        r->text[r->texts++] = text;
}

static void read_words(struct reading *r, const struct json_doc *d, int object)
{
    static const char *const name[] = {"code", "type", "status", "error_type", "error_code", "reason", "status_code",
                                       "statusCode", "raw_status_code", "innererror.code", "metadata.error_type"};
    struct slice word;

    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
        int tok = json_path(d, object, name[i]);

        if (json_str(d, tok, r->scratch, &word))
            add_word(r, word);
        else if (json_type_of(d, tok) == JSON_NUMBER)
            add_word(r, json_raw(d, tok));
    }
    /* OpenRouter: what its moderation objects to. Some of their 403 have no other mark. */
    if (json_path(d, object, "metadata.flagged_input") >= 0)
        add_word(r, SLICE("moderation"));
}

static void read_value(struct reading *r, const struct json_doc *d, int tok, unsigned depth);

static void read_object(struct reading *r, const struct json_doc *d, int object, unsigned depth)
{
    /* Inner things first: they are the provider's own words, the outer ones some proxy's. */
    static const char *const inside[] = {"error", "errors", "response"};
    static const char *const text[] = {"message", "Message", "msg", "detail", "details", "error_message",
                                       "error_description", "metadata.raw"};

    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
        read_value(r, d, json_get(d, object, inside[i]), depth);
    read_words(r, d, object);
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
        read_value(r, d, json_path(d, object, text[i]), depth);
}

static void read_value(struct reading *r, const struct json_doc *d, int tok, unsigned depth)
{
    struct slice text;
    unsigned left = 8; /* elements looked at: Google's details are three */

    if (tok < 0 || depth == READ_DEPTH_MAX)
        return;
    switch (json_type_of(d, tok)) {
    case JSON_STRING:
        if (json_str(d, tok, r->scratch, &text))
            add_text(r, text);
        break;
    case JSON_OBJECT:
        read_object(r, d, tok, depth + 1);
        break;
    case JSON_ARRAY:
        for (int e = json_first(d, tok); e >= 0 && left > 0; e = json_next(d, e), left--)
            read_value(r, d, e, depth + 1);
        break;
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
        break;
    }
}

/* Bedrock: "ResourceNotFoundException:http://internal.amazon.com/...", and nothing of it in the body. */
static void read_head(struct reading *r, const struct http_response *head)
{
    for (unsigned i = 0; head && i < head->nfields; i++) {
        const struct http_field *f = &head->field[i];
        ptrdiff_t colon;

        if (f->id != HTTP_OTHER || !slice_eq_nocase(f->name, SLICE("x-amzn-errortype")))
            continue;
        colon = slice_find_char(f->value, ':');
        add_word(r, colon < 0 ? f->value : slice_first(f->value, (size_t)colon));
    }
}

static void read_body(struct reading *r, struct slice body)
{
    struct json_doc d;

    body = slice_trim(body);
    if (json_parse(&d, body, r->scratch))
        read_value(r, &d, 0, 0);
    else
        add_text(r, body); /* plain text, HTML, or JSON cut short */
}

/* Whether the pieces of pattern between its '*' occur in this order. */
static bool text_has(struct slice text, const char *pattern)
{
    struct slice rest = slice_str(pattern);

    text = slice_first(text, TEXT_SEARCH_MAX);
    for (;;) {
        ptrdiff_t star = slice_find_char(rest, '*');
        struct slice piece = star < 0 ? rest : slice_first(rest, (size_t)star);
        ptrdiff_t at = slice_find_nocase(text, piece);

        if (at < 0)
            return false;
        if (star < 0)
            return true;
        text = slice_from(text, (size_t)at + piece.n);
        rest = slice_from(rest, (size_t)star + 1);
    }
}

static bool rule_matches(const struct class_rule *c, const struct reading *r, enum dialect dialect, unsigned status,
                         struct slice *code)
{
    if (!(c->dialects & 1u << dialect) || status < c->min || status > c->max)
        return false;
    switch ((enum class_where)c->where) {
    case CLASS_STATUS:
        return true;
    case CLASS_CODE:
        for (unsigned i = 0; i < r->words; i++)
            if (slice_eq_nocase(r->word[i], slice_str(c->word))) {
                *code = r->word[i];
                return true;
            }
        return false;
    case CLASS_TEXT:
        for (unsigned i = 0; i < r->texts; i++)
            if (text_has(r->text[i], c->word))
                return true;
        return false;
    }
    return false;
}

static void judge(struct llm_verdict *v, const struct reading *r, enum dialect dialect, unsigned http_status)
{
    unsigned status = http_status ? http_status : r->status;
    const struct class_rule *c = class_rules, *last = class_rules + class_rules_count - 1;

    v->code = r->words ? r->word[0] : slice_make(NULL, 0);
    v->message = r->texts ? slice_first(r->text[0], TEXT_LOG_MAX) : slice_make(NULL, 0);
    while (c < last && !rule_matches(c, r, dialect, status, &v->code))
        c++;
    v->outcome = c->outcome;
    v->status = status ? status : c->amounts_to;
}

/* A wait means something only where waiting helps. */
static bool can_wait(enum outcome o)
{
    return o == OUTCOME_RATE_LIMIT || o == OUTCOME_QUOTA || o == OUTCOME_AUTH || o == OUTCOME_UPSTREAM_ERROR;
}

static void verdict_init(struct llm_verdict *v, enum outcome outcome, unsigned status)
{
    *v = (struct llm_verdict){.outcome = outcome, .status = status, .retry_after_ms = -1};
}

void llm_classify_event(struct llm_verdict *v, enum dialect dialect, enum surface surface,
                        const struct http_response *head, struct slice data, int64_t wall_s, struct arena *scratch)
{
    struct reading r = {.scratch = scratch};
    bool failed_head = head && head->status >= 400;

    (void)surface; /* no shape or word has been seen to mean different things on different surfaces */
    verdict_init(v, OUTCOME_UPSTREAM_ERROR, 502);
    read_body(&r, data);
    if (failed_head)
        read_head(&r, head);
    judge(v, &r, dialect, failed_head ? head->status : 0);
    /* The head of a 200 states limits of a request that was accepted: only the error's own words count. */
    if (can_wait(v->outcome))
        v->retry_after_ms = llm_retry_after_ms(failed_head ? head : NULL, data, wall_s, scratch);
}

/* ---- A plain answer with status 200. ---- */

static bool has_answer(const struct members *m)
{
    static const char *const name[] = {"choices", "output", "content", "data", "results", "input_tokens"};

    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
        if (members_filled(m, name[i]))
            return true;
    return false;
}

/* OpenRouter puts the error of a provider behind it into the choice, beside an empty message. */
static bool failed_choice(const struct members *m, struct arena *scratch, struct slice *error)
{
    enum json_type type;
    struct slice choices = members_get(m, "choices", &type), text;
    struct json_doc d;
    int at;

    if (type != JSON_ARRAY || slice_find(choices, SLICE("\"error\"")) < 0 || !json_parse(&d, choices, scratch))
        return false;
    at = json_path(&d, 0, "0.error");
    if (json_type_of(&d, at) != JSON_OBJECT && !json_str_is(&d, json_path(&d, 0, "0.finish_reason"), "error"))
        return false;
    if ((json_str(&d, json_path(&d, 0, "0.message.content"), scratch, &text) && text.n > 0) ||
        json_size(&d, json_path(&d, 0, "0.message.tool_calls")) > 0)
        return false;
    *error = json_type_of(&d, at) == JSON_OBJECT ? json_raw(&d, at) : slice_make(NULL, 0);
    return true;
}

/* Whether body is an error object and no answer; *error is then what to judge. */
static bool error_in_200(struct slice body, struct arena *scratch, struct slice *error)
{
    struct members m;
    struct json_doc d;
    enum json_type top;

    *error = body;
    /* Every shape of it has this word; most answers lack it, and a long body is an answer. */
    if (body.n > ERROR_BODY_MAX || slice_find(body, SLICE("\"error\"")) < 0 || !members_read(&m, body, &top))
        return false;
    if (top == JSON_ARRAY) /* Google's OpenAI-compatible endpoint */
        return json_parse(&d, body, scratch) && json_type_of(&d, json_path(&d, 0, "0.error")) == JSON_OBJECT;
    if (failed_choice(&m, scratch, error))
        return true;
    if (has_answer(&m))
        return false;
    return members_filled(&m, "error") || slice_eq(members_word(&m, "type"), SLICE("error")) ||
           slice_eq(members_word(&m, "object"), SLICE("error"));
}

static void classify_success(struct llm_verdict *v, enum dialect dialect, enum surface surface,
                             const struct http_response *head, struct slice body, int64_t wall_s, struct arena *scratch)
{
    struct slice error;

    verdict_init(v, OUTCOME_OK, head->status);
    body = slice_trim(body);
    /* Speech is bytes. Everywhere else a body that can't be JSON is no answer: empty, or the page of a proxy. Broken
     * JSON that began well is passed as it came (faults.md F-083). */
    if (surface != SURFACE_SPEECH && (body.n == 0 || (body.p[0] != '{' && body.p[0] != '['))) {
        verdict_init(v, OUTCOME_UPSTREAM_ERROR, 502);
        v->message = body.n == 0 ? SLICE("empty body") : SLICE("the body is not JSON");
        return;
    }
    if (body.n > 0 && (body.p[0] == '{' || body.p[0] == '[') && error_in_200(body, scratch, &error))
        llm_classify_event(v, dialect, surface, head, error, wall_s, scratch);
}

void llm_classify(struct llm_verdict *v, enum dialect dialect, enum surface surface, const struct http_response *head,
                  struct slice body, int64_t wall_s, struct arena *scratch)
{
    if (head->status >= 400)
        llm_classify_event(v, dialect, surface, head, body, wall_s, scratch);
    else if (head->status >= 200 && head->status < 300 && head->status != 204 && head->status != 205)
        classify_success(v, dialect, surface, head, body, wall_s, scratch);
    else /* 204, a redirect, 101: nothing a client of these surfaces can use (spec 5) */
        verdict_init(v, OUTCOME_UPSTREAM_ERROR, head->status);
}

enum dialect llm_dialect_of(struct slice provider_id, struct slice host)
{
    if (slice_eq(provider_id, SLICE("anthropic")) || slice_ends(host, SLICE("anthropic.com")))
        return DIALECT_ANTHROPIC;
    if (slice_starts(provider_id, SLICE("google")) || slice_eq(provider_id, SLICE("gemini")) ||
        slice_starts(provider_id, SLICE("vertex")) || slice_ends(host, SLICE("googleapis.com")))
        return DIALECT_GOOGLE;
    if (slice_starts(provider_id, SLICE("azure")) || slice_ends(host, SLICE(".azure.com")))
        return DIALECT_AZURE;
    return DIALECT_OPENAI;
}
