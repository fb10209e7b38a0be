"""One window against the reference: every statistic of every signal, with its effect, its evidence and its floor.

Effect is bias-corrected and is what is plotted and compared with a threshold; evidence is the p-value by the law that
the reference's replay gives. `enough` False: too few values here, or none in the reference; nothing is said then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftd.core.distance import Floats, power_of_two, psi
from driftd.core.law import independent, rate_rise, replayed
from driftd.core.pane import Ints
from driftd.core.reference import FLOOR, RATES, Reference, Replay, rate_hits
from driftd.core.spec import Statistic

STATISTICS: Final[tuple[Statistic, ...]] = ("psi", "null_rate", "absent_rate", "new_rate")


@dataclass(frozen=True, eq=False)
class Judgement:
    """Arrays [statistics, signals] in the order of STATISTICS; flags bool[signals]."""

    value: Floats
    effect: Floats
    p_value: Floats
    n: Floats
    reference_n: Floats
    floor: Floats
    """What a threshold of effect is at least, because the reference itself showed it."""
    enough: NDArray[np.bool_]
    windows: Floats
    """Replayed windows behind the law, by signal; 0: the independent law."""
    short: NDArray[np.bool_]


def judge(reference: Reference, counts: Ints, min_samples: int) -> Judgement:
    """Counts int64[codes] of a window on the reference's grid."""
    signals = len(reference.grid)
    shape = (len(STATISTICS), signals)
    out = {name: np.zeros(shape) for name in ("value", "effect", "n", "reference_n", "floor")}
    p_value = np.ones(shape)
    hits, tries = rate_hits(reference.grid, counts)
    n = tries[2]
    replay, replayed_n = reference.replay(reference.comparable(n))
    _psi(reference, counts, n, replay, out, p_value)
    _rates(reference, hits, tries, replay, out, p_value)
    enough = (out["n"] >= min_samples) & (out["reference_n"] > 0)
    # Only a categorical signal whose vocabulary is known can have something new.
    enough[3] &= reference.grid.new_codes >= 0
    windows = replay.windows if replay is not None else np.zeros(signals)
    short = (windows > 0) & (replayed_n < n / 2)
    return Judgement(p_value=p_value, enough=enough, windows=windows, short=short, **out)


def _psi(
    reference: Reference, counts: Ints, n: Floats, replay: Replay | None, out: Mapping[str, Floats], p_value: Floats
) -> None:
    m = reference.present()
    scale = 1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)
    df = np.zeros(len(n))
    sizes = power_of_two(reference.comparable(n))
    for size in np.unique(sizes):
        rows = sizes == size
        groups, expected = reference.groups(int(size))
        out["value"][0, rows] = psi(groups, groups.sums(counts), expected)[rows]
        df[rows] = (groups.sizes - 1)[rows]
    x = out["value"][0] / scale
    out["effect"][0] = np.maximum(0.0, out["value"][0] - df * scale)
    out["n"][0], out["reference_n"][0] = n, m
    if replay is None:
        p_value[0] = independent(x, df)
    else:
        p_value[0] = replayed(x, df, replay.windows, replay.mean, replay.variance)
        out["floor"][0] = np.maximum(0.0, FLOOR * replay.worst * scale)


def _rates(
    reference: Reference,
    hits: Floats,
    tries: Floats,
    replay: Replay | None,
    out: Mapping[str, Floats],
    p_value: Floats,
) -> None:
    reference_hits, reference_tries = reference.usual
    reference_hits = reference_hits + np.array([[0], [0], [1]]) * reference.new_expected
    for r in range(len(RATES)):
        windows = replay.windows if replay is not None else np.zeros(tries.shape[1])
        inflation = replay.inflation[r] if replay is not None else np.ones(tries.shape[1])
        p_value[1 + r] = rate_rise(hits[r], tries[r], reference_hits[r], reference_tries[r], windows, inflation)
        out["value"][1 + r] = hits[r] / np.maximum(tries[r], 1)
        base = reference_hits[r] / np.maximum(reference_tries[r], 1)
        out["effect"][1 + r] = np.maximum(0.0, out["value"][1 + r] - base)
        out["n"][1 + r], out["reference_n"][1 + r] = tries[r], reference_tries[r]
        if replay is not None:
            out["floor"][1 + r] = FLOOR * replay.worst_rate[r]
