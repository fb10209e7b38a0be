"""How values become counts: every value in exactly one cell, and the same cell for ever."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.event import ABSENT, BAD, NULL, Mark
from driftd.core.grid import (
    BINS,
    CATEGORY_CHARS,
    KNOWN_CATEGORIES,
    Categorical,
    Grid,
    Numeric,
    categorical_axis,
    category,
    numeric_axis,
)
from tests.core.streams import SEEDED, Floats, numeric

MOST = float(np.finfo(np.float64).max)
LEAST = 5e-324
finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, LEAST, -LEAST, 1e308, -1e308, MOST, -MOST, 1e-310, 2.0**53]
)
samples = st.lists(finite, min_size=1, max_size=200).map(lambda values: np.array(values, np.float64))
tied = st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.5, 7.0]), min_size=1, max_size=200).map(np.array)
SAMPLES: dict[str, Floats] = {
    "constant": np.full(100, 5.0),
    "constant 0": np.zeros(100),
    "both zeros": np.array([0.0, -0.0] * 50),
    "two values": np.array([0.0] * 90 + [1.0] * 10),
    "two far values": np.array([1e6] * 90 + [1e6 + 1] * 10),
    "integers": np.repeat(np.arange(10.0), 10),
    "zero-inflated": np.append(np.zeros(900), np.linspace(0.01, 5, 100)),
    "a thousand distinct": np.linspace(-3, 3, 1_000),
    "one value": np.array([3.0]),
    "huge": np.array([-1e308, 1e308, 5e307]),
    "greatest": np.full(3, MOST),
    "least": np.full(3, -MOST),
    "all there is": np.array([-MOST, MOST]),
    "denormal": np.array([LEAST, 2 * LEAST, 3 * LEAST]),
    "negative denormal": np.array([-LEAST, 0.0, -1e-310]),
    "tiny": np.array([1e-300, 2e-300, 3e-300]),
}


def one(axis: Numeric, value: float) -> int:
    return int(axis.codes(np.array([value]))[0])


# -- numeric ---------------------------------------------------------------------------------------------------------


@SEEDED
@given(samples | tied, st.lists(finite, min_size=1, max_size=50))
def test_every_finite_float_falls_in_exactly_one_cell_and_bins_are_closed_to_the_right(sample, probes) -> None:
    axis = numeric("x", sample)
    bounds = axis.bounds
    assert (bounds[1:] > bounds[:-1]).all()
    assert len(bounds) <= BINS + 1
    values = np.concatenate((sample, probes, bounds, np.nextafter(bounds[1:], -np.inf)))
    for value, code in zip(values.tolist(), axis.codes(values).tolist(), strict=True):
        holding = [i for i in range(1, len(bounds)) if bounds[i - 1] < value <= bounds[i]]
        holding += [0] if value <= bounds[0] else []
        holding += [len(bounds)] if value > bounds[-1] else []
        assert holding == [code]
        assert 0 <= code < axis.cells


@pytest.mark.parametrize("name", SAMPLES)
def test_what_the_reference_showed_is_neither_underflow_nor_overflow(name) -> None:
    sample = SAMPLES[name]
    axis = numeric("x", sample)
    codes = axis.codes(sample)
    assert (codes <= axis.cells - 2).all()
    # Below the least float there is no room for an underflow.
    assert (codes >= 1).all() or sample.min() == -MOST
    if sample.max() < MOST:
        assert one(axis, math.nextafter(float(sample.max()), math.inf)) == axis.cells - 1
    if sample.min() > -MOST:
        assert one(axis, math.nextafter(float(sample.min()), -math.inf)) == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_any_axis_survives_a_round_trip_through_json(name) -> None:
    grid = Grid([numeric("x", SAMPLES[name])])
    again = Grid.from_plain(json.loads(json.dumps(grid.plain())))
    assert again.hash == grid.hash
    probes = np.append(SAMPLES[name], [0.0, -1.0, MOST, -MOST, NULL, ABSENT, BAD])
    assert again.axes[0].codes(probes).tolist() == grid.axes[0].codes(probes).tolist()


@pytest.mark.parametrize("m", [60, 61, 119, 600, 4_095, 4_096])
def test_bins_have_equal_mass_to_within_one_rank(m) -> None:
    sample = np.random.default_rng(m).permutation(np.linspace(0, 9, m) ** 3)
    counts = np.bincount(numeric("x", sample).codes(sample))
    assert len(counts) == BINS + 1  # the underflow, empty, comes first
    assert set(counts[1:]) <= {m // BINS, -(-m // BINS)}


def test_few_values_have_a_bin_each() -> None:
    for name in ("constant", "two values", "two far values", "integers", "denormal", "huge"):
        distinct = np.unique(SAMPLES[name])
        axis = numeric("x", SAMPLES[name])
        assert axis.codes(distinct).tolist() == list(range(1, len(distinct) + 1)), name
        assert axis.cells == len(distinct) + 2, name


@pytest.mark.parametrize("sign", [1, -1])
def test_an_atom_lies_whole_in_a_bin_and_there_alone(sign) -> None:
    sample = sign * SAMPLES["zero-inflated"]
    axis = numeric("x", sample)
    counts = np.bincount(axis.codes(sample))
    assert counts[one(axis, 0.0)] == 900
    assert sorted(counts)[-2] <= len(sample) // BINS + 1
    assert len(axis.bounds) <= BINS + 1


@pytest.mark.parametrize("rare", [1, 10])
@pytest.mark.parametrize("place", [-1.0, 0.5, 2.0])
def test_what_is_rare_beside_an_atom_has_a_bin_of_its_own_on_either_side(place, rare) -> None:
    sample = np.append(np.full(1_000 - rare, 1.0), np.full(rare, place))
    axis = numeric("x", sample)
    assert one(axis, place) != one(axis, 1.0)
    assert np.bincount(axis.codes(sample)).max() == 1_000 - rare
    # The sample may have missed it: then its place among the bounds of the reference is enough.
    axis = numeric_axis("x", np.full(1_000, 1.0), min(place, 1.0), max(place, 1.0))
    assert one(axis, place) != one(axis, 1.0)


def test_two_atoms_and_what_lies_between_and_beside_them() -> None:
    sample = np.concatenate((np.full(500, 0.0), np.full(480, 1.0), [-2.0] * 5, [0.25, 0.5] * 3, [3.0] * 9))
    axis = numeric("x", sample)
    places = [one(axis, v) for v in (-2.0, 0.0, 0.25, 1.0, 3.0)]
    assert sorted(set(places)) == places
    assert one(axis, 0.5) == one(axis, 0.25)


def test_the_two_zeros_are_one_value_and_one_hash() -> None:
    positive, negative = np.array([0.0, 1.0, 2.0]), np.array([-0.0, 1.0, 2.0])
    a, b = numeric("x", positive), numeric("x", negative)
    assert Grid([a]).hash == Grid([b]).hash
    assert one(a, 0.0) == one(a, -0.0) == 1
    below = numeric("x", np.array([-2.0, -1.0, -0.0]))
    assert Grid([below]).hash == Grid([numeric("x", np.array([-2.0, -1.0, 0.0]))]).hash


def test_the_bounds_of_the_reference_hold_where_the_sample_is_only_a_part_of_it() -> None:
    axis = numeric_axis("x", np.linspace(1.0, 2.0, 500), low=-7.0, high=9.0)
    assert one(axis, -7.0) == 1
    assert one(axis, 9.0) == axis.cells - 2
    assert one(axis, math.nextafter(-7.0, -8.0)) == 0
    assert one(axis, math.nextafter(9.0, 10.0)) == axis.cells - 1


@pytest.mark.parametrize(
    ("sample", "centre", "scale"),
    [
        ([0.1, 0.5, 0.9, 1.0], 0.0, 1.0),  # a score keeps its units
        ([0.0, 1.0, 1.0], 0.0, 1.0),
        ([-1.0, 1.0, 1.0], 0.0, 1.0),  # two values
        ([0.25] * 5, 0.0, 1.0),
        ([7.0] * 5, 7.0, 1.0),  # no deviation: scale 1
        ([1e9, 1e9 + 0.1, 1e9 + 0.2], 1e9 + 0.1, 1.0),  # a deviation under 1e-9 of the mean is none
        ([2.0, 4.0, 6.0], 4.0, math.sqrt(8 / 3)),
        ([2.0, 6.0], 4.0, 2.0),  # two values that the clip at 64 would not hold in their own units
    ],
)
def test_centre_and_scale(sample, centre, scale) -> None:
    axis = numeric("x", np.array(sample))
    assert axis.centre == pytest.approx(centre, rel=1e-12)
    assert axis.scale == pytest.approx(scale, rel=1e-9)


@SEEDED
@given(samples)
def test_centre_and_scale_are_finite_whatever_the_values(sample) -> None:
    axis = numeric("x", sample)
    assert math.isfinite(axis.centre)
    assert math.isfinite(axis.scale)
    assert axis.scale > 0


def test_no_number_is_bad_and_has_a_state_of_its_own() -> None:
    axis = numeric("x", SAMPLES["integers"])
    objects = [None, Mark.ABSENT, Mark.BAD, "3", True, False, float("nan"), float("inf"), 10**400, -(10**400)]
    null, absent, bad = axis.cells, axis.cells + 1, axis.cells + 2
    assert axis.codes(objects).tolist() == [null, absent, bad, bad, bad, bad, bad, bad, bad, bad]
    assert axis.codes(np.array([NULL, ABSENT, BAD])).tolist() == [null, absent, bad]


@SEEDED
@given(st.lists(st.none() | st.just(Mark.ABSENT) | st.just(Mark.BAD) | finite | st.integers(-(10**6), 10**6)))
def test_both_forms_of_a_column_give_the_same_codes(objects) -> None:
    states = {None: NULL, Mark.ABSENT: ABSENT, Mark.BAD: BAD}
    floats = np.array([states.get(v, v) for v in objects], np.float64)
    axis = numeric("x", SAMPLES["a thousand distinct"])
    assert axis.codes(objects).tolist() == axis.codes(floats).tolist()
    names = categorical_axis("x", {"0": 5, "-1": 3, "0.5": 2, "1e+308": 1, "7": 1}, 3)
    assert names.codes(objects).tolist() == names.codes(floats).tolist()


# -- categorical -----------------------------------------------------------------------------------------------------


def test_categories_are_ranked_by_frequency_then_name() -> None:
    axis = categorical_axis("x", {"b": 5, "a": 5, "c": 9, "e": 1, "d": 1}, 3)
    assert axis.categories == ("c", "a", "b")
    assert axis.rare == {"d", "e"}
    assert (axis.other, axis.new, axis.cells) == (3, 4, 5)
    codes = axis.codes(["c", "a", "b", "d", "e", "f", "", None, Mark.ABSENT, Mark.BAD]).tolist()
    assert codes == [0, 1, 2, 3, 3, 4, 4, 5, 6, 7]


def test_in_an_open_axis_nothing_is_new() -> None:
    axis = categorical_axis("x", {"a": 5, "b": 2}, 1, complete=False)
    assert axis.open
    assert axis.rare == frozenset()
    assert axis.codes(["a", "b", "never seen"]).tolist() == [0, axis.other, axis.other]
    assert Grid([axis]).new_codes.tolist() == [-1]


def test_what_has_the_same_text_is_one_category_and_true_is_not_1() -> None:
    axis = categorical_axis("x", {"true": 4, "1": 3, "1.5": 2}, 9)
    rows = [True, "true", 1, 1.0, "1", 1.5, "1.5", "True", "1.0", False]
    one, new = 1, axis.new
    assert axis.codes(rows).tolist() == [0, 0, one, one, one, 2, 2, new, new, new]
    # In any order: what is looked up first leaves nothing behind.
    assert axis.codes(rows[::-1]).tolist() == [new, new, new, 2, 2, one, one, one, 0, 0]
    assert axis.codes(np.array([1.0, 1.5, 2.0])).tolist() == [one, 2, new]


@pytest.mark.parametrize("value", ["x" * 300, 10**299 + 7, -(10**299)])
def test_a_long_category_is_cut(value) -> None:
    text = category(value)
    assert len(text) == CATEGORY_CHARS
    assert str(value).startswith(text)
    axis = categorical_axis("x", {text: 3}, 5)
    assert axis.codes([value, str(value), text, text[:-1]]).tolist() == [0, 0, 0, axis.new]


@pytest.mark.parametrize("text", ["", " ", "\x00", "ÿ", "\ud800", "None", "<absent>", "a\nb", "{{x}}"])
def test_any_text_is_a_category(text) -> None:
    grid = Grid([categorical_axis("x", {text: 3}, 5)])
    again = Grid.from_plain(json.loads(json.dumps(grid.plain())))
    assert again.hash == grid.hash
    assert again.axes[0].codes([text, "other"]).tolist() == [0, 2]


def test_a_hundred_thousand_categories_make_an_open_axis_of_bounded_size() -> None:
    counts = {f"c{i}": 1 + (i % 97 == 0) for i in range(100_000)}
    axis = categorical_axis("x", counts, 256)
    assert axis.open
    assert (axis.cells, len(axis.rare)) == (258, 0)
    codes = axis.codes(list(counts))
    assert (codes < 256).sum() == 256
    assert (codes == axis.other).sum() == 100_000 - 256
    known = categorical_axis("x", {f"c{i}": 1 for i in range(KNOWN_CATEGORIES)}, 256)
    assert not known.open
    assert len(known.rare) == KNOWN_CATEGORIES - 256


def test_no_category_at_all() -> None:
    axis = categorical_axis("x", {}, 256)
    assert axis.codes(["a", None]).tolist() == [axis.new, axis.cells]


# -- the grid --------------------------------------------------------------------------------------------------------


def a_grid() -> Grid:
    return Grid(
        [
            numeric("b", SAMPLES["integers"]),
            categorical_axis("a", {"x": 3, "y": 2, "z": 1}, 2),
            numeric("c", SAMPLES["constant"]),
        ]
    )


def test_axes_lie_behind_one_another_in_the_order_of_their_names() -> None:
    grid = a_grid()
    assert grid.names == ("a", "b", "c")
    assert grid.cells.tolist() == [4, 12, 3]
    assert grid.first.tolist() == [0, 7, 22, 28]
    assert grid.codes == 28
    assert grid.numeric.tolist() == [False, True, True]
    assert grid.new_codes.tolist() == [3, -1, -1]
    assert grid.positions(["c", "a"]).tolist() == [*range(22, 28), *range(7)]
    assert grid.select(["c", "a"]).names == ("a", "c")
    assert grid.select([]).codes == 0


def test_the_hash_names_the_content_and_nothing_else() -> None:
    grid = a_grid()
    assert Grid(reversed(grid.axes)).hash == grid.hash
    assert Grid.from_plain(grid.plain()).hash == grid.hash
    rare = categorical_axis("a", {"x": 3, "y": 2, "q": 1}, 2)
    assert Grid([rare, *grid.axes[1:]]).hash != grid.hash
    moved = Numeric("b", grid.axes[1].bounds + 1e-9, 0.0, 1.0)  # type: ignore[union-attr]
    assert Grid([grid.axes[0], moved, grid.axes[2]]).hash != grid.hash
    # It is stored, so it may not change from one release to the next.
    golden = Grid([Numeric("n", np.array([0.5, 1.0, 2.0]), 0.0, 1.0), Categorical("c", ("x", "é"), frozenset({"z"}))])
    assert golden.hash == "e320e33294ce4c40"


def test_the_hash_does_not_depend_on_how_numbers_were_written() -> None:
    plain = a_grid().plain()
    plain[1] = {**plain[1], "bounds": [int(b) if float(b).is_integer() else b for b in plain[1]["bounds"]]}  # type: ignore[attr-defined]
    assert Grid.from_plain(plain).hash == a_grid().hash


def test_two_axes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Grid([numeric("x", SAMPLES["integers"]), categorical_axis("x", {}, 1)])


@pytest.mark.parametrize(
    "plain",
    [
        None,
        {},
        [None],
        [{}],
        [{"name": 3}],
        [{"name": "x"}],
        [{"name": "x", "type": "odd"}],
        [{"name": "x", "type": "numeric"}],
        [{"name": "x", "type": "numeric", "bounds": [], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [1, 1], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [2, 1], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [[1, 2]], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [0, math.inf], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [0, math.nan], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [0, 10**400], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [0, 1], "centre": 10**400, "scale": 1}],
        [{"name": "x", "type": "numeric", "bounds": [0, 1], "centre": 0, "scale": 0}],
        [{"name": "x", "type": "numeric", "bounds": [0, 1], "centre": 0, "scale": math.nan}],
        [{"name": "x", "type": "numeric", "bounds": ["a", "b"], "centre": 0, "scale": 1}],
        [{"name": "x", "type": "categorical"}],
        [{"name": "x", "type": "categorical", "categories": "abc", "rare": [], "open": False}],
        [{"name": "x", "type": "categorical", "categories": ["a", "a"], "rare": [], "open": False}],
        [{"name": "x", "type": "categorical", "categories": ["a"], "rare": ["a"], "open": False}],
        [{"name": "x", "type": "categorical", "categories": [1], "rare": [], "open": False}],
        [{"name": "x", "type": "categorical", "categories": [["a"]], "rare": [], "open": False}],
    ],
)
def test_a_document_that_is_no_grid_is_a_value_error(plain) -> None:
    with pytest.raises(ValueError, match=r"."):
        Grid.from_plain(plain)
