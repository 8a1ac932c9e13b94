#include "cmd/handover.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/timer.h"
#include "net/loop.h"
#include "state/limits.h"
#include "state/store.h"
#include "state/usage.h"

/* One byte each; behind USAGE a batch of events. */
enum word { READY = 'R' /* new: the config is good */, GO = 'G' /* old: the state is yours */, STOP = 'X' /* old: called off */,
            DONE = 'D' /* new: I serve */, USAGE = 'U' /* old: what my requests used */ };

enum { PACKET = 1 + (1 << 17) }; /* a batch is half of that at most */

static struct {
    int launcher;                /* -1: none */
    int talk;                    /* with who takes over from us; -1: nobody */
    int from;                    /* with who we took over from, until it has ended; -1: nobody */
    int socket[HANDOVER_SOCKETS];
    struct watch watch, from_watch;
    struct timer timer;
    void (*over)(void);
    bool left, done, watched, from_watched;
    char *packet;
} h = {.launcher = -1, .talk = -1, .from = -1, .socket = {-1, -1}};

static bool say(int fd, enum word w)
{
    char c = (char)w;

    return sys_send(fd, &c, 1) == 1;
}

static void hang_up(void)
{
    if (h.watched)
        loop_unwatch(&h.watch);
    h.watched = false;
    sys_close(h.talk);
    h.talk = -1;
}

static void forget_old(void)
{
    if (h.from_watched)
        loop_unwatch(&h.from_watch);
    h.from_watched = false;
    sys_close(h.from);
    h.from = -1;
}

void handover_prepare(char *const *argv)
{
    int n = sys_launched();

    if (n > 0) {
        h.from = SYS_LAUNCH_FIRST;
        for (int i = 0; i + 1 < n && i < HANDOVER_SOCKETS; i++)
            h.socket[i] = SYS_LAUNCH_FIRST + 1 + i;
    }
    h.launcher = sys_launcher(argv);
}

/* ---- The new process ---- */

bool handover_ask(void)
{
    char word = 0;

    if (h.from == -1)
        return true;
    if (say(h.from, READY) && sys_wait(h.from, SYS_IN, HANDOVER_MS) && sys_recv(h.from, &word, 1) == 1)
        return word == GO;
    forget_old(); /* it has died: its sockets are here, and nobody holds its state */
    return true;
}

int handover_socket(enum handover_socket which)
{
    return h.socket[which];
}

static void on_old(struct watch *w, unsigned events)
{
    ssize_t n;

    (void)w;
    (void)events;
    while ((n = sys_recv(h.from, h.packet, PACKET)) > 0)
        if (h.packet[0] == USAGE)
            usage_adopt(slice_make(h.packet + 1, (size_t)n - 1));
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        forget_old(); /* it has ended */
}

bool handover_take(void)
{
    if (h.from == -1)
        return true;
    h.packet = mem_table(1, PACKET);
    if (!h.packet || !loop_watch(&h.from_watch, h.from, SYS_IN, on_old))
        return false;
    h.from_watched = true;
    (void)say(h.from, DONE); /* if it has died meanwhile the watch tells */
    log_say(LOG_INFO, "took over from another process");
    return true;
}

/* ---- The old one ---- */

static bool send_usage(struct slice batch)
{
    if (h.talk == -1 || batch.n >= PACKET)
        return false;
    h.packet[0] = USAGE;
    memcpy(h.packet + 1, batch.p, batch.n);
    return sys_send(h.talk, h.packet, batch.n + 1) == (ssize_t)batch.n + 1;
}

static void give_up(const char *why)
{
    log_say(LOG_ERROR, "hand-over failed, this process goes on: %s", why);
    timer_disarm(&h.timer);
    usage_divert(NULL);
    hang_up();
    if (h.left)
        store_return();
    h.left = false;
}

static void on_late(struct timer *t)
{
    (void)t;
    (void)say(h.talk, STOP);
    give_up("the new process was not ready in time");
}

static void on_left(void *unused, bool ok, const char *why)
{
    (void)unused;
    if (h.talk == -1) { /* it died meanwhile */
        if (ok)
            store_return();
        return;
    }
    h.left = ok;
    if (!ok || !say(h.talk, GO))
        give_up(ok ? "the new process has ended" : why);
}

static void on_ready_word(void)
{
    usage_flush();
    limits_flush();
    usage_divert(send_usage);
    if (store_leave(on_left, NULL))
        return;
    if (!say(h.talk, GO)) /* nothing to let go of */
        give_up("the new process has ended");
}

static void on_new(struct watch *w, unsigned events)
{
    char word = 0;
    ssize_t n = sys_recv(h.talk, &word, 1);

    (void)w;
    (void)events;
    if (n == 1 && word == READY) {
        on_ready_word();
    } else if (n == 1 && word == DONE) {
        timer_disarm(&h.timer);
        h.done = true;
        h.over();
    } else if (n == 1 || (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))) {
        return;
    } else if (h.done) {
        log_say(LOG_ERROR, "the process that took over has ended");
        hang_up();
    } else {
        give_up("the new process has ended; its own message says why");
    }
}

void handover_start(const int sockets[HANDOVER_SOCKETS], void (*over)(void))
{
    int pair[2], fds[1 + HANDOVER_SOCKETS], n = 1;

    if (h.talk != -1) {
        log_say(LOG_WARN, "SIGUSR2: a hand-over is under way already");
        return;
    }
    if (!h.packet)
        h.packet = mem_table(1, PACKET);
    if (h.launcher == -1 || !h.packet || sys_pair_packets(pair) == -1) {
        log_say(LOG_ERROR, "SIGUSR2: no hand-over: %s", h.launcher == -1 ? "the process that would start the new one is not there" : "out of memory or descriptors");
        return;
    }
    fds[0] = pair[1];
    for (int i = 0; i < HANDOVER_SOCKETS && sockets[i] != -1; i++)
        fds[n++] = sockets[i];
    h.talk = pair[0];
    h.over = over;
    h.left = h.done = false;
    timer_init(&h.timer, on_late);
    h.watched = loop_watch(&h.watch, h.talk, SYS_IN, on_new);
    if (!h.watched || sys_launch(h.launcher, fds, n) == -1) {
        sys_close(pair[1]);
        give_up("the new process can't be started");
        return;
    }
    sys_close(pair[1]);
    timer_arm(&h.timer, clock_ms() + HANDOVER_MS);
    log_say(LOG_INFO, "SIGUSR2: starting the process that takes over");
}

bool handover_waits(void)
{
    return h.from != -1;
}
