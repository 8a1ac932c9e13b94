/* A pull reader over a config text whose grammar was checked before: the caller's loops follow the shape of the settings,
 * each value is read once, in place, at any size, and every complaint carries line and column. Errors are sticky: after the
 * first one every call does nothing and loops end, so that callers look once, at their end. */
#ifndef CONF_READ_H
#define CONF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "conf/conf.h"
#include "json/scan.h"

/* A range of the text in which strings are what they are: no "env:", no "file:". */
struct literal {
    size_t at, n;
};

struct reader {
    struct slice text;          /* checked JSON */
    size_t at;                  /* start of the next value, or just behind the last one */
    struct conf_error *error;
    bool failed;
    struct arena *scratch;      /* for unescaped strings and files; gone after the load */
    const struct conf_env *env;
    const struct literal *literal;
    uint32_t nliteral;
};

/* One object being walked. names ends with NULL; NULL itself: keys are free and `key` holds the present one. */
struct read_object {
    const char *const *names;
    struct slice key;      /* unescaped; in the text or the scratch arena */
    size_t key_at;         /* where the present key stands */
    size_t at;             /* where the object begins */
    const char *what;      /* what the object is, for messages */
    uint32_t seen;         /* bit per name */
    uint32_t nulls;        /* names whose null is handed to the caller; all other nulls count as absent */
    bool open;
};

struct read_array {
    const char *what;
    bool open;
};

/* Notes the first error, at an offset of the text (READ_NOWHERE: about no place in it). Always returns false. */
enum { READ_NOWHERE = -1 };
__attribute__((format(printf, 3, 4))) bool read_fail(struct reader *r, ptrdiff_t at, const char *format, ...);

/* Begins an object; what names it in messages. False (and failed) when the value is something else. */
bool read_object(struct reader *r, struct read_object *o, const char *what, const char *const *names);
/* Next member whose value is to be read now: index into names (0 when keys are free), -1 at the end or after an error.
 * Unknown names (the nearest ones are proposed) and names given twice are errors. */
int read_member(struct reader *r, struct read_object *o);
/* False (and failed) unless the named member was there. */
bool read_need(struct reader *r, const struct read_object *o, int name);

bool read_array(struct reader *r, struct read_array *a, const char *what);
bool read_element(struct reader *r, struct read_array *a); /* true: its value is to be read now */

enum json_type read_type(const struct reader *r); /* of the value at hand */
void read_skip(struct reader *r);                 /* over it */
uint32_t read_count(struct reader *r);            /* elements or members of the array or object at hand; does not move; 0 else */

/* A string as it stands (unescaped), no indirection; for ids and names. *at (may be NULL): where it begins. */
bool read_string(struct reader *r, const char *what, struct slice *out, size_t *at);
/* A string setting: "env:NAME" and "file:PATH" are followed, the result is trimmed at both ends and never empty.
 * maybe_unset: a variable that is not set or empty gives an empty slice and true instead of an error. */
bool read_setting(struct reader *r, const char *what, bool maybe_unset, struct slice *out, size_t *at);

/* Values that may also come through "env:" and "file:". */
bool read_bool(struct reader *r, const char *what, bool *out);
bool read_u64(struct reader *r, const char *what, uint64_t min, uint64_t max, uint64_t *out);
bool read_u32(struct reader *r, const char *what, uint32_t min, uint32_t max, uint32_t *out);
bool read_size(struct reader *r, const char *what, uint64_t min, uint64_t max, uint64_t *out); /* 1024 or "256MiB" */
bool read_duration(struct reader *r, const char *what, uint32_t min_ms, uint32_t *ms);
/* Dollars as a JSON number with at most six decimals, times 1000000. */
bool read_millionths(struct reader *r, const char *what, uint64_t *out);

/* " (did you mean \"a\" or \"b\"?)" or " (known: ...)" for a name that is none of names; "" when there are none. */
void read_suggest(struct slice name, const char *const *names, char *out, size_t cap);

#endif
