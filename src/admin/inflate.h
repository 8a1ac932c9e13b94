/* Raw DEFLATE (RFC 1951) into a buffer of known size. */
#ifndef ADMIN_INFLATE_H
#define ADMIN_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"

/* True when the stream is well-formed, ends within in_len bytes and makes exactly out_len bytes. Reads and writes nothing beyond
 * either, whatever the input. */
MUST_USE bool inflate(const unsigned char *in, size_t in_len, unsigned char *out, size_t out_len);

#endif
