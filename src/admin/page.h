/* The dashboard's files and the API's description, compiled in: an exact-match table from path to bytes. No file is opened, no path is put together. */
#ifndef ADMIN_PAGE_H
#define ADMIN_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct page_asset {
    const char *path;     /* "/", "/app.js" */
    const char *type;     /* Content-Type */
    const char *etag;     /* strong, with its quotes: it names the text, not one encoding of it, and gets "W/" where that matters */
    const unsigned char *packed; /* gzip */
    uint32_t packed_len, len;    /* len: of the text */
};

/* What every answer with one of the files has to carry: nothing from elsewhere, nothing inline, in nobody's frame (S-56). */
extern const char page_policy[];

/* The asset of exactly that path (no query), or NULL. Lives for ever. */
const struct page_asset *page_find(struct slice path);
/* The i-th one; NULL behind the last. */
const struct page_asset *page_at(uint32_t i);
/* Whether a client with that Accept-Encoding value (empty: none sent) takes the packed form. */
bool page_packed_for(struct slice accept_encoding);
/* For the few that don't: writes the text, a->len bytes, to out. False when the packed form is damaged. */
bool page_unpack(const struct page_asset *a, unsigned char *out);

#endif
