"""A person's acts, checked and stored: behind the command line, the API and the links in messages alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from driftd.core.act import (
    NAME_CHARS,
    SIGNALS,
    USUAL_MUTE,
    Act,
    Named,
    Standing,
    Verb,
    Via,
    bounded,
    said_by,
)
from driftd.core.fault import UserError
from driftd.core.spec import Spec
from driftd.settings.quantity import format_duration
from driftd.settings.schema import Settings
from driftd.store.acts import ActLog


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an id stands for: the alerts of a notification, or one alert. At least one is named."""

    model: str
    rule: str
    named: tuple[Named, ...]


class Verbs:
    """Any thread may call; each call opens the state for itself."""

    def __init__(
        self, settings: Callable[[], Settings], via: Via = "cli", clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._via, self._clock = settings, via, clock

    def acknowledge(self, id_: str, author: str, reason: str = "") -> Act:
        """Somebody has seen it. Raises UserError, as all of these do."""
        return self._about("acknowledge", id_, author, reason)

    def mark_false(self, id_: str, author: str, reason: str) -> Act:
        """There is nothing: it is counted against the rule, and nobody is told more of it but its end."""
        return self._about("false", id_, author, reason)

    def mute(
        self,
        author: str,
        reason: str,
        *,
        model: str,
        rule: str = "",
        signals: Sequence[str] = (),
        until: int | None = None,
        for_: int | None = None,
    ) -> Act:
        """Nobody is told of what fires there until then. `until` Unix time, `for_` from now, in ms; at most one of them."""
        author, reason = said_by(author, reason, verb="mute")
        if until is not None and for_ is not None:
            raise UserError("both an end and a time are given", "give one of them")
        now = self._now()
        end = bounded(now + (USUAL_MUTE if for_ is None else for_) if until is None else until, now)
        settings = self._settings()
        spec = settings.spec()
        signals = tuple(dict.fromkeys(signals))
        if len(signals) > SIGNALS or any(not 0 < len(name) <= NAME_CHARS for name in (model, *signals)):
            raise UserError(
                f"a mute names a model and at most {SIGNALS} signals, each of 1 to {NAME_CHARS} characters",
                "name fewer signals, or none for all of them",
            )
        if rule and rule not in (known := _rules(spec, model)):
            raise UserError(f"model {model} has no rule {rule!r}", f"the settings name: {', '.join(known)}")
        with ActLog(settings.state.directory) as log:
            if model not in spec.models and not log.has_model(model):
                raise UserError(f"nothing is known of a model {model!r}", "`driftd models` lists those that are")
            return log.add(Act("mute", author, reason, model, rule, signals, until=end, via=self._via, at=now))

    def lift(self, number: int, author: str, reason: str) -> Act:
        """Take an act back: a mute, a mark as false, an acknowledgement."""
        author, reason = said_by(author, reason, verb="lift")
        with self._log() as log:
            return log.add(Act("lift", author, reason, "", lifts=number, via=self._via, at=self._now()))

    def spoken_of(self, id_: str) -> Spoken:
        """Raises UserError where nothing that fired has this id."""
        with self._log() as log:
            return _spoken_of(log, id_)

    def newest(self, limit: int) -> list[Act]:
        with self._log() as log:
            return log.newest(limit)

    def standing(self) -> tuple[Standing, int]:
        """What holds, and the time (ms) for which that is said."""
        now = self._now()
        with self._log() as log:
            return log.standing(now), now

    def _about(self, verb: Verb, id_: str, author: str, reason: str) -> Act:
        author, reason = said_by(author, reason, verb=verb)
        with self._log() as log:
            it = _spoken_of(log, id_)
            signals = tuple(dict.fromkeys(one.signal for one in it.named))
            alerts = tuple(dict.fromkeys(one.alert for one in it.named))
            return log.add(Act(verb, author, reason, it.model, it.rule, signals, alerts, via=self._via, at=self._now()))

    def _log(self) -> ActLog:
        return ActLog(self._settings().state.directory)

    def _now(self) -> int:
        return round(self._clock() * 1000)


def said(act: Act, now: int) -> str:
    """An act in one line, as the command line says it; to be made printable."""
    who = f"by {act.author}{f': {act.reason}' if act.reason else ''}"
    if act.verb == "mute":
        left = (act.until or 0) - now
        end = f"for {format_duration(left // 60_000 * 60_000) if left >= 60_000 else 'less than a minute'} more"
        return f"{act.number}  mute {end if left > 0 else '(ended)'}  {act.what()}  {who}"
    if act.verb == "lift":
        return f"{act.number}  takes back {act.lifts}  {act.what()}  {who}"
    return f"{act.number}  {'false' if act.verb == 'false' else 'acknowledged'}  {act.what()}  {who}"


def _spoken_of(log: ActLog, id_: str) -> Spoken:
    found = log.spoken_of(id_)
    if found is None or not found[2]:
        raise UserError(
            f"no alert that fired has the id {id_!r}",
            "each notification has its `id`, each signal in it its `alert_id`; /api/v1/models/MODEL lists what fires",
        )
    return Spoken(*found)


def _rules(spec: Spec, model: str) -> list[str]:
    """Of its settings."""
    its = spec.named()[spec.key_of(model)]
    named = {rule.name for rule in its.window_rules} | {rule.name for rule in its.detector_rules}
    return sorted(named)
