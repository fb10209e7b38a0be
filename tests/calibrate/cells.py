"""Which cells there are, and what each needs: a cell is a statistic, a kind, a dependence, n values of a window and m of
the reference.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from driftd.core.judge import STATISTICS
from tests.calibrate.streams import BY_NAME, DEPENDENCES, KINDS, Kind

LEVELS = (0.05, 0.01)
SIZES = (
    (100, 2_000),
    (300, 6_000),
    (1_000, 20_000),
    (100, 200_000),
    (300, 200_000),
    (1_000, 200_000),
    (10_000, 200_000),
)
"""(n, m): a window is a twentieth of the reference, the most that is calibrated; or the reference is large."""
DISTRIBUTIONS = tuple(kind.name for kind in KINDS if kind.role in ("number", "category"))
NUMBERS = tuple(kind.name for kind in KINDS if kind.role == "number")


@dataclass(frozen=True)
class Measured:
    """A statistic of `judge`, the kinds that it is measured on, and whether it sees more of a value than its rank."""

    name: str
    kinds: tuple[str, ...]
    exact: bool = False

    @property
    def row(self) -> int:
        return STATISTICS.index(self.name)


MEASURED = (
    Measured("psi", DISTRIBUTIONS),
    Measured("null_rate", ("nulls, 1 %", "nulls, 5 %")),
    Measured("absent_rate", ("absences, 1 %", "absences, 5 %")),
    Measured("new_rate", ("200 Zipf categories",)),
)
"""One more statistic is one more line."""


@dataclass(frozen=True, order=True)
class Cell:
    statistic: str
    kind: str
    dependence: str
    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.statistic}: {self.kind}, {self.dependence}, {self.n:,} of {self.m:,}"

    @property
    def independent(self) -> bool:
        return self.dependence == "independent"


@dataclass(frozen=True)
class Stream:
    """What is drawn together: references of m values and, of each, windows of every n of `cells`."""

    values: str
    dependence: str
    m: int
    exact: bool
    cells: tuple[Cell, ...]

    @property
    def kind(self) -> Kind:
        return BY_NAME[self.values]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(sorted({cell.n for cell in self.cells}))

    @property
    def name(self) -> str:
        hour = f", {self.sizes[-1]} an hour" if self.dependence == "hourly wobble" else ""
        return f"{self.values}, {self.dependence}, {self.m}, {self.exact}{hour}"

    @property
    def counted(self) -> bool:
        """Independent and of few different values: counts are drawn, not values. They have no moments."""
        moments = self.exact and self.kind.role == "number"
        return self.dependence == "independent" and bool(self.kind.shares) and not moments

    @property
    def ranked(self) -> bool:
        return self.dependence == "independent" and self.kind.ranks and not self.exact

    @property
    def references(self) -> int:
        """In a full run: what about twenty seconds make; the many groups of Zipf take ten times as long to replay."""
        wide = len(self.kind.shares) > 50
        drawn = {2_000: 20_000, 6_000: 10_000, 20_000: 5_000, 200_000: 5_000 if self.counted or self.ranked else 1_500}
        return min(1_000, drawn[self.m]) if wide and self.m == 200_000 else drawn[self.m] // (4 if wide else 1)


def all_cells() -> list[Cell]:
    return [
        Cell(measured.name, kind, dependence, n, m)
        for measured in MEASURED
        for kind in measured.kinds
        for dependence in DEPENDENCES
        for n, m in SIZES
    ]


def drawn(count: int, seed: int) -> list[Cell]:
    """So many of them, by this seed."""
    cells = all_cells()
    return random.Random(seed).sample(cells, min(count, len(cells)))


def streams(cells: Iterable[Cell]) -> list[Stream]:
    """What must be drawn for these cells. An hour is a window, so that a wobble of n an hour serves no other n."""
    exact = {measured.name: measured.exact for measured in MEASURED}

    def key(cell: Cell) -> tuple[str, str, int, bool, int]:
        hour = cell.n if cell.dependence == "hourly wobble" else 0
        return cell.kind, cell.dependence, cell.m, exact[cell.statistic], hour

    return [
        Stream(kind, dependence, m, is_exact, tuple(group))
        for (kind, dependence, m, is_exact, _), group in groupby(sorted(cells, key=key), key)
    ]
