#!/usr/bin/env python3
"""The soak: 1,000 tagged clients and four faulty providers (soak.c) around the real binary; then what the process still holds, and
whether clients' own mistakes touched anybody's health.

    test/soak/run.py [REQUESTS] [SEED]

Prints what was counted, each breach of an invariant, and "N passed, N failed" last. Longer than a minute only with more than about 300,000
requests. WEIR_BIN and WEIR_SOAK name other binaries."""
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = os.environ.get("WEIR_BIN", str(ROOT / "weir"))
SOAK = os.environ.get("WEIR_SOAK", str(ROOT / "build/soak/soak"))
TOKEN = "weir-soak-token-%02d-0123456789abcdefghij"
SURFACES = [{"format": "openai", "surface": "chat-completions"}, {"format": "openai", "surface": "responses"}, {"format": "anthropic", "surface": "messages"}]
PROVIDERS, KEYS, CLIENTS, WARM = 4, 3, 1000, 30000
QUIET = 7   # seconds in which a gateway without requests disarms its last timer: memory given back, sums made
passed = failed = 0


def check(ok, what):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print("FAIL " + what)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def config(ports, **gateway):
    return {
        "listen": "127.0.0.1:0", "admin": {"listen": None}, "sandbox": "kill", "upstream": {"allowPrivate": True},
        "gateway": {"connectTimeout": "2s", "perRequestTimeout": "4s", "totalTimeout": "8s", "streamIdleTimeout": "3s", **gateway},
        "limits": {"maxConnections": 2 * CLIENTS, "memory": "256MiB"},
        "providers": [{"providerId": "p%d" % i, "baseUrl": "http://127.0.0.1:%d/v1" % p, "supportedApiSurfaces": SURFACES,
                       "models": [{"modelId": "m"}]} for i, p in enumerate(ports)],
        "providerKeys": [{"id": "aigpk_%d_%d" % (i, k), "providerId": "p%d" % i, "name": "k%d" % k, "value": "sk-soak-%d-%d-0123456789abcdef" % (i, k)}
                         for i in range(len(ports)) for k in range(KEYS)],
        "accessKeys": [{"id": "aigk_%d" % i, "name": "client %d" % i, "token": TOKEN % i} for i in range(20)],
        "log": {"level": "debug"},
    }


class Weir:
    """The log goes into a pipe whose other end is read by whoever is at work: this process, or the soak."""

    def __init__(self, conf, folder):
        path = folder / "config.json"
        path.write_text(json.dumps(conf))
        self.log, w = os.pipe()
        fcntl.fcntl(self.log, 1031, 1 << 20)   # F_SETPIPE_SZ: a busy reader is not to lose lines
        self.proc = subprocess.Popen([WEIR, "-c", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=w)
        os.close(w)
        text = b""
        while b'"listening"' not in text:
            more = os.read(self.log, 4096)
            if not more:
                sys.exit("weir did not start: %r" % text)
            text += more
        self.port = int(re.search(rb'"address":"[^"]*:(\d+)"', text).group(1))

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.proc.pid))

    def memory(self):
        text = pathlib.Path("/proc/%d/status" % self.proc.pid).read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", text).group(1))

    def cpu(self):
        fields = pathlib.Path("/proc/%d/stat" % self.proc.pid).read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self, fds, seconds=15):
        until = time.monotonic() + seconds
        while self.fds() > fds and time.monotonic() < until:
            time.sleep(0.1)
        return self.fds()

    def stop(self):
        os.set_blocking(self.log, True)
        self.proc.send_signal(signal.SIGTERM)
        text = b""
        while more := os.read(self.log, 1 << 16):
            text += more
        os.close(self.log)
        return self.proc.wait(20), text.decode("utf-8", "replace")


def soak(weir, ports, requests, seed):
    """One run of the C program; its breaches are printed, its counts returned."""
    out = subprocess.run([SOAK, "-g", str(weir.port), "-u", ",".join(map(str, ports)), "-n", str(requests), "-c", str(CLIENTS), "-s", str(seed)],
                         stdin=weir.log, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    if not out or not out[-1].startswith("{"):
        sys.exit("the soak ended early:\n" + "\n".join(out[-20:]))
    for line in out[:-1]:
        print(line)
    return json.loads(out[-1])


def load(requests, seed, folder):
    ports = free_ports(PROVIDERS)
    weir = Weir(config(ports, cooldown=False), folder)
    fds = weir.fds()
    warm = soak(weir, ports, WARM, seed)
    check(weir.settle(fds) == fds, "I-4: %d descriptors after warming up, %d before" % (weir.fds(), fds))
    time.sleep(QUIET)
    memory, cpu = weir.memory(), weir.cpu()
    got = soak(weir, ports, requests, seed + 1)
    cpu = weir.cpu() - cpu
    after = weir.settle(fds)
    time.sleep(QUIET)
    grown = weir.memory() - memory
    for name, r in (("warm-up", warm), ("soak", got)):
        check(r["breaches"] == 0, "%s: %d breaches" % (name, r["breaches"]))
    check(got["requests"] == requests, "%d of %d requests" % (got["requests"], requests))
    # What is not there can't be wrong: each kind of fault and of end has to have happened.
    check(requests < 50000 or all(got["fates"].values()), "a fault that never happened: %s" % got["fates"])
    check(got["whole"] > requests * 0.7 and got["refused"] > 0 and got["cut"] > 0 and got["left"] > 0, "ends: %s" % got)
    check(after == fds, "I-4: %d descriptors at the end, %d before" % (after, fds))
    check(grown < 1024, "I-4: %d KB more memory after %d requests" % (grown, requests))
    status, text = weir.stop()
    left = re.search(r'"msg":"left: (.*?)"', text)
    check(status == 0, "ended with %d" % status)
    check(left and left.group(1) == "0 timers, 0 connections, 0 bytes", "I-4: left at the end: %s" % (left.group(1) if left else text[-300:]))
    print("%d requests in %.0f s: %d whole, %d cut and said so, %d refused, %d clients left; %d attempts, %d connections, %d marks in %d MB; "
          "%d log records; %.1f s of CPU; memory %+d KB" % (got["requests"], got["seconds"], got["whole"], got["cut"], got["refused"], got["left"], got["attempts"],
                                                           got["connections"], got["marks"], got["bytes"] >> 20, got["logged"], cpu, grown))
    print("faults: " + ", ".join("%d %s" % (n, f) for f, n in got["fates"].items() if not f.startswith("good")))
    print("statuses: " + ", ".join("%d of %s" % (n, s) for s, n in got["statuses"].items()))


class Refusing:
    """A provider that refuses what the client did wrong, and answers the rest; counts by key who asked."""

    def __init__(self):
        import http.server
        import threading
        keys = self.keys = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                key = self.headers["authorization"] or self.headers["x-api-key"]
                keys[key] = keys.get(key, 0) + 1
                wrong = re.search(rb"status (\d+)", body)
                status = int(wrong.group(1)) if wrong else 200
                if b"wait" in body:
                    time.sleep(0.05)
                out = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}' if status == 200 else \
                    b'{"error":{"message":"your request","type":"invalid_request_error","code":null}}'
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(out)))
                    self.end_headers()
                    self.wfile.write(out)
                except OSError:
                    pass

            def log_message(self, *a):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def ask(port, words, leave=False):
    body = json.dumps({"model": "p0:m", "messages": [{"role": "user", "content": words}]}).encode()
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
                  b"content-length: %d\r\n\r\n%s" % ((TOKEN % 0).encode(), len(body), body))
        if leave:
            time.sleep(0.01)
            return None
        got = b""
        while more := s.recv(65536):
            got += more
    return int(got[9:12]), re.search(rb"x-weir-attempts: (.*?)\r\n", got)


def client_caused(folder, times=250):
    """I-13, F-126: a thousand refusals that clients caused, and clients that leave; then the first key is asked first, as if nothing had been."""
    up = Refusing()
    weir = Weir(config([up.port], cooldown=True), folder)
    statuses = {}
    for i in range(times):
        for status in (400, 413, 422):
            got = ask(weir.port, "status %d" % status)[0]
            statuses[got] = statuses.get(got, 0) + 1
        ask(weir.port, "wait", leave=True)
    check(statuses == {400: times, 413: times, 422: times}, "I-13: what clients saw: %s" % statuses)
    before = dict(up.keys)
    for _ in range(20):
        status, attempts = ask(weir.port, "fine")
        check(status == 200 and attempts and attempts.group(1) == b"p0/k0=200", "I-13: %s %s" % (status, attempts and attempts.group(1)))
    check(len(up.keys) == 1 and len(before) == 1, "I-13: other keys were asked: %s" % up.keys)
    check(weir.stop()[0] == 0, "ended badly")
    up.server.shutdown()


def main():
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    print("seed %d" % seed)
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as folder:
        load(requests, seed, pathlib.Path(folder))
        client_caused(pathlib.Path(folder))
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
