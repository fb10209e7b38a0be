"""Which Kafka the tests run against: the truest that can be had here."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from docker import from_env as docker_engine
from docker.errors import DockerException
from testcontainers.community.kafka import KafkaContainer

from tests.broker import ANY_TIME, SETTINGS, BrokerError, LocalKafka, why_not_local

MOCK_PARTITIONS = 4  # librdkafka's mock cluster gives every topic so many


@dataclass(frozen=True)
class Kafka:
    """`real`: not librdkafka's mock cluster. `describe`: what it is, and why nothing better."""

    bootstrap_servers: str
    real: bool
    describe: str


@contextlib.contextmanager
def open_kafka() -> Iterator[Kafka]:
    """The Kafka named by DRIFTD_TEST_KAFKA, or a container, or a local broker, or the mock cluster.

    A named one that does not answer is an error; what cannot start is passed over, and `describe` says why.
    """
    with contextlib.ExitStack() as stack:
        if address := os.environ.get("DRIFTD_TEST_KAFKA"):
            AdminClient({"bootstrap.servers": address}).list_topics(timeout=10)
            yield Kafka(address, real=True, describe=f"the one at {address} (DRIFTD_TEST_KAFKA)")
            return
        container, why_no_container = start_container(stack)
        if container:
            yield container
            return
        local, why_no_local = start_local(stack)
        if local:
            yield local
            return
        mock = Producer({"test.mock.num.brokers": 1, "log_level": 3})  # it lives as long as this producer
        broker = mock.list_topics(timeout=10).brokers.popitem()[1]
        why = f"no container: {why_no_container}; no local broker: {why_no_local}"
        yield Kafka(f"{broker.host}:{broker.port}", real=False, describe=f"librdkafka's mock cluster ({why})")


def start_container(stack: contextlib.ExitStack) -> tuple[Kafka | None, str]:
    """A broker in a container, ended by the stack; or None and why not."""
    try:
        with contextlib.closing(docker_engine(timeout=3)) as engine:
            engine.ping()
    except DockerException as no_engine:
        return None, f"no container engine answers ({no_engine})"
    kafka = KafkaContainer().with_kraft()
    for key, value in SETTINGS.items():
        kafka.with_env("KAFKA_" + key.replace(".", "_").upper(), value)
    try:
        stack.enter_context(kafka)
    except Exception as failed:  # noqa: BLE001 (the engine, the image's download and the wait each have their own)
        return None, f"{kafka.image} did not start ({failed})"
    return Kafka(kafka.get_bootstrap_server(), real=True, describe=f"{kafka.image} in a container"), ""


def start_local(stack: contextlib.ExitStack) -> tuple[Kafka | None, str]:
    """A broker of this machine's Java, ended by the stack; or None and why not."""
    if why_not := why_not_local():
        return None, why_not
    try:
        broker = stack.enter_context(LocalKafka())
    except BrokerError as failed:
        return None, str(failed)
    return Kafka(broker.bootstrap_servers, real=True, describe="a local broker (tests/broker.py)"), ""


class Topics:
    """Topics of one test: called, it makes a new one and gives its name; `close` deletes them all."""

    def __init__(self, kafka: Kafka, prefix: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        self._kafka = kafka
        self._prefix = prefix
        self._made: list[str] = []

    def __call__(self, partitions: int = MOCK_PARTITIONS, **config: str) -> str:
        """A topic's name. `config`: settings of the topic, with _ for the dots of their names."""
        name = f"{self._prefix}-{uuid.uuid4().hex[:8]}"
        if self._kafka.real:
            given = {key.replace("_", "."): value for key, value in config.items()}
            topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=ANY_TIME | given)
            self._admin.create_topics([topic])[name].result(timeout=30)
            self._made.append(name)
        elif partitions != MOCK_PARTITIONS or config:
            pytest.skip(f"needs a topic of its own settings, but the Kafka is {self._kafka.describe}")
        self._wait_for(name, partitions)
        return name

    def close(self) -> None:
        if self._made:
            for deleted in self._admin.delete_topics(self._made).values():
                deleted.result(timeout=30)

    def _wait_for(self, name: str, partitions: int) -> None:
        """Until every partition has a leader; the mock cluster makes a topic when it is first asked for."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self._admin.list_topics(name, timeout=10).topics[name].partitions
            if len(found) == partitions and all(partition.leader >= 0 for partition in found.values()):
                return
            time.sleep(0.01)
        raise TimeoutError(f"the topic {name} did not get its {partitions} partitions")
