"""What the bench runs side by side: the tools of rig/, and the proxies in front of the mock with configurations that ask
of each about what weir does (kept-alive connections on both sides, no buffering of streams, one worker)."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
TARGET_CORE, LOAD_CORE = "0", "1"
TOKEN, FAILOVER_TOKEN = "weir_bench_0123456789abcdef0123456789", "weir_bench_failover_0123456789abcdef"
GOOD_KEY, REFUSED_KEY = "sk-bench-good-0123456789", "sk-bench-refused-0123456789"
CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra"]


def build_tools(out):
    """Compiles load, mock and floor into out, when a source is newer."""
    out.mkdir(parents=True, exist_ok=True)
    newest = max(p.stat().st_mtime for p in (HERE / "rig").iterdir())
    for tool in ("load", "mock", "floor"):
        exe = out / tool
        if not exe.exists() or exe.stat().st_mtime < newest:
            subprocess.run([os.environ.get("CC", "cc"), *CFLAGS, HERE / "rig" / (tool + ".c"), HERE / "rig" / "rig.c", "-o", exe], check=True)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def wait_port(port, proc, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if proc.poll() is not None:
            raise RuntimeError("%s ended with %s" % (proc.args, proc.returncode))
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("nothing listens on %d: %s" % (port, proc.args))


def pinned(core, *args):
    return ["taskset", "-c", core, *map(str, args)]


class Process:
    """A server on one core; pid is the one whose CPU and memory count."""

    def __init__(self, core, args, port, log=None):
        self.log = open(log, "ab") if log else subprocess.DEVNULL
        self.proc = subprocess.Popen(pinned(core, *args), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.port, self.pid = port, self.proc.pid
        try:
            wait_port(port, self.proc)
        except Exception:
            self.stop()
            raise

    def memory(self):
        """Proportional set size in bytes."""
        for line in open("/proc/%d/smaps_rollup" % self.pid):
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no Pss")

    def rss(self):
        for line in open("/proc/%d/status" % self.pid):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(3)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        if self.log is not subprocess.DEVNULL:
            self.log.close()


class Mock(Process):
    def __init__(self, tools, run):
        port, self.refusing = free_ports(2)
        super().__init__(LOAD_CORE, [tools / "mock", "-p", port, "-q", self.refusing, "-r", REFUSED_KEY], port, run / "mock.log")


class Target:
    """One proxy. ports: which of its ports serves which kind of scenario."""
    name, process = "?", None
    fails_over = False

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def port(self, kind):
        return self.process.port

    def headers(self, kind):
        return ["Authorization: Bearer " + TOKEN]


class Direct(Target):
    """The load against the mock itself: what the tools cost and how late they are."""
    name = "direct"

    def __init__(self, mock):
        self.mock = mock

    def start(self):
        pass

    def port(self, kind):
        return self.mock.port


class Floor(Target):
    name = "floor"

    def __init__(self, tools, mock, run):
        self.tools, self.mock, self.run = tools, mock, run

    def start(self):
        port = free_ports(1)[0]
        self.process = Process(TARGET_CORE, [self.tools / "floor", port, self.mock.port], port, self.run / "floor.log")


NGINX = """daemon off; worker_processes 1; pid %(run)s/nginx.pid; error_log %(run)s/nginx.err error;
worker_rlimit_nofile 20000;
events { worker_connections 18000; }
http {
  access_log off; default_type application/octet-stream; server_tokens off;
  keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 256k; client_max_body_size 32m;
  client_body_temp_path %(run)s/b; proxy_temp_path %(run)s/p; fastcgi_temp_path %(run)s/f; uwsgi_temp_path %(run)s/u; scgi_temp_path %(run)s/s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 3600s; proxy_send_timeout 3600s;
  upstream mock { server 127.0.0.1:%(mock)d max_fails=0; keepalive 4096; keepalive_requests 1000000000; keepalive_timeout 3600s; }
  upstream refusing { server 127.0.0.1:%(refusing)d max_fails=0; server 127.0.0.1:%(mock)d max_fails=0 backup;
    keepalive 4096; keepalive_requests 1000000000; keepalive_timeout 3600s; }
  server { listen 127.0.0.1:%(plain)d backlog=4096; location / { proxy_pass http://mock; } }
  server { listen 127.0.0.1:%(stream)d backlog=4096; location / { proxy_buffering off; proxy_pass http://mock; } }
  server { listen 127.0.0.1:%(fail)d backlog=4096;
    location / { proxy_next_upstream error timeout http_429 non_idempotent; proxy_pass http://refusing; } }
%(more)s}
"""


class Nginx(Target):
    name, fails_over = "nginx", True
    kinds = ("plain", "stream", "fail")

    def __init__(self, mock, run, more=""):
        self.mock, self.run, self.more = mock, run, more
        self.exe = shutil.which("nginx", path=SBIN)

    def start(self):
        self.ports = dict(zip(self.kinds, free_ports(3)))
        conf = self.run / "nginx.conf"
        conf.write_text(NGINX % dict(self.ports, run=self.run, mock=self.mock.port, refusing=self.mock.refusing, more=self.more))
        self.process = Process(TARGET_CORE, [self.exe, "-c", conf, "-p", self.run], self.ports["plain"], self.run / "nginx.log")
        kids = pathlib.Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid))
        for _ in range(100):
            workers = kids.read_text().split()
            if workers:
                break
            time.sleep(0.01)
        self.process.pid = int(workers[0])

    def port(self, kind):
        return self.ports[kind]


HAPROXY = """global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  option http-no-delay
  http-reuse always
frontend f
  bind 127.0.0.1:%(port)d backlog 4096
  default_backend b
backend b
  server s 127.0.0.1:%(mock)d pool-max-conn -1
"""


class Haproxy(Target):
    name = "haproxy"    # 2.6 cannot retry on 429

    def __init__(self, mock, run):
        self.mock, self.run = mock, run
        self.exe = shutil.which("haproxy", path=SBIN)

    def start(self):
        port = free_ports(1)[0]
        conf = self.run / "haproxy.cfg"
        conf.write_text(HAPROXY % {"port": port, "mock": self.mock.port})
        self.process = Process(TARGET_CORE, [self.exe, "-db", "-f", conf], port, self.run / "haproxy.log")


def weir_config(port, base, ca=None, **more):
    step = lambda *ids: [{"type": "user", "keys": [{"id": i} for i in ids]}]
    key = lambda ident, name, value: {"id": ident, "providerId": "openai", "name": name, "value": value}
    routing = lambda name, *ids: {"id": "aigac_" + name, "name": name, "router": {"rules": [{"provider": "openai", "steps": step(*ids)}]}}
    conf = {
        "listen": "127.0.0.1:%d" % port, "admin": {"listen": None}, "gateway": {"cooldown": False, "streamIdleTimeout": "3600s"},
        "limits": {"maxConnections": 8192, "memory": "1GiB"}, "upstream": {"allowPrivate": True, "caFile": str(ca) if ca else None},
        "providers": [{"providerId": "openai", "baseUrl": base}],
        "providerKeys": [key("aigpk_good", "good", GOOD_KEY), key("aigpk_refused", "refused", REFUSED_KEY)],
        "accessKeyConfigurations": [routing("good", "aigpk_good"), routing("failover", "aigpk_refused", "aigpk_good")],
        "accessKeys": [
            {"id": "aigk_good", "name": "good", "token": TOKEN, "accessKeyConfigurationId": "aigac_good"},
            {"id": "aigk_failover", "name": "failover", "token": FAILOVER_TOKEN, "accessKeyConfigurationId": "aigac_failover"}],
        "log": {"level": "info", "requests": True},
    }
    conf.update(more)
    return conf


class Weir(Target):
    """Its request log is on and goes to /dev/null: the line is built and written, as in service."""
    name, fails_over = "weir", True

    def __init__(self, exe, mock, run, base=None, ca=None, name="weir", wrap=(), **more):
        self.exe, self.run, self.ca, self.name, self.wrap, self.more = exe, run, ca, name, list(wrap), more
        self.base = base or "http://127.0.0.1:%d/v1" % mock.port

    def write(self):
        port = free_ports(1)[0]
        conf = self.run / (self.name + ".json")
        more = dict(self.more, sandbox="off") if self.wrap else self.more  # valgrind makes calls that weir has no need of
        conf.write_text(json.dumps(weir_config(port, self.base, self.ca, **more), indent=1))
        return port, conf

    def start(self):
        port, conf = self.write()
        self.process = Process(TARGET_CORE, [*self.wrap, self.exe, "-c", conf], port)

    def headers(self, kind):
        return ["Authorization: Bearer " + (FAILOVER_TOKEN if kind == "fail" else TOKEN)]


class TlsFront(Target):
    """TLS for the mock: an nginx on the load's core, with a certificate for 127.0.0.1 from an authority made here."""
    CONF = """daemon off; worker_processes 1; pid %(run)s/front.pid; error_log %(run)s/front.err error; worker_rlimit_nofile 20000;
events { worker_connections 18000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 256k;
  client_body_temp_path %(run)s/b2; proxy_temp_path %(run)s/p2; fastcgi_temp_path %(run)s/f2; uwsgi_temp_path %(run)s/u2; scgi_temp_path %(run)s/s2;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 3600s;
  upstream mock { server 127.0.0.1:%(mock)d max_fails=0; keepalive 4096; }
  server { listen 127.0.0.1:%(port)d ssl backlog=4096; ssl_certificate %(run)s/leaf.crt; ssl_certificate_key %(run)s/leaf.key;
    ssl_protocols TLSv1.2; location / { proxy_buffering off; proxy_pass http://mock; } } }
"""

    def __init__(self, mock, run):
        self.mock, self.run = mock, run
        self.exe = shutil.which("nginx", path=SBIN)
        self.ca = run / "ca.crt"

    def make_certificates(self):
        ssl = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, cwd=self.run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (self.run / "leaf.ext").write_text("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                                           "extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n")
        for name in ("ca", "leaf"):
            ssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")
        ssl("req", "-x509", "-new", "-key", "ca.key", "-days", 30, "-subj", "/CN=bench root", "-out", "ca.crt",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        ssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=127.0.0.1", "-out", "leaf.csr")
        ssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30, "-extfile", "leaf.ext", "-out", "leaf.crt")

    def start(self):
        self.make_certificates()
        port = free_ports(1)[0]
        conf = self.run / "front.conf"
        conf.write_text(self.CONF % {"run": self.run, "mock": self.mock.port, "port": port})
        self.process = Process(LOAD_CORE, [self.exe, "-c", conf, "-p", self.run], port, self.run / "front.log")
