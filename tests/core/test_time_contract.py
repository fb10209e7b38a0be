"""The time contract: what is said does not depend on how the log was read.

Logs are simulated (see `simulate.py`) and read in any order of partitions and skew, with polls of any size, with ticks
at any moments, with kills. Panes are compared with the plain truth of the log, everything else between the runs.

More seeds: DRIFTD_TEST_SEEDS=200.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from driftd.core.clock import NEVER
from driftd.core.engine import Engine
from driftd.core.event import Discovered, Kind, Tick
from driftd.core.pane import Pane
from driftd.core.spec import HOUR, MINUTE, SECOND
from driftd.core.summary import view_of
from tests.core.by_hand import PLAIN, WINDOW, P, Q, block, engine_of, give
from tests.core.reader import Durable, Manner, Reader
from tests.core.simulate import Log, Traits, make_log
from tests.core.truth import Truth

SEEDS = int(os.environ.get("DRIFTD_TEST_SEEDS", "8"))


def manners(seed: int, *, live: bool) -> Iterator[Manner]:
    """Ways of reading, no two alike. `live`: half of them read the log while it is written."""
    rng = random.Random(f"manner {seed}")
    for i, poll in enumerate((8_192, 7, 8_192, 1)):
        yield Manner(
            live=live and i % 2 == 1,
            poll=poll,
            step=rng.choice((3, 20, 120)) * SECOND,
            lazy=rng.choice((0.0, 0.3, 0.8)),
            kill=rng.choice((0.01, 0.1)) if i else 0.0,
            commit=rng.choice((0.1, 0.5, 1.0)),
            watchful=seed % 3 == 0,
            finish=i == 0,
        )


@dataclass
class Run:
    """What came of one run, in a form that can be compared."""

    reader: Reader
    durable: Durable

    def said(self) -> dict[str, object]:
        engine = self.reader.engine
        view = engine.view()
        actions: dict[tuple[str, str], list[tuple[str, bytes, object]]] = {}
        for action in self.durable.actions:
            actions.setdefault((action.model, action.kind), []).append((action.id, action.body(), action.explain))
        return {
            "panes": self.durable.panes,
            "actions": actions,
            "grids": self.durable.grids,
            "references": self.durable.references,
            # Whether a model counts as silent hangs on the ticks; what was judged does not.
            "models": {name: view_of(m, engine.clock, frozenset(), ()) for name, m in sorted(engine.monitors.items())},
            "partitions": [(p.partition, p.next_offset, p.records, p.refused) for p in view.partitions],
        }

    def counts(self) -> dict[tuple[str, str, Kind], tuple[int, int]]:
        series = [one for model in self.reader.engine.view().models for one in model.series]
        return {(one.model, one.version, one.kind): (one.events, one.late) for one in series}


def run(log: Log, seed: int, manner: Manner) -> Run:
    reader = Reader(log, seed, manner)
    durable = reader.run()
    ids = [action.id for action in durable.actions]
    assert len(ids) == len(set(ids))
    return Run(reader, durable)


def traits_of(seed: int) -> Traits:
    return (Traits(), Traits(create_time=True), Traits(trailing=2 * HOUR), Traits(thin=3.0))[seed % 4]


def assert_true(one: Run, truth: Truth) -> None:
    given = {key: pane for key, pane in one.durable.panes.items() if key[0] in truth.log.given}
    assert given.keys() == truth.panes.keys()
    assert given == truth.panes
    assert one.counts() == {key: (n, truth.late[key]) for key, n in truth.events.items()}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_in_time_is_lost_and_every_reader_says_the_same(seed: int):
    log = make_log(seed, traits_of(seed))
    truth = Truth.of(log, judge=False)
    first = None
    for i, manner in enumerate(manners(seed, live=True)):
        one = run(log, 100 * seed + i, manner)
        assert_true(one, truth)
        assert_nothing_is_left(one)
        first = first or one.said()
        for name, value in one.said().items():
            assert value == first[name], f"{name} in run {i}, {manner}"


@pytest.mark.parametrize("seed", range(max(SEEDS // 3, 1)))
def test_of_an_old_log_every_reader_calls_the_same_events_late(seed: int):
    """Blocks are the same for every reader then, and so is everything that follows, to the last late event."""
    log = make_log(seed, replace(traits_of(seed), late=True))
    truth = Truth.of(log, judge=True)
    first = None
    for i, manner in enumerate(manners(seed, live=False)):
        one = run(log, 100 * seed + i, manner)
        assert_true(one, truth)
        first = first or one.said()
        for name, value in one.said().items():
            assert value == first[name], f"{name} in run {i}, {manner}"


@pytest.mark.parametrize("seed", range(max(SEEDS // 3, 1)))
def test_every_event_counts_once_as_merged_or_as_late(seed: int):
    """Read while it is written, a log with late events has them late by how it was read; none is lost or doubled."""
    log = make_log(seed, replace(traits_of(seed), late=True))
    everything = Truth.of(log, judge=False)
    for i, manner in enumerate(manners(seed, live=True)):
        if not manner.live:
            continue
        one = run(log, 100 * seed + i, manner)
        merged = dict.fromkeys(everything.events, 0)
        for (model, version, kind, *_), (body, _) in one.durable.panes.items():
            merged[model, version, kind] += Pane.unpack(body).events
        for key, (events, late) in one.counts().items():
            assert events == everything.events[key]
            if key[0] in log.given:
                assert merged[key] + late == events


def assert_nothing_is_left(one: Run) -> None:
    """After the last pane closed: no state of closed panes, in memory or in the store."""
    engine, rows = one.reader.engine, one.durable.rows
    assert not [key for key in rows if key.split("\x1f")[2:3] in (["sure"], ["apart"])]
    for monitor in engine.monitors.values():
        assert not any(monitor.open.values())
        assert not monitor.dirty
        assert monitor.learning_bytes == 0
        for progress in monitor.progress.values():
            assert all(len(marks.steps) <= 2 for marks in progress.marks.values())
        for series in monitor.series.values():
            window = monitor.model.window
            assert len(series.windows.rows()) <= series.windows.levels * (window.length // window.every + 1)
    blocks = sum(len(s.windows.rows()) for m in engine.monitors.values() for s in m.series.values())
    assert len([key for key in rows if key.split("\x1f")[2:3] == ["block"]]) == blocks
    if max(engine.clock.arrivals.values()) == NEVER:
        assert not any(engine.clock._wakes.values())
    quiet = engine.changes()
    assert set(quiet) == {"clock", "counts", "dropped_models", "ignored"}
    again = Engine(one.reader.log.spec, one.reader.log.given)
    again.restore(one.durable.read())
    assert again.view() == engine.view()


def test_the_deadline_is_exact():
    """Late is who comes at the instant itself; here it is known only after both had come."""
    _, _, engine = engine_of(replace(PLAIN, window=replace(WINDOW, max_wait=MINUTE)))
    engine.apply(Discovered({Q: ("prediction",)}))
    deadline = 601 * MINUTE
    engine.apply(Tick({Q: deadline - 1}))
    early, late = [300 * MINUTE] * 3, [300 * MINUTE + 1] * 5
    give(engine, block(Q, 0, deadline, early))
    give(engine, block(Q, 64, deadline, late))
    assert engine.view().models[0].open_panes == 1
    # The other partition is read at last: there the watermark had reached the pane's end a minute earlier.
    out = give(engine, block(P, 0, 600 * MINUTE, [302 * MINUTE]))
    assert [(pane.end, pane.pane.events) for pane in out.panes] == [(301 * MINUTE, len(early))]
    assert sum(series.late for series in engine.view().models[0].series) == len(late)


def test_the_simulation_has_in_it_what_it_is_for():
    """Else the tests above prove little: alerts that fire and resolve, requests, kills, ticks, learned references."""
    logs = [make_log(seed, traits_of(seed)) for seed in range(4)]
    runs = [run(log, 1, Manner(live=True, poll=7, kill=0.02)) for log in logs]
    types = {action.type for one in runs for action in one.durable.actions}
    assert types == {"driftd.alert.firing", "driftd.alert.resolved", "driftd.retrain.requested"}
    models = {name for log in logs for rs in log.records.values() for name in {r.model for r in rs}}
    assert models == {name for log in logs for name in log.spec.models}
    assert {key[0] for one in runs for key in one.durable.references} == {"learned"}
    assert {key[1] for one in runs for key in one.durable.panes} == {"1", "2"}
    assert {key[2] for one in runs for key in one.durable.panes} == {"prediction", "features", "label"}
    assert all(one.reader.kills > 2 and one.reader.ticks > 100 and one.reader.blocks > 50 for one in runs)
    assert any(p.refused for one in runs for p in one.reader.engine.view().partitions)
    assert any(m.backfill for one in runs for m in one.reader.engine.view().models)
    assert max(len(log.kinds) for log in logs) > 4
    assert {log.spec.models["dense"].window.every for log in logs} == {MINUTE, 5 * MINUTE}
    # A log may have few late events, or none; together those of the tests above have many, of several models.
    late = [Truth.of(make_log(seed, replace(traits_of(seed), late=True)), judge=True).late for seed in range(4)]
    assert sum(sum(one.values()) for one in late) > 200
    assert len({key[0] for one in late for key in one}) >= 3
