/* Random names and secrets: letters and digits from the kernel's entropy, none more likely than another. */
#ifndef BASE_TOKEN_H
#define BASE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"

enum {
    TOKEN_LETTERS = 40, /* of a secret: 238 bits */
    ID_LETTERS = 22,    /* of a name: 131 bits */
};

/* prefix and n letters, NUL-terminated, into out. False: no entropy. */
MUST_USE bool token_make(const char *prefix, size_t n, char *out, size_t cap);

#endif
