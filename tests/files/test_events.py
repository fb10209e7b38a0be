"""Recorded events: JSON lines as they are, rows of tables as native events."""

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from driftd.core.fault import UserError
from driftd.files.events import EventOptions, open_events
from tests.files.tables import FORMATS, text, write


def read(path: Path, options: EventOptions | None = None) -> list[tuple[int, dict[str, Any]]]:
    return [(offset, json.loads(value)) for offset, value in open_events(path, options)]


ROWS: dict[str, list[Any]] = {
    "at": [dt.datetime(2026, 1, 1, 0, 0, i, 123_456, dt.UTC) for i in range(3)],
    "age": [1.5, None, 2.0],
    "n": [1, 2, None],
    "plan": ["pro", None, ""],
    "on": [True, False, None],
    "score": [0.1, 0.2, 0.3],
    "id": ["a", "b", "c"],
    "y": [0, 1, 0],
}
START = 1_767_225_600_123


@pytest.mark.parametrize("form", FORMATS)
def test_rows_become_prediction_events(tmp_path, form):
    data = dict(ROWS) if form == "parquet" else {**ROWS, "at": [at.isoformat() for at in ROWS["at"]]}
    path = write(tmp_path, form, data)
    options = EventOptions("m", "7", "at", "score", ignore=("y",), id="id")
    events = read(path, options)
    assert events[0] == (
        0,
        {
            "kind": "prediction",
            "model": "m",
            "version": "7",
            "id": "a",
            "time": START,
            "features": {"age": 1.5, "n": 1, "plan": "pro", "on": True},
            "prediction": 0.1,
        },
    )
    assert [offset for offset, _ in events] == [0, 1, 2]
    assert events[1][1]["features"] == {"age": None, "n": 2, "plan": None, "on": False}
    assert events[2][1]["features"] == {"age": 2.0, "n": None, "plan": "", "on": None}
    assert events[2][1]["time"] == START + 2_000


def test_labels_follow_their_predictions(tmp_path):
    path = write(tmp_path, "parquet", ROWS)
    events = read(path, EventOptions("m", prediction="score", label="y", categorical=("score",)))
    assert [offset for offset, _ in events] == [0, 1, 2, 3, 4, 5]
    assert events[3][1] == {
        "kind": "label", "model": "m", "version": "unversioned", "id": "1", "time": START + 1_000, "label": 1,
    }  # fmt: skip
    assert events[0][1]["prediction"] == "0.1"
    assert events[0][1]["time"] == START


def test_json_lines_come_as_they_are(tmp_path):
    path = text(tmp_path, "e.jsonl", b'{"model": "m", "features": {}}\r\n\n  {"x":  1}\nnot json\n')
    assert list(open_events(path)) == [
        (1, b'{"model": "m", "features": {}}'),
        (3, b'{"x":  1}'),
        (4, b"not json"),
    ]
    path = text(tmp_path, "no-newline.ndjson", b'{"model": "m"}')
    assert list(open_events(path)) == [(1, b'{"model": "m"}')]


def test_json_lines_over_many_chunks(tmp_path):
    lines = [json.dumps({"model": "m", "features": {"x": "é" * (i % 5_000)}}).encode() for i in range(3_000)]
    path = text(tmp_path, "e.jsonl", b"\n".join(lines) + b"\n")
    seen: list[int] = []
    events = list(open_events(path, report=lambda done, _: seen.append(done)))
    assert [value for _, value in events] == lines
    assert [offset for offset, _ in events] == list(range(1, 3_001))
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_a_table_of_native_events(tmp_path, form):
    table = {
        "kind": ["prediction", "label"],
        "model": ["m", "n"],
        "version": ["1", "2"],
        "time": ["2026-01-01T00:00:00.123Z", "2026-01-01T01:00:00+01:00"],
        "id": ["a", "b"],
        "prediction": [0.5, None],
        "label": [None, 1],
        "features.age": [1.5, None],
        "features.plan": ["pro", "free"],
    }
    events = read(write(tmp_path, form, table))
    assert events[0][1]["features"] == {"age": 1.5, "plan": "pro"}
    assert events[0][1]["time"] == START
    assert events[0][1]["model"] == "m"
    assert "label" not in events[0][1]
    assert events[1][1]["label"] == 1
    assert events[1][1]["time"] == START - 123


def test_a_struct_of_features(tmp_path):
    table = pa.table(
        {
            "model": ["m"],
            "time": pa.array([START], pa.timestamp("ms", "UTC")),
            "features": [{"age": 1, "plan": "x"}],
            "prediction": [{"score": 0.5, "class": "yes"}],
        }
    )
    assert read(write(tmp_path, "parquet", table)) == [
        (
            0,
            {
                "model": "m",
                "time": START,
                "features": {"age": 1, "plan": "x"},
                "prediction": {"score": 0.5, "class": "yes"},
            },
        )
    ]


TIMES = {
    "ns": pa.array([START * 1_000_000 + 999_999], pa.timestamp("ns")),
    "s": pa.array([START // 1_000], pa.timestamp("s", "Europe/Berlin")),
    "int ms": pa.array([START]),
    "float s": pa.array([START / 1_000]),
    "text": pa.array(["2026-01-01 00:00:00.123"]),
    "text ns": pa.array(["2026-01-01T00:00:00.123456789Z"]),
    "text offset": pa.array(["2026-01-01T02:00:00.123+02:00"]),
    "date": pa.array([dt.date(2026, 1, 1)]),
    "dictionary": pa.array(["2026-01-01T00:00:00.123Z"]).dictionary_encode(),
}


@pytest.mark.parametrize(
    ("form", "case"),
    [(form, case) for form in ("parquet", "csv") for case in TIMES] + [("jsonl", c) for c in TIMES if " " in c],
)
def test_times(tmp_path, form, case):
    array = TIMES[case].dictionary_decode() if case == "dictionary" and form == "csv" else TIMES[case]
    path = write(tmp_path, form, pa.table({"at": array, "x": [1.0]}))
    time = read(path, EventOptions("m", time="at"))[0][1]["time"]
    assert time == {"s": START - 123, "date": START - 123}.get(case, START)


def test_what_a_row_lacks_is_left_to_the_decoder(tmp_path):
    path = text(tmp_path, "e.csv", "time,x\n2026-01-01T00:00:00.123Z,1\n,2\nsoon,3\n")
    assert [event["time"] for _, event in read(path, EventOptions("m"))] == [START, None, "soon"]


def test_no_number_of_json_is_bad_not_null(tmp_path):
    path = write(tmp_path, "parquet", {"time": [START] * 3, "x": [math.inf, math.nan, 1.0]})
    assert [event["features"]["x"] for _, event in read(path, EventOptions("m"))] == [[], None, 1.0]


REFUSED: dict[str, tuple[dict[str, list[Any]], EventOptions | None, str]] = {
    "no model": ({"time": [START], "x": [1]}, None, "--model"),
    "no time": ({"x": [1]}, EventOptions("m"), "--time"),
    "two times": ({"a": [ROWS["at"][0]], "b": [ROWS["at"][0]], "x": [1]}, EventOptions("m"), "'a', 'b'"),
    "wrong name": ({"time": [START], "x": [1]}, EventOptions("m", prediction="y"), "--prediction"),
    "no id": ({"time": [START], "x": [1]}, EventOptions("m", id="y"), "--id"),
    "no time in it": ({"time": ["soon"], "x": [1]}, EventOptions("m"), "no value of 'time' is a time"),
    "seconds": ({"time": [1_767_225_600], "x": [1]}, EventOptions("m"), "looks like seconds"),
    "nanoseconds": ({"time": [START * 10**6], "x": [1]}, EventOptions("m"), "looks like micro"),
    "bytes": ({"time": [b"x"], "x": [1]}, EventOptions("m", time="time"), "binary"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    data, options, message = REFUSED[case]
    with pytest.raises(UserError) as refused:
        read(write(tmp_path, "parquet", data), options)
    assert message in str(refused.value)


def test_flat_json_rows_need_a_model(tmp_path):
    path = write(tmp_path, "jsonl", {"time": [START], "x": [1]})
    assert list(open_events(path)) == [(1, b'{"time":%d,"x":1}' % START)]
    assert read(path, EventOptions("m"))[0][1]["features"] == {"x": 1}
    with pytest.raises(UserError, match="no events"):
        list(open_events(text(tmp_path, "blank.jsonl", "\n\n")))
