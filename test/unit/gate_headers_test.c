/* Which fields cross, and that they cross byte for byte: real heads through the real parser, so that lines which are
 * copied whole and lines which are written anew come out in one order. */
#include "gate/headers.h"

#include "check.h"

#define HOST "Host: weir\r\n"

static char memory[1 << 16];

static const struct {
    const char *name, *head, *want;
} forward[] = {
    {"all cross", "Accept: a/b\r\nX-Stainless-Lang: python\r\nx: y\r\n", "Accept: a/b\r\nX-Stainless-Lang: python\r\nx: y\r\n"},
    {"dropped at both ends", HOST "A: 1\r\nConnection: keep-alive\r\n", "A: 1\r\n"},
    {"dropped between", "A: 1\r\nAuthorization: Bearer x\r\nB: 2\r\nC: 3\r\nCookie: d\r\nE: 4\r\n", "A: 1\r\nB: 2\r\nC: 3\r\nE: 4\r\n"},
    {"nothing crosses", "Te: trailers\r\nVia: 1.1 x\r\n", ""},
    {"odd lines between whole ones", "A: 1\r\nB:2\r\nC: 3\r\nD:  4 \t\r\nE: 5\r\nF:\r\nG: \r\nH: 6\r\n",
     "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: \r\nG: \r\nH: 6\r\n"},
    {"an odd line first and last", "B:2\r\nA: 1\r\nC:\t3\r\n", "B: 2\r\nA: 1\r\nC: 3\r\n"},
    {"obs-text and quotes", "A: \x80\xff\r\nB: \"x\"\r\n", "A: \x80\xff\r\nB: \"x\"\r\n"},
    {"names that are not plain", "a.b: 1\r\nContent_Length: 5\r\nx_y: 1\r\n!#: 2\r\n", "a.b: 1\r\n!#: 2\r\n"},
    {"prefixes", "X-Weir-Anything: 1\r\nX-Forwarded-For: 1\r\nx-forwarded-proto: 1\r\nX-Forward: 2\r\nX-Wei: 3\r\nX-weird: 4\r\n",
     "X-Forward: 2\r\nX-Wei: 3\r\nX-weird: 4\r\n"},
    {"answer's prefix in a request", "Access-Control-Request-Method: POST\r\n", "Access-Control-Request-Method: POST\r\n"},
    {"short names", "a: 1\r\nxf: 2\r\nx-w: 3\r\n", "a: 1\r\nxf: 2\r\nx-w: 3\r\n"},
    {"listed in Connection", "Connection: X-Hop\r\nX-Hop: 1\r\nx-hop: 2\r\nX-Stays: 3\r\n", "X-Stays: 3\r\n"},
    {"listed in a second Connection", "Connection: keep-alive\r\nX-Hop: 1\r\nA: 2\r\nConnection: close , x-hop\r\n", "A: 2\r\n"},
    {"framing never", "Content-Length: 5\r\nExpect: 100-continue\r\nTrailer: x\r\nA: 1\r\n", "A: 1\r\n"},
    {"claims of the client", "Forwarded: for=1\r\nX-Request-Id: 1\r\nAccept-Encoding: gzip\r\nX-Api-Key: k\r\n", ""},
};

static void test_forward(void)
{
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++) {
        static struct http_request r;
        struct http_bad bad;
        struct arena a;
        struct http_out o;
        char head[1024], out[1024];
        size_t seen = 0;
        int n = snprintf(head, sizeof head, "POST /v1/x HTTP/1.1\r\n%s%s\r\n", strstr(forward[i].head, HOST) ? "" : HOST,
                         forward[i].head);
        bool version = true;
        struct slice got;

        check_case(forward[i].name);
        CHECK(http_request_parse(&r, head, (size_t)n, &seen, &bad) == PARSE_DONE);
        arena_init_fixed(&a, memory, sizeof memory);
        got = headers_forward(&r, &a, &version);
        CHECK(got.p != NULL && !version);
        memset(head, '#', sizeof head); /* what was taken is a copy */
        CHECK_STR(got, forward[i].want);
        http_out_init(&o, out, sizeof out);
        http_out_raw(&o, got);
        CHECK(!o.bad && o.n == got.n);
    }
}

static const struct {
    const char *name, *head, *want;
} back[] = {
    {"all cross", "Content-Type: application/json\r\nopenai-version: 1\r\n", "Content-Type: application/json\r\nopenai-version: 1\r\n"},
    {"framing and site", "Content-Length: 2\r\nServer: x\r\nSet-Cookie: a\r\nA: 1\r\nAlt-Svc: h3\r\nConnection: keep-alive\r\n", "A: 1\r\n"},
    {"prefixes", "Access-Control-Expose-Headers: x\r\nX-Weir-Model: y\r\nX-Forwarded-For: 1\r\nAcceleration: 9\r\n",
     "X-Forwarded-For: 1\r\nAcceleration: 9\r\n"},
    {"underscore", "x_y: 1\r\n", "x_y: 1\r\n"},
    {"odd lines", "A:1\r\nB: 2\r\nC: 3 \r\nD: 4\r\n", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"},
    {"listed in Connection", "X-Hop: 1\r\nConnection: close, X-HOP\r\nA: 1\r\n", "A: 1\r\n"},
    {"ids", "x-request-id: up\r\nrequest-id: r\r\n", "request-id: r\r\n"},
};

static void test_return(void)
{
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        static struct http_response r;
        struct http_bad bad;
        struct http_out o;
        char head[1024], out[1024];
        size_t seen = 0;
        int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n", back[i].head);

        check_case(back[i].name);
        CHECK(http_response_parse(&r, head, (size_t)n, &seen, false, &bad) == PARSE_DONE);
        http_out_init(&o, out, sizeof out);
        headers_return(&o, &r);
        CHECK(!o.bad);
        CHECK_STR(slice_make(out, o.n), back[i].want);
        /* Bytes that changed after they were parsed do not leave (H-62). */
        for (char *p = head; p < head + n; p++)
            if (*p == '1')
                *p = '\n';
        http_out_init(&o, out, sizeof out);
        headers_return(&o, &r);
        CHECK(o.bad == (strchr(back[i].want, '1') != NULL));
    }
}

static void test_credential(void)
{
    static const struct provider plain = {.dialect = DIALECT_OPENAI}, azure = {.dialect = DIALECT_AZURE};
    static const struct {
        enum surface surface;
        const struct provider *provider;
        const char *value, *want;
        bool has_version;
    } cases[] = {
        {SURFACE_CHAT, &plain, "sk-1", "authorization: Bearer sk-1\r\n", false},
        {SURFACE_CHAT, &plain, "", "", false},
        {SURFACE_CHAT, &azure, "k", "api-key: k\r\n", false},
        {SURFACE_MESSAGES, &plain, "k", "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n", false},
        {SURFACE_MESSAGES, &plain, "k", "x-api-key: k\r\n", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct credential key = {.value = slice_str(cases[i].value), .provider = cases[i].provider};
        struct http_out o;
        char out[256];

        check_case(cases[i].want);
        http_out_init(&o, out, sizeof out);
        headers_credential(&o, cases[i].surface, &key, cases[i].has_version);
        CHECK(!o.bad);
        CHECK_STR(slice_make(out, o.n), cases[i].want);
    }
}

int main(void)
{
    test_forward();
    test_return();
    test_credential();
    return check_end();
}
