"""A table in one or more files, read as a stream of batches of columns: bounded memory, however long the files are.

A table can be read several times, and says the same each time. What a column holds is decided for the whole column,
never for a block of it.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from driftd.core.event import Column
from driftd.core.fault import UserError
from driftd.files.cells import Form, Has

CELLS: Final = 1 << 20
"""Values in a batch, about; the map makes some 60 bytes of each."""
MOST_ROWS: Final = 1 << 16

Report = Callable[[int], None]
"""Told how many bytes of all files have been read."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows. `done`: bytes of all files that have been read so far."""

    rows: int
    columns: Mapping[str, Column]
    done: int
    place: str
    """The file, and where it is known the row, for messages."""


class Table(ABC):
    """`columns`: the names in the order of the first file. `size`: bytes of all files."""

    native = False
    """Whether the rows are native events: `columns` are then names of signals already."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self.sizes = tuple(path.stat().st_size for path in self.files)
        self.size = sum(self.sizes)
        self.columns: tuple[str, ...] = ()
        self.stamps: frozenset[str] = frozenset()
        """Columns whose type is a time."""
        self.notes: list[str] = []

    @abstractmethod
    def scan(self, report: Report) -> Mapping[str, Has]:
        """What each column holds."""

    @abstractmethod
    def batches(self, forms: Mapping[str, Form]) -> Iterator[Batch]:
        """The rows of all files in order, only these columns, each in its form."""

    def before(self, file: int) -> int:
        """Bytes in the files before this one."""
        return sum(self.sizes[:file])

    def same_columns(self, path: Path, names: Sequence[str]) -> None:
        """Refuses a file whose columns are not those of the first."""
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"{path}: column {twice[0]!r} is there twice", "rename one of them")
        if not self.columns:
            self.columns = tuple(names)
            return
        if missing := [name for name in self.columns if name not in names]:
            raise UserError(
                f"{path} lacks the column {missing[0]!r} that {self.files[0]} has{_more(missing)}",
                "all files of a reference must have the same columns",
            )
        if added := [name for name in names if name not in self.columns]:
            raise UserError(
                f"{path} has the column {added[0]!r} that {self.files[0]} lacks{_more(added)}",
                "all files of a reference must have the same columns",
            )

    def require(self, names: Iterable[str], option: str) -> None:
        """Refuses an option that names a column which is not there."""
        for name in names:
            if name not in self.columns:
                close = difflib.get_close_matches(name, self.columns, 1)
                raise UserError(
                    f"{self.files[0]} has no column {name!r}, which {option} names",
                    f"did you mean {close[0]!r}?" if close else f"it has {listed(self.columns)}",
                )


_BUILT_IN: Final = frozenset({"prediction", "class", "label", "error"})


def signal_of(feature: str) -> str:
    """The signal that a feature of this name is: its own name, where no built-in signal has it."""
    if feature in _BUILT_IN or feature.startswith(("feature.", "performance.")):
        return f"feature.{feature}"
    return feature


def good_name(name: str) -> bool:
    """Whether live events can have a signal, a model or a version of this name."""
    return 0 < len(name) <= 256 and not any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in name)


def batch_rows(columns: int) -> int:
    """How many rows of so many columns make a batch."""
    return max(256, min(MOST_ROWS, CELLS // max(columns, 1)))


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a message."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _more(names: Sequence[str]) -> str:
    return f" ({len(names) - 1} more like it)" if len(names) > 1 else ""
