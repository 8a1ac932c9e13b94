/* Clients and providers of the fake world: see peers.h. A provider reads requests with a reader of its own, so that the gate's output is
 * judged by other code than wrote it. */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 256, IN_MOST = 65536 /* bytes a provider puts into the gate's socket unread */ };

static struct provider_end ends[PROVIDERS];
static struct client *clients[CLIENTS_MAX];
static const struct act silence[] = {END};

/* ---- Providers ---- */

struct provider_end *provider(int n)
{
    return &ends[n];
}

void provider_plays(int n, const struct act *script)
{
    ends[n].script = script;
}

void provider_plays_first(int n, unsigned connection, const struct act *script)
{
    ends[n].own[connection] = script;
}

void provider_is(int n, enum reach reach)
{
    ends[n].reach = reach;
}

struct slice provider_request(int n, unsigned k)
{
    return k < ends[n].nrequests ? ends[n].request[k] : slice_make(NULL, 0);
}

struct slice provider_body(int n, unsigned k)
{
    struct slice r = provider_request(n, k);
    ptrdiff_t at = slice_find(r, SLICE("\r\n\r\n"));

    return at < 0 ? slice_make(NULL, 0) : slice_from(r, (size_t)at + 4);
}

bool provider_saw(int n, unsigned k, const char *text)
{
    return slice_find(provider_request(n, k), slice_str(text)) >= 0;
}

unsigned providers_open(void)
{
    unsigned n = 0;

    for (int i = 0; i < PROVIDERS; i++)
        for (unsigned k = 0; k < ends[i].nconns; k++)
            n += ends[i].conn[k]->peer.sock != NULL && ends[i].conn[k]->peer.sock->connected;
    return n;
}

struct peer *peers_connect(uint32_t ip, uint16_t port, int64_t *ms, int *error)
{
    uint32_t n = ip - 0x0A000000;
    struct provider_end *e = n < PROVIDERS ? &ends[n] : NULL;
    struct pconn *c;

    *ms = fake.now_ms;
    *error = 0;
    if (!e || port != 80 || e->nconns == CONNS_MAX) {
        *error = ECONNREFUSED;
        return NULL;
    }
    switch (e->reach) {
    case REACH_REFUSED:
        *error = ECONNREFUSED;
        return NULL;
    case REACH_UNREACHABLE:
        *error = EHOSTUNREACH;
        return NULL;
    case REACH_BLACK_HOLE:
        *ms = -1;
        return NULL;
    case REACH_SLOW:
        *ms += 3000;
        break;
    case REACH_UP:
        break;
    }
    c = calloc(1, sizeof *c);
    if (!c)
        abort();
    fake_peer_init(&c->peer);
    c->script = e->nconns < 8 && e->own[e->nconns] ? e->own[e->nconns] : e->script ? e->script : silence;
    c->opened_ms = fake.now_ms;
    e->conn[e->nconns++] = c;
    return &c->peer;
}

/* Length of the first whole request in s; 0: not all there. Only what the gate may send: a head with an exact content-length. */
static size_t whole_request(struct slice s)
{
    ptrdiff_t head = slice_find(s, SLICE("\r\n\r\n")), at;
    uint64_t length = 0;
    struct slice value;

    if (head < 0)
        return 0;
    at = slice_find_nocase(slice_first(s, (size_t)head + 2), SLICE("\r\ncontent-length: "));
    if (at >= 0) {
        value = slice_from(s, (size_t)at + 18);
        value = slice_first(value, (size_t)slice_find_char(value, '\r'));
        if (!slice_u64(value, &length))
            return 0;
    }
    return s.n >= (size_t)head + 4 + length ? (size_t)head + 4 + (size_t)length : 0;
}

static void keep_request(struct provider_end *e, struct pconn *c, struct slice s)
{
    char *copy;

    if (e->nrequests == REQUESTS_MAX)
        abort();
    copy = malloc(s.n + 1);
    if (!copy)
        abort();
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    e->request_ms[e->nrequests] = fake.now_ms;
    c->last = e->request[e->nrequests++] = slice_make(copy, s.n);
}

/* A timed step: true when its time has come. */
static bool time_has_come(struct pconn *c, int ms)
{
    if (!c->waiting) {
        c->waiting = true;
        c->due_ms = fake.now_ms + ms;
    }
    if (fake.now_ms < c->due_ms)
        return false;
    c->waiting = false;
    return true;
}

static size_t room(const struct pconn *c)
{
    size_t used = c->peer.sock ? bytes_len(&c->peer.sock->in) : 0;

    return used < IN_MOST ? IN_MOST - used : 0;
}

/* Sends the rest of a text; true when all of it has left. */
static bool send_text(struct pconn *c, struct slice text, size_t piece, int ms)
{
    while (c->done_in_act < text.n) {
        size_t n = text.n - c->done_in_act;

        if (!c->peer.sock)
            return true;
        n = n > room(c) ? room(c) : n;
        n = piece && n > piece ? piece : n;
        if (!n)
            return false;
        if (piece && ms && c->done_in_act && !time_has_come(c, ms))
            return false;
        fake_deliver(&c->peer, text.p + c->done_in_act, n);
        c->done_in_act += n;
        c->sent += n;
        if (piece && !ms)
            return c->done_in_act == text.n; /* one piece each time the gate has looked */
    }
    return true;
}

static bool send_chunk(struct pconn *c, const struct act *s)
{
    char text[70000];
    int n = snprintf(text, sizeof text, "%zx\r\n%.*s\r\n", s->n, (int)s->n, s->text);

    return send_text(c, slice_make(text, (size_t)n), s->piece, s->ms);
}

static bool send_answer(struct pconn *c, const struct act *s)
{
    static char text[1 << 21];
    int n = snprintf(text, 4096, "HTTP/1.1 %scontent-length: %zu\r\n\r\n", s->head, s->n);

    memcpy(text + n, s->text, s->n);
    return send_text(c, slice_make(text, (size_t)n + s->n), s->piece, s->ms);
}

static struct slice tag_of(struct slice request)
{
    ptrdiff_t at = slice_find(request, SLICE("\"tag\":\"")), end;
    struct slice tag = at < 0 ? slice_make(NULL, 0) : slice_from(request, (size_t)at + 7);

    end = slice_find_char(tag, '"');
    return end < 0 ? slice_make(NULL, 0) : slice_first(tag, (size_t)end);
}

static bool echo(struct pconn *c, bool stream)
{
    struct slice tag = tag_of(c->last);
    char text[2048], event[512];
    int n;

    if (stream) {
        int m = snprintf(event, sizeof event, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%.*s\"}}]}\n\n", (int)tag.n, tag.p);

        n = snprintf(text, sizeof text,
                     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n"
                     "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
                     (unsigned)m, event, (unsigned)m, event);
    } else {
        int m = snprintf(event, sizeof event, "{\"choices\":[{\"message\":{\"content\":\"%.*s\"}}]}", (int)tag.n, tag.p);

        n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", m, event);
    }
    return send_text(c, slice_make(text, (size_t)n), 0, 0);
}

static bool flood(struct pconn *c, size_t total)
{
    static char letters[4096];

    for (size_t i = 0; i < sizeof letters; i++)
        letters[i] = (char)('a' + (c->done_in_act + i) % 26);
    while (c->done_in_act < total) {
        size_t n = total - c->done_in_act;

        n = n > room(c) ? room(c) : n;
        n = n > 26 * 150 ? 26 * 150 : n; /* the alphabet goes on unbroken */
        if (!n || !c->peer.sock)
            return !c->peer.sock;
        for (size_t i = 0; i < n; i++)
            letters[i] = (char)('a' + (c->done_in_act + i) % 26);
        fake_deliver(&c->peer, letters, n);
        c->done_in_act += n;
        c->sent += n;
    }
    return true;
}

static bool read_request(struct provider_end *e, struct pconn *c)
{
    struct slice rest = slice_from(slice_make(c->peer.got.p, c->peer.got.n), c->read_off);
    size_t n = whole_request(rest);

    if (!n)
        return false;
    keep_request(e, c, slice_first(rest, n));
    c->read_off += n;
    c->requests++;
    return true;
}

/* One step. True: it is over. */
static bool play_act(struct provider_end *e, struct pconn *c)
{
    const struct act *s = &c->script[c->at];

    switch (s->kind) {
    case ACT_END:
        return false;
    case ACT_READ:
        return read_request(e, c);
    case ACT_READ_SOME:
        return c->peer.got.n >= s->n;
    case ACT_SEND:
        return send_text(c, slice_make(s->text, s->n), s->piece, s->ms);
    case ACT_CHUNK:
        return send_chunk(c, s);
    case ACT_ANSWER:
        return send_answer(c, s);
    case ACT_ECHO:
        return echo(c, s->piece != 0);
    case ACT_FLOOD:
        return flood(c, s->n);
    case ACT_WAIT:
        return time_has_come(c, s->ms);
    case ACT_FIN:
        fake_deliver_fin(&c->peer);
        return true;
    case ACT_RST:
        fake_deliver_rst(&c->peer);
        return true;
    case ACT_WINDOW:
        c->peer.window = s->n;
        c->holds = true;
        return true;
    case ACT_AGAIN:
        c->at = 0;
        c->done_in_act = 0;
        return false;
    }
    return false;
}

static bool play_conn(struct provider_end *e, struct pconn *c)
{
    bool moved = false;

    if (!c->peer.sock || !c->peer.sock->connected)
        return false;
    if (!c->holds)
        moved = fake_take(&c->peer, 0) > 0;
    while (play_act(e, c)) {
        c->at++;
        c->done_in_act = 0;
        moved = true;
    }
    return moved;
}

/* ---- Clients ---- */

struct client *client_open(void)
{
    return client_open_at(0);
}

struct client *client_open_at(unsigned nth)
{
    struct client *c = calloc(1, sizeof *c);
    int i = 0;

    while (i < CLIENTS_MAX && clients[i])
        i++;
    if (!c || i == CLIENTS_MAX)
        abort();
    clients[i] = c;
    fake_peer_init(&c->peer);
    c->reading = true;
    c->open = fake_knock_at(&c->peer, nth);
    return c;
}

void client_send_n(struct client *c, const void *p, size_t n)
{
    fake_deliver(&c->peer, p, n);
}

void client_send(struct client *c, const char *text)
{
    fake_deliver(&c->peer, text, strlen(text));
}

void client_fin(struct client *c)
{
    fake_deliver_fin(&c->peer);
}

void client_rst(struct client *c)
{
    fake_deliver_rst(&c->peer);
}

bool client_ended(const struct client *c)
{
    return c->peer.gate_fin;
}

void client_close(struct client *c)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i] == c)
            clients[i] = NULL;
    fake_peer_drop(&c->peer);
    free(c);
}

/* ---- All of them ---- */

void peers_reset(void)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i])
            client_close(clients[i]);
    for (int i = 0; i < PROVIDERS; i++) {
        for (unsigned k = 0; k < ends[i].nconns; k++) {
            fake_peer_drop(&ends[i].conn[k]->peer);
            free(ends[i].conn[k]);
        }
        for (unsigned k = 0; k < ends[i].nrequests; k++) {
            union {
                const char *in;
                char *out;
            } p = {.in = ends[i].request[k].p};

            free(p.out);
        }
        ends[i] = (struct provider_end){0};
    }
}

bool peers_play(void)
{
    bool moved = false;

    for (int i = 0; i < PROVIDERS; i++)
        for (unsigned k = 0; k < ends[i].nconns; k++)
            moved = play_conn(&ends[i], ends[i].conn[k]) || moved;
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i] && clients[i]->reading)
            moved = fake_take(&clients[i]->peer, 0) > 0 || moved;
    return moved;
}

int64_t peers_due_ms(void)
{
    int64_t due = -1;

    for (int i = 0; i < PROVIDERS; i++)
        for (unsigned k = 0; k < ends[i].nconns; k++) {
            const struct pconn *c = ends[i].conn[k];

            if (c->peer.sock && c->waiting && (due < 0 || c->due_ms < due))
                due = c->due_ms;
            if (c->peer.sock && c->peer.sock->connecting && c->peer.sock->connect_ms > fake.now_ms &&
                (due < 0 || c->peer.sock->connect_ms < due))
                due = c->peer.sock->connect_ms;
        }
    return due;
}
