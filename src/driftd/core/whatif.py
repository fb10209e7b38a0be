"""What rules would have told of a log: how often, how soon after drifts that are known, and how much of it together.

A drift that is known is an interval of event time of a model, or of one of its signals. An alert that fires within it is
true, the first such is how it was found; an alert outside of all of them is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from driftd.core.review import Life, Told
from driftd.core.spec import DAY

WEEK: Final = 7 * DAY


@dataclass(frozen=True, slots=True)
class Drift:
    """A drift that is known, half-open `[start, end)` in event time, ms. `signal` None: of any; `end` None: it stayed."""

    model: str
    signal: str | None
    start: int
    end: int | None

    def holds(self, life: Life) -> bool:
        """Whether an alert is of it."""
        return (
            life.model == self.model
            and self.signal in (None, life.signal)
            and self.start <= life.fired
            and (self.end is None or life.fired < self.end)
        )


@dataclass(frozen=True, slots=True)
class Score:
    """Of one rule. `median`: how long its alerts that resolved lasted, ms. Without drifts that are known the last three
    are None: how many of them it found, the median delay after their beginning, and how many alerts were in none.
    """

    rule: str
    notifications: int
    alerts: int
    a_week: float | None
    open: int
    median: int | None
    found: int | None = None
    delay: int | None = None
    false: int | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Of the alerts of `rule`, those that were alive while one of `other` was, of the same model, version and kind."""

    rule: str
    other: str
    alerts: int
    together: int


def scores(
    rules: Sequence[str], lives: Sequence[Life], told: Sequence[Told], span: int, drifts: Sequence[Drift] | None
) -> list[Score]:
    """Of each rule, in this order. `span`: of the log, ms; under a day nothing is said of a week."""
    out = []
    for rule in rules:
        mine = [life for life in lives if life.rule == rule]
        lasted = [life.resolved - life.fired for life in mine if life.resolved is not None]
        found: int | None = None
        delay: int | None = None
        false: int | None = None
        if drifts is not None:
            first = [min((life.fired for life in mine if drift.holds(life)), default=None) for drift in drifts]
            delays = [at - drift.start for at, drift in zip(first, drifts, strict=True) if at is not None]
            found, delay = len(delays), round(median(delays)) if delays else None
            false = sum(not any(drift.holds(life) for drift in drifts) for life in mine)
        out.append(
            Score(
                rule,
                sum(one.rule == rule for one in told),
                len(mine),
                len(mine) * WEEK / span if span >= DAY else None,
                sum(life.resolved is None for life in mine),
                round(median(lasted)) if lasted else None,
                found,
                delay,
                false,
            )
        )
    return out


def overlaps(rules: Iterable[str], lives: Sequence[Life]) -> list[Overlap]:
    """Of every two rules that both fired, each way."""
    by_rule: Mapping[str, list[Life]] = {rule: [life for life in lives if life.rule == rule] for rule in rules}
    fired = [rule for rule, mine in by_rule.items() if mine]
    return [
        Overlap(rule, other, len(by_rule[rule]), sum(_beside(life, by_rule[other]) for life in by_rule[rule]))
        for rule in fired
        for other in fired
        if rule != other
    ]


def _beside(life: Life, others: Sequence[Life]) -> bool:
    return any(one.series == life.series and life.meets(one.fired, one.resolved) for one in others)
