#include "admin/fields.h"

#include <string.h>

#include "admin/call.h"
#include "conf/value.h"

#define FIELD(n, t, m, f) {(n), FIELD_##t, (m), (f)}
#define NAME FIELD("name", TEXT, 255, FIELD_NEEDED)
#define REMARKS FIELD("description", TEXT, 255, 0), FIELD("metadata", TEXT, 4096, 0)

static const struct field provider[] = {FIELD("providerId", TEXT, 255, FIELD_NEEDED | FIELD_FIXED),
                                        NAME,
                                        FIELD("baseUrl", TEXT, 2048, FIELD_NEEDED | FIELD_SOLID),
                                        REMARKS,
                                        FIELD("supportedApiSurfaces", LIST, 0, 0),
                                        FIELD("models", LIST, 0, 0),
                                        {0}};
static const struct field provider_key[] = {FIELD("providerId", TEXT, 255, FIELD_NEEDED | FIELD_FIXED),
                                            NAME,
                                            REMARKS,
                                            FIELD("value", TEXT, 8192, FIELD_NEEDED | FIELD_FIXED | FIELD_SECRET),
                                            {0}};
static const struct field configuration[] = {NAME, REMARKS, FIELD("access", OBJECT, 0, 0),
                                             FIELD("router", OBJECT, 0, 0), {0}};
static const struct field access_key[] = {FIELD("name", TEXT, 255, 0),
                                          REMARKS,
                                          FIELD("accessKeyConfigurationId", TEXT, 255, 0),
                                          FIELD("limits", OBJECT, 0, 0),
                                          FIELD("expiresAt", TEXT, 64, 0),
                                          {0}};
static const struct field api_key[] = {FIELD("name", TEXT, 255, 0), REMARKS, {0}};
static const struct field gateway[] = {FIELD("totalTimeout", TEXT, 32, FIELD_SOLID),
                                       FIELD("perRequestTimeout", TEXT, 32, FIELD_SOLID),
                                       FIELD("connectTimeout", TEXT, 32, 0),
                                       FIELD("streamIdleTimeout", TEXT, 32, 0),
                                       FIELD("firstTokenTimeout", TEXT, 32, 0),
                                       FIELD("streamHeartbeat", TEXT, 32, 0),
                                       FIELD("maxInputTokens", NUMBER, 0, 0),
                                       FIELD("maxOutputTokens", NUMBER, 0, 0),
                                       FIELD("cooldown", BOOL, 0, 0),
                                       FIELD("metadata", TEXT, 4096, 0),
                                       {0}};

const struct kind kinds[KINDS] = {
    [KIND_PROVIDER] = {STORE_PROVIDER, "/providers", "aiGatewayProviders", "", "provider", provider},
    [KIND_PROVIDER_KEY] = {STORE_PROVIDER_KEY, "/provider-keys", "aiGatewayProviderKeys", "aigpk_", "provider key", provider_key},
    [KIND_CONFIGURATION] = {STORE_CONFIGURATION, "/access-key-configurations", "aiGatewayAccessKeyConfigurations", "aigac_",
                            "access key configuration", configuration},
    [KIND_ACCESS_KEY] = {STORE_ACCESS_KEY, "/access-keys", "aiGatewayAccessKeys", "aigk_", "access key", access_key},
    [KIND_API_KEY] = {STORE_API_KEY, "/api-keys", "aiGatewayApiKeys", "aigapi_", "API key", api_key},
    [KIND_GATEWAY] = {STORE_GATEWAY, "/gateway-config", "", "", "gateway config", gateway},
};

struct slice fields_text(const struct json_doc *d, int tok)
{
    struct slice s = json_raw(d, tok);

    return tok >= 0 && json_type_of(d, tok) == JSON_STRING ? slice_make(s.p - 1, s.n + 2) : s;
}

static bool type_fits(enum field_type f, enum json_type t)
{
    static const enum json_type plain[FIELD_TYPES] = {JSON_STRING, JSON_OBJECT, JSON_ARRAY, JSON_NUMBER, JSON_TRUE};

    return t == plain[f] || (f == FIELD_BOOL && t == JSON_FALSE);
}

static const char *const type_word[FIELD_TYPES] = {"a string", "an object", "a list", "a number", "true or false"};

/* Within a list or an object null means nothing: whatever it is for is left out instead. Tokens stand in the order of the text. */
static bool holds_null(const struct json_doc *d, int key)
{
    int end = json_next(d, key);

    for (int tok = json_value(d, key) + 1; tok < (end >= 0 ? end : d->count); tok++)
        if (json_type_of(d, tok) == JSON_NULL)
            return true;
    return false;
}

/* One member against its row. */
static bool check_one(struct admin_call *c, const struct field *f, int value, bool create)
{
    enum json_type t = json_type_of(&c->body, value);
    struct slice s;
    size_t chars;

    if (t == JSON_NULL && !create && !(f->flags & FIELD_SOLID))
        return true; /* cleared */
    if (!type_fits(f->type, t)) {
        admin_error(c, 422, f->name, "%s must be %s.", f->name, type_word[f->type]);
        return false;
    }
    if (f->type != FIELD_TEXT)
        return true;
    if (!json_str(&c->body, value, c->arena, &s)) {
        admin_error(c, 413, f->name, "%s is too long.", f->name);
        return false;
    }
    chars = value_chars(s);
    if (chars > f->max || ((f->flags & FIELD_NEEDED) && chars == 0)) {
        admin_error(c, 422, f->name, chars ? "%s is longer than %u characters." : "%s must not be empty.", f->name, (unsigned)f->max);
        return false;
    }
    return true;
}

bool fields_check(struct admin_call *c, const struct field *f, bool create)
{
    const struct json_doc *d = &c->body;
    uint32_t seen = 0;

    for (int key = json_first(d, 0); key >= 0; key = json_next(d, key)) {
        char name[80];
        struct slice shown = slice_first(json_raw(d, key), sizeof name - 1);
        unsigned i = 0;

        memcpy(name, shown.p, shown.n);
        name[shown.n] = '\0';
        while (f[i].name && !json_str_is(d, key, f[i].name))
            i++;
        if (!f[i].name) {
            admin_error(c, 422, name, "There is no field \"%s\" here.", name);
            return false;
        }
        if (seen & 1u << i || ((f[i].flags & FIELD_FIXED) && !create)) {
            admin_error(c, 422, name, seen & 1u << i ? "%s is given twice." : "%s can't be changed.", name);
            return false;
        }
        seen |= 1u << i;
        if (!check_one(c, &f[i], json_value(d, key), create))
            return false;
        if (holds_null(d, key)) {
            admin_error(c, 422, f[i].name, "%s holds a null. Leave out what has no value.", f[i].name);
            return false;
        }
    }
    for (unsigned i = 0; create && f[i].name; i++)
        if ((f[i].flags & FIELD_NEEDED) && !(seen & 1u << i)) {
            admin_error(c, 422, f[i].name, "%s is needed.", f[i].name);
            return false;
        }
    return true;
}

struct slice fields_merge(struct arena *a, struct slice old, const struct json_doc *patch, const struct field *f)
{
    struct json_doc before;
    size_t cap = old.n + patch->text.n + 64, n = 0;
    char *p = arena_take_bytes(a, cap * 2);

    if (!p || !json_parse(&before, old.n ? old : SLICE("{}"), a))
        return slice_make(NULL, 0);
    p[n++] = '{';
    for (; f->name; f++) {
        int fresh = json_get(patch, 0, f->name), kept = json_get(&before, 0, f->name);
        const struct json_doc *d = fresh >= 0 ? patch : &before;
        int tok = fresh >= 0 ? fresh : kept;
        struct slice name = slice_str(f->name), value = fields_text(d, tok);

        if (tok < 0 || (f->flags & FIELD_SECRET) || json_type_of(d, tok) == JSON_NULL)
            continue;
        if (n > 1)
            p[n++] = ',';
        p[n++] = '"';
        memcpy(p + n, name.p, name.n);
        n += name.n;
        p[n++] = '"';
        p[n++] = ':';
        memcpy(p + n, value.p, value.n);
        n += value.n;
    }
    p[n++] = '}';
    return slice_make(p, n);
}
