/* The clients and the providers of the soak, in one process, so that both sides of every request are known at once: a client asks with a tag that
 * no other request has; a provider puts the tag, the number of the attempt and a running number into everything it says; what a client gets
 * is checked against what was said to its request and to nobody else's.
 *
 *   soak -g GATEWAY_PORT -u PORT,PORT,... -n REQUESTS -c CLIENTS -s SEED   standard input: the gateway's log
 *
 * One mark is TAG<16 hex: the request>.<2 hex: attempt>#<4 hex: running number, with 8000 set in the last one>. Each breach of an
 * invariant (faults.md part 5) is printed with the request's history; the last line is one of JSON with what was counted. */
#include "../bench/rig/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 512, SHARED = 1 << 18, OUT_MAX = 1 << 18, PEERS_MAX = 1 << 14,
    PROVIDERS_MAX = 8, KEYS = 3, ATTEMPTS = 64, PAST = 16, IDS = 1 << 22,
    CLIENT_LIMIT_MS = 20000, /* totalTimeout is 8 s and no stream of ours takes longer than that */
    GONE_MS = 1000,          /* an attempt may still begin for so long after its client left: its connection may wait to be accepted, with the request and the end in it */
    ASKS_A_TICK = 20,        /* nobody measures how a thousand connections are opened in one millisecond */
    AWAKE_MS = 20,           /* a gateway that is silent for longer was not given the processor: such time does not count there */
    MARK = 3 + 16 + 1 + 2 + 1 + 4, LAST = 0x8000,
    BREACHES_SHOWN = 30,
};

/* What becomes of an attempt: how it was meant, for a plain answer or a stream. */
enum worth { GOOD, FAIL, LATE };
enum fate {
    F_GOOD, F_GOOD_CLOSE, F_GOOD_INTERIM, F_GOOD_EXTRA, F_GOOD_STALE,
    F_429, F_500, F_503, F_401, F_402, F_400, F_404, F_302, F_204, F_RST, F_FIN, F_HALF_HEAD, F_BAD_HEAD, F_CUT_PLAIN, F_SLOW_HEAD,
    F_ERROR_FIRST, F_ROLE_FIN, F_PINGS_FIN, F_DONE_FIRST,
    F_LATE_FIN, F_LATE_RST, F_LATE_ERROR, F_LATE_HALF, F_LATE_END, F_LATE_STALL,
    FATES
};
static const struct {
    const char *name;
    enum worth worth;
    char only; /* s: of streams, p: of plain answers */
    int weight; /* among those of its worth */
} fates[FATES] = {
    [F_GOOD] = {"good", GOOD, 0, 600}, [F_GOOD_CLOSE] = {"good, closes", GOOD, 0, 60}, [F_GOOD_INTERIM] = {"good after 1xx", GOOD, 0, 30},
    [F_GOOD_EXTRA] = {"good and more bytes", GOOD, 0, 30}, [F_GOOD_STALE] = {"good, closes when idle", GOOD, 0, 100},
    [F_429] = {"429", FAIL, 0, 100}, [F_500] = {"500", FAIL, 0, 100}, [F_503] = {"503", FAIL, 0, 60}, [F_401] = {"401", FAIL, 0, 50},
    [F_402] = {"402", FAIL, 0, 30}, [F_400] = {"400", FAIL, 0, 50}, [F_404] = {"404", FAIL, 0, 50}, [F_302] = {"302", FAIL, 0, 20},
    [F_204] = {"204", FAIL, 0, 20}, [F_RST] = {"reset", FAIL, 0, 60}, [F_FIN] = {"end without a byte", FAIL, 0, 60},
    [F_HALF_HEAD] = {"half a head", FAIL, 0, 40}, [F_BAD_HEAD] = {"no HTTP", FAIL, 0, 40}, [F_CUT_PLAIN] = {"cut body", FAIL, 'p', 60},
    [F_SLOW_HEAD] = {"too late", FAIL, 0, 1}, [F_ERROR_FIRST] = {"error event first", FAIL, 's', 80}, [F_ROLE_FIN] = {"role, then end", FAIL, 's', 80},
    [F_PINGS_FIN] = {"pings, then end", FAIL, 's', 40}, [F_DONE_FIRST] = {"terminal event first", FAIL, 's', 20},
    [F_LATE_FIN] = {"cut by an end", LATE, 's', 50}, [F_LATE_RST] = {"cut by a reset", LATE, 's', 50}, [F_LATE_ERROR] = {"late error event", LATE, 's', 50},
    [F_LATE_HALF] = {"cut within an event", LATE, 's', 50}, [F_LATE_END] = {"proper end, no terminal event", LATE, 's', 50},
    [F_LATE_STALL] = {"stall", LATE, 's', 1},
};

enum surface { CHAT, RESPONSES, MESSAGES, SURFACES };
static const char *const path_of[SURFACES] = {"/v1/chat/completions", "/v1/responses", "/v1/messages"};

/* ---- what is known of a request ---- */

struct attempt {
    unsigned char fate, provider, key, silent; /* silent: the connection was used before, and nothing was said on it: may be repeated */
};

struct request {
    uint64_t tag, ended_awake_ns;
    unsigned nattempts;
    enum { OPEN, ANSWERED, LEFT } end;
    bool doomed;
    struct attempt attempt[ATTEMPTS];
};

struct reader { /* of marks, over the borders of reads */
    char mark[MARK];
    int n;
    unsigned seen, attempt, secrets;
    int next;
    bool last, broken, mixed;
};

enum client_state { C_DOWN, C_SEND, C_READ, C_IDLE };
struct client {
    int fd;
    enum client_state state;
    enum surface surface;
    bool stream, chunked, error_event, terminal;
    char tail[32]; /* of the body, for words that lie across reads */
    size_t tail_n;
    char *out;
    size_t out_n, out_at, split_at;
    uint64_t asked_ns, leave_ns, rest_ns; /* leave: 0 never; rest: does not read until then */
    int leave_at_mark;                    /* -1: never */
    bool leave_by_reset;
    unsigned uses;
    struct request now, past[PAST];
    unsigned npast;
    struct reader marks;
    struct answer a;
};

struct peer {
    int fd;
    bool dead, used, playing, close_after, rst_after, stall;
    unsigned provider;
    char *in, *out;
    size_t in_n, in_cap, out_n, out_at, out_cap;
    /* the answer under way */
    enum fate fate;
    enum surface surface;
    bool stream, chunked;
    unsigned attempt, piece, pieces;
    uint64_t tag, due_ns, gap_ns;
};

static struct {
    unsigned gateway, port[PROVIDERS_MAX], nproviders;
    uint64_t requests, seed;
    size_t clients;
} want = {.clients = 1000, .requests = 100000, .seed = 1};

static struct {
    uint64_t asked, whole, cut, refused, left, attempts, reconnects, breaches, log_lines, log_other, status[600], fate[FATES], marks, bytes_in, stale, statuses_other;
    uint64_t probes, probe_slow_us;
} seen;

static int ep;
static char shared[SHARED];
static struct client *clients;
static struct peer *peers[PEERS_MAX];
static size_t npeers;
static struct peer *graves[PEERS_MAX];
static size_t ngraves;
static struct { int fd; } listeners[PROVIDERS_MAX];
static uint64_t now_ns, awake_ns; /* awake: how long the gateway was seen to work */
static int log_marker;

static uint64_t draw(void)
{
    static uint64_t x;
    if (!x)
        x = want.seed * 0x9E3779B97F4A7C15u + 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x * 0x2545F4914F6CDD1Du >> 16;
}

static bool chance(unsigned in_thousand)
{
    return draw() % 1000 < in_thousand;
}

/* ---- breaches ---- */

static void breach(const char *invariant, const struct request *r, const char *format, ...)
{
    va_list args;

    seen.breaches++;
    if (seen.breaches > BREACHES_SHOWN)
        return;
    printf("FAIL %s: ", invariant);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    if (r) {
        printf("; request %016llx%s:", (unsigned long long)r->tag, r->doomed ? " (doomed)" : "");
        for (unsigned i = 0; i < r->nattempts; i++)
            printf(" %u/%u %s%s;", r->attempt[i].provider, r->attempt[i].key, fates[r->attempt[i].fate].name, r->attempt[i].silent ? " (silent)" : "");
    }
    printf("\n");
    fflush(stdout);
}

/* ---- marks ---- */

static uint64_t hex(const char *p, int n)
{
    uint64_t v = 0;
    while (n--) {
        char c = *p++;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return UINT64_MAX;
        v = v * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return v;
}

static void take_mark(struct reader *m, uint64_t tag)
{
    uint64_t attempt = hex(m->mark + 20, 2), number = hex(m->mark + 23, 4);

    seen.marks++;
    if (hex(m->mark + 3, 16) != tag) {
        m->mixed = true;
        return;
    }
    if (m->mark[19] != '.' || m->mark[22] != '#' || attempt > 255 || number > 0xffff) {
        m->broken = true;
        return;
    }
    if (m->seen++ == 0)
        m->attempt = (unsigned)attempt;
    m->broken |= m->attempt != attempt || m->last || (number & 0x7fff) != (uint64_t)m->next; /* of one attempt, in order, each once */
    m->next++;
    m->last |= (number & LAST) != 0;
}

static void read_marks(struct reader *m, uint64_t tag, const char *p, size_t n)
{
    while (n) {
        if (m->n == 0) { /* the next T is where it begins */
            const char *t = memchr(p, 'T', n);
            if (!t)
                return;
            n -= (size_t)(t - p);
            p = t;
        }
        m->mark[m->n] = *p;
        if (m->n < 3 && *p != "TAG"[m->n]) {
            m->n = *p == 'T';
            m->mark[0] = 'T';
        } else if (++m->n == MARK) {
            take_mark(m, tag);
            m->n = 0;
        }
        p++;
        n--;
    }
}

/* ---- the gateway's log ---- */

static struct { uint64_t id; uint16_t status; uint8_t answered, logged; } *ids;
static char log_buf[1 << 20];
static size_t log_n;

static size_t id_slot(uint64_t id)
{
    size_t i = (id * 0x9E3779B97F4A7C15u) >> 42;
    while (ids[i].id && ids[i].id != id)
        i = (i + 1) % IDS;
    ids[i].id = id;
    return i;
}

static uint64_t id_of(const char *p, size_t n)
{
    return n >= 28 && !memcmp(p, "req_", 4) ? (hex(p + 4, 12) << 20 ^ hex(p + 16, 12)) | 1 : 0;
}

static const char *find(const char *p, size_t n, const char *what)
{
    return memmem(p, n, what, strlen(what));
}

static void log_line_in(const char *p, size_t n)
{
    const char *id = find(p, n, "\"requestId\":\""), *status = find(p, n, "\"status\":");

    if (find(p, n, "sk-soak-") || find(p, n, "weir-soak-token-") || find(p, n, "TAG"))
        breach("I-3", NULL, "a secret or a body in the log: %.*s", (int)(n > 300 ? 300 : n), p);
    if (!id || !find(p, n, "\"msg\":\"request\"")) {
        seen.log_other++;
        if (find(p, n, "\"level\":\"error\"") || find(p, n, "dropped"))
            breach("log", NULL, "%.*s", (int)(n > 300 ? 300 : n), p);
        return;
    }
    seen.log_lines++;
    size_t i = id_slot(id_of(id + 13, (size_t)(p + n - id - 13)));
    if (ids[i].logged++)
        breach("I-6", NULL, "two records of one request: %.*s", (int)(n > 300 ? 300 : n), p);
    if (status && ids[i].answered && ids[i].status != strtoul(status + 9, NULL, 10))
        breach("I-6", NULL, "the client saw %u: %.*s", ids[i].status, (int)(n > 300 ? 300 : n), p);
}

static void read_log(void)
{
    for (int rounds = 0; rounds < 8; rounds++) {
        ssize_t n = read(0, log_buf + log_n, sizeof log_buf - log_n);
        char *line = log_buf, *end;
        if (n <= 0)
            return;
        log_n += (size_t)n;
        while ((end = memchr(line, '\n', log_n - (size_t)(line - log_buf)))) {
            log_line_in(line, (size_t)(end - line));
            line = end + 1;
        }
        log_n -= (size_t)(line - log_buf);
        memmove(log_buf, line, log_n);
        if (log_n == sizeof log_buf)
            log_n = 0;
    }
}

/* ---- providers ---- */

static void say_n(struct peer *p, const char *bytes, size_t n)
{
    if (p->out_n + n > p->out_cap) {
        p->out_cap = (p->out_n + n) * 2;
        p->out = realloc(p->out, p->out_cap);
        if (!p->out)
            rig_die("memory");
    }
    memcpy(p->out + p->out_n, bytes, n);
    p->out_n += n;
}

__attribute__((format(printf, 2, 3))) static void say(struct peer *p, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        rig_die("text");
    say_n(p, text, (size_t)n);
}

/* As the body of an answer, in a chunk where it is chunked. */
__attribute__((format(printf, 2, 3))) static void body(struct peer *p, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        rig_die("text");
    if (p->chunked)
        say(p, "%x\r\n", (unsigned)n);
    say_n(p, text, (size_t)n);
    if (p->chunked)
        say_n(p, "\r\n", 2);
}

static void bury(struct peer *p)
{
    if (p->dead)
        return;
    p->dead = true;
    close(p->fd);
    graves[ngraves++] = p;
}

static void reset(struct peer *p)
{
    struct linger l = {1, 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    bury(p);
}

static void flush_peer(struct peer *p)
{
    while (p->out_at < p->out_n) {
        ssize_t n = send(p->fd, p->out + p->out_at, p->out_n - p->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            rig_watch(ep, EPOLL_CTL_MOD, p->fd, EPOLLIN | EPOLLOUT, p);
            return;
        }
        if (n <= 0) {
            bury(p);
            return;
        }
        p->out_at += (size_t)n;
        if (p->out_at == p->out_n)
            rig_watch(ep, EPOLL_CTL_MOD, p->fd, EPOLLIN, p);
    }
    p->out_at = p->out_n = 0;
}

static void mark_of(const struct peer *p, unsigned number, char out[MARK + 1])
{
    snprintf(out, MARK + 1, "TAG%016llx.%02x#%04x", (unsigned long long)p->tag, p->attempt & 0xff, number & 0xffff);
}

static void stream_open(struct peer *p)
{
    p->chunked = p->fate != F_GOOD_CLOSE && p->fate != F_LATE_FIN;
    say(p, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%s\r\n", p->chunked ? "transfer-encoding: chunked\r\n" : "connection: close\r\n");
    if (p->surface == CHAT)
        body(p, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    else if (p->surface == RESPONSES)
        body(p, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n");
    else
        body(p, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static void event_text(const struct peer *p, unsigned number, char *out, size_t cap)
{
    char mark[MARK + 1];
    mark_of(p, number, mark);
    if (p->surface == CHAT)
        snprintf(out, cap, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}\n\n", mark);
    else if (p->surface == RESPONSES)
        snprintf(out, cap, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"%s\"}\n\n", mark);
    else
        snprintf(out, cap, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", mark);
}

static void stream_close(struct peer *p)
{
    char mark[MARK + 1];
    mark_of(p, p->pieces | LAST, mark);
    if (p->surface == CHAT) {
        body(p, "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", mark);
        body(p, "data: [DONE]\n\n");
    } else if (p->surface == RESPONSES) {
        body(p, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"%s\",\"status\":\"completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n", mark);
    } else {
        body(p, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"x\":\"%s\"},\"usage\":{\"output_tokens\":7}}\n\n", mark);
        body(p, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }
}

static void error_event(struct peer *p)
{
    if (p->surface == CHAT)
        body(p, "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":500}}\n\n");
    else if (p->surface == RESPONSES)
        body(p, "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"overloaded\"}\n\n");
    else
        body(p, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n");
}

static void last_chunk(struct peer *p)
{
    if (p->chunked)
        say(p, "0\r\n\r\n");
}

static void plain_answer(struct peer *p)
{
    size_t cap = 1024 + p->pieces * (MARK + 1), n;
    char *text = rig_alloc(cap), mark[MARK + 1];
    const char *head = p->surface == CHAT ? "{\"id\":\"c\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
        : p->surface == RESPONSES ? "{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\""
        : "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"";
    const char *tail = p->surface == CHAT ? "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12},"
        : p->surface == RESPONSES ? "\"}]}],\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12},"
        : "\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7},";
    n = (size_t)snprintf(text, cap, "%s", head);
    for (unsigned i = 0; i < p->pieces; i++) {
        mark_of(p, i, mark);
        n += (size_t)snprintf(text + n, cap - n, "%s ", mark);
    }
    mark_of(p, p->pieces | LAST, mark);
    n += (size_t)snprintf(text + n, cap - n, "%s\"last\":\"%s\"}", tail, mark);
    if (p->fate == F_GOOD_INTERIM)
        say(p, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
    if (p->fate != F_CUT_PLAIN && draw() % 4 == 0) { /* chunked, in a few pieces */
        say(p, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n%s\r\n", p->fate == F_GOOD_CLOSE ? "connection: close\r\n" : "");
        for (size_t at = 0; at < n;) {
            size_t take = 1 + draw() % (n < 400 ? n : n / 3);
            take = take > n - at ? n - at : take;
            say(p, "%zx\r\n", take);
            say_n(p, text + at, take);
            say(p, "\r\n");
            at += take;
        }
        say(p, "0\r\n\r\n");
    } else {
        say(p, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n%s\r\n", n, p->fate == F_GOOD_CLOSE ? "connection: close\r\n" : "");
        say_n(p, text, p->fate == F_CUT_PLAIN ? draw() % n : n);
    }
    free(text);
    p->close_after = p->fate == F_GOOD_CLOSE || p->fate == F_CUT_PLAIN;
}

/* A connection that is idle again, or has to go. */
static void over(struct peer *p)
{
    p->playing = false;
    p->used = true;
    if (p->fate == F_GOOD_EXTRA)
        say(p, "HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\nTAGffffffffffffffff.00#0000 !!!");
    flush_peer(p);
    if (!p->dead && p->rst_after)
        reset(p);
    else if (!p->dead && p->close_after && p->out_at == p->out_n)
        bury(p);
    else if (!p->dead && p->fate == F_GOOD_STALE)
        p->due_ns = now_ns + draw() % 20000000; /* closes it while idle, perhaps just when the next request comes */
}

static void refusal(struct peer *p, int status, const char *text, const char *more)
{
    char words[256];
    int n = p->surface == MESSAGES ? snprintf(words, sizeof words, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"no\"}}", text)
                                   : snprintf(words, sizeof words, "{\"error\":{\"message\":\"no\",\"type\":\"%s\",\"code\":null}}", text);
    say(p, "HTTP/1.1 %d No\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s", status, more, n, words);
    over(p);
}

/* What is due of a peer's answer. */
static void play(struct peer *p)
{
    char text[512];

    p->due_ns = 0;
    if (!p->playing) { /* F_GOOD_STALE */
        seen.stale++;
        bury(p);
        return;
    }
    switch (p->fate) {
    case F_429: refusal(p, 429, "rate_limit_error", draw() % 2 ? "retry-after: 1\r\n" : ""); return;
    case F_500: refusal(p, 500, "api_error", ""); return;
    case F_503: refusal(p, 503, "overloaded_error", ""); return;
    case F_401: refusal(p, 401, "authentication_error", ""); return;
    case F_402: refusal(p, 402, "billing_error", ""); return;
    case F_400: refusal(p, 400, "invalid_request_error", ""); return;
    case F_404: refusal(p, 404, "not_found_error", ""); return;
    case F_302: refusal(p, 302, "moved", "location: http://127.0.0.1:1/\r\n"); return;
    case F_204: say(p, "HTTP/1.1 204 No Content\r\n\r\n"); over(p); return;
    case F_RST: reset(p); return;
    case F_FIN: bury(p); return;
    case F_HALF_HEAD: say(p, "HTTP/1.1 200 OK\r\ncontent-type: app"); p->close_after = true; over(p); return;
    case F_BAD_HEAD: say(p, "HTTP/1.1 2000 OK\r\ncontent-length: 3\r\n\r\nabc"); over(p); return;
    case F_SLOW_HEAD: bury(p); return;
    case F_GOOD: case F_GOOD_CLOSE: case F_GOOD_INTERIM: case F_GOOD_EXTRA: case F_GOOD_STALE: case F_CUT_PLAIN:
    case F_ERROR_FIRST: case F_ROLE_FIN: case F_PINGS_FIN: case F_DONE_FIRST:
    case F_LATE_FIN: case F_LATE_RST: case F_LATE_ERROR: case F_LATE_HALF: case F_LATE_END: case F_LATE_STALL: case FATES: break;
    }
    if (!p->stream) {
        plain_answer(p);
        over(p);
        return;
    }
    if (p->piece == 0) {
        if (p->fate == F_GOOD_INTERIM)
            say(p, "HTTP/1.1 100 Continue\r\n\r\n");
        if (p->fate == F_ERROR_FIRST || p->fate == F_DONE_FIRST) {
            p->chunked = true;
            say(p, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
            if (p->fate == F_ERROR_FIRST)
                error_event(p);
            else
                body(p, p->surface == CHAT ? "data: [DONE]\n\n" : ": nothing\n\n");
            last_chunk(p);
            over(p);
            return;
        }
        stream_open(p);
        if (p->fate == F_PINGS_FIN)
            body(p, ": ping\n\n: ping\n\n");
        if (p->fate == F_ROLE_FIN || p->fate == F_PINGS_FIN) {
            if (draw() % 2)
                last_chunk(p);
            p->close_after = true;
            over(p);
            return;
        }
    }
    /* Some events now, others later. */
    for (unsigned burst = p->gap_ns ? 1 : 1 + draw() % 8; burst && p->piece < p->pieces; burst--) {
        event_text(p, p->piece++, text, sizeof text);
        body(p, "%s", text);
    }
    if (p->piece < p->pieces) {
        flush_peer(p);
        p->due_ns = now_ns + (p->gap_ns ? p->gap_ns : 1);
        return;
    }
    switch (p->fate) {
    case F_LATE_FIN: p->close_after = true; break;
    case F_LATE_RST: p->rst_after = true; break;
    case F_LATE_ERROR: error_event(p); last_chunk(p); break;
    case F_LATE_END: last_chunk(p); break;
    case F_LATE_HALF:
        event_text(p, p->piece, text, sizeof text);
        text[30 + draw() % 40] = '\0';
        body(p, "%s", text);
        p->close_after = true;
        break;
    case F_LATE_STALL: flush_peer(p); p->stall = true; return;
    default:
        stream_close(p);
        if (p->fate == F_GOOD_CLOSE)
            p->close_after = true;
        last_chunk(p);
        break;
    }
    over(p);
}

static enum fate choose(bool doomed, bool stream)
{
    enum worth worth = doomed ? FAIL : chance(680) ? GOOD : stream && chance(100) ? LATE : FAIL;
    unsigned total = 0, at;

    for (int i = 0; i < FATES; i++)
        if (fates[i].worth == worth && (!fates[i].only || fates[i].only == (stream ? 's' : 'p')))
            total += (unsigned)fates[i].weight;
    at = (unsigned)(draw() % total);
    for (int i = 0; i < FATES; i++)
        if (fates[i].worth == worth && (!fates[i].only || fates[i].only == (stream ? 's' : 'p'))) {
            if (at < (unsigned)fates[i].weight)
                return (enum fate)i;
            at -= (unsigned)fates[i].weight;
        }
    return F_GOOD;
}

static struct request *request_of(uint64_t tag)
{
    size_t who = tag >> 48;
    if (who >= want.clients)
        return NULL;
    if (clients[who].now.tag == tag)
        return &clients[who].now;
    for (unsigned i = 0; i < PAST; i++)
        if (clients[who].past[i].tag == tag)
            return &clients[who].past[i];
    return NULL;
}

/* One whole request of the gateway's. */
static void asked(struct peer *p, const char *head, size_t head_n, const char *text, size_t n)
{
    const char *v;
    size_t len;
    uint64_t tag = 0;
    int key = -1, surface = -1;

    for (int i = 0; i < SURFACES; i++)
        if (head_n > 5 + strlen(path_of[i]) && !memcmp(head + 5, path_of[i], strlen(path_of[i])))
            surface = i;
    if (find(head, head_n, "weir-soak-token-") || find(text, n, "weir-soak-token-"))
        breach("I-3", NULL, "an access key went to a provider");
    if (rig_field(head, head_n, surface == MESSAGES ? "x-api-key" : "authorization", &v, &len)) {
        const char *k = find(v, len, "sk-soak-");
        if (k && k[8] == (char)('0' + p->provider) && k[10] >= '0' && k[10] < '0' + KEYS)
            key = k[10] - '0';
    }
    for (const char *t = text; (t = memmem(t, n - (size_t)(t - text), "TAG", 3)); t += 19) {
        uint64_t here = (size_t)(text + n - t) >= 19 ? hex(t + 3, 16) : UINT64_MAX;
        if (tag && here != tag)
            breach("I-1", NULL, "a provider got two requests in one");
        tag = here;
    }
    struct request *r = tag ? request_of(tag) : NULL;
    if (!r || key < 0 || surface < 0 || find(text, n, "\"models\"") || !find(text, n, "\"model\":\"m\"")) {
        breach("I-7", r, "a provider got what nobody asked (key %d, surface %d): %.*s", key, surface, (int)(n > 200 ? 200 : n), text);
        reset(p);
        return;
    }
    if (r->end == ANSWERED)
        breach("I-5", r, "an attempt began after the answer");
    if (r->end == LEFT && awake_ns - r->ended_awake_ns > GONE_MS * 1000000ull)
        breach("I-5", r, "an attempt began %llu ms after the client left", (unsigned long long)((awake_ns - r->ended_awake_ns) / 1000000));
    for (unsigned i = 0; i < r->nattempts; i++)
        if (r->attempt[i].provider == p->provider && r->attempt[i].key == key && !r->attempt[i].silent)
            breach("I-5", r, "provider %u key %d was asked twice", p->provider, key);
    if (r->nattempts && fates[r->attempt[r->nattempts - 1].fate].worth == GOOD && r->end != LEFT)
        breach("I-5", r, "an attempt after a good one");
    p->tag = tag;
    p->surface = (enum surface)surface;
    p->stream = find(text, n, "\"stream\":true") != NULL;
    p->attempt = r->nattempts;
    p->fate = choose(r->doomed, p->stream);
    p->piece = 0;
    p->pieces = 1 + (unsigned)(draw() % (chance(20) ? 1500 : chance(200) ? 100 : 8));
    p->gap_ns = p->pieces < 100 && chance(100) ? draw() % 30000000 : 0;
    p->close_after = p->rst_after = p->stall = false;
    p->playing = true;
    p->due_ns = now_ns + (p->fate == F_SLOW_HEAD ? 6000000000u : chance(100) ? draw() % 40000000 : 0);
    if (r->nattempts < ATTEMPTS)
        r->attempt[r->nattempts++] = (struct attempt){(unsigned char)p->fate, (unsigned char)p->provider, (unsigned char)key,
                                                     p->used && (p->fate == F_RST || p->fate == F_FIN)};
    seen.attempts++;
    seen.fate[p->fate]++;
    if (p->due_ns <= now_ns)
        play(p);
}

static void peer_in(struct peer *p)
{
    ssize_t n = recv(p->fd, shared, sizeof shared, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        bury(p);
        return;
    }
    if (p->in_n + (size_t)n > p->in_cap) {
        p->in_cap = (p->in_n + (size_t)n) * 2;
        p->in = realloc(p->in, p->in_cap);
        if (!p->in)
            rig_die("memory");
    }
    memcpy(p->in + p->in_n, shared, (size_t)n);
    p->in_n += (size_t)n;
    if (p->playing) {
        breach("I-7", NULL, "bytes behind a request that is not answered yet");
        reset(p);
        return;
    }
    const char *end = memmem(p->in, p->in_n, "\r\n\r\n", 4), *v;
    if (!end)
        return;
    size_t head_n = (size_t)(end + 4 - p->in), len, body_n = 0;
    if (memcmp(p->in, "POST ", 5) || !rig_field(p->in, head_n, "content-length", &v, &len) || rig_field(v, head_n - (size_t)(v - p->in), "content-length", &end, &len)) {
        breach("I-7", NULL, "not one request of one length: %.*s", (int)(head_n > 300 ? 300 : head_n), p->in);
        reset(p);
        return;
    }
    body_n = strtoul(v, NULL, 10);
    if (p->in_n < head_n + body_n)
        return;
    if (p->in_n > head_n + body_n)
        breach("I-7", NULL, "%zu bytes behind a request's body", p->in_n - head_n - body_n);
    p->in_n = 0;
    asked(p, p->in, head_n, p->in + head_n, body_n);
}

static void peer_new(unsigned provider)
{
    for (int fd; (fd = rig_accept(listeners[provider].fd)) >= 0;) {
        struct peer *p = rig_alloc(sizeof *p);
        p->fd = fd;
        p->provider = provider;
        if (npeers == PEERS_MAX)
            rig_die("too many connections from the gateway");
        peers[npeers++] = p;
        rig_watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, p);
    }
}

/* ---- clients ---- */

static void drop(struct client *c, bool by_reset)
{
    struct linger l = {1, 0};
    if (c->fd < 0)
        return;
    if (by_reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(c->fd);
    c->fd = -1;
    c->state = C_DOWN;
    c->uses = 0;
}

static void ended(struct client *c, int end)
{
    c->now.end = end;
    c->now.ended_awake_ns = awake_ns;
    c->past[c->npast++ % PAST] = c->now;
    c->now.tag = 0;
    c->leave_ns = c->rest_ns = 0;
    c->leave_at_mark = -1;
}

static void leave(struct client *c)
{
    seen.left++;
    ended(c, LEFT);
    drop(c, c->leave_by_reset);
}

static void build(struct client *c)
{
    size_t who = (size_t)(c - clients), filler = chance(15) ? draw() % 60000 : draw() % 600, n = 0, cap = filler + 2048;
    char *text = rig_alloc(cap);
    unsigned first = (unsigned)(draw() % want.nproviders), more = c->now.doomed && draw() % 2 ? 0 : want.nproviders - 1;

    n += (size_t)snprintf(text + n, cap - n, "{\"model\":\"p%u:m\",", first);
    if (more) {
        n += (size_t)snprintf(text + n, cap - n, "\"models\":[");
        for (unsigned i = 0; i < more; i++)
            n += (size_t)snprintf(text + n, cap - n, "%s\"p%u:m\"", i ? "," : "", (first + 1 + i) % want.nproviders);
        n += (size_t)snprintf(text + n, cap - n, "],");
    }
    n += (size_t)snprintf(text + n, cap - n, "\"stream\":%s,%s", c->stream ? "true" : "false", c->surface == MESSAGES ? "\"max_tokens\":99," : "");
    n += (size_t)snprintf(text + n, cap - n, c->surface == RESPONSES ? "\"input\":\"TAG%016llx " : "\"messages\":[{\"role\":\"user\",\"content\":\"TAG%016llx ",
                          (unsigned long long)c->now.tag);
    memset(text + n, 'x', filler);
    n += filler;
    n += (size_t)snprintf(text + n, cap - n, " TAG%016llx%s", (unsigned long long)c->now.tag, c->surface == RESPONSES ? "\"}" : "\"}]}");
    c->out = realloc(c->out, n + 1024);
    if (!c->out)
        rig_die("memory");
    bool chunked = chance(100);
    size_t h = (size_t)snprintf(c->out, 1000, "POST %s HTTP/1.1\r\nHost: gateway\r\n%sweir-soak-token-%02zu-0123456789abcdefghij\r\ncontent-type: application/json\r\n%s",
                                path_of[c->surface], c->surface == MESSAGES ? "x-api-key: " : "authorization: Bearer ", who % 20, chunked ? "transfer-encoding: chunked\r\n\r\n" : "");
    if (chunked) {
        size_t half = n / 2;
        h += (size_t)snprintf(c->out + h, 64, "%zx\r\n", half);
        memcpy(c->out + h, text, half);
        h += half;
        h += (size_t)snprintf(c->out + h, 64, "\r\n%zx\r\n", n - half);
        memcpy(c->out + h, text + half, n - half);
        h += n - half;
        memcpy(c->out + h, "\r\n0\r\n\r\n", 7);
        h += 7;
    } else {
        h += (size_t)snprintf(c->out + h, 64, "content-length: %zu\r\n\r\n", n);
        memcpy(c->out + h, text, n);
        h += n;
    }
    c->out_n = h;
    c->out_at = 0;
    c->split_at = chance(50) ? draw() % h : h;
    free(text);
}

static void push(struct client *c)
{
    while (c->out_at < c->out_n) {
        size_t most = c->out_at < c->split_at ? c->split_at - c->out_at : c->out_n - c->out_at;
        ssize_t n = send(c->fd, c->out + c->out_at, most, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
            rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            return;
        }
        if (n <= 0)
            return; /* the read says what is wrong */
        c->out_at += (size_t)n;
        if (c->out_at == c->split_at && c->split_at < c->out_n) {
            c->split_at = c->out_n;
            rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c); /* the rest in another turn */
            return;
        }
    }
    rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->state = C_READ;
}

static void ask(struct client *c)
{
    static uint32_t serial;

    c->now = (struct request){.tag = (uint64_t)(c - clients) << 48 | (uint64_t)(draw() & 0xffff) << 32 | ++serial, .doomed = chance(40)};
    c->surface = (enum surface)(draw() % SURFACES);
    c->stream = chance(450);
    c->error_event = c->terminal = false;
    c->tail_n = 0;
    c->marks = (struct reader){0};
    c->leave_at_mark = -1;
    c->leave_ns = c->rest_ns = 0;
    c->leave_by_reset = draw() % 2;
    if (chance(50))
        c->leave_ns = now_ns + draw() % 25000000;
    else if (c->stream && chance(40))
        c->leave_at_mark = (int)(draw() % 6);
    build(c);
    if (c->fd < 0) {
        c->fd = rig_connect(want.gateway);
        rig_watch(ep, EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLOUT, c);
        seen.reconnects++;
    }
    answer_reset(&c->a);
    c->asked_ns = now_ns;
    c->state = C_SEND;
    c->uses++;
    seen.asked++;
    push(c);
}

static void take_body(void *ctx, const char *p, size_t n)
{
    struct client *c = ctx;
    char join[64];
    size_t k = n < 31 ? n : 31;

    seen.bytes_in += n;
    read_marks(&c->marks, c->now.tag, p, n);
    memcpy(join, c->tail, c->tail_n);
    memcpy(join + c->tail_n, p, k);
    size_t j = c->tail_n + k;
    if (find(join, j, "sk-soak-") || find(p, n, "sk-soak-"))
        c->marks.secrets++;
    /* An error event is told by its beginning in every dialect that is spoken here. */
    c->error_event |= find(join, j, "{\"error\":") || find(p, n, "{\"error\":") || find(join, j, "event: error") || find(p, n, "event: error");
    c->terminal |= find(join, j, "[DONE]") || find(p, n, "[DONE]") || find(join, j, "message_stop") || find(p, n, "message_stop") ||
                   find(join, j, "response.completed\"") || find(p, n, "response.completed\"");
    if (n >= 31) {
        memcpy(c->tail, p + n - 31, 31);
        c->tail_n = 31;
    } else {
        size_t keep = j < 31 ? j : 31;
        memmove(c->tail, join + j - keep, keep);
        c->tail_n = keep;
    }
}

static enum worth worth_of(const struct client *c, unsigned attempt)
{
    return attempt < c->now.nattempts ? fates[c->now.attempt[attempt].fate].worth : FAIL;
}

/* The answer has ended: properly (whole), or with its connection. */
static void judge(struct client *c, bool whole)
{
    const struct request *r = &c->now;
    const struct reader *m = &c->marks;
    const char *v;
    size_t len;
    bool any_good = false;

    for (unsigned i = 0; i < r->nattempts; i++)
        any_good |= fates[r->attempt[i].fate].worth == GOOD;
    if (m->mixed)
        breach("I-1", r, "a client got words of another request");
    if (m->secrets)
        breach("I-3", r, "a provider key went to a client");
    if (c->a.status >= 100 && c->a.status < 600)
        seen.status[c->a.status]++;
    if (c->a.status == 200) {
        if (m->broken || (m->last && m->seen < 1))
            breach("I-8", r, "words lost, doubled, out of order or of two attempts: %u marks", m->seen);
        if (whole && !c->error_event) {
            seen.whole++;
            if (!m->last || (c->stream && !c->terminal))
                breach("I-8", r, "an answer looks whole and is not: %u marks", m->seen);
            else if (worth_of(c, m->attempt) != GOOD || m->attempt + 1 != r->nattempts)
                breach("I-5", r, "answered by attempt %u", m->attempt);
        } else {
            seen.cut++;
            if (!c->stream || !c->error_event || m->last || whole || c->terminal)
                breach("I-8", r, "a cut answer that does not say so (stream %d, error event %d, last %d, framing %d, terminal %d)", c->stream, c->error_event,
                       m->last, whole, c->terminal);
            else if (worth_of(c, m->attempt) != LATE)
                breach("I-2", r, "cut, though attempt %u was not", m->attempt);
        }
    } else {
        seen.refused++;
        if (!whole)
            breach("I-8", r, "an error answer without its end: status %d, %zu bytes of head", c->a.status, c->a.head_len);
        if (any_good)
            breach("I-2", r, "status %d, though an attempt was good", c->a.status);
        if (!r->nattempts)
            breach("I-2", r, "status %d without an attempt: %.*s", c->a.status, (int)(c->a.head_len > 400 ? 400 : c->a.head_len), c->a.head);
    }
    if (c->a.status && rig_field(c->a.head, c->a.head_len, "x-request-id", &v, &len)) {
        size_t i = id_slot(id_of(v, len));
        if (ids[i].answered++)
            breach("I-2", r, "one id on two answers");
        ids[i].status = (uint16_t)c->a.status;
    } else if (c->a.status) {
        breach("I-6", r, "no id");
    }
    bool close_it = !whole || (rig_field(c->a.head, c->a.head_len, "connection", &v, &len) && len == 5 && !memcmp(v, "close", 5)) || chance(50);
    ended(c, ANSWERED);
    if (close_it)
        drop(c, chance(200));
    else
        c->state = C_IDLE;
}

static void hear(struct client *c)
{
    ssize_t n;

    if (c->rest_ns > now_ns)
        return;
    n = recv(c->fd, shared, chance(100) ? 1 + draw() % 400 : sizeof shared, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (c->state == C_IDLE) {
        if (n > 0)
            breach("I-1", NULL, "bytes that nobody asked for: %.*s", (int)(n > 100 ? 100 : n), shared);
        drop(c, false);
        return;
    }
    if (n <= 0) {
        /* An idle connection may be closed just when it is used again: nothing was heard, nobody was asked. */
        if (c->a.state == ANSWER_HEAD && c->a.head_len == 0 && c->uses > 1 && c->now.nattempts == 0) {
            ended(c, LEFT);
            drop(c, false);
            return;
        }
        if (c->a.state == ANSWER_HEAD)
            breach("I-2", &c->now, "no answer, %zu bytes of a head, connection used %u times (%s)", c->a.head_len, c->uses, n ? strerror(errno) : "end");
        judge(c, c->a.state == ANSWER_CLOSE && c->stream ? false : c->a.state == ANSWER_CLOSE);
        return;
    }
    size_t used = answer_feed(&c->a, shared, (size_t)n, take_body, c);
    if (c->a.state == ANSWER_BAD || used < (size_t)n) {
        breach("I-8", &c->now, "not one answer of HTTP: %.*s", (int)(n > 100 ? 100 : n), shared);
        ended(c, ANSWERED);
        drop(c, true);
    } else if (c->a.state == ANSWER_DONE) {
        judge(c, true);
    } else {
        if (c->leave_at_mark >= 0 && (int)c->marks.seen > c->leave_at_mark)
            leave(c);
        else if (c->stream && chance(3)) { /* a slow reader: the gateway has to wait, and everybody else not */
            c->rest_ns = now_ns + draw() % 300000000;
            rig_watch(ep, EPOLL_CTL_MOD, c->fd, 0, c);
        }
    }
}

/* ---- turning ---- */

static void turn(int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(ep, events, EVENTS, wait_ms);

    static uint64_t heard_ns;

    now_ns = rig_now_ns();
    if (n > 0) {
        uint64_t gap = heard_ns ? now_ns - heard_ns : 0;
        awake_ns += gap < AWAKE_MS * 1000000ull ? gap : AWAKE_MS * 1000000ull;
        heard_ns = now_ns;
    }
    for (int i = 0; i < n; i++) {
        void *who = events[i].data.ptr;
        if (who == &log_marker) {
            read_log();
        } else if (who >= (void *)listeners && who < (void *)(listeners + want.nproviders)) {
            peer_new((unsigned)((char *)who - (char *)listeners) / sizeof listeners[0]);
        } else if (who >= (void *)clients && who < (void *)(clients + want.clients)) {
            struct client *c = who;
            if (c->fd >= 0 && c->state == C_SEND && events[i].events & EPOLLOUT)
                push(c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                hear(c);
        } else {
            struct peer *p = who;
            if (!p->dead && events[i].events & EPOLLOUT) {
                flush_peer(p);
                if (!p->dead && !p->playing && p->out_at == p->out_n && p->close_after)
                    bury(p);
            }
            if (!p->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                peer_in(p);
        }
    }
}

static void bury_all(void)
{
    size_t n = 0;
    for (size_t i = 0; i < npeers; i++)
        if (!peers[i]->dead)
            peers[n++] = peers[i];
    npeers = n;
    for (size_t i = 0; i < ngraves; i++) {
        free(graves[i]->in);
        free(graves[i]->out);
        free(graves[i]);
    }
    ngraves = 0;
}

/* Who waits for whom, for the one who has to find out why. */
static void hung(struct client *c)
{
    int waiting = 0;
    char more[200] = "no provider is at work on it";
    ioctl(c->fd, FIONREAD, &waiting);
    for (size_t i = 0; i < npeers; i++)
        if (!peers[i]->dead && peers[i]->tag == c->now.tag) {
            int in = 0, out = 0;
            ioctl(peers[i]->fd, FIONREAD, &in);
            ioctl(peers[i]->fd, TIOCOUTQ, &out);
            snprintf(more, sizeof more, "provider %u: playing %d, piece %u of %u, %zu bytes to send, %d not taken, %d to read, due in %lld ms",
                     peers[i]->provider, peers[i]->playing, peers[i]->piece, peers[i]->pieces, peers[i]->out_n - peers[i]->out_at, out, in,
                     peers[i]->due_ns ? (long long)(peers[i]->due_ns - now_ns) / 1000000 : -1);
        }
    breach("I-2", &c->now, "no end after %d ms: client state %d, %zu of %zu sent, status %d, reads in state %d, %u marks, stream %d, %d bytes wait, rests %d, used %u; %s",
           CLIENT_LIMIT_MS, c->state, c->out_at, c->out_n, c->a.status, c->a.state, c->marks.seen, c->stream, waiting, c->rest_ns != 0, c->uses, more);
}

/* What time brings, at most every millisecond. */
static bool by_time(bool more)
{
    bool busy = false;
    unsigned asks = 0;
    for (size_t i = 0; i < npeers; i++) {
        struct peer *p = peers[i];
        if (!p->dead && p->due_ns && p->due_ns <= now_ns && p->out_at == p->out_n)
            play(p);
    }
    for (size_t i = 0; i < want.clients; i++) {
        struct client *c = &clients[i];
        if (c->now.tag) {
            busy = true;
            if (c->rest_ns && c->rest_ns <= now_ns) {
                c->rest_ns = 0;
                rig_watch(ep, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
            }
            if (c->leave_ns && c->leave_ns <= now_ns)
                leave(c);
            else if (now_ns - c->asked_ns > CLIENT_LIMIT_MS * 1000000ull) {
                hung(c);
                leave(c);
            }
        }
        if (!c->now.tag && more && seen.asked < want.requests && asks++ < ASKS_A_TICK)
            ask(c);
    }
    return busy;
}

static void options(int argc, char **argv)
{
    int opt;
    while ((opt = getopt(argc, argv, "g:u:n:c:s:")) != -1)
        switch (opt) {
        case 'g': want.gateway = (unsigned)rig_number(optarg, 65535); break;
        case 'n': want.requests = rig_number(optarg, 1000000000); break;
        case 'c': want.clients = (size_t)rig_number(optarg, 60000); break;
        case 's': want.seed = rig_number(optarg, UINT32_MAX); break;
        case 'u':
            for (char *p = strtok(optarg, ","); p && want.nproviders < PROVIDERS_MAX; p = strtok(NULL, ","))
                want.port[want.nproviders++] = (unsigned)rig_number(p, 65535);
            break;
        default: exit(2);
        }
}

static void report(double seconds)
{
    printf("{\"requests\":%llu,\"seconds\":%.1f,\"whole\":%llu,\"cut\":%llu,\"refused\":%llu,\"left\":%llu,\"attempts\":%llu,\"connections\":%llu,"
           "\"marks\":%llu,\"bytes\":%llu,\"staleCloses\":%llu,\"logged\":%llu,\"breaches\":%llu,\"fates\":{",
           (unsigned long long)seen.asked, seconds, (unsigned long long)seen.whole, (unsigned long long)seen.cut, (unsigned long long)seen.refused,
           (unsigned long long)seen.left, (unsigned long long)seen.attempts, (unsigned long long)seen.reconnects, (unsigned long long)seen.marks,
           (unsigned long long)seen.bytes_in, (unsigned long long)seen.stale, (unsigned long long)seen.log_lines, (unsigned long long)seen.breaches);
    for (int i = 0; i < FATES; i++)
        printf("%s\"%s\":%llu", i ? "," : "", fates[i].name, (unsigned long long)seen.fate[i]);
    printf("},\"statuses\":{");
    for (int i = 0, first = 1; i < 600; i++)
        if (seen.status[i]) {
            printf("%s\"%d\":%llu", first ? "" : ",", i, (unsigned long long)seen.status[i]);
            first = 0;
        }
    printf("}}\n");
}

int main(int argc, char **argv)
{
    struct rlimit files;
    uint64_t tick = 0, begun;

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    options(argc, argv);
    ep = epoll_create1(EPOLL_CLOEXEC);
    ids = rig_alloc(IDS * sizeof *ids);
    clients = rig_alloc(want.clients * sizeof *clients);
    for (size_t i = 0; i < want.clients; i++)
        clients[i].fd = -1;
    for (unsigned i = 0; i < want.nproviders; i++) {
        listeners[i].fd = rig_listen(want.port[i]);
        rig_watch(ep, EPOLL_CTL_ADD, listeners[i].fd, EPOLLIN, &listeners[i]);
    }
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    rig_watch(ep, EPOLL_CTL_ADD, 0, EPOLLIN, &log_marker);
    begun = now_ns = rig_now_ns();
    for (bool busy = true; busy || seen.asked < want.requests;) {
        turn(1);
        if (now_ns - tick >= 1000000) {
            tick = now_ns;
            busy = by_time(true);
        }
        bury_all();
    }
    double seconds = (double)(rig_now_ns() - begun) / 1e9;
    for (size_t i = 0; i < want.clients; i++)
        drop(&clients[i], false);
    for (uint64_t until = rig_now_ns() + 1500000000u; rig_now_ns() < until; bury_all()) { /* the log's last lines; attempts that should not be */
        turn(10);
        by_time(false);
    }
    for (size_t i = 0; i < IDS; i++)
        if (ids[i].answered && ids[i].logged != 1)
            breach("I-6", NULL, "an answered request has %u records", ids[i].logged);
    if (seen.log_lines > seen.asked)
        breach("I-6", NULL, "%llu records of %llu requests", (unsigned long long)seen.log_lines, (unsigned long long)seen.asked);
    report(seconds);
    return seen.breaches != 0;
}
