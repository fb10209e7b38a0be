"""A service of PagerDuty by its Events API v2.

One incident a (model, version, kind, rule): further signals of the rule join it, and it is resolved when the last of
them is. What is no alert (a request for retraining, a summary of the past) is a change event: it pages nobody.

Sources: https://developer.pagerduty.com/docs/send-alert-event, .../send-change-event, .../events-api-v2-overview
(dedup_key of at most 255 characters, summary 1,024, an event 512 kB).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from driftd.core.action import Delivery, rfc3339, stable_id
from driftd.deliver.answer import outcome
from driftd.deliver.exchange import TIMEOUT_S, Exchange, checked
from driftd.deliver.memory import Memory
from driftd.deliver.message import Message, Renderer
from driftd.deliver.receiver import Outcome, Retry, Sent

MOST_BYTES: Final = 512_000
SUMMARY_CHARS: Final = 1_024


class PagerDuty:
    """Used by one thread. `group` keeps installations that share a service apart."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        memory: Memory,
        *,
        routing_key: str,
        group: str,
        url: str = "https://events.pagerduty.com",
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._renderer, self._memory = renderer, memory
        self._routing_key, self._group = routing_key, group
        self._url = url.rstrip("/")
        self._exchange = Exchange(timeout_s)
        self._clock = clock

    def send(self, delivery: Delivery) -> Outcome:
        message = self._renderer.message(delivery)
        if message.state == "firing":
            return self._fire(message)
        if message.state == "resolved":
            return self._end(message)
        if message.state == "test":
            key = stable_id("inc", self._group, message.id)
            sent = self._enqueue(self._event("trigger", key, message))
            return self._enqueue(self._event("resolve", key)) if isinstance(sent, Sent) else sent
        ended = self._end(message)
        return self._change(message) if isinstance(ended, Sent) else ended

    def close(self) -> None:
        self._exchange.close()

    def _fire(self, message: Message) -> Outcome:
        key = self.dedup_key(message)
        sent = self._enqueue(self._event("trigger", key, message))
        if isinstance(sent, Sent):
            still = {*(self._memory.recall(f"incident {key}") or ()), *message.alerts}
            alerts = {f"alert {alert}": key for alert in message.alerts}
            self._memory.remember({f"incident {key}": sorted(still), **alerts})
        return sent

    def _end(self, message: Message) -> Outcome:
        """Resolve the incidents of which nothing is left; the others go on."""
        keys = {alert: self._memory.recall(f"alert {alert}") for alert in message.ended}
        if message.state == "resolved" and not any(keys.values()):
            # Nothing is known of it (a state directory was lost): what the body names is over all the same.
            return self._enqueue(self._event("resolve", self.dedup_key(message)))
        told = Sent("nothing of it is left to resolve")
        for key in sorted({key for key in keys.values() if key}):
            still = set(self._memory.recall(f"incident {key}") or ()) - set(message.ended)
            if still:
                told = Sent(f"{len(still)} of the incident's alerts still fire: it stays open")
            else:
                sent = self._enqueue(self._event("resolve", key))
                if not isinstance(sent, Sent):
                    return sent
                told = sent
            over = {f"alert {alert}": None for alert, of in keys.items() if of == key}
            self._memory.remember({f"incident {key}": sorted(still) or None, **over})
        return told

    def dedup_key(self, message: Message) -> str:
        parts = (message.told(name) for name in ("model", "version", "kind", "rule"))
        return stable_id("inc", self._group, *parts)

    # -- events ------------------------------------------------------------------------------------------------------

    def _event(self, action: str, key: str, message: Message | None = None) -> dict[str, Any]:
        event: dict[str, Any] = {"routing_key": self._routing_key, "event_action": action, "dedup_key": key}
        if message is not None:
            event |= {"client": "driftd", "links": _links(message)}
            if message.link:
                event["client_url"] = message.link
            event["payload"] = {
                **self._payload(message),
                "severity": message.severity,
                "component": message.told("model"),
                "group": self._group,
                "class": message.told("rule"),
            }
        return event

    def _payload(self, message: Message) -> dict[str, Any]:
        source = " ".join(part for part in (message.told("model"), message.told("version")) if part)
        return {
            "summary": message.title[:SUMMARY_CHARS],
            "source": source[:SUMMARY_CHARS] or "driftd",
            "timestamp": rfc3339(message.timestamp),
            "custom_details": {"text": "\n".join(message.lines), "id": message.id, "data": dict(message.data)},
        }

    def _enqueue(self, event: dict[str, Any]) -> Outcome:
        return self._post("/v2/enqueue", event)

    def _change(self, message: Message) -> Outcome:
        event = {"routing_key": self._routing_key, "payload": self._payload(message), "links": _links(message)}
        return self._post("/v2/change/enqueue", event)

    def _post(self, path: str, event: dict[str, Any]) -> Outcome:
        answer = self._exchange.post(checked(self._url + path, "PagerDuty"), fitted(event), {})
        if isinstance(answer, Retry):
            return answer
        return outcome(answer.status, answer.retry_after, answer.text, self._clock())


def fitted(event: dict[str, Any]) -> bytes:
    """As JSON, within what PagerDuty takes: of many signals the worst, and how many were left out; else the text alone."""
    raw = json.dumps(event, ensure_ascii=False).encode()
    if len(raw) <= MOST_BYTES:
        return raw
    payload = event["payload"]
    details, data = payload["custom_details"], payload["custom_details"]["data"]
    signals = data.get("signals", [])
    kept = len(signals)
    while kept and len(raw) > MOST_BYTES:
        kept //= 2
        less = {**data, "signals": signals[:kept], "signals_omitted": len(signals) - kept}
        slim = {**event, "payload": {**payload, "custom_details": {**details, "data": less}}}
        raw = json.dumps(slim, ensure_ascii=False).encode()
    if len(raw) > MOST_BYTES:
        bare = {**event, "payload": {**payload, "custom_details": {**details, "data": {}}}}
        raw = json.dumps(bare, ensure_ascii=False).encode()
    return raw


def _links(message: Message) -> list[dict[str, str]]:
    return [{"href": url, "text": text} for text, url in (("Look", message.link), ("Runbook", message.runbook)) if url]
