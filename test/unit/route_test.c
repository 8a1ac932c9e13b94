/* From names to attempts (spec 3 and 4): real configs in, the queue out as text. */
#include "gate/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/sha256.h"
#include "check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *no_getenv(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user;
    (void)path;
    (void)a;
    (void)out;
    return false;
}

/* One config for most cases; every access key has the id of its configuration behind "k-". */
static const char text[] =
    "{\"sim\":true,\n"
    "\"managed\":{\"openai\":[\"m-openai\"],\"anthropic\":[\"m-a1\",\"m-a2\"],\"z-ai\":[\"m-z\"]},\n"
    "\"providers\":[\n"
    "  {\"providerId\":\"ollama\",\"baseUrl\":\"http://127.0.0.1:1/v1\",\"models\":[{\"modelId\":\"Llama3.2\"},{\"modelId\":\"gpt-4o\"}]},\n"
    "  {\"providerId\":\"keyed\",\"baseUrl\":\"http://127.0.0.1:2/v1\",\"models\":[{\"modelId\":\"llama3.2\"},{\"modelId\":\"k1\"}]}],\n"
    "\"providerKeys\":[\n"
    "  {\"id\":\"p1\",\"providerId\":\"openai\",\"value\":\"v1\"},\n"
    "  {\"id\":\"p2\",\"providerId\":\"openai\",\"value\":\"v2\"},\n"
    "  {\"id\":\"p3\",\"providerId\":\"openai\",\"value\":\"v3\"},\n"
    "  {\"id\":\"kk\",\"providerId\":\"keyed\",\"value\":\"v4\"}],\n"
    "\"accessKeyConfigurations\":[\n"
    "  {\"id\":\"rules\",\"router\":{\"rules\":[\n"
    "     {\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"id\":\"p2\"},{\"id\":\"p1\"}]},{\"type\":\"managed\"},\n"
    "        {\"type\":\"user\",\"keys\":[{\"id\":\"p2\"},{\"id\":\"p3\"}]}]},\n"
    "     {\"model\":\"openai:gpt-4o\",\"steps\":[{\"type\":\"ngrok\"}]},\n"
    "     {\"provider\":\"google\",\"steps\":[{\"type\":\"managed\"}]},\n"
    "     {\"provider\":\"ollama\",\"steps\":[{\"type\":\"managed\"}]}]}},\n"
    "  {\"id\":\"robin\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keySelectionStrategy\":\"round_robin\",\n"
    "     \"keys\":[{\"id\":\"p1\"},{\"id\":\"p2\"},{\"id\":\"p3\"}]}]}]}},\n"
    "  {\"id\":\"random\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keySelectionStrategy\":\"random\",\n"
    "     \"keys\":[{\"id\":\"p1\"},{\"id\":\"p2\"},{\"id\":\"p3\"}]}]}]}},\n"
    "  {\"id\":\"aliases\",\"router\":{\"aliases\":{\"fast\":[\"openai:gpt-4o-mini\",\"z-ai:glm-4.6\"],\"both\":[\"fast\",\"ollama:x\"],\n"
    "     \"gpt-4o\":[\"gpt-4o\",\"claude-opus-4-1\"]}}},\n"
    "  {\"id\":\"scoped\",\"access\":{\"providers\":{\"allow\":[\"openai\",\"ollama\"]},\"models\":{\"allow\":[\"openai/gpt-4o\",\n"
    "     \"ollama:llama3.2\",\"anthropic:claude-opus-4-1\"]}},\"router\":{\"aliases\":{\"fast\":[\"openai:gpt-4o-mini\",\"openai:gpt-4o\"],\n"
    "     \"no\":[\"openai:gpt-4o-mini\"]}}},\n"
    "  {\"id\":\"nothing\",\"access\":{\"providers\":{\"allow\":[]}}},\n"
    "  {\"id\":\"nomodel\",\"access\":{\"models\":{\"allow\":[]}}}],\n"
    "\"accessKeys\":[{\"id\":\"k\",\"token\":\"k\"},\n"
    "  {\"id\":\"k-rules\",\"token\":\"k-rules\",\"accessKeyConfigurationId\":\"rules\"},\n"
    "  {\"id\":\"k-robin\",\"token\":\"k-robin\",\"accessKeyConfigurationId\":\"robin\"},\n"
    "  {\"id\":\"k-random\",\"token\":\"k-random\",\"accessKeyConfigurationId\":\"random\"},\n"
    "  {\"id\":\"k-aliases\",\"token\":\"k-aliases\",\"accessKeyConfigurationId\":\"aliases\"},\n"
    "  {\"id\":\"k-scoped\",\"token\":\"k-scoped\",\"accessKeyConfigurationId\":\"scoped\"},\n"
    "  {\"id\":\"k-nothing\",\"token\":\"k-nothing\",\"accessKeyConfigurationId\":\"nothing\"},\n"
    "  {\"id\":\"k-nomodel\",\"token\":\"k-nomodel\",\"accessKeyConfigurationId\":\"nomodel\"}]}";

static struct conf *conf;
static struct health *health;
static char health_memory[1 << 18], memory[1 << 18];
static struct arena health_arena, arena;
static struct attempts q;
static struct slice which;

static const struct conf_env env = {.getenv = no_getenv, .read_file = no_file};

static struct conf *load(struct slice config)
{
    struct conf_error e;
    struct conf *c = conf_load(config, &env, &e);

    if (!c) {
        printf("FAIL %u:%u: %s\n", e.line, e.column, e.text);
        exit(1);
    }
    return c;
}

static const struct access_key *access_key(const struct conf *c, const char *token)
{
    uint8_t hash[32];

    sha256(slice_str(token), hash);
    return conf_access_key(c, hash);
}

/* names: model and models, separated by commas. */
static enum route_result build(const char *token, enum surface surface, const char *names, bool off)
{
    struct route_ask ask = {.conf = conf, .key = access_key(conf, token), .surface = surface, .failover_off = off};

    if (!CHECK(ask.key != NULL))
        exit(1);
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t n = strcspn(at, ",");

        ask.model[ask.nmodels++] = slice_make(at, n);
    }
    arena_init_fixed(&arena, memory, sizeof(memory));
    return route_build(&ask, health, &arena, &q, &which);
}

/* "provider:model/key ..." in order, skipped ones in brackets first; a '|' where the candidate changes. */
static const char *queue_text(void)
{
    static char out[8192];
    size_t n = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < q.nrecords; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s[%s:%.*s]", n ? " " : "", q.record[i].key->provider->id.p,
                              (int)q.record[i].model.n, q.record[i].model.p);
    for (uint32_t i = 0; i < q.count; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s:%.*s/%s",
                              i && q.queue[i].candidate != q.queue[i - 1].candidate ? " | " : n ? " " : "",
                              q.queue[i].key->provider->id.p, (int)q.queue[i].model.n, q.queue[i].model.p,
                              q.queue[i].key->name.p);
    return out;
}

static const struct {
    const char *name, *key, *models, *queue;
    enum surface surface;
    enum route_result result;
} row[] = {
    /* Spec 3: names. */
    {"prefix", "k", "openai:gpt-4o", "openai:gpt-4o/p1 openai:gpt-4o/p2 openai:gpt-4o/p3 openai:gpt-4o/managed", SURFACE_CHAT, ROUTE_OK},
    {"prefix, case of the model kept", "k", "z-ai:GLM-4.6", "z-ai:GLM-4.6/managed", SURFACE_CHAT, ROUTE_OK},
    {"prefix, unknown model passes through", "k", "z-ai:brand-new", "z-ai:brand-new/managed", SURFACE_CHAT, ROUTE_OK},
    {"prefix, colons and slashes in the model", "k", "ollama:a/b:70b", "ollama:a/b:70b/none", SURFACE_CHAT, ROUTE_OK},
    {"prefix must match exactly", "k", "OpenAI:gpt-4o", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"prefix and no model", "k", "openai:", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"no prefix but a colon", "k", ":gpt-4o", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"catalog", "k", "glm-4.6", "z-ai:glm-4.6/managed", SURFACE_CHAT, ROUTE_OK},
    {"catalog without regard to case, with its own spelling", "k", "GLM-4.6", "z-ai:glm-4.6/managed", SURFACE_CHAT, ROUTE_OK},
    {"catalog before declared models", "k", "gpt-4o",
     "openai:gpt-4o/p1 openai:gpt-4o/p2 openai:gpt-4o/p3 openai:gpt-4o/managed", SURFACE_CHAT, ROUTE_OK},
    {"declared model, first provider wins", "k", "LLAMA3.2", "ollama:Llama3.2/none", SURFACE_CHAT, ROUTE_OK},
    {"declared model of a provider with a key", "k", "K1", "keyed:k1/kk", SURFACE_CHAT, ROUTE_OK},
    {"unknown", "k", "no-such-model", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"empty", "k", "", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"alias of another key's configuration", "k", "fast", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},
    {"alias", "k-aliases", "FAST",
     "openai:gpt-4o-mini/p1 openai:gpt-4o-mini/p2 openai:gpt-4o-mini/p3 openai:gpt-4o-mini/managed | z-ai:glm-4.6/managed",
     SURFACE_CHAT, ROUTE_OK},
    {"alias of an alias", "k-aliases", "both",
     "openai:gpt-4o-mini/p1 openai:gpt-4o-mini/p2 openai:gpt-4o-mini/p3 openai:gpt-4o-mini/managed | z-ai:glm-4.6/managed | "
     "ollama:x/none", SURFACE_CHAT, ROUTE_OK},
    {"alias over a model of the same name", "k-aliases", "gpt-4o",
     "openai:gpt-4o/p1 openai:gpt-4o/p2 openai:gpt-4o/p3 openai:gpt-4o/managed | anthropic:claude-opus-4-1/managed "
     "anthropic:claude-opus-4-1/managed-2", SURFACE_CHAT, ROUTE_OK},
    {"a prefix is never an alias", "k-aliases", "z-ai:gpt-4o", "z-ai:gpt-4o/managed", SURFACE_CHAT, ROUTE_OK},
    {"candidates in order", "k", "z-ai:a,ollama:b,z-ai:c", "z-ai:a/managed | ollama:b/none | z-ai:c/managed", SURFACE_CHAT, ROUTE_OK},
    {"candidates once", "k", "glm-4.6,z-ai:GLM-4.6,z-ai:x,z-ai:glm-4.6", "z-ai:glm-4.6/managed | z-ai:x/managed", SURFACE_CHAT, ROUTE_OK},
    {"an unknown one among known ones is left out", "k", "nope,z-ai:x", "z-ai:x/managed", SURFACE_CHAT, ROUTE_OK},
    {"the simulator", "k", "sim:echo", "sim:echo/none", SURFACE_MESSAGES, ROUTE_OK},

    /* Spec 3: scope. S-24: an empty list is nothing. S-25: on the resolved candidate, whichever way it was named. */
    {"scope: allowed", "k-scoped", "gpt-4o", "openai:gpt-4o/p1 openai:gpt-4o/p2 openai:gpt-4o/p3 openai:gpt-4o/managed",
     SURFACE_CHAT, ROUTE_OK},
    {"scope: allowed in another case", "k-scoped", "ollama:LLAMA3.2", "ollama:LLAMA3.2/none", SURFACE_CHAT, ROUTE_OK},
    {"scope: model not in the list", "k-scoped", "gpt-4o-mini", NULL, SURFACE_CHAT, ROUTE_NOT_ALLOWED},
    {"scope: model in the list, its provider is not", "k-scoped", "claude-opus-4-1", NULL, SURFACE_CHAT, ROUTE_NOT_ALLOWED},
    {"scope: the skipped ones are reported", "k-scoped", "anthropic:x,gpt-4o-mini,ollama:llama3.2",
     "[anthropic:x] [openai:gpt-4o-mini] ollama:llama3.2/none", SURFACE_CHAT, ROUTE_OK},
    {"scope: through an alias, the allowed part", "k-scoped", "fast",
     "[openai:gpt-4o-mini] openai:gpt-4o/p1 openai:gpt-4o/p2 openai:gpt-4o/p3 openai:gpt-4o/managed", SURFACE_CHAT, ROUTE_OK},
    {"scope: through an alias, nothing", "k-scoped", "no", NULL, SURFACE_CHAT, ROUTE_NOT_ALLOWED},
    {"scope: an empty provider list allows nothing", "k-nothing", "gpt-4o", NULL, SURFACE_CHAT, ROUTE_NOT_ALLOWED},
    {"scope: an empty model list allows nothing", "k-nomodel", "ollama:x", NULL, SURFACE_CHAT, ROUTE_NOT_ALLOWED},
    {"scope: unknown stays unknown", "k-nothing", "nope", NULL, SURFACE_CHAT, ROUTE_NO_MATCH},

    /* Surfaces. */
    {"surface: lacked", "k", "z-ai:x", NULL, SURFACE_EMBEDDINGS, ROUTE_NO_SURFACE},
    {"surface: lacked by one", "k", "z-ai:x,openai:e", "[z-ai:x] openai:e/p1 openai:e/p2 openai:e/p3 openai:e/managed",
     SURFACE_EMBEDDINGS, ROUTE_OK},
    {"surface: count_tokens goes with messages", "k", "anthropic:c", "anthropic:c/managed anthropic:c/managed-2",
     SURFACE_COUNT_TOKENS, ROUTE_OK},
    {"surface: not allowed is said first", "k-nothing", "z-ai:x", NULL, SURFACE_EMBEDDINGS, ROUTE_NOT_ALLOWED},

    /* Spec 4: rules. */
    {"rule: steps in order, a key once", "k-rules", "openai:other",
     "openai:other/p2 openai:other/p1 openai:other/managed openai:other/p3", SURFACE_CHAT, ROUTE_OK},
    {"rule: the model's before the provider's", "k-rules", "GPT-4o", "openai:gpt-4o/managed", SURFACE_CHAT, ROUTE_OK},
    {"rule: none for this provider, so the default", "k-rules", "keyed:k1", "keyed:k1/kk", SURFACE_CHAT, ROUTE_OK},
    {"rule: managed, but nothing is managed", "k-rules", "google:gemini", NULL, SURFACE_CHAT, ROUTE_NO_KEY},
    {"rule: a custom provider without any key", "k-rules", "ollama:x", "ollama:x/none", SURFACE_CHAT, ROUTE_OK},
    {"default: no key at all", "k", "google:gemini", NULL, SURFACE_CHAT, ROUTE_NO_KEY},
    {"default: no key for one of two", "k", "google:gemini,z-ai:x", "z-ai:x/managed", SURFACE_CHAT, ROUTE_OK},
    {"default: no key is said before no surface", "k", "groq:x,google:y", NULL, SURFACE_EMBEDDINGS, ROUTE_NO_KEY},
};

static void table(void)
{
    for (size_t i = 0; i < COUNT(row); i++) {
        enum route_result r = build(row[i].key, row[i].surface, row[i].models, false);

        check_case(row[i].name);
        CHECK_INT(r, row[i].result);
        if (row[i].queue && r == ROUTE_OK)
            CHECK_STR(slice_str(queue_text()), row[i].queue);
        CHECK(!q.single);
    }
}

static void which_model(void)
{
    check_case("the model that a message names");
    build("k", SURFACE_CHAT, "nope,neither", false);
    CHECK_STR(which, "nope");
    build("k-scoped", SURFACE_CHAT, "gpt-4o-mini,openai:x", false);
    CHECK_STR(which, "gpt-4o-mini");
    build("k", SURFACE_CHAT, "google:one,google:two", false);
    CHECK_STR(which, "one");
}

static void known_models(void)
{
    check_case("what is known of a model travels with the attempt");
    CHECK_INT(build("k", SURFACE_CHAT, "openai:GPT-4o", false), ROUTE_OK);
    CHECK(q.count && q.queue[0].known && slice_eq(q.queue[0].known->id, SLICE("gpt-4o")));
    CHECK_INT(build("k", SURFACE_CHAT, "openai:nope", false), ROUTE_OK);
    CHECK(q.count && !q.queue[0].known);
}

static void round_robin(void)
{
    static const char *const want[] = {"openai:x/p1 openai:x/p2 openai:x/p3", "openai:x/p2 openai:x/p3 openai:x/p1",
                                       "openai:x/p3 openai:x/p1 openai:x/p2", "openai:x/p1 openai:x/p2 openai:x/p3"};

    check_case("round_robin starts one key further at each request");
    for (size_t i = 0; i < COUNT(want); i++) {
        CHECK_INT(build("k-robin", SURFACE_CHAT, "openai:x", false), ROUTE_OK);
        CHECK_STR(slice_str(queue_text()), want[i]);
    }
    check_case("round_robin turns once per request, however many models it names");
    for (int i = 0; i < 6; i++) {
        const char *start = i % 3 == 0 ? "p2" : i % 3 == 1 ? "p3" : "p1";

        CHECK_INT(build("k-robin", SURFACE_CHAT, "openai:x,openai:y,openai:z", false), ROUTE_OK);
        CHECK_STR(q.queue[0].key->name, start);
        CHECK_STR(q.queue[3].key->name, start);
    }
}

static void chance(void)
{
    unsigned first[3] = {0}, orders = 0;
    char seen[6][64] = {0};

    check_case("random shuffles");
    for (int i = 0; i < 3000; i++) {
        const char *order;
        size_t at = 0;

        if (!CHECK(build("k-random", SURFACE_CHAT, "openai:x", false) == ROUTE_OK && q.count == 3))
            return;
        first[q.queue[0].key->name.p[1] - '1']++;
        order = queue_text();
        while (at < orders && strcmp(seen[at], order) != 0)
            at++;
        if (at == orders && orders < 6)
            snprintf(seen[orders++], sizeof(seen[0]), "%s", order);
    }
    CHECK_INT(orders, 6);
    for (size_t i = 0; i < 3; i++)
        CHECK(first[i] > 850 && first[i] < 1150);
}

static void failover_off(void)
{
    check_case("F-138: x-weir-failover off");
    CHECK_INT(build("k", SURFACE_CHAT, "z-ai:x,openai:y", true), ROUTE_OK);
    CHECK(q.single);
}

static void no_memory(void)
{
    struct route_ask ask = {.conf = conf, .key = access_key(conf, "k"), .surface = SURFACE_CHAT, .nmodels = 1};

    check_case("no memory");
    ask.model[0] = SLICE("openai:gpt-4o");
    for (size_t size = 0; size < 400; size += 40) {
        enum route_result r;

        arena_init_fixed(&arena, memory, size);
        r = route_build(&ask, health, &arena, &q, &which);
        CHECK(r == ROUTE_NO_MEMORY || (size > 200 && r == ROUTE_OK));
        CHECK(size || r == ROUTE_NO_MEMORY);
    }
}

/* A hundred keys and an alias of 64 models: the queue is full at ATTEMPTS_MAX, and nothing is written beyond. */
static void bounds(void)
{
    static char big[1 << 16];
    static const char *const strategy[] = {"ordered", "round_robin", "random"};
    struct conf *mine = conf;
    size_t n = 0;

#define ADD(...) n += (size_t)snprintf(big + n, sizeof(big) - n, __VA_ARGS__)
    ADD("{\"providerKeys\":[");
    for (int i = 0; i < 100; i++)
        ADD("%s{\"id\":\"p%d\",\"providerId\":\"openai\",\"value\":\"v%d\"}", i ? "," : "", i, i);
    ADD("],\"accessKeyConfigurations\":[");
    for (int s = 0; s < 3; s++) {
        ADD("%s{\"id\":\"%s\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keySelectionStrategy\":\"%s\","
            "\"keys\":[", s ? "," : "", strategy[s], strategy[s]);
        for (int i = 0; i < 100; i++)
            ADD("%s{\"id\":\"p%d\"}", i ? "," : "", i);
        ADD("]}]}],\"aliases\":{\"all\":[");
        for (int i = 0; i < ATTEMPTS_MAX; i++)
            ADD("%s\"openai:m%d\"", i ? "," : "", i);
        ADD("]}}}");
    }
    ADD("],\"accessKeys\":[{\"id\":\"k\",\"token\":\"k\"}");
    for (int s = 0; s < 3; s++)
        ADD(",{\"id\":\"%s\",\"token\":\"%s\",\"accessKeyConfigurationId\":\"%s\"}", strategy[s], strategy[s], strategy[s]);
    ADD("]}");
#undef ADD
    check_case("bounds");
    conf = load(slice_make(big, n));
    arena_init_fixed(&health_arena, health_memory, sizeof(health_memory));
    health = health_create(&health_arena, conf, 5, true);
    CHECK_INT(build("k", SURFACE_CHAT, "openai:a,openai:b", false), ROUTE_OK);
    CHECK_INT(q.count, ATTEMPTS_MAX);
    for (size_t s = 0; s < 3; s++) {
        CHECK_INT(build(strategy[s], SURFACE_CHAT, "all,openai:b,all", false), ROUTE_OK);
        CHECK_INT(q.count, ATTEMPTS_MAX);
        for (uint32_t i = 0; i < q.count; i++)
            for (uint32_t j = 0; j < i; j++)
                CHECK(q.queue[i].key != q.queue[j].key || q.queue[i].candidate != q.queue[j].candidate);
    }
    CHECK_INT(build("round_robin", SURFACE_CHAT, "openai:b", false), ROUTE_OK);
    CHECK_STR(q.queue[0].key->id, "p1");
    conf_put(conf);
    conf = mine;
}

int main(void)
{
    conf = load(slice_make(text, sizeof(text) - 1));
    arena_init_fixed(&health_arena, health_memory, sizeof(health_memory));
    health = health_create(&health_arena, conf, 5, true);
    if (!CHECK(health != NULL))
        return check_end();
    table();
    which_model();
    known_models();
    round_robin();
    chance();
    failover_off();
    no_memory();
    bounds();
    conf_put(conf);
    return check_end();
}
