/* What a request is booked as: one usage event per attempt that was made, exactly one of them final. */
#ifndef GATE_ACCOUNT_H
#define GATE_ACCOUNT_H

#include "gate/xchg.h"

/* Once per request, at its end, before what it holds is let go. A request that nobody can be billed for (no known access key, no surface)
 * leaves no event and is only counted. Sets x->cost and x->priced. */
void account_request(struct xchg *x);

#endif
