/* `weir [-c FILE]`: the gateway itself, and what every command needs of files and environment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/token.h"
#include "cmd/cmd.h"
#include "cmd/handover.h"
#include "cmd/plane.h"
#include "cmd/reload.h"
#include "cmd/state.h"
#include "cmd/user.h"

enum { FILE_MAX = 8 << 20, CONFIG_MAX = 4 << 20 };

static const char *env_get(void *user, const char *name)
{
    (void)user;
    return getenv(name);
}

static bool env_read_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    struct slice name = arena_copy(a, path); /* with its NUL */
    int fd = name.p ? sys_open_read(name.p) : -1;
    int64_t size = fd == -1 ? -1 : sys_file_size(fd);
    size_t got = 0, cap = size < 0 ? FILE_MAX / 8 : (size_t)size; /* a pipe has no size: secrets mounted as one */
    char *p = fd == -1 || cap > FILE_MAX ? NULL : arena_take_bytes(a, cap + 1);

    (void)user;
    while (p && got < cap) {
        ssize_t n = sys_read(fd, p + got, cap - got);

        if (n < 0)
            p = NULL;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    sys_close(fd);
    if (!p)
        return false;
    p[got] = '\0';
    *out = slice_make(p, got);
    return true;
}

const struct conf_env cmd_env = {env_get, env_read_file, NULL};

bool cmd_read_text(const char *path, struct slice *out, char *why, size_t cap)
{
    struct arena a;
    struct slice text;
    char *copy = NULL;

    arena_init(&a, &mem_heap_source, 1 << 16, CONFIG_MAX + (1 << 16));
    errno = 0;
    if (!env_read_file(NULL, slice_str(path), &a, &text))
        text_format(why, cap, "%s: can't be read: %s", path, errno ? strerror(errno) : "larger than 4 MiB");
    else if (!(copy = mem_heap_take(text.n + 1)))
        text_format(why, cap, "%s: out of memory", path);
    if (copy) {
        memcpy(copy, text.p, text.n);
        explicit_bzero((char *)(uintptr_t)text.p, text.n);
        *out = slice_make(copy, text.n);
    }
    arena_reset(&a);
    return copy != NULL;
}

void cmd_free_text(struct slice text)
{
    if (!text.p)
        return;
    explicit_bzero((char *)(uintptr_t)text.p, text.n);
    mem_heap_give((char *)(uintptr_t)text.p);
}

struct conf *cmd_load_text(const char *path, struct slice text)
{
    struct conf_error e = {0};
    struct conf *c = conf_load(text, &cmd_env, &e);

    if (!c && e.line)
        text_print(TEXT_ERR, "%s:%u:%u: %s\n", path, e.line, e.column, e.text);
    else if (!c)
        text_print(TEXT_ERR, "%s: %s\n", path, e.text);
    return c;
}

struct conf *cmd_load(const char *path)
{
    char why[CMD_WHY_MAX];
    struct slice text;
    struct conf *c;

    if (!cmd_read_text(path, &text, why, sizeof why)) {
        text_print(TEXT_ERR, "%s\n", why);
        return NULL;
    }
    c = cmd_load_text(path, text);
    cmd_free_text(text);
    return c;
}

uint32_t cmd_count_keys(const struct conf *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->ncredentials; i++)
        n += c->credential[i].value.n > 0;
    return n;
}

bool cmd_make_token(char out[TOKEN_LEN + 1])
{
    return token_make("weir_", TOKEN_LETTERS, out, TOKEN_LEN + 1);
}

/* Without a config: managed credentials from the environment, and an access key made now and printed once. */
static struct conf *first_start(void)
{
    struct conf_error e = {0};
    struct conf *c = conf_default(&cmd_env, &e);
    char token[TOKEN_LEN + 1];
    uint8_t hash[32];

    if (!c)
        text_print(TEXT_ERR, "weir: %s\n", e.text);
    if (!c || !cmd_make_token(token))
        return NULL;
    sha256(slice_make(token, TOKEN_LEN), hash);
    reload_first_key(hash);
    if (!reload_add_first_key(c)) {
        conf_put(c);
        return NULL;
    }
    text_print(TEXT_OUT,
           "No config given: provider keys come from the environment (%u found).\n"
           "Access key for this run, shown once: %s\n"
           "Keep one of your own with a config file: see config.example.json and `weir token`.\n",
           (unsigned)cmd_count_keys(c), token);
    return c;
}

int cmd_serve(const struct options *o)
{
    char why[CMD_WHY_MAX];
    struct slice text = {NULL, 0};
    struct conf *c;

    handover_prepare(o->argv);
    if (o->config && !cmd_read_text(o->config, &text, why, sizeof why)) {
        text_print(TEXT_ERR, "%s\n", why);
        return 1;
    }
    c = o->config ? cmd_load_text(o->config, text) : first_start();
    if (!c)
        return 1;
    reload_from(o->config, text);
    plane_init();
    if (!handover_ask()) {
        text_print(TEXT_ERR, "weir: the process that was to be replaced has called it off\n");
        return 1;
    }
    if (!user_become(c->user) || !state_open(c, o->salvage) || !(c = reload_with_stored(c)) || !cmd_start(c))
        return 1;
    return cmd_run();
}

int cmd_check(const struct options *o)
{
    struct conf *c;

    if (!o->config) {
        text_print(TEXT_ERR, "weir check needs a file: weir check -c FILE\n");
        return 2;
    }
    c = cmd_load(o->config);
    if (!c)
        return 1;
    for (uint32_t i = 0; i < c->nwarnings; i++)
        text_print(TEXT_OUT, "warning: %.*s\n", (int)c->warning[i].n, c->warning[i].p);
    text_print(TEXT_OUT,
           "%s: fine: %u providers, %u provider keys, %u access keys\n", o->config, (unsigned)c->nproviders,
           (unsigned)cmd_count_keys(c), (unsigned)c->naccess_keys);
    conf_put(c);
    return 0;
}
