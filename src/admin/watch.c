#include "admin/watch.h"

#include "admin/render.h"
#include "base/clock.h"
#include "base/text.h"
#include "gate/gate.h"
#include "gate/health.h"
#include "gate/recent.h"
#include "gate/world.h"
#include "net/addr.h"
#include "state/store.h"

enum { REQUESTS_MAX = 500 };

void watch_healthz(struct admin_call *c)
{
    admin_json(c, 200, SLICE("{\"status\":\"ok\"}\n"));
}

static void answer(struct admin_call *c, struct slice json)
{
    if (json.p)
        admin_json(c, 200, json);
    else
        admin_error(c, 500, NULL, "The answer does not fit into memory.");
}

/* ---- About ---- */

static void write_provider(struct json_out *o, const struct provider *p)
{
    json_open(o, '{');
    json_key(o, "id");
    json_out_str(o, p->id);
    json_key(o, "name");
    json_out_str(o, p->name);
    json_key(o, "managed");
    json_out_u64(o, p->nmanaged);
    json_key(o, "models");
    json_open(o, '[');
    for (uint32_t i = 0; i < p->nmodels; i++)
        json_out_str(o, p->model[i].id);
    json_close(o, ']');
    json_close(o, '}');
}

static void write_about(struct json_out *o, void *arg)
{
    const struct conf *c = admin.conf();
    char where[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 16];
    struct slice at = addr_text(admin.data_plane(), where);

    (void)arg;
    json_open(o, '{');
    json_key(o, "version");
    json_out_str(o, slice_str(admin.version));
    json_key(o, "dataPlane");
    json_out_str(o, slice_make(url, (size_t)text_format(url, sizeof url, "%s://%.*s", c->tls_cert.n ? "https" : "http", (int)at.n, at.p)));
    json_key(o, "durable");
    json_out_bool(o, store_is_durable());
    json_key(o, "stateDir");
    json_out_str(o, c->state_dir);
    json_key(o, "sim");
    json_out_bool(o, c->sim);
    json_key(o, "providers");
    json_open(o, '[');
    for (uint32_t i = 0; i < c->nproviders; i++)
        if (c->provider[i].builtin || c->provider[i].sim)
            write_provider(o, &c->provider[i]);
    json_close(o, ']');
    json_close(o, '}');
}

void watch_about(struct admin_call *c)
{
    answer(c, render_all(c->arena, 1 << 16, write_about, NULL));
}

/* ---- Requests ---- */

/* What a line must hold; our own log wrote it, so texts are compared as they stand. */
struct filter {
    struct slice status, provider, model, key; /* the last three as JSON members: "provider":"openai" */
    bool failover;
};

static struct slice member(struct admin_call *c, const char *query, const char *name)
{
    struct slice value;
    struct json_out o;
    size_t cap;
    char *p;

    if (!admin_query(c, query, &value) || !value.n)
        return SLICE("");
    cap = 6 * value.n + 64;
    p = arena_take_bytes(c->arena, cap);
    if (!p)
        return SLICE("");
    json_out_init(&o, p, cap);
    json_open(&o, '{');
    json_key(&o, name);
    json_out_str_max(&o, value, 128); /* as the log cuts them */
    return o.full ? SLICE("") : slice_make(p + 1, o.n - 1);
}

static bool holds(struct slice line, struct slice what)
{
    return !what.n || slice_find(line, what) >= 0;
}

static bool matches(struct slice line, const struct filter *f)
{
    ptrdiff_t at = slice_find(line, SLICE("\"status\":"));

    if (f->status.n && !(at >= 0 && slice_starts(slice_from(line, (size_t)at + 9), f->status)))
        return false;
    if (f->failover && !(slice_find(line, SLICE("},{")) >= 0)) /* between two attempts */
        return false;
    return holds(line, f->provider) && holds(line, f->model) && holds(line, f->key);
}

void watch_requests(struct admin_call *c)
{
    static const char *const names[] = {"after", "limit", "status", "provider", "model", "accessKeyId", NULL};
    static int64_t boot_ms;
    struct slice after_text = {0}, status = {0};
    uint64_t newest = recent_count(), after = 0, seen, matched = 0;
    struct filter f = {0};
    size_t cap = 256, n = 0;
    uint32_t limit, shown = 0;
    char *p;

    if (!boot_ms)
        boot_ms = clock_wall_ms();
    if (!admin_query_only(c, names) || !admin_query_limit(c, 100, REQUESTS_MAX, &limit))
        return;
    if (admin_query(c, "after", &after_text) && (!slice_u64(after_text, &after) || after > INT64_MAX)) {
        admin_error(c, 422, "after", "after must be the `next` of an earlier answer.");
        return;
    }
    (void)admin_query(c, "status", &status);
    f.failover = slice_eq(status, SLICE("failover"));
    f.status = f.failover ? SLICE("") : status;
    f.provider = member(c, "provider", "provider");
    f.model = member(c, "model", "model");
    f.key = member(c, "accessKeyId", "accessKeyId");
    after = after > newest ? 0 : after;
    seen = newest - after;
    for (uint64_t i = newest; i > after && newest - i < RECENT_LINES; i--) {
        struct slice line = recent_line(i);

        if (!line.n || !matches(line, &f))
            continue;
        if (matched++ < limit)
            cap += line.n + 1;
    }
    p = arena_take_bytes(c->arena, cap);
    if (!p) {
        admin_error(c, 500, NULL, "The answer does not fit into memory. Ask with a smaller limit.");
        return;
    }
    n = (size_t)text_format(p, cap, "{\"boot\":%lld,\"next\":%llu,\"seen\":%llu,\"matched\":%llu,\"requests\":[", (long long)boot_ms,
                            (unsigned long long)newest, (unsigned long long)seen, (unsigned long long)matched);
    for (uint64_t i = newest; i > after && newest - i < RECENT_LINES && shown < limit; i--) {
        struct slice line = recent_line(i);

        if (!line.n || !matches(line, &f))
            continue;
        if (shown++)
            p[n++] = ',';
        memcpy(p + n, line.p, line.n);
        n += line.n;
    }
    memcpy(p + n, "]}", 2);
    admin_json(c, 200, slice_make(p, n + 2));
}

void watch_request(struct admin_call *c)
{
    struct slice what = arena_printf(c->arena, "\"requestId\":\"%.*s\"", (int)c->arg.n, c->arg.p);
    uint64_t newest = recent_count();

    for (uint64_t i = newest; what.p && i > 0 && newest - i < RECENT_LINES; i--) {
        struct slice line = recent_line(i);

        if (!line.n || slice_find(line, what) < 0)
            continue;
        admin_json(c, 200, line);
        return;
    }
    admin_error(c, 404, NULL, "There is no request of that id among the last ones that the gateway remembers.");
}

/* ---- What rests ---- */

static void write_item(struct json_out *o, const struct health_item *item)
{
    static const char *const states[] = {"well", "guessed", "stated", "probing"};

    json_open(o, '{');
    json_key(o, "id");
    json_out_str(o, slice_str(item->id));
    json_key(o, "provider");
    json_out_str(o, item->provider->id);
    if (item->key) {
        json_key(o, "providerKeyId");
        json_out_str(o, item->key->id);
        json_key(o, "providerKeyName");
        json_out_str(o, item->key->name);
        if (item->model.n) {
            json_key(o, "model");
            json_out_str(o, item->model);
        }
    } else {
        json_key(o, "origin");
        json_out_str(o, item->provider->authority);
    }
    json_key(o, "state");
    json_out_str(o, slice_str(states[item->state]));
    json_key(o, "reason");
    json_out_str(o, item->key ? slice_str(outcome_name(item->why)) : SLICE("origin"));
    render_time(o, "until", clock_wall_ms() + item->until_ms - clock_ms());
    json_close(o, '}');
}

struct resting {
    uint32_t from, limit;
};

static void write_resting(struct json_out *o, void *arg)
{
    const struct resting *r = arg;
    const struct world *w = gate_world();
    struct health_item item;
    uint32_t i = r->from;
    char next[64];

    json_open(o, '{');
    json_key(o, "cooldowns");
    json_open(o, '[');
    for (; i - r->from < r->limit && health_item(w->health, w->conf, i, clock_ms(), &item); i++)
        write_item(o, &item);
    json_close(o, ']');
    json_key(o, "uri");
    json_out_str(o, SLICE("/cooldowns"));
    json_key(o, "nextPageUri");
    if (i - r->from == r->limit)
        json_out_str(o, slice_make(next, (size_t)text_format(next, sizeof next, "/cooldowns?limit=%u&from=%u", (unsigned)r->limit, (unsigned)i)));
    else
        json_out_null(o);
    json_close(o, '}');
}

void watch_cooldowns(struct admin_call *c)
{
    static const char *const names[] = {"limit", "from", NULL};
    struct resting r = {0};
    struct slice from;
    uint64_t v = 0;

    if (!admin_query_only(c, names) || !admin_query_limit(c, ADMIN_LIST_MAX, ADMIN_LIST_MAX, &r.limit))
        return;
    if (admin_query(c, "from", &from) && (!slice_u64(from, &v) || v > 1000000)) {
        admin_error(c, 422, "from", "from must be a whole number.");
        return;
    }
    r.from = (uint32_t)v;
    answer(c, render_all(c->arena, 0, write_resting, &r));
}

void watch_clear_cooldown(struct admin_call *c)
{
    const struct world *w = gate_world();

    if (health_clear(w->health, w->conf, c->arg, clock_ms()))
        admin_reply(c, &(struct admin_reply){.status = 204});
    else
        admin_error(c, 404, NULL, "Nothing of that id rests now.");
}
