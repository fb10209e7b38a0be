"""Detectors whose bound is Hoeffding's or McDiarmid's: it holds of values in [0, 1], however they are distributed.

Source: Frias-Blanco et al., "Online and non-parametric drift detection methods based on Hoeffding's bounds", IEEE TKDE 27
(2015). HDDM_A compares plain means, HDDM_W exponentially weighted ones.

Each slice is one value, its mean: of values in [0, 1] that is in [0, 1] too, and the bound holds all the more. With one
value a slice they are river's `HDDMA` and `HDDMW`, two-sided unless only a rise is asked for, to the index.
"""

from __future__ import annotations

from math import log, sqrt
from typing import ClassVar

from driftd.core.detector import LIMIT, Change, real, whole
from driftd.core.sequential import NOWHERE, Mark, Parameter, Sequential, mark_of, probability, reals

Sample = list[float]
"""A weighted mean, the sum of its squared weights (McDiarmid's bound of it), and 1 once it has a value."""


class _Bounded(Sequential):
    """What lies outside the unit, which the reference has not shown, counts as its end."""

    def _slice(self, n: int, total: float) -> Change | None:
        value = (total / n - self.unit[0]) / self.unit[1]
        return self._step(n, total, min(max(value, 0.0), 1.0))


class HddmA(_Bounded):
    """`drift_confidence`: the chance that a look finds a change where there is none."""

    name = "hddm_a"
    parameters: ClassVar = {"drift_confidence": probability(0.001)}
    state: ClassVar = {
        "_mean": real, "_low": real, "_high": real, "_count": whole, "_low_count": whole, "_high_count": whole,
        "_low_at": mark_of, "_high_at": mark_of,
    }  # fmt: skip

    def _prepare(self) -> None:
        self._log = log(1.0 / self.values["drift_confidence"])
        self._log2 = log(2.0 / self.values["drift_confidence"])

    def _begin(self) -> None:
        self._count = self._low_count = self._high_count = 0
        self._mean = self._low = self._high = 0.0
        self._low_at = self._high_at = NOWHERE

    def _bound(self, n: int) -> float:
        return sqrt(1.0 / (2 * n) * self._log)

    def _take(self, n: int, value: float) -> Change | None:
        del n
        self._count += 1
        self._mean += (1.0 / self._count) * (value - self._mean)
        bound = self._bound(self._count)
        if not self._low_count or self._low + self._bound(self._low_count) >= self._mean + bound:
            self._low, self._low_count, self._low_at = self._mean, self._count, self.here
        if not self._high_count or self._high - self._bound(self._high_count) <= self._mean - bound:
            self._high, self._high_count, self._high_at = self._mean, self._count, self.here
        if self._apart(self._mean - self._low, self._low_count):
            return self._since(self._low_at)
        if self.direction != "up" and self._apart(self._high - self._mean, self._high_count):
            return self._since(self._high_at)
        return None

    def _apart(self, difference: float, n: int) -> bool:
        if n == self._count:
            return False
        m = (self._count - n) / n * (1.0 / self._count)
        return difference >= sqrt(m / 2 * self._log2)


class HddmW(_Bounded):
    """`lambda_val`: the weight of the newest value in the mean; `drift_confidence`: as of HDDM_A."""

    name = "hddm_w"
    parameters: ClassVar = {"drift_confidence": probability(0.001), "lambda_val": Parameter(0.05, 1e-6, 1.0)}
    state: ClassVar = {
        "_whole": reals, "_low": reals, "_high": reals, "_risen": reals, "_fallen": reals,
        "_low_cut": real, "_high_cut": real, "_low_at": mark_of, "_high_at": mark_of,
    }  # fmt: skip

    def _prepare(self) -> None:
        self._log = log(1 / self.values["drift_confidence"])
        weight = self.values["lambda_val"]
        self._square, self._rest_square = weight * weight, (1 - weight) ** 2

    def _begin(self) -> None:
        self._whole, self._low, self._high, self._risen, self._fallen = ([0.0, 1.0, 0.0] for _ in range(5))
        self._low_cut, self._high_cut = LIMIT, -LIMIT
        self._low_at = self._high_at = NOWHERE

    def _add(self, sample: Sample, value: float) -> None:
        weight = self.values["lambda_val"]
        sample[0] = weight * value + (1.0 - weight) * sample[0] if sample[2] else value
        sample[1] = self._square + self._rest_square * sample[1]
        sample[2] = 1.0

    def _bound(self, squares: float) -> float:
        return sqrt(squares * self._log / 2)

    def _take(self, n: int, value: float) -> Change | None:
        del n
        self._add(self._whole, value)
        bound = self._bound(self._whole[1])
        if self._whole[0] + bound < self._low_cut:
            self._low_cut, self._low, self._low_at = self._whole[0] + bound, self._whole[:], self.here
            self._risen = [0.0, 1.0, 0.0]
        else:
            self._add(self._risen, value)
        if self._whole[0] - bound > self._high_cut:
            self._high_cut, self._high, self._high_at = self._whole[0] - bound, self._whole[:], self.here
            self._fallen = [0.0, 1.0, 0.0]
        else:
            self._add(self._fallen, value)
        if self._apart(self._low, self._risen):
            return self._weighted(self._low_at, self._low, self._risen)
        if self.direction != "up" and self._apart(self._fallen, self._high):
            return self._weighted(self._high_at, self._high, self._fallen)
        return None

    def _weighted(self, mark: Mark, before: Sample, after: Sample) -> Change:
        """Told are the weighted means that were compared: the plain one up to the mark may be of long ago."""
        origin, width = self.unit
        return Change(origin + width * before[0], origin + width * after[0], mark[0], self._n - mark[0])

    def _apart(self, lower: Sample, upper: Sample) -> bool:
        return bool(lower[2] and upper[2]) and upper[0] - lower[0] > self._bound(lower[1] + upper[1])

    def _check(self) -> None:
        super()._check()
        if any(len(one) != 3 for one in (self._whole, self._low, self._high, self._risen, self._fallen)):
            raise ValueError("a detector's state is broken: a sample is a mean, its squared weights, and whether it is")
