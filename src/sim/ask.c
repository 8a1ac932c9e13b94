/* Reading requests: the few members that matter, found by the same checker that weir uses on its own clients' bodies. */
#include "sim/ask.h"

#include <string.h>

#include "base/mem.h"
#include "json/out.h"
#include "json/scan.h"
#include "sim/act.h"

enum { SCRATCH_BYTES = 2097152, FILLER_WORDS = 2000, FILLER_BYTES = 20000 };

static struct {
    char *scratch; /* tokens and unescaped text of one body, used within ask_read only */
    char *filler;  /* the made-up text */
    size_t filler_n;
} memory;

bool ask_init(void)
{
    static const char *const words[] = {"the", "weir", "holds", "the", "level", "and", "lets", "the", "river", "pass",
                                        "over", "stone", "after", "stone", "until", "it", "reaches", "the", "sea."};
    memory.scratch = mem_table(1, SCRATCH_BYTES);
    memory.filler = mem_table(1, FILLER_BYTES);
    if (!memory.scratch || !memory.filler)
        return false;
    memory.filler_n = 0;
    for (unsigned i = 0; i < FILLER_WORDS; i++) {
        struct slice word = slice_str(words[i % (sizeof words / sizeof words[0])]);

        if (i)
            memory.filler[memory.filler_n++] = ' ';
        memcpy(memory.filler + memory.filler_n, word.p, word.n);
        memory.filler_n += word.n;
    }
    must(memory.filler_n <= FILLER_BYTES);
    return true;
}

/* ---- The head. ---- */

/* Copies what fits; the rest is nobody's. */
static size_t copy_max(char *out, size_t cap, struct slice s)
{
    size_t n = s.n < cap ? s.n : cap;

    if (n)
        memcpy(out, s.p, n);
    return n;
}

void ask_begin(struct ask *a, const struct http_request *r)
{
    struct slice key = http_request_get(r, HTTP_AUTHORIZATION), path = r->path;
    size_t longest = 0;

    memset(a, 0, sizeof *a);
    a->surface = SURFACE_COUNT;
    for (unsigned i = 0; i < SURFACE_COUNT; i++) {
        if (slice_ends(path, surface_table[i].path) && surface_table[i].path.n > longest) {
            a->surface = (enum surface)i;
            longest = surface_table[i].path.n;
        }
    }
    if (slice_starts_nocase(key, SLICE("bearer ")))
        key = slice_trim(slice_from(key, 7));
    else
        key = http_request_get(r, HTTP_X_API_KEY);
    if (!key.n)
        key = http_request_get(r, HTTP_API_KEY);
    if (slice_starts(key, SLICE("sim-")))
        a->credential_n = copy_max(a->credential, sizeof a->credential - 1, slice_from(key, 4));
}

struct slice ask_behaviour(const struct ask *a)
{
    struct slice id = slice_make(a->model, a->model_n);
    ptrdiff_t mark;

    if (slice_starts_nocase(id, SLICE("sim:")))
        id = slice_from(id, 4);
    mark = slice_find_char(id, '#');
    return mark < 0 ? id : slice_first(id, (size_t)mark);
}

/* ---- The body. ---- */

struct body {
    struct slice text;
    struct json_member member[JSON_MEMBERS_MAX];
    uint32_t members;
};

/* The JSON text of a top-level member; empty when absent. Keys with escapes are nobody's here. */
static struct slice member(const struct body *b, const char *name)
{
    struct slice want = slice_str(name);

    for (uint32_t i = 0; i < b->members; i++) {
        const struct json_member *m = &b->member[i];

        if ((uint64_t)m->val_off + m->val_len <= b->text.n && slice_eq(slice_make(b->text.p + m->key_off, m->key_len), want))
            return slice_make(b->text.p + m->val_off, m->val_len);
    }
    return slice_make(NULL, 0);
}

static struct slice string_value(struct slice json, struct arena *scratch)
{
    if (json.n < 2 || json.p[0] != '"')
        return slice_make(NULL, 0);
    char *out = arena_take_bytes(scratch, json.n);
    ptrdiff_t n = out ? json_unescape(slice_make(json.p + 1, json.n - 2), out, json.n) : -1;
    return n < 0 ? slice_make(NULL, 0) : slice_make(out, (size_t)n);
}

/* A message's content: a string, or the texts of its parts one after the other. */
static struct slice content_text(const struct json_doc *d, int content, struct arena *scratch)
{
    struct slice one, all = {NULL, 0};
    char *joined;

    if (json_str(d, content, scratch, &one))
        return one;
    if (content < 0 || json_type_of(d, content) != JSON_ARRAY)
        return all;
    joined = arena_take_bytes(scratch, json_raw(d, content).n);
    if (!joined)
        return all;
    for (int part = json_first(d, content); part >= 0; part = json_next(d, part)) {
        if (json_type_of(d, part) != JSON_OBJECT || !json_str(d, json_get(d, part, "text"), scratch, &one))
            continue;
        memcpy(joined + all.n, one.p, one.n); /* never longer than the JSON it stands in */
        all = slice_make(joined, all.n + one.n);
    }
    return all;
}

static bool is_tool_result(const struct json_doc *d, int message)
{
    int content = json_get(d, message, "content");

    if (json_str_is(d, json_get(d, message, "role"), "tool") ||
        json_str_is(d, json_get(d, message, "type"), "function_call_output"))
        return true;
    if (content < 0 || json_type_of(d, content) != JSON_ARRAY)
        return false;
    for (int part = json_first(d, content); part >= 0; part = json_next(d, part))
        if (json_type_of(d, part) == JSON_OBJECT && json_str_is(d, json_get(d, part, "type"), "tool_result"))
            return true;
    return false;
}

/* The last user message's text; when an assistant message stands behind it that is the beginning of it, what is left: so a
 * stream that broke is continued as a model would. */
static struct slice conversation(struct ask *a, struct slice json, struct arena *scratch)
{
    struct json_doc d;
    struct slice text = {NULL, 0}, prefix = {NULL, 0};

    if (json.n && json.p[0] == '"')
        return string_value(json, scratch);
    if (!json.n || json.p[0] != '[')
        return text;
    if (!json_parse(&d, json, scratch))
        return SLICE("This conversation is too long for the simulator, so it answers with this sentence.");
    for (int m = json_first(&d, 0); m >= 0; m = json_next(&d, m)) {
        struct slice one;

        a->inputs++;
        a->after_tool = false;
        if (json_str(&d, m, scratch, &one)) { /* a list of prompts or of inputs */
            text = one;
            continue;
        }
        if (json_type_of(&d, m) != JSON_OBJECT)
            continue;
        a->after_tool = is_tool_result(&d, m);
        one = content_text(&d, json_get(&d, m, "content"), scratch);
        if (json_str_is(&d, json_get(&d, m, "role"), "assistant")) {
            prefix = one;
        } else {
            prefix = slice_make(NULL, 0);
            if (json_str_is(&d, json_get(&d, m, "role"), "user") && one.n)
                text = one;
        }
    }
    return prefix.n && slice_starts(text, prefix) ? slice_from(text, prefix.n) : text;
}

/* A value that a schema's type allows, so that a client's check of the call passes. */
static void sample(struct json_out *o, const struct json_doc *d, int schema)
{
    int type = json_get(d, schema, "type"), choices = json_get(d, schema, "enum");

    if (choices >= 0 && json_type_of(d, choices) == JSON_ARRAY && json_first(d, choices) >= 0 &&
        json_type_of(d, json_first(d, choices)) == JSON_STRING) {
        struct slice raw = json_raw(d, json_first(d, choices));
        json_out_raw(o, slice_make(raw.p - 1, raw.n + 2)); /* with its quotes */
    } else if (json_str_is(d, type, "integer") || json_str_is(d, type, "number")) {
        json_out_u64(o, 1);
    } else if (json_str_is(d, type, "boolean")) {
        json_out_bool(o, true);
    } else if (json_str_is(d, type, "array")) {
        json_open(o, '[');
        json_close(o, ']');
    } else if (json_str_is(d, type, "object")) {
        json_open(o, '{');
        json_close(o, '}');
    } else {
        json_out_str(o, SLICE("sim"));
    }
}

/* The first function among the tools, in any of the three surfaces' shapes, and arguments for its properties. */
static void read_tools(struct ask *a, struct slice json, struct arena *scratch)
{
    struct json_doc d;
    struct json_out o;
    struct slice name;
    int tool = -1, function, schema;

    if (!json.n || json.p[0] != '[' || !json_parse(&d, json, scratch))
        return;
    for (int t = json_first(&d, 0); t >= 0 && tool < 0; t = json_next(&d, t)) {
        if (json_type_of(&d, t) != JSON_OBJECT)
            continue;
        function = json_get(&d, t, "function");
        function = function >= 0 && json_type_of(&d, function) == JSON_OBJECT ? function : t;
        if (json_str(&d, json_get(&d, function, "name"), scratch, &name) && name.n < sizeof a->tool)
            tool = function;
    }
    if (tool < 0)
        return;
    a->tool_n = copy_max(a->tool, sizeof a->tool - 1, name);
    schema = json_get(&d, tool, "parameters");
    if (schema < 0)
        schema = json_get(&d, tool, "input_schema");
    json_out_init(&o, a->args, sizeof a->args);
    json_open(&o, '{');
    int properties = schema >= 0 && json_type_of(&d, schema) == JSON_OBJECT ? json_get(&d, schema, "properties") : -1;
    if (properties >= 0 && json_type_of(&d, properties) == JSON_OBJECT) {
        for (int key = json_first(&d, properties); key >= 0; key = json_next(&d, key)) {
            char name_z[65];
            struct slice raw = json_raw(&d, key);

            if (raw.n >= sizeof name_z || slice_find_char(raw, '\\') >= 0 || json_type_of(&d, json_value(&d, key)) != JSON_OBJECT)
                continue;
            memcpy(name_z, raw.p, raw.n);
            name_z[raw.n] = '\0';
            json_key(&o, name_z);
            sample(&o, &d, json_value(&d, key));
        }
    }
    json_close(&o, '}');
    a->args_n = o.full ? copy_max(a->args, sizeof a->args, SLICE("{}")) : o.n;
}

static uint64_t token_limit(const struct body *b)
{
    static const char *const names[] = {"max_completion_tokens", "max_output_tokens", "max_tokens"};
    uint64_t limit;

    for (size_t i = 0; i < 3; i++)
        if (slice_u64(member(b, names[i]), &limit) && limit > 0)
            return limit;
    return 0;
}

/* Not in the middle of a character. */
static struct slice cut_text(struct slice text, size_t most)
{
    if (text.n <= most)
        return text;
    while (most > 0 && ((unsigned char)text.p[most] & 0xc0) == 0x80)
        most--;
    return slice_first(text, most);
}

bool ask_read(struct ask *a, char *body, size_t n, bool whole)
{
    static struct body b; /* 4 KB, used within this call only */
    struct json_check check;
    struct arena scratch;
    struct json_doc d;
    struct slice value;

    arena_init_fixed(&scratch, memory.scratch, SCRATCH_BYTES);
    b.text = slice_make(body, n);
    json_check_init(&check, b.member, JSON_MEMBERS_MAX);
    if (json_check_feed(&check, body, n) == PARSE_BAD || (whole && json_check_end(&check) != PARSE_DONE) || check.top_type != JSON_OBJECT)
        return false;
    b.members = check.members < JSON_MEMBERS_MAX ? check.members : JSON_MEMBERS_MAX;
    a->model_n = copy_max(a->model, sizeof a->model - 1, string_value(member(&b, "model"), &scratch));
    a->stream = slice_eq(member(&b, "stream"), SLICE("true"));
    value = member(&b, "stream_options");
    if (value.n && value.p[0] == '{' && json_parse(&d, value, &scratch))
        json_bool(&d, json_get(&d, 0, "include_usage"), &a->usage);
    a->base64 = slice_eq(member(&b, "encoding_format"), SLICE("\"base64\""));
    a->limit = token_limit(&b);
    read_tools(a, member(&b, "tools"), &scratch);
    value = member(&b, "messages");
    if (!value.n)
        value = member(&b, "input");
    if (!value.n)
        value = member(&b, "prompt");
    a->inputs = 0;
    a->text = cut_text(conversation(a, value, &scratch), ASK_TEXT_MAX);
    a->inputs = a->inputs == 0 ? 1 : a->inputs > ASK_INPUTS_MAX ? ASK_INPUTS_MAX : a->inputs;
    if (a->text.n)
        memmove(body, a->text.p, a->text.n); /* it is shorter than the body it came from */
    if (a->text.n && a->text.n <= n)
        a->text.p = body;
    else
        a->text = SLICE("Hello from the simulator.");
    return true;
}

struct slice ask_piece(struct slice text, size_t at)
{
    size_t end = at;

    while (end < text.n && (text.p[end] == ' ' || text.p[end] == '\n' || text.p[end] == '\t' || text.p[end] == '\r'))
        end++;
    while (end < text.n && text.p[end] != ' ' && text.p[end] != '\n' && text.p[end] != '\t' && text.p[end] != '\r')
        end++;
    struct slice piece = slice_make(text.p + at, end - at);
    struct slice cut = cut_text(piece, ASK_PIECE_MAX);
    return cut.n ? cut : piece; /* bytes that are no UTF-8 at all: let the writer mend them */
}

void ask_prepare(struct ask *a, const struct act *act)
{
    size_t at = 0;

    if (act->words) {
        for (a->words = 0; a->words < act->words; a->words++)
            at += ask_piece(slice_make(memory.filler, memory.filler_n), at).n;
        a->text = slice_make(memory.filler, at);
    }
    if (!act->tools || a->after_tool)
        a->tool_n = 0;
    struct slice all = a->tool_n ? slice_make(a->args, a->args_n) : a->text;
    for (at = 0, a->words = 0; at < all.n; a->words++) {
        if (a->limit && a->words == a->limit && !a->tool_n) {
            a->cut_short = true;
            a->text = slice_first(a->text, at);
            break;
        }
        at += ask_piece(all, at).n;
    }
}
