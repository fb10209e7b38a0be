"""Refused records on their way to a topic of their own."""

import time
import uuid
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from driftd.core.event import PartitionId, Refusal
from driftd.core.fault import UserError
from driftd.kafka.block import Header, RecordRun
from driftd.kafka.dead_letters import DeadLetters, PoisonGuard
from tests.kafka_fixture import Kafka

SOURCE = PartitionId("events", 3)


def run(n: int = 3, value: bytes = b"not json") -> RecordRun:
    headers: list[list[Header] | None] = [[("theirs", b"h")] if i == 1 else None for i in range(n)]
    return RecordRun(SOURCE, [10 * (i + 1) for i in range(n)], [5] * n, [value] * n, [b"key"] * n, headers)


def read_all(kafka: Kafka, topic: str, n: int) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": uuid.uuid4().hex})
    found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in found])
    deadline = time.monotonic() + 20
    messages: list[Any] = []
    while len(messages) < n and time.monotonic() < deadline:
        messages += [m for m in consumer.consume(n, 0.1) if m.error() is None]
    consumer.close()
    return messages


@pytest.fixture
def name(kafka):
    yield (name := f"dead-{uuid.uuid4().hex[:8]}")
    if kafka.real:
        AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).delete_topics([name])[name].exception(timeout=10)


def letters(kafka: Kafka, name: str, *, payload: bool = True) -> DeadLetters:
    return DeadLetters(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.protocol": "consumer"}, name, payload=payload
    )


def test_a_letter_has_the_bytes_and_says_whence_and_why(kafka, name):
    subject = letters(kafka, name)
    subject.send(run(), Refusal(20, "json", "Expecting value at character 0"))
    subject.send(run(), Refusal(30, "empty", "détail \ud800"))
    subject.flush()
    first, second = sorted(read_all(kafka, name, 2), key=lambda m: m.headers()[-1][1])
    assert (first.key(), first.value()) == (b"key", b"not json")
    assert first.headers() == [
        ("theirs", b"h"),
        ("driftd.topic", b"events"),
        ("driftd.partition", b"3"),
        ("driftd.offset", b"20"),
        ("driftd.reason", b"json"),
        ("driftd.detail", b"Expecting value at character 0"),
    ]
    assert second.headers()[-1] == ("driftd.detail", "détail \\ud800".encode())
    assert subject.sent == 2
    subject.close()


def test_without_payload_nothing_of_the_record_leaves(kafka, name):
    subject = letters(kafka, name, payload=False)
    subject.send(run(), Refusal(20, "json"))
    subject.flush()
    (only,) = read_all(kafka, name, 1)
    assert (only.key(), only.value()) == (None, None)
    assert only.headers()[0][0] == "driftd.topic"
    assert ("driftd.offset", b"20") in only.headers()


def test_the_topic_is_made_with_one_partition(real_kafka, name):
    letters(real_kafka, name).close()
    letters(real_kafka, name).close()  # it is there already
    found = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers}).list_topics(name, timeout=10).topics[name]
    assert len(found.partitions) == 1


def test_a_record_that_is_too_large_for_the_topic_is_sent_without_its_bytes(real_kafka, name):
    admin = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": "2000"})])[name].result(timeout=10)
    subject = letters(real_kafka, name)
    for value, why in ((b"x" * 5_000, "json"), (b"x", "utf8"), (b"y" * 17_000_000, "depth")):
        subject.send(run(value=value), Refusal(20, why))
    subject.flush()
    found = {dict(m.headers())["driftd.reason"]: m for m in read_all(real_kafka, name, 3)}
    assert {reason: m.value() for reason, m in found.items()} == {b"json": None, b"utf8": b"x", b"depth": None}
    for reason, size in ((b"json", b"5000"), (b"depth", b"17000000")):
        headers = dict(found[reason].headers())
        assert (headers["driftd.too_large"], headers["driftd.offset"]) == (size, b"20")


def test_a_full_queue_waits(kafka, name):
    subject = DeadLetters({"bootstrap.servers": kafka.bootstrap_servers, "queue.buffering.max.messages": "10"}, name)
    for _ in range(500):
        subject.send(run(), Refusal(10, "json"))
    subject.flush()
    assert len(read_all(kafka, name, 500)) == 500


def test_what_is_not_acknowledged_stops_the_commit(local_kafka):
    subject = DeadLetters({"bootstrap.servers": local_kafka.bootstrap_servers}, "dead")
    local_kafka.kill()
    subject.send(run(), Refusal(10, "json"))
    with pytest.raises(UserError, match="dead letters cannot be written to dead: 1 not acknowledged"):
        subject.flush(timeout_s=0.5)
    local_kafka.start()
    subject.flush()  # it was only late
    subject.close()


def test_a_topic_that_cannot_be_made_is_an_error_at_the_start(real_kafka):
    with pytest.raises(UserError, match="dead-letter topic no/such is not there and cannot be made"):
        letters(real_kafka, "no/such")


def test_no_broker_is_an_error_at_the_start(monkeypatch):
    monkeypatch.setattr("driftd.kafka.dead_letters.CREATE_S", 0.5)
    with pytest.raises(UserError, match=r"do not answer.*kafka.bootstrap_servers"):
        DeadLetters({"bootstrap.servers": "127.0.0.1:1"}, "dead")


def test_without_a_topic_refused_records_are_only_counted_elsewhere():
    subject = DeadLetters({}, None)
    subject.send(run(), Refusal(10, "json"))
    subject.flush()
    subject.close()
    assert subject.sent == 0


# -- poison ------------------------------------------------------------------------------------------------------------


def test_a_partition_that_is_mostly_poison_halts_and_says_where_and_how_much():
    guard = PoisonGuard(0.5)
    other = PartitionId("events", 4)
    assert guard.check(SOURCE, 999, 999) is None  # too few to say
    assert guard.check(other, 5_000, 0) is None
    why = guard.check(SOURCE, 1, 1)
    assert why is not None
    assert why.startswith("events[3]: 1000 of the last 1000 records cannot be counted (100%)")
    assert guard.check(other, 100, 100) is None


def test_half_is_not_most():
    guard = PoisonGuard(0.5)
    assert guard.check(SOURCE, 1_000, 500) is None
    assert guard.check(SOURCE, 1_000, 501) is not None


def test_only_the_last_records_count():
    guard = PoisonGuard(0.5)
    for _ in range(1_000):
        assert guard.check(SOURCE, 8_192, 0) is None
    for _ in range(7):
        assert guard.check(SOURCE, 100, 100) is None
    assert guard.check(SOURCE, 8_192, 4_000) is None
    assert guard.check(SOURCE, 1_000, 1_000) is not None


def test_the_person_says_how_much_is_too_much():
    strict, never = PoisonGuard(0.01), PoisonGuard(None)
    assert strict.check(SOURCE, 1_000, 10) is None
    why = strict.check(SOURCE, 1_000, 11)
    assert why is not None
    assert "kafka.dead_letters.halt_share (now 0.01)" in why
    assert never.check(SOURCE, 100_000, 100_000) is None
