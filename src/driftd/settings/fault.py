"""A fault of the configuration: where it stands, what is wrong, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from driftd.core.fault import UserError, printable

Key = tuple[str | int, ...]
"""A way down the settings: names of keys, and numbers of list items."""

ENVIRONMENT = "environment"
BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. `line` from 1; 0: it has none (an environment variable, a file that is missing)."""

    file: str
    line: int
    key: Key = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `key` is written as in the file: `models.churn.window.every`."""

    file: str
    line: int
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{where}: {self.key}" if self.key else where
        return printable(f"{subject}: {self.problem}; {self.remedy}")


class SettingsError(UserError):
    """The configuration is refused. Every fault is in `faults`, in the order of files and lines."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults

    def __str__(self) -> str:
        return self.problem


@dataclass(slots=True)
class Ledger:
    """Collects faults, each once: what models inherit is wrong in one place."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, place: Place, problem: str, remedy: str) -> None:
        fault = Fault(place.file, place.line, written(place.key), problem, remedy)
        if fault not in self.faults:
            self.faults.append(fault)

    def sorted(self) -> tuple[Fault, ...]:
        return tuple(sorted(self.faults, key=lambda fault: (fault.file, fault.line, fault.key)))


def written(key: Key) -> str:
    """A key as a person writes it: `routes[0].receiver`, `kafka.client."session.timeout.ms"`."""
    text = ""
    for step in key:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if re.fullmatch(r"[\w-]+", step) else f'"{step}"'
            text += f".{name}" if text else name
    return text
