"""The recorded exchanges with real providers: what there is, and what a gateway owes the client for each.

Everything here is written from the description of the behaviour, never from the implementation, and knows nothing
of how weir reads a stream. The recordings lie outside the repository; without them load() returns nothing.
"""
import functools
import json
import os
import pathlib

SHARED = pathlib.Path(os.environ.get("WEIR_SHARED") or pathlib.Path(__file__).parents[3] / "shared")

# recorded dialect -> (surface, path at the gateway)
SURFACE = {
    "openai-chat": ("chat-completions", "/v1/chat/completions"),
    "openai-responses": ("responses", "/v1/responses"),
    "openai-embeddings": ("embeddings", "/v1/embeddings"),
    "openai-completions": ("completions", "/v1/completions"),
    "anthropic-messages": ("messages", "/v1/messages"),
    "anthropic-count-tokens": ("messages", "/v1/messages/count_tokens"),
}


class Case:
    def __init__(self, number, folder, meta):
        self.id = "%s/%s" % (meta["provider"], folder.name)
        self.model = "c%d" % number  # the model name that asks the replay server for this case
        self.folder, self.meta = folder, meta
        self.provider, self.kind, self.status = meta["provider"], meta["kind"], meta["status"]
        self.surface, self.path = SURFACE[meta["dialect"]]

    @functools.cached_property
    def body(self):
        return (self.folder / "response.body").read_bytes()

    @functools.cached_property
    def content_type(self):
        for line in (self.folder / "response.headers").read_text("latin-1").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-type":
                return value.strip()
        return "text/event-stream" if self.kind == "stream" else "application/json"

    @functools.cached_property
    def headers(self):
        """Recorded headers that may be replayed: framing is ours, and so is what a hop owns."""
        own = {"content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive", "trailer", "upgrade",
               "content-type", "date", "server", "set-cookie", "alt-svc", "strict-transport-security", ":status"}
        out = []
        for line in (self.folder / "response.headers").read_text("latin-1").splitlines():
            name, sep, value = line.partition(":")
            value = value.strip()
            if sep and name.strip() and name.strip().lower() not in own and value.isprintable():
                out.append((name.strip(), value))
        return out

    def request(self, model):
        """The recorded request asking for another model, or a minimal one where none was recorded."""
        body = None
        file = self.folder / "request.json"
        if file.exists():
            try:
                body = json.loads(file.read_text("utf-8"))
            except ValueError:
                body = None
        if not isinstance(body, dict) or not body:
            body = minimal(self.surface)
        body.pop("models", None)
        body = {"model": model, **{k: v for k, v in body.items() if k != "model"}}
        if self.surface not in ("embeddings",) and not self.path.endswith("count_tokens"):
            body["stream"] = self.kind == "stream"
        if self.kind == "stream" and self.surface in ("chat-completions", "completions"):
            body["stream_options"] = {"include_usage": True}  # else the usage event is rightly kept from us
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def minimal(surface):
    message = [{"role": "user", "content": "hi"}]
    return {
        "chat-completions": {"messages": message},
        "responses": {"input": "hi"},
        "embeddings": {"input": "hi"},
        "completions": {"prompt": "hi"},
        "messages": {"max_tokens": 16, "messages": message},
    }[surface]


@functools.lru_cache(maxsize=None)
def load():
    cases = []
    root = SHARED / "recorded"
    if not root.is_dir():
        return cases
    for number, file in enumerate(sorted(root.glob("*/*/meta.json"))):
        meta = json.loads(file.read_text())
        if meta["dialect"] in SURFACE and meta["method"] == "POST" and (file.parent / "response.body").exists():
            cases.append(Case(number, file.parent, meta))
    return cases


# ---- streams: what each event is to the client -------------------------------------------------------------------
def sse_events(raw):
    """(event name, data, fields) of each event, by the rules browsers follow. An unfinished tail is no event."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith("\ufeff"):
        text = text[1:]
    blocks = text.split("\n\n")
    if blocks and not text.endswith("\n\n"):
        blocks.pop() if blocks[-1].strip() else None
    for block in blocks:
        name, data, fields = "", [], {}
        for line in block.split("\n"):
            if not line or line.startswith(":"):
                continue
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            fields[field] = value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if fields:
            yield name, "\n".join(data), fields


def event_kind(surface, name, data, fields):
    """content, done (a terminal event), error, or other."""
    if "error" in fields and "data" not in fields:
        return "error"
    if data.strip() == "[DONE]":
        return "done"
    try:
        obj = json.loads(data)
    except ValueError:
        return "error" if name == "error" else "other"
    if not isinstance(obj, dict):
        return "other"
    kind = obj.get("type") if isinstance(obj.get("type"), str) else name
    if name == "error" or kind == "error" or obj.get("error") and surface != "responses":
        return "error"
    if surface == "chat-completions":
        for choice in obj.get("choices") or []:
            delta = choice.get("delta") or choice.get("message") or {}
            if any(delta.get(k) for k in ("content", "reasoning_content", "reasoning", "reasoning_details", "tool_calls",
                                          "refusal", "function_call", "audio", "images")) or choice.get("finish_reason"):
                return "content"
        return "other"
    if surface == "completions":
        for choice in obj.get("choices") or []:
            if choice.get("text") or choice.get("finish_reason"):
                return "content"
        return "other"
    if surface == "messages":
        if kind == "message_stop":
            return "done"
        if kind == "content_block_start":
            block = obj.get("content_block") or {}
            return "content" if block.get("type") not in ("text", "thinking") or block.get("text") else "other"
        if kind == "content_block_delta":
            return "content"
        return "content" if kind == "message_delta" and (obj.get("delta") or {}).get("stop_reason") else "other"
    if kind in ("response.failed",):
        return "error"
    if kind in ("response.completed", "response.incomplete"):
        return "done"
    return "content" if kind and (kind.endswith(".delta") or kind.startswith("response.output_item")) else "other"


def finish_seen(surface, raw):
    """Whether the stream itself says that the answer is whole (a terminal event or a finish reason)."""
    for name, data, fields in sse_events(raw):
        if event_kind(surface, name, data, fields) == "done":
            return True
        if '"finish_reason"' in data or '"stop_reason"' in data:
            try:
                obj = json.loads(data)
            except ValueError:
                continue
            if any((c or {}).get("finish_reason") for c in obj.get("choices") or []):
                return True
            if isinstance(obj.get("delta"), dict) and obj["delta"].get("stop_reason"):
                return True
    return False


def stream_fate(case):
    """whole: must arrive byte for byte. error: fails before any content, so it must never be shown as a 200.
    empty: ends before any content. broken: an error after content. cut: ends without saying that it is whole."""
    kinds = [event_kind(case.surface, *e) for e in sse_events(case.body)]
    for i, kind in enumerate(kinds):
        if kind == "error":
            return "error"
        if kind == "done":
            # Responses and Messages end with an event of their own, which may be the only one that matters.
            return "empty" if case.surface in ("chat-completions", "completions") else "whole"
        if kind == "content":
            if "error" in kinds[i:]:
                return "broken"
            return "whole" if finish_seen(case.surface, case.body) else "cut"
    return "empty"


def only_an_error(body):
    """Whether a plain 200 is an error object in disguise: then it is classed as one, and not as an answer."""
    try:
        obj = json.loads(body)
    except ValueError:
        return False
    return isinstance(obj, dict) and bool(obj.get("error")) and not any(obj.get(k) for k in ("choices", "content", "output", "data"))


# ---- errors: the class that a recorded error belongs to -----------------------------------------------------------
BY_STATUS = {401: "auth", 403: "auth", 402: "quota", 404: "not_found", 408: "upstream_error", 429: "rate_limit"}

# Words that say more than the status, looked for in this order; each line is a fact from the providers' own bodies.
WORDS = [
    ("insufficient_quota", "quota"), ("credit balance is too low", "quota"), ("insufficient balance", "quota"),
    ("api_key_invalid", "auth"), ("api key not valid", "auth"), ("api key expired", "auth"),
    ("content_filter", "content_policy"), ("content_policy_violation", "content_policy"),
    ("model_not_found", "not_found"),
]

# Cases whose own words contradict their status, and where either reading serves the client.
EITHER = [
    ("xai", 400, "incorrect api key", {"auth", "rejected"}),
    ("voyage", 400, "is not supported", {"not_found", "rejected"}),
    ("deepseek", 400, "supported api model names", {"not_found", "rejected"}),
    ("azure", 429, "exceeded rate limit", {"rate_limit", "rejected"}),
    ("openai", 404, "has been deprecated", {"not_found", "rejected"}),
]


def error_classes(provider, status, body):
    """The classes that a complete error answer may be given."""
    text = body.decode("utf-8", "replace").lower()
    for who, code, words, classes in EITHER:
        if provider == who and status == code and words in text:
            return classes
    for words, cls in WORDS:
        if words in text and 400 <= status < 500:
            return {cls}
    if status in BY_STATUS:
        return {BY_STATUS[status]}
    return {"upstream_error"} if status >= 500 else {"rejected"}
