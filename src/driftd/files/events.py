"""Recorded events for `driftd replay`: pairs of a rising offset and the bytes that would have been a record's value.

JSON lines come as they are, with the number of their line. Rows of Parquet and CSV become native prediction events: of
a plain table by options that say which column is what; of one that has the native columns (`model`, `time`, and
`features` as a struct or `features.x`) by those. A row is the offset of its number, from 0; with a label it is two
events, the prediction at twice that number and the label behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from driftd.core.event import UNVERSIONED, Mark
from driftd.core.fault import UserError
from driftd.core.grid import category
from driftd.files.cells import Form, Has
from driftd.files.choice import Choices
from driftd.files.json_table import looks_native
from driftd.files.lines import chunks, numbered
from driftd.files.native_table import PREFIX, has_native_columns
from driftd.files.opening import format_of, open_rows
from driftd.files.table import Batch, Table, listed

Event = tuple[int, bytes]
_ENVELOPE: Final = ("kind", "id", "model", "version", "time", "prediction", "label")
_BAD: Final[tuple[object, ...]] = ()
"""What no JSON number can be is sent as an array: the decoder finds it BAD, as it is."""


@dataclass(frozen=True, slots=True)
class EventOptions:
    """Columns by name. `model` None: only native events can be read. `time` None: the one column of timestamps."""

    model: str | None = None
    version: str = UNVERSIONED
    time: str | None = None
    prediction: str | None = None
    label: str | None = None
    id: str | None = None
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()


def open_events(
    path: Path, options: EventOptions | None = None, report: Callable[[int, int], None] | None = None
) -> Iterator[Event]:
    """The events of one file in its order. `report` is told bytes done and in all. Raises UserError."""
    options = options or EventOptions()
    tell = report or (lambda _done, _all: None)
    if format_of(path) == "json" and (options.model is None or looks_native(_first_object(path))):
        return _lines(path, tell)
    table = open_rows((path,))
    holds = table.scan(lambda _: None)
    if has_native_columns(table):
        return _native(table, holds, tell)
    return _rows(table, holds, options, tell)


def _lines(path: Path, tell: Callable[[int, int], None]) -> Iterator[Event]:
    size, empty = path.stat().st_size, True
    for chunk in chunks(path):
        for line in numbered(chunk):
            yield line
            empty = False
        tell(chunk.done, size)
    if empty:
        raise UserError(f"{path} has no events", "give a file with at least one JSON object")


def _first_object(path: Path) -> dict[str, object]:
    """The first line that is an object; lines that are none are the decoder's to refuse."""
    for chunk in chunks(path):
        for _, line in numbered(chunk):
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return msgspec.json.decode(line, type=dict[str, object])
    return {}


def _native(table: Table, holds: Mapping[str, Has], tell: Callable[[int, int], None]) -> Iterator[Event]:
    envelope = [name for name in _ENVELOPE if name in table.columns]
    features = [name for name in table.columns if name.startswith(PREFIX) and holds[name] is not Has.OTHER]
    parts = [name for name in ("prediction.score", "prediction.class") if name in table.columns]
    forms: dict[str, Form] = {name: "times" if name == "time" else "objects" for name in (*envelope, *parts, *features)}
    encode = msgspec.json.Encoder().encode
    names = [name.removeprefix(PREFIX) for name in features]
    offset = 0
    for batch in table.batches(forms):
        _some_time(batch, "time", offset)
        heads = _zipped(batch, envelope)
        bodies = _zipped(batch, features)
        scores = _zipped(batch, parts)
        for head, body, score in zip(heads, bodies, scores, strict=True):
            event: dict[str, object] = {
                k: v for k, v in zip(envelope, head, strict=True) if k != "label" or v is not None
            }
            event["features"] = dict(zip(names, body, strict=True))
            if parts:
                event["prediction"] = {k.partition(".")[2]: v for k, v in zip(parts, score, strict=True)}
            yield offset, encode(event)
            offset += 1
        tell(batch.done, table.size)


def _rows(
    table: Table, holds: Mapping[str, Has], options: EventOptions, tell: Callable[[int, int], None]
) -> Iterator[Event]:
    if options.model is None:
        raise UserError(f"{table.files[0]} holds rows, not events", "say with --model of which model they are")
    time = options.time or _only_time(table, holds)
    Choices(options.categorical, options.ignore, time, options.prediction, options.label).check(table)
    table.require([options.id] if options.id is not None else [], "--id")
    left_out = {time, options.prediction, options.label, options.id, *options.ignore}
    features = [name for name in table.columns if name not in left_out and holds[name] is not Has.OTHER]
    return _events(table, options, time, features, tell)


def _events(
    table: Table, options: EventOptions, time: str, features: Sequence[str], tell: Callable[[int, int], None]
) -> Iterator[Event]:
    roles = [name for name in (options.prediction, options.label, options.id) if name is not None]
    forms: dict[str, Form] = dict.fromkeys((*features, *roles), "objects")
    forms[time] = "times"
    encode = msgspec.json.Encoder().encode
    head = {"kind": "prediction", "model": options.model, "version": options.version}
    as_class = options.prediction is not None and options.prediction in options.categorical
    row = 0
    for batch in table.batches(forms):
        _some_time(batch, time, row)
        times = batch.columns[time]
        ids = _column(batch, options.id) or [str(row + i) for i in range(batch.rows)]
        predictions = _column(batch, options.prediction)
        if as_class:
            predictions = [None if p is None else category(p) for p in predictions or ()]
        labels = _column(batch, options.label)
        bodies = _zipped(batch, features)
        for i, (body, at) in enumerate(zip(bodies, times, strict=True)):
            event = {**head, "id": ids[i], "time": at, "features": dict(zip(features, body, strict=True))}
            if predictions is not None:
                event["prediction"] = predictions[i]
            if labels is None:
                yield row + i, encode(event)
                continue
            yield 2 * (row + i), encode(event)
            label = {**head, "kind": "label", "id": ids[i], "time": at, "label": labels[i]}
            yield 2 * (row + i) + 1, encode(label)
        row += batch.rows
        tell(batch.done, table.size)


def _column(batch: Batch, name: str | None) -> list[object] | None:
    """The values as JSON can write them; what is absent is null."""
    if name is None:
        return None
    values = list(batch.columns[name])
    if Mark in set(map(type, values)):
        return [_BAD if v is Mark.BAD else None if v is Mark.ABSENT else v for v in values]
    return values


def _zipped(batch: Batch, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Row by row the values of these columns."""
    if not names:
        return iter([()] * batch.rows)
    return zip(*(_column(batch, name) or () for name in names), strict=True)


def _only_time(table: Table, holds: Mapping[str, Has]) -> str:
    """The column of the time, where there is no doubt which it is."""
    stamps = [name for name in table.columns if name in table.stamps]
    if len(stamps) == 1:
        return stamps[0]
    if "time" in holds:
        return "time"
    found = f"{listed(map(repr, stamps))} hold timestamps" if stamps else "no column of it holds timestamps"
    raise UserError(f"{table.files[0]}: which column is the event time? {found}", "name it with --time")


def _some_time(batch: Batch, name: str, row: int) -> None:
    """One time that cannot be read is left to the decoder, which refuses that event; all of them are an error."""
    if row:
        return
    values = batch.columns[name]
    if batch.rows and not any(type(value) is int for value in values):
        raise UserError(
            f"{batch.place}: no value of {name!r} is a time", "write it as RFC 3339, or as epoch milliseconds"
        )
