/* Stored resources beside a config text: what comes in force, who wins, and what a refusal names. */
#include "conf/overlay.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *variable(void *user, const char *name)
{
    (void)user;
    return strcmp(name, "KEY") == 0 || strcmp(name, "OPENAI_API_KEY") == 0 ? "sk-from-the-environment" : NULL;
}

static bool file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user, (void)path;
    *out = arena_copy(a, SLICE("sk-from-a-file"));
    return true;
}

static const struct conf_env env = {.getenv = variable, .read_file = file};

#define KEY1 "{\"id\":\"k1\",\"providerId\":\"openai\",\"name\":\"one\",\"value\":\"sk-1\"}"
#define KEY2 "{\"id\":\"k2\",\"providerId\":\"openai\",\"name\":\"two\",\"value\":\"sk-2\"}"
#define CUSTOM "{\"providerId\":\"mine\",\"name\":\"Mine\",\"baseUrl\":\"https://mine.example/v1\"}"
#define CONFIG(id, key) "{\"id\":\"" id "\",\"name\":\"" id "\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"id\":\"" key "\"}]}]}]}}"

/* Every text in which stored ones may be put: no list, an empty one, one with something; blanks everywhere. */
static const char *const texts[] = {
    "{}", " { } \n", "{\"log\":{}}", "{\"providers\":[],\"providerKeys\":[],\"accessKeyConfigurations\":[]}",
    "{\"providerKeys\" : [ ] , \"log\" : { } } ",
    "{\"providerKeys\":[{\"id\":\"f\",\"providerId\":\"openai\",\"name\":\"f\",\"value\":\"sk-f]}\\\"\"} ],\"log\":{}}",
    "{\"provider\\u004beys\":[ {\"id\":\"f\",\"providerId\":\"openai\",\"name\":\"]\",\"value\":\"sk-f\"}]}",
    "{\"accessKeyConfigurations\":[{\"id\":\"fc\",\"name\":\"fc\"}],\"gateway\":{\"cooldown\":false}}",
    "{\"gateway\":{ }}", NULL /* there is no file */
};

static const struct credential *credential(const struct conf *c, const char *id)
{
    for (uint32_t i = 0; i < c->ncredentials; i++)
        if (slice_eq(c->credential[i].id, slice_str(id)))
            return &c->credential[i];
    return NULL;
}

static void test_in_force(void)
{
    struct conf_stored s = {.list = {SLICE(CUSTOM), SLICE(KEY1 "," KEY2), SLICE(CONFIG("c1", "k1") "," CONFIG("c2", "k2"))},
                            .gateway = {{"totalTimeout", SLICE("\"7s\"")}, {"maxOutputTokens", SLICE("9")}}, .ngateway = 2};
    struct conf_stored_error e;

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct slice text = texts[i] ? slice_str(texts[i]) : slice_make(NULL, 0);
        struct conf *c = conf_load_stored(text, &s, &env, &e);

        check_case(texts[i] ? texts[i] : "no file");
        if (!CHECK(c != NULL)) {
            printf("     %u:%u: %s\n", e.e.line, e.e.column, e.e.text);
            continue;
        }
        CHECK(conf_provider(c, SLICE("mine")) && conf_access_config(c, SLICE("c1")) && conf_access_config(c, SLICE("c2")));
        CHECK(credential(c, "k1") && slice_eq(credential(c, "k1")->value, SLICE("sk-1")));
        CHECK(credential(c, "k2") && slice_eq(credential(c, "k2")->name, SLICE("two")));
        CHECK((credential(c, "f") != NULL) == (texts[i] && strstr(texts[i], "\"f\"") != NULL));
        CHECK(c->gateway.total_timeout_ms == 7000 && c->gateway.max_output_tokens == 9);
        CHECK(c->gateway.cooldown == !(texts[i] && strstr(texts[i], "cooldown")));
        CHECK((credential(c, "managed:openai:0") != NULL) == !texts[i]);
        conf_put(c);

        c = conf_load_stored(text, &(struct conf_stored){0}, &env, &e);
        CHECK(c && !conf_access_config(c, SLICE("c1")));
        conf_put(c);
    }
}

static void test_who_wins(void)
{
    struct conf_stored s = {.gateway = {{"totalTimeout", SLICE("\"7s\"")}, {"cooldown", SLICE("false")}}, .ngateway = 2};
    struct conf_stored_error e;
    struct conf *c = conf_load_stored(SLICE("{\"gateway\":{\"totalTimeout\":\"3s\"}}"), &s, &env, &e);

    check_case("the file's settings win");
    CHECK(c && c->gateway.total_timeout_ms == 3000 && !c->gateway.cooldown);
    conf_put(c);
    CHECK(conf_text_sets(SLICE("{\"gateway\":{\"totalTimeout\":\"3s\"}}"), "totalTimeout"));
    CHECK(conf_text_sets(SLICE("{\"\\u0067ateway\":{\"total\\u0054imeout\":null}}"), "totalTimeout"));
    CHECK(!conf_text_sets(SLICE("{\"gateway\":{\"totalTimeout\":\"3s\"}}"), "cooldown"));
    CHECK(!conf_text_sets(SLICE("{\"totalTimeout\":1}"), "totalTimeout"));
    CHECK(!conf_text_sets(SLICE("{\"gateway\":[\"totalTimeout\"]}"), "totalTimeout"));
    CHECK(!conf_text_sets(SLICE("{\"gateway\":"), "totalTimeout"));
    CHECK(!conf_text_sets(slice_make(NULL, 0), "totalTimeout"));

    check_case("env: and file: are words of the file alone");
    s = (struct conf_stored){.list[STORED_PROVIDER_KEYS] = SLICE("{\"id\":\"e\",\"providerId\":\"openai\",\"name\":\"e\",\"value\":\"env:KEY\"},"
                                                                 "{\"id\":\"p\",\"providerId\":\"openai\",\"name\":\"p\",\"value\":\"file:/etc/x\"}")};
    c = conf_load_stored(SLICE("{\"providerKeys\":[{\"id\":\"f\",\"providerId\":\"openai\",\"name\":\"f\",\"value\":\"env:KEY\"},"
                               "{\"id\":\"g\",\"providerId\":\"openai\",\"name\":\"g\",\"value\":\"file:/etc/x\"}]}"), &s, &env, &e);
    if (CHECK(c != NULL)) {
        CHECK_SLICE(credential(c, "f")->value, SLICE("sk-from-the-environment"));
        CHECK_SLICE(credential(c, "g")->value, SLICE("sk-from-a-file"));
        CHECK_SLICE(credential(c, "e")->value, SLICE("env:KEY"));
        CHECK_SLICE(credential(c, "p")->value, SLICE("file:/etc/x"));
        conf_put(c);
    }
}

/* Stored ones that don't fit: which one it is, and where in it. */
static const struct {
    const char *text;
    enum stored_list list;
    const char *items;
    uint32_t index;
    const char *inside;
} wrong[] = {
    {"{}", STORED_PROVIDERS, "{\"providerId\":\"a\",\"name\":\"A\",\"baseUrl\":\"ftp://a\"}", 0, "baseUrl"},
    {"{}", STORED_PROVIDERS, CUSTOM ",{\"providerId\":\"mine\",\"name\":\"M\",\"baseUrl\":\"https://m.example\"}", 1, "providerId"},
    {"{\"providers\":[" CUSTOM "]}", STORED_PROVIDERS, CUSTOM, 0, "providerId"},
    {"{\"providers\":[ ]}", STORED_PROVIDERS, CUSTOM ",{\"providerId\":\"b\",\"name\":\"B\",\"baseUrl\":\"https://b.example\",\"models\":[{\"modelId\":\"x\"},{\"modelId\":7}]}", 1,
     "models[1].modelId"},
    {"{}", STORED_PROVIDER_KEYS, KEY1 "," KEY2 ",{\"id\":\"k3\",\"providerId\":\"nobody\",\"name\":\"n\",\"value\":\"v\"}", 2, "providerId"},
    {"{\"providerKeys\":[" KEY1 "]}", STORED_PROVIDER_KEYS, KEY2 "," KEY1, 1, "id"},
    {"{\"log\":{}, \"providerKeys\":[" KEY1 " , " KEY2 "] ,\"sim\":true}", STORED_PROVIDER_KEYS, "{\"id\":\"k3\",\"providerId\":\"openai\",\"name\":\"n\",\"value\":\"two words\"}", 0, "value"},
    {"{}", STORED_CONFIGURATIONS, CONFIG("c1", "nope"), 0, "router.rules[0].steps[0].keys[0].id"},
    {"{\"accessKeyConfigurations\":[{\"id\":\"x\",\"name\":\"a ] , \\\" }\"},{\"id\":\"y\",\"name\":\"y\"}]}", STORED_CONFIGURATIONS,
     "{\"id\":\"c1\",\"name\":\"c1\"},{\"id\":\"c2\",\"name\":\"c2\",\"access\":{\"providers\":{\"allow\":[\"openai\",\"nobody\"]}}}", 1, "access.providers.allow[1]"},
    {"{}", STORED_CONFIGURATIONS, "{\"id\":\"c1\",\"name\":\"c1\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"steps\":[{\"type\":\"managed\"},{\"type\":\"other\"}]}]}}", 0,
     "router.rules[0].steps[1].type"},
    {"{}", STORED_CONFIGURATIONS, "{\"id\":\"c1\",\"name\":\"c1\",\"router\":{\"aliases\":{\"fast\":[\"openai:gpt-4o\",\"\"]}}}", 0, "router.aliases.fast[1]"},
};

static void test_wrong(void)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct conf_stored s = {0};
        struct conf_stored_error e;

        check_case(wrong[i].items);
        s.list[wrong[i].list] = slice_str(wrong[i].items);
        CHECK(!conf_load_stored(slice_str(wrong[i].text), &s, &env, &e));
        CHECK_INT(e.list, wrong[i].list);
        CHECK_INT(e.index, wrong[i].index);
        CHECK_STR(slice_str(e.inside), wrong[i].inside);
        CHECK(e.e.text[0] && !strstr(e.e.text, "sk-") && !strstr(e.e.text, "two words"));
    }

    check_case("the file's own mistakes are nobody else's");
    {
        static const char *const texts_wrong[] = {"", "{", "[]", "{\"nope\":1}", "{\"providerKeys\":{}}", "{\"providerKeys\":[{\"id\":\"x\"}]}", "{\"gateway\":[]}",
                                                  "{\"providerKeys\":[],\"providerKeys\":[]}"};
        struct conf_stored s = {.list[STORED_PROVIDER_KEYS] = SLICE(KEY1), .gateway = {{"cooldown", SLICE("false")}}, .ngateway = 1};
        struct conf_stored_error e;

        for (size_t i = 0; i < COUNT(texts_wrong); i++) {
            check_case(texts_wrong[i]);
            CHECK(!conf_load_stored(slice_str(texts_wrong[i]), &s, &env, &e));
            CHECK(e.list == -1 && e.e.text[0]);
        }
    }

    check_case("a stored setting that is none");
    {
        struct conf_stored s = {.gateway = {{"totalTimeout", SLICE("\"soon\"")}}, .ngateway = 1};
        struct conf_stored_error e;

        CHECK(!conf_load_stored(SLICE("{\"gateway\":{\"cooldown\":true}}"), &s, &env, &e));
        CHECK(e.list == -1);
        CHECK_STR(slice_str(e.path), "gateway.totalTimeout");
    }
}

/* The most deeply nested thing that a call's body may hold lies two levels deeper in the whole. */
static void test_deep(void)
{
    for (int levels = JSON_DEPTH_MAX - 8; levels <= JSON_DEPTH_MAX + 2; levels++) {
        char text[512] = "{\"id\":\"c1\",\"name\":\"c1\",\"router\":";
        struct conf_stored s = {0};
        struct conf_stored_error e;
        size_t n = strlen(text);

        for (int i = 0; i < levels; i++)
            text[n++] = '[';
        for (int i = 0; i < levels; i++)
            text[n++] = ']';
        text[n++] = '}';
        check_case("deep");
        s.list[STORED_CONFIGURATIONS] = slice_make(text, n);
        CHECK(!conf_load_stored(SLICE("{}"), &s, &env, &e));
        CHECK_INT(e.list, STORED_CONFIGURATIONS);
        CHECK_INT(e.index, 0);
        CHECK(slice_starts(slice_str(e.inside), SLICE("router")));
    }
}

/* Each allocation refused once: an error with words, nothing lost, nothing left. */
static void test_no_memory(void)
{
    struct conf_stored s = {.list = {SLICE(CUSTOM), SLICE(KEY1 "," KEY2), SLICE(CONFIG("c1", "k1"))}};
    struct conf_stored_error e;
    struct conf *c = NULL;
    unsigned n;

    check_case("no memory");
    for (n = 1; n < 100 && !c; n++) {
        mem_heap_fail_at(n, false);
        c = conf_load_stored(SLICE("{\"log\":{}}"), &s, &env, &e);
        mem_heap_fail_at(0, false);
        CHECK(c || strstr(e.e.text, "memory"));
    }
    CHECK(c && n > 3);
    conf_put(c);
}

int main(void)
{
    test_in_force();
    test_who_wins();
    test_wrong();
    test_deep();
    test_no_memory();
    return check_end();
}
