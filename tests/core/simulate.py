"""A log as Kafka would hold it: records by partition, each with the wall time at which it was appended.

It is a function of its seed, and has in it whatever makes time hard: see `Producers`. `reader` reads it, `truth` says
what must come of it. Milliseconds everywhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from driftd.core.baseline import GivenReference
from driftd.core.event import (
    ABSENT,
    NULL,
    Block,
    Column,
    Columns,
    Kind,
    Mark,
    PartitionId,
)
from driftd.core.grid import Grid, categorical_axis, numeric_axis
from driftd.core.pane import Counted, Pane
from driftd.core.reference import Reference, even_parts
from driftd.core.spec import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Learn,
    Limits,
    Model,
    NewVersion,
    ReferenceFiles,
    Retrain,
    Spec,
    Window,
)

START: Final = 1_795_428_000_000 + 123
SPAN: Final = 5 * SECOND
"""Kafka time that a block of at least 64 records spans."""
COLOURS: Final = ("red", "green", "blue", "grey")

Given = Mapping[str, Mapping[str, GivenReference]]
Key = tuple[str, str, Kind, int, int]
"""Model, version, kind, start and end of a pane."""


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
        self,
        partition: PartitionId,
        wall: int,
        model: str,
        time: int,
        *,
        version: str = "1",
        kind: Kind = "prediction",
        stamp: int | None = None,
        backfill: bool = False,
    ) -> None:
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
        policies: tuple[NewVersion, ...] = ("inherit", "learn", "hold")
        yield replace(plain, name="both", features_from="features", on_new_version=self.rng.choice(policies))
        learn = Learn(self.rng.choice((10 * MINUTE, 30 * MINUTE)), self.rng.choice((30, 120)))
        yield replace(plain, name="learned", reference=learn, on_new_version=self.rng.choice(policies))


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
    columns: dict[str, Column] = {"x": x, "colour": colours, "prediction": score, "label": label}
    rows = np.arange(n, dtype=np.int64)
    counted = Counted(grid, Columns(model.name, "", "prediction", rows, rows, columns), frozenset())
    panes = [counted.pane(slice(i * size, (i + 1) * size)) for i in range(parts)]
    total = Pane.empty(grid)
    for pane in panes:
        total.add(pane)
    pieces = even_parts(np.stack([pane.counts for pane in panes]), np.full(parts, size, np.int64))
    return GivenReference("", Reference.build(grid, total.events, total.moments, pieces))


# -- as a reader sees it -----------------------------------------------------------------------------------------------


def cut(records: Sequence[Record], first: int, upto: int, most: int) -> int | None:
    """Where the block that begins at `first` ends, if the records before `upto` say so."""
    low = high = records[first].stamp if first < upto else 0
    for i in range(first, upto):
        low, high = min(low, records[i].stamp), max(high, records[i].stamp)
        n = i + 1 - first
        if n >= most or (n >= 64 and high - low >= SPAN):
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
