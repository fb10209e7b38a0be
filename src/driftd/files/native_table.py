"""A Parquet or CSV file of native events as a table: the columns `model` and `time`, and features as a struct or as
columns `features.x`. As in JSON lines, the events of one model are the rows, and columns are named as their signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import Column
from driftd.core.grid import category
from driftd.files.cells import Form, Has
from driftd.files.table import Batch, Report, Table, listed, signal_of

PREFIX: Final = "features."
_PICK: Final = ("kind", "model", "version")


def has_native_columns(table: Table) -> bool:
    """Whether the columns are those of native events."""
    return {"model", "time"} <= set(table.columns) and any(name.startswith(PREFIX) for name in table.columns)


class NativeTable(Table):
    """Picks rows of another table by `model` and `version`, and names its columns as signals."""

    native = True

    def __init__(self, inner: Table, model: str | None, version: str | None) -> None:
        super().__init__(inner.files)
        self.inner = inner
        self.picked: Mapping[str, str | None] = {"kind": None, "model": model, "version": version}
        self.sources: dict[str, str] = {}
        """Column of the inner table by signal."""
        self.others: Counter[str] = Counter()

    def scan(self, report: Report) -> Mapping[str, Has]:
        holds = self.inner.scan(report)
        for name in self.inner.columns:
            if name.startswith(PREFIX):
                self.sources[signal_of(name.removeprefix(PREFIX))] = name
            elif name == "prediction":
                numeric = holds[name] in (Has.NUMBER, Has.NOTHING)
                self.sources["prediction" if numeric else "class"] = name
            elif name in ("prediction.score", "prediction.class"):
                self.sources["prediction" if name == "prediction.score" else "class"] = name
        self.columns = tuple(self.sources)
        return {signal: holds[name] for signal, name in self.sources.items()}

    def batches(self, forms: Mapping[str, Form]) -> Iterator[Batch]:
        pick = [name for name in _PICK if name in self.inner.columns]
        inner: dict[str, Form] = {self.sources[signal]: form for signal, form in forms.items()}
        inner.update(dict.fromkeys(pick, "objects"))
        self.others.clear()
        for batch in self.inner.batches(inner):
            rows = self._rows(batch, pick)
            columns = {signal: _taken(batch.columns[self.sources[signal]], rows) for signal in forms}
            yield Batch(len(rows), columns, batch.done, batch.place)
        self.notes = [f"{n:,} {name} are not counted" for name, n in self.others.most_common(5)]
        if len(self.others) > 5:
            self.notes.append(f"nor are those of {listed(name for name, _ in self.others.most_common()[5:])}")

    def _rows(self, batch: Batch, pick: Sequence[str]) -> NDArray[np.int64]:
        """The rows of the model and version asked for that carry features or a prediction."""
        keep = np.ones(batch.rows, np.bool_)
        for name in pick:
            values: list[object] = list(batch.columns[name])
            wanted = self.picked[name]
            known: dict[object, bool] = {}
            for value in set(values):
                text = None if value is None else category(value)
                known[value] = text is None or (text != "label" if name == "kind" else wanted in (None, text))
            good = np.fromiter(map(known.__getitem__, values), np.bool_, batch.rows)
            self.others.update(f"events of {name} {values[i]}" for i in np.flatnonzero(keep & ~good).tolist())
            keep &= good
        return np.flatnonzero(keep)


def _taken(column: Column, rows: NDArray[np.int64]) -> Column:
    if isinstance(column, np.ndarray):
        return column[rows]
    return [column[i] for i in rows.tolist()]
