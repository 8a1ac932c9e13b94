"""The state directory on real disks: what a killed process leaves, who may read it, what a full or read-only disk does, and what the process
that writes it may hold. Power failures are not here but in test/flow/disk_test.c, where a disk is made of memory."""
import os
import pathlib
import random
import re
import signal
import stat
import subprocess
import time

import pytest

from weir import BINARY, ROOT, TOKEN, Weir, config

DRIVER = os.environ.get("WEIR_STORE_DRIVER", str(ROOT / "build" / "host" / "test" / "e2e" / "store_driver"))
IDS, CANARY = 13, b"sk-canary-"
KEYS = ("00" * 31 + "01", "00" * 31 + "02")
CHAT = {"model": "sim:echo", "messages": [{"role": "user", "content": "hello"}]}


def children(pid):
    """The helper that writes; the one that starts the next process stands beside it and holds nothing of the state."""
    kids = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
    return [int(p) for p in kids if pathlib.Path("/proc/%s/comm" % p).read_text() != "weir-launch\n"]


def gone(pid):
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid, seconds=5):
    end = time.monotonic() + seconds
    while not gone(pid) and time.monotonic() < end:
        time.sleep(0.005)
    return gone(pid)


def driver(folder, *args, wrap=(), **kw):
    return subprocess.run([*wrap, DRIVER, str(folder), *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def words(text, first):
    return [line.split() for line in text.splitlines() if line.split()[:1] == [first] and line.endswith(line.strip())]


def check_content(text, acked, begun, name=""):
    """What a start shows is what the commits up to some k made, k at least the last acknowledged."""
    assert "broken" not in text, text
    have = {w[1]: int(w[2]) for w in words(text, "have")}
    last = have.get("last", -1)
    assert acked <= last <= begun, (name, acked, last, begun)
    want = {}
    for k in range(max(0, last - 3 * IDS), last + 1):
        want["a%d" % (k % IDS)] = want["b%d" % (k % IDS)] = k
        if k % 3:
            want["c%d" % (k % IDS)] = k
        else:
            want.pop("c%d" % (k % IDS), None)
    if last >= 0:
        want["last"] = last
    assert have == want, name
    return last


# ---- killed at any moment -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("victim", ["both", "parent", "helper"])
def test_killed(tmp_path, victim):
    """Forty lives of one directory, each ended by SIGKILL at a random moment."""
    folder, seed = tmp_path / "state", random.randrange(1 << 30)
    chance, last, lives, compacted = random.Random(seed), -1, 40, 0
    for life in range(lives):
        p = subprocess.Popen([DRIVER, str(folder), "run", str(last + 1)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        head = []
        while True:
            line = p.stdout.readline()
            head.append(line.decode())
            if line.startswith(b"open") or not line:
                break
        assert head[-1].startswith("open"), (seed, life, head)
        if last >= 0:
            check_content("".join(head), last, last, (seed, life))
        helper = children(p.pid)
        assert len(helper) == 1
        inode = (folder / "weir.log").stat().st_ino
        time.sleep(chance.random() * 0.06)
        for pid in {"both": chance.sample([p.pid] + helper, 2), "parent": [p.pid], "helper": helper}[victim]:
            os.kill(pid, signal.SIGKILL)
        out = p.stdout.read().decode()
        p.wait()
        assert wait_gone(helper[0])  # by itself, when its parent has died
        if victim == "helper":
            assert p.returncode == 0 and "the process that writes the state has ended" in out, (seed, life, out[-300:])
        acks = [int(w[1]) for w in words(out, "ack") if len(w) == 2]
        compacted += (folder / "weir.log").stat().st_ino != inode
        shown = driver(folder, "show")
        assert shown.returncode == 0, (seed, life, shown)
        last = check_content(shown.stdout, max([last] + acks), 1 << 40, (seed, life))
    assert last > lives * 2 and compacted > 0, (last, compacted)
    whole = b"".join(f.read_bytes() for f in folder.iterdir())
    assert CANARY not in whole


# ---- the files ----------------------------------------------------------------------------------------------------
def made(tmp_path, commits=5):
    folder = tmp_path / "state"
    r = driver(folder, "run", 0, commits)
    assert r.returncode == 0 and len(words(r.stdout, "ack")) == commits, r
    return folder


def test_modes_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        folder = made(tmp_path)
        subprocess.run([DRIVER, str(folder), "run", "5", "400"], stdout=subprocess.DEVNULL, check=True)  # compacts: another file
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()}
    assert files == {"weir.log": 0o600, "weir.lock": 0o600, "master.key": 0o600}


def spoil_link(folder, name):
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to("elsewhere")


def spoil_pipe(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name, 0o600)


@pytest.mark.parametrize("name", ["weir.log", "weir.lock", "master.key"])
@pytest.mark.parametrize("spoil, says", [
    (lambda d, n: (d / n).chmod(0o644), "0600"), (lambda d, n: (d / n).chmod(0o620), "0600"), (spoil_link, "symbolic link"),
    (lambda d, n: os.link(d / n, d / "second"), "hard link"), (spoil_pipe, "not a regular file")],
    ids=["0644", "0620", "symlink", "hardlink", "pipe"])
def test_odd_files_are_refused(tmp_path, name, spoil, says):
    folder = made(tmp_path)
    spoil(folder, name)
    before = {f.name: f.lstat().st_mtime_ns for f in folder.iterdir()}
    r = driver(folder, "show")
    assert r.returncode == 1 and name in r.stderr and says in r.stderr, r
    assert before == {f.name: f.lstat().st_mtime_ns for f in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_stranger_s_files_are_refused(tmp_path):
    folder = made(tmp_path)
    os.chown(folder / "weir.log", 65534, 65534)
    assert "belongs to another user" in driver(folder, "show").stderr
    os.chown(folder / "weir.log", 0, 0)
    os.chown(folder, 65534, 65534)
    assert "belongs to another user" in driver(folder, "show").stderr


def test_a_directory_others_write_is_refused(tmp_path):
    folder = made(tmp_path)
    folder.chmod(0o777)
    r = driver(folder, "show")
    assert r.returncode == 1 and "can be written by others" in r.stderr


@pytest.mark.parametrize("change, says", [
    (lambda b: b"", "is empty"), (lambda b: b[:20], "cut off within its first bytes"), (lambda b: b"x" + b[1:], "not a log of weir's"),
    (lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], "damaged at offset"), (lambda b: b[:len(b) // 2] + b[len(b) // 2 + 1:], "damaged at offset")])
def test_damage_is_refused_and_left_alone(tmp_path, change, says):
    folder = made(tmp_path)
    log = folder / "weir.log"
    bad = change(log.read_bytes())
    log.write_bytes(bad)
    r = driver(folder, "show")
    assert r.returncode == 1 and says in r.stderr, r
    assert log.read_bytes() == bad


def test_a_sparse_giant_is_refused(tmp_path):
    folder = made(tmp_path)
    os.truncate(folder / "weir.log", (1 << 30) + 1)
    r = driver(folder, "show")
    assert r.returncode == 1 and "larger than 1 GiB" in r.stderr


def test_salvage(tmp_path):
    """With the real binary: refused with the place, then started once with --salvage, then without."""
    folder = made(tmp_path, 30)
    log = folder / "weir.log"
    b = bytearray(log.read_bytes())
    b[len(b) // 2] ^= 4
    log.write_bytes(b)
    conf = tmp_path / "c.json"
    conf.write_text('{"listen": "127.0.0.1:0", "admin": {"listen": null}, "stateDir": "%s"}' % folder)
    r = subprocess.run([BINARY, "-c", str(conf)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 1 and re.search(r"weir.log is damaged at offset \d+ of %d" % len(b), r.stderr), r
    with Weir(config(stateDir=str(folder)), args=["-c", str(conf), "--salvage"]) as weir:
        assert weir.wait_line(lambda l: "could not be saved" in l.get("msg", ""))
    kept = [f for f in folder.iterdir() if f.name.startswith("weir.log.damaged-")]
    assert len(kept) == 1 and kept[0].read_bytes() == b
    r = driver(folder, "show")
    assert r.returncode == 0 and r.stderr == "" and "broken" not in r.stdout
    assert {w[1]: int(w[2]) for w in words(r.stdout, "have")}["last"] == 29


# ---- disks that do not take it ----------------------------------------------------------------------------------------
def may_mount():
    return subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


mounts = pytest.mark.skipif(not may_mount(), reason="no file systems of one's own here (unshare -Urm)")


def within(folder, size, then):
    """A shell line that runs the rest with a small file system at folder; after that `then` in there."""
    return ["unshare", "-Urm", "sh", "-ec", 'mount -t tmpfs -o size=%s,mode=700 none "%s"; %s' % (size, folder, then), "sh"]


@mounts
def test_full_disk(tmp_path):
    """Commits are refused with the reason, and what was acknowledged is there after a restart, and after room was made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = ('"$1" "$2" run 0; echo ---; "$1" "$2" show; echo ---; rm "$2"/filler; "$1" "$2" run 1000 50; echo ---; "$1" "$2" show')
    r = subprocess.run([*within(folder, "256k", 'dd if=/dev/zero of="%s"/filler bs=1k count=120 2>/dev/null; %s' % (folder, script)), DRIVER,
                        str(folder)], capture_output=True, text=True, timeout=60)
    first, second, third, fourth = r.stdout.split("---\n")
    acks = [int(w[1]) for w in words(first, "ack")]
    assert acks and "weir.log can't be written: No space left on device" in first, r
    check_content(second, max(acks), max(acks))
    assert len(words(third, "ack")) > 0 and "last" in fourth and "broken" not in fourth


def test_file_size_limit(tmp_path):
    """RLIMIT_FSIZE sends a signal besides the error; it must not end the helper."""
    import resource
    folder = tmp_path / "state"
    r = driver(folder, "run", 0, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
    acks = [int(w[1]) for w in words(r.stdout, "ack")]
    assert acks and "weir.log can't be written: File too large" in r.stdout, r
    check_content(driver(folder, "show").stdout, max(acks), max(acks))


@mounts
def test_read_only_file_system(tmp_path):
    """Starts, says so, serves; what was stored is in force."""
    folder = made(tmp_path)
    with Weir(config(stateDir=str(folder), sim=True), wrap=["unshare", "-Urm", "sh", "-ec",
              'mount --bind "%s" "%s"; mount -o remount,bind,ro "%s"; exec "$0" "$@"' % (folder, folder, folder)]) as weir:
        assert weir.wait_line(lambda l: "is read-only: " in l.get("msg", "") and l["level"] == "warn" and "resources" in l["msg"])
        assert weir.call("/v1/chat/completions", CHAT).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_directory_without_permission(tmp_path):
    tmp_path.chmod(0o755)
    for p in tmp_path.parents:
        if p.stat().st_uid == 0 and p != pathlib.Path("/") and str(p).startswith("/tmp/"):
            p.chmod(p.stat().st_mode | 0o055)
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    r = driver(tmp_path / "state", "run", 0, 1, wrap=become)
    if r.returncode == 126 or r.returncode == 127:
        pytest.skip("the test's program can't be run by somebody else here")
    assert "not there and can't be made" in r.stderr and "fail 0" in r.stdout, r


@mounts
def test_scratch_container(tmp_path):
    """Nothing but the binary and its config, on a file system that can't be written: as `FROM scratch` with --read-only."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "weir").write_bytes(pathlib.Path(BINARY).read_bytes())
    (root / "weir").chmod(0o755)
    for state in (None, "/state"):
        conf = config(sim=True, stateDir=state)
        with contained(root, conf) as weir:
            assert weir.call("/v1/chat/completions", CHAT).status == 200
            said = "is read-only: " if state else "no stateDir"
            assert weir.wait_line(lambda l: said in l.get("msg", "")), weir.text()


def contained(root, conf):
    import json
    (root / "c.json").write_text(json.dumps(conf))
    # $0 is the binary's path outside; inside it is /weir
    line = 'mount --bind "{0}" "{0}"; mount -o remount,bind,ro "{0}"; shift; exec chroot "{0}" /weir "$@"'.format(root)
    return Weir(conf, args=["-c", "/c.json"], wrap=["unshare", "-Urm", "sh", "-ec", line, "sh"])


# ---- the processes ------------------------------------------------------------------------------------------------------
def test_two_on_one_directory(tmp_path):
    conf = config(stateDir=str(tmp_path / "state"))
    with Weir(conf) as weir:
        started = time.monotonic()
        r = subprocess.run([BINARY, "-c", str(weir.config_path)], capture_output=True, text=True, timeout=20)
        assert r.returncode == 1 and "in use by another weir process" in r.stderr and time.monotonic() - started < 8
        r = subprocess.run([BINARY, "rekey", "-c", str(weir.config_path)], capture_output=True, text=True, timeout=20)
        assert r.returncode == 1 and "in use by another weir process" in r.stderr
        assert weir.call("/healthz").status == 200


def test_the_helper(tmp_path):
    """Holds the state's files and one socket, no listener, no connection, nobody's output; is not ended by what ends or stops its parent's
    group; its end is told; and it ends with the gateway."""
    with Weir(config(stateDir=str(tmp_path / "state"), sim=True)) as weir:
        assert weir.call("/v1/chat/completions", CHAT).status == 200
        helper, = children(weir.proc.pid)
        until = time.monotonic() + 5
        while True:   # on a busy machine it may not have had a turn yet to close what is not its own
            held = {}
            for fd in os.listdir("/proc/%d/fd" % helper):
                try:
                    held[int(fd)] = os.readlink("/proc/%d/fd/%s" % (helper, fd))
                except FileNotFoundError:
                    pass
            sockets = [t for t in held.values() if t.startswith("socket:")]
            if len(sockets) == 1 or time.monotonic() > until:
                break
            time.sleep(0.05)
        files = sorted(pathlib.Path(t).name for t in held.values() if str(tmp_path) in t)
        others = {t for t in held.values() if not t.startswith("socket:") and str(tmp_path) not in t}
        assert len(sockets) == 1 and files == ["state", "weir.lock", "weir.log"] and others == {"/dev/null"}, held
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGQUIT):
            os.kill(helper, s)
        time.sleep(0.05)
        assert not gone(helper)
        os.kill(helper, signal.SIGKILL)
        assert weir.wait_line(lambda l: l.get("level") == "error" and "state is read-only from here on" in l["msg"])
        assert weir.call("/v1/chat/completions", CHAT).status == 200

    weir = Weir(config(stateDir=str(tmp_path / "state"), sim=True))
    helper, = children(weir.proc.pid)
    weir.stop()
    assert wait_gone(helper, 1)


def test_term_as_a_group(tmp_path):
    """Ctrl-C and service managers signal the whole group."""
    weir = Weir(config(stateDir=str(tmp_path / "state")), wrap=["setsid"])
    helper, = children(weir.proc.pid)
    os.killpg(os.getpgid(weir.proc.pid), signal.SIGTERM)
    assert weir.proc.wait(5) == 0 and wait_gone(helper)
    weir.reader.join(5)
    assert "Sanitizer" not in weir.text() and "ended" not in weir.text()


def test_no_core(tmp_path):
    with Weir(config(stateDir=str(tmp_path / "state"))) as weir:
        for pid in [weir.proc.pid] + children(weir.proc.pid):
            limits = pathlib.Path("/proc/%d/limits" % pid).read_text()
            assert re.search(r"Max core file size\s+0\s+0\s", limits), limits


# ---- weir rekey --------------------------------------------------------------------------------------------------------
def write_conf(path, folder, key=None):
    import json
    conf = {"listen": "127.0.0.1:0", "admin": {"listen": None}, "stateDir": str(folder)}
    if key:
        conf["stateKey"] = key
    path.write_text(json.dumps(conf))


def weir_cli(*args, env=None):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=20, env={**os.environ, **(env or {})})


def test_rekey(tmp_path):
    folder, conf = made(tmp_path, 20), tmp_path / "c.json"
    write_conf(conf, folder)
    old_key, old_log = (folder / "master.key").read_bytes(), (folder / "weir.log").read_bytes()
    r = weir_cli("rekey", "-c", str(conf))
    assert r.returncode == 0 and r.stderr == "", r
    assert (folder / "master.key").read_bytes() != old_key and not (folder / "master.key.new").exists()
    assert stat.S_IMODE((folder / "master.key").stat().st_mode) == 0o600
    check_content(driver(folder, "show").stdout, 19, 19)
    # nothing of the old sealing is left
    assert not any(old_log[i:i + 32] in (folder / "weir.log").read_bytes() for i in secrets_in(old_log))
    # to a key of the operator's
    assert weir_cli("rekey", "-c", str(conf), "--to", "env:NEW", env={"NEW": KEYS[0]}).returncode == 0
    r = driver(folder, "show")
    assert r.returncode == 1 and "is stateKey missing?" in r.stderr
    write_conf(conf, folder, "env:KEY")
    assert "--to" in weir_cli("rekey", "-c", str(conf), env={"KEY": KEYS[0]}).stderr
    (tmp_path / "key").write_text(KEYS[1] + "\n")
    r = weir_cli("rekey", "-c", str(conf), "--to", "file:%s" % (tmp_path / "key"), env={"KEY": KEYS[1]})
    assert r.returncode == 1 and "not the key this state was written with" in r.stderr
    r = weir_cli("rekey", "-c", str(conf), "--to", "file:%s" % (tmp_path / "key"), env={"KEY": KEYS[0]})
    assert r.returncode == 0, r
    assert KEYS[1] not in r.stdout
    for bad in ("env:UNSET", "file:/none", "env:SHORT", "plain"):
        assert weir_cli("rekey", "-c", str(conf), "--to", bad, env={"KEY": KEYS[1], "SHORT": "00"}).returncode == 2
    with Weir({}, args=["-c", str(conf)], env={"KEY": KEYS[1]}) as weir:
        assert weir.wait_line(lambda l: "%d resources" % len({w[1] for w in words(driver_have(20), "have")}) in l.get("msg", ""))


def driver_have(n):
    have = {}
    for k in range(n):
        have["a%d" % (k % IDS)] = have["b%d" % (k % IDS)] = have["last"] = k
        if k % 3:
            have["c%d" % (k % IDS)] = k
        else:
            have.pop("c%d" % (k % IDS), None)
    return "".join("have %s %d\n" % h for h in have.items())


def secrets_in(log):
    """Where the sealed secrets of provider keys lie: kind 2, op 1."""
    out, at = [], 36
    while at + 36 <= len(log):
        n = int.from_bytes(log[at + 4:at + 8], "little")
        p, end = at + 38, at + 36 + n
        while p < end:
            kind, idn = log[p], int.from_bytes(log[p + 2:p + 4], "little")
            vn, sn = int.from_bytes(log[p + 4:p + 8], "little"), int.from_bytes(log[p + 8:p + 12], "little")
            if kind == 2 and sn:
                out.append(p + 12 + idn + vn)
            p += 12 + idn + vn + sn
        at = end
    assert out
    return out


def test_rekey_killed(tmp_path):
    """At any moment: the directory opens with the key that is in it."""
    folder, conf = made(tmp_path, 300), tmp_path / "c.json"
    write_conf(conf, folder)
    chance = random.Random(7)
    took = time.monotonic()
    assert weir_cli("rekey", "-c", str(conf)).returncode == 0
    took = time.monotonic() - took
    changed = killed = 0
    for _ in range(30):
        before = (folder / "master.key").read_bytes()
        p = subprocess.Popen([BINARY, "rekey", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.random() * took)
        p.kill()
        killed += p.wait() != 0
        check_content(driver(folder, "show").stdout, 299, 299)
        changed += (folder / "master.key").read_bytes() != before
    assert killed > 0
