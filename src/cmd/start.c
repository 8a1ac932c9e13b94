/* Start-up in order, signals, and the end. Everything that can be refused is refused here, with one line that says why, before the first
 * request is taken. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "cmd/cmd.h"
#include "cmd/handover.h"
#include "cmd/plane.h"
#include "cmd/reload.h"
#include "cmd/state.h"
#include "gate/gate.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/dns.h"
#include "net/idle.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/tls.h"
#include "sim/sim.h"

enum { DRAIN_LAST_MS = 1000 /* for error events to leave, after the deadline */ };

static struct {
    struct listener listener;
    struct watch signals;
    int signal_fd;
    struct timer drain_over, drain_look, retire_over;
    bool draining, cut;
} app;

static bool refuse(const char *what, const char *why)
{
    text_print(TEXT_ERR, "weir: %s: %s%s%s\n", what, why, errno ? ": " : "", errno ? strerror(errno) : "");
    return false;
}

/* ---- Signals and the end ---- */

static void look_for_end(struct timer *t)
{
    if (gate_busy() == 0 && admin_busy() == 0 && !handover_waits())
        loop_stop();
    else
        timer_arm(t, clock_ms() + 20);
}

static void stop_now(struct timer *t)
{
    if (app.cut) {
        loop_stop();
        return;
    }
    app.cut = true;
    log_say(LOG_WARN, "limits.drainTimeout (%u ms) is over: %u connections are cut", (unsigned)reload_conf()->drain_ms,
            (unsigned)gate_busy());
    gate_cut();
    timer_arm(t, clock_ms() + DRAIN_LAST_MS);
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
    admin_drain();
    gate_drain();
    if (reload_conf()->drain_ms)
        timer_arm(&app.drain_over, clock_ms() + reload_conf()->drain_ms);
    timer_arm(&app.drain_look, clock_ms());
}

/* Who was just about to ask on an idle connection still gets an answer, with the word that it was the last one there. */
static void end_of_retirement(struct timer *t)
{
    (void)t;
    gate_drain();
}

static void handed_over(void)
{
    app.draining = true;
    log_say(LOG_INFO, "handed over: another process listens now, %u open here", (unsigned)gate_busy());
    listen_close(&app.listener);
    admin_drain();
    gate_retire();
    timer_arm(&app.retire_over, clock_ms() + HANDOVER_LINGER_MS);
    if (reload_conf()->drain_ms)
        timer_arm(&app.drain_over, clock_ms() + HANDOVER_LINGER_MS + reload_conf()->drain_ms);
    timer_arm(&app.drain_look, clock_ms());
}

static void hand_over(void)
{
    const int sockets[HANDOVER_SOCKETS] = {[HANDOVER_DATA] = app.listener.fd, [HANDOVER_ADMIN] = admin_listener()};

    handover_start(sockets, handed_over);
}

static void on_signal(struct watch *w, unsigned events)
{
    int n;

    (void)w;
    (void)events;
    while ((n = sys_signal_read(app.signal_fd)) > 0)
        if (n == SIGTERM || n == SIGINT)
            drain();
        else if (n == SIGHUP && !app.draining)
            reload_soon();
        else if (n == SIGUSR2 && !app.draining)
            hand_over();
}

static bool watch_signals(void)
{
    app.signal_fd = sys_signal_fd();
    timer_init(&app.drain_over, stop_now);
    timer_init(&app.drain_look, look_for_end);
    timer_init(&app.retire_over, end_of_retirement);
    reload_init();
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

static bool init_layers(const struct conf *c, const struct gate_plan *plan)
{
    struct dns_servers servers;
    uint32_t fds = (uint32_t)sys_max_fds();

    errno = 0;
    reload_dns(c, &servers);
    if (!timers_init(plan->timers) || !loop_init(plan->watches) || !mem_budget_init((size_t)c->memory))
        return refuse("no address space for limits.memory and limits.maxConnections", "lower them");
    log_init(2, c->log_level);
    errno = 0;
    if (!log_use(c->log_file))
        return refuse("log.file", "can't be opened for appending");
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
    struct addr at;
    char text[CMD_WHY_MAX];
    const char *why = "";

    plan.conns += ADMIN_FDS;
    plan.watches += ADMIN_FDS;
    plan.timers += ADMIN_TIMERS;
    if (!init_layers(c, &plan) || !watch_signals() || !state_start())
        return false;
    errno = 0;
    if (!reload_start(c, &plan, text, sizeof text))
        return refuse("can't start", text);
    if (!addr_parse(c->listen.host, c->listen.port, &at))
        return refuse("listen", "not an address");
    if (!(handover_socket(HANDOVER_DATA) != -1 && listen_adopt(&app.listener, handover_socket(HANDOVER_DATA), &at, gate_accept)) &&
        !listen_open(&app.listener, &at, gate_accept, &why))
        return refuse("listen", why);
    if (!plane_open(c))
        return false;
    if (!handover_take())
        return refuse("can't take over", "no room to talk to the other process");
    sys_notify_ready();
    tell_listening(c);
    return true;
}

const struct addr *cmd_address(void)
{
    return &app.listener.local;
}

uint16_t cmd_port(void)
{
    return app.listener.local.port;
}

/* A process that ends well has given everything back but for a timer or two: for the tests that ran it for a million requests. */
static void tell_stopped(void)
{
    timer_disarm(&app.drain_over);
    timer_disarm(&app.drain_look);
    timer_disarm(&app.retire_over);
    log_flush();
    log_say(LOG_DEBUG, "left: %u timers, %u connections, %zu bytes", (unsigned)timers_count(), (unsigned)conns_open(), mem_in_use());
    log_say(LOG_INFO, "stopped");
}

int cmd_run(void)
{
    const char *why;

    if (!confine(CONFINE_GATE, &why))
        log_say(LOG_WARN, "sandbox: %s", why);
    loop_run();
    gate_abandon();
    idle_close_all();
    sim_close();
    state_close();
    tell_stopped();
    log_flush();
    return 0;
}
