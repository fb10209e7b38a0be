"""In which form the demo's traffic is written: driftd's own, or one that a platform of its own might have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from driftd.core.action import rfc3339

Shape = Literal["native", "nested", "cloudevents"]
Headers = list[tuple[str, str | bytes | None]]
Record = tuple[bytes, Headers]
"""Value and headers."""


def native(event: Mapping[str, Any]) -> Record:
    return _json(event), []


def nested(event: Mapping[str, Any]) -> Record:
    """A scoring log as a platform writes it for itself: names of its own, objects in objects, times in words."""
    document = {
        "requestId": event["id"],
        "scoredAt": rfc3339(event["time"]),
        "deployment": {"model": event["model"], "release": event["version"], "zone": "eu-1"},
        "request": {"channel": "web", "inputs": event["features"]},
        "response": {"probability": event["prediction"], "latencyMs": 7},
    }
    return _json(document), []


def cloudevents(event: Mapping[str, Any]) -> Record:
    """A CloudEvent in binary mode: its attributes are headers."""
    attributes = {
        "specversion": "1.0",
        "id": event["id"],
        "source": "/scoring",
        "type": "com.example.scored",
        "time": rfc3339(event["time"]),
    }
    headers: Headers = [("content-type", b"application/json")]
    headers += [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    data = {"model": event["model"], "release": event["version"], "inputs": event["features"]}
    return _json({**data, "probability": event["prediction"]}), headers


SHAPES: Final[Mapping[Shape, Callable[[Mapping[str, Any]], Record]]] = {
    "native": native, "nested": nested, "cloudevents": cloudevents,
}  # fmt: skip


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
