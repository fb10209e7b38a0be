"""Panes are integers, so that merging them is exact in any order and grouping."""

import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.event import ABSENT, BAD, NULL, Mark
from driftd.core.grid import Categorical, Grid, Numeric, categorical_axis, numeric_axis
from driftd.core.pane import CLIP, FIXED, Counted, Pane, merge_slices, pack_ints, unpack_ints
from tests.core.streams import SEEDED, events, numeric, pane_of

GRID = Grid(
    [
        numeric("amount", np.linspace(-3.0, 3.0, 600)),
        categorical_axis("plan", {"free": 9, "pro": 3, "old": 1}, 2),
        numeric("score", np.linspace(0.0, 1.0, 600)),
    ]
)
WATCHED = ("amount", "score")
states = st.sampled_from([None, Mark.ABSENT, Mark.BAD])
amounts = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1e308, -1e308, 5e-324]) | states
plans = st.sampled_from(["free", "pro", "old", "never seen"]) | states
rows = st.lists(st.tuples(st.integers(0, 5_000), amounts, plans, st.floats(0.0, 1.0) | states), max_size=60)


def counted(table: list[tuple[object, ...]]) -> Counted:
    time, amount, plan, score = (list(column) for column in zip(*table, strict=True)) if table else ([],) * 4
    return Counted(GRID, events({"amount": amount, "plan": plan, "score": score}, time), frozenset(WATCHED))


def whole(table: list[tuple[object, ...]]) -> Pane:
    return counted(table).pane(slice(None))


def content(pane: Pane) -> tuple[object, ...]:
    return pane.events, pane.counts.tolist(), pane.moments.tolist(), pane.slices.tolist()


@st.composite
def regrouped(draw) -> tuple[list[tuple[object, ...]], list[list[int]]]:
    """A table, and its row numbers in any order and in groups of any size."""
    table = draw(rows)
    order = draw(st.permutations(range(len(table))))
    cuts = sorted(draw(st.lists(st.integers(0, len(table)), max_size=5)))
    return table, [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(table)], strict=True)]


# -- merging ---------------------------------------------------------------------------------------------------------


@SEEDED
@given(regrouped())
def test_merging_is_exact_in_any_order_and_grouping(drawn) -> None:
    table, groups = drawn
    at_once = whole(table)
    blocks, choices = Pane.empty(GRID), Pane.empty(GRID)
    every = counted(table)
    for group in groups:
        blocks.add(whole([table[i] for i in group]))  # each group was a block of its own
        choices.add(every.pane(np.array(group, np.int64)))  # rows chosen out of one block
    assert content(blocks) == content(choices) == content(at_once)
    assert blocks.pack() == choices.pack() == at_once.pack()


@SEEDED
@given(rows, rows, rows)
def test_merging_is_associative_and_leaves_the_other_as_it_was(a, b, c) -> None:
    left, right = whole(a), whole(b)
    other = whole(c)
    before = other.pack()
    left.add(whole(b))
    left.add(other)
    right.add(other)
    outer = whole(a)
    outer.add(right)
    assert content(left) == content(outer)
    left.counts += 1
    assert other.pack() == before


@SEEDED
@given(rows)
def test_counts_moments_and_slices_are_what_the_page_says(table) -> None:
    pane = whole(table)
    assert pane.events == len(table)
    for i, axis in enumerate(GRID.axes):
        column = [row[1 + i] for row in table]
        codes = axis.codes(column).tolist()
        got = pane.counts[GRID.first[i] : GRID.first[i + 1]].tolist()
        assert got == [codes.count(code) for code in range(axis.cells + 3)]
        s1 = s2 = clipped = 0
        slices: dict[int, list[int]] = {}
        for time, value in zip((row[0] for row in table), column, strict=True):
            if isinstance(axis, Categorical) or value is None or isinstance(value, Mark):
                continue
            with np.errstate(over="ignore"):
                z = float((np.float64(value) - axis.centre) / axis.scale)
            clipped += abs(z) > CLIP
            q = round(max(-CLIP, min(CLIP, z)) * FIXED)
            square = (q * q + 2**19) >> 20
            s1, s2 = s1 + q, s2 + square
            piece = slices.setdefault(time // 1_000, [0, 0, 0])
            piece[:] = [piece[0] + 1, piece[1] + q, piece[2] + square]
        assert pane.moments[:, i].tolist() == [s1, s2, clipped]
        mine = pane.slices[pane.slices[:, 0] == i]
        assert mine[:, 1:].tolist() == [[second, *piece] for second, piece in sorted(slices.items())]


def test_floating_point_columns_give_the_same_pane_as_objects() -> None:
    objects = [1.5, None, Mark.ABSENT, Mark.BAD, -2.0, 3, 0.25]
    floats = np.array([1.5, NULL, ABSENT, BAD, -2.0, 3.0, 0.25])
    for name in ("amount", "plan"):
        grid = GRID.select([name])
        assert content(pane_of(grid, {name: objects}, [name])) == content(pane_of(grid, {name: floats}, [name]))


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_below_2_to_the_31_events_no_sum_overflows() -> None:
    grid = Grid([Numeric("x", np.array([0.0, 1.0]), 0.0, 1.0)])
    one = pane_of(grid, {"x": np.array([1e300])}, ["x"])
    s1, s2, clipped = (int(moment) for moment in one.moments[:, 0])
    assert (s1, s2, clipped) == (64 * 2**20, 64 * 64 * 2**20, 1)
    n = 2**31 - 1
    many = Pane(n - 1, one.counts * (n - 1), one.moments * (n - 1), one.slices * np.array([1, 1, n - 1, n - 1, n - 1]))
    many.add(one)
    assert many.moments[:, 0].tolist() == [s1 * n, s2 * n, n]
    assert many.slices.tolist() == [[0, 0, n, s1 * n, s2 * n]]
    assert many.counts.tolist() == [0, 0, n, 0, 0, 0]
    assert content(Pane.unpack(many.pack())) == content(many)


def test_the_clip_is_at_64_deviations_and_counted() -> None:
    grid = Grid([Numeric("x", np.array([0.0, 1.0]), 10.0, 2.0)])
    edge = 10.0 + 2.0 * CLIP
    pane = pane_of(grid, {"x": np.array([edge, np.nextafter(edge, np.inf), -1e308, 10.0])})
    assert pane.moments[:, 0].tolist() == [64 * FIXED, 3 * 64 * 64 * FIXED, 2]


def test_moments_keep_their_digits() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(5e6, 3.0, 100_000)
    grid = Grid([numeric("x", values)])
    axis = grid.axes[0]
    assert isinstance(axis, Numeric)
    s1, s2, _ = (Fraction(int(moment), FIXED) for moment in pane_of(grid, {"x": values}).moments[:, 0])
    mean = s1 / len(values)
    assert float(mean) * axis.scale + axis.centre == pytest.approx(float(values.mean()), rel=1e-12)
    assert float(s2 / len(values) - mean**2) == pytest.approx((values.std() / axis.scale) ** 2, rel=1e-6)


# -- odd inputs ------------------------------------------------------------------------------------------------------


def test_an_empty_grid_counts_events_alone() -> None:
    grid = Grid([])
    pane = pane_of(grid, {"x": [1, 2, 3]}, ["x"])
    pane.add(pane_of(grid, {"x": [1]}))
    assert content(pane) == (4, [], [[], [], []], [])
    assert content(Pane.unpack(pane.pack())) == content(pane)


def test_no_rows_make_an_empty_pane() -> None:
    assert content(whole([])) == content(Pane.empty(GRID))
    assert content(counted([(0, 1.0, "free", 0.5)]).pane(np.empty(0, np.int64))) == content(Pane.empty(GRID))


@pytest.mark.parametrize("form", ["objects", "floats"])
@pytest.mark.parametrize(
    ("value", "float_value", "state"), [(None, NULL, 0), (Mark.ABSENT, ABSENT, 1), (Mark.BAD, BAD, 2)]
)
def test_a_column_of_nothing_else_is_counted_in_its_state(form, value, float_value, state) -> None:
    column = [value] * 5 if form == "objects" else np.full(5, float_value)
    pane = pane_of(GRID, {"amount": column, "plan": column, "score": column}, WATCHED)
    for i in range(3):
        counts = pane.counts[GRID.first[i] : GRID.first[i + 1]]
        assert counts.sum() == counts[GRID.cells[i] + state] == 5
    assert not pane.moments.any()
    assert not len(pane.slices)


def test_a_column_that_is_not_there_is_absent_and_one_that_no_axis_knows_is_nothing() -> None:
    pane = pane_of(GRID, {"amount": np.zeros(5), "stranger": ["x"] * 5}, WATCHED)
    for i in (1, 2):
        counts = pane.counts[GRID.first[i] : GRID.first[i + 1]]
        assert counts.sum() == counts[GRID.cells[i] + 1] == 5
    assert pane.slices[:, 0].tolist() == [0] * 5
    assert pane.counts.sum() == 3 * 5


def test_only_numbers_that_are_watched_have_slices() -> None:
    table: dict[str, list[object]] = {"amount": [1.0, 2.0], "plan": ["free", "pro"], "score": [0.5, None]}
    assert pane_of(GRID, table).slices.tolist() == []
    assert pane_of(GRID, table, ["plan", "nobody"]).slices.tolist() == []
    assert pane_of(GRID, table, ["score"]).slices[:, :3].tolist() == [[2, 0, 1]]


def test_huge_values_on_a_huge_scale_are_counted_and_no_warning_is_given() -> None:
    grid = Grid([numeric_axis("x", np.array([-1e308, 0.0, 1e308]), -1e308, 1e308)])
    with np.errstate(all="raise", under="ignore"):
        pane = pane_of(grid, {"x": np.array([-1.7e308, -1e308, 0.0, 1e308, 1.7e308])}, ["x"])
    assert pane.counts[:5].tolist() == [1, 1, 1, 1, 1]
    assert int(pane.moments[0, 0]) == 0


# -- bytes -----------------------------------------------------------------------------------------------------------


@SEEDED
@given(rows)
def test_a_pane_is_its_bytes(table) -> None:
    pane = whole(table)
    again = Pane.unpack(pane.pack())
    assert content(again) == content(pane)
    assert again.pack() == pane.pack()
    again.add(pane)  # what was unpacked can be merged into
    assert again.events == 2 * len(table)


@SEEDED
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_integers_are_their_bytes(values) -> None:
    array = np.array(values, np.int64)
    assert unpack_ints(pack_ints(array)).tolist() == values
    assert pack_ints(array[::-1].copy()[::-1]) == pack_ints(array)  # whatever way they lie in memory


@pytest.mark.parametrize(("value", "width"), [(127, 1), (-128, 1), (128, 2), (32_767, 2), (32_768, 4), (2**31, 8)])
def test_integers_are_stored_as_narrow_as_they_go(value, width) -> None:
    assert len(zlib.decompress(pack_ints(np.array([value, 0]))[1:])) == 2 * width


@SEEDED
@given(st.binary(max_size=60))
def test_other_bytes_are_a_value_error(body) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pane.unpack(body)


def test_bytes_that_were_cut_or_changed_are_a_value_error() -> None:
    body = whole([(i, float(i), "free", 0.5) for i in range(50)]).pack()
    for end in range(len(body)):
        with pytest.raises(ValueError, match=r"."):
            Pane.unpack(body[:end])
    for at in range(4, len(body), 7):
        broken = bytearray(body)
        broken[at] ^= 0x55
        try:
            Pane.unpack(bytes(broken))
        except ValueError:
            continue


# -- slices ----------------------------------------------------------------------------------------------------------


SLICES = st.dictionaries(st.tuples(*[st.integers(0, 3)] * 2), st.tuples(*[st.integers(-9, 9)] * 3)).map(
    lambda drawn: np.array([(*key, *drawn[key]) for key in sorted(drawn)], np.int64).reshape(-1, 5)
)


@SEEDED
@given(SLICES, SLICES)
def test_slices_merge_by_signal_and_second(one, other) -> None:
    expected: dict[tuple[int, int], np.ndarray] = {}
    for row in (*one, *other):
        key = (int(row[0]), int(row[1]))
        expected[key] = expected.get(key, np.zeros(3, np.int64)) + row[2:]
    merged = merge_slices(one, other)
    assert merged.tolist() == [[*key, *expected[key].tolist()] for key in sorted(expected)]


def test_nothing_merges_into_nothing() -> None:
    nothing = np.empty((0, 5), np.int64)
    assert merge_slices(nothing, nothing).shape == (0, 5)
