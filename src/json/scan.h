/* Strict JSON (RFC 8259) in two steps: a one-pass check of our own, then jsmn tokens on small spans
 * that passed it. jsmn alone accepts far too much and turns quadratic; see README "JSON".
 * Pure: no allocation beyond what the caller hands in, no globals but the chosen SIMD routine. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/result.h"
#include "base/slice.h"

/* ---- The check: fed as bytes arrive, any split gives the same verdict. ---- */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* One member of a top-level object; offsets count from the first byte ever fed. */
struct json_member {
    uint32_t key_off, key_len; /* between the quotes, as written */
    uint32_t val_off, val_len; /* the whole value; a string includes its quotes */
    uint8_t type;              /* enum json_type */
    bool key_escaped;          /* the key holds a backslash: compare unescaped (json_key_eq_nocase) */
};

struct json_check {
    uint64_t consumed;         /* bytes fed so far; after PARSE_BAD the same as bad_at */
    uint64_t bad_at;           /* the first byte that no valid document has there, valid after PARSE_BAD */
    const char *why;           /* static text, NULL until PARSE_BAD */
    uint64_t tokens;           /* values and keys begun so far: what jsmn will need */
    uint8_t top_type;          /* enum json_type of the document, valid once a byte of it was seen */
    uint32_t members;          /* found at the top level, also those that did not fit */
    struct json_member *member;/* caller's memory of member_cap entries, or NULL */
    uint32_t member_cap;
    /* private: json/scan.c says what each is for */
    uint8_t at, depth;
    uint8_t str, more, more_min, more_max, hex_left;
    uint8_t num;
    bool low_half;
    uint16_t code;
    uint64_t stack;
    const char *literal;
    struct json_member now;
};

/* Starts a check. member/cap: where to record top-level members in order (may be NULL, 0). */
void json_check_init(struct json_check *c, struct json_member *member, uint32_t cap);
/* Feeds the next bytes (n may be 0): PARSE_MORE while all is well, PARSE_BAD for ever after an error.
 * More than cap top-level members is not an error here: compare c->members with the cap. */
enum parse json_check_feed(struct json_check *c, const char *p, size_t n);
/* End of input: PARSE_DONE when exactly one document was there, else PARSE_BAD. */
enum parse json_check_end(struct json_check *c);

/* The same on one whole text; false with *bad_at and *why set (either may be NULL). */
bool json_valid(struct slice text, uint64_t *bad_at, const char **why);

/* Name of the SIMD level in use ("avx2", "sse2", "neon", "word"), for tests, bench and `weir version`.
 * json_simd_force chooses one by name for tests; false when this machine lacks it. */
const char *json_simd(void);
bool json_simd_force(const char *name);

/* ---- Tokens: jsmn on a text that is checked first, for small documents that we read. ---- */

struct json_doc {
    struct slice text;
    void *tok;  /* jsmntok_t[], in the caller's arena */
    int count;
};

/* Checks and tokenises text. Tokens live in the arena, text is borrowed; both must outlive the doc.
 * False: not valid, more than JSON_TOKENS_MAX tokens, or the arena is full. Token 0 is the root. */
MUST_USE bool json_parse(struct json_doc *d, struct slice text, struct arena *a);

/* All take a token index; -1 is accepted everywhere and means "absent". */
enum json_type json_type_of(const struct json_doc *d, int tok);        /* absent: JSON_NULL */
/* Value of an object's member whose key equals name exactly after unescaping; the last one wins. */
int json_get(const struct json_doc *d, int object, const char *name);
/* Walks "error.code", "choices.0.delta.content": a number indexes an array. */
int json_path(const struct json_doc *d, int from, const char *path);
int json_size(const struct json_doc *d, int tok);                       /* members or elements */
int json_first(const struct json_doc *d, int container);                /* first element, or first key of an object */
int json_next(const struct json_doc *d, int tok);                       /* next sibling (or next key); -1 at the end */
int json_value(const struct json_doc *d, int key);                      /* value of a key token */
/* Raw text of the token as it stands; a string without its quotes, escapes untouched. */
struct slice json_raw(const struct json_doc *d, int tok);
/* Unescaped string. Points into the text when there is nothing to unescape, else into the arena.
 * False when absent, not a string, or out of memory. May hold NUL bytes. */
bool json_str(const struct json_doc *d, int tok, struct arena *a, struct slice *out);
bool json_str_is(const struct json_doc *d, int tok, const char *expected); /* exact, after unescaping */
bool json_i64(const struct json_doc *d, int tok, int64_t *out);         /* integers only; 1.0 and 1e3 are refused */
bool json_u64(const struct json_doc *d, int tok, uint64_t *out);
bool json_bool(const struct json_doc *d, int tok, bool *out);
bool json_filled(const struct json_doc *d, int tok);                    /* not absent, null, false, "", [] or {} */
/* Line and column (from 1, columns count bytes) of an offset, for messages about a config. */
void json_line_column(struct slice text, size_t offset, unsigned *line, unsigned *column);
size_t json_offset(const struct json_doc *d, int tok);                  /* where the token begins in the text */

/* ---- Strings. ---- */

/* Unescapes the inside of a checked JSON string into out (cap bytes; never longer than the input).
 * Returns the length, or -1 when it does not fit. */
ptrdiff_t json_unescape(struct slice inside, char *out, size_t cap);
/* Whether a key as written (between quotes) equals name, after unescaping, ASCII case folded. Also folds
 * U+212A (Kelvin sign) to k and U+017F (long s) to s, as Go's encoding/json does. */
bool json_key_eq_nocase(struct slice inside, struct slice name);

#endif
