"""JSON lines as a table: native events, or flat objects whose keys are the columns.

Of native events those of one model (and version, if one is named) are rows, and the columns are named as the signals
that they become. A key that an object lacks is absent there, which is not null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from driftd.core.event import KINDS, Column, Mark
from driftd.core.fault import UserError
from driftd.files.cells import Form, Has, object_numbers, object_times
from driftd.files.lines import Chunk, chunks, objects, refuse
from driftd.files.table import Batch, Report, Table, batch_rows, listed, signal_of

Record = dict[str, object]
_HAS: Final[Mapping[type, Has]] = {
    int: Has.NUMBER,
    float: Has.NUMBER,
    bool: Has.BOOL,
    str: Has.TEXT,
    type(None): Has.NOTHING,
    Mark: Has.NOTHING,
}


def looks_native(record: Record) -> bool:
    """Whether an object is an event of the native form."""
    if isinstance(record.get("features"), dict):
        return True
    return record.get("kind") in KINDS and "model" in record


def first_record(files: Sequence[Path]) -> Record | None:
    """The first object of all files."""
    for path in files:
        for chunk in chunks(path, 1 << 16):
            found = objects(chunk)
            if found:
                return found[0]
    return None


class JsonTable(Table):
    """`model` and `version` pick the rows of native events; flat objects are all rows."""

    def __init__(self, files: Sequence[Path], model: str | None = None, version: str | None = None) -> None:
        super().__init__(files)
        record = first_record(files)
        if record is None:
            raise UserError(f"{files[0]} has no rows", "give a file with at least one JSON object")
        self.native = looks_native(record)
        self.model = model
        self.version = version
        self.scalar = "prediction"
        """The signal that a prediction of null is a null of."""
        self.others: Counter[str] = Counter()

    def scan(self, report: Report) -> Mapping[str, Has]:
        found: dict[str, Has] = {}
        self.others.clear()
        for number, path in enumerate(self.files):
            here: set[str] = set()
            for chunk in chunks(path):
                for rows in self._rows(chunk):
                    for name in _names(rows):
                        here.add(name)
                        for kind in {type(row[name]) for row in rows if name in row}:
                            found[name] = found.get(name, Has.NOTHING) | _HAS.get(kind, Has.OTHER)
                report(self.before(number) + chunk.done)
            if number and (missing := [name for name in found if name not in here]):
                self.notes.append(f"{path} never has {listed(map(repr, missing))}: absent in all its rows")
        self._settle_prediction(found)
        self.columns = tuple(found)
        self._note_others()
        return found

    def _settle_prediction(self, found: dict[str, Has]) -> None:
        """A prediction of null goes to the class where only classes were predicted."""
        if self.native and found.get("prediction") is Has.NOTHING and "class" in found:
            self.scalar = "class"
            del found["prediction"]

    def _note_others(self) -> None:
        if not self.native:
            return
        labels = self.others.pop("label", 0)
        if labels:
            self.notes.append(f"{labels:,} label events are not counted: a label is joined to its prediction live")
        if self.others:
            counted = listed(f"{n:,} of {name}" for name, n in self.others.most_common())
            self.notes.append(f"not counted, since they are of another model or version: {counted}")

    def batches(self, forms: Mapping[str, Form]) -> Iterator[Batch]:
        most = batch_rows(len(forms))
        for number, path in enumerate(self.files):
            for chunk in chunks(path):
                done = self.before(number) + chunk.done
                for rows in self._rows(chunk):
                    for start in range(0, len(rows), most):
                        some = rows[start : start + most]
                        columns = {name: _column(chunk, name, some, form) for name, form in forms.items()}
                        yield Batch(len(some), columns, done, f"{path}, line {chunk.first:,} or after")

    def _rows(self, chunk: Chunk) -> Iterator[list[Record]]:
        records = objects(chunk)
        if not self.native:
            yield records
            return
        rows = []
        for i, record in enumerate(records):
            if self._picked(record):
                features = record.get("features")
                if features is not None and not isinstance(features, dict):
                    refuse(chunk, i, "features is not an object", "write {name: value}")
                rows.append(self._signals(features or {}, record))
        yield rows

    def _picked(self, record: Record) -> bool:
        model, version, kind = record.get("model"), record.get("version"), record.get("kind", "prediction")
        if kind == "label":
            self.others["label"] += 1
            return False
        if model is not None and self.model is not None and model != self.model:
            self.others[f"model {model}"] += 1
            return False
        if version is not None and self.version is not None and str(version) != self.version:
            self.others[f"version {version}"] += 1
            return False
        return True

    def _signals(self, features: Record, record: Record) -> Record:
        row = {signal_of(name): value for name, value in features.items()}
        value = record.get("prediction", Mark.ABSENT)
        if isinstance(value, dict):
            if "score" in value:
                row["prediction"] = value["score"]
            if "class" in value:
                row["class"] = value["class"]
        elif isinstance(value, str | bool):
            row["class"] = value
        elif value is None:
            row[self.scalar] = None
        elif value is not Mark.ABSENT:
            row["prediction"] = value
        return row


def _names(rows: list[Record]) -> list[str]:
    """The keys of all rows, in the order met."""
    names: dict[str, None] = {}
    last: object = None
    for row in rows:
        keys = row.keys()
        if keys != last:  # most rows have the keys of the row before
            names.update(dict.fromkeys(keys))
            last = keys
    return list(names)


def _column(chunk: Chunk, name: str, rows: list[Record], form: Form) -> Column:
    absent = Mark.ABSENT
    values = [row.get(name, absent) for row in rows]
    if form == "numbers":
        return object_numbers(values)
    if form == "times":
        try:
            return object_times(values)
        except ValueError as fault:
            raise UserError(
                f"{chunk.path}, line {chunk.first} or after: {name!r}: {fault}", "write RFC 3339"
            ) from fault
    if not set(map(type, values)) <= _HAS.keys():
        return [value if type(value) in _HAS else Mark.BAD for value in values]
    return values
