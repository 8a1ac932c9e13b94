#!/usr/bin/env python3
"""failover_table.py [GATEWAY...]: the fault tables (faults.py) against gateways that have a second, healthy provider, one line a
case: what should come of it and what the client got. For weir also what it says when there is no second provider. With --write
the comparison goes into test/RESULTS.md.

Outcomes, all from what the client received:
  answer  the whole answer arrived: every word, its proper end, status 200
  wrong   status 200 and a proper end, but not the answer: junk, or a cut answer that looks whole
  error   the client sees an error or a broken connection
  hang    nothing had ended after 15 seconds (each gateway is told to wait 3)
Before anything is sent to the client the only good outcome is `answer`. When a stream breaks after content went out, `error` is
the honest one (or `answer`, by a gateway that could continue it) and `wrong` the failure."""
import collections
import concurrent.futures
import datetime
import pathlib
import re
import sys

import dialects
import fake
import faults
import gateways
import test_faults as tf
from dialects import SURFACES, TEXT
from faults import CUT, FAULTS, LATE, OK

HANG_S = 15
ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUPS = [
    ("names, connecting, TLS", lambda i: "F-001" <= i <= "F-026"),
    ("request lost, bad heads", lambda i: "F-028" <= i <= "F-047" or i.startswith("R-")),
    ("error statuses", lambda i: "F-048" <= i <= "F-078"),
    ("200, but wrong", lambda i: "F-079" <= i <= "F-092"),
    ("stream fails before its first word", lambda i: "F-093" <= i <= "F-107"),
]
LATE_CUT, LATE_WHOLE = "stream breaks later", "stream whole, odd end"
TERMINAL = {"chat-completions": b'"finish_reason":"', "responses": b"response.completed", "messages": b"message_stop"}


class Case:
    def __init__(self, id, name, d, stream, place, model, want, group, size=0, f=None):
        self.id, self.name, self.d, self.stream, self.place, self.model = id, name, d, stream, place, model
        self.want, self.group, self.size, self.f = want, group, size, f

    @property
    def title(self):
        return "%s %s, %s %s" % (self.id, self.name, self.d.surface, "stream" if self.stream else "plain")


def cases():
    out = []
    for f, d, mode in tf.CELLS:
        # Passing junk or a policy's refusal on is a decision, not a loss: weir's own table has them, the comparison leaves them out.
        if not f.follow or f.id in ("F-083", "F-084"):
            continue
        place = f.base or (f.model.replace(".", "-") if f.early else "bad")
        out.append(Case(f.id, f.name, d, mode == "stream", place, f.model, "answer", [g for g, in_ in GROUPS if in_(f.id)][0], f.size, f))
    for i, (id, name, _, sees, surfaces, _, _) in enumerate(LATE):
        for d in SURFACES:
            if d.surface in surfaces:
                whole = sees in (faults.WHOLE, "finished", "no-usage")
                out.append(Case(id, name, d, True, "bad", "late-%d" % i, "answer" if whole else "error", LATE_WHOLE if whole else LATE_CUT))
    return out


def outcome(case, reply):
    d = case.d
    if reply.end == "timeout":
        return "hang"
    if reply.status != 200:
        return "error"
    if not case.stream:
        if not reply.whole:
            return "error"
        try:
            return "answer" if d.text_of(reply.body) == TEXT else "wrong"
        except (ValueError, KeyError, IndexError, TypeError):
            return "wrong"
    body = re.sub(rb'"(finish_reason|type|error)": ', rb'"\1":', reply.body)
    text = tf.stream_text(d, reply.body)
    ended = TERMINAL[d.surface] in body
    failed = b"event: error" in body or b'"type":"error"' in body or re.search(rb'"error":\s*[{"]', body) or b"response.failed" in body
    if failed:
        return "error"
    if ended and text == TEXT and case.want == "answer":
        return "answer"
    return "wrong" if reply.whole else "error"


def ask(gateway, case):
    body = case.d.request(case.model, case.stream)
    if case.size:
        body["metadata"] = {"filler": "x" * case.size}
    try:
        reply = gateway.call(case.d, case.place, body, HANG_S)
    except OSError as e:
        return "error", str(e)
    except (AssertionError, ValueError) as e:     # an answer whose framing no client can read
        return "error", "not HTTP: " + str(e)[:60]
    return outcome(case, reply), "%d %s" % (reply.status, reply.end)


class Providers:
    """The failing ones, by place, and the one that is well."""

    def __enter__(self):
        self.up, self.narrow = fake.Upstream(tf.play), fake.Upstream(tf.play, early=tf.early, rcvbuf=4096)
        self.good = fake.Upstream(lambda r: self.well(r))
        self.world = tf.World()
        self.listeners, ports, self.held = tf.connect_faults(self.world)
        self.places = {"bad": self.up.base}
        self.places.update({n: tf.base_of(n, p) for n, p in ports.items()})
        self.places.update({n: "%s/%s" % (self.narrow.base, n) for n in tf.EARLY})
        return self

    @staticmethod
    def well(request):
        d = dialects.of_target(request.target)
        return fake.sse(dialects.stream_of(d)) if (request.json or {}).get("stream") else fake.answer(200, d.plain())

    def __exit__(self, *a):
        for l in (self.world, self.up, self.narrow, self.good, *self.listeners.values(), *self.held):
            l.close()


def run(kind, providers, all_cases):
    """{case: (outcome, detail)}; cases that the gateway cannot be configured for are missing."""
    models = sorted({(c.place, c.model) for c in all_cases} | {("bad", "good")})
    gateway = kind(providers.places, providers.good.base, models, providers.world)
    gateway.start()
    try:
        control = {}
        for d in SURFACES:
            for stream in (False, True):
                c = Case("control", "well", d, stream, "bad", "good", "answer", "")
                control[(d, stream)] = ask(gateway, c)
        broken = {k for k, v in control.items() if v[0] != "answer"}
        for d, stream in sorted(broken, key=str):
            print("%s: %s %s is not served even by a provider that is well (%s): left out" %
                  (gateway.name, d.surface, "stream" if stream else "plain", control[(d, stream)]))
        todo = [c for c in all_cases if gateway.serves(c.place) and (c.d, c.stream) not in broken]
        with concurrent.futures.ThreadPoolExecutor(gateway.threads) as pool:
            seen = dict(zip(todo, pool.map(lambda c: ask(gateway, c), todo)))
        # Those that are slow under load get a second chance with little beside them: one fault must not count for another.
        again = sorted((c for c in todo if gateway.second_chance and seen[c][0] not in (c.want, "answer")), key=lambda c: (c.id == "F-077", seen[c][0] == "hang"))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for c, better in zip(again, pool.map(lambda c: ask(gateway, c), again)):
                seen[c] = better
        return gateway.version(), seen
    finally:
        gateway.stop()


def alone(providers):
    """weir without a second provider: {(fault, surface, mode): (expected, seen, ok)}, by the checks of the end-to-end tests."""
    gateway = gateways.WeirGateway(providers.places, providers.good.base, [], providers.world)
    gateway.start()
    out = {}

    def one(cell):
        f, d, mode = cell
        try:
            tf.check_alone(gateway.weir, providers.up, f, d, mode == "stream")
            return True
        except AssertionError as e:
            return str(e).split("\n")[0][:300]
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = list(pool.map(one, tf.CELLS))
    finally:
        gateway.stop()
    for (f, d, mode), ok in zip(tf.CELLS, results):
        want = "%s, %s" % ("/".join(sorted(f.classes)), "/".join(
            str(a.status(d)) if isinstance(a, faults.Mapped) else "the provider's own" if a == faults.PASS else str(a) for a in sorted(f.alone, key=str)))
        out[(f, d, mode)] = (want, "as expected" if ok is True else ok, ok is True)
    return out


def table(results, all_cases):
    names = list(results)
    lines = ["| fault | cases | " + " | ".join(names) + " |", "|---|---" + "|---" * len(names) + "|"]
    groups = [g for g, _ in GROUPS] + [LATE_CUT, LATE_WHOLE]
    totals = {n: collections.Counter() for n in names}

    def cell(n, cases_):
        seen = [(c, results[n][1][c][0]) for c in cases_ if c in results[n][1]]
        if not seen:
            return "–"
        good = sum(o == c.want or o == "answer" for c, o in seen)
        bad = collections.Counter(o for c, o in seen if o != c.want and o != "answer")
        totals[n].update(bad)
        totals[n]["good"] += good
        totals[n]["of"] += len(seen)
        return "%d of %d" % (good, len(seen)) + "".join(", %d %s" % (bad[o], o) for o in ("wrong", "error", "hang") if bad[o])
    for g in groups:
        cs = [c for c in all_cases if c.group == g]
        lines.append("| %s | %d | " % (g, len(cs)) + " | ".join(cell(n, cs) for n in names) + " |")
    lines.append("| **all** | %d | " % len(all_cases) + " | ".join(
        "**%d of %d**" % (t["good"], t["of"]) + "".join(", %d %s" % (t[o], o) for o in ("wrong", "error", "hang") if t[o]) for t in totals.values()) + " |")
    return lines, totals


def rows(results, all_cases):
    """One row a fault: the worst that each gateway made of it on any surface."""
    names = list(results)
    order = ["hang", "wrong", "error", "answer"]
    by = collections.OrderedDict()
    for c in all_cases:
        by.setdefault((c.id, c.name, c.want), []).append(c)
    lines = ["| fault | good is | " + " | ".join(names) + " |", "|---|---" + "|---" * len(names) + "|"]
    for (id, name, want), cs in by.items():
        cells = []
        for n in names:
            seen = [results[n][1][c][0] for c in cs if c in results[n][1]]
            bad = [o for o in seen if o != want and o != "answer"]
            cells.append("–" if not seen else (want if not bad else min(bad, key=order.index) + ("" if len(bad) == len(seen) else " (%d/%d)" % (len(bad), len(seen)))))
        lines.append("| %s %s | %s | %s |" % (id, name.replace("|", "\\|"), want, " | ".join(cells)))
    return lines


def main():
    write = "--write" in sys.argv
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    kinds = gateways.available()
    wanted = wanted or list(kinds)
    missing = [w for w in wanted if w not in kinds]
    if missing:
        sys.exit("not installed: %s (test/setup.sh others)" % ", ".join(missing))
    all_cases, results, failed, passed = cases(), collections.OrderedDict(), 0, 0
    with Providers() as providers:
        for name in wanted:
            results[name] = run(kinds[name], providers, all_cases)
            for c, (got, detail) in results[name][1].items():
                print("%-8s %s: expected %s, seen %s (%s)" % (name, c.title, c.want, got, detail))
                if name == "weir":
                    ok = got == c.want or got == "answer"
                    passed, failed = passed + ok, failed + (not ok)
                    if not ok:
                        print("FAIL %s" % c.title)
        if "weir" in wanted:
            for (f, d, mode), (want, seen, ok) in alone(providers).items():
                print("weir     %s %s, %s %s, no second provider: expected %s; seen %s" % (f.id, f.name, d.surface, mode, want, seen))
                passed, failed = passed + ok, failed + (not ok)
                if not ok:
                    print("FAIL %s %s alone" % (f.id, f.name))
    lines, _ = table(results, all_cases)
    print("\n".join(lines))
    if write:
        text = ["<!-- faults: written by make faults -->", "## Who loses which answer", "",
                "%s, `make faults WRITE=1`. %s." % (datetime.date.today(), ", ".join("%s %s" % (n, v[0].split("\n")[0].replace("weir ", "", n == "weir")) for n, v in results.items())),
                "", "Each gateway has a first provider that fails in one way a case and a second one that is well, and is configured to",
                "go on to it (`test/e2e/gateways.py`). Cells: good outcomes of all cases; then what the others were. `wrong` is status 200",
                "and a proper end without the answer, `error` an error that the client sees although the second provider was well (in",
                "\"stream breaks later\" that is the good outcome, and `wrong` a cut answer that looks whole), `hang` no end within 15 s.",
                "", *lines, "", "Fault by fault, the worst that became of it on any surface, in brackets how often:", "", *rows(results, all_cases), "<!-- /faults -->"]
        path = ROOT / "test/RESULTS.md"
        old = path.read_text() if path.exists() else "# Results\n"
        new = "\n".join(text)
        if "<!-- faults:" in old:
            old = re.sub(r"<!-- faults:.*<!-- /faults -->", lambda m: new, old, flags=re.S)
        else:
            old = old.rstrip("\n") + "\n\n" + new + "\n"
        path.write_text(old)
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
