"""The columns that events become, in both forms, and where their parts are found."""

import json
import re

import numpy as np
import pytest

from driftd.core.event import PartitionId
from driftd.kafka.block import Header
from driftd.kafka.decode import Decoder
from driftd.kafka.envelope import time_of
from driftd.kafka.mapping import Source, TopicFormat, TopicMapping, format_of, topic_formats
from tests.kafka.records import PREDICTIONS, STAMP, decoder, event, flat, learn, plain, run_of

ALL = PartitionId("all", 0)


def test_groups_are_sorted_and_keep_the_order_of_offsets():
    said = [("b", "1"), ("a", "2"), ("a", "10"), ("b", "1"), ("a", None), ("a", 2)]
    values = [event(model=model, version=version) for model, version in said]
    block = decoder().decode(PREDICTIONS, run_of(values, first=100))
    assert [(g.model, g.version, g.offset.tolist()) for g in block.groups] == [
        ("a", "10", [102]),
        ("a", "2", [101, 105]),
        ("a", "unversioned", [104]),
        ("b", "1", [100, 103]),
    ]
    assert {g.time.dtype for g in block.groups} == {g.offset.dtype for g in block.groups} == {np.dtype(np.int64)}


def test_kinds_of_one_model_are_groups_of_their_own():
    values = [event(kind="prediction"), event(kind="features"), event(kind="label", label=1)]
    block = decoder().decode(ALL, run_of(values, ALL))
    assert [(g.kind, sorted(g.columns)) for g in block.groups] == [
        ("features", ["age"]),
        ("label", ["label"]),
        ("prediction", ["age", "prediction"]),
    ]


def test_known_numbers_are_float64_and_known_categories_are_objects():
    subject = decoder()
    subject.learn_types(
        "churn", "prediction", {"age": "numeric", "plan": "categorical", "prediction": "numeric", "gone": "numeric"}
    )
    values = [
        event(features={"age": 41, "plan": "pro"}),
        event(features={"age": None, "plan": None}),
        event(features={}),
    ]
    (group,) = subject.decode(PREDICTIONS, run_of(values)).groups
    assert {n: type(c) for n, c in group.columns.items()} == {
        "age": np.ndarray, "gone": np.ndarray, "plan": list, "prediction": np.ndarray,
    }  # fmt: skip
    assert plain(group.columns["age"]) == ["41.0", "nan", "inf"]
    assert plain(group.columns["gone"]) == ["inf"] * 3
    assert plain(group.columns["plan"]) == ["'pro'", "None", "<absent>"]
    assert plain(group.columns["prediction"]) == ["0.5"] * 3


def test_a_feature_named_like_a_built_in_is_told_apart():
    features = {"prediction": 1, "class": 2, "label": 3, "error": 4, "performance.auc": 5, "feature.age": 6, "age": 7}
    expected = {f"feature.{name}": value for name, value in features.items() if name != "age"} | {"age": 7}
    subject = decoder()
    for types in (None, {**dict.fromkeys(expected, "numeric"), "prediction": "numeric"}):
        learn(subject, types)
        (group,) = subject.decode(PREDICTIONS, run_of([event(features=features)])).groups
        found = {name: float(str(column[0])) for name, column in group.columns.items()}
        assert found == {**expected, "prediction": 0.5}


def test_features_without_a_type_are_counted_and_not_materialised():
    subject = decoder()
    subject.learn_types("churn", "prediction", {"age": "numeric"})
    values = [event(features={"age": 1, "x": 1, "y": [1]}), event(features={"x": None}), event(model="other")]
    for turn in (1, 2, 3):
        block = subject.decode(PREDICTIONS, run_of(values))
        assert [sorted(g.columns) for g in block.groups] == [["age"], ["age", "prediction"]]
        assert subject.unknown_features == {"churn": 3 * turn}


def test_a_feature_that_is_counted_from_another_kind_of_event_is_no_stranger():
    subject = decoder()
    subject.learn_types("churn", "prediction", {"prediction": "numeric"})
    subject.learn_types("churn", "features", {"age": "numeric"})
    block = subject.decode(PREDICTIONS, run_of([event(features={"age": 1, "x": 2}), event()]))
    assert [sorted(g.columns) for g in block.groups] == [["prediction"]]
    assert subject.unknown_features == {"churn": 1}


def test_types_can_be_forgotten():
    subject = decoder()
    subject.learn_types("churn", "prediction", {"age": "numeric"})
    subject.forget_types("churn", "prediction")
    (group,) = subject.decode(PREDICTIONS, run_of([event()])).groups
    assert {name: plain(column) for name, column in group.columns.items()} == {"age": ["41"], "prediction": ["0.5"]}


def test_names_of_features_are_bounded_while_types_are_not_known():
    subject = decoder()
    wide = {f"f{i:05}": i for i in range(2_500)}
    (group,) = subject.decode(PREDICTIONS, run_of([event(features=wide), event(features={"f02400": 1})])).groups
    assert sorted(group.columns) == [*sorted(wide)[:2_000], "prediction"]
    assert subject.dropped_features == {"churn": 501}


def test_what_is_left_out_is_kept_of_the_models_asked_for_alone():
    subject = decoder()
    subject.learn_types("known", "prediction", {"age": "numeric"})
    junk = [event(model=f"junk-{i}", features={"": 1}) for i in range(100)]
    subject.decode(PREDICTIONS, run_of([event(model="known", features={"x": 1}), event(features={"": 1}), *junk]))
    assert subject.left_out({"known", "churn"}) == ({"known": 1}, {"churn": 1})
    assert (dict(subject.unknown_features), dict(subject.dropped_features)) == ({"known": 1}, {"churn": 1})


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 257, "\ud800"])
def test_a_feature_with_a_bad_name_is_dropped_and_counted(name):
    subject = decoder()
    (group,) = subject.decode(PREDICTIONS, run_of([event(features={name: 1, "age": 2})])).groups
    assert sorted(group.columns) == ["age", "prediction"]
    assert subject.dropped_features == {"churn": 1}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "é", "a b", "f0"])
def test_a_feature_of_any_printable_name_is_read(name):
    subject = decoder()
    values = [event(features={name: 1.5, 'x"': 1}), event(features={"age": 2})]
    for types in (None, {name: "numeric", "age": "numeric"}):
        learn(subject, types)
        (group,) = subject.decode(PREDICTIONS, run_of(values)).groups
        absent, age = ("inf", "2.0") if types else ("<absent>", "2")
        assert [plain(group.columns[n]) for n in (name, "age")] == [["1.5", absent], [absent, age]]


def test_a_wide_model():
    subject = decoder()
    wide = {f"f{i:03}": i / 7 for i in range(500)}
    subject.learn_types("churn", "prediction", dict.fromkeys(wide, "numeric"))
    (group,) = subject.decode(PREDICTIONS, run_of([event(features=wide)] * 3)).groups
    assert {name: set(column) for name, column in group.columns.items()} == {n: {v} for n, v in wide.items()}


def test_unknown_keys_are_counted_exactly_however_many():
    subject = decoder()
    values = [event(**{f"x{i}": i for i in range(n)}) for n in (0, 1, 3, 100, 2, 70, 0)]
    for _ in range(3):  # the first time they are strangers, later they are known strangers
        assert subject.decode(PREDICTIONS, run_of(values)).unknown_keys == 176
    assert subject.decode(PREDICTIONS, run_of([event(x0=None, x1={"a": "ü"}), b"[]"])).unknown_keys == 2
    refused = subject.decode(PREDICTIONS, run_of([event(x0=1, model=None)]))
    assert (refused.unknown_keys, len(refused.malformed)) == (0, 1)


def test_backfill_is_counted_by_model_and_not_grouped():
    yes: list[Header] = [("driftd.backfill", b"true")]
    no: list[Header] = [("driftd.backfill", b"no"), ("other", b"true"), ("driftd.backfill", None)]
    told: list[tuple[bytes, list[Header] | None]] = [
        (event(tags={"driftd.backfill": flag}), None) for flag in (True, "true", False, "false", 1, None)
    ]
    told += [(event(), yes), (event(model="a"), yes), (event(), no), (event(tags={"driftd.backfill": [1]}), None)]
    told += [(event(tags="none"), None), (event(model=None), yes)]
    block = decoder().decode(PREDICTIONS, run_of([v for v, _ in told], headers=[h for _, h in told]))
    assert block.backfill == {"a": 1, "churn": 3}
    assert [g.offset.tolist() for g in block.groups] == [[2, 3, 4, 5, 8, 9, 10]]
    assert [r.reason for r in block.malformed] == ["model_missing"]


# -- mappings ----------------------------------------------------------------------------------------------------------

FOREIGN = {
    "meta": {"at": 1_795_428_000_123, "model.version": "7", "tags": {"driftd.backfill": False}},
    "request": {"inputs": {"age": 41, "plan": "pro", "balance": None, "odd": [1]}},
    "outputs": [{"p": 0.83}],
}
NATIVE = event(time=1_795_428_000_123, features=FOREIGN["request"]["inputs"], prediction=0.83)  # type: ignore[index]
MAPPING = TopicMapping(
    model=Source("const", "churn"),
    version=Source("path", "meta.model.version"),
    time=Source("path", "meta.at"),
    prediction=Source("path", "outputs.0.p"),
    features="request.inputs",
)


@pytest.mark.parametrize("learned", [False, True])
def test_a_mapped_record_gives_the_same_columns_as_a_native_one(learned):
    mapped, native = decoder(MAPPING), decoder()
    if learned:
        for subject in (mapped, native):
            subject.learn_types("churn", "prediction", {"age": "numeric", "plan": "categorical", "odd": "numeric"})
    expected = native.decode(PREDICTIONS, run_of([NATIVE] * 2))
    assert flat(mapped.decode(PREDICTIONS, run_of([json.dumps(FOREIGN).encode()] * 2))) == flat(expected)


def test_what_a_mapping_does_not_say_is_where_the_native_form_has_it():
    assert flat(decoder(TopicMapping()).decode(PREDICTIONS, run_of([event(), b"{}"]))) == flat(
        decoder().decode(PREDICTIONS, run_of([event(), b"{}"]))
    )


@pytest.mark.parametrize("root", ["", "."])
def test_the_record_itself_may_hold_the_features(root):
    subject = decoder(TopicMapping(prediction=Source("path", "y.0"), features=root))
    value = {"model": "churn", "age": 41, "y": [0.5], "id": "a", "tags": {}, "time": 7}
    (group,) = subject.decode(PREDICTIONS, run_of([json.dumps(value).encode()])).groups
    assert {name: plain(column) for name, column in group.columns.items()} == {"age": ["41"], "prediction": ["0.5"]}
    assert group.time.tolist() == [7]


def test_headers_and_the_topics_name():
    pattern = r"^pred\.(.+)$"
    mapping = TopicMapping(
        model=Source("topic", pattern), version=Source("header", "v"), time=Source("header", "t"),
        prediction=Source("header", "p"), kind=Source("const", "prediction"),
    )  # fmt: skip
    subject = Decoder({pattern: TopicFormat(("prediction",), mapping)})
    partition = PartitionId("pred.churn", 3)
    headers: list[list[Header] | None] = [
        [("v", b"old"), ("v", b"7"), ("t", b"1795428000123"), ("p", b"0.5")],
        [("v", "8"), ("t", b"2026-11-23T10:00:00.123Z"), ("p", b"yes")],
        [("t", b"soon")],
        None,
        [("t", b"1795428000123")],
    ]
    block = subject.decode(partition, run_of([b"{}"] * 5, partition, headers))
    assert [(g.model, g.version, g.offset.tolist()) for g in block.groups] == [
        ("churn", "7", [0]),
        ("churn", "8", [1]),
        ("churn", "unversioned", [4]),
    ]
    assert {g.time[0] for g in block.groups} == {1_795_428_000_123}
    assert plain(block.groups[0].columns["prediction"]) == ["0.5"]
    assert plain(block.groups[1].columns["class"]) == ["'yes'"]
    assert [(r.offset, r.reason, r.detail) for r in block.malformed] == [
        (2, "time", "header t is neither RFC 3339 with an offset nor a date alone"),
        (3, "time", "nothing in header t"),
    ]


@pytest.mark.parametrize(
    ("tags", "time"),
    [
        ({"ds": "2026-11-22"}, 1_795_305_600_000),
        ({"ds": "2026-11-22T00:00:00+00:00"}, 1_795_305_600_000),
        ({"ds": 1_795_305_600_000}, 1_795_305_600_000),
        ({"ds": "latest"}, "path tags.ds is neither RFC 3339 with an offset nor a date alone"),
        ({"ds": "2026-11-31"}, "path tags.ds is neither RFC 3339 with an offset nor a date alone"),
        ({"ds": True}, "path tags.ds is neither a string nor a number"),
        ({"ds": None}, "nothing in path tags.ds"),
        ({"region": "eu"}, "nothing in path tags.ds"),
        (..., "nothing in path tags.ds"),
    ],
)
def test_the_time_of_a_batch_is_that_of_its_tag_and_what_is_none_names_it(tags, time):
    """Its native time, and the Kafka timestamp, say when a row was scored."""
    mapping = TopicMapping(model=Source("path", "model"), time=Source("path", "tags.ds"))
    block = decoder(mapping).decode(PREDICTIONS, run_of([event(tags=tags, time=STAMP)]))
    if isinstance(time, str):
        assert [(one.reason, one.detail) for one in block.malformed] == [("time", time)]
        return
    (group,) = block.groups
    assert (group.time.tolist(), group.model, group.version) == ([time], "churn", "7")
    assert {name: plain(column) for name, column in group.columns.items()} == {"age": ["41"], "prediction": ["0.5"]}


def test_a_native_time_may_be_a_date_alone():
    (group,) = (
        decoder().decode(PREDICTIONS, run_of([event(time="2026-11-22"), event(time="2026-11-22T00:00:00Z")])).groups
    )
    assert group.time.tolist() == [1_795_305_600_000] * 2
    assert time_of(event(time="2026-11-22")) == 1_795_305_600_000


def test_a_mapped_record_is_refused_like_a_native_one():
    subject = decoder(TopicMapping(model=Source("path", "m")))
    values = [b"", b"x", b"[]", b"{}", b'{"m": 1}', b'{"m": "a", "features": 1}', b'{"m": "a", "time": "x"}']
    block = subject.decode(PREDICTIONS, run_of(values))
    assert [r.reason for r in block.malformed] == [
        "empty", "json", "not_object", "model_missing", "name", "features", "time",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["a", "a.b", "a.0", "a.b.c", "0", "a.-1", "a.1", "a.99999999999999999999"])
@pytest.mark.parametrize("value", [{}, {"a": 1}, {"a": []}, {"a": {"b": None}}, {"a": [[]]}, {"a": 1.5}])
def test_a_path_that_leads_nowhere_finds_nothing(path, value):
    subject = decoder(TopicMapping(model=Source("path", path)))
    block = subject.decode(PREDICTIONS, run_of([json.dumps(value).encode()]))
    assert [r.reason for r in block.malformed] in (["model_missing"], ["name"])


def test_a_source_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="regular expression"):
        Source("topic", "(")
    with pytest.raises(ValueError, match="a path is a string"):
        Source("path", 7)
    with pytest.raises(ValueError, match=r"not listed in kafka\.topics"):
        topic_formats({"prediction": ["a"]}, {"b": TopicMapping()})


def test_topics_by_name_and_expression():
    mapping = TopicMapping(model=Source("const", "churn"))
    formats = topic_formats({"prediction": ["a", "^b"], "label": ["^b.*l$", "a"]}, {"^b": mapping})
    assert format_of(formats, "a") == TopicFormat(("prediction", "label"), None)
    assert format_of(formats, "bx") == TopicFormat(("prediction",), mapping)
    assert format_of(formats, "bl") == TopicFormat(("prediction", "label"), mapping)
    assert format_of(formats, "ab") == TopicFormat(())


def test_versions_that_are_folded_are_counted_as_one_by_every_reader():
    """Known and unknown types, one version a block (read in one step) and several."""
    pattern = re.compile("[0-9a-f]{7,40}$")
    formats = {"predictions": TopicFormat(("prediction",))}
    subject = Decoder(formats, lambda model, version: "git" if model == "churn" and pattern.match(version) else version)
    alone = [event(version="0123abc") for _ in range(600)]
    mixed = [event(version=f"{i:07x}") for i in range(300)] + [
        event(version="7"),
        event(model="other", version="abcdef0"),
    ]
    for types in (None, {"age": "numeric", "prediction": "numeric"}):
        learn(subject, types)
        for _ in range(3):
            block = subject.decode(PREDICTIONS, run_of(alone))
            assert [(group.model, group.version, len(group)) for group in block.groups] == [("churn", "git", 600)]
        block = subject.decode(PREDICTIONS, run_of(mixed))
        assert [(group.model, group.version, len(group)) for group in block.groups] == [
            ("churn", "7", 1),
            ("churn", "git", 300),
            ("other", "abcdef0", 1),
        ]


def test_features_without_a_type_are_told_by_the_rows_that_have_them():
    """However they are read: exactly at first, by a fast reader that has learned their names afterwards."""
    subject = decoder()
    learn(subject, {"age": "numeric", "prediction": "numeric"})
    odd = [
        event(features={"age": 1}),
        event(features={"age": 1, "b": 2, "a": "x"}),
        event(features={"age": "old", "a": 3}),
        event(features={"a": {"nested": 1}}),
        event(features=[]),  # refused: the rows after it move up
        event(features={"age": 1, "b": None}),
    ]
    for _ in range(3):
        group = subject.decode(PREDICTIONS, run_of(odd)).groups[0]
        assert group.strangers == {"a": ([2], [1, 3]), "b": ([1], [4])}


def test_of_many_strangers_the_first_in_order_are_told_however_a_log_is_cut():
    subject = decoder()
    learn(subject, {"age": "numeric", "prediction": "numeric"})
    names = [f"s{i:03}" for i in range(100)]
    values = [event(features=dict.fromkeys(names[i::7], i)) for i in (6, 0, 3, 2, 1, 5, 4)]
    whole = subject.decode(PREDICTIONS, run_of(values)).groups[0].strangers
    assert sorted(whole) == names[:64]
    parts = [subject.decode(PREDICTIONS, run_of([value])).groups[0].strangers for value in values]
    assert sorted({name for part in parts for name in part}) >= names[:64]


def test_a_feature_of_another_kind_or_with_a_bad_name_is_no_stranger():
    subject = decoder()
    subject.learn_types("churn", "features", {"plan": "categorical"})
    learn(subject, {"age": "numeric", "prediction": "numeric"})
    group = subject.decode(
        PREDICTIONS, run_of([event(features={"age": 1, "plan": "x", "a\nb": 1, "class": 2})])
    ).groups[0]
    assert group.strangers == {"feature.class": ([0], [])}


def test_strangers_are_the_same_however_many_rows_are_read_together():
    """Whole chunks of one model in one step, groups of a mixed block, row by row: with numbers, texts, nested ones, gaps."""
    odd: list[dict[str, object]] = [
        {"age": i, "num": i, "text": "x", **({"some": i if i % 3 else None} if i % 2 else {}), "deep": {"a": [i]}}
        for i in range(700)
    ]
    values = [event(features=features) for features in odd]
    expected = {
        "deep": ([], list(range(700))),
        "num": (list(range(700)), []),
        "some": (
            [i for i in range(700) if i % 2 and i % 3],
            [i for i in range(700) if i % 2 and not i % 3],
        ),
        "text": ([], list(range(700))),
    }
    subject = decoder()
    learn(subject, {"age": "numeric", "prediction": "numeric"})
    for n, values_read in enumerate((values, values, [*values, event(model="other")], values, values)):
        group = subject.decode(PREDICTIONS, run_of(values_read)).groups[0]
        assert group.strangers == expected, n
        assert subject.unknown_features["churn"] == (n + 1) * (3 * 700 + 350)
