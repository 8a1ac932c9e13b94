/* JSON strings as written: unescaping and comparing, without memory of their own. The inside given here
 * has passed the check; on one that has not, nothing is read out of bounds and the bytes mean nothing. */
#include <string.h>

#include "json/scan.h"
#include "json/str.h"
#include "json/utf8.h"

static char simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* '"', '\\', '/' */
    }
}

/* Takes one escape, which `s` begins with, off its front; returns the bytes it stands for (1..4). */
static size_t take_escape(struct slice *s, char out[4])
{
    uint32_t code = 0xfffd;
    size_t n;

    if (s->n >= 2 && s->p[1] != 'u') {
        out[0] = simple_escape(s->p[1]);
        *s = slice_from(*s, 2);
        return 1;
    }
    n = unicode_escape((const uint8_t *)s->p, s->n, &code);
    *s = slice_from(*s, n ? n : s->n);
    return utf8_put(code, out);
}

ptrdiff_t json_unescape(struct slice inside, char *out, size_t cap)
{
    size_t len = 0;

    while (inside.n) {
        char unit[4];
        ptrdiff_t plain = slice_find_char(inside, '\\');
        size_t n = plain < 0 ? inside.n : (size_t)plain;

        if (n > cap - len)
            return -1;
        if (n)
            memcpy(out + len, inside.p, n);
        len += n;
        inside = slice_from(inside, n);
        if (inside.n == 0)
            break;
        n = take_escape(&inside, unit);
        if (n > cap - len)
            return -1;
        memcpy(out + len, unit, n);
        len += n;
    }
    return (ptrdiff_t)len;
}

bool json_inside_eq(struct slice inside, struct slice expected)
{
    while (inside.n) {
        char unit[4];
        size_t n = 1;

        if (inside.p[0] == '\\') {
            n = take_escape(&inside, unit);
        } else {
            unit[0] = inside.p[0];
            inside = slice_from(inside, 1);
        }
        if (n > expected.n || memcmp(unit, expected.p, n) != 0)
            return false;
        expected = slice_from(expected, n);
    }
    return expected.n == 0;
}

/* Takes one character off the front and folds it; returns its length in `unit`. */
static size_t take_folded(struct slice *s, bool escapes, char unit[4])
{
    size_t n, wrong;

    if (escapes && s->p[0] == '\\') {
        n = take_escape(s, unit);
    } else {
        n = utf8_length((const uint8_t *)s->p, s->n, &wrong);
        if (n == 0)
            n = 1;
        memcpy(unit, s->p, n);
        *s = slice_from(*s, n);
    }
    if (n == 1)
        unit[0] = ascii_lower(unit[0]);
    /* The two characters outside ASCII whose simple case folding is an ASCII letter. */
    if (n == 3 && memcmp(unit, "\xe2\x84\xaa", 3) == 0)
        unit[0] = 'k', n = 1;
    else if (n == 2 && memcmp(unit, "\xc5\xbf", 2) == 0)
        unit[0] = 's', n = 1;
    return n;
}

bool json_key_eq_nocase(struct slice inside, struct slice name)
{
    while (inside.n && name.n) {
        char a[4], b[4];
        size_t an = take_folded(&inside, true, a), bn = take_folded(&name, false, b);

        if (an != bn || memcmp(a, b, an) != 0)
            return false;
    }
    return inside.n == 0 && name.n == 0;
}
