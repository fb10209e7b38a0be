"""What is stored is all there is: an engine put back from its rows cannot be told from one that was never stopped."""

import random
from dataclasses import replace

import msgspec
import pytest

from driftd.core.engine import Engine, Stimulus
from driftd.core.event import Block, Discovered, Tick
from driftd.core.outcome import Outcome
from driftd.core.pane import Pane
from driftd.core.profile import Profile
from driftd.core.spec import MINUTE, SECOND, Learn, Limits, Spec
from tests.core.by_hand import PLAIN, WINDOW, P, Q, block, engine_of, give
from tests.core.reader import Manner, Reader
from tests.core.simulate import Given, Log, Traits, make_log

Rows = dict[str, bytes]


def store(rows: Rows, engine: Engine) -> dict[str, object | None]:
    """Commit: what changed, as the store keeps it."""
    changes = engine.changes()
    for key, row in changes.items():
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = msgspec.msgpack.encode(row)
    return changes


def put_back(spec: Spec, given: Given, rows: Rows) -> Engine:
    engine = Engine(spec, given)
    engine.restore({key: msgspec.msgpack.decode(row) for key, row in rows.items()})
    return engine


def said(out: Outcome) -> list[object]:
    """All of an outcome, comparable."""
    return [
        *((p.model, p.version, p.kind, p.start, p.end, p.pane.pack(), p.cover) for p in out.panes),
        *((a.id, a.body(), a.explain) for a in out.actions),
        *((model, kind, grid.hash) for model, kind, grid in out.grids),
        *((r.model, r.version, r.kind, r.end, r.reference.counts.tobytes()) for r in out.references),
    ]


# -- a whole log -----------------------------------------------------------------------------------------------------


class Recorder(Reader):
    """Keeps what was applied, blocks as they were before they were profiled."""

    def __init__(self, log: Log, seed: int, manner: Manner) -> None:
        self.stimuli: list[Block | Stimulus] = []
        super().__init__(log, seed, manner)

    def profile(self, block: Block) -> Profile:
        self.stimuli.append(block)
        return super().profile(block)

    def apply(self, stimulus: Stimulus) -> None:
        if not isinstance(stimulus, Profile):
            self.stimuli.append(stimulus)
        super().apply(stimulus)


@pytest.mark.parametrize("seed", range(6))
def test_at_every_commit_an_engine_that_is_put_back_goes_on_as_if_nothing_had_been(seed: int):
    rng = random.Random(seed)
    log = make_log(seed, Traits(late=seed % 2 == 1, hours=1.2, thin=2.0))
    recorder = Recorder(log, seed, Manner(live=True, poll=8_192, step=60 * SECOND))
    recorder.run()
    engine, rows = Engine(log.spec, log.given), Rows()
    shadow: Engine | None = None
    for stimulus in recorder.stimuli:
        out = said(give(engine, stimulus))
        if shadow is not None:
            assert said(give(shadow, stimulus)) == out
        if rng.random() < 0.1:
            store(rows, engine)
            if shadow is not None:
                assert shadow.view() == engine.view()
            shadow = put_back(log.spec, log.given, rows)
            assert shadow.view() == engine.view()
            assert shadow.positions() == engine.positions()
            if rng.random() < 0.5:  # and what is put back stores the same as what was never stopped
                rows = dict(rows)
                store(rows, shadow)
    assert shadow is not None
    assert shadow.view() == engine.view()


@pytest.mark.parametrize("seed", range(3))
def test_a_commit_writes_only_what_changed(seed: int):
    log = make_log(seed, Traits(hours=1.2, thin=2.0))
    recorder = Recorder(log, seed, Manner(live=True, poll=8_192, step=60 * SECOND))
    recorder.run()
    engine, rows = Engine(log.spec, log.given), Rows()
    small = {"clock", "counts", "dropped_models", "ignored"}
    for stimulus in recorder.stimuli:
        give(engine, stimulus)
        touched = {group.model for group in stimulus.groups} if isinstance(stimulus, Block) else set()
        before = dict(rows)
        changes = store(rows, engine)
        for key in changes.keys() - small:
            model, table = key.split("\x1f")[1:3]
            # What is in no open pane and no closed one of now is not written again.
            assert table not in {"reference", "grid"} or key not in before
            assert table not in {"apart", "block"} or (key in before) == (changes[key] is None)
            if isinstance(stimulus, Discovered):
                assert model in touched
        again = store(rows, engine)
        assert set(again) == small
        assert sum(len(msgspec.msgpack.encode(row)) for row in again.values()) < 4_000


# -- one model -------------------------------------------------------------------------------------------------------


def minute(engine: Engine, number: int, versions: list[str]) -> list[object]:
    """Thirty events of each of these versions in one minute of event time, and the clock on to its end."""
    start = 600 * MINUTE + number * MINUTE
    out: list[object] = []
    for version in versions:
        first = engine.counts[P].next_offset
        times = [start + j * SECOND for j in range(30)]
        out += said(give(engine, block(P, first, start, times, version)))
    return out + said(engine.apply(Tick({P: start + 2 * MINUTE})))


def test_a_grid_is_born_and_a_kill_and_a_pause_come_before_its_reference_begins():
    """The reference begins with the birth of the grid, not with the first pane that is seen after it."""
    spec, given, engine = engine_of(replace(PLAIN, reference=Learn(duration=12 * MINUTE, min_samples=60)))
    rows: Rows = {}
    while not engine.monitors["m"].baselines.grids:
        minute(engine, engine.counts[P].next_offset // 64, ["1"])
        store(rows, engine)
    shadow = put_back(spec, given, rows)
    for number in (8, 9, 14, 15, 16, 17):
        assert minute(shadow, number, ["1"]) == minute(engine, number, ["1"])
    assert engine.monitors["m"].baselines.references
    assert shadow.view() == engine.view()


def test_what_signals_over_the_bound_had_to_say_stays_counted_when_the_grid_is_born():
    learned = replace(PLAIN, reference=Learn(duration=12 * MINUTE, min_samples=60))
    spec, given, engine = engine_of(learned, Limits(signals=2))
    rows: Rows = {}
    counts = []
    for number in range(5):
        minute(engine, number, ["1"])
        store(rows, engine)
        counts.append(engine.view().models[0].dropped_signals)
        assert put_back(spec, given, rows).view() == engine.view()
    assert engine.monitors["m"].baselines.grids["prediction"].names == ("colour", "prediction")
    # One of three signals (a label is none of a prediction's) of 30 events a minute, until there were 60.
    assert counts == sorted(counts)
    assert counts[-1] == 60


def test_events_of_models_over_the_bound_are_counted_backfill_too():
    spec, given, engine = engine_of(limits=Limits(models=1))
    strange = replace(block(P, 0, 600 * MINUTE, [600 * MINUTE] * 7), groups=(), backfill={"m": 2, "n": 3})
    group = block(P, 64, 600 * MINUTE, [600 * MINUTE] * 7).groups[0]
    give(engine, strange)
    give(engine, replace(strange, first=64, next=128, groups=(replace(group, model="n"),), backfill={}))
    view = engine.view()
    assert [(one.model, one.backfill) for one in view.models] == [("m", 2)]
    assert view.dropped_models == 3 + 7
    rows: Rows = {}
    store(rows, engine)
    assert put_back(spec, given, rows).view() == view


def test_a_pane_that_is_free_when_it_is_put_back_is_not_lost():
    """The settings changed in between: now nobody waits any more. It closed unheard once, with all that followed."""
    spec, given, engine = engine_of()
    give(engine, block(P, 0, 600 * MINUTE, [600 * MINUTE + j * SECOND for j in range(30)]))
    assert not engine.apply(Tick({P: 601 * MINUTE + 5 * SECOND})).panes
    rows: Rows = {}
    store(rows, engine)
    hasty = replace(PLAIN, window=replace(WINDOW, allowed_lateness=0))
    engine = put_back(replace(spec, models={"m": hasty}), given, rows)
    out = engine.apply(Discovered({P: ("prediction",)}))
    assert [(pane.end, pane.pane.events) for pane in out.panes] == [(601 * MINUTE, 30)]


def test_who_is_waited_for_is_seen_at_once():
    """Nothing of the model is read while the partition that it waits for moves: the view says so all the same."""
    spec, given, engine = engine_of()
    engine.apply(Discovered({Q: ("prediction",)}))
    engine.apply(Tick({Q: 600 * MINUTE}))
    give(engine, block(P, 0, 600 * MINUTE, [600 * MINUTE + j * SECOND for j in range(30)]))
    assert engine.view().models[0].waiting_for == ("scored[0]", "scored[1]")
    engine.apply(Tick({Q: 650 * MINUTE}))
    rows: Rows = {}
    store(rows, engine)
    assert engine.view() == put_back(spec, given, rows).view()


def test_more_versions_in_one_pane_than_memory_may_hold():
    """Those over the bound are retired when the pane has closed; they once came back unseen and stayed for ever."""
    spec, given, engine = engine_of(limits=Limits(versions=3))
    rows: Rows = {}
    closed = 0
    for number in range(6):
        closed += len(minute(engine, number, [f"{number % 2}.{i}" for i in range(5)]))
        monitor = engine.monitors["m"]
        assert len(monitor.series) <= 3
        assert len(monitor.versions.newest["prediction"]) <= 3
        store(rows, engine)
        assert engine.view() == put_back(spec, given, rows).view()
    assert closed >= 5 * 5
    assert len([key for key in rows if key.split("\x1f")[2:3] == ["series"]]) <= 3


def test_versions_that_only_ever_come_late_are_bounded_too():
    """They are in no pane that closes, so nobody retired them, and each stayed in memory, rows and metrics for ever."""
    spec, given, engine = engine_of(limits=Limits(versions=3))
    rows: Rows = {}
    minute(engine, 100, ["1"])
    monitor = engine.monitors["m"]
    for number in range(101, 111):
        minute(engine, number, ["1"])
        for i in range(20):
            first = engine.counts[P].next_offset
            give(engine, block(P, first, 600 * MINUTE + number * MINUTE, [600 * MINUTE], f"{number}.{i}"))
        assert len(monitor.totals) <= 2 * 3
        store(rows, engine)
        assert engine.view() == put_back(spec, given, rows).view()
    assert monitor.totals["1", "prediction"].events == 11 * 30
    assert monitor.retired == 10 * 20 - 5  # five beside the one that is watched are known


def test_versions_that_turn_out_late_when_their_pane_closes_are_bounded_too():
    """Read ahead in one partition; the other then shows that the pane should have been closed long before."""
    spec, given, engine = engine_of(limits=Limits(versions=3))
    engine.apply(Discovered({Q: ("prediction",)}))
    start, ahead = 700 * MINUTE, 900 * MINUTE
    engine.apply(Tick({P: ahead}))
    for i in range(20):
        give(engine, block(P, 64 * i, ahead, [start], f"late.{i}"))
    monitor = engine.monitors["m"]
    assert len(monitor.totals) == 20  # nobody can tell yet
    for number in range(3):
        give(engine, block(Q, 64 * number, start + number * MINUTE, [start + number * MINUTE] * 30, "1"))
    engine.apply(Tick({Q: ahead}))
    assert not monitor.open["prediction"]
    assert {version: totals.late for (version, _), totals in monitor.totals.items()} == {"1": 0}
    assert monitor.retired == 20
    rows: Rows = {}
    store(rows, engine)
    assert engine.view() == put_back(spec, given, rows).view()


def test_a_retired_version_keeps_the_reference_of_its_file():
    """A file is read again at the next start: an engine that was never stopped must not have lost it meanwhile."""
    spec, given, engine = engine_of(limits=Limits(versions=1), versions=("1", "2"))
    rows: Rows = {}
    shadow: Engine | None = None
    for number, version in enumerate("1122112"):
        out = minute(engine, number, [version])
        if shadow is not None:
            assert minute(shadow, number, [version]) == out
            assert shadow.view() == engine.view()
        store(rows, engine)
        shadow = put_back(spec, given, rows)
        assert shadow.monitors["m"].baselines.references.keys() == engine.monitors["m"].baselines.references.keys()


def test_kinds_of_event_know_nothing_of_each_other():
    """A label closes days after its prediction; whichever came first, the other's verdicts are the same.

    Which versions a reference speaks for, what asks for a retraining and who is retired were once one memory of all
    kinds, so that it mattered whose pane happened to close first.
    """
    model = replace(PLAIN, on_new_version="hold")
    orders: list[dict[str, list[object]]] = []
    for order in (("prediction", "label"), ("label", "prediction")):
        _, _, engine = engine_of(model, Limits(versions=2))
        engine.apply(Discovered({P: ("prediction", "label")}))
        heard: dict[str, list[object]] = {"prediction": [], "label": []}
        for kind in order:
            for number, version in enumerate("1123" if kind == "prediction" else "2213"):
                start = 600 * MINUTE + number * MINUTE
                times = [start + j * SECOND for j in range(30)]
                # The second kind's events are as old as the first's; only the order of reading differs.
                found = block(P, engine.counts[P].next_offset, 600 * MINUTE, times, version, kind)
                heard[kind] += said(give(engine, found))
        for pane in engine.finish().panes:
            heard[pane.kind].append((pane.version, pane.start, Pane.pack(pane.pane)))
        view = engine.view().models[0]
        for series in view.series:
            heard[series.kind].append(series)
        orders.append(heard)
    assert orders[0] == orders[1]
