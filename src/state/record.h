/* The bytes of the log. Pure: views of an image in memory, nothing else.
 *
 *   file    head, then records without gaps
 *   head    "weirlog\n", version (4), zero (4), salt (8), length of the snapshot it began with (8), CRC (4)
 *   record  sync word (4), length of the body (4), sequence (8), how much of the file was durable when it was written (8),
 *           wall clock in ms (8), CRC (4), body
 *   body    number of changes (2), each: kind (1), op (1), lengths of id (2), value (4) and secret (4), then these bytes
 *
 * Numbers are little-endian; CRCs are CRC32C over the file's salt and everything else in the head or record, so that neither blocks
 * of an older file nor bytes a user stored can pass for a record of this one.
 *
 * A power failure may leave anything of what was written since the last sync, and nothing else. So a broken record is the end of an
 * unfinished write, to be cut, unless a good record after it says that the place had been durable: then it is damage. A record
 * without changes is a mark written behind each synced batch for that purpose alone. */
#ifndef STATE_RECORD_H
#define STATE_RECORD_H

#include "state/store.h"

enum {
    RECORD_VERSION = 1,
    RECORD_FILE_HEAD = 36,
    RECORD_HEAD = 36,
    RECORD_CHANGE_HEAD = 12,
    RECORD_SECRET_EXTRA = 28, /* nonce and tag, see seal.h */
    RECORD_BODY_MAX = STORE_RECORD_MAX + 2 + STORE_CHANGES_MAX * (RECORD_CHANGE_HEAD + RECORD_SECRET_EXTRA),
    RECORD_KIND_KEY = 100,    /* a known text under the master key: tells whether a key is the right one */
};

uint32_t record_crc(uint32_t crc, const char *p, size_t n);

/* ---- Writing. ---- */

void record_put_file_head(char out[RECORD_FILE_HEAD], uint64_t salt, uint64_t snapshot);
/* 0: more than STORE_CHANGES_MAX changes, STORE_ID_MAX or RECORD_BODY_MAX. */
size_t record_body_size(const struct store_change *c, size_t n);
/* Exactly record_body_size() bytes. */
void record_put_body(char *out, const struct store_change *c, size_t n);
/* Fills in the head in front of a body that stands at out + RECORD_HEAD. */
void record_put_head(char *out, size_t body_n, uint64_t salt, uint64_t seq, uint64_t durable, int64_t time_ms);

/* ---- Reading. ---- */

enum record_verdict {
    RECORD_GOOD,
    RECORD_END,  /* nothing more, nothing wrong */
    RECORD_TORN, /* an unfinished last write from `at` on: never acknowledged */
    RECORD_BAD,  /* damage at `at` in what had been durable */
};

struct record {
    uint64_t at, end; /* offsets in the image */
    uint64_t seq, durable;
    int64_t time_ms;
    struct slice body;
    unsigned changes;
};

struct record_reader {
    struct slice image;
    uint64_t at, seq;       /* of the next record; of the last good one */
    uint64_t salt, snapshot;
};

/* NULL: a file of ours, the reader stands at its first record. Else what is wrong with it. */
const char *record_open(struct record_reader *r, struct slice image);
enum record_verdict record_next(struct record_reader *r, struct record *out);
/* After RECORD_BAD, for salvage: goes to the next good record whatever its sequence. False: there is none. */
bool record_skip(struct record_reader *r);
/* The change at *at within a body that was found good; *at moves behind it. Secrets come as they are stored. */
void record_change(struct slice image, uint64_t *at, struct store_change *out);

#endif
