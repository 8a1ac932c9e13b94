/* http/body: chunked framing (H-25...H-33, R-11...R-13) and the other framings. Each case runs whole, against an
 * unreadable page, in two pieces cut at every byte, and byte by byte; all must agree. */
#include "http/body.h"

#include "check.h"
#include "http_guard.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct body_case {
    const char *id;
    struct slice in, out;
    const char *want; /* "done", "done+N" with N bytes left behind it, "more", "bad" */
};

static const struct body_case cases[] = {
    {"one chunk", BYTES("b\r\nhello world\r\n0\r\n\r\n"), BYTES("hello world"), "done"},
    {"two chunks", BYTES("6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"), BYTES("hello world"), "done"},
    {"empty", BYTES("0\r\n\r\n"), BYTES(""), "done"},
    {"zeros", BYTES("0005\r\nhello\r\n000\r\n\r\n"), BYTES("hello"), "done"},
    {"hex case", BYTES("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), BYTES("01234567890123456789"), "done"},
    {"CRLF as data", BYTES("4\r\n\r\n\r\n\r\n0\r\n\r\n"), BYTES("\r\n\r\n"), "done"},
    {"chunk in a chunk", BYTES("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), BYTES("0\r\n\r\n"), "done"},
    {"all bytes", BYTES("4\r\n\0\xff\x80\n\r\n0\r\n\r\n"), BYTES("\0\xff\x80\n"), "done"},
    {"behind it", BYTES("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), BYTES("a"), "done+16"},
    {"more: nothing", BYTES(""), BYTES(""), "more"},
    {"more: size", BYTES("5"), BYTES(""), "more"},
    {"more: size line", BYTES("5\r"), BYTES(""), "more"},
    {"more: data", BYTES("5\r\nhel"), BYTES("hel"), "more"},
    {"more: behind data", BYTES("5\r\nhello"), BYTES("hello"), "more"},
    {"more: behind data 2", BYTES("5\r\nhello\r"), BYTES("hello"), "more"},
    {"H-31", BYTES("5\r\nhello\r\n"), BYTES("hello"), "more"},
    {"H-31 last chunk cut", BYTES("5\r\nhello\r\n0\r\n"), BYTES("hello"), "more"},
    {"H-31 last chunk cut 2", BYTES("5\r\nhello\r\n0\r\n\r"), BYTES("hello"), "more"},
    {"H-25 0x5", BYTES("0x5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 +5", BYTES("+5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 -5", BYTES("-5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 5_0", BYTES("5_0\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 space before", BYTES(" 5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 space behind", BYTES("5 \r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 tab behind", BYTES("5\t\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 space before ;", BYTES("5 ;a=b\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 empty", BYTES("\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 empty is not the last", BYTES("\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 no digits", BYTES(";a\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 g", BYTES("g\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 5g", BYTES("5g\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 5.", BYTES("5.\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 5h", BYTES("5h\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 NUL", BYTES("5\0\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 0x80", BYTES("5\x80\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 quoted", BYTES("\"5\"\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 comma", BYTES("5,5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 17 digits", BYTES("00000000000000005\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 16 digits", BYTES("0000000000000005\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), "done"},
    {"H-25 2^64-1", BYTES("FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 2^64+5", BYTES("10000000000000005\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-25 2^63", BYTES("8000000000000000\r\nhello"), BYTES(""), "bad"},
    {"H-25 2^63-1", BYTES("7fffffffffffffff\r\nhello"), BYTES("hello"), "more"},
    {"H-25 second size", BYTES("5\r\nhello\r\n-5\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-26 size", BYTES("5\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-26 data", BYTES("5\r\nhello\n0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-26 last", BYTES("5\r\nhello\r\n0\n\r\n"), BYTES("hello"), "bad"},
    {"H-26 end", BYTES("5\r\nhello\r\n0\r\n\n"), BYTES("hello"), "bad"},
    {"H-26 trailer", BYTES("5\r\nhello\r\n0\r\na: b\n\r\n"), BYTES("hello"), "bad"},
    {"H-27 CR CR", BYTES("5\r\rhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-27 CR X", BYTES("5\rX\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-27 behind data", BYTES("5\r\nhello\rX0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-27 end", BYTES("0\r\n\rX"), BYTES(""), "bad"},
    {"H-27 in the size", BYTES("5\r5\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-28 name", BYTES("5;a\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), "done"},
    {"H-28 values", BYTES("5;a=b;c=\"d\";e\r\nhello\r\n0;last\r\n\r\n"), BYTES("hello"), "done"},
    {"H-28 quoted", BYTES("5;c=\"; \\\"\\\\ \t\xe9=\"\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), "done"},
    {"H-28 empty quoted", BYTES("5;c=\"\"\r\nhello\r\n0\r\n\r\n"), BYTES("hello"), "done"},
    {"H-29 5;", BYTES("5;\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 5;a=", BYTES("5;a=\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 5;=b", BYTES("5;=b\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 5;;a", BYTES("5;;a\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 5;a=b=c", BYTES("5;a=b=c\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 white space", BYTES("5; a\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 white space 2", BYTES("5;a =b\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 NUL", BYTES("5;a\0\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 NUL quoted", BYTES("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 LF inside", BYTES("5;a\nb\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 CR inside", BYTES("5;a\rb\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 LF ends", BYTES("5;a\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 open quote", BYTES("5;a=\"b\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 LF quoted", BYTES("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 escaped CR", BYTES("5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 behind quote", BYTES("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 quote in token", BYTES("5;a=b\"c\"\r\nhello\r\n0\r\n\r\n"), BYTES(""), "bad"},
    {"H-29 in the last", BYTES("5\r\nhello\r\n0;\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-30 longer", BYTES("5\r\nhelloX\r\n0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-30 no CRLF", BYTES("5\r\nhello0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-30 two extra", BYTES("5\r\nhelloXX0\r\n\r\n"), BYTES("hello"), "bad"},
    {"H-30 shorter", BYTES("6\r\nhello\r\n0\r\n\r\n"), BYTES("hello\r"), "bad"},
    {"H-33", BYTES("5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: e\r\nx-api-key: k\r\n\r\nG"),
     BYTES("hello"), "done+1"},
    {"H-33 values", BYTES("0\r\na:\r\nb:  c\xe9 \t\r\n\r\n"), BYTES(""), "done"},
    {"H-33 fold", BYTES("0\r\na: b\r\n c\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 no colon", BYTES("0\r\nabc\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 empty name", BYTES("0\r\n: b\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 space before colon", BYTES("0\r\na : b\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 NUL", BYTES("0\r\na: \0\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 bare CR", BYTES("0\r\na: b\rc\r\n\r\n"), BYTES(""), "bad"},
    {"H-33 a request", BYTES("0\r\nGET / HTTP/1.1\r\n\r\n"), BYTES(""), "bad"},
};

/* Feeds in pieces of at most step bytes, the first of at most `first`; each piece ends against the unreadable page. */
static void decode(struct http_body *b, struct slice in, size_t first, size_t step, char *out, size_t *out_n, char verdict[32])
{
    enum parse got = PARSE_MORE;
    size_t at = 0, piece = first;

    *out_n = 0;
    do {
        size_t n = piece < in.n - at ? piece : in.n - at, used, made;
        char *p = guard_copy(slice_make(in.p + at, n));

        got = http_body_decode(b, p, n, &used, &made);
        if (used > n || made > used || (got == PARSE_MORE && used != n)) {
            snprintf(verdict, 32, "contract");
            return;
        }
        memcpy(out + *out_n, p, made);
        *out_n += made;
        at += used;
        piece = step;
    } while (got == PARSE_MORE && at < in.n);
    snprintf(verdict, 32, got == PARSE_MORE ? "more" : got == PARSE_BAD ? "bad" : "done");
    if (got == PARSE_DONE && at < in.n)
        snprintf(verdict, 32, "done+%zu", in.n - at);
    if (got == PARSE_BAD && !b->why)
        snprintf(verdict, 32, "no reason");
    if (got != PARSE_MORE) { /* it stays what it is */
        char x[1] = {'5'};
        size_t used, made;

        if (http_body_decode(b, x, 1, &used, &made) != got || used || made)
            snprintf(verdict, 32, "not final");
    }
}

static bool agrees(const struct body_case *c, size_t first, size_t step)
{
    static char out[1 << 20];
    struct http_body b;
    size_t n;
    char verdict[32];

    http_body_init(&b, HTTP_CHUNKED, 0);
    decode(&b, c->in, first, step, out, &n, verdict);
    if (strcmp(verdict, c->want) == 0 && slice_eq(slice_make(out, n), c->out) &&
        http_body_may_end(&b) == (strncmp(verdict, "done", 4) == 0))
        return true;
    printf("     %s, %zu bytes out, pieces %zu %zu, %s\n", verdict, n, first, step, b.why ? b.why : "");
    return false;
}

static void run_case(const struct body_case *c)
{
    check_case(c->id);
    CHECK(agrees(c, c->in.n, c->in.n));
    CHECK(agrees(c, 1, 1));
    CHECK(agrees(c, 0, 3));
    for (size_t cut = 0; cut <= c->in.n; cut++)
        if (!CHECK(agrees(c, cut, c->in.n)))
            break;
}

/* Repeats a piece `times` times between a start and a stop. */
static struct slice repeat(struct slice start, struct slice piece, size_t times, struct slice stop)
{
    static char text[1 << 20];
    size_t n = start.n;

    memcpy(text, start.p, start.n);
    for (; times; times--, n += piece.n)
        memcpy(text + n, piece.p, piece.n);
    memcpy(text + n, stop.p, stop.n);
    return slice_make(text, n + stop.n);
}

/* H-28, H-32, H-33: the limits at 0 and +1, the same verdict for every split. */
static void test_limits(void)
{
    static char payload[200000];
    static const struct {
        const char *id;
        struct slice start, piece;
        size_t times;
        struct slice stop;
        size_t payload;
        const char *want;
    } limits[] = {
        /* ";" is not counted, CR is */
        {"H-28 1 KB of extension", BYTES("1;"), BYTES("a"), 1023, BYTES("\r\nx\r\n0\r\n\r\n"), 1, "done"},
        {"H-28 1 KB and a byte", BYTES("1;"), BYTES("a"), 1024, BYTES("\r\nx\r\n0\r\n\r\n"), 0, "bad"},
        {"H-28 1 MB", BYTES("1;"), BYTES("a"), 1000000, BYTES("\r\nx\r\n0\r\n\r\n"), 0, "bad"},
        {"H-28 sum of chunks", BYTES(""), BYTES("1;a=bcdefg\r\nx\r\n"), 113, BYTES("0\r\n\r\n"), 113, "done"},
        {"H-28 sum of chunks, more", BYTES(""), BYTES("1;a=bcdefg\r\nx\r\n"), 114, BYTES("0\r\n\r\n"), 113, "bad"},
        {"H-33 4 KB of trailer", BYTES("0\r\nabc:"), BYTES("v"), 4091, BYTES("\r\n\r\n"), 0, "done"},
        {"H-33 4 KB and a byte", BYTES("0\r\nabc:"), BYTES("v"), 4092, BYTES("\r\n\r\n"), 0, "bad"},
        {"H-33 many lines", BYTES("0\r\n"), BYTES("abc:\r\n"), 819, BYTES("\r\n"), 0, "done"},
        {"H-33 too many lines", BYTES("0\r\n"), BYTES("abc:\r\n"), 820, BYTES("\r\n"), 0, "bad"},
        {"H-32 one-byte chunks", BYTES(""), BYTES("1\r\nx\r\n"), 20000, BYTES("0\r\n\r\n"), 20000, "done"},
        /* five bytes of framing to one of payload: slow, but legal */
        {"H-32 many one-byte chunks", BYTES(""), BYTES("1\r\nx\r\n"), 100000, BYTES("0\r\n\r\n"), 100000, "done"},
        {"H-32 eight to one", BYTES(""), BYTES("0001\r\nx\r\n"), 60000, BYTES("0\r\n\r\n"), 60000, "done"},
        {"H-32 nine to one, within what is free", BYTES(""), BYTES("00001\r\nx\r\n"), 11377, BYTES("0\r\n\r\n"), 11377, "done"},
        {"H-32 nine to one", BYTES(""), BYTES("00001\r\nx\r\n"), 60000, BYTES("0\r\n\r\n"), 11377, "bad"},
        {"H-32 zeros", BYTES(""), BYTES("0000000000000001\r\nx\r\n"), 30000, BYTES("0\r\n\r\n"), 5120, "bad"},
        {"H-32 two bytes", BYTES(""), BYTES("2\r\nxx\r\n"), 100000, BYTES("0\r\n\r\n"), 200000, "done"},
    };

    memset(payload, 'x', sizeof payload);
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct body_case c = {limits[i].id, repeat(limits[i].start, limits[i].piece, limits[i].times, limits[i].stop),
                              {payload, limits[i].payload}, limits[i].want};

        check_case(c.id);
        CHECK(agrees(&c, c.in.n, c.in.n));
        CHECK(agrees(&c, 1, 1));
        CHECK(agrees(&c, 3, 1000));
    }
}

/* A whole chunk that is left where it is counts as one that is decoded; whatever is more or less than one is left alone. */
static void test_one_chunk(void)
{
    static const struct {
        const char *text;
        size_t head, payload; /* 0: not one */
    } one[] = {{"5\r\nhello\r\n", 3, 5}, {"0005\r\nhello\r\n", 6, 5}, {"A\r\n0123456789\r\n", 3, 10}, {"5\r\nhello\r\n1", 0, 0}, {"5\r\nhello\r\n5\r\nhello\r\n", 0, 0},
                 {"5\r\nhello\r", 0, 0}, {"5\r\nhell\r\n", 0, 0}, {"5\nhello\r\n", 0, 0}, {"5;a\r\nhello\r\n", 0, 0}, {"0\r\n\r\n", 0, 0}, {"", 0, 0}, {"5 \r\nhello\r\n", 0, 0},
                 {"00000005\r\nhello\r\n", 0, 0}, {"5\r\nhello\n\n", 0, 0}, {"\r\n\r\n", 0, 0}};

    for (size_t i = 0; i < COUNT(one); i++) {
        struct http_body b, other;
        size_t n = strlen(one[i].text), head = 0, payload = 0, used, out;
        char *p = guard_copy(slice_make(one[i].text, n));

        check_case(one[i].text);
        http_body_init(&b, HTTP_CHUNKED, 0);
        http_body_init(&other, HTTP_CHUNKED, 0);
        CHECK(http_body_one_chunk(&b, p, n, &head, &payload) == (one[i].payload > 0));
        CHECK_STR(slice_make(p, n), one[i].text);
        if (one[i].payload) {
            CHECK_INT(head, one[i].head);
            CHECK_INT(payload, one[i].payload);
            CHECK_INT(http_body_decode(&other, p, n, &used, &out), PARSE_MORE);
        }
        CHECK(memcmp(&b, &other, sizeof b) == 0);
    }
    {
        struct http_body b;
        size_t head, payload, used, out, tiny = 0, large = 0;
        static char big[300];
        int n = snprintf(big, sizeof big, "100\r\n%0256d\r\n", 0);

        check_case("mostly framing");
        http_body_init(&b, HTTP_CHUNKED, 0);
        while (http_body_one_chunk(&b, "00001\r\nx\r\n", 10, &head, &payload))
            tiny++;
        CHECK(tiny > HTTP_FRAMING_FREE / 10 && tiny < HTTP_FRAMING_FREE / 9 + 1);
        char line[] = "00001\r\nx\r\n";
        CHECK_INT(http_body_decode(&b, line, 10, &used, &out), PARSE_BAD);
        http_body_init(&b, HTTP_CHUNKED, 0);
        while (large < HTTP_FRAMING_FREE && http_body_one_chunk(&b, big, (size_t)n, &head, &payload))
            large++;
        CHECK_INT(large, HTTP_FRAMING_FREE); /* honest streams are never too long for it */
    }
    {
        struct http_body b;
        size_t head, payload, used, out;
        char part[] = "5\r\nhel", rest[] = "lo\r\n";

        check_case("not where a chunk begins");
        http_body_init(&b, HTTP_CHUNKED, 0);
        CHECK_INT(http_body_decode(&b, part, 6, &used, &out), PARSE_MORE);
        CHECK(!http_body_one_chunk(&b, "2\r\nlo\r\n", 7, &head, &payload));
        CHECK_INT(http_body_decode(&b, rest, 4, &used, &out), PARSE_MORE);
        CHECK(http_body_one_chunk(&b, "2\r\nlo\r\n", 7, &head, &payload));
        http_body_init(&b, HTTP_LENGTH, 7);
        CHECK(!http_body_one_chunk(&b, "2\r\nlo\r\n", 7, &head, &payload));
    }
}

static void test_other_framings(void)
{
    struct http_body b;
    char text[] = "hello";
    size_t used, out;

    check_case("no body");
    http_body_init(&b, HTTP_NO_BODY, 7);
    CHECK(http_body_may_end(&b));
    CHECK_INT(http_body_decode(&b, text, 5, &used, &out), PARSE_DONE);
    CHECK_INT(used + out, 0);

    check_case("length 0");
    http_body_init(&b, HTTP_LENGTH, 0);
    CHECK(http_body_may_end(&b));
    CHECK_INT(http_body_decode(&b, text, 0, &used, &out), PARSE_DONE);

    check_case("R-01, R-11 length");
    http_body_init(&b, HTTP_LENGTH, 7);
    CHECK_INT(http_body_decode(&b, text, 5, &used, &out), PARSE_MORE);
    CHECK_INT(used, 5);
    CHECK_INT(out, 5);
    CHECK_INT(b.left, 2);
    CHECK(!http_body_may_end(&b));
    CHECK_INT(http_body_decode(&b, text, 0, &used, &out), PARSE_MORE);
    CHECK_INT(http_body_decode(&b, text, 3, &used, &out), PARSE_DONE);
    CHECK_INT(used, 2);
    CHECK_INT(out, 2);
    CHECK_STR(slice_make(text, 5), "hello");
    CHECK(http_body_may_end(&b));

    check_case("length above 4 GB");
    http_body_init(&b, HTTP_LENGTH, UINT64_C(4294967301));
    CHECK_INT(http_body_decode(&b, text, 5, &used, &out), PARSE_MORE);
    CHECK(b.left == UINT64_C(4294967296));

    check_case("R-10 until close");
    http_body_init(&b, HTTP_UNTIL_CLOSE, 0);
    CHECK_INT(http_body_decode(&b, text, 5, &used, &out), PARSE_MORE);
    CHECK_INT(used, 5);
    CHECK_INT(out, 5);
    CHECK(http_body_may_end(&b));
}

/* Cases where we and the owner of the vector differ on purpose. */
static const char *stricter(struct slice in)
{
    static const struct {
        struct slice in;
        const char *reason;
    } known[] = {
        {BYTES("6 ; comment\r\nhello \r\n5\r\nworld\r\n0\r\n"), "white space around ';' (H-25)"},
        {BYTES("6;comment=hi\r\nhello \r\n5\r\nworld\r\n0\r\n"), NULL},
        {BYTES("b\r\nhello world\r\n0\r\n\n"), "bare LF (H-26)"},
        {BYTES("6\r\nhello \r\n5\r\nworld\r\n0\r\na: b\nc: d\n\n"), "bare LF (H-26)"},
        {BYTES("6\r\nhello \r\nffffffffffffffff\r\nabcdefg"), "chunk of 2^64 - 1 bytes (H-25)"},
    };

    for (size_t i = 0; i < COUNT(known); i++)
        if (slice_eq(in, known[i].in))
            return known[i].reason;
    return NULL;
}

/* picohttpparser stops behind the last chunk's size line unless told to eat the trailer; we always eat it. */
static void test_picohttpparser(void)
{
    static char line[100000];
    FILE *f = vectors_open("pico-chunked");
    unsigned count = 0, reasons = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *rest = line, *expect = vectors_column(&rest), *trailer = vectors_column(&rest);
        struct slice in = vectors_bytes(vectors_column(&rest)), out = vectors_bytes(vectors_column(&rest));
        struct body_case c = {"picohttpparser", in, out, "done"};
        struct http_body b;
        static char got[100000], verdict[32];
        size_t n;

        http_body_init(&b, HTTP_CHUNKED, 0);
        decode(&b, in, in.n, in.n, got, &n, verdict);
        check_case(in.p);
        count++;
        if (stricter(in)) {
            CHECK_STR(slice_str(verdict), "bad");
            reasons++;
            continue;
        }
        if (strcmp(expect, "ok") == 0 && strcmp(trailer, "0") == 0 && strncmp(verdict, "done", 4) != 0)
            CHECK_STR(slice_str(verdict), "more"); /* ours still waits for the trailer's end */
        else
            CHECK_STR(slice_str(verdict), strcmp(expect, "ok") == 0 ? "done" : strcmp(expect, "error") == 0 ? "bad" : "more");
        if (strcmp(expect, "ok") == 0)
            CHECK_SLICE(slice_make(got, n), out);
        c.want = verdict;
        c.out = slice_make(memcpy(malloc(n + 1), got, n), n);
        for (size_t cut = 0; cut <= in.n; cut++)
            CHECK(agrees(&c, cut, 1 + cut % 3));
        free((void *)(uintptr_t)c.out.p);
    }
    if (f) {
        CHECK_INT(pclose(f), 0);
        CHECK_INT(count, 23);
        CHECK_INT(reasons, 4);
    }
}

int main(void)
{
    for (size_t i = 0; i < COUNT(cases); i++)
        run_case(&cases[i]);
    test_limits();
    test_one_chunk();
    test_other_framings();
    test_picohttpparser();
    return check_end();
}
