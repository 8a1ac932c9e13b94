/* One small block per key: a head, then its texts one behind the other. Two chained hash tables of fixed size lead to it, by token and by id; a list
 * keeps the order. Texts that many keys share (configuration, author) are kept once, for as long as somebody refers to them, and named by number. */
#include "conf/keyring.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/small.h"
#include "base/sys.h"
#include "base/text.h"
#include "conf/key_limits.h"
#include "conf/read.h"

enum { NAME_BUCKETS = 1 << 14 };

struct entry {
    uint8_t sha256[32];
    struct entry *next_token, *next_id;
    struct list order;
    int64_t created_ms, updated_ms;
    uint32_t revision, used_s, size; /* used_s: since 1970 */
    uint16_t config, by, updated_by; /* numbers of names; 0: none */
    uint16_t name_n, description_n, metadata_n;
    uint8_t id_n, redacted_n;
    bool limited;                    /* a struct key_limits stands behind the texts */
    char text[];
};

struct name {
    struct slice text;
    uint32_t refs;                   /* 0: free */
    uint32_t uses;                   /* of these as a configuration */
    uint16_t next;                   /* of its bucket, or of the free ones */
};

static struct {
    struct entry **by_token, **by_id;
    struct list order;               /* oldest first */
    struct name *name;               /* KEYRING_NAMES + 1; [0] is no name */
    uint16_t *name_bucket;           /* NAME_BUCKETS numbers */
    uint16_t free_name;
    uint32_t names, count;           /* names: how many numbers were ever given */
    size_t bytes;
    uint64_t seed;
} ring;

bool keyring_init(void)
{
    ring.by_token = mem_table(KEYRING_BUCKETS, sizeof(struct entry *));
    ring.by_id = mem_table(KEYRING_BUCKETS, sizeof(struct entry *));
    ring.name = mem_table(KEYRING_NAMES + 1, sizeof *ring.name);
    ring.name_bucket = mem_table(NAME_BUCKETS, sizeof *ring.name_bucket);
    ring.names = ring.count = ring.free_name = 0;
    ring.bytes = 0;
    list_init(&ring.order);
    small_init();
    return ring.by_token && ring.by_id && ring.name && ring.name_bucket && sys_random(&ring.seed, sizeof ring.seed);
}

uint32_t keyring_count(void)
{
    return ring.count;
}

size_t keyring_bytes(void)
{
    return ring.bytes;
}

/* ---- Texts ---- */

static uint16_t *name_at(struct slice text)
{
    uint16_t *at = &ring.name_bucket[hash_bytes(text, ring.seed) % NAME_BUCKETS];

    while (*at && !slice_eq(ring.name[*at].text, text))
        at = &ring.name[*at].next;
    return at;
}

/* One more reference; *out 0: no text. False: no memory, or too many different ones. */
static bool name_take(struct slice text, uint16_t *out)
{
    uint16_t *bucket, n;
    char *copy;

    *out = 0;
    if (!text.n)
        return true;
    n = *name_at(text);
    if (!n) {
        n = ring.free_name ? ring.free_name : ring.names < KEYRING_NAMES ? (uint16_t)(ring.names + 1) : 0;
        copy = n ? small_take(text.n) : NULL;
        if (!copy)
            return false;
        if (n == ring.free_name)
            ring.free_name = ring.name[n].next;
        else
            ring.names++;
        memcpy(copy, text.p, text.n);
        bucket = name_at(text);
        ring.name[n] = (struct name){.text = slice_make(copy, text.n)};
        *bucket = n;
    }
    ring.name[n].refs++;
    *out = n;
    return true;
}

static void name_drop(uint16_t n)
{
    struct name *name = &ring.name[n];

    if (!n || --name->refs)
        return;
    *name_at(name->text) = name->next;
    small_give((char *)(uintptr_t)name->text.p, name->text.n);
    *name = (struct name){.next = ring.free_name};
    ring.free_name = n;
}

static struct slice entry_id(const struct entry *e)
{
    return slice_make(e->text, e->id_n);
}

static void spell(const struct entry *e, struct keyring_key *k)
{
    const char *p = e->text;

    *k = (struct keyring_key){.created_ms = e->created_ms, .updated_ms = e->updated_ms, .used_ms = (int64_t)e->used_s * 1000, .revision = e->revision,
                              .config_id = ring.name[e->config].text, .by = ring.name[e->by].text, .updated_by = ring.name[e->updated_by].text};
    memcpy(k->sha256, e->sha256, 32);
    k->id = slice_make(p, e->id_n);
    p += e->id_n;
    k->redacted = slice_make(p, e->redacted_n);
    p += e->redacted_n;
    k->name = slice_make(p, e->name_n);
    p += e->name_n;
    k->description = slice_make(p, e->description_n);
    p += e->description_n;
    k->metadata = slice_make(p, e->metadata_n);
    p += e->metadata_n;
    if (e->limited)
        memcpy(&k->limits, p, sizeof k->limits);
}

static char *put(char *p, struct slice s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static struct entry *pack(const struct keyring_key *k)
{
    const bool limited = key_limits_any(&k->limits) || k->limits.expires_ms;
    size_t size = offsetof(struct entry, text) + k->id.n + k->redacted.n + k->name.n + k->description.n + k->metadata.n + (limited ? sizeof k->limits : 0);
    uint16_t config = 0, by = 0, updated_by = 0;
    struct entry *e = NULL;
    char *p;

    if (size < sizeof *e)
        size = sizeof *e;
    if (k->id.n > 255 || k->redacted.n > 255 || k->name.n > UINT16_MAX || k->description.n > UINT16_MAX || k->metadata.n > UINT16_MAX)
        return NULL;
    if (name_take(k->config_id, &config) && name_take(k->by, &by) && name_take(k->updated_by, &updated_by))
        e = small_take(size);
    if (!e) {
        name_drop(config);
        name_drop(by);
        name_drop(updated_by);
        return NULL;
    }
    *e = (struct entry){.created_ms = k->created_ms, .updated_ms = k->updated_ms, .revision = k->revision, .used_s = (uint32_t)(k->used_ms / 1000),
                        .size = (uint32_t)size, .config = config, .by = by, .updated_by = updated_by, .name_n = (uint16_t)k->name.n,
                        .description_n = (uint16_t)k->description.n, .metadata_n = (uint16_t)k->metadata.n, .id_n = (uint8_t)k->id.n,
                        .redacted_n = (uint8_t)k->redacted.n, .limited = limited};
    memcpy(e->sha256, k->sha256, 32);
    p = put(put(put(put(put(e->text, k->id), k->redacted), k->name), k->description), k->metadata);
    if (limited)
        memcpy(p, &k->limits, sizeof k->limits);
    return e;
}

/* ---- Tables ---- */

/* Tokens are random, so their hash is its own. */
static struct entry **token_bucket(const uint8_t sha256[32])
{
    uint32_t h;

    memcpy(&h, sha256, sizeof h);
    return &ring.by_token[h % KEYRING_BUCKETS];
}

static struct entry **id_bucket(struct slice id)
{
    return &ring.by_id[hash_bytes(id, ring.seed) % KEYRING_BUCKETS];
}

static struct entry *by_id(struct slice id)
{
    struct entry *e = *id_bucket(id);

    while (e && !slice_eq(entry_id(e), id))
        e = e->next_id;
    return e;
}

static struct entry *by_token(const uint8_t sha256[32])
{
    struct entry *e = *token_bucket(sha256);

    while (e && !slice_eq_const_time(slice_make((const char *)e->sha256, 32), slice_make((const char *)sha256, 32)))
        e = e->next_token;
    return e;
}

static void unlink_entry(struct entry *e)
{
    struct entry **at = token_bucket(e->sha256);

    while (*at != e)
        at = &(*at)->next_token;
    *at = e->next_token;
    at = id_bucket(entry_id(e));
    while (*at != e)
        at = &(*at)->next_id;
    *at = e->next_id;
    list_remove(&e->order);
    ring.name[e->config].uses--;
    name_drop(e->config);
    name_drop(e->by);
    name_drop(e->updated_by);
    ring.count--;
    ring.bytes -= small_room(e->size);
    small_give(e, e->size);
}

bool keyring_put(const struct keyring_key *k)
{
    struct entry *old = by_id(k->id), *same = by_token(k->sha256), *e;
    struct entry **bucket;

    if ((same && same != old) || (!old && ring.count == KEYRING_MAX) || !(e = pack(k)))
        return false;
    if (old && !k->used_ms)
        e->used_s = old->used_s;
    list_link(&e->order, old ? old->order.prev : ring.order.prev, old ? &old->order : &ring.order);
    if (old)
        unlink_entry(old);
    bucket = token_bucket(e->sha256);
    e->next_token = *bucket;
    *bucket = e;
    bucket = id_bucket(entry_id(e));
    e->next_id = *bucket;
    *bucket = e;
    ring.name[e->config].uses++;
    ring.count++;
    ring.bytes += small_room(e->size);
    return true;
}

bool keyring_remove(struct slice id)
{
    struct entry *e = by_id(id);

    if (e)
        unlink_entry(e);
    return e != NULL;
}

bool keyring_get(struct slice id, struct keyring_key *out)
{
    struct entry *e = by_id(id);

    if (e)
        spell(e, out);
    return e != NULL;
}

bool keyring_older(struct slice id, struct keyring_key *out)
{
    struct entry *e = id.n ? by_id(id) : NULL;
    struct list *n = id.n ? (e ? e->order.prev : &ring.order) : ring.order.prev;

    if (n == &ring.order)
        return false;
    spell(container_of(n, struct entry, order), out);
    return true;
}

uint32_t keyring_uses(struct slice config_id)
{
    uint16_t n = *name_at(config_id);

    return n ? ring.name[n].uses : 0;
}

enum keyring_found keyring_use(const uint8_t sha256[32], const struct conf *c, int64_t now_ms, struct arena *a, const struct access_key **out)
{
    struct entry *e = ring.count ? by_token(sha256) : NULL;
    struct keyring_key k;
    struct access_key *key;

    if (!e)
        return KEYRING_NONE;
    e->used_s = (uint32_t)(now_ms / 1000);
    spell(e, &k);
    key = arena_take(a, sizeof *key);
    if (!key)
        return KEYRING_NO_MEMORY;
    *key = (struct access_key){.id = arena_copy(a, k.id), .name = arena_copy(a, k.name), .limits = k.limits, .index = UINT32_MAX};
    memcpy(key->sha256, sha256, 32);
    if (arena_overflowed(a))
        return KEYRING_NO_MEMORY;
    if (k.config_id.n && !(key->config = conf_access_config(c, k.config_id)))
        return KEYRING_ORPHAN;
    *out = key;
    return KEYRING_FOUND;
}

/* ---- Limits ---- */

static void put_dollars(struct json_out *o, const char *name, uint64_t millionths)
{
    uint64_t part = millionths % 1000000;
    char text[32];
    size_t n = (size_t)text_format(text, sizeof text, "%llu", (unsigned long long)(millionths / 1000000));

    if (!millionths)
        return;
    if (part)
        text[n++] = '.';
    for (uint64_t unit = 100000; part; unit /= 10) {
        text[n++] = (char)('0' + part / unit);
        part %= unit;
    }
    json_key(o, name);
    json_out_raw(o, slice_make(text, n));
}

void keyring_put_limits(struct json_out *o, const struct key_limits *l)
{
    json_open(o, '{');
    if (l->requests_per_minute) {
        json_key(o, "requestsPerMinute");
        json_out_u64(o, l->requests_per_minute);
    }
    if (l->tokens_per_minute) {
        json_key(o, "tokensPerMinute");
        json_out_u64(o, l->tokens_per_minute);
    }
    put_dollars(o, "usdPerDay", l->budget_per_day);
    put_dollars(o, "usdTotal", l->budget_total);
    json_close(o, '}');
}

bool keyring_read_limits(struct slice body, struct key_limits *out, struct conf_error *e)
{
    struct arena scratch;
    struct reader r = {.text = body, .error = e, .scratch = &scratch};
    struct read_object o;
    bool ok;

    *e = (struct conf_error){0};
    *out = (struct key_limits){0};
    arena_init(&scratch, &mem_heap_source, 1 << 12, 1 << 20);
    r.literal = &(struct literal){0, SIZE_MAX};
    r.nliteral = 1;
    ok = read_object(&r, &o, "an access key", NULL);
    while (ok && read_member(&r, &o) >= 0) {
        if (slice_eq(o.key, SLICE("limits")))
            ok = read_key_limits(&r, out);
        else if (slice_eq(o.key, SLICE("expiresAt")))
            ok = read_key_expiry(&r, out);
        else
            read_skip(&r);
    }
    arena_reset(&scratch);
    return ok && !r.failed;
}
