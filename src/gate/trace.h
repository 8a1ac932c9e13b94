/* What is told about a request: the x-weir-attempts field, the log line, and the attempts in an error body. */
#ifndef GATE_TRACE_H
#define GATE_TRACE_H

#include "gate/xchg.h"
#include "json/out.h"

/* "openai/primary=429, openai/backup=200"; cut at a whole entry when it does not fit. */
struct slice trace_attempts(const struct xchg *x, char *out, size_t cap);
/* The same as a JSON array of objects {provider, model, key, status, outcome, ms, reason}. Never a secret. */
void trace_attempts_json(const struct xchg *x, struct json_out *o);
/* The committed attempt did not end well after all: its record and its origin's health learn of it. */
void trace_cut(struct xchg *x, enum outcome o);
/* The one log line of a request, at its end. */
void trace_request(struct xchg *x);

#endif
