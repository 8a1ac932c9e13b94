/* Start-up in order, signals, and the end. Everything that can be refused is refused here, with one line that says why, before the first
 * request is taken. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "cmd/cmd.h"
#include "gate/gate.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/dns.h"
#include "net/idle.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/tls_identity.h"
#include "net/trust.h"
#include "sim/sim.h"

enum { DRAIN_MS = 30000, CA_MAX = 8 << 20 };

static struct {
    struct conf *conf;
    struct arena arena;       /* trust anchors and the server's identity: live as long as the process */
    struct listener listener;
    struct watch signals;
    int signal_fd;
    struct timer drain_over, drain_look;
    bool draining;
} app;

static bool refuse(const char *what, const char *why)
{
    text_print(TEXT_ERR, "weir: %s: %s%s%s\n", what, why, errno ? ": " : "", errno ? strerror(errno) : "");
    return false;
}

/* ---- Trust ---- */

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

static bool load_trust(const struct conf *c, const struct trust **out)
{
    struct arena text;
    struct slice pem;
    const char *why = "";
    unsigned skipped = 0;

    *out = NULL;
    if (!needs_trust(c))
        return true;
    arena_init(&text, &mem_heap_source, 1 << 16, CA_MAX);
    errno = 0;
    if (read_bundle(c, &text, &pem)) {
        *out = trust_load(pem, &app.arena, &skipped, &why);
        if (!*out)
            refuse("upstream.caFile holds no usable certificate", why);
    } else if (c->ca_file.n) {
        refuse("upstream.caFile can't be read", c->ca_file.p);
    } else {
        log_say(LOG_WARN, "no CA bundle found: https providers can't be reached. Set upstream.caFile.");
        arena_reset(&text);
        return true;
    }
    arena_reset(&text);
    return *out != NULL;
}

static bool load_identity(const struct conf *c, struct tls_identity **out)
{
    const char *why = "";

    *out = NULL;
    if (!c->tls_cert.n)
        return true;
    *out = tls_identity_load(c->tls_cert, c->tls_key, &app.arena, &why);
    errno = 0;
    return *out || refuse("tls.cert or tls.key", why);
}

/* ---- Signals and the end ---- */

static void look_for_end(struct timer *t)
{
    if (gate_busy() == 0)
        loop_stop();
    else
        timer_arm(t, clock_ms() + 20);
}

static void stop_now(struct timer *t)
{
    (void)t;
    log_say(LOG_WARN, "draining took longer than %d ms: %u connections are cut", DRAIN_MS, (unsigned)gate_busy());
    loop_stop();
}

static void drain(void)
{
    if (app.draining) { /* asked twice: at once, then */
        loop_stop();
        return;
    }
    app.draining = true;
    log_say(LOG_INFO, "draining: no new connections, %u open", (unsigned)gate_busy());
    listen_close(&app.listener);
    gate_drain();
    timer_arm(&app.drain_over, clock_ms() + DRAIN_MS);
    timer_arm(&app.drain_look, clock_ms());
}

static void on_signal(struct watch *w, unsigned events)
{
    int n;

    (void)w;
    (void)events;
    while ((n = sys_signal_read(app.signal_fd)) > 0)
        if (n == SIGTERM || n == SIGINT)
            drain();
}

static bool watch_signals(void)
{
    app.signal_fd = sys_signal_fd();
    timer_init(&app.drain_over, stop_now);
    timer_init(&app.drain_look, look_for_end);
    return app.signal_fd != -1 && loop_watch(&app.signals, app.signal_fd, SYS_IN, on_signal);
}

/* ---- Listening ---- */

static void tell_listening(const struct conf *c)
{
    char where[ADDR_TEXT_MAX], when[25], line[512];
    struct slice at = addr_text(&app.listener.local, where);
    int n;

    if (!log_wants(LOG_INFO))
        return;
    log_time(clock_wall_ms(), when);
    n = text_format(line, sizeof line,
                 "{\"time\":\"%s\",\"level\":\"info\",\"msg\":\"listening\",\"address\":\"%.*s\",\"tls\":%s,"
                 "\"maxConnections\":%" PRIu32 ",\"memoryBudget\":%" PRIu64 ",\"providers\":%" PRIu32
                 ",\"providerKeys\":%" PRIu32 ",\"accessKeys\":%" PRIu32 "}",
                 when, (int)at.n, at.p, c->tls_cert.n ? "true" : "false", c->max_connections, (uint64_t)mem_limit(),
                 c->nproviders, cmd_count_keys(c), c->naccess_keys);
    log_line(slice_make(line, (size_t)n));
    log_flush();
}

static bool open_sim(struct conf *c)
{
    const char *why = "";
    uint16_t port;

    if (!c->sim)
        return true;
    if (!sim_open(&port, &why))
        return refuse("the sim provider can't start", why);
    for (uint32_t i = 0; i < c->nproviders; i++)
        if (c->provider[i].sim) {
            c->provider[i].base = (struct url){
                .host = SLICE("127.0.0.1"), .host_is_ip = true, .port = port, .port_given = true, .path = SLICE("/v1")};
            c->provider[i].authority = SLICE("127.0.0.1"); /* the port is nobody's business there */
        }
    return true;
}

static bool init_layers(const struct conf *c, const struct gate_plan *plan)
{
    struct dns_servers servers = {.count = 0, .timeout_ms = 2000, .attempts = 2};
    uint32_t fds = (uint32_t)sys_max_fds();

    errno = 0;
    for (uint32_t i = 0; i < c->ndns; i++)
        if (addr_parse(c->dns[i].host, c->dns[i].port, &servers.server[servers.count]))
            servers.count++;
    if (!timers_init(plan->timers) || !loop_init(plan->watches) || !mem_budget_init((size_t)c->memory))
        return refuse("no address space for limits.memory and limits.maxConnections", "lower them");
    log_init(2, c->log_level);
    if (fds < c->max_connections + 64)
        log_say(LOG_WARN, "only %u descriptors are allowed (ulimit -n): limits.maxConnections %u can't be reached", fds,
                c->max_connections);
    if (!conns_init(plan->conns) || !tls_init(plan->conns) || !dns_init(&servers) ||
        !dial_init(plan->dials, c->allow_private))
        return refuse("no address space for limits.maxConnections", "lower it");
    return true;
}

bool cmd_start(struct conf *c)
{
    struct gate_plan plan = gate_plan(c);
    const struct trust *trust;
    struct tls_identity *identity;
    struct addr at;
    const char *why = "";

    app.conf = c;
    arena_init(&app.arena, &mem_heap_source, 1 << 16, CA_MAX);
    if (!init_layers(c, &plan) || !watch_signals() || !open_sim(c) || !load_trust(c, &trust) ||
        !load_identity(c, &identity))
        return false;
    for (uint32_t i = 0; i < c->nwarnings; i++)
        log_say(LOG_WARN, "%.*s", (int)c->warning[i].n, c->warning[i].p);
    errno = 0;
    if (!gate_open(c, trust, identity, &plan, &why))
        return refuse("can't start", why);
    if (!addr_parse(c->listen.host, c->listen.port, &at))
        return refuse("listen", "not an address");
    if (!listen_open(&app.listener, &at, gate_accept, &why))
        return refuse("listen", why);
    tell_listening(c);
    return true;
}

uint16_t cmd_port(void)
{
    return app.listener.local.port;
}

int cmd_run(void)
{
    loop_run();
    idle_close_all();
    sim_close();
    log_say(LOG_INFO, "stopped");
    log_flush();
    return 0;
}
