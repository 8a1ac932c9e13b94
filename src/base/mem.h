/* The two sources of memory. Before "ready": the counted heap. After: one region reserved at start and cut into
 * power-of-two blocks (a buddy allocator), so that the data plane calls no malloc, its worst case is known, and a
 * block of any size comes in constant time. Pages are touched only when used and given back when large blocks return. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* ---- Heap: start-up, config, admin. Each call can be made to fail by tests (the n-th one). ---- */
void *mem_heap_take(size_t size);             /* zeroed; NULL when refused */
void mem_heap_give(void *p);
extern const struct arena_source mem_heap_source;
uint64_t mem_heap_calls(void);                /* takes so far: must not grow after ready */
void mem_heap_fail_at(uint64_t nth, bool from_then_on); /* 0: never */

/* ---- Budget: requests, bodies, held bytes. ---- */
enum { MEM_BLOCK_MIN = 512 };                 /* smallest block; the largest is the budget's own size */

/* Reserves size bytes (rounded down to a multiple of 1 MiB). Once, at start. False: no address space. */
bool mem_budget_init(size_t size);
/* A block of at least size bytes, not zeroed; *size becomes its real size. NULL: the budget is spent. */
void *mem_take(size_t *size);
/* Back again; size as mem_take reported it. */
void mem_give(void *p, size_t size);
/* Makes a block larger: in place when its neighbours are free, else by moving `used` bytes. NULL: no room, the old
 * block stays as it was. */
void *mem_grow(void *p, size_t *size, size_t used, size_t wanted);
extern const struct arena_source mem_source;  /* arenas over the budget */
/* Gives the pages of free blocks back to the kernel. Not for the hot path: a while after it has gone quiet. */
void mem_trim(void);
size_t mem_in_use(void);
size_t mem_peak(void);
size_t mem_limit(void);
void mem_fail_at(uint64_t nth, bool from_then_on); /* the same for tests of the budget */

/* ---- Tables sized at start: address space reserved, touched as slots are used. ---- */
void *mem_table(size_t count, size_t size);   /* zeroed; NULL when there is no address space; lives for ever */

#endif
