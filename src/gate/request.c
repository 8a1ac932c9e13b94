/* The request body's members: one table of those the gateway acts on. A name that occurs twice, or in a spelling that only some parsers take for it, is
 * refused, so that what was checked here is what every provider reads (S-33...S-35). */
#include "gate/request.h"

#include "base/text.h"

#include <stdarg.h>

static const struct slice acted_name[REQUEST_MEMBER_COUNT] = {
#define X(id, text) [REQUEST_##id] = {text, sizeof text - 1},
    REQUEST_MEMBERS(X)
#undef X
};

struct slice request_member_name(enum request_member m)
{
    return acted_name[m];
}

__attribute__((format(printf, 3, 4))) static bool wrong(struct request_error *e, const char *param, const char *format, ...)
{
    va_list ap;

    e->param = param;
    va_start(ap, format);
    text_vformat(e->text, sizeof e->text, format, ap);
    va_end(ap);
    return false;
}

static struct slice key_of(struct slice text, const struct json_member *m)
{
    return slice_make(text.p + m->key_off, m->key_len);
}

static struct slice value_of(struct slice text, const struct json_member *m)
{
    return slice_make(text.p + m->val_off, m->val_len);
}

/* Whether a key's beginning rules all acted-on names out. Said of keys without escapes only: then the single byte that
 * may stand for another one there is the first of U+017F, which folds to the 's' of "stream". */
static bool another_name(struct slice key)
{
    char a, b;

    if (key.n < 2)
        return true;
    a = (char)(key.p[0] | 0x20);
    b = (char)(key.p[1] | 0x20);
    if (a == 'm')
        return b != 'o' && b != 'a';
    return a != 's' && key.p[0] != '\xc5';
}

/* Which acted-on name a key is under any spelling, or REQUEST_MEMBER_COUNT. *exact: it is that name after unescaping. */
static enum request_member which(struct slice key, bool escaped, bool *exact)
{
    if (key.n > 6 * JSON_KEY_MAX || (!escaped && another_name(key)))
        return REQUEST_MEMBER_COUNT;
    for (int i = 0; !escaped && i < REQUEST_MEMBER_COUNT; i++)
        if (key.n == acted_name[i].n && slice_eq(key, acted_name[i])) {
            *exact = true;
            return (enum request_member)i;
        }
    for (int i = 0; i < REQUEST_MEMBER_COUNT; i++) {
        char plain[6 * JSON_KEY_MAX];
        ptrdiff_t n;

        if (key.n < acted_name[i].n) /* every other spelling of a letter is longer than the letter */
            continue;
        if (!json_key_eq_nocase(key, acted_name[i]))
            continue;
        n = json_unescape(key, plain, sizeof plain);
        *exact = n >= 0 && slice_eq(slice_make(plain, (size_t)n), acted_name[i]);
        return (enum request_member)i;
    }
    return REQUEST_MEMBER_COUNT;
}

/* A model's name: unescaped, bounded, printable. Copied, because it is told in the log when the body is long gone. */
static bool read_name(struct slice raw, const char *param, struct arena *a, struct slice *out, struct request_error *e)
{
    struct slice inside = slice_make(raw.p + 1, raw.n - 2);

    char plain[6 * MODEL_ID_MAX];
    ptrdiff_t n = inside.n > sizeof plain ? -1 : json_unescape(inside, plain, sizeof plain);

    if (n < 0)
        return wrong(e, param, "A model name in `%s` is longer than %d bytes.", param, MODEL_ID_MAX);
    inside = slice_make(plain, (size_t)n);
    if (inside.n == 0)
        return wrong(e, param, "`%s` names an empty model. Name one, such as \"gpt-4o\" or \"openai:gpt-4o\".", param);
    if (inside.n > MODEL_ID_MAX)
        return wrong(e, param, "A model name in `%s` is longer than %d bytes.", param, MODEL_ID_MAX);
    for (size_t i = 0; i < inside.n; i++)
        if ((unsigned char)inside.p[i] < 0x20 || inside.p[i] == 0x7F)
            return wrong(e, param, "A model name in `%s` holds a control character.", param);
    *out = arena_copy(a, inside);
    return out->p || wrong(e, param, "There is no memory left for this request.");
}

static bool read_models(struct slice raw, struct arena *a, struct request_asks *out, struct request_error *e)
{
    struct json_doc d;

    /* jsmn only on this span, which passed the check as part of the body. */
    if (raw.n > (MODELS_MAX + 1) * (6 * MODEL_ID_MAX + 16) || !json_parse(&d, raw, a))
        return wrong(e, "models", "`models` must be an array of at most %d model names.", MODELS_MAX);
    if (json_size(&d, 0) > MODELS_MAX)
        return wrong(e, "models", "`models` holds %d names; at most %d are allowed.", json_size(&d, 0), MODELS_MAX);
    for (int t = json_first(&d, 0); t >= 0; t = json_next(&d, t)) {
        struct slice inside = json_raw(&d, t);

        if (json_type_of(&d, t) != JSON_STRING)
            return wrong(e, "models", "`models` must be an array of strings.");
        if (!read_name(slice_make(inside.p - 1, inside.n + 2), "models", a, &out->model[out->nmodels], e))
            return false;
        out->nmodels++;
    }
    return true;
}

bool request_read(struct slice text, const struct json_member *member, uint32_t n, struct arena *a, struct request_asks *out,
              struct request_error *e)
{
    int16_t *at = out->at;

    out->nmodels = 0;
    out->stream = false;
    for (int i = 0; i < REQUEST_MEMBER_COUNT; i++)
        at[i] = -1;
    for (uint32_t i = 0; i < n; i++) {
        bool exact = false;
        enum request_member k = which(key_of(text, &member[i]), member[i].key_escaped, &exact);

        if (k == REQUEST_MEMBER_COUNT)
            continue;
        if (at[k] >= 0)
            return wrong(e, acted_name[k].p, "`%s` occurs twice (any spelling counts). Send it once.", acted_name[k].p);
        if (!exact)
            return wrong(e, acted_name[k].p, "A key differs from `%s` only in case. Spell it `%s`.", acted_name[k].p,
                         acted_name[k].p);
        at[k] = (int16_t)i;
    }
    if (at[REQUEST_MODEL] >= 0) {
        const struct json_member *m = &member[at[REQUEST_MODEL]];

        if (m->type != JSON_STRING)
            return wrong(e, "model", "`model` must be a string, such as \"gpt-4o\" or \"openai:gpt-4o\".");
        if (!read_name(value_of(text, m), "model", a, &out->model[0], e))
            return false;
        out->nmodels = 1;
    }
    if (at[REQUEST_MODELS] >= 0) {
        if (member[at[REQUEST_MODELS]].type != JSON_ARRAY)
            return wrong(e, "models", "`models` must be an array of strings.");
        if (!read_models(value_of(text, &member[at[REQUEST_MODELS]]), a, out, e))
            return false;
    }
    if (out->nmodels == 0)
        return wrong(e, "model", "The request names no model. Set `model`, or `models` to a list to try in order.");
    if (at[REQUEST_STREAM] >= 0) {
        const struct json_member *m = &member[at[REQUEST_STREAM]];

        if (m->type != JSON_TRUE && m->type != JSON_FALSE && m->type != JSON_NULL)
            return wrong(e, "stream", "`stream` must be true or false.");
        out->stream = m->type == JSON_TRUE;
    }
    for (int i = REQUEST_MAX_TOKENS; i <= REQUEST_MAX_OUTPUT_TOKENS; i++)
        if (at[i] >= 0 && member[at[i]].type != JSON_NUMBER && member[at[i]].type != JSON_NULL)
            return wrong(e, acted_name[i].p, "`%s` must be a number.", acted_name[i].p);
    return true;
}
