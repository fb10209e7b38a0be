"""Detectors of rows of right and wrong, 0 and 1: they find that errors become more frequent, never that they become rarer.

A slice of n events that sum to k is k ones and n - k zeros. In which order they came within their second is not known: it
is drawn, each order as likely as another, by a generator whose state is the detector's, so that it is the same order every
time. (Ones first, or evenly spread, would change the distances between errors with the traffic.) Of values in between, as
a part of an error, k is the sum rounded. With one value a slice these are river's `DDM`, `EDDM` and `FHDDM`, to the index;
but that FHDDM, which finds that ones become rarer, is given 1 for right.
"""

from __future__ import annotations

from math import log, sqrt
from typing import ClassVar

from driftd.core.detector import Change, real, whole
from driftd.core.sequential import NOWHERE, Draws, Parameter, Sequential, count, mark_of, probability, wholes


class _Binary(Sequential):
    common: ClassVar = {**Sequential.common, "_drawn": whole}

    def _prepare(self) -> None:
        self._drawn = 1

    def _slice(self, n: int, total: float) -> Change | None:
        """Of several changes in one slice the largest."""
        origin, width = self.unit
        share = min(max((total / n - origin) / width, 0.0), 1.0)
        draws, worst = Draws(self._drawn), None
        for one in draws.order(round(share * n), n):
            change = self._step(1, origin + width * one, one)
            if change is not None and (worst is None or abs(change.difference) > abs(worst.difference)):
                worst = change
        self._drawn = draws.at
        return worst


class Ddm(_Binary):
    """The error rate p and its deviation s, against p + s at its lowest: p + s > p_min + threshold * s_min.

    Source: Gama et al., "Learning with drift detection", SBIA 2004. `warm_start`: events before it speaks; the change
    began where p + s passed `warning_threshold`, and stayed; it is one at `drift_threshold`.
    """

    name = "ddm"
    parameters: ClassVar = {
        "warm_start": count(30),
        "warning_threshold": Parameter(2.0, 0.0, 1e6),
        "drift_threshold": Parameter(3.0, 0.0, 1e6),
    }
    state: ClassVar = {"_mean": real, "_p": real, "_s": real, "_lowest": real, "_warned_at": mark_of}

    def _begin(self) -> None:
        self._mean = self._p = self._s = 0.0
        self._lowest = 2.0  # above any p + s
        self._warned_at = NOWHERE

    def _take(self, n: int, value: float) -> Change | None:
        self._mean += (1.0 / self._n) * (value - self._mean)
        p = self._mean
        s = sqrt(max(p * (1 - p), 0.0) / self._n)
        if self._n <= self.values["warm_start"]:
            return None
        if p + s <= self._lowest:
            self._p, self._s, self._lowest = p, s, p + s
        origin, width = self.unit
        last = self._n - n, self._total - (origin + width * value)
        if p + s <= self._p + self.values["warning_threshold"] * self._s:
            self._warned_at = NOWHERE
        elif not self._warned_at[0]:
            self._warned_at = last
        if p + s <= self._p + self.values["drift_threshold"] * self._s:
            return None
        return self._since(self._warned_at if self._warned_at[0] else last)


class Eddm(_Binary):
    """Mean and deviation of the distance between errors, against their greatest: (m + 2 s) / (m + 2 s)_max < beta.

    Source: Baena-Garcia et al., "Early drift detection method", IWKDDS 2006. `warm_start`: events and errors before it
    speaks; the change began where the ratio passed `alpha`, and stayed; it is one at `beta`.
    """

    name = "eddm"
    parameters: ClassVar = {
        "warm_start": count(30),
        "alpha": Parameter(0.95, 1e-9, 1.0),
        "beta": Parameter(0.9, 1e-9, 1.0),
    }
    state: ClassVar = {
        "_mean": real, "_m2": real, "_greatest": real, "_errors": whole, "_last_at": mark_of, "_warned_at": mark_of,
    }  # fmt: skip

    def _prepare(self) -> None:
        super()._prepare()
        if self.values["alpha"] < self.values["beta"]:
            raise ValueError(f"alpha is {self.values['alpha']:g}, below beta, {self.values['beta']:g}")

    def _begin(self) -> None:
        self._mean = self._m2 = 0.0
        self._greatest = -1.0
        self._errors = 0
        self._last_at = self._warned_at = NOWHERE

    def _take(self, n: int, value: float) -> Change | None:
        del n
        if value != 1:
            return None
        self._errors += 1
        distance = self._n - self._last_at[0]
        old = self._mean
        self._mean += (1.0 / self._errors) * (distance - old)
        self._m2 += (distance - old) * (distance - self._mean)
        last, self._last_at = self._last_at, self.here
        if self._n <= self.values["warm_start"]:
            return None
        variance = self._m2 / (self._errors - 1) if self._errors > 1 else 0.0
        reach = self._mean + 2 * variance**0.5
        if reach > self._greatest:
            self._greatest, self._warned_at = reach, NOWHERE
            return None
        if self._errors <= self.values["warm_start"]:
            return None
        level = reach / self._greatest
        if level >= self.values["alpha"]:
            self._warned_at = NOWHERE
        elif not self._warned_at[0]:
            self._warned_at = last
        if level >= self.values["beta"]:
            return None
        return self._since(self._warned_at if self._warned_at[0] else last)


class Fhddm(_Binary):
    """The share of right in the newest window, against the greatest that it was: a fall by more than Hoeffding's bound.

    Source: Pesaranghader & Viktor, "Fast Hoeffding drift detection method", ECML-PKDD 2016; the second, short window:
    Pesaranghader, Viktor & Paquet, "Reservoir of diverse adaptive learners and stacking", Machine Learning 107 (2018).
    `sliding_window_size`, `short_window_size` (0: none): events; `confidence_level`: of the bound. A change is told as
    the window that showed it, and what was before.
    """

    name = "fhddm"
    parameters: ClassVar = {
        "sliding_window_size": count(100, 2, 100_000),
        "confidence_level": probability(0.000001),
        "short_window_size": count(0, 0, 100_000),
    }
    state: ClassVar = {"_best": real, "_short_best": real, "_window": wholes}

    def _prepare(self) -> None:
        super()._prepare()
        self._size, self._short = (int(self.values[f"{name}_window_size"]) for name in ("sliding", "short"))
        if self._short >= self._size:
            raise ValueError(f"short_window_size is {self._short}, not below sliding_window_size, {self._size}")
        confidence = log(1 / self.values["confidence_level"])
        self._bound = sqrt(confidence / (2 * self._size))
        self._short_bound = sqrt(confidence / (2 * self._short)) if self._short else 0.0

    def _begin(self) -> None:
        self._window: list[int] = []
        self._right = 0
        self._best = self._short_best = 0.0

    def _take(self, n: int, value: float) -> Change | None:
        del n
        right = 0 if value == 1 else 1
        self._window.append(right)
        self._right += right
        if len(self._window) < self._size:
            return None
        share = self._right / self._size
        self._best = max(self._best, share)
        found = self._size if self._best - share > self._bound else 0
        if self._short:
            share = sum(self._window[-self._short :]) / self._short
            self._short_best = max(self._short_best, share)
            if not found and self._short_best - share > self._short_bound:
                found = self._short
        origin, width = self.unit
        told = found - sum(self._window[-found:]) if found else 0
        self._right -= self._window.pop(0)
        return self._since((self._n - found, self._total - (origin * found + width * told))) if found else None

    def _check(self) -> None:
        super()._check()
        if len(self._window) >= self._size or any(right > 1 for right in self._window):
            raise ValueError("a detector's state is broken: a window is zeros and ones, fewer than its size")
        self._right = sum(self._window)
