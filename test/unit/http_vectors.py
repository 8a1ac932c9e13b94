"""Turns the shared HTTP and SSE vectors into lines that the C tests read: columns separated by tabs, bytes as hex.
usage: http_vectors.py SHARED SET"""
import glob
import json
import os
import re
import sys

shared, which = sys.argv[1:3]


def load(name):
    with open(os.path.join(shared, "data/conformance", name), encoding="utf-8") as f:
        return json.load(f)


def hexed(text):
    return text.encode("latin-1").hex()


def row(*columns):
    print("\t".join(str(c) for c in columns))


def llhttp():
    """id, request|response, error code or 0, messages llhttp saw complete, bytes"""
    for case in load("http1/llhttp.json"):
        if case["type"] not in ("request", "response") or "skipBody" in case["mode"]:
            continue  # lenient modes; and heads that are told to have no body
        raw = case["raw"]
        # The collection lost the blank line at the end of inputs; llhttp's offsets still count it.
        offsets = [int(m) for line in case["llhttp_log"] for m in re.findall(r"off=(\d+)", line)]
        if offsets and max(offsets) > len(raw) and raw.endswith("\r\n"):
            raw += "\r\n"
        error = case["llhttp_error"]
        row(case["id"], case["type"], error["code"] if error else 0, case["llhttp_message_complete"], hexed(raw))


def pico():
    """request|response|headers, complete|incomplete|error, bytes"""
    for case in load("http1/picohttpparser.json"):
        row(case["kind"], case["expect"], hexed(case["raw"]))


def pico_chunked():
    """ok|incomplete|error, whether the trailer is eaten, bytes, decoded"""
    for case in load("http1/picohttpparser-chunked.json"):
        row(case["expect"], case["consume_trailer"], hexed(case["encoded"]), hexed(case["decoded"] or ""))


def sse():
    """name, bytes, then per event: its type in hex or '-' when the vector does not say, its data in hex"""
    for name in ("wpt-eventsource", "launchdarkly-contract"):
        for case in load("sse/%s.json" % name):
            wire = case.get("wire") or "".join(case["chunks"])
            # One collection writes a byte order mark cut in pieces as the characters of its bytes.
            data = wire.encode("latin-1") if wire.startswith("\xef\xbb\xbf") else wire.encode("utf-8")
            columns = [case["name"], data.hex()]
            for event in case["events"]:
                columns += [(event["event"] or "").encode().hex() if "event" in event else "-", event["data"].encode().hex()]
            row(*columns)


def streams():
    """quirk, path: recorded streams, a few for each family of quirks"""
    families = {"comments": re.compile(rb"(^|\n):"), "crlf": re.compile(rb"\r\n\r\n"),
                "no-event": re.compile(rb"\Adata:(?!(.|\n)*\nevent:)"), "padded": re.compile(rb"data:[^\n]*\S {2,}\}?\r?\n"),
                "long": re.compile(rb"[^\n]{30000}")}
    left = {"comments": 6, "crlf": 6, "no-event": 6, "padded": 6, "long": 3}
    for path in sorted(glob.glob(os.path.join(shared, "recorded/*/*/response.body"))):
        with open(os.path.join(os.path.dirname(path), "meta.json"), encoding="utf-8") as f:
            if json.load(f)["kind"] != "stream":
                continue
        with open(path, "rb") as f:
            body = f.read()
        for family, pattern in families.items():
            if left[family] and (len(body) < 20000 or family == "long") and pattern.search(body):
                left[family] -= 1
                row(family, path)


{"llhttp": llhttp, "pico": pico, "pico-chunked": pico_chunked, "sse": sse, "streams": streams}[which]()
