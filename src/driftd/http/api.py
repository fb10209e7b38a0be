"""The routes that answer in JSON or in the metrics' formats. All but `/-/reload` only read; what a person does is
`driftd.http.acts`.

What is not known is a 404, what cannot be understood a 400 that says what would be; every error is
`{"error": "..."}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from driftd.core.act import Standing
from driftd.core.fault import UserError
from driftd.core.view import Judged
from driftd.http import documents, openapi
from driftd.http.acts import refuse_other_sites
from driftd.http.answers import Query, error_response, json_response
from driftd.http.collector import Exposition, ViewCollector
from driftd.http.exposition import OPENMETRICS, TEXT, gzipped, wants_gzip, wants_openmetrics
from driftd.http.health import dead, unready
from driftd.http.published import Published


class _Anything(StringConvertor):
    """The rest of a path, slashes and line feeds included: names come from events."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class Transitions(Protocol):
    """What the store tells of transitions. Each is a mapping with `body` (bytes, as sent) and `explain`."""

    def transition(self, id: str) -> Mapping[str, Any] | None:  # noqa: A002 - it is called that everywhere
        ...

    def transitions(
        self, model: str | None = None, limit: int = 100, before: str | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """The newest first; `before`: of those made before that one."""
        ...

    def judged(self) -> Sequence[Judged]: ...


Opener = Callable[[], AbstractContextManager[Transitions]]
"""Opens the store for one request, in the thread that serves it."""


class Api:
    """Answers from what is published and, for transitions, from the store."""

    def __init__(
        self,
        published: Published,
        transitions: Opener | None,
        clock: Callable[[], float] = time.time,
        reload: Callable[[], None] | None = None,
    ) -> None:
        """`reload` reads the settings anew and raises UserError where it changes nothing; None: it cannot be asked."""
        self._reload = reload
        self._published = published
        self._transitions = transitions
        self._clock = clock
        self._started = clock()
        self._exposition = Exposition(ViewCollector(published, clock))
        self._openapi: Final = openapi.document()

    def routes(self) -> list[Route]:
        return [
            Route("/metrics", self.metrics),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/-/reload", self.reload, methods=["POST"]),
            Route("/api/v1/models", self.models),
            Route("/api/v1/models/{model:anything}", self.model),
            Route("/api/v1/partitions", self.partitions),
            Route("/api/v1/transitions", self.transitions),
            Route("/api/v1/transitions/{id}", self.explain),
            Route("/api/v1/judged", self.judged),
            Route("/api/v1/openapi.json", self.openapi),
        ]

    # Plain functions are run in worker threads by starlette, so that a long answer holds up no other.

    def metrics(self, request: Request) -> Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        packed = wants_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Vary": "Accept, Accept-Encoding", "Content-Type": OPENMETRICS if openmetrics else TEXT}
        if packed:
            headers["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            return Response(headers=headers)
        names = frozenset(request.query_params.getlist("name[]"))
        pieces = self._exposition.pieces(openmetrics=openmetrics, names=names)
        return StreamingResponse(gzipped(pieces) if packed else pieces, headers=headers)

    async def livez(self, _: Request) -> Response:
        reason = dead(self._published.runtime, self._clock(), self._started)
        return json_response({"alive": True}) if reason is None else error_response(503, reason)

    async def readyz(self, _: Request) -> Response:
        reasons = unready(self._published.runtime, self._clock(), self._started)
        if not reasons:
            return json_response({"ready": True, "shadow": True} if self._published.runtime.shadow else {"ready": True})
        return json_response({"error": "not ready: " + "; ".join(reasons), "reasons": reasons}, 503)

    def reload(self, request: Request) -> Response:
        refuse_other_sites(request)
        if self._reload is None:
            raise HTTPException(501, "the settings of this process are fixed; restart it")
        try:
            self._reload()
        except UserError as fault:
            raise HTTPException(400 if fault.exit_code == 2 else 503, str(fault)) from None
        return json_response({"reloaded": True})

    def models(self, request: Request) -> Response:
        query = Query(request, "limit", "after")
        limit, after = query.limit(), query.text("after")
        standing, now = self._standing()
        rest = sorted(
            (one for one in self._published.view.models if after is None or one.model > after),
            key=lambda one: one.model,
        )
        page = rest[:limit]
        return json_response(
            {
                "models": [documents.model_summary(one, standing, now) for one in page],
                "next": page[-1].model if len(rest) > limit else None,
                "ignored": self._published.view.ignored,
            }
        )

    def model(self, request: Request) -> Response:
        Query(request)
        name = request.path_params["model"]
        found = next((one for one in self._published.view.models if one.model == name), None)
        if found is None:
            raise HTTPException(404, "no event of a model of that name was seen")
        return json_response(documents.model_detail(found, *self._standing()))

    def partitions(self, request: Request) -> Response:
        Query(request)
        view, runtime = self._published.view, self._published.runtime
        return json_response({"partitions": [documents.partition(one, runtime) for one in view.partitions]})

    def transitions(self, request: Request) -> Response:
        query = Query(request, "model", "limit", "before")
        before = query.text("before")
        with self._open() as store:
            if before is not None and store.transition(before) is None:
                raise HTTPException(404, "no such transition to list those before it")
            found = store.transitions(query.text("model"), query.limit(), before)
        standing, now = self._standing()
        acts = {str(one["id"]): documents.noted(one, standing, now) for one in found}
        return json_response({"transitions": [documents.transition(one) for one in found], "acts": acts})

    def explain(self, request: Request) -> Response:
        Query(request)
        with self._open() as store:
            found = store.transition(request.path_params["id"])
        if found is None:
            raise HTTPException(404, "no such transition; /api/v1/transitions lists the newest")
        acts = documents.noted(found, *self._standing())
        return json_response({"transition": documents.transition(found), "acts": acts, "explain": found["explain"]})

    def judged(self, request: Request) -> Response:
        Query(request)
        with self._open() as store:
            return json_response({"judged": [documents.judged(one) for one in store.judged()]})

    async def openapi(self, _: Request) -> Response:
        return json_response(self._openapi)

    def _standing(self) -> tuple[Standing, int]:
        """What people did, as of the loop's newest turn, and now (ms)."""
        return self._published.runtime.standing, round(self._clock() * 1000)

    def _open(self) -> AbstractContextManager[Transitions]:
        if self._transitions is None:
            raise HTTPException(404, "transitions are not stored here")
        return self._transitions()
