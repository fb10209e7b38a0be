"""What moved, from what to what: two numbers that a person understands, beside the statistic that a rule looks at.

- A rate: that of the reference, that of the window.
- A numeric signal: its mean. Where the mean says little (it moved by less than a tenth of the reference's standard
  deviation, or too many values were clipped on their way into it) the range of values whose share changed most.
- A categorical signal: the category whose share changed most.

Shares are of the events that have a value.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from driftd.core.distance import Floats, power_of_two
from driftd.core.grid import Categorical, Numeric
from driftd.core.pane import FIXED, Ints
from driftd.core.reference import Reference
from driftd.core.spec import Statistic

LEAST_SHIFT: Final = 0.1
"""Of the mean, in standard deviations of the reference; a smaller one is not what a person would see."""
MOST_CLIPPED: Final = 0.01
"""Of the values; with more the mean is not that of the signal."""


def moved(reference: Reference, counts: Ints, moments: Ints, i: int, statistic: Statistic) -> dict[str, object]:
    """Of signal i in a window with these counts and moments (see `Pane`). Plain data: `what`, `from`, `to`, and what
    a share is of: `category`, or a range `above` (exclusive) and `up_to` (inclusive), None where it is open.
    """
    if statistic != "psi":
        then = _rate(reference, reference.counts, i, statistic, int(reference.new_expected[i]))
        return {"what": statistic, "from": then, "to": _rate(reference, counts, i, statistic, 0)}
    axis = reference.grid.axes[i]
    if isinstance(axis, Categorical):
        return _category(axis, *_shares(reference, counts, i))
    return _mean(axis, reference, counts, moments, i) or _range(axis, reference, counts, i)


def _cells(reference: Reference, counts: Ints, i: int) -> Ints:
    first = int(reference.grid.first[i])
    return counts[first : first + reference.grid.axes[i].cells]


def _rate(reference: Reference, counts: Ints, i: int, statistic: Statistic, expected: int) -> float:
    """As in `rate_hits`, of one signal. `expected`: what a reference of its size would have met of NEW."""
    axis = reference.grid.axes[i]
    after = int(reference.grid.first[i]) + axis.cells
    nulls, absents, bad = (int(n) for n in counts[after : after + 3])
    cells = _cells(reference, counts, i)
    values = int(cells.sum())
    have = values + nulls + bad
    if statistic == "null_rate":
        return nulls / max(have, 1)
    if statistic == "absent_rate":
        return absents / max(have + absents, 1)
    assert isinstance(axis, Categorical)
    known = bool(axis.categories or axis.rare or axis.open)
    return (int(cells[axis.new]) + expected) / max(values if known else have, 1)


def _shares(reference: Reference, counts: Ints, i: int) -> tuple[Floats, Floats]:
    """Of the cells, then and now."""
    then, now = (_cells(reference, c, i).astype(np.float64) for c in (reference.counts, counts))
    return then / max(then.sum(), 1.0), now / max(now.sum(), 1.0)


def _category(axis: Categorical, then: Floats, now: Floats) -> dict[str, object]:
    k = int(np.argmax(np.abs(now - then)))
    ends: dict[str, object] = {"from": float(then[k]), "to": float(now[k])}
    if k == axis.new:
        return {"what": "share_of_new", **ends}
    if k == axis.other:
        return {"what": "share_of_rare", **ends}
    return {"what": "share", "category": axis.categories[k], **ends}


def _mean(axis: Numeric, reference: Reference, counts: Ints, moments: Ints, i: int) -> dict[str, object] | None:
    n, m = (max(int(_cells(reference, c, i).sum()), 1) for c in (counts, reference.counts))
    now, then = int(moments[0, i]) / n / FIXED, int(reference.moments[0, i]) / m / FIXED
    clipped = max(int(moments[2, i]) / n, int(reference.moments[2, i]) / m)
    if abs(now - then) < LEAST_SHIFT * float(reference.deviations()[i]) or clipped > MOST_CLIPPED:
        return None
    ends = [mean * axis.scale + axis.centre for mean in (then, now)]
    return {"what": "mean", "from": ends[0], "to": ends[1]} if all(map(math.isfinite, ends)) else None


def _range(axis: Numeric, reference: Reference, counts: Ints, i: int) -> dict[str, object]:
    """Of the groups that PSI compares, the one whose share changed most."""
    then, now = _shares(reference, counts, i)
    n = int(power_of_two(np.array([_cells(reference, counts, i).sum()]))[0])
    groups, _ = reference.groups(n)
    base, codes = int(reference.grid.first[i]), groups.order
    spans = []
    for g in range(int(groups.first[i]), int(groups.first[i + 1])):
        end = int(groups.starts[g + 1]) if g + 1 < len(groups.starts) else len(codes)
        own = codes[int(groups.starts[g]) : end] - base
        spans.append((int(own.min()), int(own.max())))
    if groups.lone[i]:  # the rest lies on both sides of it
        spans = spans[:1]
    changes = [abs(float(now[a : b + 1].sum() - then[a : b + 1].sum())) for a, b in spans]
    low, high = spans[int(np.argmax(changes))]
    return {
        "what": "share",
        "above": float(axis.bounds[low - 1]) if low else None,
        "up_to": float(axis.bounds[high]) if high < axis.cells - 1 else None,
        "from": float(then[low : high + 1].sum()),
        "to": float(now[low : high + 1].sum()),
    }
