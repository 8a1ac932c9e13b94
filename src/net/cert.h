/* The facts of one X.509 certificate that weir itself looks at, as views into its DER. Pure: checks no signature and
 * trusts nothing; BearSSL does that (net/chain.c). Stricter than BearSSL: what is malformed here is refused. */
#ifndef NET_CERT_H
#define NET_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum cert_key_kind { CERT_KEY_OTHER, CERT_KEY_RSA, CERT_KEY_EC };

struct cert_key {
    enum cert_key_kind kind;
    int curve;      /* EC: 23, 24, 25 (P-256, P-384, P-521: the TLS numbers) */
    struct slice n; /* RSA modulus without leading zeros, or the EC point */
    struct slice e; /* RSA public exponent */
};

struct cert {
    struct slice der;
    struct slice issuer, subject;    /* whole Name elements, as they are compared */
    int64_t not_before, not_after;   /* epoch seconds */
    struct cert_key key;
    struct slice alt_names;          /* content of the subjectAltName sequence; n 0: none */
    bool is_ca;                      /* basicConstraints says so */
    bool for_server;                 /* no extended key usage, or one that has serverAuth or "any" */
    bool name_constraints;           /* has that extension, critical or not */
};

/* False: not a certificate, or one no sane issuer writes (an extension twice, bad dates, trailing bytes). */
bool cert_parse(struct slice der, struct cert *out);
/* One of the iPAddress names equals these n bytes (4 or 16). */
bool cert_has_ip(const struct cert *c, const uint8_t *ip, size_t n);

#endif
