"""When a retraining is asked for: an alert that may ask fires, and neither the cool-down nor the budget forbids it.

An alert asks once in its life. One that fires within the cool-down is not forgotten: it asks as soon as it may, if it
is still firing then. Times are event times in ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from driftd.core.spec import DAY, SEVERITIES, Retrain, Severity


class Retraining:
    """The requests of one model: their times (the newest day's and the last), and which alerts they answered."""

    def __init__(self, policy: Retrain) -> None:
        self.policy = policy
        self.requests: list[int] = []
        self.answered: set[str] = set()
        self.total = 0
        self.newest_id: str | None = None

    def may_ask(self, rule: str, severity: Severity) -> bool:
        return any(
            rule == name and SEVERITIES.index(severity) >= SEVERITIES.index(least) for name, least in self.policy.when
        )

    def ask(self, alerts: Sequence[str], at: int) -> bool:
        """Whether these firing alerts (ids) make a request now, at event time `at`; if so it is counted."""
        if not any(alert not in self.answered for alert in alerts):
            return False
        if self.requests and at < self.requests[-1] + self.policy.cool_down:
            return False
        today = [t for t in self.requests if t > at - DAY]
        if len(today) >= self.policy.budget_per_day:
            return False
        self.requests = [*today, at]
        self.answered.update(alerts)
        self.total += 1
        return True

    def forget(self, alert: str) -> None:
        """The alert is over."""
        self.answered.discard(alert)

    def plain(self) -> list[object]:
        return [self.requests, sorted(self.answered), self.total, self.newest_id]

    def load(self, plain: Sequence[object]) -> None:
        self.requests, answered, self.total, self.newest_id = cast(
            "tuple[list[int], list[str], int, str | None]", plain
        )
        self.answered = set(answered)


def describe(policy: Retrain) -> Mapping[str, object]:
    """The policy as it stands in a request."""
    return {
        "when": [f"{rule}.{severity}" for rule, severity in policy.when],
        "cool_down_s": policy.cool_down // 1000,
        "budget_per_day": policy.budget_per_day,
    }
