"""The API in OpenAPI 3.1: for programs at `/api/v1/openapi.json`, for people at `/api/v1/docs`."""

from __future__ import annotations

from typing import Final

import driftd
from driftd.http.schemas import SCHEMAS, Document

LIMIT_MAX: Final = 1_000
LIMIT_DEFAULT: Final = 100
NAME_MAX: Final = 1_024


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
        _text("before", "query", "Only those made before the one of this id: the last of the page before."),
        schema="Transitions",
        errors=_BAD_QUERY | {404: "No transition has the id that before names."},
    ),
    "/api/v1/judged": _get(
        "The event time over which each kind of each model was judged, as far as it is stored",
        "By model and kind; models that learn, or of which no pane closed yet, are not in it.",
        schema="Judged",
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
