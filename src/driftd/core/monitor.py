"""One model, its versions inside: add, close, judge.

All that a model remembers lives here. What is added is merged exactly, in any order; what closes, closes in event order;
so neither the order of partitions, nor polls, nor restarts change what is said. Each kind of event closes at its own
pace: what is remembered of one kind is never asked about another, or the pace would be heard in what is said.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from driftd.core.baseline import Baselines, GivenReference
from driftd.core.clock import NEVER, Clock, Progress
from driftd.core.event import KINDS, Columns, Kind, PartitionId
from driftd.core.finding import Finding
from driftd.core.grid import Grid
from driftd.core.openpane import Contribution, Cover, OpenPane, column_bytes, thinned
from driftd.core.outcome import ClosedPane, Outcome
from driftd.core.pane import Pane
from driftd.core.profile import Part, Plan, Profile, Seen
from driftd.core.schema import Schema
from driftd.core.series import Series
from driftd.core.spec import Limits, Model
from driftd.core.telling import Telling
from driftd.core.versions import Versions


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
        self.series: dict[tuple[str, Kind], Series] = {}
        self.totals: dict[tuple[str, Kind], Totals] = {}
        self.versions = Versions(model.versions, limits.versions)
        self.backfill = 0
        self.retired = 0
        self.telling = Telling(group, model, self.versions)
        self.learning_bytes = 0
        self.sampled = False
        self.schemas = {kind: Schema(group, model, kind) for kind in KINDS}
        self.ended: dict[Kind, list[Callable[[int], list[tuple[str, Finding]]]]] = {}
        """What the settings ended while nobody ran, given when: told at the next close."""
        self.dirty: set[tuple[object, ...]] = set()
        self.stored_blocks: dict[tuple[str, Kind], set[tuple[int, int]]] = {}
        self.baselines = Baselines(model, limits, given, self.dirty)
        self.compares = bool(model.rules_against("champion"))

    # -- the map's side ----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What the map must know of this model now."""
        return Plan(
            self.model.window.every,
            self.model.window.max_ahead,
            dict(self.baselines.grids),
            self.model.watched(),
            self.baselines.slices,
            self.baselines.learning(),
        )

    # -- add ---------------------------------------------------------------------------------------------------------

    def add(self, clock: Clock, profile: Profile, seen: Seen, parts: list[Part], before: int, memory: int) -> None:
        """Take in what a block says of one kind of this model. `memory`: bytes that learning may still hold."""
        kind, partition = seen.kind, profile.partition
        progress, partitions = self.progress[kind], clock.kinds[kind]
        every = self.model.window.every
        # Late is judged by the watermark as it stood before the block.
        for part in parts:
            end = (part.start // every + 1) * every
            late = end <= self.closed_until.get(kind, -NEVER) or progress.reached_at(partition, end) <= before
            if late and self._one_too_many(part.version, kind):
                self.retired += 1
                continue
            totals = self._total(part.version, kind)
            totals.events += part.events
            if late:
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

    def _one_too_many(self, version: str, kind: Kind) -> bool:
        """Whether this version is not known, and as many as may be are already. One that only ever had late events is in
        no pane: nothing else would bound those.
        """
        return (version, kind) not in self.totals and self._known(kind) >= 2 * self.limits.versions

    def _known(self, kind: Kind) -> int:
        return sum(known == kind for _, known in self.totals)

    def _fit(self, part: Part, partition: PartitionId, memory: int) -> Part:
        """Columns take memory; where there is none left, keep a sample of them."""
        if isinstance(part.body, Pane):
            return part
        size = column_bytes(part.body)
        if size > memory:
            self.sampled = True
            part = thinned(part, part.body, partition)
            size = column_bytes(part.body)
        self.learning_bytes += size
        return part

    # -- close -------------------------------------------------------------------------------------------------------

    def close(self, clock: Clock, kind: Kind, out: Outcome) -> None:
        """Close every pane of this kind that no partition can add to, in event order."""
        for findings in self.ended.pop(kind, []):
            for version, finding in findings(self.closed_until.get(kind, 0)):
                self.telling.tell(version, kind, finding, out)
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
            self.ended.setdefault(series.kind, []).append(
                lambda at: [(series.version, finding) for finding in series.retire(at, reason)]
            )

    def end_schema(self, schema: Schema, reason: str) -> None:
        """The same of what was told of columns."""
        if schema.problems:
            self.ended.setdefault(schema.kind, []).append(lambda at: schema.retire(at, reason))

    def _close(self, kind: Kind, end: int, pane: OpenPane, deadline: int, out: Outcome) -> None:
        every = self.model.window.every
        step = every // self.baselines.slices if kind in self.baselines.learning() else every
        grid = self.baselines.grids.get(kind)
        merged, covers, columns, late = pane.merged(grid, deadline, self.model.watched(), step, self.baselines.own)
        for key in pane.sure:
            self.dirty.add(("sure", kind, end, *key))
        for apart in pane.apart.values():
            self.dirty.add(("apart", kind, end, *apart.key()))
            if isinstance(apart.body, Columns):
                self.learning_bytes -= column_bytes(apart.body)
        for version, events in late.items():
            self._total(version, kind).late += events
        began = kind not in self.closed_until
        self.closed_until[kind] = end
        self.dirty.add(("core",))
        self.versions.closed(kind, end, {*merged, *(c.version for c in columns)}, began=began)
        if grid is None:
            sampled = ((c.partition, c.body) for c in columns if isinstance(c.body, Columns))
            grid = self.baselines.sample(kind, end, sampled)
            if grid is not None:
                out.grids.append((self.model.name, kind, grid))
        else:
            self._count(kind, end, grid, merged, covers, out)
        self._end_replaced(kind, end, out)
        self._retire_versions(kind, end, out)

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
        totals: dict[str, Pane] = {}
        for version, pieces in merged.items():
            total = totals[version] = Pane.empty(grid)
            for _, piece in pieces:
                total.add(piece)
            out.panes.append(ClosedPane(self.model.name, version, kind, end - every, end, total, covers[version]))
            self._series(version, kind, grid)
            self.dirty.add(("series", version, kind))
            self.baselines.found(version, kind)
        champion = self._champion(kind, end, totals, out)
        self._columns(kind, end, totals, out)
        # Who is compared with the champion looks at what it has closed by now.
        for version in sorted(totals, key=lambda version: (version != champion, version)):
            series = self.series[version, kind]
            series.judge_by(self.baselines.of(version, kind))
            law = series.reference or (self.baselines.of_model(kind) if self.compares else None)
            if law is not None:
                challenged = self.series.get((champion, kind)) if champion is not None else None
                compared = self.compares and self.versions.challenges(version, champion, kind)
                hidden = self.schemas[kind].hidden(version, end)
                for finding in series.close(end, totals[version], law, challenged if compared else None, hidden):
                    self.telling.tell(version, kind, finding, out)
                self.telling.ask(series, end, out)
            source = self.baselines.source_of(version, kind)
            if source is None or series.reference is not None:
                continue
            slots = learned.setdefault(source, {})
            for start, piece in merged[version]:
                if start in slots:
                    slots[start].add(piece)
                else:
                    slots[start] = piece
        for source, slots in sorted(learned.items()):
            reference = self.baselines.learn(source, kind, end, slots)
            if reference is not None:
                out.references.append(reference)

    def _series(self, version: str, kind: Kind, grid: Grid) -> Series:
        series = self.series.get((version, kind))
        if series is None:
            series = self.series[version, kind] = Series(self.group, self.model, version, kind, grid)
        return series

    def _columns(self, kind: Kind, end: int, totals: Mapping[str, Pane], out: Outcome) -> None:
        """Look at the columns of every version that has something to be compared with."""
        laws = {v: law for v in totals if (law := self.baselines.of(v, kind) or self.baselines.of_model(kind))}
        self._tell_columns(kind, self.schemas[kind].close(end, totals, laws), out)

    def _tell_columns(self, kind: Kind, findings: Iterable[tuple[str, Finding]], out: Outcome) -> None:
        for version, finding in findings:
            self.telling.tell(version, kind, finding, out)
        if self.schemas[kind].changed:
            self.schemas[kind].changed = False
            self.dirty.add(("schema", kind))

    def _champion(self, kind: Kind, end: int, totals: Mapping[str, Pane], out: Outcome) -> str | None:
        """Whom others are compared with from now on; what was said of it beside another is over."""
        if not self.compares:
            return None
        start, events = end - self.model.window.length, {version: pane.events for version, pane in totals.items()}
        for (version, its), series in self.series.items():
            if its == kind:
                events[version] = events.get(version, 0) + series.windows.since(start)
        champion = self.versions.elect(kind, events)
        rules = {rule.name for rule in self.model.rules_against("champion")}
        for version in sorted(totals):
            if not self.versions.challenges(version, champion, kind):
                reason = "promoted" if version == champion else "not compared"
                self._end_alerts(self.series[version, kind], end, reason, out, rules)
        return champion

    def _end_replaced(self, kind: Kind, end: int, out: Outcome) -> None:
        """What fires in a version that nobody has heard of for a window's time, while others are judged, is over."""
        mine = {version: series for (version, its), series in sorted(self.series.items()) if its == kind}
        if not any(
            series.span is not None and series.span.enough and series.span.end == end for series in mine.values()
        ):
            return
        for version, series in mine.items():
            length = series.span.end - series.span.start if series.span is not None else 0
            if self.versions.newest[kind][version] + length > end:
                continue
            if series.firing():
                self._end_alerts(series, end, "replaced", out)
                self.dirty.add(("series", version, kind))
            if self.schemas[kind].knows(version):
                self._tell_columns(kind, self.schemas[kind].forget(version, end, "replaced"), out)

    def _end_alerts(
        self, series: Series, end: int, reason: str, out: Outcome, rules: Container[str] | None = None
    ) -> None:
        """A series goes on without the alerts of these rules, None: without any."""
        findings = series.retire(end, reason, rules)
        for finding in findings:
            self.telling.tell(series.version, series.kind, finding, out)
        if findings:
            series.recall(series.reference or self.baselines.of_model(series.kind))

    def _retire_versions(self, kind: Kind, end: int, out: Outcome) -> None:
        """Memory is bounded in versions, and those that are silent for good are forgotten."""
        for version, one_too_many in self.versions.over(kind, end):
            self.versions.retire(version, kind)
            self.retired += one_too_many
            series = self.series.pop((version, kind), None)
            if series is not None:
                for finding in series.retire(end, "retired"):
                    self.telling.tell(version, kind, finding, out)
            self._tell_columns(kind, self.schemas[kind].forget(version, end, "retired"), out)
            self.totals.pop((version, kind), None)
            self.baselines.retire(version, kind)
            self.dirty.add(("series", version, kind))
        if self._known(kind) > 2 * self.limits.versions:
            self._forget_late(kind)

    def _forget_late(self, kind: Kind) -> None:
        """Versions all of whose events were late: when their panes closed, if not before."""
        parts = [key for pane in self.open[kind].values() for key in (*pane.sure, *pane.apart)]
        waiting = {str(version) for version, *_ in parts}
        for version in [
            v for v, k in self.totals if k == kind and v not in self.versions.newest[kind] and v not in waiting
        ]:
            del self.totals[version, kind]
            self.retired += 1
