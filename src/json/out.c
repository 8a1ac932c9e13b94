/* A JSON writer into fixed memory. It keeps the commas; that brackets match and that a member has a key is
 * the caller's business, checked as far as one counter can. */
#include "json/out.h"

#include <string.h>

#include "base/must.h"
#include "json/simd.h"
#include "json/utf8.h"

void json_out_init(struct json_out *o, char *memory, size_t cap)
{
    *o = (struct json_out){.p = memory, .cap = cap};
}

static inline void put(struct json_out *o, const char *p, size_t n)
{
    char *to = o->p + o->n;

    if (o->full || n > o->cap - o->n) {
        o->full = true;
        return;
    }
    o->n += n;
    if (n > 16) {
        memcpy(to, p, n);
    } else if (n >= 8) { /* most pieces are short, and for those two moves beat a call */
        memcpy(to, p, 8);
        memcpy(to + n - 8, p + n - 8, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = p[i];
    }
}

/* Before every value: the comma that is due, and after it one is due. */
static void item(struct json_out *o)
{
    if (o->comma)
        put(o, ",", 1);
    o->comma = true;
}

void json_open(struct json_out *o, char bracket)
{
    must(bracket == '{' || bracket == '[');
    must(o->depth < UINT8_MAX);
    item(o);
    put(o, &bracket, 1);
    o->depth++;
    o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
    must(bracket == '}' || bracket == ']');
    must(o->depth > 0);
    put(o, &bracket, 1);
    o->depth--;
    o->comma = true;
}

static void put_escape(struct json_out *o, uint8_t c)
{
    static const char hex[] = "0123456789abcdef", letter[] = "btnvfr"; /* from 8 on */
    char e[6] = {'\\', 'u', '0', '0', 0, 0};

    if (c == '"' || c == '\\') {
        e[1] = (char)c;
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
        e[1] = letter[c - '\b'];
    } else {
        e[4] = hex[c >> 4];
        e[5] = hex[c & 15];
        put(o, e, 6);
        return;
    }
    put(o, e, 2);
}

static void put_inside(struct json_out *o, struct slice s)
{
    const struct json_simd *simd = json_simd_now();
    const uint8_t *p = (const uint8_t *)s.p, *end = s.n ? p + s.n : p;

    while (p < end && !o->full) {
        size_t n = simd->plain(p, (size_t)(end - p)), wrong;

        put(o, (const char *)p, n);
        p += n;
        while (p < end && *p >= 0x80) {
            n = utf8_length(p, (size_t)(end - p), &wrong);
            if (n)
                put(o, (const char *)p, n);
            else
                put(o, "\xef\xbf\xbd", 3);
            p += n ? n : wrong;
        }
        if (p < end && (*p < 0x20 || *p == '"' || *p == '\\'))
            put_escape(o, *p++);
    }
}

/* Up to here strings are copied and checked in one go, by machine words; a call of the block search pays only above. */
enum { SHORT_MAX = 96 };

/* Copies the n bytes and tells whether every one is plain, in which case the copy is what was wanted. */
static inline bool copy_plain(char *to, const char *from, size_t n)
{
    uint64_t w, special = 0;

    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&w, from + i, 8);
            special |= json_word_special((const uint8_t *)&w);
            memcpy(to + i, &w, 8);
        }
        memcpy(&w, from + n - 8, 8); /* overlaps the word before it instead of counting bytes */
        memcpy(to + n - 8, &w, 8);
        return (special | json_word_special((const uint8_t *)&w)) == 0;
    }
    if (n >= 4) {
        uint32_t half[2];

        memcpy(&half[0], from, 4);
        memcpy(&half[1], from + n - 4, 4);
        memcpy(to, &half[0], 4);
        memcpy(to + n - 4, &half[1], 4);
        w = (uint64_t)half[1] << 32 | half[0];
        return json_word_special((const uint8_t *)&w) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        special |= !json_is_plain((uint8_t)from[i]);
    }
    return special == 0;
}

/* The string with its comma in one go; false, and nothing written, when it is long, has something to escape, or may not
 * fit: then the long way decides. */
static inline bool put_short(struct json_out *o, struct slice s)
{
    char *to = o->p + o->n;

    if (s.n > SHORT_MAX || o->full || o->cap - o->n < s.n + 3)
        return false;
    *to = ',';
    to += o->comma;
    *to++ = '"';
    if (!copy_plain(to, s.p, s.n))
        return false;
    to += s.n;
    *to++ = '"';
    o->n = (size_t)(to - o->p);
    o->comma = true;
    return true;
}

void json_key(struct json_out *o, const char *name)
{
    json_out_str(o, slice_str(name));
    put(o, ":", 1);
    o->comma = false;
}

void json_out_str(struct json_out *o, struct slice s)
{
    if (put_short(o, s))
        return;
    item(o);
    put(o, "\"", 1);
    put_inside(o, s);
    put(o, "\"", 1);
}

void json_out_str_max(struct json_out *o, struct slice s, size_t max)
{
    size_t cut = s.n;

    if (cut <= max && put_short(o, s))
        return;
    if (cut > max) {
        /* Back to where the character that crosses the cut begins. A run of stray continuation bytes has
         * no such place: no character is longer than four bytes, so neither is the way back. */
        for (cut = max; cut > 0 && max - cut < 3 && ((uint8_t)s.p[cut] & 0xc0) == 0x80; cut--)
            continue;
    }
    item(o);
    put(o, "\"", 1);
    put_inside(o, slice_first(s, cut));
    if (cut < s.n)
        put(o, "...", 3);
    put(o, "\"", 1);
}

void json_out_u64(struct json_out *o, uint64_t v)
{
    char digits[20], *to = digits;
    unsigned n = 1;
    bool fits = !o->full && o->cap - o->n > sizeof digits; /* straight to its place, with a comma, as nearly always */

    for (uint64_t limit = 10; n < sizeof digits && v >= limit; limit *= 10)
        n++;
    if (fits) {
        to = o->p + o->n;
        *to = ',';
        to += o->comma;
        o->comma = true;
        o->n = (size_t)(to - o->p) + n;
    }
    for (unsigned i = n; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    if (!fits) {
        item(o);
        put(o, digits, n);
    }
}

void json_out_i64(struct json_out *o, int64_t v)
{
    if (v >= 0) {
        json_out_u64(o, (uint64_t)v);
        return;
    }
    item(o);
    put(o, "-", 1);
    o->comma = false;
    json_out_u64(o, -(uint64_t)v);
}

void json_out_bool(struct json_out *o, bool v)
{
    item(o);
    put(o, v ? "true" : "false", v ? 4 : 5);
}

void json_out_null(struct json_out *o)
{
    item(o);
    put(o, "null", 4);
}

void json_out_raw(struct json_out *o, struct slice valid_json)
{
    item(o);
    put(o, valid_json.p, valid_json.n);
}
