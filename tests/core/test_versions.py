"""Versions side by side: a canary beside the champion over the same hours, who replaces whom, who is forgotten, and what
is counted as one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from driftd.core.action import Action
from driftd.core.baseline import GivenReference
from driftd.core.event import Column
from driftd.core.grid import Grid
from driftd.core.spec import (
    HOUR,
    MINUTE,
    Learn,
    Limits,
    Model,
    ReferenceFiles,
    Retrain,
    Versions,
    Window,
    WindowRule,
)
from driftd.core.view import SeriesView
from tests.core import life
from tests.core.streams import Floats, numeric, reference_of

Rng = np.random.Generator
Draw = Callable[[Rng, int, int], Floats]
"""Values of x: of so many events, in the n-th minute."""

SKEW = WindowRule("version-skew", warning=0.1, critical=0.25, persist=2, against="champion")
DRIFT = WindowRule("drift", warning=0.1, critical=0.25, persist=2)
MODEL = Model(
    "m",
    Window(10 * MINUTE, MINUTE, min_samples=100, max_length=40 * MINUTE, allowed_lateness=0, max_wait=MINUTE),
    ReferenceFiles("a file"),
    window_rules=(DRIFT, SKEW),
    detector_rules=(),
    retrain=Retrain(()),
)


def steady(shift: float = 0.0, spread: float = 1.0) -> Draw:
    return lambda rng, n, _: rng.normal(shift, spread, n)


def waves(shift: float = 0.0) -> Draw:
    """The world goes up and down by the hour, for whoever looks at it."""
    return lambda rng, n, minute: rng.normal(shift + np.sin(minute / 60 * 2 * np.pi), 1, n)


class Life(life.Life):
    """Of one number x, drawn as it is said."""

    def __init__(
        self, model: Model = MODEL, limits: Limits | None = None, seed: int = 1, base: Draw | None = None
    ) -> None:
        rng = np.random.default_rng(seed)
        rows = np.concatenate([(base or steady())(rng, 200, minute) for minute in range(600)])
        reference = None
        if not isinstance(model.reference, Learn):
            reference = GivenReference("1", reference_of(Grid([numeric("x", rows)]), {"x": rows}, 300))
        super().__init__(rng, model, reference, limits)

    def drawn(self, draw: Draw, n: int) -> dict[str, Column]:
        return {"x": draw(self.rng, n, self.minute)}

    def go(self, minutes: int, **versions: tuple[int, Draw]) -> list[Action]:
        """`versions`: by name (v7: version 7), how many events a minute and how they are drawn."""
        told: list[Action] = []
        for _ in range(minutes):
            told += self.turn(
                {name.removeprefix("v"): (n, partial(self.drawn, draw)) for name, (n, draw) in versions.items()}
            )
        return told

    def series(self) -> Mapping[str, SeriesView]:
        return {one.version: one for one in self.engine.view().models[0].series}


def data_of(one: Action) -> Any:
    return json.loads(one.body())["data"]


def rules(told: list[Action]) -> list[tuple[str, str, str]]:
    return [(one.version, one.rule, one.type.rpartition(".")[2]) for one in told]


def test_a_canary_that_sees_what_the_champion_sees_is_quiet_however_the_world_moves():
    life = Life(base=waves())
    told = life.go(600, v1=(300, waves()), v2=(30, waves()))
    assert rules(told) == []
    shown = {one.rule: one for one in life.series()["2"].statistics}
    assert shown["version-skew"].state == "ok"
    assert (shown["version-skew"].n, shown["version-skew"].reference_n) == (300, 3_000)
    assert {one.rule for one in life.series()["1"].statistics} == {"drift"}  # the champion is compared with nobody


def test_where_the_world_has_moved_both_drift_and_neither_is_skewed():
    life = Life()
    told = life.go(60, v1=(300, steady(1.0)), v2=(40, steady(1.0)))
    assert {(version, rule) for version, rule, _ in rules(told)} == {("1", "drift"), ("2", "drift")}


def test_a_canary_that_differs_is_told_with_the_champion_and_what_moved():
    life = Life()
    life.go(30, v1=(300, steady()))
    told = life.go(40, v1=(300, steady()), v2=(40, steady(0.0, 2.0)))
    mine = [one for one in told if one.rule == "version-skew"]
    assert rules(mine) == [("2", "version-skew", "firing")]
    body = data_of(mine[0])
    assert body["champion"] == "1"
    assert body["versions"][0]["version"] == "2"
    assert body["signals"][0]["reference_n"] == 7.5 * body["signals"][0]["n"]
    over = life.go(20, v1=(300, steady()), v2=(40, steady()))
    assert ("2", "version-skew", "resolved") in rules(over)


def test_no_more_false_alarms_than_the_budget_side_by_side():
    """A day of looks each minute at a level that would fire on 5 in 100 windows if nothing held it."""
    rule = replace(SKEW, warning=1e-9, critical=None, persist=1, false_alarms_per_year=0.05 * 52_596)
    life = Life(replace(MODEL, window_rules=(rule,)))
    held = looks = 0
    for _ in range(1_440):
        life.go(1, v1=(60, steady()), v2=(20, steady()))
        found = [one for one in life.series().get("2", life.series()["1"]).statistics if one.p_value is not None]
        looks += len(found)
        held += sum(one.p_value <= 0.05 for one in found if one.p_value is not None)
    assert looks > 1_400
    assert held < 0.08 * looks


def test_the_champion_is_who_has_most_and_does_not_swing():
    life = Life()
    life.go(5, v1=(300, steady()))
    life.go(60, v1=(100, steady()), v2=(110, steady()))
    assert life.engine.monitors["m"].versions.champions == {"prediction": "1"}
    life.go(15, v1=(50, steady()), v2=(250, steady()))
    assert life.engine.monitors["m"].versions.champions == {"prediction": "2"}
    life.go(15, v1=(250, steady()), v2=(250, steady()))
    assert life.engine.monitors["m"].versions.champions == {"prediction": "2"}


def test_who_takes_over_is_skewed_no_more_and_who_leaves_is_not_judged_by_it():
    life = Life()
    life.go(20, v1=(300, steady()))
    told = life.go(40, v1=(300, steady()), v2=(60, steady(1.5)))
    assert ("2", "version-skew", "firing") in rules(told)
    told = life.go(40, v1=(60, steady()), v2=(300, steady(1.5)))
    ended = [one for one in told if one.rule == "version-skew"]
    assert rules(ended) == [("2", "version-skew", "resolved")]
    assert ended[0].data["reason"] == "promoted"


def test_a_champion_by_name_is_the_champion_as_long_as_it_is_there():
    model = replace(MODEL, versions=Versions(champion="1"))
    life = Life(model)
    told = life.go(60, v1=(40, steady()), v2=(300, steady(1.5)))
    assert ("2", "version-skew", "firing") in rules(told)
    absent = Life(replace(MODEL, versions=Versions(champion="9")))
    assert "version-skew" not in {rule for _, rule, _ in rules(absent.go(40, v1=(40, steady()), v2=(300, steady(1.5))))}


def test_only_what_both_saw_is_compared():
    """One is switched off as the other comes; the world has moved in between."""
    life = Life()
    life.go(20, v1=(300, steady()))
    life.go(1, v1=(300, steady(1.5)), v2=(300, steady(1.5)))
    told = life.go(20, v2=(300, steady(1.5)))
    assert "version-skew" not in {rule for _, rule, _ in rules(told)}


def test_where_the_champion_saw_too_little_the_rule_does_not_know():
    life = Life(replace(MODEL, versions=Versions(champion="1")))
    life.go(30, v1=(300, steady()), v2=(300, steady()))
    life.go(15, v1=(2, steady()), v2=(300, steady()))
    shown = {one.rule: one.state for one in life.series()["2"].statistics}
    assert shown == {"drift": "ok", "version-skew": "insufficient_data"}


@pytest.mark.parametrize("policy", ["hold", "learn"])
def test_a_version_without_a_reference_of_its_own_is_seen_beside_the_champion(policy):
    model = replace(MODEL, on_new_version=policy, reference=ReferenceFiles("a file"))
    life = Life(model)
    life.go(20, v1=(300, steady()))
    told = life.go(40, v1=(300, steady()), v2=(60, steady(1.5)))
    assert rules(told) == [("2", "version-skew", "firing")]
    assert life.series()["2"].reference == ("held" if policy == "hold" else "learning")


def test_a_learned_reference_is_not_compared_with_what_founded_it():
    """The windows of a version that was compared with the champion hold what its reference is then made of."""
    model = replace(MODEL, on_new_version="learn", reference=Learn(20 * MINUTE, 500))
    life = Life(model)
    life.go(45, v1=(300, steady()))
    life.go(19, v1=(300, steady()), v2=(100, steady()))
    assert life.series()["2"].reference == "learning"
    told = life.go(40, v1=(300, steady()), v2=(100, steady(0.9)))
    assert life.series()["2"].reference == "ready"
    fired = next(one for one in told if (one.version, one.rule) == ("2", "drift"))
    learned = life.engine.monitors["m"].baselines.references["2", "prediction"][1]
    assert min(end for end, _ in cast("Any", fired.explain["panes"])) > learned


def test_at_every_minute_an_engine_that_is_put_back_says_the_same():
    life = Life()
    for minutes, versions in (
        (20, {"v1": (120, steady())}),
        (25, {"v1": (120, steady()), "v2": (60, steady(1.5))}),
        (20, {"v1": (40, steady()), "v2": (130, steady(1.5))}),
        (30, {"v2": (130, steady(1.5))}),
    ):
        for _ in range(minutes):
            life.go(1, **versions)
            assert life.again().view() == life.engine.view()
    assert {(one.version, one.rule, one.data.get("reason")) for one in life.told} >= {
        ("2", "version-skew", "promoted"),
        ("2", "drift", None),
    }


# -- who is over -----------------------------------------------------------------------------------------------------


def test_what_fires_in_a_version_that_serves_no_more_is_over_once_another_has_taken_its_place():
    life = Life()
    told = life.go(30, v1=(100, steady(1.5)))
    assert rules(told) == [("1", "drift", "firing")]
    told = life.go(9, v2=(100, steady()))
    assert rules(told) == []  # its window is not over
    told = life.go(10, v2=(100, steady()))
    assert [(one.version, one.data.get("reason")) for one in told] == [("1", "replaced")]
    assert life.series()["1"].statistics[0].state != "firing"
    assert data_of(told[0])["signals"][0]["alert_id"] == data_of(life.told[0])["signals"][0]["alert_id"]


def test_what_fires_stands_while_nobody_takes_its_place():
    life = Life()
    life.go(30, v1=(100, steady(1.5)))
    assert rules(life.go(60)) == []


def test_a_version_that_was_silent_for_good_is_forgotten_with_what_was_learned_of_it():
    model = replace(MODEL, versions=Versions(expire_after=HOUR))
    life = Life(model)
    life.go(10, v1=(100, steady()), v2=(100, steady()))
    life.go(59, v2=(100, steady()))
    assert set(life.series()) == {"1", "2"}
    life.go(2, v2=(100, steady()))
    assert set(life.series()) == {"2"}
    assert life.engine.view().models[0].dropped_versions == 0, "no bound was met"
    assert life.again().view() == life.engine.view()


def test_the_last_version_is_never_forgotten_however_seldom_it_comes():
    """A batch once a month, with versions that expire in an hour."""
    life = Life(replace(MODEL, versions=Versions(expire_after=HOUR)))
    for _ in range(3):
        life.go(3, v1=(200, steady()))
        life.go(120)
    assert life.series()["1"].evaluations > 0
    assert life.engine.view().models[0].dropped_versions == 0


# -- a hundred versions a day ----------------------------------------------------------------------------------------


def a_day_of_commits(life: Life, draw: Draw, name: Callable[[int], str]) -> list[Action]:
    told: list[Action] = []
    for i in range(100):
        told += life.go(14, **{f"v{name(i)}": (100, draw)})
    return told


def test_a_hundred_versions_a_day_neither_relearn_nor_explode():
    life = Life()
    assert rules(a_day_of_commits(life, steady(), lambda i: f"{i:07x}")) == []
    assert len(life.series()) == 32
    assert life.engine.view().models[0].dropped_versions == 68
    assert {one.reference for one in life.series().values()} == {"ready"}
    assert not life.engine.monitors["m"].baselines.learners


def test_counted_as_one_they_keep_their_windows_and_a_drift_that_outlives_each_of_them_is_found():
    """Alone, none of them lives as long as two windows of twenty minutes: a change is then each one's own affair."""
    slow = replace(
        MODEL, window=replace(MODEL.window, length=20 * MINUTE), window_rules=(replace(DRIFT, critical=None),)
    )
    alone = Life(slow)
    assert rules(a_day_of_commits(alone, steady(0.38), lambda i: f"{i:07x}")) == []
    folded = Life(slow)
    told = a_day_of_commits(folded, steady(0.38), lambda _: "git")
    assert rules(told)[0] == ("git", "drift", "firing")
    assert set(folded.series()) == {"git"}
