"""A channel or chat of Microsoft Teams: an Adaptive Card to the webhook of a workflow.

Text stands in `TextRun`s, which know no Markdown; only the functions in double braces that a card may hold are broken
up. A card cannot be edited by a webhook: what resolves is a card of its own.

Sources: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook,
https://adaptivecards.io/explorer (a message has at most 28 KB; four a second).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from driftd.core.action import Delivery
from driftd.deliver.answer import outcome
from driftd.deliver.exchange import TIMEOUT_S, Exchange, checked
from driftd.deliver.message import Message, Renderer
from driftd.deliver.receiver import Outcome, Retry

MOST_BYTES: Final = 28_000
STYLES: Final = {"critical": "attention", "warning": "warning", "info": "accent", "resolved": "good"}


class Teams:
    """Used by one thread."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        *,
        url: str,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._renderer = renderer
        self._url = checked(url, "a workflow")
        self._exchange = Exchange(timeout_s)
        self._clock = clock

    def send(self, delivery: Delivery) -> Outcome:
        answer = self._exchange.post(self._url, fitted(self._renderer.message(delivery)), {})
        if isinstance(answer, Retry):
            return answer
        return outcome(answer.status, answer.retry_after, answer.text, self._clock())

    def close(self) -> None:
        self._exchange.close()


def fitted(message: Message) -> bytes:
    """As JSON, within what Teams takes: lines are left out from the end."""
    lines = list(message.lines)
    while len(raw := json.dumps(_envelope(message, lines), ensure_ascii=False).encode()) > MOST_BYTES and lines:
        lines.pop()
    return raw


def _envelope(message: Message, lines: list[str]) -> dict[str, Any]:
    style = STYLES["resolved" if message.state == "resolved" else message.severity]
    title = {"type": "Container", "style": style, "bleed": True, "items": [_text(message.title, weight="bolder")]}
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [title, *(_text(line) for line in lines), _text(message.id, size="small", isSubtle=True)],
    }
    links = [(name, url) for name, url in (("Look", message.link), ("Runbook", message.runbook)) if url]
    if links:
        card["actions"] = [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in links]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **look: object) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": broken_up(text), **look}]}


def broken_up(text: str) -> str:
    """A zero-width space between braces: `{{DATE(...)}}` stays what somebody called a feature."""
    return text.replace("{{", "{\u200b{").replace("}}", "}\u200b}")
