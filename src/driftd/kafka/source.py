"""The consumer: a static member of a group, whose positions are the store's. One thread polls, and closes.

It hands out blocks, ticks and discovered partitions. Kafka's committed offsets are written for lag tools and never
read. What is handed out counts as applied: after a rebalance a partition is read on from there. A process that is not
assigned every partition hands out nothing, and says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from driftd.core.event import Discovered, PartitionId, Tick
from driftd.core.fault import UserError
from driftd.kafka.assignment import Assignment, toppar
from driftd.kafka.block import RecordRun
from driftd.kafka.cluster import RETRY_S, Cluster, Told, fatal, is_fatal
from driftd.kafka.config import SourceConfig, load_or_create_instance_id
from driftd.kafka.stall import Stalls
from driftd.kafka.tick import Quiet

__all__ = ["Read", "Source", "SourceConfig", "load_or_create_instance_id"]
MESSAGES_A_POLL: Final = 2_000
POLL_S: Final = 0.05
"""`consume` waits all of it unless so many messages come."""
START_TIMEOUT_S: Final = 10.0
REJOIN_S: Final = 10.0
LONGEST_REJOIN_S: Final = 60.0

_NO_BROKER: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)  # noqa: SLF001

Read = RecordRun | Tick | Discovered
Place = tuple[str | None, int | None]


class Source:
    """`known`: next offsets of the store, by partition. `greatest`: the greatest Kafka timestamp read before, ms."""

    def __init__(
        self,
        config: SourceConfig,
        known: Mapping[PartitionId, int],
        greatest: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self._monotonic, self._wall = monotonic, wall
        self._quiet = Quiet(config.quiet_s, greatest, monotonic())
        self._announced: set[PartitionId] = set()
        self._subscribed: tuple[str, ...] | None = None
        self._patience_s, self._rejoin_at = REJOIN_S, float("inf")
        self._fault: UserError | None = None
        self._stalls = Stalls()
        self._looked_at: Mapping[PartitionId, int] = {}
        self._told = told = Told(monotonic)
        self._consumer = Consumer({"log_level": 2, **config.consumer(), "error_cb": self._on_error})
        self._cluster = Cluster(self._consumer, config, monotonic, told)
        self._ours = Assignment(self._consumer, self._cluster, self._quiet, known, monotonic, told)
        for partition in known:
            self._cluster.add(partition)

    @property
    def lost(self) -> int:
        """Records that the brokers had dropped before they were read."""
        return self._ours.lost

    @property
    def greatest(self) -> int | None:
        """The greatest Kafka timestamp read so far, ms: to be stored, and given back at the next start."""
        return self._quiet.greatest

    # -- start -------------------------------------------------------------------------------------------------------

    def resolve_start(self) -> tuple[Discovered, dict[PartitionId, int]]:
        """At the very first start: the partitions there are, and the concrete offsets to begin at.

        To be made durable before anything is read, so that a kill before the first commit loses nothing. Raises
        UserError where no broker answers.
        """
        where = OFFSET_END if self.config.start == "latest" else OFFSET_BEGINNING
        found = self._first_offsets(where)
        self._ours.positions.update(found)
        self._announced |= self._cluster.partitions.keys()
        return Discovered(dict(self._cluster.partitions)), dict(self._ours.positions)

    def _first_offsets(self, where: int) -> dict[PartitionId, int]:
        tries = int(START_TIMEOUT_S / RETRY_S)
        while True:
            try:
                self._cluster.look_up(START_TIMEOUT_S)
                return self._cluster.offsets(self._cluster.partitions, where, START_TIMEOUT_S)
            except KafkaException as fault:
                error: KafkaError = fault.args[0]
                tries -= 1
                # A topic that was just made may have no leader yet.
                if error.code() in _NO_BROKER or tries <= 0:
                    problem = self._cluster.no_answer(error.str())
                    raise UserError(problem, "start them, or set kafka.bootstrap_servers", exit_code=1) from fault
                self._consumer.poll(RETRY_S)

    def subscribe(self, announced: Iterable[PartitionId]) -> None:
        """Join the group. `announced`: partitions that the engine already knows."""
        self._announced |= set(announced)
        self._subscribed = ()
        self._join()

    def _join(self) -> None:
        topics = self._cluster.topics
        if self._subscribed is not None and topics != self._subscribed:
            self._subscribed = topics
            self._consumer.subscribe(
                list(topics),
                on_assign=self._ours.on_assign,
                on_revoke=self._ours.on_revoke,
                on_lost=self._ours.on_revoke,
            )

    def _rejoin(self) -> None:
        """Ask the group anew while partitions are not ours.

        A static member that comes back within its session is given what it had, and not what was added meanwhile.
        """
        now = self._monotonic()
        if self._cluster.partitions.keys() <= self._ours.cutters.keys():
            self._patience_s, self._rejoin_at = REJOIN_S, float("inf")
        elif self._rejoin_at > now + LONGEST_REJOIN_S:
            self._rejoin_at = now + self._patience_s
        elif now >= self._rejoin_at and self._subscribed:
            self._patience_s, self._rejoin_at = min(2 * self._patience_s, LONGEST_REJOIN_S), float("inf")
            self._consumer.unsubscribe()
            self._subscribed = ()
            self._join()

    # -- reading -----------------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float) -> list[Read]:
        """What there is after at most about `timeout_s`. Raises UserError for what only a person can put right."""
        self._cluster.keep_informed()
        self._join()
        self._rejoin()
        if self._cluster.ends is not self._looked_at:
            self._looked_at = self._cluster.ends
            self._stalls.look(self._monotonic(), self._looked_at, self._read_now())
        out: list[Read] = self._announce()
        self._ours.moved.clear()
        messages = self._consumer.consume(MESSAGES_A_POLL, min(timeout_s, POLL_S))
        if (fault := self._fault or self._ours.fault) is not None:
            raise fault
        self._sort(messages)
        self._ours.settle()
        if self._ours.whole:
            for cutter in self._ours.cutters.values():
                while (run := cutter.cut()) is not None:
                    out.append(run)
            out += self._ticks()
        for read in out:
            if isinstance(read, RecordRun):
                self._ours.positions[read.partition] = read.next
        return out

    def _read_now(self) -> dict[PartitionId, int]:
        """The next offset of every partition that is to be read now."""
        if not self._ours.whole:
            return {}
        return {p: at for p, at in self._ours.next.items() if p in self._ours.cutters and p not in self._ours.held}

    def _announce(self) -> list[Read]:
        new = {p: kinds for p, kinds in sorted(self._cluster.partitions.items()) if p not in self._announced}
        self._announced |= new.keys()
        return [Discovered(new)] if new else []

    def _sort(self, messages: Sequence[Message]) -> None:
        """Every message to the cutter of its partition. They come in long runs of one partition."""
        records: dict[Place, list[Message]] = {}
        ended: dict[Place, int] = {}
        places = list(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True))
        errors = list(map(Message.error, messages))
        at = 0
        for place, run in groupby(places):
            first, at = at, at + len(list(run))
            if not any(errors[first:at]):
                records.setdefault(place, []).extend(messages[first:at])
                ended.pop(place, None)
                continue
            for message, error in zip(messages[first:at], errors[first:at], strict=True):
                if error is None:
                    records.setdefault(place, []).append(message)
                    ended.pop(place, None)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the public name of the code
                    ended[place] = message.offset() or 0
                else:
                    self._message_error(_partition(place), error)
        now = self._monotonic()
        for place, group in records.items():
            self._add(_partition(place), group, now)
        for place, end in ended.items():
            partition = _partition(place)
            if partition in self._ours.cutters and partition not in self._ours.moved:
                self._ours.next[partition] = max(end, self._ours.next.get(partition, 0))
                self._quiet.ended(partition)

    def _add(self, partition: PartitionId, messages: list[Message], now: float) -> None:
        cutter = self._ours.cutters.get(partition)
        if cutter is None:
            return
        if partition in self._ours.moved:
            # From before the rebalance, most likely; if not, they come again.
            self._ours.astray(partition)
            return
        after = self._ours.next.get(partition, 0)
        if (messages[0].offset() or 0) < after:
            messages = [message for message in messages if (message.offset() or 0) >= after]
            if not messages:
                return
        # map over the methods: nothing is cheaper, and this is done for every record.
        offsets: list[int] = list(map(Message.offset, messages))  # type: ignore[arg-type]
        timestamps = [timestamp for _, timestamp in map(Message.timestamp, messages)]
        cutter.add(
            offsets,
            timestamps,
            list(map(Message.value, messages)),
            list(map(Message.key, messages)),
            list(map(Message.headers, messages)),  # type: ignore[arg-type]
        )
        self._ours.next[partition] = offsets[-1] + 1
        self._quiet.read(partition, max(timestamps), timestamps[-1], now)

    def _ticks(self) -> list[Read]:
        now = self._monotonic()
        due = [p for p in self._quiet.due(now) if p not in self._ours.held]
        if not due or not self._cluster.ask_ends():
            return []
        quiet = []
        for partition in due:
            # A broker that answers no fetch is quiet too: only one that says where the end is can be believed.
            at_end = self._cluster.ends.get(partition, 0) <= self._ours.next.get(partition, 0)
            self._quiet.ended(partition, reached=at_end)
            if at_end:
                quiet.append(partition)
        self._quiet.ticked(quiet, now)
        arrival = self._quiet.arrival(now, int(1000 * self._wall()))
        out: list[Read] = [run for p in quiet if (run := self._ours.cutters[p].flush()) is not None]
        return [*out, Tick(dict.fromkeys(quiet, arrival))] if quiet and arrival is not None else out

    # -- what the loop asks for --------------------------------------------------------------------------------------

    def pause(self, partitions: Iterable[PartitionId]) -> None:
        """Read no more of these for now; polling and membership go on."""
        self._ours.held |= set(partitions)
        self._ours.settle()

    def resume(self, partitions: Iterable[PartitionId]) -> None:
        """Read these again."""
        self._ours.held -= set(partitions)
        self._ours.settle()

    def commit(self, next_offsets: Mapping[PartitionId, int]) -> None:
        """Tell Kafka how far the store is, for lag tools. Never raises."""
        offsets = [TopicPartition(p.topic, p.number, o) for p, o in next_offsets.items() if p in self._ours.cutters]
        try:
            if offsets:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as fault:
            self._told.tell("offsets_not_committed", fault.args[0].str())

    def lag(self) -> dict[PartitionId, int | None]:
        """Records that were not handed out yet, by partition; None where the brokers have not said."""
        out: dict[PartitionId, int | None] = dict.fromkeys(sorted(self._cluster.partitions))
        for partition, end in self._cluster.ends.items():
            at = self._ours.next.get(partition, self._ours.positions.get(partition))
            if partition in self._ours.cutters and at is not None:
                _, cached = self._consumer.get_watermark_offsets(toppar(partition), cached=True)
                out[partition] = max(0, end - at, cached - at) + len(self._ours.cutters[partition])
        return out

    def unready(self) -> tuple[str, ...]:
        """Why nothing is evaluated, in words; empty if all is well."""
        cluster, config = self._cluster, self.config
        out = [cluster.silent] if cluster.silent else []
        if cluster.missing:
            out.append(f"topic {', '.join(cluster.missing)} does not exist")
        have, total = len(self._ours.cutters), len(cluster.partitions)
        if not total:
            out.append(f"no partition of {', '.join(config.listed)} is known")
        elif have < total:
            topics, group = ", ".join(cluster.topics), config.group_id
            out.append(
                f"assigned {have} of {total} partitions of {topics}: group {group} is forming, or has another member"
            )
        elif not self._ours.whole:
            out.append("partitions are being assigned")
        return (*out, *self._stalls.reasons)

    def close(self) -> None:
        """Leave; in the thread that polls. A static member keeps its place until its session ends."""
        self._consumer.close()

    # -- errors ------------------------------------------------------------------------------------------------------

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._fault = fatal(error)
        else:
            self._told.tell("kafka", error.str())

    def _message_error(self, partition: PartitionId, error: KafkaError) -> None:
        if is_fatal(error):
            raise fatal(error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition in self._ours.cutters:  # noqa: SLF001
            self._ours.jump(partition)
        else:
            self._told.tell("kafka", error.str())


def _partition(place: Place) -> PartitionId:
    return PartitionId(str(place[0]), int(place[1] or 0))
