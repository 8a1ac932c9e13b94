/* The serving process's side of the store: start, commits on their way, their answers. And the helper's loop, which is short.
 *
 * Messages go to the helper in order and are answered in order, so an answer is a count. Both ends are one program, forked: numbers
 * cross as they lie in memory, and static texts as pointers. */
#include "state/store.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "net/loop.h"
#include "state/disk.h"
#include "state/master.h"

struct message { /* a record body follows */
    uint64_t body_n; /* or one of MESSAGE_*, without a body */
    int64_t time_ms;
};
static const uint64_t MESSAGE_LEAVE = UINT64_MAX, MESSAGE_RETURN = UINT64_MAX - 1;

struct answer {
    uint64_t count;   /* of messages, the oldest ones not answered yet */
    const char *what; /* NULL: durable; else what failed */
    int64_t error;
    uint64_t log_bytes, compactions;
};

enum { APPEND_PENDING_MAX = STORE_PENDING_MAX / 2, HELPER_IN = 2 * (RECORD_BODY_MAX + (int)sizeof(struct message)), WHY = 256 };

struct pending {
    store_done_fn *done;
    void *arg;
    bool append;
};

enum mode { STORE_CLOSED, STORE_VOLATILE, STORE_READ_ONLY, STORE_DURABLE, STORE_ORPHANED };

/* Locked memory: the master key for as long as we run, and one opened secret during start. */
struct vault {
    uint8_t master[SEAL_KEY];
    char opened[STORE_SECRET_MAX];
};

static struct {
    enum mode mode;
    bool failing, closing; /* the last batch was not written; the helper may end now */
    bool left;             /* the directory is another process's, or on its way there */
    int fd, child, lock;
    struct vault *vault;
    struct pending pending[STORE_PENDING_MAX];
    uint32_t first, count;
    char *queue, *sealed;          /* STORE_QUEUE_MAX; one commit's secrets as stored */
    size_t queue_at, queue_end;
    struct answer in;              /* as much of one as has come */
    size_t in_n;
    struct watch watch;
    struct defer work;             /* sends the queue; without a helper: answers */
    struct store_stats stats;
    char why[DISK_WHY], note[DISK_WHY], answer_why[WHY];
} store; /* nothing but zeros before store_open() */

/* ---- The helper. ---- */

static struct {
    struct disk disk;
    int fd;
    char *in;
    size_t n;
} helper;

static void helper_answer(uint64_t count, bool ok)
{
    struct answer a = {count, ok ? NULL : helper.disk.failed, ok ? 0 : helper.disk.error, helper.disk.n, helper.disk.compactions};
    const char *p = (const char *)&a;

    for (size_t n = sizeof a; n && count;) {
        ssize_t r = sys_send(helper.fd, p, n);

        if (r <= 0)
            return; /* nobody listens any more; what was sent is still written */
        p += r;
        n -= (size_t)r;
    }
}

static bool helper_sync(uint64_t *batch)
{
    bool ok = *batch == 0 || disk_sync(&helper.disk, sys_wall_ms());

    helper_answer(*batch, ok);
    *batch = 0;
    return ok;
}

/* Lets go of the directory, or takes it back: after all that came before. */
static void helper_move(uint64_t *batch, bool leave)
{
    helper_sync(batch);
    helper_answer(1, leave ? disk_leave(&helper.disk) : disk_return(&helper.disk));
}

/* All messages that are there are one batch: one write, one sync. */
static void helper_batch(void)
{
    uint64_t batch = 0;
    size_t at = 0;

    while (helper.n - at >= sizeof(struct message)) {
        struct message m;

        memcpy(&m, helper.in + at, sizeof m);
        if (m.body_n >= MESSAGE_RETURN) {
            helper_move(&batch, m.body_n == MESSAGE_LEAVE);
            at += sizeof m;
            continue;
        }
        must(m.body_n <= RECORD_BODY_MAX);
        if (helper.n - at - sizeof m < m.body_n)
            break;
        if (disk_add(&helper.disk, slice_make(helper.in + at + sizeof m, (size_t)m.body_n), m.time_ms)) {
            batch++;
        } else {
            helper_sync(&batch);
            helper_answer(1, false);
        }
        at += sizeof m + (size_t)m.body_n;
    }
    helper_sync(&batch);
    helper.n -= at;
    memmove(helper.in, helper.in + at, helper.n);
}

/* Until the parent's end closes, however that came about. */
static void helper_run(void *unused)
{
    const char *why;
    ssize_t r;

    (void)unused;
    (void)confine(CONFINE_STORE, &why); /* the gateway says it when there is none */
    if (!helper.in) /* tests come back here */
        helper.in = mem_table(1, HELPER_IN);
    while (helper.in && (r = sys_recv(helper.fd, helper.in + helper.n, HELPER_IN - helper.n)) != -1) {
        if (r == 0) {
            disk_close(&helper.disk);
            sys_close(helper.fd);
            return;
        }
        helper.n += (size_t)r;
        helper_batch();
    }
}

/* ---- Answers. ---- */

static void answer_one(bool ok, const char *why)
{
    struct pending p = store.pending[store.first];

    store.first = (store.first + 1) % STORE_PENDING_MAX;
    store.count--;
    if (p.append && !ok)
        store.stats.append_dropped++;
    if (!p.append && ok)
        store.stats.commits++;
    if (!p.append && !ok)
        store.stats.failed++;
    if (p.done)
        p.done(p.arg, ok, why);
}

/* Its socket closes a moment before it has ended, so this is tried again. */
static void reap(void)
{
    if (store.child && sys_reap(store.child))
        store.child = 0;
}

static void orphaned(void)
{
    loop_unwatch(&store.watch);
    defer_cancel(&store.work);
    sys_close(store.fd);
    reap();
    store.fd = -1;
    store.mode = STORE_ORPHANED;
    store.queue_at = store.queue_end = 0;
    text_format(store.why, sizeof store.why, "the process that writes the state has ended; changes can be made again after a restart");
    if (!store.closing)
        log_say(LOG_ERROR, "state is read-only from here on: %s", store.why);
    for (uint32_t n = store.count; n; n--)
        answer_one(false, store.why);
}

static void take_answer(const struct answer *a)
{
    const char *why = "";

    store.stats.log_bytes = a->log_bytes;
    store.stats.compactions = a->compactions;
    if (a->what) {
        text_format(store.answer_why, sizeof store.answer_why, "%s: %s", a->what, strerror((int)a->error));
        why = store.answer_why;
    }
    if (store.failing != (a->what != NULL)) {
        store.failing = !store.failing;
        log_say(store.failing ? LOG_ERROR : LOG_INFO, store.failing ? "state: changes are refused: %s" : "state: changes are written again%s", why);
    }
    must(a->count <= store.count);
    for (uint64_t n = a->count; n; n--)
        answer_one(!a->what, why);
}

/* False: the helper is gone, or there is nothing more for now. */
static bool receive(void)
{
    ssize_t r = sys_recv(store.fd, (char *)&store.in + store.in_n, sizeof store.in - store.in_n);

    if (r > 0) {
        store.in_n += (size_t)r;
        if (store.in_n == sizeof store.in) {
            struct answer a = store.in;

            store.in_n = 0;
            take_answer(&a);
        }
        return store.mode == STORE_DURABLE;
    }
    if (r == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        orphaned();
    return false;
}

static void flush(void)
{
    while (store.mode == STORE_DURABLE && store.queue_at < store.queue_end) {
        ssize_t r = sys_send(store.fd, store.queue + store.queue_at, store.queue_end - store.queue_at);

        if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (r <= 0) {
            orphaned();
            return;
        }
        store.queue_at += (size_t)r;
    }
    if (store.queue_at == store.queue_end)
        store.queue_at = store.queue_end = 0;
}

static void watch_queue(void)
{
    if (store.mode == STORE_DURABLE && !loop_want(&store.watch, store.queue_end ? SYS_IN | SYS_OUT : SYS_IN))
        orphaned();
}

static void on_helper(struct watch *w, unsigned events)
{
    (void)w;
    if (events & (SYS_IN | SYS_GONE))
        while (receive())
            ;
    flush();
    watch_queue();
}

static void on_work(struct defer *d)
{
    (void)d;
    if (store.mode == STORE_DURABLE) {
        flush();
        watch_queue();
        return;
    }
    for (uint32_t n = store.count; n; n--)
        answer_one(true, "");
}

/* ---- Start. ---- */

struct loading {
    const struct store_options *o;
    struct disk *disk;
    const struct live *live;
};

static bool hand_out(struct loading *l, const struct store_change *stored, int64_t time_ms)
{
    struct store_change c = *stored;
    bool ok;

    if (c.secret.n) {
        if (c.secret.n > STORE_SECRET_MAX + SEAL_EXTRA || !seal_open(store.vault->master, (unsigned)c.kind, c.id, c.secret, store.vault->opened)) {
            text_format(store.note, sizeof store.note, "the stored secret of %.*s can't be opened%s", (int)(c.id.n < 100 ? c.id.n : 100), c.id.p,
                        l->o->salvage ? " and is left out" : "; start once with --salvage to go on without it");
            return l->o->salvage;
        }
        c.secret = slice_make(store.vault->opened, c.secret.n - SEAL_EXTRA);
    }
    ok = l->o->load(l->o->user, &c, time_ms);
    explicit_bzero(store.vault->opened, c.secret.n);
    if (!ok)
        text_format(store.note, sizeof store.note, "the stored %.*s can't be taken over", (int)(c.id.n < 100 ? c.id.n : 100), c.id.p);
    return ok;
}

static bool load_all(struct loading *l)
{
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < l->live->n; i++) {
            struct store_change c;

            if (!live_change(l->live, disk_image(l->disk), i, &c) || (unsigned)c.kind == RECORD_KIND_KEY ||
                (c.kind == STORE_USAGE ? 2 : c.kind == STORE_COUNTERS ? 1 : 0) != round)
                continue;
            if (!hand_out(l, &c, l->live->entry[i].time_ms))
                return false;
        }
    return true;
}

/* The log as it should stand before the first commit. A failure blocks no start: what is there is good, and the helper tries again. */
static void settle(struct disk *d, const struct live *live, bool begin, bool mend, bool salvage)
{
    char body[MASTER_CHECK];
    size_t n = master_check_body(store.vault->master, body);
    const bool checked = !begin && master_has_check(d, live); /* asked now: live is about the image before a rewrite */

    if (d->read_only)
        return;
    if (begin) {
        if (!n || !disk_begin(d, slice_make(body, n), sys_wall_ms()))
            d->read_only = true;
        return;
    }
    if (mend && salvage && !(disk_put_aside(d, sys_wall_ms()) && disk_rewrite(d, live))) {
        d->read_only = true; /* behind damage nothing can be written */
        return;
    }
    if (mend && !salvage)
        (void)disk_rewrite(d, live);
    if (!checked && n && disk_add(d, slice_make(body, n), sys_wall_ms()))
        (void)disk_sync(d, sys_wall_ms());
}

static bool open_disk(struct disk *d, const struct store_options *o)
{
    struct live live;
    struct loading l = {o, d, &live};
    bool mend, ok;
    uint64_t seed = 0;
    enum disk_opened opened;

    if (!sys_random(&seed, sizeof seed))
        return text_format(d->why, sizeof d->why, "the kernel gives no random numbers"), false;
    live_init(&live, seed);
    opened = disk_open(d, o->dir, o->salvage, &live, &mend);
    text_format(store.note, sizeof store.note, "%s", d->why);
    ok = opened != DISK_REFUSED && master_find(d, opened == DISK_OPENED ? &live : NULL, o->master, store.vault->master);
    if (o->master)
        explicit_bzero(o->master, SEAL_KEY); /* the helper is forked in a moment and shall not have it */
    if (ok) {
        (void)live_trim(&live, sys_wall_ms());
        ok = load_all(&l);
        if (!ok)
            memcpy(d->why, store.note, sizeof d->why);
    }
    if (ok)
        settle(d, &live, opened == DISK_NEW, mend, o->salvage);
    live_free(&live);
    return ok;
}

static void drop_vault(void)
{
    if (store.vault) {
        explicit_bzero(store.vault, sizeof *store.vault);
        sys_unreserve(store.vault, sizeof *store.vault);
        store.vault = NULL;
    }
}

static void let_go(void *disk)
{
    mem_heap_give(((struct disk *)disk)->image); /* the helper's is a copy */
}

static bool fork_helper(struct disk *d)
{
    int pair[2], hers[4];

    if (!store.queue) { /* tests come back here */
        store.queue = mem_table(1, STORE_QUEUE_MAX);
        store.sealed = mem_table(1, RECORD_BODY_MAX);
    }
    if (!store.queue || !store.sealed || sys_pair(pair) == -1)
        return false;
    store.fd = pair[0];
    store.lock = sys_dup(d->lock); /* held by both: the directory is taken until the last of them is gone */
    helper.disk = *d;
    helper.fd = hers[0] = pair[1];
    helper.n = 0;
    hers[1] = d->fd;
    hers[2] = d->lock;
    hers[3] = d->dir;
    store.child = store.lock == -1 ? -1 : sys_helper(helper_run, let_go, d, hers, 4);
    if (store.child == -1) {
        sys_close(pair[0]);
        sys_close(pair[1]);
        sys_close(store.lock);
        store.fd = store.lock = -1;
        return false;
    }
    store.stats.log_bytes = d->n;
    return true;
}

bool store_open(const struct store_options *o, const char **why)
{
    struct disk d;

    must(store.mode == STORE_CLOSED && !store.vault);
    store.fd = store.lock = -1;
    store.child = 0;
    store.first = store.count = 0;
    store.failing = store.closing = store.left = false;
    store.queue_at = store.queue_end = store.in_n = 0;
    store.stats = (struct store_stats){0};
    store.note[0] = '\0';
    *why = store.note;
    defer_init(&store.work, on_work);
    if (o->dir.n == 0) {
        store.mode = STORE_VOLATILE;
        return true;
    }
    store.vault = sys_reserve(sizeof *store.vault);
    if (!store.vault)
        return *why = "no memory", false;
    sys_conceal(store.vault, sizeof *store.vault);
    if (!open_disk(&d, o)) {
        memcpy(store.note, d.why, sizeof store.note);
    } else if (d.read_only) {
        memcpy(store.note, d.why, sizeof store.note);
        memcpy(store.why, d.why, sizeof store.why);
        store.mode = STORE_READ_ONLY;
    } else if (fork_helper(&d)) {
        store.mode = STORE_DURABLE;
        return true;
    } else {
        text_format(store.note, sizeof store.note, "the process that writes the state can't be started: %s", strerror(errno));
    }
    disk_close(&d);
    drop_vault();
    return store.mode == STORE_READ_ONLY;
}

bool store_start(void)
{
    return store.mode != STORE_DURABLE || loop_watch(&store.watch, store.fd, SYS_IN, on_helper);
}

/* ---- Commits. ---- */

/* Room for n bytes at the queue's end, or NULL. Moving what waits is paid for by as many bytes that have left. */
static char *queue_room(size_t n)
{
    size_t used = store.queue_end - store.queue_at;

    if (n > STORE_QUEUE_MAX - store.queue_end && store.queue_at >= used) {
        memmove(store.queue, store.queue + store.queue_at, used);
        store.queue_at = 0;
        store.queue_end = used;
    }
    return n > STORE_QUEUE_MAX - store.queue_end ? NULL : store.queue + store.queue_end;
}

/* NULL: queued. */
static const char *enqueue(const struct store_change *c, size_t n)
{
    struct store_change out[STORE_CHANGES_MAX];
    struct message m = {.time_ms = clock_wall_ms()};
    size_t sealed = 0, plain = 0;
    char *p;

    for (size_t i = 0; i < n; i++) {
        if (c[i].id.n > STORE_ID_MAX || c[i].secret.n > STORE_SECRET_MAX || c[i].value.n > STORE_RECORD_MAX)
            return "too large to be stored";
        plain += c[i].id.n + c[i].value.n + c[i].secret.n;
        if (plain > STORE_RECORD_MAX)
            return "too large to be stored";
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = c[i];
        if (!c[i].secret.n)
            continue;
        out[i].secret = slice_make(store.sealed + sealed, c[i].secret.n + SEAL_EXTRA);
        if (!seal_close(store.vault->master, (unsigned)c[i].kind, c[i].id, c[i].secret, store.sealed + sealed))
            return "the kernel gives no random numbers";
        sealed += out[i].secret.n;
    }
    m.body_n = record_body_size(out, n);
    must(m.body_n);
    p = queue_room(sizeof m + (size_t)m.body_n);
    if (!p)
        return "too many changes wait for the disk";
    memcpy(p, &m, sizeof m);
    record_put_body(p + sizeof m, out, n);
    store.queue_end += sizeof m + (size_t)m.body_n;
    return NULL;
}

static bool take(const struct store_change *c, size_t n, struct pending p, const char **why)
{
    must(n > 0 && n <= STORE_CHANGES_MAX);
    *why = store.mode == STORE_CLOSED            ? "weir is stopping"
           : store.left || store.mode == STORE_READ_ONLY || store.mode == STORE_ORPHANED ? store.why
           : store.count == STORE_PENDING_MAX    ? "too many changes wait for the disk"
           : store.mode == STORE_DURABLE         ? enqueue(c, n)
                                                 : NULL;
    if (*why)
        return false;
    *why = "";
    store.pending[(store.first + store.count++) % STORE_PENDING_MAX] = p;
    loop_defer(&store.work); /* all of this turn leave together */
    return true;
}

bool store_commit(const struct store_change *c, size_t n, store_done_fn *done, void *arg, const char **why)
{
    return take(c, n, (struct pending){done, arg, false}, why);
}

bool store_append(const struct store_change *c, size_t n)
{
    const char *why;

    if (store.mode != STORE_DURABLE)
        return store.mode == STORE_VOLATILE;
    if (!store.left && store.count < APPEND_PENDING_MAX && store.queue_end - store.queue_at < STORE_APPEND_QUEUE_MAX &&
        take(c, n, (struct pending){.append = true}, &why))
        return true;
    store.stats.append_dropped++;
    return false;
}

bool store_is_durable(void)
{
    return store.mode == STORE_DURABLE && !store.left;
}

bool store_read_only(const char **why)
{
    *why = store.mode == STORE_CLOSED ? "weir is stopping" : store.why;
    return store.left || (store.mode != STORE_DURABLE && store.mode != STORE_VOLATILE);
}

void store_get_stats(struct store_stats *out)
{
    reap();
    *out = store.stats;
    out->durable = store_is_durable();
    out->helper_alive = store.mode == STORE_DURABLE;
    out->pending = store.count;
}

/* ---- Handing the directory over. ---- */

static struct {
    store_done_fn *done;
    void *arg;
} mover;

static bool send_message(uint64_t what, store_done_fn *done)
{
    struct message m = {what, clock_wall_ms()};
    char *p = store.mode == STORE_DURABLE && store.count < STORE_PENDING_MAX ? queue_room(sizeof m) : NULL;

    if (!p)
        return false;
    memcpy(p, &m, sizeof m);
    store.queue_end += sizeof m;
    store.pending[(store.first + store.count++) % STORE_PENDING_MAX] = (struct pending){.done = done};
    loop_defer(&store.work);
    return true;
}

static void moved_out(void *unused, bool ok, const char *why)
{
    (void)unused;
    if (!ok && store.mode == STORE_DURABLE)
        store.left = false;
    mover.done(mover.arg, ok, why);
}

bool store_leave(store_done_fn *done, void *arg)
{
    if (store.left || !send_message(MESSAGE_LEAVE, moved_out))
        return false;
    mover.done = done;
    mover.arg = arg;
    store.left = true;
    text_format(store.why, sizeof store.why, "another weir process takes over");
    return true;
}

static void moved_in(void *unused, bool ok, const char *why)
{
    (void)unused;
    store.left = !ok;
    if (!ok && store.mode == STORE_DURABLE)
        text_format(store.why, sizeof store.why, "another weir process had the state directory; changes can be made again after a restart");
    log_say(ok ? LOG_INFO : LOG_ERROR, ok ? "state: taken back%s" : "state is read-only from here on: %s", why);
}

void store_return(void)
{
    must(store.left);
    (void)send_message(MESSAGE_RETURN, moved_in);
}

/* ---- The end. ---- */

void store_close(int wait_ms)
{
    const int64_t until = sys_mono_ms() + wait_ms;
    int64_t left;

    if (store.mode == STORE_CLOSED)
        return;
    if (store.mode == STORE_VOLATILE)
        on_work(&store.work);
    while (store.mode == STORE_DURABLE && store.count && (left = until - sys_mono_ms()) > 0) {
        flush();
        if (store.mode == STORE_DURABLE && sys_wait(store.fd, store.queue_end ? SYS_IN | SYS_OUT : SYS_IN, (int)left))
            while (receive())
                ;
    }
    store.closing = true;
    if (store.mode == STORE_DURABLE) {
        loop_unwatch(&store.watch);
        (void)sys_shutdown_write(store.fd);
        while ((left = until - sys_mono_ms()) > 0 && sys_wait(store.fd, SYS_IN, (int)left) && receive())
            ; /* until it has ended, and let go of the lock */
    }
    if (store.mode == STORE_DURABLE) {
        sys_close(store.fd);
        store.fd = -1;
    }
    reap();
    defer_cancel(&store.work);
    store.mode = STORE_CLOSED;
    for (uint32_t n = store.count; n; n--)
        answer_one(false, "weir is stopping");
    sys_close(store.lock);
    store.lock = -1;
    drop_vault();
}

bool store_rekey(const struct store_options *o, const uint8_t *to, const char **why)
{
    static char text[DISK_WHY];
    uint8_t key[SEAL_KEY];
    struct disk d;
    struct live live;
    bool mend, ok = false;

    *why = text;
    live_init(&live, 1); /* the operator's own file */
    switch (disk_open(&d, o->dir, false, &live, &mend)) {
    case DISK_REFUSED:
        break;
    case DISK_NEW:
        text_format(d.why, sizeof d.why, "there is no state in this directory yet");
        break;
    case DISK_OPENED:
        if (d.read_only || !master_find(&d, &live, o->master, key))
            break;
        ok = master_change(&d, &live, key, to, sys_wall_ms());
        break;
    }
    explicit_bzero(key, sizeof key);
    memcpy(text, d.why, sizeof text);
    live_free(&live);
    disk_close(&d);
    return ok;
}
