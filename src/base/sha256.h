/* SHA-256 (FIPS 180-4): of access keys on every request, so SHA instructions are used where the CPU has them
 * (chosen at run time), else BearSSL's. Pure. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdint.h>

#include "base/slice.h"

void sha256(struct slice message, uint8_t out[32]);
/* Lower-case hex, NUL-terminated. */
void sha256_hex(const uint8_t hash[32], char out[65]);
const char *sha256_engine(void); /* "sha-ni" or "plain", for `weir version` and tests */

#endif
