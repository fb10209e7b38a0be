"""The consumer: a static member of a group, whose positions are the store's. One thread polls, and closes.

It hands out blocks, ticks and discovered partitions. Kafka's committed offsets are written for lag tools and never read.
A process that is not assigned every partition hands out nothing, and says why.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from driftd.core.event import Discovered, Kind, PartitionId, Tick
from driftd.core.fault import UserError
from driftd.kafka.block import Cutter, RecordRun
from driftd.kafka.mapping import kinds_of, matches
from driftd.kafka.tick import Quiet

_log = structlog.get_logger(__name__)

MESSAGES_A_POLL: Final = 2_000
METADATA_EVERY_S: Final = 30.0
BROKER_TIMEOUT_S: Final = 10.0
OWNED: Final = frozenset({"enable.auto.commit", "enable.auto.offset.store", "group.id", "enable.partition.eof"})
_BROKERS_OWN: Final = ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy")
Read = RecordRun | Tick | Discovered


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """`topics`: names or ^expressions by kind. `client`: librdkafka settings, the brokers' address among them."""

    group_id: str
    instance_id: str
    start: Literal["latest", "earliest"]
    topics: Mapping[Kind, Sequence[str]]
    client: Mapping[str, str] = field(default_factory=dict, repr=False)
    quiet_s: float = 5.0

    def consumer(self) -> dict[str, Any]:
        """What librdkafka is given; raises ValueError for a setting that driftd must own."""
        if owned := sorted(OWNED & self.client.keys()):
            raise ValueError(f"{owned[0]} is set by driftd itself; remove it from kafka.client")
        ours: dict[str, Any] = {
            "partition.assignment.strategy": "cooperative-sticky",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 65_536,
            "topic.metadata.refresh.interval.ms": int(METADATA_EVERY_S * 1000),
            "session.timeout.ms": 45_000,
        }
        if self.client.get("group.protocol") == "consumer":
            ours = {name: value for name, value in ours.items() if name not in _BROKERS_OWN}
        return {
            **ours,
            **self.client,
            "group.id": self.group_id,
            "group.instance.id": self.instance_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }


class Source:
    """`known`: next offsets of the store, by partition; empty at the very first start. `greatest`: see `Quiet`."""

    def __init__(
        self,
        config: SourceConfig,
        known: Mapping[PartitionId, int],
        greatest: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.positions = dict(known)
        self.monotonic = monotonic
        self.quiet = Quiet(config.quiet_s, greatest, monotonic())
        self.lost = 0
        """Records that the broker had dropped before they were read."""
        self._fault: BaseException | None = None
        self._problems: dict[str, str] = {}
        self._partitions: dict[PartitionId, tuple[Kind, ...]] = {}
        self._announced: set[PartitionId] = set()
        self._assigned: set[PartitionId] = set()
        self._held: set[PartitionId] = set()
        self._cutters: dict[PartitionId, Cutter] = {}
        self._looked = -1e18
        self._stopped = True
        self._consumer = Consumer({**config.consumer(), "error_cb": self._on_error})

    @property
    def greatest(self) -> int | None:
        """The greatest Kafka timestamp read so far, ms: to be stored, and given back at the next start."""
        return self.quiet.greatest

    # -- start -------------------------------------------------------------------------------------------------------

    def resolve_start(self) -> tuple[Discovered, dict[PartitionId, int]]:
        """At the very first start: the partitions there are, and the concrete offsets to begin at.

        To be made durable before anything is read, so that a kill before the first commit loses nothing. Raises
        UserError where no broker answers.
        """
        self._look_up(required=True)
        for partition in self._partitions:
            low, high = self._consumer.get_watermark_offsets(_toppar(partition), timeout=BROKER_TIMEOUT_S)
            self.positions[partition] = high if self.config.start == "latest" else low
        self._announced |= self._partitions.keys()
        return Discovered(dict(self._partitions)), dict(self.positions)

    def subscribe(self, announced: Iterable[PartitionId]) -> None:
        """Join the group. `announced`: partitions that the engine already knows."""
        self._announced |= set(announced)
        topics = sorted({name for names in self.config.topics.values() for name in names})
        self._consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    # -- the loop's side ---------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float) -> list[Read]:
        """What there is after at most about `timeout_s`. Raises UserError for what only a person can put right."""
        now = self.monotonic()
        if now - self._looked >= METADATA_EVERY_S or not self._partitions:
            self._look_up(required=False)
        out: list[Read] = self._announce()
        messages = self._consumer.consume(MESSAGES_A_POLL, min(timeout_s, 0.05))
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        self._hold()
        self._sort(messages)
        for cutter in self._cutters.values():
            while (run := cutter.cut()) is not None:
                out.append(run)
        out += self._ticks()
        return out

    def _announce(self) -> list[Read]:
        new = {p: kinds for p, kinds in self._partitions.items() if p not in self._announced}
        self._announced |= new.keys()
        return [Discovered(new)] if new else []

    def _sort(self, messages: Sequence[Message]) -> None:
        by_partition: dict[tuple[str, int], list[Message]] = {}
        ended: set[PartitionId] = set()
        for message in messages:
            error = message.error()
            partition = PartitionId(str(message.topic()), int(message.partition() or 0))
            if error is None:
                by_partition.setdefault((partition.topic, partition.number), []).append(message)
                ended.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the public name of the code
                ended.add(partition)
            else:
                self._message_error(error)
        now = self.monotonic()
        for (topic, number), records in by_partition.items():
            partition = PartitionId(topic, number)
            cutter = self._cutters.get(partition)
            if cutter is None:
                continue
            timestamps = [record.timestamp()[1] for record in records]
            cutter.add(
                [record.offset() for record in records],  # type: ignore[misc]
                timestamps,
                [record.value() for record in records],  # type: ignore[misc]
                [record.key() for record in records],  # type: ignore[misc]
                [record.headers() for record in records],  # type: ignore[misc]
            )
            self.quiet.read(partition, max(timestamps), now)
        for partition in ended:
            self.quiet.ended(partition)

    def _ticks(self) -> list[Read]:
        now = self.monotonic()
        due = [] if self._stopped else [p for p in self.quiet.due(now) if p not in self._held]
        if not due:
            return []
        out: list[Read] = [run for p in due if (run := self._cutters[p].flush()) is not None]
        arrival = self.quiet.arrival(due, now)
        return out if arrival is None else [*out, Tick(dict.fromkeys(due, arrival))]

    def pause(self, partitions: Iterable[PartitionId]) -> None:
        """Read no more of these for now; polling and membership go on."""
        self._held |= set(partitions)
        self._apply(self._consumer.pause, partitions)

    def resume(self, partitions: Iterable[PartitionId]) -> None:
        wanted = set(partitions)
        self._held -= wanted
        if not self._stopped:
            self._apply(self._consumer.resume, wanted)

    def _apply(self, act: Callable[[list[TopicPartition]], None], partitions: Iterable[PartitionId]) -> None:
        mine = [_toppar(p) for p in sorted(partitions) if p in self._assigned]
        if mine:
            act(mine)

    def _hold(self) -> None:
        """Not every partition is ours: nothing is read. All are: what is not held back is read."""
        stop = not self._partitions or not self._partitions.keys() <= self._assigned
        if stop != self._stopped:
            self._stopped = stop
            self._apply(self._consumer.pause if stop else self._consumer.resume, self._assigned - self._held)

    def commit(self, next_offsets: Mapping[PartitionId, int]) -> None:
        """Tell Kafka how far the store is, for lag tools. Never raises."""
        offsets = [TopicPartition(p.topic, p.number, o) for p, o in next_offsets.items() if p in self._assigned]
        try:
            if offsets:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as fault:
            self._warn("offsets_not_committed", str(fault))
        self.positions.update(next_offsets)

    def lag(self) -> dict[PartitionId, int | None]:
        """Records behind the end of each partition, not yet handed out; None where the broker has not said."""
        out: dict[PartitionId, int | None] = {}
        for partition in self._partitions:
            out[partition] = None
            if partition in self._assigned:
                try:
                    _, high = self._consumer.get_watermark_offsets(_toppar(partition), cached=True)
                    (at,) = self._consumer.position([_toppar(partition)])
                except KafkaException:
                    continue
                if high >= 0:
                    offset = at.offset if at.offset >= 0 else self.positions.get(partition, 0)
                    out[partition] = max(0, high - offset) + len(self._cutters[partition])
        return out

    def unready(self) -> tuple[str, ...]:
        """Why nothing is evaluated, in words; empty if all is well."""
        out = [text for text in self._problems.values() if text]
        missing = len(self._partitions.keys() - self._assigned)
        if not self._partitions:
            out.append(
                "none of the topics exists yet: "
                + ", ".join(sorted({n for t in self.config.topics.values() for n in t}))
            )
        elif missing:
            out.append(f"assigned {len(self._partitions) - missing} of {len(self._partitions)} partitions")
        return tuple(out)

    def close(self) -> None:
        """Leave; in the thread that polls."""
        self._consumer.close()

    # -- topics ------------------------------------------------------------------------------------------------------

    def _look_up(self, *, required: bool) -> None:
        """Which partitions there are."""
        self._looked = self.monotonic()
        try:
            metadata = self._consumer.list_topics(timeout=BROKER_TIMEOUT_S if required else 2.0)
        except KafkaException as fault:
            self._problems["broker"] = f"no broker answers at {self.config.client.get('bootstrap.servers')}"
            if required:
                raise UserError(
                    self._problems["broker"], "start it, or set kafka.bootstrap_servers", exit_code=1
                ) from fault
            return
        self._problems["broker"] = ""
        for name, topic in metadata.topics.items():
            kinds = kinds_of(self.config.topics, name)
            if kinds and topic.error is None:
                self._partitions.update({PartitionId(name, number): kinds for number in topic.partitions})
        named = {n for names in self.config.topics.values() for n in names if not n.startswith("^")}
        absent = sorted(n for n in named if not any(matches(n, p.topic) for p in self._partitions))
        self._problems["topics"] = f"topic {', '.join(absent)} does not exist" if absent else ""

    # -- librdkafka's callbacks: they never raise --------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            for toppar in partitions:
                partition = PartitionId(toppar.topic, toppar.partition)
                self._partitions.setdefault(partition, kinds_of(self.config.topics, toppar.topic))
                toppar.offset = self.positions.get(partition, OFFSET_BEGINNING)
                self._assigned.add(partition)
                self._cutters[partition] = Cutter(partition)
                self.quiet.assigned(partition, self.monotonic())
            _incremental(consumer, partitions, assign=True)
            # Whether all are ours is only known after the poll: until then nothing is read.
            consumer.pause(partitions)
            self._stopped = True
        except Exception as fault:  # noqa: BLE001 - it would be lost inside librdkafka; poll raises it
            self._fault = fault

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            for toppar in partitions:
                partition = PartitionId(toppar.topic, toppar.partition)
                self._assigned.discard(partition)
                self._cutters.pop(partition, None)
                self.quiet.revoked(partition)
            _incremental(consumer, partitions, assign=False)
        except Exception as fault:  # noqa: BLE001
            self._fault = fault

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fault = UserError(f"Kafka: {error.str()}", "see the broker's log", exit_code=1)
        else:
            self._warn("kafka", error.str())

    def _message_error(self, error: KafkaError) -> None:
        if error.fatal():
            raise UserError(f"Kafka: {error.str()}", "see the broker's log", exit_code=1)
        else:
            self._warn("kafka", error.str())

    def _warn(self, event: str, text: str) -> None:
        if self._problems.get(f"log:{event}") != text:
            _log.warning(event, error=text)
        self._problems[f"log:{event}"] = ""


def _toppar(partition: PartitionId) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


def _incremental(consumer: Consumer, partitions: list[TopicPartition], *, assign: bool) -> None:
    """Cooperative groups change assignments step by step."""
    (consumer.incremental_assign if assign else consumer.incremental_unassign)(partitions)


def load_or_create_instance_id(directory: Path) -> str:
    """The name under which the group knows this installation, made once: a killed daemon is back at once under it."""
    path = directory / "instance-id"
    if path.is_file():
        return path.read_text().strip()
    name = f"driftd-{uuid.uuid4().hex[:12]}"
    temporary = path.with_suffix(".new")
    temporary.write_text(name + "\n")
    with temporary.open() as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    return name
