"""Topics, and how the records of one that does not speak the native form are read.

A mapping says in which format the records are, and for each field of an event where in them it is found; a field it
does not say is found where the native form has it, or, in a CloudEvent, in its data. Configuration is compiled once, by
`compile_mapping`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

from driftd.core.event import KINDS, Kind
from driftd.kafka import cloudevents, kserve
from driftd.kafka.moment import moment
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.strict import parse
from driftd.kafka.value import Headers, header_text, parse_object

Field = Literal["id", "model", "version", "time", "prediction", "label", "kind"]
FIELDS: Final[tuple[Field, ...]] = ("id", "model", "version", "time", "prediction", "label", "kind")
From = Literal["const", "path", "header", "topic"]
Format = Literal["json", "cloudevents", "kserve", "avro", "json_schema"]
FRAMED: Final[tuple[Format, ...]] = ("avro", "json_schema")
"""Formats whose records name a schema of a registry."""
Read = Callable[[bytes | None, Headers | None], list[dict[str, object]]]
"""From a record's value and headers to the objects that it holds, at least one; raises Refused."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one field is found: `by` const (`what` is the value itself), path, header, or topic (a regular expression).

    A path names keys from the root, joined by dots; a number steps into an array. A key that itself holds dots is
    found too, where the whole rest of the path names it. An expression gives its first group, or all it matched.
    """

    by: From
    what: str | int | float | bool

    def __post_init__(self) -> None:
        if self.by != "const" and not isinstance(self.what, str):
            raise ValueError(f"a {self.by} is a string, not {self.what!r}")
        if self.by == "topic":
            try:
                re.compile(str(self.what))
            except re.error as fault:
                raise ValueError(f"not a regular expression: {self.what!r}: {fault}") from None


@dataclass(frozen=True, slots=True)
class TopicMapping:
    """None: where the format has it. `features`: path of the object that holds them, less the keys in it that other
    fields are read from; "" or "." is the root.
    """

    id: Source | None = None
    model: Source | None = None
    version: Source | None = None
    time: Source | None = None
    prediction: Source | None = None
    label: Source | None = None
    kind: Source | None = None
    features: str | None = None
    format: Format = "json"


@dataclass(frozen=True, slots=True)
class TopicFormat:
    """`kinds`: those that the settings list the topic under. `mapping` None: the native form."""

    kinds: tuple[Kind, ...]
    mapping: TopicMapping | None = None


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic of the settings, a name or an expression that begins with ^, means this topic.

    No expression means one of Kafka's own (`__consumer_offsets`), unless it says so: `^__`.
    """
    if not pattern.startswith("^"):
        return pattern == topic
    return (pattern.startswith("^__") or not topic.startswith("__")) and re.search(pattern, topic) is not None


def kinds_of(topics: Mapping[Kind, Sequence[str]], topic: str) -> tuple[Kind, ...]:
    """The kinds under which `kafka.topics` lists this topic, in the order of KINDS."""
    return tuple(kind for kind in KINDS if any(matches(p, topic) for p in topics.get(kind, ())))


def topic_formats(topics: Mapping[Kind, Sequence[str]], mappings: Mapping[str, TopicMapping]) -> dict[str, TopicFormat]:
    """The formats for a Decoder, by name or ^expression. Raises ValueError for a mapping of no listed topic."""
    listed = sorted({name for names in topics.values() for name in names})
    if strange := sorted(mappings.keys() - set(listed)):
        raise ValueError(f"mapping of {strange[0]!r}, which is not listed in kafka.topics")
    return {
        name: TopicFormat(tuple(k for k in KINDS if name in topics.get(k, ())), mappings.get(name)) for name in listed
    }


def format_of(formats: Mapping[str, TopicFormat], topic: str) -> TopicFormat:
    """The format of a topic: the one of its name, with the kinds and, where it has none, the mapping of expressions."""
    found = [formats[name] for name in sorted(formats, key=lambda n: (n.startswith("^"), n)) if matches(name, topic)]
    kinds = {kind for one in found for kind in one.kinds}
    mapping = next((one.mapping for one in found if one.mapping is not None), None)
    return TopicFormat(tuple(kind for kind in KINDS if kind in kinds), mapping)


Getter = Callable[[dict[str, object], Headers | None], object]
Compiled = Callable[[bytes | None, Headers | None], list[dict[str, object]]]
"""From a record to its events as objects of the native form, a field that is not there left out; raises Refused."""


def _json(value: bytes | None, _: Headers | None) -> list[dict[str, object]]:
    return [parse_object(value)]


def _cloudevent(value: bytes | None, headers: Headers | None) -> list[dict[str, object]]:
    return [cloudevents.read_event(value, headers)]


Reads = Mapping[Format, Read]
READS: Final[Reads] = {"json": _json, "cloudevents": _cloudevent, "kserve": kserve.read_rows}
"""Of the formats that need nothing but the record; framed ones need the schemas, too."""


def default_path(form: Format, field: str) -> str:
    """Where a format has a field that a mapping does not say."""
    if form in ("json", *FRAMED) or field in ("id", "time"):
        return field
    return f"data.{_KSERVE_NAMES.get(field, field) if form == 'kserve' else field}"


_KSERVE_NAMES: Final = {"version": "model_version", "features": "inputs"}


def compile_mapping(mapping: TopicMapping, topic: str, reads: Reads = READS) -> Compiled:
    """One function for all records of one topic. `reads`: by format."""
    form = mapping.format
    read = reads[form]
    getters: list[tuple[str, Getter]] = [("tags", _path(default_path(form, "tags")))]
    used = {default_path(form, "tags")}
    for field in FIELDS:
        said: Source | None = getattr(mapping, field)
        source = said or Source("path", default_path(form, field))
        get = _getter(source, topic, as_json=field in _JSON_IN_HEADERS)
        getters.append((field, _stated(get, source) if field == "time" and said is not None else get))
        if source.by == "path":
            used.add(str(source.what))
    getters.append(("features", _features(default_path(form, "features"), set())))
    if mapping.features is not None:
        getters[-1] = ("features", _features("" if mapping.features == "." else mapping.features, used))

    def native(value: bytes | None, headers: Headers | None) -> list[dict[str, object]]:
        return [
            {name: found for name, get in getters if (found := get(record, headers)) is not _NOWHERE}
            for record in read(value, headers)
        ]

    return native


def _stated(get: Getter, source: Source) -> Getter:
    """A time that must be there, since the mapping says where: the rows of a batch would else fall into panes of now."""

    def stated(record: dict[str, object], headers: Headers | None) -> object:
        found = get(record, headers)
        if found is _NOWHERE or found is None:
            raise Refused(Reason.TIME, f"nothing in {source.by} {source.what}")
        return moment(found, f"{source.by} {source.what}")

    return stated


def _features(where: str, used: AbstractSet[str]) -> Getter:
    """The object at a path, less its keys that are used, or that hold what is."""
    within = (
        {path for path in used if path != where}
        if not where
        else {path.removeprefix(f"{where}.") for path in used if path.startswith(f"{where}.")}
    )
    taken = within | {path.partition(".")[0] for path in within}
    get = _path(where)

    def features(record: dict[str, object], headers: Headers | None) -> object:
        found = get(record, headers) if where else record
        if taken and isinstance(found, dict) and not taken.isdisjoint(found):
            return {name: value for name, value in found.items() if name not in taken}
        return found

    return features


_NOWHERE: Final = object()
_JSON_IN_HEADERS: Final = frozenset({"time", "prediction", "label"})
"""A header is text, and so are names; these may be numbers."""


def _getter(source: Source, topic: str, *, as_json: bool) -> Getter:
    what = str(source.what)
    if source.by == "path":
        return _path(what)
    if source.by == "header":
        return lambda _, headers: _header(headers, what, as_json=as_json)
    constant: object = source.what
    if source.by == "topic":
        found = re.search(what, topic)
        constant = _NOWHERE if found is None else found[1] if found.re.groups else found[0]
    return lambda _record, _headers: constant


def _path(path: str) -> Getter:
    keys = path.split(".")
    rests = [".".join(keys[i:]) for i in range(len(keys))]

    def get(record: dict[str, object], _: Headers | None) -> object:
        at: object = record
        for key, rest in zip(keys, rests, strict=True):
            if isinstance(at, dict):
                if rest in at:
                    return at[rest]
                at = at.get(key, _NOWHERE)
            elif isinstance(at, list) and key.isascii() and key.isdigit() and int(key) < len(at):
                at = at[int(key)]
            else:
                return _NOWHERE
        return at

    return get


def _header(headers: Headers | None, name: str, *, as_json: bool) -> object:
    """The text of the last header of that name; `as_json`: what it reads as, if that is a number, true, false, null."""
    for key, value in reversed(headers or ()):
        if key == name and value is not None:
            raw = value.encode() if isinstance(value, str) else value
            if as_json:
                try:
                    read = parse(raw)
                except Refused:
                    read = raw
                if isinstance(read, int | float) or read is None:
                    return read
            return header_text(raw)
    return _NOWHERE


def is_backfill(headers: Headers) -> bool:
    """Whether the header `driftd.backfill` says true."""
    return any(key == "driftd.backfill" and value in (b"true", "true") for key, value in headers)
