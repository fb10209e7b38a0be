"""A topic as it stands: every partition from one time to another, outside of any group. For `driftd replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from driftd.core.event import Kind, PartitionId
from driftd.core.fault import UserError
from driftd.kafka.block import Cutter, RecordRun

TIMEOUT_S = 10.0
POLL_S = 0.1
SILENCE_S = 60.0


def read_topic(
    client: Mapping[str, str],
    topics: Sequence[str],
    kinds_of: Callable[[str], tuple[Kind, ...]],
    since: int | None,
    until: int | None,
) -> tuple[Iterator[RecordRun], dict[PartitionId, tuple[Kind, ...]]]:
    """Blocks of all partitions, and the partitions. `since`, `until`: Kafka timestamps, ms, half-open. UserError."""
    kinds: dict[PartitionId, tuple[Kind, ...]] = {}
    try:
        quiet = {"log_level": 2, "error_cb": lambda _: None}  # what matters is told by what is asked
        ours = {"group.id": "driftd-replay", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({**quiet, **client, **ours})
        metadata = consumer.list_topics(timeout=TIMEOUT_S)
        for name in topics:
            found = metadata.topics.get(name)
            if found is None or found.error is not None:
                raise UserError(f"topic {name} does not exist", "give a topic of this broker", exit_code=1)
            kinds.update({PartitionId(name, n): kinds_of(name) or ("prediction",) for n in found.partitions})
        spans = {p: _span(consumer, p, since, until) for p in sorted(kinds)}
    except KafkaException as fault:
        error = fault.args[0]
        if error.code() == KafkaError._INVALID_ARG:  # noqa: SLF001 - the public name of the code
            raise UserError(f"Kafka: {error.str()}", "mend kafka.client") from fault
        raise UserError(f"Kafka: {error.str()}", "is kafka.bootstrap_servers right?", exit_code=1) from fault
    return _runs(consumer, spans), kinds


def _span(consumer: Consumer, partition: PartitionId, since: int | None, until: int | None) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(TopicPartition(partition.topic, partition.number), timeout=TIMEOUT_S)

    def at(time: int | None, default: int) -> int:
        if time is None:
            return default
        (found,) = consumer.offsets_for_times(
            [TopicPartition(partition.topic, partition.number, time)], timeout=TIMEOUT_S
        )
        return found.offset if found.offset >= 0 else high

    return at(since, low), at(until, high)


def _runs(consumer: Consumer, spans: Mapping[PartitionId, tuple[int, int]]) -> Iterator[RecordRun]:
    cutters = {p: Cutter(p) for p, (first, end) in spans.items() if first < end}
    consumer.assign([TopicPartition(p.topic, p.number, spans[p][0]) for p in cutters])
    open_ = set(cutters)
    empty = 0
    while open_:
        messages = consumer.consume(2_000, POLL_S)
        empty = 0 if messages else empty + 1
        if empty * POLL_S > SILENCE_S:
            raise UserError(
                f"nothing of {', '.join(map(str, sorted(open_)))} came for {SILENCE_S:.0f} s",
                "are the brokers up?",
                exit_code=1,
            )
        for message in messages:
            partition = PartitionId(str(message.topic()), int(message.partition() or 0))
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the public name of the code
                    open_.discard(partition)
                elif error.fatal():
                    raise UserError(f"Kafka: {error.str()}", exit_code=1)
                continue
            offset = int(message.offset() or 0)
            if offset >= spans[partition][1]:
                open_.discard(partition)
                continue
            cutters[partition].add(
                [offset],
                [message.timestamp()[1]],
                [message.value()],
                [message.key()],
                [message.headers()],  # type: ignore[list-item]
            )
        for cutter in cutters.values():
            while (run := cutter.cut()) is not None:
                yield run
    for partition in sorted(cutters):
        if (rest := cutters[partition].flush()) is not None:
            yield rest
    consumer.close()
