/* The table. A program that streams has its counterpart for plain requests, so that each id fails in both. */
#include "sim/act.h"

#define PACE_MS 20

static const struct act acts[] = {
    /* ---- Answers. ---- */
    {.id = "echo", .stream = "HOWCB", .plain = "P", .pace_ms = PACE_MS},
    {.id = "fast", .stream = "HOWCB", .plain = "P", .words = 200},
    {.id = "long", .stream = "HOWCB", .plain = "P", .words = 2000, .pace_ms = 2},
    {.id = "tools", .stream = "HOWCB", .plain = "P", .pace_ms = PACE_MS, .tools = true},
    {.id = "slow", .stream = "2HOWCB", .plain = "2P", .pace_ms = PACE_MS},
    {.id = "slow-first-token", .stream = "HO5WCB", .plain = "5P", .pace_ms = PACE_MS},

    /* ---- Refusals with an honest status. ---- */
    {.id = "429", .stream = "R", .plain = "R", .status = 429, .retry_after = "1",
     .error = {"requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached. Please try again in 1s."}},
    {.id = "429-no-hint", .stream = "R", .plain = "R", .status = 429,
     .error = {"requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached."}},
    {.id = "quota", .stream = "R", .plain = "R", .status = 429,
     .error = {"insufficient_quota", "insufficient_quota", "billing_error",
               "You exceeded your current quota, please check your plan and billing details."}},
    {.id = "402", .stream = "R", .plain = "R", .status = 402,
     .error = {"insufficient_balance", "insufficient_balance", "billing_error", "Insufficient balance."}},
    {.id = "401", .stream = "R", .plain = "R", .status = 401,
     .error = {"invalid_request_error", "invalid_api_key", "authentication_error", "Incorrect API key provided."}},
    {.id = "403", .stream = "R", .plain = "R", .status = 403,
     .error = {"invalid_request_error", NULL, "permission_error", "This key may not use this model."}},
    {.id = "404", .stream = "R", .plain = "R", .status = 404,
     .error = {"invalid_request_error", "model_not_found", "not_found_error",
               "The model does not exist or you do not have access to it."}},
    {.id = "400", .stream = "R", .plain = "R", .status = 400,
     .error = {"invalid_request_error", NULL, "invalid_request_error", "The simulator was asked to reject this request."}},
    {.id = "context-length", .stream = "R", .plain = "R", .status = 400,
     .error = {"invalid_request_error", "context_length_exceeded", "invalid_request_error",
               "prompt is too long: 250000 tokens > 200000 maximum. This model's maximum context length is 200000 tokens."}},
    {.id = "content-policy", .stream = "R", .plain = "R", .status = 400,
     .error = {"invalid_request_error", "content_policy_violation", "invalid_request_error",
               "Output blocked by content filtering policy (content_policy_violation)."}},
    {.id = "408", .stream = "R", .plain = "R", .status = 408,
     .error = {"timeout", NULL, "timeout_error", "Request timed out."}},
    {.id = "500", .stream = "R", .plain = "R", .status = 500,
     .error = {"server_error", NULL, "api_error", "The server had an error while processing your request."}},
    {.id = "502", .stream = "R", .plain = "R", .status = 502,
     .error = {"server_error", NULL, "api_error", "Bad gateway."}},
    {.id = "503", .stream = "R", .plain = "R", .status = 503,
     .error = {"service_unavailable", NULL, "overloaded_error", "The engine is currently overloaded, please try again later."}},
    {.id = "529", .stream = "R", .plain = "R", .status = 529,
     .error = {"overloaded_error", NULL, "overloaded_error", "Overloaded"}},

    /* ---- Failures without one. ---- */
    {.id = "reset", .stream = "X", .plain = "X"},
    {.id = "close", .stream = "F", .plain = "F"},
    {.id = "hang", .stream = "Z", .plain = "Z"},
    {.id = "garbage", .stream = "GF", .plain = "GF"},
    {.id = "redirect", .stream = "L", .plain = "L"},
    {.id = "html", .stream = "T", .plain = "T"},
    {.id = "error-200", .stream = "r", .plain = "r",
     .error = {"server_error", "server_error", "api_error", "The server had an error while processing your request."}},
    {.id = "cut-json", .stream = "HO3F", .plain = "pF", .pace_ms = PACE_MS},

    /* ---- Streams that fail before or after content. ---- */
    {.id = "error-event", .stream = "HEB", .plain = "r",
     .error = {"server_error", "server_error", "overloaded_error", "The server is overloaded."}},
    {.id = "error-after-role", .stream = "HOEB", .plain = "r",
     .error = {"server_error", "server_error", "overloaded_error", "The server is overloaded."}},
    {.id = "error-mid", .stream = "HO3EB", .plain = "pF", .pace_ms = PACE_MS,
     .error = {"server_error", "server_error", "overloaded_error", "The server is overloaded."}},
    {.id = "cut", .stream = "HO3F", .plain = "pF", .pace_ms = PACE_MS},
    {.id = "stall", .stream = "HO3Z", .plain = "pZ", .pace_ms = PACE_MS},
    {.id = "no-done", .stream = "HOWcB", .plain = "P", .pace_ms = PACE_MS},
    {.id = "done-first", .stream = "HDB", .plain = "0"},
    {.id = "empty", .stream = "HB", .plain = "0"},
};

/* Any other status from 400 to 599. */
static const struct act client_error = {
    .id = "4xx", .stream = "R", .plain = "R",
    .error = {"invalid_request_error", NULL, "invalid_request_error", "The simulator was asked to answer with this status."}};
static const struct act server_error = {
    .id = "5xx", .stream = "R", .plain = "R",
    .error = {"server_error", NULL, "api_error", "The simulator was asked to answer with this status."}};

const struct act act_models = {.id = "models", .stream = "M", .plain = "M"};
const struct act act_no_route = {
    .id = "no-route", .stream = "R", .plain = "R", .status = 404,
    .error = {"invalid_request_error", NULL, "not_found_error", "The simulator has no such route."}};
const struct act act_bad_json = {
    .id = "bad-json", .stream = "R", .plain = "R", .status = 400,
    .error = {"invalid_request_error", NULL, "invalid_request_error", "The body is not a JSON object."}};

enum { ACTS = sizeof acts / sizeof acts[0] };

static const struct act *find(struct slice id, unsigned *status)
{
    uint64_t number;

    for (size_t i = 0; i < ACTS; i++)
        if (slice_eq_nocase(id, slice_str(acts[i].id)))
            return &acts[i];
    if (id.n != 3 || !slice_u64(id, &number) || number < 400 || number > 599)
        return NULL;
    *status = (unsigned)number;
    return number < 500 ? &client_error : &server_error;
}

const struct act *act_choose(struct ask *a)
{
    const struct act *echo = &acts[0], *by_model = find(ask_behaviour(a), &a->status), *by_key;

    if (by_model && by_model != echo)
        return by_model;
    by_key = find(slice_make(a->credential, a->credential_n), &a->status);
    return by_key ? by_key : echo; /* "sim-ok", real keys and real model ids: an answer */
}

const char *act_id(size_t i)
{
    return i < ACTS ? acts[i].id : NULL;
}

void act_list(struct pen *out, int64_t created_s)
{
    const char *ids[ACTS];

    for (size_t i = 0; i < ACTS; i++)
        ids[i] = acts[i].id;
    say_models(out, ids, ACTS, created_s);
}
