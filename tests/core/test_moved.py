"""What a body says beside statistics: from what to what, since when, what else moved, what was deployed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from driftd.core.action import rfc3339
from driftd.core.event import NULL, Tick
from driftd.core.finding import Finding
from driftd.core.grid import Grid
from driftd.core.moved import moved
from driftd.core.notify import notification
from driftd.core.reference import Reference
from driftd.core.spec import HOUR, MINUTE
from tests.core.by_hand import P, block, engine_of, give
from tests.core.streams import Floats, numeric, pane_of, reference_of
from tests.core.test_judge import EVERY, Story, flag, normal, plans, story


def said(reference: Reference, rows: dict[str, Any], name: str, statistic: Any = "psi") -> dict[str, Any]:
    pane = pane_of(reference.grid, rows)
    return moved(reference, pane.counts, pane.moments, reference.grid.index[name], statistic)


def fields(finding: Finding, signal: str) -> dict[str, Any]:
    return dict(next(s.fields for s in finding.subjects if s.signal == signal))


def body(told: Story, finding: Finding) -> dict[str, Any]:
    """Through JSON, as it is sent."""
    made = notification("group", told.model, "1", "prediction", finding, [{"version": "1", "since": None}])
    document: dict[str, Any] = json.loads(made.body())
    return document


def test_a_number_is_told_by_its_mean_in_its_own_units() -> None:
    rng = np.random.default_rng(1)
    base, now = rng.normal(41, 10, 20_000), rng.normal(47, 10, 800)
    reference = reference_of(Grid([numeric("age", base)]), {"age": base}, 100)
    told = said(reference, {"age": now}, "age")
    assert told["what"] == "mean"
    assert told["from"] == pytest.approx(base.mean(), abs=1e-3)
    assert told["to"] == pytest.approx(now.mean(), abs=1e-3)


def test_a_number_whose_mean_stands_is_told_by_the_range_that_changed_most() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 1, 20_000)
    reference = reference_of(Grid([numeric("a", base)]), {"a": base}, 100)
    now = np.concatenate((np.full(400, 4.0), np.full(400, -4.0)))
    told = said(reference, {"a": now}, "a")
    assert told["what"] == "share"
    assert told["to"] == 0.5
    assert told["from"] == pytest.approx(0.1, abs=0.01)
    assert (told["above"] is None) != (told["up_to"] is None)
    edge = told["up_to"] if told["above"] is None else told["above"]
    share = (base <= edge).mean() if told["above"] is None else (base > edge).mean()
    assert told["from"] == pytest.approx(float(share))


def test_a_number_that_left_the_scale_is_not_told_by_a_clipped_mean() -> None:
    base = np.random.default_rng(3).normal(5, 1, 20_000)
    reference = reference_of(Grid([numeric("a", base)]), {"a": base}, 100)
    told = said(reference, {"a": np.full(500, 5e6)}, "a")
    assert (told["what"], told["up_to"], told["to"]) == ("share", None, 1.0)
    for size in (1e308, -1e308):
        huge = said(reference, {"a": np.array([5.0] * 999 + [size])}, "a")
        assert all(math.isfinite(v) for v in huge.values() if isinstance(v, float))


def test_a_constant_that_begins_to_move_and_a_rare_flag_are_told() -> None:
    base = np.concatenate((np.zeros(19_990), np.ones(10)))
    reference = reference_of(Grid([numeric("flag", base)]), {"flag": base}, 100)
    told = said(reference, {"flag": np.array([0.0] * 450 + [1.0] * 50)}, "flag")
    assert told == {"what": "mean", "from": pytest.approx(0.0005, abs=1e-5), "to": pytest.approx(0.1, abs=1e-5)}


def test_a_category_is_told_by_its_share() -> None:
    reference = story({"plan": plans("free", "free", "pro")})[0].series.reference
    assert reference is not None
    found = said(reference, {"plan": ["pro"] * 300 + ["free"] * 100}, "plan")
    assert (found["what"], found["category"], found["to"]) in {("share", "pro", 0.75), ("share", "free", 0.25)}
    found = said(reference, {"plan": ["gold"] * 300 + ["free"] * 100}, "plan")
    assert found == {"what": "share_of_new", "from": 0.0, "to": 0.75}


def test_rates_are_told_as_rates() -> None:
    reference = story({"plan": plans("free", "pro", None, None), "a": normal})[0].series.reference
    assert reference is not None
    window = {"plan": ["free"] * 50 + ["gold"] * 30 + [None] * 20}
    nulls = said(reference, window, "plan", "null_rate")
    assert nulls == {"what": "null_rate", "from": pytest.approx(0.5, abs=0.02), "to": 0.2}
    assert said(reference, window, "a", "absent_rate") == {"what": "absent_rate", "from": 0.0, "to": 1.0}
    assert said(reference, window, "plan", "new_rate") == {"what": "new_rate", "from": 0.0, "to": 30 / 80}


def test_a_body_says_from_what_to_what_and_since_when() -> None:
    told, rows = story({"a": normal, "prediction": flag(0.3)})
    told.go(rows(), 4)
    began = told.now
    told.go(rows(a=lambda rng, n: rng.normal(0.45, 1, n)), 8)
    (fired,) = [f for f in told.told if f.type == "firing"]
    one = fields(fired, "a")
    assert one["moved"]["what"] == "mean"
    assert one["moved"]["to"] > one["moved"]["from"] + 0.3
    # It fires when two windows apart have shown it; its onset is the first of them, not the last.
    (onset,) = {one["onset"], body(told, fired)["data"]["onset"]}
    assert onset in {rfc3339(began + k * EVERY) for k in (1, 2)}
    assert fired.end > began + 2 * EVERY
    data = body(told, fired)["data"]
    assert data["budget"] == {"false_alarms_per_year": 1.0}
    assert data["prediction"]["effect"] < data["prediction"]["threshold"]
    told.go(rows(), 8)
    resolved = told.told[-1]
    assert resolved.type == "resolved"
    assert fields(resolved, "a")["onset"] == onset
    # The next one has an onset of its own.
    again = told.now
    told.go(rows(a=lambda rng, n: rng.normal(2.0, 1, n)), 3)
    assert fields(told.told[-1], "a")["onset"] == rfc3339(again + EVERY)


def test_a_run_that_breaks_off_leaves_no_onset() -> None:
    told, rows = story({"a": normal})
    shifted = {"a": lambda rng, n: rng.normal(0.45, 1, n)}
    told.go(rows(**shifted), 2)
    told.go(rows(), 6)
    assert told.told == []
    began = told.now
    told.go(rows(**shifted), 8)
    (fired,) = told.told
    assert fields(fired, "a")["onset"] >= rfc3339(began + EVERY)


def test_a_body_says_whether_the_prediction_moved_too() -> None:
    told, rows = story({"a": normal, "prediction": flag(0.3)})
    told.go(rows(), 4)
    told.go(rows(a=lambda rng, n: rng.normal(2, 1, n), prediction=flag(0.8)), 1)
    data = body(told, told.told[0])["data"]
    assert data["prediction"]["effect"] > data["prediction"]["threshold"]
    assert data["prediction"]["moved"]["what"] == "mean"
    assert data["prediction"]["moved"]["from"] == pytest.approx(0.3, abs=0.02)


def test_eighty_features_broken_by_one_join_are_one_notification_with_one_onset() -> None:
    names = [f"f{i:02}" for i in range(80)]
    told, rows = story({**dict.fromkeys(names, normal), "id": normal}, m=6_400)
    told.go(rows(300), 4)
    told.go(rows(300, **dict.fromkeys(names, lambda _rng, n: np.full(n, NULL))), 4)
    (fired,) = told.told
    data = body(told, fired)["data"]
    assert len(data["signals"]) == 80
    assert {one["onset"] for one in data["signals"]} == {data["onset"]}
    assert [one["signal"] for one in data["signals"]] == names
    assert all(one["moved"] == {"what": "null_rate", "from": 0.0, "to": one["value"]} for one in data["signals"])


def test_eighty_features_broken_to_different_degrees_are_ranked_by_how_much() -> None:
    names = [f"f{i:02}" for i in range(80)]
    told, rows = story({**dict.fromkeys(names, normal), "id": normal}, m=6_400)
    told.go(rows(300), 4)

    def gaps(share: float) -> Callable[[np.random.Generator, int], Floats]:
        return lambda rng, n: np.where(np.arange(n) < share * n, NULL, rng.normal(0, 1, n))

    told.go(rows(300, **{name: gaps((i + 20) / 100) for i, name in enumerate(names)}), 4)
    fired = told.told[0]
    data = body(told, fired)["data"]
    assert [one["signal"] for one in data["signals"]] == names[::-1]
    assert {one["onset"] for one in data["signals"]} == {data["onset"]}
    assert [one for one in told.told if one.type == "firing"] == [fired], "one notification"


def test_a_body_names_the_versions_that_were_deployed_and_since_when() -> None:
    _, _, engine = engine_of()
    offset, start = 0, 10 * HOUR

    def minute(k: int, version: str) -> None:
        nonlocal offset
        at = start + k * MINUTE
        give(engine, block(P, offset, at, [at + i * 1_000 for i in range(40)], version))
        offset += 64

    for k in range(6):
        minute(k, "1")
    for k in range(6, 16):
        minute(k, "2")
    engine.apply(Tick({P: start + 3 * HOUR}))
    monitor = engine.monitors["m"]
    assert monitor.versions.deployed("prediction") == [
        {"version": "2", "since": rfc3339(start + 7 * MINUTE)},
        {"version": "1", "since": None},
    ]
    # It outlives a restart.
    _, _, again = engine_of()
    again.restore({key: row for key, row in engine.changes().items() if row is not None})
    assert again.monitors["m"].versions.deployed("prediction") == monitor.versions.deployed("prediction")
