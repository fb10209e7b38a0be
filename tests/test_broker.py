"""The Kafka under the other tests does what they rely on."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Message, Producer, TopicPartition

from tests import broker
from tests.broker import ROOT, BrokerError, LocalKafka
from tests.kafka_fixture import Kafka, Topics

YEAR_1990_MS = 631_152_000_000
YEAR_2100_MS = 4_102_444_800_000


def produce(bootstrap_servers: str, topic: str, timestamps_ms: list[int]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 3})
    for number, timestamp_ms in enumerate(timestamps_ms):
        producer.produce(topic, str(number).encode(), partition=0, timestamp=timestamp_ms)
    assert producer.flush(30) == 0


@contextmanager
def consumer_of(bootstrap_servers: str) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "test", "log_level": 3})
    try:
        yield consumer
    finally:
        consumer.close()


def consume(bootstrap_servers: str, topic: str, count: int) -> list[Message]:
    with consumer_of(bootstrap_servers) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=30)
    assert [message.error() for message in messages] == [None] * count
    return messages


def test_event_time_of_any_year_comes_back_as_the_timestamp(kafka: Kafka, topic: Topics):
    name = topic()
    timestamps_ms = [YEAR_1990_MS, YEAR_2100_MS, YEAR_1990_MS + 1]

    produce(kafka.bootstrap_servers, name, timestamps_ms)

    messages = consume(kafka.bootstrap_servers, name, 3)
    assert [message.timestamp() for message in messages] == [
        (TIMESTAMP_CREATE_TIME, timestamp_ms) for timestamp_ms in timestamps_ms
    ]
    assert [message.value() for message in messages] == [b"0", b"1", b"2"]


def test_offsets_are_found_by_time(real_kafka: Kafka, topic: Topics):
    name = topic(partitions=1)
    produce(real_kafka.bootstrap_servers, name, [YEAR_1990_MS + 1000 * second for second in range(100)])

    with consumer_of(real_kafka.bootstrap_servers) as consumer:
        asked = [TopicPartition(name, 0, YEAR_1990_MS + 41_500), TopicPartition(name, 0, YEAR_2100_MS)]
        found = [consumer.offsets_for_times([one], timeout=30)[0].offset for one in asked]
        end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=30)

    assert found == [42, -1]
    assert end == (0, 100)


@pytest.mark.slow
def test_a_killed_broker_comes_back_at_its_address_with_its_data(local_kafka: LocalKafka):
    address = local_kafka.bootstrap_servers
    topics = Topics(Kafka(address, real=True, describe="the test's own"), prefix="kept")
    name = topics(partitions=1)
    produce(address, name, [YEAR_1990_MS, YEAR_1990_MS + 1])

    local_kafka.kill()
    local_kafka.start()
    produce(address, name, [YEAR_1990_MS + 2])
    local_kafka.restart()

    assert local_kafka.bootstrap_servers == address
    assert [message.timestamp()[1] - YEAR_1990_MS for message in consume(address, name, 3)] == [0, 1, 2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.usefixtures("java")
def test_a_port_taken_meanwhile_is_replaced(taken_port: int, monkeypatch: pytest.MonkeyPatch):
    free_port = broker.free_port
    first_choice = iter([taken_port])
    monkeypatch.setattr(broker, "free_port", lambda: next(first_choice, None) or free_port())

    with LocalKafka() as replaced:
        assert replaced.bootstrap_servers != f"127.0.0.1:{taken_port}"


@pytest.mark.usefixtures("java")
def test_a_failing_broker_says_why(taken_port: int):
    with pytest.raises(BrokerError, match="Address already in use"):
        LocalKafka(port=taken_port).start()


@pytest.mark.usefixtures("java")
def test_run_by_hand_it_prints_its_address_and_ends_on_a_signal():
    port = broker.free_port()
    command = [sys.executable, "-m", "tests.broker", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as by_hand:
        assert by_hand.stdout
        try:
            assert by_hand.stdout.readline() == f"bootstrap servers: 127.0.0.1:{port}\n"
        finally:
            by_hand.terminate()
        assert by_hand.wait(timeout=30) == 0
