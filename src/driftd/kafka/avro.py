"""Avro: from a schema's text to a function that reads records written by it. Pure.

The schema is rewritten before it is used: what has a meaning that Avro's own types do not show (a decimal, a time in
microseconds, bytes) is given a logical type of ours, whose reader gives what a mapping
understands. What reading needs not (defaults, aliases, texts) is left out. So one pass of fastavro gives the record.

| in the schema | gives |
|---|---|
| `null`, `boolean`, `int`, `long`, `string`, `enum` | themselves; an enum its symbol |
| `float`, `double` | the number; NaN and infinity are `Mark.BAD` |
| `record`, `map`, `array` | objects and lists; a union is what it holds |
| `timestamp-millis`, `-micros`, `-nanos` | whole epoch milliseconds, rounded down |
| `local-timestamp-...` | text without an offset: `2026-11-24T10:00:00.123000` |
| `date` | text: `2026-11-24` |
| `time-millis`, `time-micros` | milliseconds since midnight |
| `decimal` | the nearest float64 |
| `uuid` | text |
| `bytes`, `fixed` | `Mark.BAD`, as every value that none of these can hold |
"""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import fastavro
from fastavro import _read_py
from fastavro.read import LOGICAL_READERS

from driftd.core.event import Mark
from driftd.kafka.reasons import Reason, Refused

Json = Any
Read = Callable[[bytes], object]

MOST_DEEP: Final = 64
"""Nested deeper, or in itself, a schema is read by fastavro's slow reader: the fast one has no bound but the C stack."""
_MOST_SCALE: Final = 400
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time has no zone
_HOLD: Final = {"array": "items", "map": "values"}
_NAMED: Final = ("record", "error", "enum", "fixed")
PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

Value = Callable[[Any, Any, Any], object]
"""A reader of fastavro: the value as the underlying type has it, the schema it was written by, and nothing."""


# -- values --------------------------------------------------------------------------------------------------------


def _opaque(_value: object, _schema: object = None, _reader: object = None) -> object:
    return Mark.BAD


def _micros(value: int, _schema: object = None, _reader: object = None) -> object:
    return value // 1_000


def _nanos(value: int, _schema: object = None, _reader: object = None) -> object:
    return value // 1_000_000


def _day(value: int, _schema: object = None, _reader: object = None) -> object:
    try:
        return date.fromordinal(_EPOCH_DAY + value).isoformat()
    except (ValueError, OverflowError):
        return Mark.BAD


def _local(per_microsecond: int, microseconds: int) -> Value:
    def read(value: int, _schema: object = None, _reader: object = None) -> object:
        try:
            at = _EPOCH + timedelta(microseconds=value * microseconds // per_microsecond)
        except OverflowError:
            return Mark.BAD
        return at.isoformat(timespec="microseconds")

    return read


def _time_of_day(value: int, _schema: object = None, _reader: object = None) -> object:
    return value / 1_000


def _decimal(value: bytes, schema: Mapping[str, int], _reader: object = None) -> object:
    try:
        return int.from_bytes(value, signed=True) / 10 ** schema["scale"]
    except OverflowError:
        return Mark.BAD


def _uuid(value: bytes, _schema: object = None, _reader: object = None) -> object:
    return str(uuid.UUID(bytes=value))


_OURS: Final[Mapping[tuple[str, str], tuple[str, Value]]] = {
    ("long", "timestamp-micros"): ("micros", _micros),
    ("long", "timestamp-nanos"): ("nanos", _nanos),
    ("long", "local-timestamp-millis"): ("local-millis", _local(1, 1_000)),
    ("long", "local-timestamp-micros"): ("local-micros", _local(1, 1)),
    ("long", "local-timestamp-nanos"): ("local-nanos", _local(1_000, 1)),
    ("int", "date"): ("day", _day),
    ("long", "time-micros"): ("time-of-day", _time_of_day),
    ("bytes", "decimal"): ("decimal", _decimal),
    ("fixed", "decimal"): ("decimal", _decimal),
    ("fixed", "uuid"): ("uuid", _uuid),
    ("bytes", ""): ("opaque", _opaque),
    ("fixed", ""): ("opaque", _opaque),
}
"""By underlying and logical type: our own logical type, and its reader. The empty one is for all others."""
LOGICAL_READERS.update({f"{base}-driftd-{name}": read for (base, _), (name, read) in _OURS.items()})


# -- schemas -------------------------------------------------------------------------------------------------------


class Unreadable(ValueError):  # noqa: N818 - it is said of the schema
    """A schema that cannot be used, and why."""


def reader(schema: Json, references: Mapping[str, Json] | None = None) -> Read:
    """Reads what stands behind the frame of a record written by this schema, itself as JSON gives it.

    `references`: the schemas that it names, by the name under which it does, those that need no other first. Raises
    Unreadable. What it gives raises Refused.
    """
    named: dict[str, Any] = {}
    try:
        for text in (references or {}).values():
            fastavro.parse_schema(rewritten(text), named_schemas=named)
        # In a record of one field, which takes the bytes of that field: a bare union or name would be parsed for each
        # record anew, and would not find what it names. Its own name has no namespace, which others would inherit.
        whole = {"type": "record", "name": "driftd_whole", "fields": [{"name": "value", "type": rewritten(schema)}]}
        parsed: Any = fastavro.parse_schema(whole, named_schemas=named)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except Exception as fault:  # noqa: BLE001 - the parser raises whatever it stumbles over
        raise Unreadable(f"{type(fault).__name__}: {fault}") from None
    shape = _Shape(named)
    shape.check(parsed)
    read = fastavro.schemaless_reader if shape.depth(parsed) <= MOST_DEEP else _read_py.schemaless_reader

    def decode(data: bytes) -> object:
        stream = io.BytesIO(data)
        try:
            record: Any = read(stream, parsed)
        except RecursionError:
            raise Refused(Reason.DEPTH, "nested too deep") from None
        except Exception as fault:  # noqa: BLE001 - bytes of another schema make the reader stumble over anything
            raise Refused(Reason.AVRO, f"it does not decode ({type(fault).__name__})") from None
        if stream.tell() != len(data):
            raise Refused(Reason.AVRO, f"{len(data) - stream.tell()} bytes are left over")
        return finite(record["value"])

    return decode


def finite(value: object) -> object:
    """The value, with `Mark.BAD` for each number in it that is none. A reader of our own for floats would cost thrice as
    much: it is called for each, and these are looked at where they lie.
    """
    if type(value) is float:
        return value if math.isfinite(value) else Mark.BAD
    items = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for key, item in items:
        kind = type(item)
        if kind is float:
            if item - item != 0.0:
                value[key] = Mark.BAD  # type: ignore[index]
        elif kind is dict or kind is list:
            finite(item)
    return value


def rewritten(schema: Json) -> Json:
    """The same schema less what reading needs not, with logical types of ours."""
    if isinstance(schema, str):
        return _typed({"type": schema}) if schema in PRIMITIVES else schema
    if isinstance(schema, list):
        return [rewritten(branch) for branch in schema]
    if not isinstance(schema, dict) or "type" not in schema:
        raise Unreadable("a part of it is no schema")
    kind = schema["type"]
    if not isinstance(kind, str):
        return rewritten(kind)
    if kind in _HOLD:
        return {"type": kind, _HOLD[kind]: rewritten(_part(schema, _HOLD[kind]))}
    return _named(kind, schema) if kind in _NAMED else _typed(schema)


def _named(kind: str, schema: Mapping[str, Json]) -> Json:
    found = {key: schema[key] for key in ("type", "name", "namespace", "symbols", "size") if key in schema}
    if kind == "fixed":
        return {**found, **_typed(schema)}
    if kind in ("record", "error"):
        fields = _part(schema, "fields")
        if not isinstance(fields, list) or not all(isinstance(one, dict) for one in fields):
            raise Unreadable("the fields of a record are not a list of fields")
        found["fields"] = [{"name": _part(one, "name"), "type": rewritten(_part(one, "type"))} for one in fields]
    return found


def _part(schema: Mapping[str, Json], key: str) -> Json:
    if key not in schema:
        raise Unreadable(f"a part of it has no {key}")
    return schema[key]


def _typed(schema: Mapping[str, Json]) -> Json:
    """A primitive or fixed type with the logical type of ours, if it needs one."""
    kind, logical = schema["type"], schema.get("logicalType", "")
    scale = schema.get("scale", 0)
    if logical == "decimal" and not (type(scale) is int and 0 <= scale <= _MOST_SCALE):
        logical = ""  # as the specification has it: what is not valid is not there
    if logical == "uuid" and kind == "fixed" and schema.get("size") != 16:
        logical = ""
    ours = _OURS.get((kind, logical if isinstance(logical, str) else "")) or _OURS.get((kind, ""))
    if ours is None:
        return kind
    typed: dict[str, Json] = {"type": kind, "logicalType": f"driftd-{ours[0]}"}
    return {**typed, "scale": scale} if ours[0] == "decimal" else typed


class _Shape:
    """What the shape of a parsed schema says of the danger in reading records by it."""

    def __init__(self, named: Mapping[str, Json]) -> None:
        self._named = named
        self._depths: dict[str, float] = {}
        self._inside: set[str] = set()

    def depth(self, schema: Json) -> float:
        """How deep a record can be nested; infinite where a type holds itself."""
        if isinstance(schema, list):
            return 1 + max((self.depth(branch) for branch in schema), default=0)
        if isinstance(schema, str):
            if schema not in self._named:
                return 1
            return self._of_named(schema, self._named[schema])
        if schema["type"] in ("record", "error"):
            return self._of_named(schema["name"], schema)
        if schema["type"] in ("array", "map"):
            return 1 + self.depth(schema.get("items", schema.get("values")))
        return 1

    def _of_named(self, name: str, schema: Json) -> float:
        if name in self._inside:
            return math.inf
        if name not in self._depths:
            self._inside.add(name)
            fields = schema.get("fields", ())
            self._depths[name] = 1 + max((self.depth(one["type"]) for one in fields), default=0)
            self._inside.discard(name)
        return self._depths[name]

    def check(self, schema: Json) -> None:
        """Raises Unreadable for an array whose items take no bytes: five bytes could say that it has a billion."""
        seen: set[str] = set()
        waiting = [schema]
        while waiting:
            one = waiting.pop()
            if isinstance(one, list):
                waiting += one
            elif isinstance(one, str):
                if one in self._named and one not in seen:
                    seen.add(one)
                    waiting.append(self._named[one])
            elif one["type"] == "array":
                if self._weightless(one["items"], frozenset()):
                    raise Unreadable("an array of items that take no bytes")
                waiting.append(one["items"])
            elif one["type"] == "map":
                waiting.append(one["values"])
            else:
                waiting += [part["type"] for part in one.get("fields", ()) if one.get("name") not in seen]
                seen.add(one.get("name", ""))

    def _weightless(self, schema: Json, inside: frozenset[str]) -> bool:
        """Whether a value of it may take no bytes."""
        if isinstance(schema, list):
            return False
        if isinstance(schema, str):
            if schema not in self._named:
                return schema == "null"
            return schema not in inside and self._weightless(self._named[schema], inside | {schema})
        if schema["type"] in ("record", "error"):
            return all(self._weightless(one["type"], inside) for one in schema["fields"])
        return bool(schema["type"] == "null" or (schema["type"] == "fixed" and schema["size"] == 0))
