"""Models of 3 and of 500 features in one stream, with columns that hold nothing, or always the same, or never: nothing
breaks, nothing is said while nothing changes, and each is heard when it does.
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

START = 1_700_000_000_000
TRAINING, LIVE = 6_000, 4_000
"""Seconds, one event of `odd` and of `narrow` in each; one of `wide` in every fourth one."""
LENGTH, EVERY = 1_000, 250
WIDE = 500
IDS = 100_000
WORDS = 1_000

SIGNALS = {
    "constant": "drift",  # 7 becomes 8: all that it is moves beyond its only bin
    "constant_word": "gaps",  # a word that was never seen
    "always_null": "gaps",  # values where there were none
    "empty_text": "gaps",  # "" becomes a word
    "words": "gaps",  # a thousand words become others
    "nearly_constant": "drift",  # one in fifty becomes one in two
}
"""The signals of `odd` that change, and the rule that hears of it."""


def odd(random: np.random.Generator, *, changed: bool) -> dict[str, object]:
    """The ids are among 10^5: nobody can tell another vocabulary from the same one, so little repeats."""
    return {
        "constant": 8 if changed else 7,
        "constant_word": "b" if changed else "a",
        "always_null": float(random.normal()) if changed else None,
        "empty_text": "no longer" if changed else "",
        "ids": f"id-{random.integers(IDS)}",
        "words": f"{'v' if changed else 'w'}{random.integers(WORDS)}",
        "nearly_constant": int(random.random() < (0.5 if changed else 0.02)),
        "steady": float(random.normal()),
    }


def stream(seed: int, start: int, seconds: int, *, changed: bool) -> Iterator[bytes]:
    random = np.random.default_rng(seed)
    for i in range(seconds):
        at = START + 1_000 * (start + i)
        yield event("odd", "1", at, odd(random, changed=changed), None)
        x, y, z = random.normal(size=3)
        yield event("narrow", "1", at, {"x": x + changed, "y": y, "z": z}, (x + changed) / 10)
        if i % 4 == 0:
            values = random.normal(size=WIDE).round(3)
            values[17] += 1.5 * changed
            yield event("wide", "1", at, {f"f{n:03}": v for n, v in enumerate(values.tolist())}, None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The stream in files: what is learned from, the same going on, and the same with a change."""
    directory = tmp_path_factory.mktemp("odd")
    made = {
        "training": stream(1, 0, TRAINING, changed=False),
        "calm": stream(2, TRAINING, LIVE, changed=False),
        "changed": stream(3, TRAINING + LIVE, 2 * LENGTH + EVERY, changed=True),
    }
    paths = {}
    for name, events in made.items():
        paths[name] = directory / f"{name}.jsonl"
        paths[name].write_bytes(b"".join(line + b"\n" for line in events))
    return paths


def monitoring(**more: object) -> dict[str, object]:
    return {
        "window": {"length": f"{LENGTH}s", "every": f"{EVERY}s"},
        "rules": {"jump": {"detector": "adwin", "on": ["prediction", "constant", "always_null", "ids", "words"]}},
        **more,
    }


@pytest.fixture(scope="module", params=["built", "learned"])
def daemon(request: pytest.FixtureRequest, parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """Settings under which the references come from files, or from the stream's beginning."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "learned":
        learn = {"learn": {"for": f"{TRAINING - 1_500}s", "min_samples": 1_000}}
        return Daemon(directory, settings("localhost:1", directory, "unread", monitoring=monitoring(reference=learn)))
    models = {}
    for model in ("odd", "narrow", "wide"):
        rows = directory / f"{model}.jsonl"
        mark = f'"model": "{model}"'.encode()
        mine = (line for line in parts["training"].read_bytes().splitlines() if mark in line[:80])
        rows.write_bytes(b"".join(line + b"\n" for line in mine))
        reference = directory / f"{model}-reference.json"
        built = driftd("reference", "build", "--model", model, "--version", "1", "--output", reference, rows)
        assert built.returncode == 0, built.stderr
        models[model] = {"reference": {"file": str(reference)}}
    made = settings("localhost:1", directory, "unread", monitoring=monitoring(), models=models)
    return Daemon(directory, made)


def replay(daemon: Daemon, directory: Path, *paths: Path) -> list[dict[str, Any]]:
    whole = directory / "whole.jsonl"
    whole.write_bytes(b"".join(path.read_bytes() for path in paths))
    done = driftd("replay", "--config", daemon.config, "--output", "json", whole)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "every event is counted"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nothing_is_said_while_nothing_changes(daemon: Daemon, parts: dict[str, Path], tmp_path: Path) -> None:
    assert replay(daemon, tmp_path, parts["training"], parts["calm"]) == []


def test_each_change_is_heard(daemon: Daemon, parts: dict[str, Path], tmp_path: Path) -> None:
    told = replay(daemon, tmp_path, parts["training"], parts["calm"], parts["changed"])
    fired = {
        (t["data"]["model"], t["data"]["rule"], signal["signal"])
        for t in told
        if t["type"] == "driftd.alert.firing"
        for signal in t["data"]["signals"]
    }
    heard = {("odd", rule, signal) for signal, rule in SIGNALS.items()}
    heard |= {("narrow", "drift", "x"), ("narrow", "jump", "prediction"), ("wide", "drift", "f017")}
    assert heard <= fired
    changed = {("odd", signal) for signal in SIGNALS} | {("narrow", "x"), ("narrow", "prediction"), ("wide", "f017")}
    assert {(model, signal) for model, _, signal in fired} == changed, "what did not change is not named"
    change = rfc3339(START + 1_000 * (TRAINING + LIVE))
    assert all(t["timestamp"] > change for t in told)


def test_the_summary_of_a_reference_shows_odd_columns(tmp_path: Path, parts: dict[str, Path]) -> None:
    reference = tmp_path / "odd.json"
    built = driftd("reference", "build", "--model", "odd", "--version", "1", "--output", reference, parts["calm"])
    assert built.returncode == 0, built.stderr
    shown = driftd("reference", "show", reference)
    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line}
    assert "7 to 7" in lines["constant"]
    assert "100.00%" in lines["always_null"]
    assert "a 100.0%" in lines["constant_word"]
    assert "each is rare" in lines["ids"]
    assert "top 0 of 9" in lines["words"], "of a thousand, each some four times"
    one = driftd("reference", "show", reference, "--signal", "empty_text")
    assert one.stdout.splitlines()[1].startswith("''")
