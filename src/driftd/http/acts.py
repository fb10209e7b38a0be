"""What a person does about an alert, by the API: the acts, the mutes that hold, and doing one.

A body is JSON and says so, which no other site's page can make a browser send unasked; and a request that a browser
says is of another site's page is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, cast

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from driftd.core.act import VERBS, Act, Named, Standing, Verb
from driftd.core.fault import UserError
from driftd.http import documents
from driftd.http.answers import Query, json_response

BODY_BYTES: Final = 262_144
FIELDS: Final[Mapping[Verb, frozenset[str]]] = {
    "acknowledge": frozenset({"id", "author", "reason"}),
    "false": frozenset({"id", "author", "reason"}),
    "mute": frozenset({"id", "model", "rule", "signals", "for", "until", "author", "reason"}),
    "lift": frozenset({"number", "author", "reason"}),
}


class Spoken(Protocol):
    """What an id stands for."""

    @property
    def model(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def named(self) -> tuple[Named, ...]: ...


class Verbs(Protocol):
    """Who does it. Each raises UserError for what cannot be done, with exit code 2 where the request is at fault."""

    def acknowledge(self, id_: str, author: str, reason: str = "") -> Act: ...
    def mark_false(self, id_: str, author: str, reason: str) -> Act: ...
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
    ) -> Act: ...
    def lift(self, number: int, author: str, reason: str) -> Act: ...
    def spoken_of(self, id_: str) -> Spoken: ...
    def newest(self, limit: int) -> list[Act]: ...
    def standing(self) -> tuple[Standing, int]: ...


Duration = Callable[[str], float]
"""Seconds of `1h30m`. Raises UserError."""


@dataclass(frozen=True, slots=True)
class Links:
    """By which key links are signed, and who does what they let somebody do."""

    key: bytes
    verbs: Verbs


@dataclass(frozen=True, slots=True)
class Acting:
    """What lets a person do something here. `duration_s`: seconds of `1h30m`."""

    verbs: Verbs
    duration_s: Duration
    links: Links | None = None


def refuse_other_sites(request: Request) -> None:
    """A browser says where a request comes from."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise HTTPException(403, "a page of another site asks for this")


async def body_of(request: Request) -> bytes:
    """All of it. Raises a 413 for one that is too long."""
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > BODY_BYTES:
            raise HTTPException(413, f"a body has at most {BODY_BYTES} bytes")
    return bytes(read)


def refused(fault: UserError) -> HTTPException:
    return HTTPException(400 if fault.exit_code == 2 else 503, str(fault))


class ActApi:
    def __init__(self, acting: Acting | None) -> None:
        """None: nothing can be done here."""
        self._acting = acting

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/acts", self.acts),
            Route("/api/v1/acts", self.do, methods=["POST"]),
            Route("/api/v1/mutes", self.mutes),
        ]

    def acts(self, request: Request) -> Response:
        query = Query(request, "limit")
        return json_response({"acts": [documents.act(act) for act in self._known().newest(query.limit())]})

    def mutes(self, request: Request) -> Response:
        Query(request)
        standing, now = self._known().standing()
        return json_response({"acts": [documents.act(act) for act in standing.mutes_at(now)]})

    async def do(self, request: Request) -> Response:
        refuse_other_sites(request)
        Query(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "send JSON, with Content-Type: application/json")
        said = _said(await body_of(request))
        verbs = self._known()
        try:
            act = await run_in_threadpool(self._do, verbs, said)
        except UserError as fault:
            raise refused(fault) from None
        return json_response(documents.act(act), 201)

    def _do(self, verbs: Verbs, said: _Said) -> Act:
        author, reason = said.text("author"), said.text("reason", "")
        match said.verb:
            case "acknowledge":
                return verbs.acknowledge(said.text("id"), author, reason)
            case "false":
                return verbs.mark_false(said.text("id"), author, reason)
            case "lift":
                return verbs.lift(said.number("number"), author, reason)
            case "mute":
                return self._mute(verbs, said, author, reason)

    def _mute(self, verbs: Verbs, said: _Said, author: str, reason: str) -> Act:
        assert self._acting is not None
        for_ = round(self._acting.duration_s(said.text("for")) * 1000) if said.has("for") else None
        until = _instant(said.text("until")) if said.has("until") else None
        if not said.has("id"):
            model, rule, signals = said.text("model"), said.text("rule", ""), said.texts("signals")
        elif said.has("model") or said.has("rule") or said.has("signals"):
            raise UserError("an id says which model, rule and signals", "leave those out, or the id")
        else:
            it = verbs.spoken_of(said.text("id"))
            model, rule, signals = it.model, it.rule, tuple(one.signal for one in it.named)
        return verbs.mute(author, reason, model=model, rule=rule, signals=signals, until=until, for_=for_)

    def _known(self) -> Verbs:
        if self._acting is None:
            raise HTTPException(404, "acts are not stored here")
        return self._acting.verbs


class _Said:
    """The fields of a body, each what it should be or a UserError."""

    def __init__(self, verb: Verb, fields: Mapping[str, Any]) -> None:
        self.verb, self._fields = verb, fields

    def has(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._fields.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or (default is None and not value):
            raise UserError(f"{name} is a text", f'give "{name}": "..."')
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._fields.get(name)
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UserError(f"{name} is a list of texts", f'give "{name}": ["..."]')
        return tuple(value)

    def number(self, name: str) -> int:
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
            raise UserError(f"{name} is a whole number", "/api/v1/acts gives the number of each")
        return value


def _said(body: bytes) -> _Said:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise HTTPException(400, "the body is a JSON object")
    verb = document.pop("verb", None)
    if verb not in VERBS:
        raise HTTPException(400, f"verb is one of {', '.join(VERBS)}")
    verb = cast("Verb", verb)
    if unknown := sorted(document.keys() - FIELDS[verb]):
        raise HTTPException(400, f"unknown: {unknown[0]!r}; known of {verb}: {', '.join(sorted(FIELDS[verb]))}")
    return _Said(verb, document)


def _instant(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is not a time", "write 2026-11-23T10:00:00Z") from None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)
