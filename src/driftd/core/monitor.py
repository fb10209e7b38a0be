"""One model, its versions inside: add, close, judge.

All that a model remembers lives here. What is added is merged exactly, in any order; what closes, closes in event order;
so neither the order of partitions, nor polls, nor restarts change what is said. Each kind of event closes at its own
pace: what is remembered of one kind is never asked about another, or the pace would be heard in what is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from driftd.core.action import Action
from driftd.core.clock import NEVER, Clock, Progress
from driftd.core.event import KINDS, Columns, Kind, Part, PartitionId, Profile, Seen
from driftd.core.finding import Finding
from driftd.core.grid import Grid
from driftd.core.learn import GridLearner, ReferenceLearner
from driftd.core.notify import notification, retrain_request
from driftd.core.openpane import Contribution, Cover, OpenPane
from driftd.core.pane import Ints, Pane
from driftd.core.profile import Plan
from driftd.core.reference import PARTS, Reference
from driftd.core.retrain import Retraining
from driftd.core.sample import row_hashes
from driftd.core.series import Series
from driftd.core.spec import Learn, Limits, Model, SignalType

THINNED = 16
"""Over the learning memory one event in so many is kept, chosen by the hash of its offset."""


@dataclass(frozen=True, slots=True, eq=False)
class ClosedPane:
    """A pane that closed: it never changes again. `cover`: the offsets of its events by partition, `[low, high)`."""

    model: str
    version: str
    kind: Kind
    start: int
    end: int
    pane: Pane
    cover: Cover

    def body(self) -> bytes:
        """The pane and what it covers, for the store: a function of the content alone."""
        pane = self.pane.pack()
        return len(pane).to_bytes(4, "little") + pane + json.dumps(self.cover, sort_keys=True).encode()

    @staticmethod
    def read(body: bytes) -> tuple[Pane, Cover]:
        """The reverse of `body`."""
        size = int.from_bytes(body[:4], "little")
        cover = json.loads(body[4 + size :])
        return Pane.unpack(body[4 : 4 + size]), {p: (low, high) for p, (low, high) in cover.items()}


@dataclass(frozen=True, slots=True, eq=False)
class LearnedReference:
    """A reference that is complete; `version` "": the model's own. `parts` int64[P, codes], for the disk."""

    model: str
    version: str
    kind: Kind
    reference: Reference
    end: int
    parts: Ints


@dataclass(slots=True)
class Outcome:
    """What came out of one stimulus, in order."""

    panes: list[ClosedPane] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    grids: list[tuple[str, Kind, Grid]] = field(default_factory=list)
    references: list[LearnedReference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GivenReference:
    """A reference from a file. `version` names the version it was built for, "" if none was."""

    version: str
    reference: Reference


@dataclass(slots=True)
class Totals:
    """Counts of one (version, kind) since its first event."""

    events: int = 0
    late: int = 0


class Monitor:
    """`given`: references from files by version, "" for the model's own."""

    def __init__(self, group: str, model: Model, limits: Limits, given: Mapping[str, GivenReference]) -> None:
        self.group, self.model, self.limits = group, model, limits
        window = model.window
        self.progress = {kind: Progress(window.every, window.allowed_lateness, window.max_wait) for kind in KINDS}
        self.open: dict[Kind, dict[int, OpenPane]] = {kind: {} for kind in KINDS}
        self.closed_until: dict[Kind, int] = {}
        self.grids: dict[Kind, Grid] = {}
        self.births: dict[Kind, int] = {}
        self.samplers: dict[Kind, GridLearner] = {}
        self.references: dict[tuple[str, Kind], tuple[Reference, int]] = {}
        self.learners: dict[tuple[str, Kind], ReferenceLearner] = {}
        self.founders: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
        self.series: dict[tuple[str, Kind], Series] = {}
        self.totals: dict[tuple[str, Kind], Totals] = {}
        self.newest: dict[Kind, dict[str, int]] = {kind: {} for kind in KINDS}
        self.backfill = 0
        self.retired = 0
        self.retraining = {kind: Retraining(model.retrain) for kind in KINDS}
        self.transitions: dict[tuple[str, str, str], int] = {}
        self.learning_bytes = 0
        self.sampled = False
        self.ended: dict[Kind, list[tuple[Series, str]]] = {}
        """What the settings ended while nobody ran, with the reason: told at the next close."""
        self.dirty: set[tuple[object, ...]] = set()
        self.stored_blocks: dict[tuple[str, Kind], set[tuple[int, int]]] = {}
        self.given = dict(given)
        for version, one in given.items():
            self._give(version, one)

    def _give(self, version: str, given: GivenReference) -> None:
        for kind in KINDS:
            names = [n for n in given.reference.grid.names if self.model.source_of(n) == kind]
            chosen = given.reference.select(names)
            self.grids.setdefault(kind, chosen.grid)
            self.references[version, kind] = (chosen, -NEVER)
            if version == "" and given.version:
                self.founders[kind].add(given.version)

    # -- the map's side ----------------------------------------------------------------------------------------------

    @property
    def split(self) -> int:
        """Into how many slices a pane is cut while a reference is learned, so that it has enough parts to replay."""
        learn = self.model.reference if isinstance(self.model.reference, Learn) else Learn()
        wanted = -(-PARTS * self.model.window.every // max(learn.duration, 1))
        return next(d for d in range(min(max(wanted, 1), 16), 0, -1) if self.model.window.every % d == 0)

    def plan(self) -> Plan:
        """What the map must know of this model now."""
        learning = frozenset(
            kind
            for kind in KINDS
            if self.model.on_new_version == "learn"
            or ("", kind) not in self.references
            or any(k == kind for _, k in self.learners)
        )
        return Plan(
            self.model.window.every,
            self.model.window.max_ahead,
            dict(self.grids),
            self.model.watched(),
            self.split,
            learning,
        )

    def types(self, kind: Kind) -> dict[str, SignalType]:
        """The signals of this kind that are counted, with their types, once there is a grid."""
        grid = self.grids[kind]
        return {name: "numeric" if grid.numeric[i] else "categorical" for i, name in enumerate(grid.names)}

    # -- add ---------------------------------------------------------------------------------------------------------

    def add(self, clock: Clock, profile: Profile, seen: Seen, parts: list[Part], before: int, memory: int) -> None:
        """Take in what a block says of one kind of this model. `memory`: bytes that learning may still hold."""
        kind, partition = seen.kind, profile.partition
        progress, partitions = self.progress[kind], clock.kinds[kind]
        every = self.model.window.every
        # Late is judged by the watermark as it stood before the block.
        for part in parts:
            end = (part.start // every + 1) * every
            totals = self._total(part.version, kind)
            totals.events += part.events
            if end <= self.closed_until.get(kind, -NEVER) or progress.reached_at(partition, end) <= before:
                totals.late += part.events
                continue
            kept = self._fit(part, partition, memory - self.learning_bytes)
            below = progress.deadline_at_least(clock, partitions, end)
            touched = self.open[kind].setdefault(end, OpenPane()).add(kept, partition, before, below)
            if isinstance(touched, Contribution):
                self.dirty.add(("apart", kind, end, *touched.key()))
            else:
                self.dirty.add(("sure", kind, end, *touched))
        progress.observe(partition, seen.greatest, before, clock.arrivals[partition], seen.stamped)
        self.dirty.add(("core",))

    def _total(self, version: str, kind: Kind) -> Totals:
        return self.totals.setdefault((version, kind), Totals())

    def _fit(self, part: Part, partition: PartitionId, memory: int) -> Part:
        """Columns take memory; where there is none left, keep a sample of them, the same for every reading."""
        if isinstance(part.body, Pane):
            return part
        events = part.body
        size = self.column_bytes(events)
        if size > memory:
            self.sampled = True
            keep = np.flatnonzero(row_hashes(partition, events.offset) < np.uint64(2**64 // THINNED))
            if not len(keep):
                keep = np.array([0])
            columns = {
                name: column[keep] if isinstance(column, np.ndarray) else [column[i] for i in keep.tolist()]
                for name, column in events.columns.items()
            }
            events = Columns(events.model, events.version, events.kind, events.time[keep], events.offset[keep], columns)
            size = self.column_bytes(events)
        self.learning_bytes += size
        return Part(part.model, part.version, part.kind, part.start, part.events, part.low, part.high, events)

    @staticmethod
    def column_bytes(events: Columns) -> int:
        """About what columns take in memory: 24 bytes a value."""
        return 24 * len(events) * (len(events.columns) + 2)

    # -- close -------------------------------------------------------------------------------------------------------

    def close(self, clock: Clock, kind: Kind, out: Outcome) -> None:
        """Close every pane of this kind that no partition can add to, in event order."""
        for series, reason in self.ended.pop(kind, []):
            for finding in series.retire(self.closed_until.get(kind, 0), reason):
                self._tell_one(series, finding, out)
            self.dirty.add(("core",))
        progress, panes, partitions = self.progress[kind], self.open[kind], clock.kinds[kind]
        while panes:
            end = min(panes)
            waiting = progress.waiting_for(clock, partitions, end)
            if waiting:
                partition, due = min(waiting, key=lambda pair: pair[1])
                if due < NEVER:
                    clock.wake_at(partition, due, self.model.name, kind)
                return
            passed = progress.passed_at(clock, partitions, end)
            self._close(kind, end, panes.pop(end), passed + self.model.window.max_wait, out)
            progress.forget(end)

    def end(self, series: Series, reason: str) -> None:
        """What fires in this series is over, for a reason that no window tells."""
        if series.firing():
            self.ended.setdefault(series.kind, []).append((series, reason))

    def _close(self, kind: Kind, end: int, pane: OpenPane, deadline: int, out: Outcome) -> None:
        every = self.model.window.every
        step = every // self.split if kind in self.plan().learning else every
        grid = self.grids.get(kind)
        merged, covers, columns, late = pane.merged(grid, deadline, self.model.watched(), step)
        for key in pane.sure:
            self.dirty.add(("sure", kind, end, *key))
        for apart in pane.apart.values():
            self.dirty.add(("apart", kind, end, *apart.key()))
            if isinstance(apart.body, Columns):
                self.learning_bytes -= self.column_bytes(apart.body)
        for version, events in late.items():
            self._total(version, kind).late += events
        self.closed_until[kind] = end
        self.dirty.add(("core",))
        for version in sorted({*merged, *(c.version for c in columns)}):
            self.newest[kind][version] = end
        if grid is None:
            self._sample(kind, end, columns, out)
        else:
            self._count(kind, end, grid, merged, covers, out)
        self._bound_versions(kind, end, out)

    def _sample(self, kind: Kind, end: int, columns: list[Contribution], out: Outcome) -> None:
        sampler = self.samplers.setdefault(kind, GridLearner(self.limits.signals))
        for contribution in columns:
            self.founders[kind].add(contribution.version)
            assert isinstance(contribution.body, Columns)
            sampler.feed(contribution.partition, self._watched_columns(contribution.body))
        self.dirty.add(("sampler", kind))
        learn = self.model.reference if isinstance(self.model.reference, Learn) else Learn()
        if sampler.events < learn.min_samples:
            return
        types = {name: said.type for name, said in self.model.signals.items() if said.type is not None}
        grid = self.grids[kind] = sampler.grid(types, self.limits.categories)
        self.births[kind] = end
        del self.samplers[kind]
        self.dirty.add(("grid", kind))
        out.grids.append((self.model.name, kind, grid))

    def _watched_columns(self, events: Columns) -> Columns:
        """Only the signals whose declared source is this kind: no signal is counted twice."""
        columns = {n: c for n, c in events.columns.items() if self.model.source_of(n) == events.kind}
        return Columns(events.model, events.version, events.kind, events.time, events.offset, columns)

    def _count(
        self,
        kind: Kind,
        end: int,
        grid: Grid,
        merged: Mapping[str, list[tuple[int, Pane]]],
        covers: Mapping[str, Cover],
        out: Outcome,
    ) -> None:
        every = self.model.window.every
        learned: dict[str, dict[int, Pane]] = {}
        for version, pieces in merged.items():
            total = Pane.empty(grid)
            for _, piece in pieces:
                total.add(piece)
            out.panes.append(ClosedPane(self.model.name, version, kind, end - every, end, total, covers[version]))
            series = self._series(version, kind, grid)
            source = self.source_of(version, kind)
            if source == "" and (("", kind) not in self.references or not self.founders[kind]):
                # It takes part in what the model learns, or it is the first seen of a file that names no version.
                self.founders[kind].add(version)
            self.dirty.add(("series", version, kind))
            if source is None:
                continue
            found = self.references.get((source, kind))
            if found is None:
                slots = learned.setdefault(source, {})
                for start, piece in pieces:
                    if start in slots:
                        slots[start].add(piece)
                    else:
                        slots[start] = piece
                continue
            series.reference = found[0]
            self._tell(series, end, total, out)
        for source, slots in sorted(learned.items()):
            self._learn(source, kind, end, grid, slots, out)

    def source_of(self, version: str, kind: Kind) -> str | None:
        """Whose reference a version is judged against: its own, "" for the model's; None while it is held."""
        if (version, kind) in self.references or (version, kind) in self.learners:
            return version
        policy, founders = self.model.on_new_version, self.founders[kind]
        if ("", kind) not in self.references or policy == "inherit" or version in founders or not founders:
            return ""
        return version if policy == "learn" else None

    def _learn(self, source: str, kind: Kind, end: int, grid: Grid, slots: Mapping[int, Pane], out: Outcome) -> None:
        learn = self.model.reference if isinstance(self.model.reference, Learn) else Learn()
        learner = self.learners.get((source, kind))
        if learner is None:
            start = (
                self.births.get(kind, end - self.model.window.every) if source == "" else end - self.model.window.every
            )
            learner = self.learners[source, kind] = ReferenceLearner(grid, start)
        learner.add(slots[start] for start in sorted(slots))
        self.dirty.add(("learner", source, kind))
        if end < learner.start + learn.duration or learner.events < learn.min_samples:
            return
        reference, parts = learner.reference()
        del self.learners[source, kind]
        self.references[source, kind] = (reference, end)
        self.dirty.add(("reference", source, kind))
        out.references.append(LearnedReference(self.model.name, source, kind, reference, end, parts))

    def _series(self, version: str, kind: Kind, grid: Grid) -> Series:
        series = self.series.get((version, kind))
        if series is None:
            series = self.series[version, kind] = Series(self.group, self.model, version, kind, grid)
        return series

    def _bound_versions(self, kind: Kind, end: int, out: Outcome) -> None:
        """Memory is bounded in versions: the one that has been silent longest in event time is retired."""
        newest = self.newest[kind]
        while len(newest) > self.limits.versions:
            version = min(newest, key=lambda v: (newest[v], v))
            del newest[version]
            self.retired += 1
            series = self.series.pop((version, kind), None)
            if series is not None:
                for finding in series.retire(end, "retired"):
                    self._tell_one(series, finding, out)
            self.totals.pop((version, kind), None)
            self.learners.pop((version, kind), None)
            if version not in self.given:
                self.references.pop((version, kind), None)
            self.dirty |= {("series", version, kind), ("reference", version, kind), ("learner", version, kind)}

    # -- tell --------------------------------------------------------------------------------------------------------

    def _tell(self, series: Series, end: int, pane: Pane, out: Outcome) -> None:
        for finding in series.close(end, pane):
            self._tell_one(series, finding, out)
        retraining = self.retraining[series.kind]
        asking = [a for a in series.firing() if retraining.may_ask(a[0], a[1])]
        if asking and retraining.ask([alert_id for _, _, alert_id, _ in asking], end):
            action = retrain_request(self.group, self.model, series, end, asking)
            retraining.newest_id = action.id
            self._act(action, out)

    def _tell_one(self, series: Series, finding: Finding, out: Outcome) -> None:
        self._act(notification(self.group, self.model, series.version, series.kind, finding), out)
        if finding.type == "resolved":
            for subject in finding.subjects:
                self.retraining[series.kind].forget(subject.alert_id)

    def _act(self, action: Action, out: Outcome) -> None:
        out.actions.append(action)
        key = (action.rule, action.type, action.severity)
        self.transitions[key] = self.transitions.get(key, 0) + 1
