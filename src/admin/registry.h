/* The resources of the admin API but for access keys (conf/keyring.h): those of the config file, which can't be changed, and those made over the
 * API, which are stored. A change is tried on a whole config first, then stored, then in force: all of it or nothing. */
#ifndef ADMIN_REGISTRY_H
#define ADMIN_REGISTRY_H

#include "admin/fields.h"
#include "base/list.h"
#include "conf/conf.h"

struct resource {
    struct list node;           /* of its kind, oldest first */
    enum kind_id kind;
    struct slice id, body;      /* body: an object with the kind's fields, without secrets */
    struct slice name, provider; /* members "name" and "providerId" of the body, as texts; of a made one only */
    struct slice secret;        /* a provider key's value, wiped with it */
    struct slice redacted;      /* of the secret or token */
    struct slice by, updated_by;
    uint8_t sha256[32];         /* of an API key's token */
    int64_t created_ms, updated_ms, used_ms; /* used_ms 0: not since the start */
    uint32_t revision;
    bool from_file;
    bool left_out;              /* it does not fit the config any more, and has no effect until it does */
    uint32_t size;              /* private: of a made one */
};

/* A new one in memory of its own, everything copied; NULL: no memory. registry_free wipes it. */
struct resource *registry_make(const struct resource *r);
void registry_free(struct resource *r);

/* NULL: none. Those of the file are found too. */
struct resource *registry_find(enum kind_id kind, struct slice id);
struct resource *registry_newest(enum kind_id kind);
struct resource *registry_older(const struct resource *r); /* the one made before; NULL: none */
uint32_t registry_count(enum kind_id kind);

/* For store_options.load. False: not a resource of these kinds. */
bool registry_load(const struct store_change *c, int64_t time_ms);

/* The config that `text` and all resources make. What was stored and does not fit (the file took its id, or dropped what it refers to) is left out with a
 * warning in the log when `lenient`, as at start and reload; else it is a refusal. text.p NULL: there is no file. NULL with why. */
struct conf *registry_build(struct slice text, bool lenient, char *why, size_t cap);
/* The file's own resources, for lists; after registry_build of the same text. */
bool registry_show_file(struct slice text);

enum { CHANGE_MAX = 32 };
struct change {
    enum { CHANGE_PUT, CHANGE_DELETE } op;
    struct resource *r;         /* PUT: a made one, which takes the place of the one of its id; DELETE: the present one */
};
/* All n as one. Takes the made ones. Answers c itself when it is refused (422, 409, 503), else calls done, from the loop, when it is durable and in force. */
void registry_change(struct admin_call *c, const struct change *change, uint32_t n, void (*done)(struct admin_call *c));
/* Changes go one after the other: false, and `run` will be called again, while another one is under way. Every handler that writes begins with it. */
bool registry_turn(struct admin_call *c, admin_handler *run);
/* For a change that is made elsewhere: the turn is c's until it is released (harmless when it is not c's). */
void registry_hold(struct admin_call *c);
void registry_release(struct admin_call *c);

/* Between a resource and what the store holds of it; the slices lie in the arena, the resource or the change. False: no memory; not readable. */
bool registry_stored(const struct resource *r, struct arena *a, struct store_change *out);
bool registry_read(const struct store_change *c, enum kind_id kind, struct arena *a, struct resource *out);

/* The whole config as it would be with r besides (made, and freed by the caller). NULL: answered with 422. Only in one's turn. */
struct conf *registry_try(struct admin_call *c, struct resource *r);

/* Error of a store refusal: 503. */
void registry_refuse_store(struct admin_call *c, const char *why);

#endif
