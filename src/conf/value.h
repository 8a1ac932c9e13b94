/* The small languages inside config strings: durations, sizes, addresses, host names, secrets. Pure. */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "conf/conf.h"
#include "http/url.h"

/* "256MiB", "32KiB", "10MB", "1024": a whole number and B, KB, MB, GB, KiB, MiB, GiB or TiB. */
bool value_size(struct slice text, uint64_t *out);
/* "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses), "localhost:8080". default_port 0: a port must be there; else a bare
 * address may stand alone. host points into text or static memory. */
bool value_listen(struct slice text, uint16_t default_port, struct conf_listen *out);
/* Loopback and private addresses, and names that never resolve in the public DNS (localhost, .internal, .local,
 * .home.arpa, single labels): where plain http:// may be allowed. */
bool value_host_private(const struct url *u);
/* What an upstream or a client can send in a header: 1..cap bytes of 0x21-0x7e. *why is static text without the value. */
bool value_secret(struct slice s, size_t cap, const char **why);
/* An id: 1..255 bytes of 0x21-0x7e without quote, backslash, comma. provider: also without ':' and '/', which separate it
 * from a model. */
bool value_id(struct slice s, bool provider);
/* 64 hex digits. */
bool value_sha256(struct slice s, uint8_t out[32]);
/* Characters of valid UTF-8. */
size_t value_chars(struct slice s);

#endif
