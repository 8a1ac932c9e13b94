/* The check of a server's certificate chain: BearSSL's validator, the rules it lacks, and a cache of accepted chains.
 *
 * The TLS engine hands the certificates over in one synchronous callback, but checking them can take several
 * milliseconds. So the callback only collects them and says yes for the time being; tls.c then feeds the engine no
 * further byte and sends nothing until chain_step() has accepted the chain, a piece per turn of the loop. The signature by which
 * the server proves that it has the leaf's key is treated alike. */
#ifndef NET_CHAIN_H
#define NET_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bearssl.h"

#include "base/limits.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/cert.h"
#include "net/ec_steps.h"
#include "net/trust.h"

enum {
    CHAIN_CERTS_MAX = 10,    /* public chains have 2 to 4 */
    CHAIN_BYTES_MAX = 16384, /* and are below 8 KB even with RSA-4096 */
    CHAIN_ANCHORS_MAX = 4,   /* anchors of one name: a CA with an old and a new key */
};

enum chain_state {
    CHAIN_AWAITED,  /* no Certificate message yet */
    CHAIN_READING,  /* in the middle of it */
    CHAIN_COMPLETE, /* all there: chain_step() is due */
    CHAIN_CHECKING, /* some certificates are checked */
    CHAIN_ACCEPTED,
    CHAIN_PROVING,  /* the key exchange's signature is there: chain_step() is due again */
    CHAIN_PROVED,   /* it is right. A server with an RSA key stays at ACCEPTED: its signature is checked by the engine */
    CHAIN_REFUSED,
};

struct chain {
    /* private */
    const br_x509_class *vtable; /* BearSSL finds its methods here: must be first */
    enum chain_state state;
    const struct trust *trust;
    char host[HOST_MAX + 3];     /* NUL-terminated */
    struct addr ip;              /* family 0: host is a name */
    uint8_t *data;               /* the certificates, one after another; a block of the budget */
    size_t data_size, data_n;
    size_t cert_end[CHAIN_CERTS_MAX];
    unsigned count;
    bool too_long, no_memory;
    int64_t good_until_s;        /* epoch: first notAfter on the path */
    uint8_t key[32];             /* of the cache */
    unsigned path_end, fed;      /* the path is certificate 0..path_end; so many were given to the validator */
    unsigned replayed;           /* and so many before it had to start over */
    br_x509_pkey pkey;           /* of the leaf, pointing into data */
    br_x509_trust_anchor anchor[CHAIN_ANCHORS_MAX];
    uint8_t proof_hash[64], proof[160]; /* of the key exchange */
    size_t proof_hash_n, proof_n;
    br_x509_minimal_context check;
    struct ec_steps ec;
};

/* host: lower case, no trailing dot, 1..HOST_MAX bytes, no NUL; a name or an IP literal. */
void chain_init(struct chain *c, const struct trust *trust, struct slice host);
/* Gives the memory back. Safe twice. */
void chain_drop(struct chain *c);
/* To be called before the engine gets bytes: from here on its callbacks mean this chain. */
void chain_select(struct chain *c);
/* The engine's way of verifying the key exchange of a server with an EC key: notes it and says yes for now. */
uint32_t chain_note_proof(const br_ec_impl *impl, const void *hash, size_t hash_n, const br_ec_public_key *key,
                          const void *sig, size_t sig_n);
/* Whether chain_step() is due: then nothing may go to the engine nor to the server. */
static inline bool chain_is_due(const struct chain *c)
{
    return c->state == CHAIN_COMPLETE || c->state == CHAIN_CHECKING || c->state == CHAIN_PROVING;
}
/* A piece of checking, mostly below one millisecond. IO_DONE: accepted (proved). IO_PARKED: more to do, call again. Only
 * when due. *f.sys is BearSSL's code where it has one. */
enum io chain_step(struct chain *c, struct fault *f);
uint64_t chain_cache_hits(void);

#endif
