/* The part of the fake world that is a disk: one directory, files made of memory, a journal of everything that was asked of it. From the
 * journal any state that a power failure may leave behind can be made: what was synced is there, of the rest an arbitrary part. And the
 * pair of sockets between a process and its helper, which here is a function that the test calls. */
#ifndef TEST_FLOW_FAKE_DISK_H
#define TEST_FLOW_FAKE_DISK_H

#include "fake_sys.h"

enum { DISK_FD = 2000, DISK_FDS = 64, DISK_INODES = 256, DISK_NAMES = 16, PAIR_FD = 4000 };

enum disk_op { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_SYNC_FAILED, OP_CREATE, OP_RENAME, OP_LINK, OP_UNLINK, OP_SYNC_DIR, OP_NOTE };

struct disk_event {
    enum disk_op op;
    int inode;
    uint64_t at;         /* OP_WRITE: offset; OP_TRUNCATE: size; OP_NOTE: what the test wanted to remember */
    struct bytes bytes;  /* OP_WRITE */
    char name[40], to[40];
};

struct disk_file {
    char name[40];
    int inode;
};

struct fake_disk {
    struct bytes inode[DISK_INODES];
    int inodes;
    struct disk_file file[DISK_NAMES];
    int files;
    struct disk_event *event;
    size_t events, cap;
    /* faults: the nth call of a kind from now on (1: the next), 0: none */
    struct {
        unsigned write, fsync, rename, open, truncate, read;
        int error;
        bool from_then_on;
    } fail;
    uint64_t room;       /* bytes that may still be written; UINT64_MAX: no end */
    bool read_only, no_dir;
    unsigned mode, dir_mode, links; /* of what fstat says; 0600, 0700, 1 */
    bool foreign, symlink, not_a_file;
    bool locked;         /* by another process */
    bool held;           /* by ours */
    unsigned fsyncs;
    void (*helper)(void *);
    void *helper_arg;
    bool helper_dead;
    struct peer pair;    /* the helper's end */
    bool pair_open;
};
extern struct fake_disk disk_world;

/* Called by fake_reset(). */
void fake_disk_reset(void);
void fake_disk_file(const char *name, const void *p, size_t n); /* is there, as a file of long ago */
const struct bytes *fake_disk_content(const char *name);        /* NULL: no such file */
void fake_disk_note(uint64_t what);                             /* into the journal */
/* The helper does all it can now. */
void fake_helper_run(void);
void fake_helper_kill(void);

/* Called by fake_sys.c for descriptors of ours. */
bool fake_disk_owns(int fd);
ssize_t fake_disk_read(int fd, void *buf, size_t cap);
int fake_disk_close(int fd);
void fake_pair_drop(void); /* a pair of before, whose ends are closed */
ssize_t fake_pair_recv(void *buf, size_t cap);
ssize_t fake_pair_send(const void *buf, size_t n);

#endif
