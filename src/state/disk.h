/* The files under stateDir: weir.log, its lock, and how they change without ever being half-changed. Runs at start in the serving process
 * and from then on in the helper alone, so every call may wait for the disk.
 *
 * The whole log is held in memory too, byte for byte: what a failed sync did to the kernel's copy is then nobody's worry, because the
 * next file is written from here (LWN "PostgreSQL's fsync() surprise"; faults.md L-11). */
#ifndef STATE_DISK_H
#define STATE_DISK_H

#include "state/live.h"

enum {
    DISK_WHY = 512,
    DISK_COMPACT_RATIO = 2,       /* the log may grow to twice what it was compacted to: each byte is rewritten about once */
    DISK_COMPACT_MIN = 1 << 20,   /* and to this much in any case: not worth a rewrite */
    DISK_LOG_MAX = 1 << 30,       /* it is read whole at start; a larger one is not ours */
    DISK_LOCK_WAIT_MS = 3000,     /* a process that is just ending may still be syncing its last batch */
};

struct disk {
    int dir, lock, fd;            /* -1: none */
    char *image;
    size_t n, cap;
    size_t kept, synced;          /* of n: what stays when the batch under way fails; what is certainly durable */
    size_t compact_at;
    uint64_t salt, seq, kept_seq;
    bool trusted;                 /* what fd stands for is exactly image[0 .. kept) */
    bool read_only;
    uint64_t compactions, usage_gone;
    int error;                    /* of the last failure: errno and what was tried */
    const char *failed;
    char why[DISK_WHY];           /* the same and more for a person; a note on what was cut or dropped when disk_open() went well */
};

enum disk_opened { DISK_REFUSED, DISK_NEW, DISK_OPENED };

/* Opens, locks and reads. REFUSED: why says it. NEW: there is no log yet. read_only may be set with both others; why then says why
 * it can't be written. live is filled with what survives (of a damaged log: only with salvage); *mend is set when the file should be
 * rewritten before it is appended to. dir is NUL-terminated. */
enum disk_opened disk_open(struct disk *d, struct slice dir, bool salvage, struct live *live, bool *mend);
/* Writes what `live` holds of the image as a new file, and exchanges the two. False: the old one stays (image and file). */
bool disk_rewrite(struct disk *d, const struct live *live);
/* As the file's first content. */
bool disk_begin(struct disk *d, struct slice body, int64_t now_ms);
/* Keeps the damaged log under another name: weir.log.damaged-<time>. */
bool disk_put_aside(struct disk *d, int64_t now_ms);

/* Appends to the batch under way. False: no memory, or the log has reached DISK_LOG_MAX. */
bool disk_add(struct disk *d, struct slice body, int64_t time_ms);
/* Makes the batch durable: all of it, or false and none of it is kept. May compact afterwards. */
bool disk_sync(struct disk *d, int64_t now_ms);
/* What is image so far, for looking at changes. */
static inline struct slice disk_image(const struct disk *d)
{
    return slice_make(d->image, d->n);
}
void disk_close(struct disk *d);
/* Between batches: another process may have the directory, and takes its lock; take it back when the log is still as it was left. False:
 * error and failed say why. */
bool disk_leave(struct disk *d);
bool disk_return(struct disk *d);

/* Small files beside the log (master keys): whole content, same rules on owner and mode. -1: not there; -2: refused, why says it. */
ptrdiff_t disk_read_small(struct disk *d, const char *name, char *out, size_t cap);
/* Written, synced, then given its name (an existing one is replaced), durable when true. */
bool disk_write_small(struct disk *d, const char *name, struct slice text);

#endif
