/* The data plane's one instance: its pools, its world, its way in and out. */
#include "gate/gate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "gate/exchange.h"
#include "net/idle.h"

struct gate gate;

static struct pool xchg_pool, up_pool;

struct gate_plan gate_plan(const struct conf *c)
{
    struct gate_plan p = {.clients = c->max_connections + XCHG_SURPLUS};

    p.upstreams = p.clients + p.clients / 4 + 64; /* hedges and streams' ends beside the attempts */
    p.dials = p.upstreams;
    p.conns = p.clients + p.upstreams + IDLE_MOST;
    p.watches = p.conns + p.dials * 2 + 1024; /* sockets being connected, DNS, listeners, sim */
    p.timers = p.clients + p.upstreams + p.dials + 2048;
    return p;
}

static void on_trim(struct timer *t)
{
    (void)t;
    mem_trim();
}

bool gate_open(struct conf *c, struct shared *trust, struct shared *identity, const struct gate_plan *plan, const char **why)
{
    uint64_t seed;

    *why = "no entropy: getrandom failed";
    if (!sys_random(&seed, sizeof seed))
        return false;
    *why = "not enough address space for limits.maxConnections";
    if (!pool_init(&xchg_pool, plan->clients, sizeof(struct xchg)) ||
        !pool_init(&up_pool, plan->upstreams, sizeof(struct upstream)) || !idle_init())
        return false;
    gate.scratch = mem_table(1, GATE_SCRATCH);
    gate.peer = mem_table(PEER_SLOTS, sizeof *gate.peer);
    gate.peer_seed = seed;
    gate.seed = seed;
    gate.world = world_create(c, trust, seed, NULL);
    *why = "out of memory";
    if (!gate.scratch || !gate.peer || !gate.world)
        return false;
    gate.xchg_pool = &xchg_pool;
    gate.up_pool = &up_pool;
    gate.identity = shared_get(identity);
    gate.most = c->max_connections;
    gate.most_per_peer = c->max_connections - c->max_connections / 4;
    timer_init(&gate.trim, on_trim);
    list_init(&gate.all);
    list_init(&gate.idle);
    return true;
}

static bool still_used(const void *user, uint64_t key)
{
    return world_has_pool_key(user, key);
}

bool gate_apply(struct conf *c, struct shared *trust, struct shared *identity)
{
    struct world *old = gate.world, *w = world_create(c, trust, gate.seed, old);
    struct shared *before = gate.identity;

    if (!w)
        return false;
    gate.world = w;
    gate.identity = shared_get(identity);
    world_put(old);
    shared_put(before);
    idle_sweep(still_used, w);
    return true;
}

void gate_close(void)
{
    world_put(gate.world);
    shared_put(gate.identity);
    gate.world = NULL;
    gate.identity = NULL;
}

void gate_scratch(struct arena *a)
{
    arena_init_fixed(a, gate.scratch, GATE_SCRATCH / 2);
}

void gate_scratch_more(struct arena *a)
{
    arena_init_fixed(a, gate.scratch + GATE_SCRATCH / 2, GATE_SCRATCH / 2);
}

void gate_accept(struct listener *l, int fd, const struct addr *peer)
{
    (void)l;
    xchg_open(fd, peer);
}

void gate_retire(void)
{
    gate.draining = gate.retiring = true;
    for (struct list *n = gate.all.next; n != &gate.all; n = n->next)
        container_of(n, struct xchg, node)->keep_alive = false;
}

void gate_drain(void)
{
    gate.draining = true;
    gate.retiring = false;
    for (struct list *n = gate.all.next, *next; n != &gate.all; n = next) {
        struct xchg *x = container_of(n, struct xchg, node);

        next = n->next;
        x->keep_alive = false; /* an answer that has not begun says so */
        if (x->state != XCHG_OVER)
            xchg_run(x, NEWS_DRAIN);
    }
}

void gate_cut(void)
{
    for (struct list *n = gate.all.next, *next; n != &gate.all; n = next) {
        struct xchg *x = container_of(n, struct xchg, node);

        next = n->next;
        if (x->state != XCHG_OVER)
            xchg_run(x, NEWS_CUT);
    }
}

void gate_abandon(void)
{
    for (struct list *n = gate.all.next; n != &gate.all; n = n->next)
        xchg_abandon(container_of(n, struct xchg, node));
}

uint32_t gate_busy(void)
{
    return gate.open;
}

struct world *gate_world(void)
{
    return gate.world;
}

bool gate_cooling(const struct credential *key, struct slice model, int64_t *until_ms)
{
    return health_ask(gate.world->health, key, model, clock_ms(), until_ms) != HEALTH_WELL;
}
