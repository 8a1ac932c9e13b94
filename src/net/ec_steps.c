/* Signature checks in pieces: see ec_steps.h. The sum x*Q + y*G is built from the top of both numbers, some bytes at a
 * time (Horner's rule): sum = sum * 2^(8w) + x_i*Q + y_i*G, where each piece is one muladd of short numbers.
 *
 * BearSSL's muladd needs numbers other than zero and points other than infinity, and says so by its result: any 0 makes the
 * whole answer "refused". Good signatures meet such a piece with a chance of 2^-88 or less. */
#include "net/ec_steps.h"

#include <string.h>

/* BearSSL passes no context to its callbacks, and there is one thread. */
static struct ec_steps *current;

/* Bytes of both numbers per piece: 0.5 to 1.2 ms each. P-256 has fast code of its own and goes in one. */
static size_t piece_len(const struct ec_job *j)
{
    return j->curve == BR_EC_secp384r1 ? 16 : j->curve == BR_EC_secp521r1 ? 11 : j->scalar_len;
}

static uint32_t muladd_later(unsigned char *a, const unsigned char *b, size_t len, const unsigned char *x, size_t xlen,
                             const unsigned char *y, size_t ylen, int curve)
{
    struct ec_steps *s = current;

    if (!s || b || xlen != ylen || xlen > EC_SCALAR_MAX || len > EC_POINT_MAX)
        return 0; /* not what verifying asks for */
    for (unsigned i = 0; i < s->count; i++) {
        const struct ec_job *j = &s->job[i];

        if (j->curve != curve || j->point_len != len || j->scalar_len != xlen || memcmp(j->q, a, len) != 0 ||
            memcmp(j->x, x, xlen) != 0 || memcmp(j->y, y, xlen) != 0)
            continue;
        if (j->done && j->good)
            memcpy(a, j->sum, len);
        s->wanted |= !j->done;
        return j->done && j->good;
    }
    if (s->count == EC_JOBS_MAX) {
        s->too_many = true;
        return 0;
    }
    struct ec_job *j = &s->job[s->count++];
    memset(j, 0, sizeof *j);
    j->curve = curve;
    j->point_len = len;
    j->scalar_len = xlen;
    memcpy(j->q, a, len);
    memcpy(j->x, x, xlen);
    memcpy(j->y, y, xlen);
    s->wanted = true;
    return 0;
}

const br_ec_impl *ec_steps_use(struct ec_steps *s)
{
    static br_ec_impl impl;

    if (!impl.muladd) {
        impl = *br_ec_get_default();
        impl.muladd = muladd_later;
    }
    current = s;
    s->wanted = s->too_many = false;
    return &impl;
}

static void finish(struct ec_job *j, bool good)
{
    j->done = true;
    j->good = good;
}

/* Where a piece of either number is zero, short numbers don't work: all at once then. It takes a forger to get here. */
static bool has_zero_piece(const struct ec_job *j, size_t w)
{
    for (size_t at = 0; at < j->scalar_len; at += w) {
        unsigned char some_x = 0, some_y = 0;

        for (size_t i = at; i < at + w && i < j->scalar_len; i++) {
            some_x |= j->x[i];
            some_y |= j->y[i];
        }
        if (!some_x || !some_y)
            return true;
    }
    return false;
}

bool ec_steps_waiting(const struct ec_steps *s)
{
    return s->count > 0 && !s->job[s->count - 1].done; /* they are done in order */
}

bool ec_steps_run(struct ec_steps *s)
{
    const br_ec_impl *ec = br_ec_get_default();
    struct ec_job *j = s->job, *end = s->job + s->count;
    static const unsigned char one = 1;

    while (j < end && j->done)
        j++;
    if (j == end)
        return false;
    size_t w = piece_len(j);
    if (w >= j->scalar_len || (j->at == 0 && has_zero_piece(j, w))) {
        memcpy(j->sum, j->q, j->point_len);
        finish(j, ec->muladd(j->sum, NULL, j->point_len, j->x, j->scalar_len, j->y, j->scalar_len, j->curve));
        return true;
    }
    if (!j->added) {
        /* part = x_i*Q + y_i*G. All pieces are full: 48 = 3*16, 66 = 6*11. */
        unsigned char *to = j->at ? j->part : j->sum;

        memcpy(to, j->q, j->point_len);
        if (!ec->muladd(to, NULL, j->point_len, j->x + j->at, w, j->y + j->at, w, j->curve)) {
            finish(j, false);
            return true;
        }
        j->added = j->at > 0;
        j->at += j->added ? 0 : w;
    } else {
        unsigned char shift[EC_SCALAR_MAX] = {1};

        if (!ec->muladd(j->sum, j->part, j->point_len, shift, w + 1, &one, 1, j->curve)) {
            finish(j, false);
            return true;
        }
        j->added = false;
        j->at += w;
    }
    if (j->at == j->scalar_len)
        finish(j, true);
    return true;
}
