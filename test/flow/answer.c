/* Reads answers as a client does: see answer.h. */
#include "answer.h"

#include <stdlib.h>

static char *memory;
static size_t memory_cap;

static void make_room(size_t n)
{
    if (n <= memory_cap)
        return;
    memory_cap = n * 2;
    memory = realloc(memory, memory_cap);
    if (!memory)
        abort();
}

struct slice answer_field(const struct answer *a, const char *name)
{
    struct slice rest = a->head;

    while (rest.n) {
        ptrdiff_t end = slice_find(rest, SLICE("\r\n"));
        struct slice line = slice_first(rest, end < 0 ? rest.n : (size_t)end);
        ptrdiff_t colon = slice_find_char(line, ':');

        if (colon > 0 && slice_eq_nocase(slice_first(line, (size_t)colon), slice_str(name)))
            return slice_trim(slice_from(line, (size_t)colon + 1));
        rest = slice_from(rest, line.n + 2);
    }
    return slice_make(NULL, 0);
}

bool answer_has(const struct answer *a, const char *text)
{
    return slice_find(a->body, slice_str(text)) >= 0;
}

/* Copies the payload of chunks; returns the input they took. */
static size_t read_chunks(struct slice s, struct answer *a, size_t *out)
{
    size_t at = 0;

    *out = 0;
    for (;;) {
        struct slice rest = slice_from(s, at);
        ptrdiff_t end = slice_find(rest, SLICE("\r\n"));
        size_t n = 0;

        if (end < 0)
            return at;
        for (ptrdiff_t i = 0; i < end; i++) {
            char c = ascii_lower(rest.p[i]);

            if (c == ';')
                break;
            n = n * 16 + (size_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
        }
        if (rest.n < (size_t)end + 2 + n + 2) { /* what came of it is shown as well */
            size_t have = rest.n > (size_t)end + 2 ? rest.n - (size_t)end - 2 : 0;

            have = have > n ? n : have;
            memcpy(memory + *out, rest.p + end + 2, have);
            *out += have;
            return s.n;
        }
        memcpy(memory + *out, rest.p + end + 2, n);
        *out += n;
        at += (size_t)end + 2 + n + 2;
        if (n == 0) {
            a->complete = true;
            return at;
        }
    }
}

bool answer_read(struct slice s, bool ended, struct answer *a)
{
    ptrdiff_t end = slice_find(s, SLICE("\r\n\r\n"));
    struct slice rest;
    uint64_t n;
    size_t out;

    *a = (struct answer){0};
    if (end < 0 || s.n < 12)
        return false;
    a->head = slice_first(s, (size_t)end + 2);
    a->status = (unsigned)((s.p[9] - '0') * 100 + (s.p[10] - '0') * 10 + (s.p[11] - '0'));
    a->length = (size_t)end + 4;
    rest = slice_from(s, a->length);
    make_room(rest.n + 1);
    if (a->status < 200 || a->status == 204 || a->status == 304) {
        a->complete = true;
    } else if (answer_field(a, "transfer-encoding").n) {
        a->chunked = true;
        a->length += read_chunks(rest, a, &out);
        a->body = slice_make(memory, out);
    } else if (slice_u64(answer_field(a, "content-length"), &n)) {
        out = rest.n < n ? rest.n : (size_t)n;
        memcpy(memory, rest.p, out);
        a->body = slice_make(memory, out);
        a->length += out;
        a->complete = out == n;
    } else {
        a->until_close = true;
        memcpy(memory, rest.p, rest.n);
        a->body = slice_make(memory, rest.n);
        a->length += rest.n;
        a->complete = ended;
    }
    return true;
}
