/* Response heads, to any request and to HEAD: split as whole, and what goes to the client reads as it should. */
#include "fuzz.h"
#include "gate/headers.h"
#include "http/head.h"
#include "http/write.h"

static struct http_response whole, part, again;
static char memory[HTTP_HEAD_MAX * 2];

/* The fields a client gets, behind weir's own status line, are a head that any reader takes, and add no framing. */
static void hand_on(void)
{
    struct http_out o;
    struct http_bad bad;
    size_t seen = 0;

    http_out_init(&o, memory, sizeof memory);
    http_out_status(&o, whole.status);
    headers_return(&o, &whole);
    http_out_end(&o);
    FUZZ_CHECK(!o.bad);
    if (o.n > HTTP_HEAD_MAX || whole.status < 200)
        return;
    FUZZ_CHECK(http_response_parse(&again, o.p, o.n, &seen, false, &bad) == PARSE_DONE && again.head_len == o.n);
    FUZZ_CHECK(again.status == whole.status && again.first[HTTP_CONTENT_LENGTH] == 0 && again.first[HTTP_TRANSFER_ENCODING] == 0 &&
               again.first[HTTP_CONNECTION] == 0 && again.first[HTTP_SET_COOKIE] == 0);
}

static void run(struct slice in, bool to_head)
{
    struct fuzz_dice dice = fuzz_dice(in);
    struct http_bad bad = {0}, part_bad = {0};
    size_t seen = 0, n = 0;
    char *p = fuzz_copy(in), *q;
    enum parse want = http_response_parse(&whole, p, in.n, &seen, to_head, &bad), got = PARSE_MORE;

    FUZZ_CHECK(want != PARSE_BAD || (bad.status == 502 && bad.why));
    FUZZ_CHECK(want != PARSE_DONE || (whole.head_len <= in.n && whole.status >= 100 && whole.status <= 599));
    FUZZ_CHECK(want != PARSE_DONE || !to_head || whole.framing == HTTP_NO_BODY);
    for (seen = 0; got == PARSE_MORE && n < in.n;) {
        n += fuzz_piece(&dice, in.n - n);
        q = fuzz_copy(slice_first(in, n));
        got = http_response_parse(&part, q, n, &seen, to_head, &part_bad);
        free(q);
    }
    FUZZ_CHECK(got == want);
    FUZZ_CHECK(want != PARSE_DONE || (part.head_len == whole.head_len && part.framing == whole.framing && part.keep_alive == whole.keep_alive));
    if (want == PARSE_DONE)
        hand_on();
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_ended(data, size);

    run(slice_make(text, size + 4), false);
    run(slice_make(text, size + 4), true);
    free(text);
    return 0;
}
