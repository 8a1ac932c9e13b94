/* Fixed slots of one size from address space reserved at start. The slot freed last is handed out first, so that the
 * touched memory stays as small as the peak of use. A freed slot is poisoned in test builds. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"

struct pool {
    /* private */
    char *slot;
    size_t size;
    uint32_t count, used_once, in_use;
    uint32_t free_head; /* index + 1, 0: none; the next one stands in the slot's first bytes */
};

MUST_USE bool pool_init(struct pool *p, uint32_t count, size_t size);
/* A zeroed slot, or NULL when all are taken. */
void *pool_take(struct pool *p);
void pool_give(struct pool *p, void *slot);
static inline uint32_t pool_in_use(const struct pool *p)
{
    return p->in_use;
}

#endif
