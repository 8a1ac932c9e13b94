"""Every recorded exchange of the surfaces weir passes through, replayed through one gateway process: what the provider
sent must arrive byte for byte, however it was cut into writes; what it refused must be classed as its words say."""
import json
import random

import pytest

import fake
import recorded
from recorded import error_classes, load, stream_fate
from weir import Weir, config, provider

CASES = load()
UNARY = [c for c in CASES if c.kind == "unary" and c.status == 200]
# One provider of the old completions surface streams objects of a shape of its own: no rule says what of it is content.
STREAMS = [c for c in CASES if c.kind == "stream" and not (c.surface == "completions" and stream_fate(c) == "empty")]
ERRORS = [c for c in CASES if c.kind == "error"]
SLOW_LIMIT = 20 * 1024
GOOD = {"answer": "from the second provider"}

# Providers whose own dialect decides how an error reads go by their built-in id, on the surfaces that are theirs.
BUILTIN = {("openai", s) for s in ("chat-completions", "responses", "completions", "embeddings")} | {
    ("anthropic", "messages"), ("deepseek", "chat-completions"), ("groq", "chat-completions"),
    ("openrouter", "chat-completions")}

if not CASES:
    pytest.skip("no recordings beside the repository (WEIR_SHARED)", allow_module_level=True)


def ids(cases):
    return [c.id for c in cases]


def provider_id(case):
    return case.provider if (case.provider, case.surface) in BUILTIN else "rec-" + case.provider


def pieces(case, seed):
    """The body cut at random places, a few bytes to a few kilobytes each."""
    rng, out, at = random.Random("%s %s" % (case.model, seed)), [], 0
    while at < len(case.body):
        n = rng.choice((1, 2, 3, 7, 30, 150, 1400, 4096, 16384))
        out.append(case.body[at:at + n])
        at += n
    return out


class Replay:
    def __init__(self):
        self.cases = {c.model: c for c in CASES}
        self.mode = {}
        self.upstream = fake.Upstream(self.play)

    def play(self, request):
        model = request.model or ""
        if model == "good":
            return fake.answer(200, GOOD)
        case = self.cases[model]
        mode = self.mode.get(model, "split")
        if case.kind == "error":
            return fake.answer(case.status, case.body, case.headers, ctype=case.content_type)
        if mode == "drip":
            wire = b"".join(s if isinstance(s, bytes) else b"".join(s[1]) for s in
                            fake.answer(200, case.body, case.headers, "chunked", case.content_type, pieces(case, 1)))
            return [("drip", wire, 0)]
        if mode == "close":
            return fake.answer(200, case.body, case.headers, "close", case.content_type)
        framing = "chunked" if case.kind == "stream" or mode == "chunked" else "length"
        return fake.answer(200, case.body, case.headers, framing, case.content_type, pieces(case, 0))


@pytest.fixture(scope="module")
def bench():
    replay = Replay()
    base = replay.upstream.base + "/v1"
    names = sorted({provider_id(c) for c in CASES})
    builtin = [n for n in names if not n.startswith("rec-")]
    conf = config(
        providers=[{"providerId": n, "baseUrl": base} for n in builtin] +
                  [provider(n, base) for n in names if n.startswith("rec-")] + [provider("second", base)],
        providerKeys=[{"id": "aigpk_" + n, "providerId": n, "name": "main", "value": "sk-%s-0123456789abcdef" % n} for n in builtin])
    with Weir(conf) as weir:
        yield weir, replay
    replay.upstream.close()


def ask(bench, case, mode):
    weir, replay = bench
    replay.mode[case.model] = mode
    name = "%s:%s" % (provider_id(case), case.model)
    sent = case.request(name)
    path = case.path + ("?beta=true" if case.surface == "messages" else "")
    reply = weir.call(path, sent, headers=[("anthropic-version", "2023-06-01")] if case.surface == "messages" else [], timeout=20)
    got = replay.upstream.seen(case.model)
    assert len(got) >= 1, reply
    quoted = json.dumps(name).encode()
    assert got[-1].body == sent.replace(quoted, json.dumps(case.model).encode(), 1), "more than the model was changed"
    assert got[-1].target == "/v1" + path[3:]
    with replay.upstream.lock:
        replay.upstream.requests.clear()
    return reply


@pytest.mark.parametrize("case", UNARY, ids=ids(UNARY))
def test_unary(bench, case):
    """Length, chunked and read-to-close framing, each cut into pieces, give the same bytes."""
    for mode in ("split", "chunked", "close"):
        reply = ask(bench, case, mode)
        assert reply.status == 200, (mode, reply)
        assert reply.whole, (mode, reply.end)
        assert reply.body == case.body, mode
        assert reply.get("content-type") == case.content_type
        if not recorded.only_an_error(case.body):
            assert [a[2] for a in reply.attempts] == ["200"], reply.headers


def check_stream(case, reply, mode):
    fate = stream_fate(case)
    if fate == "whole":
        assert reply.status == 200, (mode, reply)
        assert reply.body == case.body, mode
        assert reply.whole, (mode, reply.end)
        assert reply.get("content-type") == case.content_type
    elif fate == "broken":
        # What came before the failing event is content that the client has; then the failure must be unmistakable.
        at = case.body.index(b'"error"')
        good = case.body.rfind(b"\n\n", 0, at) + 2
        assert reply.status == 200 and reply.body.startswith(case.body[:good]), mode
        kinds = [recorded.event_kind(case.surface, *e) for e in recorded.sse_events(reply.body)]
        assert kinds.count("error") == 1 and kinds[-1] == "error", (mode, kinds[-3:])
        assert not recorded.finish_seen(case.surface, reply.body) or recorded.finish_seen(case.surface, case.body)
    else:
        assert reply.status >= 400, (fate, mode, reply)


@pytest.mark.parametrize("case", STREAMS, ids=ids(STREAMS))
def test_stream(bench, case):
    for mode in ("split", "close"):
        check_stream(case, ask(bench, case, mode), mode)


SMALL = [c for c in STREAMS if len(c.body) <= SLOW_LIMIT]


@pytest.mark.parametrize("case", SMALL, ids=ids(SMALL))
def test_stream_byte_by_byte(bench, case):
    check_stream(case, ask(bench, case, "drip"), "drip")


FINAL = {"rejected": "pass", "not_found": "pass", "content_policy": "pass", "upstream_error": "pass",
         "rate_limit": 429, "auth": 503, "quota": 503}


@pytest.mark.parametrize("case", ERRORS, ids=ids(ERRORS))
def test_error(bench, case):
    """Alone: its class decides between the upstream's answer as it came and one of the gateway's own."""
    weir, _ = bench
    classes = error_classes(case.provider, case.status, case.body)
    reply = ask(bench, case, "split")
    record = weir.record(reply)
    assert record, "no log record for the request"
    assert len(record["attempts"]) == 1
    outcome = record["attempts"][0]["outcome"]
    assert outcome in classes, "%s %r" % (case.status, case.body[:300])
    assert record["attempts"][0]["status"] == case.status
    if FINAL[outcome] == "pass":
        assert reply.status == case.status and reply.body == case.body, reply
    else:
        assert reply.status == FINAL[outcome], reply
        assert json.loads(reply.body)["weir"]["attempts"] if case.surface == "messages" else \
            json.loads(reply.body)["error"]["weir"]["attempts"]
        if outcome in ("auth", "quota") and len(case.body) > 20:
            assert case.body not in reply.body, "an upstream's auth body quotes the key"
    assert reply.get("x-should-retry") in ("true", "false"), reply


@pytest.mark.parametrize("case", ERRORS, ids=ids(ERRORS))
def test_error_then_second_provider(bench, case):
    weir, replay = bench
    body = json.loads(case.request("%s:%s" % (provider_id(case), case.model)))
    body["models"] = ["second:good"]
    reply = weir.call(case.path, body)
    assert reply.status == 200 and json.loads(reply.body) == GOOD, reply
    assert [a[0] for a in reply.attempts] == [provider_id(case), "second"], reply.headers
    assert reply.get("x-weir-provider") == "second" and reply.get("x-weir-model") == "good"
    assert "models" not in replay.upstream.seen("good")[-1].json
    replay.upstream.clear()


WITH_USAGE = [c for c in STREAMS if c.surface == "chat-completions" and stream_fate(c) == "whole" and
              any('"usage"' in d and json.loads(d).get("usage") and json.loads(d).get("choices") == []
                  for _, d, _ in recorded.sse_events(c.body) if d.startswith("{"))][:12]


@pytest.mark.parametrize("case", WITH_USAGE, ids=ids(WITH_USAGE))
def test_usage_is_asked_for_and_kept_back(bench, case):
    """A client that did not ask for usage gets the same stream without the usage event, which upstream was asked for."""
    weir, replay = bench
    replay.mode[case.model] = "split"
    body = json.loads(case.request("%s:%s" % (provider_id(case), case.model)))
    del body["stream_options"]
    reply = weir.call(case.path, body, timeout=20)
    assert replay.upstream.seen(case.model)[-1].json["stream_options"] == {"include_usage": True}
    replay.upstream.clear()
    assert reply.status == 200 and reply.whole
    want = [d for _, d, _ in recorded.sse_events(case.body)]
    drop = [d for d in want if d.startswith("{") and json.loads(d).get("usage") and json.loads(d).get("choices") == []]
    got = [d for _, d, _ in recorded.sse_events(reply.body)]
    assert got == [d for d in want if d not in drop]
    record = weir.record(reply)
    assert record["inputTokens"] > 0 and record["outputTokens"] > 0, record
