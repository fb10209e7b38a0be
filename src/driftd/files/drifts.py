"""Drifts that are known, from a CSV with a header: model, signal (empty: any), start, end (empty: it stayed)."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

from driftd.core.fault import UserError
from driftd.core.whatif import Drift

REMEDY = "write a header `model,signal,start,end`, times in RFC 3339; an empty signal is any, an empty end is none"


def read_drifts(path: Path) -> list[Drift]:
    """Raises UserError, with the line, for what is no such file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if not {"model", "start"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path}, line 1: no columns `model` and `start`", REMEDY)
            return [_drift(row, f"{path}, line {rows.line_num}") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise UserError(f"{path}: {fault}", REMEDY) from None


def _drift(row: dict[str, str | None], place: str) -> Drift:
    model = row.get("model")
    if not model:
        raise UserError(f"{place}: no model", REMEDY)
    start, end = _time(row.get("start"), place), row.get("end")
    until = _time(end, place) if end else None
    if until is not None and until <= start:
        raise UserError(f"{place}: it ends before it begins", "write an `end` after `start`, or leave it empty")
    return Drift(model, row.get("signal") or None, start, until)


def _time(text: str | None, place: str) -> int:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        raise UserError(f"{place}: {text!r} is not a time", REMEDY) from None
    if found.tzinfo is None:
        raise UserError(f"{place}: {text!r} has no time zone", "end it with Z, or an offset such as +01:00")
    return round(found.timestamp() * 1000)
