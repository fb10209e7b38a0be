"""Parquet files as a table. Structs are flattened one level: `features.age`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from driftd.core.fault import UserError
from driftd.files.cells import Form, Has, converted, has
from driftd.files.table import Batch, Report, Table, batch_rows

READ_AHEAD: Final = 1 << 26
"""Bytes read ahead of all columns together; unbounded, a whole row group would be."""


class ParquetTable(Table):
    """Types stand in the schema; files may differ in them, not in the columns' names."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        self.kinds: dict[str, list[pa.DataType]] = {}
        self.rows = 0
        for path in self.files:
            with _reading(path) as file:
                types = _flat(file.schema_arrow)
                self.rows += file.metadata.num_rows
            self.same_columns(path, [name for name, _ in types])
            for name, kind in types:
                self.kinds.setdefault(name, []).append(kind)
        self.stamps = frozenset(name for name, kinds in self.kinds.items() if all(map(pa.types.is_timestamp, kinds)))

    def scan(self, report: Report) -> Mapping[str, Has]:
        report(self.size)
        found = {}
        for name in self.columns:
            found[name] = Has.NOTHING
            for kind in self.kinds[name]:
                found[name] |= has(kind)
        return found

    def batches(self, forms: Mapping[str, Form]) -> Iterator[Batch]:
        wanted = list(forms)
        for number, path in enumerate(self.files):
            row = 0
            with _reading(path, len(wanted)) as file:
                total = max(file.metadata.num_rows, 1)
                for block in file.iter_batches(batch_rows(len(wanted)), columns=wanted, use_threads=False):
                    flat = _flat_columns(block)
                    columns = {}
                    for name, form in forms.items():
                        try:
                            columns[name] = converted(flat[name], form)
                        except (ValueError, pa.ArrowException) as fault:
                            raise UserError(
                                f"{path}: column {name!r}, rows {row:,} to {row + len(block):,}: {fault}",
                                "write the column again in a plain type, or leave it out with --ignore",
                            ) from fault
                    row += len(block)
                    done = self.before(number) + self.sizes[number] * row // total
                    yield Batch(len(block), columns, done, f"{path}, row {row - len(block):,}")


@contextmanager
def _reading(path: Path, columns: int = 1) -> Iterator[pq.ParquetFile]:
    ahead = max(1 << 14, min(1 << 20, READ_AHEAD // max(columns, 1)))
    try:
        with pq.ParquetFile(path, buffer_size=ahead, pre_buffer=False) as file:
            yield file
    except (OSError, pa.ArrowException) as fault:
        raise UserError(f"{path} cannot be read as Parquet: {fault}", "is it whole, and of that format?") from fault


def _flat(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    out = []
    for field in schema:
        if pa.types.is_struct(field.type):
            out += [(f"{field.name}.{child.name}", child.type) for child in field.type]
        else:
            out.append((field.name, field.type))
    return out


def _flat_columns(block: pa.RecordBatch) -> dict[str, pa.Array]:
    out = {}
    for name, array in zip(block.schema.names, block.columns, strict=True):
        if pa.types.is_struct(array.type):
            for i, child in enumerate(array.type):
                out[f"{name}.{child.name}"] = array.flatten()[i]
        else:
            out[name] = array
    return out
