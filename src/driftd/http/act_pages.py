"""The small page behind a signed link in a message: it says what will happen, and does it when that is confirmed.

The rule this file keeps: following a link changes nothing, for programs that scan mail follow links; and nothing is
said of any alert to whom the link was not signed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftd.core import link
from driftd.core.act import AUTHOR_CHARS, REASON_CHARS, Act
from driftd.core.fault import UserError
from driftd.http.acts import Links, Spoken, body_of, refuse_other_sites
from driftd.http.documents import time_of
from driftd.http.pages import page, policy

HOURS: Final = {"1": "1 hour", "4": "4 hours", "12": "12 hours", "24": "a day", "72": "three days", "168": "a week"}
USUAL: Final = "4"
SHOWN: Final = 10
"""Signals that are named."""
_FORM: Final = {"Content-Security-Policy": policy(form_action="'self'")}


class ActPages:
    def __init__(self, links: Links | None, clock: Callable[[], float] = time.time) -> None:
        """`links` None: none are signed here."""
        self._links, self._clock = links, clock

    def routes(self) -> list[Route]:
        return [
            Route("/act/{verb}/{id}", self.ask),
            Route("/act/{verb}/{id}", self.do, methods=["POST"]),
        ]

    def ask(self, request: Request) -> Response:
        links = self._holding(request)
        if isinstance(links, Response):
            return links
        try:
            spoken = links.verbs.spoken_of(request.path_params["id"])
        except UserError as fault:
            return _refusal(404 if fault.exit_code == 2 else 503, str(fault))
        return _asking(_verb(request), spoken)

    async def do(self, request: Request) -> Response:
        refuse_other_sites(request)
        links = self._holding(request)
        if isinstance(links, Response):
            return links
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/x-www-form-urlencoded":
            return _refusal(415, "only the form of this page is understood")
        said = parse_qs((await body_of(request)).decode("utf-8", "replace"), max_num_fields=10)
        fields = {name: values[0] for name, values in said.items()}
        return await run_in_threadpool(_do, links, _verb(request), request.path_params["id"], fields)

    def _holding(self, request: Request) -> Links | Response:
        """What the link lets somebody do; or the page that refuses it, the same for whatever is wrong."""
        verb, id_ = request.path_params["verb"], request.path_params["id"]
        until, _, signed = request.query_params.get("signed", "").partition(".")
        now = round(self._clock() * 1000)
        links = self._links
        if links is None or verb not in link.LINK_VERBS or not link.holds(links.key, verb, id_, until, signed, now):
            return _refusal(
                403, f"this link does not hold: it was changed, or is older than {link.LIFE_DAYS} days, or another's"
            )
        return links


def _do(links: Links, verb: link.LinkVerb, id_: str, fields: dict[str, str]) -> Response:
    try:
        spoken = links.verbs.spoken_of(id_)
    except UserError as fault:
        return _refusal(404 if fault.exit_code == 2 else 503, str(fault))
    try:
        act = _act(links, verb, id_, spoken, fields)
    except UserError as fault:
        status = 400 if fault.exit_code == 2 else 503
        return _asking(verb, spoken, status=status, problem=str(fault), fields=fields)
    return page("act.html", step="done", act=act, until=time_of(act.until), **_told(verb, spoken))


def _act(links: Links, verb: link.LinkVerb, id_: str, spoken: Spoken, fields: dict[str, str]) -> Act:
    author, reason = fields.get("author", ""), fields.get("reason", "")
    if verb == "acknowledge":
        return links.verbs.acknowledge(id_, author, reason)
    if verb == "false":
        return links.verbs.mark_false(id_, author, reason)
    hours = fields.get("hours", USUAL)
    if hours not in HOURS:
        raise UserError("for how long is not one of those offered", "choose one")
    return links.verbs.mute(
        author,
        reason,
        model=spoken.model,
        rule=spoken.rule,
        signals=tuple(one.signal for one in spoken.named),
        for_=int(hours) * 3_600_000,
    )


def _asking(
    verb: link.LinkVerb,
    spoken: Spoken,
    *,
    status: int = 200,
    problem: str | None = None,
    fields: dict[str, str] | None = None,
) -> Response:
    return page(
        "act.html",
        status=status,
        headers=_FORM,
        step="ask",
        problem=problem,
        fields={"author": "", "reason": "", "hours": USUAL} | (fields or {}),
        hours=HOURS,
        author_chars=AUTHOR_CHARS,
        reason_chars=REASON_CHARS,
        **_told(verb, spoken),
    )


def _told(verb: link.LinkVerb, spoken: Spoken) -> dict[str, Any]:
    names = list(dict.fromkeys(one.signal for one in spoken.named))
    return {
        "verb": verb,
        "model": spoken.model,
        "rule": spoken.rule,
        "signals": names[:SHOWN],
        "more_signals": max(0, len(names) - SHOWN),
    }


def _refusal(status: int, problem: str) -> Response:
    return page("act.html", status=status, step="refused", problem=problem)


def _verb(request: Request) -> link.LinkVerb:
    """After `_holding`."""
    return cast("link.LinkVerb", request.path_params["verb"])
