/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure. */
#ifndef JSON_UTF8_H
#define JSON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many continuation bytes a lead byte asks for, and the range of the first of them (the others may be
 * anything from 80 to bf). Zero when no character begins with this byte, or for ASCII. */
static inline unsigned utf8_lead(uint8_t lead, uint8_t *min, uint8_t *max)
{
    *min = 0x80;
    *max = 0xbf;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0)
        return 1;
    if (lead == 0xe0)
        *min = 0xa0;
    if (lead == 0xed)
        *max = 0x9f;
    if (lead == 0xf0)
        *min = 0x90;
    if (lead == 0xf4)
        *max = 0x8f;
    return lead < 0xf0 ? 2 : 3;
}

/* Length of the valid character that begins at p, ASCII included; 0 when there is none within n bytes. Then
 * *wrong is how many bytes the faulty beginning has (at least 1): what a decoder replaces by one U+FFFD. */
static inline size_t utf8_length(const uint8_t *p, size_t n, size_t *wrong)
{
    uint8_t min, max;
    unsigned more;

    *wrong = n > 0;
    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    more = utf8_lead(p[0], &min, &max);
    if (!more || n < 2 || p[1] < min || p[1] > max)
        return 0;
    for (unsigned i = 2; i <= more; i++)
        if (i >= n || (p[i] & 0xc0) != 0x80) {
            *wrong = i;
            return 0;
        }
    return more + 1u;
}

/* Writes a code point that is not a surrogate, up to 4 bytes; returns how many. */
static inline size_t utf8_put(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Value of four hexadecimal digits, or -1. */
static inline int32_t hex4(const uint8_t *p)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned c = p[i], digit = c - '0';

        if (digit > 9) {
            digit = (c | 0x20u) - 'a';
            if (digit > 5)
                return -1;
            digit += 10;
        }
        v = v << 4 | digit;
    }
    return (int32_t)v;
}

/* A \u escape that is whole within n bytes of p (which stands at its backslash): the length, 6 or 12 for a
 * surrogate pair, and the code point. 0 when it is not whole or not right. */
static inline size_t unicode_escape(const uint8_t *p, size_t n, uint32_t *code)
{
    int32_t a, b;

    if (n < 6 || p[1] != 'u' || (a = hex4(p + 2)) < 0)
        return 0;
    *code = (uint32_t)a;
    if ((a & 0xf800) != 0xd800)
        return 6;
    if (a >= 0xdc00 || n < 12 || p[6] != '\\' || p[7] != 'u' || (b = hex4(p + 8)) < 0 || (b & 0xfc00) != 0xdc00)
        return 0;
    *code = 0x10000u + ((uint32_t)(a & 0x3ff) << 10) + (uint32_t)(b & 0x3ff);
    return 12;
}

#endif
