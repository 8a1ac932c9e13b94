/* What a request runs against: one config snapshot with the health and trust that belong to it. A request keeps the world it started
 * with; a reload makes a new one beside it, which the next request takes. The last one who lets go of a world frees it, secrets wiped. */
#ifndef GATE_WORLD_H
#define GATE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/shared.h"
#include "conf/conf.h"
#include "gate/health.h"
#include "net/trust.h"

struct world {
    struct conf *conf;
    struct health *health;
    struct shared *trust;     /* of struct trust; NULL: https upstreams fail with a clear word */
    /* By credential index: what a parked connection may be used for again. Made of what the credential is (id, value, origin, trust) and
     * not of its place in the snapshot, so that connections stay warm over a reload. */
    const uint64_t *pool_key;
    /* private */
    uint32_t refs;
    struct arena arena;       /* the tables */
};

/* With one reference; takes its own of c and trust. old: whose health it takes over; NULL: none. NULL: no memory. */
struct world *world_create(struct conf *c, struct shared *trust, uint64_t seed, const struct world *old);
struct world *world_get(struct world *w);
void world_put(struct world *w); /* harmless on NULL */

static inline const struct trust *world_trust(const struct world *w)
{
    return w->trust ? w->trust->what : NULL;
}
bool world_has_pool_key(const struct world *w, uint64_t key);
/* The same credential (id, value, origin, trust) in another world; NULL: it is not there any more. */
const struct credential *world_same_key(const struct world *w, const struct world *other, const struct credential *k);

#endif
