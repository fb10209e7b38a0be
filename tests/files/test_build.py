"""A grid and a reference from files of every format and oddity."""

import datetime as dt
import decimal
import random
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.core.fault import UserError
from driftd.core.grid import Categorical, Numeric
from driftd.core.reference import LEAST_PART, PARTS
from driftd.files.build import BuildOptions, build
from tests.files.tables import FORMATS, built, counts, text, write


def columns(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    chance = random.Random(seed)
    return {
        "age": [chance.gauss(40, 10) if chance.random() > 0.1 else None for _ in range(rows)],
        "n": [chance.randrange(5) for _ in range(rows)],
        "plan": [chance.choice(["pro", "free", "", "NA", 'é\n,"x"']) for _ in range(rows)],
        "on": [chance.random() < 0.3 for _ in range(rows)],
    }


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_reference(tmp_path, form):
    data = columns(3_000)
    expected = built(write(tmp_path, "parquet", data))
    made = built(write(tmp_path, form, data))
    assert made.header.id == expected.header.id
    assert (made.parts == expected.parts).all()
    assert made.reference.grid.plain() == expected.reference.grid.plain()
    assert made.reference.calibrated


def test_several_files_in_the_order_given_are_one(tmp_path):
    data = columns(1_000)
    whole = built(write(tmp_path, "csv", data))
    pieces = [
        write(tmp_path, "csv", {name: column[a:b] for name, column in data.items()}, f"p{a}")
        for a, b in ((0, 137), (137, 700), (700, 1_000))
    ]
    made = built(*pieces)
    assert made.header.id == whole.header.id
    assert made.header.rows == ["p0.csv", "p137.csv", "p700.csv"]
    assert built(*reversed(pieces)).header.id != whole.header.id


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8).map(lambda t: f"t{t}")
_columns = st.sampled_from(("float", "int", "bool", "text", "null"))


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 60))
    values = {
        "float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "int": st.none() | st.integers(-(2**63), 2**63 - 1),
        "bool": st.none() | st.booleans(),
        "text": st.none() | _texts | st.just(""),
        "null": st.none(),
    }
    types = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "text": pa.string(), "null": pa.null()}
    kinds = draw(st.lists(_columns, min_size=1, max_size=4))
    return pa.table(
        {
            f"c{i}": pa.array(draw(st.lists(values[kind], min_size=rows, max_size=rows)), types[kind])
            for i, kind in enumerate(kinds)
        }
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.booleans())
def test_any_table_is_the_same_in_parquet_csv_and_json(tmp_path, table, categorical):
    forced = tuple(table.column_names) if categorical else ()
    made = {built(write(tmp_path, form, table), categorical=forced).header.id for form in ("parquet", "csv", "jsonl")}
    assert len(made) == 1


def test_parts_are_consecutive_and_equal(tmp_path):
    rows = LEAST_PART * 10 + 7
    made = built(write(tmp_path, "parquet", {"x": [float(i // LEAST_PART) for i in range(rows)]}))
    assert len(made.parts) == 10
    assert set(made.parts.sum(axis=1).tolist()) <= {LEAST_PART, LEAST_PART + 1}
    assert made.parts.sum() == rows
    many = built(write(tmp_path, "parquet", {"x": np.arange(LEAST_PART * PARTS * 2.0)}))
    assert len(many.parts) == PARTS


def test_one_row(tmp_path):
    made = built(write(tmp_path, "jsonl", {"x": [3], "y": ["a"]}))
    assert made.reference.events == 1
    assert made.parts.shape[0] == 1
    assert not made.reference.calibrated
    assert made.reference.new_expected.tolist() == [0, 1]


@pytest.mark.parametrize("form", FORMATS)
def test_odd_columns_break_nothing(tmp_path, form):
    n = 2_000
    made = built(
        write(
            tmp_path,
            form,
            {
                "null": pa.nulls(n, pa.float64()),
                "constant": [7.5] * n,
                "empty": [""] * n,
                "many": [f"k{i}" for i in range(n)],
                "x": [float(i % 90) for i in range(n)],
                "huge": [1.7e308 * (-1) ** i for i in range(n)],
                "tiny": [5e-324 * (i % 3) for i in range(n)],
            },
        )
    )
    grid = made.reference.grid
    assert isinstance(grid.axes[grid.index["null"]], Categorical)
    assert counts(made, "null") == [0, 0, n, 0, 0]
    assert counts(made, "constant") == [0, n, 0, 0, 0, 0]
    assert counts(made, "empty") == [n, 0, 0, 0, 0, 0]
    assert made.reference.new_expected[grid.index["many"]] == n
    assert sum(counts(made, "huge")[1:-4]) == n
    assert sum(counts(made, "tiny")[1:-4]) == n
    for replay in made.reference.replays.values():
        assert np.isfinite(replay.mean).all()
        assert np.isfinite(replay.worst).all()


def test_a_hundred_thousand_categories(tmp_path):
    n = 150_000
    values = [f"k{i}" if i % 2 else "common" for i in range(2 * n)]
    made = built(write(tmp_path, "parquet", {"c": values}))
    axis = made.reference.grid.axes[0]
    assert isinstance(axis, Categorical)
    assert axis.open
    assert axis.categories == ("common",), "the others are all alike: none has a cell of its own"
    assert made.reference.new_expected.tolist() == [0]
    assert counts(made, "c")[0] == n


def test_five_hundred_columns(tmp_path):
    rng = np.random.default_rng(5)
    made = built(write(tmp_path, "parquet", {f"f{i}": rng.normal(size=1_500) for i in range(500)}))
    assert len(made.reference.grid) == 500
    assert made.reference.calibrated


def test_bins_have_equal_mass_and_exact_ends(tmp_path):
    rng = np.random.default_rng(7)
    values = rng.exponential(size=200_000)
    made = built(write(tmp_path, "parquet", {"x": values}))
    axis = made.reference.grid.axes[0]
    assert isinstance(axis, Numeric)
    assert axis.bounds[-1] == values.max()
    assert np.nextafter(axis.bounds[0], np.inf) == values.min()
    inner = np.array(counts(made, "x")[1:-4])
    # Edges are those of a sample of 65,536: the mass of a bin varies by sqrt(60/65536) = 3 %.
    assert len(inner) in (60, 61)
    assert (abs(inner[:60] / (len(values) / 60) - 1) < 0.15).all()
    assert (inner == np.diff(np.searchsorted(np.sort(values), axis.bounds, side="right"))).all()


def test_a_bool_is_a_category_and_a_number_is_none(tmp_path):
    made = built(write(tmp_path, "parquet", {"b": [True, False, True, None], "i": [1, 0, 1, 2]}), categorical=("i",))
    axes = {axis.name: axis for axis in made.reference.grid.axes}
    assert axes["b"].categories == ("true", "false")  # type: ignore[union-attr]
    assert axes["i"].categories == ("1", "0", "2")  # type: ignore[union-attr]


@pytest.mark.parametrize("form", FORMATS)
def test_integers_beyond_two_to_the_53rd(tmp_path, form):
    big = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**53]
    made = built(write(tmp_path, form, {"x": big, "c": big}), categorical=("c",))
    axes = {axis.name: axis for axis in made.reference.grid.axes}
    assert axes["c"].categories[0] == "9007199254740992"  # type: ignore[union-attr]
    assert len(axes["c"].categories) == 4  # type: ignore[union-attr]
    assert sum(counts(made, "x")[1:-4]) == 5


def test_arrow_types(tmp_path):
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    table = pa.table(
        {
            "money": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("2.25")]),
            "word": pa.array(["a", None, "a"]).dictionary_encode(),
            "code": pa.array([3, 3, None], pa.int8()).dictionary_encode(),
            "half": pa.array(np.array([1.5, np.nan, np.inf], np.float16)),
            "large": pa.array(["a", "b", None], pa.large_string()),
            "when": [now, None, now],
            "day": [now.date()] * 3,
            "list": [[1], [], None],
            "bytes": [b"a", b"b", None],
            "u": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "s": [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None],
        }
    )
    made = built(write(tmp_path, "parquet", table))
    assert made.reference.grid.names == ("code", "half", "large", "money", "s.a", "s.b", "u", "word")
    assert sum("left out" in note for note in made.notes) == 4
    assert counts(made, "half")[-3:] == [1, 0, 1]
    assert counts(made, "money")[-3:] == [1, 0, 0]
    assert counts(made, "word") == [2, 0, 0, 1, 0, 0]
    assert counts(made, "s.a")[-3:] == [2, 0, 0]


def test_mixed_types_in_json(tmp_path):
    lines = [{"x": 1}, {"x": "1"}, {"x": True}, {"x": 1.0}, {"x": None}, {}, {"x": [1]}, {"x": 2.5}]
    path = text(tmp_path, "a.jsonl", b"\xef\xbb\xbf\n" + b"\n\n".join(map(msgspec.json.encode, lines)))
    made = built(path)
    axis = made.reference.grid.axes[0]
    assert isinstance(axis, Categorical)
    assert axis.categories == ("1", "2.5", "true")
    assert counts(made, "x") == [3, 1, 1, 0, 0, 1, 1, 1]


def test_text_in_numbers_of_csv(tmp_path):
    path = text(tmp_path, "a.csv", "x,zip,y,inf,b\n1,007,NA,inf,TRUE\n2.5,10,na,1,false\nNaN,11,,2,True\n,12,NA,3,\n")
    made = built(path, categorical=("y",))
    axes = {axis.name: axis for axis in made.reference.grid.axes}
    assert isinstance(axes["x"], Numeric)
    assert counts(made, "x")[-3:] == [2, 0, 0]
    assert axes["zip"].categories == ("007", "10", "11", "12")  # type: ignore[union-attr]
    assert axes["y"].categories == ("NA", "na")  # type: ignore[union-attr]
    assert counts(made, "inf")[-3:] == [0, 0, 1]
    assert axes["b"].categories == ("true", "false")  # type: ignore[union-attr]


def test_a_number_said_to_be_a_category_has_one_name_everywhere(tmp_path):
    made = built(text(tmp_path, "a.csv", "x\n3\n3.0\n3.5\n"), categorical=("x",))
    assert made.reference.grid.axes[0].categories == ("3", "3.5")  # type: ignore[union-attr]


def test_roles_and_names_of_signals(tmp_path):
    n = 10
    path = write(
        tmp_path,
        "parquet",
        {
            "score": [0.5] * n,
            "churned": [True, False] * 5,
            "prediction": list(range(n)),
            "feature.a": [1] * n,
            "id": list(range(n)),
            "a": ["x"] * n,
        },
    )
    made = built(path, prediction="score", label="churned", ignore=("id",))
    assert set(made.reference.grid.names) == {"prediction", "label", "feature.prediction", "feature.feature.a", "a"}
    assert "class" in built(path, prediction="score", categorical=("score",)).reference.grid.names


def test_native_events(tmp_path):
    events = [
        {"kind": "prediction", "model": "m", "version": "1", "features": {"a": 1, "class": "x"}, "prediction": 0.5},
        {"kind": "features", "model": "m", "version": "1", "features": {"a": None}},
        {"model": "m", "version": 1, "features": {}, "prediction": None},
        {
            "kind": "prediction",
            "model": "m",
            "version": "2",
            "features": {"a": 9},
            "prediction": {"score": 1, "class": "y"},
        },
        {"kind": "prediction", "model": "other", "features": {"b": 1}},
        {"kind": "label", "model": "m", "id": "1", "label": 1},
    ]
    path = text(tmp_path, "e.jsonl", b"\n".join(map(msgspec.json.encode, events)))
    made = built(path, version="1")
    assert made.reference.events == 3
    assert set(made.reference.grid.names) == {"a", "feature.class", "prediction"}
    assert counts(made, "a") == [0, 1, 0, 1, 1, 0]
    assert counts(made, "feature.class") == [1, 0, 0, 0, 2, 0]
    assert counts(made, "prediction") == [0, 1, 0, 1, 1, 0]
    assert any("label" in note for note in made.notes)
    assert any("version 2" in note for note in made.notes)
    every = built(path)
    assert every.reference.events == 4
    assert "class" in every.reference.grid.names
    assert "prediction" in built(path, ignore=("class",)).reference.grid.names
    with pytest.raises(UserError, match="leave --time out"):
        built(path, time="time")
    with pytest.raises(UserError, match="no rows"):
        build([path], BuildOptions("nobody"))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_native_events_in_columns(tmp_path, form):
    table = {
        "kind": ["prediction", "prediction", "label", "features"],
        "model": ["m", "n", "m", "m"],
        "version": ["7", "7", "7", "7"],
        "time": [1_700_000_000_000 + i for i in range(4)],
        "id": ["a", "b", "c", "d"],
        "prediction": [0.5, 0.6, None, None],
        "features.age": [1.0, 2.0, None, None],
        "features.label": ["x", "y", None, "z"],
    }
    made = built(write(tmp_path, form, table))
    assert made.reference.events == 2
    assert made.reference.grid.names == ("age", "feature.label", "prediction")
    assert counts(made, "feature.label")[:2] == [1, 1]
    assert len(made.notes) == 2


def test_on_the_grid_of_another(tmp_path):
    first = built(write(tmp_path, "parquet", columns(1_000), "first"), prediction="age")
    other = write(tmp_path, "jsonl", {**columns(800, 1), "plan": ["new"] * 800, "extra": [1] * 800}, "second")
    made = build([other], BuildOptions("m", prediction="age"), first.reference.grid)
    assert made.header.hash == first.header.hash
    assert made.reference.events == 800
    assert counts(made, "plan")[-4] == 800
    assert made.reference.new_expected.tolist() == [0] * 4
    assert any("'extra'" in note for note in made.notes)
    with pytest.raises(UserError, match="--prediction"):
        build([other], BuildOptions("m"), first.reference.grid)
    lacking = write(tmp_path, "csv", {"age": [1.0], "plan": ["x"], "on": [True]}, "third")
    with pytest.raises(UserError, match="no column for 'n'"):
        build([lacking], BuildOptions("m", prediction="age"), first.reference.grid)


def test_on_the_grid_of_another_a_wrong_type_is_bad(tmp_path):
    first = built(write(tmp_path, "parquet", {"x": [1.0, 2.0, 3.0]}))
    made = build([text(tmp_path, "b.csv", "x\n1\nlow\n\n2\n")], BuildOptions("m"), first.reference.grid)
    assert counts(made, "x")[-3:] == [1, 0, 1]  # in a file of one column an empty line is a null
    made = build([write(tmp_path, "parquet", {"x": ["1", None]})], BuildOptions("m"), first.reference.grid)
    assert counts(made, "x")[-3:] == [1, 0, 1]


def test_notes_on_what_looks_wrong(tmp_path):
    n = 200
    times = [dt.datetime.fromtimestamp(i % 50, dt.UTC) for i in range(n)]
    made = built(write(tmp_path, "parquet", {"id": list(range(n)), "at": times, "x": [1.0] * n}), time="at")
    assert made.header.start == 0
    assert made.header.end == 49_000
    assert any("--ignore id" in note for note in made.notes)
    assert any("falls back 3 times" in note for note in made.notes)


def test_the_unnamed_column_of_pandas_is_left_out(tmp_path):
    made = built(text(tmp_path, "a.csv", ",x\n0,1\n1,2\n"))
    assert made.reference.grid.names == ("x",)
    assert "left out" in made.notes[0]


REFUSED: dict[str, tuple[str, str | bytes | None, dict[str, Any], str]] = {
    "not there": ("missing.csv", None, {}, "is not there; check the name"),
    "format": ("a.xlsx", "x", {}, "what format"),
    "gz parquet": ("a.parquet.gz", "x", {}, "what format"),
    "empty": ("a.csv", "", {}, "is empty"),
    "only a header": ("a.csv", "x,y\n", {}, "no rows"),
    "no json": ("a.jsonl", "\n\n", {}, "no rows"),
    "cut parquet": ("a.parquet", "PAR1xxxxPAR1", {}, "cannot be read as Parquet"),
    "bad gz": ("a.csv.gz", "x,y\n1,2\n", {}, "cannot be read as CSV"),
    "bad gz json": ("a.jsonl.gz", "{}\n", {}, "cannot be read"),
    "ragged": ("a.csv", "x,y\n1,2\n3\n", {}, "Row #3"),
    "bytes": ("a.csv", b"x,y\n1,\xff\n", {}, "UTF8"),
    "twice": ("a.csv", "x,x\n1,2\n", {}, "'x' is there twice"),
    "json line": ("a.jsonl", '{"x":1}\n\n{"x":}\n', {}, "line 3"),
    "json NaN": ("a.jsonl", '{"x":NaN}\n', {}, "write null"),
    "json list": ("a.json", "[1]\n", {}, "line 1"),
    "json utf8": ("a.jsonl", b'{"x":1}\n{"x":"\xff"}\n', {}, "line 2"),
    "json 1e999": ("a.jsonl", '{"x":1e999}\n', {}, "line 1"),
    "json features": ("a.jsonl", '{"features":{"a":1}}\n{"features":3}\n', {}, "line 2"),
    "ignore": ("a.csv", "age,y\n1,2\n", {"ignore": ("agee",)}, "did you mean 'age'"),
    "time": ("a.csv", "x,y\n1,2\n", {"time": "ts"}, "--time names; it has x, y"),
    "time is no time": ("a.csv", "x,y\nabc,2\n", {"time": "x"}, "no value of 'x' is a time"),
    "time in seconds": ("a.csv", "x,y\n1700000000,2\n", {"time": "x"}, "looks like seconds"),
    "two roles": ("a.csv", "x,y\n1,2\n", {"prediction": "x", "label": "x"}, "--prediction and by --label"),
    "no column": ("a.csv", "x\n1\n", {"ignore": ("x",)}, "no column to count"),
    "list as category": ("a.jsonl", '{"x":[1]}\n', {"categorical": ("x",)}, "--categorical"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_file_and_remedy(tmp_path, case):
    name, body, options, message = REFUSED[case]
    path = tmp_path / name
    if body is not None:
        text(tmp_path, name, body)
    with pytest.raises(UserError) as refused:
        built(path, **options)
    assert message in str(refused.value)
    assert refused.value.remedy
    if case != "two roles":
        assert name in str(refused.value)


def test_files_of_different_columns_or_formats(tmp_path):
    a = write(tmp_path, "csv", {"x": [1], "y": [2]}, "a")
    b = write(tmp_path, "csv", {"x": [1]}, "b")
    c = write(tmp_path, "parquet", {"x": [1]}, "c")
    with pytest.raises(UserError, match=r"b\.csv lacks the column 'y'"):
        built(a, b)
    with pytest.raises(UserError, match=r"a\.csv has the column 'y'"):
        built(b, a)
    with pytest.raises(UserError, match="different formats"):
        built(b, c)
    with pytest.raises(UserError, match="is a directory"):
        built(tmp_path)
    with pytest.raises(UserError, match="name of a model"):
        build([a], BuildOptions("x\n"))


def test_a_column_missing_in_the_second_json_file_is_said(tmp_path):
    a, b = write(tmp_path, "jsonl", {"x": [1], "y": [2]}, "a"), write(tmp_path, "jsonl", {"x": [1]}, "b")
    made = built(a, b)
    assert "never has 'y'" in made.notes[0]
    assert counts(made, "y")[-2] == 1


def test_a_text_that_is_not_utf8_in_parquet(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"x": broken}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="column 'x'"):
        built(tmp_path / "t.parquet")
