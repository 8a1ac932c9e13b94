/* Access key configurations: scope, rules, aliases. Names are resolved to providers, models and keys here, once, and the
 * lists are sorted for the binary searches of conf.c. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "base/sort.h"
#include "conf/build.h"

/* ---- Names of models. ---- */

/* "provider:model" when the part before the separator is a provider. slash: "provider/model" as well; whichever separator
 * comes first decides, as provider ids hold neither. */
static bool target_prefixed(const struct build *b, struct slice text, char separator, struct target *t)
{
    ptrdiff_t at = slice_find_char(text, separator);
    const struct provider *p = at > 0 ? map_get(&b->c->providers, slice_first(text, (size_t)at)) : NULL;

    if (!p || (size_t)at + 1 == text.n)
        return false;
    *t = (struct target){.provider = p, .model = slice_from(text, (size_t)at + 1)};
    t->known = conf_provider_model(p, t->model);
    return true;
}

/* The model's text is copied when it came from the config. */
static bool target_resolve(struct build *b, struct slice text, bool slash, struct target *t)
{
    const struct target *bare;

    if (target_prefixed(b, text, ':', t) || (slash && target_prefixed(b, text, '/', t))) {
        t->model = build_copy(b, t->model);
        return true;
    }
    bare = conf_model(b->c, text);
    if (!bare)
        return false;
    *t = *bare;
    return true;
}

static bool unknown_model(struct build *b, size_t at, const char *what, struct slice text)
{
    return read_fail(&b->r, (ptrdiff_t)at,
                     "%s: unknown model \"%.*s\"; write provider:model, with a provider that is built in or declared", what,
                     (int)(text.n < 128 ? text.n : 128), text.n ? text.p : "");
}

/* ---- Scope. ---- */

static int provider_order(const void *a, const void *b)
{
    const struct provider *const *pa = a, *const *pb = b;

    return (*pa)->index < (*pb)->index ? -1 : (*pa)->index > (*pb)->index;
}

static int allow_order(const void *a, const void *b)
{
    const struct target *ta = a, *tb = b;

    return order_target(ta->provider, ta->model, tb->provider, tb->model);
}

static bool allow_providers(struct build *b, struct access_config *config)
{
    uint32_t cap = read_count(&b->r);
    const struct provider **out = build_zero(b, b->arena, cap, sizeof(*out));
    struct read_array list;

    if (!out || !read_array(&b->r, &list, "access.providers.allow"))
        return false;
    while (read_element(&b->r, &list)) {
        struct slice s;
        size_t at;

        if (!read_string(&b->r, "a provider in access.providers.allow", &s, &at))
            return false;
        out[config->nprovider_allow] = map_get(&b->c->providers, s);
        if (!out[config->nprovider_allow++])
            return build_unknown_provider(b, at, "access.providers.allow", s);
    }
    sort(out, config->nprovider_allow, sizeof(*out), provider_order);
    config->provider_allow = out;
    config->scope_providers = true;
    return !b->r.failed;
}

static bool allow_models(struct build *b, struct access_config *config)
{
    uint32_t cap = read_count(&b->r);
    struct target *out = build_zero(b, b->arena, cap, sizeof(*out));
    struct read_array list;

    if (!out || !read_array(&b->r, &list, "access.models.allow"))
        return false;
    while (read_element(&b->r, &list)) {
        struct slice s;
        size_t at;

        if (!read_string(&b->r, "a model in access.models.allow", &s, &at))
            return false;
        if (!target_resolve(b, s, true, &out[config->nmodel_allow++]))
            return unknown_model(b, at, "access.models.allow", s);
    }
    sort(out, config->nmodel_allow, sizeof(*out), allow_order);
    config->model_allow = out;
    config->scope_models = true;
    return !b->r.failed;
}

static void read_access(struct build *b, struct access_config *config)
{
    static const char *const names[] = {"providers", "models", NULL};
    static const char *const dimension[] = {"allow", NULL};
    struct read_object o, inner;
    int i;

    if (!read_object(&b->r, &o, "access", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (!read_object(&b->r, &inner, i == 0 ? "access.providers" : "access.models", dimension))
            return;
        while (read_member(&b->r, &inner) >= 0)
            if (i == 0 ? !allow_providers(b, config) : !allow_models(b, config))
                return;
    }
}

/* ---- Rules. ---- */

/* One key of a user step: an existing id, or a name with a value, which makes a key of its own as it does over the API. */
static const struct credential *step_key(struct build *b, const struct access_config *config, const struct provider *p)
{
    static const char *const names[] = {"id", "name", "value", NULL};
    struct slice id = {0}, name = {0}, value = {0};
    struct credential *k;
    struct read_object o;
    size_t at = 0;
    int i;

    if (!read_object(&b->r, &o, "a key of a step", names))
        return NULL;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_string(&b->r, "id", &id, &at);
        else if (i == 1)
            build_text(b, "name", NAME_CHARS_MAX, false, &name);
        else
            build_key_value(b, name, &value);
    }
    if (b->r.failed)
        return NULL;
    if (id.n && value.n == 0) {
        k = map_get(&b->key_ids, id);
        if (!k)
            read_fail(&b->r, (ptrdiff_t)at, "there is no provider key \"%.*s\"", (int)(id.n < 64 ? id.n : 64), id.p);
        else if (k->provider != p)
            read_fail(&b->r, (ptrdiff_t)at, "provider key \"%s\" belongs to \"%s\", the rule is about \"%s\"", k->id.p,
                      k->provider->id.p, p->id.p);
        return b->r.failed ? NULL : k;
    }
    if (id.n || name.n == 0 || value.n == 0) {
        read_fail(&b->r, (ptrdiff_t)o.at, "a key of a step needs either \"id\", or \"name\" and \"value\"");
        return NULL;
    }
    k = build_credential(b, arena_printf(b->arena, "%s/%s", config->id.p, name.p), p);
    if (!k)
        return NULL;
    k->name = name;
    k->value = value;
    if (map_put(&b->key_ids, k->id, k))
        return k;
    read_fail(&b->r, (ptrdiff_t)o.at, "a key named \"%s\" is written twice in this configuration; use its id the second time",
              name.p);
    return NULL;
}

static bool step_keys(struct build *b, const struct access_config *config, const struct provider *p, struct step *s)
{
    uint32_t cap = read_count(&b->r);
    struct read_array list;

    s->key = build_zero(b, b->arena, cap, sizeof(*s->key));
    if (!s->key || !read_array(&b->r, &list, "keys"))
        return false;
    while (read_element(&b->r, &list)) {
        const struct credential *k = step_key(b, config, p);

        if (!k)
            return false;
        s->key[s->nkeys++] = k;
    }
    return !b->r.failed;
}

static void step_strategy(struct build *b, struct step *s)
{
    static const char *const names[] = {"ordered", "round_robin", "random", NULL};
    char hint[128];
    struct slice text;
    size_t at;

    if (!read_string(&b->r, "keySelectionStrategy", &text, &at))
        return;
    for (int i = 0; names[i]; i++) {
        if (slice_eq(text, slice_str(names[i]))) {
            s->strategy = (enum strategy)i;
            return;
        }
    }
    read_suggest(text, names, hint, sizeof(hint));
    read_fail(&b->r, (ptrdiff_t)at, "keySelectionStrategy must be ordered, round_robin or random%s", hint);
}

static bool read_step(struct build *b, const struct access_config *config, const struct provider *p, struct step *s)
{
    static const char *const names[] = {"type", "keys", "keySelectionStrategy", NULL};
    struct slice type = {0};
    struct read_object o;
    size_t at = 0;
    int i;

    if (!read_object(&b->r, &o, "a step", names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_string(&b->r, "type", &type, &at);
        else if (i == 1)
            step_keys(b, config, p, s);
        else
            step_strategy(b, s);
    }
    if (!read_need(&b->r, &o, 0))
        return false;
    s->managed = slice_eq(type, SLICE("managed")) || slice_eq(type, SLICE("ngrok"));
    s->index = b->c->nsteps++;
    if (!s->managed && !slice_eq(type, SLICE("user")))
        return read_fail(&b->r, (ptrdiff_t)at, "the type of a step must be user or managed");
    if (s->managed && s->nkeys)
        return read_fail(&b->r, (ptrdiff_t)o.at, "a managed step takes no keys; list them in a user step");
    return s->managed || s->nkeys || read_fail(&b->r, (ptrdiff_t)o.at, "a user step needs \"keys\"");
}

static bool read_steps(struct build *b, const struct access_config *config, struct rule *rule)
{
    uint32_t n = read_count(&b->r);
    struct step *step = build_zero(b, b->arena, n, sizeof(*step));
    struct read_array list;
    size_t at = b->r.at;

    if (!step || !read_array(&b->r, &list, "steps"))
        return false;
    rule->step = step;
    while (read_element(&b->r, &list))
        if (!read_step(b, config, rule->provider, &step[rule->nsteps++]))
            return false;
    return rule->nsteps || read_fail(&b->r, (ptrdiff_t)at, "a rule needs at least one step");
}

struct rule_row {
    struct rule rule;
    size_t at;
};

/* What the rule is about: "provider", "model", or both when they agree. */
static bool rule_subject(struct build *b, struct rule_row *row, struct slice provider, size_t provider_at,
                         struct slice model, size_t model_at)
{
    struct rule *rule = &row->rule;
    struct target t;

    if (provider_at) {
        rule->provider = map_get(&b->c->providers, provider);
        if (!rule->provider)
            return build_unknown_provider(b, provider_at, "a rule's provider", provider);
    }
    if (!model_at)
        return provider_at || read_fail(&b->r, (ptrdiff_t)row->at, "a rule needs \"provider\" or \"model\"");
    if (rule->provider && !target_prefixed(b, model, ':', &t))
        t = (struct target){.provider = rule->provider, .model = model}; /* a bare id is a model of that provider */
    else if (!rule->provider && !target_resolve(b, model, true, &t))
        return unknown_model(b, model_at, "a rule's model", model);
    if (rule->provider && rule->provider != t.provider)
        return read_fail(&b->r, (ptrdiff_t)model_at, "the rule's model belongs to \"%s\", its provider is \"%s\"",
                         t.provider->id.p, rule->provider->id.p);
    if (t.model.n == 0)
        return read_fail(&b->r, (ptrdiff_t)model_at, "a rule's model is empty");
    rule->provider = t.provider;
    rule->model = build_copy(b, t.model);
    return !b->r.failed;
}

static bool read_rule(struct build *b, const struct access_config *config, struct rule_row *row)
{
    static const char *const names[] = {"provider", "model", "steps", NULL};
    struct slice provider = {0}, model = {0};
    size_t provider_at = 0, model_at = 0, steps_at = 0, end;
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "a rule", names))
        return false;
    row->at = o.at;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0) {
            read_string(&b->r, "provider", &provider, &provider_at);
        } else if (i == 1) {
            read_string(&b->r, "model", &model, &model_at);
        } else {
            steps_at = b->r.at; /* read when the subject is known, whatever the order in the text */
            read_skip(&b->r);
        }
    }
    end = b->r.at;
    if (!read_need(&b->r, &o, 2) || !rule_subject(b, row, provider, provider_at, model, model_at))
        return false;
    b->r.at = steps_at;
    if (!read_steps(b, config, &row->rule))
        return false;
    b->r.at = end;
    return true;
}

static int rule_order(const void *a, const void *b)
{
    const struct rule_row *ra = a, *rb = b;

    return order_target(ra->rule.provider, ra->rule.model, rb->rule.provider, rb->rule.model);
}

static bool read_rules(struct build *b, struct access_config *config)
{
    uint32_t cap = read_count(&b->r), n = 0;
    struct rule_row *row = build_zero(b, b->scratch, cap, sizeof(*row));
    struct rule *rule = build_zero(b, b->arena, cap, sizeof(*rule));
    struct read_array list;

    if (!row || !rule || !read_array(&b->r, &list, "rules"))
        return false;
    while (read_element(&b->r, &list))
        if (!read_rule(b, config, &row[n++]))
            return false;
    sort(row, n, sizeof(*row), rule_order);
    for (uint32_t i = 0; i < n; i++) {
        rule[i] = row[i].rule;
        if (i && rule_order(&row[i - 1], &row[i]) == 0)
            return read_fail(&b->r, (ptrdiff_t)(row[i].at > row[i - 1].at ? row[i].at : row[i - 1].at),
                             "there is a rule for %s%s%s already", rule[i].provider->id.p, rule[i].model.n ? ":" : "",
                             rule[i].model.n ? rule[i].model.p : "");
    }
    config->rule = rule;
    config->nrules = n;
    return !b->r.failed;
}

/* ---- Aliases. ---- */

enum alias_state { ALIAS_RAW, ALIAS_RESOLVING, ALIAS_RESOLVED };

struct alias_row {
    struct slice name;
    size_t at, list_at;
    enum alias_state state;
    struct target *target;
    uint32_t ntargets;
};

struct alias_table {
    struct alias_row *row;
    uint32_t n;
};

static int alias_order(const void *a, const void *b)
{
    const struct alias_row *ra = a, *rb = b;

    return order_text(ra->name, rb->name);
}

static struct alias_row *alias_find(const struct alias_table *t, struct slice name)
{
    struct alias_row key = {.name = name};

    return t->n ? bsearch(&key, t->row, t->n, sizeof(key), alias_order) : NULL;
}

static bool alias_add(struct build *b, struct alias_row *row, const struct target *t)
{
    for (uint32_t i = 0; i < row->ntargets; i++)
        if (order_target(row->target[i].provider, row->target[i].model, t->provider, t->model) == 0)
            return true;
    if (row->ntargets == ATTEMPTS_MAX)
        return read_fail(&b->r, (ptrdiff_t)row->at, "alias \"%s\" stands for more than %d models", row->name.p, ATTEMPTS_MAX);
    row->target[row->ntargets++] = *t;
    return true;
}

static bool alias_resolve(struct build *b, struct alias_table *t, struct alias_row *row, unsigned depth);

/* One name in an alias's list: provider:model, another alias, or a known model. An alias may carry the name of a known
 * model and list it: there the model is meant, since the alias itself would be a loop. */
static bool alias_item(struct build *b, struct alias_table *t, struct alias_row *row, struct slice s, size_t at,
                       unsigned depth)
{
    struct alias_row *other = alias_find(t, s);
    struct target direct;

    if (target_prefixed(b, s, ':', &direct)) {
        direct.model = build_copy(b, direct.model);
        return alias_add(b, row, &direct);
    }
    if (other && other != row) {
        if (other->state == ALIAS_RESOLVING)
            return read_fail(&b->r, (ptrdiff_t)at, "alias \"%s\" leads back to itself through \"%s\"", other->name.p,
                             row->name.p);
        if (!alias_resolve(b, t, other, depth + 1))
            return false;
        for (uint32_t i = 0; i < other->ntargets; i++)
            if (!alias_add(b, row, &other->target[i]))
                return false;
        return true;
    }
    if (target_resolve(b, s, false, &direct))
        return alias_add(b, row, &direct);
    if (other)
        return read_fail(&b->r, (ptrdiff_t)at, "alias \"%s\" leads back to itself", row->name.p);
    return unknown_model(b, at, "an alias", s);
}

static bool alias_resolve(struct build *b, struct alias_table *t, struct alias_row *row, unsigned depth)
{
    struct target target[ATTEMPTS_MAX], *own;
    struct read_array list;

    if (row->state == ALIAS_RESOLVED)
        return true;
    if (depth > ALIAS_DEPTH_MAX)
        return read_fail(&b->r, (ptrdiff_t)row->at, "aliases are nested deeper than %d", ALIAS_DEPTH_MAX);
    row->state = ALIAS_RESOLVING;
    row->target = target;
    b->r.at = row->list_at;
    if (!read_array(&b->r, &list, "an alias"))
        return false;
    while (read_element(&b->r, &list)) {
        struct slice s;
        size_t at, next;

        if (!read_string(&b->r, "a model of an alias", &s, &at))
            return false;
        next = b->r.at;
        if (!alias_item(b, t, row, s, at, depth))
            return false;
        b->r.at = next; /* another alias may have been read in between */
    }
    if (row->ntargets == 0)
        return read_fail(&b->r, (ptrdiff_t)row->at, "alias \"%s\" names no model", row->name.p);
    own = build_zero(b, b->arena, row->ntargets, sizeof(*own));
    if (!own)
        return false;
    memcpy(own, target, row->ntargets * sizeof(*own));
    row->target = own;
    row->state = ALIAS_RESOLVED;
    return !b->r.failed;
}

static bool alias_name(struct build *b, const struct read_object *o, struct alias_row *row)
{
    struct target reached;

    row->at = o->key_at;
    if (o->key.n == 0 || o->key.n > MODEL_ID_MAX)
        return read_fail(&b->r, (ptrdiff_t)o->key_at, "an alias must have 1 to %d bytes", MODEL_ID_MAX);
    if (target_prefixed(b, o->key, ':', &reached))
        return read_fail(&b->r, (ptrdiff_t)o->key_at, "alias \"%.*s\" can't be reached: it reads as a model of \"%s\"",
                         (int)o->key.n, o->key.p, reached.provider->id.p);
    row->name = build_copy(b, o->key);
    row->list_at = b->r.at;
    read_skip(&b->r);
    return !b->r.failed;
}

static bool read_aliases(struct build *b, struct access_config *config)
{
    uint32_t cap = read_count(&b->r);
    struct alias_table t = {.row = build_zero(b, b->scratch, cap, sizeof(struct alias_row))};
    struct alias *alias = build_zero(b, b->arena, cap, sizeof(*alias));
    struct read_object o;
    size_t end;

    if (!t.row || !alias || !read_object(&b->r, &o, "aliases", NULL))
        return false;
    while (read_member(&b->r, &o) >= 0)
        if (!alias_name(b, &o, &t.row[t.n++]))
            return false;
    end = b->r.at;
    sort(t.row, t.n, sizeof(*t.row), alias_order);
    for (uint32_t i = 0; i < t.n; i++) {
        struct alias_row *row = &t.row[i];

        if (i && alias_order(&t.row[i - 1], row) == 0)
            return read_fail(&b->r, (ptrdiff_t)(row->at > t.row[i - 1].at ? row->at : t.row[i - 1].at),
                             "alias \"%s\" is given twice", row->name.p);
        if (!alias_resolve(b, &t, row, 0))
            return false;
        alias[i] = (struct alias){.name = row->name, .target = row->target, .ntargets = row->ntargets};
    }
    b->r.at = end;
    config->alias = alias;
    config->naliases = t.n;
    return !b->r.failed;
}

/* ---- Configurations. ---- */

static void read_router(struct build *b, struct access_config *config)
{
    static const char *const names[] = {"rules", "aliases", "hedgeAfter", "continueStreams", NULL};
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "router", names))
        return;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            read_rules(b, config);
        else if (i == 1)
            read_aliases(b, config);
        else if (i == 2)
            read_duration(&b->r, "hedgeAfter", 0, &config->hedge_after_ms);
        else
            read_bool(&b->r, "continueStreams", &config->continue_streams);
    }
}

static const char *const config_names[] = {"id", "name", "description", "metadata", "access", "router", NULL};

/* The id is needed first, as keys written inside rules are named after it. */
static bool config_id(struct build *b, struct access_config *config, size_t *at)
{
    size_t start = b->r.at;
    struct read_object o;
    int i;

    if (!read_object(&b->r, &o, "an access key configuration", config_names))
        return false;
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 0)
            build_id(b, "id", false, &config->id, at);
        else
            read_skip(&b->r);
    }
    b->r.at = start;
    return read_need(&b->r, &o, 0);
}

static bool read_config(struct build *b, struct access_config *config)
{
    struct read_object o;
    size_t at = 0;
    int i;

    if (!config_id(b, config, &at))
        return false;
    if (!map_put(&b->c->configs, config->id, config))
        return read_fail(&b->r, (ptrdiff_t)at, "access key configuration \"%s\" is declared twice", config->id.p);
    config->name = config->id;
    read_object(&b->r, &o, "an access key configuration", config_names);
    while ((i = read_member(&b->r, &o)) >= 0) {
        if (i == 1)
            build_text(b, "name", NAME_CHARS_MAX, false, &config->name);
        else if (i == 2)
            build_remark(b, "description", DESCRIPTION_CHARS_MAX);
        else if (i == 3)
            build_remark(b, "metadata", METADATA_CHARS_MAX);
        else if (i == 4)
            read_access(b, config);
        else if (i == 5)
            read_router(b, config);
        else
            read_skip(&b->r);
    }
    return !b->r.failed;
}

void build_configurations(struct build *b)
{
    uint32_t n = build_section(b, SECTION_CONFIGURATIONS) ? read_count(&b->r) : 0;
    struct conf *c = b->c;
    struct read_array list;

    if (b->r.failed)
        return;
    c->access_config = build_zero(b, b->arena, n, sizeof(*c->access_config));
    if (!c->access_config || !build_map(b, &b->c->configs, b->arena, n))
        return;
    if (!build_section(b, SECTION_CONFIGURATIONS) || !read_array(&b->r, &list, "accessKeyConfigurations"))
        return;
    while (read_element(&b->r, &list)) {
        must(c->naccess_configs < n);
        if (!read_config(b, &c->access_config[c->naccess_configs++]))
            return;
    }
}
