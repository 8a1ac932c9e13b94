/* See reload.h. Invariant: everything that can fail is done before the first thing changes, so a refused snapshot leaves no trace but its line
 * in the log. */
#include "cmd/reload.h"

#include <errno.h>
#include <string.h>

#include "admin/registry.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/timer.h"
#include "cmd/cmd.h"
#include "net/dial.h"
#include "net/tls.h"
#include "net/trust.h"
#include "sim/sim.h"

enum {
    CA_MAX = 8 << 20,
    FIXED = 7,          /* settings that the process is built around at its start */
    RELOAD_GAP_MS = 50, /* between two readings of the file: a storm of signals costs twenty a second and no more (L-24) */
};

/* What was loaded from text, and which text that was: the same one is not loaded again, which keeps connections and sessions. */
struct loaded {
    struct shared *it; /* NULL: none needed */
    uint8_t hash[32];
};

static struct {
    const char *path;
    struct slice text;      /* of the file in force */
    uint8_t first_key[32];
    bool has_first_key;
    struct conf *conf;
    struct loaded trust, identity;
    struct timer timer;
    int64_t read_ms;
    uint64_t fixed[FIXED]; /* what they were then, hashed */
    uint16_t sim_port; /* 0: not open */
} now;

/* ---- What a snapshot needs ---- */

static bool say(char *why, size_t cap, const char *what, const char *detail)
{
    text_format(why, cap, "%s%s%s", what, detail[0] ? ": " : "", detail);
    return false;
}

static bool needs_trust(const struct conf *c)
{
    for (uint32_t i = 0; i < c->nproviders; i++)
        if (c->provider[i].base.https && (c->provider[i].nkeys || c->provider[i].nmanaged || c->provider[i].none))
            return true;
    return false;
}

/* The bundle named in the config, or the first of the usual places. */
static bool read_bundle(const struct conf *c, struct arena *a, struct slice *pem)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

    if (c->ca_file.n)
        return cmd_env.read_file(cmd_env.user, c->ca_file, a, pem);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (cmd_env.read_file(cmd_env.user, slice_str(places[i]), a, pem))
            return true;
    return false;
}

/* Takes the old one over when the text is the same. */
static bool same_text(const struct loaded *old, struct loaded *fresh)
{
    if (!old->it || memcmp(old->hash, fresh->hash, sizeof fresh->hash) != 0)
        return false;
    fresh->it = shared_get(old->it);
    return true;
}

static bool parse_trust(struct slice pem, struct loaded *out, char *why, size_t cap)
{
    const char *reason = "out of memory";
    unsigned skipped = 0;

    sha256(pem, out->hash);
    if (same_text(&now.trust, out))
        return true;
    out->it = shared_create(CA_MAX);
    if (out->it && (out->it->what = trust_load(pem, &out->it->arena, &skipped, &reason)))
        return true;
    shared_put(out->it);
    out->it = NULL;
    return say(why, cap, "upstream.caFile holds no usable certificate", reason);
}

static bool load_trust(const struct conf *c, bool files, struct loaded *out, char *why, size_t cap)
{
    struct arena text;
    struct slice pem;
    bool ok = true;

    if (!needs_trust(c))
        return true;
    if (!files && now.trust.it) {
        *out = now.trust;
        shared_get(out->it);
        return true;
    }
    arena_init(&text, &mem_heap_source, 1 << 16, CA_MAX);
    if (read_bundle(c, &text, &pem))
        ok = parse_trust(pem, out, why, cap);
    else if (c->ca_file.n)
        ok = say(why, cap, "upstream.caFile can't be read", c->ca_file.p);
    else
        log_say(LOG_WARN, "no CA bundle found: https providers can't be reached. Set upstream.caFile.");
    arena_reset(&text);
    return ok;
}

static bool load_identity(const struct conf *c, struct loaded *out, char *why, size_t cap)
{
    const char *reason = "out of memory";
    uint8_t both[64];

    if (!c->tls_cert.n)
        return true;
    sha256(c->tls_cert, both);
    sha256(c->tls_key, both + 32);
    sha256(slice_make((const char *)both, sizeof both), out->hash);
    if (same_text(&now.identity, out))
        return true;
    out->it = shared_create(CA_MAX);
    if (out->it && (out->it->what = tls_identity_load(c->tls_cert, c->tls_key, &out->it->arena, &reason)))
        return true;
    shared_put(out->it);
    out->it = NULL;
    return say(why, cap, "tls.cert or tls.key", reason);
}

/* Once open it stays open: nothing leads to it when no snapshot names it. */
static bool open_sim(struct conf *c, char *why, size_t cap)
{
    const char *reason = "";

    if (!c->sim)
        return true;
    if (!now.sim_port && !sim_open(&now.sim_port, &reason))
        return say(why, cap, "the sim provider can't start", reason);
    for (uint32_t i = 0; i < c->nproviders; i++)
        if (c->provider[i].sim) {
            c->provider[i].base = (struct url){.host = SLICE("127.0.0.1"),
                                               .host_is_ip = true,
                                               .port = now.sim_port,
                                               .port_given = true,
                                               .path = SLICE("/v1")};
            c->provider[i].authority = SLICE("127.0.0.1"); /* the port is nobody's business there */
        }
    return true;
}

void reload_dns(const struct conf *c, struct dns_servers *out)
{
    *out = (struct dns_servers){.count = 0, .timeout_ms = 2000, .attempts = 2};
    for (uint32_t i = 0; i < c->ndns; i++)
        if (addr_parse(c->dns[i].host, c->dns[i].port, &out->server[out->count]))
            out->count++;
}

/* ---- The swap ---- */

static void tell_warnings(const struct conf *c)
{
    for (uint32_t i = 0; i < c->nwarnings; i++)
        log_say(LOG_WARN, "%.*s", (int)c->warning[i].n, c->warning[i].p);
}

static uint64_t listen_hash(bool on, const struct conf_listen *l)
{
    return on ? hash_bytes(l->host, l->port) : 0;
}

static const char *const fixed_name[FIXED] = {"listen", "admin.listen", "stateDir", "limits.maxConnections", "limits.memory", "sandbox", "user"};

static void fixed_of(const struct conf *c, uint64_t out[FIXED])
{
    out[0] = listen_hash(true, &c->listen);
    out[1] = listen_hash(c->admin_on, &c->admin_listen);
    out[2] = hash_bytes(c->state_dir, 0);
    out[3] = c->max_connections;
    out[4] = c->memory;
    out[5] = c->sandbox;
    out[6] = hash_bytes(c->user, 0);
}

static void tell_restart(const struct conf *c)
{
    uint64_t here[FIXED];

    fixed_of(c, here);
    for (int i = 0; i < FIXED; i++)
        if (here[i] != now.fixed[i])
            log_say(LOG_WARN, "%s can't change while weir runs: the old value stays until a restart", fixed_name[i]);
}

static bool ready(struct conf *c, bool files, struct loaded *trust, struct loaded *identity, char *why, size_t cap)
{
    return open_sim(c, why, cap) && load_trust(c, files, trust, why, cap) && load_identity(c, identity, why, cap);
}

static void keep(struct conf *c, const struct loaded *trust, const struct loaded *identity)
{
    shared_put(now.trust.it);
    shared_put(now.identity.it);
    if (now.conf)
        conf_put(now.conf);
    now.trust = *trust;
    now.identity = *identity;
    now.conf = c;
}

bool reload_start(struct conf *c, const struct gate_plan *plan, char *why, size_t cap)
{
    struct loaded trust = {0}, identity = {0};
    const char *reason = "";

    if (!ready(c, true, &trust, &identity, why, cap))
        return false;
    tell_warnings(c);
    if (!gate_open(c, trust.it, identity.it, plan, &reason))
        return say(why, cap, reason, "");
    keep(c, &trust, &identity);
    fixed_of(c, now.fixed);
    return true;
}

bool reload_apply(struct conf *c, bool files, char *why, size_t cap)
{
    struct loaded trust = {0}, identity = {0};
    struct dns_servers servers;

    if (!ready(c, files, &trust, &identity, why, cap))
        goto refused;
    if ((identity.it != NULL) != (now.identity.it != NULL)) {
        say(why, cap, "tls can't be switched on or off while weir runs", "restart it for that");
        goto refused;
    }
    if (!gate_apply(c, trust.it, identity.it)) {
        say(why, cap, "out of memory", "");
        goto refused;
    }
    tell_warnings(c);
    tell_restart(c);
    reload_dns(c, &servers);
    dns_use(&servers);
    dial_allow_private(c->allow_private);
    log_set_level(c->log_level);
    if (files && !log_use(c->log_file))
        log_say(LOG_ERROR, "log.file can't be opened (%s): lines go where they went", strerror(errno));
    keep(c, &trust, &identity);
    return true;
refused:
    shared_put(trust.it);
    shared_put(identity.it);
    conf_put(c);
    return false;
}

const struct conf *reload_conf(void)
{
    return now.conf;
}

struct slice reload_text(void)
{
    return now.text;
}

void reload_first_key(const uint8_t sha256[32])
{
    memcpy(now.first_key, sha256, sizeof now.first_key);
    now.has_first_key = true;
}

bool reload_add_first_key(struct conf *c)
{
    return !now.has_first_key || conf_add_access_key(c, SLICE("aigk_first"), SLICE("made at start"), now.first_key);
}

struct conf *reload_with_stored(struct conf *c)
{
    char why[CMD_WHY_MAX];
    struct conf *whole = registry_build(now.text, true, why, sizeof why);

    conf_put(c);
    if (whole && reload_add_first_key(whole))
        return whole;
    text_print(TEXT_ERR, "weir: %s\n", whole ? "out of memory" : why);
    return NULL;
}

/* ---- SIGHUP ---- */

static void read_again(struct timer *t)
{
    char why[CMD_WHY_MAX];
    struct slice text = {NULL, 0};
    struct conf *c = NULL;

    (void)t;
    now.read_ms = clock_ms();
    if (cmd_read_text(now.path, &text, why, sizeof why))
        c = registry_build(text, false, why, sizeof why);
    if (!c || !reload_apply(c, true, why, sizeof why)) {
        cmd_free_text(text);
        if (!log_use(now.conf->log_file)) /* whoever moved the file away waits for a new one, whatever the config is like */
            log_say(LOG_ERROR, "log.file can't be opened (%s): lines go where they went", strerror(errno));
        log_say(LOG_ERROR, "config not reloaded, the old one stays: %s%s%s", text.p && !c ? now.path : "", text.p && !c ? ":" : "", why);
        return;
    }
    cmd_free_text(now.text);
    now.text = text;
    if (!registry_show_file(text))
        log_say(LOG_WARN, "out of memory: the admin API does not list all of the config file");
    log_say(LOG_INFO, "config reloaded: %u providers, %u provider keys, %u access keys", (unsigned)now.conf->nproviders,
            (unsigned)cmd_count_keys(now.conf), (unsigned)now.conf->naccess_keys);
}

void reload_init(void)
{
    timer_init(&now.timer, read_again);
}

void reload_from(const char *path, struct slice text)
{
    now.path = path;
    now.text = text;
}

void reload_soon(void)
{
    int64_t due = now.read_ms ? now.read_ms + RELOAD_GAP_MS : 0;

    if (!now.path) {
        log_say(LOG_WARN, "SIGHUP: there is no config file to read again (weir -c FILE)");
        return;
    }
    if (!timer_armed(&now.timer))
        timer_arm(&now.timer, due > clock_ms() ? due : clock_ms());
}
