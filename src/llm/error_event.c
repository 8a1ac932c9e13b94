/* The event that ends a cut stream. What makes the official clients raise, from their sources:
 *   openai-python and -node   data that is an object with a true `error` member; `event:` does not matter
 *   anthropic-python and -ts  `event: error`, whatever the data; an event without an `event:` line is skipped
 * On `responses` the documented event has code and message at its top and no `error` object, which those clients hand
 * to the program as an ordinary event: both are sent, so that it raises and still reads as documented.
 * No [DONE] follows: it would make the cut answer look whole. */
#include "llm/stream.h"

#include <string.h>

#include "json/out.h"

static void out_weir(struct json_out *o, struct slice code, struct slice request_id)
{
    json_key(o, "weir");
    json_open(o, '{');
    json_key(o, "code");
    json_out_str(o, code);
    json_key(o, "requestId");
    json_out_str(o, request_id);
    json_close(o, '}');
}

static void out_openai_error(struct json_out *o, struct slice code, struct slice message)
{
    json_key(o, "error");
    json_open(o, '{');
    json_key(o, "message");
    json_out_str(o, message);
    json_key(o, "type");
    json_out_str(o, SLICE("server_error"));
    json_key(o, "param");
    json_out_null(o);
    json_key(o, "code");
    json_out_str(o, code);
    json_close(o, '}');
}

static void out_responses(struct json_out *o, uint32_t sequence, struct slice code, struct slice message)
{
    json_key(o, "type");
    json_out_str(o, SLICE("error"));
    json_key(o, "sequence_number");
    json_out_u64(o, (uint64_t)sequence + 1);
    json_key(o, "code");
    json_out_str(o, code);
    json_key(o, "message");
    json_out_str(o, message);
    json_key(o, "param");
    json_out_null(o);
    out_openai_error(o, code, message);
}

static void out_messages(struct json_out *o, struct slice message, struct slice request_id)
{
    json_key(o, "type");
    json_out_str(o, SLICE("error"));
    json_key(o, "error");
    json_open(o, '{');
    json_key(o, "type");
    json_out_str(o, SLICE("api_error")); /* of Anthropic's own types the one for "not your fault"; the code is in `weir` */
    json_key(o, "message");
    json_out_str(o, message);
    json_close(o, '}');
    json_key(o, "request_id");
    json_out_str(o, request_id);
}

size_t llm_error_event(const struct llm_stream *s, struct slice code, struct slice message, struct slice request_id,
                       char *out, size_t cap)
{
    bool messages = surface_table[s->surface].format == FORMAT_ANTHROPIC, responses = s->surface == SURFACE_RESPONSES;
    struct slice lead = messages || responses ? SLICE("event: error\ndata: ") : SLICE("data: ");
    struct json_out o;
    struct slice json;

    if (cap < lead.n + 2)
        return 0;
    json_out_init(&o, out + lead.n, cap - lead.n - 2);
    json_open(&o, '{');
    if (responses)
        out_responses(&o, s->sequence, code, message);
    else if (messages)
        out_messages(&o, message, request_id);
    else
        out_openai_error(&o, code, message);
    out_weir(&o, code, request_id);
    json_close(&o, '}');
    json = json_out_done(&o);
    if (json.n == 0)
        return 0;
    memcpy(out, lead.p, lead.n);
    memcpy(out + lead.n + json.n, "\n\n", 2);
    return lead.n + json.n + 2;
}
