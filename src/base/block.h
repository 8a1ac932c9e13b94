/* Bytes held in one growing block of the memory budget: a body, a held answer, what waits for a slow client. */
#ifndef BASE_BLOCK_H
#define BASE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"

struct block {
    char *p;         /* NULL: holds no memory */
    size_t cap, len;
};

/* Room for `more` bytes behind len; p may move. False: the budget is spent, nothing changed. */
MUST_USE bool block_room(struct block *b, size_t more);
MUST_USE bool block_add(struct block *b, const char *p, size_t n);
/* Gives the memory back; empty and usable again. */
void block_drop(struct block *b);

#endif
