/* Secrets at rest: ChaCha20-Poly1305 (RFC 8439) with a random nonce, bound to where they belong, so that a sealed secret moved to another
 * record does not open and two seals of one secret have nothing in common. Pure but for the nonce. */
#ifndef STATE_SEAL_H
#define STATE_SEAL_H

#include "base/must.h"
#include "base/slice.h"

enum { SEAL_KEY = 32, SEAL_EXTRA = 28 }; /* a nonce in front, a tag behind */

/* Writes plain.n + SEAL_EXTRA bytes. False: no entropy. */
MUST_USE bool seal_close(const uint8_t key[SEAL_KEY], unsigned kind, struct slice id, struct slice plain, char *out);
/* Writes sealed.n - SEAL_EXTRA bytes. False: another key, another place, or altered; out then holds nothing of it. */
MUST_USE bool seal_open(const uint8_t key[SEAL_KEY], unsigned kind, struct slice id, struct slice sealed, char *out);

#endif
