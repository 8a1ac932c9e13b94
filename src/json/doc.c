/* Documents as jsmn tokens, for small texts that the gateway reads. The only file that includes jsmn.
 * jsmn sees nothing that the check has not passed, and gets exactly the tokens the check counted: it
 * accepts far too much on its own, and is quadratic in depth, which the check caps.
 *
 * Tokens are in document order: an object's or array's descendants follow it, a key's only child is its
 * value. Every walk below goes forward and ends where the parent's text ends. */
#include <limits.h>
#include <string.h>

#include "json/scan.h"
#include "json/str.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* a header library cannot be built without our warnings */
#include "jsmn/jsmn.h"
#pragma GCC diagnostic pop

static const jsmntok_t *token(const struct json_doc *d, int tok)
{
    const jsmntok_t *all = d->tok;

    return tok >= 0 && tok < d->count ? &all[tok] : NULL;
}

bool json_parse(struct json_doc *d, struct slice text, struct arena *a)
{
    struct json_check c;
    jsmn_parser parser;
    jsmntok_t *all;

    *d = (struct json_doc){.text = text};
    json_check_init(&c, NULL, 0);
    json_check_feed(&c, text.p, text.n);
    if (json_check_end(&c) != PARSE_DONE || c.tokens > JSON_TOKENS_MAX || text.n > INT_MAX)
        return false;
    all = arena_take(a, (size_t)c.tokens * sizeof(*all));
    if (!all)
        return false;
    if (c.top_type < JSON_STRING) {
        /* A number or literal alone, which strict jsmn refuses. */
        struct slice s = slice_trim(text);
        int start = (int)(s.p - text.p);

        all[0] = (jsmntok_t){JSMN_PRIMITIVE, start, start + (int)s.n, 0, -1};
    } else {
        jsmn_init(&parser);
        must(jsmn_parse(&parser, text.p, text.n, all, (unsigned)c.tokens) == (int)c.tokens);
    }
    d->tok = all;
    d->count = (int)c.tokens;
    return true;
}

static enum json_type primitive_type(char first)
{
    switch (first) {
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

enum json_type json_type_of(const struct json_doc *d, int tok)
{
    const jsmntok_t *t = token(d, tok);

    if (!t)
        return JSON_NULL;
    switch (t->type) {
    case JSMN_OBJECT:
        return JSON_OBJECT;
    case JSMN_ARRAY:
        return JSON_ARRAY;
    case JSMN_STRING:
        return JSON_STRING;
    case JSMN_PRIMITIVE:
        return primitive_type(d->text.p[t->start]);
    case JSMN_UNDEFINED:
        break;
    }
    must(t->type != JSMN_UNDEFINED);
    return JSON_NULL;
}

int json_size(const struct json_doc *d, int tok)
{
    const jsmntok_t *t = token(d, tok);

    return t && (t->type == JSMN_OBJECT || t->type == JSMN_ARRAY) ? t->size : 0;
}

int json_first(const struct json_doc *d, int container)
{
    return json_size(d, container) > 0 ? container + 1 : -1;
}

int json_next(const struct json_doc *d, int tok)
{
    const jsmntok_t *t = token(d, tok), *parent = t ? token(d, t->parent) : NULL, *u;

    if (!parent)
        return -1;
    for (int i = tok + 1; (u = token(d, i)) != NULL && u->start < parent->end; i++)
        if (u->parent == t->parent)
            return i;
    return -1;
}

int json_value(const struct json_doc *d, int key)
{
    const jsmntok_t *t = token(d, key + 1);

    return key >= 0 && t && t->parent == key ? key + 1 : -1;
}

static int get(const struct json_doc *d, int object, struct slice name)
{
    int found = -1;

    if (json_type_of(d, object) != JSON_OBJECT)
        return -1;
    for (int key = json_first(d, object); key >= 0; key = json_next(d, key))
        if (json_inside_eq(json_raw(d, key), name))
            found = json_value(d, key);
    return found;
}

int json_get(const struct json_doc *d, int object, const char *name)
{
    return get(d, object, slice_str(name));
}

static int element(const struct json_doc *d, int array, struct slice index)
{
    uint64_t i;
    int tok;

    if (!slice_u64(index, &i) || i >= (uint64_t)json_size(d, array))
        return -1;
    for (tok = json_first(d, array); i > 0; i--)
        tok = json_next(d, tok);
    return tok;
}

int json_path(const struct json_doc *d, int from, const char *path)
{
    struct slice rest = slice_str(path);

    while (rest.n && token(d, from)) {
        ptrdiff_t dot = slice_find_char(rest, '.');
        struct slice step = dot < 0 ? rest : slice_first(rest, (size_t)dot);

        from = json_type_of(d, from) == JSON_ARRAY ? element(d, from, step) : get(d, from, step);
        rest = slice_from(rest, step.n + 1);
    }
    return token(d, from) ? from : -1;
}

size_t json_offset(const struct json_doc *d, int tok)
{
    const jsmntok_t *t = token(d, tok);

    if (!t)
        return 0;
    return (size_t)t->start - (t->type == JSMN_STRING); /* jsmn's string begins behind its quote */
}

struct slice json_raw(const struct json_doc *d, int tok)
{
    const jsmntok_t *t = token(d, tok);

    return t ? slice_make(d->text.p + t->start, (size_t)(t->end - t->start)) : slice_make(NULL, 0);
}

bool json_str(const struct json_doc *d, int tok, struct arena *a, struct slice *out)
{
    struct slice inside = json_raw(d, tok);
    ptrdiff_t n;
    char *p;

    if (!token(d, tok) || json_type_of(d, tok) != JSON_STRING)
        return false;
    if (slice_find_char(inside, '\\') < 0) {
        *out = inside;
        return true;
    }
    p = arena_take_bytes(a, inside.n);
    if (!p)
        return false;
    n = json_unescape(inside, p, inside.n);
    must(n >= 0); /* an escape is never shorter than what it stands for */
    *out = slice_make(p, (size_t)n);
    return true;
}

bool json_str_is(const struct json_doc *d, int tok, const char *expected)
{
    return token(d, tok) && json_type_of(d, tok) == JSON_STRING &&
           json_inside_eq(json_raw(d, tok), slice_str(expected));
}

bool json_i64(const struct json_doc *d, int tok, int64_t *out)
{
    return json_type_of(d, tok) == JSON_NUMBER && slice_i64(json_raw(d, tok), out);
}

bool json_u64(const struct json_doc *d, int tok, uint64_t *out)
{
    return json_type_of(d, tok) == JSON_NUMBER && slice_u64(json_raw(d, tok), out);
}

bool json_bool(const struct json_doc *d, int tok, bool *out)
{
    enum json_type type = json_type_of(d, tok);

    if (type != JSON_TRUE && type != JSON_FALSE)
        return false;
    *out = type == JSON_TRUE;
    return true;
}

void json_line_column(struct slice text, size_t offset, unsigned *line, unsigned *column)
{
    size_t line_off = 0;

    *line = 1;
    for (size_t i = 0; i < offset && i < text.n; i++)
        if (text.p[i] == '\n') {
            ++*line;
            line_off = i + 1;
        }
    *column = (unsigned)(offset - line_off) + 1;
}

bool json_filled(const struct json_doc *d, int tok)
{
    switch (json_type_of(d, tok)) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_STRING:
        return json_raw(d, tok).n > 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_size(d, tok) > 0;
    case JSON_TRUE:
    case JSON_NUMBER:
        break;
    }
    return true;
}
