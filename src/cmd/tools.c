/* The small commands: none of them starts a gateway. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/fetch.h"
#include "cmd/version.h"
#include "json/scan.h"
#include "net/loop.h"

/* ---- token ---- */

int cmd_token(const struct options *o)
{
    char token[TOKEN_LEN + 1], hex[65];
    uint8_t hash[32];

    (void)o;
    if (!cmd_make_token(token)) {
        text_print(TEXT_ERR, "weir token: the kernel gave no entropy\n");
        return 1;
    }
    sha256(slice_make(token, TOKEN_LEN), hash);
    sha256_hex(hash, hex);
    text_print(TEXT_OUT,
           "Access key for the application (shown once, kept nowhere):\n"
           "  %s\n"
           "Entry for \"accessKeys\" in the config, which holds only its SHA-256:\n"
           "  { \"id\": \"aigk_%.8s\", \"name\": \"my app\",\n"
           "    \"tokenSha256\": \"%s\" }\n",
           token, hex, hex);
    return 0;
}

/* ---- version ---- */

int cmd_version(const struct options *o)
{
    (void)o;
    text_print(TEXT_OUT,
           "weir %s\n"
           "TLS 1.2 by BearSSL 0.6, JSON tokens by jsmn 1.1.0\n"
           "on this machine: JSON scan %s, SHA-256 %s\n",
           WEIR_VERSION, json_simd(), sha256_engine());
    return 0;
}

/* ---- healthcheck ---- */

enum { HEALTH_LIMIT_MS = 2000 };

static struct {
    struct fetch fetch;
    const char *why;
    int sys;
    unsigned status;
} health;

static void on_end(struct fetch *f, const char *why, int sys)
{
    health.why = why;
    health.sys = sys;
    if (!why && f->text_n)
        health.status = f->response.status;
    loop_stop();
}

/* An address that listens everywhere is reached over loopback. */
static bool address_to_ask(const struct conf_listen *at, struct addr *out)
{
    struct slice host = at->host;

    if (slice_eq(host, SLICE("0.0.0.0")))
        host = SLICE("127.0.0.1");
    else if (slice_eq(host, SLICE("::")))
        host = SLICE("::1");
    return at->port && addr_parse(host, at->port, out);
}

/* With tls in the config a connection that stands is the answer: the certificate names the public host, not this address, so
 * a handshake from here could only be made without checking it. */
static bool ask(const struct addr *at, bool tls)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    if (!timers_init(4) || !loop_init(4) || !conns_init(1)) {
        health.why = "no memory";
        return false;
    }
    clock_update();
    health.fetch.end = on_end;
    if (!fetch_open(&health.fetch, at, tls ? slice_make(NULL, 0) : slice_make(request, sizeof request - 1), HEALTH_LIMIT_MS,
                    &health.why)) {
        health.sys = errno;
        return false;
    }
    loop_run();
    return !health.why && (tls || health.status == 200);
}

static int report(const struct addr *at)
{
    char text[ADDR_TEXT_MAX];

    addr_text(at, text);
    if (health.why)
        text_print(TEXT_ERR, "weir healthcheck: %s: %s%s%s\n", text, health.why, health.sys ? ": " : "",
                health.sys ? strerror(health.sys) : "");
    else
        text_print(TEXT_ERR, "weir healthcheck: %s: /readyz answered %u\n", text, health.status);
    return 1;
}

int cmd_healthcheck(const struct options *o)
{
    struct conf_listen where = {SLICE("127.0.0.1"), 8080};
    struct addr at;
    bool known, tls = false;

    if (o->config) {
        struct conf *c = cmd_load(o->config);

        if (!c)
            return 1;
        known = address_to_ask(&c->listen, &at);
        tls = c->tls_cert.n > 0;
        conf_put(c);
    } else {
        known = address_to_ask(&where, &at);
    }
    if (!known) {
        text_print(TEXT_ERR, "weir healthcheck: the config's \"listen\" names no port that can be asked\n");
        return 1;
    }
    return ask(&at, tls) ? 0 : report(&at);
}
