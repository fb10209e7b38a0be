"""What a receiver is: something that is handed a delivery and says what became of it.

`error` may be logged. `answer` is what the other side said, cleaned for a terminal and cut short; it is stored and
shown to a person who asks, and never logged: a receiver may echo what it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from driftd.core.action import Delivery


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver has it. `status`: in its own words, e.g. `HTTP 204`."""

    status: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It was not taken now. `after_s`: the wait that the receiver asked for, None where it did not."""

    error: str
    after_s: float | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It was looked at and refused. Somebody may be mending a setting: worth some tries, minutes apart, not a day."""

    error: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """It will never be taken."""

    error: str
    answer: str = ""


Outcome = Sent | Retry | Refused | Dead


class Receiver(Protocol):
    """Used by one thread. `send` returns within a bounded time, and raises nothing that is expected to happen."""

    @property
    def name(self) -> str: ...

    def send(self, delivery: Delivery) -> Outcome: ...

    def close(self) -> None: ...


@runtime_checkable
class Tending(Receiver, Protocol):
    """One that goes on telling of what it was told. `tend` is called every second or so, in the receiver's thread,
    after what was due; None: there was nothing to do.
    """

    def tend(self) -> Outcome | None: ...
