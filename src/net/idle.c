/* The keep-alive pool. One list by age over all, one hash of buckets by key; a connection is in both or in none. */
#include "net/idle.h"

#include "base/clock.h"
#include "base/timer.h"

enum { BUCKETS = 256 };

static struct {
    struct list bucket[BUCKETS], age; /* age: newest first */
    struct timer expiry;
    uint32_t count;
} idle;

static void on_expiry(struct timer *t);

bool idle_init(void)
{
    for (int i = 0; i < BUCKETS; i++)
        list_init(&idle.bucket[i]);
    list_init(&idle.age);
    timer_init(&idle.expiry, on_expiry);
    idle.count = 0;
    return true;
}

static struct list *bucket_of(uint64_t key)
{
    return &idle.bucket[(key * 0x9E3779B97F4A7C15u) >> 56];
}

static void unlink_one(struct conn *c)
{
    list_remove(&c->idle);
    list_remove(&c->age);
    idle.count--;
}

/* Whatever happens on a parked connection, it is over: an end, a reset, or bytes nobody asked for. */
static void on_news(struct conn *c, unsigned events)
{
    (void)events;
    unlink_one(c);
    conn_drop(&c);
}

static struct conn *oldest(void)
{
    return list_empty(&idle.age) ? NULL : container_of(idle.age.prev, struct conn, age);
}

static void on_expiry(struct timer *t)
{
    struct conn *c;

    while ((c = oldest()) && c->parked_ms + IDLE_KEEP_MS <= clock_ms())
        idle_evict();
    if (c)
        timer_arm(t, c->parked_ms + IDLE_KEEP_MS);
}

void idle_park(struct conn **slot, uint64_t key)
{
    struct conn *c = *slot;
    struct list *b = bucket_of(key);

    *slot = NULL;
    conn_hand_over(c, on_news, NULL);
    if (!conn_want(c, true, false) || (c->tls && tls_pending(c->tls))) {
        conn_drop(&c);
        return;
    }
    if (idle.count >= IDLE_MOST)
        idle_evict();
    c->pool_key = key;
    c->parked_ms = clock_ms();
    list_push_front(b, &c->idle);
    list_push_front(&idle.age, &c->age);
    idle.count++;
    if (!timer_armed(&idle.expiry))
        timer_arm(&idle.expiry, c->parked_ms + IDLE_KEEP_MS);
}

struct conn *idle_take(uint64_t key)
{
    struct list *b = bucket_of(key), *n, *next;

    for (n = b->next; n != b; n = next) {
        struct conn *c = container_of(n, struct conn, idle);

        next = n->next;
        if (c->pool_key != key || loop_has_news(&c->watch))
            continue; /* news of this very turn: its own handler closes it in a moment */
        unlink_one(c);
        return c;
    }
    return NULL;
}

bool idle_evict(void)
{
    struct conn *c = oldest();

    if (!c)
        return false;
    unlink_one(c);
    conn_drop(&c);
    return true;
}

void idle_sweep(idle_keep_fn *keep, const void *user)
{
    for (struct list *n = idle.age.next, *next; n != &idle.age; n = next) {
        struct conn *c = container_of(n, struct conn, age);

        next = n->next;
        if (keep(user, c->pool_key))
            continue;
        unlink_one(c);
        conn_drop(&c);
    }
}

void idle_close_all(void)
{
    while (idle_evict())
        ;
    timer_disarm(&idle.expiry);
}

uint32_t idle_count(void)
{
    return idle.count;
}
