/* The admin plane's connections in the fake world: calls in a row, bodies in pieces, slow and vanishing clients, calls that wait for the store and for each
 * other, what is handed on to the data plane; each with every system call and block of memory failing in turn. The store is a volatile one: it answers a turn later, as the durable
 * one does. What the calls say is tested on the real binary (e2e/test_admin.py). */
#include "flow.h"

#include <stdlib.h>

#include "admin/admin.h"
#include "admin/registry.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "conf/keyring.h"
#include "gate/gate.h"
#include "state/store.h"

#include "check.h"

/* ---- The plane beside the gate ---- */

static const struct conf *conf_now(void)
{
    return flow_conf();
}

static bool no_apply(struct conf *c, char *why, size_t cap)
{
    conf_put(c);
    text_format(why, cap, "not in this test");
    return false;
}

static struct slice no_text(void)
{
    return slice_make(NULL, 0);
}

static const char *no_env(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user;
    (void)path;
    (void)a;
    (void)out;
    return false;
}

/* What /try reaches: provider 1 plays the data plane. */
static const struct addr *data_plane(void)
{
    static const uint8_t ip[4] = {10, 0, 0, 1};
    static struct addr at;

    at = addr_make(4, ip, 80);
    return &at;
}

static void plan(struct gate_plan *p)
{
    p->conns += ADMIN_FDS;
    p->watches += ADMIN_FDS;
    p->timers += ADMIN_TIMERS;
}

static bool open_plane(void)
{
    static const struct conf_env env = {no_env, no_file, NULL};
    static bool first = true;
    const struct store_options volatile_store = {.dir = {NULL, 0}};
    struct addr at;
    const char *why;
    uint8_t hash[32];

    if (first) {
        admin_init(&(struct admin_hooks){conf_now, no_apply, no_text, &env, data_plane, "flow"});
        sha256(SLICE("token-of-the-operator"), hash);
        first = !admin_add_key("operator", hash);
    }
    return !first && keyring_init() && store_open(&volatile_store, &why) && store_start() && addr_parse(SLICE("10.1.1.1"), 8081, &at) && admin_open(&at, -1, &why);
}

/* ---- Calls ---- */

#define OPERATOR "token-of-the-operator"

/* body NULL: none. */
static void call_as(struct client *c, const char *token, const char *method, const char *path, const char *more, const char *body)
{
    char text[8192];

    text_format(text, sizeof text, "%s %s HTTP/1.1\r\nHost: 10.1.1.1:8081\r\nAuthorization: Bearer %s\r\n%s%s", method, path, token, more,
                body ? "Content-Type: application/json\r\nContent-Length: " : "\r\n");
    if (body)
        text_format(text + strlen(text), sizeof text - strlen(text), "%zu\r\n\r\n%s", strlen(body), body);
    client_send(c, text);
}

static void call(struct client *c, const char *method, const char *path, const char *body)
{
    call_as(c, OPERATOR, method, path, "", body);
}

static struct client *operator_(void)
{
    return client_open_at(1);
}

/* The next answer on c. */
static struct answer next(struct client *c)
{
    struct answer a = {0};

    (void)flow_answer(c, &a, 10000);
    return a;
}

/* A member's text of the last answer, copied. */
static void member(const struct answer *a, const char *name, char out[128])
{
    char key[64];
    ptrdiff_t at;
    struct slice rest;

    out[0] = '\0';
    text_format(key, sizeof key, "\"%s\":\"", name);
    at = slice_find(a->body, slice_str(key));
    if (at < 0)
        return;
    rest = slice_from(a->body, (size_t)at + strlen(key));
    at = slice_find_char(rest, '"');
    if (at >= 0 && at < 128) {
        memcpy(out, rest.p, (size_t)at);
        out[at] = '\0';
    }
}

/* ---- The end of a world ---- */

/* Whatever was made to fail: the plane serves now, and what was left can be deleted, which also gives its memory back. */
static void delete_all(void)
{
    struct client *c = client_open_at(0); /* the gate's listener is closed */

    while (registry_newest(KIND_API_KEY)) {
        char path[300];
        struct slice id = registry_newest(KIND_API_KEY)->id;

        text_format(path, sizeof path, "/api-keys/%.*s", (int)id.n, id.p);
        call(c, "DELETE", path, NULL);
        if (!CHECK(next(c).status == 204))
            break;
    }
    client_close(c);
}

static void close_plane(void)
{
    if (registry_newest(KIND_API_KEY))
        delete_all();
    admin_drain();
    flow_pass(ADMIN_READ_MS + ADMIN_IDLE_MS);
    CHECK_INT(admin_busy(), 0);
    store_close(0);
}

/* Opens gate and plane. */
static void open_world(void)
{
    flow_beside(plan, open_plane, close_plane);
    flow_open("", "");
}

/* ---- Flows ---- */

static void calls_in_a_row(const void *row)
{
    static const struct {
        const char *method, *path, *body;
        unsigned status;
        const char *says;
    } calls[] = {{"GET", "/healthz", NULL, 200, "\"ok\""},
                 {"GET", "/about", NULL, 200, "\"version\":\"flow\""},
                 {"GET", "/cooldowns", NULL, 200, "\"cooldowns\":[]"},
                 {"GET", "/nowhere", NULL, 404, "\"not_found\""},
                 {"PUT", "/access-keys", NULL, 405, "\"method_not_allowed\""},
                 {"GET", "/requests?limit=0", NULL, 422, "\"field\":\"limit\""},
                 {"POST", "/preview", "{\"model\":\"m1\"}", 200, "\"keyName\":\"a\""},
                 {"POST", "/preview", "{\"model\":\"m1\",\"surprise\":1}", 422, "\"field\":\"surprise\""},
                 {"POST", "/preview", "{\"model\":", 400, "not valid JSON"},
                 {"POST", "/preview", "[]", 422, "must be a JSON object"},
                 {"GET", "/metrics", NULL, 200, "weir_"}};
    struct client *c;

    (void)row;
    open_world();
    c = operator_();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct answer a;

        call(c, calls[i].method, calls[i].path, calls[i].body);
        a = next(c);
        EXPECT_INT(a.status, calls[i].status);
        EXPECT(answer_has(&a, calls[i].says));
        EXPECT_STR(answer_field(&a, "cache-control"), "no-store");
        EXPECT(!client_ended(c));
    }
    client_close(c);
}

/* Several calls in one write are answered in order; the last one is a HEAD, which has no body. */
static void pipelined(const void *row)
{
    struct client *c;
    struct answer a;

    (void)row;
    open_world();
    c = operator_();
    client_send(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                   "POST /preview HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer " OPERATOR "\r\nContent-Type: application/json; charset=utf-8\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mod\r\na\r\nel\":\"m1\"} \r\n0\r\n\r\n"
                   "HEAD /about HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " OPERATOR "\r\nConnection: close\r\n\r\n");
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "\"ok\""));
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "\"queue\":[{\"provider\":\"p1\""));
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT_INT(a.body.n, 0);
    EXPECT(answer_field(&a, "content-length").n > 1);
    EXPECT(client_ended(c));
    client_close(c);
}

/* The page's files, packed and not. */
static void the_page(const void *row)
{
    struct client *c;
    struct answer a;
    struct slice tag;
    char ask[256];

    (void)row;
    open_world();
    c = operator_();
    client_send(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "<html"));
    EXPECT(slice_find(answer_field(&a, "content-security-policy"), SLICE("default-src 'none'")) >= 0);
    tag = answer_field(&a, "etag");
    text_format(ask, sizeof ask, "GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %.*s\r\n\r\n", (int)tag.n, tag.n ? tag.p : "");
    client_send(c, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    a = next(c);
    EXPECT_STR(answer_field(&a, "content-encoding"), "gzip");
    EXPECT_STR(answer_field(&a, "vary"), "accept-encoding");
    EXPECT(a.body.n > 2 && (unsigned char)a.body.p[0] == 0x1f);
    client_send(c, ask);
    a = next(c);
    EXPECT_INT(a.status, 304);
    client_close(c);
}

/* Made, used, deleted; each write is answered by the store, a turn later. */
static void life_of_an_api_key(const void *row)
{
    struct client *c;
    struct answer a;
    char token[128], uri[128];

    (void)row;
    open_world();
    c = operator_();
    call(c, "POST", "/api-keys", "{\"name\":\"deploy\"}");
    a = next(c);
    EXPECT_INT(a.status, 201);
    member(&a, "token", token);
    member(&a, "uri", uri);
    call_as(c, token, "GET", uri, "", NULL);
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "\"name\":\"deploy\"") && !answer_has(&a, token));
    call_as(c, token, "PATCH", uri, "If-Match: \"other\"\r\n", "{\"name\":\"x\"}");
    a = next(c);
    EXPECT_INT(a.status, 412);
    call_as(c, token, "PATCH", uri, "", "{\"name\":\"ci\"}");
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "\"name\":\"ci\""));
    call_as(c, token, "DELETE", uri, "", NULL);
    a = next(c);
    EXPECT_INT(a.status, 204);
    call_as(c, token, "GET", "/about", "", NULL);
    a = next(c);
    EXPECT_INT(a.status, 401);
    EXPECT_STR(answer_field(&a, "www-authenticate"), "Bearer");
    client_close(c);
}

/* Changes take turns; one that waited and is refused leaves everything in order, also when it finds the reason late. 33 keys in a rule are one too many. */
static void changes_take_turns(const void *row)
{
    struct client *c[4];
    struct answer a;
    char body[4096], uri[3][128];
    size_t n;

    (void)row;
    open_world();
    n = (size_t)text_format(body, sizeof body, "{\"name\":\"many\",\"router\":{\"rules\":[{\"provider\":\"p1\",\"steps\":[{\"type\":\"user\",\"keys\":[");
    for (int i = 0; i < 33; i++)
        n += (size_t)text_format(body + n, sizeof body - n, "%s{\"name\":\"k%d\",\"value\":\"secret-of-a-provider-%d\"}", i ? "," : "", i, i);
    text_format(body + n, sizeof body - n, "]}]}]}}");
    for (int i = 0; i < 4; i++)
        c[i] = operator_();
    flow_settle();
    for (int i = 0; i < 3; i++)
        call(c[i], "POST", "/api-keys", "{}");
    call_as(c[3], OPERATOR, "POST", "/access-key-configurations", "Connection: close\r\n", body);
    for (int i = 0; i < 3; i++) {
        a = next(c[i]);
        EXPECT_INT(a.status, 201);
        member(&a, "uri", uri[i]);
    }
    a = next(c[3]);
    EXPECT_INT(a.status, 422);
    EXPECT(answer_has(&a, "At most 31 keys"));
    for (int i = 0; i < 3; i++) {
        call(c[i], "DELETE", uri[i], NULL);
        EXPECT_INT(next(c[i]).status, 204);
    }
    for (int i = 0; i < 4; i++)
        client_close(c[i]);
}

/* A key that is deleted between a call's head and its body: the call is not made, nor anything of the key's looked at. */
static void key_gone_before_the_body(const void *row)
{
    struct client *c, *slow;
    struct answer a;
    char token[128], uri[128], text[1024];

    (void)row;
    open_world();
    c = operator_();
    slow = operator_();
    call(c, "POST", "/api-keys", "{}");
    a = next(c);
    member(&a, "token", token);
    member(&a, "uri", uri);
    text_format(text, sizeof text, "POST /api-keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n", token);
    client_send(slow, text);
    flow_pass(100);
    call(c, "DELETE", uri, NULL);
    EXPECT_INT(next(c).status, 204);
    client_send(slow, "{}");
    a = next(slow);
    EXPECT_INT(a.status, 401);
    client_close(c);
    client_close(slow);
}

/* And between its body and its turn: it was known when it called, so the call counts, under its name. */
static void key_gone_before_its_turn(const void *row)
{
    struct client *c, *other;
    struct answer a;
    char token[128], uri[128], id[128];

    (void)row;
    open_world();
    c = operator_();
    other = operator_();
    call(c, "POST", "/api-keys", "{}");
    a = next(c);
    member(&a, "token", token);
    member(&a, "uri", uri);
    member(&a, "id", id);
    call_as(other, token, "GET", "/about", "", NULL);
    EXPECT_INT(next(other).status, 200);
    call(c, "DELETE", uri, NULL);
    call_as(other, token, "POST", "/api-keys", "", "{}");
    EXPECT_INT(next(c).status, 204);
    a = next(other);
    EXPECT(a.status == 201 || a.status == 401); /* the other one was first, in calls of few bytes */
    if (a.status == 201) {
        EXPECT(answer_has(&a, id));
        member(&a, "uri", uri);
        call(c, "DELETE", uri, NULL);
        EXPECT_INT(next(c).status, 204);
    }
    client_close(c);
    client_close(other);
}

/* The store answers a call whose client has left. */
static void client_leaves_a_change(const void *row)
{
    struct client *c, *other;

    (void)row;
    open_world();
    c = operator_();
    other = operator_();
    flow_settle();
    call(c, "POST", "/api-keys", "{\"name\":\"left behind\"}");
    client_fin(c);
    call(other, "POST", "/api-keys", "{}");
    client_rst(other);
    flow_pass(1000);
    EXPECT_INT(admin_busy(), 0);
    client_close(c);
    client_close(other);
    /* What was taken is in force all the same; what came with the reset may not have been read. */
    EXPECT(registry_count(KIND_API_KEY) >= 1);
}

/* Every wait has its end: half a head, half a body, nothing at all, an answer that nobody takes. */
static void slow_clients(const void *row)
{
    struct client *head, *body, *idle, *deaf;
    struct answer a;

    (void)row;
    open_world();
    head = operator_();
    body = operator_();
    idle = operator_();
    deaf = operator_();
    client_send(head, "GET /about HTT");
    client_send(body, "POST /preview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " OPERATOR "\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{\"mod");
    call(idle, "GET", "/about", NULL);
    a = next(idle);
    EXPECT_INT(a.status, 200);
    deaf->reading = false;
    deaf->peer.window = 100;
    call(deaf, "GET", "/about", NULL);
    flow_pass(ADMIN_READ_MS - 1000);
    EXPECT(!client_ended(head) && !client_ended(body) && !client_ended(idle) && !client_ended(deaf));
    flow_pass(2000);
    EXPECT(client_ended(head) && client_ended(body) && !client_ended(idle) && !client_ended(deaf));
    flow_pass(ADMIN_WRITE_MS - ADMIN_READ_MS);
    EXPECT(client_ended(deaf) && !client_ended(idle));
    flow_pass(ADMIN_IDLE_MS - ADMIN_WRITE_MS);
    EXPECT(client_ended(idle));
    client_close(head);
    client_close(body);
    client_close(idle);
    client_close(deaf);
}

/* What is refused by its head: the answer arrives though the body still comes, and the connection ends. */
static void unwanted_bodies(const void *row)
{
    static const struct {
        const char *fields;
        unsigned status;
    } bad[] = {{"Content-Type: application/json\r\nContent-Length: 2000000\r\n", 413},
               {"Content-Type: text/plain\r\nContent-Length: 100000\r\n", 415},
               {"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 100000\r\n", 415},
               {"Content-Type: application/json\r\nOrigin: http://evil.example\r\nContent-Length: 100000\r\n", 403},
               {"Content-Type: application/json\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400}};
    static char letters[20000];

    (void)row;
    open_world();
    memset(letters, 'x', sizeof letters);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct client *c = operator_();
        struct answer a;

        call_as(c, OPERATOR, "POST", "/preview", bad[i].fields, NULL);
        client_send_n(c, letters, sizeof letters);
        a = next(c);
        EXPECT_INT(a.status, bad[i].status);
        EXPECT_STR(answer_field(&a, "connection"), "close");
        flow_pass(ADMIN_LINGER_MS + 100);
        EXPECT(client_ended(c));
        client_close(c);
    }
}

/* All slots taken by idle ones: the one that is idle longest makes room. */
static void full_house(const void *row)
{
    struct client *c[ADMIN_CONNS + 1];
    struct answer a;

    (void)row;
    open_world();
    for (int i = 0; i <= ADMIN_CONNS; i++) {
        c[i] = operator_();
        flow_pass(10);
    }
    call(c[ADMIN_CONNS], "GET", "/about", NULL);
    a = next(c[ADMIN_CONNS]);
    EXPECT_INT(a.status, 200);
    EXPECT(client_ended(c[0]) && !client_ended(c[1]));
    for (int i = 0; i <= ADMIN_CONNS; i++)
        client_close(c[i]);
}

static const char trial[] = "{\"accessKey\":\"token-of-the-app\",\"path\":\"/v1/chat/completions\",\"body\":{\"model\":\"m1\",\"stream\":true}}";

/* The trial's answer streams through as it comes. */
static void a_trial_streams(const void *row)
{
    static const struct act plays[] = {READ, SEND(SSE_HEAD_CLOSE ROLE), WAIT(1000), SEND(DELTA("hello") FINISH DONE), FIN, END};
    struct client *c;
    struct answer a;

    (void)row;
    open_world();
    provider_plays(1, plays);
    c = operator_();
    call(c, "POST", "/try", trial);
    flow_pass(500);
    EXPECT(slice_find(slice_make(c->peer.got.p, c->peer.got.n), SLICE("assistant")) >= 0);
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT(answer_has(&a, "hello") && answer_has(&a, "[DONE]"));
    EXPECT(client_ended(c));
    EXPECT(provider_saw(1, 0, "authorization: Bearer token-of-the-app"));
    EXPECT_SLICE(provider_body(1, 0), SLICE("{\"model\":\"m1\",\"stream\":true}"));
    EXPECT_INT(admin_busy(), 0);
    client_close(c);
}

/* Who leaves a trial ends it. */
static void a_trial_is_left(const void *row)
{
    static const struct act plays[] = {READ, SEND(SSE_HEAD_CLOSE ROLE), END};
    struct client *c;

    (void)row;
    open_world();
    provider_plays(1, plays);
    c = operator_();
    call(c, "POST", "/try", trial);
    flow_pass(500);
    EXPECT_INT(admin_busy(), 1);
    EXPECT_INT(providers_open(), 1);
    client_close(c);
    flow_pass(500);
    EXPECT_INT(admin_busy(), 0);
    EXPECT_INT(providers_open(), 0);
}

/* A trial's reader that is slower than what comes. */
static void a_trial_is_read_slowly(const void *row)
{
    static const struct act plays[] = {READ, SEND("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"), FLOOD(200000), FIN, END};
    struct client *c;
    struct answer a;

    (void)row;
    open_world();
    provider_plays(1, plays);
    c = operator_();
    c->reading = false;
    call(c, "POST", "/try", trial);
    flow_pass(500);
    EXPECT(flow_mem_used() < 100000);
    c->reading = true;
    a = next(c);
    EXPECT_INT(a.status, 200);
    EXPECT_INT(a.body.n, 200000);
    client_close(c);
}

/* A drain: who is idle leaves, who waits for an answer gets it. */
static void drained(const void *row)
{
    static const struct act plays[] = {READ, WAIT(2000), PLAIN("{\"fine\":true}"), FIN, END};
    struct client *idle, *half, *runs;
    struct answer a;

    (void)row;
    open_world();
    provider_plays(1, plays);
    idle = operator_();
    half = operator_();
    runs = operator_();
    client_send(half, "GET /about HTTP/1.1\r\nHost: localhost\r\n");
    call(runs, "POST", "/try", trial);
    flow_pass(500);
    admin_drain();
    flow_pass(100);
    EXPECT(client_ended(idle) && !client_ended(half) && !client_ended(runs));
    EXPECT_INT(admin_busy(), 1);
    client_send(half, "Authorization: Bearer " OPERATOR "\r\n\r\n");
    a = next(half);
    EXPECT_INT(a.status, 200);
    EXPECT_STR(answer_field(&a, "connection"), "close");
    a = next(runs);
    EXPECT(answer_has(&a, "\"fine\":true"));
    EXPECT_INT(admin_busy(), 0);
    client_close(idle);
    client_close(half);
    client_close(runs);
}

/* No heap for a call, from its first to its last block: an answer that says so, or the end of the connection; and nothing half done. */
static void no_heap(const void *row)
{
    static const struct {
        const char *path, *body;
    } calls[] = {{"/api-keys", "{\"name\":\"deploy\"}"}, {"/preview", "{\"model\":\"m1\"}"}, {"/try", trial}};

    (void)row;
    open_world();
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        for (unsigned nth = 1; nth <= 12; nth++)
            for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
                struct client *c = operator_();
                uint32_t before = registry_count(KIND_API_KEY);
                struct answer a;

                mem_heap_fail_at(nth, from_then_on);
                call_as(c, OPERATOR, "POST", calls[i].path, "Connection: close\r\n", calls[i].body);
                a = next(c);
                mem_heap_fail_at(0, false);
                EXPECT(a.status == 0 || a.status < 300 || a.status == 413 || a.status >= 500);
                EXPECT_INT(registry_count(KIND_API_KEY), before + (a.status == 201));
                client_close(c);
            }
}

int main(void)
{
    FLOW(calls_in_a_row);
    FLOW(pipelined);
    FLOW_LARGE(the_page);
    FLOW(life_of_an_api_key);
    FLOW(changes_take_turns);
    FLOW(key_gone_before_the_body);
    FLOW(key_gone_before_its_turn);
    FLOW(client_leaves_a_change);
    FLOW(slow_clients);
    FLOW_LARGE(unwanted_bodies);
    flow_add_quick("full_house", full_house, NULL);
    FLOW(a_trial_streams);
    FLOW(a_trial_is_left);
    FLOW_LARGE(a_trial_is_read_slowly);
    FLOW(drained);
    flow_add_quick("no_heap", no_heap, NULL);
    return flow_main();
}
