/* Takes a request in: head, who is asking, body, what it asks for (spec 2, 3). Ends with a routed attempt queue or a refusal. */
#ifndef GATE_INTAKE_H
#define GATE_INTAKE_H

#include "gate/xchg.h"

enum intake {
    INTAKE_MORE,     /* waits for the client */
    INTAKE_BODY,     /* the head is accepted, a body is due: go on with intake_body */
    INTAKE_ROUTED,   /* x->attempts is ready */
    INTAKE_ANSWERED, /* an answer was queued and the state changed */
    INTAKE_GONE,     /* the client left; no answer is possible */
};

enum intake intake_head(struct xchg *x);
enum intake intake_body(struct xchg *x);
/* A deadline passed in READ_HEAD or READ_BODY: answers 408 when part of a request is here. */
enum intake intake_late(struct xchg *x);
/* Reads what the client sends while its request is under way: later requests wait in x->in. False: it is gone. */
MUST_USE bool intake_watch(struct xchg *x);

#endif
