/* The config file together with what was made over the admin API: one text is made of both and loaded as any other, so that there is
 * one reader, one set of rules and one kind of snapshot. What the file says wins; in what was stored "env:" and "file:" mean nothing.
 * Pure. */
#ifndef CONF_OVERLAY_H
#define CONF_OVERLAY_H

#include "conf/conf.h"

enum { STORED_SETTINGS_MAX = 16, STORED_PATH_MAX = 200 };

enum stored_list { STORED_PROVIDERS, STORED_PROVIDER_KEYS, STORED_CONFIGURATIONS, STORED_LISTS };

struct conf_stored {
    struct slice list[STORED_LISTS];  /* objects as in the config, with a comma between two; empty: none */
    struct {
        const char *name;             /* of a member of "gateway" */
        struct slice value;           /* JSON */
    } gateway[STORED_SETTINGS_MAX];
    uint32_t ngateway;
};

/* What a refusal is about. */
struct conf_stored_error {
    struct conf_error e;
    char path[STORED_PATH_MAX];       /* "accessKeyConfigurations[2].router.rules[0]", in the two together; "" for no place */
    int list;                         /* enum stored_list when the place is within something stored; else -1 */
    uint32_t index;                   /* which of that list's */
    const char *inside;               /* rest of path behind the index, without a dot: "router.rules[0]" */
};

/* As conf_load. text is the config file's; text.p NULL: there is none, and managed credentials come from the environment (conf_default). */
struct conf *conf_load_stored(struct slice text, const struct conf_stored *s, const struct conf_env *env, struct conf_stored_error *error);
/* Whether the file itself sets that member of "gateway". */
bool conf_text_sets(struct slice text, const char *gateway_member);

#endif
