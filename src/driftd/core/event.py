"""What comes in. Everything the core learns of the world is one of these frozen values.

Event time and arrival time are integers, milliseconds since the Unix epoch.

A column holds one signal of the events of one (model, version, kind), one row an event, in one of two forms:

- a float64 array: the decoder knew the signal to be numeric. NULL, ABSENT and BAD are three values that no decoded
  number can take (the decoder refuses what is not finite);
- a list of the decoder's own objects: str, int, float, bool, None for null, `Mark.ABSENT`, `Mark.BAD`.

The map (`profile`) turns either into counts. What is BAD is an error of that signal alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["prediction", "features", "label"]
KINDS: Final[tuple[Kind, ...]] = ("prediction", "features", "label")

UNVERSIONED: Final = "unversioned"

NULL: Final = float("nan")
"""In a float64 column: the event says null."""
ABSENT: Final = float("inf")
"""In a float64 column: the event does not have the signal."""
BAD: Final = float("-inf")
"""In a float64 column: the event has a value of the wrong type."""


class Mark:
    """A value that no JSON document can hold; compared by identity, and so hashed at the speed of an address."""

    __slots__ = ("name",)
    ABSENT: Mark
    BAD: Mark

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


Mark.ABSENT = Mark("absent")
Mark.BAD = Mark("bad")

BUILT_IN: Final = frozenset({"prediction", "class", "label", "error"})
"""Signals that are no features."""
STRANGERS: Final = 64
"""Names of signals that no grid has, which are remembered of one (model, version, kind) in a pane."""
Column = NDArray[np.float64] | Sequence[object]

ROW: Final = 1 << 44
"""A record may hold several events: the k-th of the record at offset o has the offset o + k * ROW, k from 0."""
MOST_ROWS: Final = 1 << 19
"""Events of one record: more would not fit into 63 bits."""


def record_offset(offset: int) -> int:
    """The offset of the record that an event came in."""
    return offset % ROW


@dataclass(frozen=True, slots=True)
class PartitionId:
    """One partition of one topic. Sorts by topic, then number."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"

    def __lt__(self, other: PartitionId) -> bool:
        return (self.topic, self.number) < (other.topic, other.number)


@dataclass(frozen=True, slots=True)
class Columns:
    """The events of one (model, version, kind), column by column.

    `time` int64[n] event time; `offset` int64[n], no two alike, of records that rise (see ROW); `columns` by signal name,
    n rows each.
    `stamped`: the Kafka timestamp of its last event; None: no more is known than the block's greatest. `strangers`: the
    rows that have a signal which is in no column, by its name, those with a number and those with anything else; at
    most the first STRANGERS names in order.
    """

    model: str
    version: str
    kind: Kind
    time: NDArray[np.int64]
    offset: NDArray[np.int64]
    columns: Mapping[str, Column]
    stamped: int | None = None
    strangers: Mapping[str, tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """The same events, only these rows, which rise."""
        columns = {
            name: column[rows] if isinstance(column, np.ndarray) else [column[i] for i in rows.tolist()]
            for name, column in self.columns.items()
        }
        strangers = {
            name: (_places(rows, numbers), _places(rows, others)) for name, (numbers, others) in self.strangers.items()
        }
        return Columns(
            self.model, self.version, self.kind, self.time[rows], self.offset[rows], columns, self.stamped, strangers
        )  # fmt: skip


def _places(rows: NDArray[np.int64], of: Sequence[int]) -> list[int]:
    """Where these rows stand among `rows`, as far as they do."""
    return np.flatnonzero(np.isin(rows, np.asarray(of, np.int64))).tolist()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is not counted: its offset and why. The record itself goes to the dead letters."""

    offset: int
    reason: str
    """A short fixed word for counting, e.g. `json`, `model_missing`, `ahead`."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of consecutive records of one partition, decoded.

    `first`, `next` are offsets, half-open. `earliest` and `latest` are the smallest and greatest Kafka timestamps of
    its records. `records` counts them, the malformed ones included. `backfill` counts events by model that are never
    windowed. `unknown_keys` counts keys of the envelope that are not in the contract.
    """

    partition: PartitionId
    first: int
    next: int
    records: int
    earliest: int
    latest: int
    groups: tuple[Columns, ...] = ()
    malformed: tuple[Refusal, ...] = ()
    backfill: Mapping[str, int] = field(default_factory=dict)
    unknown_keys: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """Partitions whose end was reached and quiet: the arrival time each has reached."""

    arrivals: Mapping[PartitionId, int]


@dataclass(frozen=True, slots=True)
class Discovered:
    """Partitions that exist from now on, with the kinds of event that their topic carries; none: it is not read now."""

    partitions: Mapping[PartitionId, tuple[Kind, ...]]
