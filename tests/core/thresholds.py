"""How Page-Hinkley's default threshold was chosen: `python -m tests.core.thresholds`, about ten seconds.

How many of 400 streams of 100,000 values, standardised and without drift, pass each threshold at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

STREAMS, VALUES, DELTA, WARM = 400, 100_000, 0.125, 30
THRESHOLDS = (30, 40, 50, 60, 75, 100, 150, 200, 400, 800)

Floats = NDArray[np.float64]
Source = Callable[[], Floats]


def depending(rng: np.random.Generator, much: float) -> Source:
    """AR(1)."""
    now: Floats = rng.normal(size=STREAMS)

    def step() -> Floats:
        nonlocal now
        now = much * now + float(np.sqrt(1 - much * much)) * rng.normal(size=STREAMS)
        return np.asarray(now, np.float64)

    return step


def sources(rng: np.random.Generator) -> dict[str, Source]:
    return {
        "normal": lambda: rng.normal(size=STREAMS),
        "exponential": lambda: rng.exponential(size=STREAMS) - 1,
        "Student, 3 degrees": lambda: np.clip(rng.standard_t(3, size=STREAMS) / np.sqrt(3), -64, 64),
        "errors, 10 %": lambda: ((rng.random(STREAMS) < 0.1) - 0.1) / 0.3,
        "errors, 1 %": lambda: ((rng.random(STREAMS) < 0.01) - 0.01) / np.sqrt(0.0099),
        "AR(1) 0.5": depending(rng, 0.5),
        "AR(1) 0.9": depending(rng, 0.9),
    }


def greatest(source: Source) -> Floats:
    """How high the sums of each stream stood, without a reset."""
    mean, rise, fall, most = (np.zeros(STREAMS) for _ in range(4))
    low, high = np.full(STREAMS, np.inf), np.full(STREAMS, -np.inf)
    for i in range(1, VALUES + 1):
        value = source()
        mean += (value - mean) / i
        rise += value - mean - DELTA
        fall += value - mean + DELTA
        low, high = np.minimum(low, rise), np.maximum(high, fall)
        if i >= WARM:
            most = np.maximum(most, np.maximum(rise - low, high - fall))
    return most


def table() -> Iterator[str]:
    yield f"| of {STREAMS} | {' | '.join(map(str, THRESHOLDS))} |"
    yield "|---" * (len(THRESHOLDS) + 1) + "|"
    for name, source in sources(np.random.default_rng(1)).items():
        most = greatest(source)
        yield f"| {name} | {' | '.join(str(int((most > threshold).sum())) for threshold in THRESHOLDS)} |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
