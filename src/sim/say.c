/* Templates and their filling. A template is the text as it goes over the wire with ' for " (no text here has an apostrophe)
 * and $ with a letter for what varies:
 *   $N number of the request   $C created, epoch seconds   $M model   $T whole text   $D this piece   $Q sequence number
 *   $I $O $A tokens in, out, both   $F tool name   $G the tool's arguments as a string   $J the same as JSON   $X finish reason
 *   $R the Responses API's response object, $r the same at its start   $U usage chunk member of chat
 *   $0 to $8 passages that several templates have (see passage)
 * All but N, C, Q, I, O, A, J and the passages are written as JSON strings with their quotes. */
#include "sim/say.h"

#include <string.h>

#include "json/out.h"

/* ---- Filling. ---- */

void pen_put(struct pen *out, struct slice s)
{
    if (out->full || s.n > out->cap - out->n) {
        out->full = true;
        return;
    }
    if (s.n)
        memcpy(out->p + out->n, s.p, s.n);
    out->n += s.n;
}

static void put_string(struct pen *out, struct slice s)
{
    struct json_out o;

    json_out_init(&o, out->p + out->n, out->cap - out->n);
    json_out_str(&o, s);
    out->full |= o.full;
    if (!out->full)
        out->n += o.n;
}

static void put_number(struct pen *out, uint64_t v, unsigned digits)
{
    char text[24];
    size_t at = sizeof text;

    while (v || digits || at == sizeof text) {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
        digits -= digits > 0;
    }
    pen_put(out, slice_make(text + at, sizeof text - at));
}

static struct slice finish_reason(const struct say *s)
{
    bool anthropic = s->surface == SURFACE_MESSAGES;

    if (s->cut_short)
        return anthropic ? SLICE("max_tokens") : SLICE("length");
    if (s->tool.n)
        return anthropic ? SLICE("tool_use") : SLICE("tool_calls");
    return anthropic ? SLICE("end_turn") : SLICE("stop");
}

/* What occurs more than once is said once: the templates were a thirtieth of the binary. */
#define CHUNK_HEAD "$0"
#define TEXT_CHUNK_HEAD "$1"
#define CHAT_USAGE "$2"
#define MESSAGES_USAGE(output) "$3" output ",'service_tier':'standard'}"
#define MESSAGE_START "$4"
#define RESPONSE_START "$5"
#define MESSAGE_ITEM(status, content) "{'id':'msg_sim$N','type':'message','status':'" status "','content':[" content "],'role':'assistant'}"
#define CALL_ITEM(status, args) "$6" status "','arguments':" args ",'call_id':'call_sim$N','name':$F}"
#define COMPLETION_HEAD "$7"
#define COMPLETION_TAIL "$8"

#define EVENT(name, members) "event: " name "\ndata: {'type':'" name "'" members "}\n\n"
#define NUMBERED(name, members) EVENT(name, ",'sequence_number':$Q" members)

static const char *const passage[] = {
    "data: {'id':'chatcmpl-sim$N','object':'chat.completion.chunk','created':$C,'model':$M,'system_fingerprint':'fp_sim','choices':[",
    "data: {'id':'cmpl-sim$N','object':'text_completion','created':$C,'model':$M,'choices':[",
    "'usage':{'prompt_tokens':$I,'completion_tokens':$O,'total_tokens':$A,'prompt_tokens_details':{'cached_tokens':0,'audio_tokens':0},"
    "'completion_tokens_details':{'reasoning_tokens':0,'audio_tokens':0,'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}",
    "'usage':{'input_tokens':$I,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':",
    EVENT("message_start", ",'message':{'model':$M,'id':'msg_sim$N','type':'message','role':'assistant','content':[],"
                           "'stop_reason':null,'stop_sequence':null," MESSAGES_USAGE("1") "}"),
    NUMBERED("response.created", ",'response':$r") NUMBERED("response.in_progress", ",'response':$r"),
    "{'id':'fc_sim$N','type':'function_call','status':'",
    "{'id':'chatcmpl-sim$N','object':'chat.completion','created':$C,'model':$M,'choices':[{'index':0,'message':{'role':'assistant',",
    "'refusal':null,'annotations':[]},'logprobs':null,'finish_reason':$X}]," CHAT_USAGE
    ",'service_tier':'default','system_fingerprint':'fp_sim'}",
};

static void put_response(struct say *s, struct pen *out, bool over);

static void fill(struct say *s, struct pen *out, const char *template, struct slice piece)
{
    for (const char *t = template; *t && !out->full; t++) {
        size_t plain = strcspn(t, "'$");

        pen_put(out, slice_make(t, plain));
        t += plain;
        if (*t == '\0')
            return;
        if (*t == '\'') {
            pen_put(out, SLICE("\""));
            continue;
        }
        t++;
        if (*t >= '0' && *t <= '8') {
            fill(s, out, passage[*t - '0'], piece);
            continue;
        }
        switch (*t) {
        case 'N': put_number(out, s->number, 8); break;
        case 'C': put_number(out, (uint64_t)s->created_s, 1); break;
        case 'Q': put_number(out, s->sequence++, 1); break;
        case 'I': put_number(out, s->input_tokens, 1); break;
        case 'O': put_number(out, s->output_tokens, 1); break;
        case 'A': put_number(out, s->input_tokens + s->output_tokens, 1); break;
        case 'M': put_string(out, s->model); break;
        case 'T': put_string(out, s->text); break;
        case 'D': put_string(out, piece); break;
        case 'F': put_string(out, s->tool); break;
        case 'G': put_string(out, s->args); break;
        case 'J': pen_put(out, s->args); break;
        case 'X': put_string(out, finish_reason(s)); break;
        case 'r': put_response(s, out, false); break;
        case 'R': put_response(s, out, true); break;
        case 'U': pen_put(out, s->usage ? SLICE(",\"usage\":null") : SLICE("")); break;
        }
    }
}

static const struct slice nothing = {NULL, 0};

/* ---- The Responses API: its object occurs in four events. ---- */

#define PART(text) "{'type':'output_text','annotations':[],'logprobs':[],'text':" text "}"

static void put_response(struct say *s, struct pen *out, bool over)
{
    const char *status = !over ? "in_progress" : s->cut_short ? "incomplete" : "completed";

    fill(s, out, "{'id':'resp_sim$N','object':'response','created_at':$C,'status':$D,'background':false,'error':null,"
         "'incomplete_details':", slice_str(status));
    pen_put(out, over && s->cut_short ? SLICE("{\"reason\":\"max_output_tokens\"}") : SLICE("null"));
    fill(s, out, ",'instructions':null,'max_output_tokens':null,'model':$M,'output':[", nothing);
    if (over && s->tool.n)
        fill(s, out, CALL_ITEM("completed", "$G"), nothing);
    else if (over)
        fill(s, out, MESSAGE_ITEM("completed", PART("$T")), nothing);
    fill(s, out, "],'parallel_tool_calls':true,'previous_response_id':null,'reasoning':{'effort':null,'summary':null},"
         "'service_tier':'default','store':false,'temperature':1.0,'text':{'format':{'type':'text'}},'tool_choice':'auto',"
         "'tools':[],'top_p':1.0,'truncation':'disabled','usage':", nothing);
    if (over)
        fill(s, out, "{'input_tokens':$I,'input_tokens_details':{'cached_tokens':0},'output_tokens':$O,"
             "'output_tokens_details':{'reasoning_tokens':0},'total_tokens':$A}", nothing);
    else
        pen_put(out, SLICE("null"));
    fill(s, out, ",'user':null,'metadata':{}}", nothing);
}

/* ---- Streams. ---- */

#define CHUNK(choices) CHUNK_HEAD choices "]$U}\n\n"
#define CHOICE(delta, finish) "{'index':0,'delta':{" delta "},'logprobs':null,'finish_reason':" finish "}"
#define TEXT_CHUNK(text, finish) TEXT_CHUNK_HEAD "{'text':" text ",'index':0,'logprobs':null,'finish_reason':" finish "}]}\n\n"

/* What each streaming surface says, for text and for a tool call. `end` is said when the stream may end honestly. */
struct phrases {
    const char *open, *delta, *close, *usage, *end;
};

static const struct phrases chat_text = {
    .open = CHUNK(CHOICE("'role':'assistant','content':'','refusal':null", "null")),
    .delta = CHUNK(CHOICE("'content':$D", "null")),
    .close = CHUNK(CHOICE("", "$X")),
    .usage = CHUNK_HEAD "]," CHAT_USAGE "}\n\n",
    .end = "data: [DONE]\n\n",
};

static const struct phrases chat_tool = {
    .open = CHUNK(CHOICE("'role':'assistant','content':null,'refusal':null,'tool_calls':[{'index':0,'id':'call_sim$N','type':'function',"
                         "'function':{'name':$F,'arguments':''}}]", "null")),
    .delta = CHUNK(CHOICE("'tool_calls':[{'index':0,'function':{'arguments':$D}}]", "null")),
    .close = CHUNK(CHOICE("", "$X")),
    .usage = CHUNK_HEAD "]," CHAT_USAGE "}\n\n",
    .end = "data: [DONE]\n\n",
};

static const struct phrases responses_text = {
    .open = RESPONSE_START
            NUMBERED("response.output_item.added", ",'output_index':0,'item':" MESSAGE_ITEM("in_progress", ""))
            NUMBERED("response.content_part.added", ",'item_id':'msg_sim$N','output_index':0,'content_index':0,'part':" PART("''")),
    .delta = NUMBERED("response.output_text.delta", ",'item_id':'msg_sim$N','output_index':0,'content_index':0,'delta':$D,'logprobs':[]"),
    .close = NUMBERED("response.output_text.done", ",'item_id':'msg_sim$N','output_index':0,'content_index':0,'text':$T,'logprobs':[]")
             NUMBERED("response.content_part.done", ",'item_id':'msg_sim$N','output_index':0,'content_index':0,'part':" PART("$T"))
             NUMBERED("response.output_item.done", ",'output_index':0,'item':" MESSAGE_ITEM("completed", PART("$T"))),
    .end = NUMBERED("response.completed", ",'response':$R"),
};

static const struct phrases responses_tool = {
    .open = RESPONSE_START
            NUMBERED("response.output_item.added", ",'output_index':0,'item':" CALL_ITEM("in_progress", "''")),
    .delta = NUMBERED("response.function_call_arguments.delta", ",'item_id':'fc_sim$N','output_index':0,'delta':$D"),
    .close = NUMBERED("response.function_call_arguments.done", ",'item_id':'fc_sim$N','output_index':0,'name':$F,'arguments':$G")
             NUMBERED("response.output_item.done", ",'output_index':0,'item':" CALL_ITEM("completed", "$G")),
    .end = NUMBERED("response.completed", ",'response':$R"),
};

#define MESSAGE_CLOSE \
    EVENT("content_block_stop", ",'index':0") \
    EVENT("message_delta", ",'delta':{'stop_reason':$X,'stop_sequence':null},'usage':{'input_tokens':$I," \
                           "'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':$O}")

static const struct phrases messages_text = {
    .open = MESSAGE_START EVENT("content_block_start", ",'index':0,'content_block':{'type':'text','text':''}") EVENT("ping", ""),
    .delta = EVENT("content_block_delta", ",'index':0,'delta':{'type':'text_delta','text':$D}"),
    .close = MESSAGE_CLOSE,
    .end = EVENT("message_stop", ""),
};

static const struct phrases messages_tool = {
    .open = MESSAGE_START EVENT("content_block_start", ",'index':0,'content_block':{'type':'tool_use','id':'toolu_sim$N','name':$F,'input':{}}")
            EVENT("ping", ""),
    .delta = EVENT("content_block_delta", ",'index':0,'delta':{'type':'input_json_delta','partial_json':$D}"),
    .close = MESSAGE_CLOSE,
    .end = EVENT("message_stop", ""),
};

static const struct phrases completions_text = {
    .open = "",
    .delta = TEXT_CHUNK("$D", "null"),
    .close = TEXT_CHUNK("''", "$X"),
    .usage = TEXT_CHUNK_HEAD "],"
             "'usage':{'prompt_tokens':$I,'completion_tokens':$O,'total_tokens':$A}}\n\n",
    .end = "data: [DONE]\n\n",
};

static const struct phrases *phrases_of(const struct say *s)
{
    switch (s->surface) {
    case SURFACE_RESPONSES:
        return s->tool.n ? &responses_tool : &responses_text;
    case SURFACE_MESSAGES:
    case SURFACE_COUNT_TOKENS:
        return s->tool.n ? &messages_tool : &messages_text;
    case SURFACE_COMPLETIONS:
        return &completions_text;
    case SURFACE_CHAT:
    case SURFACE_EMBEDDINGS:
    case SURFACE_MODERATIONS:
    case SURFACE_IMAGES:
    case SURFACE_SPEECH:
    case SURFACE_COUNT:
        break;
    }
    return s->tool.n ? &chat_tool : &chat_text;
}

void say_open(struct say *s, struct pen *out)
{
    fill(s, out, phrases_of(s)->open, nothing);
}

void say_delta(struct say *s, struct pen *out, struct slice piece)
{
    fill(s, out, phrases_of(s)->delta, piece);
}

void say_close(struct say *s, struct pen *out, bool done)
{
    const struct phrases *p = phrases_of(s);

    fill(s, out, p->close, nothing);
    if (p->usage && s->usage)
        fill(s, out, p->usage, nothing);
    if (!done)
        return;
    if (s->surface == SURFACE_RESPONSES && s->cut_short)
        fill(s, out, NUMBERED("response.incomplete", ",'response':$R"), nothing);
    else
        fill(s, out, p->end, nothing);
}

void say_done(struct pen *out)
{
    pen_put(out, SLICE("data: [DONE]\n\n"));
}

void say_ping(const struct say *s, struct pen *out)
{
    if (s->surface == SURFACE_MESSAGES)
        pen_put(out, SLICE("event: ping\ndata: {\"type\": \"ping\"}\n\n"));
    else
        pen_put(out, SLICE(": keep-alive\n\n"));
}

/* ---- Errors. ---- */

static void put_openai_error(struct say *s, struct pen *out, const struct say_error *e)
{
    fill(s, out, "{'error':{'message':$D", slice_str(e->message));
    fill(s, out, ",'type':$D,'param':null,'code':", slice_str(e->type));
    if (e->code)
        put_string(out, slice_str(e->code));
    else
        pen_put(out, SLICE("null"));
    pen_put(out, SLICE("}}"));
}

static void put_anthropic_error(struct say *s, struct pen *out, const struct say_error *e)
{
    fill(s, out, "{'type':'error','error':{'type':$D", slice_str(e->anthropic));
    fill(s, out, ",'message':$D},'request_id':'req_sim$N'}", slice_str(e->message));
}

void say_error_body(struct say *s, struct pen *out, const struct say_error *e)
{
    if (surface_table[s->surface].format == FORMAT_ANTHROPIC)
        put_anthropic_error(s, out, e);
    else
        put_openai_error(s, out, e);
}

void say_error_event(struct say *s, struct pen *out, const struct say_error *e, bool opened)
{
    struct slice code = slice_str(e->code ? e->code : e->type);

    if (s->surface == SURFACE_MESSAGES) {
        pen_put(out, SLICE("event: error\ndata: "));
        put_anthropic_error(s, out, e);
    } else if (s->surface != SURFACE_RESPONSES) {
        pen_put(out, SLICE("data: "));
        put_openai_error(s, out, e);
    } else if (opened) {
        fill(s, out, "event: response.failed\ndata: {'type':'response.failed','sequence_number':$Q,'response':{'id':'resp_sim$N',"
             "'object':'response','created_at':$C,'status':'failed','error':{'code':$D", code);
        fill(s, out, ",'message':$D},'incomplete_details':null,'model':$M,'output':[],'usage':null,'metadata':{}}}", slice_str(e->message));
    } else {
        fill(s, out, "event: error\ndata: {'type':'error','sequence_number':$Q,'code':$D", code);
        fill(s, out, ",'message':$D,'param':null}", slice_str(e->message));
    }
    pen_put(out, SLICE("\n\n"));
}

/* ---- Plain answers. ---- */

/* Eight numbers from the text, the same for the same text: enough for code that compares them. */
static void put_embedding(struct say *s, struct pen *out, unsigned index)
{
    static const char *const eighths[] = {"-0.875", "-0.625", "-0.375", "-0.125", "0.125", "0.375", "0.625", "0.875"};
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const uint16_t high[] = {0xbf60, 0xbf20, 0xbec0, 0xbe00, 0x3e00, 0x3ec0, 0x3f20, 0x3f60}; /* the same as float, upper half */
    uint32_t hash = 2166136261u + index;
    uint8_t raw[33] = {0};

    for (size_t i = 0; i < s->text.n; i++)
        hash = (hash ^ (uint8_t)s->text.p[i]) * 16777619u;
    if (!s->base64)
        pen_put(out, SLICE("["));
    for (unsigned i = 0; i < 8; i++) {
        unsigned pick = hash >> (3 * i + 5) & 7;

        raw[4 * i + 2] = (uint8_t)high[pick]; /* little-endian */
        raw[4 * i + 3] = (uint8_t)(high[pick] >> 8);
        if (s->base64)
            continue;
        pen_put(out, i ? SLICE(",") : nothing);
        pen_put(out, slice_str(eighths[pick]));
    }
    pen_put(out, s->base64 ? SLICE("\"") : SLICE("]"));
    for (size_t i = 0; s->base64 && i < 33; i += 3) { /* 32 bytes and one of padding */
        char four[4] = {base64[raw[i] >> 2], base64[(raw[i] & 3) << 4 | raw[i + 1] >> 4], base64[(raw[i + 1] & 15) << 2 | raw[i + 2] >> 6],
                        i == 30 ? '=' : base64[raw[i + 2] & 63]};
        pen_put(out, slice_make(four, 4));
    }
    pen_put(out, s->base64 ? SLICE("\"") : nothing);
}

static void put_embeddings(struct say *s, struct pen *out)
{
    pen_put(out, SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < s->inputs; i++) {
        fill(s, out, i ? ",{'object':'embedding','index':" : "{'object':'embedding','index':", nothing);
        put_number(out, i, 1);
        pen_put(out, SLICE(",\"embedding\":"));
        put_embedding(s, out, i);
        pen_put(out, SLICE("}"));
    }
    fill(s, out, "],'model':$M,'usage':{'prompt_tokens':$I,'total_tokens':$I}}", nothing);
}

/* One pixel, and an eighth of a second of silence in a header for 8 kHz, 8 bit, mono. */
#define PIXEL "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
static const char wave_head[44] = "RIFF\x0c\x04\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\xe8\3\0";

static void put_speech(struct pen *out)
{
    pen_put(out, slice_make(wave_head, sizeof wave_head));
    for (int i = 0; i < 100; i++)
        pen_put(out, SLICE("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"));
}

static const char *plain_template(const struct say *s)
{
    switch (s->surface) {
    case SURFACE_CHAT:
        return s->tool.n ? COMPLETION_HEAD "'content':null,'tool_calls':[{'id':'call_sim$N','type':'function','function':{'name':$F,"
                           "'arguments':$G}}]," COMPLETION_TAIL
                         : COMPLETION_HEAD "'content':$T," COMPLETION_TAIL;
    case SURFACE_RESPONSES:
        return "$R";
    case SURFACE_MESSAGES:
        return s->tool.n ? "{'model':$M,'id':'msg_sim$N','type':'message','role':'assistant','content':[{'type':'tool_use','id':'toolu_sim$N',"
                           "'name':$F,'input':$J}],'stop_reason':$X,'stop_sequence':null," MESSAGES_USAGE("$O") "}"
                         : "{'model':$M,'id':'msg_sim$N','type':'message','role':'assistant','content':[{'type':'text','text':$T}],"
                           "'stop_reason':$X,'stop_sequence':null," MESSAGES_USAGE("$O") "}";
    case SURFACE_COUNT_TOKENS:
        return "{'input_tokens':$I}";
    case SURFACE_COMPLETIONS:
        return "{'id':'cmpl-sim$N','object':'text_completion','created':$C,'model':$M,'choices':[{'text':$T,'index':0,'logprobs':null,"
               "'finish_reason':$X}],'usage':{'prompt_tokens':$I,'completion_tokens':$O,'total_tokens':$A}}";
    case SURFACE_MODERATIONS:
        return "{'id':'modr-sim$N','model':$M,'results':[{'flagged':false,'categories':{'hate':false,'harassment':false,'self-harm':false,"
               "'sexual':false,'violence':false},'category_scores':{'hate':0.0001,'harassment':0.0001,'self-harm':0.0001,'sexual':0.0001,"
               "'violence':0.0001}}]}";
    case SURFACE_IMAGES:
        return "{'created':$C,'data':[{'b64_json':'" PIXEL "','revised_prompt':$T}],'usage':{'input_tokens':$I,'output_tokens':$O,"
               "'total_tokens':$A}}";
    case SURFACE_EMBEDDINGS:
    case SURFACE_SPEECH:
    case SURFACE_COUNT:
        break;
    }
    return "";
}

void say_plain(struct say *s, struct pen *out)
{
    if (s->surface == SURFACE_EMBEDDINGS)
        put_embeddings(s, out);
    else if (s->surface == SURFACE_SPEECH)
        put_speech(out);
    else
        fill(s, out, plain_template(s), nothing);
}

struct slice say_content_type(enum surface surface)
{
    return surface == SURFACE_SPEECH ? SLICE("audio/wav") : SLICE("application/json");
}

void say_models(struct pen *out, const char *const *ids, size_t n, int64_t created_s)
{
    struct say s = {.created_s = created_s};

    pen_put(out, SLICE("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < n; i++)
        fill(&s, out, i ? ",{'id':$D,'object':'model','created':$C,'owned_by':'sim'}" : "{'id':$D,'object':'model','created':$C,'owned_by':'sim'}",
             slice_str(ids[i]));
    pen_put(out, SLICE("]}"));
}
