"""`driftd explain` on what a real daemon said on a real broker: the numbers add up, and what it prints to run is run."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftd.commands.explain import _text
from driftd.core.action import rfc3339
from driftd.core.grid import categorical_axis
from driftd.core.outcome import ClosedPane
from tests.e2e.daemon import Daemon, driftd, event, produce, settings, wait_for
from tests.kafka_fixture import Kafka, Topics

START = 1_700_000_000_000
EVENTS, CHANGE = 8_000, 6_000
PARTITIONS = 3


def stream() -> list[bytes]:
    random = np.random.default_rng(5)
    x, y = random.normal(size=EVENTS), random.normal(size=EVENTS)
    y[CHANGE:] += 2
    plan = random.choice(["free", "pro"], size=EVENTS, p=[0.8, 0.2])
    plan[CHANGE:] = "pro"
    return [
        event("m", "1", START + 1000 * i, {"x": x[i], "y": y[i], "plan": str(plan[i])}, x[i] / 10)
        for i in range(EVENTS)
    ]


@dataclass
class Case:
    daemon: Daemon
    topic: str
    transitions: dict[tuple[str, str], dict[str, Any]]
    """The first of each (type, rule)."""

    def id(self, type_: str, rule: str) -> str:
        return str(self.transitions[f"driftd.{type_}", rule]["id"])


@pytest.fixture(scope="module")
def case(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A running daemon that has said all that it will. A quarter of the records come late by Kafka's time: a topic is
    stamped by its producers, and not by the events.
    """
    if not kafka.real:
        pytest.skip(f"needs a real Kafka, but this is {kafka.describe}")
    topics = Topics(kafka, prefix="explain")
    topic = topics(partitions=PARTITIONS)
    directory = tmp_path_factory.mktemp("explain run")  # a space: what is printed must be quoted
    made = settings(
        kafka.bootstrap_servers,
        directory,
        topic,
        monitoring={
            "window": {"length": "1000s", "every": "200s", "max_skew": "1h"},
            "reference": {"learn": {"for": "2000s", "min_samples": 1_000}},
            "rules": {"jump": {"detector": "adwin", "on": ["x", "y"]}},
        },
    )
    made["kafka"]["group_id"] = "explain"
    made["kafka"]["client"] = {"session.timeout.ms": "6000"}
    daemon = Daemon(directory, made)
    daemon.start()
    try:
        closing = START + 1000 * (EVENTS + 2_000)
        records = [(i % PARTITIONS, START + 1000 * (i + 300 * (i % 4 == 0)), e) for i, e in enumerate(stream())]
        produce(kafka.bootstrap_servers, topic, records)
        last = event("other", "1", closing, {"x": 1.0}, 0.5)
        produce(kafka.bootstrap_servers, topic, ((p, closing, last) for p in range(PARTITIONS)))
        panes = (EVENTS - 1_000) // 200
        wait_for("every pane to close", lambda: daemon.pane_count("m") >= panes)
        transitions: dict[tuple[str, str], dict[str, Any]] = {}
        for body in daemon.transitions("m"):
            told = json.loads(body)
            transitions.setdefault((told["type"], told["data"]["rule"]), told)
        yield Case(daemon, topic, transitions)
    finally:
        daemon.stop()
        topics.close()


def explain(case: Case, id_: str, output: str = "json") -> str:
    done = driftd("explain", "--config", case.daemon.config, "--output", output, id_)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def explained(case: Case, id_: str) -> dict[str, Any]:
    return dict(json.loads(explain(case, id_)))


WHAT = [("alert.firing", "drift"), ("alert.firing", "jump"), ("retrain.requested", "retrain")]


@pytest.mark.parametrize(("type_", "rule"), WHAT)
def test_the_command_that_it_prints_says_the_same(type_: str, rule: str, case: Case) -> None:
    id_ = case.id(type_, rule)
    printed = explained(case, id_)["replay"]
    assert printed in explain(case, id_, "text")
    program, *arguments = shlex.split(printed)
    assert program == "driftd"
    assert f"kafka:{case.topic}" in arguments
    done = driftd(*arguments, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    again = [line for line in done.stdout.splitlines() if json.loads(line)["id"] == id_]
    assert [json.loads(line) for line in again] == [case.transitions[f"driftd.{type_}", rule]]


@pytest.mark.parametrize(("type_", "rule"), WHAT)
def test_the_api_says_the_same(type_: str, rule: str, case: Case) -> None:
    id_ = case.id(type_, rule)
    by_command, by_api = explained(case, id_), case.daemon.get(f"/api/v1/transitions/{id_}")
    assert by_api["explain"] == by_command["explain"]
    told = case.transitions[f"driftd.{type_}", rule]
    assert by_command["body"] == told
    assert by_api["transition"] == told


def test_a_drift_adds_up(case: Case) -> None:
    """The counts that it prints are the sums of the panes in the store; those cover the offsets of their events."""
    document = explained(case, case.id("alert.firing", "drift"))
    data, behind = document["body"]["data"], document["explain"]
    starts = {pane["start"] for pane in document["panes"]}
    stored = [ClosedPane.read(body) for _, _, start, _, body in case.daemon.panes("m") if rfc3339(start) in starts]
    assert len(stored) == len(document["panes"]) == 1_000 // 200
    assert sum(pane["events"] for pane in document["panes"]) == behind["window_events"] == 1_000
    assert [pane["events"] for pane in document["panes"]] == [pane.events for pane, _ in stored]
    assert [end for end, _ in behind["panes"]] == [ms(pane["end"]) for pane in document["panes"]]
    whole = np.sum([pane.counts for pane, _ in stored], axis=0)
    spans = [behind["signals"][s]["current_counts"] for s in ("plan", "y") if s in behind["signals"]]
    assert spans, "plan and y are what changed"
    for counts in spans:
        n = len(counts)
        assert any(whole[i : i + n].tolist() == counts for i in range(len(whole) - n + 1))
    for signal in data["signals"]:
        counts = behind["signals"][signal["signal"]]
        assert sum(counts["current_counts"]) == behind["window_events"]
        assert sum(counts["current_counts"][:-3]) == signal["n"]
        assert sum(counts["reference_counts"][:-3]) == signal["reference_n"]
        assert counts["warning"] <= signal["threshold"]
        assert signal["effect"] >= signal["threshold"]
    for pane, (_, cover) in zip(document["panes"], stored, strict=True):
        assert {p: tuple(span) for p, span in pane["offsets"].items()} == cover
        assert cover.keys() == {f"{case.topic}[{p}]" for p in range(PARTITIONS)}
        assert sum(high - low for low, high in cover.values()) >= pane["events"]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_text_tells_a_person(case: Case) -> None:
    drift = explain(case, case.id("alert.firing", "drift"), "text")
    for word in (
        "driftd.alert.firing",
        "model m  version 1",
        "psi",
        "law",
        "threshold",
        "reference",
        "current",
        "panes",
    ):
        assert word in drift
    assert "1000 events" in drift
    jump = explain(case, case.id("alert.firing", "jump"), "text")
    assert "adwin" in jump
    assert "y  warning" in jump
    assert ", up; delta 0.002" in jump
    request = explain(case, case.id("retrain.requested", "retrain"), "text")
    assert "cool_down_s 86400" in request
    assert "? events" not in request


def test_an_alert_is_explained_by_what_fired_it(case: Case) -> None:
    told = case.transitions["driftd.alert.firing", "jump"]
    (signal,) = told["data"]["signals"]
    assert explained(case, signal["alert_id"])["id"] == told["id"]


def test_what_is_told_beside_the_champion_names_it() -> None:
    """The counts on the other side are the champion's, not the reference's."""
    axis = categorical_axis("plan", {"free": 2, "pro": 1}, 10).plain()
    behind = {"axis": axis, "current_counts": [1, 2, 0, 0, 0, 0, 0], "reference_counts": [2, 1, 0, 0, 0, 0, 0]}
    law = {"law": "replayed", "replayed_windows": 39, "level": 1e-6, "look_level": 1e-5, "floor": 0.01}
    signal = {"signal": "plan", "alert_id": "alt_1", "severity": "critical", "n": 3, "reference_n": 3}
    data: dict[str, Any] = {
        "model": "m",
        "version": "8",
        "kind": "prediction",
        "rule": "version-skew",
        "severity": "critical",
    }
    data |= {"window_start": "a", "window_end": "b", "champion": "7", "signals": [signal]}
    document = {
        "body": {"type": "driftd.alert.firing", "id": "ntf_1", "data": data},
        "acts": {
            "shadow": False,
            "withheld": [],
            **dict.fromkeys(("acknowledged_by", "muted_until", "marked_false_by")),
        },
        "explain": {"signals": {"plan": behind | law}},
        "panes": [],
        "replay": "",
    }
    told = _text(document)
    assert "n 3 against 3 of the champion 7; alert alt_1" in told
    assert "\n  champion 7 " in told
    assert "reference" not in told


@pytest.mark.parametrize("id_", ["ntf_0000", "alt_0000", "psi", ""])
def test_an_unknown_id_is_told_in_one_line(id_: str, case: Case) -> None:
    done = driftd("explain", "--config", case.daemon.config, id_)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{id_!r}" in line
    assert "/api/v1/transitions" in line


def test_a_state_that_is_not_there_is_told_in_one_line(tmp_path: Path, kafka: Kafka) -> None:
    daemon = Daemon(tmp_path, settings(kafka.bootstrap_servers, tmp_path, "unread"))
    done = driftd("explain", "--config", daemon.config, "ntf_0000")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "state.directory" in line


def test_a_stopped_daemon_is_explained_all_the_same(case: Case, tmp_path: Path) -> None:
    """From a copy of its state, as somebody would send it."""
    shutil.copytree(case.daemon.state, tmp_path / "state")
    copied = {**case.daemon.settings, "state": {"directory": str(tmp_path / "state")}}
    copy = Case(Daemon(tmp_path / "copy", copied), case.topic, case.transitions)
    id_ = case.id("alert.firing", "drift")
    assert {**explained(copy, id_), "replay": ""} == {**explained(case, id_), "replay": ""}
