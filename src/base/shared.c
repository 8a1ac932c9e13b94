/* See shared.h. */
#include "base/shared.h"

#include "base/mem.h"
#include "base/must.h"

enum { SHARED_BLOCK = 1 << 16 };

struct shared *shared_create(size_t most)
{
    struct shared *s = mem_heap_take(sizeof *s);

    if (!s)
        return NULL;
    s->refs = 1;
    arena_init(&s->arena, &mem_heap_source, SHARED_BLOCK, most);
    return s;
}

struct shared *shared_get(struct shared *s)
{
    if (s)
        s->refs++;
    return s;
}

void shared_put(struct shared *s)
{
    if (!s)
        return;
    must(s->refs > 0);
    if (--s->refs)
        return;
    arena_reset(&s->arena);
    mem_heap_give(s);
}
