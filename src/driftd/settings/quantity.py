"""Quantities as people write them: `1h30m`, `256MiB`, `1 per model-year`. Without a unit they are refused."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from driftd.core.fault import UserError
from driftd.core.spec import DAY, HOUR, MINUTE, SECOND, YEAR

UNITS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
"""Of a duration, in milliseconds, falling. A year has 365 days, as in Prometheus."""
SIZES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
PERIODS = {"year": 1.0, "month": 12.0, "week": YEAR / (7 * DAY), "day": YEAR / DAY}
"""How many of each are in a year."""

_DURATION = re.compile(r"(\d{1,12})(ms|[ywdhms])")
_DURATION_REMEDY = "write a number and a unit of ms, s, m, h, d, w, y, such as 90s or 1h30m"
_LONGEST = 100 * UNITS["y"]


def refuse(problem: str, remedy: str) -> NoReturn:
    """Reject a value from inside a pydantic validator, with both halves of what the person is told."""
    raise PydanticCustomError("driftd", "{problem}", {"problem": problem, "remedy": remedy})


def parse_duration(text: object) -> int:
    """Milliseconds of `1h30m`: whole numbers, each with its unit, from the greatest unit to the smallest."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        refuse(f"{text} is a number without a unit", f"{_DURATION_REMEDY}, for instance {text}s")
    if not isinstance(text, str):
        refuse("not a duration", _DURATION_REMEDY)
    compact = text.replace(" ", "")
    steps = _DURATION.findall(compact)
    if compact.startswith("-"):
        refuse(f"{text!r} is negative", _DURATION_REMEDY)
    if not steps or "".join(number + unit for number, unit in steps) != compact:
        refuse(f"{shortened(text)} is not a duration", _DURATION_REMEDY)
    units = [UNITS[unit] for _, unit in steps]
    if any(later >= earlier for earlier, later in itertools.pairwise(units)):
        refuse(f"{text!r} does not go from great units to small ones", _DURATION_REMEDY)
    total = sum(int(number) * UNITS[unit] for number, unit in steps)
    if total > _LONGEST:
        refuse(f"{text!r} is more than 100 years", "write a shorter time")
    return total


def format_duration(ms: int) -> str:
    """As people write it, in days at most: 5400000 is `1h30m`."""
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        number, ms = divmod(ms, UNITS[unit])
        if number:
            text += f"{number}{unit}"
    return text or "0s"


def parse_size(text: object) -> int:
    """Bytes of `256MiB`."""
    remedy = "write a whole number and a unit of B, KiB, MiB, GiB, TiB, such as 256MiB"
    if isinstance(text, int | float) and not isinstance(text, bool):
        refuse(f"{text} is a number without a unit", remedy)
    match = re.fullmatch(rf"(\d{{1,9}})\s*({'|'.join(SIZES)})", text) if isinstance(text, str) else None
    if match is None:
        refuse("not a size", remedy)
    size = int(match[1]) * SIZES[match[2]]
    if not size:
        refuse("a size of nothing", remedy)
    return size


def format_size(size: int) -> str:
    """The greatest unit that divides it: 268435456 is `256MiB`."""
    unit = next(unit for unit, factor in SIZES.items() if size % factor == 0)
    return f"{size // SIZES[unit]}{unit}"


def parse_rate(text: object) -> float:
    """False alarms a model-year of `1 per model-month`."""
    remedy = "write a budget such as `1 per model-year`, `0.5 per model-month` or `2 per model-week`"
    pattern = rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s+per\s+model-({'|'.join(PERIODS)})"
    match = re.fullmatch(pattern, text.strip()) if isinstance(text, str) else None
    if match is None:
        refuse("not a budget of false alarms", remedy)
    rate = float(match[1]) * PERIODS[match[2]]
    if rate <= 0:
        refuse("a budget of 0 can never fire", remedy)
    return rate


def parse_instant(text: object) -> int:
    """Unix milliseconds of a time of RFC 3339, or of the end of a day."""
    remedy = "write a day such as 2026-12-01, the whole of it in UTC, or a time such as 2026-12-01T08:00:00Z"
    if not isinstance(text, str):
        refuse("not a time", remedy)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        refuse(f"{shortened(text)} is not a time", remedy)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        found = found.replace(tzinfo=UTC) + timedelta(days=1)
    if found.tzinfo is None:
        refuse(f"{shortened(text)} has no time zone", remedy)
    return round(found.timestamp() * 1000)


def _parse_span(text: object) -> int:
    span = parse_duration(text)
    if not span:
        refuse("must be longer than 0", _DURATION_REMEDY)
    return span


def shortened(value: object) -> str:
    """A value as it may be shown in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Instant = Annotated[int, BeforeValidator(parse_instant)]
"""Unix milliseconds."""
Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Milliseconds; 0 is one."""
Span = Annotated[int, BeforeValidator(_parse_span)]
"""Milliseconds; more than 0."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes; more than 0."""
FalseAlarms = Annotated[float, BeforeValidator(parse_rate)]
"""False alarms a model-year; more than 0."""


def duration_s(text: str) -> float:
    """Seconds of `90s` on the command line, which is not pydantic's to check."""
    try:
        return parse_duration(text) / 1000
    except PydanticCustomError as error:
        context = error.context or {}
        raise UserError(str(context.get("problem")), str(context.get("remedy"))) from None
