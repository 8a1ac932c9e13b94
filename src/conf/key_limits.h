/* An access key's limits as they are written, in the config file and in bodies of the admin API alike. */
#ifndef CONF_KEY_LIMITS_H
#define CONF_KEY_LIMITS_H

#include "base/key_limits.h"
#include "conf/read.h"

/* The object `limits`; what it leaves out or gives as null is 0. A limit of nothing is refused: it would have to mean "no request at all", and
 * would be taken for "no limit" by half of its readers. False after a failure. */
bool read_key_limits(struct reader *r, struct key_limits *out);
/* `expiresAt`, a time of RFC 3339, into out->expires_ms. One that has passed is fine: the key is expired then. */
bool read_key_expiry(struct reader *r, struct key_limits *out);

#endif
