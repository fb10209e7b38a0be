"""What each detector says of values that stand still, and how soon it finds a shift: `make detectors` prints the table.

One value a slice. Detectors of values in [0, 1] get errors, one in ten wrong, of which three in ten go wrong after the
shift; the others standard normal values, which rise by one standard deviation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import get_args

import numpy as np

from driftd.core.detectors import Detector, make
from driftd.core.grid import numeric_axis
from driftd.core.spec import DetectorName, DetectorRule, Direction

NAMES: tuple[DetectorName, ...] = get_args(DetectorName)
OF_ERRORS = frozenset({"hddm_a", "hddm_w", "ddm", "eddm", "fhddm"})
STILL, SHIFTED = 2_000, 2_000
RATE, SHIFTED_RATE = 0.1, 0.3


def fresh(name: DetectorName, direction: Direction = "both", **parameters: float) -> Detector:
    """As a rule makes it for a signal of errors, or of standard normal values."""
    sample = np.array([0.0, 1.0]) if name in OF_ERRORS else np.array([-1.0, 1.0, 2.0, -2.0])
    axis = numeric_axis("x", sample, float(sample.min()), float(sample.max()))
    made = make(DetectorRule("r", name, direction=direction, parameters=parameters), axis, 1.0)
    assert made is not None
    return made


def values(name: DetectorName, rng: np.random.Generator, n: int, *, shifted: bool = False) -> list[float]:
    if name in OF_ERRORS:
        return list((rng.random(n) < (SHIFTED_RATE if shifted else RATE)).astype(float).tolist())
    return list((rng.normal(size=n) + shifted).tolist())


def alarms(detector: Detector, of: Iterable[float]) -> list[int]:
    return [i for i, value in enumerate(of) if detector.insert(1, value, value * value) is not None]


@dataclass
class Seen:
    """`false` of so many `still` values; `delays` of the shifts that were found, `missed` those that were not."""

    still: int
    false: int
    delays: list[int]
    missed: int


def seen(name: DetectorName, seeds: Iterable[int], length: int) -> Seen:
    """Of one stream a seed."""
    false, still, missed = 0, 0, 0
    delays: list[int] = []
    for seed in seeds:
        rng = np.random.default_rng([seed, NAMES.index(name)])
        false += len(alarms(fresh(name), values(name, rng, length)))
        still += length
        detector = fresh(name)
        alarms(detector, values(name, rng, STILL))
        found = alarms(detector, values(name, rng, SHIFTED, shifted=True))
        delays += found[:1]
        missed += not found
    return Seen(still, false, delays, missed)


def _row(name: DetectorName) -> str:
    of = seen(name, range(20 if name == "kswin" else 200), 10_000)
    delay = (
        f"{np.mean(of.delays):.0f} | {np.quantile(of.delays, 0.9):.0f} | {of.missed} of {of.missed + len(of.delays)}"
    )
    on = "errors" if name in OF_ERRORS else "numbers"
    return f"| `{name}` | {on} | {float(f'{1e5 * of.false / of.still:.2g}'):g} | {delay} |"


def table() -> Iterator[str]:
    yield "| detector | on | false alarms in 100,000 | mean delay | 90 % within | missed |"
    yield "|---|---|---|---|---|---|"
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_row, NAMES)
