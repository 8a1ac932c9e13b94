/* The simulator over real loopback sockets: every behaviour, streaming and plain, in every surface that differs, read back with
 * the parts that weir itself reads upstreams with (so a behaviour is what weir takes it for). The clock can be put forward. */
#include "sim/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/timer.h"
#include "http/body.h"
#include "http/head.h"
#include "http/sse.h"
#include "json/scan.h"
#include "llm/classify.h"
#include "llm/outcome.h"
#include "llm/stream.h"
#include "net/loop.h"

#include "check.h"

static int64_t clock_now, clock_ahead;

void clock_update(void)
{
    clock_now = sys_mono_ms() + clock_ahead;
}

int64_t clock_ms(void)
{
    return clock_now;
}

int64_t clock_wall_ms(void)
{
    return 1700000000000 + clock_now;
}

/* ---- A client. ---- */

static uint16_t port;

enum ending { OPEN, FIN, RST };

struct reply {
    int fd;
    char raw[2 << 20];
    size_t n;
    enum ending ending;
    struct http_response head;
    bool has_head, complete; /* complete: the body's framing says so */
    char body[2 << 20];
    size_t body_n;
};

static struct reply got;

static int connect_sim(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int on = 1; /* small sends in a row would wait 40 ms for an acknowledgement */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* One step of the loop, and whatever came to the client. */
static void pump(struct reply *r)
{
    loop_turn(timers_wait(clock_ms()) == 0 ? 0 : 1);
    while (r->ending == OPEN) {
        ssize_t n = recv(r->fd, r->raw + r->n, sizeof r->raw - r->n, 0);

        if (n > 0)
            r->n += (size_t)n;
        else if (n == 0)
            r->ending = FIN;
        else if (errno != EAGAIN)
            r->ending = RST;
        else
            return;
    }
}

/* Reads what came from the start; cheap enough for tests. */
static void decode(struct reply *r)
{
    struct http_bad bad;
    struct http_body b;
    size_t seen = 0, used, out;

    r->has_head = http_response_parse(&r->head, r->raw, r->n, &seen, false, &bad) == PARSE_DONE;
    r->complete = false;
    r->body_n = 0;
    if (!r->has_head)
        return;
    size_t n = r->n - r->head.head_len;
    memcpy(r->body, r->raw + r->head.head_len, n);
    http_body_init(&b, r->head.framing, r->head.length);
    enum parse p = http_body_decode(&b, r->body, n, &used, &out);
    CHECK(p != PARSE_BAD);
    r->body_n = out;
    r->complete = p == PARSE_DONE;
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
        loop_turn(0);
    }
}

static void begin(const char *path, const char *extra, const char *body, size_t body_n)
{
    char head[512];
    int n = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n", path, extra, body_n);

    got.n = 0;
    got.ending = OPEN;
    send_all(got.fd, head, (size_t)n);
    send_all(got.fd, body, body_n);
}

/* Until the answer is complete, the connection ended, or nothing more is going to come: the clock is put forward to each timer in
 * turn. Returns how long it took by that clock. */
static int patience = 20; /* turns without news; more where the kernel's own timers take part */

static int64_t finish(void)
{
    int64_t from = clock_ms();
    size_t before = 0;

    got.complete = got.has_head = false;
    for (int idle = 0; idle < patience && got.ending == OPEN && !got.complete; idle++) {
        int wait = timers_wait(clock_ms());

        if (wait >= 0) {
            clock_ahead += wait;
            clock_update();
            idle = 0;
        }
        pump(&got);
        if (got.n == before)
            continue;
        before = got.n;
        idle = 0;
        /* Decoding starts over each time, so a stream is looked at only when it can be whole. */
        if (!got.has_head || got.head.framing != HTTP_CHUNKED || slice_ends(slice_make(got.raw, got.n), SLICE("0\r\n\r\n")))
            decode(&got);
    }
    decode(&got);
    return clock_ms() - from;
}

static int64_t ask_raw(const char *path, const char *extra, const char *body)
{
    got.fd = connect_sim();
    begin(path, extra, body, strlen(body));
    return finish();
}

static void hang_up(void)
{
    close(got.fd);
    for (int i = 0; i < 200 && sim_clients(); i++)
        loop_turn(1);
    CHECK_INT(sim_clients(), 0);
    CHECK_INT(timers_count(), 0);
    CHECK_INT(mem_in_use(), 0);
}

static int64_t ask(enum surface s, const char *model, bool stream)
{
    char body[1024], path[64];

    snprintf(path, sizeof path, "/any/prefix%.*s", (int)surface_table[s].path.n, surface_table[s].path.p);
    snprintf(body, sizeof body,
             "{\"model\":\"%s\",\"stream\":%s,\"stream_options\":{\"include_usage\":true},"
             "\"%s\":[{\"role\":\"system\",\"content\":\"no\"},{\"role\":\"user\",\"content\":\"one two three four five six\"}],"
             "\"tools\":[{\"type\":\"function\",\"name\":\"look\",\"parameters\":{\"properties\":{\"q\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}}}]}",
             model, stream ? "true" : "false", s == SURFACE_RESPONSES ? "input" : "messages");
    return ask_raw(path, "", body);
}

static struct slice body_of(void)
{
    return slice_make(got.body, got.body_n);
}

static bool body_has(const char *text)
{
    return slice_find(body_of(), slice_str(text)) >= 0;
}

/* ---- Streams, as weir sees them. ---- */

static char scratch_memory[1 << 20];

struct seen {
    unsigned signs, events;
    bool may_end;
    char text[70000];
    size_t text_n;
    struct llm_usage usage;
    char stop[24];
    enum outcome error;
};

/* The content of one event of any surface. */
static struct slice delta_of(enum surface s, const struct json_doc *d, struct arena *a)
{
    struct slice text = {NULL, 0};
    const char *type = s == SURFACE_RESPONSES ? "response.output_text.delta" : "content_block_delta";

    if (s == SURFACE_CHAT)
        json_str(d, json_path(d, 0, "choices.0.delta.content"), a, &text);
    else if (s == SURFACE_COMPLETIONS)
        json_str(d, json_path(d, 0, "choices.0.text"), a, &text);
    else if (json_str_is(d, json_get(d, 0, "type"), type))
        json_str(d, s == SURFACE_RESPONSES ? json_get(d, 0, "delta") : json_path(d, 0, "delta.text"), a, &text);
    return text;
}

static void read_stream(enum surface s, struct seen *o)
{
    struct llm_stream stream;
    struct sse_scan scan;
    struct arena a;
    size_t at = 0;

    memset(o, 0, sizeof *o);
    llm_stream_init(&stream, s, s == SURFACE_MESSAGES ? DIALECT_ANTHROPIC : DIALECT_OPENAI);
    sse_scan_init(&scan);
    while (at < got.body_n) {
        size_t n = sse_scan_event(&scan, got.body + at, got.body_n - at);
        struct slice raw = slice_make(got.body + at, n), error = {NULL, 0};
        struct sse_event e;
        struct json_doc d;

        if (!n)
            break;
        arena_init_fixed(&a, scratch_memory, sizeof scratch_memory);
        unsigned signs = llm_stream_event(&stream, raw, false, &a, &error);
        o->signs |= signs;
        if (signs & LLM_ERROR) {
            struct llm_verdict v;

            llm_classify_event(&v, s == SURFACE_MESSAGES ? DIALECT_ANTHROPIC : DIALECT_OPENAI, s, &got.head, error, 1700000000, &a);
            o->error = v.outcome;
        }
        CHECK(sse_event_read(raw, at == 0, &a, &e));
        if (e.has_data && !slice_eq(e.data, SLICE("[DONE]"))) {
            bool valid = json_parse(&d, e.data, &a);

            CHECK(valid);
            if (valid) {
                struct slice text = delta_of(s, &d, &a);
                if (text.n)
                    memcpy(o->text + o->text_n, text.p, text.n);
                o->text_n += text.n;
            }
        }
        o->events++;
        at += n;
    }
    CHECK_INT(at, got.body_n); /* no half event unless cut */
    o->may_end = llm_stream_may_end(&stream);
    o->usage = stream.usage;
    memcpy(o->stop, stream.stop_reason, sizeof o->stop);
}

static enum outcome verdict(enum surface s)
{
    struct llm_verdict v;
    struct arena a;

    arena_init_fixed(&a, scratch_memory, sizeof scratch_memory);
    llm_classify(&v, s == SURFACE_MESSAGES ? DIALECT_ANTHROPIC : DIALECT_OPENAI, s, &got.head, body_of(), 1700000000, &a);
    return v.outcome;
}

/* ---- Cases. ---- */

static const enum surface talking[] = {SURFACE_CHAT, SURFACE_RESPONSES, SURFACE_MESSAGES};
enum { TALKING = sizeof talking / sizeof talking[0] };

static void test_echo(void)
{
    struct seen seen;

    for (int i = 0; i < TALKING; i++) {
        enum surface s = talking[i];

        check_case(surface_table[s].name.p);
        int64_t took = ask(s, "echo", true);
        CHECK(got.complete && got.head.status == 200);
        CHECK(slice_starts(http_response_get(&got.head, HTTP_CONTENT_TYPE), SLICE("text/event-stream")));
        read_stream(s, &seen);
        CHECK_SLICE(slice_make(seen.text, seen.text_n), SLICE("one two three four five six"));
        CHECK(took >= 100); /* six words at 20 ms */
        CHECK(seen.may_end && (seen.signs & LLM_CONTENT) && (seen.signs & LLM_FINISH) && (seen.signs & LLM_END));
        CHECK(!(seen.signs & (LLM_ERROR | LLM_BROKEN)));
        CHECK(seen.usage.seen && seen.usage.output == 6 && seen.usage.input > 50);
        CHECK_INT(got.ending, OPEN);
        hang_up();

        ask(s, "echo#second", false);
        CHECK(got.complete && got.head.status == 200 && verdict(s) == OUTCOME_OK);
        CHECK(body_has("\"one two three four five six\""));
        CHECK(body_has("\"model\":\"echo#second\""));
        struct llm_usage usage;
        struct arena a;
        char stop[24];
        arena_init_fixed(&a, scratch_memory, sizeof scratch_memory);
        llm_plain_usage(s, body_of(), &a, &usage, stop);
        CHECK(usage.seen && usage.output == 6);
        CHECK(json_valid(body_of(), NULL, NULL));
        hang_up();
    }
    check_case("the usage chunk only when it is asked for");
    ask_raw("/v1/chat/completions", "", "{\"model\":\"fast\",\"stream\":true,\"messages\":[]}");
    CHECK(got.complete && !body_has("\"usage\""));
    hang_up();
    check_case("a token limit");
    ask_raw("/v1/chat/completions", "", "{\"model\":\"echo\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\",\"content\":\"a b c d\"}]}");
    CHECK(body_has("\"content\":\"a b\"") && body_has("\"finish_reason\":\"length\""));
    hang_up();
    ask_raw("/v1/responses", "", "{\"model\":\"echo\",\"max_output_tokens\":1,\"stream\":true,\"input\":\"a b c d\"}");
    CHECK(body_has("event: response.incomplete") && !body_has("response.completed"));
    hang_up();
}

/* The order of a surface's events, by their names. */
static void check_order(const char *const *names, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        char line[80];

        snprintf(line, sizeof line, "event: %s\ndata: {\"type\":\"%s\"", names[i], names[i]);
        ptrdiff_t found = slice_find(slice_from(body_of(), at), slice_str(line));
        if (!CHECK(found >= 0)) {
            printf("     %s\n", names[i]);
            return;
        }
        at += (size_t)found + 1;
    }
    /* and nothing between the ones that are to follow each other at the start */
    CHECK(slice_find(body_of(), SLICE("event: ")) == 0);
}

static void test_sequences(void)
{
    static const char *const responses[] = {
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed"};
    static const char *const calls[] = {
        "response.created", "response.in_progress", "response.output_item.added", "response.function_call_arguments.delta",
        "response.function_call_arguments.done", "response.output_item.done", "response.completed"};
    static const char *const messages[] = {"message_start", "content_block_start", "ping", "content_block_delta",
                                           "content_block_stop", "message_delta", "message_stop"};

    check_case("responses: all events, numbered without a gap");
    ask(SURFACE_RESPONSES, "echo", true);
    check_order(responses, sizeof responses / sizeof responses[0]);
    for (unsigned i = 0; i < 14; i++) {
        char number[40];
        snprintf(number, sizeof number, "\"sequence_number\":%u,", i);
        CHECK(body_has(number));
    }
    hang_up();
    check_case("messages");
    ask(SURFACE_MESSAGES, "echo", true);
    check_order(messages, sizeof messages / sizeof messages[0]);
    hang_up();
    check_case("chat: role first, [DONE] last");
    ask(SURFACE_CHAT, "echo", true);
    CHECK(slice_find(body_of(), SLICE("\"role\":\"assistant\"")) < slice_find(body_of(), SLICE("\"content\":\"one\"")));
    CHECK(slice_ends(body_of(), SLICE("data: [DONE]\n\n")));
    hang_up();

    check_case("tool calls");
    ask(SURFACE_CHAT, "tools", true);
    CHECK(body_has("\"name\":\"look\"") && body_has("\"finish_reason\":\"tool_calls\"") && body_has("{\\\"q\\\":\\\"sim\\\",\\\"n\\\":1}"));
    hang_up();
    ask(SURFACE_CHAT, "tools", false);
    CHECK(body_has("\"arguments\":\"{\\\"q\\\":\\\"sim\\\",\\\"n\\\":1}\"") && json_valid(body_of(), NULL, NULL));
    hang_up();
    ask(SURFACE_RESPONSES, "tools", true);
    check_order(calls, sizeof calls / sizeof calls[0]);
    hang_up();
    ask(SURFACE_MESSAGES, "tools", true);
    CHECK(body_has("\"type\":\"tool_use\"") && body_has("\"stop_reason\":\"tool_use\"") && body_has("\"partial_json\":\""));
    hang_up();
    ask(SURFACE_MESSAGES, "tools", false);
    CHECK(body_has("\"input\":{\"q\":\"sim\",\"n\":1}") && json_valid(body_of(), NULL, NULL));
    hang_up();
    check_case("after a tool's result it answers in words");
    ask_raw("/v1/chat/completions", "",
            "{\"model\":\"tools\",\"messages\":[{\"role\":\"user\",\"content\":\"hi there\"},{\"role\":\"tool\",\"content\":\"3\"}],"
            "\"tools\":[{\"function\":{\"name\":\"f\"}}]}");
    CHECK(body_has("\"content\":\"hi there\""));
    hang_up();
}

static const struct {
    const char *model;
    unsigned status;
    enum outcome outcome;
} refusals[] = {
    {"429", 429, OUTCOME_RATE_LIMIT},   {"429-no-hint", 429, OUTCOME_RATE_LIMIT}, {"quota", 429, OUTCOME_QUOTA},
    {"402", 402, OUTCOME_QUOTA},        {"401", 401, OUTCOME_AUTH},               {"403", 403, OUTCOME_AUTH},
    {"404", 404, OUTCOME_NOT_FOUND},    {"400", 400, OUTCOME_REJECTED},           {"context-length", 400, OUTCOME_REJECTED},
    {"content-policy", 400, OUTCOME_CONTENT_POLICY},
    {"408", 408, OUTCOME_UPSTREAM_ERROR}, {"500", 500, OUTCOME_UPSTREAM_ERROR},   {"502", 502, OUTCOME_UPSTREAM_ERROR},
    {"503", 503, OUTCOME_UPSTREAM_ERROR}, {"529", 529, OUTCOME_UPSTREAM_ERROR},   {"418", 418, OUTCOME_REJECTED},
    {"422", 422, OUTCOME_REJECTED},     {"599", 599, OUTCOME_UPSTREAM_ERROR},     {"524#x", 524, OUTCOME_UPSTREAM_ERROR},
    {"error-200", 200, OUTCOME_UPSTREAM_ERROR},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (int k = 0; k < 2 * TALKING; k++) {
            enum surface s = talking[k / 2];

            check_case(refusals[i].model);
            ask(s, refusals[i].model, k & 1);
            CHECK(got.complete);
            CHECK_INT(got.head.status, refusals[i].status);
            CHECK(json_valid(body_of(), NULL, NULL));
            CHECK(body_has(s == SURFACE_MESSAGES ? "{\"type\":\"error\",\"error\":{" : "{\"error\":{\"message\":"));
            enum outcome o = verdict(s);
            if (!CHECK(o == refusals[i].outcome))
                printf("     %s on %s, want %s\n", outcome_name(o), surface_table[s].name.p, outcome_name(refusals[i].outcome));
            CHECK_STR(http_response_get(&got.head, HTTP_RETRY_AFTER), strcmp(refusals[i].model, "429") ? "" : "1");
            hang_up();
        }
    }
}

static void test_dead_ends(void)
{
    for (int stream = 0; stream < 2; stream++) {
        check_case("reset, close, garbage: nothing usable, and the connection ends");
        ask(SURFACE_CHAT, "reset", stream);
        CHECK(got.n == 0 && got.ending == RST);
        hang_up();
        ask(SURFACE_CHAT, "close", stream);
        CHECK(got.n == 0 && got.ending == FIN);
        hang_up();
        ask(SURFACE_CHAT, "garbage", stream);
        struct http_bad bad;
        size_t at = 0;
        CHECK(got.n > 0 && http_response_parse(&got.head, got.raw, got.n, &at, false, &bad) == PARSE_BAD);
        hang_up();
        check_case("hang: never a byte, never an end");
        ask(SURFACE_CHAT, "hang", stream);
        CHECK(got.n == 0 && got.ending == OPEN);
        hang_up();
        check_case("html and redirect");
        ask(SURFACE_CHAT, "html", stream);
        CHECK(got.complete && got.head.status == 200 && slice_starts(http_response_get(&got.head, HTTP_CONTENT_TYPE), SLICE("text/html")));
        hang_up();
        ask(SURFACE_CHAT, "redirect", stream);
        CHECK(got.complete && got.head.status == 302 && http_response_get(&got.head, HTTP_LOCATION).n > 0);
        hang_up();
    }
    check_case("plain bodies cut short or stalled");
    ask(SURFACE_CHAT, "cut-json", false);
    CHECK(got.has_head && !got.complete && got.ending == FIN && got.body_n > 20 && got.body_n < got.head.length);
    hang_up();
    ask(SURFACE_CHAT, "stall", false);
    CHECK(got.has_head && !got.complete && got.ending == OPEN && got.body_n > 20);
    hang_up();
    ask(SURFACE_CHAT, "empty", false);
    CHECK(got.complete && got.head.status == 200 && got.body_n == 0);
    hang_up();
}

/* What a failing stream looks like to weir. */
static void test_broken_streams(void)
{
    struct seen seen;

    for (int i = 0; i < TALKING; i++) {
        enum surface s = talking[i];

        check_case(surface_table[s].name.p);
        ask(s, "error-event", true);
        read_stream(s, &seen);
        CHECK(got.complete && (seen.signs & LLM_ERROR) && !(seen.signs & LLM_CONTENT) && seen.error == OUTCOME_UPSTREAM_ERROR);
        hang_up();
        ask(s, "error-after-role", true);
        read_stream(s, &seen);
        CHECK(got.complete && (seen.signs & LLM_ERROR) && !(seen.signs & LLM_CONTENT) && seen.error == OUTCOME_UPSTREAM_ERROR);
        hang_up();
        ask(s, "error-mid", true);
        read_stream(s, &seen);
        CHECK(got.complete && (seen.signs & LLM_ERROR) && (seen.signs & LLM_CONTENT) && !seen.may_end);
        CHECK_SLICE(slice_make(seen.text, seen.text_n), SLICE("one two three"));
        hang_up();
        ask(s, "cut", true);
        read_stream(s, &seen);
        CHECK(!got.complete && got.ending == FIN && (seen.signs & LLM_CONTENT) && !seen.may_end);
        hang_up();
        ask(s, "stall", true);
        read_stream(s, &seen);
        CHECK(!got.complete && got.ending == OPEN && (seen.signs & LLM_CONTENT) && !(seen.signs & LLM_FINISH));
        hang_up();
        ask(s, "no-done", true);
        read_stream(s, &seen);
        CHECK(got.complete && (seen.signs & LLM_CONTENT) && !(seen.signs & LLM_END));
        CHECK(s != SURFACE_CHAT || seen.may_end);
        CHECK(!body_has("[DONE]") && !body_has("message_stop") && !body_has("response.completed"));
        hang_up();
        ask(s, "done-first", true);
        CHECK(got.complete && slice_eq(body_of(), SLICE("data: [DONE]\n\n")));
        hang_up();
        ask(s, "empty", true);
        CHECK(got.complete && got.head.status == 200 && got.body_n == 0);
        hang_up();

        int64_t took = ask(s, "slow-first-token", true);
        read_stream(s, &seen);
        CHECK(got.complete && took >= 5000 && seen.may_end);
        CHECK(body_has(s == SURFACE_MESSAGES ? "event: ping\ndata: {\"type\": \"ping\"}" : ": keep-alive\n\n"));
        CHECK_SLICE(slice_make(seen.text, seen.text_n), SLICE("one two three four five six"));
        hang_up();
        took = ask(s, "slow", i & 1);
        CHECK(got.complete && took >= 2000);
        hang_up();
    }
    check_case("the head and the role come at once when the first token is slow");
    got.fd = connect_sim();
    static const char body[] = "{\"model\":\"slow-first-token\",\"stream\":true,\"messages\":[]}";
    begin("/v1/chat/completions", "", body, sizeof body - 1);
    for (int i = 0; i < 5; i++)
        pump(&got);
    decode(&got);
    CHECK(got.has_head && body_has("\"role\":\"assistant\"") && !got.complete);
    hang_up();
}

/* The simulator's end of our connection is in this process too: it is made to hold little, or the kernel would take all. */
static void small_send_buffer(int ours)
{
    struct sockaddr_in own, peer;
    socklen_t n = sizeof own;
    int small = 8192;

    getsockname(ours, (struct sockaddr *)&own, &n);
    for (int i = 0; i < 3; i++)
        loop_turn(1);
    for (int fd = 3; fd < 64; fd++) {
        n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && peer.sin_port == own.sin_port)
            CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    }
}

static void test_long(void)
{
    struct seen seen;
    static char body[80000], text[40000];

    check_case("long and fast");
    ask(SURFACE_CHAT, "long", true);
    read_stream(SURFACE_CHAT, &seen);
    CHECK(got.complete && seen.may_end && seen.usage.output == 2000 && seen.text_n > 8000);
    hang_up();
    int64_t took = ask(SURFACE_CHAT, "fast", true);
    read_stream(SURFACE_CHAT, &seen);
    CHECK(got.complete && seen.usage.output == 200 && took < 200);
    hang_up();

    check_case("a text at the bound, all in escapes; what is longer is cut between characters");
    size_t n = 0;
    while (n + 3 < sizeof text - 8)
        n += (size_t)snprintf(text + n, 8, "\"\xc3\xbc ");
    size_t at = (size_t)snprintf(body, sizeof body, "{\"model\":\"echo\",\"max_tokens\":999999,\"stream\":true,\"input\":\"");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"')
            body[at++] = '\\';
        body[at++] = text[i];
    }
    at += (size_t)snprintf(body + at, sizeof body - at, "\"}");
    got.fd = connect_sim();
    begin("/v1/responses", "Authorization: Bearer sim-ok\r\n", body, at);
    finish();
    read_stream(SURFACE_RESPONSES, &seen);
    CHECK(got.complete && seen.may_end && !(seen.signs & LLM_BROKEN));
    CHECK(seen.text_n > 32760 && seen.text_n <= 32768 && memcmp(seen.text, text, seen.text_n) == 0);
    hang_up();

    check_case("a client that does not read is waited for, and loses nothing");
    got.fd = connect_sim();
    patience = 1000;
    int small = 65536;
    setsockopt(got.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    small_send_buffer(got.fd);
    begin("/v1/responses", "", body, at);
    for (int i = 0; i < 12000; i++) { /* the text has 8,000 words */
        clock_ahead += 20;
        loop_turn(0);
    }
    CHECK(timers_count() == 0 && mem_in_use() > 0); /* no pace any more: it waits for the socket */
    finish();
    static struct seen again;
    read_stream(SURFACE_RESPONSES, &again);
    CHECK(got.complete && again.may_end);
    CHECK_INT(again.text_n, seen.text_n);
    hang_up();

    check_case("a body of more than 1 MiB is read to its end, the rest dropped");
    static char large[3 << 20];
    n = (size_t)snprintf(large, sizeof large, "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    memset(large + n, 'x', sizeof large - n);
    memcpy(large + sizeof large - 4, "\"}]}", 4);
    got.fd = connect_sim();
    begin("/v1/chat/completions", "", large, sizeof large);
    finish();
    CHECK(got.complete && got.head.status == 200 && body_has("Hello from the simulator."));
    CHECK(body_has("\"prompt_tokens\":786433"));
    hang_up();
    patience = 20;
}

static void test_choice(void)
{
    static const struct { const char *model, *extra; unsigned status; } cases[] = {
        {"echo", "Authorization: Bearer sim-429\r\n", 429},   {"echo", "Authorization: bearer sim-401\r\n", 401},
        {"echo", "x-api-key: sim-503\r\n", 503},              {"echo", "api-key: sim-quota\r\n", 429},
        {"echo", "Authorization: Bearer sim-ok\r\n", 200},    {"echo", "Authorization: Bearer sk-proj-429\r\n", 200},
        {"echo", "Authorization: Bearer sim-nonsense\r\n", 200}, {"gpt-4o", "Authorization: Bearer sim-402\r\n", 402},
        {"gpt-4o", "", 200},                                  {"500", "Authorization: Bearer sim-ok\r\n", 500},
        {"500", "Authorization: Bearer sim-401\r\n", 500},    {"sim:404", "", 404},
        {"429#key-2", "", 429},                               {"399", "", 200}, {"600", "", 200}, {"4290", "", 200}};
    char body[200];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_case(cases[i].model);
        snprintf(body, sizeof body, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}],\"model\":\"%s\"}", cases[i].model);
        ask_raw("/chat/completions", cases[i].extra, body);
        CHECK_INT(got.head.status, cases[i].status);
        CHECK(cases[i].status != 200 || body_has("\"content\":\"ab\""));
        hang_up();
    }
    check_case("the beginning of an answer is continued");
    ask_raw("/chat/completions", "", "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"one two three\"},{\"role\":\"assistant\",\"content\":\"one tw\"}]}");
    CHECK(body_has("\"content\":\"o three\""));
    hang_up();
}

static void test_other_surfaces(void)
{
    check_case("embeddings, both encodings, one per input");
    ask_raw("/v1/embeddings", "", "{\"model\":\"echo\",\"input\":[\"a\",\"b\",\"c\"]}");
    CHECK(got.complete && body_has("\"index\":2,\"embedding\":[") && !body_has("\"index\":3") && json_valid(body_of(), NULL, NULL));
    hang_up();
    ask_raw("/v1/embeddings", "", "{\"model\":\"echo\",\"input\":\"a\",\"encoding_format\":\"base64\"}");
    ptrdiff_t at = slice_find(body_of(), SLICE("\"embedding\":\""));
    CHECK(at > 0 && got.body[at + 13 + 44] == '"' && got.body[at + 13 + 43] == '=');
    hang_up();
    static const struct { const char *path, *body, *want; } cases[] = {
        {"/v1/messages/count_tokens", "{\"model\":\"echo\",\"messages\":[]}", "{\"input_tokens\":"},
        {"/v1/completions", "{\"model\":\"echo\",\"prompt\":\"say this\"}", "\"text\":\"say this\""},
        {"/v1/moderations", "{\"model\":\"echo\",\"input\":\"x\"}", "\"flagged\":false"},
        {"/v1/images/generations", "{\"model\":\"echo\",\"prompt\":\"x\"}", "\"b64_json\":\"iVBOR"},
        {"/v1/audio/speech", "{\"model\":\"echo\",\"input\":\"x\"}", "RIFF"},
        {"/openai/v1/chat/completions", "{\"model\":\"echo\",\"messages\":[]}", "Hello from the simulator."},
        {"/v1/chat/completions", "{\"model\":\"echo\"", "The body is not a JSON object."},
        {"/v1/chat/completions", "[]", "The body is not a JSON object."},
        {"/v1/chat/completions", "", "The body is not a JSON object."},
        {"/v1/files", "{}", "no such route"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_case(cases[i].path);
        ask_raw(cases[i].path, "", cases[i].body);
        CHECK(got.complete && body_has(cases[i].want));
        hang_up();
    }
    check_case("completions stream");
    struct seen seen;
    ask_raw("/v1/completions", "", "{\"model\":\"echo\",\"stream\":true,\"prompt\":\"say this again\"}");
    read_stream(SURFACE_COMPLETIONS, &seen);
    CHECK(got.complete && seen.may_end);
    CHECK_SLICE(slice_make(seen.text, seen.text_n), SLICE("say this again"));
    hang_up();

    check_case("the list of ids names each behaviour");
    got.fd = connect_sim();
    got.n = 0;
    got.ending = OPEN;
    send_all(got.fd, "GET /v1/models HTTP/1.1\r\nHost: sim\r\n\r\n", 39);
    finish();
    CHECK(got.complete && json_valid(body_of(), NULL, NULL));
    size_t ids = 0;
    for (const char *id; (id = sim_behaviour(ids)); ids++) {
        char text[80];
        snprintf(text, sizeof text, "{\"id\":\"%s\",", id);
        CHECK(body_has(text));
    }
    CHECK(ids > 30);
    hang_up();
}

static void test_connections(void)
{
    static const char body[] = "{\"model\":\"echo\",\"messages\":[]}";
    static const char chunked[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "10\r\n{\"model\":\"echo\",\r\n0f\r\n\"messages\":[]  \r\n1\r\n}\r\n0\r\n\r\n";

    check_case("one connection, several requests, in pieces of one byte too");
    got.fd = connect_sim();
    for (int round = 0; round < 3; round++) {
        begin("/v1/chat/completions", "", body, sizeof body - 1);
        finish();
        CHECK(got.complete && got.ending == OPEN && got.head.status == 200 && got.head.keep_alive);
    }
    got.n = 0;
    for (size_t i = 0; i < sizeof chunked - 1; i++)
        send_all(got.fd, chunked + i, 1);
    finish();
    CHECK(got.complete && got.head.status == 200);
    CHECK_INT(sim_clients(), 1);
    CHECK_INT(mem_in_use(), 0); /* nothing is held between requests */
    hang_up();

    check_case("Connection: close");
    ask_raw("/v1/chat/completions", "Connection: close\r\n", body);
    for (int i = 0; i < 3; i++)
        pump(&got);
    CHECK(got.complete && got.ending == FIN);
    hang_up();

    check_case("Expect: 100-continue");
    got.fd = connect_sim();
    got.n = 0;
    got.ending = OPEN;
    send_all(got.fd, "POST /v1/completions HTTP/1.1\r\nHost: sim\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n", 86);
    for (int i = 0; i < 3; i++)
        pump(&got);
    CHECK_SLICE(slice_make(got.raw, got.n), SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    hang_up();

    check_case("a client that leaves in mid-stream stops everything");
    got.fd = connect_sim();
    begin("/v1/chat/completions", "", "{\"model\":\"long\",\"stream\":true}", 30);
    for (int i = 0; i < 20; i++)
        pump(&got);
    CHECK_INT(timers_count(), 1);
    hang_up();

    check_case("requests that are no HTTP, or no head that ends");
    got.fd = connect_sim();
    got.n = 0;
    got.ending = OPEN;
    send_all(got.fd, "\x16\x03\x01\r\n\r\n", 7);
    for (int i = 0; i < 3; i++)
        pump(&got);
    CHECK(got.ending == RST || got.ending == FIN);
    hang_up();
    static char endless[40000];
    memset(endless, 'a', sizeof endless);
    memcpy(endless, "POST / HTTP/1.1\r\nX: ", 20);
    got.fd = connect_sim();
    got.ending = OPEN;
    send_all(got.fd, endless, 33000);
    for (int i = 0; i < 3; i++)
        pump(&got);
    CHECK(got.ending != OPEN);
    hang_up();

    check_case("no memory for a body ends the connection, not the process");
    mem_fail_at(1, false);
    got.fd = connect_sim();
    begin("/v1/chat/completions", "", body, sizeof body - 1);
    finish();
    CHECK(got.ending == RST && got.n == 0);
    hang_up();
    ask_raw("/v1/chat/completions", "", body);
    CHECK(got.complete);
    hang_up();
}

static void test_bounds(void)
{
    static int fd[SIM_CLIENTS_MAX + 1];
    char byte;

    check_case("one connection too many is refused, the others live");
    for (int i = 0; i <= SIM_CLIENTS_MAX; i++) {
        fd[i] = connect_sim();
        loop_turn(0);
    }
    for (int i = 0; i < 20; i++)
        loop_turn(1);
    CHECK_INT(sim_clients(), SIM_CLIENTS_MAX);
    CHECK(recv(fd[SIM_CLIENTS_MAX], &byte, 1, 0) <= 0 && errno != EAGAIN);
    CHECK(recv(fd[0], &byte, 1, 0) == -1 && errno == EAGAIN);

    check_case("closing the simulator closes them all, and it can be opened again");
    const char *why;
    sim_close();
    sim_close();
    CHECK_INT(sim_clients(), 0);
    CHECK_INT(timers_count(), 0);
    CHECK(recv(fd[0], &byte, 1, 0) == 0);
    for (int i = 0; i <= SIM_CLIENTS_MAX; i++)
        close(fd[i]);
    CHECK(sim_open(&port, &why));
    ask(SURFACE_CHAT, "echo", false);
    CHECK(got.complete);
    hang_up();
}

int main(void)
{
    const char *why;

    setvbuf(stdout, NULL, _IOLBF, 0); /* should it die, what failed before is to be seen */
    if (sys_max_fds() < 2 * SIM_CLIENTS_MAX + 20) {
        printf("left out: all of it (too few descriptors)\n0 passed, 1 failed\n");
        return 1;
    }
    if (!loop_init(SIM_WATCHES + 10) || !timers_init(SIM_TIMERS + 10) || !mem_budget_init(16 << 20) || !sim_open(&port, &why))
        return 1;
    test_echo();
    test_sequences();
    test_refusals();
    test_dead_ends();
    test_broken_streams();
    test_long();
    test_choice();
    test_other_surfaces();
    test_connections();
    test_bounds();
    return check_end();
}
