/* The members the gateway acts on, under every spelling: each is found exactly, and refused in any other (S-33...S-35). */
#include "gate/request.h"

#include "check.h"

static char memory[1 << 16];

/* Whether the body is taken; *e when not. */
static bool reads(const char *body, struct request_asks *out, struct request_error *e)
{
    struct json_member member[16];
    struct json_check c;
    struct arena a;

    json_check_init(&c, member, 16);
    CHECK(json_check_feed(&c, body, strlen(body)) == PARSE_MORE && json_check_end(&c) == PARSE_DONE);
    arena_init_fixed(&a, memory, sizeof memory);
    return request_read(slice_str(body), member, c.members, &a, out, e);
}

/* Spells letter `at` of the name in one of the ways that some parser takes for it; false when it has no such spelling. */
static bool respell(char *to, size_t cap, struct slice name, size_t at, int way)
{
    char c = name.p[at], letter[8];

    switch (way) {
    case 0:
        if (c < 'a' || c > 'z')
            return false;
        snprintf(letter, sizeof letter, "%c", c - 0x20);
        break;
    case 1:
        snprintf(letter, sizeof letter, "\\u%04x", (unsigned)c & 0xff);
        break;
    case 2:
        if (c != 's' && c != 'k')
            return false;
        snprintf(letter, sizeof letter, "%s", c == 's' ? "\xc5\xbf" : "\xe2\x84\xaa");
        break;
    default:
        if (c != 's' && c != 'k')
            return false;
        snprintf(letter, sizeof letter, "%s", c == 's' ? "\\u017F" : "\\u212a");
        break;
    }
    snprintf(to, cap, "%.*s%s%s", (int)at, name.p, letter, name.p + at + 1);
    return true;
}

static const char *value_for(enum request_member m)
{
    return m == REQUEST_MODEL ? "\"m\"" : m == REQUEST_MODELS ? "[\"m\"]" : m == REQUEST_STREAM ? "true" : "null";
}

static void test_spellings(void)
{
    static struct request_asks asks;
    struct request_error e;
    char body[256], name[64];

    for (int m = 0; m < REQUEST_MEMBER_COUNT; m++) {
        struct slice plain = request_member_name((enum request_member)m);
        const char *first = m == REQUEST_MODEL ? "models" : "model", *value = value_for((enum request_member)m);
        const char *first_value = m == REQUEST_MODEL ? "[\"m\"]" : "\"m\"";

        check_case(plain.p);
        snprintf(body, sizeof body, "{\"%s\":%s,\"%s\":%s}", first, first_value, plain.p, value);
        CHECK(reads(body, &asks, &e));
        if (m != REQUEST_MODEL)
            CHECK_INT(asks.at[m], 1);
        snprintf(body, sizeof body, "{\"%s\":%s,\"%s\":%s,\"%s\":%s}", first, first_value, plain.p, value, plain.p, value);
        CHECK(!reads(body, &asks, &e));
        CHECK_STR(slice_str(e.param), plain.p);
        for (size_t at = 0; at < plain.n; at++)
            for (int way = 0; way < 4; way++) {
                if (!respell(name, sizeof name, plain, at, way))
                    continue;
                check_case(name);
                snprintf(body, sizeof body, "{\"%s\":%s,\"%s\":%s}", first, first_value, name, value);
                CHECK(reads(body, &asks, &e) == (way == 1)); /* an escaped letter is that letter for every reader */
                snprintf(body, sizeof body, "{\"%s\":%s,\"%s\":%s,\"%s\":%s}", first, first_value, plain.p, value, name, value);
                CHECK(!reads(body, &asks, &e)); /* and beside the plain one it comes twice */
                CHECK_STR(slice_str(e.param), plain.p);
            }
    }
}

/* Names close to ours that are not ours. */
static void test_others(void)
{
    static const char *const others[] = {"", "m", "s", "mo", "st", "messages", "metadata", "modes", "model_", "modelss", "stop", "stream_",
                                         "streams", "max_token", "max_tokens_", "n", "user", "xmodel", "\\u00e9", "\xc5\xbf", "\xc5\xa0tream"};
    static struct request_asks asks;
    struct request_error e;
    char body[256];

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        check_case(others[i]);
        snprintf(body, sizeof body, "{\"model\":\"m\",\"%s\":7,\"%s\":{}}", others[i], others[i]);
        CHECK(reads(body, &asks, &e));
        CHECK_INT(asks.nmodels, 1);
        CHECK(!asks.stream);
    }
}

int main(void)
{
    test_spellings();
    test_others();
    return check_end();
}
