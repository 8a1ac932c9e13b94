/* Bump memory over one caller-given or growing chain of blocks: many small takes, one release.
 * Overflow is sticky: after the first refusal every take returns NULL until reset, so that a
 * builder can check once at its end. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct arena;

/* Gives a block of at least *size bytes (and stores the real size there) or NULL when the budget
 * is spent; takes one back. Two sources exist: base/mem.c at start-up and base/buddy.c after. */
struct arena_source {
    void *(*take)(void *owner, size_t *size);
    void (*give)(void *owner, void *block, size_t size);
    void *owner;
};

struct arena_block;

struct arena {
    /* private */
    const struct arena_source *source; /* NULL: fixed memory, never grows */
    struct arena_block *head;          /* newest block of the chain */
    char *at, *end;
    char *fixed;       /* the caller's memory, for arena_init_fixed */
    size_t block_size; /* what to ask the source for */
    size_t taken;      /* bytes held from the source */
    size_t cap;        /* the most to hold from the source */
    bool overflowed;
};

/* Over the caller's memory, which must outlive the arena. Needs no deinit. */
void arena_init_fixed(struct arena *a, void *memory, size_t size);
/* Grows by blocks of block_size (more for a larger take) up to cap bytes in all; takes nothing yet. */
void arena_init(struct arena *a, const struct arena_source *source, size_t block_size, size_t cap);
/* Gives all blocks back; the arena is empty and usable again. Safe on a zeroed struct. */
void arena_reset(struct arena *a);

/* size bytes aligned to 8 (_bytes: to 1), uninitialised; NULL on overflow. size 0 gives a valid pointer. */
void *arena_take(struct arena *a, size_t size);
char *arena_take_bytes(struct arena *a, size_t size);
/* Zeroed array; checks the multiplication. */
void *arena_zero(struct arena *a, size_t count, size_t size);
/* A copy that lives as long as the arena; {NULL,0} on overflow (an empty slice also has n 0: check
 * arena_overflowed). The copy is followed by a NUL byte that n does not count. */
struct slice arena_copy(struct arena *a, struct slice s);
__attribute__((format(printf, 2, 3))) struct slice arena_printf(struct arena *a, const char *format, ...);

static inline bool arena_overflowed(const struct arena *a)
{
    return a->overflowed;
}

#endif
