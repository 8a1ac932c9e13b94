/* Slow clients and large answers (spec 6, S-49, F-119, F-123, L-39): reading from the provider stops, memory stays bounded, the loop sleeps, and in the end
 * every byte has arrived in order. And the limits: connections, memory. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define ASK "{\"model\":\"m2\"}"
#define ASK_STREAM "{\"model\":\"m2\",\"stream\":true}"

enum { LARGE = 8 << 20, BOUND = 600000 /* 64 KiB high mark, one read, and the steps in which blocks grow */ };

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act large_plain[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 8388608\r\n\r\n"), FLOOD(LARGE), AGAIN, END};
static const struct act large_until_close[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n\r\n"), FLOOD(LARGE), FIN, END};

static bool is_alphabet(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != (char)('a' + i % 26))
            return false;
    return true;
}

static void wait_and_then_take_all(const struct act *script, const char *path, bool ends)
{
    struct answer a;
    struct client *c;
    size_t sent;

    flow_open("", "");
    provider_plays(2, script);
    c = client_open();
    c->reading = false;
    flow_ask(c, path, ASK);
    flow_pass(1000);
    sent = provider(2)->nconns ? provider(2)->conn[0]->sent : 0;
    EXPECT(sent < LARGE / 2);
    flow_pass(30000); /* it takes nothing for a while: nothing more may be read */
    EXPECT_INT(provider(2)->nconns && provider(2)->conn[0]->sent > sent, 0);
    EXPECT(flow_mem_used() < 4 * BOUND); /* the first MiB was held until it was known to be an answer */
    c->reading = true;
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.body.n, LARGE);
    EXPECT(is_alphabet(a.body));
    EXPECT(a.complete);
    EXPECT_INT(client_ended(c), ends);
    client_close(c);
}

static void slow_client_plain(const void *row)
{
    (void)row;
    wait_and_then_take_all(large_plain, "/v1/audio/speech", false);
}

static void slow_client_until_close(const void *row)
{
    (void)row;
    wait_and_then_take_all(large_until_close, "/v1/audio/speech", false);
}

/* ---- Streams ---- */

enum { EVENTS = 20000 };

static char *many_events(size_t *n)
{
    size_t cap = EVENTS * 100 + 1000;
    char *p = malloc(cap);
    int at = 0;

    if (!p)
        abort();
    at = snprintf(p, cap, "%s", SSE_HEAD_CLOSE);
    for (int i = 0; i < EVENTS; i++)
        at += snprintf(p + at, cap - (size_t)at, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d\"}}]}\n\n", i);
    at += snprintf(p + at, cap - (size_t)at, "%s", FINISH DONE);
    *n = (size_t)at;
    return p;
}

/* Always a little behind: its queue never empties. */
static void client_that_is_always_behind(const void *row)
{
    static struct act script[4];
    size_t n, head = sizeof(SSE_HEAD_CLOSE) - 1;
    char *events = many_events(&n);
    struct answer a;
    struct client *c;
    size_t most = 0;

    (void)row;
    script[0] = (struct act)READ;
    script[1] = (struct act){.kind = ACT_SEND, .text = events, .n = n};
    script[2] = (struct act)FIN;
    flow_open("", "");
    provider_plays(2, script);
    c = client_open();
    c->reading = false;
    c->peer.window = 8192;
    flow_ask(c, CHAT, ASK_STREAM);
    for (int i = 0; i < 100000 && !client_ended(c) && c->peer.got.n < n; i++) {
        flow_pass(1);
        if (!fake_take(&c->peer, 7000))
            break;
        most = flow_mem_used() > most ? flow_mem_used() : most;
    }
    EXPECT(most < BOUND);
    c->reading = true;
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_SLICE(a.body, slice_make(events + head, n - head));
    EXPECT(a.complete);
    client_close(c);
    peers_reset();
    free(events);
}

/* The provider has sent all and closed while the client sleeps: nobody may be woken for it again and again (flow_settle sees). */
static void provider_closes_while_the_client_sleeps(const void *row)
{
    static struct act script[4];
    const bool by_reset = *(const bool *)row;
    size_t n;
    char *events = many_events(&n);
    struct answer a;
    struct client *c;

    script[0] = (struct act)READ;
    script[1] = (struct act){.kind = ACT_SEND, .text = events, .n = 400000};
    script[2] = by_reset ? (struct act)RST : (struct act)FIN;
    flow_open("", "");
    provider_plays(2, script);
    c = client_open();
    c->reading = false;
    c->peer.window = 1000;
    flow_ask(c, CHAT, ASK_STREAM);
    flow_pass(20000);
    c->peer.window = 262144;
    c->reading = true;
    EXPECT(flow_answer(c, &a, 10000));
    EXPECT(client_ended(c));
    EXPECT(answer_has(&a, "stream_truncated"));
    EXPECT(!by_reset || a.body.n < 400000);
    EXPECT(by_reset || slice_starts(a.body, slice_make(events + sizeof(SSE_HEAD_CLOSE) - 1, 390000)));
    client_close(c);
    peers_reset();
    free(events);
}

/* The stream was cut by an error event, the client has not taken it yet, and the provider goes on talking. */
static void provider_talks_on_behind_a_cut(const void *row)
{
    static const struct act script[] = {READ, SEND(SSE_HEAD_CLOSE DELTA("a")), WAIT(10), SEND("data: {\"error\":{\"message\":\"oh\"}}\n\n"), WAIT(10),
                                        FLOOD(200000), WAIT(10), FIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, script);
    c = client_open();
    c->reading = false;
    c->peer.window = 100;
    flow_ask(c, CHAT, ASK_STREAM);
    flow_pass(20000);
    EXPECT_INT(providers_open(), 0);
    c->reading = true;
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_STR(a.body, DELTA("a") "data: {\"error\":{\"message\":\"oh\"}}\n\n");
    client_close(c);
}

static const struct act short_stream[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a") DELTA("b")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};

static void client_that_takes_byte_by_byte(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, short_stream);
    c = client_open();
    c->reading = false;
    c->peer.window = 1;
    flow_ask(c, CHAT, ASK_STREAM);
    for (int i = 0; i < 5000; i++) {
        flow_settle();
        if (!fake_take(&c->peer, 1))
            break;
    }
    c->reading = true;
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_STR(a.body, ROLE DELTA("a") DELTA("b") FINISH DONE);
    EXPECT(a.complete && !client_ended(c));
    client_close(c);
}

static void client_that_takes_nothing_for_a_minute(const void *row)
{
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, large_plain);
    c = client_open();
    c->reading = false;
    flow_ask(c, "/v1/audio/speech", ASK);
    flow_pass(59000);
    EXPECT(!client_ended(c));
    flow_pass(2000);
    EXPECT(client_ended(c)); /* F-119 */
    EXPECT_INT(providers_open(), 0);
    EXPECT_INT(flow_log_lines(), 1);
    EXPECT(slice_find(flow_log_last(), SLICE("client_gone")) >= 0);
    client_close(c);
}

/* F-123: many tiny events in one segment, and the turn's memory. */
static void many_events_at_once(const void *row)
{
    static struct act script[4];
    size_t n, head = sizeof(SSE_HEAD_CLOSE) - 1;
    char *events = many_events(&n);
    struct answer a;
    struct client *c;

    (void)row;
    script[0] = (struct act)READ;
    script[1] = (struct act){.kind = ACT_SEND, .text = events, .n = n};
    script[2] = (struct act)FIN;
    flow_open("", "");
    provider_plays(2, script);
    c = flow_talk(CHAT, ASK_STREAM, &a);
    EXPECT_SLICE(a.body, slice_make(events + head, n - head));
    EXPECT(a.complete);
    client_close(c);
    peers_reset();
    free(events);
}

/* ---- Limits ---- */

static void more_clients_than_allowed(const void *row)
{
    static const struct act silent[] = {READ, WAIT(5000), PLAIN(OK_BODY), AGAIN, END};
    struct client *busy[4], *c;
    struct answer a;

    (void)row;
    flow_open_more("", "", "\"maxConnections\":4,\"memory\":\"16MiB\"");
    provider_plays(2, silent);
    for (int i = 0; i < 4; i++) {
        busy[i] = client_open();
        flow_ask(busy[i], CHAT, ASK);
    }
    flow_settle();
    c = flow_talk(CHAT, ASK, &a);
    EXPECT_INT(a.status, 503);
    EXPECT(answer_has(&a, "overloaded"));
    EXPECT(answer_field(&a, "retry-after").n > 0);
    EXPECT_STR(answer_field(&a, "x-should-retry"), "true");
    client_close(c);
    for (int i = 0; i < 4; i++) {
        EXPECT(flow_answer(busy[i], &a, 6000));
        EXPECT_INT(a.status, 200);
    }
    /* L-40: now they are idle, and the oldest of them makes room. */
    c = flow_talk(CHAT, ASK, &a);
    EXPECT_INT(a.status, 200);
    EXPECT_INT(client_ended(busy[0]) + client_ended(busy[1]) + client_ended(busy[2]) + client_ended(busy[3]), 1);
    client_close(c);
    for (int i = 0; i < 4; i++)
        client_close(busy[i]);
}

static void bodies_beyond_the_memory(const void *row)
{
    struct client *c[12];
    struct answer a;
    unsigned refused = 0;

    (void)row;
    flow_open("", "");
    provider_plays(2, plain_ok);
    for (int i = 0; i < 12; i++) { /* each announces 4 MiB of 16 */
        c[i] = client_open();
        client_send(c[i], "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\n"
                          "content-length: 4000000\r\n\r\n{");
        flow_settle();
        (void)flow_answer(c[i], &a, 0);
        refused += a.status == 503;
        EXPECT(a.status == 503 || a.status == 0);
    }
    EXPECT(refused >= 8);
    for (int i = 0; i < 12; i++)
        client_close(c[i]);
    flow_settle();
    EXPECT_INT(flow_mem_used(), 0);
    client_close(flow_talk(CHAT, ASK, &a));
    EXPECT_INT(a.status, 200);
}

/* A client that sends on and on while it is being served: what waits is bounded, and it is not even read. */
static void client_that_never_stops_sending(const void *row)
{
    static const struct act late[] = {READ, WAIT(5000), PLAIN(OK_BODY), AGAIN, END};
    static char some[65536];
    struct answer a;
    struct client *c;

    (void)row;
    memset(some, '!', sizeof some);
    flow_open("", "");
    provider_plays(2, late);
    c = client_open();
    flow_ask(c, CHAT, ASK);
    flow_settle();
    for (int i = 0; i < 16; i++)
        client_send_n(c, some, sizeof some);
    flow_pass(4000);
    EXPECT(flow_mem_used() < BOUND);
    EXPECT(flow_answer(c, &a, 2000));
    EXPECT_INT(a.status, 200);
    EXPECT(flow_answer(c, &a, 2000)); /* then it is judged for what it is */
    EXPECT(a.status == 400 || a.status == 431);
    EXPECT_STR(answer_field(&a, "connection"), "close");
    client_close(c);
}

static void accepting_pauses_without_descriptors(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, plain_ok);
    c = client_open();
    flow_ask(c, CHAT, ASK);
    fake.fail.call = CALL_ACCEPT;
    fake.fail.nth = fake.calls[CALL_ACCEPT] + 1;
    fake.fail.from_then_on = true;
    flow_pass(1000);
    EXPECT(fake.failed >= 5 && fake.failed < 40); /* L-01: every 100 ms, not all the time */
    EXPECT_INT(c->peer.got.n, 0);
    fake.fail.call = CALL_ANY;
    fake.fail.nth = 0;
    fake.failed = 0;
    EXPECT(flow_answer(c, &a, 200));
    EXPECT_INT(a.status, 200);
    client_close(c);
}

int main(void)
{
    static const bool no = false, yes = true;

    FLOW_LARGE(slow_client_plain);
    FLOW_LARGE(slow_client_until_close);
    FLOW_LARGE(client_that_is_always_behind);
    flow_add_large("provider_closes_while_the_client_sleeps", provider_closes_while_the_client_sleeps, &no);
    flow_add_large("provider_resets_while_the_client_sleeps", provider_closes_while_the_client_sleeps, &yes);
    FLOW_LARGE(provider_talks_on_behind_a_cut);
    FLOW(client_that_takes_byte_by_byte);
    FLOW_LARGE(client_that_takes_nothing_for_a_minute);
    FLOW_LARGE(many_events_at_once);
    FLOW(more_clients_than_allowed);
    FLOW_LARGE(client_that_never_stops_sending);
    FLOW(bodies_beyond_the_memory);
    flow_add_quick("accepting_pauses_without_descriptors", accepting_pauses_without_descriptors, NULL); /* breaks calls itself */
    return flow_main();
}
