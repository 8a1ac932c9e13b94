"""The official JavaScript clients and the AI SDK: each script in node/ prints one line per check."""
import json
import os
import pathlib
import subprocess

import pytest

import dialects
import fake
from later import translates
from weir import ROOT, TOKEN, Weir, config, provider

HERE = pathlib.Path(__file__).parent / "node"
PROJECT = pathlib.Path(os.environ.get("WEIR_TOOLS", ROOT / "build" / "tools")) / "node"
if not (PROJECT / "node_modules").is_dir():
    pytest.skip("no JavaScript clients (make setup)", allow_module_level=True)


@pytest.fixture(scope="module")
def bench():
    with fake.Upstream(dialects.behave) as up:
        base = up.base + "/v1"
        conf = config(providers=[
            provider("all", base), provider("spare", base), provider("chat-only", base, ["chat-completions"]),
            provider("messages-only", base, ["messages"]), {"providerId": "anthropic", "baseUrl": base}],
            providerKeys=[{"id": "aigpk_a", "providerId": "anthropic", "name": "a", "value": "sk-ant-canary-0123456789"}])
        with Weir(conf) as weir:
            yield weir, up


def surface_of(script, check):
    if script == "anthropic" or check.startswith("anthropic "):
        return "messages"
    return "responses" if "responses " in check else "chat-completions"


@pytest.mark.parametrize("script,least", [("openai", 22), ("anthropic", 17), ("vercel", 60)])
def test_script(bench, script, least, subtests):
    """The script is read from stdin with the installed project as working folder, which is where its imports resolve."""
    weir, up = bench
    env = {**os.environ, "GATEWAY": "http://127.0.0.1:%d" % weir.port, "TOKEN": TOKEN, "TEXT": dialects.TEXT}
    run = subprocess.run(["node", "--input-type=module", "-"], input=(HERE / (script + ".mjs")).read_bytes(), cwd=PROJECT,
                         env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    lines = [json.loads(l) for l in run.stdout.decode().splitlines() if l.startswith("{")]
    assert len(lines) >= least, "%d checks ran\n%s" % (len(lines), run.stderr.decode()[-2000:])
    for line in lines:
        with subtests.test(msg=line["name"]):
            translates(line["name"].rpartition(" ")[2], surface_of(script, line["name"]))
            assert line["ok"], line["why"]
    for conn in {r.conn for r in up.requests if r.model == "slow"}:
        assert up.wait(lambda u: conn.gone, 2), "an aborted stream is still open upstream"
