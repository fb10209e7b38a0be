"""Panes that are still open: what each partition has brought, kept apart for as long as it may yet turn out to be late.

A contribution counts if its partition was not done with the pane before its block: that is, if the arrival time before
the block is below passed_at + max_wait. passed_at can still fall while a lagging partition is read, so contributions are
merged only once they are below every deadline that can still come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from driftd.core.event import Columns, Kind, Mark, PartitionId
from driftd.core.grid import Grid
from driftd.core.pane import Counted, Pane
from driftd.core.profile import Part
from driftd.core.sample import row_hashes

THINNED: Final = 16
Cover = dict[str, tuple[int, int]]
"""By partition: the offsets of the events lie in `[low, high)`."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one block brought to one pane. `before`: the partition's arrival time before the block."""

    version: str
    start: int
    partition: PartitionId
    before: int
    events: int
    low: int
    high: int
    body: Pane | Columns

    def key(self) -> tuple[str, int, str, int]:
        return (self.version, self.start, str(self.partition), self.low)


@dataclass(slots=True)
class Sure:
    """Contributions that count whatever comes, merged. `start`s of one version differ only while a reference is learned."""

    pane: Pane
    cover: Cover


@dataclass(slots=True)
class OpenPane:
    sure: dict[tuple[str, int], Sure] = field(default_factory=dict)
    apart: dict[tuple[str, int, str, int], Contribution] = field(default_factory=dict)

    def add(self, part: Part, partition: PartitionId, before: int, sure_below: int) -> tuple[str, int] | Contribution:
        """Take a part in. What was touched: the key of a merged sum, or the contribution that is kept apart."""
        if isinstance(part.body, Pane) and before < sure_below:
            key = (part.version, part.start)
            sure = self.sure.get(key)
            if sure is None:
                copy = part.body.copy()
                self.sure[key] = Sure(copy, {str(partition): (part.low, part.high)})
            else:
                sure.pane.add(part.body)
                widen(sure.cover, str(partition), part.low, part.high)
            return key
        contribution = Contribution(
            part.version, part.start, partition, before, part.events, part.low, part.high, part.body
        )
        self.apart[contribution.key()] = contribution
        return contribution

    def merged(
        self,
        grid: Grid | None,
        deadline: int,
        watched: frozenset[str],
        step: int,
        own: Callable[[Columns], Columns],
    ) -> tuple[dict[str, list[tuple[int, Pane]]], dict[str, Cover], list[Contribution], dict[str, int]]:
        """Close it: panes by version and start, what they cover, columns that no grid counts yet, late events by version.

        `own`: leaves of columns those that are counted here.
        """
        panes: dict[tuple[str, int], Pane] = {key: sure.pane for key, sure in self.sure.items()}
        covers: dict[str, Cover] = {}
        for (version, _), sure in self.sure.items():
            for partition, (low, high) in sure.cover.items():
                widen(covers.setdefault(version, {}), partition, low, high)
        late: dict[str, int] = {}
        columns: list[Contribution] = []
        for key in sorted(self.apart):
            part = self.apart[key]
            if part.before >= deadline:
                late[part.version] = late.get(part.version, 0) + part.events
                continue
            widen(covers.setdefault(part.version, {}), str(part.partition), part.low, part.high)
            if isinstance(part.body, Columns) and grid is None:
                columns.append(part)
                continue
            for start, pane in _counted(part, grid, watched, step, own):
                if (part.version, start) in panes:
                    panes[part.version, start].add(pane)
                else:
                    panes[part.version, start] = pane
        out: dict[str, list[tuple[int, Pane]]] = {}
        for (version, start), pane in sorted(panes.items(), key=lambda item: item[0]):
            out.setdefault(version, []).append((start, pane))
        return out, covers, columns, late


def _counted(
    part: Contribution, grid: Grid | None, watched: frozenset[str], step: int, own: Callable[[Columns], Columns]
) -> list[tuple[int, Pane]]:
    if isinstance(part.body, Pane):
        return [(part.start, part.body)]
    assert grid is not None
    counted = Counted(grid, own(part.body), watched)
    number = part.body.time // step
    return [(int(i) * step, counted.pane(np.flatnonzero(number == i))) for i in np.unique(number)]


def widen(cover: Cover, partition: str, low: int, high: int) -> None:
    known = cover.get(partition)
    cover[partition] = (low, high) if known is None else (min(low, known[0]), max(high, known[1]))


def column_bytes(body: Pane | Columns) -> int:
    """About what columns take in memory: 24 bytes a value. Counts take none to speak of."""
    return 24 * len(body) * (len(body.columns) + 2) if isinstance(body, Columns) else 0


def thinned(part: Part, events: Columns, partition: PartitionId) -> Part:
    """One event in 16 of a part, at least one; the same ones for every reading, chosen by the hash of their offsets."""
    keep = np.flatnonzero(row_hashes(partition, events.offset) < np.uint64(2**64 // THINNED))
    if not len(keep):
        keep = np.array([0])
    kept = events.take(keep)
    return Part(part.model, part.version, part.kind, part.start, part.events, part.low, part.high, kept)


def plain_columns(events: Columns) -> dict[str, object]:
    """Columns as plain data. Numeric ones as bytes, others as lists in which a one-element list stands for a mark."""
    columns: dict[str, object] = {}
    for name, column in events.columns.items():
        if isinstance(column, np.ndarray):
            columns[name] = column.astype("<f8").tobytes()
        else:
            columns[name] = [[value.name] if isinstance(value, Mark) else value for value in column]
    return {
        "time": events.time.astype("<i8").tobytes(),
        "offset": events.offset.astype("<i8").tobytes(),
        "columns": columns,
    }


def columns_from_plain(model: str, version: str, kind: Kind, plain: Mapping[str, object]) -> Columns:
    marks = {"absent": Mark.ABSENT, "bad": Mark.BAD}
    time, offset, stored = plain["time"], plain["offset"], plain["columns"]
    assert isinstance(time, bytes)
    assert isinstance(offset, bytes)
    assert isinstance(stored, dict)
    columns: dict[str, object] = {}
    for name, column in stored.items():
        if isinstance(column, bytes):
            columns[name] = np.frombuffer(column, "<f8").astype(np.float64)
        else:
            columns[name] = [marks[v[0]] if isinstance(v, list) else v for v in column]
    return Columns(
        model,
        version,
        kind,
        np.frombuffer(time, "<i8").astype(np.int64),
        np.frombuffer(offset, "<i8").astype(np.int64),
        columns,  # type: ignore[arg-type]
    )
