/* Splices stored resources into a config text. */
#include "conf/overlay.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "conf/build.h"
#include "json/scan.h"

enum { TOP_MAX = 64, PIECES = 8 };

static const char *const list_name[STORED_LISTS] = {"providers", "providerKeys", "accessKeyConfigurations"};

struct splice {
    struct arena *a;
    struct slice text;
    struct json_member top[TOP_MAX];
    uint32_t ntop;
    /* What goes in, at ascending offsets. */
    struct {
        size_t at;
        struct slice with;
        size_t lead;      /* bytes of `with` in front of the first item */
        int list;         /* enum stored_list, or -1 */
    } in[PIECES];
    uint32_t nin;
    bool failed;
};

static const struct json_member *top_member(const struct splice *s, const char *name)
{
    char key[64];

    for (uint32_t i = 0; i < s->ntop; i++) {
        ptrdiff_t n = json_unescape(slice_make(s->text.p + s->top[i].key_off, s->top[i].key_len), key, sizeof key);

        if (n >= 0 && slice_eq(slice_make(key, (size_t)n), slice_str(name)))
            return &s->top[i];
    }
    return NULL;
}

/* Kept in order of their places. */
static void insert(struct splice *s, size_t at, struct slice with, size_t lead, int list)
{
    uint32_t i = s->nin;

    if (!with.p || s->nin == PIECES) {
        s->failed = true;
        return;
    }
    for (; i > 0 && s->in[i - 1].at > at; i--)
        s->in[i] = s->in[i - 1];
    s->in[i].at = at;
    s->in[i].with = with;
    s->in[i].lead = lead;
    s->in[i].list = list;
    s->nin++;
}

/* Items go to the end of the container that is member `name`'s value, which is made when it is not there. A value of another type stays, for the
 * reader to complain about. */
static void add(struct splice *s, const char *name, bool list, int which, struct slice items)
{
    const struct json_member *m = top_member(s, name);
    struct slice before;
    size_t end;

    if (!items.n)
        return;
    if (!m) {
        size_t last = s->text.n;

        while (s->text.p[last - 1] != '}')
            last--;
        before = arena_printf(s->a, "%s\"%s\":%c", s->ntop || s->nin ? "," : "", name, list ? '[' : '{');
        insert(s, last - 1, arena_printf(s->a, "%.*s%.*s%c", (int)before.n, before.n ? before.p : "", (int)items.n, items.p, list ? ']' : '}'),
               before.n, which);
        return;
    }
    end = m->val_off + m->val_len;
    if (m->type != (list ? JSON_ARRAY : JSON_OBJECT))
        return;
    before = slice_trim(slice_make(s->text.p + m->val_off + 1, m->val_len - 2)).n ? SLICE(",") : SLICE("");
    insert(s, end - 1, arena_printf(s->a, "%s%.*s", before.p, (int)items.n, items.p), before.n, which);
}

static bool find_top(struct splice *s)
{
    struct json_check c;

    json_check_init(&c, s->top, TOP_MAX);
    if (json_check_feed(&c, s->text.p, s->text.n) == PARSE_BAD || json_check_end(&c) != PARSE_DONE || c.top_type != JSON_OBJECT ||
        c.members > TOP_MAX)
        return false;
    s->ntop = c.members;
    return true;
}

static struct slice gateway_items(struct splice *s, const struct conf_stored *stored)
{
    struct slice items = SLICE("");

    for (uint32_t i = 0; i < stored->ngateway; i++)
        if (!conf_text_sets(s->text, stored->gateway[i].name))
            items = arena_printf(s->a, "%.*s%s\"%s\":%.*s", (int)items.n, items.n ? items.p : "", items.n ? "," : "", stored->gateway[i].name,
                                 (int)stored->gateway[i].value.n, stored->gateway[i].value.p);
    return items;
}

static struct slice join(struct splice *s, struct literal *literal)
{
    size_t total = s->text.n, from = 0;
    char *p, *at;

    for (uint32_t i = 0; i < s->nin; i++)
        total += s->in[i].with.n;
    p = at = arena_take_bytes(s->a, total + 1);
    if (!p || s->failed)
        return slice_make(NULL, 0);
    for (uint32_t i = 0; i < s->nin; i++) {
        memcpy(at, s->text.p + from, s->in[i].at - from);
        at += s->in[i].at - from;
        from = s->in[i].at;
        literal[i] = (struct literal){(size_t)(at - p), s->in[i].with.n};
        memcpy(at, s->in[i].with.p, s->in[i].with.n);
        at += s->in[i].with.n;
    }
    memcpy(at, s->text.p + from, s->text.n - from);
    return slice_make(p, total);
}

/* ---- Where an offset lies. ---- */

struct level {
    bool list;
    uint32_t index;
    struct slice key;
};

static size_t put_level(const struct level *l, char *out, size_t cap)
{
    size_t n = l->list ? (size_t)text_format(out, cap, "[%u]", (unsigned)l->index)
                       : (size_t)text_format(out, cap, ".%.*s", (int)(l->key.n < 64 ? l->key.n : 64), l->key.n ? l->key.p : "");

    return n < cap ? n : cap - 1;
}

/* The text is valid JSON. The path of the innermost value or key that begins at or before `at`. */
static void path_of(struct slice text, size_t at, char *out, size_t cap)
{
    struct level level[JSON_DEPTH_MAX + 1] = {{0}};
    uint32_t depth = 0;
    size_t n = 0;

    for (size_t i = 0; i < text.n && i <= at; i++) {
        struct level *l = &level[depth];
        char c = text.p[i];

        if (c == '{' || c == '[') {
            if (i == at)
                break;
            level[++depth] = (struct level){.list = c == '['};
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',') {
            l->index++;
        } else if (c == '"') {
            size_t end = i + 1, after;

            while (text.p[end] != '"')
                end += text.p[end] == '\\' ? 2 : 1;
            after = end + 1;
            while (after < text.n && memchr(" \t\r\n", text.p[after], 4))
                after++;
            if (after < text.n && text.p[after] == ':')
                l->key = slice_make(text.p + i + 1, end - i - 1);
            i = end;
        }
    }
    out[0] = '\0';
    for (uint32_t d = 1; d <= depth && n + 1 < cap; d++)
        n += put_level(&level[d], out + n, cap - n);
}

/* The number in "list[NUMBER]..."; behind it in *rest. */
static uint32_t first_index(const char *path, const char **rest)
{
    const char *bracket = strchr(path, '[');
    char *end = NULL;
    unsigned long v = bracket ? strtoul(bracket + 1, &end, 10) : 0;

    *rest = end && *end == ']' ? end + 1 + (end[1] == '.') : "";
    return (uint32_t)v;
}

/* Which stored one an offset of the whole lies in. */
static void locate(struct conf_stored_error *error, const struct splice *s, struct slice whole, const struct literal *literal)
{
    size_t at = error->e.at;

    path_of(whole, at, error->path, sizeof error->path);
    memmove(error->path, error->path + (error->path[0] == '.'), strlen(error->path) + (error->path[0] != '.'));
    for (uint32_t i = 0; i < s->nin; i++) {
        char first[STORED_PATH_MAX];
        const char *ignored;

        if (s->in[i].list < 0 || at < literal[i].at + s->in[i].lead || at >= literal[i].at + literal[i].n)
            continue;
        path_of(whole, literal[i].at + s->in[i].lead, first, sizeof first);
        error->list = s->in[i].list;
        error->index = first_index(error->path, &error->inside) - first_index(first, &ignored);
    }
}

/* ---- The whole. ---- */

bool conf_text_sets(struct slice text, const char *gateway_member)
{
    struct splice s = {.text = text};
    const struct json_member *m;
    struct json_member inner[TOP_MAX];
    struct json_check c;

    if (!find_top(&s) || !(m = top_member(&s, "gateway")) || m->type != JSON_OBJECT)
        return false;
    s.text = slice_make(text.p + m->val_off, m->val_len);
    json_check_init(&c, inner, TOP_MAX);
    if (json_check_feed(&c, s.text.p, s.text.n) == PARSE_BAD || json_check_end(&c) != PARSE_DONE)
        return false;
    s.ntop = c.members < TOP_MAX ? c.members : TOP_MAX;
    memcpy(s.top, inner, sizeof inner);
    return top_member(&s, gateway_member) != NULL;
}

struct conf *conf_load_stored(struct slice text, const struct conf_stored *stored, const struct conf_env *env, struct conf_stored_error *error)
{
    struct literal literal[PIECES];
    struct arena a;
    struct splice s = {.a = &a, .text = text};
    const bool no_file = text.p == NULL;
    struct slice whole;
    struct conf *c;

    if (no_file)
        text = SLICE("{}");
    whole = text;
    s.text = text;

    *error = (struct conf_stored_error){.list = -1, .inside = ""};
    arena_init(&a, &mem_heap_source, 1 << 16, 64 << 20);
    if (find_top(&s)) { /* else conf_load says what is wrong with it */
        for (int i = 0; i < STORED_LISTS; i++)
            add(&s, list_name[i], true, i, stored->list[i]);
        add(&s, "gateway", false, -1, gateway_items(&s, stored));
        whole = join(&s, literal);
    }
    if (!whole.p)
        text_format(error->e.text, sizeof error->e.text, "out of memory");
    c = whole.p ? conf_load_literal(whole, no_file, env, literal, s.nin, &error->e) : NULL;
    if (!c && whole.p && error->e.line)
        locate(error, &s, whole, literal);
    if (whole.p && whole.p != text.p)
        explicit_bzero((char *)(uintptr_t)whole.p, whole.n); /* keys */
    for (uint32_t i = 0; i < s.nin; i++)
        explicit_bzero((char *)(uintptr_t)s.in[i].with.p, s.in[i].with.n);
    arena_reset(&a);
    return c;
}
