"""Upstream faults as data: one line a fault, its id, what the upstream does, what class weir must give the attempt and
what a client gets when that was its only attempt. Ids are those of the fault catalogue the project was built against."""
import gzip
import json

from dialects import Messages
from fake import answer, chunk, head, sse

SSE_HEAD = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
END = b"0\r\n\r\n"
PASS = "pass"   # the upstream's own answer, status and body
OK = "ok"


class Mapped:
    """An error inside a 200: the provider's words under the status they amount to."""

    def __init__(self, openai, anthropic=None):
        self.openai, self.anthropic = openai, anthropic or openai

    def status(self, d):
        return self.anthropic if d is Messages else self.openai


class Fault:
    """modes: plain, stream or both. play(d, stream) gives the upstream's steps. classes: what the attempt may be called.
    alone: the status (or statuses, or PASS, or Mapped) that a client sees when nothing else is left. slow: takes a timer."""

    def __init__(self, id, name, play, classes, alone, modes=("plain", "stream"), slow=False, surfaces=None, early=False,
                 size=0, base=None, follow=True):
        self.id, self.name, self.play, self.modes, self.slow, self.early = id, name, play, modes, slow, early
        self.classes = {classes} if isinstance(classes, str) else set(classes)
        self.alone = set(alone) if isinstance(alone, tuple) else {alone}
        self.surfaces, self.size, self.base, self.follow = surfaces, size, base, follow
        self.model = "%s.%d" % (id.lower(), len(FAULTS))  # what asks the upstream for this fault


FAULTS = []


def fault(id, name, play, classes, alone, **more):
    FAULTS.append(Fault(id, name, play, classes, alone, **more))


def raw(*steps):
    return lambda d, s: list(steps)


def status(code, body=None, headers=(), kind="server_error", message="words of the provider", **more):
    return lambda d, s: answer(code, d.error(kind, message) if body is None else body, headers, **more)


PLAIN, STREAM = ("plain",), ("stream",)

# ---- connecting: these need a listener of their own -----------------------------------------------------------------
# Names are looked up at the test's own DNS server, and its authority is trusted: only weir and who takes both can be asked.
for id_, name_, base_ in [("F-001", "no such name", "dns-nx"), ("F-002", "every server fails", "dns-servfail"), ("F-004", "every server refuses", "dns-refuse"),
                          ("F-006", "a name without addresses", "dns-empty"), ("F-008", "a loop in the answer", "dns-loop"), ("F-003", "no answer", "dns-silent")]:
    fault(id_, name_, None, {"unreachable", "timeout"}, 502, base=base_, slow=base_ == "dns-silent")
for id_, name_, base_ in [("F-018", "certificate expired", "cert-expired"), ("F-019", "certificate not yet valid", "cert-early"),
                          ("F-020", "certificate of another host", "cert-host"), ("F-021", "unknown authority", "cert-unknown"),
                          ("F-023", "a TLS version nobody here speaks", "cert-old")]:
    fault(id_, name_, None, "unreachable", 502, base=base_)
fault("F-011", "refused", None, "unreachable", 502, base="refused")
fault("F-012", "blackhole", None, {"unreachable", "timeout"}, 502, base="blackhole", slow=True)
fault("F-014", "accept then reset", None, "unreachable", 502, base="accept-rst")
fault("F-015", "accept then fin", None, "unreachable", 502, base="accept-fin")
fault("F-022", "tls stall", None, {"unreachable", "timeout"}, 502, base="tls-stall", slow=True)
fault("F-024", "tls eof", None, "unreachable", 502, base="tls-eof")
fault("F-025", "plain http on the tls port", None, "unreachable", 502, base="tls-plain")

# ---- sending and waiting for the head ------------------------------------------------------------------------------
fault("F-028", "reset before the body is read", raw(("rst",)), "unreachable", 502, early=True, size=400000)
fault("F-029", "peer stops reading", raw(("hold", 30)), {"timeout", "unreachable"}, 502, early=True, size=6000000, slow=True)
fault("F-030", "early 413", lambda d, s: answer(413, d.error("request_too_large", "too big")) + [("hold", 1)],
      "rejected", PASS, early=True, size=400000)
fault("F-031", "early 401", lambda d, s: answer(401, d.error("authentication_error", "no")) + [("hold", 1)],
      "auth", 503, early=True, size=400000)
fault("F-032", "early 429", lambda d, s: answer(429, d.error("rate_limit_error", "no"), [("Retry-After", "3")]) + [("hold", 1)],
      "rate_limit", 429, early=True, size=400000)
fault("F-035", "fin without a byte", raw(("fin",)), "unreachable", 502)
fault("F-036", "reset without a byte", raw(("rst",)), "unreachable", 502)
fault("F-037", "silence", raw(("hold", 30)), "timeout", 502, slow=True)
fault("F-038", "half a status line", raw(b"HTTP/1.1 20", ("hold", 30)), "timeout", 502, slow=True)
fault("F-039", "head drips", raw(("drip", b"HTTP/1.1 200 OK\r\nX-A: " + b"y" * 400, 0.2), ("hold", 30)), "timeout", 502, slow=True)
fault("F-040", "only 1xx", raw(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", ("hold", 30)), "timeout", 502, slow=True)
fault("F-041", "1xx storm", lambda d, s: [b"HTTP/1.1 100 Continue\r\n\r\n" * 60] + answer(200, d.plain()), "upstream_error", 502)
fault("F-042", "101", raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "upstream_error", 502)
fault("F-043", "head of 40 KB", lambda d, s: answer(200, d.plain(), [("X-Big-%d" % i, "v" * 1000) for i in range(40)]),
      "upstream_error", 502)
fault("F-043", "300 headers", lambda d, s: answer(200, d.plain(), [("X-H%d" % i, "v") for i in range(300)]), "upstream_error", 502)
fault("F-045", "half a head then fin", raw(b"HTTP/1.1 200 OK\r\nContent-Type: app", ("fin",)), "unreachable", 502)
for code in (301, 302, 303, 307, 308):
    fault("F-046", str(code), lambda d, s, code=code: answer(code, b"", [("Location", "/v1/elsewhere")]), "upstream_error", 503)
for code in (204, 205, 206, 304):
    fault("F-047", str(code), lambda d, s, code=code: [head(code, [] if code in (204, 304) else [("Content-Length", "0")])],
          "upstream_error", 503)

# ---- malformed heads: none of them may be forwarded --------------------------------------------------
B = b'{"x":1}'
BAD_HEADS = [
    ("R-07", "length and chunked", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-07", "chunked and length", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-08", "two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n" + B),
] + [("R-08", "length " + v, b"HTTP/1.1 200 OK\r\nContent-Length: " + v.encode() + b"\r\n\r\n" + B) for v in
     ("+7", "-7", "0x7", "7.0", "7e0", "1_0", "1 0", "7, 8", "seven", "99999999999999999999999")] + [
    ("R-09", "unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-09", "chunked not last", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-09", "chunked twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-15", "folded line", b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 7\r\n\r\n" + B),
    ("R-15", "bare cr", b"HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 7\r\n\r\n" + B),
    ("R-15", "nul", b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 7\r\n\r\n" + B),
    ("R-15", "space before colon", b"HTTP/1.1 200 OK\r\nContent-Length : 7\r\n\r\n" + B),
] + [("R-16", "status " + repr(v), b"HTTP/1.1 " + v + b"\r\nContent-Length: 7\r\n\r\n" + B) for v in
     (b"20 OK", b"2000 OK", b"99 OK", b"abc OK", b"600 OK", b"999 OK", b"-200 OK", b" 200 OK")] + [
    ("R-16", "no space", b"HTTP/1.1200 OK\r\nContent-Length: 7\r\n\r\n" + B),
    ("R-17", "chunked in 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + B + b"\r\n0\r\n\r\n"),
    ("R-18", "http2 preface", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    ("R-18", "tls record", b"\x15\x03\x01\x00\x02\x02\x46"),
    ("R-18", "ssh banner", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("R-18", "html", b"<html><body>Bad gateway</body></html>\r\n\r\n"),
]
for id_, name_, bytes_ in BAD_HEADS:
    fault(id_, name_, raw(bytes_, ("sleep", 0.05), ("fin",)), "upstream_error", 502)

# ---- statuses ------------------------------------------------------------------------------------------------------
fault("F-048", "400", status(400, kind="invalid_request_error"), "rejected", PASS)
fault("F-049", "400 credit", lambda d, s: answer(400, d.error("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")),
      "quota", 503, surfaces=("messages",))
fault("F-050", "400 context", status(400, kind="context_length_exceeded", message="maximum context length is 8192 tokens"), "rejected", PASS)
fault("F-051", "400 unsupported", status(400, kind="unsupported_parameter"), "rejected", PASS)
fault("F-052", "401", status(401, kind="authentication_error", message="Incorrect API key provided: sk-canary"), "auth", 503)
fault("F-053", "402", status(402, kind="insufficient_balance", message="Insufficient Balance"), "quota", 503)
fault("F-054", "403", status(403, kind="permission_error", message="your key may not do this: sk-canary"), "auth", 503)
fault("F-055", "400 content filter", status(400, kind="content_filter", message="The response was filtered"), "content_policy", PASS,
      follow=False, surfaces=("chat-completions", "responses"))
fault("F-055", "400 content policy", status(400, kind="content_policy_violation", message="Your request was rejected"), "content_policy", PASS,
      follow=False, surfaces=("chat-completions", "responses"))
fault("F-056", "404", status(404, kind="model_not_found", message="The model does not exist"), "not_found", PASS)
fault("F-057", "404 html", status(404, b"<html>no such page</html>", ctype="text/html"), "not_found", PASS)
for code in (405, 406, 410, 411, 412, 414, 415, 416, 417, 418, 422, 423, 424, 426, 428, 431, 451):
    fault("F-058", str(code), status(code, kind="invalid_request_error"), "rejected", PASS)
fault("F-059", "408", status(408, kind="timeout"), "upstream_error", 503)
fault("F-060", "409", status(409, kind="conflict"), "rejected", PASS)
fault("F-061", "413", status(413, kind="request_too_large"), "rejected", PASS)
fault("F-062", "421", status(421, kind="invalid_request_error"), "rejected", PASS)
fault("F-063", "425", status(425, kind="invalid_request_error"), "rejected", PASS)
for name_, headers_ in [("seconds", [("Retry-After", "3")]), ("ms", [("retry-after-ms", "2500")]),
                        ("date", [("Retry-After", "Fri, 31 Dec 2049 23:59:59 GMT")])]:
    fault("F-064", "429 " + name_, status(429, headers=headers_, kind="rate_limit_error"), "rate_limit", 429)
fault("F-065", "429", status(429, kind="rate_limit_error"), "rate_limit", 429)
fault("F-066", "429 quota", status(429, kind="insufficient_quota", message="You exceeded your current quota"), "quota", 503)
for v in ("soon", "-1", "1000000000", "Thu, 01 Jan 1970 00:00:00 GMT", ""):
    fault("F-067", "429 retry-after " + repr(v), status(429, headers=[("Retry-After", v)], kind="rate_limit_error"), "rate_limit", 429)
fault("F-068", "499", status(499, kind="odd"), "rejected", PASS)
fault("F-068", "460", status(460, b""), "rejected", PASS)
for code, id_ in [(500, "F-069"), (501, "F-070"), (505, "F-070"), (502, "F-071"), (504, "F-071"), (503, "F-072"), (507, "F-073"),
                  (508, "F-073"), (511, "F-073"), (520, "F-074"), (524, "F-074"), (527, "F-074"), (530, "F-074"), (529, "F-075"),
                  (599, "F-074")]:
    fault(id_, str(code), status(code), "upstream_error", PASS)
fault("F-069", "500 empty", status(500, b""), "upstream_error", PASS)
fault("F-074", "522 html", status(522, b"<html>cloud</html>", ctype="text/html; charset=UTF-8"), "upstream_error", PASS)
fault("F-077", "500 with 5 MB", status(500, b"x" * 5000000, ctype="text/plain"), "upstream_error", 500)
fault("F-078", "500 whose body stalls", lambda d, s: [head(500, [("Content-Length", "500")]) + b"{", ("hold", 30)],
      "upstream_error", 500, slow=True)

# ---- 200, but wrong ------------------------------------------------------------------------------------------------
def inside_200(kind, code=None, message="words"):
    def play(d, s):
        body = d.error(kind, message)
        if code is not None:
            body["error"]["code"] = code
        return answer(200, body)
    return play


fault("F-079", "200 rate limit", inside_200("rate_limit_error", 429), "rate_limit", 429, modes=PLAIN)
fault("F-079", "200 overloaded", inside_200("overloaded_error"), "upstream_error", Mapped(529), modes=PLAIN)
fault("F-079", "200 502", inside_200("server_error", 502), "upstream_error", Mapped(502), modes=PLAIN)
fault("F-079", "200 quota", inside_200("insufficient_quota", "insufficient_quota"), "quota", 503, modes=PLAIN)
fault("F-079", "200 key", inside_200("authentication_error", 401), "auth", 503, modes=PLAIN)
fault("F-079", "200 invalid", inside_200("invalid_request_error", 400), "rejected", Mapped(400), modes=PLAIN)
fault("F-079", "200 no such model", inside_200("not_found_error", 404), "not_found", Mapped(404), modes=PLAIN)
fault("F-080", "200 html", lambda d, s: answer(200, b"<html><h1>Sign in to the hotel network</h1></html>", ctype="text/html"), "upstream_error", 503)
fault("F-081", "200 empty", lambda d, s: answer(200, b""), "upstream_error", 503)
fault("F-082", "200 cut by fin", lambda d, s: [head(200, [("Content-Type", "application/json"), ("Content-Length", "900")]) +
                                             json.dumps(d.plain()).encode()[:60], ("fin",)], "upstream_error", 503, modes=PLAIN)
fault("F-082", "200 cut by reset", lambda d, s: [head(200, [("Content-Type", "application/json"), ("Content-Length", "900")]) +
                                               json.dumps(d.plain()).encode()[:60], ("sleep", 0.03), ("rst",)], "upstream_error", 503, modes=PLAIN)
fault("F-083", "200 not json", lambda d, s: answer(200, b'{"id": nonsense]'), OK, PASS, modes=PLAIN)
fault("F-084", "200 without content", lambda d, s: answer(200, {"id": "x"}), OK, PASS, modes=PLAIN)
fault("F-085", "200 body stalls", lambda d, s: [head(200, [("Content-Type", "application/json"), ("Content-Length", "900")]) + b'{"id":',
                                              ("hold", 30)], "timeout", 503, modes=PLAIN, slow=True)
JSON_CHUNKED = head(200, [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
for name_, tail_ in [("bad size", b"zz\r\n{}\r\n0\r\n\r\n"), ("no last chunk", b"2\r\n{}\r\n"), ("size overflow", b"FFFFFFFFFFFFFFFFF\r\n{}"),
                     ("bare lf", b"2\n{}\r\n0\r\n\r\n"), ("data too long", b"1\r\n{}\r\n0\r\n\r\n")]:
    fault("F-087", name_, lambda d, s, t=tail_: [JSON_CHUNKED + t, ("sleep", 0.03), ("fin",)], "upstream_error", 503, modes=PLAIN)
for name_ in ("gzip", "br", "zstd"):
    fault("F-088", name_, lambda d, s, n=name_: answer(200, gzip.compress(json.dumps(d.plain()).encode()), [("Content-Encoding", n)]),
          "upstream_error", 503)
fault("F-091", "sse for json", lambda d, s: sse(d.opening() + d.content() + d.closing()), "upstream_error", 503, modes=PLAIN)
for name_, value_ in [("missing", None), ("negative", -5), ("huge", 10 ** 18), ("string", "many")]:
    def odd_usage(d, s, v=value_):
        body = d.plain()
        body["usage"] = v if v is None else {k: v for k in body["usage"]}
        return answer(200, body)
    fault("F-092", "usage " + name_, odd_usage, OK, PASS, modes=PLAIN)

# ---- streams before commit: the client has seen nothing --------------------------------------------------------------
def events(*parts, end=(END,)):
    """An SSE answer: chunks of events, then how it ends."""
    return lambda d, s: [SSE_HEAD] + [chunk(p(d) if callable(p) else p) for p in parts] + list(end)


def opening(d):
    return b"".join(d.opening())


def content(d):
    return b"".join(d.content())


def closing(d):
    return b"".join(d.closing())


def first_event_half(d):
    return d.content()[-1][:30]


fault("F-093", "no event", events(), "upstream_error", 503, modes=STREAM)
fault("F-093", "no event no end", events(end=[("fin",)]), "upstream_error", 503, modes=STREAM)
fault("F-094", "reset after the head", events(end=[("sleep", 0.03), ("rst",)]), "upstream_error", 503, modes=STREAM)
fault("F-095", "silence after the head", events(end=[("hold", 30)]), "timeout", 503, modes=STREAM, slow=True)
fault("F-096", "only pings", lambda d, s: [SSE_HEAD, ("pieces", [chunk(b": ping\n\n")] * 200, 0.05)], "timeout", 503, modes=STREAM, slow=True)
fault("F-097", "first an error", events(lambda d: d.error_event()), "upstream_error", Mapped(500, 529), modes=STREAM)
fault("F-097", "first a rate limit", events(lambda d: d.error_event("rate_limit_error" if d is Messages else "rate_limit_exceeded", "slow down")),
      "rate_limit", 429, modes=STREAM)
fault("F-098", "role then error", events(opening, lambda d: d.error_event()), "upstream_error", Mapped(500, 529), modes=STREAM)
for name_, before_ in [("F-097", ()), ("F-098", (opening,))]:
    fault(name_, "then a rejection", events(*before_, lambda d: d.error_event("invalid_request_error", "this will never do")),
          "rejected", Mapped(400), modes=STREAM)
    fault(name_, "then no such model", events(*before_, lambda d: d.error_event("not_found_error" if d is Messages else "model_not_found",
          "no such model")), "not_found", Mapped(404), modes=STREAM)
    fault(name_, "then a bad key", events(*before_, lambda d: d.error_event("authentication_error", "not this key: sk-canary")),
          "auth", 503, modes=STREAM)
fault("F-099", "role then end", events(opening), "upstream_error", 503, modes=STREAM)
fault("F-099", "role then fin", events(opening, end=[("fin",)]), "upstream_error", 503, modes=STREAM)
fault("F-100", "broken json then end", events(b'data: {"choices": [oops\n\n'), "upstream_error", 503, modes=STREAM)
fault("F-101", "half an event then fin", events(first_event_half, end=[("fin",)]), "upstream_error", 503, modes=STREAM)
fault("F-102", "done first", events(b"data: [DONE]\n\n"), "upstream_error", 503, modes=STREAM, surfaces=("chat-completions",))
fault("F-104", "no content type", lambda d, s: [head(200, [("Transfer-Encoding", "chunked")]), chunk(opening(d) + content(d) + closing(d)), END],
      OK, PASS, modes=STREAM)

# ---- streams after commit: (id, name, surfaces, steps(d), what the client must see) ------------------------------------
# CUT: all content, one error event, no terminal event, no final chunk.   WHOLE: exactly these bytes, ended properly.
CUT, WHOLE = "cut", "whole"
ALL = ("chat-completions", "responses", "messages")
LATE = []


def late(id, name, steps, sees, surfaces=ALL, more=b"", slow=False):
    LATE.append((id, name, steps, sees, surfaces, more, slow))


def cut_by(*end):
    # The pause keeps the fault out of the read that commits: a fault seen before commit may still be hidden.
    return lambda d: [SSE_HEAD, chunk(opening(d) + content(d)), ("sleep", 0.05), *end]


late("F-108", "clean end, nothing says it is whole", cut_by(END), CUT)
late("F-108", "fin", cut_by(("fin",)), CUT)
late("F-109", "reset", cut_by(("rst",)), CUT)
late("F-111", "no done", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + d.chunk({}, "stop")), END], "finished", ("chat-completions",))
late("F-112", "stays open", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + closing(d)), ("hold", 8)], WHOLE)
late("F-113", "no last chunk after the terminal event", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + closing(d)), ("fin",)], WHOLE)
late("F-114", "event cut in its middle", lambda d: [SSE_HEAD, chunk(opening(d) + content(d)), chunk(first_event_half(d)), ("sleep", 0.05), ("fin",)], CUT)
late("F-115", "stall", cut_by(("hold", 30)), CUT, slow=True)
late("F-116", "error event", lambda d: [SSE_HEAD, chunk(opening(d) + content(d)), chunk(d.error_event()), END], "error-forwarded")
late("F-117", "broken event in the middle", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + b"data: {oops\n\n" + closing(d)), END], WHOLE,
     more=b"data: {oops\n\n")
late("F-118", "bad chunk size", cut_by(b"zz\r\n"), CUT)
late("F-118", "chunk size overflow", cut_by(b"FFFFFFFFFFFFFFFFF\r\n"), CUT)
late("F-121", "no usage", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + d.chunk({}, "stop") + b"data: [DONE]\n\n"), END],
     "no-usage", ("chat-completions",))
late("F-122", "bytes after the end", lambda d: [SSE_HEAD, chunk(opening(d) + content(d) + closing(d)) + END + b"HTTP/1.1 200 OK\r\n\r\n"], WHOLE)
late("F-125", "tool arguments cut", lambda d: [SSE_HEAD, chunk(opening(d) + b"".join(d.content(tool=True)[:-2])), ("sleep", 0.03), ("fin",)], "cut-tool")
