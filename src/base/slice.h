/* A borrowed view of bytes. Owns nothing; whoever hands one out says who lends and until when. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p; /* may be NULL when n == 0 */
    size_t n;
};

#define SLICE(lit) ((struct slice){("" lit), sizeof(lit) - 1}) /* string literals only */

static inline struct slice slice_make(const char *p, size_t n)
{
    struct slice s = {p, n};
    return s;
}

static inline struct slice slice_str(const char *nul_terminated)
{
    return slice_make(nul_terminated, strlen(nul_terminated));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* ASCII case folding only: bytes >= 0x80 compare as they are. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
/* First position of needle, or -1. The _nocase form folds ASCII. */
ptrdiff_t slice_find(struct slice s, struct slice needle);
ptrdiff_t slice_find_nocase(struct slice s, struct slice needle);
ptrdiff_t slice_find_char(struct slice s, char c);

/* Bytes from `from` on (clamped). */
static inline struct slice slice_from(struct slice s, size_t from)
{
    if (from > s.n)
        from = s.n;
    return slice_make(s.n ? s.p + from : s.p, s.n - from);
}

static inline struct slice slice_first(struct slice s, size_t n)
{
    return slice_make(s.p, n < s.n ? n : s.n);
}

/* Without SP, HT, CR and LF at both ends. */
struct slice slice_trim(struct slice s);

/* Decimal digits only, the whole slice, no sign, no overflow; false otherwise. */
bool slice_u64(struct slice s, uint64_t *out);
/* The same with an optional leading '-'. */
bool slice_i64(struct slice s, int64_t *out);

/* Compares without early exit; for secrets. The length is not secret. */
bool slice_eq_const_time(struct slice a, struct slice b);

#endif
