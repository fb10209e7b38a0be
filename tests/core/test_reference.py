"""A reference and what it says of its own past: parts, replays, look-ups that never miss."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.distance import grouping, psi
from driftd.core.event import NULL, Column, Mark
from driftd.core.grid import Grid, categorical_axis
from driftd.core.law import rate_score
from driftd.core.pane import Pane
from driftd.core.reference import (
    LEAST_PART,
    LEAST_WINDOWS,
    PARTS,
    Reference,
    even_parts,
    part_starts,
    present,
    rate_hits,
)
from tests.core.streams import SEEDED, autoregressive, numeric, pane_of, parts_of, reference_of

SLOW = settings(SEEDED, max_examples=40)

# -- parts -----------------------------------------------------------------------------------------------------------

pieces_of_events = st.lists(
    st.integers(0, 300) | st.sampled_from([1, 63, 64, 65, 10_000]), min_size=1, max_size=1_500
) | st.builds(lambda k, n: [n] * k, st.integers(1, 4_000), st.integers(1, 500))


@SEEDED
@given(pieces_of_events, st.sampled_from([PARTS, 20, 1]))
def test_parts_are_at_most_512_at_least_64_in_order_and_lose_nothing(events, most) -> None:
    number = np.arange(len(events))
    pieces = np.column_stack((events, number * np.array(events)))  # events, and a sum that shows the order
    parts = even_parts(pieces, np.array(events), most)
    starts = part_starts(np.array(events), most)
    assert parts.sum(axis=0).tolist() == pieces.sum(axis=0).tolist()
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert parts.tolist() == [piece.sum(axis=0).tolist() for piece in np.split(pieces, starts[1:])]
    assert len(parts) <= most
    share = max(LEAST_PART, sum(events) / most)
    assert len(parts) == 1 or (parts[:, 0] >= share).all()
    # Even: none but the last is full long before it ends.
    for start, end in pairwise(starts.tolist()):
        assert sum(events[start : end - 1]) < share


@pytest.mark.parametrize(
    ("pieces", "events", "parts"),
    [(2_016, 100, 504), (512, 1_000, 512), (78, 64, 78), (100, 63, 50), (10, 5, 1), (7, 100, 7), (600, 64, 300)],
)
def test_even_pieces_make_even_parts(pieces, events, parts) -> None:
    assert len(part_starts(np.full(pieces, events))) == parts


def test_no_pieces_no_parts() -> None:
    assert even_parts(np.empty((0, 3), np.int64), np.empty(0, np.int64)).shape == (0, 3)


# -- what is counted -------------------------------------------------------------------------------------------------

MIXED = Grid(
    [
        numeric("amount", np.linspace(-3, 3, 500)),
        categorical_axis("open", {f"c{i}": 2 for i in range(5)}, 3, complete=False),
        categorical_axis("plan", {"free": 9, "pro": 3}, 5),
    ]
)


def test_hits_and_tries_of_the_rates() -> None:
    rows: dict[str, list[object]] = {
        "amount": [1.0, None, None, Mark.BAD, Mark.ABSENT, 99.0],
        "open": ["c0", "c9", "never", None, Mark.ABSENT, Mark.ABSENT],
        "plan": ["free", "never", "never", "pro", None, Mark.ABSENT],
    }
    counts = pane_of(MIXED, rows).counts
    hits, tries = rate_hits(MIXED, counts)
    nulls, absents, new = hits.tolist()
    assert nulls == [2, 1, 1]
    assert absents == [1, 2, 1]
    assert new == [0, 0, 2]  # a number and an open axis have nothing new
    have, events, values = tries.tolist()
    assert have == [5, 4, 5]  # null out of what has the signal, bad values among them
    assert events == [6, 6, 6]
    assert values == present(MIXED, counts).tolist() == [2, 3, 4]
    both, _ = rate_hits(MIXED, np.stack((counts, 3 * counts)))
    assert both.shape == (3, 2, 3)
    assert both[:, 1].tolist() == (3 * hits).tolist()


def test_deviations_are_of_the_grids_units_and_rounding_is_none() -> None:
    rng = np.random.default_rng(0)
    rows = {
        "far": rng.normal(7e6, 3e5, 5_000),
        "score": rng.beta(2, 5, 5_000),
        "tenth": np.full(5_000, 0.1),  # no multiple of 2^-20: its squares are all rounded the same way
        "third": np.full(5_000, 1 / 3),
        "six": np.full(5_000, 6.1),
        "nothing": np.full(5_000, NULL),
    }
    grid = Grid([numeric(name, values if name != "nothing" else np.zeros(1)) for name, values in rows.items()])
    found = dict(zip(grid.names, reference_of(grid, rows).deviations().tolist(), strict=True))
    assert found["far"] == pytest.approx(1.0, rel=1e-5)
    assert found["score"] == pytest.approx(rows["score"].std(), rel=1e-3)
    assert [found[name] for name in ("tenth", "third", "six", "nothing")] == [1.0] * 4


# -- the replay ------------------------------------------------------------------------------------------------------


def ten_bins(values: np.ndarray, parts: int = PARTS) -> Reference:
    return reference_of(Grid([numeric("x", values)]), {"x": values}, parts)


def test_the_replay_is_each_window_against_the_rest() -> None:
    """M, V, K, the worst and the rates, computed window by window."""
    rng = np.random.default_rng(4)
    rows: dict[str, Column] = {
        "amount": np.where(rng.random(6_500) < 0.02, NULL, rng.normal(size=6_500)),
        "plan": [("free", "pro", "odd", None)[i] for i in rng.integers(0, 4, 6_500)],
    }
    grid = MIXED.select(["amount", "plan"])
    parts, moments = parts_of(grid, rows, 65)
    reference = Reference.build(grid, 6_500, moments, parts)
    assert {size for size, _ in reference.replays} == {1, 2}  # 4 would leave 16 windows
    for (size, n), replay in reference.replays.items():
        groups = grouping(grid, reference.counts, n)
        xs, scores, rises = [], [], []
        for k in range(65 // size):
            window = parts[k * size : (k + 1) * size].sum(axis=0)
            rest = reference.counts - window
            current, others = groups.sums(window), groups.sums(rest)
            xs.append(psi(groups, current, others) / (1 / groups.totals(current) + 1 / groups.totals(others)))
            (hits, tries), (rest_hits, rest_tries) = rate_hits(grid, window), rate_hits(grid, rest)
            scores.append(rate_score(hits, tries, rest_hits, rest_tries))
            rises.append(hits / np.maximum(tries, 1) - rest_hits / np.maximum(rest_tries, 1))
        x = np.array(xs)
        assert replay.windows.tolist() == [65 // size] * 2
        np.testing.assert_allclose(replay.mean, x.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(replay.variance, x.var(axis=0, ddof=1), rtol=1e-9)
        np.testing.assert_allclose(replay.worst, x.max(axis=0) - (groups.sizes - 1), rtol=1e-9)
        np.testing.assert_allclose(replay.inflation, np.maximum((np.array(scores) ** 2).mean(axis=0), 1), rtol=1e-9)
        np.testing.assert_allclose(replay.worst_rate, np.maximum(np.array(rises).max(axis=0), 0), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 4, 16])
def test_of_independent_data_the_mean_is_b_minus_1(size) -> None:
    rng = np.random.default_rng(size)
    values = rng.normal(size=(40, 51_200))
    grid = Grid([numeric(f"s{i:02}", column) for i, column in enumerate(values)])
    rows = {f"s{i:02}": column for i, column in enumerate(values)}
    replay = reference_of(grid, rows, PARTS).replays[size, 64 * size]
    k = PARTS // size
    assert replay.windows.tolist() == [k] * 40
    # Of 40 signals: the mean of all is 9, the variance 18, to within chance and the first order in 1/n.
    assert replay.mean.mean() == pytest.approx(9.0, rel=0.05)
    assert replay.variance.mean() == pytest.approx(18.0, rel=0.25)
    assert (replay.worst > 0).all()


def test_autocorrelation_is_seen() -> None:
    rng = np.random.default_rng(5)
    calm = ten_bins(autoregressive(rng, 51_200, 0.0)).replays[4, 256]
    wild = ten_bins(autoregressive(rng, 51_200, 0.9)).replays[4, 256]
    assert wild.mean[0] > 4 * calm.mean[0]
    assert wild.worst[0] > 4 * calm.worst[0]


def test_the_worst_is_remembered() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=20_000)
    values[9_000:9_200] += 3.0
    assert (
        ten_bins(values, 200).replays[1, 64].worst[0]
        > 20 * ten_bins(rng.normal(size=20_000), 200).replays[1, 64].worst[0]
    )


def test_bursts_of_nulls_are_seen_and_windows_without_the_signal_do_not_dilute_them() -> None:
    rng = np.random.default_rng(7)
    nulls = np.repeat(rng.random(500) < 0.1, 20)
    values = np.where(nulls, NULL, rng.normal(size=10_000))
    grid = Grid([numeric("x", rng.normal(size=500))])
    bursts = reference_of(grid, {"x": values}, 100).replays[1, 64].inflation[0, 0]
    assert bursts > 8
    rows = [None if v != v else v for v in values.tolist()]  # noqa: PLR0124
    gone = [Mark.ABSENT] * 10_000
    halved = reference_of(grid, {"x": [*rows, *gone]}, 200).replays[1, 64].inflation[0, 0]
    assert halved == pytest.approx(bursts, rel=0.05)


@pytest.mark.parametrize("parts", [1, 2, LEAST_WINDOWS - 1])
def test_without_an_order_or_with_fewer_than_20_parts_nothing_is_replayed(parts) -> None:
    reference = ten_bins(np.random.default_rng(8).normal(size=5_000), parts)
    assert not reference.calibrated
    replay, size = reference.replay(np.array([100.0]))
    assert replay is None
    assert size.tolist() == [0.0]


@pytest.mark.parametrize("parts", [20, 39, 40, 100, 512])
def test_there_are_at_least_20_windows_of_every_size(parts) -> None:
    reference = ten_bins(np.random.default_rng(9).normal(size=64 * parts), parts)
    assert reference.calibrated
    assert min(replay.windows[0] for replay in reference.replays.values()) >= LEAST_WINDOWS
    largest = max(size for size, _ in reference.replays)
    assert largest <= parts / LEAST_WINDOWS < 2 * largest


@pytest.mark.parametrize(
    ("n", "windows", "values"),
    [
        (1, 512, 100),
        (99, 512, 100),
        (100, 512, 100),
        (199, 512, 100),
        (200, 256, 200),
        (799, 128, 400),
        (10**6, 32, 1_600),
    ],
)
def test_a_window_is_compared_with_replays_of_the_largest_power_of_two_of_parts_that_it_holds(
    n, windows, values
) -> None:
    reference = ten_bins(np.random.default_rng(10).normal(size=51_200))
    replay, size = reference.replay(np.array([float(n)]))
    assert replay is not None
    assert replay.windows.tolist() == [windows]
    assert size.tolist() == [values]


def counted(parts: int, each: int) -> Reference:
    """A reference of any size, without its events."""
    grid = Grid([numeric("x", np.linspace(0, 1, 600)), categorical_axis("y", {"a": 1}, 2), numeric("z", np.zeros(3))])
    one = np.zeros(grid.codes, np.int64)
    cells = grid.first[0] + 1 + np.arange(each) % 60
    np.add.at(one, cells, 1)
    one[grid.first[1]] = max(each // 3, 0)  # the others are missing now and then, the last always
    one[grid.first[1] + grid.cells[1] + 1] = each - max(each // 3, 0)
    one[grid.first[2] + grid.cells[2]] = each
    return Reference.build(grid, parts * each, np.zeros((3, 3), np.int64), np.tile(one, (parts, 1)))


@SLOW
@given(st.integers(20, 512), st.integers(1, 2_000), st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
def test_a_replay_is_found_for_every_n_and_every_size_of_a_reference(parts, each, ns) -> None:
    reference = counted(parts, each)
    for n in (ns, [1, 1, 1], [10**9] * 3, [2**k for k in (3, 17, 30)], [2**k - 1 for k in (3, 17, 30)]):
        replay, size = reference.replay(np.array(n, np.float64))
        assert replay is not None
        assert np.isfinite(replay.mean).all()
        assert (size >= 0).all()
        assert replay.inflation.shape == replay.worst_rate.shape == (3, 3)
        for each_n in n:
            groups, counts = reference.groups(each_n)
            assert groups.totals(counts).tolist() == reference.present().tolist()


@pytest.mark.parametrize("events", [64, 1_280, 10**6, 10**7])
def test_from_some_power_of_two_on_the_groups_stay(events) -> None:
    reference = counted(20, events // 20)
    last, _ = reference.groups(10**12)
    for n in (5 * events, 16 * events):
        direct = grouping(reference.grid, reference.counts, 1 << int(n).bit_length())
        assert direct.order.tolist() == last.order.tolist()
        assert direct.starts.tolist() == last.starts.tolist()


# -- choosing signals ------------------------------------------------------------------------------------------------


def test_a_selection_says_of_its_signals_what_the_whole_says() -> None:
    rng = np.random.default_rng(11)
    rows: dict[str, Column] = {
        "amount": rng.normal(size=6_400),
        "open": [f"c{i}" for i in rng.integers(0, 5, 6_400)],
        "plan": [("free", "pro", None)[i] for i in rng.integers(0, 3, 6_400)],
    }
    whole = reference_of(MIXED, rows, 100)
    whole.new_expected = np.array([0, 0, 7])
    chosen = whole.select(["plan", "amount"])
    assert chosen.grid.names == ("amount", "plan")
    assert (chosen.events, chosen.parts, chosen.calibrated) == (6_400, 100, True)
    assert chosen.new_expected.tolist() == [0, 7]
    direct = reference_of(MIXED.select(["plan", "amount"]), rows, 100)
    assert chosen.counts.tolist() == direct.counts.tolist()
    assert chosen.moments.tolist() == direct.moments.tolist()
    for n in (50, 300, 10**6):
        ours, theirs = (r.replay(np.full(2, float(n)))[0] for r in (chosen, direct))
        assert ours is not None
        assert theirs is not None
        for name in ("windows", "mean", "variance", "worst", "inflation", "worst_rate"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)
    assert whole.select([]).grid.codes == 0


def test_a_reference_without_signals_is_one() -> None:
    grid = Grid([])
    reference = Reference.build(grid, 6_400, np.zeros((3, 0), np.int64), np.zeros((100, 0), np.int64))
    replay, size = reference.replay(np.zeros(0))
    assert replay is not None
    assert size.tolist() == replay.mean.tolist() == reference.present().tolist() == []
    assert Pane.empty(grid).counts.tolist() == reference.counts.tolist()
