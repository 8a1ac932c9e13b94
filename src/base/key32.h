/* A key of 32 bytes as people write it. */
#ifndef BASE_KEY32_H
#define BASE_KEY32_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { KEY32 = 32 };

/* 64 hex digits, or base64 (also the URL kind) with or without its '='; blanks around are ignored. False: anything else; out is then
 * unspecified. */
bool key32_parse(struct slice text, uint8_t out[KEY32]);

#endif
