/* The log against every power failure (faults.md L-09 to L-18, L-60; I-10). A run over the fake disk leaves a journal; from each prefix of it
 * all the states are made that a failure there may leave behind: of what was not synced nothing, everything, everything but one write, one
 * write alone, the last one torn at each byte; of the names any prefix. Each must open, and hold exactly what some prefix of the commits
 * made, with every acknowledged one in it. */
#include <errno.h>

#include "base/sys.h"
#include "check.h"
#include "fake_disk.h"
#include "state/disk.h"
#include "state/master.h"

enum { COMMITS_MAX = 40, STATE_MAX = 8192, NOW = 1000000 };

static const struct slice dir = {"/state", 6};

/* ---- What the commits make, by hand. ---- */

struct model {
    struct {
        char id[8], value[64];
    } at[64];
    unsigned n;
};

static struct model after[COMMITS_MAX + 1]; /* after so many commits */
static unsigned commits, acked;

static void model_put(struct model *m, const char *id, const char *value)
{
    unsigned i = 0;

    while (i < m->n && strcmp(m->at[i].id, id) != 0)
        i++;
    snprintf(m->at[i].id, sizeof m->at[i].id, "%s", id);
    snprintf(m->at[i].value, sizeof m->at[i].value, "%s", value);
    m->n += i == m->n;
}

static void model_delete(struct model *m, const char *id)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->at[i].id, id) == 0) {
            memmove(&m->at[i], &m->at[i + 1], (m->n - i - 1) * sizeof m->at[0]);
            m->n--;
            return;
        }
}

static struct store_change put(const char *id, const char *value)
{
    return (struct store_change){.kind = STORE_PROVIDER, .op = STORE_PUT, .id = slice_str(id), .value = slice_str(value)};
}

/* Commit number `commits + 1` enters the batch: three changes of which one tells its number. */
static bool commit(struct disk *d)
{
    char number[16], id[8], value[64], body[512];
    struct model *m = &after[commits + 1];
    unsigned k = commits + 1;
    struct store_change c[3];
    bool ok;

    *m = after[commits];
    snprintf(number, sizeof number, "%u", k);
    snprintf(id, sizeof id, "p%u", k % 5);
    snprintf(value, sizeof value, "value %u %.*s", k, (int)(k * 7 % 40), "........................................");
    c[0] = put("last", number);
    c[1] = put(id, value);
    c[2] = put("p2", "");
    c[2].op = STORE_DELETE;
    model_put(m, "last", number);
    model_put(m, id, value);
    if (k % 4 == 0)
        model_delete(m, "p2");
    must(record_body_size(c, 3) <= sizeof body);
    record_put_body(body, c, k % 4 == 0 ? 3 : 2);
    ok = disk_add(d, slice_make(body, record_body_size(c, k % 4 == 0 ? 3 : 2)), NOW + k);
    commits++;
    return ok;
}

/* The batch ends. What failed never was: the next commit takes the number. */
static bool sync_batch(struct disk *d, unsigned from)
{
    bool ok = disk_sync(d, NOW);

    if (ok)
        acked = commits;
    else
        commits = from;
    fake_disk_note((uint64_t)acked << 32 | commits);
    return ok;
}

static bool same(const struct model *m, const struct live *live, struct slice image)
{
    unsigned k = 0;

    for (uint32_t i = 0; i < live->n; i++) {
        struct store_change c;

        if (!live_change(live, image, i, &c) || c.kind != STORE_PROVIDER)
            continue;
        if (k == m->n || !slice_eq(c.id, slice_str(m->at[k].id)) || !slice_eq(c.value, slice_str(m->at[k].value)))
            return false;
        k++;
    }
    return k == m->n;
}

/* ---- A start on what is on the disk now. ---- */

struct start {
    enum disk_opened opened;
    struct disk d;
    struct live live;
    bool mend, key_fits;
    unsigned last; /* the commit whose state it is; COMMITS_MAX + 1: none */
};

static void start(struct start *s, bool salvage)
{
    uint8_t key[SEAL_KEY];

    live_init(&s->live, 1);
    s->opened = disk_open(&s->d, dir, salvage, &s->live, &s->mend);
    s->last = COMMITS_MAX + 1;
    s->key_fits = s->opened == DISK_OPENED && master_find(&s->d, &s->live, NULL, key) && master_has_check(&s->d, &s->live);
    for (unsigned k = 0; s->opened == DISK_OPENED && k <= commits; k++)
        if (same(&after[k], &s->live, disk_image(&s->d)))
            s->last = k;
}

static void stop(struct start *s)
{
    live_free(&s->live);
    disk_close(&s->d);
}

/* As store_open does it. */
static bool begin(struct start *s)
{
    uint8_t key[SEAL_KEY];
    char body[MASTER_CHECK];
    size_t n;

    start(s, false);
    if (s->opened == DISK_REFUSED)
        return false;
    if (s->opened == DISK_OPENED)
        return !s->mend || disk_rewrite(&s->d, &s->live);
    return master_find(&s->d, NULL, NULL, key) && (n = master_check_body(key, body)) && disk_begin(&s->d, slice_make(body, n), NOW);
}

/* ---- Power failures. ---- */

struct journal {
    struct disk_event *event;
    size_t events;
};

/* Which of the writes that were not synced are there: all but `without`, or only `only`, the last one cut to `torn` bytes. */
struct choice {
    size_t names;        /* so many of the pending operations on names */
    ptrdiff_t without, only, torn;
    bool none;
};

static struct journal take_journal(void)
{
    struct journal j = {disk_world.event, disk_world.events};

    disk_world.event = NULL;
    disk_world.events = disk_world.cap = 0;
    return j;
}

static void drop_journal(struct journal *j)
{
    for (size_t i = 0; i < j->events; i++)
        bytes_drop(&j->event[i].bytes);
    free(j->event);
}

/* Whether event i of the first n was certainly on disk. */
static bool durable(const struct journal *j, size_t i, size_t n)
{
    const struct disk_event *e = &j->event[i];
    bool name = e->op == OP_CREATE || e->op == OP_RENAME || e->op == OP_LINK || e->op == OP_UNLINK;

    for (size_t k = i + 1; k < n; k++) {
        if (name && j->event[k].op == OP_SYNC_DIR)
            return true;
        if (!name && j->event[k].inode == e->inode) {
            if (j->event[k].op == OP_SYNC)
                return true;
            if (j->event[k].op == OP_SYNC_FAILED)
                return false; /* and no later sync makes it so */
        }
    }
    return false;
}

static bool is_write(const struct disk_event *e)
{
    return e->op == OP_WRITE || e->op == OP_TRUNCATE;
}

static size_t pending(const struct journal *j, size_t n, size_t *names, size_t *last_len)
{
    size_t writes = 0;

    *names = *last_len = 0;
    for (size_t i = 0; i < n; i++) {
        const struct disk_event *e = &j->event[i];

        if (e->op == OP_NOTE || e->op == OP_SYNC || e->op == OP_SYNC_DIR || e->op == OP_SYNC_FAILED || durable(j, i, n))
            continue;
        if (is_write(e)) {
            writes++;
            *last_len = bytes_len(&e->bytes);
        } else {
            ++*names;
        }
    }
    return writes;
}

/* The disk as a failure after n events leaves it. */
static void after_failure(const struct journal *j, size_t n, const struct choice *c)
{
    static struct bytes inode[DISK_INODES];
    struct disk_file file[DISK_NAMES];
    size_t files = 0, name_no = 0, writes, names, len;
    ptrdiff_t write_no = 0;

    writes = pending(j, n, &names, &len);
    for (size_t i = 0; i < n; i++) {
        const struct disk_event *e = &j->event[i];
        const bool sure = durable(j, i, n);
        size_t k = 0, cut = bytes_len(&e->bytes);

        if (is_write(e)) {
            if (!sure) {
                ptrdiff_t no = write_no++;

                if (c->none || no == c->without || (c->only >= 0 && no != c->only))
                    continue;
                if (c->torn >= 0 && no == (ptrdiff_t)writes - 1)
                    cut = (size_t)c->torn;
            }
            if (e->op == OP_TRUNCATE) {
                if (bytes_len(&inode[e->inode]) > e->at)
                    inode[e->inode].n = (size_t)e->at;
                continue;
            }
            while (bytes_len(&inode[e->inode]) < e->at + cut)
                bytes_add(&inode[e->inode], "", 1);
            if (cut)
                memcpy(inode[e->inode].p + e->at, e->bytes.p, cut);
            continue;
        }
        if (e->op != OP_CREATE && e->op != OP_RENAME && e->op != OP_UNLINK && e->op != OP_LINK)
            continue;
        if (!sure && name_no++ >= c->names)
            continue;
        while (k < files && strcmp(file[k].name, e->name) != 0)
            k++;
        if (e->op == OP_CREATE || e->op == OP_LINK) {
            snprintf(file[k].name, sizeof file[k].name, "%s", e->name);
            file[k].inode = e->inode;
            files += k == files;
        } else if (k < files) {
            struct disk_file moved = file[k];

            file[k] = file[--files];
            if (e->op == OP_RENAME) {
                for (k = 0; k < files && strcmp(file[k].name, e->to) != 0; k++)
                    ;
                snprintf(file[k].name, sizeof file[k].name, "%s", e->to);
                file[k].inode = moved.inode;
                files += k == files;
            }
        }
    }
    fake_reset();
    for (size_t k = 0; k < files; k++)
        fake_disk_file(file[k].name, inode[file[k].inode].p, bytes_len(&inode[file[k].inode]));
    for (int i = 0; i < DISK_INODES; i++)
        bytes_drop(&inode[i]);
}

static unsigned tried;

static bool holds(const struct journal *j, size_t n, const struct choice *c, unsigned sure, unsigned most, const char *name)
{
    struct start s;
    bool ok;

    after_failure(j, n, c);
    start(&s, false);
    tried++;
    /* A deletion or a value put twice may make two prefixes alike, so the newest like it counts. */
    ok = s.opened == DISK_NEW ? sure == 0 : s.opened == DISK_OPENED && s.key_fits && s.last >= sure && s.last <= most;
    if (!ok)
        printf("FAIL %s: after %zu events, names %zu, without %td, only %td, torn %td, none %d: %s, commit %u of %u to %u %s\n", name, n, c->names,
               c->without, c->only, c->torn, c->none, s.opened == DISK_REFUSED ? "refused" : "opened", s.last, sure, most, s.d.why);
    stop(&s);
    return ok;
}

static void fail_everywhere(struct journal *j, const char *name)
{
    unsigned sure = 0, bad = 0;

    for (size_t n = 0; n <= j->events && bad < 10; n++) {
        size_t names, len, writes;
        unsigned most = commits;

        if (n && j->event[n - 1].op == OP_NOTE)
            sure = (unsigned)(j->event[n - 1].at >> 32);
        writes = pending(j, n, &names, &len);
        for (size_t k = 0; k <= names; k++) {
            struct choice c = {k, -1, -1, -1, true};

            bad += !holds(j, n, &c, sure, most, name);
            c.none = false;
            bad += !holds(j, n, &c, sure, most, name);
            for (c.torn = 0; writes && c.torn < (ptrdiff_t)len; c.torn++)
                bad += !holds(j, n, &c, sure, most, name);
            c.torn = -1;
            for (c.without = 0; writes > 1 && c.without < (ptrdiff_t)writes; c.without++)
                bad += !holds(j, n, &c, sure, most, name);
            c.without = -1;
            for (c.only = 0; writes > 1 && c.only < (ptrdiff_t)writes; c.only++)
                bad += !holds(j, n, &c, sure, most, name);
        }
    }
    CHECK(bad == 0);
}

static void forget(void)
{
    fake_reset();
    commits = acked = 0;
    memset(after, 0, sizeof after);
}

/* ---- Runs. ---- */

static void run_batches(struct disk *d, unsigned batches)
{
    for (unsigned b = 0; b < batches; b++) {
        unsigned from = commits;

        for (unsigned k = 0; k <= b % 3; k++)
            CHECK(commit(d));
        sync_batch(d, from);
    }
}

static void power_failures(void)
{
    struct journal j;
    struct start s;

    check_case("batches");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 6);
    CHECK_INT(acked, 12);
    stop(&s);
    j = take_journal();
    fail_everywhere(&j, check_name);
    drop_journal(&j);

    check_case("compaction between batches");
    forget();
    CHECK(begin(&s));
    for (int i = 0; i < 4; i++) {
        run_batches(&s.d, 2);
        s.d.compact_at = 1;
    }
    CHECK(s.d.compactions >= 3);
    CHECK_INT(acked, 12);
    stop(&s);
    j = take_journal();
    fail_everywhere(&j, check_name);
    drop_journal(&j);

    check_case("a failed sync");
    for (unsigned nth = 1; nth < 5; nth++) {
        forget();
        CHECK(begin(&s));
        disk_world.fail.fsync = nth;
        run_batches(&s.d, 5);
        CHECK_INT(acked, 9); /* the new file took the batch along */
        CHECK(s.d.trusted);
        stop(&s);
        j = take_journal();
        fail_everywhere(&j, check_name);
        drop_journal(&j);
    }

    check_case("a full disk, and room again");
    for (uint64_t room = 0; room < 260; room += 13) {
        forget();
        CHECK(begin(&s));
        run_batches(&s.d, 2);
        disk_world.room = room;
        run_batches(&s.d, 2);
        disk_world.room = UINT64_MAX;
        run_batches(&s.d, 3);
        CHECK(acked == commits && acked >= 6 + 3);
        stop(&s);
        j = take_journal();
        fail_everywhere(&j, check_name);
        drop_journal(&j);
    }

    check_case("nothing works any more after the sync failed, then everything does");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 2);
    disk_world.fail.fsync = 1;
    disk_world.fail.from_then_on = true;
    run_batches(&s.d, 2);
    CHECK_INT(acked, 3);
    CHECK(!s.d.trusted);
    disk_world.fail.fsync = 0;
    run_batches(&s.d, 2);
    CHECK_INT(acked, 6);
    stop(&s);
    j = take_journal();
    fail_everywhere(&j, check_name);
    drop_journal(&j);

    check_case("another start");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 3);
    stop(&s);
    CHECK(begin(&s));
    CHECK_INT(s.last, 6);
    run_batches(&s.d, 3);
    stop(&s);
    CHECK(begin(&s));
    CHECK_INT(s.last, 12);
    stop(&s);
    j = take_journal();
    fail_everywhere(&j, check_name);
    drop_journal(&j);
}

/* A torn log is opened, mended, and used; then torn again. */
static void torn_then_used(void)
{
    struct start s;
    uint8_t key[SEAL_KEY], other[SEAL_KEY] = {1};

    check_case("torn, mended, used");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 3);
    CHECK(commit(&s.d));
    CHECK(sys_pwrite(s.d.fd, s.d.image + s.d.kept, s.d.n - s.d.kept - 3, s.d.kept) > 0); /* and no more */
    commits--;
    stop(&s);
    CHECK(begin(&s));
    CHECK(s.mend && s.d.why[0]);
    CHECK_INT(s.last, 6);
    run_batches(&s.d, 3);
    stop(&s);
    start(&s, false);
    CHECK_INT(s.last, 12);
    CHECK(!s.mend && s.d.why[0] == '\0');

    check_case("torn, and mended by the first commit only");
    CHECK(commit(&s.d));
    CHECK(sys_pwrite(s.d.fd, s.d.image + s.d.kept, s.d.n - s.d.kept - 3, s.d.kept) > 0);
    commits--;
    stop(&s);
    start(&s, false);
    CHECK(s.mend && s.key_fits);
    disk_world.room = 100;
    CHECK(!disk_rewrite(&s.d, &s.live)); /* as a start without room does */
    CHECK(commit(&s.d) && !sync_batch(&s.d, commits - 1));
    disk_world.room = UINT64_MAX;
    run_batches(&s.d, 2);
    stop(&s);
    start(&s, false);
    CHECK_INT(s.last, 15);
    CHECK(!s.mend && s.key_fits);

    check_case("torn, then another master key");
    CHECK(commit(&s.d));
    CHECK(sys_pwrite(s.d.fd, s.d.image + s.d.kept, s.d.n - s.d.kept - 3, s.d.kept) > 0);
    commits--;
    stop(&s);
    start(&s, false);
    CHECK(s.mend && master_find(&s.d, &s.live, NULL, key));
    CHECK(master_change(&s.d, &s.live, key, other, NOW));
    stop(&s);
    start(&s, false);
    CHECK_INT(s.last, 15);
    CHECK(!s.mend && master_find(&s.d, &s.live, other, key));
    stop(&s);
}

/* ---- Failing calls (L-09, L-10, L-15). ---- */

static void failing_calls(void)
{
    struct start s;

    check_case("a write fails");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 2);
    disk_world.fail.write = 1;
    CHECK(commit(&s.d) && !sync_batch(&s.d, commits - 1));
    CHECK_INT(s.d.error, EIO);
    CHECK(strstr(s.d.why, "can't be written") != NULL);
    CHECK(s.d.trusted);
    CHECK_INT(bytes_len(fake_disk_content("weir.log")), s.d.kept);
    run_batches(&s.d, 2);
    CHECK_INT(acked, 6);
    stop(&s);

    check_case("a write fails and what it wrote can't be cut off");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 2);
    disk_world.room = 10;
    disk_world.fail.truncate = 1;
    CHECK(commit(&s.d) && !sync_batch(&s.d, commits - 1));
    CHECK(!s.d.trusted);
    CHECK(commit(&s.d) && !sync_batch(&s.d, commits - 1)); /* no room for a new file either */
    CHECK_INT(s.d.error, ENOSPC);
    disk_world.room = UINT64_MAX;
    run_batches(&s.d, 2);
    CHECK(s.d.trusted);
    stop(&s);
    start(&s, false);
    CHECK_INT(s.last, 6);
    CHECK(!s.mend);
    stop(&s);

    check_case("rename fails");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 2);
    disk_world.fail.fsync = 1;
    disk_world.fail.rename = 1;
    CHECK(commit(&s.d) && !sync_batch(&s.d, commits - 1));
    CHECK_INT(s.d.error, EXDEV);
    CHECK(fake_disk_content("weir.log.new") == NULL);
    run_batches(&s.d, 2);
    CHECK_INT(acked, 6);
    stop(&s);

    check_case("compaction fails: the old file goes on");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 2);
    for (int i = 0; i < 3; i++) {
        s.d.compact_at = 1;
        disk_world.fail.rename = i == 0;
        disk_world.fail.open = i == 1;
        disk_world.fail.fsync = i == 2 ? 2 : 0;
        run_batches(&s.d, 2);
        CHECK_INT(acked, 3 + 3 * (i + 1));
        CHECK(s.d.trusted && s.d.compactions == 0);
        CHECK(s.d.compact_at > s.d.n);
    }
    stop(&s);

    check_case("a first start without room");
    forget();
    disk_world.room = 100;
    CHECK(!begin(&s));
    stop(&s);
    CHECK(fake_disk_content("weir.log") == NULL);
    disk_world.room = UINT64_MAX;
    CHECK(begin(&s));
    stop(&s);
}

/* ---- Every flipped bit (L-13). ---- */

static void flipped_bits(void)
{
    struct start s;
    size_t n, cut = 0, refused = 0, harmless = 0;
    char *good, *bad;
    struct bytes key = {0};

    check_case("a flipped bit");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 9);
    stop(&s);
    n = bytes_len(fake_disk_content("weir.log"));
    good = malloc(n);
    bad = malloc(n);
    must(good && bad);
    memcpy(good, fake_disk_content("weir.log")->p, n);
    bytes_add(&key, fake_disk_content("master.key")->p, bytes_len(fake_disk_content("master.key")));
    for (size_t i = 0; i < n * 8; i++) {
        memcpy(bad, good, n);
        bad[i / 8] = (char)(bad[i / 8] ^ 1 << i % 8);
        fake_reset();
        fake_disk_file("weir.log", bad, n);
        fake_disk_file("master.key", key.p, bytes_len(&key));
        start(&s, false);
        if (s.opened == DISK_REFUSED && s.d.why[0])
            refused++;
        else if (s.opened == DISK_OPENED && s.last == commits && s.mend && s.d.why[0])
            harmless++; /* in the mark behind the last batch: told, and nothing lost */
        else
            cut++;
        CHECK(memcmp(fake_disk_content("weir.log")->p, bad, n) == 0); /* a look changes nothing */
        stop(&s);
    }
    CHECK_INT(cut, 0);
    CHECK_INT(harmless, 38 * 8);
    CHECK_INT(refused, (n - 38) * 8);
    printf("%zu bits of %zu bytes\n", n * 8, n);

    check_case("salvage keeps all but the damaged record");
    memcpy(bad, good, n);
    bad[n / 2] ^= 1;
    fake_reset();
    fake_disk_file("weir.log", bad, n);
    fake_disk_file("master.key", key.p, bytes_len(&key));
    start(&s, true);
    CHECK_INT(s.opened, DISK_OPENED);
    CHECK(s.mend && strstr(s.d.why, "could not be saved"));
    CHECK(disk_put_aside(&s.d, NOW) && disk_rewrite(&s.d, &s.live));
    stop(&s);
    CHECK_SLICE(slice_make(fake_disk_content("weir.log.damaged-1000")->p, n), slice_make(bad, n));
    start(&s, false);
    CHECK_INT(s.opened, DISK_OPENED);
    CHECK(s.key_fits && !s.mend);
    for (uint32_t i = 0, last = 0; i < s.live.n; i++) {
        struct store_change c;

        if (live_change(&s.live, disk_image(&s.d), i, &c) && slice_eq(c.id, SLICE("last")))
            CHECK(slice_eq(c.value, SLICE("18")) && !last++);
    }
    stop(&s);
    free(good);
    free(bad);
    bytes_drop(&key);
}

/* ---- Files that are not as they should be (L-14, L-16, L-18). ---- */

static void odd_files(void)
{
    static const struct {
        const char *name;
        int cut;             /* bytes kept; -1: all */
        int byte, value;     /* one changed; -1: none */
        bool fix;            /* the head's CRC is made to fit again */
        const char *why;
    } table[] = {
        {"empty", 0, -1, 0, false, "is empty"},
        {"one byte", 1, -1, 0, false, "cut off within its first"},
        {"half a head", 20, -1, 0, false, "cut off within its first"},
        {"a head alone", 36, -1, 0, false, "damaged at offset 36"},
        {"within the snapshot", 60, -1, 0, false, "damaged at offset 36"},
        {"another file", -1, 0, 'x', false, "not a log of weir's"},
        {"newer", -1, 8, 2, true, "newer version"},
        {"much newer", -1, 11, 1, true, "newer version"},
        {"version 0", -1, 8, 0, true, "does not know"},
        {"a damaged version", -1, 8, 2, false, "damaged in its first bytes"},
        {"a damaged salt", -1, 20, 1, false, "damaged in its first bytes"},
    };
    struct start s;
    char log[4096], key[128];
    size_t n, key_n;

    check_case("odd files");
    forget();
    CHECK(begin(&s));
    run_batches(&s.d, 1);
    stop(&s);
    n = bytes_len(fake_disk_content("weir.log"));
    key_n = bytes_len(fake_disk_content("master.key"));
    must(n < sizeof log && key_n < sizeof key);
    memcpy(log, fake_disk_content("weir.log")->p, n);
    memcpy(key, fake_disk_content("master.key")->p, key_n);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char odd[4096];
        size_t odd_n = table[i].cut < 0 ? n : (size_t)table[i].cut;

        check_case(table[i].name);
        memcpy(odd, log, n);
        if (table[i].byte >= 0)
            odd[table[i].byte] = (char)table[i].value;
        if (table[i].fix) {
            uint32_t crc = record_crc(0, odd, 32);

            for (int k = 0; k < 4; k++)
                odd[32 + k] = (char)(crc >> 8 * k);
        }
        for (int salvage = 0; salvage < 2; salvage++) {
            fake_reset();
            fake_disk_file("weir.log", odd, odd_n);
            fake_disk_file("master.key", key, key_n);
            start(&s, salvage);
            if (!salvage || table[i].byte >= 0 || odd_n < 36) {
                CHECK_INT(s.opened, DISK_REFUSED);
                CHECK(strstr(s.d.why, table[i].why) != NULL);
            }
            stop(&s);
            CHECK_INT(disk_world.events, salvage ? disk_world.events : 1); /* the lock; nothing else was written */
            CHECK_INT(bytes_len(fake_disk_content("weir.log")), odd_n);
        }
    }

    check_case("who owns it, and who may read it");
    for (int i = 0; i < 8; i++) {
        static const char *const why[] = {"mode must be 0600", "mode must be 0600", "belongs to another user", "hard link", "symbolic link",
                                          "not a regular file", "can be written by others", "in use by another"};

        fake_reset();
        fake_disk_file("weir.log", log, n);
        fake_disk_file("master.key", key, key_n);
        disk_world.mode = i == 0 ? 0644 : i == 1 ? 0620 : 0600;
        disk_world.foreign = i == 2;
        disk_world.links = i == 3 ? 2 : 1;
        disk_world.symlink = i == 4;
        disk_world.not_a_file = i == 5;
        disk_world.dir_mode = i == 6 ? 0777 : 0700;
        disk_world.locked = i == 7;
        start(&s, false);
        CHECK_INT(s.opened, DISK_REFUSED);
        CHECK(strstr(s.d.why, why[i]) != NULL);
        stop(&s);
    }

    check_case("a directory that can't be written");
    fake_reset();
    fake_disk_file("weir.log", log, n);
    fake_disk_file("master.key", key, key_n);
    disk_world.read_only = true;
    start(&s, false);
    CHECK_INT(s.opened, DISK_OPENED);
    CHECK(s.d.read_only && s.key_fits && s.last == 1 && s.d.why[0]);
    stop(&s);
    fake_reset();
    disk_world.no_dir = true;
    start(&s, false);
    CHECK_INT(s.opened, DISK_NEW);
    CHECK(s.d.read_only && s.d.why[0]);
    stop(&s);

    check_case("a read that fails");
    fake_reset();
    fake_disk_file("weir.log", log, n);
    disk_world.fail.read = 1;
    start(&s, false);
    CHECK_INT(s.opened, DISK_REFUSED);
    stop(&s);

    check_case("the wrong master key");
    fake_reset();
    key[0] = key[0] == '0' ? '1' : '0';
    fake_disk_file("weir.log", log, n);
    fake_disk_file("master.key", key, key_n);
    start(&s, false);
    CHECK(!s.key_fits && strstr(s.d.why, "nothing was changed"));
    stop(&s);
    fake_reset();
    fake_disk_file("weir.log", log, n);
    start(&s, false);
    CHECK(!s.key_fits && strstr(s.d.why, "master.key is missing"));
    stop(&s);
}

/* ---- Another master key, with a failure at every step. ---- */

static void rekeying(void)
{
    char sealed[64], body[512];
    struct store_change c = put("aigpk_1", "text");
    struct start s;
    uint8_t key[SEAL_KEY];
    struct journal j;
    size_t from;

    check_case("rekey");
    forget();
    CHECK(begin(&s));
    CHECK(master_find(&s.d, NULL, NULL, key));
    CHECK(seal_close(key, STORE_PROVIDER, c.id, SLICE("sk-secret"), sealed));
    c.secret = slice_make(sealed, 9 + SEAL_EXTRA);
    record_put_body(body, &c, 1);
    CHECK(disk_add(&s.d, slice_make(body, record_body_size(&c, 1)), NOW) && disk_sync(&s.d, NOW));
    stop(&s);
    start(&s, false);
    CHECK(s.key_fits && master_find(&s.d, &s.live, NULL, key));
    from = disk_world.events;
    CHECK(master_change(&s.d, &s.live, key, NULL, NOW));
    stop(&s);
    j = take_journal();
    for (size_t n = from; n <= j.events; n++) {
        size_t names, len;

        (void)pending(&j, n, &names, &len);
        for (size_t k = 0; k <= names; k++)
            for (int all = 0; all < 2; all++) {
                struct choice choice = {k, -1, -1, -1, !all};
                struct store_change got;
                char open[16];
                uint8_t now[SEAL_KEY];
                unsigned found = 0;

                after_failure(&j, n, &choice);
                start(&s, false);
                if (!CHECK(s.key_fits && master_find(&s.d, &s.live, NULL, now)))
                    printf("     after %zu of %zu events, %zu names: %s\n", n, j.events, k, s.d.why);
                for (uint32_t i = 0; i < s.live.n; i++)
                    if (live_change(&s.live, disk_image(&s.d), i, &got) && got.kind == STORE_PROVIDER)
                        found += seal_open(now, STORE_PROVIDER, got.id, got.secret, open) && memcmp(open, "sk-secret", 9) == 0;
                CHECK_INT(found, 1);
                if (n == j.events && k == names)
                    CHECK(memcmp(now, key, sizeof now) != 0);
                stop(&s);
            }
    }
    drop_journal(&j);
}

int main(void)
{
    power_failures();
    torn_then_used();
    failing_calls();
    flipped_bits();
    odd_files();
    rekeying();
    printf("%u power failures\n", tried);
    fake_reset();
    return check_end();
}
