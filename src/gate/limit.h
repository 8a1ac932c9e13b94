/* What an access key's own limits let through (spec 10). */
#ifndef GATE_LIMIT_H
#define GATE_LIMIT_H

#include "gate/xchg.h"

/* The whole request is here and read, and nothing has been routed: takes its share of the key's limits into x->ticket. False: answered with 429 or 403. */
bool limit_admit(struct xchg *x);
/* It has been routed: holds back what its first attempt will probably cost. False: answered with 429, since it may pass once others have ended. */
bool limit_hold(struct xchg *x);
/* The request has ended: the share is settled with what it used, under the number of its last usage event. */
void limit_settle(struct xchg *x, uint64_t tokens, uint64_t seq);
/* The key's time is over: answered with 401. */
bool limit_expired(struct xchg *x);

#endif
