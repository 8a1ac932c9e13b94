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
/* Each open/value/key call puts the comma that is due. key only inside objects, before each value. json_key_ready
 * (below) takes JSON_KEY of a literal that needs no escape: pasted together when this is compiled, so only a short copy
 * is left. */
void json_open(struct json_out *o, char bracket);  /* '{' or '[' */
void json_close(struct json_out *o, char bracket); /* '}' or ']' */
void json_key(struct json_out *o, const char *name);
#define JSON_KEY(name) SLICE(",\"" name "\":")
void json_out_str(struct json_out *o, struct slice s);
/* At most `max` bytes of s (cut at a character's border, "..." appended when cut). */
void json_out_str_max(struct json_out *o, struct slice s, size_t max);
void json_out_u64(struct json_out *o, uint64_t v);
void json_out_i64(struct json_out *o, int64_t v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
void json_out_raw(struct json_out *o, struct slice valid_json);

/* The comma in front is dropped where none is due. Inline, so that the length is known where it is copied. */
static inline void json_key_ready(struct json_out *o, struct slice key)
{
    if (o->full || key.n > o->cap - o->n) {
        o->full = true;
        return;
    }
    if (o->comma) {
        memcpy(o->p + o->n, key.p, key.n);
        o->n += key.n;
    } else {
        memcpy(o->p + o->n, key.p + 1, key.n - 1);
        o->n += key.n - 1;
    }
    o->comma = false;
}

/* A piece of JSON as it stands, with whatever commas it needs in it; comma: the next item needs one before it. */
static inline void json_out_paste(struct json_out *o, struct slice piece, bool comma)
{
    if (o->full || piece.n > o->cap - o->n) {
        o->full = true;
        return;
    }
    memcpy(o->p + o->n, piece.p, piece.n);
    o->n += piece.n;
    o->comma = comma;
}

/* A word in quotes, as a value: for texts that need no escape because they stand in this program. */
static inline void json_out_word(struct json_out *o, struct slice word)
{
    char *to;

    if (o->full || word.n + 3 > o->cap - o->n) {
        o->full = true;
        return;
    }
    to = o->p + o->n;
    *to = ',';
    to += o->comma;
    *to++ = '"';
    memcpy(to, word.p, word.n);
    to[word.n] = '"';
    o->n = (size_t)(to + word.n + 1 - o->p);
    o->comma = true;
}

/* The text; {NULL,0} when it did not fit. */
static inline struct slice json_out_done(const struct json_out *o)
{
    return o->full ? slice_make(NULL, 0) : slice_make(o->p, o->n);
}

#endif
