#!/usr/bin/env python3
"""seeds.py OUT: seeds for every fuzz target from the shared data (WEIR_SHARED, default ../shared), each target in OUT/<target>/.
Recorded answers and conformance vectors are taken as they are; where a target's first byte is an option, it is put in front.
Without that folder it does nothing: the committed seeds in fuzz/corpus are enough to begin with."""

import base64
import hashlib
import json
import os
import pathlib
import sys

SURFACES = ["chat", "responses", "messages", "count-tokens", "embeddings", "completions", "moderations", "images", "speech"]
DIALECTS = ["openai", "anthropic", "gemini", "azure"]
SEED_MAX = 6000  # larger ones slow the fuzzer down and teach it little
FRAMING = ("content-length", "transfer-encoding", "content-encoding")

shared = pathlib.Path(os.environ.get("WEIR_SHARED", "../shared"))
out = pathlib.Path(sys.argv[1])


def put(target, data):
    if 0 < len(data) <= SEED_MAX:
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def read(path):
    return path.read_bytes() if path.is_file() else b""


def recorded(case):
    """One recorded exchange."""
    try:
        meta = json.loads(read(case / "meta.json") or b"{}")
    except ValueError:
        meta = {}
    text = f"{meta.get('dialect', '')} {meta.get('path', '')}"
    surface = next((i for i, s in enumerate(SURFACES) if s in text), 0)
    dialect = next((i for i, d in enumerate(DIALECTS) if d in case.parent.name), 0)
    body, request, status = read(case / "response.body"), read(case / "request.json"), read(case / "response.status").split()
    lines = [l for l in read(case / "response.headers").splitlines() if l and not l.lower().startswith(tuple(f.encode() for f in FRAMING))]
    number = next((s for s in status if len(s) == 3 and s.isdigit()), b"200")
    head = b"HTTP/1.1 " + number + b" X\r\n" + b"\r\n".join(lines) + (b"\r\n\r\n" if lines else b"\r\n")
    put("http_response", head)
    put("request", bytes([1 + 2 * surface]) + request)
    put("json_edit", request)
    put("json_check", request)
    if body.lstrip()[:1] in (b"{", b"["):
        put("json_check", body)
        put("classify", bytes([dialect + 4 * surface]) + head + body)
    else:
        put("sse", body[:SEED_MAX])
        put("llm_stream", bytes([surface + 9 * dialect]) + body[: SEED_MAX - 1])


def vectors(path, targets):
    """Texts of a conformance collection in JSON: whatever member holds bytes."""
    def walk(x):
        if isinstance(x, dict):
            for v in x.values():
                walk(v)
        elif isinstance(x, list):
            for v in x:
                walk(v)
        elif isinstance(x, str) and "\n" in x:
            for t in targets:
                put(t, x.encode("latin-1", "ignore"))
    try:
        walk(json.loads(path.read_text()))
    except (ValueError, OSError):
        pass


put("config", read(pathlib.Path("config.example.json")))
if not shared.is_dir():
    print(f"left out: seeds of {shared}: not there")
    sys.exit(0)
for meta in sorted((shared / "recorded").glob("*/*/meta.json")) + sorted((shared / "data" / "reported-errors").glob("*/*/*")):
    if meta.name in ("meta.json", "response.body"):
        recorded(meta.parent)
conformance = shared / "data" / "conformance"
for path in conformance.glob("dns/**/*"):
    put("dns_msg", read(path))
for path in conformance.glob("json/**/*.json"):
    put("json_check", read(path))
    put("json_edit", read(path))
for path in conformance.glob("http1/*.json"):
    vectors(path, ["http_request", "http_response", "body"])
for path in conformance.glob("sse/**/*"):
    put("sse", read(path))
    vectors(path, ["sse"])
for path in list(conformance.glob("x509/**/*")):
    data = read(path)
    put("x509", data)
    if b"-----BEGIN CERTIFICATE" in data:
        for block in data.split(b"-----BEGIN CERTIFICATE-----")[1:]:
            try:
                put("x509", base64.b64decode(block.split(b"-----END")[0]))
            except ValueError:
                pass
