"""A life of versions and columns as a team lives it, through the program: a canary that answers otherwise, a day of
commits, a column that is renamed upstream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftd.core.action import rfc3339
from tests.e2e.daemon import Daemon, driftd, event, settings

START = 1_700_000_400_000
MINUTE = 60_000
RULES = {"version-skew": {"statistic": "psi", "warning": 0.1, "critical": 0.25, "against": "champion"}, "jump": None}
WINDOW = {"length": "20m", "every": "2m", "max_length": "80m"}


def scored(random: np.random.Generator, version: str, at: int, *, lift: float = 0.0, age: str = "age") -> bytes:
    """One prediction. `lift`: what this version adds to every score."""
    old = float(random.normal(40, 10))
    score = min(max(old / 100 + random.normal(0, 0.05) + lift, 0), 1)
    return event("churn", version, at, {age: old, "plan": str(random.choice(["free", "pro"]))}, score)


def minutes(
    random: np.random.Generator, first: int, last: int, version: str, pace: int, **how: Any
) -> Iterator[tuple[int, bytes]]:
    for minute in range(first, last):
        for second in sorted(random.integers(0, MINUTE, pace).tolist()):
            at = START + minute * MINUTE + second
            yield at, scored(random, version, at, **how)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reference")
    rows = directory / "training.jsonl"
    random = np.random.default_rng(1)
    lines = [line for _, line in minutes(random, -500, 0, "7", 40)]
    rows.write_bytes(b"".join(line + b"\n" for line in lines))
    built = driftd(
        "reference", "build", "--model", "churn", "--version", "7", "--output", directory / "churn.json", rows
    )
    assert built.returncode == 0, built.stderr
    return directory / "churn.json"


def told(
    directory: Path, reference: Path, events: list[tuple[int, bytes]], **monitoring: object
) -> list[dict[str, Any]]:
    """What replay says of these events."""
    made = settings(
        "localhost:1",
        directory,
        "unread",
        monitoring={"window": WINDOW, "rules": RULES, **monitoring},
        models={"churn": {"reference": {"file": str(reference)}}},
    )
    log = directory / "events.jsonl"
    log.write_bytes(b"".join(line + b"\n" for _, line in sorted(events)))
    done = driftd("replay", "--config", Daemon(directory, made).config, "--output", "json", log)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_canary_that_scores_otherwise_is_told_beside_the_champion(reference: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    events = [*minutes(random, 0, 180, "7", 40), *minutes(random, 60, 180, "8", 10, lift=0.1)]
    found = told(tmp_path, reference, events, on_new_version="hold")
    assert [(one["data"]["version"], one["data"]["rule"]) for one in found] == [("8", "version-skew")]
    body = found[0]["data"]
    assert body["champion"] == "7"
    assert [one["signal"] for one in body["signals"]] == ["prediction"], "what it is asked is the same"
    moved = body["signals"][0]["moved"]
    assert moved["what"] == "mean"
    assert moved["to"] - moved["from"] == pytest.approx(0.1, abs=0.02)
    assert found[0]["timestamp"] <= rfc3339(START + (60 + 40 + 2) * MINUTE), "within two windows"


def test_the_same_canary_without_a_difference_is_silent(reference: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    events = [*minutes(random, 0, 300, "7", 40), *minutes(random, 60, 300, "8", 10)]
    assert told(tmp_path, reference, events) == []


def test_a_day_of_commits_is_one_version_where_it_is_folded(reference: Path, tmp_path: Path) -> None:
    """A hundred versions, fifteen minutes each; half of the day the scores are a little too high."""
    random = np.random.default_rng(4)
    events: list[tuple[int, bytes]] = []
    for i in range(100):
        events += minutes(random, 15 * i, 15 * i + 15, f"{i * 7_919:040x}", 10, lift=0.045 * (i >= 50))
    found = told(tmp_path, reference, events, versions={"fold": {"git": "^[0-9a-f]{40}$"}})
    fired = [one for one in found if one["type"] == "driftd.alert.firing"]
    assert {(one["data"]["version"], one["data"]["rule"]) for one in fired} == {("git", "drift")}
    assert fired[0]["data"]["onset"] >= rfc3339(START + 50 * 15 * MINUTE)


def test_a_column_that_is_renamed_upstream_is_one_alert_of_the_model(reference: Path, tmp_path: Path) -> None:
    """In the middle of a pane, in both versions, and back again an hour later."""
    random = np.random.default_rng(5)
    events: list[tuple[int, bytes]] = []
    for version, pace in (("7", 40), ("8", 12)):
        events += minutes(random, 0, 61, version, pace)
        events += minutes(random, 61, 121, version, pace, age="customer_age")
        events += minutes(random, 121, 240, version, pace)
    found = told(tmp_path, reference, events)
    assert [(one["type"], one["data"]["rule"]) for one in found] == [
        ("driftd.alert.firing", "schema"),
        ("driftd.alert.resolved", "schema"),
    ]
    firing = found[0]["data"]
    assert [(one["signal"], one["statistic"], one["renamed_to"]) for one in firing["signals"]] == [
        ("age", "renamed", "customer_age")
    ]
    assert firing["seen_in"] == ["7", "8"]
    assert found[0]["timestamp"] <= rfc3339(START + 64 * MINUTE)
    assert found[1]["data"]["reason"] == "returned"


def test_a_planned_change_is_silent_until_its_time_is_over(reference: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    events = [*minutes(random, 0, 30, "7", 40), *minutes(random, 30, 150, "7", 40, age="customer_age")]
    planned = rfc3339(START + 100 * MINUTE)
    found = told(tmp_path, reference, events, schema={"expected_until": {"age": planned}})
    assert [one["data"]["rule"] for one in found] == ["schema"]
    assert planned < found[0]["timestamp"] <= rfc3339(START + 104 * MINUTE)
