/* A server's own certificate chain and private key. */
#ifndef NET_TLS_IDENTITY_H
#define NET_TLS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "bearssl.h"

#include "base/arena.h"
#include "base/slice.h"

enum {
    IDENTITY_CERTS_MAX = 10,
    IDENTITY_SESSIONS = 512,        /* of clients that resume; 100 bytes each */
    IDENTITY_SESSION_MS = 30 * 60000,
};

struct tls_identity {
    const br_ssl_session_cache_class *sessions; /* BearSSL hands back a pointer to this: must be first */
    br_x509_certificate chain[IDENTITY_CERTS_MAX];
    size_t count;
    int key_type;                   /* BR_KEYTYPE_RSA or BR_KEYTYPE_EC */
    br_rsa_private_key rsa;
    br_ec_private_key ec;
    struct tls_session *session;    /* IDENTITY_SESSIONS of them, by session id */
};

struct tls_session {
    br_ssl_session_parameters params;
    int64_t until_ms;
};

/* From PEM texts (chain, leaf first; one unencrypted EC or RSA key as PKCS#1, SEC1 or PKCS#8). NULL with *why. Checks
 * that key and leaf belong together. Memory from the arena, which must outlive the identity; the texts may go. */
struct tls_identity *tls_identity_load(struct slice chain_pem, struct slice key_pem, struct arena *a, const char **why);
/* Makes cc a server with this identity, sessions included (the engine's other settings are the caller's). */
void identity_use(const struct tls_identity *id, br_ssl_server_context *cc);

#endif
