"""Gateways to compare: each started with a first provider that fails and a second one that is well, failover switched on as its
own documentation says, and the same three seconds of patience. A gateway is asked through call(); places are names of first
providers (one listener, or one path on it, each), so that one process serves the whole table."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import wire
from weir import TOKEN, Weir, config, provider

SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
OTHERS = pathlib.Path(os.environ.get("WEIR_OTHERS", pathlib.Path(__file__).resolve().parents[2] / "build/others"))
PATIENCE_S = 3


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    """places: {name: base URL of a first provider, without /v1}; good: base URL of the second. serves(place): whether the gateway
    can be configured for it at all."""
    name, threads, second_chance = "?", 8, False

    def __init__(self, places, good, models, world):
        self.places, self.good, self.models, self.world = places, good, models, world
        self.dir = tempfile.TemporaryDirectory(prefix="weir-faults-")
        self.run, self.port, self.proc = pathlib.Path(self.dir.name), free_port(), None

    def serves(self, place):
        """Names of a DNS server of ours, and an authority of ours for the host that only it knows."""
        return not place.startswith(("dns-", "cert-"))

    def spawn(self, *args, wait=20, **env):
        self.log = open(self.run / "log", "wb")
        self.proc = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.run,
                                     env={**os.environ, **env}, start_new_session=True)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and self.proc.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError("%s did not start: %s" % (self.name, (self.run / "log").read_text(errors="replace")[-2000:]))

    def stop(self):
        if self.proc and self.proc.poll() is None:
            os.killpg(self.proc.pid, signal.SIGTERM)
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.proc.pid, signal.SIGKILL)
                self.proc.wait()

    def call(self, d, place, body, timeout):
        raise NotImplementedError


class WeirGateway(Gateway):
    name = "weir"

    def serves(self, place):
        return True

    def start(self):
        providers = [provider("good", self.good + "/v1")] + [provider(n, b + "/v1") for n, b in self.places.items()]
        self.weir = Weir(config(providers=providers, upstream=self.world.upstream, gateway={"connectTimeout": "1s", "perRequestTimeout": "%ds" % PATIENCE_S,
                                                              "streamIdleTimeout": "2s", "totalTimeout": "30s"}))
        self.port = self.weir.port

    def version(self):
        return subprocess.run([os.environ["WEIR_BIN"], "version"], capture_output=True, text=True).stdout.strip()

    def call(self, d, place, body, timeout, second=True):
        body = dict(body, model="%s:%s" % (place, body["model"]), **({"models": ["good:good"]} if second else {}))
        return self.weir.call(d.path, body, timeout=timeout)

    def stop(self):
        self.weir.stop()


class Nginx(Gateway):
    name, threads = "nginx", 12
    HEAD = """daemon off; worker_processes 1; pid %(run)s/pid; error_log %(run)s/err error;
events { worker_connections 2000; }
http { access_log off; client_max_body_size 32m; client_body_buffer_size 8m;
  client_body_temp_path %(run)s/b; proxy_temp_path %(run)s/p; fastcgi_temp_path %(run)s/f; uwsgi_temp_path %(run)s/u; scgi_temp_path %(run)s/s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  proxy_connect_timeout 1s; proxy_read_timeout %(patience)ds; proxy_send_timeout %(patience)ds;
  proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429 non_idempotent;
"""

    def serves(self, place):
        return super().serves(place) and not self.places[place].startswith("https")   # one scheme for both servers of a group

    def start(self):
        conf = self.HEAD % {"run": self.run, "patience": PATIENCE_S}
        good = self.good.partition("//")[2]
        locations = ""
        for name, base in self.places.items():
            if self.serves(name):
                conf += "upstream u_%s { server %s max_fails=0; server %s max_fails=0 backup; }\n" % (name, base.split("/")[2], good)
                locations += "location /%s/ { proxy_pass http://u_%s; }\n" % (name, name)
        conf += "server { listen 127.0.0.1:%d;\n%s}\n}\n" % (self.port, locations)
        (self.run / "conf").write_text(conf)
        self.spawn(shutil.which("nginx", path=SBIN), "-p", self.run, "-c", self.run / "conf")

    def version(self):
        return subprocess.run([shutil.which("nginx", path=SBIN), "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]

    def call(self, d, place, body, timeout):
        return wire.call(self.port, "/%s%s" % (place, d.path), json.dumps(body).encode(), token=TOKEN, timeout=timeout)


def place_has_name(base):
    return base.startswith("https://up.test")


class Haproxy(Nginx):
    name = "haproxy"
    # The list is what its retry-on takes; redispatch moves the retry to the other server, first prefers the failing one.
    HEAD = """global
  tune.bufsize 65536
defaults
  mode http
  balance first
  timeout connect 1s
  timeout client 60s
  timeout server %(patience)ds
  option http-buffer-request
  option redispatch 1
  retries 1
  retry-on conn-failure empty-response junk-response response-timeout 0rtt-rejected 401 403 404 408 425 500 501 502 503 504
"""

    def serves(self, place):
        return not place.startswith("dns-")   # it looks names up at its start

    def start(self):
        conf = self.HEAD % {"patience": PATIENCE_S} + "frontend f\n  bind 127.0.0.1:%d\n" % self.port
        back = ""
        for name, base in ((n, b) for n, b in self.places.items() if self.serves(n)):
            conf += "  use_backend b_%s if { path_beg /%s/ }\n" % (name, name)
            tls = (" ssl verify required ca-file %s verifyhost up.test sni str(up.test)" % self.world.ca if place_has_name(base) else " ssl verify none") \
                if base.startswith("https") else ""
            back += "backend b_%s\n  server bad %s%s\n  server good %s\n" % (name, base.split("/")[2].replace("up.test", "127.0.0.1"), tls, self.good.partition("//")[2])
        (self.run / "conf").write_text(conf + back)
        self.spawn(shutil.which("haproxy", path=SBIN), "-db", "-f", self.run / "conf")

    def version(self):
        return subprocess.run([shutil.which("haproxy", path=SBIN), "-v"], capture_output=True, text=True).stdout.split()[2]


class Portkey(Gateway):
    name, threads, second_chance = "portkey", 8, True
    EXE = OTHERS / "node/node_modules/@portkey-ai/gateway/build/start-server.js"

    def start(self):
        # Its guard against request forgery would refuse loopback; this is its documented list of exceptions.
        self.spawn(shutil.which("node"), self.EXE, "--port=%d" % self.port, "--headless", wait=40, TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost")

    def version(self):
        return json.loads((self.EXE.parents[1] / "package.json").read_text())["version"]

    def call(self, d, place, body, timeout):
        target = lambda base: {"provider": d.format, "api_key": "sk-test-0123456789", "custom_host": base + "/v1", "request_timeout": PATIENCE_S * 1000}
        conf = {"strategy": {"mode": "fallback"}, "targets": [target(self.places[place]), target(self.good)]}
        headers = [("x-portkey-config", json.dumps(conf))] + [("anthropic-version", "2023-06-01")] * (d.format == "anthropic")
        return wire.call(self.port, d.path, json.dumps(body).encode(), token=TOKEN, headers=headers, timeout=timeout)


class Litellm(Gateway):
    name, threads, second_chance = "litellm", 6, True
    BIN = OTHERS / "venv/bin"
    KEY = "sk-litellm-0123456789"

    def start(self):
        def model(name, kind, upstream, base):
            return {"model_name": name, "litellm_params": {"model": "%s/%s" % (kind, upstream), "api_key": "sk-test-0123456789",
                    "api_base": base + ("/v1" if kind == "openai" else ""), "timeout": PATIENCE_S, "stream_timeout": PATIENCE_S}}
        models, fallbacks = [], []
        for kind in ("openai", "anthropic"):
            models.append(model("good-" + kind, kind, "good", self.good))
            for place, m in self.models:
                name = "%s-%s-%s" % (kind, place, m)
                models.append(model(name, kind, m, self.places[place]))
                fallbacks.append({name: ["good-" + kind]})
        # No retries of the failing deployment before the fallback, and no cool-down: each case meets its own fault.
        conf = {"model_list": models, "general_settings": {"master_key": self.KEY},
                "router_settings": {"fallbacks": fallbacks, "num_retries": 0, "disable_cooldowns": True, "timeout": PATIENCE_S},
                "litellm_settings": {"request_timeout": PATIENCE_S, "telemetry": False}}
        (self.run / "config.yaml").write_text(json.dumps(conf))   # JSON is YAML
        self.spawn(self.BIN / "litellm", "--config", self.run / "config.yaml", "--host", "127.0.0.1", "--port", self.port,
                   wait=180, LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False", PATH="%s:%s" % (self.BIN, os.environ["PATH"]))

    def version(self):
        return subprocess.run([self.BIN / "python", "-c", "from importlib.metadata import version; print(version('litellm'))"],
                              capture_output=True, text=True).stdout.strip()

    def call(self, d, place, body, timeout):
        body = dict(body, model="%s-%s-%s" % (d.format, place, body["model"]))
        return wire.call(self.port, d.path, json.dumps(body).encode(), token=self.KEY, timeout=timeout)


def available():
    found = [WeirGateway, Nginx, Haproxy]
    if Portkey.EXE.exists():
        found.append(Portkey)
    if (Litellm.BIN / "litellm").exists():
        found.append(Litellm)
    return {g.name: g for g in found}
