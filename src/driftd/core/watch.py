"""The rules on sequential detectors. A detector lives as long as its (model, version, kind) and is fed the merged
one-second slices of every closed pane, in event order; so what it says does not depend on how many partitions there are.

The time of a change is the end of the pane that fed it.
"""

from __future__ import annotations

from collections.abc import Iterator

from driftd.core.action import rfc3339
from driftd.core.alert import Alert
from driftd.core.detector import Adwin, Change, from_fixed
from driftd.core.detectors import Detector, make, parameters_of, serves, takes
from driftd.core.finding import Finding, Origin, Subject, finding, rounded
from driftd.core.grid import Grid, Numeric
from driftd.core.pane import Pane
from driftd.core.reference import Reference
from driftd.core.spec import DetectorRule, Model
from driftd.core.view import DetectorView, SignalState


class Watch:
    """The detectors of one (model, version, kind), by (rule, signal), with the alerts that they keep."""

    def __init__(self, origin: Origin, model: Model, grid: Grid) -> None:
        self.origin, self.model, self.grid = origin, model, grid
        self.detectors: dict[tuple[str, str], Detector] = {}
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.last_change: dict[tuple[str, str], tuple[int, float]] = {}
        """Pane end and effect of the newest change that was large enough."""

    def close(self, end: int, pane: Pane, reference: Reference) -> list[Finding]:
        """A pane closed: feed it, and say what changed."""
        out: list[Finding] = []
        for rule in self.model.detector_rules:
            out += self._rule(rule, end, pane, reference)
        return out

    def _rule(self, rule: DetectorRule, end: int, pane: Pane, reference: Reference) -> list[Finding]:
        fired: list[Subject] = []
        resolved: list[Subject] = []
        for name in rule.on:
            i = self.grid.index.get(name)
            if i is None or not self.grid.numeric[i]:
                continue
            key = (rule.name, name)
            deviation = float(reference.deviations()[i])
            detector = self._detector(rule, i, deviation)
            if detector is None:
                continue
            change = _feed(detector, pane, i, rule, deviation)
            alert = self.alerts.get(key) or Alert()
            if change is not None:
                effect = change.difference / deviation
                self.last_change[key] = (end, effect)
                if alert.take("due", end) == "firing":
                    alert.severity, alert.onset = rule.severity, end
                    alert.alert_id = self.origin.alert_id(rule.name, name, end)
                    fired.append(self._subject(rule, i, change, effect, alert, reference))
            elif alert.state == "firing" and end >= self.last_change[key][0] + rule.resolve_after:
                resolved.append(self._subject(rule, i, None, self.last_change[key][1], alert, reference))
                alert.take("calm", end)
                alert.forget()
            if alert.idle:
                self.alerts.pop(key, None)
            else:
                self.alerts[key] = alert
        window = (end - self.model.window.every, end)
        explain = {"window_level": 0, "window_events": pane.events, "panes": [[end, pane.events]]}
        return [
            *finding("resolved", rule.name, window, resolved, "calm", explain),
            *finding("firing", rule.name, window, fired, "", explain),
        ]

    def _detector(self, rule: DetectorRule, i: int, deviation: float) -> Detector | None:
        """The rule's detector of a signal: the one that there is, or a new one where the rule asks for another."""
        axis = self.grid.axes[i]
        assert isinstance(axis, Numeric)
        key = (rule.name, axis.name)
        found = self.detectors.get(key)
        if found is not None and serves(found, rule):
            return found
        self.detectors.pop(key, None)
        made = make(rule, axis, deviation)
        if made is not None:
            self.detectors[key] = made
        return made

    def _subject(
        self, rule: DetectorRule, i: int, change: Change | None, effect: float, alert: Alert, reference: Reference
    ) -> Subject:
        assert alert.alert_id is not None
        assert alert.severity is not None
        axis = self.grid.axes[i]
        assert isinstance(axis, Numeric)
        detector = self.detectors[rule.name, axis.name]
        fields: dict[str, object] = {
            "signal": axis.name,
            "alert_id": alert.alert_id,
            "severity": alert.severity,
            "statistic": rule.detector,
            "value": rounded((change.after if change else detector.estimate) * axis.scale + axis.centre),
            "effect": rounded(effect),
            "threshold": rule.min_effect,
            "p_value": None,
            "n": change.n_after if change else detector.width,
            "reference_n": reference.events,
            "streak": 1,
            "flags": [],
        }
        if alert.onset is not None:
            fields["onset"] = rfc3339(alert.onset)
        if change is not None:
            fields["before"] = rounded(change.before * axis.scale + axis.centre)
            fields["after"] = rounded(change.after * axis.scale + axis.centre)
            fields["direction"] = "up" if change.difference > 0 else "down"
            fields["moved"] = {"what": "mean", "from": fields["before"], "to": fields["after"]}
        own = {"delta": rule.delta} if isinstance(detector, Adwin) else {"parameters": parameters_of(rule)}
        explain = {**own, "width": detector.width, "changes": detector.changes}
        rank = abs(effect) / max(rule.min_effect, 1e-9)
        return Subject(axis.name, alert.alert_id, alert.severity, rank, fields, explain)

    def _deaf(self) -> Iterator[tuple[str, str]]:
        """(rule, signal) where the rule's detector cannot take the signal's values. They are shown, and never healthy."""
        for rule in self.model.detector_rules:
            axes = (self.grid.axes[self.grid.index[name]] for name in rule.on if name in self.grid.index)
            yield from ((rule.name, x.name) for x in axes if isinstance(x, Numeric) and not takes(rule.detector, x))

    def views(self) -> tuple[DetectorView, ...]:
        out = [
            DetectorView(name, rule, "insufficient_data", None, 0.0, 0, 0, None, None) for rule, name in self._deaf()
        ]
        for (rule, signal), detector in sorted(self.detectors.items()):
            alert = self.alerts.get((rule, signal))
            change = self.last_change.get((rule, signal))
            firing = alert is not None and alert.state == "firing"
            state: SignalState = "firing" if firing else "ok" if detector.width else "insufficient_data"
            out.append(
                DetectorView(
                    signal,
                    rule,
                    state,
                    alert.severity if alert else None,
                    detector.estimate,
                    detector.width,
                    detector.changes,
                    change[0] if change else None,
                    rounded(change[1]) if change else None,
                    alert.alert_id if alert else None,
                )
            )
        return tuple(sorted(out, key=lambda view: (view.rule, view.signal)))


def _feed(detector: Detector, pane: Pane, signal: int, rule: DetectorRule, deviation: float) -> Change | None:
    """Feed a pane's slices in event order; the largest change that the rule asks for, if one was found."""
    worst: Change | None = None
    rows = pane.slices[pane.slices[:, 0] == signal]
    for _, _, n, s1, s2 in rows.tolist():
        change = detector.insert(n, *from_fixed(s1, s2))
        if change is None or abs(change.difference) / deviation < rule.min_effect:
            continue
        if rule.direction != "both" and (change.difference > 0) != (rule.direction == "up"):
            continue
        if worst is None or abs(change.difference) > abs(worst.difference):
            worst = change
    return worst
