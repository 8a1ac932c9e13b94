/* What a request to the simulator is about: surface, model, credential, and the text to give back. Pure but for scratch memory
 * of its own that lives between two calls of nobody. */
#ifndef SIM_ASK_H
#define SIM_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/must.h"
#include "base/slice.h"
#include "http/head.h"
#include "llm/surface.h"

struct act;

enum {
    ASK_TEXT_MAX = 32768, /* of a message that is given back; the rest is cut off */
    ASK_PIECE_MAX = 48,   /* a "word" without white space is cut to such pieces */
    ASK_INPUTS_MAX = 2048,
};

struct ask {
    enum surface surface;      /* SURFACE_COUNT: no route */
    char model[MODEL_ID_MAX + 1], tool[129], args[512], credential[33];
    size_t model_n, tool_n, args_n;
    size_t credential_n;       /* what follows "sim-" in the key */
    struct slice text;         /* in the body's memory, or static */
    uint64_t limit, words;     /* token limit asked for (0: none); pieces of the answer */
    unsigned inputs, status;
    bool stream, usage, cut_short, base64;
    bool after_tool;           /* the last message is a tool's result: time to answer in words */
};

MUST_USE bool ask_init(void); /* scratch memory; once */
/* From the head: surface by the path's end, the credential. */
void ask_begin(struct ask *a, const struct http_request *r);
/* From the body (n bytes; whole: nothing of it was dropped). The text is moved to the front of body. False: not a JSON object. */
bool ask_read(struct ask *a, char *body, size_t n, bool whole);
/* When the behaviour is known: which text, how much of it, or a tool call. */
void ask_prepare(struct ask *a, const struct act *act);
/* The model id as a behaviour: without "sim:" before and "#..." behind. */
struct slice ask_behaviour(const struct ask *a);
/* The next piece of a text: white space and the word behind it. Empty only at the end. */
struct slice ask_piece(struct slice text, size_t at);

#endif
