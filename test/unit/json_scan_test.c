/* json/scan.c and json/simd.c: the check against tables, against JSONTestSuite, and against a checker that
 * is written as plainly as possible, on whole texts, on every split, under every SIMD level. */
#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

#include "check.h"
#include "json/scan.h"
#include "json_case.h"

enum { MEMBER_CAP = 12 };

struct result {
    bool ok;
    uint64_t bad_at, tokens;
    uint32_t members;
    struct json_member member[MEMBER_CAP];
};

/* ---- The plain checker: recursive, one byte at a time, the grammar as RFC 8259 prints it. ---- */

struct plain {
    const uint8_t *p;
    size_t n, at; /* `at` stays at the first byte that does not fit */
    struct result *r;
    unsigned depth;
};

static int peek(const struct plain *s)
{
    return s->at < s->n ? s->p[s->at] : -1;
}

static bool take_if(struct plain *s, bool fits)
{
    s->at += fits;
    return fits;
}

static void plain_space(struct plain *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

static bool plain_between(struct plain *s, int low, int high)
{
    return take_if(s, peek(s) >= low && peek(s) <= high);
}

static int hex_digit(int c)
{
    const char *digits = "0123456789abcdefABCDEF", *hit = c > 0 ? strchr(digits, c) : NULL;
    int v = hit ? (int)(hit - digits) : -1;

    return v > 15 ? v - 6 : v;
}

/* Four digits; the second one decides whether a surrogate is allowed here. */
static bool plain_hex(struct plain *s, bool low, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int v = hex_digit(peek(s));

        if (v < 0 || (low && i == 0 && v != 13))
            return false;
        if (i == 1 && (*code == 13 && v >= 12) != low)
            return false;
        *code = *code * 16 + (unsigned)v;
        s->at++;
    }
    return true;
}

static bool plain_escape(struct plain *s)
{
    unsigned code;
    int c = peek(s);

    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return false;
    s->at++;
    if (c != 'u')
        return true;
    if (!plain_hex(s, false, &code))
        return false;
    if (code < 0xd800 || code > 0xdbff)
        return true;
    return take_if(s, peek(s) == '\\') && take_if(s, peek(s) == 'u') && plain_hex(s, true, &code);
}

static bool plain_utf8(struct plain *s)
{
    int c = peek(s), more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

    if (c < 0xc2 || c > 0xf4)
        return false;
    s->at++;
    if (!plain_between(s, c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf))
        return false;
    while (--more > 0)
        if (!plain_between(s, 0x80, 0xbf))
            return false;
    return true;
}

/* From the opening quote on. */
static bool plain_string(struct plain *s)
{
    s->r->tokens++;
    s->at++;
    for (;;) {
        int c = peek(s);

        if (c < 0x20)
            return false;
        if (c >= 0x80) {
            if (!plain_utf8(s))
                return false;
            continue;
        }
        s->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !plain_escape(s))
            return false;
    }
}

static bool plain_digits(struct plain *s)
{
    if (!plain_between(s, '0', '9'))
        return false;
    while (plain_between(s, '0', '9'))
        continue;
    return true;
}

static bool plain_number(struct plain *s)
{
    take_if(s, peek(s) == '-');
    if (!take_if(s, peek(s) == '0') && !plain_digits(s))
        return false;
    if (take_if(s, peek(s) == '.') && !plain_digits(s))
        return false;
    if (take_if(s, peek(s) == 'e' || peek(s) == 'E')) {
        take_if(s, peek(s) == '+' || peek(s) == '-');
        return plain_digits(s);
    }
    return true;
}

static bool plain_value(struct plain *s);

static bool plain_member(struct plain *s)
{
    struct json_member m = {0, 0, 0, 0, 0, false};
    bool ok;

    if (peek(s) != '"')
        return false;
    m.key_off = (uint32_t)s->at + 1;
    if (!plain_string(s))
        return false;
    m.key_len = (uint32_t)s->at - 1 - m.key_off;
    m.key_escaped = memchr(s->p + m.key_off, '\\', m.key_len) != NULL;
    plain_space(s);
    if (!take_if(s, peek(s) == ':'))
        return false;
    plain_space(s);
    m.val_off = (uint32_t)s->at;
    switch (peek(s)) {
    case '{': m.type = JSON_OBJECT; break;
    case '[': m.type = JSON_ARRAY; break;
    case '"': m.type = JSON_STRING; break;
    case 't': m.type = JSON_TRUE; break;
    case 'f': m.type = JSON_FALSE; break;
    case 'n': m.type = JSON_NULL; break;
    default: m.type = JSON_NUMBER; break;
    }
    ok = plain_value(s);
    m.val_len = (uint32_t)s->at - m.val_off;
    /* A number is only over when something follows. */
    if (ok && s->depth == 1 && (m.type != JSON_NUMBER || s->at < s->n)) {
        if (s->r->members < MEMBER_CAP)
            s->r->member[s->r->members] = m;
        s->r->members++;
    }
    return ok;
}

static bool plain_container(struct plain *s, bool object)
{
    s->r->tokens++;
    if (s->depth == JSON_DEPTH_MAX)
        return false;
    s->depth++;
    s->at++;
    plain_space(s);
    if (!take_if(s, peek(s) == (object ? '}' : ']')))
        for (;;) {
            plain_space(s);
            if (!(object ? plain_member(s) : plain_value(s)))
                return false;
            plain_space(s);
            if (take_if(s, peek(s) == (object ? '}' : ']')))
                break;
            if (!take_if(s, peek(s) == ','))
                return false;
        }
    s->depth--;
    return true;
}

static bool plain_value(struct plain *s)
{
    const char *literal;

    switch (peek(s)) {
    case '{':
    case '[':
        return plain_container(s, peek(s) == '{');
    case '"':
        return plain_string(s);
    case 't':
        literal = "true";
        break;
    case 'f':
        literal = "false";
        break;
    case 'n':
        literal = "null";
        break;
    default:
        if (peek(s) != '-' && (peek(s) < '0' || peek(s) > '9'))
            return false;
        s->r->tokens++;
        return plain_number(s);
    }
    s->r->tokens++;
    for (; *literal; literal++)
        if (!take_if(s, peek(s) == *literal))
            return false;
    return true;
}

static struct result by_plain(struct slice text)
{
    struct result r;
    struct plain s = {(const uint8_t *)text.p, text.n, 0, &r, 0};

    memset(&r, 0, sizeof(r));
    plain_space(&s);
    r.ok = plain_value(&s);
    if (r.ok)
        plain_space(&s);
    r.ok = r.ok && s.at == s.n;
    r.bad_at = r.ok ? 0 : s.at;
    return r;
}

/* ---- The check, in feeds. ---- */

/* Splits at `cut` and, when step is not 0, every step bytes. */
static struct result by_check(struct slice text, size_t cut, size_t step)
{
    struct result r;
    struct json_check c;
    enum parse feed = PARSE_MORE;

    memset(&r, 0, sizeof(r));
    json_check_init(&c, r.member, MEMBER_CAP);
    for (size_t at = 0; at < text.n;) {
        size_t to = step && text.n - at > step ? at + step : text.n;

        if (at < cut && cut < to)
            to = cut;
        feed = json_check_feed(&c, text.p + at, to - at);
        at = to;
    }
    r.ok = json_check_end(&c) == PARSE_DONE;
    if ((feed == PARSE_BAD && r.ok) || r.ok != (c.why == NULL) || (!r.ok && c.bad_at != c.consumed))
        r.bad_at = UINT64_MAX; /* never what the plain checker says */
    else
        r.bad_at = r.ok ? 0 : c.bad_at;
    r.tokens = c.tokens;
    r.members = c.members;
    return r;
}

static bool same(const struct result *a, const struct result *b)
{
    uint32_t n = a->members < MEMBER_CAP ? a->members : MEMBER_CAP;

    if (a->ok != b->ok || a->bad_at != b->bad_at || a->tokens != b->tokens || a->members != b->members)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct json_member *x = &a->member[i], *y = &b->member[i];

        if (x->key_off != y->key_off || x->key_len != y->key_len || x->val_off != y->val_off ||
            x->val_len != y->val_len || x->type != y->type || x->key_escaped != y->key_escaped)
            return false;
    }
    return true;
}

static void show(const char *how, const struct result *r)
{
    printf("     %s: ok %d, bad_at %llu, tokens %llu, members %u\n", how, r->ok, (unsigned long long)r->bad_at,
           (unsigned long long)r->tokens, r->members);
}

static bool agrees(struct slice text, const struct result *want, size_t cut, size_t step)
{
    struct result got = by_check(text, cut, step);

    if (same(&got, want))
        return true;
    printf("     level %s, cut %zu, step %zu, text \"%.*s\"\n", json_simd(), cut, step,
           (int)(text.n < 200 ? text.n : 200), text.n ? text.p : "");
    show("plain", want);
    show("check", &got);
    return false;
}

/* Whole, in single bytes, in sevens, and (splits) at every border, under every level; the verdict is the
 * plain checker's, which the tables below hold to account. */
static bool everywhere(struct slice given, bool splits, struct result *out)
{
    struct slice text = case_at_edge(given);
    struct result want = by_plain(text);
    bool fine = true;

    for (int i = 0; i < CASE_LEVELS && fine; i++) {
        if (!json_simd_force(case_levels[i]))
            continue;
        fine = agrees(text, &want, 0, 0) && agrees(text, &want, 0, 1) && agrees(text, &want, 0, 7);
        for (size_t cut = 1; splits && fine && cut < text.n; cut++)
            fine = agrees(text, &want, cut, 0);
    }
    CHECK(fine);
    *out = want;
    return fine;
}

/* ---- Tables. ---- */

#define OK (-1)
#define CUT (-2) /* bad only because it ends: bad_at is the length */

static const struct {
    struct slice text;
    int bad_at;
} verdicts[] = {
    {SLICE("{}"), OK}, {SLICE("[]"), OK}, {SLICE(" [ ] \r\n\t"), OK}, {SLICE("0"), OK}, {SLICE("-0"), OK},
    {SLICE("1.5e+10"), OK}, {SLICE("1E-1"), OK}, {SLICE("true"), OK}, {SLICE("null "), OK}, {SLICE("\"\""), OK},
    {SLICE("{\"a\":{\"b\":[1,2,{}]}}"), OK}, {SLICE("[1e999999999]"), OK}, {SLICE("\"\\u0000\""), OK},
    {SLICE("\"\\ud83d\\ude00\""), OK}, {SLICE("\"\\uDBFF\\uDFFF\""), OK}, {SLICE("\"\x7f\""), OK},
    {SLICE("\"\xf0\x9f\x98\x80 \xe4\xb8\xad \xc3\xa9\""), OK}, {SLICE("\"\xf4\x8f\xbf\xbf\""), OK},
    {SLICE("\"\xed\x9f\xbf\xee\x80\x80\""), OK}, {SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), OK},
    {SLICE("\"\\\\\\\\\\\\\\\\\\\\\\\\\""), OK},
    {SLICE(""), CUT}, {SLICE("  "), CUT}, {SLICE("{"), CUT}, {SLICE("[1,"), CUT}, {SLICE("\"abc"), CUT},
    {SLICE("-"), CUT}, {SLICE("1."), CUT}, {SLICE("1e"), CUT}, {SLICE("1e+"), CUT}, {SLICE("tru"), CUT},
    {SLICE("{\"a\""), CUT}, {SLICE("{\"a\":"), CUT}, {SLICE("\"\\"), CUT}, {SLICE("\"\\u12"), CUT},
    {SLICE("\"\xe4\xb8"), CUT}, {SLICE("\"\\ud83d"), CUT}, {SLICE("\"\\\""), CUT},
    {SLICE("\xef\xbb\xbf{}"), 0}, {SLICE("{}\0"), 2}, {SLICE("\0{}"), 0}, {SLICE("{}{}"), 2}, {SLICE("{} x"), 3},
    {SLICE("[1,]"), 3}, {SLICE("{\"a\":1,}"), 7}, {SLICE("{,}"), 1}, {SLICE("[,1]"), 1}, {SLICE("{\"a\" 1}"), 5},
    {SLICE("{a:1}"), 1}, {SLICE("{'a':1}"), 1}, {SLICE("{1:1}"), 1}, {SLICE("[1}"), 2}, {SLICE("{\"a\":1]"), 6},
    {SLICE("]"), 0}, {SLICE("}"), 0}, {SLICE("01"), 1}, {SLICE("-01"), 2}, {SLICE("+1"), 0}, {SLICE(".5"), 0},
    {SLICE("1.e1"), 2}, {SLICE("[1.]"), 3}, {SLICE("[-]"), 2}, {SLICE("0x1"), 1}, {SLICE("NaN"), 0},
    {SLICE("nul1"), 3}, {SLICE("True"), 0}, {SLICE("truex"), 4}, {SLICE("1/**/"), 1}, {SLICE("\"a\nb\""), 2},
    {SLICE("\"a\tb\""), 2}, {SLICE("\"a\0b\""), 2}, {SLICE("\"\\a\""), 2}, {SLICE("\"\\u00g0\""), 5},
    {SLICE("\"\\U0000\""), 2}, {SLICE("\"\\ud83d\""), 7}, {SLICE("\"\\ud83dx\""), 7}, {SLICE("\"\\ud83d\\n\""), 8},
    {SLICE("\"\\ud83d\\u0041\""), 9}, {SLICE("\"\\ud83d\\ud83d\""), 10}, {SLICE("\"\\ude00\""), 4},
    {SLICE("\"\xc0\x80\""), 1}, {SLICE("\"\xc1\xbf\""), 1}, {SLICE("\"\xe0\x9f\x80\""), 2},
    {SLICE("\"\xed\xa0\x80\""), 2}, {SLICE("\"\xf0\x8f\x80\x80\""), 2}, {SLICE("\"\xf4\x90\x80\x80\""), 2},
    {SLICE("\"\xf5\x80\x80\x80\""), 1}, {SLICE("\"\x80\""), 1}, {SLICE("\"\xff\""), 1}, {SLICE("\"\xc3\""), 2},
    {SLICE("\"\xe4\xb8\""), 3}, {SLICE("\"\xe4\xb8\\n\""), 3}, {SLICE("\xe4\xb8\xad"), 0}, {SLICE("[\"a\"\x0b]"), 4},
    {SLICE("[\"a\"\x0c,1]"), 4}, {SLICE("[\xc2\xa0]"), 1},
};

static void test_verdicts(void)
{
    struct result r;

    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        struct slice text = verdicts[i].text;
        char name[32];

        snprintf(name, sizeof(name), "verdict %zu", i);
        check_case(name);
        everywhere(text, true, &r);
        CHECK_INT(r.ok, verdicts[i].bad_at == OK);
        if (!r.ok)
            CHECK_INT(r.bad_at, verdicts[i].bad_at == CUT ? (int)text.n : verdicts[i].bad_at);
    }
}

/* The same faults at every distance from a block's start and end, behind plain text, escapes and Chinese. */
static void test_positions(void)
{
    static const char *const filler[] = {"a", "\\n", "\\\\", "\xe4\xb8\xad", "\xf0\x9f\x98\x80", "\xc3\xa9x", "\\u00e9"};
    static const struct slice inside[] = {
        SLICE("\x01"), SLICE("\\x"), SLICE("\\u12"), SLICE("\\u00zz"), SLICE("\\ud800"), SLICE("\xed\xa0\x80"),
        SLICE("\xf0\x9f\x98"), SLICE("\xc0\xaf"), SLICE("\xff"), SLICE("\xe4\xb8"), SLICE("\x80"), SLICE("ok"),
        SLICE("\\\\"), SLICE("\\\""), SLICE("\\"), SLICE("\xf4\x90\x80\x80"), SLICE("\xe0\x80\x80"), SLICE("\0"),
    };
    char text[1024];
    struct result r;

    check_case("positions");
    for (size_t f = 0; f < sizeof(filler) / sizeof(filler[0]); f++)
        for (size_t k = 0; k < sizeof(inside) / sizeof(inside[0]); k++)
            for (size_t lead = 0; lead < 140; lead++) {
                size_t n = 0, unit = strlen(filler[f]);

                text[n++] = '"';
                for (size_t i = 0; i < lead % unit; i++)
                    text[n++] = 'x';
                while (n + unit <= lead + 1)
                    for (size_t i = 0; i < unit; i++)
                        text[n++] = filler[f][i];
                memcpy(text + n, inside[k].p, inside[k].n);
                n += inside[k].n;
                for (size_t i = 0; i < (lead * 7) % 80; i++)
                    text[n++] = 'y';
                text[n++] = '"';
                if (!everywhere(slice_make(text, n), false, &r))
                    return;
            }
}

static bool levels_agree(struct slice text)
{
    struct result want = by_plain(text);

    for (int i = 0; i < CASE_LEVELS; i++)
        if (json_simd_force(case_levels[i]) && !agrees(text, &want, 0, 0))
            return false;
    return true;
}

/* Every pair of bytes that a character can begin with, with every kind of third and fourth one. */
static void test_utf8(void)
{
    static const char rest[][3] = {"\x80\x80", "\xbf\xbf", "ab", "\x80z", "z\x80", "\xc3\xa9", "\"\x80"};
    bool fine = true;

    check_case("utf-8 pairs");
    for (unsigned pair = 0x8000; pair < 0x10000 && fine; pair++)
        for (size_t k = 0; k < sizeof(rest) / sizeof(rest[0]) && fine; k++) {
            char text[6] = {'"', (char)(pair >> 8), (char)pair, rest[k][0], rest[k][1], '"'};

            fine = levels_agree(slice_make(text, 6));
        }
    CHECK(fine);
}

/* Every byte behind a backslash, and every \u alone, before and behind halves of surrogate pairs. */
static void test_escapes(void)
{
    static const struct {
        const char *before, *after;
    } form[] = {{"", ""}, {"", "\\udc00 padded for the run"}, {"\\ud800", " and padded"}};
    char text[64];
    bool fine = true;

    check_case("escapes");
    for (unsigned c = 0; c < 256 && fine; c++) {
        memcpy(text, "\"\\? and enough for the short run\"", 33);
        text[2] = (char)c;
        fine = levels_agree(slice_make(text, 33)) && levels_agree(slice_make(text, 4));
    }
    for (unsigned code = 0; code < 0x10000 && fine; code++)
        for (size_t k = 0; k < 3 && fine; k++)
            fine = levels_agree(slice_make(text, (size_t)snprintf(text, sizeof(text), "\"%s\\u%04x%s\"", form[k].before,
                                                                  code, form[k].after)));
    CHECK(fine);
}

static void test_members(void)
{
    static const struct slice text = SLICE(
        " {\"model\" : \"gpt\\n\",\"mod\\u0065l\":[1,{\"x\":2}],\"a\\\\\":-1.5e3 , \"\":true,\"o\":{\"in\":{}},\"z\":null}");
    static const struct {
        const char *key, *value;
        enum json_type type;
        bool escaped;
    } want[] = {
        {"model", "\"gpt\\n\"", JSON_STRING, false}, {"mod\\u0065l", "[1,{\"x\":2}]", JSON_ARRAY, true},
        {"a\\\\", "-1.5e3", JSON_NUMBER, true},      {"", "true", JSON_TRUE, false},
        {"o", "{\"in\":{}}", JSON_OBJECT, false},    {"z", "null", JSON_NULL, false},
    };
    struct result r;
    struct json_check c;
    struct json_member m[2];

    check_case("members");
    everywhere(text, true, &r);
    if (!CHECK(r.members == 6))
        return;
    for (size_t i = 0; i < 6; i++) {
        CHECK_STR(slice_make(text.p + r.member[i].key_off, r.member[i].key_len), want[i].key);
        CHECK_STR(slice_make(text.p + r.member[i].val_off, r.member[i].val_len), want[i].value);
        CHECK_INT(r.member[i].type, want[i].type);
        CHECK_INT(r.member[i].key_escaped, want[i].escaped);
    }
    check_case("more members than room");
    json_check_init(&c, m, 2);
    CHECK_INT(json_check_feed(&c, text.p, text.n), PARSE_MORE);
    CHECK_INT(json_check_end(&c), PARSE_DONE);
    CHECK_INT(c.members, 6);
    CHECK_INT(m[1].type, JSON_ARRAY);
    check_case("no members of an array");
    everywhere(SLICE("[{\"a\":1},\"b\",{\"c\":2}]"), true, &r);
    CHECK_INT(r.members, 0);
    check_case("feeding nothing, and after the end");
    json_check_init(&c, NULL, 0);
    CHECK_INT(json_check_feed(&c, NULL, 0), PARSE_MORE);
    CHECK_INT(json_check_feed(&c, "{} ", 3), PARSE_MORE);
    CHECK_INT(json_check_end(&c), PARSE_DONE);
    CHECK_INT(c.top_type, JSON_OBJECT);
    CHECK_INT(json_check_feed(&c, ",", 1), PARSE_BAD);
    CHECK_INT(json_check_feed(&c, " ", 1), PARSE_BAD);
    CHECK_INT(json_check_end(&c), PARSE_BAD);
    CHECK_INT(c.bad_at, 3);
}

static void test_depth(void)
{
    static const char *const open[] = {"[", "{\"a\":", "[[],"}, *const close[] = {"]", "}", "]"};
    char text[1024];
    struct result r;

    check_case("depth");
    for (size_t kind = 0; kind < 3; kind++)
        for (int depth = JSON_DEPTH_MAX - 2; depth <= JSON_DEPTH_MAX + 2; depth++) {
            size_t n = 0, unit = strlen(open[kind]);
            bool fits = depth + (kind == 2) <= JSON_DEPTH_MAX;

            for (int i = 0; i < depth; i++, n += unit)
                memcpy(text + n, open[kind], unit);
            text[n++] = '1';
            for (int i = 0; i < depth; i++)
                text[n++] = close[kind][0];
            everywhere(slice_make(text, n), false, &r);
            CHECK_INT(r.ok, fits);
            if (!fits && kind == 0)
                CHECK_INT(r.bad_at, JSON_DEPTH_MAX);
        }
}

/* ---- Real input. ---- */

/* Calls `each` for every file below dir whose name ends so; returns how many. */
static unsigned each_file(const char *dir, const char *ending, void (*each)(const char *name, struct slice text))
{
    char path[1024];
    unsigned count = 0;
    DIR *d = opendir(dir);
    struct dirent *entry;

    if (!d)
        return 0;
    while ((entry = readdir(d)) != NULL) {
        struct stat st;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            count += each_file(path, ending, each);
        } else if (slice_ends(slice_str(entry->d_name), slice_str(ending))) {
            struct slice text = case_file(path);

            check_case(entry->d_name);
            each(entry->d_name, text);
            case_drop(text);
            count++;
        }
    }
    closedir(d);
    return count;
}

/* One to three small changes of the kinds that parsers trip over. */
static size_t mutate(char *text, size_t n, uint64_t *seed)
{
    static const char *const bits[] = {"\"", "\\", "\\u", "\\ud83d", "\\ude00", "{", "}", "[", "]", ",", ":", "\x80", "\xe4\xb8\xad",
                                       "\xed\xa0", "\xf0\x9f", "0", "-", ".", "e", "\x01", " ", "\n", "t", "true", "\xc3"};

    for (uint64_t times = 1 + case_random(seed) % 3; times > 0; times--) {
        const char *bit = bits[case_random(seed) % (sizeof(bits) / sizeof(bits[0]))];
        size_t at = n ? case_random(seed) % n : 0, len = strlen(bit);

        switch (case_random(seed) % 4) {
        case 0: /* insert */
            memmove(text + at + len, text + at, n - at);
            memcpy(text + at, bit, len);
            n += len;
            break;
        case 1: /* delete */
            if (n) {
                memmove(text + at, text + at + 1, n - at - 1);
                n--;
            }
            break;
        case 2: /* any byte */
            if (n)
                text[at] = (char)case_random(seed);
            break;
        default: /* cut */
            if (n && case_random(seed) % 4 == 0)
                n = at;
            break;
        }
    }
    return n;
}

static uint64_t seed = 0x5eed5eed5eed5eedu;

static bool mutations(struct slice text, unsigned times)
{
    static char copy[(1 << 16) + 64];
    struct result r;

    if (text.n > 1 << 16)
        return true;
    while (times-- > 0) {
        uint64_t before = seed;
        size_t n;

        memcpy(copy, text.p, text.n);
        n = mutate(copy, text.n, &seed);
        if (!everywhere(slice_make(copy, n), n < 200, &r)) {
            printf("     seed %#llx\n", (unsigned long long)before);
            return false;
        }
    }
    return true;
}

static unsigned suite_right; /* accepted y_ and refused n_ files */

static void suite_file(const char *name, struct slice text)
{
    struct result r;

    everywhere(text, text.n < 200, &r);
    if (name[0] != 'i' && CHECK(r.ok == (name[0] == 'y')))
        suite_right++;
    if (text.n < 2000)
        mutations(text, 30);
}

static void recorded_file(const char *name, struct slice text)
{
    static unsigned nth;
    struct result r;
    (void)name;

    everywhere(text, false, &r);
    CHECK(r.ok);
    if (nth++ % 16 == 0)
        mutations(text, 4);
}

/* A chat request with everything in it, for when nothing is shared with us. */
static const char own[] =
    "{\n  \"model\": \"gpt-4o\",\n  \"messages\": [\n    {\"role\": \"system\", \"content\": \"You are helpful.\\nBe \\\"brief\\\".\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c "
    "\\u4f60\\u597d \xf0\x9f\x98\x80 \\ud83d\\ude00 caf\xc3\xa9\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
    "\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==\"}}]}],"
    "\"temperature\":0.7,\"max_tokens\":1024,\"stream\":true,\"stop\":null,\"logit_bias\":{\"50256\":-100},\"seed\":-1.5e-3}";

static void test_real(void)
{
    char path[512];
    unsigned suite, recorded;

    check_case("own request");
    recorded_file("own", slice_make(own, sizeof(own) - 1));
    mutations(slice_make(own, sizeof(own) - 1), 2000);
    snprintf(path, sizeof(path), "%s/data/conformance/json/JSONTestSuite/test_parsing", case_shared());
    suite = each_file(path, ".json", suite_file);
    snprintf(path, sizeof(path), "%s/recorded", case_shared());
    recorded = each_file(path, "request.json", recorded_file);
    if (suite == 0)
        printf("left out: JSONTestSuite (no %s)\n", case_shared());
    else
        CHECK_INT(suite_right, 283);
    if (recorded == 0)
        printf("left out: recorded requests (no %s)\n", case_shared());
}

/* ---- Time: linear, also on what is meant to be slow. ---- */

static void test_linear(void)
{
    static const char *const unit[] = {"[", "[],", "1,", "{\"a\":1},", "\"\",", "9", "\\u0041", "\\\\", "\xe4\xb8\xad", " ", "a\xc3\xa9"};
    static const char *const start[] = {"", "[", "[", "[", "[", "1", "\"", "\"", "\"", "", "\""};
    enum { SIZE = 2 << 20 };
    char *text = malloc(SIZE);

    check_case("linear");
    if (!text)
        abort();
    for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++) {
        size_t len = strlen(unit[i]), n = strlen(start[i]);
        double ms;

        memcpy(text, start[i], n);
        for (; n + len <= SIZE; n += len)
            memcpy(text + n, unit[i], len);
        ms = check_cpu_ms();
        json_valid(slice_make(text, n), NULL, NULL);
        ms = check_cpu_ms() - ms;
        if (!CHECK(ms < 500 * check_slack())) /* 2 MiB take about 5 ms; a quadratic check would take minutes */
            printf("     unit \"%s\" took %.1f ms\n", unit[i], ms);
    }
    free(text);
}

int main(void)
{
    test_verdicts();
    test_positions();
    test_utf8();
    test_escapes();
    test_members();
    test_depth();
    test_real();
    json_simd_force("word");
    test_linear();
    return check_end();
}
