"""The fault tables against the real binary, on three surfaces, plain and streaming: alone, and with a good provider
behind; then what happens after commit, cancellation, keys, cool-downs."""
import concurrent.futures
import json
import pathlib
import socket
import ssl
import tempfile
import time

import pytest

import certs
import dialects
import fake
import faults
import recorded
import wire
from dialects import SURFACES, TEXT
from names import Names
from faults import FAULTS, LATE, OK, PASS, WHOLE, Mapped
from weir import TOKEN, Weir, config, provider

BY_MODEL = {f.model: f for f in FAULTS}
assert len(BY_MODEL) == len(FAULTS), "two faults of one name"
EARLY = {f.model.replace(".", "-"): f for f in FAULTS if f.early}
LATE_BY_MODEL = {"late-%d" % i: row for i, row in enumerate(LATE)}
STREAM_BYTES = {d: d.opening() + d.content() + d.closing() for d in SURFACES}


def play(request):
    d, model = dialects.of_target(request.target), request.model or ""
    stream = bool((request.json or {}).get("stream"))
    if model in BY_MODEL:
        return BY_MODEL[model].play(d, stream)
    if model in LATE_BY_MODEL:
        return LATE_BY_MODEL[model][2](d)
    return dialects.behave(request)


def early(request):
    """Faults that strike before the body is read are told by the first bytes: the model is in no header."""
    name = request.target.split("/")[1]
    return EARLY[name].play(dialects.of_target(request.target), False) if name in EARLY else None


def blackhole():
    """A port that answers no SYN: its accept queue is full."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    fill = []
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        try:
            c.connect(s.getsockname())
        except BlockingIOError:
            pass
        fill.append(c)
    time.sleep(0.1)
    return s, fill


class World:
    """Names and certificates of the test's own: a DNS server, an authority, servers with wrong certificates."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="weir-world-")
        self.names = Names()
        ca = certs.Authority(pathlib.Path(self.dir.name) / "ca", "ec", "faults")
        other = certs.Authority(pathlib.Path(self.dir.name) / "other", "ec", "other")
        host = "DNS:up.test"
        self.ca = str(ca.ca)
        self.upstream = {"allowPrivate": True, "caFile": self.ca, "dns": ["127.0.0.1:%d" % self.names.port]}
        self.servers = {}
        for name, chain in [("cert-expired", ca.leaf(host, end="20210101000000Z")), ("cert-early", ca.leaf(host, start="20480101000000Z")),
                            ("cert-host", ca.leaf("DNS:other.test")), ("cert-unknown", other.leaf(host)), ("cert-old", ca.leaf(host))]:
            self.servers[name] = tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*chain)
        self.servers["cert-old"].set_ciphers("AES128-SHA")   # no forward secrecy: no suite in common
        self.servers["cert-old"].maximum_version = ssl.TLSVersion.TLSv1_2

    def close(self):
        self.names.close()
        self.dir.cleanup()


def base_of(name, port):
    """The base URL of the place that fails at connecting."""
    if name.startswith("dns-"):
        return "http://%s.internal:%d" % (name[4:], port)
    return "%s:%d" % ("https://up.test" if name.startswith("cert") else "https://127.0.0.1" if name.startswith("tls") else "http://127.0.0.1", port)


def connect_faults(world):
    """Listeners that fail at connecting: (by name, their ports and those of sockets nobody accepts on, these sockets)."""
    listeners = {
        "accept-rst": fake.Upstream(on_accept=[("rst",)]), "accept-fin": fake.Upstream(on_accept=[("fin",)]),
        "tls-stall": fake.Upstream(on_accept=[("hold", 30)]), "tls-eof": fake.Upstream(on_accept=[("sleep", 0.05), ("fin",)]),
        "tls-plain": fake.Upstream(on_accept=[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ("sleep", 0.1), ("fin",)]),
    }
    # What these would say if somebody trusted them is no answer.
    listeners.update({n: fake.Upstream(lambda r: fake.answer(200, {"stolen": True}), tls=t) for n, t in world.servers.items()})
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    hole, fill = blackhole()
    ports = {n: l.port for n, l in listeners.items()}
    ports.update({f.base: ports["accept-rst"] for f in FAULTS if (f.base or "").startswith("dns-")})
    ports.update(refused=closed.getsockname()[1], blackhole=hole.getsockname()[1])
    return listeners, ports, [closed, hole, *fill]


@pytest.fixture(scope="module")
def bench():
    up, narrow = fake.Upstream(play), fake.Upstream(play, early=early, rcvbuf=4096)
    world = World()
    listeners, ports, held = connect_faults(world)
    providers = [provider("bad", up.base + "/v1"), provider("good", up.base + "/v1")]
    providers += [provider(n, base_of(n, p) + "/v1") for n, p in ports.items()]
    providers += [provider(name, "%s/%s" % (narrow.base, name)) for name in EARLY]
    # Long enough that a good attempt on a busy machine never meets them.
    gateway = {"connectTimeout": "1s", "perRequestTimeout": "3s", "streamIdleTimeout": "2s", "totalTimeout": "30s"}
    with Weir(config(providers=providers, gateway=gateway, upstream=world.upstream)) as weir:
        yield weir, up
    for l in [world, up, narrow, *listeners.values(), *held]:
        l.close()


def name_of(f):
    return "%s:%s" % (f.base or (f.model.replace(".", "-") if f.early else "bad"), f.model)


def ask(weir, d, model, stream, models=None, size=0, timeout=25):
    body = d.request(model, stream)
    if models:
        body["models"] = models
    if size:
        body["metadata"] = {"filler": "x" * size}
    return weir.call(d.path, body, timeout=timeout)


def stream_text(d, body):
    out = ""
    for _, data, _ in recorded.sse_events(body):
        try:
            out += d.event_text(json.loads(data))
        except ValueError:
            pass
    return out


def text_of(d, reply, stream):
    return stream_text(d, reply.body) if stream else d.text_of(reply.body)


def own_error(d, reply):
    """The gateway's own error object, in the surface's shape."""
    body = json.loads(reply.body)
    if d.surface == "messages":
        assert body["type"] == "error" and body["error"]["type"] and body["error"]["message"], body
        assert "request_id" in body, body
        return body["weir"]
    assert set(body["error"]) >= {"message", "type", "param", "code"}, body
    return body["error"]["weir"]


def error_inside(f, d, stream):
    """The error object that the fault's answer of status 200 holds."""
    sent = b"".join(f.play(d, stream))
    if not stream:
        return json.loads(sent.partition(b"\r\n\r\n")[2])
    objects = [json.loads(line[6:]) for line in sent.split(b"\n") if line.startswith(b"data: {")]
    return [o for o in objects if o.get("error") or o.get("type") == "error"][0]


def check_alone(weir, up, f, d, stream):
    reply = ask(weir, d, name_of(f), stream, size=f.size)
    record = weir.record(reply)
    assert record, "no log record; %r" % reply
    assert [a["outcome"] for a in record["attempts"]] in [[c] for c in f.classes], (record["attempts"], reply)
    mapped = [a for a in f.alone if isinstance(a, Mapped)]
    if mapped:
        assert reply.status == mapped[0].status(d) == record["attempts"][0]["status"], reply
        assert json.loads(reply.body) == error_inside(f, d, stream), "the provider's words did not arrive as they came"
        assert reply.get("content-type") == "application/json"
    elif PASS in f.alone:
        sent = [s for s in f.play(d, stream)]
        if f.classes == {OK}:
            assert reply.status == 200
            if not stream:
                assert sent[0].endswith(reply.body) and reply.body
            else:
                assert text_of(d, reply, True) == TEXT and reply.whole
        else:
            assert reply.status == record["attempts"][0]["status"], reply
            assert sent[0].endswith(b"\r\n\r\n" + reply.body), "the provider's words did not arrive as they came"
    else:
        assert reply.status in f.alone, reply
        if reply.status in (502, 503):
            own = own_error(d, reply)
            assert len(own["attempts"]) == 1, own
    assert b"sk-canary" not in reply.body, "an upstream's words about its key reached the client"
    assert reply.whole or reply.status == 200, reply
    if reply.status != 200:
        assert reply.get("x-should-retry") in ("true", "false"), reply
        if reply.get("x-should-retry") == "true":
            assert reply.get("retry-after"), reply
    if reply.status == 429:
        seconds = int(reply.get("retry-after"))
        assert 0 < seconds <= 3600, reply


def check_followed(weir, up, f, d, stream):
    reply = ask(weir, d, name_of(f), stream, ["good:good"], size=f.size)
    if f.classes == {OK} or not f.follow:
        assert len(reply.attempts) == 1 or f.follow, "routed around a refusal: %r" % reply
        return
    assert reply.status == 200, reply
    assert text_of(d, reply, stream) == TEXT and reply.whole
    if stream:
        assert reply.body == b"".join(STREAM_BYTES[d]), "bytes of the failed attempt were mixed in"
    record = weir.record(reply)
    outcomes = [a["outcome"] for a in record["attempts"]]
    assert len(outcomes) == 2 and outcomes[0] in f.classes and outcomes[1] == "ok", outcomes
    assert reply.get("x-weir-provider") == "good"


CELLS = [(f, d, mode) for f in FAULTS for d in SURFACES for mode in f.modes if not f.surfaces or d.surface in f.surfaces]
QUICK = [c for c in CELLS if not c[0].slow]
SLOW = [c for c in CELLS if c[0].slow]


def cell_ids(cells):
    return ["%s %s %s %s" % (f.id, f.name, d.surface, mode) for f, d, mode in cells]


@pytest.mark.parametrize("f,d,mode", QUICK, ids=cell_ids(QUICK))
def test_fault(bench, f, d, mode):
    check_alone(*bench, f, d, mode == "stream")
    check_followed(*bench, f, d, mode == "stream")


@pytest.fixture(scope="module")
def waited(bench):
    """The faults that only a timer ends, all at once."""
    def run(cell, check):
        f, d, mode = cell
        try:
            check(*bench, f, d, mode == "stream")
        except Exception as e:  # shown by the test of that cell
            return e
        return None
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        jobs = {(i, check.__name__): pool.submit(run, cell, check) for i, cell in enumerate(SLOW) for check in (check_alone, check_followed)}
        return {k: j.result() for k, j in jobs.items()}


@pytest.mark.parametrize("check", ["check_alone", "check_followed"])
@pytest.mark.parametrize("i", range(len(SLOW)), ids=cell_ids(SLOW))
def test_slow_fault(waited, i, check):
    error = waited[(i, check)]
    assert error is None, "%s: %s" % (type(error).__name__, error)


# ---- after commit ------------------------------------------------------------------------------------------------
LATE_CELLS = [(m, d) for m, row in LATE_BY_MODEL.items() for d in SURFACES if d.surface in row[4]]


@pytest.mark.parametrize("model,d", LATE_CELLS, ids=["%s %s %s" % (LATE_BY_MODEL[m][0], LATE_BY_MODEL[m][1], d.surface) for m, d in LATE_CELLS])
def test_after_commit(bench, model, d):
    weir, up = bench
    _, _, steps, sees, _, more, slow = LATE_BY_MODEL[model]
    up.clear()
    start = time.monotonic()
    reply = ask(weir, d, "bad:" + model, True, ["good:good"])
    took = time.monotonic() - start
    assert reply.status == 200, reply
    assert len(up.requests) == 1, "another attempt was made after commit"
    kinds = [recorded.event_kind(d.surface, *e) for e in recorded.sse_events(reply.body)]
    opening, content, closing = b"".join(d.opening()), b"".join(d.content()), b"".join(d.closing())
    if sees == WHOLE:
        assert reply.body == opening + content + more + closing and reply.whole, reply
        assert took < 4, "waited for the end of a connection whose answer was complete"
    elif sees in ("finished", "no-usage"):
        assert reply.body.startswith(opening + content) and reply.whole and "error" not in kinds, reply
        assert stream_text(d, reply.body) == TEXT
    else:
        want = opening + (b"".join(d.content(tool=True)[:-2]) if sees == "cut-tool" else content)
        assert reply.body.startswith(want), reply
        tail = reply.body[len(want):]
        assert kinds.count("error") == 1 and kinds[-1] == "error", kinds
        assert "done" not in kinds and b"[DONE]" not in tail and b'"finish_reason":"' not in tail and b"message_stop" not in tail
        assert not reply.whole, "the end looks like that of a complete answer"
        assert tail.count(b"\n\n") == 1, "half an event or more than the error event: %r" % tail
        if sees == "error-forwarded":
            assert json.loads(d.error_event().partition(b"data: ")[2].strip()) == json.loads(tail.partition(b"data: ")[2].strip())
    record = weir.record(reply)
    assert len(record["attempts"]) == 1
    assert record["end"] == ("complete" if sees in (WHOLE, "finished", "no-usage") else "cut"), record


@pytest.mark.parametrize("d", SURFACES, ids=lambda d: d.surface)
def test_f123_one_byte_segments(bench, d):
    """A stream whose every byte is a segment, and one of very many small events."""
    weir, up = bench
    many = b"".join(d.content(["x"])[-1] for _ in range(5000))
    body = b"".join(d.opening() + d.content()) + many + b"".join(d.closing())
    up.play = lambda r: [faults.SSE_HEAD, faults.chunk(body), faults.END]
    try:
        reply = ask(weir, d, "bad:x", True)
        assert reply.status == 200 and reply.body == body and reply.whole
        small = b"".join(STREAM_BYTES[d])
        up.play = lambda r: [("drip", faults.SSE_HEAD + faults.chunk(small) + faults.END, 0)]
        reply = ask(weir, d, "bad:x", True)
        assert reply.status == 200 and reply.body == small and reply.whole
    finally:
        up.play = play


# ---- the client goes away ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("phase", ["waiting", "held", "stream", "plain body"])
@pytest.mark.parametrize("d", SURFACES, ids=lambda d: d.surface)
def test_f106_f120_client_leaves(bench, d, phase, how):
    """Upstream is closed within 100 ms and nothing else is tried; one record says so."""
    weir, up = bench
    steps = {"waiting": [("hold", 10)], "held": [faults.SSE_HEAD, faults.chunk(b"".join(d.opening())), ("hold", 10)],
             "stream": [faults.SSE_HEAD, faults.chunk(b"".join(d.opening() + d.content())), ("hold", 10)],
             "plain body": [fake.head(200, [("Content-Type", "application/json"), ("Content-Length", "1000")]) + b"{", ("hold", 10)]}[phase]
    up.clear()
    up.play = lambda r: steps
    name = "leaving-%s-%s-%s" % (d.surface, phase.replace(" ", "-"), how)
    try:
        body = d.request("bad:" + name, phase != "plain body")
        body["models"] = ["good:good"]
        raw = json.dumps(body).encode()
        with wire.Wire(weir.port) as w:
            w.send(wire.head_of("POST", d.path, body=raw, token=TOKEN) + raw)
            assert up.wait(lambda u: u.requests)
            conn = up.requests[0].conn
            if phase == "stream":
                deadline = time.monotonic() + 5
                while b"".join(d.content())[-20:-2] not in w.buf and w.more(deadline):
                    pass
            else:
                time.sleep(0.15)
            left = time.monotonic()
            w.reset() if how == "reset" else w.close()
        assert up.wait(lambda u: conn.gone, 3), "upstream is still open"
        assert conn.gone_at - left < 0.1, conn.gone_at - left
        time.sleep(0.1)
        assert len(up.requests) == 1, "another attempt for a client that is gone"
    finally:
        up.play = play
    assert weir.wait_line(lambda l: l.get("msg") == "request" and l.get("model") == name, 3), "no record"
    assert [r["end"] for r in weir.records(name)] == ["client_gone"]


# ---- keys and models: who is tried next -----------------------------------------------------------------------------
NEXT_KEY = {"F-052 401": 2, "F-053 402": 2, "F-054 403": 2, "F-056 404": 2, "F-065 429": 2, "F-066 429 quota": 2, "F-069 500": 2,
            "F-059 408": 2, "F-048 400": 1, "F-058 422": 1, "F-061 413": 1, "F-055 400 content filter": 1}


@pytest.fixture(scope="module")
def keyed():
    with fake.Upstream(play) as up:
        base = up.base + "/v1"
        keys = [{"id": "aigpk_%d" % i, "providerId": "openai", "name": "key%d" % i, "value": "sk-canary-%d-0123456789abcdef" % i} for i in (1, 2)]
        with Weir(config(providers=[{"providerId": "openai", "baseUrl": base}, provider("good", base)], providerKeys=keys)) as weir:
            yield weir, up


@pytest.mark.parametrize("what,calls", NEXT_KEY.items(), ids=list(NEXT_KEY))
def test_next_key_or_next_model(keyed, what, calls):
    weir, up = keyed
    f = [f for f in FAULTS if "%s %s" % (f.id, f.name) == what][0]
    up.clear()
    reply = ask(weir, dialects.Chat, "openai:" + f.model, False, ["good:good"])
    used = [q.get("authorization") for q in up.seen(f.model)]
    assert used == ["Bearer sk-canary-%d-0123456789abcdef" % i for i in range(1, calls + 1)]
    if f.classes == {"content_policy"}:
        assert reply.status == 400 and not up.seen("good")
    else:
        assert reply.status == 200 and [a[1] for a in reply.attempts][:calls] == ["key1", "key2"][:calls]
    assert b"sk-canary" not in reply.body and all("sk-canary" not in v for _, v in reply.headers)


def test_f138_failover_off(keyed):
    weir, up = keyed
    up.clear()
    limited = [f for f in FAULTS if f.name == "429"][0].model
    reply = weir.call("/v1/chat/completions", dialects.Chat.request("openai:" + limited), headers=[("x-weir-failover", "off")])
    assert reply.status == 429 and len(up.requests) == 1
    assert up.requests[0].get("x-weir-failover") is None


def test_f107_two_failures_before_commit(keyed):
    """Both streams die before any content: a clean status that lists both, never a 200."""
    weir, up = keyed
    f = [f for f in FAULTS if f.name == "role then fin"][0]
    reply = ask(weir, dialects.Chat, "openai:" + f.model, True)
    assert reply.status == 503, reply
    attempts = json.loads(reply.body)["error"]["weir"]["attempts"]
    assert len(attempts) == 2 and b"sk-canary" not in reply.body


def test_s03_no_secret_in_log_or_error(keyed):
    weir, _ = keyed
    assert "sk-canary" not in weir.text() and TOKEN not in weir.text()


# ---- cool-downs: a gateway of its own for each, with cooling on --------------------------------------------------------
@pytest.fixture
def cooling():
    opened = []

    def start(play_, **gateway):
        up = fake.Upstream(play_)
        keys = [{"id": "aigpk_%d" % i, "providerId": "openai", "name": "key%d" % i, "value": "sk-%d-0123456789abcdef" % i} for i in (1, 2)]
        weir = Weir(config(providers=[{"providerId": "openai", "baseUrl": up.base + "/v1"}], providerKeys=keys, gateway={"cooldown": True, **gateway}))
        opened.append((weir, up))
        return weir, up
    yield start
    for weir, up in opened:
        weir.stop()
        up.close()


def limit_first(value):
    def play_(request):
        if request.get("authorization").startswith("Bearer sk-1"):
            return fake.answer(429, dialects.Chat.error("rate_limit_error", "slow"), [("Retry-After", value)] if value else [])
        return dialects.behave(request)
    return play_


def test_f128_a_cooling_key_is_not_asked(cooling):
    weir, up = cooling(limit_first("30"))
    assert ask(weir, dialects.Chat, "openai:good", False).status == 200
    assert len(up.requests) == 2
    for _ in range(3):
        assert ask(weir, dialects.Chat, "openai:good", False).status == 200
    assert len(up.requests) == 5, "a cooling key was asked although another was well"


def test_f127_f129_all_cooling_by_a_stated_time(cooling):
    ra = iter(["40", "20"] + ["1"] * 20)
    weir, up = cooling(lambda r: fake.answer(429, dialects.Chat.error("rate_limit_error", "slow"), [("Retry-After", next(ra))]))
    first = ask(weir, dialects.Chat, "openai:good", False)
    assert first.status == 429 and 18 <= int(first.get("retry-after")) <= 20, first
    second = ask(weir, dialects.Chat, "openai:good", False)
    assert second.status == 429 and 17 <= int(second.get("retry-after")) <= 20, second
    assert len(up.requests) == 2, "a stated time was not honoured"


def test_f065_a_guessed_cool_down_is_tried_when_nothing_else_is_left(cooling):
    weir, up = cooling(lambda r: fake.answer(429, dialects.Chat.error("rate_limit_error", "slow")))
    ask(weir, dialects.Chat, "openai:good", False)
    ask(weir, dialects.Chat, "openai:good", False)
    assert len(up.requests) == 4


def test_f126_what_the_client_caused_cools_nothing(cooling):
    weir, up = cooling(dialects.behave)
    for _ in range(30):
        assert ask(weir, dialects.Chat, "openai:e400", False).status == 400
    reply = ask(weir, dialects.Chat, "openai:good", False)
    assert reply.status == 200 and [a[1] for a in reply.attempts] == ["key1"]


def test_quirk_retry_after_on_success_cools_nothing(cooling):
    weir, up = cooling(lambda r: fake.answer(200, dialects.Chat.plain(), [("Retry-After", "61")]))
    for _ in range(3):
        assert [a[1] for a in ask(weir, dialects.Chat, "openai:good", False).attempts] == ["key1"]


def test_f133_total_timeout(cooling):
    weir, up = cooling(lambda r: [("hold", 20)], totalTimeout="1s", perRequestTimeout="700ms")
    start = time.monotonic()
    reply = ask(weir, dialects.Chat, "openai:good", False)
    assert reply.status == 504 and json.loads(reply.body)["error"]["code"] == "total_timeout", reply
    assert time.monotonic() - start < 2.5


def test_first_token_timeout(cooling):
    """The first attempt sends nothing but pings: the next one starts in time; on the last attempt the limit is off."""
    d = dialects.Chat
    calls = []

    def play_(r):
        calls.append(r)
        wait = [("pieces", [faults.chunk(b": ping\n\n")] * 12, 0.1)]
        return [faults.SSE_HEAD] + wait + [faults.chunk(b"".join(STREAM_BYTES[d])), faults.END]
    weir, up = cooling(play_, firstTokenTimeout="400ms", perRequestTimeout="5s")
    start = time.monotonic()
    reply = ask(weir, d, "openai:good", True)
    assert reply.status == 200 and stream_text(d, reply.body) == TEXT, reply
    assert [a[1] for a in reply.attempts] == ["key1", "key2"] and 1.4 < time.monotonic() - start < 3
