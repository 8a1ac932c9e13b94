"""The three surfaces as a client and as a provider speak them, shaped after recorded answers, and a provider whose
model name says how it behaves. One vocabulary for the SDK tests and the fault tables."""
import json

import fake

WORDS = ["Hello", " from", " the", " other", " side", "."]
TEXT = "".join(WORDS)
TOOL = {"city": "Paris", "unit": "celsius"}
TOOL_JSON = json.dumps(TOOL)
TOOL_NAME = "get_weather"
USAGE = (11, 7)  # input, output


def data(obj, name=None):
    head = "event: %s\n" % name if name else ""
    return (head + "data: " + json.dumps(obj, ensure_ascii=False) + "\n\n").encode()


class Chat:
    surface, path, format = "chat-completions", "/v1/chat/completions", "openai"

    @staticmethod
    def request(model, stream=False, **more):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
        if stream:
            body.update(stream=True, stream_options={"include_usage": True})
        return body

    @staticmethod
    def usage():
        return {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}

    @classmethod
    def plain(cls, text=TEXT, tool=False):
        message = {"role": "assistant", "content": None if tool else text, "refusal": None}
        if tool:
            message["tool_calls"] = [{"id": "call_1", "type": "function",
                                      "function": {"name": TOOL_NAME, "arguments": TOOL_JSON}}]
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1763000000, "model": "gpt-4o-2024-08-06",
                "choices": [{"index": 0, "message": message, "logprobs": None,
                             "finish_reason": "tool_calls" if tool else "stop"}], "usage": cls.usage()}

    @staticmethod
    def chunk(delta=None, finish=None, **more):
        return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763000000,
                     "model": "gpt-4o-2024-08-06",
                     "choices": [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}], **more})

    @classmethod
    def opening(cls):
        return [cls.chunk({"role": "assistant", "content": "", "refusal": None})]

    @classmethod
    def content(cls, words=WORDS, tool=False):
        if not tool:
            return [cls.chunk({"content": w}) for w in words]
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": TOOL_NAME, "arguments": ""}}
        return [cls.chunk({"tool_calls": [first]})] + [
            cls.chunk({"tool_calls": [{"index": 0, "function": {"arguments": TOOL_JSON[i:i + 8]}}]})
            for i in range(0, len(TOOL_JSON), 8)]

    @classmethod
    def closing(cls, tool=False):
        use = data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763000000,
                    "model": "gpt-4o-2024-08-06", "choices": [], "usage": cls.usage()})
        return [cls.chunk({}, "tool_calls" if tool else "stop"), use, b"data: [DONE]\n\n"]

    @staticmethod
    def error(kind, message):
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}

    @classmethod
    def error_event(cls, kind="server_error", message="the model fell over"):
        return data(cls.error(kind, message))

    @staticmethod
    def text_of(body):
        return json.loads(body)["choices"][0]["message"]["content"]

    @staticmethod
    def event_text(obj):
        return "".join((c.get("delta") or {}).get("content") or "" for c in obj.get("choices") or [])


class Responses:
    surface, path, format = "responses", "/v1/responses", "openai"

    @staticmethod
    def request(model, stream=False, **more):
        return {"model": model, "input": "hi", **more, **({"stream": True} if stream else {})}

    @classmethod
    def response(cls, output, status="completed", usage=True):
        return {"id": "resp_1", "object": "response", "created_at": 1763000000, "status": status, "error": None,
                "incomplete_details": None, "instructions": None, "model": "gpt-4o-2024-08-06", "output": output,
                "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
                "metadata": {}, "usage": {"input_tokens": USAGE[0], "input_tokens_details": {"cached_tokens": 0},
                                          "output_tokens": USAGE[1], "output_tokens_details": {"reasoning_tokens": 0},
                                          "total_tokens": sum(USAGE)} if usage else None}

    @staticmethod
    def item(text=TEXT, tool=False, status="completed"):
        if tool:
            return {"id": "fc_1", "type": "function_call", "status": status, "call_id": "call_1", "name": TOOL_NAME,
                    "arguments": text}
        content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
        return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}

    @classmethod
    def plain(cls, text=TEXT, tool=False):
        return cls.response([cls.item(TOOL_JSON if tool else text, tool)])

    @classmethod
    def event(cls, kind, **more):
        return data({"type": kind, "sequence_number": 0, **more}, kind)

    @classmethod
    def opening(cls):
        return [cls.event(k, response=cls.response([], "in_progress", False)) for k in ("response.created", "response.in_progress")]

    @classmethod
    def content(cls, words=WORDS, tool=False):
        out = [cls.event("response.output_item.added", output_index=0, item=cls.item("", tool, "in_progress"))]
        if tool:
            return out + [cls.event("response.function_call_arguments.delta", item_id="fc_1", output_index=0, delta=TOOL_JSON[i:i + 8])
                          for i in range(0, len(TOOL_JSON), 8)]
        out.append(cls.event("response.content_part.added", item_id="msg_1", output_index=0, content_index=0,
                             part={"type": "output_text", "text": "", "annotations": []}))
        return out + [cls.event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=w,
                                logprobs=[]) for w in words]

    @classmethod
    def closing(cls, tool=False, text=TEXT):
        if tool:
            done = [cls.event("response.function_call_arguments.done", item_id="fc_1", output_index=0, name=TOOL_NAME,
                              arguments=TOOL_JSON)]
        else:
            done = [cls.event("response.output_text.done", item_id="msg_1", output_index=0, content_index=0, text=text,
                              logprobs=[]),
                    cls.event("response.content_part.done", item_id="msg_1", output_index=0, content_index=0,
                              part={"type": "output_text", "text": text, "annotations": []})]
        item = cls.item(TOOL_JSON if tool else text, tool)
        return done + [cls.event("response.output_item.done", output_index=0, item=item),
                       cls.event("response.completed", response=cls.response([item]))]

    error = staticmethod(Chat.error)

    @classmethod
    def error_event(cls, kind="server_error", message="the model fell over"):
        return cls.event("error", code=kind, message=message, param=None)

    @staticmethod
    def text_of(body):
        return json.loads(body)["output"][0]["content"][0]["text"]

    @staticmethod
    def event_text(obj):
        return obj.get("delta", "") if obj.get("type") == "response.output_text.delta" else ""


class Messages:
    surface, path, format = "messages", "/v1/messages", "anthropic"

    @staticmethod
    def request(model, stream=False, **more):
        return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], **more,
                **({"stream": True} if stream else {})}

    @classmethod
    def message(cls, content, stop="end_turn", out=USAGE[1]):
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "content": content,
                "stop_reason": stop, "stop_sequence": None,
                "usage": {"input_tokens": USAGE[0], "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                          "output_tokens": out}}

    @classmethod
    def plain(cls, text=TEXT, tool=False):
        if tool:
            return cls.message([{"type": "tool_use", "id": "toolu_1", "name": TOOL_NAME, "input": TOOL}], "tool_use")
        return cls.message([{"type": "text", "text": text}])

    @staticmethod
    def event(kind, **more):
        return data({"type": kind, **more}, kind)

    @classmethod
    def opening(cls):
        return [cls.event("message_start", message=cls.message([], None, 1)), cls.event("ping")]

    @classmethod
    def content(cls, words=WORDS, tool=False):
        block = {"type": "tool_use", "id": "toolu_1", "name": TOOL_NAME, "input": {}} if tool else {"type": "text", "text": ""}
        deltas = [{"type": "input_json_delta", "partial_json": TOOL_JSON[i:i + 8]} for i in range(0, len(TOOL_JSON), 8)] \
            if tool else [{"type": "text_delta", "text": w} for w in words]
        return [cls.event("content_block_start", index=0, content_block=block)] + [
            cls.event("content_block_delta", index=0, delta=d) for d in deltas]

    @classmethod
    def closing(cls, tool=False):
        return [cls.event("content_block_stop", index=0),
                cls.event("message_delta", delta={"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None},
                          usage={"output_tokens": USAGE[1]}),
                cls.event("message_stop")]

    @staticmethod
    def error(kind, message):
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    @classmethod
    def error_event(cls, kind="overloaded_error", message="Overloaded"):
        return data(cls.error(kind, message), "error")

    @staticmethod
    def text_of(body):
        return "".join(b.get("text", "") for b in json.loads(body)["content"])

    @staticmethod
    def event_text(obj):
        delta = obj.get("delta") or {}
        return delta.get("text", "") if obj.get("type") == "content_block_delta" else ""


SURFACES = [Chat, Responses, Messages]


def of_target(target):
    path = target.partition("?")[0]
    return Messages if path.endswith("/messages") else Responses if path.endswith("/responses") else Chat


def stream_of(d, tool=False):
    return d.opening() + d.content(tool=tool) + d.closing(tool=tool)


def behave(request):
    """A provider whose model name says what it does."""
    d, model = of_target(request.target), request.model or ""
    stream = bool((request.json or {}).get("stream"))
    if request.target.endswith("/embeddings"):
        return fake.answer(200, {"object": "list", "model": model, "usage": {"prompt_tokens": 2, "total_tokens": 2},
                                 "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}]})
    if request.target.partition("?")[0].endswith("/count_tokens"):
        return fake.answer(200, {"input_tokens": 42})
    if model in ("text", "good", "tool"):
        tool = model == "tool"
        return fake.sse(stream_of(d, tool)) if stream else fake.answer(200, d.plain(tool=tool))
    if model == "slow":  # a stream that goes on for as long as somebody listens
        h = fake.answer(200, b"", framing="chunked", ctype="text/event-stream")[0]
        return [h, fake.chunk(b"".join(d.opening() + d.content()))] + [
            s for _ in range(400) for s in (fake.chunk(d.content(["x"])[-1]), ("sleep", 0.05))]
    if model == "mute":  # takes the request and never answers
        return [("hold", 30)]
    if model == "cut":  # content, then the connection is gone
        h = fake.answer(200, b"", framing="chunked", ctype="text/event-stream")[0]
        return [h, fake.chunk(b"".join(d.opening() + d.content())), ("rst",)]
    if model == "late-error":
        return fake.sse(d.opening() + d.content() + [d.error_event()])
    errors = {
        "e400": (400, "invalid_request_error", "messages: this will never do"),
        "e401": (401, "authentication_error", "Incorrect API key provided: sk-canary"),
        "e404": (404, "not_found_error", "no such model"),
        "e429": (429, "rate_limit_error", "slow down"),
        "e500": (500, "api_error", "the server had an error"),
        "e503": (503, "overloaded_error", "overloaded"),
    }
    if model in errors:
        status, kind, message = errors[model]
        return fake.answer(status, d.error(kind, message), [("retry-after", "7")] if status == 429 else [])
    return fake.answer(404, d.error("not_found_error", "no behaviour named %r" % model))
