"""Distances between two sets of counts on one grid, over all signals in one pass.

A grid's codes are first put into groups: ten of equal reference mass for a numeric signal, the categories themselves
for a categorical one. Groups whose expected count is under 5 are merged (numeric: with the right neighbour, the last
leftwards; categorical: pooled, NEW among them, a pool under 5 joins the smallest kept). The expected count is that of
n rounded down to a power of two, so that repeated looks and the reference's own replay use the same groups. Where the
reference has an OTHER, NEW is one cell with it.

One group alone could never show anything, so there are two, unless there is but one cell (identifiers: all is OTHER).
Where one cell holds nearly everything (a constant,
a flag that is seldom set) they are that cell and the rest: a *lone* cell. Too little is expected of the rest for its
fall to be seen; only its rise counts. Where every category is rare, neighbours in the order of frequency are merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.grid import Grid, Numeric

GROUPS: Final = 10
LEAST_EXPECTED: Final = 5.0
ADDED: Final = 0.5
"""Added to every group's count, so that an empty group has a logarithm (Haldane's and Anscombe's correction)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which group each code belongs to. Groups of signal i are `first[i]` to `first[i + 1]`, exclusive."""

    order: NDArray[np.int64]
    """The codes that are cells, group by group."""
    starts: NDArray[np.int64]
    """Where each group begins in `order`."""
    first: NDArray[np.int64]
    lone: NDArray[np.bool_]
    """Signals with a lone cell: it is their group 0, the rest their group 1."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Groups of each signal, at least 1."""
        return np.diff(self.first)

    def sums(self, counts: NDArray[np.integer]) -> Floats:
        """Counts [..., codes] as float64 counts of groups [..., groups]."""
        return np.add.reduceat(counts[..., self.order], self.starts, axis=-1).astype(np.float64)

    def totals(self, groups: Floats) -> Floats:
        """Groups [..., groups] added up to [..., signals]."""
        return np.add.reduceat(groups, self.first[:-1], axis=-1)

    def shares(self, groups: Floats, added: float = 0.0) -> Floats:
        """The share of each group [..., groups] of its signal's total, after `added` to each; 0 where all are empty."""
        out: Floats = (groups + added) / np.repeat(
            np.maximum(self.totals(groups) + added * self.sizes, 0.5), self.sizes, axis=-1
        )
        return out


def power_of_two(n: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Each n, at least 1, rounded down to a power of two."""
    return np.left_shift(np.int64(1), np.frexp(np.maximum(n, 1).astype(np.float64))[1].astype(np.int64) - 1)


def grouping(grid: Grid, reference: NDArray[np.int64], n: int) -> Grouping:
    """The groups for a window of n events, from the reference's counts int64[codes]."""
    order: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    first = [0]
    lone: list[bool] = []
    for i, axis in enumerate(grid.axes):
        base = int(grid.first[i])
        counts = reference[base : base + axis.cells].astype(np.float64)
        total = counts.sum()
        mass = counts / total if total > 0 else np.full(len(counts), 1.0 / len(counts))
        # Where the reference has rare ones, some of them are new every time: NEW is one of them, told by its own rate.
        as_other = not isinstance(axis, Numeric) and mass[axis.other] > 0
        if as_other:
            mass = np.append(mass[:-2], mass[-2] + mass[-1])
        label = _ordered_groups(mass, n) if isinstance(axis, Numeric) else _category_groups(mass, n)
        lone.append(not label.any())
        if lone[-1]:
            label = (np.arange(len(mass)) != np.argmax(mass)).astype(np.int64)
        if as_other:
            label = np.append(label, label[-1])
        order.append(base + np.argsort(label, kind="stable"))
        sizes.extend(np.bincount(label).tolist())
        first.append(first[-1] + int(label.max()) + 1)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])) if sizes else np.empty(0)
    joined = np.concatenate(order) if order else np.empty(0, np.int64)
    return Grouping(joined, starts.astype(np.int64), np.array(first, np.int64), np.array(lone, np.bool_))


def _ordered_groups(mass: Floats, n: int) -> NDArray[np.int64]:
    """Labels 0, 1, ... of the cells of a numeric axis; under- and overflow join the ends by their place."""
    middle = np.cumsum(mass) - mass / 2
    label = np.minimum(np.floor(GROUPS * middle + 1e-9), GROUPS - 1).astype(np.int64)
    label = np.unique(label, return_inverse=True)[1]
    return _merged(np.bincount(label, weights=mass).astype(np.float64) * n)[label]


def _merged(expected: Floats) -> NDArray[np.int64]:
    """Labels 0, 1, ... of neighbours merged to the right until 5 are expected, the last ones to the left."""
    merged = np.empty(len(expected), np.int64)
    group, filled = 0, 0.0
    for i, count in enumerate(expected):
        merged[i] = group
        filled += count
        if filled >= LEAST_EXPECTED:
            group, filled = group + 1, 0.0
    if filled > 0 and group > 0:
        merged[merged == group] = group - 1
    # An end that expects nothing and was merged nowhere still belongs to the group beside it.
    return np.minimum(merged, max(group - 1, 0))


def _category_groups(mass: Floats, n: int) -> NDArray[np.int64]:
    """Labels of categories, OTHER and NEW: the kept ones in order, the pool of the rare ones last."""
    expected = mass * n
    kept = expected >= LEAST_EXPECTED
    pool = float(expected[~kept].sum())
    if not kept.any():
        return _merged(expected)
    label = np.zeros(len(mass), np.int64)
    label[kept] = np.arange(int(kept.sum()))
    if pool >= LEAST_EXPECTED:
        label[~kept] = int(kept.sum())
    else:
        smallest = np.flatnonzero(kept)[np.argmin(expected[kept])]
        label[~kept] = label[smallest]
    return label


def psi(groups: Grouping, current: Floats, reference: Floats) -> Floats:
    """Population stability index, [..., signals], of group counts [..., groups]: sum of (p - q) ln(p / q).

    p and q are shares after 0.5 is added to every group. Range [0, inf); symmetric; the Jeffreys divergence (Jeffreys
    1946; as PSI: Siddiqi, "Credit Risk Scorecards", 2006). Between two independent samples of n and m of one
    distribution its mean is about (B - 1)(1/n + 1/m) for B groups (Yurdakul & Naranjo, "Statistical properties of the
    population stability index", 2020). Beside a lone cell the rest counts only where its share has risen.
    """
    p, q = groups.shares(current, ADDED), groups.shares(reference, ADDED)
    return only_rise(groups, groups.totals((p - q) * np.log(p / q)), current, reference)


def only_rise(groups: Grouping, out: Floats, current: Floats, reference: Floats) -> Floats:
    """A distance [..., signals], but 0 where the rest beside a lone cell has not risen."""
    if not groups.lone.any():
        return out
    last = groups.first[1:] - 1
    now = current[..., last] / np.maximum(groups.totals(current), 1)
    then = reference[..., last] / np.maximum(groups.totals(reference), 1)
    return np.where(groups.lone & (now <= then), 0.0, out)
