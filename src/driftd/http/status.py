"""One word for a series, and one for a model: the worst of what is known of its signals.

What is not known is worse than ok, so a model of which nothing is known never looks healthy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from driftd.core.view import DetectorView, ModelView, SeriesView, SignalState, StatisticView

WORST_FIRST: Final[tuple[SignalState, ...]] = ("firing", "pending", "unknown", "insufficient_data", "ok")

ModelState = SignalState | Literal["overdue"]
MODELS_WORST_FIRST: Final[tuple[ModelState, ...]] = ("firing", "overdue", *WORST_FIRST[1:])


def _worst(states: Iterable[SignalState]) -> SignalState:
    return min(states, key=WORST_FIRST.index, default="unknown")


def series_state(series: SeriesView) -> SignalState:
    """The worst of its signals; with none judged, `insufficient_data` if that was the verdict, else `unknown`."""
    judged: list[SignalState] = [one.state for one in series.statistics]
    if not judged:
        judged = ["insufficient_data" if series.window_end is not None and series.insufficient else "unknown"]
    return _worst([*judged, *(one.state for one in series.detectors)])


def model_state(model: ModelView) -> ModelState:
    """The worst of its series; `overdue` where nothing fires and its events do not come when they are expected."""
    worst = _worst(series_state(series) for series in model.series)
    return "overdue" if worst != "firing" and any(one.overdue for one in model.arrivals) else worst


def firing(model: ModelView) -> list[tuple[SeriesView, StatisticView | DetectorView]]:
    """What fires now, critical first."""
    found: list[tuple[SeriesView, StatisticView | DetectorView]] = []
    for series in model.series:
        found += [(series, one) for one in series.statistics if one.state == "firing"]
        found += [(series, one) for one in series.detectors if one.state == "firing"]
    return sorted(found, key=lambda pair: pair[1].severity != "critical")
