"""Three real daemons on one topic: one tells people, two are shadows beside it, of which one has another threshold."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.e2e.daemon import Daemon, Receiver, driftd, event, produce, running, settings, wait_for
from tests.kafka_fixture import Kafka, Topics

START = 1_700_000_400_000
TRAINING, CALM, MOVED = 4_000, 2_400, 2_400


def events(seed: int, start: int, count: int, shift: float) -> list[tuple[int, bytes]]:
    """Event times, and events a second apart."""
    chance = np.random.default_rng(seed)
    x, y = chance.normal(shift, size=count), chance.normal(size=count)
    times = range(start, start + count * 1_000, 1_000)
    return [(t, event("m", "1", t, {"x": float(x[i]), "y": float(y[i])}, float(y[i]))) for i, t in enumerate(times)]


@dataclass
class Three:
    teller: Daemon
    equal: Daemon
    other: Daemon
    heard: Receiver
    nobody: Receiver


@pytest.fixture(scope="module")
def three(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    """They run; each has said all that it will."""
    if not kafka.real:
        pytest.skip(f"needs a real Kafka, but this is {kafka.describe}")
    folder = tmp_path_factory.mktemp("shadow")
    lines = folder / "training.jsonl"
    lines.write_bytes(b"\n".join(value for _, value in events(1, 0, TRAINING, 0)))
    built = driftd("reference", "build", "--model", "m", "--output", folder / "m.json", lines)
    assert built.returncode == 0, built.stderr
    with ExitStack() as stack:
        topics = Topics(kafka, prefix="shadow")
        stack.callback(topics.close)
        topic = topics(partitions=1)
        heard, nobody = Receiver(), Receiver()
        stack.callback(heard.close)
        stack.callback(nobody.close)

        def daemon(name: str, receiver: Receiver, threshold: float, **more: Any) -> Daemon:
            made = settings(kafka.bootstrap_servers, folder / name, topic, receiver, **copy.deepcopy(more))
            made["monitoring"] = {
                "window": {"length": "10m", "every": "2m", "max_wait": "1m", "max_skew": "1d"},
                "rules": {"drift": {"warning": threshold, "critical": None}, "gaps": None, "jump": None},
                "retrain": {"when": ["drift"]},
            }
            made["models"] = {"m": {"reference": {"file": str(folder / "m.json")}}}
            made["heartbeat"] = {"receiver": "here", "every": "1s"}
            return stack.enter_context(running(Daemon(folder / name, made)))

        shadow: dict[str, Any] = {"deliver": "none"}
        it = Three(
            daemon("teller", heard, 0.1),
            daemon("equal", nobody, 0.1, **shadow),
            daemon("other", nobody, 0.11, **shadow),
            heard,
            nobody,
        )
        calm, moved = events(2, START, CALM, 0), events(3, START + CALM * 1_000, MOVED, 1)
        after = events(4, START + (CALM + MOVED) * 1_000, CALM, 0)
        told = [*calm, *moved, *after]
        closing = told[-1][0] + 3_600_000
        produce(kafka.bootstrap_servers, topic, ((0, time, value) for time, value in told))
        produce(kafka.bootstrap_servers, topic, [(0, closing, event("late", "1", closing, {}, 0.5))])
        panes = (CALM + MOVED + CALM) // 120
        for one in (it.teller, it.equal, it.other):
            wait_for("every pane to close", lambda one=one: one.check_alive() or one.pane_count("m") >= panes)  # type: ignore[misc]
        yield it


def types(daemon: Daemon) -> list[str]:
    return [json.loads(body)["type"].removeprefix("driftd.") for body in daemon.transitions("m")]


def test_a_shadow_records_what_the_other_tells_and_tells_nobody(three: Three):
    assert types(three.teller) == types(three.equal) == ["alert.firing", "retrain.requested", "alert.resolved"]
    told = {json.loads(body)["id"] for body in three.teller.transitions("m")}
    wait_for("the one that tells", lambda: told <= {id_ for id_, _ in three.heard.bodies})
    wait_for("its heartbeat", lambda: len(three.heard.bodies) > len(told))
    assert three.nobody.bodies == []
    listed = driftd("outbox", "list", "--config", three.equal.config)
    assert (listed.stdout, listed.stderr) == ("", "0 waiting, 0 dead\n")


def test_a_shadow_says_that_it_is_one(three: Three):
    ready = wait_for("readiness", lambda: (found := three.equal.get("/readyz")).get("ready") and found)
    assert ready == {"ready": True, "shadow": True}
    assert three.teller.get("/readyz") == {"ready": True}
    assert [daemon.metric("driftd_shadow") for daemon in (three.teller, three.equal)] == [0, 1]
    assert "shadow: delivers nothing" in three.equal.get("/")
    assert "shadow: delivers nothing" not in three.teller.get("/")
    events_of_log = [json.loads(line)["event"] for line in three.equal.log.read_text().splitlines()]
    assert events_of_log.count("shadow") == 1
    (newest, *_) = three.equal.get("/api/v1/transitions?limit=1")["transitions"]
    assert three.equal.get("/api/v1/transitions?limit=1")["acts"][newest["id"]]["shadow"] is True
    said = driftd("explain", "--config", three.equal.config, newest["id"]).stdout
    assert "recorded by a shadow (deliver: none): nobody was told" in said
    checked = driftd("check", "--config", three.equal.config)
    assert "a shadow, it delivers nothing" in checked.stdout
    routed = driftd("routes", "test", "--model", "m", "--config", three.equal.config)
    assert routed.stderr == "deliver is none: of this instance nobody hears anything\n"


@pytest.mark.parametrize("by", ["directory", "address"])
def test_two_that_say_the_same_are_equal(three: Three, by: str):
    a, b = ((str(one.state) if by == "directory" else str(one.url())) for one in (three.teller, three.equal))
    done = driftd("diff", a, b)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "0 only in A, 0 only in B, 0 different, 3 equal"
    assert "compared: 2023-11-14T22:20:00Z to 2023-11-15T00:20:00Z, 1 model" in done.stdout


@pytest.mark.parametrize("by", ["directory", "address"])
def test_another_threshold_is_named(three: Three, by: str):
    a, b = (str(three.teller.state), str(three.other.state if by == "directory" else three.other.url()))
    done = driftd("diff", a, b, "--output", "json")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    (firing,) = [one for one in report["different"] if one["type"] == "driftd.alert.firing"]
    assert (firing["model"], firing["rule"]) == ("m", "drift")
    assert {"field": "signals.x.threshold", "a": 0.1, "b": 0.11} in firing["differences"]
    assert firing["id_a"] != firing["id_b"]
    text = driftd("diff", a, b)
    assert text.returncode == 1
    assert "  signals.x.threshold: 0.1 in A, 0.11 in B" in text.stdout


def test_what_is_outside_of_the_time_asked_for_is_left_out(three: Three):
    moved = START + CALM * 1_000
    done = driftd("diff", three.teller.state, three.other.state, "--until", str(moved), "--output", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["compared"] == [
        {"model": "m", "kind": "prediction", "since": "2023-11-14T22:20:00Z", "until": "2023-11-14T23:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere"], "/nowhere/driftd.sqlite does not exist"),
        (["http://127.0.0.1:9"], "does not answer as a driftd does"),
        (["SAME", "--model", "nobody"], "there is no time of nobody that both have judged"),
        (["SAME", "--since", "1h"], "there is no time that both have judged"),
        (["SAME", "--since", "1h", "--until", "2h"], "nothing lies between --since and --until"),
        (["SAME", "--since", "soon"], "'soon' is not a time"),
    ],
)
def test_what_cannot_be_compared_is_2_and_one_line(three: Three, arguments: list[str], said: str):
    state = str(three.teller.state)
    done = driftd("diff", state, *(state if one == "SAME" else one for one in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
