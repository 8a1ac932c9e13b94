/* A config text becomes a snapshot. The text's grammar is checked first; the top level is walked once to find its sections;
 * then they are read in the order in which they refer to each other, whatever their order in the file. */
#include "conf/build.h"

#include "base/key32.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sha256.h"
#include "conf/catalog.h"
#include "conf/value.h"

enum { BLOCK_SIZE = 64 << 10 };

/* ---- Memory: the counted heap, wiped on its way back, as keys are in it. ---- */

static void *wiping_take(void *owner, size_t *size)
{
    (void)owner;
    return mem_heap_source.take(mem_heap_source.owner, size);
}

static void wiping_give(void *owner, void *block, size_t size)
{
    (void)owner;
    explicit_bzero(block, size);
    mem_heap_source.give(mem_heap_source.owner, block, size);
}

static const struct arena_source wiping_source = {.take = wiping_take, .give = wiping_give};

void *build_zero(struct build *b, struct arena *a, size_t count, size_t size)
{
    void *p = arena_zero(a, count, size);

    if (!p)
        read_fail(&b->r, READ_NOWHERE, "out of memory");
    return p;
}

struct slice build_copy(struct build *b, struct slice s)
{
    struct slice copy = arena_copy(b->arena, s);

    if (!copy.p)
        read_fail(&b->r, READ_NOWHERE, "out of memory");
    return copy;
}

struct slice build_lower(struct build *b, struct slice s)
{
    size_t i = 0;
    char *p;

    while (i < s.n && s.p[i] == ascii_lower(s.p[i]))
        i++;
    if (i == s.n)
        return s;
    p = build_zero(b, b->arena, s.n + 1, 1);
    if (!p)
        return slice_make(NULL, 0);
    for (i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return slice_make(p, s.n);
}

/* The seed is fixed: these maps are filled from the operator's own file, so that a client's names can't lengthen a chain. */
bool build_map(struct build *b, struct map *m, struct arena *a, uint32_t count)
{
    return map_init(m, a, count, 0x77656972u) || read_fail(&b->r, READ_NOWHERE, "out of memory");
}

/* ---- Strings of the contract. ---- */

static bool text_checked(struct build *b, const char *what, size_t max, bool free_form, struct slice *s)
{
    size_t at;

    if (!read_string(&b->r, what, s, &at))
        return false;
    if (value_chars(*s) > max)
        return read_fail(&b->r, (ptrdiff_t)at, "%s is longer than %zu characters", what, max);
    for (size_t i = 0; i < s->n && !free_form; i++)
        if ((unsigned char)s->p[i] < 0x20 || s->p[i] == 0x7f)
            return read_fail(&b->r, (ptrdiff_t)at, "%s holds a control character", what);
    return true;
}

bool build_text(struct build *b, const char *what, size_t max, bool free_form, struct slice *out)
{
    struct slice s;

    if (!text_checked(b, what, max, free_form, &s))
        return false;
    *out = build_copy(b, s);
    return !b->r.failed;
}

bool build_remark(struct build *b, const char *what, size_t max)
{
    struct slice s;

    return text_checked(b, what, max, true, &s);
}

bool build_id(struct build *b, const char *what, bool provider, struct slice *out, size_t *at)
{
    struct slice s;

    if (!read_string(&b->r, what, &s, at))
        return false;
    if (!value_id(s, provider))
        return read_fail(&b->r, (ptrdiff_t)*at, "%s must be 1 to 255 printable ASCII characters without blanks, quotes%s",
                         what, provider ? ", commas, ':' or '/'" : " or commas");
    *out = build_copy(b, s);
    return !b->r.failed;
}

/* ---- Settings. ---- */

bool build_section(struct build *b, enum section s)
{
    if (b->r.failed || b->section_at[s] == 0)
        return false;
    b->r.at = b->section_at[s];
    return true;
}

static bool read_listen(struct build *b, const char *what, uint16_t default_port, struct conf_listen *out)
{
    struct slice s;
    size_t at;

    if (!read_setting(&b->r, what, false, &s, &at))
        return false;
    if (!value_listen(s, default_port, out))
        return read_fail(&b->r, (ptrdiff_t)at, "%s must be an address%s such as \"127.0.0.1:%u\" or \"[::1]:%u\"", what,
                         default_port ? "" : " and a port", default_port ? default_port : 8080u,
                         default_port ? default_port : 8080u);
    out->host = build_copy(b, out->host);
    return !b->r.failed;
}

static bool read_pem(struct build *b, const char *what, struct slice *out)
{
    struct slice s;
    size_t at;

    if (!read_setting(&b->r, what, false, &s, &at))
        return false;
    if (slice_find(s, SLICE("-----BEGIN ")) < 0)
        return read_fail(&b->r, (ptrdiff_t)at, "%s is not PEM text; name its file as \"file:PATH\"", what);
    *out = build_copy(b, s);
    return !b->r.failed;
}

static void load_tls(struct build *b)
{
    static const char *const names[] = {"cert", "key", NULL};
    struct read_object o;
    int i;

    if (!build_section(b, SECTION_TLS) || !read_object(&b->r, &o, "tls", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_pem(b, "tls.cert", &b->c->tls_cert);
        else
            read_pem(b, "tls.key", &b->c->tls_key);
    }
    if (read_need(&b->r, &o, 0))
        read_need(&b->r, &o, 1);
}

static void load_admin_keys(struct build *b)
{
    uint32_t n = read_count(&b->r);
    struct read_array list;

    b->c->admin_key = build_zero(b, b->arena, n, sizeof(*b->c->admin_key));
    if (!read_array(&b->r, &list, "admin.apiKeys"))
        return;
    while (read_element(&b->r, &list)) {
        struct slice s;
        const char *why;
        size_t at;

        if (!read_setting(&b->r, "a key in admin.apiKeys", false, &s, &at))
            return;
        if (!value_secret(s, TOKEN_MAX, &why)) {
            read_fail(&b->r, (ptrdiff_t)at, "admin.apiKeys: this key %s", why);
            return;
        }
        must(b->c->nadmin_keys < n);
        sha256(s, b->c->admin_key[b->c->nadmin_keys++]);
    }
}

static void load_admin_hosts(struct build *b)
{
    uint32_t n = read_count(&b->r);
    struct read_array list;
    size_t at;

    b->c->admin_host = build_zero(b, b->arena, n, sizeof *b->c->admin_host);
    if (!b->c->admin_host || !read_array(&b->r, &list, "admin.hosts"))
        return;
    while (read_element(&b->r, &list)) {
        struct slice s;

        if (!read_setting(&b->r, "a name in admin.hosts", false, &s, &at))
            return;
        if (s.n > HOST_MAX || slice_find_char(s, ':') >= 0 || slice_find_char(s, '/') >= 0) {
            read_fail(&b->r, (ptrdiff_t)at, "a name in admin.hosts must be a host name without scheme and port");
            return;
        }
        must(b->c->nadmin_hosts < n);
        b->c->admin_host[b->c->nadmin_hosts++] = build_copy(b, s);
    }
}

static void load_admin(struct build *b)
{
    static const char *const names[] = {"listen", "apiKeys", "hosts", NULL};
    struct read_object o;
    int i;

    if (!build_section(b, SECTION_ADMIN) || !read_object(&b->r, &o, "admin", names))
        return;
    o.nulls = 1u << 0;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 1) {
            load_admin_keys(b);
        } else if (i == 2) {
            load_admin_hosts(b);
        } else if (read_type(&b->r) == JSON_NULL) {
            read_skip(&b->r);
            b->c->admin_on = false;
        } else {
            read_listen(b, "admin.listen", 0, &b->c->admin_listen);
        }
    }
}

static void load_gateway(struct build *b)
{
    static const char *const names[] = {"connectTimeout",    "perRequestTimeout", "firstTokenTimeout", "totalTimeout",
                                        "streamIdleTimeout", "streamHeartbeat",   "maxInputTokens",    "maxOutputTokens",
                                        "cooldown",          NULL};
    struct conf_gateway *g = &b->c->gateway;
    struct read_object o;
    struct reader *r = &b->r;
    int i;

    if (!build_section(b, SECTION_GATEWAY) || !read_object(r, &o, "gateway", names))
        return;
    while ((i = read_member(r, &o)) >= 0) {
        switch (i) {
        case 0:
            read_duration(r, "gateway.connectTimeout", 1, &g->connect_timeout_ms);
            break;
        case 1:
            read_duration(r, "gateway.perRequestTimeout", 1, &g->per_request_timeout_ms);
            break;
        case 2:
            read_duration(r, "gateway.firstTokenTimeout", 0, &g->first_token_timeout_ms);
            break;
        case 3:
            read_duration(r, "gateway.totalTimeout", 1, &g->total_timeout_ms);
            break;
        case 4:
            read_duration(r, "gateway.streamIdleTimeout", 1, &g->stream_idle_timeout_ms);
            break;
        case 5:
            read_duration(r, "gateway.streamHeartbeat", 0, &g->stream_heartbeat_ms);
            break;
        case 6:
            read_u64(r, "gateway.maxInputTokens", 1, INT64_MAX, &g->max_input_tokens);
            break;
        case 7:
            read_u64(r, "gateway.maxOutputTokens", 1, INT64_MAX, &g->max_output_tokens);
            break;
        default:
            read_bool(r, "gateway.cooldown", &g->cooldown);
            break;
        }
    }
}

static void load_limits(struct build *b)
{
    static const char *const names[] = {"maxConnections", "maxRequestBytes", "memory", "drainTimeout", NULL};
    struct read_object o;
    int i;

    if (!build_section(b, SECTION_LIMITS) || !read_object(&b->r, &o, "limits", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_u32(&b->r, "limits.maxConnections", 1, 1000000, &b->c->max_connections);
        else if (i == 1)
            read_size(&b->r, "limits.maxRequestBytes", 1, 1u << 30, &b->c->max_request_bytes);
        else if (i == 2)
            read_size(&b->r, "limits.memory", 1u << 20, 1ull << 42, &b->c->memory);
        else
            read_duration(&b->r, "limits.drainTimeout", 0, &b->c->drain_ms);
    }
}

static void load_dns(struct build *b)
{
    struct read_array list;

    if (!read_array(&b->r, &list, "upstream.dns"))
        return;
    while (read_element(&b->r, &list)) {
        const uint32_t cap = sizeof(b->c->dns) / sizeof(b->c->dns[0]);

        if (b->c->ndns == cap) {
            read_fail(&b->r, (ptrdiff_t)b->r.at, "upstream.dns takes at most %u servers", cap);
            return;
        }
        if (!read_listen(b, "a server in upstream.dns", 53, &b->c->dns[b->c->ndns]))
            return;
        b->c->ndns++;
    }
}

/* A path, so "file:" in front of it says nothing new and is dropped. */
static void load_path(struct build *b, const char *what, struct slice *out)
{
    struct slice s;
    size_t at = b->r.at;

    if (!read_string(&b->r, what, &s, &at))
        return;
    if (slice_starts(s, SLICE("file:"))) {
        s = slice_trim(slice_from(s, 5));
    } else {
        b->r.at = at;
        if (!read_setting(&b->r, what, false, &s, &at))
            return;
    }
    if (s.n == 0 || slice_find_char(s, '\0') >= 0)
        read_fail(&b->r, (ptrdiff_t)at, "%s must be a path", what);
    else
        *out = build_copy(b, s);
}

static void load_upstream(struct build *b)
{
    static const char *const names[] = {"caFile", "dns", "allowPrivate", NULL};
    struct read_object o;
    int i;

    if (!build_section(b, SECTION_UPSTREAM) || !read_object(&b->r, &o, "upstream", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            load_path(b, "upstream.caFile", &b->c->ca_file);
        else if (i == 1)
            load_dns(b);
        else
            read_bool(&b->r, "upstream.allowPrivate", &b->c->allow_private);
    }
}

/* One of a few words: its number, else *out stays. */
static void load_word(struct build *b, const char *what, const char *const *names, const char *list, int *out)
{
    char hint[128];
    struct slice s;
    size_t at;

    if (!read_setting(&b->r, what, false, &s, &at))
        return;
    for (int i = 0; names[i]; i++) {
        if (slice_eq(s, slice_str(names[i]))) {
            *out = i;
            return;
        }
    }
    read_suggest(s, names, hint, sizeof(hint));
    read_fail(&b->r, (ptrdiff_t)at, "%s must be %s%s", what, list, hint);
}

static void load_log_level(struct build *b)
{
    static const char *const names[] = {"debug", "info", "warn", "error", NULL};
    int level = (int)b->c->log_level;

    load_word(b, "log.level", names, "debug, info, warn or error", &level);
    b->c->log_level = (enum log_level)level;
}

static void load_sandbox(struct build *b)
{
    static const char *const names[] = {"on", "kill", "off", NULL}; /* as enum confine_mode */
    int mode = CONFINE_ON;

    if (build_section(b, SECTION_USER))
        load_path(b, "user", &b->c->user);
    if (build_section(b, SECTION_SANDBOX))
        load_word(b, "sandbox", names, "on, kill or off", &mode);
    b->c->sandbox = (enum confine_mode)mode;
}

static void load_log(struct build *b)
{
    static const char *const names[] = {"level", "requests", "file", NULL};
    struct read_object o;
    int i;

    if (!build_section(b, SECTION_LOG) || !read_object(&b->r, &o, "log", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            load_log_level(b);
        else if (i == 1)
            read_bool(&b->r, "log.requests", &b->c->log_requests);
        else
            load_path(b, "log.file", &b->c->log_file);
    }
}

static void load_state_key(struct build *b)
{
    struct slice s;
    size_t at;

    if (!build_section(b, SECTION_STATE_KEY) || !read_setting(&b->r, "stateKey", false, &s, &at))
        return;
    b->c->state_key = build_zero(b, b->arena, 1, KEY32);
    if (b->c->state_key && !key32_parse(s, b->c->state_key))
        read_fail(&b->r, (ptrdiff_t)at, "stateKey must be 32 bytes as 64 hex digits or as base64 (openssl rand -hex 32)");
}

static void load_settings(struct build *b)
{
    if (build_section(b, SECTION_LISTEN))
        read_listen(b, "listen", 0, &b->c->listen);
    load_tls(b);
    load_admin(b);
    if (build_section(b, SECTION_STATE_DIR))
        load_path(b, "stateDir", &b->c->state_dir);
    load_state_key(b);
    load_gateway(b);
    load_limits(b);
    load_upstream(b);
    if (build_section(b, SECTION_SIM))
        read_bool(&b->r, "sim", &b->c->sim);
    load_sandbox(b);
    load_log(b);
}

static void defaults(struct build *b)
{
    struct conf *c = b->c;

    c->listen = (struct conf_listen){SLICE("127.0.0.1"), 8080};
    c->admin_on = true;
    c->admin_listen = (struct conf_listen){SLICE("127.0.0.1"), 8081};
    c->gateway = (struct conf_gateway){.connect_timeout_ms = 5000,
                                       .per_request_timeout_ms = 60000,
                                       .total_timeout_ms = 120000,
                                       .stream_idle_timeout_ms = 120000,
                                       .cooldown = true};
    c->max_connections = 4096;
    c->drain_ms = 30000;
    c->max_request_bytes = 32u << 20;
    c->memory = 256u << 20;
    c->allow_private = true;
    c->log_level = LOG_INFO;
    c->log_requests = true;
}

/* ---- The whole. ---- */

static void find_sections(struct build *b)
{
    static const char *const names[] = {
        [SECTION_LISTEN] = "listen",
        [SECTION_TLS] = "tls",
        [SECTION_ADMIN] = "admin",
        [SECTION_STATE_DIR] = "stateDir",
        [SECTION_STATE_KEY] = "stateKey",
        [SECTION_GATEWAY] = "gateway",
        [SECTION_LIMITS] = "limits",
        [SECTION_UPSTREAM] = "upstream",
        [SECTION_SIM] = "sim",
        [SECTION_SANDBOX] = "sandbox",
        [SECTION_USER] = "user",
        [SECTION_LOG] = "log",
        [SECTION_PROVIDERS] = "providers",
        [SECTION_MANAGED] = "managed",
        [SECTION_PROVIDER_KEYS] = "providerKeys",
        [SECTION_CONFIGURATIONS] = "accessKeyConfigurations",
        [SECTION_ACCESS_KEYS] = "accessKeys",
        [SECTION_COUNT] = NULL,
    };
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "the config", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        b->section_at[i] = b->r.at;
        read_skip(&b->r);
    }
}

static bool grammar(struct build *b)
{
    uint64_t bad_at = 0;
    const char *why = "";

    if (b->r.text.n > CONF_TEXT_MAX)
        return read_fail(&b->r, READ_NOWHERE, "the config is larger than 16 MiB");
    if (json_valid(b->r.text, &bad_at, &why))
        return true;
    return read_fail(&b->r, (ptrdiff_t)bad_at, "not valid JSON: %s", why);
}

static void build_all(struct build *b, bool managed_from_environment)
{
    defaults(b);
    find_sections(b);
    load_settings(b);
    build_providers(b);
    if (managed_from_environment)
        build_managed_from_environment(b);
    build_managed(b);
    build_provider_keys(b);
    build_configurations(b);
    build_access_keys(b);
    build_finish(b);
}

static struct conf *load(struct slice text, const struct conf_env *env, const struct literal *literal, uint32_t nliteral,
                         struct conf_error *error, bool managed_from_environment)
{
    struct arena arena, scratch;
    struct build b = {.scratch = &scratch};
    struct conf *c;

    *error = (struct conf_error){0};
    arena_init(&arena, &wiping_source, BLOCK_SIZE, CONF_ARENA_MAX);
    arena_init(&scratch, &wiping_source, BLOCK_SIZE, CONF_ARENA_MAX);
    b.r = (struct reader){.text = text, .error = error, .scratch = &scratch, .env = env, .literal = literal,
                          .nliteral = nliteral};
    c = build_zero(&b, &arena, 1, sizeof(*c));
    if (!c)
        return NULL;
    c->arena = arena; /* from here on c owns it, though it lies inside */
    c->refs = 1;
    b.c = c;
    b.arena = &c->arena;
    if (grammar(&b))
        build_all(&b, managed_from_environment);
    if (!b.r.failed && arena_overflowed(&c->arena))
        read_fail(&b.r, READ_NOWHERE, "out of memory");
    arena_reset(&scratch);
    if (b.r.failed) {
        conf_put(c);
        return NULL;
    }
    return c;
}

struct conf *conf_load(struct slice text, const struct conf_env *env, struct conf_error *error)
{
    return load(text, env, NULL, 0, error, false);
}

struct conf *conf_load_literal(struct slice text, bool managed_from_environment, const struct conf_env *env, const struct literal *literal, uint32_t nliteral,
                               struct conf_error *error)
{
    return load(text, env, literal, nliteral, error, managed_from_environment);
}

struct conf *conf_default(const struct conf_env *env, struct conf_error *error)
{
    return load(SLICE("{}"), env, NULL, 0, error, true);
}
