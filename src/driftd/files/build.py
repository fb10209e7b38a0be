"""A grid and a reference from a table, in two passes and bounded memory: first what bins and categories there are,
then how many rows fall into each, part by part in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import UNVERSIONED, Column, Columns, PartitionId
from driftd.core.fault import UserError
from driftd.core.grid import Axis, Categorical, Grid, Numeric
from driftd.core.pane import Counted, Ints
from driftd.core.reference import LEAST_PART, PARTS, Reference
from driftd.core.sample import row_hashes
from driftd.core.spec import Limits
from driftd.files.cells import Form
from driftd.files.choice import Choice, Choices, choose
from driftd.files.opening import open_table
from driftd.files.reference_file import Header
from driftd.files.survey import Categories, Numbers, distinct_bound, sample_bound
from driftd.files.table import Table, good_name

MOST_COUNTS: Final = 1 << 24
"""Counts in all parts together (128 MiB): a wide table gets fewer parts."""
_ROWS: Final = PartitionId("rows", 0)

Progress = Callable[[str, int, int], None]
"""Told the name of the pass, bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Columns by the names they have in the files. `version` None: of native events those of any version."""

    model: str
    version: str | None = None
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    time: str | None = None
    prediction: str | None = None
    label: str | None = None
    categories: int = Limits().categories
    """Categories of a signal that get a cell of their own."""

    @property
    def choices(self) -> Choices:
        return Choices(self.categorical, self.ignore, self.time, self.prediction, self.label)


@dataclass(frozen=True, slots=True)
class Built:
    """`parts` int64[P, codes], in the order of the rows. `notes`: what a person should know, one line each."""

    header: Header
    reference: Reference
    parts: Ints
    notes: list[str] = field(default_factory=list)


def build(
    files: Sequence[Path], options: BuildOptions, grid: Grid | None = None, progress: Progress | None = None
) -> Built:
    """Build from Parquet, CSV or JSON lines; on `grid`, if it is given. Raises UserError."""
    tell = progress or (lambda _phase, _done, _all: None)
    _check_name("model", options.model)
    _check_name("version", options.version or UNVERSIONED)
    table = open_table(files, options.model, options.version)
    if table.columns:  # else they are known only after the scan
        options.choices.check(table)
    holds = table.scan(lambda done: tell("types", done, table.size))
    if not table.columns:
        raise _no_rows(table, options)
    options.choices.check(table)
    chosen = choose(table, holds, options.choices, grid)
    survey = _Survey(table, chosen, options)
    survey.run(lambda done: tell("values", done, table.size))
    if grid is None:
        grid = Grid(survey.axes())
        once = survey.once(grid)
    else:
        # The data had no say in what this grid knows: its count of NEW is what the reference expects of it.
        once = np.zeros(len(grid), np.int64)
    parts, moments = _count(table, chosen, grid, survey.rows, lambda done: tell("counts", done, table.size))
    reference = Reference.build(grid, survey.rows, moments, parts, once)
    header = Header.of(
        options.model,
        options.version or UNVERSIONED,
        reference,
        parts,
        rows=[path.name for path in table.files],
        span=survey.span,
    )
    return Built(header, reference, parts, [*table.notes, *chosen.notes, *survey.notes()])


def _check_name(what: str, name: str) -> None:
    if not good_name(name):
        raise UserError(
            f"{name[:64]!r} is no name of a {what}", "give 1 to 256 characters, none of them a control character"
        )


class _Survey:
    """The first pass."""

    def __init__(self, table: Table, chosen: Choice, options: BuildOptions) -> None:
        self.table = table
        self.chosen = chosen
        self.options = options
        self.rows = 0
        self.span: tuple[int, int] | None = None
        self.disorder = 0
        numeric = sum(form == "numbers" for form in chosen.forms.values())
        sampled, bound = sample_bound(numeric), distinct_bound(len(chosen.forms) - numeric)
        self.columns: dict[str, Numbers | Categories] = {
            name: Numbers(sampled) if form == "numbers" else Categories(bound) for name, form in chosen.forms.items()
        }

    def run(self, report: Callable[[int], None]) -> None:
        time = self.options.time
        forms: dict[str, Form] = dict(self.chosen.forms)
        if time is not None:
            forms[time] = "times"
        for batch in self.table.batches(forms):
            hashes = row_hashes(_ROWS, np.arange(self.rows, self.rows + batch.rows))
            for name, column in self.columns.items():
                values = batch.columns[name]
                if isinstance(column, Numbers):
                    column.add(hashes, cast("NDArray[np.float64]", values))
                else:
                    column.add(cast("Sequence[object]", values))
            if time is not None:
                self._time(time, batch.columns[time], batch.place)
            self.rows += batch.rows
            report(batch.done)
        if not self.rows:
            raise _no_rows(self.table, self.options)

    def _time(self, name: str, values: Column, place: str) -> None:
        known = np.array([value for value in values if type(value) is int], np.int64)
        if not len(known):
            if any(value is not None for value in values):
                raise UserError(f"{place}: no value of {name!r} is a time", "name the column of the time with --time")
            return
        low, high = int(known.min()), int(known.max())
        if self.span is not None:
            known = np.append(self.span[1], known)
            low, high = min(low, self.span[0]), max(high, self.span[1])
        self.disorder += int((np.diff(known) < 0).sum())
        self.span = (low, high)

    def axes(self) -> list[Axis]:
        top = self.options.categories
        return [
            column.axis(self.chosen.signals[name])
            if isinstance(column, Numbers)
            else column.axis(self.chosen.signals[name], top)
            for name, column in self.columns.items()
        ]

    def once(self, grid: Grid) -> Ints:
        """Categories seen once, by signal; 0 where nothing is ever new."""
        out = np.zeros(len(grid), np.int64)
        for name, column in self.columns.items():
            i = grid.index[self.chosen.signals[name]]
            axis = grid.axes[i]
            if isinstance(column, Categories) and isinstance(axis, Categorical) and not axis.open:
                out[i] = column.once()
        return out

    def notes(self) -> list[str]:
        notes = [
            f"column {name!r} rises with every row, as its number does: --ignore {name}, if it is no feature"
            for name, column in self.columns.items()
            if isinstance(column, Numbers) and column.rising and self.rows > LEAST_PART
        ]
        if self.disorder:
            notes.append(
                f"the time falls back {self.disorder:,} times: sort the rows by {self.options.time!r}, "
                "so that the reference can tell how much the data varies over time"
            )
        return notes


def _no_rows(table: Table, options: BuildOptions) -> UserError:
    if not table.native:
        return UserError(f"{table.files[0]} has no rows to count", "give a file with at least one")
    which = options.model + (f" version {options.version}" if options.version is not None else "")
    why = f" ({'; '.join(table.notes)})" if table.notes else ""
    return UserError(
        f"{table.files[0]} has no rows to count: no prediction or features event in it is of {which}{why}",
        "check --model and --version",
    )


def _count(table: Table, chosen: Choice, grid: Grid, rows: int, report: Callable[[int], None]) -> tuple[Ints, Ints]:
    """Counts int64[P, codes] of consecutive parts of equal rows, and moments int64[3, signals]."""
    number = max(1, min(PARTS, rows // LEAST_PART, MOST_COUNTS // max(grid.codes, 1)))
    ends = np.arange(1, number + 1, dtype=np.int64) * rows // number
    parts = np.zeros((number, grid.codes), np.int64)
    moments = np.zeros((3, len(grid)), np.int64)
    row = 0
    for batch in table.batches(_forms(chosen, grid)):
        columns = {chosen.signals[name]: column for name, column in batch.columns.items()}
        offsets = np.arange(row, row + batch.rows)
        events = Columns("", UNVERSIONED, "features", np.zeros(batch.rows, np.int64), offsets, columns)
        counted = Counted(grid, events, frozenset())
        start = row
        row += batch.rows
        while start < row:
            part = int(np.searchsorted(ends, start, side="right"))
            end = min(row, int(ends[part]))
            pane = counted.pane(slice(start - row + batch.rows, end - row + batch.rows))
            parts[part] += pane.counts
            moments += pane.moments
            start = end
        report(batch.done)
    return parts, moments


def _forms(chosen: Choice, grid: Grid) -> Mapping[str, Form]:
    """Numbers for numeric axes; the choice may have been numeric for a column that then held no number at all."""
    return {
        name: "numbers" if isinstance(grid.axes[grid.index[signal]], Numeric) else "objects"
        for name, signal in chosen.signals.items()
    }
