/* GET and PATCH /gateway-config: what is in force, and what of it the config file does not settle. */
#include "admin/gateway.h"

#include "admin/render.h"
#include "base/clock.h"
#include "base/text.h"
#include "conf/overlay.h"

static const char id[] = "gateway";

/* Go's notation; 0 is off. */
static void put_duration(struct json_out *o, const char *name, uint32_t ms)
{
    char text[32];

    json_key(o, name);
    if (!ms)
        json_out_null(o);
    else if (ms % 1000)
        json_out_str(o, slice_make(text, (size_t)text_format(text, sizeof text, "%ums", (unsigned)ms)));
    else if (ms % 60000)
        json_out_str(o, slice_make(text, (size_t)text_format(text, sizeof text, "%us", (unsigned)(ms / 1000))));
    else
        json_out_str(o, slice_make(text, (size_t)text_format(text, sizeof text, "%um", (unsigned)(ms / 60000))));
}

static void put_tokens(struct json_out *o, const char *name, uint64_t v)
{
    json_key(o, name);
    if (v)
        json_out_u64(o, v);
    else
        json_out_null(o);
}

static void write_gateway(struct json_out *o, void *arg)
{
    struct admin_call *c = arg;
    const struct conf_gateway *g = &admin.conf()->gateway;
    const struct resource *r = registry_find(KIND_GATEWAY, slice_str(id));
    struct json_doc d;
    int metadata = r && json_parse(&d, r->body, c->arena) ? json_get(&d, 0, "metadata") : -1;

    json_open(o, '{');
    json_key(o, "accountId");
    json_out_str(o, SLICE("weir"));
    json_key(o, "uri");
    json_out_str(o, slice_str(kinds[KIND_GATEWAY].path));
    put_duration(o, "totalTimeout", g->total_timeout_ms);
    put_duration(o, "perRequestTimeout", g->per_request_timeout_ms);
    put_duration(o, "connectTimeout", g->connect_timeout_ms);
    put_duration(o, "streamIdleTimeout", g->stream_idle_timeout_ms);
    put_duration(o, "firstTokenTimeout", g->first_token_timeout_ms);
    put_duration(o, "streamHeartbeat", g->stream_heartbeat_ms);
    put_tokens(o, "maxInputTokens", g->max_input_tokens);
    put_tokens(o, "maxOutputTokens", g->max_output_tokens);
    json_key(o, "cooldown");
    json_out_bool(o, g->cooldown);
    json_key(o, "metadata");
    if (metadata >= 0)
        json_out_raw(o, fields_text(&d, metadata));
    else
        json_out_null(o);
    json_key(o, "readOnlyFields");
    json_open(o, '[');
    for (const struct field *f = kinds[KIND_GATEWAY].field; f->name; f++)
        if (conf_text_sets(admin.text(), f->name))
            json_out_str(o, slice_str(f->name));
    json_close(o, ']');
    json_close(o, '}');
}

static struct slice etag(struct admin_call *c)
{
    const struct resource *r = registry_find(KIND_GATEWAY, slice_str(id));

    return r ? render_etag(r, c->arena) : SLICE("\"0-0\"");
}

void gateway_get(struct admin_call *c)
{
    struct admin_reply reply = {.status = 200, .etag = etag(c), .body = render_all(c->arena, 0, write_gateway, c)};

    must(reply.body.p);
    admin_reply(c, &reply);
}

void gateway_update(struct admin_call *c)
{
    const struct resource *old = registry_find(KIND_GATEWAY, slice_str(id));
    struct resource r = {.kind = KIND_GATEWAY, .id = slice_str(id), .by = old ? old->by : c->by, .updated_by = c->by,
                         .created_ms = old ? old->created_ms : clock_wall_ms(), .updated_ms = clock_wall_ms(), .revision = old ? old->revision + 1 : 1};
    struct change change = {CHANGE_PUT, NULL};

    if (!registry_turn(c, gateway_update) || !admin_matches(c, etag(c)) || !fields_check(c, kinds[KIND_GATEWAY].field, false))
        return;
    for (const struct field *f = kinds[KIND_GATEWAY].field; f->name; f++)
        if (json_get(&c->body, 0, f->name) >= 0 && conf_text_sets(admin.text(), f->name)) {
            admin_error(c, 409, f->name, "gateway.%s stands in the config file, and is changed there.", f->name);
            return;
        }
    r.body = fields_merge(c->arena, old ? old->body : SLICE(""), &c->body, kinds[KIND_GATEWAY].field);
    change.r = r.body.p ? registry_make(&r) : NULL;
    if (change.r)
        registry_change(c, &change, 1, gateway_get);
    else
        registry_refuse_store(c, "out of memory");
}
