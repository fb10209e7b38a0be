"""Closed panes judged again under several thresholds at once: what would have fired, and what that says of a threshold.

The same Series judges as in the daemon. A rule becomes as many rules as there are thresholds to try, each with the level
that the one has; a detector finds its changes whatever the threshold of their effect, so that it runs once. What is known
at the beginning is nothing: no streak, no alert, no window that began before the first pane. Rules against the champion are
not tried: what it saw would have to be replayed beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from driftd.core.evaluate import Evaluator
from driftd.core.event import Kind
from driftd.core.finding import Finding
from driftd.core.grid import Grid
from driftd.core.pane import Pane
from driftd.core.reference import Reference
from driftd.core.review import Life
from driftd.core.series import Series
from driftd.core.spec import DetectorRule, Model, WindowRule
from driftd.core.told import Evaluation, Opponents, Tests
from driftd.core.window import Span

FEW: Final = (1.0, 1.5, 2.0)
MANY: Final = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)
"""Multiples of the threshold of now: to show what one would cost, and where one is looked for."""
_MARK: Final = "\x1f"

Would = list[tuple[str, int, int | None]]
"""Alerts that would have been: signal, fired, resolved."""


def threshold_of(rule: WindowRule | DetectorRule) -> float:
    """From which effect on it warns."""
    return rule.warning if isinstance(rule, WindowRule) else rule.min_effect


def candidates(now: float, multiples: Sequence[float]) -> tuple[float, ...]:
    """Three digits, as a person would write them."""
    return tuple(float(f"{now * one:.3g}") if one != 1.0 else now for one in multiples)


class _Quiet(Evaluator):
    """Nobody looks at what it shows."""

    def _show(self, tests: Sequence[tuple[Evaluation, Tests]], against: Opponents, span: Span) -> None:
        pass

    def insufficient(self, span: Span, against: Opponents) -> None:
        pass


class Backtest:
    """One (model, version, kind) judged against `reference`; `thresholds`: those to try, by rule."""

    def __init__(
        self,
        model: Model,
        version: str,
        kind: Kind,
        grid: Grid,
        reference: Reference,
        thresholds: Mapping[str, Sequence[float]],
    ) -> None:
        self.model, self.thresholds = model, thresholds
        self.would: dict[tuple[str, float], Would] = {(r, t): [] for r, tried in thresholds.items() for t in tried}
        self._open: dict[tuple[str, float, str], int] = {}
        self._detectors = [rule for rule in model.detector_rules if rule.name in thresholds]
        self._changes: dict[tuple[str, str], tuple[int, float]] = {}
        self._last: dict[tuple[str, float, str], int] = {}
        tried = [rule for rule in model.window_rules if rule.name in thresholds]
        many = sum(len(thresholds[rule.name]) for rule in tried)
        rules = [
            replace(
                rule,
                name=f"{rule.name}{_MARK}{i}",
                warning=threshold,
                critical=None if rule.critical is None else max(rule.critical, threshold),
                # As many share the budget as before.
                false_alarms_per_year=rule.false_alarms_per_year * many / len(model.window_rules),
            )
            for rule in tried
            for i, threshold in enumerate(thresholds[rule.name])
        ]
        watched = tuple(
            replace(rule, min_effect=min(thresholds[rule.name]), resolve_after=0) for rule in self._detectors
        )
        alone = replace(model, window_rules=tuple(rules), detector_rules=watched)
        self._series = Series("", alone, version, kind, grid)
        self._series.evaluator = _Quiet(self._series.evaluator.origin, alone)
        self._series.judge_by(reference)
        self._reference = reference

    def close(self, end: int, pane: Pane) -> None:
        """The next pane, in order."""
        for found in self._series.close(end, pane, self._reference, None):
            if _MARK in found.rule:
                self._follow(found)
        for rule in self._detectors:
            self._watch(rule, end)

    def finish(self) -> None:
        """There are no more: what fires is left open."""
        for (rule, threshold, signal), fired in self._open.items():
            self.would[rule, threshold].append((signal, fired, None))
        self._open.clear()

    def _follow(self, found: Finding) -> None:
        rule, _, number = found.rule.partition(_MARK)
        threshold = self.thresholds[rule][int(number)]
        for subject in found.subjects:
            if found.type == "firing":
                self._open.setdefault((rule, threshold, subject.signal), found.end)
            else:
                self._end((rule, threshold, subject.signal), found.end)

    def _watch(self, rule: DetectorRule, end: int) -> None:
        """The alerts of a detector's rule at each threshold, from the changes that were found at the lowest."""
        for signal in rule.on:
            change = self._series.watch.last_change.get((rule.name, signal))
            new = change is not None and change[0] == end
            for threshold in self.thresholds[rule.name]:
                key = (rule.name, threshold, signal)
                if new and change is not None and abs(change[1]) >= threshold:
                    self._last[key] = end
                    self._open.setdefault(key, end)
                elif key in self._open and end >= self._last[key] + rule.resolve_after:
                    self._end(key, end)

    def _end(self, key: tuple[str, float, str], at: int) -> None:
        rule, threshold, signal = key
        if key in self._open:
            self.would[rule, threshold].append((signal, self._open.pop(key), at))


@dataclass(slots=True)
class Tried:
    """One threshold. `alerts`: that would have fired; `false`, `others`: how many of those that did would have."""

    threshold: float
    alerts: int = 0
    false: int = 0
    others: int = 0
    acknowledged: int = 0


@dataclass(slots=True)
class Evidence:
    """Of one rule of a model: what each threshold would have done. `weeks`: how long was replayed. `false`, `others` (not
    marked false) and `acknowledged` of them: alerts that fired, and do so again under the threshold of now; `missing`: those
    that do not.
    """

    tried: list[Tried]
    weeks: float = 0.0
    false: int = 0
    others: int = 0
    acknowledged: int = 0
    missing: int = 0
    missing_false: int = 0

    def add(self, would: Mapping[float, Would], lives: Sequence[Life], since: int, until: int,
            false: frozenset[str], acknowledged: frozenset[str]) -> None:  # fmt: skip
        """Take one (version, kind) in: alerts that would have been, by threshold; and those that were, of `[since, until)`.

        What would have been where nothing was (the replay knows of no planned change and no champion) is not counted.
        """
        for tried in self.tried:
            tried.alerts += sum(
                since <= fired < until and any(life.signal == signal and life.meets(fired, resolved) for life in lives)
                for signal, fired, resolved in would[tried.threshold]
            )
        now = self.tried[0].threshold
        for life in lives:
            if not _again(life, would[now]):
                self.missing += 1
                self.missing_false += life.alert in false
                continue
            is_false, is_seen = life.alert in false, life.alert in acknowledged and life.alert not in false
            self.false += is_false
            self.others += not is_false
            self.acknowledged += is_seen
            for tried in self.tried:
                fires = _again(life, would[tried.threshold])
                tried.false += fires and is_false
                tried.others += fires and not is_false
                tried.acknowledged += fires and is_seen


def _again(life: Life, would: Would) -> bool:
    return any(signal == life.signal and life.meets(fired, resolved) for signal, fired, resolved in would)


def suggestion(evidence: Evidence) -> tuple[float | None, str]:
    """The smallest threshold tried from which nothing that was marked false would have fired, while all others would; None
    where there is none. And why.
    """
    if not evidence.false:
        if evidence.missing_false:
            return None, f"no change: {_marked(evidence.missing_false)}, and none comes again in what can be replayed"
        return None, f"no change: nothing was marked false; {_costs(evidence, evidence.tried)}"
    silent = _silent(evidence.tried)
    if silent is None:
        last = evidence.tried[-1]
        return (
            None,
            f"no change: even at {last.threshold:g} {_of(last.false, evidence.false)} marked false would have fired",
        )
    costs = _costs(evidence, [evidence.tried[0], silent])
    gone = f"at {silent.threshold:g} nothing marked false ({evidence.false}) would have fired"
    if silent.others == evidence.others:
        kept = f", all {evidence.others} others would" if evidence.others else ", and there was nothing else"
        return silent.threshold, f"{gone}{kept}; {costs}"
    if evidence.acknowledged and silent.acknowledged == evidence.acknowledged:
        lost, unseen = evidence.others - silent.others, evidence.others - evidence.acknowledged
        return silent.threshold, (
            f"{gone}, all {evidence.acknowledged} acknowledged would, but {_of(lost, unseen)} that nobody judged would not; "
            f"{costs}"
        )
    return (
        None,
        f"no change, the two overlap: {gone}, but only {_of(silent.others, evidence.others)} others would; {costs}",
    )


def _silent(tried: Sequence[Tried]) -> Tried | None:
    """The smallest from which on nothing marked false fires."""
    found = None
    for one in reversed(tried):
        if one.false:
            break
        found = one
    return found


def _marked(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'} marked false"


def _of(some: int, all_: int) -> str:
    return f"{some} of {all_}"


def _costs(evidence: Evidence, tried: Sequence[Tried]) -> str:
    """What each would have cost; of less than a week as a count, for a rate would say more than is known."""
    if evidence.weeks >= 1:
        rates = ((one.threshold, one.alerts / evidence.weeks) for one in tried)
        return "alerts a week: " + ", ".join(f"{rate:.1f} at {threshold:g}" for threshold, rate in rates)
    return "alerts in what was replayed: " + ", ".join(f"{one.alerts} at {one.threshold:g}" for one in tried)
