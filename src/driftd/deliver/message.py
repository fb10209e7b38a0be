"""What a person is told: at most 12 lines of plain text made of a body, the same for every receiver.

The rule this file keeps: names come from events, so nothing of a body leaves here before it is one line of printable
characters, cut to a length. What a receiver's own markup would obey is the receiver's to escape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from driftd.core.action import Delivery
from driftd.core.fault import printable
from driftd.deliver import words

MOST_LINES: Final = 12
MOST_ACTS: Final = 2
MOST_WORDS: Final = MOST_LINES - MOST_ACTS - 2
"""What is left beside the title, the acts and the line of addresses."""
NAME_CHARS: Final = 80
LINE_CHARS: Final = 400
URL_CHARS: Final = 1_000
NAMED: Final = 3
"""Signals that have a line of their own."""

State = Literal["firing", "resolved", "requested", "summary", "heartbeat", "test", "other"]
Grade = Literal["critical", "warning", "info"]
_STATES: Final[Mapping[str, State]] = {
    "driftd.alert.firing": "firing",
    "driftd.alert.resolved": "resolved",
    "driftd.retrain.requested": "requested",
    "driftd.transitions.summary": "summary",
    "driftd.heartbeat": "heartbeat",
    "driftd.test": "test",
}


@dataclass(frozen=True, slots=True)
class Message:
    """`title` and `lines` are one line each, without markup. `data`: the body's, every text in it made inert.

    `link` and `runbook` are http or https, and hold nothing but what a URL may.
    """

    id: str
    type: str
    state: State
    severity: Grade
    timestamp: int
    title: str
    lines: tuple[str, ...]
    link: str | None
    runbook: str | None
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        return "\n".join((self.title, *self.lines, *self.links()))

    def links(self) -> tuple[str, ...]:
        """The line of addresses, where there is one."""
        explained = f"driftd explain {self.id}" if self.state in ("firing", "resolved", "requested") else None
        told = (("Look", self.link or explained), ("Runbook", self.runbook))
        line = "   ".join(f"{name}: {where}" for name, where in told if where)
        return (line,) if line else ()

    @property
    def signals(self) -> Sequence[Mapping[str, Any]]:
        found = self.data.get("signals")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    @property
    def alerts(self) -> tuple[str, ...]:
        """The ids of the alerts that it speaks of."""
        return tuple(str(one["alert_id"]) for one in self.signals if "alert_id" in one)

    @property
    def ended(self) -> tuple[str, ...]:
        """The ids of the alerts that end with it."""
        if self.state == "resolved":
            return self.alerts
        found = self.data.get("resolved") if self.state == "summary" else None
        return tuple(str(one) for one in found) if isinstance(found, list) else ()

    def told(self, name: str) -> str:
        """A field of `data` as text; "" where it is none."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""


class Renderer:
    """`external_url`: where people find the pages of this driftd, None: no links.

    `acts`: what a person can do about a delivery from where they read it (mute it, mark it as false): a line each, at
    most MOST_ACTS of them.
    """

    def __init__(
        self, external_url: str | None = None, acts: Callable[[Delivery], Sequence[str]] = lambda _: ()
    ) -> None:
        self._pages = external_url.rstrip("/") if external_url else None
        self._acts = acts

    def message(self, delivery: Delivery) -> Message:
        """A function of the delivery's body alone. Raises ValueError for one that is no JSON object."""
        document = json.loads(delivery.body)
        if not isinstance(document, dict):
            raise ValueError("a body is a JSON object")  # noqa: TRY004 - one error for a bad body
        raw = document.get("data")
        labels = raw.get("labels") if isinstance(raw, dict) else None
        runbook = labels.get("runbook") if isinstance(labels, dict) else None
        data: Mapping[str, Any] = inert(raw) if isinstance(raw, dict) else {}
        state = _STATES.get(delivery.type, "other")
        title, lines = _WORDS[state](data, delivery)
        return Message(
            delivery.id,
            delivery.type,
            state,
            _grade(state, data),
            delivery.timestamp,
            line(title),
            tuple(line(one) for one in (*lines[:MOST_WORDS], *self._acts(delivery)[:MOST_ACTS])),
            self._link(state, delivery),
            _url(runbook),
            data,
        )

    def _link(self, state: State, delivery: Delivery) -> str | None:
        if self._pages is None:
            return None
        if state in ("firing", "resolved", "requested"):
            return f"{self._pages}/api/v1/transitions/{quote(delivery.id, safe='')}"
        return f"{self._pages}/"


def line(text: str, most: int = LINE_CHARS) -> str:
    """On one line, with nothing that a terminal obeys, cut."""
    clean = printable(text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def inert(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Plain data with every text in it, keys too, on one line and without what a terminal obeys."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): inert(one) for key, one in value.items()}
    return [inert(one) for one in value] if isinstance(value, list) else value


def _url(text: object) -> str | None:
    """A label that is the address of a page. What no URL may hold is written as a URL writes it."""
    if not isinstance(text, str) or len(text) > URL_CHARS:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return quote(text, safe="/:?#@!$&'()*+,;=%~-._", errors="replace")


def _grade(state: State, data: Mapping[str, Any]) -> Grade:
    if state in ("firing", "resolved"):
        return "critical" if data.get("severity") == "critical" else "warning"
    return "info"


def _name(value: object) -> str:
    return line(str(value), NAME_CHARS)


def _subject(data: Mapping[str, Any]) -> str:
    """Which model, version and kind."""
    kind = data.get("kind", "prediction")
    whose = f"{_name(data.get('model', '?'))} {_name(data.get('version', ''))}".rstrip()
    return whose if kind == "prediction" else f"{whose} ({kind})"


def _signals(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = data.get("signals")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _of(signals: Sequence[Mapping[str, Any]]) -> str:
    if not signals:
        return "no signal"
    more = len(signals) - 1
    tail = f" and {more} more signal{'s' if more > 1 else ''}" if more else ""
    return _name(signals[0].get("signal", "?")) + tail


def _rows(signals: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{_name(one.get('signal', '?'))}: {words.movement(one)}" for one in signals[:NAMED]]


def _firing(data: Mapping[str, Any], _: Delivery) -> tuple[str, list[str]]:
    signals = _signals(data)
    title = f"[{data.get('severity', 'warning')}] {_subject(data)}: {_name(data.get('rule', '?'))} in {_of(signals)}"
    rest = [_name(one.get("signal", "?")) for one in signals[NAMED:]]
    told = [
        " ".join(filter(None, (words.compared(data), words.together(signals, rest)))),
        words.prediction(data, signals),
        words.sure(data, signals),
        words.deployed(data),
        words.next_step(data, signals),
    ]
    return title, [*_rows(signals), *(one for one in told if one)]


def _resolved(data: Mapping[str, Any], _: Delivery) -> tuple[str, list[str]]:
    signals = _signals(data)
    title = f"[resolved] {_subject(data)}: {_name(data.get('rule', '?'))} in {_of(signals)}"
    rest = len(signals) - NAMED
    told = [f"and {rest} more" if rest > 0 else "", words.over(data)]
    return title, [*(_rows(signals) if data.get("reason") == "calm" else []), *(one for one in told if one)]


def _requested(data: Mapping[str, Any], delivery: Delivery) -> tuple[str, list[str]]:
    signals = _signals(data)
    rows = [f"{_name(one.get('signal', '?'))}: {words.effect(one)}" for one in signals[:NAMED]]
    rest = len(signals) - NAMED
    told = [f"and {rest} more" if rest > 0 else "", words.policy(data), f"Request {delivery.id}"]
    return f"[retrain] {_subject(data)}: a retraining is asked for", [*rows, *(one for one in told if one)]


def _summary(data: Mapping[str, Any], _: Delivery) -> tuple[str, list[str]]:
    counts = [one for one in data.get("counts", []) if isinstance(one, dict)]
    rows = [
        f"{_name(one.get('model'))}: {_name(one.get('rule'))} {_name(one.get('type')).removeprefix('driftd.')}"
        f" {one.get('count')} times"
        for one in counts[:6]
    ]
    rest = len(counts) - 6 + int(data.get("counts_omitted", 0))
    told = [f"and {rest} other kinds" if rest > 0 else "", words.span(data.get("first"), data.get("last"))]
    title = f"[summary] {data.get('transitions', 0)} transitions of the past, told at once"
    return title, [*rows, *(one for one in told if one)]


def _heartbeat(data: Mapping[str, Any], _: Delivery) -> tuple[str, list[str]]:
    unready = [str(one) for one in data.get("unready", [])]
    lag = data.get("lag_records")
    told = [f"not ready: {reason}" for reason in unready[:5]]
    told.append("lag not known" if lag is None else f"{lag} records behind")
    return f"[heartbeat] driftd {_name(data.get('group', ''))} turns", told


def _test(data: Mapping[str, Any], _: Delivery) -> tuple[str, list[str]]:
    return "[test] " + str(data.get("message", "")), [f"group {data.get('group')}, receiver {data.get('receiver')}"]


def _other(_: Mapping[str, Any], delivery: Delivery) -> tuple[str, list[str]]:
    return f"[{_name(delivery.type)}] {delivery.id}", []


_WORDS: Final = {
    "firing": _firing,
    "resolved": _resolved,
    "requested": _requested,
    "summary": _summary,
    "heartbeat": _heartbeat,
    "test": _test,
    "other": _other,
}
