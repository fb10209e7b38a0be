"""What a person did about an alert: acknowledged it, muted it, marked it as false, or took such an act back.

The rule this file keeps: an act decides who hears of what, and when. What is concluded of the events (panes, verdicts,
alerts, ids, bodies) is a function of the events alone and knows of no act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from driftd.core.fault import UserError, printable
from driftd.core.spec import DAY, HOUR

Verb = Literal["acknowledge", "mute", "false", "lift"]
Via = Literal["cli", "api", "link"]
VERBS: Final[tuple[Verb, ...]] = ("acknowledge", "mute", "false", "lift")

LONGEST_MUTE: Final = 30 * DAY
"""So that nobody mutes for ever."""
USUAL_MUTE: Final = 4 * HOUR
AUTHOR_CHARS: Final = 100
REASON_CHARS: Final = 500
NAME_CHARS: Final = 1_024
SIGNALS: Final = 1_000
"""That one mute can name."""
ANY_RULE: Final = "*"
"""How a mute of every rule is counted."""


@dataclass(frozen=True, slots=True)
class Named:
    """One signal that a notification speaks of."""

    rule: str
    signal: str
    alert: str


@dataclass(frozen=True, slots=True)
class Act:
    """`number` is its own from when it is stored on; `at` and `until` (of a mute) are Unix time in ms.

    `alerts`: those that it speaks of, of "acknowledge" and "false". `rule` "" and no `signals`: all of them. `lifts`: the
    number of the act that it takes back.
    """

    verb: Verb
    author: str
    reason: str
    model: str
    rule: str = ""
    signals: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    until: int | None = None
    lifts: int | None = None
    via: Via = "cli"
    number: int = 0
    at: int = 0

    def mutes(self, model: str, named: Named) -> bool:
        """Of a mute: whether it speaks of this signal, whenever."""
        return (
            self.model == model and self.rule in ("", named.rule) and (not self.signals or named.signal in self.signals)
        )

    def what(self) -> str:
        """What it speaks of, in words; hostile where names are."""
        names = ", ".join(self.signals[:3]) + (f" and {len(self.signals) - 3} more" if len(self.signals) > 3 else "")
        return f"{self.model}: {self.rule or 'every rule'}, {names or 'every signal'}"


@dataclass(frozen=True, slots=True)
class Note:
    """What people did about one alert, or about all alerts of a notification, as far as it still holds."""

    acknowledged: Act | None = None
    muted: Act | None = None
    false: Act | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The acts that have not been taken back. `counts`: all acts ever, by rule and verb."""

    mutes: tuple[Act, ...] = ()
    false: Mapping[str, Act] = field(default_factory=dict)
    acknowledged: Mapping[str, Act] = field(default_factory=dict)
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, acts: Iterable[Act], counts: Mapping[tuple[str, str], int]) -> Standing:
        """`acts` in the order in which they were done."""
        acts = tuple(acts)
        lifted = {act.lifts for act in acts if act.verb == "lift"}
        held = [act for act in acts if act.number not in lifted]
        return cls(
            tuple(act for act in held if act.verb == "mute"),
            {alert: act for act in held if act.verb == "false" for alert in act.alerts},
            {alert: act for act in held if act.verb == "acknowledge" for alert in act.alerts},
            counts,
        )

    def mutes_at(self, now: int) -> tuple[Act, ...]:
        return tuple(act for act in self.mutes if act.until is not None and act.until > now)

    def silencing(self, model: str, named: Sequence[Named], now: int) -> Act | None:
        """The act for which nobody is told now: each of these signals is muted or its alert marked as false.

        Of several the one that holds longest; None: somebody is told.
        """
        found: list[Act] = []
        for one in named:
            act = self._silencing(model, one, now)
            if act is None:
                return None
            found.append(act)
        return max(found, key=_holds_until, default=None)

    def note(self, model: str, named: Sequence[Named], now: int) -> Note:
        """What holds for each of these signals; of acts on some of them only, nothing."""
        muted = [self._muting(model, one, now) for one in named]
        return Note(
            _all([self.acknowledged.get(one.alert) for one in named]),
            _all(muted),
            _all([self.false.get(one.alert) for one in named]),
        )

    def _silencing(self, model: str, named: Named, now: int) -> Act | None:
        return self.false.get(named.alert) or self._muting(model, named, now)

    def _muting(self, model: str, named: Named, now: int) -> Act | None:
        return max((act for act in self.mutes_at(now) if act.mutes(model, named)), key=_holds_until, default=None)


def _holds_until(act: Act) -> float:
    return float("inf") if act.until is None else act.until


def _all(acts: Sequence[Act | None]) -> Act | None:
    """The first where there is one for each."""
    held = [act for act in acts if act is not None]
    return held[0] if held and len(held) == len(acts) else None


def named_of(rule: str, data: Mapping[str, Any]) -> tuple[Named, ...]:
    """The signals that a body's `data` speaks of. In a request for retraining each has a rule of its own."""
    found = data.get("signals")
    signals = [one for one in found if isinstance(one, Mapping)] if isinstance(found, Sequence) else []
    return tuple(
        Named(str(one.get("rule", rule)), str(one.get("signal", "")), str(one["alert_id"]))
        for one in signals
        if "alert_id" in one
    )


def said_by(author: str, reason: str, *, verb: Verb) -> tuple[str, str]:
    """Who did it and why, on one line each. Raises UserError; only an acknowledgement needs no reason."""
    author, reason = printable(author.strip()), printable(reason.strip())
    if not author:
        raise UserError("no author", "say who does it")
    if len(author) > AUTHOR_CHARS:
        raise UserError(f"an author has at most {AUTHOR_CHARS} characters", "shorten it")
    if not reason and verb != "acknowledge":
        raise UserError("no reason", "say why, for whoever wonders about the silence")
    if len(reason) > REASON_CHARS:
        raise UserError(f"a reason has at most {REASON_CHARS} characters", "shorten it")
    return author, reason


def bounded(until: int, now: int) -> int:
    """The end of a mute. Raises UserError for one that has passed or is too far away."""
    if until <= now:
        raise UserError("a mute ends in the future", "give a later end, or a time such as 4h")
    if until - now > LONGEST_MUTE:
        raise UserError(
            f"a mute lasts at most {LONGEST_MUTE // DAY} days",
            "mute for less, and again if need be; take the rule out of the settings if nobody wants it",
        )
    return until
