"""Raw values of two sides and what the grid, the panes and the moments make of them."""

import numpy as np
from scipy import stats

from driftd.core.distance import Floats
from driftd.core.grid import Grid, Numeric
from driftd.core.ordered import Ordered, kolmogorov_smirnov, shift_of, wasserstein
from driftd.core.pane import CLIP, FIXED
from tests.core.streams import numeric, pane_of, reference_of


class Sides:
    """Raw values of both sides, counted on a grid of the reference."""

    def __init__(
        self, current: Floats, reference: Floats, sample: Floats | None = None, *, axis: Numeric | None = None
    ) -> None:
        """The grid is that of `axis`, or else of `sample`, or else of the reference."""
        axis = axis or numeric("x", reference if sample is None else sample)
        self.grid = Grid([axis])
        self.cells = Ordered.of(self.grid)
        self.reference = reference_of(self.grid, {"x": reference})
        pane = pane_of(self.grid, {"x": current})
        self.a, self.b = (self.cells.sums(counts) for counts in (pane.counts, self.reference.counts))
        n, m = self.cells.totals(self.a), self.cells.totals(self.b)
        self.shift = shift_of(pane.moments[0], n, self.reference.moments[0], m)
        self.deviation = self.reference.deviations()
        self.axis = axis
        # What the grid's units make of the values: that is what the distance is of.
        self.z = [self.units(rows) for rows in (current, reference)]

    def units(self, values: Floats) -> Floats:
        return np.clip((values / 2 - self.axis.centre / 2) / (self.axis.scale / 2), -CLIP, CLIP)

    @property
    def shares(self) -> tuple[Floats, Floats]:
        return self.a / self.a.sum(), self.b / self.b.sum()

    def ks(self) -> float:
        return float(kolmogorov_smirnov(self.cells, self.a, self.b)[0])

    def wasserstein(self) -> float:
        return float(wasserstein(self.cells, self.a, self.b, self.shift, self.deviation)[0])

    def exact_wasserstein(self) -> float:
        return float(stats.wasserstein_distance(*self.z) / self.deviation[0])

    def wasserstein_bound(self) -> float:
        """By the docstring: what lies in each bin times its width, half of it but at the ends; what is beyond."""
        p, q = self.shares
        borders = self.units(self.axis.bounds)
        part = np.full(len(borders) - 1, 0.5)
        part[[0, -1]] = 1
        within = float((np.diff(borders) * (p + q)[1:-1] * part).sum())
        low, high = borders[[0, -1]]
        beyond = sum(float(np.mean(np.maximum(low - z, 0) + np.maximum(z - high, 0))) for z in self.z)
        return (within + beyond + 4 / FIXED) / float(self.deviation[0])
