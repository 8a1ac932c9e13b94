/* The master key of a state directory: given by the operator, or in the file master.key. */
#ifndef STATE_MASTER_H
#define STATE_MASTER_H

#include "state/disk.h"
#include "state/seal.h"

enum { MASTER_CHECK = 256 }; /* room for the body of a key check */

/* The key for a log with these survivors (live NULL: a new one). given: the operator's, or NULL: master.key, made for a new log. Checked
 * against the log's key check, if it has one. False: d->why. */
MUST_USE bool master_find(struct disk *d, const struct live *live, const uint8_t *given, uint8_t key[SEAL_KEY]);
/* A record body that holds the key check for key. 0: no entropy. */
size_t master_check_body(const uint8_t key[SEAL_KEY], char out[MASTER_CHECK]);
bool master_has_check(struct disk *d, const struct live *live);
/* Makes the directory use `to` instead of key; NULL: a fresh master.key. False: d->why; either key may be the right one now. */
MUST_USE bool master_change(struct disk *d, const struct live *live, const uint8_t key[SEAL_KEY], const uint8_t *to, int64_t now_ms);

#endif
