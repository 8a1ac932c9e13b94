/* What the simulator says: the bodies and events of a provider's answer in each surface, written from templates that look
 * like the wire. Pure. */
#ifndef SIM_SAY_H
#define SIM_SAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "llm/surface.h"

/* Bytes written so far into fixed memory. */
struct pen {
    char *p;
    size_t n, cap;
    bool full; /* sticky: something did not fit; what stands there is not to be used */
};

void pen_put(struct pen *out, struct slice s);

/* One answer: what it is about. The slices belong to whoever answers. */
struct say {
    enum surface surface;
    struct slice model;       /* as the request has it */
    struct slice text;        /* the whole answer */
    struct slice tool, args;  /* tool.n > 0: a call of that tool instead of text, args is a JSON text */
    uint64_t number;          /* of the request, for ids */
    uint64_t input_tokens, output_tokens;
    int64_t created_s;
    unsigned sequence;        /* responses: of the next event */
    unsigned inputs;          /* embeddings: how many are asked for */
    bool usage;               /* chat: the client asked for the usage chunk */
    bool cut_short;           /* the token limit ended it */
    bool base64;              /* embeddings: the encoding asked for */
};

/* An error as a provider would put it. */
struct say_error {
    const char *type, *code;  /* OpenAI; code NULL: null */
    const char *anthropic;    /* Anthropic's type */
    const char *message;
};

/* ---- Streams: whole events, blank line included. ---- */

void say_open(struct say *s, struct pen *out);                      /* up to the first content: role, message_start, ... */
void say_delta(struct say *s, struct pen *out, struct slice piece); /* a piece of the text, or of the tool's arguments */
void say_close(struct say *s, struct pen *out, bool done);          /* finish, usage; done: and what ends the stream, [DONE] for chat */
void say_done(struct pen *out);                                     /* [DONE] alone */
void say_ping(const struct say *s, struct pen *out);                /* a comment, or Anthropic's ping event */
/* opened: say_open went before. */
void say_error_event(struct say *s, struct pen *out, const struct say_error *e, bool opened);

/* ---- Plain answers. ---- */

void say_plain(struct say *s, struct pen *out);
/* Content type of what say_plain writes. */
struct slice say_content_type(enum surface surface);
void say_error_body(struct say *s, struct pen *out, const struct say_error *e);

/* The list of models: ids, n of them. */
void say_models(struct pen *out, const char *const *ids, size_t n, int64_t created_s);

#endif
