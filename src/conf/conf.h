/* One immutable, validated snapshot of all settings and resources (spec 12). Built whole, swapped whole: who holds a
 * reference keeps what it started with. Nothing here changes after load; counters and health live in gate. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/confine.h"
#include "base/key_limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/slice.h"
#include "http/url.h"
#include "llm/classify.h"
#include "llm/surface.h"
#include "llm/text.h"

struct conf_model {
    struct slice id, name;           /* as declared; ids match without regard to case */
    uint32_t context_window, max_output_tokens; /* 0: unknown */
    /* pico-dollars per token (1e6 x dollars per million); 0 when unknown */
    uint64_t price_input, price_output, price_cache_read, price_cache_write;
    bool priced;
    const struct slice *unsupported; /* request parameters that are stripped (spec 10) */
    uint32_t nunsupported;
};

/* The parameters that a provider's surface takes; others are stripped (spec 10). */
struct param_list {
    bool limited; /* a list was given, even an empty one */
    const struct slice *name;
    uint32_t n;
};

/* A secret that goes to an upstream, or its absence. */
struct credential {
    struct slice id;    /* aigpk_..., "managed:openai:0", or "none:ollama" */
    struct slice name;  /* what logs and x-weir-attempts show: key name, "managed", "none" */
    struct slice value; /* empty: call without a credential */
    const struct provider *provider;
    uint32_t index;     /* position in conf->credential, for tables beside the snapshot */
    bool managed;
};

struct provider {
    struct slice id, name;
    struct url base;
    struct slice authority; /* "host" or "host:port" for the Host field */
    enum dialect dialect;
    enum text_prefix prefix;  /* how its chat-completions take the beginning of an answer */
    unsigned surfaces;      /* surface_bit()s of declared surfaces */
    uint32_t index;
    uint32_t origin;        /* providers with equal (scheme, host, port) share it; < conf->norigins */
    bool builtin;
    bool sim;               /* the built-in simulator: base is filled in by main once its listener is open */
    const struct conf_model *model;
    uint32_t nmodels;
    const struct credential **key; /* stored keys, in order of creation */
    uint32_t nkeys;
    const struct credential **managed;
    uint32_t nmanaged;
    const struct credential *none;  /* custom providers and sim: used when there is no key at all; else NULL */
    const struct credential *blank; /* never NULL, never called: stands for the provider in records of what was skipped */
    const struct param_list *params; /* by enum surface (declared ones); NULL: nothing is stripped */
    /* private */
    struct map by_model; /* lower-case id -> struct conf_model */
};

struct target {
    const struct provider *provider;
    struct slice model; /* the id as upstream gets it */
    const struct conf_model *known; /* NULL: passed through as it stands */
};

enum strategy { STRATEGY_ORDERED, STRATEGY_ROUND_ROBIN, STRATEGY_RANDOM };

struct step {
    bool managed;                 /* else the keys below */
    enum strategy strategy;
    const struct credential **key;
    uint32_t nkeys;
    uint32_t index;               /* unique in the snapshot: the round-robin counter's place; < conf->nsteps */
};

struct rule {
    const struct provider *provider;
    struct slice model;           /* empty: for the whole provider */
    const struct step *step;
    uint32_t nsteps;
};

struct alias {
    struct slice name;
    const struct target *target;
    uint32_t ntargets;
};

struct access_config {
    struct slice id, name;
    bool scope_providers, scope_models; /* a list was given, even an empty one */
    /* Sorted for route.c: providers by index, targets and rules by provider index, then model (a provider's own rule
     * before those of its models), aliases by name; all without regard to case. */
    const struct provider **provider_allow;
    uint32_t nprovider_allow;
    const struct target *model_allow;
    uint32_t nmodel_allow;
    const struct rule *rule;
    uint32_t nrules;
    const struct alias *alias;
    uint32_t naliases;
    uint32_t hedge_after_ms;            /* 0: off */
    bool continue_streams;
};

struct access_key {
    struct slice id, name;
    uint8_t sha256[32];
    const struct access_config *config; /* NULL: defaults of spec 4 */
    uint32_t index;
    struct key_limits limits;           /* spec 10 */
};

struct conf_listen {
    struct slice host; /* IPv4 or IPv6 literal */
    uint16_t port;
};

/* All durations in milliseconds, 0 = off (null). */
struct conf_gateway {
    uint32_t connect_timeout_ms, per_request_timeout_ms, first_token_timeout_ms, total_timeout_ms;
    uint32_t stream_idle_timeout_ms, stream_heartbeat_ms;
    uint64_t max_input_tokens, max_output_tokens; /* 0: none */
    bool cooldown;
};

struct conf {
    struct conf_listen listen;
    struct slice tls_cert, tls_key;     /* PEM text; empty: plain HTTP */
    bool admin_on;                      /* parsed and kept for the admin plane */
    struct conf_listen admin_listen;
    uint8_t (*admin_key)[32];           /* SHA-256 of each API key; the keys themselves are not kept */
    uint32_t nadmin_keys;
    struct slice *admin_host;           /* further names the admin plane answers to */
    uint32_t nadmin_hosts;
    struct slice state_dir;             /* empty: none */
    uint8_t *state_key;                 /* 32 bytes that seal what is in state_dir; NULL: master.key there */
    struct conf_gateway gateway;
    uint32_t max_connections;
    uint32_t drain_ms;                  /* what runs may go on for so long after SIGTERM; 0: to its end */
    uint64_t max_request_bytes, memory;
    struct slice ca_file;               /* empty: the built-in search list */
    struct conf_listen dns[3];
    uint32_t ndns;                      /* 0: /etc/resolv.conf */
    bool allow_private;
    bool sim;
    enum log_level log_level;
    bool log_requests;
    struct slice log_file;              /* empty: stderr */
    enum confine_mode sandbox;
    struct slice user;                  /* whom root becomes; empty: nobody else */

    struct provider *provider;
    uint32_t nproviders, norigins;
    struct credential *credential;
    uint32_t ncredentials;
    uint32_t nsteps;
    struct access_config *access_config;
    uint32_t naccess_configs;
    struct access_key *access_key;
    uint32_t naccess_keys;
    struct slice *warning; /* what loaded but deserves a line in the log, such as a managed key that is not set */
    uint32_t nwarnings;

    /* private */
    uint32_t refs;
    uint32_t access_key_cap;
    struct arena arena;
    struct map providers;    /* id -> struct provider */
    struct map access_keys;  /* sha256 -> struct access_key */
    struct map configs;      /* id -> struct access_config */
    struct map models;       /* lower-case model id -> struct target */
};

/* What was wrong, ready to print as FILE:LINE:COLUMN: TEXT. */
struct conf_error {
    unsigned line, column; /* 0: not about a place in the file */
    size_t at;             /* the same as an offset */
    char text[512];        /* what is wrong and what would be right; never a secret's value */
};

/* The environment and file access conf may use, so that tests bring their own. */
struct conf_env {
    const char *(*getenv)(void *user, const char *name);                      /* NULL when unset */
    bool (*read_file)(void *user, struct slice path, struct arena *a, struct slice *out); /* whole file, <= 1 MiB */
    void *user;
};

/* Reads a config text. NULL with *error set when anything is wrong. The result holds no pointer into text. */
struct conf *conf_load(struct slice text, const struct conf_env *env, struct conf_error *error);
/* The config that "no config file" means: managed credentials from the environment; has no access key yet. */
struct conf *conf_default(const struct conf_env *env, struct conf_error *error);
/* Adds one access key to a snapshot nobody shares yet (first start, demo). sha256 of the token. */
bool conf_add_access_key(struct conf *c, struct slice id, struct slice name, const uint8_t sha256[32]);

void conf_get(struct conf *c);  /* one more reference */
void conf_put(struct conf *c);  /* the last one frees it, secrets wiped */

const struct provider *conf_provider(const struct conf *c, struct slice id); /* exact match; NULL when unknown */
/* Catalog and declared models, case folded; built-in providers first, in catalog order. NULL when unknown. */
const struct target *conf_model(const struct conf *c, struct slice model);
const struct conf_model *conf_provider_model(const struct provider *p, struct slice model);
/* Look-ups in one access key's configuration, without regard to case, O(log n); NULL when there is none. config may be
 * NULL everywhere. conf_rule: an empty model asks for the provider's own rule. */
const struct alias *conf_alias(const struct access_config *config, struct slice name);
const struct rule *conf_rule(const struct access_config *config, const struct provider *p, struct slice model);
const struct access_config *conf_access_config(const struct conf *c, struct slice id); /* exact match; NULL when unknown */
/* Scope of spec 3: whether both lists, where given, hold it. */
bool conf_allows(const struct access_config *config, const struct provider *p, struct slice model);
/* By SHA-256 of the token; equal hashes compare in constant time. NULL when unknown. */
const struct access_key *conf_access_key(const struct conf *c, const uint8_t sha256[32]);

/* Go's duration syntax ("1m30s", "500ms", "0"); false for anything else or above 24 h. */
bool conf_duration_ms(struct slice text, uint32_t *ms);
/* Redacted form of a secret (spec 11): first 10, ***, last 4; shorter than 24: ***. out needs 20 bytes. */
struct slice conf_redact(struct slice secret, char out[20]);

#endif
