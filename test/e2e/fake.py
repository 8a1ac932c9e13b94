"""A scriptable upstream: it records every byte it gets and plays a list of steps for each request.

A step is bytes (sent in one write), or a tuple:
    ("sleep", seconds)      ends early when the peer goes away
    ("drip", data, gap)     one byte per write
    ("pieces", [data, ...], gap)
    ("hold", seconds)       says nothing; ends when the peer goes away
    ("flood", data, times)  until the peer goes away
    ("fin",)  ("rst",)      ends the connection
    ("call", function)      function(conn)
After the last step the connection waits for the next request, unless the script ended it.
"""
import json
import select
import socket
import ssl
import struct
import threading
import time


class Request:
    def __init__(self, raw_head, body, conn):
        self.raw_head, self.body, self.conn = raw_head, body, conn
        lines = raw_head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.method, self.target, self.version = (lines[0].split(" ") + ["", "", ""])[:3]
        self.headers = [(n, v.strip()) for n, _, v in (x.partition(":") for x in lines[1:] if x)]
        self.at = time.monotonic()

    def get(self, name, default=None):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        return found[0] if found else default

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def model(self):
        obj = self.json
        return obj.get("model") if isinstance(obj, dict) else None


class Conn:
    def __init__(self, sock):
        self.sock, self.received, self.requests = sock, b"", 0
        self.opened, self.gone_at = time.monotonic(), None

    @property
    def gone(self):
        return self.gone_at is not None

    def peer_gone(self, seconds):
        """Waits up to that long for the peer to close; what it sends meanwhile is kept in `received`."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
                if not pending and not select.select([self.sock], [], [], left)[0]:
                    return False
                data = self.sock.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            except OSError:
                data = b""
            if not data:
                self.gone_at = self.gone_at or time.monotonic()
                return True
            self.received += data


class Upstream:
    """play(request) gives the steps. on_accept: steps played before a request is read (to fail at connect time).
    early(raw head) gives steps to play before the body is read, or None."""

    def __init__(self, play=None, tls=None, on_accept=None, early=None, rcvbuf=None):
        self.play, self.tls, self.on_accept, self.early = play or (lambda r: ok_json(r)), tls, on_accept, early
        self.requests, self.conns, self.tls_failures, self.lock = [], [], [], threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.listener = socket.socket()
        if rcvbuf:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.port = self.listener.getsockname()[1]
        self.base = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.closing = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def close(self):
        self.closing = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for c in list(self.conns):
            try:
                c.sock.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()

    def clear(self):
        with self.lock:
            self.requests.clear()

    def wait(self, predicate, timeout=5):
        """Waits until predicate(self) holds; its last value."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not predicate(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    return predicate(self)
                self.changed.wait(min(left, 0.05))
            return predicate(self)

    def seen(self, model):
        with self.lock:
            return [r for r in self.requests if r.model == model]

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn = Conn(sock)
        with self.changed:
            self.conns.append(conn)
            self.changed.notify_all()
        try:
            if self.on_accept is not None and not self.run(conn, self.on_accept):
                return
            if self.tls:
                try:
                    conn.sock = self.tls.wrap_socket(sock, server_side=True)
                except (OSError, ssl.SSLError) as e:
                    self.tls_failures.append(str(e))
                    return
            while self.exchange(conn):
                pass
        except OSError:
            pass
        finally:
            with self.changed:
                conn.gone_at = conn.gone_at or time.monotonic()
                self.changed.notify_all()
            try:
                conn.sock.close()
            except OSError:
                pass

    def fill(self, conn):
        data = conn.sock.recv(65536)
        if not data:
            return False
        conn.received += data
        return True

    def exchange(self, conn):
        while b"\r\n\r\n" not in conn.received:
            if not self.fill(conn):
                return False
        head, conn.received = conn.received.split(b"\r\n\r\n", 1)
        request = Request(head, b"", conn)
        conn.requests += 1
        if self.early:
            steps = self.early(request)
            if steps is not None:
                with self.changed:
                    self.requests.append(request)
                    self.changed.notify_all()
                return self.run(conn, steps)
        want = int(request.get("content-length") or 0)
        while len(conn.received) < want:
            if not self.fill(conn):
                return False
        request.body, conn.received = conn.received[:want], conn.received[want:]
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        return self.run(conn, self.play(request))

    def run(self, conn, steps):
        for step in steps:
            if isinstance(step, (bytes, bytearray)):
                conn.sock.sendall(step)
                continue
            what = step[0]
            if what == "sleep":
                if conn.peer_gone(step[1]):
                    return False
            elif what == "hold":
                conn.peer_gone(step[1])
                return False
            elif what == "drip":
                for i in range(len(step[1])):
                    conn.sock.sendall(step[1][i:i + 1])
                    if step[2] and conn.peer_gone(step[2]):
                        return False
            elif what == "pieces":
                for piece in step[1]:
                    conn.sock.sendall(piece)
                    if step[2] and conn.peer_gone(step[2]):
                        return False
            elif what == "flood":
                for _ in range(step[2]):
                    conn.sock.sendall(step[1])
            elif what == "call":
                step[1](conn)
            elif what == "fin":
                try:
                    conn.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                conn.peer_gone(2)
                return False
            elif what == "rst":
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                conn.sock.close()
                return False
            else:
                raise ValueError(what)
        return True


# ---- building answers -------------------------------------------------------------------------------------------
def head(status, headers=(), reason=None):
    reason = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
              500: "Internal Server Error", 503: "Service Unavailable"}.get(status, "Thing") if reason is None else reason
    return ("HTTP/1.1 %d %s\r\n" % (status, reason) + "".join("%s: %s\r\n" % h for h in headers) + "\r\n").encode("latin-1")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def answer(status, body=b"", headers=(), framing="length", ctype="application/json", pieces=None, gap=0):
    """Steps of a complete answer. pieces: how to cut the body into writes."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [("Content-Type", ctype)] * bool(ctype) + list(headers)
    pieces = [body] if pieces is None else pieces
    if framing == "length":
        steps = [head(status, headers + [("Content-Length", len(body))])]
        return [steps[0] + pieces[0]] if len(pieces) == 1 else steps + [("pieces", pieces, gap)]
    if framing == "chunked":
        h = head(status, headers + [("Transfer-Encoding", "chunked")])
        return [h, ("pieces", [chunk(p) for p in pieces if p], gap), b"0\r\n\r\n"]
    return [head(status, headers + [("Connection", "close")]), ("pieces", pieces, gap), ("fin",)]


def sse(events, status=200, framing="chunked", headers=(), gap=0, last=()):
    """Steps of an event stream, one write an event."""
    head_, *rest = answer(status, b"".join(events), headers, framing, "text/event-stream", list(events), gap)
    return [head_, *rest[:-1], *last, rest[-1]] if last else [head_, *rest]


def ok_json(request):
    return answer(200, {"ok": True})
