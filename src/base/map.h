/* Slice to pointer: a seeded open-addressing hash, filled once, read often. Keys are borrowed. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

struct map_slot;

struct map {
    /* private */
    struct map_slot *slot;
    uint32_t mask, count;
    uint64_t seed;
};

/* Room for `count` entries at most, in the arena. False on overflow. */
bool map_init(struct map *m, struct arena *a, uint32_t count, uint64_t seed);
/* False when the key is there already (the first one stays) or the map is full. The key's bytes must outlive the map. */
bool map_put(struct map *m, struct slice key, void *value);
void *map_get(const struct map *m, struct slice key); /* NULL when absent */
uint64_t hash_bytes(struct slice s, uint64_t seed);    /* not for secrets' comparison, resists chosen collisions by its seed */

#endif
