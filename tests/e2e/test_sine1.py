"""A published stream whose concept turns round again and again while its features stay: the feature rules are silent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon, driftd, event, settings

REFERENCE = 20_000
START = 1_514_764_800_000
SECOND, EVERY, LENGTH = 1_000, 500, 2_500
FILE = "tornado_synthetic/sine1_w_50_n_0.1_101.arff.gz"


def rows(data: Path) -> list[tuple[float, float]]:
    """The features of every row. The class is what a model would predict: no feature."""
    with gzip.open(data / FILE, "rt") as lines:
        kept = (line.strip() for line in lines if line.strip() and not line.startswith("@"))
        return [(float(x), float(y)) for x, y, _class in (line.split(",") for line in kept)]


def lines(directory: Path, events: list[tuple[float, float]], shift: float = 0.0) -> Path:
    """The events as JSON lines, a second apart; `shift` is added to x."""
    path = directory / f"events-{shift}.jsonl"
    with path.open("w") as file:
        for i, (x, y) in enumerate(events):
            file.write(event("sine1", "1", START + SECOND * i, {"x": x + shift, "y": y}, None).decode() + "\n")
    return path


@pytest.fixture(scope="module")
def sine1(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Daemon, list[tuple[float, float]]]:
    """Settings with a reference of the first rows, and the rows after it."""
    directory = tmp_path_factory.mktemp("sine1")
    every = rows(shared_data)
    training = directory / "reference.csv"
    training.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in every[:REFERENCE]))
    built = driftd(
        "reference", "build", "--model", "sine1", "--version", "1", "--output", directory / "sine1.json", training
    )
    assert built.returncode == 0, built.stderr
    made = settings(
        "localhost:1",
        directory,
        "unread",
        monitoring={
            "window": {"length": f"{LENGTH}s", "every": f"{EVERY}s"},
            "rules": {"jump": {"detector": "adwin", "on": ["x", "y"]}},
        },
        models={"sine1": {"reference": {"file": str(directory / "sine1.json")}}},
    )
    return Daemon(directory, made), every[REFERENCE:]


def replay(daemon: Daemon, events: Path) -> list[dict[str, Any]]:
    done = driftd("replay", "--config", daemon.config, "--output", "json", events)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "every event is counted"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_feature_rules_stay_silent(sine1: tuple[Daemon, list[tuple[float, float]]], tmp_path: Path) -> None:
    daemon, events = sine1
    assert len(events) == 80_000
    assert replay(daemon, lines(tmp_path, events)) == []


def test_they_would_speak(sine1: tuple[Daemon, list[tuple[float, float]]], tmp_path: Path) -> None:
    """The same settings on the same events, moved: silence is not deafness."""
    daemon, events = sine1
    half = len(events) // 8
    path = lines(tmp_path, events[:half])
    moved = lines(tmp_path, events[: 2 * half], shift=0.25).read_text().splitlines(keepends=True)
    with path.open("a") as file:
        file.writelines(moved[half:])
    told = replay(daemon, path)
    fired = {
        (t["data"]["rule"], s["signal"])
        for t in told
        if t["type"] == "driftd.alert.firing"
        for s in t["data"]["signals"]
    }
    assert fired == {("drift", "x"), ("jump", "x")}
