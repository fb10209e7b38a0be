"""The same table in every format."""

import gzip
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from driftd.files.build import BuildOptions, Built, build

FORMATS = ("parquet", "csv", "csv.gz", "jsonl", "jsonl.gz")


def write(folder: Path, form: str, columns: Mapping[str, Sequence[object]] | pa.Table, name: str = "t") -> Path:
    """The file NAME.FORM in the folder."""
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    path = folder / f"{name}.{form}"
    if form == "parquet":
        pq.write_table(table, path, row_group_size=max(len(table) // 3, 1))
    elif form.startswith("csv"):
        with gzip.open(path, "wb") if form.endswith("gz") else path.open("wb") as file:
            pyarrow.csv.write_csv(table, file)
    else:
        rows = [{key: _plain(value) for key, value in row.items()} for row in table.to_pylist()]
        with gzip.open(path, "wb") if form.endswith("gz") else path.open("wb") as file:
            file.write(msgspec.json.Encoder().encode_lines(rows))
    return path


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text(folder: Path, name: str, body: str | bytes) -> Path:
    """A file of just this."""
    path = folder / name
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def built(*files: Path, **options: object) -> Built:
    """Build with the model `m`."""
    return build(list(files), BuildOptions("m", **options))  # type: ignore[arg-type]


def counts(made: Built, signal: str) -> list[int]:
    """The counts of one signal: its cells, then null, absent, bad."""
    grid = made.reference.grid
    i = grid.index[signal]
    found: list[int] = made.reference.counts[grid.first[i] : grid.first[i + 1]].tolist()
    return found
