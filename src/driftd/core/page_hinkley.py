"""Page-Hinkley: how far the sum of deviations from the running mean, less an allowance, stands above its lowest point.

Source: Page, "Continuous inspection schemes", Biometrika 41 (1954); Hinkley, "Inference about the change-point from
cumulative sum tests", Biometrika 58 (1971): the change began at that lowest point. The fading sum is river's.

A slice of n events counts n times: the sum moves by n deviations of its mean, so that threshold and delay are in events
whatever the traffic. With one value a slice this is river's `drift.PageHinkley`, to the index.
"""

from __future__ import annotations

from typing import ClassVar

from driftd.core.detector import LIMIT, Change, real, whole
from driftd.core.sequential import NOWHERE, Parameter, Sequential, count, mark_of


class PageHinkley(Sequential):
    """`delta`: the allowance, half of the shift that is to be found; `threshold`: of the sum; both in the unit.

    `min_instances`: events before it speaks; `alpha`: what the sum keeps of itself from one event to the next.
    """

    name = "page_hinkley"
    parameters: ClassVar = {
        "min_instances": count(30),
        "delta": Parameter(0.125, 0.0, 1e6),
        "threshold": Parameter(75.0, 1e-9, 1e9),
        "alpha": Parameter(1.0, 1e-9, 1.0),
    }
    state: ClassVar = {
        "_mean": real, "_rise": real, "_fall": real, "_lowest": real, "_highest": real, "_count": whole,
        "_rise_at": mark_of, "_fall_at": mark_of,
    }  # fmt: skip

    def _begin(self) -> None:
        self._count, self._mean = 0, 0.0
        self._rise = self._fall = 0.0
        self._lowest, self._highest = LIMIT, -1.0
        self._rise_at = self._fall_at = NOWHERE

    def _take(self, n: int, value: float) -> Change | None:
        delta, alpha, threshold = self.values["delta"], self.values["alpha"], self.values["threshold"]
        self._count += n
        self._mean += (n / self._count) * (value - self._mean)
        moved = n * (value - self._mean)
        kept = alpha**n
        self._rise = kept * self._rise + moved - n * delta
        self._fall = kept * self._fall + moved + n * delta
        if self._rise < self._lowest:
            self._lowest, self._rise_at = self._rise, self.here
        if self._fall > self._highest:
            self._highest, self._fall_at = self._fall, self.here
        if self._count < self.values["min_instances"]:
            return None
        rise = self._rise - self._lowest if self.direction != "down" else 0.0
        fall = self._highest - self._fall if self.direction != "up" else 0.0
        if max(rise, fall) <= threshold:
            return None
        return self._since(self._rise_at if rise >= fall else self._fall_at)
