"""Slack, PagerDuty and Teams on loopback: they check what the real ones document, and answer as those do.

What breaks a rule is answered as the real one answers it, and kept in `faults`: a test wants none there.
"""

from __future__ import annotations

import itertools
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from tests.deliver import endpoint as answers
from tests.deliver.endpoint import Answer, Endpoint, Request

TOKEN, CHANNEL, KEY = "xoxb-1-secret", "C0123456789", "k" * 32


@dataclass
class Service(Endpoint, ABC):
    """`script`: what the next requests get instead of a judgement."""

    faults: list[str] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    """What people have been shown, in order: `text`, and what there is to know of it."""

    def take(self, request: Request) -> Answer:
        with self.changed:
            self.requests.append(request)
            answer = self.script.pop(0) if self.script else self.judge(request)
            self.changed.notify_all()
            return answer

    @abstractmethod
    def judge(self, request: Request) -> Answer: ...

    def document(self, request: Request) -> Any:
        try:
            document = json.loads(request.body.decode("utf-8"))
        except ValueError:
            document = None
        self.holds(isinstance(document, dict), "the body is no JSON object")
        self.holds(request.headers.get("content-type", "").startswith("application/json"), "not JSON by its header")
        return document if isinstance(document, dict) else {}

    def holds(self, rule: object, fault: str) -> bool:
        if not rule:
            self.faults.append(fault)
        return bool(rule)


def ok(code: int, document: object) -> Answer:
    return answers.status(code, json.dumps(document).encode(), content_type="application/json")


# -- Slack ------------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"<https?://[^<>|\s]+\|[^<>|]*>")


@dataclass
class Slack(Service):
    """Block Kit, chat.postMessage and chat.update, and the URL of an incoming webhook."""

    gap_s: float = 0.0
    """The least time between two messages."""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By ts, as they stand now."""
    _last: float = 0.0
    _count: Iterator[int] = field(default_factory=itertools.count)

    def judge(self, request: Request) -> Answer:
        early = request.at - self._last < self.gap_s
        self._last = request.at
        if not self.holds(not early, "more than a message a second"):
            return answers.status(429, retry_after="1")
        document = self.document(request)
        before = len(self.faults)
        if request.path == "/services/T0/B0/secret":
            self._message(document)
            if len(self.faults) > before:
                return answers.status(400, b"invalid_payload")
            self._show(document, edit=False)
            return answers.status(200, b"ok", content_type="text/html")
        return ok(200, self._method(request, document, before))

    def _method(self, request: Request, document: dict[str, Any], before: int) -> dict[str, Any]:
        error = None
        if not self.holds(request.headers.get("authorization") == f"Bearer {TOKEN}", "not who may"):
            error = "invalid_auth"
        elif document.get("channel") != CHANNEL:
            error = "channel_not_found"
        else:
            self._message(document)
            if len(self.faults) > before:
                error = "invalid_blocks"
        edit = request.path == "/api/chat.update"
        ts = document.get("ts") if edit else f"1795430000.{next(self._count):06}"
        if edit and ts not in self.messages:
            error = error or "message_not_found"
        if error is not None:
            return {"ok": False, "error": error}
        self.messages[str(ts)] = document
        self._show(document, edit=edit)
        return {"ok": True, "channel": CHANNEL, "ts": ts}

    def _show(self, document: dict[str, Any], *, edit: bool) -> None:
        blocks = [*document["blocks"], *(b for a in document["attachments"] for b in a["blocks"])]
        texts = [t["text"] for b in blocks for t in (b.get("elements") or [b["text"]])]
        shown = "\n".join(texts).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        self.shown.append({"text": shown, "edit": edit, "colour": document["attachments"][0]["color"]})

    def _message(self, document: dict[str, Any]) -> None:
        text = document.get("text")
        self.holds(isinstance(text, str) and 0 < len(text) <= 40_000, "no text, or too long")
        self._inert(str(text), markup=True)
        blocks = document.get("blocks", [])
        for attachment in document.get("attachments", []):
            self.holds(re.fullmatch("#[0-9a-f]{6}", attachment["color"]), "a colour is #rrggbb")
            self.holds(len(attachment["blocks"]) <= 50, "more than 50 blocks")
            blocks = [*blocks, *attachment["blocks"]]
        self.holds(0 < len(blocks) <= 100, "no block")
        for block in blocks:
            self._block(block)

    def _block(self, block: dict[str, Any]) -> None:
        kind = block.get("type")
        if kind == "context":
            self.holds(1 <= len(block["elements"]) <= 10, "a context has 1 to 10 elements")
            texts = block["elements"]
        elif self.holds(kind == "section", f"no block is called {kind}"):
            texts = [block["text"]]
        else:
            texts = []
        for text in texts:
            self.holds(text["type"] in ("plain_text", "mrkdwn"), "no such text")
            self.holds(0 < len(text["text"]) <= 3_000, "a text has 1 to 3000 characters")
            self.holds(text["type"] == "mrkdwn" or "verbatim" not in text, "plain text has no verbatim")
            self.holds(text["type"] == "plain_text" or "emoji" not in text, "mrkdwn has no emoji")
            self._inert(text["text"], markup=text["type"] == "mrkdwn")

    def _inert(self, text: str, *, markup: bool) -> None:
        bare = _LINK.sub("", text) if markup else text
        self.holds(not re.search("[<>]", bare), f"an unescaped bracket: {bare!r}")
        self.holds(not re.search("&(?!amp;|lt;|gt;)", bare), f"an unescaped ampersand: {bare!r}")


# -- PagerDuty --------------------------------------------------------------------------------------------------------


@dataclass
class PagerDuty(Service):
    """Events API v2: alert and change events."""

    incidents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By dedup_key: the newest payload, and whether it is open."""
    changes: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, request: Request) -> Answer:
        before = len(self.faults)
        if not self.holds(len(request.body) <= 512_000, "an event is larger than 512 kB"):
            return answers.status(413)
        event = self.document(request)
        self.holds(re.fullmatch("[0-9a-zA-Z]{32}", str(event.get("routing_key"))), "a routing key has 32 characters")
        for link in event.get("links", []):
            self.holds(str(link.get("href")).startswith(("http://", "https://")), "a link without address")
        if request.path == "/v2/change/enqueue":
            self._payload(event.get("payload", {}))
            self.changes.append(event)
        elif self.holds(request.path == "/v2/enqueue", "no such path"):
            self._alert(event)
        if len(self.faults) > before:
            return ok(400, {"status": "invalid event", "message": "Event object is invalid", "errors": self.faults})
        return ok(202, {"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key")})

    def _alert(self, event: dict[str, Any]) -> None:
        action, key = event.get("event_action"), str(event.get("dedup_key", ""))
        self.holds(action in ("trigger", "resolve"), "no such action")
        self.holds(0 < len(key) <= 255, "a dedup_key has at most 255 characters")
        if action == "resolve":
            self.incidents.get(key, {})["open"] = False
            self.shown.append({"text": "", "resolve": key})
            return
        payload = event.get("payload", {})
        self._payload(payload)
        self.holds(payload.get("severity") in ("critical", "error", "warning", "info"), "no such severity")
        self.holds(payload.get("source"), "no source")
        self.incidents[key] = {"open": True, **payload}
        self.shown.append({"text": f"{payload.get('summary')}\n{payload['custom_details']['text']}\n"
                                  f"{payload['custom_details']['id']}", "trigger": key})  # fmt: skip

    def _payload(self, payload: dict[str, Any]) -> None:
        self.holds(0 < len(payload.get("summary", "")) <= 1_024, "a summary has 1 to 1024 characters")
        self.holds(datetime.fromisoformat(payload["timestamp"]), "no ISO 8601")


# -- Teams ------------------------------------------------------------------------------------------------------------


@dataclass
class Teams(Service):
    """The webhook of a workflow."""

    def judge(self, request: Request) -> Answer:
        before = len(self.faults)
        if not self.holds(len(request.body) <= 28 * 1024, "a message is larger than 28 KB"):
            return answers.status(413)
        document = self.document(request)
        self.holds(document.get("type") == "message", "no message")
        (attachment,) = document.get("attachments", [{}])
        self.holds(attachment.get("contentType") == "application/vnd.microsoft.card.adaptive", "no card")
        card = attachment.get("content", {})
        self.holds(card.get("type") == "AdaptiveCard" and card.get("version") in ("1.2", "1.3", "1.4"), "no card")
        texts = [text for element in card.get("body", []) for text in self._texts(element)]
        for action in card.get("actions", []):
            self.holds(action["type"] == "Action.OpenUrl" and re.match("https?://", action["url"]), "no such action")
        for text in texts:
            self.holds("{{" not in text, f"a template function: {text!r}")
        if len(self.faults) > before:
            return answers.status(400, b"Bad payload received by generic incoming webhook.")
        self.shown.append({"text": "\n".join(texts), "style": card["body"][0]["style"]})
        return answers.status(202)

    def _texts(self, element: dict[str, Any]) -> Iterator[str]:
        if element["type"] == "Container":
            self.holds(element["style"] in ("default", "emphasis", "good", "attention", "warning", "accent"), "a style")
            for item in element["items"]:
                yield from self._texts(item)
        elif self.holds(element["type"] == "RichTextBlock", "text in which Markdown is obeyed"):
            for run in element["inlines"]:
                self.holds(run["type"] == "TextRun" and isinstance(run["text"], str), "no run of text")
                yield run["text"]


S = TypeVar("S", bound=Service)


@contextmanager
def serve(service: S) -> Iterator[S]:
    with answers.serving(service):
        yield service
