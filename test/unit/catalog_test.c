/* The committed catalog: consistent in itself, and equal to the reference it was generated from when that is there. */
#include "conf/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "conf/read.h"
#include "http/url.h"

static void consistent(void)
{
    check_case("the catalog in itself");
    CHECK(catalog_count >= 3);
    CHECK(catalog_provider(SLICE("openai")) == &catalog[0]);
    CHECK(!catalog_provider(SLICE("OpenAI")) && !catalog_provider(SLICE("sim")) && !catalog_provider(SLICE("")));
    for (uint32_t i = 0; i < catalog_count; i++) {
        const struct catalog_provider *p = &catalog[i];
        const char *why = "";
        struct url u;

        check_case(p->id.p);
        CHECK(catalog_provider(p->id) == p);
        CHECK(url_parse(p->base_url, &u, &why) && u.https);
        CHECK(p->surfaces && !(p->surfaces >> SURFACE_COUNT) && p->environment[0] && p->name.n);
        for (uint32_t j = 0; j < p->nmodels; j++) {
            struct conf_model row = catalog_model(p, j), *m = &row;

            CHECK(m->id.n && m->id.n == strlen(m->id.p) && m->name.n);
            CHECK(m->priced || (m->price_input | m->price_output | m->price_cache_read | m->price_cache_write) == 0);
            for (uint32_t k = 0; k < j; k++)
                CHECK(!slice_eq_nocase(m->id, catalog_model(p, k).id));
        }
    }
}

static void spot_checks(void)
{
    const struct catalog_provider *anthropic = catalog_provider(SLICE("anthropic"));

    check_case("anthropic serves its own API and the compatible one");
    if (!CHECK(anthropic != NULL))
        return;
    CHECK_INT(anthropic->surfaces, surface_bit(SURFACE_MESSAGES) | surface_bit(SURFACE_CHAT));
    CHECK_STR(slice_str(anthropic->environment), "ANTHROPIC_API_KEY");
    check_case("0.0375 dollars per million are 37500 pico-dollars per token");
    for (uint32_t i = 0; i < catalog[0].nmodels; i++)
        if (slice_eq(catalog_model(&catalog[0], i).id, SLICE("gpt-5.6-luna"))) {
            CHECK_INT(catalog_model(&catalog[0], i).price_input, 200000);
            CHECK_INT(catalog_model(&catalog[0], i).price_cache_read, 20000);
        }
}

/* ---- Against the reference. ---- */

static void reference_model(struct reader *r, const struct conf_model *m)
{
    static const char *const names[] = {"id", "name", "contextWindow", "maxOutputTokens", "inputModalities",
                                        "usdPerMillionTokens", NULL};
    static const char *const price_names[] = {"input", "output", "cacheRead", "cacheWrite", NULL};
    const uint64_t price[] = {m->price_input, m->price_output, m->price_cache_read, m->price_cache_write};
    uint32_t context = 0, output = 0;
    struct read_object o, prices;
    struct slice s;
    int i, j;

    read_object(r, &o, "a model", names);
    while ((i = read_member(r, &o)) >= 0) {
        if (i == 0 || i == 1) {
            read_string(r, "text", &s, NULL);
            CHECK_SLICE(i == 0 ? m->id : m->name, s);
        } else if (i == 2) {
            read_u32(r, "contextWindow", 0, UINT32_MAX, &context);
        } else if (i == 3) {
            read_u32(r, "maxOutputTokens", 0, UINT32_MAX, &output);
        } else if (i == 5) {
            read_object(r, &prices, "prices", price_names);
            while ((j = read_member(r, &prices)) >= 0) {
                uint64_t v = 0;

                read_millionths(r, price_names[j], &v);
                CHECK_INT(price[j], v);
            }
        } else {
            read_skip(r);
        }
    }
    CHECK_INT(m->context_window, context);
    CHECK_INT(m->max_output_tokens, output);
    CHECK(m->priced == !!(o.seen & 1u << 5));
}

static void reference_surfaces(struct reader *r, const struct catalog_provider *p)
{
    struct read_array list;
    unsigned bits = 0;
    struct slice s;
    enum surface surface;

    read_array(r, &list, "surfaces");
    while (read_element(r, &list)) {
        read_string(r, "a surface", &s, NULL);
        if (CHECK(surface_by_name(s, &surface)))
            bits |= surface_bit(surface);
    }
    CHECK_INT(p->surfaces, bits);
}

static void reference_provider(struct reader *r, const struct catalog_provider *p)
{
    static const char *const names[] = {"id", "name", "baseUrl", "environment", "surfaces", "models", "website", NULL};
    const struct slice text[] = {p->id, p->name, p->base_url, slice_str(p->environment)};
    struct read_object o;
    struct read_array list;
    struct slice s;
    uint32_t n = 0;
    int i;

    check_case(p->id.p);
    read_object(r, &o, "a provider", names);
    while ((i = read_member(r, &o)) >= 0) {
        if (i < 4) {
            read_string(r, names[i], &s, NULL);
            CHECK_SLICE(text[i], s);
        } else if (i == 4) {
            reference_surfaces(r, p);
        } else if (i == 5) {
            CHECK_INT(read_count(r), p->nmodels);
            read_array(r, &list, "models");
            while (read_element(r, &list) && CHECK(n < p->nmodels)) {
                struct conf_model m = catalog_model(p, n++);

                reference_model(r, &m);
            }
        } else {
            read_skip(r);
        }
    }
}

static void reference(void)
{
    static const char *const names[] = {"providers", NULL};
    static char text[1 << 20], memory[1 << 16];
    const char *shared = getenv("WEIR_SHARED");
    struct conf_error e = {0};
    struct arena scratch;
    struct reader r;
    struct read_object o;
    struct read_array list;
    char path[512];
    uint32_t n = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/reference/catalog.json", shared ? shared : "../shared");
    f = fopen(path, "rb");
    if (!f) {
        printf("left out: the comparison with reference/catalog.json, which is not there\n");
        return;
    }
    check_case("the reference");
    arena_init_fixed(&scratch, memory, sizeof(memory));
    r = (struct reader){.text = slice_make(text, fread(text, 1, sizeof(text), f)), .error = &e, .scratch = &scratch};
    fclose(f);
    if (!CHECK(json_valid(r.text, NULL, NULL)))
        return;
    read_object(&r, &o, "the catalog", names);
    while (read_member(&r, &o) >= 0) {
        CHECK_INT(read_count(&r), catalog_count);
        read_array(&r, &list, "providers");
        while (read_element(&r, &list) && CHECK(n < catalog_count))
            reference_provider(&r, &catalog[n++]);
    }
    CHECK_INT(n, catalog_count);
    if (!CHECK(!r.failed))
        printf("     %u:%u: %s\n", e.line, e.column, e.text);
}

int main(void)
{
    consistent();
    spot_checks();
    reference();
    return check_end();
}
