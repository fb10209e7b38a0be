from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from tests.kafka.members import Members
from tests.kafka_fixture import Kafka
from tests.registry import Gate, LocalRegistry


@pytest.fixture
def members(kafka: Kafka) -> Iterator[Members]:
    members = Members(kafka)
    yield members
    members.close()


@pytest.fixture(scope="module")
def client(registry: LocalRegistry) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": registry.url})


@pytest.fixture
def gate(registry: LocalRegistry) -> Iterator[Gate]:
    made = Gate(registry.url)
    yield made
    made.close()
