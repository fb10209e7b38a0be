"""The pages for people: the states of all models, and the API. No scripts, nothing from elsewhere.

Every value is escaped by the template engine, and before that made inert: names come from events.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

import driftd
from driftd.core.act import Act, Named, Standing
from driftd.core.view import ModelView, PartitionView, Runtime
from driftd.http import openapi
from driftd.http.documents import time_of
from driftd.http.exposition import inert
from driftd.http.health import unready
from driftd.http.published import Published
from driftd.http.shifts import of_models
from driftd.http.status import MODELS_WORST_FIRST, firing, model_state

ROWS_MAX: Final = 500
"""More models than this are counted, not listed: the API pages through them."""
SIGNALS_MAX: Final = 3

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("driftd.http"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: inert(value) if type(value) is str else value,
)
_STYLE: Final = _ENVIRONMENT.get_template("style.css").render()
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""The one style that the pages may have (Content-Security-Policy)."""


def page(template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: object) -> Response:
    style = Markup(_STYLE)  # noqa: S704 - our own file
    text = _ENVIRONMENT.get_template(template).render(style=style, version=driftd.__version__, **values)
    return HTMLResponse(text, status, headers)


def policy(*, form_action: str = "'none'") -> str:
    """The Content-Security-Policy of an answer: it loads nothing and is framed by nobody."""
    return (
        f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; "
        f"form-action {form_action}; frame-ancestors 'none'"
    )


def _row(model: ModelView, standing: Standing, now: int, finds: str | None) -> dict[str, Any]:
    alerts = firing(model)
    notes = [standing.note(model.model, [Named(one.rule, one.signal, one.alert_id or "")], now) for _, one in alerts]
    acts = {
        "acknowledged": sum(note.acknowledged is not None for note in notes),
        "muted": sum(note.muted is not None for note in notes),
        "marked as false": sum(note.false is not None for note in notes),
    }
    names = list(dict.fromkeys(one.signal for _, one in alerts))
    ends = [series.window_end for series in model.series if series.window_end is not None]
    return {
        "model": model.model,
        "versions": ", ".join(dict.fromkeys(series.version for series in model.series)),
        "state": model_state(model),
        "critical": any(one.severity == "critical" for _, one in alerts),
        "signals": names[:SIGNALS_MAX],
        "acts": ", ".join(f"{count} {what}" for what, count in acts.items() if count),
        "more_signals": max(0, len(names) - SIGNALS_MAX),
        "references": ", ".join(sorted({series.reference for series in model.series})),
        "events": model.events,
        "finds": finds,
        "judged_until": time_of(max(ends)) if ends else None,
        "retrain": model.retrain,
    }


def _partition(one: PartitionView, runtime: Runtime) -> dict[str, Any]:
    return {
        "name": str(one.partition),
        "next_offset": one.next_offset,
        "lag": runtime.lag.get(one.partition),
        "arrival": time_of(one.arrival),
        "refused": sum(one.refused.values()),
        "paused": one.paused or one.partition in runtime.paused,
    }


def _mute(act: Act) -> dict[str, Any]:
    return {
        "number": act.number,
        "model": act.model,
        "rule": act.rule,
        "signals": act.signals[:SIGNALS_MAX],
        "more_signals": max(0, len(act.signals) - SIGNALS_MAX),
        "until": time_of(act.until),
        "author": act.author,
        "reason": act.reason,
    }


class Pages:
    def __init__(self, published: Published, clock: Callable[[], float] = time.time) -> None:
        self._published = published
        self._clock = clock
        self._started = clock()

    def routes(self) -> list[Route]:
        return [Route("/", self.landing), Route("/api/v1/docs", self.docs)]

    def landing(self, _: Request) -> Response:
        view, runtime = self._published.view, self._published.runtime
        now = round(self._clock() * 1000)
        finds = of_models(view.models)
        rows = sorted(
            (_row(model, runtime.standing, now, finds.get(model.model)) for model in view.models),
            key=lambda row: (MODELS_WORST_FIRST.index(row["state"]), not row["critical"], row["model"]),
        )
        counts = {state: sum(row["state"] == state for row in rows) for state in MODELS_WORST_FIRST}
        return page(
            "landing.html",
            unready=unready(runtime, self._clock(), self._started),
            counts=counts,
            models=rows[:ROWS_MAX],
            more_models=max(0, len(rows) - ROWS_MAX),
            partitions=[_partition(one, runtime) for one in view.partitions[:ROWS_MAX]],
            more_partitions=max(0, len(view.partitions) - ROWS_MAX),
            receivers=runtime.receivers,
            mutes=[_mute(act) for act in runtime.standing.mutes_at(now)[:ROWS_MAX]],
            withheld=runtime.withheld,
            shadow=runtime.shadow,
            endpoints=[
                (path, method, operation["summary"])
                for path, methods in openapi.PATHS.items()
                for method, operation in methods.items()
                if path != "/"
            ],
        )

    def docs(self, _: Request) -> Response:
        return page("docs.html", document=openapi.document(), outline=openapi.outline)
