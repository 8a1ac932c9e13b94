/* An access key's own limits (spec 10): what is refused reaches nobody, says when to come again, and is booked like any other request. */
#include "flow.h"

#include "base/clock.h"
#include "state/usage.h"

#define USED(in, out) "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":" in ",\"completion_tokens\":" out "}}"
#define ASK1 CHAT, "{\"model\":\"m1\"}"
#define ASK2 CHAT, "{\"model\":\"m2\"}"
#define A_START "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":500,\"output_tokens\":1}}}\n\n"
#define A_TEXT "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word\"}}\n\n"

static const struct act small[] = {READ, PLAIN(USED("3", "2")), AGAIN, END};
static const struct act large[] = {READ, PLAIN(USED("400", "600")), AGAIN, END}; /* 1,000 tokens; of m2 0.04 and 0.60 dollars */
static const struct act rejects[] = {READ, FAIL("400 Bad Request", "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}"), AGAIN, END};

static void open_with(const char *members)
{
    flow_key(members);
    flow_open("\"cooldown\":false", "");
    flow_key("");
}

/* Limits gone: what checks a world afterwards asks with the same key. */
static void close_limits(void)
{
    flow_key("");
    flow_reload("\"cooldown\":false", "", NULL);
}

static unsigned status_of(const char *path, const char *body)
{
    struct answer a = {0};
    struct client *c = flow_talk(path, body, &a);

    client_close(c);
    return a.status;
}

static void requests_per_minute(const void *row)
{
    struct answer a = {0};
    struct client *c;

    (void)row;
    open_with(",\"limits\":{\"requestsPerMinute\":2}");
    provider_plays(1, small);
    EXPECT_INT(status_of(ASK1), 200);
    EXPECT_INT(status_of(CHAT, "{\"model\":\"nobody-has-it\"}"), 422); /* well-formed, so it counts; what is not even a request does not */
    EXPECT_INT(status_of(CHAT, "{\"model\":7}"), 400);
    c = flow_talk(ASK1, &a);
    EXPECT_INT(a.status, 429);
    EXPECT_STR(answer_field(&a, "retry-after"), "30");
    EXPECT_STR(answer_field(&a, "x-should-retry"), "true");
    EXPECT_STR(answer_field(&a, "x-ratelimit-limit-requests"), "2");
    EXPECT_STR(answer_field(&a, "x-ratelimit-remaining-requests"), "0");
    EXPECT_STR(answer_field(&a, "x-ratelimit-reset-requests"), "60s");
    EXPECT(!answer_field(&a, "x-ratelimit-limit-tokens").p && !answer_field(&a, "anthropic-ratelimit-requests-limit").p);
    EXPECT(answer_has(&a, "\"code\":\"rate_limited\"") && answer_has(&a, "\"type\":\"rate_limit_error\"") && answer_has(&a, "2 requests per minute"));
    client_close(c);
    EXPECT_INT(provider(1)->nrequests, 1);
    EXPECT(slice_find(flow_log_last(), SLICE("\"code\":\"rate_limited\"")) >= 0);
    c = flow_talk("/v1/messages", "{\"model\":\"m1\",\"max_tokens\":9}", &a);
    EXPECT_INT(a.status, 429);
    EXPECT(answer_has(&a, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\""));
    EXPECT_STR(answer_field(&a, "anthropic-ratelimit-requests-limit"), "2");
    EXPECT_STR(answer_field(&a, "anthropic-ratelimit-requests-remaining"), "0");
    EXPECT(slice_ends(answer_field(&a, "anthropic-ratelimit-requests-reset"), SLICE("Z")));
    client_close(c);
    flow_pass(30000);
    EXPECT_INT(status_of(ASK1), 200);
    EXPECT_INT(status_of(ASK1), 429);
    close_limits();
}

static void lists_of_models_are_free(const void *row)
{
    struct answer a = {0};
    struct client *c;

    (void)row;
    open_with(",\"limits\":{\"requestsPerMinute\":1,\"usdTotal\":0.000001}");
    c = client_open();
    for (int i = 0; i < 3; i++) {
        client_send(c, "GET /v1/models HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer token-of-the-app\r\n\r\n");
        if (EXPECT(flow_answer(c, &a, 1000)))
            EXPECT_INT(a.status, 200);
    }
    client_close(c);
    close_limits();
}

/* What was reserved for an answer of 900 tokens comes back when it had 2. */
static void tokens_are_settled(const void *row)
{
    struct answer a = {0};
    struct client *c;

    (void)row;
    open_with(",\"limits\":{\"tokensPerMinute\":1000}");
    provider_plays(1, small);
    for (int i = 0; i < 5; i++)
        EXPECT_INT(status_of(CHAT, "{\"model\":\"m1\",\"max_tokens\":900}"), 200);
    provider_plays(2, large);
    EXPECT_INT(status_of(ASK2), 200); /* nothing reserved for its answer, and 1,000 used: 1,025 now */
    c = flow_talk(CHAT, "{\"model\":\"m1\",\"max_completion_tokens\":191,\"user\":\"x\"}", &a);
    EXPECT_INT(a.status, 429);
    EXPECT_STR(answer_field(&a, "x-ratelimit-limit-tokens"), "1000");
    EXPECT_STR(answer_field(&a, "x-ratelimit-remaining-tokens"), "0");
    EXPECT_STR(answer_field(&a, "x-ratelimit-reset-tokens"), "62s");
    EXPECT_STR(answer_field(&a, "retry-after"), "14"); /* 25 too many, 191 allowed, the request itself about 13: 229 of 1,000 in a minute */
    EXPECT(answer_has(&a, "1000 tokens per minute"));
    client_close(c);
    EXPECT_INT(provider(1)->nrequests, 5);
    flow_pass(14000);
    EXPECT_INT(status_of(CHAT, "{\"model\":\"m1\",\"max_completion_tokens\":191,\"user\":\"x\"}"), 200);
    close_limits();
}

/* Refused by routing or rejected upstream: the tokens come back. */
static void failures_give_tokens_back(const void *row)
{
    (void)row;
    open_with(",\"limits\":{\"tokensPerMinute\":1000}");
    provider_plays(1, rejects);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(status_of(CHAT, "{\"model\":\"m1\",\"max_tokens\":900}"), 400);
        EXPECT_INT(status_of(CHAT, "{\"model\":\"nobody-has-it\",\"max_tokens\":900}"), 422);
    }
    close_limits();
}

/* A stream whose client leaves has used what its start stated and what went out. */
static void a_client_that_leaves_has_used_tokens(const void *row)
{
    static const struct act play[] = {READ, SEND(SSE_HEAD), CHUNK(A_START A_TEXT A_TEXT), WAIT(60000), END};
    struct client *c;

    (void)row;
    open_with(",\"limits\":{\"tokensPerMinute\":1000}");
    provider_plays(1, play);
    c = client_open();
    flow_ask(c, "/v1/messages", "{\"model\":\"m1\",\"max_tokens\":900,\"stream\":true}");
    flow_pass(100);
    EXPECT_INT(status_of(CHAT, "{\"model\":\"m1\",\"max_tokens\":400}"), 429); /* reserved */
    client_fin(c);
    flow_pass(100);
    client_close(c);
    provider_plays(2, small);
    EXPECT_INT(status_of(CHAT, "{\"model\":\"m2\",\"max_tokens\":600}"), 429);
    EXPECT_INT(status_of(CHAT, "{\"model\":\"m2\",\"max_tokens\":400}"), 200);
    close_limits();
}

static void budgets(const void *row)
{
    const char *const limits[] = {",\"limits\":{\"usdPerDay\":1}", ",\"limits\":{\"usdTotal\":1}"};
    const bool total = row != NULL;
    struct answer a = {0};
    struct client *c;

    open_with(limits[total]);
    provider_plays(1, large);
    provider_plays(2, large);
    EXPECT_INT(status_of(ASK2), 200); /* 0.64 */
    EXPECT_INT(status_of(ASK1), 200); /* no price is known for m1: free as far as weir knows */
    EXPECT_INT(status_of(ASK2), 200); /* began with money left */
    c = flow_talk(ASK2, &a);
    EXPECT_INT(a.status, 403);
    EXPECT(answer_has(&a, "\"code\":\"budget_exhausted\"") && answer_has(&a, "\"type\":\"insufficient_quota\""));
    EXPECT(answer_has(&a, total ? "budget is spent" : "budget for today is spent"));
    EXPECT_STR(answer_field(&a, "x-should-retry"), "false");
    EXPECT(total ? !answer_field(&a, "retry-after").p : answer_field(&a, "retry-after").n > 0);
    client_close(c);
    EXPECT_INT(status_of(ASK1), 403);
    EXPECT_INT(provider(2)->nrequests, 2);
    flow_pass(86400000);
    EXPECT_INT(status_of(ASK2), total ? 403 : 200);
    close_limits();
}

/* Of ten at once with a budget for two, two are let through; the rest may come again, and then find it spent. */
static void many_at_once(const void *row)
{
    static const struct act slow[] = {READ, WAIT(1000), PLAIN(USED("400", "600")), AGAIN, END};
    struct client *c[10];
    unsigned passed = 0, later = 0;

    (void)row;
    open_with(",\"limits\":{\"usdTotal\":1.2}"); /* an answer of up to 600 tokens may cost 0.60, and a bit for the question */
    provider_plays(2, slow);
    for (int i = 0; i < 10; i++) {
        c[i] = client_open();
        flow_ask(c[i], CHAT, "{\"model\":\"m2\",\"max_tokens\":590}");
    }
    for (int i = 0; i < 10; i++) {
        struct answer a = {0};

        (void)flow_answer(c[i], &a, 5000);
        passed += a.status == 200;
        later += a.status == 429;
        if (a.status == 429) {
            EXPECT_STR(answer_field(&a, "retry-after"), "1");
            EXPECT(answer_has(&a, "requests under way"));
        }
        client_close(c[i]);
    }
    EXPECT_INT(passed, 2);
    EXPECT_INT(later, 8);
    EXPECT_INT(provider(2)->nrequests, 2);
    EXPECT_INT(status_of(ASK2), 403);
    close_limits();
}

/* A new snapshot brings new limits, never new counts. */
static void reload_keeps_counts(const void *row)
{
    (void)row;
    open_with(",\"limits\":{\"requestsPerMinute\":2,\"usdTotal\":0.5}");
    provider_plays(1, small);
    provider_plays(2, large);
    EXPECT_INT(status_of(ASK1), 200);
    EXPECT_INT(status_of(ASK2), 200);
    EXPECT_INT(status_of(ASK1), 403);
    flow_key(",\"limits\":{\"requestsPerMinute\":2}");
    flow_reload("\"cooldown\":false", "", NULL);
    EXPECT_INT(status_of(ASK1), 429);
    flow_key(",\"limits\":{\"requestsPerMinute\":60}");
    flow_reload("\"cooldown\":false", "", NULL);
    EXPECT_INT(status_of(ASK1), 200);
    flow_key(",\"limits\":{\"usdTotal\":0.64}");
    flow_reload("\"cooldown\":false", "", NULL);
    EXPECT_INT(status_of(ASK1), 403);
    flow_key("");
    flow_reload("\"cooldown\":false", "", NULL);
    EXPECT_INT(status_of(ASK1), 200);
}

static void expiry(const void *row)
{
    /* This world begins on 2027-01-15 at 09:23:20. */
    struct answer a = {0};
    struct client *c;

    (void)row;
    open_with(",\"expiresAt\":\"2027-01-15T12:30:00+02:00\"");
    provider_plays(1, small);
    EXPECT_INT(status_of(ASK1), 200);
    EXPECT(clock_wall_ms() < 1800009000000);
    flow_pass(1800009000000 - clock_wall_ms());
    c = flow_talk(ASK1, &a);
    EXPECT_INT(a.status, 401);
    EXPECT(answer_has(&a, "\"code\":\"invalid_access_key\"") && answer_has(&a, "expired at 2027-01-15T10:30:00.000Z"));
    client_close(c);
    EXPECT_INT(provider(1)->nrequests, 1);
    close_limits();
}

int main(void)
{
    static const bool yes = true;

    FLOW(requests_per_minute);
    FLOW(lists_of_models_are_free);
    FLOW(tokens_are_settled);
    FLOW(failures_give_tokens_back);
    FLOW(a_client_that_leaves_has_used_tokens);
    FLOW(budgets);
    flow_add("budgets, total", budgets, &yes);
    FLOW(many_at_once);
    FLOW(reload_keeps_counts);
    FLOW(expiry);
    return flow_main();
}
