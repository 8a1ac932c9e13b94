/* What Prometheus reads: counters, gauges and two histograms as text (its format 0.0.4). Series are as many as providers and their models in use, bounded by
 * tables; names of access keys, of clients or anything else that somebody outside could make up are in none. */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/call.h"
#include "base/block.h"
#include "base/must.h"

enum { METRICS_KEYS_MAX = 256 /* provider keys with a line of their own; all are in the sums */ };

/* Adds the text to out. False: the memory budget is spent. */
MUST_USE bool metrics_write(struct block *out);
/* GET /metrics. */
void metrics_get(struct admin_call *c);

#endif
