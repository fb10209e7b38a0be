"""Every detector against river's of that name: the same changes at the same index, where every slice holds one value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from river import drift
from scipy import stats

from driftd.core.detectors import parameters_of
from driftd.core.errors import Ddm, Eddm, Fhddm
from driftd.core.hoeffding import HddmA, HddmW
from driftd.core.kswin import Kswin, least_significant
from driftd.core.page_hinkley import PageHinkley
from driftd.core.sequential import Draws, Sequential
from driftd.core.spec import DetectorRule, Direction

Rng = np.random.Generator
DIRECTIONS: tuple[Direction, ...] = ("both", "up", "down")


class SameDraws(drift.KSWIN):
    """River's KSWIN, which draws what ours does."""

    def _reset(self) -> None:
        super()._reset()  # type: ignore[no-untyped-call]
        self.draws: Draws = getattr(self, "draws", Draws())
        self._rng = cast("Any", self.draws)


def numbers(rng: Rng, n: int) -> list[float]:
    """Normal, heavy-tailed, tied or constant values, whose mean jumps up to four times, at several scales."""
    kinds = (rng.normal(size=n), rng.standard_t(2, size=n), rng.integers(-2, 3, size=n).astype(float), np.zeros(n))
    values = kinds[rng.integers(len(kinds))]
    for at in rng.integers(0, n, rng.integers(0, 5)):
        values[at:] += rng.normal() * 2
    return list((values * rng.choice([1.0, -1.0, 1e3, 1e-3])).tolist())


def errors(rng: Rng, n: int) -> list[float]:
    rate = np.repeat(rng.random(4), -(-n // 4))[:n] ** 2
    return list((rng.random(n) < rate).astype(float).tolist())


def shares(rng: Rng, n: int) -> list[float]:
    """Values in [0, 1], as means of slices are."""
    return errors(rng, n) if rng.random() < 0.5 else np.clip(np.array(errors(rng, n)) * rng.random(n), 0, 1).tolist()


def assert_as_river(ours: Sequential, rivers: Any, of: list[float], given: Callable[[float], float] = float) -> int:
    found = 0
    for i, value in enumerate(of):
        change = ours.insert(1, value, value * value)
        rivers.update(given(value))
        assert (change is not None) == rivers.drift_detected, f"{ours.name} {ours.values}, index {i}"
        found += change is not None
        if change is not None:
            assert change.n_before + change.n_after == ours.width
            assert min(change.n_before, change.n_after) > 0
    return found


def test_page_hinkley_to_the_index_and_to_the_bit():
    found = quiet = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        direction: Direction = DIRECTIONS[seed % 3]
        settings: dict[str, Any] = {
            "min_instances": int(rng.choice([1, 30, 100])),
            "delta": float(rng.choice([0.0, 0.005, 0.125, 1.0])),
            "threshold": float(rng.choice([1.0, 10.0, 50.0, 1000.0])),
            "alpha": float(rng.choice([0.9, 0.9999, 1.0])),
        }
        ours, rivers = PageHinkley(settings, direction=direction), drift.PageHinkley(**settings, mode=direction)
        changes = assert_as_river(ours, rivers, numbers(rng, int(rng.integers(50, 1_500))))
        assert (ours._mean, ours._rise, ours._fall) == (
            rivers._x_mean.get(),
            rivers._sum_increase,
            rivers._sum_decrease,
        )
        found, quiet = found + changes, quiet + (changes == 0)
    assert found > 300
    assert quiet > 30


@pytest.mark.parametrize("direction", ["up", "both"])
def test_hddm_a(direction):
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        settings = {"drift_confidence": float(rng.choice([1e-6, 0.001, 0.05]))}
        theirs = drift.binary.HDDMA(**settings, two_sided_test=direction == "both")
        found += assert_as_river(HddmA(settings, direction=direction), theirs, shares(rng, 1_200))
    assert found > 30


@pytest.mark.parametrize("direction", ["up", "both"])
def test_hddm_w(direction):
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        weight = float(rng.choice([0.01, 0.05, 0.3]))
        settings = {"drift_confidence": float(rng.choice([1e-6, 0.001, 0.05])), "lambda_val": weight}
        theirs = drift.binary.HDDMW(**settings, two_sided_test=direction == "both")
        found += assert_as_river(HddmW(settings, direction=direction), theirs, shares(rng, 1_200))
    assert found > 30


def test_ddm_eddm_and_fhddm():
    found = {"ddm": 0, "eddm": 0, "fhddm": 0}
    for seed in range(120):
        rng = np.random.default_rng(seed)
        warm, of = int(rng.choice([10, 30, 100])), errors(rng, 1_500)
        limit, level = float(rng.choice([2.5, 3.0])), float(rng.choice([0.8, 0.9]))
        ddm: dict[str, Any] = {"warm_start": warm, "warning_threshold": 2.0, "drift_threshold": limit}
        found["ddm"] += assert_as_river(Ddm(ddm), drift.binary.DDM(**ddm), of)
        eddm: dict[str, Any] = {"warm_start": warm, "alpha": 0.95, "beta": level}
        found["eddm"] += assert_as_river(Eddm(eddm), drift.binary.EDDM(**eddm), of)
        size, short = int(rng.choice([50, 100])), int(rng.choice([0, 20]))
        fhddm: dict[str, Any] = {"sliding_window_size": size, "confidence_level": float(rng.choice([1e-6, 0.001]))}
        theirs = drift.binary.FHDDM(**fhddm, short_window_size=short or None)
        # River's finds that ones become rarer, whatever its page says: it is given what was right.
        ours = Fhddm({**fhddm, "short_window_size": short})
        found["fhddm"] += assert_as_river(ours, theirs, of, lambda error: int(1 - error))
    assert min(found.values()) > 60


def test_kswin_given_the_same_draws():
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        settings: dict[str, Any] = {
            "alpha": float(rng.choice([0.005, 0.05])),
            "window_size": int(rng.choice([60, 100])),
            "stat_size": 30,
        }
        found += assert_as_river(Kswin(settings), SameDraws(**settings), numbers(rng, 500))
    assert found > 12


@pytest.mark.parametrize("n", [2, 7, 30, 100])
def test_the_level_of_kolmogorov_and_smirnov_is_exact(n):
    for alpha in (0.5, 0.05, 0.005, 1e-6):
        chances = [float(stats.ks_2samp([0] * h + [1] * (n - h), [1] * n, method="exact").pvalue) for h in range(n + 1)]
        significant = [h for h in range(1, n + 1) if chances[h] <= alpha]
        assert least_significant(n, alpha) == (significant[0] if significant else n + 1)


def test_rivers_page_hinkley_is_loud_and_ours_is_not():
    """Of 100,000 values of N(0, 100), which driftd standardises."""
    values = np.random.default_rng(1).normal(0.0, 10.0, 100_000)
    theirs, loud = drift.PageHinkley(), 0
    for value in values.tolist():
        theirs.update(value)
        loud += theirs.drift_detected
    assert loud > 2_000
    quiet = PageHinkley(parameters_of(DetectorRule("r", "page_hinkley")), (0.0, 10.0))
    for value in values.tolist():
        quiet.insert(1, value, value * value)
    assert quiet.changes == 0
