/* What happens on our own side: draining, names, shortages, one address that takes too much (faults.md F-001, F-003, L-02, L-26, L-41), and what the gateway
 * adds to a request and keeps from the client (spec 9). */
#include "flow.h"

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define USAGE "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n"

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act slow_stream[] = {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(3000), CHUNK(DELTA("b")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};

/* ---- Draining ---- */

static void draining_lets_requests_end(const void *row)
{
    struct client *busy, *idle, *asking, *late;
    struct answer a;

    (void)row;
    flow_open("", "");
    provider_plays(2, slow_stream);
    provider_plays(3, plain_ok);
    idle = flow_talk(CHAT, "{\"model\":\"m3\"}", &a);
    busy = client_open();
    flow_ask(busy, CHAT, "{\"model\":\"m2\",\"stream\":true}");
    asking = client_open();
    client_send(asking, "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\n");
    flow_pass(100);
    flow_drain();
    flow_settle();
    EXPECT(client_ended(idle));
    EXPECT(!client_ended(busy) && !client_ended(asking));
    EXPECT_INT(flow_busy(), 2);
    client_send(asking, "content-type: application/json\r\ncontent-length: 14\r\n\r\n{\"model\":\"m3\"}");
    EXPECT(flow_answer(asking, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT_STR(answer_field(&a, "connection"), "close");
    late = client_open();
    client_send(late, "GET /readyz HTTP/1.1\r\nhost: g\r\n\r\n");
    /* A newcomer who has not said anything yet when he is first looked at is closed, as idle ones are. */
    EXPECT(flow_answer(late, &a, 100) ? a.status == 503 : fake.stutter);
    EXPECT(flow_answer(busy, &a, 5000)); /* L-26: the stream ends by itself */
    EXPECT_STR(a.body, DELTA("a") DELTA("b") FINISH DONE);
    EXPECT(a.complete);
    flow_settle();
    EXPECT(client_ended(busy) && client_ended(asking) && client_ended(late));
    EXPECT_INT(flow_busy(), 0);
    client_close(busy);
    client_close(idle);
    client_close(asking);
    client_close(late);
}

/* ---- Names ---- */

static void name_from_the_hosts_file(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(5, plain_ok);
    c = flow_talk(CHAT, "{\"model\":\"m5\"}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT(provider_saw(5, 0, "\r\nhost: five.internal\r\n"));
    client_close(c);
}

static void name_servers_are_silent(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;

    (void)row;
    flow_open("\"connectTimeout\":\"5s\"", "");
    provider_plays(2, plain_ok);
    began = fake.now_ms;
    c = flow_talk(CHAT, "{\"model\":\"m6\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 200); /* F-003 */
    EXPECT_STR(answer_field(&a, "x-weir-provider"), "p2");
    EXPECT(fake.now_ms - began <= 5000);
    client_close(c);
    c = client_open();
    flow_ask(c, CHAT, "{\"model\":\"m6\"}");
    flow_pass(100);
    client_rst(c); /* L-43: gone while the name is asked for */
    flow_settle();
    EXPECT_INT(flow_log_lines(), 2);
    client_close(c);
    flow_pass(20000); /* the question runs out by itself */
}

/* ---- Shortages ---- */

static void no_descriptor_for_the_provider(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, plain_ok);
    provider_plays(3, plain_ok);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a); /* leaves one parked */
    fake.fail.call = CALL_SOCKET;
    fake.fail.nth = fake.calls[CALL_SOCKET] + 1;
    flow_ask(c, CHAT, "{\"model\":\"m3\"}");
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 200); /* L-02: the parked one made room */
    EXPECT_INT(provider(2)->conn[0]->peer.gate_fin, 1);
    fake.fail.nth = fake.calls[CALL_SOCKET] + 1;
    fake.fail.from_then_on = true;
    flow_ask(c, CHAT, "{\"model\":\"m4\"}"); /* nothing helps: ours, so no provider is blamed */
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 503);
    fake.fail.call = CALL_ANY;
    fake.fail.nth = 0;
    fake.failed = 0;
    provider_plays(4, plain_ok);
    flow_ask(c, CHAT, "{\"model\":\"m4\"}");
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 200);
    client_close(c);
}

/* One address may not take all connections (L-41). */
static void one_address_takes_too_many(const void *row)
{
    static const struct act slow[] = {READ, WAIT(1000), PLAIN(OK_BODY), AGAIN, END};
    struct client *greedy[8], *other;
    struct answer a;
    unsigned served = 0;

    (void)row;
    flow_open_more("", "", "\"maxConnections\":8,\"memory\":\"16MiB\"");
    provider_plays(2, slow);
    fake.client_ip = 0x0A020909;
    for (int i = 0; i < 8; i++) {
        greedy[i] = client_open();
        flow_ask(greedy[i], CHAT, "{\"model\":\"m2\"}");
        flow_settle();
    }
    fake.client_ip = 0;
    other = client_open();
    flow_ask(other, CHAT, "{\"model\":\"m2\"}");
    EXPECT(flow_answer(other, &a, 2000));
    EXPECT(a.status == 200 || fake.stutter); /* with few bytes at a time the refused ones still linger */
    for (int i = 0; i < 8; i++) {
        (void)flow_answer(greedy[i], &a, 2000);
        EXPECT(a.status == 200 || a.status == 503);
        served += a.status == 200;
        client_close(greedy[i]);
    }
    EXPECT_INT(served, 6);
    client_close(other);
}

/* ---- What is added and kept back ---- */

static const struct act with_usage[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), CHUNK(FINISH), CHUNK(USAGE), CHUNK(DONE), LAST_CHUNK, AGAIN, END};
static const struct act with_usage_at_once[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a") FINISH USAGE DONE), LAST_CHUNK, AGAIN, END};

static void usage_is_asked_for_and_kept_back(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, with_usage);
    provider_plays(3, with_usage_at_once);
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"stream\":true}", &a);
    EXPECT_STR(a.body, ROLE DELTA("a") FINISH DONE);
    EXPECT(provider_saw(2, 0, "\"stream_options\":{\"include_usage\":true}"));
    EXPECT(slice_find(flow_log_last(), SLICE("\"inputTokens\":11,\"outputTokens\":7")) >= 0);
    flow_ask(c, CHAT, "{\"model\":\"m3\",\"stream\":true}");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_STR(a.body, ROLE DELTA("a") FINISH DONE);
    EXPECT(slice_find(flow_log_last(), SLICE("\"inputTokens\":11,\"outputTokens\":7")) >= 0);
    /* Who asks himself gets it. */
    flow_ask(c, CHAT, "{\"model\":\"m2\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_STR(a.body, ROLE DELTA("a") FINISH USAGE DONE);
    client_close(c);
}

static void usage_of_a_stream_that_broke(const void *row)
{
    static const struct act script[] = {READ, SEND(SSE_HEAD), CHUNK("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}}\n\n"), WAIT(10), FIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, script);
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"stream\":true}", &a);
    EXPECT(slice_find(flow_log_last(), SLICE("\"inputTokens\":11,\"outputTokens\":1")) >= 0); /* S-43 */
    client_close(c);
}

static void headers_that_cross(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, plain_ok);
    c = client_open();
    flow_ask_more(c, CHAT, "cookie: a=b\r\nx-forwarded-for: 1.2.3.4\r\nforwarded: for=1\r\nx-weir-anything: 1\r\naccept-encoding: gzip\r\napi-key: x\r\n"
                           "openai-beta: one\r\nuser-agent: flow\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nte: trailers\r\nx-request-id: mine\r\n",
                  "{\"model\":\"m2\"}");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT(provider_saw(2, 0, "\r\nopenai-beta: one\r\n") && provider_saw(2, 0, "\r\nuser-agent: flow\r\n"));
    EXPECT(provider_saw(2, 0, "\r\naccept-encoding: identity\r\n") && provider_saw(2, 0, "\r\nauthorization: Bearer key-2a\r\n"));
    EXPECT(!provider_saw(2, 0, "cookie") && !provider_saw(2, 0, "orwarded") && !provider_saw(2, 0, "x-weir") && !provider_saw(2, 0, "gzip"));
    EXPECT(!provider_saw(2, 0, "x-hop") && !provider_saw(2, 0, "\r\nte:") && !provider_saw(2, 0, "mine") && !provider_saw(2, 0, "api-key: x"));
    client_close(c);
    c = client_open();
    flow_ask_more(c, "/v1/messages?beta=true", "anthropic-beta: tools\r\n", "{\"model\":\"m2\"}");
    (void)flow_answer(c, &a, 100);
    EXPECT(provider_saw(2, 1, "POST /v1/messages?beta=true HTTP/1.1\r\n"));
    EXPECT(provider_saw(2, 1, "\r\nx-api-key: key-2a\r\n") && provider_saw(2, 1, "\r\nanthropic-version: 2023-06-01\r\n"));
    EXPECT(provider_saw(2, 1, "\r\nanthropic-beta: tools\r\n") && !provider_saw(2, 1, "authorization"));
    client_close(c);
}

int main(void)
{
    FLOW(draining_lets_requests_end);
    FLOW(name_from_the_hosts_file);
    FLOW(name_servers_are_silent);
    flow_add_quick("no_descriptor_for_the_provider", no_descriptor_for_the_provider, NULL);
    FLOW(one_address_takes_too_many);
    FLOW(usage_is_asked_for_and_kept_back);
    FLOW(usage_of_a_stream_that_broke);
    FLOW(headers_that_cross);
    return flow_main();
}
