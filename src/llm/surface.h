/* The API shapes the gateway serves: one table for routes, upstream paths and error dialects. Pure. */
#ifndef LLM_SURFACE_H
#define LLM_SURFACE_H

#include <stdbool.h>

#include "base/slice.h"

/* id, name in config and logs, client route, path below a provider's base URL, error dialect, may stream */
#define SURFACES(X)                                                                                            \
    X(CHAT, "chat-completions", "/v1/chat/completions", "/chat/completions", OPENAI, true)                     \
    X(RESPONSES, "responses", "/v1/responses", "/responses", OPENAI, true)                                     \
    X(MESSAGES, "messages", "/v1/messages", "/messages", ANTHROPIC, true)                                      \
    X(COUNT_TOKENS, "count-tokens", "/v1/messages/count_tokens", "/messages/count_tokens", ANTHROPIC, false)   \
    X(EMBEDDINGS, "embeddings", "/v1/embeddings", "/embeddings", OPENAI, false)                                \
    X(COMPLETIONS, "completions", "/v1/completions", "/completions", OPENAI, true)                             \
    X(MODERATIONS, "moderations", "/v1/moderations", "/moderations", OPENAI, false)                            \
    X(IMAGES, "images", "/v1/images/generations", "/images/generations", OPENAI, true)                         \
    X(SPEECH, "speech", "/v1/audio/speech", "/audio/speech", OPENAI, true)

enum surface {
#define X(id, name, route, path, format, streams) SURFACE_##id,
    SURFACES(X)
#undef X
    SURFACE_COUNT
};

/* Shape of errors and of the credential's header. */
enum format { FORMAT_OPENAI, FORMAT_ANTHROPIC };

struct surface_info {
    struct slice name, route, path;
    enum format format;
    bool streams;
};

extern const struct surface_info surface_table[SURFACE_COUNT];

/* A provider that declares `messages` serves count_tokens too; otherwise a surface is its own. */
static inline enum surface surface_declared(enum surface s)
{
    return s == SURFACE_COUNT_TOKENS ? SURFACE_MESSAGES : s;
}

static inline unsigned surface_bit(enum surface s)
{
    return 1u << s;
}

/* By the client's path (exact bytes); false when no surface has it. */
bool surface_by_route(struct slice path, enum surface *out);
/* By the name in a config; false when unknown. */
bool surface_by_name(struct slice name, enum surface *out);

#endif
