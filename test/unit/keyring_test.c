/* The ring of access keys: a hundred thousand of them in their place, what each costs, and the order and references that lists and refusals rely on. */
#include "conf/keyring.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "check.h"

enum { MANY = 100000, CONFIGS = 50 };

static bool plain_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#else
    return check_slack() == 1;
#endif
}

/* Pages of this process in memory, in bytes. */
static size_t resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, here = 0;

    if (f && fscanf(f, "%lu %lu", &all, &here) != 2)
        here = 0;
    if (f)
        fclose(f);
    return here * 4096;
}

static const char *no_variable(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user, (void)path, (void)a, (void)out;
    return false;
}

static const struct conf_env nothing = {.getenv = no_variable, .read_file = no_file};

#define say(buf, cap, format, n) slice_make((buf), (size_t)text_format((buf), (cap), format, n))

/* Everything about key n follows from n. The texts live until the eighth call from now. */
static struct keyring_key key_of(unsigned n)
{
    static char text[8][4][64];
    static unsigned turn;
    char (*t)[64] = text[turn++ % 8];
    struct keyring_key k = {.redacted = SLICE("weir_abcde***wxyz"), .by = SLICE("aigak_0123456789abcdefghijkl"), .created_ms = 1700000000000 + n,
                            .updated_ms = 1700000000000 + n, .revision = 1};

    k.updated_by = k.by;
    k.id = say(t[0], 64, "aigk_abcdefghijklmn%u", n + 10000000);
    k.name = say(t[1], 64, "customer%u", n % 9000 + 1000);
    k.config_id = say(t[2], 64, "aigac_abcdefghijklmnopqrst%u", n % CONFIGS + 10);
    sha256(say(t[3], 64, "token %u", n), k.sha256);
    return k;
}

static bool same(const struct keyring_key *a, const struct keyring_key *b)
{
    return memcmp(a->sha256, b->sha256, 32) == 0 && slice_eq(a->id, b->id) && slice_eq(a->name, b->name) && slice_eq(a->description, b->description) &&
           slice_eq(a->metadata, b->metadata) && slice_eq(a->redacted, b->redacted) && slice_eq(a->config_id, b->config_id) && slice_eq(a->by, b->by) &&
           slice_eq(a->updated_by, b->updated_by) && memcmp(&a->limits, &b->limits, sizeof a->limits) == 0 && a->created_ms == b->created_ms &&
           a->updated_ms == b->updated_ms && a->revision == b->revision;
}

static struct conf *config_with(const char *ids)
{
    struct conf_error e;
    struct conf *c = conf_load(slice_str(ids), &nothing, &e);

    if (!c)
        printf("%s\n", e.text);
    return c;
}

static void test_many(void)
{
    size_t before = resident(), each;
    struct keyring_key k, got;
    struct slice id = SLICE("");
    double begin, first = 0, last;
    unsigned bad = 0, n = MANY;

    check_case("a hundred thousand");
    begin = check_cpu_ms();
    for (unsigned i = 0; i < MANY; i++) {
        k = key_of(i);
        bad += !keyring_put(&k);
        if (i == MANY / 10)
            first = check_cpu_ms() - begin;
    }
    last = check_cpu_ms() - begin;
    CHECK_INT(bad, 0);
    CHECK_INT(keyring_count(), MANY);
    CHECK(last < first * 40 + 50 * check_slack()); /* ten times as many; a rebuild or a walk per key would be a hundred times as long */
    each = (resident() - before) / MANY;
    if (plain_memory() && !CHECK(each <= KEYRING_BYTES))
        printf("     %zu bytes each\n", each);
    CHECK(keyring_bytes() / MANY <= KEYRING_BYTES - 2 * KEYRING_BUCKETS * sizeof(void *) / MANY);
    if (getenv("WEIR_SHOW"))
        printf("%zu bytes each in memory, %zu without the tables; %.2f us to add one\n", each, keyring_bytes() / MANY, last * 1000 / MANY);

    check_case("each is found by its id, and in the order in which it came");
    for (unsigned i = 0; i < MANY; i++) {
        k = key_of(i);
        bad += !keyring_get(k.id, &got) || !same(&k, &got);
    }
    while (keyring_older(id, &got)) {
        k = key_of(--n);
        bad += !slice_eq(got.id, k.id);
        id = got.id;
    }
    CHECK_INT(bad, 0);
    CHECK_INT(n, 0);
    CHECK_INT(keyring_uses(key_of(7).config_id), MANY / CONFIGS);
}

static void test_use(void)
{
    struct conf *c = config_with("{\"accessKeyConfigurations\":[{\"id\":\"aigac_abcdefghijklmnopqrst17\",\"name\":\"seven\"}]}");
    const struct access_key *key = NULL;
    struct keyring_key k, got;
    struct arena a;
    double begin;
    unsigned bad = 0;

    check_case("who has that token");
    arena_init(&a, &mem_heap_source, 1 << 16, 1 << 26);
    k = key_of(7);
    if (!CHECK(keyring_use(k.sha256, c, 1700000001234, &a, &key) == KEYRING_FOUND))
        return;
    CHECK_SLICE(key->id, k.id);
    CHECK_SLICE(key->name, k.name);
    CHECK(key->config && slice_eq(key->config->name, SLICE("seven")));
    CHECK(keyring_get(k.id, &got) && got.used_ms == 1700000001000);
    k = key_of(8);
    CHECK_INT(keyring_use(k.sha256, c, 0, &a, &key), KEYRING_ORPHAN); /* its configuration is not there */
    k.sha256[31] ^= 1;
    CHECK_INT(keyring_use(k.sha256, c, 0, &a, &key), KEYRING_NONE);
    memset(k.sha256, 0, 32);
    CHECK_INT(keyring_use(k.sha256, c, 0, &a, &key), KEYRING_NONE);

    check_case("a look-up costs the same among many");
    begin = check_cpu_ms();
    for (unsigned i = 0; i < MANY; i++) {
        k = key_of(i % CONFIGS == 7 ? i : 7);
        bad += keyring_use(k.sha256, c, 1, &a, &key) != KEYRING_FOUND;
        arena_reset(&a);
    }
    CHECK_INT(bad, 0);
    CHECK(check_cpu_ms() - begin < 3000.0 * check_slack());
    if (getenv("WEIR_SHOW"))
        printf("%.2f us to look one up, hash and texts made here included\n", (check_cpu_ms() - begin) * 1000 / MANY);

    check_case("no memory for the copy");
    arena_init_fixed(&a, NULL, 0);
    CHECK_INT(keyring_use(key_of(7).sha256, c, 0, &a, &key), KEYRING_NO_MEMORY);
    conf_put(c);
}

static void test_changes(void)
{
    struct keyring_key k = key_of(500), got, other = key_of(501);
    struct conf *c = config_with("{}");
    const struct access_key *key = NULL;
    struct arena a;
    size_t bytes = keyring_bytes();

    check_case("changed: place and use stay, the rest is new");
    k.config_id = SLICE("");
    k.description = SLICE("a text");
    k.metadata = SLICE("{\"team\":\"x\"}");
    k.limits = (struct key_limits){.requests_per_minute = 5, .budget_per_day = 250000, .expires_ms = 1800000000000};
    k.updated_by = SLICE("aigak_other");
    k.revision = 2;
    CHECK(keyring_put(&k) && keyring_count() == MANY);
    CHECK(keyring_get(k.id, &got) && same(&k, &got));
    CHECK(keyring_older(key_of(501).id, &got) && slice_eq(got.id, key_of(500).id));
    CHECK(keyring_older(key_of(500).id, &got) && slice_eq(got.id, key_of(499).id));
    CHECK(keyring_bytes() > bytes);
    arena_init(&a, &mem_heap_source, 1 << 12, 1 << 20);
    CHECK_INT(keyring_use(k.sha256, c, 5000, &a, &key), KEYRING_FOUND);
    CHECK(!key->config && key->limits.requests_per_minute == 5 && key->limits.expires_ms == 1800000000000);
    CHECK(keyring_get(k.id, &got) && got.used_ms == 5000);

    check_case("another token: the old one opens nothing");
    k = key_of(500);
    k.sha256[0] ^= 0x80;
    k.config_id = SLICE("");
    CHECK(keyring_put(&k));
    CHECK_INT(keyring_use(key_of(500).sha256, c, 0, &a, &key), KEYRING_NONE);
    CHECK_INT(keyring_use(k.sha256, c, 0, &a, &key), KEYRING_FOUND);
    CHECK(keyring_get(key_of(500).id, &got) && got.revision == 1);

    check_case("a token that another key has");
    k = key_of(500);
    other = key_of(600);
    memcpy(k.sha256, other.sha256, 32);
    CHECK(!keyring_put(&k));
    k = key_of(MANY);
    memcpy(k.sha256, other.sha256, 32);
    CHECK(!keyring_put(&k) && keyring_count() == MANY);
    CHECK(keyring_get(key_of(600).id, &got));

    check_case("removed");
    k = key_of(500);
    CHECK(keyring_remove(k.id) && !keyring_remove(k.id) && !keyring_get(k.id, &got));
    CHECK(keyring_older(key_of(501).id, &got) && slice_eq(got.id, key_of(499).id));
    CHECK_INT(keyring_use(k.sha256, c, 0, &a, &key), KEYRING_NONE);
    CHECK(keyring_put(&k) && keyring_older(SLICE(""), &got) && slice_eq(got.id, k.id)); /* again: now the newest */

    check_case("no memory: what was there stays");
    mem_heap_fail_at(1, true);
    k.metadata = slice_make("                                                                                                    ", 100);
    for (int i = 0; i < 3000 && keyring_put(&k); i++)
        k.metadata.n = 50 + (size_t)i % 50;
    CHECK(keyring_get(k.id, &got));
    mem_heap_fail_at(0, false);
    arena_reset(&a);
    conf_put(c);
}

static void test_references(void)
{
    struct keyring_key k = key_of(MANY), got;
    char config[64];
    unsigned bad = 0;

    check_case("references are counted, and gone ones make room: more configurations than there are numbers, one after the other");
    for (unsigned i = 0; i < 2 * KEYRING_NAMES; i++) {
        k.config_id = say(config, sizeof config, "aigac_of_%u", i);
        bad += !keyring_put(&k) || keyring_uses(k.config_id) != 1;
        bad += i > 0 && keyring_uses(say(config, sizeof config, "aigac_of_%u", i - 1)) != 0;
    }
    CHECK_INT(bad, 0);
    CHECK(keyring_get(key_of(MANY).id, &got) && slice_eq(got.config_id, say(config, sizeof config, "aigac_of_%u", 2 * KEYRING_NAMES - 1)));
    CHECK_INT(keyring_uses(SLICE("")), 0);
    CHECK_INT(keyring_uses(SLICE("aigac_nobody")), 0);

    check_case("all go");
    for (unsigned i = 0; i <= MANY; i++)
        bad += !keyring_remove(key_of(i).id);
    CHECK_INT(bad, 0);
    CHECK_INT(keyring_count(), 0);
    CHECK_INT(keyring_bytes(), 0);
    CHECK_INT(keyring_uses(key_of(7).config_id), 0);
    CHECK(!keyring_older(SLICE(""), &got));
}

static void test_limits(void)
{
    static const struct {
        const char *body, *out, *error;
    } row[] = {
        {"{}", "{}", NULL},
        {"{\"limits\":{\"requestsPerMinute\":5,\"tokensPerMinute\":1000,\"usdPerDay\":0.25,\"usdTotal\":12},\"name\":\"x\"}",
         "{\"requestsPerMinute\":5,\"tokensPerMinute\":1000,\"usdPerDay\":0.25,\"usdTotal\":12}", NULL},
        {"{\"limits\":{\"usdTotal\":0.000001}}", "{\"usdTotal\":0.000001}", NULL},
        {"{\"limits\":{\"usdTotal\":1.50}}", "{\"usdTotal\":1.5}", NULL},
        {"{\"limits\":{\"requestsPerMinute\":-1}}", NULL, "requestsPerMinute"},
        {"{\"limits\":{\"usdPerDay\":\"much\"}}", NULL, "usdPerDay"},
        {"{\"limits\":{\"perHour\":1}}", NULL, "perHour"},
        {"{\"limits\":[]}", NULL, "limits"},
        {"{\"limits\":{\"requestsPerMinute\":1,\"requestsPerMinute\":2}}", NULL, "requestsPerMinute"},
        {"{\"expiresAt\":\"tomorrow\"}", NULL, "expiresAt"},
        {"{\"expiresAt\":\"env:HOME\"}", NULL, "expiresAt"}, /* nothing is read from elsewhere */
        {"{\"expiresAt\":\"file:/etc/hostname\"}", NULL, "expiresAt"},
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct key_limits l;
        struct conf_error e;
        struct json_out o;
        char out[256];
        bool ok = keyring_read_limits(slice_str(row[i].body), &l, &e);

        check_case(row[i].body);
        if (!row[i].out) {
            CHECK(!ok && strstr(e.text, row[i].error));
            continue;
        }
        CHECK(ok);
        json_out_init(&o, out, sizeof out);
        keyring_put_limits(&o, &l);
        CHECK_STR(json_out_done(&o), row[i].out);
    }
    check_case("expiry");
    {
        struct key_limits l;
        struct conf_error e;

        CHECK(keyring_read_limits(SLICE("{\"expiresAt\":\"2090-01-01T00:00:00Z\"}"), &l, &e) && l.expires_ms == 3786912000000 && !key_limits_any(&l));
    }
}

int main(void)
{
    if (!CHECK(keyring_init()))
        return check_end();
    test_many();
    test_use();
    test_changes();
    test_references();
    test_limits();
    return check_end();
}
