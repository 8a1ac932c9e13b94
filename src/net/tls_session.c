/* The client's session table: see tls_session.h. One place per hash: two upstreams that meet there resume less often, which
 * only costs a handshake. */
#include "net/tls_session.h"

#include "base/clock.h"

enum {
    SESSIONS = 128,             /* upstreams times keys in use */
    SESSION_TTL_MS = 30 * 60000, /* servers forget after 5 to 60 minutes */
};

static struct {
    struct session_key key;
    int64_t until_ms;
    br_ssl_session_parameters params;
} store[SESSIONS];

struct session_key session_key(const struct trust *trust, struct slice host, uint16_t port, uint64_t tag)
{
    br_sha256_context sha;
    uint64_t parts[4] = {trust_serial(trust), tag, port, host.n};
    uint8_t out[br_sha256_SIZE];
    struct session_key key;

    br_sha256_init(&sha);
    br_sha256_update(&sha, parts, sizeof parts);
    br_sha256_update(&sha, host.p, host.n);
    br_sha256_out(&sha, out);
    memcpy(key.hash, out, sizeof key.hash);
    return key;
}

static unsigned place(const struct session_key *key)
{
    return key->hash[0] % SESSIONS;
}

const br_ssl_session_parameters *session_find(const struct session_key *key)
{
    unsigned at = place(key);

    return store[at].until_ms > clock_ms() && memcmp(&store[at].key, key, sizeof *key) == 0 ? &store[at].params : NULL;
}

void session_keep(const struct session_key *key, const br_ssl_engine_context *eng, int64_t good_until_s)
{
    unsigned at = place(key);
    int64_t left_ms = good_until_s < INT64_MAX / 1000 ? good_until_s * 1000 - clock_wall_ms() : SESSION_TTL_MS;

    br_ssl_engine_get_session_parameters(eng, &store[at].params);
    if (store[at].params.session_id_len == 0) { /* the server resumes nothing */
        store[at].until_ms = 0;
        return;
    }
    store[at].key = *key;
    store[at].until_ms = clock_ms() + (left_ms < SESSION_TTL_MS ? left_ms : SESSION_TTL_MS);
}

void session_forget(const struct session_key *key)
{
    if (session_find(key))
        store[place(key)].until_ms = 0;
}
