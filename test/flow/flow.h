/* A conversation with the real gate in the fake world: one function per flow, run in a process of its own. Each flow ends with
 * the leak check; flow_main can then run it again and again with one call failing, see there. */
#ifndef TEST_FLOW_FLOW_H
#define TEST_FLOW_FLOW_H

#include "answer.h"
#include "peers.h"

struct flow {
    const char *name;
    void (*run)(const void *row);
    const void *row; /* for flows that are lines of a table */
    bool large;      /* moves megabytes: not byte by byte */
    bool quick;      /* one of many alike: calm only */
};
#define FLOW(function) flow_add(#function, function, NULL)
#define FLOW_LARGE(function) flow_add_large(#function, function, NULL)

/* Registers a flow; then flow_main runs them all, its value is main's exit code. */
void flow_add(const char *name, void (*run)(const void *row), const void *row);
void flow_add_quick(const char *name, void (*run)(const void *row), const void *row);
void flow_add_large(const char *name, void (*run)(const void *row), const void *row);
int flow_main(void);

/* For a program that makes up its flows: one run in this process, a request that must still be served, the leak check. False, after saying why, when one of them
 * failed; when something is left that the next run would inherit, the process ends. */
bool flow_once(void (*run)(const void *row), const void *row);
/* Inside such a run: the call_nth fallible call and the memory_nth block are refused, once or from then on; 0: none. */
void flow_fail(uint64_t call_nth, uint64_t memory_nth, bool from_then_on);

/* ---- Inside a flow ---- */

/* Checks that count only when nothing was made to fail. They go through flow.c, where the counts are. */
bool flow_expect(bool ok, const char *file, int line, const char *text);
bool flow_expect_int(long long got, long long want, const char *file, int line, const char *text);
bool flow_expect_slice(struct slice got, struct slice want, const char *file, int line, const char *text);
#define EXPECT(c) flow_expect((c), __FILE__, __LINE__, #c)
#define EXPECT_INT(got, want) flow_expect_int((long long)(got), (long long)(want), __FILE__, __LINE__, #got " == " #want)
#define EXPECT_SLICE(got, want) flow_expect_slice((got), (want), __FILE__, __LINE__, #got)
#define EXPECT_STR(got, want) EXPECT_SLICE(got, slice_str(want))

/* Opens the world: gateway and router are members for those parts of the config ("" for none), without braces. Models m1..m4 are at
 * providers p1..p4 (10.0.0.1 ...); p1 has the keys "a" and "b", the others "a". m1s is another model of p1. Model m9 at p9 is the
 * one that always answers. p2 goes on with the beginning of an answer, p3 does with "partial". m5 is at "five.internal" (10.0.0.5 by the hosts file), m6 at a name that no server knows. */
void flow_open(const char *gateway, const char *router);
/* The same with more top-level members (", ..." after the others), such as another limits. */
void flow_open_more(const char *gateway, const char *router, const char *limits);

/* Before opening or reloading: more members of the access key (", ..."), such as limits. They stay until called again. */
void flow_key(const char *members);

/* As SIGHUP with a changed file: another gateway and router, without p1's key of that name (NULL: with all). */
void flow_reload(const char *gateway, const char *router, const char *without);
unsigned flow_old_worlds(void); /* replaced snapshots that somebody still uses; the leak check wants 0 */
void flow_cut(void);            /* as the drain's deadline does */

/* Before opening: a second listener beside the gate's, such as the admin plane's. plan may be enlarged for it; close is called in the
 * leak check, when no new connection may come any more. It may use the heap. */
struct gate_plan;
void flow_beside(void (*plan)(struct gate_plan *p), bool (*open)(void), void (*close)(void));
struct conf;
struct conf *flow_conf(void);   /* in force now, borrowed */

/* Lets everything happen that can happen now, without time passing. */
void flow_settle(void);
/* Lets ms pass, with all that happens meanwhile. */
void flow_pass(int64_t ms);
/* Until the client has one whole answer (or the end) at read_off, at most most_ms. True when it has. */
bool flow_answer(struct client *c, struct answer *a, int64_t most_ms);

/* A request on a fresh connection or a given one: method and path, body as JSON text. */
void flow_ask(struct client *c, const char *path, const char *body);
void flow_ask_more(struct client *c, const char *path, const char *fields, const char *body);
/* The whole of it: opens, asks, waits for the answer at most 10 minutes. The client stays open. */
struct client *flow_talk(const char *path, const char *body, struct answer *a);

/* The log's request lines so far, and the last of them. */
unsigned flow_log_lines(void);
struct slice flow_log_last(void);
size_t flow_mem_used(void);
void flow_drain(void);     /* as SIGTERM does, but the listener stays */
unsigned flow_busy(void);

#define CHAT "/v1/chat/completions"
#define SSE_HEAD "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
#define SSE_HEAD_CLOSE "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
#define ROLE "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define DELTA(text) "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define COMMENT ": keepalive\n\n"

#endif
