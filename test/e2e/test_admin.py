"""The admin API on the real binary: what it takes, what it refuses and with which words, what it never shows, and what lasts."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import time

import pytest

import wire
from weir import ADMIN_KEY, ROOT, TOKEN, Weir, config

SHARED = pathlib.Path(os.environ.get("WEIR_SHARED", str(ROOT.parent / "shared")))
LISTS = {"/providers": "aiGatewayProviders", "/provider-keys": "aiGatewayProviderKeys", "/access-keys": "aiGatewayAccessKeys",
         "/access-key-configurations": "aiGatewayAccessKeyConfigurations", "/api-keys": "aiGatewayApiKeys"}
CHAT = {"model": "sim:echo", "messages": [{"role": "user", "content": "hello"}]}


class Plane(Weir):
    """A gateway with sim, and calls of its admin API."""

    def __init__(self, conf=None, **kw):
        super().__init__(conf if conf is not None else plane_config(), **kw)

    def api(self, method, path, body=None, key=ADMIN_KEY, headers=(), raw=None):
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        head = list(headers)
        if data is not None and not any(n.lower() == "content-type" for n, _ in head):
            head.append(("content-type", "application/json"))
        with wire.Wire(self.admin_port) as w:
            w.send(request(method, path, head, data, key))
            return w.reply(10, head_request=method == "HEAD")

    def make(self, path, **body):
        r = self.api("POST", path, body)
        assert r.status == 201, r.body
        made = json.loads(r.body)
        assert r.get("location") == made["uri"] and r.get("etag")
        return made

    def get(self, path):
        r = self.api("GET", path)
        assert r.status == 200, (path, r.body)
        return json.loads(r.body)

    def refused(self, status, method, path, body=None, field=None, **kw):
        r = self.api(method, path, body, **kw)
        assert r.status == status, (r.status, r.body)
        error = json.loads(r.body)
        assert error["statusCode"] == status and error["msg"] and error["errorCode"] and set(error) == {"errorCode", "statusCode", "msg", "details"}
        assert error["details"].get("field") == field, error
        return error

    def chat(self, token=TOKEN, model="sim:echo"):
        r = self.call("/v1/chat/completions", {**CHAT, "model": model}, token=token)
        return r.status, r.get("x-weir-attempts")


def request(method, path, headers, body, key):
    lines = ["%s %s HTTP/1.1" % (method, path)]
    if not any(n.lower() == "host" for n, _ in headers):
        lines.append("Host: 127.0.0.1")
    if key:
        lines.append("Authorization: Bearer " + key)
    lines += ["%s: %s" % h for h in headers]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


def plane_config(**more):
    base = {"admin": {"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, "sim": True}
    base.update(more)
    return config(**base)


def rule(*ids, provider="sim"):
    return {"rules": [{"provider": provider, "steps": [{"type": "user", "keys": [{"id": i} for i in ids]}]}]}


# ---- What it is for ---------------------------------------------------------------------------------------------------
def test_from_nothing_to_a_failover_and_over_a_restart(tmp_path):
    conf = plane_config(stateDir=str(tmp_path / "state"))
    with Plane(conf) as weir:
        one = weir.make("/provider-keys", providerId="sim", name="one", value="sim-429")
        two = weir.make("/provider-keys", providerId="sim", name="two", value="sim-ok")
        both = weir.make("/access-key-configurations", name="both", router={**rule(one["id"], two["id"]), "aliases": {"fast": ["sim:echo"]}})
        assert both["router"]["rules"][0]["steps"][0]["keys"] == [{"id": k["id"], "name": k["name"], "keyRedacted": "***"} for k in (one, two)]
        app = weir.make("/access-keys", name="app", accessKeyConfigurationId=both["id"], expiresAt="2090-01-01T00:00:00Z",
                        limits={"requestsPerMinute": 50, "usdPerDay": 0.25, "usdTotal": 12})
        assert app["accessKeyConfiguration"] == {"id": both["id"], "uri": both["uri"], "name": "both"}
        assert app["limits"] == {"requestsPerMinute": 50, "usdPerDay": 0.25, "usdTotal": 12}
        assert weir.chat(app["token"], "fast") == (200, "sim/one=429, sim/two=200")
        rotated = weir.api("POST", "/provider-keys/%s/rotate" % one["id"], {"name": "one", "value": "sim-ok"})
        assert rotated.status == 200 and json.loads(rotated.body)["id"] == one["id"] and rotated.get("etag")
        assert weir.chat(app["token"]) == (200, "sim/one=200")
        assert "lastUsed" in weir.get("/access-keys/" + app["id"])
        assert weir.chat(app["token"] + "x")[0] == 401
    with Plane(conf) as weir:
        assert weir.chat(app["token"], "fast") == (200, "sim/one=200")
        kept = weir.get("/access-keys/" + app["id"])
        assert {k: v for k, v in app.items() if k != "token"} == {k: v for k, v in kept.items() if k != "lastUsed"}
        assert weir.api("DELETE", "/access-keys/" + app["id"]).status == 204
        assert weir.chat(app["token"])[0] == 401
        assert weir.api("DELETE", both["uri"]).status == 204
        assert weir.api("DELETE", one["uri"]).status == 204
    with Plane(conf) as weir:
        assert weir.chat(app["token"])[0] == 401
        assert [k["name"] for k in weir.get("/provider-keys")["aiGatewayProviderKeys"]] == ["two"]
        weir.refused(404, "GET", one["uri"])


EXAMPLES = {
    "configuration-two-keys.json": {"name": "OpenAI with failover", "router": {"rules": [{"provider": "openai", "steps": [
        {"type": "user", "keySelectionStrategy": "ordered", "keys": [{"id": "aigpk_primary"}, {"id": "aigpk_backup"}]}]}]}},
    "configuration-two-providers.json": {"name": "Multi", "access": {"providers": {"allow": ["openai", "anthropic"]}}, "router": {"rules": [
        {"provider": "openai", "steps": [{"type": "ngrok"}]}, {"provider": "anthropic", "steps": [{"type": "ngrok"}]}]}},
    "configuration-managed-then-own-key.json": {"name": "House", "access": {"models": {"allow": ["openai/gpt-4o", "anthropic/claude-sonnet-4-6"]}},
        "router": {"rules": [{"model": "openai:gpt-4o", "steps": [{"type": "managed"}, {"type": "user", "keys": [{"name": "backup", "value": "sk-example-not-a-real-key"}]}]}]}},
    "provider-local.json": {"providerId": "my-ollama", "name": "Local Ollama", "baseUrl": "http://127.0.0.1:11434/v1",
        "supportedApiSurfaces": [{"format": "openai", "surface": "chat-completions"}], "models": [{"modelId": "llama3.2"}]},
}


def example(name):
    path = SHARED / "reference" / "examples" / name
    return json.loads(path.read_text()) if path.exists() else EXAMPLES[name]


def test_the_examples_route_as_they_say():
    conf = plane_config(providerKeys=[{"id": "aigpk_primary", "providerId": "openai", "name": "primary", "value": "sk-1-0123456789abcdefghij"},
                                      {"id": "aigpk_backup", "providerId": "openai", "name": "backup", "value": "sk-2-0123456789abcdefghij"}],
                        managed={"openai": ["sk-managed-openai-0123456789"], "anthropic": ["sk-managed-anthropic-0123456789"]})
    with Plane(conf) as weir:
        def queue(config_id, model):
            got = json.loads(weir.api("POST", "/preview", {"model": model, "accessKeyConfigurationId": config_id}).body)
            return [(a["provider"], a["keyName"]) for a in got["queue"]], got.get("msg")
        two = weir.make("/access-key-configurations", **example("configuration-two-keys.json"))
        assert queue(two["id"], "openai:gpt-4o") == ([("openai", "primary"), ("openai", "backup")], None)
        several = weir.make("/access-key-configurations", **example("configuration-two-providers.json"))
        assert queue(several["id"], "openai:gpt-4o") == ([("openai", "managed")], None)
        assert queue(several["id"], "deepseek:deepseek-chat")[1] == "This configuration does not allow this model."
        house = weir.make("/access-key-configurations", **example("configuration-managed-then-own-key.json"))
        assert queue(house["id"], "openai:gpt-4o") == ([("openai", "managed"), ("openai", "backup")], None)
        made = house["router"]["rules"][0]["steps"][1]["keys"][0]
        assert made["keyRedacted"] == "sk-example***-key" and weir.get("/provider-keys/" + made["id"])["name"] == "backup"
        local = weir.make("/providers", **example("provider-local.json"))
        assert local["models"] == [{"id": "llama3.2", "modelId": "llama3.2"}]
        weir.make("/provider-keys", providerId="my-ollama", name="k", value="x-0123456789")
        weir.refused(409, "DELETE", local["uri"])


# ---- Fields ----------------------------------------------------------------------------------------------------------------
WRONG = [
    ("/providers", {"providerId": "p", "name": "P"}, "baseUrl"),
    ("/providers", {"providerId": "p", "name": "", "baseUrl": "https://example.com"}, "name"),
    ("/providers", {"providerId": "a:b", "name": "P", "baseUrl": "https://example.com"}, "providerId"),
    ("/providers", {"providerId": "p", "name": "P", "baseUrl": "ftp://example.com"}, "baseUrl"),
    ("/providers", {"providerId": "p", "name": "P", "baseUrl": "http://example.com/v1"}, "baseUrl"),
    ("/providers", {"providerId": "p", "name": "P", "baseUrl": "https://example.com", "models": {}}, "models"),
    ("/providers", {"providerId": "p", "name": "P", "baseUrl": "https://example.com", "models": [{"modelId": 1}]}, "models[0].modelId"),
    ("/providers", {"providerId": "p", "name": "P", "baseUrl": "https://example.com", "supportedApiSurfaces": [{"format": "x"}]},
     "supportedApiSurfaces[0]"),
    ("/provider-keys", {"providerId": "sim", "name": "k"}, "value"),
    ("/provider-keys", {"providerId": "sim", "name": "k", "value": "two words"}, "value"),
    ("/provider-keys", {"providerId": "sim", "name": "k", "value": None}, "value"),
    ("/provider-keys", {"providerId": "nobody", "name": "k", "value": "v-0123456789"}, "providerId"),
    ("/provider-keys", {"providerId": "sim", "name": "k" * 256, "value": "v-0123456789"}, "name"),
    ("/provider-keys", {"providerId": "sim", "name": 7, "value": "v-0123456789"}, "name"),
    ("/provider-keys", {"providerId": "sim", "name": "k", "value": "v-0123456789", "id": "mine"}, "id"),
    ("/access-key-configurations", {"description": "no name"}, "name"),
    ("/access-key-configurations", {"name": "n", "access": {"providers": {"allow": ["nobody"]}}}, "access.providers.allow[0]"),
    ("/access-key-configurations", {"name": "n", "access": {"models": {"deny": []}}}, "access.models.deny"),
    ("/access-key-configurations", {"name": "n", "router": rule("nope")}, "router.rules[0].steps[0].keys[0].id"),
    ("/access-key-configurations", {"name": "n", "router": {"rules": [{"provider": "sim", "steps": []}]}}, "router.rules[0].steps"),
    ("/access-key-configurations", {"name": "n", "router": {"rules": [{"provider": "sim", "steps": [{"type": "user"}]}]}}, "router.rules[0].steps[0]"),
    ("/access-key-configurations", {"name": "n", "router": {"rules": [{"provider": "sim", "steps": [{"type": "managed"}]}] * 2}}, "router.rules[1]"),
    ("/access-key-configurations", {"name": "n", "router": {"aliases": {"a": "b"}}}, "router.aliases.a"),
    ("/access-keys", {"name": "n", "accessKeyConfigurationId": "nope"}, "accessKeyConfigurationId"),
    ("/access-keys", {"name": "n", "limits": {"requestsPerMinute": -1}}, "limits"),
    ("/access-keys", {"name": "n", "expiresAt": "tomorrow"}, "expiresAt"),
    ("/access-keys", {"metadata": "m" * 4097}, "metadata"),
    ("/api-keys", {"name": ["n"]}, "name"),
    ("/api-keys", {"token": "mine"}, "token"),
]


def test_wrong_fields_are_named():
    with Plane() as weir:
        before = {p: weir.get(p) for p in LISTS}
        for path, body, field in WRONG:
            weir.refused(422, "POST", path, body, field)
        weir.refused(422, "POST", "/api-keys", raw=b'{"name":"a","name":"b"}', field="name")
        weir.refused(422, "POST", "/api-keys", raw=b"[]")
        weir.refused(400, "POST", "/api-keys", raw=b'{"name":"a"')
        weir.refused(400, "POST", "/api-keys", raw=b"\xff")
        weir.refused(413, "POST", "/api-keys", raw=b'{"name":"' + b"x" * (1 << 20) + b'"}')
        weir.refused(413, "POST", "/providers", {"providerId": "p", "name": "P", "baseUrl": "https://example.com", "models": [{"modelId": "m%d" % i} for i in range(3000)]})
        for path in ("env:HOME", "file:/etc/hostname"):  # texts, and nothing but texts
            made = weir.make("/provider-keys", providerId="sim", name=path, value=path)
            assert made["name"] == path
            assert weir.api("DELETE", made["uri"]).status == 204
        assert before == {p: weir.get(p) for p in LISTS}


def test_updates():
    with Plane() as weir:
        key = weir.make("/provider-keys", providerId="sim", name="k", description="d", metadata='{"a":1}', value="sim-ok")
        r = weir.api("PATCH", key["uri"], {"description": None})
        got = json.loads(r.body)
        assert r.status == 200 and "description" not in got and got["metadata"] == '{"a":1}' and got["name"] == "k"
        assert got["createdAt"] == key["createdAt"] and got["updatedAt"] >= key["updatedAt"]
        weir.refused(422, "PATCH", key["uri"], {"providerId": "openai"}, "providerId")
        weir.refused(422, "PATCH", key["uri"], {"value": "x"}, "value")
        weir.refused(409, "POST", "/provider-keys", {"providerId": "sim", "name": "k", "value": "other"}, "name")
        # A lost update is refused; whoever has read the newest may write.
        etag = weir.api("GET", key["uri"]).get("etag")
        assert weir.api("PATCH", key["uri"], {"name": "k2"}, headers=[("If-Match", etag)]).status == 200
        weir.refused(412, "PATCH", key["uri"], {"name": "k3"}, headers=[("If-Match", etag)])
        weir.refused(412, "DELETE", key["uri"], headers=[("If-Match", etag)])
        assert weir.api("PATCH", key["uri"], {"name": "k3"}, headers=[("If-Match", '"x", *')]).status == 200
        conf = weir.make("/access-key-configurations", name="c", router=rule(key["id"]))
        e = weir.refused(409, "DELETE", key["uri"])
        assert conf["id"] in e["msg"] and "router.rules[0]" in e["msg"]
        app = weir.make("/access-keys", name="a", accessKeyConfigurationId=conf["id"])
        weir.refused(409, "DELETE", conf["uri"])
        assert weir.api("PATCH", app["uri"], {"accessKeyConfigurationId": None}).status == 200
        assert "accessKeyConfiguration" not in weir.get(app["uri"])
        assert weir.api("DELETE", conf["uri"]).status == 204 and weir.api("DELETE", key["uri"]).status == 204
        weir.refused(409, "POST", "/providers", {"providerId": "openai", "name": "P", "baseUrl": "https://example.com"}, "providerId")
        weir.refused(409, "POST", "/providers", {"providerId": "sim", "name": "P", "baseUrl": "https://example.com"}, "providerId")


def test_gateway_config(tmp_path):
    conf = plane_config(stateDir=str(tmp_path / "state"), gateway={"cooldown": False, "perRequestTimeout": "45s"})
    with Plane(conf) as weir:
        g = weir.get("/gateway-config")
        assert g["totalTimeout"] == "2m" and g["perRequestTimeout"] == "45s" and sorted(g["readOnlyFields"]) == ["cooldown", "perRequestTimeout"]
        r = weir.api("PATCH", "/gateway-config", {"totalTimeout": "1m30s", "maxOutputTokens": 7, "metadata": "m"})
        got = json.loads(r.body)
        assert r.status == 200 and got["totalTimeout"] == "90s" and got["maxOutputTokens"] == 7 and got["metadata"] == "m"
        weir.refused(409, "PATCH", "/gateway-config", {"perRequestTimeout": "1s"}, "perRequestTimeout")
        weir.refused(422, "PATCH", "/gateway-config", {"totalTimeout": "soon"}, "totalTimeout")
        weir.refused(422, "PATCH", "/gateway-config", {"totalTimeout": None}, "totalTimeout")
        weir.refused(422, "PATCH", "/gateway-config", {"maxInputTokens": -1}, "maxInputTokens")
        assert json.loads(weir.api("PATCH", "/gateway-config", {"maxOutputTokens": None}).body)["maxOutputTokens"] is None
    with Plane(conf) as weir:
        assert weir.get("/gateway-config")["totalTimeout"] == "90s"


def test_pages():
    with Plane() as weir:
        made = [weir.make("/api-keys", name="n%d" % i)["id"] for i in range(5)][::-1]
        first = weir.get("/api-keys?limit=2")
        assert [k["id"] for k in first["aiGatewayApiKeys"]] == made[:2]
        second = weir.get(first["nextPageUri"])
        third = weir.get(second["nextPageUri"])
        assert [k["id"] for k in second["aiGatewayApiKeys"] + third["aiGatewayApiKeys"]] == made[2:] and third["nextPageUri"] is None
        access = [weir.make("/access-keys", name="n%d" % i)["id"] for i in range(3)][::-1]
        got = weir.get("/access-keys?limit=100")["aiGatewayAccessKeys"]
        assert [k["id"] for k in got] == access + ["aigk_test"] and got[-1]["readOnly"] is True and got[-1]["source"] == "config"
        page, seen = "/access-keys?limit=1", []
        while page:
            got = weir.get(page)
            seen += [k["id"] for k in got["aiGatewayAccessKeys"]]
            page = got["nextPageUri"]
        assert seen == access + ["aigk_test"]
        weir.make("/provider-keys", providerId="sim", name="s", value="v-0123456789")
        weir.make("/provider-keys", providerId="openai", name="o", value="v-0123456789")
        assert [k["name"] for k in weir.get("/provider-keys?provider=openai")["aiGatewayProviderKeys"]] == ["o"]
        for query, field in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("offset=1", None), ("limit=1&limit=1", "limit")):
            weir.refused(422, "GET", "/api-keys?" + query, field=field)
        weir.refused(404, "GET", "/api-keys?beforeId=nope")


# ---- Who may, and from where -------------------------------------------------------------------------------------------------
CALLS = [("GET", p) for p in list(LISTS) + ["/gateway-config", "/about", "/requests", "/requests/x", "/cooldowns"]] + \
        [(m, p + "/x") for p in LISTS for m in ("GET", "PATCH", "DELETE")] + [("POST", p) for p in LISTS] + \
        [("PATCH", "/gateway-config"), ("POST", "/provider-keys/x/rotate"), ("DELETE", "/cooldowns/x"), ("POST", "/config/validate"),
         ("POST", "/preview"), ("POST", "/try")]


def test_who_may():
    """Every call × no key, an access key, a wrong key, a revoked key; and the right one gets past the door."""
    with Plane() as weir:
        revoked = weir.make("/api-keys", name="r")
        assert weir.api("GET", "/about", key=revoked["token"]).status == 200
        assert weir.api("DELETE", revoked["uri"]).status == 204
        for method, path in CALLS:
            body = {} if method in ("POST", "PATCH") else None
            for key in (None, TOKEN, ADMIN_KEY + "x", revoked["token"]):
                r = weir.api(method, path, body, key=key)
                assert r.status == 401 and r.get("www-authenticate") == "Bearer", (method, path, key, r.status)
            assert weir.api(method, path, body).status != 401
        assert weir.api("GET", "/healthz", key=None).status == 200
        assert weir.chat(ADMIN_KEY)[0] == 401  # opens nothing on the other side
        kept = weir.make("/api-keys", name="k")
        assert weir.api("DELETE", kept["uri"], key=kept["token"]).status == 204  # the config still has one


def test_the_last_key_stays(tmp_path):
    conf = plane_config(stateDir=str(tmp_path / "state"))
    conf["admin"]["apiKeys"] = []
    with Plane(conf) as weir:
        path = tmp_path / "state" / "admin.key"
        key = path.read_text().strip()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and key not in weir.text()
        assert weir.api("GET", "/about", key=key).status == 200
        made = json.loads(weir.api("POST", "/api-keys", {"name": "mine"}, key=key).body)
    path.unlink()
    with Plane(conf) as weir:  # the one that was made is enough: no other is made
        assert not path.exists()
        weir.refused(409, "DELETE", made["uri"], key=made["token"])
        assert weir.api("GET", "/about", key=key).status == 401
    with Plane(conf, env={"WEIR_ADMIN_KEY": ADMIN_KEY}) as weir:
        assert weir.api("DELETE", made["uri"]).status == 204


def test_no_key_no_plane():
    conf = plane_config()
    conf["admin"]["apiKeys"] = []
    with Weir(conf) as weir:
        assert weir.wait_line(lambda l: l.get("msg", "").startswith("admin API: not served"))


def test_other_sites_and_names():
    with Plane(plane_config(admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY], "hosts": ["weir.internal"]})) as weir:
        def status(*headers, method="GET", path="/about", body=None):
            return weir.api(method, path, body, headers=headers).status
        for host in ("localhost", "localhost:8081", "127.0.0.1:1", "[::1]:8081", "weir.internal", "WEIR.internal:9"):
            assert status(("Host", host)) == 200, host
        for host in ("evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "127.0.0.1.nip.io", "weir.internal.evil.com"):
            assert status(("Host", host)) == 421, host
            assert status(("Host", host), path="/") == 421, host
        assert status(("Host", "localhost:8081"), ("Origin", "http://localhost:8081")) == 200
        for origin in ("http://evil.com", "null", "http://localhost:9", "http://localhost:8081.evil.com", "https://"):
            assert status(("Host", "localhost:8081"), ("Origin", origin)) == 403, origin
        for site, want in (("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)):
            assert status(("Sec-Fetch-Site", site)) == want
        assert status(("Sec-Fetch-Site", "cross-site"), path="/") == 200  # a link to the dashboard
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""):
            assert status(("Content-Type", kind), method="POST", path="/api-keys", body={}) == 415, kind
        assert status(("Content-Type", "application/json; charset=utf-8"), method="POST", path="/api-keys", body={}) == 201
        r = weir.api("OPTIONS", "/api-keys", headers=[("Origin", "http://evil.com")])
        assert r.status in (403, 405) and not [n for n, _ in r.headers if n.lower().startswith("access-control-")]
        r = weir.api("GET", "/about")
        assert r.get("cache-control") == "no-store" and r.get("x-content-type-options") == "nosniff"


def test_methods_and_paths():
    with Plane() as weir:
        for method, path, allow in (("PUT", "/api-keys", "GET, HEAD, POST"), ("POST", "/gateway-config", "GET, HEAD, PATCH"),
                                    ("DELETE", "/api-keys", "GET, HEAD, POST"), ("PUT", "/api-keys/x", "GET, HEAD, PATCH, DELETE"),
                                    ("GET", "/preview", "POST"), ("GET", "/provider-keys/x/rotate", "POST"), ("GET", "/cooldowns/x", "DELETE")):
            r = weir.api(method, path)
            assert r.status == 405 and r.get("allow") == allow, (method, path, r.status, r.get("allow"))
        for path in ("/nope", "/api-keys/", "/api-keys/a/b", "/api-keys//", "/../etc/passwd", "/%2e%2e/x", "/app.js/", "/style.css%00", "//", "/api-keys/%", "/api-keys/%00"):
            assert weir.api("GET", path).status in (400, 404), path
        for path in ("/api-keys", "/gateway-config", "/about", "/"):
            got, head = weir.api("GET", path), weir.api("HEAD", path)
            assert head.status == 200 and head.get("content-length") == got.get("content-length") and head.body == b""


def test_connections():
    """Pipelined, byte by byte, chunked, with 100-continue, half a request, and a client that leaves while its change is under way."""
    with Plane() as weir:
        get = request("GET", "/about", [], None, ADMIN_KEY)
        with wire.Wire(weir.admin_port) as w:
            w.send(get * 3)
            assert [w.reply(5).status for _ in range(3)] == [200] * 3
        with wire.Wire(weir.admin_port) as w:
            for b in request("POST", "/api-keys", [("content-type", "application/json")], b'{"name":"slow"}', ADMIN_KEY):
                w.send(bytes([b]))
            assert w.reply(5).status == 201
            head = request("POST", "/api-keys", [("content-type", "application/json"), ("transfer-encoding", "chunked")], None, ADMIN_KEY)
            w.send(head + b'5\r\n{"nam\r\n')
            time.sleep(0.02)
            w.send(b'b\r\ne":"chunks"\r\n1\r\n}\r\n0\r\n\r\n' + get)
            made = w.reply(5)
            assert made.status == 201 and json.loads(made.body)["name"] == "chunks" and w.reply(5).status == 200
        with wire.Wire(weir.admin_port) as w:
            w.send(get[:40])
        with wire.Wire(weir.admin_port) as w:
            w.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert w.reply(5).status == 400
        for i in range(20):
            with wire.Wire(weir.admin_port) as w:
                w.send(request("POST", "/provider-keys", [("content-type", "application/json")],
                               json.dumps({"providerId": "sim", "name": "gone%d" % i, "value": "v-0123456789"}).encode(), ADMIN_KEY))
        deadline = time.monotonic() + 5
        while len(weir.get("/provider-keys")["aiGatewayProviderKeys"]) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        held = [wire.Wire(weir.admin_port) for _ in range(100)]  # more than there are places: the longest idle ones make room
        assert weir.api("GET", "/about").status == 200
        for w in held:
            w.close()


# ---- Secrets, and what lasts ------------------------------------------------------------------------------------------------
def test_secrets_stay_inside(tmp_path):
    canary = {"value": "sk-canary-0123456789abcdef-value", "rotated": "sk-canary-0123456789abcdef-rotated", "inline": "sk-canary-0123456789abcdef-inline"}
    with Plane(plane_config(stateDir=str(tmp_path / "state"))) as weir:
        answers = []
        api, seen = weir.api, answers.append

        def call(*a, **kw):
            r = api(*a, **kw)
            seen(r.body)
            return r
        weir.api = call
        key = weir.make("/provider-keys", providerId="openai", name="k", value=canary["value"])
        assert key["keyRedacted"] == "sk-canary-***alue"
        weir.api("POST", key["uri"] + "/rotate", {"name": "k", "value": canary["rotated"]})
        conf = weir.make("/access-key-configurations", name="c", router={"rules": [{"provider": "openai", "steps": [
            {"type": "user", "keys": [{"name": "i", "value": canary["inline"]}]}]}]})
        weir.api("POST", "/provider-keys", {"providerId": "openai", "name": "k", "value": canary["value"]})           # 409
        weir.api("POST", "/provider-keys", {"providerId": "nobody", "name": "k", "value": canary["value"]})           # 422
        weir.api("POST", "/provider-keys", {"providerId": "openai", "name": "z", "value": canary["value"] + " \n x"})  # 422
        weir.api("POST", "/provider-keys", raw=b'{"value":"' + canary["value"].encode())                              # 400
        app, opener = weir.make("/access-keys", name="a", accessKeyConfigurationId=conf["id"]), weir.make("/api-keys", name="p")
        shown = len(answers)
        for path in list(LISTS) + ["/about", "/requests", "/cooldowns", "/gateway-config", key["uri"], conf["uri"], app["uri"], opener["uri"]]:
            weir.get(path)
        weir.chat(app["token"], "openai:gpt-4o")
        log = weir.text()
        stored = b"".join(f.read_bytes() for f in (tmp_path / "state").iterdir())
        for secret in canary.values():
            assert not any(secret.encode() in a for a in answers) and secret not in log and secret.encode() not in stored
        for token in (app["token"], opener["token"], ADMIN_KEY):
            assert not any(token.encode() in a for a in answers[shown:]) and token not in log and token.encode() not in stored


def test_without_a_directory_it_says_so():
    with Plane() as weir:
        assert weir.wait_line(lambda l: l.get("msg", "").startswith("no stateDir: what is made over the admin API"))
        assert weir.get("/about")["durable"] is False
        weir.make("/api-keys", name="n")


def may_mount():
    return subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="no file systems of one's own here (unshare -Urm)")
def test_read_only(tmp_path):
    folder = tmp_path / "state"
    conf = plane_config(stateDir=str(folder))
    with Plane(conf) as weir:
        app = weir.make("/access-keys", name="a")
    with Plane(conf, wrap=["unshare", "-Urm", "sh", "-ec",
               'mount --bind "%s" "%s"; mount -o remount,bind,ro "%s"; exec "$0" "$@"' % (folder, folder, folder)]) as weir:
        for method, path, body in (("POST", "/api-keys", {}), ("PATCH", app["uri"], {"name": "b"}), ("DELETE", app["uri"], None),
                                   ("POST", "/provider-keys", {"providerId": "sim", "name": "n", "value": "v-0123456789"}),
                                   ("PATCH", "/gateway-config", {"totalTimeout": "5s"})):
            assert weir.refused(503, method, path, body)["errorCode"] == "read_only"
        assert weir.get(app["uri"])["name"] == "a" and weir.get("/gateway-config")["totalTimeout"] == "2m"


def test_file_and_api_side_by_side(tmp_path):
    """A reload keeps what the API made, a change over the API what the file says; what the file drops and the API still needs stops the reload, not the start."""
    file_key = {"id": "aigpk_file", "providerId": "sim", "name": "file", "value": "sim-ok"}
    conf = plane_config(stateDir=str(tmp_path / "state"), providerKeys=[file_key],
                        accessKeyConfigurations=[{"id": "aigac_file", "name": "of the file", "router": rule("aigpk_file")}])
    with Plane(conf) as weir:
        written = json.loads(weir.config_path.read_text())
        for path in ("/provider-keys/aigpk_file", "/access-key-configurations/aigac_file", "/access-keys/aigk_test"):
            assert weir.get(path)["source"] == "config"
            weir.refused(409, "PATCH", path, {"name": "x"})
            weir.refused(409, "DELETE", path)
        mine = weir.make("/access-key-configurations", name="mine", router=rule("aigpk_file"))
        app = weir.make("/access-keys", name="a", accessKeyConfigurationId=mine["id"])
        assert weir.chat(app["token"]) == (200, "sim/file=200")

        def reload(word):
            n = sum(word in l.get("msg", "") for l in weir.lines)
            weir.proc.send_signal(signal.SIGHUP)
            assert weir.wait_line(lambda l: sum(word in m.get("msg", "") for m in weir.lines) > n), weir.text()
        written["providerKeys"][0]["name"] = "renamed"
        weir.write(written)
        reload("config reloaded")
        assert weir.chat(app["token"]) == (200, "sim/renamed=200")
        assert weir.get("/provider-keys/aigpk_file")["name"] == "renamed"
        written["providerKeys"], written["accessKeyConfigurations"] = [], []
        weir.write(written)
        reload("config not reloaded")
        assert any(mine["id"] in l.get("msg", "") and "aigpk_file" in l.get("msg", "") for l in weir.lines), weir.text()
        assert weir.chat(app["token"]) == (200, "sim/renamed=200")
    conf["providerKeys"], conf["accessKeyConfigurations"] = [], []
    with Plane(conf) as weir:
        assert weir.wait_line(lambda l: mine["id"] in l.get("msg", "") and "has no effect" in l["msg"] and l["level"] == "warn")
        assert weir.chat(app["token"])[0] == 401  # not: may use everything
        assert weir.chat()[0] == 200
        assert weir.get(mine["uri"])["name"] == "mine"
        assert weir.api("PATCH", app["uri"], {"accessKeyConfigurationId": None}).status == 200
        assert weir.chat(app["token"])[0] == 200


def test_looking():
    with Plane(plane_config(gateway={"cooldown": True}, providerKeys=[{"id": "aigpk_a", "providerId": "sim", "name": "a", "value": "sim-429"},
                                                                      {"id": "aigpk_b", "providerId": "sim", "name": "b", "value": "sim-ok"}])) as weir:
        assert weir.chat() == (200, "sim/a=429, sim/b=200")
        rests = weir.get("/cooldowns")["cooldowns"]
        assert [(c["id"], c["reason"], c["model"]) for c in rests] == [("pair:aigpk_a:echo", "rate_limit", "echo")]
        assert weir.api("DELETE", "/cooldowns/pair%3Aaigpk_a%3Aecho").status == 204
        assert weir.get("/cooldowns")["cooldowns"] == []
        weir.refused(404, "DELETE", "/cooldowns/pair%3Aaigpk_a%3Aecho")
        weir.chat(model="sim:400")
        got = weir.get("/requests?limit=10")
        assert [r["status"] for r in got["requests"]] == [400, 200] and got["seen"] == 2
        assert [r["status"] for r in weir.get("/requests?status=failover")["requests"]] == [200]
        assert [r["status"] for r in weir.get("/requests?status=4")["requests"]] == [400]
        assert weir.get("/requests?model=echo&provider=sim&accessKeyId=aigk_test")["matched"] == 1
        assert weir.get("/requests?after=%d" % got["next"])["requests"] == []
        one = got["requests"][0]
        assert weir.get("/requests/" + one["requestId"]) == one
        weir.refused(404, "GET", "/requests/nope")
        ok = weir.api("POST", "/config/validate", plane_config())
        assert json.loads(ok.body) == {"valid": True}
        bad = json.loads(weir.api("POST", "/config/validate", {"accessKeys": [{"id": "a", "token": "x"}, {"id": "a"}]}).body)
        assert bad["valid"] is False and bad["path"].startswith("accessKeys[") and bad["msg"]
        r = weir.api("POST", "/try", {"accessKey": TOKEN, "path": "/v1/chat/completions", "body": {**CHAT, "stream": True}})
        assert r.status == 200 and r.body.endswith(b"data: [DONE]\n\n") and r.get("x-request-id").startswith("req_")
        assert weir.api("POST", "/try", {"accessKey": "wrong", "path": "/v1/chat/completions", "body": CHAT}).status == 401
        weir.refused(422, "POST", "/try", {"accessKey": TOKEN, "path": "/etc/passwd", "body": {}}, "path")
        weir.refused(422, "POST", "/try", {"accessKey": "a\r\nb", "path": "/v1/messages", "body": {}}, "accessKey")


def test_an_admin_plane_in_use_drains():
    weir = Plane()
    with wire.Wire(weir.admin_port) as w:
        w.send(request("GET", "/about", [], None, ADMIN_KEY))
        assert w.reply(5).status == 200
        begin = time.monotonic()
        weir.stop()
        assert time.monotonic() - begin < 3
