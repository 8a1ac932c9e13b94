/* Trust anchors from a PEM bundle: names and keys of the CAs (and of single servers) that upstreams are checked against. */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "net/cert.h"

struct trust; /* a set of anchors; immutable after load */

struct trust_anchor {
    struct slice name; /* the subject, as it stands in the certificate */
    struct cert_key key;
    bool is_ca;        /* false: trusted as itself only, signs nothing */
};

/* All CERTIFICATE blocks of a PEM text (others are skipped); memory from the arena, which must outlive the set; the
 * text may go. Own base64 decoder and DER walk (BearSSL's take 23 ms for a system bundle, this 1 ms). NULL with *why when
 * none is usable. *skipped counts certificates that can't serve: damaged, or a key other than RSA-2048..4096 and the
 * NIST curves. Twins (same name and key) are kept once. why and skipped may be NULL. */
struct trust *trust_load(struct slice pem, struct arena *a, unsigned *skipped, const char **why);
unsigned trust_count(const struct trust *t);

/* Differs between any two sets ever loaded: what was accepted under one set says nothing about another. */
uint64_t trust_serial(const struct trust *t);
/* The anchors with this subject: the first when after is NULL, else the next one; NULL when there is none. */
const struct trust_anchor *trust_find(const struct trust *t, struct slice name, const struct trust_anchor *after);

#endif
