"""The API in OpenAPI 3.1: for programs at `/api/v1/openapi.json`, for people at `/api/v1/docs`."""

from __future__ import annotations

from typing import Any, Final

import driftd

LIMIT_MAX: Final = 1_000
LIMIT_DEFAULT: Final = 100
NAME_MAX: Final = 1_024

Document = dict[str, Any]


def _limit(what: str) -> Document:
    return {
        "name": "limit",
        "in": "query",
        "description": f"At most so many {what}.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    }


def _text(name: str, where: str, description: str) -> Document:
    schema = {"type": "string", "minLength": 1, "maxLength": NAME_MAX}
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": schema,
    }


def _answer(description: str, media: str, schema: str | None) -> Document:
    content: Document = {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {}
    return {"description": description, "content": {media: content}}


def _get(
    summary: str,
    ok: str,
    *parameters: Document,
    tag: str = "API",
    media: str = "application/json",
    schema: str | None = None,
    errors: dict[int, str] | None = None,
) -> Document:
    responses = {"200": _answer(ok, media, schema)}
    for status, description in (errors or {}).items():
        responses[str(status)] = _answer(description, "application/json", "Error")
    return {"get": {"tags": [tag], "summary": summary, "parameters": list(parameters), "responses": responses}}


_BAD_QUERY: Final = {400: "A query parameter is not known, or its value is not allowed."}

_LINKED: Final = (
    _text("verb", "path", "mute, false or acknowledge."),
    _text("id", "path", "The notification."),
    _text("signed", "query", "When it expires, and the signature."),
)
PATHS: Final[Document] = {
    "/": _get("The states of all models, as a page", "A page.", tag="Pages", media="text/html"),
    "/metrics": _get(
        "Metrics for Prometheus",
        "The Prometheus text format; OpenMetrics if the Accept header prefers it; gzip if it is accepted.",
        {
            "name": "name[]",
            "in": "query",
            "description": "Only this metric; may be given many times.",
            "schema": {"type": "array", "items": {"type": "string"}},
        },
        tag="Monitoring",
        media="text/plain",
    ),
    "/livez": _get(
        "Is the loop alive?",
        "It has turned within 60 s.",
        tag="Monitoring",
        schema="Alive",
        errors={503: "It has not; the reason is given."},
    ),
    "/readyz": _get(
        "Is driftd ready: assigned, restored, lag known?",
        "It is.",
        tag="Monitoring",
        schema="Ready",
        errors={503: "It is not; every reason is given."},
    ),
    "/-/reload": {
        "post": {
            "tags": ["Monitoring"],
            "summary": "Read the settings anew",
            "parameters": [],
            "responses": {
                "200": _answer("They are taken over.", "application/json", "Reloaded"),
                "400": _answer("They are at fault, and nothing has changed.", "application/json", "Error"),
                "403": _answer("A page of another site asked.", "application/json", "Error"),
                "501": _answer("The settings of this process are fixed.", "application/json", "Error"),
                "503": _answer("They could not be taken over, and nothing has changed.", "application/json", "Error"),
            },
        }
    },
    "/api/v1/models": _get(
        "Models and their states, by name",
        "A page of models; next is the after of the page that follows, or null.",
        _limit("models"),
        _text("after", "query", "Only models whose name is greater: next of the page before."),
        schema="Models",
        errors=_BAD_QUERY,
    ),
    "/api/v1/models/{model}": _get(
        "One model with every signal: value, effect, thresholds, p-value, state",
        "The model.",
        _text("model", "path", "The model's name, percent-encoded."),
        schema="Model",
        errors={404: "No event of such a model was seen."},
    ),
    "/api/v1/partitions": _get(
        "Partitions: next offset, lag, arrival time, refused records", "All partitions.", schema="Partitions"
    ),
    "/api/v1/transitions": _get(
        "Notifications made, newest first",
        "Each the very document that the receivers were given; beside them, by id, what people did about each.",
        _text("model", "query", "Only those of this model."),
        _limit("transitions"),
        schema="Transitions",
        errors=_BAD_QUERY,
    ),
    "/api/v1/transitions/{id}": _get(
        "Everything behind one transition: panes, counts, law, thresholds, offsets",
        "The transition and its explanation.",
        _text("id", "path", "The transition's id, as the notification carries it."),
        schema="Explanation",
        errors={404: "No such transition."},
    ),
    "/api/v1/acts": {
        **_get(
            "What people did: acknowledged, muted, marked as false, taken back; newest first",
            "The acts.",
            _limit("acts"),
            schema="Acts",
            errors=_BAD_QUERY,
        ),
        "post": {
            "tags": ["API"],
            "summary": "Acknowledge, mute, mark as false, or take an act back",
            "parameters": [],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewAct"}}},
            },
            "responses": {
                "201": _answer("It is stored, or was before: the act.", "application/json", "Act"),
                "400": _answer("The body is at fault; what is expected is given.", "application/json", "Error"),
                "403": _answer("A page of another site asked.", "application/json", "Error"),
                "413": _answer("The body is too long.", "application/json", "Error"),
                "415": _answer("The body is not JSON.", "application/json", "Error"),
                "503": _answer("It could not be stored.", "application/json", "Error"),
            },
        },
    },
    "/act/{verb}/{id}": {
        **_get(
            "The page behind a signed link in a message",
            "What will happen, and a form that does it; nothing happens yet.",
            *_LINKED,
            tag="Pages",
            media="text/html",
        ),
        "post": {
            "tags": ["Pages"],
            "summary": "Do it: what the form of that page sends",
            "parameters": list(_LINKED),
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Confirmation"}}
                },
            },
            "responses": {
                "200": _answer("It is done: a page.", "text/html", None),
                "400": _answer("A field is at fault: the form again.", "text/html", None),
                "403": _answer("The link was changed or has expired.", "text/html", None),
            },
        },
    },
    "/api/v1/mutes": _get("The mutes that hold now", "The mutes.", schema="Acts", errors=_BAD_QUERY),
    "/api/v1/openapi.json": _get("The API for programs", "An OpenAPI 3.1 document.", tag="Pages"),
    "/api/v1/docs": _get("The API for people", "A page.", tag="Pages", media="text/html"),
}


def _object(**properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(schema: Document) -> Document:
    return {"type": "array", "items": schema}


_STRING: Final[Document] = {"type": "string"}
_NULL_STRING: Final[Document] = {"type": ["string", "null"]}
_TIME: Final[Document] = {"type": ["string", "null"], "format": "date-time"}
_INTEGER: Final[Document] = {"type": "integer"}
_NULL_INTEGER: Final[Document] = {"type": ["integer", "null"]}
_NULL_NUMBER: Final[Document] = {"type": ["number", "null"]}
_NUMBER: Final[Document] = {"type": "number"}
_BOOLEAN: Final[Document] = {"type": "boolean"}
_COUNTS: Final[Document] = {"type": "object", "additionalProperties": _INTEGER}
_STATE: Final[Document] = {
    "type": "string",
    "enum": ["unknown", "insufficient_data", "ok", "pending", "firing"],
}
_SEVERITY: Final[Document] = {"type": ["string", "null"], "enum": ["warning", "critical", None]}

_SERIES: Final = _object(
    version=_STRING,
    kind={"type": "string", "enum": ["prediction", "features", "label"]},
    state=_STATE,
    events=_INTEGER,
    late=_INTEGER,
    panes=_INTEGER,
    evaluations=_INTEGER,
    closed_until=_TIME,
    window={
        "type": ["object", "null"],
        "properties": {"start": _TIME, "end": _TIME, "events": _INTEGER, "insufficient_data": _BOOLEAN},
    },
    reference=_object(
        state={"type": "string", "enum": ["none", "learning", "ready", "held"]}, events=_INTEGER, grid=_STRING
    ),
)
_STATISTIC: Final = _object(
    signal=_STRING,
    rule=_STRING,
    statistic=_STRING,
    state=_STATE,
    severity=_SEVERITY,
    value=_NULL_NUMBER,
    effect=_NULL_NUMBER,
    thresholds=_object(warning=_NUMBER, critical=_NULL_NUMBER),
    p_value=_NULL_NUMBER,
    n=_INTEGER,
    reference_n=_INTEGER,
    flags=_array(_STRING),
    alert_id=_NULL_STRING,
    since=_TIME,
)
_DETECTOR: Final = _object(
    signal=_STRING,
    rule=_STRING,
    state=_STATE,
    severity=_SEVERITY,
    estimate=_NULL_NUMBER,
    width=_INTEGER,
    changes=_INTEGER,
    last_change=_TIME,
    effect=_NULL_NUMBER,
    alert_id=_NULL_STRING,
)
_NOTE: Final = _object(acknowledged_by=_NULL_STRING, muted_until=_TIME, marked_false_by=_NULL_STRING)
_FIRING: Final = _object(
    version=_STRING,
    kind=_STRING,
    signal=_STRING,
    rule=_STRING,
    severity=_SEVERITY,
    alert_id=_NULL_STRING,
    **_NOTE["properties"],
)
_ACTS_ON: Final = _object(
    **_NOTE["properties"],
    withheld=_array(
        _object(receiver=_STRING, act=_INTEGER, state={"type": "string", "enum": ["waiting", "told", "ended"]})
    ),
)
_VERB: Final[Document] = {"type": "string", "enum": ["acknowledge", "mute", "false", "lift"]}
_ACT: Final = _object(
    number=_INTEGER,
    at=_TIME,
    verb=_VERB,
    author=_STRING,
    reason=_STRING,
    model=_STRING,
    rule=_NULL_STRING,
    signals=_array(_STRING),
    alerts=_array(_STRING),
    until=_TIME,
    lifts=_NULL_INTEGER,
    via={"type": "string", "enum": ["cli", "api", "link"]},
)
_NEW_ACT: Final[Document] = {
    "type": "object",
    "description": "acknowledge and false: id. mute: id, or model with rule and signals where not all are meant; for "
    "(such as 4h) or until, at most 30 days. lift: number. A reason for all but acknowledge.",
    "properties": {
        "verb": _VERB,
        "id": _STRING,
        "model": _STRING,
        "rule": _STRING,
        "signals": _array(_STRING),
        "for": _STRING,
        "until": _TIME,
        "number": _INTEGER,
        "author": _STRING,
        "reason": _STRING,
    },
    "required": ["verb", "author"],
}


def _model(series: Document, **more: Document) -> Document:
    return _object(
        model=_STRING,
        state=_STATE,
        labels={"type": "object", "additionalProperties": _STRING},
        events=_INTEGER,
        backfill=_INTEGER,
        firing=_array(_FIRING),
        open_panes=_INTEGER,
        waiting_for=_array(_STRING),
        learning=_object(bytes=_INTEGER, sampled=_BOOLEAN),
        dropped_versions=_INTEGER,
        retrain=_object(state=_STRING, id=_NULL_STRING, requests=_INTEGER),
        series=_array(series),
        **more,
    )


_DETAILED: Final = _object(
    **_SERIES["properties"],
    signal_errors=_COUNTS,
    statistics=_array(_STATISTIC),
    detectors=_array(_DETECTOR),
    shares=_array(_object(signal=_STRING, group=_STRING, reference=_NUMBER, current=_NUMBER)),
)
_COUNTED: Final = _object(rule=_STRING, type=_STRING, severity=_STRING, count=_INTEGER)
_PARTITION: Final = _object(
    topic=_STRING,
    partition=_INTEGER,
    next_offset=_INTEGER,
    lag=_NULL_INTEGER,
    arrival=_TIME,
    paused=_BOOLEAN,
    records=_INTEGER,
    refused=_COUNTS,
    unknown_keys=_INTEGER,
)
_TRANSITION: Final = _object(
    type=_STRING, id=_STRING, timestamp={"type": "string", "format": "date-time"}, data={"type": "object"}
)

SCHEMAS: Final[Document] = {
    "Error": _object(error=_STRING),
    "Alive": _object(alive={"const": True}),
    "Reloaded": _object(reloaded={"const": True}),
    "Ready": _object(ready={"const": True}),
    "Models": _object(models=_array(_model(_SERIES)), next=_NULL_STRING, ignored=_COUNTS),
    "Model": _model(_DETAILED, transitions=_array(_COUNTED)),
    "Partitions": _object(partitions=_array(_PARTITION)),
    "Transitions": _object(transitions=_array(_TRANSITION), acts={"type": "object", "additionalProperties": _ACTS_ON}),
    "Act": _ACT,
    "NewAct": _NEW_ACT,
    "Confirmation": {
        "type": "object",
        "properties": {"author": _STRING, "reason": _STRING, "hours": _STRING},
        "required": ["author"],
    },
    "Acts": _object(acts=_array(_ACT)),
    "Explanation": _object(transition=_TRANSITION, acts=_ACTS_ON, explain={"type": "object"}),
}


def document() -> Document:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "driftd",
            "version": driftd.__version__,
            "description": "What driftd knows of the models that it watches. Times in RFC 3339; "
            "null is what is not known.",
        },
        "paths": PATHS,
        "components": {"schemas": SCHEMAS},
    }


def outline(schema: Document, indent: str = "") -> str:  # noqa: PLR0911 - one for each form of a schema
    """A schema as the JSON that it stands for, types in the place of values."""
    deeper = indent + "  "
    if "$ref" in schema:
        return outline(SCHEMAS[schema["$ref"].rpartition("/")[2]], indent)
    if "enum" in schema:
        return " | ".join("null" if value is None else str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"]).lower()
    if "properties" in schema:
        fields = (f'{deeper}"{key}": {outline(value, deeper)}' for key, value in schema["properties"].items())
        null = " | null" if "null" in schema["type"] else ""
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}{null}"
    if "items" in schema:
        return f"[{outline(schema['items'], indent)}, ...]"
    if "additionalProperties" in schema:
        return f'{{"...": {outline(schema["additionalProperties"], indent)}}}'
    if "format" in schema:
        return "RFC 3339" + (" | null" if "null" in schema["type"] else "")
    names = schema["type"]
    return names if isinstance(names, str) else " | ".join(names)
