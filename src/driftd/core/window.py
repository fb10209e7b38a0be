"""Windows over closed panes.

A window covers the newest panes that span `length`. Where they hold fewer than `min_samples` events it grows by doubling
up to `max_length`, and a window doubled k times moves in steps of `every` * 2^k: it is made of blocks of that span, each
the sum of two of the level below. A window is judged at its end, once the block that ends there is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftd.core.grid import Grid
from driftd.core.pane import Pane
from driftd.core.spec import Window


@dataclass(frozen=True, slots=True)
class Span:
    """A window to be judged, half-open `[start, end)`; `level`: how often it was doubled. `enough` False: even the
    longest window holds too few events.
    """

    start: int
    end: int
    level: int
    events: int
    enough: bool


class Windows:
    """The closed panes of one (version, kind), as sums by level, ascending by end."""

    def __init__(self, spec: Window) -> None:
        self.spec = spec
        self.levels = 1
        while spec.length << self.levels <= spec.max_length:
            self.levels += 1
        self.blocks: list[dict[int, tuple[int, bytes]]] = [{} for _ in range(self.levels)]
        self.last: int | None = None

    def push(self, end: int, pane: Pane) -> Iterator[Span]:
        """A pane was closed (in order of `end`). What is to be judged now, in order of its end.

        Take them one by one: `total` and `ends` speak of the span that was given last.
        """
        if self.last is not None:
            for boundary in sorted({self._boundary(k) for k in range(1, self.levels)}):
                if self.last < boundary < end:
                    yield from self._complete(boundary)
        self.blocks[0][end] = (pane.events, pane.pack())
        self.last = end
        yield from self._complete(end)

    def _boundary(self, level: int) -> int:
        """The end of the block of this level that holds the newest pane."""
        assert self.last is not None
        step = self.spec.every << level
        return -(-self.last // step) * step

    def _complete(self, end: int) -> list[Span]:
        for level in range(1, self.levels):
            step = self.spec.every << level
            if end % step:
                break
            halves = [self.blocks[level - 1].get(e) for e in (end - step // 2, end)]
            found = [half for half in halves if half is not None]
            if len(found) == 2:
                total = Pane.unpack(found[0][1])
                total.add(Pane.unpack(found[1][1]))
                self.blocks[level][end] = (total.events, total.pack())
            elif found:
                self.blocks[level][end] = found[0]
        self._trim(end)
        return self._judge(end)

    def _judge(self, end: int) -> list[Span]:
        for level in range(self.levels):
            if end not in self.blocks[level]:
                continue
            events = sum(n for n, _ in self.blocks[level].values())
            if events >= self.spec.min_samples:
                return [Span(end - (self.spec.length << level), end, level, events, enough=True)]
        # What has not come into a block of the longest windows yet lies in those of the shorter ones: count it too.
        top = self.levels - 1
        most, covered = 0, 0
        for blocks in reversed(self.blocks):
            most += sum(n for e, (n, _) in blocks.items() if e > covered)
            covered = max(covered, max(blocks, default=0))
        if most >= self.spec.min_samples:
            return []
        return [Span(end - (self.spec.length << top), end, top, most, enough=False)]

    def _trim(self, end: int) -> None:
        for level, blocks in enumerate(self.blocks):
            oldest = end - (self.spec.length << level)
            # Ends come in rising order, so the first key is the oldest.
            while blocks and (first := next(iter(blocks))) <= oldest:
                del blocks[first]

    def total(self, grid: Grid, span: Span) -> Pane:
        """The sum of the window that `push` gave last."""
        out = Pane.empty(grid)
        for _, body in self.blocks[span.level].values():
            out.add(Pane.unpack(body))
        return out

    def shared(self, other: Windows, grid: Grid, span: Span) -> tuple[Pane, Pane]:
        """Of a window that another version has, too, the blocks that both have: the sum of mine, and of the other's."""
        mine, theirs = Pane.empty(grid), Pane.empty(grid)
        blocks = other.blocks[span.level]
        for end, (_, body) in self.blocks[span.level].items():
            if span.start < end <= span.end and end in blocks:
                mine.add(Pane.unpack(body))
                theirs.add(Pane.unpack(blocks[end][1]))
        return mine, theirs

    def since(self, start: int) -> int:
        """Events in the panes that ended after `start`, no further back than a window's length."""
        return sum(events for end, (events, _) in self.blocks[0].items() if end > start)

    def ends(self, level: int) -> list[list[int]]:
        """What a window of this level is made of now: (end, events)."""
        return [[end, events] for end, (events, _) in self.blocks[level].items()]

    def clear(self) -> None:
        for blocks in self.blocks:
            blocks.clear()

    def rows(self) -> dict[tuple[int, int], tuple[int, bytes]]:
        """(level, end) to (events, packed pane): each is written once and dropped once."""
        return {(k, end): block for k, blocks in enumerate(self.blocks) for end, block in blocks.items()}

    def load(self, rows: Mapping[tuple[int, int], tuple[int, bytes]], last: int | None) -> None:
        for (level, end), block in sorted(rows.items()):
            if level < self.levels:
                self.blocks[level][end] = block
        self.last = last
