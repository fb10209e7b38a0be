"""Avro by the table of docs/events.md: what was written is what is read, and what cannot be read is refused, no more."""

import contextlib
import io
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.event import Mark
from driftd.kafka.avro import MOST_DEEP, Unreadable, reader
from driftd.kafka.reasons import Refused

Case = tuple[Any, Any, object]
"""A schema, a value as it is written by it, and what it is read as."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS, US = timedelta(milliseconds=1), timedelta(microseconds=1)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def logical(kind: str, name: str, /, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


def plainly(schema: object, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Case]:
    return values.map(lambda value: (schema, value, value))


def to_ms(moment: datetime) -> datetime:
    """What fastavro writes of it."""
    return EPOCH + (moment - EPOCH) // MS * MS


def scaled(unscaled: int, scale: int) -> Decimal:
    return Decimal(unscaled).scaleb(-scale)


SCALARS: list[st.SearchStrategy[Case]] = [
    plainly("null", st.none()),
    plainly("boolean", st.booleans()),
    plainly("int", st.integers(-(2**31), 2**31 - 1)),
    plainly("long", st.integers(-(2**63), 2**63 - 1)),
    plainly("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    plainly("double", st.floats(allow_nan=False, allow_infinity=False)),
    st.sampled_from([math.nan, math.inf, -math.inf]).map(lambda value: ("double", value, Mark.BAD)),
    plainly("string", st.text(max_size=20)),
    plainly(
        {"type": "enum", "name": "Plan", "symbols": ["free", "pro"], "default": "free"},
        st.sampled_from(["free", "pro"]),
    ),
    st.binary(max_size=8).map(lambda value: ("bytes", value, Mark.BAD)),
    st.binary(min_size=3, max_size=3).map(lambda value: ({"type": "fixed", "name": "F", "size": 3}, value, Mark.BAD)),
    st.binary(min_size=12, max_size=12).map(
        lambda value: (logical("fixed", "duration", name="D", size=12), value, Mark.BAD)
    ),
    TIMES.map(lambda value: (logical("long", "timestamp-millis"), to_ms(value), (value - EPOCH) // MS)),
    TIMES.map(lambda value: (logical("long", "timestamp-micros"), value, (value - EPOCH) // MS)),
    st.integers(-(2**62), 2**62).map(lambda value: (logical("long", "timestamp-nanos"), value, value // 1_000_000)),
    TIMES.map(
        lambda value: (
            logical("long", "local-timestamp-micros"),
            value.replace(tzinfo=None),
            value.replace(tzinfo=None).isoformat(timespec="microseconds"),
        )
    ),
    st.dates().map(lambda value: (logical("int", "date"), value, value.isoformat())),
    st.integers(0, 86_399_999).map(lambda ms: (logical("int", "time-millis"), clock(ms * 1000), ms)),
    st.integers(0, 86_399_999_999).map(lambda us: (logical("long", "time-micros"), clock(us), us / 1000)),
    st.integers(-(10**11), 10**11).map(
        lambda n: (logical("bytes", "decimal", precision=12, scale=3), scaled(n, 3), float(scaled(n, 3)))
    ),
    st.integers(-(10**5), 10**5).map(
        lambda n: (
            logical("fixed", "decimal", name="Price", size=8, precision=12, scale=2),
            scaled(n, 2),
            float(scaled(n, 2)),
        )
    ),
    st.uuids().map(lambda value: (logical("string", "uuid"), value, str(value))),
    plainly(logical("string", "of-our-house"), st.text(max_size=5)),
]


def clock(microseconds: int) -> time:
    return (datetime(2000, 1, 1, tzinfo=UTC) + microseconds * US).time()


def together(parts: list[Case]) -> Case:
    """A record of all of them, each in a namespace of its own: names may not be taken twice."""
    fields = [{"name": f"f{i}", "type": within(f"n{i}", schema)} for i, (schema, _, _) in enumerate(parts)]
    schema = {"type": "record", "name": f"R{len(parts)}", "fields": fields, "doc": "..."}
    return (
        schema,
        {f"f{i}": value for i, (_, value, _) in enumerate(parts)},
        {f"f{i}": read for i, (_, _, read) in enumerate(parts)},
    )


def within(space: str, schema: Any) -> Any:
    if isinstance(schema, list):
        return [within(space, branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    found = {k: within(space, v) if k in ("items", "values") else v for k, v in schema.items()}
    if "fields" in schema:
        found["fields"] = [{**one, "type": within(space, one["type"])} for one in schema["fields"]]
    return {**found, "name": f"{space}.{schema['name']}"} if "name" in schema else found


CASES = st.recursive(
    st.one_of(SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(together),
        inner.map(lambda one: ({"type": "array", "items": one[0]}, [one[1]], [one[2]])).filter(
            lambda one: one[0]["items"] != "null"
        ),
        inner.map(lambda one: ({"type": "map", "values": one[0]}, {"k": one[1]}, {"k": one[2]})),
        inner.filter(lambda one: one[0] != "null" and not isinstance(one[0], list)).flatmap(
            lambda one: st.sampled_from([(["null", one[0]], one[1], one[2]), (["null", one[0]], None, None)])
        ),
    ),
    max_leaves=8,
)


def written(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def weighs(schema: Any) -> bool:
    """Whether no array in it is of items that take no bytes."""
    if isinstance(schema, dict) and schema["type"] == "array" and written_size(schema["items"]) == 0:
        return False
    parts = schema if isinstance(schema, list) else []
    if isinstance(schema, dict):
        parts = [field["type"] for field in schema.get("fields", [])]
        parts += [schema[key] for key in ("items", "values") if key in schema]
    return all(map(weighs, parts))


def written_size(schema: Any) -> int:
    """The fewest bytes that a value takes; 1 stands for any more."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return max((written_size(field["type"]) for field in schema["fields"]), default=0)
    return 0 if schema == "null" else 1


@given(CASES.filter(lambda case: weighs(case[0])))
def test_what_was_written_is_what_is_read(case):
    schema, value, read = case
    found = reader(schema)(written(schema, value))
    assert found == read
    assert repr(found) == repr(read), "True is not 1, and 1.0 is not 1"


@given(CASES.filter(lambda case: weighs(case[0])), st.binary(max_size=60))
def test_any_other_bytes_are_refused_or_read(case, data):
    read = reader(case[0])
    with contextlib.suppress(Refused):
        read(data)


@pytest.mark.parametrize(
    ("schema", "data", "reason", "detail"),
    [
        ("long", b"", "avro", "it does not decode (EOFError)"),
        ("long", b"\x02\x02", "avro", "1 bytes are left over"),
        ("string", b"\x04a", "avro", "it does not decode (EOFError)"),
        ("string", b"\x02\xff", "avro", "it does not decode (UnicodeDecodeError)"),
        (["null", "long"], b"\x08", "avro", "it does not decode (IndexError)"),
    ],
)
def test_what_does_not_decode_says_why_and_nothing_of_what_it_holds(schema, data, reason, detail):
    with pytest.raises(Refused) as raised:
        reader(schema)(data)
    assert (raised.value.reason, raised.value.detail) == (reason, detail)


LIST = {"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}


def test_a_type_that_holds_itself_is_read_and_has_a_bottom():
    assert reader(LIST)(b"\x02\x02\x00") == {"next": {"next": {"next": None}}}
    with pytest.raises(Refused) as raised:
        reader(LIST)(b"\x02" * 1_000_000 + b"\x00")
    assert raised.value.reason == "depth"


def test_a_type_that_is_very_deep_is_read_slowly():
    schema: Any = "long"
    value: Any = 1
    for i in range(2 * MOST_DEEP):
        schema = {"type": "record", "name": f"R{i}", "fields": [{"name": "a", "type": schema}]}
        value = {"a": value}
    assert reader(schema)(b"\x02") == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": "null"},
        {"type": "map", "values": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}},
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    ],
)
def test_a_few_bytes_cannot_mean_a_billion_items(schema):
    with pytest.raises(Unreadable, match="items that take no bytes"):
        reader(schema)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({}, "a part of it is no schema"),
        (7, "a part of it is no schema"),
        ({"type": "record", "name": "R"}, "a part of it has no fields"),
        ({"type": "record", "name": "R", "fields": [7]}, "not a list of fields"),
        ({"type": "array"}, "a part of it has no items"),
        ("a.Gone", "UnknownType: a.Gone"),
        ({"type": "enum", "name": "E", "symbols": 5}, "TypeError"),
    ],
)
def test_what_is_no_schema_is_said_to_be_none(schema, why):
    with pytest.raises(Unreadable, match=why):
        reader(schema)


def test_a_schema_may_name_others_and_those_others():
    inner = {"type": "enum", "name": "a.Plan", "symbols": ["free", "pro"]}
    middle = {"type": "record", "name": "a.Features", "fields": [{"name": "plan", "type": "a.Plan"}]}
    outer = {"type": "record", "name": "a.Event", "fields": [{"name": "features", "type": "Features"}]}
    assert reader(outer, {"a.Plan": inner, "a.Features": middle})(b"\x02") == {"features": {"plan": "pro"}}


def test_a_bare_union_or_name_finds_what_it_names():
    event = {"type": "record", "name": "a.Event", "fields": [{"name": "n", "type": "long"}]}
    label = {"type": "record", "name": "a.Label", "fields": [{"name": "label", "type": "string"}]}
    either = reader(["a.Event", "a.Label"], {"event": event, "label": label})
    assert (either(b"\x00\x02"), either(b"\x02\x02x")) == ({"n": 1}, {"label": "x"})
    assert reader("a.Event", {"event": event})(b"\x02") == {"n": 1}
    bare = {**event, "name": "Event"}
    holds = {"type": "record", "name": "Holds", "fields": [{"name": "event", "type": "Event"}]}
    assert reader(holds, {"Event": bare})(b"\x02") == {"event": {"n": 1}}
    assert reader({"type": "array", "items": "a.Event"}, {"event": event})(b"\x02\x02\x00") == [{"n": 1}]


def test_what_no_value_can_hold_is_an_error_in_its_place():
    far = logical("int", "date")
    assert reader(far)(written("int", 2**31 - 1)) is Mark.BAD
    assert reader(logical("long", "local-timestamp-millis"))(written("long", 2**62)) is Mark.BAD
    assert reader(logical("bytes", "decimal", precision=9, scale=0))(written("bytes", b"\x7f" * 200)) is Mark.BAD


def test_a_logical_type_that_is_not_valid_is_not_there():
    assert reader(logical("bytes", "decimal", precision=4, scale=10**9))(written("bytes", b"\x01")) is Mark.BAD
    assert reader(logical("long", "decimal"))(written("long", 5)) == 5
    assert reader(logical("fixed", "uuid", name="U", size=2))(b"ab") is Mark.BAD
    whole = uuid.UUID(int=7)
    assert reader(logical("fixed", "uuid", name="U", size=16))(whole.bytes) == str(whole)


def test_what_java_writes_around_a_type_changes_nothing():
    schema = {"type": {"type": "string", "avro.java.string": "String"}}
    assert reader(schema)(written("string", "x")) == "x"


def test_a_default_that_older_registries_took_is_no_matter():
    field = {"name": "a", "type": "long", "default": "not a number", "aliases": ["b"]}
    assert reader({"type": "record", "name": "R", "fields": [field]})(b"\x02") == {"a": 1}


def test_dates_are_told_as_text():
    assert reader(logical("int", "date"))(written("int", (date(2026, 11, 24) - date(1970, 1, 1)).days)) == "2026-11-24"
