/* One free list per size, fed from chunks. */
#include "base/small.h"

#include <string.h>

#include "base/mem.h"

struct piece {
    struct piece *next;
};

enum { PAGE = 4096, HEAD = 16 /* of mem_heap_take */ };

static struct piece *free_piece[SMALL_MAX / SMALL_STEP + 1];
static char *chunk_at;
static size_t chunk_left;

static size_t rounded(size_t size)
{
    return size < SMALL_STEP ? SMALL_STEP : (size + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP;
}

static void keep(void *p, size_t size)
{
    struct piece *piece = p;

    piece->next = free_piece[size / SMALL_STEP];
    free_piece[size / SMALL_STEP] = piece;
}

void small_init(void)
{
    memset(free_piece, 0, sizeof free_piece);
    chunk_at = NULL;
    chunk_left = 0;
}

void *small_take(size_t size)
{
    struct piece *piece;

    if (size > SMALL_MAX)
        return mem_heap_take(size);
    size = rounded(size);
    piece = free_piece[size / SMALL_STEP];
    if (piece) {
        free_piece[size / SMALL_STEP] = piece->next;
        return memset(piece, 0, size);
    }
    if (chunk_left < size) {
        char *fresh = mem_heap_take(SMALL_CHUNK - HEAD);

        if (!fresh)
            return NULL;
        if (chunk_left)
            keep(chunk_at, chunk_left);
        chunk_at = fresh;
        chunk_left = SMALL_CHUNK - HEAD;
    }
    piece = (struct piece *)(void *)chunk_at;
    chunk_at += size;
    chunk_left -= size;
    return piece;
}

void small_give(void *p, size_t size)
{
    if (size > SMALL_MAX)
        mem_heap_give(p);
    else if (p)
        keep(p, rounded(size));
}

size_t small_room(size_t size)
{
    return size > SMALL_MAX ? (size + HEAD + PAGE - 1) / PAGE * PAGE : rounded(size);
}
