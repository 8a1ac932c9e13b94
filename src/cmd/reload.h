/* From a config snapshot to the running gateway: what a snapshot needs besides itself (CA bundle, certificate, simulator) is made
 * ready, then everything is swapped at once. The start is the first such swap, SIGHUP and admin changes are later ones. */
#ifndef CMD_RELOAD_H
#define CMD_RELOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"
#include "conf/conf.h"
#include "gate/gate.h"
#include "net/dns.h"

/* The loop and its timers must be there. */
void reload_init(void);
/* The first snapshot (its reference is taken over): opens the gate with it. False with why. */
bool reload_start(struct conf *c, const struct gate_plan *plan, char *why, size_t cap);
/* Where SIGHUP reads from, and what was read there; NULL, {NULL, 0}: there is no file. The path is borrowed for ever, the text is taken over. */
void reload_from(const char *path, struct slice text);
/* Without a file: the access key that was made at start, which every snapshot gets. */
void reload_first_key(const uint8_t sha256[32]);
MUST_USE bool reload_add_first_key(struct conf *c);
/* At start, when the store has handed out what it holds: c itself, or the snapshot with all of that, in its place. NULL with a message on stderr. */
struct conf *reload_with_stored(struct conf *c);
struct slice reload_text(void);
/* SIGHUP: reads the file in a moment. Any number of calls before that are one. */
void reload_soon(void);
/* A complete snapshot from now on (its reference is taken over, also on failure), all or nothing. False with why: the old one stays.
 * files: the CA bundle may have changed, so it is read again, which may take milliseconds. */
MUST_USE bool reload_apply(struct conf *c, bool files, char *why, size_t cap);
/* What runs now; borrowed until the next reload. */
const struct conf *reload_conf(void);
void reload_dns(const struct conf *c, struct dns_servers *out);

#endif
