/* The result words every layer uses. Not-yet is not an error (style: "Results and faults"). */
#ifndef BASE_RESULT_H
#define BASE_RESULT_H

enum io {
    IO_DONE,   /* progress was made; outputs are valid */
    IO_PARKED, /* nothing to do until the loop calls again */
    IO_FAILED, /* over; a struct fault says why */
};

enum parse {
    PARSE_DONE, /* one whole unit is there */
    PARSE_MORE, /* fine so far, more input needed */
    PARSE_BAD,  /* never going to be valid */
};

/* Why something on the wire failed. Filled where the cause is known, travels unchanged,
 * logged once by the machine that decides. */
#define FAULT_KINDS(X)                                                                    \
    X(NONE, "none")                                                                       \
    X(DNS, "dns")               /* name could not be resolved */                          \
    X(CONNECT, "connect")       /* no address accepted a TCP connection */                \
    X(TLS, "tls")               /* handshake or record layer; the request was not sent */ \
    X(TIMEOUT, "timeout")       /* one of the phase timers */                             \
    X(CLOSED, "closed")         /* peer closed or reset */                                \
    X(PROTOCOL, "protocol")     /* bytes that are not what the protocol allows */         \
    X(TOO_LARGE, "too_large")   /* a named bound was passed */                            \
    X(NO_MEMORY, "no_memory")   /* the budget is spent: ours, not the peer's fault */     \
    X(LOCAL, "local")           /* descriptors, ports, entropy: ours as well */           \
    X(CANCELLED, "cancelled")   /* the client left or another attempt won */

enum fault_kind {
#define X(name, text) FAULT_##name,
    FAULT_KINDS(X)
#undef X
    FAULT_KIND_COUNT
};

struct fault {
    enum fault_kind kind;
    int sys;          /* errno, TLS alert/engine code, or 0 */
    const char *what; /* static text, plain words, never peer bytes */
};

static inline const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const name[FAULT_KIND_COUNT] = {
#define X(name, text) [FAULT_##name] = text,
        FAULT_KINDS(X)
#undef X
    };
    return name[kind];
}

static inline struct fault fault_make(enum fault_kind kind, int sys, const char *what)
{
    struct fault f = {kind, sys, what};
    return f;
}

#endif
