"""Windows against the plain way: keep every pane for ever and add them up."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from driftd.core.grid import Grid, Numeric
from driftd.core.pane import Pane
from driftd.core.spec import Window
from driftd.core.window import Span, Windows

EVERY = 1_000
GRID = Grid([Numeric("x", np.array([0.0, 1.0]), 0.0, 1.0)])


def pane(events: int, code: int = 1) -> Pane:
    out = Pane.empty(GRID)
    out.events = events
    out.counts[code] = events
    return out


@dataclass
class Plain:
    """Every pane that ever closed: end to events."""

    spec: Window
    panes: dict[int, int] = field(default_factory=dict)

    @property
    def levels(self) -> int:
        return next(k for k in range(1, 99) if self.spec.length << k > self.spec.max_length)

    def push(self, end: int, events: int) -> Iterator[Span]:
        ends = {end}
        if self.panes:
            last = max(self.panes)
            # The block of each level that holds the newest pane was still open: it is complete at its end.
            ends |= {-(-last // (EVERY << k)) * (EVERY << k) for k in range(self.levels)} - {last}
        for instant in sorted(e for e in ends if e <= end):
            if instant == end:
                self.panes[end] = events
            yield from self.judged(instant)

    def judged(self, end: int) -> Iterator[Span]:
        top = self.levels - 1
        for k in range(self.levels):
            if end % (EVERY << k) or not self.between(end - (EVERY << k), end):
                continue
            events = sum(self.between(end - (self.spec.length << k), end).values())
            if events >= self.spec.min_samples:
                yield Span(end - (self.spec.length << k), end, k, events, enough=True)
                return
        step, oldest = EVERY << top, end - (self.spec.length << top)
        most = sum(n for e, n in self.panes.items() if -(-e // step) * step > oldest)
        if most < self.spec.min_samples:
            yield Span(oldest, end, top, most, enough=False)

    def between(self, after: int, upto: int) -> dict[int, int]:
        return {e: n for e, n in self.panes.items() if after < e <= upto}


def spec(rng: random.Random) -> Window:
    length = EVERY * rng.choice((1, 2, 3, 4, 12))
    return Window(
        length=length, every=EVERY, min_samples=rng.choice((1, 10, 60)), max_length=length * rng.choice((1, 2, 9, 32))
    )


@pytest.mark.parametrize("seed", range(60))
def test_windows_are_what_all_panes_together_say(seed: int):
    rng = random.Random(seed)
    window = spec(rng)
    windows, plain = Windows(window), Plain(window)
    end = EVERY * rng.randrange(1, 1_000)
    for _ in range(150):
        # Steady, with gaps of any length, up to many times the longest window.
        end += EVERY * int(1 + (rng.random() < 0.2) * rng.expovariate(0.1) + (rng.random() < 0.02) * 500)
        events = rng.randint(1, rng.choice((3, 30)))
        expected = plain.push(end, events)
        for span in windows.push(end, pane(events, code=1 + end // EVERY % 2)):
            assert span == next(expected)
            if span.enough:
                total = windows.total(GRID, span)
                held = plain.between(span.start, span.end)
                assert total.events == span.events == sum(held.values())
                assert total.counts[1] == sum(n for e, n in held.items() if e // EVERY % 2 == 0)
        assert next(expected, None) is None
        if rng.random() < 0.1:  # a restart
            rows, last = windows.rows(), windows.last
            windows = Windows(window)
            windows.load(rows, last)


def test_a_window_is_judged_again_only_with_a_pane_that_its_predecessor_did_not_hold():
    windows = Windows(Window(length=4 * EVERY, every=EVERY, min_samples=1, max_length=64 * EVERY))
    spans = [span for end in (1, 2, 50, 51) for span in windows.push(end * EVERY, pane(1))]
    assert [(span.end // EVERY, span.level) for span in spans if span.level == 0] == [(1, 0), (2, 0), (50, 0), (51, 0)]
    assert len({(span.start, span.end) for span in spans}) == len(spans)


def test_what_waits_for_a_longer_window_is_not_too_little():
    """One event a pane, and 100 are asked for: only windows of 128 panes hold them, and they move by 32.

    Between two of those nothing is said. It was once called too little data there, because the panes that had left the
    shortest window and were in no longest one yet were not counted.
    """
    windows = Windows(Window(length=4 * EVERY, every=EVERY, min_samples=100, max_length=128 * EVERY))
    spans = [span for end in range(1, 1_000) for span in windows.push(end * EVERY, pane(1))]
    first = next(i for i, span in enumerate(spans) if span.enough)
    assert all(span.enough for span in spans[first:])
    assert {b.end - a.end for a, b in zip(spans[first:], spans[first + 1 :], strict=False)} == {32 * EVERY}


def test_memory_is_bounded_by_the_windows():
    window = Window(length=12 * EVERY, every=EVERY, min_samples=10, max_length=2_000 * EVERY)
    windows = Windows(window)
    most = 0
    for end in range(1, 5_000):
        list(windows.push(end * EVERY, pane(1)))
        most = max(most, len(windows.rows()))
    assert most <= windows.levels * (window.length // window.every + 1)
