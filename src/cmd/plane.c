#include "cmd/plane.h"

#include <errno.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/registry.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/token.h"
#include "cmd/cmd.h"
#include "cmd/handover.h"
#include "cmd/reload.h"
#include "cmd/version.h"
#include "gate/recent.h"

static const char key_file[] = "admin.key";

static bool apply(struct conf *c, char *why, size_t cap)
{
    if (!reload_add_first_key(c)) {
        conf_put(c);
        text_format(why, cap, "out of memory");
        return false;
    }
    return reload_apply(c, false, why, cap);
}

void plane_init(void)
{
    admin_init(&(struct admin_hooks){reload_conf, apply, reload_text, &cmd_env, cmd_address, WEIR_VERSION});
}

static void add(const char *id, struct slice token)
{
    uint8_t hash[32];

    sha256(token, hash);
    (void)admin_add_key(id, hash);
}

/* The key of a first start lies in a file of its own, since nobody could be shown it otherwise: 0600, in stateDir. */
static bool key_of_file(struct slice dir)
{
    char path[512], token[64], text[128];
    const char *wrong = NULL;
    ssize_t n = 0;
    int fd;

    if ((size_t)text_format(path, sizeof path, "%.*s/%s", (int)dir.n, dir.p, key_file) >= sizeof path)
        return true;
    fd = sys_create_exclusive(path);
    if (fd != -1) {
        if (!token_make("weiradm_", TOKEN_LETTERS, token, sizeof token))
            wrong = "no entropy";
        n = text_format(text, sizeof text, "%s\n", token);
        if (!wrong && (sys_write(fd, text, (size_t)n) != n || sys_fsync(fd) == -1))
            wrong = "can't be written";
        log_say(LOG_INFO, "admin API: a first key was made; it is in %s", path);
    } else if (errno == EEXIST) {
        struct sys_info i;

        fd = sys_open_read(path);
        if (fd == -1 || sys_info(fd, &i) == -1 || !i.file || !i.mine || (i.mode & 077))
            wrong = "must be a file of yours that only you can read (chmod 600)";
        else if ((n = sys_read(fd, text, sizeof text)) <= 0)
            wrong = "is empty";
    } else {
        return true; /* a directory that can't be written, which has been said */
    }
    sys_close(fd);
    if (wrong)
        text_print(TEXT_ERR, "weir: %s %s\n", path, wrong);
    else
        add("first", slice_trim(slice_make(text, (size_t)n)));
    explicit_bzero(token, sizeof token);
    explicit_bzero(text, sizeof text);
    return !wrong;
}

bool plane_open(const struct conf *c)
{
    const char *given = cmd_env.getenv(cmd_env.user, "WEIR_ADMIN_KEY"), *why = "";
    char where[ADDR_TEXT_MAX];
    struct slice text;
    struct addr at;

    if (!c->admin_on)
        return true;
    if (given && given[0])
        add("environment", slice_trim(slice_str(given)));
    if (!admin_has_key(c) && !registry_count(KIND_API_KEY) && c->state_dir.n && !key_of_file(c->state_dir))
        return false;
    if (!admin_has_key(c) && !registry_count(KIND_API_KEY)) {
        log_say(LOG_INFO, "admin API: not served, as there is no key for it. Set admin.apiKeys, WEIR_ADMIN_KEY or stateDir.");
        return true;
    }
    errno = 0;
    if (!addr_parse(c->admin_listen.host, c->admin_listen.port, &at) || !admin_open(&at, handover_socket(HANDOVER_ADMIN), &why)) {
        text_print(TEXT_ERR, "weir: admin.listen: %s%s%s\n", why[0] ? why : "not an address", errno ? ": " : "", errno ? strerror(errno) : "");
        return false;
    }
    if (!recent_open())
        log_say(LOG_WARN, "no address space: the admin API does not show recent requests");
    if (!registry_show_file(reload_text()))
        log_say(LOG_WARN, "out of memory: the admin API does not list all of the config file");
    text = addr_text(admin_address(), where);
    log_say(LOG_INFO, "admin API and dashboard on http://%.*s/", (int)text.n, text.p);
    return true;
}
