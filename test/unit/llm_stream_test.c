/* Events of every surface by tables, the search for committed events against the full reading, the closing error event,
 * and every recorded stream. */
#include "llm/stream.h"

#include <stdlib.h>

#include "http/sse.h"
#include "json/scan.h"
#include "llm/peek.h"
#include "llm_recorded_streams.h"
#include "llm_shared.h"

static struct arena scratch;

enum { C = LLM_CONTENT, F = LLM_FINISH, E = LLM_END, X = LLM_ERROR, B = LLM_BROKEN, N = LLM_NOTHING };

/* What counts after commit: the search may call anything content. */
enum { EXACT = F | E | X };

static unsigned one_event(enum surface surface, bool committed, struct slice raw, struct llm_stream *s, struct slice *error)
{
    /* Exactly as long as the event, so that reading past its end is seen. */
    char *copy = malloc(raw.n ? raw.n : 1);
    unsigned signs;
    static char kept[65536];

    if (raw.n)
        memcpy(copy, raw.p, raw.n);
    scratch_init(&scratch);
    llm_stream_init(s, surface, DIALECT_OPENAI);
    if (committed && !slice_starts(raw, SLICE("\xef\xbb\xbf"))) /* a stream's first event is always read, for its BOM */
        (void)llm_stream_event(s, SLICE(": begun\n\n"), true, &scratch, error);
    signs = llm_stream_event(s, slice_make(copy, raw.n), committed, &scratch, error);
    if (error->n > 0 && error->n < sizeof(kept)) {
        memcpy(kept, error->p, error->n);
        error->p = kept;
    }
    free(copy);
    return signs;
}

struct event_case {
    enum surface surface;
    const char *raw;
    unsigned signs;
    const char *error; /* expected *error, NULL: not looked at */
};

#define CHAT SURFACE_CHAT
#define RESP SURFACE_RESPONSES
#define MSGS SURFACE_MESSAGES
#define COMP SURFACE_COMPLETIONS
#define CHUNK(delta) "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}],\"usage\":null}\n\n"
#define TYPED(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"

static const struct event_case event_cases[] = {
    /* nothing */
    {CHAT, ": OPENROUTER PROCESSING\n\n", N, ""},
    {CHAT, ":\n\n", N, ""},
    {CHAT, ": a\tdata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", N, ""},
    {CHAT, "\n", N, ""},
    {CHAT, "\r\n", N, ""},
    {CHAT, "retry: 3000\n\n", N, ""},
    {CHAT, "id: 7\n\n", N, ""},
    {CHAT, "data:\n\n", N, ""},
    {CHAT, "data: {\"type\": \"ping\"}\n\n", N, NULL},
    {CHAT, CHUNK("{\"role\":\"assistant\"}"), N, NULL},
    {CHAT, CHUNK("{\"role\":\"assistant\",\"content\":\"\"}"), N, NULL},
    {CHAT, CHUNK("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":null,\"refusal\":\"\"}"), N, NULL},
    {CHAT, CHUNK("{\"content\":[]}"), N, NULL},
    {CHAT, CHUNK("{\"tool_calls\":[]}"), N, NULL},
    {CHAT, CHUNK("{\"token_id\":1,\"content\":\"\"}"), N, NULL},
    {CHAT, "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}],\"id\":\"\",\"model\":\"\"}\n\n", N, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"\"}]}\n\n", N, NULL},
    {CHAT, "data: {}\n\n", N, NULL},
    {CHAT, "data: []\n\n", N, NULL},
    {CHAT, "data: null\n\n", N, NULL},
    {CHAT, "data: {\"error\":null,\"choices\":[]}\n\n", N, NULL},
    {CHAT, "data: {\"error\":{},\"choices\":[]}\n\n", N, NULL},
    {CHAT, "data: {\"error\":\"\",\"choices\":[]}\n\n", N, NULL},
    {CHAT, "event: whatever\ndata: {\"new\":\"thing\"}\n\n", N, NULL},
    /* content */
    {CHAT, CHUNK("{\"content\":\"Hi\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\" \"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":[{\"type\":\"thinking\",\"thinking\":[]}]}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\",\"reasoning_content\":\"\\n\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\",\"reasoning\":\"so\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\",\"reasoning_details\":[{\"type\":\"reasoning.text\"}]}"), C, NULL},
    {CHAT, CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":null,\"function\":{\"name\":null,\"arguments\":\"\"}}]}"), C, NULL},
    {CHAT, CHUNK("{\"function_call\":{\"name\":\"f\"}}"), C, NULL},
    {CHAT, CHUNK("{\"refusal\":\"no\"}"), C, NULL},
    {CHAT, CHUNK("{\"audio\":{\"id\":\"a\"}}"), C, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n", C, NULL},
    {CHAT, "data: {\"object\":\"chat.completion\",\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}\n\n", C | F, NULL},
    {CHAT, "data:{\"choices\":[{\"delta\":{\"content\":\"tight\"}}]}\n\n", C, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"split\"}}]}\n\n", C, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"crlf\"}}]}      \r\n\r\n", C, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"cr\"}}]}\r\r", C, NULL},
    {CHAT, "\xef\xbb\xbf" "data: {\"choices\":[{\"delta\":{\"content\":\"bom\"}}]}\n\n", C, NULL},
    {COMP, "data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":null}]}\n\n", C, NULL},
    {COMP, "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":null}]}\n\n", N, NULL},
    {COMP, "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n", F, NULL},
    /* ends */
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", F, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\" :\t\"stop\"}]}\n\n", F, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\"\ndata: : \"stop\"}]}\n\n", F, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\"\r\ndata: : \"stop\"}]}\r\n\r\n", F, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"z\"},\"finish_reason\":\"length\"}]}\n\n", C | F, NULL},
    {CHAT, "data: {\"object\":\"chat.completion.done\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", F | E, NULL},
    {CHAT, "data: [DONE]\n\n", E, ""},
    {CHAT, "data:[DONE]\r\n\r\n", E, ""},
    {CHAT, "event: done\ndata: [DONE]\n\n", E, ""},
    {RESP, "data: [DONE]\n\n", E, ""},
    /* errors */
    {CHAT, "data: {\"error\":{\"message\":\"m\"}}\n\n", X, "{\"error\":{\"message\":\"m\"}}"},
    {CHAT, "data: {\"error\":\"m\"}\n\n", X, "{\"error\":\"m\"}"},
    {CHAT, "data: {\"choices\":[],\"error\":{\"code\":502}}\n\n", X, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n", X, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"code\":429}}]}\n\n", X, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{},\"error\":{\"code\":429}}]}\n\n", X, NULL},
    {CHAT, "event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n", X, "{\"error\":{\"message\":\"m\"}}"},
    {CHAT, "event: error\r\ndata: {\"message\":\"m\"}\r\n\r\n", X, "{\"message\":\"m\"}"},
    {CHAT, "event:error\ndata: overloaded\n\n", X, "overloaded"},
    {CHAT, "event: error\n\n", X, ""},
    {CHAT, "error: {\"detail\":\"failed\",\"error\":{\"message\":\"failed\"}}\n\n", X, "{\"detail\":\"failed\",\"error\":{\"message\":\"failed\"}}"},
    {CHAT, "error: {\"code\":500}\r\n\r\n", X, "{\"code\":500}"},
    {CHAT, "data: {\"error\":{\"status\":400,\"code\":\"content_filter\"}}\n\n", X, NULL},
    {CHAT, "data: [{\"error\":{\"code\":503}}]\n\n", X, "[{\"error\":{\"code\":503}}]"},
    {CHAT, "data: {\"object\":\"error\",\"message\":\"m\",\"code\":400}\n\n", X, NULL},
    {CHAT, "data: {\"type\":\"error\",\"message\":\"m\"}\n\n", X, NULL},
    {CHAT, "data: {\"choices\":[],\"x_groq\":{\"id\":\"r\",\"error\":\"over capacity\"}}\n\n", X, NULL},
    {CHAT, "data: {\"error\"\ndata: :{\"message\":\"m\"}}\n\n", X, NULL},
    {COMP, "data: {\"error\" : {\"message\":\"m\"}}\n\n", X, NULL},
    /* broken */
    {CHAT, "data: {\"choices\":[\n\n", B, ""},
    {CHAT, "data: hello\n\n", B, ""},
    {CHAT, "data: {\"choices\":[]} trailing\n\n", B, ""},

    /* messages */
    {MSGS, TYPED("message_start", ",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}"), N, NULL},
    {MSGS, TYPED("ping", ""), N, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"), N, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"), N, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"x\"}"), C, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}"), C, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"server_tool_use\",\"input\":{}}"), C, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"web_search_tool_result\",\"content\":[]}"), C, NULL},
    {MSGS, TYPED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"abc\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}"), N, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}"), N, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"t\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}"), C, NULL},
    {MSGS, TYPED("content_block_stop", ",\"index\":0"), N, NULL},
    {MSGS, TYPED("message_delta", ",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":3}"), N, NULL},
    {MSGS, TYPED("message_delta", ",\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":{\"output_tokens\":3}"), F, NULL},
    {MSGS, TYPED("message_stop", ""), E, ""},
    {MSGS, "event: message_stop\ndata: {\"type\":\"message_stop\"            }\n\n", E, ""},
    {MSGS, "data: {\"type\" : \"message_stop\"}\n\n", E, ""},
    {MSGS, TYPED("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"), X,
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"},
    {MSGS, "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"api_error\"}}\n\n", X, NULL},
    {MSGS, "data: {\"type\": \"error\"}\n\n", X, NULL},
    {MSGS, TYPED("brand_new", ",\"x\":1"), N, NULL},

    /* responses */
    {RESP, TYPED("response.created", ",\"response\":{\"status\":\"in_progress\",\"error\":null,\"output\":[]}"), N, NULL},
    {RESP, TYPED("response.in_progress", ",\"response\":{\"status\":\"in_progress\",\"usage\":null}"), N, NULL},
    {RESP, TYPED("response.queued", ",\"response\":{}"), N, NULL},
    {RESP, TYPED("response.output_item.added", ",\"item\":{\"type\":\"message\",\"content\":[]}"), N, NULL},
    {RESP, TYPED("response.output_item.added", ",\"item\":{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"g\"}"), N, NULL},
    {RESP, TYPED("response.output_item.added", ",\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}"), C, NULL},
    {RESP, TYPED("response.output_item.added", ",\"item\":{\"type\":\"web_search_call\"}"), C, NULL},
    {RESP, TYPED("response.output_item.done", ",\"item\":{\"type\":\"reasoning\",\"summary\":[]}"), C, NULL},
    {RESP, TYPED("response.content_part.added", ",\"part\":{\"type\":\"output_text\",\"text\":\"\"}"), N, NULL},
    {RESP, TYPED("response.output_text.delta", ",\"delta\":\"a\",\"sequence_number\":4"), C, NULL},
    {RESP, TYPED("response.output_text.delta", ",\"delta\":\"\""), N, NULL},
    {RESP, TYPED("response.reasoning_summary_part.added", ",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"), N, NULL},
    {RESP, TYPED("response.reasoning_summary_text.delta", ",\"delta\":\"a\""), C, NULL},
    {RESP, TYPED("response.reasoning_text.delta", ",\"delta\":\"a\""), C, NULL},
    {RESP, TYPED("response.refusal.delta", ",\"delta\":\"a\""), C, NULL},
    {RESP, TYPED("response.function_call_arguments.delta", ",\"delta\":\"{\""), C, NULL},
    {RESP, TYPED("response.output_text.done", ",\"text\":\"\""), N, NULL},
    {RESP, TYPED("response.image_generation_call.partial_image", ",\"partial_image_b64\":\"aa\""), C, NULL},
    {RESP, TYPED("response.completed", ",\"response\":{\"status\":\"completed\",\"error\":null}"), F | E, ""},
    {RESP, TYPED("response.incomplete", ",\"response\":{\"status\":\"incomplete\"}"), F | E, ""},
    {RESP, "data: {\"type\":\"response.completed\",\"response\":{}}\n\n", F | E, ""},
    {RESP, "event: response.completed\ndata: {\"response\":{}}\n\n", F | E, ""},
    {RESP, "data: {\"response\":{},\"sequence_number\":9,\"type\":\"response.completed\"}\n\n", F | E, ""},
    {RESP, TYPED("response.failed", ",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}}"), X,
     "{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}"},
    {RESP, TYPED("response.failed", ",\"response\":null"), X, NULL},
    {RESP, TYPED("error", ",\"code\":\"insufficient_quota\",\"message\":\"m\",\"param\":null,\"sequence_number\":1"), X, NULL},
    {RESP, TYPED("error", ",\"error\":{\"code\":\"insufficient_quota\"}"), X, NULL},
    {RESP, TYPED("keepalive", ",\"sequence_number\":3"), N, NULL},
    {RESP, TYPED("response.some_new.delta", ",\"delta\":\"x\""), C, NULL},

    /* images, speech */
    {SURFACE_IMAGES, TYPED("image_generation.partial_image", ",\"b64_json\":\"aa\",\"partial_image_index\":0"), C, NULL},
    {SURFACE_IMAGES, TYPED("image_generation.partial_image", ",\"b64_json\":\"\""), N, NULL},
    {SURFACE_IMAGES, TYPED("image_generation.completed", ",\"b64_json\":\"aa\",\"usage\":{\"input_tokens\":1}"), C | F | E, NULL},
    {SURFACE_SPEECH, TYPED("speech.audio.delta", ",\"audio\":\"aa\""), C, NULL},
    {SURFACE_SPEECH, TYPED("speech.audio.done", ",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}"), F | E, NULL},
    {SURFACE_SPEECH, TYPED("response.output_text.done", ",\"text\":\"a\""), N, NULL},
    {SURFACE_SPEECH, "event: speech.audio.done\ndata: {}\n\n", F | E, NULL},
    {SURFACE_SPEECH, TYPED("error", ",\"error\":{\"message\":\"m\"}"), X, NULL},

    /* Content that speaks of ends and errors: escaped quotes, whole words, keys of a tool's arguments. */
    {CHAT, CHUNK("{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\\\"error\\\":{\\\"message\\\":1}\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"error\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\\\"error\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"finish_reason\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"usage\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"[DONE]\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\\n\\ndata: [DONE]\\n\\nevent: error\\n\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\\\\\\\"error\\\\\\\":1\"}"), C, NULL},
    {CHAT, CHUNK("{\"content\":\"\\\\\",\"error\":{\"a\":1}}"), C, NULL}, /* a key of the delta, not of the chunk */
    {CHAT, CHUNK("{\"content\":\"a\",\"finish_reason\":\"stop\"}"), C, NULL},
    {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"content_filter_results\":{\"error\":{\"code\":\"content_filter_error\"}}}]}\n\n", C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"delta\":{\"type\":\"text_delta\",\"text\":\"{\\\"type\\\":\\\"message_stop\\\"}\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"delta\":{\"type\":\"text_delta\",\"text\":\"message_stop\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\nevent: error\\n\"}"), C, NULL},
    {MSGS, TYPED("content_block_delta", ",\"delta\":{\"type\":\"text_delta\",\"text\":\"error\"}"), C, NULL},
    {RESP, TYPED("response.output_text.delta", ",\"delta\":\"response.completed\""), C, NULL},
    {RESP, TYPED("response.output_text.delta", ",\"delta\":\"\\\"type\\\":\\\"response.failed\\\"\""), C, NULL},
    {RESP, TYPED("response.output_text.delta", ",\"delta\":\"error\""), C, NULL},
};

static void check_event(const struct event_case *c, struct slice raw)
{
    struct llm_stream s, t;
    struct slice error;
    unsigned slow, fast;

    check_case(c->raw);
    slow = one_event(c->surface, false, raw, &s, &error);
    CHECK_INT(slow, c->signs);
    CHECK(((slow & X) != 0) || error.n == 0);
    if (c->error)
        CHECK_STR(error, c->error);
    fast = one_event(c->surface, true, raw, &t, &error);
    CHECK_INT(fast & EXACT, slow & EXACT);
    if (c->error && (fast & X))
        CHECK_STR(error, c->error);
    CHECK((fast & N) == 0 || (fast & (C | EXACT | B)) == 0);
    CHECK_INT(t.events, s.events);
    CHECK_INT(t.usage.output, s.usage.output);
    CHECK_INT(t.sequence, s.sequence);
    CHECK_STR(slice_str(t.stop_reason), s.stop_reason);
}

static void test_events(void)
{
    static char crlf[8192];

    for (size_t i = 0; i < sizeof(event_cases) / sizeof(event_cases[0]); i++) {
        const struct event_case *c = &event_cases[i];
        size_t n = 0;

        check_event(c, slice_str(c->raw));
        /* The same with other line ends. */
        for (const char *p = c->raw; *p; p++) {
            if (*p == '\n' && (p == c->raw || p[-1] != '\r'))
                crlf[n++] = '\r';
            crlf[n++] = *p;
        }
        check_event(c, slice_make(crlf, n));
    }
}

/* The search at every alignment and length: a word that matters, moved through the blocks of 64. */
static void test_peek_positions(void)
{
    static const struct {
        enum surface surface;
        const char *head, *tail;
        bool read;
    } cases[] = {
        {CHAT, "data: {\"x\":\"", "\",\"finish_reason\":\"stop\"}\n\n", true},
        {CHAT, "data: {\"x\":\"", "\",\"finish_reason\":null}\n\n", false},
        {CHAT, "data: {\"x\":\"", "\",\"usage\":{\"prompt_tokens\":1}}\n\n", true},
        {CHAT, "data: {\"x\":\"", "\",\"usage\": null}\n\n", false},
        {CHAT, "data: {\"x\":\"", "\",\"error\":1}", true},
        {CHAT, "data: {\"x\":\"", "\",\"error\": null}", false},
        {CHAT, "data: {\"x\":\"", "\"}\nevent: error\n\n", true},
        {CHAT, "data: {\"x\":\"", "\"}\nevent: message\n\n", false},
        {CHAT, "data: {\"x\":\"", "\"}\rdata: 1\r\r", true},
        {CHAT, ": ", "\ndata: [DONE]\n\n", true},
        {CHAT, ": ", "\nerror: x\n\n", true},
        {MSGS, "data: {\"x\":\"", "\",\"type\":\"message_stop\"}", true},
        {MSGS, "data: {\"x\":\"", "\",\"type\":\"message_stopped\"}", false},
        {RESP, "data: {\"x\":\"", "\",\"type\":\"response.failed\"}", true},
        {RESP, "data: {\"x\":\"", "\",\"type\":\"response.failing\"}", false},
    };
    static char text[400];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(cases[i].tail);
        for (size_t pad = 0; pad < 200; pad++) {
            size_t n = strlen(cases[i].head), m = strlen(cases[i].tail);
            char *exact;
            struct peek peek;

            memcpy(text, cases[i].head, n);
            memset(text + n, 'e', pad);
            memcpy(text + n + pad, cases[i].tail, m);
            exact = malloc(n + pad + m);
            memcpy(exact, text, n + pad + m);
            CHECK(peek_event(cases[i].surface, slice_make(exact, n + pad + m), &peek) == cases[i].read);
            free(exact);
        }
    }
    check_case("longer than what is marked at once");
    for (size_t pad = 900; pad < 2300; pad++) {
        static const char end[] = "\",\"finish_reason\":\"stop\"}";
        char *exact = malloc(pad + sizeof(end) - 1);
        struct peek peek;

        memset(exact, 'e', pad);
        memcpy(exact, "data: {\"x\":\"", 12);
        memcpy(exact + pad, end, sizeof(end) - 1);
        CHECK(peek_event(CHAT, slice_make(exact, pad + sizeof(end) - 1), &peek));
        exact[pad + 3] = 'F';
        CHECK(!peek_event(CHAT, slice_make(exact, pad + sizeof(end) - 1), &peek));
        free(exact);
    }
}

/* Border and words in one search agree with the two that do it one after the other, on texts put together of what matters to either. */
static void test_alone(void)
{
    static const char *const piece[] = {"data: {\"x\":\"", "\"}", "\n", "\n\n", "\r\n", "\r", "event: error", "event: ping", "\"usage\":null", "\"usage\":{}",
                                        ": ", "d", "a longer run of bytes, so that blocks of sixteen and more are full", "data: [DONE]", "\"finish_reason\":\"stop\""};
    enum { PIECES = sizeof piece / sizeof *piece };
    uint32_t random = 1, found = 0;

    check_case("alone");
    for (unsigned i = 0; i < 200000; i++) {
        char text[1024], *exact;
        size_t n = 0;
        struct sse_scan scan;
        struct peek peek, again;
        bool want, got;

        for (unsigned k = (random >> 7) % 7 + 1; k; k--) {
            random = random * 1664525u + 1013904223u;
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", piece[(random >> 16) % PIECES]);
        }
        if (i % 2)
            n += (size_t)snprintf(text + n, sizeof text - n, "\n\n");
        exact = malloc(n);
        memcpy(exact, text, n);
        sse_scan_init(&scan);
        want = n > 2 && sse_scan_event(&scan, exact, n) == n && !memchr(exact, '\r', n) && !peek_event(CHAT, slice_make(exact, n), &peek);
        got = peek_alone(CHAT, slice_make(exact, n), &again);
        CHECK(got == want);
        if (got && want)
            CHECK(again.data == peek.data && again.ping == peek.ping && sse_scan_idle(&scan));
        found += got;
        free(exact);
    }
    CHECK(found > 1000);
}

/* ---- usage through a stream ---- */

static void feed(struct llm_stream *s, const char *raw, bool committed)
{
    struct slice error;

    scratch_init(&scratch);
    (void)llm_stream_event(s, slice_str(raw), committed, &scratch, &error);
}

static void test_usage(void)
{
    struct llm_stream s;

    check_case("last one wins, absurd ones do not");
    llm_stream_init(&s, CHAT, DIALECT_OPENAI);
    CHECK(!s.usage.seen);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}\n\n", true);
    CHECK(s.usage.seen && s.usage.input == 5 && s.usage.output == 9);
    feed(&s, "data: {\"choices\":[],\"usage\":null}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":9}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":\"7\",\"completion_tokens\":9}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9007199254740993,\"completion_tokens\":9}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000000000000000000000000,\"completion_tokens\":9}}\n\n", true);
    feed(&s, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1.5,\"completion_tokens\":9}}\n\n", true);
    CHECK(s.usage.seen && s.usage.input == 5 && s.usage.output == 9);

    check_case("groq, moonshot");
    llm_stream_init(&s, CHAT, DIALECT_OPENAI);
    feed(&s, "data: {\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}}\n\n", true);
    CHECK(s.usage.seen && s.usage.input == 3 && s.usage.output == 4);
    feed(&s, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":6,\"completion_tokens\":7}}]}\n\n", true);
    CHECK(s.usage.input == 6 && s.usage.output == 7);
    CHECK_STR(slice_str(s.stop_reason), "stop");

    check_case("message_delta corrects message_start");
    llm_stream_init(&s, MSGS, DIALECT_ANTHROPIC);
    feed(&s, TYPED("message_start", ",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":20,\"output_tokens\":1}}"), false);
    CHECK(s.usage.input == 130 && s.usage.cache_read == 100 && s.usage.cache_write == 20 && s.usage.output == 1);
    feed(&s, TYPED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":33}"), true);
    CHECK(s.usage.input == 130 && s.usage.output == 33);
    feed(&s, TYPED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":0,\"output_tokens\":34}"), true);
    CHECK(s.usage.input == 32 && s.usage.cache_read == 0 && s.usage.cache_write == 20 && s.usage.output == 34);
    CHECK_STR(slice_str(s.stop_reason), "end_turn");

    check_case("content bytes");
    llm_stream_init(&s, CHAT, DIALECT_OPENAI);
    feed(&s, CHUNK("{\"role\":\"assistant\"}"), false);
    CHECK_INT(s.content_bytes, 0);
    feed(&s, CHUNK("{\"content\":\"a\"}"), false);
    feed(&s, CHUNK("{\"content\":\"a\"}"), true);
    feed(&s, ": c\n\n", true);
    CHECK_INT(s.content_bytes, 2 * strlen(CHUNK("{\"content\":\"a\"}")));
    CHECK_INT(s.events, 3);
}

static void test_may_end(void)
{
    static const enum surface strict[] = {CHAT, COMP, RESP, MSGS};
    struct llm_stream s;

    check_case("may end");
    for (size_t i = 0; i < 4; i++) {
        llm_stream_init(&s, strict[i], DIALECT_OPENAI);
        CHECK(!llm_stream_may_end(&s));
        s.seen = C | N;
        CHECK(!llm_stream_may_end(&s));
        s.seen = X;
        CHECK(!llm_stream_may_end(&s));
        s.seen = F;
        CHECK(llm_stream_may_end(&s));
        s.seen = E;
        CHECK(llm_stream_may_end(&s));
    }
    llm_stream_init(&s, SURFACE_SPEECH, DIALECT_OPENAI);
    CHECK(llm_stream_may_end(&s));
}

/* An event with more tokens than are ever parsed is still read where it matters. */
static void test_large(void)
{
    static char text[300000];
    struct llm_stream s;
    struct slice error;
    size_t n = (size_t)snprintf(text, sizeof(text), "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"tools\":[");

    check_case("large response.completed");
    for (int i = 0; i < 20000; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"a\":1},");
    n += (size_t)snprintf(text + n, sizeof(text) - n, "0],\"status\":\"completed\",\"usage\":{\"input_tokens\":7,\"output_tokens\":8}}}\n\n");
    CHECK_INT(one_event(RESP, true, slice_make(text, n), &s, &error), F | E);
    CHECK(s.usage.seen && s.usage.input == 7 && s.usage.output == 8);
    CHECK_STR(slice_str(s.stop_reason), "completed");
    check_case("large choices");
    n = (size_t)snprintf(text, sizeof(text), "data: {\"choices\":[");
    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "{},");
    n += (size_t)snprintf(text + n, sizeof(text) - n, "{}]}\n\n");
    CHECK_INT(one_event(CHAT, false, slice_make(text, n), &s, &error), C);
}

/* Events in pieces: at every pair of borders the same signs and usage as whole. */
static void test_pieces(void)
{
    static const struct event_case cases[] = {
        {RESP, TYPED("response.completed", ",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":7,\"output_tokens\":8}}"), F | E, NULL},
        {RESP, "data: {\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\"}}\n\n", F | E, NULL},
        {RESP, TYPED("response.failed", ",\"response\":{\"error\":{\"code\":\"x\"}}"), X, NULL},
        {RESP, TYPED("response.created", ",\"response\":{\"tools\":[{\"usage\":{\"type\":\"string\"}}]}"), C, NULL},
        {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n", C, NULL},
        {CHAT, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":8}}\n\n", C | F, NULL},
        {CHAT, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n", X, NULL},
        {CHAT, CHUNK("{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"}"), C, NULL},
        {MSGS, TYPED("content_block_start", ",\"content_block\":{\"type\":\"web_search_tool_result\",\"content\":[]}"), C, NULL},
        {MSGS, TYPED("error", ",\"error\":{\"type\":\"api_error\"}"), X, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice raw = slice_str(cases[i].raw);
        /* In use the first piece is 64 KiB: the kind always stands in it. */
        size_t kind = (size_t)slice_find(raw, SLICE("data:")) + 40;

        check_case(cases[i].raw);
        for (size_t a = kind; a < raw.n; a++)
            for (size_t b = a; b <= raw.n; b += 1 + (b - a) / 3) {
                struct llm_stream s;
                struct slice error;
                unsigned got;

                llm_stream_init(&s, cases[i].surface, DIALECT_OPENAI);
                scratch_init(&scratch);
                CHECK_INT(llm_stream_piece(&s, slice_first(raw, a), false, &scratch), C);
                CHECK_INT(llm_stream_piece(&s, slice_make(raw.p + a, b - a), false, &scratch), C);
                got = llm_stream_piece(&s, slice_from(raw, b), true, &scratch);
                CHECK_INT(got, cases[i].signs);
                CHECK(llm_stream_may_end(&s) == ((cases[i].signs & F) != 0));
                CHECK_INT(s.events, 1);
                /* The next event is read as ever. */
                CHECK_INT(llm_stream_event(&s, SLICE("data: [DONE]\n\n"), true, &scratch, &error), E);
            }
        {
            struct llm_stream whole, s;
            struct slice error;

            (void)one_event(cases[i].surface, false, raw, &whole, &error);
            llm_stream_init(&s, cases[i].surface, DIALECT_OPENAI);
            scratch_init(&scratch);
            CHECK_INT(llm_stream_piece(&s, slice_first(raw, kind), false, &scratch), C);
            CHECK_INT(llm_stream_piece(&s, slice_from(raw, kind), true, &scratch), cases[i].signs);
            CHECK_INT(s.usage.seen, whole.usage.seen);
            CHECK_INT(s.usage.input, whole.usage.input);
            CHECK_INT(s.usage.output, whole.usage.output);
        }
    }
}

/* ---- our own error event ---- */

static void test_error_event(void)
{
    static const enum surface surfaces[] = {CHAT, COMP, RESP, MSGS};
    char out[1024];

    for (size_t i = 0; i < 4; i++) {
        enum surface surface = surfaces[i];
        struct llm_stream s, reader;
        struct sse_event e;
        struct json_doc d;
        struct slice error;
        uint64_t sequence;
        struct sse_scan scan;
        size_t n;

        check_case("error event");
        llm_stream_init(&s, surface, DIALECT_OPENAI);
        s.sequence = 41;
        scratch_init(&scratch);
        n = llm_error_event(&s, SLICE("stream_truncated"), SLICE("cut \"here\"\n\ndata: [DONE]"), SLICE("req-1"), out, sizeof(out));
        sse_scan_init(&scan);
        CHECK(n > 0 && sse_scan_event(&scan, out, n) == n);
        CHECK(sse_event_read(slice_make(out, n), false, &scratch, &e) && json_parse(&d, e.data, &scratch));
        /* openai-python raises on a mapping with a true `error`; anthropic on the event's name. */
        CHECK_INT(json_type_of(&d, json_get(&d, 0, "error")), JSON_OBJECT);
        CHECK(slice_eq(e.event, SLICE("error")) == (surface == RESP || surface == MSGS));
        CHECK(json_str(&d, json_path(&d, 0, "error.message"), &scratch, &error));
        CHECK_STR(error, "cut \"here\"\n\ndata: [DONE]");
        CHECK(json_str_is(&d, json_path(&d, 0, "weir.requestId"), "req-1"));
        CHECK(json_str_is(&d, json_path(&d, 0, "weir.code"), "stream_truncated"));
        if (surface == RESP) {
            CHECK(json_str_is(&d, json_get(&d, 0, "type"), "error"));
            CHECK(json_str_is(&d, json_get(&d, 0, "code"), "stream_truncated"));
            CHECK(json_u64(&d, json_get(&d, 0, "sequence_number"), &sequence) && sequence == 42);
            CHECK(json_get(&d, 0, "param") >= 0);
        } else if (surface == MSGS) {
            CHECK(json_str_is(&d, json_get(&d, 0, "type"), "error"));
            CHECK(json_str_is(&d, json_path(&d, 0, "error.type"), "api_error"));
            CHECK(json_str_is(&d, json_get(&d, 0, "request_id"), "req-1"));
        } else {
            CHECK(json_str_is(&d, json_path(&d, 0, "error.code"), "stream_truncated"));
        }
        CHECK_INT(one_event(surface, true, slice_make(out, n), &reader, &error), X);
        for (size_t cap = 0; cap < n; cap++)
            CHECK_INT(llm_error_event(&s, SLICE("stream_truncated"), SLICE("cut \"here\"\n\ndata: [DONE]"), SLICE("req-1"), out, cap), 0);
        CHECK_INT(llm_error_event(&s, SLICE("stream_truncated"), SLICE("cut \"here\"\n\ndata: [DONE]"), SLICE("req-1"), out, n), n);
    }
}

/* ---- recorded ---- */

enum mode { READ_ALL, SEARCH_AFTER_COMMIT, SEARCH_ALL };

/* Each event read, or searched where that is due; and each event that the search passes over is read beside it. */
static void run_stream(struct llm_stream *s, enum surface surface, struct slice body, enum mode mode)
{
    struct sse_scan scan;
    bool committed = mode == SEARCH_ALL;

    llm_stream_init(s, surface, DIALECT_OPENAI);
    sse_scan_init(&scan);
    while (body.n > 0) {
        size_t n = sse_scan_event(&scan, body.p, body.n);
        struct slice raw = slice_first(body, n ? n : body.n), error, other_error;
        struct llm_stream before = *s;
        unsigned signs;

        scratch_init(&scratch);
        signs = llm_stream_event(s, raw, committed, &scratch, &error);
        if (committed) {
            unsigned other;

            scratch_init(&scratch);
            other = llm_stream_event(&before, raw, false, &scratch, &other_error);
            CHECK_INT(signs & EXACT, other & EXACT);
            CHECK(!(other & X) || slice_eq(error, other_error));
        }
        if (mode == SEARCH_AFTER_COMMIT && (signs & (C | F)))
            committed = true;
        body = slice_from(body, raw.n);
    }
}

static void check_stream(const char *below, const char *name, const struct recorded_stream *want)
{
    struct slice body = shared_read(below, name);

    check_case(want->id);
    CHECK(body.n > 0);
    for (enum mode mode = READ_ALL; mode <= SEARCH_ALL; mode++) {
        struct llm_stream s;

        run_stream(&s, want->surface, body, mode);
        CHECK_INT(s.seen & EXACT, want->signs & EXACT);
        if (mode != SEARCH_ALL)
            CHECK_INT(s.seen & C, want->signs & C);
        CHECK_INT(s.seen & B, 0);
        CHECK_INT(s.events, want->events);
        CHECK_INT(s.usage.input, want->usage.input);
        CHECK_INT(s.usage.output, want->usage.output);
        CHECK_INT(s.usage.cache_read, want->usage.cache_read);
        CHECK_INT(s.usage.cache_write, want->usage.cache_write);
        CHECK_INT(s.usage.reasoning, want->usage.reasoning);
        CHECK_INT(s.usage.seen, want->usage.seen);
        CHECK_STR(slice_str(s.stop_reason), want->stop_reason);
        CHECK_INT(llm_stream_may_end(&s), (want->signs & (F | E)) != 0);
    }
    shared_free(&body);
}

static void recorded_one(const char *id)
{
    char below[1100];

    snprintf(below, sizeof(below), "recorded/%s", id);
    for (size_t i = 0; i < sizeof(recorded_streams) / sizeof(recorded_streams[0]); i++)
        if (strcmp(recorded_streams[i].id, id) == 0) {
            check_stream(below, "response.body", &recorded_streams[i]);
            return;
        }
    /* Every stream of a dialect that we serve has its line. */
    struct slice meta = shared_read(below, "meta.json");
    bool ours = slice_find(meta, SLICE("\"kind\": \"stream\"")) >= 0 &&
                (slice_find(meta, SLICE("\"dialect\": \"openai-")) >= 0 ||
                 slice_find(meta, SLICE("\"dialect\": \"anthropic-messages\"")) >= 0);

    check_case("a line for every stream");
    if (!CHECK(!ours))
        printf("     none for %s\n", id);
    shared_free(&meta);
}

static const struct recorded_stream reported[] = {
    {"data/reported-errors/anthropic/200-stream-error-after-delta", MSGS, 5, C | X, {12, 1, 0, 0, 0, true}, ""},
    {"data/reported-errors/openai/200-responses-failed-event", RESP, 2, X, {0, 0, 0, 0, 0, false}, "failed"},
    {"data/reported-errors/openrouter/200-stream-error-empty-choices", CHAT, 2, X | E, {0, 0, 0, 0, 0, false}, ""},
    {"data/reported-errors/openrouter/200-stream-finish-reason-error", CHAT, 3, C | X | E, {0, 0, 0, 0, 0, false}, ""},
};

int main(void)
{
    (void)peek_wide(false); /* first as older processors do it */
    test_events();
    test_peek_positions();
    test_alone();
    (void)peek_wide(true);
    test_events();
    test_peek_positions();
    test_alone();
    test_usage();
    test_may_end();
    test_large();
    test_pieces();
    test_error_event();
    if (shared_there("recorded"))
        CHECK(shared_each("recorded", recorded_one) > 0);
    if (shared_there("data/reported-errors"))
        for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++)
            check_stream(reported[i].id, "response.body", &reported[i]);
    return check_end();
}
