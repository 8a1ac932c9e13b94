/* Resources as the API shows and takes them. */
#ifndef ADMIN_RENDER_H
#define ADMIN_RENDER_H

#include "admin/registry.h"
#include "json/out.h"

/* One resource as an object of the contract. `token`: shown this once; empty: not. */
void render_resource(struct json_out *o, const struct resource *r, struct slice token, struct arena *a);
/* The head that all have, inside an open object: id, uri, createdAt, updatedAt, createdBy, lastUpdatedBy. */
void render_head(struct json_out *o, const char *path, struct slice id, int64_t created_ms, int64_t updated_ms, struct slice by, struct slice updated_by);
void render_time(struct json_out *o, const char *name, int64_t ms);
/* {"id":..., "uri":...} */
void render_ref(struct json_out *o, const char *name, const char *path, struct slice id);
/* A router as it is read (keys with name and keyRedacted). config: for keys that are written inside it. */
void render_router(struct json_out *o, const struct json_doc *d, int router, struct slice config, struct arena *a);

/* '"' + hex + '"', the same for as long as nothing changes. In the arena. */
struct slice render_etag(const struct resource *r, struct arena *a);

/* Calls `write` with more and more room until it fits; {NULL, 0}: ADMIN_ARENA_MAX is not enough. */
typedef void render_fn(struct json_out *o, void *arg);
struct slice render_all(struct arena *a, size_t guess, render_fn *put, void *arg);

#endif
