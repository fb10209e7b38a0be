"""What a receiver must know of what it told before: the message to edit, the alerts to tell again.

It is written before a delivery counts as sent, so that after a crash a delivery may be made again, and what it made is
still known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

LAST: Final = 200
"""Deliveries that are known to have been made."""
_DONE: Final = "done"


class Memory(Protocol):
    """Plain data by key, of one receiver. Used by the receiver's thread."""

    def recall(self, key: str) -> Any: ...  # noqa: ANN401 - plain data
    def all(self, prefix: str) -> dict[str, Any]: ...
    def remember(self, changes: Mapping[str, object]) -> None:
        """All of them or none; None forgets a key."""


class Volatile:
    """As long as the process lives: for a notification that is a test."""

    def __init__(self) -> None:
        self._rows: dict[str, Any] = {}

    def recall(self, key: str) -> Any:  # noqa: ANN401
        return self._rows.get(key)

    def all(self, prefix: str) -> dict[str, Any]:
        return {key: row for key, row in sorted(self._rows.items()) if key.startswith(prefix)}

    def remember(self, changes: Mapping[str, object]) -> None:
        self._rows |= changes
        self._rows = {key: row for key, row in self._rows.items() if row is not None}


def done(memory: Memory, id_: str) -> bool:
    """Whether a delivery was made, and only its mark in the outbox is missing."""
    return id_ in (memory.recall(_DONE) or ())


def done_with(memory: Memory, id_: str) -> dict[str, object]:
    """The change that says so, to be remembered together with what it made."""
    return {_DONE: [*(memory.recall(_DONE) or ()), id_][-LAST:]}
