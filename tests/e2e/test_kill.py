"""kill -9 at random instants of the real process on the real broker changes nothing that anybody can tell."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftd.core.catalogue import CATALOGUE
from tests.e2e.daemon import Daemon, Receiver, event, produce, settings, wait_for
from tests.kafka_fixture import Kafka

START = 1_700_000_000_000
EVENTS = 40_000
KILLS = 10
PARTITIONS = 3
SILENT = re.compile(r'^driftd_signal_state\{model="m".*signal="x".*statistic="psi".*state="unknown"\} 1', re.MULTILINE)


def stream(seed: int) -> list[bytes]:
    """A second apart: one feature moves at three quarters, one does not, one is null now and then."""
    random_ = np.random.default_rng(seed)
    x, y = random_.normal(size=EVENTS), random_.normal(size=EVENTS)
    y[3 * EVENTS // 4 :] += 1.5
    plan = random_.choice(["free", "pro", "team"], size=EVENTS)
    return [
        event(
            "m", "1", START + 1000 * i, {"x": None if i % 97 == 0 else x[i], "y": y[i], "plan": str(plan[i])}, x[i] / 10
        )
        for i in range(EVENTS)
    ]


def start(kafka: Kafka, directory: Path, topic: str, receiver: Receiver | None = None) -> Daemon:
    made = settings(
        kafka.bootstrap_servers,
        directory,
        topic,
        receiver,
        monitoring={
            "window": {"length": "1000s", "every": "200s"},
            "reference": {"learn": {"for": "12000s", "min_samples": 2_000}},
            "rules": {"jump": {"detector": "adwin", "on": ["x", "y"], "min_effect": 0.25}},
        },
    )
    made["kafka"]["group_id"] = "kill"
    made["kafka"]["client"] = {"session.timeout.ms": "6000"}
    made["state"]["commit_every"] = "200ms"
    return Daemon(directory, made)


def finished(daemon: Daemon, panes: int) -> bool:
    return daemon.pane_count("m") >= panes


def counts(metrics: str) -> dict[str, str]:
    """The series whose values are a function of the input alone, but for the other model that closes the panes."""
    names = {metric.name for metric in CATALOGUE if metric.life == "input"}
    out = {}
    for line in metrics.splitlines():
        name = re.match(r"[a-z_]+", line)
        if name and name[0] in names:
            series, _, value = line.rpartition(" ")
            out[series] = value
    return out


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_kills_change_nothing(real_kafka: Kafka, topic: Callable[..., str], tmp_path: Path) -> None:
    name = topic(partitions=PARTITIONS)
    events = stream(seed=11)
    produce(real_kafka.bootstrap_servers, name, ((i % PARTITIONS, START + 1000 * i, e) for i, e in enumerate(events)))
    closing = START + 1000 * (EVENTS + 2_000)
    produce(
        real_kafka.bootstrap_servers,
        name,
        ((p, closing, event("other", "1", closing, {"x": 1.0}, 0.5)) for p in range(PARTITIONS)),
    )
    panes = EVENTS // 200 - 2_000 // 200  # those before the grid's birth are no panes yet
    calm = start(real_kafka, tmp_path / "calm", name)
    calm.start()
    try:
        wait_for("the uninterrupted run", lambda: finished(calm, panes))
        # The last thing that changes: the stream is over, and its verdicts say nothing of now.
        expected_metrics = counts(wait_for("the end", lambda: (m := calm.get("/metrics")) and SILENT.search(m) and m))
    finally:
        calm.stop()
    receiver = Receiver()
    killed = start(real_kafka, tmp_path / "killed", name, receiver)
    random_ = random.Random(7)
    try:
        for _ in range(KILLS):
            killed.start()
            # From before it has joined to after it has read much: the instants that matter are all in there.
            time.sleep(random_.uniform(0.3, 3.0))
            killed.kill()
        killed.start()
        wait_for("the run with kills", lambda: finished(killed, panes), timeout=240)
        told = {json.loads(body)["id"] for body in killed.transitions("m")}
        wait_for("every notification", lambda: told <= {identity for identity, _ in receiver.bodies})
        metrics = wait_for(
            "the same counts", lambda: (m := killed.get("/metrics")) and counts(m) == expected_metrics and m
        )
    finally:
        killed.stop()
        receiver.close()
    assert counts(metrics) == expected_metrics
    assert killed.panes("m") == calm.panes("m")
    assert killed.transitions("m") == calm.transitions("m")
    assert len(told) >= 3, "the drift, the jump and the retrain request"
    bodies: dict[str, set[bytes]] = {}
    for identity, body in receiver.bodies:
        bodies.setdefault(identity, set()).add(body)
    assert all(len(versions) == 1 for versions in bodies.values()), "a duplicate has the same bytes"
