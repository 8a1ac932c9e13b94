"""The command line: each command as a user types it, and the demo with the very lines it prints."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from weir import BINARY, ROOT, Weir, config

CLEAN = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_proxy", "_PROXY"))}


def run(*args, timeout=20, env=CLEAN, **kw):
    return subprocess.run([BINARY, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=env, **kw)


# ---- usage --------------------------------------------------------------------------------------------------------
COMMANDS = ["serve", "demo", "check", "token", "healthcheck", "version"]


@pytest.mark.parametrize("args, code", [
    (["--help"], 0), (["frobnicate"], 2), (["check", "extra"], 2), (["--no-such"], 2), (["check"], 2), (["demo", "-c", "x.json"], 2)])
def test_usage(args, code):
    r = run(*args)
    assert r.returncode == code, r
    said = r.stdout if code == 0 else r.stderr
    assert said.strip() and (r.stderr if code == 0 else r.stdout) == ""
    if args == ["--help"]:
        assert all(re.search(r"^  %s " % c, said, re.M) for c in COMMANDS), said


def test_version():
    r = run("version")
    assert r.returncode == 0 and r.stderr == ""
    assert re.match(r"weir \d+\.\d+\.\d+\n", r.stdout)
    assert "BearSSL 0.6" in r.stdout and "jsmn 1.1.0" in r.stdout and "TLS 1.2" in r.stdout
    assert re.search(r"JSON scan (avx2|sse2|neon|word), SHA-256 (sha-ni|plain)\n", r.stdout)
    assert run("--version").stdout == r.stdout


# ---- check --------------------------------------------------------------------------------------------------------
def test_check_example():
    r = run("check", "-c", str(ROOT / "config.example.json"))
    assert r.returncode == 0 and "fine" in r.stdout and r.stderr == "", r


@pytest.mark.parametrize("text, place", [
    ('{\n  "listen": "127.0.0.1:8080",\n  "lisen": 1\n}', "3:3"), ('{"sim": maybe}', "1:9"), ('{\n"listen": 7}', "2:11")])
def test_check_refuses(tmp_path, text, place):
    path = tmp_path / "c.json"
    path.write_text(text)
    r = run("check", "-c", str(path))
    assert r.returncode == 1 and r.stdout == ""
    assert r.stderr.startswith("%s:%s: " % (path, place)), r.stderr
    assert r.stderr.count("\n") == 1


def test_check_readme_example(tmp_path):
    text = (ROOT / "README.md").read_text()
    examples = [b for b in re.findall(r"```json\n(.*?)```", text, re.S) if '"providerKeys"' in b]
    assert len(examples) == 1
    path = tmp_path / "c.json"
    path.write_text(examples[0])
    r = run("check", "-c", str(path))
    assert r.returncode == 1 and "the environment variable OPENAI_KEY_1 is not set" in r.stderr, r
    keys = {"OPENAI_KEY_1": "sk-1", "OPENAI_KEY_2": "sk-2", "ANTHROPIC_API_KEY": "sk-3", "APP_TOKEN": "weir_" + "a" * 40}
    r = run("check", "-c", str(path), env={**CLEAN, **keys})
    assert (r.returncode, r.stderr) == (0, "") and "warning" not in r.stdout, r


def test_readme_names_every_setting():
    """What config.example.json shows, the README's table explains."""
    table = (ROOT / "README.md").read_text().split("## The config")[1].split("## Failover")[0]

    def names(value):
        for key, inner in value.items():
            yield key
            if isinstance(inner, dict) and key in ("gateway", "limits", "upstream", "log", "admin"):
                yield from names(inner)

    for name in names(json.loads((ROOT / "config.example.json").read_text())):
        assert re.search(r"^\| [^|]*\b%s\b" % re.escape(name), table, re.M), name


def test_check_missing_file(tmp_path):
    r = run("check", "-c", str(tmp_path / "none.json"))
    assert r.returncode == 1 and "none.json" in r.stderr and "No such file" in r.stderr


# ---- token --------------------------------------------------------------------------------------------------------
def fresh_token():
    r = run("token")
    assert r.returncode == 0 and r.stderr == ""
    token = re.search(r"^  (weir_[A-Za-z0-9]{40})$", r.stdout, re.M).group(1)
    entry = json.loads(re.search(r"\{.*\}", r.stdout, re.S).group(0))
    assert token not in json.dumps(entry)
    return token, entry


def test_token_hash_is_of_the_token():
    seen = set()
    for _ in range(5):
        token, entry = fresh_token()
        assert hashlib.sha256(token.encode()).hexdigest() == entry["tokenSha256"]
        seen.add(token)
        seen.add(entry["id"])
    assert len(seen) == 10, "keys or ids repeat"


def test_token_entry_pastes_into_a_config():
    token, entry = fresh_token()
    with Weir(config(sim=True, accessKeys=[entry])) as weir:
        body = {"model": "sim:echo", "messages": [{"role": "user", "content": "hello there"}]}
        good = weir.call("/v1/chat/completions", body, token=token)
        assert good.status == 200 and b"hello there" in good.body
        bad = weir.call("/v1/chat/completions", body, token=token[:-1] + ("A" if token[-1] != "A" else "B"))
        assert bad.status == 401


# ---- healthcheck --------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def listener(answer):
    """A server of one behaviour: answer(connection) for each."""
    s = socket.create_server(("127.0.0.1", 0))
    stop = False

    def serve():
        while not stop:
            try:
                c, _ = s.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                answer(c)

    t = threading.Thread(target=serve, daemon=True)
    t.start()
    try:
        yield s.getsockname()[1]
    finally:
        stop = True
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_RDWR)
        s.close()


def answering(raw):
    def answer(c):
        c.recv(65536)
        c.sendall(raw)
        c.close()
    return answer


def health(tmp_path, **conf):
    path = tmp_path / "health.json"
    path.write_text(json.dumps(config(**conf)))
    start = time.monotonic()
    return run("healthcheck", "-c", str(path)), time.monotonic() - start


def test_healthcheck_of_a_gateway(tmp_path):
    with Weir(config()) as weir:
        for host in ("127.0.0.1", "0.0.0.0"):
            r, _ = health(tmp_path, listen="%s:%d" % (host, weir.port))
            assert (r.returncode, r.stdout, r.stderr) == (0, "", ""), r
        port = weir.port
    r, took = health(tmp_path, listen="127.0.0.1:%d" % port)
    assert r.returncode == 1 and "127.0.0.1:%d" % port in r.stderr and "refused" in r.stderr and took < 2, r


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize("raw, word", [
    (OK, None),
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", None),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "503"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
    (b"", "closed"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", "closed"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ""),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ""),
    (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40000, ""),
])
def test_healthcheck_reads_the_answer(tmp_path, raw, word):
    with listener(answering(raw)) as port:
        r, took = health(tmp_path, listen="127.0.0.1:%d" % port)
    if word is None:
        assert (r.returncode, r.stderr) == (0, ""), r
    else:
        assert r.returncode == 1 and r.stderr.count("\n") == 1 and word in r.stderr, r
    assert took < 1.9


def test_healthcheck_takes_an_answer_byte_by_byte(tmp_path):
    def dribble(c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        c.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":
            c.sendall(bytes([byte]))
            time.sleep(0.002)

    with listener(dribble) as port:
        r, _ = health(tmp_path, listen="127.0.0.1:%d" % port)
    assert (r.returncode, r.stderr) == (0, ""), r


def test_healthcheck_limit(tmp_path):
    held = []
    with listener(held.append) as port:
        r, took = health(tmp_path, listen="127.0.0.1:%d" % port)
    assert r.returncode == 1 and "no answer in time" in r.stderr and 1.9 <= took < 8, (r, took)


def test_healthcheck_with_tls_asks_for_a_connection_only(tmp_path):
    pem = {"cert": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "key": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"}
    with listener(lambda c: c.close()) as port:
        r, _ = health(tmp_path, listen="127.0.0.1:%d" % port, tls=pem)
        assert (r.returncode, r.stderr) == (0, ""), r
    r, _ = health(tmp_path, listen="127.0.0.1:%d" % port, tls=pem)
    assert r.returncode == 1 and "nothing listens there" in r.stderr, r


def test_healthcheck_needs_a_port(tmp_path):
    r, _ = health(tmp_path, listen="127.0.0.1:0")
    assert r.returncode == 1 and "port" in r.stderr, r


# ---- demo ---------------------------------------------------------------------------------------------------------
class Demo:
    def __init__(self, **kw):
        self.proc = subprocess.Popen([BINARY, "demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     text=True, env=CLEAN, **kw)
        self.text = ""
        watchdog = threading.Timer(30, self.proc.kill)
        watchdog.start()
        for line in self.proc.stdout:
            self.text += line
            if line.startswith("Serving until"):
                break
        watchdog.cancel()

    def stop(self, sig=signal.SIGINT):
        self.proc.send_signal(sig)
        try:
            out, err = self.proc.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            out, err = self.proc.communicate()
            err += "\nit did not end by itself"
        return self.proc.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.proc.kill()
        self.proc.communicate()


@pytest.fixture(scope="module")
def demo():
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    with Demo() as d:
        assert d.text.rstrip().endswith("Serving until Ctrl-C."), d.text + d.proc.communicate()[1]
        yield d
        code, out, err = d.stop()
        assert (code, err) == (0, ""), (code, err)


def commands(text):
    """The printed curl commands, each as the shell would get it pasted."""
    return re.findall(r"^curl .*?(?=\n\n)", text, re.M | re.S)


def paste(command):
    r = subprocess.run(["sh", "-c", command], capture_output=True, timeout=30, env=CLEAN)
    assert r.returncode == 0, r
    head, _, body = r.stdout.decode().partition("\r\n\r\n")
    fields = dict(l.split(": ", 1) for l in head.split("\r\n")[1:])
    return int(head.split()[1]), fields, body


def attempts(fields):
    return fields["x-weir-attempts"].split(", ")


def test_demo_fits_the_screen(demo):
    assert max(len(l) for l in demo.text.splitlines()) <= 80
    assert "\t" not in demo.text and len(commands(demo.text)) == 3


def test_demo_tells_what_happened(demo):
    story = demo.text.split("What happened")[1]
    assert re.search(r"1\. sim/primary said 429 \(rate limited\)\.\n     weir cooled that key for 1 s and", story), story
    assert re.search(r"2\. sim/backup said 401 \(key refused\)\.\n     weir cooled that key for 300 s and", story), story
    assert re.search(r"3\. sim/third answered 200\.", story), story
    assert re.search(r"first word was on the screen \d+\.\d ms after", story)


def test_demo_chat_streams(demo):
    time.sleep(1.1)  # primary's cool-down: its provider stated one second
    status, fields, body = paste(commands(demo.text)[0])
    assert status == 200 and fields["content-type"].startswith("text/event-stream")
    assert attempts(fields) == ["sim/primary=429", "sim/third=200"], fields
    events = [e[6:] for e in body.strip().split("\n\n")]
    assert events[-1] == "[DONE]" and len(events) > 3
    text = "".join(c["delta"].get("content") or "" for e in events[:-1] for c in json.loads(e)["choices"])
    assert text == "Hello, weir!"
    # At once again: primary's stated time is honoured without a call.
    assert attempts(paste(commands(demo.text)[0])[1]) == ["sim/third=200"]


def test_demo_messages(demo):
    status, fields, body = paste(commands(demo.text)[1])
    answer = json.loads(body)
    assert status == 200 and answer["type"] == "message" and answer["content"][0]["text"] == "Hello, weir!"
    assert attempts(fields)[-1] == "sim/third=200"


def test_demo_responses_falls_back(demo):
    status, fields, body = paste(commands(demo.text)[2])
    answer = json.loads(body)
    assert status == 200 and answer["object"] == "response" and answer["output"][0]["content"][0]["text"] == "Hello, weir!"
    assert fields["x-weir-model"] == "echo"
    tried = attempts(fields)
    assert tried[-1] == "sim/third=200" and any(t.endswith("=400") for t in tried[:-1]), tried


def test_demo_wants_its_key(demo):
    status, _, body = paste(re.sub("weir_[A-Za-z0-9]{40}", "weir_" + "x" * 40, commands(demo.text)[0]))
    assert status == 401 and "invalid_access_key" in body


def test_demo_on_a_taken_port():
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # taken by somebody else is taken as well
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        with Demo() as d:
            port = int(re.search(r"address      http://127\.0\.0\.1:(\d+)   \(8080 is taken\)", d.text).group(1))
            assert port != 8080 and "127.0.0.1:8080" not in d.text
            assert all(":%d/" % port in c for c in commands(d.text))
            if shutil.which("curl"):
                assert paste(commands(d.text)[0])[0] == 200
            code, out, err = d.stop()
            assert (code, err) == (0, ""), (code, out, err)


def test_demo_ends_by_sigterm():
    with Demo() as d:
        code, _, err = d.stop(signal.SIGTERM)
        assert (code, err) == (0, "")


def test_demo_says_when_it_does_not_work():
    """Too few descriptors for its own request: an exit code and a line, not a hang and not a story."""
    resource = pytest.importorskip("resource")
    r = run("demo", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)))
    assert r.returncode == 1 and "weir demo: the request to itself failed: " in r.stderr, r
    assert "What happened" not in r.stdout
