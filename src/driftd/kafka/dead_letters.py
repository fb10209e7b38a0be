"""Records that cannot be counted go to a topic of their own, acknowledged before the commit that passes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftd.core.event import PartitionId, Refusal
from driftd.core.fault import UserError
from driftd.kafka.block import RecordRun

_log = structlog.get_logger(__name__)

FLUSH_S: Final = 30.0
_CONSUMERS_OWN: Final = (
    "group.",
    "session.",
    "heartbeat.",
    "max.poll",
    "fetch.",
    "queued.",
    "auto.offset",
    "partition.assignment",
)


class DeadLetters:
    """`topic` None: refused records are counted and dropped. `payload` False: their bytes are kept out."""

    def __init__(self, client: Mapping[str, str], topic: str | None, *, payload: bool = True) -> None:
        self.topic, self.payload = topic, payload
        self.sent = 0
        self._failed: KafkaError | None = None
        self._producer: Producer | None = None
        if topic is not None:
            ours = {k: v for k, v in client.items() if not k.startswith(_CONSUMERS_OWN)}
            self._producer = Producer({**ours, "enable.idempotence": True, "acks": "all", "error_cb": lambda _: None})
            self._create(ours, topic)

    def _create(self, client: Mapping[str, str], topic: str) -> None:
        """Kafka may be set not to make topics by itself."""
        admin = AdminClient({**client, "error_cb": lambda _: None})
        try:
            for future in admin.create_topics([NewTopic(topic, 1)], request_timeout=10.0).values():
                future.result()
        except KafkaException as fault:
            code = fault.args[0].code()
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                _log.warning("dead_letter_topic_not_created", topic=topic, error=fault.args[0].str())

    def send(self, run: RecordRun, refusal: Refusal) -> None:
        """One refused record of this run. It leaves at the latest with `flush`."""
        if self._producer is None or self.topic is None:
            return
        at = _index(run, refusal.offset)
        headers: list[Any] = [
            *(run.headers[at] or ()),
            ("driftd.topic", run.partition.topic.encode()),
            ("driftd.partition", str(run.partition.number).encode()),
            ("driftd.offset", str(refusal.offset).encode()),
            ("driftd.reason", refusal.reason.encode()),
            ("driftd.detail", refusal.detail.encode("utf-8", "backslashreplace")),
        ]
        value, key = (run.values[at], run.keys[at]) if self.payload else (None, None)
        while True:
            try:
                self._producer.produce(self.topic, value, key, headers=headers, on_delivery=self._on_delivery)
            except BufferError:
                self._producer.poll(0.1)
                continue
            break
        self._producer.poll(0)
        self.sent += 1

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error

    def flush(self) -> None:
        """Wait until all are acknowledged. Raises UserError if they are not: nothing may pass them then."""
        if self._producer is None:
            return
        left = self._producer.flush(FLUSH_S)
        if left or self._failed is not None:
            why = self._failed.str() if self._failed is not None else f"{left} not acknowledged in {FLUSH_S:.0f} s"
            raise UserError(
                f"dead letters cannot be written to {self.topic}: {why}",
                "create the topic, or set kafka.dead_letters.topic: null",
                exit_code=1,
            )

    def close(self) -> None:
        if self._producer is not None:
            self._producer.flush(1.0)


def _index(run: RecordRun, offset: int) -> int:
    """Where in the run this offset is: offsets may have gaps."""
    at = offset - run.offsets[0]
    if at < len(run.offsets) and run.offsets[at] == offset:
        return at
    return list(run.offsets).index(offset)


class PoisonGuard:
    """A partition that is mostly poison is somebody's mistake: it halts loudly instead of draining into dead letters."""

    def __init__(self, share: float = 0.5, least: int = 1_000) -> None:
        self.share, self.least = share, least
        self._recent: dict[PartitionId, deque[tuple[int, int]]] = {}

    def check(self, partition: PartitionId, records: int, refused: int) -> str | None:
        """Take a block in; why the partition must halt, or None. Looks at its last `least` records or more."""
        blocks = self._recent.setdefault(partition, deque())
        blocks.append((records, refused))
        total = sum(n for n, _ in blocks)
        while total - blocks[0][0] >= self.least:
            total -= blocks.popleft()[0]
        bad = sum(n for _, n in blocks)
        if total >= self.least and bad > self.share * total:
            return (
                f"{partition}: {bad} of the last {total} records cannot be counted; "
                "look at the dead letters' driftd.reason, mend the producer or kafka.mapping, and start again"
            )
        return None
