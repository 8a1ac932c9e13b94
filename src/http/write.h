/* Emits heads and chunk framing into memory the caller gives. The one place where header bytes leave:
 * it refuses control bytes in any value, and names that are not tokens, whatever the caller checked. Pure. */
#ifndef HTTP_WRITE_H
#define HTTP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "http/head.h"

struct http_out {
    char *p;
    size_t n, cap;
    bool bad; /* sticky: did not fit, or a byte that may not be in a head. What was refused left no byte behind */
};

void http_out_init(struct http_out *o, char *memory, size_t cap);
/* "METHOD prefix+path[?query] HTTP/1.1\r\n". The method is a token, prefix+path begins with '/', and all bytes are
 * those that head.h accepts in a target. */
void http_out_request(struct http_out *o, struct slice method, struct slice prefix, struct slice path,
                      struct slice query);
/* "HTTP/1.1 503 Service Unavailable\r\n"; 100..599. */
void http_out_status(struct http_out *o, unsigned status);
/* "name: value\r\n". Blanks at the ends of the value are written, and cut by every reader. */
void http_out_field(struct http_out *o, struct slice name, struct slice value);
/* The same for a name of this program, given as "name: " so that it is neither checked nor put together. */
void http_out_ready(struct http_out *o, struct slice name_colon_space, struct slice value);
void http_out_field2(struct http_out *o, struct slice name, struct slice a, struct slice b); /* value is a then b */
void http_out_field_u64(struct http_out *o, struct slice name, uint64_t value);
void http_out_length(struct http_out *o, uint64_t value); /* content-length */
/* Whole field lines of any origin: checked, refused whole. */
void http_out_raw(struct http_out *o, struct slice emitted_before);
/* Whole lines as they stand in this program or in a head that was parsed (http_field.whole_line), or that these functions made of such:
 * each byte of them was judged by the same classes, so they are only copied. Debug builds judge them again, and stop. */
void http_out_keep(struct http_out *o, struct slice lines);
/* The same for lines of which the caller has seen that each of the count ends with CRLF: refused whole when any other control byte has
 * come into them since they were parsed. */
void http_out_lines(struct http_out *o, struct slice lines, unsigned count);
void http_out_end(struct http_out *o); /* the blank line */
const char *http_reason(unsigned status); /* "" for one without a standard phrase */

enum { HTTP_CHUNK_HEAD_MAX = 18 };
/* "1a2b\r\n" into out; returns its length. For the last chunk, payload 0, "\r\n" is still to follow. */
size_t http_chunk_head(char out[HTTP_CHUNK_HEAD_MAX], size_t payload);

#endif
