"""One run of a simulated log: any order of partitions and skew, polls of any size, ticks, kills.

Its wall clock is the simulation's. Only what a commit made durable survives a kill; all that has been through msgpack.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from driftd.core.action import Action
from driftd.core.clock import NEVER
from driftd.core.engine import Engine, Stimulus
from driftd.core.event import Block, Discovered, Kind, PartitionId, Tick
from driftd.core.outcome import Outcome
from driftd.core.profile import Profile, profile
from driftd.core.spec import MINUTE, SECOND
from tests.core.simulate import Key, Log, block_of, cut

QUIET: Final = 5 * SECOND
DISCOVERY: Final = 2 * SECOND
"""A new partition is discovered within this time."""


@dataclass(slots=True)
class Manner:
    """How a run reads. `live`: records are there from their wall time on; else all are there from the start."""

    live: bool
    poll: int
    step: int = 20 * SECOND
    """Mean of what the wall moves on between two turns of the loop."""
    lazy: float = 0.2
    """How often a partition is passed over in a turn."""
    kill: float = 0.0
    """How often a turn ends in a kill, until there were `kills`: who never gets as far as a commit gets nowhere."""
    kills: int = 12
    commit: float = 0.3
    watchful: bool = False
    """After every stimulus the whole state is checked."""
    finish: bool = False
    """The end is `finish()` and not the passing of time."""


@dataclass(slots=True)
class Durable:
    """What a store holds: rows, and what came out so far."""

    rows: dict[str, bytes] = field(default_factory=dict)
    panes: dict[Key, tuple[bytes, object]] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    grids: dict[tuple[str, Kind], str] = field(default_factory=dict)
    references: dict[tuple[str, str, Kind], tuple[int, bytes, bytes]] = field(default_factory=dict)

    def write(self, changes: Mapping[str, object | None]) -> None:
        for key, row in changes.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = msgspec.msgpack.encode(row)

    def take(self, out: Outcome) -> None:
        for pane in out.panes:
            key = (pane.model, pane.version, pane.kind, pane.start, pane.end)
            assert key not in self.panes, f"{key} closed twice"
            self.panes[key] = (pane.pane.pack(), pane.cover)
        self.actions += out.actions
        self.grids |= {(model, kind): grid.hash for model, kind, grid in out.grids}
        for r in out.references:
            body = (r.end, r.reference.counts.tobytes() + r.reference.moments.tobytes(), r.parts.tobytes())
            assert (r.model, r.version, r.kind) not in self.references
            self.references[r.model, r.version, r.kind] = body

    def read(self) -> dict[str, object]:
        return {key: msgspec.msgpack.decode(row) for key, row in self.rows.items()}


class Reader:
    """One run of a log."""

    def __init__(self, log: Log, seed: int, manner: Manner) -> None:
        self.log, self.manner = log, manner
        self.rng = random.Random(f"run {seed}")
        self.durable = Durable()
        self.pending: list[Outcome] = []
        self.kills = self.ticks = self.blocks = 0
        self.wall = min(log.born.values())
        self.greatest: list[tuple[int, int]] = [(-NEVER, -NEVER)]
        """(wall, greatest Kafka timestamp read anywhere by then), both rising."""
        self.engine = Engine(log.spec, log.given)
        self.lazy = {p: self.rng.random() ** 3 for p in log.records}
        self._start()

    def _start(self) -> None:
        self.fetched = dict.fromkeys(self.log.records, 0)
        """Where the next poll of a partition begins."""
        self.fetched |= self.engine.positions()
        self.position = dict(self.fetched)
        """Where its next block begins."""
        self.touched = dict.fromkeys(self.log.records, self.wall)
        """When something of it was last read."""
        self.known = set(self.engine.clock.arrivals)
        self.discover()

    # -- turns -------------------------------------------------------------------------------------------------------

    def run(self) -> Durable:
        """All of it, to the end, until every pane is closed."""
        while not self.done():
            self.turn()
        self.close()
        self.commit()
        return self.durable

    def done(self) -> bool:
        return self.wall >= self.log.end and all(self.position[p] == len(rs) for p, rs in self.log.records.items())

    def turn(self) -> None:
        rng, manner = self.rng, self.manner
        if manner.live:
            self.wall += int(rng.expovariate(1 / manner.step)) + 1
        else:
            self.wall = max(self.wall, self.log.end)
        self.discover()
        partitions = sorted(self.known)
        rng.shuffle(partitions)
        for partition in partitions:
            if rng.random() >= max(manner.lazy, self.lazy[partition] if self.wall < self.log.end else 0):
                self.poll(partition)
        if not manner.live and rng.random() < 0.3:
            self.wall += rng.randrange(8 * SECOND)
        for partition in partitions:
            self.tick(partition)
        if rng.random() < manner.commit:
            self.commit()
        if rng.random() < 0.05:
            self.lazy[rng.choice(partitions)] = rng.random() ** 3
        if self.kills < manner.kills and rng.random() < manner.kill:
            self.kill()

    def discover(self) -> None:
        due = {p for p, born in self.log.born.items() if born <= self.wall and p not in self.known}
        # Discovery takes its time, but not for ever.
        due = {p for p in due if self.rng.random() < 0.3 or self.wall >= self.log.born[p] + DISCOVERY}
        if due:
            self.known |= due
            self.apply(Discovered({p: self.log.kinds[p] for p in due}))

    def visible(self, partition: PartitionId) -> int:
        """The end of a partition as it stands now."""
        records = self.log.records[partition]
        if self.wall >= self.log.end:
            return len(records)
        low = self.fetched[partition]
        while low < len(records) and records[low].wall <= self.wall:
            low += 1
        return low

    def poll(self, partition: PartitionId) -> None:
        """Take up to `poll` records; blocks that are whole go to the engine."""
        records = self.log.records[partition]
        upto = min(self.visible(partition), self.fetched[partition] + self.manner.poll)
        if upto == self.fetched[partition]:
            return
        fresh = max(r.stamp for r in records[self.fetched[partition] : upto])
        self.greatest.append((self.wall, max(fresh, self.greatest[-1][1])))
        self.fetched[partition] = upto
        self.touched[partition] = self.wall
        ends = []
        first = self.position[partition]
        while (end := cut(records, first, upto, self.log.most)) is not None:
            ends.append((first, end))
            first = end
        self.give(partition, ends)

    def give(self, partition: PartitionId, ends: Sequence[tuple[int, int]]) -> None:
        """Blocks are profiled together, by the plans as they stood, and then applied."""
        records = self.log.records[partition]
        profiles = [self.profile(block_of(partition, records, first, end)) for first, end in ends]
        for one in profiles:
            self.blocks += 1
            self.position[partition] = one.next
            self.apply(one)

    def profile(self, block: Block) -> Profile:
        return profile(block, self.engine.plan_of)

    def tick(self, partition: PartitionId) -> None:
        """A partition whose end was reached and quiet: what is there is a block, and its arrival time moves."""
        if self.fetched[partition] < self.visible(partition) or self.wall < self.touched[partition] + QUIET:
            return
        if self.position[partition] < self.fetched[partition]:
            self.give(partition, [(self.position[partition], self.fetched[partition])])
        arrival = self.arrival_now()
        if arrival > -NEVER:
            self.ticks += 1
            self.apply(Tick({partition: arrival}))

    def arrival_now(self) -> int:
        """The greatest read anywhere before the quiet time, plus the time waited while nothing is read anywhere.

        But never beyond the wall: else one producer whose stamps are ahead makes late what comes to quiet partitions.
        """
        before = self.wall - QUIET
        wall, greatest = next(pair for pair in reversed(self.greatest) if pair[0] <= before or pair[0] == -NEVER)
        if wall == self.greatest[-1][0] and greatest > -NEVER:
            greatest += before - wall
        return min(greatest, self.wall)

    def apply(self, stimulus: Stimulus) -> None:
        self.pending.append(self.engine.apply(stimulus))
        if self.manner.watchful:
            watch(self.engine)

    def commit(self) -> None:
        for out in self.pending:
            self.durable.take(out)
        self.pending.clear()
        self.durable.write(self.engine.changes())

    def kill(self) -> None:
        """Nothing is left but what was committed. It takes a while until the next start."""
        self.kills += 1
        self.pending.clear()
        self.engine = Engine(self.log.spec, self.log.given)
        self.engine.restore(self.durable.read())
        if self.manner.live and self.rng.random() < 0.5:
            self.wall += int(self.rng.expovariate(1 / (5 * MINUTE)))
        # What was read is forgotten; the arrival times are not.
        self.greatest = [(-NEVER, -NEVER), (self.wall, max(self.engine.clock.arrivals.values(), default=-NEVER))]
        self._start()

    def close(self) -> None:
        """Nothing more comes; time passes."""
        if self.manner.finish:
            self.pending.append(self.engine.finish())
            return
        window = next(iter(self.log.spec.models.values())).window
        for _ in range(600):
            if not any(panes for m in self.engine.monitors.values() for panes in m.open.values()):
                return
            self.wall += int(self.rng.expovariate(1 / (window.every + window.max_wait)))
            for partition in sorted(self.known):
                if self.rng.random() < 0.7:
                    self.tick(partition)
        raise AssertionError(f"panes are open for ever: {stuck(self.engine)}")


def stuck(engine: Engine) -> list[object]:
    return [
        (name, kind, sorted(panes), m.progress[kind].waiting_for(engine.clock, engine.clock.kinds[kind], min(panes)))
        for name, m in engine.monitors.items()
        for kind, panes in m.open.items()
        if panes
    ]


def watch(engine: Engine) -> None:
    """What holds after every stimulus: no pane is open that nobody waits for, and for each somebody is woken."""
    clock = engine.clock
    for name, monitor in engine.monitors.items():
        for kind, panes in monitor.open.items():
            if not panes:
                continue
            end = min(panes)
            waiting = monitor.progress[kind].waiting_for(clock, clock.kinds[kind], end)
            assert waiting, f"{name} {kind} {end} is free and was not closed"
            partition, due = min(waiting, key=lambda pair: pair[1])
            # No other partition that is waited for is done sooner, and so the pane cannot be free sooner.
            assert clock._asked[partition].get((name, kind), NEVER) <= due < NEVER, f"nobody wakes {name} for {end}"
            assert end > monitor.closed_until.get(kind, -NEVER)
    for partition, heap in clock._wakes.items():
        assert all(heap[0][0] > clock.arrivals[partition] for _ in heap[:1]), "somebody overslept"
        assert len(heap) <= 4 * len(clock._asked[partition]) + 8
