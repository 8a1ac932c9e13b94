/* Event streams: borders and fields do not depend on the split, and nothing is consumed that was not given. */
#include "fuzz.h"
#include "http/sse.h"

static char memory[1 << 18];

/* All that a reader gets, as one text. An event that holds nothing leaves no trace: a border may fall between CR and LF. */
static size_t read_all(struct slice in, struct fuzz_dice *dice, char *out)
{
    struct sse_scan scan;
    size_t start = 0, n = 0, events = 0;

    sse_scan_init(&scan);
    for (size_t at = 0, left; at < in.n; at += left) {
        left = dice ? fuzz_piece(dice, in.n - at) : in.n - at;
        for (size_t took = 0, k; took < left; took += k, start = at + took) {
            char *p = fuzz_copy(slice_make(in.p + at + took, left - took)), *raw;
            struct sse_event e;
            struct arena a;
            struct slice text;

            k = sse_scan_event(&scan, p, left - took);
            free(p);
            FUZZ_CHECK(k <= left - took);
            if (k == 0)
                break;
            text = slice_make(in.p + start, at + took + k - start);
            raw = fuzz_copy(text);
            arena_init_fixed(&a, memory, sizeof memory);
            if (sse_event_read(slice_make(raw, text.n), events++ == 0, &a, &e)) {
                struct slice part[] = {e.event, e.data, e.error};

                FUZZ_CHECK(e.has_data || e.data.n == 0);
                FUZZ_CHECK(e.event.n + e.data.n + e.error.n <= text.n);
                for (size_t i = 0; i < 3 && (e.has_data || e.error.n); i++) {
                    if (part[i].n)
                        memcpy(out + n, part[i].p, part[i].n);
                    n += part[i].n;
                    out[n++] = '\n';
                }
            } else {
                FUZZ_CHECK(text.n > sizeof memory / 2);
            }
            free(raw);
        }
    }
    if (in.n)
        memcpy(out + n, in.p + start, in.n - start);
    return n + (start < in.n ? in.n - start : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    struct fuzz_dice dice = fuzz_dice(in);
    char *a = malloc(size * 4 + 1), *b = malloc(size * 4 + 1);
    size_t n;

    if (!a || !b)
        abort();
    n = read_all(in, NULL, a);
    FUZZ_CHECK(slice_eq(slice_make(a, n), slice_make(b, read_all(in, &dice, b))));
    free(a);
    free(b);
    return 0;
}
