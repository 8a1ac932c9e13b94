/* See master.h. Two files can't change at once, so a change goes: the new key to master.key.new, the log rewritten under it (from here on
 * the new key counts), master.key.new renamed. A start that finds the old key wrong and master.key.new right finishes the change. */
#include "state/master.h"

#include "base/key32.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/sha256.h"

static const char key_name[] = "master.key", next_name[] = "master.key.new";
static const struct slice check_id = {"master", 6}, check_text = {"weir key check", 14};

enum { KEY_TEXT = 2 * SEAL_KEY + 1, KEY_FILE_MAX = 256 };

static bool refuse(struct disk *d, const char *what)
{
    text_format(d->why, sizeof d->why, "%s", what);
    return false;
}

/* 1: there. 0: no such file. -1: why. */
static int read_key(struct disk *d, const char *name, uint8_t key[SEAL_KEY])
{
    char text[KEY_FILE_MAX];
    ptrdiff_t n = d->dir == -1 ? -1 : disk_read_small(d, name, text, sizeof text);
    int found = n == -1 ? 0 : n < 0 ? -1 : key32_parse(slice_make(text, (size_t)n), key);

    if (n >= 0 && !found) {
        text_format(d->why, sizeof d->why, "%s does not hold 32 bytes as 64 hex digits", name);
        found = -1;
    }
    explicit_bzero(text, sizeof text);
    return found;
}

static bool write_fresh(struct disk *d, const char *name, uint8_t key[SEAL_KEY])
{
    char text[KEY_TEXT + 1];

    if (!sys_random(key, SEAL_KEY))
        return refuse(d, "the kernel gives no random numbers");
    sha256_hex(key, text); /* 32 bytes as hex, whatever they are */
    text[KEY_TEXT - 1] = '\n';
    if (!d->read_only && !disk_write_small(d, name, slice_make(text, KEY_TEXT)))
        d->read_only = true; /* blocks no start: nothing was stored under this key yet, and now nothing will be */
    explicit_bzero(text, sizeof text);
    return true;
}

static bool find_check(struct disk *d, const struct live *live, struct store_change *c)
{
    for (uint32_t i = 0; i < live->n; i++)
        if (live_change(live, disk_image(d), i, c) && (unsigned)c->kind == RECORD_KIND_KEY)
            return true;
    return false;
}

bool master_has_check(struct disk *d, const struct live *live)
{
    struct store_change c;

    return find_check(d, live, &c);
}

static bool fits(struct disk *d, const struct live *live, const uint8_t key[SEAL_KEY])
{
    struct store_change c;
    char text[64];

    return !find_check(d, live, &c) || (c.secret.n == check_text.n + SEAL_EXTRA && seal_open(key, RECORD_KIND_KEY, check_id, c.secret, text) &&
                                        slice_eq(slice_make(text, check_text.n), check_text));
}

size_t master_check_body(const uint8_t key[SEAL_KEY], char out[MASTER_CHECK])
{
    char sealed[64];
    struct store_change c = {.kind = (enum store_kind)RECORD_KIND_KEY, .op = STORE_PUT, .id = check_id,
                             .secret = {sealed, check_text.n + SEAL_EXTRA}};

    if (!seal_close(key, RECORD_KIND_KEY, check_id, check_text, sealed))
        return 0;
    must(record_body_size(&c, 1) <= MASTER_CHECK);
    record_put_body(out, &c, 1);
    return record_body_size(&c, 1);
}

static bool adopt(struct disk *d)
{
    return d->read_only || (sys_rename_at(d->dir, next_name, key_name) == 0 && sys_fsync(d->dir) == 0) ||
           refuse(d, "master.key.new can't be renamed to master.key");
}

bool master_find(struct disk *d, const struct live *live, const uint8_t *given, uint8_t key[SEAL_KEY])
{
    int found;

    if (given) {
        memcpy(key, given, SEAL_KEY);
        return !live || fits(d, live, key) || refuse(d, "stateKey is not the key this state was written with; nothing was changed");
    }
    found = read_key(d, key_name, key);
    if (found == 0 && !live)
        return write_fresh(d, key_name, key);
    if (found == -1 || (found == 1 && (!live || fits(d, live, key))))
        return found == 1;
    if (read_key(d, next_name, key) == 1 && fits(d, live, key))
        return adopt(d);
    return refuse(d, found == 0 ? "master.key is missing: without it the stored secrets can't be read. Restore it from a backup, or set stateKey"
                                : "master.key is not the key this state was written with (is stateKey missing?); nothing was changed");
}

/* The record body of c with its secret under another key, in memory of the heap. */
static char *sealed_anew(const struct store_change *c, const uint8_t key[SEAL_KEY], const uint8_t to[SEAL_KEY], size_t *n)
{
    size_t plain_n = c->secret.n - SEAL_EXTRA;
    char *work = mem_heap_take(plain_n + c->secret.n + 1), *body;
    struct store_change new = *c;

    if (!work)
        return NULL;
    sys_conceal(work, plain_n + c->secret.n + 1);
    new.secret.p = work + plain_n;
    *n = record_body_size(c, 1);
    body = mem_heap_take(*n);
    if (!body || !seal_open(key, (unsigned)c->kind, c->id, c->secret, work) ||
        !seal_close(to, (unsigned)c->kind, c->id, slice_make(work, plain_n), work + plain_n)) {
        mem_heap_give(body);
        body = NULL;
    } else {
        record_put_body(body, &new, 1);
    }
    explicit_bzero(work, plain_n);
    mem_heap_give(work);
    return body;
}

bool master_change(struct disk *d, const struct live *live, const uint8_t key[SEAL_KEY], const uint8_t *to, int64_t now_ms)
{
    uint8_t fresh[SEAL_KEY];
    char check[MASTER_CHECK];
    const bool own = !to;
    bool ok;

    if (own && (!write_fresh(d, next_name, fresh) || d->read_only))
        return false;
    if (own)
        to = fresh;
    for (uint32_t i = 0; i < live->n; i++) {
        struct store_change c;
        size_t n;
        char *body;

        if (!live_change(live, disk_image(d), i, &c) || c.secret.n < SEAL_EXTRA || (unsigned)c.kind == RECORD_KIND_KEY)
            continue;
        body = sealed_anew(&c, key, to, &n);
        ok = body && disk_add(d, slice_make(body, n), live->entry[i].time_ms);
        mem_heap_give(body);
        if (!ok)
            return refuse(d, "a stored secret can't be opened, or there is no memory; nothing was changed");
    }
    ok = false;
    if (master_check_body(to, check) && disk_add(d, slice_make(check, master_check_body(to, check)), now_ms)) {
        d->trusted = false; /* not appended: the old key's records go, all at once, with a new file */
        ok = disk_sync(d, now_ms) && (!own || adopt(d));
    }
    explicit_bzero(fresh, sizeof fresh);
    return ok;
}
