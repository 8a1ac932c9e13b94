"""SIGUSR2: another process takes over. Ids are those of the fault catalogue."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import dialects
import fake
import wire
from dialects import Chat
from test_reload import Load, ask, stream
from weir import ADMIN_KEY, BINARY, TOKEN, Weir, config, provider


class Clients(Load):
    """As HTTP/1.1 clients are: on one connection until an answer says that it is the last one there."""

    def run(self):
        while not self.stopped.is_set():
            try:
                with wire.Wire(self.port) as w:
                    last = False
                    while not last and not self.stopped.is_set():
                        w.send(ask())
                        r = w.reply(10)
                        last = r.get("connection") == "close" or not r.whole
                        with self.lock:
                            self.good += r.status == 200 and r.whole
                            if r.status != 200 or not r.whole:
                                self.bad.append(repr(r))
            except Exception as e:
                with self.lock:
                    self.bad.append(repr(e))


class Copy(Weir):
    """Runs a copy of the binary, which a test may replace; and knows the processes that take over by what the shared stderr says."""

    def __init__(self, conf, tmp_path, **kw):
        self.binary = tmp_path / "weir"
        shutil.copy(os.environ.get("WEIR_BIN", BINARY), self.binary)
        conf_path = tmp_path / "config.json"
        conf_path.write_text(json.dumps(conf))
        super().__init__(conf, wrap=["sh", "-c", 'shift; exec "%s" "$@"' % self.binary, "sh"], args=["-c", str(conf_path)], **kw)
        self.conf_path = conf_path

    def said(self, word):
        return sum(word in l.get("msg", "") or word in l.get("raw", "") for l in list(self.lines))

    def wait(self, word, n=1, seconds=15):
        end = time.monotonic() + seconds
        while self.said(word) < n and time.monotonic() < end:
            time.sleep(0.005)
        assert self.said(word) >= n, self.text()[-3000:]

    def serving(self):
        """The processes of this binary that listen on the port."""
        out = []
        for p in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(p / "exe").split(" ")[0] == str(self.binary) and (p / "comm").read_text().strip() == "weir":
                    out.append(int(p.name))
            except OSError:
                pass
        return sorted(out)

    def newest(self):
        def started(pid):
            return int(pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[19]), pid
        return max(self.serving(), key=started)


def end(weir, pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + 15
    while weir.serving() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not weir.serving()
    weir.proc.wait(5)
    weir.reader.join(5)
    text = weir.text()
    assert "Sanitizer" not in text and "runtime error:" not in text, text[-4000:]
    return text


def test_l29_hand_over_under_load(tmp_path):
    """Requests on kept connections, new connections and a stream of two seconds, over five hand-overs: nothing refused, reset or cut; each request is booked once,
    also those that the old processes finished."""
    up = fake.Upstream(lambda r: stream(0.05) if r.json.get("stream") else dialects.behave(r))
    conf = config(providers=[provider("up", up.base + "/v1")], stateDir=str(tmp_path / "state"), admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, sim=True)
    weir = Copy(conf, tmp_path)
    admin = weir.admin_port
    load, streams, results = Clients(weir.port), [], []

    def one_stream():
        with wire.Wire(weir.port) as w:
            w.send(ask(True))
            r = w.reply(20)
            results.append((r.status, r.whole, r.body.count(b"data: "), r.body.endswith(b"data: [DONE]\n\n")))

    for i in range(5):
        streams.append(threading.Thread(target=one_stream))
        streams[-1].start()
        time.sleep(0.2)
        os.kill(weir.newest(), signal.SIGUSR2)
        weir.wait("took over from another process", i + 1)
        weir.wait("handed over: another process listens now", i + 1)
    for t in streams:
        t.join(20)
    time.sleep(0.3)
    load.stop()
    assert not load.bad and load.good > 100, (load.good, load.bad[:5])
    assert len(results) == 5 and len(set(results)) == 1 and results[0][:2] == (200, True) and results[0][3], results
    deadline = time.monotonic() + 20
    while len(weir.serving()) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(weir.serving()) == 1
    sums = json.loads(wire.call(admin, "/usage/overview?startTime=2020-01-01T00:00:00Z", token=ADMIN_KEY, headers=[("Host", "127.0.0.1")]).body)
    assert sums["totals"]["requests"] == load.good + 5, (sums["totals"], load.good)
    end(weir, weir.serving())
    up.close()


BROKEN = {"crashes": "#!/bin/sh\nexit 3\n", "hangs up": "#!/bin/sh\nexec 3>&-\nexit 0\n"}


@pytest.mark.parametrize("how", ["crashes", "hangs up", "bad config", "newer state"])
def test_l30_a_new_process_that_fails(tmp_path, how):
    """The old one goes on, with its listeners and its state; and the next attempt works."""
    conf = config(sim=True, stateDir=str(tmp_path / "state"), admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]})
    with_key = {"model": "sim:echo", "messages": [{"role": "user", "content": "hi"}]}
    weir = Copy(conf, tmp_path)
    admin = weir.admin_port
    good = weir.binary.with_name("good")
    shutil.copy(weir.binary, good)
    if how in BROKEN:
        weir.binary.unlink()
        weir.binary.write_text(BROKEN[how])
        weir.binary.chmod(0o755)
    elif how == "bad config":
        weir.conf_path.write_text("{]")
    else:
        log = tmp_path / "state" / "weir.log"
        whole = log.read_bytes()
        log.write_bytes(whole[:8] + b"\xff" + whole[9:])
    weir.proc.send_signal(signal.SIGUSR2)
    weir.wait("hand-over failed, this process goes on")
    assert weir.call("/v1/chat/completions", with_key).status == 200
    if how == "newer state":
        log.write_bytes(whole)
    deadline = time.monotonic() + 5
    status = 0
    while status != 201 and time.monotonic() < deadline and how != "newer state":
        status = wire.call(admin, "/api-keys", b"{}", token=ADMIN_KEY, headers=[("Host", "127.0.0.1")]).status
    assert status == 201 or how == "newer state", weir.text()
    if how in BROKEN:
        weir.binary.unlink()
        shutil.copy(good, weir.binary)
    elif how == "bad config":
        weir.conf_path.write_text(json.dumps(conf))
    if how != "newer state":
        weir.proc.send_signal(signal.SIGUSR2)
        weir.wait("took over from another process")
        assert weir.call("/v1/chat/completions", with_key).status == 200
        assert wire.call(admin, "/api-keys", b"{}", token=ADMIN_KEY, headers=[("Host", "127.0.0.1")]).status == 201
        keys = json.loads(wire.call(admin, "/api-keys", token=ADMIN_KEY, headers=[("Host", "127.0.0.1")]).body)["aiGatewayApiKeys"]
        assert len(keys) >= 2
    pids = weir.serving() or [weir.proc.pid]
    for p in pids:
        os.kill(p, signal.SIGTERM)
    weir.proc.wait(15)


def test_the_service_manager_hears_of_it(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(10)
        weir = Copy(config(sim=True), tmp_path, env={"NOTIFY_SOCKET": path})
        assert s.recv(200).decode() == "READY=1\nMAINPID=%d" % weir.proc.pid
        weir.proc.send_signal(signal.SIGUSR2)
        pid = int(s.recv(200).decode().rpartition("=")[2])
        assert pid != weir.proc.pid and pid in weir.serving()
        weir.proc.wait(15)
        end(weir, [pid])
