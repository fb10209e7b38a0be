"""What the brokers know: which partitions there are, and where they end. Questions to them, and errors they report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from driftd.core.event import Kind, PartitionId
from driftd.core.fault import UserError
from driftd.kafka.config import SourceConfig
from driftd.kafka.mapping import kinds_of

_log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 1.0
"""Of a question while polling: nothing is read meanwhile."""
ENDS_EVERY_S: Final = 5.0
RETRY_S: Final = 1.0
TELL_EVERY_S: Final = 60.0


class Told:
    """Passing errors, each kind logged once a minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def tell(self, event: str, text: str) -> None:
        now = self._monotonic()
        if now - self._last.get(event, float("-inf")) >= TELL_EVERY_S:
            self._last[event] = now
            _log.warning(event, error=text)


class Cluster:
    """`partitions`: all that were ever seen of the topics listed, with their kinds. `missing`: topics not there now.

    `ends`: end offsets, as the brokers said last; empty if they did not answer.
    """

    def __init__(self, consumer: Consumer, config: SourceConfig, monotonic: Callable[[], float], told: Told) -> None:
        self.partitions: dict[PartitionId, tuple[Kind, ...]] = {}
        self.missing: tuple[str, ...] = ()
        self.ends: dict[PartitionId, int] = {}
        self.silent = ""
        """Why the brokers did not answer the last question; empty if they did."""
        self._consumer, self._config, self._monotonic, self._told = consumer, config, monotonic, told
        self._look_again = self._ask_again = float("-inf")

    def add(self, partition: PartitionId) -> None:
        """A partition that is known from elsewhere, if its topic is listed."""
        if kinds := kinds_of(self._config.topics, partition.topic):
            self.partitions.setdefault(partition, kinds)

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics of which partitions were seen."""
        return tuple(sorted({partition.topic for partition in self.partitions}))

    def keep_informed(self) -> None:
        """Look and ask again where it is time to; while the brokers do not answer, not more than once a second."""
        now = self._monotonic()
        if now >= self._look_again:
            try:
                self.look_up(TIMEOUT_S)
            except KafkaException as fault:
                self._did_not_answer(fault)
                self._look_again = self._monotonic() + RETRY_S
        if now >= self._ask_again:
            self.ask_ends()

    def look_up(self, timeout_s: float) -> None:
        """Which partitions there are. Raises KafkaException where no broker answers."""
        metadata = self._consumer.list_topics(timeout=timeout_s)
        self.silent = ""
        topics = {name: topic for name, topic in metadata.topics.items() if topic.error is None}
        for name, topic in topics.items():
            if kinds := kinds_of(self._config.topics, name):
                self.partitions.update({PartitionId(name, number): kinds for number in topic.partitions})
        named = {name for name in self._config.listed if not name.startswith("^")}
        self.missing = tuple(sorted((named | set(self.topics)) - topics.keys()))
        wait = RETRY_S if self.missing or not self.partitions else self._config.metadata_every_s
        self._look_again = self._monotonic() + wait

    def ask_ends(self) -> bool:
        """Where every partition ends now. False, and no end is known, if the brokers do not say."""
        self._ask_again = self._monotonic() + ENDS_EVERY_S
        there = [partition for partition in self.partitions if partition.topic not in self.missing]
        if not there:
            self.ends = {}
            return False
        try:
            self.ends = self.offsets(there, OFFSET_END, TIMEOUT_S)
        except KafkaException as fault:
            self._did_not_answer(fault)
            return False
        self.silent = ""
        return True

    def offsets(self, partitions: Iterable[PartitionId], where: int, timeout_s: float) -> dict[PartitionId, int]:
        """The first or the end offset of each, in one question to each broker. Raises KafkaException."""
        asked = [TopicPartition(p.topic, p.number, where) for p in sorted(partitions)]
        answered = self._consumer.offsets_for_times(asked, timeout=timeout_s) if asked else []
        for toppar in answered:
            if toppar.error is not None:
                raise KafkaException(toppar.error)
        return {PartitionId(t.topic, t.partition): t.offset for t in answered}

    def no_answer(self, why: str) -> str:
        return f"the brokers at {self._config.client.get('bootstrap.servers', '')} do not answer: {why}"

    def _did_not_answer(self, fault: KafkaException) -> None:
        self.ends = {}
        self.silent = self.no_answer(fault.args[0].str())
        self._told.tell("no_answer", self.silent)


def is_fatal(error: KafkaError) -> bool:
    """Whether the consumer does nothing any more."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL  # noqa: SLF001 - the public name of the code


def fatal(error: KafkaError) -> UserError:
    """An error after which the consumer does nothing any more, as a person is told it."""
    if error.code() == KafkaError.FENCED_INSTANCE_ID or "group.instance.id" in error.str():
        return UserError(
            "Kafka: another process has joined the group under this instance id",
            "run one driftd a state directory; in a copy of one, remove the file instance-id",
            exit_code=1,
        )
    return UserError(f"Kafka: {error.str()}", "see the brokers' logs", exit_code=1)
