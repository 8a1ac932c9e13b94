"""The README's operator chapter, run as printed: only the ports and the state directory are this machine's."""
import json
import re
import shutil
import socket
import subprocess

from weir import BINARY, ROOT


def block(name):
    return re.search(r"```\w+ %s\n(.*?)```" % name, (ROOT / "README.md").read_text(), re.S).group(1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_the_chapter_works_as_printed(tmp_path):
    ports = {"8080": str(free_port()), "8081": str(free_port())}
    conf = json.loads(block("operator-config"))
    assert conf["stateDir"] == "/tmp/weir-state"
    conf.update(listen="127.0.0.1:" + ports["8080"], stateDir=str(tmp_path / "state"))
    conf["admin"]["listen"] = "127.0.0.1:" + ports["8081"]
    (tmp_path / "config.json").write_text(json.dumps(conf))
    shutil.copy(BINARY, tmp_path / "weir")
    script = re.sub(r"127\.0\.0\.1:(808[01])", lambda m: "127.0.0.1:" + ports[m.group(1)], block("operator"))
    r = subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, (r.stdout[-3000:], r.stderr[-3000:])
    want = re.findall(r"^ask +# (.*)$", script, re.M)
    assert want == [l.strip() for l in r.stdout.splitlines() if l.startswith("x-weir-attempts")], r.stdout
    assert len(want) == 3 and want[0] != want[1] == want[2]
    assert '"cooldowns":[{' in r.stdout and '"outcome":"rate_limit"' in r.stdout and '"errorCode"' not in r.stdout
    tokens = re.findall(r'"token":"(weir_\w+)"', r.stdout)
    assert len(tokens) == 1 and tokens[0] not in r.stderr
    stored = (tmp_path / "state" / "weir.log").read_bytes()
    assert tokens[0].encode() not in stored and b'"sim-429"' not in stored and b"sim-ok" not in stored
