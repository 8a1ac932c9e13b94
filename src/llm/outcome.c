/* The words for outcomes in logs, metrics and x-weir-attempts. */
#include "llm/outcome.h"

#include "base/must.h"

const char *outcome_name(enum outcome o)
{
    static const char *const name[OUTCOME_COUNT] = {
#define X(id, text) [OUTCOME_##id] = text,
        OUTCOMES(X)
#undef X
    };
    must(o < OUTCOME_COUNT);
    return name[o];
}
