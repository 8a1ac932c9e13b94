/* A process that does nothing but commit, to be killed at any moment (test_state.py). On stdout, a line each, written at once:
 *   have ID K    at start: the store holds commit K's value, and its secret if it has one, whole
 *   broken ID    it holds something else
 *   ack K        commit K is durable
 *   fail K WHY   it is not
 * Commit K puts K under aI, bI and "last", and deletes cI or puts it, I being K modulo IDS: after a start aI and bI are one commit's.
 *
 *   store_driver DIR show      starts, and closes
 *   store_driver DIR run K [N] commits from K on, N commits or without end */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "net/loop.h"
#include "state/store.h"

enum { IDS = 13, IN_FLIGHT = 6, VALUE_MAX = 6000 };

static unsigned long next, end_at, under_way;

static void say(const char *what, const char *id, unsigned long k, const char *more)
{
    char line[400];
    int n = snprintf(line, sizeof line, "%s %s%lu%s%s\n", what, id, k, more[0] ? " " : "", more);

    if (write(1, line, (size_t)n) != n)
        _exit(3);
}

static size_t value_of(unsigned long k, char *out)
{
    size_t n = (size_t)sprintf(out, "%lu ", k), want = 20 + k * 7919 % (VALUE_MAX - 100);

    while (n < want) {
        out[n] = (char)('a' + (n + k) % 26);
        n++;
    }
    return n;
}

static size_t secret_of(unsigned long k, char *out)
{
    return (size_t)sprintf(out, "sk-canary-%lu-0123456789abcdef", k);
}

static bool load(void *user, const struct store_change *c, int64_t time_ms)
{
    char want[VALUE_MAX], secret[64], id[64];
    unsigned long k = strtoul(c->value.p, NULL, 10);

    (void)user;
    snprintf(id, sizeof id, "%.*s ", (int)c->id.n, c->id.p);
    if (time_ms <= 0 || !slice_eq(c->value, slice_make(want, value_of(k, want))) ||
        (id[0] == 'b' && !slice_eq(c->secret, slice_make(secret, secret_of(k, secret)))))
        say("broken", id, k, "");
    else
        say("have", id, k, "");
    return true;
}

static void more(void);

static void done(void *arg, bool ok, const char *why)
{
    say(ok ? "ack" : "fail", "", (unsigned long)(uintptr_t)arg, why);
    under_way--;
    if (ok)
        more();
    else
        loop_stop();
}

static void more(void)
{
    static char value[VALUE_MAX];
    char secret[64], id[4][16];
    const char *why;

    while (under_way < IN_FLIGHT && next < end_at) {
        unsigned long k = next++;
        struct slice v = slice_make(value, value_of(k, value));
        struct store_change c[4] = {{.kind = STORE_PROVIDER, .op = STORE_PUT, .value = v},
                                    {.kind = STORE_PROVIDER_KEY, .op = STORE_PUT, .value = v, .secret = {secret, secret_of(k, secret)}},
                                    {.kind = STORE_CONFIGURATION, .op = k % 3 ? STORE_PUT : STORE_DELETE, .value = v},
                                    {.kind = STORE_PROVIDER, .op = STORE_PUT, .value = v}};

        for (int i = 0; i < 4; i++) {
            snprintf(id[i], sizeof id[i], i == 3 ? "last" : "%c%lu", 'a' + i, k % IDS);
            c[i].id = slice_str(id[i]);
        }
        under_way++;
        if (!store_commit(c, 4, done, (void *)(uintptr_t)k, &why)) {
            say("fail", "", k, why);
            loop_stop();
            return;
        }
    }
    if (!under_way)
        loop_stop();
}

int main(int argc, char **argv)
{
    struct store_options o = {.load = load};
    const char *why;

    if (argc < 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    o.dir = slice_str(argv[1]);
    if (!timers_init(4) || !loop_init(4) || !store_open(&o, &why)) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    log_init(2, LOG_INFO);
    clock_update();
    if (why[0])
        fprintf(stderr, "%s\n", why);
    if (!store_start())
        return 1;
    say("open", "", 0, "");
    if (argc > 3) {
        next = strtoul(argv[3], NULL, 10);
        end_at = argc > 4 ? next + strtoul(argv[4], NULL, 10) : ~0ul;
        more();
        loop_run();
    }
    store_close(5000);
    log_flush();
    return 0;
}
