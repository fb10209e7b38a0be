"""What is refused, what is an error of one feature alone, and what is fine."""

import gc
import json
import re
from pathlib import Path

import pytest

from driftd.core.event import Mark, PartitionId
from driftd.kafka.reasons import REMEDIES, Reason
from tests.kafka.records import STAMP, decoder, event, learn, plain, run_of

BAD = "<bad>"
DEEP = "[" * 100 + "]" * 100
BOTTOMLESS = "[" * 100_000 + "]" * 100_000


def with_features(features: str) -> bytes:
    """An event whose features are this text."""
    return b'{"model": "churn", "version": "7", "features": ' + features.encode() + b', "prediction": 0.5}'


REFUSED = {
    "tombstone": (None, "empty"),
    "empty value": (b"", "empty"),
    "blank value": (b"  ", "json"),
    "no JSON": (b"hello", "json"),
    "truncated": (event()[:-1], "json"),
    "two documents": (event() + event(), "json"),
    "byte order mark": (b"\xef\xbb\xbf" + event(), "json"),
    "NaN": (with_features('{"age": NaN}'), "json"),
    "Infinity": (with_features('{"age": -Infinity}'), "json"),
    "leading zero": (with_features('{"age": 041}'), "json"),
    "raw control character": (event(id="a").replace(b'"a"', b'"a\n"'), "json"),
    "NaN in an unknown key": (event(x=1).replace(b'"x": 1', b'"x": NaN'), "json"),
    "not UTF-8 in a feature": (with_features('{"plan": "?"}').replace(b"?", b"\xff"), "utf8"),
    "not UTF-8 in an unknown key": (event(x="?").replace(b"?", b"\xc3"), "utf8"),
    "UTF-8 of a surrogate": (with_features('{"plan": "?"}').replace(b"?", b"\xed\xa0\x80"), "utf8"),
    "not UTF-8 in a skipped field": (event(id="?").replace(b"?", b"\xff"), "utf8"),
    "too deep feature": (with_features('{"age": ' + DEEP + "}"), "depth"),
    "too deep unknown key": (event(x=1).replace(b'"x": 1', b'"x": ' + DEEP.encode()), "depth"),
    "bottomless": (BOTTOMLESS.encode(), "depth"),
    "bottomless feature": (with_features('{"age": ' + BOTTOMLESS + "}"), "depth"),
    "unfinished bottomless": (b"[" * 100_000, "depth"),
    "array": (b"[" + event() + b"]", "not_object"),
    "number": (b"7", "not_object"),
    "null": (b"null", "not_object"),
    "no model": (event(model=...), "model_missing"),
    "null model": (event(model=None), "model_missing"),
    "empty model": (event(model=""), "model_missing"),
    "model a number": (event(model=7), "name"),
    "model too long": (event(model="m" * 257), "name"),
    "model with a control character": (event(model="chu\nrn"), "name"),
    "model with a C1 control character": (event(model="chu\x85rn"), "name"),
    "model with a lone surrogate": (event(model="chu\ud800rn"), "name"),
    "version too long": (event(version="7" * 257), "name"),
    "version empty": (event(version=""), "name"),
    "version a fraction": (event(version=7.5), "name"),
    "version a bool": (event(version=True), "name"),
    "version an object": (event(version={}), "name"),
    "kind unknown": (event(kind="predictions"), "kind"),
    "kind a number": (event(kind=1), "kind"),
    "kind of another topic": (event(kind="label", label=1), "kind_unexpected"),
    "time without offset": (event(time="2026-11-23T10:00:00"), "time"),
    "time a month": (event(time="2026-11"), "time"),
    "time no day of the calendar": (event(time="2026-11-31"), "time"),
    "time a date in other digits": (event(time="٢٠٢٦-11-23"), "time"),
    "time no time": (event(time="soon"), "time"),
    "time a bool": (event(time=True), "time"),
    "time a fraction of a millisecond": (event(time=1.5), "time"),
    "time before 1970": (event(time=-1), "time"),
    "time before 1970 as text": (event(time="1969-12-31T23:59:59.999Z"), "time"),
    "time after 2262": (event(time=9_223_372_036_855), "time"),
    "time after 2262 as text": (event(time="2300-01-01T00:00:00Z"), "time"),
    "time in nanoseconds": (event(time=STAMP * 1_000_000), "time"),
    "time 1e999": (event(time=1).replace(b'"time": 1', b'"time": 1e999'), "time"),
    "time of 5,000 digits": (event(time=1).replace(b'"time": 1', b'"time": ' + b"1" * 5_000), "time"),
    "time an object": (event(time={}), "time"),
    "features an array": (event(features=[1, 2]), "features"),
    "features a string": (event(features="age=41"), "features"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("learned", [False, True], ids=["types unknown", "types known"])
def test_refused(case, learned):
    value, reason = REFUSED[case]
    subject = decoder()
    if learned:
        subject.learn_types("churn", "prediction", {"age": "numeric", "plan": "categorical", "prediction": "numeric"})
    good = event()
    block = subject.decode(PartitionId("predictions", 0), run_of([good, value, good], first=10))
    assert [(r.offset, r.reason) for r in block.malformed] == [(11, reason)]
    assert [g.offset.tolist() for g in block.groups] == [[10, 12]]
    assert (block.first, block.next, block.records) == (10, 13, 3)


def test_details_repeat_nothing_of_the_record():
    values = [value.replace(b"churn", b"SECRET") if value else value for value, _ in REFUSED.values()]
    block = decoder().decode(PartitionId("predictions", 0), run_of(values))
    assert len(block.malformed) >= len(REFUSED) - 1
    assert not [r for r in block.malformed if "SECRET" in r.detail]


HUGE = "9" * 5_000
FEATURE = {
    # what the event says: as an object, as a number
    "41": ("41", "41.0"),
    "41.5": ("41.5", "41.5"),
    "-0.0": ("-0.0", "0.0"),
    "1e3": ("1000.0", "1000.0"),
    "18446744073709551616": ("18446744073709551616", "1.8446744073709552e+19"),
    "true": ("True", "-inf"),
    "null": ("None", "nan"),
    '"pro"': ("'pro'", "-inf"),
    '"41"': ("'41'", "-inf"),
    '""': ("''", "-inf"),
    '"\\u00e9"': ("'é'", "-inf"),
    "1e999": (BAD, "-inf"),
    "-1e999": (BAD, "-inf"),
    HUGE: (BAD, "-inf"),
    "9" * 309: (BAD, "-inf"),
    '"\\ud800"': (BAD, "-inf"),
    '"a\\udc00b"': (BAD, "-inf"),
    "{}": (BAD, "-inf"),
    "[1]": (BAD, "-inf"),
    '{"a": {"b": [1, 2]}}': (BAD, "-inf"),
    "[" * 50 + "]" * 50: (BAD, "-inf"),
}


@pytest.mark.parametrize("said", FEATURE, ids=lambda said: said if len(said) < 30 else f"{said[:10]}... ({len(said)})")
def test_one_bad_feature_is_an_error_of_that_feature_alone(said):
    as_object, as_number = FEATURE[said]
    values = [with_features(f'{{"odd": {said}, "age": 41}}'), with_features('{"age": 42}')]
    for types, odd, age in (
        (None, [as_object, "<absent>"], ["41", "42"]),
        ({"odd": "categorical", "age": "numeric"}, [as_object, "<absent>"], ["41.0", "42.0"]),
        ({"odd": "numeric", "age": "numeric"}, [as_number, "inf"], ["41.0", "42.0"]),
    ):
        subject = decoder()
        learn(subject, types)
        block = subject.decode(PartitionId("predictions", 0), run_of(values))
        assert not block.malformed
        (group,) = block.groups
        assert plain(group.columns["odd"]) == odd
        assert plain(group.columns["age"]) == age


PREDICTION = {
    "0.83": ("0.83", "<absent>"),
    "1": ("1.0", "<absent>"),
    '"yes"': ("<absent>", "'yes'"),
    "true": ("<absent>", "'true'"),
    "false": ("<absent>", "'false'"),
    "null": ("None", "None"),
    '{"score": 0.83, "class": "yes"}': ("0.83", "'yes'"),
    '{"score": 1, "class": 1}': ("1.0", "'1'"),
    '{"score": 0.5, "class": 1.0}': ("0.5", "'1'"),
    '{"score": 0.83, "class": true, "probabilities": [0.1, 0.9]}': ("0.83", "'true'"),
    '{"class": "yes"}': ("<absent>", "'yes'"),
    '{"score": null}': ("None", "<absent>"),
    '{"score": "high", "class": ["yes"]}': (BAD, BAD),
    "{}": ("<absent>", "<absent>"),
    "[0.83]": (BAD, "<absent>"),
    "1e999": (BAD, "<absent>"),
}


@pytest.mark.parametrize("said", PREDICTION)
def test_a_prediction_is_a_number_or_a_class_or_both(said):
    values = [event().replace(b"0.5", said.encode()), event(prediction={"score": 0.25, "class": "no"})]
    (group,) = decoder().decode(PartitionId("predictions", 0), run_of(values)).groups
    score, name = PREDICTION[said]
    assert plain(group.columns["prediction"]) == [score, "0.25"]
    assert plain(group.columns["class"]) == [name, "'no'"]


def test_a_prediction_that_no_event_has_is_no_column():
    (group,) = decoder().decode(PartitionId("predictions", 0), run_of([event(), event(prediction=...)])).groups
    assert plain(group.columns["prediction"]) == ["0.5", "<absent>"]
    assert "class" not in group.columns


@pytest.mark.parametrize(
    ("said", "label"),
    [("1", "1.0"), ("true", "'true'"), ('"yes"', "'yes'"), ("null", "None"), ("[1]", BAD), ("1e999", BAD)],
)
def test_a_label_is_a_number_or_a_name(said, label):
    value = b'{"model": "churn", "label": ' + said.encode() + b', "features": {"ignored": 1}}'
    (group,) = decoder().decode(PartitionId("labels", 0), run_of([value], PartitionId("labels", 0))).groups
    assert (group.version, group.kind) == ("unversioned", "label")
    assert {name: plain(column) for name, column in group.columns.items()} == {"label": [label]}


@pytest.mark.parametrize("said", ["NaN", "[" * 100 + "]" * 100, '{"a": "\\q"}'])
def test_what_a_label_or_a_backfill_event_does_not_need_must_be_json_all_the_same(said):
    label = b'{"model": "churn", "kind": "label", "label": 1, "features": {"x": ' + said.encode() + b"}}"
    backfill = b'{"model": "churn", "kind": "prediction", "tags": {"driftd.backfill": true}, "features": {"x": '
    block = decoder().decode(
        PartitionId("all", 0), run_of([label, backfill + said.encode() + b"}}"], PartitionId("all", 0))
    )
    assert [r.reason for r in block.malformed] == ["depth" if said.startswith("[") else "json"] * 2
    assert not block.backfill


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        ("all", event(), "kind_missing"),
        ("elsewhere", event(), "kind_missing"),
        ("elsewhere", event(kind="prediction"), "kind_unexpected"),
        ("features", event(features=...), "features"),
        ("features", event(features=None), "features"),
        ("labels", event(), "label_missing"),
    ],
)
def test_refused_by_kind(topic, value, reason):
    block = decoder().decode(PartitionId(topic, 0), run_of([value], PartitionId(topic, 0)))
    assert [r.reason for r in block.malformed] == [reason]


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        ('"2026-11-23T10:00:00.123Z"', 1_795_428_000_123),
        ('"2026-11-23t11:00:00.123+01:00"', 1_795_428_000_123),
        ('"2026-11-23T10:00:00.123999Z"', 1_795_428_000_123),
        ("1795428000123", 1_795_428_000_123),
        ("1795428000123.0", 1_795_428_000_123),
        ("1.795428000123e12", 1_795_428_000_123),
        ("0", 0),
        ('"1970-01-01T00:00:00Z"', 0),
        ("9223372036854", 9_223_372_036_854),
        ("null", 5),
    ],
)
def test_event_time(said, ms):
    value = event(time=1).replace(b'"time": 1', b'"time": ' + said.encode())
    (group,) = decoder().decode(PartitionId("predictions", 0), run_of([value], timestamp=5)).groups
    assert group.time.tolist() == [ms]


def test_without_a_time_the_kafka_timestamp_is_it_and_without_that_there_is_none():
    assert decoder().decode(PartitionId("predictions", 0), run_of([event()])).groups[0].time.tolist() == [STAMP]
    block = decoder().decode(PartitionId("predictions", 0), run_of([event()], timestamp=-1))
    assert [r.reason for r in block.malformed] == ["time"]


def test_the_last_of_equal_keys_counts():
    value = event()[:-1] + b', "prediction": 0.9, "features": {"age": "x", "age": 1}}'
    (group,) = decoder().decode(PartitionId("predictions", 0), run_of([value])).groups
    assert (plain(group.columns["prediction"]), plain(group.columns["age"])) == (["0.9"], ["1"])


def test_the_collector_is_left_as_it_was():
    for before in (True, False):
        (gc.enable if before else gc.disable)()
        try:
            decoder().decode(PartitionId("predictions", 0), run_of([event(), b"x"]))
            assert gc.isenabled() is before
        finally:
            gc.enable()


def test_marks_are_the_cores():
    (group,) = decoder().decode(PartitionId("predictions", 0), run_of([event(features={"a": []}), event()])).groups
    assert list(group.columns["a"]) == [Mark.BAD, Mark.ABSENT]


def test_every_reason_has_a_remedy_and_stands_in_the_docs():
    documented = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", documented, re.MULTILINE))
    assert set(REMEDIES) == set(Reason)
    assert {reason.value: rows.get(reason.value) for reason in Reason} == {r.value: REMEDIES[r] for r in Reason}


def test_the_docs_events_are_read_as_they_say():
    documented = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    lines = [
        line.encode()
        for block in re.findall(r"```json\n(.+?)```", documented, re.DOTALL)
        for line in block.splitlines()
    ]
    native = [line for line in lines if b'"kind"' in line]
    assert len(native) >= 3
    for line in native:
        json.loads(line)
    block = decoder().decode(PartitionId("all", 0), run_of(native, PartitionId("all", 0)))
    assert not block.malformed
    assert {group.kind for group in block.groups} == {"prediction", "features", "label"}
