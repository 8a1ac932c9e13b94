/* The table of spec 5. Rows follow llm/outcome.h. */
#include "gate/policy.h"

#define ROW(outcome, scope_, cools_, origin_, clears_, transient_, real_)                                      \
    [OUTCOME_##outcome] = {.scope = SCOPE_##scope_, .cools = COOLS_##cools_, .origin = ORIGIN_##origin_,       \
                           .clears = (clears_), .transient = (transient_), .real = (real_)}

const struct policy policy_table[OUTCOME_COUNT] = {
    /*  outcome         scope      cools    origin  clears transient real */
    ROW(NONE,           NEXT,      NOTHING, SILENT, false, false, false),
    ROW(OK,             END,       NOTHING, ALIVE,  true,  false, true),
    ROW(UNREACHABLE,    ORIGIN,    NOTHING, FAILED, false, true,  true),
    ROW(TIMEOUT,        ORIGIN,    NOTHING, FAILED, false, true,  true),
    ROW(RATE_LIMIT,     NEXT,      PAIR,    ALIVE,  false, true,  true),
    ROW(QUOTA,          NEXT,      KEY,     ALIVE,  false, false, true),
    ROW(AUTH,           NEXT,      KEY,     ALIVE,  false, false, true),
    ROW(UPSTREAM_ERROR, NEXT,      NOTHING, FAILED, false, true,  true),
    ROW(NOT_FOUND,      NEXT,      NOTHING, SILENT, false, false, true),
    ROW(REJECTED,       CANDIDATE, NOTHING, SILENT, false, false, true),
    ROW(CONTENT_POLICY, END,       NOTHING, SILENT, false, false, true),
    /* A stream that broke after it was committed is the origin's failure as any other; nothing may follow it here. */
    ROW(CUT,            END,       NOTHING, FAILED, false, true,  true),
    ROW(CANCELLED,      NEXT,      NOTHING, SILENT, false, false, false),
    ROW(SKIPPED,        NEXT,      NOTHING, SILENT, false, false, false),
    /* Ours, not the peer's: nobody is blamed, and the next attempt may need less. */
    ROW(LOCAL,          NEXT,      NOTHING, SILENT, false, true,  true),
};
