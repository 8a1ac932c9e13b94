/* Access keys made over the admin API: beside the snapshots, since there may be a hundred thousand of them and each comes and goes by itself. Constant-time
 * look-up, at most KEYRING_BYTES each with short names. One instance. */
#ifndef CONF_KEYRING_H
#define CONF_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/key_limits.h"
#include "base/must.h"
#include "conf/conf.h"
#include "json/out.h"

enum {
    KEYRING_BUCKETS = 1 << 17,
    KEYRING_MAX = 1 << 20,
    KEYRING_BYTES = 200,      /* with ids of ours, a name of 12 characters and no limits, the tables shared by 100,000; tested */
    KEYRING_NAMES = 65535,    /* different configurations and authors that keys refer to at one time */
};

/* A key spelled out. Slices are the caller's when it comes in, and the ring's until its next change when it goes out. */
struct keyring_key {
    uint8_t sha256[32];
    struct slice id, name, description, metadata;
    struct slice redacted;    /* of the token */
    struct slice config_id;   /* empty: none */
    struct slice by, updated_by;
    struct key_limits limits;
    int64_t created_ms, updated_ms, used_ms; /* used_ms 0: never, as far as this process knows; to the second */
    uint32_t revision;
};

/* Takes the tables; once, at start. */
MUST_USE bool keyring_init(void);
uint32_t keyring_count(void);
size_t keyring_bytes(void); /* of the keys themselves, without the two tables of KEYRING_BUCKETS pointers */

/* Adds it, or puts it in place of the one of the same id (whose place in the order and time of last use stay). False: no memory, full, or the token is another key's. */
MUST_USE bool keyring_put(const struct keyring_key *k);
bool keyring_remove(struct slice id);
bool keyring_get(struct slice id, struct keyring_key *out);
/* Newest first: the key before `id` in order of creation (id empty: the newest). */
bool keyring_older(struct slice id, struct keyring_key *out);
/* How many keys refer to that configuration. */
uint32_t keyring_uses(struct slice config_id);

/* The data path: who has that token? A copy in the arena, with its configuration in c. KEYRING_ORPHAN: its configuration is not there, so it may use
 * nothing. */
enum keyring_found { KEYRING_NONE, KEYRING_FOUND, KEYRING_ORPHAN, KEYRING_NO_MEMORY };
enum keyring_found keyring_use(const uint8_t sha256[32], const struct conf *c, int64_t now_ms, struct arena *a, const struct access_key **out);

/* limits and expiresAt of an access key's body (an object's text). False with *e (path in it: "limits.usdPerDay" in e->text). */
void keyring_put_limits(struct json_out *o, const struct key_limits *l); /* the limits as an object */
bool keyring_read_limits(struct slice body, struct key_limits *out, struct conf_error *e);

#endif
