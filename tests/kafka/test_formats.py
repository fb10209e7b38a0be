"""CloudEvents in both modes and KServe's tensors become the columns that native events become."""

import base64
import json
from typing import Any

import pytest

from driftd.core.event import ROW, Block, PartitionId
from driftd.core.profile import Plan, profile
from driftd.kafka.block import Header
from driftd.kafka.decode import Decoder
from driftd.kafka.mapping import Source, TopicFormat, TopicMapping
from tests.kafka.records import event, flat, plain, run_of

LOG = PartitionId("log", 0)
AT = "2026-11-23T10:00:00.123Z"
DATA = {"model": "churn", "version": "7", "features": {"age": 41, "plan": "pro", "gone": None}, "prediction": 0.83}
NATIVE = event(**DATA, time=AT)
ATTRIBUTES = {"specversion": "1.0", "id": "7f9c2e", "source": "/scorer", "type": "scored", "time": AT}
CLOUD = TopicMapping(model=Source("path", "data.model"), format="cloudevents")
KSERVE = TopicMapping(
    model=Source("path", "inferenceservicename"), prediction=Source("path", "data.outputs.p"), format="kserve"
)


def decoder(mapping: TopicMapping | None) -> Decoder:
    return Decoder({"log": TopicFormat(("prediction", "features"), mapping), "native": TopicFormat(("prediction",))})


def decoded(mapping: TopicMapping | None, *records: tuple[Any, Any], types: Any = None) -> Block:
    """A block of (value, headers)."""
    subject = decoder(mapping)
    for kind, known in (types or {}).items():
        subject.learn_types("churn", kind, known)
    values = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value, _ in records]
    return subject.decode(LOG, run_of(values, LOG, [headers for _, headers in records]))


def binary(prefix: str = "ce_", **changes: str) -> list[Header]:
    told = {**ATTRIBUTES, **changes}
    return [("content-type", b"application/json; charset=utf-8"), *((prefix + k, v.encode()) for k, v in told.items())]


STRUCTURED: list[Header] = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
IN_BASE64 = base64.b64encode(json.dumps(DATA).encode()).decode()
PREDICTION = {**DATA, "kind": "prediction"}


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (PREDICTION, binary()),
        (PREDICTION, binary("ce-")),
        (PREDICTION, binary("Ce-")),
        ({**ATTRIBUTES, "data": PREDICTION}, STRUCTURED),
        ({**ATTRIBUTES, "data": PREDICTION}, None),
        ({**ATTRIBUTES, "datacontenttype": "application/vnd.x+json", "data": PREDICTION}, None),
        (
            {**ATTRIBUTES, "data_base64": base64.b64encode(json.dumps(PREDICTION).encode()).decode()},
            STRUCTURED,
        ),
    ],
)
@pytest.mark.parametrize("types", [None, {"prediction": {"age": "numeric", "plan": "categorical"}}])
def test_a_cloudevent_is_read_like_its_data(value, headers, types):
    native = decoder(None)
    for kind, known in (types or {}).items():
        native.learn_types("churn", kind, known)
    expected = flat(native.decode(PartitionId("native", 0), run_of([NATIVE] * 2, PartitionId("native", 0))))
    found = flat(decoded(CLOUD, (value, headers), (value, headers), types=types))
    assert found["groups"] == expected["groups"]
    assert found["malformed"] == ()


def test_attributes_and_flat_data_can_be_mapped():
    mapping = TopicMapping(
        model=Source("path", "source"), version=Source("path", "release"), prediction=Source("path", "data.out.p"),
        time=Source("path", "data.at"), kind=Source("const", "prediction"), features="data", format="cloudevents",
    )  # fmt: skip
    record = {"age": 41, "out": {"p": 0.5, "q": 1}, "at": 7, "model": "kept: it is no field here"}
    block = decoded(mapping, (record, binary(source="churn", release="9")))
    (group,) = block.groups
    assert (group.model, group.version, group.time.tolist()) == ("churn", "9", [7])
    assert sorted(group.columns) == ["age", "model", "prediction"]


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (PREDICTION, None, "cloudevent"),
        ({**ATTRIBUTES, "id": None, "data": PREDICTION}, None, "cloudevent"),
        ([{**ATTRIBUTES, "data": PREDICTION}], [("content-type", b"application/cloudevents-batch+json")], "cloudevent"),
        (b"Obj\x01", [("content-type", b"application/cloudevents+avro")], "cloudevent"),
        (b"<a/>", [*binary()[1:], ("content-type", b"application/xml")], "cloudevent"),
        ({**ATTRIBUTES, "data_base64": "!"}, None, "cloudevent"),
        ({**ATTRIBUTES, "data_base64": 1}, None, "cloudevent"),
        ({**ATTRIBUTES, "data_base64": "eA=="}, None, "json"),
        (b"{", binary(), "json"),
        (None, binary(), "model_missing"),
        (None, None, "empty"),
        (b"", STRUCTURED, "empty"),
        ({**ATTRIBUTES, "data": 7}, None, "model_missing"),
        (PREDICTION, binary(time="soon"), "time"),
    ],
)
def test_what_is_no_cloudevent_is_refused_and_the_rest_stays(value, headers, reason):
    block = decoded(CLOUD, (PREDICTION, binary()), (value, headers), (PREDICTION, binary()))
    assert [(r.offset, r.reason) for r in block.malformed] == [(1, reason)]
    assert [g.offset.tolist() for g in block.groups] == [[0, 2]]


# -- tensors -----------------------------------------------------------------------------------------------------------


def tensor(name: str, shape: object, data: object, datatype: str = "FP64") -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


REQUEST = {
    "inputs": [
        tensor("age", [3], [41, 42, None], "INT64"),
        tensor("plan", [3, 1], ["pro", "free", "pro"], "BYTES"),
        tensor("x", [3, 2], [[0.5, 1], [1.5, 2], [2.5, 3]]),
    ]
}
RESPONSE = {"model_name": "m", "model_version": "3", "outputs": [tensor("p", [3, 1], [0.25, 0.5, 0.75])]}
SERVICE = binary(inferenceservicename="churn")
TYPES = {
    "features": {"age": "numeric", "plan": "categorical", "x.0": "numeric", "x.1": "numeric"},
    "prediction": {"prediction": "numeric"},
}


@pytest.mark.parametrize("types", [None, TYPES])
def test_each_row_of_a_request_and_of_its_response_is_an_event(types):
    block = decoded(KSERVE, (REQUEST, SERVICE), (RESPONSE, SERVICE), types=types)
    assert block.malformed == ()
    assert (block.records, block.first, block.next) == (2, 0, 2)
    prediction, features = block.groups
    assert (features.model, features.version, features.kind) == ("churn", "unversioned", "features")
    assert (prediction.model, prediction.version, prediction.kind) == ("churn", "3", "prediction")
    found = {name: [str(value) for value in column] for name, column in features.columns.items()}
    number = "{}.0" if types else "{}"
    assert found == {
        "age": [number.format(41), number.format(42), "nan" if types else "None"],
        "plan": ["pro", "free", "pro"],
        "x.0": ["0.5", "1.5", "2.5"],
        "x.1": [number.format(n) for n in (1, 2, 3)],
    }
    assert {name: plain(column) for name, column in prediction.columns.items()} == {
        "prediction": ["0.25", "0.5", "0.75"]
    }
    assert features.offset.tolist() == [0, ROW, 2 * ROW]
    assert prediction.offset.tolist() == [1, 1 + ROW, 1 + 2 * ROW]


@pytest.mark.parametrize(
    "both",
    [
        {**REQUEST, **RESPONSE},
        {"request": REQUEST, "response": RESPONSE},
        {**ATTRIBUTES, "data": {**REQUEST, **RESPONSE}},
    ],
)
def test_a_record_of_both_is_a_prediction_with_features(both):
    mapping = TopicMapping(model=Source("const", "churn"), prediction=Source("path", "data.outputs.p"), format="kserve")
    (group,) = decoded(mapping, (both, None)).groups
    assert (group.kind, group.version, len(group)) == ("prediction", "3", 3)
    assert sorted(group.columns) == ["age", "plan", "prediction", "x.0", "x.1"]


def test_wide_outputs_are_found_by_their_place():
    mapping = TopicMapping(
        model=Source("const", "churn"), prediction=Source("path", "data.outputs.probs.1"), format="kserve"
    )
    record = {"outputs": [tensor("probs", [2, 2], [0.1, 0.9, 0.8, 0.2])]}
    (group,) = decoded(mapping, (record, None)).groups
    assert plain(group.columns["prediction"]) == ["0.9", "0.2"]


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({}, "neither inputs nor outputs"),
        ({"error": "no model"}, "neither inputs nor outputs"),
        ({"instances": [[1]]}, "neither inputs nor outputs"),
        ({"inputs": []}, "inputs is not a list of tensors"),
        ({"inputs": {"age": [1]}}, "inputs is not a list of tensors"),
        ({"inputs": [1]}, "a tensor without a name"),
        ({"inputs": [tensor("a", [1], [1]), tensor("b", [2], [1, 2])]}, "inputs: tensors of 1 and of 2 rows"),
        ({"inputs": [tensor("a", [1], [1]), tensor("a", [1], [2])]}, "inputs: two tensors of one name"),
        ({"inputs": [tensor("a", [1, 2], [1])]}, "1 values in a shape of 2"),
        ({"inputs": [tensor("a", [1], [1, 2])]}, "2 values in a shape of 1"),
        ({"inputs": [tensor("a", [-1], [1])]}, "a shape is not a list of whole numbers"),
        ({"inputs": [tensor("a", [True], [1])]}, "a shape is not a list of whole numbers"),
        ({"inputs": [tensor("a", "x", [1])]}, "a shape is not a list of whole numbers"),
        ({"inputs": [{"name": "a", "shape": [1], "parameters": {"binary_data_size": 8}}]},
         "a tensor without data: binary tensors cannot be read"),
        ({"inputs": [tensor("a", [0], [])]}, "a shape of 0 rows of 1 values; at most 524288 of 2000"),
        ({"inputs": [tensor("a", [10**9], [])]}, "a shape of 1000000000 rows of 1 values; at most 524288 of 2000"),
        ({"inputs": [tensor("a", [1, 3000], [1] * 3000)]}, "a shape of 1 rows of 3000 values; at most 524288 of 2000"),
        ({"inputs": [tensor(f"a{i}", [1, 900], [1] * 900) for i in range(3)]}, "inputs: more than 2000 values a row"),
        ({"inputs": [tensor("a", [1], [1])], "outputs": [tensor("p", [2], [1, 2])]},
         "1 rows of inputs and 2 of outputs"),
    ],
)  # fmt: skip
def test_tensors_that_are_not_what_they_say_refuse_the_whole_record_once(record, detail):
    block = decoded(KSERVE, (REQUEST, SERVICE), (record, SERVICE), (RESPONSE, SERVICE))
    assert [(r.offset, r.reason, r.detail) for r in block.malformed] == [(1, "tensor", detail)]
    assert [len(g) for g in block.groups] == [3, 3]


def test_a_bad_value_is_an_error_of_its_signal_alone():
    record = {"inputs": [tensor("a", [2], [1, {"x": 1}]), tensor("b", [2], ["x", "y"])]}
    types = {"features": {"a": "numeric", "b": "numeric"}}
    (group,) = decoded(KSERVE, (record, SERVICE), types=types).groups
    assert {name: plain(column) for name, column in group.columns.items()} == {"a": ["1.0", "-inf"], "b": ["-inf"] * 2}


def test_what_is_wrong_with_an_event_refuses_its_record_once():
    block = decoded(KSERVE, (REQUEST, binary()), (REQUEST, SERVICE))  # the first says no model, three times
    assert [(r.offset, r.reason) for r in block.malformed] == [(0, "model_missing")]
    assert [g.offset.tolist() for g in block.groups] == [[1, 1 + ROW, 1 + 2 * ROW]]


def test_backfilled_rows_are_counted_and_not_grouped():
    block = decoded(KSERVE, (REQUEST, [*SERVICE, ("driftd.backfill", b"true")]), (REQUEST, SERVICE))
    assert block.backfill == {"churn": 3}
    assert [g.offset.tolist() for g in block.groups] == [[1, 1 + ROW, 1 + 2 * ROW]]


def test_the_map_tells_of_records_not_of_rows():
    """Two batches, one of them far ahead: it is refused once; the other's part covers the one offset it came from."""
    ahead = binary(inferenceservicename="churn", time="2031-01-01T00:00:00Z")
    block = decoded(KSERVE, (REQUEST, ahead), (REQUEST, SERVICE))
    found = profile(block, lambda _: Plan(every=300_000, max_ahead=86_400_000))
    assert [(r.offset, r.reason) for r in found.refused] == [(0, "ahead")]
    (part,) = found.parts
    assert (part.events, part.low, part.high) == (3, 1, 2)
    assert (found.records, found.next) == (2, 2)


def test_large_batches_over_many_chunks_keep_every_row():
    n, rows = 1_100, 7
    record = {"inputs": [tensor("a", [rows], list(range(rows)))]}
    (group,) = decoded(KSERVE, *[(record, SERVICE)] * n, types={"features": {"a": "numeric"}}).groups
    assert len(group) == n * rows
    assert list(group.columns["a"]) == [float(i) for i in range(rows)] * n
    assert group.offset.tolist() == [o + k * ROW for o in range(n) for k in range(rows)]
