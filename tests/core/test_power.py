"""The smallest shift that is found, against simulation: at what is said, a rule holds in nine of ten windows.

`-s` prints what was measured: `.venv/bin/python -m pytest -s tests/core/test_power.py`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from driftd.core.event import NULL, Column, Mark
from driftd.core.grid import Grid, categorical_axis
from driftd.core.judge import STATISTICS, judge
from driftd.core.law import replayed
from driftd.core.power import Power, levels, smallest_shifts, values_in
from driftd.core.reference import FLOOR, Reference
from driftd.core.spec import Model, Window, WindowRule
from driftd.core.told import thresholds
from driftd.core.view import SmallestShift
from tests.core.streams import autoregressive, numeric, pane_of, reference_of

Rng = np.random.Generator
Draw = Callable[[Rng, int, float], Column]
"""n values, shifted by so much."""
M = 40_000
DRIFT = WindowRule("drift")
SENSITIVE = WindowRule("drift", warning=0.01, critical=0.02)
GAPS = WindowRule("gaps", ("null_rate",), 0.02, 0.1, 1)


def of_its_own(values: np.ndarray[tuple[int], np.dtype[np.float64]], *, in_order: bool = False) -> Draw:
    """What the reference itself holds, moved: the world that it is a sample of has a mean a little beside its own."""

    def draw(rng: Rng, n: int, shift: float) -> Column:
        if n == M:
            return values
        start = int(rng.integers(M - n))
        drawn = values[start : start + n] if in_order else rng.choice(values, n)
        moved: Column = drawn + shift * values.std()
        return moved

    return draw


NORMAL = of_its_own(np.random.default_rng(1).normal(size=M))
EXPONENTIAL = of_its_own(np.random.default_rng(2).exponential(size=M))
COUNTS = of_its_own(np.random.default_rng(3).poisson(4, M).astype(np.float64) + np.random.default_rng(4).random(M))
PERSISTENT = of_its_own(autoregressive(np.random.default_rng(6), M, 0.9), in_order=True)
CORRELATED = of_its_own(autoregressive(np.random.default_rng(5), M, 0.5), in_order=True)


def zipf(k: int) -> Draw:
    share = 1 / np.arange(1, k + 1)
    share /= share.sum()

    def draw(rng: Rng, n: int, shift: float) -> Column:
        moved = share * (1 - share[0] - shift) / (1 - share[0])
        moved[0] = share[0] + shift
        return [f"c{i}" for i in rng.choice(k, n, p=moved)]

    return draw


def flag(rng: Rng, n: int, shift: float) -> Column:
    """Set once in a hundred: the other value is nearly all."""
    return (rng.random(n) < 0.01 + shift).astype(np.float64)


def nulls(rng: Rng, n: int, shift: float) -> Column:
    return np.where(rng.random(n) < 0.03 + shift, NULL, rng.normal(size=n))


@dataclass(frozen=True)
class Case:
    draw: Draw
    n: int
    rule: WindowRule = DRIFT
    parts: int = 500
    most: float = 0.95


CASES = {
    "normal, 100": Case(NORMAL, 100),
    "normal, 1000": Case(NORMAL, 1_000),
    "normal, 10000": Case(NORMAL, 10_000),
    "normal, 1000, where the evidence decides": Case(NORMAL, 1_000, SENSITIVE),
    "normal, 1000, without an order": Case(NORMAL, 1_000, parts=1),
    "exponential, 1000": Case(EXPONENTIAL, 1_000),
    "lumps, 1000": Case(COUNTS, 1_000),
    "AR(1) 0.5, 1000": Case(CORRELATED, 1_000),
    "AR(1) 0.9, 1000": Case(PERSISTENT, 1_000, most=0.99),  # it errs to the side of a larger shift
    "3 categories, 300": Case(zipf(3), 300),
    "200 categories, 1000": Case(zipf(200), 1_000),
    "a flag, 1000": Case(flag, 1_000),
    "nulls, 100": Case(nulls, 100, GAPS),
    "nulls, 1000": Case(nulls, 1_000, GAPS),
    "nulls, 10000": Case(nulls, 10_000, GAPS),
}


def made(draw: Draw, parts: int) -> Reference:
    values = draw(np.random.default_rng(1), M, 0.0)
    if isinstance(values, list):
        names, counts = np.unique(values, return_counts=True)
        axis = categorical_axis("x", dict(zip(names.tolist(), counts.tolist(), strict=True)), 256)
        return reference_of(Grid([axis]), {"x": values}, parts)
    whole = np.asarray(values)
    return reference_of(Grid([numeric("x", whole[np.isfinite(whole)])]), {"x": whole}, parts)


def model(rule: WindowRule) -> Model:
    """The other rule is there too, so that the level is shared."""
    return Model("m", Window(min_samples=50), window_rules=(rule, WindowRule("other")))


def told(case: Case, reference: Reference) -> SmallestShift:
    (found,) = smallest_shifts(model(case.rule), case.rule, reference, values_in(reference, case.n))
    return found


def share_found(case: Case, reference: Reference, shift: float, windows: int) -> float:
    """Of windows that are shifted so, those that hold: effect and evidence, as the rule looks at them."""
    own = levels(model(case.rule), case.rule, reference).own
    s = STATISTICS.index(case.rule.statistics[0])
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(windows):
        found = judge(reference, pane_of(reference.grid, {"x": case.draw(rng, case.n, shift)}).counts, 50)
        enough, _critical = thresholds(case.rule, float(found.floor[s, 0]))
        held += bool(found.effect[s, 0] >= enough and found.p_value[s, 0] <= own)
    return held / windows


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_found_in_nine_of_ten_windows(name: str) -> None:
    case = CASES[name]
    reference = made(case.draw, case.parts)
    said = told(case, reference)
    assert said.shift is not None
    signs = (1, -1) if said.unit == "deviations" else (1,)
    found = [share_found(case, reference, sign * said.shift, 400) for sign in signs]
    half = min(share_found(case, reference, sign * said.shift / 2, 100) for sign in signs)
    print(f"{name}: {said.shift:.4f} {said.unit}, found in {found}, half of it in {half:.1%}")
    assert 0.85 <= min(found) <= case.most, "in the direction that is harder"
    assert half < 0.5


def test_the_smallest_effects_are_those_that_hold() -> None:
    """At `effect` a window passes threshold and level, at once it passes the critical one and the level squared."""
    reference = made(NORMAL, 500)
    for rule, n in ((DRIFT, 100), (DRIFT, 10_000), (SENSITIVE, 1_000)):
        said = told(Case(NORMAL, n, rule), reference)
        own = levels(model(rule), rule, reference).own
        assert said.effect is not None
        assert said.at_once is not None
        assert rule.critical is not None
        replay, _ = reference.replay(np.array([float(n)]))
        assert replay is not None
        groups, _ = reference.groups(1 << (n.bit_length() - 1))
        df, scale = np.array([groups.sizes[0] - 1.0]), 1 / n + 1 / M
        for effect, threshold, level in ((said.effect, rule.warning, own), (said.at_once, rule.critical, own * own)):
            x = np.array([effect / scale]) + df
            p = replayed(x, df, replay.windows, replay.mean, replay.variance)[0]
            assert p <= level * 1.001
            floor = max(threshold, FLOOR * float(replay.worst[0]) * scale)
            assert effect == pytest.approx(floor) or (effect > floor and p > 0.99 * level), "no smaller one holds"


def test_odd_references_break_nothing() -> None:
    rng = np.random.default_rng(3)
    rows: dict[str, Column] = {
        "constant": np.full(5_000, 3.0),
        "nothing": np.full(5_000, NULL),
        "huge": rng.normal(size=5_000) * 1e300,
        "vast": rng.choice([-1.7e308, -1e308, 1e308, 1.7e308], 5_000),
        "tiny": rng.normal(size=5_000) * 1e-300,
        "spike": np.where(rng.random(5_000) < 0.999, 0.0, 1e12),
        "whole": rng.integers(0, 3, 5_000).astype(np.float64),
        "one": ["a"] * 5_000,
        "ids": [f"id{i}" for i in range(5_000)],
        "absent": [Mark.ABSENT] * 5_000,
    }
    numbers = {name: np.asarray(v) for name, v in rows.items() if isinstance(v, np.ndarray)}
    axes = [
        categorical_axis(name, dict(Counter(v for v in values if isinstance(v, str))), 256)
        if isinstance(values, list)
        else numeric(name, numbers[name][np.isfinite(numbers[name])] if name != "nothing" else np.zeros(1))
        for name, values in rows.items()
    ]
    reference = reference_of(Grid(axes), rows, 100)
    with np.errstate(over="ignore"):
        subject = Power(Model("m"), reference, pane_of(reference.grid, rows).counts)
    found = {(one.rule, one.signal, one.statistic): one for one in subject()}
    assert subject() is subject(), "it is kept"
    for one in found.values():
        assert one.shift is None or 0 < one.shift < 17, one
        assert one.effect is None or one.effect > 0, one
    assert ("drift", "nothing", "psi") not in found
    assert found["drift", "constant", "psi"].unit == found["drift", "one", "psi"].unit == "category_share"
    assert found["drift", "huge", "psi"].shift == pytest.approx(found["drift", "tiny", "psi"].shift, rel=0.1)
    assert found["drift", "ids", "psi"].shift is None, "one group can show nothing"
