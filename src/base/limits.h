/* Every fixed maximum, each with its reason. Settings that an operator may change live in conf. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* HTTP */
    HTTP_HEAD_MAX = 32768,        /* spec 2: a longer request head is 431; the same for upstream heads */
    HTTP_TARGET_MAX = 8192,       /* RFC 9112 3 recommends at least 8000 octets */
    HTTP_FIELDS_MAX = 100,        /* SDKs send about 20; beyond this it is an attack */
    HTTP_CHUNK_EXT_MAX = 1024,    /* per message; nobody uses them (CVE-2023-39326) */
    HTTP_TRAILER_MAX = 4096,      /* parsed and dropped */
    HTTP_INTERIM_MAX = 8,         /* 1xx heads before the real one */
    HTTP_DRAIN_MAX = 65536,       /* body bytes read and dropped after an early answer, before closing */

    /* JSON */
    JSON_DEPTH_MAX = 64,          /* spec 2 */
    JSON_MEMBERS_MAX = 256,       /* top-level members of a request; the APIs define about 40 */
    JSON_TOKENS_MAX = 4096,       /* one event, error body or small request value, 20 bytes each */
    JSON_KEY_MAX = 128,           /* a key the gateway acts on, unescaped; longer ones are nobody's */

    /* requests */
    MODELS_MAX = 32,              /* spec 2: entries of `models` */
    MODEL_ID_MAX = 256,           /* the longest in the wild is below 120 */
    ATTEMPTS_MAX = 64,            /* whole queue of one request (faults.md, budgets) */
    ERROR_BODY_MAX = 65536,       /* of an upstream's error that is read; the rest is dropped */
    TOKEN_MAX = 512,              /* an access key as a client sends it */

    /* relay */
    HOLD_MAX = 65536,             /* stream bytes held back before commit (spec 6) */
    EVENT_TAIL_MAX = 65536,       /* an incomplete event waits up to this, then flows (spec 6) */
    PLAIN_HOLD_MAX = 1048576,     /* a plain answer up to this commits only when complete (spec 5) */
    CLIENT_OUT_MAX = 262144,      /* bytes buffered for a slow client (spec 6) */

    /* loop */
    READ_MAX = 65536,             /* one recv, into the loop's shared buffer */
    LOOP_EVENTS_MAX = 256,        /* one epoll_wait */
    ACCEPTS_PER_WAKE = 64,        /* others get their turn */
    TURN_BYTES_MAX = 262144,      /* one connection, one wake-up */

    /* names and addresses */
    HOST_MAX = 253,               /* RFC 1035 2.3.4 */
    ADDRESSES_MAX = 16,           /* kept of one name's answer */
};

#endif
