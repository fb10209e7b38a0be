"""A reference in words and numbers that a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

import numpy as np

from driftd.core.distance import Floats, power_of_two
from driftd.core.grid import Axis, Categorical, Numeric
from driftd.core.pane import Ints
from driftd.core.reference import FLOOR, Reference, rate_hits

SMALL: Final = 1_000
LARGE: Final = 10_000
"""Events in a window, at which the noise floor is shown."""
_SHOWN: Final = 3
_CUT: Final = 24


@dataclass(frozen=True, slots=True)
class Line:
    """One signal. Rates are shares.

    `floor_*`: what a threshold of PSI is at least in windows of so many events, because the reference itself showed it;
    `dependence`: the mean of its replayed statistic over that of independent data, 1 where neighbours do not depend on
    one another.
    """

    TITLES: ClassVar[tuple[str, ...]] = (
        *("signal", "type", "values", "null", "absent", "centre", "scale"),
        *("floor@1k", "floor@10k", "dependence"),
    )

    name: str
    type: str
    values: str
    null: float
    absent: float
    centre: float | None
    scale: float | None
    floor_small: float | None
    floor_large: float | None
    dependence: float | None

    def cells(self) -> tuple[str, ...]:
        """One text for each of TITLES."""
        numbers = (self.centre, self.scale, self.floor_small, self.floor_large, self.dependence)
        return (
            self.name,
            self.type,
            self.values,
            f"{self.null:.2%}",
            f"{self.absent:.2%}",
            *("-" if number is None else f"{number:.3g}" for number in numbers),
        )


def lines(reference: Reference) -> Iterator[Line]:
    """A line for each signal, by name."""
    grid = reference.grid
    hits, tries = rate_hits(grid, reference.counts)
    rates = hits / np.maximum(tries, 1)
    small, dependence = _noise(reference, SMALL)
    large, _ = _noise(reference, LARGE)
    for i, axis in enumerate(grid.axes):
        counts = reference.counts[grid.first[i] : grid.first[i + 1]]
        yield Line(
            axis.name,
            _type(axis),
            _values(axis, counts),
            float(rates[0, i]),
            float(rates[1, i]),
            axis.centre if isinstance(axis, Numeric) else None,
            axis.scale if isinstance(axis, Numeric) else None,
            float(small[i]) if reference.calibrated else None,
            float(large[i]) if reference.calibrated else None,
            float(dependence[i]) if reference.calibrated and dependence[i] > 0 else None,
        )


def bins(reference: Reference, signal: str) -> Iterator[tuple[str, str, str]]:
    """What each code of a signal is, its events and their share of all."""
    i = reference.grid.index[signal]
    counts = reference.counts[reference.grid.first[i] : reference.grid.first[i + 1]]
    for name, count in zip(_codes(reference.grid.axes[i]), counts.tolist(), strict=True):
        yield name, f"{count:,}", f"{count / max(reference.events, 1):.3%}"


def _noise(reference: Reference, n: int) -> tuple[Floats, Floats]:
    """Noise floor of PSI in windows of n values, and M / (B - 1), by signal."""
    size = np.full(len(reference.grid), float(n))
    replay, _ = reference.replay(size)
    if replay is None:
        return np.zeros_like(size), np.zeros_like(size)
    scale = 1 / n + 1 / np.maximum(reference.present(), 1)
    groups, _ = reference.groups(int(power_of_two(np.array([n]))[0]))
    df = groups.sizes - 1
    return np.maximum(0, FLOOR * replay.worst * scale), np.where(df > 0, replay.mean / np.maximum(df, 1), 0)


def _type(axis: Axis) -> str:
    if isinstance(axis, Numeric):
        return f"{len(axis.bounds) - 1} bins"
    shown = f"{len(axis.categories):,}"
    if axis.open:
        return f"top {shown} of many categories"
    known = len(axis.categories) + len(axis.rare)
    return f"top {shown} of {known:,} categories" if axis.rare else f"{shown} categories"


def _values(axis: Axis, counts: Ints) -> str:
    if isinstance(axis, Numeric):
        return f"{_number(np.nextafter(axis.bounds[0], np.inf))} to {_number(axis.bounds[-1])}"
    present = max(int(counts[: axis.cells].sum()), 1)
    order = np.argsort(-counts[: len(axis.categories)], kind="stable")[:_SHOWN]
    shown = [f"{_cut(axis.categories[i])} {counts[i] / present:.1%}" for i in order.tolist()]
    return ", ".join(shown) or ("each is rare" if axis.rare or axis.open else "none")


def _codes(axis: Axis) -> list[str]:
    states = ["null", "absent", "bad"]
    if isinstance(axis, Categorical):
        return [*map(repr, axis.categories), "OTHER: known, but rare", "NEW: never seen", *states]
    edges = [_number(edge) for edge in axis.bounds.tolist()]
    edges[0] = _number(np.nextafter(axis.bounds[0], np.inf))
    inner = [f"[{edges[0]}, {edges[1]}]", *(f"({a}, {b}]" for a, b in pairwise(edges[1:]))]
    return [f"below {edges[0]}", *inner, f"above {edges[-1]}", *states]


def _number(value: float) -> str:
    return f"{float(value) + 0.0:.10g}"


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else text[: _CUT - 1] + "…"
