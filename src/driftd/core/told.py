"""What is told and what is shown of one window judged: the entry of a signal in a notification, and its row in the View."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.core.action import rfc3339
from driftd.core.alert import Alert
from driftd.core.beside import Beside
from driftd.core.finding import Subject, rounded
from driftd.core.judge import STATISTICS, Judgement
from driftd.core.moved import moved
from driftd.core.pane import Ints
from driftd.core.reference import Reference
from driftd.core.spec import WindowRule
from driftd.core.view import SignalState, StatisticView
from driftd.core.window import Span


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One window judged: what all rules of the evaluation look at."""

    span: Span
    reference: Reference
    counts: Ints
    moments: Ints
    found: Judgement


@dataclass(frozen=True, slots=True)
class Opponents:
    """What a window is compared with. `law`: the reference whose law holds. `reference`: the same, or None for a version
    that has none yet. `champion`: its window, None where it is not compared with it, or the champion saw too little.
    `hidden`: signals of whose absence nothing is told here, because it is told as a change of the schema.
    """

    law: Reference
    reference: Reference | None
    champion: Beside | None = None
    challenges: bool = False
    hidden: frozenset[str] = frozenset()

    @property
    def waits(self) -> bool:
        """It is to be compared with the champion, and cannot be now."""
        return self.challenges and self.champion is None


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


def tellable(reference: Reference, i: int, s: int) -> bool:
    """Whether this statistic can ever be told of this signal: only a known vocabulary can have something new."""
    return s != STATISTICS.index("new_rate") or bool(reference.grid.new_codes[i] >= 0)


def thresholds(rule: WindowRule, floor: float) -> tuple[float, float | None]:
    return max(rule.warning, floor), None if rule.critical is None else max(rule.critical, floor)


def excess(rule: WindowRule, found: Judgement, s: int, i: int) -> float:
    return float(found.effect[s, i]) / max(thresholds(rule, float(found.floor[s, i]))[0], 1e-12)


def entry(rule: WindowRule, e: Evaluation, i: int, s: int, own: float, level: float, alert: Alert) -> Subject:
    assert alert.alert_id is not None
    assert alert.severity is not None
    grid, found = e.reference.grid, e.found
    warning, critical = thresholds(rule, float(found.floor[s, i]))
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
        "moved": moved_to(e, i, s),
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


def moved_to(e: Evaluation, i: int, s: int) -> dict[str, object]:
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


def row(rule: WindowRule, e: Evaluation, i: int, s: int, alert: Alert | None, level: float) -> StatisticView:
    found = e.found
    enough = bool(found.enough[s, i])
    # The floor is that of the window's values: with too few it says nothing.
    warning, critical = thresholds(rule, float(found.floor[s, i]) if enough else 0.0)
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


def blind_row(
    rule: WindowRule, name: str, statistic: str, span: Span, reference: Reference, alert: Alert | None
) -> StatisticView:
    """The row of a signal of which the window holds too little."""
    state: SignalState = "firing" if alert and alert.state == "firing" else "insufficient_data"
    return StatisticView(
        name, rule.name, statistic, state, alert.severity if alert else None, None, None, rule.warning,
        rule.critical, None, span.events, reference.events, (), alert.alert_id if alert else None,
        alert.since if alert else None,
    )  # fmt: skip
