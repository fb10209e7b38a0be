"""Time, as far as the log knows it. Nothing here reads a clock.

- The *arrival time* of a partition never falls. A block of at least 64 records moves it to the smallest Kafka timestamp
  in it, a tick to what the tick says; a smaller block does not move it (one fast producer would).
- The *watermark* W of a (model, kind) in a partition is the smaller of two: arrival time less the allowed lateness; and
  the greatest event time there less the allowed lateness or, once the model has been silent there for `max_wait` of
  arrival time, the end of its newest pane. It never falls.
- `passed_at` of a pane's end E is the smallest arrival time, over partitions, at which a W had reached E. A partition
  is *done* with E when its own W has reached it, or its arrival time is at least passed_at + `max_wait`; a pane closes
  when every partition is done with it. What a partition brings after it is done with a pane is late.

So nothing is late that comes while its partition's arrival time is below the pane's end plus the allowed lateness:
whatever other clocks say, whoever falls silent, however the log is read.

W is never stored: a partition keeps the steps from which, for any E, the exact arrival time follows at which its W
reached E. So neither how often a clock was looked at, nor in which order partitions were read, changes an answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from driftd.core.event import KINDS, Kind, PartitionId

NEVER: Final = 1 << 62
"""An arrival time that is not reached."""
LEAST_MOVING: Final = 64
"""Records that a block must have to move arrival time."""
_UNREAD: Final = -NEVER


class Clock:
    """The arrival time of every partition, and whom to wake when one reaches a time."""

    def __init__(self) -> None:
        self.arrivals: dict[PartitionId, int] = {}
        self.kinds: dict[Kind, tuple[PartitionId, ...]] = dict.fromkeys(KINDS, ())
        self.topics: dict[PartitionId, tuple[Kind, ...]] = {}
        self._wakes: dict[PartitionId, list[tuple[int, str, Kind]]] = {}
        self._asked: dict[PartitionId, dict[tuple[str, Kind], int]] = {}
        """The earliest wake that is still to come."""
        self._unread_at: dict[PartitionId, int] = {}

    def discover(self, partitions: Mapping[PartitionId, tuple[Kind, ...]]) -> None:
        """From now on every pane of these kinds waits for these partitions; for one that has no kind, nothing waits."""
        for partition, kinds in partitions.items():
            self.topics[partition] = kinds
            self.arrivals.setdefault(partition, _UNREAD)
            self._wakes.setdefault(partition, [])
            self._asked.setdefault(partition, {})
        for kind in KINDS:
            self.kinds[kind] = tuple(sorted(p for p, kinds in self.topics.items() if kind in kinds))

    def arrival(self, partition: PartitionId) -> int:
        return self.arrivals[partition]

    def read(self, partition: PartitionId, records: int, earliest: int) -> None:
        """A block was read."""
        if records >= LEAST_MOVING:
            self.advance(partition, earliest)

    def advance(self, partition: PartitionId, arrival: int) -> None:
        self.arrivals[partition] = max(self.arrivals[partition], arrival)

    def wake_at(self, partition: PartitionId, arrival: int, model: str, kind: Kind) -> None:
        """Ask for (model, kind) to be looked at once this partition reaches this arrival time.

        An earlier wake that is still to come will do: who is woken too early asks again.
        """
        asked = self._asked[partition].get((model, kind))
        if asked is None or arrival < asked:
            self._asked[partition][model, kind] = arrival
            heapq.heappush(self._wakes[partition], (arrival, model, kind))

    def due(self, partitions: Iterable[PartitionId]) -> set[tuple[str, Kind]]:
        """Who is to be looked at, now that these partitions have moved."""
        out: set[tuple[str, Kind]] = set()
        for partition in partitions:
            heap, asked, arrival = self._wakes[partition], self._asked[partition], self.arrivals[partition]
            while heap and heap[0][0] <= arrival:
                at, model, kind = heapq.heappop(heap)
                # Where an earlier wake was asked for after this one, that one counted.
                if asked.get((model, kind)) == at:
                    del asked[model, kind]
                    out.add((model, kind))
        return out

    def ahead(self, max_skew: int) -> set[PartitionId]:
        """Partitions more than `max_skew` of arrival time ahead of the slowest.

        One that was never read counts as standing where the fastest stood when this was first asked: others may go on
        for `max_skew` without it and no further, or what waits for it would grow without bound.
        """
        arrivals = {p: arrival for p, arrival in self.arrivals.items() if self.topics[p]}
        fastest = max(arrivals.values(), default=_UNREAD)
        if fastest == _UNREAD:
            return set()
        unread = {p: self._unread_at.get(p, fastest) for p, arrival in arrivals.items() if arrival == _UNREAD}
        self._unread_at = unread
        slowest = min(unread.get(p, arrival) for p, arrival in arrivals.items())
        return {p for p, arrival in arrivals.items() if arrival > slowest + max_skew}

    def plain(self) -> dict[str, object]:
        return {
            "partitions": [[p.topic, p.number, self.arrivals[p], list(self.topics[p])] for p in sorted(self.topics)]
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, object]) -> Clock:
        clock = cls()
        rows = plain["partitions"]
        assert isinstance(rows, list)
        clock.discover({PartitionId(topic, number): tuple(kinds) for topic, number, _, kinds in rows})
        for topic, number, arrival, _ in rows:
            clock.arrivals[PartitionId(topic, number)] = arrival
        return clock


@dataclass(slots=True)
class Marks:
    """What one partition has said of one (model, kind).

    `steps`: (reach, at), both rising: an end E up to `reach` is reached once arrival time is at least `at` and at least
    E + lateness.
    """

    greatest: int
    seen_at: int
    steps: list[tuple[int, int]] = field(default_factory=list)

    def plain(self) -> list[object]:
        return [self.greatest, self.seen_at, [list(step) for step in self.steps]]


class Progress:
    """The watermarks of one (model, kind) over all partitions. Durations in ms."""

    def __init__(self, every: int, lateness: int, max_wait: int) -> None:
        self.every = every
        self.lateness = lateness
        self.max_wait = max_wait
        self.marks: dict[PartitionId, Marks] = {}

    def observe(self, partition: PartitionId, greatest: int, before: int, after: int, latest: int) -> None:
        """A block had events up to `greatest`; it moved the partition's arrival time from `before` to `after`.

        `latest`: the Kafka timestamp of their newest. Silence is counted from there: arrival time may be far behind it.
        """
        seen_at = max(after, latest)
        marks = self.marks.get(partition)
        if marks is None:
            marks = self.marks[partition] = Marks(greatest, seen_at)
            self._step(marks, greatest - self.lateness, after)
            return
        if before >= marks.seen_at + self.max_wait:
            self._step(marks, self._newest_end(marks), marks.seen_at + self.max_wait)
        if greatest > marks.greatest:
            marks.greatest = greatest
            self._step(marks, greatest - self.lateness, after)
        marks.seen_at = seen_at

    def _step(self, marks: Marks, reach: int, at: int) -> None:
        """Keep a step only where it reaches a further pane's end than those before."""
        if not marks.steps or reach // self.every > marks.steps[-1][0] // self.every:
            marks.steps.append((reach, at))

    def _newest_end(self, marks: Marks) -> int:
        return (marks.greatest // self.every + 1) * self.every

    def reached_at(self, partition: PartitionId, end: int) -> int:
        """The arrival time at which W of this partition reaches `end`, as things stand; NEVER if nothing says so."""
        marks = self.marks.get(partition)
        if marks is None:
            return NEVER
        out = NEVER
        for reach, at in marks.steps:
            if reach >= end:
                out = at
                break
        if end <= self._newest_end(marks):
            out = min(out, marks.seen_at + self.max_wait)
        return max(out, end + self.lateness)

    def passed_at(self, clock: Clock, partitions: Iterable[PartitionId], end: int) -> int:
        """The smallest arrival time at which the W of one of these partitions had reached `end`; NEVER if none has."""
        out = NEVER
        for partition in partitions:
            at = self.reached_at(partition, end)
            if at <= clock.arrivals[partition] and at < out:
                out = at
        return out

    def deadline_at_least(self, clock: Clock, partitions: Iterable[PartitionId], end: int) -> int:
        """A bound that passed_at(end) + max_wait can never fall below, whatever is read from now on."""
        out = NEVER
        for partition in partitions:
            arrival = clock.arrivals[partition]
            out = min(out, arrival, self.reached_at(partition, end))
        return max(out, end + self.lateness) + self.max_wait

    def waiting_for(self, clock: Clock, partitions: tuple[PartitionId, ...], end: int) -> list[tuple[PartitionId, int]]:
        """Partitions that are not done with `end`, each with the arrival time at which it will be, as things stand."""
        passed = self.passed_at(clock, partitions, end)
        deadline = passed + self.max_wait if passed < NEVER else NEVER
        out = []
        for partition in partitions:
            due = min(self.reached_at(partition, end), deadline)
            if clock.arrivals[partition] < due:
                out.append((partition, due))
        return out

    def forget(self, end: int) -> None:
        """Panes up to `end` are closed: steps that only they needed are dropped."""
        for marks in self.marks.values():
            last = len(marks.steps) - 1
            drop = 0
            while drop < last and marks.steps[drop][0] < end + self.every:
                drop += 1
            del marks.steps[:drop]

    def plain(self) -> list[object]:
        return [[p.topic, p.number, *self.marks[p].plain()] for p in sorted(self.marks)]

    def load(self, plain: object) -> None:
        assert isinstance(plain, list)
        for topic, number, greatest, seen_at, steps in plain:
            self.marks[PartitionId(topic, number)] = Marks(greatest, seen_at, [(reach, at) for reach, at in steps])
