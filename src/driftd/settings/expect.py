"""The `expect` section: when events are expected, so that silence at any other time is none."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Annotated, Literal, NoReturn, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from driftd.core import spec
from driftd.core.event import Kind
from driftd.core.spec import DAY
from driftd.settings.keys import nearest
from driftd.settings.quantity import Span, refuse, shortened
from driftd.settings.section import Many, Section

LONGEST = 90 * DAY
_EXPECT = spec.Expect()
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_REMEDY = 'write two times of day, such as ["08:00", "18:00"]'

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


def _minutes(text: object) -> int:
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        refuse(f"{shortened(text)} is not a time of day", _REMEDY)
    hours, _, minutes = text.partition(":")
    return 60 * int(hours) + int(minutes)


def _between(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        refuse(f"{shortened(value)} is not from one time of day to another", _REMEDY)
    opens, closes = map(_minutes, value)
    if opens == closes or (opens == 24 * 60 and closes):
        refuse(f"from {value[0]} to {value[1]} is no time", "leave `between` out for the whole day")
    return opens % (24 * 60), closes


def _timezone(name: str) -> str:
    """Known here: what is read of it is read now."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found; no key of a time zone; a directory
        _unknown(name)
    return name


def _unknown(name: str) -> NoReturn:
    known = available_timezones()
    if not known:
        refuse("this machine has no time zones", "install its package tzdata, or write UTC")
    near = nearest(name, sorted(known))
    remedy = f"did you mean {near}?" if near else "write a name such as Europe/Berlin or UTC"
    refuse(f"{shortened(name)} is no time zone", remedy)


def _not_for_ever(every: int) -> int:
    if every > LONGEST:
        refuse("longer than 90 days", "write at most 90d, or null: no silence is overdue")
    return every


class Expect(Section):
    """`every` None: no silence is overdue, unless `once`: then each day, or each time `between`, must bring an event."""

    every: Annotated[Span, AfterValidator(_not_for_ever)] | None = _EXPECT.every
    once: bool = _EXPECT.once
    between: Annotated[tuple[int, int] | None, BeforeValidator(_between)] = _EXPECT.between
    days: Annotated[Many[Weekday], Field(min_length=1)] = WEEKDAYS
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    kinds: Annotated[Many[Kind], Field(min_length=1)] = _EXPECT.kinds

    def core(self) -> spec.Expect:
        zone: tzinfo = _EXPECT.timezone if self.timezone == "UTC" else ZoneInfo(self.timezone)
        days = tuple(sorted({WEEKDAYS.index(day) for day in self.days}))
        return spec.Expect(self.every, self.once, self.between, days, zone, self.kinds)
