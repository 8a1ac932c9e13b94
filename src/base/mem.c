/* The counted heap of start-up and the buddy allocator of the data plane.
 *
 * Buddy: the region is cut into blocks of MEM_BLOCK_MIN << order; a block's buddy differs from it in one address bit, so
 * merging needs no search. `head[i]` says what begins at min-block i. Freed small blocks first rest on a quick list of their order
 * without merging, because the next request takes the same sizes again. */
#include "base/mem.h"

#include <string.h>

#include "base/list.h"
#include "base/must.h"
#include "base/sys.h"

enum {
    ORDERS = 24,              /* 512 B << 23 = 4 GiB */
    QUICK_ORDERS = 9,         /* up to 128 KiB rest unmerged */
    QUICK_EACH = 32,          /* blocks of one order */
    WARM_MAX = 32 << 20,      /* free bytes that may keep their pages until mem_trim */
    PAGE = 4096,
    RELEASE_MIN = 64 << 10,   /* smaller blocks are not worth the call */
    HEAD_INSIDE = 0,          /* not the start of a block */
    HEAD_FREE = 0x80,
    HEAD_USED = 0x40,
    HEAD_QUICK = 0xC0,
    HEAD_ORDER = 0x3F,
};

/* ---- Heap ---- */

static struct {
    uint64_t calls, fail_at;
    bool from_then_on;
} heap, budget_faults;

static uint64_t budget_calls;

static bool refused(uint64_t call, uint64_t fail_at, bool from_then_on)
{
    return fail_at && (call == fail_at || (from_then_on && call > fail_at));
}

/* Straight from the kernel: start-up takes a few large blocks for arenas, and libc's allocator would be 5 KB of binary for that. */
struct heap_block {
    size_t size;
    size_t pad; /* what is handed out stays aligned to 16 */
};

void *mem_heap_take(size_t size)
{
    struct heap_block *b;

    heap.calls++;
    if (refused(heap.calls, heap.fail_at, heap.from_then_on) || size > SIZE_MAX - sizeof *b)
        return NULL;
    b = sys_reserve(size + sizeof *b);
    if (!b)
        return NULL;
    b->size = size + sizeof *b;
    return b + 1;
}

void mem_heap_give(void *p)
{
    struct heap_block *b = p;

    if (b)
        sys_unreserve(b - 1, b[-1].size);
}

static void *heap_source_take(void *owner, size_t *size)
{
    (void)owner;
    return mem_heap_take(*size);
}

static void heap_source_give(void *owner, void *block, size_t size)
{
    (void)owner;
    (void)size;
    mem_heap_give(block);
}

const struct arena_source mem_heap_source = {heap_source_take, heap_source_give, NULL};

uint64_t mem_heap_calls(void)
{
    return heap.calls;
}

void mem_heap_fail_at(uint64_t nth, bool from_then_on)
{
    heap.fail_at = nth ? heap.calls + nth : 0;
    heap.from_then_on = from_then_on;
}

void mem_fail_at(uint64_t nth, bool from_then_on)
{
    budget_faults.fail_at = nth ? budget_calls + nth : 0;
    budget_faults.from_then_on = from_then_on;
}

/* ---- Budget ---- */

static struct {
    char *base;
    size_t size;
    uint8_t *head;                        /* one byte per min-block */
    struct list free[ORDERS];
    struct list quick[QUICK_ORDERS];
    unsigned quick_count[QUICK_ORDERS];
    size_t in_use, peak, warm;
} region;

static size_t block_bytes(unsigned order)
{
    return (size_t)MEM_BLOCK_MIN << order;
}

static unsigned order_for(size_t size)
{
    unsigned order = 0;

    while (order < ORDERS && block_bytes(order) < size)
        order++;
    return order;
}

static size_t index_of(const void *p)
{
    return (size_t)((const char *)p - region.base) / MEM_BLOCK_MIN;
}

static char *at_index(size_t i)
{
    return region.base + i * MEM_BLOCK_MIN;
}

static void push_free(size_t i, unsigned order)
{
    region.head[i] = (uint8_t)(HEAD_FREE | order);
    list_push_front(&region.free[order], (struct list *)(void *)at_index(i));
}

bool mem_budget_init(size_t size)
{
    size &= ~(((size_t)1 << 20) - 1);
    region.base = size ? sys_reserve(size) : NULL;
    region.head = size ? sys_reserve(size / MEM_BLOCK_MIN) : NULL;
    if (!region.base || !region.head)
        return false;
    region.size = size;
    region.in_use = region.peak = region.warm = 0;
    for (unsigned o = 0; o < ORDERS; o++)
        list_init(&region.free[o]);
    for (unsigned o = 0; o < QUICK_ORDERS; o++) {
        list_init(&region.quick[o]);
        region.quick_count[o] = 0;
    }
    /* Largest power-of-two blocks first; each starts at a multiple of its own size, as buddies must. */
    for (size_t at = 0; at < size;) {
        unsigned order = ORDERS - 1;

        while (block_bytes(order) > size - at)
            order--;
        push_free(at / MEM_BLOCK_MIN, order);
        at += block_bytes(order);
    }
    return true;
}

/* Puts a block on its free list, merged with every free buddy on the way up. */
static void merge_free(size_t i, unsigned order)
{
    while (order + 1 < ORDERS) {
        size_t buddy = i ^ ((size_t)1 << order);

        if ((buddy + ((size_t)1 << order)) * MEM_BLOCK_MIN > region.size ||
            region.head[buddy] != (uint8_t)(HEAD_FREE | order))
            break;
        list_remove((struct list *)(void *)at_index(buddy));
        region.head[i > buddy ? i : buddy] = HEAD_INSIDE;
        i = i < buddy ? i : buddy;
        order++;
    }
    push_free(i, order);
}

static void flush_quick(void)
{
    for (unsigned o = 0; o < QUICK_ORDERS; o++) {
        for (struct list *n; (n = list_pop_front(&region.quick[o]));)
            merge_free(index_of(n), o);
        region.quick_count[o] = 0;
    }
}

void mem_trim(void)
{
    flush_quick();
    for (unsigned o = 0; o < ORDERS; o++) {
        if (block_bytes(o) < RELEASE_MIN)
            continue;
        /* The first page stays: the block's list node is in it. */
        for (struct list *n = region.free[o].next; n != &region.free[o]; n = n->next)
            sys_release((char *)n + PAGE, block_bytes(o) - PAGE);
    }
    region.warm = 0;
}

static char *take_split(unsigned order)
{
    unsigned from = order;
    struct list *n;
    size_t i;

    while (from < ORDERS && list_empty(&region.free[from]))
        from++;
    if (from >= ORDERS)
        return NULL;
    n = list_pop_front(&region.free[from]);
    i = index_of(n);
    while (from > order) {
        from--;
        push_free(i + ((size_t)1 << from), from);
    }
    return at_index(i);
}

void *mem_take(size_t *size)
{
    unsigned order = order_for(*size);
    char *p = NULL;

    budget_calls++;
    if (order >= ORDERS || refused(budget_calls, budget_faults.fail_at, budget_faults.from_then_on))
        return NULL;
    if (order < QUICK_ORDERS && region.quick_count[order]) {
        p = (char *)list_pop_front(&region.quick[order]);
        region.quick_count[order]--;
    } else {
        p = take_split(order);
        if (!p) {
            flush_quick();
            p = take_split(order);
        }
    }
    if (!p)
        return NULL;
    *size = block_bytes(order);
    region.head[index_of(p)] = (uint8_t)(HEAD_USED | order);
    region.in_use += *size;
    region.warm -= region.warm < *size ? region.warm : *size;
    if (region.in_use > region.peak)
        region.peak = region.in_use;
    return p;
}

void mem_give(void *p, size_t size)
{
    unsigned order = order_for(size);
    size_t i = index_of(p);

    must(region.head[i] == (uint8_t)(HEAD_USED | order)); /* a double give, or a wrong size */
    region.in_use -= size;
    if (size >= RELEASE_MIN && region.warm + size > WARM_MAX)
        sys_release(p, size);
    else
        region.warm += size;
#ifdef WEIR_DEBUG
    memset(p, 0xDD, size < 65536 ? size : 65536);
#endif
    if (order < QUICK_ORDERS && region.quick_count[order] < QUICK_EACH) {
        region.head[i] = (uint8_t)(HEAD_QUICK | order);
        list_push_front(&region.quick[order], (struct list *)p);
        region.quick_count[order]++;
    } else {
        merge_free(i, order);
    }
}

/* Whether the block can become `to` in place: it is the lower half at every step and each upper half is free. */
static bool grow_in_place(size_t i, unsigned from, unsigned to)
{
    for (unsigned o = from; o < to; o++)
        if ((i & ((size_t)1 << o)) || (i + ((size_t)2 << o)) * MEM_BLOCK_MIN > region.size ||
            region.head[i + ((size_t)1 << o)] != (uint8_t)(HEAD_FREE | o))
            return false;
    for (unsigned o = from; o < to; o++) {
        size_t upper = i + ((size_t)1 << o);

        list_remove((struct list *)(void *)at_index(upper));
        region.head[upper] = HEAD_INSIDE;
    }
    return true;
}

void *mem_grow(void *p, size_t *size, size_t used, size_t wanted)
{
    unsigned from = order_for(*size), to = order_for(wanted);
    size_t i = index_of(p), larger = wanted;
    void *fresh;

    if (to <= from)
        return p;
    if (to < ORDERS && grow_in_place(i, from, to)) {
        region.head[i] = (uint8_t)(HEAD_USED | to);
        region.in_use += block_bytes(to) - block_bytes(from);
        if (region.in_use > region.peak)
            region.peak = region.in_use;
        *size = block_bytes(to);
        return p;
    }
    fresh = mem_take(&larger);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, used);
    mem_give(p, *size);
    *size = larger;
    return fresh;
}

static void *budget_source_take(void *owner, size_t *size)
{
    (void)owner;
    return mem_take(size);
}

static void budget_source_give(void *owner, void *block, size_t size)
{
    (void)owner;
    mem_give(block, size);
}

const struct arena_source mem_source = {budget_source_take, budget_source_give, NULL};

size_t mem_in_use(void)
{
    return region.in_use;
}

size_t mem_peak(void)
{
    return region.peak;
}

size_t mem_limit(void)
{
    return region.size;
}

/* ---- Tables ---- */

void *mem_table(size_t count, size_t size)
{
    heap.calls++;
    if (refused(heap.calls, heap.fail_at, heap.from_then_on) || (size && count > SIZE_MAX / size))
        return NULL;
    return sys_reserve(count && size ? count * size : 1);
}
