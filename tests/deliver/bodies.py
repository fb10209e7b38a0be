"""Deliveries as the core makes them, for the tests of receivers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.action import Delivery, rfc3339, stable_id
from driftd.deliver.message import Renderer
from driftd.store.summary import SUMMARY_TYPE

NOW = 1_795_521_600_000
"""2026-11-24T12:00:00Z."""
PAGES = "https://driftd.example.com"
RENDERER = Renderer(PAGES)


def signal(name: str = "age", alert: str = "alt_1", severity: str = "warning", **more: Any) -> dict[str, Any]:
    return {
        "signal": name,
        "alert_id": alert,
        "severity": severity,
        "statistic": "psi",
        "value": 0.281,
        "effect": 0.278,
        "threshold": 0.25,
        "p_value": 3.6e-33,
        "n": 2_500,
        "reference_n": 50_000,
        "streak": 1,
        "flags": ["extrapolated"],
        "moved": {"what": "mean", "from": 41.06, "to": 46.48},
        "onset": "2026-11-24T11:40:00Z",
        **more,
    }


def delivery(
    what: str = "firing",
    signals: Sequence[Mapping[str, Any]] | None = None,
    *,
    number: int = 1,
    at: int = NOW,
    severity: str = "warning",
    **more: Any,
) -> Delivery:
    """An alert `firing` or `resolved`. `more`: fields of `data`."""
    told = [signal(severity=severity)] if signals is None else list(signals)
    data: dict[str, Any] = {
        "model": "churn",
        "version": "7",
        "kind": "prediction",
        "rule": "drift",
        "severity": severity,
        "labels": {"team": "risk", "runbook": "https://wiki.example.com/churn"},
        "window_start": rfc3339(at - 3_600_000),
        "window_end": rfc3339(at),
        "signals": told,
        "onset": "2026-11-24T11:40:00Z",
        "budget": {"false_alarms_per_year": 1.0},
        "prediction": {"signal": "prediction", "effect": 0.0, "threshold": 0.1, "moved": {"what": "mean"}},
        "versions": [{"version": "8", "since": "2026-11-24T11:30:00Z"}, {"version": "7", "since": None}],
    }
    if what == "resolved":
        data["reason"] = "calm"
    return made(f"driftd.alert.{what}", {**data, **more}, number, at)


def requested(number: int = 50) -> Delivery:
    data = {
        "model": "churn", "version": "7", "kind": "prediction", "rule": "retrain", "severity": "critical",
        "labels": {"team": "risk"}, "signals": [signal()],
        "policy": {"when": ["drift.critical"], "cool_down_s": 86_400, "budget_per_day": 1},
    }  # fmt: skip
    return made("driftd.retrain.requested", data, number, NOW)


def summary(resolved: Sequence[str] = (), number: int = 60) -> Delivery:
    data = {
        "transitions": 153, "first": rfc3339(NOW - 7_200_000), "last": rfc3339(NOW), "counts_omitted": 0,
        "counts": [{"model": "churn", "rule": "drift", "type": "driftd.alert.firing", "count": 80}],
        "resolved": list(resolved), "ids": [], "ids_omitted": 153,
    }  # fmt: skip
    return made(SUMMARY_TYPE, data, number, NOW)


def made(kind: str, data: Mapping[str, Any], number: int, at: int) -> Delivery:
    name = stable_id("ntf", kind, number)
    document = {"type": kind, "id": name, "timestamp": rfc3339(at), "data": data}
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
    alerts = tuple(one["alert_id"] for one in data.get("signals", []))
    return Delivery(number, "ops", name, kind, body, at, alerts)
