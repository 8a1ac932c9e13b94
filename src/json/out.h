/* Writes JSON into memory the caller gives. Escapes what RFC 8259 demands, plus nothing that would change
 * the text for a reader. Invalid UTF-8 from outside becomes U+FFFD, so what is written is always valid. */
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct json_out {
    char *p;
    size_t n, cap;
    bool full; /* sticky: something did not fit; the text is not to be used */
    /* private */
    uint8_t depth;
    bool comma; /* the next item of this container needs one before it */
};

void json_out_init(struct json_out *o, char *memory, size_t cap);
/* Each open/value/key call puts the comma that is due. key only inside objects, before each value. */
void json_open(struct json_out *o, char bracket);  /* '{' or '[' */
void json_close(struct json_out *o, char bracket); /* '}' or ']' */
void json_key(struct json_out *o, const char *name);
void json_out_str(struct json_out *o, struct slice s);
/* At most `max` bytes of s (cut at a character's border, "..." appended when cut). */
void json_out_str_max(struct json_out *o, struct slice s, size_t max);
void json_out_u64(struct json_out *o, uint64_t v);
void json_out_i64(struct json_out *o, int64_t v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
void json_out_raw(struct json_out *o, struct slice valid_json);
static inline struct slice json_out_done(const struct json_out *o)
{
    return o->full ? slice_make(NULL, 0) : slice_make(o->p, o->n);
}

#endif
