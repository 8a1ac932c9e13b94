/* Client connections: opened by the listener, they run by themselves. */
#ifndef GATE_EXCHANGE_H
#define GATE_EXCHANGE_H

#include "gate/xchg.h"

/* Takes an accepted socket. Above the connection limit the longest idle one makes room, else the newcomer is told 503. */
void xchg_open(int fd, const struct addr *peer);

#endif
