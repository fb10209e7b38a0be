"""The smallest shift that a rule finds: what it holds in nine of ten windows of so many values.

A window *finds* a shift where its effect passes the threshold and its p-value the level of one test (the level of a look
over all tests: Holm's first step). Everything is taken of the reference, so that it can be told before anything drifts:

- A number: its mean moves by d standard deviations of the reference, up or down, whichever is harder to find. What moves
  is the reference's own distribution on its bins, a monotone cubic between their edges (Fritsch & Carlson 1980).
- A category, or a number of which one bin holds more than half: the share of the most frequent one rises, where it has more
  than half falls, at the others' cost in their proportions.
- A rate rises.

Whether a window is found by PSI says `core.shifted`. Of a rate it is exact: the tenth percentile of a binomial (Clopper &
Pearson 1934), of hits / inflation as in `law.rate_rise`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from driftd.core.budget import look_level
from driftd.core.distance import Floats, power_of_two
from driftd.core.judge import STATISTICS
from driftd.core.law import independent, rate_rise, replayed
from driftd.core.pane import Ints
from driftd.core.reference import FLOOR, RATES, Reference, Replay, rate_hits
from driftd.core.shifted import POWER, Shifts
from driftd.core.spec import YEAR, Model, WindowRule
from driftd.core.told import tellable
from driftd.core.view import ShiftUnit, SmallestShift

_STEPS: Final = 20
"""Halvings of a bracket: to a millionth of it."""
_STEP_OF_N: Final = 4
"""Answers are kept for n rounded down to a power of 2^(1/4): a shift is told at most a tenth too large."""
_MOST_KEPT: Final = 64


class Power:
    """What the rules of a model against `reference` find in windows like the one of these counts int64[codes].

    Called, it computes, one to three milliseconds a signal, and keeps the answer with the reference. Pure: any thread may call.
    """

    def __init__(self, model: Model, reference: Reference, counts: Ints) -> None:
        self.model, self.reference, self.counts = model, reference, counts

    def __call__(self) -> tuple[SmallestShift, ...]:
        n = rounded_down(values_of(self.reference, self.counts))
        rules = self.model.rules_against("reference")
        key = (rules, self.model.window, len(self.model.window_rules), n.tobytes())
        kept = self.reference.powers
        told: tuple[SmallestShift, ...] | None = kept.get(key)
        if told is None:
            told = tuple(one for rule in rules for one in smallest_shifts(self.model, rule, self.reference, n))
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[key] = told
        return told


def values_of(reference: Reference, counts: Ints) -> Floats:
    """How many values each statistic has in a window, [statistics, signals]."""
    tries = rate_hits(reference.grid, counts)[1]
    return np.vstack((tries[2], tries))


def values_in(reference: Reference, events: int) -> Floats:
    """The same of a window of so many events like those of the reference."""
    return np.floor(values_of(reference, reference.counts) * events / max(reference.events, 1))


def rounded_down(n: Floats) -> Floats:
    """To a power of 2^(1/4): what is told of a window is told alike wherever it is asked, and can be kept."""
    step = np.floor(np.log2(np.maximum(n, 1)) * _STEP_OF_N + 1e-9) / _STEP_OF_N
    return np.where(n >= 1, np.floor(2.0**step + 1e-9), 0.0)


@dataclass(frozen=True, slots=True)
class Levels:
    """`look`: of one whole evaluation; `own`: of one of its `tests`; `windows`: evaluations a year that it pays for."""

    look: float
    own: float
    tests: int
    windows: float


def levels(model: Model, rule: WindowRule, reference: Reference) -> Levels:
    """As `Evaluator` has them."""
    step = model.window.every if rule.persist == 1 else model.window.length
    look = look_level(rule.false_alarms_per_year, step, len(model.window_rules))
    tests = max(sum(tellable(reference, i, s) for i, s in _pairs(rule, reference)), 1)
    return Levels(look, look / tests, tests, YEAR / step)


def _pairs(rule: WindowRule, reference: Reference) -> list[tuple[int, int]]:
    named = [i for i, name in enumerate(reference.grid.names) if rule.on is None or name in rule.on]
    return [(i, STATISTICS.index(statistic)) for i in named for statistic in rule.statistics]


def smallest_shifts(model: Model, rule: WindowRule, reference: Reference, n: Floats) -> list[SmallestShift]:
    """Of every statistic and signal of a rule, in windows with n[statistics, signals] values."""
    own = levels(model, rule, reference).own
    replay, _ = reference.replay(n[0])
    shown = {
        s: _psi(rule, own, reference, n[0], replay) if s == 0 else _rate(rule, own, reference, n[s], replay, s - 1)
        for s in {STATISTICS.index(statistic) for statistic in rule.statistics}
    }
    out = []
    for i, s in _pairs(rule, reference):
        if tellable(reference, i, s) and n[s, i] >= 1:
            units, shift, effect, at_once = shown[s]
            out.append(
                SmallestShift(
                    reference.grid.names[i], rule.name, STATISTICS[s], int(n[s, i]), units[i],
                    _known(shift[i]), _known(effect[i]), _known(at_once[i]),
                )
            )  # fmt: skip
    return out


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


Shown = tuple[list[ShiftUnit], Floats, Floats, Floats]
"""Units; the smallest shift; the smallest effect that a streak is made of, and that fires at once."""


# -- PSI -------------------------------------------------------------------------------------------------------------


def _psi(rule: WindowRule, own: float, reference: Reference, n: Floats, replay: Replay | None) -> Shown:
    m = reference.present()
    scale = 1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)
    floor = np.zeros(len(n)) if replay is None else np.maximum(0.0, FLOOR * replay.worst * scale)
    shift, effect, at_once = (np.full(len(n), np.inf) for _ in range(3))
    units: list[ShiftUnit] = ["category_share"] * len(n)
    sizes = power_of_two(n)
    for size in np.unique(sizes):
        groups, expected = reference.groups(int(size))
        df = (groups.sizes - 1).astype(np.float64)
        rows = (sizes == size) & (df > 0) & (n >= 1) & (m > 0)
        if not rows.any():
            continue

        def p_of(x: Floats, df: Floats = df) -> Floats:
            return (
                independent(x, df) if replay is None else replayed(x, df, replay.windows, replay.mean, replay.variance)
            )

        warning = np.maximum(rule.warning, floor)
        found = _least(p_of, df + warning / scale, own)
        effect[rows] = ((found - df) * scale)[rows]
        if rule.critical is not None:
            critical = np.maximum(rule.critical, floor)
            at_once[rows] = ((_least(p_of, df + critical / scale, own * own) - df) * scale)[rows]
        excess = np.zeros(len(n)) if replay is None else np.maximum(0.0, replay.mean - df)
        looked = Shifts(reference, groups, expected, n, excess, found * scale)
        shift[rows] = looked.smallest(rows)[rows]
        for i in np.flatnonzero(rows & ~looked.by_share):
            units[i] = "deviations"
    return units, shift, effect, at_once


def _least(p_of: Callable[[Floats], Floats], at_least: Floats, level: float) -> Floats:
    """The least x, from `at_least` on, of which the p-value passes the level; infinite where none does."""
    low, high = at_least.copy(), at_least.copy()
    for _ in range(40):
        failing = p_of(high) > level
        if not failing.any():
            break
        low = np.where(failing, high, low)
        high = np.where(failing, 2 * high + 1, high)
    else:
        high = np.where(p_of(high) > level, np.inf, high)
    if (high == at_least).all():
        return high
    for _ in range(_STEPS):
        middle = np.where(np.isfinite(high), (low + high) / 2, low)
        failing = p_of(middle) > level
        low, high = np.where(failing, middle, low), np.where(failing, high, np.minimum(middle, high))
    return high


# -- rates -----------------------------------------------------------------------------------------------------------


def _rate(rule: WindowRule, own: float, reference: Reference, n: Floats, replay: Replay | None, r: int) -> Shown:
    """`r`: which of RATES."""
    hits, tries = rate_hits(reference.grid, reference.counts)
    then, m = hits[r].copy(), tries[r]
    if RATES[r] == "new_rate":
        then += reference.new_expected
    base = then / np.maximum(m, 1)
    windows = replay.windows if replay is not None else np.zeros(len(n))
    inflation = np.maximum(replay.inflation[r], 1.0) if replay is not None else np.ones(len(n))
    floor = FLOOR * replay.worst_rate[r] if replay is not None else np.zeros(len(n))

    def least(threshold: float, level: float) -> Floats:
        """The fewest hits that hold; n + 1 where not even n do."""
        low, high = np.full(len(n), -1.0), n + 1
        for _ in range(52):
            middle = np.floor((low + high) / 2)
            p = rate_rise(middle, n, then, m, windows, inflation)
            holds = (p <= level) & (middle / np.maximum(n, 1) - base >= np.maximum(threshold, floor)) & (middle >= 0)
            low, high = np.where(holds, low, middle), np.where(holds, middle, high)
            if (high - low <= 1).all():
                break
        return high

    def effect_of(fewest: Floats) -> Floats:
        effect: Floats = np.where((fewest <= n) & (m > 0), fewest / np.maximum(n, 1) - base, np.inf)
        return effect

    fewest = least(rule.warning, own)
    at_once = least(rule.critical, own * own) if rule.critical is not None else n + 1
    told = (fewest <= n) & (m > 0) & (fewest >= 1)
    needed = np.minimum(np.maximum(fewest, 1), np.maximum(n, 1))
    rate = special.betaincinv(needed / inflation, (np.maximum(n, 1) - needed) / inflation + 1, POWER)
    shift = np.where(told, np.maximum(rate - base, 0.0), np.inf)
    units: list[ShiftUnit] = ["rate"] * len(n)
    return units, shift, effect_of(fewest), effect_of(at_once)
