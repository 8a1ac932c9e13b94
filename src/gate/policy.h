/* The one table of spec 5: what each outcome of an attempt means for the rest of the request and for health. Data only. */
#ifndef GATE_POLICY_H
#define GATE_POLICY_H

#include <stdbool.h>

#include "llm/outcome.h"

enum scope {
    SCOPE_NEXT,      /* the next attempt, whichever it is */
    SCOPE_ORIGIN,    /* the next attempt; those on the same origin go behind all others */
    SCOPE_CANDIDATE, /* no other key of this model would help: the next model */
    SCOPE_END,       /* the walk is over */
};

enum cools {
    COOLS_NOTHING,
    COOLS_PAIR, /* (key, model): stated time, else a guess that doubles */
    COOLS_KEY,  /* key: stated time, and five minutes at least by our own guess */
};

enum origin_news {
    ORIGIN_SILENT,  /* says nothing, unless a response head came: that proves it alive */
    ORIGIN_ALIVE,
    ORIGIN_FAILED,  /* one more failure in a row */
};

struct policy {
    enum scope scope;
    enum cools cools;
    enum origin_news origin;
    bool clears;    /* a success: key, pair and origin are well again */
    bool transient; /* the client may get an answer by asking again later */
    bool real;      /* an upstream was asked and the result counts in the verdict */
};

extern const struct policy policy_table[OUTCOME_COUNT];

#endif
