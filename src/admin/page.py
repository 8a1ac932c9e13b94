#!/usr/bin/env python3
"""Makes the dashboard's files ready to be compiled in.

    python3 src/admin/page.py src/admin/page src/admin/openapi.json OUT.h [FOLDER]

Comments and the space that nothing needs go; names and everything else stay as they were written. What is left is compressed, and goes as a table of paths, types, entity tags and bytes into OUT.h. With FOLDER the texts as they will be served
are written there too, for tests. The output depends on the input alone."""
import gzip
import hashlib
import json
import pathlib
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".json": "application/json"}
MOST = 80 * 1024  # the page's files together, as they are served

# A regular expression may only begin where a value may.
REGEX = r"(?<=[(,=:\[!&|?{};])\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*"
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|" + REGEX + r"|\s+|[\w$]+|.", re.S)
WORD = re.compile(r"[\w$]")


def script(text):
    out, gap = [], ""
    for token in TOKEN.findall(text):
        if token.startswith(("//", "/*")):
            continue
        if token.isspace():
            gap = "\n" if "\n" in gap + token else " "
            continue
        last = out[-1][-1] if out else ""
        # Spaces hold words apart, and keep + + from being ++.
        if gap == "\n" and out:
            if last not in "{[(,;:?=&|" and token[0] not in "}])":
                out.append("\n")
        elif gap and (WORD.match(last) and WORD.match(token) or last + token[0] in ("++", "--")):
            out.append(" ")
        gap = ""
        out.append(token)
    return "".join(out) + "\n"


def style(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"\s*\n\s*", "\n", text).strip() + "\n"
    text = re.sub(r" *([{};,]) *", r"\1", text)
    return re.sub(r"(?<=[\w-]): +", ":", text).replace(";}", "}")


def markup(text):
    return re.sub(r"\n\s+", "\n", text)


def document(text):
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) + "\n"


def main(folder, api, out, copies=None):
    files = sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix in TYPES) + [pathlib.Path(api)]
    rows, total = [], 0
    lines = ["/* Made by page.py from the files in src/admin/page; do not edit. */"]
    for n, path in enumerate(files):
        text = {".js": script, ".css": style, ".html": markup, ".json": document}[path.suffix](path.read_text(encoding="utf-8")).encode()
        total += len(text) if path.suffix != ".json" else 0
        if copies:
            pathlib.Path(copies).mkdir(parents=True, exist_ok=True)
            (pathlib.Path(copies) / path.name).write_bytes(text)
        packed = gzip.compress(text, 9, mtime=0)
        lines.append(f"static const unsigned char page_{n}[] = {{")
        lines += [",".join(map(str, packed[i:i + 32])) + "," for i in range(0, len(packed), 32)]
        lines.append("};")
        url = "/" if path.name == "index.html" else "/" + path.name
        tag = hashlib.sha256(text).hexdigest()[:16]
        rows.append(f'    {{"{url}", "{TYPES[path.suffix]}", "\\"{tag}\\"", page_{n}, sizeof page_{n}, {len(text)}}},')
    if total > MOST:
        raise SystemExit(f"page.py: the page has {total} bytes; {MOST} is the most that it may have")
    lines += ["static const struct page_asset page_assets[] = {"] + rows + ["};", ""]
    text = "\n".join(lines)
    target = pathlib.Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
