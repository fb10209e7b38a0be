"""What the consumer is told: driftd's own settings of librdkafka, and those of the person."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from driftd.core.event import Kind
from driftd.core.fault import UserError

OWNED: Final = {
    "auto.offset.reset": "positions are the store's, and kafka.start says where the first start begins",
    "enable.auto.commit": "offsets are committed after the state that follows from them",
    "enable.auto.offset.store": "offsets are committed after the state that follows from them",
    "enable.partition.eof": "the end of a partition is what ticks are made from",
    "group.id": "it is kafka.group_id",
    "group.instance.id": "it is made once and kept in state.directory",
}
"""Settings that cannot be given in `kafka.client`, and why."""

_METADATA: Final = "topic.metadata.refresh.interval.ms"
_BROKERS: Final = ("session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy")
"""With `group.protocol: consumer` these are the broker's, and librdkafka refuses them."""
_QUEUE_KIB: Final = 65_536
"""Bytes fetched ahead: memory is bounded by this and by what the blocks under way hold."""
_INSTANCE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """`topics`: names or ^expressions by kind. `client`: librdkafka settings, `bootstrap.servers` among them.

    `quiet_s`: how long a partition whose end is reached is silent before it ticks, seconds.
    """

    group_id: str
    instance_id: str
    start: Literal["latest", "earliest"]
    topics: Mapping[Kind, Sequence[str]]
    client: Mapping[str, str] = field(default_factory=dict, repr=False)
    quiet_s: float = 5.0

    @property
    def metadata_every_s(self) -> float:
        """How often new topics and partitions are looked for, seconds."""
        return int(self.client.get(_METADATA, 30_000)) / 1000

    @property
    def listed(self) -> list[str]:
        """The names and expressions of all kinds."""
        return sorted({name for names in self.topics.values() for name in names})

    def consumer(self) -> dict[str, Any]:
        """What librdkafka is given; raises ValueError for a setting that driftd must own."""
        for name, why in OWNED.items():
            if name in self.client:
                raise ValueError(f"kafka.client: {name} cannot be set: {why}")
        ours: dict[str, Any] = {
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": _QUEUE_KIB,
            _METADATA: 30_000,
        }
        if self.client.get("group.protocol") == "consumer":
            if taken := sorted(self.client.keys() & set(_BROKERS)):
                raise ValueError(
                    f"kafka.client: {taken[0]} cannot be set: with group.protocol consumer it is the broker's"
                )
        elif self.client.get("partition.assignment.strategy", "cooperative-sticky") != "cooperative-sticky":
            raise ValueError("kafka.client: partition.assignment.strategy can only be cooperative-sticky")
        else:
            ours["partition.assignment.strategy"] = "cooperative-sticky"
        return {
            **ours,
            **self.client,
            "group.id": self.group_id,
            "group.instance.id": self.instance_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }


def load_or_create_instance_id(directory: Path) -> str:
    """The name under which the group knows this installation, made once: a killed daemon is back at once under it.

    Raises UserError if what is there is no such name.
    """
    path = directory / "instance-id"
    if path.exists():
        name = path.read_text(errors="replace").strip()
        if _INSTANCE_ID.fullmatch(name):
            return name
        raise UserError(f"{path} does not hold a name of letters, digits, dots, - and _", "remove it", exit_code=1)
    name = f"driftd-{uuid.uuid4().hex[:12]}"
    unfinished = path.with_suffix(".new")
    with unfinished.open("w") as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return name
