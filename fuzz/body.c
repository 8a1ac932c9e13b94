/* Body framing: the verdict and the payload do not depend on the split, no more is consumed than given, and what weir's
 * writer emits reads as the payload it was given. */
#include "fuzz.h"
#include "http/body.h"
#include "http/write.h"

static enum parse decode(struct http_body *b, struct slice in, struct fuzz_dice *dice, char *out, size_t *out_n, size_t *taken)
{
    enum parse got = PARSE_MORE;

    *out_n = *taken = 0;
    do {
        size_t n = dice ? fuzz_piece(dice, in.n - *taken) : in.n - *taken, used = 0, made = 0;
        char *p = fuzz_copy(slice_make(in.p + *taken, n));

        got = http_body_decode(b, p, n, &used, &made);
        FUZZ_CHECK(used <= n && made <= used && (got != PARSE_MORE || used == n));
        if (made)
            memcpy(out + *out_n, p, made);
        free(p);
        *out_n += made;
        *taken += used;
    } while (got == PARSE_MORE && *taken < in.n);
    return got;
}

static void write_and_read(struct slice payload, struct fuzz_dice *dice)
{
    char *text = malloc(payload.n * 24 + 64), *out = malloc(payload.n + 1);
    size_t n = 0, out_n, taken;
    struct http_body b;

    if (!text || !out)
        abort();
    for (size_t at = 0, k; (k = fuzz_piece(dice, payload.n - at)) > 0; at += k) {
        k = k < 16 && payload.n - at >= 16 ? 16 : k; /* weir packs; framing that outweighs its payload is refused by design */
        n += http_chunk_head(text + n, k);
        memcpy(text + n, payload.p + at, k);
        memcpy(text + n + k, "\r\n", 2);
        n += k + 2;
    }
    n += http_chunk_head(text + n, 0);
    memcpy(text + n, "\r\n", 2);
    http_body_init(&b, HTTP_CHUNKED, 0);
    FUZZ_CHECK(decode(&b, slice_make(text, n + 2), dice, out, &out_n, &taken) == PARSE_DONE);
    FUZZ_CHECK(taken == n + 2 && slice_eq(slice_make(out, out_n), payload));
    free(text);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    struct fuzz_dice dice = fuzz_dice(in);
    enum http_framing framing = (enum http_framing[]){HTTP_CHUNKED, HTTP_LENGTH, HTTP_UNTIL_CLOSE, HTTP_NO_BODY}[size % 16 < 13 ? 0 : size % 16 - 12];
    uint64_t length = framing == HTTP_LENGTH ? fuzz_throw(&dice, size + 8) : 0;
    char *a = malloc(size + 1), *b = malloc(size + 1);
    size_t a_n, b_n, a_taken, b_taken;
    struct http_body one, two;
    enum parse want;

    if (!a || !b)
        abort();
    http_body_init(&one, framing, length);
    http_body_init(&two, framing, length);
    want = decode(&one, in, NULL, a, &a_n, &a_taken);
    FUZZ_CHECK(decode(&two, in, &dice, b, &b_n, &b_taken) == want);
    FUZZ_CHECK(slice_eq(slice_make(a, a_n), slice_make(b, b_n)) && (want == PARSE_BAD || a_taken == b_taken));
    FUZZ_CHECK(http_body_may_end(&one) == http_body_may_end(&two));
    FUZZ_CHECK(want != PARSE_BAD || one.why);
    write_and_read(in, &dice);
    free(a);
    free(b);
    return 0;
}
