"""What happens on this side: too many connections, too few descriptors, slow and vanishing clients, signals. Sizes are
those of a small machine; the ids are those of the local faults in the catalogue."""
import json
import signal
import subprocess
import time

import pytest

import dialects
import fake
import faults
import wire
from dialects import Chat, TEXT
from weir import BINARY, TOKEN, Weir, config, provider

STREAM = b"".join(dialects.stream_of(Chat))


def raw(model="up:text", stream=False, extra=()):
    body = json.dumps(Chat.request(model, stream)).encode()
    return wire.head_of("POST", Chat.path, list(extra), body, TOKEN) + body


@pytest.fixture
def start():
    opened = []

    def go(play=dialects.behave, rlimit=None, **conf):
        up = fake.Upstream(play)
        weir = Weir(config(providers=[provider("up", up.base + "/v1")], **conf), rlimit_nofile=rlimit)
        opened.append((weir, up))
        return weir, up
    yield go
    for weir, up in opened:
        up.close()
        weir.stop()


def settle(weir, fds, seconds=5):
    """Waits until the process holds no more descriptors than before (parked upstream connections may stay)."""
    deadline = time.monotonic() + seconds
    while weir.open_fds() > fds and time.monotonic() < deadline:
        time.sleep(0.02)
    return weir.open_fds()


def test_l01_out_of_descriptors(start):
    """More clients than descriptors: no spinning, the stream that runs goes on, all is well afterwards."""
    weir, up = start(rlimit=64)
    with wire.Wire(weir.port) as streaming:
        streaming.send(raw("up:slow", True))
        assert up.wait(lambda u: u.requests)
        crowd = []
        for _ in range(200):
            try:
                crowd.append(wire.Wire(weir.port))
            except OSError:
                break
        before = weir.cpu_seconds()
        seen = len(streaming.buf)
        deadline = time.monotonic() + 1.5
        while streaming.more(deadline):
            pass
        assert len(streaming.buf) - seen > 1000, "the running stream stood still"
        assert weir.cpu_seconds() - before < 0.5, "the loop spins"
        for w in crowd:
            w.close()
    time.sleep(0.3)
    for _ in range(5):
        assert weir.call(Chat.path, Chat.request("up:text")).status == 200


def test_l05_l41_connection_limit(start):
    """At the limit: an honest 503 with Retry-After, a close, or waiting; never a hang, and room again afterwards."""
    weir, up = start(limits={"maxConnections": 32})
    held = [wire.Wire(weir.port) for _ in range(32)]
    for w in held:
        w.send(raw("up:mute"))
    time.sleep(0.5)
    with wire.Wire(weir.port) as late:
        late.send(raw())
        reply = late.reply(3)
        assert reply.status in (0, 503), reply
        if reply.status == 503:
            assert reply.get("retry-after")
    for w in held:
        w.close()
    time.sleep(0.3)
    assert weir.call(Chat.path, Chat.request("up:text")).status == 200


def test_l40_idle_connections_make_room(start):
    """All slots taken by idle keep-alive connections: a new client is served, the oldest idle one goes."""
    weir, up = start(limits={"maxConnections": 16})
    idle = []
    for i in range(16):
        w = wire.Wire(weir.port, source="127.0.1.%d" % (i + 1))  # no address takes more than its share
        w.send(raw())
        assert w.reply().status == 200
        idle.append(w)
    with wire.Wire(weir.port) as late:
        late.send(raw())
        assert late.reply(5).status == 200
    for w in idle:
        w.close()


@pytest.mark.parametrize("what", ["head", "body"])
def test_l37_l38_slow_senders(start, what):
    """300 clients that drip one byte at a time do not slow a good one down, and cost little."""
    weir, up = start()
    whole = raw()
    cut = whole.index(b"\r\n\r\n") + 4
    weir.call(Chat.path, Chat.request("up:text"))
    rss = weir.rss_kb()
    crowd = [wire.Wire(weir.port) for _ in range(300)]
    for w in crowd:
        w.send(whole[:20] if what == "head" else whole[:cut + 10])
    times = []
    for i in range(60):
        for w in crowd[i % 10::10]:
            w.send(whole[20 + i:21 + i] if what == "head" else whole[cut + 10 + i:cut + 11 + i])
        t = time.monotonic()
        assert weir.call(Chat.path, Chat.request("up:text")).status == 200
        times.append(time.monotonic() - t)
    assert sorted(times)[int(len(times) * 0.9)] < 0.1, sorted(times)[-6:]
    assert weir.rss_kb() - rss < 300 * 40, "%d KB for 300 slow clients" % (weir.rss_kb() - rss)
    for w in crowd:
        w.close()


def test_l39_f119_slow_readers(start):
    """Clients that do not read stop the reading from upstream: 20 streams of 8 MB each cost a bounded amount."""
    d = Chat
    big = b"".join(d.opening() + d.content()) + d.content(["x" * 1000])[-1] * 8000

    def play(r):
        return [faults.SSE_HEAD] + [faults.chunk(big[i:i + 65536]) for i in range(0, len(big), 65536)] + [faults.chunk(b"".join(d.closing())), faults.END]
    weir, up = start(play)
    weir.call(Chat.path, Chat.request("up:text"))
    rss = weir.rss_kb()
    crowd = [wire.Wire(weir.port, rcvbuf=4096) for _ in range(20)]
    for w in crowd:
        w.send(raw("up:big", True))
    time.sleep(1.5)
    grown = weir.rss_kb() - rss
    assert grown < 20 * 600, "%d KB for 20 stalled readers" % grown
    assert weir.cpu_seconds() < 5
    reply = crowd[0].reply(20)
    assert reply.whole and reply.body == big + b"".join(d.closing()), "the slow reader did not get all of it"
    for w in crowd:
        w.close()


def test_s48_an_event_without_an_end(start):
    """64 MB without a line end: memory stays bounded, before and after commit."""
    d = Chat
    for committed in (False, True):
        def play(r):
            return [faults.SSE_HEAD] + [faults.chunk(b"".join(d.opening() + d.content()))] * committed + [
                faults.chunk(b"data: "), ("flood", faults.chunk(b"y" * 65536), 1000), ("fin",)]
        weir, up = start(play)
        weir.call("/v1/models")
        rss = weir.rss_kb()
        peak = []
        with wire.Wire(weir.port) as w:
            w.send(raw("up:x", True))
            w.reply(30, on_data=lambda r: peak.append(weir.rss_kb()) if len(peak) < 200 else None)
        assert max(peak + [weir.rss_kb()]) - rss < 8000


def test_l22_resets(start):
    """Two thousand clients that reset at once or after the request: no signal, no leak, still serving."""
    weir, up = start()
    weir.call(Chat.path, Chat.request("up:text"))
    fds = weir.open_fds()
    for i in range(2000):
        w = wire.Wire(weir.port)
        if i % 2:
            w.send(raw("up:text", i % 4 == 1))
        w.reset()
    assert settle(weir, fds + 8) <= fds + 8
    assert weir.call(Chat.path, Chat.request("up:text")).status == 200


def test_l42_churn(start):
    weir, up = start()
    weir.call(Chat.path, Chat.request("up:text"))
    fds, rss = weir.open_fds(), None
    for i in range(3000):
        w = wire.Wire(weir.port)
        if i % 10 == 0:
            w.send(raw())
            assert w.reply().status == 200
        w.close()
        if i == 500:
            rss = weir.rss_kb()
    assert settle(weir, fds + 4) <= fds + 4
    assert weir.rss_kb() - rss < 500


PHASES = ["accept", "half a head", "head", "half a body", "upstream silent", "held", "stream", "plain body", "keep-alive"]


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_l43_the_client_leaves_in_each_phase(start, how):
    d = Chat
    steps = {"silent": [("hold", 20)], "held": [faults.SSE_HEAD, faults.chunk(b"".join(d.opening())), ("hold", 20)],
             "stream": [faults.SSE_HEAD, faults.chunk(b"".join(d.opening() + d.content())), ("hold", 20)],
             "plain": [fake.head(200, [("Content-Length", "1000")]) + b"{", ("hold", 20)]}
    weir, up = start(lambda r: steps.get(r.model) or dialects.behave(r))
    weir.call(Chat.path, Chat.request("up:text"))
    time.sleep(0.1)
    fds = weir.open_fds()
    whole = raw()
    cut = whole.index(b"\r\n\r\n") + 4
    sent = {"accept": b"", "half a head": whole[:40], "head": whole[:cut], "half a body": whole[:cut + 20], "upstream silent": raw("up:silent"),
            "held": raw("up:held", True), "stream": raw("up:stream", True), "plain body": raw("up:plain"), "keep-alive": whole}
    for phase in PHASES:
        up.clear()
        asks = phase in PHASES[4:8]
        with wire.Wire(weir.port) as w:
            w.send(sent[phase])
            if asks:
                assert up.wait(lambda u: u.requests)
            if phase == "keep-alive":
                assert w.reply().status == 200
            time.sleep(0.05)
            left = time.monotonic()
            w.reset() if how == "reset" else w.close()
        if asks:
            conn = up.requests[0].conn
            assert up.wait(lambda u: conn.gone, 3) and conn.gone_at - left < 0.1, phase
        assert settle(weir, fds, 1) <= fds, phase
    gone = [r for r in weir.records() if r["end"] == "client_gone"]
    assert len(gone) >= 4, weir.text()[-2000:]


def test_l44_half_close(start):
    """A client that shuts its sending side down after a complete request counts as gone: its tokens cost money."""
    weir, up = start(lambda r: [("hold", 10)])
    with wire.Wire(weir.port) as w:
        w.send(raw())
        assert up.wait(lambda u: u.requests)
        conn = up.requests[0].conn
        left = time.monotonic()
        w.finish()
        assert up.wait(lambda u: conn.gone, 3) and conn.gone_at - left < 0.1


def test_log_file(start, tmp_path):
    """log.file: lines go there, SIGHUP opens it anew even when the new config is refused, and one that can't be made is told at start."""
    weir, up = start()
    path, moved = tmp_path / "weir.log", tmp_path / "weir.log.1"
    good = json.loads(weir.config_path.read_text())
    good["log"] = {"level": "info", "requests": True, "file": str(path)}
    weir.write(good)
    weir.proc.send_signal(signal.SIGHUP)

    def lines(p, n):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [json.loads(l) for l in p.read_text().splitlines()] if p.exists() else []
            if len(found) >= n:
                return found
            time.sleep(0.02)
        raise AssertionError("%s: %s" % (p, p.read_text() if p.exists() else "missing"))

    lines(path, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert weir.call(Chat.path, Chat.request("up:text")).status == 200
    assert [l for l in lines(path, 2) if l.get("status") == 200]
    path.rename(moved)
    weir.config_path.write_text("{")
    weir.proc.send_signal(signal.SIGHUP)
    assert "not reloaded" in lines(path, 1)[0]["msg"]
    assert weir.call(Chat.path, Chat.request("up:text")).status == 200
    assert [l for l in lines(path, 2) if l.get("status") == 200]
    good["log"]["file"] = str(tmp_path / "missing" / "weir.log")
    weir.write(good)
    weir.proc.send_signal(signal.SIGHUP)
    assert [l for l in lines(path, 4) if "log.file can't be opened (No such file" in l.get("msg", "")]
    run = subprocess.run([BINARY, "-c", str(weir.config_path)], capture_output=True, text=True, timeout=10)
    assert run.returncode == 1 and "log.file" in run.stderr and "No such file" in run.stderr, run.stderr


def test_l23_l24_reload(start):
    """SIGHUP: a bad config is refused whole and the old one serves on; a good one takes effect for the next request."""
    weir, up = start()
    good = json.loads(weir.config_path.read_text())
    weir.config_path.write_text('{"listen": "127.0.0.1:0", "nonsense": tru')
    weir.proc.send_signal(signal.SIGHUP)
    assert weir.wait_line(lambda l: l.get("level") in ("error", "warn")), weir.text()
    assert weir.call(Chat.path, Chat.request("up:text")).status == 200
    good["accessKeys"].append({"id": "aigk_more", "name": "more", "token": "another-access-key-0123456789abcdef"})
    weir.write(good)
    with wire.Wire(weir.port) as w:
        w.send(raw("up:slow", True))
        assert up.wait(lambda u: u.requests)
        for _ in range(50):
            weir.proc.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 5
        status = 0
        while status != 200 and time.monotonic() < deadline:
            status = weir.call(Chat.path, Chat.request("up:text"), token="another-access-key-0123456789abcdef").status
        assert status == 200
        had = len(w.buf)
        w.more(time.monotonic() + 2)
        assert len(w.buf) > had, "a reload broke a running stream"


def test_l26_sigterm_drains(start):
    """A stream that runs is finished, readiness says no, no new connection is taken, the process ends by itself with 0."""
    d = Chat
    slow = [faults.SSE_HEAD, faults.chunk(b"".join(d.opening() + d.content())), ("sleep", 1), faults.chunk(b"".join(d.closing())), faults.END]
    up = fake.Upstream(lambda r: slow)
    weir = Weir(config(providers=[provider("up", up.base + "/v1")]))
    with wire.Wire(weir.port) as w, wire.Wire(weir.port) as parked:
        w.send(raw("up:x", True))
        assert up.wait(lambda u: u.requests)
        time.sleep(0.2)
        weir.proc.send_signal(signal.SIGTERM)
        reply = w.reply(5)
        assert reply.whole and reply.body == STREAM, reply
        assert parked.closed_within(3)
    assert weir.proc.wait(5) == 0
    up.close()


def test_l32_blocked_log(start):
    """Nobody reads the log: requests go on."""
    up = fake.Upstream(dialects.behave)
    weir = Weir(config(providers=[provider("up", up.base + "/v1")]))
    conf = weir.config_path
    proc = subprocess.Popen([BINARY, "-c", str(conf)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        line = b""
        while b'"listening"' not in line:
            line = proc.stderr.readline()
            assert line
        port = int(json.loads(line)["address"].rpartition(":")[2])
        with wire.Wire(port) as w:
            for i in range(1500):  # far more than a pipe holds
                w.send(raw())
                assert w.reply(5).status == 200, i
    finally:
        proc.kill()
        proc.wait()
        weir.stop()
        up.close()


def test_l34_started_without_stderr():
    """Closed standard descriptors must not become somebody's connection."""
    up = fake.Upstream(dialects.behave)
    probe = Weir(config(providers=[provider("up", up.base + "/v1")]))
    conf = json.loads(probe.config_path.read_text())
    conf["listen"] = "127.0.0.1:%d" % probe.port
    file = str(probe.config_path) + ".2"
    with open(file, "w") as f:
        json.dump(conf, f)
    probe.proc.send_signal(signal.SIGTERM)
    probe.proc.wait(10)
    proc = subprocess.Popen(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', BINARY, file])
    try:
        deadline = time.monotonic() + 5
        reply = None
        while time.monotonic() < deadline:
            try:
                reply = wire.call(probe.port, Chat.path, json.dumps(Chat.request("up:text")).encode(), TOKEN)
                break
            except OSError:
                time.sleep(0.05)
        assert reply and reply.status == 200 and Chat.text_of(reply.body) == TEXT
    finally:
        proc.terminate()
        assert proc.wait(10) == 0
        up.close()


def test_s40_many_streams_at_once(start):
    """100 streams side by side, each tagged: complete, byte-exact, nothing of a neighbour's."""
    d = Chat

    def body_of(tag):
        return b"".join(d.opening() + d.content([tag] * 200) + d.closing())

    def play(r):
        data = body_of(r.model)
        return [faults.SSE_HEAD, ("pieces", [faults.chunk(data[i:i + 3000]) for i in range(0, len(data), 3000)], 0.01), faults.END]
    weir, up = start(play)
    clients = []
    for i in range(100):
        w = wire.Wire(weir.port)
        w.send(raw("up:tag%03d" % i, True))
        clients.append(w)
    for i, w in enumerate(clients):
        reply = w.reply(20)
        assert reply.whole and reply.body == body_of("tag%03d" % i), i
        w.close()


def test_r21_stale_connection(start):
    """A parked connection that upstream closes, or closes on the next request without a byte, is no failure."""
    def play(r):
        if r.conn.requests > 1:
            return [("rst",)]
        return dialects.behave(r)
    weir, up = start(play)
    for _ in range(30):
        reply = weir.call(Chat.path, Chat.request("up:text"))
        assert reply.status == 200 and [a[2] for a in reply.attempts] == ["200"], reply
    assert len(up.conns) >= 15


def test_r01_r03_bytes_behind_an_answer(start):
    """What upstream sends behind a complete answer is never somebody's answer."""
    poison = fake.answer(200, Chat.plain(text="poison"))[0]

    def play(r):
        return [b"".join(dialects.behave(r)) + poison] if r.model == "text" else [*dialects.behave(r), ("sleep", 0.05), poison]
    weir, up = start(play)
    for model in ("text", "good"):
        for _ in range(10):
            reply = weir.call(Chat.path, Chat.request("up:" + model))
            assert reply.status == 200 and Chat.text_of(reply.body) == TEXT
            # Until the poison is out and the connection dropped for it. Bytes that come while the next request is on its way can't be told
            # from its answer, by anybody.
            assert up.wait(lambda u: u.conns[-1].gone, 5), "a connection that said more than was asked is kept"


def test_r24_headers_of_the_answer(start):
    """What belongs to the hop or would act on the client's browser is dropped; the rest arrives."""
    bad = [("Set-Cookie", "a=b"), ("Alt-Svc", "h3"), ("Strict-Transport-Security", "max-age=1"), ("Server", "x"), ("Connection", "X-Hop"), ("X-Hop", "1"),
           ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"), ("Upgrade", "h2c")]
    good = [("x-ratelimit-remaining-requests", "5"), ("openai-processing-ms", "12"), ("anthropic-organization-id", "o")]
    weir, up = start(lambda r: fake.answer(200, Chat.plain(), bad + good))
    reply = weir.call(Chat.path, Chat.request("up:text"))
    names = [n.lower() for n, _ in reply.headers]
    assert not set(names) & {n.lower() for n, _ in bad if n not in ("Connection", "Keep-Alive")}
    for name, value in good:
        assert reply.get(name) == value
    assert names.count("x-request-id") == 1 and reply.get("x-weir-provider") == "up" and reply.get("x-weir-model") == "text"
