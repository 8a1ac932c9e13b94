"""Starts the gateway with a config made for the test, finds its port in its log, and stops it again."""
import copy
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("WEIR_BIN", str(ROOT / "weir"))
TOKEN = "weir-test-access-key-0123456789abcdefghij"
ADMIN_KEY = "weir-test-admin-key-0123456789abcdefghijk"
ALL_SURFACES = [{"format": "openai", "surface": s} for s in
                ("chat-completions", "responses", "completions", "embeddings", "moderations", "images", "speech")]


def provider(name, base, surfaces=("openai", "messages"), models=()):
    """A custom provider that serves every surface as it stands, so nothing is translated."""
    out = []
    if "openai" in surfaces:
        out += ALL_SURFACES
    out += [{"format": "openai", "surface": s} for s in surfaces if s not in ("openai", "messages")]
    if "messages" in surfaces:
        out.append({"format": "anthropic", "surface": "messages"})
    p = {"providerId": name, "name": name, "baseUrl": base, "supportedApiSurfaces": out}
    if models:
        p["models"] = [{"modelId": m} for m in models]
    return p


def merge(into, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
    return into


def config(**more):
    base = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": None},
        "gateway": {"cooldown": False},
        "upstream": {"allowPrivate": True},
        "accessKeys": [{"id": "aigk_test", "name": "test", "token": TOKEN}],
        "log": {"level": "info", "requests": True},
        "sandbox": "kill",   # a system call that nobody wrote down ends the process, and with it the test
    }
    return merge(base, copy.deepcopy(more))


class Weir:
    def __init__(self, conf, env=None, rlimit_nofile=None, args=None, wrap=()):
        self.dir = tempfile.TemporaryDirectory(prefix="weir-e2e-")
        self.config_path = pathlib.Path(self.dir.name) / "config.json"
        self.write(conf)
        self.lines, self.raw, self.changed = [], [], threading.Condition()
        full = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_proxy", "_PROXY"))}
        full.update(env or {})
        limit = None
        if rlimit_nofile:
            import resource
            limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (rlimit_nofile, rlimit_nofile))
        self.proc = subprocess.Popen(list(wrap) + [BINARY] + (args or ["-c", str(self.config_path)]), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=full, preexec_fn=limit)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        line = self.wait_line(lambda l: l.get("msg") == "listening" and "address" in l, 10)
        if not line:
            self.proc.kill()
            raise AssertionError("weir did not start:\n" + self.text())
        self.port = int(line["address"].rpartition(":")[2])

    def write(self, conf):
        self.config_path.write_text(json.dumps(conf, indent=1))

    def read(self):
        for raw in self.proc.stderr:
            with self.changed:
                self.raw.append(raw)
                try:
                    obj = json.loads(raw)
                except ValueError:
                    obj = {"msg": "not JSON", "raw": raw.decode("utf-8", "replace")}
                self.lines.append(obj)
                self.changed.notify_all()

    def text(self):
        return b"".join(self.raw).decode("utf-8", "replace")

    def wait_line(self, predicate, timeout=5):
        deadline = time.monotonic() + timeout
        with self.changed:
            start = 0
            while True:
                for line in self.lines[start:]:
                    if predicate(line):
                        return line
                start = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (self.proc.poll() is not None and not self.reader.is_alive()):
                    return None
                self.changed.wait(min(left, 0.1))

    def record(self, reply_or_id, timeout=5):
        """The one log record of a request."""
        rid = reply_or_id if isinstance(reply_or_id, str) else reply_or_id.get("x-request-id")
        return self.wait_line(lambda l: l.get("msg") == "request" and l.get("requestId") == rid, timeout)

    def records(self, model=None):
        with self.changed:
            return [l for l in self.lines if l.get("msg") == "request" and (model is None or l.get("model") == model)]

    def call(self, path, body=None, **kw):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        kw.setdefault("token", TOKEN)
        return wire.call(self.port, path, body, **kw)

    @property
    def admin_port(self):
        line = self.wait_line(lambda l: l["msg"].startswith("admin API and dashboard on http://"))
        return int(line["msg"].rstrip("/").rpartition(":")[2])

    def admin(self, path, body=None, **kw):
        """A call of the admin API; config(admin=...) must turn it on and know ADMIN_KEY."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        kw.setdefault("token", ADMIN_KEY)
        kw["headers"] = [("Host", "127.0.0.1:%d" % self.admin_port), *kw.get("headers", ())]
        return wire.call(self.admin_port, path, body, **kw)

    def rss_kb(self):
        for line in pathlib.Path("/proc/%d/status" % self.proc.pid).read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        fields = pathlib.Path("/proc/%d/stat" % self.proc.pid).read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.proc.pid))

    def stop(self, timeout=15):
        """SIGTERM; it must end by itself with status 0 and without a word from a sanitizer or an assertion."""
        alive = self.proc.poll() is None
        if alive:
            self.proc.send_signal(signal.SIGTERM)
        try:
            status = self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            status = "did not end within %d s of SIGTERM" % timeout
        self.reader.join(5)
        text = self.text()
        self.dir.cleanup()
        assert alive, "weir died before the end of the test (status %r):\n%s" % (status, text[-4000:])
        assert status == 0, "weir ended with %r:\n%s" % (status, text[-4000:])
        assert "Sanitizer" not in text and "runtime error:" not in text, text[-8000:]
        return text

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.proc.kill()
            self.proc.wait()
            self.reader.join(5)
            value.args = (str(value) + "\n--- weir's log:\n" + self.text()[-3000:],)
            self.dir.cleanup()
