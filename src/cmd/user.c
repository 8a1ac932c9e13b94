/* See user.h. */
#include "cmd/user.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "cmd/cmd.h"

/* Up to the next colon or the end; *s is what lies behind it. */
static struct slice field(struct slice *s)
{
    ptrdiff_t colon = slice_find_char(*s, ':');
    struct slice f = slice_first(*s, colon < 0 ? s->n : (size_t)colon);

    *s = slice_from(*s, colon < 0 ? s->n : f.n + 1);
    return f;
}

static bool number(struct slice s, uint32_t *out)
{
    uint64_t v;

    if (!slice_u64(s, &v) || v >= UINT32_MAX) /* the last one means "no change" to the kernel */
        return false;
    *out = (uint32_t)v;
    return true;
}

bool user_find(struct slice text, struct slice passwd, uint32_t *uid, uint32_t *gid)
{
    struct slice rest = text, first = field(&rest);

    if (number(first, uid))
        return rest.n && number(rest, gid);
    while (passwd.n) {
        ptrdiff_t end = slice_find_char(passwd, '\n');
        struct slice line = slice_first(passwd, end < 0 ? passwd.n : (size_t)end);

        passwd = slice_from(passwd, end < 0 ? passwd.n : line.n + 1);
        if (text.n && slice_eq(field(&line), text)) { /* name:password:uid:gid:... */
            (void)field(&line);
            return number(field(&line), uid) && number(field(&line), gid);
        }
    }
    return false;
}

bool user_become(struct slice text)
{
    struct slice passwd = {NULL, 0};
    struct arena a;
    uint32_t uid, gid;
    bool found;

    if (!text.n)
        return true;
    arena_init(&a, &mem_heap_source, 1 << 12, 1 << 20);
    (void)cmd_env.read_file(cmd_env.user, SLICE("/etc/passwd"), &a, &passwd); /* a container may have none: then numbers do */
    found = user_find(text, passwd, &uid, &gid);
    arena_reset(&a);
    if (!found)
        text_print(TEXT_ERR, "weir: user: no \"%.*s\" in /etc/passwd; it takes a name from there or \"UID:GID\"\n", (int)text.n, text.p);
    else if (sys_become(uid, gid) == -1)
        text_print(TEXT_ERR, "weir: user: can't become %u:%u: %s (only root can become somebody else)\n", (unsigned)uid, (unsigned)gid, strerror(errno));
    else
        return true;
    return false;
}
