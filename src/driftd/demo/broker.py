"""An embedded Kafka: librdkafka's mock cluster, which lives in the producer that asks for it."""

from __future__ import annotations

from typing import Self

from confluent_kafka import KafkaException, Producer

from driftd.core.fault import UserError
from driftd.demo.plan import TOPIC

TIMEOUT_S = 10.0


class Broker:
    """One broker on loopback, alive while this object is. Its topics are made by asking for them, of 4 partitions."""

    def __init__(self) -> None:
        # Its log would be of connections that the daemon closes when it ends.
        self.producer = Producer({"test.mock.num.brokers": 1, "linger.ms": 20, "log_level": 0})
        try:
            found = self.producer.list_topics(TOPIC, timeout=TIMEOUT_S)
        except KafkaException as error:
            raise UserError(f"the embedded broker did not start: {error.args[0].str()}", exit_code=1) from error
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in found.brokers.values())
        self.partitions = len(found.topics[TOPIC].partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.purge()
        self.producer.flush(TIMEOUT_S)

    def send(self, value: bytes, partition: int, time_ms: int) -> None:
        """A record with its event time as Kafka timestamp."""
        while True:
            try:
                self.producer.produce(TOPIC, value, partition=partition, timestamp=time_ms)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.05)

    def delivered(self) -> None:
        """Waits until the broker has all that was sent."""
        self.producer.flush(TIMEOUT_S)
