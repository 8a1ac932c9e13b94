/* Reads usage objects, in every spelling seen (quirks.md "Bodies"). Pure. */
#ifndef LLM_USAGE_H
#define LLM_USAGE_H

#include <stdbool.h>

#include "base/slice.h"
#include "llm/stream.h"

/* Reads the object that `text` begins with into *u; what follows it is not looked at. False, *u untouched: not an object,
 * no count in it, or an absurd one.
 * u->input is all of the prompt, what was read from or written to a cache included, on every surface.
 * On `messages`, a count that is absent keeps what u held before: message_delta restates only some. */
bool usage_read(struct slice text, enum surface surface, struct llm_usage *u);

#endif
