/* Lists of resources, what the store holds of them, and the one way in which they change. */
#include "admin/registry.h"

#include "admin/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/small.h"
#include "base/text.h"
#include "base/timer.h"
#include "conf/overlay.h"
#include "conf/value.h"
#include "json/out.h"

enum { BUILD_ARENA = 64 << 20, LEFT_OUT_MAX = 1000 };

static struct {
    struct list of[KINDS];
    uint32_t count[KINDS];
    bool ready;
    /* The change under way, and who waits for its end. */
    struct admin_call *call;
    void (*done)(struct admin_call *c);
    struct change change[CHANGE_MAX];
    uint32_t n;
    struct conf *conf;
    struct {
        struct admin_call *call;
        admin_handler *run;
    } waiting[ADMIN_CONNS];
    uint32_t first, nwaiting;
    struct timer next;
} reg;

static void run_waiting(struct timer *t);

static void lists(void)
{
    if (reg.ready)
        return;
    for (int i = 0; i < KINDS; i++)
        list_init(&reg.of[i]);
    timer_init(&reg.next, run_waiting);
    reg.ready = true;
}

/* ---- Single ones ---- */

static struct slice pack(char **p, struct slice s)
{
    char *at = *p;

    if (s.n)
        memcpy(at, s.p, s.n);
    at[s.n] = '\0';
    *p += s.n + 1;
    return slice_make(at, s.n);
}

struct resource *registry_make(const struct resource *r)
{
    struct slice name = SLICE(""), provider = SLICE("");
    struct resource *copy;
    struct json_doc d;
    struct arena a;
    size_t n;
    char *p;

    arena_init(&a, &mem_heap_source, 1 << 14, ADMIN_ARENA_MAX);
    if (json_parse(&d, r->body, &a)) { /* what can't be read is left out by the reader of configs, with a word about it */
        (void)json_str(&d, json_get(&d, 0, "name"), &a, &name);
        (void)json_str(&d, json_get(&d, 0, "providerId"), &a, &provider);
    }
    n = sizeof *copy + r->id.n + r->body.n + name.n + provider.n + r->secret.n + r->redacted.n + r->by.n + r->updated_by.n + 8;
    copy = n <= UINT32_MAX ? small_take(n) : NULL;
    if (copy) {
        p = (char *)(copy + 1);
        *copy = *r;
        copy->node = (struct list){NULL, NULL};
        copy->size = (uint32_t)n;
        copy->id = pack(&p, r->id);
        copy->body = pack(&p, r->body);
        copy->name = pack(&p, name);
        copy->provider = pack(&p, provider);
        copy->secret = pack(&p, r->secret);
        copy->redacted = pack(&p, r->redacted);
        copy->by = pack(&p, r->by);
        copy->updated_by = pack(&p, r->updated_by);
    }
    arena_reset(&a);
    return copy;
}

void registry_free(struct resource *r)
{
    if (!r)
        return;
    explicit_bzero((char *)(uintptr_t)r->secret.p, r->secret.n);
    small_give(r, r->size);
}

struct resource *registry_find(enum kind_id kind, struct slice id)
{
    lists();
    for (struct list *n = reg.of[kind].next; n != &reg.of[kind]; n = n->next) {
        struct resource *r = container_of(n, struct resource, node);

        if (slice_eq(r->id, id))
            return r;
    }
    return NULL;
}

struct resource *registry_newest(enum kind_id kind)
{
    lists();
    return list_empty(&reg.of[kind]) ? NULL : container_of(reg.of[kind].prev, struct resource, node);
}

struct resource *registry_older(const struct resource *r)
{
    return r->node.prev == &reg.of[r->kind] ? NULL : container_of(r->node.prev, struct resource, node);
}

uint32_t registry_count(enum kind_id kind)
{
    return reg.count[kind];
}

static void put(struct resource *r)
{
    struct resource *old = registry_find(r->kind, r->id);

    list_link(&r->node, old ? old->node.prev : reg.of[r->kind].prev, old ? &old->node : &reg.of[r->kind]);
    reg.count[r->kind]++;
    if (old) {
        list_remove(&old->node);
        reg.count[r->kind]--;
        registry_free(old);
    }
}

static void take_away(struct resource *r)
{
    list_remove(&r->node);
    reg.count[r->kind]--;
    registry_free(r);
}

/* ---- As stored ---- */

static struct slice stored_text(const struct resource *r, struct arena *a)
{
    size_t cap = r->body.n + 6 * (r->by.n + r->updated_by.n + r->redacted.n) + 512;
    char *p = arena_take_bytes(a, cap), hex[65];
    struct json_out o;

    if (!p)
        return slice_make(NULL, 0);
    json_out_init(&o, p, cap);
    json_open(&o, '{');
    json_key(&o, "created");
    json_out_i64(&o, r->created_ms);
    json_key(&o, "updated");
    json_out_i64(&o, r->updated_ms);
    json_key(&o, "revision");
    json_out_u64(&o, r->revision);
    json_key(&o, "by");
    json_out_str(&o, r->by);
    json_key(&o, "updatedBy");
    json_out_str(&o, r->updated_by);
    json_key(&o, "redacted");
    json_out_str(&o, r->redacted);
    if (r->kind == KIND_API_KEY || r->kind == KIND_ACCESS_KEY) {
        sha256_hex(r->sha256, hex);
        json_key(&o, "sha256");
        json_out_str(&o, slice_str(hex));
    }
    json_key(&o, "body");
    json_out_raw(&o, r->body);
    json_close(&o, '}');
    return json_out_done(&o);
}

bool registry_stored(const struct resource *r, struct arena *a, struct store_change *out)
{
    *out = (struct store_change){.kind = kinds[r->kind].store, .op = STORE_PUT, .id = r->id, .value = stored_text(r, a), .secret = r->secret};
    return out->value.p != NULL;
}

/* The slices lie in the change or the arena. */
bool registry_read(const struct store_change *c, enum kind_id kind, struct arena *a, struct resource *r)
{
    struct slice hex = {0};
    struct json_doc d;
    uint64_t revision = 0;
    int body;

    *r = (struct resource){.kind = kind, .id = c->id, .secret = c->secret};
    if (!json_parse(&d, c->value, a))
        return false;
    body = json_get(&d, 0, "body");
    if (json_type_of(&d, body) != JSON_OBJECT || !json_i64(&d, json_get(&d, 0, "created"), &r->created_ms) ||
        !json_i64(&d, json_get(&d, 0, "updated"), &r->updated_ms) || !json_u64(&d, json_get(&d, 0, "revision"), &revision) ||
        !json_str(&d, json_get(&d, 0, "by"), a, &r->by) || !json_str(&d, json_get(&d, 0, "updatedBy"), a, &r->updated_by) ||
        !json_str(&d, json_get(&d, 0, "redacted"), a, &r->redacted))
        return false;
    r->body = fields_text(&d, body);
    r->revision = (uint32_t)revision;
    return (kind != KIND_API_KEY && kind != KIND_ACCESS_KEY) ||
           (json_str(&d, json_get(&d, 0, "sha256"), a, &hex) && value_sha256(hex, r->sha256));
}

bool registry_load(const struct store_change *c, int64_t time_ms)
{
    struct resource r, *copy;
    struct arena a;
    int kind = 0;

    (void)time_ms;
    lists();
    while (kind < KINDS && (kinds[kind].store != c->kind || kind == KIND_ACCESS_KEY))
        kind++;
    if (kind == KINDS)
        return false;
    arena_init(&a, &mem_heap_source, 1 << 14, ADMIN_ARENA_MAX);
    copy = registry_read(c, (enum kind_id)kind, &a, &r) ? registry_make(&r) : NULL;
    arena_reset(&a);
    if (copy)
        put(copy);
    else
        log_say(LOG_WARN, "state: the stored %s \"%.*s\" can't be read and has no effect", kinds[kind].what, (int)(c->id.n < 100 ? c->id.n : 100), c->id.p);
    return true;
}

struct slice admin_stored_key(const uint8_t sha256[32])
{
    struct slice known = slice_make((const char *)sha256, 32), who = {NULL, 0};

    lists();
    for (struct list *n = reg.of[KIND_API_KEY].next; n != &reg.of[KIND_API_KEY]; n = n->next) {
        struct resource *r = container_of(n, struct resource, node);

        if (slice_eq_const_time(known, slice_make((const char *)r->sha256, 32))) {
            who = r->id;
            r->used_ms = clock_wall_ms();
        }
    }
    return who;
}

/* ---- One config of all ---- */

/* What stands for r once the change under way is done: itself, its successor, or NULL. */
static const struct resource *after_change(const struct resource *r)
{
    for (uint32_t i = 0; i < reg.n; i++)
        if (reg.change[i].r->kind == r->kind && slice_eq(reg.change[i].r->id, r->id))
            return reg.change[i].op == CHANGE_PUT ? reg.change[i].r : NULL;
    return r;
}

/* The i-th resource that a list of the whole config holds, or NULL. */
static const struct resource *listed(enum kind_id kind, uint32_t i)
{
    for (struct list *n = reg.of[kind].next; n != &reg.of[kind]; n = n->next) {
        const struct resource *r = container_of(n, struct resource, node);

        if (r->from_file || r->left_out || !(r = after_change(r)))
            continue;
        if (i-- == 0)
            return r;
    }
    for (uint32_t j = 0; j < reg.n; j++)
        if (reg.change[j].op == CHANGE_PUT && reg.change[j].r->kind == kind && !registry_find(kind, reg.change[j].r->id) && i-- == 0)
            return reg.change[j].r;
    return NULL;
}

static struct slice element(const struct resource *r, struct arena *a)
{
    size_t cap = r->body.n + 6 * (r->id.n + r->secret.n) + 64;
    char *p = arena_take_bytes(a, cap);
    struct slice inside = slice_make(r->body.p + 1, r->body.n - 2);
    struct json_out o;

    if (!p)
        return slice_make(NULL, 0);
    json_out_init(&o, p, cap);
    json_open(&o, '{');
    if (r->kind != KIND_PROVIDER) {
        json_key(&o, "id");
        json_out_str(&o, r->id);
    }
    if (r->secret.n) {
        json_key(&o, "value");
        json_out_str(&o, r->secret);
    }
    if (inside.n && !o.full) { /* members, as they stand */
        if (o.n > 1)
            o.p[o.n++] = ',';
        memcpy(o.p + o.n, inside.p, inside.n);
        o.n += inside.n;
    }
    o.p[o.n++] = '}';
    return slice_make(o.p, o.n);
}

/* Those that listed() numbers, in one walk; *n of them. */
static const struct resource **collect(enum kind_id kind, struct arena *a, uint32_t *n)
{
    const struct resource **all = arena_zero(a, reg.count[kind] + reg.n, sizeof *all);

    *n = 0;
    for (struct list *at = reg.of[kind].next; all && at != &reg.of[kind]; at = at->next) {
        const struct resource *r = container_of(at, struct resource, node);

        if (!r->from_file && !r->left_out && (r = after_change(r)))
            all[(*n)++] = r;
    }
    for (uint32_t j = 0; all && j < reg.n; j++)
        if (reg.change[j].op == CHANGE_PUT && reg.change[j].r->kind == kind && !registry_find(kind, reg.change[j].r->id))
            all[(*n)++] = reg.change[j].r;
    return all;
}

static struct slice elements(enum kind_id kind, struct arena *a)
{
    size_t total = 0, cap = 1;
    uint32_t n;
    const struct resource **all = collect(kind, a, &n);
    char *p;

    for (uint32_t i = 0; i < n; i++)
        cap += all[i]->body.n + 6 * (all[i]->id.n + all[i]->secret.n) + 65;
    p = all ? arena_take_bytes(a, cap) : NULL;
    for (uint32_t i = 0; p && i < n; i++) {
        struct slice e = element(all[i], a);

        if (!e.p)
            return slice_make(NULL, 1);
        if (i)
            p[total++] = ',';
        memcpy(p + total, e.p, e.n);
        total += e.n;
    }
    return slice_make(p, p ? total : 1);
}

static void gateway_members(struct conf_stored *s, const struct resource *r, struct arena *a)
{
    struct json_doc d;

    if (!r || !json_parse(&d, r->body, a))
        return;
    for (const struct field *f = kinds[KIND_GATEWAY].field; f->name; f++) {
        int tok = json_get(&d, 0, f->name);

        if (tok >= 0 && !slice_eq(slice_str(f->name), SLICE("metadata")) && s->ngateway < STORED_SETTINGS_MAX) {
            s->gateway[s->ngateway].name = f->name;
            s->gateway[s->ngateway++].value = fields_text(&d, tok);
        }
    }
}

static const enum kind_id kind_of_list[STORED_LISTS] = {KIND_PROVIDER, KIND_PROVIDER_KEY, KIND_CONFIGURATION};

static struct conf *build_once(struct slice text, struct conf_stored_error *e)
{
    struct conf_stored s = {0};
    struct conf *c = NULL;
    struct arena a;
    bool ok = true;

    arena_init(&a, &mem_heap_source, 1 << 16, BUILD_ARENA);
    for (int i = 0; i < STORED_LISTS; i++) {
        s.list[i] = elements(kind_of_list[i], &a);
        ok &= !s.list[i].n || s.list[i].p;
    }
    gateway_members(&s, listed(KIND_GATEWAY, 0), &a);
    *e = (struct conf_stored_error){.list = -1, .inside = ""};
    if (ok)
        c = conf_load_stored(text, &s, admin.env, e);
    else
        text_format(e->e.text, sizeof e->e.text, "out of memory");
    if (s.list[STORED_PROVIDER_KEYS].p)
        explicit_bzero((char *)(uintptr_t)s.list[STORED_PROVIDER_KEYS].p, s.list[STORED_PROVIDER_KEYS].n);
    arena_reset(&a);
    return c;
}

struct conf *registry_build(struct slice text, bool lenient, char *why, size_t cap)
{
    struct conf_stored_error e;
    struct conf *c;

    lists();
    for (int i = 0; lenient && i < KINDS; i++)
        for (struct list *n = reg.of[i].next; n != &reg.of[i]; n = n->next)
            container_of(n, struct resource, node)->left_out = false;
    for (int tries = 0; !(c = build_once(text, &e)) && tries < LEFT_OUT_MAX; tries++) {
        const struct resource *r = e.list >= 0 ? listed(kind_of_list[e.list], e.index) : NULL;

        if (!r)
            break;
        if (!lenient) {
            text_format(why, cap, "the stored %s \"%s\" does not fit: %s: %s", kinds[r->kind].what, r->id.p, e.inside, e.e.text);
            return NULL;
        }
        log_say(LOG_WARN, "state: %s \"%s\" does not fit the config and has no effect: %s: %s", kinds[r->kind].what, r->id.p, e.inside, e.e.text);
        registry_find(r->kind, r->id)->left_out = true;
    }
    if (!c && e.e.line)
        text_format(why, cap, "%u:%u: %s", e.e.line, e.e.column, e.e.text);
    else if (!c)
        text_format(why, cap, "%s", e.e.text);
    return c;
}

/* ---- Those of the file ---- */

/* Over one value of valid JSON, from its first byte. */
static size_t value_end(struct slice s, size_t at)
{
    unsigned depth = 0;

    for (; at < s.n; at++) {
        char c = s.p[at];

        if (c == '"') {
            for (at++; s.p[at] != '"'; at++)
                at += s.p[at] == '\\';
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth-- <= 1)
                return at + (depth == 0);
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return at;
}

static bool show(enum kind_id kind, struct slice text, const struct conf *c, struct arena *a)
{
    struct resource r = {.kind = kind, .from_file = true, .by = SLICE("config"), .updated_by = SLICE("config"), .revision = 1}, *copy;
    struct json_doc d;
    char redacted[20];

    if (!json_parse(&d, text, a) || !json_str(&d, json_get(&d, 0, kind == KIND_PROVIDER ? "providerId" : "id"), a, &r.id))
        return true; /* too large to be shown */
    r.body = fields_merge(a, SLICE(""), &d, kinds[kind].field);
    r.created_ms = r.updated_ms = clock_wall_ms();
    for (uint32_t i = 0; kind == KIND_PROVIDER_KEY && c && i < c->ncredentials; i++)
        if (slice_eq(c->credential[i].id, r.id))
            r.redacted = conf_redact(c->credential[i].value, redacted);
    copy = r.body.p ? registry_make(&r) : NULL;
    if (copy)
        put(copy);
    return copy != NULL;
}

bool registry_show_file(struct slice text)
{
    static const struct {
        const char *name;
        enum kind_id kind;
    } section[] = {{"providers", KIND_PROVIDER}, {"providerKeys", KIND_PROVIDER_KEY}, {"accessKeyConfigurations", KIND_CONFIGURATION},
                   {"accessKeys", KIND_ACCESS_KEY}};
    struct json_member top[64];
    struct json_check check;
    struct arena a;
    bool ok = true;

    lists();
    for (int i = 0; i < KINDS; i++)
        for (struct list *n = reg.of[i].next, *next; n != &reg.of[i]; n = next) {
            struct resource *r = container_of(n, struct resource, node);

            next = n->next;
            if (r->from_file)
                take_away(r);
        }
    json_check_init(&check, top, 64);
    if (!text.n || json_check_feed(&check, text.p, text.n) == PARSE_BAD)
        return true;
    arena_init(&a, &mem_heap_source, 1 << 14, BUILD_ARENA);
    for (uint32_t i = 0; i < check.members && i < 64; i++)
        for (size_t j = 0; j < sizeof section / sizeof *section; j++) {
            struct slice list = slice_make(text.p + top[i].val_off, top[i].val_len);

            if (top[i].type != JSON_ARRAY || !slice_eq(slice_make(text.p + top[i].key_off, top[i].key_len), slice_str(section[j].name)))
                continue;
            for (size_t at = 1; at < list.n && ok;) {
                size_t end = value_end(list, at);
                struct slice one = slice_trim(slice_make(list.p + at, end - at));

                if (one.n && one.p[0] == '{')
                    ok = show(section[j].kind, one, admin.conf(), &a);
                at = end + 1;
                arena_reset(&a);
            }
        }
    arena_reset(&a);
    return ok;
}

/* ---- Changes ---- */

void registry_refuse_store(struct admin_call *c, const char *why)
{
    admin_error(c, 503, NULL, "Nothing was changed: %s.", why);
}

static void run_waiting(struct timer *t)
{
    (void)t;
    while (!reg.call && reg.nwaiting) {
        uint32_t i = reg.first;

        reg.first = (reg.first + 1) % ADMIN_CONNS;
        reg.nwaiting--;
        admin_resume(reg.waiting[i].call, reg.waiting[i].run);
    }
}

bool registry_turn(struct admin_call *c, admin_handler *run)
{
    uint32_t i = (reg.first + reg.nwaiting) % ADMIN_CONNS;

    if (!reg.call)
        return true;
    reg.waiting[i].call = c; /* a connection has one call, so there is room */
    reg.waiting[i].run = run;
    reg.nwaiting++;
    return false;
}

static void free_made(void)
{
    for (uint32_t i = 0; i < reg.n; i++)
        if (reg.change[i].op == CHANGE_PUT)
            registry_free(reg.change[i].r);
    reg.n = 0;
}

/* Nothing is under way any more. */
static void end_change(void)
{
    reg.n = 0;
    reg.conf = NULL;
    reg.call = NULL;
    if (reg.nwaiting)
        timer_arm(&reg.next, clock_ms());
}

void registry_hold(struct admin_call *c)
{
    must(!reg.call);
    reg.call = c;
}

void registry_release(struct admin_call *c)
{
    if (reg.call == c)
        end_change();
}

static void committed(void *unused, bool ok, const char *why)
{
    struct admin_call *c = reg.call;
    char text[512];
    bool in_force = true;

    (void)unused;
    if (!ok) {
        free_made();
        if (reg.conf)
            conf_put(reg.conf);
        end_change();
        registry_refuse_store(c, why);
        return;
    }
    for (uint32_t i = 0; i < reg.n; i++)
        if (reg.change[i].op == CHANGE_PUT)
            put(reg.change[i].r);
        else
            take_away(reg.change[i].r);
    reg.n = 0;
    if (reg.conf)
        in_force = admin.apply(reg.conf, text, sizeof text);
    if (!in_force)
        log_say(LOG_ERROR, "admin: a change is stored but not in force before a restart: %s", text);
    end_change();
    if (in_force)
        reg.done(c);
    else
        admin_error(c, 500, NULL, "The change is stored, but not in force before a restart: %s", text);
}

/* A config that can't be made of it. */
static void refuse(struct admin_call *c, const struct conf_stored_error *e)
{
    const struct resource *r = e->list >= 0 ? listed(kind_of_list[e->list], e->index) : NULL;
    bool made = false;

    for (uint32_t i = 0; i < reg.n; i++)
        made |= reg.change[i].op == CHANGE_PUT && reg.change[i].r == r;
    if (r && !made)
        admin_error(c, 409, NULL, "This is still in use by the %s \"%s\" (%s): %s.", kinds[r->kind].what, r->id.p, e->inside, e->e.text);
    else if (r || reg.change[0].r->kind == KIND_GATEWAY)
        admin_error(c, 422, e->inside[0] ? e->inside : slice_starts(slice_str(e->path), SLICE("gateway.")) ? e->path + 8 : NULL, "%s.", e->e.text);
    else
        admin_error(c, 409, NULL, "The config file still needs this (%s): %s.", e->path, e->e.text);
}

struct conf *registry_try(struct admin_call *c, struct resource *r)
{
    struct conf_stored_error e;
    struct conf *conf;

    must(!reg.call && reg.n == 0);
    reg.change[0] = (struct change){CHANGE_PUT, r};
    reg.n = 1;
    conf = build_once(admin.text(), &e);
    if (!conf)
        refuse(c, &e);
    reg.n = 0;
    return conf;
}

void registry_change(struct admin_call *c, const struct change *change, uint32_t n, void (*done)(struct admin_call *c))
{
    struct store_change stored[CHANGE_MAX];
    struct conf_stored_error e;
    const char *why = "out of memory";
    bool config = false, ok = true;

    must(!reg.call && n > 0 && n <= CHANGE_MAX);
    lists();
    memcpy(reg.change, change, n * sizeof *change);
    reg.n = n;
    reg.call = c;
    reg.done = done;
    for (uint32_t i = 0; i < n; i++) {
        struct resource *r = change[i].r;

        config |= r->kind != KIND_API_KEY;
        stored[i] = (struct store_change){.kind = kinds[r->kind].store, .op = STORE_DELETE, .id = r->id};
        if (change[i].op == CHANGE_PUT)
            ok &= registry_stored(r, c->arena, &stored[i]);
    }
    if (store_read_only(&why)) {
        ok = false;
    } else if (config && ok) {
        reg.conf = build_once(admin.text(), &e);
        if (!reg.conf) {
            refuse(c, &e);
            free_made();
            end_change();
            return;
        }
    }
    if (ok && store_commit(stored, n, committed, NULL, &why))
        return;
    free_made();
    if (reg.conf)
        conf_put(reg.conf);
    end_change();
    registry_refuse_store(c, why);
}
