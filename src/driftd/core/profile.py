"""The map: what a block says of each model in it. It has no memory: same records and grids, same profile.

So there is nothing to fence and no state to move: a second owner, a retry or a zombie can only repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import ROW, Block, Columns, Kind, PartitionId, Refusal, record_offset
from driftd.core.grid import Grid
from driftd.core.pane import Counted, Pane


@dataclass(frozen=True, slots=True)
class Plan:
    """What the map must know of one model. Durations in ms.

    `split`: into how many slices the panes of a kind in `learning` are cut, as parts of a reference's replay.
    """

    every: int
    max_ahead: int
    grids: Mapping[Kind, Grid] = field(default_factory=dict)
    watched: frozenset[str] = frozenset()
    split: int = 1
    learning: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """What a block says of one (model, version, kind) in one pane: counts on its grid, or columns while it has none."""

    model: str
    version: str
    kind: Kind
    start: int
    """Event time at which its slice of the pane begins; the whole pane's start unless a reference is being learned."""
    events: int
    low: int
    high: int
    """The offsets of its events lie in `[low, high)`."""
    body: Pane | Columns


@dataclass(frozen=True, slots=True)
class Seen:
    """The greatest event time of one (model, kind) in a block, how many events it had there, and until which Kafka
    timestamp it was heard of there.
    """

    model: str
    kind: Kind
    greatest: int
    events: int
    stamped: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What a block says of each model in it. Same records and grids, same profile."""

    partition: PartitionId
    first: int
    next: int
    records: int
    earliest: int
    latest: int
    seen: tuple[Seen, ...]
    parts: tuple[Part, ...]
    refused: tuple[Refusal, ...]
    """The malformed records of the block, and the events further ahead than `max_ahead`."""
    backfill: Mapping[str, int]
    unknown_keys: int = 0


def profile(block: Block, plan_of: Callable[[str], Plan]) -> Profile:
    """The profile of a block. `plan_of` gives the plan of a model by its name."""
    seen: dict[tuple[str, Kind], Seen] = {}
    parts: list[Part] = []
    refused = list(block.malformed)
    for whole in block.groups:
        group = whole
        plan = plan_of(group.model)
        limit = block.latest + plan.max_ahead
        if int(group.time.max(initial=0)) > limit:
            ahead = {record_offset(int(o)): int(t) for o, t in zip(group.offset, group.time, strict=True) if t > limit}
            refused += [Refusal(o, "ahead", f"event time {t} is beyond {limit}") for o, t in ahead.items()]
            group = _rows(group, np.flatnonzero(group.time <= limit))
        if not len(group):
            continue
        key = (group.model, group.kind)
        greatest, stamped = int(group.time.max()), block.latest if group.stamped is None else group.stamped
        known = seen.get(key, Seen(*key, greatest, 0, stamped))
        greatest, stamped = max(greatest, known.greatest), max(stamped, known.stamped)
        seen[key] = Seen(*key, greatest, known.events + len(group), stamped)
        parts += _parts(group, plan)
    return Profile(
        block.partition,
        block.first,
        block.next,
        block.records,
        block.earliest,
        block.latest,
        tuple(seen[key] for key in sorted(seen)),
        tuple(parts),
        tuple(sorted(refused, key=lambda refusal: refusal.offset)),
        block.backfill,
        block.unknown_keys,
    )


def _parts(group: Columns, plan: Plan) -> list[Part]:
    grid = plan.grids.get(group.kind)
    step = plan.every
    if grid is not None and group.kind in plan.learning:
        step //= plan.split
    number = group.time // step
    counted = Counted(grid, group, plan.watched) if grid is not None else None
    parts = []
    for index, rows in _runs(number):
        offsets = group.offset[rows]
        body = counted.pane(rows) if counted is not None else _rows(group, rows)
        low, high = int(offsets.min()), int(offsets.max()) + 1
        if high > ROW:  # of records that hold several events
            records = offsets % ROW
            low, high = int(records.min()), int(records.max()) + 1
        parts.append(Part(group.model, group.version, group.kind, index * step, len(offsets), low, high, body))
    return parts


def _runs(number: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64] | slice]]:
    """The rows of each number, ascending."""
    if (number == number[0]).all():
        return [(int(number[0]), slice(None))]
    values, inverse = np.unique(number, return_inverse=True)
    return [(int(value), np.flatnonzero(inverse == i)) for i, value in enumerate(values)]


def _rows(group: Columns, rows: NDArray[np.int64] | slice) -> Columns:
    if isinstance(rows, slice):
        return group
    return group.take(rows)
