/* json/edit.c: what is not edited stays byte for byte, and the result is always valid JSON. */
#include "check.h"
#include "json/edit.h"
#include "json/scan.h"
#include "json_case.h"

static char joined[4096];

/* The edited text, or {NULL,0} when it failed. */
static struct slice join(const struct json_edits *e)
{
    struct slice piece[JSON_PIECES_MAX];
    size_t total = 0, n = 0;
    int count = json_edit_pieces(e, piece, sizeof(piece) / sizeof(piece[0]), &total);

    if (count < 0)
        return slice_make(NULL, 0);
    for (int i = 0; i < count; i++) {
        CHECK(piece[i].n > 0);
        memcpy(joined + n, piece[i].p, piece[i].n);
        n += piece[i].n;
    }
    CHECK_INT(n, total);
    CHECK(json_valid(slice_make(joined, n), NULL, NULL));
    return slice_make(joined, n);
}

static size_t members_of(struct slice text, struct json_member *m, uint32_t cap)
{
    struct json_check c;

    json_check_init(&c, m, cap);
    json_check_feed(&c, text.p, text.n);
    CHECK_INT(json_check_end(&c), PARSE_DONE);
    return c.members;
}

/* ops, one letter each and in this order: digits remove that member, letters 'A'.. replace member 0.. by
 * NEW, '+' adds "k":0, '!' adds "s":"t". */
static const struct {
    const char *text, *ops, *want; /* NULL: must fail */
} cases[] = {
    {"{\"a\":1,\"b\":2,\"c\":3}", "", "{\"a\":1,\"b\":2,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "0", "{\"b\":2,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "1", "{\"a\":1,\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "2", "{\"a\":1,\"b\":2}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "01", "{\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "12", "{\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "21", "{\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "02", "{\"b\":2}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "20", "{\"b\":2}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "012", "{}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "210", "{}"},
    {"{\"a\":1}", "0", "{}"},
    {" { \"a\" : 1 , \"b\" : [ 2 ] , \"c\" : 3 } ", "1", " { \"a\" : 1 , \"c\" : 3 } "},
    {" { \"a\" : 1 , \"b\" : [ 2 ] , \"c\" : 3 } ", "2", " { \"a\" : 1 , \"b\" : [ 2 ] } "},
    {" { \"a\" : 1 , \"b\" : [ 2 ] , \"c\" : 3 } ", "012", " {  } "},
    {"{\"a\":1,\"b\":2}", "A", "{\"a\":NEW,\"b\":2}"},
    {"{\"a\":1,\"b\":{\"x\":[]}}", "BA", "{\"a\":NEW,\"b\":NEW}"},
    {"{\"a\":\"x\\\"y\",\"b\\\"\":\"\\\\\"}", "A1", "{\"a\":NEW}"},
    {"{\"a\":\"x\\\"y\",\"b\\\"\":\"\\\\\"}", "0B", "{\"b\\\"\":NEW}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", "A12C", NULL}, /* removed and replaced */
    {"{\"a\":1,\"b\":2,\"c\":3}", "A1C", "{\"a\":NEW,\"c\":NEW}"},
    {"{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "0C3", "{\"b\":2,\"c\":NEW}"},
    {"{}", "+", "{\"k\":0}"},
    {"{}", "+!", "{\"k\":0,\"s\":\"t\"}"},
    {" {\n } ", "+", " {\"k\":0\n } "},
    {"{\"a\":1}", "+", "{\"a\":1,\"k\":0}"},
    {"{\"a\":\"}\" } ", "+!", "{\"a\":\"}\",\"k\":0,\"s\":\"t\" } "},
    {"{\"a\":{}}", "+", "{\"a\":{},\"k\":0}"},
    {"{\"a\":{}}", "0+", "{\"k\":0}"},
    {"{\"a\":{}}", "+0", "{\"k\":0}"},
    {"{\"a\":1,\"b\":2}", "1+", "{\"a\":1,\"k\":0}"},
    {"{\"a\":1,\"b\":2}", "+!01", "{\"k\":0,\"s\":\"t\"}"},
    {"{\"a\":1,\"b\":2}", "B+0", "{\"b\":NEW,\"k\":0}"},
    {"{\"a\":1,\"b\":2}", "+B", "{\"a\":1,\"b\":NEW,\"k\":0}"},
    {"{\"a\":1}", "00", NULL},
    {"{\"a\":1}", "A0", NULL},
    {"{\"a\":1,\"b\":2}", "A0", NULL},
    {"{\"a\":1}", "AA", NULL},
    {"[1]", "+", NULL},
    {"7", "+", NULL},
};

/* NEW stands for a string in the result, so that it is valid. */
static struct slice with_new(const char *want, char *out, size_t cap)
{
    size_t n = 0;

    while (*want && n + 8 < cap)
        if (strncmp(want, "NEW", 3) == 0) {
            memcpy(out + n, "\"new\"", 5);
            n += 5;
            want += 3;
        } else {
            out[n++] = *want++;
        }
    return slice_make(out, n);
}

static void apply(struct json_edits *e, const struct json_member *m, size_t n, const char *ops)
{
    for (; *ops; ops++)
        if (*ops == '+')
            json_edit_add(e, SLICE("k"), SLICE("0"));
        else if (*ops == '!')
            json_edit_add(e, SLICE("s"), SLICE("\"t\""));
        else if (*ops >= 'A')
            json_edit_value(e, &m[*ops - 'A'], SLICE("\"new\""));
        else
            json_edit_remove(e, m, n, (size_t)(*ops - '0'));
}

static void test_table(void)
{
    char want[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_member m[8];
        struct slice text = case_at_edge(slice_str(cases[i].text));
        size_t n = members_of(text, m, 8);
        struct json_edits e;

        check_case(cases[i].text);
        json_edits_init(&e, text);
        apply(&e, m, n, cases[i].ops);
        if (cases[i].want)
            CHECK_SLICE(join(&e), with_new(cases[i].want, want, sizeof(want)));
        else
            CHECK(join(&e).p == NULL);
    }
}

/* Every way to keep, remove or replace each of five members, with and without an added one, in two orders:
 * the result must hold exactly the members it should, in order. */
static void test_all(void)
{
    static const struct slice text = SLICE("{ \"a\":1,\"b\" : \"2\" ,\n\"c\":[3, 3],\"d\":{\"d\":4} , \"e\":null }");
    struct json_member m[8], got[8];
    size_t n = members_of(text, m, 8);

    check_case("all combinations");
    CHECK_INT(n, 5);
    for (unsigned mode = 0; mode < 243 * 4; mode++) {
        char ops[8] = "", keys[8] = "", seen[8] = "";
        size_t len = 0, kept = 0, found;
        struct json_edits e;
        struct slice out;
        unsigned rest = mode / 4;

        if (mode & 1)
            ops[len++] = '+';
        for (int i = 0; i < 5; i++, rest /= 3) {
            int at = mode & 2 ? 4 - i : i;

            if (rest % 3 == 1)
                ops[len++] = (char)('0' + at);
            if (rest % 3 == 2)
                ops[len++] = (char)('A' + at);
            if (rest % 3 != 1)
                keys[at] = (char)('a' + at);
        }
        for (int i = 0; i < 5; i++)
            if (keys[i])
                keys[kept++] = keys[i];
        keys[kept] = '\0';
        if (mode & 1) {
            keys[kept++] = 'k';
            keys[kept] = '\0';
        }
        json_edits_init(&e, text);
        apply(&e, m, n, ops);
        out = join(&e);
        found = members_of(out, got, 8);
        for (size_t i = 0; i < found && i < 7; i++)
            seen[i] = out.p[got[i].key_off];
        if (!CHECK(found == kept && strcmp(seen, keys) == 0)) {
            printf("     ops %s gave %.*s\n", ops, (int)out.n, out.p);
            return;
        }
    }
}

static void test_bounds(void)
{
    struct json_edits e;
    struct slice piece[4];
    size_t total;

    check_case("too many edits");
    json_edits_init(&e, SLICE("{}"));
    for (int i = 0; i < JSON_EDITS_MAX; i++)
        json_edit_add(&e, SLICE("k"), SLICE("0"));
    CHECK(join(&e).p != NULL);
    json_edit_add(&e, SLICE("k"), SLICE("0"));
    CHECK(join(&e).p == NULL);
    check_case("too few pieces");
    json_edits_init(&e, SLICE("{\"a\":1}"));
    json_edit_add(&e, SLICE("k"), SLICE("0"));
    CHECK_INT(json_edit_pieces(&e, piece, 4, &total), -1);
    check_case("no edits: one piece, the text itself");
    json_edits_init(&e, SLICE("{}"));
    CHECK_INT(json_edit_pieces(&e, piece, 1, &total), 1);
    CHECK(piece[0].p == e.text.p && total == 2);
}

int main(void)
{
    test_table();
    test_all();
    test_bounds();
    return check_end();
}
