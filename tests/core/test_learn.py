"""Learning a grid and a reference: the same for every way the events were read, stored and restored."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.event import ABSENT, BAD, NULL, Column, Columns, Mark, PartitionId
from driftd.core.grid import Categorical, Grid, Numeric
from driftd.core.learn import GridLearner, ReferenceLearner
from driftd.core.pane import Counted, Pane
from driftd.core.reference import PARTS, Reference
from driftd.core.sample import SAMPLE
from driftd.core.spec import SignalType
from tests.core.streams import SEEDED, numeric

ONE = PartitionId("t", 0)


def columns(start: int = 0, **signals: Column) -> Columns:
    n = len(next(iter(signals.values())))
    at = np.arange(start, start + n, dtype=np.int64)
    return Columns("m", "1", "prediction", at * 1_000, at, signals)


def learned(types: dict[str, SignalType] | None = None, top: int = 256, **signals: Column) -> Grid:
    learner = GridLearner(100)
    learner.feed(ONE, columns(0, **signals))
    return learner.grid(types or {}, top)


def axis(values: Column, said: SignalType | None = None) -> Numeric | Categorical:
    return learned({"x": said} if said else {}, x=values).axes[0]


# -- the grid --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None, 3], Numeric),
        (np.array([1.0, 2.5, NULL]), Numeric),
        ([1, 2, Mark.ABSENT, Mark.BAD], Numeric),  # what is bad is an error of its own, it says nothing of the type
        ([1, "2", 3], Categorical),
        ([True, False], Categorical),
        ([True, 1], Categorical),
        (["a", None], Categorical),
        ([None, None], Categorical),
        ([Mark.BAD], Categorical),
        ([1.0, 1.7e308, -1.7e308], Numeric),
        ([1, 10**300, 10**350], Numeric),  # the last is a number that no float64 holds
    ],
)
def test_a_signal_is_numeric_if_every_sampled_value_is_a_number(values, kind) -> None:
    assert isinstance(axis(values), kind)


@pytest.mark.parametrize(
    ("values", "said", "kind"),
    [
        ([1, 2, 3], "categorical", Categorical),
        (["a", "b"], "numeric", Numeric),  # all of it will be BAD
        ([1, "a", 3], "numeric", Numeric),
        ([None], "numeric", Numeric),
        ([10**350], "numeric", Numeric),
    ],
)
def test_the_settings_say_more(values, said, kind) -> None:
    assert isinstance(axis(values, said), kind)


def test_the_bounds_are_those_of_the_sample() -> None:
    values = np.linspace(5.0, 9.0, 1_000)
    found = axis(values)
    assert isinstance(found, Numeric)
    assert found.plain() == numeric("x", values).plain()


def test_categories_are_counted_as_they_are_looked_up() -> None:
    found = axis(["a", True, 1, 1.0, "1", "x" * 300, "x" * 400, None], "categorical")
    assert isinstance(found, Categorical)
    assert found.categories == ("1", "x" * 256, "a", "true")


def test_both_forms_of_a_column_teach_the_same() -> None:
    objects: list[object] = [1.5, None, 2.0, Mark.ABSENT, 7, Mark.BAD]
    floats = np.array([1.5, NULL, 2.0, ABSENT, 7.0, BAD])
    for said in (None, "categorical"):
        types: dict[str, SignalType] = {"x": "categorical"} if said else {}
        assert learned(types, x=objects).hash == learned(types, x=floats).hash


def test_nulls_do_not_take_the_places_of_values() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(50_000) < 0.9, NULL, rng.normal(size=50_000))
    learner = GridLearner(10)
    learner.feed(ONE, columns(x=values))
    assert len(learner.samples["x"].values) == SAMPLE
    assert None not in learner.samples["x"].values
    found = learner.grid({}, 256).axes[0]
    counts = np.bincount(found.codes(values[np.isfinite(values)]), minlength=found.cells)
    assert len(counts) == 62
    # 4,096 values make 60 equal bins of 5,000: each holds 83 of them, less or more by chance.
    assert counts[1:-1].min() > 30


def test_signals_are_bounded_and_what_is_over_the_bound_is_counted() -> None:
    learner = GridLearner(2)
    for start in (0, 5):
        learner.feed(ONE, columns(start, b=[1.0] * 5, a=[2.0] * 5, c=[3.0] * 5, d=["x"] * 5))
    assert learner.grid({}, 256).names == ("a", "b")
    assert learner.events == 10
    assert learner.dropped == 2 * 5 * 2


def test_a_signal_that_never_had_a_value_has_an_axis_all_the_same() -> None:
    grid = learned(x=[None] * 9, y=[Mark.ABSENT] * 9, z=np.full(9, NULL))
    assert grid.names == ("x", "y", "z")
    assert Counted(grid, columns(x=["new"] * 9), frozenset()).pane(slice(None)).counts.sum() == 27


values_of = st.none() | st.integers(-5, 5) | st.floats(-1, 1) | st.sampled_from(["a", "b"]) | st.just(Mark.ABSENT)


@SEEDED
@given(st.lists(st.tuples(values_of, values_of), max_size=60), st.integers(0, 60), st.booleans(), st.booleans())
def test_order_blocks_and_a_restart_change_nothing(rows, cut, swap, stored) -> None:
    def some(part: Sequence[int]) -> Columns:
        signals = {name: [rows[i][k] for i in part] for k, name in enumerate("xy")}
        offsets = np.array(part, np.int64)
        return Columns("m", "1", "prediction", offsets, offsets, signals)

    whole, cut_up = GridLearner(10), GridLearner(10)
    whole.feed(ONE, some(range(len(rows))))
    pieces = [some(range(min(cut, len(rows)))), some(range(min(cut, len(rows)), len(rows)))]
    for piece in reversed(pieces) if swap else pieces:
        cut_up.feed(ONE, piece)
        if stored:
            plain = msgspec.msgpack.decode(msgspec.msgpack.encode(cut_up.plain()))
            cut_up = GridLearner(10)
            cut_up.load(plain)
    assert cut_up.grid({}, 9).hash == whole.grid({}, 9).hash
    assert (cut_up.events, cut_up.dropped) == (whole.events, whole.dropped)


# -- the reference ---------------------------------------------------------------------------------------------------

GRID = Grid([numeric("x", np.linspace(0, 1, 600))])


def panes(sizes: Sequence[int], seed: int = 0) -> list[Pane]:
    rng = np.random.default_rng(seed)
    return [Counted(GRID, columns(x=rng.random(n)), frozenset()).pane(slice(None)) for n in sizes]


def content(reference: Reference) -> tuple[object, ...]:
    replays = {
        key: [getattr(r, name).tolist() for name in ("windows", "mean", "variance", "worst", "inflation", "worst_rate")]
        for key, r in reference.replays.items()
    }
    return reference.events, reference.counts.tolist(), reference.moments.tolist(), reference.parts, replays


def test_the_reference_is_the_sum_of_its_panes() -> None:
    given = panes([100, 30, 0, 250] * 20)
    learner = ReferenceLearner(GRID, 0)
    learner.add(given)
    reference, parts = learner.reference()
    total = Pane.empty(GRID)
    for pane in given:
        total.add(pane)
    assert reference.events == learner.events == total.events == 7_600
    assert reference.counts.tolist() == total.counts.tolist() == parts.sum(axis=0).tolist()
    assert reference.moments.tolist() == total.moments.tolist()
    assert reference.parts == len(parts)
    assert parts.sum(axis=1).min() >= 64
    assert reference.calibrated


@pytest.mark.parametrize("count", [2_047, 2_048, 2_049, 2_050, 5_000])
def test_its_memory_is_bounded_and_the_order_is_kept(count) -> None:
    learner = ReferenceLearner(GRID, 0)
    for i, pane in enumerate(panes([3] * count)):
        pane.counts[0] = i  # a mark of its place
        learner.add([pane])
        assert len(learner.pieces) <= 4 * PARTS
    reference, parts = learner.reference()
    assert reference.events == sum(events for events, _ in learner.pieces) == 3 * count
    assert parts[:, 0].sum() == count * (count - 1) // 2
    assert (np.diff(parts[:-1, 0] / parts[:-1].sum(axis=1)) > 0).all()


@settings(SEEDED, max_examples=30)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=80), st.integers(0, 80), st.integers(1, 7))
def test_a_restart_and_the_size_of_a_batch_change_nothing(sizes, cut, batch) -> None:
    given = panes(sizes)
    once, often = ReferenceLearner(GRID, 5), ReferenceLearner(GRID, 5)
    once.add(given)
    for i in range(0, len(given), batch):
        often.add(given[i : i + batch])
        if i >= cut:
            plain = msgspec.msgpack.decode(msgspec.msgpack.encode(often.plain()))
            often = ReferenceLearner.from_plain(GRID, plain)
    assert often.start == 5
    assert content(often.reference()[0]) == content(once.reference()[0])
