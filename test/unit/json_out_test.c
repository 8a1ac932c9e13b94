/* json/out.c: commas, escapes, bad UTF-8, cuts, and memory that is too small. */
#include "check.h"
#include "json/out.h"
#include "json/scan.h"
#include "json_case.h"

static char memory[8192];

static void test_structure(void)
{
    struct json_out o;

    check_case("structure");
    json_out_init(&o, memory, sizeof(memory));
    json_open(&o, '{');
    json_key(&o, "a");
    json_open(&o, '[');
    json_close(&o, ']');
    json_key(&o, "b");
    json_open(&o, '[');
    json_out_u64(&o, 0);
    json_out_u64(&o, UINT64_MAX);
    json_out_i64(&o, INT64_MIN);
    json_out_i64(&o, 7);
    json_open(&o, '{');
    json_close(&o, '}');
    json_out_bool(&o, true);
    json_close(&o, ']');
    json_key(&o, "c\"");
    json_out_null(&o);
    json_key(&o, "d");
    json_out_raw(&o, SLICE("{\"x\": 1}"));
    json_key(&o, "e");
    json_out_bool(&o, false);
    json_key(&o, "f");
    json_out_i64(&o, -3);
    json_key(&o, "g");
    json_out_str(&o, slice_make(NULL, 0));
    json_close(&o, '}');
    CHECK_STR(json_out_done(&o),
              "{\"a\":[],\"b\":[0,18446744073709551615,-9223372036854775808,7,{},true],\"c\\\"\":null,"
              "\"d\":{\"x\": 1},\"e\":false,\"f\":-3,\"g\":\"\"}");
    CHECK(json_valid(json_out_done(&o), NULL, NULL));
}

#define FFFD "\xef\xbf\xbd"

static void test_strings(void)
{
    static const struct {
        struct slice in;
        const char *want;
    } cases[] = {
        {SLICE("plain"), "\"plain\""},
        {SLICE("\"\\/"), "\"\\\"\\\\/\""},
        {SLICE("\b\t\n\v\f\r\0\x1f\x7f"), "\"\\b\\t\\n\\u000b\\f\\r\\u0000\\u001f\x7f\""},
        {SLICE("\xe4\xb8\xad\xc3\xa9\xf0\x9f\x98\x80"), "\"\xe4\xb8\xad\xc3\xa9\xf0\x9f\x98\x80\""},
        {SLICE("\xff"), "\"" FFFD "\""},
        {SLICE("a\x80\x80" "b"), "\"a" FFFD FFFD "b\""},
        {SLICE("\xe4\xb8"), "\"" FFFD "\""},
        {SLICE("\xe4\xb8" "x"), "\"" FFFD "x\""},
        {SLICE("\xe4\"\\"), "\"" FFFD "\\\"\\\\\""},
        {SLICE("\xf0\x9f\x98\xe4\xb8\xad"), "\"" FFFD "\xe4\xb8\xad\""},
        {SLICE("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\""},
        {SLICE("\xc0\x80"), "\"" FFFD FFFD "\""},
        {SLICE("\xf4\x90\x80\x80"), "\"" FFFD FFFD FFFD FFFD "\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_out o;

        check_case(cases[i].want);
        json_out_init(&o, memory, sizeof(memory));
        json_out_str(&o, case_at_edge(cases[i].in));
        CHECK_STR(json_out_done(&o), cases[i].want);
    }
}

/* Whatever comes in, what goes out is valid, and valid text comes back as it was. */
static void test_any_bytes(void)
{
    uint64_t seed = 0x0f0f1234u;
    char in[200], back[800];

    check_case("any bytes");
    for (int round = 0; round < 20000; round++) {
        struct json_out o;
        struct slice text, s;
        size_t n = case_random(&seed) % sizeof(in);
        bool ascii = round & 1;

        for (size_t i = 0; i < n; i++)
            in[i] = (char)(ascii ? case_random(&seed) & 0x7f : case_random(&seed) % 3 ? case_random(&seed) : 'a');
        s = case_at_edge(slice_make(in, n));
        json_simd_force(case_levels[(size_t)round / 2 % CASE_LEVELS]);
        json_out_init(&o, memory, sizeof(memory));
        json_out_str(&o, s);
        text = json_out_done(&o);
        if (!CHECK(json_valid(text, NULL, NULL)))
            return;
        if (ascii) {
            ptrdiff_t len = json_unescape(slice_make(text.p + 1, text.n - 2), back, sizeof(back));

            if (!CHECK(len >= 0 && slice_eq(slice_make(back, (size_t)len), s)))
                return;
        }
    }
}

static void test_cut(void)
{
    static const struct {
        struct slice in;
        size_t max;
        const char *want;
    } cases[] = {
        {SLICE("abc"), 3, "\"abc\""},         {SLICE("abcd"), 3, "\"abc...\""},
        {SLICE("abc"), 0, "\"...\""},         {SLICE(""), 0, "\"\""},
        {SLICE("a\xe4\xb8\xad" "b"), 4, "\"a\xe4\xb8\xad...\""}, {SLICE("a\xe4\xb8\xad" "b"), 3, "\"a...\""},
        {SLICE("a\xe4\xb8\xad" "b"), 2, "\"a...\""},             {SLICE("a\xe4\xb8\xad" "b"), 1, "\"a...\""},
        {SLICE("\xf0\x9f\x98\x80x"), 3, "\"...\""},              {SLICE("\xf0\x9f\x98\x80x"), 4, "\"\xf0\x9f\x98\x80...\""},
        {SLICE("\"\"\"\""), 2, "\"\\\"\\\"...\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_out o;

        check_case(cases[i].want);
        json_out_init(&o, memory, sizeof(memory));
        json_out_str_max(&o, case_at_edge(cases[i].in), cases[i].max);
        CHECK_STR(json_out_done(&o), cases[i].want);
    }
}

/* Every byte at every place of every short length: against a copy made byte by byte. */
static void test_short(void)
{
    static char in[128], want[1024];

    check_case("short strings");
    for (size_t n = 1; n < 20; n++)
        for (size_t at = 0; at < n; at++)
            for (unsigned c = 0; c < 0x100; c++) {
                size_t len = 0;
                struct json_out o;

                memset(in, 'a', n);
                in[at] = (char)c;
                want[len++] = '"';
                for (size_t i = 0; i < n; i++) {
                    unsigned char b = (unsigned char)in[i];

                    if (b == '"' || b == '\\')
                        len += (size_t)snprintf(want + len, 8, "\\%c", b);
                    else if (b >= 0x80)
                        len += (size_t)snprintf(want + len, 8, "%s", FFFD);
                    else if (b < 0x20 && b >= 8 && b <= 13 && b != 11)
                        len += (size_t)snprintf(want + len, 8, "\\%c", "btn?fr"[b - 8]);
                    else if (b < 0x20)
                        len += (size_t)snprintf(want + len, 8, "\\u%04x", b);
                    else
                        want[len++] = (char)b;
                }
                want[len++] = '"';
                json_out_init(&o, memory, sizeof(memory));
                json_out_str(&o, case_at_edge(slice_make(in, n)));
                if (!CHECK_SLICE(json_out_done(&o), slice_make(want, len)))
                    return;
            }
}

static void test_numbers(void)
{
    uint64_t v = 1;

    check_case("numbers");
    for (int power = 0; power < 20; power++, v *= 10)
        for (int off = -1; off <= 1; off++) {
            char want[32];
            struct json_out o;

            snprintf(want, sizeof want, "%llu", (unsigned long long)(v + (uint64_t)off));
            json_out_init(&o, memory, sizeof(memory));
            json_out_u64(&o, v + (uint64_t)off);
            CHECK_STR(json_out_done(&o), want);
            json_out_init(&o, memory, strlen(want)); /* the way taken near the end */
            json_out_u64(&o, v + (uint64_t)off);
            CHECK_STR(json_out_done(&o), want);
        }
}

static void build(struct json_out *o)
{
    json_open(o, '{');
    json_key_ready(o, JSON_KEY("r"));
    json_out_u64(o, 18446744073709551615u);
    json_key_ready(o, JSON_KEY("s"));
    json_out_str(o, SLICE("twenty-one plain bytes"));
    json_key(o, "k");
    json_out_str(o, SLICE("v\n\xff\x01"));
    json_key(o, "n");
    json_out_i64(o, -12);
    json_close(o, '}');
}

static void test_full(void)
{
    struct json_out o;
    size_t whole;

    check_case("every size of memory");
    json_out_init(&o, memory, sizeof(memory));
    build(&o);
    whole = json_out_done(&o).n;
    CHECK_INT(whole, strlen("{\"r\":18446744073709551615,\"s\":\"twenty-one plain bytes\",\"k\":\"v\\n" FFFD "\\u0001\",\"n\":-12}"));
    for (size_t cap = 0; cap <= whole; cap++) {
        memset(memory, '#', sizeof(memory));
        json_out_init(&o, memory, cap);
        build(&o);
        CHECK_INT(o.full, cap < whole);
        CHECK_INT(json_out_done(&o).n, cap < whole ? 0 : (long long)whole);
        CHECK_INT(memory[cap], '#');
    }
}

int main(void)
{
    test_structure();
    test_strings();
    test_any_bytes();
    test_short();
    test_numbers();
    test_cut();
    test_full();
    return check_end();
}
