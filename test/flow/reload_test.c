/* A snapshot changes while requests run: they end on the one they began with, the next ones take the new one, nothing is left of the old
 * (spec 12; faults.md F-137, L-25, L-26). */
#include "flow.h"

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define ASK "{\"model\":\"m1\"}"
#define ASK_STREAM "{\"model\":\"m1\",\"stream\":true}"

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act slow_429[] = {READ, WAIT(1000), FAIL("429 Slow\r\nretry-after: 60", "{\"error\":{\"message\":\"slow\"}}"), AGAIN, END};
static const struct act slow_stream[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("one")), WAIT(2000), CHUNK(DELTA("two") FINISH DONE), LAST_CHUNK, AGAIN, END};
static const struct act endless_stream[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("one")), END};
static const struct act silent[] = {READ, END};

/* The first attempt runs when key b is taken away: this request may still use it, the next one does not. */
static void f137_key_removed_between_attempts(const void *row)
{
    struct client *c, *next;
    struct answer a = {0};

    (void)row;
    flow_open("", "");
    c = client_open();
    provider_plays(1, plain_ok);
    provider_plays_first(1, 0, slow_429);
    flow_ask(c, CHAT, ASK);
    flow_pass(500);
    flow_reload("", "", "b");
    EXPECT_INT(flow_old_worlds(), 1);
    (void)flow_answer(c, &a, 60000);
    EXPECT_INT(a.status, 200);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=429, p1/b=200");
    flow_settle();
    EXPECT_INT(flow_old_worlds(), 0);
    client_close(c);
    /* What the old world's attempt learned holds in the new one: a rests for a minute, b is gone. */
    a = (struct answer){0};
    next = flow_talk(CHAT, ASK, &a);
    EXPECT_INT(a.status, 429);
    client_close(next);
}

/* A stream goes on over two reloads, and its keep-alive connection is in the newest world afterwards. */
static void l25_stream_over_reloads(const void *row)
{
    struct client *c;
    struct answer a = {0};

    (void)row;
    flow_open("", "");
    c = client_open();
    provider_plays(1, slow_stream);
    flow_ask(c, CHAT, ASK_STREAM);
    flow_pass(500);
    flow_reload("", "", "a");
    flow_reload("\"maxInputTokens\":1", "", NULL);
    EXPECT_INT(flow_old_worlds(), 1); /* the one between was never used */
    EXPECT(flow_answer(c, &a, 60000));
    EXPECT_INT(a.status, 200);
    EXPECT(slice_find(a.body, SLICE("two")) >= 0);
    EXPECT(slice_find(a.body, SLICE("[DONE]")) >= 0);
    flow_settle();
    EXPECT_INT(flow_old_worlds(), 0);
    a = (struct answer){0};
    flow_ask(c, CHAT, ASK);
    EXPECT(flow_answer(c, &a, 60000));
    EXPECT_INT(a.status, 413); /* the new limit */
    flow_reload("", "", NULL);
    client_close(c);
}

/* Idle clients hold no world; connections to a provider stay warm when nothing about them changed, and are closed with their key. */
static void connections_over_reloads(const void *row)
{
    struct client *c;
    struct answer a = {0};

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = flow_talk(CHAT, ASK, &a);
    EXPECT_INT(a.status, 200);
    flow_reload("", "", "b");
    EXPECT_INT(flow_old_worlds(), 0);
    EXPECT_INT(providers_open(), 1);
    a = (struct answer){0};
    flow_ask(c, CHAT, ASK);
    EXPECT(flow_answer(c, &a, 60000));
    EXPECT_INT(a.status, 200);
    EXPECT_INT(provider(1)->nconns, 1);
    flow_reload("", "", "a");
    flow_settle();
    EXPECT_INT(providers_open(), 0);
    client_close(c);
}

/* A provider's stated time outlives a reload. */
static void cooldown_over_reload(const void *row)
{
    static const struct act limited[] = {READ, FAIL("429 Slow\r\nretry-after: 60", "{\"error\":{\"message\":\"slow\"}}"), AGAIN, END};
    struct client *c;
    struct answer a = {0};

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays_first(1, 0, limited);
    c = flow_talk(CHAT, ASK, &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=429, p1/b=200");
    client_close(c);
    flow_reload("", "", NULL);
    a = (struct answer){0};
    c = flow_talk(CHAT, ASK, &a);
    EXPECT_INT(a.status, 200);
    EXPECT(slice_find(answer_field(&a, "x-weir-attempts"), SLICE("p1/a=429")) < 0);
    EXPECT_INT(provider(1)->nrequests, 3);
    client_close(c);
}

/* The drain's deadline: a stream gets its error event, who waits for an answer a 503. */
static void l26_cut(const void *row)
{
    struct client *stream, *plain;
    struct answer a = {0};

    (void)row;
    flow_open("", "");
    provider_plays(1, silent);
    provider_plays_first(1, 0, endless_stream);
    stream = client_open();
    flow_ask(stream, CHAT, ASK_STREAM);
    flow_pass(100);
    plain = client_open();
    flow_ask(plain, CHAT, ASK);
    flow_pass(100);
    flow_drain();
    flow_pass(1000);
    EXPECT_INT(flow_busy(), 2);
    flow_cut();
    EXPECT(flow_answer(stream, &a, 1000));
    EXPECT(slice_find(a.body, SLICE("one")) >= 0);
    EXPECT(slice_find(a.body, SLICE("stream_interrupted")) >= 0);
    a = (struct answer){0};
    EXPECT(flow_answer(plain, &a, 1000));
    EXPECT_INT(a.status, 503);
    EXPECT_STR(answer_field(&a, "connection"), "close");
    flow_pass(100);
    EXPECT_INT(flow_busy(), 0);
    client_close(stream);
    client_close(plain);
}

int main(void)
{
    FLOW(f137_key_removed_between_attempts);
    FLOW(l25_stream_over_reloads);
    FLOW(connections_over_reloads);
    FLOW(cooldown_over_reload);
    FLOW(l26_cut);
    return flow_main();
}
