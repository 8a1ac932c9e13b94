/* A provider that costs as little as possible: answers are built once, a request's body is counted and dropped. One
 * header of the request says what to answer, so that one process serves every scenario and every target:
 *   x-mock: plain BYTES           a chat completion with a body of exactly that size
 *   x-mock: stream EVENTS MS      a chat stream, one event every MS milliseconds, then usage and [DONE]
 *   x-mock: hold                  a stream of one event that then stays silent until the client goes
 * Every event carries a sequence number and the time just before its send; one event, one chunk, one send. Streams
 * start spread over the first interval, so that the load is even however the clients came.
 * -r TOKEN answers 429 to requests with that bearer token; -q PORT is a second listener that answers 429 to everybody,
 * for proxies that cannot change a key.  mock -p PORT [-r TOKEN] [-q PORT] */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARED = 1 << 18, HEAD_CAP = 8192, EVENTS = 256, STREAMS_MAX = 1 << 16, PLAIN_MAX = 1 << 24 };

/* As a large provider sends them: what a proxy has to read through. */
#define COMMON_HEADERS \
    "Date: Tue, 19 Aug 2025 12:00:00 GMT\r\n" \
    "Connection: keep-alive\r\n" \
    "access-control-expose-headers: X-Request-ID\r\n" \
    "openai-organization: org-a1b2c3\r\n" \
    "openai-processing-ms: 182\r\n" \
    "openai-version: 2020-10-01\r\n" \
    "x-ratelimit-limit-requests: 10000\r\n" \
    "x-ratelimit-limit-tokens: 2000000\r\n" \
    "x-ratelimit-remaining-requests: 9999\r\n" \
    "x-ratelimit-remaining-tokens: 1999765\r\n" \
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n" \
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n" \
    "cf-cache-status: DYNAMIC\r\n" \
    "Server: cloudflare\r\n"

static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Transfer-Encoding: chunked\r\n" COMMON_HEADERS "\r\n";
static const char refusal_body[] =
    "{\"error\":{\"message\":\"Rate limit reached for gpt-4o-mini in organization org-a1b2c3 on requests per min (RPM): "
    "Limit 3, Used 3, Requested 1.\",\"type\":\"requests\",\"param\":null,\"code\":\"rate_limit_exceeded\"}}";
/* The two numbers are written over the template: 16 hex digits of nanoseconds, 8 of the sequence. */
static const char event_text[] =
    "data: {\"id\":\"chatcmpl-0000000000000000-00000000\",\"object\":\"chat.completion.chunk\",\"created\":1755604800,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" gateway\"},\"finish_reason\":null}],\"usage\":null}\n\n";
static const char ending_text[] =
    "data: {\"id\":\"chatcmpl-end\",\"object\":\"chat.completion.chunk\",\"created\":1755604800,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
    "data: {\"id\":\"chatcmpl-end\",\"object\":\"chat.completion.chunk\",\"created\":1755604800,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,"
    "\"total_tokens\":29}}\n\ndata: [DONE]\n\n";
enum { TIME_AT = sizeof "data: {\"id\":\"chatcmpl-" - 1, SEQ_AT = TIME_AT + 17 };

struct peer {
    int fd;
    bool refuse_all, dead, streaming;
    uint64_t body_left;
    size_t head_len;
    uint32_t seq, events;
    uint64_t due_ns, gap_ns;
    size_t heap_at;               /* place in the heap plus one; 0 is none */
    char *head;                   /* allocated only while a request's head is incomplete */
    char ask[48];                 /* the x-mock value of the request in hand */
    bool refuse;                  /* it is to be refused */
};

static int ep;
static const char *refused_token;
static char shared[SHARED];
static char *plain;
static size_t plain_len, plain_body;
static char refusal[2048];
static size_t refusal_len;
static char event_chunk[512];
static size_t event_chunk_len, event_at;
static struct peer *heap[STREAMS_MAX];
static size_t nheap;
static struct peer *graves[EVENTS + STREAMS_MAX];
static size_t ngraves;
static uint32_t streams_begun;
static struct { struct peer *who; bool refuse_all; } listeners[2];

/* ---- the heap of due streams -------------------------------------------------------------------------------------- */

static void heap_put(size_t i, struct peer *p)
{
    heap[i] = p;
    p->heap_at = i + 1;
}

static void heap_up(size_t i, struct peer *p)
{
    for (; i && heap[(i - 1) / 2]->due_ns > p->due_ns; i = (i - 1) / 2)
        heap_put(i, heap[(i - 1) / 2]);
    heap_put(i, p);
}

static void heap_down(size_t i, struct peer *p)
{
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= nheap)
            break;
        if (kid + 1 < nheap && heap[kid + 1]->due_ns < heap[kid]->due_ns)
            kid++;
        if (heap[kid]->due_ns >= p->due_ns)
            break;
        heap_put(i, heap[kid]);
        i = kid;
    }
    heap_put(i, p);
}

static void heap_remove(struct peer *p)
{
    if (!p->heap_at)
        return;
    size_t i = p->heap_at - 1;
    struct peer *last = heap[--nheap];
    p->heap_at = 0;
    if (last == p)
        return;
    if (i && heap[(i - 1) / 2]->due_ns > last->due_ns)
        heap_up(i, last);
    else
        heap_down(i, last);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void end_peer(struct peer *p)
{
    if (p->dead)
        return;
    p->dead = true;
    heap_remove(p);
    close(p->fd);
    graves[ngraves++] = p;
}

/* A peer that does not take a few hundred bytes at once is stuck: its stream ends, visibly for the load generator. */
static void say(struct peer *p, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(p->fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            end_peer(p);
            return;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void build_plain(size_t body)
{
    static const char open[] =
        "{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion\",\"created\":1755604800,\"model\":\"gpt-4o-mini-2024-07-18\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
    static const char shut[] =
        "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":19,"
        "\"completion_tokens\":210,\"total_tokens\":229,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}},"
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"}";
    static const char words[] = "a gateway reads, decides and passes on; ";
    size_t fixed = sizeof open - 1 + sizeof shut - 1;
    if (body < fixed)
        body = fixed;
    free(plain);
    plain = rig_alloc(2048 + body);
    int head = snprintf(plain, 2048, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n" COMMON_HEADERS "\r\n",
                        body);
    char *p = plain + head;
    memcpy(p, open, sizeof open - 1);
    p += sizeof open - 1;
    for (size_t i = 0; i < body - fixed; i++)
        *p++ = words[i % (sizeof words - 1)];
    memcpy(p, shut, sizeof shut - 1);
    plain_len = (size_t)head + body;
    plain_body = body;
}

static void hex(char *out, int digits, uint64_t v)
{
    while (digits--) {
        out[digits] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
}

static void say_event(struct peer *p)
{
    hex(event_chunk + event_at + SEQ_AT, 8, p->seq++);
    hex(event_chunk + event_at + TIME_AT, 16, rig_now_ns());
    say(p, event_chunk, event_chunk_len);
}

static void say_ending(struct peer *p)
{
    char out[1024];
    int n = snprintf(out, sizeof out, "%zx\r\n%s\r\n0\r\n\r\n", sizeof ending_text - 1, ending_text);
    p->streaming = false;
    heap_remove(p);
    say(p, out, (size_t)n);
}

static void begin_stream(struct peer *p, uint32_t events, uint64_t gap_ns)
{
    p->seq = 0;
    p->events = events;
    p->gap_ns = gap_ns;
    p->streaming = true;
    say(p, stream_head, sizeof stream_head - 1);
    if (!p->dead)
        say_event(p);
    if (p->dead || !gap_ns)
        return;
    /* Multiples of the golden ratio fill the interval evenly at every number of streams. */
    uint32_t place = streams_begun++ * 2654435769u;
    p->due_ns = rig_now_ns() + (uint64_t)((double)gap_ns * (1.0 + place / 4294967296.0));
    if (nheap == STREAMS_MAX)
        rig_die("too many streams");
    heap_up(nheap++, p);
}

static void answer(struct peer *p)
{
    unsigned long a = 0, b = 0;
    if (p->refuse_all || p->refuse) {
        say(p, refusal, refusal_len);
    } else if (!strncmp(p->ask, "plain ", 6)) {
        a = strtoul(p->ask + 6, NULL, 10);
        if (a != plain_body && a < PLAIN_MAX)
            build_plain(a);
        say(p, plain, plain_len);
    } else if (!strncmp(p->ask, "stream ", 7)) {
        char *end;
        a = strtoul(p->ask + 7, &end, 10);
        b = strtoul(end, NULL, 10);
        begin_stream(p, (uint32_t)a, b * 1000000u);
    } else if (!strcmp(p->ask, "hold")) {
        begin_stream(p, 1, 0);
    } else {
        static const char no[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        say(p, no, sizeof no - 1);
        end_peer(p);
    }
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static bool take_head(struct peer *p, const char *head, size_t n)
{
    const char *v;
    size_t len;
    p->ask[0] = 0;
    if (rig_field(head, n, "x-mock", &v, &len) && len < sizeof p->ask) {
        memcpy(p->ask, v, len);
        p->ask[len] = 0;
    }
    p->refuse = refused_token && rig_field(head, n, "authorization", &v, &len) && len == strlen(refused_token) + 7 &&
                !memcmp(v + 7, refused_token, len - 7);
    p->body_left = 0;
    if (rig_field(head, n, "content-length", &v, &len))
        for (size_t i = 0; i < len; i++)
            p->body_left = p->body_left * 10 + (uint64_t)(v[i] - '0');
    return !rig_field(head, n, "transfer-encoding", &v, &len);
}

static void take(struct peer *p, const char *bytes, size_t n)
{
    while (n && !p->dead) {
        if (p->streaming) {
            end_peer(p);    /* a client of ours never sends in the middle of a stream */
        } else if (p->body_left) {
            size_t eat = n < p->body_left ? n : (size_t)p->body_left;
            p->body_left -= eat;
            bytes += eat;
            n -= eat;
            if (!p->body_left)
                answer(p);
        } else {
            /* The usual head comes in one piece and is read where it lies. */
            const char *head = bytes, *end = p->head ? NULL : memmem(bytes, n, "\r\n\r\n", 4);
            size_t head_len, eat;
            if (end) {
                eat = head_len = (size_t)(end + 4 - bytes);
            } else {
                if (!p->head)
                    p->head = rig_alloc(HEAD_CAP);
                eat = n < HEAD_CAP - p->head_len ? n : HEAD_CAP - p->head_len;
                memcpy(p->head + p->head_len, bytes, eat);
                end = memmem(p->head, p->head_len + eat, "\r\n\r\n", 4);
                if (!end) {
                    p->head_len += eat;
                    if (p->head_len == HEAD_CAP)
                        end_peer(p);
                    return;
                }
                head = p->head;
                head_len = (size_t)(end + 4 - p->head);
                eat = head_len - p->head_len;
            }
            bool fine = take_head(p, head, head_len);
            bytes += eat;
            n -= eat;
            free(p->head);
            p->head = NULL;
            p->head_len = 0;
            if (!fine)
                end_peer(p);
            else if (!p->body_left)
                answer(p);
        }
    }
}

static void read_peer(struct peer *p)
{
    ssize_t n = recv(p->fd, shared, sizeof shared, 0);
    if (n > 0)
        take(p, shared, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_peer(p);
}

static void welcome(int listener, bool refuse_all)
{
    int fd;
    while ((fd = rig_accept(listener)) >= 0) {
        struct peer *p = rig_alloc(sizeof *p);
        p->fd = fd;
        p->refuse_all = refuse_all;
        rig_watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, p);
    }
}

/* ---- time --------------------------------------------------------------------------------------------------------- */

static void run_due(void)
{
    uint64_t now = rig_now_ns();
    for (int left = EVENTS; left && nheap && heap[0]->due_ns <= now; left--) {
        struct peer *p = heap[0];
        if (p->seq >= p->events) {
            say_ending(p);
            continue;
        }
        /* A beat that was missed is left out: sent late and close to the next, it would look glued by the target. */
        p->due_ns = p->due_ns + p->gap_ns > now ? p->due_ns + p->gap_ns : now + p->gap_ns;
        heap_down(0, p);
        say_event(p);
    }
}

static int wait_for(struct epoll_event *events)
{
    if (!nheap)
        return epoll_pwait2(ep, events, EVENTS, NULL, NULL);
    uint64_t now = rig_now_ns(), gap = heap[0]->due_ns > now ? heap[0]->due_ns - now : 0;
    struct timespec t = {(time_t)(gap / 1000000000u), (long)(gap % 1000000000u)};
    return epoll_pwait2(ep, events, EVENTS, &t, NULL);
}

static void listen_on(size_t i, const char *port, bool refuse_all, int *fd)
{
    *fd = rig_listen((unsigned)rig_number(port, 65535));
    listeners[i].who = rig_alloc(sizeof(struct peer));
    listeners[i].who->fd = *fd;
    listeners[i].refuse_all = refuse_all;
    rig_watch(ep, EPOLL_CTL_ADD, *fd, EPOLLIN, listeners[i].who);
}

int main(int argc, char **argv)
{
    int fds[2], opt;
    const char *port = NULL, *refusing = NULL;
    while ((opt = getopt(argc, argv, "p:q:r:")) != -1)
        if (opt == 'p')
            port = optarg;
        else if (opt == 'q')
            refusing = optarg;
        else if (opt == 'r')
            refused_token = optarg;
        else
            return 2;
    if (!port) {
        fprintf(stderr, "mock -p PORT [-r TOKEN] [-q PORT]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(EPOLL_CLOEXEC);
    listen_on(0, port, false, &fds[0]);
    if (refusing)
        listen_on(1, refusing, true, &fds[1]);
    build_plain(1024);
    refusal_len = (size_t)snprintf(refusal, sizeof refusal, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n" COMMON_HEADERS "\r\n%s", sizeof refusal_body - 1, refusal_body);
    event_at = (size_t)snprintf(event_chunk, sizeof event_chunk, "%zx\r\n", sizeof event_text - 1);
    event_chunk_len = event_at + (size_t)snprintf(event_chunk + event_at, sizeof event_chunk - event_at, "%s\r\n", event_text);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = wait_for(events);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (p == listeners[0].who || p == listeners[1].who)
                welcome(p->fd, listeners[p == listeners[1].who].refuse_all);
            else if (!p->dead)
                read_peer(p);
        }
        run_due();
        while (ngraves) {
            free(graves[--ngraves]->head);
            free(graves[ngraves]);
        }
    }
}
