"""What the running processes may still do, as the kernel tells it, and that everything a gateway does goes on under it. (All other tests
run with "sandbox": "kill" too, so that a system call missing in the list ends weir in their middle.)"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import dialects
import fake
from dialects import Chat
from weir import BINARY, Weir, config, provider

pytestmark = pytest.mark.skipif(any(w in BINARY for w in ("/asan/", "/cov/")), reason="sanitizers and line counters run unconfined")
LOCKED = {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapPrm": "0" * 16, "CapInh": "0" * 16}


def status(pid):
    return dict(l.split(":\t", 1) for l in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines() if ":\t" in l)


def check_locked(pid):
    """Right after it has said that it listens, before it takes the first connection."""
    until = time.monotonic() + 5
    while True:
        got = status(pid)
        if {k: got[k] for k in LOCKED} == LOCKED or time.monotonic() > until:
            break
        time.sleep(0.02)
    assert {k: got[k] for k in LOCKED} == LOCKED, (pid, got)
    return got


def helpers(pid):
    return [int(p) for p in pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]


@pytest.fixture
def upstream():
    with fake.Upstream(dialects.behave) as up:
        yield up


def test_both_processes_are_locked_in(upstream, tmp_path):
    """The gateway and the helper that writes its state; then a request, a name from the hosts file, and a reload."""
    conf = config(providers=[provider("up", upstream.base + "/v1"), provider("named", upstream.base.replace("127.0.0.1", "localhost") + "/v1")],
                  stateDir=str(tmp_path / "state"))
    with Weir(conf) as weir:
        kids = helpers(weir.proc.pid)
        assert len(kids) >= 1
        for pid in [weir.proc.pid] + [k for k in kids if "store" in status(k)["Name"]]:
            check_locked(pid)
        assert weir.call(Chat.path, Chat.request("up:text", False)).status == 200
        assert weir.call(Chat.path, Chat.request("named:text", True)).status == 200
        conf["log"]["level"] = "debug"
        weir.write(conf)
        weir.proc.send_signal(signal.SIGHUP)
        assert weir.wait_line(lambda l: l.get("msg", "").startswith("config reloaded"))
        assert weir.call(Chat.path, Chat.request("up:text", False)).status == 200
        limits = pathlib.Path("/proc/%d/limits" % weir.proc.pid).read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), limits
    # What it appended at its end is there: the helper could do its work.
    assert (tmp_path / "state/weir.log").stat().st_size > 0
    with Weir(conf) as weir:
        assert weir.wait_line(lambda l: re.search(r"[1-9]\d* usage events", l.get("msg", "")))


@pytest.mark.parametrize("mode", ["on", "kill"])
def test_a_reload_may_open_the_simulator(upstream, mode):
    """It listens on a port of its own, which a reload opens when the config asks for it the first time."""
    conf = config(providers=[provider("up", upstream.base + "/v1")], sandbox=mode)
    with Weir(conf) as weir:
        check_locked(weir.proc.pid)
        conf["sim"] = True
        weir.write(conf)
        weir.proc.send_signal(signal.SIGHUP)
        assert weir.wait_line(lambda l: l.get("msg", "").startswith("config reloaded")), weir.text()
        assert weir.call(Chat.path, Chat.request("sim:echo", False)).status == 200


def test_off_is_off(upstream):
    with Weir(config(providers=[provider("up", upstream.base + "/v1")], sandbox="off")) as weir:
        assert status(weir.proc.pid)["Seccomp"] == status(os.getpid())["Seccomp"]
        assert weir.call(Chat.path, Chat.request("up:text", False)).status == 200


def test_nobody_may_look_in(upstream):
    """Not dumpable: another process of the same user, without rights over others, reads neither memory nor environment."""
    if os.geteuid() != 0:
        pytest.skip("needs root to start as somebody else")
    with Weir(config(providers=[provider("up", upstream.base + "/v1")])) as weir:
        probe = "import os,sys\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\ntry:\n open('/proc/%d/mem','rb'); sys.exit(1)\nexcept PermissionError:\n sys.exit(0)" % weir.proc.pid
        assert subprocess.run(["python3", "-c", probe]).returncode == 0
        assert pathlib.Path("/proc/%d/mem" % weir.proc.pid).stat().st_uid == 0


def test_root_becomes_somebody(upstream):
    """Before the state is opened, and a low port is had all the same."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    state = pathlib.Path(tempfile.mkdtemp(prefix="weir-user-"))   # not below pytest's own folder, which is root's alone
    os.chown(state, 64321, 64322)
    port = next(p for p in range(1023, 700, -1) if socket.socket().connect_ex(("127.0.0.1", p)) != 0)
    conf = config(providers=[provider("up", upstream.base + "/v1")], stateDir=str(state), user="64321:64322", listen="127.0.0.1:%d" % port)
    with Weir(conf) as weir:
        for pid in [weir.proc.pid] + helpers(weir.proc.pid):
            if "launch" not in status(pid)["Name"]:   # it starts the next one as root, and does nothing else
                got = check_locked(pid)
                assert set(got["Uid"].split()) == {"64321"} and set(got["Gid"].split()) == {"64322"} and got["Groups"].split() == [], got
        assert weir.call(Chat.path, Chat.request("up:text", False)).status == 200
    assert (state / "weir.log").stat().st_uid == 64321
    shutil.rmtree(state)


@pytest.mark.parametrize("user", ["nobody-of-that-name", "12", "a:b"])
def test_nobody_of_that_name(user):
    with pytest.raises(AssertionError, match="did not start"):
        Weir(config(user=user))


def test_a_full_table_of_descriptors_is_survived(upstream):
    """Errors of the kernel's take paths of their own (accept pauses, sockets are refused): no call outside the list there either."""
    with Weir(config(providers=[provider("up", upstream.base + "/v1")]), rlimit_nofile=40) as weir:
        held = [socket.create_connection(("127.0.0.1", weir.port)) for _ in range(60)]
        for s in held:
            s.close()
        for _ in range(20):
            reply = weir.call(Chat.path, Chat.request("up:text", False))
            if reply.status == 200:
                break
        assert reply.status == 200


def test_header_of_the_binary():
    """Position independent, relocations read-only from the start, no executable stack, no writable code."""
    text = subprocess.run(["readelf", "-Wld", BINARY], capture_output=True, text=True).stdout
    header = subprocess.run(["readelf", "-Wh", BINARY], capture_output=True, text=True).stdout
    assert "DYN" in header
    assert "GNU_RELRO" in text and re.search(r"BIND_NOW|FLAGS.*NOW", text), text
    stack = re.search(r"GNU_STACK.*", text).group(0)
    assert " RWE" not in stack and " RW " in stack
    assert not re.search(r"LOAD.* RWE", text)
