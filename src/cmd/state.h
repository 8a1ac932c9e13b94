/* The state directory as the config names it: from the store to the start's and the log's words. */
#ifndef CMD_STATE_H
#define CMD_STATE_H

#include <stdbool.h>

#include "base/must.h"
#include "conf/conf.h"

/* First of all at start: the helper process that is forked here shall hold nothing of the gateway. Wipes c->state_key. False with a message
 * already on stderr. salvage: a damaged log is no reason to refuse. */
MUST_USE bool state_open(struct conf *c, bool salvage);
/* With loop and log there: joins the loop, and says in the log what lasts and what doesn't. False: the loop has no room. */
MUST_USE bool state_start(void);
/* When the loop has ended: what is under way gets STATE_CLOSE_MS to become durable. */
enum { STATE_CLOSE_MS = 5000 /* supervisors kill 10 s after they asked, most of them */ };
void state_close(void);

#endif
