"""One change of one column, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.core.action import rfc3339
from driftd.core.columns import SHARE, Change
from driftd.core.finding import Subject, rounded
from driftd.core.spec import Severity


@dataclass(slots=True)
class Problem:
    """One change of one column. `versions`: in which it is seen now, with the end of the newest pane that shows it.
    `told`: the version whose alert it is; None: it is expected, and nobody was told. `onset`, `since`: ends of the pane
    where it was seen first, and where it was told.
    """

    change: Change
    column: str
    versions: dict[str, int]
    onset: int
    share: float
    events: int
    before: float = 0.0
    reference_events: int = 0
    severity: Severity = "critical"
    told: str | None = None
    alert_id: str = ""
    since: int = 0
    renamed_to: str | None = None

    @property
    def name(self) -> str:
        return "renamed" if self.renamed_to is not None else self.change


def subject_of(p: Problem) -> Subject:
    """Its entry in a notification."""
    what = {"removed": "absent_rate", "retyped": "type_error_rate", "added": "present_rate"}[p.change]
    fields: dict[str, object] = {
        "signal": p.column,
        "alert_id": p.alert_id,
        "severity": p.severity,
        "statistic": p.name,
        "value": rounded(p.share),
        "effect": rounded(p.share - p.before),
        "threshold": SHARE,
        "p_value": None,
        "n": p.events,
        "reference_n": p.reference_events,
        "streak": 1,
        "flags": [],
        "moved": {"what": what, "from": rounded(p.before), "to": rounded(p.share)},
        "onset": rfc3339(p.onset),
    }
    if p.renamed_to is not None:
        fields["renamed_to"] = p.renamed_to
    rank = {"removed": 3.0, "retyped": 2.0, "added": 1.0}[p.change]
    return Subject(p.column, p.alert_id, p.severity, rank, fields)
