"""SIGHUP and SIGTERM under load, with the real binary: nobody notices a reload, and a drain ends by its deadline. Ids are those of the
fault catalogue."""
import json
import signal
import ssl
import threading
import time

import openai

import certs
import dialects
import fake
import faults
import wire
from dialects import Chat
from weir import TOKEN, Weir, config, provider

PIECES = 40


def stream(gap):
    """A stream of PIECES pieces, one per `gap` seconds."""
    d = Chat
    steps = [faults.SSE_HEAD, faults.chunk(b"".join(d.opening()))]
    for _ in range(PIECES):
        steps += [faults.chunk(b"".join(d.content())), ("sleep", gap)]
    return steps + [faults.chunk(b"".join(d.closing())), faults.END]


def ask(stream=False):
    body = json.dumps(Chat.request("up:x" if stream else "up:text", stream)).encode()
    return wire.head_of("POST", Chat.path, [], body, TOKEN) + body


class Load:
    """Threads that ask on kept connections until stopped, and count what was not a 200."""

    def __init__(self, port, threads=3):
        self.port, self.stopped, self.good, self.bad = port, threading.Event(), 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopped.is_set():
            try:
                with wire.Wire(self.port) as w:
                    for _ in range(20):
                        w.send(ask())
                        status = w.reply(10).status
                        with self.lock:
                            self.good += status == 200
                            if status != 200:
                                self.bad.append(status)
            except Exception as e:
                with self.lock:
                    self.bad.append(repr(e))

    def stop(self):
        self.stopped.set()
        for t in self.threads:
            t.join()


def count(weir, start):
    return sum(1 for l in list(weir.lines) if str(l.get("msg", "")).startswith(start))


def wait_count(weir, start, n):
    deadline = time.monotonic() + 5
    while count(weir, start) < n and time.monotonic() < deadline:
        time.sleep(0.005)
    assert count(weir, start) >= n, weir.text()[-2000:]


def test_l23_reloads_under_load():
    """40 reloads, every second one invalid, while requests and an official SDK's stream run: none of them fails."""
    up = fake.Upstream(lambda r: stream(0.06) if r.json.get("stream") else dialects.behave(r))
    good = config(providers=[provider("up", up.base + "/v1")])
    with Weir(good) as weir:
        good = json.loads(weir.config_path.read_text())
        load = Load(weir.port)
        got = []

        def sdk():
            client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % weir.port, api_key=TOKEN, max_retries=0)
            for event in client.chat.completions.create(model="up:x", messages=[{"role": "user", "content": "hi"}], stream=True):
                got.extend(c.finish_reason for c in event.choices)
        streaming = threading.Thread(target=sdk)
        streaming.start()
        for i in range(20):
            good["accessKeys"] = good["accessKeys"][:1] + [{"id": "aigk_%d" % i, "name": "n%d" % i, "token": "token-number-%020d" % i}]
            weir.write(good)
            weir.proc.send_signal(signal.SIGHUP)
            wait_count(weir, "config reloaded", i + 1)
            weir.config_path.write_text('{\n "listen": "127.0.0.1:0",\n "nonsense": 1}')
            weir.proc.send_signal(signal.SIGHUP)
            wait_count(weir, "config not reloaded", i + 1)
        streaming.join(20)
        load.stop()
        assert got and got[-1] == "stop"
        assert not load.bad and load.good > 40, (load.good, load.bad[:5])
        assert any("config.json:3:" in l.get("msg", "") for l in weir.lines), "the refusal names the place"
        last = "token-number-%020d" % 19
        assert weir.call(Chat.path, Chat.request("up:text"), token=last).status == 200
        assert weir.call(Chat.path, Chat.request("up:text"), token="token-number-%020d" % 18).status == 401
    up.close()


def test_l24_storm():
    """Thousands of signals are a few readings of the file, and requests go on."""
    up = fake.Upstream(dialects.behave)
    with Weir(config(providers=[provider("up", up.base + "/v1")])) as weir:
        begin = time.monotonic()
        for i in range(5000):
            weir.proc.send_signal(signal.SIGHUP)
            if i % 1000 == 0:
                assert weir.call(Chat.path, Chat.request("up:text")).status == 200
        took = time.monotonic() - begin
        assert weir.call(Chat.path, Chat.request("up:text")).status == 200
        time.sleep(0.3)
        assert 1 <= count(weir, "config reloaded") <= (took + 0.4) / 0.05 + 2
    up.close()


def test_reload_says_what_needs_a_restart():
    with Weir(config(limits={"maxConnections": 100})) as weir:
        weir.write(config(limits={"maxConnections": 200}, listen="127.0.0.1:1"))
        for n in (1, 2):
            weir.proc.send_signal(signal.SIGHUP)
            wait_count(weir, "limits.maxConnections can't change", n)
            wait_count(weir, "listen can't change", n)
            wait_count(weir, "config reloaded", n)
        assert weir.call("/healthz").status == 200


def served_name(port, ca):
    ctx = ssl.create_default_context(cafile=str(ca))
    ctx.check_hostname = False
    with wire.Wire(port, tls=ctx) as w:
        return w.sock.getpeercert()["serialNumber"]


def test_l57_certificate(tmp_path):
    """A new certificate is served after SIGHUP; one that does not fit its key, or is none, changes nothing."""
    ca = certs.Authority(tmp_path / "ca", "ec", "ca")
    first, second = ca.leaf(), ca.leaf()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def put(chain, secret):
        cert.write_bytes(open(chain, "rb").read())
        key.write_bytes(open(secret, "rb").read())
    put(*first)
    with Weir(config(tls={"cert": "file:%s" % cert, "key": "file:%s" % key})) as weir:
        old = served_name(weir.port, ca.ca)
        put(first[0], second[1])
        weir.proc.send_signal(signal.SIGHUP)
        wait_count(weir, "config not reloaded", 1)
        cert.write_text("nothing of the kind")
        weir.proc.send_signal(signal.SIGHUP)
        wait_count(weir, "config not reloaded", 2)
        assert served_name(weir.port, ca.ca) == old
        put(*second)
        weir.proc.send_signal(signal.SIGHUP)
        wait_count(weir, "config reloaded", 1)
        assert served_name(weir.port, ca.ca) != old


def test_l26_drain_deadline():
    """limits.drainTimeout: streams get the error event, who waits a 503, exit 0."""
    up = fake.Upstream(lambda r: stream(0.5) if r.json.get("stream") else [("sleep", 30)])
    weir = Weir(config(providers=[provider("up", up.base + "/v1")], limits={"drainTimeout": "1s"}))
    wires = [wire.Wire(weir.port) for _ in range(11)]
    for w in wires[:10]:
        w.send(ask(True))
    wires[10].send(ask())
    assert up.wait(lambda u: len(u.requests) == 11)
    time.sleep(0.3)
    begin = time.monotonic()
    weir.proc.send_signal(signal.SIGTERM)
    for w in wires[:10]:
        reply = w.reply(5)
        assert reply.status == 200 and b"stream_interrupted" in reply.body, reply
    assert wires[10].reply(5).status == 503
    assert weir.proc.wait(5) == 0
    assert 0.9 < time.monotonic() - begin < 2.5
    up.close()


def test_l26_second_signal():
    up = fake.Upstream(lambda r: stream(1))
    weir = Weir(config(providers=[provider("up", up.base + "/v1")]))
    with wire.Wire(weir.port) as w:
        w.send(ask(True))
        assert up.wait(lambda u: u.requests)
        weir.proc.send_signal(signal.SIGTERM)
        assert weir.wait_line(lambda l: str(l.get("msg", "")).startswith("draining"))
        weir.proc.send_signal(signal.SIGTERM)
        assert weir.proc.wait(2) == 0
    up.close()
