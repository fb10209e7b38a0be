"""The rules on windows: effect against thresholds, evidence against the budget's level, streaks, alerts.

One evaluation looks at every signal of the window at once, because the level of a test depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from driftd.core.alert import Alert, Look, Output
from driftd.core.beside import Beside
from driftd.core.budget import holm, look_level
from driftd.core.finding import Finding, Origin, Subject, finding, rounded
from driftd.core.judge import STATISTICS, judge
from driftd.core.pane import Ints, Pane
from driftd.core.reference import Reference
from driftd.core.shares import in_trouble, shares
from driftd.core.spec import Against, Model, Severity, WindowRule
from driftd.core.told import (
    Evaluation,
    Opponents,
    Tests,
    blind_row,
    entry,
    excess,
    moved_to,
    row,
    tellable,
    thresholds,
)
from driftd.core.view import ShareView, StatisticView
from driftd.core.window import Span

CALM = 0.8
"""Below this share of its lowest threshold an effect is calm."""


class Evaluator:
    """The window rules of one (model, version, kind) with the alerts that they keep, by (rule, signal)."""

    def __init__(self, origin: Origin, model: Model) -> None:
        self.origin, self.model = origin, model
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.statistics: tuple[StatisticView, ...] = ()
        self.shares: tuple[ShareView, ...] = ()

    def evaluate(self, span: Span, against: Opponents, total: Pane, panes: list[list[int]]) -> list[Finding]:
        """Judge one window, `total` its sum. `panes`: what it is made of, for the explanation."""
        explain = {"window_level": span.level, "window_events": span.events, "panes": panes}
        tests = self._all_tests(span, against, total.counts, total.moments)
        out = [finding for e, test in tests for finding in self._rule(test, e, explain)]
        self._show(tests, against, span)
        return out

    def recall(self, span: Span, against: Opponents, counts: Ints) -> None:
        """Show again what was judged before: the alerts are as they stood after it."""
        # What is told needs moments; what is shown does not.
        self._show(self._all_tests(span, against, counts, np.empty(0, np.int64)), against, span)

    def _all_tests(self, span: Span, against: Opponents, counts: Ints, moments: Ints) -> list[tuple[Evaluation, Tests]]:
        judged: dict[Against, Evaluation] = {}
        opponents: dict[Against, Reference | None] = {"reference": against.reference, "champion": against.champion}
        for name, opponent in opponents.items():
            if opponent is not None and self.model.rules_against(name):
                mine = (
                    (opponent.mine.counts, opponent.mine.moments) if isinstance(opponent, Beside) else (counts, moments)
                )
                found = judge(opponent, mine[0], self.model.window.min_samples)
                places = [i for i, name in enumerate(opponent.grid.names) if name in against.hidden]
                found.enough[STATISTICS.index("absent_rate"), places] = False
                judged[name] = Evaluation(span, opponent, *mine, found)
        rules = [rule for rule in self.model.window_rules if rule.against in judged]
        return [(judged[rule.against], self._tests(rule, judged[rule.against])) for rule in rules]

    def _show(self, tests: Sequence[tuple[Evaluation, Tests]], against: Opponents, span: Span) -> None:
        told = [
            row(test.rule, e, i, s, self._alert_of(test, e, i), test.passed.get((i, s), test.level))
            for e, test in tests
            for i in test.signals
            for s in test.rows
            if tellable(e.reference, i, s)
        ]
        if against.waits:
            told += self._all_blind(self.model.rules_against("champion"), span, against)
        self.statistics = tuple(told)
        self.shares = ()
        pinned = next((e for e, test in tests if test.rule.against == "reference"), None)
        if pinned is not None:
            n = pinned.found.n[STATISTICS.index("psi")]
            mine = [view for view in told if view.rule in {r.name for r in self.model.rules_against("reference")}]
            self.shares = tuple(
                share
                for signal in in_trouble(mine)
                for share in shares(
                    pinned.reference, pinned.counts, float(n[pinned.reference.grid.index[signal]]), signal
                )
            )

    def _alert_of(self, test: Tests, e: Evaluation, i: int) -> Alert | None:
        return self.alerts.get((test.rule.name, e.reference.grid.names[i]))

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
                subject = entry(rule, e, i, worst, own, tests.level, alert)
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
        champion: dict[str, object] = {"champion": e.reference.champion} if isinstance(e.reference, Beside) else {}
        rule = next((rule for rule in self.model.window_rules if "psi" in rule.statistics), None)
        places = [e.reference.grid.index[name] for name in ("prediction", "class") if name in e.reference.grid.index]
        told = [i for i in places if e.found.enough[0, i]]
        if rule is None or not told:
            return champion
        i = max(told, key=lambda i: excess(rule, e.found, 0, i))
        return champion | {
            "prediction": {
                "signal": e.reference.grid.names[i],
                "effect": rounded(e.found.effect[0, i]),
                "threshold": rounded(thresholds(rule, float(e.found.floor[0, i]))[0]),
                "moved": moved_to(e, i, 0),
            }
        }

    def _tests(self, rule: WindowRule, e: Evaluation) -> Tests:
        rows = [STATISTICS.index(name) for name in rule.statistics]
        signals = [i for i, name in enumerate(e.reference.grid.names) if rule.on is None or name in rule.on]
        tests = [(i, s) for i in signals for s in rows if e.found.enough[s, i]]
        # What can never be judged (a new category of a number) is no test; what lacks data today is one all the same.
        possible = sum(tellable(e.reference, i, s) for i in signals for s in rows)
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
            warning, critical = thresholds(rule, float(e.found.floor[s, i]))
            own = passed.get((i, s))
            if own is not None and effect >= warning:
                holds.add("warning")
            if own is not None and critical is not None and effect >= critical:
                holds.add("critical")
                at_once = at_once or p <= own * own
            calm = calm and effect < CALM * warning
        # A statistic that passed its level is worse than one that did not, however large the other's effect is.
        worst = max(enough, key=lambda s: ((i, s) in passed, excess(rule, e.found, s, i)))
        return worst, alert.look(Look(e.span.start, e.span.end, frozenset(holds), at_once, calm), rule.persist)

    def _keep(self, key: tuple[str, str], alert: Alert) -> None:
        if alert.idle:
            self.alerts.pop(key, None)
        else:
            self.alerts[key] = alert

    def insufficient(self, span: Span, against: Opponents) -> None:
        """Too little data, even in the longest window: a state of its own. Streaks are held, alerts stand."""
        blind = self.model.rules_against("reference") if against.reference is not None else ()
        if against.challenges:
            blind = tuple(rule for rule in self.model.window_rules if rule in blind or rule.against == "champion")
        self.statistics, self.shares = tuple(self._all_blind(blind, span, against)), ()

    def _all_blind(self, rules: Sequence[WindowRule], span: Span, against: Opponents) -> list[StatisticView]:
        reference = against.law
        return [
            blind_row(rule, name, statistic, span, reference, self.alerts.get((rule.name, name)))
            for rule in rules
            for i, name in enumerate(reference.grid.names)
            if rule.on is None or name in rule.on
            for statistic in rule.statistics
            if tellable(reference, i, STATISTICS.index(statistic))
        ]
