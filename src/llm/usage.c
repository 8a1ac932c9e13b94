/* Usage objects. The field names differ by API family and by imitator; what they mean differs in one point: OpenAI's
 * prompt count includes cached tokens, Anthropic's leaves them out. Ours includes them.
 *
 * This runs once per request, so the object is walked in place, without a parse before it: one slot for each name that is
 * known, in one of two levels, and everything else is skipped. Strict about what it takes, it takes little: integers. */
#include "llm/usage.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "llm/members.h"

enum state { ABSENT, COUNT, ABSURD };

/* The objects that hold counts: the usage itself and the details in it. */
enum group { GROUP_USAGE, GROUP_INPUT, GROUP_OUTPUT };

/* Slots: where a number belongs. Details of input and output differ only in name between the families. */
enum slot {
    SLOT_PROMPT, SLOT_INPUT, SLOT_COMPLETION, SLOT_OUTPUT,
    SLOT_CACHED, SLOT_CACHE_READ, SLOT_CACHE_HIT, SLOT_DETAIL_CACHED,
    SLOT_CACHE_CREATION, SLOT_DETAIL_CACHE_WRITE,
    SLOT_REASONING, SLOT_DETAIL_REASONING, SLOT_DETAIL_THINKING,
    SLOTS,
    SLOT_INPUT_DETAILS = SLOTS, SLOT_OUTPUT_DETAILS, /* objects, not numbers */
    SLOT_NONE,
};

struct counts {
    uint64_t value[SLOTS];
    uint8_t state[SLOTS];
};

static const uint64_t count_max = (uint64_t)1 << 53; /* beyond it a double, and so most clients, would misread it */

/* ---- The walk. ---- */

/* Which name the key is whose inside begins at p; *close is then its closing quote, which is compared with it: most keys are
 * known, and their ends need no search. memcmp of a known length is a few instructions here, not a call. */
static enum slot slot_of(enum group group, const char *p, const char *end, const char **close)
{
#define NAME(text, slot)                                                                                   \
    do {                                                                                                   \
        if (left >= sizeof("" text) && memcmp(p, text "\"", sizeof(text)) == 0) {                          \
            *close = p + sizeof(text) - 1;                                                                 \
            return (slot);                                                                                 \
        }                                                                                                  \
    } while (0)

    const size_t left = (size_t)(end - p);

    switch (group) {
    case GROUP_USAGE:
        NAME("prompt_tokens", SLOT_PROMPT);
        NAME("completion_tokens", SLOT_COMPLETION);
        NAME("input_tokens", SLOT_INPUT);
        NAME("output_tokens", SLOT_OUTPUT);
        NAME("prompt_tokens_details", SLOT_INPUT_DETAILS);
        NAME("completion_tokens_details", SLOT_OUTPUT_DETAILS);
        NAME("input_tokens_details", SLOT_INPUT_DETAILS);
        NAME("output_tokens_details", SLOT_OUTPUT_DETAILS);
        NAME("cache_read_input_tokens", SLOT_CACHE_READ);
        NAME("cache_creation_input_tokens", SLOT_CACHE_CREATION);
        NAME("prompt_cache_hit_tokens", SLOT_CACHE_HIT);
        NAME("cached_tokens", SLOT_CACHED);
        NAME("reasoning_tokens", SLOT_REASONING);
        break;
    case GROUP_INPUT:
        NAME("cached_tokens", SLOT_DETAIL_CACHED);
        NAME("cache_write_tokens", SLOT_DETAIL_CACHE_WRITE);
        break;
    case GROUP_OUTPUT:
        NAME("reasoning_tokens", SLOT_DETAIL_REASONING);
        NAME("thinking_tokens", SLOT_DETAIL_THINKING);
        break;
    }
    *close = string_end(p, end);
    return SLOT_NONE;
#undef NAME
}

static inline const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static inline bool ends_scalar(char c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Past the value at p, whatever it is; NULL when it has no end or no beginning. */
static const char *skip_value(const char *p, const char *end)
{
    const char *begin = p;
    size_t depth = 0;

    for (; p < end; p++) {
        if (*p == '"') {
            p = string_end(p + 1, end);
            if (!p)
                return NULL;
        } else if (*p == '{' || *p == '[') {
            depth++;
            continue;
        } else if (depth > 0) {
            if (*p != '}' && *p != ']')
                continue;
            depth--;
        } else {
            while (p < end && !ends_scalar(*p))
                p++;
            return p > begin ? p : NULL;
        }
        if (depth == 0)
            return p + 1;
    }
    return NULL;
}

/* A number that counts, null, or what makes no sense as a count. */
static const char *read_count(struct counts *c, enum slot slot, const char *p, const char *end)
{
    const char *digits = p;
    uint64_t v = 0;

    for (; p < end && *p >= '0' && *p <= '9'; p++)
        v = v > count_max ? v : v * 10 + (uint64_t)(*p - '0');
    if (p > digits && p < end && ends_scalar(*p)) {
        c->value[slot] = v;
        c->state[slot] = v <= count_max ? COUNT : ABSURD;
        return p;
    }
    c->state[slot] = *digits == 'n' ? ABSENT : ABSURD;
    return skip_value(digits, end);
}

static const char *read_group(struct counts *c, enum group group, const char *p, const char *end);

static const char *read_member(struct counts *c, enum slot slot, const char *p, const char *end)
{
    if (slot < SLOTS)
        return read_count(c, slot, p, end);
    if (slot == SLOT_NONE || *p != '{')
        return skip_value(p, end);
    return read_group(c, slot == SLOT_INPUT_DETAILS ? GROUP_INPUT : GROUP_OUTPUT, p, end);
}

/* The object that begins at p: behind its closing bracket, or NULL when it is none. Goes one level deep, as details hold
 * no details. */
static const char *read_group(struct counts *c, enum group group, const char *p, const char *end)
{
    p = skip_blank(p + 1, end);
    if (p < end && *p == '}')
        return p + 1;
    while (p < end && *p == '"') {
        const char *close;
        enum slot slot = slot_of(group, p + 1, end, &close);

        if (!close)
            return NULL;
        p = skip_blank(close + 1, end);
        if (p == end || *p != ':')
            return NULL;
        p = skip_blank(p + 1, end);
        if (p == end || !(p = read_member(c, slot, p, end)))
            return NULL;
        p = skip_blank(p, end);
        if (p < end && *p == '}')
            return p + 1;
        if (p == end || *p != ',')
            return NULL;
        p = skip_blank(p + 1, end);
    }
    return NULL;
}

/* ---- What the numbers mean. ---- */

static enum state take(const struct counts *c, enum slot slot, uint64_t *out)
{
    if (c->state[slot] == COUNT)
        *out = c->value[slot];
    return (enum state)c->state[slot];
}

/* The first of the slots that is there. */
static enum state take_first(const struct counts *c, const uint8_t *slot, size_t n, uint64_t *out)
{
    for (size_t i = 0; i < n; i++)
        if (c->state[slot[i]] != ABSENT)
            return take(c, (enum slot)slot[i], out);
    return ABSENT;
}
#define TAKE_FIRST(c, slots, out) take_first((c), (slots), sizeof(slots), (out))

static const uint8_t input_slots[] = {SLOT_PROMPT, SLOT_INPUT};
static const uint8_t output_slots[] = {SLOT_COMPLETION, SLOT_OUTPUT};
/* DeepSeek's and Together's own names come last: they repeat OpenAI's where both exist. */
static const uint8_t cache_read_slots[] = {SLOT_DETAIL_CACHED, SLOT_CACHE_READ, SLOT_CACHE_HIT, SLOT_CACHED};
static const uint8_t cache_write_slots[] = {SLOT_DETAIL_CACHE_WRITE, SLOT_CACHE_CREATION};
static const uint8_t reasoning_slots[] = {SLOT_DETAIL_REASONING, SLOT_DETAIL_THINKING, SLOT_REASONING};

static bool read_openai(const struct counts *c, struct llm_usage *u)
{
    struct llm_usage got = {.seen = true};
    enum state in = TAKE_FIRST(c, input_slots, &got.input);
    enum state out = TAKE_FIRST(c, output_slots, &got.output);

    if (in == ABSURD || out == ABSURD || (in == ABSENT && out == ABSENT))
        return false;
    /* A detail that makes no sense is not worth losing the counts for: it stays zero. Grok on Azure states more cached
     * tokens than tokens; the parts are cut to the whole, so that nobody subtracts below zero. */
    (void)TAKE_FIRST(c, cache_read_slots, &got.cache_read);
    if (got.cache_read > got.input)
        got.cache_read = got.input;
    (void)TAKE_FIRST(c, cache_write_slots, &got.cache_write);
    if (got.cache_write > got.input - got.cache_read)
        got.cache_write = got.input - got.cache_read;
    (void)TAKE_FIRST(c, reasoning_slots, &got.reasoning);
    *u = got;
    return true;
}

static bool read_anthropic(const struct counts *c, struct llm_usage *u)
{
    struct llm_usage got = *u;
    uint64_t fresh = got.input - got.cache_read - got.cache_write; /* what input_tokens said before */
    enum state in = take(c, SLOT_INPUT, &fresh);
    enum state out = take(c, SLOT_OUTPUT, &got.output);

    if (in == ABSURD || out == ABSURD || (in == ABSENT && out == ABSENT))
        return false;
    if (take(c, SLOT_CACHE_READ, &got.cache_read) == ABSURD)
        got.cache_read = 0;
    if (take(c, SLOT_CACHE_CREATION, &got.cache_write) == ABSURD)
        got.cache_write = 0;
    if (take(c, SLOT_DETAIL_THINKING, &got.reasoning) == ABSURD)
        got.reasoning = 0;
    got.input = fresh + got.cache_read + got.cache_write;
    got.seen = true;
    *u = got;
    return true;
}

bool usage_read(struct slice text, enum surface surface, struct llm_usage *u)
{
    struct counts c;

    memset(c.state, ABSENT, sizeof(c.state));
    if (text.n == 0 || text.p[0] != '{' || !read_group(&c, GROUP_USAGE, text.p, text.p + text.n))
        return false;
    /* The dialect is read from the object as well: some gateways answer `messages` with OpenAI's names. */
    if (surface == SURFACE_MESSAGES && c.state[SLOT_PROMPT] == ABSENT)
        return read_anthropic(&c, u);
    return read_openai(&c, u);
}

/* ---- Plain answers. ---- */

/* `status` of a response stands before its output, whose items have one too: found here, the output is not searched. */
static struct slice early_status(struct slice body)
{
    const struct slice key = SLICE("\"status\"");
    ptrdiff_t at = slice_find(slice_first(body, 512), key);

    if (at < 0 || bracket_sum(slice_first(body, (size_t)at)) != 1)
        return slice_make(NULL, 0);
    return word_at(value_behind(slice_from(body, (size_t)at + key.n)));
}

void llm_plain_usage(enum surface surface, struct slice body, struct arena *scratch, struct llm_usage *out,
                     char stop_reason[24])
{
    struct member_want want[2] = {{SLICE("\"usage\""), 1, {NULL, 0}}};
    unsigned wanted = 1;

    (void)scratch;
    *out = (struct llm_usage){0};
    stop_reason[0] = '\0';
    body = slice_trim(body);
    if (body.n < 2 || body.p[0] != '{' || body.p[body.n - 1] != '}')
        return; /* cut short, or no answer */
    switch (surface) {
    case SURFACE_CHAT:
    case SURFACE_COMPLETIONS: /* of several choices the last one's: it stands in the log, nothing depends on it */
        want[wanted++] = (struct member_want){SLICE("\"finish_reason\""), 3, {NULL, 0}};
        break;
    case SURFACE_MESSAGES:
        want[wanted++] = (struct member_want){SLICE("\"stop_reason\""), 1, {NULL, 0}};
        break;
    case SURFACE_RESPONSES:
        word_keep(stop_reason, early_status(body));
        if (stop_reason[0] == '\0')
            want[wanted++] = (struct member_want){SLICE("\"status\""), 1, {NULL, 0}};
        break;
    case SURFACE_COUNT_TOKENS:
    case SURFACE_EMBEDDINGS:
    case SURFACE_MODERATIONS:
    case SURFACE_IMAGES:
    case SURFACE_SPEECH:
    case SURFACE_COUNT:
        break;
    }
    members_from_end(body, want, wanted);
    (void)usage_read(want[0].onward, surface, out);
    if (wanted > 1)
        word_keep(stop_reason, word_at(want[1].onward));
}
