/* See disk.h. Invariants: the file named weir.log is always a whole one (it gets its name only when synced), and what was ever reported
 * durable is in it. `trusted` is given up whenever the kernel's word on the file can't be relied on; the way back is a new file. */
#include "state/disk.h"

#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"

static const char log_name[] = "weir.log", new_name[] = "weir.log.new", lock_name[] = "weir.lock", small_new[] = "weir.tmp";

/* ---- Telling. ---- */

static bool fail(struct disk *d, const char *what)
{
    d->error = errno;
    d->failed = what;
    text_format(d->why, sizeof d->why, "%s: %s", what, strerror(d->error));
    return false;
}

static bool refuse(struct disk *d, const char *name, const char *what)
{
    text_format(d->why, sizeof d->why, "%s %s", name, what);
    return false;
}

/* ---- Whole files. ---- */

static bool write_all(int fd, const char *p, size_t n, size_t at)
{
    while (n) {
        ssize_t r = sys_pwrite(fd, p, n, at);

        if (r <= 0) {
            if (r == 0)
                errno = EIO;
            return false;
        }
        p += r;
        at += (size_t)r;
        n -= (size_t)r;
    }
    return true;
}

static bool read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t r = sys_read(fd, p, n);

        if (r <= 0) {
            if (r == 0)
                errno = EIO; /* it became shorter while we read */
            return false;
        }
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* A file with secrets in it: ours alone, and under one name. */
static bool check(struct disk *d, int fd, const char *name, int64_t *size)
{
    struct sys_info i;

    if (sys_info(fd, &i) == -1)
        return fail(d, "the state directory can't be read");
    *size = i.size;
    return !i.file ? refuse(d, name, "is not a regular file")
           : !i.mine ? refuse(d, name, "belongs to another user")
           : i.mode & 077 ? refuse(d, name, "can be read or written by others: its mode must be 0600 (chmod 600)")
           : i.links > 1 ? refuse(d, name, "has another name (a hard link)")
                         : true;
}

/* Under a temporary name, synced, then under its own, and the directory synced. fd: the open file, or closed when NULL. *named: it has
 * got its name, whatever happened after that. */
static bool put_file(struct disk *d, const char *temp, const char *name, struct slice text, int *out_fd, bool *named)
{
    int fd;

    *named = false;
    if (d->read_only) {
        errno = EROFS;
        return fail(d, "the state directory can't be written");
    }
    (void)sys_unlink_at(d->dir, temp);
    fd = sys_open_at(d->dir, temp, SYS_OPEN_NEW);
    if (fd == -1)
        return fail(d, "no file can be made in the state directory");
    if (!write_all(fd, text.p, text.n, 0))
        fail(d, "the state directory can't be written");
    else if (sys_fsync(fd) == -1)
        fail(d, "the disk did not confirm what was written");
    else if (sys_rename_at(d->dir, temp, name) == -1)
        fail(d, "the new state file can't be renamed");
    else if (*named = true, sys_fsync(d->dir) == -1)
        fail(d, "the disk did not confirm the new state file's name");
    else if (!out_fd)
        return sys_close(fd), true;
    else
        return *out_fd = fd, true;
    if (!*named)
        (void)sys_unlink_at(d->dir, temp);
    sys_close(fd);
    return false;
}

ptrdiff_t disk_read_small(struct disk *d, const char *name, char *out, size_t cap)
{
    int fd = sys_open_at(d->dir, name, SYS_OPEN_READ);
    ptrdiff_t n = -2;
    int64_t size;

    if (fd == -1 && errno == ENOENT)
        return -1;
    if (fd == -1)
        refuse(d, name, errno == ELOOP ? "is a symbolic link" : "can't be opened");
    else if (check(d, fd, name, &size)) {
        if (size > (int64_t)cap)
            refuse(d, name, "is too large");
        else if (!read_all(fd, out, (size_t)size))
            refuse(d, name, "can't be read");
        else
            n = (ptrdiff_t)size;
    }
    sys_close(fd);
    return n;
}

bool disk_write_small(struct disk *d, const char *name, struct slice text)
{
    bool named;

    return put_file(d, small_new, name, text, NULL, &named);
}

/* ---- Opening. ---- */

static void unwritable(struct disk *d, const char *what)
{
    d->read_only = true;
    fail(d, what);
}

static bool open_dir(struct disk *d, struct slice dir)
{
    struct sys_info i;
    int made = sys_dir_make(dir.p);

    if (made == -1 && errno != EROFS && errno != EACCES)
        return fail(d, "the state directory can't be made");
    d->dir = sys_dir_open(dir.p);
    if (d->dir == -1 && errno == ENOENT) { /* and it can't be made: nothing is stored, nothing will be */
        unwritable(d, "the state directory is not there and can't be made");
        return true;
    }
    if (d->dir == -1 || sys_info(d->dir, &i) == -1)
        return fail(d, "the state directory can't be opened");
    if (!i.mine)
        return refuse(d, "the state directory", "belongs to another user");
    if (i.mode & 022)
        return refuse(d, "the state directory", "can be written by others (chmod 700)");
    if (made == 1) { /* its own name shall last too; who may not read what is above it has to trust in that */
        int above = sys_open_at(d->dir, "..", SYS_OPEN_READ);

        if (above != -1)
            (void)sys_fsync(above);
        sys_close(above);
    }
    return true;
}

static bool lock_dir(struct disk *d)
{
    int64_t size;

    d->lock = sys_open_at(d->dir, lock_name, SYS_OPEN_LOCK);
    if (d->lock == -1 && errno == ELOOP)
        return refuse(d, lock_name, "is a symbolic link");
    if (d->lock == -1) {
        unwritable(d, "the state directory can't be written");
        d->lock = sys_open_at(d->dir, lock_name, SYS_OPEN_READ); /* may be there from better days */
        if (d->lock == -1)
            return true;
    }
    if (!check(d, d->lock, lock_name, &size))
        return false;
    for (int waited = 0; sys_lock(d->lock) == -1; waited += 20) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            if (!d->read_only)
                unwritable(d, "the state directory can't be locked"); /* without that nobody may write */
            return true;
        }
        if (waited >= DISK_LOCK_WAIT_MS)
            return refuse(d, "the state directory", "is in use by another weir process");
        sys_wait(-1, 0, 20);
    }
    return true;
}

/* All that is good. False: damage (or no memory), why says where. */
static bool take_in(struct disk *d, bool salvage, struct live *live, bool *mend)
{
    struct record_reader r;
    struct record rec;
    const char *wrong = record_open(&r, disk_image(d));
    uint64_t lost = 0, first = 0;

    if (wrong)
        return refuse(d, log_name, wrong);
    for (;;) {
        switch (record_next(&r, &rec)) {
        case RECORD_GOOD:
            if (!live_add(live, disk_image(d), &rec))
                return refuse(d, log_name, "does not fit into memory");
            continue;
        case RECORD_BAD:
            if (!salvage) {
                text_format(d->why, sizeof d->why,
                            "%s is damaged at offset %" PRIu64 " of %zu. Restore it from a backup, or start once with --salvage to keep what is "
                            "intact (the damaged file is kept too)",
                            log_name, r.at, d->n);
                return false;
            }
            if (!lost)
                first = r.at;
            *mend = true;
            rec.at = r.at;
            if (record_skip(&r)) {
                lost += r.at - rec.at;
                continue;
            }
            lost += d->n > rec.at ? d->n - rec.at : 1;
            break;
        case RECORD_TORN:
            *mend = true;
            text_format(d->why, sizeof d->why, "%s ended in an unfinished write: %zu bytes from offset %" PRIu64 " on, never confirmed, are dropped",
                        log_name, d->n - (size_t)r.at, r.at);
            d->n = d->kept = (size_t)r.at; /* the image ends there; the file does once it is written anew */
            break;
        case RECORD_END:
            break;
        }
        break;
    }
    if (lost)
        text_format(d->why, sizeof d->why, "%s was damaged: %" PRIu64 " bytes from offset %" PRIu64 " on could not be saved", log_name, lost, first);
    d->seq = d->kept_seq = r.seq;
    d->salt = r.salt;
    return true;
}

static bool read_log(struct disk *d, int fd)
{
    int64_t size;

    if (!check(d, fd, log_name, &size))
        return false;
    if (size > DISK_LOG_MAX)
        return refuse(d, log_name, "is larger than 1 GiB, which weir never makes it");
    d->cap = (size_t)size + DISK_COMPACT_MIN;
    d->image = mem_heap_take(d->cap);
    if (!d->image)
        return refuse(d, log_name, "does not fit into memory");
    if (!read_all(fd, d->image, (size_t)size))
        return fail(d, "weir.log can't be read");
    d->n = d->kept = (size_t)size;
    return true;
}

enum disk_opened disk_open(struct disk *d, struct slice dir, bool salvage, struct live *live, bool *mend)
{
    *d = (struct disk){.dir = -1, .lock = -1, .fd = -1};
    *mend = false;
    if (!open_dir(d, dir))
        return DISK_REFUSED;
    if (d->dir == -1)
        return DISK_NEW;
    if (!lock_dir(d))
        return DISK_REFUSED;
    d->fd = sys_open_at(d->dir, log_name, d->read_only ? SYS_OPEN_READ : SYS_OPEN_WRITE);
    if (d->fd == -1 && (errno == EROFS || errno == EACCES)) {
        unwritable(d, "weir.log can't be written");
        d->fd = sys_open_at(d->dir, log_name, SYS_OPEN_READ);
    }
    if (d->fd == -1 && errno == ENOENT)
        return DISK_NEW;
    if (d->fd == -1) {
        refuse(d, log_name, errno == ELOOP ? "is a symbolic link" : "can't be opened");
        return DISK_REFUSED;
    }
    if (!read_log(d, d->fd) || !take_in(d, salvage, live, mend))
        return DISK_REFUSED;
    d->synced = d->n;
    /* Who wrote the last of it may have been killed before the sync. What is served from here on has to stay, and records to come will
     * say that it does. */
    if (!d->read_only && sys_fsync(d->fd) == -1)
        *mend = true;
    d->trusted = !*mend;
    d->compact_at = d->n > DISK_COMPACT_MIN ? d->n : DISK_COMPACT_MIN;
    return DISK_OPENED;
}

void disk_close(struct disk *d)
{
    sys_close(d->fd);
    sys_close(d->lock);
    sys_close(d->dir);
    mem_heap_give(d->image);
    *d = (struct disk){.dir = -1, .lock = -1, .fd = -1};
}

bool disk_leave(struct disk *d)
{
    return sys_unlock(d->lock) == 0 || fail(d, "the state directory can't be let go of");
}

bool disk_return(struct disk *d)
{
    char head[RECORD_FILE_HEAD];
    struct sys_info i;
    int fd;
    bool same;

    if (sys_lock(d->lock) == -1)
        return fail(d, "the state directory can't be locked again");
    fd = sys_open_at(d->dir, log_name, SYS_OPEN_READ);
    if (fd == -1)
        return fail(d, "weir.log can't be opened again");
    same = sys_info(fd, &i) == 0 && i.size >= 0 && (uint64_t)i.size == d->n && read_all(fd, head, sizeof head) &&
           memcmp(head, d->image, sizeof head) == 0; /* a log written anew has another salt in its head */
    sys_close(fd);
    errno = ESTALE;
    return same || fail(d, "weir.log has been written by another process");
}

bool disk_put_aside(struct disk *d, int64_t now_ms)
{
    char name[64];

    text_format(name, sizeof name, "weir.log.damaged-%" PRIu64, (uint64_t)(now_ms / 1000));
    return sys_link_at(d->dir, log_name, name) == 0 || errno == EEXIST || fail(d, "the damaged log can't be put aside");
}

/* ---- A new file. ---- */

/* What takes the image's place if all goes well. */
struct copy {
    char *p;
    size_t n, cap;
    uint64_t salt, seq;
};

static bool copy_init(struct disk *d, struct copy *c, size_t content)
{
    *c = (struct copy){.n = RECORD_FILE_HEAD};
    c->cap = RECORD_FILE_HEAD + content;
    c->cap += c->cap < DISK_COMPACT_MIN ? DISK_COMPACT_MIN : c->cap;
    errno = ENOMEM;
    c->p = mem_heap_take(c->cap);
    if (!c->p)
        return fail(d, "the state does not fit into memory");
    if (sys_random(&c->salt, sizeof c->salt))
        return true;
    mem_heap_give(c->p);
    errno = EAGAIN;
    return fail(d, "the kernel gives no random numbers");
}

static bool exchange(struct disk *d, struct copy *c)
{
    int fd = -1;
    bool named;

    record_put_file_head(c->p, c->salt, c->n);
    if (!put_file(d, new_name, log_name, slice_make(c->p, c->n), &fd, &named)) {
        d->trusted &= !named; /* else fd is no longer the file of that name */
        mem_heap_give(c->p);
        return false;
    }
    sys_close(d->fd);
    mem_heap_give(d->image);
    d->fd = fd;
    d->image = c->p;
    d->cap = c->cap;
    d->n = d->kept = d->synced = c->n;
    d->seq = d->kept_seq = c->seq;
    d->salt = c->salt;
    d->trusted = true;
    d->compact_at = c->n * DISK_COMPACT_RATIO > DISK_COMPACT_MIN ? c->n * DISK_COMPACT_RATIO : DISK_COMPACT_MIN;
    return true;
}

bool disk_rewrite(struct disk *d, const struct live *live)
{
    struct store_change unused;
    struct copy c;
    size_t content = 0;

    for (uint32_t i = 0; i < live->n; i++)
        if (live_change(live, disk_image(d), i, &unused))
            content += RECORD_HEAD + 2 + live->entry[i].size;
    if (!copy_init(d, &c, content))
        return false;
    for (uint32_t i = 0; i < live->n; i++) {
        const struct live_entry *e = &live->entry[i];
        char *p = c.p + c.n;

        if (!live_change(live, disk_image(d), i, &unused))
            continue;
        p[RECORD_HEAD] = 1; /* one change, as it stands */
        p[RECORD_HEAD + 1] = 0;
        memcpy(p + RECORD_HEAD + 2, d->image + e->at, e->size);
        record_put_head(p, 2 + e->size, c.salt, ++c.seq, 0, e->time_ms);
        c.n += RECORD_HEAD + 2 + e->size;
    }
    return exchange(d, &c);
}

bool disk_begin(struct disk *d, struct slice body, int64_t now_ms)
{
    struct copy c;

    if (!copy_init(d, &c, RECORD_HEAD + body.n))
        return false;
    memcpy(c.p + c.n + RECORD_HEAD, body.p, body.n);
    record_put_head(c.p + c.n, body.n, c.salt, c.seq = 1, 0, now_ms);
    c.n += RECORD_HEAD + body.n;
    return exchange(d, &c);
}

static bool compact(struct disk *d, int64_t now_ms)
{
    struct record_reader r;
    struct record rec;
    struct live live;
    bool ok;

    /* The seed only guards the table; the salt is as unforeseeable as any. */
    live_init(&live, d->salt);
    must(record_open(&r, disk_image(d)) == NULL);
    errno = ENOMEM;
    ok = true;
    while (ok && record_next(&r, &rec) == RECORD_GOOD)
        ok = live_add(&live, disk_image(d), &rec);
    if (ok) {
        must(r.at == d->n);
        d->usage_gone += live_trim(&live, now_ms);
        ok = disk_rewrite(d, &live);
        d->compactions += ok;
    } else {
        fail(d, "the state does not fit into memory");
    }
    live_free(&live);
    return ok;
}

/* ---- Appending. ---- */

static bool room_for(struct disk *d, size_t more)
{
    size_t cap = d->cap * 2;
    char *p;

    if (d->n + more <= d->cap)
        return true;
    errno = EFBIG;
    if (d->n + more > DISK_LOG_MAX)
        return fail(d, "the state has reached 1 GiB");
    if (cap < d->n + more)
        cap = d->n + more;
    errno = ENOMEM;
    p = mem_heap_take(cap);
    if (!p)
        return fail(d, "the state does not fit into memory");
    memcpy(p, d->image, d->n);
    mem_heap_give(d->image);
    d->image = p;
    d->cap = cap;
    return true;
}

bool disk_add(struct disk *d, struct slice body, int64_t time_ms)
{
    if (!room_for(d, RECORD_HEAD + body.n))
        return false;
    memcpy(d->image + d->n + RECORD_HEAD, body.p, body.n);
    record_put_head(d->image + d->n, body.n, d->salt, ++d->seq, d->synced, time_ms);
    d->n += RECORD_HEAD + body.n;
    return true;
}

/* The part of the image that is not in the file yet. */
static bool append(struct disk *d)
{
    if (write_all(d->fd, d->image + d->kept, d->n - d->kept, d->kept))
        return true;
    fail(d, "weir.log can't be written");
    d->trusted = sys_truncate(d->fd, d->kept) == 0;
    return false;
}

static void take_back(struct disk *d)
{
    d->n = d->kept;
    d->seq = d->kept_seq;
}

/* Says on disk that all before it is durable: see record.h. Not synced; when it can't be written, nothing is lost. */
static void mark(struct disk *d, int64_t now_ms)
{
    if (disk_add(d, slice_make("\0", 2), now_ms) && append(d)) {
        d->kept = d->n;
        d->kept_seq = d->seq;
    } else {
        take_back(d);
    }
}

bool disk_sync(struct disk *d, int64_t now_ms)
{
    bool ok = false;

    if (d->trusted && append(d)) {
        ok = sys_fsync(d->fd) == 0;
        /* What a failed sync has dropped, the next one calls written. So this file is finished with, and the batch's last chance is a
         * new one. */
        d->trusted = ok || (fail(d, "the disk did not confirm what was written"), false);
        if (ok) {
            d->kept = d->synced = d->n;
            d->kept_seq = d->seq;
            mark(d, now_ms);
        } else {
            ok = compact(d, now_ms);
        }
    } else if (!d->trusted) {
        ok = compact(d, now_ms);
    }
    if (!ok) {
        take_back(d);
        return false;
    }
    if (d->n >= d->compact_at && !compact(d, now_ms))
        d->compact_at = d->n * DISK_COMPACT_RATIO; /* not with each batch from here on */
    return true;
}
