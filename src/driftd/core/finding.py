"""What one evaluation found: the signals of one rule that fired, or resolved, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from driftd.core.action import stable_id
from driftd.core.event import Kind
from driftd.core.spec import Severity


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose findings these are: names the alerts of one (model, version, kind) of one installation."""

    group: str
    model: str
    version: str
    kind: Kind

    def alert_id(self, rule: str, signal: str, end: int) -> str:
        """The id of the alert that fires at this window end."""
        return stable_id("alt", self.group, self.model, self.version, self.kind, rule, signal, end)


@dataclass(frozen=True, slots=True)
class Subject:
    """One signal of a notification: its fields in the body, how bad it is (for ranking), and what stands behind it."""

    signal: str
    alert_id: str
    severity: Severity
    rank: float
    fields: Mapping[str, object]
    explain: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One notification to be. `start`, `end`: the window (event time, ms); `explain`: what stands behind it; `context`:
    what is told beside its signals.
    """

    type: Literal["firing", "resolved"]
    rule: str
    start: int
    end: int
    subjects: tuple[Subject, ...]
    reason: str = ""
    explain: Mapping[str, object] = field(default_factory=dict)
    context: Mapping[str, object] = field(default_factory=dict)


def finding(
    kind: Literal["firing", "resolved"],
    rule: str,
    window: tuple[int, int],
    subjects: Sequence[Subject],
    reason: str,
    explain: Mapping[str, object],
    context: Mapping[str, object] | None = None,
) -> list[Finding]:
    """One finding with its signals ranked, worst first; none where there is no subject."""
    if not subjects:
        return []
    ranked = tuple(sorted(subjects, key=lambda s: (s.severity != "critical", -s.rank, s.signal)))
    behind = {**explain, "signals": {subject.signal: dict(subject.explain) for subject in ranked}}
    return [Finding(kind, rule, *window, ranked, reason, behind, context or {})]


def rounded(value: float) -> float:
    """Ten significant digits: what is told does not hang on the last bit of a logarithm."""
    return float(f"{float(value):.10g}")
