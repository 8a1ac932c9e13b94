/* The config: each rule of spec 11 and 12 with what it accepts, and what it refuses at which line and column. */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "check.h"
#include "conf/catalog.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- An environment and files of our own. ---- */

struct pair {
    const char *name, *value;
};

static const struct pair variables[] = {
    {"KEY", "sk-one"},       {"KEY_NL", "sk-two\r\n"},    {"KEY_BLANK", "  \t sk-three \n"}, {"EMPTY", ""},
    {"BLANK", " \n"},        {"INNER", "sk-\nhidden"},    {"SPACE", "sk hidden"},            {"HIGH", "sk-\xc3\xbc"},
    {"TOKEN", "aigk-token"}, {"ON", "true"},              {"PORT8", "127.0.0.1:9999"},       {"COUNT", "77"},
    {"URL", "https://proxy.example/v1"}, {"STANDIN", "changeme"}, {"BRACKETS", "<key>"},
    {"CTRL", "sk-hidden\x01"}, {"DEL", "sk-hid\x7f" "den"}, {"DURATION", "7s"},
};
static const struct pair files[] = {
    {"/k", "sk-file\n"},
    {"/empty", "\n"},
    {"/cert", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"},
    {"/key", "\n-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"},
};

static const char *look_up(const struct pair *p, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(p[i].name, name) == 0)
            return p[i].value;
    return NULL;
}

static const char *test_getenv(void *user, const char *name)
{
    (void)user;
    return look_up(variables, COUNT(variables), name);
}

static const char *no_getenv(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool test_read_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    char name[64];
    const char *value;

    (void)user;
    if (path.n >= sizeof(name))
        return false;
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    value = look_up(files, COUNT(files), name);
    if (!value)
        return false;
    *out = arena_copy(a, slice_str(value));
    return out->p != NULL;
}

static const struct conf_env env = {.getenv = test_getenv, .read_file = test_read_file};
static const struct conf_env bare_env = {.getenv = no_getenv, .read_file = test_read_file};

/* Loads a copy in memory of exactly its size, freed before the snapshot is looked at: nothing may point into it. */
static struct conf *load(const char *text, struct conf_error *e)
{
    size_t n = strlen(text);
    char *copy = malloc(n + 1);
    struct conf *c;

    if (!copy)
        abort();
    memcpy(copy, text, n);
    c = conf_load(slice_make(copy, n), &env, e);
    memset(copy, 'x', n);
    free(copy);
    return c;
}

static struct conf *good(const char *text)
{
    struct conf_error e;
    struct conf *c = load(text, &e);

    if (!CHECK(c != NULL))
        printf("     %u:%u: %s\n", e.line, e.column, e.text);
    return c;
}

static void drop(struct conf *c)
{
    if (c)
        conf_put(c);
}

/* ---- Small languages. ---- */

static void durations(void)
{
    static const struct {
        const char *text;
        long long ms; /* -1: refused */
    } row[] = {
        {"0", 0},           {"30s", 30000},     {"2m", 120000},    {"1m30s", 90000},   {"500ms", 500},
        {"1h", 3600000},    {"1.5s", 1500},     {".5s", 500},      {"1.s", 1000},      {"1h2m3.5s", 3723500},
        {"1us", 1},         {"1ns", 1},         {"0s", 0},         {"0ms", 0},         {"24h", 86400000},
        {"1500us", 2},      {"\xc2\xb5s", -1},  {"5\xc2\xb5s", 1}, {"5\xce\xbcs", 1},  {"1s1s", 2000},
        {"", -1},           {"30", -1},         {"s", -1},         {"-1s", -1},        {"+1s", -1},
        {"1 s", -1},        {" 1s", -1},        {"1s ", -1},       {"1S", -1},         {"1d", -1},
        {"24h1ms", -1},     {"25h", -1},        {".s", -1},        {"1..5s", -1},      {"1e3s", -1},
        {"99999999999999999999h", -1},          {"18446744073709551615ns", -1},        {"1s.", -1},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        uint32_t ms = 12345;
        bool ok = conf_duration_ms(slice_str(row[i].text), &ms);

        check_case(row[i].text);
        CHECK_INT(ok ? (long long)ms : -1, row[i].ms);
    }
}

static void redaction(void)
{
    char out[20];

    check_case("redaction");
    CHECK_STR(conf_redact(SLICE("sk-proj-0123456789abcdefghijkl"), out), "sk-proj-01***ijkl");
    CHECK_STR(conf_redact(SLICE("123456789012345678901234"), out), "1234567890***1234");
    CHECK_STR(conf_redact(SLICE("12345678901234567890123"), out), "***");
    CHECK_STR(conf_redact(SLICE(""), out), "***");
}

/* ---- Defaults and the example. ---- */

static void same_defaults(const struct conf *c)
{
    CHECK_STR(c->listen.host, "127.0.0.1");
    CHECK_INT(c->listen.port, 8080);
    CHECK_INT(c->tls_cert.n + c->tls_key.n, 0);
    CHECK(c->admin_on);
    CHECK_STR(c->admin_listen.host, "127.0.0.1");
    CHECK_INT(c->admin_listen.port, 8081);
    CHECK_INT(c->nadmin_keys, 0);
    CHECK_INT(c->state_dir.n, 0);
    CHECK(c->state_key == NULL);
    CHECK_INT(c->gateway.connect_timeout_ms, 5000);
    CHECK_INT(c->gateway.per_request_timeout_ms, 60000);
    CHECK_INT(c->gateway.first_token_timeout_ms, 0);
    CHECK_INT(c->gateway.total_timeout_ms, 120000);
    CHECK_INT(c->gateway.stream_idle_timeout_ms, 120000);
    CHECK_INT(c->gateway.stream_heartbeat_ms, 0);
    CHECK_INT(c->gateway.max_input_tokens, 0);
    CHECK_INT(c->gateway.max_output_tokens, 0);
    CHECK(c->gateway.cooldown);
    CHECK_INT(c->max_connections, 4096);
    CHECK_INT(c->max_request_bytes, 33554432);
    CHECK_INT(c->memory, 268435456);
    CHECK_INT(c->ca_file.n, 0);
    CHECK_INT(c->ndns, 0);
    CHECK(c->allow_private);
    CHECK(!c->sim);
    CHECK_INT(c->log_level, LOG_INFO);
    CHECK(c->log_requests);
    CHECK_INT(c->log_file.n, 0);
    CHECK_INT(c->sandbox, CONFINE_ON);
    CHECK_INT(c->user.n, 0);
}

static void defaults(void)
{
    struct conf *c;

    check_case("an empty object is all defaults");
    c = good("{}");
    if (c) {
        same_defaults(c);
        CHECK_INT(c->nproviders, catalog_count);
        CHECK_INT(c->naccess_keys, 0);
        CHECK(conf_provider(c, SLICE("openai")) && conf_provider(c, SLICE("openai"))->nmanaged == 0);
    }
    drop(c);
    check_case("null is the default");
    c = good("{\"listen\":null,\"tls\":null,\"admin\":null,\"gateway\":{\"connectTimeout\":null,\"cooldown\":null},"
             "\"limits\":null,\"upstream\":{\"dns\":null,\"caFile\":null},\"sim\":null,\"managed\":null,"
             "\"providers\":null,\"providerKeys\":null,\"accessKeyConfigurations\":null,\"accessKeys\":null,"
             "\"log\":{\"level\":null}}");
    if (c)
        same_defaults(c);
    drop(c);
}

/* The file at the top level shows the defaults, loads without any variable set, and holds every name there is. */
static void example_file(void)
{
    static char text[1 << 16];
    FILE *f = fopen("config.example.json", "rb");
    struct conf_error e;
    struct conf *c;
    size_t n;

    check_case("config.example.json");
    if (!f) {
        printf("left out: config.example.json is not in the present folder\n");
        return;
    }
    n = fread(text, 1, sizeof(text), f);
    fclose(f);
    c = conf_load(slice_make(text, n), &bare_env, &e);
    if (!CHECK(c != NULL)) {
        printf("     %u:%u: %s\n", e.line, e.column, e.text);
        return;
    }
    same_defaults(c);
    CHECK_INT(c->naccess_keys, 0);
    CHECK_INT(c->nwarnings, 3);
    CHECK(conf_alias(&c->access_config[0], SLICE("fast")) != NULL);
    conf_put(c);
}

static const char full_text[] =
    "{ \"listen\": \"127.0.0.1:8080\",\n"
    "  \"tls\": { \"cert\": \"file:/cert\", \"key\": \"file:/key\" },\n"
    "  \"admin\": { \"listen\": \"[::1]:0\", \"apiKeys\": [\"env:KEY\", \"second\"] },\n"
    "  \"stateDir\": \"/var/lib/weir\", \"stateKey\": \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\n"
    "  \"gateway\": { \"connectTimeout\": \"3s\", \"perRequestTimeout\": \"50s\", \"firstTokenTimeout\": \"2s\",\n"
    "    \"totalTimeout\": \"1m30s\", \"streamIdleTimeout\": \"100s\", \"streamHeartbeat\": \"15s\",\n"
    "    \"maxInputTokens\": 100000, \"maxOutputTokens\": 4096, \"cooldown\": false },\n"
    "  \"limits\": { \"maxConnections\": 100, \"maxRequestBytes\": \"1MiB\", \"memory\": \"64MiB\" },\n"
    "  \"upstream\": { \"caFile\": \"file:/etc/ca.pem\", \"dns\": [\"127.0.0.1:5353\", \"1.1.1.1\", \"::1\"],\n"
    "    \"allowPrivate\": true },\n"
    "  \"sim\": true,\n"
    "  \"sandbox\": \"off\", \"user\": \"weir\",\n"
    "  \"managed\": { \"openai\": [\"env:KEY\", \"env:NOT_SET\", \"env:KEY_NL\"], \"anthropic\": [\"env:EMPTY\"] },\n"
    "  \"providers\": [\n"
    "    { \"providerId\": \"openai\", \"baseUrl\": \"http://127.0.0.1:9001/v1\" },\n"
    "    { \"providerId\": \"my-ollama\", \"name\": \"Ollama\", \"baseUrl\": \"http://127.0.0.1:9001/v1/\",\n"
    "      \"supportedApiSurfaces\": [ { \"format\": \"openai\", \"surface\": \"chat-completions\",\n"
    "         \"supportedParams\": [{\"name\":\"temperature\"}] }, { \"format\": \"anthropic\" } ],\n"
    "      \"models\": [ { \"modelId\": \"Llama3.2:70B\", \"contextWindow\": 8192, \"maxOutputTokens\": 512,\n"
    "         \"usdPerMillionTokens\": {\"input\": 0.0375, \"output\": 2}, \"unsupportedParams\": [{\"name\":\"logprobs\"}] } ],\n"
    "      \"metadata\": \"kept\\nnowhere\" } ],\n"
    "  \"providerKeys\": [ { \"id\": \"aigpk_primary\", \"providerId\": \"openai\", \"name\": \"primary\", \"value\": \"env:KEY_BLANK\" },\n"
    "    { \"id\": \"aigpk_backup\", \"providerId\": \"openai\", \"value\": \"file:/k\", \"description\": \"d\" } ],\n"
    "  \"accessKeyConfigurations\": [ { \"id\": \"aigac_prod\", \"name\": \"OpenAI with failover\",\n"
    "      \"access\": { \"providers\": { \"allow\": [\"anthropic\", \"openai\", \"my-ollama\"] },\n"
    "                  \"models\": { \"allow\": [\"openai/gpt-4o\", \"my-ollama:other\"] } },\n"
    "      \"router\": { \"hedgeAfter\": \"800ms\", \"continueStreams\": true, \"rules\": [\n"
    "        { \"model\": \"openai:gpt-4o\", \"steps\": [ { \"type\": \"managed\" },\n"
    "          { \"type\": \"user\", \"keys\": [ { \"name\": \"inline\", \"value\": \"sk-inline\" } ] } ] },\n"
    "        { \"provider\": \"openai\", \"steps\": [ { \"type\": \"user\", \"keySelectionStrategy\": \"round_robin\",\n"
    "          \"keys\": [ { \"id\": \"aigpk_primary\" }, { \"id\": \"aigpk_backup\" } ] }, { \"type\": \"ngrok\" } ] } ],\n"
    "        \"aliases\": { \"fast\": [\"openai:gpt-4o-mini\", \"slow\", \"openai:GPT-4o-mini\"], \"Slow\": [\"claude-opus-4-1\"],\n"
    "          \"gpt-4o\": [\"gpt-4o\", \"fast\"] } } } ],\n"
    "  \"accessKeys\": [ { \"id\": \"aigk_app\", \"name\": \"app\", \"token\": \"env:TOKEN\",\n"
    "      \"accessKeyConfigurationId\": \"aigac_prod\", \"limits\": { \"requestsPerMinute\": 60, \"tokensPerMinute\": 90000, \"usdPerDay\": 2.5, \"usdTotal\": 0.000001 },\n"
    "      \"expiresAt\": \"2026-11-22T00:19:18+02:00\" },\n"
    "    { \"id\": \"aigk_two\", \"tokenSha256\": \"0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef\" } ],\n"
    "  \"log\": { \"level\": \"warn\", \"requests\": false, \"file\": \"/var/log/weir.log\" } }\n";

static void full_settings(const struct conf *c)
{
    uint8_t hash[32];

    CHECK(slice_starts(c->tls_cert, SLICE("-----BEGIN CERTIFICATE-----")));
    CHECK(slice_starts(c->tls_key, SLICE("-----BEGIN PRIVATE KEY-----")));
    CHECK_STR(c->admin_listen.host, "::1");
    CHECK_INT(c->admin_listen.port, 0);
    if (CHECK(c->nadmin_keys == 2)) {
        sha256(SLICE("sk-one"), hash);
        CHECK(memcmp(c->admin_key[0], hash, 32) == 0);
        sha256(SLICE("second"), hash);
        CHECK(memcmp(c->admin_key[1], hash, 32) == 0);
    }
    CHECK_STR(c->state_dir, "/var/lib/weir");
    CHECK(c->state_key && c->state_key[0] == 0 && c->state_key[31] == 0x1f);
    CHECK_INT(c->gateway.connect_timeout_ms, 3000);
    CHECK_INT(c->gateway.per_request_timeout_ms, 50000);
    CHECK_INT(c->gateway.first_token_timeout_ms, 2000);
    CHECK_INT(c->gateway.total_timeout_ms, 90000);
    CHECK_INT(c->gateway.stream_idle_timeout_ms, 100000);
    CHECK_INT(c->gateway.stream_heartbeat_ms, 15000);
    CHECK_INT(c->gateway.max_input_tokens, 100000);
    CHECK_INT(c->gateway.max_output_tokens, 4096);
    CHECK(!c->gateway.cooldown);
    CHECK_INT(c->max_connections, 100);
    CHECK_INT(c->max_request_bytes, 1 << 20);
    CHECK_INT(c->memory, 64 << 20);
    CHECK_STR(c->ca_file, "/etc/ca.pem");
    CHECK_INT(c->ndns, 3);
    CHECK_INT(c->dns[0].port, 5353);
    CHECK_INT(c->dns[1].port, 53);
    CHECK_STR(c->dns[2].host, "::1");
    CHECK(c->sim);
    CHECK_INT(c->sandbox, CONFINE_OFF);
    CHECK_STR(c->user, "weir");
    CHECK_INT(c->log_level, LOG_WARN);
    CHECK(!c->log_requests);
    CHECK_STR(c->log_file, "/var/log/weir.log");
    CHECK_INT(c->nwarnings, 2);
}

static void full_providers(const struct conf *c)
{
    const struct provider *openai = conf_provider(c, SLICE("openai")), *ollama = conf_provider(c, SLICE("my-ollama"));
    const struct provider *sim = conf_provider(c, SLICE("sim")), *google = conf_provider(c, SLICE("google"));
    const struct conf_model *m;

    if (!CHECK(openai && ollama && sim && google))
        return;
    CHECK(!conf_provider(c, SLICE("OpenAI")) && !conf_provider(c, SLICE("")));
    CHECK(openai->builtin && !openai->base.https && openai->base.port == 9001);
    CHECK_STR(openai->authority, "127.0.0.1:9001");
    CHECK_STR(openai->base.path, "/v1");
    CHECK_INT(openai->origin, ollama->origin);
    CHECK(openai->origin != google->origin && sim->origin != openai->origin && sim->origin < c->norigins);
    CHECK_STR(google->authority, "generativelanguage.googleapis.com");
    CHECK_INT(openai->nmanaged, 2);
    CHECK_STR(openai->managed[0]->id, "managed:openai:0");
    CHECK_STR(openai->managed[0]->name, "managed");
    CHECK_STR(openai->managed[0]->value, "sk-one");
    CHECK_STR(openai->managed[1]->value, "sk-two");
    CHECK(openai->managed[1]->managed && openai->managed[1]->provider == openai);
    CHECK_INT(openai->nkeys, 3);
    CHECK_STR(openai->key[0]->name, "primary");
    CHECK_STR(openai->key[0]->value, "sk-three");
    CHECK_STR(openai->key[1]->name, "aigpk_backup");
    CHECK_STR(openai->key[1]->value, "sk-file");
    CHECK_STR(openai->key[2]->id, "aigac_prod/inline");
    CHECK_STR(openai->key[2]->value, "sk-inline");
    CHECK_INT(conf_provider(c, SLICE("anthropic"))->nmanaged, 0);
    CHECK(!openai->none && openai->blank && ollama->none && ollama->none->value.n == 0 && sim->none && sim->sim);
    for (uint32_t i = 0; i < c->ncredentials; i++)
        CHECK(c->credential[i].index == i);

    CHECK(!ollama->builtin && ollama->surfaces == (1u << SURFACE_CHAT | 1u << SURFACE_MESSAGES));
    CHECK(ollama->params && ollama->params[SURFACE_CHAT].limited && !ollama->params[SURFACE_MESSAGES].limited);
    CHECK_STR(ollama->params[SURFACE_CHAT].name[0], "temperature");
    m = conf_provider_model(ollama, SLICE("llama3.2:70b"));
    if (CHECK(m != NULL)) {
        CHECK_STR(m->id, "Llama3.2:70B");
        CHECK_INT(m->context_window, 8192);
        CHECK_INT(m->max_output_tokens, 512);
        CHECK(m->priced && m->price_input == 37500 && m->price_output == 2000000 && m->price_cache_read == 37500);
        CHECK_STR(m->unsupported[0], "logprobs");
    }
    CHECK(!conf_provider_model(openai, SLICE("llama3.2:70b")));
    CHECK(conf_model(c, SLICE("LLAMA3.2:70b")) && conf_model(c, SLICE("LLAMA3.2:70b"))->provider == ollama);
    CHECK(conf_model(c, SLICE("GPT-4O")) && conf_model(c, SLICE("GPT-4O"))->provider == openai);
    CHECK(!conf_model(c, SLICE("gpt-4o ")) && !conf_model(c, SLICE("")));
}

static void full_routing(const struct conf *c)
{
    const struct provider *openai = conf_provider(c, SLICE("openai"));
    const struct access_config *config = &c->access_config[0];
    const struct access_key *key;
    const struct rule *rule;
    const struct alias *alias;
    uint8_t hash[32];

    sha256(SLICE("aigk-token"), hash);
    key = conf_access_key(c, hash);
    if (CHECK(key != NULL)) {
        CHECK_STR(key->id, "aigk_app");
        CHECK(key->config == config);
        CHECK_INT(key->limits.requests_per_minute, 60);
        CHECK_INT(key->limits.tokens_per_minute, 90000);
        CHECK_INT(key->limits.budget_per_day, 2500000);
        CHECK_INT(key->limits.budget_total, 1);
        CHECK_INT(key->limits.expires_ms, 1795299558000);
    }
    hash[31] ^= 1;
    CHECK(!conf_access_key(c, hash));
    CHECK_INT(c->naccess_keys, 2);
    CHECK_INT(c->access_key[1].sha256[15], 0xef);
    CHECK(c->access_key[1].config == NULL);
    CHECK(!key_limits_any(&c->access_key[1].limits) && !c->access_key[1].limits.expires_ms);

    CHECK(config->scope_providers && config->scope_models && config->continue_streams);
    CHECK_INT(config->hedge_after_ms, 800);
    CHECK(conf_allows(config, openai, SLICE("GPT-4o")));
    CHECK(!conf_allows(config, openai, SLICE("gpt-4o-mini")));
    CHECK(conf_allows(config, conf_provider(c, SLICE("my-ollama")), SLICE("other")));
    CHECK(!conf_allows(config, conf_provider(c, SLICE("google")), SLICE("gpt-4o")));

    rule = conf_rule(config, openai, SLICE("GPT-4O"));
    if (CHECK(rule && rule->nsteps == 2)) {
        CHECK(rule->step[0].managed && !rule->step[1].managed);
        CHECK_STR(rule->step[1].key[0]->value, "sk-inline");
    }
    rule = conf_rule(config, openai, SLICE(""));
    if (CHECK(rule && rule->nsteps == 2)) {
        CHECK(rule->step[0].strategy == STRATEGY_ROUND_ROBIN && rule->step[0].nkeys == 2 && rule->step[1].managed);
        CHECK(rule->step[0].key[0] == openai->key[0] && rule->step[0].index < c->nsteps);
    }
    CHECK(!conf_rule(config, openai, SLICE("gpt-4o-mini")));
    CHECK(!conf_rule(config, conf_provider(c, SLICE("anthropic")), SLICE("")));
    CHECK_INT(c->nsteps, 4);

    alias = conf_alias(config, SLICE("FAST"));
    if (CHECK(alias && alias->ntargets == 2)) {
        CHECK_STR(alias->target[0].model, "gpt-4o-mini");
        CHECK_STR(alias->target[1].provider->id, "anthropic");
    }
    alias = conf_alias(config, SLICE("gpt-4o"));
    CHECK(alias && alias->ntargets == 3 && alias->target[0].provider == openai);
    CHECK(!conf_alias(config, SLICE("fas")) && !conf_alias(NULL, SLICE("fast")));
}

static void full(void)
{
    struct conf *c;

    check_case("everything at once");
    c = good("{\"sim\":false}");
    CHECK(c && !conf_provider(c, SLICE("sim")));
    drop(c);
    c = good(full_text);
    if (!c)
        return;
    full_settings(c);
    full_providers(c);
    full_routing(c);
    conf_get(c);
    conf_put(c);
    conf_put(c);
}

/* ---- What is accepted. ---- */

static void accepted(void)
{
    static const struct {
        const char *name, *text;
    } row[] = {
        {"port 0", "{\"listen\":\"127.0.0.1:0\"}"},
        {"all addresses", "{\"listen\":\":8080\"}"},
        {"IPv6", "{\"listen\":\"[::1]:8080\"}"},
        {"localhost", "{\"listen\":\"localhost:8080\"}"},
        {"an address from the environment", "{\"listen\":\"env:PORT8\"}"},
        {"a switch from the environment", "{\"sim\":\"env:ON\"}"},
        {"a number from the environment", "{\"limits\":{\"maxConnections\":\"env:COUNT\"}}"},
        {"a duration from the environment", "{\"gateway\":{\"totalTimeout\":\"env:DURATION\"}}"},
        {"admin off", "{\"admin\":{\"listen\":null}}"},
        {"names with escapes", "{\"\\u006cisten\":\"127.0.0.1:1\"}"},
        {"https to anywhere", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"https://api.example.com/v1\"}]}"},
        {"http to loopback", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://127.9.9.9/v1\"}]}"},
        {"http to IPv6 loopback", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://[::1]:1/v1\"}]}"},
        {"http to 10/8", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://10.1.2.3\"}]}"},
        {"http to 172.16/12", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://172.31.0.1\"}]}"},
        {"http to 192.168/16", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://192.168.1.1\"}]}"},
        {"http to .internal", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://LLM.Internal/v1\"}]}"},
        {"http to localhost", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://localhost:1/v1\"}]}"},
        {"http to a container", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://ollama:11434/v1\"}]}"},
        {"a base URL from the environment", "{\"providers\":[{\"providerId\":\"openai\",\"baseUrl\":\"env:URL\"}]}"},
        {"sections in any order", "{\"accessKeys\":[{\"accessKeyConfigurationId\":\"c\",\"token\":\"t\",\"id\":\"k\"}],"
                                  "\"accessKeyConfigurations\":[{\"router\":{\"rules\":[{\"steps\":[{\"keys\":[{\"id\":\"pk\"}],"
                                  "\"type\":\"user\"}],\"provider\":\"p\"}]},\"id\":\"c\"}],"
                                  "\"providerKeys\":[{\"value\":\"v\",\"providerId\":\"p\",\"id\":\"pk\"}],"
                                  "\"providers\":[{\"baseUrl\":\"http://[::1]/\",\"providerId\":\"p\"}]}"},
        {"empty lists", "{\"managed\":{},\"providers\":[],\"providerKeys\":[],\"accessKeyConfigurations\":[],\"accessKeys\":[]}"},
        {"an empty allow list", "{\"accessKeyConfigurations\":[{\"id\":\"c\",\"access\":{\"models\":{\"allow\":[]}}}]}"},
        {"an alias named as its model",
         "{\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"aliases\":{\"gpt-4o\":[\"gpt-4o\",\"claude-opus-4-1\"]}}}]}"},
        {"a diamond of aliases is no loop",
         "{\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"aliases\":{\"a\":[\"b\",\"c\"],\"b\":[\"d\"],\"c\":[\"d\"],"
         "\"d\":[\"openai:x\"]}}}]}"},
        {"a rule for an unknown model of a known provider",
         "{\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"rules\":[{\"provider\":\"openai\",\"model\":\"new\","
         "\"steps\":[{\"type\":\"managed\"}]},{\"model\":\"openai:newer\",\"steps\":[{\"type\":\"ngrok\"}]}]}}]}"},
        {"a model of the catalog declared again",
         "{\"providers\":[{\"providerId\":\"openai\",\"baseUrl\":\"https://x.example\",\"models\":[{\"modelId\":\"GPT-4o\"},"
         "{\"modelId\":\"mine\"}]}]}"},
        {"the largest duration", "{\"gateway\":{\"totalTimeout\":\"24h\"}}"},
    };

    for (size_t i = 0; i < COUNT(row); i++) {
        check_case(row[i].name);
        drop(good(row[i].text));
    }
}

/* ---- What is refused, where, and in which words. ---- */

#define CONFIG(inner) "{\"accessKeyConfigurations\":[{\"id\":\"c\"," inner "}]}"
#define ROUTER(inner) CONFIG("\"router\":{" inner "}")
#define RULES(inner) "{\"providerKeys\":[{\"id\":\"pk\",\"providerId\":\"openai\",\"value\":\"v\"}," \
                     "{\"id\":\"other\",\"providerId\":\"google\",\"value\":\"v\"}],\n" \
                     "\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"rules\":[\n" inner "]}}]}"
#define PROVIDER(inner) "{\"providers\":[{\"providerId\":\"p\"," inner "}]}"

static const struct bad_row {
    const char *name, *text;
    unsigned line, column;
    const char *says;
} bad[] = {
#define ACCESS(inner) "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"weir-secret\",\n" inner "}]}"
    {"a limit of nothing", ACCESS("\"limits\":{\"requestsPerMinute\":0}"), 2, 31, "between 1 and"},
    {"a limit beyond sense", ACCESS("\"limits\":{\"tokensPerMinute\":1000000000001}"), 2, 29, "between 1 and"},
    {"a budget of nothing", ACCESS("\"limits\":{\"usdPerDay\":0.0}"), 2, 23, "must be more than 0"},
    {"a negative budget", ACCESS("\"limits\":{\"usdTotal\":-1}"), 2, 22, "not negative"},
    {"an unknown limit", ACCESS("\"limits\":{\"requestsPerHour\":1}"), 2, 11, "did you mean \"requestsPerMinute\"?"},
    {"limits as a number", ACCESS("\"limits\":5"), 2, 10, "must be an object"},
    {"an expiry without a time", ACCESS("\"expiresAt\":\"2030-01-01\""), 2, 13, "must be a time such as"},
    {"an expiry as a number", ACCESS("\"expiresAt\":1767225600"), 2, 13, "must be a string"},
    {"nothing", "", 1, 1, "not valid JSON"},
    {"not an object", "[]", 1, 1, "must be an object"},
    {"a comment", "{\n  // hi\n}", 2, 3, "not valid JSON"},
    {"trailing comma", "{\"sim\":true,}", 1, 13, "not valid JSON"},
    {"cut", "{\"sim\":true", 1, 12, "not valid JSON"},
    {"unknown name with a near one", "{\n  \"listn\": 1}", 2, 3, "did you mean \"listen\"?"},
    {"unknown name in another case", "{\"Listen\": 1}", 1, 2, "did you mean \"listen\"?"},
    {"unknown name far from all", "{\"zzzzzzzzzzzzzz\": 1}", 1, 2, "known: \"listen\""},
    {"unknown name inside", "{\"gateway\":{\"perRequestTimout\":\"1s\"}}", 1, 13, "did you mean \"perRequestTimeout\"?"},
    {"a name twice", "{\"sim\":true,\n\"sim\":false}", 2, 1, "given twice"},
    {"a name twice, once with an escape", "{\"sim\":true,\"\\u0073im\":false}", 1, 13, "given twice"},
    {"wrong type", "{\"listen\":\n 8080}", 2, 2, "must be a string, not a number"},
    {"a list for an object", "{\"gateway\":[]}", 1, 12, "must be an object, not a list"},
    {"no such sandbox", "{\"sandbox\":\"kil\"}", 1, 12, "sandbox must be on, kill or off (did you mean"},
    {"a string for a switch", "{\"sim\":\"true\"}", 1, 8, "must be true or false, not a string"},
    {"a number for a duration", "{\"gateway\":{\"totalTimeout\":30}}", 1, 28, "must be a duration such as"},
    {"a bad duration", "{\"gateway\":{\"totalTimeout\":\"30\"}}", 1, 28, "must be a duration such as"},
    {"a duration too long", "{\"gateway\":{\"totalTimeout\":\"25h\"}}", 1, 28, "24h at most"},
    {"no time at all", "{\"gateway\":{\"totalTimeout\":\"0s\"}}", 1, 28, "at least 1ms"},
    {"a string for a number", "{\"gateway\":{\"maxInputTokens\":\"5\"}}", 1, 30, "must be a whole number, not a string"},
    {"a fraction", "{\"gateway\":{\"maxInputTokens\":1.5}}", 1, 30, "must be a whole number"},
    {"a negative number", "{\"limits\":{\"maxConnections\":-1}}", 1, 29, "must be a whole number"},
    {"a number too small", "{\"limits\":{\"maxConnections\":0}}", 1, 29, "between 1 and"},
    {"a number too large", "{\"limits\":{\"maxConnections\":99999999999999999999}}", 1, 29, "must be a whole number"},
    {"a bad size", "{\"limits\":{\"memory\":\"256M\"}}", 1, 21, "must be a size such as"},
    {"a size too large", "{\"limits\":{\"memory\":\"99999999999TiB\"}}", 1, 21, "must be a size such as"},
    {"listen without a port", "{\"listen\":\"127.0.0.1\"}", 1, 11, "must be an address and a port"},
    {"listen with a name", "{\"listen\":\"example.com:80\"}", 1, 11, "must be an address and a port"},
    {"listen with a port too large", "{\"listen\":\"127.0.0.1:65536\"}", 1, 11, "must be an address and a port"},
    {"listen without brackets", "{\"listen\":\"::1:80\"}", 1, 11, "must be an address and a port"},
    {"listen with text behind", "{\"listen\":\"[::1]x:80\"}", 1, 11, "must be an address and a port"},
    {"an empty string", "{\"listen\":\"\"}", 1, 11, "listen is empty"},
    {"a state key too short", "{\"stateKey\":\"00112233\"}", 1, 13, "stateKey must be 32 bytes"},
    {"a state key of other letters", "{\"stateKey\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg\"}", 1, 13, "stateKey must be"},
    {"a state key that is not set", "{\"stateKey\":\"env:NOT_SET_AT_ALL\"}", 1, 13, "NOT_SET_AT_ALL"},
    {"too many name servers", "{\"upstream\":{\"dns\":[\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]}}", 1, 51, "at most 3"},
    {"a bad name server", "{\"upstream\":{\"dns\":[\"one\"]}}", 1, 21, "must be an address such as"},
    {"TLS without a key", "{\"tls\":{\"cert\":\"file:/cert\"}}", 1, 8, "tls needs \"key\""},
    {"a path instead of PEM", "{\"tls\":{\"cert\":\"/cert\",\"key\":\"file:/key\"}}", 1, 16, "file:PATH"},
    {"a file that is not there", "{\"tls\":{\"cert\":\"file:/none\",\"key\":\"file:/key\"}}", 1, 16, "/none can't be read"},
    {"a bad level", "{\"log\":{\"level\":\"warning\"}}", 1, 17, "debug, info, warn or error"},

    {"secret: variable not set", "{\"admin\":{\"apiKeys\":[\"env:NOPE\"]}}", 1, 22, "NOPE is not set"},
    {"secret: variable empty", "{\"admin\":{\"apiKeys\":[\"env:EMPTY\"]}}", 1, 22, "EMPTY is empty"},
    {"secret: variable blank", "{\"admin\":{\"apiKeys\":[\"env:BLANK\"]}}", 1, 22, "BLANK is empty"},
    {"secret: literally empty", "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"\"}]}", 1, 34, "token is empty"},
    {"secret: empty file", "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"file:/empty\"}]}", 1, 34, "token is empty"},
    {"secret: control byte inside", "{\"providerKeys\":[{\"id\":\"pk\",\"providerId\":\"openai\",\"value\":\"env:INNER\"}]}", 1, 59,
     "provider key \"pk\" holds a control character"},
    {"secret: control byte in an escape", "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"hid\\u0000den\"}]}", 1, 34,
     "\"k\" holds a control character"},
    {"secret: control byte at the end", "{\"admin\":{\"apiKeys\":[\"env:CTRL\"]}}", 1, 22, "holds a control character"},
    {"secret: DEL", "{\"admin\":{\"apiKeys\":[\"env:DEL\"]}}", 1, 22, "holds a control character"},
    {"secret: space inside", "{\"managed\":{\"openai\":[\"env:SPACE\"]}}", 1, 23, "managed.openai: this key holds a space"},
    {"secret: not ASCII", "{\"managed\":{\"openai\":[\"env:HIGH\"]}}", 1, 23, "not ASCII"},
    {"secret: stand-in", "{\"admin\":{\"apiKeys\":[\"env:STANDIN\"]}}", 1, 22, "to be replaced"},
    {"secret: stand-in in brackets", "{\"admin\":{\"apiKeys\":[\"env:BRACKETS\"]}}", 1, 22, "to be replaced"},
    {"secret: no variable's name", "{\"admin\":{\"apiKeys\":[\"env:\"]}}", 1, 22, "needs the name"},

    {"provider without an id", "{\"providers\":[{\"baseUrl\":\"https://x\"}]}", 1, 15, "needs \"providerId\""},
    {"provider without a URL", "{\"providers\":[{\"providerId\":\"p\"}]}", 1, 15, "needs \"baseUrl\""},
    {"provider twice", "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"https://x.y\"},\n{\"providerId\":\"p\",\"baseUrl\":\"https://x.y\"}]}",
     2, 15, "declared twice"},
    {"built-in provider twice", "{\"providers\":[{\"providerId\":\"openai\",\"baseUrl\":\"https://x.y\"},\n"
                                "{\"providerId\":\"openai\",\"baseUrl\":\"https://x.y\"}]}", 2, 15, "declared twice"},
    {"provider id with a colon", "{\"providers\":[{\"providerId\":\"a:b\",\"baseUrl\":\"https://x.y\"}]}", 1, 29, "printable"},
    {"provider id with a slash", "{\"providers\":[{\"providerId\":\"a/b\",\"baseUrl\":\"https://x.y\"}]}", 1, 29, "printable"},
    {"the simulator's id", "{\"sim\":true,\"providers\":[{\"providerId\":\"sim\",\"baseUrl\":\"https://x.y\"}]}", 1, 40, "simulator"},
    {"http to a public host", PROVIDER("\"baseUrl\":\"http://api.example.com/v1\""), 1, 43, "use https://"},
    {"http to a public address", PROVIDER("\"baseUrl\":\"http://8.8.8.8/v1\""), 1, 43, "use https://"},
    {"http to link-local", PROVIDER("\"baseUrl\":\"http://169.254.169.254/v1\""), 1, 43, "use https://"},
    {"http to a number", PROVIDER("\"baseUrl\":\"http://2130706433/v1\""), 1, 43, "baseUrl of \"p\""},
    {"http to 172.32", PROVIDER("\"baseUrl\":\"http://172.32.0.1/v1\""), 1, 43, "use https://"},
    {"http to a mapped public address", PROVIDER("\"baseUrl\":\"http://[::ffff:8.8.8.8]/v1\""), 1, 43, "baseUrl of \"p\""},
    {"http to internal.example.com", PROVIDER("\"baseUrl\":\"http://internal.example.com/v1\""), 1, 43, "use https://"},
    {"http where it is forbidden",
     "{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"http://127.0.0.1\"}],\"upstream\":{\"allowPrivate\":false}}", 1, 43,
     "allowPrivate"},
    {"another scheme", PROVIDER("\"baseUrl\":\"ftp://127.0.0.1\""), 1, 43, "baseUrl of \"p\""},
    {"a bad format", PROVIDER("\"baseUrl\":\"https://x.y\",\"supportedApiSurfaces\":[{\"format\":\"grpc\"}]"), 1, 81, "\"openai\" or"},
    {"a bad surface", PROVIDER("\"baseUrl\":\"https://x.y\",\"supportedApiSurfaces\":[{\"format\":\"openai\",\"surface\":\"chat\"}]"),
     1, 81, "\"chat-completions\""},
    {"a surface of the other format",
     PROVIDER("\"baseUrl\":\"https://x.y\",\"supportedApiSurfaces\":[{\"format\":\"anthropic\",\"surface\":\"responses\"}]"), 1, 81,
     "\"messages\""},
    {"a surface twice",
     PROVIDER("\"baseUrl\":\"https://x.y\",\"supportedApiSurfaces\":[{\"format\":\"openai\"},{\"format\":\"openai\"}]"), 1, 101,
     "declared twice"},
    {"a model twice", PROVIDER("\"baseUrl\":\"https://x.y\",\"models\":[{\"modelId\":\"m\"},{\"modelId\":\"M\"}]"), 1, 83, "declared twice"},
    {"a model without an id", PROVIDER("\"baseUrl\":\"https://x.y\",\"models\":[{}]"), 1, 67, "needs \"modelId\""},
    {"a price with seven decimals",
     PROVIDER("\"baseUrl\":\"https://x.y\",\"models\":[{\"modelId\":\"m\",\"usdPerMillionTokens\":{\"input\":0.0000001,\"output\":1}}]"),
     1, 113, "six decimals"},

    {"managed for nobody", "{\"managed\":{\"opnai\":[]}}", 1, 13, "did you mean \"openai\"?"},
    {"managed twice", "{\"managed\":{\"openai\":[\"env:KEY\"],\"openai\":[\"env:KEY\"]}}", 1, 34, "given twice"},
    {"managed is no list", "{\"managed\":{\"openai\":\"env:KEY\"}}", 1, 22, "must be a list"},
    {"the simulator is off", "{\"managed\":{\"sim\":[]}}", 1, 13, "\"sim\": true"},

    {"provider key twice", "{\"providerKeys\":[{\"id\":\"pk\",\"providerId\":\"openai\",\"value\":\"v\"},\n"
                           "{\"id\":\"pk\",\"providerId\":\"openai\",\"value\":\"v\"}]}", 2, 7, "declared twice"},
    {"provider key of nobody", "{\"providerKeys\":[{\"id\":\"pk\",\"providerId\":\"open\",\"value\":\"v\"}]}", 1, 42, "unknown provider"},
    {"provider key without a value", "{\"providerKeys\":[{\"id\":\"pk\",\"providerId\":\"openai\"}]}", 1, 18, "needs \"value\""},

    {"configuration twice", "{\"accessKeyConfigurations\":[{\"id\":\"c\"},\n{\"id\":\"c\"}]}", 2, 7, "declared twice"},
    {"configuration without an id", "{\"accessKeyConfigurations\":[{}]}", 1, 29, "needs \"id\""},
    {"scope: unknown provider", CONFIG("\"access\":{\"providers\":{\"allow\":[\"opnai\"]}}"), 1, 71, "did you mean \"openai\"?"},
    {"scope: unknown model", CONFIG("\"access\":{\"models\":{\"allow\":[\"nobody/x\"]}}"), 1, 68, "unknown model \"nobody/x\""},
    {"scope: a provider for a model", CONFIG("\"access\":{\"models\":{\"allow\":[\"openai\"]}}"), 1, 68, "unknown model \"openai\""},
    {"scope: no list", CONFIG("\"access\":{\"models\":{\"allow\":\"openai/x\"}}"), 1, 67, "must be a list"},
    {"rule without a subject", RULES("{\"steps\":[{\"type\":\"managed\"}]}"), 3, 1, "needs \"provider\" or \"model\""},
    {"rule for an unknown provider", RULES("{\"provider\":\"opnai\",\"steps\":[{\"type\":\"managed\"}]}"), 3, 13, "did you mean \"openai\"?"},
    {"rule for an unknown model", RULES("{\"model\":\"nope\",\"steps\":[{\"type\":\"managed\"}]}"), 3, 10, "unknown model \"nope\""},
    {"rule that contradicts itself",
     RULES("{\"provider\":\"google\",\"model\":\"openai:gpt-4o\",\"steps\":[{\"type\":\"managed\"}]}"), 3, 30, "belongs to \"openai\""},
    {"rule without steps", RULES("{\"provider\":\"openai\"}"), 3, 1, "needs \"steps\""},
    {"rule with no step", RULES("{\"provider\":\"openai\",\"steps\":[]}"), 3, 30, "at least one step"},
    {"two rules for a provider", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"managed\"}]},\n"
                                      "{\"provider\":\"openai\",\"steps\":[{\"type\":\"ngrok\"}]}"), 4, 1, "a rule for openai already"},
    {"two rules for a model", RULES("{\"model\":\"openai:gpt-4o\",\"steps\":[{\"type\":\"managed\"}]},\n"
                                   "{\"model\":\"GPT-4O\",\"steps\":[{\"type\":\"ngrok\"}]}"), 4, 1, "a rule for openai:"},
    {"user step without keys", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\"}]}"), 3, 31, "needs \"keys\""},
    {"user step with no key", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[]}]}"), 3, 31, "needs \"keys\""},
    {"managed step with keys",
     RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"managed\",\"keys\":[{\"id\":\"pk\"}]}]}"), 3, 31, "takes no keys"},
    {"step of another type", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"hosted\"}]}"), 3, 39, "user or managed"},
    {"unknown key", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"id\":\"nope\"}]}]}"), 3, 60,
     "no provider key \"nope\""},
    {"key of another provider", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"id\":\"other\"}]}]}"), 3, 60,
     "belongs to \"google\""},
    {"key by name only", RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"name\":\"n\"}]}]}"), 3, 54,
     "\"name\" and \"value\""},
    {"unknown strategy",
     RULES("{\"provider\":\"openai\",\"steps\":[{\"type\":\"user\",\"keySelectionStrategy\":\"roundrobin\",\"keys\":[{\"id\":\"pk\"}]}]}"),
     3, 69, "did you mean \"round_robin\"?"},
    {"alias loop of one", ROUTER("\"aliases\":{\"a\":[\"a\"]}"), 1, 65, "back to itself"},
    {"alias loop of two", ROUTER("\"aliases\":{\"a\":[\"b\"],\"b\":[\"a\"]}"), 1, 75, "back to itself through \"b\""},
    {"alias loop in another case", ROUTER("\"aliases\":{\"a\":[\"B\"],\"b\":[\"A\"]}"), 1, 75, "back to itself"},
    {"alias twice", ROUTER("\"aliases\":{\"a\":[\"gpt-4o\"],\n\"A\":[\"gpt-4o\"]}"), 2, 1, "given twice"},
    {"alias of nothing", ROUTER("\"aliases\":{\"a\":[]}"), 1, 60, "names no model"},
    {"alias of an unknown model", ROUTER("\"aliases\":{\"a\":[\"nope\"]}"), 1, 65, "unknown model \"nope\""},
    {"alias out of reach", ROUTER("\"aliases\":{\"openai:x\":[\"gpt-4o\"]}"), 1, 60, "can't be reached"},
    {"alias without a name", ROUTER("\"aliases\":{\"\":[\"gpt-4o\"]}"), 1, 60, "1 to 256 bytes"},
    {"a bad hedge", ROUTER("\"hedgeAfter\":\"fast\""), 1, 62, "must be a duration"},

    {"access key twice", "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"a\"},\n{\"id\":\"k\",\"token\":\"b\"}]}", 2, 7, "declared twice"},
    {"two keys with one token", "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"a\"},\n{\"id\":\"l\",\"token\":\"a\"}]}", 2, 19, "token of another"},
    {"access key without a token", "{\"accessKeys\":[{\"id\":\"k\"}]}", 1, 16, "either \"token\" or \"tokenSha256\""},
    {"access key with both",
     "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"a\",\"tokenSha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}]}",
     1, 16, "either \"token\" or \"tokenSha256\""},
    {"a short hash", "{\"accessKeys\":[{\"id\":\"k\",\"tokenSha256\":\"0123\"}]}", 1, 40, "64 hex digits"},
    {"access key of an unknown configuration",
     "{\"accessKeys\":[{\"id\":\"k\",\"token\":\"a\",\"accessKeyConfigurationId\":\"nope\"}]}", 1, 65,
     "no access key configuration \"nope\""},
    {"an id with a blank", "{\"accessKeys\":[{\"id\":\"k k\",\"token\":\"a\"}]}", 1, 22, "printable"},
};

static void refused(void)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct conf_error e;
        struct conf *c = load(bad[i].text, &e);

        check_case(bad[i].name);
        if (!CHECK(c == NULL)) {
            conf_put(c);
            continue;
        }
        CHECK_INT(e.line, bad[i].line);
        CHECK_INT(e.column, bad[i].column);
        if (!CHECK(strstr(e.text, bad[i].says) != NULL))
            printf("     says %s\n", e.text);
        CHECK(!strstr(e.text, "hidden") && !strstr(e.text, "hid\x7f"));
    }
}

/* Every prefix of a good config is refused with a place inside the text, never with a crash or a snapshot. */
static void every_cut(void)
{
    struct conf_error e;

    check_case("cut at every byte");
    for (size_t n = 0; n + 1 < strlen(full_text) - 1; n++) {
        char *copy = malloc(n + !n);
        struct conf *c;

        if (!copy)
            abort();
        memcpy(copy, full_text, n);
        c = conf_load(slice_make(copy, n), &env, &e);
        if (!CHECK(c == NULL))
            conf_put(c);
        CHECK(e.line >= 1 && e.column >= 1 && e.text[0]);
        free(copy);
    }
}

/* The n-th allocation refused, for every n: an error, no leak (the sanitizer looks), no crash. */
static void every_allocation(void)
{
    struct conf_error e;
    bool done = false;
    struct conf *c;

    check_case("the n-th allocation fails");
    for (uint64_t n = 1; n < 1000 && !done; n++) {
        uint64_t before = mem_heap_calls();

        mem_heap_fail_at(before + n, true);
        c = load("{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"https://x.y\"}],\"sim\":true}", &e);
        done = c != NULL;
        if (!c)
            CHECK(strstr(e.text, "out of memory") || strstr(e.text, "can't be read"));
        drop(c);
    }
    mem_heap_fail_at(0, false);
    CHECK(done);
    drop(good("{}"));
}

/* ---- Without a config; keys added later. ---- */

static const char *default_getenv(void *user, const char *name)
{
    (void)user;
    if (strcmp(name, "ANTHROPIC_API_KEY") == 0)
        return " sk-ant\n";
    if (strcmp(name, "OPENAI_API_KEY") == 0)
        return "";
    return strcmp(name, "ZAI_API_KEY") == 0 ? "zai" : NULL;
}

static const char *broken_getenv(void *user, const char *name)
{
    (void)user;
    return strcmp(name, "GROQ_API_KEY") == 0 ? "gsk hidden" : NULL;
}

static void without_config(void)
{
    const struct conf_env e = {.getenv = default_getenv, .read_file = test_read_file};
    const struct conf_env broken = {.getenv = broken_getenv, .read_file = test_read_file};
    struct conf_error error;
    struct conf *c = conf_default(&e, &error);

    check_case("without a config the environment is the managed keys");
    if (CHECK(c != NULL)) {
        same_defaults(c);
        CHECK_INT(conf_provider(c, SLICE("anthropic"))->nmanaged, 1);
        CHECK_STR(conf_provider(c, SLICE("anthropic"))->managed[0]->value, "sk-ant");
        CHECK_INT(conf_provider(c, SLICE("z-ai"))->nmanaged, 1);
        CHECK_INT(conf_provider(c, SLICE("openai"))->nmanaged, 0);
    }
    drop(c);
    c = conf_default(&broken, &error);
    CHECK(c == NULL && strstr(error.text, "GROQ_API_KEY") && !strstr(error.text, "hidden"));
    drop(c);
}

static void added_keys(void)
{
    struct conf *c = good("{\"accessKeys\":[{\"id\":\"k\",\"token\":\"aigk-token\"}]}");
    uint8_t hash[32];

    check_case("access keys added later");
    if (!c)
        return;
    for (uint32_t i = 0; i < 50; i++) {
        char token[16];

        snprintf(token, sizeof(token), "t%u", i);
        sha256(slice_str(token), hash);
        CHECK(conf_add_access_key(c, slice_str(token), SLICE("name"), hash));
        CHECK(!conf_add_access_key(c, SLICE("again"), SLICE("name"), hash));
    }
    CHECK_INT(c->naccess_keys, 51);
    for (uint32_t i = 0; i < 50; i++) {
        const struct access_key *k;
        char token[16];

        snprintf(token, sizeof(token), "t%u", i);
        sha256(slice_str(token), hash);
        k = conf_access_key(c, hash);
        if (CHECK(k != NULL)) {
            CHECK_STR(k->id, token);
            CHECK_INT(k->index, i + 1);
        }
    }
    sha256(SLICE("aigk-token"), hash);
    CHECK(conf_access_key(c, hash) == &c->access_key[0]);
    conf_put(c);
}

/* ---- L-58: ten thousand of everything. ---- */

enum { MANY = 10000 };

static void many(void)
{
    size_t cap = 8u << 20, n = 0;
    char *text = malloc(cap);
    struct conf_error e;
    struct conf *c;
    double ms;

    check_case("L-58");
    if (!text)
        abort();
#define ADD(...) n += (size_t)snprintf(text + n, cap - n, __VA_ARGS__)
    ADD("{\"providers\":[{\"providerId\":\"p\",\"baseUrl\":\"https://x.y\",\"models\":[");
    for (int i = 0; i < MANY; i++)
        ADD("%s{\"modelId\":\"Model-%d\"}", i ? "," : "", i);
    ADD("]}],\n\"providerKeys\":[");
    for (int i = 0; i < MANY; i++)
        ADD("%s{\"id\":\"pk%d\",\"providerId\":\"p\",\"value\":\"v%d\"}", i ? "," : "", i, i);
    ADD("],\n\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"rules\":[");
    for (int i = 0; i < MANY; i++)
        ADD("%s{\"model\":\"model-%d\",\"steps\":[{\"type\":\"user\",\"keys\":[{\"id\":\"pk%d\"}]}]}", i ? "," : "", i, i);
    ADD("],\"aliases\":{");
    for (int i = 0; i < MANY; i++)
        ADD("%s\"alias-%d\":[\"p:model-%d\",\"model-%d\"]", i ? "," : "", i, i, MANY - 1 - i);
    ADD("}}}],\n\"accessKeys\":[");
    for (int i = 0; i < MANY; i++)
        ADD("%s{\"id\":\"k%d\",\"token\":\"t%d\",\"accessKeyConfigurationId\":\"c\"}", i ? "," : "", i, i);
    ADD("]}");
#undef ADD
    ms = check_cpu_ms();
    c = conf_load(slice_make(text, n), &env, &e);
    ms = check_cpu_ms() - ms;
    free(text);
    if (!CHECK(c != NULL)) {
        printf("     %u:%u: %s\n", e.line, e.column, e.text);
        return;
    }
    if (getenv("WEIR_SHOW_TIMES"))
        printf("config of %zu bytes: %.1f ms\n", n, ms);
#if !defined(__SANITIZE_ADDRESS__)
    CHECK(ms < 400 * check_slack()); /* the promise is 100; a build for tests gets some slack */
#endif
    CHECK_INT(c->naccess_keys, MANY);
    CHECK_INT(conf_provider(c, SLICE("p"))->nkeys, MANY);
    CHECK_INT(c->access_config[0].naliases, MANY);
    for (int i = 0; i < MANY; i += 37) {
        char name[32];
        uint8_t hash[32];
        const struct alias *alias;
        const struct rule *rule;

        snprintf(name, sizeof(name), "ALIAS-%d", i);
        alias = conf_alias(&c->access_config[0], slice_str(name));
        CHECK(alias && alias->ntargets == 2);
        snprintf(name, sizeof(name), "model-%d", i);
        rule = conf_rule(&c->access_config[0], conf_provider(c, SLICE("p")), slice_str(name));
        CHECK(rule && rule->nsteps == 1);
        snprintf(name, sizeof(name), "t%d", i);
        sha256(slice_str(name), hash);
        CHECK(conf_access_key(c, hash) && conf_access_key(c, hash)->index == (uint32_t)i);
    }
    conf_put(c);
}

/* A chain of aliases longer than the bound is an error, one within it is not. */
static void alias_chain(void)
{
    char text[4096];
    struct conf_error e;

    for (int length = 10; length <= 40; length += 30) {
        size_t n = (size_t)snprintf(text, sizeof(text), "{\"accessKeyConfigurations\":[{\"id\":\"c\",\"router\":{\"aliases\":{");
        struct conf *c;

        for (int i = 0; i < length; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "\"a%02d\":[\"a%02d\"],", i, i + 1);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\"a%02d\":[\"gpt-4o\"]}}}]}", length);
        check_case("alias chain");
        c = load(text, &e);
        CHECK((c != NULL) == (length == 10));
        if (c)
            CHECK_INT(conf_alias(&c->access_config[0], SLICE("a00"))->ntargets, 1);
        else
            CHECK(strstr(e.text, "nested deeper") != NULL);
        drop(c);
    }
}

int main(void)
{
    durations();
    redaction();
    defaults();
    example_file();
    full();
    accepted();
    refused();
    every_cut();
    every_allocation();
    without_config();
    added_keys();
    many();
    alias_chain();
    return check_end();
}
