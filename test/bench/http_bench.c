/* What the parts of http/ cost, in nanoseconds. Prints the best of several rounds, since other work on the machine
 * only ever adds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "http/body.h"
#include "http/head.h"
#include "http/sse.h"
#include "http/write.h"

/* 16 lines, as an SDK sends them. */
static const char request_text[] =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: localhost:8080\r\n"
    "Accept: application/json\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 1.99.1\r\n"
    "X-Stainless-Lang: python\r\n"
    "X-Stainless-Package-Version: 1.99.1\r\n"
    "X-Stainless-OS: Linux\r\n"
    "X-Stainless-Arch: x64\r\n"
    "X-Stainless-Runtime: CPython\r\n"
    "Authorization: Bearer weir_0123456789abcdef0123456789\r\n"
    "X-Stainless-Async: false\r\n"
    "X-Stainless-Retry-Count: 0\r\n"
    "Content-Length: 1024\r\n\r\n";

static const char response_text[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Tue, 19 Aug 2025 12:00:00 GMT\r\n"
    "Content-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n"
    "Connection: keep-alive\r\n"
    "openai-organization: org\r\n"
    "openai-processing-ms: 182\r\n"
    "openai-version: 2020-10-01\r\n"
    "x-ratelimit-limit-requests: 10000\r\n"
    "x-ratelimit-limit-tokens: 200000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\n"
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    "strict-transport-security: max-age=31536000\r\n"
    "CF-Cache-Status: DYNAMIC\r\n"
    "Server: cloudflare\r\n"
    "alt-svc: h3=\":443\"; ma=86400\r\n\r\n";

static struct http_request req;
static struct http_response res;
static char big[1 << 17], scratch[1 << 17];
static size_t big_n;
static volatile size_t sink;

static void parse_request(void)
{
    struct http_bad bad;
    size_t seen = 0;

    if (http_request_parse(&req, request_text, sizeof request_text - 1, &seen, &bad) != PARSE_DONE)
        abort();
    sink += req.head_len;
}

static void parse_response(void)
{
    struct http_bad bad;
    size_t seen = 0;

    if (http_response_parse(&res, response_text, sizeof response_text - 1, &seen, false, &bad) != PARSE_DONE)
        abort();
    sink += res.head_len;
}

/* The head to the upstream: all fields of the parsed one again. */
static void write_head(void)
{
    struct http_out o;

    http_out_init(&o, scratch, sizeof scratch);
    http_out_request(&o, SLICE("POST"), SLICE("/v1"), SLICE("/chat/completions"), SLICE(""));
    for (unsigned i = 0; i < req.nfields; i++)
        http_out_field(&o, req.field[i].name, req.field[i].value);
    http_out_end(&o);
    sink += o.n + o.bad;
}

static void name_ids(void)
{
    for (unsigned i = 0; i < req.nfields; i++)
        sink += http_name_id(req.field[i].name);
}

static void scan_events(void)
{
    struct sse_scan s;
    size_t at = 0, k;

    sse_scan_init(&s);
    while (at < big_n && (k = sse_scan_event(&s, big + at, big_n - at)) > 0)
        at += k;
    sink += at;
}

static void read_event(void)
{
    struct arena a;
    struct sse_event e;

    arena_init_fixed(&a, scratch, sizeof scratch);
    if (!sse_event_read(slice_make(big, big_n), false, &a, &e))
        abort();
    sink += e.data.n;
}

static void copy_only(void)
{
    memcpy(scratch, big, big_n);
    sink += (size_t)scratch[0];
}

static void decode_chunks(void)
{
    struct http_body b;
    size_t used, out;

    memcpy(scratch, big, big_n); /* decoding is in place: the line "copy" is to be taken off */
    http_body_init(&b, HTTP_CHUNKED, 0);
    if (http_body_decode(&b, scratch, big_n, &used, &out) != PARSE_DONE)
        abort();
    sink += out;
}

static double best_ns(void (*run)(void), unsigned times)
{
    double best = 1e18;

    for (int round = 0; round < 15; round++) {
        struct timespec a, b;
        double ns;

        clock_gettime(CLOCK_MONOTONIC, &a);
        for (unsigned i = 0; i < times; i++)
            run();
        clock_gettime(CLOCK_MONOTONIC, &b);
        ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / times;
        if (ns < best)
            best = ns;
    }
    return best;
}

/* Fills big with `times` pieces of text around a payload of x. */
static void fill(const char *before, size_t payload, const char *after, unsigned times, const char *last)
{
    big_n = 0;
    while (times--) {
        big_n += (size_t)snprintf(big + big_n, 40, "%s", before);
        memset(big + big_n, 'x', payload);
        big_n += payload;
        big_n += (size_t)snprintf(big + big_n, 40, "%s", after);
    }
    big_n += (size_t)snprintf(big + big_n, 40, "%s", last);
}

static void row(const char *what, void (*run)(void), unsigned times, unsigned pieces)
{
    double ns = best_ns(run, times);

    printf("%-40s %8.0f ns", what, ns);
    if (pieces > 1)
        printf(", %.1f each of %u", ns / pieces, pieces);
    printf("\n");
}

int main(void)
{
    row("request head, 16 lines, 478 bytes", parse_request, 20000, 1);
    row("response head, 16 lines, 517 bytes", parse_response, 20000, 1);
    row("write that request head", write_head, 20000, 1);
    row("name ids", name_ids, 20000, 15);
    fill("data: ", 100000, "\n\n", 1, "");
    row("scan one event of 100 KB", scan_events, 500, 1);
    row("read one event of 100 KB", read_event, 500, 1);
    fill("data: {\"id\":\"chatcmpl-1\",", 200, "}\n\n", 400, "");
    row("scan events of 228 bytes", scan_events, 500, 400);
    big_n = 228;
    row("read one event of 228 bytes", read_event, 20000, 1);
    fill("c8\r\n", 200, "\r\n", 400, "0\r\n\r\n");
    row("copy of the next", copy_only, 500, 1);
    row("decode chunks of 200 bytes, with a copy", decode_chunks, 500, 400);
    return 0;
}
