"""One (model, version, kind): its closed panes in windows, its rules, its detectors.

Everything here happens as a pane closes, in event order, and says the same whenever it is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from driftd.core.alert import Alert
from driftd.core.detector import Adwin
from driftd.core.evaluate import Evaluator
from driftd.core.event import Kind
from driftd.core.finding import Finding, Origin, Subject, finding
from driftd.core.grid import Grid
from driftd.core.pane import Pane, pack_ints, unpack_ints
from driftd.core.reference import Reference
from driftd.core.spec import Model, Severity
from driftd.core.view import StatisticView
from driftd.core.watch import Watch
from driftd.core.window import Span, Windows


class Series:
    """Judges what it is given against `reference`; it is given only panes after the reference's end."""

    def __init__(self, group: str, model: Model, version: str, kind: Kind, grid: Grid) -> None:
        self.model, self.version, self.kind, self.grid = model, version, kind, grid
        self.reference: Reference | None = None
        origin = Origin(group, model.name, version, kind)
        self.windows = Windows(model.window)
        self.evaluator = Evaluator(origin, model)
        self.watch = Watch(origin, model, grid)
        self.panes = 0
        self.evaluations = 0
        self.span: Span | None = None
        self.judged = np.empty(0, np.int64)
        """The counts of the newest window that had enough events."""
        self.errors: dict[str, int] = {}

    @property
    def statistics(self) -> tuple[StatisticView, ...]:
        """The newest evaluation, statistic by statistic."""
        return self.evaluator.statistics

    def close(self, end: int, pane: Pane) -> list[Finding]:
        """A pane closed. What is to be told now, in order."""
        assert self.reference is not None
        self.panes += 1
        self._count_errors(pane)
        out = self.watch.close(end, pane, self.reference)
        kept = Pane(pane.events, pane.counts, pane.moments, np.empty((0, 5), np.int64))
        for span in self.windows.push(end, kept):
            self.span = span
            if span.enough:
                self.evaluations += 1
                total = self.windows.total(self.grid, span)
                self.judged = total.counts
                out += self.evaluator.evaluate(span, self.reference, total, self.windows.ends(span.level))
            else:
                self.evaluator.insufficient(span, self.reference)
        return out

    def recall(self) -> None:
        """After `load`, with a reference: show again what the newest window said."""
        if self.span is None or self.reference is None:
            return
        if self.span.enough:
            self.evaluator.recall(self.span, self.reference, self.judged)
        else:
            self.evaluator.insufficient(self.span, self.reference)

    def _count_errors(self, pane: Pane) -> None:
        bad = pane.counts[self.grid.first[:-1] + self.grid.cells + 2] if len(self.grid) else np.empty(0, np.int64)
        for i in np.flatnonzero(bad):
            name = self.grid.names[i]
            self.errors[name] = self.errors.get(name, 0) + int(bad[i])

    def retire(self, at: int, reason: str) -> list[Finding]:
        """The version is retired, replaced or re-baselined: what fires resolves with that reason."""
        by_rule: dict[str, list[Subject]] = {}
        for rule, severity, alert_id, signal in self.firing():
            fields = {"signal": signal, "alert_id": alert_id, "severity": severity}
            by_rule.setdefault(rule, []).append(Subject(signal, alert_id, severity, 0.0, fields))
        self.evaluator.alerts.clear()
        self.watch.alerts.clear()
        window = (at - self.model.window.length, at)
        return [
            f for rule, subjects in by_rule.items() for f in finding("resolved", rule, window, subjects, reason, {})
        ]

    def without_rules(self) -> Series:
        """Take out the alerts that no rule of the settings looks at any more: a series of their own."""
        out = Series(self.evaluator.origin.group, self.model, self.version, self.kind, self.grid)
        for mine, theirs, rules in (
            (self.evaluator.alerts, out.evaluator.alerts, self.model.window_rules),
            (self.watch.alerts, out.watch.alerts, self.model.detector_rules),
        ):
            on = {rule.name: rule.on for rule in rules}
            for rule, signal in [key for key in mine if key[0] not in on or key[1] not in (on[key[0]] or (key[1],))]:
                theirs[rule, signal] = mine.pop((rule, signal))
        looked_at = {(rule.name, signal) for rule in self.model.detector_rules for signal in rule.on}
        for key in self.watch.detectors.keys() - looked_at:
            del self.watch.detectors[key]
        return out

    def firing(self) -> list[tuple[str, Severity, str, str]]:
        """(rule, severity, alert id, signal) of every firing alert."""
        return [
            (rule, alert.severity, alert.alert_id, signal)
            for (rule, signal), alert in sorted({**self.evaluator.alerts, **self.watch.alerts}.items())
            if alert.state == "firing" and alert.alert_id is not None and alert.severity is not None
        ]

    # -- what is stored ----------------------------------------------------------------------------------------------

    def plain(self) -> dict[str, object]:
        span = self.span
        return {
            "alerts": _rows({k: alert.plain() for k, alert in self.evaluator.alerts.items()}),
            "jumps": _rows({k: alert.plain() for k, alert in self.watch.alerts.items()}),
            "detectors": _rows({k: detector.snapshot() for k, detector in self.watch.detectors.items()}),
            "changes": _rows({k: list(change) for k, change in self.watch.last_change.items()}),
            "panes": self.panes,
            "evaluations": self.evaluations,
            "errors": dict(sorted(self.errors.items())),
            "last": self.windows.last,
            "span": [span.start, span.end, span.level, span.events, span.enough] if span else None,
            "judged": pack_ints(self.judged),
        }

    def load(self, plain: Mapping[str, object], blocks: Mapping[tuple[int, int], tuple[int, bytes]]) -> None:
        """Put back what `plain` gave, with the blocks of the windows."""
        rows = cast("dict[str, Any]", plain)
        self.evaluator.alerts = {(r, s): Alert.from_plain(a) for r, s, a in rows["alerts"]}
        self.watch.alerts = {(r, s): Alert.from_plain(a) for r, s, a in rows["jumps"]}
        self.watch.detectors = {(r, s): Adwin.restore(d) for r, s, d in rows["detectors"]}
        self.watch.last_change = {(r, s): (at, effect) for r, s, (at, effect) in rows["changes"]}
        self.panes, self.evaluations = rows["panes"], rows["evaluations"]
        self.errors = dict(rows["errors"])
        self.span = Span(*rows["span"]) if rows["span"] else None
        self.windows.load(blocks, rows["last"])
        self.judged = unpack_ints(rows["judged"])


def _rows(table: Mapping[tuple[str, str], object]) -> list[list[object]]:
    """A table by (rule, signal) as rows, in order."""
    return [[rule, signal, value] for (rule, signal), value in sorted(table.items())]
