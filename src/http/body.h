/* Body framing (RFC 9112 6, 7): content-length, chunked, until close. Resumable at every byte; decodes in
 * place, so what comes out is contiguous at the front of what went in. Pure. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/result.h"
#include "http/head.h"

struct http_body {
    enum http_framing framing;
    uint64_t left;   /* bytes of this body (HTTP_LENGTH) or of this chunk still to come */
    const char *why; /* static, after PARSE_BAD */
    /* private */
    uint64_t framed, carried; /* chunk framing and payload of the whole body so far */
    uint16_t ext_len, trailer_len;
    uint8_t state, digits;
};

void http_body_init(struct http_body *b, enum http_framing framing, uint64_t length);

/* Decodes n bytes at p in place: *out payload bytes now stand at p, *used input bytes were consumed (all of them
 * unless the body ended). PARSE_DONE: the body is complete, and p + *used is what came behind it; a body of no bytes is
 * complete at once, also with n = 0. PARSE_MORE: all consumed. PARSE_BAD: framing error (faults.md H-25...H-33),
 * b->why set; *out bytes before it are good; it stays bad.
 * The verdict does not depend on how the input was split. Trailers are checked and dropped. Limits:
 * HTTP_CHUNK_EXT_MAX and HTTP_TRAILER_MAX bytes per body; and once framing has passed HTTP_FRAMING_FREE bytes, it may
 * be at most eight times the payload (one-byte chunks have five times: slow, but legal). */
enum parse http_body_decode(struct http_body *b, char *p, size_t n, size_t *used, size_t *out);

/* Whether the n bytes are one chunk, whole and in its plainest form, at a place where one begins. Then it is decoded, without being moved: the
 * payload stands behind *head bytes, two bytes follow it, and all of it may be sent on as the chunk it is. Else nothing has happened. */
bool http_body_one_chunk(struct http_body *b, const char *p, size_t n, size_t *head, size_t *payload);

enum { HTTP_FRAMING_FREE = 100 * 1024 }; /* picohttpparser's bound, which no honest sender has met */

/* Whether the end of the connection at this point means a complete body (until-close, or already done). */
bool http_body_may_end(const struct http_body *b);

#endif
