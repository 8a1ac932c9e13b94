/* The serving process's side of the store: pending commits and their answers. */
#include "state/store.h"

#include "net/loop.h"

struct pending {
    store_done_fn *done;
    void *arg;
};

static struct {
    bool open;
    struct pending pending[STORE_PENDING_MAX];
    uint32_t first, count;
    uint64_t commits;
    struct defer answer;
} store;

static void answer_all(struct defer *d)
{
    uint32_t n = store.count;

    (void)d;
    while (n--) {
        struct pending p = store.pending[store.first];

        store.first = (store.first + 1) % STORE_PENDING_MAX;
        store.count--;
        store.commits++;
        if (p.done)
            p.done(p.arg, true, "");
    }
}

bool store_open(const struct store_options *o, const char **why)
{
    (void)o;
    *why = "";
    store.open = true;
    store.first = store.count = 0;
    defer_init(&store.answer, answer_all);
    return true;
}

bool store_commit(const struct store_change *c, size_t n, store_done_fn *done, void *arg, const char **why)
{
    must(n > 0 && n <= STORE_CHANGES_MAX && c);
    *why = "";
    if (!store.open || store.count == STORE_PENDING_MAX) {
        *why = store.open ? "too many changes are under way" : "the store is closed";
        return false;
    }
    store.pending[(store.first + store.count++) % STORE_PENDING_MAX] = (struct pending){done, arg};
    loop_defer(&store.answer);
    return true;
}

bool store_append(const struct store_change *c, size_t n)
{
    must(n > 0 && n <= STORE_CHANGES_MAX && c);
    return store.open;
}

bool store_is_durable(void)
{
    return false;
}

bool store_read_only(const char **why)
{
    *why = "";
    return false;
}

void store_stats(struct store_stats *out)
{
    *out = (struct store_stats){.pending = store.count, .commits = store.commits};
}

void store_close(int wait_ms)
{
    (void)wait_ms;
    answer_all(&store.answer);
    defer_cancel(&store.answer);
    store.open = false;
}
