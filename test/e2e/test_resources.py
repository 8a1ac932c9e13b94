"""Resources of the admin API: every answer against the contract, writers at the same time, many access keys, secrets over many changes."""
import json
import pathlib
import threading

import contract
import pytest

import wire
from test_admin import ADMIN_KEY, LISTS, Plane, plane_config, request, rule

SCHEMA = {"/providers": "AIGatewayProvider", "/provider-keys": "AIGatewayProviderAPIKeyDetail", "/access-keys": "AIGatewayAccessKey",
          "/access-key-configurations": "AIGatewayAccessKeyConfiguration", "/api-keys": "AIGatewayAPIKey", "/gateway-config": "AIGatewayConfig"}
LIST_SCHEMA = {"/providers": "AIGatewayProviderList", "/provider-keys": "AIGatewayProviderAPIKeyList", "/access-keys": "AIGatewayAccessKeyList",
               "/access-key-configurations": "AIGatewayAccessKeyConfigurationList", "/api-keys": "AIGatewayAPIKeyList"}


def schema_of(method, path):
    kind = next(k for k in SCHEMA if path == k or path.startswith((k + "/", k + "?")))
    return LIST_SCHEMA[kind] if method == "GET" and kind in LIST_SCHEMA and path.partition("?")[0] == kind else SCHEMA[kind]


# What weir's own OpenAPI file (GET /openapi.json) adds to the contract's answers.
OURS = {"readOnly", "source", "limits", "expiresAt"}
OURS_OF = {"/providers": {"description"}, "/gateway-config": {"readOnlyFields", "connectTimeout", "streamIdleTimeout", "firstTokenTimeout", "streamHeartbeat", "cooldown"}}


def plain(path, body):
    """The answer without our additions."""
    drop = OURS | next((names for kind, names in OURS_OF.items() if path.startswith(kind)), set())
    if isinstance(body, list):
        return [plain(path, b) for b in body]
    if not isinstance(body, dict):
        return body
    return {k: plain(path, v) if isinstance(v, list) else v for k, v in body.items() if k not in drop}


class Checked(Plane):
    """Each answer is held against the contract."""
    checked = 0

    def api(self, method, path, *a, **kw):
        r = super().api(method, path, *a, **kw)
        if r.status == 204:
            assert r.body == b""
        elif method != "HEAD":
            body = json.loads(r.body)
            contract.check(body if r.status >= 400 else plain(path, body), "Error" if r.status >= 400 else schema_of(method, path))
            self.checked += 1
        return r


def test_every_answer_is_the_contracts():
    conf = plane_config(providers=[{"providerId": "of-the-file", "name": "F", "baseUrl": "https://f.example.com/v1", "models": [{"modelId": "m"}]}],
                        providerKeys=[{"id": "aigpk_file", "providerId": "sim", "name": "f", "value": "sim-ok"}],
                        accessKeyConfigurations=[{"id": "aigac_file", "name": "f", "router": rule("aigpk_file")}])
    contract.document()
    with Checked(conf) as weir:
        provider = weir.make("/providers", providerId="mine", name="M", description="d", metadata="m", baseUrl="https://m.example.com/v1",
                             supportedApiSurfaces=[{"format": "openai", "surface": "chat-completions"}, {"format": "anthropic", "surface": "messages"}],
                             models=[{"modelId": "a"}, {"modelId": "b"}])
        one = weir.make("/provider-keys", providerId="sim", name="one", description="d", metadata="m", value="sim-ok")
        two = weir.make("/provider-keys", providerId="mine", name="two", value="v-0123456789-0123456789-0123456789")
        both = weir.make("/access-key-configurations", name="both", description="d", metadata="m",
                         access={"providers": {"allow": ["sim", "mine"]}, "models": {"allow": ["sim/echo", "mine:a"]}},
                         router={"rules": [{"provider": "sim", "steps": [{"type": "user", "keySelectionStrategy": "ordered", "keys": [{"id": one["id"]}]},
                                                                         {"type": "ngrok"}]},
                                           {"model": "mine:a", "steps": [{"type": "user", "keys": [{"name": "in", "value": "v-inline-0123456789"}]}]}]})
        app = weir.make("/access-keys", name="app", description="d", metadata="m", accessKeyConfigurationId=both["id"])
        bare = weir.make("/access-keys", name="bare")
        opener = weir.make("/api-keys", name="o", description="d", metadata="m")
        empty = weir.make("/api-keys")
        weir.chat(app["token"])
        for made in (provider, one, two, both, app, bare, opener, empty):
            got = weir.get(made["uri"])
            assert "token" not in got and "value" not in got
            r = weir.api("PATCH", made["uri"], {"description": "changed"})
            assert r.status == 200 and json.loads(r.body)["description"] == "changed"
            r = weir.api("PATCH", made["uri"], {"description": None, "metadata": None})
            assert r.status == 200
            assert weir.api("PATCH", made["uri"], {}).status == 200
            weir.refused(422, "PATCH", made["uri"], {"color": "red"}, "color")
            weir.refused(404, "GET", made["uri"] + "x")
        assert weir.api("POST", one["uri"] + "/rotate", {"name": "one", "value": "sim-429"}).status == 200
        for path in LISTS:
            weir.get(path)
            page = weir.get(path + "?limit=1")
            if page["nextPageUri"]:
                weir.get(page["nextPageUri"])
        weir.get("/provider-keys?provider=sim")
        weir.get("/gateway-config")
        for body in ({"totalTimeout": "90s"}, {"perRequestTimeout": "1m30s", "metadata": "m"}, {"metadata": None, "maxOutputTokens": 5}, {"maxOutputTokens": None}):
            assert weir.api("PATCH", "/gateway-config", body).status == 200
        weir.refused(409, "DELETE", both["uri"])
        for made in (app, bare, both, two, one, opener, empty):
            assert weir.api("DELETE", made["uri"]).status == 204
            weir.refused(404, "DELETE", made["uri"])
        for key in weir.get("/provider-keys?provider=mine")["aiGatewayProviderKeys"]:
            assert weir.api("DELETE", key["uri"]).status == 204
        assert weir.api("DELETE", provider["uri"]).status == 204
        assert weir.checked > 80


# ---- At the same time ------------------------------------------------------------------------------------------------------
def together(weir, calls):
    """All calls are under way before the first is answered; their answers."""
    wires = [wire.Wire(weir.admin_port) for _ in calls]
    try:
        for w, (method, path, body, headers) in zip(wires, calls):
            data = None if body is None else json.dumps(body).encode()
            w.send(request(method, path, list(headers) + ([("content-type", "application/json")] if data else []), data, ADMIN_KEY))
        return [w.reply(20) for w in wires]
    finally:
        for w in wires:
            w.close()


def statuses(replies):
    return sorted(r.status for r in replies)


@pytest.mark.parametrize("durable", [False, True])
def test_writers_at_the_same_time(durable, tmp_path):
    conf = plane_config(**({"stateDir": str(tmp_path / "state")} if durable else {}))
    with Plane(conf) as weir:
        key = weir.make("/provider-keys", providerId="sim", name="k", value="sim-ok")
        etag = weir.api("GET", key["uri"]).get("etag")
        got = together(weir, [("PATCH", key["uri"], {"description": "by %d" % i}, [("If-Match", etag)]) for i in range(12)])
        assert statuses(got) == [200] + [412] * 11
        assert weir.get(key["uri"])["description"] == next(json.loads(r.body)["description"] for r in got if r.status == 200)
        got = together(weir, [("POST", "/provider-keys", {"providerId": "sim", "name": "same", "value": "v-%d-0123456789" % i}, ()) for i in range(12)])
        assert statuses(got) == [201] + [409] * 11
        got = together(weir, [("POST", "/access-keys", {"name": "a%d" % i}, ()) for i in range(12)])
        assert statuses(got) == [201] * 12
        tokens = [json.loads(r.body)["token"] for r in got]
        assert len(set(tokens)) == 12 and all(weir.chat(t)[0] == 200 for t in tokens)
        # A configuration goes while keys come that refer to it: whoever was first is obeyed, and no key is left that refers to nothing.
        for i in range(6):
            goes = weir.make("/access-key-configurations", name="goes")
            calls = [("POST", "/access-keys", {"name": "b", "accessKeyConfigurationId": goes["id"]}, ()) for _ in range(3)]
            calls.insert(i % 4, ("DELETE", goes["uri"], None, ()))
            got = together(weir, calls)
            deleted, made = got.pop(i % 4), [json.loads(r.body) for r in got if r.status == 201]
            assert (deleted.status, statuses(got)) in ((204, [422] * 3), (409, [201] * 3), (409, [201, 201, 422]), (409, [201, 422, 422])), \
                (deleted.status, statuses(got))
            for app in made:
                assert weir.get(app["uri"])["accessKeyConfiguration"]["name"] == "goes" and weir.chat(app["token"])[0] == 200
                assert weir.api("DELETE", app["uri"]).status == 204
            assert weir.api("DELETE", goes["uri"]).status == (204 if made else 404)
        # A client that asks and goes does not stop the others behind it.
        for i in range(5):
            with wire.Wire(weir.admin_port) as w:
                w.send(request("PATCH", key["uri"], [("content-type", "application/json")], b'{"description":"gone"}', ADMIN_KEY))
        r = weir.api("PATCH", key["uri"], {"description": "last"})  # one of those who went may still come behind it
        assert r.status == 200 and json.loads(r.body)["description"] == "last"


def test_many_access_keys(tmp_path):
    """Four thousand over one connection, then all of them over a restart; what each takes in memory is what the README says."""
    many, conf = 4000, plane_config(stateDir=str(tmp_path / "state"), log={"requests": False})

    def resident(weir):
        return int(pathlib.Path("/proc/%d/statm" % weir.proc.pid).read_text().split()[1]) * 4096
    with Plane(conf) as weir:
        config_id = weir.make("/access-key-configurations", name="c")["id"]
        before, tokens = resident(weir), {}
        bodies = [json.dumps({"name": "customer %d" % i, "accessKeyConfigurationId": config_id}).encode() for i in range(many)]

        def writer(part):
            with wire.Wire(weir.admin_port) as w:
                for body in part:
                    w.send(request("POST", "/access-keys", [("content-type", "application/json")], body, ADMIN_KEY))
                    made = json.loads(w.reply(20).body)
                    tokens[made["id"]] = made["token"]
        threads = [threading.Thread(target=writer, args=(bodies[i::16],)) for i in range(16)]  # side by side: many become durable together
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(tokens) == many == len(set(tokens.values()))
        assert resident(weir) - before < many * 250 + (6 << 20)  # a page each would be 16 MB
    with Plane(conf) as weir:
        seen, page = [], "/access-keys?limit=100"
        while page:
            got = weir.get(page)
            seen += [k["id"] for k in got["aiGatewayAccessKeys"]]
            page = got["nextPageUri"]
        assert set(seen) == set(tokens) | {"aigk_test"} and len(seen) == many + 1
        for key_id in seen[:-1:400]:
            assert weir.chat(tokens[key_id])[0] == 200
            assert weir.api("DELETE", "/access-keys/" + key_id).status == 204
            assert weir.chat(tokens[key_id])[0] == 401


def test_a_secret_survives_changes_beside_it(tmp_path):
    """S-08: a hundred changes of other fields, a restart, and the provider still gets the same bytes; what is stored differs each time."""
    conf = plane_config(stateDir=str(tmp_path / "state"))
    with Plane(conf) as weir:
        key = weir.make("/provider-keys", providerId="sim", name="k", value="sim-429")
        other = weir.make("/provider-keys", providerId="sim", name="o", value="sim-429")
        app = weir.make("/access-keys", accessKeyConfigurationId=weir.make("/access-key-configurations", name="c", router=rule(key["id"], other["id"]))["id"])
        for i in range(100):
            assert weir.api("PATCH", key["uri"], {"description": "d%d" % i}).status == 200
        assert weir.chat(app["token"])[1] == "sim/k=429, sim/o=429"
    with Plane(conf) as weir:
        assert weir.chat(app["token"])[1] == "sim/k=429, sim/o=429"
        assert weir.get(key["uri"])["description"] == "d99"


def test_deep_and_odd_bodies():
    """What nests as deeply as a body may, and texts full of JSON's own signs, are judged as any other."""
    with Plane() as weir:
        for levels in (10, 60, 61, 62):
            weir.refused(422, "POST", "/access-key-configurations", raw=b'{"name":"n","router":' + b'{"rules":' + b"[" * levels + b"]" * levels + b"}}",
                         field=json.loads(weir.api("POST", "/access-key-configurations", raw=b'{"name":"n","router":' + b'{"rules":' + b"[" * levels + b"]" * levels +
                                                   b"}}").body)["details"].get("field"))
        odd = 'a]}",\\ \u00e9\u2028<b>{["'
        made = weir.make("/access-key-configurations", name=odd, description=odd, metadata=odd)
        assert made["name"] == made["description"] == made["metadata"] == odd
        key = weir.make("/provider-keys", providerId="sim", name=odd, value="sim-ok")
        weir.make("/access-key-configurations", name="after it", router=rule(key["id"]))
        weir.refused(422, "POST", "/access-key-configurations", {"name": "wrong", "router": rule("nope")}, "router.rules[0].steps[0].keys[0].id")
        weir.refused(409, "POST", "/access-key-configurations", {"name": odd}, "name")
        assert weir.chat(weir.make("/access-keys", name=odd, accessKeyConfigurationId=made["id"])["token"])[0] == 200
