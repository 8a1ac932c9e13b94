/* TLS sessions that our client side may resume: a small table, keyed by all that decides whether resuming is allowed. A
 * resumed handshake looks at no certificate, so an entry never outlives the chain it was made with. */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include <stdint.h>

#include "bearssl.h"

#include "base/slice.h"
#include "net/trust.h"

struct session_key {
    uint8_t hash[16];
};

/* Equal only for equal trust set, host, port and tag (S-63). */
struct session_key session_key(const struct trust *trust, struct slice host, uint16_t port, uint64_t tag);
/* What to offer; NULL: nothing. Valid until the next call of any of these. */
const br_ssl_session_parameters *session_find(const struct session_key *key);
/* After a full handshake with a chain that is good until then (epoch seconds). */
void session_keep(const struct session_key *key, const br_ssl_engine_context *eng, int64_t good_until_s);
/* After a handshake that failed while the session was offered. */
void session_forget(const struct session_key *key);

#endif
