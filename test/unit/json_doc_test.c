/* json/doc.c and json/str.c: what the gateway reads out of small documents. */
#include "base/arena.h"
#include "check.h"
#include "json/scan.h"
#include "json_case.h"

static const char text[] =
    " {\"id\":\"a\\u0062c\",\"n\":-12,\"big\":18446744073709551615,\"f\":1.0,\"e\":1e3,\"yes\":true,\"no\":false,\"nil\":null,\n"
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9\\n\\ud83d\\ude00\",\"tool\":[]}},{\"index\":1}],\n"
    "\"dup\":1,\"k\\u0065y\":\"v\",\"dup\":2,\"nul\":\"a\\u0000b\",\"a.b\":3,\"empty\":{}} ";

static char memory[1 << 18];

static void test_look_ups(void)
{
    struct arena a;
    struct json_doc d;
    struct slice s;
    int64_t i = 0;
    uint64_t u = 0;
    bool b = false;

    check_case("look-ups");
    arena_init_fixed(&a, memory, sizeof(memory));
    if (!CHECK(json_parse(&d, case_at_edge(slice_make(text, sizeof(text) - 1)), &a)))
        return;
    CHECK_INT(json_type_of(&d, 0), JSON_OBJECT);
    CHECK_INT(json_size(&d, 0), 15);
    CHECK(json_str(&d, json_get(&d, 0, "id"), &a, &s));
    CHECK_STR(s, "abc");
    CHECK_STR(json_raw(&d, json_get(&d, 0, "id")), "a\\u0062c");
    CHECK(json_str_is(&d, json_get(&d, 0, "id"), "abc"));
    CHECK(!json_str_is(&d, json_get(&d, 0, "id"), "ab"));
    CHECK(!json_str_is(&d, json_get(&d, 0, "id"), "abcd"));
    CHECK(json_str_is(&d, json_get(&d, 0, "key"), "v"));
    CHECK(!json_str_is(&d, json_get(&d, 0, "nul"), "a"));
    CHECK(json_str(&d, json_get(&d, 0, "nul"), &a, &s));
    CHECK_SLICE(s, SLICE("a\0b"));
    CHECK(json_i64(&d, json_get(&d, 0, "n"), &i));
    CHECK_INT(i, -12);
    CHECK(!json_u64(&d, json_get(&d, 0, "n"), &u));
    CHECK(json_u64(&d, json_get(&d, 0, "big"), &u));
    CHECK(u == UINT64_MAX);
    CHECK(!json_i64(&d, json_get(&d, 0, "big"), &i));
    CHECK(!json_i64(&d, json_get(&d, 0, "f"), &i));
    CHECK(!json_i64(&d, json_get(&d, 0, "e"), &i));
    CHECK(!json_i64(&d, json_get(&d, 0, "id"), &i));
    CHECK(json_bool(&d, json_get(&d, 0, "yes"), &b) && b);
    CHECK(json_bool(&d, json_get(&d, 0, "no"), &b) && !b);
    CHECK(!json_bool(&d, json_get(&d, 0, "nil"), &b));
    CHECK_INT(json_type_of(&d, json_get(&d, 0, "nil")), JSON_NULL);
    CHECK(json_get(&d, 0, "nil") > 0);
    CHECK(json_i64(&d, json_get(&d, 0, "dup"), &i) && i == 2);
    CHECK_INT(json_get(&d, 0, "absent"), -1);
    CHECK_INT(json_get(&d, 0, "content"), -1); /* a deeper one is not ours */
    CHECK_INT(json_get(&d, 0, "index"), -1);

    check_case("paths");
    CHECK(json_str(&d, json_path(&d, 0, "choices.0.delta.content"), &a, &s));
    CHECK_STR(s, "h\xc3\xa9\n\xf0\x9f\x98\x80");
    CHECK(json_u64(&d, json_path(&d, 0, "choices.1.index"), &u) && u == 1);
    CHECK_INT(json_path(&d, 0, "choices.2.index"), -1);
    CHECK_INT(json_path(&d, 0, "choices.x"), -1);
    CHECK_INT(json_path(&d, 0, "choices.-1"), -1);
    CHECK_INT(json_path(&d, 0, "id.x"), -1);
    CHECK_INT(json_path(&d, -1, "id"), -1);
    CHECK_INT(json_path(&d, 99, ""), -1);
    CHECK_INT(json_path(&d, 0, ""), 0);
    CHECK_INT(json_size(&d, json_path(&d, 0, "choices")), 2);
    CHECK_INT(json_first(&d, json_path(&d, 0, "choices.0.delta.tool")), -1);
    CHECK_INT(json_first(&d, json_get(&d, 0, "empty")), -1);
    CHECK_INT(json_get(&d, json_get(&d, 0, "empty"), "x"), -1);

    check_case("absent tokens");
    for (int bad = -1; bad < 1000; bad += 1000) {
        CHECK_INT(json_type_of(&d, bad), JSON_NULL);
        CHECK_INT(json_size(&d, bad), 0);
        CHECK_INT(json_first(&d, bad), -1);
        CHECK_INT(json_next(&d, bad), -1);
        CHECK_INT(json_value(&d, bad), -1);
        CHECK_INT(json_raw(&d, bad).n, 0);
        CHECK(!json_str(&d, bad, &a, &s) && !json_str_is(&d, bad, ""));
        CHECK(!json_i64(&d, bad, &i) && !json_bool(&d, bad, &b));
    }
    CHECK_INT(json_next(&d, 0), -1);
    CHECK_INT(json_value(&d, json_get(&d, 0, "id")), -1); /* itself a value, with a key behind it */
}

static void test_walk(void)
{
    struct arena a;
    struct json_doc d;
    char names[256];
    size_t n = 0;
    unsigned line, column;

    check_case("walk");
    arena_init_fixed(&a, memory, sizeof(memory));
    CHECK(json_parse(&d, slice_make(text, sizeof(text) - 1), &a));
    for (int key = json_first(&d, 0); key >= 0; key = json_next(&d, key)) {
        struct slice raw = json_raw(&d, key);

        CHECK(json_value(&d, key) == key + 1);
        CHECK_INT(json_next(&d, json_value(&d, key)), -1); /* a value has no sibling */
        memcpy(names + n, raw.p, raw.n);
        n += raw.n;
        names[n++] = ' ';
    }
    CHECK_STR(slice_make(names, n), "id n big f e yes no nil choices dup k\\u0065y dup nul a.b empty ");
    json_line_column(d.text, json_offset(&d, json_get(&d, 0, "choices")), &line, &column);
    CHECK_INT(line, 2);
    CHECK_INT(column, 11);
    json_line_column(d.text, json_offset(&d, json_get(&d, 0, "id")), &line, &column);
    CHECK_INT(line, 1);
    CHECK_INT(column, 8); /* of the quote */
    json_line_column(d.text, json_offset(&d, 0), &line, &column);
    CHECK_INT(column, 2);
}

static void test_refused(void)
{
    static const struct {
        const char *text;
        bool ok;
        enum json_type type;
    } cases[] = {
        {"1", true, JSON_NUMBER},     {" -1.5 ", true, JSON_NUMBER}, {"\ttrue\n", true, JSON_TRUE},
        {"false", true, JSON_FALSE},  {"null", true, JSON_NULL},     {"\"x\"", true, JSON_STRING},
        {" \"\" ", true, JSON_STRING}, {"[]", true, JSON_ARRAY},     {"{}", true, JSON_OBJECT},
        {"", false, JSON_NULL},       {"{} {}", false, JSON_NULL},   {"[1,]", false, JSON_NULL},
        {"{\"a\"}", false, JSON_NULL}, {"nul", false, JSON_NULL},    {"[\"\\ud800\"]", false, JSON_NULL},
        {"{\"a\":1,\"b\"}", false, JSON_NULL},                       {"\xef\xbb\xbf{}", false, JSON_NULL},
    };
    static char big[3 * JSON_TOKENS_MAX];
    struct arena a;
    struct json_doc d;
    size_t n = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(cases[i].text);
        arena_init_fixed(&a, memory, sizeof(memory));
        CHECK_INT(json_parse(&d, case_at_edge(slice_str(cases[i].text)), &a), cases[i].ok);
        if (cases[i].ok)
            CHECK_INT(json_type_of(&d, 0), cases[i].type);
        else
            CHECK_INT(json_type_of(&d, 0), JSON_NULL); /* an empty doc: everything is absent */
    }
    arena_init_fixed(&a, memory, sizeof(memory));
    CHECK(json_parse(&d, SLICE(" -1.5 "), &a));
    CHECK_STR(json_raw(&d, 0), "-1.5");

    check_case("token cap");
    big[n++] = '[';
    for (int i = 1; i < JSON_TOKENS_MAX; i++) {
        big[n++] = '1';
        big[n++] = ',';
    }
    big[n - 1] = ']';
    CHECK(json_parse(&d, slice_make(big, n), &a));
    CHECK_INT(d.count, JSON_TOKENS_MAX);
    memcpy(big + n - 1, ",1]", 3);
    arena_init_fixed(&a, memory, sizeof(memory));
    CHECK(!json_parse(&d, slice_make(big, n + 2), &a));

    check_case("arena full");
    arena_init_fixed(&a, memory, 64);
    CHECK(!json_parse(&d, slice_make(text, sizeof(text) - 1), &a));
}

static void test_strings(void)
{
    static const struct {
        const char *inside;
        struct slice want;
    } cases[] = {
        {"", SLICE("")}, {"abc", SLICE("abc")}, {"\\\"\\\\\\/\\b\\f\\n\\r\\t", SLICE("\"\\/\b\f\n\r\t")},
        {"\\u0041\\u00e9\\u4e2d", SLICE("A\xc3\xa9\xe4\xb8\xad")}, {"x\\uD83D\\uDE00y", SLICE("x\xf0\x9f\x98\x80y")},
        {"\\u0000", SLICE("\0")}, {"\\uffff\\ud7ff\\ue000", SLICE("\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80")},
        {"\\udbff\\udfff", SLICE("\xf4\x8f\xbf\xbf")}, {"\xe4\xb8\xad\\n", SLICE("\xe4\xb8\xad\n")},
        {"\\\\u0041", SLICE("\\u0041")}, {"\\u007f\\u0080\\u07ff\\u0800", SLICE("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80")},
    };
    char out[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice inside = case_at_edge(slice_str(cases[i].inside));
        ptrdiff_t n = json_unescape(inside, out, sizeof(out));

        check_case(cases[i].inside);
        CHECK_SLICE(slice_make(out, (size_t)n), cases[i].want);
        CHECK_INT(json_unescape(inside, out, cases[i].want.n), (long long)cases[i].want.n);
        if (n > 0)
            CHECK_INT(json_unescape(inside, out, (size_t)n - 1), -1);
    }
    check_case("never out of bounds on what was not checked");
    CHECK(json_unescape(case_at_edge(SLICE("\\")), out, sizeof(out)) >= 0);
    CHECK(json_unescape(case_at_edge(SLICE("\\u12")), out, sizeof(out)) >= 0);
    CHECK(json_unescape(case_at_edge(SLICE("\\ud83d\\u")), out, sizeof(out)) >= 0);
}

static void test_keys(void)
{
    static const struct {
        const char *inside;
        struct slice name;
        bool same;
    } cases[] = {
        {"model", SLICE("model"), true},         {"MODEL", SLICE("model"), true},
        {"Model", SLICE("MODEL"), true},         {"mod\\u0065l", SLICE("model"), true},
        {"\\u004DODEL", SLICE("model"), true},   {"max_to\xe2\x84\xaa" "ens", SLICE("max_tokens"), true},
        {"max_to\\u212aens", SLICE("max_tokens"), true}, {"\xc5\xbftream", SLICE("stream"), true},
        {"\\u017Ftream", SLICE("stream"), true}, {"", SLICE(""), true},
        {"\xc3\xa9", SLICE("\xc3\xa9"), true},
        {"models", SLICE("model"), false},       {"mode", SLICE("model"), false},
        {"", SLICE("model"), false},             {"model\\u0000", SLICE("model"), false},
        {"\\u0000model", SLICE("model"), false}, {"model ", SLICE("model"), false},
        {"mod\\\\u0065l", SLICE("model"), false}, {"m\xc3\xb6" "del", SLICE("model"), false},
        {"\xc3\xa9", SLICE("\xc3\x89"), false},  {"max-tokens", SLICE("max_tokens"), false},
        {"\\u006d\\u006f\\u0064\\u0065", SLICE("model"), false}, {"[odel", SLICE("{odel"), false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(cases[i].inside);
        CHECK_INT(json_key_eq_nocase(case_at_edge(slice_str(cases[i].inside)), cases[i].name), cases[i].same);
    }
}

int main(void)
{
    test_look_ups();
    test_walk();
    test_refused();
    test_strings();
    test_keys();
    return check_end();
}
