/* What a checked request body asks for: the members the gateway acts on, each at most once under any spelling. Pure. */
#ifndef GATE_REQUEST_H
#define GATE_REQUEST_H

#include "base/arena.h"
#include "conf/conf.h"
#include "gate/route.h"
#include "json/scan.h"

/* The members the gateway acts on. */
#define REQUEST_MEMBERS(X)                                                                                  \
    X(MODEL, "model")                                                                                       \
    X(MODELS, "models")                                                                                     \
    X(STREAM, "stream")                                                                                     \
    X(STREAM_OPTIONS, "stream_options")                                                                     \
    X(MAX_TOKENS, "max_tokens")                                                                             \
    X(MAX_COMPLETION_TOKENS, "max_completion_tokens")                                                       \
    X(MAX_OUTPUT_TOKENS, "max_output_tokens")

enum request_member {
#define X(id, text) REQUEST_##id,
    REQUEST_MEMBERS(X)
#undef X
    REQUEST_MEMBER_COUNT
};
struct slice request_member_name(enum request_member m);

struct request_asks {
    int16_t at[REQUEST_MEMBER_COUNT];   /* index of the member, -1: absent */
    bool stream;
    struct slice model[MODELS_MAX + 1]; /* `model` first, then `models`; unescaped, in the arena */
    uint32_t nmodels;
};

struct request_error {
    const char *param; /* the member at fault; NULL: the body as a whole */
    char text[256];    /* what is wrong and what to do */
};

/* Reads the n recorded top-level members of text. False with *e. */
bool request_read(struct slice text, const struct json_member *member, uint32_t n, struct arena *a, struct request_asks *out,
              struct request_error *e);

#endif
