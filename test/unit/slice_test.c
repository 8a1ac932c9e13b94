/* Views: every function against a table, with empty, NULL and overlapping-looking inputs. */
#include "check.h"

static struct slice S(const char *text)
{
    return slice_str(text);
}

static void compare(void)
{
    static const struct {
        const char *a, *b;
        bool eq, nocase, starts, ends;
    } row[] = {
        {"", "", true, true, true, true},         {"a", "", false, false, true, true},
        {"", "a", false, false, false, false},    {"abc", "abc", true, true, true, true},
        {"abc", "ABC", false, true, false, false}, {"abcd", "abc", false, false, true, false},
        {"xabc", "abc", false, false, false, true}, {"[", "{", false, false, false, false},
        {"@", "`", false, false, false, false},   {"\xC3\x84", "\xC3\xA4", false, false, false, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        check_case(row[i].a);
        CHECK(slice_eq(S(row[i].a), S(row[i].b)) == row[i].eq);
        CHECK(slice_eq_nocase(S(row[i].a), S(row[i].b)) == row[i].nocase);
        CHECK(slice_eq_const_time(S(row[i].a), S(row[i].b)) == row[i].eq);
        CHECK(slice_starts(S(row[i].a), S(row[i].b)) == row[i].starts);
        CHECK(slice_ends(S(row[i].a), S(row[i].b)) == row[i].ends);
    }
    check_case("NULL with no bytes equals any empty slice");
    CHECK(slice_eq(slice_make(NULL, 0), S("")));
    CHECK(slice_eq_nocase(slice_make(NULL, 0), S("")));
    check_case("prefix in any case");
    CHECK(slice_starts_nocase(S("Bearer x"), SLICE("bearer ")));
    CHECK(!slice_starts_nocase(S("Bear"), SLICE("bearer ")));
    CHECK(ascii_lower('Z') == 'z' && ascii_lower('[') == '[' && ascii_lower('@') == '@');
}

static void search(void)
{
    static const struct {
        const char *in, *what;
        ptrdiff_t at, at_nocase;
    } row[] = {
        {"", "", 0, 0},          {"abc", "", 0, 0},      {"", "a", -1, -1},        {"aab", "ab", 1, 1},
        {"aaab", "aab", 1, 1},   {"abab", "abab", 0, 0}, {"abc", "abcd", -1, -1},  {"xxAB", "ab", -1, 2},
        {"xa", "ab", -1, -1},    {"data: [DONE]", "[DONE]", 6, 6}, {"mississippi", "issip", 4, 4},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        check_case(row[i].in);
        CHECK_INT(slice_find(S(row[i].in), S(row[i].what)), row[i].at);
        CHECK_INT(slice_find_nocase(S(row[i].in), S(row[i].what)), row[i].at_nocase);
    }
    check_case("find a byte");
    CHECK_INT(slice_find_char(S("a:b:"), ':'), 1);
    CHECK_INT(slice_find_char(S("ab"), ':'), -1);
    CHECK_INT(slice_find_char(slice_make(NULL, 0), ':'), -1);
    check_case("a NUL is a byte like any other");
    CHECK_INT(slice_find_char(slice_make("a\0b", 3), 'b'), 2);
    CHECK_INT(slice_find(slice_make("a\0b", 3), slice_make("\0b", 2)), 1);
}

static void cut(void)
{
    check_case("from and first are clamped");
    CHECK_STR(slice_from(S("abc"), 1), "bc");
    CHECK_STR(slice_from(S("abc"), 3), "");
    CHECK_STR(slice_from(S("abc"), 9), "");
    CHECK_STR(slice_first(S("abc"), 2), "ab");
    CHECK_STR(slice_first(S("abc"), 9), "abc");
    CHECK_INT(slice_from(slice_make(NULL, 0), 5).n, 0);
    check_case("trim");
    CHECK_STR(slice_trim(S(" \t\r\n x y \n")), "x y");
    CHECK_STR(slice_trim(S(" \t ")), "");
    CHECK_STR(slice_trim(S("\v x")), "\v x");
    CHECK_INT(slice_trim(slice_make(NULL, 0)).n, 0);
}

static void numbers(void)
{
    static const struct {
        const char *text;
        bool unsigned_ok, signed_ok;
        uint64_t u;
        int64_t i;
    } row[] = {
        {"0", true, true, 0, 0},
        {"007", true, true, 7, 7},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", true, false, (uint64_t)INT64_MAX + 1, 0},
        {"18446744073709551615", true, false, UINT64_MAX, 0},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999999", false, false, 0, 0},
        {"-1", false, true, 0, -1},
        {"-9223372036854775807", false, true, 0, -INT64_MAX},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"1e3", false, false, 0, 0},
        {"0x10", false, false, 0, 0},
        {"--1", false, false, 0, 0},
        {"\xD9\xA5", false, false, 0, 0}, /* an Arabic five */
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t u = 77;
        int64_t n = 77;

        check_case(row[i].text);
        CHECK(slice_u64(S(row[i].text), &u) == row[i].unsigned_ok);
        CHECK(u == (row[i].unsigned_ok ? row[i].u : 77));
        CHECK(slice_i64(S(row[i].text), &n) == row[i].signed_ok);
        CHECK(n == (row[i].signed_ok ? row[i].i : 77));
    }
}

static ptrdiff_t find_naive(struct slice s, struct slice needle, bool nocase)
{
    for (size_t at = 0; at + needle.n <= s.n; at++) {
        struct slice here = slice_make(s.p + at, needle.n);

        if (nocase ? slice_eq_nocase(here, needle) : slice_eq(here, needle))
            return (ptrdiff_t)at;
    }
    return -1;
}

/* An alphabet in which every byte is one bit from another's, so that folding by that bit alone would show. */
static void find_against_naive(void)
{
    static const char letters[] = "aAbB@`[{\"z";
    unsigned seed = 7, wrong = 0;

    check_case("searching against a naive search");
    for (int round = 0; round < 100000; round++) {
        char text[200], word[5];
        size_t n = (seed = seed * 1103515245u + 12345) >> 16 & 127, m = 1 + ((seed = seed * 1103515245u + 12345) >> 16) % 5;
        unsigned kinds = 2 + ((seed = seed * 1103515245u + 12345) >> 16) % 8;
        struct slice s = slice_make(text, n), needle = slice_make(word, m);

        for (size_t i = 0; i < n; i++)
            text[i] = letters[((seed = seed * 1103515245u + 12345) >> 16) % kinds];
        for (size_t i = 0; i < m; i++)
            word[i] = letters[((seed = seed * 1103515245u + 12345) >> 16) % kinds];
        wrong += slice_find(s, needle) != find_naive(s, needle, false);
        wrong += slice_find_nocase(s, needle) != find_naive(s, needle, true);
    }
    CHECK_INT(wrong, 0);
}

int main(void)
{
    find_against_naive();
    compare();
    search();
    cut();
    numbers();
    return check_end();
}
