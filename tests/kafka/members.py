"""A source under test, and records for it to read."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Producer

from driftd.core.event import Discovered, Kind, PartitionId, Tick
from driftd.kafka.block import RecordRun
from driftd.kafka.source import Read, Source, SourceConfig
from tests.kafka_fixture import Kafka

PATIENCE_S = 30


class FakeClock:
    """The monotonic clock of a test, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Member:
    """A source and all that it handed out."""

    source: Source
    reads: list[Read] = field(default_factory=list)

    def poll(self) -> list[Read]:
        new = self.source.poll(0.05)
        self.reads += new
        return new

    def until(self, done: Callable[[], bool], what: str = "it") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.source.unready()}"
            self.poll()

    def until_ready(self) -> None:
        self.until(lambda: not self.source.unready(), "the assignment")

    def until_read(self, n: int) -> None:
        """Until n records are held or handed out."""
        self.until(lambda: len(self.offsets()) + self.held() >= n, f"{n} records")

    def for_s(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.poll()

    @property
    def runs(self) -> list[RecordRun]:
        return [read for read in self.reads if isinstance(read, RecordRun)]

    @property
    def ticks(self) -> list[Tick]:
        return [read for read in self.reads if isinstance(read, Tick)]

    @property
    def discovered(self) -> dict[PartitionId, tuple[Kind, ...]]:
        return {p: k for read in self.reads if isinstance(read, Discovered) for p, k in read.partitions.items()}

    def held(self) -> int:
        return sum(map(len, self.source._ours.cutters.values()))

    def offsets(self) -> list[tuple[PartitionId, int]]:
        return [(run.partition, offset) for run in self.runs for offset in run.offsets]

    def values(self) -> list[bytes | None]:
        return [value for run in self.runs for value in run.values]


class Members:
    """Sources of one test, of one group; all are closed with it."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.group = f"test-{uuid.uuid4().hex[:8]}"
        self.made: list[Member] = []
        self.clock = FakeClock()
        self.producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})

    def config(
        self, topics: Sequence[str] | Mapping[Kind, Sequence[str]], name: str, start: str, client: Mapping[str, str]
    ) -> SourceConfig:
        by_kind = topics if isinstance(topics, Mapping) else {"prediction": topics}
        settings = {"bootstrap.servers": self.kafka.bootstrap_servers, **client}
        return SourceConfig(self.group, name, start, by_kind, settings)  # type: ignore[arg-type]

    def new(
        self,
        topics: Sequence[str] | Mapping[Kind, Sequence[str]],
        known: Mapping[PartitionId, int] | None = None,
        *,
        name: str = "one",
        start: str = "earliest",
        greatest: int | None = None,
        client: Mapping[str, str] | None = None,
        announced: Iterable[PartitionId] | None = None,
    ) -> Member:
        """A member; without `known` it is at its very first start."""
        config = self.config(topics, name, start, client or {})
        source = Source(config, known or {}, greatest, self.clock)
        self.made.append(Member(source))
        if known is None:
            source.resolve_start()
            source.subscribe(())
        else:
            source.subscribe(known if announced is None else announced)
        return self.made[-1]

    def send(self, topic: str, n: int, partition: int = 0, first: int = 0, step: int = 0, at: int = 1_000_000) -> None:
        """Send n records, one each `step` ms of Kafka time from `at`; their values count from `first`."""
        for i in range(first, first + n):
            stamp = at + step * (i - first)
            self.producer.produce(topic, str(i).encode(), str(i).encode(), partition, timestamp=stamp)
            self.producer.poll(0)
        assert self.producer.flush(PATIENCE_S) == 0

    def close(self) -> None:
        for member in self.made:
            member.source.close()
