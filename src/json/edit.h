/* Changes a checked document by splicing around byte ranges: every byte that is not replaced stays. */
#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"
#include "base/slice.h"
#include "json/scan.h"

enum {
    JSON_EDITS_MAX = 48, /* model, models, the token limits and parameters to strip */
    JSON_PIECES_MAX = 5 * JSON_EDITS_MAX + 1, /* room that always suffices for json_edit_pieces */
};

/* One changed range of the text. Edits are kept in ascending order and never overlap. */
struct json_edit {
    size_t off, len;
    struct slice with; /* a value; borrowed until the pieces were used */
    struct slice key;  /* of an added member; key.p is NULL otherwise. Borrowed like `with` */
    /* private */
    size_t before;     /* a removed member: where the value before it ends */
    bool removed, first, last; /* the member was removed; it was the first, the last of all */
};

struct json_edits {
    struct slice text;
    struct json_edit edit[JSON_EDITS_MAX];
    size_t count;
    bool failed; /* sticky: too many edits, or overlap */
};

void json_edits_init(struct json_edits *e, struct slice text);
/* Replaces a member's value by other JSON text. */
void json_edit_value(struct json_edits *e, const struct json_member *m, struct slice with);
/* Removes member i of the n recorded ones together with the right comma, so that the rest stays valid, also
 * when neighbours are removed too or all are. */
void json_edit_remove(struct json_edits *e, const struct json_member *members, size_t n, size_t i);
/* Adds `"key":value` as the last member (key is plain ASCII, value is JSON text); works on {} too. */
void json_edit_add(struct json_edits *e, struct slice key, struct slice value);

/* Puts JSON text between two bytes of a value that no other edit touches. */
void json_edit_insert(struct json_edits *e, size_t off, struct slice with);

/* The edited document as pieces of the original text and the replacements, in order, none empty.
 * Returns how many, or -1 when e failed or cap is too small; *total is the length of all. */
int json_edit_pieces(const struct json_edits *e, struct slice *piece, size_t cap, size_t *total);

#endif
