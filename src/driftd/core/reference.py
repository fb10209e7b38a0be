"""The reference: counts on a grid, and what its own past says of windows of it.

A reference with an order keeps up to 512 consecutive parts of about equal size and replays itself: for windows of 1, 2,
4, ... parts (at most a twentieth of all, so that there are at least 20) each window is compared with the rest. What the
replay measured (windows K, mean M, variance V, the worst) is small and stays in memory; the parts stay on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.distance import Floats, Grouping, grouping, power_of_two, psi
from driftd.core.grid import Categorical, Grid
from driftd.core.law import rate_score
from driftd.core.pane import Ints

PARTS: Final = 512
LEAST_PART: Final = 64
LEAST_WINDOWS: Final = 20
RATES: Final = ("null_rate", "absent_rate", "new_rate")
FLOOR: Final = 1.5
"""A threshold is at least this many times what the reference itself showed."""


@dataclass(frozen=True, eq=False)
class Replay:
    """What the replay of one window size and grouping measured, each float64[signals]."""

    windows: Floats
    mean: Floats
    variance: Floats
    worst: Floats
    """The largest x - (B - 1)."""
    inflation: Floats
    """float64[3, signals]: mean square of the score statistic of each rate, at least 1."""
    worst_rate: Floats
    """float64[3, signals]: the largest rise of each rate."""


class Reference:
    """Counts int64[codes] and moments int64[3, signals] on `grid`, with the replays by (parts, power of two of n)."""

    def __init__(
        self,
        grid: Grid,
        events: int,
        counts: Ints,
        moments: Ints,
        *,
        new_expected: Ints | None = None,
        parts: int = 0,
        replays: Mapping[tuple[int, int], Replay] | None = None,
    ) -> None:
        """`new_expected` int64[signals]: events of NEW that a reference of this size would have met (Good-Turing)."""
        self.grid = grid
        self.events = events
        self.counts = counts
        self.moments = moments
        self.new_expected = new_expected if new_expected is not None else np.zeros(len(grid), np.int64)
        self.parts = parts
        self.replays = dict(replays or {})
        self._groupings: dict[int, tuple[Grouping, Floats]] = {}
        self.powers: dict[object, Any] = {}
        """What `core.power` has told of it."""

    @classmethod
    def build(cls, grid: Grid, events: int, moments: Ints, parts: Ints, new_expected: Ints | None = None) -> Reference:
        """From parts int64[P, codes] in order (P may be 1: no order is known, nothing is replayed)."""
        counts = parts.sum(axis=0)
        reference = cls(grid, events, counts, moments, new_expected=new_expected, parts=len(parts))
        if len(parts) >= LEAST_WINDOWS:
            reference.replays = dict(_replay_all(reference, parts))
        return reference

    @cached_property
    def usual(self) -> tuple[Floats, Floats]:
        """Its own `rate_hits`."""
        return rate_hits(self.grid, self.counts)

    @property
    def calibrated(self) -> bool:
        return bool(self.replays)

    def present(self) -> Floats:
        """Events with a value, by signal."""
        return present(self.grid, self.counts)

    def comparable(self, n: Floats) -> Floats:
        """Of n[signals] values, how many decide how fine the groups may be."""
        return n

    def groups(self, n: int) -> tuple[Grouping, Floats]:
        """The groups for n events (a power of two) and the reference's counts in them."""
        n = min(max(n, 16), _stable_n(self.events))
        found = self._groupings.get(n)
        if found is None:
            made = grouping(self.grid, self.counts, n)
            found = self._groupings[n] = (made, made.sums(self.counts))
        return found

    def replay(self, n: Floats) -> tuple[Replay | None, Floats]:
        """What the replay says of windows with n[signals] values; and the values such a replayed window had."""
        if not self.replays:
            return None, np.zeros_like(n)
        size = np.maximum(self.present() / self.parts, 1e-9)
        most = 1 << ((self.parts // LEAST_WINDOWS).bit_length() - 1)
        parts = np.minimum(power_of_two(np.maximum(n / size, 1)), most)
        scale = np.minimum(np.maximum(power_of_two(n), 16), _stable_n(self.events))
        picked = [self.replays[int(s), int(g)] for s, g in zip(parts, scale, strict=True)]
        take = range(len(picked))
        return (
            Replay(
                np.array([picked[i].windows[i] for i in take]),
                np.array([picked[i].mean[i] for i in take]),
                np.array([picked[i].variance[i] for i in take]),
                np.array([picked[i].worst[i] for i in take]),
                np.array([picked[i].inflation[:, i] for i in take]).T.reshape(3, -1),
                np.array([picked[i].worst_rate[:, i] for i in take]).T.reshape(3, -1),
            ),
            parts * size,
        )

    def deviations(self) -> Floats:
        """The standard deviation of each signal in the grid's units; 1 where it is none or has none."""
        n = np.maximum(self.present(), 1)
        mean = self.moments[0] / n / (1 << 20)
        variance = np.maximum(self.moments[1] / n / (1 << 20) - mean**2, 0)
        # Each square is rounded to 2^-20: a variance below half of that may be nothing but rounding.
        return np.where(variance > 0.5 / (1 << 20), np.sqrt(variance), 1.0)

    def select(self, names: Iterable[str]) -> Reference:
        """The same reference of only these signals."""
        grid = self.grid.select(names)
        if len(grid) == len(self.grid):
            return self
        index = [self.grid.index[name] for name in grid.names]
        # Many keys share one replay, and go on sharing it: a fleet's memory is mostly this.
        chosen = {
            id(r): Replay(
                r.windows[index],
                r.mean[index],
                r.variance[index],
                r.worst[index],
                r.inflation[:, index],
                r.worst_rate[:, index],
            )
            for r in {id(r): r for r in self.replays.values()}.values()
        }
        replays = {key: chosen[id(r)] for key, r in self.replays.items()}
        return Reference(
            grid,
            self.events,
            self.counts[self.grid.positions(grid.names)],
            self.moments[:, index],
            new_expected=self.new_expected[index],
            parts=self.parts,
            replays=replays,
        )


def present(grid: Grid, counts: NDArray[np.integer]) -> Floats:
    """Values that are in a cell, [..., signals], of counts [..., codes]."""
    if not len(grid):
        return np.zeros((*counts.shape[:-1], 0))
    spans = np.column_stack((grid.first[:-1], grid.first[:-1] + grid.cells)).ravel()
    return np.add.reduceat(counts, spans, axis=-1)[..., ::2].astype(np.float64)


def rate_hits(grid: Grid, counts: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Hits and tries of null, absent and new, [3, ..., signals] each, of counts [..., codes].

    Null is out of the events that have the signal, absent out of all, new out of the values; of a signal that never had
    one, out of the events that have it, or its first values could be compared with nothing.
    """
    after = grid.first[:-1] + grid.cells
    nulls, absents, bad = (counts[..., after + i].astype(np.float64) for i in range(3))
    values = present(grid, counts)
    codes = grid.new_codes
    new = np.where(codes >= 0, counts[..., np.maximum(codes, 0)], 0).astype(np.float64)
    have = values + nulls + bad
    empty = np.array(
        [isinstance(a, Categorical) and not (a.categories or a.rare or a.open) for a in grid.axes], np.bool_
    )
    tries = np.where(empty, have, values)
    return np.stack((nulls, absents, new)), np.stack((have, have + absents, tries))


def even_parts(pieces: Ints, events: Ints, most: int = PARTS) -> Ints:
    """Consecutive pieces int64[k, codes] put together to at most `most` parts of about equal, at least 64, events."""
    starts = part_starts(events, most)
    return np.add.reduceat(pieces, starts, axis=0) if len(pieces) else pieces


def part_starts(events: Ints, most: int = PARTS) -> NDArray[np.int64]:
    """Where each part of `even_parts` begins: one is full with its share; what is left at the end joins the last."""
    share = max(LEAST_PART, int(events.sum()) / most)
    starts, filled = [0], 0
    for i, count in enumerate(events.tolist()):
        if filled >= share:
            starts.append(i)
            filled = 0
        filled += count
    if filled < share and len(starts) > 1:
        starts.pop()
    return np.array(starts, np.int64)


def _stable_n(events: int) -> int:
    """From this power of two on every occupied cell of a reference of so many events expects 5: groups stay."""
    return 1 << min(max(5 * events, 16).bit_length(), 40)


def _replay_all(reference: Reference, parts: Ints) -> Iterable[tuple[tuple[int, int], Replay]]:
    size = 1
    while size * LEAST_WINDOWS <= len(parts):
        k = len(parts) // size
        windows = parts[: k * size].reshape(k, size, -1).sum(axis=1)
        rates = _replay_rates(reference, windows)
        n, known = 16, {}
        while n <= _stable_n(reference.events):
            groups, total = reference.groups(n)
            key = (groups.order.tobytes(), groups.starts.tobytes())
            if key not in known:
                known[key] = Replay(*_replay_psi(groups, groups.sums(windows), total), *rates)
            yield (size, n), known[key]
            n *= 2
        size *= 2


def _replay_psi(groups: Grouping, current: Floats, total: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """K, M, V and the worst, of windows of group counts [K, groups], each against the rest of `total`."""
    others = total - current
    n, m = groups.totals(current), groups.totals(others)
    usable = (n > 0) & (m > 0)
    x = psi(groups, current, others) / (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))
    count = usable.sum(axis=0).astype(np.float64)
    mean = np.where(usable, x, 0).sum(axis=0) / np.maximum(count, 1)
    variance = np.where(usable, (x - mean) ** 2, 0).sum(axis=0) / np.maximum(count - 1, 1)
    worst = np.where(usable, x - (groups.sizes - 1), -np.inf).max(axis=0)
    return count, mean, variance, np.where(np.isfinite(worst), worst, 0.0)


def _replay_rates(reference: Reference, windows: Ints) -> tuple[Floats, Floats]:
    """Inflation and largest rise of each rate, [3, signals], of windows int64[K, codes] each against the rest."""
    hits, tries = rate_hits(reference.grid, windows)
    all_hits, all_tries = rate_hits(reference.grid, reference.counts)
    rest_hits, rest_tries = all_hits[:, None] - hits, all_tries[:, None] - tries
    usable = (tries > 0) & (rest_tries > 0)
    squares = np.where(usable, rate_score(hits, tries, rest_hits, rest_tries) ** 2, 0)
    rise = np.where(usable, hits / np.maximum(tries, 1) - rest_hits / np.maximum(rest_tries, 1), 0)
    inflation = squares.sum(axis=1) / np.maximum(usable.sum(axis=1), 1)
    return np.maximum(inflation, 1.0), np.maximum(rise.max(axis=1), 0.0)
