"""Fifty events a day: a simulated year in windows that grow by doubling, up to ninety days.

`-s` prints what was measured: `.venv/bin/python -m pytest -s tests/core/test_few_events.py`
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest

from driftd.core.baseline import GivenReference
from driftd.core.engine import Engine
from driftd.core.event import Block, Columns, Discovered, PartitionId, Tick
from driftd.core.grid import Grid
from driftd.core.profile import profile
from driftd.core.reference import Reference
from driftd.core.spec import DAY, HOUR, Model, ReferenceFiles, Spec, Window
from driftd.core.view import SeriesView, SmallestShift
from tests.core.streams import numeric, reference_of

P = PartitionId("scored", 0)
START = 20_000 * DAY
A_DAY = 50
SIGNALS = tuple(f"x{i}" for i in range(8))
WINDOW = Window(DAY, 6 * HOUR, min_samples=1_000, max_length=90 * DAY)
SHIFTED = 180
"""The day from which on x0 moves, where it does."""


@cache
def reference() -> Reference:
    rng = np.random.default_rng(1)
    rows = {name: rng.normal(size=40_000) for name in SIGNALS}
    return reference_of(Grid([numeric(name, values) for name, values in rows.items()]), rows, 512)


@dataclass
class Year:
    fired: list[tuple[float, str]] = field(default_factory=list)
    """Day and signal of each alert."""
    lengths: set[float] = field(default_factory=set)
    """Of windows that were judged, in days."""
    states: set[str] = field(default_factory=set)
    """From the hundredth day on."""
    young: set[str] = field(default_factory=set)
    """Before a window could hold enough."""
    last: SeriesView | None = None


def lived(seed: int, shift: float, days: int = 365, window: Window = WINDOW) -> Year:
    given = {"m": {"": GivenReference("1", reference())}}
    model = Model("m", window, ReferenceFiles("m.json"), detector_rules=())
    engine = Engine(Spec(models={"m": model}), given)
    engine.apply(Discovered({P: ("prediction",)}))
    rng = np.random.default_rng(seed)
    year = Year()
    for day in range(days):
        start = START + day * DAY
        times = start + np.sort(rng.integers(DAY, size=A_DAY))
        rows = {name: rng.normal(size=A_DAY) for name in SIGNALS}
        rows["x0"] = rows["x0"] + shift * (day >= SHIFTED)
        first = day * A_DAY
        group = Columns("m", "1", "prediction", times, np.arange(first, first + A_DAY), rows)
        block = Block(P, first, first + A_DAY, A_DAY, int(times[0]), int(times[-1]), (group,), (), {}, 0)
        for stimulus in (profile(block, engine.plan_of), Tick({P: start + DAY})):
            for action in engine.apply(stimulus).actions:
                if action.type == "driftd.alert.firing":
                    signals = action.data["signals"]
                    assert isinstance(signals, list)
                    year.fired += [((action.timestamp - START) / DAY, one["signal"]) for one in signals]
        (series,) = engine.view().models[0].series
        if series.window_end is not None and series.window_start is not None and not series.insufficient:
            year.lengths.add((series.window_end - series.window_start) / DAY)
        seen = {one.state for one in series.statistics if one.rule == "drift"}
        (year.young if day < 15 else year.states if day >= 100 else set()).update(seen)
        year.last = series
    return year


def of_x0(series: SeriesView | None) -> SmallestShift:
    assert series is not None
    assert series.power is not None
    return next(one for one in series.power() if (one.signal, one.rule) == ("x0", "drift"))


def test_a_year_without_drift_raises_no_alarm_and_is_never_blind() -> None:
    year = lived(2, 0.0)
    assert year.fired == []
    assert year.young == {"insufficient_data"}, "a state of its own until the first window holds enough"
    assert year.states <= {"ok", "pending"}
    assert year.lengths == {32.0}, "it grew by doubling until it held a thousand events"
    said = of_x0(year.last)
    assert said.shift is not None
    assert said.shift < 0.45
    print(f"fifty events a day: windows of {year.lengths} days, {said.n} values, from {said.shift:.2f} sd on")


@pytest.mark.parametrize(("times", "latest"), [(1.0, 110), (2.0, 80)])
def test_a_shift_is_found_after_two_windows_and_one_that_is_large_before(times: float, latest: int) -> None:
    said = of_x0(lived(2, 0.0, days=60).last)
    assert said.shift is not None
    year = lived(3, times * said.shift)
    after = [day - SHIFTED for day, signal in year.fired if signal == "x0"]
    assert {signal for _, signal in year.fired} == {"x0"}
    assert 0 < after[0] <= latest
    print(f"a shift of {times * said.shift:.2f} sd at 50 events a day: found after {after[0]:.0f} days")


def test_the_longest_window_is_the_last_doubling_that_fits_and_what_holds_too_few_then_says_so() -> None:
    """A day doubled six times is 64 days; a seventh time would be more than ninety."""
    long = lived(4, 0.0, 150, replace(WINDOW, min_samples=3_000))
    assert long.lengths == {64.0}
    assert of_x0(long.last).shift == pytest.approx(0.35, abs=0.03), "the threshold decides, not the number of events"
    blind = lived(4, 0.0, 150, replace(WINDOW, min_samples=3_500))
    assert blind.states == {"insufficient_data"}
    assert blind.last is not None
    assert blind.last.power is None
