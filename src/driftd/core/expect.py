"""When a model's events are expected, and from when on their silence is overdue.

Silence is counted in arrival time, and only where events are expected: in the spans of `Expect.between` on its days, by
the clocks of its time zone. `once`: each span must hold an event, and what comes outside of one says nothing of the next.
Where clocks are put forward or back a span begins at the earlier and ends at the later of the instants that its times can
mean. Every comparison takes the side that waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from driftd.core.spec import Expect

FURTHEST_DAYS: Final = 4_000
"""What is not due within so many days is never due."""
_MIDNIGHT: Final = 24 * 60


def due(expect: Expect, heard: int) -> int | None:
    """The arrival time (ms) after which silence is overdue, the newest event having arrived at `heard`; None: never."""
    if expect.once:
        return _end_of_next(expect, heard)
    return None if expect.every is None else after(expect, heard, expect.every)


def after(expect: Expect, since: int, ms: int) -> int | None:
    """When so much time in which events are expected has passed since then; None: not within FURTHEST_DAYS."""
    return since + ms if expect.steady else _after(expect, since, ms)


@lru_cache(4_096)
def _after(expect: Expect, since: int, ms: int) -> int | None:
    for start, end in _spans(expect, since):
        begin = max(start, since)
        if end - begin >= ms:
            return begin + ms
        ms -= end - begin
    return None


@lru_cache(4_096)
def _end_of_next(expect: Expect, heard: int) -> int | None:
    return next((end for start, end in _spans(expect, heard) if start > heard), None)


def _spans(expect: Expect, since: int) -> Iterator[tuple[int, int]]:
    """The spans that end after `since`, half-open, in order; none overlaps the one before it."""
    opens, closes = expect.between or (0, _MIDNIGHT)
    if closes <= opens:
        closes += _MIDNIGHT
    try:
        midnight = datetime.fromtimestamp(since / 1000, expect.timezone).replace(tzinfo=None, fold=0)
        midnight = midnight.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
        last = since
        for _ in range(FURTHEST_DAYS):
            midnight += timedelta(days=1)
            if midnight.weekday() not in expect.days:
                continue
            start = min(_instants(expect, midnight, opens))
            end = max(_instants(expect, midnight, closes))
            if end > last:
                yield (start if last == since else max(start, last)), end
                last = end
    except OverflowError:
        return  # the calendar ends with the year 9999


def _instants(expect: Expect, midnight: datetime, minutes: int) -> tuple[int, int]:
    """The two instants (ms) that a local time can mean; the same, but where clocks are put forward or back."""
    local = midnight + timedelta(minutes=minutes)
    first, second = (local.replace(tzinfo=expect.timezone, fold=fold) for fold in (0, 1))
    return _ms(first), _ms(second)


def _ms(instant: datetime) -> int:
    return (instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
