"""Errors modelled on public reports about real providers: the class of each by our reading, what a client gets when it was
the only attempt, and that another provider's answer takes its place whenever nothing was committed."""
import functools
import json

import pytest

import dialects
import fake
import recorded
from dialects import TEXT
from recorded import SHARED
from weir import Weir, config, provider

CUT = "cut"     # content came first: the failure is shown, nothing is tried
BUILTIN = {"openai": "openai", "anthropic": "anthropic", "deepseek": "deepseek", "groq": "groq", "openrouter": "openrouter", "gemini": "google"}
# case -> class, and where a time is stated the seconds a client must be told
READING = {
    "anthropic/200-stream-error-after-delta": (CUT,),
    "anthropic/429-account-rate-limit": ("rate_limit",),
    "anthropic/429-ratelimit-headers-no-retry-after": ("rate_limit", 3600),  # a reset years away: at most an hour
    "anthropic/504-cloudflare": ("upstream_error",),
    "anthropic/529-overloaded": ("upstream_error",),
    "azure/429-rate-limit-reset-tokens": ("rate_limit", 55),
    "azure/429-retry-after-86400": ("rate_limit", 3600),
    "bedrock/429-throttling": ("rate_limit",),
    "cerebras/429-plain": ("rate_limit",),
    "cloudflare-front/524-plain-text": ("upstream_error",),
    "deepseek/402-insufficient-balance": ("quota",),
    "gemini/429-openai-compat-array": ("rate_limit",),
    "gemini/503-overloaded": ("upstream_error",),
    "groq/429-tpm": ("rate_limit", 5),
    "openai/200-responses-failed-event": ("rate_limit",),
    "openai/400-context-length": ("rejected",),
    "openai/429-no-ratelimit-headers": ("rate_limit",),
    "openai/429-tpm-ms": ("rate_limit", 1),
    "openai/520-cloudflare-html": ("upstream_error",),
    "openrouter/200-stream-error-empty-choices": ("upstream_error",),
    "openrouter/200-stream-finish-reason-error": (CUT,),
    "openrouter/402-credits": ("quota",),
    "openrouter/402-nested-error": ("quota",),
    "vllm/400-context-length": ("rejected",),
    "xai/429-plain-string": ("rate_limit",),
}
ALONE = {"rate_limit": 429, "quota": 503}  # the others pass the provider's answer on


class Reported:
    def __init__(self, number, file):
        self.meta, self.folder, self.model = json.loads(file.read_text()), file.parent, "r%d" % number
        self.id = "%s/%s" % (file.parents[1].name, file.parent.name)
        self.provider = BUILTIN.get(file.parents[1].name, "rep-" + file.parents[1].name)
        self.status, self.stream = self.meta["status"], "stream" in self.meta["kind"]
        self.d = dialects.Messages if self.provider == "anthropic" else dialects.Responses if "responses" in self.id else dialects.Chat

    @functools.cached_property
    def body(self):
        return (self.folder / "response.body").read_bytes()

    @functools.cached_property
    def headers(self):
        lines = (self.folder / "response.headers").read_text("latin-1").splitlines()
        pairs = [(n.strip(), v.strip()) for n, sep, v in (l.partition(":") for l in lines) if sep]
        return [(n, v) for n, v in pairs if n.lower() not in ("content-length", "transfer-encoding", "connection")]

    def play(self):
        return fake.answer(self.status, self.body, self.headers, "chunked" if self.stream else "length", ctype=None)


FOUND = [Reported(i, f) for i, f in enumerate(sorted((SHARED / "data" / "reported-errors").glob("*/*/meta.json")))]
if not FOUND:
    pytest.skip("no reported errors beside the repository (WEIR_SHARED)", allow_module_level=True)
BY_MODEL = {c.model: c for c in FOUND}


def play(request):
    return BY_MODEL[request.model].play() if request.model in BY_MODEL else dialects.behave(request)


@pytest.fixture(scope="module")
def bench():
    with fake.Upstream(play) as up:
        base = up.base + "/v1"
        builtin = sorted({c.provider for c in FOUND} & set(BUILTIN.values()))
        custom = sorted({c.provider for c in FOUND} - set(builtin))
        conf = config(providers=[{"providerId": n, "baseUrl": base} for n in builtin] + [provider(n, base) for n in custom + ["second"]],
                      providerKeys=[{"id": "aigpk_" + n, "providerId": n, "name": "main", "value": "sk-%s-0123456789abcdef" % n} for n in builtin])
        with Weir(conf) as weir:
            yield weir, up


def ask(weir, case, models=None):
    body = case.d.request("%s:%s" % (case.provider, case.model), case.stream)
    if models:
        body["models"] = models
    return weir.call(case.d.path, body)


def test_each_report_has_a_reading():
    assert {c.id for c in FOUND} == set(READING)


@pytest.mark.parametrize("case", FOUND, ids=[c.id for c in FOUND])
def test_alone(bench, case):
    weir, _ = bench
    want, *stated = READING[case.id]
    reply = ask(weir, case)
    record = weir.record(reply)
    if want == CUT:
        check_cut(case, reply)
        assert record["end"] == "cut", record
        return
    assert [a["outcome"] for a in record["attempts"]] == [want], record
    if want in ALONE:
        assert reply.status == ALONE[want], reply
        assert want != "quota" or case.body not in reply.body
    elif case.status >= 400:
        assert reply.status == case.status and reply.body == case.body, reply
    else:
        assert reply.status == record["attempts"][0]["status"] >= 400 and json.loads(reply.body), reply
    if want == "rate_limit":
        assert 1 <= int(reply.get("retry-after")) <= 3600
    if stated:
        assert int(reply.get("retry-after")) == stated[0], reply


def check_cut(case, reply):
    kinds = [recorded.event_kind(case.d.surface, *e) for e in recorded.sse_events(reply.body)]
    assert reply.status == 200 and kinds.count("error") == 1 and kinds[-1] == "error", (kinds, reply)
    assert not reply.whole and b"[DONE]" not in reply.body and b"message_stop" not in reply.body
    good = case.body[:case.body.rfind(b"\n\n", 0, case.body.index(b'"error"')) + 2]
    assert reply.body.startswith(good)


@pytest.mark.parametrize("case", FOUND, ids=[c.id for c in FOUND])
def test_then_a_good_provider(bench, case):
    weir, up = bench
    up.clear()
    reply = ask(weir, case, ["second:good"])
    if READING[case.id][0] == CUT:
        check_cut(case, reply)
        assert len(up.requests) == 1, "another attempt after commit"
        return
    assert reply.status == 200 and reply.whole, reply
    if case.stream:
        assert reply.body == b"".join(dialects.stream_of(case.d)), "bytes of the failed attempt were mixed in"
    else:
        assert case.d.text_of(reply.body) == TEXT
    assert [a[0] for a in reply.attempts] == [case.provider, "second"] and reply.attempts[1][2] == "200"
