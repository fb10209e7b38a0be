"""Why a record is refused: a closed set of short words, each with the one line that says what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The word in the metrics and in the dead letter's `driftd.reason` header."""

    EMPTY = "empty"
    UTF8 = "utf8"
    JSON = "json"
    DEPTH = "depth"
    NOT_OBJECT = "not_object"
    MODEL_MISSING = "model_missing"
    NAME = "name"
    KIND = "kind"
    KIND_MISSING = "kind_missing"
    KIND_UNEXPECTED = "kind_unexpected"
    TIME = "time"
    FEATURES = "features"
    LABEL_MISSING = "label_missing"
    CLOUDEVENT = "cloudevent"
    TENSOR = "tensor"
    FRAME = "frame"
    SCHEMA = "schema"
    AVRO = "avro"
    AHEAD = "ahead"
    """Not the decoder's: the map gives it to an event further ahead of its block than `max_ahead`."""


REMEDIES: Final[Mapping[Reason, str]] = {
    Reason.EMPTY: "send a JSON object; a record with no value (a tombstone) says nothing",
    Reason.UTF8: "encode the record's value as UTF-8",
    Reason.JSON: "send one JSON document a record; NaN and Infinity are no JSON, send null",
    Reason.DEPTH: "nest objects and arrays at most 64 deep",
    Reason.NOT_OBJECT: "send a JSON object, not an array or a bare value; split batches into records",
    Reason.MODEL_MISSING: "give `model`, or map it: mapping.model: {const: NAME}",
    Reason.NAME: "make `model` and `version` strings of 1 to 256 characters without control characters",
    Reason.KIND: "make `kind` one of prediction, features, label",
    Reason.KIND_MISSING: "give `kind`, or list the topic under one kind only in kafka.topics",
    Reason.KIND_UNEXPECTED: "list the topic in kafka.topics under this kind too",
    Reason.TIME: "give `time` as RFC 3339 with an offset, as a date alone, or as epoch milliseconds, between 1970 and 2262",
    Reason.FEATURES: "make `features` an object of name to number, bool, string or null; a features event needs it",
    Reason.LABEL_MISSING: "give `label` in a label event (null is allowed)",
    Reason.CLOUDEVENT: "send CloudEvents 1.0 with JSON data, binary (headers ce_*) or structured, one a record",
    Reason.TENSOR: "send V2 inference requests and responses as JSON, each tensor with as many values as its shape says",
    Reason.FRAME: "send what a schema registry's serializer writes (a byte 0, the schema id, the data), or set another format",
    Reason.SCHEMA: "register the schema that the record names, of the kind that the format of its mapping reads",
    Reason.AVRO: "write the data by the very schema whose id stands before it",
    Reason.AHEAD: "set the producer's clock, or raise monitoring.window.max_ahead",
}


class Refused(Exception):  # noqa: N818 - not an error of the program: a record that is not counted, and why
    """Carries a reason and a detail, which never repeats what the record holds."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
