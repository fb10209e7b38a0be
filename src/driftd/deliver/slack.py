"""A channel of Slack: Block Kit, by a bot's token or by an incoming webhook.

Names are text, never markup: they stand in `plain_text` objects, and the three characters that Slack obeys are escaped
there, too. A bot edits the message of an alert when the alert resolves; what cannot be edited is told anew.

Sources: https://docs.slack.dev/reference/block-kit/blocks, .../messaging/formatting-message-text,
.../apis/web-api/rate-limits (one message a second a channel), .../reference/methods/chat.postMessage and chat.update.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from driftd.core.action import Delivery
from driftd.deliver.answer import outcome, shown
from driftd.deliver.exchange import TIMEOUT_S, Answer, Exchange, checked
from driftd.deliver.memory import Memory, done, done_with
from driftd.deliver.message import Message, Renderer
from driftd.deliver.receiver import Outcome, Refused, Retry, Sent

EVERY_S: Final = 1.0
"""At most one call in so many seconds."""
SECTION_CHARS: Final = 3_000
COLOURS: Final = {"critical": "#c62828", "warning": "#f9a825", "info": "#1565c0", "resolved": "#2e7d32"}
LATER: Final = frozenset(
    ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
     "team_added_to_org", "rollup_error")
)  # fmt: skip
"""Errors of Slack that say nothing against the message."""
UNEDITABLE: Final = frozenset(("message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"))
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Slack:
    """Used by one thread. `token` and `channel`, or `url`, the incoming webhook's."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        memory: Memory,
        *,
        token: str | None = None,
        channel: str | None = None,
        url: str | None = None,
        api_url: str = "https://slack.com/api",
        timeout_s: float = TIMEOUT_S,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._renderer, self._memory = renderer, memory
        self._token, self._channel = token, channel
        self._hook = url
        self._api = api_url.rstrip("/")
        self._exchange = Exchange(timeout_s)
        self._every_s, self._clock = every_s, clock
        self._free_at = 0.0

    def send(self, delivery: Delivery) -> Outcome:
        message = self._renderer.message(delivery)
        if self._hook is not None:
            answer = self._call(self._hook, payload(message), {})
            if isinstance(answer, Retry):
                return answer
            return outcome(answer.status, answer.retry_after, answer.text, self._clock())
        if done(self._memory, delivery.id):
            return Sent("posted before")
        told = self._edit(message) if message.ended else None
        if told is not None and (message.state == "resolved" or not isinstance(told, Sent)):
            return told
        return self._post(message)

    def close(self) -> None:
        self._exchange.close()

    # -- messages that are edited ------------------------------------------------------------------------------------

    def _post(self, message: Message) -> Outcome:
        said = self._method("chat.postMessage", {"channel": self._channel, **payload(message)})
        if not isinstance(said, dict):
            return said
        changes = done_with(self._memory, message.id)
        if message.state == "firing" and message.alerts:
            row = {"channel": said.get("channel"), "ts": said.get("ts"), "severity": message.severity}
            row |= {"title": message.title, "lines": message.lines, "link": message.link, "runbook": message.runbook}
            changes[f"message {message.id}"] = {**row, "alerts": message.alerts, "open": message.alerts}
            for alert in message.alerts:
                changes[f"alert {alert}"] = [*(self._memory.recall(f"alert {alert}") or ()), message.id]
        self._memory.remember(changes)
        return Sent("posted")

    def _edit(self, message: Message) -> Outcome | None:
        """Mark what it ends in the messages that told of it. None: there is none, or one of them cannot be edited."""
        ended = set(message.ended)
        known = {alert: self._memory.recall(f"alert {alert}") or [] for alert in message.ended}
        told_by = dict.fromkeys(told for messages in known.values() for told in messages)
        rows = {told: row for told in told_by if (row := self._memory.recall(f"message {told}")) is not None}
        lost = not any(known.values())
        for told, row in rows.items():
            still = [alert for alert in row["open"] if alert not in ended]
            body = payload(edited(message, row, len(still)))
            said = self._method("chat.update", {"channel": row["channel"], "ts": row["ts"], **body})
            if isinstance(said, Refused) and said.answer in UNEDITABLE:
                lost = True
            elif not isinstance(said, dict):
                return said
            self._memory.remember({f"message {told}": {**row, "open": still} if still else None})
        if lost:
            return None
        changes = done_with(self._memory, message.id) if message.state == "resolved" else {}
        self._memory.remember({**changes, **{f"alert {alert}": None for alert in ended}})
        return Sent(f"edited {len(rows)} message{'s' if len(rows) > 1 else ''}")

    # -- calls -------------------------------------------------------------------------------------------------------

    def _method(self, method: str, body: dict[str, object]) -> dict[str, Any] | Outcome:
        """What Slack answered, or what became of the call."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json; charset=utf-8"}
        answer = self._call(f"{self._api}/{method}", body, headers)
        if isinstance(answer, Retry):
            return answer
        if answer.status != 200:
            return outcome(answer.status, answer.retry_after, answer.text, self._clock())
        try:
            said = json.loads(answer.text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            return Retry("Slack's answer is no JSON object", None, shown(answer.text))
        if said.get("ok") is True:
            return said
        error = shown(str(said.get("error")))
        return Retry("Slack is not able to", None, error) if error in LATER else Refused("Slack refuses it", error)

    def _call(self, url: str, body: dict[str, object], headers: dict[str, str]) -> Answer | Retry:
        wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        content = json.dumps(body, ensure_ascii=False).encode()
        answer = self._exchange.post(checked(url, "Slack"), content, headers)
        self._free_at = time.monotonic() + self._every_s  # from its end: the way there may have been long
        return answer


def edited(ending: Message, row: dict[str, Any], still: int) -> Message:
    """The message that is in the channel, with what ended now."""
    many = len(row["alerts"])
    over = ending.lines[-1] if ending.state == "resolved" and ending.lines else "Over, as a later summary tells."
    told = f"Resolved: {over}" if not still else f"{many - still} of {many} signals are resolved."
    title = f"[resolved] {row['title'].partition('] ')[2]}" if not still else row["title"]
    return replace(
        ending,
        state="firing" if still else "resolved",
        severity=row["severity"],
        title=title,
        lines=(*row["lines"], told),
        link=row["link"],
        runbook=row["runbook"],
    )


def payload(message: Message) -> dict[str, object]:
    """The message without its channel. `text` is what a notification on a phone shows."""
    colour = COLOURS["resolved" if message.state == "resolved" else message.severity]
    inner: list[dict[str, object]] = []
    if message.lines:
        inner.append({"type": "section", "text": _plain("\n".join(message.lines), SECTION_CHARS)})
    links = [f"<{escaped(url)}|{name}>" for name, url in (("Look", message.link), ("Runbook", message.runbook)) if url]
    if links:
        inner.append({"type": "section", "text": {"type": "mrkdwn", "text": "   ".join(links), "verbatim": True}})
    inner.append({"type": "context", "elements": [_plain(message.id, SECTION_CHARS)]})
    return {
        "text": escaped(message.title, SECTION_CHARS),
        "blocks": [{"type": "section", "text": _plain(message.title, SECTION_CHARS)}],
        "attachments": [{"color": colour, "blocks": inner}],
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _plain(text: str, most: int) -> dict[str, object]:
    return {"type": "plain_text", "text": escaped(text, most), "emoji": False}


def escaped(text: str, most: int = SECTION_CHARS) -> str:
    """Without the characters that Slack obeys, and no longer than it takes, both as it counts."""
    out: list[str] = []
    size = 0
    for character in text:
        piece = _ESCAPES.get(character, character)
        size += len(piece)
        if size > most - 1:
            return "".join(out) + "…"
        out.append(piece)
    return "".join(out)
