"""Groups and PSI against the page's own words, in plain Python."""

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from driftd.core.distance import ADDED, GROUPS, LEAST_EXPECTED, grouping, power_of_two, psi
from driftd.core.event import Column
from driftd.core.grid import Categorical, Grid, Numeric, categorical_axis
from tests.core.streams import SEEDED, numeric, pane_of

# -- groups ----------------------------------------------------------------------------------------------------------


def groups_of(grid: Grid, counts: list[int], n: int) -> list[list[int]]:
    """The cells of each group of the only signal, in order."""
    made = grouping(grid, np.array([*counts, 0, 0, 0]), n)
    assert made.first.tolist() == [0, len(made.starts)]
    pieces = np.split(made.order, made.starts[1:])
    return [sorted(piece.tolist()) for piece in pieces]


def axis_of(cells: int) -> Grid:
    return Grid([Numeric("x", np.arange(cells - 1.0), 0.0, 1.0)])


def categories_of(k: int) -> Grid:
    return Grid([Categorical("x", tuple(f"c{i}" for i in range(k)))])


def numeric_by_hand(counts: list[int], n: int) -> list[list[int]]:
    """The design's rule, one cell after the other."""
    total, before = sum(counts), 0
    groups: dict[int, list[int]] = {}
    for cell, count in enumerate(counts):
        # A group's border that a cell's middle hits exactly belongs to the group above.
        number = min((2 * before + count) * GROUPS // (2 * total), GROUPS - 1)
        groups.setdefault(number, []).append(cell)
        before += count
    merged: list[list[int]] = [[]]
    for number in sorted(groups):
        if sum(counts[c] for c in merged[-1]) / total * n >= LEAST_EXPECTED:
            merged.append([])
        merged[-1] += groups[number]
    if len(merged) > 1 and sum(counts[c] for c in merged[-1]) / total * n < LEAST_EXPECTED:
        last = merged.pop()
        merged[-1] += last
    return merged if len(merged) > 1 else lone(counts)


def lone(counts: list[int]) -> list[list[int]]:
    heaviest = counts.index(max(counts))
    return [[heaviest], [cell for cell in range(len(counts)) if cell != heaviest]]


def folded(counts: list[int]) -> list[int]:
    """The cells of a categorical axis: where there is an OTHER, NEW is one with it."""
    return [*counts[:-2], counts[-2] + counts[-1]] if counts[-2] else counts


def unfolded(groups: list[list[int]], counts: list[int]) -> list[list[int]]:
    last = len(counts) - 2
    return [[*group, last + 1] if counts[-2] and last in group else group for group in groups]


def categories_by_hand(counts: list[int], n: int) -> list[list[int]]:
    total = sum(counts)
    expected = [count / total * n for count in counts]
    kept = [cell for cell, count in enumerate(expected) if count >= LEAST_EXPECTED]
    pool = [cell for cell in range(len(counts)) if cell not in kept]
    groups = [[cell] for cell in kept]
    if sum(expected[cell] for cell in pool) >= LEAST_EXPECTED:
        groups.append(pool)
    elif kept:
        smallest = min(range(len(kept)), key=lambda i: expected[kept[i]])
        groups[smallest] = sorted(groups[smallest] + pool)
    return groups


POWERS = st.sampled_from([16, 64, 128, 1_024, 2**20])
cell_counts = st.lists(st.integers(0, 40) | st.sampled_from([0, 1, 1_000]), min_size=2, max_size=40).filter(any)


@SEEDED
@given(cell_counts, POWERS)
def test_numeric_groups_are_the_designs(counts, n) -> None:
    assert groups_of(axis_of(len(counts)), counts, n) == numeric_by_hand(counts, n)


@SEEDED
@given(cell_counts, POWERS)
def test_categorical_groups_are_the_designs(counts, n) -> None:
    cells = folded(counts)
    by_hand = categories_by_hand(cells, n)
    groups = groups_of(categories_of(len(counts) - 2), counts, n)
    expected = [sum(counts[c] for c in group) / sum(counts) * n for group in groups]
    if len(by_hand) > 1:
        assert groups == unfolded(by_hand, counts)
    elif max(cells) / sum(counts) * n >= LEAST_EXPECTED:
        assert groups == [group for group in unfolded(lone(cells), counts) if group]
    else:  # every category is rare: neighbours are merged until 5 are expected
        assert len(groups) > 1
        assert [c for group in groups for c in group] == list(range(len(counts)))
        assert min(expected) >= LEAST_EXPECTED - 1e-9
        assert max(expected[:-1]) < 2 * LEAST_EXPECTED


@SEEDED
@given(cell_counts, POWERS, st.booleans())
def test_every_cell_is_in_one_group_there_are_two_and_each_expects_five_but_beside_a_lone_cell(
    counts, n, named
) -> None:
    grid = categories_of(len(counts) - 2) if named else axis_of(len(counts))
    groups = groups_of(grid, counts, n)
    assert sorted(c for group in groups for c in group) == list(range(len(counts)))
    cells = folded(counts) if named else counts
    assert len(groups) >= min(2, len(cells))
    expected = [sum(counts[c] for c in group) / sum(counts) * n for group in groups]
    made = grouping(grid, np.array([*counts, 0, 0, 0]), n)
    if made.lone[0]:
        assert len(groups) == min(2, len(cells))
        assert cells[groups[0][0]] == max(cells)
        assert sum(expected[1:]) < 2 * LEAST_EXPECTED
    else:
        assert min(expected) >= LEAST_EXPECTED - 1e-9


@pytest.mark.parametrize(
    ("counts", "n", "groups"),
    [
        # 60 equal bins make 10 groups of 6, the ends with under- and overflow.
        (
            [0, *[10] * 60, 0],
            1_024,
            [list(range(7)), *[list(range(a, a + 6)) for a in range(7, 55, 6)], [*range(55, 62)]],
        ),
        ([0, *[10] * 60, 0], 64, [list(range(7)), *[list(range(a, a + 6)) for a in range(7, 55, 6)], [*range(55, 62)]]),
        # 32 / 10 = 3.2 is under 5: pairs.
        ([0, *[10] * 60, 0], 32, [list(range(13)), *[list(range(a, a + 12)) for a in (13, 25, 37)], [*range(49, 62)]]),
        ([0, 80, 10, 10, 0], 1_024, [[0, 1], [2], [3, 4]]),  # an atom is a group: its middle says which
        ([0, 50, 50, 0], 16, [[0, 1], [2, 3]]),
        ([0, 100, 0], 1_024, [[1], [0, 2]]),  # a constant
        ([0, 998, 2, 0], 1_024, [[1], [0, 2, 3]]),  # a flag that is seldom set: 2 expected
        ([0, 998, 2, 0], 4_096, [[0, 1], [2, 3]]),  # 8 expected
        ([0, 2, 996, 2, 0], 1_024, [[2], [0, 1, 3, 4]]),
    ],
)
def test_numeric_examples(counts, n, groups) -> None:
    assert groups_of(axis_of(len(counts)), counts, n) == groups


@pytest.mark.parametrize(
    ("counts", "n", "groups"),
    [
        ([50, 30, 20, 0, 0], 64, [[0], [1], [2, 3, 4]]),  # NEW joins the smallest kept
        ([50, 30, 10, 10, 0], 64, [[0], [1], [2], [3, 4]]),  # or OTHER, where there is any
        ([50, 40, 0, 10], 64, [[0], [1], [2, 3]]),
        ([100, 0], 64, [[0, 1]]),  # nothing but OTHER: identifiers
        ([50, 30, 10, 4, 0], 128, [[0], [1], [2], [3, 4]]),  # a pool of 5.4
        ([50, 30, 10, 3, 0], 128, [[0], [1], [2, 3, 4]]),  # a pool of 4.1 joins the smallest kept
        ([60, *[1] * 40, 0, 0], 100, [[0], list(range(1, 43))]),
        ([100, 0, 0], 1_024, [[0], [1, 2]]),  # one category: everything else is the rest
        ([999, 1, 0, 0], 1_024, [[0], [1, 2, 3]]),
        ([1] * 10 + [0, 0], 16, [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11]]),  # nothing is frequent
    ],
)
def test_categorical_examples(counts, n, groups) -> None:
    assert groups_of(categories_of(len(counts) - 2), counts, n) == groups


@SEEDED
@given(st.integers(0, 2**40))
def test_n_is_rounded_down_to_a_power_of_two(n) -> None:
    got = int(power_of_two(np.array([n]))[0])
    assert got == int(power_of_two(np.array([float(n)]))[0])
    assert got.bit_count() == 1
    assert got <= max(n, 1) < 2 * got


def test_signals_do_not_meet() -> None:
    rng = np.random.default_rng(0)
    grid = Grid(
        [numeric("a", rng.normal(size=500)), categorical_axis("b", {"x": 5, "y": 5}, 9), numeric("c", np.ones(9))]
    )
    counts = rng.integers(0, 1_000, grid.codes)
    together = grouping(grid, counts, 256)
    sums = together.sums(counts)
    assert together.totals(sums).tolist() == [
        counts[f : f + c].sum() for f, c in zip(grid.first, grid.cells, strict=False)
    ]
    for i, name in enumerate(grid.names):
        alone = grouping(grid.select([name]), counts[grid.positions([name])], 256)
        own = slice(together.first[i], together.first[i + 1])
        assert sums[own].tolist() == alone.sums(counts[grid.positions([name])]).tolist()


def test_no_signal_no_group() -> None:
    made = grouping(Grid([]), np.empty(0, np.int64), 64)
    sums = made.sums(np.empty(0, np.int64))
    assert psi(made, sums, sums).tolist() == []
    assert psi(made, made.sums(np.empty((7, 0), np.int64)), sums).shape == (7, 0)


# -- PSI -------------------------------------------------------------------------------------------------------------


def plain_psi(current: list[int], reference: list[int], added: float = ADDED) -> float:
    n, m = sum(current) + added * len(current), sum(reference) + added * len(reference)
    shares = [((a + added) / n, (b + added) / m) for a, b in zip(current, reference, strict=True)]
    return math.fsum((p - q) * math.log(p / q) for p, q in shares)


def our_psi(current: list[int], reference: list[int]) -> float:
    """Of one signal whose cells are the groups: categories with enough expected of each, nothing new."""
    grid = categories_of(len(current))
    groups = grouping(grid, np.array([*reference, 0, 0, 0, 0, 0]), 2**30)
    return float(
        psi(groups, groups.sums(np.array([*current] + [0] * 5)), groups.sums(np.array([*reference] + [0] * 5)))[0]
    )


@SEEDED
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)), min_size=2, max_size=30))
def test_psi_is_the_plain_formula(pairs) -> None:
    current, reference = [a for a, _ in pairs], [b for _, b in pairs]
    assert our_psi(current, reference) == pytest.approx(plain_psi(current, reference), rel=1e-9, abs=1e-12)


@SEEDED
@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 1_000)), min_size=2, max_size=30))
def test_psi_is_not_negative_symmetric_and_0_where_nothing_differs(pairs) -> None:
    current, reference = [a + 1 for a, _ in pairs], [b for _, b in pairs]
    assert our_psi(current, reference) >= 0
    assert our_psi(current, reference) == pytest.approx(our_psi(reference, current), rel=1e-9, abs=1e-12)
    assert our_psi(reference, reference) == 0


def test_many_windows_at_once_are_each_as_if_alone() -> None:
    rng = np.random.default_rng(1)
    grid = Grid(
        [
            numeric("a", rng.normal(size=500)),
            categorical_axis("b", {"x": 5, "y": 5, "z": 1}, 9),
            numeric("c", np.ones(9)),
        ]
    )
    windows = rng.integers(0, 50, (7, grid.codes))
    total = windows.sum(axis=0)
    groups = grouping(grid, total, 128)
    at_once = psi(groups, groups.sums(windows), groups.sums(total))
    rest = psi(groups, groups.sums(windows), groups.sums(total) - groups.sums(windows))
    for i, window in enumerate(windows):
        assert at_once[i].tolist() == psi(groups, groups.sums(window), groups.sums(total)).tolist()
        assert rest[i].tolist() == psi(groups, groups.sums(window), groups.sums(total - window)).tolist()


def test_beside_a_lone_cell_only_a_rise_counts() -> None:
    grid = axis_of(4)
    reference = np.array([0, 9_980, 20, 0, 0, 0, 0])
    groups = grouping(grid, reference, 1_024)

    def of(rest: int, outside: int = 0) -> float:
        window = np.array([outside, 1_000 - rest - outside, rest, 0, 0, 0, 0])
        return float(psi(groups, groups.sums(window), groups.sums(reference))[0])

    assert groups.lone.tolist() == [True]
    assert [of(0), of(1), of(2)] == [0.0, 0.0, 0.0]
    assert 0 < of(3) < of(4) < of(100) < of(1_000)
    assert of(500) == pytest.approx(plain_psi([500, 500], [9_980, 20]))
    assert of(0, outside=500) == of(500)


@pytest.mark.parametrize("n", [100, 1_000])
@pytest.mark.parametrize("m", [500, 10_000])
@pytest.mark.parametrize("cells", [2, 10])
def test_with_no_drift_the_mean_is_b_minus_1_times_1_over_n_plus_1_over_m(n, m, cells) -> None:
    rng = np.random.default_rng([n, m, cells])
    shares, pairs = np.full(cells, 1 / cells), 4_000
    grid = categories_of(cells)
    groups = grouping(grid, np.array([*[10] * cells, 0, 0, 0, 0, 0]), int(power_of_two(np.array([n]))[0]))
    empty = np.zeros((pairs, 5), np.int64)
    current = np.hstack((rng.multinomial(n, shares, pairs), empty))
    reference = np.hstack((rng.multinomial(m, shares, pairs), empty))
    values = psi(groups, groups.sums(current), groups.sums(reference))[:, 0]
    bias = (cells - 1) * (1 / n + 1 / m)
    error = values.std() / math.sqrt(pairs)
    # The formula is of the first order in 1/n: at ten values a cell it is right to within a few per cent.
    assert values.mean() == pytest.approx(bias, abs=4 * error + 0.04 * bias)


# -- what others compute ---------------------------------------------------------------------------------------------


def peer_case(shared_data: Path, name: str) -> dict[str, Any]:
    cases = json.loads((shared_data / "reference_values.json").read_text())
    return next(case for case in cases if case["id"] == name)


def peer_psi(current: list[int], reference: list[int], zero: float) -> float:
    """The same sum as ours, but a share of 0 becomes `zero` and no other one is touched."""
    p, q = (np.array(counts, float) / sum(counts) for counts in (current, reference))
    p, q = (np.where(shares == 0, zero, shares) for shares in (p, q))
    return float(((q - p) * np.log(q / p)).sum())


def grid_psi(grid: Grid, current: Column, reference: Column) -> float:
    now, then = (pane_of(grid, {"x": rows}).counts for rows in (current, reference))
    groups = grouping(grid, then, int(power_of_two(np.array([len(current)]))[0]))
    return float(psi(groups, groups.sums(now), groups.sums(then))[0])


def column(path: Path, name: str) -> list[Any]:
    values: list[Any] = parquet.read_table(path, columns=[name])[name].to_pylist()
    return values


def car_loan(shared_data: Path, name: str) -> tuple[list[Any], list[Any]]:
    """The last 5,000 rows of the analysis, and the whole reference."""
    folder = shared_data / "nannyml_car_loan"
    reference = column(folder / "synthetic_car_loan_reference.parquet", name)
    return column(folder / "synthetic_car_loan_analysis.parquet", name)[-5_000:], reference


def adult(shared_data: Path, name: str) -> tuple[list[Any], list[Any]]:
    """Evidently's quick-start split."""
    path = shared_data / "adult" / "adults.parquet"
    chosen = [education in {"Some-college", "HS-grad", "Bachelors"} for education in column(path, "education")]
    rows = column(path, name)
    return [v for v, c in zip(rows, chosen, strict=True) if c], [v for v, c in zip(rows, chosen, strict=True) if not c]


def test_evidentlys_tiny_categories(shared_data) -> None:
    case = peer_case(shared_data, "evidently.psi.tiny_categorical")
    values = sorted({*case["inputs"]["ref"], *case["inputs"]["cur"]})
    current, reference = ([case["inputs"][side].count(v) for v in values] for side in ("cur", "ref"))
    theirs = case["observed"][0]
    assert peer_psi(current, reference, 0.0001) == pytest.approx(theirs, rel=1e-9)
    # Ours adds 0.5 to each count where theirs puts 0.0001 for a share of 0: 0.36, not 2.9, is what 3 values can tell.
    assert plain_psi(current, reference) == pytest.approx(2 / 9 * math.log(3) + 2 / 9 * math.log(5 / 3))


def test_frouros_far_apart(shared_data) -> None:
    case = peer_case(shared_data, "frouros.PSI.different")
    arrays = json.loads((shared_data / "reference_arrays.json").read_text())
    reference, current = (np.array(arrays[case["inputs"][side]["$array"]]) for side in ("ref", "cur"))
    edges = np.linspace(min(reference.min(), current.min()), max(reference.max(), current.max()), 11)
    now, then = (np.histogram(values, edges)[0].tolist() for values in (current, reference))
    assert peer_psi(now, then, sys.float_info.min) == pytest.approx(case["expected"], rel=1e-5)
    # The least float for a share of 0 makes 461 of it. Ours is finite in a useful way: all that 100 values can tell.
    assert 1 < grid_psi(Grid([numeric("x", reference)]), current, reference) < 10


def test_evidentlys_category_of_the_car_loans(shared_data) -> None:
    case = peer_case(shared_data, "evidently.peer.psi.car_loan.salary_range.last5000")
    current, reference = car_loan(shared_data, "salary_range")
    counts = Counter(reference)
    now, then = ([rows.count(value) for value in counts] for rows in (current, reference))
    assert peer_psi(now, then, 0.0001) == pytest.approx(case["expected"][0], rel=1e-6)
    # The categories are the groups in both: 0.5 a count makes the difference, the most of it where 38 rows are left.
    grid = Grid([categorical_axis("x", counts, 256)])
    assert grid_psi(grid, current, reference) == pytest.approx(case["expected"][0], rel=1e-2)


@pytest.mark.parametrize(
    ("name", "rows", "drifted"),
    [
        ("car_loan.car_value.last5000", car_loan, True),
        ("car_loan.y_pred_proba.last5000", car_loan, True),
        ("adult.age", adult, False),
        ("adult.hours-per-week", adult, False),
    ],
)
def test_evidentlys_numbers_differ_by_their_bins_alone(shared_data, name, rows, drifted) -> None:
    case = peer_case(shared_data, f"evidently.peer.psi.{name}")
    theirs = case["expected"][0]
    current, reference = (np.array(values, float) for values in rows(shared_data, name.split(".")[1]))
    # Theirs: bins of equal width over both data sets, by Sturges' formula.
    edges = np.histogram_bin_edges(np.concatenate((reference, current)), "sturges")
    now, then = (np.histogram(values, edges)[0].tolist() for values in (current, reference))
    assert peer_psi(now, then, 0.0001) == pytest.approx(theirs, rel=1e-6)
    assert plain_psi(now, then) == pytest.approx(theirs, rel=0.2)  # the rest is what zeros are given
    # Ours: ten groups of equal mass of the reference alone. Another number, the same side of 0.1.
    ours = grid_psi(Grid([numeric("x", reference)]), current, reference)
    assert (ours > 0.1) == (theirs > 0.1) == drifted
