"""What the API says, as plain documents: names as in the events, times in RFC 3339, never a NaN.

A field that is not known is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.act import Act, Named, Note, Standing, named_of
from driftd.core.action import rfc3339
from driftd.core.view import (
    ArrivalView,
    DetectorView,
    Judged,
    ModelView,
    PartitionView,
    Runtime,
    SeriesView,
    ShareView,
    SmallestShift,
    StatisticView,
)
from driftd.http.status import firing, model_state, series_state

Document = dict[str, Any]


def encode(document: object) -> bytes:
    """Strict JSON in ASCII: what is not finite becomes null, and no control character leaves unescaped."""
    return json.dumps(_strict(document), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _strict(value: object) -> object:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_strict(item) for item in value]
    return value


def time_of(ms: int | None) -> str | None:
    """Milliseconds as RFC 3339; null for none, and for a year that RFC 3339 cannot write."""
    if ms is None:
        return None
    try:
        return rfc3339(ms)
    except (ValueError, OverflowError, OSError):
        return None


def _reference(series: SeriesView) -> Document:
    return {"state": series.reference, "events": series.reference_events, "grid": series.grid}


def _window(series: SeriesView) -> Document | None:
    if series.window_end is None:
        return None
    return {
        "start": time_of(series.window_start),
        "end": time_of(series.window_end),
        "events": series.window_events,
        "insufficient_data": series.insufficient,
    }


def _arrival(one: ArrivalView) -> Document:
    return {"kind": one.kind, "newest": time_of(one.newest), "due": time_of(one.due), "overdue": one.overdue}


def _series(series: SeriesView) -> Document:
    return {
        "version": series.version,
        "kind": series.kind,
        "champion": series.champion,
        "state": series_state(series),
        "events": series.events,
        "late": series.late,
        "panes": series.panes,
        "evaluations": series.evaluations,
        "closed_until": time_of(series.closed_until),
        "window": _window(series),
        "reference": _reference(series),
    }


def _statistic(one: StatisticView) -> Document:
    return {
        "signal": one.signal,
        "rule": one.rule,
        "statistic": one.statistic,
        "state": one.state,
        "severity": one.severity,
        "value": one.value,
        "effect": one.effect,
        "thresholds": {"warning": one.warning, "critical": one.critical},
        "p_value": one.p_value,
        "n": one.n,
        "reference_n": one.reference_n,
        "flags": one.flags,
        "alert_id": one.alert_id,
        "since": time_of(one.since),
    }


def _detector(one: DetectorView) -> Document:
    return {
        "signal": one.signal,
        "rule": one.rule,
        "state": one.state,
        "severity": one.severity,
        "estimate": one.estimate,
        "width": one.width,
        "changes": one.changes,
        "last_change": time_of(one.last_change),
        "effect": one.effect,
        "alert_id": one.alert_id,
    }


def _share(one: ShareView) -> Document:
    return {"signal": one.signal, "group": one.group, "reference": one.reference, "current": one.current}


def smallest_shift(one: SmallestShift) -> Document:
    return {
        "signal": one.signal,
        "rule": one.rule,
        "statistic": one.statistic,
        "n": one.n,
        "unit": one.unit,
        "shift": one.shift,
        "effect": one.effect,
        "at_once": one.at_once,
    }


def act(one: Act) -> Document:
    """What a person did."""
    return {
        "number": one.number,
        "at": time_of(one.at),
        "verb": one.verb,
        "author": one.author,
        "reason": one.reason,
        "model": one.model,
        "rule": one.rule or None,
        "signals": list(one.signals),
        "alerts": list(one.alerts),
        "until": time_of(one.until),
        "lifts": one.lifts,
        "via": one.via,
    }


def _note(note: Note) -> Document:
    return {
        "acknowledged_by": note.acknowledged.author if note.acknowledged else None,
        "muted_until": time_of(note.muted.until) if note.muted else None,
        "marked_false_by": note.false.author if note.false else None,
    }


def _firing(model: ModelView, standing: Standing, now: int) -> list[Document]:
    return [
        {
            "version": series.version,
            "kind": series.kind,
            "signal": one.signal,
            "rule": one.rule,
            "severity": one.severity,
            "alert_id": one.alert_id,
            **_note(standing.note(model.model, [Named(one.rule, one.signal, one.alert_id or "")], now)),
        }
        for series, one in firing(model)
    ]


def model_summary(model: ModelView, standing: Standing, now: int) -> Document:
    """One model of the list: its states, without the signals that do not fire. `standing`: what people did, at `now`."""
    return {
        "model": model.model,
        "state": model_state(model),
        "labels": model.labels,
        "events": model.events,
        "backfill": model.backfill,
        "firing": _firing(model, standing, now),
        "open_panes": model.open_panes,
        "waiting_for": model.waiting_for,
        "arrivals": [_arrival(one) for one in model.arrivals],
        "learning": {"bytes": model.learning_bytes, "sampled": model.sampled},
        "dropped_versions": model.dropped_versions,
        "retrain": {"state": model.retrain, "id": model.retrain_id, "requests": model.retrains},
        "series": [_series(series) for series in model.series],
    }


def model_detail(model: ModelView, standing: Standing, now: int) -> Document:
    """One model with every signal."""
    series = [
        _series(one)
        | {
            "signal_errors": one.signal_errors,
            "statistics": [_statistic(item) for item in one.statistics],
            "detectors": [_detector(item) for item in one.detectors],
            "shares": [_share(item) for item in one.shares],
            "smallest_shifts": [smallest_shift(item) for item in one.power()] if one.power is not None else [],
        }
        for one in model.series
    ]
    transitions = [
        {"rule": rule, "type": kind, "severity": severity, "count": count}
        for (rule, kind, severity), count in model.transitions.items()
    ]
    return model_summary(model, standing, now) | {"series": series, "transitions": transitions}


def partition(one: PartitionView, runtime: Runtime) -> Document:
    return {
        "topic": one.partition.topic,
        "partition": one.partition.number,
        "next_offset": one.next_offset,
        "lag": runtime.lag.get(one.partition),
        "arrival": time_of(one.arrival),
        "paused": one.paused or one.partition in runtime.paused,
        "records": one.records,
        "refused": one.refused,
        "unknown_keys": one.unknown_keys,
    }


def judged(one: Judged) -> Document:
    return {"model": one.model, "kind": one.kind, "since": time_of(one.since), "until": time_of(one.until)}


def transition(stored: Mapping[str, Any]) -> Document:
    """A stored transition: the very document that the receivers were given."""
    body: Document = json.loads(stored["body"])
    return body


def noted(stored: Mapping[str, Any], standing: Standing, now: int) -> Document:
    """What people did about a stored transition, from whom it was withheld for that, and whether a shadow made it, so that
    nobody was told.
    """
    data = json.loads(stored["body"]).get("data", {})
    note = standing.note(str(stored.get("model", "")), named_of(str(stored.get("rule", "")), data), now)
    shadow = bool(stored.get("explain", {}).get("shadow"))
    return _note(note) | {"shadow": shadow, "withheld": [dict(one) for one in stored.get("withheld", ())]}
