"""ADWIN on merged slices: river's answers to the index, and what river does not promise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from river import drift

from driftd.core.detector import Adwin, Change, from_fixed

Floats = NDArray[np.float64]
Rng = np.random.Generator


def shifted(rng: Rng, values: Floats, size: float) -> Floats:
    """The same values, whose mean jumps up to four times."""
    for at in rng.integers(0, len(values), rng.integers(0, 5)):
        values[at:] += rng.normal() * size
    return values


def bernoulli(rng: Rng, n: int) -> Floats:
    p = np.repeat(rng.random(4), -(-n // 4))[:n] ** 2
    return (rng.random(n) < p).astype(float)


KINDS: dict[str, Callable[[Rng, int], Floats]] = {
    "normal": lambda rng, n: shifted(rng, rng.normal(size=n), 2.0),
    "bernoulli": bernoulli,
    "heavy": lambda rng, n: shifted(rng, rng.standard_t(2, size=n), 4.0),
    "ties": lambda rng, n: shifted(rng, rng.integers(-2, 3, size=n).astype(float), 1.0).round(),
    "constants": lambda rng, n: shifted(rng, np.full(n, rng.normal()), 1.0),
    "ramp": lambda rng, n: rng.normal(size=n) + np.linspace(0.0, rng.normal() * 5.0, n),
    "on a height": lambda rng, n: shifted(rng, rng.normal(size=n), 2.0) + 1e9,
    "zero-inflated": lambda rng, n: shifted(rng, rng.exponential(size=n) * (rng.random(n) < 0.2), 0.5),
}
SCALES = (1.0, 1.0, -1.0, 1e12, 1e-12, 1e-3, 1e6)


def streams(seed: int, count: int) -> Iterator[tuple[str, Rng, list[float]]]:
    kinds = list(KINDS)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        kind = kinds[i % len(kinds)]
        values = KINDS[kind](rng, int(rng.integers(50, 2_001))) * rng.choice(SCALES)
        yield kind, rng, values.tolist()


def assert_as_river(ours: Adwin, river: drift.ADWIN, values: list[float], where: str) -> int:
    found = 0
    for i, value in enumerate(values):
        change = ours.insert(1, value, value * value)
        river.update(value)
        here = (change is not None, ours.width, ours.estimate, ours.variance)
        there = (river.drift_detected, river.width, river.estimation, river.variance / river.width)
        assert here == there, f"{where}, index {i}"  # the same operations in the same order: equal to the bit
        found += change is not None
        # River forgets its count with its window, at the update after a change.
        assert (river.n_detections, ours.changes) == (int(change is not None), found), f"{where}, index {i}"
    return found


def test_one_value_a_slice_is_rivers_adwin_to_the_index() -> None:
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for i, (kind, _, values) in enumerate(streams(7, 2_000)):
        found[kind].append(assert_as_river(Adwin(), drift.ADWIN(), values, f"{kind}, stream {i}"))
    for kind, changes in found.items():
        assert sum(changes) > 50, f"{kind}: too few changes to have compared anything"
        assert 0 in changes, f"{kind}: no quiet stream"


def test_it_is_rivers_adwin_under_other_settings_too() -> None:
    found = 0
    for i, (kind, rng, values) in enumerate(streams(8, 300)):
        settings = {
            "clock": int(rng.choice([1, 2, 7, 32, 100])),
            "max_buckets": int(rng.integers(2, 9)),
            "min_window_length": int(rng.integers(1, 20)),
            "grace_period": int(rng.integers(0, 60)),
        }
        delta = float(rng.choice([1e-9, 0.002, 0.05, 0.5, 0.99]))
        ours, river = Adwin(delta=delta, **settings), drift.ADWIN(delta=delta, **settings)
        found += assert_as_river(ours, river, values, f"{kind}, stream {i}, delta {delta}, {settings}")
    assert found > 300


def cut_into_slices(rng: Rng, values: Floats, largest: int) -> Iterator[Floats]:
    start = 0
    while start < len(values):
        end = start + int(rng.integers(1, largest + 1))
        yield values[start:end]
        start = end


def insert(adwin: Adwin, values: Floats) -> Change | None:
    return adwin.insert(len(values), values.sum(), float(values @ values))


@pytest.mark.parametrize("largest", [1, 2, 30])
def test_a_change_tells_of_the_very_events_on_either_side_of_the_cut(largest: int) -> None:
    told = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        # Small integers: their sums are exact in any order.
        values = shifted(rng, rng.integers(0, 5, size=2_000).astype(float), 3.0).round()
        adwin, first, end = Adwin(clock=8), 0, 0
        for events in cut_into_slices(rng, values, largest):
            end += len(events)
            window = values[first:end]
            change = insert(adwin, events)
            if change is None:
                assert adwin.width == len(window)
                assert adwin.estimate == window.mean()
                assert adwin.variance == pytest.approx(window.var(), rel=1e-9, abs=1e-12)
                continue
            told += 1
            older, newer = window[: change.n_before], window[change.n_before :]
            assert (change.before, change.after) == (older.sum() / len(older), newer.sum() / len(newer))
            assert change.n_after == len(newer)
            assert change.difference == change.after - change.before
            left = window[-adwin.width :]
            assert len(left) < len(window)
            assert adwin.estimate == left.sum() / len(left)
            assert adwin.variance == pytest.approx(left.var(), rel=1e-6, abs=1e-9)
            first = end  # the next slice starts a window of its own
    assert told > 40


def mean_delay(slice_events: int, clock: int, streams: int = 60, before: int = 3_000) -> float:
    """Events from the shift of a Bernoulli stream from 0.1 to 0.3 to the change; every stream must find it."""
    delays = []
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        values = (rng.random(before + 6_000) < np.repeat([0.1, 0.3], [before, 6_000])).astype(float)
        adwin = Adwin(clock=clock)
        ends = range(slice_events, len(values) + 1, slice_events)
        end = next(end for end in ends if insert(adwin, values[end - slice_events : end]) is not None)
        assert end > before, f"stream {seed}: a change before the shift"
        assert end % (slice_events * clock) == 0, "the clock counts slices"
        delays.append(end - before)
    return float(np.mean(delays))


def test_slices_find_a_shift_about_as_soon_as_single_events_do() -> None:
    # Measured: 119 events with river's clock of 32, 102 with a look at every event; slices of 10 and of 100 with a
    # look at every slice 105 and 147, slices of 10 with a clock of 32 (320 events) 240.
    assert mean_delay(1, clock=32) < 140
    single = mean_delay(1, clock=1)
    assert single < 120
    assert mean_delay(10, clock=1) < single + 10
    assert mean_delay(100, clock=1) < single + 100
    assert mean_delay(10, clock=32) < single + 320


STILL: dict[str, Callable[[Rng, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "bernoulli": lambda rng, n: (rng.random(n) < 0.1).astype(float),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "student 3": lambda rng, n: np.clip(rng.standard_t(3, size=n), -64.0, 64.0),
}


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize(("slice_events", "clock", "slices"), [(1, 32, 3_200), (100, 1, 300)])
@pytest.mark.parametrize("delta", [0.002, 0.05])
def test_a_still_stream_is_quiet_at_the_level_stated_and_a_shift_of_it_is_not(
    kind: str, slice_events: int, clock: int, slices: int, delta: float
) -> None:
    looks = false = missed = heard = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        adwin = Adwin(delta=delta, clock=clock)
        values = STILL[kind](rng, 2 * slices * slice_events).reshape(2, slices, slice_events)
        for events in values[0]:
            insert(adwin, events)
        looks += slices // clock
        false += adwin.changes
        if adwin.changes == 0:  # else the shift may fall together with an empty window
            missed += all(insert(adwin, events) is None for events in values[1] + values.std())
            heard += 1
    assert false <= delta * looks
    assert missed == 0
    assert heard > 10


@pytest.mark.parametrize("slice_events", [1, 20])
def test_the_sign_of_the_difference_is_the_direction_and_mirrors_with_the_stream(slice_events: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(1_000, slice_events))
        values[500:] += 1.5
        rises, falls = Adwin(), Adwin()
        seen = [(insert(rises, events), insert(falls, -events)) for events in values]
        up, down = next(pair for pair in seen if pair != (None, None))
        assert up is not None
        assert up.difference > 0.0
        assert down == Change(-up.before, -up.after, up.n_before, up.n_after)


def plain(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and plain(item) for key, item in value.items())
    return all(map(plain, value)) if type(value) is list else type(value) in (int, float, str)


def test_a_restored_detector_agrees_for_ever_to_the_bit() -> None:
    after_a_cut = changes = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        steady = Adwin(clock=int(rng.choice([1, 8, 32])), max_buckets=int(rng.integers(2, 7)))
        restored = copy.deepcopy(steady)
        values = shifted(rng, rng.normal(size=4_000), 2.0) * rng.choice(SCALES)
        cut = False
        for events in cut_into_slices(rng, values, int(rng.choice([1, 7]))):
            if cut or rng.random() < 0.02:
                after_a_cut += cut
                state = restored.snapshot()
                assert plain(state)
                restored = Adwin.restore(json.loads(json.dumps(state, allow_nan=False)))
                assert restored.snapshot() == state
            change = insert(steady, events)
            assert insert(restored, events) == change
            cut = change is not None
            changes += cut
        assert restored.snapshot() == steady.snapshot()
        assert (restored.width, restored.changes) == (steady.width, steady.changes)
        assert (restored.estimate, restored.variance) == (steady.estimate, steady.variance)
    assert after_a_cut == changes > 40


def test_an_encoder_may_write_whole_floats_as_integers() -> None:
    adwin = Adwin()
    for value in [0.0, 1.0] * 50:
        adwin.insert(1, value, value)
    text = json.dumps(adwin.snapshot()).replace(".0,", ",").replace(".0]", "]")
    assert json.loads(text)["total"].__class__ is int
    assert json.dumps(Adwin.restore(json.loads(text)).snapshot()) == json.dumps(adwin.snapshot())


KEYS = ["clock", "max_buckets", "min_window_length", "grace_period", "changes", "slices", "cut"]


@pytest.mark.parametrize(
    "broken",
    [
        {"detector": "page-hinkley"},
        {"format": 2},
        {"format": None},
        *({key: wrong} for key in KEYS for wrong in (None, -1, 1.0, "1", True)),
        *({key: wrong} for key in ("delta", "total", "m2") for wrong in (None, float("nan"), float("inf"), "1")),
        {"total": 10**400},
        {"rows": None},
        {"rows": []},
        {"rows": [None]},
        {"rows": [[], [[2, 0.0, 0.0]]]},
        {"rows": [[[1, 0.0, 0.0]] * 6]},
        {"rows": [[[0, 0.0, 0.0]]]},
        {"rows": [[[-1, 0.0, 0.0]]]},
        {"rows": [[[1, 0.0]]]},
        {"rows": [["1"]]},
        {"rows": [[[1, float("nan"), 0.0]]]},
        {"rows": [[[1, 0.0, "0"]]]},
    ],
    ids=repr,
)
def test_a_state_of_another_format_or_a_broken_one_is_refused(broken: dict[str, object]) -> None:
    adwin = Adwin()
    for value in range(20):
        adwin.insert(1, float(value), float(value * value))
    state = adwin.snapshot()
    Adwin.restore(state)
    with pytest.raises(ValueError, match="state"):
        Adwin.restore({**state, **broken})
    for key in broken:
        with pytest.raises(ValueError, match="state"):
            Adwin.restore({name: item for name, item in state.items() if name != key})


REFUSED = [
    (0, 0.0, 0.0),
    (-1, 1.0, 1.0),
    *((1, wrong, 1.0) for wrong in (float("nan"), float("inf"), float("-inf"))),
    *((2, 1.0, wrong) for wrong in (float("nan"), float("inf"), -1e-9)),
    (1, 1e200, float("inf")),
    (1, 1e281, 1.0),
]


@pytest.mark.parametrize("slice_", REFUSED, ids=repr)
def test_a_slice_that_is_not_finite_or_holds_no_event_is_refused_and_changes_nothing(
    slice_: tuple[int, float, float],
) -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate((rng.normal(size=500), rng.normal(size=500) + 5.0))
    adwin, untouched = Adwin(), Adwin()
    cuts = 0
    for value in values:
        before = adwin.snapshot()
        with pytest.raises(ValueError, match="slice"):
            adwin.insert(*slice_)
        assert adwin.snapshot() == before  # also between a change and the slice that starts anew
        change = adwin.insert(1, value, value * value)
        assert change == untouched.insert(1, value, value * value)
        cuts += change is not None
    assert cuts == 1


def test_a_count_must_be_an_integer() -> None:
    with pytest.raises(TypeError):
        Adwin().insert(2.5, 1.0, 1.0)  # type: ignore[arg-type]


def test_moments_too_great_for_a_float_are_refused_before_they_blind_the_window() -> None:
    rng = np.random.default_rng(1)
    for scale in (1e100, 1e138, 1e139, 1e140):
        adwin = Adwin(clock=1)
        refused = 0
        for i, value in enumerate(rng.normal(size=600) * scale):
            try:
                adwin.insert(1, value + (i > 300) * 5 * scale, value * value)
            except ValueError:
                refused += 1
            json.dumps(adwin.snapshot(), allow_nan=False)
            Adwin.restore(adwin.snapshot())
        assert (refused > 0, adwin.changes) == ((True, 0) if scale >= 1e139 else (False, 1))
    adwin = Adwin()
    adwin.insert(2, 6e279, 0.0)
    with pytest.raises(ValueError, match="overflows"):
        adwin.insert(2, 6e279, 0.0)


def test_memory_is_the_logarithm_of_the_slices() -> None:
    rng = np.random.default_rng(5)
    adwin = Adwin()
    for i, value in enumerate(rng.normal(size=200_000).tolist(), start=1):
        adwin.insert(3, value, 3 * value * value)
        if i % 997 == 0:
            # A row below the last keeps max_buckets - 1 buckets or more: (2^r - 1) * 4 slices lie below row r.
            assert len(adwin._rows) <= (i // 4 + 1).bit_length()
            assert all(1 <= len(row) <= 5 for row in adwin._rows)
    assert adwin.width == 600_000
    assert adwin.changes == 0
    assert len(json.dumps(adwin.snapshot())) < 6_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": float("nan")},
        {"clock": 0},
        {"max_buckets": 1},
        {"min_window_length": 0},
        {"grace_period": -1},
    ],
    ids=repr,
)
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adwin(**wrong)  # type: ignore[arg-type]


def test_an_empty_window_has_no_width_and_no_spread() -> None:
    adwin = Adwin()
    assert (adwin.width, adwin.estimate, adwin.variance, adwin.changes) == (0, 0.0, 0.0, 0)


def test_a_slice_of_one_event_has_no_spread_whatever_its_squares() -> None:
    adwin = Adwin()
    adwin.insert(1, 3.0, 10.0)
    assert adwin.variance == 0.0
    adwin.insert(4, 12.0, 35.9)  # less than the sum allows: rounding, not a negative spread
    assert adwin.variance == 0.0


def test_the_fixed_point_sums_of_a_pane_become_floats() -> None:
    assert from_fixed(3 << 20, -(5 << 19)) == (3.0, -2.5)
    # What a pane holds at most: 2^31 events at z = 64.
    assert from_fixed(2**31 * 2**26, 2**31 * 2**32) == (2.0**37, 2.0**43)
    assert all(type(part) is float for part in from_fixed(np.int64(7), np.int64(9)))  # type: ignore[arg-type]
    z = np.random.default_rng(2).normal(size=1_000)
    q = np.rint(z * 2**20).astype(np.int64)
    total, squares = from_fixed(int(q.sum()), int(((q * q + 2**19) >> 20).sum()))
    assert total == pytest.approx(z.sum(), abs=1_000 * 2**-21)
    assert squares == pytest.approx(z @ z, rel=1e-6)


def test_numpy_scalars_leave_plain_numbers_behind() -> None:
    adwin = Adwin()
    for value in np.arange(200.0):
        adwin.insert(np.int64(1), np.float64(value), np.float64(value * value))  # type: ignore[arg-type]
    assert plain(adwin.snapshot())
