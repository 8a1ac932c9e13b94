/* Reads requests as weir reads them and says what it saw: the side of weir in test_differential.py. Not a test by itself.
 * Input: for each case four bytes of length, low byte first, and the bytes. Output: a line for each,
 *   bad STATUS | more | ok METHOD TARGET MINOR KEEP BODY
 * with target and body in hex ("-" when empty), KEEP 0 or 1. "more": head or body is not complete. */
#include <stdio.h>
#include <stdlib.h>

#include "http/body.h"
#include "http/head.h"

static void put_hex(struct slice s)
{
    if (!s.n)
        putchar('-');
    for (size_t i = 0; i < s.n; i++)
        printf("%02x", (unsigned char)s.p[i]);
}

static void read_case(char *p, size_t n)
{
    static struct http_request r;
    struct http_bad bad;
    struct http_body body;
    size_t seen = 0, used = 0, out = 0;

    switch (http_request_parse(&r, p, n, &seen, &bad)) {
    case PARSE_BAD:
        printf("bad %u\n", bad.status);
        return;
    case PARSE_MORE:
        puts("more");
        return;
    case PARSE_DONE:
        break;
    }
    printf("ok %.*s ", (int)r.method_text.n, r.method_text.p);
    put_hex(r.target);
    printf(" %u %d ", r.minor, r.keep_alive);
    http_body_init(&body, r.framing, r.length);
    /* In place: the slices of the head stand in front of what is decoded here. */
    switch (http_body_decode(&body, p + r.head_len, n - r.head_len, &used, &out)) {
    case PARSE_BAD:
        puts("bad");
        return;
    case PARSE_MORE:
        puts("more");
        return;
    case PARSE_DONE:
        break;
    }
    put_hex(slice_make(p + r.head_len, out));
    putchar('\n');
}

int main(void)
{
    unsigned char size[4];

    while (fread(size, 1, 4, stdin) == 4) {
        size_t n = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
        char *p = malloc(n + 1); /* of its own, so that a sanitizer sees a read behind the end */

        if (!p || fread(p, 1, n, stdin) != n)
            return 1;
        read_case(p, n);
        free(p);
    }
    return fflush(stdout) ? 1 : 0;
}
