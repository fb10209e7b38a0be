"""A bounded sample of a topic, outside of any group: its newest records, or its oldest. For `driftd sniff`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from driftd.core.fault import UserError

TIMEOUT_S: Final = 10.0
PATIENCE_S: Final = 30.0
MOST_BYTES: Final = 64 * 1024 * 1024

Headers = list[tuple[str, bytes | str | None]]


@dataclass(frozen=True, slots=True)
class Record:
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Headers | None


@dataclass(frozen=True, slots=True)
class Sample:
    """`there`: how many offsets the topic holds, in how many `partitions`."""

    topic: str
    records: tuple[Record, ...]
    there: int
    partitions: int


def read_sample(client: Mapping[str, str], topic: str, records: int, *, earliest: bool = False) -> Sample:
    """At most so many records, evenly over the partitions. Raises UserError: no broker, no topic, nothing in it."""
    quiet = {"log_level": 2, "error_cb": lambda _: None}  # what matters is told by what is asked
    ours = {"group.id": "driftd-sniff", "enable.auto.commit": False, "enable.partition.eof": True}
    try:
        consumer = Consumer({**quiet, **client, **ours})
        try:
            return _read(consumer, topic, records, earliest=earliest)
        finally:
            consumer.close()
    except KafkaException as fault:
        error = fault.args[0]
        if error.code() == KafkaError._INVALID_ARG:  # noqa: SLF001 - the public name of the code
            raise UserError(f"Kafka: {error.str()}", "mend kafka.client") from fault
        servers = client.get("bootstrap.servers", "")
        remedy = "start them, set kafka.bootstrap_servers, or give --brokers"
        raise UserError(f"the brokers at {servers} do not answer: {error.str()}", remedy, exit_code=1) from fault


def _read(consumer: Consumer, topic: str, records: int, *, earliest: bool) -> Sample:
    topics = consumer.list_topics(timeout=TIMEOUT_S).topics
    if topic not in topics:
        near = get_close_matches(topic, topics, 3, 0.5)
        some = sorted(name for name in topics if not name.startswith("__"))[:10]
        remedy = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(some) or 'no topics'}"
        raise UserError(f"there is no topic {topic} on the broker", remedy, exit_code=1)
    ends: dict[int, tuple[int, int]] = {}
    for number in topics[topic].partitions:
        ends[number] = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
    there = sum(high - low for low, high in ends.values())
    spans = _spans(ends, records, earliest=earliest)
    found = _consume(consumer, topic, spans, records) if spans else []
    if not found:
        remedy = "send a record, or wait for one" if not there else "all were taken out or aborted: send a new one"
        raise UserError(f"topic {topic} is empty", remedy, exit_code=1)
    return Sample(topic, tuple(sorted(found, key=lambda r: (r.timestamp, r.partition, r.offset))), there, len(ends))


def _spans(ends: Mapping[int, tuple[int, int]], records: int, *, earliest: bool) -> dict[int, tuple[int, int]]:
    """From where to where to read each partition: what a small one lacks, the larger ones give."""
    spans: dict[int, tuple[int, int]] = {}
    left, waiting = records, sorted(ends, key=lambda number: ends[number][1] - ends[number][0])
    for i, number in enumerate(waiting):
        low, high = ends[number]
        n = min(high - low, -(-left // (len(waiting) - i)))
        left -= n
        if n:
            spans[number] = (low, low + n) if earliest else (high - n, high)
    return spans


def _consume(consumer: Consumer, topic: str, spans: Mapping[int, tuple[int, int]], records: int) -> list[Record]:
    consumer.assign([TopicPartition(topic, number, first) for number, (first, _) in spans.items()])
    open_, found, size = set(spans), [], 0
    give_up = time.monotonic() + PATIENCE_S
    while open_ and size < MOST_BYTES and time.monotonic() < give_up:
        messages: list[Message] = consumer.consume(min(records, 1_000), 0.1)
        for message in messages:
            number, offset, error = int(message.partition() or 0), int(message.offset() or 0), message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the public name of the code
                    raise KafkaException(error)
                open_.discard(number)
                continue
            if offset < spans[number][1]:
                value = message.value()
                size += len(value or b"")
                headers: Headers | None = message.headers()  # type: ignore[assignment]
                found.append(Record(number, offset, message.timestamp()[1], value, headers))
            if offset >= spans[number][1] - 1:
                open_.discard(number)
    return found
