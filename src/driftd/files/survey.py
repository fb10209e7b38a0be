"""What the first pass over a training file remembers of each column, in bounded memory.

Of numbers: the exact least and greatest, and a sample of rows that does not depend on how they were cut into batches.
Of categories: how often each was seen, up to a bound on distinct ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import Mark
from driftd.core.grid import KNOWN_CATEGORIES, Axis, Categorical, categorical_axis, category, numeric_axis

SAMPLE: Final = 1 << 16
"""Values of a numeric column behind its bins; of fewer rows, all."""
ALL_SAMPLED: Final = 1 << 23
"""Values sampled of all columns together (16 bytes each): of more than 128 numeric columns each keeps fewer."""
DISTINCT: Final = 100_000
LEAST_RANKED: Final = 20
"""Where not all categories have a cell of their own, those that have were seen at least so often."""
ALL_DISTINCT: Final = 2_000_000
"""Distinct categories counted in all columns together, unless an axis could then know fewer than it may."""


def sample_bound(columns: int) -> int:
    """How many values are sampled of each of so many numeric columns."""
    return max(1 << 12, min(SAMPLE, ALL_SAMPLED // max(columns, 1)))


def distinct_bound(columns: int) -> int:
    """How many distinct categories are counted of each of so many columns."""
    return max(KNOWN_CATEGORIES + 1, min(DISTINCT, ALL_DISTINCT // max(columns, 1)))


class Numbers:
    """Bottom-k: of all finite values, those of the rows whose hash is smallest (as in driftd.core.sample)."""

    def __init__(self, size: int = SAMPLE) -> None:
        self.size = size
        self.low, self.high = np.inf, -np.inf
        self.rising = True
        """Whether each value was greater than the one before, as those of a row number are."""
        self._last = -np.inf
        self._limit = np.uint64(2**64 - 1)
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._values: NDArray[np.float64] = np.empty(0, np.float64)

    def add(self, hashes: NDArray[np.uint64], values: NDArray[np.float64]) -> None:
        """`hashes[i]` belongs to the row of `values[i]`."""
        finite = np.isfinite(values)
        if not finite.all():
            hashes, values = hashes[finite], values[finite]
            self.rising = False
        if not len(values):
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if self.rising:
            self.rising = bool(values[0] > self._last and (values[1:] > values[:-1]).all())
            self._last = float(values[-1])
        small = np.flatnonzero(hashes <= self._limit)
        self._hashes = np.concatenate((self._hashes, hashes[small]))
        self._values = np.concatenate((self._values, values[small]))
        if len(self._values) > self.size + (self.size >> 2):
            self._shrink()

    def _shrink(self) -> None:
        if len(self._values) > self.size:
            kept = np.argpartition(self._hashes, self.size - 1)[: self.size]
            self._hashes, self._values = self._hashes[kept], self._values[kept]
            self._limit = self._hashes.max()

    def axis(self, name: str) -> Axis:
        """Without any value it is a categorical axis that knows no category, as it is for all other columns."""
        self._shrink()
        if not len(self._values):
            return categorical_axis(name, {}, 0)
        return numeric_axis(name, self._values, self.low, self.high)


class Categories:
    """Counts of up to `bound` distinct categories; what is new after that is not counted, and `complete` is False."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.complete = True
        self.counts: Counter[str] = Counter()

    def add(self, values: Sequence[object]) -> None:
        for text, count in categories(values).items():
            if text in self.counts or len(self.counts) < self.bound:
                self.counts[text] += count
            else:
                self.complete = False

    def axis(self, name: str, top: int) -> Categorical:
        if len(self.counts) > top:
            # The first of many that are alike are first by luck, and would be rarer ever after.
            top = min(top, sum(1 for count in self.counts.values() if count >= LEAST_RANKED))
        return categorical_axis(name, self.counts, top, complete=self.complete)

    def once(self) -> int:
        """Categories seen exactly once: the expected mass of what was never seen is that over the count of values
        (Good 1953, "The population frequencies of species and the estimation of population parameters").
        """
        return sum(1 for count in self.counts.values() if count == 1)


def categories(values: Sequence[object]) -> Counter[str]:
    """How often each category is among these objects; null, absent and bad are none."""
    kinds = set(map(type, values))
    out: Counter[str] = Counter()
    if bool in kinds and kinds & {int, float}:
        # To a dictionary True is 1.
        out.update(category(v) for v in values if v is not None and type(v) is not Mark)
        return out
    for value, count in Counter(values).items():
        if value is not None and type(value) is not Mark:
            out[category(value)] += count
    return out
