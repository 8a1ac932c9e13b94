/* PEM text (RFC 7468) to DER: finds the blocks and decodes their base64. Pure. */
#ifndef NET_PEM_H
#define NET_PEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/result.h"
#include "base/slice.h"

struct pem_block {
    struct slice label; /* "CERTIFICATE", "PRIVATE KEY", ...: points into the text */
    struct slice der;   /* points into the caller's buffer */
};

/* The next block of *text, which is moved past it; text between blocks is skipped. The block is decoded into out.
 * PARSE_MORE: no further block. PARSE_BAD: a block that is damaged, encrypted, or larger than cap; *text is past its
 * first line, so that calling again finds the next one. label is set in that case too (NULL when the line is cut). */
enum parse pem_next(struct slice *text, uint8_t *out, size_t cap, struct pem_block *block);

#endif
