/* Many clients at once over few connections, with ends and resets at any moment (faults.md I-1, S-39): whatever a client gets is an answer to its own question. One seed is
 * one flow; the name says which, so that a failure can be run again. */
#include "flow.h"

#include <stdio.h>

enum { CLIENTS = 10, STEPS = 250 };

static uint64_t chance;

static unsigned dice(unsigned n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)(chance >> 33) % n;
}

struct talker {
    struct client *c;
    char tag[16], rest[512];
    size_t rest_n;
    bool asked;
};

static struct talker talker[CLIENTS];
static unsigned answered, tags;

static const struct act echo_plain[] = {READ, ECHO, AGAIN, END};
static const struct act echo_stream[] = {READ, WAIT(3), ECHO_STREAM, AGAIN, END};
static const struct act moody[] = {READ, ECHO, READ, FAIL("500 No", "{}"), READ, WAIT(20), ECHO, READ, RST, END};
static const struct act late[] = {READ, WAIT(40), ECHO, READ, FIN, END};

static void hang_up(struct talker *t)
{
    client_close(t->c);
    *t = (struct talker){0};
}

static void ask(struct talker *t)
{
    static const char *const models[] = {"\"m1\",\"models\":[\"m3\",\"m2\"]", "\"m2\",\"models\":[\"m1\"]", "\"m3\",\"models\":[\"m1\",\"m2\"]", "\"m2\",\"stream\":true"};
    char body[256];
    int n;

    if (!t->c)
        t->c = client_open();
    snprintf(t->tag, sizeof t->tag, "tag%05u", ++tags);
    n = snprintf(body, sizeof body, "{\"model\":%s,\"tag\":\"%s\"}", models[dice(4)], t->tag);
    n = snprintf(t->rest, sizeof t->rest,
                 "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx-api-key: token-of-the-app\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", n, body);
    t->rest_n = (size_t)n;
    t->asked = true;
}

static void send_some(struct talker *t)
{
    size_t n = dice(3) ? t->rest_n : t->rest_n / 2;

    client_send_n(t->c, t->rest, n);
    t->rest_n -= n;
    memmove(t->rest, t->rest + n, t->rest_n);
}

static void listen_to(struct talker *t)
{
    struct answer a;
    struct slice text;
    bool whole = flow_answer(t->c, &a, 0);

    text = slice_make(t->c->peer.got.p, t->c->peer.got.n);
    for (const char *p = text.p; p && (p = memmem(p, text.n - (size_t)(p - text.p), "tag0", 4)); p++)
        EXPECT(memcmp(p, t->tag, 8) == 0); /* nobody else's */
    if (!whole)
        return;
    if (a.status == 200) {
        EXPECT(answer_has(&a, t->tag));
        answered++;
    }
    if (client_ended(t->c)) {
        hang_up(t);
        return;
    }
    bytes_skip(&t->c->peer.got, bytes_len(&t->c->peer.got));
    t->c->peer.got.off = t->c->peer.got.n = t->c->read_off = 0;
    t->asked = false;
}

static void step(void)
{
    struct talker *t = &talker[dice(CLIENTS)];

    if (!t->asked)
        ask(t);
    switch (dice(12)) {
    case 0:
        if (t->c)
            hang_up(t);
        return;
    case 1:
        flow_pass((int64_t)dice(30));
        break;
    default:
        break;
    }
    if (t->rest_n)
        send_some(t);
    if (dice(3) == 0)
        flow_settle();
    if (t->c)
        listen_to(t);
}

static void everybody_gets_his_own(const void *row)
{
    static char limits[] = "\"maxConnections\":32,\"memory\":\"16MiB\"";

    chance = *(const uint64_t *)row * 0x9E3779B97F4A7C15u + 1;
    memset(talker, 0, sizeof talker);
    answered = tags = 0;
    flow_open_more("\"perRequestTimeout\":\"30s\"", "", limits);
    fake.recv_most = dice(2) ? 0 : 1 + dice(60);
    fake.send_most = dice(2) ? 0 : 1 + dice(60);
    fake.stutter = dice(2);
    provider_plays(1, moody);
    provider_plays(2, echo_stream);
    provider_plays(3, late);
    provider_plays_first(2, 0, echo_plain);
    for (int i = 0; i < STEPS; i++)
        step();
    for (int i = 0; i < CLIENTS; i++)
        if (talker[i].c && talker[i].asked) { /* all who waited to the end are answered one way or another */
            client_send_n(talker[i].c, talker[i].rest, talker[i].rest_n);
            flow_pass(200);
            listen_to(&talker[i]);
        }
    EXPECT(answered > STEPS / 20);
    for (int i = 0; i < CLIENTS; i++)
        if (talker[i].c)
            hang_up(&talker[i]);
}

int main(void)
{
    static uint64_t seed[120];
    static char name[120][24];

    for (size_t i = 0; i < sizeof seed / sizeof *seed; i++) {
        seed[i] = i;
        snprintf(name[i], sizeof name[i], "seed %zu", i);
        flow_add_quick(name[i], everybody_gets_his_own, &seed[i]);
    }
    return flow_main();
}
