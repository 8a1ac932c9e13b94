/* Whole conversations with the gate in the fake world of test/flow: the bytes choose what clients and providers say and when, how calls split, and
 * which of them fail. Every request ends in one way, clients get answers and nothing else, and at the end nothing is left. */
#include "flow.h"
#include "fuzz.h"

enum { CLIENTS = 3, ACTS = 12, MOVES_MOST = 60, LINES_MOST = 64 };

#define MODELS "{\"model\":\"m1\",\"models\":[\"m2\",\"m3\"]"
static const char *const bodies[] = {MODELS "}", MODELS ",\"stream\":true}", "{\"model\":\"m2\",\"stream\":true}", "{\"model\":\"m1\"}",
                                     "{\"model\":\"m5\"}", "{}"};
static const char *const paths[] = {CHAT, CHAT, "/v1/messages", "/v1/responses", "/v1/audio/speech"};
static const struct act known[] = {
    READ, PLAIN("{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"), ECHO, ECHO_STREAM,
    SEND(SSE_HEAD_CLOSE ROLE), SEND(DELTA("hi")), SEND(FINISH DONE),
    SEND(SSE_HEAD), CHUNK(ROLE DELTA("a")), CHUNK(FINISH DONE), LAST_CHUNK,
    FAIL("429 No", "{\"error\":{\"message\":\"slow\"}}"), FAIL("500 No", "{}"), CHUNK("data: {\"error\":{\"code\":500}}\n\n"),
    FIN, RST, WAIT(7), WAIT(40000), WINDOW(3), FLOOD(30000), AGAIN, READ_SOME(20), SEND("HTTP/1.1 100 X\r\n\r\n"),
    DRIP(SSE_HEAD_CLOSE DELTA("slow") FINISH DONE, 9, 20), CHUNK(COMMENT),
    SEND("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\""), DRIP_CHUNK(DELTA("x"), 5, 300)};
static struct act script[3][ACTS + 1];
static struct client *client[CLIENTS];

/* Bytes below the number of known acts are those; others send as many of the bytes that follow. */
static void write_script(struct act *to, struct slice *in)
{
    unsigned n = fuzz_byte(in) % ACTS;

    memset(to, 0, sizeof script[0]); /* ends with ACT_END, which is 0 */
    to[0] = (struct act)READ;
    for (unsigned i = 1; i < n; i++) {
        unsigned what = fuzz_byte(in);
        struct slice raw = slice_first(*in, what & 63);

        to[i] = what < sizeof known / sizeof *known ? known[what] : (struct act){.kind = what & 64 ? ACT_CHUNK : ACT_SEND, .text = raw.p, .n = raw.n};
        *in = what < sizeof known / sizeof *known ? *in : slice_from(*in, raw.n);
        if (to[i].kind == ACT_AGAIN)
            to[i] = i < 2 ? (struct act)END : to[i]; /* a script that only repeats itself never stops */
    }
}

static void move(struct slice *in)
{
    unsigned what = fuzz_byte(in), i = what / 16 % CLIENTS;
    struct slice raw;

    if (!client[i])
        client[i] = client_open();
    switch (what % 16) {
    case 0: case 1: case 2:
        flow_ask(client[i], paths[fuzz_byte(in) % 5], bodies[what / 48 % 6]);
        break;
    case 3: case 4: /* says what it likes */
        raw = slice_first(*in, fuzz_byte(in));
        client_send_n(client[i], raw.p, raw.n);
        *in = slice_from(*in, raw.n);
        break;
    case 5:
        client_fin(client[i]);
        break;
    case 6:
        client_rst(client[i]);
        break;
    case 7:
        client_close(client[i]);
        client[i] = NULL;
        break;
    case 8:
        client[i]->reading = !client[i]->reading;
        break;
    case 9:
        provider_is(1 + (int)(what / 16 % 3), (enum reach)(fuzz_byte(in) % 5));
        break;
    case 10: case 11: case 12:
        flow_pass(1 << (fuzz_byte(in) % 17));
        break;
    default:
        flow_settle();
    }
}

/* A client that never asked for anything but what the gate says: heads, bodies, and then the next. */
static void check_client(struct client *c)
{
    struct slice got = slice_from(slice_make(c->peer.got.p, c->peer.got.n), c->peer.got.off);
    struct answer a;

    while (got.n) {
        bool head = answer_read(got, client_ended(c) || c->peer.gate_rst, &a);

        FUZZ_CHECK(slice_starts(got, slice_first(SLICE("HTTP/1.1 "), got.n)));
        FUZZ_CHECK(!head || (a.status >= 100 && a.status <= 599 && a.length <= got.n));
        if (!head || !a.complete || a.length == 0)
            return;
        got = slice_from(got, a.length);
    }
}

/* No request has two endings. */
static void check_log(void)
{
    static const char mark[] = "\"msg\":\"request\",\"requestId\":\"";
    struct slice id[LINES_MOST], rest;
    unsigned n = 0, lines = flow_log_lines();

    rest = slice_make(fake.log.p, fake.log.n);
    for (ptrdiff_t at; n < LINES_MOST && (at = slice_find(rest, SLICE("\"msg\":\"request\",\"requestId\":\""))) >= 0; n++) {
        rest = slice_from(rest, (size_t)at + sizeof mark - 1);
        id[n] = slice_first(rest, (size_t)slice_find_char(rest, '"'));
        for (unsigned k = 0; k < n; k++)
            FUZZ_CHECK(!slice_eq(id[k], id[n]));
    }
    FUZZ_CHECK(n == LINES_MOST || n == lines);
}

static void run(const void *row)
{
    struct slice in = *(const struct slice *)row;
    unsigned how = fuzz_byte(&in), often = fuzz_byte(&in), nth = fuzz_byte(&in);

    for (int i = 0; i < 3; i++)
        write_script(script[i], &in);
    flow_open(how & 1 ? "\"perRequestTimeout\":\"20s\",\"totalTimeout\":\"60s\",\"streamHeartbeat\":\"1s\"" : "", "");
    for (int i = 0; i < 3; i++)
        provider_plays(i + 1, script[i]);
    fake.recv_most = how & 2 ? 1 + often % 64 : 0;
    fake.send_most = how & 4 ? 1 + often / 4 : 0;
    fake.stutter = how & 8;
    flow_fail(how & 16 ? nth : 0, how & 32 ? nth : 0, how & 64);
    for (unsigned i = 0; i < MOVES_MOST && in.n; i++)
        move(&in);
    flow_pass(3600000);
    for (int i = 0; i < CLIENTS; i++)
        if (client[i]) {
            check_client(client[i]);
            client_close(client[i]);
            client[i] = NULL;
        }
    flow_pass(600000);
    FUZZ_CHECK(flow_busy() == 0);
    check_log();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);

    FUZZ_CHECK(flow_once(run, &in));
    return 0;
}
