"""Another version's window as the reference: what the champion saw in the same panes.

What moves both versions alike, an hour of the day or a wobble of the world, is in both and cancels. The groups and the
law are those of the model's reference: its replay compares windows with the rest of it, so it holds what wobbles from
window to window too, which here cancels; the p-value errs to the side of silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftd.core.distance import Floats, Grouping, power_of_two
from driftd.core.pane import Pane, pack_ints, unpack_ints
from driftd.core.reference import Reference, Replay


class Beside(Reference):
    """`champion`: the version whose panes `pane` is the sum of, on the grid of `law`; `mine`: those that are compared with
    them.
    """

    def __init__(self, champion: str, law: Reference, mine: Pane, pane: Pane) -> None:
        super().__init__(law.grid, pane.events, pane.counts, pane.moments, parts=law.parts, replays=law.replays)
        self.champion, self.law, self.mine = champion, law, mine

    def comparable(self, n: Floats) -> Floats:
        """Groups must hold enough of the smaller of the two."""
        return np.minimum(n, self.present())

    def groups(self, n: int) -> tuple[Grouping, Floats]:
        most = int(power_of_two(np.array([self.events], np.float64))[0])
        n = min(n, most)
        if n not in self._groupings:
            made, _ = self.law.groups(n)
            self._groupings[n] = (made, made.sums(self.counts))
        return self._groupings[n]

    def replay(self, n: Floats) -> tuple[Replay | None, Floats]:
        return self.law.replay(n)

    def deviations(self) -> Floats:
        return self.law.deviations()

    def plain(self) -> list[object]:
        """What is stored of it."""
        return [self.champion, self.mine.events, pack_ints(self.mine.counts), self.events, pack_ints(self.counts)]

    @classmethod
    def from_plain(cls, law: Reference, plain: Sequence[Any]) -> Beside:
        """For what is shown again, which needs no moments."""
        champion, mine, my_counts, theirs, their_counts = plain
        none = np.zeros((3, len(law.grid)), np.int64), np.empty((0, 5), np.int64)
        panes = [Pane(n, unpack_ints(counts), *none) for n, counts in ((mine, my_counts), (theirs, their_counts))]
        return cls(champion, law, *panes)
