"""Alertmanagers by their v2 API: one alert a signal, sent again until it is resolved, as Prometheus does.

An alert that is not sent again ends by itself: every sending carries an `endsAt` a few rounds ahead. What fires is kept
in the memory, so that it goes on being sent after a restart. What is no alert is sent once and ends by itself.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml; Prometheus' notifier for the rest.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from driftd.core.action import Delivery
from driftd.deliver import words
from driftd.deliver.answer import outcome
from driftd.deliver.exchange import TIMEOUT_S, Answer, Exchange, checked
from driftd.deliver.memory import Memory
from driftd.deliver.message import Message, Renderer
from driftd.deliver.receiver import Outcome, Refused, Retry, Sent

ROUNDS: Final = 4
"""An alert ends by itself when it was not sent again for so many rounds."""
ONCE_S: Final = 600.0
"""How long something stands that is no alert."""
AT_ONCE: Final = 500
"""Alerts in one request."""

Alert = dict[str, Any]


class Alertmanager:
    """Used by one thread. All of a cluster are told, and it is enough that one of them has it: the others are given
    all that fires in the next round.
    """

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        memory: Memory,
        *,
        urls: Sequence[str],
        resend_every_s: float = 60.0,
        basic: tuple[str, str] | None = None,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`basic`: user and password."""
        self.name = name
        self._renderer, self._memory = renderer, memory
        self._peers = [(checked(f"{url.rstrip('/')}/api/v2/alerts", name), Exchange(timeout_s)) for url in urls]
        self._every_s = resend_every_s
        self._headers = _authorization(basic, token)
        self._clock, self._monotonic = clock, monotonic
        self._next_round = monotonic()

    def send(self, delivery: Delivery) -> Outcome:
        message = self._renderer.message(delivery)
        if message.state == "firing":
            return self._fire(message)
        ended = self._end(message) if message.ended else Sent()
        if message.state == "resolved" or not isinstance(ended, Sent):
            return ended
        stands = ROUNDS * self._every_s if message.state == "heartbeat" else ONCE_S
        return self._post([self._alert(message, {}, _NAMES.get(message.state, "DriftdNotice"), stands)])

    def tend(self) -> Outcome | None:
        """Send again what fires, when it is time; None: it is not."""
        if self._monotonic() < self._next_round:
            return None
        self._next_round = self._monotonic() + self._every_s
        alerts = [self._still(row) for row in self._memory.all("alert ").values()]
        return self._post(alerts) if alerts else None

    def close(self) -> None:
        for _, exchange in self._peers:
            exchange.close()

    def _fire(self, message: Message) -> Outcome:
        rows: dict[str, object] = {}
        alerts: list[Alert] = []
        for signal in message.signals:
            key = f"alert {signal.get('alert_id')}"
            row = self._alert(message, signal, _alert_name(message), 0.0)
            before = self._memory.recall(key)
            if before is not None and before["labels"] != row["labels"]:
                alerts.append(self._over(before))  # its severity rose: to Alertmanager that is another alert
            rows[key] = row
            alerts.append(self._still(row))
        sent = self._post(alerts)
        if isinstance(sent, Sent):
            self._memory.remember(rows)
        return sent

    def _end(self, message: Message) -> Outcome:
        known = {alert: self._memory.recall(f"alert {alert}") for alert in message.ended}
        rows = [row for row in known.values() if row is not None]
        if message.state == "resolved":  # what was told before the memory was lost ends all the same
            unknown = [one for one in message.signals if known.get(str(one.get("alert_id"))) is None]
            rows += [self._alert(message, one, _alert_name(message), 0.0) for one in unknown]
        sent = self._post([self._over(row) for row in rows]) if rows else Sent("nothing of it was told here")
        if isinstance(sent, Sent):
            self._memory.remember({f"alert {alert}": None for alert in known})
        return sent

    # -- alerts ------------------------------------------------------------------------------------------------------

    def _alert(self, message: Message, signal: Mapping[str, Any], name: str, stands_s: float) -> Alert:
        """`stands_s` 0: without an end, as it is remembered."""
        raw = message.data.get("labels")
        labels = {str(key): str(value) for key, value in raw.items()} if isinstance(raw, dict) else {}
        labels |= {
            "alertname": name,
            "model": message.told("model"),
            "version": message.told("version"),
            "kind": message.told("kind"),
            "rule": message.told("rule"),
            "signal": str(signal.get("signal", "")),
            "severity": str(signal.get("severity", message.severity)),
        }
        told = [f"{signal.get('signal')}: {words.movement(signal)}"] if signal else []
        annotations = {"summary": message.title, "description": "\n".join((*told, *message.lines)), "id": message.id}
        if message.runbook:
            annotations["runbook_url"] = message.runbook
        begun = signal.get("onset")
        starts = _seconds(begun) if isinstance(begun, str) else message.timestamp / 1000
        alert: Alert = {
            # A label without a value is no label there.
            "labels": {key: value for key, value in labels.items() if value and key != "runbook"},
            "annotations": annotations,
            "startsAt": _instant(min(starts, self._clock())),
        }
        if message.link:
            alert["generatorURL"] = message.link
        return {**alert, "endsAt": _instant(self._clock() + stands_s)} if stands_s else alert

    def _still(self, row: Alert) -> Alert:
        return {**row, "endsAt": _instant(self._clock() + ROUNDS * self._every_s)}

    def _over(self, row: Alert) -> Alert:
        return {**row, "endsAt": _instant(self._clock())}

    def _post(self, alerts: Sequence[Alert]) -> Outcome:
        said = Outcomes()
        for url, exchange in self._peers:
            for first in range(0, len(alerts), AT_ONCE):
                content = json.dumps(alerts[first : first + AT_ONCE], ensure_ascii=False).encode()
                if not said.take(self._meaning(exchange.post(url, content, self._headers))):
                    break
            else:
                said.whole += 1
        return said.best()

    def _meaning(self, answer: Answer | Retry) -> Outcome:
        if isinstance(answer, Retry):
            return answer
        return outcome(answer.status, answer.retry_after, answer.text, self._clock())


class Outcomes:
    """What several said to the same thing."""

    def __init__(self) -> None:
        self.whole = 0
        self._sent: Sent | None = None
        self._worst: Outcome | None = None

    def take(self, outcome: Outcome) -> bool:
        """Whether it was taken."""
        if isinstance(outcome, Sent):
            self._sent = outcome
            return True
        if self._worst is None or isinstance(outcome, Retry):
            self._worst = outcome
        return False

    def best(self) -> Outcome:
        """Sent if one has all of it; else rather what says "later"."""
        if self.whole and self._sent is not None:
            return self._sent
        return self._worst or Refused("there is nobody to tell")


_NAMES: Final = {
    "requested": "DriftdRetrainRequested",
    "summary": "DriftdSummary",
    "heartbeat": "DriftdHeartbeat",
    "test": "DriftdTest",
}


def _alert_name(message: Message) -> str:
    """DriftdVersionSkew of the rule `version-skew`."""
    return "Driftd" + "".join(part[:1].upper() + part[1:] for part in re.findall(r"[A-Za-z0-9]+", message.told("rule")))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _authorization(basic: tuple[str, str] | None, token: str | None) -> dict[str, str]:
    if token is not None:
        return {"authorization": f"Bearer {token}"}
    if basic is None:
        return {}
    return {"authorization": "Basic " + base64.b64encode(":".join(basic).encode()).decode()}
