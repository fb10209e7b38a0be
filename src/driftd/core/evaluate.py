"""The rules on windows: effect against thresholds, evidence against the budget's level, streaks, alerts.

One evaluation looks at every signal of the window at once, because the level of a test depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftd.core.action import rfc3339
from driftd.core.alert import Alert, Look, Output
from driftd.core.budget import holm, look_level
from driftd.core.finding import Finding, Origin, Subject, finding, rounded
from driftd.core.judge import STATISTICS, Judgement, judge
from driftd.core.moved import moved
from driftd.core.pane import Ints, Pane
from driftd.core.reference import Reference
from driftd.core.shares import in_trouble, shares
from driftd.core.spec import Model, Severity, WindowRule
from driftd.core.view import ShareView, SignalState, StatisticView
from driftd.core.window import Span

CALM = 0.8
"""Below this share of its lowest threshold an effect is calm."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One window judged: what all rules of the evaluation look at."""

    span: Span
    reference: Reference
    counts: Ints
    moments: Ints
    found: Judgement


@dataclass(frozen=True, slots=True)
class Tests:
    """What one rule tests in a window: statistics and signals by number; the level of the whole look; and for each
    (signal, statistic) whose p-value passed, the level it passed at.
    """

    rule: WindowRule
    rows: Sequence[int]
    signals: Sequence[int]
    level: float
    passed: Mapping[tuple[int, int], float]


class Evaluator:
    """The window rules of one (model, version, kind) with the alerts that they keep, by (rule, signal)."""

    def __init__(self, origin: Origin, model: Model) -> None:
        self.origin, self.model = origin, model
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.statistics: tuple[StatisticView, ...] = ()
        self.shares: tuple[ShareView, ...] = ()

    def evaluate(self, span: Span, reference: Reference, total: Pane, panes: list[list[int]]) -> list[Finding]:
        """Judge one window, `total` its sum. `panes`: what it is made of, for the explanation."""
        found = judge(reference, total.counts, self.model.window.min_samples)
        evaluation = Evaluation(span, reference, total.counts, total.moments, found)
        explain = {"window_level": span.level, "window_events": span.events, "panes": panes}
        tests = [self._tests(rule, evaluation) for rule in self.model.window_rules]
        out = [finding for test in tests for finding in self._rule(test, evaluation, explain)]
        self._show(evaluation, tests)
        return out

    def recall(self, span: Span, reference: Reference, counts: Ints) -> None:
        """Show again what was judged before: the alerts are as they stood after it."""
        found = judge(reference, counts, self.model.window.min_samples)
        evaluation = Evaluation(span, reference, counts, np.empty(0, np.int64), found)  # what is told needs moments
        self._show(evaluation, [self._tests(rule, evaluation) for rule in self.model.window_rules])

    def _show(self, e: Evaluation, tests: Sequence[Tests]) -> None:
        names = e.reference.grid.names
        self.statistics = tuple(
            _view(test.rule, e, i, s, self.alerts.get((test.rule.name, names[i])), test.passed.get((i, s), test.level))
            for test in tests
            for i in test.signals
            for s in test.rows
            if _possible(e.reference, i, s)
        )
        n = e.found.n[STATISTICS.index("psi")]
        self.shares = tuple(
            share
            for signal in in_trouble(self.statistics)
            for share in shares(e.reference, e.counts, float(n[e.reference.grid.index[signal]]), signal)
        )

    def _rule(self, tests: Tests, e: Evaluation, explain: Mapping[str, object]) -> list[Finding]:
        rule, grid = tests.rule, e.reference.grid
        fired: list[Subject] = []
        resolved: list[Subject] = []
        for i in tests.signals:
            name = grid.names[i]
            enough = [s for s in tests.rows if e.found.enough[s, i]]
            if not enough:
                continue
            alert = self.alerts.get((rule.name, name)) or Alert()
            worst, output = self._look(rule, e, i, enough, tests.passed, alert)
            if output == "firing" and alert.alert_id is None:
                alert.alert_id = self.origin.alert_id(rule.name, name, e.span.end)
            if output is not None:
                own = tests.passed.get((i, worst), tests.level)
                subject = _subject(rule, e, i, worst, own, tests.level, alert)
                (fired if output == "firing" else resolved).append(subject)
            if output == "resolved":
                alert.forget()
            self._keep((rule.name, name), alert)
        window = (e.span.start, e.span.end)
        context = self._context(e) if fired or resolved else {}
        return [
            *finding("resolved", rule.name, window, resolved, "calm", explain, context),
            *finding("firing", rule.name, window, fired, "", explain, context),
        ]

    def _context(self, e: Evaluation) -> dict[str, object]:
        """Whether the prediction moved in this window: by the effect that the first rule on PSI would warn of."""
        rule = next((rule for rule in self.model.window_rules if "psi" in rule.statistics), None)
        places = [e.reference.grid.index[name] for name in ("prediction", "class") if name in e.reference.grid.index]
        told = [i for i in places if e.found.enough[0, i]]
        if rule is None or not told:
            return {}
        i = max(told, key=lambda i: _excess(rule, e.found, 0, i))
        return {
            "prediction": {
                "signal": e.reference.grid.names[i],
                "effect": rounded(e.found.effect[0, i]),
                "threshold": rounded(_thresholds(rule, float(e.found.floor[0, i]))[0]),
                "moved": _moved(e, i, 0),
            }
        }

    def _tests(self, rule: WindowRule, e: Evaluation) -> Tests:
        rows = [STATISTICS.index(name) for name in rule.statistics]
        signals = [i for i, name in enumerate(e.reference.grid.names) if rule.on is None or name in rule.on]
        tests = [(i, s) for i in signals for s in rows if e.found.enough[s, i]]
        # What can never be judged (a new category of a number) is no test; what lacks data today is one all the same.
        possible = sum(_possible(e.reference, i, s) for i in signals for s in rows)
        # A rule that may fire on one look pays for every look; one that needs windows apart pays for those.
        window = self.model.window
        step = window.every if rule.persist == 1 else window.length
        level = look_level(rule.false_alarms_per_year, step, len(self.model.window_rules))
        levels = holm([float(e.found.p_value[s, i]) for i, s in tests], level, max(possible, 1))
        passed = {test: own for test, own in zip(tests, levels, strict=True) if own is not None}
        return Tests(rule, rows, signals, level, passed)

    def _look(
        self,
        rule: WindowRule,
        e: Evaluation,
        i: int,
        enough: Sequence[int],
        passed: Mapping[tuple[int, int], float],
        alert: Alert,
    ) -> tuple[int, Output]:
        """Take this evaluation of one signal in; and the statistic that is furthest beyond its threshold."""
        holds: set[Severity] = set()
        at_once, calm = False, True
        for s in enough:
            effect, p = float(e.found.effect[s, i]), float(e.found.p_value[s, i])
            warning, critical = _thresholds(rule, float(e.found.floor[s, i]))
            own = passed.get((i, s))
            if own is not None and effect >= warning:
                holds.add("warning")
            if own is not None and critical is not None and effect >= critical:
                holds.add("critical")
                at_once = at_once or p <= own * own
            calm = calm and effect < CALM * warning
        # A statistic that passed its level is worse than one that did not, however large the other's effect is.
        worst = max(enough, key=lambda s: ((i, s) in passed, _excess(rule, e.found, s, i)))
        return worst, alert.look(Look(e.span.start, e.span.end, frozenset(holds), at_once, calm), rule.persist)

    def _keep(self, key: tuple[str, str], alert: Alert) -> None:
        if alert.idle:
            self.alerts.pop(key, None)
        else:
            self.alerts[key] = alert

    def insufficient(self, span: Span, reference: Reference) -> None:
        """Too little data, even in the longest window: a state of its own. Streaks are held, alerts stand."""
        views: list[StatisticView] = []
        for rule in self.model.window_rules:
            for i, name in enumerate(reference.grid.names):
                told = [s for s in rule.statistics if _possible(reference, i, STATISTICS.index(s))]
                if rule.on is None or name in rule.on:
                    views += [self._blind(rule, name, s, span, reference) for s in told]
        self.statistics, self.shares = tuple(views), ()

    def _blind(self, rule: WindowRule, name: str, statistic: str, span: Span, reference: Reference) -> StatisticView:
        alert = self.alerts.get((rule.name, name))
        state: SignalState = "firing" if alert and alert.state == "firing" else "insufficient_data"
        return StatisticView(
            name, rule.name, statistic, state, alert.severity if alert else None, None, None, rule.warning,
            rule.critical, None, span.events, reference.events, (), alert.alert_id if alert else None,
            alert.since if alert else None,
        )  # fmt: skip


def _possible(reference: Reference, i: int, s: int) -> bool:
    """Whether this statistic can ever be told of this signal: only a known vocabulary can have something new."""
    return s != STATISTICS.index("new_rate") or bool(reference.grid.new_codes[i] >= 0)


def _thresholds(rule: WindowRule, floor: float) -> tuple[float, float | None]:
    return max(rule.warning, floor), None if rule.critical is None else max(rule.critical, floor)


def _excess(rule: WindowRule, found: Judgement, s: int, i: int) -> float:
    return float(found.effect[s, i]) / max(_thresholds(rule, float(found.floor[s, i]))[0], 1e-12)


def _subject(rule: WindowRule, e: Evaluation, i: int, s: int, own: float, level: float, alert: Alert) -> Subject:
    assert alert.alert_id is not None
    assert alert.severity is not None
    grid, found = e.reference.grid, e.found
    warning, critical = _thresholds(rule, float(found.floor[s, i]))
    threshold = critical if alert.severity == "critical" and critical is not None else warning
    fields: dict[str, object] = {
        "signal": grid.names[i],
        "alert_id": alert.alert_id,
        "severity": alert.severity,
        "statistic": STATISTICS[s],
        "value": rounded(found.value[s, i]),
        "effect": rounded(found.effect[s, i]),
        "threshold": rounded(threshold),
        "p_value": rounded(found.p_value[s, i]),
        "n": int(found.n[s, i]),
        "reference_n": int(found.reference_n[s, i]),
        "streak": alert.streak,
        "flags": list(_flags(rule, found, i, s, own)),
        "moved": _moved(e, i, s),
    }
    if alert.onset is not None:
        fields["onset"] = rfc3339(alert.onset)
    first, last = int(grid.first[i]), int(grid.first[i + 1])
    explain = {
        "axis": grid.axes[i].plain(),
        "current_counts": e.counts[first:last].tolist(),
        "reference_counts": e.reference.counts[first:last].tolist(),
        "law": "replayed" if found.windows[i] >= 2 else "independent",
        "replayed_windows": int(found.windows[i]),
        "level": own,
        "look_level": level,
        "warning": rounded(warning),
        "critical": rounded(critical) if critical is not None else None,
        "floor": rounded(found.floor[s, i]),
    }
    rank = float(found.effect[s, i]) / threshold if threshold > 0 else float(found.effect[s, i])
    return Subject(grid.names[i], alert.alert_id, alert.severity, rank, fields, explain)


def _moved(e: Evaluation, i: int, s: int) -> dict[str, object]:
    told = moved(e.reference, e.counts, e.moments, i, STATISTICS[s])
    return {key: rounded(value) if isinstance(value, float) else value for key, value in told.items()}


def _flags(rule: WindowRule, found: Judgement, i: int, s: int, level: float) -> tuple[str, ...]:
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


def _view(rule: WindowRule, e: Evaluation, i: int, s: int, alert: Alert | None, level: float) -> StatisticView:
    found = e.found
    enough = bool(found.enough[s, i])
    warning, critical = _thresholds(rule, float(found.floor[s, i]))
    state: SignalState = "insufficient_data"
    if alert is not None and alert.state == "firing":
        state = "firing"
    elif enough:
        state = "pending" if alert is not None and alert.state == "pending" else "ok"
    return StatisticView(
        e.reference.grid.names[i],
        rule.name,
        STATISTICS[s],
        state,
        alert.severity if alert is not None else None,
        rounded(found.value[s, i]) if enough else None,
        rounded(found.effect[s, i]) if enough else None,
        rounded(warning),
        rounded(critical) if critical is not None else None,
        rounded(found.p_value[s, i]) if enough else None,
        int(found.n[s, i]),
        int(found.reference_n[s, i]),
        _flags(rule, found, i, s, level) if enough else (),
        alert.alert_id if alert is not None else None,
        alert.since if alert is not None else None,
    )
