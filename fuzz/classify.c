/* What a provider's answer means: any dialect and surface (first byte), any head that the parser takes, any body behind it. */
#include "fuzz.h"
#include "llm/classify.h"
#include "llm/stream.h"

static char memory[1 << 20];
static struct http_response head;

static void check_verdict(const struct llm_verdict *v, bool whole_answer)
{
    FUZZ_CHECK(v->outcome > OUTCOME_NONE && v->outcome < OUTCOME_COUNT);
    FUZZ_CHECK(v->retry_after_ms >= -1 && v->retry_after_ms <= 3600000);
    /* 204 and 205 carry nothing that a client could use. */
    FUZZ_CHECK(v->outcome == OUTCOME_OK ? whole_answer : v->status >= 300 || v->status == 204 || v->status == 205);
    FUZZ_CHECK(v->status >= 100 && v->status <= 999);
    FUZZ_CHECK(v->outcome == OUTCOME_OK || v->outcome == OUTCOME_RATE_LIMIT || v->outcome == OUTCOME_QUOTA || v->outcome == OUTCOME_AUTH ||
               v->outcome == OUTCOME_UPSTREAM_ERROR || v->outcome == OUTCOME_NOT_FOUND || v->outcome == OUTCOME_REJECTED ||
               v->outcome == OUTCOME_CONTENT_POLICY || v->outcome == OUTCOME_TIMEOUT);
    for (size_t i = 0; i < v->code.n; i++)
        (void)v->code.p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size), body;
    unsigned what = fuzz_byte(&in);
    enum dialect dialect = (enum dialect)(what % DIALECT_COUNT);
    enum surface surface = (enum surface)(what / DIALECT_COUNT % SURFACE_COUNT);
    struct http_bad bad;
    struct llm_usage usage;
    struct llm_verdict v;
    size_t seen = 0;
    struct arena a;
    char stop_reason[24], *p;

    if (http_response_parse(&head, in.p, in.n, &seen, false, &bad) != PARSE_DONE || head.status < 200)
        return 0;
    body = slice_from(in, head.head_len);
    p = fuzz_copy(body);
    body.p = p;
    arena_init_fixed(&a, memory, sizeof memory);
    llm_classify(&v, dialect, surface, &head, body, 1760000000, &a);
    check_verdict(&v, head.status < 300);
    FUZZ_CHECK(head.status < 400 || v.status == head.status);
    FUZZ_CHECK(v.message.n <= body.n + 256);
    arena_init_fixed(&a, memory, sizeof memory);
    llm_classify_event(&v, dialect, surface, &head, body, 1760000000, &a);
    check_verdict(&v, false);
    arena_init_fixed(&a, memory, sizeof memory);
    llm_plain_usage(surface, body, &a, &usage, stop_reason);
    FUZZ_CHECK(memchr(stop_reason, 0, sizeof stop_reason) && (usage.seen || usage.input + usage.output == 0));
    arena_init_fixed(&a, memory, 256); /* short of memory it may know less, not do worse */
    llm_classify(&v, dialect, surface, &head, body, 1760000000, &a);
    check_verdict(&v, head.status < 300);
    free(p);
    return 0;
}
