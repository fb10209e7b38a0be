"""From what a series found to what its users are told: the body of a notification and of a retrain request.

A body holds nothing that depends on how the log was read: no offsets, no clocks, no order of arrival.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from driftd.core.action import Action, rfc3339, stable_id
from driftd.core.detectors import parameters_of
from driftd.core.event import Kind
from driftd.core.finding import Finding, rounded
from driftd.core.retrain import describe
from driftd.core.series import Series
from driftd.core.spec import Model, Severity
from driftd.core.view import StatisticView


def notification(
    group: str, model: Model, version: str, kind: Kind, finding: Finding, versions: Sequence[Mapping[str, object]] = ()
) -> Action:
    """One notification for a (model, version, kind), evaluation, rule and type; its signals ranked, worst first.

    `versions`: those that were seen last, the newest first, and since when.
    """
    kind_of: Literal["driftd.alert.firing", "driftd.alert.resolved"] = (
        "driftd.alert.firing" if finding.type == "firing" else "driftd.alert.resolved"
    )
    severity: Severity = "critical" if any(s.severity == "critical" for s in finding.subjects) else "warning"
    data: dict[str, object] = {
        "model": model.name,
        "version": version,
        "kind": kind,
        "rule": finding.rule,
        "severity": severity,
        "labels": dict(sorted(model.labels.items())),
        "window_start": rfc3339(finding.start),
        "window_end": rfc3339(finding.end),
        "signals": [dict(subject.fields) for subject in finding.subjects],
    }
    if finding.type == "resolved":
        data["reason"] = finding.reason
    onsets = [onset for subject in finding.subjects if isinstance(onset := subject.fields.get("onset"), str)]
    if onsets:
        data["onset"] = min(onsets)
    data |= {"budget": _budget(model, finding.rule), **finding.context, "versions": [dict(one) for one in versions]}
    # What ends for a reason of its own ends beside what the same window resolves.
    apart = () if finding.reason in {"", "calm"} else (finding.reason,)
    identity = stable_id("ntf", group, model.name, version, kind, finding.rule, finding.end, kind_of, *apart)
    return Action(
        kind_of, identity, finding.end, model.name, version, kind, finding.rule, severity, model.labels, data,
        dict(finding.explain),
    )  # fmt: skip


def retrain_request(
    group: str, model: Model, series: Series, end: int, asking: Sequence[tuple[str, Severity, str, str]]
) -> Action:
    """A request to retrain, with its evidence: the firing alerts that ask for it, as they stand in the newest window."""
    views = {(view.rule, view.signal, view.statistic): view for view in series.statistics}
    ranked: list[tuple[bool, float, str, str, dict[str, object]]] = []
    for rule, severity, alert_id, signal in asking:
        mine = [view for (r, s, _), view in views.items() if (r, s) == (rule, signal)]
        worst = max(mine, key=lambda view: _above(view, "warning"), default=None)
        entry: dict[str, object] = {"signal": signal, "rule": rule, "alert_id": alert_id, "severity": severity}
        if worst is not None:
            entry |= {
                "statistic": worst.statistic,
                "value": worst.value,
                "effect": worst.effect,
                "threshold": _threshold(worst, severity),
                "p_value": worst.p_value,
                "n": worst.n,
                "reference_n": worst.reference_n,
            }
        # As in an alert, worst first.
        ranked.append((severity != "critical", -_above(worst, severity) if worst else 0.0, signal, rule, entry))
    signals = [entry for *_, entry in sorted(ranked, key=lambda one: one[:-1])]
    length = series.model.window.length
    start = series.span.start if series.span is not None else end - length
    data: dict[str, object] = {
        "model": model.name,
        "version": series.version,
        "kind": series.kind,
        "rule": "retrain",
        "severity": "critical",
        "labels": dict(sorted(model.labels.items())),
        "window_start": rfc3339(start),
        "window_end": rfc3339(end),
        "signals": signals,
        "policy": describe(model.retrain),
        "reference": {"grid": series.grid.hash, "events": series.reference.events if series.reference else 0},
    }
    kind_of: Literal["driftd.retrain.requested"] = "driftd.retrain.requested"
    identity = stable_id("req", group, model.name, series.version, series.kind, "retrain", end, kind_of)
    return Action(
        kind_of, identity, end, model.name, series.version, series.kind, "retrain", "critical", model.labels, data,
        {"alerts": [alert_id for _, _, alert_id, _ in asking]},
    )  # fmt: skip


def _budget(model: Model, rule: str) -> dict[str, object] | None:
    """What the rule promises of false alarms; None where the settings do not name it any more."""
    for window_rule in model.window_rules:
        if window_rule.name == rule:
            return {"false_alarms_per_year": rounded(window_rule.false_alarms_per_year)}
    for detector_rule in model.detector_rules:
        if detector_rule.name == rule:
            if detector_rule.detector == "adwin":
                return {"detector": detector_rule.detector, "delta": rounded(detector_rule.delta)}
            return {"detector": detector_rule.detector, "parameters": parameters_of(detector_rule)}
    return None


def _threshold(view: StatisticView, severity: Severity) -> float:
    return view.critical if severity == "critical" and view.critical is not None else view.warning


def _above(view: StatisticView, severity: Severity) -> float:
    """How many times that threshold the effect is."""
    return (view.effect or 0.0) / max(_threshold(view, severity), 1e-12)
