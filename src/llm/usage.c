/* Usage objects. The field names differ by API family and by imitator; what they mean differs in one point: OpenAI's
 * prompt count includes cached tokens, Anthropic's leaves them out. Ours includes them. */
#include "llm/usage.h"

#include <stddef.h>
#include <stdint.h>

#include "json/scan.h"
#include "llm/members.h"

enum { ABSENT, COUNT, ABSURD };

static const uint64_t count_max = (uint64_t)1 << 53; /* beyond it a double, and so most clients, would misread it */

static int read_count(const struct json_doc *d, const char *path, uint64_t *out)
{
    int tok = json_path(d, 0, path);

    if (tok < 0 || json_type_of(d, tok) == JSON_NULL)
        return ABSENT;
    return json_u64(d, tok, out) && *out <= count_max ? COUNT : ABSURD;
}

/* The first of the paths that is there. */
static int read_first(const struct json_doc *d, const char *const *path, uint64_t *out)
{
    for (; *path; path++) {
        int got = read_count(d, *path, out);

        if (got != ABSENT)
            return got;
    }
    return ABSENT;
}

static const char *const input_names[] = {"prompt_tokens", "input_tokens", NULL};
static const char *const output_names[] = {"completion_tokens", "output_tokens", NULL};
/* DeepSeek's and Together's own names come last: they repeat OpenAI's where both exist. */
static const char *const cache_read_names[] = {"prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens",
                                               "cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens",
                                               NULL};
static const char *const cache_write_names[] = {"prompt_tokens_details.cache_write_tokens",
                                                "input_tokens_details.cache_write_tokens",
                                                "cache_creation_input_tokens", NULL};
static const char *const reasoning_names[] = {"completion_tokens_details.reasoning_tokens",
                                              "output_tokens_details.reasoning_tokens",
                                              "output_tokens_details.thinking_tokens", "reasoning_tokens", NULL};

static bool read_openai(const struct json_doc *d, struct llm_usage *u)
{
    struct llm_usage got = {.seen = true};
    int in = read_first(d, input_names, &got.input);
    int out = read_first(d, output_names, &got.output);

    if (in == ABSURD || out == ABSURD || (in == ABSENT && out == ABSENT))
        return false;
    /* A detail that makes no sense is not worth losing the counts for. Grok on Azure states more cached tokens than
     * tokens; the parts are cut to the whole, so that nobody subtracts below zero. */
    if (read_first(d, cache_read_names, &got.cache_read) != COUNT)
        got.cache_read = 0;
    if (got.cache_read > got.input)
        got.cache_read = got.input;
    if (read_first(d, cache_write_names, &got.cache_write) != COUNT)
        got.cache_write = 0;
    if (got.cache_write > got.input - got.cache_read)
        got.cache_write = got.input - got.cache_read;
    if (read_first(d, reasoning_names, &got.reasoning) != COUNT)
        got.reasoning = 0;
    *u = got;
    return true;
}

static bool read_anthropic(const struct json_doc *d, struct llm_usage *u)
{
    struct llm_usage got = *u;
    uint64_t fresh = got.input - got.cache_read - got.cache_write; /* what input_tokens said before */
    int in = read_count(d, "input_tokens", &fresh);
    int out = read_count(d, "output_tokens", &got.output);

    if (in == ABSURD || out == ABSURD || (in == ABSENT && out == ABSENT))
        return false;
    if (read_count(d, "cache_read_input_tokens", &got.cache_read) == ABSURD)
        got.cache_read = 0;
    if (read_count(d, "cache_creation_input_tokens", &got.cache_write) == ABSURD)
        got.cache_write = 0;
    if (read_count(d, "output_tokens_details.thinking_tokens", &got.reasoning) == ABSURD)
        got.reasoning = 0;
    got.input = fresh + got.cache_read + got.cache_write;
    got.seen = true;
    *u = got;
    return true;
}

bool usage_read(struct slice text, enum surface surface, struct arena *scratch, struct llm_usage *u)
{
    struct json_doc d;

    if (text.n == 0 || text.p[0] != '{' || !json_parse(&d, text, scratch))
        return false;
    /* The dialect is read from the object as well: some gateways answer `messages` with OpenAI's names. */
    if (surface == SURFACE_MESSAGES && json_get(&d, 0, "prompt_tokens") < 0)
        return read_anthropic(&d, u);
    return read_openai(&d, u);
}

/* stop_reason of choices[0]; an answer with huge choices (4096 tokens of logprobs) keeps its usage and loses this. */
static void first_finish(const struct members *m, struct arena *scratch, char stop_reason[24])
{
    enum json_type type;
    struct slice choices = members_get(m, "choices", &type);
    struct json_doc d;
    struct slice word;

    if (type == JSON_ARRAY && json_parse(&d, choices, scratch) &&
        json_str(&d, json_path(&d, 0, "0.finish_reason"), scratch, &word))
        word_keep(stop_reason, word);
}

void llm_plain_usage(enum surface surface, struct slice body, struct arena *scratch, struct llm_usage *out,
                     char stop_reason[24])
{
    struct members m;
    enum json_type type;

    *out = (struct llm_usage){0};
    stop_reason[0] = '\0';
    if (!members_read(&m, slice_trim(body), &type))
        return;
    (void)usage_read(members_get(&m, "usage", &type), surface, scratch, out);
    switch (surface) {
    case SURFACE_CHAT:
    case SURFACE_COMPLETIONS:
        first_finish(&m, scratch, stop_reason);
        break;
    case SURFACE_MESSAGES:
        word_keep(stop_reason, members_word(&m, "stop_reason"));
        break;
    case SURFACE_RESPONSES:
        word_keep(stop_reason, members_word(&m, "status"));
        break;
    case SURFACE_COUNT_TOKENS:
    case SURFACE_EMBEDDINGS:
    case SURFACE_MODERATIONS:
    case SURFACE_IMAGES:
    case SURFACE_SPEECH:
    case SURFACE_COUNT:
        break;
    }
}
