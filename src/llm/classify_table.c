/* One row per fact. The order is the policy:
 *   refusals       final, so nothing may hide one
 *   quota          before rate limit: many providers say both, and only one of them passes by waiting
 *   too long       before rate limit: some answer 429 to a prompt no key will ever take
 *   gone models    before not found: no key of ours has a retired model
 *   region         before auth: the key is good, the place is not
 *   auth, not found, rate limit, trouble upstream, bad requests; then the bare status.
 * Words come from recorded and publicly reported bodies. A text must be long enough that a request which the message
 * quotes does not contain it by chance. */
#include "llm/classify_table.h"

#include "llm/classify.h"

#define ALL ((1u << DIALECT_COUNT) - 1)
#define BUT_GOOGLE (ALL & ~(1u << DIALECT_GOOGLE))

/* Status ranges; those from 0 hold for errors that name no status. */
#define ANY 0, 999
#define CLIENT 0, 499 /* not a 5xx: there the status is the better witness */
#define REST_OF_CLIENT 400, 499
#define TO_403 0, 403
#define TO_422 0, 422
#define TO_429 0, 429
#define UNSAID 0, 0
#define ONLY(s) s, s

#define CODE(dialects, range, word, outcome, status) {word, dialects, OUTCOME_##outcome, CLASS_CODE, range, status}
#define TEXT(dialects, range, word, outcome, status) {word, dialects, OUTCOME_##outcome, CLASS_TEXT, range, status}
#define STATUS(range, outcome) {NULL, ALL, OUTCOME_##outcome, CLASS_STATUS, range, 502}

const struct class_rule class_rules[] = {
    /* ---- refused by content policy ---- */
    CODE(ALL, ANY, "content_filter", CONTENT_POLICY, 400),
    CODE(ALL, ANY, "content_policy_violation", CONTENT_POLICY, 400),
    CODE(ALL, ANY, "ResponsibleAIPolicyViolation", CONTENT_POLICY, 400), /* Azure, in innererror */
    CODE(ALL, ANY, "moderation_blocked", CONTENT_POLICY, 400),           /* OpenAI images */
    CODE(ALL, ANY, "image_content_policy_violation", CONTENT_POLICY, 400), /* OpenAI responses */
    CODE(ALL, ANY, "data_inspection_failed", CONTENT_POLICY, 400),       /* Alibaba */
    CODE(ALL, ANY, "DataInspectionFailed", CONTENT_POLICY, 400),
    CODE(ALL, CLIENT, "moderation", CONTENT_POLICY, 403), /* the reader's word for OpenRouter's metadata.flagged_input */
    TEXT(ALL, CLIENT, "content management policy", CONTENT_POLICY, 400), /* Azure */
    TEXT(ALL, CLIENT, "content filtering policy", CONTENT_POLICY, 400),  /* Anthropic: "Output blocked by" */
    TEXT(ALL, CLIENT, "result of our safety system", CONTENT_POLICY, 400),
    TEXT(ALL, CLIENT, "flagged as potentially violating", CONTENT_POLICY, 400), /* OpenAI, code invalid_prompt */
    TEXT(ALL, CLIENT, "content violates usage guidelines", CONTENT_POLICY, 403), /* xAI */
    TEXT(ALL, CLIENT, "input was flagged", CONTENT_POLICY, 403),         /* OpenRouter */
    TEXT(ALL, ONLY(403), "requires moderation", CONTENT_POLICY, 403),
    TEXT(ALL, ONLY(403), "flagged by moderation", CONTENT_POLICY, 403),

    /* ---- quota: waiting a minute does not help ---- */
    CODE(ALL, ANY, "insufficient_quota", QUOTA, 429),
    CODE(ALL, ANY, "credit_balance_exhausted", QUOTA, 429),
    CODE(ALL, ANY, "enforced_spend_limit", QUOTA, 429),
    CODE(ALL, ANY, "billing_hard_limit_reached", QUOTA, 429),
    CODE(ALL, ANY, "billing_not_active", QUOTA, 429),
    CODE(ALL, ANY, "billing_error", QUOTA, 402), /* Anthropic */
    CODE(ALL, ANY, "insufficient_balance", QUOTA, 402),
    CODE(ALL, ANY, "insufficient_credits", QUOTA, 402),
    CODE(ALL, ANY, "insufficient_funds", QUOTA, 402),
    CODE(ALL, ANY, "payment_required", QUOTA, 402),
    CODE(ALL, ANY, "exceeded_current_quota_error", QUOTA, 429), /* Moonshot */
    CODE(ALL, ANY, "Arrearage", QUOTA, 402),                    /* Alibaba */
    TEXT(ALL, CLIENT, "credit balance is too low", QUOTA, 402), /* Anthropic, as a 400 */
    TEXT(ALL, CLIENT, "specified api usage limits", QUOTA, 402),
    TEXT(ALL, CLIENT, "spend limit", QUOTA, 402),
    TEXT(ALL, CLIENT, "spending limit", QUOTA, 402),
    TEXT(ALL, CLIENT, "prepayment credits", QUOTA, 402), /* Google, as RESOURCE_EXHAUSTED */
    TEXT(ALL, CLIENT, "insufficient balance", QUOTA, 402),
    TEXT(ALL, CLIENT, "insufficient credits", QUOTA, 402),
    TEXT(ALL, CLIENT, "insufficient funds", QUOTA, 402),
    TEXT(ALL, CLIENT, "used all available credits", QUOTA, 402), /* xAI */
    TEXT(ALL, CLIENT, "requires more credits", QUOTA, 402),      /* OpenRouter */
    TEXT(ALL, CLIENT, "monthly included credits", QUOTA, 402),   /* Hugging Face */
    TEXT(ALL, CLIENT, "billing hard limit", QUOTA, 402),
    STATUS(ONLY(402), QUOTA),

    /* ---- Groq's 413 is about tokens per minute, not about the length ---- */
    CODE(ALL, ONLY(413), "rate_limit_exceeded", RATE_LIMIT, 429),
    TEXT(ALL, ONLY(413), "tokens per minute", RATE_LIMIT, 429),

    /* ---- the prompt is too long: whatever the status, another key changes nothing ---- */
    CODE(ALL, CLIENT, "context_length_exceeded", REJECTED, 400),
    CODE(ALL, CLIENT, "context_window_exceeded", REJECTED, 400),
    CODE(ALL, CLIENT, "exceed_context_size_error", REJECTED, 400), /* llama.cpp */
    CODE(ALL, ONLY(400), "too_many_tokens", REJECTED, 400),        /* Cohere */
    CODE(ALL, CLIENT, "request_too_large", REJECTED, 413),         /* Anthropic */
    TEXT(ALL, CLIENT, "context length", REJECTED, 400),
    TEXT(ALL, CLIENT, "context window", REJECTED, 400),
    TEXT(ALL, CLIENT, "available context size", REJECTED, 400),
    TEXT(ALL, CLIENT, "prompt is too long", REJECTED, 400), /* Anthropic */
    TEXT(ALL, CLIENT, "prompt too long", REJECTED, 400),    /* Ollama */
    TEXT(ALL, CLIENT, "maximum prompt length", REJECTED, 400), /* xAI */
    TEXT(ALL, CLIENT, "input token count*exceeds the maximum", REJECTED, 400), /* Google */
    TEXT(ALL, CLIENT, "input tokens exceed", REJECTED, 400),
    TEXT(ALL, CLIENT, "reduce the length of", REJECTED, 400),

    /* ---- gone models: next model, and the key is not to blame ---- */
    CODE(ALL, CLIENT, "model_decommissioned", REJECTED, 404), /* Groq */
    CODE(ALL, CLIENT, "model_deprecated", REJECTED, 404),
    STATUS(ONLY(410), REJECTED),
    TEXT(ALL, CLIENT, "model*has been deprecated", REJECTED, 404),
    TEXT(ALL, CLIENT, "model*is deprecated", REJECTED, 404),
    TEXT(ALL, CLIENT, "model*decommissioned", REJECTED, 404),
    TEXT(ALL, CLIENT, "model*retired", REJECTED, 404),
    TEXT(ALL, CLIENT, "model*end of its life", REJECTED, 404), /* Bedrock */
    TEXT(ALL, CLIENT, "model*was removed on", REJECTED, 404),  /* Cohere */

    /* ---- not from this place. Next provider; upstream_error neither cools the key as auth does nor ends the queue,
     * and an origin that goes on refusing us trips its breaker, which is the truth about it. ---- */
    CODE(ALL, CLIENT, "unsupported_country_region_territory", UPSTREAM_ERROR, 403),
    TEXT(ALL, CLIENT, "country, region, or territory not supported", UPSTREAM_ERROR, 403),
    TEXT(ALL, CLIENT, "location is not supported", UPSTREAM_ERROR, 403), /* Google, as a 400 */
    TEXT(ALL, CLIENT, "not available in your country", UPSTREAM_ERROR, 403),
    TEXT(ALL, CLIENT, "not available in your region", UPSTREAM_ERROR, 403),

    /* ---- the key ---- */
    CODE(ALL, CLIENT, "invalid_api_key", AUTH, 401),
    CODE(ALL, CLIENT, "API_KEY_INVALID", AUTH, 401), /* Google, as a 400 */
    CODE(ALL, CLIENT, "API_KEY_EXPIRED", AUTH, 401),
    CODE(ALL, CLIENT, "account_deactivated", AUTH, 401),
    CODE(ALL, CLIENT, "authentication_error", AUTH, 401),
    CODE(ALL, CLIENT, "invalid_authentication_error", AUTH, 401),
    CODE(ALL, CLIENT, "UNAUTHENTICATED", AUTH, 401),
    CODE(ALL, CLIENT, "unauthorized", AUTH, 401),
    CODE(ALL, CLIENT, "permission_error", AUTH, 403),
    CODE(ALL, CLIENT, "permission_denied", AUTH, 403),
    CODE(ALL, CLIENT, "UnrecognizedClientException", AUTH, 403), /* Bedrock */
    CODE(ALL, CLIENT, "ExpiredTokenException", AUTH, 403),
    CODE(ALL, CLIENT, "AccessDeniedException", AUTH, 403),
    CODE(ALL, CLIENT, "InvalidSignatureException", AUTH, 403),
    TEXT(ALL, TO_403, "api key not valid", AUTH, 401),
    TEXT(ALL, TO_403, "api key expired", AUTH, 401),
    TEXT(ALL, TO_403, "incorrect api key", AUTH, 401), /* xAI, as a 400 */
    TEXT(ALL, TO_403, "invalid api key", AUTH, 401),
    TEXT(ALL, TO_403, "invalid x-api-key", AUTH, 401),
    STATUS(ONLY(401), AUTH),
    STATUS(ONLY(403), AUTH),

    /* ---- no such model, also where it is a 400 ---- */
    CODE(ALL, CLIENT, "model_not_found", NOT_FOUND, 404),
    CODE(ALL, CLIENT, "not_found_error", NOT_FOUND, 404),
    CODE(ALL, CLIENT, "NOT_FOUND", NOT_FOUND, 404),
    CODE(ALL, CLIENT, "invalid_model", NOT_FOUND, 404), /* Mistral, as a 400 */
    CODE(ALL, CLIENT, "DeploymentNotFound", NOT_FOUND, 404), /* Azure */
    CODE(ALL, CLIENT, "ResourceNotFoundException", NOT_FOUND, 404), /* Bedrock, in x-amzn-ErrorType alone */
    TEXT(ALL, TO_422, "model identifier is invalid", NOT_FOUND, 404), /* Bedrock, as a 400 */
    TEXT(ALL, TO_422, "supported api model names are", NOT_FOUND, 404), /* DeepSeek, as a 400 */
    TEXT(ALL, TO_422, "model not exist", NOT_FOUND, 404),
    TEXT(ALL, TO_422, "model*does not exist", NOT_FOUND, 404),
    TEXT(ALL, TO_422, "model*not found", NOT_FOUND, 404),
    TEXT(ALL, TO_422, "is not a valid model id", NOT_FOUND, 404), /* OpenRouter, as a 400 */
    TEXT(ALL, TO_422, "invalid model:", NOT_FOUND, 404),
    TEXT(ALL, TO_422, "unknown model", NOT_FOUND, 404),
    TEXT(ALL, TO_422, "model*is not supported. supported models", NOT_FOUND, 404), /* Voyage */
    STATUS(ONLY(404), NOT_FOUND),

    /* ---- rate limits ---- */
    CODE(ALL, CLIENT, "rate_limit_exceeded", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "rate_limit_error", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "rate_limit", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "rate_limited", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "too_many_requests", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "TooManyRequests", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "RateLimitReached", RATE_LIMIT, 429), /* Azure */
    CODE(ALL, CLIENT, "RESOURCE_EXHAUSTED", RATE_LIMIT, 429), /* Google; its message speaks of billing, too */
    CODE(ALL, CLIENT, "rateLimitExceeded", RATE_LIMIT, 429),
    CODE(ALL, CLIENT, "ThrottlingException", RATE_LIMIT, 429), /* Bedrock */
    CODE(ALL, CLIENT, "too_many_tokens_error", RATE_LIMIT, 429), /* Cerebras: per minute */
    TEXT(ALL, TO_429, "tokens per minute", RATE_LIMIT, 429),
    TEXT(ALL, TO_429, "requests per minute", RATE_LIMIT, 429),
    /* OpenAI's text for insufficient_quota, without its code behind some proxies. Google says the same sentence for
     * every limit per minute. */
    TEXT(BUT_GOOGLE, ONLY(429), "check your plan and billing details", QUOTA, 429),
    STATUS(ONLY(429), RATE_LIMIT),

    /* ---- trouble on their side, where no status says so ---- */
    CODE(ALL, UNSAID, "overloaded_error", UPSTREAM_ERROR, 529),
    CODE(ALL, UNSAID, "server_overloaded", UPSTREAM_ERROR, 503),
    CODE(ALL, UNSAID, "service_unavailable", UPSTREAM_ERROR, 503),
    CODE(ALL, UNSAID, "UNAVAILABLE", UPSTREAM_ERROR, 503),
    CODE(ALL, UNSAID, "api_error", UPSTREAM_ERROR, 500),
    CODE(ALL, UNSAID, "server_error", UPSTREAM_ERROR, 500),
    CODE(ALL, UNSAID, "internal_server_error", UPSTREAM_ERROR, 500),
    CODE(ALL, UNSAID, "INTERNAL", UPSTREAM_ERROR, 500),
    CODE(ALL, UNSAID, "timeout_error", UPSTREAM_ERROR, 504),
    CODE(ALL, UNSAID, "DEADLINE_EXCEEDED", UPSTREAM_ERROR, 504),

    /* ---- the request, where no status says so ---- */
    CODE(ALL, UNSAID, "invalid_encrypted_content", REJECTED, 400), /* reasoning of another key or provider */
    CODE(ALL, UNSAID, "tool_use_failed", REJECTED, 400),           /* Groq */
    CODE(ALL, UNSAID, "invalid_request_error", REJECTED, 400),
    CODE(ALL, UNSAID, "invalid_request", REJECTED, 400),
    CODE(ALL, UNSAID, "invalid_prompt", REJECTED, 400),
    CODE(ALL, UNSAID, "BadRequestError", REJECTED, 400), /* vLLM */
    CODE(ALL, UNSAID, "bad_request", REJECTED, 400),
    CODE(ALL, UNSAID, "INVALID_ARGUMENT", REJECTED, 400),
    CODE(ALL, UNSAID, "FAILED_PRECONDITION", REJECTED, 400),
    CODE(ALL, UNSAID, "validation_error", REJECTED, 422),
    TEXT(ALL, UNSAID, "encrypted content*could not be", REJECTED, 400),
    TEXT(ALL, UNSAID, "rate limit", RATE_LIMIT, 429),

    /* ---- the bare status ---- */
    STATUS(ONLY(408), UPSTREAM_ERROR),
    STATUS(REST_OF_CLIENT, REJECTED),
    STATUS(ANY, UPSTREAM_ERROR),
};

const size_t class_rules_count = sizeof(class_rules) / sizeof(class_rules[0]);
