"""The event time as records write it: RFC 3339 with an offset, epoch milliseconds, or a date alone.

A date names a batch (Airflow's `ds`): its first instant in UTC, so that with panes of a day all of its rows lie in one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from driftd.kafka.reasons import Reason, Refused

Aware = Annotated[datetime, msgspec.Meta(tz=True)]
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def moment(value: object, where: str = "") -> datetime | int | float | None:
    """The time; None for none. Raises Refused, which names `where` it was found."""
    if value is None or isinstance(value, datetime) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    at = f"{where} is " if where else ""
    if not isinstance(value, str):
        raise Refused(Reason.TIME, f"{at}neither a string nor a number")
    try:
        if _DATE.fullmatch(value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return msgspec.convert(value, Aware)
    except (msgspec.ValidationError, ValueError):
        raise Refused(Reason.TIME, f"{at}neither RFC 3339 with an offset nor a date alone") from None
