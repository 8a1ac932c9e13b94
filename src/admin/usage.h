/* GET /usage and GET /usage/overview of the contract. */
#ifndef ADMIN_USAGE_H
#define ADMIN_USAGE_H

#include "admin/call.h"

/* Events, newest first; a page's cursor is the number of the last event on it. */
void usage_list(struct admin_call *c);
/* Sums of whole UTC days that the asked time touches. Beyond the contract: groupBy=model, and tokens=true for inputTokens and outputTokens. */
void usage_overview(struct admin_call *c);

#endif
