"""Hostile client bytes over real sockets. Each case runs alone, byte by byte, with two more requests behind it in the
same segment, and after a good keep-alive request. What must never happen: a second answer, a byte upstream."""
import itertools
import json
import time

import pytest

import dialects
import fake
import wire
from weir import TOKEN, Weir, config, provider

BODY = json.dumps(dialects.Chat.request("up:text")).encode()
LINE = b"POST /v1/chat/completions HTTP/1.1"
AUTH = b"Authorization: Bearer " + TOKEN.encode()
HOST = b"Host: gateway.test"
TYPE = b"Content-Type: application/json"
LENGTH = b"Content-Length: %d" % len(BODY)


def req(*lines, body=BODY, line=LINE, usual=(HOST, AUTH, TYPE)):
    return b"\r\n".join([line, *usual, *lines, b"", b""]) + body


def chunked(raw, *lines):
    return req(b"Transfer-Encoding: chunked", *lines, body=raw)


GOOD = req(LENGTH)
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
LAST = b"0\r\n\r\n"
CASES = []  # (id, name, bytes, statuses)


def case(id, name, raw, *statuses):
    CASES.append((id, name, raw, set(statuses or (400,))))


case("H-01", "CL.TE", req(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"))
case("H-02", "TE.CL", req(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\nG"))
for second in (b"chunked", b"identity", b"x"):
    case("H-03", "two codings, %s" % second.decode(), req(b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + second, body=CHUNK + LAST), 400, 501)
for coding in (b"xchunked", b"gzip", b"gzip, chunked"):
    case("H-05", coding.decode(), req(b"Transfer-Encoding: " + coding, body=CHUNK + LAST), 501, 400)
case("H-06", "chunked not last", req(b"Transfer-Encoding: chunked, gzip", body=CHUNK + LAST))
case("H-07", "chunked twice", req(b"Transfer-Encoding: chunked, chunked", body=CHUNK + LAST))
for coding in (b"identity", b"", b",chunked", b"chunked,"):
    case("H-08", repr(coding), req(b"Transfer-Encoding: " + coding, body=CHUNK + LAST), 400, 501)
case("H-09", "parameter", req(b"Transfer-Encoding: chunked;a=b", body=CHUNK + LAST), 400, 501)
case("H-10", "chunked in 1.0", req(b"Transfer-Encoding: chunked", body=CHUNK + LAST, line=b"POST /v1/chat/completions HTTP/1.0"))
case("H-10", "chunked and length in 1.0", req(b"Transfer-Encoding: chunked", LENGTH, body=BODY, line=b"POST /v1/chat/completions HTTP/1.0"))
for byte in (0x00, 0x01, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0xa0, 0xff):
    case("H-11", "byte %02x before the coding" % byte, req(b"Transfer-Encoding: " + bytes([byte]) + b"chunked", body=CHUNK + LAST), 400, 501)
    case("H-11", "byte %02x after the coding" % byte, req(b"Transfer-Encoding: chunked" + bytes([byte]), body=CHUNK + LAST), 400, 501)
case("H-14", "two lengths", req(LENGTH, b"Content-Length: 3"))
case("H-14", "two lengths, other order", req(b"Content-Length: 3", LENGTH))
case("H-15", "length twice", req(LENGTH, LENGTH))
case("H-15", "length list", req(LENGTH + b", %d" % len(BODY)))
for text in (b"+%d", b"-%d", b"0x%x", b"0o%o", b"%d.0", b"%de0", b"0%d", b"00%d", b"%d;", b"%d a", b"'%d'", b"%d,"):
    case("H-16", repr(text), req(b"Content-Length: " + text % len(BODY)))
for text in (b"-0", b"1_0", b"1 0", b"", b"\xd9\xa5", b"a"):
    case("H-16", repr(text), req(b"Content-Length: " + text))
for n in (2**31, 2**32 + len(BODY), 2**63, 2**64, 2**64 + len(BODY), 10**40):
    case("H-17", str(n), req(b"Content-Length: %d" % n), 413, 400)
case("H-18", "above the limit", req(b"Content-Length: 2000001", body=b"{"), 413)
for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
    case("H-20", method.decode(), req(LENGTH, line=method + b" /v1/models HTTP/1.1"), 400, 405)
case("H-21", "length as folded first line", LINE + b"\r\n " + LENGTH + b"\r\n" + b"\r\n".join([HOST, AUTH, TYPE]) + b"\r\n\r\n" + BODY)
case("H-21", "space before the colon", req(LENGTH.replace(b":", b" :")))
case("H-21", "folded", req(b"X-A: b\r\n " + LENGTH))
case("H-21", "tab before the colon", req(LENGTH.replace(b":", b"\t:")))
case("H-21", "name folded away", req(b"Content-Length:\r\n %d" % len(BODY)))
for size in (b"0x5", b"+5", b"-5", b"5_0", b" 5", b"", b"5g", b"g", b"1" * 17, b"F" * 16, b"0" * 40 + b"5", b"\x00", b"5\x00", b"5\t5"):
    case("H-25", "chunk size %r" % size[:20], chunked(size + b"\r\n" + b"hello\r\n" + LAST), 400, 413)
case("H-26", "bare lf after the size", chunked(CHUNK.replace(b"\r\n", b"\n", 1) + LAST))
case("H-26", "bare lf after the data", chunked(CHUNK[:-2] + b"\n" + LAST))
case("H-26", "bare lf after the last size", chunked(CHUNK + b"0\n\r\n"))
case("H-26", "bare lf after a trailer", chunked(CHUNK + b"0\r\nX-A: b\n\r\n"))
case("H-27", "bare cr after the size", chunked(CHUNK.replace(b"\r\n", b"\r", 1) + LAST))
case("H-27", "cr cr", chunked(CHUNK[:-2] + b"\r\rX" + LAST))
case("H-28", "1 MB of extension", chunked(b"5;a=" + b"b" * 1000000 + b"\r\nhello\r\n" + LAST), 400, 413, 431)
for ext in (b";\x00", b";a=\nb", b";a=\rb", b';a="b', b";a\x7f"):
    case("H-29", repr(ext), chunked(b"%x%s\r\n%s\r\n" % (len(BODY), ext, BODY) + LAST))
case("H-30", "data longer than size", chunked(b"5\r\nhello!\r\n" + LAST))
case("H-30", "no line end after data", chunked(b"5\r\nhello" + LAST))
case("H-33", "credential only in the trailer", req(b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n" + AUTH + b"\r\n\r\n", usual=(HOST, TYPE)), 401)
case("H-33", "huge trailer", chunked(CHUNK + b"0\r\nX-A: " + b"b" * 40000 + b"\r\n\r\n"), 400, 431)
case("H-34", "bare lf after the request line", GOOD.replace(b"\r\n", b"\n", 1))
case("H-34", "bare lf after a header", GOOD.replace(b"test\r\n", b"test\n", 1))
case("H-34", "bare lf as the blank line", GOOD.replace(b"\r\n\r\n", b"\r\n\n", 1))
case("H-34", "bare lf everywhere", GOOD.replace(b"\r\n", b"\n"))
case("H-35", "bare cr in a value", req(LENGTH, b"X-A: b\rc"))
case("H-35", "bare cr in a name", req(LENGTH, b"X-\rA: b"))
case("H-35", "cr before the blank line", GOOD.replace(b"\r\n\r\n", b"\r\n\r\r\n", 1))
for byte in (0x00, 0x01, 0x08, 0x0b, 0x1f, 0x7f):
    case("H-36", "byte %02x in a value" % byte, req(LENGTH, b"X-A: b" + bytes([byte]) + b"c"))
    case("H-36", "byte %02x in a name" % byte, req(LENGTH, b"X-" + bytes([byte]) + b"A: b"))
    case("H-36", "byte %02x in the target" % byte, req(LENGTH, line=b"POST /v1/chat" + bytes([byte]) + b"/completions HTTP/1.1"))
case("H-37", "folded authorization", req(LENGTH, usual=(HOST, AUTH.replace(b"Bearer ", b"Bearer\r\n "), TYPE)))
case("H-37", "folded coding", chunked(CHUNK + LAST).replace(b"Encoding: ", b"Encoding:\r\n "))
for name in (b"Host", b"Content-Length"):
    case("H-38", name.decode(), GOOD.replace(name + b":", name + b" :", 1))
case("H-39", "white space led first line", LINE + b"\r\n X: y\r\n" + b"\r\n".join([HOST, AUTH, TYPE, LENGTH]) + b"\r\n\r\n" + BODY)
case("H-39", "no colon", req(LENGTH, b"nonsense"))
case("H-39", "empty name", req(LENGTH, b": x"))
for name in (b"a b", b"a(b", b"a\xe4", b"a,b", b'a"'):
    case("H-39", "name %r" % name, req(LENGTH, name + b": x"))
case("H-40", "many blank lines first", b"\r\n" * 3000 + GOOD)
case("H-41", "two spaces", req(LENGTH, line=LINE.replace(b" ", b"  ", 1)))
case("H-41", "tab", req(LENGTH, line=LINE.replace(b" ", b"\t", 1)))
case("H-41", "trailing space", req(LENGTH, line=LINE + b" "))
for version in (b"HTTP/1.2", b"HTTP/1.32", b"http/1.1", b"HTTP/01.1", b"HTTP/1.1x", b"HTTP/2.0", b"HTTP/", b"HTTP/1", b"FTP/1.1"):
    case("H-42", version.decode(), req(LENGTH, line=b"POST /v1/chat/completions " + version), 400, 505)
case("H-42", "0.9", b"GET /\r\n\r\n", 400, 505)
case("H-42", "h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505)
case("H-43", "quote in the method", req(LENGTH, line=b'G"ET /v1/models HTTP/1.1'))
case("H-43", "connect", b"CONNECT up.test:443 HTTP/1.1\r\n" + HOST + b"\r\n\r\n", 400, 404, 405, 501)
case("H-44", "absolute form of another host", req(LENGTH, line=b"POST http://evil.test/v1/chat/completions HTTP/1.1"))
case("H-45", "authority form", req(LENGTH, line=b"POST gateway.test:80 HTTP/1.1"))
case("H-45", "fragment", req(LENGTH, line=b"POST /v1/chat/completions#x HTTP/1.1"))
case("H-45", "raw high byte", req(LENGTH, line=b"POST /v1/chat/completions\xff HTTP/1.1"))
case("H-45", "20 KB target", req(LENGTH, line=b"POST /" + b"a" * 20000 + b" HTTP/1.1"), 400, 414, 431)
case("H-46", "no host", req(LENGTH, usual=(AUTH, TYPE)))
case("H-46", "two hosts", req(LENGTH, HOST))
for host in (b"a,b", b"u@h", b"h/p", b"h?x", b"h:port", b"h:99999999", b"h h", b"h#x", b"h\\x"):
    case("H-46", repr(host), req(LENGTH, usual=(b"Host: " + host, AUTH, TYPE)))
case("H-48", "200 headers", req(LENGTH, *[b"X-%d: y" % i for i in range(200)]), 431)
case("H-48", "40 KB head", req(LENGTH, *[b"X-%d: " % i + b"y" * 1000 for i in range(40)]), 431)
case("H-48", "one 40 KB header", req(LENGTH, b"X-A: " + b"y" * 40000), 431)
case("H-49", "two authorizations", req(LENGTH, AUTH), 400, 401)
case("H-49", "two content types", req(LENGTH, TYPE), 400)
for expect in (b"y 100-continue", b"100-Continue,x", b"200-ok"):
    case("H-51", repr(expect), req(LENGTH, b"Expect: " + expect), 417, 400)

IDS = ["%s %s" % (c[0], c[1]) for c in CASES]


@pytest.fixture(scope="module")
def bench():
    with fake.Upstream(dialects.behave) as up:
        with Weir(config(providers=[provider("up", up.base + "/v1")], limits={"maxRequestBytes": 2000000})) as weir:
            yield weir, up


def refused(w, statuses, name, head=False):
    reply = w.reply(8, head_request=head)
    assert reply.status in statuses, (name, reply)
    assert reply.whole or reply.end == "close", (name, reply)
    assert TOKEN.encode() not in reply.body
    assert w.closed_within(5), (name, "still open, or more came: %r" % w.buf[:200])


@pytest.mark.parametrize("id,name,raw,statuses", CASES, ids=IDS)
def test_request(bench, id, name, raw, statuses):
    weir, up = bench
    up.clear()
    head = raw.startswith(b"HEAD ")
    with wire.Wire(weir.port) as w:
        w.send(raw + GOOD + GOOD)
        refused(w, statuses, "two behind", head)
    with wire.Wire(weir.port) as w:
        w.send(raw)
        w.sock.shutdown(1) if raw.endswith(b"\xff") else None
        refused(w, statuses, "alone", head) if not_waiting(raw) else None
    assert not up.requests, "something reached the upstream: %r" % up.requests[0].raw_head
    with wire.Wire(weir.port) as w:
        w.send(GOOD)
        assert w.reply().status == 200
        w.send(raw + GOOD)
        refused(w, statuses, "after a good one", head)
    assert len(up.requests) == 1
    if len(raw) < 2500:
        with wire.Wire(weir.port) as w:
            for i in range(len(raw)):
                if not w.send(raw[i:i + 1]):
                    break
            w.send(GOOD)
            refused(w, statuses, "byte by byte", head)
        assert len(up.requests) == 1


def not_waiting(raw):
    """Whether the bytes as such are enough to refuse; some need what comes behind to be complete."""
    return raw.endswith((BODY, LAST, b"\r\n\r\n"))


ACCEPTED = [
    ("H-12", "Chunked", req(b"Transfer-Encoding: Chunked", body=CHUNK + LAST)),
    ("H-12", "CHUNKED", req(b"transfer-encoding: CHUNKED", body=CHUNK + LAST)),
    ("H-13", "underscores", req(LENGTH, b"Transfer_Encoding: chunked", b"Content_Length: 3")),
    ("H-28", "extension", chunked(b'%x;a=b;c="d"\r\n%s\r\n' % (len(BODY), BODY) + LAST)),
    ("H-33", "trailer", chunked(CHUNK + b"0\r\nContent-Length: 3\r\nX-T: 1\r\n\r\n")),
    ("H-40", "one blank line first", b"\r\n" + GOOD),
    ("H-44", "absolute form of the same host", req(LENGTH, line=b"POST http://gateway.test/v1/chat/completions HTTP/1.1")),
    ("H-52", "upgrade", req(LENGTH, b"Connection: Upgrade", b"Upgrade: websocket")),
    ("H-52", "h2c", req(LENGTH, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")),
    ("H-53", "connection names headers", req(LENGTH, b"Connection: keep-alive, authorization, content-length, host, x-api-key")),
    ("H-54", "hop by hop", req(LENGTH, b"Keep-Alive: 5", b"Proxy-Connection: x", b"TE: trailers", b"Proxy-Authorization: Basic secret", b"Cookie: a=b",
                               b"Accept-Encoding: gzip", b"X-Forwarded-For: 1.2.3.4", b"Forwarded: for=1.2.3.4", b"X-Weir-Secret: 1")),
    ("H-32", "one byte chunks", chunked(b"".join(b"1\r\n%c\r\n" % b for b in BODY) + LAST)),
]


@pytest.mark.parametrize("id,name,raw", ACCEPTED, ids=["%s %s" % a[:2] for a in ACCEPTED])
def test_accepted(bench, id, name, raw):
    """Accepted requests reach upstream once, rebuilt: one length, the gateway's own framing, no header that is a hop's."""
    weir, up = bench
    for split in (False, True):
        up.clear()
        with wire.Wire(weir.port) as w:
            if split:
                for i in range(len(raw)):
                    w.send(raw[i:i + 1])
            else:
                w.send(raw)
            assert w.reply().status == 200
            w.send(GOOD)
            assert w.reply().status == 200, "the connection was not usable after it"
        assert len(up.requests) == 2
        q = up.requests[0]
        assert json.loads(q.body) == {**json.loads(BODY), "model": "text"}
        names = [n.lower() for n, _ in q.headers]
        assert names.count("content-length") == 1 and q.get("content-length") == str(len(q.body))
        assert not set(names) & {"transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection", "proxy-authorization", "cookie",
                                 "transfer_encoding", "content_length", "x-forwarded-for", "forwarded", "x-weir-secret", "http2-settings",
                                 "authorization", "x-api-key", "expect", "x-t"}, names
        assert q.get("accept-encoding") == "identity" and TOKEN.encode() not in q.raw_head
        assert q.line == "POST /v1/chat/completions HTTP/1.1"


def test_h04_obfuscated_transfer_encoding(bench):
    """A thousand ways to hide a coding, each with a length: refused, or read as the RFC reads it; never two requests."""
    weir, up = bench
    names = [b"Transfer-Encoding", b"transfer-encoding", b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer-Encoding\t", b"Transfer\x00-Encoding",
             b"Transfer-Encoding\x0b", b"X: y\r\nTransfer-Encoding", b"X: y\nTransfer-Encoding", b"X: y\rTransfer-Encoding", b"Transfer_Encoding", b"TransferEncoding"]
    values = [b"chunked", b" chunked", b"\tchunked", b"  chunked", b"chunked ", b"chunked\t", b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b"chunked\x00",
              b"\x00chunked", b"xchunked", b"chunkedx", b"chun\x00ked", b'"chunked"', b"'chunked'", b"chunked,", b",chunked", b"chunked, chunked", b"chunked;q=1",
              b"identity", b"identity, chunked", b"chunked, identity", b"\r\n chunked", b"\n chunked", b"CHUNKED", b"cHuNkEd", b"chu\r\n nked", b"gzip, chunked",
              b"\xc2\xa0chunked", b"\x85chunked", b"chunked\xa0", b"chunked#", b"chunked\r", b"0chunked", b"chunked/1", b"[chunked]", b"chunked=1", b"", b" "]
    seps = [b": ", b":", b":\t"]
    done = 0
    for name, value, sep in itertools.product(names, values, seps):
        for first in (True, False):
            te, cl = name + sep + value, b"Content-Length: %d" % (len(CHUNK) + 5)
            lines = (te, cl) if first else (cl, te)
            up.clear()
            with wire.Wire(weir.port) as w:
                w.send(req(*lines, body=CHUNK + LAST) + b"GET /v1/models HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
                reply = w.reply(8)
                assert reply.status in (400, 501), (lines, reply)
                assert w.closed_within(5), lines
            assert not up.requests, lines
            done += 1
    assert done >= 2000


# ---- JSON that two parsers would read differently ------------------------------------------------------------------------
JSON_BAD = [
    ("S-33", '{"model":"up:text","Model":"up:e500","messages":[]}'), ("S-33", '{"model":"up:text","MODEL":"up:e500","messages":[]}'),
    ("S-34", '{"model":"up:text","model":"up:e500","messages":[]}'), ("S-34", '{"mod\\u0065l":"up:e500","model":"up:text","messages":[]}'),
    ("S-34", '{"model":"up:text","messages":[]} x'), ("S-34", '{"model":"up:text","messages":[]}{}'), ("S-34", '\ufeff{"model":"up:text","messages":[]}'),
    ("S-34", '{"model":"up:text","messages":[]}\x00'), ("S-35", '{"model":"up:text","stream":true,"stream":false,"messages":[]}'),
    ("S-35", '{"model":"up:text","stream":true,"Stream":false,"messages":[]}'), ("S-35", '{"model":"up:text","stream":"true","messages":[]}'),
    ("S-35", '{"model":"up:text","max_tokens":1,"max_tokens":9,"messages":[]}'),
    ("S-37", '{"model":"up:text","messages":' + "[" * 70 + "]" * 70 + "}"), ("S-37", '{"model":"up:text","messages":' + "[" * 200000),
    ("S-36", '{"model":"up:text","n":01}'), ("S-36", '{"model":"up:text","n":1e}'), ("S-36", '{"model":"up:text","n":-}'),
    ("-", '{"model":"up:text",}'), ("-", '{"model":"up:text" "a":1}'), ("-", "{'model':'up:text'}"), ("-", '{"model":"up:text","a":[1,]}'),
    ("-", '{"model":"up:text","a":nul}'), ("-", '{"model":"up:te\nxt"}'), ("-", ""), ("-", " "), ("-", "[]"), ("-", "null"), ("-", '"model"'),
    ("-", "{}"), ("-", '{"model":7}'), ("-", '{"model":null}'), ("-", '{"model":["up:text"]}'), ("-", '{"models":"up:text"}'), ("-", '{"models":[]}'),
    ("-", '{"models":[7]}'), ("-", '{"model":"up:text","models":{}}'), ("-", '{"model":""}'),
    ("-", '{"models":[' + ",".join('"up:m%d"' % i for i in range(33)) + "]}"),
]
JSON_BYTES = [("S-38", b'{"model":"up:te\xffxt"}'), ("S-38", b'{"model":"up:\xc0\xaftext"}'), ("S-38", b'{"model":"up:text","a":"\xed\xa0\x80"}'),
              ("S-38", b'{"model":"up:\\ud800"}')]
JSON_ALL = [(i, t.encode()) for i, t in JSON_BAD] + JSON_BYTES


@pytest.mark.parametrize("id,body", JSON_ALL, ids=["%s %d" % (c[0], n) for n, c in enumerate(JSON_ALL)])
def test_json_refused(bench, id, body):
    weir, up = bench
    up.clear()
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
        with wire.Wire(weir.port) as w:
            w.send(wire.head_of("POST", path, body=body, token=TOKEN) + body)
            reply = w.reply()
            assert reply.status == 400, (path, reply)
            answer = json.loads(reply.body)
            assert (answer["type"] == "error") if path.endswith("messages") else answer["error"]["code"] == "invalid_request", answer
    assert not up.requests


JSON_KEPT = ['{"model":"up:text","n":1e999999999,"messages":[]}', '{"model":"up:text","n":' + "9" * 100000 + ',"messages":[]}',
             '{ "model" : "up:text" ,\n\t"messages":[{"role":"user","content":"\\u00e4\\ud83d\\ude00\\/ é \\u0000"}]}\n',
             '{"model":"up:text","a":{"Model":1,"model":2,"model":3},"messages":[]}', '{"messages":[],"model":"up:\\u0074ext"}']


@pytest.mark.parametrize("i", range(len(JSON_KEPT)))
def test_json_kept_byte_for_byte(bench, i):
    weir, up = bench
    up.clear()
    body = JSON_KEPT[i].encode()
    up.play = lambda r: fake.answer(200, dialects.Chat.plain())
    try:
        assert weir.call("/v1/chat/completions", body).status == 200
    finally:
        up.play = dialects.behave
    got = up.requests[0].body
    want = body.replace(b'"up:text"', b'"text"', 1).replace(b'"up:\\u0074ext"', b'"text"', 1)
    assert got == want


# ---- conversations ----------------------------------------------------------------------------------------------------------
def test_h19_a_body_is_never_read_as_a_request(bench):
    """Refused for its key, path or method: the body behind must not be answered as if it were a request."""
    weir, up = bench
    inner = b"GET /healthz HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
    length = b"Content-Length: %d" % len(inner)
    rows = [(req(length, body=inner, usual=(HOST, TYPE)), 401), (req(length, body=inner, line=b"POST /v1/nothing HTTP/1.1"), 404),
            (req(length, body=inner, line=b"PUT /v1/chat/completions HTTP/1.1"), 405)]
    for raw, status in rows:
        for pause in (0, 0.1):
            with wire.Wire(weir.port) as w:
                if pause:
                    w.send(raw[:-len(inner)])
                    time.sleep(pause)
                    w.send(inner)
                else:
                    w.send(raw)
                reply = w.reply()
                assert reply.status == status, reply
                if status == 405:
                    assert reply.get("allow") == "POST"
                w.closed_within(0.4)
                assert w.buf == b"", "the body was answered: %r" % w.buf[:100]


def test_h22_no_length(bench):
    with wire.Wire(bench[0].port) as w:
        w.send(req(body=b""))
        assert w.reply().status in (400, 411)


@pytest.mark.parametrize("end", ["fin", "reset"])
def test_h23_body_shorter_than_its_length(bench, end):
    weir, up = bench
    up.clear()
    for n in (0, 1, len(BODY) - 1):
        with wire.Wire(weir.port) as w:
            w.send(req(LENGTH, body=BODY[:n]))
            time.sleep(0.02)
            if end == "reset":
                w.reset()
            else:
                w.finish()
                reply = w.reply(3)
                assert reply.status in (0, 400), reply
    time.sleep(0.1)
    assert not up.requests


def test_h31_chunked_without_an_end(bench):
    weir, up = bench
    up.clear()
    with wire.Wire(weir.port) as w:
        w.send(chunked(CHUNK))
        w.finish()
        assert w.reply(3).status in (0, 400)
    assert not up.requests


H47 = ["/v1/%63hat/completions", "/v1//chat/completions", "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/chat%2fcompletions",
       "/v1/chat/completions/", "/V1/chat/completions", "/v1/chat/completions;x", "/v1/chat/completions%00", "/v1/chat/completions%20", "//v1/chat/completions",
       "/v1/..%2fadmin", "/v1/messages/../chat/completions", "/", "/v1", "/metrics", "/api/v1/keys", "/.env"]


@pytest.mark.parametrize("path", H47)
def test_h47_only_the_exact_path(bench, path):
    weir, up = bench
    up.clear()
    reply = weir.call(path, BODY)
    assert reply.status == 404, reply
    assert not up.requests


def test_h50_expect_continue(bench):
    weir, up = bench
    with wire.Wire(weir.port) as w:
        w.send(req(LENGTH, b"Expect: 100-continue", body=b""))
        assert w.reply(5, informational=True).status == 100
        w.send(BODY)
        assert w.reply().status == 200
    with wire.Wire(weir.port) as w:
        w.send(req(LENGTH, b"Expect: 100-continue", body=b"", usual=(HOST, TYPE, b"Authorization: Bearer wrong")))
        assert w.reply(5, informational=True).status == 401
        w.closed_within(0.3)
        assert w.buf == b""


def test_h55_h56_pipelining(bench):
    weir, up = bench
    with wire.Wire(weir.port) as w:
        bodies = [json.dumps(dialects.Chat.request("up:e400" if i % 3 == 2 else "up:text")).encode() for i in range(60)]
        w.send(b"".join(req(b"Content-Length: %d" % len(b), body=b) for b in bodies))
        assert [w.reply().status for _ in bodies] == [400 if i % 3 == 2 else 200 for i in range(60)]
    with wire.Wire(weir.port) as w:
        w.send(GOOD + req(LENGTH, b"nonsense") + GOOD)
        assert [w.reply().status, w.reply().status] == [200, 400]
        assert w.closed_within(5) and w.buf == b""


def test_h57_http_1_0(bench):
    line = b"POST /v1/chat/completions HTTP/1.0"
    with wire.Wire(bench[0].port) as w:
        w.send(req(LENGTH, line=line))
        reply = w.reply()
        assert reply.status == 200 and reply.get("transfer-encoding") is None and w.closed_within(3)
    with wire.Wire(bench[0].port) as w:
        stream = json.dumps(dialects.Chat.request("up:text", True)).encode()
        w.send(req(b"Content-Length: %d" % len(stream), line=line, body=stream))
        reply = w.reply()
        assert reply.status == 200 and reply.get("transfer-encoding") is None, "1.0 knows no chunks"
        assert reply.body == b"".join(dialects.stream_of(dialects.Chat))


def test_h58_refusal_can_be_read_while_still_sending(bench):
    """413 with megabytes in flight: the client reads the status, not a reset."""
    weir, _ = bench
    for _ in range(30):
        with wire.Wire(weir.port) as w:
            w.send(req(b"Content-Length: 8000000", body=b""))
            w.send(b"x" * 3000000)
            reply = w.reply(5)
            assert reply.status == 413, reply


def test_h60_h61_what_is_not_json(bench):
    weir, up = bench
    up.clear()
    for headers in ([("Content-Encoding", "gzip")], [("Content-Encoding", "br")], [("Content-Type", "multipart/form-data; boundary=x")],
                    [("Content-Type", "text/plain")]):
        assert weir.call("/v1/chat/completions", BODY, headers=headers).status in (400, 415), headers
    assert not up.requests


def test_authentication(bench):
    weir, up = bench
    up.clear()
    wrong = [[], [("Authorization", "Bearer")], [("Authorization", "Bearer ")], [("Authorization", "Basic " + TOKEN)], [("Authorization", TOKEN)],
             [("Authorization", "Bearer " + TOKEN[:-1])], [("Authorization", "Bearer " + TOKEN + "x")], [("Authorization", "Bearer " + TOKEN.upper())],
             [("x-api-key", TOKEN[1:])], [("Authorization", "Bearer " + TOKEN), ("x-api-key", "other-canary")]]
    for headers in wrong:
        reply = weir.call("/v1/chat/completions", BODY, token=None, headers=headers)
        assert reply.status == 401 and json.loads(reply.body)["error"]["code"] == "invalid_access_key", (headers, reply)
        assert TOKEN.encode()[:20] not in reply.body and b"canary" not in reply.body
    assert not up.requests
    for headers in ([("Authorization", "Bearer " + TOKEN)], [("authorization", "bearer " + TOKEN)], [("x-api-key", TOKEN)],
                    [("Authorization", "Bearer " + TOKEN), ("x-api-key", TOKEN)]):
        assert weir.call("/v1/chat/completions", BODY, token=None, headers=headers).status == 200, headers
    assert weir.call("/healthz", token=None).status == 200 and weir.call("/readyz", token=None).status == 200


def test_every_answer_forbids_caching(bench):
    """S-42: a shared cache between client and gateway must not keep what belongs to one key."""
    for reply in (bench[0].call("/v1/chat/completions", BODY), bench[0].call("/v1/nothing", BODY), bench[0].call("/v1/models")):
        assert "no-store" in (reply.get("cache-control") or ""), reply
