"""Levels from a budget: Holm by hand, and what the levels cost over a year of looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.alert import Alert, Look
from driftd.core.budget import holm, look_level
from driftd.core.law import independent
from driftd.core.spec import DAY, HOUR, MINUTE, YEAR
from tests.core.streams import SEEDED


@pytest.mark.parametrize(
    ("per_year", "length", "rules", "level"),
    [
        (1.0, HOUR, 1, 1 / 8_766),
        (1.0, HOUR, 2, 1 / 17_532),
        (12.0, DAY, 1, 12 / 365.25),
        (1.0, 5 * MINUTE, 1, 1 / 105_192),
        (1.0, HOUR, 0, 1 / 8_766),
        (1e9, HOUR, 1, 1.0),  # never above 1
        (0.0, HOUR, 1, 0.0),
        (1.0, 2 * YEAR, 1, 1.0),
    ],
)
def test_the_level_of_a_look(per_year, length, rules, level) -> None:
    assert look_level(per_year, length, rules) == pytest.approx(level, rel=1e-12)


@pytest.mark.parametrize(
    ("p_values", "tests", "passed"),
    [
        # Level 0.05 for 4 tests: 0.0125, 0.01667, 0.025, 0.05 (Holm 1979, and any textbook).
        ([0.01, 0.04, 0.03, 0.005], 4, [0.05 / 3, None, None, 0.05 / 4]),
        ([0.001, 0.002, 0.003, 0.004], 4, [0.05 / 4, 0.05 / 3, 0.05 / 2, 0.05]),
        ([0.02, 0.001, 0.9], 3, [0.05 / 2, 0.05 / 3, None]),
        ([0.0126, 0.0, 0.0], 4, [0.05 / 2, 0.05 / 4, 0.05 / 3]),
        ([0.0126, 0.0126, 0.0126, 0.0126], 4, [None] * 4),  # stops at the first that fails
        ([0.05], 1, [0.05]),
        ([0.0500001], 1, [None]),
        ([0.012], 5, [None]),  # a test that lacks data today counts all the same
        ([0.01], 5, [0.01]),
        ([], 4, []),
    ],
)
def test_holm_by_hand(p_values, tests, passed) -> None:
    found = holm(p_values, 0.05, tests)
    assert found == [pytest.approx(level) if level else None for level in passed]


@SEEDED
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1e-9, 0.01]), max_size=40), st.integers(0, 20), st.floats(0, 1))
def test_holm_is_its_definition(p_values, untold, level) -> None:
    tests = len(p_values) + untold
    found = holm(p_values, level, max(tests, 1))
    ordered = sorted(p_values)
    passing = 0
    while passing < len(ordered) and ordered[passing] <= level / (tests - passing):
        passing += 1
    assert sum(own is not None for own in found) == passing
    assert sorted(p for p, own in zip(p_values, found, strict=True) if own is not None) == ordered[:passing]
    for p, own in zip(p_values, found, strict=True):
        assert own is None or p <= own <= level


def test_the_family_of_an_evaluation_keeps_its_level_whatever_the_signals_share() -> None:
    rng = np.random.default_rng(0)
    n, signals, level = 20_000, 20, 0.05
    for shared in (0.0, 0.7):
        from scipy.stats import norm

        z = np.sqrt(1 - shared) * rng.normal(size=(n, signals)) + np.sqrt(shared) * rng.normal(size=(n, 1))
        any_passed = sum(any(holm(row, level, signals)) for row in norm.sf(z).tolist())
        assert any_passed / n < level + 4 * np.sqrt(level / n)


def alerts(p_values: np.ndarray, level: float, persist: int, looks: int) -> int:
    """How often a rule fires that looks at `looks` overlapping windows a window length."""
    alert, fired = Alert(), 0
    for end, p in enumerate(p_values.tolist()):
        holds = frozenset({"warning"}) if p <= level else frozenset()
        output = alert.look(Look(end - looks, end, holds, at_once=False, calm=p > 0.5), persist)  # type: ignore[arg-type]
        fired += output == "firing"
    return fired


@pytest.fixture(scope="module")
def sliding() -> np.ndarray:
    """P-values of PSI over 10 cells, 1,200 events a window of 12 panes, a look a pane; nothing drifts."""
    rng = np.random.default_rng(1)
    summed = np.cumsum(rng.multinomial(100, [0.1] * 10, 240_000), axis=0)
    shares = (summed[12:] - summed[:-12] + 0.5) / 1_205
    return independent(1_200 * ((shares - 0.1) * np.log(10 * shares)).sum(axis=1), np.full(len(shares), 9.0))


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_a_rule_that_persists_over_two_windows_keeps_far_below_its_budget(sliding, level) -> None:
    budget = len(sliding) / 12 * level
    assert alerts(sliding, level, 2, 12) < 0.05 * budget


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_a_rule_that_does_not_persist_pays_for_every_look_and_not_for_every_window(sliding, level) -> None:
    # Twelve overlapping looks are nearly twelve chances: so a rule of one window takes its level from `every`.
    found = alerts(sliding, level, 1, 12)
    assert found < len(sliding) * level * 1.1
    assert found > 3 * len(sliding) / 12 * level
