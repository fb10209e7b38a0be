"""Records that cannot be counted go to a topic of their own, acknowledged before the commit that passes them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftd.core.event import PartitionId, Refusal
from driftd.core.fault import UserError
from driftd.kafka.block import Header, RecordRun

_log = structlog.get_logger(__name__)

FLUSH_S: Final = 30.0
CREATE_S: Final = 10.0
LARGEST_BYTES: Final = 16 * 1024 * 1024
"""A record that one of the person's topics holds must pass; what the dead-letter topic takes is its brokers' to say."""
_NO_BROKER: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)  # noqa: SLF001
_CONSUMERS: Final = (
    *("group.", "session.", "heartbeat.", "max.poll", "fetch.", "queued.", "auto.offset", "isolation.level"),
    *("partition.assignment", "check.crcs", "consume.", "coordinator.", "enable.auto."),
)


@dataclass(slots=True)
class _Letter:
    """One refused record on its way. `ours`: the headers that say whence and why.

    `refused`: how often it was too large: once among others, which it may not be alone; once alone.
    """

    ours: list[Header]
    theirs: list[Header] = field(default_factory=list)
    key: bytes | None = None
    value: bytes | None = None
    refused: int = 0

    def without_payload(self) -> _Letter:
        """Its coordinates are what must not be lost."""
        size = str(len(self.value or b"")).encode()
        return _Letter([*self.ours, ("driftd.too_large", size)])


class DeadLetters:
    """`topic` None: refused records are counted and dropped. `payload` False: key, value and headers are kept out.

    Raises UserError where the topic is not there and cannot be made.
    """

    def __init__(self, client: Mapping[str, str], topic: str | None, *, payload: bool = True) -> None:
        self.topic, self.payload = topic, payload
        self.sent = 0
        """Records sent in the life of this process; acknowledged ones after `flush`."""
        self._failed: KafkaError | None = None
        self._too_large: list[_Letter] = []
        self._producer: Producer | None = None
        if topic is not None:
            ours: dict[str, Any] = {k: v for k, v in client.items() if not k.startswith(_CONSUMERS)}
            ours |= {"log_level": 2, "error_cb": lambda _: None}  # what matters is told by `flush`
            _create(ours, topic)
            self._producer = Producer(
                {"message.max.bytes": LARGEST_BYTES, "linger.ms": 5, **ours, "enable.idempotence": True, "acks": "all"}
            )

    def send(self, run: RecordRun, refusal: Refusal) -> None:
        """One refused record of this run. It leaves at the latest with `flush`."""
        if self._producer is None:
            return
        at = bisect_left(run.offsets, refusal.offset)
        ours: list[Header] = [
            ("driftd.topic", run.partition.topic.encode()),
            ("driftd.partition", str(run.partition.number).encode()),
            ("driftd.offset", str(refusal.offset).encode()),
            ("driftd.reason", refusal.reason.encode()),
            ("driftd.detail", refusal.detail.encode("utf-8", "backslashreplace")),
        ]
        letter = _Letter(ours)
        if self.payload:
            theirs = run.headers[at] or [] if run.headers else []
            letter = _Letter(ours, theirs, run.keys[at] if run.keys else None, run.values[at])
        self._produce(letter)
        self.sent += 1

    def flush(self, timeout_s: float = FLUSH_S) -> None:
        """Wait until all are acknowledged. Raises UserError if they are not: nothing may pass them then."""
        if self._producer is None:
            return
        left = self._producer.flush(timeout_s)
        while self._too_large and not left:
            letter = self._too_large.pop()
            self._produce(letter.without_payload() if letter.refused > 1 else letter)
            left = self._producer.flush(timeout_s)  # one at a time: a batch is refused as a whole
        if left or self._failed is not None:
            why = self._failed.str() if self._failed is not None else f"{left} not acknowledged in {timeout_s:.0f} s"
            raise UserError(
                f"dead letters cannot be written to {self.topic}: {why}",
                "mend that, or set kafka.dead_letters.topic: null",
                exit_code=1,
            )

    def close(self) -> None:
        """Let go; what is not acknowledged is sent again after the next start."""
        if self._producer is not None:
            self._producer.flush(1.0)
            self._producer = None

    def _produce(self, letter: _Letter) -> None:
        if self._producer is None or self.topic is None:
            return

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                return
            letter.refused += 1
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and (letter.refused == 1 or letter.value is not None):
                self._too_large.append(letter)
            else:
                self._failed = error

        headers: Any = [*letter.theirs, *letter.ours]
        while True:
            try:
                self._producer.produce(self.topic, letter.value, letter.key, headers=headers, on_delivery=delivered)
            except BufferError:
                self._producer.poll(0.1)  # its queue is full: that is all the memory it gets
            except KafkaException as fault:
                if fault.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE or letter.value is None:
                    raise
                self._produce(letter.without_payload())
                return
            else:
                break
        self._producer.poll(0)


def _create(client: Mapping[str, Any], topic: str) -> None:
    """Make the topic if it is not there: Kafka may be set not to make topics by itself. Raises UserError."""
    admin = AdminClient(dict(client))
    try:
        found = admin.list_topics(topic, timeout=CREATE_S).topics[
            topic
        ]  # where topics are made by asking, this makes it
        if found.error is None:
            return
        admin.create_topics([NewTopic(topic, 1)], request_timeout=CREATE_S)[topic].result()
        _log.info("dead_letter_topic_created", topic=topic)
    except KafkaException as fault:
        error = fault.args[0]
        if error.code() in _NO_BROKER:
            raise UserError(
                f"the brokers at {client.get('bootstrap.servers', '')} do not answer: {error.str()}",
                "start them, or set kafka.bootstrap_servers",
                exit_code=1,
            ) from fault
        if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise UserError(
                f"the dead-letter topic {topic} is not there and cannot be made: {error.str()}",
                "create it, or set kafka.dead_letters.topic: null",
                exit_code=1,
            ) from fault


class PoisonGuard:
    """A partition that is mostly poison is somebody's mistake: it halts loudly, and does not drain into dead letters.

    `share`: of the last `least` records or more, so many may be refused; None: all of them.
    """

    def __init__(self, share: float | None, least: int = 1_000) -> None:
        self.share, self.least = share, least
        self._recent: dict[PartitionId, deque[tuple[int, int]]] = {}
        """(records, refused) of each newest block."""

    def check(self, partition: PartitionId, records: int, refused: int) -> str | None:
        """Take a block in; why the partition must halt and what to do about it, or None."""
        if self.share is None:
            return None
        blocks = self._recent.setdefault(partition, deque())
        blocks.append((records, refused))
        total = sum(n for n, _ in blocks)
        while total - blocks[0][0] >= self.least:
            total -= blocks.popleft()[0]
        bad = sum(n for _, n in blocks)
        if total < self.least or bad <= self.share * total:
            return None
        return (
            f"{partition}: {bad} of the last {total} records cannot be counted ({bad / total:.0%}); look at the dead "
            "letters' driftd.reason, mend kafka.mapping or the producer, and start again; or, to go on past them, set "
            f"kafka.dead_letters.halt_share (now {self.share:g}) to null"
        )
