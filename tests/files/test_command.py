"""`driftd reference build` and `driftd reference show`, as a person calls them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from driftd.commands import reference
from driftd.core.fault import UserError
from driftd.files import reference_file
from tests.files.tables import text, write


@pytest.fixture
def data(tmp_path):
    n = 2_000
    return write(
        tmp_path,
        "parquet",
        {
            "id": list(range(n)),
            "age": [float(i * 7_919 % 83) for i in range(n)],
            "plan\x1b[31m": [("pro\x1b[31m", "fr[b]ee", None)[i * 7_919 % 3] for i in range(n)],
            "score": [(i * 7_919 % 101) / 101 for i in range(n)],
        },
    )


def run(data: Path, output: Path, **options: Any) -> int:
    given: dict[str, Any] = {
        "version": "7",
        "categorical": (),
        "ignore": ("id",),
        "time": None,
        "prediction": "score",
        "label": None,
    }
    return reference.build("churn", data=[data], output=output, **{**given, **options})


def test_build_and_show(data, tmp_path, capsys):
    output = tmp_path / "R.json"
    assert run(data, output) == 0
    out, err = capsys.readouterr()
    assert "2,000 events, 2 numeric and 0 categorical signals, 31 parts, calibrated" in out
    assert "note: column 'plan\\x1b[31m' is left out" in err
    assert reference_file.read_header(output).version == "7"
    assert reference.show(output) == 0
    out, err = capsys.readouterr()
    assert "calibrated on windows of 1 to 1 parts" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "60 bins" in lines["age"]
    assert "0 to 82" in lines["age"]
    assert err == ""


def test_show_one_signal(tmp_path, capsys):
    data = write(tmp_path, "jsonl", {"plan": ["pro\x1b[31m", "[b]free", "[b]free", None], "x": [1, 2, 2, 3]})
    output = tmp_path / "R.json"
    assert run(data, output, ignore=(), prediction=None, quiet=True) == 0
    assert capsys.readouterr().out == ""
    assert reference.show(output, "plan") == 0
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert "[b]free" in out
    assert "50.000%" in out
    assert reference.show(output, "x") == 0
    out, _ = capsys.readouterr()
    assert [line.split()[-2:] for line in out.splitlines()[1:]][:5] == [
        ["0", "0.000%"], ["1", "25.000%"], ["2", "50.000%"], ["1", "25.000%"], ["0", "0.000%"],
    ]  # fmt: skip
    assert reference.show(output) == 0
    assert "uncalibrated" in capsys.readouterr().out
    with pytest.raises(UserError, match="it has plan, x"):
        reference.show(output, "age")


def test_a_second_version_on_the_grid_of_the_first(data, tmp_path):
    first, second = tmp_path / "7.json", tmp_path / "8.json"
    run(data, first)
    run(data, second, version="8", grid=first)
    assert reference_file.read_header(first).hash == reference_file.read_header(second).hash
    assert reference_file.read_header(second).version == "8"


def test_refused_before_the_work(data, tmp_path):
    with pytest.raises(UserError, match="is a directory"):
        run(data, tmp_path)
    with pytest.raises(UserError, match="there is no directory"):
        run(data, tmp_path / "no" / "R.json")
    with pytest.raises(UserError, match="also a file to read"):
        run(data, data)
    with pytest.raises(UserError, match="no sound reference"):
        run(data, tmp_path / "R.json", grid=text(tmp_path, "g.json", "{}"))
    assert not (tmp_path / "R.json").exists()


def test_through_the_program(data, tmp_path):
    output = tmp_path / "R.json"
    call = [str(Path(sys.executable).with_name("driftd")), "reference"]
    options = ["--model", "churn", "--ignore", "id", "--prediction", "score", "--output", str(output)]
    done = subprocess.run([*call, "build", *options, str(data)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*call, "show", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "prediction" in done.stdout
    done = subprocess.run([*call, "build", *options, "nowhere.csv"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere.csv is not there; check the name" in done.stderr


def test_a_narrow_terminal_loses_columns_and_no_digits():
    titles, rows = ("signal", "values", "null", "floor@1k"), [("age", "0 to 82", "0.00%", "0.0195")]
    assert reference._that_fit(titles, rows, 80) == [0, 1, 2, 3]
    assert reference._that_fit(titles, rows, 24) == [0, 2, 3]
    assert reference._that_fit(titles, rows, 1) == [0, 2]
