#include "admin/render.h"

#include "base/log.h"
#include "base/text.h"
#include "conf/conf.h"

enum { GUESS_MIN = 4096 };

struct slice render_all(struct arena *a, size_t guess, render_fn *put, void *arg)
{
    for (size_t cap = guess < GUESS_MIN ? GUESS_MIN : guess;; cap *= 4) {
        char *p = arena_take_bytes(a, cap);
        struct json_out o;

        if (!p)
            return slice_make(NULL, 0);
        json_out_init(&o, p, cap);
        put(&o, arg);
        if (!o.full)
            return json_out_done(&o);
    }
}

void render_time(struct json_out *o, const char *name, int64_t ms)
{
    char text[25];

    json_key(o, name);
    json_out_str(o, log_time(ms, text));
}

static void put_uri(struct json_out *o, const char *path, struct slice id)
{
    char text[512];
    int n = text_format(text, sizeof text, "%s/%.*s", path, (int)(id.n < 300 ? id.n : 300), id.n ? id.p : "");
    json_key(o, "uri");
    json_out_str(o, slice_make(text, (size_t)n));
}

void render_ref(struct json_out *o, const char *name, const char *path, struct slice id)
{
    json_key(o, name);
    json_open(o, '{');
    json_key(o, "id");
    json_out_str(o, id);
    put_uri(o, path, id);
    json_close(o, '}');
}

void render_head(struct json_out *o, const char *path, struct slice id, int64_t created_ms, int64_t updated_ms, struct slice by, struct slice updated_by)
{
    json_key(o, "id");
    json_out_str(o, id);
    put_uri(o, path, id);
    render_time(o, "createdAt", created_ms);
    render_time(o, "updatedAt", updated_ms);
    render_ref(o, "createdBy", kinds[KIND_API_KEY].path, by);
    render_ref(o, "lastUpdatedBy", kinds[KIND_API_KEY].path, updated_by);
}

struct slice render_etag(const struct resource *r, struct arena *a)
{
    return arena_printf(a, "\"%llx-%x\"", (unsigned long long)r->created_ms, (unsigned)r->revision);
}

/* ---- Routers ---- */

static void render_step_key(struct json_out *o, const struct json_doc *d, int key, struct slice config, struct arena *a)
{
    struct slice id = {0}, name = {0};
    const struct resource *r;
    struct json_doc body;

    json_open(o, '{');
    json_key(o, "id");
    if (json_str(d, json_get(d, key, "id"), a, &id)) {
        r = registry_find(KIND_PROVIDER_KEY, id);
        json_out_str(o, id);
        if (!r || !json_parse(&body, r->body, a) || !json_str(&body, json_get(&body, 0, "name"), a, &name))
            name = id;
        json_key(o, "name");
        json_out_str(o, name);
        json_key(o, "keyRedacted");
        json_out_str(o, r && r->redacted.n ? r->redacted : SLICE("***"));
    } else { /* written in the config file, inside the rule */
        (void)json_str(d, json_get(d, key, "name"), a, &name);
        json_out_str(o, arena_printf(a, "%.*s/%.*s", (int)config.n, config.p, (int)name.n, name.n ? name.p : ""));
        json_key(o, "name");
        json_out_str(o, name);
        json_key(o, "keyRedacted");
        json_out_str(o, SLICE("***"));
    }
    json_close(o, '}');
}

/* Members of an object as they stand, but for `but`, whose value the caller writes. -1: there is none of that name. */
static int copy_but(struct json_out *o, const struct json_doc *d, int object, const char *but)
{
    int found = -1;

    for (int key = json_first(d, object); key >= 0; key = json_next(d, key)) {
        char name[128];
        struct slice raw = slice_first(json_raw(d, key), sizeof name - 1);

        if (json_str_is(d, key, but)) {
            found = json_value(d, key);
            continue;
        }
        memcpy(name, raw.p, raw.n);
        name[raw.n] = '\0';
        json_key(o, name);
        json_out_raw(o, fields_text(d, json_value(d, key)));
    }
    return found;
}

static void render_step(struct json_out *o, const struct json_doc *d, int step, struct slice config, struct arena *a)
{
    int keys;

    json_open(o, '{');
    keys = copy_but(o, d, step, "keys");
    if (keys >= 0) {
        json_key(o, "keys");
        json_open(o, '[');
        for (int k = json_first(d, keys); k >= 0; k = json_next(d, k))
            render_step_key(o, d, k, config, a);
        json_close(o, ']');
    }
    json_close(o, '}');
}

void render_router(struct json_out *o, const struct json_doc *d, int router, struct slice config, struct arena *a)
{
    int rules, steps;

    json_open(o, '{');
    rules = copy_but(o, d, router, "rules");
    if (rules >= 0) {
        json_key(o, "rules");
        json_open(o, '[');
        for (int rule = json_first(d, rules); rule >= 0; rule = json_next(d, rule)) {
            json_open(o, '{');
            steps = copy_but(o, d, rule, "steps");
            json_key(o, "steps");
            json_open(o, '[');
            for (int s = steps >= 0 ? json_first(d, steps) : -1; s >= 0; s = json_next(d, s))
                render_step(o, d, s, config, a);
            json_close(o, ']');
            json_close(o, '}');
        }
        json_close(o, ']');
    }
    json_close(o, '}');
}

static void render_models(struct json_out *o, const struct json_doc *d, int models)
{
    json_open(o, '[');
    for (int m = json_first(d, models); m >= 0; m = json_next(d, m)) {
        json_open(o, '{');
        json_key(o, "id");
        json_out_raw(o, fields_text(d, json_get(d, m, "modelId")));
        (void)copy_but(o, d, m, "id");
        json_close(o, '}');
    }
    json_close(o, ']');
}

/* ---- Resources ---- */

static bool has_token(enum kind_id kind)
{
    return kind == KIND_PROVIDER_KEY || kind == KIND_API_KEY || kind == KIND_ACCESS_KEY;
}

/* id, uri and name of the configuration that an access key has. */
static void render_configuration_ref(struct json_out *o, const struct json_doc *d, int value, struct arena *a)
{
    struct slice id = {0}, name;
    const struct resource *r;
    struct json_doc body;

    (void)json_str(d, value, a, &id);
    name = id;
    r = registry_find(KIND_CONFIGURATION, id);
    if (r && json_parse(&body, r->body, a))
        (void)json_str(&body, json_get(&body, 0, "name"), a, &name);
    json_key(o, "accessKeyConfiguration");
    json_open(o, '{');
    json_key(o, "id");
    json_out_str(o, id);
    put_uri(o, kinds[KIND_CONFIGURATION].path, id);
    json_key(o, "name");
    json_out_str(o, name);
    json_close(o, '}');
}

static void render_body(struct json_out *o, const struct resource *r, struct arena *a)
{
    struct json_doc d;

    if (!json_parse(&d, r->body, a)) {
        o->full = true;
        return;
    }
    if (kinds[r->kind].field != kinds[KIND_ACCESS_KEY].field && json_get(&d, 0, "name") < 0) {
        json_key(o, "name");
        json_out_str(o, r->id);
    }
    for (int key = json_first(&d, 0); key >= 0; key = json_next(&d, key)) {
        int value = json_value(&d, key);
        char name[64];
        struct slice raw = slice_first(json_raw(&d, key), sizeof name - 1);

        memcpy(name, raw.p, raw.n);
        name[raw.n] = '\0';
        if (json_str_is(&d, key, "accessKeyConfigurationId")) {
            render_configuration_ref(o, &d, value, a);
            continue;
        }
        json_key(o, name);
        if (json_str_is(&d, key, "router"))
            render_router(o, &d, value, r->id, a);
        else if (json_str_is(&d, key, "models"))
            render_models(o, &d, value);
        else
            json_out_raw(o, fields_text(&d, value));
    }
}

void render_resource(struct json_out *o, const struct resource *r, struct slice token, struct arena *a)
{
    json_open(o, '{');
    render_head(o, kinds[r->kind].path, r->id, r->created_ms, r->updated_ms, r->by, r->updated_by);
    render_body(o, r, a);
    if (has_token(r->kind)) {
        json_key(o, "keyRedacted");
        json_out_str(o, r->redacted.n ? r->redacted : SLICE("***"));
    }
    if (token.n) {
        json_key(o, "token");
        json_out_str(o, token);
    }
    if (r->used_ms)
        render_time(o, "lastUsed", r->used_ms);
    if (r->from_file) {
        json_key(o, "readOnly");
        json_out_bool(o, true);
        json_key(o, "source");
        json_out_str(o, SLICE("config"));
    }
    json_close(o, '}');
}
