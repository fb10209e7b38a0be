"""All cells and the watch of the budget, over the processes of a pool: the heavy portions first, the answer the same in
whatever order they come.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.calibrate.budget import FULL_HOURS, Alarms, Case, Stretch, stretches, watch
from tests.calibrate.cells import Cell, streams
from tests.calibrate.measure import Chunk, Counted, Tally, add, chunks, count

FULL_WINDOWS = 300
"""Of each fixed reference, in a full run."""
LEAST_SHARE = 1 / 4
"""A smaller run has this share of them: with fewer, chance alone is all that the percentiles show."""


@dataclass(frozen=True)
class Run:
    """`share`: of a full run. `whole`: with the rates of fixed references, and the watch of the budget."""

    seed: int
    share: float
    whole: bool
    cells: Sequence[Cell]
    watched_hours: int | None = None
    """That the budget is watched, where `share` does not say it."""

    @property
    def command(self) -> str:
        """That gives the same again."""
        hours = "" if self.watched_hours is None else f" --hours {self.watched_hours}"
        return f"python -m tests.calibrate --seed {self.seed} --share {self.share:g}{hours}"

    @property
    def windows(self) -> int:
        """Of each fixed reference."""
        return round(FULL_WINDOWS * max(self.share, LEAST_SHARE)) if self.whole else 0

    @property
    def hours(self) -> int:
        share = round(FULL_HOURS * self.share) if self.watched_hours is None else self.watched_hours
        return share if self.whole else 0

    def portions(self) -> list[Chunk | Stretch]:
        """The heavy ones first."""
        made = [c for stream in streams(self.cells) for c in chunks(stream, self.seed, self.share, self.windows)]
        made.sort(key=lambda chunk: -chunk.weight)
        return [*stretches(self.seed, self.hours), *made]


@dataclass
class Outcome:
    tallies: dict[Cell, Tally]
    alarms: dict[Case, Alarms] = field(default_factory=dict)
    processor_s: float = 0.0
    """That this run took."""
    full_s: float = 0.0
    """That a full one of these cells would take."""


def measure(run: Run, processes: int) -> Outcome:
    out = Outcome({cell: Tally() for cell in run.cells})
    done: list[Counted] = []
    for portion in _each(run.portions(), processes):
        if isinstance(portion, Counted):
            done.append(portion)
            out.processor_s += portion.seconds
            out.full_s += _full(run, portion)
        else:
            stretch, alarms = portion
            out.alarms.setdefault(stretch.case, Alarms()).add(alarms)
            out.processor_s += alarms.seconds
            out.full_s += alarms.seconds * FULL_HOURS / run.hours
    for counted in sorted(done, key=lambda counted: (counted.chunk.stream.name, counted.chunk.number)):
        for cell, passed in counted.passed.items():
            add(out.tallies[cell], passed)
    return out


def _each(work: Sequence[Chunk | Stretch], processes: int) -> Iterator[Counted | tuple[Stretch, Alarms]]:
    # One thread a process: they are as many as the processors already.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    began = told = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for i, done in enumerate(pool.imap_unordered(_do, work), 1):
            yield done
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print(f"{i} of {len(work)} portions, {told - began:.0f} s", file=sys.stderr, flush=True)


def _do(portion: Chunk | Stretch) -> Counted | tuple[Stretch, Alarms]:
    return count(portion) if isinstance(portion, Chunk) else (portion, watch(portion))


def _full(run: Run, counted: Counted) -> float:
    """Portions with fixed references grow with their windows alone, the others in number."""
    if counted.chunk.windows:
        return counted.seconds * FULL_WINDOWS / run.windows
    return counted.seconds / run.share
