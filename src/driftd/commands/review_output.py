"""A review as text, as JSON, and as a table for a wiki. Names come from events: they are made inert in each."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftd.core.action import rfc3339
from driftd.core.fault import printable
from driftd.core.review import FLAP_WINDOWS, Tally
from driftd.settings.quantity import format_duration

if TYPE_CHECKING:
    from driftd.commands.review import Review, Reviewed

Output = Literal["text", "json", "markdown"]
WIDTH: Final = 100
"""Where the output is no terminal."""
COUNTED: Final = ("alerts", "ack", "false", "muted", "flap", "open", "median")
HEAD: Final = ("model", "rule", *COUNTED, "now", "suggested")


def print_review(review: Review, output: Output) -> None:
    if output == "json":
        sys.stdout.write(json.dumps(_document(review), ensure_ascii=True, allow_nan=False) + "\n")
    elif output == "markdown":
        sys.stdout.write("".join(f"{line}\n" for line in _markdown(review)))
    else:
        _text(review)


def _document(review: Review) -> dict[str, Any]:
    return {
        "since": rfc3339(review.since),
        "until": rfc3339(review.until),
        "flap_windows": FLAP_WINDOWS,
        "replayed": [
            {"model": model, "since": rfc3339(start), "until": rfc3339(end)}
            for model, (start, end) in sorted(review.replayed.items())
        ],
        "rules": [_rule(one) for one in review.rules],
        "total": [{"rule": rule, **_tally(found)} for rule, found in review.total.items()],
    }


def _rule(one: Reviewed) -> dict[str, Any]:
    return {
        "model": one.model,
        "rule": one.rule,
        **_tally(one.tally),
        "threshold": one.now,
        "suggested": one.suggested,
        "because": one.because,
        "tried": [
            {
                "threshold": tried.threshold,
                "alerts": tried.alerts,
                "alerts_a_week": round(tried.alerts / one.weeks, 3) if one.weeks else None,
                "marked_false": tried.false,
                "others": tried.others,
            }
            for tried in one.tried
        ],
    }


def _tally(found: Tally) -> dict[str, Any]:
    return {
        "notifications": found.notifications,
        "alerts": found.alerts,
        "acknowledged": found.acknowledged,
        "marked_false": found.false,
        "muted": found.muted,
        "flapped": found.flapped,
        "open": found.open,
        "median_s": None if found.median is None else found.median / 1000,
    }


def _cells(found: Tally) -> list[str]:
    counts = (
        found.alerts,
        found.acknowledged,
        found.false,
        found.muted,
        found.flapped,
        found.open,
    )
    return [*map(str, counts), "-" if found.median is None else format_duration(found.median)]


def _rows(review: Review) -> Iterator[list[str]]:
    for one in review.rules:
        now, suggested = (("-" if value is None else f"{value:g}") for value in (one.now, one.suggested))
        yield [printable(one.model), printable(one.rule), *_cells(one.tally), now, suggested]
    several = len({one.model for one in review.rules}) > 1
    for rule, found in review.total.items() if several else ():
        yield ["all models", printable(rule), *_cells(found), "", ""]


def _time(review: Review) -> str:
    return f"{rfc3339(review.since)} to {rfc3339(review.until)}"


def _text(review: Review) -> None:
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
    if not review.rules:
        sys.stdout.write(f"nothing fired from {_time(review)}\n")
        return
    console.print(Text(f"Alerts that fired from {_time(review)}"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in HEAD:
        of_names = name in ("model", "rule")
        justify: Literal["left", "right"] = "left" if of_names else "right"
        table.add_column(
            name, justify=justify, overflow="fold", no_wrap=not of_names, min_width=10 if of_names else None
        )
    rows = list(_rows(review))
    for i, row in enumerate(rows):
        last_of_model = i + 1 < len(rows) and rows[i + 1][0] != row[0]
        table.add_row(*map(Text, row), end_section=last_of_model)
    console.print(table)
    for one in review.rules:
        if one.tally.alerts:
            console.print(Text(printable(f"{one.model} {one.rule}: {one.because}.")))
    for line in _notes(review):
        console.print(Text(line))


def _notes(review: Review) -> Iterator[str]:
    for model, (start, end) in sorted(review.replayed.items()):
        yield printable(f"Replayed of {model}: {rfc3339(start)} to {rfc3339(end)}.")
    yield f"flap: the same signal fired again within {FLAP_WINDOWS} window lengths of the end."


def _markdown(review: Review) -> Iterator[str]:
    yield f"Alerts that fired from {_time(review)}"
    yield ""
    yield _line([*HEAD, "because"])
    yield _line(["---", "---", *["---:"] * (len(HEAD) - 2), "---"])
    reasons = [one.because for one in review.rules]
    for row, because in zip_longest(_rows(review), reasons, fillvalue=""):
        yield _line([*map(_inert, row), _inert(because)])
    yield ""
    for note in _notes(review):
        yield f"- {_inert(note)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inert(text: str) -> str:
    """Text that no dialect of Markdown makes a link, a tag or a cell of."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~@])", r"\\\1", escaped)
