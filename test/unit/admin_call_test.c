/* What the admin plane decides without a connection: which route a path is, whose site a call comes from, what a query holds. What leads to an answer is in
 * flow/admin_test.c and e2e/test_admin.py. */
#include "admin/server.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "check.h"

/* Every path of the contract and ours, near misses, and texts that only look like them (S-57, H-47). */
static void test_routes(void)
{
    static const struct {
        enum http_method method;
        const char *path, *arg, *allow; /* arg NULL: no route */
    } rows[] = {
        {HTTP_GET, "/access-keys", "", NULL},
        {HTTP_POST, "/access-keys", "", NULL},
        {HTTP_GET, "/access-keys/aigk_1", "aigk_1", NULL},
        {HTTP_PATCH, "/providers/my%20own", "my%20own", NULL},
        {HTTP_DELETE, "/access-key-configurations/x", "x", NULL},
        {HTTP_POST, "/provider-keys/aigpk_1/rotate", "aigpk_1", NULL},
        {HTTP_GET, "/usage/overview", "", NULL},
        {HTTP_GET, "/requests/req_1", "req_1", NULL},
        {HTTP_DELETE, "/cooldowns/k1", "k1", NULL},
        {HTTP_DELETE, "/access-keys", NULL, "GET, HEAD, POST"},
        {HTTP_POST, "/access-keys/aigk_1", NULL, "GET, HEAD, PATCH, DELETE"},
        {HTTP_GET, "/provider-keys/aigpk_1/rotate", NULL, "POST"},
        {HTTP_DELETE, "/gateway-config", NULL, "GET, HEAD, PATCH"},
        {HTTP_POST, "/usage", NULL, "GET, HEAD"},
        {HTTP_METHOD_OTHER, "/api-keys", NULL, "GET, HEAD, POST"},
        {HTTP_GET, "/access-keys/", NULL, NULL},
        {HTTP_GET, "/access-keys//", NULL, NULL},
        {HTTP_GET, "//access-keys", NULL, NULL},
        {HTTP_GET, "/access-keysx", NULL, NULL},
        {HTTP_GET, "/access-key", NULL, NULL},
        {HTTP_GET, "/ACCESS-KEYS", NULL, NULL},
        {HTTP_GET, "/./access-keys", NULL, NULL},
        {HTTP_GET, "/access-keys/a/b", NULL, NULL},
        {HTTP_POST, "/provider-keys//rotate", NULL, NULL},
        {HTTP_POST, "/provider-keys/a/rotate/", NULL, NULL},
        {HTTP_GET, "/%61ccess-keys", NULL, NULL},
        {HTTP_GET, "", NULL, NULL},
        {HTTP_GET, "*", NULL, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct admin_route *r;
        const char *allow;
        struct slice arg;

        check_case(rows[i].path);
        r = admin_route_find(rows[i].method, slice_str(rows[i].path), &arg, &allow);
        CHECK((r != NULL) == (rows[i].arg != NULL));
        if (r)
            CHECK_STR(arg, rows[i].arg);
        else if (CHECK((allow != NULL) == (rows[i].allow != NULL)) && allow)
            CHECK_STR(slice_str(allow), rows[i].allow);
    }
    /* The table itself: no call stands in it twice, and a GET is found as what it is. */
    for (const struct admin_route *a = admin_routes; a->path; a++)
        for (const struct admin_route *b = a + 1; b->path; b++)
            CHECK(a->method != b->method || strcmp(a->path, b->path) != 0);
}

static bool parse(struct http_request *r, const char *fields)
{
    static char text[2048];
    struct http_bad bad;
    size_t seen = 0;
    int n = snprintf(text, sizeof text, "GET /about HTTP/1.1\r\n%s\r\n", fields);

    return http_request_parse(r, text, (size_t)n, &seen, &bad) == PARSE_DONE;
}

/* DNS rebinding and calls from other sites (S-54, S-55). */
static void test_sites(void)
{
    static const struct {
        const char *fields;
        unsigned status, open; /* 0: allowed; open: for the page and /healthz */
    } rows[] = {
        {"Host: localhost\r\n", 0, 0},
        {"Host: LOCALHOST:8081\r\n", 0, 0},
        {"Host: 127.0.0.1:8081\r\n", 0, 0},
        {"Host: [::1]:8081\r\n", 0, 0},
        {"Host: 192.168.1.20\r\n", 0, 0},
        {"Host: admin.example.com\r\n", 0, 0},
        {"Host: localhost.evil.com\r\n", 421, 421},
        {"Host: 127.0.0.1.evil.com\r\n", 421, 421},
        {"Host: evil.admin.example.com\r\n", 421, 421},
        {"Host: admin.example.com.evil.com\r\n", 421, 421},
        {"Host: xlocalhost\r\n", 421, 421},
        {"Host: 127.1\r\n", 421, 421},
        {"Host: 2130706433\r\n", 421, 421},
        {"Host: localhost:8081\r\nOrigin: http://localhost:8081\r\n", 0, 0},
        {"Host: admin.example.com\r\nOrigin: https://admin.example.com\r\n", 0, 0},
        {"Host: localhost:8081\r\nOrigin: http://localhost\r\n", 403, 403},
        {"Host: localhost:8081\r\nOrigin: http://localhost:8082\r\n", 403, 403},
        {"Host: localhost:8081\r\nOrigin: http://evil.com\r\n", 403, 403},
        {"Host: localhost:8081\r\nOrigin: http://localhost:8081.evil.com\r\n", 403, 403},
        {"Host: localhost:8081\r\nOrigin: null\r\n", 403, 403},
        {"Host: localhost:8081\r\nOrigin: localhost:8081\r\n", 403, 403},
        {"Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", 0, 0},
        {"Host: localhost\r\nSec-Fetch-Site: none\r\n", 0, 0},
        {"Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403, 0},
        {"Host: localhost\r\nSec-Fetch-Site: same-site\r\n", 403, 0},
    };
    struct slice names[] = {SLICE("admin.example.com")};
    const struct conf c = {.admin_host = names, .nadmin_hosts = 1};
    static struct http_request r;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int open = 0; open < 2; open++) {
            unsigned want = open ? rows[i].open : rows[i].status;
            struct admin_refusal no = {0, NULL};

            check_case(rows[i].fields);
            if (!CHECK(parse(&r, rows[i].fields)))
                continue;
            CHECK(admin_head_allowed(&r, &c, open, &no) == (want == 0));
            CHECK_INT(no.status, want);
        }
}

static void test_keys(void)
{
    static const struct {
        const char *fields, *who;
    } rows[] = {
        {"Authorization: Bearer first-key\r\n", "config"},   {"Authorization: bearer  second-key \r\n", "config"},
        {"Authorization: Bearer of-the-start\r\n", "start"}, {"Authorization: Bearer first-kex\r\n", NULL},
        {"Authorization: Bearer first-ke\r\n", NULL},        {"Authorization: Bearer first-key1\r\n", NULL},
        {"Authorization: Bearer\r\n", NULL},                 {"Authorization: first-key\r\n", NULL},
        {"Authorization: Basic first-key\r\n", NULL},        {"X-Api-Key: first-key\r\n", NULL},
        {"Cookie: key=first-key\r\n", NULL},                 {"", NULL},
    };
    uint8_t hash[2][32], extra[32];
    const struct conf c = {.admin_key = hash, .nadmin_keys = 2};
    static struct http_request r;
    char fields[512];

    sha256(SLICE("first-key"), hash[0]);
    sha256(SLICE("second-key"), hash[1]);
    sha256(SLICE("of-the-start"), extra);
    CHECK(admin_has_key(&c) && !admin_has_key(&(struct conf){0}));
    CHECK(admin_add_key("start", extra) && admin_has_key(&(struct conf){0}));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice who;

        check_case(rows[i].fields);
        snprintf(fields, sizeof fields, "Host: localhost\r\n%s", rows[i].fields);
        if (!CHECK(parse(&r, fields)))
            continue;
        who = admin_key_of(&r, &c);
        CHECK((who.n > 0) == (rows[i].who != NULL));
        if (rows[i].who)
            CHECK_STR(who, rows[i].who);
    }
}

static void test_queries(void)
{
    static const struct {
        const char *query, *value; /* of "name"; NULL: not there, or malformed */
    } rows[] = {
        {"name=x", "x"},       {"a=1&name=x&b=2", "x"}, {"name=", ""},        {"name", ""},          {"&&name=x&", "x"},
        {"name=a+b%20c", "a b c"}, {"name=%c3%A9", "\xc3\xa9"}, {"name=a%26b=c", "a&b=c"}, {"", NULL}, {"names=x", NULL},
        {"nam=x", NULL},       {"NAME=x", NULL},        {"name=%", NULL},     {"name=%4", NULL},     {"name=%zz", NULL},
        {"name=%00", NULL},    {"n%61me=x", NULL},
    };
    struct arena a;

    arena_init(&a, &mem_heap_source, 1024, 65536);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct admin_call c = {.query = slice_str(rows[i].query), .arena = &a};
        struct slice value = {0};
        bool there;

        check_case(rows[i].query);
        there = admin_query(&c, "name", &value);
        CHECK(there == (rows[i].value != NULL));
        if (there && rows[i].value)
            CHECK_STR(value, rows[i].value);
    }
    arena_reset(&a);
}

static void test_etags(void)
{
    static const char *const match[] = {"", "\"a1\"", "*", "\"b\", \"a1\"", "\"a1\" , W/\"x\""};

    for (size_t i = 0; i < sizeof match / sizeof *match; i++) {
        struct admin_call c = {.if_match = slice_str(match[i])};

        check_case(match[i]);
        CHECK(admin_matches(&c, SLICE("\"a1\"")));
    }
}

int main(void)
{
    test_routes();
    test_sites();
    test_keys();
    test_queries();
    test_etags();
    return check_end();
}
