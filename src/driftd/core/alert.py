"""The life of an alert: inactive, pending, firing, resolved. The table below is the code.

- *hold*: an evaluation that has both effect and evidence. An unbroken run of them is a streak; each severity has its
  own. A streak is *due* when it holds `persist` windows that do not overlap.
- *due*: a streak is due, or one look had the critical effect at the level squared.
- *clear*: neither. *calm*: over `persist` windows that do not overlap the effect stayed below 0.8 of the lowest
  threshold. *gone*: the version was retired, replaced or re-baselined.
- Too little data is no input at all: it holds a streak, it does not break it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from driftd.core.spec import SEVERITIES, Severity

State = Literal["inactive", "pending", "firing"]
Input = Literal["hold", "due", "clear", "calm", "gone"]
Output = Literal["firing", "resolved"] | None

TABLE: Final[Mapping[tuple[State, Input], tuple[State, Output]]] = {
    ("inactive", "hold"): ("pending", None),
    ("inactive", "due"): ("firing", "firing"),
    ("inactive", "clear"): ("inactive", None),
    ("inactive", "calm"): ("inactive", None),
    ("inactive", "gone"): ("inactive", None),
    ("pending", "hold"): ("pending", None),
    ("pending", "due"): ("firing", "firing"),
    ("pending", "clear"): ("inactive", None),
    ("pending", "calm"): ("inactive", None),
    ("pending", "gone"): ("inactive", None),
    ("firing", "hold"): ("firing", None),
    ("firing", "due"): ("firing", None),
    ("firing", "clear"): ("firing", None),
    ("firing", "calm"): ("inactive", "resolved"),
    ("firing", "gone"): ("inactive", "resolved"),
}


@dataclass(slots=True)
class Streak:
    """A run of windows: how many of them do not overlap, and the end of the last that was counted."""

    count: int = 0
    until: int = 0

    def extend(self, start: int, end: int) -> None:
        if self.count == 0 or start >= self.until:
            self.count += 1
            self.until = end

    def stop(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What one evaluation says of one signal: the window, the severities it holds, whether it is calm."""

    start: int
    end: int
    holds: frozenset[Severity]
    at_once: bool
    calm: bool


@dataclass(slots=True)
class Alert:
    """One alert: a (model, version, kind, rule, signal). `since`: the window end at which it fired; `onset`: the end of
    the first window of the unbroken run that led to it.
    """

    state: State = "inactive"
    severity: Severity | None = None
    alert_id: str | None = None
    since: int | None = None
    onset: int | None = None
    streaks: dict[Severity, Streak] = field(default_factory=lambda: {s: Streak() for s in SEVERITIES})
    quiet: Streak = field(default_factory=Streak)

    @property
    def streak(self) -> int:
        """Windows that do not overlap in the longest streak now."""
        return max(streak.count for streak in self.streaks.values())

    def look(self, look: Look, persist: int) -> Output:
        """Take one evaluation in. `firing` may also mean that the severity of a firing alert rose."""
        for severity, streak in self.streaks.items():
            if severity in look.holds:
                streak.extend(look.start, look.end)
            else:
                streak.stop()
        if look.holds and self.onset is None:
            self.onset = look.end
        elif not look.holds and self.state != "firing":
            self.onset = None
        if look.calm and self.state == "firing":
            self.quiet.extend(look.start, look.end)
        else:
            self.quiet.stop()
        due = [s for s in SEVERITIES if self.streaks[s].count >= persist]
        if look.at_once:
            due.append("critical")
        return self._input(look, due, persist)

    def _input(self, look: Look, due: list[Severity], persist: int) -> Output:
        if due:
            output = self.take("due", look.end)
            severity = due[-1]
            if self.severity is None or SEVERITIES.index(severity) > SEVERITIES.index(self.severity):
                self.severity, output = severity, "firing"
            return output
        if look.holds:
            return self.take("hold", look.end)
        return self.take("calm" if self.quiet.count >= persist else "clear", look.end)

    def take(self, given: Input, at: int) -> Output:
        """One step of the table."""
        self.state, output = TABLE[self.state, given]
        if output == "firing":
            self.since = at
        if output == "resolved":
            for streak in (*self.streaks.values(), self.quiet):
                streak.stop()
        return output

    def forget(self) -> None:
        """After a resolve was told: the next firing is a new alert."""
        self.severity = self.alert_id = self.since = self.onset = None

    def plain(self) -> list[object]:
        streaks = [[s.count, s.until] for s in (*self.streaks.values(), self.quiet)]
        return [self.state, self.severity, self.alert_id, self.since, streaks, self.onset]

    @classmethod
    def from_plain(cls, plain: list[object]) -> Alert:
        state, severity, alert_id, since, streaks, *onset = plain  # a state from before it was kept has none
        alert = cls(state, severity, alert_id, since, *onset)  # type: ignore[arg-type]
        *by_severity, quiet = [Streak(count, until) for count, until in streaks]  # type: ignore[attr-defined]
        alert.streaks = dict(zip(SEVERITIES, by_severity, strict=True))
        alert.quiet = quiet
        return alert

    @property
    def idle(self) -> bool:
        """Nothing to remember."""
        return self.state == "inactive" and self.quiet.count == 0 and self.streak == 0
