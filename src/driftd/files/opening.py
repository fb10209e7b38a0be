"""Which table a list of files is: Parquet, CSV or JSON lines, by the ends of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from driftd.core.fault import UserError
from driftd.files.csv_table import CsvTable
from driftd.files.json_table import JsonTable
from driftd.files.native_table import NativeTable, has_native_columns
from driftd.files.parquet_table import ParquetTable
from driftd.files.table import Table

Format = Literal["parquet", "csv", "json"]
_ENDS: Final[dict[str, Format]] = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "json",
    "ndjson": "json",
    "json": "json",
}


def format_of(path: Path) -> Format:
    """The format that a file's name says; refuses what is no readable file of one."""
    if path.is_dir():
        raise UserError(f"{path} is a directory", f"name the files in it: {path}/*.parquet")
    if not path.is_file():
        raise UserError(f"{path} is not there" if not path.exists() else f"{path} is no file", "check the name")
    ends = path.name.lower().split(".")[1:]
    zipped = bool(ends) and ends[-1] == "gz"
    found = _ENDS.get(ends[-1 - zipped]) if len(ends) > zipped else None
    if found is None or (zipped and found == "parquet"):
        raise UserError(
            f"{path}: what format is this?",
            "its name must end in .parquet, .csv, .tsv or .jsonl (the last three also .gz)",
        )
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty", "give a file with at least one row")
    return found


def open_table(files: Sequence[Path], model: str | None = None, version: str | None = None) -> Table:
    """One table of all files in the order given. `model` and `version` pick rows, where these are native events."""
    table = open_rows(files, model, version)
    return NativeTable(table, model, version) if has_native_columns(table) else table


def open_rows(files: Sequence[Path], model: str | None = None, version: str | None = None) -> Table:
    """The same; native events in Parquet or CSV are rows like any other."""
    if not files:
        raise UserError("no file was named", "name at least one Parquet, CSV or JSON lines file")
    formats = {format_of(path): path for path in files}
    if len(formats) > 1:
        raise UserError(
            f"the files are of different formats: {', '.join(str(path) for path in formats.values())}",
            "give files of one format",
        )
    match next(iter(formats)):
        case "parquet":
            return ParquetTable(files)
        case "csv":
            return CsvTable(files)
        case "json":
            return JsonTable(files, model, version)
