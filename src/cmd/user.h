/* The user that root becomes (setting `user`). */
#ifndef CMD_USER_H
#define CMD_USER_H

#include "base/must.h"
#include "base/slice.h"

#include <stdint.h>

/* "UID:GID", or a name of the passwd file whose text is given. False: neither. Never 0 for a name or number that is not root's. */
MUST_USE bool user_find(struct slice text, struct slice passwd, uint32_t *uid, uint32_t *gid);
/* Becomes that user for good, keeping the right to listen on ports below 1024 until confine(). Empty: stays who it is. False with a message
 * on stderr. Before anything is made in stateDir. */
MUST_USE bool user_become(struct slice text);

#endif
