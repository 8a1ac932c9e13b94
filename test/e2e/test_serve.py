"""What a deployment switches on, with the real binary: a listener with TLS, the output cap, heartbeats, and the refusals that
no provider is asked for."""
import json
import socket
import ssl
import time

import pytest

import certs
import dialects
import fake
import wire
from dialects import SURFACES, TEXT, Chat, Messages, Responses
from weir import ALL_SURFACES, TOKEN, Weir, config, provider


def chat(model="up:text", stream=False):
    body = json.dumps(Chat.request(model, stream)).encode()
    return wire.head_of("POST", Chat.path, (), body, TOKEN) + body


# ---- a listener with TLS ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=["ec", "rsa"])
def secure(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls-" + request.param)
    ca = certs.Authority(folder, request.param, "front")
    chain, key = ca.leaf("DNS:gateway.test")
    trust = ssl.create_default_context(cafile=str(ca.ca))
    with fake.Upstream(dialects.behave) as up:
        with Weir(config(tls={"cert": "file:%s" % chain, "key": "file:%s" % key}, providers=[provider("up", up.base + "/v1")])) as weir:
            yield weir, up, trust


def secured(secure, context=None):
    return wire.Wire(secure[0].port, tls=context or secure[2], server_name="gateway.test")


def test_tls_requests(secure):
    """Plain, streaming and a body of a megabyte on one connection."""
    with secured(secure) as w:
        for _ in range(3):
            w.send(chat())
            assert Chat.text_of(w.reply().body) == TEXT
            w.send(chat(stream=True))
            reply = w.reply()
            assert reply.whole and reply.body == b"".join(dialects.stream_of(Chat))
        body = json.dumps({**Chat.request("up:text"), "metadata": {"filler": "x" * 1000000}}).encode()
        w.send(wire.head_of("POST", Chat.path, (), body, TOKEN) + body)
        assert w.reply().status == 200
    assert len(secure[1].requests[-1].body) > 1000000


def test_tls_byte_by_byte(secure):
    with secured(secure) as w:
        for b in chat():
            w.send(bytes([b]))
        assert w.reply().status == 200


def test_tls_sessions_are_resumed(secure):
    context = ssl.create_default_context(cadata="")
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with secured(secure, context) as w:
        session = w.sock.session
    with socket.create_connection(("127.0.0.1", secure[0].port), 5) as raw, context.wrap_socket(raw, session=session) as s:
        assert s.session_reused
        s.sendall(chat())
        assert s.recv(12) == b"HTTP/1.1 200"


def test_tls_strangers(secure):
    """Plain HTTP, noise, an old version, a client that says nothing: closed or left waiting, and the others are served."""
    weir = secure[0]
    mute = [wire.Wire(weir.port) for _ in range(5)]
    for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x40\x01" + b"\xff" * 400, b"\x00" * 100):
        with wire.Wire(weir.port) as w:
            w.send(noise)
            assert w.closed_within(5) or w.buf[:1] == b"\x15", w.buf
    with wire.Wire(weir.port) as w:  # the beginning of a hello, then gone
        w.send(b"\x16\x03\x01\x02\x00\x01\x00")
        w.reset()
    with pytest.raises(ssl.SSLError):
        wire.call(weir.port, "/healthz", tls=ssl.create_default_context(), server_name="gateway.test")  # who does not trust us
    with secured(secure) as w:
        w.send(chat())
        assert w.reply().status == 200
    for w in mute:
        w.close()


# ---- the output cap -----------------------------------------------------------------------------------------------
CAPS = [  # surface, sent, what upstream gets
    (Chat, {}, {"max_tokens": 100}), (Chat, {"max_tokens": 50}, {"max_tokens": 50}), (Chat, {"max_tokens": 500}, {"max_tokens": 100}),
    (Chat, {"max_completion_tokens": 500}, {"max_completion_tokens": 100}), (Chat, {"max_completion_tokens": 7}, {"max_completion_tokens": 7}),
    (Responses, {}, {"max_output_tokens": 100}), (Responses, {"max_output_tokens": 101}, {"max_output_tokens": 100}),
    (Responses, {"max_output_tokens": 99}, {"max_output_tokens": 99}),
    (Messages, {"max_tokens": 4096}, {"max_tokens": 100}), (Messages, {"max_tokens": 100}, {"max_tokens": 100})]
FIELDS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}


@pytest.fixture(scope="module")
def capped():
    surfaces = [{**s, "supportedParams": [{"name": n} for n in ("messages", "model", "stream", "max_tokens")]} if s["surface"] == "chat-completions" else s
                for s in ALL_SURFACES]
    with fake.Upstream(dialects.behave) as up:
        narrow = {**provider("narrow", up.base + "/v1"), "supportedApiSurfaces": surfaces}
        with Weir(config(gateway={"maxOutputTokens": 100, "maxInputTokens": 2000}, providers=[provider("up", up.base + "/v1"), narrow])) as weir:
            yield weir, up


@pytest.mark.parametrize("d,sent,got", CAPS, ids=["%s %s" % (c[0].surface, c[1]) for c in CAPS])
def test_output_cap(capped, d, sent, got):
    weir, up = capped
    up.clear()
    body = {k: v for k, v in d.request("up:text").items() if k not in FIELDS}
    assert weir.call(d.path, {**body, **sent}).status == 200
    arrived = up.requests[0].json
    assert {k: v for k, v in arrived.items() if k in FIELDS} == got
    assert {k: v for k, v in arrived.items() if k not in FIELDS} == {**body, "model": "text"}


def test_input_limit(capped):
    weir, up = capped
    up.clear()
    reply = weir.call(Chat.path, {**Chat.request("up:text"), "messages": [{"role": "user", "content": "many words " * 4000}]})
    assert reply.status == 413 and json.loads(reply.body)["error"]["code"] == "input_too_large" and not up.requests, reply


def test_parameters_a_provider_does_not_know_are_stripped(capped):
    weir, up = capped
    up.clear()
    assert weir.call(Chat.path, Chat.request("narrow:text", temperature=1, logit_bias={"a": {"temperature": 2}}, max_tokens=9)).status == 200
    assert up.requests[0].json == {**Chat.request("text"), "max_tokens": 9}


# ---- heartbeats ---------------------------------------------------------------------------------------------------
def test_heartbeats(capped):
    """A client that waits is told so in comments; then the stream, or one error event where a status can no more be sent."""
    def play(r):
        if r.model == "bad":
            return [("sleep", 0.8)] + fake.answer(500, Chat.error("server_error", "words"))
        return [("sleep", 0.8)] + dialects.behave(r)
    with fake.Upstream(play) as up, Weir(config(gateway={"streamHeartbeat": "100ms"}, providers=[provider("up", up.base + "/v1")])) as weir:
        start = time.monotonic()
        first = []
        with wire.Wire(weir.port) as w:
            w.send(chat("up:text", True))
            reply = w.reply(on_data=lambda r: first.append(time.monotonic() - start))
        comments, sep, rest = reply.body.partition(b"data: ")
        assert reply.status == 200 and reply.whole and sep + rest == b"".join(dialects.stream_of(Chat))
        assert comments.count(b":") >= 3 and set(comments.split(b"\n\n")[:-1]) == {b": waiting"} and first[0] < 0.7
        with wire.Wire(weir.port) as w:
            w.send(chat("up:bad", True))
            reply = w.reply()
        assert reply.status == 200 and not reply.whole and b"[DONE]" not in reply.body
        assert reply.body.count(b"data: ") == 1 and json.loads(reply.body.partition(b"data: ")[2])["error"]


# ---- refusals -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scoped():
    with fake.Upstream(dialects.behave) as up:
        base = up.base + "/v1"
        conf = config(providers=[provider("up", base, models=["text"]), provider("other", base, models=["text"]), {"providerId": "openai", "baseUrl": base}],
                      accessKeyConfigurations=[{"id": "aigac_a", "name": "a", "access": {"providers": {"allow": ["up", "openai", "anthropic"]}}}],
                      accessKeys=[{"id": "aigk_test", "name": "test", "token": TOKEN, "accessKeyConfigurationId": "aigac_a"}])
        with Weir(conf) as weir:
            yield weir, up


REFUSALS = [("nobody-knows-this", 422, "no_matching_model", 3804), ("other:text", 422, "model_not_allowed", 3803),
            ("openai:gpt-4o", 400, "no_provider_key", 3802)]  # on messages: a model of Anthropic's


@pytest.mark.parametrize("model,status,code,number", REFUSALS, ids=[r[2] for r in REFUSALS])
@pytest.mark.parametrize("d", SURFACES, ids=lambda d: d.surface)
def test_refusals(scoped, d, model, status, code, number):
    weir, up = scoped
    up.clear()
    if d is Messages:
        model = model.replace("openai:gpt-4o", "anthropic:claude-sonnet-4-5")
    for stream in (False, True):
        reply = weir.call(d.path, d.request(model, stream))
        assert reply.status == status and reply.get("x-should-retry") == "false", reply
        body = json.loads(reply.body)
        assert (body["weir"] if d is Messages else body["error"]["weir"])["number"] == number, body
        assert d is Messages or body["error"]["code"] == code
    assert not up.requests
    assert weir.call(d.path, {**d.request(model), "models": ["up:text"]}).status == 200, "a candidate that is allowed was not used"
