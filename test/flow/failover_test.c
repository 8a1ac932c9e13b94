/* What makes a request move on, and to whom (spec 5): one line per outcome, asked plainly and as a stream. Ids are those of the fault
 * catalogue. */
#include "flow.h"

#define OK_BODY "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"
#define OK_STREAM ROLE DELTA("hi") FINISH DONE
#define ERR(code, text) "{\"error\":{\"message\":\"" text "\",\"type\":\"x\",\"code\":\"" code "\"}}"

static const struct act plain_ok[] = {READ, PLAIN(OK_BODY), AGAIN, END};
static const struct act stream_ok[] = {READ, SEND(SSE_HEAD), CHUNK(OK_STREAM), LAST_CHUNK, AGAIN, END};

/* Model m1 has two keys at p1, then m2 one at p2. How p1 treats key a decides. */
struct row {
    const char *name;
    struct act act[10];
    const char *attempts; /* what x-weir-attempts says in the end */
    unsigned status;
};

#define NEXT_KEY(word) "p1/a=" word ", p1/b=200", 200
#define NEXT_MODEL(word) "p1/a=" word ", p2/a=200", 200

static const struct row any_rows[] = {
    {"F-064 429 with retry-after", {READ, FAIL("429 Slow\r\nretry-after: 7", ERR("rate_limit_exceeded", "slow down")), END}, NEXT_KEY("429")},
    {"F-065 429 without", {READ, FAIL("429 Slow", ERR("rate_limit_exceeded", "slow down")), END}, NEXT_KEY("429")},
    {"F-066 429 insufficient_quota", {READ, FAIL("429 Slow", ERR("insufficient_quota", "pay")), END}, NEXT_KEY("429")},
    {"F-053 402", {READ, FAIL("402 Pay", ERR("x", "pay")), END}, NEXT_KEY("402")},
    {"F-052 401", {READ, FAIL("401 Who", ERR("invalid_api_key", "key-1a is wrong")), END}, NEXT_KEY("401")},
    {"F-054 403", {READ, FAIL("403 No", ERR("permission", "no")), END}, NEXT_KEY("403")},
    {"F-059 408", {READ, FAIL("408 Late", ERR("x", "late")), END}, NEXT_KEY("408")},
    {"F-070 501", {READ, FAIL("501 Oh", ERR("x", "not implemented")), END}, NEXT_KEY("501")},
    {"F-073 507", {READ, FAIL("507 Oh", ERR("x", "no room")), END}, NEXT_KEY("507")},
    {"F-069 500", {READ, FAIL("500 Oh", ERR("server_error", "oh")), END}, NEXT_KEY("500")},
    {"F-071 502 HTML", {READ, ANSWER("502 Bad\r\ncontent-type: text/html\r\n", "<html>"), END}, NEXT_KEY("502")},
    {"F-072 503", {READ, FAIL("503 Busy\r\nretry-after: 2", ERR("x", "busy")), END}, NEXT_KEY("503")},
    {"F-074 520", {READ, ANSWER("520 CDN\r\n", "error code: 520"), END}, NEXT_KEY("520")},
    {"F-075 529", {READ, FAIL("529 Overloaded", ERR("overloaded", "busy")), END}, NEXT_KEY("529")},
    {"F-056 404 model", {READ, FAIL("404 No", ERR("model_not_found", "no such model")), END}, NEXT_KEY("404")},
    {"F-048 400", {READ, FAIL("400 Bad", ERR("invalid_value", "bad")), END}, NEXT_MODEL("400")},
    {"F-050 400 context_length_exceeded", {READ, FAIL("400 Bad", ERR("context_length_exceeded", "too long")), END}, NEXT_MODEL("400")},
    {"F-058 405", {READ, FAIL("405 Bad", ERR("x", "x")), END}, NEXT_MODEL("405")},
    {"F-058 409", {READ, FAIL("409 Bad", ERR("x", "x")), END}, NEXT_MODEL("409")},
    {"F-061 413", {READ, FAIL("413 Bad", ERR("x", "too large")), END}, NEXT_MODEL("413")},
    {"F-058 415", {READ, FAIL("415 Bad", ERR("x", "x")), END}, NEXT_MODEL("415")},
    {"F-058 422", {READ, FAIL("422 Bad", ERR("x", "x")), END}, NEXT_MODEL("422")},
    {"F-058 418", {READ, FAIL("418 Bad", ERR("x", "x")), END}, NEXT_MODEL("418")},
    {"F-055 content policy is final", {READ, FAIL("400 Bad", ERR("content_policy_violation", "no")), END}, "p1/a=400", 400},
    {"F-014 accepted, then reset", {RST, END}, NEXT_MODEL("unreachable")},
    {"F-015 accepted, then closed", {FIN, END}, NEXT_MODEL("unreachable")},
    {"F-035 closed after the request", {READ, FIN, END}, NEXT_MODEL("unreachable")},
    {"F-036 reset after the request", {READ, RST, END}, NEXT_MODEL("unreachable")},
    {"F-037 silence", {READ, END}, NEXT_MODEL("timeout")},
    {"F-038 part of a status line, then silence", {READ, SEND("HTTP/1.1 2"), END}, NEXT_MODEL("timeout")},
    {"F-039 a head that drips", {READ, DRIP("HTTP/1.1 200 OK\r\nx-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, 1500), END}, NEXT_MODEL("timeout")},
    {"F-040 100, then silence", {READ, SEND("HTTP/1.1 100 Continue\r\n\r\n"), END}, NEXT_MODEL("timeout")},
    {"F-044 part of a head, then closed", {READ, SEND("HTTP/1.1 200 OK\r\n"), FIN, END}, NEXT_MODEL("unreachable")},
    {"F-041 1xx storm", {READ, SEND("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n"
                            "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n"), END}, NEXT_KEY("upstream_error")},
    {"F-042 101", {READ, SEND("HTTP/1.1 101 Up\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"), END}, NEXT_KEY("upstream_error")},
    {"F-044 not HTTP", {READ, SEND("SSH-2.0-OpenSSH_9.2\r\n\r\n"), END}, NEXT_KEY("upstream_error")},
    {"R-07 length and chunked", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"R-08 two lengths", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"R-15 folded field", {READ, SEND("HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"F-076 status 099", {READ, SEND("HTTP/1.1 099 No\r\ncontent-length: 2\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"F-076 status 600", {READ, SEND("HTTP/1.1 600 No\r\ncontent-length: 2\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"F-076 R-16 status 999", {READ, SEND("HTTP/1.1 999 No\r\ncontent-length: 2\r\n\r\n{}"), END}, NEXT_KEY("upstream_error")},
    {"F-046 redirect", {READ, ANSWER("302 Found\r\nlocation: http://10.0.0.4/\r\n", ""), END}, NEXT_KEY("302")},
    {"F-047 204", {READ, SEND("HTTP/1.1 204 Nothing\r\n\r\n"), END}, NEXT_KEY("upstream_error")},
    {"F-047 206", {READ, FAIL("206 Part", OK_BODY), END}, NEXT_KEY("upstream_error")},
    {"F-080 HTML with 200", {READ, ANSWER("200 OK\r\ncontent-type: text/html\r\n", "<html>log in</html>"), END}, NEXT_KEY("upstream_error")},
    {"F-088 gzip unasked", {READ, ANSWER("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n", "\x1f\x8b\b"), END}, NEXT_KEY("upstream_error")},
    {"F-081 empty body", {READ, ANSWER("200 OK\r\ncontent-type: application/json\r\n", ""), END}, NEXT_KEY("upstream_error")},
    {"F-087 bad chunk size", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), END}, NEXT_KEY("upstream_error")},
    {"F-078 an error whose body stalls", {READ, SEND("HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\n{"), END}, NEXT_KEY("500")},
    {"an error whose body is cut", {READ, SEND("HTTP/1.1 429 Oh\r\ncontent-length: 100\r\n\r\n{"), FIN, END}, NEXT_KEY("429")},
    {"F-077 an error without end", {READ, SEND("HTTP/1.1 500 Oh\r\n\r\n"), FLOOD(300000), END}, NEXT_KEY("500")},
};

static const struct row plain_rows[] = {
    {"F-079 200 with an error object: 429", {READ, PLAIN("{\"error\":{\"message\":\"slow\",\"code\":429}}"), END}, NEXT_KEY("429")},
    {"F-079 200 with an error object: quota", {READ, PLAIN(ERR("insufficient_quota", "pay")), END}, NEXT_KEY("429")},
    {"F-082 cut by a close", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":"), FIN, END}, NEXT_KEY("upstream_error")},
    {"F-082 cut by a reset", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":"), WAIT(10), RST, END}, NEXT_KEY("upstream_error")},
    {"R-12 chunks without an end", {READ, SEND("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), CHUNK(OK_BODY), FIN, END}, NEXT_KEY("upstream_error")},
    {"R-10 until close, cut", {READ, SEND("HTTP/1.1 200 OK\r\n\r\n{\"choices\":["), FIN, END}, NEXT_KEY("upstream_error")},
    {"F-091 a stream nobody asked for", {READ, SEND(SSE_HEAD), CHUNK(OK_STREAM), LAST_CHUNK, END}, NEXT_KEY("upstream_error")},
    {"F-085 body that stalls", {READ, SEND("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), END}, NEXT_MODEL("timeout")},
    {"R-10 until close, whole", {READ, SEND("HTTP/1.1 200 OK\r\n\r\n" OK_BODY), FIN, END}, "p1/a=200", 200},
    {"R-17 HTTP/1.0", {READ, SEND("HTTP/1.0 200 OK\r\n\r\n" OK_BODY), FIN, END}, "p1/a=200", 200},
    {"103, then the answer", {READ, SEND("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"), PLAIN(OK_BODY), END}, "p1/a=200", 200},
    {"white space in front", {READ, PLAIN("   \n\n   " OK_BODY), END}, "p1/a=200", 200},
    {"F-136 F-084 the provider's own model name", {READ, PLAIN("{\"model\":\"m1-as-the-provider-calls-it\",\"choices\":[]}"), END}, "p1/a=200", 200},
    {"F-135 a model without tools says so itself: the next model", {READ, FAIL("400 Bad", ERR("unsupported_parameter", "tools are not supported with this model")), END}, NEXT_MODEL("400")},
    {"F-084 no choices", {READ, PLAIN("{\"object\":\"x\"}"), END}, "p1/a=200", 200},
};

static const struct row stream_rows[] = {
    {"F-093 closed without an event", {READ, SEND(SSE_HEAD), LAST_CHUNK, FIN, END}, NEXT_KEY("upstream_error")},
    {"F-094 reset after the head", {READ, SEND(SSE_HEAD), WAIT(10), RST, END}, NEXT_KEY("upstream_error")},
    {"F-095 silence after the head", {READ, SEND(SSE_HEAD), END}, NEXT_MODEL("timeout")},
    {"F-097 error first", {READ, SEND(SSE_HEAD), CHUNK("data: " ERR("rate_limit_exceeded", "slow") "\n\n"), LAST_CHUNK, END}, NEXT_KEY("429")},
    {"F-097 quota error first", {READ, SEND(SSE_HEAD), CHUNK("data: " ERR("insufficient_quota", "pay") "\n\n"), LAST_CHUNK, END}, NEXT_KEY("429")},
    {"F-097 error: field", {READ, SEND(SSE_HEAD), CHUNK("error: {\"code\":500,\"message\":\"oh\"}\n\n"), LAST_CHUNK, END}, NEXT_KEY("500")},
    {"F-098 role, then error", {READ, SEND(SSE_HEAD), CHUNK(ROLE), CHUNK("data: " ERR("server_error", "oh") "\n\n"), LAST_CHUNK, END}, NEXT_KEY("500")},
    {"F-099 role, then closed", {READ, SEND(SSE_HEAD), CHUNK(COMMENT ROLE), LAST_CHUNK, FIN, END}, NEXT_KEY("upstream_error")},
    {"F-100 first event is no JSON", {READ, SEND(SSE_HEAD), CHUNK("data: {\"choices\n\n"), LAST_CHUNK, END}, NEXT_KEY("upstream_error")},
    {"F-101 first event cut", {READ, SEND(SSE_HEAD), CHUNK("data: {\"choices\":[{\"del"), FIN, END}, NEXT_KEY("upstream_error")},
    {"F-102 [DONE] first", {READ, SEND(SSE_HEAD), CHUNK(DONE), LAST_CHUNK, END}, NEXT_KEY("upstream_error")},
    {"F-118 bad chunk before commit", {READ, SEND(SSE_HEAD), CHUNK(ROLE), SEND("xyz\r\n"), END}, NEXT_KEY("upstream_error")},
    {"F-103 64 KiB without an event", {READ, SEND(SSE_HEAD_CLOSE), FLOOD(100000), END}, NEXT_KEY("upstream_error")},
    {"F-104 the type is missing", {READ, SEND("HTTP/1.1 200 OK\r\n\r\n" OK_STREAM), FIN, END}, "p1/a=200", 200},
    {"F-090 JSON instead of a stream", {READ, PLAIN(OK_BODY), END}, "p1/a=200", 200},
    {"finish alone commits", {READ, SEND(SSE_HEAD), CHUNK(FINISH DONE), LAST_CHUNK, END}, "p1/a=200", 200},
    {"comments and role in front", {READ, SEND(SSE_HEAD), CHUNK(COMMENT COMMENT), WAIT(1000), CHUNK(ROLE), WAIT(1000), CHUNK(OK_STREAM), LAST_CHUNK, END}, "p1/a=200", 200},
};

static void no_secret_in(struct slice text)
{
    EXPECT(slice_find(text, SLICE("key-1")) < 0);
    EXPECT(slice_find(text, SLICE("token-of")) < 0);
}

static void talk(const struct row *r, const char *body, const struct act *otherwise)
{
    struct answer a;
    struct client *c;

    flow_open("\"perRequestTimeout\":\"20s\"", "");
    provider_plays(1, otherwise);
    provider_plays(2, otherwise);
    provider_plays_first(1, 0, r->act);
    c = flow_talk(CHAT, body, &a);
    EXPECT_INT(a.status, r->status);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), r->attempts);
    EXPECT(a.complete);
    EXPECT(provider(1)->nrequests == 0 || provider_saw(1, 0, "authorization: Bearer key-1a\r\n"));
    EXPECT(!provider_saw(1, 0, "token-of-the-app"));
    EXPECT_INT(provider(4)->nconns, 0); /* S-10: where a redirect points */
    EXPECT(!provider_saw(1, 0, "m2")); /* upstream never sees `models` */
    EXPECT_INT(flow_log_lines(), 1);
    no_secret_in(slice_make(c->peer.got.p, c->peer.got.n));
    no_secret_in(slice_make(fake.log.p, fake.log.n));
    client_close(c);
    flow_settle();
    EXPECT_INT(flow_log_lines(), 1);
}

static void asked_plainly(const void *row)
{
    talk(row, "{\"model\":\"m1\",\"models\":[\"m2\"]}", plain_ok);
}

/* F-140: no retry budget (README, Limits). What there is instead: each key of a request is asked once, and never the same one again. */
static void storm(const void *row)
{
    static const struct act always500[] = {READ, FAIL("500 Oh", ERR("server_error", "oh")), AGAIN, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, always500);
    provider_plays(2, plain_ok);
    for (int i = 1; i <= 20; i++) {
        c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
        EXPECT_INT(a.status, 200);
        EXPECT_INT(provider(2)->nrequests, i);
        /* Five failures in a row, by two keys a request: then the breaker puts p1 behind p2, which answers. */
        EXPECT_INT(provider(1)->nrequests, i < 3 ? 2 * i : 5);
        client_close(c);
    }
}

static void asked_as_stream(const void *row)
{
    talk(row, "{\"model\":\"m1\",\"models\":[\"m2\"],\"stream\":true}", stream_ok);
}

/* ---- How a connection comes about ---- */

static const struct reach_row {
    enum reach reach;
    const char *attempts;
    int64_t ms;
} reach_rows[] = {{REACH_REFUSED, "p1/a=unreachable, p2/a=200", 0},
                  {REACH_UNREACHABLE, "p1/a=unreachable, p2/a=200", 0},
                  {REACH_BLACK_HOLE, "p1/a=timeout, p2/a=200", 5000},
                  {REACH_SLOW, "p1/a=200", 3000}};

static void unreachable_goes_to_another_origin(const void *row)
{
    const struct reach_row *how = row;
    struct answer a;
    struct client *c;
    int64_t began;

    flow_open("\"connectTimeout\":\"5s\"", "");
    began = fake.now_ms;
    provider_plays(1, plain_ok);
    provider_plays(2, plain_ok);
    provider_is(1, how->reach);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), how->attempts);
    EXPECT_INT(fake.now_ms - began, how->ms);
    client_close(c);
}

static const struct act reset[] = {RST, END};
static const struct act slow_once[] = {READ, FAIL("429 Slow", ERR("x", "slow")), AGAIN, END};
static const struct act slow_and_close[] = {READ, FAIL("429 Slow\r\nconnection: close", ERR("x", "slow")), FIN, END};

static void same_origin_comes_last(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays_first(1, 0, reset);
    provider_is(2, REACH_REFUSED);
    /* p1/a fails, so p1/b waits behind p2, which fails as well. */
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=unreachable, p2/a=unreachable, p1/b=200");
    client_close(c);
}

/* ---- When nothing is left ---- */

static const struct act slow5[] = {READ, FAIL("429 Slow\r\nretry-after: 5", ERR("x", "slow")), AGAIN, END};
static const struct act slow9[] = {READ, FAIL("429 Slow\r\nretry-after: 9", ERR("x", "slow")), AGAIN, END};
static const struct act broken500[] = {READ, FAIL("500 Oh\r\nset-cookie: a=b\r\nx-odd: 1", ERR("server_error", "broken inside")), AGAIN, END};
static const struct act auth401[] = {READ, FAIL("401 Who", ERR("invalid_api_key", "Incorrect API key provided: key-1a")), AGAIN, END};
static const struct act bad400[] = {READ, FAIL("400 Bad\r\nset-cookie: a=b\r\nx-odd: 1", ERR("invalid_value", "as it came")), AGAIN, END};

static void all_rate_limited(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, slow9);
    provider_plays(2, slow5);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 429);
    EXPECT_STR(answer_field(&a, "retry-after"), "5"); /* the smallest */
    EXPECT_STR(answer_field(&a, "x-should-retry"), "true");
    EXPECT_INT(provider(1)->nrequests, 2);
    EXPECT_INT(provider(2)->nrequests, 1);
    /* F-128, F-129: the next request at once finds all of them cooling by a stated time: nobody is called. */
    client_close(c);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 429);
    EXPECT_INT(provider(1)->nrequests, 2);
    EXPECT_INT(provider(2)->nrequests, 1);
    client_close(c);
    /* When the stated time has passed it is asked again. */
    flow_pass(5001);
    provider_plays(2, plain_ok);
    provider_plays_first(2, 0, plain_ok);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT(a.status == 200 || provider(2)->nrequests == 2);
    client_close(c);
}

static void one_attempt_500_passes(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, broken500);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 500);
    EXPECT_STR(a.body, ERR("server_error", "broken inside"));
    EXPECT_STR(answer_field(&a, "x-should-retry"), "true"); /* without a gateway the SDK would come again by itself */
    EXPECT_STR(answer_field(&a, "retry-after"), "1");
    EXPECT(answer_field(&a, "set-cookie").p == NULL);
    EXPECT_STR(answer_field(&a, "x-odd"), "1");
    EXPECT_STR(answer_field(&a, "cache-control"), "no-store");
    client_close(c);
}

static void last_rejected_passes(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, broken500);
    provider_plays(2, bad400);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 400);
    EXPECT_STR(a.body, ERR("invalid_value", "as it came"));
    EXPECT_STR(answer_field(&a, "x-should-retry"), "false");
    EXPECT_STR(answer_field(&a, "x-weir-provider"), "p2");
    EXPECT(answer_field(&a, "set-cookie").p == NULL);
    client_close(c);
}

static void last_rejected_of_a_stream_passes(const void *row)
{
    static const struct act too_long[] = {READ, SEND(SSE_HEAD), CHUNK("data: " ERR("context_length_exceeded", "too long") "\n\n"), LAST_CHUNK, END};
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, too_long);
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"stream\":true}", &a);
    EXPECT_INT(a.status, 400); /* F-097: the matching status, not 200 */
    EXPECT(answer_has(&a, "context_length_exceeded"));
    client_close(c);
}

static void all_failed_names_them(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, auth401);
    provider_is(2, REACH_REFUSED);
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"models\":[\"m2\"]}", &a);
    EXPECT_INT(a.status, 503);
    EXPECT(answer_has(&a, "all_attempts_failed"));
    EXPECT(answer_has(&a, "\"number\":3807"));
    EXPECT(answer_has(&a, "\"status\":401"));
    EXPECT(!answer_has(&a, "Incorrect API key")); /* it quotes the key */
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=401, p1/b=401, p2/a=unreachable");
    client_close(c);
}

static void one_attempt_unreachable(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_is(2, REACH_REFUSED);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 502);
    EXPECT(answer_has(&a, "upstream_unreachable"));
    EXPECT_STR(answer_field(&a, "x-should-retry"), "true");
    client_close(c);
}

static void failover_off_is_one_attempt(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, broken500);
    provider_plays(2, plain_ok);
    c = client_open();
    flow_ask_more(c, CHAT, "x-weir-failover: off\r\n", "{\"model\":\"m1\",\"models\":[\"m2\"]}");
    flow_answer(c, &a, 1000);
    EXPECT_INT(a.status, 500); /* F-138 */
    EXPECT_INT(provider(1)->nrequests, 1);
    EXPECT_INT(provider(2)->nrequests, 0);
    EXPECT(!provider_saw(1, 0, "x-weir"));
    client_close(c);
}

/* ---- What the next request inherits ---- */

static void cooling_key_goes_last(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(1, plain_ok);
    provider_plays_first(1, 0, slow_once);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=429, p1/b=200");
    client_close(c);
    c = flow_talk(CHAT, "{\"model\":\"m1\"}", &a); /* F-128: the very next request begins with b */
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/b=200");
    client_close(c);
    c = flow_talk(CHAT, "{\"model\":\"m1s\"}", &a); /* another model of the same key is not concerned */
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p1/a=429, p1/b=200");
    client_close(c);
}

static void guessed_cooling_is_tried_when_nothing_else(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, plain_ok);
    provider_plays_first(2, 0, slow_and_close);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 429);
    client_close(c);
    c = flow_talk(CHAT, "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 200);
    client_close(c);
}

static void breaker_opens_and_heals(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_is(2, REACH_REFUSED);
    provider_plays(3, plain_ok);
    for (int i = 0; i < 5; i++)
        client_close(flow_talk(CHAT, "{\"model\":\"m2\"}", &a));
    provider_is(2, REACH_UP);
    provider_plays(2, plain_ok);
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"models\":[\"m3\"]}", &a); /* open: behind the others */
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p3/a=200");
    client_close(c);
    flow_pass(5001); /* half open: one probe, which succeeds */
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"models\":[\"m3\"]}", &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p2/a=200");
    client_close(c);
}

static void clients_fault_touches_no_health(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_plays(2, bad400);
    provider_plays(3, plain_ok);
    for (int i = 0; i < 12; i++)
        client_close(flow_talk(CHAT, "{\"model\":\"m2\"}", &a));
    EXPECT_INT(provider(2)->nrequests, 12);
    c = flow_talk(CHAT, "{\"model\":\"m2\",\"models\":[\"m3\"]}", &a);
    EXPECT_STR(answer_field(&a, "x-weir-attempts"), "p2/a=400, p3/a=200");
    client_close(c);
}

/* ---- Errors in the client's dialect ---- */

static void errors_in_three_shapes(const void *row)
{
    struct answer a;
    struct client *c;

    (void)row;
    flow_open("", "");
    provider_is(2, REACH_REFUSED);
    c = flow_talk("/v1/messages", "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 502);
    EXPECT(slice_starts(a.body, SLICE("{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":")));
    EXPECT(answer_has(&a, "\"request_id\":\"req_"));
    client_close(c);
    c = flow_talk("/v1/responses", "{\"model\":\"m2\"}", &a);
    EXPECT_INT(a.status, 502);
    EXPECT(slice_starts(a.body, SLICE("{\"error\":{\"message\":")));
    client_close(c);
}

int main(void)
{
    for (size_t i = 0; i < sizeof any_rows / sizeof *any_rows; i++) {
        flow_add(any_rows[i].name, asked_plainly, &any_rows[i]);
        flow_add(any_rows[i].name, asked_as_stream, &any_rows[i]);
    }
    for (size_t i = 0; i < sizeof plain_rows / sizeof *plain_rows; i++)
        flow_add(plain_rows[i].name, asked_plainly, &plain_rows[i]);
    for (size_t i = 0; i < sizeof stream_rows / sizeof *stream_rows; i++)
        flow_add(stream_rows[i].name, asked_as_stream, &stream_rows[i]);
    for (size_t i = 0; i < sizeof reach_rows / sizeof *reach_rows; i++)
        flow_add("unreachable_goes_to_another_origin", unreachable_goes_to_another_origin, &reach_rows[i]);
    FLOW(storm);
    FLOW(same_origin_comes_last);
    FLOW(all_rate_limited);
    FLOW(one_attempt_500_passes);
    FLOW(last_rejected_passes);
    FLOW(last_rejected_of_a_stream_passes);
    FLOW(all_failed_names_them);
    FLOW(one_attempt_unreachable);
    FLOW(failover_off_is_one_attempt);
    FLOW(cooling_key_goes_last);
    FLOW(guessed_cooling_is_tried_when_nothing_else);
    FLOW(breaker_opens_and_heals);
    FLOW(clients_fault_touches_no_health);
    FLOW(errors_in_three_shapes);
    return flow_main();
}
