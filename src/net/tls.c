/* The engine pump. BearSSL wants a pair of record buffers per connection, 33 KB; here all connections share one pair.
 * Each call "enters" a connection: bytes of a half-received record go back to where the engine left them in the shared
 * input buffer; and "leaves" it: whatever is still unfinished moves to a block of the budget of just that size. Outgoing
 * records never stay in the engine: each is taken out as soon as it is sealed and gathered, so that a flight of handshake
 * messages leaves in one send; what the socket refuses is kept, as bytes for the socket, in a second block.
 *
 * Invariants: between calls the engine has no record to send; nothing is fed to the engine nor sent while a chain waits for
 * its check; application data flows only when the chain was accepted, or the session is one that we saved when it was.
 * Nothing here waits, and no memory but blocks of the budget is taken after tls_init.
 *
 * Looks at fields of br_ssl_engine_context that its header calls private (ixa, ixb, chain, x509ctx); the version is pinned
 * and test/unit/tls_test.c cuts the stream at every byte. */
#include "net/tls.h"

#include <errno.h>

#include "bearssl.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/chain.h"
#include "net/tls_identity.h"
#include "net/tls_session.h"
#include "net/tls_words.h"

enum {
    IN_RECORD = BR_SSL_BUFSIZE_INPUT,
    OUT_RECORD = BR_SSL_BUFSIZE_OUTPUT,
    SOURCE_CAP = 32768,       /* one recv */
    GATHER_CAP = 32768,       /* one send: two full records of ours */
    FILL_MAX = 16320,         /* plaintext per record, so that two sealed ones fit GATHER_CAP */
    RECORD_ROOM = FILL_MAX + 64,
    RECV_MIN = 4096,
    HELLO_PIECE = 4,          /* fed at once in a handshake: ServerHelloDone has 4 bytes, so it can't be complete in the
                                 piece that ends the message before it, and the engine, which answers it with our part of
                                 the key exchange, is held in time when something is to be checked first */
    OUT_STASH_MAX = 131072,   /* a peer that provokes alerts and reads none */
    BARREN_MAX = 131072,      /* record bytes without one of plaintext: a flood of empty records */
};

struct tls {
    br_ssl_engine_context *eng;
    const struct tls_identity *id; /* server */
    struct chain *chain;           /* client, until the handshake is over; a block of the budget */
    size_t chain_size;
    uint8_t *in, *out;             /* what waits: record bytes received, record bytes to send */
    uint32_t in_size, in_at, in_live, in_rest; /* live bytes belong at in_at of the engine's buffer; the rest is unread */
    uint32_t out_size, out_at, out_n;
    uint32_t barren;
    bool started, offered, established, resumed, dead;
    bool again;                    /* the handshake stopped only to give others their turn */
    bool pending;                  /* what tls_pending says */
    struct fault fault;            /* when dead */
    struct session_key session;    /* client */
    struct tls *next_free;
};

/* One slot each; the engine is the first member of both contexts. */
struct client_slot {
    struct tls t;
    br_ssl_client_context cc;
};
struct server_slot {
    struct tls t;
    br_ssl_server_context cc;
};

static struct {
    uint32_t max, client_used, server_used; /* slots taken from the tables so far */
    struct client_slot *client;
    struct server_slot *server;
    struct tls *client_free, *server_free;
    struct tls_counts counts;

    /* The shared buffers, in use only within one call. */
    uint8_t ibuf[IN_RECORD], obuf[OUT_RECORD];
    uint8_t source[SOURCE_CAP]; /* received, not yet fed: source_at..source_end */
    size_t source_at, source_end;
    bool drained;               /* the socket gave less than asked: do not ask again in this call */
    uint8_t gather[GATHER_CAP]; /* sealed records not yet sent */
    size_t gathered;
} g;

/* ---- Faults ---- */

static struct fault engine_fault(const struct tls *t, int code)
{
    if (code == BR_ERR_NO_RANDOM)
        return fault_make(FAULT_LOCAL, code, "no entropy");
    if (t->chain && t->chain->no_memory)
        return fault_make(FAULT_NO_MEMORY, code, "no memory for the certificates");
    if (code == BR_ERR_UNSUPPORTED_VERSION && !t->established)
        return fault_make(FAULT_TLS, code, "peer does not speak TLS");
    return fault_make(FAULT_TLS, code, tls_words(code));
}

/* Every failure passes here: later calls repeat it. */
static enum io fail(struct tls *t, struct fault why, struct fault *f)
{
    if (!t->dead) {
        t->dead = true;
        t->fault = why;
        t->pending = false;
        g.counts.failures += why.kind == FAULT_TLS;
    }
    *f = t->fault;
    return IO_FAILED;
}

/* ---- Blocks for what waits ---- */

static void block_drop(uint8_t **block, uint32_t *size)
{
    if (*block) {
        mem_give(*block, *size);
        g.counts.buffers--;
    }
    *block = NULL;
    *size = 0;
}

/* A block for n bytes whose contents may go: the one at hand when it fits without waste. */
static bool block_fit(uint8_t **block, uint32_t *size, size_t n)
{
    size_t real = n;

    if (*block && *size >= n && *size / 4 <= n)
        return true;
    block_drop(block, size);
    *block = mem_take(&real);
    if (!*block)
        return false;
    *size = (uint32_t)real;
    g.counts.buffers++;
    return true;
}

static void enter(struct tls *t)
{
    g.source_at = 0;
    g.source_end = t->in_rest;
    g.drained = false;
    g.gathered = 0;
    if (t->in_live)
        memcpy(g.ibuf + t->in_at, t->in, t->in_live);
    if (t->in_rest)
        memcpy(g.source, t->in + t->in_live, t->in_rest);
}

/* False: no memory for what must be kept. */
static bool leave(struct tls *t)
{
    const br_ssl_engine_context *e = t->eng;
    size_t payload = e->ixb - e->ixa, rest = g.source_end - g.source_at;
    /* Payload not yet taken, or the part of a record that has come so far (its header is at 0). */
    size_t at = payload ? e->ixa : 0, live = e->ixb - at;

    if (br_ssl_engine_current_state(e) == BR_SSL_CLOSED)
        live = rest = 0;
    t->in_at = (uint32_t)at;
    t->in_live = (uint32_t)live;
    t->in_rest = (uint32_t)rest;
    if (live + rest == 0) {
        block_drop(&t->in, &t->in_size);
    } else {
        if (!block_fit(&t->in, &t->in_size, live + rest)) {
            t->in_live = t->in_rest = 0;
            return false;
        }
        memcpy(t->in, g.ibuf + at, live);
        memcpy(t->in + live, g.source + g.source_at, rest);
    }
    t->pending = t->established && (payload || rest);
    return true;
}

/* ---- Sending ---- */

/* Keeps the gathered bytes from `sent` on, behind those that wait already. */
static bool out_keep(struct tls *t, size_t sent)
{
    size_t n = g.gathered - sent, real = n;

    if (t->out_n == 0) {
        if (!block_fit(&t->out, &t->out_size, n))
            return false;
        t->out_at = 0;
    } else if (t->out_size - t->out_at - t->out_n < n) {
        if (t->out_n + n > OUT_STASH_MAX)
            return false;
        real = t->out_n + n;
        uint8_t *larger = mem_take(&real);
        if (!larger)
            return false;
        memcpy(larger, t->out + t->out_at, t->out_n);
        mem_give(t->out, t->out_size);
        t->out = larger;
        t->out_size = (uint32_t)real;
        t->out_at = 0;
    }
    memcpy(t->out + t->out_at + t->out_n, g.gather + sent, n);
    t->out_n += (uint32_t)n;
    g.gathered = 0;
    return true;
}

/* Everything that waits and everything gathered, in one send. False: the stream is over, see *why. */
static bool push(struct tls *t, int fd, struct fault *why)
{
    struct iovec iov[2] = {{t->out ? t->out + t->out_at : NULL, t->out_n}, {g.gather, g.gathered}};
    size_t all = t->out_n + g.gathered;
    ssize_t n;

    if (all == 0)
        return true;
    n = fd < 0 ? -1 : t->out_n ? sys_sendv(fd, iov, g.gathered ? 2 : 1) : sys_send(fd, g.gather, g.gathered);
    if (n < 0) {
        if (fd < 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
            *why = t->established ? fault_make(FAULT_CLOSED, errno, "connection reset")
                                  : fault_make(FAULT_TLS, errno, "closed during TLS handshake");
            return false;
        }
        n = 0;
    }
    size_t old = (size_t)n < t->out_n ? (size_t)n : t->out_n, fresh = (size_t)n - old;
    t->out_at += (uint32_t)old;
    t->out_n -= (uint32_t)old;
    if (t->out_n == 0)
        block_drop(&t->out, &t->out_size);
    if (fresh < g.gathered && !out_keep(t, fresh)) {
        *why = fault_make(FAULT_NO_MEMORY, 0, "no memory for TLS records");
        return false;
    }
    g.gathered = 0;
    return true;
}

/* Takes sealed records out of the engine. */
static bool collect(struct tls *t, int fd, struct fault *why)
{
    unsigned char *p;
    size_t n;

    while ((p = br_ssl_engine_sendrec_buf(t->eng, &n))) {
        if (n > GATHER_CAP - g.gathered && !push(t, fd, why))
            return false;
        memcpy(g.gather + g.gathered, p, n);
        g.gathered += n;
        br_ssl_engine_sendrec_ack(t->eng, n);
    }
    return true;
}

/* ---- Receiving ---- */

/* Into the empty source. IO_PARKED: nothing there. *eof instead of a fault for an orderly end. */
static enum io receive(struct tls *t, int fd, size_t want, bool *eof, struct fault *why)
{
    *eof = false;
    if (g.drained)
        return IO_PARKED;
    if (want > SOURCE_CAP)
        want = SOURCE_CAP;
    ssize_t n = sys_recv(fd, g.source, want);
    g.source_at = 0;
    g.source_end = n > 0 ? (size_t)n : 0;
    g.drained = n < (ssize_t)want;
    if (n > 0)
        return IO_DONE;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return IO_PARKED;
    *eof = n == 0;
    *why = t->established ? fault_make(FAULT_CLOSED, n ? errno : 0, n ? "connection reset" : "closed without TLS close_notify")
                          : fault_make(FAULT_TLS, n ? errno : 0, "closed during TLS handshake");
    return IO_FAILED;
}

/* Gives the engine up to `most` received bytes. False: it wants none now, or none are there. */
static bool feed(struct tls *t, size_t most)
{
    size_t n, have = g.source_end - g.source_at;
    unsigned char *p = br_ssl_engine_recvrec_buf(t->eng, &n);

    if (!p || !have)
        return false;
    n = n < have ? n : have;
    n = n < most ? n : most;
    memcpy(p, g.source + g.source_at, n);
    g.source_at += n;
    t->barren += (uint32_t)n;
    br_ssl_engine_recvrec_ack(t->eng, n);
    return true;
}

/* ---- Opening and closing ---- */

bool tls_init(uint32_t max_conns)
{
    g.max = max_conns;
    g.client = mem_table(max_conns, sizeof *g.client);
    g.server = mem_table(max_conns, sizeof *g.server);
    return g.client && g.server;
}

/* What both sides share: suites, hashes, implementations. AES-GCM first where the CPU has it (6 times ChaCha20's speed),
 * last where it would be slow. */
static void engine_setup(br_ssl_engine_context *e)
{
    static const uint16_t aes_first[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    static const uint16_t chacha_first[] = {
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    };
    static const char *protocols[] = {"http/1.1"};
    bool aes = br_aes_x86ni_ctr_get_vtable() && br_ghash_pclmul_get();

    br_ssl_engine_set_versions(e, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(e, aes ? aes_first : chacha_first, sizeof aes_first / sizeof aes_first[0]);
    br_ssl_engine_set_hash(e, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(e, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(e, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(e, &br_tls12_sha384_prf);
    br_ssl_engine_set_default_ec(e);
    br_ssl_engine_set_default_aes_gcm(e);
    br_ssl_engine_set_default_chapol(e);
    br_ssl_engine_set_protocol_names(e, protocols, 1);
    br_ssl_engine_set_buffers_bidi(e, g.ibuf, sizeof g.ibuf, g.obuf, sizeof g.obuf);
}

static bool engine_seed(br_ssl_engine_context *e)
{
    uint8_t seed[32];

    /* BearSSL 0.6 alone would use RDRAND and nothing else. */
    if (!sys_random(seed, sizeof seed))
        return false;
    br_ssl_engine_inject_entropy(e, seed, sizeof seed);
    return true;
}

static struct tls *slot_take(bool client, struct fault *f)
{
    struct tls **free_list = client ? &g.client_free : &g.server_free, *t = *free_list;
    uint32_t *used = client ? &g.client_used : &g.server_used;

    if (t) {
        *free_list = t->next_free;
    } else if (*used < g.max) {
        t = client ? &g.client[(*used)++].t : &g.server[(*used)++].t;
    } else {
        *f = fault_make(FAULT_NO_MEMORY, 0, "too many TLS connections");
        return NULL;
    }
    memset(t, 0, sizeof *t);
    g.counts.open++;
    return t;
}

static void slot_give(struct tls *t)
{
    bool client = !t->id;
    struct tls **free_list = client ? &g.client_free : &g.server_free;

    block_drop(&t->in, &t->in_size);
    block_drop(&t->out, &t->out_size);
    if (t->chain) {
        chain_drop(t->chain);
        mem_give(t->chain, t->chain_size);
        t->chain = NULL;
    }
    /* Keys do not outlive their connection. */
    memset(t->eng, 0, client ? sizeof(br_ssl_client_context) : sizeof(br_ssl_server_context));
    t->next_free = *free_list;
    *free_list = t;
    g.counts.open--;
}

struct tls *tls_open_client(const struct trust *trust, struct slice host, uint16_t port, uint64_t session_tag, struct fault *f)
{
    struct tls *t = slot_take(true, f);

    if (!t)
        return NULL;
    br_ssl_client_context *cc = &container_of(t, struct client_slot, t)->cc;
    br_ssl_client_zero(cc);
    t->eng = &cc->eng;
    t->chain_size = sizeof *t->chain;
    t->chain = mem_take(&t->chain_size);
    if (!t->chain) {
        *f = fault_make(FAULT_NO_MEMORY, 0, "no memory for a TLS handshake");
        slot_give(t);
        return NULL;
    }
    chain_init(t->chain, trust, host);
    engine_setup(t->eng);
    br_ssl_engine_add_flags(t->eng, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_ssl_engine_set_default_rsavrfy(t->eng);
    br_ssl_engine_set_ecdsa(t->eng, chain_note_proof);
    br_ssl_engine_set_x509(t->eng, &t->chain->vtable);
    t->session = session_key(trust, host, port, session_tag);
    if (!engine_seed(t->eng)) {
        *f = fault_make(FAULT_LOCAL, 0, "no entropy");
        slot_give(t);
        return NULL;
    }
    return t;
}

struct tls *tls_open_server(const struct tls_identity *id, struct fault *f)
{
    struct tls *t = slot_take(false, f);

    if (!t)
        return NULL;
    br_ssl_server_context *cc = &container_of(t, struct server_slot, t)->cc;
    br_ssl_server_zero(cc);
    t->eng = &cc->eng;
    t->id = id;
    engine_setup(t->eng);
    br_ssl_engine_add_flags(t->eng, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH |
                                        BR_OPT_ENFORCE_SERVER_PREFERENCES);
    identity_use(id, cc);
    if (!engine_seed(t->eng)) {
        *f = fault_make(FAULT_LOCAL, 0, "no entropy");
        slot_give(t);
        return NULL;
    }
    return t;
}

void tls_close(struct tls *t, int fd)
{
    struct fault ignored;

    if (fd >= 0 && t->established && !t->dead && br_ssl_engine_current_state(t->eng) != BR_SSL_CLOSED) {
        enter(t);
        /* With plaintext waiting BearSSL 0.6 never reaches "closed", but its close_notify comes out all the same. */
        br_ssl_engine_close(t->eng);
        if (collect(t, fd, &ignored))
            (void)push(t, fd, &ignored);
    }
    slot_give(t);
}

/* ---- Handshake ---- */

static bool start(struct tls *t)
{
    t->started = true;
    if (t->id)
        return br_ssl_server_reset(&container_of(t, struct server_slot, t)->cc);
    const br_ssl_session_parameters *old = session_find(&t->session);
    if (old) {
        br_ssl_engine_set_session_parameters(t->eng, old);
        t->offered = true;
    }
    /* An address is no server name (RFC 6066 3). */
    return br_ssl_client_reset(&container_of(t, struct client_slot, t)->cc, t->chain->ip.family ? NULL : t->chain->host,
                               t->offered);
}

/* The engine is through. For a client that is not enough: see the invariants on top. */
static enum io finish(struct tls *t, int fd, struct fault *f)
{
    struct fault why;

    if (t->id) {
        t->resumed = t->eng->chain == NULL; /* set when the server picks a certificate to send */
    } else if (t->chain->state == CHAIN_PROVED ||
               (t->chain->state == CHAIN_ACCEPTED && t->chain->pkey.key_type == BR_KEYTYPE_RSA)) {
        session_keep(&t->session, t->eng, t->chain->good_until_s);
    } else if (t->chain->state == CHAIN_AWAITED && t->offered) {
        t->resumed = true;
    } else {
        return fail(t, fault_make(FAULT_TLS, BR_ERR_UNEXPECTED, "TLS handshake without the server's certificate"), f);
    }
    if (!push(t, fd, &why)) /* still "during the handshake" */
        return fail(t, why, f);
    if (t->chain) {
        chain_drop(t->chain);
        mem_give(t->chain, t->chain_size);
        t->chain = NULL;
        t->eng->x509ctx = NULL;
    }
    t->established = true;
    t->barren = 0;
    g.counts.handshakes++;
    g.counts.resumed += t->resumed;
    return IO_DONE;
}

/* The engine refused, or the chain was. The peer is told when it can be done in one send. */
static enum io refuse(struct tls *t, int fd, struct fault why, struct fault *f)
{
    struct fault ignored;

    if (t->chain && t->chain->state == CHAIN_REFUSED) {
        /* BearSSL keeps silent about certificates, so the alert is written here; up to ChangeCipherSpec it is plain. */
        const uint8_t alert[] = {21, 3, 3, 0, 2, 2, tls_alert_for(why.sys)};

        memcpy(g.gather, alert, sizeof alert);
        g.gathered = sizeof alert;
    }
    (void)push(t, fd, &ignored);
    if (t->offered)
        session_forget(&t->session);
    return fail(t, why, f);
}

/* IO_PARKED: enough for this turn. Steps that only look something up or note a signature go on at once. */
static enum io check_chain(struct tls *t, struct fault *why)
{
    enum io r = IO_PARKED;

    for (int steps = 3; r == IO_PARKED && steps > 0; steps--) {
        bool heavy = ec_steps_waiting(&t->chain->ec) || t->chain->state == CHAIN_CHECKING;

        r = chain_step(t->chain, why);
        if (heavy && r != IO_FAILED) {
            t->again = true;
            return IO_PARKED;
        }
    }
    t->again = r == IO_PARKED;
    return r;
}

static enum io handshake_turns(struct tls *t, int fd, struct fault *f)
{
    struct fault why;
    bool eof;

    for (;;) {
        if (t->chain && chain_is_due(t->chain)) {
            enum io r = check_chain(t, &why);

            if (r == IO_FAILED)
                return refuse(t, fd, why, f);
            if (r == IO_PARKED)
                return IO_PARKED;
        }
        if (!collect(t, fd, &why))
            return fail(t, why, f);
        unsigned state = br_ssl_engine_current_state(t->eng);
        if (state == BR_SSL_CLOSED) {
            int code = br_ssl_engine_last_error(t->eng);

            return refuse(t, fd, code ? engine_fault(t, code) : fault_make(FAULT_TLS, 0, "closed during TLS handshake"), f);
        }
        if (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP))
            return finish(t, fd, f);
        if (feed(t, HELLO_PIECE)) {
            if (t->barren > BARREN_MAX)
                return refuse(t, fd, fault_make(FAULT_TLS, 0, "TLS handshake too long"), f);
            continue;
        }
        if (!push(t, fd, &why))
            return fail(t, why, f);
        enum io r = receive(t, fd, SOURCE_CAP, &eof, &why);
        if (r == IO_FAILED)
            return refuse(t, fd, why, f);
        if (r == IO_PARKED)
            return IO_PARKED;
    }
}

enum io tls_handshake(struct tls *t, int fd, struct fault *f)
{
    enum io r;

    if (t->dead)
        return fail(t, t->fault, f);
    if (t->established)
        return IO_DONE;
    enter(t);
    t->again = false;
    chain_select(t->chain);
    if (!t->started && !start(t))
        r = fail(t, engine_fault(t, br_ssl_engine_last_error(t->eng)), f);
    else
        r = handshake_turns(t, fd, f);
    if (r != IO_FAILED && !leave(t))
        r = fail(t, fault_make(FAULT_NO_MEMORY, 0, "no memory for TLS records"), f);
    if (r == IO_PARKED && t->again)
        t->pending = true;
    return r;
}

/* ---- Data ---- */

static enum io read_turns(struct tls *t, int fd, char *buf, size_t cap, size_t *got, struct fault *f)
{
    struct fault why;
    unsigned char *p;
    size_t n;
    bool eof;

    for (;;) {
        if (!collect(t, fd, &why))
            return *got ? IO_DONE : fail(t, why, f);
        while (*got < cap && (p = br_ssl_engine_recvapp_buf(t->eng, &n))) {
            n = n < cap - *got ? n : cap - *got;
            memcpy(buf + *got, p, n);
            *got += n;
            br_ssl_engine_recvapp_ack(t->eng, n);
            t->barren = 0;
        }
        if (*got == cap)
            return IO_DONE;
        if (br_ssl_engine_current_state(t->eng) == BR_SSL_CLOSED) {
            int code = br_ssl_engine_last_error(t->eng);

            /* What came before is given first; the engine says the same again next time. */
            return *got || code == 0 ? IO_DONE : fail(t, engine_fault(t, code), f);
        }
        if (feed(t, SOURCE_CAP)) {
            if (t->barren > BARREN_MAX)
                return fail(t, fault_make(FAULT_TLS, 0, "flood of empty TLS records"), f);
            continue;
        }
        size_t want = cap - *got < RECV_MIN ? RECV_MIN : cap - *got;
        enum io r = receive(t, fd, want, &eof, &why);
        if (r == IO_FAILED && *got == 0)
            return fail(t, why, f);
        if (r != IO_DONE)
            return *got ? IO_DONE : IO_PARKED;
    }
}

enum io tls_read(struct tls *t, int fd, void *buf, size_t cap, size_t *got, struct fault *f)
{
    struct fault why;

    *got = 0;
    if (t->dead)
        return fail(t, t->fault, f);
    must(t->established && cap > 0);
    enter(t);
    enum io r = read_turns(t, fd, buf, cap, got, f);
    if (r == IO_FAILED)
        return r;
    /* Our answer to close_notify or to a wish to renegotiate. That the former can't be sent does not matter any more. */
    if (!push(t, fd, &why) && br_ssl_engine_current_state(t->eng) != BR_SSL_CLOSED) {
        (void)fail(t, why, f);
        return *got ? IO_DONE : IO_FAILED; /* what came is given first */
    }
    if (!leave(t))
        return fail(t, fault_make(FAULT_NO_MEMORY, 0, "no memory for TLS records"), f);
    return r;
}

/* Seals as much as one send can take. */
static bool seal(struct tls *t, const struct slice **piece, int *left, size_t *at, size_t *took)
{
    unsigned char *p;
    size_t room, filled = 0;

    while (*left > 0 && filled < FILL_MAX && (p = br_ssl_engine_sendapp_buf(t->eng, &room))) {
        size_t n = (*piece)->n - *at;

        n = n < room ? n : room;
        n = n < FILL_MAX - filled ? n : FILL_MAX - filled;
        if (n) {
            memcpy(p, (*piece)->p + *at, n);
            br_ssl_engine_sendapp_ack(t->eng, n);
        }
        *at += n;
        filled += n;
        *took += n;
        if (*at == (*piece)->n) {
            (*piece)++;
            (*left)--;
            *at = 0;
        }
    }
    br_ssl_engine_flush(t->eng, 0);
    return filled > 0;
}

static enum io write_turns(struct tls *t, int fd, const struct slice *piece, int n, size_t *took, struct fault *f)
{
    struct fault why;
    size_t at = 0;

    if (t->out_n && !push(t, fd, &why))
        return fail(t, why, f);
    while (t->out_n == 0 && n > 0) {
        bool some = seal(t, &piece, &n, &at, took);

        if (!collect(t, fd, &why))
            return fail(t, why, f);
        if (!some && n > 0)
            break; /* the engine takes nothing: closed */
        if ((n == 0 || g.gathered + RECORD_ROOM > GATHER_CAP) && !push(t, fd, &why))
            return fail(t, why, f);
    }
    if (*took)
        return IO_DONE;
    if (br_ssl_engine_current_state(t->eng) == BR_SSL_CLOSED) {
        int code = br_ssl_engine_last_error(t->eng);

        return fail(t, code ? engine_fault(t, code) : fault_make(FAULT_CLOSED, 0, "peer closed the TLS stream"), f);
    }
    return n > 0 ? IO_PARKED : IO_DONE;
}

enum io tls_write(struct tls *t, int fd, const struct slice *piece, int n, size_t *took, struct fault *f)
{
    *took = 0;
    if (t->dead)
        return fail(t, t->fault, f);
    must(t->established);
    /* Half a received record may wait in its block; the shared input buffer is not touched by sending. */
    g.gathered = 0;
    return write_turns(t, fd, piece, n, took, f);
}

enum io tls_flush(struct tls *t, int fd, struct fault *f)
{
    struct fault why;

    if (t->dead)
        return fail(t, t->fault, f);
    g.gathered = 0;
    if (!push(t, fd, &why))
        return fail(t, why, f);
    return t->out_n ? IO_PARKED : IO_DONE;
}

bool tls_pending(const struct tls *t)
{
    return t->pending;
}

unsigned tls_wants(const struct tls *t, bool want_read)
{
    unsigned wants = t->out_n ? SYS_OUT : 0;

    if (!t->pending && !t->dead && (want_read || !t->established))
        wants |= SYS_IN;
    return wants;
}

bool tls_resumed(const struct tls *t)
{
    return t->resumed;
}

struct tls_counts tls_counts(void)
{
    struct tls_counts c = g.counts;

    c.chain_cache_hits = chain_cache_hits();
    return c;
}
