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

static void put(struct json_out *o, const char *p, size_t n)
{
    if (o->full || n > o->cap - o->n) {
        o->full = true;
        return;
    }
    if (n)
        memcpy(o->p + o->n, p, n);
    o->n += n;
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

void json_key(struct json_out *o, const char *name)
{
    json_out_str(o, slice_str(name));
    put(o, ":", 1);
    o->comma = false;
}

void json_out_str(struct json_out *o, struct slice s)
{
    item(o);
    put(o, "\"", 1);
    put_inside(o, s);
    put(o, "\"", 1);
}

void json_out_str_max(struct json_out *o, struct slice s, size_t max)
{
    size_t cut = s.n;

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
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    item(o);
    put(o, digits + at, sizeof(digits) - at);
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
