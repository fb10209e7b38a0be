"""What the documents of the API hold, as JSON Schema: the names that `openapi` refers to."""

from __future__ import annotations

from typing import Any, Final

Document = dict[str, Any]


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
_MODEL_STATE: Final[Document] = {"type": "string", "enum": [*_STATE["enum"], "overdue"]}
_KIND: Final[Document] = {"type": "string", "enum": ["prediction", "features", "label"]}
_SEVERITY: Final[Document] = {"type": ["string", "null"], "enum": ["warning", "critical", None]}

_SERIES: Final = _object(
    version=_STRING,
    kind=_KIND,
    champion={"type": ["boolean", "null"]},
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
    shadow=_BOOLEAN,
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
        state=_MODEL_STATE,
        labels={"type": "object", "additionalProperties": _STRING},
        events=_INTEGER,
        backfill=_INTEGER,
        firing=_array(_FIRING),
        open_panes=_INTEGER,
        waiting_for=_array(_STRING),
        arrivals=_array(_object(kind=_KIND, newest=_TIME, due=_TIME, overdue=_BOOLEAN)),
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
    smallest_shifts=_array(
        _object(
            signal=_STRING,
            rule=_STRING,
            statistic=_STRING,
            n=_INTEGER,
            unit={"type": "string", "enum": ["deviations", "category_share", "rate"]},
            shift=_NULL_NUMBER,
            effect=_NULL_NUMBER,
            at_once=_NULL_NUMBER,
        )
    ),
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
    "Ready": _object(ready={"const": True}) | {"description": "With shadow: true where it delivers nothing."},
    "Models": _object(models=_array(_model(_SERIES)), next=_NULL_STRING, ignored=_COUNTS),
    "Model": _model(_DETAILED, transitions=_array(_COUNTED)),
    "Partitions": _object(partitions=_array(_PARTITION)),
    "Transitions": _object(transitions=_array(_TRANSITION), acts={"type": "object", "additionalProperties": _ACTS_ON}),
    "Judged": _object(judged=_array(_object(model=_STRING, kind=_STRING, since=_TIME, until=_TIME))),
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
