"""Streams, panes and references for the tests of the statistics."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import settings
from numpy.typing import NDArray

from driftd.core.event import Column, Columns
from driftd.core.grid import Grid, Numeric, numeric_axis
from driftd.core.pane import Counted, Ints, Pane
from driftd.core.reference import Reference

SEEDED = settings(deadline=None, derandomize=True, max_examples=200)
"""The same examples in every run."""

Floats = NDArray[np.float64]
Rows = Mapping[str, Column]


def numeric(name: str, sample: Floats) -> Numeric:
    """An axis of all of the sample, as a file's reference makes it."""
    return numeric_axis(name, sample, float(sample.min()), float(sample.max()))


def events(rows: Rows, time: Sequence[int] | None = None) -> Columns:
    """One event a second, unless its time is said."""
    n = len(next(iter(rows.values()), time or ()))
    at = np.arange(n, dtype=np.int64) * 1_000 if time is None else np.array(time, np.int64)
    return Columns("m", "1", "prediction", at, np.arange(n, dtype=np.int64), rows)


def pane_of(grid: Grid, rows: Rows, watched: Sequence[str] = ()) -> Pane:
    return Counted(grid, events(rows), frozenset(watched)).pane(slice(None))


def parts_of(grid: Grid, rows: Rows, parts: int) -> tuple[Ints, Ints]:
    """Counts [parts, codes] of consecutive rows, about as many in each; and the moments of all."""
    counted = Counted(grid, events(rows), frozenset())
    edges = np.arange(parts + 1) * len(counted.seconds) // parts
    panes = [counted.pane(slice(a, b)) for a, b in pairwise(edges.tolist())]
    return np.stack([pane.counts for pane in panes]), np.sum([pane.moments for pane in panes], axis=0)


def reference_of(grid: Grid, rows: Rows, parts: int = 1) -> Reference:
    counts, moments = parts_of(grid, rows, parts)
    return Reference.build(grid, len(next(iter(rows.values()))), moments, counts)


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> Floats:
    """AR(1) of variance 1: each value is phi times the one before, plus noise."""
    from scipy.signal import lfilter

    noise = rng.normal(size=n) * np.sqrt(1 - phi * phi)
    start = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, zi=[phi * start])[0], np.float64)
