"""Rows of features as columns: turned as they come where their types are known, else as they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import ABSENT, BAD, NULL, Column, Mark
from driftd.kafka.names import good_name, signal_of
from driftd.kafka.strict import finite

if TYPE_CHECKING:
    from driftd.kafka.features import AnyFeatures

Row = tuple[object, ...]
MAX_FEATURES: Final = 2_000
"""Distinct features of one model in one block while its types are not known; more are dropped and counted."""
_TOO_BIG: Final = 2**1024 - 2**970
"""The least integer that rounds to no float64."""


class KnownColumns:
    """Rows of known features, turned as they come: `names`, of which the first `numeric` are float64."""

    def __init__(self, names: Sequence[str], numeric: int) -> None:
        self._names, self._numeric = names, numeric
        self._numbers: list[NDArray[np.float64]] = []
        self._objects: list[list[object]] = [[] for _ in names[numeric:]]

    def add(self, rows: Sequence[Row]) -> None:
        """Some rows more, at least one. Few at a time: their objects are then still in the cache."""
        turned = tuple(zip(*rows, strict=True))
        k, n = self._numeric, len(rows)
        # NumPy reads None as NaN, which is NULL.
        flat = np.fromiter(chain.from_iterable(turned[:k]), np.float64, k * n)
        self._numbers.append(flat.reshape(k, n))
        for column, values in zip(self._objects, turned[k:], strict=True):
            column.extend(_bounded(values))

    def columns(self) -> dict[str, Column]:
        """By signal: float64 for numeric ones, lists of objects for categorical ones."""
        found: dict[str, Column] = {}
        if self._numbers:
            numbers = np.concatenate(self._numbers, axis=1)
            numbers += 0.0  # one zero of the two
            found |= zip(map(signal_of, self._names[: self._numeric]), numbers, strict=True)
        found |= zip(map(signal_of, self._names[self._numeric :]), self._objects, strict=True)
        return found


class AnyColumns:
    """Rows of features that are not known. `reader` is told what is left out."""

    def __init__(self, reader: AnyFeatures) -> None:
        self._reader = reader
        self._rows: list[dict[str, object]] = []

    def add(self, rows: Sequence[dict[str, object]]) -> None:
        """Some rows more."""
        self._rows += rows

    def columns(self) -> dict[str, Column]:
        """By signal, lists of objects. Over the bound on names, those first in order stay."""
        rows = self._rows
        shapes = {tuple(row) for row in rows}  # nearly always one
        names = set(chain.from_iterable(shapes))
        kept = sorted(filter(good_name, names))[:MAX_FEATURES]
        if len(kept) < len(names):
            dropped = names.difference(kept)
            self._reader.left_out += sum(not dropped.isdisjoint(row) and len(dropped.intersection(row)) for row in rows)
        return {signal_of(name): _bounded([row.get(name, Mark.ABSENT) for row in rows]) for name in kept}


def number(value: object) -> float:
    """The value in a float64 column."""
    kind = type(value)
    if kind is float or kind is int:
        return float(value) if finite(value) else BAD  # type: ignore[arg-type]
    if value is None:
        return NULL
    return ABSENT if value is Mark.ABSENT else BAD


def numbers(column: Sequence[object]) -> NDArray[np.float64]:
    """A column of objects as float64."""
    if set(map(type, column)) <= {float, NoneType}:
        return np.array(column, np.float64) + 0.0  # None is NaN, which is NULL
    return np.fromiter(map(number, column), np.float64, len(column)) + 0.0


def scalar(value: object) -> object:
    """The value in a column of objects."""
    if isinstance(value, dict | list) or (type(value) is int and not -_TOO_BIG < value < _TOO_BIG):
        return Mark.BAD
    return value


def _bounded(column: Sequence[object]) -> Sequence[object]:
    """The column of a fast reader, in which nothing can be wrong but an integer that no float64 holds."""
    return list(map(scalar, column)) if int in map(type, column) else column
