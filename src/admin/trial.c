#include "admin/trial.h"

#include "admin/registry.h"
#include "admin/render.h"
#include "base/clock.h"
#include "base/text.h"
#include "conf/overlay.h"
#include "gate/gate.h"
#include "gate/health.h"
#include "gate/route.h"
#include "gate/world.h"
#include "llm/surface.h"
#include "net/addr.h"

/* ---- A whole config ---- */

/* Files are not opened for a dry run: reading one may wait, and whether it can be read is nobody's business over the network. */
static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user;
    (void)a;
    *out = slice_ends(path, SLICE(".pem")) || slice_ends(path, SLICE(".crt")) || slice_ends(path, SLICE(".key"))
               ? SLICE("-----BEGIN CERTIFICATE-----\n")
               : SLICE("0000000000000000000000000000000000000000000000000000000000000000");
    return true;
}

static const char *any_variable(void *user, const char *name)
{
    (void)user;
    (void)name;
    return "0000000000000000000000000000000000000000000000000000000000000000";
}

void try_config(struct admin_call *c)
{
    const struct conf_env env = {any_variable, no_file, NULL};
    const struct conf_stored nothing = {0};
    struct conf_stored_error e;
    char text[2048];
    struct json_out o;
    struct conf *conf = conf_load_stored(c->body.text, &nothing, &env, &e);

    json_out_init(&o, text, sizeof text);
    json_open(&o, '{');
    json_key(&o, "valid");
    json_out_bool(&o, conf != NULL);
    if (!conf) {
        json_key(&o, "line");
        json_out_u64(&o, e.e.line);
        json_key(&o, "column");
        json_out_u64(&o, e.e.column);
        json_key(&o, "path");
        json_out_str_max(&o, slice_str(e.path), 200);
        json_key(&o, "msg");
        json_out_str_max(&o, slice_str(e.e.text), 200);
    }
    json_close(&o, '}');
    must(!o.full);
    if (conf)
        conf_put(conf);
    admin_json(c, 200, json_out_done(&o));
}

/* ---- A model's queue ---- */

struct preview {
    const struct attempts *q;
    struct health *health;
    const char *msg;
};

static void write_preview(struct json_out *o, void *arg)
{
    const struct preview *p = arg;

    json_open(o, '{');
    json_key(o, "queue");
    json_open(o, '[');
    for (uint32_t i = 0; !p->msg && i < p->q->count; i++) {
        const struct attempt *a = &p->q->queue[i];
        int64_t until;

        json_open(o, '{');
        json_key(o, "provider");
        json_out_str(o, a->key->provider->id);
        json_key(o, "keyId");
        json_out_str(o, a->key->id);
        json_key(o, "keyName");
        json_out_str(o, a->key->name);
        json_key(o, "model");
        json_out_str(o, a->model);
        if (health_ask(p->health, a->key, a->model, clock_ms(), &until) != HEALTH_WELL)
            render_time(o, "coolingUntil", clock_wall_ms() + until - clock_ms());
        json_close(o, '}');
    }
    json_close(o, ']');
    json_key(o, "skipped");
    json_open(o, '[');
    for (uint32_t i = 0; i < p->q->nrecords; i++) {
        const struct attempt_record *r = &p->q->record[i];

        json_open(o, '{');
        json_key(o, "provider");
        json_out_str(o, r->key->provider->id);
        json_key(o, "model");
        json_out_str(o, r->model);
        json_key(o, "reason");
        json_out_str(o, slice_str(r->what ? r->what : outcome_name((enum outcome)r->outcome)));
        json_close(o, '}');
    }
    json_close(o, ']');
    if (p->msg) {
        json_key(o, "msg");
        json_out_str(o, slice_str(p->msg));
    }
    json_close(o, '}');
}

static void route(struct admin_call *c, struct conf *conf, const struct access_config *config, struct slice model, enum surface surface)
{
    static const char *const why[] = {[ROUTE_OK] = NULL,
                                      [ROUTE_NO_MATCH] = "No provider is known for this model.",
                                      [ROUTE_NOT_ALLOWED] = "This configuration does not allow this model.",
                                      [ROUTE_NO_KEY] = "There is no provider key for this model.",
                                      [ROUTE_NO_SURFACE] = "The provider of this model does not serve this API.",
                                      [ROUTE_NO_MEMORY] = "Out of memory."};
    const struct access_key key = {.id = SLICE("preview"), .name = SLICE("preview"), .config = config};
    struct route_ask ask = {.conf = conf, .key = &key, .surface = surface, .model = {model}, .nmodels = 1};
    struct attempts q = {0};
    struct preview p = {.q = &q, .health = health_create(c->arena, conf, 1, true)};
    struct slice which = {0}, json;

    if (!p.health) {
        admin_error(c, 500, NULL, "The answer does not fit into memory.");
        return;
    }
    health_adopt(p.health, gate_world()->health);
    p.msg = why[route_build(&ask, p.health, c->arena, &q, &which)];
    json = render_all(c->arena, 0, write_preview, &p);
    if (json.p)
        admin_json(c, 200, json);
    else
        admin_error(c, 500, NULL, "The answer does not fit into memory.");
}

static bool find_surface(struct slice name, enum surface *out)
{
    for (int i = 0; i < SURFACE_COUNT; i++)
        if (slice_eq(surface_table[i].name, name)) {
            *out = (enum surface)i;
            return true;
        }
    return false;
}

void try_preview(struct admin_call *c)
{
    static const struct field fields[] = {{"model", FIELD_TEXT, 256, FIELD_NEEDED}, {"surface", FIELD_TEXT, 64, 0}, {"configuration", FIELD_OBJECT, 0, 0},
                                          {"accessKeyConfigurationId", FIELD_TEXT, 255, 0}, {0}};
    struct resource r = {.kind = KIND_CONFIGURATION, .id = SLICE("aigac_preview")};
    struct slice model, name = SLICE("chat-completions"), id = {0};
    enum surface surface;
    struct conf *conf;
    int body = json_get(&c->body, 0, "configuration");

    if (!registry_turn(c, try_preview) || !fields_check(c, fields, true))
        return;
    (void)json_str(&c->body, json_get(&c->body, 0, "model"), c->arena, &model);
    (void)json_str(&c->body, json_get(&c->body, 0, "surface"), c->arena, &name);
    if (!find_surface(name, &surface)) {
        admin_error(c, 422, "surface", "There is no surface \"%.*s\".", (int)slice_first(name, 64).n, name.p);
        return;
    }
    if (body < 0) {
        const struct access_config *config = NULL;

        if (json_str(&c->body, json_get(&c->body, 0, "accessKeyConfigurationId"), c->arena, &id) && !(config = conf_access_config(admin.conf(), id)))
            admin_error(c, 422, "accessKeyConfigurationId", "There is no access key configuration \"%.*s\".", (int)slice_first(id, 100).n, id.p);
        else
            route(c, gate_world()->conf, config, model, surface);
        return;
    }
    r.body = fields_text(&c->body, body);
    conf = registry_try(c, &r);
    if (!conf)
        return;
    route(c, conf, conf_access_config(conf, r.id), model, surface);
    conf_put(conf);
}

/* ---- A request ---- */

/* The text of an address that reaches the listener, also when that listens on all. */
static struct addr reachable(void)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    const struct addr *at = admin.data_plane();
    uint8_t v6[16] = {0};
    struct addr any = addr_make(at->family, v6, at->port);

    if (!addr_eq(at, &any))
        return *at;
    v6[15] = 1;
    return addr_make(at->family, at->family == 6 ? v6 : v4, at->port);
}

void try_request(struct admin_call *c)
{
    static const struct field fields[] = {{"accessKey", FIELD_TEXT, TOKEN_MAX, FIELD_NEEDED}, {"path", FIELD_TEXT, 128, FIELD_NEEDED}, {"body", FIELD_OBJECT, 0, FIELD_NEEDED}, {0}};
    struct addr to = reachable();
    struct slice key, path, body, request;
    enum surface surface;

    if (!fields_check(c, fields, true))
        return;
    (void)json_str(&c->body, json_get(&c->body, 0, "accessKey"), c->arena, &key);
    (void)json_str(&c->body, json_get(&c->body, 0, "path"), c->arena, &path);
    body = fields_text(&c->body, json_get(&c->body, 0, "body"));
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] < 0x21 || key.p[i] > 0x7e) {
            admin_error(c, 422, "accessKey", "This can't be an access key: it holds other characters than visible ASCII.");
            return;
        }
    if (!surface_by_route(path, &surface)) {
        admin_error(c, 422, "path", "path must be one of the data plane's, such as /v1/chat/completions.");
        return;
    }
    if (admin.conf()->tls_cert.n) {
        admin_error(c, 409, NULL, "The data plane speaks https here, so this can't be tried from within. Send the request to it yourself.");
        return;
    }
    request = arena_printf(c->arena,
                           "POST %.*s HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer %.*s\r\ncontent-type: application/json\r\ncontent-length: %llu\r\n"
                           "connection: close\r\n\r\n%.*s",
                           (int)path.n, path.p, (int)key.n, key.p, (unsigned long long)body.n, (int)body.n, body.p);
    if (!request.p || !admin_relay(c, &to, request))
        admin_error(c, 502, NULL, "The data plane can't be reached from within: no descriptor or no memory is left.");
}
