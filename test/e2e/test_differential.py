"""H-63: what weir's parser takes for a request, h11 and llhttp take for the same request: same method, target, version and
body. Twenty thousand requests, made from the good and bad ones of test_hostile.py by small mutations, through a driver
around the parser itself. Where the readers differ the difference has a name and a reason below, or the test fails."""
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess

import h11
import pytest

import test_hostile as hostile
from weir import ROOT

DRIVER = pathlib.Path(os.environ.get("WEIR_READER", ROOT / "build" / "host" / "test" / "e2e" / "read_requests"))
SEED = int(os.environ.get("WEIR_SEED", "63"))
COUNT = int(os.environ.get("WEIR_CASES", "20000"))

ODD = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xa0", b"\xff", b":", b",", b";", b"=", b'"', b"%", b"?", b"#",
       b"/", b"//", b"0", b"1", b"9", b"a", b"A", b"-", b"_", b"+", b".", b"chunked", b"Content-Length", b"Transfer-Encoding"]
LINES = [b"Content-Length: 5", b"content-length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Connection: close", b"Connection: keep-alive",
         b"Connection: upgrade", b"Upgrade: h2c", b"Expect: 100-continue", b"Host: other.test", b"X-A: b", b"X-B:", b" folded", b"X-C : d", b"Trailer: X-A",
         b"TE: trailers", b"Cookie: a=b; c=d"]
FIRST = [b"GET /v1/models HTTP/1.1", b"GET /v1/models?limit=5 HTTP/1.1", b"HEAD / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"POST /v1/messages?beta=true HTTP/1.1",
         b"DELETE /x HTTP/1.1", b"PUT /x HTTP/1.0", b"POST http://gateway.test/v1/responses HTTP/1.1", b"GET / HTTP/1.0"]


def mutate(rng, raw, pool):
    """One small change; most leave a request that is still well-formed, or nearly."""
    kind = rng.randrange(9)
    head, sep, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if kind == 0:
        at = rng.randrange(len(raw) + 1)
        return raw[:at] + rng.choice(ODD) + raw[at:]
    if kind == 1:
        at = rng.randrange(len(raw))
        return raw[:at] + rng.choice(ODD) + raw[at + 1:]
    if kind == 2:
        at = rng.randrange(len(raw))
        return raw[:at] + raw[at + rng.randrange(1, 4):]
    if kind == 3:
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(LINES))
    elif kind == 4:
        del lines[rng.randrange(len(lines))]
    elif kind == 5:
        lines[0] = rng.choice(FIRST)
    elif kind == 6:
        i = rng.randrange(len(lines))
        lines[i] = rng.choice((bytes.upper, bytes.lower, bytes.swapcase))(lines[i])
    elif kind == 7:
        rng.shuffle(rest := lines[1:])
        lines = lines[:1] + rest
    else:  # the head of one, the body of another
        return head + sep + rng.choice(pool).partition(b"\r\n\r\n")[2]
    return b"\r\n".join(lines) + sep + body


def make():
    rng = random.Random(SEED)
    good = [raw for _, _, raw in hostile.ACCEPTED] + [hostile.GOOD]
    bad = [raw for _, _, raw, _ in hostile.CASES if len(raw) < 4000]
    out = dict.fromkeys(good + bad)
    while len(out) < COUNT:
        raw = rng.choice(good if rng.random() < 0.7 else bad)
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            raw = mutate(rng, raw, good) or b"G"
        out[raw] = None
    return list(out)


class View:
    """What a reader saw. `said`: "ok", "more", or its refusal."""

    def __init__(self, line):
        self.line = line
        word, *rest = line.split(" ")
        self.said = "ok" if word == "ok" and rest[-1] not in ("bad", "more") else rest[-1] if word == "ok" else line
        if word == "ok":
            self.method, target, minor, keep, body = rest
            self.target = b"" if target == "-" else bytes.fromhex(target)
            self.minor, self.keep = int(minor), keep == "1"
            self.body = None if body in ("bad", "more") else b"" if body == "-" else bytes.fromhex(body)


def read_with(command, cases):
    sent = b"".join(struct.pack("<I", len(c)) + c for c in cases)
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    views = [View(line) for line in done.stdout.decode("latin-1").split("\n")[:-1]]
    assert len(views) == len(cases)
    return views


def h11_view(raw):
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    request, body = None, b""
    try:
        conn.receive_data(raw)
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return View("more")
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                keep = conn.their_state is not h11.MUST_CLOSE
                return View("ok %s %s %s %d %s" % (request.method.decode("latin-1"), request.target.hex() or "-", request.http_version.decode()[-1], keep, body.hex() or "-"))
    except h11.RemoteProtocolError as e:
        return View("bad " + str(e).replace(" ", "_"))


def origin(target):
    """Without scheme and authority, which weir cuts off."""
    if target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
        rest = target.partition(b"://")[2]
        ends = [i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0]
        return rest[min(ends):] if ends else b""
    return target


def same(ours, theirs):
    return (theirs.said == "ok" and ours.method == theirs.method and ours.minor == theirs.minor and ours.body == theirs.body and
            ours.target == origin(theirs.target))


def framing_in_trailer(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    return not re.search(rb"\r\ncontent-length[ \t]*:", head, re.I) and re.search(rb"\r\n0+\r\n(.+\r\n)*(content-length|transfer-encoding) *:", body, re.I)


# What weir takes and another reader does not: (reader, name, reason, which cases).
EXCEPTIONS = [
    ("h11", "blank line first", "RFC 9112 2.2: a server should ignore a blank line before the request line; h11 wants none",
     lambda raw, us, it: raw.startswith(b"\r\n")),
    ("h11", "content-length in a trailer", "RFC 9110 6.5.1: framing in trailers is not to be used; weir checks and drops trailers, h11 refuses bad values in them",
     lambda raw, us, it: it.line.startswith("bad bad_Content-Length") and framing_in_trailer(raw)),
    ("llhttp", "content-length in a trailer", "the same; llhttp refuses the field itself",
     lambda raw, us, it: it.line in ("bad HPE_INVALID_CONTENT_LENGTH", "bad HPE_UNEXPECTED_CONTENT_LENGTH", "bad HPE_INVALID_TRANSFER_ENCODING") and
     framing_in_trailer(raw)),
    ("llhttp", "tab behind content-length", "RFC 9110 5.6.3: blanks around a value are spaces and tabs; llhttp takes only spaces behind this one",
     lambda raw, us, it: it.line == "bad HPE_INVALID_CONTENT_LENGTH" and re.search(rb"\r\ncontent-length:[ \t]*[0-9]+ *\t", raw, re.I)),
    ("llhttp", "method it does not know", "weir answers it 405 and closes; llhttp holds a list of methods",
     lambda raw, us, it: it.line == "bad HPE_INVALID_METHOD" and raw.lstrip(b"\r\n").startswith(us.method.encode("latin-1") + b" ")),
]


@pytest.fixture(scope="module")
def cases():
    if not DRIVER.exists():
        pytest.skip("no driver of the parser (make e2e builds it)")
    return make()


@pytest.fixture(scope="module")
def ours(cases):
    return read_with([str(DRIVER)], cases)


def compare(reader, cases, ours, theirs):
    accepted, used, wrong = 0, {}, []
    for raw, us, it in zip(cases, ours, theirs):
        if us.said != "ok":
            continue
        accepted += 1
        if same(us, it):
            continue
        names = [name for who, name, _, fits in EXCEPTIONS if who == reader and fits(raw, us, it)]
        if names:
            used[names[0]] = used.get(names[0], 0) + 1
        else:
            wrong.append((raw, us.line, it.line))
    assert not wrong, "%d of %d, seed %d; the first: %s" % (len(wrong), accepted, SEED, wrong[:8])
    assert accepted > COUNT / 10, "only %d of %d were taken: the comparison says little" % (accepted, COUNT)
    assert sum(used.values()) < accepted / 10, used


def test_h63_the_corpus_has_both_sides(cases, ours):
    said = [v.said for v in ours]
    assert said.count("ok") > COUNT / 10 and sum(s.startswith("bad") for s in said) > COUNT / 10
    assert {v.line for v in ours if v.line.startswith("bad ")} >= {"bad 400", "bad 501", "bad 505"}


def test_h63_h11(cases, ours):
    compare("h11", cases, ours, [h11_view(raw) if us.said == "ok" else None for raw, us in zip(cases, ours)])


def test_h63_llhttp(cases, ours):
    if not shutil.which("node"):
        pytest.skip("no node on this machine")
    script = pathlib.Path(__file__).parent / "node" / "llhttp.cjs"
    compare("llhttp", cases, ours, read_with(["node", "--no-deprecation", str(script)], cases))


def test_h63_the_comparison_can_fail(cases, ours):
    """A reader that takes the wrong length, target or method is found out."""
    line = next(v.line for v in ours if v.said == "ok" and v.body)
    word = line.split(" ")
    for i, other in ((1, "BREW"), (2, "2f2f"), (3, "7"), (5, word[5] + "00"), (5, word[5][2:] or "-")):
        assert not same(View(line), View(" ".join(word[:i] + [other] + word[i + 1:])))
    assert same(View(line), View(line)) and not same(View(line), View("bad 400")) and not same(View(line), View("more"))
