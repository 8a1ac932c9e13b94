/* The client's side of a connection: requests in any split and order, refusals that must be seen, clients that leave (faults.md 2.1, L-38,
 * L-43, L-44), and connections to providers that serve again or must not. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define ASK "{\"model\":\"m1\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e4 hello\"}]}"
#define HEAD_OF(length) "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\n" \
                        "content-length: " length "\r\n\r\n"

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act stream_ok[] = {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("hi")), CHUNK(FINISH DONE), LAST_CHUNK, AGAIN, END};

/* ---- Keep-alive and pipelining ---- */

static void both_sides_keep_alive(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    for (int i = 0; i < 5; i++) {
        flow_ask(c, CHAT, ASK);
        EXPECT(flow_answer(c, &a, 100));
        EXPECT_INT(a.status, 200);
        EXPECT_STR(a.body, OK_BODY);
        EXPECT_SLICE(provider_body(1, (unsigned)i), SLICE(ASK));
        EXPECT_INT(flow_log_lines(), i + 1);
    }
    EXPECT_INT(provider(1)->nconns, 1);
    EXPECT(!client_ended(c));
    client_close(c);
}

static void pipelined_requests_in_order(const void *row)
{
    struct answer a;
    struct client *c;
    char body[64];

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays(2, stream_ok);
    provider_plays(3, plain_ok);
    c = client_open();
    for (int i = 0; i < 30; i++) { /* all before the first answer */
        snprintf(body, sizeof body, "{\"model\":\"m%d\",\"n\":%d%s}", i % 3 + 1, i, i % 3 == 1 ? ",\"stream\":true" : "");
        flow_ask(c, CHAT, body);
    }
    for (int i = 0; i < 30; i++) {
        EXPECT(flow_answer(c, &a, 100));
        EXPECT_INT(a.status, 200);
        EXPECT_INT(a.chunked, i % 3 == 1);
        if (i % 3 != 1)
            EXPECT_STR(a.body, OK_BODY);
    }
    EXPECT_INT(provider(1)->nrequests, 10);
    EXPECT(provider_saw(1, 9, "\"n\":27"));
    EXPECT_INT(flow_log_lines(), 30);
    client_close(c);
}

static void nothing_behind_a_bad_request_is_read(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    flow_ask(c, CHAT, ASK);
    client_send(c, "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nhost: other\r\n\r\n");
    flow_ask(c, CHAT, ASK);
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200); /* H-56: the good one in front is delivered completely */
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 400);
    EXPECT_STR(answer_field(&a, "connection"), "close");
    flow_pass(20000);
    EXPECT(client_ended(c));
    EXPECT_INT(c->peer.got.n - c->read_off, 0);
    EXPECT_INT(provider(1)->nrequests, 1);
    EXPECT_INT(flow_log_lines(), 2);
    client_close(c);
}

/* ---- Splits ---- */

static void request_split_at(const void *row)
{
    static const char whole[] = "POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: gate\r\nauthorization: bearer token-of-the-app\r\n"
                                "content-type: application/json; charset=utf-8\r\ncontent-length: 68\r\nx-mine: yes\r\n\r\n" ASK;
    size_t at = *(const size_t *)row, n = sizeof whole - 1;
    struct answer a;
    struct client *c;

    at = at < n ? at : n;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    client_send_n(c, whole, at);
    flow_settle();
    EXPECT_INT(provider(1)->nconns, at == n); /* nothing reaches a provider before all of it is here */
    client_send_n(c, whole + at, n - at);
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT_SLICE(provider_body(1, 0), SLICE(ASK));
    EXPECT(provider_saw(1, 0, "x-mine: yes\r\n"));
    EXPECT(provider_saw(1, 0, "POST /v1/chat/completions?x=1 HTTP/1.1\r\n"));
    EXPECT(!client_ended(c));
    client_close(c);
}

static void chunked_request_split_at(const void *row)
{
    static const char whole[] = "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nx-api-key: token-of-the-app\r\n"
                                "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
                                "1\r\n{\r\n0c;a=b\r\n\"model\":\"m1\"\r\n1\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n";
    size_t at = *(const size_t *)row, n = sizeof whole - 1;
    struct answer a;
    struct client *c;

    at = at < n ? at : n;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    client_send_n(c, whole, at);
    flow_settle();
    client_send_n(c, whole + at, n - at);
    flow_ask(c, CHAT, ASK); /* and the next one right behind it */
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT_SLICE(provider_body(1, 0), SLICE("{\"model\":\"m1\"}"));
    EXPECT(provider_saw(1, 0, "content-length: 14\r\n"));
    EXPECT(!provider_saw(1, 0, "chunked"));
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT_SLICE(provider_body(1, 1), SLICE(ASK));
    client_close(c);
}

static void large_body_arrives_whole(const void *row)
{
    size_t n = 3000000;
    char *body = malloc(n), head[256];
    struct answer a;
    struct client *c;

    (void)row;
    if (!body)
        abort();
    memset(body, 'y', n);
    memcpy(body, "{\"model\":\"m1\",\"x\":\"", 19);
    memcpy(body + n - 2, "\"}", 2);
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    snprintf(head, sizeof head, HEAD_OF("%zu"), n);
    client_send(c, head);
    for (size_t at = 0; at < n; at += 100000) {
        client_send_n(c, body + at, n - at < 100000 ? n - at : 100000);
        flow_pass(1);
    }
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 200);
    EXPECT_SLICE(provider_body(1, 0), slice_make(body, n));
    client_close(c);
    free(body);
}

/* ---- Refusals ---- */

struct refusal_row {
    const char *name, *request;
    unsigned status;
    const char *code; /* in the body */
    bool ends;        /* the connection closes behind it */
};

static const struct refusal_row refusals[] = {
    {"no key", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", 401, "invalid_access_key", false},
    {"unknown key", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: canary-key\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", 401, "invalid_access_key", false},
    {"two keys", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: canary-key\r\nauthorization: Bearer token-of-the-app\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", 401, "invalid_access_key", false},
    {"H-50 bad key and Expect", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: canary-key\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n", 401, "invalid_access_key", true},
    {"H-22 no length", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\n\r\n", 411, "", false},
    {"H-18 too long", HEAD_OF("40000000"), 413, "body_too_large", true},
    {"H-60 compressed", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", 415, "", false},
    {"H-61 not JSON", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}", 415, "", false},
    {"no such path", "POST /v1/nothing HTTP/1.1\r\nhost: g\r\ncontent-length: 2\r\n\r\n{}", 404, "not_found", false},
    {"wrong method", "DELETE /v1/chat/completions HTTP/1.1\r\nhost: g\r\n\r\n", 405, "method_not_allowed", false},
    {"H-01 two framings", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG", 400, "", true},
    {"H-25 bad chunk size", "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\n", 400, "", true},
    {"broken JSON", HEAD_OF("2") "{,", 400, "invalid_request", true},
    {"not an object", HEAD_OF("2") "[]", 400, "invalid_request", false},
    {"no model", HEAD_OF("2") "{}", 400, "invalid_request", false},
    {"S-34 model twice", HEAD_OF("27") "{\"model\":\"m1\",\"model\":\"m2\"}", 400, "invalid_request", false},
    {"S-33 Model", HEAD_OF("14") "{\"Model\":\"m1\"}", 400, "invalid_request", false},
    {"no such model", HEAD_OF("18") "{\"model\":\"nobody\"}", 422, "no_matching_model", false},
};

static void refusal_is_seen(const void *row)
{
    const struct refusal_row *r = row;
    struct answer a;
    struct client *c;

    flow_open("", "");
    c = client_open();
    client_send(c, r->request);
    (void)flow_answer(c, &a, 1000);
    EXPECT_INT(a.status, r->status);
    EXPECT(answer_has(&a, r->code));
    EXPECT_STR(answer_field(&a, "x-should-retry"), "false");
    EXPECT_STR(answer_field(&a, "cache-control"), "no-store");
    EXPECT(!answer_has(&a, "canary-key"));
    EXPECT_INT(provider(1)->nconns, 0);
    flow_pass(11000); /* lingering ends */
    EXPECT_INT(flow_log_lines(), 1);
    EXPECT(client_ended(c) == r->ends || (fake.recv_most && !r->ends)); /* when its body was not here yet it must end */
    EXPECT(slice_find(slice_make(fake.log.p, fake.log.n), SLICE("canary-key")) < 0);
    client_close(c);
}

static void head_too_long(const void *row)
{
    char *head = malloc(40000);
    struct answer a;
    struct client *c;

    (void)row;
    if (!head)
        abort();
    memset(head, 'a', 40000);
    memcpy(head, "GET /healthz HTTP/1.1\r\nhost: g\r\nx-long: ", 40);
    flow_open("", "");
    c = client_open();
    client_send_n(c, head, 40000);
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 431);
    client_close(c);
    free(head);
}

/* H-58: a client that still sends must be able to read why, and not find a reset. */
static void refusal_while_the_client_still_sends(const void *row)
{
    static char rest[65536];
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    c = client_open();
    c->reading = false;
    client_send(c, HEAD_OF("40000000"));
    for (int i = 0; i < 100; i++) {
        client_send_n(c, rest, sizeof rest);
        flow_pass(10);
        EXPECT(!c->peer.gate_rst);
    }
    client_fin(c);
    c->reading = true;
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 413);
    EXPECT(client_ended(c) && !c->peer.gate_rst);
    client_close(c);
}

static void expect_continue(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    c = client_open();
    client_send(c, "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\nexpect: 100-continue\r\n"
                   "content-type: application/json\r\ncontent-length: 14\r\n\r\n");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 100);
    client_send(c, "{\"model\":\"m1\"}");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT(!provider_saw(1, 0, "xpect"));
    client_close(c);
}

static void http_1_0(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, stream_ok);
    c = client_open();
    client_send(c, "POST /v1/chat/completions HTTP/1.0\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\n"
                   "content-length: 28\r\n\r\n{\"model\":\"m1\",\"stream\":true}");
    EXPECT(flow_answer(c, &a, 5000));
    EXPECT_INT(a.status, 200);
    EXPECT(!a.chunked && client_ended(c));
    EXPECT_STR(a.body, ROLE DELTA("hi") FINISH DONE);
    client_close(c);
}

static void health_needs_no_key(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    c = client_open();
    client_send(c, "GET /healthz HTTP/1.1\r\nhost: g\r\n\r\nGET /readyz HTTP/1.1\r\nhost: g\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n"
                   "GET /v1/models HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        EXPECT(flow_answer(c, &a, 100));
        EXPECT_INT(a.status, i == 2 ? 401 : 200);
    }
    EXPECT(answer_has(&a, "\"id\":\"m1s\""));
    client_close(c);
}

/* ---- Slow senders ---- */

static void slow_head(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;

    (void)row;
    flow_open("", "");
    began = fake.now_ms;
    c = client_open();
    for (int i = 0; i < 40 && !c->peer.got.n; i++) { /* L-37, H-59: the deadline is absolute */
        client_send(c, i ? "a" : "GET /healthz HTTP/1.1\r\nx-slow: ");
        flow_pass(1000);
    }
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 408);
    EXPECT(fake.now_ms - began <= 11000);
    client_close(c);
    c = client_open(); /* one that says nothing at all */
    flow_pass(59000);
    EXPECT(!client_ended(c) || fake.now_ms - began > 60000);
    flow_pass(2000);
    EXPECT(client_ended(c));
    EXPECT_INT(c->peer.got.n, 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

static void slow_body(const void *row)
{
    struct answer a;
    struct client *c;
    int64_t began;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    began = fake.now_ms;
    c = client_open();
    client_send(c, HEAD_OF("68") "{");
    EXPECT(flow_answer(c, &a, 60000)); /* L-38: 10 s grace, then 1 KB/s on average */
    EXPECT_INT(a.status, 408);
    EXPECT(fake.now_ms - began >= 10000 && fake.now_ms - began <= 10100);
    client_close(c);
    c = client_open(); /* slow, but fast enough */
    client_send(c, HEAD_OF("30000") "{\"model\":\"m1\",\"x\":\"");
    for (int i = 0; i < 30000 - 19 - 2;) {
        static char some[1500];
        int n = 30000 - 21 - i < (int)sizeof some ? 30000 - 21 - i : (int)sizeof some;

        memset(some, 'z', sizeof some);
        client_send_n(c, some, (size_t)n);
        flow_pass(1000);
        i += n;
    }
    client_send(c, "\"}");
    EXPECT(flow_answer(c, &a, 1000));
    EXPECT_INT(a.status, 200);
    client_close(c);
}

/* ---- L-43: the client leaves ---- */

struct leaving {
    const char *name;
    struct act act[8];
    const char *ask;
    enum reach reach;
    int64_t wait_ms;     /* before it leaves */
    unsigned attempts;   /* connections to providers so far */
};

#define STREAMED "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}"

static const struct leaving leavings[] = {
    {"while connecting", {END}, STREAMED, REACH_BLACK_HOLE, 100, 0},
    {"while waiting for the head", {READ, END}, STREAMED, REACH_UP, 100, 1},
    {"while a head comes in", {READ, SEND("HTTP/1.1 200 OK\r\n"), END}, STREAMED, REACH_UP, 100, 1},
    {"while an error body comes in", {READ, SEND("HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\nabc"), END}, STREAMED, REACH_UP, 100, 1},
    {"F-106 while events are held", {READ, SEND(SSE_HEAD), CHUNK(COMMENT ROLE), END}, STREAMED, REACH_UP, 100, 1},
    {"while a plain answer is held", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), END}, "{\"model\":\"m1\",\"models\":[\"m2\"]}", REACH_UP, 100, 1},
    {"during the second attempt", {READ, FAIL("500 No", "x"), READ, END}, "{\"model\":\"m1\"}", REACH_UP, 100, 2},
    {"F-120 in mid-stream", {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), WAIT(50), CHUNK(DELTA("b")), END}, STREAMED, REACH_UP, 100, 1},
    {"F-120 in mid-event", {READ, SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), CHUNK("data: {\"c"), END}, STREAMED, REACH_UP, 100, 1},
};

static void client_leaves(const struct leaving *l, bool by_reset)
{
    struct client *c;
    unsigned requests;

    flow_open("", "");
    provider_plays(1, l->act);
    provider_plays(2, plain_ok);
    provider_is(1, l->reach);
    if (l->attempts == 2)
        provider_plays_first(1, 1, l->act + 3); /* silence */
    c = client_open();
    flow_ask(c, CHAT, l->ask);
    flow_pass(l->wait_ms);
    EXPECT_INT(provider(1)->nconns, l->attempts);
    requests = provider(1)->nrequests;
    EXPECT_INT(flow_log_lines(), 0);
    if (by_reset)
        client_rst(c);
    else
        client_fin(c); /* L-44: a half-close while it waits is an end: tokens cost money */
    flow_settle();
    EXPECT_INT(providers_open(), l->attempts == 2 ? 1 : 0); /* the first one, which answered, is parked */
    EXPECT_INT(flow_log_lines(), 1);
    EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"client_gone\"")) >= 0);
    EXPECT(client_ended(c));
    flow_pass(200000);
    EXPECT_INT(provider(1)->nconns, l->attempts);
    EXPECT_INT(provider(1)->nrequests, requests);
    EXPECT_INT(provider(2)->nconns, 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

static void client_leaves_by_fin(const void *row)
{
    client_leaves(row, false);
}

static void client_leaves_by_reset(const void *row)
{
    client_leaves(row, true);
}

static void client_leaves_while_asking(const void *row)
{
    static const char *const said[] = {"", "POST /v1/chat", HEAD_OF("68"), HEAD_OF("68") "{\"model\":"};
    struct client *c;

    (void)row;
    flow_open("", "");
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        for (int by_reset = 0; by_reset < 2; by_reset++) {
            c = client_open();
            client_send(c, said[i]);
            flow_settle();
            by_reset ? client_rst(c) : client_fin(c);
            flow_settle();
            EXPECT(client_ended(c)); /* H-23, F-034 */
            client_close(c);
        }
    EXPECT_INT(provider(1)->nconns, 0);
    EXPECT(flow_log_lines() <= 4); /* those whose head was complete */
}

static void client_leaves_while_the_request_is_sent(const void *row)
{
    static const struct act deaf[] = {WINDOW(1000), END};
    size_t n = 200000;
    char *body = malloc(n + 1);
    struct client *c;

    (void)row;
    if (!body)
        abort();
    memset(body, 'y', n);
    memcpy(body, "{\"model\":\"m1\",\"x\":\"", 19);
    memcpy(body + n - 2, "\"}", 3);
    flow_open("", "");
    provider_plays(1, deaf);
    c = client_open();
    flow_ask(c, CHAT, body);
    flow_pass(100);
    EXPECT_INT(provider(1)->nconns, 1);
    client_fin(c);
    flow_settle();
    EXPECT_INT(providers_open(), 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
    free(body);
}

/* ---- Connections to providers ---- */

static const struct act answers_then_speaks[] = {READ, PLAIN(OK_BODY), WAIT(1000), SEND("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"), END};
static const struct act answers_twice_at_once[] = {READ, PLAIN(OK_BODY), SEND("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"), END};
static const struct act answers_then_closes[] = {READ, PLAIN(OK_BODY), READ, FIN, END};
static const struct act answers_then_resets[] = {READ, PLAIN(OK_BODY), READ, RST, END};
static const struct act answers_then_begins[] = {READ, PLAIN(OK_BODY), READ, SEND("HTTP/1.1 2"), FIN, END};
static const struct act answers_and_closes_later[] = {READ, PLAIN(OK_BODY), WAIT(1000), FIN, END};
static const struct act closes_at_once[] = {READ, FIN, END};

struct reuse {
    const char *name;
    const struct act *first;  /* script of the connection that is used again */
    const struct act *second; /* of the fresh one */
    int64_t between_ms;
    const char *attempts;
    unsigned conns;           /* of p1 in the end */
};

static const struct reuse reuses[] = {
    {"R-02 bytes on a parked connection", answers_then_speaks, plain_ok, 2000, "p1/a=200", 2},
    {"R-01 bytes behind an answer", answers_twice_at_once, plain_ok, 0, "p1/a=200", 2},
    {"F-027 R-21 closed when it is used again", answers_then_closes, plain_ok, 0, "p1/a=200", 2},
    {"F-027 R-21 reset when it is used again", answers_then_resets, plain_ok, 0, "p1/a=200", 2},
    {"R-21 once only", answers_then_closes, closes_at_once, 0, "p1/a=unreachable, p2/a=200", 2},
    {"R-22 not after a byte of an answer", answers_then_begins, plain_ok, 0, "p1/a=unreachable, p2/a=200", 1},
    {"closed while parked", answers_and_closes_later, plain_ok, 2000, "p1/a=200", 2},
    {"parked too long", plain_ok, plain_ok, 31000, "p1/a=200", 2},
    {"parked not too long", plain_ok, plain_ok, 29000, "p1/a=200", 1},
};

static void connection_is_used_again(const void *row)
{
    const struct reuse *r = row;
    struct answer a;
    struct client *c;

    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays(2, plain_ok);
    provider_plays_first(1, 0, r->first);
    provider_plays_first(1, 1, r->second);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 200);
    EXPECT_STR(a.body, OK_BODY);
    flow_pass(r->between_ms);
    flow_ask(c, CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}");
    EXPECT(flow_answer(c, &a, 100));
    EXPECT_INT(a.status, 200);
    EXPECT_STR(a.body, OK_BODY);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), r->attempts);
    EXPECT_INT(provider(1)->nconns, r->conns);
    client_close(c);
}

static void keys_do_not_share_connections(const void *row)
{
    static const struct act slow[] = {READ, FAIL("500 No", "{}"), AGAIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays_first(1, 0, slow);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a); /* a fails and is parked, b opens its own */
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=500, p1/b=200");
    EXPECT_INT(provider(1)->nconns, 2);
    EXPECT(provider_saw(1, 0, "key-1a") && provider_saw(1, 1, "key-1b"));
    client_close(c);
}

int main(void)
{
    static size_t at[400];

    FLOW(both_sides_keep_alive);
    FLOW(pipelined_requests_in_order);
    FLOW(nothing_behind_a_bad_request_is_read);
    for (size_t i = 0; i < 400; i++)
        at[i] = i;
    for (size_t i = 0; i <= 280; i++)
        flow_add_quick("request_split_at", request_split_at, &at[i]);
    for (size_t i = 0; i <= 215; i++)
        flow_add_quick("chunked_request_split_at", chunked_request_split_at, &at[i]);
    FLOW_LARGE(large_body_arrives_whole);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        flow_add(refusals[i].name, refusal_is_seen, &refusals[i]);
    FLOW(head_too_long);
    FLOW_LARGE(refusal_while_the_client_still_sends);
    FLOW(expect_continue);
    FLOW(http_1_0);
    FLOW(health_needs_no_key);
    FLOW(slow_head);
    FLOW(slow_body);
    for (size_t i = 0; i < sizeof leavings / sizeof *leavings; i++) {
        flow_add(leavings[i].name, client_leaves_by_fin, &leavings[i]);
        flow_add(leavings[i].name, client_leaves_by_reset, &leavings[i]);
    }
    FLOW(client_leaves_while_asking);
    FLOW(client_leaves_while_the_request_is_sent);
    for (size_t i = 0; i < sizeof reuses / sizeof *reuses; i++)
        flow_add(reuses[i].name, connection_is_used_again, &reuses[i]);
    FLOW(keys_do_not_share_connections);
    return flow_main();
}
