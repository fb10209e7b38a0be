"""From a Monitor to what is seen of it."""

from __future__ import annotations

from dataclasses import replace

from driftd.core.clock import NEVER, Clock
from driftd.core.event import Kind
from driftd.core.expect import after, due
from driftd.core.monitor import Monitor
from driftd.core.power import Power
from driftd.core.series import Series
from driftd.core.spec import Model
from driftd.core.view import ArrivalView, ModelView, ReferenceState, SeriesView, SignalState, StatisticView

Silent = frozenset[tuple[str, Kind]]


def arrivals_of(monitor: Monitor, clock: Clock) -> tuple[ArrivalView, ...]:
    """What has come of each kind, and whether more is overdue. The end of a recorded input is no silence."""
    out = []
    for kind, progress in monitor.progress.items():
        newest = max((marks.seen_at for marks in progress.marks.values()), default=NEVER)
        if newest < NEVER:
            expected = kind in monitor.model.expect.kinds
            at = due(monitor.model.expect, newest) if expected else None
            out.append(ArrivalView(kind, newest, at, overdue=at is not None and at < _slowest(clock, kind) < NEVER))
    return tuple(out)


def silent_of(monitor: Monitor, clock: Clock, arrivals: tuple[ArrivalView, ...]) -> Silent:
    """The (version, kind) of which nothing has been heard for a whole window of arrival time in which it was expected.

    Their last verdict says nothing of now. The end of a recorded input is no silence.
    """
    out = set()
    by_kind = {one.kind: one for one in arrivals}
    for kind, versions in monitor.versions.newest.items():
        slowest = _slowest(clock, kind)
        if slowest < NEVER:
            newest = max(versions.values(), default=0)
            for version, end in versions.items():
                arrival = by_kind.get(kind) if end == newest else None
                until = _known_until(monitor.model, kind, end, arrival)
                if until is not None and slowest >= until:
                    out.add((version, kind))
    return frozenset(out)


def _slowest(clock: Clock, kind: Kind) -> int:
    return min((clock.arrivals[p] for p in clock.kinds[kind]), default=NEVER)


def _known_until(model: Model, kind: Kind, end: int, arrival: ArrivalView | None) -> int | None:
    """The arrival time up to which a verdict at `end` speaks of now: a window; but while nothing is expected, or until
    the next batch is due, it is the newest that there can be. `arrival`: of a version that is still heard.
    """
    until, expect = end + model.window.length, model.expect
    if arrival is None or expect.steady or kind not in expect.kinds:
        return until
    if expect.once:
        return None if arrival.due is None else max(until, arrival.due + 1)  # as soon as it is overdue
    held = after(expect, end, model.window.length)
    return None if held is None else max(until, held)


def view_of(monitor: Monitor, clock: Clock, silent: Silent, arrivals: tuple[ArrivalView, ...]) -> ModelView:
    """One model as it stands now, immutable."""
    newest = max(monitor.telling.retraining.values(), key=lambda retraining: max(retraining.requests, default=-NEVER))
    retrains = sum(retraining.total for retraining in monitor.telling.retraining.values())
    return ModelView(
        monitor.model.name,
        dict(monitor.model.labels),
        tuple(_series(monitor, *key, silent=key in silent) for key in sorted(monitor.totals)),
        sum(totals.events for totals in monitor.totals.values()),
        monitor.backfill,
        sum(len(panes) for panes in monitor.open.values()),
        waiting_for(monitor, clock),
        monitor.learning_bytes,
        monitor.sampled,
        monitor.retired,
        "requested" if retrains else "none",
        newest.newest_id,
        retrains,
        dict(monitor.telling.transitions),
        monitor.baselines.dropped_signals,
        arrivals,
    )


def waiting_for(monitor: Monitor, clock: Clock) -> tuple[str, ...]:
    """The partitions that the oldest open panes wait for."""
    waiting: set[str] = set()
    for kind, panes in monitor.open.items():
        if panes:
            waits = monitor.progress[kind].waiting_for(clock, clock.kinds[kind], min(panes))
            waiting |= {str(partition) for partition, _ in waits}
    return tuple(sorted(waiting))


def _series(monitor: Monitor, version: str, kind: Kind, *, silent: bool) -> SeriesView:
    totals = monitor.totals[version, kind]
    series = monitor.series.get((version, kind))
    grid = monitor.baselines.grids.get(kind)
    state, events = _reference(monitor, version, kind)
    span = series.span if series else None
    return SeriesView(
        model=monitor.model.name,
        version=version,
        kind=kind,
        events=totals.events,
        late=totals.late,
        panes=series.panes if series else 0,
        evaluations=series.evaluations if series else 0,
        reference=state,
        reference_events=events,
        grid=grid.hash if grid else "",
        closed_until=monitor.closed_until.get(kind),
        window_start=span.start if span else None,
        window_end=span.end if span else None,
        window_events=span.events if span else 0,
        insufficient=span is None or not span.enough,
        signal_errors=dict(series.errors) if series else {},
        statistics=tuple(_unknown(view) if silent else view for view in _statistics(monitor, series)) if series else (),
        detectors=series.watch.views() if series else (),
        shares=series.evaluator.shares if series and not silent else (),
        champion=monitor.versions.champions.get(kind) == version if monitor.compares else None,
        power=_power(monitor, series),
    )


def _statistics(monitor: Monitor, series: Series) -> tuple[StatisticView, ...]:
    return series.statistics + monitor.schemas[series.kind].views(series.version)


def _power(monitor: Monitor, series: Series | None) -> Power | None:
    if series is None or series.reference is None or series.span is None or not series.span.enough:
        return None
    return Power(monitor.model, series.reference, series.judged)


def _unknown(view: StatisticView) -> StatisticView:
    """Of a silent series: an alert stands until it is resolved, and nothing else is known."""
    state: SignalState = "firing" if view.state == "firing" else "unknown"
    return replace(view, state=state, value=None, effect=None, p_value=None)


def _reference(monitor: Monitor, version: str, kind: Kind) -> tuple[ReferenceState, int]:
    source = monitor.baselines.source_of(version, kind)
    if source is None:
        return "held", 0
    found = monitor.baselines.references.get((source, kind))
    if found is not None:
        return "ready", found[0].events
    learner = monitor.baselines.learners.get((source, kind))
    return "learning", learner.events if learner else 0
