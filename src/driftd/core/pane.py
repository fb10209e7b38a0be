"""The mergeable summary of one (model, version, kind) in one slice of event time. All of it is integers: merging is
exact in any order and grouping.

With z the value standardised by the grid, q = rint(clip(z, +-64) * 2^20), s1 = sum of q, s2 = sum of
(q * q + 2^19) >> 20; what was clipped is counted. Safe below 2^31 events.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import Columns
from driftd.core.grid import Axis, Grid, Numeric

FIXED: Final = 1 << 20
CLIP: Final = 64.0
SLICE: Final = 1_000
"""Milliseconds of event time in a slice, the unit that the sequential detectors are fed."""
Ints = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Pane:
    """`counts` int64[grid.codes]; `moments` int64[3, signals]: s1, s2, clipped (0 for categorical signals).

    `slices` int64[k, 5]: rows of (signal, second, n, s1, s2) of the watched signals, sorted by the first two, unique.
    """

    events: int
    counts: Ints
    moments: Ints
    slices: Ints

    @classmethod
    def empty(cls, grid: Grid) -> Pane:
        return cls(0, np.zeros(grid.codes, np.int64), np.zeros((3, len(grid)), np.int64), np.empty((0, 5), np.int64))

    def add(self, other: Pane) -> None:
        """Merge another pane of the same grid into this one."""
        self.events += other.events
        self.counts += other.counts
        self.moments += other.moments
        if len(other.slices):
            self.slices = merge_slices((self.slices, other.slices)) if len(self.slices) else other.slices

    def pack(self) -> bytes:
        """Bytes that are a function of the content alone."""
        return b"".join(
            _frame(part)
            for part in (
                _narrow(np.array([self.events], np.int64)),
                _narrow(self.counts),
                _narrow(self.moments.ravel()),
                _narrow(self.slices.ravel()),
            )
        )

    @classmethod
    def unpack(cls, body: bytes) -> Pane:
        """Raises ValueError for bytes that `pack` did not make."""
        parts = []
        at = 0
        while at < len(body):
            size = int.from_bytes(body[at : at + 4], "little")
            parts.append(_widen(body[at + 4 : at + 4 + size]))
            at += 4 + size
        if len(parts) != 4 or len(parts[0]) != 1 or len(parts[2]) % 3 or len(parts[3]) % 5:
            raise ValueError("these bytes are no pane")
        return cls(int(parts[0][0]), parts[1], parts[2].reshape(3, -1), parts[3].reshape(-1, 5))


def merge_slices(pieces: Iterable[Ints]) -> Ints:
    """One row for each (signal, second), sorted; n, s1 and s2 added up."""
    rows = np.concatenate(list(pieces))
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    rows = rows[order]
    if not len(rows):
        return rows
    starts = np.flatnonzero(np.append(True, (np.diff(rows[:, :2], axis=0) != 0).any(axis=1)))
    merged = rows[starts]
    merged[:, 2:] = np.add.reduceat(rows[:, 2:], starts, axis=0)
    return merged


class Counted:
    """The events of one Columns as codes and fixed-point values, ready to be summed by any choice of rows."""

    def __init__(self, grid: Grid, events: Columns, watched: frozenset[str]) -> None:
        n = len(events)
        self.grid = grid
        self.seconds = events.time // SLICE
        self.flat = np.empty((len(grid), n), np.int64)
        self.numeric = np.array([i for i, _ in grid.numeric_axes], np.int64)
        values = np.empty((len(self.numeric), n), np.float64)
        row = 0
        for i, axis in enumerate(grid.axes):
            column = events.columns.get(axis.name)
            if column is None:
                self.flat[i] = grid.first[i] + axis.cells + 1  # absent from every event
                if isinstance(axis, Numeric):
                    values[row] = np.nan
                    row += 1
                continue
            row = self._count(i, axis, column, values, row)
        self._fix(grid, values)
        self.watched = [(r, int(i)) for r, i in enumerate(self.numeric) if grid.names[i] in watched]

    def _count(self, i: int, axis: Axis, column: object, values: NDArray[np.float64], row: int) -> int:
        if isinstance(axis, Numeric):
            number = axis.values(column)  # type: ignore[arg-type]
            np.add(axis.codes_of(number), self.grid.first[i], out=self.flat[i])
            values[row] = number
            return row + 1
        np.add(axis.codes(column), self.grid.first[i], out=self.flat[i])  # type: ignore[arg-type]
        return row

    def _fix(self, grid: Grid, values: NDArray[np.float64]) -> None:
        self.finite = np.isfinite(values)
        if not len(self.numeric):
            self.q = np.empty((0, values.shape[1]), np.int64)
            self.squares = self.q
            self.clipped = np.empty((0, values.shape[1]), np.bool_)
            return
        centre = np.array([axis.centre for _, axis in grid.numeric_axes])[:, None]
        scale = np.array([axis.scale for _, axis in grid.numeric_axes])[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            z = (values - centre) / scale
        z[~self.finite] = 0.0
        self.clipped = np.abs(z) > CLIP
        self.q = np.rint(np.clip(z, -CLIP, CLIP) * FIXED).astype(np.int64)
        self.squares = (self.q * self.q + (FIXED >> 1)) >> 20

    def pane(self, rows: NDArray[np.int64] | slice) -> Pane:
        """The pane of these rows."""
        flat, seconds = self.flat[:, rows], self.seconds[rows]
        q, squares, finite = self.q[:, rows], self.squares[:, rows], self.finite[:, rows]
        pane = Pane.empty(self.grid)
        pane.events = flat.shape[1] if len(self.grid) else len(seconds)
        pane.counts = np.bincount(flat.ravel(), minlength=self.grid.codes).astype(np.int64)
        pane.moments[0, self.numeric] = q.sum(axis=1)
        pane.moments[1, self.numeric] = squares.sum(axis=1)
        pane.moments[2, self.numeric] = self.clipped[:, rows].sum(axis=1)
        pieces = [_slices(i, seconds[finite[r]], q[r][finite[r]], squares[r][finite[r]]) for r, i in self.watched]
        if pieces:
            pane.slices = np.concatenate(pieces)
        return pane


def _slices(signal: int, seconds: Ints, q: Ints, squares: Ints) -> Ints:
    second, inverse, n = np.unique(seconds, return_inverse=True, return_counts=True)
    rows = np.empty((len(second), 5), np.int64)
    rows[:, 0], rows[:, 1], rows[:, 2] = signal, second, n
    # A block's sums stay far below 2^53, so that float64 weights are exact.
    rows[:, 3] = np.bincount(inverse, weights=q, minlength=len(second)).astype(np.int64)
    rows[:, 4] = np.bincount(inverse, weights=squares, minlength=len(second)).astype(np.int64)
    return rows


_WIDTHS: Final = tuple(np.dtype(name) for name in ("<i1", "<i2", "<i4", "<i8"))


def pack_ints(values: Ints) -> bytes:
    """Integers as bytes: the narrowest width that holds them all, deflated. The same numbers give the same bytes."""
    return _narrow(values.ravel())


def unpack_ints(body: bytes) -> Ints:
    """The reverse of `pack_ints`, flat."""
    return _widen(body)


def _narrow(values: Ints) -> bytes:
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    width = next(i for i, dtype in enumerate(_WIDTHS) if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return bytes([width]) + zlib.compress(values.astype(_WIDTHS[width]).tobytes(), 1)


def _widen(body: bytes) -> Ints:
    if not body or body[0] >= len(_WIDTHS):
        raise ValueError("these bytes are no packed integers")
    try:
        return np.frombuffer(zlib.decompress(body[1:]), _WIDTHS[body[0]]).astype(np.int64)
    except zlib.error as fault:
        raise ValueError(f"these bytes are no packed integers: {fault}") from fault


def _frame(part: bytes) -> bytes:
    return len(part).to_bytes(4, "little") + part
