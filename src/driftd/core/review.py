"""What came of a rule's alerts: how many fired, what people did about them, how long they lasted, which came back.

An alert lives from the end of the window at which it fired to that at which it resolved. It flapped where the same signal
fires again under the same rule within `FLAP_WINDOWS` window lengths of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Final

from driftd.core.act import Act, Named

FLAP_WINDOWS: Final = 2

Series = tuple[str, str, str]
"""(model, version, kind)."""


@dataclass(frozen=True, slots=True)
class Life:
    """One alert. `fired`, `resolved`: event time, ms; None: it still fires."""

    series: Series
    rule: str
    signal: str
    alert: str
    fired: int
    resolved: int | None = None

    @property
    def model(self) -> str:
        return self.series[0]

    def meets(self, fired: int, resolved: int | None) -> bool:
        """Whether it was alive at some time of that other life."""
        return (resolved is None or resolved >= self.fired) and (self.resolved is None or self.resolved >= fired)


@dataclass(frozen=True, slots=True)
class Told:
    """One notification that alerts fire. `withheld`: from somebody, for a mute."""

    series: Series
    rule: str
    at: int
    alerts: tuple[str, ...]
    withheld: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """What people did, by alert; `mutes` with the time at which each ended or was taken back."""

    acknowledged: frozenset[str] = frozenset()
    false: frozenset[str] = frozenset()
    mutes: tuple[Act, ...] = ()

    @classmethod
    def of(cls, acts: Iterable[Act]) -> Marks:
        acts = tuple(acts)
        lifted = {act.lifts: act.at for act in acts if act.verb == "lift"}
        held = [act for act in acts if act.number not in lifted]
        mutes = (act for act in acts if act.verb == "mute" and act.until is not None)
        return cls(
            frozenset(alert for act in held if act.verb == "acknowledge" for alert in act.alerts),
            frozenset(alert for act in held if act.verb == "false" for alert in act.alerts),
            tuple(replace(act, until=min(act.until or 0, lifted.get(act.number, act.until or 0))) for act in mutes),
        )

    def muted(self, life: Life, now: int) -> bool:
        """Whether a mute of it held while it fired."""
        named, end = Named(life.rule, life.signal, life.alert), now if life.resolved is None else life.resolved
        return any(
            act.mutes(life.model, named) and act.at < end and (act.until or 0) > life.fired for act in self.mutes
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one rule, or of its alerts in several models. `median`: of those that resolved, ms; None where none did."""

    notifications: int
    alerts: int
    acknowledged: int
    false: int
    muted: int
    flapped: int
    open: int
    median: int | None


def read(bodies: Iterable[Mapping[str, Any]], withheld: frozenset[str]) -> tuple[list[Life], list[Told]]:
    """The alerts and the notifications of them in bodies, the oldest first. `withheld`: ids of those that a mute held
    back. An alert that fired before the first of them is left out.
    """
    begun: dict[str, Life] = {}
    over: list[Life] = []
    told: list[Told] = []
    for body in bodies:
        data = body["data"]
        series, rule = (str(data["model"]), str(data["version"]), str(data["kind"])), str(data["rule"])
        at = round(datetime.fromisoformat(body["timestamp"]).timestamp() * 1000)
        named = [(str(one["signal"]), str(one["alert_id"])) for one in data["signals"]]
        if body["type"] == "driftd.alert.firing":
            told.append(Told(series, rule, at, tuple(alert for _, alert in named), body["id"] in withheld))
            for signal, alert in named:
                begun.setdefault(alert, Life(series, rule, signal, alert, at))
        elif body["type"] == "driftd.alert.resolved":
            over += [replace(begun.pop(alert), resolved=at) for _, alert in named if alert in begun]
    return sorted([*over, *begun.values()], key=lambda one: (one.fired, one.series, one.rule, one.signal)), told


def flapping(lives: Sequence[Life], length: Callable[[Life], int]) -> frozenset[str]:
    """The alerts after which the same signal fired again so soon. `length`: of a window, ms."""
    last: dict[tuple[Series, str, str], Life] = {}
    found = set()
    for life in lives:
        before = last.get((life.series, life.rule, life.signal))
        last[life.series, life.rule, life.signal] = life
        if before is not None and before.resolved is not None:
            soon = before.resolved + FLAP_WINDOWS * length(before)
            found |= {before.alert} if life.fired <= soon else set()
    return frozenset(found)


def tally(lives: Sequence[Life], told: Sequence[Told], marks: Marks, flapped: frozenset[str], now: int) -> Tally:
    """What came of these."""
    held = {alert for one in told if one.withheld for alert in one.alerts}
    durations = [one.resolved - one.fired for one in lives if one.resolved is not None]
    return Tally(
        notifications=len(told),
        alerts=len(lives),
        acknowledged=sum(one.alert in marks.acknowledged for one in lives),
        false=sum(one.alert in marks.false for one in lives),
        muted=sum(one.alert in held or marks.muted(one, now) for one in lives),
        flapped=sum(one.alert in flapped for one in lives),
        open=sum(one.resolved is None for one in lives),
        median=round(median(durations)) if durations else None,
    )
