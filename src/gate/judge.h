/* Whether an attempt's answer may commit, or why it fails (spec 5, 6): moves the attempt to READY or FAILED. */
#ifndef GATE_JUDGE_H
#define GATE_JUDGE_H

#include "gate/xchg.h"

/* The final head is here: to ERROR, HOLD or FAILED. */
void judge_head(struct upstream *up, const struct http_response *r);
/* More of the body is here. True: the state changed. */
bool judge(struct upstream *up);
/* An error answer of which no more will come, or need come. */
void judge_error(struct upstream *up);

#endif
