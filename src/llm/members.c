/* Members of one object, see members.h. All the work is json/scan.c's check; this only finds keys again. */
#include "llm/members.h"

#include "json/str.h"

bool members_read(struct members *m, struct slice text, enum json_type *top)
{
    struct json_check c;

    m->text = text;
    m->count = 0;
    json_check_init(&c, m->member, LLM_MEMBERS_MAX);
    (void)json_check_feed(&c, text.p, text.n);
    if (json_check_end(&c) != PARSE_DONE)
        return false;
    m->count = c.members < LLM_MEMBERS_MAX ? c.members : LLM_MEMBERS_MAX;
    *top = (enum json_type)c.top_type;
    return true;
}

static const struct json_member *find(const struct members *m, const char *name)
{
    struct slice want = slice_str(name);

    for (uint32_t i = m->count; i-- > 0;) {
        const struct json_member *e = &m->member[i];
        struct slice key = slice_make(m->text.p + e->key_off, e->key_len);

        if (e->key_escaped ? json_inside_eq(key, want) : slice_eq(key, want))
            return e;
    }
    return NULL;
}

struct slice members_get(const struct members *m, const char *name, enum json_type *type)
{
    const struct json_member *e = find(m, name);

    *type = e ? (enum json_type)e->type : JSON_NULL;
    return e ? slice_make(m->text.p + e->val_off, e->val_len) : slice_make(NULL, 0);
}

struct slice members_word(const struct members *m, const char *name)
{
    enum json_type type;
    struct slice value = members_get(m, name, &type);

    return type == JSON_STRING ? slice_make(value.p + 1, value.n - 2) : slice_make(NULL, 0);
}

bool value_filled(struct slice value)
{
    if (value.n == 0)
        return false;
    switch (value.p[0]) {
    case 'n':
    case 'f':
        return false;
    case '"':
        return value.n > 2;
    case '{':
    case '[':
        return slice_trim(slice_make(value.p + 1, value.n - 2)).n > 0;
    default:
        return !slice_eq(value, SLICE("0"));
    }
}

bool members_filled(const struct members *m, const char *name)
{
    enum json_type type;

    return value_filled(members_get(m, name, &type));
}

void word_keep(char out[24], struct slice word)
{
    size_t n = word.n < 23 ? word.n : 23;

    if (n == 0)
        return;
    memcpy(out, word.p, n);
    out[n] = '\0';
}
