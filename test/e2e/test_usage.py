"""What requests are booked as, and that it lasts: one usage event per attempt, over ends of every kind."""
import json
import random
import re
import signal
import threading
import time
import urllib.parse

import pytest

import contract
import dialects
import fake
import wire
from test_state import mounts, within
from weir import ADMIN_KEY, TOKEN, Weir, config, provider

CHAT = {"model": "sim:echo", "messages": [{"role": "user", "content": "hello"}]}


def conf(folder, **more):
    return config(sim=True, stateDir=str(folder), **more)


def events_at_start(w):
    line = w.wait_line(lambda l: l["msg"].startswith("state in "))
    return int(re.search(r"(\d+) usage events", line["msg"]).group(1))


def kill(w):
    w.proc.kill()
    w.proc.wait()
    w.reader.join(5)
    w.dir.cleanup()


@pytest.mark.parametrize("end", ["drain", "kill", "twice"])
def test_one_event_per_attempt_outlasts_the_process(tmp_path, end):
    state = tmp_path / "state"
    w = Weir(conf(state, limits={"drainTimeout": "1s"}))
    assert events_at_start(w) == 0
    assert w.call("/v1/chat/completions", CHAT).status == 200
    assert w.call("/v1/chat/completions", {**CHAT, "stream": True}).status == 200
    assert w.call("/v1/chat/completions", {**CHAT, "model": "sim:429", "models": ["sim:echo"]}).status == 200  # two attempts
    assert w.call("/v1/chat/completions", {**CHAT, "model": "nobody-has-it"}).status == 422
    assert w.call("/v1/chat/completions", b"not JSON").status == 400
    assert w.call("/v1/chat/completions", CHAT, token="unknown").status == 401  # nobody's: no event
    assert w.call("/v1/models").status == 200  # nor this
    expected = 6
    hanging = wire.Wire(w.port)
    body = json.dumps({**CHAT, "model": "sim:hang"}).encode()
    hanging.send(wire.head_of("POST", "/v1/chat/completions", [], body, TOKEN) + body)
    time.sleep(0.6)
    if end == "kill":  # what ran is lost, what had ended more than a moment ago is not
        kill(w)
    elif end == "drain":  # cut by the deadline, which is an answer
        expected += 1
        w.stop()
    else:  # at once: it never got an answer, and is booked all the same
        expected += 1
        w.proc.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        w.stop()
        assert len(w.records("hang")) == 1
    hanging.close()
    for _ in range(2):
        with Weir(conf(state)) as w:
            assert events_at_start(w) == expected


# ---- the admin API ----------------------------------------------------------------------------------------------------
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
PRICE = (100, 1000)  # dollars per million tokens
COST = (dialects.USAGE[0] * PRICE[0] + dialects.USAGE[1] * PRICE[1]) / 1e6


def ask(w, path, status=200, **query):
    """One call of the admin API; parameters that are None are left out."""
    query = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None})
    r = w.admin(path + ("?" + query if query else ""))
    assert r.status == status, (path, query, r.status, r.body)
    return json.loads(r.body)


def listed(w, **query):
    return contract.check(ask(w, "/usage", **{"startTime": "2020-01-01T00:00:00Z", **query}), "AIGatewayUsageList")


def overview(w, **query):
    body = ask(w, "/usage/overview", **{"startTime": "2020-01-01T00:00:00Z", **query})
    if "tokens" not in query:
        contract.check(body, "AIGatewayUsageOverview")
    return body


@pytest.fixture(scope="module")
def bench():
    """Two clients, two providers; "up" has prices and two keys, the first of them bad."""
    def play(request):
        if "canary-bad" in request.get("authorization", "") + request.get("x-api-key", ""):
            return fake.answer(429, {"error": {"message": "slow down", "type": "rate_limit_error"}})
        return dialects.behave(request)
    with fake.Upstream(play) as up:
        priced = provider("up", up.base + "/v1")
        priced["name"] = "Up & \"running\""
        priced["models"] = [{"modelId": "text", "name": "Plain text", "usdPerMillionTokens": dict(zip(("input", "output"), PRICE))}]
        c = config(providers=[priced, provider("other", up.base + "/v1")], admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]},
                   providerKeys=[{"id": "aigpk_bad", "providerId": "up", "name": "first", "value": "canary-bad-0123456789"},
                                 {"id": "aigpk_good", "providerId": "up", "name": "second", "value": "canary-good-0123456789"}],
                   accessKeys=[{"id": "aigk_test", "name": "test", "token": TOKEN}, {"id": "aigk_two", "name": "two", "token": TOKEN + "2"}])
        with Weir(c) as w:
            ask_chat = lambda model, **more: w.call("/v1/chat/completions", {**CHAT, "model": model, **more.pop("body", {})}, **more)
            w.ids = [ask_chat("up:text").get("x-request-id"),
                     ask_chat("other:text", body={"stream": True}, token=TOKEN + "2").get("x-request-id"),
                     w.call("/v1/messages", {"model": "up:text", "max_tokens": 5, "messages": CHAT["messages"]}).get("x-request-id"),
                     ask_chat("nobody-has-it").get("x-request-id")]
            w.wait_line(lambda l: l.get("requestId") == w.ids[-1])
            yield w


def test_events_are_the_contracts(bench):
    got = listed(bench)["aiGatewayUsage"]
    assert [e["requestId"] for e in got] == bench.ids[::-1]  # newest first, one per request
    refused, claude, other, first = got
    assert all(e["isFinalAttempt"] and TIME.match(e["eventTime"]) for e in got)
    assert (first["provider"], first["providerDisplayName"], first["model"], first["modelDisplayName"]) == ("up", 'Up & "running"', "text", "Plain text")
    assert (first["attemptNumber"], first["statusCode"], first["isError"], first["keySource"]) == (2, 200, False, "user")
    assert (first["providerKeyId"], first["providerKeyDisplayName"], first["accessKeyId"]) == ("aigpk_good", "second", "aigk_test")
    assert (first["inputTokens"], first["outputTokens"], first["stopReason"], first["isStreaming"]) == (*dialects.USAGE, "stop", False)
    assert float(first["totalCost"]) == pytest.approx(COST, abs=1e-12)
    assert (claude["stopReason"], claude["inputTokens"]) == ("end_turn", dialects.USAGE[0])
    assert (other["accessKeyId"], other["isStreaming"], other["totalCost"], other["keySource"]) == ("aigk_two", True, "0", "none")
    assert "providerKeyId" not in other
    assert (refused["provider"], refused["statusCode"], refused["isError"], refused["stopReason"]) == ("", 422, True, "no_matching_model")
    every = listed(bench, includeRetries="true")["aiGatewayUsage"]
    assert len(every) == 6 and len({e["id"] for e in every}) == 6
    retry = [e for e in every if not e["isFinalAttempt"]]
    assert [(e["statusCode"], e["isError"], e["providerKeyId"], e["attemptNumber"], e["totalCost"]) for e in retry] == [(429, True, "aigpk_bad", 1, "0")] * 2


def test_pages_and_filters(bench):
    whole = [e["id"] for e in listed(bench, includeRetries="true")["aiGatewayUsage"]]
    for limit in (1, 2, 4, 5):
        page, got = listed(bench, includeRetries="true", limit=limit), []
        while True:
            got += [e["id"] for e in page["aiGatewayUsage"]]
            assert len(page["aiGatewayUsage"]) <= limit
            if not page["nextPageUri"]:
                break
            page = contract.check(ask(bench, page["nextPageUri"]), "AIGatewayUsageList")
        assert got == whole, limit
    assert listed(bench, limit=6)["nextPageUri"] is None
    assert [e["requestId"] for e in listed(bench, accessKeyId="aigk_two")["aiGatewayUsage"]] == [bench.ids[1]]
    assert listed(bench, accessKeyId="aigk_nobody")["aiGatewayUsage"] == []
    when = {e["requestId"]: e["eventTime"] for e in listed(bench)["aiGatewayUsage"]}
    assert [e["requestId"] for e in listed(bench, startTime=when[bench.ids[3]])["aiGatewayUsage"]][-1] in bench.ids
    assert listed(bench, endTime=when[bench.ids[0]])["aiGatewayUsage"] == []  # the end is not in it
    assert listed(bench, startTime="2100-01-01T00:00:00+01:00")["aiGatewayUsage"] == []


def test_overview(bench):
    body = overview(bench)
    assert sorted((b["groupKey"], b["requests"], b["errors"]) for b in body["buckets"]) == [("", 1, 1), ("other", 1, 0), ("up", 2, 0)]
    assert all(b["bucketStart"].endswith("T00:00:00.000Z") for b in body["buckets"])
    assert float(body["totals"]["cost"]) == pytest.approx(2 * COST, abs=1e-12)
    assert (body["totals"]["requests"], body["totals"]["errors"]) == (4, 1)
    assert sum(float(b["cost"]) for b in body["buckets"]) == pytest.approx(float(body["totals"]["cost"]))
    body = overview(bench, groupBy="accessKey")
    assert sorted((b["groupKey"], b["requests"]) for b in body["buckets"]) == [("aigk_test", 3), ("aigk_two", 1)]
    body = overview(bench, groupBy="model", tokens="true")
    assert sorted((b["groupKey"], b["requests"], b["inputTokens"], b["outputTokens"]) for b in body["buckets"]) == [
        ("", 1, 0, 0), ("other:text", 1, *dialects.USAGE), ("up:text", 2, *(2 * n for n in dialects.USAGE))]
    assert body["totals"]["inputTokens"] == 3 * dialects.USAGE[0]
    assert overview(bench, startTime="2100-01-01T00:00:00Z") ["buckets"] == []
    now = time.gmtime()
    assert overview(bench, startTime=time.strftime("%Y-%m-%dT23:59:59Z", now))["totals"]["requests"] == 4  # the day it falls in is whole


@pytest.mark.parametrize("path", ["/usage", "/usage/overview"])
@pytest.mark.parametrize("query,field", [
    ({}, "startTime"), ({"startTime": "yesterday"}, "startTime"), ({"startTime": "2026-01-01"}, "startTime"),
    ({"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}, "endTime"), ({"startTime": "2026-01-01T00:00:00Z", "endTime": ""}, "endTime"),
    ({"startTime": "2026-01-01T00:00:00Z", "groupBy": "moon"}, "groupBy"), ({"startTime": "2026-01-01T00:00:00Z", "includeRetries": "yes"}, "includeRetries"),
    ({"startTime": "2026-01-01T00:00:00Z", "limit": "0"}, "limit"), ({"startTime": "2026-01-01T00:00:00Z", "limit": "101"}, "limit"),
    ({"startTime": "2026-01-01T00:00:00Z", "cursor": "-1"}, "cursor"), ({"startTime": "2026-01-01T00:00:00Z", "nonsense": "1"}, None)])
def test_bad_queries(bench, path, query, field):
    body = contract.check(ask(bench, path, 422, **query), "Error")
    if path == "/usage" and field != "groupBy" or path != "/usage" and field in ("startTime", "endTime", "groupBy"):
        assert body["details"].get("field") == field and (field or "nonsense") in body["msg"], body


# ---- kills and full disks ------------------------------------------------------------------------------------------------
def every_event(w):
    page, got = listed(w, includeRetries="true"), []
    while True:
        got += page["aiGatewayUsage"]
        if not page["nextPageUri"]:
            return got
        page = ask(w, page["nextPageUri"])


def test_killed_under_load(tmp_path):
    """Four lives of one directory, each killed while requests run: whatever ended more than a moment before is there, once, and the sums are
    those of the events."""
    def play(request):
        return dialects.behave(request)
    with fake.Upstream(play) as up:
        priced = provider("up", up.base + "/v1")
        priced["models"] = [{"modelId": "text", "usdPerMillionTokens": dict(zip(("input", "output"), PRICE))}]
        c = config(providers=[priced], admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, stateDir=str(tmp_path / "state"))
        chance, answered = random.Random(), {}

        def load(w, stop):
            body = json.dumps({**CHAT, "model": "up:text"}).encode()
            try:
                with wire.Wire(w.port) as conn:
                    while not stop.is_set():
                        conn.send(wire.head_of("POST", "/v1/chat/completions", [], body, TOKEN) + body)
                        r = conn.reply()
                        if r.status == 200:
                            answered[r.get("x-request-id")] = time.monotonic()
            except OSError:
                pass

        for life in range(5):
            w = Weir(c)
            events = every_event(w)
            if life:
                finals = {e["requestId"] for e in events}
                assert len(events) == len(finals)
                missing = [i for i, when in answered.items() if when < killed - 0.6 and i not in finals]
                assert not missing, (len(missing), len(answered))
                body = overview(w)
                assert body["totals"]["requests"] == len(finals)
                assert float(body["totals"]["cost"]) == pytest.approx(sum(float(e["totalCost"]) for e in events), abs=1e-9)
                for i in set(answered) - finals:  # lost with the last quarter of a second, and so for ever
                    del answered[i]
            if life == 4:
                w.stop()
                break
            stop = threading.Event()
            threads = [threading.Thread(target=load, args=(w, stop)) for _ in range(2)]
            for t in threads:
                t.start()
            time.sleep(chance.uniform(0.7, 1.4))
            killed = time.monotonic()
            w.proc.kill()
            stop.set()
            for t in threads:
                t.join()
            kill(w)


@mounts
def test_full_disk_loses_no_request(tmp_path):
    """L-09: usage that the disk does not take stays in memory and is counted; requests never notice."""
    folder = tmp_path / "disk"
    folder.mkdir()
    c = conf(folder / "state", admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]})
    with Weir(c, wrap=within(folder, "32k", 'exec "$@"')) as w:
        for round_ in range(4):
            for _ in range(100):
                assert w.call("/v1/chat/completions", CHAT).status == 200
            time.sleep(0.5)
        text = w.admin("/metrics").body.decode()
        dropped = float(re.search(r"^weir_state_appends_dropped_total (\S+)$", text, re.M).group(1))
        assert dropped > 0, text
        assert overview(w)["totals"]["requests"] == 400 == len(every_event(w))
