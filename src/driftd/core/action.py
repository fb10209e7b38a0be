"""What goes out: a transition that somebody has to hear of.

An id is a function of input alone, and so is the body: a duplicate delivery carries the same id and the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from driftd.core.event import Kind
from driftd.core.spec import Severity

ActionType = Literal["driftd.alert.firing", "driftd.alert.resolved", "driftd.retrain.requested"]


@dataclass(frozen=True, slots=True)
class Action:
    """One notification. `data` is the body's `data`; `explain` is what stands behind it and never leaves the store."""

    type: ActionType
    id: str
    timestamp: int
    model: str
    version: str
    kind: Kind
    rule: str
    severity: Severity
    labels: Mapping[str, str]
    data: Mapping[str, object]
    explain: Mapping[str, object]

    def body(self) -> bytes:
        """The JSON document that every receiver is given."""
        return json.dumps(
            {"type": self.type, "id": self.id, "timestamp": rfc3339(self.timestamp), "data": self.data},
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        ).encode("utf-8", "backslashreplace")


def stable_id(prefix: str, *parts: str | int) -> str:
    """A name for something that the same input always gives again: sha256 over the length-prefixed parts."""
    digest = hashlib.sha256()
    for part in parts:
        raw = str(part).encode("utf-8", "backslashreplace")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return f"{prefix}_{digest.hexdigest()[:32]}"


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC; the fraction only where there is one."""
    seconds, fraction = divmod(ms, 1000)
    stem = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stem}.{fraction:03d}Z" if fraction else f"{stem}Z"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body owed to one receiver. `number` orders a receiver's deliveries; `attempts` counts those that failed.

    `subjects` are the alerts (or the request) that it speaks of: a later delivery never overtakes an earlier one that
    shares a subject, so that nobody hears "resolved" before "firing".
    """

    number: int
    receiver: str
    id: str
    type: str
    body: bytes
    timestamp: int
    subjects: tuple[str, ...] = ()
    attempts: int = 0
    not_before: float = 0.0
    """Unix time, seconds."""
    last_error: str = ""
