/* The behaviours of the simulator: one table, each line a way in which a provider answers or fails. Pure. */
#ifndef SIM_ACT_H
#define SIM_ACT_H

#include <stddef.h>
#include <stdint.h>

#include "sim/ask.h"
#include "sim/say.h"

/* The letters of which programs are made. */
enum act_step {
    ACT_HEAD = 'H',          /* 200, event stream */
    ACT_OPEN = 'O',          /* the events before content: role, message_start, response.created */
    ACT_WORDS = 'W',         /* the rest of the text */
    ACT_THREE_WORDS = '3',   /* its first three words */
    ACT_CLOSE = 'C',         /* finish, usage, end of the event sequence */
    ACT_CLOSE_UNDONE = 'c',  /* the same without the event that says it is over */
    ACT_DONE = 'D',          /* [DONE] */
    ACT_ERROR_EVENT = 'E',
    ACT_LAST_CHUNK = 'B',    /* end of the body */
    ACT_PLAIN = 'P',         /* a whole plain answer */
    ACT_HALF_PLAIN = 'p',    /* its head and half of its body */
    ACT_REFUSE = 'R',        /* the error as body, with the behaviour's status */
    ACT_ERROR_200 = 'r',     /* the error as body, with status 200 */
    ACT_EMPTY = '0',         /* 200 and a body of no bytes */
    ACT_HTML = 'T',
    ACT_REDIRECT = 'L',
    ACT_GARBAGE = 'G',       /* not HTTP */
    ACT_PAUSE = '2',         /* ACT_PAUSE_MS of nothing */
    ACT_LONG_PAUSE = '5',    /* ACT_LONG_PAUSE_MS of nothing but pings */
    ACT_SILENCE = 'Z',       /* for ever */
    ACT_RESET = 'X',
    ACT_FIN = 'F',
    ACT_MODELS = 'M',        /* the list of ids */
};

enum { ACT_PAUSE_MS = 2000, ACT_LONG_PAUSE_MS = 5000, ACT_PING_MS = 1000 };

struct act {
    const char *id;
    const char *stream, *plain; /* programs */
    uint16_t status;            /* of ACT_REFUSE; 0: what the request's id says */
    uint16_t pace_ms;           /* between words */
    uint16_t words;             /* of a made-up text; 0: echo */
    bool tools;                 /* call the first tool */
    const char *retry_after;    /* or NULL */
    struct say_error error;     /* for the steps that say one */
};

/* What this request gets: by its model id, by its credential, else the echo. Sets a->status for ids that are a status. */
const struct act *act_choose(struct ask *a);
extern const struct act act_models, act_no_route, act_bad_json;
const char *act_id(size_t i); /* NULL behind the last */
void act_list(struct pen *out, int64_t created_s);

#endif
