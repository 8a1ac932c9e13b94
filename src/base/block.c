/* A growing block over the budget. */
#include "base/block.h"

#include <string.h>

#include "base/mem.h"

bool block_room(struct block *b, size_t more)
{
    char *p;
    size_t cap = b->cap;

    if (more <= b->cap - b->len)
        return true;
    if (!b->p) {
        cap = more;
        p = mem_take(&cap);
    } else {
        p = mem_grow(b->p, &cap, b->len, b->len + more);
    }
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

bool block_add(struct block *b, const char *p, size_t n)
{
    if (n == 0)
        return true; /* p may be NULL then */
    if (!block_room(b, n))
        return false;
    memcpy(b->p + b->len, p, n);
    b->len += n;
    return true;
}

void block_drop(struct block *b)
{
    if (b->p)
        mem_give(b->p, b->cap);
    *b = (struct block){0};
}

