/* A reader of HTTP answers that shares nothing with the gate's code: lenient where the gate is strict, so that only what a client would
 * really see is judged. */
#ifndef TEST_FLOW_ANSWER_H
#define TEST_FLOW_ANSWER_H

#include <stdbool.h>

#include "base/slice.h"

enum { ANSWER_BODY_MAX = 64 << 20 };

struct answer {
    unsigned status;     /* 0: not even a head */
    struct slice head;   /* points into what was read */
    struct slice body;   /* decoded; in memory of its own that the next answer_read reuses */
    bool complete;       /* framing says that this is all of it */
    bool chunked, until_close;
    size_t length;       /* bytes of input it took */
};

/* Reads the first answer in s; ended: no more bytes will come. False: not even a whole head. */
bool answer_read(struct slice s, bool ended, struct answer *a);
/* The value of a header field, {NULL,0} when absent. Name in lower case. */
struct slice answer_field(const struct answer *a, const char *name);
bool answer_has(const struct answer *a, const char *text); /* somewhere in the body */

#endif
