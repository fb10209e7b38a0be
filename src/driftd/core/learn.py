"""Learning from live events: first a grid, then a reference on it.

Panes close in event order and feed one bottom-k sample a signal until `min_samples` events were seen. The end of that
pane is the grid's birth; the reference is the sum of the panes after it, for the time (and at least the count) set. A
signal is numeric if every sampled value of it that is not null is a number, unless the settings say its type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any, cast

import numpy as np

from driftd.core.event import Column, Columns, Mark, PartitionId
from driftd.core.grid import Axis, Grid, categorical_axis, category, numbers_of, numeric_axis
from driftd.core.pane import Ints, Pane, pack_ints, unpack_ints
from driftd.core.reference import PARTS, Reference, part_starts
from driftd.core.sample import Sample, row_hashes
from driftd.core.spec import SignalType


class GridLearner:
    """Samples the signals of one (model, kind) until a grid can be made of them."""

    def __init__(self, signals: int) -> None:
        self.limit = signals
        self.events = 0
        self.samples: dict[str, Sample] = {}
        self.dropped = 0
        """Values of signals that came when there were too many already."""

    def feed(self, partition: PartitionId, events: Columns) -> None:
        self.events += len(events)
        hashes = row_hashes(partition, events.offset)
        for name in sorted(events.columns):
            if name not in self.samples:
                if len(self.samples) >= self.limit:
                    self.dropped += len(events)
                    continue
                self.samples[name] = Sample()
            column = events.columns[name]
            values = _objects(column)
            # Nulls would take the places of the values that an axis is made of.
            rows = [i for i, value in enumerate(values) if value is not None and not isinstance(value, Mark)]
            if rows:
                self.samples[name].add(hashes[rows], [values[i] for i in rows])

    def grid(self, types: Mapping[str, SignalType], top: int) -> Grid:
        """The grid of what was sampled. `types`: those that the settings say; `top`: categories with an own cell."""
        return Grid(_axis(name, sample, types.get(name), top) for name, sample in sorted(self.samples.items()))

    def plain(self) -> dict[str, object]:
        return {
            "events": self.events,
            "samples": {name: s.plain() for name, s in self.samples.items()},
            "dropped": self.dropped,
        }

    def load(self, plain: Mapping[str, object]) -> None:
        rows = cast("dict[str, Any]", plain)
        self.events, self.dropped = rows["events"], rows["dropped"]
        self.samples = {name: Sample.from_plain(sample) for name, sample in rows["samples"].items()}


def _objects(column: Column) -> Sequence[object]:
    if not isinstance(column, np.ndarray):
        return column
    odd = {np.inf: Mark.ABSENT, -np.inf: Mark.BAD}
    return [None if isnan(value) else odd.get(value, value) for value in column.tolist()]


def _axis(name: str, sample: Sample, said: SignalType | None, top: int) -> Axis:
    # What no float64 holds is a number all the same; counted, it is BAD.
    are_numbers = bool(sample.values) and all(type(value) in (int, float) for value in sample.values)
    if said == "numeric" or (said is None and are_numbers):
        numbers = numbers_of(sample.values)
        array = numbers[np.isfinite(numbers)] if np.isfinite(numbers).any() else np.zeros(1)
        return numeric_axis(name, array, float(array.min()), float(array.max()))
    return categorical_axis(name, Counter(category(value) for value in sample.values), top)


class ReferenceLearner:
    """Adds up closed panes in order, keeping them apart as the parts of the reference's replay."""

    def __init__(self, grid: Grid, start: int) -> None:
        self.grid = grid
        self.start = start
        self.events = 0
        self.moments = np.zeros((3, len(grid)), np.int64)
        self.pieces: list[tuple[int, bytes]] = []
        """(events, packed counts), in event order."""

    def add(self, panes: Iterable[Pane]) -> None:
        for pane in panes:
            self.events += pane.events
            self.moments += pane.moments
            self.pieces.append((pane.events, pack_ints(pane.counts)))
        if len(self.pieces) > 4 * PARTS:
            self._pair()

    def _pair(self) -> None:
        """Bounded memory: neighbours are put together."""
        pairs = zip(self.pieces[::2], [*self.pieces[1::2], None][: len(self.pieces[::2])], strict=True)
        self.pieces = [
            a if b is None else (a[0] + b[0], pack_ints(unpack_ints(a[1]) + unpack_ints(b[1]))) for a, b in pairs
        ]

    def reference(self) -> tuple[Reference, Ints]:
        """The reference, and its parts int64[P, codes]."""
        starts = part_starts(np.array([events for events, _ in self.pieces], np.int64))
        parts = np.zeros((len(starts), self.grid.codes), np.int64)
        # One by one: all pieces at once would take a gigabyte where there are hundreds of signals.
        for i, (_, body) in enumerate(self.pieces):
            parts[np.searchsorted(starts, i, side="right") - 1] += unpack_ints(body)
        return Reference.build(self.grid, self.events, self.moments, parts), parts

    def plain(self) -> dict[str, object]:
        return {
            "start": self.start,
            "events": self.events,
            "moments": pack_ints(self.moments),
            "pieces": [list(piece) for piece in self.pieces],
        }

    @classmethod
    def from_plain(cls, grid: Grid, plain: Mapping[str, object]) -> ReferenceLearner:
        rows = cast("dict[str, Any]", plain)
        learner = cls(grid, rows["start"])
        learner.events = rows["events"]
        learner.moments = unpack_ints(rows["moments"]).reshape(3, -1)
        learner.pieces = [(n, body) for n, body in rows["pieces"]]
        return learner
