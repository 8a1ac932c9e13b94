"""A raw HTTP/1.1 client that knows which bytes came when, and that never hides how a message ended."""
import select
import socket
import struct
import time


class Reply:
    """One response. `end` says how it ended: length, chunked (last chunk seen), close (read to the end, no framing),
    none (no body by rule), cut (connection over before its framing said so), reset, timeout."""

    def __init__(self):
        self.status, self.reason, self.version = 0, "", ""
        self.headers, self.body, self.end = [], b"", "timeout"
        self.marks = []  # (seconds since the call, bytes of body known by then)

    def get(self, name, default=None):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        return found[0] if found else default

    @property
    def whole(self):
        return self.end in ("length", "chunked", "none")

    @property
    def attempts(self):
        """x-weir-attempts as [(provider, key name, what)]."""
        out = []
        for part in (self.get("x-weir-attempts") or "").split(","):
            left, sep, what = part.strip().rpartition("=")
            if sep:
                provider, _, key = left.partition("/")
                out.append((provider, key, what))
        return out

    def __repr__(self):
        return "<%s %s %r end=%s>" % (self.status, self.headers, self.body[:300], self.end)


class Wire:
    """One connection. Bytes are sent exactly as given."""

    def __init__(self, port, host="127.0.0.1", tls=None, server_name=None, rcvbuf=None, source=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(10)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name or host)
        self.buf, self.over, self.started = b"", None, time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()

    def send(self, data):
        """False when the other side is gone: a refusal may come while we still talk."""
        try:
            self.sock.settimeout(10)
            self.sock.sendall(data)
            return True
        except (ConnectionError, BrokenPipeError, TimeoutError):
            return False

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def more(self, deadline):
        """Reads once; False when nothing more will come (self.over: fin, reset) or the deadline has passed."""
        if self.over:
            return False
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            self.sock.settimeout(left)
            data = self.sock.recv(65536)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            self.over = "reset"
            return False
        if not data:
            self.over = "fin"
            return False
        self.buf += data
        return True

    def reply(self, timeout=10, head_request=False, on_data=None, informational=False):
        """The next response, read to its end by its own framing."""
        r = Reply()
        t0 = time.monotonic()
        deadline = t0 + timeout
        self.started = t0
        while b"\r\n\r\n" not in self.buf:
            if len(self.buf) > 7 and not self.buf.startswith(b"HTTP/1."):
                raise ValueError("not HTTP: %r" % self.buf[:40])
            if not self.more(deadline):
                r.end = {"fin": "cut", "reset": "reset"}.get(self.over, "timeout")
                return r
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        r.version, _, rest = lines[0].partition(" ")
        code, _, r.reason = rest.partition(" ")
        r.status = int(code)
        if not 100 <= r.status <= 999:
            raise ValueError("not a status: %r" % code)
        for line in lines[1:]:
            name, sep, value = line.partition(":")
            assert sep and name == name.strip() and name, "bad header line %r" % line
            r.headers.append((name, value.strip()))
        if r.status < 200:
            return r if informational else self.reply(timeout, head_request, on_data)
        lengths = [v for n, v in r.headers if n.lower() == "content-length"]
        codings = [v.lower() for n, v in r.headers if n.lower() == "transfer-encoding"]
        assert len(lengths) <= 1 and len(codings) <= 1 and not (lengths and codings), "two framings: %r" % r.headers

        def grew(data):
            r.body += data
            r.marks.append((time.monotonic() - t0, len(r.body)))
            if on_data and data:
                on_data(r)

        def gone():
            return {"fin": "cut", "reset": "reset"}.get(self.over, "timeout")

        if head_request or r.status in (204, 304):
            r.end = "none"
        elif codings:
            assert codings == ["chunked"], codings
            while True:
                while b"\r\n" not in self.buf:
                    if not self.more(deadline):
                        r.end = gone()
                        return r
                line, self.buf = self.buf.split(b"\r\n", 1)
                size = int(line.split(b";")[0], 16)
                while len(self.buf) < size + 2:
                    if not self.more(deadline):
                        grew(self.buf[:size])
                        self.buf = b""
                        r.end = gone()
                        return r
                data, self.buf = self.buf[:size], self.buf[size:]
                assert self.buf[:2] == b"\r\n", "chunk data longer than its size"
                self.buf = self.buf[2:]
                if size == 0:
                    r.end = "chunked"
                    return r
                grew(data)
        elif lengths:
            want = int(lengths[0])
            while len(r.body) < want:
                if self.buf:
                    data, self.buf = self.buf[: want - len(r.body)], self.buf[want - len(r.body):]
                    grew(data)
                elif not self.more(deadline):
                    r.end = gone()
                    return r
            r.end = "length"
        else:
            while True:
                if self.buf:
                    data, self.buf = self.buf, b""
                    grew(data)
                elif not self.more(deadline):
                    r.end = "close" if self.over == "fin" else gone()
                    return r
        return r

    def closed_within(self, seconds):
        """Whether the other side closes (or resets) without a further byte."""
        deadline = time.monotonic() + seconds
        while self.more(deadline):
            pass
        return self.over is not None and not self.buf

    def silent_for(self, seconds):
        return not self.buf and not select.select([self.sock], [], [], seconds)[0]


def head_of(method, path, headers=(), body=None, token=None):
    lines = ["%s %s HTTP/1.1" % (method, path)]
    names = {n.lower() for n, _ in headers}
    if "host" not in names:
        lines.append("Host: gateway.test")
    if token and not names & {"authorization", "x-api-key"}:
        lines.append("Authorization: Bearer " + token)
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append("Content-Length: %d" % len(body))
    if body is not None and "content-type" not in names:
        lines.append("Content-Type: application/json")
    lines += ["%s: %s" % h for h in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def call(port, path, body=None, token=None, method=None, headers=(), timeout=10, **kw):
    """One request on a connection of its own."""
    with Wire(port, **kw) as w:
        method = method or ("POST" if body is not None else "GET")
        w.send(head_of(method, path, headers, body, token) + (body or b""))
        return w.reply(timeout, head_request=method == "HEAD")
