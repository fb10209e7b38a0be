"""One (model, version, kind): its closed panes in windows, its alerts, its detectors.

Everything here happens as a pane closes, in event order, and says the same whenever it is done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from driftd.core.action import stable_id
from driftd.core.alert import Alert, Look, Output
from driftd.core.budget import holm, look_level
from driftd.core.detector import Adwin, Change, from_fixed
from driftd.core.event import Kind
from driftd.core.grid import Grid
from driftd.core.judge import STATISTICS, Judgement, judge
from driftd.core.pane import Pane
from driftd.core.reference import Reference
from driftd.core.spec import DetectorRule, Model, Severity, WindowRule
from driftd.core.view import DetectorView, SignalState, StatisticView
from driftd.core.window import Span, Windows

CALM = 0.8
"""Below this share of its lowest threshold an effect is calm."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One signal of a notification: its fields in the body, how bad it is (for ranking), and what stands behind it."""

    signal: str
    alert_id: str
    severity: Severity
    rank: float
    fields: Mapping[str, object]
    explain: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One notification to be: all signals of one rule that fired, or resolved, in one evaluation."""

    type: Literal["firing", "resolved"]
    rule: str
    start: int
    end: int
    subjects: tuple[Subject, ...]
    reason: str = ""
    explain: Mapping[str, object] = field(default_factory=dict)


class Series:
    """Judges what it is given against `reference`, once it has one (`windows hold only panes after its end`)."""

    def __init__(self, group: str, model: Model, version: str, kind: Kind, grid: Grid) -> None:
        self.group, self.model, self.version, self.kind, self.grid = group, model, version, kind, grid
        self.reference: Reference | None = None
        self.windows = Windows(model.window)
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.detectors: dict[tuple[str, str], Adwin] = {}
        self.last_change: dict[tuple[str, str], tuple[int, float]] = {}
        self.panes = 0
        self.evaluations = 0
        self.span: Span | None = None
        self.errors: dict[str, int] = {}
        self.statistics: tuple[StatisticView, ...] = ()

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(self, end: int, pane: Pane) -> list[Finding]:
        """A pane closed, after the reference's end. What is to be told now, in order."""
        assert self.reference is not None
        self.panes += 1
        self._count_errors(pane)
        out: list[Finding] = []
        for rule in self.model.detector_rules:
            out += self._detect(rule, end, pane)
        kept = Pane(pane.events, pane.counts, pane.moments, np.empty((0, 5), np.int64))
        for span in self.windows.push(end, kept):
            self.span = span
            if span.enough:
                out += self._evaluate(span)
            else:
                self._insufficient(span)
        return out

    def _count_errors(self, pane: Pane) -> None:
        bad = pane.counts[self.grid.first[:-1] + self.grid.cells + 2] if len(self.grid) else ()
        for i in np.flatnonzero(bad):
            name = self.grid.names[i]
            self.errors[name] = self.errors.get(name, 0) + int(bad[i])

    # -- windows -----------------------------------------------------------------------------------------------------

    def _evaluate(self, span: Span) -> list[Finding]:
        assert self.reference is not None
        self.evaluations += 1
        total = self.windows.total(self.grid, span)
        found = judge(self.reference, total.counts, self.model.window.min_samples)
        out: list[Finding] = []
        views: list[StatisticView] = []
        for rule in self.model.window_rules:
            findings, rule_views = self._rule(rule, span, found)
            out += findings
            views += rule_views
        self.statistics = tuple(views)
        return out

    def _rule(self, rule: WindowRule, span: Span, found: Judgement) -> tuple[list[Finding], list[StatisticView]]:
        rows = [STATISTICS.index(name) for name in rule.statistics]
        signals = [i for i, name in enumerate(self.grid.names) if rule.on is None or name in rule.on]
        tests = [(i, s) for i in signals for s in rows if found.enough[s, i]]
        # What can never be judged (a new category of a number) is no test; what lacks data today is one all the same.
        possible = sum(1 for i in signals for s in rows if s != 3 or self.grid.new_codes[i] >= 0)
        level = look_level(rule.false_alarms_per_year, self.model.window.length, len(self.model.window_rules))
        levels = holm([float(found.p_value[s, i]) for i, s in tests], level, max(possible, 1))
        passed = {test: own for test, own in zip(tests, levels, strict=True) if own is not None}
        fired: list[Subject] = []
        resolved: list[Subject] = []
        views: list[StatisticView] = []
        for i in signals:
            enough = [s for s in rows if found.enough[s, i]]
            alert = self.alerts.get((rule.name, self.grid.names[i]))
            if enough:
                alert = alert or Alert()
                worst, output = self._look(rule, span, found, i, enough, passed, alert)
                if output == "firing" and alert.alert_id is None:
                    name = self.grid.names[i]
                    alert.alert_id = stable_id(
                        "alt", self.group, self.model.name, self.version, self.kind, rule.name, name, span.end
                    )
                if output is not None:
                    subject = self._subject(rule, span, found, i, worst, passed.get((i, worst)), level, alert)
                    (fired if output == "firing" else resolved).append(subject)
                if output == "resolved":
                    alert.forget()
                self._keep((rule.name, self.grid.names[i]), alert)
            views += [self._view(rule, found, i, s, alert, passed.get((i, s), level)) for s in rows]
        return [
            *self._finding("resolved", rule.name, span, resolved, "calm"),
            *self._finding("firing", rule.name, span, fired, ""),
        ], views

    def _keep(self, key: tuple[str, str], alert: Alert) -> None:
        if alert.idle:
            self.alerts.pop(key, None)
        else:
            self.alerts[key] = alert

    def _look(
        self,
        rule: WindowRule,
        span: Span,
        found: Judgement,
        i: int,
        enough: Sequence[int],
        passed: Mapping[tuple[int, int], float],
        alert: Alert,
    ) -> tuple[int, Output]:
        """Take this evaluation of one signal in; and the statistic that is furthest beyond its threshold."""
        holds: set[Severity] = set()
        at_once, calm = False, True
        for s in enough:
            effect, p = float(found.effect[s, i]), float(found.p_value[s, i])
            warning, critical = _thresholds(rule, float(found.floor[s, i]))
            own = passed.get((i, s))
            if own is not None and effect >= warning:
                holds.add("warning")
            if own is not None and critical is not None and effect >= critical:
                holds.add("critical")
                at_once = at_once or p <= own * own
            calm = calm and effect < CALM * warning
        # A statistic that passed its level is worse than one that did not, however large the other's effect is.
        worst = max(enough, key=lambda s: ((i, s) in passed, _excess(rule, found, s, i)))
        return worst, alert.look(Look(span.start, span.end, frozenset(holds), at_once, calm), rule.persist)

    def _subject(
        self,
        rule: WindowRule,
        span: Span,
        found: Judgement,
        i: int,
        s: int,
        own: float | None,
        level: float,
        alert: Alert,
    ) -> Subject:
        assert alert.alert_id is not None
        assert alert.severity is not None
        assert self.reference is not None
        warning, critical = _thresholds(rule, float(found.floor[s, i]))
        threshold = critical if alert.severity == "critical" and critical is not None else warning
        fields = {
            "signal": self.grid.names[i],
            "alert_id": alert.alert_id,
            "severity": alert.severity,
            "statistic": STATISTICS[s],
            "value": _round(found.value[s, i]),
            "effect": _round(found.effect[s, i]),
            "threshold": _round(threshold),
            "p_value": _round(found.p_value[s, i]),
            "n": int(found.n[s, i]),
            "reference_n": int(found.reference_n[s, i]),
            "streak": alert.streak,
            "flags": list(self._flags(rule, found, i, s, own if own is not None else level)),
        }
        explain = {
            "level": own if own is not None else level,
            "rule_level": level,
            "floor": _round(found.floor[s, i]),
            "law": "replayed" if found.windows[i] >= 2 else "independent",
            "replayed_windows": int(found.windows[i]),
            **self._cells(i),
        }
        rank = float(found.effect[s, i]) / threshold if threshold > 0 else float(found.effect[s, i])
        return Subject(self.grid.names[i], alert.alert_id, alert.severity, rank, fields, explain)

    def _cells(self, i: int) -> dict[str, object]:
        """The counts behind a signal: of the window that was just judged, and of the reference."""
        assert self.reference is not None
        assert self.span is not None
        first, last = int(self.grid.first[i]), int(self.grid.first[i + 1])
        current = self.windows.total(self.grid, self.span).counts
        return {
            "current_counts": current[first:last].tolist(),
            "reference_counts": self.reference.counts[first:last].tolist(),
        }

    def _flags(self, rule: WindowRule, found: Judgement, i: int, s: int, level: float) -> tuple[str, ...]:
        out = []
        if found.windows[i] < 2:
            out.append("uncalibrated")
        elif level < 1 / found.windows[i]:
            out.append("extrapolated")
        if found.short[i]:
            out.append("short_replay")
        if found.floor[s, i] > rule.warning:
            out.append("noisy")
        return tuple(out)

    def _view(
        self, rule: WindowRule, found: Judgement, i: int, s: int, alert: Alert | None, level: float
    ) -> StatisticView:
        enough = bool(found.enough[s, i])
        warning, critical = _thresholds(rule, float(found.floor[s, i]))
        state: SignalState = "insufficient_data"
        if alert is not None and alert.state == "firing":
            state = "firing"
        elif enough:
            state = "pending" if alert is not None and alert.state == "pending" else "ok"
        return StatisticView(
            self.grid.names[i],
            rule.name,
            STATISTICS[s],
            state,
            alert.severity if alert is not None else None,
            _round(found.value[s, i]) if enough else None,
            _round(found.effect[s, i]) if enough else None,
            _round(warning),
            _round(critical) if critical is not None else None,
            _round(found.p_value[s, i]) if enough else None,
            int(found.n[s, i]),
            int(found.reference_n[s, i]),
            self._flags(rule, found, i, s, level) if enough else (),
            alert.alert_id if alert is not None else None,
            alert.since if alert is not None else None,
        )

    def _insufficient(self, span: Span) -> None:
        """Too little data, even in the longest window: a state of its own. Streaks are held, alerts stand."""
        views = []
        for rule in self.model.window_rules:
            for name in self.grid.names:
                if rule.on is not None and name not in rule.on:
                    continue
                alert = self.alerts.get((rule.name, name))
                state: SignalState = "firing" if alert and alert.state == "firing" else "insufficient_data"
                views += [
                    StatisticView(
                        name,
                        rule.name,
                        statistic,
                        state,
                        alert.severity if alert else None,
                        None,
                        None,
                        rule.warning,
                        rule.critical,
                        None,
                        span.events,
                        self.reference.events if self.reference else 0,
                        (),
                        alert.alert_id if alert else None,
                        alert.since if alert else None,
                    )
                    for statistic in rule.statistics
                ]
        self.statistics = tuple(views)

    # -- detectors ---------------------------------------------------------------------------------------------------

    def _detect(self, rule: DetectorRule, end: int, pane: Pane) -> list[Finding]:
        assert self.reference is not None
        fired: list[Subject] = []
        resolved: list[Subject] = []
        for name in rule.on:
            i = self.grid.index.get(name)
            if i is None or not self.grid.numeric[i]:
                continue
            key = (rule.name, name)
            detector = self.detectors.get(key)
            if detector is None:
                detector = self.detectors[key] = Adwin(delta=rule.delta)
            deviation = float(self.reference.deviations()[i])
            change = _feed(detector, pane, i, rule, deviation)
            alert = self.alerts.get(key) or Alert()
            if change is not None:
                effect = change.difference / deviation
                self.last_change[key] = (end, effect)
                if alert.take("due", end) == "firing":
                    alert.severity = rule.severity
                    alert.alert_id = stable_id(
                        "alt", self.group, self.model.name, self.version, self.kind, rule.name, name, end
                    )
                    fired.append(self._jump(rule, i, change, effect, alert))
            elif alert.state == "firing" and end >= self.last_change[key][0] + rule.resolve_after:
                subject = self._jump(rule, i, None, self.last_change[key][1], alert)
                alert.take("calm", end)
                alert.forget()
                resolved.append(subject)
            self._keep(key, alert)
        span = Span(end - self.model.window.every, end, 0, pane.events, enough=True)
        return [
            *self._finding("resolved", rule.name, span, resolved, "calm"),
            *self._finding("firing", rule.name, span, fired, ""),
        ]

    def _jump(self, rule: DetectorRule, i: int, change: Change | None, effect: float, alert: Alert) -> Subject:
        assert alert.alert_id is not None
        assert alert.severity is not None
        assert self.reference is not None
        axis = self.grid.axes[i]
        centre, scale = getattr(axis, "centre", 0.0), getattr(axis, "scale", 1.0)
        detector = self.detectors[rule.name, axis.name]
        fields: dict[str, object] = {
            "signal": axis.name,
            "alert_id": alert.alert_id,
            "severity": alert.severity,
            "statistic": rule.detector,
            "value": _round((change.after if change else detector.estimate) * scale + centre),
            "effect": _round(effect),
            "threshold": rule.min_effect,
            "p_value": None,
            "n": change.n_after if change else detector.width,
            "reference_n": self.reference.events,
            "streak": 1,
            "flags": [],
        }
        if change is not None:
            fields["before"] = _round(change.before * scale + centre)
            fields["after"] = _round(change.after * scale + centre)
            fields["direction"] = "up" if change.difference > 0 else "down"
        explain = {"delta": rule.delta, "width": detector.width, "changes": detector.changes}
        return Subject(axis.name, alert.alert_id, alert.severity, abs(effect) / max(rule.min_effect, 1e-9), fields, explain)

    def _finding(
        self, kind: Literal["firing", "resolved"], rule: str, span: Span, subjects: Sequence[Subject], reason: str
    ) -> list[Finding]:
        if not subjects:
            return []
        ranked = tuple(sorted(subjects, key=lambda s: (s.severity != "critical", -s.rank, s.signal)))
        explain = {
            "window_level": span.level,
            "window_events": span.events,
            "panes": self.windows.ends(span.level) if self.span is span else [[span.end, span.events]],
            "signals": {subject.signal: subject.explain for subject in ranked},
        }
        return [Finding(kind, rule, span.start, span.end, ranked, reason, explain)]

    # -- ending ------------------------------------------------------------------------------------------------------

    def retire(self, at: int, reason: str) -> list[Finding]:
        """This version is retired, replaced or re-baselined: what fires resolves with that reason."""
        by_rule: dict[str, list[Subject]] = {}
        for (rule, signal), alert in sorted(self.alerts.items()):
            if alert.state == "firing" and alert.alert_id is not None and alert.severity is not None:
                fields = {"signal": signal, "alert_id": alert.alert_id, "severity": alert.severity}
                by_rule.setdefault(rule, []).append(Subject(signal, alert.alert_id, alert.severity, 0.0, fields))
        self.alerts.clear()
        span = Span(at - self.model.window.length, at, 0, 0, enough=False)
        return [f for rule, subjects in by_rule.items() for f in self._finding("resolved", rule, span, subjects, reason)]

    def firing(self) -> list[tuple[str, Severity, str, str]]:
        """(rule, severity, alert id, signal) of every firing alert."""
        return [
            (rule, alert.severity, alert.alert_id, signal)
            for (rule, signal), alert in sorted(self.alerts.items())
            if alert.state == "firing" and alert.alert_id is not None and alert.severity is not None
        ]

    # -- what is seen and what is stored -----------------------------------------------------------------------------

    def detector_views(self) -> tuple[DetectorView, ...]:
        out = []
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
                    _round(change[1]) if change else None,
                    alert.alert_id if alert else None,
                )
            )
        return tuple(out)

    def plain(self) -> dict[str, object]:
        return {
            "alerts": [[rule, signal, alert.plain()] for (rule, signal), alert in sorted(self.alerts.items())],
            "detectors": [[rule, signal, d.snapshot()] for (rule, signal), d in sorted(self.detectors.items())],
            "changes": [[rule, signal, *change] for (rule, signal), change in sorted(self.last_change.items())],
            "panes": self.panes,
            "evaluations": self.evaluations,
            "errors": dict(sorted(self.errors.items())),
            "last": self.windows.last,
            "span": [self.span.start, self.span.end, self.span.level, self.span.events, self.span.enough]
            if self.span
            else None,
            "statistics": [
                [getattr(view, name) for name in StatisticView.__dataclass_fields__] for view in self.statistics
            ],
        }

    def load(self, plain: Mapping[str, object], blocks: Mapping[tuple[int, int], tuple[int, bytes]]) -> None:
        rows = {name: plain[name] for name in ("alerts", "detectors", "changes", "statistics")}
        assert all(isinstance(row, list) for row in rows.values())
        self.alerts = {(r, s): Alert.from_plain(a) for r, s, a in rows["alerts"]}  # type: ignore[attr-defined]
        self.detectors = {(r, s): Adwin.restore(d) for r, s, d in rows["detectors"]}  # type: ignore[attr-defined]
        self.last_change = {(r, s): (at, e) for r, s, at, e in rows["changes"]}  # type: ignore[attr-defined]
        self.panes, self.evaluations = int(plain["panes"]), int(plain["evaluations"])  # type: ignore[call-overload]
        self.errors = dict(plain["errors"])  # type: ignore[call-overload]
        self.span = Span(*plain["span"]) if plain["span"] else None  # type: ignore[misc]
        last = plain["last"]
        self.windows.load(blocks, last if isinstance(last, int) else None)
        self.statistics = tuple(
            StatisticView(*row[:12], tuple(row[12]), *row[13:]) for row in rows["statistics"]  # type: ignore[attr-defined]
        )


def _feed(detector: Adwin, pane: Pane, signal: int, rule: DetectorRule, deviation: float) -> Change | None:
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


def _thresholds(rule: WindowRule, floor: float) -> tuple[float, float | None]:
    return max(rule.warning, floor), None if rule.critical is None else max(rule.critical, floor)


def _excess(rule: WindowRule, found: Judgement, s: int, i: int) -> float:
    return float(found.effect[s, i]) / max(_thresholds(rule, float(found.floor[s, i]))[0], 1e-12)


def _round(value: float) -> float:
    """Ten significant digits: what is told does not hang on the last bit of a logarithm."""
    return float(f"{float(value):.10g}")
