/* The tables of surfaces and outcomes. */
#include "check.h"
#include "llm/outcome.h"
#include "llm/surface.h"

static void test_routes(void)
{
    static const struct {
        const char *path;
        bool known;
        enum surface surface;
    } cases[] = {
        {"/v1/chat/completions", true, SURFACE_CHAT},
        {"/v1/responses", true, SURFACE_RESPONSES},
        {"/v1/messages", true, SURFACE_MESSAGES},
        {"/v1/messages/count_tokens", true, SURFACE_COUNT_TOKENS},
        {"/v1/embeddings", true, SURFACE_EMBEDDINGS},
        {"/v1/completions", true, SURFACE_COMPLETIONS},
        {"/v1/moderations", true, SURFACE_MODERATIONS},
        {"/v1/images/generations", true, SURFACE_IMAGES},
        {"/v1/audio/speech", true, SURFACE_SPEECH},
        {"/v1/chat/completions/", false, 0},
        {"/V1/chat/completions", false, 0},
        {"/v1/chat", false, 0},
        {"/v1/models", false, 0},
        {"", false, 0},
        {"/", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum surface got = SURFACE_COUNT;

        check_case(cases[i].path);
        CHECK(surface_by_route(slice_str(cases[i].path), &got) == cases[i].known);
        CHECK_INT(got, cases[i].known ? cases[i].surface : SURFACE_COUNT);
    }
}

static void test_names(void)
{
    enum surface got;

    check_case("names");
    for (unsigned i = 0; i < SURFACE_COUNT; i++) {
        CHECK(surface_by_name(surface_table[i].name, &got));
        CHECK_INT(got, i);
        CHECK(slice_ends(surface_table[i].route, surface_table[i].path));
        CHECK((surface_table[i].format == FORMAT_ANTHROPIC) == (i == SURFACE_MESSAGES || i == SURFACE_COUNT_TOKENS));
    }
    CHECK(!surface_by_name(SLICE("chat"), &got));
    CHECK(!surface_by_name(SLICE(""), &got));
    CHECK(surface_by_name(SLICE("images"), &got) && got == SURFACE_IMAGES);
    CHECK_INT(surface_declared(SURFACE_COUNT_TOKENS), SURFACE_MESSAGES);
    CHECK_INT(surface_declared(SURFACE_CHAT), SURFACE_CHAT);
}

int main(void)
{
    test_routes();
    test_names();
    check_case("outcomes");
    CHECK_STR(slice_str(outcome_name(OUTCOME_NONE)), "none");
    CHECK_STR(slice_str(outcome_name(OUTCOME_RATE_LIMIT)), "rate_limit");
    CHECK_STR(slice_str(outcome_name(OUTCOME_LOCAL)), "local");
    return check_end();
}
