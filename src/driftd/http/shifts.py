"""The smallest shift that is found, in words; and of a model the one that is hardest to find."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from driftd.core.view import ModelView, SmallestShift

_ORDER: Final = ("deviations", "category_share", "rate")
BUDGET_S: Final = 0.2
"""What a page may take for what was not computed before; the rest is told at its next call."""


def words(one: SmallestShift) -> str:
    """Such as `0.37 sd`, `12 % of its most frequent value`, `3.8 points`."""
    if one.shift is None:
        return "none is found"
    if one.unit == "deviations":
        return f"{one.shift:.2g} sd"
    if one.unit == "category_share":
        return f"{100 * one.shift:.2g} % of its most frequent value"
    return f"{100 * one.shift:.2g} points"


def hardest(found: Iterable[SmallestShift]) -> SmallestShift | None:
    """The signal of which only the largest shift is found, none at all before any; numbers before categories and rates."""
    ranked = sorted(
        found, key=lambda one: (_ORDER.index(one.unit), one.shift is not None, -(one.shift or 0.0), one.signal)
    )
    return ranked[0] if ranked else None


def of_models(models: Sequence[ModelView]) -> dict[str, str]:
    """Of each model the hardest of its signals, in words, as far as the time goes."""
    out: dict[str, str] = {}
    end = time.monotonic() + BUDGET_S
    for model in models:
        found = [one for series in model.series if series.power is not None for one in series.power()]
        one = hardest(found)
        if one is not None:
            out[model.model] = f"{words(one)} ({one.signal})"
        if time.monotonic() > end:
            break
    return out
