/* Credentials towards providers (stored, managed, none) and access keys of clients. */

#include "base/limits.h"
#include "base/must.h"
#include "base/sha256.h"
#include "base/text.h"
#include "conf/build.h"
#include "conf/catalog.h"
#include "conf/key_limits.h"
#include "conf/value.h"

/* ---- Credentials. ---- */

struct credential *build_credential(struct build *b, struct slice id, const struct provider *p)
{
    struct credential *k = &b->c->credential[b->c->ncredentials];

    if (b->r.failed)
        return NULL;
    must(b->c->ncredentials < b->credential_cap);
    *k = (struct credential){.id = id, .provider = p, .index = b->c->ncredentials++};
    return k;
}

/* An upper bound for the keys written inside rules: each has a member "value", spelled plainly or with an escape. */
static uint32_t inline_keys_bound(struct build *b)
{
    static const struct slice word = {"\"value\"", 7};
    size_t start, n = 0;
    struct slice span;

    if (!build_section(b, SECTION_CONFIGURATIONS))
        return 0;
    start = b->r.at;
    read_skip(&b->r);
    span = slice_make(b->r.text.p + start, b->r.at - start);
    for (ptrdiff_t at; (at = slice_find(span, word)) >= 0; span = slice_from(span, (size_t)at + word.n))
        n++;
    for (size_t i = start; i < b->r.at; i++)
        n += b->r.text.p[i] == '\\';
    return (uint32_t)n;
}

static uint32_t managed_count(struct build *b)
{
    struct read_object o;
    uint32_t n = 0;

    if (!build_section(b, SECTION_MANAGED) || !read_object(&b->r, &o, "managed", NULL))
        return 0;
    while (read_member(&b->r, &o) >= 0) {
        n += read_count(&b->r);
        read_skip(&b->r);
    }
    return n;
}

/* The credential that stands for having none; usable for custom providers and the simulator. */
static void add_blanks(struct build *b)
{
    for (uint32_t i = 0; i < b->c->nproviders; i++) {
        struct provider *p = &b->c->provider[i];
        struct credential *k = build_credential(b, arena_printf(b->arena, "none:%s", p->id.p), p);

        if (!k)
            return;
        k->name = SLICE("none");
        p->blank = k;
        if (!p->builtin || p->sim)
            p->none = k;
    }
}

static bool credentials_prepare(struct build *b)
{
    uint32_t stored = build_section(b, SECTION_PROVIDER_KEYS) ? read_count(&b->r) : 0;

    b->warning_cap = managed_count(b);
    b->credential_cap = b->c->nproviders + b->warning_cap + catalog_count + stored + inline_keys_bound(b);
    b->c->credential = build_zero(b, b->arena, b->credential_cap, sizeof(*b->c->credential));
    b->c->warning = build_zero(b, b->arena, b->warning_cap, sizeof(*b->c->warning));
    if (b->r.failed || !build_map(b, &b->key_ids, b->scratch, b->credential_cap))
        return false;
    add_blanks(b);
    return !b->r.failed;
}

bool build_key_value(struct build *b, struct slice key_name, struct slice *out)
{
    struct slice s;
    const char *why;
    size_t at;

    if (!read_setting(&b->r, "value", false, &s, &at))
        return false;
    if (!value_secret(s, PROVIDER_KEY_MAX, &why))
        return read_fail(&b->r, (ptrdiff_t)at, "the value of provider key \"%.*s\" %s",
                         (int)(key_name.n < 64 ? key_name.n : 64), key_name.n ? key_name.p : "", why);
    *out = build_copy(b, s);
    return !b->r.failed;
}

/* ---- Managed. ---- */

static void managed_add(struct build *b, struct provider *p, struct slice value)
{
    uint32_t n = p->nmanaged;
    struct credential *k = build_credential(b, arena_printf(b->arena, "managed:%s:%u", p->id.p, n), p);

    if (!k)
        return;
    k->name = n ? arena_printf(b->arena, "managed-%u", n + 1) : SLICE("managed");
    k->value = build_copy(b, value);
    k->managed = true;
    p->nmanaged++;
}

/* One entry of a list: a variable that is not set is no credential, since the same config often serves machines with
 * different keys; it leaves a warning. */
static bool managed_entry(struct build *b, struct provider *p, const char *what)
{
    struct conf *c = b->c;
    struct slice s, source;
    const char *why;
    size_t at, start = b->r.at;

    if (!read_setting(&b->r, what, true, &s, &at))
        return false;
    if (s.n == 0) {
        size_t end = b->r.at;

        b->r.at = start;
        read_string(&b->r, what, &source, NULL);
        b->r.at = end;
        must(c->nwarnings < b->warning_cap);
        c->warning[c->nwarnings++] = arena_printf(b->arena, "%s: %.*s is not set, so it is left out", what,
                                                  (int)(source.n < 128 ? source.n : 128), source.p);
        return true;
    }
    if (!value_secret(s, PROVIDER_KEY_MAX, &why))
        return read_fail(&b->r, (ptrdiff_t)at, "%s: this key %s", what, why);
    managed_add(b, p, s);
    return !b->r.failed;
}

static bool managed_list(struct build *b, const struct read_object *o)
{
    struct provider *p = map_get(&b->c->providers, o->key);
    struct read_array list;
    char what[300];

    if (!p)
        return build_unknown_provider(b, o->key_at, "managed", o->key);
    if (p->nmanaged)
        return read_fail(&b->r, (ptrdiff_t)o->key_at, "\"%s\" is given twice in managed", p->id.p);
    text_format(what, sizeof(what), "managed.%s", p->id.p);
    if (!read_array(&b->r, &list, what))
        return false;
    while (read_element(&b->r, &list))
        if (!managed_entry(b, p, what))
            return false;
    return !b->r.failed;
}

void build_managed(struct build *b)
{
    struct read_object o;

    if (!b->c->credential && (b->r.failed || !credentials_prepare(b)))
        return;
    if (!build_section(b, SECTION_MANAGED) || !read_object(&b->r, &o, "managed", NULL))
        return;
    while (read_member(&b->r, &o) >= 0) {
        if (read_type(&b->r) == JSON_NULL)
            read_skip(&b->r);
        else if (!managed_list(b, &o))
            return;
    }
}

void build_managed_from_environment(struct build *b)
{
    if (b->r.failed || !credentials_prepare(b))
        return;
    for (uint32_t i = 0; i < catalog_count; i++) {
        const char *value = b->r.env->getenv(b->r.env->user, catalog[i].environment);
        struct slice s = value ? slice_trim(slice_str(value)) : slice_make(NULL, 0);
        const char *why;

        if (s.n == 0)
            continue;
        if (!value_secret(s, PROVIDER_KEY_MAX, &why)) {
            read_fail(&b->r, READ_NOWHERE, "the environment variable %s %s", catalog[i].environment, why);
            return;
        }
        managed_add(b, &b->c->provider[i], s); /* the catalog's come first and in its order */
    }
}

/* ---- Stored. ---- */

static bool read_provider_key(struct build *b)
{
    static const char *const names[] = {"id", "providerId", "name", "value", "description", "metadata", NULL};
    struct slice id = {0}, provider_id = {0}, name = {0}, value = {0};
    size_t id_at = 0, provider_at = 0;
    const struct provider *p;
    struct credential *k;
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "a provider key", names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            build_id(b, "id", false, &id, &id_at);
        else if (i == 1)
            read_string(&b->r, "providerId", &provider_id, &provider_at);
        else if (i == 2)
            build_text(b, "name", NAME_CHARS_MAX, false, &name);
        else if (i == 3)
            build_key_value(b, id.n ? id : name, &value);
        else if (i == 4)
            build_remark(b, "description", DESCRIPTION_CHARS_MAX);
        else
            build_remark(b, "metadata", METADATA_CHARS_MAX);
    }
    if (!read_need(&b->r, &o, 0) || !read_need(&b->r, &o, 1) || !read_need(&b->r, &o, 3))
        return false;
    p = map_get(&b->c->providers, provider_id);
    if (!p)
        return build_unknown_provider(b, provider_at, "providerId", provider_id);
    k = build_credential(b, id, p);
    if (!k)
        return false;
    k->name = name.n ? name : id;
    k->value = value;
    return map_put(&b->key_ids, id, k) ||
           read_fail(&b->r, (ptrdiff_t)id_at, "provider key \"%s\" is declared twice", id.p);
}

void build_provider_keys(struct build *b)
{
    struct read_array list;

    if (!build_section(b, SECTION_PROVIDER_KEYS) || !read_array(&b->r, &list, "providerKeys"))
        return;
    while (read_element(&b->r, &list) && read_provider_key(b))
        ;
}

/* ---- Access keys. ---- */

static bool read_token(struct build *b, bool hashed, struct slice id, uint8_t hash[32])
{
    struct slice s;
    const char *why;
    size_t at;

    if (!read_setting(&b->r, hashed ? "tokenSha256" : "token", false, &s, &at))
        return false;
    if (hashed)
        return value_sha256(s, hash) || read_fail(&b->r, (ptrdiff_t)at, "tokenSha256 must be 64 hex digits");
    if (!value_secret(s, TOKEN_MAX, &why))
        return read_fail(&b->r, (ptrdiff_t)at, "the token of access key \"%s\" %s", id.n ? id.p : "", why);
    sha256(s, hash);
    return true;
}

struct access_entry {
    struct access_key key;
    struct slice config_id;
    size_t id_at, config_at, token_at;
    bool token, hash;
};

static bool read_access_members(struct build *b, struct access_entry *e)
{
    static const char *const names[] = {"id", "name", "token", "tokenSha256", "accessKeyConfigurationId", "description",
                                        "metadata", "limits", "expiresAt", NULL};
    struct access_key *k = &e->key;
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "an access key", names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        switch (i) {
        case 0:
            build_id(b, "id", false, &k->id, &e->id_at);
            break;
        case 1:
            build_text(b, "name", NAME_CHARS_MAX, false, &k->name);
            break;
        case 2:
        case 3:
            e->token |= i == 2;
            e->hash |= i == 3;
            e->token_at = b->r.at;
            read_token(b, i == 3, k->id, k->sha256);
            break;
        case 4:
            read_string(&b->r, "accessKeyConfigurationId", &e->config_id, &e->config_at);
            break;
        case 5:
            build_remark(b, "description", DESCRIPTION_CHARS_MAX);
            break;
        case 6:
            build_remark(b, "metadata", METADATA_CHARS_MAX);
            break;
        case 7:
            read_key_limits(&b->r, &k->limits);
            break;
        default:
            read_key_expiry(&b->r, &k->limits);
            break;
        }
    }
    if (!read_need(&b->r, &o, 0))
        return false;
    if (e->token == e->hash)
        return read_fail(&b->r, (ptrdiff_t)o.at, "access key \"%s\" needs either \"token\" or \"tokenSha256\"", k->id.p);
    return true;
}

static bool read_access_key(struct build *b, struct map *ids)
{
    struct access_entry e = {0};
    struct conf *c = b->c;
    struct access_key *k;

    if (!read_access_members(b, &e))
        return false;
    must(c->naccess_keys < c->access_key_cap);
    e.key.index = c->naccess_keys;
    k = &c->access_key[c->naccess_keys++];
    *k = e.key;
    if (e.config_at) {
        k->config = map_get(&b->c->configs, e.config_id);
        if (!k->config)
            return read_fail(&b->r, (ptrdiff_t)e.config_at, "there is no access key configuration \"%.*s\"",
                             (int)(e.config_id.n < 64 ? e.config_id.n : 64), e.config_id.p);
    }
    if (!map_put(ids, k->id, k))
        return read_fail(&b->r, (ptrdiff_t)e.id_at, "access key \"%s\" is declared twice", k->id.p);
    if (!map_put(&c->access_keys, slice_make((const char *)k->sha256, 32), k))
        return read_fail(&b->r, (ptrdiff_t)e.token_at, "access key \"%s\" has the token of another one", k->id.p);
    return true;
}

void build_access_keys(struct build *b)
{
    uint32_t n = build_section(b, SECTION_ACCESS_KEYS) ? read_count(&b->r) : 0;
    struct conf *c = b->c;
    struct read_array list;
    struct map ids;

    if (b->r.failed)
        return;
    c->access_key_cap = n + 4; /* some room for conf_add_access_key */
    c->access_key = build_zero(b, b->arena, c->access_key_cap, sizeof(*c->access_key));
    if (!c->access_key || !build_map(b, &c->access_keys, b->arena, c->access_key_cap) ||
        !build_map(b, &ids, b->scratch, n))
        return;
    if (!build_section(b, SECTION_ACCESS_KEYS) || !read_array(&b->r, &list, "accessKeys"))
        return;
    while (read_element(&b->r, &list) && read_access_key(b, &ids))
        ;
}

/* ---- Lists per provider. ---- */

void build_finish(struct build *b)
{
    struct conf *c = b->c;
    uint32_t *nmanaged, *nkeys;
    const struct credential **slot;

    if (b->r.failed)
        return;
    nkeys = build_zero(b, b->scratch, c->nproviders, sizeof(*nkeys));
    nmanaged = build_zero(b, b->scratch, c->nproviders, sizeof(*nmanaged));
    slot = build_zero(b, b->arena, c->ncredentials, sizeof(*slot));
    if (!nkeys || !nmanaged || !slot)
        return;
    for (uint32_t i = c->nproviders; i < c->ncredentials; i++) /* blanks come first */
        (c->credential[i].managed ? nmanaged : nkeys)[c->credential[i].provider->index]++;
    for (uint32_t i = 0; i < c->nproviders; i++) {
        struct provider *p = &c->provider[i];

        p->key = slot;
        p->managed = slot + nkeys[i];
        slot += nkeys[i] + nmanaged[i];
        p->nkeys = p->nmanaged = 0;
    }
    for (uint32_t i = c->nproviders; i < c->ncredentials; i++) {
        const struct credential *k = &c->credential[i];
        struct provider *p = &c->provider[k->provider->index];

        if (k->managed)
            p->managed[p->nmanaged++] = k;
        else
            p->key[p->nkeys++] = k;
    }
}
