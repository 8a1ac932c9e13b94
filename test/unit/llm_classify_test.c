/* What an answer amounts to: shapes, words and statuses of our own, then every recorded error body. */
#include "llm/classify.h"

#include "llm_recorded_errors.h"
#include "llm_shared.h"

enum { WALL_S = 1893528000 - 30 }; /* half a minute before 2030-01-01T20:00:00Z */

static struct arena scratch;

static bool make_head(struct http_response *head, const char *lines, char *memory, size_t cap)
{
    struct http_bad bad;
    size_t seen = 0;
    int n = snprintf(memory, cap, "HTTP/1.1 %s\r\n\r\n", lines);

    return CHECK(http_response_parse(head, memory, (size_t)n, &seen, false, &bad) == PARSE_DONE);
}

static struct llm_verdict judge(enum dialect dialect, enum surface surface, const char *lines, const char *body)
{
    static char memory[4096];
    struct http_response head;
    struct llm_verdict v = {0};

    scratch_init(&scratch);
    if (make_head(&head, lines, memory, sizeof(memory)))
        llm_classify(&v, dialect, surface, &head, slice_str(body), WALL_S, &scratch);
    return v;
}

/* ---- error answers ---- */

struct class_case {
    enum dialect dialect;
    const char *head, *body;
    enum outcome outcome;
    const char *code, *message; /* NULL: not looked at */
};

#define OPENAI DIALECT_OPENAI
#define O(x) OUTCOME_##x

static const struct class_case class_cases[] = {
    /* quota before rate limit */
    {OPENAI, "429 X", "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\","
     "\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}", O(QUOTA), "insufficient_quota", NULL},
    {OPENAI, "429 X", "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\"}}",
     O(QUOTA), "", NULL},
    {DIALECT_GOOGLE, "429 X", "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check your plan and "
     "billing details.\",\"status\":\"RESOURCE_EXHAUSTED\"}}", O(RATE_LIMIT), "RESOURCE_EXHAUSTED", NULL},
    {DIALECT_GOOGLE, "429 X", "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, please check your plan and "
     "billing details.\"}}", O(RATE_LIMIT), "", NULL},
    {DIALECT_GOOGLE, "429 X", "{\"error\":{\"code\":429,\"message\":\"Your prepayment credits are depleted.\",\"status\":"
     "\"RESOURCE_EXHAUSTED\"}}", O(QUOTA), NULL, NULL},
    {DIALECT_ANTHROPIC, "400 X", "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is "
     "too low to access the Anthropic API.\"}}", O(QUOTA), NULL, "Your credit balance is too low to access the Anthropic API."},
    {DIALECT_ANTHROPIC, "400 X", "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"You have reached your "
     "specified API usage limits. You will regain access on 2030-02-01.\"}}", O(QUOTA), NULL, NULL},
    {OPENAI, "402 X", "", O(QUOTA), "", ""},
    {OPENAI, "429 X", "{\"error\":{\"message\":\"Rate limit reached. Need more tokens? See /settings/billing\",\"type\":\"tokens\","
     "\"code\":\"rate_limit_exceeded\"}}", O(RATE_LIMIT), "rate_limit_exceeded", NULL},
    {OPENAI, "429 X", "", O(RATE_LIMIT), "", ""},
    {OPENAI, "429 X", "<html>Too many</html>", O(RATE_LIMIT), "", NULL},

    /* too long, whatever the status */
    {OPENAI, "429 X", "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\",\"code\":\"rate_limit_exceeded\"}}",
     O(REJECTED), NULL, NULL},
    {DIALECT_ANTHROPIC, "413 X", "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"Request exceeds\"}}",
     O(REJECTED), "request_too_large", NULL},
    {OPENAI, "413 X", "{\"error\":{\"message\":\"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested "
     "9000\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", O(RATE_LIMIT), NULL, NULL},
    {OPENAI, "413 X", "too big", O(REJECTED), NULL, "too big"},
    {DIALECT_GOOGLE, "429 X", "{\"error\":{\"code\":429,\"message\":\"The input token count (1250074) exceeds the maximum number of "
     "tokens allowed (1048576).\",\"status\":\"RESOURCE_EXHAUSTED\"}}", O(REJECTED), NULL, NULL},

    /* keys */
    {DIALECT_GOOGLE, "400 X", "{\"error\":{\"code\":400,\"message\":\"no\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"reason\":"
     "\"API_KEY_INVALID\"}]}}", O(AUTH), "API_KEY_INVALID", "no"},
    {DIALECT_GOOGLE, "400 X", "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\"}}]", O(AUTH), NULL, NULL},
    {DIALECT_GOOGLE, "400 X", "{\"error\":{\"code\":400,\"message\":\"API key expired. Please renew the API key.\"}}", O(AUTH), NULL, NULL},
    {OPENAI, "400 X", "{\"code\":\"invalid-argument\",\"error\":\"Incorrect API key provided.\"}", O(AUTH), "invalid-argument",
     "Incorrect API key provided."},
    {OPENAI, "403 X", "{\"error\":{\"message\":\"Forbidden\"}}", O(AUTH), NULL, "Forbidden"},
    {OPENAI, "401 X", "{\"detail\":\"Invalid API Key\"}", O(AUTH), "", "Invalid API Key"},
    {OPENAI, "500 X", "{\"error\":{\"message\":\"Invalid API key cache\",\"code\":\"invalid_api_key\"}}", O(UPSTREAM_ERROR), NULL, NULL},

    /* refusals are final */
    {DIALECT_AZURE, "400 X", "{\"error\":{\"message\":\"The response was filtered\",\"code\":\"content_filter\",\"status\":400,\"innererror\":"
     "{\"code\":\"ResponsibleAIPolicyViolation\"}}}", O(CONTENT_POLICY), "content_filter", NULL},
    {OPENAI, "400 X", "{\"error\":{\"code\":\"content_policy_violation\",\"message\":\"no\",\"type\":\"invalid_request_error\"}}",
     O(CONTENT_POLICY), "content_policy_violation", NULL},
    {OPENAI, "403 X", "{\"error\":{\"message\":\"m requires moderation on P. Your input was flagged for \\\"violence\\\".\",\"code\":403,"
     "\"metadata\":{\"reasons\":[\"violence\"],\"flagged_input\":\"x\"}}}", O(CONTENT_POLICY), NULL, NULL},
    {OPENAI, "403 X", "{\"error\":{\"message\":\"no\",\"code\":403,\"metadata\":{\"flagged_input\":\"x\"}}}", O(CONTENT_POLICY), NULL, NULL},
    {OPENAI, "400 X", "{\"error\":{\"message\":\"say content_filter\",\"code\":\"invalid_value\"}}", O(REJECTED), "invalid_value", NULL},

    /* places */
    {OPENAI, "403 X", "{\"error\":{\"code\":\"unsupported_country_region_territory\",\"message\":\"Country, region, or territory not "
     "supported\",\"type\":\"request_forbidden\"}}", O(UPSTREAM_ERROR), NULL, NULL},
    {DIALECT_GOOGLE, "400 X", "{\"error\":{\"code\":400,\"message\":\"User location is not supported for the API use.\",\"status\":"
     "\"FAILED_PRECONDITION\"}}", O(UPSTREAM_ERROR), NULL, NULL},

    /* models */
    {OPENAI, "400 X", "{\"error\":{\"message\":\"The model `m` has been decommissioned and is no longer supported.\",\"code\":"
     "\"model_decommissioned\"}}", O(REJECTED), "model_decommissioned", NULL},
    {OPENAI, "410 X", "gone", O(REJECTED), NULL, NULL},
    {OPENAI, "400 X", "{\"object\":\"error\",\"message\":\"Invalid model: x\",\"type\":\"invalid_model\",\"code\":\"1500\"}", O(NOT_FOUND),
     "invalid_model", NULL},
    {OPENAI, "400 X", "{\"error\":{\"message\":\"x/y is not a valid model ID\",\"code\":400}}", O(NOT_FOUND), "", NULL},
    {OPENAI, "400 X\r\nx-amzn-errortype: ResourceNotFoundException:http://x/", "{\"message\":\"gone\"}", O(NOT_FOUND),
     "ResourceNotFoundException", "gone"},
    {OPENAI, "404 X", "<html></html>", O(NOT_FOUND), "", NULL},

    /* the rest by status */
    {OPENAI, "400 X", "{\"error\":{\"message\":\"The encrypted content gAAA could not be verified.\",\"code\":\"invalid_encrypted_content\"}}",
     O(REJECTED), "invalid_encrypted_content", NULL},
    {OPENAI, "405 X", "", O(REJECTED), NULL, NULL},
    {OPENAI, "408 X", "", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "409 X", "", O(REJECTED), NULL, NULL},
    {OPENAI, "415 X", "", O(REJECTED), NULL, NULL},
    {OPENAI, "422 X", "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"Field required\",\"type\":\"missing\"}]}", O(REJECTED), "missing", "Field required"},
    {OPENAI, "499 X", "", O(REJECTED), NULL, NULL},
    {OPENAI, "500 X", "{\"error\":{\"code\":\"rate_limit_exceeded\"}}", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "503 X", "{\"errors\":[{\"code\":7003,\"message\":\"no route\"}]}", O(UPSTREAM_ERROR), "", "no route"},
    {OPENAI, "520 X", "<html>", O(UPSTREAM_ERROR), NULL, NULL},
    {DIALECT_ANTHROPIC, "529 X", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", O(UPSTREAM_ERROR),
     "overloaded_error", "Overloaded"},
    {OPENAI, "302 X\r\nlocation: /x", "", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "204 X", "", O(UPSTREAM_ERROR), NULL, NULL},

    /* shapes */
    {OPENAI, "402 X", "{\"error\":{\"error\":{\"message\":\"deep\",\"code\":402},\"code\":402}}", O(QUOTA), "", "deep"},
    {OPENAI, "429 X", "\"Too many tokens for team\"", O(RATE_LIMIT), "", "Too many tokens for team"},
    {OPENAI, "400 X", "{\"error\":\"plain \\u0041\"}", O(REJECTED), "", "plain A"},
    {OPENAI, "400 X", "{\"error\":{\"message\":\"cut", O(REJECTED), "", NULL},
    {OPENAI, "400 X", "null", O(REJECTED), "", ""},
    {OPENAI, "400 X", "  \r\n ", O(REJECTED), "", ""},
    {OPENAI, "400 X", "{\"message\":{\"detail\":[{\"type\":\"value_error\",\"msg\":\"bad\"}]},\"object\":\"error\",\"type\":\"invalid_request_error\"}",
     O(REJECTED), "invalid_request_error", "bad"},
    {OPENAI, "400 X", "{\"error\":{\"error\":{\"error\":{\"error\":{\"error\":{\"error\":{\"code\":\"insufficient_quota\"}}}}}}}", O(REJECTED), NULL, NULL},

    /* 200 */
    {OPENAI, "200 OK", "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}", O(OK), NULL, NULL},
    {OPENAI, "200 OK", "\n      \n{\"choices\":[{\"message\":{\"content\":\"about \\\"error\\\"\"}}],\"error\":null}", O(OK), NULL, NULL},
    {OPENAI, "200 OK", "  {\"error\":{\"code\":502,\"message\":\"worker\"}}", O(UPSTREAM_ERROR), NULL, "worker"},
    {OPENAI, "200 OK", "{\"error\":{\"code\":429,\"message\":\"slow\"},\"user_id\":\"u\"}", O(RATE_LIMIT), NULL, "slow"},
    {OPENAI, "200 OK", "{\"error\":{\"message\":\"x\",\"code\":\"content_filter\",\"status\":400}}", O(CONTENT_POLICY), "content_filter", NULL},
    {OPENAI, "200 OK", "{\"choices\":[{\"message\":{\"content\":\"part\"},\"finish_reason\":\"error\",\"error\":{\"code\":502}}]}", O(OK), NULL, NULL},
    {OPENAI, "200 OK", "{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"error\",\"error\":{\"code\":429,\"message\":\"m\"}}]}",
     O(RATE_LIMIT), NULL, "m"},
    {OPENAI, "200 OK", "{\"error\":{\"message\":\"half\"},\"choices\":[{\"message\":{\"content\":\"hi\"}}]}", O(OK), NULL, NULL},
    {OPENAI, "200 OK", "{\"error\":{\"message\":\"none\"},\"choices\":[]}", O(UPSTREAM_ERROR), NULL, "none"},
    {OPENAI, "200 OK", "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}", O(REJECTED), NULL, "m"},
    {DIALECT_ANTHROPIC, "200 OK", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"o\"}}", O(UPSTREAM_ERROR), NULL, "o"},
    {DIALECT_GOOGLE, "200 OK", "[{\"error\":{\"code\":401,\"message\":\"m\",\"status\":\"UNAUTHENTICATED\"}}]", O(AUTH), "UNAUTHENTICATED", "m"},
    {OPENAI, "200 OK", "{\"id\":\"r\",\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"},"
     "\"output\":[]}", O(RATE_LIMIT), "rate_limit_exceeded", "m"},
    {OPENAI, "200 OK", "", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "200 OK", " \n ", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "200 OK", "<html>login</html>", O(UPSTREAM_ERROR), NULL, NULL},
    {OPENAI, "200 OK", "{\"choices\":[{\"mess", O(OK), NULL, NULL},
};

static void test_classes(void)
{
    for (size_t i = 0; i < sizeof(class_cases) / sizeof(class_cases[0]); i++) {
        const struct class_case *c = &class_cases[i];
        struct llm_verdict v = judge(c->dialect, SURFACE_CHAT, c->head, c->body);

        check_case(c->body);
        CHECK_STR(slice_str(outcome_name(v.outcome)), outcome_name(c->outcome));
        if (c->code)
            CHECK_STR(v.code, c->code);
        if (c->message)
            CHECK_STR(v.message, c->message);
        if (v.outcome == OUTCOME_OK)
            CHECK_INT(v.retry_after_ms, -1);
    }
    check_case("speech answers with bytes");
    CHECK_INT(judge(OPENAI, SURFACE_SPEECH, "200 OK", "\xff\xf3\x84").outcome, OUTCOME_OK);
}

/* ---- errors that name no status ---- */

static void test_events(void)
{
    static const struct {
        const char *data;
        enum outcome outcome;
        unsigned status;
    } cases[] = {
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", O(UPSTREAM_ERROR), 529},
        {"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}", O(RATE_LIMIT), 429},
        {"{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"m\"}}", O(AUTH), 401},
        {"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}", O(REJECTED), 400},
        {"{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}", O(UPSTREAM_ERROR), 500},
        {"{\"code\":\"insufficient_quota\",\"message\":\"m\"}", O(QUOTA), 429},
        {"{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null,\"sequence_number\":1}", O(RATE_LIMIT), 429},
        {"{\"choices\":[],\"error\":{\"code\":502,\"message\":\"m\"}}", O(UPSTREAM_ERROR), 502},
        {"{\"choices\":[],\"error\":{\"code\":\"429\",\"message\":\"m\"}}", O(RATE_LIMIT), 429},
        {"{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"status_code\":400}}", O(REJECTED), 400},
        {"{\"error\":{\"message\":\"m\",\"code\":\"content_filter\",\"status\":400}}", O(CONTENT_POLICY), 400},
        {"{\"detail\":\"failed to decode, try again, increasing context size or reducing parallel\"}", O(UPSTREAM_ERROR), 502},
        {"{\"choices\":[{\"finish_reason\":\"error\"}]}", O(UPSTREAM_ERROR), 502},
        {"{\"error\":\"rate limit reached\"}", O(RATE_LIMIT), 429},
        {"upstream connect error", O(UPSTREAM_ERROR), 502},
        {"", O(UPSTREAM_ERROR), 502},
    };
    static char memory[256];
    struct http_response head;

    if (!make_head(&head, "200 OK\r\nretry-after: 61", memory, sizeof(memory)))
        return;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct llm_verdict v;

        check_case(cases[i].data);
        scratch_init(&scratch);
        llm_classify_event(&v, DIALECT_OPENAI, SURFACE_CHAT, &head, slice_str(cases[i].data), WALL_S, &scratch);
        CHECK_STR(slice_str(outcome_name(v.outcome)), outcome_name(cases[i].outcome));
        CHECK_INT(v.status, cases[i].status);
        CHECK_INT(v.retry_after_ms, -1); /* what the head of a success says is no wait for a failure */
    }
}

/* ---- every word of the table, alone ---- */

/* code or message of an error that names no status, so that the word alone decides; status != 0: of an answer with it. */
static const struct {
    const char *code, *message;
    unsigned status;
    enum outcome outcome;
    unsigned amounts_to;
} words[] = {
    {"ResponsibleAIPolicyViolation", "", 0, O(CONTENT_POLICY), 400},
    {"moderation_blocked", "", 0, O(CONTENT_POLICY), 400},
    {"image_content_policy_violation", "", 0, O(CONTENT_POLICY), 400},
    {"data_inspection_failed", "", 0, O(CONTENT_POLICY), 400},
    {"DataInspectionFailed", "", 0, O(CONTENT_POLICY), 400},
    {"", "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", 0, O(CONTENT_POLICY), 400},
    {"", "Output blocked by content filtering policy", 0, O(CONTENT_POLICY), 400},
    {"", "Your request was rejected as a result of our safety system.", 0, O(CONTENT_POLICY), 400},
    {"invalid_prompt", "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", 0, O(CONTENT_POLICY), 400},
    {"", "Content violates usage guidelines. Failed check: SAFETY_CHECK", 0, O(CONTENT_POLICY), 403},
    {"", "Your input was flagged for \"harassment\".", 0, O(CONTENT_POLICY), 403},
    {"", "openai/gpt-4 requires moderation on OpenAI.", 403, O(CONTENT_POLICY), 403},
    {"", "Request flagged by moderation endpoint", 403, O(CONTENT_POLICY), 403},

    {"credit_balance_exhausted", "", 0, O(QUOTA), 429},
    {"enforced_spend_limit", "", 0, O(QUOTA), 429},
    {"billing_hard_limit_reached", "", 0, O(QUOTA), 429},
    {"billing_not_active", "", 0, O(QUOTA), 429},
    {"billing_error", "", 0, O(QUOTA), 402},
    {"insufficient_balance", "", 0, O(QUOTA), 402},
    {"insufficient_credits", "", 0, O(QUOTA), 402},
    {"insufficient_funds", "", 0, O(QUOTA), 402},
    {"payment_required", "", 0, O(QUOTA), 402},
    {"exceeded_current_quota_error", "", 0, O(QUOTA), 429},
    {"Arrearage", "", 0, O(QUOTA), 402},
    {"", "This organization has reached its spend limit.", 400, O(QUOTA), 400},
    {"", "Account suspended, possibly due to reaching the monthly spending limit", 412, O(QUOTA), 412},
    {"", "Insufficient balance or no resource package. Please recharge.", 429, O(QUOTA), 429},
    {"", "You have insufficient credits.", 400, O(QUOTA), 400},
    {"", "Insufficient funds in the account", 400, O(QUOTA), 400},
    {"", "Your team t has used all available credits.", 403, O(QUOTA), 403},
    {"", "This request requires more credits, or fewer max_tokens.", 400, O(QUOTA), 400},
    {"", "You have exceeded your monthly included credits for Inference Providers.", 400, O(QUOTA), 400},
    {"", "Billing hard limit has been reached", 400, O(QUOTA), 400},

    {"rate_limit_exceeded", "Please reduce the length of the messages.", 413, O(RATE_LIMIT), 413},
    {"", "Request too large on tokens per minute (TPM). Please reduce the length of the messages.", 413, O(RATE_LIMIT), 413},
    {"context_length_exceeded", "", 0, O(REJECTED), 400},
    {"context_window_exceeded", "", 0, O(REJECTED), 400},
    {"exceed_context_size_error", "", 0, O(REJECTED), 400},
    {"TOO_MANY_TOKENS", "model not found", 400, O(REJECTED), 400}, /* over a message that says otherwise */
    {"request_too_large", "", 0, O(REJECTED), 413},
    {"", "Your input exceeds the context window of this model.", 0, O(REJECTED), 400},
    {"", "request (2009 tokens) exceeds the available context size (512 tokens)", 0, O(REJECTED), 400},
    {"", "prompt is too long: 210000 tokens > 200000 maximum", 0, O(REJECTED), 400},
    {"", "prompt too long; exceeded by 7 tokens", 0, O(REJECTED), 400},
    {"", "This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 0, O(REJECTED), 400},
    {"", "Input Tokens Exceeded: Number of input tokens exceeds maximum length.", 0, O(REJECTED), 400},
    {"", "Please reduce the length of either one.", 0, O(REJECTED), 400},

    {"model_decommissioned", "", 0, O(REJECTED), 404},
    {"model_deprecated", "", 0, O(REJECTED), 404},
    {"NOT_FOUND", "", 410, O(REJECTED), 410},
    {"", "The model `m` is deprecated.", 404, O(REJECTED), 404},
    {"", "The model `m` has been decommissioned.", 404, O(REJECTED), 404},
    {"", "This model was retired last year.", 404, O(REJECTED), 404},

    {"unsupported_country_region_territory", "", 0, O(UPSTREAM_ERROR), 403},
    {"request_forbidden", "Country, region, or territory not supported", 0, O(UPSTREAM_ERROR), 403},
    {"", "The service is not available in your country.", 403, O(UPSTREAM_ERROR), 403},
    {"", "This model is not available in your region.", 403, O(UPSTREAM_ERROR), 403},

    {"invalid_api_key", "", 0, O(AUTH), 401},
    {"API_KEY_EXPIRED", "", 0, O(AUTH), 401},
    {"account_deactivated", "", 0, O(AUTH), 401},
    {"invalid_authentication_error", "", 0, O(AUTH), 401},
    {"UNAUTHENTICATED", "", 0, O(AUTH), 401},
    {"Unauthorized", "", 0, O(AUTH), 401},
    {"permission_error", "", 0, O(AUTH), 403},
    {"PERMISSION_DENIED", "", 0, O(AUTH), 403},
    {"UnrecognizedClientException", "", 0, O(AUTH), 403},
    {"ExpiredTokenException", "", 0, O(AUTH), 403},
    {"AccessDeniedException", "", 0, O(AUTH), 403},
    {"InvalidSignatureException", "", 0, O(AUTH), 403},
    {"", "Invalid API Key", 0, O(AUTH), 401},
    {"", "invalid x-api-key", 0, O(AUTH), 401},

    {"model_not_found", "", 0, O(NOT_FOUND), 404},
    {"not_found_error", "", 0, O(NOT_FOUND), 404},
    {"NOT_FOUND", "", 0, O(NOT_FOUND), 404},
    {"invalid_model", "", 0, O(NOT_FOUND), 404},
    {"DeploymentNotFound", "", 0, O(NOT_FOUND), 404},
    {"", "Model Not Exist", 400, O(NOT_FOUND), 400},
    {"", "The model `m` does not exist or you do not have access to it.", 400, O(NOT_FOUND), 400},
    {"", "model 'm' not found, try pulling it first", 400, O(NOT_FOUND), 400},
    {"", "Invalid model: m", 400, O(NOT_FOUND), 400},
    {"", "Unknown model m", 400, O(NOT_FOUND), 400},

    {"rate_limit", "", 0, O(RATE_LIMIT), 429},
    {"rate_limited", "", 0, O(RATE_LIMIT), 429},
    {"too_many_requests", "", 0, O(RATE_LIMIT), 429},
    {"TooManyRequests", "", 0, O(RATE_LIMIT), 429},
    {"RateLimitReached", "", 0, O(RATE_LIMIT), 429},
    {"RESOURCE_EXHAUSTED", "check your plan and billing details", 429, O(RATE_LIMIT), 429},
    {"rateLimitExceeded", "", 0, O(RATE_LIMIT), 429},
    {"ThrottlingException", "", 0, O(RATE_LIMIT), 429},
    {"too_many_tokens_error", "", 0, O(RATE_LIMIT), 429},
    {"", "Limit 6000 tokens per minute", 0, O(RATE_LIMIT), 429},
    {"", "More than 50 requests per minute", 0, O(RATE_LIMIT), 429},

    {"server_overloaded", "", 0, O(UPSTREAM_ERROR), 503},
    {"service_unavailable", "", 0, O(UPSTREAM_ERROR), 503},
    {"UNAVAILABLE", "", 0, O(UPSTREAM_ERROR), 503},
    {"server_error", "", 0, O(UPSTREAM_ERROR), 500},
    {"internal_server_error", "", 0, O(UPSTREAM_ERROR), 500},
    {"INTERNAL", "", 0, O(UPSTREAM_ERROR), 500},
    {"timeout_error", "", 0, O(UPSTREAM_ERROR), 504},
    {"DEADLINE_EXCEEDED", "", 0, O(UPSTREAM_ERROR), 504},

    {"invalid_encrypted_content", "", 0, O(REJECTED), 400},
    {"tool_use_failed", "", 0, O(REJECTED), 400},
    {"invalid_request", "", 0, O(REJECTED), 400},
    {"invalid_prompt", "", 0, O(REJECTED), 400},
    {"BadRequestError", "", 0, O(REJECTED), 400},
    {"bad_request", "", 0, O(REJECTED), 400},
    {"INVALID_ARGUMENT", "", 0, O(REJECTED), 400},
    {"FAILED_PRECONDITION", "", 0, O(REJECTED), 400},
    {"validation_error", "", 0, O(REJECTED), 422},
    {"", "The encrypted content gAAA could not be verified.", 0, O(REJECTED), 400},

    /* words that are none: nearly one, or quoted where no word is looked for */
    {"insufficient_quota_", "", 0, O(UPSTREAM_ERROR), 502},
    {"", "insufficient_quota", 0, O(UPSTREAM_ERROR), 502},
    {"", "the credit balance", 0, O(UPSTREAM_ERROR), 502},
    {"", "exists: the model", 400, O(REJECTED), 400},
    {"context_length_exceeded", "", 500, O(UPSTREAM_ERROR), 500},
    {"", "prompt is too long", 503, O(UPSTREAM_ERROR), 503},
    {"", "api key not valid", 404, O(NOT_FOUND), 404},
};

static void test_words(void)
{
    static char memory[256], body[1024], status[32];
    struct http_response head;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct llm_verdict v = {0};
        struct slice message = slice_str(words[i].message);
        size_t n = (size_t)snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"", words[i].code);

        for (size_t k = 0; k < message.n; k++) {
            if (message.p[k] == '"')
                body[n++] = '\\';
            body[n++] = message.p[k];
        }
        n += (size_t)snprintf(body + n, sizeof(body) - n, "\"}}");
        check_case(body);
        snprintf(status, sizeof(status), "%u X", words[i].status ? words[i].status : 200);
        scratch_init(&scratch);
        if (make_head(&head, status, memory, sizeof(memory)))
            llm_classify_event(&v, DIALECT_OPENAI, SURFACE_CHAT, &head, slice_make(body, n), WALL_S, &scratch);
        CHECK_STR(slice_str(outcome_name(v.outcome)), outcome_name(words[i].outcome));
        CHECK_INT(v.status, words[i].amounts_to);
    }
}

/* ---- waits ---- */

static void test_waits(void)
{
    static const struct {
        const char *head, *body;
        int64_t ms;
    } cases[] = {
        {"429 X\r\nretry-after: 5", "", 5000},
        {"429 X\r\nretry-after: 0", "", 0},
        {"429 X\r\nretry-after: 1.5", "", 1500},
        {"429 X\r\nRetry-After: 1\r\nRetry-After-Ms: 0", "", 1000},
        {"429 X\r\nretry-after: 1\r\nretry-after-ms: 2500", "", 2500},
        {"429 X\r\nretry-after-ms: 120", "", 120},
        {"429 X\r\nretry-after: 86400", "", 3600000},
        {"429 X\r\nretry-after: 1000000000", "", -1},
        {"429 X\r\nretry-after: 99999999999999999999", "", -1},
        {"429 X\r\nretry-after: -1", "", -1},
        {"429 X\r\nretry-after: soon", "", -1},
        {"429 X\r\nretry-after: 5 s", "", -1},
        {"429 X\r\nretry-after:", "", -1},
        {"429 X\r\nretry-after: Tue, 01 Jan 2030 20:00:00 GMT", "", 30000},
        {"429 X\r\nretry-after: Tue, 01 Jan 2030 19:59:30 GMT", "", 0},
        {"429 X\r\nretry-after: Tue, 01 Jan 2030 19:59:29 GMT", "", -1},
        {"429 X\r\nretry-after: Thu, 01 Jan 1970 00:00:00 GMT", "", -1},
        {"429 X\r\nretry-after: Fri, 31 Dec 9999 23:59:59 GMT", "", 3600000},
        {"429 X\r\nretry-after: Tue, 01 Jan 2030 20:00:00", "", -1},
        {"429 X\r\nretry-after: Tue, 41 Jan 2030 20:00:00 GMT", "", -1},
        {"429 X\r\nx-ratelimit-remaining-requests: 14370\r\nx-ratelimit-reset-requests: 2m59.56s\r\n"
         "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 4.77s", "", 4770},
        {"429 X\r\nretry-after: 5\r\nx-ratelimit-reset-tokens: 1m30s\r\nx-ratelimit-remaining-tokens: 0", "", 90000},
        {"429 X\r\nretry-after: 5\r\nx-ratelimit-reset-tokens: 1m30s", "", 5000},
        {"429 X\r\nx-rate-limit-reset-tokens: 55", "", 55000},
        {"429 X\r\nx-ratelimit-reset: 1893528010\r\nx-ratelimit-remaining: 0", "", 40000},
        {"429 X\r\nx-ratelimit-reset: 1893528010500\r\nx-ratelimit-remaining: 0", "", 40500},
        {"429 X\r\nx-ratelimit-reset: 1000000000\r\nx-ratelimit-remaining: 0", "", -1},
        {"429 X\r\nx-ratelimit-reset-tokens: 120ms", "", 120},
        {"429 X\r\nx-ratelimit-reset-tokens: 1h", "", 3600000},
        {"429 X\r\nx-ratelimit-reset-tokens: 1x", "", -1},
        {"429 X\r\nx-ratelimit-reset-tokens: s", "", -1},
        {"429 X\r\nanthropic-ratelimit-requests-reset: 2030-01-01T20:00:10Z\r\nanthropic-ratelimit-requests-remaining: 0\r\n"
         "anthropic-ratelimit-tokens-reset: 2030-01-01T20:30:00Z\r\nanthropic-ratelimit-tokens-remaining: 9", "", 40000},
        {"429 X\r\nanthropic-ratelimit-tokens-reset: 2030-01-01T21:00:10.5+01:00\r\nanthropic-ratelimit-tokens-remaining: 0", "", 40000},
        {"429 X\r\nanthropic-ratelimit-tokens-reset: 2030-01-01\r\nanthropic-ratelimit-tokens-remaining: 0", "", -1},
        {"429 X\r\nanthropic-ratelimit-tokens-reset: 2029-01-01T20:00:10Z\r\nanthropic-ratelimit-tokens-remaining: 0", "", -1},
        {"429 X", "{\"error\":{\"details\":[{\"a\":1},{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"48s\"}]}}", 48000},
        {"429 X", "[{\"error\":{\"details\":[{\"retryDelay\":\"1.25s\"}]}}]", 1250},
        {"429 X", "{\"error\":{\"details\":[{\"retryDelay\":\"48\"}]}}", -1},
        {"429 X\r\nretry-after: 2", "{\"error\":{\"details\":[{\"retryDelay\":\"48s\"}],\"message\":\"retry in 99s\"}}", 48000},
        {"429 X", "{\"error\":{\"message\":\"Please try again in 2.1s. Visit\"}}", 2100},
        {"429 X", "{\"error\":{\"message\":\"Please try again in 6m0s.\"}}", 360000},
        {"429 X", "{\"error\":{\"message\":\"Please retry after 55 seconds.\"}}", 55000},
        {"429 X", "{\"error\":{\"message\":\"Please try again in a moment\"}}", -1},
        {"400 X\r\nretry-after: 5", "{}", -1}, /* nothing to wait for */
        {"503 X\r\nretry-after: 7", "", 7000},
        {"401 X\r\nretry-after: 7", "", 7000},
        {"200 OK\r\nretry-after: 61", "{\"choices\":[1]}", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(cases[i].head);
        CHECK_INT(judge(DIALECT_OPENAI, SURFACE_CHAT, cases[i].head, cases[i].body).retry_after_ms, cases[i].ms);
    }
}

static void test_dialects(void)
{
    static const struct {
        const char *id, *host;
        enum dialect dialect;
    } cases[] = {
        {"openai", "api.openai.com", DIALECT_OPENAI},
        {"anthropic", "127.0.0.1", DIALECT_ANTHROPIC},
        {"mine", "api.anthropic.com", DIALECT_ANTHROPIC},
        {"google", "generativelanguage.googleapis.com", DIALECT_GOOGLE},
        {"gemini", "", DIALECT_GOOGLE},
        {"work", "x.openai.azure.com", DIALECT_AZURE},
        {"azure", "", DIALECT_AZURE},
        {"openrouter", "openrouter.ai", DIALECT_OPENAI},
        {"", "", DIALECT_OPENAI},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(cases[i].id);
        CHECK_INT(llm_dialect_of(slice_str(cases[i].id), slice_str(cases[i].host)), cases[i].dialect);
    }
}

/* ---- recorded ---- */

static struct llm_verdict judge_file(const char *below, const char *id)
{
    static char memory[65536];
    struct http_response head;
    struct llm_verdict v = {0};
    struct slice body = shared_read(below, "response.body");
    struct slice provider = slice_str(id);
    enum surface surface = strstr(id, "responses") ? SURFACE_RESPONSES : SURFACE_CHAT;

    provider = slice_first(provider, (size_t)slice_find_char(provider, '/'));
    scratch_init(&scratch);
    if (CHECK(shared_head(below, &head, memory, sizeof(memory)))) {
        llm_classify(&v, llm_dialect_of(provider, SLICE("")), surface, &head, body, WALL_S, &scratch);
        /* The same words behind an arena that is too small for them: any verdict, but one. */
        arena_init_fixed(&scratch, shared_scratch, 64);
        struct llm_verdict small;
        llm_classify(&small, llm_dialect_of(provider, SLICE("")), surface, &head, body, WALL_S, &scratch);
        CHECK(small.outcome != OUTCOME_NONE && (small.outcome == OUTCOME_OK) == (v.outcome == OUTCOME_OK));
    }
    shared_free(&body);
    return v;
}

static void recorded_one(const char *id)
{
    char below[1100];
    struct slice meta;

    snprintf(below, sizeof(below), "recorded/%s", id);
    meta = shared_read(below, "meta.json");
    if (slice_find(meta, SLICE("\"kind\": \"error\"")) >= 0) {
        bool known = false;

        for (size_t i = 0; i < sizeof(recorded_errors) / sizeof(recorded_errors[0]); i++)
            if (strcmp(recorded_errors[i].id, id) == 0) {
                known = true;
                check_case(recorded_errors[i].id);
                CHECK_STR(slice_str(outcome_name(judge_file(below, id).outcome)), outcome_name(recorded_errors[i].outcome));
            }
        if (!CHECK(known))
            printf("     no expected class for %s\n", id);
    }
    if (slice_find(meta, SLICE("\"kind\": \"unary\"")) >= 0) {
        struct llm_verdict v = judge_file(below, id);

        check_case("recorded success");
        /* A success is one, whatever its shape, white space and headers. The exception is the 200 with an error in it. */
        bool filtered = strcmp(id, "azure/openai-chat-unary-openllmetry-test-prompt-content-filtering-0") == 0;

        CHECK_STR(slice_str(outcome_name(v.outcome)), filtered ? "content_policy" : "ok");
        CHECK_INT(v.status, filtered ? 400 : 200);
        if ((v.outcome == OUTCOME_OK) == filtered)
            printf("     %s\n", id);
        CHECK_INT(v.retry_after_ms, -1);
    }
    shared_free(&meta);
}

static const struct {
    const char *id;
    enum outcome outcome;
    int64_t ms;
} reported[] = {
    {"anthropic/429-account-rate-limit", O(RATE_LIMIT), -1},
    {"anthropic/429-ratelimit-headers-no-retry-after", O(RATE_LIMIT), 30000},
    {"anthropic/504-cloudflare", O(UPSTREAM_ERROR), -1},
    {"anthropic/529-overloaded", O(UPSTREAM_ERROR), -1},
    {"azure/429-rate-limit-reset-tokens", O(RATE_LIMIT), 55000},
    {"azure/429-retry-after-86400", O(RATE_LIMIT), 3600000},
    {"bedrock/429-throttling", O(RATE_LIMIT), -1},
    {"cerebras/429-plain", O(RATE_LIMIT), -1},
    {"cloudflare-front/524-plain-text", O(UPSTREAM_ERROR), -1},
    {"deepseek/402-insufficient-balance", O(QUOTA), -1},
    {"gemini/429-openai-compat-array", O(RATE_LIMIT), -1},
    {"gemini/503-overloaded", O(UPSTREAM_ERROR), -1},
    {"groq/429-tpm", O(RATE_LIMIT), 5000},
    {"openai/400-context-length", O(REJECTED), -1},
    {"openai/429-no-ratelimit-headers", O(RATE_LIMIT), 2100},
    {"openai/429-tpm-ms", O(RATE_LIMIT), 174},
    {"openai/520-cloudflare-html", O(UPSTREAM_ERROR), -1},
    {"openrouter/402-credits", O(QUOTA), -1},
    {"openrouter/402-nested-error", O(QUOTA), -1},
    {"vllm/400-context-length", O(REJECTED), -1},
    {"xai/429-plain-string", O(RATE_LIMIT), -1},
};

static void reported_one(const char *id)
{
    char below[1100];
    bool known = strstr(id, "/200-") != NULL; /* streams: llm_stream_test */

    snprintf(below, sizeof(below), "data/reported-errors/%s", id);
    for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++)
        if (strcmp(reported[i].id, id) == 0) {
            struct llm_verdict v = judge_file(below, id);

            known = true;
            check_case(reported[i].id);
            CHECK_STR(slice_str(outcome_name(v.outcome)), outcome_name(reported[i].outcome));
            CHECK_INT(v.retry_after_ms, reported[i].ms);
        }
    if (!CHECK(known))
        printf("     no expected class for %s\n", id);
}

int main(void)
{
    test_classes();
    test_events();
    test_words();
    test_waits();
    test_dialects();
    if (shared_there("recorded"))
        CHECK(shared_each("recorded", recorded_one) > 0);
    if (shared_there("data/reported-errors"))
        CHECK(shared_each("data/reported-errors", reported_one) > 0);
    return check_end();
}
