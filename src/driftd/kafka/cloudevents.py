"""CloudEvents 1.0 as they come on Kafka, in either mode, as one object: the attributes, and `data`.

Binary: attributes are the headers `ce_*` (the Kafka binding) or `ce-*` (the HTTP binding, which some bridges keep), the
value is the data. Structured: the value is the whole event, as JSON.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.strict import parse
from driftd.kafka.value import Headers, header_text, parse_object

STRUCTURED: Final = "application/cloudevents"
_PREFIXES: Final = ("ce_", "ce-")
_REQUIRED: Final = ("specversion", "id", "source", "type")


def attributes_of(headers: Headers | None) -> dict[str, object]:
    """The attributes that headers give; empty where the record is no event in binary mode."""
    found: dict[str, object] = {}
    for name, value in headers or ():
        if name[:3].lower() in _PREFIXES and value is not None:
            found[name[3:].lower()] = header_text(value)
    return found if "specversion" in found else {}


def looks_structured(record: object) -> bool:
    """Whether an object has what every CloudEvent must have."""
    return isinstance(record, dict) and all(isinstance(record.get(name), str) for name in _REQUIRED)


def content_type(headers: Headers | None) -> str:
    """The media type that the header `content-type` names, without its parameters; empty where there is none."""
    for name, value in reversed(headers or ()):
        if name.lower() in ("content-type", "contenttype") and value is not None:
            return header_text(value).partition(";")[0].strip().lower()
    return ""


def read_event(value: bytes | None, headers: Headers | None) -> dict[str, object]:
    """The event as the structured mode has it; `data` is there if the event has any. Raises Refused."""
    kind = content_type(headers)
    if not kind.startswith(STRUCTURED) and (found := attributes_of(headers)):
        if kind:
            found.setdefault("datacontenttype", kind)
        if value:
            _check_json(kind)
            found["data"] = parse(value)
        return found
    if kind.startswith(STRUCTURED) and kind not in (STRUCTURED, f"{STRUCTURED}+json"):
        raise Refused(Reason.CLOUDEVENT, "a batch" if kind.startswith(f"{STRUCTURED}-batch") else "not in JSON")
    record = parse_object(value)
    if not looks_structured(record):
        raise Refused(Reason.CLOUDEVENT, "neither headers ce_specversion, ... nor all of specversion, id, source, type")
    encoded = record.pop("data_base64", None)
    if encoded is not None:
        record["data"] = _decoded(encoded, record.get("datacontenttype"))
    return record


def _decoded(encoded: object, kind: object) -> object:
    if kind is not None:
        _check_json(str(kind).partition(";")[0].strip().lower())
    try:
        raw = base64.b64decode(encoded.encode() if isinstance(encoded, str) else b"-", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refused(Reason.CLOUDEVENT, "data_base64 is not base64") from None
    return parse(raw)


def _check_json(kind: str) -> None:
    if kind and kind.rpartition("/")[2] != "json" and not kind.endswith("+json"):
        raise Refused(Reason.CLOUDEVENT, "its data is not JSON")
