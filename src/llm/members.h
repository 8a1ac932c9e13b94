/* One object's members without tokens. members_read checks and gives a view that costs one pass and no memory however large the values are, so
 * that an event that echoes a 200 KB request is read as well as a small one. Pure. */
#ifndef LLM_MEMBERS_H
#define LLM_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
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

/* A member asked for by name in a text that nobody has checked. */
struct member_want {
    struct slice key;    /* with its quotes, free of escapes: SLICE("\"usage\"") */
    ptrdiff_t depth;     /* brackets around it: 1 for a member of the document itself */
    struct slice onward; /* out: the text from its value to the end; empty when it is not there */
};

enum { LLM_WANTS_MAX = 2 };

/* Finds the last member of each name that stands at its depth, searching backwards from the end of an object's text: what a
 * plain answer says of itself stands behind what it says to the client, which is then not even looked at. In valid JSON
 * no string can pass for a key; keys written with escapes are not found. In a text that is not JSON it finds
 * something or nothing. n <= LLM_WANTS_MAX. */
void members_from_end(struct slice text, struct member_want *want, unsigned n);
/* Brackets opened minus brackets closed. text begins outside of any string. */
ptrdiff_t bracket_sum(struct slice text);

/* rest begins behind a key: the text from the value on; empty when no ':' follows. */
struct slice value_behind(struct slice rest);
/* Past a JSON string's inside, from p on: at its closing quote, or NULL when the end comes first. */
const char *string_end(const char *p, const char *end);
/* The inside of the string that text begins with; empty when it begins with none or does not hold its end. */
struct slice word_at(struct slice text);
/* Copies a word, cut to what fits; an empty one leaves out as it was. */
void word_keep(char out[24], struct slice word);

#endif
