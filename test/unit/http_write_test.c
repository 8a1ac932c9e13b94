/* http/write: exact bytes, every refusal, and the property that whatever it emits reads back as exactly what was
 * put in (H-62). */
#include "http/write.h"

#include "check.h"
#include "http_guard.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct http_request req;
static struct http_response res;

static struct slice emitted(const struct http_out *o)
{
    return slice_make(o->p, o->n);
}

static void test_exact(void)
{
    char memory[1000];
    struct http_out o;

    check_case("request");
    http_out_init(&o, memory, sizeof memory);
    http_out_request(&o, SLICE("POST"), SLICE("/v1"), SLICE("/messages"), SLICE("beta=true"));
    http_out_field(&o, SLICE("host"), SLICE("api.example.com"));
    http_out_field2(&o, SLICE("authorization"), SLICE("Bearer "), SLICE("sk-1"));
    http_out_field_u64(&o, SLICE("content-length"), 0);
    http_out_field_u64(&o, SLICE("x"), UINT64_MAX);
    http_out_raw(&o, SLICE("a: b\r\nc:\r\n"));
    http_out_raw(&o, slice_make(NULL, 0));
    http_out_keep(&o, SLICE("k: l\r\n"));
    http_out_lines(&o, SLICE("m: n\r\no: p\r\n"), 2);
    http_out_ready(&o, SLICE("ready: "), SLICE("v"));
    http_out_length(&o, 120);
    http_out_field(&o, SLICE("empty"), slice_make(NULL, 0));
    http_out_end(&o);
    CHECK(!o.bad);
    CHECK_STR(emitted(&o), "POST /v1/messages?beta=true HTTP/1.1\r\nhost: api.example.com\r\n"
                           "authorization: Bearer sk-1\r\ncontent-length: 0\r\nx: 18446744073709551615\r\n"
                           "a: b\r\nc:\r\nk: l\r\nm: n\r\no: p\r\nready: v\r\ncontent-length: 120\r\nempty: \r\n\r\n");
    http_out_init(&o, memory, sizeof memory);
    http_out_request(&o, SLICE("GET"), SLICE(""), SLICE("/"), SLICE(""));
    CHECK_STR(emitted(&o), "GET / HTTP/1.1\r\n");

    check_case("status");
    http_out_init(&o, memory, sizeof memory);
    http_out_status(&o, 503);
    http_out_status(&o, 599);
    CHECK_STR(emitted(&o), "HTTP/1.1 503 Service Unavailable\r\nHTTP/1.1 599 \r\n");
    CHECK_STR(slice_str(http_reason(429)), "Too Many Requests");
    CHECK_STR(slice_str(http_reason(299)), "");
}

static void test_chunk_head(void)
{
    static const struct {
        size_t n;
        const char *want;
    } sizes[] = {{0, "0\r\n"}, {1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {0x1a2b, "1a2b\r\n"},
                 {SIZE_MAX, "ffffffffffffffff\r\n"}};

    check_case("chunk head");
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *out = guard_copy(slice_make("12345678901234567", HTTP_CHUNK_HEAD_MAX)); /* with its NUL: 18 */

        CHECK_STR(slice_make(out, http_chunk_head(out, sizes[i].n)), sizes[i].want);
    }
}

/* H-62, S-06: each byte in each place. What may stand there is listed, the rest makes the head bad for good. */
static void test_refusals(void)
{
    enum { METHOD, PREFIX, PATH, QUERY, NAME, VALUE, VALUE_A, VALUE_B, PLACES };
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char memory[200];

    for (int place = 0; place < PLACES; place++)
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[] = "/abcd";
            struct slice s = {text, 5};
            struct http_out o;
            bool may;

            text[2] = (char)byte;
            http_out_init(&o, memory, sizeof memory);
            switch (place) {
            case METHOD:
                http_out_request(&o, slice_from(s, 1), SLICE("/"), SLICE(""), SLICE(""));
                break;
            case PREFIX:
                http_out_request(&o, SLICE("GET"), s, SLICE(""), SLICE(""));
                break;
            case PATH:
                http_out_request(&o, SLICE("GET"), SLICE(""), s, SLICE(""));
                break;
            case QUERY:
                http_out_request(&o, SLICE("GET"), SLICE("/"), SLICE(""), s);
                break;
            case NAME:
                http_out_field(&o, slice_from(s, 1), SLICE("v"));
                break;
            case VALUE:
                http_out_field(&o, SLICE("name"), s);
                break;
            case VALUE_A:
                http_out_field2(&o, SLICE("name"), s, SLICE("x"));
                break;
            case VALUE_B:
                http_out_field2(&o, SLICE("name"), SLICE("x"), s);
                break;
            default:
                break;
            }
            if (place == METHOD || place == NAME)
                may = byte && strchr(token, (int)byte);
            else if (place <= QUERY)
                may = byte > 32 && byte < 127 && !strchr("#\\\"<>", (int)byte);
            else
                may = byte == 9 || (byte >= 32 && byte != 127);
            check_case("H-62 bytes");
            CHECK(o.bad == !may);
            if (!may) {
                CHECK_INT(o.n, 0);
                http_out_field(&o, SLICE("a"), SLICE("b"));
                CHECK(o.bad && o.n == 0);
            }
        }
}

static void test_more_refusals(void)
{
    static const struct slice raw[] = {BYTES("a: b"), BYTES("a: b\r"), BYTES("a: b\n"), BYTES("\r\n"), BYTES("a: b\r\n\r\n"),
                                       BYTES("a: b\r\n\r\nc: d\r\n"), BYTES("nocolon\r\n"), BYTES(": b\r\n"),
                                       BYTES("a : b\r\n"), BYTES("a: b\r\n c\r\n"), BYTES("a: \0\r\n"),
                                       BYTES("a: b\rc: d\r\n"), BYTES("a: b\nc: d\r\n"), BYTES(" a: b\r\n")};
    char memory[200];
    struct http_out o;

    check_case("H-62 raw");
    for (size_t i = 0; i < COUNT(raw); i++) {
        http_out_init(&o, memory, sizeof memory);
        http_out_raw(&o, raw[i]);
        CHECK(o.bad);
        CHECK_INT(o.n, 0);
    }
    check_case("H-62 forms");
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        http_out_init(&o, memory, sizeof memory);                                                  \
        call;                                                                                      \
        CHECK(o.bad);                                                                              \
        CHECK_INT(o.n, 0);                                                                         \
    } while (0)
    REFUSED(http_out_field(&o, SLICE(""), SLICE("x")));
    REFUSED(http_out_ready(&o, SLICE("a: "), SLICE("x\r\nb: c")));
    REFUSED(http_out_lines(&o, SLICE("a: x\r\nb: c\r\n"), 1));
    REFUSED(http_out_lines(&o, SLICE("a: \x7f\r\n"), 1));
    REFUSED(http_out_request(&o, SLICE(""), SLICE("/"), SLICE(""), SLICE("")));
    REFUSED(http_out_request(&o, SLICE("GET"), SLICE(""), SLICE(""), SLICE("")));
    REFUSED(http_out_request(&o, SLICE("GET"), SLICE("http://evil"), SLICE("/"), SLICE("")));
    REFUSED(http_out_request(&o, SLICE("GET"), SLICE(""), SLICE("*"), SLICE("")));
    REFUSED(http_out_status(&o, 99));
    REFUSED(http_out_status(&o, 600));
}

/* Every capacity from 0 up: never a byte too many, bad exactly when it does not fit. */
static void test_capacity(void)
{
    static const char filler[200];
    size_t need = 0;

    check_case("capacity");
    for (size_t cap = 200; cap != SIZE_MAX; cap--) {
        struct http_out o;
        char *memory = guard_copy(slice_make(filler, cap));

        http_out_init(&o, memory, cap);
        http_out_request(&o, SLICE("GET"), SLICE("/v1"), SLICE("/x"), SLICE("y"));
        http_out_field2(&o, SLICE("a"), SLICE("b"), SLICE("c"));
        http_out_field_u64(&o, SLICE("n"), 42);
        http_out_raw(&o, SLICE("r: s\r\n"));
        http_out_end(&o);
        if (cap == 200)
            need = o.n;
        CHECK(o.bad == (cap < need));
        CHECK(o.n <= cap);
    }
    CHECK(need > 40);
}

static uint64_t random_state;

static unsigned dice(unsigned sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % sides;
}

/* Bytes that like to make trouble. */
static struct slice dirty(char *to, size_t max)
{
    static const char palette[] = "\r\n\0\t :;,ab-_\x7f\x80\xff\"\\AZ09/?#%";
    size_t n = dice((unsigned)max);

    for (size_t i = 0; i < n; i++)
        to[i] = dice(4) ? (char)('a' + dice(26)) : palette[dice(sizeof palette - 1)];
    return slice_make(to, n);
}

/* H-62: fields of random bytes into both kinds of heads; what was not refused reads back, nothing else does. */
static void test_property(void)
{
    const uint64_t seed = 0x5eed5eed5eedu;
    unsigned good = 0, refused = 0;
    static char memory[40000], names[20][40], values[20][80];

    random_state = seed;
    check_case("H-62 property, seed 0x5eed5eed5eed");
    for (int round = 0; round < 20000; round++) {
        struct slice name[20], value[20];
        unsigned n = dice(20), kept = 0;
        struct http_out o;
        struct http_bad bad = {0, ""};
        size_t seen = 0;
        bool request = dice(2);

        http_out_init(&o, memory, sizeof memory);
        if (request)
            http_out_request(&o, SLICE("POST"), SLICE("/v1"), SLICE("/x"), SLICE(""));
        else
            http_out_status(&o, 200 + dice(300));
        http_out_field(&o, request ? SLICE("host") : SLICE("content-type"), SLICE("h"));
        for (unsigned i = 0; i < n; i++) {
            struct http_out before = o;

            name[kept] = dirty(names[kept], 10);
            value[kept] = dirty(values[kept], 60);
            if (http_name_id(name[kept]) != HTTP_OTHER)
                continue; /* meaning is not the matter here */
            if (dice(2))
                http_out_field(&o, name[kept], value[kept]);
            else
                http_out_field2(&o, name[kept], slice_first(value[kept], 3), slice_from(value[kept], 3));
            if (o.bad) {
                refused++;
                o = before;
            } else {
                kept++;
            }
        }
        http_out_end(&o);
        if (o.bad || (request ? http_request_parse(&req, o.p, o.n, &seen, &bad)
                              : http_response_parse(&res, o.p, o.n, &seen, false, &bad)) != PARSE_DONE) {
            CHECK_STR(slice_str(bad.why), "a head that reads back");
            continue;
        }
        good++;
        CHECK_INT(request ? req.head_len : res.head_len, o.n);
        if (!CHECK((request ? req.nfields : res.nfields) == kept + 1))
            continue;
        for (unsigned i = 0; i < kept; i++) {
            const struct http_field *f = request ? &req.field[i + 1] : &res.field[i + 1];
            struct slice want = value[i]; /* readers cut blanks at the ends */

            while (want.n && (want.p[0] == ' ' || want.p[0] == '\t'))
                want = slice_from(want, 1);
            while (want.n && (want.p[want.n - 1] == ' ' || want.p[want.n - 1] == '\t'))
                want.n--;
            if (!slice_eq(f->name, name[i]) || !slice_eq(f->value, want))
                CHECK_SLICE(f->value, want);
        }
    }
    CHECK(good > 19000);
    CHECK(refused > 10000);
}

int main(void)
{
    test_exact();
    test_chunk_head();
    test_refusals();
    test_more_refusals();
    test_capacity();
    test_property();
    return check_end();
}
