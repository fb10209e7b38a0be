"""ADWIN through the whole path: blocks, panes of several partitions, merged slices. The oracle is river's, fed the same."""

import json

import numpy as np
import pytest
from river import drift

from driftd.core.baseline import GivenReference
from driftd.core.detectors import PARAMETERS, make, parameters_of
from driftd.core.engine import Engine
from driftd.core.event import Block, Columns, Discovered, PartitionId
from driftd.core.grid import Grid, Numeric, numeric_axis
from driftd.core.pane import FIXED, Counted
from driftd.core.profile import profile
from driftd.core.reference import Reference
from driftd.core.series import Series
from driftd.core.spec import DetectorRule, Model, ReferenceFiles, Spec, Window
from driftd.deliver.words import sure

START = 1_700_000_000_000
BLOCK = 70


def reference(sample: np.ndarray) -> Reference:
    grid = Grid([numeric_axis("x", sample, float(sample.min()), float(sample.max()))])
    rows = np.arange(len(sample))
    counted = Counted(grid, Columns("m", "1", "prediction", rows, rows, {"x": sample}), frozenset())
    parts = np.stack([counted.pane(piece).counts for piece in np.array_split(rows, 40)])
    return Reference.build(grid, len(sample), counted.pane(slice(None)).moments, parts)


JUMP = DetectorRule("jump", on=("x",), min_effect=1e-9)


def engine(made: Reference, rule: DetectorRule = JUMP) -> Engine:
    window = Window(length=600_000, every=60_000, min_samples=50)
    model = Model("m", window=window, reference=ReferenceFiles("r"), window_rules=(), detector_rules=(rule,))
    return Engine(Spec(models={"m": model}), {"m": {"": GivenReference("1", made)}})


def run(values: np.ndarray, made: Reference, partitions: int, rule: DetectorRule = JUMP) -> tuple[Engine, list[bytes]]:
    """One event a second, dealt out over partitions, which are read one block after the other."""
    subject = engine(made, rule)
    ids = [PartitionId("t", i) for i in range(partitions)]
    subject.apply(Discovered(dict.fromkeys(ids, ("prediction",))))
    times = START + 1000 * np.arange(len(values))
    bodies: list[bytes] = []
    reads = []
    for p, partition in enumerate(ids):
        rows = np.arange(p, len(values), partitions)
        reads += [(int(rows[i]), partition, i, rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)]
    for _, partition, first, rows in sorted(reads, key=lambda read: (read[0], read[1])):
        group = Columns("m", "1", "prediction", times[rows], np.arange(first, first + len(rows)), {"x": values[rows]})
        earliest, latest = int(times[rows[0]]), int(times[rows[-1]])
        block = Block(partition, first, first + len(rows), len(rows), earliest, latest, (group,))
        out = subject.apply(profile(block, subject.plan_of))
        bodies += [action.body() for action in out.actions]
    bodies += [action.body() for action in subject.finish().actions]
    return subject, bodies


def values_of(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    n = int(random.integers(1_500, 4_000))
    values = random.normal(3.0, 2.0, n)
    for at in random.integers(0, n, int(random.integers(0, 4))):
        values[at:] += random.normal(0, 3)
    return values


@pytest.mark.parametrize("seed", range(12))
def test_the_whole_path_is_rivers_adwin_with_one_value_a_slice(seed):
    made = reference(np.random.default_rng(99).normal(3.0, 2.0, 5_000))
    values = values_of(seed)
    subject, _ = run(values, made, 1 + seed % 4)
    axis = made.grid.axes[0]
    assert isinstance(axis, Numeric)
    oracle = drift.ADWIN(delta=0.002)
    found = 0
    for value in values:
        q = int(np.rint(np.clip((value - axis.centre) / axis.scale, -64, 64) * FIXED))
        oracle.update(q / FIXED)
        found += oracle.drift_detected
    (view,) = subject.view().models[0].series[0].detectors
    assert view.changes == found
    assert view.width == oracle.width
    assert view.estimate == oracle.estimation


def test_the_streams_have_changes_to_find():
    made = reference(np.random.default_rng(99).normal(3.0, 2.0, 5_000))
    changes = [run(values_of(seed), made, 1)[0].view().models[0].series[0].detectors[0].changes for seed in range(12)]
    assert sum(changes) > 10
    assert min(changes) == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_does_not_depend_on_the_number_of_partitions(seed):
    made = reference(np.random.default_rng(99).normal(3.0, 2.0, 5_000))
    values = values_of(seed)
    subject, bodies = run(values, made, 1)
    for partitions in (2, 3, 8):
        other, again = run(values, made, partitions)
        assert again == bodies
        assert other.view().models[0].series[0].detectors == subject.view().models[0].series[0].detectors


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_detector_tells_through_the_whole_path(name):
    """Of errors, one in ten wrong and then one in two: fed by hand it says the same, and what it says is told."""
    random = np.random.default_rng(3)
    values = (random.random(2_400) < np.repeat([0.1, 0.5], [1_600, 800])).astype(float)
    rule = DetectorRule("errors", name, on=("x",), direction="up")
    made = reference((np.random.default_rng(1).random(5_000) < 0.1).astype(float))
    subject, bodies = run(values, made, 3, rule)
    axis = made.grid.axes[0]
    assert isinstance(axis, Numeric)
    by_hand = make(rule, axis, float(made.deviations()[0]))
    assert by_hand is not None
    changes = [by_hand.insert(1, value, value) for value in values.tolist()]
    (view,) = subject.view().models[0].series[0].detectors
    assert (view.changes, view.width, view.estimate) == (by_hand.changes, by_hand.width, by_hand.estimate)
    assert any(change is not None and change.difference > 0.075 for change in changes[1_600:])
    told = [json.loads(body) for body in bodies]
    (signal,) = next(body["data"]["signals"] for body in told if body["type"] == "driftd.alert.firing")
    assert (signal["statistic"], signal["direction"], signal["moved"]["what"]) == (name, "up", "mean")
    budget = told[0]["data"]["budget"]
    assert budget == {"detector": name} | ({"delta": 0.002} if name == "adwin" else {"parameters": parameters_of(rule)})
    assert name.upper() in sure(told[0]["data"], [signal])
    (series,) = (series for monitor in subject.monitors.values() for series in monitor.series.values())
    again = Series("g", series.model, series.version, series.kind, series.grid)
    again.load(
        json.loads(json.dumps(series.plain() | {"judged": None, "span": None})) | {"judged": series.plain()["judged"]},
        {},
    )
    assert again.watch.views() == series.watch.views()


def test_a_detector_of_errors_is_never_healthy_on_a_signal_of_another_kind():
    made = reference(np.random.default_rng(99).normal(3.0, 2.0, 5_000))
    subject, bodies = run(values_of(1), made, 1, DetectorRule("errors", "ddm", on=("x",)))
    (view,) = subject.view().models[0].series[0].detectors
    assert (view.signal, view.rule, view.state, view.changes) == ("x", "errors", "insufficient_data", 0)
    assert bodies == []
