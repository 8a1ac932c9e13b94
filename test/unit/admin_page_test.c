/* The compiled-in dashboard: what is found and what is not, its sizes, its packed form; and inflate on good and bad input. */
#include "admin/page.h"

#include <stdlib.h>

#include "admin/inflate.h"
#include "check.h"

/* Any text at all that is no asset's path (S-57). */
static void test_paths(void)
{
    static const char *const found[] = {"/", "/app.js", "/style.css", "/dom.js", "/api.js", "/ui.js"};
    static const char *const missing[] = {"", "//", "/.", "/..", "/index.html", "/app.js/", "/app.js?x", "/APP.js", "/app.j", "/app.jss", "app.js",
                                          "/./app.js", "/../app.js", "/page/app.js", "/%61pp.js", "/app.js%00", "/..%2fapp.js", "/etc/passwd",
                                          "/../../../../etc/passwd", "/.%2e/.%2e/etc/passwd", "\\app.js", "/\\..\\app.js", "/app.js;x", "/style.css#"};
    char text[64];

    check_case("found");
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        const struct page_asset *a = page_find(slice_str(found[i]));

        if (CHECK(a))
            CHECK_STR(slice_str(a->path), found[i]);
    }
    check_case("missing");
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        CHECK(!page_find(slice_str(missing[i])));
    CHECK(!page_find(slice_make("/app.js\0", 8)));
    srand(7);
    for (int round = 0; round < 500; round++) {
        static const char alphabet[] = "./\\%2e0app.jsc:~";
        size_t n = (size_t)rand() % sizeof text;

        for (size_t i = 0; i < n; i++)
            text[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        if (n == 1 && text[0] == '/')
            continue;
        CHECK(!page_find(slice_make(text, n)) || slice_eq(slice_make(text, n), SLICE("/app.js")));
    }
}

static void test_texts(void)
{
    static const char *const banned[] = {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "srcdoc",
                                         "eval(", "Function(", "javascript:", "import(", " onclick=\"", " onload=\"", " onerror=\"", " style=\"",
                                         "<style", "setHTML", "createContextualFragment", "document.cookie", "http-equiv", "@import", "url("};
    const struct page_asset *a;
    size_t total = 0;

    check_case("texts");
    for (uint32_t i = 0; (a = page_at(i)); i++) {
        unsigned char *out = malloc(a->len + 1u);
        struct slice text = slice_make((const char *)out, a->len);

        out[a->len] = 0xa5;
        CHECK(page_unpack(a, out));
        CHECK_INT(out[a->len], 0xa5);
        CHECK(a->etag[0] == '"' && strlen(a->etag) == 18);
        /* Stored text can only become markup or code through one of these (S-56). */
        for (size_t k = 0; k < sizeof banned / sizeof *banned; k++)
            if (!CHECK(slice_find(text, slice_str(banned[k])) < 0))
                printf("     %s in %s\n", banned[k], a->path);
        CHECK_INT(slice_find(text, slice_make("\0", 1)), -1);
        if (strcmp(a->path, "/openapi.json") != 0)
            total += a->len;
        free(out);
    }
    CHECK(total > 40000 && total <= 80 * 1024);
    CHECK(strstr(page_policy, "default-src 'none'") && !strstr(page_policy, "unsafe"));
}

static void test_accept(void)
{
    static const struct {
        const char *value;
        bool packed;
    } cases[] = {
        {"gzip, deflate, br, zstd", true}, {"gzip", true}, {"br, GZIP;q=0.5", true}, {"*", true}, {"gzip;q=1.0", true}, {"gzip; q=0.001", true},
        {"deflate,gzip", true}, {"", false}, {"identity", false}, {"gzip;q=0", false}, {"gzip; q=0.000", false}, {"*;q=0", false}, {"gzipped", false},
        {"br", false}, {",,;", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(cases[i].value);
        CHECK_INT(page_packed_for(slice_str(cases[i].value)), cases[i].packed);
    }
}

/* Streams made with zlib: a stored block, fixed codes with an overlapping copy; and ones that lie. */
static void test_inflate(void)
{
    static const unsigned char stored[] = {0x01, 3, 0, 0xfc, 0xff, 'a', 'b', 'c'}, fixed[] = {0x4b, 0x4c, 0x84, 0x01, 0x00},
                               bad_type[] = {0x07}, bad_check[] = {0x01, 3, 0, 0xfd, 0xff, 'a', 'b', 'c'}, too_far[] = {0x4b, 0x84, 0x01, 0x00};
    unsigned char out[16];

    check_case("inflate");
    CHECK(inflate(stored, sizeof stored, out, 3) && !memcmp(out, "abc", 3));
    CHECK(!inflate(stored, sizeof stored, out, 2));
    CHECK(!inflate(stored, sizeof stored, out, 4));
    CHECK(!inflate(stored, sizeof stored - 1, out, 3));
    CHECK(inflate(fixed, sizeof fixed, out, 10) && !memcmp(out, "aaaaaaaaaa", 10));
    CHECK(!inflate(fixed, sizeof fixed, out, 9));
    CHECK(!inflate(bad_type, sizeof bad_type, out, 0));
    CHECK(!inflate(bad_check, sizeof bad_check, out, 3));
    CHECK(!inflate(too_far, sizeof too_far, out, 10));
    CHECK(!inflate(NULL, 0, out, 0));
}

/* A real stream with each of its bits flipped, and cut at each byte: no read or write outside, and no endless loop. */
static void test_damaged(void)
{
    const struct page_asset *a = page_find(SLICE("/"));
    unsigned char *in = malloc(a->packed_len), *out = malloc(a->len);
    size_t n = a->packed_len - 18;
    unsigned good = 0;

    check_case("damaged");
    for (size_t bit = 0; bit < n * 8; bit++) {
        memcpy(in, a->packed + 10, n);
        in[bit / 8] ^= (unsigned char)(1u << bit % 8);
        good += inflate(in, n, out, a->len);
    }
    CHECK(good < n * 8);
    for (size_t i = 0; i < n; i++)
        CHECK(!inflate(a->packed + 10, i, out, a->len));
    free(in);
    free(out);
}

int main(void)
{
    test_paths();
    test_texts();
    test_accept();
    test_inflate();
    test_damaged();
    return check_end();
}
