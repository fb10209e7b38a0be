"""A record's fate does not depend on the path it takes, nor on what was read before it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.event import Kind, PartitionId
from driftd.kafka.decode import Decoder
from driftd.kafka.readers import FeatureReader
from tests.kafka.records import decoder, flat, learn, run_of

ALL = PartitionId("all", 0)
TYPES = {"a": "numeric", "b": "numeric", "c": "categorical", "feature.label": "categorical", "prediction": "numeric"}

raw = st.sampled_from(
    ["1e999", "9" * 400, "9" * 5_000, '"\\ud800"', '"\\ud83d\\ude00"', "NaN", "-0", "0.1e-400", "[" * 70 + "]" * 70,
     '{"x": {"y": [1, "z"]}}', "18446744073709551616", "9007199254740993", "-9223372036854775809", "1.0", '"é"',
     "01", '"\\q"', "1" * 30 + ".5e-20", "123456789012345678901234567890", "true", "null",
     '{"score": 0.5, "class": "y"}', '{"score": "x"}']
)  # fmt: skip
number = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.integers(-(2**1100), 2**1100)
said = raw | (number | st.text(max_size=5) | st.booleans() | st.none()).map(json.dumps)


def object_of(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


feature_names = st.sampled_from(["a", "b", "c", "label", "new", "\ud800"]) | st.text(max_size=3)
features = st.lists(st.tuples(feature_names, said), max_size=6).map(object_of)
times = st.sampled_from(['"2026-11-23T10:00:00Z"', "5", "5.0", "5.5", "-1", '"x"', "null", "true", "1e999", "9" * 30])
fields = st.one_of(
    st.tuples(st.just("features"), features),
    st.tuples(st.sampled_from(["features", "prediction", "label", "version", "id", "tags", "kind", "model"]), said),
    st.tuples(st.just("time"), times),
    st.tuples(st.just("kind"), st.sampled_from(['"prediction"', '"features"', '"label"'])),
    st.tuples(
        st.just("tags"), st.sampled_from(['{"driftd.backfill": true}', '{"r": "eu"}', '{"r": [1]}', '{"r": "\\q"}'])
    ),
    st.tuples(st.sampled_from(["x", "y", "z"]) | st.text(max_size=2), said),
)
likely = [("kind", '"prediction"'), ("model", '"churn"'), ("features", '{"a": 1}')]


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """An event, right or wrong in any part; now and then bytes that are not even JSON."""
    document = object_of([*likely, *draw(st.lists(fields, max_size=5))]).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(document)))
        document = document[:at] + draw(st.binary(max_size=2)) + document[at + draw(st.integers(0, 1)) :]
    return document


def fail(_: object) -> object:
    raise TypeError


def exact() -> Decoder:
    """One whose fast readers accept nothing."""
    subject = decoder()
    native, readers = subject._native, subject._readers
    native.fast = fail  # type: ignore[assignment]
    native._learn = lambda _: None  # type: ignore[method-assign,assignment]
    reader_of = readers.reader

    def slow_reader(model: str, kind: Kind) -> FeatureReader:
        found = reader_of(model, kind)
        found.fast = found.all_fast = lambda _: None  # type: ignore[method-assign]
        return found

    readers.reader = slow_reader  # type: ignore[method-assign]
    slow_reader("no model", "prediction")
    return subject


@settings(max_examples=1_500, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4), st.booleans())
def test_the_fast_path_and_the_exact_one_agree(values, learned):
    run = run_of(values, ALL)
    subjects = [decoder(), exact()]
    for subject in subjects:
        learn(subject, TYPES if learned else None)
    first, slow = [flat(subject.decode(ALL, run)) for subject in subjects]
    assert first == slow
    # Once more, when every key of these records has been seen.
    assert flat(subjects[0].decode(ALL, run)) == first


@settings(max_examples=300, deadline=None)
@given(st.lists(records(), min_size=2, max_size=6), st.data())
def test_a_record_is_read_alone_as_among_others(values, data):
    subject = decoder()
    whole = subject.decode(ALL, run_of(values, ALL))
    at = data.draw(st.integers(0, len(values) - 1))
    alone = decoder().decode(ALL, run_of([values[at]], ALL, first=at))
    assert [r for r in whole.malformed if r.offset == at] == list(alone.malformed)
    assert {(g.model, g.version, g.kind) for g in whole.groups if at in g.offset} == {
        (g.model, g.version, g.kind) for g in alone.groups
    }


@settings(max_examples=500, deadline=None)
@given(number)
def test_numbers_are_read_alike_by_every_reader(value):
    results = []
    for types in ({"a": "numeric"}, None):
        for subject in (decoder(), exact()):
            learn(subject, types)
            value_of = json.dumps({"model": "churn", "kind": "prediction", "features": {"a": value}}).encode()
            results.append(flat(subject.decode(ALL, run_of([value_of], ALL))))
    assert results[0] == results[1]
    assert results[2] == results[3]


@pytest.mark.parametrize(
    "junk", [b"\x00", b"\xff" * 100, b"{" * 10_000, b'"' * 10_001, b'{"model":' * 1_000, b"\\" * 99]
)
def test_junk_never_raises(junk):
    assert len(decoder().decode(ALL, run_of([junk], ALL)).malformed) == 1
