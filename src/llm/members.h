/* One object's members without tokens: a view that costs one pass and no memory however large the values are, so
 * that an event that echoes a 200 KB request is read as well as a small one. Pure. */
#ifndef LLM_MEMBERS_H
#define LLM_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"
#include "base/slice.h"
#include "json/scan.h"

enum { LLM_MEMBERS_MAX = 64 }; /* a response object has 36 members, the widest object that is read here */

struct members {
    struct slice text; /* borrowed */
    uint32_t count;
    struct json_member member[LLM_MEMBERS_MAX];
};

/* False when text is not valid JSON. Another document than an object is valid and has no members; members beyond the
 * maximum are not there. */
MUST_USE bool members_read(struct members *m, struct slice text, enum json_type *top);
/* The value's text (a string with its quotes), empty when absent; the last of equal keys wins, as in every client. */
struct slice members_get(const struct members *m, const char *name, enum json_type *type);
/* A string member's inside as written, escapes untouched: for words that never need one. Empty when absent or no string. */
struct slice members_word(const struct members *m, const char *name);
/* Whether the member holds something: not null, false, 0, "", {} or []. Python's truth, which the official SDKs use. */
bool members_filled(const struct members *m, const char *name);
/* The same of a value's text. */
bool value_filled(struct slice value);
/* Copies a word, cut to what fits; an empty one leaves out as it was. */
void word_keep(char out[24], struct slice word);

#endif
