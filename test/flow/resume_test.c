/* router.continueStreams (spec 5): a committed text stream that breaks is gone on with elsewhere. At every place of a cut the client must get each
 * character once, in one well-formed stream; and where that can't be, a cut that looks like one. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#define ON "\"continueStreams\":true"
#define ASK "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true,\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define C(id, delta, finish) "data: {\"id\":\"" id "\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"x-" id "\",\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}\n\n"
#define C_ROLE(id) C(id, "\"role\":\"assistant\",\"content\":\"\"", "null")
#define C_TEXT(id, t) C(id, "\"content\":\"" t "\"", "null")
#define C_STOP(id) C(id, "", "\"stop\"")
#define A_START "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
#define A_OPEN "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define A_TEXT(t) "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" t "\"}}\n\n"
#define A_SHUT "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
#define A_STOP "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":3}}\n\n"
#define A_END "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

struct side {
    const char *path, *first, *next; /* what the attempts say, whole */
    const char *text;                /* the member that holds text */
    const char *added;               /* text of `next` */
    const char *stop, *last;         /* marks of the event with the stop reason, and of the last one */
    const char *once[4];             /* each exactly once in a whole stream */
};

static const struct side sides[] = {
    {CHAT, C_ROLE("c1") C_TEXT("c1", "Hé") COMMENT C_TEXT("c1", "llo \\\"w\\\" ") C_TEXT("c1", "we\\n") C_STOP("c1") DONE,
     C_ROLE("c2") C_TEXT("c2", "\\nor") C_TEXT("c2", "ld→") C_STOP("c2") DONE, "\"content\":\"", "or" "ld→", "\"stop\"", "[DONE]",
     {"\"role\"", "\"stop\"", "[DONE]", NULL}},
    {"/v1/messages", A_START A_OPEN "event: ping\ndata: {\"type\": \"ping\"}\n\n" A_TEXT("Hé") A_TEXT("llo \\\"w\\\" ") A_TEXT("we\\n") A_SHUT A_STOP A_END,
     A_START A_OPEN A_TEXT("\\nor") A_TEXT("ld→") A_SHUT A_STOP A_END, "\"text\":\"", "or" "ld→", "\"end_turn\"", "event: message_stop",
     {"event: message_start", "event: message_delta", "event: message_stop", NULL}},
};

/* The text that whole events in s carry, as JSON. */
static size_t text_in(struct slice s, const char *member, char *out)
{
    size_t n = 0;
    ptrdiff_t at;

    while ((at = slice_find(s, slice_str(member))) >= 0) {
        s = slice_from(s, (size_t)at + strlen(member));
        for (; s.n && s.p[0] != '"'; s = slice_from(s, 1)) {
            if (s.p[0] == '\\') {
                out[n++] = s.p[0];
                s = slice_from(s, 1);
            }
            out[n++] = s.p[0];
        }
    }
    out[n] = '\0';
    return n;
}

static unsigned count(struct slice s, const char *word)
{
    unsigned n = 0;
    ptrdiff_t at;

    while ((at = slice_find(s, slice_str(word))) >= 0) {
        n++;
        s = slice_from(s, (size_t)at + strlen(word));
    }
    return n;
}

/* Up to the end of the last whole event. */
static struct slice whole_events(struct slice s)
{
    while (s.n && !slice_ends(s, SLICE("\n\n")))
        s.n--;
    return s;
}

struct cut {
    const struct side *side;
    size_t at;
    bool reset;
};

static void cut_anywhere(const void *row)
{
    const struct cut *cut = row;
    const struct side *side = cut->side;
    struct slice first = slice_str(side->first), sent = slice_first(first, cut->at), whole = whole_events(sent);
    static char said[512], want[1024], got[1024], asked[1024];
    static struct act one[8], two[5]; /* each with its end */
    struct answer a;
    struct client *c;
    bool committed, finished = slice_find(whole, slice_str(side->stop)) >= 0;
    size_t n = text_in(whole, side->text, said);

    committed = n > 0;
    one[0] = (struct act)READ;
    one[1] = (struct act)SEND(SSE_HEAD);
    one[2] = (struct act){.kind = ACT_CHUNK, .text = first.p, .n = cut->at};
    one[3] = (struct act)WAIT(5);
    one[4] = (struct act){.kind = cut->reset ? ACT_RST : ACT_FIN};
    two[0] = (struct act)READ;
    two[1] = (struct act)SEND(SSE_HEAD_CLOSE);
    two[2] = (struct act){.kind = ACT_SEND, .text = side->next, .n = strlen(side->next)};
    two[3] = (struct act)FIN;
    flow_open("", ON);
    provider_plays(4, one);
    provider_plays(2, two);
    c = flow_talk(side->path, ASK, &a);
    EXPECT_INT(a.status, 200);
    EXPECT(a.complete);
    for (int i = 0; side->once[i]; i++)
        EXPECT_INT(count(a.body, side->once[i]), finished && slice_find(whole, slice_str(side->once[i])) < 0 ? 0 : 1);
    (void)text_in(a.body, side->text, got);
    EXPECT_INT(provider(2)->nrequests, finished ? 0 : 1);
    if (finished) {
        EXPECT_SLICE(a.body, whole);
    } else if (committed) {
        size_t kept = n;

        while (kept && (said[kept - 1] == ' ' || (kept > 1 && said[kept - 2] == '\\' && said[kept - 1] == 'n')))
            kept -= said[kept - 1] == ' ' ? 1 : 2;
        /* The provider goes on with "\n", which the client may have: white space at the end was not sent, and what it repeats of it is left out. */
        snprintf(want, sizeof want, "%s%s%s", said, slice_ends(slice_str(said), SLICE("\\n")) ? "" : "\\n", side->added);
        EXPECT_STR(slice_str(got), want);
        snprintf(asked, sizeof asked, "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"%.*s\"}]", (int)kept, said);
        if (!EXPECT(provider_saw(2, 0, asked)))
            printf("asked %s\n got %.*s\nclient %.*s\n log %.*s\n", asked, (int)provider_body(2, 0).n, provider_body(2, 0).p, (int)a.body.n, a.body.p, (int)flow_log_last().n, flow_log_last().p);
        EXPECT(answer_has(&a, ": continued by p2\n\n"));
        EXPECT(!answer_has(&a, "c2"));
        EXPECT(slice_starts(a.body, whole));
        EXPECT(slice_find(flow_log_last(), SLICE("\"continued\":1")) >= 0);
        EXPECT(slice_find(flow_log_last(), SLICE("\"outcome\":\"cut\"")) >= 0);
        EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"complete\"")) >= 0);
    } else {
        EXPECT(!provider_saw(2, 0, "assistant"));
        EXPECT_STR(a.body, side->next);
    }
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

/* ---- What is not continued, or does not go well ---- */

#define CUT_CHAT(text) {READ, SEND(SSE_HEAD), CHUNK(C_ROLE("c1") text), WAIT(5), RST, END}
#define GO_ON {READ, SEND(SSE_HEAD), CHUNK(C_ROLE("c2") C_TEXT("c2", "on") C_STOP("c2") DONE), LAST_CHUNK, END}

struct story {
    const char *name, *router, *ask;
    struct act one[8], two[8], three[8];
    const char *text;    /* all that the client has in the end */
    unsigned two_asked, three_asked;
    const char *error;   /* NULL: it ends well */
    const char *two_saw;
};

#define ASK_MORE(more) "{\"model\":\"m4\",\"models\":[\"m2\",\"m3\"],\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"
#define LONG "The quick brown fox jumps over the lazy dog."

static const struct story stories[] = {
    {"off by default", "", ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go ")), GO_ON, GO_ON, "go ", 0, 0, "stream_truncated", NULL},
    {"the second breaks as well, the third goes on", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go")), CUT_CHAT(C_TEXT("c2", "-")), GO_ON, "go-on", 1, 1, NULL, "\"content\":\"go\"}]"},
    {"the second refuses before its first word", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go")), {READ, FAIL("400 Bad Request", "{\"error\":{\"message\":\"no prefill\"}}"), END}, GO_ON, "goon", 1, 1, NULL, NULL},
    {"all break", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go")), CUT_CHAT(C_TEXT("c2", "-")), {READ, RST, END}, "go-", 1, 1, "stream_truncated", NULL},
    {"one that begins anew is not believed", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", LONG)), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c2", "The quick bro") C_TEXT("c2", "wn fox jumps over") C_STOP("c2") DONE), LAST_CHUNK, END}, GO_ON, LONG "on", 1, 1, NULL, NULL},
    {"one that repeats all of a short one", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "A short one. ")), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c2", "A short one. And") C_STOP("c2") DONE), LAST_CHUNK, END}, GO_ON, "A short one. on", 1, 1, NULL, NULL},
    {"one that begins alike by chance", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", LONG)), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c2", "The q") C_TEXT("c2", "ueen.") C_STOP("c2") DONE), LAST_CHUNK, END}, GO_ON, LONG "The queen.", 1, 0, NULL, NULL},
    {"a tool call in the continuation", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go")), {READ, SEND(SSE_HEAD), CHUNK(C("c2", "\"tool_calls\":[{\"index\":0}]", "null") C_STOP("c2") DONE), LAST_CHUNK, END}, GO_ON, "goon", 1, 1, NULL, NULL},
    {"a tool call in the beginning", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go") C("c1", "\"tool_calls\":[{\"index\":0}]", "null")), GO_ON, GO_ON, "go", 0, 0, "stream_truncated", NULL},
    {"tools in the request", ON, ASK_MORE(",\"tools\":[]"), CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "go", 0, 0, "stream_truncated", NULL},
    {"structured output", ON, ASK_MORE(",\"response_format\":{\"type\":\"json_object\"}"), CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "go", 0, 0, "stream_truncated", NULL},
    {"two choices", ON, ASK_MORE(",\"n\":2"), CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "go", 0, 0, "stream_truncated", NULL},
    {"one choice, and tools that are null", ON, ASK_MORE(",\"n\":1,\"tools\":null"), CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "goon", 1, 0, NULL, NULL},
    {"the client began the answer itself", ON, "{\"model\":\"m4\",\"models\":[\"m2\"],\"stream\":true,\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "go", 0, 0, "stream_truncated", NULL},
    {"a provider that does not go on is left out", ON, "{\"model\":\"m4\",\"models\":[\"m1\",\"m3\"],\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", CUT_CHAT(C_TEXT("c1", "go")), GO_ON, GO_ON, "goon", 0, 1, NULL, NULL},
    {"an error event in mid-stream", ON, ASK_MORE(""), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c1", "go")), WAIT(5), CHUNK(C_TEXT("c1", "-") "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"), LAST_CHUNK, END}, GO_ON, GO_ON, "go-on", 1, 0, NULL, "\"content\":\"go-\"}]"},
    {"a stall", ON, ASK_MORE(""), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c1", "go")), END}, GO_ON, GO_ON, "goon", 1, 0, NULL, NULL},
    {"no [DONE] and no end behind the finish of a continuation", ON, ASK_MORE(""), CUT_CHAT(C_TEXT("c1", "go")), {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c2", "on") C_STOP("c2")), END}, GO_ON, "goon", 1, 0, NULL, NULL},
    {"caps and usage count the whole", ON, ASK_MORE(",\"max_tokens\":9,\"stream_options\":{\"include_usage\":true}"), CUT_CHAT(C_TEXT("c1", "g") C_TEXT("c1", "o")),
     {READ, SEND(SSE_HEAD), CHUNK(C_TEXT("c2", "on") C_STOP("c2") "data: {\"id\":\"c2\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":4,\"total_tokens\":12}}\n\n" DONE), LAST_CHUNK, END}, GO_ON, "goon", 1, 0, NULL, "\"max_tokens\":7"},
};

static void tell(const void *row)
{
    const struct story *s = row;
    static char text[1024];
    struct answer a;
    struct client *c;

    flow_open("\"streamIdleTimeout\":\"10s\"", s->router);
    provider_plays(4, s->one);
    provider_plays(2, s->two);
    provider_plays(3, s->three);
    c = flow_talk(CHAT, s->ask, &a);
    EXPECT_INT(a.status, 200);
    (void)text_in(a.body, "\"content\":\"", text);
    EXPECT_STR(slice_str(text), s->text);
    EXPECT_INT(provider(4)->nrequests, 1);
    EXPECT_INT(provider(2)->nrequests, s->two_asked);
    EXPECT_INT(provider(3)->nrequests, s->three_asked);
    EXPECT_INT(provider(1)->nrequests, 0);
    EXPECT_INT(count(a.body, "[DONE]"), s->error ? 0 : 1);
    EXPECT_INT(a.complete, !s->error);
    if (s->error) {
        EXPECT_INT(count(a.body, s->error), 2); /* code and weir.code of one event */
        EXPECT(slice_find(flow_log_last(), SLICE("\"end\":\"cut\"")) >= 0);
    } else {
        EXPECT_INT(count(a.body, "\"error\""), 0);
    }
    if (s->two_saw)
        EXPECT(provider_saw(2, 0, s->two_saw));
    if (s->three_asked)
        EXPECT(provider_saw(3, 0, "\"partial\":true}]"));
    if (strstr(s->ask, "include_usage"))
        EXPECT(answer_has(&a, "\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6,\"total_tokens\":14}}"));
    else
        EXPECT_INT(count(a.body, "\"usage\""), 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

/* A client that leaves while nothing runs but the wait for a continuation; and the drain's deadline. */
static void left_alone(const void *row)
{
    static const struct act one[] = CUT_CHAT(C_TEXT("c1", "go"));
    static const struct act two[] = {READ, END};
    const bool *cut = row;
    struct answer a;
    struct client *c;

    flow_open("", ON);
    provider_plays(4, one);
    provider_plays(2, two);
    c = client_open();
    flow_ask(c, CHAT, ASK);
    flow_pass(100);
    EXPECT_INT(provider(2)->nrequests, 1);
    if (*cut) {
        flow_cut();
        EXPECT(flow_answer(c, &a, 1000) || client_ended(c));
        EXPECT(answer_has(&a, "\"error\""));
        EXPECT(!a.complete);
    } else {
        client_fin(c);
        flow_settle();
        EXPECT(slice_find(flow_log_last(), SLICE("client_gone")) >= 0);
    }
    flow_pass(2000);
    EXPECT_INT(providers_open(), 0);
    EXPECT_INT(flow_log_lines(), 1);
    client_close(c);
}

int main(void)
{
    static struct cut cuts[4096];
    static const bool no = false, yes = true;
    size_t n = 0;

    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++)
        for (size_t at = 1; at < strlen(sides[s].first); at++) {
            cuts[n] = (struct cut){&sides[s], at, at % 2};
            flow_add_quick("cut_anywhere", cut_anywhere, &cuts[n++]);
        }
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
        flow_add(stories[i].name, tell, &stories[i]);
    flow_add("left_alone, by the client", left_alone, &no);
    flow_add("left_alone, by the process", left_alone, &yes);
    return flow_main();
}
