"""What the detectors beside ADWIN have in common: a slice becomes what the detector takes, a change becomes two means
in the grid's units, and all of it is plain data that a restored detector goes on from, to the bit.

They are river's, written anew, and equal to it to the index where every slice holds one value; so the order of the
floating-point operations in their modules is part of the rule. River resets at the update after a change: so do these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar, Final, Self

from driftd.core.detector import Change, real, whole
from driftd.core.spec import Direction

FORMAT: Final = 1
GREATEST: Final = 1e150
"""No slice's sum may be greater: what is summed of more slices than can ever be stays finite."""
MOST_EVENTS: Final = 1 << 53

Mark = tuple[int, float]
"""Events, and their sum in the grid's units, from the last reset to a point that a change may begin at."""
NOWHERE: Final[Mark] = (0, 0.0)
Unit = tuple[float, float]
"""Origin and width: what is x to the grid is (x - origin) / width to the detector."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a detector takes: its default and its bounds, which it may reach. `whole`: no fraction."""

    default: float
    least: float
    most: float
    whole: bool = False

    def check(self, name: str, value: float) -> None:
        """ValueError where it cannot be that."""
        kind = "a whole number" if self.whole else "a number"
        if not self.least <= value <= self.most or (self.whole and type(value) is not int):
            raise ValueError(f"{name} is {value!r}, not {kind} between {self.least:g} and {self.most:g}")


def probability(default: float) -> Parameter:
    return Parameter(default, 1e-100, 0.5)


def count(default: int, least: int = 1, most: int = 1_000_000) -> Parameter:
    return Parameter(default, least, most, whole=True)


class Sequential(ABC):
    """A detector that is fed slices and says where a change is. `values`: every one of `parameters`, by its name.

    `unit`: see `Unit`. `direction`: which changes to look for, of those that it can find; up is a rise of the mean.
    ValueError where a value is missing, unknown or out of its bounds.
    """

    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, Parameter]]
    state: ClassVar[Mapping[str, Any]]
    """The fields beside those below, each with what reads it from plain data."""
    common: ClassVar[Mapping[str, Any]] = {"_changes": whole, "_found": whole, "_n": whole, "_total": real}
    """Those of every detector."""

    def __init__(self, values: Mapping[str, float], unit: Unit = (0.0, 1.0), direction: Direction = "both") -> None:
        if values.keys() != self.parameters.keys():
            raise ValueError(f"{self.name} takes {', '.join(self.parameters)}, not {', '.join(values)}")
        for name, value in values.items():
            allowed = self.parameters[name]
            allowed.check(name, value)
        if not (abs(unit[0]) <= GREATEST and 0.0 < unit[1] <= GREATEST):
            raise ValueError(f"a unit is an origin and a width above 0, not {unit!r}")
        self.values, self.unit, self.direction = dict(values), unit, direction
        self._changes = self._found = self._n = 0
        self._total = 0.0
        self._prepare()
        self._reset()

    def _prepare(self) -> None:  # noqa: B027 - some need nothing
        """Once, before the first slice: what follows from the parameters, and what outlives a reset."""

    @abstractmethod
    def _begin(self) -> None:
        """Forget everything, at first and after a change."""

    @abstractmethod
    def _take(self, n: int, value: float) -> Change | None:
        """One value that stands for n events. The change, if there is one."""

    @property
    def width(self) -> int:
        """Events that its estimate is of."""
        return self._n

    @property
    def estimate(self) -> float:
        """Mean of those events, in the grid's units; 0 where there are none."""
        return self._total / self._n if self._n else 0.0

    @property
    def changes(self) -> int:
        """Changes found since the detector was made."""
        return self._changes

    @property
    def here(self) -> Mark:
        """A change that begins after this value begins here."""
        return self._n, self._total

    def insert(self, n: int, total: float, squares: float) -> Change | None:
        """One slice: n events, their sum and the sum of their squares, which only ADWIN uses. The change, if there is one.

        ValueError, and nothing has changed, where n < 1, a sum is not finite, or `squares` is negative.
        """
        n, total, squares = index(n), float(total), float(squares)
        if not 1 <= n <= MOST_EVENTS:
            raise ValueError(f"a slice holds at least one event, not {n}")
        if not (abs(total) <= GREATEST and 0.0 <= squares < float("inf")):  # written so that NaN fails
            raise ValueError(f"a slice's sums must be finite, squares not negative: {total!r}, {squares!r}")
        return self._slice(n, total)

    def _slice(self, n: int, total: float) -> Change | None:
        """What the slice is to the detector: its mean, unless it takes something else."""
        return self._step(n, total, (total / n - self.unit[0]) / self.unit[1])

    def _step(self, n: int, total: float, value: float) -> Change | None:
        if self._found:
            self._reset()
        self._n += n
        self._total += total
        change = self._take(n, value)
        if change is not None:
            self._found = 1
            self._changes += 1
        return change

    def _since(self, mark: Mark) -> Change:
        """The change that began at this mark: the means up to it and from there, in the grid's units."""
        n, total = mark
        events = self._n - n
        return Change(total / n, (self._total - total) / events, n, events)

    def _reset(self) -> None:
        self._found, self._n, self._total = 0, 0, 0.0
        self._begin()

    def snapshot(self) -> dict[str, object]:
        """Everything the detector knows, as plain data; JSON keeps it to the bit."""
        plain = {name[1:]: _plain(getattr(self, name)) for name in (*self.common, *self.state)}
        told = {"detector": self.name, "format": FORMAT, "direction": self.direction, "unit": list(self.unit)}
        return {**told, "parameters": dict(self.values), **plain}

    @classmethod
    def restore(cls, state: Mapping[str, object]) -> Self:
        """The detector that `snapshot` wrote down. ValueError where it is of another format, or broken."""
        found = state.get("detector"), state.get("format")
        if found != (cls.name, FORMAT):
            raise ValueError(f"want the state of (detector, format) {(cls.name, FORMAT)!r}, not of {found!r}")
        try:
            made = cls(_values(cls, state), _unit(state.get("unit")), _direction(state.get("direction")))
        except ValueError as error:
            raise ValueError(f"a detector's state is broken: {error}") from error
        for name, read in {**cls.common, **cls.state}.items():
            setattr(made, name, read(state.get(name[1:]), name[1:]))
        made._check()
        return made

    def _check(self) -> None:
        """After `restore`: ValueError where fields that are well each for itself cannot be together."""
        for name, read in self.state.items():
            if read is mark_of and getattr(self, name)[0] > self._n:
                raise ValueError(f"a detector's state is broken: {name[1:]} is behind its last event")


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | list) else value


def _values(cls: type[Sequential], state: Mapping[str, object]) -> dict[str, float]:
    """An encoder may have written 1.0 as 1."""
    match state.get("parameters"):
        case dict() as given if given.keys() == cls.parameters.keys():
            kinds = {name: whole if one.whole else real for name, one in cls.parameters.items()}
            return {name: read(given[name], name) for name, read in kinds.items()}
    raise ValueError(f"parameters are {', '.join(cls.parameters)}")


def _unit(value: object) -> Unit:
    match value:
        case [origin, width]:
            return real(origin, "unit"), real(width, "unit")
    raise ValueError(f"unit is {value!r}, not an origin and a width")


def _direction(value: object) -> Direction:
    if value in ("both", "up", "down"):
        return value
    raise ValueError(f"direction is {value!r}")


def mark_of(value: object, name: str) -> Mark:
    """A mark, read from plain data."""
    match value:
        case [n, total]:
            return whole(n, name), real(total, name)
    raise ValueError(f"a detector's state is broken: {name} is {value!r}, not a count and a sum")


def reals(value: object, name: str) -> list[float]:
    """Finite numbers, read from plain data."""
    if not isinstance(value, list):
        raise ValueError(f"a detector's state is broken: {name} is {value!r}, not a list")  # noqa: TRY004
    return [real(item, name) for item in value]


def wholes(value: object, name: str) -> list[int]:
    """Counts, read from plain data."""
    if not isinstance(value, list):
        raise ValueError(f"a detector's state is broken: {name} is {value!r}, not a list")  # noqa: TRY004
    return [whole(item, name) for item in value]


class Draws:
    """Chance that is the same every time: Knuth's MMIX generator, of which the upper half is used.

    Source of the constants: Knuth, The Art of Computer Programming 2, 3.3.4, table 1, line 26.
    """

    def __init__(self, at: int = 1) -> None:
        self.at = at

    def below(self, n: int) -> int:
        """One of 0 to n - 1, n under 2^31."""
        self.at = (self.at * 6364136223846793005 + 1442695040888963407) & 0xFFFF_FFFF_FFFF_FFFF
        return (self.at >> 32) * n >> 32

    def sample(self, population: range, k: int) -> list[int]:
        """So many different ones of the population, in the order of drawing (Fisher and Yates)."""
        left = list(population)
        for i in range(k):
            j = i + self.below(len(left) - i)
            left[i], left[j] = left[j], left[i]
        return left[:k]

    def order(self, ones: int, n: int) -> Iterable[int]:
        """A row of n zeros and ones with so many ones, each row as likely as another (Knuth 3.4.2, algorithm S)."""
        for left in range(n, 0, -1):
            one = ones > 0 if ones in (0, left) else self.below(left) < ones
            ones -= one
            yield int(one)
