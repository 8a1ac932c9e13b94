"""TLS to upstreams with chains of both kinds, and names looked up by weir's own resolver. What cannot be trusted is
refused before a byte of the request is sent."""
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import pytest

import certs
import dialects
import fake
from dialects import Chat, TEXT
from names import Names
from weir import Weir, config, provider

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
SUITES = [("ec", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("ec", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("ec", "ECDHE-ECDSA-CHACHA20-POLY1305"),
          ("rsa", "ECDHE-RSA-AES128-GCM-SHA256"), ("rsa", "ECDHE-RSA-AES256-GCM-SHA384"), ("rsa", "ECDHE-RSA-CHACHA20-POLY1305")]
CURVES = ["prime256v1", "secp384r1", "secp521r1", "X25519"]


def server(chain, suite=None, curve=None, least=None, most=None, alpn=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(*chain)
    if suite:
        ctx.set_ciphers(suite)
    if curve:
        ctx.set_ecdh_curve(curve)
    if least:
        ctx.minimum_version = least
    if most:
        ctx.maximum_version = most
    if alpn:
        ctx.set_alpn_protocols(alpn)
    return fake.Upstream(dialects.behave, tls=ctx)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nothing listens on the port")


class Bench:
    """All upstreams, one gateway that trusts the two roots."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.ca = {k: certs.Authority(self.dir / k, k, k) for k in ("ec", "rsa")}
        self.other = certs.Authority(self.dir / "other", "ec", "other")
        self.leaf = {k: a.leaf() for k, a in self.ca.items()}
        bundle = self.dir / "bundle.pem"
        bundle.write_text("".join(a.ca.read_text() for a in self.ca.values()))
        ec = self.ca["ec"]
        ups = {"good-" + k: server(self.leaf[k]) for k in self.ca}
        ups.update({"suite-%d" % i: server(self.leaf[k], suite, most=ssl.TLSVersion.TLSv1_2) for i, (k, suite) in enumerate(SUITES)})
        ups.update({"curve-%d" % i: server(self.leaf["ec"], curve=c, most=ssl.TLSVersion.TLSv1_2) for i, c in enumerate(CURVES)})
        ups["alpn"] = server(self.leaf["ec"], alpn=["h2", "http/1.1"])
        bad = {
            "wrong-host": ec.leaf("DNS:other.test"), "parent-of-wildcard": ec.leaf("DNS:*.up.test"), "expired": ec.leaf(end="20210101000000Z"),
            "not-yet": ec.leaf(start="20480101000000Z"), "unknown-ca": self.other.leaf(), "self-signed": ec.leaf(issuer=None),
            "no-intermediate": ec.leaf(chain=False), "rsa-wrong-host": self.ca["rsa"].leaf("DNS:other.test"),
            "rsa-expired": self.ca["rsa"].leaf(end="20210101000000Z"),
        }
        self.bad = list(bad)
        ups.update({n: server(c) for n, c in bad.items()})
        ups["tls13-only"] = server(self.leaf["ec"], least=ssl.TLSVersion.TLSv1_3)
        self.bad.append("tls13-only")
        self.ups = ups
        self.names = Names()
        providers = [provider(n, "https://up.test:%d/v1" % u.port) for n, u in ups.items()]
        self.procs, self.nginx_port, self.s_port = [], {}, {}
        for k in self.ca:
            self.nginx_port[k] = self.start_nginx(k) if NGINX else None
            if NGINX:
                providers.append(provider("nginx-" + k, "https://up.test:%d/v1" % self.nginx_port[k]))
            self.s_port[k] = free_port()
            providers.append(provider("s-server-" + k, "https://up.test:%d/v1" % self.s_port[k]))
        plain = self.plain = fake.Upstream(dialects.behave)
        dns = ["nx", "servfail", "refuse", "silent", "empty", "trunc", "spoof", "loop", "cname", "many", "meta", "up"]
        providers += [provider("dns-" + n, "http://%s.internal:%d/v1" % (n, plain.port)) for n in dns]
        providers.append(provider("spare", "http://127.0.0.1:%d/v1" % plain.port))
        self.weir = Weir(config(providers=providers, gateway={"connectTimeout": "3s"}, upstream={
            "caFile": str(bundle), "dns": ["127.0.0.1:%d" % self.names.port], "allowPrivate": True}))

    def start_nginx(self, kind):
        port, d = free_port(), self.dir / ("nginx-" + kind)
        d.mkdir()
        body = json.dumps(Chat.plain()).replace("'", "")
        (d / "nginx.conf").write_text("""
daemon off; pid %(d)s/pid; error_log %(d)s/error.log; worker_processes 1;
events { worker_connections 64; }
http { access_log %(d)s/access.log; client_body_temp_path %(d)s/a; proxy_temp_path %(d)s/b; fastcgi_temp_path %(d)s/c; uwsgi_temp_path %(d)s/u; scgi_temp_path %(d)s/s;
  server { listen 127.0.0.1:%(p)d ssl; ssl_certificate %(crt)s; ssl_certificate_key %(key)s; keepalive_timeout 30;
    location / { default_type application/json; return 200 '%(body)s'; } } }
""" % {"d": d, "p": port, "crt": self.leaf[kind][0], "key": self.leaf[kind][1], "body": body})
        self.procs.append(subprocess.Popen([NGINX, "-c", str(d / "nginx.conf"), "-p", str(d)], stderr=subprocess.DEVNULL))
        wait_port(port)
        return port

    def ask(self, who, model="text", stream=False, models=None):
        body = Chat.request("%s:%s" % (who, model), stream)
        if models:
            body["models"] = models
        return self.weir.call("/v1/chat/completions", body)

    def close(self):
        try:
            self.weir.stop()
        finally:
            for p in self.procs:
                p.terminate()
            for u in [self.plain, *self.ups.values()]:
                u.close()
            self.names.close()


@pytest.fixture(scope="module")
def bench():
    with tempfile.TemporaryDirectory(prefix="weir-tls-") as folder:
        b = Bench(folder)
        yield b
        b.close()


GOOD = ["good-ec", "good-rsa", "alpn"] + ["suite-%d" % i for i in range(len(SUITES))] + ["curve-%d" % i for i in range(len(CURVES))]


@pytest.mark.parametrize("who", GOOD)
def test_good(bench, who):
    for stream in (False, True):
        reply = bench.ask(who, stream=stream)
        assert reply.status == 200 and reply.whole, (reply, bench.weir.text()[-500:])
        assert reply.body == (b"".join(dialects.stream_of(Chat)) if stream else json.dumps(Chat.plain()).encode())
    conns = {r.conn for r in bench.ups[who].requests}
    assert len(conns) == 1, "the TLS connection was not used again"


def test_large_body_both_ways(bench):
    up = bench.ups["good-ec"]
    big = os.urandom(3000000).hex()
    up.play = lambda r: fake.answer(200, {"choices": [{"message": {"content": r.json["messages"][0]["content"]}}]})
    try:
        body = {"model": "good-ec:echo", "messages": [{"role": "user", "content": big}]}
        reply = bench.weir.call("/v1/chat/completions", body, timeout=30)
        assert reply.status == 200 and json.loads(reply.body)["choices"][0]["message"]["content"] == big
    finally:
        up.play = dialects.behave


@pytest.mark.parametrize("who", ["wrong-host", "parent-of-wildcard", "expired", "not-yet", "unknown-ca", "self-signed", "no-intermediate",
                                 "rsa-wrong-host", "rsa-expired", "tls13-only"])
def test_refused(bench, who):
    """F-018 to F-023: nothing of the request reaches a server that cannot be trusted; another provider answers."""
    assert who in bench.bad
    up = bench.ups[who]
    reply = bench.ask(who)
    assert reply.status == 502 and json.loads(reply.body)["error"]["code"] == "upstream_unreachable", reply
    record = bench.weir.record(reply)
    assert [a["outcome"] for a in record["attempts"]] == ["unreachable"]
    reply = bench.ask(who, models=["spare:text"])
    assert reply.status == 200 and Chat.text_of(reply.body) == TEXT
    assert len(up.conns) >= 2 and not up.requests and all(c.received == b"" for c in up.conns)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_nginx(bench, kind):
    if not NGINX:
        pytest.skip("nginx is not installed")
    for _ in range(3):
        reply = bench.ask("nginx-" + kind)
        assert reply.status == 200 and Chat.text_of(reply.body) == TEXT, reply
    log = (bench.dir / ("nginx-" + kind) / "access.log").read_text()
    assert log.count('"POST /v1/chat/completions HTTP/1.1" 200') == 3


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_openssl_s_server(bench, kind):
    """The answer is typed into s_server's standard input; what it prints is what the gateway sent."""
    crt, key = bench.leaf[kind]
    chain = bench.ca[kind].mid[0]
    proc = subprocess.Popen(["openssl", "s_server", "-quiet", "-naccept", "1", "-accept", "127.0.0.1:%d" % bench.s_port[kind], "-cert", str(crt), "-key", str(key),
                             "-cert_chain", str(chain)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.4)  # a probing connection would be the one that -naccept counts
        proc.stdin.write(b"".join(fake.answer(200, Chat.plain(), [("Connection", "close")])))
        proc.stdin.flush()
        reply = bench.ask("s-server-" + kind)
        assert reply.status == 200 and Chat.text_of(reply.body) == TEXT, reply
        proc.wait(5)  # one connection, then it ends by itself and has written all it saw
    finally:
        proc.kill()
    assert b"POST /v1/chat/completions HTTP/1.1\r\n" in proc.stdout.read()


@pytest.mark.parametrize("name", ["up", "trunc", "spoof", "cname", "many"])
def test_names_that_resolve(bench, name):
    """F-005, F-007, F-010: TC is asked again over TCP, answers to other questions are ignored, dead addresses are skipped."""
    reply = bench.ask("dns-" + name)
    assert reply.status == 200 and [a[2] for a in reply.attempts] == ["200"], reply


@pytest.mark.parametrize("name", ["nx", "servfail", "refuse", "silent", "empty", "loop"])
def test_names_that_do_not(bench, name):
    """F-001 to F-008: the attempt is lost, the request is not."""
    reply = bench.ask("dns-" + name)
    assert reply.status == 502, reply
    record = bench.weir.record(reply)
    assert record["attempts"][0]["outcome"] in ("unreachable", "timeout")
    reply = bench.ask("dns-" + name, models=["spare:text"])
    assert reply.status == 200 and reply.get("x-weir-provider") == "spare"


def test_f009_private_addresses(bench):
    """Without allowPrivate a public-looking name that points inside is not connected to."""
    up = fake.Upstream(dialects.behave)
    conf = config(providers=[provider("inside", "https://up.test:%d/v1" % up.port), provider("meta", "https://meta.test/v1")],
                  upstream={"dns": ["127.0.0.1:%d" % bench.names.port], "allowPrivate": False}, gateway={"connectTimeout": "2s"})
    with Weir(conf) as weir:
        for who in ("inside", "meta"):
            start = time.monotonic()
            assert weir.call("/v1/chat/completions", Chat.request(who + ":text")).status == 502
            assert time.monotonic() - start < 1.5
    assert not up.conns
    up.close()
