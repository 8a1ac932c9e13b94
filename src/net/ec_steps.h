/* Elliptic-curve signature checks in pieces of about a millisecond, with BearSSL's arithmetic.
 *
 * Verifying is one call of muladd (x*Q + y*G) and a little around it; on P-384 that call takes 3 to 4 ms, which would hold
 * the loop. So the implementation handed to BearSSL here does not compute: a muladd it has no answer for is noted as a job
 * and refused, the caller runs the job over some turns, and verifies again, when the answer is there. A refusal while
 * `wanted` means "ask again later", never "bad signature"; an answer is only ever given for exactly the same numbers. */
#ifndef NET_EC_STEPS_H
#define NET_EC_STEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "bearssl.h"

enum {
    EC_JOBS_MAX = 6,     /* signatures of one chain; public ones have 1 or 2 of this kind */
    EC_POINT_MAX = 133,  /* P-521, uncompressed */
    EC_SCALAR_MAX = 66,
};

struct ec_job {
    int curve;
    size_t point_len, scalar_len, at; /* at: scalar bytes done */
    bool added, done, good;
    unsigned char q[EC_POINT_MAX], x[EC_SCALAR_MAX], y[EC_SCALAR_MAX];
    unsigned char sum[EC_POINT_MAX];  /* x*Q + y*G of the bytes done; the answer at the end */
    unsigned char part[EC_POINT_MAX];
};

struct ec_steps {
    unsigned count;
    bool wanted;   /* a verification since the last ec_steps_use was put off */
    bool too_many; /* or met more signatures than there is room for */
    struct ec_job job[EC_JOBS_MAX];
};

/* The implementation to verify with, until the next call of this with another s. Resets wanted. */
const br_ec_impl *ec_steps_use(struct ec_steps *s);
/* There is a job that is not done. */
bool ec_steps_waiting(const struct ec_steps *s);
/* A piece of the first job that is not done. False: there is none. */
bool ec_steps_run(struct ec_steps *s);

#endif
