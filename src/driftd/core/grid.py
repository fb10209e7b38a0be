"""How values become counts. A grid never changes once it is made; it is known by its hash.

Each axis numbers its codes 0, 1, ... : first the cells, then three states that are no cells: null, absent, bad.

- Numeric: underflow, up to 60 right-closed bins of equal reference mass, overflow. Equal edges are merged, so that
  constants, integers and zero-inflated values work. The right edge belongs to a bin, so an atom lies whole in one bin;
  one that would fill several bins lies in its bin alone.
- Categorical: the top K categories, OTHER (known but rare), NEW (never seen in the reference). An `open` axis had too
  many categories to know them all: what is not in its top K is OTHER, and nothing is ever NEW.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.event import ABSENT, BAD, NULL, Column, Mark

BINS: Final = 60
STATES: Final = 3
"""Null, absent, bad: the codes behind the cells."""
KNOWN_CATEGORIES: Final = 10_000
"""Distinct categories that an axis can know; with more it is open."""
CATEGORY_CHARS: Final = 256
"""A longer category is cut: two that agree this far are one."""


@dataclass(frozen=True, eq=False)
class Numeric:
    """`bounds` float64[b + 1], strictly rising: just below the least value, then the right edge of each bin.

    A value x stands for z = (x - centre) / scale in all moments and detectors.
    """

    name: str
    bounds: NDArray[np.float64]
    centre: float
    scale: float

    @property
    def cells(self) -> int:
        return len(self.bounds) + 1

    def codes(self, column: Column) -> NDArray[np.int64]:
        """The code of each row."""
        return self.codes_of(self.values(column))

    def codes_of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        code = np.searchsorted(self.bounds, values, side="left")
        odd = ~np.isfinite(values)
        if odd.any():
            state = np.where(np.isnan(values[odd]), 0, np.where(values[odd] > 0, 1, 2))
            code[odd] = self.cells + state
        return code

    def values(self, column: Column) -> NDArray[np.float64]:
        """The column as floats, with NULL, ABSENT and BAD in it."""
        if isinstance(column, np.ndarray):
            return column
        return numbers_of(column)

    def plain(self) -> dict[str, object]:
        return {
            "name": self.name,
            "type": "numeric",
            "bounds": self.bounds.tolist(),
            "centre": self.centre,
            "scale": self.scale,
        }


@dataclass(frozen=True, eq=False)
class Categorical:
    """`categories`: those with a cell of their own, most frequent first; `rare`: known, counted together as OTHER."""

    name: str
    categories: tuple[str, ...]
    rare: frozenset[str] = frozenset()
    open: bool = False

    @property
    def cells(self) -> int:
        return len(self.categories) + 2

    @property
    def other(self) -> int:
        return len(self.categories)

    @property
    def new(self) -> int:
        return len(self.categories) + 1

    @cached_property
    def _lookup(self) -> _Codes:
        codes = _Codes(self.other if self.open else self.new)
        codes.update(dict.fromkeys(self.rare, self.other))
        codes.update({category: code for code, category in enumerate(self.categories)})
        codes.update({None: self.cells, Mark.ABSENT: self.cells + 1, Mark.BAD: self.cells + 2})
        return codes

    def codes(self, column: Column) -> NDArray[np.int64]:
        """The code of each row."""
        rows: Iterable[object] = map(_object, column.tolist()) if isinstance(column, np.ndarray) else column
        return np.fromiter(map(self._lookup.__getitem__, rows), np.int64, len(column))

    def plain(self) -> dict[str, object]:
        return {
            "name": self.name,
            "type": "categorical",
            "categories": list(self.categories),
            "rare": sorted(self.rare),
            "open": self.open,
        }


Axis = Numeric | Categorical


class _Codes(dict[object, int]):
    """Category to code; what is no text is looked up by its text, what is unknown gets the default."""

    def __init__(self, default: int) -> None:
        super().__init__()
        self.default = default

    def __missing__(self, key: object) -> int:
        return self.get(category(key), self.default)


def category(value: object) -> str:
    """The text that names a categorical value: `true`, `3` for 3 and 3.0, text as it is; cut at 256 characters."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        text = str(int(value))
    else:
        text = str(value)
    return text if len(text) <= CATEGORY_CHARS else text[:CATEGORY_CHARS]


def numbers_of(values: Sequence[object]) -> NDArray[np.float64]:
    """The decoder's objects as floats; NULL, ABSENT, or BAD for what is no finite number."""
    return np.fromiter(map(_number, values), np.float64, len(values))


def _number(value: object) -> float:
    kind = type(value)
    if kind is float or kind is int:
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            return BAD
        return number if math.isfinite(number) else BAD
    if value is None:
        return NULL
    return ABSENT if value is Mark.ABSENT else BAD


def _object(value: float) -> object:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return Mark.ABSENT if value > 0 else Mark.BAD


class Grid:
    """The axes of the signals of one (model, kind), sorted by name.

    All codes of all axes lie behind one another: axis i has codes `first[i]` to `first[i + 1]`, exclusive.
    """

    def __init__(self, axes: Iterable[Axis]) -> None:
        self.axes: tuple[Axis, ...] = tuple(sorted(axes, key=lambda axis: axis.name))
        self.names: tuple[str, ...] = tuple(axis.name for axis in self.axes)
        if len(set(self.names)) != len(self.names):
            raise ValueError("two axes of a grid have the same name")
        self.index: Mapping[str, int] = {name: i for i, name in enumerate(self.names)}
        self.cells = np.array([axis.cells for axis in self.axes], np.int64)
        self.first = np.concatenate(([0], np.cumsum(self.cells + STATES))).astype(np.int64)
        self.numeric = np.array([isinstance(axis, Numeric) for axis in self.axes], np.bool_)

    def __len__(self) -> int:
        return len(self.axes)

    @property
    def codes(self) -> int:
        """How many codes all axes have together."""
        return int(self.first[-1])

    @cached_property
    def numeric_axes(self) -> tuple[tuple[int, Numeric], ...]:
        return tuple((i, axis) for i, axis in enumerate(self.axes) if isinstance(axis, Numeric))

    @cached_property
    def tables(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The numeric axes for compiled loops: all bounds in a row, where each one's begin, first codes, [centre, scale]."""
        axes = [axis for _, axis in self.numeric_axes]
        bounds = np.concatenate([np.empty(0), *(axis.bounds for axis in axes)])
        begin = np.cumsum([0, *(len(axis.bounds) for axis in axes)], dtype=np.int64)
        units = np.array([[axis.centre for axis in axes], [axis.scale for axis in axes]], np.float64)
        return bounds, begin, self.first[:-1][self.numeric], units

    @cached_property
    def hash(self) -> str:
        text = json.dumps(self.plain(), sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def new_codes(self) -> NDArray[np.int64]:
        """The flat code of NEW for each axis; -1 where nothing is ever new."""
        return np.array(
            [
                int(self.first[i]) + axis.new if isinstance(axis, Categorical) and not axis.open else -1
                for i, axis in enumerate(self.axes)
            ],
            np.int64,
        )

    def select(self, names: Iterable[str]) -> Grid:
        """The same axes, only those named."""
        wanted = set(names)
        return Grid(axis for axis in self.axes if axis.name in wanted)

    def positions(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The flat codes of the axes named, one axis behind the other: picks a selection's counts out of ours."""
        spans = [np.arange(self.first[self.index[n]], self.first[self.index[n] + 1]) for n in names]
        return np.concatenate(spans).astype(np.int64) if spans else np.empty(0, np.int64)

    def plain(self) -> list[dict[str, object]]:
        return [axis.plain() for axis in self.axes]

    @classmethod
    def from_plain(cls, plain: object) -> Grid:
        """Raises ValueError, with what is wrong, for anything that `plain` did not make."""
        if not isinstance(plain, list):
            raise ValueError("a grid is a list of axes")  # noqa: TRY004 - one error type for a bad document
        return cls(_axis_from_plain(axis) for axis in plain)


def _axis_from_plain(plain: object) -> Axis:
    if not isinstance(plain, dict) or not isinstance(name := plain.get("name"), str):
        raise ValueError("an axis is an object with a name")  # noqa: TRY004
    try:
        if plain["type"] == "numeric":
            bounds = np.array(plain["bounds"], np.float64)
            centre, scale = float(plain["centre"]), float(plain["scale"])
            rise = bounds.ndim == 1 and bounds.size > 0 and bool((bounds[1:] > bounds[:-1]).all())
            if not rise or not np.isfinite(bounds).all():
                raise ValueError("bounds do not rise")  # noqa: TRY301 - the name of the axis is added below
            if not (math.isfinite(centre) and math.isfinite(scale) and scale > 0):
                raise ValueError("centre or scale is not finite")  # noqa: TRY301
            return Numeric(name, bounds, centre, scale)
        if plain["type"] == "categorical":
            categories, rare, is_open = plain["categories"], plain["rare"], plain["open"]
            known = [*categories, *rare] if isinstance(categories, list) and isinstance(rare, list) else [None]
            if not all(isinstance(value, str) for value in known) or len(set(known)) < len(known):
                raise ValueError("categories are two lists of texts, each text once")  # noqa: TRY301
            return Categorical(name, tuple(categories), frozenset(rare), is_open is True)
    except (KeyError, TypeError, OverflowError, ValueError) as fault:
        raise ValueError(f"axis {name!r}: {fault}") from fault
    raise ValueError(f"axis {name!r}: unknown type {plain['type']!r}")


def numeric_axis(name: str, sample: NDArray[np.float64], low: float, high: float) -> Numeric:
    """An axis of up to 60 bins of equal mass of `sample` (finite, not empty); `low` and `high` bound the reference."""
    ordered = np.sort(sample)
    m = len(ordered)
    ranks = -(-np.arange(1, BINS + 1) * m // BINS) - 1
    quantiles, repeats = np.unique(ordered[ranks], return_counts=True)
    # An atom that takes the place of several edges gives one back, so that what is rare below it has a bin of its own.
    begins = np.searchsorted(ordered, quantiles, side="left")
    ends = np.searchsorted(ordered, quantiles, side="right")
    shared = begins > np.append(0, ends[:-1])
    shared[0] |= low < quantiles[0]
    beside = np.nextafter(quantiles[(repeats > 1) & shared], -np.inf)
    edges = np.unique(np.concatenate((quantiles, beside, [high])))
    edges = edges[edges >= low]
    # Adding 0.0 makes one zero of the two, so that the hash does not depend on the sign of a zero.
    below = max(math.nextafter(low, -math.inf), -sys.float_info.max)
    bounds = np.append(below, edges) + 0.0
    return Numeric(name, np.unique(bounds), *_scale(ordered))


def _scale(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Centre and scale. Two-valued and [0, 1] signals keep their units: a rate is read as a rate."""
    least, most = float(ordered[0]), float(ordered[-1])
    two_values = bool(((ordered == least) | (ordered == most)).all())
    # A two-valued signal far from 0 would meet the clip at 64 in its own units: that one is standardised.
    if (least >= 0 or two_values) and max(abs(least), abs(most)) <= 1:
        return 0.0, 1.0
    # Halved twice, huge values do not overflow; fsum makes the mean the same on every machine.
    unit = max(abs(least), abs(most)) or 1.0
    scaled = ordered / unit
    mean = math.fsum(scaled.tolist()) / len(ordered)
    deviation = math.sqrt(math.fsum(((scaled - mean) ** 2).tolist()) / len(ordered))
    if deviation <= 1e-9 * abs(mean) or deviation * unit == 0.0:
        return mean * unit, 1.0
    return mean * unit, deviation * unit


def categorical_axis(name: str, counts: Mapping[str, int], top: int, *, complete: bool = True) -> Categorical:
    """An axis from the counts of the reference. `complete` False: there were more categories than were counted."""
    ranked = sorted(Counter(counts).items(), key=lambda item: (-item[1], item[0]))
    is_open = not complete or len(ranked) > KNOWN_CATEGORIES
    names = [value for value, _ in ranked]
    return Categorical(name, tuple(names[:top]), frozenset() if is_open else frozenset(names[top:]), is_open)
