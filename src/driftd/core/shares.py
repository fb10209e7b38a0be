"""Where a window differs from the reference: the share of each group, for the few signals that are in trouble.

These are the very groups that PSI compares. They become series of a metric, so their number is bounded: at most
SIGNALS of a series, the worst, and GROUPS of a signal; what is over that is added up in one last group. Names begin with
the group's number in its grid, so that no two are the same, they sort, and a group keeps its name from window to window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from driftd.core.distance import ADDED, Floats, Grouping, power_of_two
from driftd.core.finding import rounded
from driftd.core.grid import Categorical, Numeric
from driftd.core.pane import Ints
from driftd.core.reference import Reference
from driftd.core.view import ShareView, StatisticView

SIGNALS: Final = 5
GROUPS: Final = 12
NAME_CHARS: Final = 40


def in_trouble(views: Iterable[StatisticView]) -> list[str]:
    """The signals of which shares are shown, worst first: those whose PSI is pending or firing."""
    worst: dict[str, float] = {}
    for view in views:
        if view.statistic == "psi" and view.state in ("pending", "firing") and view.effect is not None:
            excess = view.effect / view.warning if view.warning > 0 else view.effect
            worst[view.signal] = max(excess, worst.get(view.signal, 0.0))
    return sorted(worst, key=lambda signal: (-worst[signal], signal))[:SIGNALS]


def shares(reference: Reference, counts: Ints, n: float, signal: str) -> tuple[ShareView, ...]:
    """Shares of one signal's values in the reference and in a window of counts int64[codes] with n values of it."""
    i = reference.grid.index[signal]
    groups, expected = reference.groups(int(power_of_two(np.array([n]))[0]))
    first, last = int(groups.first[i]), int(groups.first[i + 1])
    then, now = expected[first:last], groups.sums(counts)[first:last]
    names = [_name(reference, groups, i, g) for g in range(first, last)]
    width = len(str(len(names)))
    names = [f"{number:0{width}d} {name}" for number, name in enumerate(names, 1)]
    kept = _kept(then, now)
    if len(kept) < len(names):
        rest = np.setdiff1d(np.arange(len(names)), kept)
        names = [*(names[g] for g in kept), f"{len(names) + 1:0{width}d} all others"]
        then, now = (np.append(x[kept], x[rest].sum()) for x in (then, now))
    totals = max(float(then.sum()), 1.0), max(float(now.sum()), 1.0)
    return tuple(
        ShareView(signal, name, rounded(a / totals[0]), rounded(b / totals[1]))
        for name, a, b in zip(names, then, now, strict=True)
    )


def _kept(then: Floats, now: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The groups that say most of the difference, in their own order; all, where there are few."""
    if len(then) <= GROUPS:
        return np.arange(len(then))
    p = (now + ADDED) / (now.sum() + ADDED * len(now))
    q = (then + ADDED) / (then.sum() + ADDED * len(then))
    return np.sort(np.argsort(-(p - q) * np.log(p / q), kind="stable")[: GROUPS - 1])


def _name(reference: Reference, groups: Grouping, i: int, g: int) -> str:
    """What is in group g of signal i: an interval, a category, or what they have in common."""
    start = int(groups.starts[g])
    end = int(groups.starts[g + 1]) if g + 1 < len(groups.starts) else len(groups.order)
    cells = sorted(int(code) - int(reference.grid.first[i]) for code in groups.order[start:end])
    axis = reference.grid.axes[i]
    if isinstance(axis, Numeric):
        return _interval(axis, cells)
    return _categories(axis, cells)


def _interval(axis: Numeric, cells: list[int]) -> str:
    if cells != list(range(cells[0], cells[-1] + 1)):
        return "any other"
    left = f"({axis.bounds[cells[0] - 1]:.4g}" if cells[0] > 0 else "(-inf"
    right = f"{axis.bounds[cells[-1]]:.4g}]" if cells[-1] < len(axis.bounds) else "inf)"
    return f"{left}, {right}"


def _categories(axis: Categorical, cells: list[int]) -> str:
    named = [axis.categories[cell] for cell in cells if cell < len(axis.categories)]
    if not named:
        return "never seen" if cells == [axis.new] else "rare"
    first = named[0] if len(named[0]) <= NAME_CHARS else named[0][: NAME_CHARS - 1] + "…"
    more = f" and {len(named) - 1} more" if len(named) > 1 else ""
    return first + more + (" or rarer" if cells[-1] >= axis.other else "")
