/* Request bodies: what is read of them, and what goes upstream is valid JSON with exactly one model, the one that was chosen. The first byte chooses
 * surface and provider. */
#include "fuzz.h"
#include "gate/request.h"
#include "gate/rewrite.h"

static const char settings[] =
    "{\"providers\":[{\"providerId\":\"own\",\"baseUrl\":\"https://llm.example/v1\",\"supportedApiSurfaces\":[{\"format\":\"openai\",\"surface\":"
    "\"chat-completions\",\"supportedParams\":[{\"name\":\"messages\"},{\"name\":\"stream\"},{\"name\":\"max_tokens\"}]},"
    "{\"format\":\"openai\",\"surface\":\"responses\"}],"
    "\"models\":[{\"modelId\":\"m\",\"unsupportedParams\":[{\"name\":\"temperature\"},{\"name\":\"stop\"}]}]}],"
    "\"providerKeys\":[{\"id\":\"k1\",\"providerId\":\"own\",\"value\":\"key-1\"},{\"id\":\"k2\",\"providerId\":\"openai\",\"value\":\"key-2\"}]}";
static struct json_member member[JSON_MEMBERS_MAX];
static char memory[1 << 20];

static const char *no_env(void *user, const char *name)
{
    return user ? name : NULL;
}

static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    *out = path;
    return user && a;
}

static const struct conf *conf(void)
{
    static const struct conf_env env = {no_env, no_file, NULL};
    static struct conf *c;
    struct conf_error e = {0};

    if (!c && !(c = conf_load(slice_str(settings), &env, &e)))
        fprintf(stderr, "%u:%u: %s\n", e.line, e.column, e.text);
    return c;
}

static void check_upstream(struct slice out, struct slice model, struct arena *a)
{
    struct json_doc d;
    struct slice got;
    int models = 0;

    FUZZ_CHECK(json_valid(out, NULL, NULL));
    if (!json_parse(&d, out, a))
        return; /* more tokens than are ever read at once */
    for (int k = json_first(&d, 0); k >= 0; k = json_next(&d, k)) {
        models += json_key_eq_nocase(json_raw(&d, k), SLICE("model"));
        FUZZ_CHECK(!json_key_eq_nocase(json_raw(&d, k), SLICE("models")));
    }
    FUZZ_CHECK(models == 1 && json_str(&d, json_get(&d, 0, "model"), a, &got) && slice_eq(got, model));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size), piece[JSON_PIECES_MAX];
    unsigned what = fuzz_byte(&in);
    const struct provider *p = conf_provider(conf(), what & 1 ? SLICE("own") : SLICE("openai"));
    struct request_error e = {0};
    struct request_asks asks;
    struct json_check c;
    struct json_edits edits;
    struct rewrite_text text;
    struct arena a;
    size_t total, n = 0;
    char *out;

    json_check_init(&c, member, JSON_MEMBERS_MAX);
    if (json_check_feed(&c, in.p, in.n) == PARSE_BAD || json_check_end(&c) != PARSE_DONE || c.top_type != JSON_OBJECT || c.members > JSON_MEMBERS_MAX)
        return 0;
    arena_init_fixed(&a, memory, sizeof memory);
    if (!request_read(in, member, c.members, &a, &asks, &e)) {
        FUZZ_CHECK(e.text[0] && memchr(e.text, 0, sizeof e.text));
        return 0;
    }
    FUZZ_CHECK(asks.nmodels >= 1 && asks.nmodels <= MODELS_MAX + 1);
    struct rewrite r = {.text = in, .member = member, .nmembers = c.members, .at = asks.at, .surface = (enum surface)(what / 2 % SURFACE_COUNT),
                        .max_output_tokens = what & 32 ? 100 : 0, .key = p->key[0], .known = what & 64 ? p->model : NULL,
                        .model = asks.model[asks.nmodels - 1]};
    if (asks.stream)
        r.stream_options = rewrite_usage_options(in, member, asks.at, &a);
    FUZZ_CHECK(r.stream_options.n == 0 || json_valid(r.stream_options, NULL, NULL));
    rewrite_body(&r, &edits, &text);
    int pieces = json_edit_pieces(&edits, piece, JSON_PIECES_MAX, &total);
    if (pieces < 0)
        return 0; /* more edits than are kept: the request is refused */
    out = malloc(total + 1);
    for (int i = 0; out && i < pieces; n += piece[i++].n)
        memcpy(out + n, piece[i].p, piece[i].n);
    FUZZ_CHECK(out && n == total);
    check_upstream(slice_make(out, total), r.model, &a);
    free(out);
    return 0;
}
