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
static struct world world;
static struct arena tables;

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

bool gate_open(struct conf *c, const struct trust *trust, const struct tls_identity *identity, const struct gate_plan *plan,
               const char **why)
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
    arena_init(&tables, &mem_heap_source, 1 << 16, (size_t)1 << 30);
    conf_get(c);
    world = (struct world){.conf = c, .trust = trust, .serial = 1};
    world.health = health_create(&tables, c, seed, c->gateway.cooldown);
    *why = "out of memory";
    if (!gate.scratch || !gate.peer || !world.health)
        return false;
    gate.world = &world;
    gate.xchg_pool = &xchg_pool;
    gate.up_pool = &up_pool;
    gate.identity = identity;
    gate.most = c->max_connections;
    gate.most_per_peer = c->max_connections - c->max_connections / 4;
    timer_init(&gate.trim, on_trim);
    list_init(&gate.all);
    list_init(&gate.idle);
    return true;
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

void gate_drain(void)
{
    gate.draining = true;
    for (struct list *n = gate.all.next, *next; n != &gate.all; n = next) {
        next = n->next;
        xchg_run(container_of(n, struct xchg, node), NEWS_DRAIN);
    }
}

uint32_t gate_busy(void)
{
    return gate.open;
}

bool gate_cooling(const struct credential *key, struct slice model, int64_t *until_ms)
{
    return health_ask(gate.world->health, key, model, clock_ms(), until_ms) != HEALTH_WELL;
}
