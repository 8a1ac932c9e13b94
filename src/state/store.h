/* Durable state: what the admin plane made, usage and counters, in an append-only log under stateDir (spec 12).
 *
 * One per process. After store_open() all disk work happens in a helper process that was forked there; no call here waits for a
 * disk except store_close(). A change is durable when its `done` says so, and not before. Changes of one store_commit() become
 * durable together or not at all, and in the order of the calls.
 *
 * Three ways to run: durable; volatile (no directory: commits succeed in memory and are gone with the process); read-only (the
 * directory can't be written: what it holds is loaded, commits are refused with a reason). */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "base/slice.h"

enum store_kind {
    STORE_PROVIDER = 1,
    STORE_PROVIDER_KEY,
    STORE_CONFIGURATION,
    STORE_ACCESS_KEY,
    STORE_API_KEY,
    STORE_GATEWAY,
    STORE_USAGE,    /* appended, never replaced: the id is not looked at; the oldest go when there are too many */
    STORE_COUNTERS, /* replaced by id, as resources are */
    STORE_KINDS
};

enum store_op { STORE_PUT = 1, STORE_DELETE };

struct store_change {
    enum store_kind kind;
    enum store_op op;
    struct slice id;     /* unique within the kind; STORE_ID_MAX bytes at most */
    struct slice value;  /* the owner's own format, opaque here; a PUT replaces the whole of it */
    struct slice secret; /* encrypted at rest, bound to kind and id; empty: none. A PUT replaces it too: hand it in again to keep it */
};

enum {
    STORE_ID_MAX = 1024,          /* contract ids have 255 characters at most, counters may be named after two of them */
    STORE_CHANGES_MAX = 64,       /* one commit: a configuration with its keys has about ten */
    STORE_SECRET_MAX = 65536,     /* one secret: provider keys have some hundred bytes, service accounts some thousand */
    STORE_RECORD_MAX = 1 << 20,   /* all bytes of one commit: a provider with some thousand models */
    STORE_PENDING_MAX = 1024,     /* commits not yet durable: beyond that the disk is not keeping up, and callers are told so */
    STORE_QUEUE_MAX = 4 << 20,    /* bytes on their way to the helper */
    STORE_APPEND_QUEUE_MAX = 1 << 20, /* store_append() is refused when that many are queued, so that commits find room */
    STORE_USAGE_BYTES_MAX = 16 << 20, /* usage kept when the log is compacted; the log holds about twice that at most */
    STORE_USAGE_DAYS_MAX = 62,    /* two months to look back */
};

/* One surviving change (always a PUT) at start, secret opened. The slices are lent for the call; the secret's bytes are wiped after it.
 * time_ms: wall clock when it was committed. False: stop, the store can't be opened. */
typedef bool store_load_fn(void *user, const struct store_change *c, int64_t time_ms);

struct store_options {
    struct slice dir;        /* empty: volatile */
    uint8_t *master;         /* 32 bytes, wiped when taken over; NULL: the file master.key in dir, made when there is none */
    bool salvage;            /* go on with what is intact of a damaged log instead of refusing to start */
    store_load_fn *load;     /* resources in order of creation, then counters, then usage in order */
    void *user;
};

/* Once, at start: loads, then forks the helper, so before anything is listened to. False with *why (static memory) saying what is wrong and, for a
 * damaged log, where. True: *why is a note for the log, or "". A directory that can't be written is no failure: see store_read_only(). */
MUST_USE bool store_open(const struct store_options *o, const char **why);
/* After loop_init(), before the first commit: answers come through the loop from here on. False: no watch to be had. */
MUST_USE bool store_start(void);

/* done is called exactly once, from the loop, never from inside store_commit(). why: "" when ok, else static until the next call. */
typedef void store_done_fn(void *arg, bool ok, const char *why);

/* Takes n changes (1 to STORE_CHANGES_MAX) as one atomic record; copies everything before it returns. done may be NULL.
 * False with *why: not taken, nothing will be called (read-only, the helper is gone, too much under way, too large). */
MUST_USE bool store_commit(const struct store_change *c, size_t n, store_done_fn *done, void *arg, const char **why);

/* Fire and forget, for usage and counters: one atomic record, best effort. False: dropped, and counted when the store is durable. */
bool store_append(const struct store_change *c, size_t n);

bool store_is_durable(void);              /* what is committed now outlasts the process */
bool store_read_only(const char **why);   /* commits are refused: the directory can't be written, or the helper has ended */

struct store_stats {
    bool durable, helper_alive;
    uint32_t pending;         /* commits under way */
    uint64_t commits, failed; /* answered so far */
    uint64_t append_dropped;  /* records */
    uint64_t log_bytes;
    uint64_t compactions;
};
void store_get_stats(struct store_stats *out);

/* Hands over what is queued, waits for the helper up to wait_ms, lets go of the directory's lock. Pending `done`s are called. After it
 * commits are refused. Also right before another process takes over. */
void store_close(int wait_ms);

/* Hand-over to another process while this one goes on without writing: finishes what is queued, then lets go of the directory and calls done
 * from the loop (ok false: it is still ours). From the call on commits are refused and appends dropped. False: there is nothing to let go of
 * (volatile, read-only, the helper is gone or not keeping up), nothing will be called. */
MUST_USE bool store_leave(store_done_fn *done, void *arg);
/* The other process has given up before it wrote: takes the directory back and accepts commits again. When it did write, the state stays
 * read-only. Either way the log says it. */
void store_return(void);

/* `weir rekey`: the same directory under another master key, with no process running on it. to: 32 bytes, or NULL for a fresh key in
 * master.key (only when o->master is NULL too). A crash at any point leaves the directory readable with one of the two keys, in the case of
 * master.key without anybody's help. False: *why. */
MUST_USE bool store_rekey(const struct store_options *o, const uint8_t *to, const char **why);

#endif
