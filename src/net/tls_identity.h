/* The inside of a server's identity, for net/tls.c; tls_identity_load is declared in net/tls.h, which needs no BearSSL. */
#ifndef NET_TLS_IDENTITY_H
#define NET_TLS_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "bearssl.h"

#include "net/tls.h"

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

/* Makes cc a server with this identity, sessions included (the engine's other settings are the caller's). */
void identity_use(const struct tls_identity *id, br_ssl_server_context *cc);

#endif
