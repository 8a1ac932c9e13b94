"""A DNS server on a loopback port whose answers are told by the name, for tests of how weir looks names up."""
import socket
import struct
import threading


def qname(data):
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return ".".join(labels), data[at + 1:at + 5], at + 5


def encode(name):
    return b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"


def address(ip, ttl=30):
    return b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl, 4) + socket.inet_aton(ip)


class Names:
    def __init__(self):
        while True:  # a port that is free for UDP may be taken for TCP
            self.udp, self.tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.close()
        self.tcp.listen(16)
        self.asked = []
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def close(self):
        self.udp.close()
        self.tcp.close()

    def answers(self, data, stream=False):
        """The datagrams to send back, in order."""
        name, kind, end = qname(data)
        self.asked.append((name, struct.unpack(">H", kind[:2])[0], stream))
        question = data[12:end]

        def message(rcode=0, records=(), flags=0x8180, txid=data[:2], q=question):
            return txid + struct.pack(">HHHHH", flags | rcode, 1, len(records), 0, 0) + q + b"".join(records)
        v4 = kind[:2] == b"\0\1"
        first = name.split(".")[0]
        if first == "nx":
            return [message(3)]
        if first == "servfail":
            return [message(2)]
        if first == "refuse":
            return [message(5)]
        if first == "silent":
            return []
        if not v4 or first == "empty":
            return [message()]
        if first == "trunc":
            return [message(records=[address("127.0.0.1")])] if stream else [message(flags=0x8380)]
        if first == "spoof":  # answers to other questions than ours come first
            other = encode("evil.test") + kind
            return [message(records=[address("127.9.9.9")], txid=bytes([data[0] ^ 1, data[1]])),
                    message(records=[address("127.9.9.9")], q=other), message(records=[address("127.0.0.1")])]
        if first == "loop":
            return [data[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question + b"\xc0" + bytes([end]) + b"\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1"]
        if first == "cname":
            target = encode("real.test")
            alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 30, len(target)) + target
            real = target + struct.pack(">HHIH", 1, 1, 30, 4) + socket.inet_aton("127.0.0.1")
            return [message(records=[alias, real])]
        if first == "many":
            return [message(records=[address("127.0.0.%d" % i) for i in (9, 8, 7, 6, 5, 4, 3, 1)])]
        if first == "meta":
            return [message(records=[address("169.254.169.254")])]
        return [message(records=[address("127.0.0.1")])]

    def serve_udp(self):
        while True:
            try:
                data, who = self.udp.recvfrom(2000)
                for a in self.answers(data):
                    self.udp.sendto(a, who)
            except OSError:
                return
            except (IndexError, struct.error):
                continue

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                conn.settimeout(3)
                try:
                    size = struct.unpack(">H", conn.recv(2))[0]
                    data = b""
                    while len(data) < size:
                        data += conn.recv(size - len(data))
                    for a in self.answers(data, True):
                        conn.sendall(struct.pack(">H", len(a)) + a)
                except (OSError, struct.error, IndexError):
                    pass
