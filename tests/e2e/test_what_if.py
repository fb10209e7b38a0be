"""`driftd replay --what-if`, as a person types it: other rules over a day of recorded events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftd.core.action import rfc3339
from tests.e2e.daemon import Daemon, driftd, event, settings

START, MINUTE, DRIFT = 1_700_000_400_000, 60_000, 1_000
"""The drift begins with that minute."""


def made(directory: Path, minutes: range, shift: float, seed: int) -> list[bytes]:
    random = np.random.default_rng(seed)
    lines = []
    for minute in minutes:
        for second in sorted(random.integers(0, MINUTE, 12).tolist()):
            x = float(random.normal()) + (shift if minute >= DRIFT else 0.0)
            lines.append(event("m", "1", START + minute * MINUTE + second, {"x": x, "y": float(random.normal())}, None))
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("what-if")
    (directory / "training.jsonl").write_bytes(b"\n".join(made(directory, range(-800, 0), 0, 1)))
    (directory / "events.jsonl").write_bytes(b"\n".join(made(directory, range(1_500), 0.36, 2)))
    reference = directory / "m.json"
    built = driftd(
        "reference", "build", "--model", "m", "--version", "1", "--output", reference, directory / "training.jsonl"
    )
    assert built.returncode == 0, built.stderr
    rules = {"drift": {"statistic": "psi", "warning": 0.25, "persist": 2}, "jump": None}
    models = {"m": {"reference": {"file": str(reference)}, "rules": {"drift": {"on": ["x", "y"]}}}}
    window = {"length": "1h", "every": "10m"}
    Daemon(
        directory,
        settings("localhost:1", directory, "unread", monitoring={"window": window, "rules": rules}, models=models),
    )
    (directory / "lower.yaml").write_text(
        "drift: {statistic: psi, warning: 0.06}\nmean: {statistic: psi, warning: 0.05}\n"
    )
    (directory / "known.csv").write_text(f"model,signal,start,end\nm,x,{rfc3339(START + DRIFT * MINUTE)},\n")
    return directory


def what_if(folder: Path, *more: str) -> dict[str, Any]:
    done = driftd(
        "replay", "--config", folder / "driftd.yaml", "--output", "json", *more, folder / "events.jsonl", timeout=240
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_a_table_for_the_settings_and_for_other_rules(folder: Path) -> None:
    lower, known = str(folder / "lower.yaml"), str(folder / "known.csv")
    found = what_if(folder, "--what-if", lower, "--drifts", known)
    now, other = found["scenarios"]
    assert (found["drifts"], now["rules_of"], other["rules_of"]) == (1, "the settings", lower)
    by_rule = [{one["rule"]: one for one in scenario["rules"]} for scenario in (now, other)]
    assert sorted(by_rule[0]) == ["drift", "gaps"]
    assert (by_rule[0]["drift"]["alerts"], by_rule[0]["drift"]["drifts_found"]) == (0, 0), "0.36 sd is a PSI of 0.13"
    assert sorted(by_rule[1]) == ["drift", "gaps", "mean"], "the model's own rules are laid over, too"
    drift = by_rule[1]["drift"]
    assert (drift["notifications"], drift["alerts"], drift["drifts_found"], drift["false"]) == (1, 1, 1, 0)
    assert 3_600 < drift["median_delay_s"] <= 3 * 3_600, "two windows that do not overlap"
    assert drift["alerts_a_week"] == pytest.approx(7 / (1_500 / 1_440), rel=0.01)
    assert {(one["rule"], one["other"], one["together"]) for one in other["overlaps"]} == {
        ("drift", "mean", 1),
        ("mean", "drift", 1),
    }


def test_it_is_what_replay_tells(folder: Path) -> None:
    told = driftd("replay", "--config", folder / "driftd.yaml", "--output", "json", folder / "events.jsonl")
    assert told.stdout == "", "under the settings nothing is told"
    text = driftd(
        "replay", "--config", folder / "driftd.yaml", "--drifts", folder / "known.csv", folder / "events.jsonl"
    )
    assert text.returncode == 0
    lines = text.stdout.splitlines()
    assert lines[0].startswith("Under the settings, 2023-11-14T")
    (head,) = (line.split() for line in lines if line.strip().startswith("rule"))
    assert head == ["rule", "sent", "alerts", "a", "week", "open", "median", "found", "of", "1", "delay", "false"]
    assert ["drift", "0", "0", "0", "0", "-", "0", "-", "0"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "rules.yaml",
            "drift: {statistic: pis, warning: 1}\n",
            "rules.yaml:1: monitoring.rules.drift.statistic: 'pis'",
        ),
        ("rules.yaml", "- drift\n", "rules.yaml:1: monitoring.rules: the document is not a mapping"),
        ("known.csv", "a,b\n", "known.csv, line 1: no columns `model` and `start`"),
        ("known.csv", "model,start\nm,yesterday\n", "known.csv, line 2: 'yesterday' is not a time"),
        (
            "known.csv",
            "model,start\nm,2026-11-23T10:00:00\n",
            "known.csv, line 2: '2026-11-23T10:00:00' has no time zone",
        ),
        ("known.csv", "model,start\n,2026-11-23T10:00:00Z\n", "known.csv, line 2: no model"),
        (
            "known.csv",
            "model,signal,start,end\nm,,2026-11-23T10:00:00Z,2026-11-23T09:00:00Z\n",
            "known.csv, line 2: it ends before it begins",
        ),
    ],
)
def test_what_is_wrong_is_named(folder: Path, tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    option = "--drifts" if name.endswith("csv") else "--what-if"
    done = driftd("replay", "--config", folder / "driftd.yaml", option, path, folder / "events.jsonl")
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
