"""The Clock and the Monitors behind one `apply(stimulus)`: run, replay and the demo share it.

What goes in is a closed set of stimuli, what comes out an Outcome. `changes()` gives what the store must write, row by
row, since it was last asked; `restore()` puts the same rows back, and nothing that follows can tell the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

from driftd.core.baseline import GivenReference
from driftd.core.clock import NEVER, Clock
from driftd.core.event import KINDS, Discovered, Kind, PartitionId, Tick
from driftd.core.monitor import Monitor
from driftd.core.outcome import Outcome
from driftd.core.profile import Part, Plan, Profile
from driftd.core.record import SEPARATOR, changes_of, restore_monitor
from driftd.core.spec import SignalType, Spec
from driftd.core.summary import Silent, arrivals_of, silent_of, view_of, waiting_for
from driftd.core.view import ModelView, PartitionView, View

Stimulus = Profile | Tick | Discovered

IGNORED_NAMES: Final = 1_000


@dataclass(slots=True)
class Counts:
    """What one partition has brought so far."""

    next_offset: int = 0
    records: int = 0
    unknown_keys: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class Engine:
    """`given`: references from files, by the key of the model's settings (see `Spec.key_of`), then by version, "" for the
    model's own.
    """

    def __init__(self, spec: Spec, given: Mapping[str, Mapping[str, GivenReference]] | None = None) -> None:
        self.spec = spec
        self.given = given or {}
        self.clock = Clock()
        self.monitors: dict[str, Monitor] = {}
        self.plans: dict[str, Plan] = {}
        self.counts: dict[PartitionId, Counts] = {}
        self.dropped_models = 0
        self.ignored_events = 0
        self.ignored: dict[str, int] = {}
        """Events of models that are unknown to the settings, which leave such out; the first so many names."""
        self._settings = spec.named()
        self._views: dict[str, ModelView] = {}
        self._silent: dict[str, Silent] = {}
        self._changed: set[str] = set()
        self._restored: set[tuple[str, Kind]] = set()
        self._new: set[str] = set()
        self._unseen = {key: self._made(key, key).plan() for key in spec.named() if key not in spec.models}
        # A model with a reference is known before its first event, so that its first block is counted on its grid.
        for model in sorted({*spec.models, *(name for name in self.given if name not in self._unseen)}):
            self._monitor(model, named=True)

    def plan_of(self, model: str) -> Plan:
        """What the map must know of a model now, be it seen or not."""
        return self.plans.get(model) or self._unseen.get(self.spec.key_of(model)) or self._unseen[""]

    def apply(self, stimulus: Stimulus) -> Outcome:
        """Take one stimulus in; what follows from it, in order."""
        out = Outcome()
        # Nobody waits for a clock that was not asked: after a restart every open pane asks again.
        touched, self._restored = self._restored, set()
        if isinstance(stimulus, Discovered):
            self.clock.discover(stimulus.partitions)
            for partition in stimulus.partitions:
                self.counts.setdefault(partition, Counts())
        elif isinstance(stimulus, Tick):
            moved = []
            for partition, arrival in sorted(stimulus.arrivals.items()):
                if partition in self.clock.arrivals:
                    self.clock.advance(partition, arrival)
                    moved.append(partition)
            touched |= self.clock.due(moved)
        else:
            touched |= self._add(stimulus)
        self._close(touched, out)
        return out

    def _add(self, profile: Profile) -> set[tuple[str, Kind]]:
        """Count what a profile brings. Whose panes may be free now."""
        partition = profile.partition
        counts = self.counts[partition]
        counts.next_offset = profile.next
        counts.records += profile.records
        counts.unknown_keys += profile.unknown_keys
        for refusal in profile.refused:
            counts.refused[refusal.reason] = counts.refused.get(refusal.reason, 0) + 1
        before = self.clock.arrivals[partition]
        self.clock.read(partition, profile.records, profile.earliest)
        by_key: dict[tuple[str, Kind], list[Part]] = {}
        for part in profile.parts:
            by_key.setdefault((part.model, part.kind), []).append(part)
        touched = self.clock.due([partition])
        memory = self._memory()
        for seen in profile.seen:
            monitor = self._monitor(seen.model)
            if monitor is None:
                self._leave_out(seen.model, seen.events)
                continue
            monitor.add(
                self.clock, profile, seen, by_key[seen.model, seen.kind], before, memory + monitor.learning_bytes
            )
            touched.add((seen.model, seen.kind))
        for model, events in profile.backfill.items():
            monitor = self._monitor(model)
            if monitor is None:
                self._leave_out(model, events)
                continue
            monitor.backfill += events
            monitor.dirty.add(("core",))
            self._touch(model)
        return touched

    def _memory(self) -> int:
        return self.spec.limits.learning_memory - sum(m.learning_bytes for m in self._learning())

    def _learning(self) -> Iterable[Monitor]:
        return (monitor for monitor in self.monitors.values() if monitor.learning_bytes)

    def _close(self, touched: Iterable[tuple[str, Kind]], out: Outcome) -> None:
        for model, kind in sorted(touched):
            monitor = self.monitors.get(model)
            if monitor is None:
                continue
            grids, references = len(out.grids), len(out.references)
            monitor.close(self.clock, kind, out)
            if len(out.grids) > grids or len(out.references) > references:
                self.plans[model] = monitor.plan()
                self._new.add(model)
            self._touch(model)

    def _touch(self, model: str) -> None:
        self._changed.add(model)
        self._views.pop(model, None)

    def _monitor(self, name: str, *, named: bool = False) -> Monitor | None:
        """The monitor of a model; None where it is left out. `named`: somebody has chosen to watch it."""
        monitor = self.monitors.get(name)
        if monitor is None:
            key = name if name in self.given else self.spec.key_of(name)
            unknown = key == "" and self.spec.ignore_unknown and not named
            if unknown or len(self.monitors) >= self.spec.limits.models:
                return None
            monitor = self.monitors[name] = self._made(name, key)
            self.plans[name] = monitor.plan()
            self._new.add(name)
        return monitor

    def _made(self, name: str, key: str) -> Monitor:
        model = self._settings.get(key, self.spec.default)
        return Monitor(self.spec.group, replace(model, name=name), self.spec.limits, self.given.get(key, {}))

    def _leave_out(self, model: str, events: int) -> None:
        if not self.spec.ignore_unknown or self.spec.key_of(model):
            self.dropped_models += events
            return
        self.ignored_events += events
        if model in self.ignored or len(self.ignored) < IGNORED_NAMES:
            self.ignored[model] = self.ignored.get(model, 0) + events

    # -- what the decoder is told ------------------------------------------------------------------------------------

    def grids(self) -> set[tuple[str, Kind]]:
        """Every (model, kind) that has a grid."""
        return {(name, kind) for name, monitor in self.monitors.items() for kind in monitor.baselines.grids}

    def new_types(self) -> list[tuple[str, Kind, dict[str, SignalType]]]:
        """Each (model, kind) that has a grid and was not given before, with the types of its signals."""
        known = [(name, kind) for name in sorted(self._new) for kind in self.monitors[name].baselines.grids]
        self._new.clear()
        return [(name, kind, self.monitors[name].baselines.types(kind)) for name, kind in known]

    # -- edges of the log --------------------------------------------------------------------------------------------

    def positions(self) -> dict[PartitionId, int]:
        """The next offset to read of every partition of which something was read."""
        return {partition: counts.next_offset for partition, counts in self.counts.items() if counts.records}

    def finish(self) -> Outcome:
        """The end of a recorded input: nothing more will come, so everything that waits closes."""
        return self.apply(Tick(dict.fromkeys(self.clock.arrivals, NEVER)))

    # -- what is stored ----------------------------------------------------------------------------------------------

    def changes(self) -> dict[str, object | None]:
        """Rows that changed since the last call: plain data, None for a row that is gone."""
        rows: dict[str, object | None] = {}
        for name in sorted(self._changed):
            for key, value in changes_of(self.monitors[name]).items():
                rows[f"model{SEPARATOR}{name}{SEPARATOR}{key}"] = value
        self._changed.clear()
        rows["clock"] = self.clock.plain()
        rows["counts"] = [
            [p.topic, p.number, c.next_offset, c.records, c.unknown_keys, dict(sorted(c.refused.items()))]
            for p, c in sorted(self.counts.items())
        ]
        rows["dropped_models"] = self.dropped_models
        rows["ignored"] = [self.ignored_events, dict(sorted(self.ignored.items()))]
        return rows

    def restore(self, rows: Mapping[str, object]) -> None:
        """Put rows back. Call once, before anything is applied."""
        if "clock" not in rows:
            return
        clock, counts, dropped = rows["clock"], rows["counts"], rows["dropped_models"]
        assert isinstance(clock, dict)
        assert isinstance(counts, list)
        assert isinstance(dropped, int)
        self.clock = Clock.from_plain(clock)
        for topic, number, next_offset, records, unknown, refused in counts:
            self.counts[PartitionId(topic, number)] = Counts(next_offset, records, unknown, dict(refused))
        self.dropped_models = dropped
        self.ignored_events, self.ignored = cast("tuple[int, dict[str, int]]", rows.get("ignored", (0, {})))
        by_model: dict[str, dict[str, object]] = {}
        for key, value in rows.items():
            if key.startswith(f"model{SEPARATOR}"):
                _, name, rest = key.split(SEPARATOR, 2)
                by_model.setdefault(name, {})[rest] = value
        for name in sorted(by_model):
            monitor = self._monitor(name, named=True)  # it was watched, and is watched on
            if monitor is not None:
                restore_monitor(monitor, by_model[name])
                self.plans[name] = monitor.plan()
                self._restored |= {(name, kind) for kind in KINDS if monitor.open[kind] or kind in monitor.ended}

    # -- what is seen ------------------------------------------------------------------------------------------------

    def view(self) -> View:
        """Everything that is known now, immutable; models that did not change keep their object."""
        for name, monitor in self.monitors.items():
            view, arrivals = self._views.get(name), arrivals_of(monitor, self.clock)
            silent = silent_of(monitor, self.clock, arrivals)
            if view is None or silent != self._silent.get(name) or arrivals != view.arrivals:
                self._views[name] = view_of(monitor, self.clock, silent, arrivals)
                self._silent[name] = silent
            elif (waiting := waiting_for(monitor, self.clock)) != view.waiting_for:
                self._views[name] = replace(view, waiting_for=waiting)
        partitions = tuple(
            PartitionView(
                partition,
                counts.next_offset,
                arrival if -NEVER < (arrival := self.clock.arrivals[partition]) < NEVER else None,
                counts.records,
                dict(counts.refused),
                counts.unknown_keys,
            )
            for partition, counts in sorted(self.counts.items())
        )
        return View(
            tuple(self._views[name] for name in sorted(self._views)),
            partitions,
            self.dropped_models,
            self.ignored_events,
            dict(self.ignored),
        )
