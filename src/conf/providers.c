/* Providers: the catalog's, the simulator, the config's own; their addresses, surfaces and models. */
#include "base/limits.h"
#include "base/must.h"
#include "conf/build.h"
#include "conf/catalog.h"
#include "conf/value.h"

enum { SIM_SURFACES = 1u << SURFACE_CHAT | 1u << SURFACE_RESPONSES | 1u << SURFACE_MESSAGES };

const struct catalog_provider *catalog_provider(struct slice id)
{
    for (uint32_t i = 0; i < catalog_count; i++)
        if (slice_eq(catalog[i].id, id))
            return &catalog[i];
    return NULL;
}

struct conf_model catalog_model(const struct catalog_provider *p, uint32_t i)
{
    const struct catalog_model *m = &p->model[i];
    struct slice id = slice_str(m->id_and_name);

    return (struct conf_model){
        .id = id,
        .name = slice_str(id.p + id.n + 1),
        .context_window = m->context_window,
        .max_output_tokens = m->max_output_tokens,
        .price_input = m->price_input,
        .price_output = m->price_output,
        .price_cache_read = m->price_cache_read,
        .price_cache_write = m->price_cache_write,
        .priced = m->price_input || m->price_output || m->price_cache_read || m->price_cache_write,
    };
}

/* The models of a provider that has none but the catalog's so far. */
static void copy_catalog(const struct provider *p, struct conf_model *to)
{
    for (uint32_t i = 0; i < p->nmodels; i++)
        to[i] = catalog_model(&catalog[p->index], i); /* built-in providers come first and in the catalog's order */
}

bool build_unknown_provider(struct build *b, size_t at, const char *what, struct slice id)
{
    enum { SHOWN = 64 };
    const char *names[SHOWN + 1] = {0};
    char hint[192];
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->c->nproviders && n < SHOWN; i++) /* ids end with a NUL: literals and arena copies */
        names[n++] = b->c->provider[i].id.p;
    read_suggest(id, names, hint, sizeof(hint));
    if (slice_eq(id, SLICE("sim")))
        return read_fail(&b->r, (ptrdiff_t)at, "%s: the provider sim is off; \"sim\": true turns it on", what);
    return read_fail(&b->r, (ptrdiff_t)at, "%s: unknown provider \"%.*s\"%s", what, (int)(id.n < 64 ? id.n : 64),
                     id.n ? id.p : "", hint);
}

/* ---- Base URL. ---- */

/* Sets base and authority; text is copied with its host in lower case. at: where to complain. */
static bool base_url(struct build *b, struct provider *p, struct slice text, ptrdiff_t at)
{
    char *copy = build_zero(b, b->arena, text.n + 1, 1);
    const char *why = NULL;
    uint16_t standard;

    if (!copy)
        return false;
    if (text.n)
        memcpy(copy, text.p, text.n);
    if (!url_parse(slice_make(copy, text.n), &p->base, &why))
        return read_fail(&b->r, at, "baseUrl of \"%s\": %s", p->id.p, why);
    for (size_t i = (size_t)(p->base.host.p - copy), end = i + p->base.host.n; i < end; i++)
        copy[i] = ascii_lower(copy[i]);
    if (!p->base.https && !value_host_private(&p->base))
        return read_fail(&b->r, at, "baseUrl of \"%s\": http:// is for loopback, private and .internal hosts only; "
                                    "use https://", p->id.p);
    if (!p->base.https && !b->c->allow_private)
        return read_fail(&b->r, at, "baseUrl of \"%s\": http:// needs \"allowPrivate\": true in upstream", p->id.p);
    standard = p->base.https ? 443 : 80;
    p->authority = arena_printf(b->arena, slice_find_char(p->base.host, ':') >= 0 ? "[%.*s]" : "%.*s",
                                (int)p->base.host.n, p->base.host.p);
    if (p->authority.p && p->base.port != standard)
        p->authority = arena_printf(b->arena, "%s:%u", p->authority.p, p->base.port);
    return p->authority.p || read_fail(&b->r, READ_NOWHERE, "out of memory");
}

static void read_base_url(struct build *b, struct provider *p)
{
    struct slice text;
    size_t at;

    if (!read_setting(&b->r, "baseUrl", false, &text, &at))
        return;
    if (text.n > URL_CHARS_MAX)
        read_fail(&b->r, (ptrdiff_t)at, "baseUrl is longer than %d characters", URL_CHARS_MAX);
    else
        base_url(b, p, text, (ptrdiff_t)at);
}

/* ---- Surfaces. ---- */

/* [{"name": "temperature"}, ...] */
static bool read_params(struct build *b, const char *what, const struct slice **name, uint32_t *n)
{
    static const char *const names[] = {"name", NULL};
    uint32_t cap = read_count(&b->r);
    struct slice *out = build_zero(b, b->arena, cap, sizeof(*out));
    struct read_array list;

    *n = 0;
    *name = out;
    if (!read_array(&b->r, &list, what))
        return false;
    while (read_element(&b->r, &list)) {
        struct read_object o;

        if (!read_object(&b->r, &o, what, names))
            return false;
        while (read_member(&b->r, &o) >= 0)
            build_text(b, "a parameter's name", JSON_KEY_MAX, false, &out[*n]);
        if (!read_need(&b->r, &o, 0))
            return false;
        ++*n;
    }
    return !b->r.failed;
}

static bool surface_known(struct build *b, struct slice format, struct slice name, size_t at, enum surface *s)
{
    char hint[256];
    const char *names[SURFACE_COUNT + 1] = {0};
    bool anthropic = slice_eq(format, SLICE("anthropic"));
    size_t n = 0;

    if (!anthropic && !slice_eq(format, SLICE("openai")))
        return read_fail(&b->r, (ptrdiff_t)at, "the format of an API surface must be \"openai\" or \"anthropic\"");
    if (name.n == 0)
        name = anthropic ? SLICE("messages") : SLICE("chat-completions");
    if (surface_by_name(name, s) && surface_declared(*s) == *s &&
        (surface_table[*s].format == FORMAT_ANTHROPIC) == anthropic)
        return true;
    for (unsigned i = 0; i < SURFACE_COUNT; i++)
        if (surface_declared((enum surface)i) == (enum surface)i &&
            (surface_table[i].format == FORMAT_ANTHROPIC) == anthropic)
            names[n++] = surface_table[i].name.p;
    read_suggest(name, names, hint, sizeof(hint));
    return read_fail(&b->r, (ptrdiff_t)at, "format \"%s\" has no surface \"%.*s\"%s", anthropic ? "anthropic" : "openai",
                     (int)(name.n < 64 ? name.n : 64), name.p, hint);
}

static bool read_surface(struct build *b, struct provider *p, struct param_list *params)
{
    static const char *const names[] = {"format", "surface", "supportedParams", NULL};
    struct slice format = {0}, name = {0};
    struct param_list list = {0};
    struct read_object o;
    enum surface s;
    int i;

    if (!read_object(&b->r, &o, "an API surface", names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_string(&b->r, "format", &format, NULL);
        else if (i == 1)
            read_string(&b->r, "surface", &name, NULL);
        else
            list.limited = read_params(b, "supportedParams", &list.name, &list.n);
    }
    if (!read_need(&b->r, &o, 0) || !surface_known(b, format, name, o.at, &s))
        return false;
    if (p->surfaces & surface_bit(s))
        return read_fail(&b->r, (ptrdiff_t)o.at, "surface \"%s\" is declared twice", surface_table[s].name.p);
    p->surfaces |= surface_bit(s);
    params[s] = list;
    return true;
}

static void read_surfaces(struct build *b, struct provider *p)
{
    struct param_list *params = build_zero(b, b->arena, SURFACE_COUNT, sizeof(*params));
    unsigned before = p->surfaces;
    struct read_array list;

    if (!params || !read_array(&b->r, &list, "supportedApiSurfaces"))
        return;
    p->surfaces = 0;
    p->params = params;
    while (read_element(&b->r, &list) && read_surface(b, p, params))
        ;
    if (p->surfaces == 0)
        p->surfaces = before;
}

/* ---- Models. ---- */

static void read_prices(struct build *b, struct conf_model *m)
{
    static const char *const names[] = {"input", "output", "cacheRead", "cacheWrite", NULL};
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "usdPerMillionTokens", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        uint64_t *price[] = {&m->price_input, &m->price_output, &m->price_cache_read, &m->price_cache_write};

        read_millionths(&b->r, names[i], price[i]);
    }
    if (!read_need(&b->r, &o, 0) || !read_need(&b->r, &o, 1))
        return;
    if (!(o.seen & 1u << 2)) /* no price of its own: the cache is no discount and no surcharge */
        m->price_cache_read = m->price_input;
    if (!(o.seen & 1u << 3))
        m->price_cache_write = m->price_input;
    m->priced = true;
}

static bool read_model(struct build *b, struct conf_model *m)
{
    static const char *const names[] = {"modelId", "name", "contextWindow", "maxOutputTokens",
                                        "usdPerMillionTokens", "unsupportedParams", NULL};
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "a model", names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            build_text(b, "modelId", 255, false, &m->id);
        else if (i == 1)
            build_text(b, "name", NAME_CHARS_MAX, false, &m->name);
        else if (i == 2)
            read_u32(&b->r, "contextWindow", 1, 1u << 30, &m->context_window);
        else if (i == 3)
            read_u32(&b->r, "maxOutputTokens", 1, 1u << 30, &m->max_output_tokens);
        else if (i == 4)
            read_prices(b, m);
        else
            read_params(b, "unsupportedParams", &m->unsupported, &m->nunsupported);
    }
    if (!read_need(&b->r, &o, 0))
        return false;
    if (m->id.n == 0 || m->id.n > MODEL_ID_MAX)
        return read_fail(&b->r, (ptrdiff_t)o.at, "modelId must have 1 to 255 characters");
    if (m->name.n == 0)
        m->name = m->id;
    return true;
}

static bool model_index(struct build *b, struct provider *p, const struct conf_model *m, struct conf_model *mine, size_t at)
{
    if (map_put(&p->by_model, build_lower(b, m->id), mine))
        return true;
    return read_fail(&b->r, (ptrdiff_t)at, "model \"%s\" of \"%s\" is declared twice", m->id.p, p->id.p);
}

/* Declared models; those of the catalog stay in front, and an entry of the same id takes a catalog model's place. */
static void read_models(struct build *b, struct provider *p)
{
    uint32_t cap = read_count(&b->r) + p->nmodels, n = p->nmodels;
    struct conf_model *model = build_zero(b, b->arena, cap, sizeof(*model));
    struct read_array list;

    if (!model || !build_map(b, &p->by_model, b->arena, cap))
        return;
    copy_catalog(p, model);
    for (uint32_t i = 0; i < n; i++)
        model_index(b, p, &model[i], &model[i], b->r.at);
    if (!read_array(&b->r, &list, "models"))
        return;
    while (read_element(&b->r, &list)) {
        struct conf_model m = {0};
        struct conf_model *old;
        size_t at = b->r.at;

        if (!read_model(b, &m))
            return;
        old = map_get(&p->by_model, build_lower(b, m.id));
        if (old && old < model + p->nmodels) {
            *old = m;
            continue;
        }
        must(n < cap);
        model[n] = m;
        if (!model_index(b, p, &m, &model[n], at))
            return;
        n++;
    }
    p->model = model;
    p->nmodels = n;
}

/* ---- Entries. ---- */

static struct provider *provider_add(struct build *b, struct slice id, struct slice name)
{
    struct provider *p = &b->c->provider[b->c->nproviders];

    must(b->c->nproviders < b->provider_cap);
    *p = (struct provider){.id = id, .name = name, .index = b->c->nproviders};
    if (!map_put(&b->c->providers, id, p))
        return NULL;
    b->c->nproviders++;
    return p;
}

static void add_builtins(struct build *b)
{
    for (uint32_t i = 0; i < catalog_count && !b->r.failed; i++) {
        const struct catalog_provider *from = &catalog[i];
        struct provider *p = provider_add(b, from->id, from->name);

        must(p);
        p->builtin = true;
        p->surfaces = from->surfaces;
        p->nmodels = from->nmodels;
        p->prefix = text_prefix_of(from->id);
        base_url(b, p, from->base_url, READ_NOWHERE);
    }
    if (b->c->sim && !b->r.failed) {
        struct provider *p = provider_add(b, SLICE("sim"), SLICE("Simulator"));

        must(p);
        p->builtin = p->sim = true;
        p->surfaces = SIM_SURFACES;
    }
}

static void read_prefix(struct build *b, struct provider *p)
{
    struct slice word;
    size_t at;

    if (read_string(&b->r, "assistantPrefix", &word, &at) && !text_prefix_by_name(word, &p->prefix))
        read_fail(&b->r, (ptrdiff_t)at, "assistantPrefix must be \"no\", \"trailing\", \"prefix\" or \"partial\"");
}

static const char *const entry_names[] = {"providerId", "name", "baseUrl", "supportedApiSurfaces", "models",
                                          "description", "metadata", "assistantPrefix", NULL};
enum { ENTRY_ID, ENTRY_NAME, ENTRY_URL, ENTRY_SURFACES, ENTRY_MODELS, ENTRY_DESCRIPTION, ENTRY_METADATA, ENTRY_PREFIX };

/* The provider an entry is about: the built-in of that id, or a new one. NULL after a failure. */
static struct provider *entry_provider(struct build *b, struct slice id, size_t at, struct map *listed)
{
    struct provider *p = map_get(&b->c->providers, id);

    if (slice_eq(id, SLICE("sim"))) {
        read_fail(&b->r, (ptrdiff_t)at, "the id \"sim\" belongs to the built-in simulator; \"sim\": true turns it on");
        return NULL;
    }
    if (!p)
        p = provider_add(b, id, id);
    if (p && map_put(listed, p->id, p))
        return p;
    read_fail(&b->r, (ptrdiff_t)at, "provider \"%s\" is declared twice", id.p);
    return NULL;
}

/* Walks an entry for its id alone, so that the members may stand in any order. */
static bool entry_id(struct build *b, struct slice *id, size_t *at)
{
    size_t start = b->r.at;
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "a provider", entry_names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == ENTRY_ID)
            build_id(b, "providerId", true, id, at);
        else
            read_skip(&b->r);
    }
    b->r.at = start;
    return read_need(&b->r, &o, ENTRY_ID);
}

static bool read_entry(struct build *b, struct map *listed)
{
    struct provider *p;
    struct read_object o;
    struct slice id;
    size_t at = 0;
    int i;

    if (!entry_id(b, &id, &at))
        return false;
    p = entry_provider(b, id, at, listed);
    if (!p)
        return false;
    if (!p->builtin)
        p->surfaces = surface_bit(SURFACE_CHAT);
    read_object(&b->r, &o, "a provider", entry_names);
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == ENTRY_NAME)
            build_text(b, "name", NAME_CHARS_MAX, false, &p->name);
        else if (i == ENTRY_URL)
            read_base_url(b, p);
        else if (i == ENTRY_SURFACES)
            read_surfaces(b, p);
        else if (i == ENTRY_MODELS)
            read_models(b, p);
        else if (i == ENTRY_PREFIX)
            read_prefix(b, p);
        else if (i == ENTRY_DESCRIPTION)
            build_remark(b, "description", DESCRIPTION_CHARS_MAX);
        else if (i == ENTRY_METADATA)
            build_remark(b, "metadata", METADATA_CHARS_MAX);
        else
            read_skip(&b->r);
    }
    return p->builtin ? !b->r.failed : read_need(&b->r, &o, ENTRY_URL);
}

/* ---- What is derived once all are there. ---- */

static bool find_origins(struct build *b)
{
    struct conf *c = b->c;
    struct map origins;

    if (!build_map(b, &origins, b->scratch, c->nproviders))
        return false;
    for (uint32_t i = 0; i < c->nproviders; i++) {
        struct provider *p = &c->provider[i];
        const struct provider *first;
        struct slice key;

        p->dialect = llm_dialect_of(p->id, p->base.host);
        key = arena_printf(b->scratch, "%d %.*s %u", p->base.https, (int)p->base.host.n,
                           p->base.host.n ? p->base.host.p : "", p->base.port);
        if (!key.p)
            return read_fail(&b->r, READ_NOWHERE, "out of memory");
        first = map_get(&origins, key);
        p->origin = first ? first->origin : c->norigins++;
        if (!first)
            must(map_put(&origins, key, p));
    }
    return true;
}

/* Every model by its bare name: the first provider that has it, built-in ones in front. */
static void find_models(struct build *b)
{
    struct conf *c = b->c;
    uint32_t total = 0, n = 0;
    struct target *target;

    for (uint32_t i = 0; i < c->nproviders; i++)
        total += c->provider[i].nmodels;
    target = build_zero(b, b->arena, total, sizeof(*target));
    if (!target || !build_map(b, &c->models, b->arena, total))
        return;
    for (uint32_t i = 0; i < c->nproviders && !b->r.failed; i++) {
        struct provider *p = &c->provider[i];
        bool indexed = p->by_model.slot != NULL;
        struct conf_model *rows = NULL;

        if (!indexed && p->nmodels) {
            rows = build_zero(b, b->arena, p->nmodels, sizeof(*rows));
            if (!rows || !build_map(b, &p->by_model, b->arena, p->nmodels))
                return;
            copy_catalog(p, rows);
            p->model = rows;
        }
        for (uint32_t j = 0; j < p->nmodels; j++) {
            struct slice key = build_lower(b, p->model[j].id);

            if (rows)
                map_put(&p->by_model, key, &rows[j]);
            target[n] = (struct target){.provider = p, .model = p->model[j].id, .known = &p->model[j]};
            if (map_put(&c->models, key, &target[n]))
                n++;
        }
    }
}

void build_providers(struct build *b)
{
    struct read_array list;
    struct map listed;
    uint32_t declared = 0;

    if (build_section(b, SECTION_PROVIDERS))
        declared = read_count(&b->r);
    b->provider_cap = catalog_count + 1 + declared;
    b->c->provider = build_zero(b, b->arena, b->provider_cap, sizeof(*b->c->provider));
    if (!b->c->provider || !build_map(b, &b->c->providers, b->arena, b->provider_cap) ||
        !build_map(b, &listed, b->scratch, declared))
        return;
    add_builtins(b);
    if (build_section(b, SECTION_PROVIDERS) && read_array(&b->r, &list, "providers"))
        while (read_element(&b->r, &list) && read_entry(b, &listed))
            ;
    if (!b->r.failed && find_origins(b))
        find_models(b);
}
