"""Counts in the form that every test program of this project ends with, and what was left out and why."""
import collections

import pytest

counts = collections.Counter()
left_out = collections.Counter()


def note_skip(report):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    left_out[reason.replace("Skipped: ", "")] += 1


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        counts["passed"] += 1
    elif report.failed:
        counts["failed"] += 1
    elif report.skipped:
        note_skip(report)


def pytest_collectreport(report):
    """A file that does not load is a failure; one that is skipped as a whole counts once."""
    if report.failed:
        counts["failed"] += 1
    elif report.skipped:
        note_skip(report)


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        return
    for reason, n in sorted(left_out.items()):
        print("left out: %d: %s" % (n, reason))
    # Nothing counted and yet an error: that is a failure, not a pass of zero.
    if not counts and getattr(config, "weir_status", 0):
        counts["failed"] += 1
    skipped = sum(left_out.values())
    print("%d passed, %d failed%s" % (counts["passed"], counts["failed"], ", %d skipped" % skipped if skipped else ""))


def pytest_sessionfinish(session, exitstatus):
    session.config.weir_status = int(exitstatus)
