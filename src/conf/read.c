/* The pull reader. The text is valid JSON (conf_load checks it first), so that the walking below needs no error paths of
 * its own: only meaning can be wrong from here on. */
#include "conf/read.h"

#include <stdarg.h>

#include "base/must.h"
#include "base/text.h"
#include "conf/value.h"

enum { SUGGEST_MAX = 3, NAME_SHOWN_MAX = 64, EDIT_MAX = 48 };

bool read_fail(struct reader *r, ptrdiff_t at, const char *format, ...)
{
    va_list ap;

    if (r->failed)
        return false;
    r->failed = true;
    r->error->line = r->error->column = 0;
    r->error->at = at >= 0 ? (size_t)at : 0;
    if (at >= 0)
        json_line_column(r->text, (size_t)at, &r->error->line, &r->error->column);
    va_start(ap, format);
    text_vformat(r->error->text, sizeof(r->error->text), format, ap);
    va_end(ap);
    return false;
}

/* ---- Walking. ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_blank(struct reader *r)
{
    while (r->at < r->text.n && blank(r->text.p[r->at]))
        r->at++;
}

static char here(const struct reader *r)
{
    return r->at < r->text.n ? r->text.p[r->at] : '\0';
}

/* From the opening quote to behind the closing one. */
static void skip_string(struct reader *r)
{
    const char *p = r->text.p + r->at + 1, *end = r->text.p + r->text.n;

    while (p < end && *p != '"') {
        if (*p != '\\') /* a branch, not arithmetic: the next byte need not wait for this one */
            p++;
        else
            p += end - p > 1 ? 2 : 1;
    }
    r->at = p < end ? (size_t)(p + 1 - r->text.p) : r->text.n;
}

void read_skip(struct reader *r)
{
    size_t depth = 0;

    skip_blank(r);
    do {
        char c = here(r);

        if (c == '"') {
            skip_string(r);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        r->at++;
        if (depth == 0 && c != '}' && c != ']') /* a number or a word: up to what ends it */
            for (; r->at < r->text.n; r->at++) {
                c = r->text.p[r->at];
                if (c == ',' || c == ']' || c == '}' || blank(c))
                    break;
            }
    } while (depth && r->at < r->text.n);
}

enum json_type read_type(const struct reader *r)
{
    switch (here(r)) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default: /* not one of our enums: the grammar leaves only numbers */
        return JSON_NUMBER;
    }
}

static const char *type_text(enum json_type t)
{
    static const char *const text[] = {
        [JSON_NULL] = "null",       [JSON_FALSE] = "false",     [JSON_TRUE] = "true",    [JSON_NUMBER] = "a number",
        [JSON_STRING] = "a string", [JSON_ARRAY] = "a list", [JSON_OBJECT] = "an object",
    };

    return text[t];
}

static bool wrong_type(struct reader *r, const char *what, const char *wanted)
{
    return read_fail(r, (ptrdiff_t)r->at, "%s must be %s, not %s", what, wanted, type_text(read_type(r)));
}

uint32_t read_count(struct reader *r)
{
    size_t start = r->at;
    uint32_t n = 0;
    enum json_type t;

    skip_blank(r);
    t = read_type(r);
    if (r->failed || (t != JSON_ARRAY && t != JSON_OBJECT))
        return 0;
    r->at++;
    skip_blank(r);
    while (here(r) != ']' && here(r) != '}') {
        if (t == JSON_OBJECT) {
            skip_string(r);
            skip_blank(r);
            r->at++; /* colon */
        }
        read_skip(r);
        n++;
        skip_blank(r);
        if (here(r) == ',')
            r->at++;
        skip_blank(r);
    }
    r->at = start;
    return n;
}

/* Unescapes when needed; the result lives in the text or the scratch arena. */
static bool string_here(struct reader *r, struct slice *out)
{
    size_t start = r->at + 1;
    struct slice inside;
    char *copy;
    ptrdiff_t n;

    skip_string(r);
    inside = slice_make(r->text.p + start, r->at - 1 - start);
    if (slice_find_char(inside, '\\') < 0) {
        *out = inside;
        return true;
    }
    copy = arena_take_bytes(r->scratch, inside.n + 1);
    n = copy ? json_unescape(inside, copy, inside.n) : -1;
    if (n < 0)
        return read_fail(r, (ptrdiff_t)start - 1, "out of memory");
    *out = slice_make(copy, (size_t)n);
    return true;
}

/* ---- Objects and arrays. ---- */

bool read_object(struct reader *r, struct read_object *o, const char *what, const char *const *names)
{
    *o = (struct read_object){.names = names, .what = what};
    if (r->failed)
        return false;
    skip_blank(r);
    if (here(r) != '{')
        return wrong_type(r, what, "an object");
    o->at = r->at++;
    o->open = true;
    return true;
}

static int name_index(const struct read_object *o, struct slice key)
{
    for (int i = 0; o->names[i]; i++)
        if (slice_eq(key, slice_str(o->names[i])))
            return i;
    return -1;
}

static int unknown_name(struct reader *r, const struct read_object *o)
{
    char hint[256];

    read_suggest(o->key, o->names, hint, sizeof(hint));
    read_fail(r, (ptrdiff_t)o->key_at, "unknown name \"%.*s\" in %s%s",
              (int)(o->key.n < NAME_SHOWN_MAX ? o->key.n : NAME_SHOWN_MAX), o->key.p, o->what, hint);
    return -1;
}

int read_member(struct reader *r, struct read_object *o)
{
    while (o->open && !r->failed) {
        int i = 0;

        skip_blank(r);
        if (here(r) == ',')
            r->at++;
        skip_blank(r);
        if (here(r) == '}') {
            r->at++;
            o->open = false;
            return -1;
        }
        o->key_at = r->at;
        if (!string_here(r, &o->key))
            return -1;
        skip_blank(r);
        r->at++; /* colon */
        skip_blank(r);
        if (!o->names)
            return 0;
        i = name_index(o, o->key);
        if (i < 0)
            return unknown_name(r, o);
        must(i < 32);
        if (o->seen & 1u << i) {
            read_fail(r, (ptrdiff_t)o->key_at, "\"%s\" is given twice in %s", o->names[i], o->what);
            return -1;
        }
        if (read_type(r) == JSON_NULL && !(o->nulls & 1u << i)) {
            read_skip(r);
            continue;
        }
        o->seen |= 1u << i;
        return i;
    }
    return -1;
}

bool read_need(struct reader *r, const struct read_object *o, int name)
{
    if (r->failed)
        return false;
    return (o->seen & 1u << name) || read_fail(r, (ptrdiff_t)o->at, "%s needs \"%s\"", o->what, o->names[name]);
}

bool read_array(struct reader *r, struct read_array *a, const char *what)
{
    *a = (struct read_array){.what = what};
    if (r->failed)
        return false;
    skip_blank(r);
    if (here(r) != '[')
        return wrong_type(r, what, "a list");
    r->at++;
    a->open = true;
    return true;
}

bool read_element(struct reader *r, struct read_array *a)
{
    if (r->failed || !a->open)
        return false;
    skip_blank(r);
    if (here(r) == ',')
        r->at++;
    skip_blank(r);
    if (here(r) == ']') {
        r->at++;
        a->open = false;
    }
    return a->open;
}

/* ---- Strings. ---- */

bool read_string(struct reader *r, const char *what, struct slice *out, size_t *at)
{
    *out = slice_make(NULL, 0);
    if (r->failed)
        return false;
    skip_blank(r);
    if (at)
        *at = r->at;
    if (here(r) != '"')
        return wrong_type(r, what, "a string");
    return string_here(r, out);
}

static bool from_environment(struct reader *r, const char *what, struct slice name, size_t at, struct slice *out)
{
    char text[256];
    const char *value;

    if (name.n == 0 || name.n >= sizeof(text) || slice_find_char(name, '\0') >= 0 || slice_find_char(name, '=') >= 0)
        return read_fail(r, (ptrdiff_t)at, "%s: \"env:\" needs the name of an environment variable", what);
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    value = r->env->getenv(r->env->user, text);
    *out = value ? slice_trim(slice_str(value)) : slice_make(NULL, 0);
    return value || read_fail(r, (ptrdiff_t)at, "%s: the environment variable %s is not set", what, text);
}

static bool from_file(struct reader *r, const char *what, struct slice path, size_t at, struct slice *out)
{
    struct slice whole;

    if (path.n == 0 || slice_find_char(path, '\0') >= 0)
        return read_fail(r, (ptrdiff_t)at, "%s: \"file:\" needs a path", what);
    if (!r->env->read_file(r->env->user, path, r->scratch, &whole))
        return read_fail(r, (ptrdiff_t)at, "%s: the file %.*s can't be read (or is larger than 1 MiB)", what,
                         (int)(path.n < 300 ? path.n : 300), path.p);
    *out = slice_trim(whole);
    return true;
}

static bool is_literal(const struct reader *r, size_t at)
{
    for (uint32_t i = 0; i < r->nliteral; i++)
        if (at - r->literal[i].at < r->literal[i].n)
            return true;
    return false;
}

static bool follow(struct reader *r, const char *what, bool maybe_unset, size_t at, struct slice *s)
{
    struct slice source = is_literal(r, at) ? SLICE("") : *s;
    bool env = slice_starts(source, SLICE("env:"));

    if (env && maybe_unset) {
        struct conf_error unset = *r->error;
        struct conf_error *kept = r->error;

        r->error = &unset; /* not an error here: the empty result says it */
        if (!from_environment(r, what, slice_from(source, 4), at, s)) {
            r->failed = false;
            *s = slice_make(NULL, 0);
        }
        r->error = kept;
        return true;
    }
    if (env && !from_environment(r, what, slice_from(source, 4), at, s))
        return false;
    if (slice_starts(source, SLICE("file:")) && !from_file(r, what, slice_from(source, 5), at, s))
        return false;
    *s = slice_trim(*s);
    if (s->n)
        return true;
    if (env)
        return read_fail(r, (ptrdiff_t)at, "%s: the environment variable %.*s is empty", what,
                         (int)(source.n < 260 ? source.n - 4 : 256), source.p + 4);
    return read_fail(r, (ptrdiff_t)at, "%s is empty", what);
}

bool read_setting(struct reader *r, const char *what, bool maybe_unset, struct slice *out, size_t *at)
{
    size_t start;

    if (!read_string(r, what, out, &start))
        return false;
    if (at)
        *at = start;
    return follow(r, what, maybe_unset, start, out);
}

/* ---- Other scalars. ---- */

/* The text of a value that is not a plain string: as it stands, or from the environment or a file. string_ok: the value is
 * written as a string anyway; number_ok: as a number. */
static bool scalar(struct reader *r, const char *what, const char *wanted, bool string_ok, bool number_ok,
                   struct slice *out, size_t *at)
{
    enum json_type t;
    struct slice rest;

    if (r->failed)
        return false;
    skip_blank(r);
    *at = r->at;
    t = read_type(r);
    rest = slice_from(r->text, r->at);
    if (t == JSON_STRING &&
        (string_ok || slice_starts(rest, SLICE("\"env:")) || slice_starts(rest, SLICE("\"file:"))))
        return read_setting(r, what, false, out, at);
    if (t != JSON_NUMBER || !number_ok)
        return wrong_type(r, what, wanted);
    read_skip(r);
    *out = slice_make(r->text.p + *at, r->at - *at);
    return true;
}

bool read_bool(struct reader *r, const char *what, bool *out)
{
    static const char wanted[] = "true or false";
    struct slice s;
    enum json_type t;
    size_t at;

    if (r->failed)
        return false;
    skip_blank(r);
    t = read_type(r);
    *out = t == JSON_TRUE;
    if (t == JSON_TRUE || t == JSON_FALSE) {
        read_skip(r);
        return true;
    }
    if (!scalar(r, what, wanted, false, false, &s, &at))
        return false;
    *out = slice_eq(s, SLICE("true"));
    return *out || slice_eq(s, SLICE("false")) || read_fail(r, (ptrdiff_t)at, "%s must be %s", what, wanted);
}

static bool in_range(struct reader *r, const char *what, size_t at, uint64_t v, uint64_t min, uint64_t max)
{
    if (v >= min && v <= max)
        return true;
    return read_fail(r, (ptrdiff_t)at, "%s must be between %llu and %llu", what, (unsigned long long)min,
                     (unsigned long long)max);
}

bool read_u64(struct reader *r, const char *what, uint64_t min, uint64_t max, uint64_t *out)
{
    struct slice s;
    size_t at;

    if (!scalar(r, what, "a whole number", false, true, &s, &at))
        return false;
    if (!slice_u64(s, out))
        return read_fail(r, (ptrdiff_t)at, "%s must be a whole number", what);
    return in_range(r, what, at, *out, min, max);
}

bool read_u32(struct reader *r, const char *what, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (!read_u64(r, what, min, max, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool read_size(struct reader *r, const char *what, uint64_t min, uint64_t max, uint64_t *out)
{
    struct slice s;
    size_t at;

    if (!scalar(r, what, "a size such as 33554432 or \"256MiB\"", true, true, &s, &at))
        return false;
    if (!value_size(s, out))
        return read_fail(r, (ptrdiff_t)at, "%s must be a size such as 33554432 or \"256MiB\"", what);
    return in_range(r, what, at, *out, min, max);
}

bool read_duration(struct reader *r, const char *what, uint32_t min_ms, uint32_t *ms)
{
    struct slice s;
    size_t at;

    if (!scalar(r, what, "a duration such as \"30s\" or \"1m30s\"", true, false, &s, &at))
        return false;
    if (!conf_duration_ms(s, ms))
        return read_fail(r, (ptrdiff_t)at, "%s must be a duration such as \"30s\", \"1m30s\" or \"500ms\", 24h at most", what);
    if (*ms < min_ms)
        return read_fail(r, (ptrdiff_t)at, "%s must be at least %ums", what, min_ms);
    return true;
}

bool read_millionths(struct reader *r, const char *what, uint64_t *out)
{
    static const char *const wanted = "a number of dollars, not negative, with six decimals at most";
    struct slice s, whole, part;
    ptrdiff_t dot;
    uint64_t fraction = 0;
    size_t at;

    if (r->failed)
        return false;
    skip_blank(r);
    at = r->at;
    if (read_type(r) != JSON_NUMBER)
        return wrong_type(r, what, wanted);
    read_skip(r);
    s = slice_make(r->text.p + at, r->at - at);
    dot = slice_find_char(s, '.');
    whole = dot < 0 ? s : slice_first(s, (size_t)dot);
    part = dot < 0 ? slice_make(NULL, 0) : slice_from(s, (size_t)dot + 1);
    while (part.n && part.p[part.n - 1] == '0')
        part.n--;
    if (part.n > 6 || (part.n && !slice_u64(part, &fraction)) || !slice_u64(whole, out) || *out > 1000000000)
        return read_fail(r, (ptrdiff_t)at, "%s must be %s", what, wanted);
    for (size_t i = part.n; i < 6; i++)
        fraction *= 10;
    *out = *out * 1000000 + fraction;
    return true;
}

/* ---- Proposals. ---- */

/* Edit distance with case folded, for short names; large for long ones. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned row[EDIT_MAX + 1];

    if (a.n > EDIT_MAX || b.n > EDIT_MAX)
        return UINT32_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]) ? 0 : 1;
            unsigned best = diagonal + same;

            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}

void read_suggest(struct slice name, const char *const *names, char *out, size_t cap)
{
    unsigned best = UINT32_MAX, limit = 2 + (unsigned)(name.n < EDIT_MAX ? name.n : EDIT_MAX) / 4, shown = 0;
    bool near;
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; names[i]; i++)
        if (distance(name, slice_str(names[i])) < best)
            best = distance(name, slice_str(names[i]));
    near = best <= limit;
    for (size_t i = 0; names[i] && (!near || shown < SUGGEST_MAX); i++) {
        const char *before = near ? (shown ? " or " : " (did you mean ") : (shown ? ", " : " (known: ");
        int wrote;

        if (near && distance(name, slice_str(names[i])) > best + 1)
            continue;
        if (near && distance(name, slice_str(names[i])) > limit)
            continue;
        wrote = text_format(out + n, cap - n, "%s\"%s\"", before, names[i]);
        if (wrote < 0 || (size_t)wrote >= cap - n - 2) /* room for the end */
            break;
        n += (size_t)wrote;
        shown++;
    }
    if (shown)
        text_format(out + n, cap - n, near ? "?)" : ")");
    else
        out[0] = '\0';
}
