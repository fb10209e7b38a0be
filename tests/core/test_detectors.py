"""One contract for every detector that a rule can name, after the idea of river's generic checks."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from driftd.core.detector import Adwin
from driftd.core.detectors import PARAMETERS, RISES_ONLY, check, make, parameters_of, restore, serves, takes
from driftd.core.grid import Numeric, numeric_axis
from driftd.core.spec import DetectorName, DetectorRule
from tests.core.still import NAMES, OF_ERRORS, alarms, fresh, seen, values

ROOT = Path(__file__).parents[2]
STATED = {
    name: (float(rate), float(within))
    for name, rate, within in re.findall(
        r"^\| `(\w+)` \| (?:errors|numbers) \| (\S+) \| \S+ \| (\d+) \|",
        (ROOT / "docs" / "statistics.md").read_text("utf-8"),
        re.MULTILINE,
    )
}
"""False alarms in 100,000 values, and events within which nine of ten shifts are found, as the docs state them."""

every = pytest.mark.parametrize("name", NAMES)


def slices_of(name: DetectorName, rng: np.random.Generator, slices: int) -> list[tuple[int, float, float]]:
    """Slices of 1 to 6 events, of a signal that shifts now and then."""
    told = []
    for i in range(slices):
        events = values(name, rng, int(rng.integers(1, 7)), shifted=i // 300 % 2 == 1)
        told.append((len(events), sum(events), sum(value * value for value in events)))
    return told


def plain(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and plain(item) for key, item in value.items())
    return all(map(plain, value)) if type(value) is list else type(value) in (int, float, str)


def test_the_contract_is_of_every_detector_that_can_be_named():
    assert set(NAMES) == set(PARAMETERS) == set(STATED)


@every
def test_one_that_was_stored_and_restored_agrees_for_ever(name):
    stored = changes = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        steady = fresh(name)
        restored = copy.deepcopy(steady)
        for events in slices_of(name, rng, 1_500):
            if rng.random() < 0.03 or stored < changes:  # at random points, and right behind a change
                state = restored.snapshot()
                assert plain(state)
                restored = restore(json.loads(json.dumps(state, allow_nan=False)))
                assert type(restored) is type(steady)
                assert restored.snapshot() == state
                stored += 1
            change = steady.insert(*events)
            assert restored.insert(*events) == change
            changes += change is not None
        assert restored.snapshot() == steady.snapshot()
        shown = (steady.width, steady.estimate, steady.changes)
        assert (restored.width, restored.estimate, restored.changes) == shown
    assert changes > 0


@every
def test_an_encoder_may_write_whole_floats_as_integers(name):
    detector = fresh(name)
    for value in [0.0, 1.0] * 60:
        detector.insert(1, value, value)
    text = json.dumps(detector.snapshot()).replace(".0,", ",").replace(".0]", "]").replace(".0}", "}")
    assert json.dumps(restore(json.loads(text)).snapshot()) == json.dumps(detector.snapshot())


@every
def test_a_state_of_another_format_or_a_broken_one_is_refused(name):
    detector = fresh(name)
    alarms(detector, values(name, np.random.default_rng(1), 50))
    state = detector.snapshot()
    restore(state)
    wrong: object
    for field in state:
        for wrong in (None, "1", float("nan"), float("inf"), {}, [None]):
            with pytest.raises(ValueError, match="state"):
                restore({**state, field: wrong})
        with pytest.raises(ValueError, match="state"):
            restore({key: value for key, value in state.items() if key != field})
    for field, wrong in (("format", 2), ("changes", -1), ("n" if name != "adwin" else "slices", 1.5)):
        with pytest.raises(ValueError, match="state"):
            restore({**state, field: wrong})


@every
@pytest.mark.parametrize(
    "wrong",
    [
        (0, 0.0, 0.0),
        (-1, 1.0, 1.0),
        *((1, value, 1.0) for value in (float("nan"), float("inf"), float("-inf"), 1e300)),
        *((1, 1.0, value) for value in (float("nan"), float("inf"), -1.0)),
    ],
    ids=repr,
)
def test_what_is_not_finite_is_refused_and_changes_nothing(name, wrong):
    detector = fresh(name)
    alarms(detector, values(name, np.random.default_rng(2), 200))
    before = detector.snapshot()
    with pytest.raises(ValueError, match="slice"):
        detector.insert(*wrong)
    assert detector.snapshot() == before
    with pytest.raises(TypeError):
        detector.insert(1.5, 1.0, 1.0)  # type: ignore[arg-type]


@every
def test_the_greatest_values_are_refused_or_taken_and_leave_it_finite(name):
    detector = fresh(name)
    for value in [1e140, -1e140, 1e100, 0.0, 64.0] * 60:
        try:
            detector.insert(1, value, value * value)
        except ValueError:
            assert name == "adwin"  # whose moments hold squares
        json.dumps(detector.snapshot(), allow_nan=False)


@every
def test_memory_is_bounded(name):
    detector = fresh(name)
    rng = np.random.default_rng(5)
    sizes = []
    for _ in range(6):
        for value in values(name, rng, 1_500):
            detector.insert(3, 3 * value, 3 * value * value)
        sizes.append(len(json.dumps(detector.snapshot())))
    assert max(sizes[2:]) < 6_000


@every
def test_it_is_as_quiet_and_as_quick_as_the_docs_state(name):
    rate, within = STATED[name]
    found = seen(name, range(100, 112), 2_000 if name == "kswin" else 10_000)
    expected = rate * found.still / 1e5
    # Four standard deviations of a count, whose changes may come in clusters.
    assert found.false <= expected + 4 * expected**0.5 + 1
    assert sum(delay <= within for delay in found.delays) >= 8  # of 12, where nine of ten are stated
    assert found.missed == 0


@every
def test_the_sign_of_the_difference_is_the_direction(name):
    told = {True: 0, False: 0}
    for rises in told:
        for seed in range(8):
            rng = np.random.default_rng(seed)
            detector = fresh(name)
            alarms(detector, values(name, rng, 1_500, shifted=not rises))
            after = values(name, rng, 800, shifted=rises)
            changes = [detector.insert(1, value, value * value) for value in after]
            first = next((change for change in changes if change is not None), None)
            told[rises] += first is not None and (first.difference > 0) == rises
    assert told[True] >= 6
    if name not in RISES_ONLY:
        assert told[False] >= 6


@pytest.mark.parametrize("name", ["page_hinkley", "hddm_a", "hddm_w"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_only_what_is_asked_for_is_looked_for(name, direction):
    rises = direction == "up"
    detector = fresh(name, direction)
    rng = np.random.default_rng(4)
    alarms(detector, values(name, rng, 1_500, shifted=rises))
    other_way = [detector.insert(1, value, value * value) for value in values(name, rng, 800, shifted=not rises)]
    assert all(change is None or (change.difference > 0) == rises for change in other_way) or direction == "down"
    detector = fresh(name, direction)
    alarms(detector, values(name, rng, 1_500, shifted=not rises))
    this_way = [detector.insert(1, value, value * value) for value in values(name, rng, 800, shifted=rises)]
    assert any(change is not None for change in this_way)


@pytest.mark.parametrize("name", ["page_hinkley", "ddm", "eddm", "fhddm"])
def test_delay_is_in_events_whatever_the_slice(name):
    """Those that count events find a shift as soon in slices of twenty as in slices of one."""
    delays: dict[int, list[int]] = {1: [], 20: []}
    for size, found in delays.items():
        for seed in range(24):
            rng = np.random.default_rng(seed)
            detector, at = fresh(name), None
            for start in range(0, 4_000, size):
                events = values(name, rng, size, shifted=start >= 2_000)
                change = detector.insert(size, sum(events), sum(value * value for value in events))
                if change is not None and start >= 2_000:
                    at = start + size - 2_000
                    break
            found.append(at or 2_000)
    assert np.median(delays[20]) < 1.5 * np.median(delays[1]) + 40
    assert np.median(delays[1]) < 1.5 * np.median(delays[20]) + 40


@pytest.mark.parametrize("name", ["ddm", "eddm", "fhddm"])
def test_how_events_fall_into_slices_raises_no_alarms(name):
    """Traffic of one event a second, then of a hundred: nothing about the errors has changed."""
    counts = {}
    for many in (1, 100):
        counts[many] = 0
        for seed in range(6):
            rng = np.random.default_rng(seed)
            detector = fresh(name)
            alarms(detector, values(name, rng, 2_000))
            before = detector.changes
            for _ in range(10_000 // many):
                ones = sum(values(name, rng, many))
                detector.insert(many, ones, ones)
            counts[many] += detector.changes - before
    assert counts[100] <= counts[1] + 4 * (counts[1] ** 0.5 + 1)


def test_a_shift_of_the_spread_is_found_by_kswin():
    found: dict[DetectorName, int] = {"adwin": 0, "kswin": 0}
    for name in found:
        for seed in range(10):
            rng = np.random.default_rng(seed)
            detector = fresh(name)
            alarms(detector, rng.normal(size=500).tolist())
            before = detector.changes
            alarms(detector, (4 * rng.normal(size=60)).tolist())
            found[name] += detector.changes > before
    assert found["adwin"] <= 2  # a mean of 60 such values wanders, too
    assert found["kswin"] >= 6


def axis_of(sample: list[float]) -> Numeric:
    return numeric_axis("x", np.array(sample), min(sample), max(sample))


def test_values_are_brought_to_what_a_detector_takes():
    errors, shares, signs, ages = (
        axis_of([0.0, 1.0]),
        axis_of([0.1, 0.5, 0.9]),
        axis_of([-1.0, 1.0]),
        axis_of([20, 50, 90]),
    )
    binary: tuple[DetectorName, ...] = ("ddm", "eddm", "fhddm")
    assert set(binary) == RISES_ONLY
    for name in binary:
        assert [takes(name, axis) for axis in (errors, shares, signs, ages)] == [True, True, True, False]
        assert make(DetectorRule("r", name), ages, 1.0) is None
    bounded = make(DetectorRule("r", "hddm_a"), ages, 1.0)
    assert bounded is not None
    assert bounded.snapshot()["unit"] == [-4.0, 8.0]
    bounded = make(DetectorRule("r", "hddm_a"), signs, 1.0)
    assert bounded is not None
    assert bounded.snapshot()["unit"] == pytest.approx([-1.0, 2.0])
    standardised = make(DetectorRule("r", "page_hinkley"), errors, 0.3)
    assert standardised is not None
    assert standardised.snapshot()["unit"] == [0.0, 0.3]
    for value in [0.0] * 90 + [1.0] * 10:
        standardised.insert(1, value, value)
    assert standardised.estimate == pytest.approx(0.1)  # in the signal's own units


def test_other_settings_begin_anew_and_the_same_do_not():
    axis = axis_of([-1.0, 0.0, 3.0])
    rules = [
        DetectorRule("r"),
        DetectorRule("r", delta=0.01),
        DetectorRule("r", parameters={"clock": 8}),
        DetectorRule("r", "page_hinkley"),
        DetectorRule("r", "page_hinkley", direction="up"),
        DetectorRule("r", "page_hinkley", parameters={"threshold": 40.0}),
        DetectorRule("r", "kswin"),
    ]
    for i, mine in enumerate(rules):
        made = make(mine, axis, 1.0)
        assert made is not None
        assert [serves(restore(made.snapshot()), rule) for rule in rules] == [i == j for j in range(len(rules))]


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("page_hinkley", {"threshold": 0.0}, "threshold is 0.0, not a number between"),
        ("kswin", {"window_size": 50}, "less than twice stat_size"),
        ("kswin", {"stat_size": 30.5}, "not a whole number"),
        ("fhddm", {"short_window_size": 100}, "not below sliding_window_size"),
        ("eddm", {"alpha": 0.8}, "below beta"),
        ("adwin", {"max_buckets": 1}, "max_buckets is 1"),
        ("hddm_w", {"drift_confidence": 1.0}, "drift_confidence is 1.0"),
    ],
)
def test_parameters_that_cannot_be_are_refused(name, parameters, told):
    rule = DetectorRule("r", name, parameters=parameters)
    assert parameters_of(rule) == {**parameters_of(DetectorRule("r", name)), **parameters}
    with pytest.raises(ValueError, match=re.escape(told)):
        check(rule)


OLD = {
    "detector": "adwin", "format": 1, "delta": 0.002, "clock": 32, "max_buckets": 5, "min_window_length": 5,
    "grace_period": 10, "changes": 3, "slices": 7, "cut": 0, "total": 2.5, "m2": 1.25,
    "rows": [[[1, 0.5, 0.0]], [[2, 0.5, 0.0], [2, 1.0, 0.5], [2, 0.5, 0.25]]],
}  # fmt: skip
"""As driftd stored it when ADWIN was the only detector."""


def test_a_state_from_when_adwin_was_the_only_detector_is_still_read():
    found = restore(json.loads(json.dumps(OLD)))
    assert isinstance(found, Adwin)
    assert found.snapshot() == OLD
    assert (found.width, found.changes) == (7, 3)
    assert serves(found, DetectorRule("jump"))


def test_river_is_imported_by_no_detector():
    seen_ = (
        "import driftd.app, driftd.core.detectors, sys; print([m for m in sys.modules if m.split('.')[0] == 'river'])"
    )
    done = subprocess.run([sys.executable, "-c", seen_], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert OF_ERRORS >= RISES_ONLY
