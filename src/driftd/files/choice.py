"""Which columns of a table become which signals, and of which type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from driftd.core.fault import UserError
from driftd.core.grid import Grid, Numeric
from driftd.files.cells import Form, Has
from driftd.files.table import Table, good_name, listed, signal_of


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person said, columns by the names they have in the files."""

    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    time: str | None = None
    prediction: str | None = None
    label: str | None = None

    def check(self, table: Table) -> None:
        """Refuses names that are not there and choices that contradict one another."""
        if table.native:
            given = {"--time": self.time, "--prediction": self.prediction, "--label": self.label}
            for option, name in given.items():
                if name is not None:
                    raise UserError(
                        f"{table.files[0]} holds native events, which say themselves what {option} {name} would",
                        f"leave {option} out",
                    )
            known = {*table.columns, *map(_bare, table.columns)}
            if known:
                table.require((name for name in (*self.categorical, *self.ignore) if name not in known), "an option")
            return
        table.require(self.ignore, "--ignore")
        table.require(self.categorical, "--categorical")
        roles = {"--time": self.time, "--prediction": self.prediction, "--label": self.label}
        taken: dict[str, str] = dict.fromkeys(self.ignore, "--ignore")
        for option, name in roles.items():
            if name is None:
                continue
            table.require((name,), option)
            if name in taken:
                raise UserError(f"column {name!r} is named by {taken[name]} and by {option}", "it can be one of them")
            taken[name] = option
        if self.time in self.categorical:
            raise UserError(f"column {self.time!r} is named by --time and by --categorical", "it can be one of them")


@dataclass(frozen=True, slots=True)
class Choice:
    """Signal and form by column, in the order of the table."""

    signals: Mapping[str, str]
    forms: Mapping[str, Form]
    notes: list[str] = field(default_factory=list)


def choose(table: Table, holds: Mapping[str, Has], said: Choices, grid: Grid | None) -> Choice:
    """A column is numeric if all its values are numbers, unless it is said to be categorical, or the grid says."""
    signals: dict[str, str] = {}
    forms: dict[str, Form] = {}
    notes = []
    for name in table.columns:
        if name == said.time or name in said.ignore or (table.native and _bare(name) in said.ignore):
            continue
        if not good_name(name):
            notes.append(
                f"column {name[:64]!r} is left out: a signal's name has 1 to 256 characters, no control characters"
            )
            continue
        forced = name in said.categorical or (table.native and _bare(name) in said.categorical)
        if holds[name] is Has.OTHER:
            _refuse_other(table, name, said, forced=forced)
            notes.append(f"column {name!r} is left out: it holds neither numbers, nor bools, nor text")
            continue
        numeric = not forced and holds[name] & ~Has.OTHER == Has.NUMBER
        signals[name] = name if table.native else _signal(name, said, numeric=numeric, grid=grid)
        forms[name] = "numbers" if numeric else "objects"
    if grid is not None:
        _fit(table, signals, forms, notes, grid)
    if not signals:
        raise UserError(f"{table.files[0]} has no column to count", "leave fewer out with --ignore")
    return Choice(signals, forms, notes)


def _signal(name: str, said: Choices, *, numeric: bool, grid: Grid | None) -> str:
    if name == said.label:
        return "label"
    if name != said.prediction:
        return signal_of(name)
    if grid is not None and ("prediction" in grid.index) != ("class" in grid.index):
        return "prediction" if "prediction" in grid.index else "class"
    return "prediction" if numeric else "class"


def _fit(table: Table, signals: dict[str, str], forms: dict[str, Form], notes: list[str], grid: Grid) -> None:
    """Keeps what the grid knows, in the form it needs; refuses a table that lacks one of its signals."""
    there = set(signals.values())
    if missing := [name for name in grid.names if name not in there]:
        raise UserError(
            f"{table.files[0]} has no column for {listed(map(repr, missing))}, which the grid knows",
            _REMEDY.get(missing[0], "rename the column, or build without --grid"),
        )
    added = [name for name, signal in signals.items() if signal not in grid.index]
    for name in added:
        del signals[name], forms[name]
    if added:
        notes.append(f"left out, since the grid does not know them: {listed(map(repr, added))}")
    for name, signal in signals.items():
        forms[name] = "numbers" if isinstance(grid.axes[grid.index[signal]], Numeric) else "objects"


_REMEDY: Final = {
    "prediction": "name the column of the prediction with --prediction",
    "class": "name the column of the prediction with --prediction",
    "label": "name the column of the label with --label",
}


def _refuse_other(table: Table, name: str, said: Choices, *, forced: bool) -> None:
    for option, named in (
        ("--categorical", forced),
        ("--prediction", name == said.prediction),
        ("--label", name == said.label),
    ):
        if named:
            raise UserError(
                f"{table.files[0]}: column {name!r}, which {option} names, holds neither numbers, nor bools, nor text",
                "write it as text, or leave it out with --ignore",
            )


def _bare(signal: str) -> str:
    """The feature's own name."""
    rest = signal.removeprefix("feature.")
    return rest if signal_of(rest) == signal else signal
