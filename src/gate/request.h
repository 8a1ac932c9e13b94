/* What a checked request body asks for: the members the gateway acts on, each at most once under any spelling. Pure. */
#ifndef GATE_REQUEST_H
#define GATE_REQUEST_H

#include "base/arena.h"
#include "conf/conf.h"
#include "gate/route.h"
#include "json/scan.h"

struct request_asks {
    int32_t at_model, at_models;   /* index of the member, -1: absent */
    bool stream;
    struct slice model[MODELS_MAX + 1]; /* `model` first, then `models`; unescaped, in the text or the arena */
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
