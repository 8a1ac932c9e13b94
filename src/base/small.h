/* Small pieces of the heap for what stays and changes at admin time: mem_heap_take gives whole pages, which a hundred thousand access keys would
 * multiply by twenty. Pieces are not given back to the kernel but to the next one of their size. */
#ifndef BASE_SMALL_H
#define BASE_SMALL_H

#include <stddef.h>

enum {
    SMALL_MAX = 1024,        /* larger ones are mem_heap_take's */
    SMALL_STEP = 8,          /* sizes and places are multiples of it */
    SMALL_CHUNK = 256 << 10, /* taken from the heap at once */
};

void small_init(void);                  /* nothing was taken so far; at start */
void *small_take(size_t size);          /* zeroed; NULL when refused */
void small_give(void *p, size_t size);  /* the size it was taken with; p NULL: nothing */
size_t small_room(size_t size);         /* what a piece of that size really takes */

#endif
