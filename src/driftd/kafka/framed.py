"""The frame that serializers of a schema registry put before a record: a byte 0 and the id of its schema, big-endian."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from driftd.kafka.reasons import Reason, Refused

LENGTH: Final = 5
_MAGIC: Final = 0


def looks_framed(value: bytes | None) -> bool:
    """Whether a record begins with a frame. No JSON document begins with a byte 0."""
    return value is not None and len(value) >= LENGTH and value[0] == _MAGIC


def schema_ids(values: Iterable[bytes | None]) -> frozenset[int]:
    """The ids that these records name; what is not framed names none."""
    frames = {value[:LENGTH] for value in values if value is not None and len(value) >= LENGTH}
    return frozenset(int.from_bytes(frame[1:]) for frame in frames if frame[0] == _MAGIC)


def unframed(value: bytes | None) -> tuple[int, bytes]:
    """The id of its schema, and what stands behind the frame. Raises Refused."""
    if not value:
        raise Refused(Reason.EMPTY)
    if value[0] != _MAGIC:
        raise Refused(Reason.FRAME, "its first byte is not 0")
    if len(value) < LENGTH:
        raise Refused(Reason.FRAME, "shorter than a frame")
    return int.from_bytes(value[1:LENGTH]), value[LENGTH:]
