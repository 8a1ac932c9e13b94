/* A loaded thing that several users hold, with the memory it lives in: trust anchors, the server's identity. The last put gives all of it
 * back. For start-up and admin-time only (heap). */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stdint.h>

#include "base/arena.h"

struct shared {
    const void *what;   /* lies in arena; whoever makes it knows the type */
    struct arena arena;
    /* private */
    uint32_t refs;
};

/* With one reference; `most` bounds its arena. NULL: no memory. */
struct shared *shared_create(size_t most);
/* Both are harmless on NULL; get returns its argument. */
struct shared *shared_get(struct shared *s);
void shared_put(struct shared *s);

#endif
