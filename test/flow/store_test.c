/* The store as its callers see it: commits on their way to the helper and back, what a start hands out, what is refused and how it is said
 * (faults.md L-09 to L-11, L-16, L-59). The helper is a function here that the test calls: what it has not done yet is not durable. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "check.h"
#include "fake_disk.h"
#include "net/loop.h"
#include "state/record.h"
#include "state/store.h"

static const char canary[] = "sk-canary-0123456789abcdefghijklmnop";
static const char *why;

/* ---- Answers. ---- */

static struct {
    unsigned ok, failed;
    char why[200];
    bool inside; /* within store_commit(): nobody may be called now */
    unsigned early;
    struct store_change again; /* one more commit, made by done itself */
} seen;

static void done(void *arg, bool ok, const char *text)
{
    (void)arg;
    seen.early += seen.inside;
    seen.ok += ok;
    seen.failed += !ok;
    if (!ok)
        snprintf(seen.why, sizeof seen.why, "%s", text);
    if (seen.again.op) {
        struct store_change c = seen.again;

        seen.again.op = (enum store_op)0;
        CHECK(store_commit(&c, 1, done, NULL, &why));
    }
}

static struct store_change change(enum store_kind kind, const char *id, const char *value, const char *secret)
{
    return (struct store_change){.kind = kind, .op = STORE_PUT, .id = slice_str(id), .value = slice_str(value), .secret = slice_str(secret)};
}

static bool commit(const struct store_change *c, size_t n)
{
    bool taken;

    seen.inside = true;
    taken = store_commit(c, n, done, NULL, &why);
    seen.inside = false;
    return taken;
}

static bool put(const char *id, const char *value, const char *secret)
{
    struct store_change c = change(STORE_PROVIDER_KEY, id, value, secret);

    return commit(&c, 1);
}

/* Until all is answered; a socket takes only so much at once. */
static void turns(void)
{
    struct store_stats s = {.pending = 1};

    for (int i = 0; i < 1000 && s.pending; i++) {
        loop_turn(0);
        fake_helper_run();
        loop_turn(0);
        store_get_stats(&s);
    }
    CHECK_INT(s.pending, 0);
}

/* ---- Starts. ---- */

static char loaded[2000];
static bool refuse_load;

/* "kind id=value/secret " for each, in order. */
static bool load(void *user, const struct store_change *c, int64_t time_ms)
{
    size_t n = strlen(loaded);

    (void)user;
    CHECK(c->op == STORE_PUT && time_ms > 0);
    text_format(loaded + n, sizeof loaded - n, "%d %.*s=%.*s/%.*s ", (int)c->kind, (int)c->id.n, c->id.n ? c->id.p : "", (int)c->value.n,
                c->value.n ? c->value.p : "", (int)c->secret.n, c->secret.n ? c->secret.p : "");
    return !refuse_load;
}

static bool start_with(uint8_t *master, bool salvage)
{
    struct store_options o = {.dir = {"/state", 6}, .master = master, .salvage = salvage, .load = load};

    loaded[0] = '\0';
    memset(&seen, 0, sizeof seen);
    return store_open(&o, &why) && store_start();
}

static bool start(void)
{
    return start_with(NULL, false);
}

/* As a process that is killed leaves it: the helper writes what it was sent, and ends. */
static void stop(void)
{
    store_close(1000);
    fake_helper_run();
}

static void restart(void)
{
    stop();
    CHECK(start());
    CHECK_STR(slice_str(why), "");
}

static void forget(void)
{
    fake_disk_reset();
}

static bool on_disk(const char *text)
{
    for (int i = 0; i < disk_world.inodes; i++)
        if (slice_find(slice_make(disk_world.inode[i].p, disk_world.inode[i].n), slice_str(text)) >= 0)
            return true;
    return false;
}

static struct bytes *log_file(void)
{
    for (int i = 0; i < disk_world.files; i++)
        if (!strcmp(disk_world.file[i].name, "weir.log"))
            return &disk_world.inode[disk_world.file[i].inode];
    abort();
}

/* ---- Cases. ---- */

static void volatile_store(void)
{
    struct store_options o = {.load = load};
    struct store_stats s;

    check_case("no directory");
    memset(&seen, 0, sizeof seen);
    CHECK(!put("early", "", "") && why[0]);
    CHECK(store_open(&o, &why) && store_start());
    CHECK(!store_is_durable() && !store_read_only(&why));
    CHECK(put("a", "1", canary) && put("b", "2", ""));
    CHECK_INT(seen.ok, 0);
    loop_turn(0);
    CHECK_INT(seen.ok, 2);
    CHECK(store_append(&(struct store_change){.kind = STORE_USAGE, .op = STORE_PUT}, 1));
    CHECK(put("c", "3", ""));
    store_close(0);
    CHECK_INT(seen.ok, 3);
    CHECK_INT(seen.early, 0);
    CHECK(!put("d", "4", "") && why[0]);
    CHECK(store_read_only(&why));
    store_get_stats(&s);
    CHECK(!s.durable && !s.helper_alive && s.pending == 0 && s.append_dropped == 0);
    CHECK_INT(disk_world.events, 0);
    store_close(0); /* twice is no harm */
}

static void durable_store(void)
{
    struct store_change three[3] = {change(STORE_CONFIGURATION, "aigac_1", "{}", ""), change(STORE_PROVIDER_KEY, "aigpk_1", "key", canary),
                                    change(STORE_PROVIDER, "mine", "old", "")};
    struct store_stats s;

    check_case("durable: not before the helper has synced");
    forget();
    CHECK(start());
    CHECK_STR(slice_str(why), "");
    CHECK_STR(slice_str(loaded), "");
    CHECK(store_is_durable() && !store_read_only(&why));
    CHECK(commit(three, 3));
    for (int i = 0; i < 5; i++)
        loop_turn(0);
    CHECK_INT(seen.ok, 0);
    store_get_stats(&s);
    CHECK(s.pending == 1 && s.helper_alive && s.durable);
    turns();
    CHECK_INT(seen.ok, 1);
    CHECK(!on_disk("sk-canary")); /* nowhere, and its beginning neither */
    CHECK(on_disk("aigpk_1"));

    check_case("group commit: ten are one sync");
    disk_world.fsyncs = 0;
    for (int i = 0; i < 10; i++) {
        char id[8];

        snprintf(id, sizeof id, "k%d", i);
        CHECK(put(id, "v", ""));
    }
    turns();
    CHECK_INT(seen.ok, 11);
    CHECK_INT(disk_world.fsyncs, 1);
    three[2].value = SLICE("new"); /* keeps its place */
    three[0].op = STORE_DELETE;
    CHECK(commit(three, 3));
    CHECK(store_append(&(struct store_change){.kind = STORE_USAGE, .op = STORE_PUT, .value = SLICE("u1")}, 1));
    CHECK(store_append(&(struct store_change){.kind = STORE_COUNTERS, .op = STORE_PUT, .id = SLICE("n"), .value = SLICE("7")}, 1));
    CHECK(store_append(&(struct store_change){.kind = STORE_USAGE, .op = STORE_PUT, .value = SLICE("u2")}, 1));
    restart(); /* without a turn: closing hands over what is queued */
    CHECK_STR(slice_str(loaded), "2 aigpk_1=key/sk-canary-0123456789abcdefghijklmnop 1 mine=new/ 2 k0=v/ 2 k1=v/ 2 k2=v/ 2 k3=v/ 2 k4=v/ "
                                 "2 k5=v/ 2 k6=v/ 2 k7=v/ 2 k8=v/ 2 k9=v/ 8 n=7/ 7 =u1/ 7 =u2/ ");
    CHECK(!on_disk("sk-canary"));

    check_case("a commit made by an answer");
    seen.again = change(STORE_API_KEY, "again", "", "");
    CHECK(put("k0", "w", ""));
    turns();
    CHECK_INT(seen.ok, 2);
    CHECK_INT(seen.early, 0);
    stop();
}

static void failing_disk(void)
{
    struct store_stats s;

    check_case("a full disk (L-09)");
    forget();
    CHECK(start());
    CHECK(put("a", "1", ""));
    turns();
    disk_world.room = 20;
    CHECK(put("a", "2", canary) && put("b", "2", ""));
    turns();
    CHECK_INT(seen.ok, 1);
    CHECK_INT(seen.failed, 2);
    CHECK(strstr(seen.why, "weir.log can't be written: ") && strstr(seen.why, strerror(ENOSPC)));
    CHECK(store_is_durable());
    log_flush();
    CHECK(slice_find(slice_make(fake.log.p, fake.log.n), SLICE("state: changes are refused: weir.log can't be written")) >= 0);
    disk_world.room = UINT64_MAX;
    CHECK(put("c", "3", ""));
    turns();
    log_flush();
    CHECK(slice_find(slice_make(fake.log.p, fake.log.n), SLICE("state: changes are written again")) >= 0);
    CHECK_INT(seen.ok, 2);
    restart();
    CHECK_STR(slice_str(loaded), "2 a=1/ 2 c=3/ ");

    check_case("a sync that fails, the batch goes into a new file (L-11)");
    disk_world.fail.fsync = 1;
    CHECK(put("d", "4", canary));
    turns();
    CHECK_INT(seen.ok, 1);
    restart();
    CHECK_STR(slice_str(loaded), "2 a=1/ 2 c=3/ 2 d=4/sk-canary-0123456789abcdefghijklmnop ");

    check_case("no sync works any more");
    disk_world.fail.fsync = 1;
    disk_world.fail.from_then_on = true;
    CHECK(put("e", "5", ""));
    turns();
    CHECK_INT(seen.failed, 1);
    CHECK(strstr(seen.why, "did not confirm"));
    disk_world.fail.fsync = 0;
    disk_world.fail.from_then_on = false;
    CHECK(put("f", "6", ""));
    turns();
    restart();
    CHECK(strstr(loaded, "2 f=6/") && !strstr(loaded, "2 e=5/"));
    stop();

    check_case("the helper ends");
    CHECK(start());
    CHECK(put("g", "7", "") && put("h", "8", ""));
    loop_turn(0);
    fake_helper_kill();
    loop_turn(0);
    CHECK_INT(seen.failed, 2);
    CHECK(!store_is_durable() && store_read_only(&why) && strstr(why, "has ended"));
    CHECK(!put("i", "9", "") && strstr(why, "has ended"));
    log_flush();
    CHECK(slice_find(slice_make(fake.log.p, fake.log.n), SLICE("state is read-only from here on: the process that writes")) >= 0);
    CHECK(!store_append(&(struct store_change){.kind = STORE_USAGE, .op = STORE_PUT}, 1));
    store_get_stats(&s);
    CHECK(!s.durable && !s.helper_alive && s.pending == 0 && s.failed == 2);
    store_close(100);
    disk_world.helper_dead = false;
    fake_helper_run();

    check_case("it does not answer in time");
    forget();
    CHECK(start());
    CHECK(put("a", "1", ""));
    loop_turn(0);
    disk_world.helper = NULL;
    store_close(300);
    CHECK_INT(seen.ok, 0);
    CHECK_INT(seen.failed, 1);
    CHECK_STR(slice_str(seen.why), "weir is stopping");
}

static struct {
    int called;
    bool ok;
} left;

static void on_left(void *arg, bool ok, const char *text)
{
    (void)arg;
    (void)text;
    left.called++;
    left.ok = ok;
}

/* To another process and back; and back when that one has written. */
static void handing_over(void)
{
    check_case("what is queued is written, then the lock goes");
    forget();
    CHECK(start());
    CHECK(disk_world.held);
    left.called = 0;
    CHECK(put("a", "1", canary));
    CHECK(store_leave(on_left, NULL));
    CHECK(!store_leave(on_left, NULL));
    CHECK(!put("b", "2", "") && strstr(why, "another weir process"));
    CHECK(!store_append(&(struct store_change){.kind = STORE_USAGE, .op = STORE_PUT, .value = SLICE("u")}, 1));
    CHECK(!store_is_durable() && store_read_only(&why));
    CHECK_INT(left.called, 0);
    turns();
    CHECK(left.called == 1 && left.ok && seen.ok == 1 && !disk_world.held);

    check_case("taken back");
    store_return();
    turns();
    CHECK(disk_world.held && store_is_durable());
    CHECK(put("b", "2", ""));
    turns();
    CHECK_INT(seen.ok, 2);
    restart();
    CHECK(strstr(loaded, "2 a=1/sk-canary") && strstr(loaded, "2 b=2/"));

    check_case("the other one has the lock");
    CHECK(store_leave(on_left, NULL));
    turns();
    disk_world.locked = true;
    store_return();
    turns();
    disk_world.locked = false;
    CHECK(!store_is_durable() && store_read_only(&why) && strstr(why, "another weir process had"));
    CHECK(!put("c", "3", ""));
    restart();

    check_case("the other one has written");
    CHECK(store_leave(on_left, NULL));
    turns();
    fake_disk_file("weir.log", "x", 1);
    store_return();
    turns();
    CHECK(!store_is_durable() && !put("c", "3", ""));
    stop();

    check_case("nothing to hand over");
    CHECK(store_open(&(struct store_options){.load = load}, &why) && store_start());
    CHECK(!store_leave(on_left, NULL));
    store_close(0);
}

static void bounds(void)
{
    static char big[STORE_RECORD_MAX + 1];
    struct store_change c = change(STORE_PROVIDER, "p", "v", ""), full = c;
    struct store_stats s;
    unsigned taken = 0, dropped = 0;

    check_case("too large");
    forget();
    CHECK(start());
    memset(big, 'x', sizeof big);
    c.value = slice_make(big, sizeof big);
    CHECK(!commit(&c, 1) && strstr(why, "too large"));
    c.value = slice_make(big, STORE_RECORD_MAX - 1);
    CHECK(commit(&c, 1));
    c = change(STORE_PROVIDER, "q", "v", "");
    c.id = slice_make(big, STORE_ID_MAX + 1);
    CHECK(!commit(&c, 1) && strstr(why, "too large"));
    c.id = slice_make(big, STORE_ID_MAX);
    c.secret = slice_make(big, STORE_SECRET_MAX + 1);
    CHECK(!commit(&c, 1) && strstr(why, "too large"));
    c.secret = slice_make(big, STORE_SECRET_MAX);
    CHECK(commit(&c, 1));
    turns();
    CHECK_INT(seen.ok, 2);

    check_case("more than the disk keeps up with: commits find room where usage finds none");
    full.value = slice_make(big, 900);
    for (int i = 0; i < STORE_PENDING_MAX; i++) {
        struct store_change u = {.kind = STORE_USAGE, .op = STORE_PUT, .value = slice_make(big, 100)};

        dropped += !store_append(&u, 1);
    }
    CHECK_INT(dropped, STORE_PENDING_MAX / 2);
    while (commit(&full, 1))
        taken++;
    CHECK_INT(taken, STORE_PENDING_MAX / 2);
    CHECK(strstr(why, "wait for the disk"));
    store_get_stats(&s);
    CHECK_INT(s.append_dropped, dropped);
    CHECK_INT(s.pending, STORE_PENDING_MAX);
    turns();
    CHECK_INT(seen.ok, 2 + taken);
    CHECK_INT(seen.failed, 0);

    check_case("more bytes than the queue holds");
    full.value = slice_make(big, STORE_RECORD_MAX - 100);
    for (taken = 0; commit(&full, 1); taken++)
        ;
    CHECK_INT(taken, STORE_QUEUE_MAX / STORE_RECORD_MAX);
    CHECK(strstr(why, "wait for the disk"));
    turns();
    CHECK(commit(&full, 1));
    turns();

    check_case("the log is compacted, and stays bounded (L-60)");
    for (int i = 0; i < 30; i++) {
        CHECK(commit(&full, 1));
        turns();
    }
    store_get_stats(&s);
    CHECK(s.compactions >= 5);
    CHECK(s.log_bytes < 10u << 20);
    stop();
    CHECK(start());
    stop();
}

static void refusals(void)
{
    uint8_t one[32] = {1}, two[32] = {2}, zero[32] = {0};
    struct store_options o = {.dir = {"/state", 6}};
    char *log, *secret;
    size_t n;

    check_case("a master key of the operator's");
    forget();
    CHECK(start_with(one, false));
    CHECK(memcmp(one, zero, 32) == 0); /* wiped: the helper was forked after that */
    CHECK(put("a", "1", canary));
    stop();
    CHECK(fake_disk_content("master.key") == NULL);
    CHECK(!start_with(two, false) && strstr(why, "stateKey is not the key"));
    CHECK(!start() && strstr(why, "master.key is missing"));
    one[0] = 1;
    CHECK(start_with(one, false));
    CHECK_STR(slice_str(loaded), "2 a=1/sk-canary-0123456789abcdefghijklmnop ");
    stop();

    check_case("rekey, by the operator's keys and by none");
    one[0] = two[0] = 2;
    o.master = one;
    CHECK(!store_rekey(&o, two, &why) && strstr(why, "stateKey is not the key"));
    one[0] = 1;
    CHECK(store_rekey(&o, two, &why));
    CHECK(!start_with(one, false));
    one[0] = 0;
    CHECK(start_with(two, false));
    CHECK_STR(slice_str(loaded), "2 a=1/sk-canary-0123456789abcdefghijklmnop ");
    stop();
    disk_world.locked = true;
    o.master = two;
    two[0] = 2;
    CHECK(!store_rekey(&o, zero, &why) && strstr(why, "in use by another weir process"));
    disk_world.locked = false;

    check_case("a secret that was put elsewhere does not open");
    log = log_file()->p;
    n = bytes_len(fake_disk_content("weir.log"));
    {   /* the same bytes under another id, with a CRC that fits */
        ptrdiff_t at = slice_find(slice_make(log, n), SLICE("\x02\x01\x01\0\x01\0\0\0"));
        struct record_reader r;
        struct record rec;

        CHECK(at > 0);
        secret = log + at + RECORD_CHANGE_HEAD;
        CHECK(secret[0] == 'a');
        CHECK(record_open(&r, slice_make(log, n)) == NULL);
        while (record_next(&r, &rec) == RECORD_GOOD)
            if ((size_t)at > rec.at && (size_t)at < rec.end) {
                *secret = 'b';
                record_put_head(log + rec.at, rec.body.n, r.salt, rec.seq, rec.durable, rec.time_ms);
            }
    }
    CHECK(!start_with(two, false) && strstr(why, "the stored secret of b can't be opened; start once with --salvage"));
    two[0] = 2;
    CHECK(start_with(two, true));
    CHECK_STR(slice_str(loaded), "");
    stop();

    check_case("who loads says no");
    forget();
    CHECK(start() && put("a", "1", ""));
    stop();
    refuse_load = true;
    CHECK(!start() && strstr(why, "the stored a can't be taken over"));
    refuse_load = false;

    check_case("a directory that can't be written: what is there is in force (L-16)");
    disk_world.read_only = true;
    CHECK(start());
    CHECK_STR(slice_str(loaded), "2 a=1/ ");
    CHECK(!store_is_durable() && store_read_only(&why) && why[0]);
    CHECK(!put("b", "2", "") && why[0]);
    store_close(0);
    disk_world.read_only = false;

    check_case("damage, and no room to write it anew: read-only");
    {
        struct bytes *b;

        CHECK(start() && put("b", "2", "") && put("c", "3", ""));
        stop();
        b = log_file();
        b->p[b->off + 150] ^= 1;
        CHECK(!start() && strstr(why, "is damaged at offset"));
        disk_world.room = 10;
        CHECK(start_with(NULL, true));
        CHECK(store_read_only(&why) && why[0]);
        CHECK(!put("d", "4", "") && strstr(loaded, "2 c=3/"));
        store_close(0);
        disk_world.room = UINT64_MAX;
        CHECK(start_with(NULL, true));
        CHECK(store_is_durable() && strstr(loaded, "2 c=3/"));
        CHECK(strstr(why, "could not be saved"));
        CHECK(put("d", "4", canary));
        restart();
        CHECK(strstr(loaded, "2 d=4/sk-canary"));
        stop();
    }
}

int main(void)
{
    fake_reset();
    CHECK(timers_init(16) && loop_init(16));
    log_init(2, LOG_INFO);
    clock_update();
    volatile_store();
    durable_store();
    failing_disk();
    handing_over();
    bounds();
    refusals();
    fake_reset();
    return check_end();
}
