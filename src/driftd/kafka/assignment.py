"""Which partitions are ours, from which offsets they are read, and which are held back.

All that there are must be ours; else everything that is ours is paused. After a rebalance a partition is read on from
what was handed out of it; what was read beyond that is forgotten, and read again by whoever has it then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from driftd.core.event import PartitionId
from driftd.kafka.block import Cutter
from driftd.kafka.cluster import TIMEOUT_S, Cluster, Told
from driftd.kafka.tick import Quiet

_log = structlog.get_logger(__name__)


class Assignment:
    """`positions`: the next offset after what was handed out; a partition without one is read from its beginning.

    `cutters`: one for each partition that is ours. `next`: the next offset to read; not known of a partition that is
    read from its beginning until something is. `moved`: partitions assigned or revoked in the poll under way. `held`:
    those that the loop wants paused. `lost`: records that the brokers had dropped before they were read.
    """

    def __init__(
        self,
        consumer: Consumer,
        cluster: Cluster,
        quiet: Quiet,
        positions: Mapping[PartitionId, int],
        monotonic: Callable[[], float],
        told: Told,
    ) -> None:
        self.positions = dict(positions)
        self.cutters: dict[PartitionId, Cutter] = {}
        self.next: dict[PartitionId, int] = {}
        self.moved: set[PartitionId] = set()
        self.held: set[PartitionId] = set()
        self.whole = False
        """Whether all partitions are ours and at their offsets."""
        self.lost = 0
        self.fault: BaseException | None = None
        """What a callback would have raised."""
        self._paused: set[PartitionId] = set()
        self._astray: set[PartitionId] = set()
        """Partitions to be fetched from `next` anew before they are read on."""
        self._consumer, self._cluster, self._quiet = consumer, cluster, quiet
        self._monotonic, self._told = monotonic, told

    def settle(self) -> None:
        """Bring what is paused in line with what is ours and what is held."""
        for partition in sorted(self._astray & self.cutters.keys()):
            self._place(partition)
        mine = self.cutters.keys()
        self.whole = bool(mine) and self._cluster.partitions.keys() <= mine and not self._astray & mine
        wanted = self.held & mine if self.whole else set(mine)
        if stop := wanted - self._paused:
            self._consumer.pause([toppar(p) for p in sorted(stop)])
        if go := (self._paused & mine) - wanted:
            self._consumer.resume([toppar(p) for p in sorted(go)])
        self._paused = wanted

    def astray(self, partition: PartitionId) -> None:
        """What was fetched of it was thrown away: it must be fetched again."""
        self._astray.add(partition)

    def jump(self, partition: PartitionId) -> None:
        """What was to be read next is not there any more: count what is lost and read on from the first that is."""
        at = self.next.get(partition, 0)
        self._astray.add(partition)
        try:
            low, _ = self._consumer.get_watermark_offsets(toppar(partition), timeout=TIMEOUT_S)
        except KafkaException as fault:  # fetched from where it was, it fails again, and comes back here
            self._told.tell("no_watermarks", fault.args[0].str())
            return
        lost = max(0, low - at)
        self.lost += lost
        _log.error("records_lost", partition=str(partition), expected=at, first=low, records=lost)
        self.next[partition] = low

    def on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        """Librdkafka's callback. Never raises."""
        try:
            for given in assigned:
                partition = PartitionId(given.topic, given.partition)
                self._cluster.add(partition)
                self._forget(partition)
                given.offset = self.positions.get(partition, OFFSET_BEGINNING)
                if given.offset >= 0:
                    self.next[partition] = given.offset
                self.cutters[partition] = Cutter(partition)
                self._quiet.assigned(partition, self._monotonic())
                self.moved.add(partition)
                self._paused.add(partition)
            consumer.incremental_assign(assigned)
            # Whether all are ours is known after the poll; and the engine hears of a partition before its records.
            consumer.pause(assigned)
        except Exception as fault:  # noqa: BLE001 - it would be lost inside librdkafka; poll raises it
            self.fault = fault

    def on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        """Librdkafka's callback. Never raises."""
        try:
            for taken in revoked:
                partition = PartitionId(taken.topic, taken.partition)
                self._forget(partition)
                self.moved.add(partition)
            consumer.incremental_unassign(revoked)
        except Exception as fault:  # noqa: BLE001 - as above
            self.fault = fault

    def _place(self, partition: PartitionId) -> None:
        """Fetch from `next` on, whatever was fetched. A partition whose offset was not there cannot be sought."""
        there = TopicPartition(partition.topic, partition.number, self.next.get(partition, OFFSET_BEGINNING))
        try:
            if toppar(partition) in self._consumer.assignment():
                self._consumer.incremental_unassign([there])
            self._consumer.incremental_assign([there])
            self._consumer.pause([there])
        except KafkaException as fault:  # the group is changing: again after the next poll
            self._told.tell("not_placed", fault.args[0].str())
            return
        self._paused.add(partition)
        self._astray.discard(partition)

    def _forget(self, partition: PartitionId) -> None:
        self.cutters.pop(partition, None)
        self.next.pop(partition, None)
        self._paused.discard(partition)
        self._astray.discard(partition)
        self._quiet.revoked(partition)


def toppar(partition: PartitionId) -> TopicPartition:
    """A partition as confluent-kafka has it, without an offset."""
    return TopicPartition(partition.topic, partition.number)
