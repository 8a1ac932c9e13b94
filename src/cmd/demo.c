/* `weir demo`: a gateway whose only provider is the simulator, on a machine without network and without keys. It sends itself one
 * request, shows the answer as it streams, and tells from the answer's own headers what the gateway did to get it. Nothing here is
 * staged: the request goes through the listener like anybody's, and a wrong answer ends the demo with exit code 1.
 *
 * The screen is written from the loop and may block it; that is fine where the only reader is a person. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/sys.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/state.h"
#include "gate/gate.h"
#include "http/sse.h"
#include "json/scan.h"
#include "net/loop.h"

enum { DEMO_PORT = 8080, LIMIT_MS = 20000, COLUMNS = 76, EVENT_MAX = 16384, STORY_MAX = 4096 };

static const char question[] =
    "Three provider keys were tried for this answer. The first was rate limited, the second was refused, the third "
    "said these words. Whoever asked saw one request and one answer.";

static struct {
    struct conf *conf;
    char token[TOKEN_LEN + 1];
    uint16_t port;
    char request[2048];
    struct fetch fetch;
    struct sse_scan scan;
    char event[EVENT_MAX]; /* an event that has not ended */
    size_t event_n;
    char text[1024];       /* the answer's text so far */
    size_t text_n;
    unsigned column;
    bool done, failed;     /* [DONE] came; something did not work */
    int64_t sent_us, first_us;
    char story[STORY_MAX]; /* what happened, told when the answer is complete */
    size_t story_n;
    unsigned attempts, failures;
    struct slice last_result; /* of the last attempt, in the response head */
} demo;

static void fail(const char *what, const char *why, int sys)
{
    text_print(TEXT_ERR, "\nweir demo: %s: %s%s%s\n", what, why, sys ? ": " : "", sys ? strerror(sys) : "");
    demo.failed = true;
    loop_stop();
}

/* ---- The config ---- */

static const char config_format[] =
    "{\"listen\":\"127.0.0.1:%u\",\"admin\":{\"listen\":null},\"sim\":true,"
    "\"limits\":{\"maxConnections\":256,\"memory\":\"64MiB\"},"
    "\"providerKeys\":["
    "{\"id\":\"aigpk_primary\",\"providerId\":\"sim\",\"name\":\"primary\",\"value\":\"sim-429\"},"
    "{\"id\":\"aigpk_backup\",\"providerId\":\"sim\",\"name\":\"backup\",\"value\":\"sim-401\"},"
    "{\"id\":\"aigpk_third\",\"providerId\":\"sim\",\"name\":\"third\",\"value\":\"sim-ok\"}],"
    "\"accessKeyConfigurations\":[{\"id\":\"aigac_demo\",\"name\":\"demo\",\"router\":{\"rules\":[{\"provider\":\"sim\","
    "\"steps\":[{\"type\":\"user\",\"keySelectionStrategy\":\"ordered\","
    "\"keys\":[{\"id\":\"aigpk_primary\"},{\"id\":\"aigpk_backup\"},{\"id\":\"aigpk_third\"}]}]}]}}],"
    "\"accessKeys\":[{\"id\":\"aigk_demo\",\"name\":\"demo\",\"tokenSha256\":\"%s\","
    "\"accessKeyConfigurationId\":\"aigac_demo\"}],"
    "\"log\":{\"level\":\"warn\",\"requests\":false}}";

/* The usual port when nobody has it, else 0: the kernel chooses a free one. */
static uint16_t usable_port(void)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct addr at = addr_make(4, loopback, DEMO_PORT);
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&at, &ss);
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    bool free_port = fd != -1 && sys_set_reuseaddr(fd) == 0 && sys_bind(fd, (const struct sockaddr *)&ss, n) == 0 &&
                     sys_listen(fd, 1) == 0;

    sys_close(fd);
    return free_port ? DEMO_PORT : 0;
}

static struct conf *make_conf(void)
{
    struct conf_error e = {0};
    char text[sizeof config_format + 80], hex[65];
    uint8_t hash[32];
    struct conf *c;
    int n;

    if (!cmd_make_token(demo.token)) {
        text_print(TEXT_ERR, "weir demo: the kernel gave no entropy for an access key\n");
        return NULL;
    }
    sha256(slice_make(demo.token, TOKEN_LEN), hash);
    sha256_hex(hash, hex);
    n = text_format(text, sizeof text, config_format, usable_port(), hex);
    c = conf_load(slice_make(text, (size_t)n), &cmd_env, &e);
    if (!c)
        text_print(TEXT_ERR, "weir demo: its own config is refused at %u:%u: %s\n", e.line, e.column, e.text);
    return c;
}

/* ---- What is told before ---- */

static void tell_start(void)
{
    text_print(TEXT_OUT,
           "A gateway with a simulated provider: no network and no provider keys needed.\n\n"
           "  address      http://127.0.0.1:%u%s\n"
           "  access key   %s\n"
           "  OpenAI SDK   base_url http://127.0.0.1:%u/v1\n"
           "  Anthropic    base_url http://127.0.0.1:%u\n\n"
           "Three keys of the provider sim are tried in this order:\n\n"
           "  primary      always over its rate limit (429)\n"
           "  backup       always refused (401)\n"
           "  third        works\n\n",
           demo.port, demo.port == DEMO_PORT ? "" : "   (8080 is taken)", demo.token, demo.port, demo.port);
}

/* Whole commands without a comment in front, so that they can be pasted into any shell. Each shows the response head, where
 * x-weir-attempts is. */
static void tell_commands(void)
{
    text_print(TEXT_OUT,
           "Paste these into another terminal.\n\n"
           "Chat completions, streamed:\n\n"
           "curl -siN http://127.0.0.1:%u/v1/chat/completions \\\n"
           "  -H 'authorization: Bearer %s' \\\n"
           "  -H 'content-type: application/json' \\\n"
           "  -d '{\"model\": \"sim:echo\", \"stream\": true,\n"
           "       \"messages\": [{\"role\": \"user\", \"content\": \"Hello, weir!\"}]}'\n\n",
           demo.port, demo.token);
    text_print(TEXT_OUT,
           "Anthropic's messages, plain:\n\n"
           "curl -si http://127.0.0.1:%u/v1/messages \\\n"
           "  -H 'x-api-key: %s' \\\n"
           "  -H 'content-type: application/json' \\\n"
           "  -d '{\"model\": \"sim:echo\", \"max_tokens\": 100,\n"
           "       \"messages\": [{\"role\": \"user\", \"content\": \"Hello, weir!\"}]}'\n\n",
           demo.port, demo.token);
    text_print(TEXT_OUT,
           "Responses, with a second model for when the first rejects the request:\n\n"
           "curl -si http://127.0.0.1:%u/v1/responses \\\n"
           "  -H 'authorization: Bearer %s' \\\n"
           "  -H 'content-type: application/json' \\\n"
           "  -d '{\"models\": [\"sim:context-length\", \"sim:echo\"],\n"
           "       \"input\": \"Hello, weir!\"}'\n\n",
           demo.port, demo.token);
}

/* ---- The story: x-weir-attempts in words ---- */

__attribute__((format(printf, 1, 2))) static void story_add(const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = text_vformat(demo.story + demo.story_n, STORY_MAX - demo.story_n, format, ap);
    va_end(ap);
    if (n > 0)
        demo.story_n += (size_t)n < STORY_MAX - demo.story_n ? (size_t)n : STORY_MAX - 1 - demo.story_n;
}

static const char *meaning(struct slice result)
{
    static const struct {
        const char *result, *meaning;
    } words[] = {
        {"401", "key refused"},  {"402", "out of credit"}, {"403", "not allowed"}, {"404", "not found"},
        {"408", "timed out"},    {"429", "rate limited"},  {"500", "server error"}, {"503", "overloaded"},
        {"529", "overloaded"},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_eq(result, slice_str(words[i].result)))
            return words[i].meaning;
    return "failed";
}

/* Milliseconds for which the gateway will not use that key for the demo's model. */
static int64_t cooling_ms(struct slice key_name)
{
    const struct provider *sim = conf_provider(demo.conf, SLICE("sim"));
    int64_t until_ms;

    for (uint32_t i = 0; sim && i < sim->nkeys; i++)
        if (slice_eq(sim->key[i]->name, key_name) &&
            gate_cooling(sim->key[i], SLICE("echo"), &until_ms))
            return until_ms - clock_ms();
    return 0;
}

/* "sim/primary=429" */
static void tell_attempt(struct slice one)
{
    ptrdiff_t slash = slice_find_char(one, '/'), equals = slice_find_char(one, '=');
    struct slice who, key, result;
    int64_t ms;

    demo.attempts++;
    if (slash < 0 || equals < slash) {
        story_add("  %u. %.*s\n", demo.attempts, (int)one.n, one.p);
        return;
    }
    who = slice_first(one, (size_t)equals);
    key = slice_from(who, (size_t)slash + 1);
    result = slice_from(one, (size_t)equals + 1);
    demo.last_result = result;
    if (slice_eq(result, SLICE("200"))) {
        story_add("  %u. %.*s answered 200.\n", demo.attempts, (int)who.n, who.p);
        return;
    }
    demo.failures++;
    story_add("  %u. %.*s said %.*s (%s).\n", demo.attempts, (int)who.n, who.p, (int)result.n, result.p, meaning(result));
    ms = cooling_ms(key);
    if (ms > 0)
        story_add("     weir cooled that key for %" PRId64 " s and went on with the next key.\n", (ms + 999) / 1000);
    else
        story_add("     weir went on with the next key.\n");
}

static struct slice field(const struct http_response *r, struct slice name)
{
    for (unsigned i = 0; i < r->nfields; i++)
        if (slice_eq_nocase(r->field[i].name, name))
            return r->field[i].value;
    return slice_make(NULL, 0);
}

/* The cool-downs are asked for now, while they are fresh. */
static void on_head(struct fetch *f)
{
    struct slice rest = field(&f->response, SLICE("x-weir-attempts"));

    while (rest.n) {
        ptrdiff_t comma = slice_find_char(rest, ',');
        struct slice one = comma < 0 ? rest : slice_first(rest, (size_t)comma);

        tell_attempt(slice_trim(one));
        rest = comma < 0 ? slice_make(NULL, 0) : slice_from(rest, (size_t)comma + 1);
    }
}

/* ---- The answer on the screen ---- */

/* Words arrive one by one with the blank before them: a word that would pass the margin starts a new line instead. */
static void show(struct slice piece)
{
    if (demo.column + piece.n > COLUMNS && piece.n && piece.p[0] == ' ') {
        text_print(TEXT_OUT, "\n   ");
        demo.column = 3;
        piece = slice_from(piece, 1);
    }
    text_print(TEXT_OUT, "%.*s", (int)piece.n, piece.p);
    demo.column += (unsigned)piece.n;
}

static void keep_text(struct slice piece)
{
    size_t n = piece.n <= sizeof demo.text - demo.text_n ? piece.n : sizeof demo.text - demo.text_n;

    memcpy(demo.text + demo.text_n, piece.p, n);
    demo.text_n += n;
}

static void take_text(struct slice piece)
{
    if (!demo.first_us)
        demo.first_us = sys_mono_us();
    show(piece);
    if (piece.n)
        keep_text(piece);
}

static char memory[1 << 18]; /* for one parse */

static void take_event(struct slice raw)
{
    struct sse_event e;
    struct slice piece;
    struct json_doc doc;
    struct arena a;

    arena_init_fixed(&a, memory, sizeof memory);
    if (!sse_event_read(raw, false, &a, &e) || !e.has_data)
        return;
    if (slice_eq(e.data, SLICE("[DONE]")))
        demo.done = true;
    else if (json_parse(&doc, e.data, &a) && json_str(&doc, json_path(&doc, 0, "choices.0.delta.content"), &a, &piece))
        take_text(piece);
}

static void on_body(struct fetch *f, struct slice piece)
{
    if (f->response.status != 200) {
        keep_text(piece);
        return;
    }
    while (piece.n) {
        size_t used = sse_scan_event(&demo.scan, piece.p, piece.n), n = used ? used : piece.n;

        if (n > EVENT_MAX - demo.event_n)
            n = EVENT_MAX - demo.event_n; /* none of ours is that long; the comparison at the end will tell */
        memcpy(demo.event + demo.event_n, piece.p, n);
        demo.event_n += n;
        if (!used)
            return;
        take_event(slice_make(demo.event, demo.event_n));
        demo.event_n = 0;
        piece = slice_from(piece, used);
    }
}

static void tell_end(void)
{
    int64_t tenths = (demo.first_us - demo.sent_us) / 100;

    text_print(TEXT_OUT,
           "\n\nWhat happened, as the response head says in x-weir-attempts:\n\n%.*s"
           "\nThe first word was on the screen %" PRId64 ".%" PRId64 " ms after the request left.\n\n",
           (int)demo.story_n, demo.story, tenths / 10, tenths % 10);
    text_print(TEXT_OUT, "Serving until Ctrl-C.\n");
}

/* An answer other than 200 says what is wrong in its body. */
static void tell_refusal(unsigned status, struct slice body)
{
    char text[512];
    struct slice message = slice_make(NULL, 0);
    struct json_doc doc;
    struct arena a;

    arena_init_fixed(&a, memory, sizeof memory);
    if (json_parse(&doc, body, &a))
        (void)json_str(&doc, json_path(&doc, 0, "error.message"), &a, &message);
    text_format(text, sizeof text, "status %u: %.*s", status, (int)slice_first(message, 400).n, message.n ? message.p : "");
    fail("the request to itself failed", text, 0);
}

static void on_end(struct fetch *f, const char *why, int sys)
{
    static const char what[] = "the request to itself failed";
    struct slice text = slice_make(demo.text, demo.text_n);

    if (why) {
        fail(what, why, sys);
    } else if (f->response.status != 200) {
        tell_refusal(f->response.status, text);
    } else if (!demo.done || !slice_eq(text, slice_make(question, sizeof question - 1))) {
        fail(what, "the answer is not what the simulator says", 0);
    } else if (demo.attempts != 3 || demo.failures != 2 || !slice_eq(demo.last_result, SLICE("200"))) {
        fail(what, "x-weir-attempts does not tell of three attempts", 0);
    } else {
        tell_end();
    }
}

static bool ask_itself(void)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    struct addr at = addr_make(4, loopback, demo.port);
    char body[sizeof question + 128];
    const char *why = "";
    int n = text_format(body, sizeof body,
                     "{\"model\":\"sim:echo\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", question);

    n = text_format(demo.request, sizeof demo.request,
                 "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%u\r\nauthorization: Bearer %s\r\n"
                 "content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s",
                 demo.port, demo.token, n, body);
    demo.fetch.head = on_head;
    demo.fetch.body = on_body;
    demo.fetch.end = on_end;
    sse_scan_init(&demo.scan);
    text_print(TEXT_OUT, "Here is one request, sent to itself and streamed:\n\n   ");
    demo.column = 3;
    clock_update();
    demo.sent_us = sys_mono_us();
    if (fetch_open(&demo.fetch, &at, slice_make(demo.request, (size_t)n), LIMIT_MS, &why))
        return true;
    fail("the request to itself failed", why, errno);
    return false;
}

int cmd_demo(const struct options *o)
{
    int code;

    if (o->config) {
        text_print(TEXT_ERR, "weir demo brings its own config and takes none: weir -c FILE serves yours\n");
        return 2;
    }
    demo.conf = make_conf();
    if (!demo.conf || !state_open(demo.conf, false) || !cmd_start(demo.conf))
        return 1;
    demo.port = cmd_port();
    tell_start();
    tell_commands();
    if (!ask_itself())
        return 1;
    code = cmd_run();
    return demo.failed ? 1 : code;
}
