"""GET /metrics, read by the official client's parser, and the Grafana dashboard that is made for it."""
import json
import re

import pytest

import dialects
import fake
import wire
from weir import ADMIN_KEY, ROOT, TOKEN, Weir, config, provider

parser = pytest.importorskip("prometheus_client.parser")

SAY = [{"role": "user", "content": "hi"}]
COST = (dialects.USAGE[0] * 100 + dialects.USAGE[1] * 1000) / 1e6


@pytest.fixture(scope="module")
def bench():
    def play(request):
        if "canary-bad" in request.get("authorization", ""):
            return fake.answer(401, {"error": {"message": "canary-bad is no key", "type": "authentication_error"}})
        return dialects.behave(request)
    with fake.Upstream(play) as up:
        priced = provider("up", up.base + "/v1")
        priced["models"] = [{"modelId": "text", "usdPerMillionTokens": {"input": 100, "output": 1000}}]
        c = config(providers=[priced], admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, gateway={"cooldown": True},
                   accessKeys=[{"id": "aigk_canary", "name": "canary", "token": TOKEN}],
                   providerKeys=[{"id": "aigpk_bad", "providerId": "up", "name": "bad \"one\"", "value": "canary-bad-0123456789"},
                                 {"id": "aigpk_good", "providerId": "up", "name": "good", "value": "canary-good-0123456789"}])
        with Weir(c) as w:
            for model, stream, want in (("up:text", False, 200), ("up:text", True, 200), ("up:tool", False, 200), ("made-up-by-a-client", False, 422)):
                assert w.call("/v1/chat/completions", {"model": model, "messages": SAY, "stream": stream}).status == want
            assert w.call("/v1/models", token="nobody").status == 401
            yield w


def scrape(w):
    r = w.admin("/metrics")
    assert r.status == 200 and r.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    text = r.body.decode()
    families = {f.name: f for f in parser.text_string_to_metric_families(text)}
    value = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples}
    return text, families, lambda name, **labels: value[(name, tuple(sorted(labels.items())))]


def test_the_official_parser_reads_it(bench):
    text, families, value = scrape(bench)
    assert all(f.documentation and f.type in ("counter", "gauge", "histogram") and f.name.startswith("weir_") for f in families.values())
    assert "canary" not in text and "made-up" not in text
    text_model = {"provider": "up", "model": "text"}
    assert value("weir_requests_total", **text_model, **{"class": "ok"}) == 2
    assert value("weir_requests_total", provider="up", model="tool", **{"class": "ok"}) == 1
    assert value("weir_requests_total", provider="", model="", **{"class": "client_error"}) == 1
    assert value("weir_attempts_total", **text_model, outcome="auth") == 1  # then it rests
    assert value("weir_attempts_total", **text_model, outcome="ok") == 2
    assert value("weir_failovers_total", **text_model) == 1
    assert value("weir_tokens_total", **text_model, kind="output") == 2 * dialects.USAGE[1]
    assert value("weir_cost_dollars_total", **text_model) == pytest.approx(2 * COST)
    assert value("weir_unpriced_total", provider="up", model="tool") == 1
    assert value("weir_unbilled_requests_total", **{"class": "4xx"}) == 1
    assert (value("weir_refusals_total", code="invalid_access_key"), value("weir_refusals_total", code="no_matching_model"), value("weir_refusals_total", code="overloaded")) == (1, 1, 0)
    assert 200 < value("weir_provider_key_cooling_seconds", provider="up", id="aigpk_bad", key='bad "one"') <= 300
    assert value("weir_provider_key_cooling_seconds", provider="up", id="aigpk_good", key="good") == 0
    for name in ("time_to_first_token", "request_duration"):
        buckets = [s for s in families["weir_%s_seconds" % name].samples if s.name.endswith("_bucket")]
        assert [b.value for b in buckets] == sorted(b.value for b in buckets) and buckets[-1].labels["le"] == "+Inf"
        assert buckets[-1].value == value("weir_%s_seconds_count" % name) == 4
    assert value("weir_memory_bytes", state="limit") == 256 << 20
    assert value("weir_connections_max") == 4096


def test_running_ones_are_gauges(bench):
    with wire.Wire(bench.port) as c:
        body = json.dumps({"model": "up:text", "messages": SAY}).encode()
        c.send(wire.head_of("POST", "/v1/chat/completions", [], body, TOKEN) + body[:10])
        for _ in range(100):
            _, _, value = scrape(bench)
            if value("weir_requests_running") == 1:
                break
        assert value("weir_requests_running") == 1 and value("weir_connections") >= 1
        c.send(body[10:])
        assert c.reply().status == 200


def test_the_dashboard_asks_for_what_there_is(bench):
    _, families, _ = scrape(bench)
    board = json.loads((ROOT / "src/admin/grafana.json").read_text())
    asked = [t["expr"] for p in board["panels"] for t in p["targets"]]
    there = set(families) | {f + s for f in families for s in ("_total", "_bucket", "_count", "_sum")}
    assert len(asked) > 12
    for expr in asked:
        names = re.findall(r"weir_[a-z_]+", expr)
        assert names and set(names) <= there, expr
