"""The mergeable summary of one (model, version, kind) in one slice of event time. All of it is integers: merging is
exact in any order and grouping.

With z the value standardised by the grid, q = rint(clip(z, +-64) * 2^20), s1 = sum of q, s2 = sum of
(q * q + 2^19) >> 20; what was clipped is counted. Safe below 2^31 events.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import ABSENT, BAD, BUILT_IN, STRANGERS, Columns, Mark
from driftd.core.grid import Grid, Numeric

FIXED: Final = 1 << 20
CLIP: Final = 64.0
SLICE: Final = 1_000
"""Milliseconds of event time in a slice, the unit that the sequential detectors are fed."""
Ints = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Pane:
    """`counts` int64[grid.codes]; `moments` int64[3, signals]: s1, s2, clipped (0 for categorical signals).

    `slices` int64[k, 5]: rows of (signal, second, n, s1, s2) of the watched signals, sorted by the first two, unique.
    `strangers`: events that have a signal which the grid has not, by its name: those with a number, and all others.
    """

    events: int
    counts: Ints
    moments: Ints
    slices: Ints
    strangers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def empty(cls, grid: Grid) -> Pane:
        return cls(0, np.zeros(grid.codes, np.int64), np.zeros((3, len(grid)), np.int64), np.empty((0, 5), np.int64))

    def copy(self) -> Pane:
        """One that can be added to."""
        return Pane(self.events, self.counts.copy(), self.moments.copy(), self.slices, dict(self.strangers))

    def add(self, other: Pane) -> None:
        """Merge another pane of the same grid into this one."""
        self.events += other.events
        self.counts += other.counts
        self.moments += other.moments
        if len(other.slices):
            self.slices = merge_slices(self.slices, other.slices) if len(self.slices) else other.slices
        if other.strangers:
            self.strangers = _together(self.strangers, other.strangers)

    def pack(self) -> bytes:
        """Bytes that are a function of the content alone: events, the width and size of each array, all of them deflated
        at once.
        """
        parts = [_narrow(values.ravel()) for values in (self.counts, self.moments, self.slices)]
        head = _HEAD.pack(self.events, *(number for width, part in parts for number in (width, len(part))))
        strangers = json.dumps(dict(sorted(self.strangers.items()))).encode() if self.strangers else b""
        return head + zlib.compress(b"".join([*(part for _, part in parts), strangers]), 1)

    @classmethod
    def unpack(cls, body: bytes) -> Pane:
        """Raises ValueError for bytes that `pack` did not make."""
        try:
            events, *shape = _HEAD.unpack_from(body)
            flat = zlib.decompress(memoryview(body)[_HEAD.size :])
        except (struct.error, zlib.error) as fault:
            raise ValueError(f"these bytes are no pane: {fault}") from fault
        arrays = []
        at = 0
        for width, size in zip(shape[::2], shape[1::2], strict=True):
            arrays.append(_widen(width, flat[at : at + size]))
            at += size
        counts, moments, slices = arrays
        if at > len(flat) or len(moments) % 3 or len(slices) % 5:
            raise ValueError("these bytes are no pane")
        return cls(events, counts, moments.reshape(3, -1), slices.reshape(-1, 5), _read_strangers(flat[at:]))


def _together(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Both added up. Of too many names the first in order stay: each of those was so in every part, so its count is
    exact, whatever the parts were.
    """
    out = dict(one)
    for name, (numbers, others) in other.items():
        mine = out.get(name, (0, 0))
        out[name] = (mine[0] + numbers, mine[1] + others)
    return out if len(out) <= STRANGERS else {name: out[name] for name in sorted(out)[:STRANGERS]}


def _read_strangers(flat: bytes) -> dict[str, tuple[int, int]]:
    if not flat:
        return {}
    try:
        return {name: (numbers, others) for name, (numbers, others) in json.loads(flat).items()}
    except (ValueError, TypeError, AttributeError) as fault:
        raise ValueError("these bytes are no pane") from fault


def merge_slices(one: Ints, other: Ints) -> Ints:
    """One row for each (signal, second) of either, sorted, as both are; n, s1 and s2 added up."""
    out = np.empty((len(one) + len(other), 5), np.int64)
    used: int = compiled().merge(np.ascontiguousarray(one), np.ascontiguousarray(other), out)
    return out[:used].copy()


def compiled() -> ModuleType:
    """The compiled loops. They take half a second to load: who is to be quick later asks for them early."""
    from driftd.core import kernel  # noqa: PLC0415 - only those who count should wait

    return kernel


class Counted:
    """The events of one Columns as numbers and codes, ready to be summed by any choice of rows."""

    def __init__(self, grid: Grid, events: Columns, watched: frozenset[str]) -> None:
        self._kernel = compiled()
        n = len(events)
        self.grid = grid
        self.seconds = events.time // SLICE
        self.values = np.empty((len(grid.numeric_axes), n), np.float64)
        self.coded = np.empty((len(grid) - len(grid.numeric_axes), n), np.int64)
        number = code = 0
        for i, axis in enumerate(grid.axes):
            column = events.columns.get(axis.name)
            if isinstance(axis, Numeric):
                self.values[number] = ABSENT if column is None else axis.values(column)
                number += 1
            else:
                self.coded[code] = axis.cells + 1 if column is None else axis.codes(column)
                self.coded[code] += grid.first[i]
                code += 1
        self._known_strangers = _strangers_of(grid, events)
        self.watched = [(r, i) for r, (i, axis) in enumerate(grid.numeric_axes) if axis.name in watched]

    def pane(self, rows: NDArray[np.int64] | slice) -> Pane:
        """The pane of these rows."""
        if isinstance(rows, slice):
            rows = np.arange(len(self.seconds))[rows]
        seconds = self.seconds[rows]
        if (seconds[1:] < seconds[:-1]).any():
            rows = rows[np.argsort(seconds, kind="stable")]
        pane = Pane.empty(self.grid)
        pane.events = len(rows)
        moments = np.zeros((3, len(self.values)), np.int64)
        tables = self.grid.tables
        self._kernel.tally(self.values, self.coded, rows, *tables, CLIP, FIXED, pane.counts, moments)
        pane.moments[:, self.grid.numeric] = moments
        pane.strangers = self._strangers(rows)
        pieces = [self._slices(r, i, rows) for r, i in self.watched]
        if pieces:
            pane.slices = np.concatenate(pieces)
        return pane

    def _strangers(self, rows: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
        """Of these rows. Events that were read before there was a grid have them in columns like any other."""
        found: dict[str, tuple[int, int]] = {}
        chosen = np.zeros(len(self.seconds), np.bool_)
        chosen[rows] = True
        for name, (numbers, others) in self._known_strangers.items():
            found[name] = (int(chosen[numbers].sum()), int(chosen[others].sum()))
        return {name: counts for name, counts in found.items() if any(counts)}

    def _slices(self, row: int, signal: int, rows: NDArray[np.int64]) -> Ints:
        out = np.empty((len(rows), 5), np.int64)
        centre, scale = self.grid.tables[3][:, row]
        used = self._kernel.slices(self.values[row], self.seconds, rows, signal, centre, scale, CLIP, FIXED, out)
        return out[:used]


def _strangers_of(grid: Grid, events: Columns) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The rows with each of the first STRANGERS signals, in order, that the grid has not."""
    found = {name: (np.asarray(n, np.int64), np.asarray(o, np.int64)) for name, (n, o) in events.strangers.items()}
    for name in sorted(events.columns.keys() - grid.index.keys() - BUILT_IN):
        column = events.columns[name]
        if isinstance(column, np.ndarray):
            numbers, others = np.isfinite(column), np.isnan(column) | (column == BAD)
        else:
            numbers = np.array([type(value) in (int, float) for value in column], np.bool_)
            others = np.array([value is not Mark.ABSENT for value in column], np.bool_) & ~numbers
        if numbers.any() or others.any():
            found[name] = (np.flatnonzero(numbers), np.flatnonzero(others))
    return {name: found[name] for name in sorted(found)[:STRANGERS]}


_WIDTHS: Final = tuple(
    (np.iinfo(name).min, np.iinfo(name).max, np.dtype(name)) for name in ("<i1", "<i2", "<i4", "<i8")
)
_HEAD: Final = struct.Struct("<qBIBIBI")


def pack_ints(values: Ints) -> bytes:
    """Integers as bytes: the narrowest width that holds them all, deflated. The same numbers give the same bytes."""
    width, part = _narrow(values.ravel())
    return bytes([width]) + zlib.compress(part, 1)


def unpack_ints(body: bytes) -> Ints:
    """The reverse of `pack_ints`, flat. Raises ValueError for other bytes."""
    try:
        return _widen(body[0], zlib.decompress(body[1:]))
    except (IndexError, zlib.error) as fault:
        raise ValueError(f"these bytes are no packed integers: {fault}") from fault


def _narrow(values: Ints) -> tuple[int, bytes]:
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    width = next(i for i, (least, most, _) in enumerate(_WIDTHS) if least <= low and high <= most)
    return width, values.astype(_WIDTHS[width][2]).tobytes()


def _widen(width: int, part: bytes) -> Ints:
    if width >= len(_WIDTHS):
        raise ValueError(f"integers have no width {width}")
    return np.frombuffer(part, _WIDTHS[width][2]).astype(np.int64)
