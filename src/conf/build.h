/* What the files that build a snapshot share; nobody outside conf includes it. */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "base/arena.h"
#include "base/map.h"
#include "conf/conf.h"
#include "conf/read.h"

enum section {
    SECTION_LISTEN, SECTION_TLS, SECTION_ADMIN, SECTION_STATE_DIR, SECTION_STATE_KEY, SECTION_GATEWAY, SECTION_LIMITS, SECTION_UPSTREAM,
    SECTION_SIM, SECTION_SANDBOX, SECTION_USER, SECTION_LOG, SECTION_PROVIDERS, SECTION_MANAGED, SECTION_PROVIDER_KEYS, SECTION_CONFIGURATIONS,
    SECTION_ACCESS_KEYS, SECTION_COUNT
};

enum {
    CONF_TEXT_MAX = 16 << 20,    /* with what the admin API added; spec L-58: ten thousand of everything are about 3 MB */
    CONF_ARENA_MAX = 512 << 20,  /* a stop for mistakes of ours; the text's size bounds what it can ask for */
    NAME_CHARS_MAX = 255,        /* these three: the admin API's contract */
    DESCRIPTION_CHARS_MAX = 255,
    METADATA_CHARS_MAX = 4096,
    URL_CHARS_MAX = 2048,
    PROVIDER_KEY_MAX = 8192,     /* bytes of an upstream credential; OAuth tokens reach 2 KB */
    ALIAS_DEPTH_MAX = 16,        /* aliases that name aliases */
};

struct build {
    struct conf *c;
    struct arena *arena;         /* the snapshot's own */
    struct arena *scratch;       /* gone when the load ends */
    struct reader r;
    size_t section_at[SECTION_COUNT]; /* start of the value, 0: absent */
    struct map key_ids;          /* provider keys: id -> struct credential */
    uint32_t credential_cap, provider_cap, warning_cap;
};

/* conf_load, with ranges in which nothing is read from elsewhere. */
struct conf *conf_load_literal(struct slice text, bool managed_from_environment, const struct conf_env *env, const struct literal *literal, uint32_t nliteral,
                               struct conf_error *error);

/* Positions the reader at a section; false when it is absent (or the load has failed). */
bool build_section(struct build *b, enum section s);
/* Memory of the snapshot or the scratch arena; on overflow the load fails with a message and NULL comes back. */
void *build_zero(struct build *b, struct arena *a, size_t count, size_t size);
struct slice build_copy(struct build *b, struct slice s);
struct slice build_lower(struct build *b, struct slice s); /* itself when nothing is upper case */
bool build_map(struct build *b, struct map *m, struct arena *a, uint32_t count);
/* A string member of the contract: copied, at most max characters, without control characters unless free_form. */
bool build_text(struct build *b, const char *what, size_t max, bool free_form, struct slice *out);
bool build_id(struct build *b, const char *what, bool provider, struct slice *out, size_t *at);
/* Reads and drops description and metadata. */
bool build_remark(struct build *b, const char *what, size_t max);

/* The parts, in this order. Each reads one section; after a failure they do nothing. */
void build_providers(struct build *b);
void build_managed(struct build *b);
void build_managed_from_environment(struct build *b);
void build_provider_keys(struct build *b);
void build_configurations(struct build *b);
void build_access_keys(struct build *b);
void build_finish(struct build *b); /* lists of keys per provider */

/* One more credential; the caller fills name and value. NULL after a failure. */
struct credential *build_credential(struct build *b, struct slice id, const struct provider *p);
/* A provider key's value at hand: from its setting, checked, copied. */
bool build_key_value(struct build *b, struct slice key_name, struct slice *out);
/* "unknown provider ..." at an offset, with the nearest ids. Always false. */
bool build_unknown_provider(struct build *b, size_t at, const char *what, struct slice id);

/* The orders by which lists of a configuration are sorted; case is folded. */
int order_text(struct slice a, struct slice b);
int order_target(const struct provider *pa, struct slice ma, const struct provider *pb, struct slice mb);

#endif
