/* Members found from the end of raw bytes: by tables, and against members_read, which checks all of the text. */
#include "llm/members.h"

#include <stdlib.h>

#include "check.h"

/* A copy that is exactly as long as the text, so that a read past its ends is seen. */
static struct slice exact(struct slice s)
{
    char *p = malloc(s.n ? s.n : 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_make(p, s.n);
}

static void drop(struct slice s)
{
    union {
        const char *c;
        void *p;
    } u = {.c = s.p};

    free(u.p);
}

static void test_from_end(void)
{
    static const struct {
        const char *text;
        ptrdiff_t depth;
        const char *onward; /* of "usage" */
    } row[] = {
        {"{\"usage\":1}", 1, "1}"},
        {"{\"usage\" \n:\t1}", 1, "1}"},
        {"{\"usage\":1,\"usage\":2}", 1, "2}"},
        {"{\"usage\":{\"a\":1},\"x\":{\"usage\":3}}", 1, "{\"a\":1},\"x\":{\"usage\":3}}"},
        {"{\"usage\":1,\"x\":[{\"usage\":3}]}", 3, "3}]}"},
        {"{\"usage\":1,\"x\":\"}}}]\"}", 1, "1,\"x\":\"}}}]\"}"},
        {"{\"usage\":1,\"x\":\"\\\"}\\\\\\\"[{\"}", 1, "1,\"x\":\"\\\"}\\\\\\\"[{\"}"},
        {"{\"usage\":1,\"x\":\"\\\"usage\\\":2\"}", 1, "1,\"x\":\"\\\"usage\\\":2\"}"},
        {"{\"usage\":1,\"x\\\"usage\":2}", 1, "1,\"x\\\"usage\":2}"}, /* a key that ends so */
        /* not there */
        {"{}", 1, ""},
        {"", 1, ""},
        {"\"", 1, ""},
        {"{\"usage\"", 1, ""},
        {"{\"usage\":", 1, ""},
        {"{\"x\":\"usage\"}", 1, ""},
        {"{\"x\":{\"usage\":3}}", 1, ""},
        {"{\"x\":\"\\\"usage\\\":2\"}", 1, ""},
        {"{\"usages\":1,\"Usage\":2,\"usag\":3}", 1, ""},
        {"{\"usage\":1}", 2, ""},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct member_want want = {SLICE("\"usage\""), row[i].depth, {NULL, 0}};
        struct slice text = exact(slice_str(row[i].text));

        check_case(row[i].text);
        members_from_end(text, &want, 1);
        CHECK_STR(want.onward, row[i].onward);
        drop(text);
    }
}

/* Two names, in either order, moved through the blocks by text that is full of what misleads. */
static void test_against_check(void)
{
    static const char *const frame[][3] = {
        {"{\"a\":\"", "\",\"usage\":{\"n\":[1]},\"b\":\"", "\",\"status\":\"ok\"}"},
        {"{\"status\":\"ok\",\"b\":\"", "\",\"usage\":{\"n\":[1]},\"a\":[{\"usage\":\"", "\"}]}"},
        {"{\"b\":\"", "\",\"x\":{\"status\":[],\"b\":\"", "\"}}"},
    };
    static const char filler[] = "}\\\"{\\\\]\\u0022,\\\"usage\\\":[\\\\\\\"status\\\\\\\":\\n";
    static char fill[400], text[1000];

    check_case("against members_read");
    for (size_t f = 0; f < sizeof frame / sizeof *frame; f++)
        for (size_t pad = 0; pad < 300; pad++) {
            struct member_want want[2] = {{SLICE("\"usage\""), 1, {NULL, 0}}, {SLICE("\"status\""), 1, {NULL, 0}}};
            struct members m;
            enum json_type type;
            struct slice whole, value;
            size_t n = 0;

            for (; n < pad; n++)
                fill[n] = 'x';
            memcpy(fill + n, filler, sizeof filler);
            snprintf(text, sizeof text, "%s%s%s%s%s", frame[f][0], pad % 3 ? "" : fill, frame[f][1], fill, frame[f][2]);
            whole = exact(slice_str(text));
            CHECK(members_read(&m, whole, &type));
            CHECK_INT(bracket_sum(whole), 0);
            members_from_end(whole, want, 2);
            for (unsigned i = 0; i < 2; i++) {
                value = members_get(&m, i ? "status" : "usage", &type);
                CHECK(want[i].onward.p == value.p || (value.n == 0 && want[i].onward.n == 0));
            }
            drop(whole);
        }
}

static void test_brackets(void)
{
    static const struct {
        const char *text;
        ptrdiff_t sum;
    } row[] = {{"", 0},          {"{[", 2},           {"}]", -2},      {"{\"[\"", 1},       {"{\"\\\"[\"[", 2},
               {"{\"\\\\\"[", 2}, {"\"\\\\\\\"{\"}", -1}, {"\"{", 0}, {"[\"\\\\\\\\\"]", 0}};
    char text[300];

    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (size_t pad = 0; pad < 200; pad++) { /* every place in a block, with backslashes across its border too */
            size_t n = strlen(row[i].text);
            struct slice s;

            check_case(row[i].text);
            memset(text, ' ', pad);
            memcpy(text + pad, row[i].text, n);
            s = exact(slice_make(text, pad + n));
            CHECK_INT(bracket_sum(s), row[i].sum);
            drop(s);
        }
}

static void test_words(void)
{
    char text[100];

    check_case("string's end");
    for (size_t pad = 0; pad < 60; pad++) {
        struct slice s;

        memset(text, 'x', pad);
        memcpy(text + pad, "\\\"\\\\\"\"", 6);
        s = exact(slice_make(text, pad + 6));
        CHECK(string_end(s.p, s.p + pad + 6) == s.p + pad + 4);
        CHECK(string_end(s.p, s.p + pad + 4) == NULL);
        CHECK(string_end(s.p, s.p + pad + 1) == NULL);
        CHECK(string_end(s.p, s.p + pad) == NULL);
        drop(s);
    }
    check_case("words and values");
    CHECK_STR(word_at(SLICE("\"stop\",\"x\"")), "stop");
    CHECK_STR(word_at(SLICE("null")), "");
    CHECK_STR(word_at(SLICE("\"sto")), "");
    CHECK_STR(word_at(SLICE("")), "");
    CHECK_STR(value_behind(SLICE(" : 1 ")), "1 ");
    CHECK_STR(value_behind(SLICE(" , 1")), "");
    CHECK_STR(value_behind(SLICE("")), "");
}

int main(void)
{
    test_from_end();
    test_against_check();
    test_brackets();
    test_words();
    return check_end();
}
