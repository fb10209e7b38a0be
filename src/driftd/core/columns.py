"""What some events show of their columns against a reference: which are gone, have another type, or came.

A column is *removed* or *retyped* where at least 90 % of at least 20 events lack it, or have it with a wrong type, and in
the reference at most 5 % did. It is *added* where as many have one that the grid has not. No level is spent on it: of 20
independent events with a chance of 5 % each, 18 are so once in 10^21; and what a window of the reference itself showed is
no change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

import numpy as np

from driftd.core.distance import Floats
from driftd.core.pane import Pane
from driftd.core.reference import FLOOR, RATES, Reference, rate_hits

SHARE: Final = 0.9
"""Of the events, that a change is in."""
USUAL: Final = 0.05
"""Of the reference's events at most, for it to be a change."""
LEAST: Final = 20
"""Events that are looked at together."""
RISING: Final = 0.02
"""Over the reference's share: it may be the beginning of a change in the middle of a pane."""

Change = Literal["removed", "retyped", "added"]
Key = tuple[Change, str]
_NULL, _ABSENT = RATES.index("null_rate"), RATES.index("absent_rate")


@dataclass(frozen=True, slots=True)
class Seen:
    """A change of a column: in which share of how many events, and in which of the reference's. `number`: of an added
    one, whether it holds numbers.
    """

    share: float
    events: int
    before: float = 0.0
    reference_events: int = 0
    number: bool = False


def changes(pane: Pane, reference: Reference, counted_here: Callable[[str], bool]) -> dict[Key, Seen]:
    """Every change that at least LEAST events show. `counted_here`: whether a stranger is of this kind of event."""
    names, out = reference.grid.names, dict[Key, Seen]()
    for change, (hits, tries), (usual_hits, usual_tries), worst in _of_the_grid(pane, reference):
        share, usual = hits / np.maximum(tries, 1), usual_hits / np.maximum(usual_tries, 1)
        for i in np.flatnonzero((share >= SHARE) & (tries >= LEAST) & (usual <= USUAL) & (FLOOR * worst < SHARE)):
            if ("removed", names[i]) not in out:  # of one that is gone the type of the rest says nothing
                out[change, names[i]] = Seen(float(share[i]), int(tries[i]), float(usual[i]), int(usual_tries[i]))
    for name, (numbers, others) in pane.strangers.items():
        share_of = (numbers + others) / pane.events
        if share_of >= SHARE and counted_here(name):
            out["added", name] = Seen(share_of, pane.events, number=numbers > others)
    return out


def lacking(pane: Pane, reference: Reference) -> list[str]:
    """The columns that more of the events lack than of the reference's."""
    (hits, tries), (usual_hits, usual_tries) = rate_hits(reference.grid, pane.counts), reference.usual
    more = (
        hits[_ABSENT] / np.maximum(tries[_ABSENT], 1)
        > usual_hits[_ABSENT] / np.maximum(usual_tries[_ABSENT], 1) + RISING
    )
    return [reference.grid.names[i] for i in np.flatnonzero(more)]


def likeness(one: str, other: str, *, by_words: bool = False) -> float:
    """How alike two names are, 0 to 1: because all words of one are in the other, or by their characters."""
    words, others = (set(filter(None, re.split(r"[\W_]+", name.lower()))) for name in (one, other))
    within = 0.9 if words and others and (words <= others or others <= words) else 0.0
    return within if by_words else max(within, SequenceMatcher(None, one, other, autojunk=False).ratio())


_Rates = tuple[Floats, Floats]


def _of_the_grid(pane: Pane, reference: Reference) -> Iterator[tuple[Change, _Rates, _Rates, Floats]]:
    """Of each change of a column of the grid: hits and tries now, those of the reference, and its worst window's share."""
    grid = reference.grid
    (hits, tries), (usual_hits, usual_tries) = rate_hits(grid, pane.counts), reference.usual
    none = np.zeros(len(grid))
    smallest = min(reference.replays, default=None)
    worst = reference.replays[smallest].worst_rate[_ABSENT] if smallest is not None else none
    yield "removed", (hits[_ABSENT], tries[_ABSENT]), (usual_hits[_ABSENT], usual_tries[_ABSENT]), worst
    bad = grid.first[:-1] + grid.cells + 2
    now, then = pane.counts[bad].astype(np.float64), reference.counts[bad].astype(np.float64)
    yield "retyped", (now, tries[_NULL]), (then, usual_tries[_NULL]), none
