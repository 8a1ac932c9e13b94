/* Usage objects: our own cases, then real ones with the counts that another project reads from them. */
#include "llm/usage.h"

#include "json/scan.h"
#include "llm_shared.h"

static struct arena scratch;

static void test_plain(void)
{
    static const struct {
        enum surface surface;
        const char *body;
        struct llm_usage usage;
        const char *stop_reason;
    } cases[] = {
        {SURFACE_CHAT, "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}", {5, 6, 0, 0, 0, true}, "stop"},
        {SURFACE_CHAT, "\n \n{\"choices\":[{\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"prompt_tokens_details\":"
         "{\"cached_tokens\":3},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}", {5, 6, 3, 0, 2, true}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"prompt_tokens_details\":null}}", {5, 6, 0, 0, 0, true}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"prompt_tokens_details\":{\"cached_tokens\":9}}}", {5, 6, 5, 0, 0, true}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"prompt_cache_hit_tokens\":4}}", {5, 6, 4, 0, 0, true}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"cached_tokens\":\"x\"}}", {5, 6, 0, 0, 0, true}, ""},
        {SURFACE_MESSAGES, "{\"stop_reason\":\"pause_turn\",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":10,\"cache_creation_input_tokens\":20,"
         "\"output_tokens\":6,\"output_tokens_details\":{\"thinking_tokens\":1}}}", {35, 6, 10, 20, 1, true}, "pause_turn"},
        {SURFACE_MESSAGES, "{\"stop_reason\":\"model_context_window_exceeded\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"cache_read_input_tokens\":null}}",
         {5, 6, 0, 0, 0, true}, "model_context_window_ex"},
        {SURFACE_RESPONSES, "{\"status\":\"incomplete\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"input_tokens_details\":{\"cached_tokens\":2,"
         "\"cache_write_tokens\":1},\"output_tokens_details\":{\"reasoning_tokens\":4}}}", {5, 6, 2, 1, 4, true}, "incomplete"},
        {SURFACE_EMBEDDINGS, "{\"data\":[],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}", {4, 0, 0, 0, 0, true}, ""},
        /* nothing usable */
        {SURFACE_CHAT, "{\"usage\":null}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{}}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":[1]}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":\"many\"}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":6}}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":6}}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1000000000000000000}}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1e3}}", {0}, ""},
        {SURFACE_CHAT, "{\"usage\":{\"prompt_tokens\":5", {0}, ""},
        {SURFACE_CHAT, "", {0}, ""},
        {SURFACE_CHAT, "<html>", {0}, ""},
        {SURFACE_MESSAGES, "{\"usage\":{\"input_tokens\":-5,\"output_tokens\":6}}", {0}, ""},
        {SURFACE_COUNT_TOKENS, "{\"input_tokens\":5}", {0}, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct llm_usage u = {1, 1, 1, 1, 1, true};
        char stop_reason[24] = "before";

        check_case(cases[i].body);
        scratch_init(&scratch);
        llm_plain_usage(cases[i].surface, slice_str(cases[i].body), &scratch, &u, stop_reason);
        CHECK_INT(u.seen, cases[i].usage.seen);
        CHECK_INT(u.input, cases[i].usage.input);
        CHECK_INT(u.output, cases[i].usage.output);
        CHECK_INT(u.cache_read, cases[i].usage.cache_read);
        CHECK_INT(u.cache_write, cases[i].usage.cache_write);
        CHECK_INT(u.reasoning, cases[i].usage.reasoning);
        CHECK_STR(slice_str(stop_reason), cases[i].stop_reason);
    }
}

/* ---- the fixture: an array of {"body":{"usage":...},"extracted":[{"usage":{...},"flavors":["api:shape",...]}]} ---- */

/* Takes the next element off an array's text, without tokens: the file has far more than a document of ours may. */
static bool next_element(struct slice *rest, struct slice *element)
{
    size_t i = 0, depth = 0, start;
    bool in_string = false;

    while (i < rest->n && rest->p[i] != '{' && rest->p[i] != ']')
        i++;
    if (i == rest->n || rest->p[i] == ']')
        return false;
    for (start = i; i < rest->n; i++) {
        char c = rest->p[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            *element = slice_make(rest->p + start, i + 1 - start);
            *rest = slice_from(*rest, i + 1);
            return true;
        }
    }
    return false;
}

/* The counts of the first flavor asked for; absent ones are 0, as the other project writes them. */
static bool flavor(const struct json_doc *d, const char *want, struct llm_usage *u)
{
    int list = json_get(d, 0, "extracted");

    for (int e = json_first(d, list); e >= 0; e = json_next(d, e))
        for (int f = json_first(d, json_get(d, e, "flavors")); f >= 0; f = json_next(d, f))
            if (json_str_is(d, f, want)) {
                *u = (struct llm_usage){.seen = true};
                (void)json_u64(d, json_path(d, e, "usage.input_tokens"), &u->input);
                (void)json_u64(d, json_path(d, e, "usage.output_tokens"), &u->output);
                (void)json_u64(d, json_path(d, e, "usage.cache_read_tokens"), &u->cache_read);
                (void)json_u64(d, json_path(d, e, "usage.cache_write_tokens"), &u->cache_write);
                (void)json_u64(d, json_path(d, e, "usage.output_reasoning_tokens"), &u->reasoning);
                return true;
            }
    return false;
}

static unsigned compared, foreign;

static void fixture_one(struct slice element)
{
    struct json_doc d;
    struct llm_usage want, want_write, got = {0};
    enum surface surface;
    const char *name;
    int usage;

    scratch_init(&scratch);
    if (!CHECK(json_parse(&d, element, &scratch)))
        return;
    usage = json_path(&d, 0, "body.usage");
    if (json_get(&d, usage, "prompt_tokens") >= 0 && json_get(&d, usage, "completion_tokens") >= 0) {
        surface = SURFACE_CHAT;
        name = "openai:chat";
    } else if (json_get(&d, usage, "prompt_tokens") >= 0) {
        surface = SURFACE_EMBEDDINGS;
        name = "openai:embeddings";
    } else if (json_get(&d, usage, "cache_read_input_tokens") >= 0) {
        surface = SURFACE_MESSAGES;
        name = "anthropic:default";
    } else {
        surface = SURFACE_RESPONSES;
        name = "openai:responses";
    }
    if (!flavor(&d, name, &want)) {
        foreign++; /* Google's, Bedrock's and Cohere's own shapes, which no surface of ours has */
        return;
    }
    compared++;
    /* Cached writes of chat usage: that project reads them under other names of the same shape. */
    if (surface == SURFACE_CHAT && flavor(&d, "huggingface_together:chat", &want_write) && want_write.input == want.input)
        want.cache_write = want_write.cache_write;
    CHECK(usage_read(json_raw(&d, usage), surface, &got));
    CHECK(got.seen);
    CHECK_INT(got.input, want.input);
    CHECK_INT(got.output, want.output);
    CHECK_INT(got.cache_read, want.cache_read < want.input ? want.cache_read : want.input);
    CHECK_INT(got.cache_write, want.cache_write);
    CHECK_INT(got.reasoning, want.reasoning);
    if (check_failed && !got.seen)
        printf("     %.*s\n", (int)json_raw(&d, usage).n, json_raw(&d, usage).p);
}

static void test_fixture(void)
{
    struct slice text, rest, element;

    check_case("fixture");
    if (!shared_there("data/fixtures/usage-extraction"))
        return;
    text = shared_read("data/fixtures/usage-extraction", "usages.json");
    rest = slice_from(text, 1);
    while (next_element(&rest, &element))
        fixture_one(element);
    CHECK_INT(compared, 164);
    CHECK_INT(foreign, 72);
    shared_free(&text);
}

int main(void)
{
    test_plain();
    test_fixture();
    return check_end();
}
