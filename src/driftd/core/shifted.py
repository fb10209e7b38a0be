"""A reference's distribution, moved: whether a window of it is found by PSI, and from which shift on.

PSI of a window is a smooth function f of shares that a multinomial draws: by the delta method to the second order its mean
is f + 1/2 sum f''_k C_kk and its variance g'Cg + 1/2 tr (diag(f'') C)^2, C the covariance of the shares; its tenth percentile
is that of a gamma law of both. Where values depend on those before them C is larger: on average by M / (B - 1), the replay's
mean, and in the direction of g, of which the worst is taken, by 1 + M - (B - 1).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.interpolate import PchipInterpolator

from driftd.core.distance import ADDED, Floats, Grouping
from driftd.core.grid import Numeric
from driftd.core.reference import Reference

POWER: Final = 0.9
MOST_DEVIATIONS: Final = 16.0
"""A shift of more is not looked for."""
_STEPS: Final = 20
"""Halvings of a bracket: to a millionth of it."""

Bools = NDArray[np.bool_]


class Shifts:
    """The reference's distribution, moved, and whether a window of n values of it is found beyond `least` PSI."""

    def __init__(
        self, reference: Reference, groups: Grouping, expected: Floats, n: Floats, excess: Floats, least: Floats
    ) -> None:
        self.reference, self.groups, self.n, self.least = reference, groups, n, least
        self.b = groups.sizes.astype(np.float64)
        total = np.repeat(groups.totals(expected) + ADDED * self.b, groups.sizes)
        self.q = (expected + ADDED) / total
        self.spread = n / (n + ADDED * self.b) ** 2 * (1 + excess / np.maximum(self.b - 1, 1))
        # As in the law: what wanders more than independent values do is one direction. A shift may lie along it.
        self.along = n / (n + ADDED * self.b) ** 2 * (1 + excess)
        grid = reference.grid
        self.deviations = reference.deviations()
        cells = [reference.counts[int(f) : int(f) + axis.cells] for f, axis in zip(grid.first, grid.axes, strict=False)]
        self.cells = [own / max(float(own.sum()), 1.0) for own in cells]
        """The share of each."""
        self.moves = [
            _cumulative(axis, own) if isinstance(axis, Numeric) and own.max() <= 0.5 < own.sum() else None
            for axis, own in zip(grid.axes, self.cells, strict=True)
        ]
        self.by_share = groups.lone | np.array([moves is None for moves in self.moves])

    def smallest(self, rows: Bools) -> Floats:
        """In the units of `by_share`; infinite where no shift is found."""
        most = np.array([self._most(i) if rows[i] else 0.0 for i in range(len(self.b))])
        out = self._search(rows, most, 1.0)
        down = rows & ~self.by_share
        return np.maximum(out, np.where(down, self._search(down, most, -1.0), 0.0)) if down.any() else out

    def _search(self, rows: Bools, most: Floats, sign: float) -> Floats:
        low, high = np.zeros(len(most)), most.copy()
        never = ~self._found(high * sign, rows)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            found = self._found(middle * sign, rows)
            low, high = np.where(found, low, middle), np.where(found, middle, high)
        return np.where(never, np.inf, high)

    def _most(self, i: int) -> float:
        if not self.by_share[i]:
            return MOST_DEVIATIONS
        top = float(self.cells[i].max())
        return top if top > 0.5 else 1 - top

    def _found(self, shift: Floats, rows: Bools) -> Bools:
        masses = np.zeros(int(self.reference.grid.first[-1]))
        for i in map(int, np.flatnonzero(rows)):
            first, cells = int(self.reference.grid.first[i]), self.cells[i]
            masses[first : first + len(cells)] = (
                _with_share(cells, float(shift[i])) if self.by_share[i] else self._moved(i, float(shift[i]))
            )
        groups = self.groups
        share = np.add.reduceat(masses[groups.order], groups.starts)
        n, spread = (np.repeat(x, groups.sizes) for x in (self.n, self.spread))
        p = (n * share + ADDED) / (n + ADDED * np.repeat(self.b, groups.sizes))
        q = self.q
        value = groups.totals((p - q) * np.log(p / q))
        slope, bend = np.log(p / q) + 1 - q / p, 1 / p + q / (p * p)
        mean = value + groups.totals(spread * bend * share * (1 - share)) / 2
        linear = self.along * (groups.totals(share * slope**2) - groups.totals(share * slope) ** 2)
        second = groups.totals(bend**2 * share**2 * (1 - 2 * share)) + groups.totals(bend * share**2) ** 2
        variance = np.maximum(linear + self.spread**2 * second / 2, 1e-300)
        mean = np.maximum(mean, 1e-150)
        tenth = special.gammaincinv(mean * mean / variance, 1 - POWER) * variance / mean
        found: Bools = tenth >= self.least
        return found

    def _moved(self, i: int, deviations: float) -> Floats:
        """The shares of the cells once every value has moved."""
        cumulative = self.moves[i]
        assert cumulative is not None
        edges, below = cumulative
        at = np.clip(below(np.clip(edges - deviations * self.deviations[i], edges[0], edges[-1])), 0.0, 1.0)
        moved: Floats = np.diff(at, prepend=0.0, append=1.0)
        return np.maximum(moved, 0.0)


def _cumulative(axis: Numeric, cells: Floats) -> tuple[Floats, PchipInterpolator] | None:
    """The edges of the bins in the grid's units, and the share of values up to any point between them; None where
    floats do not tell them apart, or do not hold them.
    """
    with np.errstate(all="ignore"):
        edges = (axis.bounds - axis.centre) / axis.scale
        keep = np.concatenate(([True], np.diff(edges) > 0))
    if not np.isfinite(edges).all() or keep.sum() < 2:
        return None
    return edges, PchipInterpolator(edges[keep], np.cumsum(cells)[:-1][keep])


def _with_share(cells: Floats, shift: float) -> Floats:
    """The shares of the cells once that of the greatest has risen, where it has more than half fallen, by so much."""
    share = cells.copy()
    k = int(np.argmax(share))
    top = float(share[k])
    now = top - shift if top > 0.5 else top + shift
    if top < 1:
        share *= (1 - now) / (1 - top)
    else:
        share[-1 if k < len(share) - 1 else 0] = 1 - now  # what was never seen
    share[k] = now
    return share
