/* SIGUSR2: another process of whatever program has this one's name by then takes over, without a connection refused or broken.
 *
 * The old process has a launcher, forked before it held anything secret, start the new one with its listening sockets and one end of a talk. The new
 * one reads its config and says so; the old one lets go of stateDir; the new one opens it, listens on the same sockets and
 * says so; the old one stops accepting and ends when its last request has. Until that last word a failure of the new one changes nothing: the old
 * one takes its directory back and goes on. What requests of the old one use meanwhile goes to the new one's books. */
#ifndef CMD_HANDOVER_H
#define CMD_HANDOVER_H

#include <stdbool.h>

#include "base/must.h"

enum {
    HANDOVER_MS = 30000,         /* for a new process to get ready; a state of some hundred megabytes takes seconds */
    HANDOVER_LINGER_MS = 5000,   /* idle connections of the old one stay open for so long */
};
enum handover_socket { HANDOVER_DATA, HANDOVER_ADMIN, HANDOVER_SOCKETS };

/* First thing in the process: forks the launcher. argv lives for ever. Without one there is no hand-over, which is no failure. */
void handover_prepare(char *const *argv);

/* ---- In the new process; all harmless in one that nobody launched. ---- */

/* The config is read and good: waits until the old process has let go of its state. False: it has called this off. Blocks for HANDOVER_MS at most. */
MUST_USE bool handover_ask(void);
/* The socket that the old process listened on; -1: none. The caller's when it takes it. */
int handover_socket(enum handover_socket which);
/* Everything is in place: the old one may stop. After loop_init. */
MUST_USE bool handover_take(void);

/* ---- In the old one. ---- */

/* SIGUSR2. sockets: what is listened on now (-1: not). over is called from the loop when the new process has taken over. */
void handover_start(const int sockets[HANDOVER_SOCKETS], void (*over)(void));
/* Whether the process that we took over from still finishes requests, whose usage it sends: we end after it. */
bool handover_waits(void);

#endif
