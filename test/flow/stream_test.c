/* Streams from commit to end (spec 6): what goes out, byte for byte, and how a stream that breaks is ended so that nobody takes it for a whole one. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_CHAT CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}"
#define A_START "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
#define A_BLOCK "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define A_PING "event: ping\ndata: {\"type\":\"ping\"}\n\n"
#define A_TEXT(t) "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" t "\"}}\n\n"
#define A_END "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n" \
              "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define R_CREATED "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n"
#define R_TEXT(t) "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"" t "\"}\n\n"
#define R_END "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":3}}}\n\n"
#define T_CALL "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": \"}}]}}]}\n\n"

/* ---- How streams end ---- */

struct ending {
    const char *name, *path;
    struct act act[10];
    const char *body;  /* all that came from the provider, as the client must have it */
    const char *error; /* what our last event must say; NULL: the stream ends well */
    bool reused;       /* the connection serves the next request */
};

static const struct ending endings[] = {
    {"a whole stream", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE), CHUNK(DELTA("a")), CHUNK(DELTA("b")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END},
     ROLE DELTA("a") DELTA("b") FINISH DONE, NULL, true},
    {"all at once", CHAT, {READ, SEND(SSE_HEAD), CHUNK(COMMENT ROLE DELTA("a") DELTA("b") FINISH DONE), LAST_CHUNK, AGAIN, END},
     COMMENT ROLE DELTA("a") DELTA("b") FINISH DONE, NULL, true},
    {"CRLF and CR line ends", CHAT, {READ, SEND(SSE_HEAD), CHUNK("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\r\r"), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END},
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\r\r" FINISH DONE, NULL, true},
    {"an event in pieces", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") "data: {\"choi"), WAIT(10), CHUNK("ces\":[{\"delta\":{\"content\":\"bcd"), WAIT(10), CHUNK("ef\"}}]}\n\n" FINISH DONE), LAST_CHUNK, AGAIN, END},
     DELTA("a") "data: {\"choices\":[{\"delta\":{\"content\":\"bcdef\"}}]}\n\n" FINISH DONE, NULL, true},
    {"until close", CHAT, {READ, SEND(SSE_HEAD_CLOSE ROLE DELTA("a") FINISH DONE), FIN, END}, ROLE DELTA("a") FINISH DONE, NULL, false},
    {"F-108 closed without an end", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), WAIT(10), FIN, END}, ROLE DELTA("a"), "stream_truncated", false},
    {"F-108 last chunk without an end", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), LAST_CHUNK, END}, ROLE DELTA("a"), "stream_truncated", false},
    {"F-108 all in one segment", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), FIN, END}, ROLE DELTA("a"), "stream_truncated", false},
    {"F-109 reset", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), WAIT(10), RST, END}, ROLE DELTA("a"), "stream_truncated", false},
    {"F-111 no [DONE], clean end", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH), LAST_CHUNK, AGAIN, END}, DELTA("a") FINISH, NULL, true},
    {"F-112 [DONE], connection stays open", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE), END}, DELTA("a") FINISH DONE, NULL, false},
    {"F-112 [DONE], end of framing a little later", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE), WAIT(300), LAST_CHUNK, AGAIN, END}, DELTA("a") FINISH DONE, NULL, true},
    {"F-113 [DONE], then closed without last chunk", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE), WAIT(10), FIN, END}, DELTA("a") FINISH DONE, NULL, false},
    {"F-113 the same in one segment", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE), FIN, END}, DELTA("a") FINISH DONE, NULL, false},
    {"F-113 [DONE], then broken framing", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(10), CHUNK(FINISH DONE), SEND("zz\r\n"), END}, DELTA("a") FINISH DONE, NULL, false},
    {"F-114 cut in mid-event", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), CHUNK("data: {\"choices\":[{\"del"), WAIT(10), FIN, END}, DELTA("a"), "stream_truncated", false},
    {"F-114 cut in mid-event, reset", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), CHUNK("data: {\"choices\":[{\"del"), WAIT(10), RST, END}, DELTA("a"), "stream_truncated", false},
    {"F-115 stall", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(5000), CHUNK(DELTA("b")), END}, DELTA("a") DELTA("b"), "stream_stalled", false},
    {"F-116 an error event", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(10), CHUNK("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n"), CHUNK(DELTA("never")), LAST_CHUNK, END},
     DELTA("a") "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n", "", false},
    {"F-116 an error event and [DONE] in one segment", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(10), CHUNK(DELTA("b") "data: {\"error\":{\"message\":\"overloaded\"}}\n\n" DONE), LAST_CHUNK, END},
     DELTA("a") DELTA("b") "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", "", false},
    {"F-116 error: field behind an event", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") DELTA("b") "error: {\"code\":500,\"message\":\"oh\"}\n\n"), LAST_CHUNK, END},
     DELTA("a") DELTA("b"), "upstream_error", false},
    {"F-117 an event that is no JSON", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") "data: {oops\n\n" DELTA("b") FINISH DONE), LAST_CHUNK, AGAIN, END},
     DELTA("a") "data: {oops\n\n" DELTA("b") FINISH DONE, NULL, true},
    {"F-118 broken framing", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a")), WAIT(10), CHUNK(DELTA("b")), SEND("xyz\r\n"), END}, DELTA("a") DELTA("b"), "{\"error\":{", false},
    {"F-122 bytes behind [DONE]", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE DELTA("never")), LAST_CHUNK, AGAIN, END}, DELTA("a") FINISH DONE, NULL, false},
    {"R-01 bytes behind the last chunk", CHAT, {READ, SEND(SSE_HEAD), CHUNK(DELTA("a") FINISH DONE), SEND("0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), AGAIN, END}, DELTA("a") FINISH DONE, NULL, false},
    {"F-125 a tool call cut", CHAT, {READ, SEND(SSE_HEAD), CHUNK(ROLE T_CALL), WAIT(10), FIN, END}, ROLE T_CALL, "stream_truncated", false},
    {"messages: whole", "/v1/messages", {READ, SEND(SSE_HEAD), CHUNK(A_START A_BLOCK A_PING), CHUNK(A_TEXT("a")), CHUNK(A_END), LAST_CHUNK, AGAIN, END}, A_START A_BLOCK A_PING A_TEXT("a") A_END, NULL, true},
    {"messages: F-112 the framing never ends", "/v1/messages", {READ, SEND(SSE_HEAD), CHUNK(A_START A_BLOCK A_TEXT("a") A_END), END}, A_START A_BLOCK A_TEXT("a") A_END, NULL, false},
    {"messages: F-108", "/v1/messages", {READ, SEND(SSE_HEAD), CHUNK(A_START A_BLOCK A_TEXT("a")), WAIT(10), FIN, END}, A_START A_BLOCK A_TEXT("a"), "event: error\ndata: {\"type\":\"error\"", false},
    {"messages: F-116 overloaded", "/v1/messages", {READ, SEND(SSE_HEAD), CHUNK(A_START A_BLOCK A_TEXT("a")), WAIT(10), CHUNK("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"), LAST_CHUNK, END},
     A_START A_BLOCK A_TEXT("a") "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", "", false},
    {"responses: whole", "/v1/responses", {READ, SEND(SSE_HEAD), CHUNK(R_CREATED), CHUNK(R_TEXT("a")), CHUNK(R_END), LAST_CHUNK, AGAIN, END}, R_CREATED R_TEXT("a") R_END, NULL, true},
    {"responses: F-112 the framing never ends", "/v1/responses", {READ, SEND(SSE_HEAD), CHUNK(R_CREATED R_TEXT("a") R_END), END}, R_CREATED R_TEXT("a") R_END, NULL, false},
    {"responses: F-108", "/v1/responses", {READ, SEND(SSE_HEAD), CHUNK(R_CREATED R_TEXT("a")), WAIT(10), FIN, END}, R_CREATED R_TEXT("a"), "\"type\":\"error\"", false},
};

static void stream_ends(const void *row)
{
    const struct ending *e = row;
    struct slice body;
    struct answer a;
    struct client *c;
    int64_t began;

    flow_open("\"streamIdleTimeout\":\"10s\"", "");
    began = fake.now_ms;
    provider_plays(1, e->act);
    c = flow_talk(e->path, "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT_INT(provider(2)->nconns, 0); /* committed: no further attempt */
    EXPECT_INT(provider(1)->nrequests, 1);
    body = slice_first(a.body, strlen(e->body));
    EXPECT_STR(body, e->body);
    EXPECT(fake.now_ms - began <= 15100);
    if (e->error) {
        EXPECT(!a.complete); /* no last chunk */
        EXPECT(client_ended(c) && !c->peer.gate_rst);
        EXPECT(answer_has(&a, e->error));
        EXPECT(!answer_has(&a, "never"));
        EXPECT(!answer_has(&a, "[DONE]"));
        EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"cut\"")) >= 0);
        if (!*e->error)
            EXPECT_INT(a.body.n, body.n); /* the provider's own error event is the last word */
    } else {
        EXPECT(a.complete);
        EXPECT_INT(a.body.n, body.n);
        EXPECT(!client_ended(c));
        EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"complete\"")) >= 0);
        EXPECT(fake.now_ms - began <= 2000);
    }
    EXPECT_INT(flow_log_lines(), 1);
    /* what may serve again does, what may not is gone. */
    flow_pass(2000);
    EXPECT_INT(providers_open(), e->reused ? 1 : 0);
    client_close(c);
    c = flow_talk(e->path, "{\"model\":\"m1\",\"stream\":true}", &a);
    EXPECT_INT(provider(1)->nconns, e->reused ? 1 : 2);
    client_close(c);
}

/* ---- When bytes leave ---- */

static const struct act paced[] = {READ, SEND(SSE_HEAD), WAIT(100), CHUNK(ROLE), WAIT(100), CHUNK(COMMENT), WAIT(100), CHUNK(DELTA("a")), WAIT(100),
                                   CHUNK("data: {\"cho"), WAIT(100), CHUNK("ices\":[]}\n\n"), WAIT(100), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};

static size_t taken_by(const struct client *c, int64_t ms)
{
    size_t n = 0;

    for (size_t i = 0; i < c->peer.nstamps && c->peer.stamp[i].ms <= ms; i++)
        n = c->peer.stamp[i].upto;
    return n;
}

static void commit_is_the_first_content(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;
    size_t head;

    (void)row;
    flow_open("", "");
    began = fake.now_ms;
    provider_plays(1, paced);
    c = flow_talk(ASK_CHAT, &a);
    head = a.head.n + 2;
    EXPECT_INT(taken_by(c, began + 299), 0); /* role and comments do not commit */
    EXPECT(taken_by(c, began + 300) >= head + sizeof(ROLE COMMENT DELTA("a")) - 1);
    EXPECT_INT(taken_by(c, began + 499), taken_by(c, began + 300)); /* half an event waits */
    EXPECT(taken_by(c, began + 500) > taken_by(c, began + 300));
    EXPECT_STR(a.body, ROLE COMMENT DELTA("a") "data: {\"choices\":[]}\n\n" FINISH DONE);
    client_close(c);
}

/* ---- Every split ---- */

static char split_whole[2048];
static struct act split_script[8];

/* The provider's answer in two segments, split at every byte. Its chunk borders fall anywhere in the events. */
static void answer_split_at(const void *row)
{
    static const char events[] = COMMENT ROLE DELTA("hello") DELTA("you") FINISH DONE;
    size_t at = *(const size_t *)row, n = 0;
    struct answer a;
    struct client *c;

    n += (size_t)snprintf(split_whole, sizeof split_whole, SSE_HEAD);
    for (size_t i = 0; i < sizeof events - 1;) { /* chunks of 37 bytes */
        size_t piece = sizeof events - 1 - i < 37 ? sizeof events - 1 - i : 37;

        n += (size_t)snprintf(split_whole + n, sizeof split_whole - n, "%zx\r\n%.*s\r\n", piece, (int)piece, events + i);
        i += piece;
    }
    n += (size_t)snprintf(split_whole + n, sizeof split_whole - n, "0\r\n\r\n");
    at = at < n ? at : n;
    split_script[0] = (struct act)READ;
    split_script[1] = (struct act){.kind = ACT_SEND, .text = split_whole, .n = at};
    split_script[2] = (struct act)WAIT(1);
    split_script[3] = (struct act){.kind = ACT_SEND, .text = split_whole + at, .n = n - at};
    split_script[4] = (struct act)AGAIN;
    flow_open("", "");
    provider_plays(1, split_script);
    c = flow_talk(ASK_CHAT, &a);
    EXPECT_STR(a.body, events);
    EXPECT(a.complete && a.status == 200);
    EXPECT_STR(answer_field(&a, "content-type"), "text/event-stream");
    client_close(c);
    flow_pass(10);
    EXPECT_INT(providers_open(), 1);
}

/* A plain answer: head in two reads, body growing, so that everything held moves in memory. */
static void plain_split_at(const void *row)
{
    size_t at = *(const size_t *)row * 40, n;
    struct answer a;
    struct client *c;
    static char body[12000], text[13000];
    static struct act script[128];
    int k = 0;

    memset(body, 'x', sizeof body);
    memcpy(body, "{\"choices\":[{\"text\":\"", 21);
    memcpy(body + sizeof body - 4, "\"}]}", 4);
    n = (size_t)snprintf(text, 1000, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-first: one\r\nx-second: two\r\ncontent-length: %zu\r\n\r\n", sizeof body);
    memcpy(text + n, body, sizeof body);
    n += sizeof body;
    at = at < n ? at : n;
    script[k++] = (struct act)READ;
    script[k++] = (struct act){.kind = ACT_SEND, .text = text, .n = at < 60 ? at : 60};
    script[k++] = (struct act)WAIT(1);
    for (size_t from = script[1].n; from < n; from += at + 300) {
        script[k++] = (struct act){.kind = ACT_SEND, .text = text + from, .n = n - from < at + 300 ? n - from : at + 300};
        script[k++] = (struct act)WAIT(1);
        if (k > 120)
            abort();
    }
    script[k++] = (struct act)AGAIN;
    flow_open("", "");
    provider_plays(1, script);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT_SLICE(a.body, slice_make(body, sizeof body));
    EXPECT_STR(answer_field(&a, "x-first"), "one");
    EXPECT_STR(answer_field(&a, "x-second"), "two");
    EXPECT_STR(answer_field(&a, "content-type"), "application/json");
    client_close(c);
}

static const struct act dripping[] = {READ, DRIP(SSE_HEAD, 1, 1), DRIP_CHUNK(ROLE DELTA("a"), 1, 1), DRIP_CHUNK(FINISH DONE, 1, 1), DRIP("0\r\n\r\n", 1, 1), AGAIN, END};

static void upstream_writes_one_byte_at_a_time(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, dripping);
    c = flow_talk(ASK_CHAT, &a);
    EXPECT_STR(a.body, ROLE DELTA("a") FINISH DONE);
    EXPECT(a.complete);
    client_close(c);
}

/* ---- Long events ---- */

static char long_event[150000];

static void event_longer_than_is_held(const void *row)
{
    static struct act script[8];
    static const char front[] = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"instructions\":\"";
    size_t n = sizeof front - 1;
    struct answer a;
    struct client *c;
    bool cut = *(const bool *)row;
    static char head[64];

    memset(long_event, 'x', sizeof long_event);
    memcpy(long_event, front, n);
    memcpy(long_event + sizeof long_event - 5, "\"}}\n\n", 5);
    n = sizeof long_event - (cut ? 50000 : 0);
    script[0] = (struct act)READ;
    script[1] = (struct act)SEND(SSE_HEAD);
    script[2] = (struct act)CHUNK(R_CREATED R_TEXT("a"));
    snprintf(head, sizeof head, "%zx\r\n", sizeof long_event);
    script[3] = (struct act){.kind = ACT_SEND, .text = head, .n = strlen(head)};
    script[4] = (struct act){.kind = ACT_SEND, .text = long_event, .n = n};
    if (cut)
        script[5] = (struct act)FIN;
    else
        script[5] = (struct act)SEND("\r\n0\r\n\r\n");
    script[6] = (struct act)END;
    flow_open("", "");
    provider_plays(1, script);
    c = flow_talk("/v1/responses", "{\"model\":\"m1\",\"stream\":true}", &a);
    EXPECT(slice_starts(a.body, SLICE(R_CREATED R_TEXT("a"))));
    if (cut) {
        EXPECT(!a.complete && client_ended(c));
        EXPECT(answer_has(&a, "xxx\n\nevent: error\n") || answer_has(&a, "xxx\n\ndata: {"));
    } else {
        EXPECT(a.complete);
        EXPECT_SLICE(slice_from(a.body, sizeof(R_CREATED R_TEXT("a")) - 1), slice_make(long_event, sizeof long_event));
    }
    client_close(c);
}

/* F-105: what may be held before commit is bounded; then the head must go out, and a failure is a cut. */
static void hold_is_bounded(const void *row)
{
    static char comments[80000];
    static struct act script[8];
    struct answer a;
    struct client *c;

    (void)row;
    for (size_t i = 0; i < sizeof comments; i++)
        comments[i] = ": keep alive\n\n"[i % 14];
    script[0] = (struct act)READ;
    script[1] = (struct act)SEND(SSE_HEAD_CLOSE);
    script[2] = (struct act){.kind = ACT_SEND, .text = comments, .n = 60 * 14};
    script[3] = (struct act)WAIT(1000);
    script[4] = (struct act){.kind = ACT_SEND, .text = comments, .n = 5600 * 14};
    script[5] = (struct act)WAIT(1000);
    script[6] = (struct act)FIN;
    flow_open("", "");
    provider_plays(1, script);
    provider_plays(2, script);
    c = client_open();
    flow_ask(c, ASK_CHAT);
    flow_pass(999);
    EXPECT_INT(c->peer.got.n, 0);
    EXPECT(flow_answer(c, &a, 5000));
    EXPECT_INT(a.status, 200);
    EXPECT(slice_starts(a.body, slice_make(comments, 60 * 14)));
    EXPECT(answer_has(&a, "stream_truncated"));
    EXPECT_INT(provider(2)->nconns, 0);
    client_close(c);
}

/* A plain answer that is too large to be held whole breaks off: there is no event to say so, but the framing does. */
static void large_plain_answer_is_cut(const void *row)
{
    static const struct act by_length[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n{\"x\":\""), FLOOD(2000000), WAIT(10), FIN, END};
    static const struct act by_chunks[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n7a1200\r\n{\"x\":\""), FLOOD(2000000), WAIT(10), RST, END};
    bool chunks = *(const bool *)row;
    struct answer a;
    struct client *c;

    flow_open("", "");
    provider_plays(1, chunks ? by_chunks : by_length);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT(a.body.n > 1000000 && a.body.n <= 2000006);
    EXPECT(!a.complete && client_ended(c)); /* I-8: incomplete there, incomplete here */
    EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"cut\"")) >= 0);
    client_close(c);
}

int main(void)
{
    static size_t at[1200];
    static const bool no = false, yes = true;

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        flow_add(endings[i].name, stream_ends, &endings[i]);
    FLOW(commit_is_the_first_content);
    FLOW(upstream_writes_one_byte_at_a_time);
    for (size_t i = 0; i < 620; i++)
        at[i] = i;
    for (size_t i = 1; i < 620; i++)
        flow_add_quick("answer_split_at", answer_split_at, &at[i]);
    for (size_t i = 1; i < 300; i += 7)
        flow_add_quick("plain_split_at", plain_split_at, &at[i]);
    flow_add_large("event_longer_than_is_held", event_longer_than_is_held, &no);
    flow_add_large("event_longer_than_is_held, cut", event_longer_than_is_held, &yes);
    FLOW_LARGE(hold_is_bounded);
    flow_add_large("large_plain_answer_is_cut", large_plain_answer_is_cut, &no);
    flow_add_large("large_plain_answer_is_cut, chunked", large_plain_answer_is_cut, &yes);
    return flow_main();
}
