/* A provider's stream (first byte: surface and dialect): the search of committed events finds the ends, finish reasons and errors that a full
 * reading finds, on old processors and new ones, and weir's own closing event is read as an error. */
#include "fuzz.h"
#include "http/sse.h"
#include "llm/peek.h"
#include "llm/stream.h"

enum { EXACT = LLM_FINISH | LLM_END | LLM_ERROR };

static char memory[1 << 20], second[1 << 20];

static void one_event(struct llm_stream *s, struct slice raw)
{
    struct llm_stream fast = *s, old = *s;
    struct slice error, fast_error, old_error;
    struct arena a, b;
    unsigned signs, quick;

    arena_init_fixed(&a, memory, sizeof memory);
    signs = llm_stream_event(s, raw, false, &a, &error);
    FUZZ_CHECK((signs & LLM_ERROR) || error.n == 0);
    FUZZ_CHECK(signs != 0 && (!(signs & LLM_NOTHING) || signs == LLM_NOTHING));
    FUZZ_CHECK(memchr(s->stop_reason, 0, sizeof s->stop_reason));
    arena_init_fixed(&b, second, sizeof second);
    quick = llm_stream_event(&fast, raw, true, &b, &fast_error);
    if (slice_find(raw, SLICE("\\u")) >= 0) /* a word with escaped letters is not searched for: peek.c says why */
        return;
    FUZZ_CHECK((quick & EXACT) == (signs & EXACT) && fast.events == s->events);
    FUZZ_CHECK(!(signs & LLM_ERROR) || slice_eq(error, fast_error));
    FUZZ_CHECK(memcmp(&fast.usage, &s->usage, offsetof(struct llm_usage, seen)) == 0 && strcmp(fast.stop_reason, s->stop_reason) == 0);
    (void)peek_wide(false);
    arena_init_fixed(&b, second, sizeof second);
    FUZZ_CHECK(llm_stream_event(&old, raw, true, &b, &old_error) == quick);
    (void)peek_wide(true);
}

static void closing_event(struct llm_stream *s, struct slice text)
{
    char out[4096];
    struct slice error;
    struct arena a;
    size_t n = llm_error_event(s, SLICE("stream_truncated"), slice_first(text, 100), SLICE("req-1"), out, sizeof out);
    struct sse_scan scan;

    sse_scan_init(&scan);
    FUZZ_CHECK(n > 0 && n <= sizeof out && sse_scan_event(&scan, out, n) == n);
    arena_init_fixed(&a, memory, sizeof memory);
    FUZZ_CHECK(llm_stream_event(s, slice_make(out, n), true, &a, &error) & LLM_ERROR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    unsigned what = fuzz_byte(&in);
    enum surface surface = (enum surface)(what % SURFACE_COUNT);
    struct llm_stream s;
    struct sse_scan scan;

    if (!surface_table[surface].streams)
        return 0;
    llm_stream_init(&s, surface, (enum dialect)(what / SURFACE_COUNT % DIALECT_COUNT));
    sse_scan_init(&scan);
    for (size_t at = 0, n; at < in.n && (n = sse_scan_event(&scan, in.p + at, in.n - at)) > 0; at += n) {
        struct slice raw = slice_make(in.p + at, n);
        char *p = fuzz_copy(raw);

        one_event(&s, slice_make(p, raw.n));
        free(p);
    }
    closing_event(&s, in);
    return 0;
}
