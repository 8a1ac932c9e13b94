/* Config texts, with an environment and files of our own: a snapshot that holds together, or an error that says where. */
#include "conf/conf.h"
#include "fuzz.h"

static const char *some_env(void *user, const char *name)
{
    static const char *const known[][2] = {{"PORT", "127.0.0.1:8081"}, {"EMPTY", ""}, {"NOPE", NULL}};

    (void)user;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i][0]) == 0)
            return known[i][1];
    return "sk-of-the-environment-01234567";
}

static bool some_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user;
    if (path.n > 6)
        return false;
    *out = slice_starts(path, SLICE("/c")) ? SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") : SLICE("  from a file \n");
    *out = arena_copy(a, *out);
    return !arena_overflowed(a);
}

static void check_conf(const struct conf *c)
{
    for (uint32_t i = 0; i < c->nproviders; i++) {
        const struct provider *p = &c->provider[i];

        FUZZ_CHECK(p->index == i && p->origin < c->norigins && p->blank && conf_provider(c, p->id) == p);
        for (uint32_t k = 0; k < p->nkeys; k++)
            FUZZ_CHECK(p->key[k]->provider == p && p->key[k]->value.n > 0);
        if (!p->builtin && p->nmodels)
            FUZZ_CHECK(conf_provider_model(p, p->model[0].id) != NULL && conf_model(c, p->model[0].id) != NULL);
    }
    for (uint32_t i = 0; i < c->naccess_keys; i++)
        FUZZ_CHECK(conf_access_key(c, c->access_key[i].sha256) != NULL);
    for (uint32_t i = 0; i < c->naccess_configs; i++) {
        const struct access_config *a = &c->access_config[i];

        for (uint32_t k = 0; k < a->nrules; k++)
            FUZZ_CHECK(conf_rule(a, a->rule[k].provider, a->rule[k].model) != NULL);
        for (uint32_t k = 0; k < a->naliases; k++)
            FUZZ_CHECK(conf_alias(a, a->alias[k].name) != NULL);
        for (uint32_t k = 0; k < a->nmodel_allow; k++)
            FUZZ_CHECK(a->scope_models);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct conf_env env = {some_env, some_file, NULL};
    struct slice in = fuzz_slice(data, size);
    char *p = fuzz_copy(in);
    struct conf_error e = {0};
    struct conf *c = conf_load(slice_make(p, in.n), &env, &e);

    memset(p, 'x', in.n);
    free(p); /* nothing of the result points into the text */
    if (c) {
        check_conf(c);
        conf_put(c);
        return 0;
    }
    FUZZ_CHECK(e.text[0] && memchr(e.text, 0, sizeof e.text));
    FUZZ_CHECK(e.column <= size + 1 && e.line <= size + 1);
    FUZZ_CHECK(!strstr(e.text, "sk-of-the-env") || memmem(data, size, "sk-of", 5)); /* no secret of ours in a message */
    return 0;
}
