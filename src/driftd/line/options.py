"""Options that several commands share, and what is made of their text."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from driftd.core.fault import UserError

Output = Literal["text", "json"]
_LASTS = re.compile(r"(\d+[a-z]+)+")

Config = Annotated[
    Path,
    # Whether it can be read is the settings' to say, with a remedy.
    typer.Option("--config", "-c", envvar="DRIFTD_CONFIG", metavar="FILE", readable=False, help="The settings file."),
]
DEFAULT_CONFIG = Path("driftd.yaml")
Categorical = Annotated[str | None, typer.Option(metavar="A,B", help="Columns of numbers that are categories.")]
Ignore = Annotated[str | None, typer.Option(metavar="A,B", help="Columns that are no signals.")]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the event time.")]
Prediction = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the prediction.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the label.")]


def names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def duration_s(text: str | None) -> float | None:
    """Seconds of `90s`."""
    if text is None:
        return None
    from driftd.settings import quantity  # noqa: PLC0415 - keeps --help fast

    return quantity.duration_s(text)


def instant_ms(text: str | None) -> int | None:
    """Milliseconds since the epoch, of those or of RFC 3339."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is not a time", "write 2026-11-23T10:00:00Z, or epoch milliseconds") from None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


def span_ms(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The ends of a time, each an instant, or a duration that ended now, such as `30d`. Raises UserError."""
    now = round(time.time() * 1000)
    start, end = _moment_ms(since, now), _moment_ms(until, now)
    if start is not None and start >= (now if end is None else end):
        raise UserError("nothing lies between --since and --until", "give a --since that is before --until")
    return start, end


def _moment_ms(text: str | None, now: int) -> int | None:
    if text is not None and _LASTS.fullmatch(text):
        return now - round((duration_s(text) or 0) * 1000)
    return instant_ms(text)


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"{text!r} is no setting", "write security.protocol=SSL")
    return name, value


def examples(*lines: str) -> str:
    """An epilog that is printed as it stands."""
    return "\n".join([f"Example{'s' if len(lines) > 1 else ''}:\n\n\b", *(f"  {line}" for line in lines)])


def group(text: str, *lines: str) -> typer.Typer:
    return typer.Typer(help=text, epilog=examples(*lines), no_args_is_help=True)
