"""What a sample shows of the fields of its records: where they are, what they hold, how often, how many different."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from driftd.core.event import Mark

MOST_FIELDS: Final = 2_000
MOST_DISTINCT: Final = 2_000
_DEEP: Final = 8
_WIDE: Final = 4
"""Items of an array that are looked into."""
_MS: Final = (10**11, 10**13)
"""Epoch milliseconds of 1973 to 2286; seconds of the same years are less."""
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(Z|z|[+-]\d\d:\d\d)?")


@dataclass(slots=True)
class Field:
    """One path. `looks` counts what its values look like: rfc3339, local_time, epoch_ms, epoch_s."""

    path: str
    present: int = 0
    types: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    distinct: set[object] = field(default_factory=set)
    examples: list[object] = field(default_factory=list)

    @property
    def nulls(self) -> int:
        return self.types["null"]

    @property
    def filled(self) -> int:
        """Times that it holds a value."""
        return self.present - self.nulls

    @property
    def scalar(self) -> bool:
        """It never holds an object or an array."""
        return self.filled > 0 and not self.types.keys() & {"object", "array"}

    def only(self, *types: str) -> bool:
        """All its values are of these types."""
        return self.filled > 0 and self.types.keys() <= {*types, "null"}

    def is_time(self) -> bool:
        """Nearly every value can be an event time as driftd reads it."""
        return self.filled > 0 and self.looks["rfc3339"] + self.looks["epoch_ms"] >= 0.99 * self.filled

    def see(self, value: object) -> None:
        """One value more."""
        self.present += 1
        self.types[_type(value)] += 1
        if value is None or isinstance(value, dict | list | Mark):
            return
        if look := _look(value):
            self.looks[look] += 1
        if value not in self.distinct and len(self.distinct) < MOST_DISTINCT:
            self.distinct.add(value)
            if len(self.examples) < 3:
                self.examples.append(value)


@dataclass(slots=True)
class Fields:
    """By path. `rows`: how many objects were looked at; `dropped`: paths over the bound of 2,000."""

    rows: int = 0
    dropped: bool = False
    by_path: dict[str, Field] = field(default_factory=dict)

    def see(self, row: Mapping[str, object]) -> None:
        """One object more."""
        self.rows += 1
        self._walk("", row, 0)

    def children(self, path: str) -> list[Field]:
        """The fields directly in the object at a path; the root's is empty."""
        below = f"{path}." if path else ""
        return [f for p, f in self.by_path.items() if p.startswith(below) and self._direct(p, below)]

    def _direct(self, path: str, below: str) -> bool:
        """A key may itself hold dots: then nothing is known at the path in between."""
        parts = path[len(below) :].split(".")
        return bool(path[len(below) :]) and not any(
            below + ".".join(parts[:i]) in self.by_path for i in range(1, len(parts))
        )

    def _walk(self, path: str, value: object, depth: int) -> None:
        if path:
            found = self.by_path.get(path)
            if found is None:
                if len(self.by_path) >= MOST_FIELDS:
                    self.dropped = True
                    return
                found = self.by_path[path] = Field(path)
            found.see(value)
        if depth >= _DEEP:
            return
        items: Iterable[tuple[str, object]] = ()
        if isinstance(value, Mapping):
            items = value.items()
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value[:_WIDE]):
            items = ((str(i), item) for i, item in enumerate(value[:_WIDE]))
        for key, item in items:
            self._walk(f"{path}.{key}" if path else key, item, depth + 1)


def _type(value: object) -> str:
    for name, kinds in (("bool", bool), ("integer", int), ("number", float), ("string", str), ("object", dict)):
        if isinstance(value, kinds):
            return name
    return "null" if value is None else "array" if isinstance(value, list) else "unreadable"


def _look(value: object) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        whole = value == int(value)
        return (
            "epoch_ms" if whole and _MS[0] <= value < _MS[1] else "epoch_s" if _MS[0] <= value * 1000 < _MS[1] else ""
        )
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return ""
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return "rfc3339" if match[1] else "local_time"
