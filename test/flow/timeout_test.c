/* The clocks of spec 5 and 6, each measured to the millisecond in a world where time moves by hand; heartbeats and hedging, which are clocks as well. */
#include "flow.h"

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define TWO "{\"model\":\"m1\",\"models\":[\"m2\"]}"
#define TWO_STREAMED "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}"
#define ONE_STREAMED "{\"model\":\"m2\",\"stream\":true}"

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act stream_ok[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("hi")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};
static const struct act silent[] = {READ, END};
static const struct act late_stream[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE), WAIT(3000), CHUNK(DELTA("late")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};
static const struct act comments_only[] = {READ, SEND(SSE_HEAD), CHUNK(COMMENT), WAIT(900), CHUNK(COMMENT ROLE), WAIT(900), CHUNK(COMMENT), WAIT(900), CHUNK(COMMENT), WAIT(900), CHUNK(COMMENT), END};

struct clock_row {
    const char *name, *gateway, *ask;
    const struct act *p1, *p2;
    unsigned status;
    const char *attempts; /* NULL: not looked at */
    const char *says;     /* in the body */
    int64_t ms;           /* when the answer is complete */
};

static const struct clock_row rows[] = {
    {"perRequestTimeout, plain", "\"perRequestTimeout\":\"3s\"", TWO, silent, plain_ok, 200, "p1/a=timeout, p2/a=200", "hi", 3000},
    {"perRequestTimeout, stream", "\"perRequestTimeout\":\"3s\"", TWO_STREAMED, comments_only, stream_ok, 200, "p1/a=timeout, p2/a=200", "hi", 3000},
    {"perRequestTimeout, only attempt", "\"perRequestTimeout\":\"3s\"", "{\"model\":\"m2\"}", NULL, silent, 502, "p2/a=timeout", "upstream_unreachable", 3000},
    {"firstTokenTimeout", "\"firstTokenTimeout\":\"2s\"", TWO_STREAMED, late_stream, stream_ok, 200, "p1/a=timeout, p2/a=200", "hi", 2000},
    {"F-096 comments do not reset it", "\"firstTokenTimeout\":\"2s\"", TWO_STREAMED, comments_only, stream_ok, 200, "p1/a=timeout, p2/a=200", "hi", 2000},
    {"firstTokenTimeout: not on the last attempt", "\"firstTokenTimeout\":\"2s\"", ONE_STREAMED, NULL, late_stream, 200, "p2/a=200", "late", 3000},
    {"firstTokenTimeout: not for plain answers", "\"firstTokenTimeout\":\"2s\",\"perRequestTimeout\":\"4s\"", TWO, silent, plain_ok, 200, "p1/a=timeout, p2/a=200", "hi", 4000},
    {"F-133 totalTimeout", "\"totalTimeout\":\"5s\",\"perRequestTimeout\":\"3s\"", TWO, silent, silent, 504, NULL, "total_timeout", 5000},
    {"totalTimeout of a stream before commit", "\"totalTimeout\":\"2s\"", TWO_STREAMED, late_stream, stream_ok, 504, "p1/a=cancelled", "total_timeout", 2000},
    {"no timeout cuts a committed stream", "\"totalTimeout\":\"1s\",\"perRequestTimeout\":\"1s\",\"firstTokenTimeout\":\"1s\"", ONE_STREAMED, NULL,
     (const struct act[]){READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(50000), CHUNK(DELTA("b")), WAIT(50000), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END}, 200, "p2/a=200", "[DONE]", 100000},
    {"streamIdleTimeout", "\"streamIdleTimeout\":\"4s\"", ONE_STREAMED, NULL,
     (const struct act[]){READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(3900), CHUNK(COMMENT), WAIT(3900), CHUNK(DELTA("b")), END}, 200, "p2/a=200", "stream_stalled", 11800},
    {"patience by configuration", "\"totalTimeout\":\"1h\",\"perRequestTimeout\":\"1h\",\"streamIdleTimeout\":\"1h\"", ONE_STREAMED, NULL,
     (const struct act[]){READ, WAIT(300000), SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(200000), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END}, 200, "p2/a=200", "[DONE]", 500000},
};

static void clock_strikes(const void *row)
{
    const struct clock_row *r = row;
    struct answer a;
    struct client *c;
    int64_t began;

    flow_open(r->gateway, "");
    provider_plays(1, r->p1);
    provider_plays(2, r->p2);
    began = fake.now_ms;
    c = flow_talk(CHAT, r->ask, &a);
    EXPECT_INT(fake.now_ms - began, r->ms);
    EXPECT_INT(a.status, r->status);
    EXPECT(answer_has(&a, r->says));
    if (r->attempts)
        EXPECT_STR(answer_field(&a, "x-weir-attempts"), r->attempts);
    if (r->status == 504)
        EXPECT_INT(providers_open(), 0); /* F-133: what ran is cancelled */
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

/* ---- Heartbeats ---- */

static void heartbeats_until_it_answers(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("\"streamHeartbeat\":\"1s\",\"perRequestTimeout\":\"2500ms\"", "");
    provider_plays(1, silent);
    provider_plays(2, stream_ok);
    c = flow_talk(CHAT, TWO_STREAMED, &a);
    EXPECT_INT(a.status, 200);
    EXPECT_STR(answer_field(&a, "content-type"), "text/event-stream; charset=utf-8");
    EXPECT_STR(a.body, ": waiting\n\n: waiting\n\n" ROLE DELTA("hi") FINISH DONE);
    EXPECT(a.complete && !client_ended(c));
    flow_ask(c, CHAT, TWO); /* and the connection lives on */
    client_close(c);
}

static void heartbeats_then_failure(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("\"streamHeartbeat\":\"1s\",\"perRequestTimeout\":\"1500ms\"", "");
    provider_plays(2, silent);
    c = flow_talk(CHAT, ONE_STREAMED, &a);
    EXPECT_INT(a.status, 200);
    EXPECT(slice_starts(a.body, SLICE(": waiting\n\ndata: {\"error\":")));
    EXPECT(!a.complete && client_ended(c));
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
    c = flow_talk("/v1/messages", ONE_STREAMED, &a);
    EXPECT(slice_find(a.body, SLICE("event: error\ndata: {\"type\":\"error\"")) > 0);
    client_close(c);
}

/* The head has promised events by then: JSON behind it would be read by no client. */
static void heartbeats_then_a_plain_answer(const void *row)
{
    static const struct act late_plain[] = {READ, WAIT(1500), PLAIN(OK_BODY), AGAIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("\"streamHeartbeat\":\"1s\"", "");
    provider_plays(1, late_plain);
    provider_plays(2, stream_ok);
    c = flow_talk(CHAT, TWO_STREAMED, &a);
    EXPECT_INT(a.status, 200);
    /* Both keys of the first provider answer so, 1.5 s each. */
    EXPECT_STR(a.body, ": waiting\n\n: waiting\n\n: waiting\n\n" ROLE DELTA("hi") FINISH DONE);
    EXPECT(a.complete);
    client_close(c);
}

static void heartbeats_only_for_streams(const void *row)
{
    static const struct act slow[] = {READ, WAIT(5000), PLAIN(OK_BODY), AGAIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("\"streamHeartbeat\":\"1s\"", "");
    provider_plays(2, slow);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT_STR(a.body, OK_BODY);
    EXPECT(!a.chunked);
    client_close(c);
}

/* A client that takes nothing: heartbeats must neither pile up without end nor keep it for ever. */
static void heartbeats_for_a_client_that_is_stuck(const void *row)
{
    struct client *c;

    (void)row;
    flow_open("\"streamHeartbeat\":\"1s\",\"perRequestTimeout\":null,\"totalTimeout\":\"100s\"", "");
    provider_plays(2, silent);
    c = client_open();
    c->reading = false;
    c->peer.window = 20;
    flow_ask(c, CHAT, ONE_STREAMED);
    flow_pass(99000);
    EXPECT(flow_mem_used() < 65536);
    flow_pass(130000);
    EXPECT(client_ended(c));
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

/* ---- Hedging ---- */

#define HEDGE "\"hedgeAfter\":\"1s\""

static const struct act early_stream[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE), WAIT(1500), CHUNK(DELTA("first")), WAIT(100), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};
static const struct act slow_stream[] = {READ, WAIT(2000), SEND(SSE_HEAD), CHUNK(DELTA("second")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};
static const struct act fails_late[] = {READ, WAIT(1500), FAIL("500 No", "{}"), AGAIN, END};

static void hedge_wins(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;

    (void)row;
    flow_open("", HEDGE);
    provider_plays(1, silent);
    provider_plays(2, stream_ok);
    began = fake.now_ms;
    c = client_open();
    flow_ask(c, CHAT, TWO_STREAMED);
    flow_pass(999);
    EXPECT_INT(provider(1)->nconns, 1);
    flow_pass(1); /* the next attempt is p1's other key, which is silent as well */
    EXPECT_INT(provider(1)->nconns, 2);
    EXPECT(!flow_answer(c, &a, 1000));
    client_close(c);
    c = client_open();
    flow_ask(c, CHAT, "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true}");
    provider_plays(4, silent);
    began = fake.now_ms;
    EXPECT(flow_answer(c, &a, 5000));
    EXPECT_INT(fake.now_ms - began, 1000);
    EXPECT_STR(a.body, ROLE DELTA("hi") FINISH DONE);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p2/a=200, p4/a=cancelled");
    EXPECT_STR(answer_field(&a, "x-weir-provider"), "p2");
    EXPECT(provider(4)->nconns == 1 && provider(4)->conn[0]->peer.gate_fin); /* the other is cancelled at once */
    client_close(c);
}

static void hedge_loses(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;

    (void)row;
    flow_open("", HEDGE);
    provider_plays(4, early_stream);
    provider_plays(2, slow_stream);
    began = fake.now_ms;
    c = flow_talk(CHAT, "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true}", &a);
    EXPECT_INT(fake.now_ms - began, 1600);
    EXPECT_STR(a.body, ROLE DELTA("first") FINISH DONE);
    EXPECT(provider(2)->nconns == 1 && provider(2)->conn[0]->peer.ended_ms - began == 1500);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

static void hedge_not_needed(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", HEDGE);
    provider_plays(4, plain_ok);
    c = flow_talk(CHAT, "{\"model\":\"m4\",\"models\":[\"m2\"]}", &a);
    flow_pass(5000);
    EXPECT_INT(provider(2)->nconns, 0);
    client_close(c);
}

static void hedge_carries_on_when_the_first_fails(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", HEDGE);
    provider_plays(4, fails_late);
    provider_plays(2, slow_stream);
    c = flow_talk(CHAT, "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p4/a=500, p2/a=200");
    client_close(c);
}

static void hedged_client_leaves(const void *row)
{
    struct client *c;

    (void)row;
    flow_open("", HEDGE);
    provider_plays(4, silent);
    provider_plays(2, silent);
    c = client_open();
    flow_ask(c, CHAT, "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true}");
    flow_pass(1500);
    EXPECT_INT(providers_open(), 2);
    client_rst(c);
    flow_settle();
    EXPECT_INT(providers_open(), 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

int main(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        flow_add(rows[i].name, clock_strikes, &rows[i]);
    FLOW(heartbeats_until_it_answers);
    FLOW(heartbeats_then_failure);
    FLOW(heartbeats_then_a_plain_answer);
    FLOW(heartbeats_only_for_streams);
    FLOW(heartbeats_for_a_client_that_is_stuck);
    FLOW(hedge_wins);
    FLOW(hedge_loses);
    FLOW(hedge_not_needed);
    FLOW(hedge_carries_on_when_the_first_fails);
    FLOW(hedged_client_leaves);
    return flow_main();
}
