/* Which changes of a log still count: the last PUT of each (kind, id) that was not deleted after it, in order of creation, and usage.
 * Pure but for its memory, which comes from the counted heap. */
#ifndef STATE_LIVE_H
#define STATE_LIVE_H

#include "state/record.h"

struct live_entry {
    uint64_t at;      /* of the change in the image */
    int64_t time_ms;  /* of its record */
    uint32_t size;    /* bytes of the change */
    uint8_t kind;     /* private: see live_change */
};

struct live {
    struct live_entry *entry; /* in order of creation */
    uint32_t n;
    /* private */
    uint32_t cap, mask;
    uint32_t *slot;           /* entry + 1 by hash of kind and id; 0: none */
    uint64_t seed, usage_bytes;
};

/* Empty and safe to free. seed: nobody may foresee it, ids come from users. */
void live_init(struct live *l, uint64_t seed);
void live_free(struct live *l);
/* Takes in a good record of the image. False: out of memory. */
MUST_USE bool live_add(struct live *l, struct slice image, const struct record *r);
/* Lets the oldest usage go until what is left is within STORE_USAGE_BYTES_MAX and STORE_USAGE_DAYS_MAX. Returns how many changes went. */
uint32_t live_trim(struct live *l, int64_t now_ms);
/* The n-th entry's change. False: it was deleted. */
bool live_change(const struct live *l, struct slice image, uint32_t n, struct store_change *out);

#endif
