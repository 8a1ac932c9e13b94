/* Request heads: what drips in reads as what came at once, and what weir's writer makes of a head reads as that head again. */
#include "fuzz.h"
#include "http/head.h"
#include "http/write.h"

static struct http_request whole, part, again;
static char memory[HTTP_HEAD_MAX * 2];

static void rewrite(void)
{
    struct http_out o;
    struct http_bad bad;
    size_t seen = 0;

    if (whole.method == HTTP_CONNECT || whole.target.n == 0 || whole.target.p[0] != '/')
        return;
    http_out_init(&o, memory, sizeof memory);
    http_out_request(&o, whole.method_text, slice_make("", 0), whole.path, whole.query);
    for (unsigned i = 0; i < whole.nfields; i++)
        http_out_field(&o, whole.field[i].name, whole.field[i].value);
    http_out_end(&o);
    FUZZ_CHECK(!o.bad);
    if (whole.minor == 0) /* the version is always 1.1 on the way out */
        return;
    FUZZ_CHECK(o.n > HTTP_HEAD_MAX || http_request_parse(&again, o.p, o.n, &seen, &bad) == PARSE_DONE);
    if (o.n > HTTP_HEAD_MAX)
        return;
    FUZZ_CHECK(again.head_len == o.n && again.framing == whole.framing && again.length == whole.length && again.nfields == whole.nfields);
    FUZZ_CHECK(slice_eq(again.path, whole.path) && slice_eq(again.query, whole.query) && again.keep_alive == whole.keep_alive);
    for (unsigned i = 0; i < whole.nfields; i++)
        FUZZ_CHECK(slice_eq(again.field[i].name, whole.field[i].name) && slice_eq(again.field[i].value, whole.field[i].value) &&
                   again.field[i].id == whole.field[i].id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_ended(data, size);
    struct slice in = slice_make(text, size + 4);
    struct fuzz_dice dice = fuzz_dice(in);
    struct http_bad bad = {0}, part_bad = {0};
    size_t seen = 0, n = 0;
    char *p = fuzz_copy(in), *q;
    enum parse want = http_request_parse(&whole, p, in.n, &seen, &bad), got = PARSE_MORE;

    FUZZ_CHECK(want != PARSE_BAD || (bad.status >= 400 && bad.status <= 505 && bad.why));
    FUZZ_CHECK(want != PARSE_DONE || (whole.head_len <= in.n && whole.nfields <= HTTP_FIELDS_MAX));
    for (seen = 0; got == PARSE_MORE && n < in.n;) {
        n += fuzz_piece(&dice, in.n - n);
        q = fuzz_copy(slice_first(in, n));
        got = http_request_parse(&part, q, n, &seen, &part_bad);
        free(q);
    }
    FUZZ_CHECK(got == want);
    FUZZ_CHECK(want != PARSE_BAD || bad.status == part_bad.status);
    FUZZ_CHECK(want != PARSE_DONE || (part.head_len == whole.head_len && part.nfields == whole.nfields && part.framing == whole.framing));
    if (want == PARSE_DONE)
        rewrite();
    free(p);
    free(text);
    return 0;
}
