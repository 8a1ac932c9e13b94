/* See fake_disk.h. */
#include "fake_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fake_disk disk_world;

static struct {
    bool used, dir, lock;
    int inode;
    size_t at;
} open_file[DISK_FDS];

#define D disk_world

void fake_pair_drop(void)
{
    if (D.pair_open) {
        bytes_drop(&D.pair.wire);
        bytes_drop(&D.pair.got);
        free(D.pair.stamp);
    }
    D.pair_open = false;
}

void fake_disk_reset(void)
{
    for (int i = 0; i < D.inodes; i++)
        bytes_drop(&D.inode[i]);
    for (size_t i = 0; i < D.events; i++)
        bytes_drop(&D.event[i].bytes);
    free(D.event);
    fake_pair_drop();
    D = (struct fake_disk){.room = UINT64_MAX, .mode = 0600, .dir_mode = 0700, .links = 1};
    memset(open_file, 0, sizeof open_file);
}

/* ---- Journal ---- */

static struct disk_event *record(enum disk_op op, int inode)
{
    if (D.events == D.cap) {
        D.cap = D.cap * 2 + 64;
        D.event = realloc(D.event, D.cap * sizeof *D.event);
        if (!D.event)
            abort();
    }
    D.event[D.events] = (struct disk_event){.op = op, .inode = inode};
    return &D.event[D.events++];
}

void fake_disk_note(uint64_t what)
{
    record(OP_NOTE, 0)->at = what;
}

static bool due(unsigned *countdown, int usual)
{
    if (*countdown == 0 || --*countdown > 0)
        return false;
    if (D.fail.from_then_on)
        *countdown = 1;
    errno = D.fail.error ? D.fail.error : usual;
    return true;
}

/* ---- Names ---- */

static int find(const char *name)
{
    for (int i = 0; i < D.files; i++)
        if (strcmp(D.file[i].name, name) == 0)
            return i;
    return -1;
}

static int make(const char *name)
{
    if (D.files == DISK_NAMES || D.inodes == DISK_INODES)
        abort();
    strncpy(D.file[D.files].name, name, sizeof D.file[0].name - 1);
    D.file[D.files].inode = D.inodes++;
    return D.files++;
}

void fake_disk_file(const char *name, const void *p, size_t n)
{
    int i = find(name) < 0 ? make(name) : find(name);
    struct bytes *b = &D.inode[D.file[i].inode];

    bytes_skip(b, bytes_len(b));
    bytes_add(b, p, n);
}

const struct bytes *fake_disk_content(const char *name)
{
    int i = find(name);

    return i < 0 ? NULL : &D.inode[D.file[i].inode];
}

/* ---- Calls ---- */

static int take_fd(int inode, bool dir, bool lock)
{
    for (int i = 0; i < DISK_FDS; i++)
        if (!open_file[i].used) {
            open_file[i].used = true;
            open_file[i].dir = dir;
            open_file[i].lock = lock;
            open_file[i].inode = inode;
            open_file[i].at = 0;
            return DISK_FD + i;
        }
    errno = EMFILE;
    return -1;
}

bool fake_disk_owns(int fd)
{
    return fd >= DISK_FD && fd < DISK_FD + DISK_FDS && open_file[fd - DISK_FD].used;
}

int fake_disk_close(int fd)
{
    open_file[fd - DISK_FD].used = false;
    return 0;
}

int sys_dir_make(const char *path)
{
    (void)path;
    errno = EROFS;
    return D.no_dir ? -1 : 0;
}

int sys_dir_open(const char *path)
{
    (void)path;
    errno = ENOENT;
    return D.no_dir ? -1 : take_fd(-1, true, false);
}

int sys_open_at(int dir, const char *name, enum sys_open how)
{
    int i = find(name);

    (void)dir;
    if (due(&D.fail.open, EMFILE))
        return -1;
    if (D.symlink && i >= 0 && strcmp(name, "weir.log") == 0)
        return errno = ELOOP, -1;
    if (D.read_only && how != SYS_OPEN_READ)
        return errno = EROFS, -1;
    if (how == SYS_OPEN_NEW ? i >= 0 : how != SYS_OPEN_LOCK && i < 0)
        return errno = i < 0 ? ENOENT : EEXIST, -1;
    if (i < 0) {
        i = make(name);
        strncpy(record(OP_CREATE, D.file[i].inode)->name, name, 39);
    }
    return take_fd(D.file[i].inode, false, how == SYS_OPEN_LOCK);
}

int sys_info(int fd, struct sys_info *out)
{
    bool dir = open_file[fd - DISK_FD].dir;

    *out = (struct sys_info){.size = dir ? 0 : (int64_t)bytes_len(&D.inode[open_file[fd - DISK_FD].inode]),
                             .mode = dir ? D.dir_mode : open_file[fd - DISK_FD].lock ? 0600 : D.mode,
                             .links = open_file[fd - DISK_FD].lock ? 1 : D.links, .dir = dir,
                             .file = !dir && (!D.not_a_file || open_file[fd - DISK_FD].lock), .mine = !D.foreign};
    return 0;
}

ssize_t fake_disk_read(int fd, void *buf, size_t cap)
{
    struct bytes *b = &D.inode[open_file[fd - DISK_FD].inode];
    size_t *at = &open_file[fd - DISK_FD].at, n = bytes_len(b) - *at;

    if (due(&D.fail.read, EIO))
        return -1;
    n = n < cap ? n : cap;
    if (n)
        memcpy(buf, b->p + b->off + *at, n);
    *at += n;
    return (ssize_t)n;
}

static void put(struct bytes *b, const void *p, size_t n, size_t at)
{
    static const char zero[4096];

    while (bytes_len(b) < at + n) {
        size_t more = at + n - bytes_len(b);

        bytes_add(b, zero, more < sizeof zero ? more : sizeof zero);
    }
    if (n)
        memcpy(b->p + b->off + at, p, n);
}

ssize_t sys_pwrite(int fd, const void *buf, size_t n, uint64_t at)
{
    struct bytes *b = &D.inode[open_file[fd - DISK_FD].inode];
    struct disk_event *e;

    if (due(&D.fail.write, EIO))
        return -1;
    if (D.room == 0)
        return errno = ENOSPC, -1;
    n = n < D.room ? n : (size_t)D.room;
    if (D.room != UINT64_MAX)
        D.room -= n;
    put(b, buf, n, (size_t)at);
    e = record(OP_WRITE, open_file[fd - DISK_FD].inode);
    e->at = at;
    bytes_add(&e->bytes, buf, n);
    return (ssize_t)n;
}

int sys_truncate(int fd, uint64_t size)
{
    struct bytes *b = &D.inode[open_file[fd - DISK_FD].inode];

    if (due(&D.fail.truncate, EIO))
        return -1;
    b->n = b->off + (size_t)size;
    record(OP_TRUNCATE, open_file[fd - DISK_FD].inode)->at = size;
    return 0;
}

int sys_fsync(int fd)
{
    bool dir = open_file[fd - DISK_FD].dir;

    D.fsyncs++;
    if (due(&D.fail.fsync, EIO)) {
        if (!dir)
            record(OP_SYNC_FAILED, open_file[fd - DISK_FD].inode);
        return -1;
    }
    record(dir ? OP_SYNC_DIR : OP_SYNC, dir ? 0 : open_file[fd - DISK_FD].inode);
    return 0;
}

int sys_rename_at(int dir, const char *from, const char *to)
{
    int i = find(from), k = find(to);
    struct disk_event *e;

    (void)dir;
    if (due(&D.fail.rename, EXDEV))
        return -1;
    if (i < 0)
        return errno = ENOENT, -1;
    if (k >= 0)
        D.file[k].inode = D.file[i].inode;
    else
        strncpy(D.file[i].name, to, 39);
    if (k >= 0)
        D.file[i] = D.file[--D.files];
    e = record(OP_RENAME, 0);
    strncpy(e->name, from, 39);
    strncpy(e->to, to, 39);
    return 0;
}

int sys_link_at(int dir, const char *from, const char *to)
{
    int i = find(from);
    struct disk_event *e;

    (void)dir;
    if (i < 0 || find(to) >= 0)
        return errno = i < 0 ? ENOENT : EEXIST, -1;
    strncpy(D.file[D.files].name, to, 39);
    D.file[D.files++].inode = D.file[i].inode;
    e = record(OP_LINK, D.file[i].inode);
    strncpy(e->name, to, 39);
    return 0;
}

int sys_unlink_at(int dir, const char *name)
{
    int i = find(name);

    (void)dir;
    if (i < 0)
        return errno = ENOENT, -1;
    D.file[i] = D.file[--D.files];
    strncpy(record(OP_UNLINK, 0)->name, name, 39);
    return 0;
}

int sys_lock(int fd)
{
    (void)fd;
    errno = EWOULDBLOCK;
    D.held = !D.locked;
    return D.locked ? -1 : 0;
}

int sys_unlock(int fd)
{
    (void)fd;
    D.held = false;
    return 0;
}

int sys_dup(int fd)
{
    return take_fd(open_file[fd - DISK_FD].inode, open_file[fd - DISK_FD].dir, open_file[fd - DISK_FD].lock);
}

/* ---- The helper ---- */

int sys_helper(void (*run)(void *), void (*let_go)(void *), void *arg, const int *hers, int nhers)
{
    (void)let_go;
    (void)hers; /* stay open: parent and child are one process here */
    (void)nhers;
    D.helper = run;
    D.helper_arg = arg;
    D.helper_dead = false;
    return 1;
}

void fake_helper_run(void)
{
    if (D.helper && !D.helper_dead)
        D.helper(D.helper_arg);
}

void fake_helper_kill(void)
{
    D.helper_dead = true;
    fake_deliver_fin(&D.pair);
}

ssize_t fake_pair_recv(void *buf, size_t cap)
{
    struct peer *p = &D.pair;
    size_t had = bytes_len(&p->got), n;

    if (!had)
        fake_take(p, SIZE_MAX);
    n = bytes_len(&p->got) < cap ? bytes_len(&p->got) : cap;
    if (n) {
        memcpy(buf, p->got.p + p->got.off, n);
        bytes_skip(&p->got, n);
        return (ssize_t)n;
    }
    if (p->gate_fin || !p->sock)
        return 0;
    return errno = EAGAIN, -1;
}

ssize_t fake_pair_send(const void *buf, size_t n)
{
    if (!D.pair.sock)
        return errno = EPIPE, -1;
    fake_deliver(&D.pair, buf, n);
    return (ssize_t)n;
}

bool sys_reap(int child)
{
    (void)child;
    return D.helper_dead;
}

/* Who waits for a descriptor waits for the helper; who sleeps lets time pass. */
int sys_wait(int fd, unsigned events, int timeout_ms)
{
    struct sock *s = fd == -1 ? NULL : fake_sock(fd);

    if (s) {
        fake_helper_run();
        if (D.pair.gate_fin && !D.helper_dead)
            fake_helper_kill(); /* it ends when the parent's end has closed */
        if (bytes_len(&s->in) || s->in_fin || (events & SYS_OUT && D.pair.sock && !D.helper_dead))
            return 1;
    }
    fake.now_ms += timeout_ms;
    return 0;
}

void sys_conceal(void *p, size_t size)
{
    (void)p;
    (void)size;
}

void sys_no_dumps(void)
{
}
