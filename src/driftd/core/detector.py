"""A detector sees only finite numbers, and what it says is a function of the slices it was given, in their
order: one that was stored and restored agrees for ever, bit by bit, with one that never stopped.

ADWIN keeps a window that grows for as long as its mean stands still. It looks at every cut of the window into
an older and a newer part; where the two means differ by more than chance explains, at a stated confidence,
the mean has moved. The window is held in buckets whose size doubles from row to row: its memory is the
logarithm of its width.

Source: Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007 (ADWIN2, and its
bound for large windows). The variance of merged and of dropped buckets: Babcock, Datar, Motwani and
O'Callaghan, "Maintaining variance and k-medians over data stream windows", PODS 2003.

Ours is that one insertion is a slice of many events, not one value. Where every slice holds one value this is
river's `drift.ADWIN`, to the index; so the order of floating-point operations below is part of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, sqrt
from operator import index, itemgetter
from typing import Final

FIXED_POINT: Final = 1 << 20
"""Panes hold standardised values, and their squares, in units of 2^-20."""

LIMIT: Final = 1e280
"""No moment of a window may be greater: its products with counts stay finite."""

DETECTOR: Final = "adwin"
FORMAT: Final = 1

Bucket = tuple[int, float, float]
"""Events, their sum, and M2: the sum of their squared distances from their own mean."""


def from_fixed(s1: int, s2: int) -> tuple[float, float]:
    """A slice's sum and sum of squares in standard deviations, from a pane's exact integers."""
    return int(s1) / FIXED_POINT, int(s2) / FIXED_POINT


@dataclass(frozen=True, slots=True)
class Change:
    """A cut: the mean moved. `before` and `after` are the two sub-windows' means, `n_...` their events.

    Of the cuts that show the change this is the clearest, not the oldest: behind the oldest there are still
    events from before the change, and the difference falls short of it.
    """

    before: float
    after: float
    n_before: int
    n_after: int

    @property
    def difference(self) -> float:
        """How far the mean moved, in the detector's units; above 0 it rose."""
        return self.after - self.before


class Adwin:
    """Watches the mean of a stream of slices.

    `delta`: the level of a look, at most the chance that it finds a change where the mean stands still;
    `clock`: slices from one look to the next; `max_buckets`: of one size; `min_window_length`: events that
    either side of a cut must hold; `grace_period`: a window of so few events is not looked at. ValueError
    where one is out of range.

    When a look has found a change the oldest buckets are gone, and `width` and `estimate` speak of what is
    left; the next slice starts an empty window.
    """

    def __init__(
        self,
        *,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        if not 0.0 < delta < 1.0:
            raise ValueError(f"delta must be between 0 and 1, not {delta!r}")
        # With one bucket of a size a row can be empty below others, and the oldest bucket not the last row's.
        for name, value, least in (
            ("clock", clock, 1),
            ("max_buckets", max_buckets, 2),
            ("min_window_length", min_window_length, 1),
            ("grace_period", grace_period, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        self.delta = delta
        self.clock = clock
        self.max_buckets = max_buckets
        self.min_window_length = min_window_length
        self.grace_period = grace_period
        self._changes = 0
        self._empty()

    def _empty(self) -> None:
        self._rows: list[list[Bucket]] = [[]]  # row i: buckets of 2^i slices, the oldest first
        self._slices = 0
        self._width = 0
        self._total = 0.0
        self._m2 = 0.0
        self._cut = False

    @property
    def width(self) -> int:
        """Events in the window."""
        return self._width

    @property
    def estimate(self) -> float:
        """Mean of the window; 0 where it is empty."""
        return self._total / self._width if self._width else 0.0

    @property
    def variance(self) -> float:
        """Mean squared distance from the window's mean, where river's is the sum; 0 where it is empty."""
        return self._m2 / self._width if self._width else 0.0

    @property
    def changes(self) -> int:
        """Looks that found a change, since the detector was made."""
        return self._changes

    def insert(self, n: int, total: float, squares: float) -> Change | None:
        """One slice: n events, their sum and the sum of their squares. Gives the change, if a look found one.

        Values should be standardised: the spread inside a slice is squares - total^2 / n, which has no digits
        left where the mean is many orders above the spread. ValueError, and nothing has changed, where n < 1,
        a sum is not finite, `squares` is negative, or a moment of the window would pass 1e280.
        """
        n, total, squares = index(n), float(total), float(squares)
        if n < 1:
            raise ValueError(f"a slice holds at least one event, not {n}")
        if not (abs(total) <= LIMIT and 0.0 <= squares <= LIMIT):  # written so that NaN fails
            raise ValueError(f"a slice's sums must be finite, squares not negative: {total!r}, {squares!r}")
        spread = 0.0 if n == 1 else max(0.0, squares - total * total / n)
        if self._cut:
            self._empty()

        width, whole, m2 = self._width + n, self._total + total, self._m2 + spread
        if self._width:
            gap = total / n - self._total / self._width
            m2 += self._width * n * gap * gap / width
        if not (abs(whole) <= LIMIT and m2 <= LIMIT):
            raise ValueError(f"a slice of {n} events that sum to {total!r} overflows the window's moments")
        self._width, self._total, self._m2 = width, whole, m2

        self._rows[0].append((n, total, spread))
        self._merge_full_rows()
        self._slices += 1
        if self._slices % self.clock == 0 and width > self.grace_period:
            return self._look()
        return None

    def _merge_full_rows(self) -> None:
        """The two oldest buckets of a row that holds too many become one of the next, which may fill too."""
        for i, row in enumerate(self._rows):
            if len(row) <= self.max_buckets:
                return
            (n0, total0, m2_0), (n1, total1, m2_1) = row[:2]
            del row[:2]
            n = n0 + n1
            gap = total0 / n0 - total1 / n1
            if i + 1 == len(self._rows):
                self._rows.append([])
            self._rows[i + 1].append((n, total0 + total1, m2_0 + m2_1 + n0 * n1 / n * gap * gap))

    def _look(self) -> Change | None:
        """Drop the oldest bucket for as long as a cut shows a change. Gives the first scan's clearest cut."""
        _, clearest = max(self._cuts(), default=(0.0, None), key=itemgetter(0))
        if clearest is None:
            return None
        while next(self._cuts(), None) is not None:
            self._drop_oldest()
        self._changes += 1
        self._cut = True
        return clearest

    def _cuts(self) -> Iterator[tuple[float, Change]]:
        """The cuts whose two means differ by more than the bound, and by how many bounds; the oldest first."""
        if self._width < 2:
            return
        least = self.min_window_length
        variance = self._m2 / self._width
        confidence = log(2.0 * log(self._width) / self.delta)
        tail = 2.0 / 3.0 * confidence
        n0, n1, total0, total1 = 0, self._width, 0.0, self._total
        for row in reversed(self._rows):
            for n, total, _ in row:
                n0 += n
                n1 -= n
                total0 += total
                total1 -= total
                if n1 < least:
                    return  # n1 only falls; and the cut behind the newest bucket, with n1 = 0, is none
                if n0 < least:
                    continue
                before, after = total0 / n0, total1 / n1
                shares = 1.0 / (n0 - least + 1) + 1.0 / (n1 - least + 1)
                noise = 2.0 * shares * variance * confidence
                # Dropping buckets can round M2 below 0: then no bound can be told, and there is no cut.
                if noise >= 0.0 and abs(before - after) > (bound := sqrt(noise) + tail * shares):
                    yield abs(before - after) / bound, Change(before, after, n0, n1)

    def _drop_oldest(self) -> None:
        oldest = self._rows[-1]
        n, total, spread = oldest.pop(0)
        if not oldest:
            self._rows.pop()
        self._width -= n
        self._total -= total
        gap = total / n - self._total / self._width
        self._m2 -= spread + n * self._width * gap * gap / (n + self._width)

    def snapshot(self) -> dict[str, object]:
        """Everything the detector knows, as plain data; JSON keeps it to the bit."""
        return {
            "detector": DETECTOR,
            "format": FORMAT,
            "delta": self.delta,
            "clock": self.clock,
            "max_buckets": self.max_buckets,
            "min_window_length": self.min_window_length,
            "grace_period": self.grace_period,
            "changes": self._changes,
            "slices": self._slices,
            "cut": int(self._cut),
            "total": self._total,  # with its rounding, which the buckets' sums do not have
            "m2": self._m2,
            "rows": [[list(bucket) for bucket in row] for row in self._rows],
        }

    @classmethod
    def restore(cls, state: Mapping[str, object]) -> Adwin:
        """The detector that `snapshot` wrote down. ValueError where it is of another format, or broken."""
        found = state.get("detector"), state.get("format")
        if found != (DETECTOR, FORMAT):
            raise ValueError(f"want the state of (detector, format) {(DETECTOR, FORMAT)!r}, not of {found!r}")
        adwin = cls(
            delta=real(state.get("delta"), "delta"),
            clock=whole(state.get("clock"), "clock"),
            max_buckets=whole(state.get("max_buckets"), "max_buckets"),
            min_window_length=whole(state.get("min_window_length"), "min_window_length"),
            grace_period=whole(state.get("grace_period"), "grace_period"),
        )
        adwin._changes = whole(state.get("changes"), "changes")
        adwin._slices = whole(state.get("slices"), "slices")
        adwin._cut = whole(state.get("cut"), "cut") != 0
        adwin._total = real(state.get("total"), "total")
        adwin._m2 = real(state.get("m2"), "m2")
        adwin._rows = [[_bucket(item) for item in _items(row)] for row in _items(state.get("rows"))]
        adwin._width = sum(n for row in adwin._rows for n, _, _ in row)
        filled = bool(adwin._rows) and all(1 <= len(row) <= adwin.max_buckets for row in adwin._rows)
        if not filled and adwin._rows != [[]]:
            raise ValueError(f"a detector's state is broken: a row holds 1 to {adwin.max_buckets} buckets")
        return adwin


def whole(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a detector's state is broken: {name} is {value!r}, not a count")
    return value


def real(value: object, name: str) -> float:
    match value:
        case int() | float() if abs(value) <= LIMIT:  # an encoder may have written 1.0 as 1
            return float(value)
    raise ValueError(f"a detector's state is broken: {name} is {value!r}, not a finite number")


def _items(value: object) -> list[object]:
    match value:
        case [*items]:
            return items
    raise ValueError(f"a detector's state is broken: rows are lists of buckets, not {value!r}")


def _bucket(value: object) -> Bucket:
    match value:
        case [n, total, m2] if n != 0:
            return whole(n, "a bucket's count"), real(total, "a bucket's sum"), real(m2, "a bucket's M2")
    raise ValueError(f"a detector's state is broken: a bucket is [count above 0, sum, M2], not {value!r}")
