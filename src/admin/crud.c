/* Lists, single resources, and how they are made, changed and deleted. Access keys come from the keyring, all others from the registry; what is said about
 * them is the same. */
#include "admin/crud.h"

#include "admin/render.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/token.h"
#include "conf/keyring.h"
#include "conf/value.h"
#include "state/limits.h"

/* ---- Which kind, which one ---- */

static enum kind_id kind_of(const struct admin_call *c)
{
    for (int i = 0; i < KINDS; i++) {
        struct slice path = slice_str(kinds[i].path);

        if (slice_starts(c->path, path) && (c->path.n == path.n || c->path.p[path.n] == '/'))
            return (enum kind_id)i;
    }
    must(false); /* the routes name no other */
    return KINDS;
}

/* An access key as a resource: its body is put together again. */
static struct resource *from_ring(const struct keyring_key *k, struct arena *a)
{
    struct resource *r = arena_zero(a, 1, sizeof *r);
    size_t cap = 6 * (k->name.n + k->description.n + k->metadata.n + k->config_id.n) + 512;
    char *p = arena_take_bytes(a, cap);
    struct json_out o;

    if (!r || !p)
        return NULL;
    json_out_init(&o, p, cap);
    json_open(&o, '{');
    if (k->name.n) {
        json_key(&o, "name");
        json_out_str(&o, k->name);
    }
    if (k->description.n) {
        json_key(&o, "description");
        json_out_str(&o, k->description);
    }
    if (k->metadata.n) {
        json_key(&o, "metadata");
        json_out_str(&o, k->metadata);
    }
    if (k->config_id.n) {
        json_key(&o, "accessKeyConfigurationId");
        json_out_str(&o, k->config_id);
    }
    if (key_limits_any(&k->limits)) {
        json_key(&o, "limits");
        keyring_put_limits(&o, &k->limits);
    }
    if (k->limits.expires_ms)
        render_time(&o, "expiresAt", k->limits.expires_ms);
    json_close(&o, '}');
    *r = (struct resource){.kind = KIND_ACCESS_KEY, .id = k->id, .body = json_out_done(&o), .redacted = k->redacted, .by = k->by,
                           .updated_by = k->updated_by, .created_ms = k->created_ms, .updated_ms = k->updated_ms, .used_ms = k->used_ms,
                           .revision = k->revision};
    memcpy(r->sha256, k->sha256, 32);
    return r->body.p ? r : NULL;
}

/* What a resource of the API says, for the ring. False: answered. c NULL: at start. */
static bool to_ring(struct admin_call *c, const struct resource *r, struct arena *a, struct keyring_key *k)
{
    struct conf_error e;
    struct json_doc d;

    *k = (struct keyring_key){.id = r->id, .redacted = r->redacted, .by = r->by, .updated_by = r->updated_by, .created_ms = r->created_ms,
                              .updated_ms = r->updated_ms, .revision = r->revision};
    memcpy(k->sha256, r->sha256, 32);
    if (!json_parse(&d, r->body, a))
        return false;
    (void)json_str(&d, json_get(&d, 0, "name"), a, &k->name);
    (void)json_str(&d, json_get(&d, 0, "description"), a, &k->description);
    (void)json_str(&d, json_get(&d, 0, "metadata"), a, &k->metadata);
    (void)json_str(&d, json_get(&d, 0, "accessKeyConfigurationId"), a, &k->config_id);
    if (!keyring_read_limits(r->body, &k->limits, &e)) {
        if (c)
            admin_error(c, 422, json_get(&d, 0, "limits") >= 0 ? "limits" : "expiresAt", "%s.", e.text);
        return false;
    }
    if (c && k->config_id.n && !conf_access_config(admin.conf(), k->config_id)) {
        admin_error(c, 422, "accessKeyConfigurationId", "There is no access key configuration \"%.*s\".", (int)slice_first(k->config_id, 100).n,
                    k->config_id.p);
        return false;
    }
    return true;
}

bool access_key_load(const struct store_change *c)
{
    struct keyring_key k;
    struct resource r;
    struct arena a;
    bool ok;

    if (c->kind != STORE_ACCESS_KEY)
        return false;
    arena_init(&a, &mem_heap_source, 1 << 13, ADMIN_ARENA_MAX);
    ok = registry_read(c, KIND_ACCESS_KEY, &a, &r) && to_ring(NULL, &r, &a, &k) && keyring_put(&k);
    arena_reset(&a);
    return ok;
}

static struct resource *find(struct admin_call *c, enum kind_id kind, struct slice id)
{
    struct keyring_key k;
    struct resource *r = kind == KIND_ACCESS_KEY && keyring_get(id, &k) ? from_ring(&k, c->arena) : registry_find(kind, id);

    if (!r)
        admin_error(c, 404, NULL, "There is no %s \"%.*s\".", kinds[kind].what, (int)slice_first(id, 100).n, id.p);
    return r;
}

/* The one made before r (NULL: the newest); those of the file come behind the keyring's. */
static struct resource *older(struct admin_call *c, enum kind_id kind, const struct resource *r)
{
    struct keyring_key k;

    if (kind == KIND_ACCESS_KEY && (!r || !r->from_file) && keyring_older(r ? r->id : SLICE(""), &k))
        return from_ring(&k, c->arena);
    return r && (kind != KIND_ACCESS_KEY || r->from_file) ? registry_older(r) : registry_newest(kind);
}

/* ---- Answers ---- */

struct one {
    const struct resource *r;
    struct slice token;
    struct arena *a;
};

static void write_one(struct json_out *o, void *arg)
{
    const struct one *one = arg;

    render_resource(o, one->r, one->token, one->a);
}

static void answer(struct admin_call *c, unsigned status, const struct resource *r, struct slice token)
{
    struct one one = {r, token, c->arena};
    struct admin_reply reply = {.status = status, .etag = render_etag(r, c->arena)};

    reply.body = render_all(c->arena, 3 * r->body.n, write_one, &one);
    if (status == 201)
        reply.location = arena_printf(c->arena, "%s/%.*s", kinds[r->kind].path, (int)r->id.n, r->id.p);
    if (!reply.body.p)
        admin_error(c, 500, NULL, "This resource is too large to be shown.");
    else
        admin_reply(c, &reply);
}

struct page {
    struct admin_call *c;
    enum kind_id kind;
    const struct resource *first;
    uint32_t limit;
    struct slice provider;
};

static bool is_of(const struct resource *r, struct slice provider)
{
    return !provider.n || slice_eq(r->provider, provider);
}

static void write_page(struct json_out *o, void *arg)
{
    struct page *p = arg;
    const struct resource *r = p->first, *last = NULL;
    uint32_t n = 0;
    char next[512];
    int len;

    json_open(o, '{');
    json_key(o, kinds[p->kind].list);
    json_open(o, '[');
    for (; r && n < p->limit && !o->full; r = older(p->c, p->kind, r)) {
        if (!is_of(r, p->provider))
            continue;
        render_resource(o, r, SLICE(""), p->c->arena);
        last = r;
        n++;
    }
    json_close(o, ']');
    json_key(o, "uri");
    json_out_str(o, slice_str(kinds[p->kind].path));
    json_key(o, "nextPageUri");
    if (r && last) {
        len = text_format(next, sizeof next, "%s?limit=%u&beforeId=%.*s%s%.*s", kinds[p->kind].path, (unsigned)p->limit, (int)last->id.n, last->id.p,
                          p->provider.n ? "&provider=" : "", (int)p->provider.n, p->provider.n ? p->provider.p : "");
        json_out_str(o, slice_make(next, (size_t)len < sizeof next ? (size_t)len : sizeof next - 1));
    } else {
        json_out_null(o);
    }
    json_close(o, '}');
}

void crud_list(struct admin_call *c)
{
    static const char *const names[] = {"limit", "beforeId", NULL}, *const of_keys[] = {"limit", "beforeId", "provider", NULL};
    struct page p = {.c = c, .kind = kind_of(c)};
    struct slice before;
    struct slice json;

    if (!admin_query_only(c, p.kind == KIND_PROVIDER_KEY ? of_keys : names) || !admin_query_limit(c, ADMIN_LIST_MAX, ADMIN_LIST_MAX, &p.limit))
        return;
    (void)admin_query(c, "provider", &p.provider);
    if (admin_query(c, "beforeId", &before)) {
        const struct resource *r = find(c, p.kind, before);

        if (!r)
            return;
        p.first = older(c, p.kind, r);
    } else {
        p.first = older(c, p.kind, NULL);
    }
    json = render_all(c->arena, 0, write_page, &p);
    if (json.p)
        admin_json(c, 200, json);
    else
        admin_error(c, 500, NULL, "This page is too large. Ask with a smaller limit.");
}

void crud_get(struct admin_call *c)
{
    enum kind_id kind = kind_of(c);
    const struct resource *r = find(c, kind, c->arg);

    if (r)
        answer(c, 200, r, SLICE(""));
}

/* ---- Writes: what they have in common ---- */

/* The present one, free to be changed. NULL: answered. */
static struct resource *for_writing(struct admin_call *c, enum kind_id kind)
{
    struct resource *r = find(c, kind, c->arg);

    if (!r)
        return NULL;
    if (r->from_file) {
        admin_error(c, 409, NULL, "The %s \"%.*s\" stands in the config file, and is changed there.", kinds[kind].what, (int)slice_first(r->id, 100).n,
                    r->id.p);
        return NULL;
    }
    return admin_matches(c, render_etag(r, c->arena)) ? r : NULL;
}

/* Names that would make two of them look alike in lists and logs. False: answered. */
static bool name_free(struct admin_call *c, enum kind_id kind, struct slice body, struct slice id)
{
    struct slice name, provider = SLICE("");
    struct json_doc d;

    if ((kind != KIND_PROVIDER_KEY && kind != KIND_CONFIGURATION) || !json_parse(&d, body, c->arena) ||
        !json_str(&d, json_get(&d, 0, "name"), c->arena, &name))
        return true;
    (void)json_str(&d, json_get(&d, 0, "providerId"), c->arena, &provider);
    for (const struct resource *r = registry_newest(kind); r; r = registry_older(r))
        if (slice_eq(r->name, name) && slice_eq(r->provider, provider) && !slice_eq(r->id, id)) {
            admin_error(c, 409, "name", "The %s \"%.*s\" has that name already.", kinds[kind].what, (int)slice_first(r->id, 100).n, r->id.p);
            return false;
        }
    return true;
}

struct writing {
    enum kind_id kind;
    unsigned status;
    struct slice id, token;
    struct keyring_key ring; /* an access key's new state */
};

static void written(struct admin_call *c)
{
    const struct writing *w = c->state;

    answer(c, w->status, registry_find(w->kind, w->id), w->token);
}

/* The ring's key as it is now, in the answer. */
static void answer_ring(struct admin_call *c)
{
    const struct writing *w = c->state;
    struct keyring_key k;
    struct resource *r = keyring_get(w->id, &k) ? from_ring(&k, c->arena) : NULL;

    if (r)
        answer(c, w->status, r, w->token);
    else
        admin_error(c, 500, NULL, "This access key can't be shown: out of memory.");
}

static void ring_made(void *arg, bool ok, const char *why)
{
    struct admin_call *c = arg;
    const struct writing *w = c->state;

    if (ok) {
        answer_ring(c);
        return;
    }
    (void)keyring_remove(w->id);
    registry_refuse_store(c, why);
}

static void ring_changed(void *arg, bool ok, const char *why)
{
    struct admin_call *c = arg;
    const struct writing *w = c->state;

    registry_release(c);
    if (ok && !keyring_put(&w->ring)) {
        ok = false;
        why = "the access key is stored, but there is no memory for it before a restart";
    }
    if (ok)
        answer_ring(c);
    else
        registry_refuse_store(c, why);
}

/* An access key into the store and the ring. New ones go side by side, so that many become durable together; they are in the ring at once, where a deletion of their
 * configuration sees them, and nobody knows their token until they are durable. Changes of old ones take turns, and are in force when they are durable. */
static void write_ring(struct admin_call *c, const struct resource *r, struct writing *w)
{
    const bool make = w->status == 201;
    struct store_change stored;
    const char *why = "out of memory";

    if (!to_ring(c, r, c->arena, &w->ring)) {
        if (!admin_answered(c))
            registry_refuse_store(c, why);
        return;
    }
    if (!store_read_only(&why) && registry_stored(r, c->arena, &stored) && (!make || keyring_put(&w->ring))) {
        if (!make)
            registry_hold(c);
        if (store_commit(&stored, 1, make ? ring_made : ring_changed, c, &why))
            return;
        if (make)
            (void)keyring_remove(w->id);
    }
    registry_release(c);
    registry_refuse_store(c, why);
}

/* ---- Keys written inside a rule ---- */

/* The provider whose key it is. */
static struct slice rule_provider(const struct json_doc *d, int rule, struct arena *a)
{
    const struct conf *c = admin.conf();
    struct slice s = {0};
    const struct target *t;

    if (json_str(d, json_get(d, rule, "provider"), a, &s) || !json_str(d, json_get(d, rule, "model"), a, &s))
        return s;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == ':' || s.p[i] == '/') && conf_provider(c, slice_first(s, i)))
            return slice_first(s, i);
    t = conf_model(c, s);
    return t ? t->provider->id : s;
}

static struct resource *make_inline_key(struct admin_call *c, const struct json_doc *d, int key, struct slice provider)
{
    char id[64], redacted[20], body[2048];
    struct resource r = {.kind = KIND_PROVIDER_KEY, .by = c->by, .updated_by = c->by, .created_ms = clock_wall_ms(), .updated_ms = clock_wall_ms(),
                         .revision = 1};
    struct json_out o;
    struct slice name;

    if (!json_str(d, json_get(d, key, "name"), c->arena, &name) || !json_str(d, json_get(d, key, "value"), c->arena, &r.secret) ||
        !token_make(kinds[KIND_PROVIDER_KEY].prefix, ID_LETTERS, id, sizeof id))
        return NULL;
    json_out_init(&o, body, sizeof body);
    json_open(&o, '{');
    json_key(&o, "providerId");
    json_out_str(&o, provider);
    json_key(&o, "name");
    json_out_str(&o, name);
    json_close(&o, '}');
    r.id = slice_str(id);
    r.body = json_out_done(&o);
    r.redacted = conf_redact(r.secret, redacted);
    return r.body.p ? registry_make(&r) : NULL;
}

/* In a configuration's body, keys with a value become keys of their own (in change[1] and up), referred to by id. {NULL, 0}: answered, or can't be. */
static struct slice take_inline_keys(struct admin_call *c, struct slice body, struct change *change, uint32_t *n)
{
    struct json_doc d;
    char *p = arena_take_bytes(c->arena, body.n + CHANGE_MAX * 64), *at = p;
    size_t from = 0;
    int rules;

    if (!p || !json_parse(&d, body, c->arena))
        return slice_make(NULL, 0);
    rules = json_path(&d, 0, "router.rules");
    for (int rule = json_type_of(&d, rules) == JSON_ARRAY ? json_first(&d, rules) : -1; rule >= 0; rule = json_next(&d, rule)) {
        int steps = json_get(&d, rule, "steps");

        for (int s = json_type_of(&d, steps) == JSON_ARRAY ? json_first(&d, steps) : -1; s >= 0; s = json_next(&d, s)) {
            int keys = json_get(&d, s, "keys");

            for (int k = json_type_of(&d, keys) == JSON_ARRAY ? json_first(&d, keys) : -1; k >= 0; k = json_next(&d, k)) {
                struct slice whole = fields_text(&d, k);
                struct resource *made;

                if (json_type_of(&d, k) != JSON_OBJECT || json_get(&d, k, "value") < 0 || json_get(&d, k, "id") >= 0 || json_size(&d, k) != 2)
                    continue; /* conf says what is wrong with it, if anything */
                if (*n == CHANGE_MAX) {
                    admin_error(c, 422, "router", "At most %d keys can be made together with a configuration.", CHANGE_MAX - 1);
                    return slice_make(NULL, 0);
                }
                made = make_inline_key(c, &d, k, rule_provider(&d, rule, c->arena));
                if (!made)
                    return slice_make(NULL, 0);
                change[(*n)++] = (struct change){CHANGE_PUT, made};
                memcpy(at, body.p + from, (size_t)(whole.p - body.p) - from);
                at += (size_t)(whole.p - body.p) - from;
                at += text_format(at, 64, "{\"id\":\"%s\"}", made->id.p);
                from = (size_t)(whole.p - body.p) + whole.n;
            }
        }
    }
    memcpy(at, body.p + from, body.n - from);
    return slice_make(p, (size_t)(at - p) + body.n - from);
}

/* ---- Create, update, rotate, delete ---- */

/* The new state r of a resource, made of parts that live in the call. */
static void write_resource(struct admin_call *c, struct resource *r, struct writing *w)
{
    struct change change[CHANGE_MAX];
    uint32_t n = 1;

    w->kind = r->kind;
    w->id = r->id;
    c->state = w;
    if (!name_free(c, r->kind, r->body, r->id))
        return;
    if (r->kind == KIND_ACCESS_KEY) {
        write_ring(c, r, w);
        return;
    }
    if (r->kind == KIND_CONFIGURATION) {
        r->body = take_inline_keys(c, r->body, change, &n);
        if (!r->body.p) {
            while (--n)
                registry_free(change[n].r);
            if (!admin_answered(c))
                admin_error(c, 422, "router", "A key of a step can't be made: it needs a name and a value.");
            return;
        }
    }
    change[0] = (struct change){CHANGE_PUT, registry_make(r)};
    if (!change[0].r) {
        while (--n)
            registry_free(change[n].r);
        registry_refuse_store(c, "out of memory");
        return;
    }
    registry_change(c, change, n, written);
}

/* A secret that comes in, or a token that is made. False: answered. */
static bool give_secret(struct admin_call *c, struct resource *r, struct writing *w)
{
    char *token, *redacted = arena_take_bytes(c->arena, 20);
    struct slice secret;

    if (r->kind != KIND_PROVIDER_KEY && r->kind != KIND_ACCESS_KEY && r->kind != KIND_API_KEY)
        return true;
    if (!redacted) {
        registry_refuse_store(c, "out of memory");
        return false;
    }
    if (r->kind == KIND_PROVIDER_KEY) {
        (void)json_str(&c->body, json_get(&c->body, 0, "value"), c->arena, &secret);
        r->secret = slice_trim(secret);
        r->redacted = conf_redact(r->secret, redacted);
        return true;
    }
    token = arena_take_bytes(c->arena, 64);
    if (!token || !token_make(r->kind == KIND_API_KEY ? "weiradm_" : "weir_", TOKEN_LETTERS, token, 64)) {
        registry_refuse_store(c, "the kernel gives no random numbers");
        return false;
    }
    w->token = slice_str(token);
    sha256(w->token, r->sha256);
    r->redacted = conf_redact(w->token, redacted);
    return true;
}

void crud_create(struct admin_call *c)
{
    struct resource r = {.kind = kind_of(c), .by = c->by, .updated_by = c->by, .created_ms = clock_wall_ms(), .updated_ms = clock_wall_ms(), .revision = 1};
    struct writing *w = arena_zero(c->arena, 1, sizeof *w);
    char *id = arena_take_bytes(c->arena, 64);

    if (!registry_turn(c, crud_create) || !fields_check(c, kinds[r.kind].field, true))
        return;
    r.body = fields_merge(c->arena, SLICE(""), &c->body, kinds[r.kind].field);
    if (!w || !id || !r.body.p || !token_make(kinds[r.kind].prefix, ID_LETTERS, id, 64)) {
        registry_refuse_store(c, "out of memory");
        return;
    }
    r.id = slice_str(id);
    if (r.kind == KIND_PROVIDER) {
        const struct provider *p;

        (void)json_str(&c->body, json_get(&c->body, 0, "providerId"), c->arena, &r.id);
        if (!value_id(r.id, true)) {
            admin_error(c, 422, "providerId", "providerId must be 1 to 255 printable ASCII characters without blanks, quotes, commas, ':' or '/'.");
            return;
        }
        p = conf_provider(admin.conf(), r.id);
        if (p || registry_find(KIND_PROVIDER, r.id) || slice_eq(r.id, SLICE("sim"))) {
            admin_error(c, 409, "providerId", p && p->builtin ? "\"%.*s\" is a built-in provider. Choose another id." : "There is a provider \"%.*s\" already.",
                        (int)slice_first(r.id, 100).n, r.id.p);
            return;
        }
    }
    w->status = 201;
    if (give_secret(c, &r, w))
        write_resource(c, &r, w);
}

/* What is the same in the new state of r. */
static bool carry_on(struct admin_call *c, const struct resource *old, struct resource *r, struct writing **w)
{
    *r = *old;
    r->node = (struct list){NULL, NULL};
    r->updated_ms = clock_wall_ms();
    r->updated_by = c->by;
    r->revision++;
    /* The old one may be gone when the answer is made. */
    r->id = arena_copy(c->arena, old->id);
    r->redacted = arena_copy(c->arena, old->redacted);
    r->by = arena_copy(c->arena, old->by);
    *w = arena_zero(c->arena, 1, sizeof **w);
    if (!*w || arena_overflowed(c->arena)) {
        registry_refuse_store(c, "out of memory");
        return false;
    }
    (*w)->status = 200;
    return true;
}

void crud_update(struct admin_call *c)
{
    enum kind_id kind = kind_of(c);
    struct resource *old, r;
    struct writing *w;

    if (!registry_turn(c, crud_update) || !(old = for_writing(c, kind)) || !fields_check(c, kinds[kind].field, false) || !carry_on(c, old, &r, &w))
        return;
    r.body = fields_merge(c->arena, old->body, &c->body, kinds[kind].field);
    if (r.body.p)
        write_resource(c, &r, w);
    else
        registry_refuse_store(c, "out of memory");
}

void crud_rotate(struct admin_call *c)
{
    static const struct field fields[] = {{"name", FIELD_TEXT, 255, FIELD_NEEDED}, {"value", FIELD_TEXT, 8192, FIELD_NEEDED | FIELD_SECRET}, {0}};
    struct resource *old, r;
    struct writing *w;

    if (!registry_turn(c, crud_rotate) || !(old = for_writing(c, KIND_PROVIDER_KEY)) || !fields_check(c, fields, true) || !carry_on(c, old, &r, &w))
        return;
    r.body = fields_merge(c->arena, old->body, &c->body, kinds[KIND_PROVIDER_KEY].field);
    if (r.body.p && give_secret(c, &r, w))
        write_resource(c, &r, w);
    else if (!r.body.p)
        registry_refuse_store(c, "out of memory");
}

static void deleted(struct admin_call *c)
{
    admin_reply(c, &(struct admin_reply){.status = 204});
}

static void ring_deleted(void *arg, bool ok, const char *why)
{
    struct admin_call *c = arg;

    registry_release(c);
    if (!ok) {
        registry_refuse_store(c, why);
        return;
    }
    limits_forget(c->arg);
    (void)keyring_remove(c->arg);
    deleted(c);
}

static void delete_from_ring(struct admin_call *c)
{
    const struct store_change stored = {.kind = STORE_ACCESS_KEY, .op = STORE_DELETE, .id = c->arg};
    const char *why;

    registry_hold(c);
    if (!store_read_only(&why) && store_commit(&stored, 1, ring_deleted, c, &why))
        return;
    registry_release(c);
    registry_refuse_store(c, why);
}

void crud_delete(struct admin_call *c)
{
    enum kind_id kind = kind_of(c);
    struct resource *r;
    struct change change;
    uint32_t uses;

    if (!registry_turn(c, crud_delete) || !(r = for_writing(c, kind)))
        return;
    uses = kind == KIND_CONFIGURATION ? keyring_uses(r->id) : 0;
    if (uses) {
        admin_error(c, 409, NULL, "%u access keys still use this configuration. Give them another one first.", (unsigned)uses);
        return;
    }
    if (kind == KIND_API_KEY && registry_count(KIND_API_KEY) == 1 && !admin_has_key(admin.conf())) {
        admin_error(c, 409, NULL, "This is the last API key. Make another one first.");
        return;
    }
    if (kind == KIND_ACCESS_KEY) {
        delete_from_ring(c);
        return;
    }
    change = (struct change){CHANGE_DELETE, r};
    registry_change(c, &change, 1, deleted);
}
