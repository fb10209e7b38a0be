"""What comes out: all that follows from one stimulus, in order. None of it changes again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from driftd.core.action import Action
from driftd.core.baseline import LearnedReference
from driftd.core.event import Kind
from driftd.core.grid import Grid
from driftd.core.openpane import Cover
from driftd.core.pane import Pane


@dataclass(frozen=True, slots=True, eq=False)
class ClosedPane:
    """A pane that closed: it never changes again. `cover`: the offsets of its events by partition, `[low, high)`."""

    model: str
    version: str
    kind: Kind
    start: int
    end: int
    pane: Pane
    cover: Cover

    def body(self) -> bytes:
        """The pane and what it covers, for the store: a function of the content alone."""
        pane = self.pane.pack()
        return len(pane).to_bytes(4, "little") + pane + json.dumps(self.cover, sort_keys=True).encode()

    @staticmethod
    def read(body: bytes) -> tuple[Pane, Cover]:
        """The reverse of `body`."""
        size = int.from_bytes(body[:4], "little")
        cover = json.loads(body[4 + size :])
        return Pane.unpack(body[4 : 4 + size]), {p: (low, high) for p, (low, high) in cover.items()}


@dataclass(slots=True)
class Outcome:
    """What came out of one stimulus, in order."""

    panes: list[ClosedPane] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    grids: list[tuple[str, Kind, Grid]] = field(default_factory=list)
    references: list[LearnedReference] = field(default_factory=list)
