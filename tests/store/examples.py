"""Actions and commits for the tests of the store and of delivery."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.action import Action, ActionType, stable_id
from driftd.core.event import PartitionId
from driftd.store.commit import Commit, PaneRow

FIRST = PartitionId("predictions", 0)
HOUR = 3_600_000


def action(
    number: int = 0, what: ActionType = "driftd.alert.firing", *, model: str = "churn", alerts: Sequence[str] = ("a",)
) -> Action:
    """The same number gives the same action."""
    signals = [{"signal": f"feature {alert}", "alert_id": alert} for alert in alerts]
    return Action(
        type=what,
        id=stable_id("tr", model, number, what),
        timestamp=1_795_428_000_000 + number * HOUR,
        model=model,
        version="7",
        kind="prediction",
        rule="drift",
        severity="critical",
        labels={"team": "risk"},
        data={"model": model, "number": number, "signals": signals},
        explain={"offsets": [[0, number]], "law": {"K": 20, "M": 1.5}},
    )


def owed(*actions: Action, receivers: tuple[str, ...] = ("ops",), old: bool = False) -> Commit:
    return Commit(actions=[(each, receivers, old) for each in actions])


def nth_commit(n: int) -> Commit:
    """A commit whose every part says `n`, so that half of one would be seen."""
    start = n * 1_000
    return Commit(
        rows={"n": n, "big": {"n": n, "fill": bytes([n % 251]) * 60_000}, "gone": None if n % 2 else n},
        positions={FIRST: n, PartitionId("predictions", 1): n},
        panes=[PaneRow("churn", "7", "prediction", start, start + 1_000, str(n).encode() * 2_000)],
        actions=[(action(n, alerts=(f"alert {n}",)), ("ops", "chat"), False)],
        inputs=[("tick", n)],
    )
