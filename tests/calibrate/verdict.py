"""Whether a cell keeps its level: the exact interval of its rate (Clopper & Pearson 1934) against what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaincinv

from tests.calibrate.cells import LEVELS, Cell
from tests.calibrate.measure import Tally

CONFIDENCE = 0.99
LEAST, MOST = 0.8, 1.25
"""Times the level, of independent values."""
MOST_DEPENDENT: Mapping[float, float] = {0.05: 1.5, 0.01: 2.0}
"""Times the level, where values depend on those before them; there silence is allowed."""

Word = Literal["", "too often", "too seldom", "quiet"]
"""`quiet`: too seldom, where that is allowed."""


@dataclass(frozen=True)
class Rate:
    """Of a cell at a level, with its interval."""

    rate: float
    low: float
    high: float
    word: Word

    @property
    def fails(self) -> bool:
        return self.word in ("too often", "too seldom")


def interval(hits: int, windows: int) -> tuple[float, float]:
    """The shares that hits of windows do not refute."""
    tail = (1 - CONFIDENCE) / 2
    low = float(betaincinv(hits, windows - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, windows - hits, 1 - tail)) if hits < windows else 1.0
    return low, high


def rate(hits: int, windows: int, level: float, *, independent: bool) -> Rate:
    low, high = interval(hits, windows)
    word: Word = ""
    if low > (MOST if independent else MOST_DEPENDENT[level]) * level:
        word = "too often"
    elif high < LEAST * level:
        word = "too seldom" if independent else "quiet"
    return Rate(hits / windows, low, high, word)


def rates(cell: Cell, tally: Tally) -> tuple[Rate, ...]:
    """At each of LEVELS."""
    return tuple(
        rate(hits, tally.windows, level, independent=cell.independent)
        for hits, level in zip(tally.hits, LEVELS, strict=True)
    )


Failure = tuple[str, float, str]
"""A cell's name, the level, and how it fails."""


def failures(tallies: Mapping[Cell, Tally]) -> set[Failure]:
    return {
        (str(cell), level, found.word)
        for cell, tally in tallies.items()
        for level, found in zip(LEVELS, rates(cell, tally), strict=True)
        if found.fails
    }
