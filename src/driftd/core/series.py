"""One (model, version, kind): its closed panes in windows, its rules, its detectors.

Everything here happens as a pane closes, in event order, and says the same whenever it is done again.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, cast

import numpy as np

from driftd.core.alert import Alert
from driftd.core.beside import Beside
from driftd.core.detectors import restore
from driftd.core.evaluate import Evaluator
from driftd.core.event import Kind
from driftd.core.finding import Finding, Origin, Subject, finding
from driftd.core.grid import Grid
from driftd.core.pane import Pane, pack_ints, unpack_ints
from driftd.core.reference import Reference
from driftd.core.spec import Model, Severity
from driftd.core.told import Opponents
from driftd.core.view import StatisticView
from driftd.core.watch import Watch
from driftd.core.window import Span, Windows


class Series:
    """Judges what it is given against `reference`, in windows of panes after the reference's end; and against the champion,
    where a rule does.
    """

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
        self.beside: Beside | None = None
        """What the champion saw in that window."""
        self.challenges = False
        self.hidden: Mapping[str, int] = {}
        """See `Schema.hidden`."""
        self.errors: dict[str, int] = {}

    @property
    def statistics(self) -> tuple[StatisticView, ...]:
        """The newest evaluation, statistic by statistic."""
        return self.evaluator.statistics

    def judge_by(self, reference: Reference | None) -> None:
        """What holds from now on."""
        if self.reference is None and reference is not None:
            self.windows.clear()  # those were compared with the champion alone, and founded the reference
        self.reference = reference

    def close(
        self, end: int, pane: Pane, law: Reference, champion: Series | None, hidden: Mapping[str, int] | None = None
    ) -> list[Finding]:
        """A pane closed. What is to be told now, in order. `law`: the reference, or the model's where it has none yet.
        `champion`: whom it is compared with; it has closed its pane of now. `hidden`: see `Schema.hidden`.
        """
        self.panes += 1
        self._count_errors(pane)
        out = self.watch.close(end, pane, self.reference) if self.reference is not None else []
        kept = Pane(pane.events, pane.counts, pane.moments, np.empty((0, 5), np.int64))
        for span in self.windows.push(end, kept):
            # What is shown again after a restart is shown as it was judged.
            self.span, self.challenges, self.hidden = span, champion is not None, hidden or {}
            if span.enough:
                self.evaluations += 1
                total = self.windows.total(self.grid, span)
                self.judged = total.counts
                self.beside = self._beside(span, end, law, champion)
                out += self.evaluator.evaluate(span, self._against(law, span), total, self.windows.ends(span.level))
            else:
                self.evaluator.insufficient(span, self._against(law, span))
        return out

    def _against(self, law: Reference, span: Span) -> Opponents:
        hidden = frozenset(name for name, until in self.hidden.items() if until > span.start)
        return Opponents(law, self.reference, self.beside, self.challenges, hidden)

    def _beside(self, span: Span, end: int, law: Reference, champion: Series | None) -> Beside | None:
        if champion is None or span.end != end:
            return None
        mine, theirs = self.windows.shared(champion.windows, self.grid, span)
        enough = min(mine.events, theirs.events) >= self.model.window.min_samples
        return Beside(champion.version, law, mine, theirs) if enough else None

    def recall(self, law: Reference | None) -> None:
        """After `load`: show again what the newest window said."""
        if self.span is None or law is None:
            return
        if self.span.enough:
            self.evaluator.recall(self.span, self._against(law, self.span), self.judged)
        else:
            self.evaluator.insufficient(self.span, self._against(law, self.span))

    def _count_errors(self, pane: Pane) -> None:
        bad = pane.counts[self.grid.first[:-1] + self.grid.cells + 2] if len(self.grid) else np.empty(0, np.int64)
        for i in np.flatnonzero(bad):
            name = self.grid.names[i]
            self.errors[name] = self.errors.get(name, 0) + int(bad[i])

    def retire(self, at: int, reason: str, rules: Container[str] | None = None) -> list[Finding]:
        """What fires is over for a reason that no window tells: the version is retired, replaced, re-baselined. `rules`:
        of these alone; None: of all.
        """
        by_rule: dict[str, list[Subject]] = {}
        for rule, severity, alert_id, signal in self.firing():
            if rules is None or rule in rules:
                fields = {"signal": signal, "alert_id": alert_id, "severity": severity}
                by_rule.setdefault(rule, []).append(Subject(signal, alert_id, severity, 0.0, fields))
        for alerts in (self.evaluator.alerts, self.watch.alerts):
            for key in [key for key in alerts if rules is None or key[0] in rules]:
                del alerts[key]
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
            "challenges": self.challenges,
            "hidden": dict(sorted(self.hidden.items())),
            "beside": self.beside.plain() if self.beside else None,
        }

    def load(
        self,
        plain: Mapping[str, object],
        blocks: Mapping[tuple[int, int], tuple[int, bytes]],
        law: Reference | None = None,
    ) -> None:
        """Put back what `plain` gave, with the blocks of the windows. `law`: see `close`."""
        rows = cast("dict[str, Any]", plain)
        self.evaluator.alerts = {(r, s): Alert.from_plain(a) for r, s, a in rows["alerts"]}
        self.watch.alerts = {(r, s): Alert.from_plain(a) for r, s, a in rows["jumps"]}
        self.watch.detectors = {(r, s): restore(d) for r, s, d in rows["detectors"]}
        self.watch.last_change = {(r, s): (at, effect) for r, s, (at, effect) in rows["changes"]}
        self.panes, self.evaluations = rows["panes"], rows["evaluations"]
        self.errors = dict(rows["errors"])
        self.span = Span(*rows["span"]) if rows["span"] else None
        self.windows.load(blocks, rows["last"])
        self.judged = unpack_ints(rows["judged"])
        # A state from before versions were compared, and columns looked at, has none of these.
        self.challenges, self.hidden = rows.get("challenges", False), dict(rows.get("hidden", {}))
        if law is not None and rows.get("beside"):
            self.beside = Beside.from_plain(law, rows["beside"])


def _rows(table: Mapping[tuple[str, str], object]) -> list[list[object]]:
    """A table by (rule, signal) as rows, in order."""
    return [[rule, signal, value] for (rule, signal), value in sorted(table.items())]
