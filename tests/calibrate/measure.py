"""Draws references and windows that have not drifted, and counts how often `judge` passes a level.

One grid of many signals is as many independent pairs of a reference and a window, so that what is measured is
`Reference.build` and `judge` themselves.
"""

from __future__ import annotations

import time
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from driftd.core.grid import BINS, Axis, Categorical, Grid, Numeric, categorical_axis, numeric_axis
from driftd.core.judge import judge
from driftd.core.pane import CLIP, FIXED, Ints
from driftd.core.reference import LEAST_PART, LEAST_WINDOWS, PARTS, Reference
from tests.calibrate.cells import LEVELS, MEASURED, Cell, Stream
from tests.calibrate.streams import Kind, Latent, Rng
from tests.core.streams import Floats

FIXED_REFERENCES = 200
MOST_VALUES = 4_000_000
"""Held at once."""
ROWS = {measured.name: measured.row for measured in MEASURED}


@dataclass(frozen=True)
class Chunk:
    """Some references of a stream. `windows`: of each, beyond the first, for the rates of a fixed reference: of the longest
    windows that are calibrated, a twentieth of it. Of shorter ones it has next to none of its own.
    """

    stream: Stream
    seed: int
    number: int
    references: int
    windows: int

    @property
    def weight(self) -> float:
        """About the time that it takes: the heavy ones go first."""
        drawn = self.windows * sum(self.stream.sizes)
        return self.references * (self.stream.m * max(1, len(self.stream.kind.shares) / 10) + drawn)


@dataclass
class Tally:
    """Of one cell. `hits` by level; `fixed`: of each fixed reference its rate at each level."""

    windows: int = 0
    hits: list[int] = field(default_factory=lambda: [0] * len(LEVELS))
    fixed: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Counted:
    """`passed` int64[windows, signals]: how many of LEVELS, which fall, each p-value passes."""

    chunk: Chunk
    passed: dict[Cell, Ints]
    seconds: float


def chunks(stream: Stream, seed: int, share: float, windows: int) -> list[Chunk]:
    """The stream's references in portions that fit into memory; the first 200 of them are the fixed ones."""
    parts = min(PARTS, stream.m // LEAST_PART)
    codes = max(len(stream.kind.shares), BINS) + 8
    held = parts * codes if stream.counted else max(stream.m, parts * codes)
    most = max(10, min(FIXED_REFERENCES, MOST_VALUES // held))
    total = max(FIXED_REFERENCES if windows else 100, round(stream.references * share))
    starts = range(0, total, most)
    return [
        Chunk(stream, seed, i, min(most, total - a), windows if a < FIXED_REFERENCES else 0)
        for i, a in enumerate(starts)
    ]


def count(chunk: Chunk) -> Counted:
    """Pure: the same chunk, the same counts."""
    began = time.process_time()
    stream = chunk.stream
    rng = np.random.default_rng([chunk.seed, chunk.number, zlib.crc32(stream.name.encode())])
    make = _counted if stream.counted else _ranked if stream.ranked else _drawn
    source = make(rng, stream, chunk.references)
    passed: dict[Cell, list[Ints]] = {cell: [] for cell in stream.cells}
    longest = tuple(n for n in stream.sizes if n * LEAST_WINDOWS == stream.m)
    for window in range(1 + (chunk.windows if longest else 0)):
        for n, counts in source.windows(longest if window else stream.sizes).items():
            found = judge(source.reference, counts, 100)
            for cell in stream.cells:
                if cell.n == n:
                    row = ROWS[cell.statistic]
                    p = np.where(found.enough[row], found.p_value[row], 1.0)
                    passed[cell].append(sum((p <= level).astype(np.int64) for level in LEVELS))  # type: ignore[arg-type]
    return Counted(chunk, {cell: np.stack(rows) for cell, rows in passed.items()}, time.process_time() - began)


def add(tally: Tally, passed: Ints) -> None:
    """The first window of each reference is one of a fresh reference; with the others, its fixed rate."""
    tally.windows += passed.shape[1]
    for i in range(len(LEVELS)):
        tally.hits[i] += int((passed[0] > i).sum())
    if len(passed) > 1:
        rates = np.stack([(passed[1:] > i).mean(axis=0) for i in range(len(LEVELS))], axis=1)
        room = FIXED_REFERENCES - len(tally.fixed)
        tally.fixed += [tuple(row) for row in rates.tolist()[:room]]


# -- where counts come from ------------------------------------------------------------------------------------------


class _Windows(ABC):
    """A reference, and windows of counts int64[codes] by n."""

    reference: Reference

    @abstractmethod
    def windows(self, sizes: tuple[int, ...]) -> dict[int, Ints]:
        """One window of each size."""


class _Multinomial(_Windows):
    """Windows of independent values: each signal's cells have these chances [signals, codes of an axis]."""

    def __init__(self, rng: Rng, reference: Reference, chances: list[Floats]) -> None:
        self.rng, self.reference, self.chances = rng, reference, chances

    def windows(self, sizes: tuple[int, ...]) -> dict[int, Ints]:
        return {n: np.concatenate([self.rng.multinomial(n, own) for own in self.chances]) for n in sizes}


class _Series(_Windows):
    """Windows of the series after the reference; that of a smaller n is the beginning of the larger one."""

    def __init__(self, latent: Latent, stream: Stream, axes: list[Axis], reference: Reference) -> None:
        self.latent, self.stream, self.axes, self.reference = latent, stream, axes, reference

    def windows(self, sizes: tuple[int, ...]) -> dict[int, Ints]:
        kind = self.stream.kind
        values = kind.of(self.latent.take(sizes[-1]), exact=self.stream.exact)
        codes = [_codes(axis, kind, row) for axis, row in zip(self.axes, values, strict=True)]
        return {
            n: np.concatenate(
                [_tally(own[None, :n], axis.cells + 3)[0] for own, axis in zip(codes, self.axes, strict=True)]
            )
            for n in sizes
        }


def _edges(m: int) -> Ints:
    parts = min(PARTS, m // LEAST_PART)
    return np.arange(parts + 1, dtype=np.int64) * m // parts


def _counted(rng: Rng, stream: Stream, signals: int) -> _Windows:
    """Independent values of a few kinds: the counts of the parts are multinomial."""
    shares = np.array(stream.kind.shares)
    sizes = np.diff(_edges(stream.m))
    axes, parts, once, chances = [], [], [], []
    for i in range(signals):
        counts = rng.multinomial(sizes, shares)
        axis = _axis(i, stream.kind, counts.sum(axis=0))
        codes = _codes(axis, stream.kind, np.arange(len(shares), dtype=np.float64))
        to_code = np.zeros((len(shares), axis.cells + 3))
        to_code[np.arange(len(shares)), codes] = 1
        axes.append(axis)
        parts.append((counts @ to_code).astype(np.int64))
        once.append(int((counts.sum(axis=0) == 1).sum()))
        chances.append(shares @ to_code)
    return _Multinomial(rng, _built(stream, axes, parts, once), chances)


def _ranked(rng: Rng, stream: Stream, signals: int) -> _Windows:
    """Independent numbers without atoms: their ranks are a permutation, and the shares of the world between the edges,
    which are values of given ranks, follow a Dirichlet law (David & Nagaraja, "Order Statistics", 2003, chapter 2).
    """
    m = stream.m
    ranks = -(-np.arange(1, BINS + 1) * m // BINS)
    bins = np.diff(np.concatenate(([0], ranks)))
    between = np.concatenate(([1, bins[0] - 1], bins[1:], [1]))
    ordered = np.repeat(np.arange(1, BINS + 1), bins)
    axes: list[Axis] = [Numeric(f"s{i:04}", np.arange(BINS + 1.0), 0.0, 1.0) for i in range(signals)]
    parts = [_parts(rng.permutation(ordered), m, BINS + 5) for _ in range(signals)]
    chances = [np.append(rng.dirichlet(between), np.zeros(3)) for _ in range(signals)]
    return _Multinomial(rng, _built(stream, axes, parts, [0] * signals), chances)


def _drawn(rng: Rng, stream: Stream, signals: int) -> _Windows:
    """Every value."""
    latent = Latent(rng, stream.kind, stream.dependence, signals, hour=stream.sizes[-1])
    values = stream.kind.of(latent.take(stream.m), exact=stream.exact)
    axes, parts, once = [], [], []
    moments = np.zeros((3, signals), np.int64)
    for i, row in enumerate(values):
        seen = np.bincount(row.astype(np.int64), minlength=len(stream.kind.shares)) if stream.kind.shares else None
        axis = _axis(i, stream.kind, seen) if seen is not None else numeric_axis(f"s{i:04}", row, row.min(), row.max())
        axes.append(axis)
        parts.append(_parts(_codes(axis, stream.kind, row), stream.m, axis.cells + 3))
        once.append(0 if seen is None else int((seen == 1).sum()))
        if stream.exact and isinstance(axis, Numeric):
            z = (_numbers(stream.kind, row) - axis.centre) / axis.scale
            q = np.rint(np.clip(z, -CLIP, CLIP) * FIXED).astype(np.int64)
            moments[:2, i] = q.sum(), ((q * q + FIXED // 2) // FIXED).sum()
    return _Series(latent, stream, axes, _built(stream, axes, parts, once, moments))


def _axis(i: int, kind: Kind, seen: Ints) -> Axis:
    """Of a discrete kind, by how often the reference had each value."""
    name = f"s{i:04}"
    if kind.role == "category":
        return categorical_axis(name, {str(v): int(k) for v, k in enumerate(seen) if k}, 256)
    if kind.role == "number":
        sample = np.repeat(np.arange(len(seen)) / len(seen), seen)
        return numeric_axis(name, sample, float(sample[0]), float(sample[-1]))
    return Numeric(name, np.array([-1.0, 0.0]), 0.0, 1.0)


def _numbers(kind: Kind, values: Floats) -> Floats:
    """Integers are squeezed by a factor, which no statistic sees."""
    return values / len(kind.shares) if kind.shares else values


def _codes(axis: Axis, kind: Kind, values: Floats) -> Ints:
    if isinstance(axis, Categorical):
        return np.take(axis.codes([str(v) for v in range(len(kind.shares))]), values.astype(np.int64))
    if kind.role == "number":
        return axis.codes_of(_numbers(kind, values))
    state = axis.cells + ("null", "absent").index(kind.role)
    return np.where(values > 0, state, 1)


def _tally(codes: Ints, width: int) -> Ints:
    """Counts [rows, width] of codes [rows, values]."""
    flat = codes + (np.arange(len(codes)) * width)[:, None]
    return np.bincount(flat.ravel(), minlength=len(codes) * width).reshape(-1, width).astype(np.int64)


def _parts(codes: Ints, m: int, width: int) -> Ints:
    """Counts [parts, width] of the reference's codes in order."""
    edges = _edges(m)
    flat = codes + np.repeat(np.arange(len(edges) - 1), np.diff(edges)) * width
    return np.bincount(flat, minlength=(len(edges) - 1) * width).reshape(-1, width).astype(np.int64)


def _built(
    stream: Stream, axes: list[Axis], parts: list[Ints], once: list[int], moments: Ints | None = None
) -> Reference:
    """`once`: how many categories each reference saw once, as a file's reference is told (Good-Turing)."""
    expected = np.array(once, np.int64) if stream.kind.role == "category" else None
    if moments is None:
        moments = np.zeros((3, len(axes)), np.int64)
    return Reference.build(Grid(axes), stream.m, moments, np.concatenate(parts, axis=1), expected)
