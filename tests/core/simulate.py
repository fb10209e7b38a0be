"""A log as Kafka would hold it, and readers that replay it into an Engine in every way a reader may.

- `Log`: records by partition, each with the wall time at which it was appended; a function of its seed.
- `Reader`: one run of the log: any order of partitions and skew, polls of any size, ticks, kills. Its wall clock is the
  simulation's. Only what a commit made durable survives a kill, and everything durable has been through msgpack.
- `Truth`: what the contract says of a log, worked out the plain way, from the definitions.

Milliseconds everywhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from driftd.core.action import Action
from driftd.core.clock import LEAST_MOVING, NEVER
from driftd.core.engine import Engine
from driftd.core.event import (
    ABSENT,
    NULL,
    Block,
    Column,
    Columns,
    Discovered,
    Kind,
    Mark,
    PartitionId,
    Profile,
    Tick,
)
from driftd.core.grid import Grid, categorical_axis, numeric_axis
from driftd.core.monitor import GivenReference, Outcome
from driftd.core.pane import Counted, Pane
from driftd.core.profile import profile
from driftd.core.reference import Reference, even_parts
from driftd.core.spec import DAY, HOUR, MINUTE, SECOND, Learn, Limits, Model, ReferenceFiles, Retrain, Spec, Window

START: Final = 1_795_428_000_000 + 123
SPAN: Final = 5 * SECOND
"""Kafka time that a block of at least 64 records spans."""
QUIET: Final = 5 * SECOND
COLOURS: Final = ("red", "green", "blue", "grey")

Given = Mapping[str, Mapping[str, GivenReference]]


@dataclass(frozen=True, slots=True)
class Record:
    """`wall`: when it was appended; `stamp`: its Kafka timestamp; `time`: its event time."""

    wall: int
    stamp: int
    model: str
    version: str
    kind: Kind
    time: int
    values: Mapping[str, float | str]
    backfill: bool = False


@dataclass(slots=True)
class Log:
    """`born`: when a partition came to be; it is discovered at most `DISCOVERY` later. `most`: records of a block."""

    spec: Spec
    given: Given
    kinds: dict[PartitionId, tuple[Kind, ...]]
    born: dict[PartitionId, int]
    records: dict[PartitionId, list[Record]]
    end: int
    most: int = 8_192

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))


DISCOVERY: Final = 2 * SECOND


# -- making a log ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Traits:
    """What is peculiar about a log. `late`: some events come when nobody waits for them any more."""

    late: bool = False
    trailing: int = 0
    """How far all Kafka timestamps trail the wall."""
    create_time: bool = False
    """The producer an hour ahead also stamps its records an hour ahead."""
    hours: float = 2.0
    thin: float = 1.0
    """Mean gaps between events are so many times as long."""


class Producers:
    """Draws the streams of one log."""

    def __init__(self, seed: int, traits: Traits) -> None:
        self.rng = random.Random(f"log {seed}")
        self.traits = traits
        rng = self.rng
        every = rng.choice((MINUTE, MINUTE, 5 * MINUTE))
        self.window = Window(
            length=4 * every,
            every=every,
            min_samples=rng.choice((20, 40)),
            max_length=32 * every,
            allowed_lateness=rng.choice((5 * SECOND, 30 * SECOND, MINUTE)),
            max_wait=rng.choice((20 * SECOND, 90 * SECOND, 5 * MINUTE)),
        )
        self.begin = START + rng.randrange(DAY)
        self.end = self.begin + int(traits.hours * HOUR)
        n = rng.randint(1, 7)
        self.scored = [PartitionId("scored", i) for i in range(n)]
        self.side = [PartitionId("side", i) for i in range(rng.randint(1, 2))]
        self.later = PartitionId("scored", n)
        self.born = dict.fromkeys([*self.scored, *self.side], self.begin)
        self.born[self.later] = self.begin + rng.randrange(self.end - self.begin)
        self.kinds: dict[PartitionId, tuple[Kind, ...]] = dict.fromkeys([*self.scored, self.later], ("prediction",))
        self.kinds |= dict.fromkeys(self.side, ("features", "label"))
        self.quiet = self.scored.pop() if n > 2 else None
        """A partition without any record."""
        self.records: list[tuple[PartitionId, Record]] = []

    def delay(self) -> int:
        """How long after it happened an event is appended, when it is in time."""
        return int(self.rng.random() ** 3 * min(self.window.allowed_lateness, 20 * SECOND))

    def arrivals(self, gap: float, begin: float = 0.0, end: float = 1.0) -> Iterator[int]:
        """Instants of a stream with this mean gap, between two shares of the log's time."""
        span = self.end - self.begin
        at = self.begin + begin * span
        while True:
            at += self.rng.expovariate(1 / (gap * self.traits.thin))
            if at >= self.begin + end * span:
                return
            yield int(at)

    def put(
        self, partition: PartitionId, wall: int, model: str, time: int, *, version: str = "1", kind: Kind = "prediction",
        stamp: int | None = None, backfill: bool = False,
    ) -> None:  # fmt: skip
        stamp = (wall if stamp is None else stamp) - self.traits.trailing
        values = self.values(kind, (wall - self.begin) / (self.end - self.begin))
        self.records.append((partition, Record(wall, stamp, model, version, kind, time, values, backfill)))

    def values(self, kind: Kind, share: float) -> dict[str, float | str]:
        """The world shifts at two fifths of the log and is itself again at three fifths."""
        rng, shifted = self.rng, 0.4 < share < 0.6
        if kind == "label":
            return {"label": float(rng.random() < 0.3)}
        values: dict[str, float | str] = {}
        x = rng.gauss(2.5 if shifted else 0.0, 1.0)
        values["x"] = NULL if rng.random() < 0.02 else round(x, 3)
        if rng.random() > 0.05:
            values["colour"] = rng.choice((*COLOURS, "mauve") if shifted else COLOURS)
        if kind == "prediction":
            values["prediction"] = round(min(max(0.5 + 0.1 * x, 0.0), 1.0), 3)
        return values

    # Each stream below is in time by its nature.

    def dense(self) -> None:
        """Everywhere, with a canary from a third of the time on."""
        for i, wall in enumerate(self.arrivals(4 * SECOND)):
            canary = wall > self.begin + (self.end - self.begin) // 3 and self.rng.random() < 0.2
            partition = self.scored[i % len(self.scored)]
            self.put(partition, wall, "dense", wall - self.delay(), version="2" if canary else "1")

    def sparse(self) -> None:
        for wall in self.arrivals(8 * MINUTE):
            self.put(self.rng.choice(self.scored), wall, "sparse", wall - self.delay())

    def single(self) -> None:
        home = self.rng.choice(self.scored)
        for wall in self.arrivals(40 * SECOND):
            self.put(home, wall, "single", wall - self.delay())

    def starter(self) -> None:
        for wall in self.arrivals(40 * SECOND, 0.5):
            self.put(self.rng.choice(self.scored), wall, "starter", wall - self.delay())

    def mover(self) -> None:
        """In one partition; hours later in another too."""
        for wall in self.arrivals(40 * SECOND):
            late = wall > self.begin + 0.7 * (self.end - self.begin) and self.rng.random() < 0.5
            self.put(self.scored[-1 if late else 0], wall, "mover", wall - self.delay())

    def newcomer(self) -> None:
        """What the partition that is discovered later brings, of the dense model and of one of its own."""
        share = (self.born[self.later] - self.begin) / (self.end - self.begin)
        for wall in self.arrivals(20 * SECOND, share):
            self.put(self.later, wall, self.rng.choice(("dense", "newcomer")), wall - self.rng.randrange(2 * SECOND))

    def burst(self) -> None:
        """In one partition, in bursts; event time rises, days behind, and is out of order by less than the lateness."""
        home = self.rng.choice(self.scored)
        clock = self.begin - 3 * DAY
        wall = 0
        for begin in self.arrivals(25 * MINUTE):
            if begin < wall:
                continue
            clock += self.window.every * self.rng.randint(1, 5) + self.window.allowed_lateness
            wall = begin
            for _ in range(self.rng.randint(5, 80)):
                wall += int(self.rng.random() ** 4 * self.window.max_wait * 0.7)
                clock += int(self.rng.random() ** 4 * self.window.every)
                self.put(home, wall, "burst", clock - int(self.rng.random() * self.window.allowed_lateness))

    def ahead(self) -> None:
        """Two producers in the same partitions, one of them an hour ahead."""
        for wall in self.arrivals(30 * SECOND):
            ahead = HOUR if self.rng.random() < 0.3 else 0
            stamp = wall + ahead if self.traits.create_time else wall
            self.put(self.rng.choice(self.scored), wall, "ahead", wall + ahead - self.delay(), stamp=stamp)

    def sparse_ahead(self) -> None:
        """The same, but each is silent for longer than `max_wait`."""
        for wall in self.arrivals(8 * MINUTE):
            ahead = HOUR if self.rng.random() < 0.3 else 0
            stamp = wall + ahead if self.traits.create_time else wall
            self.put(self.rng.choice(self.scored), wall, "sparse_ahead", wall + ahead - self.delay(), stamp=stamp)

    def stuck(self) -> None:
        """The only producer of its model says the same event time for ever; it is never silent for `max_wait`."""
        home, wall = self.rng.choice(self.scored), self.begin
        while wall < self.end:
            wall += int(self.rng.random() * 0.9 * self.window.max_wait)
            self.put(home, wall, "stuck", self.begin - 10 * MINUTE)

    def both(self) -> None:
        """Predictions, features and labels of one model, each in its own events."""
        for wall in self.arrivals(20 * SECOND):
            time = wall - self.delay()
            self.put(self.rng.choice(self.scored), wall, "both", time, version=self.version(wall))
            self.put(self.rng.choice(self.side), wall, "both", time, kind="features", version=self.version(wall))
        for wall in self.arrivals(60 * SECOND):
            self.put(self.side[0], wall, "both", wall - self.delay(), kind="label", version=self.version(wall - HOUR))

    def version(self, wall: int) -> str:
        return "2" if wall > self.begin + 0.55 * (self.end - self.begin) else "1"

    def learned(self) -> None:
        for wall in self.arrivals(10 * SECOND):
            version = self.version(wall) if self.rng.random() < 0.5 else "1"
            self.put(self.rng.choice(self.scored), wall, "learned", wall - self.delay(), version=version)

    def odd(self) -> None:
        """Backfill, and event times beyond `max_ahead`."""
        for wall in self.arrivals(10 * MINUTE):
            self.put(self.rng.choice(self.scored), wall, "dense", wall - 9 * DAY, backfill=True)
            self.put(self.rng.choice(self.scored), wall, "dense", wall + 30 * DAY)

    def laggards(self) -> None:
        """Events that nobody may wait for: far behind, stuck, in bursts over all partitions."""
        for wall in self.arrivals(30 * SECOND):
            behind = int(self.rng.random() ** 3 * 20 * MINUTE)
            self.put(self.rng.choice(self.scored), wall, "dense", wall - behind)
        stuck = self.rng.choice(self.scored)
        for wall in self.arrivals(60 * SECOND):
            self.put(stuck, wall, "mover", self.begin + 3 * self.window.every)
        for begin in self.arrivals(20 * MINUTE):
            wall, clock = begin, begin - 2 * DAY + self.rng.randrange(HOUR)
            for _ in range(self.rng.randint(5, 40)):
                wall += self.rng.randrange(20 * SECOND)
                clock += self.rng.randrange(self.window.every // 2)
                self.put(self.rng.choice(self.scored), wall, "burst", clock)
        for wall in self.arrivals(3 * MINUTE):
            self.put(self.side[0], wall, "both", wall - self.rng.randrange(HOUR), kind="features")

    def log(self) -> Log:
        self.dense()
        self.odd()
        streams = [
            self.sparse, self.single, self.starter, self.mover, self.newcomer, self.burst, self.ahead,
            self.sparse_ahead, self.stuck, self.both, self.learned,
        ]  # fmt: skip
        for stream in streams:
            if self.rng.random() < 0.8:
                stream()
        if self.traits.late:
            self.laggards()
        by_partition: dict[PartitionId, list[Record]] = {p: [] for p in self.kinds}
        for partition, record in sorted(self.records, key=lambda pair: pair[1].wall):
            by_partition[partition].append(record)
        models = {model.name: model for model in self.models()}
        given = {name: {"": reference_of(model)} for name, model in models.items() if not _learns(model)}
        spec = Spec("sim", models, limits=Limits())
        end = max((r.wall for rs in by_partition.values() for r in rs), default=self.end)
        return Log(
            spec, given, self.kinds, self.born, by_partition, max(self.end, end), most=self.rng.choice((70, 300, 8_192))
        )

    def models(self) -> Iterable[Model]:
        files = ReferenceFiles("a file")
        plain = Model("", self.window, files, retrain=Retrain(cool_down=20 * MINUTE, budget_per_day=50))
        names = ("dense", "sparse", "single", "starter", "mover", "newcomer", "burst", "ahead", "sparse_ahead", "stuck")
        yield from (replace(plain, name=name) for name in names)
        policy = self.rng.choice(("inherit", "learn", "hold"))
        yield replace(plain, name="both", features_from="features", on_new_version=policy)
        learn = Learn(self.rng.choice((10 * MINUTE, 30 * MINUTE)), self.rng.choice((30, 120)))
        yield replace(
            plain, name="learned", reference=learn, on_new_version=self.rng.choice(("inherit", "learn", "hold"))
        )


def make_log(seed: int, traits: Traits | None = None) -> Log:
    return Producers(seed, traits or Traits()).log()


def _learns(model: Model) -> bool:
    return isinstance(model.reference, Learn)


def reference_of(model: Model, parts: int = 40, size: int = 100) -> GivenReference:
    """A reference as a file would give it: the same world, before its shift."""
    rng = np.random.default_rng(7)
    n = parts * size
    x = rng.normal(size=n).round(3)
    x[rng.random(n) < 0.02] = NULL
    colours = [COLOURS[i] for i in rng.integers(len(COLOURS), size=n)]
    score = np.clip(0.5 + 0.1 * np.nan_to_num(x), 0, 1).round(3)
    label = (rng.random(n) < 0.3).astype(np.float64)
    finite = x[np.isfinite(x)]
    grid = Grid(
        [
            numeric_axis("x", finite, float(finite.min()), float(finite.max())),
            categorical_axis("colour", Counter(colours), 50),
            numeric_axis("prediction", score, float(score.min()), float(score.max())),
            numeric_axis("label", label, 0.0, 1.0),
        ]
    )
    columns = {"x": x, "colour": colours, "prediction": score, "label": label}
    rows = np.arange(n, dtype=np.int64)
    counted = Counted(grid, Columns(model.name, "", "prediction", rows, rows, columns), frozenset())
    panes = [counted.pane(slice(i * size, (i + 1) * size)) for i in range(parts)]
    total = Pane.empty(grid)
    for pane in panes:
        total.add(pane)
    pieces = even_parts(np.stack([pane.counts for pane in panes]), np.full(parts, size, np.int64))
    return GivenReference("", Reference.build(grid, total.events, total.moments, pieces))


# -- reading it ------------------------------------------------------------------------------------------------------


def cut(records: Sequence[Record], first: int, upto: int, most: int) -> int | None:
    """Where the block that begins at `first` ends, if the records before `upto` say so."""
    low = high = records[first].stamp if first < upto else 0
    for i in range(first, upto):
        low, high = min(low, records[i].stamp), max(high, records[i].stamp)
        n = i + 1 - first
        if n >= most or (n >= LEAST_MOVING and high - low >= SPAN):
            return i + 1
    return None


def block_of(partition: PartitionId, records: Sequence[Record], first: int, end: int) -> Block:
    """Records `[first, end)`, decoded."""
    rows: dict[tuple[str, str, Kind], list[int]] = {}
    backfill: Counter[str] = Counter()
    for offset in range(first, end):
        record = records[offset]
        if record.backfill:
            backfill[record.model] += 1
        else:
            rows.setdefault((record.model, record.version, record.kind), []).append(offset)
    stamps = [records[i].stamp for i in range(first, end)]
    groups = tuple(columns_of(records, key, offsets) for key, offsets in rows.items())
    return Block(
        partition, first, end, end - first, min(stamps), max(stamps), groups, backfill=dict(sorted(backfill.items()))
    )


def columns_of(records: Sequence[Record], key: tuple[str, str, Kind], offsets: Sequence[int]) -> Columns:
    """These records, which are all of one (model, version, kind), column by column."""
    columns: dict[str, Column] = {}
    for name in sorted({name for i in offsets for name in records[i].values}):
        cells = [records[i].values.get(name) for i in offsets]
        if any(isinstance(cell, str) for cell in cells):
            columns[name] = [Mark.ABSENT if cell is None else cell for cell in cells]
        else:
            columns[name] = np.array([ABSENT if cell is None else cell for cell in cells], np.float64)
    time = np.array([records[i].time for i in offsets], np.int64)
    return Columns(*key, time, np.array(offsets, np.int64), columns)


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
    """How often a turn ends in a kill."""
    commit: float = 0.3
    watchful: bool = False
    """After every stimulus the whole state is checked."""
    finish: bool = False
    """The end is `finish()` and not the passing of time."""


Key = tuple[str, str, Kind, int, int]


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
        self.fetched = {p: 0 for p in self.log.records}
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
        if rng.random() < manner.kill:
            self.kill()

    def discover(self) -> None:
        due = {p for p, born in self.log.born.items() if born <= self.wall and p not in self.known}
        # Discovery takes its time, but not for ever.
        due = {p for p in due if self.rng.random() < 0.3 or self.wall >= self.log.born[p] + DISCOVERY}
        if due:
            self.known |= due
            self.apply_discovered(due)

    def apply_discovered(self, due: Iterable[PartitionId]) -> None:
        self.took(self.engine.apply(Discovered({p: self.log.kinds[p] for p in due})))

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
            self.took(self.engine.apply(one))

    def profile(self, block: Block) -> Profile:
        return profile(block, self.engine.plans, self.engine.default_plan)

    def tick(self, partition: PartitionId) -> None:
        """A partition whose end was reached and quiet: what is there is a block, and its arrival time moves."""
        if self.fetched[partition] < self.visible(partition) or self.wall < self.touched[partition] + QUIET:
            return
        if self.position[partition] < self.fetched[partition]:
            self.give(partition, [(self.position[partition], self.fetched[partition])])
        arrival = self.arrival_now()
        if arrival > -NEVER:
            self.ticks += 1
            self.took(self.engine.apply(Tick({partition: arrival})))

    def arrival_now(self) -> int:
        """The greatest read anywhere before the quiet time, plus the time waited while nothing is read anywhere."""
        before = self.wall - QUIET
        wall, greatest = next(pair for pair in reversed(self.greatest) if pair[0] <= before or pair[0] == -NEVER)
        if wall == self.greatest[-1][0] and greatest > -NEVER:
            greatest += before - wall
        return min(greatest, self.wall)

    def took(self, out: Outcome) -> None:
        self.pending.append(out)
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
            self.took(self.engine.finish())
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
    """What holds after every stimulus: no pane is left open that nobody waits for, and somebody is woken for the rest."""
    wakes = {(model, kind) for heap in engine.clock._wakes.values() for _, model, kind in heap}
    for name, monitor in engine.monitors.items():
        for kind, panes in monitor.open.items():
            if not panes:
                continue
            end = min(panes)
            waiting = monitor.progress[kind].waiting_for(engine.clock, engine.clock.kinds[kind], end)
            assert waiting, f"{name} {kind} {end} is free and was not closed"
            assert (name, kind) in wakes, f"nobody wakes {name} {kind} for {end}"
            assert end > monitor.closed_until.get(kind, -NEVER)


# -- what is true ----------------------------------------------------------------------------------------------------


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
            for kind in ("prediction", "features", "label"):
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
    """Late or not, for the events of one (model, kind), by the definitions of `driftd.core.clock`, without any state."""

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
        """The arrival time at which W reached `end`, as the first `upto` blocks of ours say when arrival time is `now`."""
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
        after = max(arrival, min(stamps)) if end - first >= LEAST_MOVING else arrival
        out.append(Read(first, end, arrival, after, max(stamps)))
        first, arrival = end, after
    return out
