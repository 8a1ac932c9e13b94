/* The grammar check: any split and any SIMD level gives the same verdict, place and members, the token reader agrees, and every string
 * comes back through the writer. */
#include "fuzz.h"
#include "json/out.h"
#include "json/scan.h"

enum { MEMBERS = 64 };

static struct json_member first_member[MEMBERS], member[MEMBERS];
static char memory[1 << 20], text[1 << 16], back[1 << 16];

static enum parse check(struct json_check *c, struct json_member *m, struct slice in, struct fuzz_dice *dice)
{
    enum parse got = PARSE_MORE;

    json_check_init(c, m, MEMBERS);
    for (size_t at = 0, n; at < in.n; at += n) {
        char *p;

        n = dice ? fuzz_piece(dice, in.n - at) : in.n;
        p = fuzz_copy(slice_make(in.p + at, n));
        got = json_check_feed(c, p, n);
        free(p);
        if (got == PARSE_BAD)
            return got;
    }
    return json_check_end(c);
}

static void check_strings(const struct json_doc *d, struct arena *a)
{
    for (int t = 0; t < d->count; t++) {
        struct slice s;
        struct json_out o;

        if (json_type_of(d, t) != JSON_STRING || json_raw(d, t).n > 10000 || !json_str(d, t, a, &s))
            continue;
        json_out_init(&o, text, sizeof text);
        json_out_str(&o, s);
        FUZZ_CHECK(!o.full && json_valid(slice_make(o.p, o.n), NULL, NULL));
        FUZZ_CHECK(json_unescape(slice_make(o.p + 1, o.n - 2), back, sizeof back) == (ptrdiff_t)s.n && slice_eq(slice_make(back, s.n), s));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const levels[] = {"word", "sse2", "avx2", "neon"};
    struct slice in = fuzz_slice(data, size);
    struct fuzz_dice dice = fuzz_dice(in);
    struct json_check one, c;
    enum parse want;
    struct arena a;
    struct json_doc d;

    FUZZ_CHECK(json_simd_force("word"));
    want = check(&one, first_member, in, NULL);
    for (size_t i = 0; i < 8; i++) {
        if (!json_simd_force(levels[i / 2]))
            continue;
        FUZZ_CHECK(check(&c, member, in, i % 2 ? &dice : NULL) == want);
        FUZZ_CHECK(c.consumed == one.consumed && c.tokens == one.tokens && c.members == one.members && c.bad_at == one.bad_at);
        FUZZ_CHECK(want != PARSE_DONE || c.top_type == one.top_type);
        for (uint32_t k = 0; want == PARSE_DONE && k < c.members && k < MEMBERS; k++)
            FUZZ_CHECK(memcmp(&member[k], &first_member[k], offsetof(struct json_member, key_escaped)) == 0);
    }
    FUZZ_CHECK(json_valid(in, NULL, NULL) == (want == PARSE_DONE));
    arena_init_fixed(&a, memory, sizeof memory);
    if (json_parse(&d, in, &a)) {
        FUZZ_CHECK(want == PARSE_DONE && (uint64_t)d.count == one.tokens);
        FUZZ_CHECK(one.top_type != JSON_OBJECT || json_size(&d, 0) == (int)one.members);
        check_strings(&d, &a);
    } else {
        FUZZ_CHECK(want == PARSE_BAD || one.tokens > JSON_TOKENS_MAX);
    }
    return 0;
}
