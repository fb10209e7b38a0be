"""Many old transitions told as one: how many of what, and where to look them up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from driftd.core.action import Action, rfc3339, stable_id

SUMMARY_TYPE: Final = "driftd.transitions.summary"
MAX_IDS: Final = 100
MAX_COUNTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Notice:
    """What is put into the outbox for one receiver. `subjects`: see `Delivery`."""

    id: str
    type: str
    body: bytes
    timestamp: int
    subjects: tuple[str, ...]


def notice(action: Action, body: bytes) -> Notice:
    """One action on its own. `body` is the action's, made once for all receivers."""
    return Notice(action.id, action.type, body, action.timestamp, subjects(action))


@dataclass(frozen=True, slots=True)
class Held:
    """A transition that a summary will tell of."""

    id: str
    model: str
    rule: str
    type: str
    timestamp: int
    subjects: tuple[str, ...]


def summary(held: Sequence[Held]) -> Notice:
    """One notice of all of them (at least one). The same in the same order give the same bytes.

    Its subjects are theirs, so that a "resolved" does not overtake the only word of its "firing".
    """
    ids = [one.id for one in held]
    times = [one.timestamp for one in held]
    name = stable_id("summary", *ids)
    counts = Counter((one.model, one.rule, one.type) for one in held)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        {"model": model, "rule": rule, "type": kind, "count": count}
        for (model, rule, kind), count in ranked[:MAX_COUNTS]
    ]
    document = {
        "type": SUMMARY_TYPE,
        "id": name,
        "timestamp": rfc3339(max(times)),
        "data": {
            "transitions": len(ids),
            "first": rfc3339(min(times)),
            "last": rfc3339(max(times)),
            "counts": shown,
            "counts_omitted": len(ranked) - len(shown),
            # All of them: who was told of one before must hear of its end.
            "resolved": _ended(held),
            "ids": ids[:MAX_IDS],
            "ids_omitted": max(0, len(ids) - MAX_IDS),
        },
    }
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    spoken_of = dict.fromkeys(subject for one in held for subject in one.subjects)
    return Notice(name, SUMMARY_TYPE, body.encode("utf-8", "backslashreplace"), max(times), tuple(spoken_of))


def _ended(held: Sequence[Held]) -> list[str]:
    """The alerts whose last transition here is their end."""
    last = {subject: one.type for one in held for subject in one.subjects}
    return [subject for subject, kind in last.items() if kind == "driftd.alert.resolved"]


def subjects(action: Action) -> tuple[str, ...]:
    return subjects_of(action.id, action.type, action.data)


def subjects_of(id_: str, type_: str, data: Mapping[str, object]) -> tuple[str, ...]:
    """The alerts that it speaks of; of a request for retraining, and of what names no alert, the action
    itself.

    A request also lists alerts, as evidence; it says nothing of their state, so it does not hold their news
    up.
    """
    if type_ == "driftd.retrain.requested":
        return (id_,)
    signals = data.get("signals")
    named = signals if isinstance(signals, (list, tuple)) else ()
    alerts = (signal.get("alert_id") for signal in named if isinstance(signal, dict))
    return tuple(dict.fromkeys(alert for alert in alerts if isinstance(alert, str))) or (id_,)
