/* The admin plane: its listener, its connections, who may call. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "conf/conf.h"
#include "net/addr.h"

enum {
    ADMIN_CONNS = 64,          /* at once: browsers open six each, Prometheus one */
    ADMIN_FDS = 2 * ADMIN_CONNS, /* each may have a peer that answers for us */
    ADMIN_TIMERS = ADMIN_CONNS + 1,
    ADMIN_IDLE_MS = 60000,     /* between two calls */
    ADMIN_READ_MS = 15000,     /* from a call's first byte to its last */
    ADMIN_WRITE_MS = 30000,    /* a client that takes nothing for so long */
    ADMIN_TRY_MS = 600000,     /* for a whole answer that is handed on */
    ADMIN_LINGER_MS = 1000,    /* for a refused body that is still coming */
};

/* What the command that runs us lends. */
struct admin_hooks {
    const struct conf *(*conf)(void);                           /* in force now */
    bool (*apply)(struct conf *c, char *why, size_t cap);       /* makes c the world of the next request and takes it, in any case */
    struct slice (*text)(void);                                 /* of the config file in force; {NULL, 0} without one */
    const struct conf_env *env;
    const struct addr *(*data_plane)(void);                     /* where applications connect */
    const char *version;
};
/* Before anything else here, so that stored resources can be built into the first config. */
void admin_init(const struct admin_hooks *hooks);

/* Listens; handed_over: on this socket of another process if it is the right one (-1: none). After loop_init and conns_init, with ADMIN_CONNS more of all their kinds. False with *why. */
MUST_USE bool admin_open(const struct addr *at, int handed_over, const char **why);
int admin_listener(void);      /* its descriptor; -1: closed */
const struct addr *admin_address(void);
/* No new connections; calls under way still get their answers. */
void admin_drain(void);
uint32_t admin_busy(void);     /* calls under way */

/* A key that is not in the config: made at first start, or WEIR_ADMIN_KEY. `id` lives for ever. */
bool admin_add_key(const char *id, const uint8_t sha256[32]);
bool admin_has_key(const struct conf *c);

#endif
