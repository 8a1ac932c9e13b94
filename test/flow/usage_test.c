/* What a request is booked as (I-6): one event per attempt, one of them final, tokens as the provider stated them or as went out. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#include "llm/outcome.h"
#include "state/usage.h"

#define ASK_CHAT CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}"
#define ASK_MESSAGES "/v1/messages", "{\"model\":\"m1\",\"max_tokens\":9,\"stream\":true}"
#define A_START "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":20,\"output_tokens\":1}}}\n\n"
#define A_TEXT(t) "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" t "\"}}\n\n"
#define A_END "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":7,\"output_tokens\":30}}\n\n" \
              "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define USAGE_CHUNK "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":3}}}\n\n"

/* The n-th event of this world; NULL when there are fewer. */
static uint64_t first_seq;
static const struct usage_event *event(unsigned n)
{
    return usage_at(first_seq + n);
}

static void open_world(const char *router)
{
    flow_open("\"cooldown\":false", router);
    first_seq = usage_next_seq();
}

static unsigned events(void)
{
    return (unsigned)(usage_next_seq() - first_seq);
}

static bool id_is(const struct usage_event *e, enum usage_id which, const char *want)
{
    return slice_eq(usage_get_id(e, which), slice_str(want));
}

static void tokens_are_those_of_the_last_chunk(const void *row)
{
    static const struct act play[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("Hello") FINISH), CHUNK(USAGE_CHUNK USAGE_CHUNK DONE), LAST_CHUNK, END};
    struct answer a;
    struct client *c;
    const struct usage_event *e;

    (void)row;
    open_world("");
    provider_plays(1, play);
    c = flow_talk(ASK_CHAT, &a);
    EXPECT_INT(a.status, 200);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 1) || !event(0))
        return;
    e = event(0);
    EXPECT_INT(e->input, 11);
    EXPECT_INT(e->output, 7);
    EXPECT_INT(e->cache_read, 4);
    EXPECT_INT(e->reasoning, 3);
    EXPECT_INT(e->flags & (USAGE_FINAL | USAGE_ERROR | USAGE_ESTIMATED | USAGE_STREAMING), USAGE_FINAL | USAGE_STREAMING);
    EXPECT(id_is(e, USAGE_ACCESS_KEY, "aigk_app") && id_is(e, USAGE_PROVIDER, "p1") && id_is(e, USAGE_PROVIDER_KEY, "aigpk_1a") &&
           id_is(e, USAGE_MODEL, "m1"));
    EXPECT_STR(slice_str(e->stop_reason), "stop");
}

static void message_delta_corrects_message_start(const void *row)
{
    static const struct act play[] = {READ, SEND(SSE_HEAD), CHUNK(A_START A_TEXT("Hi") A_END), LAST_CHUNK, END};
    struct answer a;
    struct client *c;

    (void)row;
    open_world("");
    provider_plays(1, play);
    c = flow_talk(ASK_MESSAGES, &a);
    EXPECT_INT(a.status, 200);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 1) || !event(0))
        return;
    EXPECT_INT(event(0)->input, 27); /* 7 fresh, 20 from the cache */
    EXPECT_INT(event(0)->cache_read, 20);
    EXPECT_INT(event(0)->output, 30);
    EXPECT_INT(event(0)->flags & USAGE_ESTIMATED, 0);
}

/* F-121, S-45 without a drain: nothing stated, so what went out counts. */
static void nothing_stated(const void *row)
{
    static const struct act play[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("one") DELTA("two") DELTA("three and some more words") FINISH DONE), LAST_CHUNK, END};
    struct answer a;
    struct client *c;

    (void)row;
    open_world("");
    provider_plays(1, play);
    c = flow_talk(ASK_CHAT, &a);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 1) || !event(0))
        return;
    EXPECT(event(0)->output >= 8 && event(0)->output <= 30); /* about the 8 tokens that they are, never fewer, not the bytes of the events */
    EXPECT(event(0)->input > 0);
    EXPECT(event(0)->flags & USAGE_ESTIMATED);
}

/* F-092: usage that is none is passed on, and not believed. */
static void absurd_usage(const void *row)
{
    static const struct act play[] = {READ, PLAIN("{\"choices\":[{\"message\":{\"content\":\"hello there\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":-3,\"completion_tokens\":1000000000000000000}}"), END};
    static const struct act large[] = {READ, PLAIN("{\"choices\":[{\"message\":{\"content\":\"hello there\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9000000000000000}}"), END};
    struct answer a;
    struct client *c;

    open_world("");
    provider_plays(1, row ? large : play);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a);
    EXPECT_INT(a.status, 200);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 1) || !event(0))
        return;
    if (row) {
        EXPECT_INT(event(0)->output, USAGE_TOKENS_MAX);
    } else {
        EXPECT(event(0)->output > 0 && event(0)->output < 100);
        EXPECT(event(0)->flags & USAGE_ESTIMATED);
    }
}

struct leaving {
    bool messages, reset;
    int events; /* after how many content events */
};

/* S-43, F-120: the client leaves after k events; at least what it got is booked, and nobody else is asked. */
static void client_leaves(const void *row)
{
    static const struct act chat[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE), WAIT(1000), CHUNK(DELTA("word")), WAIT(1000), CHUNK(DELTA("word")), WAIT(1000),
                                      CHUNK(DELTA("word")), WAIT(1000), CHUNK(DELTA("word")), WAIT(1000), CHUNK(FINISH USAGE_CHUNK DONE), LAST_CHUNK, END};
    static const struct act messages[] = {READ, SEND(SSE_HEAD), CHUNK(A_START), WAIT(1000), CHUNK(A_TEXT("word")), WAIT(1000), CHUNK(A_TEXT("word")), WAIT(1000),
                                          CHUNK(A_TEXT("word")), WAIT(1000), CHUNK(A_TEXT("word")), WAIT(1000), CHUNK(A_END), LAST_CHUNK, END};
    const struct leaving *l = row;
    struct client *c;
    const struct usage_event *e;

    open_world("");
    provider_plays(1, l->messages ? messages : chat);
    c = client_open();
    if (l->messages)
        flow_ask(c, ASK_MESSAGES);
    else
        flow_ask(c, ASK_CHAT);
    flow_pass(l->events * 1000 + 500);
    if (l->reset)
        client_rst(c);
    else
        client_fin(c);
    flow_pass(100);
    EXPECT_INT(providers_open(), 0); /* stopped within 100 ms */
    client_close(c);
    EXPECT_INT(provider(2)->nrequests, 0);
    if (!EXPECT_INT(events(), 1) || !event(0))
        return;
    e = event(0);
    EXPECT(e->flags & USAGE_FINAL);
    EXPECT(e->output >= (unsigned)l->events);
    EXPECT(l->events == 0 || e->flags & USAGE_ESTIMATED);
    EXPECT_INT(e->status, l->events ? 200 : 499);
    EXPECT_STR(slice_str(e->stop_reason), l->events ? "client_gone" : "cancelled");
    if (l->messages && l->events)
        EXPECT_INT(e->input, 25);
}

/* Every attempt has its event with its own status; the last one stands for the request. */
static void each_attempt_has_one(const void *row)
{
    static const struct act limited[] = {READ, FAIL("429 Too Many Requests", "{\"error\":{\"message\":\"slow down\"}}"), AGAIN};
    static const struct act fine[] = {READ, PLAIN("{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}"), END};
    struct answer a;
    struct client *c;

    (void)row;
    open_world("");
    provider_plays(1, limited);
    provider_plays(2, fine);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 200);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 3) || !event(2))
        return;
    for (unsigned i = 0; i < 3; i++) {
        const struct usage_event *e = event(i);

        EXPECT_INT(e->attempt, i + 1);
        EXPECT_INT(e->status, i == 2 ? 200 : 429);
        EXPECT_INT(e->outcome, i == 2 ? OUTCOME_OK : OUTCOME_RATE_LIMIT);
        EXPECT_INT(e->flags & (USAGE_FINAL | USAGE_ERROR), i == 2 ? USAGE_FINAL : USAGE_ERROR);
        EXPECT(memcmp(e->request_id, event(0)->request_id, sizeof e->request_id) == 0);
    }
    EXPECT(id_is(event(1), USAGE_PROVIDER_KEY, "aigpk_1b") && id_is(event(2), USAGE_PROVIDER, "p2"));
    EXPECT_INT(event(0)->input + event(0)->output + event(1)->output, 0);
    EXPECT_INT(event(2)->output, 2);
}

/* Refused before any attempt: one event all the same, with no provider. Nobody's requests leave none. */
static void refused_ones(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    open_world("");
    c = flow_talk(CHAT, "{\"model\":\"unknown-to-all\"}", &a);
    EXPECT_INT(a.status, 422);
    client_close(c);
    c = flow_talk(CHAT, "not JSON", &a);
    EXPECT_INT(a.status, 400);
    client_close(c);
    c = client_open();
    client_send(c, "GET /healthz HTTP/1.1\r\nhost: gate\r\n\r\n");
    EXPECT(flow_answer(c, &a, 1000));
    client_send(c, "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer nobody\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 401);
    client_close(c);
    flow_pass(100);
    if (!EXPECT_INT(events(), 2) || !event(1))
        return;
    EXPECT_INT(event(0)->status, 422);
    EXPECT_INT(event(0)->attempt, 0);
    EXPECT_INT(event(0)->flags & (USAGE_FINAL | USAGE_ERROR), USAGE_FINAL | USAGE_ERROR);
    EXPECT(id_is(event(0), USAGE_PROVIDER, "") && id_is(event(0), USAGE_ACCESS_KEY, "aigk_app"));
    EXPECT_STR(slice_str(event(0)->stop_reason), "no_matching_model");
    EXPECT_INT(event(1)->status, 400);
    EXPECT_INT(usage_totals()->local[2], 1);
    EXPECT_INT(usage_totals()->local[4], 1);
}

int main(void)
{
    static const bool yes = true;
    static struct leaving leaving[20];
    size_t n = 0;

    FLOW(tokens_are_those_of_the_last_chunk);
    FLOW(message_delta_corrects_message_start);
    FLOW(nothing_stated);
    FLOW(absurd_usage);
    flow_add("absurd_usage, large", absurd_usage, &yes);
    for (int messages = 0; messages < 2; messages++)
        for (int reset = 0; reset < 2; reset++)
            for (int k = 0; k < 5; k++) {
                leaving[n] = (struct leaving){messages, reset, k};
                flow_add_quick("client_leaves", client_leaves, &leaving[n++]);
            }
    FLOW(each_attempt_has_one);
    FLOW(refused_ones);
    return flow_main();
}
