"""What every reader of records needs: a record's value as an object, a header as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.strict import parse

Headers = Sequence[tuple[str, bytes | str | None]]


def parse_object(value: bytes | None, parse_as: Callable[[bytes], object] = parse) -> dict[str, object]:
    """A record's value as an object; raises Refused."""
    if not value:
        raise Refused(Reason.EMPTY)
    record = parse_as(value)
    if not isinstance(record, dict):
        raise Refused(Reason.NOT_OBJECT)
    return record


def header_text(value: bytes | str) -> str:
    """What is no UTF-8 in it is replaced."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
