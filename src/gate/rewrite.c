/* The edits of one attempt, made anew for each from the untouched body. They are added in the order of the members, because that is how edits
 * are kept. */
#include "gate/rewrite.h"

#include "json/out.h"

static struct slice key_of(const struct rewrite *r, const struct json_member *m)
{
    return slice_make(r->text.p + m->key_off, m->key_len);
}

static bool listed(const struct slice *name, uint32_t n, struct slice key)
{
    for (uint32_t i = 0; i < n; i++)
        if (slice_eq(name[i], key))
            return true;
    return false;
}

/* Parameters the provider's surface or the model does not take. The model itself always goes along. */
static bool stripped(const struct rewrite *r, uint32_t i)
{
    const struct provider *p = r->key->provider;
    const struct param_list *list = p->params ? &p->params[surface_declared(r->surface)] : NULL;
    struct slice key = key_of(r, &r->member[i]);

    if ((int32_t)i == r->at[REQUEST_MODEL])
        return false;
    if (list && list->limited && !listed(list->name, list->n, key))
        return true;
    return r->known && listed(r->known->unsupported, r->known->nunsupported, key);
}

/* Where the output cap goes: the field the client used, else the one this surface and provider have. */
static enum request_member cap_field(const struct rewrite *r)
{
    enum dialect d = r->key->provider->dialect;

    if (r->surface == SURFACE_RESPONSES)
        return REQUEST_MAX_OUTPUT_TOKENS;
    if (r->surface != SURFACE_CHAT || r->at[REQUEST_MAX_TOKENS] >= 0)
        return REQUEST_MAX_TOKENS;
    if (r->at[REQUEST_MAX_COMPLETION_TOKENS] >= 0)
        return REQUEST_MAX_COMPLETION_TOKENS;
    /* Imitators know only the old name; OpenAI's newer models only the new one. */
    return r->key->provider->builtin && d == DIALECT_OPENAI ? REQUEST_MAX_COMPLETION_TOKENS : REQUEST_MAX_TOKENS;
}

static bool generates(enum surface s)
{
    return s == SURFACE_CHAT || s == SURFACE_RESPONSES || s == SURFACE_MESSAGES || s == SURFACE_COMPLETIONS;
}

static bool above(struct slice value, uint64_t cap)
{
    uint64_t v;

    return !slice_u64(value, &v) || v > cap; /* not a plain integer: what a provider would make of it is unknown */
}

/* What is left of the client's own cap for the rest of the answer; empty: it is not a plain integer, and stays. */
static struct slice left_of(const struct rewrite *r, const struct json_member *m, char out[24])
{
    struct json_out o;
    uint64_t v;

    if (!slice_u64(slice_make(r->text.p + m->val_off, m->val_len), &v))
        return slice_make(NULL, 0);
    if (r->max_output_tokens && v > r->max_output_tokens)
        v = r->max_output_tokens;
    json_out_init(&o, out, 24);
    json_out_u64(&o, v > r->spent ? v - r->spent : 1);
    return json_out_done(&o);
}

void rewrite_body(const struct rewrite *r, struct json_edits *e, struct rewrite_text *t)
{
    struct json_out o;
    struct slice model, cap = {0};
    int32_t at_cap = -1;
    enum request_member field = REQUEST_MAX_TOKENS;
    struct slice left;

    json_out_init(&o, t->model, sizeof t->model);
    json_out_str(&o, r->model);
    model = json_out_done(&o);
    json_edits_init(e, r->text);
    if (!model.n)
        e->failed = true;
    if (r->max_output_tokens && generates(r->surface)) {
        field = cap_field(r);
        at_cap = r->at[field];
        json_out_init(&o, t->cap, sizeof t->cap);
        json_out_u64(&o, r->max_output_tokens);
        cap = json_out_done(&o);
    }
    for (uint32_t i = 0; i < r->nmembers; i++) {
        const struct json_member *m = &r->member[i];

        if ((int32_t)i == r->at[REQUEST_MODELS] || stripped(r, i))
            json_edit_remove(e, r->member, r->nmembers, i);
        else if ((int32_t)i == r->at[REQUEST_MODEL])
            json_edit_value(e, m, model);
        else if ((int32_t)i == r->at[REQUEST_STREAM_OPTIONS] && r->stream_options.n)
            json_edit_value(e, m, r->stream_options);
        else if (r->spent && ((int32_t)i == r->at[REQUEST_MAX_TOKENS] || (int32_t)i == r->at[REQUEST_MAX_COMPLETION_TOKENS]) &&
                 (left = left_of(r, m, t->left[(int32_t)i == r->at[REQUEST_MAX_TOKENS]])).n)
            json_edit_value(e, m, left);
        else if ((int32_t)i == at_cap && above(slice_make(r->text.p + m->val_off, m->val_len), r->max_output_tokens))
            json_edit_value(e, m, cap);
    }
    if (r->said.n)
        json_edit_insert(e, r->said_at, r->said);
    if (r->at[REQUEST_MODEL] < 0)
        json_edit_add(e, SLICE("model"), model);
    if (r->at[REQUEST_STREAM_OPTIONS] < 0 && r->stream_options.n)
        json_edit_add(e, SLICE("stream_options"), r->stream_options);
    if (cap.n && at_cap < 0)
        json_edit_add(e, request_member_name(field), cap);
}

struct slice rewrite_usage_options(struct slice text, const struct json_member *member, const int16_t *at, struct arena *a)
{
    static const char alone[] = "{\"include_usage\":true}";
    const struct json_member *m = at[REQUEST_STREAM_OPTIONS] < 0 ? NULL : &member[at[REQUEST_STREAM_OPTIONS]];
    struct slice value = m ? slice_make(text.p + m->val_off, m->val_len) : slice_make(NULL, 0);
    struct json_doc d;
    bool asked = false;
    size_t n;
    char *p;

    if (!m || m->type == JSON_NULL)
        return slice_make(alone, sizeof alone - 1);
    if (m->type != JSON_OBJECT || !json_parse(&d, value, a))
        return slice_make(NULL, 0);
    if (json_bool(&d, json_get(&d, 0, "include_usage"), &asked) && asked)
        return slice_make(NULL, 0);
    p = arena_take_bytes(a, value.n + sizeof alone);
    if (!p)
        return slice_make(NULL, 0);
    n = sizeof alone - 2; /* without its closing brace */
    memcpy(p, alone, n);
    for (int k = json_first(&d, 0); k >= 0; k = json_next(&d, k)) {
        struct slice name = json_raw(&d, k), last = json_raw(&d, json_value(&d, k));
        const char *end = last.p + last.n + (json_type_of(&d, json_value(&d, k)) == JSON_STRING);

        if (json_str_is(&d, k, "include_usage"))
            continue;
        p[n++] = ',';
        memcpy(p + n, name.p - 1, (size_t)(end - name.p) + 1); /* from the key's quote to the value's end, as it stands */
        n += (size_t)(end - name.p) + 1;
    }
    p[n++] = '}';
    return slice_make(p, n);
}
