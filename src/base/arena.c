/* Bump memory. Blocks come from a source and go back all at once. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>

#include "base/must.h"
#include "base/text.h"

struct arena_block {
    struct arena_block *older;
    size_t size;
};

void arena_init_fixed(struct arena *a, void *memory, size_t size)
{
    *a = (struct arena){.at = memory, .end = (char *)memory + size, .fixed = memory};
}

void arena_init(struct arena *a, const struct arena_source *source, size_t block_size, size_t cap)
{
    *a = (struct arena){.source = source, .block_size = block_size, .cap = cap};
}

void arena_reset(struct arena *a)
{
    while (a->head) {
        struct arena_block *b = a->head;

        a->head = b->older;
        a->source->give(a->source->owner, b, b->size);
    }
    if (a->source) {
        a->at = a->end = NULL;
        a->taken = 0;
    } else if (a->fixed) {
        a->at = a->fixed;
    }
    a->overflowed = false;
}

static bool grow(struct arena *a, size_t need)
{
    size_t size = need + sizeof(struct arena_block) + 8;
    struct arena_block *b;

    if (!a->source || need > SIZE_MAX - 64)
        return false;
    if (size < a->block_size)
        size = a->block_size;
    if (size > a->cap - a->taken)
        return false;
    b = a->source->take(a->source->owner, &size);
    if (!b)
        return false;
    *b = (struct arena_block){.older = a->head, .size = size};
    a->head = b;
    a->taken = a->taken > SIZE_MAX - size ? SIZE_MAX : a->taken + size;
    if (a->taken > a->cap)
        a->taken = a->cap; /* the source may round up past the cap once */
    a->at = (char *)(b + 1);
    a->end = (char *)b + size;
    return true;
}

static void *take(struct arena *a, size_t size, size_t align)
{
    uintptr_t at = ((uintptr_t)a->at + align - 1) & ~(uintptr_t)(align - 1);

    if (a->overflowed)
        return NULL;
    if (!a->at || at > (uintptr_t)a->end || size > (uintptr_t)a->end - at) {
        if (!grow(a, size)) {
            a->overflowed = true;
            return NULL;
        }
        at = ((uintptr_t)a->at + align - 1) & ~(uintptr_t)(align - 1);
    }
    a->at = (char *)(at + size);
    return (void *)at;
}

void *arena_take(struct arena *a, size_t size)
{
    return take(a, size, 8);
}

char *arena_take_bytes(struct arena *a, size_t size)
{
    return take(a, size, 1);
}

void *arena_zero(struct arena *a, size_t count, size_t size)
{
    void *p;

    if (size && count > SIZE_MAX / size) {
        a->overflowed = true;
        return NULL;
    }
    p = take(a, count * size, 8);
    if (p)
        memset(p, 0, count * size);
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = s.n < SIZE_MAX ? arena_take_bytes(a, s.n + 1) : NULL;

    if (!p)
        return slice_make(NULL, 0);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return slice_make(p, s.n);
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, format);
    n = text_vformat(NULL, 0, format, ap);
    va_end(ap);
    must(n >= 0);
    p = arena_take_bytes(a, (size_t)n + 1);
    if (!p)
        return slice_make(NULL, 0);
    va_start(ap, format);
    text_vformat(p, (size_t)n + 1, format, ap);
    va_end(ap);
    return slice_make(p, (size_t)n);
}
