/* Fixed slots: see pool.h. */
#include "base/pool.h"

#include <string.h>

#include "base/mem.h"

bool pool_init(struct pool *p, uint32_t count, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    *p = (struct pool){.slot = mem_table(count, size), .size = size, .count = count};
    return p->slot != NULL;
}

void *pool_take(struct pool *p)
{
    char *s;

    if (p->free_head) {
        s = p->slot + (size_t)(p->free_head - 1) * p->size;
        memcpy(&p->free_head, s, sizeof p->free_head);
        memset(s, 0, p->size);
    } else if (p->used_once < p->count) {
        s = p->slot + (size_t)p->used_once++ * p->size; /* fresh pages are zero */
    } else {
        return NULL;
    }
    p->in_use++;
    return s;
}

void pool_give(struct pool *p, void *slot)
{
    size_t at = (size_t)((char *)slot - p->slot) / p->size;

    must(at < p->used_once && (char *)slot == p->slot + at * p->size);
#ifdef WEIR_DEBUG
    memset(slot, 0xDD, p->size);
#endif
    memcpy(slot, &p->free_head, sizeof p->free_head);
    p->free_head = (uint32_t)at + 1;
    p->in_use--;
}
