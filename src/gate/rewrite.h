/* What changes in the client's body for one attempt (spec 9, 10): the model's name, `models`, usage asked for on streams, the output cap, and
 * parameters the provider does not take. Everything else stays byte for byte. Pure. */
#ifndef GATE_REWRITE_H
#define GATE_REWRITE_H

#include "conf/conf.h"
#include "gate/request.h"
#include "json/edit.h"

struct rewrite {
    struct slice text;                 /* the checked body */
    const struct json_member *member;
    uint32_t nmembers;
    const int16_t *at;                 /* as request_read found them */
    enum surface surface;
    struct slice stream_options;       /* JSON text to put there; empty: leave it */
    uint64_t max_output_tokens;        /* 0: no cap */
    const struct credential *key;      /* names the provider */
    const struct conf_model *known;    /* NULL: unknown model */
    struct slice model;                /* the id as upstream gets it */
    struct slice said;                 /* a further message, with the comma before it; empty: none */
    size_t said_at;                    /* where it goes */
    uint64_t spent;                    /* output tokens that the answer has already: the request's own caps are lowered by so many */
};

/* Memory for what the edits point to; must live as long as they are used. */
struct rewrite_text {
    char model[6 * MODEL_ID_MAX + 16], cap[24], left[2][24];
};

/* Fills e. Look at e->failed through json_edit_pieces. */
void rewrite_body(const struct rewrite *r, struct json_edits *e, struct rewrite_text *t);

/* The stream_options with which usage is asked for: the client's own with include_usage true. Empty when the client asked itself,
 * or sent something that is not an object (the provider will say so), or memory is short. In the arena. */
struct slice rewrite_usage_options(struct slice text, const struct json_member *member, const int16_t *at, struct arena *a);

#endif
