/* http/head and http/body as one reader of whole conversations, against the vectors of llhttp (strict mode) and
 * picohttpparser. What they refuse we refuse; where we and they differ the case is listed here with its reason. */
#include "check.h"
#include "http/body.h"
#include "http/head.h"
#include "http_guard.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct story {
    enum parse end;    /* PARSE_DONE: only whole messages; PARSE_MORE: the last is cut; PARSE_BAD */
    unsigned messages; /* whole ones */
    const char *why;
};

static struct http_request req;
static struct http_response res;

/* Reads messages until the input ends, one is bad or the connection would be closed. `in` is changed. Each head is
 * seen twice: once in prefixes, to be sure that growth does not change a verdict. */
static struct story read_all(char *p, size_t n, bool request)
{
    struct story s = {PARSE_DONE, 0, ""};

    while (n > 0) {
        struct http_bad bad = {0, ""};
        struct http_body body;
        size_t seen = 0, head_len, used, out;
        enum parse got = PARSE_MORE;
        bool keep_alive;

        for (size_t have = 1; have <= n && got == PARSE_MORE; have++)
            got = request ? http_request_parse(&req, p, have, &seen, &bad)
                          : http_response_parse(&res, p, have, &seen, false, &bad);
        seen = 0;
        if (got != (request ? http_request_parse(&req, p, n, &seen, &bad)
                            : http_response_parse(&res, p, n, &seen, false, &bad)) &&
            got != PARSE_MORE)
            bad.why = "verdict depends on the split";
        if (got != PARSE_DONE) {
            s.end = got;
            s.why = bad.why;
            return s;
        }
        head_len = request ? req.head_len : res.head_len;
        keep_alive = request ? req.keep_alive : res.keep_alive;
        http_body_init(&body, request ? req.framing : res.framing, request ? req.length : res.length);
        p += head_len;
        n -= head_len;
        got = http_body_decode(&body, p, n, &used, &out);
        if (got != PARSE_DONE) {
            s.end = got;
            s.why = got == PARSE_BAD ? body.why : "";
            return s;
        }
        p += used;
        n -= used;
        if (!request && res.status < 200)
            continue; /* llhttp counts interim responses as messages; see below */
        s.messages++;
        if (!keep_alive)
            break;
    }
    return s;
}

/* Most vectors have no Host, which we insist on. Puts one behind each request line until none is missing; if the
 * target names a host, that one. */
static struct story read_with_host(struct slice in, bool request)
{
    ptrdiff_t scheme = slice_find(in, SLICE("http://"));
    char host[100] = "Host: h\r\n";
    static char text[200000], copy[200000];
    size_t n = in.n;
    struct story s = {PARSE_BAD, 0, ""};

    if (scheme == 4) {
        struct slice rest = slice_from(in, 4 + 7);

        snprintf(host, sizeof host, "Host: %.*s\r\n", (int)strcspn(rest.p, "/? "), rest.p);
    }
    memcpy(text, in.p, n);
    for (int tries = 0; tries < 30; tries++) {
        size_t at = 0;
        unsigned whole;

        memcpy(copy, text, n);
        s = read_all(copy, n, request);
        if (strcmp(s.why, "host is missing") != 0)
            return s;
        /* Find the start of message s.messages by reading that many again. */
        memcpy(copy, text, n);
        for (whole = 0; whole < s.messages; whole++) {
            struct http_bad bad;
            struct http_body body;
            size_t seen = 0, used, out;

            if (http_request_parse(&req, copy + at, n - at, &seen, &bad) != PARSE_DONE)
                return s;
            at += req.head_len;
            http_body_init(&body, req.framing, req.length);
            if (http_body_decode(&body, copy + at, n - at, &used, &out) != PARSE_DONE)
                return s;
            at += used;
        }
        while (at + 1 < n && (text[at] == '\r' || text[at] == '\n'))
            at++;
        while (at + 1 < n && !(text[at] == '\r' && text[at + 1] == '\n'))
            at++;
        memmove(text + at + 2 + strlen(host), text + at + 2, n - at - 2);
        memcpy(text + at + 2, host, strlen(host));
        n += strlen(host);
    }
    return s;
}

/* Accepted by llhttp, refused by us. */
static const struct {
    const char *id, *why; /* our sentence, which is the reason */
} stricter[] = {
    {"test/request/content-length.md:7", "content-length has leading zeros"},
    {"test/request/content-length.md:44", "content-length has leading zeros"},
    {"test/request/method.md:138", "asterisk target without OPTIONS"}, /* M-SEARCH is not HTTP */
    {"test/request/method.md:375", "malformed HTTP version"},          /* other protocols: ICE, RTSP */
    {"test/request/method.md:405", "malformed HTTP version"},
    {"test/request/method.md:433", "malformed HTTP version"},
    {"test/request/sample.md:70", "malformed host"},                   /* 0.0.0.0=5000 */
    {"test/request/sample.md:108", "malformed host"},
    {"test/request/sample.md:317", "request line without a version"},  /* HTTP/0.9 */
    {"test/request/transfer-encoding.md:754", "a byte that may not be in a request target"}, /* quotes */
    {"test/request/transfer-encoding.md:796", "a byte that may not be in a request target"},
    {"test/request/uri.md:7", "a byte that may not be in a request target"},
    {"test/request/uri.md:168", "a byte that may not be in a request target"}, /* fragment */
    {"test/request/uri.md:225", "malformed host"},                             /* user info */
    {"test/response/connection.md:296", "protocol switch that nobody asked for"},
    {"test/response/connection.md:334", "protocol switch that nobody asked for"},
    {"test/response/connection.md:589", "malformed HTTP version"}, /* blank lines before a status line */
    {"test/response/pipelining.md:7", "malformed HTTP version"},
    {"test/response/sample.md:698", "malformed HTTP version"},
    {"test/response/sample.md:43", "malformed HTTP version"}, /* RTSP, ICE */
    {"test/response/sample.md:63", "malformed HTTP version"},
    {"test/response/sample.md:648", "HTTP version is not 1.0 or 1.1"}, /* 0.9 */
    {"test/response/transfer-encoding.md:46", "transfer-encoding has a coding after chunked"},
    {"test/response/transfer-encoding.md:77", "more than one transfer-encoding"},
    {"test/response/transfer-encoding.md:115", "transfer-encoding other than chunked"},
};

/* Refused by llhttp, not by us. */
static const struct {
    const char *id, *reason;
} looser[] = {
    {"test/request/invalid.md:69", "which methods exist is the caller's to say: 501"},
    {"test/request/invalid.md:359", "the same"},
};

static const char *why_stricter(const char *id)
{
    for (size_t i = 0; i < COUNT(stricter); i++)
        if (strcmp(stricter[i].id, id) == 0)
            return stricter[i].why;
    return NULL;
}

static bool may_be_looser(const char *id)
{
    for (size_t i = 0; i < COUNT(looser); i++)
        if (strcmp(looser[i].id, id) == 0)
            return true;
    return false;
}

static void test_llhttp(void)
{
    enum { CLOSED_CONNECTION = 5, PAUSED = 21, PAUSED_UPGRADE = 22 };
    static char line[200000];
    FILE *f = vectors_open("llhttp");
    unsigned count = 0, listed = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *rest = line, *id = vectors_column(&rest), *type = vectors_column(&rest);
        unsigned long code = strtoul(vectors_column(&rest), NULL, 10), messages = strtoul(vectors_column(&rest), NULL, 10);
        struct slice in = vectors_bytes(vectors_column(&rest));
        bool request = strcmp(type, "request") == 0;
        struct story s = read_with_host(in, request);

        check_case(id);
        count++;
        if (code == 0 || code == CLOSED_CONNECTION || code == PAUSED || code == PAUSED_UPGRADE) {
            const char *why = why_stricter(id);

            listed += why != NULL;
            CHECK_STR(slice_str(s.end == PARSE_BAD ? s.why : ""), why ? why : "");
            if (code == 0 && request && !why)
                CHECK_INT(s.messages, messages);
        } else {
            /* llhttp refuses within a line; we judge what a head means when its blank line is there. */
            if (s.end == PARSE_MORE) {
                static char text[200000];

                memcpy(text, in.p, in.n);
                memcpy(text + in.n, "\r\n\r\n", 4);
                s = read_with_host(slice_make(text, in.n + 4), request);
            }
            listed += may_be_looser(id);
            CHECK((s.end == PARSE_BAD) != may_be_looser(id));
        }
    }
    if (f) {
        CHECK_INT(pclose(f), 0);
        CHECK_INT(count, 208);
        CHECK_INT(listed, COUNT(stricter) + COUNT(looser));
    }
}

/* picohttpparser knows nothing of meaning and takes older syntax: bytes that it accepts and we do not. */
static const char *pico_stricter(struct slice in)
{
    static const struct {
        struct slice part;
        const char *why;
    } known[] = {
        {BYTES("\r\n  \tc\r\n"), "folded header line"},
        {BYTES("GET /\xa0 "), "a byte that may not be in a request target"},
        {BYTES("GET   /   "), "empty request target"},
        {BYTES("HTTP/1.1   200   OK"), "status is not a number of three digits"},
    };

    for (size_t i = 0; i < COUNT(known); i++)
        if (slice_find(in, known[i].part) >= 0)
            return known[i].why;
    return NULL;
}

static void test_picohttpparser(void)
{
    static char line[10000];
    FILE *f = vectors_open("pico");
    unsigned count = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *rest = line, *kind = vectors_column(&rest), *expect = vectors_column(&rest);
        struct slice in = vectors_bytes(vectors_column(&rest));
        bool request = strcmp(kind, "request") == 0;
        struct http_bad bad = {0, ""};
        char text[400];
        size_t seen = 0, n = 0;
        const char *p;
        enum parse got;

        if (strcmp(kind, "headers") == 0) { /* fields alone: put a start line before them */
            n = (size_t)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n");
        }
        memcpy(text + n, in.p, in.n);
        n += in.n;
        p = guard_copy(slice_make(text, n));
        got = request ? http_request_parse(&req, p, n, &seen, &bad) : http_response_parse(&res, p, n, &seen, false, &bad);
        check_case(text);
        count++;
        if (strcmp(expect, "incomplete") == 0 && n > 0 && text[n - 1] == '\n' && text[n - 2] != '\r')
            CHECK_STR(slice_str(bad.why), "bare LF"); /* a bare LF ends lines there */
        else if (pico_stricter(in))
            CHECK_STR(slice_str(bad.why), pico_stricter(in));
        else
            CHECK_INT(got, strcmp(expect, "complete") == 0 ? PARSE_DONE : strcmp(expect, "error") == 0 ? PARSE_BAD : PARSE_MORE);
    }
    if (f) {
        CHECK_INT(pclose(f), 0);
        CHECK_INT(count, 67);
    }
}

/* Conversations of our own, so that this test says something without the shared data. */
static void test_own(void)
{
    static const struct {
        const char *id;
        struct slice in;
        bool request;
        enum parse end;
        unsigned messages;
    } own[] = {
        {"H-55 pipelined", BYTES("GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\n\r\n"),
         true, PARSE_DONE, 3},
        {"H-56 good, bad, good", BYTES("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n x: y\r\n\r\nGET /c HTTP/1.1\r\n\r\n"), true,
         PARSE_BAD, 1},
        {"H-57 nothing behind close", BYTES("GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), true,
         PARSE_DONE, 1},
        {"chunked between", BYTES("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
         true, PARSE_DONE, 2},
        {"cut", BYTES("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabc"), true, PARSE_MORE, 0},
        {"R-06 no body of a 304", BYTES("HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\nHTTP/1.1 200 OK\r\n"), false,
         PARSE_DONE, 1},
        {"interim", BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"), false, PARSE_DONE, 1},
    };

    for (size_t i = 0; i < COUNT(own); i++) {
        struct story s = read_with_host(own[i].in, own[i].request);

        check_case(own[i].id);
        CHECK_INT(s.end, own[i].end);
        CHECK_INT(s.messages, own[i].messages);
    }
}

int main(void)
{
    test_own();
    test_llhttp();
    test_picohttpparser();
    return check_end();
}
