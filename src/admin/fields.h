/* What may be written about each kind of resource, as data: the contract's create and update schemas, and our additions. What is inside lists and objects
 * is judged by conf, which reads them as if they stood in the config. */
#ifndef ADMIN_FIELDS_H
#define ADMIN_FIELDS_H

#include "admin/call.h"
#include "state/store.h"

enum field_type { FIELD_TEXT, FIELD_OBJECT, FIELD_LIST, FIELD_NUMBER, FIELD_BOOL, FIELD_TYPES };

struct field {
    const char *name;       /* NULL ends a table */
    enum field_type type;
    uint16_t max;           /* of a text, in characters */
    uint8_t flags;
};
enum {
    FIELD_NEEDED = 1,       /* at creation; and never an empty text */
    FIELD_FIXED = 2,        /* can't be changed */
    FIELD_SECRET = 4,       /* never part of the body */
    FIELD_SOLID = 8,        /* null is no value for it, also in an update */
};

struct kind {
    enum store_kind store;
    const char *path, *list, *prefix, *what;
    const struct field *field;
};

enum kind_id { KIND_PROVIDER, KIND_PROVIDER_KEY, KIND_CONFIGURATION, KIND_ACCESS_KEY, KIND_API_KEY, KIND_GATEWAY, KINDS };
extern const struct kind kinds[KINDS];

/* False: already answered with 422 and the field's name. */
bool fields_check(struct admin_call *c, const struct field *f, bool create);
/* The members of old (an object's text; empty: none) changed as the patch says, as an object's text in the arena; {NULL, 0}: no memory. */
struct slice fields_merge(struct arena *a, struct slice old, const struct json_doc *patch, const struct field *f);
/* A token's text as it stands, strings with their quotes. */
struct slice fields_text(const struct json_doc *d, int tok);

#endif
