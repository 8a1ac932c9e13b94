"""What requests are booked as, and that it lasts: one usage event per attempt, over ends of every kind."""
import json
import re
import signal
import time

import pytest

import wire
from weir import TOKEN, Weir, config

CHAT = {"model": "sim:echo", "messages": [{"role": "user", "content": "hello"}]}


def conf(folder, **more):
    return config(sim=True, stateDir=str(folder), **more)


def events_at_start(w):
    line = w.wait_line(lambda l: l["msg"].startswith("state in "))
    return int(re.search(r"(\d+) usage events", line["msg"]).group(1))


def kill(w):
    w.proc.kill()
    w.proc.wait()
    w.reader.join(5)
    w.dir.cleanup()


@pytest.mark.parametrize("end", ["drain", "kill", "twice"])
def test_one_event_per_attempt_outlasts_the_process(tmp_path, end):
    state = tmp_path / "state"
    w = Weir(conf(state, limits={"drainTimeout": "1s"}))
    assert events_at_start(w) == 0
    assert w.call("/v1/chat/completions", CHAT).status == 200
    assert w.call("/v1/chat/completions", {**CHAT, "stream": True}).status == 200
    assert w.call("/v1/chat/completions", {**CHAT, "model": "sim:429", "models": ["sim:echo"]}).status == 200  # two attempts
    assert w.call("/v1/chat/completions", {**CHAT, "model": "nobody-has-it"}).status == 422
    assert w.call("/v1/chat/completions", b"not JSON").status == 400
    assert w.call("/v1/chat/completions", CHAT, token="unknown").status == 401  # nobody's: no event
    assert w.call("/v1/models").status == 200  # nor this
    expected = 6
    hanging = wire.Wire(w.port)
    body = json.dumps({**CHAT, "model": "sim:hang"}).encode()
    hanging.send(wire.head_of("POST", "/v1/chat/completions", [], body, TOKEN) + body)
    time.sleep(0.6)
    if end == "kill":  # what ran is lost, what had ended more than a moment ago is not
        kill(w)
    elif end == "drain":  # cut by the deadline, which is an answer
        expected += 1
        w.stop()
    else:  # at once: it never got an answer, and is booked all the same
        expected += 1
        w.proc.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        w.stop()
        assert len(w.records("hang")) == 1
    hanging.close()
    for _ in range(2):
        with Weir(conf(state)) as w:
            assert events_at_start(w) == expected
