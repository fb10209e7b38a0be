"""The knob is a budget of false alarms a model-year; here it becomes the level of one test.

The i-th smallest p-value of an evaluation is held to budget / (windows of `length` a year * rules * (tests - i + 1)),
stopping at the first that fails (Holm, "A simple sequentially rejective multiple test procedure", 1979). Persistence
earns no credit.
"""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.spec import YEAR


def look_level(per_year: float, length: int, rules: int) -> float:
    """The level of one whole evaluation: budget over the windows of `length` ms a year and the rules that share it."""
    return min(1.0, per_year / (YEAR / length * max(rules, 1)))


def holm(p_values: Sequence[float], level: float, tests: int) -> list[float | None]:
    """For each p-value the level it passed at, None where it did not. `tests`: how many there are, told or not."""
    out: list[float | None] = [None] * len(p_values)
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: (p_values[i], i))):
        own = level / (tests - rank)
        if p_values[i] > own:
            break
        out[i] = own
    return out
