"""What the time contract says of a simulated log, worked out the plain way: from the definitions, without any state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from driftd.core.clock import NEVER
from driftd.core.event import KINDS, Kind, PartitionId
from driftd.core.pane import Counted, Pane
from driftd.core.spec import Model
from tests.core.simulate import Key, Log, columns_of, cut


@dataclass(slots=True)
class Read:
    """A block as the contract sees it: its records, and the partition's arrival time before and after it."""

    first: int
    end: int
    before: int
    after: int
    latest: int


@dataclass(slots=True)
class Truth:
    """What the definitions say of a log that is read after all of it was written.

    Then the blocks are the same for every reader, and so is everything else, the late events among it. Of a log whose
    events are all in time, the same panes hold for every reader at any time; `late` is empty then.
    """

    log: Log
    panes: dict[Key, tuple[bytes, object]] = field(default_factory=dict)
    """Of models with a given reference."""
    late: Counter[tuple[str, str, Kind]] = field(default_factory=Counter)
    events: Counter[tuple[str, str, Kind]] = field(default_factory=Counter)

    @classmethod
    def of(cls, log: Log, *, judge: bool) -> Truth:
        """`judge` False: take every event as in time."""
        truth = cls(log)
        kept: dict[tuple[str, str, Kind], list[tuple[PartitionId, int]]] = {}
        for model in log.spec.models.values():
            for kind in KINDS:
                for partition, offset, late in _Judge(log, model, kind).events(judge=judge):
                    key = (model.name, log.records[partition][offset].version, kind)
                    truth.events[key] += 1
                    if late:
                        truth.late[key] += 1
                    else:
                        kept.setdefault(key, []).append((partition, offset))
        for key, found in kept.items():
            if key[0] in log.given:
                truth._count(key, found)
        return truth

    def _count(self, key: tuple[str, str, Kind], found: Sequence[tuple[PartitionId, int]]) -> None:
        model = self.log.spec.models[key[0]]
        every = model.window.every
        reference = self.log.given[key[0]][""].reference
        names = [n for n in reference.grid.names if model.source_of(n) == key[2]]
        grid = reference.grid.select(names)
        by_end: dict[int, dict[PartitionId, list[int]]] = {}
        for partition, offset in found:
            end = (self.log.records[partition][offset].time // every + 1) * every
            by_end.setdefault(end, {}).setdefault(partition, []).append(offset)
        for end, offsets in by_end.items():
            pane = Pane.empty(grid)
            for partition, rows in offsets.items():
                columns = columns_of(self.log.records[partition], key, sorted(rows))
                pane.add(Counted(grid, columns, model.watched()).pane(slice(None)))
            cover = {str(p): (min(rows), max(rows) + 1) for p, rows in offsets.items()}
            self.panes[*key, end - every, end] = (pane.pack(), cover)


class _Judge:
    """Late or not, for the events of one (model, kind): the definitions of `driftd.core.clock`, without any state."""

    def __init__(self, log: Log, model: Model, kind: Kind) -> None:
        self.log, self.model, self.kind, self.window = log, model, kind, model.window
        self.partitions = [p for p, kinds in log.kinds.items() if kind in kinds]
        self.reads = {p: _reads(log, p) for p in self.partitions}
        self.mine = {
            p: [(read, found) for read in reads if (found := self._found(p, read))] for p, reads in self.reads.items()
        }

    def _found(self, partition: PartitionId, read: Read) -> list[tuple[int, int]]:
        """(offset, event time) of ours in a block."""
        records = self.log.records[partition]
        return [
            (i, records[i].time)
            for i in range(read.first, read.end)
            if (records[i].model, records[i].kind, records[i].backfill) == (self.model.name, self.kind, False)
            and records[i].time <= read.latest + self.window.max_ahead
        ]

    def events(self, *, judge: bool) -> Iterator[tuple[PartitionId, int, bool]]:
        for partition, mine in self.mine.items():
            for i, (read, found) in enumerate(mine):
                for offset, time in found:
                    yield partition, offset, judge and self._late(partition, i, read.before, self._end(time))

    def _end(self, time: int) -> int:
        return (time // self.window.every + 1) * self.window.every

    def _late(self, partition: PartitionId, i: int, before: int, end: int) -> bool:
        own = self._reached(partition, end, i, before)
        passed = min(self._reached(p, end, len(self.mine[p]), NEVER) for p in self.partitions)
        return before >= min(own, passed + self.window.max_wait)

    def _reached(self, partition: PartitionId, end: int, upto: int, now: int) -> int:
        """The arrival time at which W reached `end`, as our first `upto` blocks say when arrival time is `now`."""
        out, greatest = NEVER, -NEVER
        mine = self.mine[partition][:upto]
        for i, (read, found) in enumerate(mine):
            greatest = max(greatest, *(time for _, time in found))
            if greatest - self.window.allowed_lateness >= end:
                out = min(out, read.after)
            silent = max(read.after, read.latest) + self.window.max_wait
            following = mine[i + 1][0].before if i + 1 < len(mine) else now
            if following >= silent and end <= self._end(greatest):
                out = min(out, silent)
        return max(out, end + self.window.allowed_lateness)


def _reads(log: Log, partition: PartitionId) -> list[Read]:
    """The blocks of a partition that is read after all of it was written."""
    records, out, first, arrival = log.records[partition], [], 0, -NEVER
    while first < len(records):
        end = cut(records, first, len(records), log.most) or len(records)
        stamps = [r.stamp for r in records[first:end]]
        after = max(arrival, min(stamps)) if end - first >= 64 else arrival
        out.append(Read(first, end, arrival, after, max(stamps)))
        first, arrival = end, after
    return out
