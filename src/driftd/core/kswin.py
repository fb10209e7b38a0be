"""KSWIN: the newest values against as many drawn from those before, by the two-sample test of Kolmogorov and Smirnov.

Source: Raab, Heusinger & Schleif, "Reactive soft prototype computing for concept drift streams", Neurocomputing 416
(2020). It finds that the distribution has changed, the spread too; a rule tells of it where the means are apart by
`min_effect`.

Each slice is one value, its mean. What is drawn is drawn by a generator whose state is the detector's: given the same
draws it is river's `drift.KSWIN` with one value a slice, to the index.
"""

from __future__ import annotations

from bisect import bisect_right
from math import comb
from typing import ClassVar

from driftd.core.detector import Change, whole
from driftd.core.sequential import Draws, Sequential, count, probability, reals, wholes


def least_significant(n: int, alpha: float) -> int:
    """The least h such that two samples of n, whose distributions are alike, are h / n apart with a chance of at most alpha.

    That chance is 2 sum over i of (-1)^(i - 1) C(2 n, n + i h) / C(2 n, n) (Gnedenko & Korolyuk 1951), here exactly.
    """
    whole_ = comb(2 * n, n)
    for h in range(1, n + 1):
        outside = 2 * sum((-1) ** (i - 1) * comb(2 * n, n + i * h) for i in range(1, n // h + 1))
        if outside / whole_ <= alpha:
            return h
    return n + 1


class Kswin(Sequential):
    """`alpha`: the level of a look; `window_size`: values kept; `stat_size`: of them the newest, which are compared."""

    name = "kswin"
    parameters: ClassVar = {
        "alpha": probability(0.005),
        "window_size": count(100, 4, 10_000),
        "stat_size": count(30, 2, 1_000),
    }
    state: ClassVar = {"_window": reals, "_sums": reals, "_events": wholes, "_drawn": whole}

    def _prepare(self) -> None:
        self._size, self._newest = int(self.values["window_size"]), int(self.values["stat_size"])
        if 2 * self._newest > self._size:
            raise ValueError(f"window_size is {self._size}, less than twice stat_size, {self._newest}")
        # River wants more than a tenth between the distributions, however small the level.
        self._least = max(least_significant(self._newest, self.values["alpha"]), self._newest // 10 + 1)
        self._drawn = 1

    def _begin(self) -> None:
        self._window: list[float] = []
        self._sums: list[float] = []
        self._events: list[int] = []

    @property
    def width(self) -> int:
        return sum(self._events)

    @property
    def estimate(self) -> float:
        return sum(self._sums) / sum(self._events) if self._events else 0.0

    def _step(self, n: int, total: float, value: float) -> Change | None:
        if self._found:
            self._reset()
        self._sums.append(total)  # of the slice, beside its value
        return super()._step(n, total, value)

    def _take(self, n: int, value: float) -> Change | None:
        self._window.append(value)
        self._events.append(n)
        if len(self._window) < self._size:
            return None
        if len(self._window) > self._size:
            del self._window[0], self._sums[0], self._events[0]
        draws, older = Draws(self._drawn), self._size - self._newest
        drawn = sorted(self._window[i] for i in draws.sample(range(older), self._newest))
        self._drawn = draws.at
        newest = sorted(self._window[older:])
        apart = max(abs(bisect_right(drawn, x) - bisect_right(newest, x)) for x in (*drawn, *newest))
        if apart < self._least:
            return None
        before, after = sum(self._events[:older]), sum(self._events[older:])
        return Change(sum(self._sums[:older]) / before, sum(self._sums[older:]) / after, before, after)

    def _check(self) -> None:
        super()._check()
        if not len(self._window) == len(self._sums) == len(self._events) <= self._size or 0 in self._events:
            raise ValueError("a detector's state is broken: its window has a value, a sum and a count for each slice")
