"""Distances between shares of groups: against scipy, against the exact ones of raw values, and with no drift."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance as scipy_distance

from driftd.core import divergence, null
from driftd.core.distance import ADDED, Floats, Grouping, grouping, psi
from driftd.core.divergence import (
    chi_square,
    g_statistic,
    hellinger,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kullback_leibler,
    l_infinity,
    total_variation,
)
from driftd.core.grid import Axis, Categorical, Grid, categorical_axis
from tests.core.streams import SEEDED, numeric

Distance = Callable[[Grouping, Floats, Floats], Floats]

DISTANCES: dict[str, Distance] = {
    name: getattr(divergence, name)
    for name in (
        "jensen_shannon_divergence",
        "jensen_shannon_distance",
        "hellinger",
        "total_variation",
        "l_infinity",
        "kullback_leibler",
        "chi_square",
        "g_statistic",
    )
}
SYMMETRIC = sorted(DISTANCES.keys() - {"kullback_leibler"})


def one_signal(size: int) -> Grouping:
    """Each code a group of its own."""
    each = np.arange(size, dtype=np.int64)
    return Grouping(each, each, np.array([0, size], np.int64), np.array([False]))


def of(distance: Distance, current: list[int], reference: list[int]) -> float:
    return float(distance(one_signal(len(current)), np.array(current, float), np.array(reference, float))[0])


def shares(counts: list[int], added: float = 0.0) -> Floats:
    whole = np.array(counts, float) + added
    return np.asarray(whole / whole.sum())


pairs = st.lists(
    st.tuples(st.integers(0, 50) | st.integers(0, 10**6), st.integers(0, 50) | st.integers(0, 10**6)),
    min_size=2,
    max_size=40,
).filter(lambda rows: any(a for a, _ in rows) and any(b for _, b in rows))


# -- the formulas, by scipy ------------------------------------------------------------------------------------------


@SEEDED
@given(pairs)
def test_each_is_what_scipy_says(rows) -> None:
    current, reference = [a for a, _ in rows], [b for _, b in rows]
    p, q = shares(current), shares(reference)
    theirs = float(scipy_distance.jensenshannon(p, q))
    assert of(jensen_shannon_distance, current, reference) == pytest.approx(theirs, rel=1e-9, abs=1e-7)
    assert of(jensen_shannon_divergence, current, reference) == pytest.approx(theirs**2, rel=1e-9, abs=1e-14)
    smoothed = stats.entropy(shares(current, ADDED), shares(reference, ADDED))
    assert of(kullback_leibler, current, reference) == pytest.approx(smoothed, rel=1e-9, abs=1e-14)
    roots = scipy_distance.euclidean(np.sqrt(p), np.sqrt(q)) / math.sqrt(2)
    assert of(hellinger, current, reference) == pytest.approx(roots, rel=1e-9, abs=1e-14)
    assert of(total_variation, current, reference) == pytest.approx(scipy_distance.cityblock(p, q) / 2, abs=1e-14)
    assert of(l_infinity, current, reference) == pytest.approx(scipy_distance.chebyshev(p, q), abs=1e-14)
    table = np.array([[a, b] for a, b in rows if a + b]).T
    for distance, power in ((chi_square, "pearson"), (g_statistic, "log-likelihood")):
        expected = stats.chi2_contingency(table, correction=False, lambda_=power).statistic if table.shape[1] > 1 else 0
        assert of(distance, current, reference) == pytest.approx(expected, rel=1e-9, abs=1e-7)


@SEEDED
@given(pairs)
def test_psi_is_both_ways_of_kullback_leibler_and_g_of_equal_samples_is_jensen_shannon(rows) -> None:
    current, reference = [a for a, _ in rows], [b for _, b in rows]
    both = of(kullback_leibler, current, reference) + of(kullback_leibler, reference, current)
    assert of(psi, current, reference) == pytest.approx(both, rel=1e-9, abs=1e-12)
    again = current[::-1]  # as many values
    n = sum(current)
    want = 4 * n * of(jensen_shannon_divergence, current, again)
    assert of(g_statistic, current, again) == pytest.approx(want, rel=1e-9, abs=1e-14 * n)


@SEEDED
@given(pairs)
def test_ranges(rows) -> None:
    current, reference = [a for a, _ in rows], [b for _, b in rows]
    n, m = sum(current), sum(reference)
    found = {name: of(distance, current, reference) for name, distance in DISTANCES.items()}
    most = {
        "jensen_shannon_divergence": math.log(2),
        "jensen_shannon_distance": math.sqrt(math.log(2)),
        "hellinger": 1,
        "total_variation": 1,
        "l_infinity": found["total_variation"],
        "kullback_leibler": math.inf,
        "chi_square": n + m,
        "g_statistic": 2 * (n + m) * math.log(2),
    }
    for name, value in found.items():
        assert math.isfinite(value), name
        assert 0 <= value <= most[name] * (1 + 1e-12) + 1e-15, name


@pytest.mark.parametrize("name", DISTANCES)
def test_far_apart_is_the_greatest_and_the_same_is_0(name) -> None:
    far = {
        "jensen_shannon_divergence": math.log(2),
        "jensen_shannon_distance": math.sqrt(math.log(2)),
        "hellinger": 1,
        "total_variation": 1,
        "l_infinity": 1,
        "kullback_leibler": stats.entropy([100.5, 0.5], [0.5, 100.5]),
        "chi_square": 200,
        "g_statistic": 400 * math.log(2),
    }
    assert of(DISTANCES[name], [100, 0], [0, 100]) == pytest.approx(far[name], rel=1e-12)
    assert of(DISTANCES[name], [7, 0, 3, 90], [7, 0, 3, 90]) == 0.0


@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_same_shares_of_other_sizes_are_0(name) -> None:
    assert of(DISTANCES[name], [1, 2, 3, 0], [1_000, 2_000, 3_000, 0]) == pytest.approx(0, abs=1e-12)


# -- what must not break one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(
    ("current", "reference"),
    [
        ([0, 0], [5, 5]),  # an empty window
        ([5, 5], [0, 0]),  # an empty reference
        ([0, 0], [0, 0]),
        ([0], [0]),
        ([9], [4]),  # one category
    ],
)
def test_where_nothing_can_differ_it_is_0(name, current, reference) -> None:
    with np.errstate(all="raise"):
        assert of(DISTANCES[name], current, reference) == 0.0


@pytest.mark.parametrize("name", DISTANCES)
def test_counts_of_any_size_give_a_number(name) -> None:
    with np.errstate(all="raise"):
        for current, reference in ([2**53, 1], [1, 2**53]), ([2**53, 0], [1, 0]), ([1] * 10**5, [3] * 10**5):
            assert math.isfinite(of(DISTANCES[name], current, reference))


@pytest.mark.parametrize("name", DISTANCES)
def test_beside_a_lone_cell_only_a_rise_counts(name) -> None:
    grid = Grid([Categorical("x", ("a", "b"))])
    reference = np.array([9_990, 10, 0, 0, 0, 0, 0])
    groups = grouping(grid, reference, 256)
    assert groups.lone.tolist() == [True]
    then = groups.sums(reference)
    windows = np.array([[1_000, 0, 0, 0, 0, 0, 0], [900, 100, 0, 0, 0, 0, 0]])
    fallen, risen = DISTANCES[name](groups, groups.sums(windows), then)[:, 0]
    assert fallen == 0
    assert risen > 0


# -- the same in any order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTANCES)
def test_windows_and_signals_together_are_to_the_bit_as_if_alone(name) -> None:
    rng = np.random.default_rng(2)
    axes: list[Axis] = [numeric("a", rng.normal(size=500)), categorical_axis("b", {"x": 5, "y": 5}, 9)]
    axes += [numeric("c", np.ones(9))]
    axes += [categorical_axis("d", {f"v{i}": 100 - i for i in range(70)}, 256)]
    grid = Grid(axes)
    windows = rng.integers(0, 50, (7, grid.codes))
    total = windows.sum(axis=0) * 3
    groups = grouping(grid, total, 4_096)
    at_once = DISTANCES[name](groups, groups.sums(windows), groups.sums(total))
    assert at_once.shape == (7, 4)
    for i, axis in enumerate(grid.names):
        own = grid.positions([axis])
        alone = grouping(grid.select([axis]), total[own], 4_096)
        for row, window in enumerate(windows):
            value = DISTANCES[name](alone, alone.sums(window[own]), alone.sums(total[own]))
            assert value.tolist() == [at_once[row, i]]


@SEEDED
@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_categories_and_of_the_sides_changes_nothing(rows, random) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    for name, distance in DISTANCES.items():
        value = of(distance, [a for a, _ in rows], [b for _, b in rows])
        other = of(distance, [a for a, _ in mixed], [b for _, b in mixed])
        assert other == pytest.approx(value, rel=1e-9, abs=1e-7), name
        if name in SYMMETRIC:
            assert of(distance, [b for _, b in rows], [a for a, _ in rows]) == pytest.approx(value, rel=1e-12), name


# -- what binning costs ----------------------------------------------------------------------------------------------

raw = st.lists(st.integers(0, 12) | st.sampled_from([0, 0, 0, 5]), min_size=1, max_size=60)


def entropy(x: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where((x > 0) & (x < 1), -x * np.log(x) - (1 - x) * np.log1p(-x), 0.0)
    return np.asarray(terms)


@SEEDED
@given(raw, raw, st.lists(st.integers(0, 4), min_size=13, max_size=13))
def test_exact_and_binned_differ_by_at_most_the_bound(current, reference, label) -> None:
    """Values 0 to 12 in up to five groups, `label` says which; the exact one has a group for each value."""
    exact_a, exact_b = (np.bincount(rows, minlength=13) for rows in (current, reference))
    kept, number = np.unique(label, return_inverse=True)
    a, b = (np.bincount(number, weights=counts, minlength=len(kept)) for counts in (exact_a, exact_b))
    n, m = len(current), len(reference)
    p, q, c = a / n, b / m, a + b
    several = np.array([np.count_nonzero((exact_a + exact_b)[number == k]) > 1 for k in range(len(kept))])
    ratio = p / np.where(p + q > 0, p + q, 1)
    whole = a / np.where(c > 0, c, 1)
    lost = {
        "jensen_shannon_divergence": ((p + q) / 2 * entropy(ratio))[several].sum(),
        "total_variation": np.minimum(p, q)[several].sum(),
        "chi_square": (n + m) * (1 / n + 1 / m) * (a * b / np.where(c > 0, c, 1))[several].sum(),
        "g_statistic": 2 * (c * entropy(whole))[several].sum(),
    }

    def both(distance: Distance) -> tuple[float, float]:
        return of(distance, exact_a.tolist(), exact_b.tolist()), of(distance, a.tolist(), b.tolist())

    for name, bound in lost.items():
        exact, binned = both(DISTANCES[name])
        assert -1e-9 <= exact - binned <= bound + 1e-9, name
    squares = {"jensen_shannon_distance": lost["jensen_shannon_divergence"], "hellinger": np.sqrt(p * q)[several].sum()}
    for name, bound in squares.items():
        exact, binned = both(DISTANCES[name])
        assert -1e-9 <= exact**2 - binned**2 <= bound + 1e-9, name
    exact, binned = both(l_infinity)
    most = np.where(several, np.maximum(p, q), np.abs(p - q)).max()
    k = max(np.count_nonzero((exact_a + exact_b)[number == i]) for i in range(len(kept)))
    assert binned / k - 1e-12 <= exact <= most + 1e-12


@SEEDED
@given(raw, raw, st.lists(st.integers(0, 4), min_size=13, max_size=13))
def test_binned_kullback_leibler_is_above_the_exact_one_by_smoothing_alone(current, reference, label) -> None:
    exact = stats.entropy(np.bincount(current, minlength=13), np.bincount(reference, minlength=13))
    kept, number = np.unique(label, return_inverse=True)
    a, b = (np.bincount(number[rows], minlength=len(kept)).tolist() for rows in (current, reference))
    groups, n, m = len(kept), len(current), len(reference)
    e, f = groups / (2 * n + groups), groups / (2 * m + groups)
    more = e * math.log(e / f) if n <= m else (f - e) * math.log(groups)
    assert of(kullback_leibler, a, b) <= exact + more + 1e-12


# -- with no drift ---------------------------------------------------------------------------------------------------


def null_mean(name: str, groups: Grouping, reference: Floats, n: int, m: int) -> float:
    mean = getattr(null, name)
    sides = np.array([float(n)]), np.array([float(m)])
    needs_shares = name in {"total_variation", "l_infinity", "g_statistic"}
    return float((mean(groups, reference, *sides) if needs_shares else mean(groups, *sides))[0])


ZIPF = 1 / np.arange(1, 41)
SHARES = {
    "flag": [0.5, 0.5],
    "rare": [0.9, 0.1],
    "three": [0.49, 0.49, 0.02],
    "ten": [0.1] * 10,
    "zipf": (ZIPF / ZIPF.sum()).tolist(),
}


@pytest.mark.parametrize("name", ["psi", *DISTANCES])
@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize(("expected", "m", "within"), [(5, 100_000, 0.18), (20, 100_000, 0.05), (20, 0, 0.05)])
def test_with_no_drift_the_mean_is_the_null_mean(name, kind, expected, m, within) -> None:
    """`expected` in the smallest group; m = 0: as many as n."""
    truth = np.array(SHARES[kind])
    n = math.ceil(expected / truth.min())
    m = m or n
    rng = np.random.default_rng([sorted(SHARES).index(kind), n, m])
    draws = 4_000
    groups = one_signal(len(truth))
    current, reference = (rng.multinomial(size, truth, draws).astype(float) for size in (n, m))
    distance = psi if name == "psi" else DISTANCES[name]
    values = distance(groups, current, reference)[:, 0]
    error = values.std() / math.sqrt(draws)
    means = [null_mean(name, groups, one, n, m) for one in reference[:20]]
    assert np.mean(means) == pytest.approx(values.mean(), abs=4 * error + within * values.mean())


@pytest.mark.parametrize("name", ["psi", *DISTANCES])
def test_one_group_has_no_null_mean_and_no_size_breaks_it(name) -> None:
    with np.errstate(all="raise"):
        assert null_mean(name, one_signal(1), np.array([50.0]), 50, 50) == 0.0
        for n, m in (0, 0), (1, 0), (2**53, 2**53):
            assert math.isfinite(null_mean(name, one_signal(3), np.array([m, 0.0, 0.0]), n, m))
