/* A committed plain-text stream that breaks is gone on with by the next attempt (router.continueStreams, spec 5). While the first attempt's bytes
 * pass unchanged, its text is kept; when it breaks, the request is sent to the next attempt with that text as the beginning of the answer, and what
 * comes of it is written as further events of the stream that the client already has. Everything that can't be shown to be plain text ends
 * the readiness for that, and a cut is a cut again. */
#ifndef GATE_RESUME_H
#define GATE_RESUME_H

#include "gate/xchg.h"
#include "llm/text.h"

enum {
    RESUME_TEXT_MAX = 1 << 18, /* text kept per request: 64 Ki tokens, more than nearly all answers; a longer one is not continued */
    RESUME_PARTS_MAX = 4,      /* times that one answer is gone on with */
    RESUME_AGAIN_MIN = 24,     /* a continuation that repeats so much of the answer's beginning has begun it anew, */
    RESUME_AGAIN_ALL = 8,      /* also one that repeats all of it, if that is so much at least */
};

/* What one attempt gave before it broke. */
struct resume_part {
    uint16_t record;           /* its record, index + 1 */
    struct llm_usage usage;
    struct xchg_streamed streamed;
};

struct resume {
    struct text_stream stream; /* as the client has it */
    struct block said;         /* all of its text */
    size_t insert_at;          /* of the ']' of the request's messages */
    uint32_t nparts;           /* attempts that broke: with one or more, the winner is a continuation */
    struct resume_part part[RESUME_PARTS_MAX];
    const char *code, *message;/* how the last of them broke */
    /* the continuation */
    struct text_stream next;   /* as it says of itself */
    struct block ask;          /* the text as a message, in the style below */
    enum text_prefix style;
    size_t asked;              /* bytes of `said` in it: white space at its end is not sent, which providers refuse */
    size_t owed, owed_end;     /* that white space: what the continuation repeats of it is left out */
    size_t same;               /* bytes of its beginning that are the answer's beginning, held back as long as they are few */
    bool checking;             /* whether it begins anew */
};

/* At commit of a stream, before the request is released: starts to keep its text, if the configuration wants that and request and events at hand
 * allow it. Sets x->resume, which means that x->text must stay. */
void resume_begin(struct xchg *x, struct upstream *up);
/* A whole event of the committed first attempt, which the client will get as it is. */
void resume_note(struct xchg *x, struct slice raw, bool first);
/* From now on a cut is a cut. Harmless without resume; the memory goes. */
void resume_give_up(struct xchg *x);
/* The winner broke after all its whole events were handed on. True: the exchange went back to ATTEMPT without it. */
MUST_USE bool resume_break(struct xchg *x, const char *code, const char *message);
/* Whether the exchange waits for, or gets, a continuation. */
static inline bool resume_on(const struct xchg *x)
{
    return x->resume && x->resume->nparts;
}
/* Whether this attempt takes the beginning of an answer; makes the message for it. */
MUST_USE bool resume_accepts(struct xchg *x, const struct attempt *a);
/* About how many tokens the client has: as stated, else one per event. */
uint64_t resume_spent(const struct xchg *x);
/* The continuation commits. */
void resume_commit(struct xchg *x, struct upstream *up);

enum resume_step { RESUME_MORE, RESUME_END, RESUME_BROKEN, RESUME_GONE };
/* Reads what the continuation has at hand and writes it on. END: the stream's end is written, but for its framing. BROKEN: *code and *message
 * say how. GONE: the client is. */
enum resume_step resume_flow(struct xchg *x, const char **code, const char **message);

/* What the attempt of that record (index) gave before it broke; NULL: it did not, or nothing was kept. */
const struct resume_part *resume_part_of(const struct xchg *x, uint32_t record);

#endif
