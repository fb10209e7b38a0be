from collections.abc import Iterator

import pytest

from tests.kafka.members import Members
from tests.kafka_fixture import Kafka


@pytest.fixture
def members(kafka: Kafka) -> Iterator[Members]:
    members = Members(kafka)
    yield members
    members.close()
