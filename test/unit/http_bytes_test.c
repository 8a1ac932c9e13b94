/* http/bytes and the name table of http/head: the classes against the RFC's lists, the searches against a plain
 * loop, the hash against a linear search. */
#include "http/bytes.h"

#include "check.h"
#include "http/head.h"
#include "http_guard.h"

static enum http_name slow_id(struct slice s)
{
    for (int id = 1; id < HTTP_NAME_COUNT; id++)
        if (slice_eq_nocase(s, http_name_text((enum http_name)id)))
            return (enum http_name)id;
    return HTTP_OTHER;
}

/* Searches the constants of head.c anew, for whoever added a name. */
static void print_name_table(void)
{
    uint32_t multiplier = 1;

    for (uint64_t state = 88172645463325252u;; state ^= state << 17) {
        uint8_t slot[128] = {0};
        bool clash = false;

        state ^= state << 13;
        state ^= state >> 7;
        multiplier = (uint32_t)state | 1;
        for (int id = 1; id < HTTP_NAME_COUNT && !clash; id++) {
            struct slice s = http_name_text((enum http_name)id);
            uint32_t key = (uint32_t)s.p[0] | (uint32_t)s.p[s.n / 2] << 8 | (uint32_t)s.p[s.n - 1] << 16 | 0x202020u;
            unsigned h = ((key | (uint32_t)s.n << 24) * multiplier) >> 25;

            clash = slot[h] != 0;
            slot[h] = (uint8_t)id;
        }
        if (clash)
            continue;
        printf("#define NAME_MULTIPLIER 0x%xu\n", multiplier);
        for (int h = 0; h < 128; h++)
            if (slot[h]) {
                struct slice s = http_name_text((enum http_name)slot[h]);

                printf("[%d] = HTTP_", h);
                for (size_t i = 0; i < s.n; i++)
                    putchar(s.p[i] == '-' ? '_' : s.p[i] - 32 * (s.p[i] >= 'a'));
                printf(", ");
            }
        printf("\n");
        return;
    }
}

static void test_names(void)
{
    unsigned wrong = 0;

    check_case("names");
    for (int id = 1; id < HTTP_NAME_COUNT; id++) {
        struct slice s = http_name_text((enum http_name)id);
        char text[40];

        for (size_t i = 0; i < s.n; i++) /* folding by |0x20 relies on this */
            CHECK((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '-');
        for (size_t i = 0; i < s.n; i++)
            text[i] = (char)(i % 2 && s.p[i] != '-' ? s.p[i] - 32 : s.p[i]);
        wrong += http_name_id(s) != (enum http_name)id;
        wrong += http_name_id(slice_make(text, s.n)) != (enum http_name)id;
        for (size_t i = 0; i < s.n; i++) { /* any other byte anywhere is another name */
            memcpy(text, s.p, s.n);
            for (unsigned byte = 0; byte < 256; byte++) {
                text[i] = (char)byte;
                wrong += http_name_id(slice_make(text, s.n)) != slow_id(slice_make(text, s.n));
            }
        }
        wrong += http_name_id(slice_first(s, s.n - 1)) != slow_id(slice_first(s, s.n - 1));
        memcpy(text, s.p, s.n);
        text[s.n] = 'x';
        wrong += http_name_id(slice_make(text, s.n + 1)) != HTTP_OTHER;
    }
    CHECK_INT(http_name_id(slice_make(NULL, 0)), HTTP_OTHER);
    CHECK_INT(wrong, 0);
    if (wrong)
        print_name_table();
}

static unsigned classes_of(unsigned byte)
{
    char c = (char)byte;
    bool letter = (byte | 32) >= 'a' && (byte | 32) <= 'z' && byte < 128, digit = byte >= '0' && byte <= '9';
    unsigned classes = 0;

    if (letter || digit || (byte && strchr("!#$%&'*+-.^_`|~", c)))
        classes |= HTTP_C_TOKEN;
    if (byte == 9 || (byte >= 32 && byte != 127))
        classes |= HTTP_C_VALUE;
    if (byte > 32 && byte < 127 && !strchr("#\\\"<>", c))
        classes |= HTTP_C_TARGET;
    if (letter || digit || (byte && strchr("-._", c)))
        classes |= HTTP_C_HOST;
    if (letter || digit || (byte && strchr("-._~!$&'()*+,;=:@/", c)))
        classes |= HTTP_C_PATH;
    if (digit || (letter && (byte | 32) <= 'f'))
        classes |= HTTP_C_HEX;
    if (letter || digit || byte == '-')
        classes |= HTTP_C_PLAIN;
    return classes;
}

/* Each search against the table, every byte value at every place of lengths around the block sizes. */
static void test_bytes(void)
{
    char text[150];
    unsigned wrong = 0;

    check_case("bytes");
    for (unsigned byte = 0; byte < 256; byte++)
        CHECK_INT(http_class[byte], classes_of(byte));
    for (size_t n = 0; n < 131; n = n < 40 ? n + 1 : n + 13)
        for (size_t at = 0; at <= n; at++)
            for (unsigned byte = 0; byte < 256; byte += n < 20 ? 1 : 5) {
                char *p;
                size_t hit = at < n ? at : n;

                memset(text, 'm', n);
                if (at < n)
                    text[at] = (char)byte;
                p = guard_copy(slice_make(text, n));
                wrong += http_find_ctl(p, p + n) != p + (classes_of(byte) & HTTP_C_VALUE ? n : hit);
                wrong += http_find_unplain(p, p + n) != p + (classes_of(byte) & HTTP_C_PLAIN ? n : hit);
                wrong += http_all_value(p, n) != (at == n || (classes_of(byte) & HTTP_C_VALUE));
                wrong += http_all_plain(p, n) != (at == n || (classes_of(byte) & HTTP_C_PLAIN));
                wrong += http_count_ctl(p, n) != (at < n && !(classes_of(byte) & HTTP_C_VALUE));
                wrong += http_find_eol(p, p + n) != p + (byte == 10 || byte == 13 ? hit : n);
            }
    CHECK_INT(wrong, 0);
    for (size_t n = 0; n < 10000; n += 4097) { /* more of them than a byte counts to */
        static char many[10000];

        memset(many, '\r', sizeof many);
        CHECK_INT(http_count_ctl(many, n), n);
    }
}

int main(void)
{
    test_names();
    test_bytes();
    return check_end();
}
