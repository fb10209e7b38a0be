"""What a sample of a topic is: the format of each record, the fields of the prevailing one, what they may mean.

Pure: it only looks. Nothing is guessed from a value but its type and whether it can be a time; meaning is taken from
names that serving platforms use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from driftd.core.event import KINDS
from driftd.kafka.cloudevents import STRUCTURED, attributes_of, content_type, looks_structured
from driftd.kafka.described import fields_of
from driftd.kafka.fields import Field, Fields
from driftd.kafka.framed import looks_framed, unframed
from driftd.kafka.mapping import FRAMED, READS, Format
from driftd.kafka.reasons import REMEDIES, Reason, Refused
from driftd.kafka.registry import Schema
from driftd.kafka.schemas import Schemas
from driftd.kafka.strict import parse
from driftd.kafka.value import Headers, header_text

Name = Literal["native", "json", "cloudevents", "kserve", "avro", "json_schema", "confluent", "empty", "unreadable"]
READABLE: Final[Mapping[str, Format]] = {
    "native": "json", "json": "json", "cloudevents": "cloudevents", "kserve": "kserve", "avro": "avro",
    "json_schema": "json_schema",
}  # fmt: skip
MOST_SCHEMAS: Final = 200
"""Ids that are asked for: where bytes only look framed, each may be another."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("inferenceservicename", "model", "modelname", "modelid", "modelkey", "deployment", "deploymentname",
              "endpointname"),
    "version": ("modelversion", "version", "modelrevision", "revision", "modeltag", "release"),
    "id": ("id", "predictionid", "requestid", "inferenceid", "eventid", "uuid", "correlationid", "transactionid"),
    "time": ("time", "eventtime", "timestamp", "ts", "predictiontime", "predictedat", "scoredat", "requesttime",
             "createdat", "at", "datetime"),
    "prediction": ("prediction", "score", "probability", "proba", "predictedvalue", "predictionvalue", "predicted", "yhat",
                   "predictedclass", "predictedlabel", "output", "result", "class"),
    "label": ("label", "groundtruth", "actual", "outcome", "target", "truth"),
}  # fmt: skip
"""By field, best first; compared without case, _ and -."""
FEATURES: Final = (
    "features",
    "inputs",
    "input",
    "featurevalues",
    "instance",
    "x",
    "data",
    "payload",
    "request",
    "attributes",
)
_NO_FEATURES: Final = ("tags", "meta", "metadata", "headers", "labels", "context")
_ENVELOPE: Final = frozenset({"specversion", "source", "type", "subject", "datacontenttype", "dataschema"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a field may be: `by` path or header."""

    by: Literal["path", "header"]
    what: str
    field: Field


@dataclass(slots=True)
class Finding:
    """`formats`: records by format; `problems`: (why, what to do), how many. The rest is of the prevailing `format`."""

    formats: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    format: str = ""
    fields: Fields = field(default_factory=Fields)
    headers: Fields = field(default_factory=Fields)
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    features: list[tuple[str, int]] = field(default_factory=list)
    """Objects that may hold the features, best first, with the number of values in them."""
    kinds: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    """Ids that both a request and a response of KServe have."""
    schemas: Counter[int] = field(default_factory=Counter)
    """How many records name each schema that can be read."""
    declared: dict[str, str] = field(default_factory=dict)
    """What those schemas say of the fields, by path."""


def ids_named(records: Sequence[tuple[bytes | None, Headers | None]]) -> list[int]:
    """The schemas that records seem to name, those of most records first."""
    framed = (unframed(value)[0] for value, _ in records if looks_framed(value))
    return [number for number, _ in Counter(framed).most_common(MOST_SCHEMAS)]


def understand(records: Sequence[tuple[bytes | None, Headers | None]], schemas: Schemas | None = None) -> Finding:
    """All that a sample of (value, headers) shows. `schemas`: those of `ids_named` must be known."""
    found = Finding()
    named = [classify(value, headers, found, schemas) for value, headers in records]
    found.formats.update(named)
    readable = [name for name, _ in found.formats.most_common() if name in READABLE]
    if not readable:
        return found
    found.format = readable[0]
    reads = READS if schemas is None else {**READS, **schemas.reads}
    read = reads[READABLE[found.format]]
    ids: dict[str, set[object]] = {"features": set(), "prediction": set()}
    for (value, headers), name in zip(records, named, strict=True):
        if name != found.format:
            continue
        try:
            rows = read(value, headers)
        except Refused as why:
            _problem(found.problems, why)
            continue
        found.headers.see({key: header_text(text) for key, text in headers or () if text is not None})
        for row in rows:
            found.fields.see(row)
            found.kinds[_kind(row)] += 1
        if found.format == "kserve":
            data = rows[0]["data"]
            assert isinstance(data, dict)
            ids[str(data["kind"])].add(rows[0].get("id"))
    found.pairs = len((ids["features"] & ids["prediction"]) - {None})
    _candidates(found)
    found.features = _feature_objects(found)
    return found


def classify(  # noqa: PLR0911 - one return a format
    value: bytes | None, headers: Headers | None, found: Finding, schemas: Schemas | None
) -> Name:
    """The format of one record; what cannot be read is told to the problems of `found`."""
    problems = found.problems
    if attributes_of(headers) or content_type(headers).startswith(STRUCTURED):
        return _within(value, headers, problems)
    if not value:
        problems["it has no value (a tombstone)", REMEDIES[Reason.EMPTY]] += 1
        return "empty"
    if looks_framed(value):
        return _framed(unframed(value)[0], found, schemas)
    try:
        record = parse(value)
    except Refused as why:
        _problem(problems, why)
        return "unreadable"
    if not isinstance(record, dict):
        _problem(problems, Refused(Reason.NOT_OBJECT))
        return "unreadable"
    if looks_structured(record):
        return _within(value, headers, problems)
    if any(
        _tensors(part, tensors)
        for part in (record, record.get("request"), record.get("response"))
        for tensors in ("inputs", "outputs")
    ):
        return "kserve"
    native = isinstance(record.get("features"), dict) or "prediction" in record or "label" in record
    return "native" if isinstance(record.get("model"), str) and native else "json"


def _framed(number: int, found: Finding, schemas: Schemas | None) -> Name:
    """The format of the schema that a record names."""
    if schemas is None:
        remedy = "set kafka.schema_registry: {url: ...}, or give --schema-registry URL"
        found.problems[f"it looks framed for a schema registry (magic byte 0, schema id {number})", remedy] += 1
        return "confluent"
    schema = schemas.known(number)
    if isinstance(schema, Schema) and schema.format in FRAMED:
        if number not in found.schemas:
            found.declared |= fields_of(schema)
        found.schemas[number] += 1
        return "avro" if schema.format == "avro" else "json_schema"
    if isinstance(schema, Schema):
        remedy = "driftd reads Avro and JSON Schema behind a frame: have a connector write the topic in one of them"
        found.problems[f"its schema {number} is {schema.format}", remedy] += 1
    else:
        why = Refused(Reason.SCHEMA, "too many ids to ask for") if schema is None else schema
        _problem(found.problems, why)
    return "confluent"


def _within(value: bytes | None, headers: Headers | None, problems: Counter[tuple[str, str]]) -> Name:
    """A CloudEvent may hold tensors."""
    try:
        (event,) = READS["cloudevents"](value, headers)
    except Refused as why:
        _problem(problems, why)
        return "unreadable"
    data = event.get("data")
    if isinstance(data, dict) and any(_tensors(data, tensors) for tensors in ("inputs", "outputs")):
        return "kserve"
    return "cloudevents"


def _tensors(part: object, name: str) -> bool:
    tensors = part.get(name) if isinstance(part, dict) else None
    return (
        isinstance(tensors, list)
        and bool(tensors)
        and isinstance(tensors[0], dict)
        and {"name", "shape"} <= tensors[0].keys()
    )


def _problem(problems: Counter[tuple[str, str]], why: Refused) -> None:
    said = re.sub(r"\d+", "N", why.detail)  # one line for all of a kind
    problems[f"{why.reason}: {said}" if said else str(why.reason), REMEDIES[why.reason]] += 1


def _kind(row: Mapping[str, object]) -> str:
    data = row.get("data")
    said = row.get("kind") or (data.get("kind") if isinstance(data, dict) else None)
    return str(said) if said in KINDS else ""


# -- meaning -----------------------------------------------------------------------------------------------------------


def _candidates(found: Finding) -> None:
    fits: dict[str, Callable[[Field], bool]] = {
        "model": lambda f: f.only("string") and len(f.distinct) <= max(20, f.filled // 10),
        "version": lambda f: f.only("string", "integer"),
        "id": lambda f: f.only("string", "integer", "number"),
        "time": Field.is_time,
        "prediction": lambda f: f.scalar or (f.only("object") and _scored(found.fields, f)),
        "label": lambda f: f.scalar,
    }
    for name, fit in fits.items():
        ranked: list[tuple[tuple[int, int, str], Candidate]] = []
        for by, fields in (("path", found.fields), ("header", found.headers)):
            for one in fields.by_path.values():
                rank = _rank(one.path, NAMES[name])
                if rank is not None and one.filled and fit(one) and not _inside_features(one.path):
                    depth = one.path.count(".") + (2 if by == "header" else 0)
                    ranked.append(((rank, depth, one.path), Candidate(by, one.path, one)))  # type: ignore[arg-type]
        if name == "prediction" and found.format == "kserve" and not ranked:
            outputs = [f for f in found.fields.children("data.outputs") if f.scalar]
            ranked = [((0, 0, f.path), Candidate("path", f.path, f)) for f in outputs]
        found.candidates[name] = [candidate for _, candidate in sorted(ranked, key=lambda pair: pair[0])]


def _rank(path: str, names: Sequence[str]) -> int | None:
    parts = [re.sub(r"[_\s-]", "", part).lower() for part in path.removeprefix("ce_").removeprefix("ce-").split(".")]
    ranks = [names.index(word) for word in (parts[-1], "".join(parts[-2:])) if word in names]
    return min(ranks, default=None)


def _inside_features(path: str) -> bool:
    return any(part.lower() in ("features", "inputs") for part in path.split(".")[:-1])


def _scored(fields: Fields, one: Field) -> bool:
    return any(child.path.rpartition(".")[2] in ("score", "class") for child in fields.children(one.path))


def _feature_objects(found: Finding) -> list[tuple[str, int]]:
    used = {c[0].what for c in found.candidates.values() if c and c[0].by == "path"}
    ranked = []
    objects = [f.path for f in found.fields.by_path.values() if f.only("object")]
    for path in ["", *objects]:
        last = path.rpartition(".")[2].lower()
        if last in _NO_FEATURES or last == "outputs" or path in used:
            continue
        values = [
            f for f in found.fields.children(path)
            if f.scalar and f.path not in used and not (not path and f.path in _ENVELOPE | {"kind"})
        ]  # fmt: skip
        if values and not (found.format in ("cloudevents", "kserve") and not path):
            named = FEATURES.index(last) if last in FEATURES else len(FEATURES)
            ranked.append(((named, -len(values), path), (path, len(values))))
    return [one for _, one in sorted(ranked)]
