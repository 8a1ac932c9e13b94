/* See key32.h. */
#include "base/key32.h"

/* -1: not a digit of that system. */
static int digit(char c, bool hex)
{
    if (hex)
        return c >= '0' && c <= '9' ? c - '0' : ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1;
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

bool key32_parse(struct slice text, uint8_t out[KEY32])
{
    struct slice s = slice_trim(text);
    bool hex = s.n == 2 * KEY32;
    unsigned per = hex ? 4 : 6, have = 0;
    uint32_t bits = 0;
    size_t n = 0;

    if (s.n == 44 && s.p[43] == '=')
        s.n--;
    if (!hex && s.n != 43)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit(s.p[i], hex);

        if (d < 0)
            return false;
        bits = bits << per | (uint32_t)d;
        have += per;
        if (have >= 8)
            out[n++] = (uint8_t)(bits >> (have -= 8));
    }
    return n == KEY32 && !(bits & ((1u << have) - 1)); /* the bits left over are zero, or it is no text of 32 bytes */
}
