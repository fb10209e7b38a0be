"""The budget over repeated looks: hourly windows of many signals, looked at every five minutes, and nothing drifts.

The rules are the real ones in the real `Evaluator`, but for their thresholds: 0, so that budget and floor alone hold. A look
at which no p-value can pass is not evaluated where nothing is pending or firing: by both laws it is at least that of
chi-square, which is cheap, and an evaluation in which nothing passes changes nothing then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri
from scipy.stats import poisson

from driftd.core.budget import look_level
from driftd.core.distance import Floats, power_of_two, psi
from driftd.core.evaluate import Evaluator
from driftd.core.finding import Origin
from driftd.core.grid import BINS, Grid, Numeric
from driftd.core.judge import judge
from driftd.core.law import independent
from driftd.core.pane import Ints, Pane
from driftd.core.reference import Reference
from driftd.core.spec import HOUR, MINUTE, YEAR, Model, Window, WindowRule
from driftd.core.told import Opponents
from driftd.core.window import Span
from tests.calibrate.streams import BY_NAME, Latent, Rng

FULL_HOURS = 10_000
STRETCH = 250
"""Hours with a reference of their own."""
PANE_VALUES = 50
REFERENCE_PARTS, PART_VALUES = 512, 98
WINDOW = Window(length=HOUR, every=5 * MINUTE)
RULES = tuple(
    WindowRule(f"persist {persist}, {budget:,.0f} a year", ("psi",), 0.0, 0.0, persist, budget)
    for persist, budget in ((2, 1.0), (1, 1.0), (1, 100.0))
)


@dataclass(frozen=True)
class Case:
    """`number` seeds it. `common`: the correlation between signals. `most`: times the budget that is allowed."""

    number: int
    name: str
    signals: int
    dependence: str
    common: float
    most: float


CASES = (
    Case(0, "500 signals, independent", 500, "independent", 0.0, 1.0),
    Case(1, "500 signals, cross-correlation 0.5", 500, "independent", 0.5, 1.0),
    Case(2, "20 signals, AR(1) 0.9", 20, "AR(1) 0.9", 0.0, 3.0),
)


@dataclass(frozen=True)
class Stretch:
    case: Case
    seed: int
    number: int
    hours: int


@dataclass
class Alarms:
    """By rule: notifications that fire; and looks whose smallest p-value passes its level, whatever the floor says."""

    hours: int = 0
    fired: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, other: Alarms) -> None:
        self.hours += other.hours
        self.seconds += other.seconds
        for mine, theirs in ((self.fired, other.fired), (self.passed, other.passed)):
            for rule, count in theirs.items():
                mine[rule] = mine.get(rule, 0) + count


def most_alarms(rule: WindowRule, hours: int, times: float) -> int:
    """What a Poisson count of the budget reaches with 99 %."""
    return int(times * poisson.ppf(0.99, rule.false_alarms_per_year * hours * HOUR / YEAR))


def stretches(seed: int, hours: int) -> list[Stretch]:
    return [
        Stretch(case, seed, i, min(STRETCH, hours - a))
        for case in CASES
        for i, a in enumerate(range(0, hours, STRETCH))
    ]


def watch(stretch: Stretch) -> Alarms:
    """Pure: the same stretch, the same alarms."""
    began = time.process_time()
    reference, panes = _world(stretch)
    evaluators = [_Rule(rule, reference) for rule in RULES]
    out = Alarms(stretch.hours, {rule.name: 0 for rule in RULES}, {rule.name: 0 for rule in RULES})
    window: deque[Ints] = deque(maxlen=12)
    empty = Pane.empty(reference.grid)
    for look in range(11 + stretch.hours * 12):
        window.append(next(panes))
        if len(window) < 12:
            continue
        counts = np.sum(window, axis=0)
        least = _least_p(reference, counts)
        found = None
        for one in evaluators:
            if not one.evaluator.alerts and least > one.possible:
                continue
            found = judge(reference, counts, 100) if found is None else found
            out.passed[one.rule.name] += bool((found.p_value[0] <= one.own).any())
            end = look * WINDOW.every
            span = Span(end - HOUR, end, 0, 12 * PANE_VALUES, enough=True)
            total = Pane(span.events, counts, empty.moments, empty.slices)
            told = one.evaluator.evaluate(span, Opponents(reference, reference), total, [])
            out.fired[one.rule.name] += sum(finding.type == "firing" for finding in told)
    out.seconds = time.process_time() - began
    return out


class _Rule:
    def __init__(self, rule: WindowRule, reference: Reference) -> None:
        model = Model("m", window=WINDOW, window_rules=(rule,), detector_rules=())
        self.rule = rule
        self.evaluator = Evaluator(Origin("g", "m", "1", "prediction"), model)
        step = WINDOW.every if rule.persist == 1 else WINDOW.length
        self.own = look_level(rule.false_alarms_per_year, step, 1) / len(reference.grid)
        self.possible = max(2 * self.own, 1e-5)
        """The law's quadrature is right to 1e-6."""


def _least_p(reference: Reference, counts: Ints) -> float:
    """The smallest p-value by chi-square: none of the law is smaller."""
    n, m = float(12 * PANE_VALUES), reference.present()
    groups, expected = reference.groups(int(power_of_two(np.array([n]))[0]))
    x = psi(groups, groups.sums(counts), expected) / (1 / n + 1 / m)
    return float(independent(x, (groups.sizes - 1).astype(np.float64)).min())


def _world(stretch: Stretch) -> tuple[Reference, Iterator[Ints]]:
    """A reference and the panes after it, on the grid of the world's own quantiles."""
    case = stretch.case
    rng = np.random.default_rng([stretch.seed, stretch.number, case.number])
    bounds = np.concatenate(([-40.0], ndtri(np.arange(1, BINS) / BINS), [40.0]))
    grid = Grid([Numeric(f"s{i:03}", bounds, 0.0, 1.0) for i in range(case.signals)])
    latent = Latent(rng, BY_NAME["normal"], case.dependence, case.signals, hour=1)

    def counts(values: int) -> Ints:
        codes = np.searchsorted(bounds, _mixed(rng, latent.take(values), case.common))
        return np.bincount((codes + grid.first[:-1, None]).ravel(), minlength=grid.codes)

    def panes() -> Iterator[Ints]:
        while True:
            yield counts(PANE_VALUES)

    parts = np.stack([counts(PART_VALUES) for _ in range(REFERENCE_PARTS)])
    moments = np.zeros((3, case.signals), np.int64)
    return Reference.build(grid, REFERENCE_PARTS * PART_VALUES, moments, parts), panes()


def _mixed(rng: Rng, own: Floats, common: float) -> Floats:
    """Any two signals are correlated by `common`."""
    return np.sqrt(common) * rng.normal(size=own.shape[1]) + np.sqrt(1 - common) * own if common else own
