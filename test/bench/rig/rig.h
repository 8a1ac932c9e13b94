/* What the load generator, the mock upstream and the floor share: a clock, nonblocking TCP on the loopback, epoll in
 * one line, and a reader of HTTP answers. Test tools: an error of the machine (no descriptors, no port) ends the
 * process with a message; an error of the target is counted and reported. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of the monotonic clock, which all processes of one machine share. */
uint64_t rig_now_ns(void);

/* Prints what and the reason of the last failed call, then exits with 1. */
_Noreturn void rig_die(const char *what);

/* Allocates n zeroed bytes or dies. The caller frees, or leaves it to the process's end. */
void *rig_alloc(size_t n);

/* Number in text, all of it, at most max; dies otherwise. */
uint64_t rig_number(const char *text, uint64_t max);

/* Nonblocking sockets on 127.0.0.1 with TCP_NODELAY. rig_accept returns -1 when nobody waits. rig_connect returns a
 * socket that may still be connecting; reuse_port 0 means a port of the kernel's choice. */
int rig_listen(unsigned port);
int rig_accept(int listener);
int rig_connect(unsigned port);

/* Adds, changes or removes interest; ptr comes back with the event. */
void rig_watch(int epoll, int op, int fd, uint32_t events, void *ptr);

/* Value of a header in the head's n bytes, name in lower case without the colon; false when it is not there. The value
 * lies inside head, without the blanks around it. */
bool rig_field(const char *head, size_t n, const char *name, const char **value, size_t *len);

/* ---- reading an answer -------------------------------------------------------------------------------------------- */

enum { ANSWER_HEAD_MAX = 16384 };

enum answer_state {
    ANSWER_HEAD,       /* the head is not complete */
    ANSWER_LENGTH,     /* left bytes of a body of known length */
    ANSWER_SIZE,       /* a chunk's size line */
    ANSWER_CHUNK,      /* left bytes of a chunk */
    ANSWER_CHUNK_END,  /* the line end after a chunk */
    ANSWER_TRAILER,    /* lines after the last chunk, until an empty one */
    ANSWER_CLOSE,      /* the body ends with the connection */
    ANSWER_DONE,       /* complete: answer_reset before the next */
    ANSWER_BAD,        /* not HTTP as we read it */
};

typedef void answer_body_fn(void *ctx, const char *bytes, size_t n);

struct answer {
    enum answer_state state;
    int status;
    uint64_t left, body_len;
    size_t head_len, line_len;
    char head[ANSWER_HEAD_MAX];
};

void answer_reset(struct answer *a);

/* Takes n bytes as they came and hands decoded body bytes to body (may be NULL). Returns how many bytes belong to this
 * answer: fewer than n only in ANSWER_DONE and ANSWER_BAD. */
size_t answer_feed(struct answer *a, const char *bytes, size_t n, answer_body_fn *body, void *ctx);

/* ---- samples ------------------------------------------------------------------------------------------------------ */

struct samples {
    uint32_t *us10;    /* tenths of a microsecond */
    size_t n, cap;
};

/* Beyond cap samples are dropped: cap is chosen above what a run can produce. */
void samples_init(struct samples *s, size_t cap);
void samples_add(struct samples *s, uint64_t ns);

/* Sorts, then the value below which the part p (0..1) lies, in microseconds; 0 when empty. */
double samples_at(struct samples *s, double p);

/* ---- the target's bill -------------------------------------------------------------------------------------------- */

struct bill {
    uint64_t run_ns;           /* exact run time of the process, from the scheduler; from the ticks where that is off */
    uint64_t user_ms, sys_ms;  /* as sampled, whole ticks */
};

/* CPU time of process pid so far; zero for pid 0. Dies when the process is gone: a number without it is worthless. */
struct bill bill_read(unsigned pid);

#endif
