"""Kolmogorov-Smirnov and Wasserstein on cells, against scipy on the raw values, and with no drift."""

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from driftd.core import null
from driftd.core.distance import Floats
from driftd.core.grid import Axis, Grid, Numeric, categorical_axis
from driftd.core.ordered import Ordered, kolmogorov_smirnov, wasserstein
from driftd.core.pane import CLIP, Ints
from tests.core.sides import Sides
from tests.core.streams import SEEDED, numeric

finite = st.floats(-100, 100).map(lambda x: x + 0.0)
samples = st.lists(finite, min_size=1, max_size=80) | st.lists(
    st.integers(-5, 5).map(float) | st.just(0.0), min_size=1, max_size=80
)


# -- what binning costs ----------------------------------------------------------------------------------------------


@SEEDED
@given(samples, samples)
def test_exact_ks_is_binned_and_at_most_the_bound(current, reference) -> None:
    sides = Sides(np.array(current), np.array(reference))
    exact, binned = float(stats.ks_2samp(current, reference).statistic), sides.ks()
    p, q = sides.shares
    assert binned - 1e-12 <= exact <= binned + float(np.maximum(p, q).max()) + 1e-12
    before = sides.cells.before(sides.a) - sides.cells.before(sides.b)
    assert exact <= float(np.maximum(before + p, q - before).max()) + 1e-12


@SEEDED
@given(samples, samples, samples)
def test_exact_wasserstein_is_within_the_bound(current, reference, sample) -> None:
    """Also on a grid of another sample, where the reference, too, lies beyond the borders."""
    for sides in (
        Sides(np.array(current), np.array(reference)),
        Sides(np.array(current), np.array(reference), np.array(sample)),
    ):
        exact, binned = sides.exact_wasserstein(), sides.wasserstein()
        assert abs(exact - binned) <= sides.wasserstein_bound() * (1 + 1e-9)


@SEEDED
@given(st.lists(st.integers(0, 9), min_size=20, max_size=99), st.lists(st.integers(0, 9), min_size=20, max_size=99))
def test_of_integers_that_the_grid_has_each_in_a_bin_ks_is_exact(current, reference) -> None:
    reference = [*reference, *range(10)]
    sides = Sides(np.array(current, float), np.array(reference, float), np.arange(10.0))
    assert sides.ks() == pytest.approx(float(stats.ks_2samp(current, reference).statistic), abs=1e-12)


def test_sixty_bins_are_near_the_exact_ones() -> None:
    rng = np.random.default_rng(0)
    for current in (rng.normal(0.2, 1, 5_000), rng.normal(0, 2, 5_000), rng.lognormal(size=5_000)):
        sides = Sides(current, rng.normal(size=50_000))
        assert sides.ks() == pytest.approx(float(stats.ks_2samp(current, sides.z[1]).statistic), abs=0.01)
        assert sides.wasserstein() == pytest.approx(sides.exact_wasserstein(), rel=0.04)


# -- the formulas ----------------------------------------------------------------------------------------------------


def test_a_shift_is_told_in_standard_deviations_of_the_reference() -> None:
    reference = 5_000 + 250 * np.random.default_rng(1).normal(size=20_000)
    assert Sides(reference + 125, reference).wasserstein() == pytest.approx(0.5, rel=0.05)


def test_values_far_beyond_the_borders_are_told_by_the_mean() -> None:
    reference = np.random.default_rng(2).normal(size=20_000)
    sides = Sides(reference[:1_000] + 40, reference)
    assert sides.wasserstein() == pytest.approx(40, rel=1e-2)
    at_the_border = wasserstein(sides.cells, sides.a, sides.b, np.zeros(1), sides.deviation)
    assert 3 < float(at_the_border[0]) < 5  # and without it: as if all lay at the greatest value known


def test_ks_is_the_same_both_ways() -> None:
    rng = np.random.default_rng(3)
    sides = Sides(rng.normal(0.3, 1.5, 500), rng.normal(size=800))
    cells, a, b = sides.cells, sides.a, sides.b
    assert kolmogorov_smirnov(cells, a, b).tolist() == kolmogorov_smirnov(cells, b, a).tolist()


def test_the_same_shares_are_0() -> None:
    reference = np.repeat([1.0, 2.0, 5.0], [10, 20, 70])
    sides = Sides(reference[::10], reference)
    assert sides.ks() == 0.0
    assert sides.wasserstein() == pytest.approx(0, abs=1e-6)


# -- the same in any order -------------------------------------------------------------------------------------------


def test_windows_signals_and_panes_in_any_order_are_to_the_bit_the_same() -> None:
    rng = np.random.default_rng(4)
    axes: list[Axis] = [numeric("a", rng.normal(size=500)), categorical_axis("b", {"x": 5}, 9)]
    grid = Grid([*axes, numeric("c", np.ones(9)), numeric("d", rng.integers(0, 7, 99).astype(float))])
    cells = Ordered.of(grid)
    windows = cells.sums(rng.integers(0, 50, (7, grid.codes)))
    total = windows.sum(axis=0)
    assert total.tolist() == windows[::-1].cumsum(axis=0)[-1].tolist()
    shifts, deviations = rng.normal(size=(7, 3)), np.array([1.0, 2.0, 0.5])
    ks = kolmogorov_smirnov(cells, windows, total)
    w = wasserstein(cells, windows, total, shifts, deviations)
    assert ks.shape == w.shape == (7, 3)
    for i, name in enumerate(("a", "c", "d")):
        alone = Ordered.of(grid.select([name]))
        own = slice(cells.first[i], cells.first[i + 1])
        for row in range(7):
            mine: tuple[Ints, Ints] = windows[row, own], total[own]
            assert kolmogorov_smirnov(alone, *mine).tolist() == [ks[row, i]]
            value = wasserstein(alone, *mine, shifts[row, i : i + 1], deviations[i : i + 1])
            assert value.tolist() == [w[row, i]]


# -- what must not break one -----------------------------------------------------------------------------------------

HUGE, TINY = 1e300, 1e-300
ODD = {
    "constant": ([7.0] * 9, [7.0] * 50),
    "constant that moved": ([8.0] * 9, [7.0] * 50),
    "huge": ([HUGE, -HUGE, 0.0], [HUGE, -HUGE, 1.0, 2.0]),
    "the greatest": ([sys.float_info.max, -sys.float_info.max], [sys.float_info.max, -sys.float_info.max, 0.0]),
    "tiny": ([TINY, -TINY, 0.0], [TINY, 2 * TINY, 3 * TINY]),
    "subnormal": ([5e-324, 0.0], [5e-324, 1e-323, 0.0]),
    "tiny and huge": ([TINY, HUGE], [TINY, TINY, HUGE]),
    "huge beside a tiny reference": ([HUGE, -HUGE], [TINY, 2 * TINY]),
    "above 2^53": ([2.0**60, 2.0**60 + 256], [2.0**60, 2.0**60 + 512]),
    "no value now": ([math.nan, math.inf], [1.0, 2.0]),
    "one value": ([1.0], [2.0]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_give_numbers(name) -> None:
    current, reference = (np.array(rows) for rows in ODD[name])
    sides = Sides(current, reference)
    ks, w = sides.ks(), sides.wasserstein()
    sd = float(sides.deviation[0])
    assert 0 <= ks <= 1
    assert 0 <= w <= 2 * CLIP / sd
    n = [cells.astype(float) for cells in (sides.cells.totals(sides.a), sides.cells.totals(sides.b))]
    assert math.isfinite(null.kolmogorov_smirnov(sides.cells, sides.b, *n)[0])
    assert math.isfinite(null.wasserstein(sides.cells, sides.b, sides.deviation, *n)[0])
    if name == "no value now":
        assert ks == w == 0
    moved = {"constant that moved": 1, "one value": 1, "huge beside a tiny reference": 0.5}
    if name in moved:
        assert ks == moved[name]
        assert w > 0


def test_a_grid_whose_sample_missed_the_greatest_by_far_has_places() -> None:
    """The scale is that of the sample, the borders are those of the reference."""
    grid = Grid([Numeric("x", np.array([0.0, TINY, HUGE]), 0.0, TINY)])
    with np.errstate(all="raise"):
        cells = Ordered.of(grid)
    assert cells.widths.tolist() == [0.0, 1.0, CLIP - 1.0, 0.0]


def test_borders_further_apart_than_the_greatest_float_have_places() -> None:
    most = sys.float_info.max
    cells = Ordered.of(Grid([Numeric("x", np.array([-most, most]), most / 2, most / 2)]))
    assert cells.widths.tolist() == [0.0, 4.0, 0.0]


def test_an_outermost_bin_is_as_wide_as_the_next_ones_twice() -> None:
    bounds = np.array([-9.0, 0.0, 1.0, 2.0, 3.0, 4.0, 13.0])
    cells = Ordered.of(Grid([Numeric("x", bounds, 0.0, 1.0)]))
    assert cells.near.tolist() == [[2.0], [2.0]]

    def of(current: list[int], reference: list[int]) -> float:
        return float(wasserstein(cells, np.array(current), np.array(reference), np.zeros(1), np.ones(1))[0])

    # From the border: 9 to the left end of the second bin, and half of 1 over that bin.
    assert of([5, 0, 5, 0, 0, 0, 0, 0], [0, 0, 10, 0, 0, 0, 0, 0]) == 0.5 * (9 + 0.5)
    # A tenth is in the first bin, on the average 1 from its inner end; half of 1 is the mean of the next.
    assert of([0, 0, 10, 0, 0, 0, 0, 0], [0, 1, 9, 0, 0, 0, 0, 0]) == pytest.approx(0.1 * (1 + 0.5))
    assert of([0, 0, 0, 0, 0, 10, 0, 0], [0, 0, 0, 0, 0, 9, 1, 0]) == pytest.approx(0.1 * (1 + 0.5))
    # Three times as much is spread three times as far; what is there for the first time, over all of it.
    assert of([0, 3, 7, 0, 0, 0, 0, 0], [0, 1, 9, 0, 0, 0, 0, 0]) == pytest.approx(0.2 * (3 + 0.5))
    assert of([0, 1, 9, 0, 0, 0, 0, 0], [0, 0, 10, 0, 0, 0, 0, 0]) == pytest.approx(0.1 * (4.5 + 0.5))


def test_without_a_number_there_is_nothing_to_say() -> None:
    for grid in Grid([]), Grid([categorical_axis("b", {"x": 5}, 9)]):
        cells = Ordered.of(grid)
        empty = cells.sums(np.zeros((3, grid.codes), np.int64))
        assert kolmogorov_smirnov(cells, empty, empty[0]).shape == (3, 0)
        assert wasserstein(cells, empty, empty[0], np.zeros((3, 0)), np.ones(0)).shape == (3, 0)
        assert null.kolmogorov_smirnov(cells, empty[0], np.empty(0), np.empty(0)).tolist() == []
        assert null.wasserstein(cells, empty[0], np.empty(0), np.empty(0), np.empty(0)).tolist() == []


# -- with no drift ---------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "zero-inflated": lambda rng, n: np.where(rng.random(n) < 0.6, 0.0, rng.exponential(size=n)),
    "integer": lambda rng, n: rng.poisson(3, n).astype(float),
    "flag": lambda rng, n: (rng.random(n) < 0.2).astype(float),
    "uniform": lambda rng, n: rng.random(n),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m"), [(100, 20_000), (1_000, 20_000), (1_000, 1_000)])
def test_with_no_drift_the_mean_is_the_null_mean(kind, n, m) -> None:
    """Windows of one grid; the counts of both sides are drawn anew each time."""
    rng = np.random.default_rng([sorted(KINDS).index(kind), n, m])
    sides = Sides(KINDS[kind](rng, 100), KINDS[kind](rng, 50_000))
    cells, draws = sides.cells, 2_000
    truth = sides.shares[1]
    current, reference = (rng.multinomial(size, truth, draws) for size in (n, m))
    sizes = np.array([float(n)]), np.array([float(m)])
    ks = kolmogorov_smirnov(cells, current, reference)[:, 0]
    shift, deviations = np.zeros((draws, 1)), sides.deviation
    w = wasserstein(cells, current, reference, shift, deviations)[:, 0]
    for values, means in (
        (ks, [null.kolmogorov_smirnov(cells, one, *sizes)[0] for one in reference[:5]]),
        (w, [null.wasserstein(cells, one, deviations, *sizes)[0] for one in reference[:20]]),
    ):
        error = values.std() / math.sqrt(draws)
        assert np.mean(means) == pytest.approx(values.mean(), abs=4 * error + 0.04 * values.mean())


def test_with_no_drift_raw_windows_show_it_too() -> None:
    """By way of the grid, the panes and the moments."""
    rng = np.random.default_rng(5)
    population = rng.normal(10, 3, 50_000)
    found = [Sides(rng.choice(population, 200), population, population[:4_096]) for _ in range(150)]
    sizes = np.array([200.0]), np.array([50_000.0])
    for values, mean in (
        ([s.ks() for s in found], null.kolmogorov_smirnov(found[0].cells, found[0].b, *sizes)),
        ([s.wasserstein() for s in found], null.wasserstein(found[0].cells, found[0].b, found[0].deviation, *sizes)),
    ):
        assert float(mean[0]) == pytest.approx(np.mean(values), abs=4 * float(np.std(values)) / math.sqrt(150))


def test_ties_make_ks_smaller_than_kolmogorovs_law_says() -> None:
    """0.869 without ties; a flag set in one of five has one border alone, the mean of |normal| there."""
    rng = np.random.default_rng(6)
    one = np.ones(1) * 2  # s = 1
    continuous, flag = (Sides(KINDS[k](rng, 9), KINDS[k](rng, 50_000)) for k in ("normal", "flag"))
    kolmogorov = math.sqrt(math.pi / 2) * math.log(2)
    assert 0.9 * kolmogorov < float(null.kolmogorov_smirnov(continuous.cells, continuous.b, one, one)[0]) < kolmogorov
    assert float(null.kolmogorov_smirnov(flag.cells, flag.b, one, one)[0]) == pytest.approx(
        math.sqrt(2 / math.pi) * 0.4, rel=0.03
    )
