/* The admin plane as the config names it: its first key, its listener. */
#ifndef CMD_PLANE_H
#define CMD_PLANE_H

#include "base/must.h"
#include "conf/conf.h"

/* Before the store is opened. */
void plane_init(void);
/* Serves it when there is an address and a key for it, and says in the log where, or why not. False with a message on stderr: the address can't be
 * had, or the key file in stateDir can't be read. */
MUST_USE bool plane_open(const struct conf *c);

#endif
