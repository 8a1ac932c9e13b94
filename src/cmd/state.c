/* See state.h. And `weir rekey`. */
#include "cmd/state.h"

#include <string.h>

#include "admin/crud.h"
#include "admin/registry.h"
#include "base/confine.h"
#include "base/key32.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "conf/keyring.h"
#include "state/limits.h"
#include "state/store.h"
#include "state/usage.h"

static struct {
    struct slice dir; /* of the first snapshot, which may be gone by the time we speak of it: copied */
    char dir_text[256];
    const char *note;
    uint32_t resources, usage;
} state;

/* What nobody takes over stays in the log as it is. */
static bool take_over(void *unused, const struct store_change *c, int64_t time_ms)
{
    (void)unused;
    if (!usage_load(c) && !limits_load(c) && c->kind != STORE_COUNTERS && (registry_load(c, time_ms) || access_key_load(c)))
        state.resources++;
    return true;
}

bool state_open(struct conf *c, bool salvage)
{
    const struct store_options o = {.dir = c->state_dir, .master = c->state_key, .salvage = salvage, .load = take_over};
    size_t n = c->state_dir.n < sizeof state.dir_text ? c->state_dir.n : sizeof state.dir_text;

    confine_set_mode(c->sandbox); /* also the helper's that is forked in a moment */
    if (n)
        memcpy(state.dir_text, c->state_dir.p, n);
    state.dir = slice_make(state.dir_text, n);
    if (!usage_init() || !limits_init() || !keyring_init()) {
        text_print(TEXT_ERR, "weir: no address space for usage records and access keys\n");
        return false;
    }
    if (store_open(&o, &state.note)) {
        state.usage = usage_loaded();
        return true;
    }
    text_print(TEXT_ERR, "weir: stateDir %.*s: %s\n", (int)state.dir.n, state.dir.p, state.note);
    return false;
}

static void tell(void)
{
    const char *why;

    if (store_read_only(&why))
        log_say(LOG_WARN, "stateDir %.*s is read-only: %s. What it holds is in force (%u resources); changes over the admin API are refused, "
                          "usage and counters are lost at the end", (int)state.dir.n, state.dir.p, why, (unsigned)state.resources);
    else if (!store_is_durable())
        log_say(LOG_INFO, "no stateDir: what is made over the admin API, usage and counters last until weir ends");
    else
        log_say(LOG_INFO, "state in %.*s: %u resources, %u usage events", (int)state.dir.n, state.dir.p, (unsigned)state.resources,
                (unsigned)state.usage);
    if (store_is_durable() && state.note[0])
        log_say(LOG_WARN, "stateDir: %s", state.note);
}

bool state_start(void)
{
    tell();
    return store_start();
}

void state_close(void)
{
    usage_flush();
    limits_flush();
    store_close(STATE_CLOSE_MS);
}

/* ---- weir rekey ---- */

/* "env:NAME" or "file:PATH": a key on the command line would be everybody's. */
static bool read_to(const char *to, uint8_t key[KEY32])
{
    struct arena a;
    struct slice text = {0};
    bool ok = false;

    arena_init(&a, &mem_heap_source, 1 << 12, 1 << 20);
    if (!strncmp(to, "env:", 4)) {
        const char *value = cmd_env.getenv(cmd_env.user, to + 4);

        ok = value != NULL;
        text = slice_str(value ? value : "");
    } else if (!strncmp(to, "file:", 5)) {
        ok = cmd_env.read_file(cmd_env.user, slice_str(to + 5), &a, &text);
    } else {
        text_print(TEXT_ERR, "weir rekey: --to takes env:NAME or file:PATH\n");
        arena_reset(&a);
        return false;
    }
    if (!ok)
        text_print(TEXT_ERR, "weir rekey: %s: not set, or can't be read\n", to);
    else if (!(ok = key32_parse(text, key)))
        text_print(TEXT_ERR, "weir rekey: %s does not hold 32 bytes as 64 hex digits or as base64\n", to);
    if (text.n)
        explicit_bzero((char *)(uintptr_t)text.p, text.n); /* the environment's, or the arena's */
    arena_reset(&a);
    return ok;
}

static int rekey(struct conf *c, const char *to)
{
    const struct store_options o = {.dir = c->state_dir, .master = c->state_key};
    uint8_t key[KEY32];
    const char *why = "";
    bool ok;

    if (!c->state_dir.n || (!to && c->state_key)) {
        text_print(TEXT_ERR, "weir rekey: %s\n",
                   c->state_dir.n ? "the config sets stateKey, so say where the new one is: --to env:NAME or --to file:PATH"
                                  : "the config sets no stateDir");
        return 2;
    }
    if (to && !read_to(to, key))
        return 2;
    ok = store_rekey(&o, to ? key : NULL, &why);
    explicit_bzero(key, sizeof key);
    if (!ok)
        text_print(TEXT_ERR, "weir rekey: %s\n", why);
    else if (to)
        text_print(TEXT_OUT, "The state is sealed with the new key. Set stateKey to it before the next start; the old one opens old backups only.\n");
    else
        text_print(TEXT_OUT, "The state is sealed with a new key, which is in master.key now. The old one opened old backups and is gone.\n");
    return !ok;
}

int cmd_rekey(const struct options *o)
{
    struct conf *c;
    int code;

    if (!o->config) {
        text_print(TEXT_ERR, "weir rekey needs the config that names the state directory: weir rekey -c FILE [--to env:NAME|file:PATH]\n");
        return 2;
    }
    c = cmd_load(o->config);
    if (!c)
        return 1;
    code = rekey(c, o->to);
    conf_put(c);
    return code;
}
