"""An access key's own limits as the official clients see them, over reloads and restarts."""
import json
import re
import signal
import time

import pytest

import dialects
import fake
from dialects import USAGE
from weir import ADMIN_KEY, TOKEN, Weir, config, provider

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

SAY = [{"role": "user", "content": "hi"}]
COST = (USAGE[0] * 100 + USAGE[1] * 1000) / 1e6  # dollars of one answer


@pytest.fixture(scope="module")
def up():
    with fake.Upstream(dialects.behave) as up:
        yield up


def conf(up, limits=None, **more):
    priced = provider("up", up.base + "/v1")
    priced["models"] = [{"modelId": "text", "usdPerMillionTokens": {"input": 100, "output": 1000}}]
    expires = {"expiresAt": more.pop("expiresAt")} if "expiresAt" in more else {}
    return config(providers=[priced], accessKeys=[{"id": "aigk_test", "name": "test", "token": TOKEN, **({"limits": limits} if limits else {}), **expires}], **more)


def clients(weir):
    base = "http://127.0.0.1:%d" % weir.port
    return (openai.OpenAI(base_url=base + "/v1", api_key=TOKEN, max_retries=0),
            anthropic.Anthropic(base_url=base, api_key=TOKEN, max_retries=0))


def test_requests_per_minute(up):
    with Weir(conf(up, {"requestsPerMinute": 2})) as weir:
        chat, claude = clients(weir)
        assert chat.chat.completions.create(model="up:text", messages=SAY).choices[0].message.content
        assert claude.messages.create(model="up:text", max_tokens=10, messages=SAY).content
        with pytest.raises(openai.RateLimitError) as e:
            chat.chat.completions.create(model="up:text", messages=SAY)
        assert e.value.code == "rate_limited" and e.value.type == "rate_limit_error"
        head = e.value.response.headers
        assert 25 <= int(head["retry-after"]) <= 30 and head["x-should-retry"] == "true"
        assert head["x-ratelimit-limit-requests"] == "2" and head["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(anthropic.RateLimitError) as e:
            claude.messages.create(model="up:text", max_tokens=10, messages=SAY)
        assert e.value.body["error"]["type"] == "rate_limit_error"
        assert e.value.response.headers["anthropic-ratelimit-requests-limit"] == "2"
        with pytest.raises(openai.RateLimitError):
            chat.embeddings.create(model="up:text", input="x")
        assert weir.wait_line(lambda l: l.get("code") == "rate_limited")  # and with it all lines before
        assert len(weir.records("text")) == 2


def test_the_clients_wait_as_told(up):
    """The SDK's own retries, led by retry-after, get a request through that comes too early."""
    with Weir(conf(up, {"requestsPerMinute": 60})) as weir:
        chat = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % weir.port, api_key=TOKEN, max_retries=3)
        for _ in range(500):
            begin = time.monotonic()
            chat.chat.completions.create(model="up:text", messages=SAY)
            if any(r.get("code") == "rate_limited" for r in weir.records()):
                break
        assert 0.5 < time.monotonic() - begin < 5


@pytest.mark.parametrize("end", ["drain", "kill"])
@pytest.mark.parametrize("which", ["usdPerDay", "usdTotal", "tokensPerMinute", "requestsPerMinute"])
def test_what_was_used_outlasts_the_process(up, tmp_path, which, end):
    limits = {which: {"usdPerDay": 2 * COST, "usdTotal": 2 * COST, "tokensPerMinute": 2 * sum(USAGE), "requestsPerMinute": 2}[which]}
    if which.startswith("usd"):
        limits[which] = round(limits[which], 6)
    c = conf(up, limits, stateDir=str(tmp_path / "state"))
    weir = Weir(c)
    chat, _ = clients(weir)
    for _ in range(2):
        chat.chat.completions.create(model="up:text", messages=SAY)
    if end == "drain":
        weir.stop()
    else:
        time.sleep(0.6)
        weir.proc.kill()
        weir.proc.wait()
        weir.reader.join(5)
        weir.dir.cleanup()
    with Weir(c) as weir:
        chat, claude = clients(weir)
        if which.startswith("usd"):
            with pytest.raises(openai.PermissionDeniedError) as e:
                chat.chat.completions.create(model="up:text", messages=SAY)
            assert e.value.code == "budget_exhausted"
            with pytest.raises(anthropic.PermissionDeniedError) as e:
                claude.messages.create(model="up:text", max_tokens=10, messages=SAY)
            assert e.value.body["error"]["type"] == "permission_error"
            # More money over a reload: what was spent stays spent.
            weir.write(conf(up, {which: round(3 * COST, 6)}, stateDir=str(tmp_path / "state")))
            weir.proc.send_signal(signal.SIGHUP)
            assert weir.wait_line(lambda l: l["msg"].startswith("config reloaded"))
            chat.chat.completions.create(model="up:text", messages=SAY)
            with pytest.raises(openai.PermissionDeniedError):
                chat.chat.completions.create(model="up:text", messages=SAY)
        else:
            with pytest.raises(openai.RateLimitError) as e:
                chat.chat.completions.create(model="up:text", messages=SAY)
            assert int(e.value.response.headers["retry-after"]) <= 60


def test_expired(up):
    with Weir(conf(up, expiresAt="2020-01-01T00:00:00Z")) as weir:
        chat, claude = clients(weir)
        with pytest.raises(openai.AuthenticationError) as e:
            chat.models.list()
        assert "expired at 2020-01-01T00:00:00.000Z" in str(e.value)
        with pytest.raises(anthropic.AuthenticationError):
            claude.messages.create(model="up:text", max_tokens=10, messages=SAY)
        weir.write(conf(up, expiresAt="2120-01-01T00:00:00Z"))
        weir.proc.send_signal(signal.SIGHUP)
        assert weir.wait_line(lambda l: l["msg"].startswith("config reloaded"))
        assert chat.chat.completions.create(model="up:text", messages=SAY)


@pytest.mark.parametrize("restart", [False, True])
def test_keys_made_over_the_api(up, tmp_path, restart):
    """Limits given, changed and taken away over the admin API hold from the next request on; a key that is deleted takes its counts along."""
    c = conf(up, admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, stateDir=str(tmp_path / "state"))
    weir = Weir(c)

    def ask(token):
        return weir.call("/v1/chat/completions", {"model": "up:text", "messages": SAY}, token=token)

    r = weir.admin("/access-keys", {"name": "limited", "limits": {"requestsPerMinute": 2, "usdTotal": round(2.5 * COST, 6)}})
    assert r.status == 201, r.body
    key = json.loads(r.body)
    assert key["limits"] == {"requestsPerMinute": 2, "usdTotal": round(2.5 * COST, 6)}
    assert [ask(key["token"]).status for _ in range(3)] == [200, 200, 429]
    if restart:
        weir.stop()
        weir = Weir(c)
        assert ask(key["token"]).status == 429
    with weir:
        path = "/access-keys/" + key["id"]
        assert weir.admin(path, {"limits": {"usdTotal": round(2.5 * COST, 6)}}, method="PATCH").status == 200
        assert [ask(key["token"]).status for _ in range(2)] == [200, 403]
        assert weir.admin(path, {"limits": None}, method="PATCH").status == 200
        assert ask(key["token"]).status == 200
        assert weir.admin(path, {"expiresAt": "2020-01-01T00:00:00Z"}, method="PATCH").status == 200
        r = ask(key["token"])
        assert r.status == 401 and b"expired at 2020" in r.body
        r = weir.admin(path, {"limits": {"requestsPerMinute": 0}}, method="PATCH")
        assert r.status == 422 and json.loads(r.body)["details"]["field"].startswith("limits")
        counted = lambda: float(re.search(r"^weir_limited_keys (\d+)$", weir.admin("/metrics").body.decode(), re.M).group(1))
        before = counted()
        assert weir.admin(path, method="DELETE").status in (200, 204)
        assert counted() == before - 1
