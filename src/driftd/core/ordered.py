"""Distances between distributions of numbers, whose cells have an order and a place: Kolmogorov-Smirnov, Wasserstein.

Both use all cells of a numeric axis (up to 60 bins, under- and overflow), not the ten groups of PSI: what they add up
or compare are cumulated shares, which need no least count in a cell. A categorical axis has no order, so there is no
such distance of it: arrays are [..., numbers], the numeric axes of the grid in their order (`grid.numeric`).

D is the difference of the cumulated shares, now less then; at the borders of the cells it is known exactly. Counts are
added up as integers: neither the order of events nor that of panes, signals or windows changes a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftd.core.distance import Floats
from driftd.core.grid import Grid
from driftd.core.pane import CLIP, FIXED, Ints


@dataclass(frozen=True, eq=False)
class Ordered:
    """The cells of a grid's numeric axes behind one another; those of axis i are `first[i]` to `first[i + 1]`."""

    codes: NDArray[np.int64]
    first: NDArray[np.int64]
    widths: Floats
    """Of each cell, in the grid's units: 0 of under- and overflow. Borders beyond 64 units count as 64."""
    near: Floats
    """[2, numbers]: how wide the outermost bins are as far as most of their values go, the first and the last.

    They reach to the last value known, and most of that is nearly empty. Values that lie evenly over twice the next bins'
    width (the widest of three) have the mean of an exponential tail of the same mass.
    """

    @classmethod
    def of(cls, grid: Grid) -> Ordered:
        axes = grid.numeric_axes
        first = np.cumsum([0, *(axis.cells for _, axis in axes)], dtype=np.int64)
        codes = [grid.first[i] + np.arange(axis.cells) for i, axis in axes]
        widths, near = [np.empty(0)], [np.empty((2, 0))]
        for _, axis in axes:
            # Halved, the difference of two huge numbers is finite; over a tiny scale it may not be, and is clipped.
            with np.errstate(over="ignore"):
                places = np.clip((axis.bounds / 2 - axis.centre / 2) / (axis.scale / 2), -CLIP, CLIP)
            bins = np.diff(places)
            widths.append(np.concatenate(([0.0], bins, [0.0])))
            beside = (bins[1:4], bins[-4:-1]) if len(bins) > 1 else (bins, bins)
            near.append(np.array([[2 * wide.max(initial=0.0)] for wide in beside]))
        joined = np.concatenate([np.empty(0, np.int64), *codes]).astype(np.int64)
        return cls(joined, first, np.concatenate(widths), np.concatenate(near, axis=1))

    @property
    def outermost(self) -> NDArray[np.int64]:
        """[2, numbers]: which cells are the first bins and the last."""
        return np.stack((self.first[:-1] + 1, self.first[1:] - 2))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Cells of each axis."""
        return np.diff(self.first)

    def sums(self, counts: NDArray[np.integer]) -> Ints:
        """Counts [..., codes] of a grid as counts of these cells [..., cells]."""
        return counts[..., self.codes].astype(np.int64)

    def totals(self, cells: NDArray[np.integer]) -> Ints:
        """Counts of cells [..., cells] added up to [..., numbers]."""
        return np.add.reduceat(cells, self.first[:-1], axis=-1).astype(np.int64)

    def before(self, cells: Ints) -> Floats:
        """The share that lies before each cell, [..., cells]; that up to its end is this and its own."""
        whole = np.cumsum(cells, axis=-1) - cells
        since = whole - np.repeat(whole[..., self.first[:-1]], self.sizes, axis=-1)
        return self._of_total(since, cells)

    def through(self, cells: Ints) -> Floats:
        """The share that lies in each cell or before it, [..., cells]."""
        whole = np.cumsum(cells, axis=-1)
        since = whole - np.repeat((whole - cells)[..., self.first[:-1]], self.sizes, axis=-1)
        return self._of_total(since, cells)

    def integral(self, left: Floats, right: Floats, reach: Floats, mean: Floats) -> Floats:
        """Of a function of the value, [..., numbers], that averages `mean` [..., cells] over each cell, and is |left| and
        |right| at its ends. In the outermost bins that holds over `reach` [..., 2, numbers] from the inner end; beyond it
        is what it is at the border.
        """
        ends = self.outermost
        parts = mean * self.widths
        border = np.abs(np.stack((left[..., ends[0]], right[..., ends[1]]), axis=-2))
        # Where both ends are one bin, it is left as it is.
        beyond = np.where(ends[0] < ends[1], np.maximum(self.widths[ends] - reach, 0), 0)
        whole = np.add.reduceat(parts, self.first[:-1], axis=-1)
        out: Floats = whole + (beyond * (border - mean[..., ends])).sum(axis=-2)
        return out

    def _of_total(self, part: Ints, cells: Ints) -> Floats:
        out: Floats = part / np.repeat(np.maximum(self.totals(cells), 1), self.sizes, axis=-1)
        return out


def kolmogorov_smirnov(cells: Ordered, current: Ints, reference: Ints) -> Floats:
    """The greatest |D|, [..., numbers], of counts of cells [..., cells].

    Range [0, 1]; symmetric; no smoothing; 0 where either side is empty (Kolmogorov 1933; Smirnov 1939).

    Binning: D is seen at the borders of cells only. Exact less binned is in [0, max over cells of max(p_c, q_c)], p_c and
    q_c the shares of cell c; closer, exact is at most max over cells of max(D + p_c, q_c - D), D that before the cell. A
    cell that holds one value only (an atom; an integer in its bin) adds no error.

    Ties: values in one cell are tied, and so are equal raw values. The statistic is what it is in any order of them, but
    Kolmogorov's law is of continuous data: with ties the statistic is smaller, so that law's p-value is too large (it
    errs to the side that waits), and its mean is not 0.869 sqrt(1/n + 1/m). `null` takes them into account.
    """
    apart = np.abs(cells.through(current) - cells.through(reference))
    out = np.maximum.reduceat(apart, cells.first[:-1], axis=-1)
    return _said(cells, out, current, reference)


def wasserstein(cells: Ordered, current: Ints, reference: Ints, shift: Floats, deviations: Floats) -> Floats:
    """max(integral of |D|, |shift|) over the reference's standard deviation, [..., numbers]: Wasserstein-1.

    `shift` [..., numbers]: by how much the mean has moved (`shift_of`; 0 where it is not known), which no Wasserstein
    distance is below (Kantorovich & Rubinstein 1958); it tells how far beyond the borders the values are that are in
    under- and overflow, which count as lying on the border. `deviations` [numbers]: the reference's, both in the grid's
    units. A constant has none: it counts as 1 there (`Reference.deviations`).

    Range [0, 128 / deviation), as values beyond 64 of the grid's units count as 64; not symmetric, as unit and cells are
    the reference's; no smoothing; 0 where either side is empty (Vallender, "Calculation of the Wasserstein distance
    between probability distributions on the line", 1974).

    Binning: within a bin D is taken to be straight; in an outermost one as far as `Ordered.near` goes, or further by as
    much as there is more in it than there was, and beyond that what it is at the border. Exact (of values clipped so) and
    binned differ by at most the sum of w_c (p_c + q_c) / 2 over the bins of width w_c and shares p_c, q_c (not half, but
    all of it, over the outermost), and by the mean distance of both sides' values beyond the borders from them; over the
    deviation, and beside the 2^-20 of the moments.
    """
    left = cells.before(current) - cells.before(reference)
    right = cells.through(current) - cells.through(reference)
    ends = cells.outermost
    p = current[..., ends] / np.maximum(cells.totals(current), 1)[..., None, :]
    q = reference[..., ends] / np.maximum(cells.totals(reference), 1)[..., None, :]
    grown = cells.near * np.maximum(p / np.where(q > 0, q, 1), 1)
    reach = np.where(q > 0, grown, np.where(p > 0, np.inf, cells.near))
    out = cells.integral(left, right, reach, _under_straight(left, right))
    return _said(cells, np.maximum(out, np.abs(shift)) / deviations, current, reference)


def _under_straight(left: Floats, right: Floats) -> Floats:
    """The mean of |D| over a cell in which it goes straight from left to right."""
    low, high = np.abs(left), np.abs(right)
    both = np.where(low + high > 0, low + high, 1.0)
    # Two triangles where D changes its sign within the cell, else a trapezium.
    out: Floats = np.where(left * right < 0, (low * low + high * high) / (2 * both), (low + high) / 2)
    return out


def shift_of(s1: Ints, n: Ints, reference_s1: Ints, m: Ints) -> Floats:
    """By how much the mean has moved, in the grid's units, from the sums of `Pane.moments` and the values there are."""
    out: Floats = (s1 / np.maximum(n, 1) - reference_s1 / np.maximum(m, 1)) / FIXED
    return out


def _said(cells: Ordered, out: Floats, current: Ints, reference: Ints) -> Floats:
    return np.where((cells.totals(current) > 0) & (cells.totals(reference) > 0), out, 0.0)
